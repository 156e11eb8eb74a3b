//! The place of one program in a test: it may run, have ended, and run again; its logs add up.

use super::daemon::Daemon;
use rustix::process::Signal;
use std::process::ExitStatus;

/// A program's place, empty at first.
#[derive(Default)]
pub(crate) struct Slot {
    daemon: Option<Daemon>,
    /// The logs of those that ran before.
    past: String,
    was_killed: bool,
}

impl Slot {
    /// Puts a program in that has just been started.
    pub(crate) fn insert(&mut self, daemon: Daemon) -> &Daemon {
        self.daemon.insert(daemon)
    }

    #[track_caller]
    pub(crate) fn daemon(&self) -> &Daemon {
        self.daemon.as_ref().expect("the program runs")
    }

    /// Stops it in order; what it logged stays.
    #[track_caller]
    pub(crate) fn stop(&mut self) -> ExitStatus {
        self.daemon().signal(Signal::TERM);
        self.ended()
    }

    /// Waits until it has ended by itself; what it logged stays.
    #[track_caller]
    pub(crate) fn ended(&mut self) -> ExitStatus {
        let mut daemon = self.daemon.take().expect("the program runs");
        let status = daemon.ended();
        self.past += &daemon.log();
        status
    }

    /// Ends it without asking; what it logged stays.
    #[track_caller]
    pub(crate) fn kill(&mut self) {
        let mut daemon = self.daemon.take().expect("the program runs");
        daemon.kill();
        self.was_killed = true;
        self.past += &daemon.log();
    }

    /// Whether it was ever ended without asking.
    pub(crate) fn was_killed(&self) -> bool {
        self.was_killed
    }

    /// Everything that was logged, by those before, too.
    pub(crate) fn log(&self) -> String {
        format!("{}{}", self.past, self.daemon.as_ref().map(Daemon::log).unwrap_or_default())
    }
}
