//! What the running client is doing and how it has fared since its start, for whoever asks.
//!
//! Scanner, watcher and the uploader's workers tell it, in one line each; the console's threads
//! read it. It owns the counters, behind one mutex that is held for a few assignments. It decides
//! nothing and reads no clock: moments are arguments, in seconds since 1970.

use crate::client::attempt::Attempt;
use crossbeam_channel::{Receiver, Sender, bounded};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The counters; see the module's head.
#[derive(Debug)]
pub struct Progress {
    state: Mutex<State>,
    sent: AtomicU64,
    stir: Sender<()>,
    stirred: Receiver<()>,
    bell: Sender<()>,
    news: Receiver<()>,
}

#[derive(Debug, Default)]
struct State {
    hands: BTreeMap<u64, Hand>,
    next_hand: u64,
    files: u64,
    bytes: u64,
    failures: BTreeMap<Attempt, u64>,
    last_success: Option<i64>,
    server: ServerState,
    trouble: Option<Trouble>,
    scanning: Option<ScanBegun>,
    last_scan: Option<ScanDone>,
    last_complete: Option<ScanDone>,
    watches: BTreeMap<PathBuf, Option<String>>,
}

#[derive(Debug)]
struct Hand {
    path: Arc<Path>,
    size: u64,
    sent: Arc<AtomicU64>,
}

/// What was uploaded since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Uploads {
    /// Files that the server has acknowledged.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Attempts that failed, each of which was or will be repeated, or parked.
    pub failures: u64,
    /// When the last file was acknowledged.
    pub last_success: Option<i64>,
    /// Files that are being sent now.
    pub in_hand: Vec<InHand>,
}

/// A file that is being sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct InHand {
    /// The file.
    pub path: String,
    /// Its size in bytes.
    pub size: u64,
    /// Bytes of it that were sent so far.
    pub sent: u64,
}

/// What is known of the server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum ServerState {
    /// Nothing was sent to it yet.
    #[default]
    Unknown,
    /// It serves us.
    Answers {
        /// When it did so last.
        last: i64,
    },
    /// It does not answer, or does not serve us.
    Fails {
        /// Since when.
        since: i64,
        /// What went wrong last.
        cause: String,
    },
}

/// Something of the client's own that nothing can be uploaded without, such as its database.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Trouble {
    /// Since when.
    pub since: i64,
    /// What went wrong last.
    pub cause: String,
}

/// A scan of everything that is under way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ScanBegun {
    /// Why it was begun.
    pub cause: String,
    /// When.
    pub started: i64,
}

/// A scan of everything that has ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ScanDone {
    /// Why it was begun.
    pub cause: String,
    /// When.
    pub started: i64,
    /// How long it took.
    pub seconds: f64,
    /// Files that it saw.
    pub files: u64,
    /// Files that it queued.
    pub queued: u64,
    /// Whether it came to its end.
    pub complete: bool,
}

/// A watched folder.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct WatchState {
    /// The folder.
    pub local_path: String,
    /// Why events are not heard there; scans find what happens.
    pub unwatched: Option<String>,
}

/// All of it, as it stood at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Snapshot {
    /// What was uploaded since the start.
    pub uploads: Uploads,
    /// What is known of the server.
    pub server: ServerState,
    /// What the client itself cannot do; over with the next upload.
    pub trouble: Option<Trouble>,
    /// The scan that is under way.
    pub scanning: Option<ScanBegun>,
    /// The last one that has ended.
    pub last_scan: Option<ScanDone>,
    /// The watched folders.
    pub watches: Vec<WatchState>,
}

impl Default for Progress {
    fn default() -> Self {
        let (stir, stirred) = bounded(1);
        let (bell, news) = bounded(1);
        let (state, sent) = (Mutex::default(), AtomicU64::new(0));
        Self { state, sent, stir, stirred, bell, news }
    }
}

impl Progress {
    /// A file begins to be sent. It is in hand for as long as what is returned lives.
    pub fn take_in_hand(self: &Arc<Self>, path: &Arc<Path>, size: u64) -> Sending {
        let sent = Arc::new(AtomicU64::new(0));
        let hand = Hand { path: Arc::clone(path), size, sent: Arc::clone(&sent) };
        let mut state = self.change();
        let number = state.next_hand;
        state.next_hand += 1;
        state.hands.insert(number, hand);
        drop(state);
        self.stir();
        Sending { progress: Arc::clone(self), number, sent }
    }

    /// A file was uploaded and noted in the database.
    pub fn uploaded(&self, bytes: u64, now: i64) {
        let mut state = self.change();
        state.files += 1;
        state.bytes += bytes;
        state.last_success = Some(now);
        state.trouble = None;
    }

    /// An attempt failed.
    pub fn failed(&self, attempt: Attempt) {
        *self.change().failures.entry(attempt).or_default() += 1;
    }

    /// A worker is through with a turn, whatever came of it.
    pub fn turned(&self) {
        self.ring();
    }

    /// The server serves us.
    pub fn server_answers(&self, now: i64) {
        self.change().server = ServerState::Answers { last: now };
    }

    /// The server does not answer, or does not serve us.
    pub fn server_fails(&self, cause: String, now: i64) {
        let mut state = self.change();
        let since = match state.server {
            ServerState::Fails { since, .. } => since,
            _ => now,
        };
        state.server = ServerState::Fails { since, cause };
        drop(state);
        self.stir();
    }

