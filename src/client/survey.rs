//! Lays the walk of a folder beside what the database knows of it.
//!
//! Pure: three sequences in the order of their paths' bytes in, one out. Each is read once and as far
//! as the others have come, so that a scan asks nothing for a single file and holds none back.
//!
//! Rows without a file need nothing: a deleted file keeps its backup. A parked path without a file is
//! forgotten, unless it lies where the walk could not look.
//!
//! Should the order be broken in spite of everything, a file seems to have no row. Then it is queued
//! for nothing, since the uploader asks for the row itself.

use crate::client::plan::Known;
use crate::client::walk::{Passed, Seen, Step, WalkError};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// One thing that a survey came by.
#[derive(Debug)]
pub enum Finding {
    /// A regular file.
    File {
        /// What the walk saw.
        seen: Seen,
        /// What the database knows of it.
        known: Option<Known>,
        /// Why it is parked, if it is.
        parked: Option<String>,
    },
    /// Something that the walk went past. Scans make nothing of it; who explains one does.
    Passed(Passed),
    /// Something that could not be looked at.
    Trouble(WalkError),
    /// This path is parked, and the walk came by without seeing a file there.
    Vanished(PathBuf),
}

/// Lays `walk` beside the `rows` and the `parked` paths, with their reasons, below the same root. After
/// an error of either the survey ends.
pub fn survey<E>(
    walk: impl Iterator<Item = Result<Step, WalkError>>,
    rows: impl Iterator<Item = Result<(PathBuf, Known), E>>,
    parked: impl Iterator<Item = Result<(PathBuf, String), E>>,
) -> impl Iterator<Item = Result<Finding, E>> {
    Survey {
        walk: walk.fuse(),
        next: None,
        rows: Ordered::new(rows),
        parked: Ordered::new(parked),
        blind: None,
        failed: false,
    }
}

struct Survey<W, R, P, E>
where
    R: Iterator<Item = Result<(PathBuf, Known), E>>,
    P: Iterator<Item = Result<(PathBuf, String), E>>,
{
    walk: W,
    /// What the walk showed last and is not handed out yet.
    next: Option<Result<Step, WalkError>>,
    rows: Ordered<R, Known>,
    parked: Ordered<P, String>,
    /// The folder, ending in `/`, in which the walk may have missed something.
    blind: Option<PathBuf>,
    failed: bool,
}

impl<W, R, P, E> Iterator for Survey<W, R, P, E>
where
    W: Iterator<Item = Result<Step, WalkError>>,
    R: Iterator<Item = Result<(PathBuf, Known), E>>,
    P: Iterator<Item = Result<(PathBuf, String), E>>,
{
    type Item = Result<Finding, E>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let step = self.step();
        self.failed = step.is_err();
        step.transpose()
    }
}

impl<W, R, P, E> Survey<W, R, P, E>
where
    W: Iterator<Item = Result<Step, WalkError>>,
    R: Iterator<Item = Result<(PathBuf, Known), E>>,
    P: Iterator<Item = Result<(PathBuf, String), E>>,
{
    fn step(&mut self) -> Result<Option<Finding>, E> {
        if self.next.is_none() {
            self.next = self.walk.next();
        }
        let place = self.next.as_ref().map(|next| match next {
            Ok(Step::File(seen)) => seen.path.as_path(),
            Ok(Step::Passed(passed)) => passed.path.as_path(),
            // Not the path of what failed: an entry of unknown kind has no place in the order.
            Err(error) => error.blind.as_path(),
        });
        // First what is parked before this place: the walk has passed it.
        while let Some(path) = self.parked.take_before(place)? {
            if !self.blind.as_deref().is_some_and(|blind| lies_in(&path, blind)) {
                return Ok(Some(Finding::Vanished(path)));
            }
        }
        match self.next.take() {
            None => Ok(None),
            Some(Err(error)) => {
                // What lies in a folder that counts as unseen already adds nothing.
                if !self.blind.as_deref().is_some_and(|blind| lies_in(&error.blind, blind)) {
                    self.blind = Some(error.blind.clone());
                }
                Ok(Some(Finding::Trouble(error)))
            }
            Some(Ok(Step::Passed(passed))) => Ok(Some(Finding::Passed(passed))),
            Some(Ok(Step::File(seen))) => {
                while self.rows.take_before(Some(&seen.path))?.is_some() {}
                let known = self.rows.take_at(&seen.path)?;
                let parked = self.parked.take_at(&seen.path)?;
                Ok(Some(Finding::File { seen, known, parked }))
            }
        }
    }
}

/// Whether `path` is `folder`, which ends in `/`, or lies in it.
fn lies_in(path: &Path, folder: &Path) -> bool {
    path.as_os_str().as_bytes().starts_with(folder.as_os_str().as_bytes())
}

