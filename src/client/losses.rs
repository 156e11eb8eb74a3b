//! When to make good what was not heard.
//!
//! Pure: time is an argument. Each loss is followed by a scan of everything that begins after it. The
//! first one may begin at once; but a burst that is too much for the kernel's queue is so many times,
//! and each scan costs as much as the tree is large. So after a scan there is a pause, several times as
//! long as it took, and longer the more often in a row something was lost; what is lost meanwhile shares
//! the next scan. Where nothing was lost for as long again, it is as if nothing had been.

use crate::backoff;
use crate::limits::watch::{LOSS_PAUSE_FACTOR, LOSS_PAUSE_FIRST, LOSS_PAUSE_GROWN, LOSS_PAUSE_MAX};
use std::time::{Duration, Instant};

/// Something that was not heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loss {
    /// Why, for the log.
    pub cause: &'static str,
    /// Among it may be a new folder, of which nothing more would ever be heard: all has to be watched
    /// anew before it is scanned.
    pub unwatched: bool,
}

/// What was lost, and what was done about it.
#[derive(Debug, Default)]
pub struct Losses {
    /// What is to be made good, and since when.
    open: Option<(Loss, Instant)>,
    /// When the scan was asked for that has not ended yet.
    asked: Option<Instant>,
    pause: Option<Pause>,
    /// How many times it was not calm in between.
    in_a_row: u32,
}

#[derive(Clone, Copy, Debug)]
struct Pause {
    ends: Instant,
    length: Duration,
}

impl Losses {
    /// Notes a loss. Returns whether that is news: it is not if another one is still to be made good.
    pub fn lost(&mut self, loss: Loss, now: Instant) -> bool {
        let news = self.open.is_none();
        match &mut self.open {
            Some((open, _)) => open.unwatched |= loss.unwatched,
            None => self.open = Some((loss, now)),
        }
        news
    }

    /// When [`Losses::take_due`] has something; `None` if nothing was lost, or not before a scan ends.
    pub fn next(&self) -> Option<Instant> {
        let (_, since) = self.open.as_ref().filter(|_| self.asked.is_none())?;
        Some(self.pause.map_or(*since, |pause| pause.ends.max(*since)))
    }

    /// Whether something is still to be made good.
    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// What is to be made good now: by new watches, if it asks for them, and by a scan of everything,
    /// whose end is to be told by [`Losses::scanned`].
    pub fn take_due(&mut self, now: Instant) -> Option<Loss> {
        self.next().filter(|due| *due <= now)?;
        let (loss, since) = self.open.take()?;
        let calm = self.pause.is_none_or(|pause| since >= pause.ends + pause.length);
        self.in_a_row = if calm { 1 } else { self.in_a_row.saturating_add(1) };
        self.asked = Some(now);
        Some(loss)
    }

