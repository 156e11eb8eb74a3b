//! A client's report laid beside what the server stored for that client on that day.
//!
//! Pure. The two count at different moments, by different clocks, and neither hears of all: a client
//! counts a file when it has the answer and has seen the file unchanged, the server when the store
//! has acknowledged it. So what may differ when all is well:
//!
//! - The server has more. Answers were lost, and the same file came again. Files changed or vanished
//!   while they were sent: those are stored, and their client does not count them as they were.
//! - Either has more, at midnight. What is stored at 23:59:59 may be counted on the next day, and the
//!   clocks differ: [`Windows`] are as much wider and narrower than the day.
//! - The client has more. The server's ledger has gaps: it could not keep up, or was killed.
//!
//! What is never explained is a client that counts files the server has no trace of: it believes in
//! backups that are not there. And if the server has stored many different files that their client
//! does not count, it has lost its database, or somebody else has its key.

use crate::limits::activity::{CLOCK_DIFFERENCE_MAX, UNCOUNTED_FILES};
use crate::limits::{CLOCK_DIFFERENCE, http};
use crate::shown;
use crate::wire::report::{CrossCheck, Reason, Report, Verdict};
use std::ops::Range;

/// Files and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// Files; one that was uploaded twice counts twice.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// The moments between which the uploads of a day lie, in seconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Windows {
    /// What was stored then, the client counts on that day if it counts it at all. May be empty.
    pub certain: Range<i64>,
    /// Nothing that the client counts on that day was stored before or after.
    pub possible: Range<i64>,
}

/// What the server knows of a client's day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recorded {
    /// Uploads that were stored on that day, by the server's clock.
    pub day: Amount,
    /// Different paths stored within [`Windows::certain`], each once.
    pub certain_paths: u64,
    /// Uploads that were stored within [`Windows::possible`].
    pub possible: Amount,
    /// Since when the server keeps its ledger, in seconds since 1970.
    pub kept_since: i64,
    /// Uploads that were not written down within those days.
    pub dropped: u64,
    /// Whether the server was killed within those days, and may have lost its last lines.
    pub crashed: bool,
}

impl Windows {
    /// The windows of a report that came at the moment `received_at`; none if the client's clock is so
    /// wrong that its days are not the server's.
    pub fn of(report: &Report, received_at: i64) -> Option<Self> {
        let difference = clock_difference(report, received_at);
        if difference > CLOCK_DIFFERENCE_MAX.as_secs() {
            return None;
        }
        // How long an answer may take, and the clocks.
        let edge = i64::try_from(http::ANSWER.as_secs() + difference).unwrap_or(i64::MAX);
        let (start, end) = (report.date.start(), report.date.end().min(received_at));
        Some(Self {
            certain: start + edge..(end - edge).max(start + edge),
            possible: start - edge..end + edge,
        })
    }
}

/// How far apart the clocks are, in seconds. The way of the report is in it, which takes no time.
fn clock_difference(report: &Report, received_at: i64) -> u64 {
    u64::try_from(received_at).unwrap_or(0).abs_diff(report.sent_at)
}

/// Compares a report that came at the moment `received_at` with what was recorded.
pub fn compare(report: &Report, recorded: &Recorded, received_at: i64) -> CrossCheck {
    let Recorded { day, certain_paths, possible, kept_since, dropped, crashed } = *recorded;
    let verdict = |verdict, remarks: Vec<String>| CrossCheck {
        verdict,
        files: day.files,
        bytes: day.bytes,
        remarks: remarks.iter().map(|remark| Reason::new(remark)).collect(),
    };
    let mut remarks = Vec::new();
    let difference = clock_difference(report, received_at);
    if difference > CLOCK_DIFFERENCE.as_secs() {
        remarks.push(format!("its clock and the server's differ by {}", shown::span(difference)));
    }
    let Some(windows) = Windows::of(report, received_at) else {
        return verdict(Verdict::Unknown, remarks);
    };
    if (report.files, report.bytes) == (day.files, day.bytes) {
        return verdict(Verdict::Agrees, remarks);
    }
    if kept_since > windows.possible.start {
        remarks.push(format!("the server keeps its ledger since {}", shown::utc(kept_since)));
        return verdict(Verdict::Unknown, remarks);
    }
    let counted = Amount { files: report.files, bytes: report.bytes };
    remarks.push(difference_of(counted, day));
    let gaps = gaps(dropped, crashed);
    let missing = counted.files > possible.files.saturating_add(dropped)
        || (counted.bytes > possible.bytes && dropped == 0);
    if missing && !crashed {
        remarks.extend(gaps);
        remarks.push("it counts uploads that the server has no trace of".to_owned());
        return verdict(Verdict::Differs, remarks);
    }
    let slack = UNCOUNTED_FILES.max(certain_paths / 100);
    if counted.files.saturating_add(slack) < certain_paths {
        remarks.push(format!(
            "{} were stored that it does not count: it has lost its database, or somebody else has \
             its key",
            shown::counted(certain_paths - counted.files, "different file")
        ));
        return verdict(Verdict::Differs, remarks);
    }
    remarks.extend(gaps);
    remarks.push(explanation(counted, day).to_owned());
    verdict(Verdict::Explained, remarks)
}

