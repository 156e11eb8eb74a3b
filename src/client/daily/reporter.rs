//! Sends each day's report when it is due, and today's when somebody asks.
//!
//! Runs on the `reporter` thread, which sleeps until then: at rest it wakes once a day. It owns the
//! schedule. What it waits for from the server, another thread waits for, so that a silent server does
//! not hold up the end of the program. It changes nothing but which days are known to be reported.

use super::schedule::{Next, Now, Put, Schedule};
use super::text::own_count;
use super::{Gathered, NowAnswer, Sent, gather};
use crate::client::database::{Database, DayCounts};
use crate::client::remote::{Failure, ReportedTo};
use crate::client::status::live::Inside;
use crate::client::status::socket::Peer;
use crate::clock;
use crate::crew::Crew;
use crate::limits::daily::PAUSE_MAX;
use crate::shown::{bytes, counted, visible};
use crate::sqlite::DatabaseError;
use crate::threads::Stop;
use crate::wire::Day;
use crate::wire::report::{CrossCheck, Report, Reported, Verdict};
use crossbeam_channel::{Receiver, bounded, select};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// What the reporter is woken for.
#[derive(Debug)]
pub enum Errand {
    /// Somebody wants today's report to be sent now, and waits for what comes of it.
    Now(Peer),
    /// The clock was set: another day may have ended.
    ClockSet,
}

/// The reporter's parts; see the module's head.
pub struct Reporter {
    /// Where days are counted.
    pub database: Arc<Database>,
    /// Its file.
    pub path: PathBuf,
    /// The watched folders of the configuration.
    pub watches: Vec<PathBuf>,
    /// What the client does now.
    pub inside: Inside,
    /// The server.
    pub server: Arc<dyn ReportedTo>,
    /// When what is sent.
    pub schedule: Schedule,
}

/// The program is ending.
struct Ending;

/// This moment.
pub fn now() -> Now {
    Now { unix: clock::unix_seconds(), monotonic: clock::monotonic() }
}

impl Reporter {
    /// Sends until `stop` is raised.
    pub fn run(mut self, errands: &Receiver<Errand>, stop: &Stop) {
        let mut lived = None;
        loop {
            let Ok(wait) = self.step(&mut lived, stop) else { return };
            let errand = select! {
                recv(stop.receiver()) -> _ => return,
                recv(errands) -> errand => errand,
                default(wait) => continue,
            };
            if let Ok(Errand::Now(peer)) = errand
                && self.answer(peer, stop).is_err()
            {
                return;
            }
        }
    }

    /// Sends what is due, one report at most. Returns how long nothing will be.
    fn step(&mut self, lived: &mut Option<Day>, stop: &Stop) -> Result<Duration, Ending> {
        let moment = now();
        let today = Day::of(moment.unix);
        if *lived != Some(today) {
            match self.database.live_on(today) {
                Ok(()) => *lived = Some(today),
                // Uploads fail by it, too, and say so.
                Err(error) => log::debug!("cannot note that today is {today}: {error}"),
            }
        }
        match self.database.unreported(today) {
            Ok(due) => match self.schedule.next(&due, &moment) {
                Next::Wait(wait) => Ok(wait),
                Next::Send(day) => self.report(day, stop).map(|()| Duration::ZERO),
            },
            Err(error) => {
                log::warn!("cannot find out which days are to be reported: {error}");
                Ok(PAUSE_MAX)
            }
        }
    }

    /// Sends the report of a day that has ended.
    fn report(&mut self, day: Day, stop: &Stop) -> Result<(), Ending> {
        match self.gather(day) {
            Err(error) => self.cannot(day, &error),
            Ok(Gathered { report, counts }) => match self.send(&report, stop)? {
                Ok(answer) => self.taken(day, &counts, &answer.check),
                Err(failure) => self.failed(day, &failure),
            },
        }
        Ok(())
    }

