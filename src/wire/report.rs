//! What a client says of one of its days, and what the server answers.
//!
//! Pure. A client posts a [`Report`] as JSON once a day; a later one of the same date takes the place
//! of an earlier one. Whoever has a client's key can post anything: what is read into these types is
//! bounded and can be shown as it is. What a newer client says beyond them is passed over, and what
//! an older one leaves out is empty. Moments are seconds since 1970, sizes are bytes.
//!
//! A server that keeps no reports answers `not_found`, one whose database cannot be written
//! `unavailable`: the report is to be sent again later. Neither says anything about uploads.

use crate::limits::report::{
    NUMBER_MAX, PATH_BYTES_MAX, REASON_BYTES_MAX, REASONS_MAX, REMARKS_MAX, VERSION_BYTES_MAX,
    WATCH_FAILURES_MAX,
};
use crate::wire::{Day, Few, Text};
use serde::de::{Error as _, Unexpected};
use serde::{Deserialize, Deserializer, Serialize};

/// Why something is as it should not be: a line for people.
pub type Reason = Text<REASON_BYTES_MAX>;

/// What a client says of one of its days.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The day, UTC, by the client's clock.
    pub date: Day,
    /// The client's version.
    #[serde(default)]
    pub version: Text<VERSION_BYTES_MAX>,
    /// When it was sent, by the client's clock.
    #[serde(deserialize_with = "number")]
    pub sent_at: u64,
    /// How long the client has been running.
    #[serde(default, deserialize_with = "number")]
    pub uptime_seconds: u64,
    /// Uploads of that day: files whose rows were written on it. A file counts each time.
    #[serde(deserialize_with = "number")]
    pub files: u64,
    /// Their bytes.
    #[serde(deserialize_with = "number")]
    pub bytes: u64,
    /// Files that were parked on that day, each once a reason.
    #[serde(default, deserialize_with = "number")]
    pub failures: u64,
    /// What is parked as of now.
    #[serde(default)]
    pub parked: Parked,
    /// The upload queue as of now.
    #[serde(default)]
    pub queue: Queue,
    /// The watched folders as of now.
    #[serde(default)]
    pub watches: Watches,
    /// Folders that cannot be watched as of now; the first ones.
    #[serde(default)]
    pub watch_failures: Few<WatchFailure, WATCH_FAILURES_MAX>,
    /// The last scan of everything that came to its end.
    #[serde(default)]
    pub last_scan: Option<Scan>,
    /// What is free of the file system that the client's database lies on.
    #[serde(default, deserialize_with = "number_if_any")]
    pub free_disk_bytes: Option<u64>,
}

impl Report {
    /// A report in which nothing happened.
    pub fn of(date: Day, sent_at: u64) -> Self {
        Self {
            date,
            version: Text::default(),
            sent_at,
            uptime_seconds: 0,
            files: 0,
            bytes: 0,
            failures: 0,
            parked: Parked::default(),
            queue: Queue::default(),
            watches: Watches::default(),
            watch_failures: Few::default(),
            last_scan: None,
            free_disk_bytes: None,
        }
    }
}

/// Files that are not backed up as they stand.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Parked {
    /// How many.
    #[serde(deserialize_with = "number")]
    pub count: u64,
    /// The reasons that most of them have.
    pub reasons: Few<ParkedFor, REASONS_MAX>,
}

/// A reason, and how many files are parked for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParkedFor {
    /// The reason.
    pub reason: Reason,
    /// How many files.
    #[serde(deserialize_with = "number")]
    pub count: u64,
}

/// An upload queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Queue {
    /// How many files are in it, those in a worker's hands included.
    #[serde(deserialize_with = "number")]
    pub length: u64,
    /// How long the one that is there longest has been; none if it is empty.
    #[serde(deserialize_with = "number_if_any")]
    pub oldest_seconds: Option<u64>,
}

/// Watched folders.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Watches {
    /// How many the configuration names.
    #[serde(deserialize_with = "number")]
    pub count: u64,
    /// Folders whose events are heard, those inside included; none if the system does not tell.
    #[serde(deserialize_with = "number_if_any")]
    pub directories: Option<u64>,
    /// Files that are known to be in the bucket.
    #[serde(deserialize_with = "number")]
    pub files: u64,
}

