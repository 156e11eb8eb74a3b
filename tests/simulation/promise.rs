//! What has to hold: after each turn of a worker, when all hints are dealt with, and at rest.

use super::history::History;
use super::world::World;
use s3up::client::scope::Place;
use s3up::digest::Digest;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

/// What is known of a history that kept the promise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// How many uploads were begun.
    pub(super) uploads: u64,
    /// How many rows came back from the server, after the database was damaged.
    pub(super) recalled: u64,
    /// How many files were in the backup in the end.
    pub(super) files: u64,
    /// Whether every change had been heard of, so that none had to wait for a scan.
    pub(super) heard: bool,
}

/// Has `history` happen, and says what of the promise was broken.
pub(super) fn keep(history: &History, traced: bool) -> (Result<Tally, String>, String) {
    let world = World::new(history, traced);
    let kept = world.go_through();
    let trace = world.trace();
    world.end();
    (kept, trace)
}

/// What should have become of a file.
enum Fate {
    /// Its bytes are in the store, and there is a row that says so.
    Stored,
    /// It is parked, and the reason begins like this.
    Told(&'static str),
    /// It was there before the first run and was not touched since.
    Old,
}

impl World {
    fn go_through(self: &Rc<Self>) -> Result<Tally, String> {
        self.run(Self::is_over)?;
        self.calm_down();
        // First what is to be done without another scan of everything.
        self.come_to_rest(|client| client.scan_never())?;
        let heard = !self.unheard.get();
        if heard {
            self.check_files(true)?;
        }
        self.come_to_rest(|client| client.scan_soon(self))?;
        self.check_files(false)?;
        self.check_parked()?;
        self.check_effort()?;
        let before = self.effort();
        for _ in 0..2 {
            self.come_to_rest(|client| client.scan_soon(self))?;
        }
        self.check_files(false)?;
        self.check_parked()?;
        self.check_rest(&before)?;
        let (uploads, recalled) = (self.server.borrow().begun, self.recalled());
        let files = self.disk.borrow().files().count() as u64;
        Ok(Tally { uploads, recalled, files, heard })
    }

    /// Goes on until the client has nothing to do; for an hour at most, which is longer than any pause.
    fn come_to_rest(self: &Rc<Self>, begin: impl Fn(&super::client::Client)) -> Result<(), String> {
        let until = self.now() + Duration::from_secs(60 * 60);
        let client = self.client().ok_or("the client does not run")?;
        // Notes have seconds: what was parked in the second of a scan is not forgotten by it.
        self.pass(Duration::from_secs(1));
        begin(&client);
        let idle = |world: &Self| {
            let rests = client.is_idle(world) && world.kernel.borrow().pending.is_empty();
            if rests || client.next_scan().is_some() {
                client.scan_never();
            }
            rests || world.now() > until
        };
        self.run(idle)?;
        if client.is_idle(self) && self.now() <= until {
            Ok(())
        } else {
            Err("it does not come to rest".to_owned())
        }
    }

    /// How many rows there are whose upload the database knows nothing of.
    fn recalled(&self) -> u64 {
        let database = self.database();
        let uploaded: i64 = database.days(9999).unwrap().iter().map(|day| day.files).sum();
        let files = database.file_count().unwrap();
        if self.rebuilt.get() { files.saturating_sub(uploaded.cast_unsigned()) } else { 0 }
    }

    fn fate(&self, path: &Path) -> Option<Fate> {
        let place = self.scope.place(path);
        if matches!(place, Place::Outside | Place::Excluded) {
            return None;
        }
        let disk = self.disk.borrow();
        let inode = disk.file(path)?.borrow();
        let known = self.known.borrow().contains(path);
        let everything = self.settings.upload_existing == 1 || self.rebuilt.get();
        if !(inode.new || known || everything) {
            return Some(Fate::Old);
        }
        Some(if matches!(place, Place::Unnameable(_)) {
            Fate::Told("its name cannot be stored")
        } else if self.settings.own_limit > 0 && inode.bytes.len() as u64 > self.settings.own_limit
        {
            Fate::Told("it is larger than")
        } else if !inode.readable {
            Fate::Told("cannot open it")
        } else if inode.bytes.len() as u64 > self.settings.limit {
            Fate::Told("the server answers 413")
        } else {
            Fate::Stored
        })
    }

    /// What a worker left behind: no row without an acknowledgement, and none that looks like the file
    /// and means other bytes.
    pub(super) fn check_row(&self, path: &Path) {
        if let Err(broken) = self.judge_row(path) {
            self.broken.borrow_mut().get_or_insert(broken);
        }
    }

