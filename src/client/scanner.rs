//! Walks the watched folders and queues what is not in the bucket yet.
//!
//! Runs on its own thread, with two more during a scan of everything. It owns the schedule of rescans.
//! The disk and the database are the truth and this is where they are compared; events only make it
//! faster. It never opens a file.

use crate::client::ahead::read_ahead;
use crate::client::baselines::Baselines;
use crate::client::comparison::{Break, Comparison, Tally, unreadable};
use crate::client::config::Watch;
use crate::client::database::LastScan;
use crate::client::parking;
use crate::client::progress::Progress;
use crate::client::walk::{self, as_folder, walk};
use crate::clock::Clock;
use crate::limits::{SCAN_CHUNK_FILES, SCAN_CHUNKS_AHEAD, SCAN_PAGE_ROWS};
use crate::threads::Stop;
use crossbeam_channel::{Receiver, Sender, select};
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

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
    /// The machine's clock was set: the baselines may have to follow.
    ClockSet,
}

/// The scanner, as whoever asks it for scans has it.
pub struct Scans {
    /// What is asked for.
    pub requests: Sender<ScanRequest>,
    /// A scan of everything has ended, whoever asked for it.
    pub ended: Receiver<()>,
}

/// The scanner's parts; see the module's head.
pub struct Scanner<C> {
    /// What it finds, and where that goes.
    pub comparison: Comparison<C>,
    /// For each watch, from when on its files count.
    pub baselines: Baselines,
    /// Time between two scans of everything.
    pub interval: Duration,
    /// Watched folders that could not be looked at when they were last scanned.
    pub lost: BTreeSet<PathBuf>,
    /// Who tells the operator.
    pub progress: Arc<Progress>,
    /// Who wants to know when a scan of everything has ended.
    pub ended: Sender<()>,
}

/// When everything is to be scanned next.
struct Rhythm {
    interval: Duration,
    due: Instant,
}

impl Rhythm {
    fn new(interval: Duration, now: Instant) -> Self {
        Self { interval, due: now + interval }
    }

    /// For how long it is not yet time.
    fn wait(&self, now: Instant) -> Duration {
        self.due.saturating_duration_since(now)
    }

    /// Takes in that a scan has ended. Only one of everything puts the next one off: where folders
    /// appear all day there would never be another.
    fn scanned(&mut self, request: &ScanRequest, now: Instant) {
        if matches!(request, ScanRequest::Everything { .. }) {
            self.due = now + self.interval;
        }
    }
}

impl<C: Clock + Sync> Scanner<C> {
    /// Scans everything once, releases the queue, then scans on request and at intervals until
    /// `stop` is raised.
    pub fn run(mut self, requests: &Receiver<ScanRequest>, stop: &Stop) {
        self.scan(&ScanRequest::Everything { cause: "start" }, stop);
        self.comparison.queue.release();
        let mut rhythm = Rhythm::new(self.interval, self.comparison.clock.monotonic());
        while !stop.is_raised() {
            let wait = rhythm.wait(self.comparison.clock.monotonic());
            let first = if wait.is_zero() {
                ScanRequest::Everything { cause: "interval" }
            } else {
                select! {
                    recv(stop.receiver()) -> _ => return,
                    recv(requests) -> request => match request {
                        Ok(request) => request,
                        Err(_) => return,
                    },
                    default(wait) => continue,
                }
            };
            for request in coalesce(first, requests.try_iter()) {
                self.scan(&request, stop);
                rhythm.scanned(&request, self.comparison.clock.monotonic());
                if matches!(request, ScanRequest::Everything { .. }) {
                    // If there is no room, they have not heard of the one before yet.
                    let _ = self.ended.try_send(());
                }
            }
        }
    }

    /// Does what is asked for. Whatever goes wrong is told, and left to the next scan.
    pub fn scan(&mut self, request: &ScanRequest, stop: &Stop) {
        if *request == ScanRequest::ClockSet {
            // What it lowers, the next scan of everything uses; until then there are events.
            self.baselines.look();
            return;
        }
        let started = self.comparison.clock.monotonic();
        if let ScanRequest::Everything { cause } = request {
            self.progress.scan_begins(cause, self.comparison.clock.unix_seconds());
        }
        let outcome = match request {
            ScanRequest::Folder(path) => self.scan_folder(path, stop),
            _ => self.scan_everything(stop),
        };
        let seconds = (self.comparison.clock.monotonic() - started).as_secs_f64();
        let done = outcome.as_ref().ok();
        let (files, queued) = done.map_or((0, 0), |tally| (tally.files, tally.queued));
        self.progress.scan_ends(seconds, files, queued, done.is_some());
        let Tally { files, excluded, queued, unreadable, unnameable, .. } = match outcome {
            Ok(tally) => tally,
            Err(Break::Stopped) => return,
            Err(Break::Database(error)) => {
                return log::error!("the scan broke off, the next one begins anew: {error}");
            }
            Err(Break::Thread(error)) => {
                return log::error!(
                    "the scan broke off, the next one begins anew: cannot start a thread: {error}"
                );
            }
        };
        let summary = format!(
            "{files} files, {queued} to look at, {unreadable} unreadable, {unnameable} with names \
             that cannot be stored; {excluded} more left out by patterns; {seconds:.1} s"
        );
        match request {
            ScanRequest::Everything { cause } => log::info!("scan ({cause}): {summary}"),
            ScanRequest::Folder(path) => log::debug!("scan of new folder {path:?}: {summary}"),
            ScanRequest::ClockSet => {}
        }
    }

