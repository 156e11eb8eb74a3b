//! What to do with a file: from what the database knows and what the disk shows.
//!
//! Pure.

use crate::client::fingerprint::Fingerprint;
use crate::digest::Digest;
use crate::wire::{Existence, Mtime};

/// The size in a row from the moment on that other bytes are on their way, until they are
/// acknowledged: one that no file has.
pub const UNFINISHED_SIZE: u64 = u64::MAX;

/// What the database knows of a file that was uploaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// What it was stored as.
    pub remote_path: String,
    /// What it looked like when it was uploaded.
    pub fingerprint: Fingerprint,
    /// What was in it.
    pub sha256: Digest,
}

/// What a scan compares a file with: a [`Record`] without the digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// What it was stored as.
    pub remote_path: Box<str>,
    /// What it looked like when it was uploaded.
    pub fingerprint: Fingerprint,
}

/// In what a file differs from what was uploaded of it; the first of these that does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Difference {
    /// It belongs elsewhere: the watch's prefix was changed.
    Place,
    /// Other bytes were on their way, and whether they arrived is not known.
    Unfinished,
    /// Its size.
    Size,
    /// Its mtime.
    Mtime,
    /// Only its ctime or its inode (`chmod`, `mv`, a copy put in place): perhaps not its bytes.
    Inode,
}

impl Known {
    /// In what a file differs that belongs at `remote_path` and looks like `now`. [`need`] decides by
    /// the same.
    pub fn difference(&self, remote_path: &str, now: &Fingerprint) -> Option<Difference> {
        difference(&self.remote_path, &self.fingerprint, remote_path, now)
    }
}

fn difference(
    place: &str,
    then: &Fingerprint,
    remote_path: &str,
    now: &Fingerprint,
) -> Option<Difference> {
    if place != remote_path {
        Some(Difference::Place)
    } else if then == now {
        None
    } else if then.size == UNFINISHED_SIZE {
        Some(Difference::Unfinished)
    } else if then.size != now.size {
        Some(Difference::Size)
    } else if then.mtime_ns != now.mtime_ns {
        Some(Difference::Mtime)
    } else {
        Some(Difference::Inode)
    }
}

/// What a file needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Nothing: what is on the disk is what was uploaded.
    Nothing,
    /// Only its inode was touched (`chmod`, `mv`, a copy put in place): upload it if its bytes
    /// differ from these.
    Compare(Digest),
    /// It is new or changed.
    Upload,
}

/// Decides what a file needs. `remote_path` is where it belongs today.
pub fn need(record: Option<&Record>, remote_path: &str, now: &Fingerprint) -> Need {
    let Some(record) = record else { return Need::Upload };
    match difference(&record.remote_path, &record.fingerprint, remote_path, now) {
        None => Need::Nothing,
        Some(Difference::Inode) => Need::Compare(record.sha256),
        Some(_) => Need::Upload,
    }
}

/// Whether a scan takes a file of which there is no record. With a `baseline` (the first run of a
/// watch that skips existing files, nanoseconds since 1970) only what was changed or brought in
/// since.
pub fn is_new(baseline_ns: Option<i64>, now: &Fingerprint) -> bool {
    baseline_ns.is_none_or(|baseline| now.ctime_ns.max(now.mtime_ns) >= baseline)
}

/// Whether a file without a record may nevertheless have been uploaded. `rebuilt_ns` is when the
/// database was begun in place of a damaged one, if it was (nanoseconds since 1970): what was touched
/// later has no record because it was not uploaded.
pub fn may_be_lost(rebuilt_ns: Option<i64>, now: &Fingerprint) -> bool {
    rebuilt_ns.is_some_and(|rebuilt| now.ctime_ns < rebuilt)
}

/// How to find out whether the server has a file of which no record is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recall {
    /// It has it if the file's bytes have this digest.
    Hash(Digest),
    /// It has not: upload it.
    Upload,
}

