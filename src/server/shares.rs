//! A bounded supply that no client can take all of.
//!
//! Shared by all requests, under one mutex of its own. A client's key may be stolen, and its host may
//! be many: whoever holds much already leaves the last quarter to those who hold little.

use crate::clock;
use crate::server::key::ClientName;
use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Who holds something: a client, or all those together who have no key.
pub type Holder = Option<ClientName>;

/// So many units of something, and who holds how many of them.
#[derive(Debug)]
pub struct Shares {
    max: usize,
    held: Mutex<Held>,
    /// Something was given back while somebody waited.
    returned: Condvar,
}

/// What is held now.
#[derive(Debug, Default)]
struct Held {
    total: usize,
    waiting: usize,
    /// As many entries at most as there ever were clients in the configuration.
    by: HashMap<Holder, usize>,
}

/// Some units, given back when it is dropped.
#[derive(Debug)]
pub struct Share {
    shares: Arc<Shares>,
    holder: Holder,
    units: usize,
}

impl Shares {
    /// `max` units, none of them held.
    pub fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { max, held: Mutex::default(), returned: Condvar::new() })
    }

    /// Takes `units`, waiting for them until `deadline`; `None` if they are not to be had.
    pub fn take(
        self: &Arc<Self>,
        holder: &Holder,
        units: usize,
        deadline: Instant,
    ) -> Option<Share> {
        let mut held = self.held();
        while !self.may_take(&held, holder, units) {
            let left = deadline.checked_duration_since(clock::monotonic())?;
            if left.is_zero() {
                return None;
            }
            held.waiting += 1;
            let waited = self.returned.wait_timeout(held, left);
            held = waited.unwrap_or_else(PoisonError::into_inner).0;
            held.waiting -= 1;
        }
        held.total += units;
        *held.by.entry(holder.clone()).or_default() += units;
        Some(Share { shares: Arc::clone(self), holder: holder.clone(), units })
    }

    /// Most units that anybody can hold.
    pub fn open_to_all(&self) -> usize {
        self.max - self.max / 4
    }

    /// How many units there are.
    pub fn max(&self) -> usize {
        self.max
    }

    /// How many units are held now, for the log and for metrics.
    pub fn taken(&self) -> usize {
        self.held().total
    }

    fn may_take(&self, held: &Held, holder: &Holder, units: usize) -> bool {
        let total = held.total.saturating_add(units);
        let own = held.by.get(holder).map_or(0, |own| *own).saturating_add(units);
        let little = (self.max / 8).max(1);
        total <= self.max && (own <= little || total <= self.open_to_all())
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut held = self.shares.held();
        held.total -= self.units;
        if let Some(own) = held.by.get_mut(&self.holder) {
            *own -= self.units;
        }
        if held.waiting > 0 {
            self.shares.returned.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    fn client(name: &str) -> Holder {
        Some(ClientName::parse(name).unwrap())
    }

    /// What is to be had without waiting.
    fn now(shares: &Arc<Shares>, holder: &Holder, units: usize) -> Option<Share> {
        shares.take(holder, units, clock::monotonic())
    }

    /// Takes single units for `holder` until there are none, and says how many those were.
    fn exhaust(shares: &Arc<Shares>, holder: &Holder) -> Vec<Share> {
        std::iter::from_fn(|| now(shares, holder, 1)).collect()
    }

    /// Each in its turn takes all it can have.
    #[track_caller]
    fn check(max: usize, takers: &[(&str, usize)]) {
        let shares = Shares::new(max);
        let mut all = Vec::new();
        for (name, expected) in takers {
            let taken = exhaust(&shares, &client(name));
            assert_eq!(taken.len(), *expected, "{name} of {max}");
            all.extend(taken);
        }
        drop(all);
        assert_eq!(shares.taken(), 0);
        // And once more, as if nothing had been.
        assert_eq!(exhaust(&shares, &client("z")).len(), max - max / 4);
    }

    #[test]
    fn who_holds_much_leaves_a_quarter_to_those_who_hold_little() {
        check(0, &[("a", 0)]);
        check(1, &[("a", 1), ("b", 0)]);
        check(4, &[("a", 3), ("b", 1), ("c", 0)]);
        check(6, &[("a", 5), ("b", 1), ("c", 0)]);
        check(512, &[("a", 384), ("b", 64), ("a", 0), ("c", 64), ("d", 0)]);
    }

    #[test]
    fn those_without_a_key_share_as_if_they_were_one() {
        let shares = Shares::new(8);
        assert_eq!(exhaust(&shares, &None).len(), 6);
        // They are given back with the vector.
        let held = exhaust(&shares, &None);
        assert!(now(&shares, &client("a"), 1).is_some());
        drop(held);
    }

    #[test]
    fn many_units_are_taken_at_once_or_not_at_all() {
        let shares = Shares::new(100);
        let (large, small) = (client("large"), client("small"));
        let first = now(&shares, &large, 70).unwrap();
        assert!(now(&shares, &large, 6).is_none(), "76 are more than are open to all");
        assert!(now(&shares, &small, 13).is_none(), "more than little");
        let second = now(&shares, &small, 12).unwrap();
        assert!(now(&shares, &small, 1).is_none());
        drop(first);
        assert!(now(&shares, &small, 63).is_some());
        drop(second);
        assert!(now(&shares, &large, 101).is_none() && now(&shares, &large, usize::MAX).is_none());
    }

    #[test]
    fn a_share_is_given_back_by_a_panic_too() {
        let shares = Shares::new(1);
        let taker = Arc::clone(&shares);
        let panicked = std::panic::catch_unwind(move || {
            let _share = now(&taker, &None, 1);
            panic!("as a request may");
        });
        assert!(panicked.is_err());
        assert!(now(&shares, &None, 1).is_some());
    }

    #[test]
    fn who_waits_gets_what_another_gives_back() {
        let shares = Shares::new(1);
        let soon = clock::monotonic() + Duration::from_secs(30);
        let held = now(&shares, &client("a"), 1).unwrap();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| shares.take(&client("b"), 1, soon).is_some());
            while shares.held().waiting == 0 {
                std::thread::yield_now();
            }
            drop(held);
            assert!(waiting.join().unwrap());
        });
        assert_eq!(shares.taken(), 0);
    }

    #[test]
    fn many_threads_never_hold_more_than_there_are() {
        // One unit, so that every taker meets another at the bound.
        let shares = Shares::new(1);
        let (holders, held) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let begin = Barrier::new(4);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    begin.wait();
                    for _ in 0..100_000 {
                        if let Some(share) = now(&shares, &None, 1) {
                            assert_eq!(holders.fetch_add(1, Ordering::SeqCst), 0);
                            holders.fetch_sub(1, Ordering::SeqCst);
                            held.fetch_add(1, Ordering::SeqCst);
                            drop(share);
                        }
                    }
                });
            }
        });
        assert!(held.into_inner() > 0);
        assert_eq!(shares.taken(), 0, "all were given back");
    }
}
