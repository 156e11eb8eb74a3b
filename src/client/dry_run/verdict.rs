//! What a scan would do with one file, and why.
//!
//! Pure. It has to say what the scanner and the uploader decide by `plan`; it adds the words.

use crate::client::fingerprint::Fingerprint;
use crate::client::plan::{self, Need, Record};
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
    /// It cannot be read, and why.
    Unreadable(String),
}

/// All that is known of a file that belongs to the backup.
pub(super) struct File<'f> {
    /// What it looks like.
    pub(super) fingerprint: Fingerprint,
    /// What it would be called, if that can be stored.
    pub(super) remote_path: Result<&'f str, PathError>,
    /// What the database knows of it.
    pub(super) record: Option<&'f Record>,
    /// Why it is parked, if it is.
    pub(super) parked: Option<&'f str>,
    /// From when on files of its watch count, in nanoseconds since 1970; none: all.
    pub(super) baseline_ns: Option<i64>,
    /// Most bytes that a file of its watch may have.
    pub(super) size_max: Option<u64>,
}

/// Decides.
pub(super) fn judge(file: &File<'_>) -> Verdict {
    let now = &file.fingerprint;
    // What is parked was wanted once, whatever its times say.
    if file.record.is_none() && file.parked.is_none() && !plan::is_new(file.baseline_ns, now) {
        return Verdict::Leave(WhyNot::Old);
    }
    let remote_path = match &file.remote_path {
        Ok(remote_path) => *remote_path,
        Err(error) => return Verdict::Leave(WhyNot::Unnameable(*error)),
    };
    let need = plan::need(file.record, remote_path, now);
    if need == Need::Nothing {
        return Verdict::Current;
    }
    if let Some(most) = file.size_max.filter(|most| now.size > *most) {
        return Verdict::Leave(WhyNot::TooLarge(most));
    }
    Verdict::Upload(match (file.parked, file.record) {
        (Some(reason), _) => Why::Again(reason.to_owned()),
        (None, None) => Why::New,
        (None, Some(record)) => why(record, remote_path, need, now),
    })
}

fn why(record: &Record, remote_path: &str, need: Need, now: &Fingerprint) -> Why {
    if record.remote_path != remote_path {
        Why::Moved(record.remote_path.clone())
    } else if matches!(need, Need::Compare(_)) {
        Why::Touched
    } else if record.fingerprint.size != now.size {
        Why::Size(record.fingerprint.size)
    } else {
        Why::Mtime
    }
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
                WhyNot::Unreadable(cause) => write!(f, "it cannot be read: {cause}"),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    const NOW: Fingerprint = Fingerprint { size: 10, mtime_ns: 1000, ctime_ns: 1001, inode: 7 };

    fn record(fingerprint: Fingerprint, remote_path: &str) -> Record {
        Record { remote_path: remote_path.into(), fingerprint, sha256: Digest::of(b"x") }
    }

    fn file(record: Option<&Record>) -> File<'_> {
        File {
            fingerprint: NOW,
            remote_path: Ok("up/a"),
            record,
            parked: None,
            baseline_ns: None,
            size_max: None,
        }
    }

    #[track_caller]
    fn check(file: &File<'_>, action: &str, cause: &str, words: &str) {
        let verdict = judge(file);
        let told = (verdict.action(), verdict.cause(), verdict.to_string());
        assert_eq!(told, (action, cause, words.to_owned()));
    }

    #[test]
    fn a_file_that_needs_an_upload_is_told_why() {
        check(&file(None), "upload", "new", "new");
        let check = |before: Fingerprint, remote: &str, cause: &str, words: &str| {
            check(&file(Some(&record(before, remote))), "upload", cause, words);
        };
        let smaller = Fingerprint { size: 9, mtime_ns: 1, ..NOW };
        check(smaller, "up/a", "size", "its size changed, from 9 bytes");
        check(Fingerprint { mtime_ns: 1, ..NOW }, "up/a", "mtime", "its mtime changed");
        let touched = Fingerprint { ctime_ns: 1, ..NOW };
        check(touched, "up/a", "touched", "its inode was touched; only if its bytes differ");
        check(NOW, "old/a\n", "moved", "it was uploaded to \"old/a\\n\"");
    }

    #[test]
    fn a_file_that_failed_before_is_tried_again_and_told_why_it_failed() {
        let parked = File { parked: Some("too large"), ..file(None) };
        check(&parked, "upload", "again", "again; before: too large");
        let old = File { baseline_ns: Some(1002), ..parked };
        check(&old, "upload", "again", "again; before: too large");
    }

    #[test]
    fn a_file_that_is_backed_up_needs_nothing() {
        let record = record(NOW, "up/a");
        check(&file(Some(&record)), "none", "backed_up", "backed up as it stands");
        let any_size = File { size_max: Some(1), ..file(Some(&record)) };
        check(&any_size, "none", "backed_up", "backed up as it stands");
    }

    #[test]
    fn a_file_that_is_left_out_is_told_why() {
        let old = File { baseline_ns: Some(1002), ..file(None) };
        let words = "it was there before the first run (scan.upload_existing)";
        check(&old, "leave", "old", words);
        let known = record(Fingerprint { size: 9, ..NOW }, "up/a");
        let known = File { baseline_ns: Some(1002), ..file(Some(&known)) };
        check(&known, "upload", "size", "its size changed, from 9 bytes");
        let odd = File { remote_path: Err(PathError::NotUtf8), ..file(None) };
        check(&odd, "leave", "unnameable", "its name cannot be stored: it is not UTF-8");
        let large = File { size_max: Some(9), ..file(None) };
        let words = "larger than 9 bytes (watches[].max_file_size_mb)";
        check(&large, "leave", "too_large", words);
    }
}
