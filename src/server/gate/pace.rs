//! May a transfer go on? Decides when a peer that sends or reads too slowly is given up.
//!
//! Pure: whoever moves the bytes measures, and waits. One [`Pace`] serves one body in one direction.
//!
//! The peer is given patience, a stock of time. Waiting for the peer uses it up, bytes win it back,
//! and it never grows beyond what it was at first. So a peer may pause, and may be slow for a
//! moment, but a fast beginning does not pay for hours of trickle.
//!
//! Said as a rule: with a stall of S and a minimum rate of R, in *no* stretch of the transfer may
//! the gate have waited longer than S plus the time in which that stretch's bytes pass at R.

use std::time::{Duration, Instant};

/// How long a peer is still waited for, by what it has done so far.
#[derive(Clone, Debug)]
pub struct Pace {
    stall: Duration,
    min_rate: u64,
    patience: Duration,
}

impl Pace {
    /// The beginning of a transfer. `stall` is the longest pause, and the grace before the average
    /// counts; `min_rate` is in bytes per second, 0 to demand nothing but a byte within `stall`.
    pub fn new(stall: Duration, min_rate: u64) -> Self {
        Self { stall, min_rate, patience: stall }
    }

    /// The moment by which something has to come, if the gate begins to wait `now`.
    pub fn deadline(&self, now: Instant) -> Instant {
        now + self.patience
    }

    /// Notes that the gate waited for the peer for `wait`, and then had `bytes` from it.
    ///
    /// Only time in which nothing but the peer was missing belongs here, not what a worker or the
    /// store took. `bytes` are bytes of the body: what comes without one (a piece of a TLS record,
    /// an empty record) is 0 and wins nothing back, or a peer could go on for ever without getting
    /// on.
    ///
    /// When sending, progress is what the socket takes. A peer that reads slowly out of a large
    /// buffer of its own makes room rarely, in steps of a sixteenth of that buffer (Linux,
    /// `__tcp_select_window`): 400 KB on loopback. On a slow way, 120 kbit/s were tried, the steps are
    /// small.
    pub fn waited(&mut self, wait: Duration, bytes: u64) {
        let left = self.patience.saturating_sub(wait);
        self.patience = left.saturating_add(self.worth(bytes)).min(self.stall);
    }

