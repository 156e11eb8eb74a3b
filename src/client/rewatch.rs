//! When to try again to watch what cannot be watched.
//!
//! Pure: time is an argument. A folder that is gone may come back any moment and costs one look; for
//! want of watches a whole tree is walked anew, and that takes an operator to change.

use crate::backoff;
use crate::limits::watch::{
    FOLDER_PAUSE_FIRST, FOLDER_PAUSE_MAX, LIMIT_PAUSE_FIRST, LIMIT_PAUSE_MAX,
};
use std::collections::BTreeMap;
use std::time::Instant;

/// Why a folder is not watched, or not all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lack {
    /// It is not there, or cannot be read.
    Folder,
    /// The system has no watches left.
    Watches,
}

/// The watches that have gaps, by their place in the configuration.
#[derive(Debug, Default)]
pub struct Rewatch {
    gaps: BTreeMap<usize, Gap>,
}

#[derive(Clone, Copy, Debug)]
struct Gap {
    lack: Lack,
    failures: u32,
    due: Instant,
}

impl Rewatch {
    /// Notes a failure to watch, or a gap that was found. Returns whether that is news: the watch had
    /// no gap before, or another one.
    pub fn failed(&mut self, watch: usize, lack: Lack, now: Instant) -> bool {
        let before = self.gaps.get(&watch).filter(|gap| gap.lack == lack);
        let failures = before.map_or(1, |gap| gap.failures.saturating_add(1));
        let pause = match lack {
            Lack::Folder => backoff::pause(FOLDER_PAUSE_FIRST, failures, FOLDER_PAUSE_MAX, 0.0),
            Lack::Watches => backoff::pause(LIMIT_PAUSE_FIRST, failures, LIMIT_PAUSE_MAX, 0.0),
        };
        self.gaps.insert(watch, Gap { lack, failures, due: now + pause });
        failures == 1
    }

    /// Notes a gap that was found while everything was watched, unless it is known already.
    pub fn found(&mut self, watch: usize, lack: Lack, now: Instant) -> bool {
        !self.gaps.contains_key(&watch) && self.failed(watch, lack, now)
    }

    /// Notes that all of a watch is watched. Returns whether it had a gap.
    pub fn mended(&mut self, watch: usize) -> bool {
        self.gaps.remove(&watch).is_some()
    }

    /// When the next attempt is due; `None` if there is no gap.
    pub fn next(&self) -> Option<Instant> {
        self.gaps.values().map(|gap| gap.due).min()
    }

    /// The watches to try again now.
    pub fn due(&self, now: Instant) -> Vec<usize> {
        let due = self.gaps.iter().filter(|(_, gap)| gap.due <= now);
        due.map(|(watch, _)| *watch).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;
    use std::time::Duration;

    fn check(lack: Lack, pauses: &[u64]) {
        let mut now = clock::monotonic();
        let mut rewatch = Rewatch::default();
        for (number, seconds) in pauses.iter().enumerate() {
            assert_eq!(rewatch.failed(1, lack, now), number == 0, "news once");
            let due = rewatch.next().unwrap();
            assert_eq!(due - now, Duration::from_secs(*seconds), "attempt {number}");
            assert_eq!(rewatch.due(due - Duration::from_nanos(1)), [0; 0]);
            assert_eq!(rewatch.due(due), [1]);
            now = due;
        }
        assert!(rewatch.mended(1) && !rewatch.mended(1));
        assert_eq!(rewatch.next(), None);
        assert!(rewatch.failed(1, lack, now), "news again");
    }

    #[test]
    fn a_folder_is_looked_for_soon_and_then_each_minute() {
        check(Lack::Folder, &[1, 2, 4, 8, 16, 32, 60, 60]);
    }

    #[test]
    fn watches_are_asked_for_at_growing_intervals() {
        check(Lack::Watches, &[5, 10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600]);
    }

    #[test]
    fn each_watch_has_its_own_time_and_another_reason_is_news() {
        let now = clock::monotonic();
        let mut rewatch = Rewatch::default();
        assert!(rewatch.failed(0, Lack::Watches, now) && rewatch.failed(1, Lack::Folder, now));
        assert!(!rewatch.found(1, Lack::Watches, now), "a gap is a gap");
        assert_eq!(rewatch.next(), Some(now + Duration::from_secs(1)));
        assert!(rewatch.failed(0, Lack::Folder, now));
        assert_eq!(rewatch.due(now + Duration::from_secs(1)), [0, 1]);
    }
}
