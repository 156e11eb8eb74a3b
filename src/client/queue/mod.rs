//! The upload queue: every path once, each at its time.
//!
//! [`Queue`] is pure: deduplicating `VecDeque`s of files that are ready, one for each watch, beside
//! those whose time has not come. The watches take turns, so that a new file of one is not behind the
//! catch-up of another. [`SharedQueue`] is the same under one mutex, with a way to wait. Watcher and
//! scanner push, the uploader's workers pop; nobody sleeps on one file while others could go.
//!
//! A path is either waiting here or in the hands of one worker. What is heard of it meanwhile is kept
//! with it, so that it is looked at again; it is never there twice and never forgotten.

mod shared;

pub use shared::SharedQueue;

use crate::client::outage::FileFault;
use crate::client::stability::Sighting;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::path::Path;
use std::sync::Arc;
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

#[cfg(test)]
mod tests;
