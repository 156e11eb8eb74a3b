//! The upload queue: every path once, each at its time.
//!
//! [`Queue`] is pure: a deduplicating `VecDeque` of files that are ready, beside those whose time
//! has not come. [`SharedQueue`] is the same under one mutex, with a way to wait. Watcher and
//! scanner push, the uploader's workers pop; nobody sleeps on one file while others could go.
//!
//! A path is either waiting here or in the hands of one worker. What is heard of it meanwhile is kept
//! with it, so that it is looked at again; it is never there twice and never forgotten.

use crate::client::stability::Sighting;
use crate::clock;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// A file on its way to the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// The file.
    pub path: Arc<Path>,
    /// What it looked like last, if that was seen already.
    pub sighting: Option<Sighting>,
    /// How often it was found changed since it was last at rest.
    pub changes: u32,
    /// How often sending it failed.
    pub failures: u32,
}

impl Task {
    /// A file that something was heard of.
    pub fn new(path: impl Into<Arc<Path>>, sighting: Option<Sighting>) -> Self {
        Self { path: path.into(), sighting, changes: 0, failures: 0 }
    }

    /// Takes a later look into account. One that shows the same does not make the wait longer; one
    /// that shows a change begins it anew, from that look on.
    fn see(&mut self, latest: Sighting) {
        match &self.sighting {
            Some(before) if before.fingerprint == latest.fingerprint => {}
            Some(_) => {
                self.changes += 1;
                self.sighting = Some(latest);
            }
            None => self.sighting = Some(latest),
        }
    }
}

/// What became of a push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// The path is new in the queue.
    Added,
    /// The path was there already; it will be looked at after this moment in any case.
    Merged,
    /// There is no room; nothing was kept.
    Full,
}

/// What a pop yields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Popped {
    /// A file to look at now. It must be given back by [`Queue::put_back`] or [`Queue::done`].
    Task(Task),
    /// Nothing before this moment.
    NotBefore(Instant),
    /// Nothing at all until something is pushed or released.
    Nothing,
    /// The program is ending.
    Closed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// In the queue; `latest` is what was seen of it since it came here.
    Waiting { latest: Option<Sighting> },
    /// With a worker; `touched` if something was heard of it since.
    InHand { touched: bool },
}

#[derive(Debug)]
struct Later {
    due: Instant,
    order: u64,
    task: Task,
}

impl Later {
    fn rank(&self) -> (Instant, u64) {
        (self.due, self.order)
    }
}

impl PartialEq for Later {
    fn eq(&self, other: &Self) -> bool {
        self.rank() == other.rank()
    }
}

impl Eq for Later {}

impl PartialOrd for Later {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Later {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.rank().cmp(&other.rank())
    }
}

/// The pure queue; see the module's head.
#[derive(Debug)]
pub struct Queue {
    ready: VecDeque<Task>,
    later: BinaryHeap<Reverse<Later>>,
    places: HashMap<Arc<Path>, Place>,
    order: u64,
    room: usize,
    held: bool,
    closed: bool,
    paused_until: Option<Instant>,
}

impl Queue {
    /// An empty queue for at most `room` paths. It is held: nothing leaves before [`Queue::release`].
    pub fn new(room: usize) -> Self {
        Self {
            ready: VecDeque::new(),
            later: BinaryHeap::new(),
            places: HashMap::new(),
            order: 0,
            room,
            held: true,
            closed: false,
            paused_until: None,
        }
    }

    /// How many paths are here or in a worker's hands.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether no path is here or in a worker's hands.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Takes a path in, to be looked at not before `due`.
    pub fn push(&mut self, task: Task, due: Instant) -> Pushed {
        let full = self.places.len() >= self.room;
        match self.places.get_mut(&task.path) {
            Some(Place::InHand { touched }) => {
                *touched = true;
                Pushed::Merged
            }
            Some(Place::Waiting { latest }) => {
                *latest = task.sighting.or(*latest);
                Pushed::Merged
            }
            None if full => Pushed::Full,
            None => {
                self.wait(task, due);
                Pushed::Added
            }
        }
    }

    /// Lets tasks leave, once the first scan is through.
    pub fn release(&mut self) {
        self.held = false;
    }

    /// Lets no task leave before `until`; a later moment than one set before wins.
    pub fn pause(&mut self, until: Instant) {
        self.paused_until = self.paused_until.max(Some(until));
    }

    /// Ends the queue: from now on `pop` says so.
    pub fn close(&mut self) {
        self.closed = true;
    }

