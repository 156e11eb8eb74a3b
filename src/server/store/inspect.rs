//! What `s3up-server check` asks of a store, beside what the server needs of it.
//!
//! Runs on the main thread of that command alone. A running server holds its store as an
//! [`ObjectStore`], so no request can reach what stands here; and only a [`ProbeKey`] can be
//! removed, so no defect here can cost a backup.

use super::{ObjectStore, StoreError};
use crate::remote_path::RemotePrefix;
use crate::server::key::ProbeKey;

/// A store that can be looked into.
pub trait Inspect: ObjectStore {
    /// Whether a listing of the probe's folder shows the probe.
    fn lists(&self, probe: &ProbeKey) -> Result<bool, StoreError>;

    /// Removes the probe; it is no error if there is none.
    fn remove(&self, probe: &ProbeKey) -> Result<(), StoreError>;

    /// Begins an object in parts at the probe's key, and removes what was begun. Other than when a
    /// [`super::LargeObject`] is dropped, a failure of the latter is told.
    fn begin_and_abort(&self, probe: &ProbeKey) -> Result<(), StoreError>;

    /// How the store is set up below `prefix`, as far as it matters to backups.
    fn findings(&self, prefix: &RemotePrefix) -> Vec<Finding>;
}

/// One thing about the store that its operator may want to know or change. None is a failure.
#[derive(Debug)]
pub struct Finding {
    /// What it is about: one short word.
    pub subject: &'static str,
    /// How it is, in words for the operator; or why the store does not tell.
    pub answer: Result<String, StoreError>,
}
