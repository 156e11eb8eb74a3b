//! What `s3up status` reports, and whether all is well: from what the running client tells, what
//! the database knows and what the configuration asks for.
//!
//! Pure. Its JSON form is what `--json` prints: names are promised, new ones may come. Moments are
//! seconds since 1970, sizes are bytes.

use crate::client::config::{Config, Watch};
use crate::client::database::LastScan;
use crate::client::database::facts::{Facts, LastUpload, Parked};
use crate::client::progress::{ServerState, Trouble};
use crate::client::status::live::Live;
use crate::shown;
use serde::ser::SerializeStruct as _;
use serde::{Serialize, Serializer};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

/// Whether all is well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A client is running, and what rests is backed up or on its way.
    Well,
    /// No client is running, or it does not answer.
    NotRunning,
    /// A client is running, and something is not backed up, or not as it should be.
    Ailing,
}

/// The report.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Whether there is no problem.
    pub healthy: bool,
    /// What is wrong, a line each.
    pub problems: Vec<String>,
    /// Whether a client is running that does not tell.
    #[serde(skip)]
    pub silent: bool,
    /// When the report was made.
    pub asked_at: i64,
    /// The server.
    pub server_url: String,
    /// The database.
    pub database: String,
    /// Files that are in the bucket.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The watched folders of the configuration.
    pub watches: Vec<WatchReport>,
    /// The last uploads, the latest first.
    pub last_uploads: Vec<LastUpload>,
    /// How many files are not backed up as they stand, and folders in which something cannot be looked at.
    pub parked_count: u64,
    /// How many of them are folders; their paths end in `/`.
    pub parked_folders: u64,
    /// Those of them that are listed.
    pub parked: Vec<Parked>,
    /// What the running client tells; none if none is running.
    pub live: Option<Live>,
}

/// A watched folder.
#[derive(Debug, Serialize)]
pub struct WatchReport {
    /// The folder.
    pub local_path: String,
    /// What its files are put below.
    pub remote_prefix: String,
    /// Whether events are heard there; none if no client is running that knows it.
    pub watched: Option<bool>,
    /// Why not.
    pub unwatched: Option<String>,
    /// From when on its files count, in nanoseconds since 1970; none: all do, or it never began.
    pub baseline_ns: Option<i64>,
    /// The last scan that came to its end.
    pub last_scan: Option<ScanReport>,
}

/// A scan of a watched folder.
#[derive(Debug, Serialize)]
pub struct ScanReport {
    /// When it ended.
    pub ended_at: i64,
    /// How long it took.
    pub seconds: f64,
    /// Files that it saw.
    pub files: u64,
}

impl ScanReport {
    fn of(scan: &LastScan) -> Self {
        let seconds = scan.milliseconds as f64 / 1000.0;
        Self { ended_at: scan.ended_at, seconds, files: u64::try_from(scan.files).unwrap_or(0) }
    }
}

impl Serialize for Parked {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Parked", 5)?;
        fields.serialize_field("path", &self.path.to_string_lossy())?;
        match self.path.to_str() {
            // JSON holds no other bytes: whoever has to find the file finds them here.
            None => fields.serialize_field("path_hex", &hex::encode(bytes_of(&self.path)))?,
            Some(_) => fields.skip_field("path_hex")?,
        }
        fields.serialize_field("reason", &self.reason)?;
        fields.serialize_field("since", &self.since)?;
        fields.serialize_field("last_seen", &self.last_seen)?;
        fields.end()
    }
}

fn bytes_of(path: &std::path::Path) -> &[u8] {
    path.as_os_str().as_bytes()
}

/// What the report is made from.
pub struct Sources<'s> {
    /// What should be.
    pub config: &'s Config,
    /// What the running client tells.
    pub live: Option<Live>,
    /// Why a client that is running does not tell.
    pub silence: Option<String>,
    /// What the database knows; none if there is no database yet.
    pub facts: Option<Facts>,
    /// The moment, in seconds since 1970.
    pub now: i64,
}

