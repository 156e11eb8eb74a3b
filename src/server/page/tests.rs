//! The specification of the page, with the clients of `scene`.
//!
//! With `S3UP_TEST_PAGES` naming a folder, the pages are written there, to be looked at.

use super::scene::{LONG, NAMES, NOW, Scene, five_clients, parked, report};
use super::view::View;
use super::*;
use crate::server::activity::view::overview;
use crate::server::config::Reports;
use crate::wire::report::{Report, Verdict};

fn view(scene: &Scene, names: &[&str], recording: bool) -> View {
    let reports = Reports::default();
    let overview = overview(names.iter().copied(), &scene.facts, &reports, recording, NOW);
    View::of(&overview, &scene.facts, &reports)
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
    let view = view(&five_clients(), &NAMES, true);
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
    let html = show("five", &Page::overview(view(&five_clients(), &NAMES, true)));
    for text in [
        "5 d 11 h ago</span> <time class=\"utc\" datetime=\"2026-11-23T02:37:55Z\">2026-11-23 02:37 UTC",
        "<b>86 files</b> <span>148.6 GB</span>",
        "Uploads on 25 of the last 30 days; at most 206 files a day",
        "<title>2026-11-19: ",
        ", 120 failed</title>",
        "its report of 2026-11-22 differs from what was stored",
        "it counts uploads that the server has no trace of",
        "48 failed uploads in the last 30 days, none today",
        "upload was answered unauthorized",
        "1,219 files are not backed up",
        "2 folders are not watched",
        "Today 75 files, 8.8 MB. 1 healthy client needs a look.",
        "Late after 30 hours without an upload or a report, silent after 54 hours.",
    ] {
        assert!(html.contains(text), "{text}");
    }
    assert!(!html.contains("cannot be written"));
    let away = Page::overview(view(&five_clients(), &NAMES, false)).html();
    assert!(away.contains("database cannot be written at the moment"));
}

#[test]
fn whatever_a_client_says_stays_text() {
    let html = Page::overview(view(&five_clients(), &NAMES, true)).html();
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
        ("five", Page::overview(view(&five_clients(), &NAMES, true))),
        ("away", Page::overview(view(&five_clients(), &NAMES, false))),
        ("well", Page::overview(view(&five_clients(), &["webapp-prod"], true))),
        ("unheard", Page::overview(view(&Scene::default(), &["a", "b"], true))),
        ("empty", Page::overview(view(&Scene::default(), &[], true))),
        ("login", Page::login(None)),
        ("wrong-key", Page::login(problem)),
        ("needs-tls", Page::needs_tls()),
        ("no-database", Page::no_database()),
        ("unreadable", Page::unreadable()),
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
        assert_eq!(view(&five_clients(), names, true).headline, expected, "{names:?}");
    }
}

#[test]
fn a_client_that_is_healthy_needs_a_look_if_something_is_wrong_there() {
    let mut scene = five_clients();
    let troubled = |scene: &Scene| view(scene, &["webapp-prod"], true).clients[0].troubled;
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
