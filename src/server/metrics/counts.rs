//! What is counted for Prometheus since the process began.
//!
//! Written by the gate's threads, the workers and `activity`, read when somebody asks. Counting is adding to
//! a number: no upload waits for another's counting, or for who reads. A client's numbers are found
//! through a lock that is only ever taken for good by the first request of a client.

use super::durations::Durations;
use crate::server::key::ClientName;
use crate::server::route::WORDS;
use crate::server::store::StoreErrorKind;
use crate::wire::ErrorCode;
use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

/// A client was not seen at any moment.
const NEVER: i64 = i64::MIN;

/// All that is counted.
#[derive(Debug, Default)]
pub struct Counts {
    /// As many entries at most as there ever were clients in the configuration, or in the ledger.
    clients: RwLock<HashMap<ClientName, Arc<ClientCounts>>>,
    /// Refused to somebody without a client's key.
    strangers: Refusals,
    requests: [Durations; WORDS.len()],
    uploads: Durations,
    store_errors: [AtomicU64; StoreErrorKind::ALL.len()],
    bodies: AtomicU64,
    turned_away: AtomicU64,
}

/// What is counted of a client.
#[derive(Debug)]
pub struct ClientCounts {
    files: AtomicU64,
    bytes: AtomicU64,
    refusals: Refusals,
    last_success: AtomicI64,
    last_report: AtomicI64,
}

/// How often which error was the answer.
#[derive(Debug, Default)]
pub struct Refusals([AtomicU64; ErrorCode::ALL.len()]);

/// A body that is on its way, as long as this lives.
#[derive(Debug)]
pub struct BodyInFlight<'c>(&'c AtomicU64);

impl Drop for BodyInFlight<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Counts {
    /// A file was stored, at the moment `at` in seconds since 1970; `took` is how long a worker had it.
    pub fn stored(&self, client: &ClientName, bytes: u64, took: Duration, at: i64) {
        let client = self.client(client);
        add(&client.files, 1);
        add(&client.bytes, bytes);
        client.last_success.store(at, Ordering::Relaxed);
        self.uploads.observe(took);
    }

    /// A request was refused or failed: of a client, or of somebody without a client's key.
    pub fn refused(&self, client: Option<&ClientName>, code: ErrorCode) {
        match client {
            Some(client) => self.client(client).refusals.add(code),
            None => self.strangers.add(code),
        }
    }

    /// A report was kept, at the moment `at` in seconds since 1970.
    pub fn reported(&self, client: &ClientName, at: i64) {
        self.client(client).last_report.store(at, Ordering::Relaxed);
    }

    /// What was known of a client before this process. What happened since is known better.
    pub fn recall(&self, client: &ClientName, last_success: Option<i64>, last_report: Option<i64>) {
        let client = self.client(client);
        for (known, at) in
            [(&client.last_success, last_success), (&client.last_report, last_report)]
        {
            if let Some(at) = at {
                let _ = known.compare_exchange(NEVER, at, Ordering::Relaxed, Ordering::Relaxed);
            }
        }
    }

    /// A request ended after so long; `asked` says what for, as `route::word` has it.
    pub fn request(&self, asked: &'static str, took: Duration) {
        if let Some(index) = WORDS.iter().position(|word| *word == asked) {
            self.requests[index].observe(took);
        }
    }

    /// The store has failed, if it is to blame.
    pub fn store_failed(&self, kind: StoreErrorKind) {
        // Others are nobody's failure.
        if let Some(count) = self.store_errors.get(kind as usize) {
            add(count, 1);
        }
    }

    /// A body begins to come in.
    pub fn body(&self) -> BodyInFlight<'_> {
        add(&self.bodies, 1);
        BodyInFlight(&self.bodies)
    }

    /// A connection found no place at all.
    pub fn turned_away(&self) {
        add(&self.turned_away, 1);
    }

    /// What is counted of a client; none if it has not done anything yet.
    pub fn of(&self, client: &ClientName) -> Option<Arc<ClientCounts>> {
        self.clients.read().unwrap_or_else(PoisonError::into_inner).get(client).map(Arc::clone)
    }

    /// What was refused to those without a client's key.
    pub fn strangers(&self) -> &Refusals {
        &self.strangers
    }

    /// How long requests took, by what they asked for.
    pub fn requests(&self) -> impl Iterator<Item = (&'static str, &Durations)> {
        WORDS.into_iter().zip(&self.requests)
    }

    /// How long workers had the uploads that were stored.
    pub fn uploads(&self) -> &Durations {
        &self.uploads
    }

    /// How often the store failed, by how.
    pub fn store_errors(&self) -> impl Iterator<Item = (StoreErrorKind, u64)> {
        StoreErrorKind::ALL.into_iter().zip(self.store_errors.iter().map(get))
    }

    /// How many bodies are on their way.
    pub fn bodies(&self) -> u64 {
        get(&self.bodies)
    }

    /// How many connections found no place.
    pub fn all_turned_away(&self) -> u64 {
        get(&self.turned_away)
    }

    fn client(&self, client: &ClientName) -> Arc<ClientCounts> {
        self.of(client).unwrap_or_else(|| {
            let mut clients = self.clients.write().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(clients.entry(client.clone()).or_default())
        })
    }
}

