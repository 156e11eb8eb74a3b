//! The server's figures for Prometheus, as Prometheus finds them.

use crate::support::api::{Part, Request, parts};
use crate::support::bucket::{Bucket, Kind};
use crate::support::certificates::Authority;
use crate::support::connection::{Connection, narrow_to};
use crate::support::prometheus::{Figures, parse};
use crate::support::server::{ADMIN_KEY, EU_KEY, Server, WEB_KEY, free_port};
use crate::support::tools;
use crate::support::waiting::{DEADLINE, eventually};
use rustix::process::Signal;
use s3up::clock;
use s3up::exposition::Histogram;
use s3up::server::metrics::figures::{self, ClientFigures, LedgerFigures};
use s3up::wire::{Day, ErrorCode};
use std::collections::BTreeSet;
use std::fs;

const LAST_SUCCESS: &str = "s3up_client_last_success_timestamp_seconds{client=\"web\"}";
const LAST_REPORT: &str = "s3up_client_last_report_timestamp_seconds{client=\"web\"}";

fn asked() -> Request {
    Request::new("GET", "/metrics").key(ADMIN_KEY)
}

#[track_caller]
fn scrape(server: &Server) -> Figures {
    let answer = asked().send(server.listening_port());
    assert_eq!(answer.status, 200, "{}", answer.text());
    let kind = answer.header("content-type").unwrap();
    assert_eq!(kind, "text/plain; version=0.0.4; charset=utf-8");
    parse(&answer.text())
}

fn upload(server: &Server, key: &str, path: &str, content: &[u8]) -> u16 {
    let request = Request::upload(&parts(path, content)).key(key);
    request.send(server.listening_port()).status
}

fn report(server: &Server, key: &str) -> u16 {
    let now = clock::unix_seconds();
    let body =
        format!("{{\"date\":\"{}\",\"sent_at\":{now},\"files\":0,\"bytes\":0}}", Day::of(now));
    let length = body.len().to_string();
    let mut request = Request::new("POST", "/report").key(key).header("Content-Length", &length);
    request.body = body.into_bytes();
    request.send(server.listening_port()).status
}

