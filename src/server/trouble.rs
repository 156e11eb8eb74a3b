//! What is to be said of a client beside its numbers: parked files, folders that are not watched,
//! failures, a report that does not agree; and whether somebody has to look after it.
//!
//! Pure. There is no note for what is as it should be. The page and the commands say the same.

use crate::server::activity::Kept;
use crate::server::activity::standing::Standing;
use crate::server::activity::view::ClientView;
use crate::shown;
use crate::wire::report::Verdict;

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
    let mut notes: Vec<Note> =
        [difference(client), parked(client), last.and_then(unwatched), failures(client, now)]
            .into_iter()
            .flatten()
            .collect();
    notes.sort_by_key(|note| std::cmp::Reverse(note.weight));
    notes
}

fn parked(client: &ClientView) -> Option<Note> {
    let parked = client.parked.as_ref().filter(|parked| parked.count > 0)?;
    let verb = if parked.count == 1 { "is" } else { "are" };
    let title = format!("{} {verb} not backed up", shown::counted(parked.count, "file"));
    let lines = parked
        .reasons
        .iter()
        .map(|one| Line { count: Some(shown::count(one.count)), text: one.reason.to_string() });
    Some(Note::new(Weight::Warning, title, lines))
}

fn unwatched(last: &Kept) -> Option<Note> {
    let failures = &last.report.watch_failures;
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

fn difference(client: &ClientView) -> Option<Note> {
    let dated = client.last_check.as_ref()?;
    let date = dated.date;
    let (weight, title) = match dated.check.verdict {
        Verdict::Agrees if dated.check.remarks.is_empty() => return None,
        Verdict::Agrees => {
            (Weight::Remark, format!("Its report of {date} agrees with what is stored"))
        }
        Verdict::Explained => (
            Weight::Remark,
            format!("Its report of {date} differs by what happens when all is well"),
        ),
        Verdict::Differs => {
            (Weight::Grave, format!("Its report of {date} differs from what was stored"))
        }
        Verdict::Unknown => (Weight::Remark, format!("Its report of {date} cannot be compared")),
    };
    let lines = dated.check.remarks.iter().map(|remark| plain(remark.to_string()));
    Some(Note::new(weight, title, lines))
}

/// How long ago a moment was, in words; what lies ahead, by a clock that was set back, is now.
pub fn ago(at: i64, now: i64) -> String {
    match u64::try_from(now.saturating_sub(at)) {
        Ok(seconds) if seconds > 0 => format!("{} ago", shown::span(seconds)),
        _ => "just now".to_owned(),
    }
}
