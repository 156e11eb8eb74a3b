//! Takes files from the queue, sees that they rest, sends them, and writes down what was sent.
//!
//! Runs as a set of worker threads that share one [`Uploader`]. The row in the database is the
//! commit point: it is written after the server's acknowledgement and after the file was seen
//! unchanged; everything before may be repeated. Workers never sleep on a file: what has to wait
//! goes back to the queue with a time.

use crate::client::attempt::Attempt;
use crate::client::bandwidth::Bucket;
use crate::client::config::{Stability, Upload, Watch};
use crate::client::database::Database;
use crate::client::disk::{Disk, OpenFile as _};
use crate::client::fingerprint::Fingerprint;
use crate::client::form::Fields;
use crate::client::outage::{Outage, Waits};
use crate::client::paced::Paced;
use crate::client::parking;
use crate::client::plan::{self, Need, Recall, Record};
use crate::client::progress::Progress;
use crate::client::queue::{SharedQueue, Task};
use crate::client::remote::{Failure, Remote};
use crate::client::retry;
use crate::client::scope::{Place, Scope};
use crate::client::stability::{Sighting, Verdict, judge};
use crate::clock::Clock;
use crate::digest::Digest;
use crate::limits::UPLOAD_GRACE;
use crate::remote_path::RemotePath;
use crate::sqlite::DatabaseError;
use crate::threads::{Interruptible, Stop};
use crate::wire::{Fault, Mtime};
use std::io::{self, Seek as _};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What the workers share; see the module's head. Disk, server and clock are those of this machine,
/// or those of a simulation.
pub struct Uploader<D, R, C> {
    /// What belongs to the backup.
    pub scope: Scope,
    /// What was uploaded.
    pub database: Arc<Database>,
    /// Where files come from and go back to.
    pub queue: Arc<SharedQueue>,
    /// Where the files are.
    pub disk: D,
    /// The server.
    pub remote: R,
    /// What time it is.
    pub clock: C,
    /// When a file counts as at rest.
    pub stability: Stability,
    /// How often and when to try again.
    pub upload: Upload,
    /// Files of more bytes than this are hashed before they are sent.
    pub hashed_first_above: u64,
    /// How fast they may send, all together.
    pub bucket: Option<Mutex<Bucket>>,
    /// When to end.
    pub stop: Stop,
    /// Whether the server serves us.
    pub outage: Mutex<Outage>,
    /// Who tells the operator.
    pub progress: Arc<Progress>,
}

/// What becomes of a task after one turn.
enum Turn {
    /// Nothing is left to do until something is heard of the file again.
    Done,
    /// It needs another turn, not before this moment.
    Again(Task, Instant),
}

impl<D: Disk, R: Remote, C: Clock> Uploader<D, R, C> {
    /// Works until the queue is closed.
    pub fn run(&self) {
        while let Some(task) = self.queue.pop() {
            self.take(task);
        }
    }

    /// Takes one task from the queue a step further, and gives it back.
    pub fn take(&self, task: Task) {
        let (path, watch, since) = (Arc::clone(&task.path), task.watch, task.since);
        match self.turn(task) {
            Ok(Turn::Done) => self.queue.done(&path, self.clock.monotonic()),
            Ok(Turn::Again(task, due)) => self.queue.put_back(task, due),
            Err(error) => {
                // Without its memory the client cannot say what is done. It goes on trying: a full
                // disk may be emptied.
                let now = self.clock.monotonic();
                let waits = self.outage().pause(Fault::Server, None, now, fastrand::f64());
                self.pause(waits, now, Fault::Server, &error);
                self.progress.troubled(error.to_string(), self.clock.unix_seconds());
                self.queue.put_back(Task::new(path, watch, None, since), now);
            }
        }
        self.progress.turned();
    }