impl Default for ClientCounts {
    fn default() -> Self {
        Self {
            files: 0.into(),
            bytes: 0.into(),
            refusals: Refusals::default(),
            last_success: NEVER.into(),
            last_report: NEVER.into(),
        }
    }
}

impl ClientCounts {
    /// Files that were stored.
    pub fn files(&self) -> u64 {
        get(&self.files)
    }

    /// Their bytes.
    pub fn bytes(&self) -> u64 {
        get(&self.bytes)
    }

    /// What was refused to it.
    pub fn refusals(&self) -> &Refusals {
        &self.refusals
    }

    /// When a file of its was last stored, in seconds since 1970.
    pub fn last_success(&self) -> Option<i64> {
        moment(&self.last_success)
    }

    /// When its last report came, in seconds since 1970.
    pub fn last_report(&self) -> Option<i64> {
        moment(&self.last_report)
    }
}

impl Refusals {
    /// How often each error was the answer.
    pub fn all(&self) -> impl Iterator<Item = (ErrorCode, u64)> {
        ErrorCode::ALL.iter().copied().zip(self.0.iter().map(get))
    }

    fn add(&self, code: ErrorCode) {
        // In the order of the table.
        add(&self.0[code as usize], 1);
    }
}

fn add(number: &AtomicU64, more: u64) {
    number.fetch_add(more, Ordering::Relaxed);
}

fn get(number: &AtomicU64) -> u64 {
    number.load(Ordering::Relaxed)
}

fn moment(at: &AtomicI64) -> Option<i64> {
    Some(at.load(Ordering::Relaxed)).filter(|at| *at != NEVER)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;

    fn name(name: &str) -> ClientName {
        ClientName::parse(name).unwrap()
    }

    #[test]
    fn nothing_is_lost_when_many_count_at_once() {
        const THREADS: usize = 4;
        const EACH: u64 = 10_000;
        let counts = Counts::default();
        let begin = Barrier::new(THREADS);
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    begin.wait();
                    for number in 0..EACH {
                        let client = name(if number % 2 == 0 { "a" } else { "b" });
                        let _body = counts.body();
                        counts.stored(&client, 3, Duration::from_millis(1), 7);
                        counts.refused(Some(&client), ErrorCode::Forbidden);
                        counts.refused(None, ErrorCode::Unauthorized);
                        counts.request("upload", Duration::from_secs(2));
                        counts.store_failed(StoreErrorKind::Full);
                    }
                });
            }
        });
        let all = THREADS as u64 * EACH;
        for client in ["a", "b"] {
            let client = counts.of(&name(client)).unwrap();
            assert_eq!((client.files(), client.bytes()), (all / 2, all / 2 * 3));
            let forbidden: u64 = client.refusals().all().map(|(_, count)| count).sum();
            assert_eq!(forbidden, all / 2);
        }
        let unauthorized =
            counts.strangers().all().find(|(code, _)| *code == ErrorCode::Unauthorized);
        assert_eq!(unauthorized, Some((ErrorCode::Unauthorized, all)));
        assert_eq!(counts.uploads().count(), all);
        assert_eq!(counts.requests().find(|(word, _)| *word == "upload").unwrap().1.count(), all);
        let full: u64 = counts.store_errors().map(|(_, count)| count).sum();
        assert_eq!((full, counts.bodies()), (all, 0));
    }

    #[test]
    fn each_error_has_a_number_of_its_own() {
        for code in ErrorCode::ALL {
            let counts = Counts::default();
            counts.refused(None, *code);
            let told: Vec<_> = counts.strangers().all().filter(|(_, count)| *count > 0).collect();
            assert_eq!(told, [(*code, 1)]);
        }
        for kind in StoreErrorKind::ALL {
            let counts = Counts::default();
            counts.store_failed(kind);
            let told: Vec<_> = counts.store_errors().filter(|(_, count)| *count > 0).collect();
            assert_eq!(told, [(kind, 1)]);
        }
    }

    #[test]
    fn an_upload_that_was_overtaken_is_no_failure_of_the_store() {
        let counts = Counts::default();
        counts.store_failed(StoreErrorKind::Overtaken);
        assert!(counts.store_errors().all(|(_, count)| count == 0));
    }

    #[test]
    fn what_is_recalled_does_not_take_the_place_of_what_happened_since() {
        let (counts, a) = (Counts::default(), name("a"));
        assert!(counts.of(&a).is_none());
        counts.recall(&a, Some(5), None);
        let known = counts.of(&a).unwrap();
        assert_eq!((known.last_success(), known.last_report()), (Some(5), None));
        // A clock may be set back.
        counts.stored(&a, 1, Duration::ZERO, 4);
        counts.recall(&a, Some(9), Some(8));
        assert_eq!((known.last_success(), known.last_report()), (Some(4), Some(8)));
        counts.reported(&a, 3);
        assert_eq!(known.last_report(), Some(3));
    }
}