/// Something in the order of paths, taken as far as somebody else has come.
struct Ordered<I, T> {
    rest: I,
    head: Option<(PathBuf, T)>,
}

impl<T, E, I: Iterator<Item = Result<(PathBuf, T), E>>> Ordered<I, T> {
    fn new(rest: I) -> Self {
        Self { rest, head: None }
    }

    /// The next one if `is` says so.
    fn take_if(&mut self, is: impl FnOnce(&Path) -> bool) -> Result<Option<(PathBuf, T)>, E> {
        if self.head.is_none() {
            self.head = self.rest.next().transpose()?;
        }
        Ok(self.head.take_if(|(path, _)| is(path)))
    }

    /// The next one if it stands before `place`, or before the end if there is no place.
    fn take_before(&mut self, place: Option<&Path>) -> Result<Option<PathBuf>, E> {
        let bytes = place.map(|place| place.as_os_str().as_bytes());
        let before = |path: &Path| bytes.is_none_or(|place| path.as_os_str().as_bytes() < place);
        Ok(self.take_if(before)?.map(|(path, _)| path))
    }

    /// The next one if it stands at `place`.
    fn take_at(&mut self, place: &Path) -> Result<Option<T>, E> {
        // Bytes, since `a/` and `a` are equal as paths.
        Ok(self.take_if(|path| path.as_os_str() == place.as_os_str())?.map(|(_, value)| value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::fingerprint::Fingerprint;
    use crate::client::walk::Past;
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};
    use std::convert::Infallible;
    use std::io;

    fn seen(path: &str) -> Seen {
        let fingerprint =
            Fingerprint { size: path.len() as u64, mtime_ns: 0, ctime_ns: 0, inode: 1 };
        Seen { path: path.into(), fingerprint }
    }

    fn known(path: &str) -> Known {
        Known { remote_path: path.into(), fingerprint: seen(path).fingerprint }
    }

    fn trouble(path: &str, blind: &str) -> WalkError {
        WalkError { path: path.into(), blind: blind.into(), cause: io::Error::other("broken") }
    }

    fn show(finding: Finding) -> String {
        match finding {
            Finding::File { seen, known, parked } => {
                let path = seen.path.to_str().unwrap();
                if let Some(known) = &known {
                    assert_eq!(&*known.remote_path, path, "the row is that of the file");
                }
                let mark = |is: bool, text| if is { text } else { "" };
                assert!(parked.as_ref().is_none_or(|reason| reason == path), "its own reason");
                let marks = [mark(known.is_some(), " row"), mark(parked.is_some(), " parked")];
                format!("{path}{}", marks.concat())
            }
            Finding::Passed(passed) => format!("{} passed", passed.path.display()),
            Finding::Trouble(error) => format!("{} trouble", error.path.display()),
            Finding::Vanished(path) => format!("{} vanished", path.display()),
        }
    }

    fn parked(path: &str) -> (PathBuf, String) {
        (path.into(), path.to_owned())
    }

    /// Each sequence is written as its paths; in the walk, `!a b` is trouble with `b` that hides
    /// what is in `a`, and `~a` is gone past.
    fn check(walk: &[&str], rows: &[&str], parked: &[&str], expected: &[&str]) {
        let walk = walk.iter().map(|item| match item.split_at(1) {
            ("!", failed) => {
                let (blind, path) = failed.split_once(' ').unwrap();
                Err(trouble(path, blind))
            }
            ("~", path) => Ok(Step::Passed(Passed { path: path.into(), why: Past::Link })),
            _ => Ok(Step::File(seen(item))),
        });
        let rows = rows.iter().map(|path| Ok::<_, Infallible>((path.into(), known(path))));
        let parked = parked.iter().map(|path| Ok(self::parked(path)));
        let shown: Vec<_> = survey(walk, rows, parked).map(|Ok(finding)| show(finding)).collect();
        assert_eq!(shown, expected);
    }

    #[test]
    fn files_find_their_rows_and_rows_without_a_file_need_nothing() {
        check(
            &["/w/a", "/w/a-b/x", "/w/a/x", "/w/c"],
            &["/w/0", "/w/a", "/w/a-b/w", "/w/a/x", "/w/b", "/w/d"],
            &[],
            &["/w/a row", "/w/a-b/x", "/w/a/x row", "/w/c"],
        );
        check(&[], &["/w/a"], &[], &[]);
        check(&["/w/a"], &[], &[], &["/w/a"]);
    }

    #[test]
    fn a_parked_path_at_which_no_file_was_seen_is_vanished_wherever_it_stands() {
        check(
            &["/w/b", "/w/d"],
            &["/w/d"],
            &["/w/a", "/w/b", "/w/c/", "/w/d", "/w/e"],
            &["/w/a vanished", "/w/b parked", "/w/c/ vanished", "/w/d row parked", "/w/e vanished"],
        );
    }

    #[test]
    fn what_the_walk_goes_past_is_shown_and_a_parked_path_in_it_is_vanished() {
        check(
            &["/w/a", "~/w/b/", "~/w/c", "/w/d"],
            &["/w/b/x", "/w/c", "/w/d"],
            &["/w/b/x", "/w/c"],
            &[
                "/w/a",
                "/w/b/ passed",
                "/w/b/x vanished",
                "/w/c passed",
                "/w/c vanished",
                "/w/d row",
            ],
        );
    }

    #[test]
    fn nothing_is_vanished_where_the_walk_could_not_look() {
        let parked = ["/w/a/x", "/w/b/", "/w/b/x", "/w/b/y/z", "/w/b0"];
        check(&["!/w/ /w/"], &[], &parked, &["/w/ trouble"]);
        let expected = ["/w/a/x vanished", "/w/b/ trouble", "/w/b0 vanished"];
        check(&["!/w/b/ /w/b/"], &[], &parked, &expected);
        check(
            &["!/w/b/ /w/b/", "/w/c"],
            &[],
            &parked,
            &["/w/a/x vanished", "/w/b/ trouble", "/w/b0 vanished", "/w/c"],
        );
    }

    #[test]
    fn a_file_that_cannot_be_looked_at_hides_its_folder_and_no_other() {
        let walk = ["/w/a/b", "!/w/a/ /w/a/c", "/w/a/d", "!/w/a/e/ /w/a/e/", "/w/b"];
        let parked = ["/w/a/a", "/w/a/c", "/w/a/cc", "/w/a/d", "/w/a/e/x", "/w/a/f", "/w/aa"];
        check(
            &walk,
            &[],
            &parked,
            &[
                "/w/a/a vanished",
                "/w/a/b",
                "/w/a/c trouble",
                "/w/a/d parked",
                "/w/a/e/ trouble",
                "/w/aa vanished",
                "/w/b",
            ],
        );
    }

    #[test]
    fn an_error_of_the_database_ends_the_survey() {
        let rows = [Ok(("/a".into(), known("/a"))), Err("broken"), Ok(("/c".into(), known("/c")))];
        let walk = ["/a", "/b", "/c"].map(|path| Ok(Step::File(seen(path))));
        let shown: Vec<_> = survey(walk.into_iter(), rows.into_iter(), std::iter::empty())
            .map(|finding| finding.map(show))
            .collect();
        assert_eq!(shown, [Ok("/a row".to_owned()), Err("broken")]);
    }

    fn paths() -> impl Strategy<Value = BTreeSet<String>> {
        proptest::collection::btree_set("/w(/[ab][-.0]?){1,3}", 0..12)
    }

    proptest! {
        #[test]
        fn a_survey_finds_what_a_look_at_each_file_would_find(
            files in paths(), rows in paths(), parked in paths(), hidden in paths(),
        ) {
            let hidden: Vec<_> = hidden.iter().take(3).map(|path| format!("{path}/")).collect();
            let is_hidden = |path: &str| hidden.iter().any(|hidden| path.starts_with(hidden.as_str()));
            // Only the outermost of hidden folders is come by.
            let mut walk = BTreeMap::new();
            for folder in &hidden {
                if !hidden.iter().any(|other| other != folder && folder.starts_with(other.as_str())) {
                    walk.insert(folder.clone(), Err(trouble(folder, folder)));
                }
            }
            for file in files.iter().filter(|file| !is_hidden(file)) {
                walk.insert(file.clone(), Ok(Step::File(seen(file))));
            }

            let mut expected = BTreeSet::new();
            for (path, item) in &walk {
                expected.insert(show(match item {
                    Ok(Step::File(seen)) => Finding::File {
                        seen: seen.clone(),
                        known: rows.contains(path).then(|| known(path)),
                        parked: parked.get(path).cloned(),
                    },
                    Ok(Step::Passed(_)) | Err(_) => Finding::Trouble(trouble(path, path)),
                }));
            }
            for path in parked.iter().filter(|path| !walk.contains_key(*path) && !is_hidden(path)) {
                expected.insert(show(Finding::Vanished(path.into())));
            }

            let rows = rows.iter().map(|path| Ok::<_, Infallible>((path.into(), known(path))));
            let parked = parked.iter().map(|path| Ok(self::parked(path)));
            let found: Vec<_> =
                survey(walk.into_values(), rows, parked).map(|Ok(finding)| show(finding)).collect();
            prop_assert_eq!(found.len(), expected.len(), "each once");
            prop_assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), expected);
        }
    }
}