    fn turn(&self, mut task: Task) -> Result<Turn, DatabaseError> {
        let path = Arc::clone(&task.path);
        let Some((remote_path, watch)) = self.place(&path)? else { return Ok(Turn::Done) };
        let now = match self.look(&path) {
            Ok(Some(sighting)) => sighting,
            Ok(None) => return self.gone(&path),
            Err(error) => {
                return self.failed(
                    task,
                    Attempt::Unreadable,
                    &format!("cannot look at it: {error}"),
                );
            }
        };
        let record = self.database.record(&path)?;
        let need = plan::need(record.as_ref(), remote_path.as_str(), &now.fingerprint);
        if need == Need::Nothing {
            self.database.unpark(&path)?;
            return Ok(Turn::Done);
        }
        if let Some(limit) = watch.max_file_size.filter(|limit| now.fingerprint.size > *limit) {
            parking::park_too_large(&self.database, &path, limit, self.clock.unix_seconds())?;
            return Ok(Turn::Done);
        }
        match judge(task.sighting.as_ref(), &now, self.stability.debounce) {
            Verdict::Settled => {}
            Verdict::Early(due) => {
                task.sighting = task.sighting.or(Some(now));
                return self.again_unless_restless(task, due);
            }
            Verdict::Changed(due) => return self.changed(task, Some(now), due),
        }
        let (mut file, opened) = match self.disk.open(&watch.local_path, &path) {
            Ok(Some(opened)) => opened,
            Ok(None) => return self.gone(&path),
            Err(error) => {
                let hint = "hint: let this user read it";
                return self.failed(
                    task,
                    Attempt::Unreadable,
                    &format!("cannot open it: {error}; {hint}"),
                );
            }
        };
        if opened != now.fingerprint {
            return self.changed(task, None, self.clock.monotonic());
        }
        if let Need::Compare(stored) = need {
            match self.digest(&mut file) {
                Err(error) => {
                    return self.failed(
                        task,
                        Attempt::Unreadable,
                        &format!("cannot read it: {error}"),
                    );
                }
                Ok(digest) if digest == stored && self.untouched(&file, &path, &opened) => {
                    self.database.unchanged(&path, &opened)?;
                    return Ok(Turn::Done);
                }
                Ok(_) => {}
            }
        }
        if record.is_none() && self.database.may_have_lost(&opened) {
            match self.recall(&mut file, &opened, &remote_path) {
                Ok(Some(record)) if self.untouched(&file, &path, &opened) => {
                    self.database.recalled(&path, &record, self.clock.unix_seconds())?;
                    log::info!("{path:?} is on the server as it stands: not uploaded again");
                    return Ok(Turn::Done);
                }
                Ok(_) => {}
                Err(failure) => return self.refused(task, &failure),
            }
        }
        if record.is_some() {
            // Whether it arrives may never be known, and what was there before may come back.
            self.database.sending(&path)?;
        }
        self.send(task, file, &opened, &remote_path)
    }

    /// Asks the server for a file whose row may have been lost: the row, if it has these bytes.
    fn recall(
        &self,
        file: &mut D::File,
        opened: &Fingerprint,
        remote_path: &RemotePath,
    ) -> Result<Option<Record>, Failure> {
        let existence = self.remote.existence(remote_path)?;
        self.server_answers();
        let Recall::Hash(sha256) = plan::recall(&existence, opened) else { return Ok(None) };
        let same = self.digest(file).map_err(Failure::File)? == sha256;
        let record =
            || Record { remote_path: remote_path.to_string(), fingerprint: *opened, sha256 };
        Ok(same.then(record))
    }

    /// Where a file belongs: its remote path and the watch it lies in.
    fn place(&self, path: &Path) -> Result<Option<(RemotePath, &Watch)>, DatabaseError> {
        match self.scope.place(path) {
            Place::File { watch, remote_path, .. } => Ok(Some((remote_path, watch))),
            Place::Outside | Place::Excluded => Ok(None),
            Place::Unnameable(error) => {
                let now = self.clock.unix_seconds();
                parking::park_unnameable(&self.database, path, error, now)?;
                Ok(None)
            }
        }
    }

