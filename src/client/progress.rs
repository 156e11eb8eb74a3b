//! What the running client is doing and how it has fared since its start, for whoever asks.
//!
//! Scanner, watcher and the uploader's workers tell it, in one line each; the console's threads
//! read it. It owns the counters, behind one mutex that is held for a few assignments. It decides
//! nothing and reads no clock: moments are arguments, in seconds since 1970.

use crate::wire::Fault;
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

/// By what an attempt to upload a file failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Attempt {
    /// The file cannot be read.
    Unreadable,
    /// The server does not want this file.
    Refused,
    /// Something went wrong on the way, for this once.
    Broken,
    /// The server does not know the key.
    Key,
    /// The server is away, or cannot store anything now.
    Server,
}

impl Attempt {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Unreadable, Self::Refused, Self::Broken, Self::Key, Self::Server];

    /// By what an attempt failed that the server, or the way to it, is at fault for.
    pub fn of(fault: Fault) -> Self {
        match fault {
            Fault::Request => Self::Refused,
            Fault::Exchange => Self::Broken,
            Fault::Key => Self::Key,
            Fault::Server => Self::Server,
        }
    }

    /// Its name for programs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::Refused => "refused",
            Self::Broken => "broken",
            Self::Key => "key",
            Self::Server => "server",
        }
    }

    /// Whether it counts against the file.
    fn is_files(self) -> bool {
        matches!(self, Self::Unreadable | Self::Refused | Self::Broken)
    }
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
mod tests {
    use super::*;

    #[test]
    fn a_file_is_in_hand_while_it_is_sent_and_its_bytes_are_counted_as_they_go() {
        let progress = Arc::new(Progress::default());
        let path: Arc<Path> = Arc::from(Path::new("/data/a"));
        let sending = progress.take_in_hand(&path, 5);
        assert!(progress.stirred().try_recv().is_ok(), "whoever tells of it is woken");
        let mut reader = sending.counted(&b"abcde"[..]);
        reader.read_exact(&mut [0; 3]).unwrap();
        let in_hand = progress.snapshot().uploads.in_hand;
        assert_eq!(in_hand, [InHand { path: "/data/a".into(), size: 5, sent: 3 }]);
        drop(sending);
        assert_eq!(progress.snapshot().uploads.in_hand, []);
        assert_eq!(progress.bytes_sent(), 3);
    }

    #[test]
    fn what_was_uploaded_and_what_failed_adds_up() {
        let progress = Progress::default();
        progress.uploaded(10, 100);
        progress.failed(Attempt::Broken);
        progress.failed(Attempt::Key);
        progress.uploaded(5, 200);
        let expected = Uploads {
            files: 2,
            bytes: 15,
            failures: 1,
            last_success: Some(200),
            ..Uploads::default()
        };
        assert_eq!(progress.snapshot().uploads, expected);
    }

    #[test]
    fn attempts_are_told_apart_by_what_they_failed_by() {
        let progress = Progress::default();
        for attempt in Attempt::ALL {
            progress.failed(attempt);
        }
        progress.failed(Attempt::of(Fault::Server));
        let failures: Vec<(&str, u64)> =
            progress.failures().iter().map(|(attempt, count)| (attempt.name(), *count)).collect();
        assert_eq!(
            failures,
            [("unreadable", 1), ("refused", 1), ("broken", 1), ("key", 1), ("server", 2)]
        );
        assert_eq!(progress.snapshot().uploads.failures, 3, "those that count against a file");
    }

    #[test]
    fn whatever_changes_is_news_once_and_to_look_is_none() {
        let progress = Arc::new(Progress::default());
        let path: Arc<Path> = Arc::from(Path::new("/data/a"));
        let mut sending = None;
        let changes: [&mut dyn FnMut(); 11] = [
            &mut || sending = Some(progress.take_in_hand(&path, 5)),
            &mut || progress.uploaded(1, 1),
            &mut || progress.failed(Attempt::Server),
            &mut || progress.turned(),
            &mut || progress.server_answers(1),
            &mut || progress.server_fails("x".into(), 1),
            &mut || progress.troubled("x".into(), 1),
            &mut || progress.scan_begins("start", 1),
            &mut || progress.scan_ends(1.0, 1, 1, true),
            &mut || progress.watched(&path),
            &mut || progress.unwatched(&path, "gone".into()),
        ];
        for change in changes {
            change();
            progress.snapshot();
            assert!(progress.news().try_recv().is_ok());
            assert!(progress.news().try_recv().is_err());
        }
        drop(sending);
        assert!(progress.news().try_recv().is_ok());
    }

