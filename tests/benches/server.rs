//! A server under test, as it is seen from outside: a process with its CPU time and its memory.

use s3up::threads::StopSource;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::str::FromStr;
use std::time::Duration;

/// How `/proc` counts CPU time: in hundredths of a second (`USER_HZ`), on all common machines.
const TICKS_PER_SECOND: f64 = 100.0;

/// What stands in front of the handlers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ServerKind {
    /// `tiny_http` alone.
    Bare,
    /// The gate, without TLS.
    Gate,
    /// The gate with TLS 1.3.
    GateTls,
    /// The gate, without TLS, with a ledger.
    GateLedger,
    /// The same as the gate, over a store that keeps what it is given.
    Folder,
    /// That with a ledger.
    FolderLedger,
}

impl ServerKind {
    /// Those that say what the gate costs.
    pub(crate) const OF_THE_GATE: [Self; 3] = [Self::Bare, Self::Gate, Self::GateTls];

    /// Those that say what the ledger costs, with and without it.
    pub(crate) const OF_THE_LEDGER: [Self; 4] =
        [Self::Gate, Self::GateLedger, Self::Folder, Self::FolderLedger];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::Gate => "gate",
            Self::GateTls => "gate-tls",
            Self::GateLedger => "gate-ledger",
            Self::Folder => "folder",
            Self::FolderLedger => "folder-ledger",
        }
    }
}

impl FromStr for ServerKind {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let mut all = Self::OF_THE_GATE.into_iter().chain(Self::OF_THE_LEDGER);
        all.find(|kind| kind.name() == name).ok_or_else(|| "no such server".into())
    }
}

/// A running server; it ends when this is dropped.
pub(crate) struct Server {
    child: Child,
    port: u16,
}

impl Server {
    /// Starts `program` as a server, and waits until it listens.
    pub(crate) fn start(program: &Path, kind: ServerKind, folder: &Path) -> Self {
        let mut child = Command::new(program)
            .args(["--serve", kind.name(), "--folder"])
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { child, port: line.trim().parse().unwrap() }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// CPU time of all its threads so far, those that have ended included.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        let stat = self.proc("stat");
        // The name before may hold anything; user and system time are fields 14 and 15.
        let (_, fields) = stat.rsplit_once(") ").unwrap();
        let times = fields.split(' ').skip(11).take(2);
        times.map(|ticks| ticks.parse::<f64>().unwrap()).sum::<f64>() / TICKS_PER_SECOND
    }

    /// Begins anew to look for the peak of its memory.
    pub(crate) fn forget_peak(&self) {
        // "5" resets the peak (proc_pid_clear_refs(5)).
        std::fs::write(self.path("clear_refs"), "5").unwrap();
    }

    pub(crate) fn peak_mb(&self) -> f64 {
        self.status_kb("VmHWM") / 1000.0
    }

    pub(crate) fn resident_kb(&self) -> f64 {
        self.status_kb("VmRSS")
    }

    /// Waits until it has nothing left to do.
    pub(crate) fn settle(&self) {
        let pause = StopSource::default();
        let mut before = self.cpu_seconds();
        loop {
            pause.stop().wait(Duration::from_millis(300));
            let now = self.cpu_seconds();
            if now == before {
                return;
            }
            before = now;
        }
    }

    fn status_kb(&self, field: &str) -> f64 {
        let status = self.proc("status");
        let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
        line.trim_matches([':', ' ', '\t', 'k', 'B']).parse().unwrap()
    }

    fn proc(&self, file: &str) -> String {
        std::fs::read_to_string(self.path(file)).unwrap()
    }

    fn path(&self, file: &str) -> String {
        format!("/proc/{}/{file}", self.child.id())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It ends when there is nothing more to read.
        drop(self.child.stdin.take());
        self.child.wait().unwrap();
    }
}
