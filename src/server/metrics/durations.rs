//! How long things took: a histogram of numbers that are only added to.

use crate::exposition::Histogram;
use crate::limits::metrics::DURATION_BOUNDS;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How often something took how long.
#[derive(Debug, Default)]
pub struct Durations {
    /// One for each bound, and one for what is beyond the last.
    buckets: [AtomicU64; DURATION_BOUNDS.len() + 1],
    nanoseconds: AtomicU64,
}

impl Durations {
    /// Something took so long.
    pub fn observe(&self, took: Duration) {
        let index = DURATION_BOUNDS.partition_point(|bound| *bound < took);
        self.buckets[index].fetch_add(1, Ordering::Relaxed);
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
    }

    /// How often.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).sum()
    }

    /// The numbers at this moment. Their sum may be that of a moment before or after.
    pub fn histogram(&self) -> Histogram {
        let bounds = DURATION_BOUNDS.iter().map(Duration::as_secs_f64).chain([f64::INFINITY]);
        let counts = self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed));
        let sum = Duration::from_nanos(self.nanoseconds.load(Ordering::Relaxed)).as_secs_f64();
        Histogram { buckets: bounds.zip(counts).collect(), sum }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_duration_is_counted_below_the_first_bound_that_it_does_not_exceed() {
        assert!(DURATION_BOUNDS.is_sorted());
        let check = |took: Duration, expected: f64| {
            let durations = Durations::default();
            durations.observe(took);
            let Histogram { buckets, sum } = durations.histogram();
            let hit: Vec<_> = buckets.iter().filter(|(_, count)| *count > 0).collect();
            assert_eq!(hit, [&(expected, 1)], "{took:?}");
            assert_eq!((sum, durations.count()), (took.as_secs_f64(), 1));
        };
        check(Duration::ZERO, 0.001);
        check(Duration::from_millis(1), 0.001);
        check(Duration::from_nanos(1_000_001), 0.0025);
        check(Duration::from_secs(1), 1.0);
        check(Duration::from_secs(1800), 1800.0);
        check(Duration::from_secs(1801), f64::INFINITY);
    }
}
