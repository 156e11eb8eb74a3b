//! The administrator's page in a browser, from the server over TLS.
//!
//! Built with the feature `browser`; needs `chromium` and `chromium-driver`.

use crate::support::api::Request;
use crate::support::browser::Browser;
use crate::support::bucket::Kind;
use crate::support::connection::Connection;
use crate::support::server::{ADMIN_KEY, Server};
use crate::support::tls_peer::{TlsPeer, TlsStream};
use rusqlite::params;
use s3up::clock;
use s3up::wire::Day;
use serde_json::{Value, json};

const CLIENTS: [(&str, &str); 4] = [
    ("healthy", "sk_test_0123456789abcdef0123456789abcdef-0"),
    ("hostile", "sk_test_0123456789abcdef0123456789abcdef-1"),
    ("late", "sk_test_0123456789abcdef0123456789abcdef-2"),
    ("stops", "sk_test_0123456789abcdef0123456789abcdef-3"),
];

const SCRIPT: &str = "<script>document.title = 'hit'</script>";
const PICTURE: &str = "<img src=x onerror=\"document.title='hit'\"><style>*{display:none}</style>";

/// A server over TLS that remembers thirty days of four clients.
fn server() -> Server {
    let mut server = Server::new(Kind::Directory);
    server.clients = CLIENTS.to_vec();
    let peer = TlsPeer::of(&mut server);
    server.start();
    let now = clock::unix_seconds();
    let database = rusqlite::Connection::open(server.database()).unwrap();
    database.busy_timeout(crate::support::waiting::DEADLINE).unwrap();
    for (name, hours_ago) in [("healthy", 1), ("hostile", 2), ("late", 40), ("stops", 100)] {
        let at = now - 3600 * hours_ago;
        let statement = "INSERT INTO clients (name, first_seen, last_seen, version, last_upload_at, \
                         last_report_at) VALUES (?1, ?2, ?3, '0.1.0', ?3, ?3)";
        database.execute(statement, params![name, now - 3_000_000, at]).unwrap();
        for ago in hours_ago / 24..30 {
            let statement = "INSERT INTO days (day, client, files, bytes, failures) \
                             VALUES (?1, ?2, ?3, ?4, ?5)";
            let day = Day::of(now).plus(-ago).to_string();
            database
                .execute(statement, params![day, name, 10 + ago, 5_000_000, ago % 9 / 8])
                .unwrap();
        }
    }
    report(&mut peer.connect(server.listening_port()), now);
    server
}

/// Has the hostile client say what it should not.
fn report(connection: &mut Connection<TlsStream>, now: i64) {
    let long = "/very/long/path/without/a/place/to/break".replace('/', "-").repeat(12);
    let body = json!({
        "date": Day::of(now).plus(-1), "sent_at": now, "files": 11, "bytes": 5_000_000,
        "parked": {"count": 7, "reasons": [
            {"reason": SCRIPT, "count": 4}, {"reason": PICTURE, "count": 2}, {"reason": long, "count": 1},
        ]},
        "watch_failures": [{"path": format!("/srv/{SCRIPT}"), "reason": "\u{202e}\u{1b}[31m' onx=\"'"}],
    });
    let body = body.to_string();
    let mut request = Request::new("POST", "/report")
        .key(CLIENTS[1].1)
        .header("Content-Length", &body.len().to_string());
    request.body = body.into_bytes();
    assert_eq!(connection.ask(&request).status, 200);
}

