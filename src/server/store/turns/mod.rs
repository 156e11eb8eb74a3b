//! Turns: of the uploads of one key, the one that was begun last is what stands in the end.
//!
//! A connection breaks, and the server is still trying to bring that file to S3 when its client sends
//! the next version of it on another connection. Were each on its own, the old one's last attempt
//! could land on the new one that was acknowledged already, with nobody told. So every upload of
//! this process has a [`Turn`] from its beginning to its end. Before it makes itself visible it takes
//! its turn: an older one that is at it is told to end, and is waited for; if a newer one has come
//! before, it fails.
//!
//! Each store has one [`Turns`], shared by the worker threads and the sweep. It owns what `order`
//! knows, under a mutex that is never held while anything is sent or written. It must not wait
//! without a bound, nor let more than one upload of a key wait: a worker and its lane wait with it.

mod order;

use self::order::{Order, Verdict};
use super::{StoreError, StoreErrorKind};
use crate::clock;
use crate::threads::Stop;
use std::mem;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The uploads of one process into one store.
#[derive(Debug)]
pub(super) struct Turns {
    /// For so long an older upload is waited for.
    wait: Duration,
    order: Mutex<Order>,
    /// An upload ended of which somebody waited for the end, or a newer one waits now.
    changed: Condvar,
}

/// An upload that is under way, until it is dropped: however it ended, nothing of it may come to the
/// store any more then.
#[derive(Debug)]
pub(super) struct Turn<'s> {
    turns: &'s Turns,
    key: String,
    number: u64,
    stored: bool,
}

/// Why an upload must not make itself visible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoTurn {
    /// A newer one has come before.
    Overtaken,
    /// An older one does not get out of the way.
    Blocked,
}

impl Turns {
    /// Nothing is under way. Whoever takes its turn waits for at most `wait`.
    pub(super) fn new(wait: Duration) -> Self {
        Self { wait, order: Mutex::default(), changed: Condvar::new() }
    }

