//! The specification of the page: three clients, one healthy, one late, one that stopped; a fourth that
//! says in its reports what it should not; and one that was never there.
//!
//! With `S3UP_TEST_PAGES` naming a folder, the pages are written there, to be looked at.

use super::view::View;
use super::*;
use crate::server::activity::Kept;
use crate::server::activity::reading::{ClientFacts, Counts, Facts, LastError};
use crate::server::activity::view::overview;
use crate::server::config::Reports;
use crate::wire::Day;
use crate::wire::report::{CrossCheck, Parked, ParkedFor, Report, Verdict, WatchFailure};

const HOUR: i64 = 3600;

/// 2026-11-28, 13:40.
const NOW: i64 = 1_795_873_200;

const SCRIPT: &str = "<script>alert(1)</script>";
const LONG: &str =
    "host-17.customers.very-long-name-of-a-data-centre.example-company.international";
const NAMES: [&str; 5] = ["db-nightly", LONG, "new-host", "shop-prod", "webapp-prod"];

#[derive(Default)]
struct Scene {
    facts: Facts,
}

impl Scene {
    /// A client of which the last upload is `uploaded` hours ago, the last report `reported`.
    fn client(&mut self, name: &str, uploaded: i64, reported: i64) -> &mut ClientFacts {
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
    fn day(&mut self, name: &str, ago: i64, files: u64, bytes: u64, failures: u64) {
        let days = self.facts.days.entry(name.into()).or_default();
        days.insert(Day::of(NOW).plus(-ago), Counts { files, bytes, failures });
    }

    fn report(&mut self, name: &str, report: Report, verdict: Verdict, remarks: &[&str]) {
        let check = CrossCheck {
            verdict,
            files: report.files,
            bytes: report.bytes,
            remarks: remarks.iter().map(|remark| (*remark).into()).collect(),
        };
        let kept = Kept { client: name.into(), received_at: NOW - 11 * HOUR, report, check };
        self.facts.last_reports.insert(name.into(), kept);
    }

    fn view(&self, names: &[&str], recording: bool) -> View {
        let reports = Reports::default();
        let overview = overview(names.iter().copied(), &self.facts, &reports, recording, NOW);
        View::of(&overview, &self.facts, &reports, true)
    }
}

fn report(ago: i64) -> Report {
    Report::of(Day::of(NOW).plus(-ago), NOW.unsigned_abs() - 40_000)
}

fn parked(reasons: &[(&str, u64)]) -> Parked {
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

fn five_clients() -> Scene {
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

fn show(name: &str, page: &Page) -> String {
    let html = page.html();
    assert!(html.starts_with("<!doctype html>"), "{html}");
    if let Some(folder) = std::env::var_os("S3UP_TEST_PAGES") {
        std::fs::write(std::path::Path::new(&folder).join(name).with_extension("html"), &html)
            .unwrap();
    }
    html
}

#[test]
fn who_has_to_be_looked_after_stands_first() {
    let view = five_clients().view(&NAMES, true);
    let order: Vec<_> =
        view.clients.iter().map(|client| (&*client.name, client.mark.word)).collect();
    let expected = [
        ("shop-prod", "silent"),
        ("db-nightly", "late"),
        (LONG, "healthy"),
        ("new-host", "never"),
        ("webapp-prod", "healthy"),
    ];
    assert_eq!(order, expected);
    assert_eq!(view.headline, "1 client is silent, 1 is late");
    show("five", &Page::overview(view));
}

#[test]
fn a_client_says_how_it_is_and_what_is_wrong_there() {
    let html = show("five", &Page::overview(five_clients().view(&NAMES, true)));
    for text in [
        "5 d 11 h ago</span> <time class=\"utc\" datetime=\"2026-11-23T02:37:55Z\">2026-11-23 02:37 UTC",
        "<b>86 files</b> <span>148.6 GB</span>",
        "Uploads on 25 of the last 30 days; at most 206 files a day",
        "<title>2026-11-19: ",
        ", 120 failed</title>",
        "Its report of 2026-11-22 differs from what was stored",
        "it counts uploads that the server has no trace of",
        "48 failed uploads in the last 30 days, none today",
        "upload was answered unauthorized",
        "1,219 files are not backed up",
        "2 folders are not watched",
        "Today 75 files, 8.8 MB. 1 healthy client needs a look.",
        "Late after 26 hours without an upload or a report, silent after 50 hours.",
    ] {
        assert!(html.contains(text), "{text}");
    }
    assert!(!html.contains("cannot be written"));
    let away = Page::overview(five_clients().view(&NAMES, false)).html();
    assert!(away.contains("database cannot be written at the moment"));
}

#[test]
fn whatever_a_client_says_stays_text() {
    let html = Page::overview(five_clients().view(&NAMES, true)).html();
    let lower = html.to_lowercase();
    for markup in ["<script", "<svg onload", "<b><b>", "\u{202e}"] {
        assert!(!lower.contains(markup), "{markup}");
    }
    for text in [
        "&#60;script&#62;alert(1)&#60;/script&#62;",
        "/srv/www/&#34;&#62;&#60;svg onload=alert(2)&#62;",
        "{{ 7 * 7 }} &#38;lt;b&#38;gt; &#39; &#34; \\u{202e}txet",
        "/srv/データ/写真",
    ] {
        assert!(html.contains(text), "{text}");
    }
}

/// Each page there is.
fn pages() -> Vec<(&'static str, Page)> {
    let problem = Some("This key is no administrator’s.".to_owned());
    vec![
        ("five", Page::overview(five_clients().view(&NAMES, true))),
        ("away", Page::overview(five_clients().view(&NAMES, false))),
        ("well", Page::overview(five_clients().view(&["webapp-prod"], true))),
        ("unheard", Page::overview(Scene::default().view(&["a", "b"], true))),
        ("empty", Page::overview(Scene::default().view(&[], true))),
        ("login", Page::login(None)),
        ("wrong-key", Page::login(problem)),
        ("needs-tls", Page::needs_tls()),
        ("no-database", Page::no_database(true)),
        ("unreadable", Page::unreadable(false)),
    ]
}

#[test]
fn no_page_has_a_script_an_inline_style_or_anything_from_elsewhere() {
    for (name, page) in pages() {
        let html = show(name, &page);
        let lower = html.to_lowercase().replace("http://www.w3.org/2000/svg", "");
        for markup in [
            "<script",
            "<iframe",
            "<img",
            "style=",
            "javascript:",
            "http:",
            "https:",
            "src=",
            "@import",
            "url(",
        ] {
            assert!(!lower.contains(markup), "{name}: {markup}");
        }
        for event in [" onload=\"", " onclick=", " onerror="] {
            assert!(!lower.contains(event), "{name}: {event}");
        }
        assert!(lower.contains("name=\"viewport\""), "{name}");
    }
}

#[test]
fn the_policy_lets_exactly_this_stylesheet_through() {
    let html = Page::login(None).html();
    let style = html.split_once("<style>").unwrap().1.split_once("</style>").unwrap().0;
    let digest = BASE64_STANDARD.encode(Sha256::digest(style));
    let (_, policy) = &protection()[0];
    assert_eq!(
        *policy,
        format!(
            "default-src 'none'; style-src 'sha256-{digest}'; img-src data:; form-action 'self'; \
             frame-ancestors 'none'; base-uri 'none'"
        )
    );
}

#[test]
fn what_there_is_to_say_is_said_in_one_sentence() {
    for (names, expected) in [
        (&NAMES[..], "1 client is silent, 1 is late"),
        (&["webapp-prod"], "The client is healthy"),
        (&["webapp-prod", LONG], "All 2 clients are healthy"),
        (&["webapp-prod", "new-host"], "1 client is healthy, 1 was never heard of"),
        (&["db-nightly", "webapp-prod"], "1 client is late"),
        (&["shop-prod", "webapp-prod"], "1 client is silent"),
        (&["new-host"], "No client was heard of yet"),
        (&[], "No clients yet"),
    ] {
        assert_eq!(five_clients().view(names, true).headline, expected, "{names:?}");
    }
}

#[test]
fn a_client_that_is_healthy_needs_a_look_if_something_is_wrong_there() {
    let mut scene = five_clients();
    let troubled = |scene: &Scene| scene.view(&["webapp-prod"], true).clients[0].troubled;
    assert!(!troubled(&scene), "failures of another day are no trouble");
    scene.report("webapp-prod", report(1), Verdict::Explained, &["midnight"]);
    assert!(!troubled(&scene));
    scene.report("webapp-prod", report(1), Verdict::Differs, &["no trace"]);
    assert!(troubled(&scene));
    let one = Report { parked: parked(&[("too large", 1)]), ..report(1) };
    scene.report("webapp-prod", one, Verdict::Agrees, &[]);
    assert!(troubled(&scene));
    scene.report("webapp-prod", report(1), Verdict::Agrees, &[]);
    scene.day("webapp-prod", 0, 5, 5, 1);
    assert!(troubled(&scene));
}
