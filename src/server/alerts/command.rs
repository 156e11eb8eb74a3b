//! A message told by a command of the operator's.
//!
//! Runs on the `alerts` thread, or on the main one for a test. There is no shell. The command gets the
//! message as environment variables and as JSON on its standard input, and nothing of the server's own
//! environment, in which credentials may stand, but what a program needs to find its files and its
//! language. It owns the process it begins and the group of that: both are gone, or were left by a
//! command that ended by itself, when [`run`] returns.

use super::message::Message;
use crate::clock;
use crate::limits::alerts::{
    COMMAND_DEATH, COMMAND_GRACE, COMMAND_LOOK_EVERY, COMMAND_MAX, COMMAND_OUTPUT_KEPT,
    COMMAND_OUTPUT_MAX, LAST_LINE_BYTES_MAX,
};
use crate::server::config::AlertCommand;
use crate::server::poll::{For, wait, wait_either};
use crate::shown;
use crate::threads::Stop;
use crate::wire::Text;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};
use std::fs::File;
use std::io::{self, ErrorKind, PipeReader, Read as _, Seek as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

/// What a command keeps of the server's environment. None of these holds a secret.
const KEPT: [&str; 7] = ["PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ"];

/// Where programs are looked for if the server was not told.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Why a command did not tell.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// It could not be begun, or listened to.
    #[error("it cannot be run: {0}")]
    Run(#[from] io::Error),
    /// It took too long.
    #[error("it was killed: it had not ended after {seconds} s{last}")]
    Hangs {
        /// After so long.
        seconds: u64,
        /// What it had written.
        last: LastLine,
    },
    /// It wrote too much.
    #[error("it was killed: it wrote more than {COMMAND_OUTPUT_MAX} bytes{0}")]
    Floods(LastLine),
    /// The server is ending.
    #[error("it was killed: the server is ending")]
    Ending,
    /// It says itself that it failed.
    #[error("{0}{1}")]
    Failed(String, LastLine),
}

/// The last line of what a command wrote, for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastLine(Option<Text<LAST_LINE_BYTES_MAX>>);

impl std::fmt::Display for LastLine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Some(line) => write!(f, "; its last line: {}", &**line),
            None => f.write_str("; it wrote nothing"),
        }
    }
}

/// Runs the command and waits for its end, `limits::alerts::COMMAND_MAX` at most.
pub fn run(command: &AlertCommand, message: &Message, stop: &Stop) -> Result<(), CommandError> {
    run_within(command, message, stop, COMMAND_MAX)
}

/// The same with a time of its own.
pub(super) fn run_within(
    command: &AlertCommand,
    message: &Message,
    stop: &Stop,
    most: Duration,
) -> Result<(), CommandError> {
    let (output, child) = begin(command, message)?;
    let mut running = Running::new(output, child)?;
    let ended = running.wait(stop, most);
    if ended.is_err() {
        running.kill();
    }
    let status = ended?;
    match status.code() {
        Some(0) => Ok(()),
        Some(code) => Err(CommandError::Failed(
            format!("it ended with exit code {code}"),
            running.last_line(),
        )),
        None => {
            let signal = status.signal().unwrap_or_default();
            Err(CommandError::Failed(format!("signal {signal} ended it"), running.last_line()))
        }
    }
}

fn begin(command: &AlertCommand, message: &Message) -> io::Result<(PipeReader, Child)> {
    let (output, input) = io::pipe()?;
    let mut process = Command::new(&command.program);
    process
        .args(command.arguments.iter().map(|argument| argument.expose()))
        .env_clear()
        .env("PATH", PATH)
        .envs(KEPT.into_iter().filter_map(|name| Some((name, std::env::var_os(name)?))))
        .envs(message.variables())
        .current_dir("/")
        // A group of its own: what it begins can be killed with it.
        .process_group(0)
        .stdin(document(message)?)
        .stdout(input.try_clone()?)
        .stderr(input);
    // `process` has the writing end of the pipe, and is gone when this returns.
    Ok((output, process.spawn()?))
}

/// The JSON as a file without a name: whether and when it is read is the command's business.
fn document(message: &Message) -> io::Result<File> {
    let mut file = tempfile::tempfile()?;
    file.write_all(message.json().as_bytes())?;
    file.write_all(b"\n")?;
    file.rewind()?;
    Ok(file)
}