/// Decides by what the server says of the place where a file belongs.
pub fn recall(existence: &Existence, now: &Fingerprint) -> Recall {
    let Existence { exists: true, size: Some(size), sha256: Some(sha256), mtime: Some(mtime) } =
        *existence
    else {
        return Recall::Upload;
    };
    if (size, mtime) == (now.size, Mtime::from_nanos(now.mtime_ns)) {
        Recall::Hash(sha256)
    } else {
        Recall::Upload
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEEN: Fingerprint = Fingerprint { size: 10, mtime_ns: 1000, ctime_ns: 1001, inode: 7 };

    #[track_caller]
    fn check(now: Fingerprint, difference: Option<Difference>, expected: Need) {
        let record =
            Record { remote_path: "a".into(), fingerprint: SEEN, sha256: Digest::of(b"x") };
        assert_eq!(need(Some(&record), "a", &now), expected, "{now:?}");
        let known = Known { remote_path: "a".into(), fingerprint: SEEN };
        assert_eq!(known.difference("a", &now), difference, "{now:?}");
        assert_eq!(known.difference("b", &now), Some(Difference::Place));
        assert_eq!(need(Some(&record), "b", &now), Need::Upload, "another remote path");
        assert_eq!(need(None, "a", &now), Need::Upload, "never uploaded");
    }

    #[test]
    fn an_untouched_file_needs_nothing() {
        check(SEEN, None, Need::Nothing);
    }

    #[test]
    fn another_size_or_mtime_needs_an_upload_down_to_the_nanosecond() {
        let larger = Fingerprint { size: 11, mtime_ns: 999, ..SEEN };
        check(larger, Some(Difference::Size), Need::Upload);
        for mtime_ns in [999, 1001] {
            let other = Fingerprint { mtime_ns, inode: 8, ..SEEN };
            check(other, Some(Difference::Mtime), Need::Upload);
        }
    }

    #[test]
    fn only_a_touched_inode_needs_a_look_at_the_bytes() {
        for touched in [Fingerprint { ctime_ns: 2000, ..SEEN }, Fingerprint { inode: 8, ..SEEN }] {
            check(touched, Some(Difference::Inode), Need::Compare(Digest::of(b"x")));
        }
    }

    #[test]
    fn what_was_on_its_way_when_the_client_died_needs_an_upload_however_it_looks() {
        let then = Fingerprint { size: UNFINISHED_SIZE, ..SEEN };
        let known = Known { remote_path: "a".into(), fingerprint: then };
        assert_eq!(known.difference("a", &SEEN), Some(Difference::Unfinished));
    }

    #[test]
    fn a_baseline_leaves_out_only_what_has_not_been_touched_since() {
        for (baseline, expected) in
            [(None, true), (Some(1000), true), (Some(1001), true), (Some(1002), false)]
        {
            assert_eq!(is_new(baseline, &SEEN), expected, "{baseline:?}");
        }
        let restored = Fingerprint { mtime_ns: 5, ctime_ns: 3000, ..SEEN };
        assert!(is_new(Some(2000), &restored), "an old file brought in later is new");
    }

    #[test]
    fn only_what_was_not_touched_since_the_database_was_lost_may_have_lost_its_record() {
        for (rebuilt, expected) in
            [(None, false), (Some(1000), false), (Some(1001), false), (Some(1002), true)]
        {
            assert_eq!(may_be_lost(rebuilt, &SEEN), expected, "{rebuilt:?}");
        }
    }

    #[test]
    fn the_server_has_a_file_if_all_agrees_that_it_says_of_it_and_then_the_bytes() {
        let sha256 = Digest::of(b"x");
        let mtime = Mtime::from_nanos(1000);
        let same =
            || Existence { exists: true, size: Some(10), sha256: Some(sha256), mtime: Some(mtime) };
        assert_eq!(recall(&same(), &SEEN), Recall::Hash(sha256));
        for other in [
            Existence { exists: false, ..same() },
            Existence { size: Some(11), ..same() },
            Existence { size: None, ..same() },
            Existence { mtime: Some(Mtime::from_nanos(1001)), ..same() },
            Existence { mtime: None, ..same() },
            Existence { sha256: None, ..same() },
        ] {
            assert_eq!(recall(&other, &SEEN), Recall::Upload, "{other:?}");
        }
    }
}
