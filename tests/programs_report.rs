//! Daily reports from outside: what the client sends of which day, what it makes of each answer, and
//! the command `report`.

use crate::programs::Outcome;
use crate::programs_client;
use crate::support::bucket::Kind;
use crate::support::client::Client;
use crate::support::pair::Pair;
use crate::support::scripted_server::{Asked, ScriptedServer, Step, answer};
use crate::support::server::{WEB_KEY, free_port};
use s3up::client::database::Database;
use s3up::client::fingerprint::Fingerprint;
use s3up::client::plan::Record;
use s3up::clock;
use s3up::digest::Digest;
use s3up::wire::Day;
use s3up::wire::report::{Report, Scan};
use serde_json::{Value, json};
use std::path::Path;

fn today() -> Day {
    Day::of(clock::unix_seconds())
}

/// A client that was there yesterday and uploaded one file of 10 bytes then, and its server.
fn client_of_yesterday(script: Vec<Step>) -> (Client, ScriptedServer) {
    let server = ScriptedServer::start(script);
    let mut client = Client::new();
    client.url = server.endpoint();
    let database = Database::open(&client.database).unwrap();
    let record = Record {
        remote_path: "uploads/a".into(),
        fingerprint: Fingerprint { size: 10, mtime_ns: 1, ctime_ns: 1, inode: 1 },
        sha256: Digest::of(b""),
    };
    let yesterday = today().plus(-1);
    database.uploaded(Path::new("/gone"), &record, yesterday.start() + 7).unwrap();
    (client, server)
}

/// The server's answer to the report of a day.
fn reported(day: Day, verdict: &str, remarks: &[&str]) -> Step {
    let check = json!({"verdict": verdict, "files": 1, "bytes": 10, "remarks": remarks});
    let body = json!({"success": true, "date": day, "check": check});
    Step::Answer(answer(200, &[], &body.to_string()))
}

fn refused(status: u16, headers: &[&str], code: &str) -> Step {
    let body = json!({"success": false, "error": code, "message": "what it says"});
    Step::Answer(answer(status, headers, &body.to_string()))
}

/// What was sent, which has to be a report.
#[track_caller]
fn report_in(asked: &Asked) -> Report {
    assert_eq!(asked.line, "POST /report");
    assert_eq!(asked.header("content-type"), Some("application/json"));
    assert_eq!(asked.header("authorization"), Some(&*format!("Bearer {WEB_KEY}")));
    assert!(asked.header("content-length").is_some());
    serde_json::from_slice(&asked.body).unwrap()
}

/// Runs `report` with these words to its end.
#[track_caller]
fn run(client: &Client, words: &[&str]) -> Outcome {
    programs_client::run(client, &[&["report"], words].concat())
}

#[test]
fn yesterdays_report_is_sent_at_the_start_if_it_is_missing_and_once() {
    let yesterday = today().plus(-1);
    let (mut client, server) = client_of_yesterday(vec![reported(yesterday, "agrees", &[])]);
    client.start();
    let line = client.daemon().wait_for("reported ");
    let expected =
        format!("reported {yesterday}: 1 file, 10 B; the server's own count agrees: 1 file, 10 B");
    assert!(line.contains(" INFO") && line.ends_with(&expected), "{line}");
    client.assert_nothing_to_complain();
    client.stop();
    client.start();
    client.stop();
    let asked = server.asked();
    assert_eq!(asked.len(), 1, "{asked:?}");
    let report = report_in(&asked[0]);
    assert_eq!((report.date, report.files, report.bytes), (yesterday, 1, 10));
    assert_eq!(&*report.version, env!("CARGO_PKG_VERSION"));
    assert_eq!((report.watches.count, report.watches.files), (1, 1));
    assert!(report.free_disk_bytes.is_some());
}

#[test]
fn a_count_that_differs_is_a_warning_that_says_how() {
    let yesterday = today().plus(-1);
    let script = vec![reported(yesterday, "differs", &["2 files less", "look"])];
    let (mut client, _server) = client_of_yesterday(script);
    client.start();
    let line = client.daemon().wait_for("reported ");
    assert!(line.contains(" WARN"), "{line}");
    assert!(line.ends_with("count DIFFERS: 1 file, 10 B; 2 files less; look"), "{line}");
}

/// The one line that the log has of a report that was not taken, and its level.
#[track_caller]
fn check_not_taken(step: Step, level: &str, expected: &[&str]) {
    let second = reported(today().plus(-1), "agrees", &[]);
    let (mut client, server) = client_of_yesterday(vec![step, second]);
    client.start();
    let line = client.daemon().wait_for("report");
    assert!(line.contains(level), "{line}");
    for part in expected {
        assert!(line.contains(part), "{part:?} in {line}");
    }
    assert!(client.stop().success());
    assert_eq!(client.log().lines().filter(|line| line.contains("report")).count(), 1);
    assert_eq!(server.asked().len(), 1, "it is not tried again at once");
}

#[test]
fn each_way_not_to_take_a_report_is_one_line_in_the_log() {
    let later = "sent again and again, with pauses: ";
    let tomorrow = "no report is sent before tomorrow: the server answers ";
    for (step, level, expected) in [
        (refused(503, &["retry-after: 7"], "unavailable"), " WARN", [later, "503 unavailable"]),
        (refused(500, &[], "internal"), " WARN", [later, "500 internal: what it says"]),
        (refused(401, &[], "unauthorized"), " WARN", [tomorrow, "hint: compare server.api_key"]),
        (refused(404, &[], "not_found"), " INFO", [tomorrow, "hint: that server keeps no reports"]),
        (
            Step::Answer(answer(405, &[], "<html>")),
            " INFO",
            [tomorrow, "405 without an error code"],
        ),
        (refused(400, &[], "bad_request"), " WARN", ["again before tomorrow: ", "400 bad_request"]),
        (Step::Answer(answer(200, &[], "hello")), " WARN", [later, "not what was asked for"]),
        (reported(today(), "agrees", &[]), " WARN", [later, "it confirms "]),
        (Step::Hang, " WARN", [later, "no answer from "]),
    ] {
        check_not_taken(step, level, &expected);
    }
}

