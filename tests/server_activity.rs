//! What the server remembers of its clients, what they report, and what an administrator is told.

use crate::support::api::{Answer, Part, Request, parts};
use crate::support::bucket::Kind;
use crate::support::connection::Connection;
use crate::support::server::{ADMIN_KEY, EU_KEY, Server, WEB_KEY};
use crate::support::waiting::{DEADLINE, eventually};
use rustix::process::Signal;
use s3up::clock;
use s3up::limits::report::BODY_BYTES_MAX;
use s3up::wire::Day;
use serde_json::{Value, json};

pub(crate) fn upload(server: &Server, key: &str, path: &str, content: &[u8]) -> Answer {
    Request::upload(&parts(path, content)).key(key).send(server.listening_port())
}

fn get(server: &Server, key: &str, target: &str) -> Answer {
    Request::new("GET", target).key(key).send(server.listening_port())
}

fn post(server: &Server, key: &str, report: &str) -> Answer {
    let length = report.len().to_string();
    let mut request = Request::new("POST", "/report").key(key).header("Content-Length", &length);
    request.body = report.as_bytes().to_vec();
    request.send(server.listening_port())
}

fn today() -> Day {
    Day::of(clock::unix_seconds())
}

/// A report of today.
pub(crate) fn report(files: u64, bytes: u64) -> Value {
    json!({"date": today(), "sent_at": clock::unix_seconds(), "files": files, "bytes": bytes})
}

/// What is said of a client.
#[track_caller]
pub(crate) fn client(server: &Server, name: &str) -> Value {
    let answer = get(server, ADMIN_KEY, "/clients");
    assert_eq!(answer.status, 200, "{}", answer.text());
    let clients = answer.json()["clients"].as_array().unwrap().clone();
    clients.into_iter().find(|client| client["name"] == name).unwrap()
}

#[test]
fn what_clients_did_is_told_to_an_administrator_and_outlives_the_server() {
    let mut server = Server::new(Kind::Directory);
    server.max_file_size_mb = 1;
    server.start();
    assert_eq!(client(&server, "web")["state"], "never");
    let (begun, day) = (clock::unix_seconds(), today());
    assert_eq!(upload(&server, WEB_KEY, "a/b", b"0123456789").status, 200);
    assert_eq!(upload(&server, WEB_KEY, "a/c", b"01234").status, 200);
    let wrong =
        [Part::Field("path", "d"), Part::Field("sha256", &"0".repeat(64)), Part::File(b"x")];
    let wrong = Request::upload(&wrong).key(WEB_KEY).send(server.listening_port());
    wrong.assert_error(422, "digest_mismatch");
    upload(&server, WEB_KEY, "big", &vec![7; 2 << 20]).assert_error(413, "file_too_large");
    get(&server, "nobodys-key-0123456789", "/exists?path=a").assert_error(401, "unauthorized");
    let mut report = report(2, 15);
    report["version"] = "0.9.9".into();
    report["parked"] =
        json!({"count": 3, "reasons": [{"reason": "too \u{1b}[31mlarge", "count": 3}]});
    let answer = post(&server, WEB_KEY, &report.to_string());
    assert_eq!(answer.status, 200, "{}", answer.text());
    if today() != day {
        // The day has ended meanwhile, and the numbers are of two.
        return;
    }
    let check = json!({"verdict": "agrees", "files": 2, "bytes": 15, "remarks": []});
    assert_eq!(answer.json(), json!({"success": true, "date": day, "check": check}));

    let told = |server: &Server| {
        let mut web = client(server, "web");
        let moment = |value: &Value| value.as_i64().is_some_and(|at| (begun..).contains(&at));
        for name in ["first_seen", "last_seen", "last_upload", "last_report"] {
            assert!(moment(&web[name].take()), "{name}");
        }
        assert!(moment(&web["last_error"]["at"].take()));
        web
    };
    let expected = json!({
        "name": "web",
        "state": "healthy",
        "first_seen": null,
        "last_seen": null,
        "last_upload": null,
        "last_report": null,
        "version": "0.9.9",
        "today": {"files": 2, "bytes": 15, "failures": 2},
        "last_30_days": {"files": 2, "bytes": 15, "failures": 2},
        "total": {"files": 2, "bytes": 15},
        "parked": {"count": 3, "reasons": [{"reason": "too \\u{1b}[31mlarge", "count": 3}]},
        "last_error": {"at": null, "asked": "upload", "error": "file_too_large"},
        "last_check": {"date": day, "verdict": "agrees", "files": 2, "bytes": 15, "remarks": []},
    });
    assert_eq!(told(&server), expected);
    assert_eq!(client(&server, "web-eu")["state"], "never");
    assert_eq!(server.stop().code(), Some(0));
    server.start();
    assert_eq!(told(&server), expected);

    let said = get(&server, ADMIN_KEY, &format!("/reports?date={day}")).json();
    assert_eq!(said["date"], json!(day));
    let names: Vec<_> =
        said["clients"].as_array().unwrap().iter().map(|one| &one["name"]).collect();
    assert_eq!(names, ["web", "web-eu"]);
    let web = &said["clients"][0];
    assert_eq!((&web["report"]["files"], &web["check"]["verdict"]), (&2.into(), &"agrees".into()));
    assert_eq!(said["clients"][1]["report"], Value::Null);
    let yesterday = get(&server, ADMIN_KEY, "/reports").json();
    assert_eq!(yesterday["date"], json!(day.plus(-1)));
    assert_eq!(yesterday["clients"][0]["report"], Value::Null);
    server.daemon().wait_for(" (admin) GET \"/reports\" 200");
}

