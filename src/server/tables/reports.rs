//! What the clients said of a day, as a table.
//!
//! Pure.

use super::Verdict;
use super::clients::{number, told};
use crate::server::activity::view::{DayOfClient, DayView};
use crate::server::trouble::{Note, Weight, ago, compared, parked, unwatched};
use crate::shown;
use crate::table::{Cell, Paint, Side, Table, Tone};
use crate::wire::report;

/// What the clients said of a day, seen from the moment `now`.
pub(super) struct Reports<'v> {
    pub(super) day: &'v DayView,
    pub(super) now: i64,
}

impl Reports<'_> {
    pub(super) fn verdict(&self) -> Verdict {
        let well = |one: &DayOfClient| {
            one.report.is_some() && notes(one).iter().all(|note| note.weight < Weight::Warning)
        };
        if self.day.clients.iter().all(well) { Verdict::Well } else { Verdict::Ailing }
    }

    pub(super) fn text(&self, paint: Paint) -> String {
        let DayView { date, clients } = self.day;
        let mut table = Table::new([
            ("CLIENT", Side::Left),
            ("REPORT", Side::Left),
            ("FILES", Side::Right),
            ("BYTES", Side::Right),
            ("FAILED", Side::Right),
            ("PARKED", Side::Right),
            ("WAITING", Side::Right),
            ("KNOWN", Side::Right),
            ("COMPARED", Side::Left),
        ]);
        for one in clients {
            table.push(row(one, self.now));
        }
        let there = clients.iter().filter(|one| one.report.is_some()).count();
        let mut text = format!(
            "reports of {date}, UTC: {there} of {}\n\n",
            shown::count(clients.len() as u64)
        );
        text.push_str(&table.render(paint));
        for one in clients {
            let notes = notes(one);
            if !notes.is_empty() {
                text.push_str(&format!("\n{}\n", one.name));
            }
            for note in &notes {
                text.push_str(&told(note, paint));
            }
        }
        text
    }
}

fn row(one: &DayOfClient, now: i64) -> [Cell; 9] {
    let name = Cell::from(one.name.as_str());
    let (Some(report), Some(received_at)) = (&one.report, one.received_at) else {
        let none = || Cell::toned("-", Tone::Faint);
        let missing = Cell::toned("none", Tone::Bad);
        return [name, missing, none(), none(), none(), none(), none(), none(), none()];
    };
    [
        name,
        ago(received_at, now).into(),
        shown::count(report.files).into(),
        shown::bytes(report.bytes).into(),
        number(report.failures, Tone::Warning),
        number(report.parked.count, Tone::Warning),
        number(report.queue.length, Tone::Plain),
        shown::count(report.watches.files).into(),
        one.check.as_ref().map_or_else(Cell::default, |check| verdict(check.verdict)),
    ]
}

fn verdict(verdict: report::Verdict) -> Cell {
    match verdict {
        report::Verdict::Agrees => Cell::toned("agrees", Tone::Good),
        report::Verdict::Explained => "explained".into(),
        report::Verdict::Differs => Cell::toned("differs", Tone::Bad),
        report::Verdict::Unknown => "unknown".into(),
    }
}

/// What is to be said of a report beside its numbers.
fn notes(one: &DayOfClient) -> Vec<Note> {
    let (Some(report), Some(check)) = (&one.report, &one.check) else { return vec![] };
    [compared(report.date, check), parked(&report.parked), unwatched(report)]
        .into_iter()
        .flatten()
        .collect()
}
