//! The queue as the threads share it: one mutex around the pure one, and a way to wait.
//!
//! Everybody who waits for a task waits for the same moment, the first at which one may leave.

use super::{Counts, Popped, Pushed, Queue, Task};
use crate::clock;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// A [`Queue`] under a mutex; see the module's head.
#[derive(Debug)]
pub struct SharedQueue {
    queue: Mutex<Queue>,
    /// Something may be ready to leave.
    ready: Condvar,
    /// There may be room again.
    room: Condvar,
}

impl SharedQueue {
    /// An empty queue; see [`Queue::new`].
    pub fn new(watches: usize, room: usize) -> Self {
        let queue = Mutex::new(Queue::new(watches, room));
        Self { queue, ready: Condvar::new(), room: Condvar::new() }
    }

    /// Takes a path in if there is room.
    pub fn push(&self, task: Task, due: Instant) -> Pushed {
        self.change(&mut self.lock(), |queue| queue.push(task, due))
    }

    /// See [`Queue::push_scanned`]; does not wait.
    pub fn push_scanned(&self, task: Task, due: Instant) -> Pushed {
        self.change(&mut self.lock(), |queue| queue.push_scanned(task, due))
    }

    /// Takes a path in, waiting for room if need be. A queue that is full is also released, so that
    /// a first scan of any size can end. `false` if the queue was closed meanwhile.
    pub fn push_waiting(&self, task: &Task, due: Instant) -> bool {
        let mut queue = self.lock();
        while !queue.closed {
            if self.change(&mut queue, |queue| queue.push_scanned(task.clone(), due))
                != Pushed::Full
            {
                return true;
            }
            queue.release();
            self.ready.notify_all();
            queue = self.room.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        false
    }

    /// Changes the queue, and wakes those who wait if something may leave earlier than they know.
    /// As they all wait for the same moment, they need to hear of no other.
    fn change<T>(&self, queue: &mut Queue, change: impl FnOnce(&mut Queue) -> T) -> T {
        let before = queue.first_due();
        let result = change(queue);
        if queue.first_due().is_some_and(|due| before.is_none_or(|before| due < before)) {
            self.ready.notify_all();
        }
        result
    }

    /// Waits for the next task; `None` when the queue is closed.
    pub fn pop(&self) -> Option<Task> {
        let mut queue = self.lock();
        loop {
            let now = clock::monotonic();
            queue = match queue.pop(now) {
                Popped::Task(task) => return Some(task),
                Popped::Closed => return None,
                Popped::Nothing => self.ready.wait(queue).unwrap_or_else(PoisonError::into_inner),
                Popped::NotBefore(due) => {
                    let waited = self.ready.wait_timeout(queue, due - now);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// See [`Queue::put_back`].
    pub fn put_back(&self, task: Task, due: Instant) {
        self.change(&mut self.lock(), |queue| queue.put_back(task, due));
    }

    /// See [`Queue::pop`]; does not wait.
    pub fn pop_at(&self, now: Instant) -> Popped {
        self.lock().pop(now)
    }

    /// See [`Queue::done`].
    pub fn done(&self, path: &Arc<Path>, now: Instant) {
        self.change(&mut self.lock(), |queue| queue.done(path, now));
        self.room.notify_all();
    }

    /// See [`Queue::release`].
    pub fn release(&self) {
        self.lock().release();
        self.ready.notify_all();
    }

    /// See [`Queue::pause`].
    pub fn pause(&self, until: Instant) {
        self.lock().pause(until);
    }

    /// See [`Queue::close`]; wakes everybody who waits.
    pub fn close(&self) {
        self.lock().close();
        self.ready.notify_all();
        self.room.notify_all();
    }

    /// See [`Queue::counts`].
    pub fn counts(&self) -> Counts {
        self.lock().counts()
    }

    /// See [`Queue::oldest`].
    pub fn oldest(&self) -> Option<Instant> {
        self.lock().oldest()
    }

    /// See [`Queue::len`].
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// See [`Queue::is_empty`].
    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // No method leaves the queue half changed, so a panic elsewhere does not spoil it.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