#[test]
fn what_is_told_is_what_was_done() {
    let mut server = Server::new(Kind::Directory);
    server.max_file_size_mb = 1;
    let begun = clock::unix_seconds();
    let port = server.start();
    let first = scrape(&server);
    // There from the beginning, so that the first change is seen as one.
    for name in ["files", "bytes"] {
        for client in ["web", "web-eu"] {
            let sample = format!("s3up_server_uploaded_{name}_total{{client=\"{client}\"}}");
            assert_eq!(first.value(&sample), 0.0);
        }
    }
    assert_eq!(first.find(LAST_SUCCESS), None);
    assert_eq!(first.counted("s3up_server_refusals_total"), [""; 0]);

    assert_eq!(upload(&server, WEB_KEY, "a", b"0123456789"), 200);
    assert_eq!(upload(&server, WEB_KEY, "b", &vec![7; 900_000]), 200);
    assert_eq!(upload(&server, EU_KEY, "a", b"x"), 200);
    assert_eq!(upload(&server, WEB_KEY, "big", &vec![7; 2 << 20]), 413);
    assert_eq!(upload(&server, WEB_KEY, "../a", b"x"), 400);
    assert_eq!(upload(&server, ADMIN_KEY, "a", b"x"), 403);
    assert_eq!(upload(&server, "nobodys-key-0123456789", "a", b"x"), 401);
    let wrong =
        [Part::Field("path", "d"), Part::Field("sha256", &"0".repeat(64)), Part::File(b"x")];
    Request::upload(&wrong).key(EU_KEY).send(port).assert_error(422, "digest_mismatch");
    // The gate waits for a small body, a worker has a large one in its hands.
    for length in [1000, 900_000] {
        let cut = Request::upload(&parts("cut", &vec![7; length])).key(WEB_KEY);
        cut.send_cut(port, length / 2).unwrap().assert_error(400, "incomplete_body");
    }
    for (target, status) in
        [("/exists?path=a", 200), ("/download?path=a", 200), ("/download?path=z", 404)]
    {
        assert_eq!(Request::new("GET", target).key(WEB_KEY).send(port).status, status);
    }
    Request::new("GET", "/clients").key(WEB_KEY).send(port).assert_error(403, "forbidden");
    Request::new("GET", "/nowhere").send(port).assert_error(404, "not_found");
    assert_eq!(report(&server, WEB_KEY), 200);

    let told = scrape(&server);
    let files = told.counted("s3up_server_uploaded_files_total");
    assert_eq!(files, ["{client=\"web\"} 2", "{client=\"web-eu\"} 1"]);
    let bytes = told.counted("s3up_server_uploaded_bytes_total");
    assert_eq!(bytes, ["{client=\"web\"} 900010", "{client=\"web-eu\"} 1"]);
    let refusals = [
        "{client=\"\",code=\"forbidden\"} 1",
        "{client=\"\",code=\"not_found\"} 1",
        "{client=\"\",code=\"unauthorized\"} 1",
        "{client=\"web\",code=\"file_too_large\"} 1",
        "{client=\"web\",code=\"forbidden\"} 1",
        "{client=\"web\",code=\"incomplete_body\"} 2",
        "{client=\"web\",code=\"invalid_path\"} 1",
        "{client=\"web-eu\",code=\"digest_mismatch\"} 1",
    ];
    assert_eq!(told.counted("s3up_server_refusals_total"), refusals);
    let requests = [
        "{route=\"clients\"} 1",
        "{route=\"download\"} 2",
        "{route=\"exists\"} 1",
        "{route=\"other\"} 1",
        "{route=\"report\"} 1",
        "{route=\"upload\"} 10",
    ];
    // A request is over a moment after its answer was read.
    eventually(DEADLINE, "all requests are over", || {
        let mut told = scrape(&server).counted("s3up_server_request_duration_seconds_count");
        told.retain(|sample| !sample.starts_with("{route=\"metrics\"}"));
        (told == requests).then_some(())
    });
    assert_eq!(told.value("s3up_server_upload_duration_seconds_count"), 3.0);
    assert!(told.value("s3up_server_upload_duration_seconds_sum") > 0.0);
    let now = clock::unix_seconds();
    for moment in [LAST_SUCCESS, LAST_REPORT, "s3up_server_start_timestamp_seconds"] {
        assert!((begun..=now).contains(&(told.value(moment) as i64)), "{moment}");
    }
    assert_eq!(told.counted("s3up_server_store_errors_total"), [""; 0]);
    for (name, value) in [
        ("store_retries_total", 0.0),
        ("ledger_healthy", 1.0),
        ("ledger_dropped_uploads_total", 0.0),
        ("bodies_in_flight", 0.0),
        ("connections", 1.0),
        ("buffer_memory_reserved_bytes", 0.0),
        ("lanes", 16.0),
    ] {
        let sample = format!("s3up_server_{name}");
        // Connections and lanes come to rest a moment after the last answer.
        let settled = || (scrape(&server).value(&sample) == value).then_some(());
        eventually(DEADLINE, &sample, settled);
    }
    assert_eq!(told.find("s3up_server_certificate_not_after_timestamp_seconds"), None);
    assert!(!server.log().contains(ADMIN_KEY), "a key is logged");
}

#[test]
fn a_restart_does_not_lose_when_a_client_was_last_heard_of() {
    let mut server = Server::started(Kind::Directory);
    assert_eq!(upload(&server, WEB_KEY, "a", b"x"), 200);
    assert_eq!(report(&server, WEB_KEY), 200);
    let before = scrape(&server);
    assert_eq!(server.stop().code(), Some(0));
    server.start();
    let after = scrape(&server);
    for moment in [LAST_SUCCESS, LAST_REPORT] {
        assert_eq!(after.value(moment), before.value(moment), "{moment}");
    }
    assert_eq!(after.counted("s3up_server_uploaded_files_total"), [""; 0], "counted anew");
    assert_eq!(after.find(&LAST_SUCCESS.replace("web", "web-eu")), None);
}

