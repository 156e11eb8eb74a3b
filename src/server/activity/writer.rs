//! The one who writes: takes what it is told, groups it, commits.
//!
//! Runs on the `activity` thread. It owns the ledger and what it has taken and not yet written. A
//! database that cannot be written, because its disk is full or its folder is gone, is tried again
//! with growing pauses; what it is told meanwhile waits in the channel, and what finds no room there
//! is counted. It never ends before it is told to, and it never ends the process.

use super::event::Upload;
use super::ledger::{Kept, LastSigns, Ledger, Told as ToldOf};
use super::{Inbox, Order, Shared};
use crate::backoff;
use crate::clock;
use crate::limits::activity::{
    BATCH_UPLOADS, COMMIT_EVERY, DROPPED_TOLD_EVERY, PRUNE_EVERY, RETRY_PAUSE_FIRST,
    RETRY_PAUSE_MAX,
};
use crate::shown;
use crate::sqlite::DatabaseError;
use crate::threads::Stop;
use crate::wire::Day;
use crossbeam_channel::{at, never, select};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

pub(super) struct Writer {
    shared: Arc<Shared>,
    inbox: Inbox,
    retention_days: u32,
    ledger: Option<Ledger>,
    /// Whether this process has had the ledger before: that it is in use is then no sign of a crash.
    had_ledger: bool,
    /// Taken, and not yet written.
    batch: Vec<Upload>,
    retry: Retry,
    prune_at: Instant,
    told: Told,
}

/// When a database that cannot be written is tried again.
struct Retry {
    failures: u32,
    at: Instant,
    /// What the log has said of it, so that it is said once.
    said: Option<String>,
}

