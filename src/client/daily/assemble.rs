//! A client's report of one day, from what is known.
//!
//! Pure. What only a running client knows is left out without one.

use crate::client::database::LastScan;
use crate::client::database::day_facts::DayFacts;
use crate::client::progress::ScanDone;
use crate::client::status::live::Live;
use crate::limits::report::NUMBER_MAX;
use crate::version;
use crate::wire::Day;
use crate::wire::report::{Parked, Queue, Report, Scan, WatchFailure, Watches};
use std::path::PathBuf;

/// What a report is made from.
#[derive(Clone, Copy)]
pub struct Sources<'s> {
    /// The day.
    pub day: Day,
    /// The moment, in seconds since 1970.
    pub now: i64,
    /// The watched folders of the configuration.
    pub watches: &'s [PathBuf],
    /// What the database knows.
    pub facts: &'s DayFacts,
    /// What the running client tells; none if none is running.
    pub live: Option<&'s Live>,
    /// What is free of the file system that the database lies on, in bytes, if that is known.
    pub free_disk: Option<u64>,
}

/// Makes the report.
pub fn assemble(sources: Sources<'_>) -> Report {
    let Sources { day, now, watches, facts, live, free_disk } = sources;
    let counts = &facts.counts;
    Report {
        version: live.map_or(version::NUMBER, |live| &live.version).into(),
        uptime_seconds: live.map_or(0, |live| moment(now.saturating_sub(live.started))),
        files: number(counts.files),
        bytes: number(counts.bytes),
        failures: number(counts.failures),
        parked: Parked { count: number(facts.parked.count), ..facts.parked.clone() },
        queue: live.map(queue).unwrap_or_default(),
        watches: Watches {
            count: watches.len() as u64,
            directories: live.and_then(|live| live.folders_watched).map(number),
            files: number(facts.files),
        },
        watch_failures: live.into_iter().flat_map(watch_failures).collect(),
        last_scan: live.and_then(scan_of).or_else(|| scan_noted(watches, facts)),
        free_disk_bytes: free_disk.map(number),
        ..Report::of(day, moment(now))
    }
}

/// What is larger than a reader of JSON can hold is as large as that.
fn number(number: u64) -> u64 {
    number.min(NUMBER_MAX)
}

/// A time from a clock that may have been set back.
fn moment(seconds: i64) -> u64 {
    number(u64::try_from(seconds).unwrap_or_default())
}

fn queue(live: &Live) -> Queue {
    let queue = &live.queue;
    let length = queue.resting.saturating_add(queue.ready).saturating_add(queue.in_hand);
    Queue { length: number(length), oldest_seconds: queue.oldest_seconds.map(number) }
}

fn watch_failures(live: &Live) -> impl Iterator<Item = WatchFailure> {
    live.snapshot.watches.iter().filter_map(|watch| {
        let reason = watch.unwatched.as_deref()?.into();
        Some(WatchFailure { path: watch.local_path.as_str().into(), reason })
    })
}

/// The last scan of the running client, unless it broke off.
fn scan_of(live: &Live) -> Option<Scan> {
    let ScanDone { started, seconds, files, .. } =
        live.snapshot.last_scan.as_ref().filter(|scan| scan.complete)?;
    let took = std::time::Duration::try_from_secs_f64(*seconds).unwrap_or_default();
    let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    Some(Scan {
        ended_at: moment(started.saturating_add_unsigned(took.as_secs())),
        duration_ms: number(duration_ms),
        files: number(*files),
    })
}