/// A command that runs.
struct Running {
    child: Child,
    group: Pid,
    /// Becomes readable when the command has ended, whoever of its kind still holds its output.
    ended: OwnedFd,
    output: PipeReader,
    /// Whether the other end of `output` is closed.
    closed: bool,
    written: usize,
    /// The end of what it wrote.
    tail: Vec<u8>,
}

impl Running {
    fn new(output: PipeReader, mut child: Child) -> io::Result<Self> {
        let group = Pid::from_child(&child);
        let prepared = fcntl_getfl(&output)
            .and_then(|flags| fcntl_setfl(&output, flags | OFlags::NONBLOCK))
            .and_then(|()| pidfd_open(group, PidfdFlags::empty()));
        match prepared {
            Ok(ended) => {
                let tail = Vec::new();
                Ok(Self { child, group, ended, output, closed: false, written: 0, tail })
            }
            Err(error) => {
                let _ = kill_process_group(group, Signal::KILL);
                let _ = child.wait();
                Err(error.into())
            }
        }
    }

    /// Waits for its end, and reads what it writes.
    fn wait(&mut self, stop: &Stop, most: Duration) -> Result<ExitStatus, CommandError> {
        let mut deadline = clock::monotonic() + most;
        let mut ending = false;
        loop {
            let now = clock::monotonic();
            if stop.is_raised() && !ending {
                ending = true;
                deadline = deadline.min(now + COMMAND_GRACE);
            }
            if now >= deadline {
                return Err(match ending {
                    true => CommandError::Ending,
                    false => {
                        CommandError::Hangs { seconds: most.as_secs(), last: self.last_line() }
                    }
                });
            }
            if self.has_ended(deadline.min(now + COMMAND_LOOK_EVERY))? {
                self.read()?;
                return Ok(self.child.wait()?);
            }
            self.read()?;
        }
    }

    /// Waits until it has ended, `true`, or there is something to read or the time is over.
    fn has_ended(&self, until: Instant) -> io::Result<bool> {
        match self.closed {
            true => wait(&self.ended, For::Reading, until),
            false => {
                let fds = ((&self.ended, For::Reading), (&self.output, For::Reading));
                Ok(wait_either(fds.0, fds.1, until)?.0)
            }
        }
    }

    /// Reads what is there.
    fn read(&mut self) -> Result<(), CommandError> {
        let mut buffer = [0; COMMAND_OUTPUT_KEPT];
        while !self.closed {
            let length = match self.output.read(&mut buffer) {
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            };
            self.closed = length == 0;
            self.written += length;
            self.tail.extend_from_slice(&buffer[..length]);
            let superfluous = self.tail.len().saturating_sub(COMMAND_OUTPUT_KEPT);
            self.tail.drain(..superfluous);
            if self.written > COMMAND_OUTPUT_MAX {
                return Err(CommandError::Floods(self.last_line()));
            }
        }
        Ok(())
    }

    fn last_line(&self) -> LastLine {
        let text = String::from_utf8_lossy(&self.tail);
        let line = text.lines().map(str::trim).rfind(|line| !line.is_empty());
        LastLine(line.map(|line| Text::new(&shown::visible(line))))
    }

    /// Ends it and all that it began.
    fn kill(&mut self) {
        let _ = kill_process_group(self.group, Signal::KILL);
        // One that waits for a disk ends when that answers; then the end of this process collects it.
        if wait(&self.ended, For::Reading, clock::monotonic() + COMMAND_DEATH).unwrap_or(true) {
            let _ = self.child.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;
    use crate::threads::StopSource;

    #[test]
    fn a_command_that_hangs_is_killed_when_its_time_is_over_and_its_last_line_is_kept() {
        let script = "echo one; echo I wait; exec sleep 600";
        let arguments = ["-c", script].map(Secret::new).to_vec();
        let command = AlertCommand { program: "/bin/sh".into(), arguments };
        let stop = StopSource::default();
        // Long enough for the shell to have begun, whatever the machine does meanwhile.
        let most = Duration::from_secs(2);
        let told = run_within(&command, &Message::test(0), &stop.stop(), most);
        let expected = "it was killed: it had not ended after 2 s; its last line: I wait";
        assert_eq!(told.unwrap_err().to_string(), expected);
    }
}