#[test]
fn a_client_that_was_removed_is_not_told_of_and_one_that_was_added_is() {
    let mut server = Server::started(Kind::Directory);
    for key in [WEB_KEY, EU_KEY] {
        assert_eq!(upload(&server, key, "a", b"x"), 200);
    }
    server.clients = vec![("web", WEB_KEY), ("web-us", EU_KEY)];
    server.configure();
    server.daemon().signal(Signal::HUP);
    server.daemon().wait_for("clients added: web-us; removed: web-eu");
    let answer = asked().send(server.listening_port());
    assert!(!answer.text().contains("web-eu"), "{}", answer.text());
    let told = parse(&answer.text());
    assert_eq!(told.value("s3up_server_uploaded_files_total{client=\"web\"}"), 1.0);
    assert_eq!(told.value("s3up_server_uploaded_files_total{client=\"web-us\"}"), 0.0);
}

#[test]
fn only_an_administrator_is_told() {
    let server = Server::started(Kind::Directory);
    let port = server.listening_port();
    let metrics = |method| Request::new(method, "/metrics");
    metrics("GET").send(port).assert_error(401, "unauthorized");
    metrics("GET").key("nobodys-key-0123456789").send(port).assert_error(401, "unauthorized");
    metrics("GET").key(WEB_KEY).send(port).assert_error(403, "forbidden");
    metrics("POST").key(ADMIN_KEY).send(port).assert_error(405, "method_not_allowed");
    let body = metrics("GET").key(ADMIN_KEY).header("Content-Length", "3");
    body.send_part(port, 0).assert_error(400, "bad_request");
    let head = metrics("HEAD").key(ADMIN_KEY).send(port);
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert!(head.header("content-length").unwrap().parse::<usize>().unwrap() > 1000);
    // More than one over the same connection, and something else in between.
    let mut connection = Connection::to(port);
    for _ in 0..3 {
        assert_eq!(connection.ask(&asked()).status, 200);
        assert_eq!(connection.ask(&Request::new("GET", "/ready")).status, 200);
    }
}

#[test]
fn it_needs_neither_worker_nor_store_nor_database() {
    let mut server = Server::new(Kind::Directory);
    server.bucket = Bucket::Nobody(format!("http://127.0.0.1:{}", free_port()));
    fs::remove_dir(server.database().parent().unwrap()).unwrap();
    server.workers = 4;
    let port = server.start();
    server.daemon().wait_for("are not written down until this is mended");
    // One lane is for whoever is slow, and the body of this one takes its time.
    let slow = Request::upload(&parts("slow", &vec![7; 900_000])).key(WEB_KEY);
    let mut connection = Connection::to(port);
    connection.say(&slow.bytes()[..500_000]);
    let held = eventually(DEADLINE, "a body is on its way", || {
        let told = scrape(&server);
        (told.value("s3up_server_bodies_in_flight") == 1.0
            && told.value("s3up_server_lanes_in_use") == 1.0)
            .then_some(told)
    });
    let (reserved, limit) = (
        held.value("s3up_server_buffer_memory_reserved_bytes"),
        held.value("s3up_server_buffer_memory_limit_bytes"),
    );
    assert!(900_000.0 < reserved && reserved < limit, "{reserved} of {limit}");
    assert_eq!(held.value("s3up_server_ledger_healthy"), 0.0);
    // Asked at the start, and not counted: nobody has asked for anything.
    assert_eq!(held.counted("s3up_server_store_errors_total"), [""; 0]);
    Request::new("GET", "/ready").send(port).assert_error(503, "unavailable");
    Request::new("GET", "/exists?path=a").key(WEB_KEY).send(port).assert_error(503, "unavailable");
    let told = scrape(&server);
    let errors = told.counted("s3up_server_store_errors_total");
    assert_eq!(errors, ["{kind=\"unavailable\"} 2"]);
    let refusals = told.counted("s3up_server_refusals_total");
    let expected =
        ["{client=\"\",code=\"unavailable\"} 1", "{client=\"web\",code=\"unavailable\"} 1"];
    assert_eq!(refusals, expected);
    assert!(told.value("s3up_server_store_retries_total") > 0.0);
    connection.reset();
    eventually(DEADLINE, "nothing is held any more", || {
        let told = scrape(&server);
        let held = ["bodies_in_flight", "buffer_memory_reserved_bytes", "lanes_in_use"];
        held.iter().all(|name| told.value(&format!("s3up_server_{name}")) == 0.0).then_some(())
    });
}

