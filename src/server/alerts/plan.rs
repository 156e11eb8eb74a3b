//! From how the clients stand and what was told last to what has to be told now.
//!
//! Pure: the moment is an argument. Moments are seconds since 1970. There is one [`Memory`] for each way
//! that messages take, so that one that fails holds up no other.
//!
//! A client is presumed healthy until something else was told. What has to be told is the difference
//! between what was told last and how it stands now, so a newer change takes the place of an older
//! one that was never told, and a trouble that passed untold is not mentioned at all.

use crate::limits::alerts::{CLIENT_EVERY, START_GRACE};
use crate::server::activity::standing::{Signs, Standing};
use crate::server::config::Reports;
use std::collections::BTreeMap;
use std::time::Duration;

/// How a client stands, and until when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// Its name.
    pub name: String,
    /// How it stands.
    pub state: Standing,
    /// When it stands otherwise if nothing is heard of it.
    pub until: Option<i64>,
}

impl Client {
    /// How the client stands at the moment `now`.
    pub fn new(name: &str, signs: &Signs, reports: &Reports, now: i64) -> Self {
        let state = Standing::of(signs, reports, now);
        let sign = signs.last_upload_at.max(signs.last_report_at).or(signs.first_seen);
        let after = match state {
            Standing::Healthy => Some(reports.late_after),
            Standing::Late => Some(reports.silent_after),
            Standing::Silent | Standing::Never => None,
        };
        // A sign that lies ahead counts as of now, also at the next look.
        let until = sign.zip(after).map(|(sign, after)| later(sign.min(now), after));
        Self { name: name.to_owned(), state, until }
    }
}

/// What was told of a client, by one way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Since when it is looked at.
    pub since: i64,
    /// How it stands by what was told last; healthy if nothing was.
    pub told: Standing,
    /// When that was.
    pub told_at: Option<i64>,
}

/// What was told of all clients, by one way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// By the clients' names.
    pub records: BTreeMap<String, Record>,
    /// How often what has to be told could not be: of those that wait, the others come first.
    failures: BTreeMap<String, u32>,
}

/// From when on the absence of a sign means something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Since {
    /// When this server was started.
    pub started: i64,
    /// When its database was begun.
    pub kept: i64,
}

/// That a client stands otherwise than was told last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its name.
    pub client: String,
    /// What was told last.
    pub from: Standing,
    /// How it stands.
    pub to: Standing,
}

/// What has to be done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// What has to be told now.
    pub due: Vec<Change>,
    /// When to look again if nothing happens.
    pub next: Option<i64>,
    /// Whether the memory has changed, and has to be kept.
    pub changed: bool,
}

impl Plan {
    fn look_at(&mut self, moment: i64) {
        self.next = Some(self.next.map_or(moment, |next| next.min(moment)));
    }
}

impl Memory {
    /// What was told before, as it was kept.
    pub fn new(records: BTreeMap<String, Record>) -> Self {
        Self { records, failures: BTreeMap::new() }
    }

    /// What has to be told at the moment `now`. `clients` are those of the configuration; others are
    /// forgotten.
    pub fn plan(
        &mut self,
        clients: &[Client],
        since: Since,
        late_after: Duration,
        now: i64,
    ) -> Plan {
        let mut plan = Plan { changed: self.forget_all_but(clients), ..Plan::default() };
        for client in clients {
            let record = self.records.entry(client.name.clone()).or_insert_with(|| {
                plan.changed = true;
                Record { since: now, told: Standing::Healthy, told_at: None }
            });
            // A clock that was set back must not make a client wait for it.
            record.since = record.since.min(now);
            client.until.into_iter().for_each(|moment| plan.look_at(moment));
            let from = record.told;
            match not_before(client, record, since, late_after, now) {
                None => drop(self.failures.remove(&client.name)),
                Some(moment) if moment > now => plan.look_at(moment),
                Some(_) => {
                    plan.due.push(Change { client: client.name.clone(), from, to: client.state });
                }
            }
        }
        // Stable: by name among those that failed as often.
        plan.due.sort_by_key(|change| self.failures.get(&change.client).copied().unwrap_or(0));
        plan
    }

    /// This was told.
    pub fn told(&mut self, change: &Change, now: i64) {
        self.failures.remove(&change.client);
        if let Some(record) = self.records.get_mut(&change.client) {
            record.told = change.to;
            record.told_at = Some(now);
        }
    }

    /// This could not be told.
    pub fn failed(&mut self, change: &Change) {
        *self.failures.entry(change.client.clone()).or_default() += 1;
    }

    fn forget_all_but(&mut self, clients: &[Client]) -> bool {
        let before = self.records.len();
        let is_there = |name: &String| clients.iter().any(|client| client.name == *name);
        self.records.retain(|name, _| is_there(name));
        self.failures.retain(|name, _| is_there(name));
        self.records.len() != before
    }
}

/// The moment from which on it may be told how a client stands; none if there is nothing to tell.
fn not_before(
    client: &Client,
    record: &Record,
    since: Since,
    late_after: Duration,
    now: i64,
) -> Option<i64> {
    let started = since.started.min(now);
    match client.state {
        state if state == record.told => None,
        Standing::Healthy => Some(now),
        Standing::Never if record.told == Standing::Healthy => {
            // It has as much time as any other, from when it could first be seen.
            let from = record.since.max(since.kept.min(now));
            Some(later(from, late_after).max(later(started, START_GRACE)))
        }
        // The database was begun anew meanwhile: no news.
        Standing::Never => None,
        Standing::Late | Standing::Silent => {
            let last = record.told_at.map_or(i64::MIN, |told| later(told.min(now), CLIENT_EVERY));
            Some(later(started, START_GRACE).max(last))
        }
    }
}

/// The moment that is so much later.
pub(super) fn later(moment: i64, by: Duration) -> i64 {
    moment.saturating_add(i64::try_from(by.as_secs()).unwrap_or(i64::MAX))
}