#[test]
fn a_report_that_differs_is_told_to_its_client_to_the_log_and_to_the_administrator() {
    let server = Server::started(Kind::Directory);
    upload(&server, WEB_KEY, "a", b"x");
    let answer = post(&server, WEB_KEY, &report(3, 3).to_string()).json();
    assert_eq!(answer["check"]["verdict"], "unknown", "the ledger began on this day");
    let check = &client(&server, "web")["last_check"];
    let remark = check["remarks"][1].as_str().or(check["remarks"][0].as_str()).unwrap();
    assert!(remark.starts_with("the server keeps its ledger since "), "{remark}");
    // It could have been another day's, had the server been there.
    let connection = rusqlite::Connection::open(server.database()).unwrap();
    connection.execute("UPDATE ledger SET kept_since = 0", []).unwrap();
    let answer = post(&server, WEB_KEY, &report(3, 3).to_string()).json();
    assert_eq!(answer["check"]["verdict"], "differs");
    server.daemon().wait_for("it counts uploads that the server has no trace of");
    assert_eq!(client(&server, "web")["last_check"]["verdict"], "differs");
    let again = post(&server, WEB_KEY, &report(1, 1).to_string()).json();
    assert_ne!(again["check"]["verdict"], "differs", "the later one counts");
    assert_ne!(client(&server, "web")["last_check"]["verdict"], "differs");
}

#[test]
fn each_key_opens_its_own_doors_before_a_byte_of_a_body_is_read() {
    let server = Server::started(Kind::Directory);
    let port = server.listening_port();
    for target in ["/clients", "/reports", "/reports?date=2026-11-28"] {
        assert_eq!(get(&server, ADMIN_KEY, target).status, 200);
        get(&server, WEB_KEY, target).assert_error(403, "forbidden");
        Request::new("GET", target).send(port).assert_error(401, "unauthorized");
    }
    upload(&server, ADMIN_KEY, "a", b"x").assert_error(403, "forbidden");
    post(&server, ADMIN_KEY, &report(0, 0).to_string()).assert_error(403, "forbidden");
    for target in ["/exists?path=a", "/download?path=a"] {
        get(&server, ADMIN_KEY, target).assert_error(403, "forbidden");
    }
    get(&server, ADMIN_KEY, "/reports?date=2026-02-30").assert_error(400, "bad_request");
    get(&server, WEB_KEY, "/report").assert_error(405, "method_not_allowed");
    // Only the head is sent: the answer does not wait for the rest.
    for (request, status) in [
        (Request::new("POST", "/report").key(WEB_KEY), 413),
        (Request::new("POST", "/report").key(ADMIN_KEY), 403),
        (Request::new("POST", "/report"), 401),
    ] {
        let length = (BODY_BYTES_MAX + 1).to_string();
        let answer = request.header("Content-Length", &length).send_part(port, 0);
        assert_eq!(answer.status, status, "{}", answer.text());
    }
    assert!(!server.log().contains(ADMIN_KEY), "a key is logged");
}

