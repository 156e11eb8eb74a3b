//! The report for people: a line for each subject, its name in the first column.
//!
//! Pure. Names and causes come from elsewhere: none reaches the terminal as anything but text.

use crate::client::database::facts::Parked;
use crate::client::progress::{ScanDone, ServerState, Snapshot};
use crate::client::status::live::{Live, Waiting};
use crate::client::status::report::{Report, WatchReport, files_and_folders, span_between};
use crate::shown::{Lines, bytes, count, counted, span, utc, visible};

/// Writes the report.
pub fn text(report: &Report) -> String {
    let now = report.asked_at;
    let mut lines = Lines::default();
    match &report.live {
        Some(live) => running(report, live, &mut lines),
        None => {
            lines.line("client", if report.silent { "does not answer" } else { "not running" });
            lines.line("server", &report.server_url);
        }
    }
    for watch in &report.watches {
        lines.line("watch", &watched(watch, now));
    }
    let (files, size) = (counted(report.files, "file"), bytes(report.bytes));
    lines.line("backed up", &format!("{files}, {size}"));
    for file in &report.last_uploads {
        let ago = span_between(file.uploaded_at, now);
        lines.more(&format!("{ago} ago  {:?}, {}", file.path, bytes(file.size)));
    }
    parked(report, &mut lines);
    match report.problems.split_first() {
        None => lines.line("verdict", "all is well"),
        Some((first, rest)) => {
            lines.line("verdict", &format!("NOT WELL: {first}"));
            rest.iter().for_each(|problem| lines.more(&format!("          {problem}")));
        }
    }
    lines.into_text()
}

fn running(report: &Report, live: &Live, lines: &mut Lines) {
    let now = report.asked_at;
    let up = span_between(live.started, now);
    let version = visible(&live.version);
    let since = utc(live.started);
    lines.line(
        "client",
        &format!("running for {up}, since {since}; pid {}, s3up {version}", live.pid),
    );
    lines.line("server", &server(&report.server_url, &live.snapshot.server, now));
    lines.line("queue", &queue(&live.queue));
    for file in &live.snapshot.uploads.in_hand {
        let (sent, size) = (bytes(file.sent), bytes(file.size));
        lines.more(&format!("sending {:?}, {sent} of {size}", file.path));
    }
    lines.line("sent", &sent(&live.snapshot, now));
    lines.line("scan", &scan(&live.snapshot, now));
    if let Some(folders) = live.folders_watched {
        lines.line("events", &format!("from {}", counted(folders, "folder")));
    }
}

fn server(url: &str, state: &ServerState, now: i64) -> String {
    match state {
        ServerState::Unknown => format!("{url}; nothing was sent to it yet"),
        ServerState::Answers { last } => {
            format!("{url} answers; last {} ago", span_between(*last, now))
        }
        ServerState::Fails { since, cause } => {
            format!("{url} FAILING for {}: {}", span_between(*since, now), visible(cause))
        }
    }
}

fn queue(queue: &Waiting) -> String {
    let (resting, ready, in_hand) =
        (count(queue.resting), count(queue.ready), count(queue.in_hand));
    let oldest = match queue.oldest_seconds {
        None => String::new(),
        Some(seconds) => format!("; the oldest for {}", span(seconds)),
    };
    if queue.resting + queue.ready + queue.in_hand == 0 {
        return "empty".to_owned();
    }
    format!("{resting} wait until they rest, {ready} ready, {in_hand} in hand{oldest}")
}

fn sent(snapshot: &Snapshot, now: i64) -> String {
    let uploads = &snapshot.uploads;
    let failures = match uploads.failures {
        0 => String::new(),
        failures => format!(", {}", counted(failures, "failed attempt")),
    };
    let last = match uploads.last_success {
        None => String::new(),
        Some(last) => format!("; the last one {} ago", span_between(last, now)),
    };
    let files = counted(uploads.files, "file");
    format!("{files}, {} since the start{failures}{last}", bytes(uploads.bytes))
}

fn scan(snapshot: &Snapshot, now: i64) -> String {
    let last = match &snapshot.last_scan {
        None => "none has ended yet".to_owned(),
        Some(scan) => done(scan, now),
    };
    match &snapshot.scanning {
        None => last,
        Some(scan) => {
            let (cause, span) = (visible(&scan.cause), span_between(scan.started, now));
            format!("under way for {span} ({cause}); before it: {last}")
        }
    }
}

fn done(scan: &ScanDone, now: i64) -> String {
    let end = if scan.complete { "" } else { ", BROKE OFF" };
    format!(
        "{} ago ({}): {}, {} to look at, {:.1} s{end}",
        span_between(scan.started, now),
        visible(&scan.cause),
        counted(scan.files, "file"),
        count(scan.queued),
        scan.seconds
    )
}

fn watched(watch: &WatchReport, now: i64) -> String {
    let state = match (watch.watched, &watch.unwatched) {
        (None, _) => String::new(),
        (Some(true), _) => ": watched".to_owned(),
        (Some(false), why) => {
            format!(": NOT WATCHED: {}", visible(why.as_deref().unwrap_or_default()))
        }
    };
    let baseline = match watch.baseline_ns {
        None => String::new(),
        Some(nanos) => {
            format!("; files from before {} are left out", utc(nanos.div_euclid(1_000_000_000)))
        }
    };
    let scanned = match &watch.last_scan {
        None => String::new(),
        Some(scan) => {
            let (ago, files) = (span_between(scan.ended_at, now), counted(scan.files, "file"));
            format!("; scanned {ago} ago, {files}")
        }
    };
    format!("{:?} to {:?}{state}{scanned}{baseline}", watch.local_path, watch.remote_prefix)
}

fn parked(report: &Report, lines: &mut Lines) {
    if report.parked_count == 0 {
        return lines.line("parked", "none");
    }
    lines.line("parked", &files_and_folders(report.parked_count, report.parked_folders));
    for Parked { path, reason, since, .. } in &report.parked {
        lines.more(&format!("{path:?}, since {}: {}", utc(*since), visible(reason)));
    }
    let left = report.parked_count.saturating_sub(report.parked.len() as u64);
    if left > 0 {
        lines.more(&format!("and {} more (--json lists all)", count(left)));
    }
}
