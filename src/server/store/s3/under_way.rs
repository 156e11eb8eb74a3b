//! Which keys are being uploaded in parts by this process, so that the sweep leaves them alone.
//!
//! Shared by the worker threads, which note, and the sweep, which looks. A key is noted before its
//! upload is begun at the store and forgotten after it was completed or aborted there. So an
//! upload that is listed and whose key is not noted has no owner here any more. It holds keys and
//! not ids: there is no id yet when an upload begins.

use crate::digest::Digest;
use crate::server::part_buffer::PartBuffer;
use crate::server::store::{LargeObject, StoreError};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The keys, each with how many are uploading it.
#[derive(Debug, Default)]
pub(super) struct UnderWay {
    keys: Mutex<HashMap<String, usize>>,
}

impl UnderWay {
    /// Notes a key, until the note is dropped.
    pub(super) fn note(&self, key: &str) -> Note<'_> {
        *self.keys().entry(key.to_owned()).or_default() += 1;
        Note { under_way: self, key: key.to_owned() }
    }

    /// Whether somebody here is uploading this key.
    pub(super) fn holds(&self, key: &str) -> bool {
        self.keys().contains_key(key)
    }

    fn keys(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A key that is noted.
#[derive(Debug)]
pub(super) struct Note<'s> {
    under_way: &'s UnderWay,
    key: String,
}

impl Drop for Note<'_> {
    fn drop(&mut self) {
        let mut keys = self.under_way.keys();
        if let Some(count) = keys.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                keys.remove(&self.key);
            }
        }
    }
}

/// A large object whose key is noted for as long as it lives.
pub(super) struct Noted<'s, L> {
    // In this order: the note goes after the object has been aborted.
    object: L,
    note: Note<'s>,
}

impl<'s, L> Noted<'s, L> {
    pub(super) fn new(object: L, note: Note<'s>) -> Self {
        Self { object, note }
    }
}

impl<L: LargeObject> LargeObject for Noted<'_, L> {
    fn append(&mut self, part: PartBuffer) -> Result<PartBuffer, StoreError> {
        self.object.append(part)
    }

    fn complete(self: Box<Self>, sha256: Digest) -> Result<(), StoreError> {
        let Self { object, note } = *self;
        let completed = Box::new(object).complete(sha256);
        drop(note);
        completed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossbeam_channel::{Receiver, unbounded};

    #[test]
    fn a_key_is_held_until_the_last_who_noted_it_has_gone() {
        let under_way = UnderWay::default();
        let (first, second) = (under_way.note("a"), under_way.note("a"));
        let other = under_way.note("b");
        assert!(under_way.holds("a") && under_way.holds("b") && !under_way.holds("c"));
        drop(first);
        assert!(under_way.holds("a"));
        drop(second);
        assert!(!under_way.holds("a") && under_way.holds("b"));
        drop(other);
        assert!(under_way.keys().is_empty(), "nothing grows");
    }

    /// Says at its end whether its key is still noted.
    struct Watched<'s> {
        under_way: &'s UnderWay,
        end: crossbeam_channel::Sender<bool>,
    }

    impl LargeObject for Watched<'_> {
        fn append(&mut self, part: PartBuffer) -> Result<PartBuffer, StoreError> {
            Ok(part)
        }

        fn complete(self: Box<Self>, _: Digest) -> Result<(), StoreError> {
            Ok(())
        }
    }

    impl Drop for Watched<'_> {
        fn drop(&mut self) {
            self.end.send(self.under_way.holds("a")).unwrap();
        }
    }

    fn check(end: impl FnOnce(Box<dyn LargeObject + '_>)) {
        let under_way = UnderWay::default();
        let (sender, ends): (_, Receiver<bool>) = unbounded();
        let watched = Watched { under_way: &under_way, end: sender };
        end(Box::new(Noted::new(watched, under_way.note("a"))));
        assert!(ends.recv().unwrap(), "the key was free before the object had ended");
        assert!(!under_way.holds("a"));
    }

    #[test]
    fn the_note_outlives_the_object_however_that_ends() {
        check(|object| drop(object));
        check(|object| object.complete(Digest::of(b"")).unwrap());
    }
}
