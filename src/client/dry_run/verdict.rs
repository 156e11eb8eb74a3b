//! What a scan would do with what it comes by, and why, in words.
//!
//! Pure. What the scanner decides it is told ([`choose`](crate::client::choice::choose)); it adds what
//! the uploader would say of what is wanted.

use crate::client::choice::Choice;
use crate::client::fingerprint::Fingerprint;
use crate::client::plan::{Difference, Known};
use crate::client::scope::Place;
use crate::client::walk::Past;
use crate::remote_path::PathError;
use std::fmt;

/// What a scan would do with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing: it is backed up as it stands.
    Current,
    /// Upload it.
    Upload(Why),
    /// Leave it out.
    Leave(WhyNot),
}

/// Why a file would be uploaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// It never was.
    New,
    /// The record of it may have been lost with a damaged database; only if the server has not got it.
    Lost,
    /// Its size is another one than that of what was uploaded.
    Size(u64),
    /// Its mtime is.
    Mtime,
    /// Its inode was touched; only if its bytes differ.
    Touched,
    /// It was uploaded under this remote path.
    Moved(String),
    /// It could not be uploaded before, and why.
    Again(String),
}

/// Why a file would be left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum WhyNot {
    /// By the patterns of its watch.
    Excluded,
    /// It was there before the watch's first run.
    Old,
    /// Its name cannot be stored.
    Unnameable(PathError),
    /// It is larger than its watch allows, in bytes.
    TooLarge(u64),
    /// It is no regular file; what it is.
    NotRegular(&'static str),
    /// It cannot be read, and why.
    Unreadable(String),
}

/// What is known of a file beside what was chosen.
#[derive(Clone, Copy)]
pub(super) struct File<'f> {
    /// What it looks like.
    pub(super) fingerprint: Fingerprint,
    /// What the database knows of it.
    pub(super) known: Option<&'f Known>,
    /// Why it is parked, if it is.
    pub(super) parked: Option<&'f str>,
    /// Whether the server has to be asked for it, if the database knows nothing.
    pub(super) may_be_lost: bool,
}

/// The verdict on a file; none if it does not belong to the backup.
pub(super) fn of_file(choice: &Choice<'_>, file: File<'_>) -> Option<Verdict> {
    Some(match choice {
        Choice::Outside => return None,
        Choice::Excluded => Verdict::Leave(WhyNot::Excluded),
        Choice::Old => Verdict::Leave(WhyNot::Old),
        Choice::Unnameable(error) => Verdict::Leave(WhyNot::Unnameable(*error)),
        Choice::Current => Verdict::Current,
        Choice::Wanted { watch, remote_path, .. } => {
            match watch.max_file_size.filter(|most| file.fingerprint.size > *most) {
                Some(most) => Verdict::Leave(WhyNot::TooLarge(most)),
                None => Verdict::Upload(why(file, remote_path.as_str())),
            }
        }
    })
}

fn why(file: File<'_>, remote_path: &str) -> Why {
    if let Some(reason) = file.parked {
        return Why::Again(reason.to_owned());
    }
    let Some(known) = file.known else {
        return if file.may_be_lost { Why::Lost } else { Why::New };
    };
    match known.difference(remote_path, &file.fingerprint) {
        Some(Difference::Place) => Why::Moved(known.remote_path.to_string()),
        Some(Difference::Unfinished) => Why::Again("its upload was broken off".to_owned()),
        Some(Difference::Size) => Why::Size(known.fingerprint.size),
        Some(Difference::Mtime) => Why::Mtime,
        Some(Difference::Inode) | None => Why::Touched,
    }
}

/// The verdict on what a walk goes past; none if it does not belong to the backup. `place` is that of a
/// file with its name.
pub(super) fn of_passed(why: Past, place: &Place<'_>) -> Option<Verdict> {
    let why = match (why, place) {
        (Past::Closed, _) | (_, Place::Excluded) => WhyNot::Excluded,
        (_, Place::Outside) => return None,
        (Past::Link, _) => WhyNot::NotRegular("a symbolic link, which is not followed"),
        (Past::Special, _) => WhyNot::NotRegular("a FIFO, a socket or a device"),
    };
    Some(Verdict::Leave(why))
}