    fn send(
        &self,
        task: Task,
        mut file: D::File,
        opened: &Fingerprint,
        remote_path: &RemotePath,
    ) -> Result<Turn, DatabaseError> {
        let path = Arc::clone(&task.path);
        let started = self.clock.monotonic();
        // A large object's metadata is written before its bytes, so its digest has to come first;
        // a small one is read only once.
        let sha256 = match (opened.size > self.hashed_first_above).then(|| self.digest(&mut file)) {
            Some(Err(error)) => {
                return self.failed(task, Attempt::Unreadable, &format!("cannot read it: {error}"));
            }
            Some(Ok(digest)) => Some(digest),
            None => None,
        };
        let fields = Fields {
            path: remote_path.as_str(),
            size: opened.size,
            mtime: Mtime::from_nanos(opened.mtime_ns),
            sha256,
        };
        let sending = self.progress.take_in_hand(&path, opened.size);
        let content = sending.counted(self.interruptible(&mut file));
        let mut content = Paced::new(content, self.bucket.as_ref(), &self.stop);
        let uploaded = match self.remote.upload(&mut content, &fields) {
            Ok(uploaded) => uploaded,
            // What looks like a failure may be a file that changed meanwhile.
            Err(_) if !self.untouched(&file, &path, opened) => {
                return self.changed(task, None, self.clock.monotonic());
            }
            Err(failure) => return self.refused(task, &failure),
        };
        self.server_answers();
        if !self.untouched(&file, &path, opened) {
            log::info!("{path:?} was changed while it was sent; it is sent again");
            return self.changed(task, None, self.clock.monotonic());
        }
        let record = Record {
            remote_path: remote_path.to_string(),
            fingerprint: *opened,
            sha256: uploaded.sha256,
        };
        self.database.uploaded(&path, &record, self.clock.unix_seconds())?;
        self.progress.uploaded(uploaded.size, self.clock.unix_seconds());
        let seconds = (self.clock.monotonic() - started).as_secs_f64();
        log::info!(
            "uploaded {path:?} to {:?}: {} bytes, sha256 {}, {seconds:.3} s",
            uploaded.s3_key,
            uploaded.size,
            uploaded.sha256
        );
        Ok(Turn::Done)
    }

    /// Whether both the open file and what now stands at its path are still what was opened.
    fn untouched(&self, file: &D::File, path: &Path, opened: &Fingerprint) -> bool {
        let open = file.fingerprint().is_ok_and(|now| now == *opened);
        let named = self.disk.look(path).is_ok_and(|now| now == Some(*opened));
        open && named
    }

    /// What stands at a path now. The moment is taken before the look: what was seen is no younger.
    fn look(&self, path: &Path) -> io::Result<Option<Sighting>> {
        let at = self.clock.monotonic();
        Ok(self.disk.look(path)?.map(|fingerprint| Sighting { fingerprint, at }))
    }