#[test]
fn what_is_no_report_is_refused_and_nothing_of_it_is_kept() {
    let server = Server::started(Kind::Directory);
    let with = |member: &str, value: Value| {
        let mut report = report(0, 0);
        report[member] = value;
        report.to_string()
    };
    for bad in [
        String::new(),
        "[]".to_owned(),
        "{\"date\":\"\u{1b}[31m\"}".to_owned(),
        "[".repeat(60_000),
        with("date", "2026-02-30".into()),
        with("date", json!(today().plus(2))),
        with("date", json!(today().plus(-91))),
        with("files", json!(-1)),
        with("bytes", json!(u64::MAX)),
    ] {
        let answer = post(&server, WEB_KEY, &bad);
        answer.assert_error(400, "bad_request");
        assert!(answer.body.len() < 500 && !answer.text().contains('\u{1b}'), "{}", answer.text());
    }
    assert_eq!(client(&server, "web")["last_report"], Value::Null);
    for good in [
        with("date", json!(today().plus(1))),
        with("date", json!(today().plus(-90))),
        with("watch_failures", json!(vec![json!({"path": "/x", "reason": "y"}); 1000])),
    ] {
        assert_eq!(post(&server, WEB_KEY, &good).status, 200);
    }
    assert_eq!(client(&server, "web")["last_error"]["asked"], "report");
    let all = get(&server, ADMIN_KEY, &format!("/reports?date={}", today())).json();
    let failures = &all["clients"][0]["report"]["watch_failures"];
    assert_eq!(failures.as_array().unwrap().len(), 20);
}

#[test]
fn the_version_of_a_client_is_what_it_says_it_is() {
    let server = Server::started(Kind::Directory);
    for (agent, version) in [
        ("curl/8.0", Value::Null),
        ("s3up/1.2.3", "1.2.3".into()),
        ("curl/8.0", "1.2.3".into()),
        ("s3up/1.3.0 x", "1.3.0".into()),
    ] {
        let request = Request::new("GET", "/exists?path=a").key(WEB_KEY);
        let answer = request.header("User-Agent", agent).send(server.listening_port());
        assert_eq!(answer.status, 200);
        // A report is written after what came before it.
        post(&server, EU_KEY, &report(0, 0).to_string());
        assert_eq!(client(&server, "web")["version"], version, "{agent}");
    }
}

#[test]
fn without_a_database_the_start_says_so_and_uploads_are_as_ever() {
    let mut server = Server::new(Kind::Directory);
    server.sections = String::new();
    server.start();
    server.daemon().wait_for("no database is configured: what the clients do is not remembered");
    assert_eq!(upload(&server, WEB_KEY, "a", b"x").status, 200);
    let answer = post(&server, WEB_KEY, &report(1, 1).to_string());
    answer.assert_error(404, "not_found");
    assert!(answer.text().contains("this server keeps no reports"), "{}", answer.text());
    for target in ["/clients", "/reports"] {
        get(&server, ADMIN_KEY, target).assert_error(401, "unauthorized");
    }
    // Administrators come and go as clients do; the database needs a restart.
    server.remembers();
    server.configure();
    server.daemon().signal(Signal::HUP);
    server.daemon().wait_for("needs a restart: database.path");
    server.daemon().wait_for("admin_keys changed, there are 1");
    get(&server, ADMIN_KEY, "/clients").assert_error(404, "not_found");
    server.sections = String::new();
    server.configure();
    server.daemon().signal(Signal::HUP);
    server.daemon().wait_for("admin_keys changed, there are 0");
    get(&server, ADMIN_KEY, "/clients").assert_error(401, "unauthorized");
}