    /// Hands out the next task.
    pub fn pop(&mut self, now: Instant) -> Popped {
        if self.closed {
            return Popped::Closed;
        }
        if self.held {
            return Popped::Nothing;
        }
        if let Some(until) = self.paused_until.filter(|until| *until > now) {
            return Popped::NotBefore(until);
        }
        while let Some(Reverse(first)) = self.later.peek() {
            if first.due > now {
                break;
            }
            self.ready.extend(self.later.pop().map(|Reverse(later)| later.task));
        }
        if let Some(mut task) = self.ready.pop_front() {
            let place = Place::InHand { touched: false };
            if let Some(Place::Waiting { latest: Some(latest) }) =
                self.places.insert(Arc::clone(&task.path), place)
            {
                task.see(latest);
            }
            return Popped::Task(task);
        }
        self.later.peek().map_or(Popped::Nothing, |Reverse(first)| Popped::NotBefore(first.due))
    }

    /// Takes a task back that needs another look, not before `due`. What was heard of it meanwhile
    /// is covered by that look.
    pub fn put_back(&mut self, task: Task, due: Instant) {
        self.wait(task, due);
    }

    /// Ends a task. If something was heard of its path meanwhile, it begins anew.
    pub fn done(&mut self, path: &Arc<Path>, now: Instant) {
        let place = self.places.remove(path);
        if place == Some(Place::InHand { touched: true }) {
            self.wait(Task::new(Arc::clone(path), None), now);
        }
    }

    fn wait(&mut self, task: Task, due: Instant) {
        self.places.insert(Arc::clone(&task.path), Place::Waiting { latest: None });
        self.order += 1;
        self.later.push(Reverse(Later { due, order: self.order, task }));
    }
}