fn difference_of(counted: Amount, day: Amount) -> String {
    format!(
        "it counts {} with {} bytes, the server {} with {} bytes",
        shown::counted(counted.files, "upload"),
        shown::count(counted.bytes),
        shown::count(day.files),
        shown::count(day.bytes)
    )
}

fn gaps(dropped: u64, crashed: bool) -> Option<String> {
    match (dropped, crashed) {
        (0, false) => None,
        (0, true) => Some("the server was killed and may have lost its last lines".to_owned()),
        (dropped, _) => Some(format!(
            "{} of all clients were not written down by the server",
            shown::counted(dropped, "upload")
        )),
    }
}

fn explanation(counted: Amount, day: Amount) -> &'static str {
    if counted.files < day.files {
        "answers that were lost, files that changed while they were sent, or uploads around midnight"
    } else {
        "uploads around midnight"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Day;

    fn day() -> Day {
        "2026-11-28".parse().unwrap()
    }

    /// Three hours after the day, when reports are sent.
    fn received_at() -> i64 {
        day().end() + 3 * 3600
    }

    fn report(files: u64, bytes: u64) -> Report {
        let sent_at = u64::try_from(received_at()).unwrap() - 1;
        Report { files, bytes, ..Report::of(day(), sent_at) }
    }

    fn amount(files: u64, bytes: u64) -> Amount {
        Amount { files, bytes }
    }

    /// A hundred uploads of ten bytes, five of which were stored within minutes of midnight and nine
    /// of which were repeated.
    fn recorded() -> Recorded {
        Recorded {
            day: amount(100, 1000),
            certain_paths: 86,
            possible: amount(103, 1030),
            kept_since: 0,
            dropped: 0,
            crashed: false,
        }
    }

    #[track_caller]
    fn check(report: &Report, recorded: &Recorded, verdict: Verdict, remark: &str) {
        let check = compare(report, recorded, received_at());
        assert_eq!(check.verdict, verdict, "{check:?}");
        assert_eq!((check.files, check.bytes), (recorded.day.files, recorded.day.bytes));
        let remarks = check.remarks.iter().map(|remark| &**remark).collect::<Vec<_>>().join("; ");
        assert!(remarks.contains(remark), "{remarks}");
        assert_eq!(remarks.is_empty(), remark.is_empty(), "{remarks}");
    }

    #[test]
    fn the_same_numbers_agree_and_nothing_is_said() {
        check(&report(100, 1000), &recorded(), Verdict::Agrees, "");
        check(&report(0, 0), &Recorded::default(), Verdict::Agrees, "");
    }

    #[test]
    fn what_happens_when_all_is_well_is_explained() {
        let lost = "answers that were lost";
        check(&report(91, 910), &recorded(), Verdict::Explained, lost);
        check(&report(99, 990), &recorded(), Verdict::Explained, lost);
        // Files that changed while they were sent: as many as one in a hundred, and ten.
        check(&report(76, 760), &recorded(), Verdict::Explained, lost);
        let midnight = "; uploads around midnight";
        check(&report(103, 1030), &recorded(), Verdict::Explained, midnight);
        check(&report(100, 1030), &recorded(), Verdict::Explained, midnight);
        check(&report(101, 1000), &recorded(), Verdict::Explained, midnight);
    }

    #[test]
    fn a_client_that_counts_what_the_server_does_not_know_is_told_of() {
        let trace = "uploads that the server has no trace of";
        check(&report(104, 1030), &recorded(), Verdict::Differs, trace);
        check(&report(100, 1031), &recorded(), Verdict::Differs, trace);
        check(&report(1, 0), &Recorded::default(), Verdict::Differs, trace);
        let said = "it counts 1 upload with 0 bytes, the server 0 with 0 bytes";
        check(&report(1, 0), &Recorded::default(), Verdict::Differs, said);
    }

    #[test]
    fn many_files_that_their_client_does_not_count_are_told_of() {
        let who = "11 different files were stored that it does not count: it has lost its database";
        check(&report(75, 750), &recorded(), Verdict::Differs, who);
        let (day, possible) = (amount(5000, 1), amount(5000, 1));
        let many = Recorded { certain_paths: 5000, day, possible, ..recorded() };
        check(&report(4950, 1), &many, Verdict::Explained, "answers");
        check(&report(4949, 1), &many, Verdict::Differs, "51 different files");
    }

    #[test]
    fn gaps_of_the_servers_own_ledger_excuse_a_client_that_counts_more() {
        let dropped = Recorded { dropped: 2, ..recorded() };
        let said = "2 uploads of all clients were not written down by the server";
        check(&report(105, 999_999), &dropped, Verdict::Explained, said);
        check(&report(106, 1), &dropped, Verdict::Differs, said);
        let crashed = Recorded { crashed: true, ..recorded() };
        check(&report(999, 9990), &crashed, Verdict::Explained, "the server was killed");
        // And nothing else.
        check(&report(75, 750), &crashed, Verdict::Differs, "lost its database");
    }

    #[test]
    fn a_day_before_the_ledger_began_is_not_judged() {
        let since = |kept_since| Recorded { kept_since, ..recorded() };
        let began = day().start() - 301;
        check(&report(500, 5), &since(began), Verdict::Differs, "no trace");
        let said = "the server keeps its ledger since 2026-11-27T23:55:00Z";
        check(&report(500, 5), &since(began + 1), Verdict::Unknown, said);
        check(&report(100, 1000), &since(began + 9999), Verdict::Agrees, "");
    }

    #[test]
    fn the_windows_of_a_day_are_wider_by_what_an_answer_takes_and_the_clocks_differ() {
        let (start, end) = (day().start(), day().end());
        let windows = |sent_at: i64, received_at| {
            let sent_at = u64::try_from(sent_at).unwrap();
            Windows::of(&Report::of(day(), sent_at), received_at)
        };
        let late = received_at();
        assert_eq!(
            windows(late, late),
            Some(Windows { certain: start + 300..end - 300, possible: start - 300..end + 300 })
        );
        for clock in [late - 1000, late + 1000] {
            let expected =
                Windows { certain: start + 1300..end - 1300, possible: start - 1300..end + 1300 };
            assert_eq!(windows(clock, late), Some(expected));
        }
        // A day that is not over yet, and one that has hardly begun.
        let noon = start + 43_200;
        assert_eq!(
            windows(noon, noon),
            Some(Windows { certain: start + 300..noon - 300, possible: start - 300..noon + 300 })
        );
        assert_eq!(
            windows(start + 60, start + 60),
            Some(Windows { certain: start + 300..start + 300, possible: start - 300..start + 360 })
        );
        assert_eq!(windows(late - 12 * 3600 - 1, late), None);
        assert!(windows(late - 12 * 3600, late).is_some());
    }

    #[test]
    fn clocks_that_differ_are_told_of_whatever_the_numbers_say() {
        let sent = |difference: u64| {
            let sent_at = u64::try_from(received_at()).unwrap() - difference;
            Report { sent_at, ..report(100, 1000) }
        };
        check(&sent(300), &recorded(), Verdict::Agrees, "");
        let said = "its clock and the server's differ by 1 h 0 min";
        check(&sent(3600), &recorded(), Verdict::Agrees, said);
        check(&sent(13 * 3600), &recorded(), Verdict::Unknown, "differ by 13 h 0 min");
    }
}