    /// Returns whether there is a row for what stands at `path` now.
    fn judge_row(&self, path: &Path) -> Result<bool, String> {
        let shown = path.display();
        let Some(row) = self.database().record(path).unwrap() else { return Ok(false) };
        self.known.borrow_mut().insert(path.to_owned());
        let server = self.server.borrow();
        if !server.acknowledged.contains(&(row.remote_path.clone(), row.sha256)) {
            return Err(format!("{shown} has a row without an acknowledgement"));
        }
        let disk = self.disk.borrow();
        // A size of -1 says that other bytes were sent since.
        if row.fingerprint.size != u64::MAX && !disk.was(&row.fingerprint, row.sha256) {
            return Err(format!("{shown} has a row of bytes that it never had as it looked then"));
        }
        if disk.born(&row.fingerprint).is_some_and(|born| !self.may_have_rested(born)) {
            return Err(format!("{shown} was sent before it rested"));
        }
        let Some(file) = disk.file(path).map(|file| file.borrow()) else { return Ok(false) };
        if file.fingerprint() != row.fingerprint {
            return Ok(false);
        }
        if self.set_back.get() && disk.is_ambiguous(&row.fingerprint) {
            // Nobody can tell the two apart; DESIGN.md has it among the limits.
            return Ok(true);
        }
        if Digest::of(&file.bytes) != row.sha256 {
            return Err(format!("{shown} has a row of its fingerprint and of other bytes"));
        }
        if server.stored.get(&row.remote_path) != Some(&file.bytes) {
            return Err(format!("{shown} has a row, and other bytes are stored"));
        }
        let place = self.scope.place(path);
        let Place::File { remote_path, .. } = place else {
            return Err(format!("{shown} is none of its business and has a row"));
        };
        if remote_path.as_str() != row.remote_path {
            return Err(format!("{shown} has a row for another remote path"));
        }
        Ok(true)
    }

    /// Whether a file that came to look as it does at the moment `born` may have been looked at twice by
    /// now, as far apart as is asked for.
    fn may_have_rested(&self, born: Duration) -> bool {
        // The moment of a look is taken right before it, which is long ago if others had turns since.
        let in_between = Duration::from_micros(2 * self.settings.call_us);
        let rested = self.now().saturating_sub(born) + in_between;
        self.settings.mix > 0 || rested >= Duration::from_millis(self.settings.debounce_ms)
    }

    /// Every file is where it should be. With `soon` only what was heard of has been looked at: a file
    /// may be parked until the next scan.
    fn check_files(&self, soon: bool) -> Result<(), String> {
        let parked: BTreeMap<PathBuf, String> =
            self.database().parked().unwrap().into_iter().collect();
        // A server that is away is no file's fault, unless it serves others.
        let away = ["nobody", "the connection", "the answer is", "the server answers 503"];
        let blamed = parked.iter().find(|(_, reason)| {
            let blamed = away.iter().any(|away| reason.starts_with(away));
            blamed && !reason.contains("others are stored meanwhile")
        });
        if let Some((path, reason)) = blamed {
            return Err(format!("{} is blamed for the server: {reason}", path.display()));
        }
        let paths: Vec<PathBuf> =
            self.disk.borrow().files().map(|(path, _)| path.clone()).collect();
        for path in &paths {
            let shown = path.display();
            let stored = self.judge_row(path)?;
            let reason = parked.get(path);
            let when = if soon { "after all hints" } else { "after a scan" };
            match self.fate(path) {
                None | Some(Fate::Old) => {}
                Some(Fate::Stored) if stored && (soon || reason.is_none()) => {}
                Some(Fate::Stored) if soon && reason.is_some() => {}
                Some(Fate::Stored) => {
                    return Err(format!("{shown} is not backed up {when}; parked: {reason:?}"));
                }
                Some(Fate::Told(expected)) => {
                    let told = reason.is_some_and(|reason| reason.starts_with(expected));
                    if !(told || soon && reason.is_some()) {
                        return Err(format!(
                            "{shown} should be parked {when}, {expected}; parked: {reason:?}"
                        ));
                    }
                }
            }
        }
        let server = self.server.borrow();
        let secret = server.stored.keys().find(|key| {
            let below_flat = key.strip_prefix("second/").is_some_and(|name| name.contains('/'));
            below_flat || ["out", "skip", "tmp"].iter().any(|odd| key.contains(odd))
        });
        secret.map_or(Ok(()), |key| Err(format!("{key} should never have been stored")))
    }

    /// Nothing is parked for a reason that is not true.
    fn check_parked(&self) -> Result<(), String> {
        for (path, reason) in self.database().parked().unwrap() {
            let mut watches = self.scope.watches().iter().map(|watch| &watch.local_path);
            if watches.any(|root| path.starts_with(root) && !self.is_folder(root)) {
                // Nobody can look there.
                continue;
            }
            let true_reason = match self.fate(&path) {
                Some(Fate::Told(expected)) => reason.starts_with(expected),
                Some(Fate::Old) => true,
                Some(Fate::Stored) | None => false,
            };
            if !true_reason {
                return Err(format!("{} is parked for no reason: {reason}", path.display()));
            }
        }
        Ok(())
    }

    /// It did not send more often than there were reasons to.
    fn check_effort(&self) -> Result<(), String> {
        let (server, disk) = (self.server.borrow(), self.disk.borrow());
        let again = server.failed + server.refused + self.starts.get() * self.settings.workers;
        let reasons = disk.changes + again;
        if server.begun > reasons {
            return Err(format!("it sent {} times for {reasons} reasons", server.begun));
        }
        Ok(())
    }

    /// How often each file was opened.
    fn effort(&self) -> BTreeMap<PathBuf, u64> {
        self.opens.borrow().clone()
    }

    /// Only what is too large was opened again.
    fn check_rest(&self, before: &BTreeMap<PathBuf, u64>) -> Result<(), String> {
        for (path, opens) in self.opens.borrow().iter() {
            let bytes = self.disk.borrow().file(path).map_or(0, |file| file.borrow().bytes.len());
            if before.get(path) != Some(opens) && bytes as u64 <= self.settings.limit {
                return Err(format!("{} is read again and again", path.display()));
            }
        }
        Ok(())
    }
}
