//! Walks the watched folders and queues what is not in the bucket yet.
//!
//! Runs on its own thread. It owns the schedule of rescans. The disk and the database are the truth
//! and this is where they are compared; events only make it faster. It never opens a file.

use crate::client::config::Watch;
use crate::client::database::Database;
use crate::client::fingerprint::Fingerprint;
use crate::client::parking;
use crate::client::plan::{self, Need};
use crate::client::progress::Progress;
use crate::client::queue::{SharedQueue, Task};
use crate::client::scope::{Place, Scope};
use crate::client::stability::Sighting;
use crate::clock;
use crate::sqlite::DatabaseError;
use crate::threads::Stop;
use crossbeam_channel::{Receiver, select};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use walkdir::{DirEntry, WalkDir};

/// Something to scan, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScanRequest {
    /// Every watch.
    Everything {
        /// Why, for the log.
        cause: &'static str,
    },
    /// A folder that has just appeared, with all that is in it: whatever its files' times say, they
    /// are new here.
    Folder(PathBuf),
}

/// The scanner's parts; see the module's head.
pub struct Scanner {
    /// What belongs to the backup.
    pub scope: Scope,
    /// For each watch of the scope, from when on its files count; `None` takes all.
    pub baselines: Vec<Option<i64>>,
    /// What was uploaded.
    pub database: Arc<Database>,
    /// Where found files go.
    pub queue: Arc<SharedQueue>,
    /// Time between the two looks at a file.
    pub debounce: Duration,
    /// Time between two scans of everything.
    pub interval: Duration,
    /// Who tells the operator.
    pub progress: Arc<Progress>,
}

/// What one scan saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tally {
    files: u64,
    excluded: u64,
    queued: u64,
    unreadable: u64,
    unnameable: u64,
}

/// A scan cannot go on: the program is ending, or the database is broken.
enum Break {
    Stopped,
    Database(DatabaseError),
}

impl From<DatabaseError> for Break {
    fn from(error: DatabaseError) -> Self {
        Self::Database(error)
    }
}

impl Scanner {
    /// Scans everything once, releases the queue, then scans on request and at intervals until
    /// `stop` is raised.
    pub fn run(&self, requests: &Receiver<ScanRequest>, stop: &Stop) {
        self.scan(&ScanRequest::Everything { cause: "start" }, stop);
        self.queue.release();
        loop {
            select! {
                recv(stop.receiver()) -> _ => return,
                recv(requests) -> request => {
                    let Ok(first) = request else { return };
                    for request in coalesce(first, requests.try_iter()) {
                        self.scan(&request, stop);
                    }
                }
                default(self.interval) => {
                    self.scan(&ScanRequest::Everything { cause: "interval" }, stop);
                }
            }
            if stop.is_raised() {
                return;
            }
        }
    }

    fn scan(&self, request: &ScanRequest, stop: &Stop) {
        let started = clock::monotonic();
        if let ScanRequest::Everything { cause } = request {
            self.progress.scan_begins(cause, clock::unix_seconds());
        }
        let mut tally = Tally::default();
        let outcome = match request {
            ScanRequest::Everything { .. } => self.scan_everything(stop, &mut tally),
            ScanRequest::Folder(path) => self.scan_folder(path, stop, &mut tally),
        };
        let complete = outcome.is_ok();
        match outcome {
            Err(Break::Stopped) => return,
            Err(Break::Database(error)) => {
                log::error!("the scan broke off, the next one begins anew: {error}");
            }
            Ok(()) => {}
        }
        let seconds = (clock::monotonic() - started).as_secs_f64();
        let Tally { files, excluded, queued, unreadable, unnameable } = tally;
        self.progress.scan_ends(seconds, files, queued, complete);
        let summary = format!(
            "{files} files, {queued} to look at, {unreadable} unreadable, {unnameable} with names \
             that cannot be stored; {excluded} more left out by patterns; {seconds:.1} s"
        );
        match request {
            ScanRequest::Everything { cause } => log::info!("scan ({cause}): {summary}"),
            ScanRequest::Folder(path) => log::debug!("scan of new folder {path:?}: {summary}"),
        }
    }

    fn scan_everything(&self, stop: &Stop, tally: &mut Tally) -> Result<(), Break> {
        for (watch, baseline) in self.scope.watches().iter().zip(&self.baselines) {
            self.walk(&watch.local_path, watch, *baseline, stop, tally)?;
        }
        Ok(())
    }

    fn scan_folder(&self, path: &Path, stop: &Stop, tally: &mut Tally) -> Result<(), Break> {
        match self.scope.folder(path) {
            Some((_, watch)) => self.walk(path, watch, None, stop, tally),
            None => Ok(()),
        }
    }