    /// Notes that a scan of everything has ended. It need not be the one that was asked for: one that
    /// ends before it only makes the pause shorter.
    pub fn scanned(&mut self, now: Instant) {
        let Some(asked) = self.asked.take() else { return };
        let took = now.saturating_duration_since(asked);
        let grown = backoff::pause(LOSS_PAUSE_FIRST, self.in_a_row, LOSS_PAUSE_GROWN, 0.0);
        let length = took.saturating_mul(LOSS_PAUSE_FACTOR).max(grown).min(LOSS_PAUSE_MAX);
        self.pause = Some(Pause { ends: now + length, length });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;
    use proptest::prelude::*;

    const LOSS: Loss = Loss { cause: "a test", unwatched: false };

    fn seconds(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    /// Something is lost in each pause, and the scans take so long. Yields the pauses.
    fn pauses(scans: &[f64]) -> Vec<f64> {
        let (mut now, mut losses) = (clock::monotonic(), Losses::default());
        losses.lost(LOSS, now);
        let pause = |took: &f64| {
            assert_eq!(losses.take_due(now), Some(LOSS));
            now += seconds(*took);
            losses.lost(LOSS, now);
            assert_eq!(losses.next(), None, "a scan is under way");
            losses.scanned(now);
            let due = losses.next().unwrap();
            assert_eq!(losses.take_due(due - Duration::from_nanos(1)), None);
            let pause = due - now;
            now = due;
            pause.as_secs_f64()
        };
        scans.iter().map(pause).collect()
    }

    #[test]
    fn the_pause_grows_with_each_loss_in_a_row() {
        assert_eq!(pauses(&[0.0; 7]), [1.0, 2.0, 4.0, 8.0, 16.0, 16.0, 16.0]);
    }

    #[test]
    fn the_pause_is_a_multiple_of_what_the_scan_took_and_has_a_bound() {
        assert_eq!(pauses(&[2.0, 0.0, 10.0, 0.0, 9999.0]), [8.0, 2.0, 40.0, 8.0, 60.0]);
    }

    #[test]
    fn after_a_calm_time_a_loss_is_made_good_at_once_and_the_pause_is_the_first_again() {
        let (mut now, mut losses) = (clock::monotonic(), Losses::default());
        for (after, pause) in [(0.0, 1.0), (1.0, 2.0), (3.9, 4.0), (8.0, 1.0), (1.9, 2.0)] {
            now += seconds(after);
            losses.lost(LOSS, now);
            assert_eq!(losses.next(), Some(now), "the pause is over");
            losses.take_due(now).unwrap();
            losses.scanned(now);
            assert_eq!(losses.pause.unwrap().length, seconds(pause), "{after}");
        }
        assert!(!losses.is_open());
    }

    #[test]
    fn losses_that_share_a_scan_are_watched_anew_if_one_asks_for_it() {
        let now = clock::monotonic();
        for (first, second) in [(true, false), (false, true), (false, false)] {
            let mut losses = Losses::default();
            assert!(losses.lost(Loss { cause: "first", unwatched: first }, now), "it is news");
            assert!(!losses.lost(Loss { cause: "second", unwatched: second }, now));
            let expected = Loss { cause: "first", unwatched: first || second };
            assert_eq!(losses.take_due(now), Some(expected));
            assert_eq!(losses.take_due(now), None);
        }
    }

    proptest! {
        /// Whatever is lost when, and however long scans take: none is forgotten, none waits without
        /// need, and scans take no more than their share of the time.
        #[test]
        fn every_loss_is_followed_by_a_scan_that_begins_after_it(
            mut lost in prop::collection::vec((0_u64..200_000, 0_u64..100_000), 1..60),
        ) {
            lost.sort_unstable();
            let start = clock::monotonic();
            let mut losses = Losses::default();
            let mut rest = lost.iter().peekable();
            let mut took = Duration::ZERO;
            let (mut scan_ends, mut ended) = (None::<Instant>, None::<Instant>);
            let mut waiting: Vec<Instant> = Vec::new();
            loop {
                let heard = rest.peek().map(|(ms, _)| start + Duration::from_millis(*ms));
                let Some(now) = [heard, scan_ends, losses.next()].into_iter().flatten().min() else {
                    break;
                };
                if heard == Some(now) {
                    took = Duration::from_millis(rest.next().unwrap().1);
                    losses.lost(LOSS, now);
                    waiting.push(now);
                } else if scan_ends == Some(now) {
                    losses.scanned(now);
                    (scan_ends, ended) = (None, Some(now));
                    let length = losses.pause.unwrap().length;
                    prop_assert!(LOSS_PAUSE_FIRST <= length && length <= LOSS_PAUSE_MAX);
                } else {
                    prop_assert!(scan_ends.is_none(), "one at a time");
                    prop_assert_eq!(losses.take_due(now), Some(LOSS));
                    let first = waiting.drain(..).min();
                    prop_assert!(first.is_some_and(|first| first <= now));
                    if let Some(pause) = losses.pause {
                        let earliest = ended.unwrap() + pause.length;
                        prop_assert!(now == earliest.max(first.unwrap()), "no sooner and no later");
                    }
                    scan_ends = Some(now + took);
                }
            }
            prop_assert!(waiting.is_empty() && !losses.is_open());
        }
    }
}
