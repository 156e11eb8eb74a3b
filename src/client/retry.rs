//! How long to wait before trying again.
//!
//! Pure: chance is an argument.

use crate::backoff;
use crate::limits::{
    KEY_PAUSE_FIRST, KEY_PAUSE_MAX, RETRY_DELAY_MAX, SERVER_PAUSE_FIRST, SERVER_PAUSE_MAX,
};
use crate::wire::Fault;
use std::time::Duration;

/// Delay before failure number `failures` (from 1) of one file is tried again: `first`, doubled each
/// time, at most `limits::RETRY_DELAY_MAX`, and up to a quarter more by `chance` (0 to 1), so that
/// many files or hosts do not come back at the same instant.
pub fn file_delay(first: Duration, failures: u32, chance: f64) -> Duration {
    backoff::pause(first, failures, RETRY_DELAY_MAX, chance)
}

/// Pause of all uploads after failure number `failures` (from 1) in a row that was the server's or
/// the key's. `asked` is what the server asked for by `Retry-After`; it is a lower bound, within
/// reason.
pub fn pause(fault: Fault, failures: u32, asked: Option<Duration>, chance: f64) -> Duration {
    let own = match fault {
        Fault::Key => backoff::pause(KEY_PAUSE_FIRST, failures, KEY_PAUSE_MAX, 0.0),
        _ => backoff::pause(SERVER_PAUSE_FIRST, failures, SERVER_PAUSE_MAX, 0.0),
    };
    backoff::spread(own.max(asked.unwrap_or_default().min(RETRY_DELAY_MAX)), chance)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(delay: Duration) -> f64 {
        delay.as_secs_f64()
    }

    #[test]
    fn a_files_delay_doubles_up_to_its_limit() {
        let delay = |failures| seconds(file_delay(Duration::from_secs(5), failures, 0.0));
        assert_eq!([1, 2, 3, 4].map(delay), [5.0, 10.0, 20.0, 40.0]);
        assert_eq!([9, 1000, u32::MAX].map(delay), [900.0; 3]);
        assert_eq!(seconds(file_delay(Duration::ZERO, 7, 1.0)), 0.0);
    }

    #[test]
    fn a_servers_pause_grows_to_a_minute_and_honours_what_it_asks_for() {
        let pause = |failures, asked: Option<u64>| {
            seconds(pause(Fault::Server, failures, asked.map(Duration::from_secs), 0.0))
        };
        assert_eq!([1, 2, 3, 7, 99].map(|n| pause(n, None)), [1.0, 2.0, 4.0, 60.0, 60.0]);
        assert_eq!(pause(1, Some(30)), 30.0);
        assert_eq!(pause(99, Some(5)), 60.0, "its wish is a lower bound");
        assert_eq!(pause(1, Some(u64::MAX)), 900.0, "and has a bound of its own");
    }

    #[test]
    fn a_refused_key_is_tried_again_at_long_intervals_only() {
        let pause = |failures| seconds(pause(Fault::Key, failures, None, 0.0));
        assert_eq!([1, 2, 3, 4, 99].map(pause), [60.0, 120.0, 240.0, 300.0, 300.0]);
    }
}