/// A folder that cannot be watched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchFailure {
    /// The folder.
    pub path: Text<PATH_BYTES_MAX>,
    /// Why not.
    pub reason: Reason,
}

/// A scan of everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scan {
    /// When it ended.
    #[serde(deserialize_with = "number")]
    pub ended_at: u64,
    /// How long it took, in milliseconds.
    #[serde(deserialize_with = "number")]
    pub duration_ms: u64,
    /// Files that it saw.
    #[serde(deserialize_with = "number")]
    pub files: u64,
}

/// Answer to a report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reported {
    /// Always `true`.
    pub success: bool,
    /// The day that was reported.
    pub date: Day,
    /// How it compares with what the server knows.
    pub check: CrossCheck,
}

/// A report beside what the server stored for that client on that day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CrossCheck {
    /// What it comes to.
    pub verdict: Verdict,
    /// Uploads that the server stored on that day, by the server's clock.
    #[serde(deserialize_with = "number")]
    pub files: u64,
    /// Their bytes.
    #[serde(deserialize_with = "number")]
    pub bytes: u64,
    /// What differs and why it may, a line each.
    #[serde(default)]
    pub remarks: Few<Reason, REMARKS_MAX>,
}

/// What the comparison of a report comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Files and bytes are the same.
    Agrees,
    /// They differ by no more than what happens when all is well.
    Explained,
    /// They differ, and somebody should look.
    Differs,
    /// There is nothing to compare with, such as a day before the server kept its ledger.
    #[serde(other)]
    Unknown,
}

/// A number that every reader of JSON can hold, and of which a few thousand have a sum.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let number = u64::deserialize(deserializer)?;
    if number <= NUMBER_MAX {
        return Ok(number);
    }
    let expected = format!("at most {NUMBER_MAX}");
    Err(D::Error::invalid_value(Unexpected::Unsigned(number), &expected.as_str()))
}

