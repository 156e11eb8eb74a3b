//! A bounded number of things in flight.
//!
//! Shared by all connections without a lock. Nobody waits here: a slot is to be had or not.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// So many slots, and how many of them are taken.
#[derive(Debug)]
pub struct Slots {
    max: usize,
    taken: AtomicUsize,
}

/// One of them, given back when it is dropped.
#[derive(Debug)]
pub struct Slot {
    slots: Arc<Slots>,
}

impl Slots {
    /// `max` slots, none of them taken.
    pub fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { max, taken: AtomicUsize::new(0) })
    }

    /// Takes a slot; `None` if there is none left.
    pub fn try_take(self: &Arc<Self>) -> Option<Slot> {
        // What the last owner of a slot did comes before what the next one does.
        let more = |taken| (taken < self.max).then_some(taken + 1);
        self.taken.fetch_update(Ordering::Acquire, Ordering::Relaxed, more).ok()?;
        Some(Slot { slots: Arc::clone(self) })
    }

    /// How many are taken now, for the log and for metrics.
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.slots.taken.fetch_sub(1, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;

    #[test]
    fn there_are_so_many_and_no_more() {
        let slots = Slots::new(2);
        let first = slots.try_take().unwrap();
        let second = slots.try_take().unwrap();
        assert!(slots.try_take().is_none());
        assert_eq!(slots.taken(), 2);
        drop(first);
        assert_eq!(slots.taken(), 1);
        let third = slots.try_take();
        assert!(third.is_some() && slots.try_take().is_none());
        drop((second, third));
        assert_eq!(slots.taken(), 0);
        assert!(Slots::new(0).try_take().is_none());
    }

    #[test]
    fn a_slot_is_given_back_by_a_panic_too() {
        let slots = Slots::new(1);
        let taker = Arc::clone(&slots);
        let panicked = std::panic::catch_unwind(move || {
            let _slot = taker.try_take();
            panic!("as a request may");
        });
        assert!(panicked.is_err());
        assert!(slots.try_take().is_some());
    }

    #[test]
    fn many_threads_never_hold_more_than_there_are() {
        // One slot, so that every taker meets another at the bound.
        let slots = Slots::new(1);
        let (holders, held) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let begin = Barrier::new(4);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    begin.wait();
                    for _ in 0..300_000 {
                        if let Some(slot) = slots.try_take() {
                            assert_eq!(holders.fetch_add(1, Ordering::SeqCst), 0);
                            holders.fetch_sub(1, Ordering::SeqCst);
                            held.fetch_add(1, Ordering::SeqCst);
                            drop(slot);
                        }
                    }
                });
            }
        });
        assert!(held.into_inner() > 0);
        assert_eq!(slots.taken(), 0, "all were given back");
    }
}
