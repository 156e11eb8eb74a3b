//! What a scan makes of a file that it came by: the one answer for the scanner and for the dry run.
//!
//! Pure. The scanner queues what is wanted; what becomes of that is the uploader's to decide, who
//! looks again.

use crate::client::config::Watch;
use crate::client::plan::{self, Known};
use crate::client::scope::{Place, Scope};
use crate::client::walk::Seen;
use crate::remote_path::{PathError, RemotePath};

/// What a scan makes of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice<'s> {
    /// It does not belong to the backup.
    Outside,
    /// Patterns leave it out.
    Excluded,
    /// It has not been touched since before its watch's first run.
    Old,
    /// It belongs to the backup, but its name cannot be stored.
    Unnameable(PathError),
    /// It is in the bucket as it stands.
    Current,
    /// It has to be looked at by who uploads.
    Wanted {
        /// The position of its watch in [`Scope::watches`].
        index: usize,
        /// Its watch.
        watch: &'s Watch,
        /// What it is called in this client's part of the bucket.
        remote_path: RemotePath,
    },
}

/// Chooses for a file as it was `seen`, by what is `known` of it and whether it is `parked`. Files that
/// were not touched since the `baseline`, in nanoseconds since 1970, are old; without one none is.
pub fn choose<'s>(
    scope: &'s Scope,
    baseline: Option<i64>,
    seen: &Seen,
    known: Option<&Known>,
    parked: bool,
) -> Choice<'s> {
    let place = match scope.place(&seen.path) {
        Place::Outside => return Choice::Outside,
        Place::Excluded => return Choice::Excluded,
        Place::Unnameable(error) => Err(error),
        Place::File { index, watch, remote_path } => Ok((index, watch, remote_path)),
    };
    // What is parked was wanted once, whatever its times say.
    if known.is_none() && !parked && !plan::is_new(baseline, &seen.fingerprint) {
        return Choice::Old;
    }
    let (index, watch, remote_path) = match place {
        Ok(place) => place,
        Err(error) => return Choice::Unnameable(error),
    };
    let is_current =
        |known: &Known| known.difference(remote_path.as_str(), &seen.fingerprint).is_none();
    if known.is_some_and(is_current) {
        return Choice::Current;
    }
    Choice::Wanted { index, watch, remote_path }
}
