//! Threads that come and go by themselves, such as one for each connection.
//!
//! Unlike those of [`crate::threads::Supervisor`] their end is no news. Whoever began them can wait
//! until the last one has ended. A panic in one is logged and ends nothing else.

use crate::clock;
use crate::threads::panic_message;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

/// Stack of one such thread, in bytes. Reserved, not used: a page is taken when it is touched.
const STACK_BYTES: usize = 1024 * 1024;

/// A number of threads.
#[derive(Clone, Debug, Default)]
pub struct Crew {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    running: Mutex<usize>,
    ended: Condvar,
}

impl Crew {
    /// Begins a thread. If that fails, `run` is dropped.
    pub fn spawn(&self, name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let member = Member::new(&self.shared);
        let builder = thread::Builder::new().name(name.to_owned()).stack_size(STACK_BYTES);
        builder.spawn(move || {
            let _member = member;
            // The thread owns everything `run` captured, so a broken state cannot be seen outside.
            if let Err(panic) = catch_unwind(AssertUnwindSafe(run)) {
                log::error!("a thread panicked: {}", panic_message(panic.as_ref()));
            }
        })?;
        Ok(())
    }

    /// How many are running.
    pub fn len(&self) -> usize {
        *self.shared.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Waits until all have ended, at most until `deadline`; `false` if some have not.
    pub fn wait(&self, deadline: Instant) -> bool {
        self.wait_for_room(0, deadline)
    }

    /// Waits until no more than `most` are running, at most until `deadline`; `false` if more are.
    pub fn wait_for_room(&self, most: usize, deadline: Instant) -> bool {
        let mut running = self.shared.running.lock().unwrap_or_else(PoisonError::into_inner);
        while *running > most {
            let Some(left) = deadline.checked_duration_since(clock::monotonic()) else {
                return false;
            };
            let waited = self.shared.ended.wait_timeout(running, left);
            running = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}

/// A thread's place, given up however it ends.
struct Member {
    shared: Arc<Shared>,
}

impl Member {
    fn new(shared: &Arc<Shared>) -> Self {
        *shared.running.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        Self { shared: Arc::clone(shared) }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        *self.shared.running.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.shared.ended.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossbeam_channel::bounded;
    use std::time::Duration;

    #[test]
    fn a_crew_is_waited_for_and_a_panic_in_one_is_not_the_others() {
        let crew = Crew::default();
        let (open, gate) = bounded::<()>(0);
        crew.spawn("waits", move || {
            let _ = gate.recv();
        })
        .unwrap();
        crew.spawn("panics", || panic!("on purpose")).unwrap();
        assert!(!crew.wait(clock::monotonic()));
        assert!(crew.wait_for_room(1, clock::monotonic() + Duration::from_secs(30)));
        drop(open);
        assert!(crew.wait(clock::monotonic() + Duration::from_secs(30)));
        assert!(crew.is_empty());
    }
}
