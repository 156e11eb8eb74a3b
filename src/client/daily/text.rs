//! A report for people: a line for each subject, its name in the first column.
//!
//! Pure. Names and reasons are of types that show as text and as nothing else.

use super::Sent;
use crate::shown::{Lines, bytes, count, counted, span};
use crate::wire::report::{CrossCheck, Queue, Report, Scan, Verdict, Watches};

/// What would be sent.
pub fn unsent(report: &Report) -> String {
    let mut lines = Lines::default();
    lines.line("report", &format!("{}, as of now; s3up report --now sends it", report.date));
    facts(report, &mut lines);
    lines.into_text()
}

/// What was sent, and what the server said to it.
pub fn sent(sent: &Sent) -> String {
    let mut lines = Lines::default();
    lines.line("report", &format!("{}, as of now; sent", sent.report.date));
    facts(&sent.report, &mut lines);
    lines.line("server", &format!("its own count {}", own_count(&sent.answer.check)));
    lines.into_text()
}

/// What the server says of its own count, as words behind that name.
pub fn own_count(check: &CrossCheck) -> String {
    let own = format!("{}, {}", counted(check.files, "file"), bytes(check.bytes));
    let mut text = match check.verdict {
        Verdict::Agrees => format!("agrees: {own}"),
        Verdict::Explained => format!("is {own}, as can be when all is well"),
        Verdict::Differs => format!("DIFFERS: {own}"),
        Verdict::Unknown => "has nothing to compare with".to_owned(),
    };
    for remark in &*check.remarks {
        text += &format!("; {remark}");
    }
    text
}

/// What the report says, behind the line that says which it is.
fn facts(report: &Report, lines: &mut Lines) {
    let (files, size) = (counted(report.files, "file"), bytes(report.bytes));
    let failures = counted(report.failures, "failure");
    lines.line("uploaded", &format!("{files}, {size}; {failures}"));
    lines.line("parked", &counted(report.parked.count, "file"));
    for parked in &*report.parked.reasons {
        lines.more(&format!("{}: {}", count(parked.count), parked.reason));
    }
    lines.line("queue", &queue(&report.queue));
    lines.line("watches", &watches(&report.watches));
    for failure in &*report.watch_failures {
        lines.more(&format!("NOT heard: {}: {}", failure.path, failure.reason));
    }
    lines.line("scan", &scan(report.last_scan.as_ref(), report.sent_at));
    if let Some(free) = report.free_disk_bytes {
        lines.line("disk", &format!("{} free beside the database", bytes(free)));
    }
}

fn queue(queue: &Queue) -> String {
    match (queue.length, queue.oldest_seconds) {
        (0, _) => "empty".to_owned(),
        (length, None) => counted(length, "file"),
        (length, Some(oldest)) => {
            format!("{}; the oldest for {}", counted(length, "file"), span(oldest))
        }
    }
}

fn watches(watches: &Watches) -> String {
    let events = match watches.directories {
        None => String::new(),
        Some(folders) => format!("; events from {}", counted(folders, "folder")),
    };
    let files = counted(watches.files, "file");
    format!("{}{events}; {files} in the bucket", counted(watches.count, "watched folder"))
}

fn scan(scan: Option<&Scan>, now: u64) -> String {
    match scan {
        None => "none has come to its end".to_owned(),
        Some(Scan { ended_at, duration_ms, files }) => format!(
            "{} ago: {}, {:.1} s",
            span(now.saturating_sub(*ended_at)),
            counted(*files, "file"),
            *duration_ms as f64 / 1000.0
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::report::{Parked, ParkedFor, Reported, WatchFailure};
    use crate::wire::{Day, Few};

    /// 2026-11-28T13:00:00Z.
    const NOW: u64 = 1_795_870_800;

    fn report() -> Report {
        let reason = "its name cannot be stored: it is not UTF-8; hint: rename it".into();
        Report {
            files: 812,
            bytes: 96_300_000,
            failures: 3,
            parked: Parked {
                count: 2,
                reasons: [ParkedFor { reason, count: 2 }].into_iter().collect(),
            },
            queue: Queue { length: 15, oldest_seconds: Some(240) },
            watches: Watches { count: 1, directories: Some(1204), files: 12_345 },
            last_scan: Some(Scan { ended_at: NOW - 1564, duration_ms: 340, files: 12_345 }),
            free_disk_bytes: Some(12_300_000_000),
            ..Report::of(Day::of(NOW as i64), NOW)
        }
    }

    fn check(verdict: Verdict, remarks: &[&str]) -> CrossCheck {
        let remarks: Few<_, 8> = remarks.iter().map(|remark| (*remark).into()).collect();
        CrossCheck { verdict, files: 812, bytes: 96_300_000, remarks }
    }

    #[test]
    fn a_report_that_was_sent_is_shown_as_the_readme_does() {
        let (report, check) = (report(), check(Verdict::Agrees, &[]));
        let answer = Reported { success: true, date: report.date, check };
        let text = sent(&Sent { report, answer });
        let readme = include_str!("../../../README.md");
        assert!(readme.contains(&format!("report --now -c client.yaml\n{text}```\n")), "{text}");
    }

    #[test]
    fn what_is_not_known_is_left_out_and_what_is_wrong_stands_out() {
        let day = Day::of(NOW as i64);
        let failures = [WatchFailure { path: "/a\n".into(), reason: "gone".into() }];
        let report =
            Report { watch_failures: failures.into_iter().collect(), ..Report::of(day, NOW) };
        let expected = "report    2026-11-28, as of now; s3up report --now sends it\n\
                        uploaded  0 files, 0 B; 0 failures\n\
                        parked    0 files\n\
                        queue     empty\n\
                        watches   0 watched folders; 0 files in the bucket\n          \
                        NOT heard: /a\\n: gone\n\
                        scan      none has come to its end\n";
        assert_eq!(unsent(&report), expected);
    }

    #[test]
    fn what_the_server_counted_is_told_by_its_verdict() {
        for (verdict, remarks, expected) in [
            (Verdict::Agrees, &[][..], "agrees: 812 files, 96.3 MB"),
            (
                Verdict::Explained,
                &["why"],
                "is 812 files, 96.3 MB, as can be when all is well; why",
            ),
            (Verdict::Differs, &["a", "b"], "DIFFERS: 812 files, 96.3 MB; a; b"),
            (Verdict::Unknown, &["no ledger yet"], "has nothing to compare with; no ledger yet"),
        ] {
            assert_eq!(own_count(&check(verdict, remarks)), expected);
        }
    }
}
