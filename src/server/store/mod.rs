//! The contract every object store keeps.
//!
//! Runs on the worker threads and the `sweeper`; a store is shared by all of them. It owns the way to
//! the bucket (or folder) and its credentials. It must not know of HTTP requests, clients or limits, and it must
//! never show a client what the store behind it answered: a [`StoreError`] is for the server's log.
//!
//! One conformance suite (`tests/store_contract.rs`) holds every implementation to these sentences:
//!
//! 1. An object becomes visible whole, with its metadata, or not at all.
//! 2. `put` and `complete` return only after the store has acknowledged the object as durable.
//! 3. Of two uploads of one key the one that began later (`put`, `begin`) is what stands in the end,
//!    whatever order their parts and answers come in: if it is stored, the earlier one was stored
//!    before it or fails. A reader sees the old object or the new one.
//! 4. A [`LargeObject`] that is dropped instead of completed leaves nothing behind, and the object
//!    that stood there before still stands.
//! 5. What `open` yields is exactly the bytes that were put, or an error: never fewer.
//! 6. "Absent" is an answer only if the store said so; anything else is an error.
//! 7. `sweep` removes what was begun, never finished and left by a process that is gone. It touches no
//!    object, nothing younger than it was told, and nothing that is under way in this process.

pub mod directory;
pub mod inspect;
pub mod s3;
mod sweep;
mod turns;

pub use sweep::{CannotSweep, Swept};

use crate::digest::Digest;
use crate::server::key::{ClientFolder, ObjectKey};
use crate::server::part_buffer::PartBuffer;
use crate::threads::Stop;
use crate::wire::{ErrorCode, Mtime};
use std::fmt;
use std::io::Read;
use std::time::{Duration, SystemTime};

/// A place for objects. See the module's head for what every implementation promises.
pub trait ObjectStore: Send + Sync {
    /// One line that names the store to its operator: kind and place, no secret.
    fn describe(&self) -> String;

    /// Stores a whole object that fits one buffer (at most [`crate::limits::PART_BYTES`]). The
    /// SHA-256 is stored with it also if the caller did not know it. Waits for an earlier upload of
    /// the key to get out of the way, for at most [`crate::limits::TURN_WAIT`]. Fails as
    /// [`StoreErrorKind::Unavailable`] if that was not enough, [`StoreErrorKind::Overtaken`] if a later one
    /// has come before it.
    fn put(&self, key: &ObjectKey, content: &[u8], metadata: &Metadata) -> Result<(), StoreError>;

    /// Begins an object that comes in several parts. `metadata.sha256` may be unknown here; stores
    /// that must write metadata first then keep none.
    fn begin<'s>(
        &'s self,
        key: &ObjectKey,
        metadata: &Metadata,
    ) -> Result<Box<dyn LargeObject + 's>, StoreError>;

    /// What is known of an object; `None` if the store says that there is none.
    fn head(&self, key: &ObjectKey) -> Result<Option<ObjectInfo>, StoreError>;

    /// Opens an object, or one range of it. The range lies inside the object (the caller asked
    /// `head`); a range that no longer does is an error.
    fn open(
        &self,
        key: &ObjectKey,
        range: Option<ByteRange>,
    ) -> Result<Option<OpenObject>, StoreError>;

    /// Whether the store would answer now.
    fn ready(&self) -> Result<(), StoreError>;

    /// How often a request to what is behind this store was sent again since the start, for a reason
    /// that might pass.
    fn retries(&self) -> u64 {
        0
    }

    /// Removes what was begun in these folders at least `age` ago, by the store's clock, and what
    /// nobody will finish. A store that keeps unfinished objects apart from their keys looks at all
    /// of them. Ends early, and without an error, when `stop` is raised.
    fn sweep(
        &self,
        folders: &[ClientFolder],
        age: Duration,
        stop: &Stop,
    ) -> Result<Swept, CannotSweep>;
}

/// An object that is being written in parts, invisible until it is completed. Dropping it removes
/// what was begun.
pub trait LargeObject {
    /// Takes the next part, and gives an empty buffer for the one after it, so that there are never
    /// more than two. The part may still be on its way to the store then: its failure is the next
    /// call's. Every part but the last has the same size, at least 5 MiB; S3 takes at most
    /// [`crate::limits::PARTS_MAX`] of them. After a failure the object can only be dropped.
    fn append(&mut self, part: PartBuffer) -> Result<PartBuffer, StoreError>;