impl Verdict {
    /// What would be done, for programs.
    pub(super) fn action(&self) -> &'static str {
        match self {
            Self::Current => "none",
            Self::Upload(_) => "upload",
            Self::Leave(_) => "leave",
        }
    }

    /// Why, for programs: the names are promised.
    pub(super) fn cause(&self) -> &'static str {
        match self {
            Self::Current => "backed_up",
            Self::Upload(why) => match why {
                Why::New => "new",
                Why::Lost => "lost",
                Why::Size(_) => "size",
                Why::Mtime => "mtime",
                Why::Touched => "touched",
                Why::Moved(_) => "moved",
                Why::Again(_) => "again",
            },
            Self::Leave(why) => match why {
                WhyNot::Excluded => "excluded",
                WhyNot::Old => "old",
                WhyNot::Unnameable(_) => "unnameable",
                WhyNot::TooLarge(_) => "too_large",
                WhyNot::NotRegular(_) => "not_regular",
                WhyNot::Unreadable(_) => "unreadable",
            },
        }
    }
}

/// Why, for people.
impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Current => write!(f, "backed up as it stands"),
            Self::Upload(why) => match why {
                Why::New => write!(f, "new"),
                Why::Lost => {
                    write!(f, "its record was lost; only if the server has not got it")
                }
                Why::Size(before) => write!(f, "its size changed, from {before} bytes"),
                Why::Mtime => write!(f, "its mtime changed"),
                Why::Touched => write!(f, "its inode was touched; only if its bytes differ"),
                Why::Moved(before) => write!(f, "it was uploaded to {before:?}"),
                Why::Again(reason) => write!(f, "again; before: {reason}"),
            },
            Self::Leave(why) => match why {
                WhyNot::Excluded => write!(f, "left out by patterns"),
                WhyNot::Old => {
                    write!(f, "it was there before the first run (scan.upload_existing)")
                }
                WhyNot::Unnameable(error) => write!(f, "its name cannot be stored: {error}"),
                WhyNot::TooLarge(most) => {
                    write!(f, "larger than {most} bytes (watches[].max_file_size_mb)")
                }
                WhyNot::NotRegular(what) => write!(f, "{what}"),
                WhyNot::Unreadable(cause) => write!(f, "it cannot be read: {cause}"),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::choice::choose;
    use crate::client::config::Watch;
    use crate::client::filter::{Filter, Pattern, Patterns};
    use crate::client::plan::UNFINISHED_SIZE;
    use crate::client::scope::Scope;
    use crate::client::walk::Seen;
    use crate::remote_path::RemotePrefix;
    use std::path::Path;

    const NOW: Fingerprint = Fingerprint { size: 10, mtime_ns: 1000, ctime_ns: 1001, inode: 7 };

    const FILE: File<'_> = File { fingerprint: NOW, known: None, parked: None, may_be_lost: false };

    fn known(fingerprint: Fingerprint, remote_path: &str) -> Known {
        Known { remote_path: remote_path.into(), fingerprint }
    }

    /// One watch, in which the client's database lies, too.
    fn scope(max_file_size: Option<u64>) -> Scope {
        let patterns = |texts: &[&str]| {
            let texts = texts.iter().map(|text| Pattern::parse(text).unwrap());
            Patterns::new(texts.collect()).unwrap()
        };
        let watch = Watch {
            local_path: "/w".into(),
            remote_prefix: RemotePrefix::parse("up/").unwrap(),
            recursive: true,
            filter: Filter { exclude: patterns(&["*.tmp", "cache/"]), include: patterns(&[]) },
            max_file_size,
        };
        Scope::new(vec![watch], Path::new("/w/client.db"))
    }

    fn told(verdict: &Verdict) -> (&str, &str, String) {
        (verdict.action(), verdict.cause(), verdict.to_string())
    }

    /// What is told of the file at a path, with a size limit and a baseline.
    fn judged(path: &str, file: File<'_>, most: Option<u64>, from: Option<i64>) -> Option<Verdict> {
        let scope = scope(most);
        let seen = Seen { path: path.into(), fingerprint: file.fingerprint };
        let choice = choose(&scope, from, &seen, file.known, file.parked.is_some());
        of_file(&choice, file)
    }

    #[track_caller]
    fn check(file: File<'_>, action: &str, cause: &str, words: &str) {
        let verdict = judged("/w/a", file, Some(10), None).unwrap();
        assert_eq!(told(&verdict), (action, cause, words.to_owned()));
    }

    #[test]
    fn a_file_that_needs_an_upload_is_told_why() {
        check(FILE, "upload", "new", "new");
        let lost = File { may_be_lost: true, ..FILE };
        check(lost, "upload", "lost", "its record was lost; only if the server has not got it");
        let check = |before: Fingerprint, remote: &str, cause: &str, words: &str| {
            let known = Some(&known(before, remote));
            check(File { known, may_be_lost: true, ..FILE }, "upload", cause, words);
        };
        let smaller = Fingerprint { size: 9, mtime_ns: 1, ..NOW };
        check(smaller, "up/a", "size", "its size changed, from 9 bytes");
        check(Fingerprint { mtime_ns: 1, ..NOW }, "up/a", "mtime", "its mtime changed");
        let touched = Fingerprint { ctime_ns: 1, ..NOW };
        check(touched, "up/a", "touched", "its inode was touched; only if its bytes differ");
        check(NOW, "old/a\n", "moved", "it was uploaded to \"old/a\\n\"");
        let unfinished = Fingerprint { size: UNFINISHED_SIZE, ..NOW };
        check(unfinished, "up/a", "again", "again; before: its upload was broken off");
    }

    #[test]
    fn a_file_that_failed_before_is_tried_again_and_told_why_it_failed() {
        let parked = File { parked: Some("too large"), ..FILE };
        check(parked, "upload", "again", "again; before: too large");
        let old = judged("/w/a", parked, None, Some(1002)).unwrap();
        assert_eq!(old.cause(), "again");
    }

    #[test]
    fn a_file_that_is_backed_up_needs_nothing_whatever_its_size() {
        let known = known(NOW, "up/a");
        let current = judged("/w/a", File { known: Some(&known), ..FILE }, Some(1), None);
        assert_eq!(current, Some(Verdict::Current));
        assert_eq!(told(&Verdict::Current), ("none", "backed_up", "backed up as it stands".into()));
    }

    #[test]
    fn a_file_that_is_left_out_is_told_why() {
        let check = |path: &str, from: Option<i64>, cause: &str, words: &str| {
            let verdict = judged(path, FILE, Some(9), from).unwrap();
            assert_eq!(told(&verdict), ("leave", cause, words.to_owned()));
        };
        check("/w/a.tmp", Some(1002), "excluded", "left out by patterns");
        let words = "it was there before the first run (scan.upload_existing)";
        check("/w/a", Some(1002), "old", words);
        check("/w/a\n", Some(1002), "old", words);
        let words = "its name cannot be stored: it has a control character";
        check("/w/a\n", Some(1001), "unnameable", words);
        let words = "larger than 9 bytes (watches[].max_file_size_mb)";
        check("/w/a", None, "too_large", words);
        assert_eq!(judged("/w/client.db-wal", FILE, None, None), None);
        assert_eq!(judged("/elsewhere", FILE, None, None), None);
    }

    #[test]
    fn what_is_gone_past_is_told_unless_it_is_the_clients_own() {
        let scope = scope(None);
        let told = |path: &str, why| {
            of_passed(why, &scope.place(Path::new(path))).map(|verdict| verdict.cause())
        };
        assert_eq!(told("/w/cache/", Past::Closed), Some("excluded"));
        assert_eq!(told("/w/current", Past::Link), Some("not_regular"));
        assert_eq!(told("/w/a.tmp", Past::Link), Some("excluded"));
        assert_eq!(told("/w/a\n", Past::Special), Some("not_regular"));
        assert_eq!(told("/w/client.db.sock", Past::Special), None);
    }
}
