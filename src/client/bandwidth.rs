//! How long to wait before so many more bytes may go (`upload.bandwidth_limit_mbps`).
//!
//! Pure: time is an argument, and nobody waits here. One [`Bucket`] is shared by all workers: each
//! books a piece, waits as long as it is told, and sends it. Bookings follow one another, so whoever
//! asks first goes first, and nobody waits for longer than what was booked before takes to go.

use crate::limits::{BANDWIDTH_BURST, BANDWIDTH_PIECE, COPY_BUFFER_BYTES};
use std::num::NonZeroU64;
use std::time::{Duration, Instant};

/// A rate in bytes per second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rate(NonZeroU64);

impl Rate {
    /// The rate of so many megabits (1,000,000 bits) per second; at least one byte per second.
    pub fn from_megabits(megabits: f64) -> Self {
        // What is not a number, and what is below one, becomes one.
        let bytes = (megabits * 1_000_000.0 / 8.0) as u64;
        Self(NonZeroU64::new(bytes).unwrap_or(NonZeroU64::MIN))
    }

    /// In bytes per second.
    pub fn bytes_per_second(self) -> u64 {
        self.0.get()
    }

    /// The bytes that go in this time.
    fn bytes_in(self, time: Duration) -> u64 {
        let bytes = u128::from(self.0.get()) * time.as_nanos() / 1_000_000_000;
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }

    /// The time in which so many bytes go. Rounded up, so that the rate is never exceeded.
    fn time_for(self, bytes: u64) -> Duration {
        let nanos = (u128::from(bytes) * 1_000_000_000).div_ceil(u128::from(self.0.get()));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

/// A bucket that fills at a rate and holds what goes in [`BANDWIDTH_BURST`].
#[derive(Clone, Debug)]
pub struct Bucket {
    rate: Rate,
    /// When all that is booked will have gone at this rate. In the past by as much as the bucket
    /// is full.
    booked_until: Instant,
}

impl Bucket {
    /// A full bucket.
    pub fn new(rate: Rate, now: Instant) -> Self {
        Self { rate, booked_until: full(now) }
    }

    /// Most bytes to book at once, at least one: what goes in [`BANDWIDTH_PIECE`]. Larger bookings
    /// keep the rate as well, but each holds up all others for as long as it takes.
    pub fn piece(&self) -> usize {
        let bytes = usize::try_from(self.rate.bytes_in(BANDWIDTH_PIECE)).unwrap_or(usize::MAX);
        bytes.clamp(1, COPY_BUFFER_BYTES)
    }

    /// Books `bytes`, and says how long to wait before they may go; zero if they may go now.
    #[must_use = "the bytes are booked; they may go when this time has passed"]
    pub fn book(&mut self, bytes: u64, now: Instant) -> Duration {
        let begin = self.booked_until.max(full(now));
        // Beyond what an `Instant` can say, the wait is for ever anyway.
        self.booked_until = begin.checked_add(self.rate.time_for(bytes)).unwrap_or(begin);
        self.booked_until.saturating_duration_since(now)
    }
}

/// Where [`Bucket::booked_until`] stands in a full bucket. A clock that began a moment ago cannot go
/// back so far; the bucket is empty then.
fn full(now: Instant) -> Instant {
    now.checked_sub(BANDWIDTH_BURST).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;
    use proptest::prelude::*;

    /// A clock that can go back by the whole burst.
    fn start() -> Instant {
        clock::monotonic() + Duration::from_secs(3600)
    }

    fn rate(bytes_per_second: u64) -> Rate {
        Rate(NonZeroU64::new(bytes_per_second).unwrap())
    }

    #[test]
    fn a_megabit_is_a_million_bits() {
        for (megabits, bytes) in [(8.0, 1_000_000), (0.1, 12_500), (2.5, 312_500), (1e-9, 1)] {
            assert_eq!(Rate::from_megabits(megabits).bytes_per_second(), bytes, "{megabits}");
        }
    }

    /// Each line: a millisecond, the bytes booked then, and the milliseconds to wait. 1,000 bytes a
    /// second, so that the bucket holds 250.
    fn check(scenario: &str) {
        let start = start();
        let mut bucket = Bucket::new(rate(1000), start);
        let mut shown = String::new();
        for line in scenario.lines() {
            let numbers: Vec<u64> =
                line.split(' ').take(2).map(|word| word.parse().unwrap()).collect();
            let now = start + Duration::from_millis(numbers[0]);
            let wait = bucket.book(numbers[1], now).as_millis();
            shown += &format!("{} {} {wait}\n", numbers[0], numbers[1]);
        }
        assert_eq!(shown, scenario);
    }

    #[test]
    fn what_is_in_the_bucket_goes_at_once_and_the_rest_as_it_fills() {
        check("0 100 0\n0 150 0\n0 1 1\n0 99 100\n100 100 100\n");
    }

    #[test]
    fn an_idle_hour_saves_no_more_than_one_bucket() {
        check("0 250 0\n3600000 250 0\n3600000 250 250\n");
    }

    #[test]
    fn who_comes_first_goes_first() {
        check("0 250 0\n0 500 500\n0 10 510\n10 10 510\n");
    }

    #[test]
    fn a_piece_is_short_at_any_rate() {
        for (bytes_per_second, piece) in
            [(1, 1), (12_500, 625), (1_000_000, 50_000), (u64::MAX, COPY_BUFFER_BYTES)]
        {
            let bucket = Bucket::new(rate(bytes_per_second), start());
            assert_eq!(bucket.piece(), piece, "{bytes_per_second}");
        }
    }

    #[test]
    fn the_largest_numbers_are_no_trouble() {
        let now = start();
        let mut bucket = Bucket::new(rate(1), now);
        for _ in 0..3 {
            assert!(bucket.book(u64::MAX, now) > Duration::from_secs(1 << 30));
        }
    }

    proptest! {
        /// Workers book pieces after pauses, some after the wait they were told, some sooner.
        #[test]
        fn no_stretch_of_time_sees_more_than_the_rate_and_one_bucket(
            bytes_per_second in 1_000_u64..10_000_000,
            bookings in prop::collection::vec((1_u64..200_000, 0_u64..2_000), 1..60),
        ) {
            let rate = rate(bytes_per_second);
            let start = start();
            let mut bucket = Bucket::new(rate, start);
            let mut now = start;
            let mut sent: Vec<(Instant, u64)> = vec![];
            for (bytes, pause_ms) in bookings {
                now += Duration::from_millis(pause_ms);
                sent.push((now + bucket.book(bytes, now), bytes));
            }
            for (index, (from, _)) in sent.iter().enumerate() {
                let mut total = 0;
                for (at, bytes) in &sent[index..] {
                    total += bytes;
                    let allowed = rate.bytes_in(*at - *from + BANDWIDTH_BURST)
                        // The first of them was booked and paid for before this stretch began.
                        + sent[index].1 + 1;
                    prop_assert!(total <= allowed, "{total} of {allowed} in {:?}", *at - *from);
                }
            }
        }

        /// With something to send at all times, all of the rate is used, and everybody is served
        /// within the time that the pieces of all others take.
        #[test]
        fn nobody_starves_and_nothing_of_the_rate_is_lost(
            bytes_per_second in 1_000_u64..1_000_000_000,
            workers in 1_usize..64,
        ) {
            let rate = rate(bytes_per_second);
            let start = start();
            let mut bucket = Bucket::new(rate, start);
            let piece = bucket.piece() as u64;
            let longest = rate.time_for(piece * workers as u64) + Duration::from_micros(1);
            let mut free = vec![start; workers];
            let mut sent = 0;
            let mut now = start;
            for _ in 0..workers * 20 {
                // Whoever is done first books its next piece.
                let (worker, at) =
                    free.iter().copied().enumerate().min_by_key(|(_, at)| *at).unwrap();
                now = at;
                let wait = bucket.book(piece, now);
                prop_assert!(wait <= longest, "{wait:?}, not {longest:?}");
                free[worker] = now + wait;
                sent += piece;
            }
            let elapsed = now - start;
            prop_assert!(sent >= rate.bytes_in(elapsed), "{sent} in {elapsed:?}");
        }
    }
}