/// Uploads that were dropped, as far as the log has said it.
#[derive(Default)]
struct Told {
    count: u64,
    at: Option<Instant>,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, inbox: Inbox, retention_days: u32) -> Self {
        let now = clock::monotonic();
        Self {
            shared,
            inbox,
            retention_days,
            ledger: None,
            had_ledger: false,
            batch: Vec::new(),
            retry: Retry { failures: 0, at: now, said: None },
            prune_at: now,
            told: Told::default(),
        }
    }

    /// Works until `stop` is raised, and writes what there is then.
    pub(super) fn run(mut self, stop: &Stop) {
        let (no_upload, no_wake) = (never(), never());
        loop {
            self.open();
            let (uploads, wake, look_at) = match &self.ledger {
                Some(_) => (&self.inbox.uploads, &self.inbox.wake, self.prune_at),
                // What is taken could not be written: it waits where it is counted.
                None => (&no_upload, &no_wake, self.retry.at),
            };
            select! {
                recv(uploads) -> upload => {
                    self.batch.extend(upload);
                    self.collect();
                    self.write();
                }
                recv(wake) -> _ => {
                    self.collect();
                    self.write();
                }
                recv(self.inbox.orders) -> order => {
                    order.into_iter().for_each(|order| self.carry_out(order));
                }
                recv(stop.receiver()) -> _ => return self.end(),
                recv(at(look_at)) -> _ => self.prune(),
            }
            self.tell_of_dropped();
        }
    }

    /// Opens the database if it is not open and it is time to try, and writes what has waited: whether
    /// it can be written shows at once.
    pub(super) fn open(&mut self) {
        if self.ledger.is_some() || clock::monotonic() < self.retry.at {
            return;
        }
        match Ledger::open(&self.shared.path, clock::unix_seconds(), self.had_ledger) {
            Ok(ledger) => {
                if !self.had_ledger {
                    self.recall(&ledger);
                }
                self.ledger = Some(ledger);
                self.had_ledger = true;
                self.write();
            }
            Err(error) => self.failed(&error),
        }
    }

    /// Tells those who count when each client was last heard of before this process: a restart is no
    /// reason for an alarm, and for none to end.
    fn recall(&self, ledger: &Ledger) {
        match ledger.last_signs() {
            Ok(clients) => {
                for LastSigns { client, upload_at, report_at } in clients {
                    self.shared.counts.recall(&client, upload_at, report_at);
                }
            }
            // Whoever writes to it next finds out, too.
            Err(error) => log::warn!("{error}"),
        }
    }

    /// Takes what comes within a short time, so that one commit is for many.
    fn collect(&mut self) {
        let until = clock::monotonic() + COMMIT_EVERY;
        while self.batch.len() < BATCH_UPLOADS && self.inbox.orders.is_empty() {
            match self.inbox.uploads.recv_deadline(until) {
                Ok(upload) => self.batch.push(upload),
                Err(_) => return,
            }
        }
    }

    /// Writes what was taken and what is pending.
    fn write(&mut self) {
        let Some(ledger) = &mut self.ledger else { return };
        let pending = std::mem::take(&mut *self.shared.pending());
        match ledger.write(&self.batch, &pending) {
            Ok(()) => {
                self.shared.awaited.written(&self.batch, pending.seen.keys());
                self.batch.clear();
                self.worked();
            }
            Err(error) => {
                self.shared.pending().put_back(pending);
                self.failed(&error);
            }
        }
    }

    fn carry_out(&mut self, order: Order) {
        // Whoever waits for an answer may have given up.
        match order {
            Order::Flush(done) => drop(done.try_send(self.flush())),
            Order::Keep(kept, done) => drop(done.try_send(self.keep(&kept))),
            Order::Told(told, done) => drop(done.try_send(self.keep_told(&told))),
            Order::Examine => self.examine(),
        }
    }

    /// Looks at the whole database, which somebody has found damaged. What is open already may not
    /// show it, so it is opened anew.
    fn examine(&mut self) {
        let Some(ledger) = self.ledger.take() else { return };
        drop(ledger);
        self.open();
        if let Some(ledger) = &self.ledger
            && let Err(error) = ledger.examine()
        {
            self.failed(&error);
        }
    }

    /// Writes all that was told until now; `false` if that fails.
    fn flush(&mut self) -> bool {
        let mut left = self.inbox.uploads.len();
        loop {
            let room = BATCH_UPLOADS.saturating_sub(self.batch.len());
            let taken = self.inbox.uploads.try_iter().take(room.min(left));
            let before = self.batch.len();
            self.batch.extend(taken);
            left -= self.batch.len() - before;
            self.write();
            if !self.batch.is_empty() || self.ledger.is_none() {
                return false;
            }
            if left == 0 {
                return true;
            }
        }
    }

    fn keep(&mut self, kept: &Kept) -> bool {
        let kept_it = self.carry_over(|ledger| ledger.keep(kept));
        if kept_it {
            self.shared.awaited.reported(&kept.client);
        }
        kept_it
    }

    fn keep_told(&mut self, told: &[ToldOf]) -> bool {
        self.carry_over(|ledger| ledger.keep_told(told))
    }

    fn carry_over(&mut self, write: impl FnOnce(&mut Ledger) -> Result<(), DatabaseError>) -> bool {
        let Some(ledger) = &mut self.ledger else { return false };
        match write(ledger) {
            Ok(()) => {
                self.worked();
                true
            }
            Err(error) => {
                self.failed(&error);
                false
            }
        }
    }

    /// Removes some of what is older than it has to be kept; a little at a time, with writing between.
    fn prune(&mut self) {
        let Some(ledger) = &mut self.ledger else { return };
        let now = clock::unix_seconds();
        let oldest = Day::of(now).plus(-i64::from(self.retention_days));
        match ledger.prune(oldest, now) {
            Ok(true) => {}
            Ok(false) => self.prune_at = clock::monotonic() + PRUNE_EVERY,
            Err(error) => self.failed(&error),
        }
    }

    fn worked(&mut self) {
        self.retry.failures = 0;
        self.shared.away.store(false, Ordering::Relaxed);
        if self.retry.said.take().is_some() {
            log::info!("database {} is written again", self.shared.path.display());
        }
    }

    /// Closes a database that cannot be written until it is tried again. One that was found damaged is
    /// set aside at once, unless the one before it was, too.
    fn failed(&mut self, error: &DatabaseError) {
        self.retry.failures += 1;
        let ledger = self.ledger.take();
        if let Some(ledger) = ledger
            && error.is_corrupt()
            && self.retry.failures == 1
        {
            match ledger.replace(&error.cause, clock::unix_seconds()) {
                Ok(ledger) => {
                    self.ledger = Some(ledger);
                    // What could not be written still waits.
                    let _ = self.shared.wake.try_send(());
                }
                Err(error) => self.put_off(&error),
            }
        } else {
            self.put_off(error);
        }
    }

    fn put_off(&mut self, error: &DatabaseError) {
        let Retry { failures, at, said } = &mut self.retry;
        let pause = backoff::pause(RETRY_PAUSE_FIRST, *failures, RETRY_PAUSE_MAX, fastrand::f64());
        *at = clock::monotonic() + pause;
        self.shared.away.store(true, Ordering::Relaxed);
        let text = error.to_string();
        if said.as_ref() != Some(&text) {
            log::error!("{text}; uploads go on, and are not written down until this is mended");
            *said = Some(text);
        }
    }

    /// Says how much was dropped, at most once in a while.
    fn tell_of_dropped(&mut self) {
        let dropped = self.shared.dropped.load(Ordering::Relaxed);
        let now = clock::monotonic();
        if dropped == self.told.count
            || self.told.at.is_some_and(|at| now < at + DROPPED_TOLD_EVERY)
        {
            return;
        }
        log::warn!(
            "{} were not written down in the server's database: it could not keep up, or could not be \
             written",
            shown::counted(dropped - self.told.count, "upload")
        );
        self.told = Told { count: dropped, at: Some(now) };
    }

    /// Writes what there is, and notes that nothing is missing.
    fn end(&mut self) {
        let whole = self.flush();
        if let Some(ledger) = &mut self.ledger
            && whole
            && let Err(error) = ledger.end_use()
        {
            log::warn!("{error}");
        }
        if !whole {
            let lost = self.batch.len() + self.inbox.uploads.len();
            self.shared.dropped.fetch_add(lost as u64, Ordering::Relaxed);
            self.told.at = None;
        }
        self.tell_of_dropped();
    }
}
