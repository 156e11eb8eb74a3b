//! What a running program holds of the system: so that a test can see that nothing of it leaks.

use super::waiting::{DEADLINE, eventually};
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

/// How much more memory than before may stay: what an allocator keeps for the next one, and no
/// more. A leak is shown by doing a thing often.
const MEMORY_KEPT_KIB: u64 = 64 * 1024;

/// What a process holds at one moment.
#[derive(Debug)]
pub(crate) struct Vitals {
    pid: u32,
    /// How many threads there are of each name.
    threads: BTreeMap<String, usize>,
    /// How many descriptors there are of each kind.
    descriptors: BTreeMap<String, usize>,
    /// What lies in its folder for temporary files, if `TMPDIR` gave it one of its own.
    temporary: Vec<PathBuf>,
    /// Memory in use, in KiB.
    memory_kib: u64,
    /// Most memory that was ever in use, in KiB.
    peak_kib: u64,
}

impl Vitals {
    /// What process `pid` holds now.
    #[track_caller]
    pub(crate) fn of(pid: u32) -> Self {
        Self {
            pid,
            threads: tally(names(pid)),
            descriptors: tally(descriptors(pid)),
            temporary: temporary_files(pid),
            memory_kib: status_kib(pid, "VmRSS:"),
            peak_kib: status_kib(pid, "VmHWM:"),
        }
    }

    /// Waits until the process holds no more than it did at this moment, and is the same process.
    #[track_caller]
    pub(crate) fn assert_back(&self) {
        let mut seen = None;
        let look = || {
            let now = Self::of(self.pid);
            let back = now.holds_no_more_than(self);
            seen = Some(now);
            back.then_some(())
        };
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            eventually(DEADLINE, "the process holds no more than before", look);
        }));
        assert!(outcome.is_ok(), "before: {self:#?}\nnow: {seen:#?}");
    }

    /// Checks that the process never had more than `kib` KiB of memory in use since this moment
    /// beyond what it had then.
    #[track_caller]
    pub(crate) fn assert_never_grew_by(&self, kib: u64) {
        let peak = Self::of(self.pid).peak_kib;
        assert!(peak < self.peak_kib + kib, "peak of {peak} KiB; before: {self:#?}");
    }

    /// Lets there be so many descriptors more later on.
    pub(crate) fn allow_descriptors(&mut self, more: usize) {
        *self.descriptors.entry("allowed".to_owned()).or_default() += more;
    }

    /// How many threads there are in all.
    pub(crate) fn threads(&self) -> usize {
        self.threads.values().sum()
    }

    /// How many threads there are of this name.
    pub(crate) fn threads_named(&self, name: &str) -> usize {
        self.threads.get(name).copied().unwrap_or_default()
    }

    /// How many descriptors there are in all.
    pub(crate) fn descriptors(&self) -> usize {
        self.descriptors.values().sum()
    }

    fn holds_no_more_than(&self, before: &Self) -> bool {
        self.threads() <= before.threads()
            && self.descriptors() <= before.descriptors()
            && self.temporary == before.temporary
            && self.memory_kib <= before.memory_kib + MEMORY_KEPT_KIB
    }
}

fn tally(names: impl IntoIterator<Item = String>) -> BTreeMap<String, usize> {
    let mut tally = BTreeMap::new();
    for name in names {
        *tally.entry(name).or_default() += 1;
    }
    tally
}

/// The names of a process's threads. One that ends meanwhile is left out.
fn names(pid: u32) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("the process lives");
    let names = tasks.flatten().map(|task| fs::read_to_string(task.path().join("comm")));
    names.flatten().map(|name| name.trim_end().to_owned()).collect()
}

/// What each descriptor of a process is of, without numbers that change.
fn descriptors(pid: u32) -> Vec<String> {
    let open = fs::read_dir(format!("/proc/{pid}/fd")).expect("the process lives");
    let targets = open.flatten().flat_map(|entry| fs::read_link(entry.path()));
    let kind = |target: PathBuf| {
        let name = target.to_string_lossy();
        name.split_once(":[").map_or(name.as_ref(), |(kind, _)| kind).to_owned()
    };
    targets.map(kind).collect()
}

fn temporary_files(pid: u32) -> Vec<PathBuf> {
    let environment = fs::read(format!("/proc/{pid}/environ")).expect("the process lives");
    let mut variables = environment.split(|byte| *byte == 0);
    let Some(folder) = variables.find_map(|variable| variable.strip_prefix(b"TMPDIR=")) else {
        return Vec::new();
    };
    let folder = String::from_utf8(folder.to_vec()).unwrap();
    let entries = walkdir::WalkDir::new(folder).sort_by_file_name().into_iter();
    entries.flatten().map(walkdir::DirEntry::into_path).collect()
}

fn status_kib(pid: u32, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process lives");
    let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("it is no zombie");
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