/// The last scan that is noted for all watches; none if one of them never was scanned to its end.
fn scan_noted(watches: &[PathBuf], facts: &DayFacts) -> Option<Scan> {
    let scans: Option<Vec<&LastScan>> = watches.iter().map(|path| facts.scans.get(path)).collect();
    let scans = scans?;
    let sum = |of: fn(&LastScan) -> i64| scans.iter().map(|scan| moment(of(scan))).sum();
    Some(Scan {
        ended_at: moment(scans.iter().map(|scan| scan.ended_at).max()?),
        duration_ms: number(sum(|scan| scan.milliseconds)),
        files: number(sum(|scan| scan.files)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::database::DayCounts;
    use crate::client::progress::{Snapshot, WatchState};
    use crate::client::status::live::Waiting;
    use crate::limits::report::WATCH_FAILURES_MAX;
    use std::collections::BTreeMap;

    /// 2026-11-28T13:00:00Z.
    const NOW: i64 = 1_795_870_800;

    fn watches() -> Vec<PathBuf> {
        ["/a", "/b"].map(PathBuf::from).to_vec()
    }

    fn facts() -> DayFacts {
        let scan = |ended_at| LastScan { ended_at, milliseconds: 1500, files: 20 };
        DayFacts {
            counts: DayCounts { files: 3, bytes: 4096, failures: 1 },
            files: 40,
            parked: Parked { count: 2, ..Parked::default() },
            scans: BTreeMap::from([("/a".into(), scan(NOW - 9)), ("/b".into(), scan(NOW - 7))]),
        }
    }

    fn live() -> Live {
        let watch = |path: &str, unwatched: Option<&str>| WatchState {
            local_path: path.into(),
            unwatched: unwatched.map(str::to_owned),
        };
        let last_scan = ScanDone {
            cause: "interval".into(),
            started: NOW - 100,
            seconds: 2.34,
            files: 41,
            queued: 1,
            complete: true,
        };
        Live {
            version: "0.1.0".into(),
            pid: 7,
            started: NOW - 86_400,
            folders_watched: Some(12),
            queue: Waiting { resting: 3, ready: 2, in_hand: 1, oldest_seconds: Some(7) },
            snapshot: Snapshot {
                last_scan: Some(last_scan),
                watches: vec![watch("/a", None), watch("/b", Some("gone"))],
                ..Snapshot::default()
            },
        }
    }

    fn report(facts: &DayFacts, live: Option<&Live>) -> Report {
        let (day, watches) = (Day::of(NOW), watches());
        assemble(Sources { day, now: NOW, watches: &watches, facts, live, free_disk: Some(5) })
    }

    #[test]
    fn a_running_client_tells_what_the_database_does_not_know() {
        let report = report(&facts(), Some(&live()));
        let expected = Report {
            version: "0.1.0".into(),
            uptime_seconds: 86_400,
            files: 3,
            bytes: 4096,
            failures: 1,
            parked: Parked { count: 2, ..Parked::default() },
            queue: Queue { length: 6, oldest_seconds: Some(7) },
            watches: Watches { count: 2, directories: Some(12), files: 40 },
            watch_failures: [WatchFailure { path: "/b".into(), reason: "gone".into() }]
                .into_iter()
                .collect(),
            last_scan: Some(Scan { ended_at: NOW as u64 - 98, duration_ms: 2340, files: 41 }),
            free_disk_bytes: Some(5),
            ..Report::of(Day::of(NOW), NOW as u64)
        };
        assert_eq!(report, expected);
    }

    #[test]
    fn without_a_client_the_database_alone_is_told() {
        let report = report(&facts(), None);
        let expected = Report {
            version: version::NUMBER.into(),
            files: 3,
            bytes: 4096,
            failures: 1,
            parked: Parked { count: 2, ..Parked::default() },
            watches: Watches { count: 2, directories: None, files: 40 },
            last_scan: Some(Scan { ended_at: NOW as u64 - 7, duration_ms: 3000, files: 40 }),
            free_disk_bytes: Some(5),
            ..Report::of(Day::of(NOW), NOW as u64)
        };
        assert_eq!(report, expected);
    }

    #[test]
    fn a_scan_that_broke_off_and_a_watch_that_never_was_scanned_are_no_last_scan() {
        let (mut live, mut facts) = (live(), facts());
        live.snapshot.last_scan.as_mut().unwrap().complete = false;
        assert_eq!(report(&facts, Some(&live)).last_scan.unwrap().duration_ms, 3000);
        facts.scans.remove(&PathBuf::from("/b"));
        assert_eq!(report(&facts, Some(&live)).last_scan, None);
    }

    #[test]
    fn whatever_is_known_the_server_can_read_it() {
        let (mut live, mut facts) = (live(), facts());
        live.started = i64::MAX;
        live.folders_watched = Some(u64::MAX);
        live.queue = Waiting { resting: u64::MAX, ready: 5, ..Waiting::default() };
        live.snapshot.last_scan.as_mut().unwrap().seconds = f64::INFINITY;
        let broken = WatchState { local_path: "/x\n".into(), unwatched: Some("y\n".into()) };
        live.snapshot.watches = vec![broken; 1000];
        facts.counts = DayCounts { files: u64::MAX, bytes: u64::MAX, failures: u64::MAX };
        facts.parked.count = u64::MAX;
        let report = report(&facts, Some(&live));
        let json = serde_json::to_string(&report).unwrap();
        assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), report);
        assert_eq!(report.watch_failures.len(), WATCH_FAILURES_MAX);
        assert_eq!((report.uptime_seconds, report.bytes), (0, NUMBER_MAX));
    }
}
