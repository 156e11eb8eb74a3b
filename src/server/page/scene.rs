//! Clients to be looked at in tests: one healthy, one late, one that stopped; a fourth that says in its
//! reports what it should not; and one that was never there.

use crate::server::activity::Kept;
use crate::server::activity::reading::{ClientFacts, Counts, Facts, LastError};
use crate::wire::Day;
use crate::wire::report::{CrossCheck, Parked, ParkedFor, Report, Verdict, WatchFailure};

const HOUR: i64 = 3600;

/// 2026-11-28, 13:40.
pub(in crate::server) const NOW: i64 = 1_795_873_200;

pub(in crate::server) const SCRIPT: &str = "<script>alert(1)</script>";
pub(in crate::server) const LONG: &str =
    "host-17.customers.very-long-name-of-a-data-centre.example-company.international";
pub(in crate::server) const NAMES: [&str; 5] =
    ["db-nightly", LONG, "new-host", "shop-prod", "webapp-prod"];

#[derive(Default)]
pub(in crate::server) struct Scene {
    pub(in crate::server) facts: Facts,
}

impl Scene {
    /// A client of which the last upload is `uploaded` hours ago, the last report `reported`.
    pub(in crate::server) fn client(
        &mut self,
        name: &str,
        uploaded: i64,
        reported: i64,
    ) -> &mut ClientFacts {
        let facts = ClientFacts {
            first_seen: NOW - 1000 * HOUR,
            last_seen: NOW - uploaded.min(reported) * HOUR,
            version: Some("0.1.0".into()),
            last_upload_at: Some(NOW - uploaded * HOUR - 125),
            last_report_at: Some(NOW - reported * HOUR - 61),
            last_error: None,
            files: 1,
            bytes: 1,
        };
        self.facts.clients.entry(name.into()).or_insert(facts)
    }

    /// Uploads of a day so many days ago.
    pub(in crate::server) fn day(
        &mut self,
        name: &str,
        ago: i64,
        files: u64,
        bytes: u64,
        failures: u64,
    ) {
        let days = self.facts.days.entry(name.into()).or_default();
        days.insert(Day::of(NOW).plus(-ago), Counts { files, bytes, failures });
    }

    pub(in crate::server) fn report(
        &mut self,
        name: &str,
        report: Report,
        verdict: Verdict,
        remarks: &[&str],
    ) {
        let check = CrossCheck {
            verdict,
            files: report.files,
            bytes: report.bytes,
            remarks: remarks.iter().map(|remark| (*remark).into()).collect(),
        };
        let kept = Kept { client: name.into(), received_at: NOW - 11 * HOUR, report, check };
        self.facts.last_reports.insert(name.into(), kept);
    }
}

pub(in crate::server) fn report(ago: i64) -> Report {
    Report::of(Day::of(NOW).plus(-ago), NOW.unsigned_abs() - 40_000)
}

pub(in crate::server) fn parked(reasons: &[(&str, u64)]) -> Parked {
    Parked {
        count: reasons.iter().map(|(_, count)| count).sum(),
        reasons: reasons
            .iter()
            .map(|(reason, count)| ParkedFor { reason: (*reason).into(), count: *count })
            .collect(),
    }
}

/// Some ups and downs that are the same each time.
fn wave(ago: i64, most: u64) -> u64 {
    let ago = ago.unsigned_abs();
    most * (37 + (ago * 7919) % 61) / 100 / if ago % 7 < 2 { 3 } else { 1 }
}

pub(in crate::server) fn five_clients() -> Scene {
    let mut scene = Scene::default();
    scene.client("webapp-prod", 0, 10);
    for ago in 0..30 {
        let files = wave(ago, if ago == 0 { 600 } else { 1400 });
        scene.day("webapp-prod", ago, files, files * 118_430, u64::from(ago == 9) * 120);
    }
    scene.report("webapp-prod", report(1), Verdict::Agrees, &[]);

    scene.client("db-nightly", 34, 34).last_error = Some(LastError {
        at: NOW - 34 * HOUR,
        asked: "upload".into(),
        error: "unavailable".into(),
    });
    for ago in 1..30 {
        scene.day("db-nightly", ago, 3, 4_800_000_000 + 17_000_000 * wave(ago, 40), 0);
    }
    scene.day("db-nightly", 1, 2, 4_100_000_000, 3);
    let date = Report {
        parked: parked(&[(
            "it is larger than 100 MB (watches[0].max_file_size_mb); hint: raise it there, and at the server",
            1,
        )]),
        ..report(2)
    };
    let remarks = [
        "it counts 3 uploads with 4,800,000,000 bytes, the server 4 with 4,900,000,000 bytes",
        "answers that were lost, files that changed while they were sent, or uploads around midnight",
    ];
    scene.report("db-nightly", date, Verdict::Explained, &remarks);

    scene.client("shop-prod", 131, 130).last_error = Some(LastError {
        at: NOW - 131 * HOUR,
        asked: "upload".into(),
        error: "unauthorized".into(),
    });
    for ago in 5..30 {
        let files = wave(ago, 220);
        scene.day("shop-prod", ago, files, files * 1_204_000, if ago == 5 { 48 } else { 0 });
    }
    let remarks = [
        "it counts 184 uploads with 221,536,000 bytes, the server 171 with 205,884,000 bytes",
        "it counts uploads that the server has no trace of",
    ];
    scene.report("shop-prod", report(6), Verdict::Differs, &remarks);

    scene.client(LONG, 2, 9).version = Some(format!("9{}", "<b>".repeat(9)));
    scene.day(LONG, 0, 1, 4_000, 0);
    scene.day(LONG, 4, 17, 80_000, 0);
    let unquoted = "/srv/www/\"><svg onload=alert(2)>/".repeat(8);
    let hostile = Report {
        parked: parked(&[
            (SCRIPT, 1_200),
            ("its name cannot be stored: it is not UTF-8; hint: rename it", 14),
            (&"y".repeat(400), 3),
            ("{{ 7 * 7 }} &lt;b&gt; ' \" \u{202e}txet", 1),
            ("permission denied", 1),
        ]),
        watch_failures: [
            WatchFailure { path: (*unquoted).into(), reason: SCRIPT.into() },
            WatchFailure {
                path: "/srv/データ/写真".into(),
                reason: "No such file or directory".into(),
            },
        ]
        .into_iter()
        .collect(),
        ..report(1)
    };
    scene.report(LONG, hostile, Verdict::Agrees, &[]);
    scene
}
