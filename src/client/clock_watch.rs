//! Hears of it when somebody sets the machine's clock.
//!
//! Runs on its own thread, which sleeps until that happens: a timer that is due in a thousand years
//! and that the kernel calls off whenever the clock is set. It owns that timer. What follows from the
//! news is the business of whoever is told.

use crate::threads::Stop;
use rustix::io::Errno;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// A thousand years after 1970, in seconds.
const NEVER: i64 = 1_000 * 365 * 24 * 60 * 60;

/// The watch on the clock; see the module's head.
#[derive(Clone, Debug)]
pub struct ClockWatch {
    timer: Arc<OwnedFd>,
}

impl ClockWatch {
    /// Begins to watch, if this system lets it. What happens from here on is reported as soon as
    /// [`ClockWatch::run`] runs. A client without it does its work nevertheless.
    pub fn start() -> Option<Self> {
        let cannot = |error: &Errno| {
            log::warn!(
                "whether the clock is set cannot be heard of: {error}; that it was set back is \
                 noticed only by the next scan of everything (scan.interval_minutes)"
            );
        };
        Self::try_start().inspect_err(cannot).ok()
    }

    fn try_start() -> rustix::io::Result<Self> {
        let timer = timerfd_create(TimerfdClockId::Realtime, TimerfdFlags::CLOEXEC)?;
        let flags = TimerfdTimerFlags::ABSTIME | TimerfdTimerFlags::CANCEL_ON_SET;
        timerfd_settime(&timer, flags, &due(NEVER, 0))?;
        Ok(Self { timer: Arc::new(timer) })
    }

    /// Calls `set` each time the clock was set, until `stop` is raised and [`ClockWatch::wake`] was
    /// called.
    pub fn run(&self, set: impl Fn(), stop: &Stop) {
        loop {
            let read = rustix::io::read(&*self.timer, &mut [0; 8]);
            if stop.is_raised() {
                return;
            }
            match read {
                Err(Errno::CANCELED) => set(),
                Err(Errno::INTR) | Ok(_) => {}
                Err(error) => {
                    log::warn!("whether the clock is set is not heard of any more: {error}");
                    // Only the end of the program may end this thread.
                    let _ = stop.receiver().recv();
                    return;
                }
            }
        }
    }

    /// Lets [`ClockWatch::run`] look at its `stop`.
    pub fn wake(&self) {
        if let Err(error) = timerfd_settime(&*self.timer, TimerfdTimerFlags::empty(), &due(0, 1)) {
            log::warn!("the watch on the clock is left to the end of the process: {error}");
        }
    }
}

fn due(tv_sec: i64, tv_nsec: i64) -> Itimerspec {
    let never_again = Timespec { tv_sec: 0, tv_nsec: 0 };
    Itimerspec { it_interval: never_again, it_value: Timespec { tv_sec, tv_nsec } }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::threads::StopSource;
    use crossbeam_channel::bounded;

    /// To set the clock would disturb everybody on this machine: tests see only that the watch sleeps
    /// and ends.
    #[test]
    fn it_ends_when_it_is_told_to_and_reports_nothing_of_that() {
        let watch = ClockWatch::start().unwrap();
        let (sender, reports) = bounded(1);
        let mut source = StopSource::default();
        let stop = source.stop();
        std::thread::scope(|scope| {
            scope.spawn(|| watch.run(|| sender.send(()).unwrap(), &stop));
            source.raise();
            watch.wake();
        });
        assert!(reports.try_recv().is_err());
    }
}
