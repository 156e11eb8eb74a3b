//! From the kernel's events to a batch of hints.
//!
//! Pure: events in, a [`Batch`] out. It knows what each kind of event may mean, and nothing of watches.

use crate::client::hints::Batch;
use notify::event::{CreateKind, ModifyKind, RemoveKind, RenameMode};
use notify::{Event, EventKind};

/// Events on their way to a [`Batch`].
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Heard {
    pub(super) batch: Batch,
    /// Folders may have appeared that are not watched.
    pub(super) rewatch: bool,
}

impl Heard {
    /// Takes an event in, or gives back why there was none.
    pub(super) fn add(&mut self, event: notify::Result<Event>) -> notify::Result<()> {
        let batch = &mut self.batch;
        let event = event?;
        if event.need_rescan() {
            batch.rescan = Some("the kernel lost events");
            self.rewatch = true;
        }
        match event.kind {
            EventKind::Create(CreateKind::Folder) => batch.folders.extend(event.paths),
            EventKind::Modify(ModifyKind::Name(RenameMode::To)) => {
                batch.moved_in.extend(event.paths);
            }
            EventKind::Remove(RemoveKind::Other) => {
                // A file system was taken away, and what stood below it has come to light.
                batch.removed.extend(event.paths);
                batch.rescan = Some("a file system was unmounted");
            }
            EventKind::Remove(RemoveKind::Folder)
            | EventKind::Modify(ModifyKind::Name(RenameMode::From)) => {
                batch.removed.extend(event.paths);
            }
            // `Both` repeats a `From` and a `To` that came before it.
            EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(RenameMode::Both)) => {}
            _ => batch.paths.extend(event.paths),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use notify::event::{Flag, MetadataKind};
    use std::collections::BTreeSet;

    /// What is heard of these events, and how many of them were errors.
    fn heard(events: Vec<notify::Result<Event>>) -> (Heard, usize) {
        let mut heard = Heard::default();
        let errors = events.into_iter().filter_map(|event| heard.add(event).err()).count();
        (heard, errors)
    }

    fn event(kind: EventKind, path: &str) -> notify::Result<Event> {
        Ok(Event::new(kind).add_path(path.into()))
    }

    #[track_caller]
    fn check(kind: EventKind, expected: Batch) {
        let (heard, errors) = heard(vec![event(kind, "/a")]);
        assert_eq!((heard, errors), (Heard { batch: expected, rewatch: false }, 0), "{kind:?}");
    }

    #[test]
    fn each_kind_of_event_asks_for_what_it_may_mean() {
        let a = || BTreeSet::from(["/a".into()]);
        let none = Batch::default;
        check(EventKind::Create(CreateKind::Folder), Batch { folders: a(), ..none() });
        check(EventKind::Create(CreateKind::File), Batch { paths: a(), ..none() });
        let moved = |mode| EventKind::Modify(ModifyKind::Name(mode));
        check(moved(RenameMode::To), Batch { moved_in: a(), ..none() });
        check(moved(RenameMode::From), Batch { removed: a(), ..none() });
        check(moved(RenameMode::Both), none());
        check(EventKind::Remove(RemoveKind::File), none());
        check(EventKind::Remove(RemoveKind::Folder), Batch { removed: a(), ..none() });
        let rescan = Some("a file system was unmounted");
        check(EventKind::Remove(RemoveKind::Other), Batch { removed: a(), rescan, ..none() });
    }

    #[test]
    fn a_path_with_many_events_is_looked_at_once() {
        let touched = EventKind::Modify(ModifyKind::Metadata(MetadataKind::Any));
        let created = EventKind::Create(CreateKind::File);
        let events = vec![event(created, "/a"), event(touched, "/a"), event(touched, "/b")];
        let (heard, _) = heard(events);
        assert_eq!(heard.batch.paths, BTreeSet::from(["/a".into(), "/b".into()]));
    }

    #[test]
    fn an_overflow_has_no_path_and_asks_for_new_watches_and_a_scan_of_everything() {
        let (got, _) = heard(vec![Ok(Event::new(EventKind::Other).set_flag(Flag::Rescan))]);
        let batch = Batch { rescan: Some("the kernel lost events"), ..Batch::default() };
        assert_eq!(got, Heard { batch, rewatch: true });
    }

    #[test]
    fn an_error_is_handed_out() {
        let limit = notify::Error::new(notify::ErrorKind::MaxFilesWatch).add_path("/a".into());
        assert_eq!(heard(vec![Err(limit)]), (Heard::default(), 1));
    }
}
