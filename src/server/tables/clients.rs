//! How the clients are, as a table.
//!
//! Pure.

use super::Verdict;
use crate::server::activity::reading::Facts;
use crate::server::activity::standing::Standing;
use crate::server::activity::view::{ClientView, Overview, Sum};
use crate::server::trouble::{Badness, Note, Weight, ago, headline, notes};
use crate::shown;
use crate::table::{Cell, Paint, Side, Table, Tone};
use std::cmp::Reverse;

/// How the clients are.
pub(super) struct Clients<'v> {
    overview: &'v Overview,
    /// The worst first.
    clients: Vec<(Badness, &'v ClientView, Vec<Note>)>,
}

impl<'v> Clients<'v> {
    pub(super) fn of(overview: &'v Overview, facts: &Facts) -> Self {
        let all = overview.clients.iter().map(|client| {
            let notes = notes(client, facts.last_reports.get(&client.name), overview.asked_at);
            (Badness::of(client.state, &notes), client, notes)
        });
        let mut clients: Vec<_> = all.collect();
        clients.sort_by_key(|(badness, ..)| Reverse(*badness));
        Self { overview, clients }
    }

    pub(super) fn verdict(&self) -> Verdict {
        let well = self.clients.iter().all(|(badness, ..)| *badness == Badness::None);
        if well { Verdict::Well } else { Verdict::Ailing }
    }

    pub(super) fn text(&self, paint: Paint) -> String {
        let now = self.overview.asked_at;
        let states: Vec<Standing> = self.overview.clients.iter().map(|one| one.state).collect();
        let mut table = Table::new([
            ("CLIENT", Side::Left),
            ("STATE", Side::Left),
            ("LAST SUCCESS", Side::Left),
            ("LAST REPORT", Side::Left),
            ("TODAY", Side::Right),
            ("", Side::Right),
            ("30 DAYS", Side::Right),
            ("", Side::Right),
            ("PARKED", Side::Right),
            ("VERSION", Side::Left),
        ]);
        for (_, client, _) in &self.clients {
            table.push(row(client, now));
        }
        let mut text = format!("{}  {}\n\n", shown::utc(now), headline(&states));
        text.push_str(&table.render(paint));
        for (_, client, notes) in self.clients.iter().filter(|(.., notes)| !notes.is_empty()) {
            text.push_str(&format!("\n{}\n", client.name));
            for note in notes {
                text.push_str(&told(note, paint));
            }
        }
        text
    }
}

fn row(client: &ClientView, now: i64) -> [Cell; 10] {
    let moment = |at: Option<i64>| at.map_or_else(|| "never".to_owned(), |at| ago(at, now));
    let [today, today_bytes] = amount(&client.today);
    let [month, month_bytes] = amount(&client.last_30_days);
    let parked = client.parked.as_ref().map_or(0, |parked| parked.count);
    [
        client.name.as_str().into(),
        state(client.state),
        moment(client.last_upload).into(),
        moment(client.last_report).into(),
        today,
        today_bytes,
        month,
        month_bytes,
        number(parked, Tone::Warning),
        client.version.as_deref().map_or_else(|| "-".to_owned(), shown::visible).into(),
    ]
}

fn state(state: Standing) -> Cell {
    match state {
        Standing::Healthy => Cell::toned("healthy", Tone::Good),
        Standing::Late => Cell::toned("late", Tone::Warning),
        Standing::Silent => Cell::toned("silent", Tone::Bad),
        Standing::Never => Cell::toned("never", Tone::Warning),
    }
}

/// Files, and their bytes.
fn amount(sum: &Sum) -> [Cell; 2] {
    match sum.files {
        0 => [Cell::toned("-", Tone::Faint), Cell::default()],
        files => [shown::counted(files, "file").into(), shown::bytes(sum.bytes).into()],
    }
}

/// A number that should be 0.
pub(super) fn number(number: u64, tone: Tone) -> Cell {
    match number {
        0 => Cell::toned("-", Tone::Faint),
        number => Cell::toned(shown::count(number), tone),
    }
}

/// A note and its lines.
pub(super) fn told(note: &Note, paint: Paint) -> String {
    let tone = match note.weight {
        Weight::Grave => Tone::Bad,
        Weight::Warning => Tone::Warning,
        Weight::Remark => Tone::Plain,
    };
    let mut text = format!("  {}\n", tone.paint(&note.title, paint));
    for line in note.lines.iter().chain(&note.more) {
        match &line.count {
            Some(count) => text.push_str(&format!("    {count} x {}\n", line.text)),
            None => text.push_str(&format!("    {}\n", line.text)),
        }
    }
    text
}