/// Makes the report, and judges.
pub fn report(sources: Sources<'_>) -> (Report, Verdict) {
    let Sources { config, live, silence, facts, now } = sources;
    let Facts {
        files,
        bytes,
        parked_count,
        parked_folders,
        parked,
        last_uploads,
        baselines,
        scans,
    } = facts.unwrap_or_default();
    let baseline = |path: &PathBuf| baselines.get(path).copied().flatten();
    let watches: Vec<WatchReport> = config
        .watches
        .iter()
        .map(|watch| WatchReport {
            baseline_ns: baseline(&watch.local_path),
            last_scan: scans.get(&watch.local_path).map(ScanReport::of),
            ..watch_report(watch, live.as_ref())
        })
        .collect();
    let mut problems = Vec::new();
    let silent = silence.is_some();
    let verdict = match &live {
        None => {
            problems.push(silence.unwrap_or_else(|| "no client is running".to_owned()));
            Verdict::NotRunning
        }
        Some(live) => {
            problems.extend(troubles(live, &watches, now));
            Verdict::Well
        }
    };
    if parked_count > 0 {
        let verb = if parked_count == 1 { "is" } else { "are" };
        let what = files_and_folders(parked_count, parked_folders);
        problems.push(format!("{what} {verb} not backed up"));
    }
    let verdict = match verdict {
        Verdict::Well if !problems.is_empty() => Verdict::Ailing,
        other => other,
    };
    let report = Report {
        healthy: problems.is_empty(),
        problems,
        silent,
        asked_at: now,
        server_url: config.server.url.clone(),
        database: config.database.to_string_lossy().into_owned(),
        files,
        bytes,
        watches,
        last_uploads,
        parked_count,
        parked_folders,
        parked,
        live,
    };
    (report, verdict)
}

fn watch_report(watch: &Watch, live: Option<&Live>) -> WatchReport {
    let local_path = watch.local_path.to_string_lossy().into_owned();
    let mut known = live.iter().flat_map(|live| &live.snapshot.watches);
    let state = known.find(|state| state.local_path == local_path);
    WatchReport {
        remote_prefix: watch.remote_prefix.to_string(),
        watched: state.map(|state| state.unwatched.is_none()),
        unwatched: state.and_then(|state| state.unwatched.clone()),
        baseline_ns: None,
        last_scan: None,
        local_path,
    }
}

/// What is wrong with a running client.
fn troubles(live: &Live, watches: &[WatchReport], now: i64) -> Vec<String> {
    let mut troubles = Vec::new();
    if let ServerState::Fails { since, cause } = &live.snapshot.server {
        let span = span_between(*since, now);
        troubles.push(format!("the server has been failing for {span}: {}", shown::visible(cause)));
    }
    if let Some(Trouble { since, cause }) = &live.snapshot.trouble {
        let span = span_between(*since, now);
        troubles.push(format!("nothing is uploaded for {span}: {}", shown::visible(cause)));
    }
    for watch in watches {
        let folder = &watch.local_path;
        match (watch.watched, &watch.unwatched) {
            (None, _) => troubles.push(format!(
                "{folder:?} is not known to the running client; hint: restart it, it read another \
                 configuration"
            )),
            (Some(false), why) => {
                let why = shown::visible(why.as_deref().unwrap_or_default());
                troubles.push(format!("{folder:?} is not watched: {why}"));
            }
            (Some(true), _) => {}
        }
    }
    if live.snapshot.last_scan.as_ref().is_some_and(|scan| !scan.complete) {
        troubles.push("the last scan broke off; the log says why".to_owned());
    }
    troubles
}

/// What `count` parked things are, `folders` of which are folders: `2 files and 1 folder`.
pub fn files_and_folders(count: u64, folders: u64) -> String {
    let files = shown::counted(count.saturating_sub(folders), "file");
    match folders {
        0 => files,
        folders if folders >= count => shown::counted(folders, "folder"),
        folders => format!("{files} and {}", shown::counted(folders, "folder")),
    }
}

/// How long ago `then` was; a clock that was set back meanwhile makes it 0.
pub fn span_between(then: i64, now: i64) -> String {
    shown::span(u64::try_from(now.saturating_sub(then)).unwrap_or_default())
}
