//! What a running client tells of itself, by its socket: facts that end with the process.
//!
//! The daemon makes a [`Live`] when it is asked; the `status` command reads it, perhaps that of an
//! older or newer version: what it does not know it leaves out, what is missing is empty.

use crate::client::progress::{Progress, Snapshot};
use crate::client::queue::{Counts, SharedQueue};
use crate::clock;
use crate::version;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What a running client tells.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Live {
    /// Its version.
    pub version: String,
    /// The number of its process.
    pub pid: u32,
    /// When it was started, in seconds since 1970.
    pub started: i64,
    /// Folders whose events it hears; none if the system does not tell.
    pub folders_watched: Option<u64>,
    /// The upload queue.
    pub queue: Waiting,
    /// What it is doing.
    #[serde(flatten)]
    pub snapshot: Snapshot,
}

/// Files in the upload queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Waiting {
    /// Waiting until they rest, or until they are tried again.
    pub resting: u64,
    /// Waiting for a worker.
    pub ready: u64,
    /// In a worker's hands.
    pub in_hand: u64,
    /// How long the one that is there longest has been, in seconds.
    pub oldest_seconds: Option<u64>,
}

/// Where a running client finds what it tells of itself.
#[derive(Clone)]
pub struct Inside {
    /// What it is doing.
    pub progress: Arc<Progress>,
    /// The upload queue.
    pub queue: Arc<SharedQueue>,
    /// When it was started, in seconds since 1970.
    pub started: i64,
}

impl Inside {
    /// How the client stands now.
    pub fn live(&self) -> Live {
        let Counts { resting, ready, in_hand, .. } = self.queue.counts();
        let oldest = self.queue.oldest();
        let now = clock::monotonic();
        Live {
            version: version::NUMBER.to_owned(),
            pid: std::process::id(),
            started: self.started,
            folders_watched: folders_watched(),
            queue: Waiting {
                resting: resting as u64,
                ready: ready as u64,
                in_hand: in_hand as u64,
                oldest_seconds: oldest.map(|since| now.saturating_duration_since(since).as_secs()),
            },
            snapshot: self.progress.snapshot(),
        }
    }
}

/// How many folders the kernel watches for this process: what it says itself of each descriptor.
fn folders_watched() -> Option<u64> {
    let mut watched = None;
    for entry in std::fs::read_dir("/proc/self/fdinfo").ok()?.flatten() {
        // Gone since the folder was read: not one of ours, which stay.
        let Ok(text) = std::fs::read_to_string(entry.path()) else { continue };
        let lines = text.lines().filter(|line| line.starts_with("inotify wd:")).count();
        if lines > 0 {
            *watched.get_or_insert(0) += lines as u64;
        }
    }
    watched.or(Some(0))
}
