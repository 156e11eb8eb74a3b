//! Takes files from the queue, sees that they rest, sends them, and writes down what was sent.
//!
//! Runs as a set of worker threads that share one [`Uploader`]. The row in the database is the
//! commit point: it is written after the server's acknowledgement and after the file was seen
//! unchanged; everything before may be repeated. Workers never sleep on a file: what has to wait
//! goes back to the queue with a time.

use crate::client::config::{Stability, Upload, Watch};
use crate::client::database::Database;
use crate::client::disk;
use crate::client::fingerprint::Fingerprint;
use crate::client::form::Fields;
use crate::client::parking;
use crate::client::plan::{self, Need, Record};
use crate::client::queue::{SharedQueue, Task};
use crate::client::retry;
use crate::client::scope::{Place, Scope};
use crate::client::stability::{Sighting, Verdict, judge};
use crate::client::transport::{Failure, Transport};
use crate::clock;
use crate::digest::Digest;
use crate::limits::{PART_BYTES, UPLOAD_GRACE};
use crate::remote_path::RemotePath;
use crate::sqlite::DatabaseError;
use crate::threads::{Interruptible, Stop};
use crate::wire::{Fault, Mtime};
use std::fs::File;
use std::io::{self, Seek as _};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What the workers share; see the module's head.
pub struct Uploader {
    /// What belongs to the backup.
    pub scope: Scope,
    /// What was uploaded.
    pub database: Arc<Database>,
    /// Where files come from and go back to.
    pub queue: Arc<SharedQueue>,
    /// The way to the server.
    pub transport: Transport,
    /// When a file counts as at rest.
    pub stability: Stability,
    /// How often and when to try again.
    pub upload: Upload,
    /// When to end.
    pub stop: Stop,
    /// Whether the server serves us.
    pub outage: Mutex<Outage>,
}

/// How long the server, or the key, has been failing.
#[derive(Debug, Default)]
pub struct Outage {
    /// Pauses in a row; zero while all is well.
    pauses: u32,
    /// The end of the present pause.
    until: Option<Instant>,
}

/// What becomes of a task after one turn.
enum Turn {
    /// Nothing is left to do until something is heard of the file again.
    Done,
    /// It needs another turn, not before this moment.
    Again(Task, Instant),
}

impl Uploader {
    /// Works until the queue is closed.
    pub fn run(&self) {
        while let Some(task) = self.queue.pop() {
            let path = Arc::clone(&task.path);
            match self.turn(task) {
                Ok(Turn::Done) => self.queue.done(&path),
                Ok(Turn::Again(task, due)) => self.queue.put_back(task, due),
                Err(error) => {
                    // Without its memory the client cannot say what is done. It goes on trying:
                    // a full disk may be emptied.
                    self.pause(Fault::Server, None, &error);
                    self.queue.put_back(Task::new(path, None), clock::monotonic());
                }
            }
        }
    }