fn number_if_any<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    #[derive(Deserialize)]
    struct Number(#[serde(deserialize_with = "number")] u64);
    Ok(Option::<Number>::deserialize(deserializer)?.map(|Number(number)| number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::report::BODY_BYTES_MAX;

    fn full() -> Report {
        let date = "2026-11-28".parse().unwrap();
        Report {
            version: "0.1.0".into(),
            uptime_seconds: 86_400,
            files: 3,
            bytes: 4096,
            failures: 1,
            parked: Parked {
                count: 2,
                reasons: [ParkedFor { reason: "too large".into(), count: 2 }].into_iter().collect(),
            },
            queue: Queue { length: 5, oldest_seconds: Some(7) },
            watches: Watches { count: 1, directories: Some(12), files: 900 },
            watch_failures: [WatchFailure { path: "/srv/a".into(), reason: "gone".into() }]
                .into_iter()
                .collect(),
            last_scan: Some(Scan { ended_at: 1_795_860_000, duration_ms: 340, files: 900 }),
            free_disk_bytes: Some(1_000_000_000),
            ..Report::of(date, 1_795_910_403)
        }
    }

    #[test]
    fn a_report_has_this_shape() {
        let json = serde_json::to_string(&full()).unwrap();
        assert_eq!(
            json,
            r#"{"date":"2026-11-28","version":"0.1.0","sent_at":1795910403,"uptime_seconds":86400,"#
                .to_owned()
                + r#""files":3,"bytes":4096,"failures":1,"#
                + r#""parked":{"count":2,"reasons":[{"reason":"too large","count":2}]},"#
                + r#""queue":{"length":5,"oldest_seconds":7},"#
                + r#""watches":{"count":1,"directories":12,"files":900},"#
                + r#""watch_failures":[{"path":"/srv/a","reason":"gone"}],"#
                + r#""last_scan":{"ended_at":1795860000,"duration_ms":340,"files":900},"#
                + r#""free_disk_bytes":1000000000}"#
        );
        assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), full());
    }

    #[test]
    fn what_is_new_is_passed_over_and_what_is_missing_is_empty() {
        let least = r#"{"date":"2026-11-28","sent_at":5,"files":0,"bytes":0}"#;
        let expected = Report::of("2026-11-28".parse().unwrap(), 5);
        assert_eq!(serde_json::from_str::<Report>(least).unwrap(), expected);
        let newer = r#"{"moon":"full","date":"2026-11-28","sent_at":5,"files":0,"bytes":0,
            "parked":{"by_whom":{}},"queue":{},"watches":{"x":1},"last_scan":null}"#;
        assert_eq!(serde_json::from_str::<Report>(newer).unwrap(), expected);
        for needed in ["date", "sent_at", "files", "bytes"] {
            let without = least.replace(needed, "else");
            let error = serde_json::from_str::<Report>(&without).unwrap_err().to_string();
            assert!(error.contains(&format!("missing field `{needed}`")), "{error}");
        }
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let with = |field: &str, value: &str| {
            let mut all = serde_json::to_value(full()).unwrap();
            *all.pointer_mut(field).unwrap() = serde_json::from_str(value).unwrap();
            serde_json::from_value::<Report>(all)
        };
        for (field, value) in [
            ("/date", r#""2026-02-30""#),
            ("/date", "20261128"),
            ("/files", "-1"),
            ("/files", "1.5"),
            ("/bytes", "9007199254740992"),
            ("/sent_at", "18446744073709551615"),
            ("/queue/oldest_seconds", "9007199254740992"),
            ("/parked/reasons/0/count", "9007199254740992"),
            ("/parked/reasons/0/reason", "7"),
            ("/last_scan/ended_at", "null"),
            ("/watch_failures", "{}"),
        ] {
            assert!(with(field, value).is_err(), "{field} {value}");
        }
        assert_eq!(with("/bytes", "9007199254740991").unwrap().bytes, NUMBER_MAX);
    }

    #[test]
    fn nothing_in_a_report_grows_beyond_its_bounds() {
        let long = "\u{1b}".repeat(70_000);
        let mut all = serde_json::to_value(full()).unwrap();
        let failure = serde_json::json!({"path": long, "reason": long});
        let parked = serde_json::json!({"reason": long, "count": 1});
        all["version"] = long.clone().into();
        all["watch_failures"] = vec![failure; 1000].into();
        all["parked"]["reasons"] = vec![parked; 1000].into();
        let report: Report = serde_json::from_value(all).unwrap();
        assert_eq!(report.watch_failures.len(), WATCH_FAILURES_MAX);
        assert_eq!(report.parked.reasons.len(), REASONS_MAX);
        let json = serde_json::to_string(&report).unwrap();
        assert!(json.len() <= BODY_BYTES_MAX, "what was read can be sent again: {}", json.len());
        assert!(!json.contains("u001b"));
    }

    #[test]
    fn a_report_that_is_as_long_as_can_be_fits_the_limit() {
        // A quotation mark takes two bytes in JSON.
        let long = "\"".repeat(70_000);
        let reason = Reason::new(&long);
        let failure = WatchFailure { path: Text::new(&long), reason: reason.clone() };
        let parked = ParkedFor { reason, count: NUMBER_MAX };
        let report = Report {
            version: Text::new(&long),
            uptime_seconds: NUMBER_MAX,
            parked: Parked {
                count: NUMBER_MAX,
                reasons: std::iter::repeat_n(parked, 99).collect(),
            },
            watch_failures: std::iter::repeat_n(failure, 99).collect(),
            ..full()
        };
        let length = serde_json::to_string(&report).unwrap().len();
        assert!(length + 1024 <= BODY_BYTES_MAX, "{length}");
    }

    #[test]
    fn an_answer_has_this_shape_and_a_verdict_of_tomorrow_is_read() {
        let check =
            CrossCheck { verdict: Verdict::Agrees, files: 3, bytes: 4096, remarks: Few::default() };
        let answer = Reported { success: true, date: full().date, check };
        let json = serde_json::to_string(&answer).unwrap();
        assert_eq!(
            json,
            r#"{"success":true,"date":"2026-11-28","check":{"verdict":"agrees","files":3,"bytes":4096,"remarks":[]}}"#
        );
        assert_eq!(serde_json::from_str::<Reported>(&json).unwrap(), answer);
        let newer = json.replace("agrees", "agrees_by_and_large");
        let read: Reported = serde_json::from_str(&newer).unwrap();
        assert_eq!(read.check.verdict, Verdict::Unknown);
    }
}