    fn scan_everything(&mut self, stop: &Stop) -> Result<Tally, Break> {
        self.baselines.look();
        let mut all = Tally::default();
        for index in 0..self.comparison.scope.watches().len() {
            let watch = self.comparison.scope.watches()[index].clone();
            let started = self.comparison.clock.monotonic();
            let tally = self.walk_ahead(&watch, self.baselines.of(index), stop)?;
            if tally.root.is_none() {
                self.note_end(&watch.local_path, &tally, started)?;
            }
            self.note_root(&watch.local_path, tally.root)?;
            all.files += tally.files;
            all.excluded += tally.excluded;
            all.queued += tally.queued;
            all.unreadable += tally.unreadable;
            all.unnameable += tally.unnameable;
        }
        Ok(all)
    }

    /// A folder that has just appeared: one that is small as a rule, and not worth a thread.
    fn scan_folder(&self, path: &Path, stop: &Stop) -> Result<Tally, Break> {
        let comparison = &self.comparison;
        let Some((_, watch)) = comparison.scope.folder(path) else { return Ok(Tally::default()) };
        let enters = |folder: &Path| !stop.is_raised() && comparison.scope.enters(folder);
        let walk = walk(path, watch.recursive, enters);
        let mut tally = comparison.run(
            path,
            walk,
            comparison.database.rows_below(path, SCAN_PAGE_ROWS),
            None,
            stop,
        )?;
        if let Some(cause) = tally.root.take().filter(|cause| !walk::is_gone(cause)) {
            parking::park(
                &comparison.database,
                &as_folder(path),
                &unreadable(&cause),
                comparison.clock.unix_seconds(),
            )?;
        }
        Ok(tally)
    }

    /// Scans a watch with two threads that read ahead, one the disk and one the database.
    fn walk_ahead(
        &self,
        watch: &Watch,
        baseline: Option<i64>,
        stop: &Stop,
    ) -> Result<Tally, Break> {
        let (root, comparison) = (watch.local_path.as_path(), &self.comparison);
        std::thread::scope(|threads| {
            // Between two files there may be any number of folders: told to end, it enters no more.
            let enters = move |folder: &Path| !stop.is_raised() && comparison.scope.enters(folder);
            let files = move || walk(root, watch.recursive, enters);
            let ahead = SCAN_CHUNKS_AHEAD;
            let walk = read_ahead(threads, "scan-walk", SCAN_CHUNK_FILES, ahead, files)
                .map_err(Break::Thread)?;
            let rows = || comparison.database.rows_below(root, SCAN_PAGE_ROWS);
            let rows = read_ahead(threads, "scan-rows", SCAN_CHUNK_FILES, ahead, rows)
                .map_err(Break::Thread)?;
            comparison.run(root, walk, rows, baseline, stop)
        })
    }

    fn note_end(&self, root: &Path, tally: &Tally, started: Instant) -> Result<(), Break> {
        let took = self.comparison.clock.monotonic() - started;
        let scan = LastScan {
            ended_at: self.comparison.clock.unix_seconds(),
            milliseconds: i64::try_from(took.as_millis()).unwrap_or(i64::MAX),
            files: tally.files.cast_signed(),
        };
        Ok(self.comparison.database.scan_ended(root, &scan)?)
    }

    /// Tells it when a watched folder is lost, and when it is there again; once each time.
    fn note_root(&mut self, root: &Path, lost: Option<io::Error>) -> Result<(), Break> {
        let Some(cause) = lost else {
            if self.lost.remove(root) {
                log::info!("watched folder {root:?} can be read again");
            }
            return Ok(());
        };
        let reason = format!(
            "watched folder {root:?}: {cause}; hint: it must exist and this user must be able to \
             read it (key watches[].local_path); a service sees only what its unit names \
             (BindReadOnlyPaths=)"
        );
        if self.lost.insert(root.to_owned()) {
            log::error!("not backed up: {reason}");
        }
        let (path, now) = (as_folder(root), self.comparison.clock.unix_seconds());
        self.comparison.database.park(&path, &reason, now)?;
        Ok(())
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
            ScanRequest::ClockSet if requests.contains(&request) => {}
            ScanRequest::ClockSet => requests.insert(0, request),
            ScanRequest::Folder(ref path) => {
                let covered = |other: &ScanRequest| match other {
                    ScanRequest::Folder(outer) => path.starts_with(outer),
                    _ => false,
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
    use crate::clock;

    #[test]
    fn scans_of_new_folders_do_not_put_off_the_scan_of_everything() {
        let start = clock::monotonic();
        let at = |second| start + Duration::from_secs(second);
        let mut rhythm = Rhythm::new(Duration::from_secs(60), start);
        let wait = |rhythm: &Rhythm, second| rhythm.wait(at(second)).as_secs();
        for second in [20, 40, 59] {
            rhythm.scanned(&ScanRequest::Folder("/a".into()), at(second));
            rhythm.scanned(&ScanRequest::ClockSet, at(second));
            assert_eq!(wait(&rhythm, second), 60 - second);
        }
        assert_eq!([60, 70].map(|second| wait(&rhythm, second)), [0, 0], "it is not passed over");
        rhythm.scanned(&ScanRequest::Everything { cause: "interval" }, at(70));
        assert_eq!(wait(&rhythm, 71), 59);
    }

    #[test]
    fn requests_of_one_batch_are_scanned_once_each() {
        let folder = |path: &str| ScanRequest::Folder(path.into());
        let everything = |cause| ScanRequest::Everything { cause };
        let set = || ScanRequest::ClockSet;
        let batch = [folder("/a/b"), everything("two"), set(), folder("/ab"), folder("/a")];
        let batch = batch.into_iter().chain([set(), everything("x")]);
        assert_eq!(
            coalesce(folder("/a"), batch),
            [set(), folder("/a"), folder("/ab"), everything("two")]
        );
    }
}