    fn turn(&self, mut task: Task) -> Result<Turn, DatabaseError> {
        let path = Arc::clone(&task.path);
        let Some((remote_path, watch)) = self.place(&path)? else { return Ok(Turn::Done) };
        let now = match disk::look(&path) {
            Ok(Some(sighting)) => sighting,
            Ok(None) => return self.gone(&path),
            Err(error) => return self.failed(task, &format!("cannot look at it: {error}")),
        };
        let record = self.database.record(&path)?;
        let need = plan::need(record.as_ref(), remote_path.as_str(), &now.fingerprint);
        if need == Need::Nothing {
            self.database.unpark(&path)?;
            return Ok(Turn::Done);
        }
        if let Some(limit) = watch.max_file_size.filter(|limit| now.fingerprint.size > *limit) {
            parking::park_too_large(&self.database, &path, limit)?;
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
        let (mut file, opened) = match disk::open(&watch.local_path, &path) {
            Ok(Some(opened)) => opened,
            Ok(None) => return self.gone(&path),
            Err(error) => {
                let hint = "hint: let this user read it";
                return self.failed(task, &format!("cannot open it: {error}; {hint}"));
            }
        };
        if opened != now.fingerprint {
            return self.changed(task, None, clock::monotonic());
        }
        if let Need::Compare(stored) = need {
            match self.digest(&mut file) {
                Err(error) => return self.failed(task, &format!("cannot read it: {error}")),
                Ok(digest) if digest == stored && self.untouched(&file, &path, &opened) => {
                    self.database.unchanged(&path, &opened)?;
                    return Ok(Turn::Done);
                }
                Ok(_) => {}
            }
        }
        self.send(task, file, &opened, &remote_path)
    }

    /// Where a file belongs: its remote path and the watch it lies in.
    fn place(&self, path: &Path) -> Result<Option<(RemotePath, &Watch)>, DatabaseError> {
        match self.scope.place(path) {
            Place::File { watch, remote_path, .. } => Ok(Some((remote_path, watch))),
            Place::Outside | Place::Excluded => Ok(None),
            Place::Unnameable(error) => {
                parking::park_unnameable(&self.database, path, error)?;
                Ok(None)
            }
        }
    }

    fn send(
        &self,
        task: Task,
        mut file: File,
        opened: &Fingerprint,
        remote_path: &RemotePath,
    ) -> Result<Turn, DatabaseError> {
        let path = Arc::clone(&task.path);
        let started = clock::monotonic();
        // A large object's metadata is written before its bytes, so its digest has to come first;
        // a small one is read only once.
        let sha256 = match (opened.size > PART_BYTES as u64).then(|| self.digest(&mut file)) {
            Some(Err(error)) => return self.failed(task, &format!("cannot read it: {error}")),
            Some(Ok(digest)) => Some(digest),
            None => None,
        };
        let fields = Fields {
            path: remote_path.as_str(),
            size: opened.size,
            mtime: Mtime::from_nanos(opened.mtime_ns),
            sha256,
        };
        let content = self.interruptible(&file);
        let uploaded = match self.transport.upload(content, &fields) {
            Ok(uploaded) => uploaded,
            // What looks like a failure may be a file that changed meanwhile.
            Err(_) if !self.untouched(&file, &path, opened) => {
                return self.changed(task, None, clock::monotonic());
            }
            Err(failure) => return self.refused(task, &failure),
        };
        self.server_answers();
        if !self.untouched(&file, &path, opened) {
            log::info!("{path:?} was changed while it was sent; it is sent again");
            return self.changed(task, None, clock::monotonic());
        }
        let record = Record {
            remote_path: remote_path.to_string(),
            fingerprint: *opened,
            sha256: uploaded.sha256,
        };
        self.database.uploaded(&path, &record, clock::unix_seconds())?;
        let seconds = (clock::monotonic() - started).as_secs_f64();
        log::info!(
            "uploaded {path:?} to {:?}: {} bytes, sha256 {}, {seconds:.3} s",
            uploaded.s3_key,
            uploaded.size,
            uploaded.sha256
        );
        Ok(Turn::Done)
    }

    /// Whether both the open file and what now stands at its path are still what was opened.
    fn untouched(&self, file: &File, path: &Path, opened: &Fingerprint) -> bool {
        let open = file.metadata().is_ok_and(|metadata| Fingerprint::of(&metadata) == *opened);
        let named = disk::look(path)
            .is_ok_and(|sighting| sighting.is_some_and(|now| now.fingerprint == *opened));
        open && named
    }

    fn interruptible<'f>(&self, file: &'f File) -> Interruptible<&'f File> {
        Interruptible::new(file, self.stop.clone(), UPLOAD_GRACE)
    }

    fn digest(&self, file: &mut File) -> io::Result<Digest> {
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

    fn again_unless_restless(&self, task: Task, due: Instant) -> Result<Turn, DatabaseError> {
        if task.changes < self.stability.max_attempts {
            return Ok(Turn::Again(task, due));
        }
        let reason = format!(
            "it was still changing after {} looks (stability.max_attempts); it is tried again when \
             it changes next and at the next scan",
            task.changes
        );
        self.park(&task.path, &reason)
    }

    fn refused(&self, mut task: Task, failure: &Failure) -> Result<Turn, DatabaseError> {
        if self.stop.is_raised() {
            // The queue is closed already; the file is found again at the next start.
            log::info!("{:?} was not sent to its end: the program is ending", task.path);
            return Ok(Turn::Done);
        }
        match failure.fault() {
            Fault::Request => {
                self.server_answers();
                self.park(&task.path, &failure.to_string())
            }
            Fault::Exchange => self.failed(task, &failure.to_string()),
            fault @ (Fault::Key | Fault::Server) => {
                self.pause(fault, failure.retry_after(), failure);
                // It rests, but for how long the server is away nobody knows: look again.
                task.sighting = None;
                Ok(Turn::Again(task, clock::monotonic()))
            }
        }
    }

    fn failed(&self, mut task: Task, reason: &str) -> Result<Turn, DatabaseError> {
        task.failures += 1;
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
        Ok(Turn::Again(task, clock::monotonic() + delay))
    }

    fn park(&self, path: &Path, reason: &str) -> Result<Turn, DatabaseError> {
        parking::park(&self.database, path, reason)?;
        Ok(Turn::Done)
    }

    /// Lets no upload begin for a while. Several workers meet the same outage at once; it counts
    /// and is reported once.
    fn pause(&self, fault: Fault, asked: Option<Duration>, cause: &dyn std::fmt::Display) {
        let mut outage = self.outage.lock().unwrap_or_else(PoisonError::into_inner);
        let now = clock::monotonic();
        if outage.until.is_some_and(|until| until > now) {
            return;
        }
        outage.pauses = outage.pauses.saturating_add(1);
        let pause = retry::pause(fault, outage.pauses, asked, fastrand::f64());
        outage.until = Some(now + pause);
        self.queue.pause(now + pause);
        let hint = match fault {
            Fault::Key => "; hint: compare server.api_key with the server's clients",
            _ => "",
        };
        log::warn!(
            "uploads pause for {:.0} s, {} files wait: {cause}{hint}",
            pause.as_secs_f64(),
            self.queue.len()
        );
    }

    fn server_answers(&self) {
        let mut outage = self.outage.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::take(&mut *outage).pauses > 0 {
            log::info!("the server answers again; {} files wait", self.queue.len());
        }
    }
}