#[test]
fn without_a_database_there_is_no_ledger_to_tell_of() {
    let mut server = Server::new(Kind::Directory);
    server.sections = format!("admin_keys:\n  - api_key: \"{ADMIN_KEY}\"\n");
    server.start();
    assert_eq!(upload(&server, WEB_KEY, "a", b"x"), 200);
    let told = scrape(&server);
    assert_eq!(told.value("s3up_server_uploaded_files_total{client=\"web\"}"), 1.0);
    assert!(told.value(LAST_SUCCESS) > 0.0);
    assert!(told.types.keys().all(|name| !name.contains("ledger")));
}

#[test]
fn the_end_of_the_certificate_is_told() {
    let mut server = Server::new(Kind::Directory);
    let authority = Authority::new(&server.folder(), "test");
    let identity = authority.issue_for_years(&server.folder(), &["localhost"], [2020, 2100]);
    server.tls = format!(
        "{{ enabled: true, cert_file: {:?}, key_file: {:?} }}",
        identity.cert, identity.key
    );
    let port = server.start();
    let ca = authority.cert.to_str().unwrap();
    let (url, key) =
        (format!("https://localhost:{port}/metrics"), format!("Authorization: Bearer {ADMIN_KEY}"));
    let mut curl = tools::tool("curl", &server.folder());
    let output = curl.args(["-sS", "--cacert", ca, "-H", &key, &url]).output().unwrap();
    let end = parse(&String::from_utf8(output.stdout).unwrap())
        .value("s3up_server_certificate_not_after_timestamp_seconds");
    // 2100-01-01, 00:00 UTC.
    assert_eq!(end, 4_102_444_800.0);
}

/// Figures of which everything is known.
fn whole() -> figures::Figures {
    let histogram = || Histogram { buckets: vec![(f64::INFINITY, 1)], sum: 1.0 };
    figures::Figures {
        clients: vec![ClientFigures {
            name: "web".into(),
            last_success: Some(1),
            last_report: Some(1),
            ..ClientFigures::default()
        }],
        strangers: vec![(ErrorCode::Unauthorized, 1)],
        requests: vec![("upload", histogram())],
        uploads: histogram(),
        store_errors: vec![("full", 1)],
        ledger: Some(LedgerFigures::default()),
        certificate_end: Some(1),
        ..figures::Figures::default()
    }
}

/// All figures of the server.
pub(crate) fn all_names() -> BTreeSet<String> {
    parse(&figures::text(&whole())).types.into_keys().collect()
}

#[test]
fn names_follow_the_conventions_and_the_readme_has_them_all() {
    let names = all_names();
    for name in &names {
        assert!(
            name.starts_with("s3up_server_") || name.starts_with("s3up_client_last_"),
            "{name}"
        );
        for unit in ["_ms", "_mb", "_minutes", "_hours", "_count"] {
            assert!(!name.contains(unit), "{name}: base units only");
        }
    }
    let readme = include_str!("../README.md");
    let (_, section) = readme.split_once("### The server's figures").expect("a section");
    let (_, table) = section.split_once("| figure |").expect("a table");
    let (table, _) = table.split_once("\n\n").expect("a table ends");
    let cells = table.lines().skip(2).map(|row| row.split('|').nth(1).expect("a first cell"));
    let listed = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2));
    let listed: BTreeSet<String> =
        listed.map(|name| name.split('{').next().unwrap().to_owned()).collect();
    assert_eq!(listed, names);
}