fn texts(browser: &Browser, css: &str) -> Vec<String> {
    let all = format!("[...document.querySelectorAll({css:?})].map(one => one.innerText.trim())");
    let all = browser.ask(&all).as_array().unwrap().clone();
    all.into_iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

/// The page is shown as it is meant, and nothing came from anywhere else.
#[track_caller]
fn assert_undisturbed(browser: &Browser, address: &str) {
    assert_eq!(browser.complaints(), Vec::<String>::new());
    for requested in browser.requested() {
        let own = requested.starts_with(address) || requested.starts_with("data:image/svg+xml,");
        assert!(own, "{requested}");
    }
}

/// A browser that has logged in to such a server, and the page's address.
fn logged_in() -> (Server, Browser, String) {
    let server = server();
    let browser = Browser::start();
    let address = format!("https://127.0.0.1:{}/", server.listening_port());
    browser.open(&address);
    browser.type_into("#key", ADMIN_KEY);
    browser.wait_for("article");
    (server, browser, address)
}

#[test]
fn an_administrator_logs_in_sees_how_the_clients_are_and_logs_out() {
    let server = server();
    let browser = Browser::start();
    let address = format!("https://127.0.0.1:{}/", server.listening_port());
    browser.open(&address);
    assert_eq!(texts(&browser, "label"), ["Administrator’s key"]);
    let radius = browser.ask("getComputedStyle(document.querySelector('.panel')).borderRadius");
    assert_eq!(radius, "10px", "the policy lets the stylesheet through");
    assert_undisturbed(&browser, &address);

    browser.type_into("#key", "not-the-key-0123456789");
    browser.wait_for("#problem");
    assert_eq!(texts(&browser, "#problem"), ["This is not the key of an administrator."]);
    // Chromium names the status 401 a complaint.
    assert!(browser.complaints().iter().all(|one| one.contains("401")));

    browser.type_into("#key", ADMIN_KEY);
    browser.wait_for("article");
    assert_eq!(browser.ask("location.href"), address.as_str());
    assert_eq!(browser.ask("document.cookie"), "", "no script sees the cookie");
    let cookies = browser.cookies();
    let cookie = &cookies[0];
    assert_eq!(cookies.as_array().unwrap().len(), 1);
    assert_eq!((&cookie["name"], &cookie["sameSite"]), (&json!("__Host-s3up"), &json!("Strict")));
    assert_eq!((&cookie["secure"], &cookie["httpOnly"]), (&Value::Bool(true), &Value::Bool(true)));

    assert_eq!(texts(&browser, ".headline"), ["1 client is silent, 1 is late"]);
    assert_eq!(texts(&browser, "article h2"), ["stops", "late", "hostile", "healthy"]);
    assert_eq!(texts(&browser, ".state"), ["silent", "late", "healthy", "healthy"]);
    assert_eq!(texts(&browser, ".facts .age")[..2], ["4 d 4 h ago", "4 d 4 h ago"]);
    assert_eq!(browser.ask("document.querySelectorAll('article:first-of-type rect').length"), 30);
    assert_undisturbed(&browser, &address);

    browser.click(".top button");
    browser.wait_for("#key");
    assert_eq!(browser.cookies(), json!([]));
    assert_undisturbed(&browser, &address);
}

#[test]
fn what_a_client_says_stays_text_and_the_page_fits_a_phone_in_light_and_in_dark() {
    let (_server, browser, address) = logged_in();
    let said = texts(&browser, ".note .text");
    for text in [
        SCRIPT,
        PICTURE,
        "/srv/<script>document.title = 'hit'</script>: \\u{202e}\\u{1b}[31m' onx=\"'",
    ] {
        assert!(said.iter().any(|line| line == text), "{text} in {said:?}");
    }
    assert_eq!(browser.ask("document.scripts.length + document.images.length"), 0);
    assert_eq!(browser.ask("document.querySelectorAll('style').length"), 1);
    assert_eq!(browser.ask("document.title"), "1 client is silent, 1 is late · s3up");
    let mut grounds = vec![];
    for scheme in ["light", "dark"] {
        for width in [390, 1280] {
            browser.look_like(width, scheme);
            let fits = browser.ask("document.documentElement.scrollWidth <= innerWidth");
            assert_eq!(fits, true, "nothing hangs over at {width} in {scheme}");
            assert_eq!(browser.ask("innerWidth"), width);
        }
        grounds.push(browser.ask("getComputedStyle(document.body).backgroundColor"));
    }
    assert_ne!(grounds[0], grounds[1]);
    assert_undisturbed(&browser, &address);
}

#[test]
fn another_site_cannot_have_a_browser_log_in_or_out() {
    let (_server, browser, address) = logged_in();
    for form in ["logout", "login"] {
        let foreign =
            format!("data:text/html,<form method=post action={address}{form}><button id=go>");
        browser.open(&foreign);
        browser.click("#go");
        browser.wait_for("pre");
        assert!(texts(&browser, "pre")[0].contains("\"error\":\"forbidden\""));
    }
    browser.open(&address);
    browser.wait_for("article");
}

#[test]
fn on_the_servers_own_machine_one_logs_in_without_tls() {
    let server = Server::started(Kind::Directory);
    let browser = Browser::start();
    let address = format!("http://localhost:{}/", server.listening_port());
    browser.open(&address);
    browser.type_into("#key", ADMIN_KEY);
    browser.wait_for("article");
    assert_eq!(texts(&browser, ".headline"), ["No client was heard of yet"]);
    assert_undisturbed(&browser, &address);
}