    /// The time that `bytes` win back.
    fn worth(&self, bytes: u64) -> Duration {
        if self.min_rate == 0 {
            return if bytes == 0 { Duration::ZERO } else { self.stall };
        }
        let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(self.min_rate);
        Duration::from_nanos_u128(nanos)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;
    use proptest::prelude::*;

    const STALL: Duration = Duration::from_secs(30);

    /// Seconds the peer would still be waited for.
    fn left(pace: &Pace) -> f64 {
        let now = clock::monotonic();
        (pace.deadline(now) - now).as_secs_f64()
    }

    /// Plays waits in seconds with the bytes that ended them, and says what is left after each.
    fn check<const N: usize>(min_rate: u64, events: [(u64, u64); N], expected: [f64; N]) {
        let mut pace = Pace::new(STALL, min_rate);
        let seen = events.map(|(wait, bytes)| {
            pace.waited(Duration::from_secs(wait), bytes);
            left(&pace)
        });
        assert_eq!(seen, expected, "{min_rate} bytes a second, {events:?}");
    }

    #[test]
    fn a_peer_has_the_whole_stall_to_begin_with() {
        assert_eq!(left(&Pace::new(STALL, 0)), 30.0);
        assert_eq!(left(&Pace::new(STALL, 1024)), 30.0);
    }

    #[test]
    fn waiting_uses_patience_up_and_bytes_at_the_minimum_rate_win_it_back() {
        check(100, [(10, 1000), (10, 500), (25, 2500), (1, 400)], [30.0, 25.0, 25.0, 28.0]);
    }

    #[test]
    fn patience_never_grows_beyond_the_stall() {
        check(100, [(0, 1_000_000_000), (30, 0)], [30.0, 0.0]);
        check(100, [(0, u64::MAX), (20, u64::MAX)], [30.0, 30.0]);
    }

    #[test]
    fn without_a_minimum_rate_any_byte_restores_all_patience() {
        check(0, [(29, 1), (29, 1), (20, 0), (9, 0)], [30.0, 30.0, 10.0, 1.0]);
    }

    #[test]
    fn what_comes_without_bytes_of_the_body_wins_nothing() {
        check(100, [(10, 0), (10, 0), (10, 0), (10, 0)], [20.0, 10.0, 0.0, 0.0]);
        check(0, [(10, 0), (10, 0), (10, 0), (10, 0)], [20.0, 10.0, 0.0, 0.0]);
    }

    #[test]
    fn time_in_which_the_gate_kept_the_peer_waiting_does_not_count() {
        let mut pace = Pace::new(STALL, 100);
        let now = clock::monotonic();
        pace.waited(Duration::from_secs(10), 0);
        let later = now + Duration::from_secs(100_000);
        assert_eq!(pace.deadline(later) - later, Duration::from_secs(20));
    }

    #[test]
    fn one_byte_a_second_is_given_up_in_a_little_more_than_the_stall() {
        let mut pace = Pace::new(STALL, 1024);
        let seconds = (1..).find(|_| {
            pace.waited(Duration::from_secs(1), 1);
            left(&pace) < 1.0
        });
        assert_eq!(seconds, Some(30), "31 seconds less the 30 ms that 30 bytes are worth");
    }

    /// Rates that divide a second into whole nanoseconds, so that the rule can be held exactly.
    fn rates() -> impl Strategy<Value = u64> {
        prop_oneof![Just(1), Just(100), Just(512), Just(1000), Just(1_000_000)]
    }

    /// Waits in milliseconds, and bytes: mostly about what the rate asks for, at times none or a
    /// lot.
    fn events(rate: u64) -> impl Strategy<Value = Vec<(u64, u64)>> {
        let wait = prop_oneof![0..100_u64, 0..30_000_u64];
        let bytes = prop_oneof![Just(0), Just(1), 0..20 * rate, 0..1000 * rate];
        proptest::collection::vec((wait, bytes), 1..60)
    }

    /// The rule of the module's head, by looking at every stretch that ends now.
    fn left_by_the_rule(past: &[(u64, u64)], rate: u64) -> i128 {
        let stall = STALL.as_nanos() as i128;
        let stretches = (0..=past.len()).map(|begin| {
            past[begin..].iter().fold(stall, |left, (wait, bytes)| {
                let worth = i128::from(bytes * (1_000_000_000 / rate));
                left - i128::from(wait * 1_000_000) + worth
            })
        });
        stretches.min().unwrap()
    }

    proptest! {
        #[test]
        fn the_deadline_is_where_some_stretch_would_break_the_rule(
            (rate, events) in rates().prop_flat_map(|rate| (Just(rate), events(rate))),
        ) {
            let mut pace = Pace::new(STALL, rate);
            for (index, (wait, bytes)) in events.iter().enumerate() {
                let wait = Duration::from_millis(*wait);
                if wait > pace.patience {
                    break; // The gate gave the peer up.
                }
                pace.waited(wait, *bytes);
                let expected = left_by_the_rule(&events[..=index], rate);
                prop_assert_eq!(pace.patience.as_nanos() as i128, expected);
            }
        }

        #[test]
        fn a_steady_peer_is_never_given_up(
            stall in 1..200_u64,
            rate in 1..10_000_000_u64,
            waits in proptest::collection::vec((0.0..=1.0_f64, 0..100_u64, 0..1000_u64), 1..200),
        ) {
            let stall = Duration::from_secs(stall);
            let mut pace = Pace::new(stall, rate);
            let mut now = clock::monotonic();
            for (part, more, store_seconds) in waits {
                let wait = stall.mul_f64(part).min(stall);
                prop_assert!(now + wait <= pace.deadline(now), "{:?} of {:?}", wait, stall);
                let bytes = (wait.as_nanos() * u128::from(rate)).div_ceil(1_000_000_000) as u64;
                pace.waited(wait, bytes + more);
                now += wait + Duration::from_secs(store_seconds);
            }
        }

        #[test]
        fn a_trickle_is_given_up_in_bounded_time_whatever_came_before(
            rate in 2..10_000_000_u64,
            before in proptest::collection::vec((0..30_000_u64, 0..u64::MAX), 0..20),
            waits in proptest::collection::vec(1..30_000_u64, 1..200),
        ) {
            let mut pace = Pace::new(STALL, rate);
            for (wait, bytes) in before {
                pace.waited(Duration::from_millis(wait), bytes);
            }
            // Half the rate from here on: each second uses half a second up, so 30 last for 60.
            let mut waited = Duration::ZERO;
            let mut due = 0;
            for wait in waits.into_iter().cycle() {
                let wait = Duration::from_millis(wait);
                if wait > pace.patience {
                    break;
                }
                waited += wait;
                let bytes = (waited.as_millis() * u128::from(rate) / 2000) as u64 - due;
                due += bytes;
                pace.waited(wait, bytes);
                prop_assert!(waited <= 2 * STALL, "still served after {:?}", waited);
            }
        }
    }
}