/// The queue as the threads share it.
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
    pub fn new(room: usize) -> Self {
        Self { queue: Mutex::new(Queue::new(room)), ready: Condvar::new(), room: Condvar::new() }
    }

    /// Takes a path in if there is room.
    pub fn push(&self, task: Task, due: Instant) -> Pushed {
        let pushed = self.lock().push(task, due);
        self.ready.notify_one();
        pushed
    }

    /// Takes a path in, waiting for room if need be. A queue that is full is also released, so that
    /// a first scan of any size can end. `false` if the queue was closed meanwhile.
    pub fn push_waiting(&self, task: &Task, due: Instant) -> bool {
        let mut queue = self.lock();
        while !queue.closed && queue.push(task.clone(), due) == Pushed::Full {
            queue.release();
            self.ready.notify_all();
            queue = self.room.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        self.ready.notify_one();
        !queue.closed
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
        self.lock().put_back(task, due);
        self.ready.notify_one();
    }

    /// See [`Queue::done`].
    pub fn done(&self, path: &Arc<Path>) {
        self.lock().done(path, clock::monotonic());
        self.ready.notify_one();
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::fingerprint::Fingerprint;
    use proptest::prelude::*;
    use std::time::Duration;

    /// A queue driven by words; the answer to each stands behind it.
    fn check(scenario: &str) {
        let start = clock::monotonic();
        let at = |second: &str| start + Duration::from_secs(second.parse().unwrap());
        let mut queue = Queue::new(3);
        queue.release();
        let mut shown = String::new();
        for line in scenario.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let command = line.split(" -> ").next().unwrap();
            let words: Vec<&str> = command.split(' ').collect();
            let answer = match words[..] {
                ["push", path, second] => {
                    format!("{:?}", queue.push(Task::new(Path::new(path), None), at(second)))
                }
                ["pop", second] => match queue.pop(at(second)) {
                    Popped::Task(task) => task.path.display().to_string(),
                    Popped::NotBefore(due) => format!("not before {}", (due - start).as_secs()),
                    other => format!("{other:?}"),
                },
                ["back", path, second] => {
                    queue.put_back(Task::new(Path::new(path), None), at(second));
                    String::new()
                }
                ["done", path, second] => {
                    queue.done(&Arc::from(Path::new(path)), at(second));
                    String::new()
                }
                ["pause", second] => {
                    queue.pause(at(second));
                    String::new()
                }
                ["close"] => {
                    queue.close();
                    String::new()
                }
                _ => panic!("unknown command {command}"),
            };
            let arrow = if answer.is_empty() { "" } else { " -> " };
            shown += &format!("{command}{arrow}{answer}\n");
        }
        let expected: Vec<&str> =
            scenario.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        assert_eq!(shown.trim_end(), expected.join("\n"));
    }

    #[test]
    fn each_path_is_there_once_and_leaves_at_its_time_in_order() {
        check(
            "push a 3 -> Added
             push b 1 -> Added
             push a 0 -> Merged
             pop 0 -> not before 1
             pop 1 -> b
             pop 3 -> a
             done a 3
             done b 3
             pop 9 -> Nothing",
        );
    }

    #[test]
    fn what_is_ready_at_the_same_time_leaves_in_the_order_it_came() {
        check(
            "push a 3 -> Added\npush b 3 -> Added\npush c 2 -> Added\npop 5 -> c\npop 5 -> a\npop 5 -> b",
        );
    }

    #[test]
    fn a_path_heard_of_while_it_is_in_hand_is_looked_at_again() {
        check(
            "push a 0 -> Added
             pop 0 -> a
             push a 0 -> Merged
             pop 0 -> Nothing
             done a 5
             pop 5 -> a
             done a 6
             pop 9 -> Nothing",
        );
    }

    #[test]
    fn a_path_put_back_waits_again_and_only_once() {
        check(
            "push a 0 -> Added
             pop 0 -> a
             push a 0 -> Merged
             back a 4
             pop 3 -> not before 4
             pop 4 -> a
             done a 4
             pop 9 -> Nothing",
        );
    }

    #[test]
    fn a_full_queue_takes_no_new_path_and_hears_of_the_old_ones() {
        check(
            "push a 0 -> Added
             push b 0 -> Added
             push c 0 -> Added
             push d 0 -> Full
             push c 0 -> Merged
             pop 0 -> a
             push d 0 -> Full
             done a 0
             push d 0 -> Added",
        );
    }

    #[test]
    fn a_look_while_it_waits_counts_only_if_it_shows_a_change() {
        let start = clock::monotonic();
        let look = |size, seconds| Sighting {
            fingerprint: Fingerprint { size, mtime_ns: 0, ctime_ns: 0, inode: 1 },
            at: start + Duration::from_secs(seconds),
        };
        for (looks, sighting, changes) in [
            (vec![look(1, 0)], look(1, 0), 0),
            (vec![look(1, 0), look(1, 1)], look(1, 0), 0),
            (vec![look(0, 0), look(1, 1)], look(1, 1), 1),
            (vec![look(0, 0), look(1, 1), look(2, 2)], look(2, 2), 1),
        ] {
            let mut queue = Queue::new(9);
            queue.release();
            for look in looks {
                queue.push(Task::new(Path::new("a"), Some(look)), start);
            }
            let expected = Task { changes, ..Task::new(Path::new("a"), Some(sighting)) };
            assert_eq!(queue.pop(start), Popped::Task(expected));
        }
    }

    #[test]
    fn a_pause_holds_everything_until_its_end() {
        check("push a 0 -> Added\npause 5\npause 3\npop 4 -> not before 5\npop 5 -> a");
    }

    #[test]
    fn a_closed_queue_hands_out_nothing() {
        check("push a 0 -> Added\nclose\npop 9 -> Closed");
    }

    #[test]
    fn nothing_leaves_before_the_first_scan_is_through() {
        let now = clock::monotonic();
        let mut queue = Queue::new(9);
        queue.push(Task::new(Path::new("a"), None), now);
        assert_eq!(queue.pop(now), Popped::Nothing);
        queue.release();
        assert!(matches!(queue.pop(now), Popped::Task(_)));
    }

    #[test]
    fn a_scan_larger_than_the_queue_begins_to_drain_it() {
        let queue = Arc::new(SharedQueue::new(2));
        let scanner = Arc::clone(&queue);
        let now = clock::monotonic();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                for name in ["a", "b", "c", "d"] {
                    assert!(scanner.push_waiting(&Task::new(Path::new(name), None), now));
                }
            });
            for name in ["a", "b", "c", "d"] {
                let task = queue.pop().unwrap();
                assert_eq!(&*task.path, Path::new(name));
                queue.done(&task.path);
            }
        });
        assert!(queue.is_empty());
    }

    proptest! {
        /// Whatever is done to it: a path that was pushed last and not yet looked at again is still
        /// there, and none is in two hands.
        #[test]
        fn no_path_is_lost_or_doubled(steps in proptest::collection::vec((0..4_u8, 0..4_usize), 0..200)) {
            let names: Vec<Arc<Path>> = ["a", "b", "c", "d"].map(|n| Arc::from(Path::new(n))).into();
            let now = clock::monotonic();
            let mut queue = Queue::new(4);
            queue.release();
            let mut owed = [false; 4];
            let mut in_hand: [Option<Task>; 4] = [const { None }; 4];
            for (kind, index) in steps {
                match kind {
                    0 => {
                        prop_assert_ne!(queue.push(Task::new(Arc::clone(&names[index]), None), now), Pushed::Full);
                        owed[index] = true;
                    }
                    1 => if let Popped::Task(task) = queue.pop(now) {
                        let index = names.iter().position(|name| *name == task.path).unwrap();
                        prop_assert!(in_hand[index].is_none(), "in two hands");
                        prop_assert!(owed[index], "popped without a reason");
                        owed[index] = false;
                        in_hand[index] = Some(task);
                    },
                    2 => if let Some(task) = in_hand[index].take() {
                        queue.done(&task.path, now);
                    },
                    _ => if let Some(task) = in_hand[index].take() {
                        queue.put_back(task, now);
                        owed[index] = true;
                    },
                }
            }
            for task in in_hand.into_iter().flatten() {
                queue.done(&task.path, now);
            }
            let mut left = [false; 4];
            while let Popped::Task(task) = queue.pop(now) {
                left[names.iter().position(|name| *name == task.path).unwrap()] = true;
                queue.done(&task.path, now);
            }
            prop_assert_eq!(left, owed);
            prop_assert!(queue.is_empty());
        }
    }
}
