//! `s3up-server clients` and `s3up-server report` at the command line, beside a server and without one.

use crate::programs::{Outcome, run};
use crate::server_activity::{report, upload};
use crate::support::api::Request;
use crate::support::bucket::Kind;
use crate::support::daemon::SERVER;
use crate::support::server::{Server, WEB_KEY};
use rustix::process::Signal;
use s3up::clock;
use s3up::wire::Day;
use serde_json::Value;

/// Runs a command on the server's configuration.
#[track_caller]
fn ask(server: &Server, arguments: &[&str]) -> Outcome {
    let file = server.configure();
    run(SERVER, &[arguments, &["-c", file.to_str().unwrap()]].concat())
}

#[track_caller]
fn check(server: &Server, arguments: &[&str], code: i32, expected: &[&str]) -> String {
    let Outcome { code: ended, stdout, stderr } = ask(server, arguments);
    assert_eq!((ended, stderr.as_str()), (Some(code), ""), "{arguments:?}: {stdout}");
    for part in expected {
        assert!(stdout.contains(part), "{arguments:?}: {part:?} in {stdout}");
    }
    stdout
}

#[test]
fn how_the_clients_are_is_told_beside_a_running_server_and_without_one() {
    let mut server = Server::started(Kind::Directory);
    assert_eq!(upload(&server, WEB_KEY, "a/b", b"0123456789").status, 200);
    let mut said = report(1, 10);
    said["parked"] = serde_json::json!({"count": 2, "reasons": [{"reason": "写真 is \u{1b}[31mtoo large", "count": 2}]});
    let body = said.to_string();
    let mut request = Request::new("POST", "/report").key(WEB_KEY);
    request.body = body.as_bytes().to_vec();
    let length = body.len().to_string();
    let answer = request.header("Content-Length", &length).send(server.listening_port());
    assert_eq!(answer.status, 200, "{}", answer.text());
    let today = said["date"].as_str().unwrap().to_owned();

    let all = [
        "  1 client is healthy, 1 was never heard of\n",
        "\nweb     healthy  ",
        "\nweb-eu  never ",
    ];
    let parked = "\nweb\n  2 files are not backed up\n    2 x 写真 is \\u{1b}[31mtoo large\n";
    for running in [true, false] {
        if !running {
            server.daemon().signal(Signal::TERM);
            assert_eq!(server.ended().code(), Some(0));
        }
        let shown = check(&server, &["clients"], 3, &all);
        assert!(shown.ends_with(parked), "{shown}");
        assert!(!shown.contains('\u{1b}'), "{shown:?}");
        let one =
            check(&server, &["clients", "--client", "web"], 3, &["  The client is healthy\n"]);
        assert!(!one.contains("web-eu"), "{one}");
        let json = check(&server, &["clients", "--json", "--client", "web"], 3, &[]);
        let json: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(
            (&json["clients"][0]["state"], json["clients"].as_array().unwrap().len()),
            (&"healthy".into(), 1)
        );

        let reports = format!("reports of {today}, UTC: 1 of 2\n");
        check(
            &server,
            &["report", "--date", &today],
            3,
            &[&reports, "\nweb     ", "agrees\n", "\nweb-eu  none "],
        );
        let json = check(&server, &["report", "--date", &today, "--json"], 3, &[]);
        let json: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["clients"][0]["report"]["files"], 1);
        assert_eq!(json["clients"][1]["report"], Value::Null);
        if Day::of(clock::unix_seconds()).to_string() == today {
            // Of yesterday, nobody has said anything.
            check(
                &server,
                &["report", "--client", "web"],
                3,
                &["UTC: 0 of 1\n", "\nweb     none "],
            );
        }
    }
}

#[test]
fn cron_hears_nothing_where_nobody_has_to_look() {
    let server = Server::started(Kind::Directory);
    assert_eq!(upload(&server, WEB_KEY, "a", b"1").status, 200);
    let body = report(1, 1).to_string();
    let mut request = Request::new("POST", "/report").key(WEB_KEY);
    request.body = body.as_bytes().to_vec();
    let length = body.len().to_string();
    assert_eq!(request.header("Content-Length", &length).send(server.listening_port()).status, 200);
    check(&server, &["clients", "--client", "web"], 0, &["The client is healthy"]);
    let date = serde_json::from_str::<Value>(&body).unwrap()["date"].as_str().unwrap().to_owned();
    check(&server, &["report", "--client", "web", "--date", &date], 0, &["agrees"]);
}

#[test]
fn what_cannot_be_told_is_one_line_with_what_would_be_right() {
    let mut server = Server::new(Kind::Directory);
    let refused = |server: &Server, arguments: &[&str], code: i32, expected: &str| {
        let Outcome { code: ended, stdout, stderr } = ask(server, arguments);
        assert_eq!((ended, stdout.as_str()), (Some(code), ""), "{arguments:?}: {stderr}");
        assert!(stderr.contains(expected), "{arguments:?}: {stderr}");
    };
    let none = "error: the server remembers nothing: its configuration has no database; hint: the \
                key database.path\n";
    server.sections.clear();
    refused(&server, &["clients"], 1, none);
    refused(&server, &["report"], 1, none);
    server.remembers();
    refused(&server, &["clients"], 1, "activity.db");
    let nobody = "error: no client is called \"nobody\" in the configuration\n";
    refused(&server, &["clients", "--client", "nobody"], 2, nobody);
    refused(&server, &["report", "--client", "nobody"], 2, nobody);
    refused(&server, &["report", "--date", "2026-11-31"], 2, "one of the calendar is expected");
}
