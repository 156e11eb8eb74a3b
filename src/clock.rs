//! The only place that reads a clock.
//!
//! Everything else takes time as an argument, so that tests choose it. The monotonic clock is for
//! waiting, the UTC clock for what is written down; neither is ever computed from the other.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

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
