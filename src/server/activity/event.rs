//! What happens at the server and is remembered.
//!
//! Pure. Whoever knows how something ended makes one of these and hands it to
//! [`Activity`](super::Activity).

use crate::digest::Digest;
use crate::remote_path::RemotePath;
use crate::server::key::ClientName;
use crate::wire::ErrorCode;
use std::net::IpAddr;
use std::time::Duration;

/// The end of an upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    /// Whose it was.
    pub client: ClientName,
    /// From where it came.
    pub peer: IpAddr,
    /// What it was to be stored as, as far as its form came to say it.
    pub path: Option<RemotePath>,
    /// Bytes of the file; 0 if it was not stored.
    pub size: u64,
    /// SHA-256 of what was stored.
    pub sha256: Option<Digest>,
    /// When it ended, in seconds since 1970.
    pub ended_at: i64,
    /// How long a worker had it.
    pub took: Duration,
    /// How it ended.
    pub outcome: Outcome,
}

/// How an upload ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The store has acknowledged it.
    Stored,
    /// It was refused, or failed.
    Failed(ErrorCode),
}

impl Outcome {
    /// The word for a stored upload; a failed one has its error code instead.
    pub const STORED: &str = "stored";

    /// The outcome as it stands in the ledger.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stored => Self::STORED,
            Self::Failed(code) => code.as_str(),
        }
    }
}
