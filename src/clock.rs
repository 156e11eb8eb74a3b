//! The only place that reads a clock.
//!
//! Everything else takes time as an argument, so that tests choose it. The monotonic clock is for
//! waiting, the UTC clock for what is written down; neither is ever computed from the other.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// What tells the time to whoever acts on it more than once while it works, such as an uploader that
/// sends for minutes. A simulation has one of its own.
pub trait Clock {
    /// For deadlines and durations.
    fn monotonic(&self) -> Instant;
    /// UTC in whole seconds since 1970: for what is written down.
    fn unix_seconds(&self) -> i64;
}

/// The clocks of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn monotonic(&self) -> Instant {
        monotonic()
    }

    fn unix_seconds(&self) -> i64 {
        unix_seconds()
    }
}

/// The monotonic clock: for deadlines and durations.
#[expect(clippy::disallowed_methods, reason = "this module owns the clock")]
pub fn monotonic() -> Instant {
    Instant::now()
}

/// The UTC clock: for what is stored, logged or compared with a file's times.
#[expect(clippy::disallowed_methods, reason = "this module owns the clock")]
pub fn utc() -> SystemTime {
    SystemTime::now()
}

/// The UTC clock in whole seconds since 1970; 0 on a machine whose clock stands before that.
pub fn unix_seconds() -> i64 {
    let since = utc().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// The UTC clock in nanoseconds since 1970, the unit file times are compared in.
pub fn unix_nanos() -> i64 {
    let since = utc().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

/// How long the machine has been running, its sleep included. Nobody can set this clock.
pub fn since_boot() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Duration::try_from(now).unwrap_or_default()
}

/// The monotonic clock as service managers count it: since a moment about the machine's start.
pub fn monotonic_reading() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    Duration::try_from(now).unwrap_or_default()
}