/// What a table holds when the server has ended, a line a row.
fn rows(server: &Server, question: &str) -> Vec<String> {
    let connection = rusqlite::Connection::open(server.database()).unwrap();
    let mut statement = connection.prepare(question).unwrap();
    let rows = statement.query_map([], |row| row.get(0)).unwrap();
    rows.map(Result::unwrap).collect()
}

#[test]
fn what_was_refused_is_counted_once_whoever_refused_it() {
    let mut server = Server::new(Kind::Directory);
    server.max_file_size_mb = 1;
    server.allow_download = false;
    let port = server.start();
    let nobody = Request::new("GET", "/exists?path=a").key("nobodys-key-0123456789");
    for _ in 0..2 {
        nobody.send(port).assert_error(401, "unauthorized");
    }
    Request::new("GET", "/nowhere").send(port).assert_error(404, "not_found");
    get(&server, WEB_KEY, "/download?path=a").assert_error(403, "forbidden");
    get(&server, WEB_KEY, "/exists?path=..").assert_error(400, "invalid_path");
    get(&server, WEB_KEY, "/clients").assert_error(403, "forbidden");
    // By the gate, by its length; by a worker, by its name; by a worker, by its content.
    upload(&server, WEB_KEY, "big", &vec![7; 2 << 20]).assert_error(413, "file_too_large");
    upload(&server, WEB_KEY, "../a", b"x").assert_error(400, "invalid_path");
    let wrong =
        [Part::Field("path", "d"), Part::Field("sha256", &"0".repeat(64)), Part::File(b"x")];
    let wrong = Request::upload(&wrong).key(WEB_KEY).send(port);
    wrong.assert_error(422, "digest_mismatch");
    // The gate waits for a small body, a worker has a large one in its hands.
    for length in [1000, 900_000] {
        let cut = Request::upload(&parts("cut", &vec![7; length])).key(WEB_KEY);
        cut.send_cut(port, length / 2).unwrap().assert_error(400, "incomplete_body");
    }
    assert_eq!(server.stop().code(), Some(0));
    let refusals = rows(
        &server,
        "SELECT client || ' ' || asked || ' ' || error || ' ' || sum(count) FROM refusals \
         GROUP BY client, asked, error ORDER BY 1",
    );
    let expected = [
        " exists unauthorized 2",
        "web clients forbidden 1",
        "web download forbidden 1",
        "web exists invalid_path 1",
        "web upload digest_mismatch 1",
        "web upload file_too_large 1",
        "web upload incomplete_body 2",
        "web upload invalid_path 1",
    ];
    assert_eq!(refusals, expected);
    let uploads = rows(
        &server,
        "SELECT coalesce(path, '-') || ' ' || outcome || ' ' || peer FROM uploads ORDER BY 1",
    );
    assert_eq!(uploads, ["- invalid_path 127.0.0.1", "d digest_mismatch 127.0.0.1"]);
    assert_eq!(rows(&server, "SELECT CAST(sum(failures) AS TEXT) FROM days"), ["5"]);
    assert_eq!(rows(&server, "SELECT CAST(in_use AS TEXT) FROM ledger"), ["0"]);
}

#[test]
fn an_upload_that_ends_after_the_server_was_told_to_is_in_the_ledger() {
    let mut server = Server::started(Kind::Directory);
    let request = Request::upload(&parts("last", &vec![7; 500_000])).key(WEB_KEY);
    let (first, rest) = request.body.split_at(request.body.len() / 2);
    let mut connection = Connection::to(server.listening_port());
    connection.say(request.clone().header("Expect", "100-continue").head());
    connection.wait_for_continue();
    connection.say(first);
    // All that was told so far is written.
    eventually(DEADLINE, "the client is known", || {
        (client(&server, "web")["first_seen"] != Value::Null).then_some(())
    });
    server.daemon().signal(Signal::TERM);
    server.daemon().wait_for("SIGTERM: ending");
    connection.say(rest);
    assert_eq!(connection.answer().status, 200);
    assert_eq!(server.ended().code(), Some(0));
    assert_eq!(rows(&server, "SELECT path FROM uploads"), ["last"]);
    assert_eq!(rows(&server, "SELECT CAST(in_use AS TEXT) FROM ledger"), ["0"]);
}