#[test]
fn a_server_that_says_nothing_does_not_hold_up_the_end() {
    let (mut client, server) = client_of_yesterday(vec![Step::Stall(String::new())]);
    client.start();
    // The report is under way, or not yet: both must end.
    assert!(client.stop().success());
    drop(server);
    assert!(!client.log().contains(" WARN"), "{}", client.log());
}

#[test]
fn what_would_be_sent_is_shown_without_a_client_and_nothing_is_made() {
    let mut client = Client::new();
    client.url = format!("http://127.0.0.1:{}", free_port());
    let Outcome { code, stdout, stderr } = run(&client, &[]);
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    let database = client.database.display();
    let expected = format!(
        "error: there is no database at \"{database}\" yet; hint: the client makes it when it starts\n"
    );
    assert_eq!(stderr, expected);
    assert!(!client.database.exists());

    let (client, _server) = client_of_yesterday(vec![]);
    let Outcome { code, stdout, stderr } = run(&client, &["--json"]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    let report: Report = serde_json::from_str(&stdout).unwrap();
    assert_eq!((report.date, report.files, report.watches.files), (today(), 0, 1));
    assert_eq!((report.uptime_seconds, report.watches.directories), (0, None));
    let Outcome { code, stdout, .. } = run(&client, &[]);
    assert_eq!(code, Some(0));
    let first = format!("report    {}, as of now; s3up report --now sends it\n", today());
    assert!(stdout.starts_with(&first), "{stdout}");
}

#[test]
fn without_a_client_the_command_sends_todays_report_itself() {
    let (client, server) = client_of_yesterday(vec![
        reported(today(), "explained", &["a file was sent at midnight"]),
        reported(today(), "differs", &["\u{1b}[2J"]),
        refused(401, &[], "unauthorized"),
    ]);
    let Outcome { code, stdout, stderr } = run(&client, &["--now"]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""), "{stdout}");
    let last = "server    its own count is 1 file, 10 B, as can be when all is well; a file was sent \
                at midnight\n";
    assert!(stdout.ends_with(last), "{stdout}");
    let Outcome { code, stdout, .. } = run(&client, &["--now", "--json"]);
    assert_eq!(code, Some(3), "somebody should look");
    let told: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(told["answer"]["check"]["remarks"], json!(["\\u{1b}[2J"]));
    assert_eq!(told["report"]["date"], json!(today()));
    let Outcome { code, stdout, stderr } = run(&client, &["--now"]);
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    assert_eq!(
        stderr,
        "error: the report was not taken: the server answers 401 unauthorized: what it says; hint: \
         compare server.api_key with the server's clients\n"
    );
    assert!(server.asked().iter().all(|asked| report_in(asked).date == today()));
}

#[test]
fn a_running_client_sends_it_with_what_only_it_knows() {
    let server = ScriptedServer::start(vec![
        reported(today(), "agrees", &[]),
        refused(503, &["retry-after: 3600"], "unavailable"),
    ]);
    let mut client = Client::new();
    client.url = server.endpoint();
    client.start();
    client.wait_for_watches(1);
    let Outcome { code, stdout, stderr } = run(&client, &["--now", "--json"]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""), "{stdout}");
    let Outcome { code, stderr, .. } = run(&client, &["--now"]);
    assert_eq!(code, Some(1));
    let expected =
        "error: the report was not taken: the server answers 503 unavailable: what it says\n";
    assert_eq!(stderr, expected);
    let told: Value = serde_json::from_str(&stdout).unwrap();
    let report = report_in(&server.asked()[0]);
    assert_eq!(told["report"], serde_json::to_value(&report).unwrap(), "it shows what was sent");
    assert_eq!(report.watches.directories, Some(1));
    let Some(Scan { files: 0, ended_at, .. }) = report.last_scan else { panic!("{report:?}") };
    assert!(ended_at > 0);
    client.assert_nothing_to_complain();
    client.stop();
}

#[test]
fn a_server_that_is_not_there_is_named() {
    let mut client = Client::new();
    client.url = format!("http://127.0.0.1:{}", free_port());
    client.start();
    let Outcome { code, stderr, .. } = run(&client, &["--now"]);
    assert_eq!(code, Some(1));
    let expected = format!("error: the report was not taken: no answer from {}: ", client.url);
    assert!(stderr.starts_with(&expected) && stderr.contains("hint: is s3up-server"), "{stderr}");
}

#[test]
fn reports_are_in_no_uploads_way_whether_the_server_keeps_any_or_not() {
    let mut pair = Pair::new(Kind::Directory);
    let database = Database::open(&pair.client.database).unwrap();
    database.live_on(today().plus(-1)).unwrap();
    drop(database);
    pair.client.start();
    pair.write("a", b"a");
    pair.assert_all_arrive();
    let line = pair.client.daemon().wait_for("report");
    assert!(
        line.contains("no report is sent before tomorrow") || line.contains("reported"),
        "{line}"
    );
}
