//! What is on the page, in the words it is said in.
//!
//! Pure. The template only puts it in its place.

use super::chart::Chart;
use crate::server::activity::reading::Facts;
use crate::server::activity::standing::Standing;
use crate::server::activity::view::{ClientView, Overview, Sum};
use crate::server::config::Reports;
use crate::server::trouble::{Badness, Note, ago, headline, notes};
use crate::shown;
use crate::wire::Day;
use std::cmp::Reverse;

/// How all clients are.
pub struct View {
    /// The page's title.
    pub title: String,
    /// The server's version.
    pub version: &'static str,
    /// When it was so.
    pub as_of: Moment,
    /// All of it in one sentence.
    pub headline: String,
    /// What else is worth a sentence.
    pub aside: Option<String>,
    /// How many clients there are of each state.
    pub tallies: Vec<Tally>,
    /// Whether what happens is written down.
    pub recording: bool,
    /// The clients, those first that somebody has to look after.
    pub clients: Vec<Card>,
    /// When a client is late.
    pub late_after: String,
    /// When it is silent.
    pub silent_after: String,
}

/// How a state is shown: by a word, a shape and a colour.
#[derive(Clone, Copy)]
pub struct Mark {
    /// Its class in the stylesheet.
    pub class: &'static str,
    /// Its word.
    pub word: &'static str,
    /// Its shape, in SVG.
    pub shape: &'static str,
}

/// So many clients of a state.
pub struct Tally {
    /// How many.
    pub count: usize,
    /// The state.
    pub mark: Mark,
}

/// A moment, for people and for programs.
pub struct Moment {
    /// How long ago.
    pub age: String,
    /// The moment itself, to the minute.
    pub utc: String,
    /// As programs read it.
    pub machine: String,
}

/// Files and bytes.
pub struct Amount {
    /// Such as `812 files`.
    pub files: String,
    /// Such as `96.3 MB`.
    pub bytes: String,
}

/// A client.
pub struct Card {
    /// Its name.
    pub name: String,
    /// Its state.
    pub mark: Mark,
    /// Its version.
    pub version: Option<String>,
    /// Its last upload that was stored.
    pub last_upload: Option<Moment>,
    /// Its last report.
    pub last_report: Option<Moment>,
    /// Whether something is wrong there although it is healthy.
    pub troubled: bool,
    /// Uploads of today, if there were any.
    pub today: Option<Amount>,
    /// Uploads of today and the 29 days before.
    pub month: Option<Amount>,
    /// The same by days.
    pub chart: Chart,
    /// What else is to be said.
    pub notes: Vec<Note>,
}

impl View {
    /// What is on the page. `facts` are those that `overview` was made of.
    pub fn of(overview: &Overview, facts: &Facts, reports: &Reports) -> Self {
        let now = overview.asked_at;
        let cards = overview.clients.iter().map(|client| {
            let notes = notes(client, facts.last_reports.get(&client.name), now);
            let badness = Badness::of(client.state, &notes);
            (badness, card(client, facts, notes, badness, now))
        });
        let mut cards: Vec<(Badness, Card)> = cards.collect();
        // Stable: within one state they stay in the order of their names.
        cards.sort_by_key(|(badness, _)| Reverse(*badness));
        let troubled = cards.iter().filter(|(_, card)| card.troubled).count();
        let states: Vec<Standing> = overview.clients.iter().map(|client| client.state).collect();
        let headline = headline(&states);
        Self {
            title: format!("{headline} · s3up"),
            version: overview.version,
            as_of: Moment::of(now, now),
            aside: aside(troubled, &overview.clients),
            headline,
            tallies: tallies(&overview.clients),
            recording: overview.recording,
            clients: cards.into_iter().map(|(_, card)| card).collect(),
            late_after: shown::counted(reports.late_after.as_secs() / 3600, "hour"),
            silent_after: shown::counted(reports.silent_after.as_secs() / 3600, "hour"),
        }
    }
}

fn aside(troubled: usize, clients: &[ClientView]) -> Option<String> {
    let sum = |part: fn(&ClientView) -> u64| clients.iter().map(part).fold(0, u64::saturating_add);
    let (files, bytes) = (sum(|one| one.today.files), sum(|one| one.today.bytes));
    let stored = match files {
        0 => "Nothing was uploaded today.".to_owned(),
        _ => format!("Today {}, {}.", shown::counted(files, "file"), shown::bytes(bytes)),
    };
    match (clients.len(), troubled) {
        (0, _) => None,
        (_, 0) => Some(stored),
        (_, 1) => Some(format!("{stored} 1 healthy client needs a look.")),
        (_, many) => Some(format!("{stored} {many} healthy clients need a look.")),
    }
}

fn tallies(clients: &[ClientView]) -> Vec<Tally> {
    [Standing::Silent, Standing::Late, Standing::Never, Standing::Healthy]
        .into_iter()
        .map(|state| Tally {
            count: clients.iter().filter(|client| client.state == state).count(),
            mark: Mark::of(state),
        })
        .collect()
}

fn card(client: &ClientView, facts: &Facts, notes: Vec<Note>, badness: Badness, now: i64) -> Card {
    Card {
        name: client.name.clone(),
        mark: Mark::of(client.state),
        version: client.version.clone(),
        last_upload: client.last_upload.map(|at| Moment::of(at, now)),
        last_report: client.last_report.map(|at| Moment::of(at, now)),
        troubled: badness == Badness::Troubled,
        today: Amount::of(&client.today),
        month: Amount::of(&client.last_30_days),
        chart: Chart::of(facts.days.get(&client.name), Day::of(now)),
        notes,
    }
}

impl Mark {
    /// How a state is shown.
    pub fn of(state: Standing) -> Self {
        let (class, word, shape) = match state {
            Standing::Healthy => (
                "healthy",
                "healthy",
                r#"<circle class="solid" cx="8" cy="8" r="7"/><path class="cut" d="m5 8.3 2.1 2.1L11.2 6"/>"#,
            ),
            Standing::Late => (
                "late",
                "late",
                r#"<path class="solid" d="M8 1 15.6 14.5H.4z"/><path class="cut" d="M8 6v3.6M8 12.2v.01"/>"#,
            ),
            Standing::Silent => (
                "silent",
                "silent",
                r#"<path class="solid" d="M5 .9h6L15.1 5v6L11 15.1H5L.9 11V5z"/><path class="cut" d="m5.5 5.5 5 5m0-5-5 5"/>"#,
            ),
            Standing::Never => {
                ("never", "never", r#"<circle cx="8" cy="8" r="6" stroke-dasharray="2.7 3.6"/>"#)
            }
        };
        Self { class, word, shape }
    }
}

impl Moment {
    fn of(at: i64, now: i64) -> Self {
        let machine = shown::utc(at);
        let utc = format!("{} {} UTC", &machine[..10], &machine[11..16]);
        Self { age: ago(at, now), utc, machine }
    }
}

impl Amount {
    fn of(sum: &Sum) -> Option<Self> {
        let Sum { files, bytes, .. } = *sum;
        (files > 0)
            .then(|| Self { files: shown::counted(files, "file"), bytes: shown::bytes(bytes) })
    }
}
