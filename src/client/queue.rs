//! The upload queue: every path once, each at its time.
//!
//! [`Queue`] is pure: deduplicating `VecDeque`s of files that are ready, one for each watch, beside
//! those whose time has not come. The watches take turns, so that a new file of one is not behind the
//! catch-up of another. [`SharedQueue`] is the same under one mutex, with a way to wait. Watcher and
//! scanner push, the uploader's workers pop; nobody sleeps on one file while others could go.
//!
//! A path is either waiting here or in the hands of one worker. What is heard of it meanwhile is kept
//! with it, so that it is looked at again; it is never there twice and never forgotten.

use crate::client::outage::FileFault;
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
    /// The watch it lies in, by its place in the configuration.
    pub watch: usize,
    /// Since when it is on its way.
    pub since: Instant,
    /// What it looked like last, if that was seen already.
    pub sighting: Option<Sighting>,
    /// How often it was found changed since it is on its way.
    pub changes: u32,
    /// Since when it has been known to change.
    pub restless_since: Option<Instant>,
    /// How often sending it failed.
    pub failures: u32,
    /// What became of it when the server could not serve it.
    pub fault: FileFault,
}

impl Task {
    /// A file that something was heard of at the moment `since`.
    pub fn new(
        path: impl Into<Arc<Path>>,
        watch: usize,
        sighting: Option<Sighting>,
        since: Instant,
    ) -> Self {
        Self {
            path: path.into(),
            watch,
            since,
            sighting,
            changes: 0,
            restless_since: None,
            failures: 0,
            fault: FileFault::default(),
        }
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

/// How many paths are where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Those whose time has not come.
    pub resting: usize,
    /// Those that wait for a worker.
    pub ready: usize,
    /// Those in the hands of workers.
    pub in_hand: usize,
    /// How many were taken in since the start, those that left again included.
    pub added: u64,
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
    InHand { watch: usize, touched: bool },
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
    /// For each watch.
    ready: Vec<VecDeque<Task>>,
    /// Whose turn it is.
    turn: usize,
    later: BinaryHeap<Reverse<Later>>,
    places: HashMap<Arc<Path>, Place>,
    order: u64,
    added: u64,
    room: usize,
    held: bool,
    closed: bool,
    paused_until: Option<Instant>,
}

impl Queue {
    /// An empty queue for at most `room` paths of so many `watches`. It is held: nothing leaves
    /// before [`Queue::release`].
    pub fn new(watches: usize, room: usize) -> Self {
        Self {
            ready: vec![VecDeque::new(); watches.max(1)],
            turn: 0,
            later: BinaryHeap::new(),
            places: HashMap::new(),
            order: 0,
            added: 0,
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

    /// How many paths are where.
    pub fn counts(&self) -> Counts {
        let resting = self.later.len();
        let ready = self.ready.iter().map(VecDeque::len).sum();
        let in_hand = self.places.len().saturating_sub(resting + ready);
        Counts { resting, ready, in_hand, added: self.added }
    }

    /// Since when the path that has been waiting longest is on its way. Looks at each that waits.
    pub fn oldest(&self) -> Option<Instant> {
        let later = self.later.iter().map(|Reverse(later)| later.task.since);
        self.ready.iter().flatten().map(|task| task.since).chain(later).min()
    }

    /// Takes a path in that an event reported, to be looked at not before `due`.
    pub fn push(&mut self, task: Task, due: Instant) -> Pushed {
        self.push_below(self.room, task, due)
    }

    /// Takes a path in that a scan found, to be looked at not before `due`. A scan can wait, so it
    /// leaves an eighth of the room to events: each of them that finds none costs another scan.
    pub fn push_scanned(&mut self, task: Task, due: Instant) -> Pushed {
        self.push_below(self.room - self.room / 8, task, due)
    }

    fn push_below(&mut self, room: usize, task: Task, due: Instant) -> Pushed {
        let full = self.places.len() >= room;
        match self.places.get_mut(&task.path) {
            Some(Place::InHand { touched, .. }) => {
                *touched = true;
                Pushed::Merged
            }
            Some(Place::Waiting { latest }) => {
                *latest = task.sighting.or(*latest);
                Pushed::Merged
            }
            None if full => Pushed::Full,
            None => {
                self.added += 1;
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
        self.ripen(now);
        if let Some(mut task) = self.take_turns() {
            let place = Place::InHand { watch: task.watch, touched: false };
            if let Some(Place::Waiting { latest: Some(latest) }) =
                self.places.insert(Arc::clone(&task.path), place)
            {
                task.see(latest);
            }
            return Popped::Task(task);
        }
        self.later.peek().map_or(Popped::Nothing, |Reverse(first)| Popped::NotBefore(first.due))
    }

    /// Makes those ready whose time has come.
    fn ripen(&mut self, now: Instant) {
        while self.later.peek().is_some_and(|Reverse(first)| first.due <= now) {
            let Some(Reverse(Later { task, .. })) = self.later.pop() else { return };
            let watch = task.watch.min(self.ready.len() - 1);
            self.ready[watch].push_back(task);
        }
    }

    /// The first ready task of the watch whose turn it is.
    fn take_turns(&mut self) -> Option<Task> {
        let watches = self.ready.len();
        let mut order = (0..watches).map(|step| (self.turn + step) % watches);
        let watch = order.find(|watch| !self.ready[*watch].is_empty())?;
        self.turn = (watch + 1) % watches;
        self.ready[watch].pop_front()
    }

    /// The earliest moment at which something may leave, if anything is here; one that has passed
    /// if something is ready.
    fn first_due(&self) -> Option<Instant> {
        let ready = self.ready.iter().find_map(|tasks| tasks.front()).map(|task| task.since);
        ready.or_else(|| self.later.peek().map(|Reverse(first)| first.due))
    }

    /// Takes a task back that needs another look, not before `due`. What was heard of it meanwhile
    /// is covered by that look.
    pub fn put_back(&mut self, task: Task, due: Instant) {
        self.wait(task, due);
    }

    /// Ends a task. If something was heard of its path meanwhile, it begins anew.
    pub fn done(&mut self, path: &Arc<Path>, now: Instant) {
        let place = self.places.remove(path);
        if let Some(Place::InHand { watch, touched: true }) = place {
            self.wait(Task::new(Arc::clone(path), watch, None, now), now);
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
        // Small letters lie in the first watch, capital ones in the second.
        let task = |path: &str| Task::new(Path::new(path), usize::from(path < "a"), None, start);
        let mut queue = Queue::new(2, 3);
        queue.release();
        let mut shown = String::new();
        for line in scenario.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let command = line.split(" -> ").next().unwrap();
            let words: Vec<&str> = command.split(' ').collect();
            let answer = match words[..] {
                ["push", path, second] => {
                    format!("{:?}", queue.push(task(path), at(second)))
                }
                ["pop", second] => match queue.pop(at(second)) {
                    Popped::Task(task) => task.path.display().to_string(),
                    Popped::NotBefore(due) => format!("not before {}", (due - start).as_secs()),
                    other => format!("{other:?}"),
                },
                ["back", path, second] => {
                    queue.put_back(task(path), at(second));
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
    fn the_watches_take_turns() {
        check(
            "push a 0 -> Added
             push b 0 -> Added
             push A 1 -> Added
             pop 1 -> a
             pop 1 -> A
             pop 1 -> b",
        );
    }

    #[test]
    fn a_scan_leaves_room_to_events() {
        let now = clock::monotonic();
        let mut queue = Queue::new(1, 8);
        let task = |number: usize| Task::new(Path::new(&number.to_string()), 0, None, now);
        for number in 0..7 {
            assert_eq!(queue.push_scanned(task(number), now), Pushed::Added);
        }
        assert_eq!(queue.push_scanned(task(7), now), Pushed::Full);
        assert_eq!(queue.push(task(7), now), Pushed::Added);
        assert_eq!(queue.push(task(8), now), Pushed::Full);
        assert_eq!(queue.push_scanned(task(0), now), Pushed::Merged);
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
            let mut queue = Queue::new(1, 9);
            queue.release();
            for look in looks {
                queue.push(Task::new(Path::new("a"), 0, Some(look), start), start);
            }
            let expected = Task { changes, ..Task::new(Path::new("a"), 0, Some(sighting), start) };
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
        let mut queue = Queue::new(1, 9);
        queue.push(Task::new(Path::new("a"), 0, None, now), now);
        assert_eq!(queue.pop(now), Popped::Nothing);
        queue.release();
        assert!(matches!(queue.pop(now), Popped::Task(_)));
    }

    #[test]
    fn a_scan_larger_than_the_queue_begins_to_drain_it() {
        let queue = Arc::new(SharedQueue::new(1, 2));
        let scanner = Arc::clone(&queue);
        let now = clock::monotonic();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                for name in ["a", "b", "c", "d"] {
                    assert!(scanner.push_waiting(&Task::new(Path::new(name), 0, None, now), now));
                }
            });
            for name in ["a", "b", "c", "d"] {
                let task = queue.pop().unwrap();
                assert_eq!(&*task.path, Path::new(name));
                queue.done(&task.path, now);
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
            let mut queue = Queue::new(2, 4);
            queue.release();
            let mut owed = [false; 4];
            let mut in_hand: [Option<Task>; 4] = [const { None }; 4];
            for (kind, index) in steps {
                match kind {
                    0 => {
                        prop_assert_ne!(queue.push(Task::new(Arc::clone(&names[index]), index % 2, None, now), now), Pushed::Full);
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
