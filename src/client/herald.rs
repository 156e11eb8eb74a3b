//! Says how the work goes while there is some: by a bar on a terminal, by a line a minute in a log, and
//! by one that the service manager shows.
//!
//! Runs on the `herald` thread, which sleeps until work begins and looks at the clock only while it
//! lasts. It reads the counters and owns the bar. Each file's own line is the uploader's.

mod bar;

pub use bar::Bar;

use crate::client::database::Database;
use crate::client::progress::Progress;
use crate::client::queue::{Counts, SharedQueue};
use crate::clock;
use crate::limits::herald::{
    BAR_EVERY, BAR_IDLE, FILES_TOLD_LEAST, STANDING_EVERY, STANDINGS_A_LINE,
};
use crate::service;
use crate::shown::{bytes, count, counted, span};
use crate::threads::Stop;
use bar::Pace;
use crossbeam_channel::select;
use std::sync::Arc;

/// The herald's parts; see the module's head.
pub struct Herald {
    /// The counters.
    pub progress: Arc<Progress>,
    /// What waits.
    pub queue: Arc<SharedQueue>,
    /// What is parked.
    pub database: Arc<Database>,
    /// On a terminal.
    pub bar: Option<Bar>,
}

/// How the work stands at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sight {
    files: u64,
    bytes: u64,
    waiting: u64,
    parked: u64,
    scanning: bool,
}

impl Herald {
    /// Tells until `stop` is raised.
    pub fn run(&self, stop: &Stop) {
        if let Some(bar) = &self.bar {
            self.catch_up(bar, stop);
        }
        let mut before = self.sight();
        let mut told = String::new();
        loop {
            tell(standing(&before), &mut told);
            select! {
                recv(stop.receiver()) -> _ => return,
                recv(self.progress.stirred()) -> _ => {}
            }
            tell(standing(&self.sight()), &mut told);
            loop {
                let Some(now) = self.minute(stop, &mut told) else { return };
                if let Some(line) = line(&before, &now) {
                    log::info!("{line}");
                }
                before = now;
                if now.is_rest() {
                    break;
                }
            }
        }
    }

    /// Tells the service manager for a minute how the work goes. How it stands then; nothing if `stop` is raised.
    fn minute(&self, stop: &Stop, told: &mut String) -> Option<Sight> {
        let mut now = Sight::default();
        for _ in 0..STANDINGS_A_LINE {
            if stop.wait(STANDING_EVERY) {
                return None;
            }
            now = self.sight();
            tell(standing(&now), told);
        }
        Some(now)
    }

    /// Shows the bar until all that was found is uploaded, or nothing moves any more.
    fn catch_up(&self, bar: &Bar, stop: &Stop) {
        let started = clock::monotonic();
        let mut pace = Pace::default();
        let mut moved = (started, (0, 0));
        loop {
            let ending = stop.wait(BAR_EVERY);
            let now = clock::monotonic();
            let counts = self.queue.counts();
            let (known, done) = known_and_done(&counts);
            let sent = self.progress.bytes_sent();
            pace.add(now, sent);
            if moved.1 != (done, sent) || counts.in_hand > 0 {
                moved = (now, (done, sent));
            }
            let caught_up = known == done && self.progress.has_scanned();
            if ending || caught_up || now - moved.0 >= BAR_IDLE {
                bar.clear();
                if caught_up && done > 0 {
                    let seconds = (now - started).as_secs();
                    let (files, size) = (counted(done, "file"), bytes(sent));
                    log::info!("caught up: {files}, {size} sent in {}", span(seconds));
                }
                return;
            }
            bar.show(known, done, &pace.text(done, known, (now - started).as_secs_f64()));
        }
    }

    fn sight(&self) -> Sight {
        let Counts { resting, ready, in_hand, .. } = self.queue.counts();
        let uploads = self.progress.snapshot().uploads;
        // What cannot be read now is said by whoever needs it.
        let parked = self.database.parked_count().unwrap_or_default();
        Sight {
            files: uploads.files,
            bytes: self.progress.bytes_sent(),
            waiting: (resting + ready + in_hand) as u64,
            parked,
            scanning: self.progress.is_scanning(),
        }
    }
}