    fn interruptible<'f>(&self, file: &'f mut D::File) -> Interruptible<&'f mut D::File> {
        Interruptible::new(file, self.stop.clone(), UPLOAD_GRACE)
    }

    fn digest(&self, file: &mut D::File) -> io::Result<Digest> {
        let digest = Digest::of_reader(self.interruptible(file))?;
        file.rewind()?;
        Ok(digest)
    }

    fn gone(&self, path: &Path) -> Result<Turn, DatabaseError> {
        log::debug!("{path:?} is gone; what was backed up of it stays");
        self.database.unpark(path)?;
        Ok(Turn::Done)
    }

    /// Begins the wait of a file anew that was found changed.
    fn changed(
        &self,
        mut task: Task,
        sighting: Option<Sighting>,
        due: Instant,
    ) -> Result<Turn, DatabaseError> {
        task.changes += 1;
        task.sighting = sighting;
        self.again_unless_restless(task, due)
    }

    fn again_unless_restless(&self, mut task: Task, due: Instant) -> Result<Turn, DatabaseError> {
        let now = self.clock.monotonic();
        let restless = match task.changes {
            0 => Duration::ZERO,
            _ => now.saturating_duration_since(*task.restless_since.get_or_insert(now)),
        };
        let max_wait = self.stability.max_wait;
        let after = if task.changes >= self.stability.max_attempts {
            format!("{} looks (stability.max_attempts)", task.changes)
        } else if restless >= max_wait {
            format!("{} seconds (stability.max_wait_seconds)", max_wait.as_secs())
        } else {
            return Ok(Turn::Again(task, due));
        };
        let reason = format!(
            "it was still changing after {after}; it is tried again when it changes next and at the \
             next scan"
        );
        self.park(&task.path, &reason)
    }

    fn refused(&self, task: Task, failure: &Failure) -> Result<Turn, DatabaseError> {
        if self.stop.is_raised() {
            // The queue is closed already; the file is found again at the next start.
            log::info!("{:?} was not sent to its end: the program is ending", task.path);
            return Ok(Turn::Done);
        }
        match failure.fault() {
            Fault::Request => {
                self.server_answers();
                self.progress.failed(Attempt::Refused);
                self.park(&task.path, &failure.to_string())
            }
            Fault::Exchange => {
                let attempt = match failure {
                    Failure::File(_) => Attempt::Unreadable,
                    _ => Attempt::Broken,
                };
                self.failed(task, attempt, &failure.to_string())
            }
            fault @ (Fault::Key | Fault::Server) => self.unserved(task, fault, failure),
        }
    }

    /// The server could not take it, and that is not the file's fault.
    fn unserved(
        &self,
        mut task: Task,
        fault: Fault,
        failure: &Failure,
    ) -> Result<Turn, DatabaseError> {
        self.progress.failed(Attempt::of(fault));
        let now = self.clock.monotonic();
        let asked = failure.retry_after();
        let waits = self.outage().failed(fault, &mut task.fault, asked, now, fastrand::f64());
        // It rests, but for how long the server is away nobody knows: look again.
        task.sighting = None;
        if waits != Waits::FileAlone {
            self.progress.server_fails(failure.to_string(), self.clock.unix_seconds());
            self.pause(waits, now, fault, failure);
            return Ok(Turn::Again(task, now));
        }
        let times = task.fault.alone;
        let delay = retry::file_delay(self.upload.retry_delay, times, fastrand::f64());
        if times == self.upload.retry_attempts.saturating_add(1) {
            let reason = format!("{failure}; others are stored meanwhile; it is tried on and on");
            parking::park(&self.database, &task.path, &reason, self.clock.unix_seconds())?;
        } else {
            log::warn!(
                "{:?}: {failure}; others are stored meanwhile; tried again in {:.1} s",
                task.path,
                delay.as_secs_f64()
            );
        }
        Ok(Turn::Again(task, now + delay))
    }

    fn failed(
        &self,
        mut task: Task,
        attempt: Attempt,
        reason: &str,
    ) -> Result<Turn, DatabaseError> {
        task.failures += 1;
        self.progress.failed(attempt);
        if task.failures > self.upload.retry_attempts {
            return self.park(&task.path, reason);
        }
        let delay = retry::file_delay(self.upload.retry_delay, task.failures, fastrand::f64());
        log::warn!(
            "{:?}: {reason}; tried again in {:.1} s ({} of {})",
            task.path,
            delay.as_secs_f64(),
            task.failures,
            self.upload.retry_attempts
        );
        Ok(Turn::Again(task, self.clock.monotonic() + delay))
    }

    fn park(&self, path: &Path, reason: &str) -> Result<Turn, DatabaseError> {
        parking::park(&self.database, path, reason, self.clock.unix_seconds())?;
        Ok(Turn::Done)
    }

    /// Lets no upload begin for a while, and says so, if that is news.
    fn pause(&self, waits: Waits, now: Instant, fault: Fault, cause: &dyn std::fmt::Display) {
        let Waits::Everybody(pause) = waits else { return };
        self.queue.pause(now + pause);
        let (seconds, waiting) = (pause.as_secs_f64(), self.queue.len());
        match fault {
            Fault::Key => log::error!(
                "uploads pause for {seconds:.0} s, nothing is backed up, {waiting} files wait: \
                 {cause}; hint: compare server.api_key with the server's clients"
            ),
            _ => log::warn!("uploads pause for {seconds:.0} s, {waiting} files wait: {cause}"),
        }
    }

    fn server_answers(&self) {
        self.progress.server_answers(self.clock.unix_seconds());
        if self.outage().answered() {
            log::info!("the server answers again; {} files wait", self.queue.len());
        }
    }

    fn outage(&self) -> MutexGuard<'_, Outage> {
        self.outage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