    fn walk(
        &self,
        root: &Path,
        watch: &Watch,
        baseline: Option<i64>,
        stop: &Stop,
        tally: &mut Tally,
    ) -> Result<(), Break> {
        let depth = if watch.recursive { usize::MAX } else { 1 };
        let walk = WalkDir::new(root).follow_links(false).max_depth(depth).into_iter();
        let entered =
            |entry: &DirEntry| !entry.file_type().is_dir() || self.scope.enters(entry.path());
        for entry in walk.filter_entry(entered) {
            if stop.is_raised() {
                return Err(Break::Stopped);
            }
            match entry {
                Ok(entry) if entry.file_type().is_file() => {
                    self.consider(&entry, baseline, tally)?;
                }
                Ok(_) => {}
                Err(error) => report(&error, root == watch.local_path, tally),
            }
        }
        Ok(())
    }

    /// Queues one file if it is not in the bucket as it stands.
    fn consider(
        &self,
        entry: &DirEntry,
        baseline: Option<i64>,
        tally: &mut Tally,
    ) -> Result<(), Break> {
        let path = entry.path();
        let remote_path = match self.scope.place(path) {
            Place::File { index, remote_path, .. } => Ok((index, remote_path)),
            Place::Unnameable(error) => Err(error),
            Place::Excluded => {
                tally.excluded += 1;
                return Ok(());
            }
            Place::Outside => return Ok(()),
        };
        tally.files += 1;
        let at = clock::monotonic();
        // Gone since the folder was read: a deleted file needs nothing.
        let Ok(metadata) = entry.metadata() else { return Ok(()) };
        let fingerprint = Fingerprint::of(&metadata);
        let record = self.database.record(path)?;
        if record.is_none() && !plan::is_new(baseline, &fingerprint) {
            return Ok(());
        }
        let (watch, remote_path) = match remote_path {
            Ok(named) => named,
            Err(error) => {
                tally.unnameable += 1;
                return Ok(parking::park_unnameable(
                    &self.database,
                    path,
                    error,
                    clock::unix_seconds(),
                )?);
            }
        };
        if plan::need(record.as_ref(), remote_path.as_str(), &fingerprint) == Need::Nothing {
            return Ok(());
        }
        tally.queued += 1;
        let task = Task::new(path, watch, Some(Sighting { fingerprint, at }), at);
        if self.queue.push_waiting(&task, at + self.debounce) {
            Ok(())
        } else {
            Err(Break::Stopped)
        }
    }
}

fn report(error: &walkdir::Error, whole_watch: bool, tally: &mut Tally) {
    let watched_folder = whole_watch && error.depth() == 0;
    let gone = error.io_error().is_some_and(|error| error.kind() == ErrorKind::NotFound);
    if gone && !watched_folder {
        // Gone since it was heard of: a deleted folder needs nothing.
        return;
    }
    tally.unreadable += 1;
    let path = error.path().unwrap_or(Path::new(""));
    let cause = error.io_error().map_or_else(|| error.to_string(), ToString::to_string);
    if watched_folder {
        log::error!(
            "not backed up: watched folder {path:?}: {cause}; hint: it must exist and this user \
             must be able to read it (key watches[].local_path)"
        );
    } else {
        log::warn!("not backed up: {path:?}: {cause}; hint: let this user read it");
    }
}

/// One scan of everything makes all others in the batch superfluous, except those of new folders,
/// whose files may look old.
fn coalesce(first: ScanRequest, more: impl Iterator<Item = ScanRequest>) -> Vec<ScanRequest> {
    let mut requests: Vec<ScanRequest> = Vec::new();
    let mut everything = None;
    for request in std::iter::once(first).chain(more) {
        match request {
            ScanRequest::Everything { .. } => everything = everything.or(Some(request)),
            ScanRequest::Folder(ref path) => {
                let covered = |other: &ScanRequest| match other {
                    ScanRequest::Folder(outer) => path.starts_with(outer),
                    ScanRequest::Everything { .. } => false,
                };
                if !requests.iter().any(covered) {
                    requests.push(request);
                }
            }
        }
    }
    requests.extend(everything);
    requests
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_of_one_batch_are_scanned_once_each() {
        let folder = |path: &str| ScanRequest::Folder(path.into());
        let everything = |cause| ScanRequest::Everything { cause };
        let batch =
            [folder("/a/b"), everything("two"), folder("/ab"), folder("/a"), everything("x")];
        assert_eq!(
            coalesce(folder("/a"), batch.into_iter()),
            [folder("/a"), folder("/ab"), everything("two")]
        );
    }
}
