//! A program under test: started, listened to line by line, signalled, and never left behind.

use super::waiting::DEADLINE;
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, prlimit};
use s3up::clock;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;

pub(crate) const CLIENT: &str = env!("CARGO_BIN_EXE_s3up");
pub(crate) const SERVER: &str = env!("CARGO_BIN_EXE_s3up-server");

/// The folder whose programs are tested in place of cargo's, if there is one: another build of the same.
pub(crate) fn other_build() -> Option<PathBuf> {
    std::env::var_os("S3UP_TEST_PROGRAMS").map(PathBuf::from)
}

/// The file to run for `program`: itself, unless another build is tested.
pub(crate) fn file_of(program: &str) -> PathBuf {
    let path = Path::new(program);
    match other_build() {
        Some(folder) if [CLIENT, SERVER].contains(&program) => {
            folder.join(path.file_name().unwrap())
        }
        _ => path.to_owned(),
    }
}

/// A running program. Dropping it kills it.
pub(crate) struct Daemon {
    name: &'static str,
    child: Child,
    stdout: Arc<Stream>,
    log: Arc<Stream>,
}

/// What a program has written to one of its outputs so far.
#[derive(Default)]
struct Stream {
    heard: Mutex<Heard>,
    changed: Condvar,
}

#[derive(Default)]
struct Heard {
    lines: Vec<String>,
    /// The program has closed it: it has ended.
    closed: bool,
}

impl Daemon {
    /// Starts `program` with these arguments and, beside our own, these environment variables.
    pub(crate) fn start(
        program: &'static str,
        arguments: &[impl AsRef<OsStr>],
        environment: &[(&str, &str)],
    ) -> Self {
        Self::start_within(&[], program, arguments, environment)
    }

    /// Starts it by `wrapper`: another program and its arguments, which puts this one in its place.
    pub(crate) fn start_within(
        wrapper: &[String],
        program: &'static str,
        arguments: &[impl AsRef<OsStr>],
        environment: &[(&str, &str)],
    ) -> Self {
        let command = match wrapper {
            [] => Command::new(file_of(program)),
            [first, others @ ..] => {
                let mut command = Command::new(first);
                command.args(others).arg(file_of(program));
                command
            }
        };
        Self::run(command, program, arguments, environment)
    }

    fn run(
        mut command: Command,
        program: &'static str,
        arguments: &[impl AsRef<OsStr>],
        environment: &[(&str, &str)],
    ) -> Self {
        let mut child = command
            .args(arguments)
            .env_remove("RUST_LOG")
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = Stream::listen_to(child.stdout.take().unwrap());
        let log = Stream::listen_to(child.stderr.take().unwrap());
        let name = if program.ends_with("-server") { "server" } else { "client" };
        Self { name, child, stdout, log }
    }

    /// Waits for a log line that contains `part`, and returns the first there is.
    #[track_caller]
    pub(crate) fn wait_for(&self, part: &str) -> String {
        self.wait_for_times(1, part)
    }

    /// Waits for the `times`th log line that contains `part`, and returns it.
    #[track_caller]
    pub(crate) fn wait_for_times(&self, times: usize, part: &str) -> String {
        let find = |heard: &Heard| {
            heard.lines.iter().filter(|line| line.contains(part)).nth(times - 1).cloned()
        };
        match self.log.wait(|heard| find(heard).map(Some).or(heard.closed.then_some(None))) {
            Some(Some(line)) => line,
            Some(None) => panic!("the {} ended without the log line {part:?}", self.name),
            None => panic!("the {} did not log {part:?}, {times} times", self.name),
        }
    }

    /// How many log lines contain `part` so far.
    pub(crate) fn count(&self, part: &str) -> usize {
        self.log.heard().lines.iter().filter(|line| line.contains(part)).count()
    }

    /// The log so far.
    pub(crate) fn log(&self) -> String {
        self.log.text()
    }

    /// Standard output so far.
    pub(crate) fn stdout(&self) -> String {
        self.stdout.text()
    }

    /// The number of its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The lowest number that no descriptor of the running program has: the next one it gets.
    pub(crate) fn next_descriptor(&self) -> u64 {
        let open = std::fs::read_dir(format!("/proc/{}/fd", self.pid())).unwrap();
        let names = open.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let numbers: Vec<u64> = names.map(|name| name.parse().unwrap()).collect();
        (0..).find(|number| !numbers.contains(number)).unwrap()
    }

    /// How many folders and files the running program has the kernel watch.
    pub(crate) fn inotify_watches(&self) -> usize {
        let open = std::fs::read_dir(format!("/proc/{}/fdinfo", self.pid())).unwrap();
        // One that was closed meanwhile watches nothing.
        let infos = open.filter_map(|entry| std::fs::read_to_string(entry.unwrap().path()).ok());
        infos.map(|info| info.lines().filter(|line| line.starts_with("inotify ")).count()).sum()
    }

    /// Lets the running program open descriptors below this number only.
    pub(crate) fn limit_descriptors(&self, most: u64) {
        // It may raise it to what it had of us.
        let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
        let limit = Rlimit { current: Some(most), maximum };
        prlimit(Some(Pid::from_child(&self.child)), Resource::Nofile, limit).unwrap();
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits until the program has ended by itself.
    #[track_caller]
    pub(crate) fn ended(&mut self) -> ExitStatus {
        let closed = |heard: &Heard| heard.closed.then_some(());
        let both = self.log.wait(closed).and(self.stdout.wait(closed));
        assert!(both.is_some(), "the {} does not end", self.name);
        self.child.wait().unwrap()
    }

    /// Ends the program without asking it, as a crash or a power cut would.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.ended();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Whether it has ended already does not matter here.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Stream {
    fn listen_to(output: impl Read + Send + 'static) -> Arc<Self> {
        let stream = Arc::new(Self::default());
        let listener = Arc::clone(&stream);
        let listen = move || {
            // Not `lines`: what is not UTF-8 must be seen, too.
            for line in BufReader::new(output).split(b'\n') {
                let Ok(line) = line else { break };
                listener.heard().lines.push(String::from_utf8_lossy(&line).into_owned());
                listener.changed.notify_all();
            }
            listener.heard().closed = true;
            listener.changed.notify_all();
        };
        thread::Builder::new().name("listener".to_owned()).spawn(listen).unwrap();
        stream
    }

    /// Waits until `look` sees something; `None` if it never does.
    fn wait<T>(&self, look: impl Fn(&Heard) -> Option<T>) -> Option<T> {
        let end = clock::monotonic() + DEADLINE;
        let mut heard = self.heard();
        loop {
            if let Some(seen) = look(&heard) {
                return Some(seen);
            }
            let left = end.checked_duration_since(clock::monotonic())?;
            heard = self.changed.wait_timeout(heard, left).unwrap().0;
        }
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap()
    }

    fn text(&self) -> String {
        self.heard().lines.iter().map(|line| format!("{line}\n")).collect()
    }
}