fn known_and_done(counts: &Counts) -> (u64, u64) {
    let here = (counts.resting + counts.ready + counts.in_hand) as u64;
    (counts.added, counts.added.saturating_sub(here))
}

impl Sight {
    fn is_rest(&self) -> bool {
        self.waiting == 0 && !self.scanning
    }
}

/// Tells the service manager how the client stands, if that is news.
fn tell(standing: String, told: &mut String) {
    if standing != *told {
        service::status(&standing);
        *told = standing;
    }
}

fn standing(now: &Sight) -> String {
    let scanning = if now.scanning { "a scan of everything is under way; " } else { "" };
    let (waiting, uploaded) = (counted(now.waiting, "file"), counted(now.files, "file"));
    let verb = if now.waiting == 1 { "waits" } else { "wait" };
    let parked = count(now.parked);
    format!("{scanning}{waiting} {verb}, {parked} parked, {uploaded} uploaded since the start")
}

/// What to say of the last minute. Nothing if nothing moved, for whatever stands in the way has said
/// so; nor of a few files that are through, for each had a line of its own.
fn line(before: &Sight, now: &Sight) -> Option<String> {
    let files = now.files.saturating_sub(before.files);
    let sent = now.bytes.saturating_sub(before.bytes);
    if (files, sent) == (0, 0) || (now.is_rest() && files < FILES_TOLD_LEAST) {
        return None;
    }
    let (files, sent) = (counted(files, "file"), bytes(sent));
    let (waiting, parked) = (count(now.waiting), count(now.parked));
    let verb = if now.waiting == 1 { "waits" } else { "wait" };
    Some(format!("uploaded {files}, {sent} in the last minute; {waiting} {verb}; {parked} parked"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_of_work_is_a_line_and_one_without_is_none() {
        let zero = Sight::default();
        let check = |before: Sight, now: Sight, expected: Option<&str>| {
            assert_eq!(line(&before, &now).as_deref(), expected, "{now:?}");
        };
        let busy =
            Sight { files: 812, bytes: 96_300_000, waiting: 3210, parked: 2, scanning: true };
        let expected = "uploaded 812 files, 96.3 MB in the last minute; 3,210 wait; 2 parked";
        check(zero, busy, Some(expected));
        check(busy, busy, None);
        let large = Sight { bytes: busy.bytes + 1000, waiting: 1, ..busy };
        check(busy, large, Some("uploaded 0 files, 1.0 kB in the last minute; 1 waits; 2 parked"));
        let few = Sight { files: FILES_TOLD_LEAST - 1, bytes: 5, ..zero };
        check(zero, few, None);
        check(
            zero,
            Sight { scanning: true, ..few },
            Some("uploaded 9 files, 5 B in the last minute; 0 wait; 0 parked"),
        );
        let enough = Sight { files: FILES_TOLD_LEAST, bytes: 5, ..zero };
        check(zero, enough, Some("uploaded 10 files, 5 B in the last minute; 0 wait; 0 parked"));
    }

    #[test]
    fn how_the_client_stands_is_one_line_for_the_service_manager() {
        let rest = Sight { files: 1204, bytes: 5, parked: 2, ..Sight::default() };
        assert_eq!(standing(&rest), "0 files wait, 2 parked, 1,204 files uploaded since the start");
        let busy = Sight { waiting: 1, files: 1, scanning: true, ..Sight::default() };
        assert_eq!(
            standing(&busy),
            "a scan of everything is under way; 1 file waits, 0 parked, 1 file uploaded since the start"
        );
    }

    #[test]
    fn what_left_the_queue_is_done() {
        let counts = Counts { resting: 3, ready: 2, in_hand: 1, added: 10 };
        assert_eq!(known_and_done(&counts), (10, 4));
    }
}
