//! Named threads, the way they stop, and the signals that stop them.
//!
//! Each program has one [`Supervisor`], on its main thread. It owns every thread that was begun
//! through it. The protocol:
//!
//! 1. SIGTERM or SIGINT, or a thread that ended unasked, makes [`Supervisor::wait`] return.
//! 2. The wiring then stops its parts in the order written beside it; [`Stop`] is what loops look at.
//! 3. [`Supervisor::join`] waits for all threads, at most `limits::SHUTDOWN_MAX`; what has not ended
//!    by then is left to the end of the process, which nothing stored depends on.
//! 4. A second signal ends the process at once, with status 130.
//!
//! SIGHUP ends a program as it does by default, unless it asks for [`hangups`]. A program that begins
//! anew in the same process keeps its supervisor: signals are taken over once, and one that comes
//! meanwhile is not lost.

use crate::clock;
use crate::service::Watchdog;
use crossbeam_channel::{Receiver, RecvError, Sender, bounded, never, select, unbounded};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::io::{self, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Tells a loop that it is time to end. Cheap to copy into every thread.
#[derive(Clone, Debug)]
pub struct Stop {
    closed: Receiver<()>,
}

impl Stop {
    /// Whether the program is ending.
    pub fn is_raised(&self) -> bool {
        matches!(self.closed.try_recv(), Err(crossbeam_channel::TryRecvError::Disconnected))
    }

    /// Waits until the program is ending, at most for `duration`; `true` if it is.
    pub fn wait(&self, duration: Duration) -> bool {
        let timeout = Err(crossbeam_channel::RecvTimeoutError::Timeout);
        self.closed.recv_timeout(duration) != timeout
    }

    /// For `select!`: becomes ready, as disconnected, when the program is ending.
    pub fn receiver(&self) -> &Receiver<()> {
        &self.closed
    }
}

/// Why an [`Interruptible`] broke off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the program is ending")]
pub struct Ending;

impl Ending {
    /// Whether this is why reading failed.
    pub fn is_cause_of(error: &io::Error) -> bool {
        error.get_ref().is_some_and(|inner| inner.is::<Self>())
    }
}

/// A reader that breaks off when the program has been ending for longer than `grace`, so that no
/// transfer holds its end up. What it reads for sees an error and undoes what it began.
#[derive(Debug)]
pub struct Interruptible<R> {
    content: R,
    stop: Stop,
    grace: Duration,
    since: Option<Instant>,
}

impl<R> Interruptible<R> {
    /// A reader of `content` that heeds `stop`.
    pub fn new(content: R, stop: Stop, grace: Duration) -> Self {
        Self { content, stop, grace, since: None }
    }
}

impl<R: Read> Read for Interruptible<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.stop.is_raised() {
            let now = clock::monotonic();
            if now >= *self.since.get_or_insert(now) + self.grace {
                return Err(io::Error::other(Ending));
            }
        }
        self.content.read(buffer)
    }
}

/// Raises every [`Stop`] made from it when it is dropped or told to.
#[derive(Debug)]
pub struct StopSource {
    open: Option<Sender<()>>,
    stop: Stop,
}

impl Default for StopSource {
    fn default() -> Self {
        let (open, closed) = bounded(0);
        Self { open: Some(open), stop: Stop { closed } }
    }
}

impl StopSource {
    /// A view for a thread.
    pub fn stop(&self) -> Stop {
        self.stop.clone()
    }

    /// Raises the flag; a second call does nothing.
    pub fn raise(&mut self) {
        self.open = None;
    }
}

