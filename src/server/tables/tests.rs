//! The specification of both tables, with the clients that the page's tests have.

use super::clients::Clients;
use super::reports::Reports;
use super::{Verdict, day, overview};
use crate::server::config;
use crate::server::page::scene::{NAMES, NOW, Scene, five_clients, report};
use crate::table::Paint;
use crate::wire::Day;
use crate::wire::report::{Report, Verdict as Compared};

/// The first columns of a table, and what stands below it, as one sees it without colours.
fn of_clients(scene: &Scene, names: &[&str]) -> (String, Verdict) {
    let reports = config::Reports::default();
    let overview = overview(names.iter().copied(), &scene.facts, &reports, true, NOW);
    let table = Clients::of(&overview, &scene.facts);
    (table.text(Paint::Plain), table.verdict())
}

fn of_reports(scene: &Scene, names: &[&str]) -> (String, Verdict) {
    let kept = scene.facts.last_reports.values();
    let kept = kept.filter(|kept| names.contains(&&*kept.client)).cloned().collect();
    let day = day(names.iter().copied(), Day::of(NOW).plus(-1), kept);
    let table = Reports { day: &day, now: NOW };
    (table.text(Paint::Plain), table.verdict())
}

#[test]
fn a_table_of_clients_is_read_from_the_worst_down_and_their_troubles_stand_below() {
    let names = ["webapp-prod", "new-host", "db-nightly", "shop-prod"];
    let (text, verdict) = of_clients(&five_clients(), &names);
    let expected = "\
2026-11-28T13:40:00Z  1 client is silent, 1 is late

CLIENT       STATE    LAST SUCCESS   LAST REPORT        TODAY               30 DAYS            PARKED  VERSION
shop-prod    silent   5 d 11 h ago   5 d 10 h ago           -           2,887 files    3.5 GB       -  0.1.0
db-nightly   late     1 d 10 h ago   1 d 10 h ago           -              86 files  148.6 GB       1  0.1.0
new-host     never    never          never                  -                     -                 -  -
webapp-prod  healthy  2 min 5 s ago  10 h 1 min ago  74 files  8.8 MB  21,655 files    2.6 GB       -  0.1.0

shop-prod
  its report of 2026-11-22 differs from what was stored
    it counts 184 uploads with 221,536,000 bytes, the server 171 with 205,884,000 bytes
    it counts uploads that the server has no trace of
  48 failed uploads in the last 30 days, none today
    the last 5 d 11 h ago: upload was answered unauthorized

db-nightly
  1 file is not backed up
    1 x it is larger than 100 MB (watches[0].max_file_size_mb); hint: raise it there, and at the server
  its report of 2026-11-26 differs by what happens when all is well
    it counts 3 uploads with 4,800,000,000 bytes, the server 4 with 4,900,000,000 bytes
    answers that were lost, files that changed while they were sent, or uploads around midnight
  3 failed uploads in the last 30 days, none today
    the last 1 d 10 h ago: upload was answered unavailable

webapp-prod
  120 failed uploads in the last 30 days, none today
";
    assert_eq!((text.as_str(), verdict), (expected, Verdict::Ailing), "{text}");
}

#[test]
fn a_table_of_reports_shows_also_those_that_did_not_come() {
    let mut scene = five_clients();
    let full = Report {
        files: 1812,
        bytes: 96_340_000,
        failures: 3,
        queue: crate::wire::report::Queue { length: 12, oldest_seconds: Some(5) },
        ..report(1)
    };
    let remarks = [
        "it counts 1,812 uploads with 96,340,000 bytes, the server 1,799 with 95,120,311 bytes",
        "it counts uploads that the server has no trace of",
    ];
    scene.report("webapp-prod", full, Compared::Differs, &remarks);
    let (text, verdict) = of_reports(&scene, &["new-host", "webapp-prod"]);
    let expected = "\
reports of 2026-11-27, UTC: 1 of 2

CLIENT       REPORT          FILES    BYTES  FAILED  PARKED  WAITING  KNOWN  COMPARED
new-host     none                -        -       -       -        -      -  -
webapp-prod  11 h 0 min ago  1,812  96.3 MB       3       -       12      0  differs

webapp-prod
  its report of 2026-11-27 differs from what was stored
    it counts 1,812 uploads with 96,340,000 bytes, the server 1,799 with 95,120,311 bytes
    it counts uploads that the server has no trace of
";
    assert_eq!((text.as_str(), verdict), (expected, Verdict::Ailing), "{text}");
}

#[test]
fn cron_hears_of_every_client_that_somebody_has_to_look_after() {
    for (names, expected) in [
        (&["webapp-prod"][..], Verdict::Well),
        (&[], Verdict::Well),
        (&["webapp-prod", "new-host"], Verdict::Ailing),
        (&["db-nightly"], Verdict::Ailing),
        (&["shop-prod"], Verdict::Ailing),
        // It is healthy, and has files that are not backed up.
        (&NAMES[1..2], Verdict::Ailing),
    ] {
        assert_eq!(of_clients(&five_clients(), names).1, expected, "{names:?}");
    }
    for (names, expected) in [
        (&["webapp-prod"][..], Verdict::Well),
        (&["new-host"], Verdict::Ailing),
        (&["shop-prod"], Verdict::Ailing),
        (&["db-nightly"], Verdict::Ailing),
    ] {
        assert_eq!(of_reports(&five_clients(), names).1, expected, "{names:?}");
    }
}

#[test]
fn nothing_that_a_client_says_moves_the_cursor() {
    let mut scene = five_clients();
    let facts = scene.client("webapp-prod", 0, 0);
    facts.version = Some("1\u{1b}[2J\t".into());
    for text in [of_clients(&scene, &NAMES).0, of_reports(&scene, &NAMES).0] {
        let odd = text.chars().find(|one| one.is_control() && *one != '\n');
        assert_eq!(odd, None, "{text}");
        assert!(!text.contains('\u{202e}'), "{text}");
    }
}
