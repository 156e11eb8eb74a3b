//! What is to be said of a client beside its numbers: parked files, folders that are not watched,
//! failures, a report that does not agree; and whether somebody has to look after it.
//!
//! Pure. There is no note for what is as it should be. The page and the commands say the same.

use crate::server::activity::Kept;
use crate::server::activity::standing::Standing;
use crate::server::activity::view::ClientView;
use crate::shown;
use crate::wire::Day;
use crate::wire::report::{CrossCheck, Parked, Report, Verdict};

/// Lines of a note that are shown at once; the others have to be unfolded.
const LINES_SHOWN: usize = 3;

/// Something to be said of a client.
pub struct Note {
    /// How bad it is.
    pub weight: Weight,
    /// What it is.
    pub title: String,
    /// More of it, a line each.
    pub lines: Vec<Line>,
    /// What does not fit.
    pub more: Vec<Line>,
}

/// How bad something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// Good to know.
    Remark,
    /// A file or some are not backed up, or were not at first.
    Warning,
    /// What is in the bucket is not what the client believes.
    Grave,
}

/// Whether somebody has to look after a client, and how soon; in the order of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Badness {
    /// Nothing is wrong.
    None,
    /// It was never there: it may be about to be set up.
    Never,
    /// It is healthy, but something is wrong there.
    Troubled,
    /// It is late.
    Late,
    /// It is silent.
    Silent,
}

impl Badness {
    /// How bad it is with a client in that state of which these things are to be said.
    pub fn of(state: Standing, notes: &[Note]) -> Self {
        match state {
            Standing::Silent => Self::Silent,
            Standing::Late => Self::Late,
            Standing::Never => Self::Never,
            Standing::Healthy if notes.iter().any(|note| note.weight >= Weight::Warning) => {
                Self::Troubled
            }
            Standing::Healthy => Self::None,
        }
    }
}

/// A line of a note.
pub struct Line {
    /// How often.
    pub count: Option<String>,
    /// What.
    pub text: String,
}

impl Note {
    /// The class of the note in the stylesheet.
    pub fn class(&self) -> &'static str {
        match self.weight {
            Weight::Remark => "remark",
            Weight::Warning => "warn",
            Weight::Grave => "bad",
        }
    }

    /// Whether its lines say how often.
    pub fn counted(&self) -> bool {
        self.lines.iter().any(|line| line.count.is_some())
    }

    fn new(weight: Weight, title: String, lines: impl Iterator<Item = Line>) -> Self {
        let mut lines: Vec<Line> = lines.collect();
        // One line is not worth the fold that hides it.
        let more = match lines.len() > LINES_SHOWN + 1 {
            true => lines.split_off(LINES_SHOWN),
            false => vec![],
        };
        Self { weight, title, lines, more }
    }
}

fn plain(text: impl Into<String>) -> Line {
    Line { count: None, text: text.into() }
}

/// All notes of a client, the gravest first. `last` is the last report of its that is kept.
pub fn notes(client: &ClientView, last: Option<&Kept>, now: i64) -> Vec<Note> {
    let mut notes: Vec<Note> = [
        client.last_check.as_ref().and_then(|dated| compared(dated.date, &dated.check)),
        client.parked.as_ref().and_then(parked),
        last.and_then(|last| unwatched(&last.report)),
        failures(client, now),
    ]
    .into_iter()
    .flatten()
    .collect();
    notes.sort_by_key(|note| std::cmp::Reverse(note.weight));
    notes
}

/// What is parked, if anything is.
pub fn parked(parked: &Parked) -> Option<Note> {
    let Parked { count, reasons } = parked;
    let verb = if *count == 1 { "is" } else { "are" };
    let title = format!("{} {verb} not backed up", shown::counted(*count, "file"));
    let lines = reasons
        .iter()
        .map(|one| Line { count: Some(shown::count(one.count)), text: one.reason.to_string() });
    (*count > 0).then(|| Note::new(Weight::Warning, title, lines))
}

/// The folders that are not watched, if there are any.
pub fn unwatched(report: &Report) -> Option<Note> {
    let failures = &report.watch_failures;
    let count = u64::try_from(failures.len()).ok().filter(|count| *count > 0)?;
    let verb = if count == 1 { "is" } else { "are" };
    let title = format!("{} {verb} not watched", shown::counted(count, "folder"));
    let lines = failures.iter().map(|one| plain(format!("{}: {}", one.path, one.reason)));
    Some(Note::new(Weight::Warning, title, lines))
}

fn failures(client: &ClientView, now: i64) -> Option<Note> {
    let (today, month) = (client.today.failures, client.last_30_days.failures);
    let last = client.last_error.as_ref().map(|error| {
        plain(format!(
            "the last {}: {} was answered {}",
            ago(error.at, now),
            error.asked,
            error.error
        ))
    });
    let (weight, title) = match (today, month) {
        (0, 0) => return None,
        (0, _) => {
            let title = format!(
                "{} in the last 30 days, none today",
                shown::counted(month, "failed upload")
            );
            (Weight::Remark, title)
        }
        _ => {
            let title = format!(
                "{} today, {} in the last 30 days",
                shown::counted(today, "failed upload"),
                shown::count(month)
            );
            (Weight::Warning, title)
        }
    };
    Some(Note::new(weight, title, last.into_iter()))
}

/// How the report of a day compared, if there is anything to say of that.
pub fn compared(date: Day, check: &CrossCheck) -> Option<Note> {
    let (weight, what) = match check.verdict {
        Verdict::Agrees if check.remarks.is_empty() => return None,
        Verdict::Agrees => (Weight::Remark, "agrees with what was stored"),
        Verdict::Explained => (Weight::Remark, "differs by what happens when all is well"),
        Verdict::Differs => (Weight::Grave, "differs from what was stored"),
        Verdict::Unknown => (Weight::Remark, "cannot be compared"),
    };
    let lines = check.remarks.iter().map(|remark| plain(remark.to_string()));
    Some(Note::new(weight, format!("its report of {date} {what}"), lines))
}

/// How clients in these states are, in one sentence.
pub fn headline(states: &[Standing]) -> String {
    let count = |state| states.iter().filter(|other| **other == state).count();
    let (silent, late) = (count(Standing::Silent), count(Standing::Late));
    let (never, healthy) = (count(Standing::Never), count(Standing::Healthy));
    let clients = |count: usize| shown::counted(count as u64, "client");
    let verb = |count| if count == 1 { "is" } else { "are" };
    let was = |count| if count == 1 { "was" } else { "were" };
    match (silent, late) {
        (0, 0) if states.is_empty() => "No clients yet".to_owned(),
        (0, 0) if healthy == 0 => "No client was heard of yet".to_owned(),
        (0, 0) if never > 0 => {
            let heard = clients(healthy);
            format!("{heard} {} healthy, {never} {} never heard of", verb(healthy), was(never))
        }
        (0, 0) if healthy == 1 => "The client is healthy".to_owned(),
        (0, 0) => format!("All {} are healthy", clients(healthy)),
        (0, late) => format!("{} {} late", clients(late), verb(late)),
        (silent, 0) => format!("{} {} silent", clients(silent), verb(silent)),
        (silent, late) => {
            format!("{} {} silent, {late} {} late", clients(silent), verb(silent), verb(late))
        }
    }
}

/// How long ago a moment was, in words; what lies ahead, by a clock that was set back, is now.
pub fn ago(at: i64, now: i64) -> String {
    match u64::try_from(now.saturating_sub(at)) {
        Ok(seconds) if seconds > 0 => format!("{} ago", shown::span(seconds)),
        _ => "just now".to_owned(),
    }
}