/// Why [`Supervisor::wait`] returned.
#[derive(Debug, PartialEq, Eq)]
pub enum Ended {
    /// The operator or the service manager asked for it.
    Signal(&'static str),
    /// A thread ended unasked: by itself, or by a panic.
    Thread {
        /// The thread's name.
        name: String,
        /// The panic's message, if it was one.
        panic: Option<String>,
    },
}

/// Why [`Supervisor::wait_or_hangup`] returned.
#[derive(Debug, PartialEq, Eq)]
pub enum Woken {
    /// The program is to end, or has to.
    Ended(Ended),
    /// SIGHUP.
    Hangup,
}

/// A thread ended unasked; the program cannot go on without it.
#[derive(Debug, thiserror::Error)]
#[error("the {name} thread ended: {cause}")]
pub struct Died {
    /// The thread's name.
    pub name: String,
    /// Its panic, if it was one.
    pub cause: String,
}

impl Ended {
    /// An end that was asked for is a success.
    pub fn into_result(self) -> Result<(), Died> {
        match self {
            Self::Signal(_) => Ok(()),
            Self::Thread { name, panic } => Err(Died {
                name,
                cause: panic.unwrap_or_else(|| "its last words are above".into()),
            }),
        }
    }
}

struct Exit {
    name: String,
    panic: Option<String>,
}

/// Owns a program's threads; see the module's head.
pub struct Supervisor {
    signals: Receiver<i32>,
    exits: Receiver<Exit>,
    report: Sender<Exit>,
    /// The names of those that have not ended.
    running: Vec<String>,
}

impl Supervisor {
    /// Takes over SIGTERM and SIGINT. Call it before the first thread begins.
    pub fn new() -> io::Result<Self> {
        let (report, exits) = unbounded();
        Ok(Self { signals: watch_signals()?, exits, report, running: Vec::new() })
    }

    /// Begins a thread. Its end, for whatever reason, is noticed.
    pub fn spawn(
        &mut self,
        name: impl Into<String>,
        run: impl FnOnce() + Send + 'static,
    ) -> io::Result<()> {
        let name = name.into();
        let report = self.report.clone();
        self.running.push(name.clone());
        let begun = thread::Builder::new().name(name.clone()).spawn(move || {
            // The thread owns everything `run` captured, so a broken state cannot be seen outside.
            let result = catch_unwind(AssertUnwindSafe(run));
            let panic = result.err().map(|payload| panic_message(payload.as_ref()));
            // Nobody listens any more only when the process is ending.
            let _ = report.send(Exit { name, panic });
        });
        begun.map(drop).inspect_err(|_| drop(self.running.pop()))
    }

    /// Waits for a signal or for the first thread that ends.
    pub fn wait(&mut self) -> Ended {
        select! {
            recv(self.signals) -> signal => signalled(signal),
            recv(self.exits) -> exit => self.ended(exit),
        }
    }

    /// As [`wait`](Self::wait); meanwhile the service manager gets its signs of life, if it wants any.
    pub fn wait_alive(&mut self, watchdog: &Watchdog<'_>) -> Ended {
        loop {
            if let Woken::Ended(ended) = self.wait_or_hangup(watchdog, &never()) {
                return ended;
            }
        }
    }

    /// As [`wait_alive`](Self::wait_alive), and for one of the `hangups`.
    pub fn wait_or_hangup(&mut self, watchdog: &Watchdog<'_>, hangups: &Receiver<()>) -> Woken {
        let mut hangups = hangups.clone();
        loop {
            select! {
                recv(self.signals) -> signal => return Woken::Ended(signalled(signal)),
                recv(self.exits) -> exit => return Woken::Ended(self.ended(exit)),
                recv(hangups) -> message => match message {
                    Ok(()) => return Woken::Hangup,
                    Err(_) => hangups = never(),
                },
                recv(watchdog.beats()) -> _ => watchdog.beat(),
            }
        }
    }

    /// Whether a signal has come that nobody has waited for yet.
    pub fn is_told_to_end(&self) -> bool {
        !self.signals.is_empty()
    }

    fn ended(&mut self, exit: Result<Exit, RecvError>) -> Ended {
        let Exit { name, panic } = exit.unwrap_or(Exit { name: "unknown".into(), panic: None });
        self.forget(&name);
        Ended::Thread { name, panic }
    }

    fn forget(&mut self, name: &str) {
        if let Some(place) = self.running.iter().position(|running| running == name) {
            self.running.swap_remove(place);
        }
    }

    /// The names of the threads that have not ended.
    pub fn running(&self) -> &[String] {
        &self.running
    }

    /// Waits until all threads have ended, at most until `deadline`; `false` if some have not.
    pub fn join(&mut self, deadline: Instant) -> bool {
        self.join_all_but(0, deadline)
    }

