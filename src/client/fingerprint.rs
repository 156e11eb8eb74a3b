//! What tells whether a file is still the one that was seen before.
//!
//! Pure: it is taken from metadata that somebody else read.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;

/// Size, times and inode of a regular file. Equal fingerprints mean an untouched file: a writer
/// moves `mtime`, whoever sets `mtime` back moves `ctime`, and whoever puts another file in its
/// place changes the inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fingerprint {
    /// Size in bytes.
    pub size: u64,
    /// Last change of the content, nanoseconds since 1970.
    pub mtime_ns: i64,
    /// Last change of the content or of the inode, nanoseconds since 1970; nobody can set it.
    pub ctime_ns: i64,
    /// The inode's number.
    pub inode: u64,
}

impl Fingerprint {
    /// The fingerprint of a file, from its `stat`.
    pub fn of(metadata: &Metadata) -> Self {
        Self {
            size: metadata.size(),
            mtime_ns: nanos(metadata.mtime(), metadata.mtime_nsec()),
            ctime_ns: nanos(metadata.ctime(), metadata.ctime_nsec()),
            inode: metadata.ino(),
        }
    }
}

fn nanos(seconds: i64, nanoseconds: i64) -> i64 {
    seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds)
}