    /// The client itself cannot do what every upload needs.
    pub fn troubled(&self, cause: String, now: i64) {
        let mut state = self.change();
        let since = state.trouble.as_ref().map_or(now, |trouble| trouble.since);
        state.trouble = Some(Trouble { since, cause });
    }

    /// A scan of everything begins.
    pub fn scan_begins(&self, cause: &str, now: i64) {
        self.change().scanning = Some(ScanBegun { cause: cause.to_owned(), started: now });
        self.stir();
    }

    /// The scan of everything that was begun has ended.
    pub fn scan_ends(&self, seconds: f64, files: u64, queued: u64, complete: bool) {
        let mut state = self.change();
        if let Some(ScanBegun { cause, started }) = state.scanning.take() {
            let done = ScanDone { cause, started, seconds, files, queued, complete };
            if complete {
                state.last_complete = Some(done.clone());
            }
            state.last_scan = Some(done);
        }
    }

    /// Events of a watched folder are heard.
    pub fn watched(&self, folder: &Path) {
        self.change().watches.insert(folder.to_owned(), None);
    }

    /// Events of a watched folder are not heard, and why.
    pub fn unwatched(&self, folder: &Path, why: String) {
        self.change().watches.insert(folder.to_owned(), Some(why));
    }

    /// Becomes ready when work has begun since it was received last.
    pub fn stirred(&self) -> &Receiver<()> {
        &self.stirred
    }

    /// Becomes ready when anything is different from how it was when this was received last.
    pub fn news(&self) -> &Receiver<()> {
        &self.news
    }

    /// How many attempts failed since the start, by what.
    pub fn failures(&self) -> BTreeMap<Attempt, u64> {
        self.lock().failures.clone()
    }

    /// The last scan of everything that came to its end, also if a later one broke off.
    pub fn last_complete_scan(&self) -> Option<ScanDone> {
        self.lock().last_complete.clone()
    }

    /// Bytes of files that were sent since the start, repeated ones included.
    pub fn bytes_sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Whether a scan of everything has come to its end since the start.
    pub fn has_scanned(&self) -> bool {
        self.lock().last_scan.is_some()
    }

    /// Whether a scan of everything is under way.
    pub fn is_scanning(&self) -> bool {
        self.lock().scanning.is_some()
    }

    /// All of it as it stands now.
    pub fn snapshot(&self) -> Snapshot {
        let state = self.lock();
        let failures = state.failures.iter().filter(|(attempt, _)| attempt.is_files());
        let in_hand = |hand: &Hand| InHand {
            path: hand.path.to_string_lossy().into_owned(),
            size: hand.size,
            sent: hand.sent.load(Ordering::Relaxed),
        };
        let watch = |(folder, unwatched): (&PathBuf, &Option<String>)| WatchState {
            local_path: folder.to_string_lossy().into_owned(),
            unwatched: unwatched.clone(),
        };
        Snapshot {
            uploads: Uploads {
                files: state.files,
                bytes: state.bytes,
                failures: failures.map(|(_, count)| count).sum(),
                last_success: state.last_success,
                in_hand: state.hands.values().map(in_hand).collect(),
            },
            server: state.server.clone(),
            trouble: state.trouble.clone(),
            scanning: state.scanning.clone(),
            last_scan: state.last_scan.clone(),
            watches: state.watches.iter().map(watch).collect(),
        }
    }

    fn stir(&self) {
        // A full channel says it already.
        let _ = self.stir.try_send(());
    }

    fn ring(&self) {
        // A full channel says it already.
        let _ = self.bell.try_send(());
    }

    /// Takes the counters to change them.
    fn change(&self) -> Change<'_> {
        Change { state: self.lock(), progress: self }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No method leaves the counters half changed in a way that anybody acts on.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The counters in the hands of one who changes them. Those who look are told when it is done: before,
/// they might look too early.
struct Change<'p> {
    state: MutexGuard<'p, State>,
    progress: &'p Progress,
}

impl Deref for Change<'_> {
    type Target = State;

    fn deref(&self) -> &State {
        &self.state
    }
}

impl DerefMut for Change<'_> {
    fn deref_mut(&mut self) -> &mut State {
        &mut self.state
    }
}

impl Drop for Change<'_> {
    fn drop(&mut self) {
        // While it is still held: whoever is woken waits for it.
        self.progress.ring();
    }
}

/// A file that is being sent. Dropping it says that it is not any more.
#[derive(Debug)]
pub struct Sending {
    progress: Arc<Progress>,
    number: u64,
    sent: Arc<AtomicU64>,
}

impl Sending {
    /// A reader of `content` whose bytes count as sent.
    pub fn counted<R: Read>(&self, content: R) -> Counted<'_, R> {
        Counted { sending: self, content }
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.progress.change().hands.remove(&self.number);
    }
}

/// See [`Sending::counted`].
#[derive(Debug)]
pub struct Counted<'s, R> {
    sending: &'s Sending,
    content: R,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let taken = self.content.read(buffer)?;
        self.sending.sent.fetch_add(taken as u64, Ordering::Relaxed);
        self.sending.progress.sent.fetch_add(taken as u64, Ordering::Relaxed);
        Ok(taken)
    }
}

#[cfg(test)]
mod tests;
