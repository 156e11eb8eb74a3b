//! A report for people: a line for each subject, its name in the first column.
//!
//! Pure. Names and reasons are of types that show as text and as nothing else.

use super::Sent;
use crate::shown::{bytes, count, counted, span};
use crate::wire::report::{CrossCheck, Queue, Report, Scan, Verdict, Watches};

/// Width of the first column: the longest name and two blanks.
const NAME_WIDTH: usize = 10;

/// What would be sent.
pub fn unsent(report: &Report) -> String {
    let mut lines = Lines::default();
    lines.line("report", &format!("{}, as of now; s3up report --now sends it", report.date));
    lines.report(report);
    lines.text
}

/// What was sent, and what the server said to it.
pub fn sent(sent: &Sent) -> String {
    let mut lines = Lines::default();
    lines.line("report", &format!("{}, as of now; sent", sent.report.date));
    lines.report(&sent.report);
    lines.line("server", &format!("its own count {}", own_count(&sent.answer.check)));
    lines.text
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

#[derive(Default)]
struct Lines {
    text: String,
}

impl Lines {
    fn line(&mut self, name: &str, text: &str) {
        self.text += &format!("{name:NAME_WIDTH$}{text}\n");
    }

    /// A line that belongs to the one before it.
    fn more(&mut self, text: &str) {
        self.line("", text);
    }

    fn report(&mut self, report: &Report) {
        let (files, size) = (counted(report.files, "file"), bytes(report.bytes));
        let failures = counted(report.failures, "failure");
        self.line("uploaded", &format!("{files}, {size}; {failures}"));
        self.line("parked", &counted(report.parked.count, "file"));
        for parked in &*report.parked.reasons {
            self.more(&format!("{}: {}", count(parked.count), parked.reason));
        }
        self.line("queue", &queue(&report.queue));
        self.line("watches", &watches(&report.watches));
        for failure in &*report.watch_failures {
            self.more(&format!("NOT heard: {}: {}", failure.path, failure.reason));
        }
        self.line("scan", &scan(report.last_scan.as_ref(), report.sent_at));
        if let Some(free) = report.free_disk_bytes {
            self.line("disk", &format!("{} free beside the database", bytes(free)));
        }
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
