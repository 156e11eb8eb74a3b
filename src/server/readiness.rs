//! Is the store ready? Anybody may ask, so that asking must cost the store and the workers little.
//!
//! Runs on the worker threads. It owns the last answer, and who may ask for the next one: one worker
//! at a time. Who comes meanwhile has the last answer, however old, or else any number of strangers
//! could keep all workers waiting for a store that is slow.

use crate::clock;
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

/// How long an answer is good for: each question is a request to the store.
const GOOD_FOR: Duration = Duration::from_secs(5);

/// Whether the store is ready, as far as that is known.
#[derive(Debug, Default)]
pub struct Readiness {
    known: Mutex<Option<Known>>,
    asking: Mutex<()>,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    since: Instant,
    ready: bool,
}

impl Readiness {
    /// The answer. `ask` is called if there is none that is good, and nobody is asking.
    pub fn get(&self, ask: impl FnOnce() -> bool) -> bool {
        if let Some(known) = self.known().filter(Known::is_good) {
            return known.ready;
        }
        let _asking = match self.asking.try_lock() {
            Ok(asking) => asking,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => match self.known() {
                Some(known) => return known.ready,
                // There is no answer yet, not even a bad one.
                None => lock(&self.asking),
            },
        };
        // Somebody may have asked just before.
        if let Some(known) = self.known().filter(Known::is_good) {
            return known.ready;
        }
        let ready = ask();
        *lock(&self.known) = Some(Known { since: clock::monotonic(), ready });
        ready
    }

    fn known(&self) -> Option<Known> {
        *lock(&self.known)
    }
}

impl Known {
    fn is_good(&self) -> bool {
        clock::monotonic() < self.since + GOOD_FOR
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossbeam_channel::bounded;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn readiness(known: Option<(Duration, bool)>) -> Readiness {
        let known = known.map(|(age, ready)| Known {
            since: clock::monotonic().checked_sub(age).unwrap(),
            ready,
        });
        Readiness { known: Mutex::new(known), ..Readiness::default() }
    }

    fn unasked() -> bool {
        panic!("the store is asked")
    }

    #[test]
    fn a_good_answer_is_given_again_and_an_old_one_is_asked_for_anew() {
        for ready in [true, false] {
            assert_eq!(readiness(Some((Duration::ZERO, ready))).get(unasked), ready);
            let old = readiness(Some((GOOD_FOR, !ready)));
            assert_eq!(old.get(|| ready), ready);
            assert_eq!(old.get(unasked), ready);
        }
    }

    #[test]
    fn while_one_asks_the_others_have_the_last_answer_at_once() {
        let readiness = &readiness(Some((GOOD_FOR, true)));
        std::thread::scope(|scope| {
            let (asked, asks) = bounded(1);
            let (answer, answers) = bounded(1);
            let asking = scope.spawn(move || {
                readiness.get(|| {
                    asked.send(()).unwrap();
                    answers.recv().unwrap()
                })
            });
            asks.recv().unwrap();
            let (told, tells) = bounded(1);
            scope.spawn(move || told.send(readiness.get(unasked)));
            assert!(tells.recv_timeout(Duration::from_secs(30)).unwrap());
            answer.send(false).unwrap();
            assert!(!asking.join().unwrap());
        });
        assert!(!readiness.get(unasked));
    }

    #[test]
    fn of_those_who_come_before_the_first_answer_one_asks() {
        const COUNT: usize = 8;
        let readiness = readiness(None);
        let (come, asked) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..COUNT {
                scope.spawn(|| {
                    come.fetch_add(1, Ordering::SeqCst);
                    assert!(readiness.get(|| {
                        asked.fetch_add(1, Ordering::SeqCst);
                        while come.load(Ordering::SeqCst) < COUNT {
                            std::thread::yield_now();
                        }
                        true
                    }));
                });
            }
        });
        assert_eq!(asked.into_inner(), 1);
    }

    #[test]
    fn a_panic_of_one_who_asks_is_not_the_next_ones() {
        let readiness = readiness(None);
        std::thread::scope(|scope| {
            assert!(scope.spawn(|| readiness.get(unasked)).join().is_err());
        });
        assert!(readiness.get(|| true));
    }
}
