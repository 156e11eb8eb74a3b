//! When a report is sent, and when one that was not taken is sent again.
//!
//! Pure: time and chance are arguments. A day is reported when it has ended, at this client's own time
//! of the night, and at once on the day on which the client was started. Days are told by the UTC
//! clock, which may be set; pauses are kept by the monotonic one, which cannot be.

use crate::backoff;
use crate::client::remote::Failure;
use crate::digest::Digest;
use crate::limits::daily::{
    AFTER_MIDNIGHT, ASKED_MAX, EXCHANGES_MAX, PAUSE_FIRST, PAUSE_MAX, SPREAD,
};
use crate::wire::{Day, Fault};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// A moment by both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// UTC, in seconds since 1970.
    pub unix: i64,
    /// For pauses.
    pub monotonic: Instant,
}

impl Now {
    fn today(&self) -> Day {
        Day::of(self.unix)
    }
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Send the report of this day.
    Send(Day),
    /// Nothing, for so long, unless a clock is set or somebody asks.
    Wait(Duration),
}

/// What became of a report that was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// It is sent again after a pause; with `first`, this is news.
    Off {
        /// Whether the one before it was taken.
        first: bool,
    },
    /// No report is sent before tomorrow: the server serves none, or not this key.
    ToTomorrow,
    /// This day is sent again tomorrow, others before that: it is this one that the server refuses.
    Aside,
}

/// When reports are sent; see the module's head.
#[derive(Debug)]
pub struct Schedule {
    /// From midnight to this client's own time.
    offset: Duration,
    started: Day,
    failures: u32,
    paused_until: Option<Instant>,
    refused: Refused,
}

/// What is not tried again on a day.
#[derive(Debug)]
struct Refused {
    on: Day,
    all: bool,
    days: BTreeSet<Day>,
}

impl Refused {
    fn none(on: Day) -> Self {
        Self { on, all: false, days: BTreeSet::new() }
    }
}

/// From midnight to the time at which the client with this `identity` reports. It is the same after
/// every restart, and different identities spread evenly.
pub fn offset(identity: &[u8]) -> Duration {
    let digest = Digest::of(identity);
    let number = digest.as_bytes().iter().take(8).fold(0, |sum, byte| sum << 8 | u64::from(*byte));
    AFTER_MIDNIGHT + Duration::from_secs(number % SPREAD.as_secs())
}

impl Schedule {
    /// A client that starts at `now`, and whose own time is `offset` after midnight.
    pub fn new(offset: Duration, now: &Now) -> Self {
        let started = now.today();
        let refused = Refused::none(started);
        Self { offset, started, failures: 0, paused_until: None, refused }
    }

    /// What to do at `now`, if the server does not know of the days `due`, the oldest first.
    pub fn next(&mut self, due: &[Day], now: &Now) -> Next {
        let today = now.today();
        if self.refused.on != today {
            self.refused = Refused::none(today);
        }
        let first = due.iter().find(|day| !self.refused.days.contains(day));
        let Some(day) = first.filter(|_| !self.refused.all) else {
            return Next::Wait(self.until_time_of(today.plus(1), now));
        };
        let time = match today == self.started {
            true => Duration::ZERO,
            false => self.until_time_of(today, now),
        };
        let paused = self.paused_until.map(|until| until.saturating_duration_since(now.monotonic));
        match time.max(paused.unwrap_or_default()) {
            Duration::ZERO => Next::Send(*day),
            wait => Next::Wait(wait),
        }
    }

    /// Takes in that a report was taken. Returns whether that ends an outage.
    pub fn taken(&mut self) -> bool {
        self.paused_until = None;
        std::mem::take(&mut self.failures) > 0
    }

    /// Takes in that a report was taken that nothing was due for: what was refused may be sent again.
    pub fn served(&mut self) {
        self.taken();
        self.refused = Refused::none(self.refused.on);
    }

    /// Takes in that the report of `day` was not taken.
    pub fn failed(&mut self, day: Day, failure: &Failure, now: &Now, chance: f64) -> Put {
        let put = match (failure, failure.fault()) {
            // A server that keeps none, or something else that answers in its place.
            (Failure::Refused { status: 404 | 405, .. }, _) | (_, Fault::Key) => Put::ToTomorrow,
            (_, Fault::Request) => Put::Aside,
            (_, Fault::Exchange) if self.failures + 1 >= EXCHANGES_MAX => Put::Aside,
            (_, Fault::Exchange | Fault::Server) => {
                return self.put_off(failure.retry_after(), now, chance);
            }
        };
        self.refused.all |= put == Put::ToTomorrow;
        self.refused.days.insert(day);
        // It answers: the next one is sent without a pause.
        self.taken();
        put
    }

    /// Takes in that nothing can be sent for now, such as for want of the database. `asked` is how
    /// long the server wants to be left alone.
    pub fn put_off(&mut self, asked: Option<Duration>, now: &Now, chance: f64) -> Put {
        self.failures = self.failures.saturating_add(1);
        let own = backoff::pause(PAUSE_FIRST, self.failures, PAUSE_MAX, 0.0);
        let pause = backoff::spread(own.max(asked.unwrap_or_default().min(ASKED_MAX)), chance);
        self.paused_until = Some(now.monotonic + pause);
        Put::Off { first: self.failures == 1 }
    }

    /// How long it is until this client's own time of a day; zero if that is past.
    fn until_time_of(&self, day: Day, now: &Now) -> Duration {
        let left = day.start().saturating_sub(now.unix);
        let left = left.saturating_add_unsigned(self.offset.as_secs());
        Duration::from_secs(u64::try_from(left).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests;
