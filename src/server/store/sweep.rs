//! What stores and the `sweeper` say to each other about uploads that nobody will finish.
//!
//! Pure: values only, and the decision by age.

use super::StoreError;
use crate::limits::sweep::FAILURES_MAX;
use std::time::Duration;

/// What a sweep has done.
#[derive(Debug, Default)]
pub struct Swept {
    /// How many unfinished uploads were removed.
    pub removed: u64,
    /// What could not be looked at or removed, at most [`FAILURES_MAX`]. It waits for the next sweep,
    /// as does everything behind the last one of so many.
    pub failures: Vec<StoreError>,
}

impl Swept {
    /// Notes a failure; `false` if the sweep has to end with it.
    pub(super) fn go_on_after(&mut self, failure: StoreError) -> bool {
        self.failures.push(failure);
        self.failures.len() < FAILURES_MAX
    }
}

/// The store has no way to tell which uploads were begun: it does not know that request at all.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct CannotSweep(#[from] pub StoreError);

/// Whether what was `begun` at this moment has been there for `age`. Both moments are Unix seconds of
/// the same clock, the store's, so that a wrong clock here or there makes nothing old.
pub(super) fn has_age(begun: i64, now: i64, age: Duration) -> bool {
    u64::try_from(now.saturating_sub(begun)).is_ok_and(|passed| passed >= age.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_been_there_for_so_long_is_old() {
        let (now, hour) = (1_700_000_000, Duration::from_secs(3600));
        for (begun, age, old) in [
            (now - 3601, hour, true),
            (now - 3600, hour, true),
            (now - 3599, hour, false),
            (now, hour, false),
            (now, Duration::ZERO, true),
            // The store's nodes may differ by a moment.
            (now + 1, Duration::ZERO, false),
            (now + 1_000_000, hour, false),
            (i64::MIN, hour, true),
            (i64::MAX, Duration::ZERO, false),
            (0, Duration::MAX, false),
        ] {
            assert_eq!(has_age(begun, now, age), old, "{begun} {age:?}");
        }
        assert!(!has_age(i64::MAX, i64::MIN, Duration::ZERO));
    }
}