    /// Notes that an upload of this key begins. Call it before anything of it is at the store.
    pub(super) fn begin(&self, key: &str) -> Turn<'_> {
        let number = self.order().begin(key);
        Turn { turns: self, key: key.to_owned(), number, stored: false }
    }

    /// Whether an upload of this key is under way.
    pub(super) fn holds(&self, key: &str) -> bool {
        self.order().holds(key)
    }

    fn order(&self) -> MutexGuard<'_, Order> {
        self.order.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn<'_> {
    /// Takes the turn, waiting for an older upload to end. From then on, and until this is dropped,
    /// nobody else makes an upload of this key visible. What it returns is raised when a newer one
    /// waits: then it is time to end, by whatever way is the shortest.
    pub(super) fn take(&self) -> Result<Stop, NoTurn> {
        let deadline = clock::monotonic() + self.turns.wait;
        let mut order = self.turns.order();
        let mut asked_before = false;
        loop {
            match order.ask(&self.key, self.number) {
                Verdict::Now(overtaken) => return Ok(overtaken),
                Verdict::Overtaken => return Err(NoTurn::Overtaken),
                Verdict::Wait => {}
            }
            if !mem::replace(&mut asked_before, true) {
                // An older one that waited has to see that it need not any more.
                self.turns.changed.notify_all();
            }
            let left = deadline.checked_duration_since(clock::monotonic());
            let left = left.filter(|left| !left.is_zero()).ok_or(NoTurn::Blocked)?;
            let waited = self.turns.changed.wait_timeout(order, left);
            order = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The store has acknowledged it: nothing older may follow.
    pub(super) fn mark_stored(&mut self) {
        self.stored = true;
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if self.turns.order().end(&self.key, self.number, self.stored) {
            self.turns.changed.notify_all();
        }
    }
}

impl NoTurn {
    /// The failure of an operation on this key.
    pub(super) fn error(self, operation: &'static str, key: &str) -> StoreError {
        let (kind, cause) = match self {
            Self::Overtaken => {
                (StoreErrorKind::Overtaken, "a later upload of the same file has overtaken it")
            }
            Self::Blocked => (
                StoreErrorKind::Unavailable,
                "an earlier upload of the same file is still on its way to the store",
            ),
        };
        StoreError { kind, operation, subject: key.to_owned(), cause: cause.to_owned(), hint: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::SHUTDOWN_MAX;
    use crossbeam_channel::{Receiver, Sender, unbounded};
    use std::thread::{self, Scope};

    /// What one upload tells the test.
    type Said = (u64, Result<Stop, NoTurn>);

    /// Nobody who is not woken is heard of in time.
    fn turns() -> Turns {
        Turns::new(4 * SHUTDOWN_MAX)
    }

    fn hear<T>(heard: &Receiver<T>) -> T {
        heard.recv_timeout(SHUTDOWN_MAX).unwrap()
    }

    /// Has an upload take its turn on a thread of its own, and end as stored if it had it.
    fn take<'s>(scope: &'s Scope<'s, '_>, turns: &'s Turns, say: &Sender<Said>) -> u64 {
        let mut turn = turns.begin("k");
        let (number, say) = (turn.number, say.clone());
        scope.spawn(move || {
            let taken = turn.take();
            if taken.is_ok() {
                turn.mark_stored();
            }
            drop(turn);
            let _ = say.send((number, taken));
        });
        number
    }

    #[test]
    fn whoever_waits_gets_its_turn_when_the_older_one_has_ended_and_not_before() {
        let (turns, (say, said)) = (turns(), unbounded());
        thread::scope(|scope| {
            let older = turns.begin("k");
            let overtaken = older.take().unwrap();
            assert!(!overtaken.is_raised());
            let newer = take(scope, &turns, &say);
            assert!(overtaken.wait(SHUTDOWN_MAX), "it is told that somebody waits");
            assert!(said.is_empty());
            drop(older);
            let (number, taken) = hear(&said);
            assert_eq!((number, taken.is_ok()), (newer, true));
        });
        assert!(!turns.holds("k"));
    }

    #[test]
    fn whoever_waits_ends_as_soon_as_a_newer_one_waits() {
        let (turns, (say, said)) = (turns(), unbounded());
        thread::scope(|scope| {
            let first = turns.begin("k");
            let overtaken = first.take().unwrap();
            let second = take(scope, &turns, &say);
            assert!(overtaken.wait(SHUTDOWN_MAX));
            let third = take(scope, &turns, &say);
            let (number, taken) = hear(&said);
            assert_eq!((number, taken.err()), (second, Some(NoTurn::Overtaken)));
            drop(first);
            let (number, taken) = hear(&said);
            assert_eq!((number, taken.is_ok()), (third, true));
        });
    }

    #[test]
    fn of_sixty_uploads_of_one_key_one_waits_and_the_others_end_at_once() {
        let (turns, (say, said)) = (turns(), unbounded());
        thread::scope(|scope| {
            let first = turns.begin("k");
            first.take().unwrap();
            let numbers: Vec<u64> = (0..60).map(|_| take(scope, &turns, &say)).collect();
            // While the first one is still at it.
            for _ in 1..numbers.len() {
                assert_eq!(hear(&said).1.err(), Some(NoTurn::Overtaken));
            }
            assert!(said.is_empty());
            drop(first);
            let (number, taken) = hear(&said);
            assert_eq!((number, taken.is_ok()), (numbers[59], true), "the newest");
        });
        assert!(!turns.holds("k"));
    }

    #[test]
    fn nobody_waits_for_longer_than_is_allowed() {
        let turns = Turns::new(Duration::from_millis(20));
        let older = turns.begin("k");
        let overtaken = older.take().unwrap();
        assert_eq!(turns.begin("k").take().err(), Some(NoTurn::Blocked));
        assert!(overtaken.is_raised());
        drop(older);
        turns.begin("k").take().unwrap();
    }

    #[test]
    fn other_keys_wait_for_nobody() {
        let turns = Turns::new(Duration::ZERO);
        let (one, other) = (turns.begin("k"), turns.begin("k/"));
        let (one, other) = (one.take().unwrap(), other.take().unwrap());
        assert!(!one.is_raised() && !other.is_raised());
    }

    #[test]
    fn a_panic_gives_the_turn_back() {
        let turns = turns();
        let panicked = thread::scope(|scope| {
            let panicking = scope.spawn(|| {
                let turn = turns.begin("k");
                turn.take().unwrap();
                panic!("on purpose");
            });
            panicking.join().is_err()
        });
        assert!(panicked && !turns.holds("k"));
        turns.begin("k").take().unwrap();
    }

    #[test]
    fn a_key_is_held_from_the_beginning_of_its_first_upload_to_the_end_of_its_last() {
        let turns = turns();
        let (first, second) = (turns.begin("a"), turns.begin("a"));
        let other = turns.begin("b");
        assert!(turns.holds("a") && turns.holds("b") && !turns.holds("c"));
        drop(first);
        assert!(turns.holds("a"));
        drop(second);
        assert!(!turns.holds("a") && turns.holds("b"));
        drop(other);
        assert!(!turns.holds("b"));
    }
}
