//! When files are to be read again, and when it is said that they cannot be.
//!
//! Pure but for [`State::of`], which looks at the files.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// How some files look from outside. Another content is another state, so nothing is opened to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct State(Vec<Result<Look, io::ErrorKind>>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Look {
    device: u64,
    inode: u64,
    size: u64,
    /// Seconds and nanoseconds since 1970.
    mtime: (i64, i64),
    ctime: (i64, i64),
}

impl State {
    /// How the files look now. Symbolic links are followed: certbot and Kubernetes swap links.
    pub(super) fn of(files: &[&Path]) -> Self {
        let look = |metadata: Metadata| Look {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            mtime: (metadata.mtime(), metadata.mtime_nsec()),
            ctime: (metadata.ctime(), metadata.ctime_nsec()),
        };
        let state = |file: &&Path| std::fs::metadata(file).map(look).map_err(|error| error.kind());
        Self(files.iter().map(state).collect())
    }
}

/// Why files are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// The operator asked for it.
    Asked,
    /// They have changed, and are at rest.
    Changed,
    /// The last reading failed. What it failed by may not show in the files: rights, a disk's error.
    Again,
}

/// What is known of some files that belong together.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// Their state at the last look.
    seen: Option<State>,
    /// Their state when they were read.
    read: Option<State>,
    /// Why the last reading failed.
    problem: Option<String>,
}

impl Watch {
    /// Whether to read them, with their state now. A change is read at the second look that finds it
    /// the same: what is being written, file after file or in place, is not read half.
    pub(super) fn look(&mut self, now: State, asked: bool) -> Option<Why> {
        let rests = self.seen.as_ref() == Some(&now);
        let why = if asked {
            Some(Why::Asked)
        } else if !rests {
            None
        } else if self.read.as_ref() != Some(&now) {
            Some(Why::Changed)
        } else {
            self.problem.is_some().then_some(Why::Again)
        };
        if why.is_some() {
            self.read = Some(now.clone());
        }
        self.seen = Some(now);
        why
    }

    /// Notes that they were read and taken; `true` if the time before they were refused.
    pub(super) fn note_sound(&mut self) -> bool {
        self.problem.take().is_some()
    }

    /// Notes that they were read and refused; `true` if that has to be said. The same problem is said again
    /// only if the operator has done something meanwhile.
    pub(super) fn note_problem(&mut self, why: Why, problem: &str) -> bool {
        let known = self.problem.as_deref() == Some(problem);
        self.problem = Some(problem.to_owned());
        why != Why::Again || !known
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Why::{Again, Asked, Changed};

    /// A state by its number.
    fn state(number: u64) -> State {
        let look = Look { device: 1, inode: 1, size: number, mtime: (1, 1), ctime: (1, 1) };
        State(vec![Ok(look)])
    }

    /// One look: the state it finds, whether the operator asked for it, what is read because of it,
    /// and if so, what is wrong with what was read and whether that is said.
    type Step = (u64, bool, Option<Why>, Option<(&'static str, bool)>);

    fn check(steps: &[Step]) {
        let mut watch = Watch::default();
        for (index, (number, asked, expected, refused)) in steps.iter().enumerate() {
            let why = watch.look(state(*number), *asked);
            assert_eq!(why, *expected, "look {index} of {steps:?}");
            let Some(why) = why else { continue };
            match refused {
                None => {
                    watch.note_sound();
                }
                Some((problem, said)) => {
                    assert_eq!(
                        watch.note_problem(why, problem),
                        *said,
                        "look {index} of {steps:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn what_changed_is_read_once_and_only_when_it_has_come_to_rest() {
        check(&[
            // What changed before the first look is found, too.
            (1, false, None, None),
            (1, false, Some(Changed), None),
            (1, false, None, None),
            (2, false, None, None),
            (3, false, None, None),
            (4, false, None, None),
            (4, false, Some(Changed), None),
            (4, false, None, None),
        ]);
        // A file that was away for a moment, and is the same again.
        check(&[(1, true, Some(Asked), None), (2, false, None, None), (1, false, None, None)]);
    }

    #[test]
    fn an_operator_who_asks_does_not_wait() {
        check(&[
            (1, true, Some(Asked), None),
            (1, true, Some(Asked), None),
            (1, false, None, None),
            (2, true, Some(Asked), None),
            (2, false, None, None),
            // Asked while it was being written: what comes after is read, too.
            (3, true, Some(Asked), None),
            (4, false, None, None),
            (4, false, Some(Changed), None),
        ]);
    }

    #[test]
    fn what_was_refused_is_tried_at_every_look_and_said_once_until_something_is_done() {
        check(&[
            (1, true, Some(Asked), None),
            (2, false, None, None),
            (2, false, Some(Changed), Some(("bad", true))),
            (2, false, Some(Again), Some(("bad", false))),
            (2, false, Some(Again), Some(("worse", true))),
            (2, false, Some(Again), Some(("worse", false))),
            (2, true, Some(Asked), Some(("worse", true))),
            (3, false, None, None),
            (3, false, Some(Changed), Some(("worse", true))),
            (3, false, Some(Again), None),
            (3, false, None, None),
        ]);
    }

    #[test]
    fn it_is_known_when_what_was_refused_is_sound_again() {
        let mut watch = Watch::default();
        assert!(!watch.note_sound());
        watch.note_problem(Changed, "bad");
        assert!(watch.note_sound());
        assert!(!watch.note_sound());
    }

    /// The states that a folder's `file` goes through by `changes`, all of which must differ.
    fn check_states(changes: &[fn(&Path)]) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        let mut states = vec![State::of(&[&file])];
        for change in changes {
            change(folder.path());
            states.push(State::of(&[&file]));
            assert_eq!(states.last(), Some(&State::of(&[&file])), "looking changes nothing");
        }
        for (index, state) in states.iter().enumerate() {
            assert!(!states[..index].contains(state), "change {index}: {states:?}");
        }
    }

    #[test]
    fn a_file_that_was_written_replaced_relinked_or_removed_is_in_another_state() {
        use std::os::unix::fs::symlink;
        check_states(&[
            |folder| std::fs::write(folder.join("file"), "one").unwrap(),
            |folder| std::fs::write(folder.join("file"), "four").unwrap(),
            |folder| {
                std::fs::write(folder.join("new"), "five").unwrap();
                std::fs::rename(folder.join("new"), folder.join("file")).unwrap();
            },
            // As Kubernetes does it: the file is a link through a link to a folder, which is swapped.
            |folder| {
                std::fs::remove_file(folder.join("file")).unwrap();
                for version in ["1", "2"] {
                    std::fs::create_dir(folder.join(version)).unwrap();
                    std::fs::write(folder.join(version).join("file"), "same").unwrap();
                }
                symlink("1", folder.join("data")).unwrap();
                symlink("data/file", folder.join("file")).unwrap();
            },
            |folder| {
                symlink("2", folder.join("tmp")).unwrap();
                std::fs::rename(folder.join("tmp"), folder.join("data")).unwrap();
            },
            // Nothing can be looked at where a file stands for a folder.
            |folder| {
                std::fs::remove_file(folder.join("data")).unwrap();
                std::fs::write(folder.join("data"), "").unwrap();
            },
        ]);
    }
}