#[test]
fn the_page_grows_with_the_clients_and_by_nothing_that_is_asked() {
    let server = Server::started(Kind::Directory);
    let before = scrape(&server).len();
    let port = server.listening_port();
    for number in 0..3 {
        let target = format!("/nowhere-{number}?path={number}");
        Request::new("GET", &target).send(port).assert_error(404, "not_found");
        Request::new("GET", "/exists?path=a").key(&format!("nobodys-key-{number:08}")).send(port);
    }
    assert_eq!(scrape(&server).len(), before);
}

#[test]
fn nothing_is_lost_while_many_upload_and_others_look() {
    const SENDERS: usize = 8;
    const EACH: usize = 25;
    let server = Server::started(Kind::Directory);
    let port = server.listening_port();
    let total = |told: &Figures, client: &str| {
        told.value(&format!("s3up_server_uploaded_files_total{{client=\"{client}\"}}"))
    };
    std::thread::scope(|scope| {
        for sender in 0..SENDERS {
            let key = if sender % 2 == 0 { WEB_KEY } else { EU_KEY };
            scope.spawn(move || {
                let mut connection = Connection::to(port);
                for number in 0..EACH {
                    let path = format!("{sender}/{number}");
                    let upload = Request::upload(&parts(&path, b"four")).key(key);
                    assert_eq!(connection.ask(&upload).status, 200);
                }
            });
        }
        // Who looks sees numbers that only grow, and holds nobody up.
        let mut seen = 0.0;
        while seen < (SENDERS * EACH) as f64 {
            let told = scrape(&server);
            let now = total(&told, "web") + total(&told, "web-eu");
            assert!(now >= seen, "{now} after {seen}");
            assert!(told.value("s3up_server_bodies_in_flight") <= SENDERS as f64);
            seen = now;
        }
    });
    let told = scrape(&server);
    for client in ["web", "web-eu"] {
        assert_eq!(total(&told, client), (SENDERS * EACH / 2) as f64);
        let bytes = format!("s3up_server_uploaded_bytes_total{{client=\"{client}\"}}");
        assert_eq!(told.value(&bytes), (SENDERS * EACH / 2 * 4) as f64);
    }
    let all = (SENDERS * EACH) as f64;
    assert_eq!(told.value("s3up_server_upload_duration_seconds_count"), all);
    // A request is over a moment after its answer was read.
    eventually(DEADLINE, "all requests are over", || {
        let name = "s3up_server_request_duration_seconds_count{route=\"upload\"}";
        (scrape(&server).value(name) == all).then_some(())
    });
}

#[test]
fn a_store_that_breaks_off_a_download_is_counted_once() {
    const LENGTH: usize = 20_000_000;
    let server = Server::started(Kind::Directory);
    assert_eq!(upload(&server, WEB_KEY, "a", &vec![7; LENGTH]), 200);
    let mut slow = Connection::over(narrow_to(server.listening_port()));
    slow.say(Request::new("GET", "/download?path=a").key(WEB_KEY).bytes());
    assert!(slow.head_of_answer().starts_with("HTTP/1.1 200 "));
    let Bucket::Directory(store) = &server.bucket else { panic!("a folder") };
    let file = walkdir::WalkDir::new(store).into_iter().map(Result::unwrap);
    let file = file.into_iter().find(|entry| entry.file_name() == "a").expect("the file");
    fs::OpenOptions::new().write(true).open(file.path()).unwrap().set_len(1000).unwrap();
    assert!(slow.bytes_until_broken() < LENGTH as u64);
    let errors = scrape(&server).counted("s3up_server_store_errors_total");
    assert_eq!(errors, ["{kind=\"unavailable\"} 1"]);
}