    /// As [`join`](Self::join), with `rest` threads still running.
    pub fn join_all_but(&mut self, rest: usize, deadline: Instant) -> bool {
        while self.running.len() > rest {
            let Ok(Exit { name, panic }) = self.exits.recv_deadline(deadline) else { return false };
            if let Some(panic) = panic {
                log::error!("thread {name} panicked while stopping: {panic}");
            }
            self.forget(&name);
        }
        true
    }
}

fn signalled(signal: Result<i32, RecvError>) -> Ended {
    Ended::Signal(match signal {
        Ok(SIGINT) => "SIGINT",
        _ => "SIGTERM",
    })
}

/// The text a panic was raised with.
pub fn panic_message(payload: &(dyn std::any::Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".into())
}

/// The moment by which a program that is told to end now has ended.
pub fn shutdown_deadline() -> Instant {
    clock::monotonic() + crate::limits::SHUTDOWN_MAX
}

fn watch_signals() -> io::Result<Receiver<i32>> {
    let (sender, receiver) = bounded(1);
    let second = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT] {
        // Registered first, so that it looks at the flag before the next line's thread raises it.
        signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(&second))?;
    }
    let mut signals = signal_hook::iterator::Signals::new([SIGTERM, SIGINT])?;
    thread::Builder::new().name("signals".into()).spawn(move || {
        if let Some(signal) = signals.forever().next() {
            second.store(true, Ordering::SeqCst);
            let _ = sender.send(signal);
            // Kept alive: dropping it would give the signals back to their default action.
            signals.forever().for_each(drop);
        }
    })?;
    Ok(receiver)
}

/// Takes over SIGHUP for the rest of the process: each is a message, and those that come before the
/// last one was received are one. Call it before the first thread begins.
pub fn hangups() -> io::Result<Receiver<()>> {
    let (sender, receiver) = bounded(1);
    let mut signals = signal_hook::iterator::Signals::new([SIGHUP])?;
    thread::Builder::new().name("hangups".into()).spawn(move || {
        for _ in signals.forever() {
            // A full channel holds the message already; without a receiver the program is ending.
            let _ = sender.try_send(());
        }
    })?;
    Ok(receiver)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stop_is_seen_by_every_copy_and_only_after_it_was_raised() {
        let mut source = StopSource::default();
        let (first, second) = (source.stop(), source.stop().clone());
        assert!(!first.is_raised() && !second.wait(Duration::ZERO));
        source.raise();
        assert!(first.is_raised() && second.wait(Duration::from_secs(3600)));
    }

    #[test]
    fn a_transfer_goes_on_within_its_grace_and_breaks_off_after_it() {
        for (grace, breaks_off) in [(Duration::from_secs(3600), false), (Duration::ZERO, true)] {
            let mut source = StopSource::default();
            let mut reader = Interruptible::new(&b"ab"[..], source.stop(), grace);
            assert_eq!(reader.read(&mut [0]).unwrap(), 1);
            source.raise();
            let after = reader.read(&mut [0]);
            assert_eq!(after.is_err_and(|error| Ending::is_cause_of(&error)), breaks_off);
        }
        assert!(!Ending::is_cause_of(&io::Error::other("something else")));
    }

    #[test]
    fn a_thread_that_panics_is_noticed_with_its_name_and_message() {
        let mut supervisor = Supervisor::new().unwrap();
        supervisor.spawn("unlucky", || panic!("seven of {}", 13)).unwrap();
        let ended = supervisor.wait();
        assert_eq!(
            ended,
            Ended::Thread { name: "unlucky".into(), panic: Some("seven of 13".into()) }
        );
        assert!(supervisor.join(shutdown_deadline()));
    }

    #[test]
    fn join_waits_for_those_that_end_and_gives_up_on_those_that_do_not() {
        let mut source = StopSource::default();
        let mut supervisor = Supervisor::new().unwrap();
        let stop = source.stop();
        supervisor.spawn("patient", move || while !stop.wait(Duration::from_secs(60)) {}).unwrap();
        assert!(!supervisor.join(clock::monotonic()));
        source.raise();
        assert!(supervisor.join(shutdown_deadline()));
    }

    #[test]
    fn a_hangup_is_a_message_and_those_that_nobody_received_have_a_bound() {
        let hangups = hangups().unwrap();
        let hang_up = || {
            use rustix::process::{Signal, getpid, kill_process};
            kill_process(getpid(), Signal::HUP).unwrap();
        };
        for _ in 0..2 {
            hang_up();
            hangups.recv_timeout(Duration::from_secs(30)).unwrap();
        }
        for _ in 0..100 {
            hang_up();
        }
        hangups.recv_timeout(Duration::from_secs(30)).unwrap();
        assert_eq!(hangups.capacity(), Some(1));
    }
}