    /// Makes the object visible. The caller has compared `sha256` with what the client sent. Waits
    /// and fails as [`ObjectStore::put`] does for other uploads of the key.
    fn complete(self: Box<Self>, sha256: Digest) -> Result<(), StoreError>;
}

/// What is stored beside the bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// SHA-256 of the whole content, when it is known.
    pub sha256: Option<Digest>,
    /// Modification time on the host the file came from.
    pub mtime: Option<Mtime>,
}

/// What is known of a stored object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectInfo {
    /// Size in bytes.
    pub size: u64,
    /// What was stored beside the bytes.
    pub metadata: Metadata,
    /// The entity tag, in quotes, as HTTP wants it. Differs when the content differs.
    pub etag: String,
    /// When the object was stored, to the second.
    pub last_modified: SystemTime,
}

/// A range inside an object: `first..=last`, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteRange {
    /// Position of the first byte.
    pub first: u64,
    /// Position of the last byte; not before `first`.
    pub last: u64,
}

impl ByteRange {
    /// How many bytes lie in the range; at least one.
    #[expect(clippy::len_without_is_empty, reason = "a range is never empty")]
    pub fn len(&self) -> u64 {
        self.last - self.first + 1
    }
}

/// An object, or a range of it, ready to be read.
pub struct OpenObject {
    /// What is known of the whole object.
    pub info: ObjectInfo,
    /// How many bytes `body` yields: all of the object, or the range.
    pub length: u64,
    /// The bytes. Ends with an error, not early, if the store breaks off.
    pub body: Box<dyn Read + Send>,
}

/// How a reader of an object words that the store ended it early.
fn broken_off(left: u64) -> String {
    format!("the store broke off {left} bytes before the end")
}

/// What kind of failure it was: decides what the client is told and what it does then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreErrorKind {
    /// No room left.
    Full,
    /// The name cannot stand beside one that is stored already (a file where a folder is needed).
    NameConflict,
    /// The store refuses the server: credentials, bucket, rights, clock. Its operator has to act.
    Refused,
    /// The store does not answer, or asks to come back later.
    Unavailable,
    /// A later upload of the same file came before this one: no failure of the store, and nobody has to act.
    Overtaken,
}

/// A store's failure, for the server's log. [`StoreErrorKind`] alone reaches the client.
#[derive(Debug, thiserror::Error)]
pub struct StoreError {
    /// What kind of failure.
    pub kind: StoreErrorKind,
    /// What was tried, such as `put`.
    pub operation: &'static str,
    /// What it was tried on: a key, a folder, a bucket.
    pub subject: String,
    /// What the store or the system answered.
    pub cause: String,
    /// What the operator can do, if that is known.
    pub hint: Option<&'static str>,
}

impl StoreErrorKind {
    /// All kinds for which the store is to blame, in their order.
    pub const ALL: [Self; 4] = [Self::Full, Self::NameConflict, Self::Refused, Self::Unavailable];

    /// The kind in one word, for counting.
    pub fn word(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::NameConflict => "name_conflict",
            Self::Refused => "refused",
            Self::Unavailable => "unavailable",
            Self::Overtaken => "overtaken",
        }
    }

    /// The code a client is answered with.
    pub fn code(self) -> ErrorCode {
        match self {
            Self::Full => ErrorCode::InsufficientStorage,
            Self::NameConflict => ErrorCode::InvalidPath,
            Self::Refused => ErrorCode::StoreRefused,
            Self::Unavailable | Self::Overtaken => ErrorCode::Unavailable,
        }
    }
}

/// The answer to a range that the object no longer has: it was replaced after the caller asked for
/// its size, so asking again helps.
fn range_outside(key: &ObjectKey, range: ByteRange, size: u64) -> StoreError {
    StoreError {
        kind: StoreErrorKind::Unavailable,
        operation: "open",
        subject: key.as_str().to_owned(),
        cause: format!("bytes {}-{} of {size}: replaced meanwhile", range.first, range.last),
        hint: None,
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {} {:?}: {}", self.operation, self.subject, self.cause)?;
        self.hint.map_or(Ok(()), |hint| write!(f, "; hint: {hint}"))
    }
}
