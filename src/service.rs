//! What the service manager hears of a program: that it serves, what it does, that it lives.
//!
//! Any thread may tell it. A message is one datagram to the socket that `NOTIFY_SOCKET` names; without
//! that variable nobody is told and nothing fails, and a message that cannot be sent is one warning in
//! the life of the process. [`Watchdog`] belongs to the main thread. This is the only module that knows
//! `sd-notify`. It decides nothing: what is told, and what proves that a program lives, say others.

use crate::clock;
use crate::limits::WATCHDOG_BEAT_LEAST;
use crate::shown::visible;
use crossbeam_channel::{Receiver, never, tick};
use sd_notify::NotifyState;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The program serves from now on, or again after [`reloading`].
pub fn ready() {
    tell(&[NotifyState::Ready]);
}

/// How the program stands, in one line, as `systemctl status` shows it.
pub fn status(line: &str) {
    tell(&[NotifyState::Status(&visible(line))]);
}

/// The configuration is being read again; [`ready`] follows, whatever comes of it.
pub fn reloading() {
    let now = i128::try_from(clock::monotonic_reading().as_micros()).unwrap_or_default();
    tell(&[NotifyState::Reloading, NotifyState::MonotonicUsec(now)]);
}

/// The program is ending.
pub fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("ending")]);
}

fn tell(state: &[NotifyState<'_>]) {
    static FAILED: AtomicBool = AtomicBool::new(false);
    if let Err(error) = sd_notify::notify(state)
        && !FAILED.swap(true, Ordering::Relaxed)
    {
        log::warn!("the service manager cannot be told how it goes: {error} (NOTIFY_SOCKET)");
    }
}

/// Signs of life for the service manager, which restarts a program that gives none.
///
/// The sign is given by the main thread, but only after a proof: code that passes what all threads of
/// the program pass, such as the locks that they share. Should those be stuck, the proof does not end.
/// It must not wait for anything that may be slow without being stuck: no disk, no network, no peer.
pub struct Watchdog<'p> {
    beats: Receiver<Instant>,
    prove: Box<dyn Fn() + 'p>,
    tell: Box<dyn Fn() + 'p>,
}

impl<'p> Watchdog<'p> {
    /// Gives a sign twice in the time that the service manager allows between two, if it wants any of
    /// this process (`WATCHDOG_USEC`, `WATCHDOG_PID`). Otherwise nothing ever wakes for it.
    pub fn new(prove: impl Fn() + 'p) -> Self {
        Self::beating(sd_notify::watchdog_enabled(), prove, || tell(&[NotifyState::Watchdog]))
    }

    fn beating(allowed: Option<Duration>, prove: impl Fn() + 'p, tell: impl Fn() + 'p) -> Self {
        let allowed = allowed.filter(|allowed| !allowed.is_zero());
        let beats =
            allowed.map_or_else(never, |allowed| tick((allowed / 2).max(WATCHDOG_BEAT_LEAST)));
        Self { beats, prove: Box::new(prove), tell: Box::new(tell) }
    }

    /// Becomes ready when a sign is due.
    pub fn beats(&self) -> &Receiver<Instant> {
        &self.beats
    }

    /// Proves that the program lives, and gives the sign.
    pub fn beat(&self) {
        (self.prove)();
        (self.tell)();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::threads::{Ended, Supervisor};
    use crossbeam_channel::{bounded, unbounded};
    use std::sync::Mutex;

    const SOON: Duration = Duration::from_millis(20);
    /// What takes so long never happens.
    const LONG: Duration = Duration::from_secs(30);

    #[test]
    fn a_program_whose_locks_are_stuck_gives_no_sign_of_life_until_they_are_free() {
        let (asked, proofs) = unbounded();
        let (give, signs) = unbounded();
        let (end, ends) = bounded::<()>(0);
        let shared = Mutex::new(());
        let held = shared.lock().unwrap();
        std::thread::scope(|scope| {
            let shared = &shared;
            let prove = move || {
                asked.send(()).unwrap();
                drop(shared.lock().unwrap());
            };
            scope.spawn(move || {
                let watchdog = Watchdog::beating(Some(SOON), prove, || give.send(()).unwrap());
                let mut supervisor = Supervisor::new().unwrap();
                let wait = move || assert!(ends.recv().is_err());
                supervisor.spawn("patient", wait).unwrap();
                let ended = Ended::Thread { name: "patient".to_owned(), panic: None };
                assert_eq!(supervisor.wait_alive(&watchdog), ended);
            });
            // It is on its way to the sign, and cannot get past the lock.
            proofs.recv_timeout(LONG).unwrap();
            assert!(signs.recv_timeout(5 * SOON).is_err(), "a sign without a proof");
            drop(held);
            signs.recv_timeout(LONG).unwrap();
            signs.recv_timeout(LONG).unwrap();
            drop(end);
        });
    }

    #[test]
    fn without_a_service_manager_that_wants_signs_nothing_wakes() {
        for allowed in [None, Some(Duration::ZERO)] {
            let watchdog = Watchdog::beating(allowed, || panic!("no proof is due"), || {});
            assert!(watchdog.beats().recv_timeout(SOON).is_err(), "{allowed:?}");
        }
    }

    #[test]
    fn a_manager_that_wants_signs_all_the_time_gets_them_at_intervals() {
        let watchdog = Watchdog::beating(Some(Duration::from_nanos(1)), || {}, || {});
        let (first, second) = (watchdog.beats().recv().unwrap(), watchdog.beats().recv().unwrap());
        assert!(second - first >= WATCHDOG_BEAT_LEAST);
    }
}