    #[test]
    fn an_outage_begins_with_its_first_failure_and_ends_with_an_answer() {
        let progress = Progress::default();
        assert_eq!(progress.snapshot().server, ServerState::Unknown);
        progress.server_fails("refused".into(), 10);
        progress.server_fails("no answer".into(), 20);
        let fails = |since, cause: &str| ServerState::Fails { since, cause: cause.into() };
        assert_eq!(progress.snapshot().server, fails(10, "no answer"));
        progress.server_answers(30);
        assert_eq!(progress.snapshot().server, ServerState::Answers { last: 30 });
        progress.server_fails("refused".into(), 40);
        assert_eq!(progress.snapshot().server, fails(40, "refused"));
    }

    #[test]
    fn trouble_of_its_own_is_over_with_the_next_upload() {
        let progress = Progress::default();
        progress.troubled("disk full".into(), 10);
        progress.troubled("read-only".into(), 20);
        let trouble = Trouble { since: 10, cause: "read-only".into() };
        assert_eq!(progress.snapshot().trouble, Some(trouble));
        progress.uploaded(1, 30);
        assert_eq!(progress.snapshot().trouble, None);
    }

    #[test]
    fn the_last_scan_stays_while_the_next_one_is_under_way() {
        let progress = Progress::default();
        progress.scan_ends(1.0, 1, 1, true);
        assert_eq!(progress.snapshot().last_scan, None, "none was begun");
        progress.scan_begins("start", 100);
        assert!(progress.is_scanning() && !progress.has_scanned());
        progress.scan_ends(2.5, 7, 3, true);
        progress.scan_begins("interval", 200);
        let snapshot = progress.snapshot();
        let cause = "start".to_owned();
        let done =
            ScanDone { cause, started: 100, seconds: 2.5, files: 7, queued: 3, complete: true };
        assert_eq!(snapshot.last_scan, Some(done.clone()));
        let begun = ScanBegun { cause: "interval".into(), started: 200 };
        assert_eq!(snapshot.scanning, Some(begun));
        progress.scan_ends(0.1, 0, 0, false);
        assert_eq!(progress.snapshot().last_scan.map(|scan| scan.complete), Some(false));
        assert_eq!(progress.last_complete_scan(), Some(done));
    }

    #[test]
    fn a_folder_is_watched_or_it_is_said_why_not() {
        let progress = Progress::default();
        progress.unwatched(Path::new("/b"), "gone".into());
        progress.watched(Path::new("/a"));
        let state = |local_path: &str, unwatched: Option<&str>| WatchState {
            local_path: local_path.into(),
            unwatched: unwatched.map(str::to_owned),
        };
        assert_eq!(progress.snapshot().watches, [state("/a", None), state("/b", Some("gone"))]);
        progress.watched(Path::new("/b"));
        assert_eq!(progress.snapshot().watches, [state("/a", None), state("/b", None)]);
    }

    #[test]
    fn a_snapshot_of_another_version_is_read_as_far_as_it_is_known() {
        let read: Snapshot =
            serde_json::from_str(r#"{"uploads": {"files": 3}, "novelty": [1]}"#).unwrap();
        assert_eq!(read.uploads, Uploads { files: 3, ..Uploads::default() });
        let whole = Snapshot { server: ServerState::Answers { last: 9 }, ..Snapshot::default() };
        let text = serde_json::to_string(&whole).unwrap();
        assert_eq!(serde_json::from_str::<Snapshot>(&text).unwrap(), whole);
    }
}
