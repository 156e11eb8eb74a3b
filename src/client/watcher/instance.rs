//! An instance of inotify, and the end of one.
//!
//! `notify` gives each a thread of its own; its callback only forwards. Nothing here knows what is
//! watched.

use crate::limits::WATCH_EVENTS_MAX;
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use notify::event::EventKindMask;
use notify::{Event, RecommendedWatcher, Watcher as _};
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Where instances send what they hear.
#[derive(Clone)]
pub(super) struct Ear {
    sender: Sender<notify::Result<Event>>,
    overflowed: Arc<AtomicBool>,
}

impl Ear {
    /// Where events arrive, beside it.
    pub(super) fn new() -> (Self, Receiver<notify::Result<Event>>) {
        let (sender, events) = bounded(WATCH_EVENTS_MAX);
        (Self { sender, overflowed: Arc::default() }, events)
    }

    /// Whether there was no room for an event since this was asked last.
    pub(super) fn take_overflow(&self) -> bool {
        self.overflowed.swap(false, Ordering::SeqCst)
    }

    fn hear(&self, event: notify::Result<Event>) {
        if matches!(self.sender.try_send(event), Err(TrySendError::Full(_))) {
            self.overflowed.store(true, Ordering::SeqCst);
        }
    }
}

/// See the module's head.
pub(super) struct Instance {
    pub(super) watches: RecommendedWatcher,
    /// Disconnected when its thread has ended; nothing is ever sent.
    pub(super) ended: Receiver<Infallible>,
}

impl Instance {
    /// One that watches nothing yet.
    pub(super) fn new(ear: &Ear) -> Result<Self, notify::Error> {
        let (alive, ended) = bounded(0);
        let ear = ear.clone();
        let forward = move |event| {
            let _ = &alive;
            ear.hear(event);
        };
        // Without the opens and reads, of which our own would be the most.
        let kinds = EventKindMask::CORE | EventKindMask::ACCESS_CLOSE;
        let config = notify::Config::default().with_follow_symlinks(false).with_event_kinds(kinds);
        Ok(Self { watches: RecommendedWatcher::new(forward, config)?, ended })
    }

    /// Ends it. When this returns, the kernel has its watches back.
    pub(super) fn end(self) {
        drop(self.watches);
        let _ = self.ended.recv();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossbeam_channel::TryRecvError;
    use notify::RecursiveMode;

    #[test]
    fn it_is_heard_until_it_has_ended_and_that_is_known() {
        let home = tempfile::tempdir().unwrap();
        let (ear, events) = Ear::new();
        let mut instance = Instance::new(&ear).unwrap();
        instance.watches.watch(home.path(), RecursiveMode::NonRecursive).unwrap();
        let ended = instance.ended.clone();
        std::fs::write(home.path().join("file"), "x").unwrap();
        assert_eq!(events.recv().unwrap().unwrap().paths, [home.path().join("file")]);
        assert_eq!(ended.try_recv(), Err(TryRecvError::Empty));
        instance.end();
        assert_eq!(ended.try_recv(), Err(TryRecvError::Disconnected));
        while events.try_recv().is_ok() {}
        std::fs::write(home.path().join("late"), "x").unwrap();
        assert!(events.try_recv().is_err() && !ear.take_overflow());
    }
}