    /// Sends today's report and tells `peer` what came of it. Afterwards, days that the server refused
    /// before may be sent at once.
    fn answer(&mut self, peer: Peer, stop: &Stop) -> Result<(), Ending> {
        let answer = match self.gather(Day::of(clock::unix_seconds())) {
            Err(error) => NowAnswer::Error(error.to_string()),
            Ok(Gathered { report, .. }) => match self.send(&report, stop)? {
                Ok(answer) => {
                    self.schedule.served();
                    NowAnswer::Sent(Box::new(Sent { report, answer }))
                }
                Err(failure) => NowAnswer::Error(explained(&failure)),
            },
        };
        peer.answer(&serde_json::to_vec(&answer).unwrap_or_default());
        Ok(())
    }

    fn gather(&self, day: Day) -> Result<Gathered, DatabaseError> {
        let live = self.inside.live();
        let gathered = gather(&self.path, &self.watches, day, clock::unix_seconds(), Some(&live))?;
        gathered.ok_or_else(|| DatabaseError::told("read", &self.path, "it is gone", ""))
    }

    /// Has a report sent, and waits for it or for the end of the program.
    fn send(&self, report: &Report, stop: &Stop) -> Result<Result<Reported, Failure>, Ending> {
        let (tell, told) = bounded(1);
        let (server, report) = (Arc::clone(&self.server), report.clone());
        let send = move || {
            let _ = tell.send(server.report(&report));
        };
        // It is not waited for at the end: the server has noted the report or not, and is told again.
        if let Err(error) = Crew::default().spawn("report", send) {
            return Ok(Err(Failure::Unreachable(format!("cannot start a thread: {error}"))));
        }
        select! {
            recv(stop.receiver()) -> _ => Err(Ending),
            recv(told) -> result => Ok(result.unwrap_or_else(|_| {
                Err(Failure::Nonsense("its last words are above".to_owned()))
            })),
        }
    }

    fn taken(&mut self, day: Day, counts: &DayCounts, check: &CrossCheck) {
        let again = if self.schedule.taken() { "; the server takes reports again" } else { "" };
        let (files, size) = (counted(counts.files, "file"), bytes(counts.bytes));
        let own = own_count(check);
        let told = format!("reported {day}: {files}, {size}{again}; the server's own count {own}");
        match check.verdict {
            Verdict::Differs => log::warn!("{told}"),
            _ => log::info!("{told}"),
        }
        match self.database.reported(day, counts, clock::unix_seconds()) {
            Ok(true) => {}
            // It is sent again, but not at once and on and on.
            Ok(false) => {
                log::debug!("{day} was counted on while it was reported");
                self.schedule.put_off(None, &now(), fastrand::f64());
            }
            Err(error) => self.cannot(day, &error),
        }
    }

    fn failed(&mut self, day: Day, failure: &Failure) {
        let put = self.schedule.failed(day, failure, &now(), fastrand::f64());
        // Not to keep reports is a server's good right.
        let level = if keeps_none(failure) { log::Level::Info } else { log::Level::Warn };
        let failure = explained(failure);
        match put {
            Put::Off { first: true } => log::warn!(
                "the report of {day} was not taken, and is sent again and again, with pauses: \
                 {failure}"
            ),
            Put::Off { first: false } => log::debug!("{day} was not reported: {failure}"),
            Put::ToTomorrow => log::log!(level, "no report is sent before tomorrow: {failure}"),
            Put::Aside => {
                log::warn!("the report of {day} is not sent again before tomorrow: {failure}");
            }
        }
    }

    /// A report cannot be made, or what came of it cannot be noted.
    fn cannot(&mut self, day: Day, error: &DatabaseError) {
        let put = self.schedule.put_off(None, &now(), fastrand::f64());
        if put == (Put::Off { first: true }) {
            log::warn!("{day} cannot be reported now, and is tried again: {error}");
        }
    }
}

/// Whether the server has no place for reports.
pub fn keeps_none(failure: &Failure) -> bool {
    matches!(failure, Failure::Refused { status: 404 | 405, .. })
}

/// Why a report was not taken, with what to do about it.
pub fn explained(failure: &Failure) -> String {
    let hint = match failure {
        _ if keeps_none(failure) => {
            "; hint: that server keeps no reports: it is older than this client, or has no database"
        }
        Failure::Refused { status: 401 | 403, .. } => {
            "; hint: compare server.api_key with the server's clients"
        }
        _ => "",
    };
    format!("{}{hint}", visible(&failure.to_string()))
}

#[cfg(test)]
mod tests;
