//! What an administrator is told: how every client is, and what the clients said of a day.
//!
//! Pure: facts, the list of clients and the moment in, what goes out as JSON out. Names are promised,
//! new ones may come. Moments are seconds since 1970, sizes are bytes. Texts from clients were cut and
//! made visible when they were read.

use super::ledger::Kept;
use super::reading::{ClientFacts, Counts, Facts, LastError};
use super::standing::{Signs, Standing};
use crate::limits::activity::RECENT_DAYS;
use crate::server::config::Reports;
use crate::version;
use crate::wire::Day;
use crate::wire::report::{CrossCheck, Parked, Report};
use serde::Serialize;
use std::collections::BTreeMap;

/// How all clients are.
#[derive(Debug, Serialize)]
pub struct Overview {
    /// When this was said.
    pub asked_at: i64,
    /// The server's version.
    pub version: &'static str,
    /// Whether what happens is written down at the moment.
    pub recording: bool,
    /// The clients of the configuration, by name.
    pub clients: Vec<ClientView>,
}

/// How a client is.
#[derive(Debug, Serialize)]
pub struct ClientView {
    /// Its name.
    pub name: String,
    /// Whether it was heard of lately.
    pub state: Standing,
    /// The first request with its key.
    pub first_seen: Option<i64>,
    /// The last one.
    pub last_seen: Option<i64>,
    /// The last upload that was stored.
    pub last_upload: Option<i64>,
    /// The last report.
    pub last_report: Option<i64>,
    /// What it says its version is.
    pub version: Option<String>,
    /// Uploads of today, UTC.
    pub today: Sum,
    /// Uploads of today and the 29 days before.
    pub last_30_days: Sum,
    /// All uploads that were ever stored.
    pub total: Total,
    /// What is parked there, as of its last report.
    pub parked: Option<Parked>,
    /// The last request of its that failed.
    pub last_error: Option<LastError>,
    /// How its last report compared with what was stored.
    pub last_check: Option<DatedCheck>,
}

/// What was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Sum {
    /// Uploads that were stored.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Uploads that were refused or failed.
    pub failures: u64,
}

/// All that was ever stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Total {
    /// Uploads.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// A comparison, and of which day's report.
#[derive(Debug, Serialize)]
pub struct DatedCheck {
    /// The day.
    pub date: Day,
    /// The comparison.
    #[serde(flatten)]
    pub check: CrossCheck,
}

/// What the clients said of a day.
#[derive(Debug, Serialize)]
pub struct DayView {
    /// The day.
    pub date: Day,
    /// The clients of the configuration, and who else has reported, by name.
    pub clients: Vec<DayOfClient>,
}

/// What a client said of a day.
#[derive(Debug, Serialize)]
pub struct DayOfClient {
    /// Its name.
    pub name: String,
    /// When its report came; none has come otherwise.
    pub received_at: Option<i64>,
    /// The report.
    pub report: Option<Report>,
    /// How it compared with what was stored.
    pub check: Option<CrossCheck>,
}

/// The first day that [`overview`] wants to know of.
pub fn first_day(now: i64) -> Day {
    Day::of(now).plus(1 - RECENT_DAYS)
}

/// How the clients called `names` are, at the moment `now`.
pub fn overview<'n>(
    names: impl Iterator<Item = &'n str>,
    facts: &Facts,
    reports: &Reports,
    recording: bool,
    now: i64,
) -> Overview {
    let mut clients: Vec<_> = names.map(|name| client(name, facts, reports, now)).collect();
    clients.sort_by(|one, other| one.name.cmp(&other.name));
    Overview { asked_at: now, version: version::NUMBER, recording, clients }
}

fn client(name: &str, facts: &Facts, reports: &Reports, now: i64) -> ClientView {
    let known = facts.clients.get(name);
    let of = |moment: fn(&ClientFacts) -> Option<i64>| known.and_then(moment);
    let signs = Signs {
        first_seen: of(|known| Some(known.first_seen)),
        last_upload_at: of(|known| known.last_upload_at),
        last_report_at: of(|known| known.last_report_at),
    };
    let days = facts.days.get(name);
    let last = facts.last_reports.get(name);
    ClientView {
        name: name.to_owned(),
        state: Standing::of(&signs, reports, now),
        first_seen: signs.first_seen,
        last_seen: of(|known| Some(known.last_seen)),
        last_upload: signs.last_upload_at,
        last_report: signs.last_report_at,
        version: known.and_then(|known| known.version.clone()),
        today: sum(days, Day::of(now), now),
        last_30_days: sum(days, first_day(now), now),
        total: known
            .map_or_else(Total::default, |known| Total { files: known.files, bytes: known.bytes }),
        parked: last.map(|kept| kept.report.parked.clone()),
        last_error: known.and_then(|known| known.last_error.clone()),
        last_check: last
            .map(|kept| DatedCheck { date: kept.report.date, check: kept.check.clone() }),
    }
}

/// All from `since` to today. A day that lies ahead, by a clock that was set back, is none of them.
fn sum(days: Option<&BTreeMap<Day, Counts>>, since: Day, now: i64) -> Sum {
    let mut sum = Sum::default();
    for counts in days.into_iter().flat_map(|days| days.range(since..=Day::of(now))).map(|(_, c)| c)
    {
        sum.files = sum.files.saturating_add(counts.files);
        sum.bytes = sum.bytes.saturating_add(counts.bytes);
        sum.failures = sum.failures.saturating_add(counts.failures);
    }
    sum
}

/// What was said of `date`, also that clients called `names` have said nothing.
pub fn day<'n>(names: impl Iterator<Item = &'n str>, date: Day, kept: Vec<Kept>) -> DayView {
    let silent = |name: &str| DayOfClient {
        name: name.to_owned(),
        received_at: None,
        report: None,
        check: None,
    };
    let mut clients: BTreeMap<String, DayOfClient> =
        names.map(|name| (name.to_owned(), silent(name))).collect();
    for Kept { client: name, received_at, report, check } in kept {
        let said = DayOfClient {
            name: name.clone(),
            received_at: Some(received_at),
            report: Some(report),
            check: Some(check),
        };
        clients.insert(name, said);
    }
    DayView { date, clients: clients.into_values().collect() }
}
