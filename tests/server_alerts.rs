//! A client falls silent, and somebody is told: by a real command, and by a real HTTP server.

use crate::programs;
use crate::server_activity::upload;
use crate::support::api::{Part, Request};
use crate::support::bucket::Kind;
use crate::support::certificates::Authority;
use crate::support::daemon::SERVER;
use crate::support::scripted_server::{ScriptedServer, Step};
use crate::support::server::{EU_KEY, Server, WEB_KEY, free_port};
use crate::support::tls_front::TlsFront;
use crate::support::waiting::{DEADLINE, eventually};
use rusqlite::{Connection, params};
use s3up::clock;
use s3up::config::Outside;
use s3up::server::activity::Activity;
use s3up::server::alerts::message::Message;
use s3up::server::alerts::{Alerts, command, ways};
use s3up::server::clients::Clients;
use s3up::server::config::{self, AlertCommand, Config, OnSilent};
use s3up::server::store::s3::Environment;
use s3up::threads::{StopSource, Supervisor, shutdown_deadline};
use s3up::wire::Day;
use s3up::wire::report::Report;
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
const TOKEN: &str = "T0K3N-in-the-address";

/// A program of these lines in the folder.
fn script(folder: &Path, lines: &str) -> PathBuf {
    let file = folder.join("tell");
    fs::write(&file, format!("#!/bin/sh\n{lines}\n")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    file
}

/// What becomes of a message that a program of these lines gets.
fn tell(lines: &str) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    let command = AlertCommand { program: script(folder.path(), lines), arguments: vec![] };
    let stop = StopSource::default();
    let told = command::run(&command, &Message::test(0), &stop.stop());
    told.map_err(|error| error.to_string())
}

#[test]
fn a_command_succeeds_with_exit_code_0_alone_and_else_its_last_line_is_kept() {
    assert_eq!(tell("echo all is well"), Ok(()));
    for (lines, problem) in [
        ("exit 7", "it ended with exit code 7; it wrote nothing"),
        ("echo one; echo two >&2; echo; exit 1", "it ended with exit code 1; its last line: two"),
        (
            "printf 'no \\033[31mhost\\n'; exit 1",
            "it ended with exit code 1; its last line: no \\u{1b}[31mhost",
        ),
        ("kill -TERM $$", "signal 15 ended it; it wrote nothing"),
    ] {
        assert_eq!(tell(lines), Err(problem.to_owned()), "{lines}");
    }
    let nobody = AlertCommand { program: "/does/not/exist".into(), arguments: vec![] };
    let told = command::run(&nobody, &Message::test(0), &StopSource::default().stop());
    assert!(told.unwrap_err().to_string().starts_with("it cannot be run: No such file"));
}

#[test]
fn a_command_that_writes_without_end_is_killed_and_one_that_writes_much_is_not() {
    let problem = tell("exec yes 'out and out'").unwrap_err();
    let expected = "it was killed: it wrote more than 1048576 bytes; its last line: ";
    assert!(problem.starts_with(expected), "{problem}");
    assert_eq!(tell("head -c 900000 /dev/zero | tr '\\0' 'x'"), Ok(()));
}

#[test]
fn what_a_command_leaves_running_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    // It holds the output, as a mailer that delivers in the background does.
    let pid = folder.path().join("pid");
    let lines = format!("sleep 600 & echo $! > {}", pid.display());
    assert_eq!(tell(&lines), Ok(()));
    let pid = fs::read_to_string(pid).unwrap();
    let alive = end_process(pid.trim());
    assert!(alive, "it was left to itself");
}

/// Ends a process that a script left; `false` if it is not there.
fn end_process(pid: &str) -> bool {
    std::process::Command::new("kill").arg(pid).status().unwrap().success()
}

#[test]
fn a_command_that_hangs_is_killed_with_all_it_began_when_the_server_ends() {
    let folder = tempfile::tempdir().unwrap();
    let pid = folder.path().join("pid");
    let lines = format!("sleep 600 & echo $! > {}; echo waiting; wait", pid.display());
    let mut stop = StopSource::default();
    stop.raise();
    let command = AlertCommand { program: script(folder.path(), &lines), arguments: vec![] };
    let told = command::run(&command, &Message::test(0), &stop.stop());
    assert_eq!(told.unwrap_err().to_string(), "it was killed: the server is ending");
    let pid = fs::read_to_string(pid).unwrap();
    eventually(DEADLINE, "its child is gone", || gone(pid.trim()).then_some(()));
}

/// Whether a process has ended, collected or not.
fn gone(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.map_or(true, |stat| stat.contains(") Z "))
}

#[test]
fn a_command_gets_the_message_and_nothing_of_the_servers_environment() {
    let mut server = Server::new(Kind::S3);
    let (seen, document) = (server.folder().join("seen"), server.folder().join("document"));
    let lines = format!(
        "env > {}.new; cat > {}; echo \"$@\" >> {0}.new; pwd >> {0}.new; mv {0}.new {0}",
        seen.display(),
        document.display()
    );
    let tell = script(&server.folder(), &lines);
    server.environment.push(("A_SECRET_OF_THE_SERVER", "never-to-be-seen"));
    server.environment.push(("TZ", "UTC"));
    server.sections +=
        &format!("reports:\n  on_silent:\n    command: [{tell:?}, one, 'two words', '$HOME']\n");
    let names: Vec<&str> = server.environment.iter().map(|(name, _)| *name).collect();
    assert!(names.contains(&"S3_SECRET_ACCESS_KEY"), "{names:?}");
    told_before(&server, &["command"], "web", "silent");
    server.start();
    assert_eq!(upload(&server, WEB_KEY, "a", b"x").status, 200);
    server
        .daemon()
        .wait_for("alert by command: web is healthy again: an upload or a report arrived");

    let seen = fs::read_to_string(seen).unwrap();
    let environment = fs::read(format!("/proc/{}/environ", server.daemon().pid())).unwrap();
    let environment = String::from_utf8_lossy(&environment).into_owned();
    let allowed = ["PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ"];
    for variable in environment.split('\0').filter(|variable| !variable.is_empty()) {
        let (name, value) = variable.split_once('=').unwrap();
        assert_eq!(
            seen.lines().any(|line| line == variable),
            allowed.contains(&name),
            "{name}, of which the server knows"
        );
        if name.contains("S3_") || name.contains("SECRET") {
            assert!(!seen.contains(value), "{name}");
        }
    }
    assert!(!seen.contains("never-to-be-seen") && environment.contains("never-to-be-seen"));
    for line in ["S3UP_CLIENT=web", "S3UP_STATE=healthy", "S3UP_PREVIOUS_STATE=silent", "/"] {
        assert!(seen.lines().any(|seen| seen == line), "{line} in\n{seen}");
    }
    assert!(seen.contains("\none two words $HOME\n"), "no shell: {seen}");
    let document: Value = serde_json::from_slice(&fs::read(document).unwrap()).unwrap();
    assert_eq!(document["client"], "web");
    let success = document["last_success"].as_str().unwrap();
    assert!(seen.contains(&format!("S3UP_LAST_SUCCESS={success}\n")), "{seen}");
}

/// Makes the server remember that this was told of a client, by these ways.
fn told_before(server: &Server, ways: &[&str], client: &str, state: &str) {
    let mut supervisor = Supervisor::new().unwrap();
    let mut stop = StopSource::default();
    // Who makes the database is the one who knows how.
    let activity = Activity::start(server.database(), 90, &mut supervisor, stop.stop()).unwrap();
    let told = |way: &&str| s3up::server::activity::Told {
        way: (*way).to_owned(),
        client: client.to_owned(),
        since: 1,
        told: state.to_owned(),
        told_at: Some(1),
    };
    activity.keep_told(ways.iter().map(told).collect()).unwrap();
    stop.raise();
    assert!(supervisor.join(shutdown_deadline()));
}

fn remembered(database: &Path, way: &str, client: &str) -> Option<String> {
    let connection = Connection::open(database).unwrap();
    let told = connection.query_row(
        "SELECT told FROM alerts WHERE way = ?1 AND client = ?2",
        params![way, client],
        |row| row.get(0),
    );
    told.ok()
}

#[test]
fn a_client_that_is_back_is_told_at_once_by_both_ways_and_not_again_after_a_restart() {
    let receiver = ScriptedServer::start(vec![Step::Last(OK.to_owned()); 2]);
    let mut server = Server::new(Kind::Directory);
    let heard = server.folder().join("heard");
    let tell = script(&server.folder(), &format!("echo $S3UP_CLIENT >> {}", heard.display()));
    server.sections += &format!(
        "reports:\n  on_silent:\n    command: {tell:?}\n    webhook: '{}/{TOKEN}?a={TOKEN}'\n",
        receiver.endpoint()
    );
    told_before(&server, &["command", "webhook"], "web", "silent");
    server.start();
    // Nothing that it was waited for.
    assert_eq!(upload(&server, EU_KEY, "a", b"x").status, 200);
    let failing =
        [Part::Field("path", "d"), Part::Field("sha256", &"0".repeat(64)), Part::File(b"x")];
    Request::upload(&failing).key(WEB_KEY).send(server.listening_port());
    assert_eq!(upload(&server, WEB_KEY, "a", b"x").status, 200);
    server.daemon().wait_for("alert by command: web is healthy again");
    server.daemon().wait_for("alert by webhook: web is healthy again");
    eventually(DEADLINE, "it is kept", || {
        let told = |way| remembered(&server.database(), way, "web");
        (told("command")? == "healthy" && told("webhook")? == "healthy").then_some(())
    });
    assert_eq!(server.stop().code(), Some(0));
    assert!(!server.log().contains(TOKEN), "{}", server.log());
    server.start();
    assert_eq!(upload(&server, WEB_KEY, "b", b"x").status, 200);
    assert_eq!(server.stop().code(), Some(0));
    assert_eq!(server.log().matches("alert by ").count(), 2, "{}", server.log());
    assert_eq!(fs::read_to_string(heard).unwrap(), "web\n");

    // The second request of the script.
    let last = alert_test(&server);
    assert_eq!((last.0, last.1.as_str()), (Some(0), "command   ok\nwebhook   ok\n"));
    let asked = receiver.asked();
    assert_eq!(asked.len(), 2);
    assert_eq!(asked[0].line, format!("POST /{TOKEN}?a={TOKEN}"));
    assert_eq!(asked[0].header("content-type"), Some("application/json"));
    let document: Value = serde_json::from_slice(&asked[0].body).unwrap();
    assert_eq!((&document["client"], &document["state"]), (&"web".into(), &"healthy".into()));
    assert!(document["text"].as_str().unwrap().starts_with("web is healthy again"), "{document}");
    let document: Value = serde_json::from_slice(&asked[1].body).unwrap();
    assert_eq!((&document["client"], &document["state"]), (&"".into(), &"test".into()));
}

/// What `s3up-server alert --test` ends with, and prints.
fn alert_test(server: &Server) -> (Option<i32>, String) {
    let file = server.configure();
    let arguments = ["alert", "--test", "-c", file.to_str().unwrap()];
    let outcome = programs::run(SERVER, &arguments);
    assert!(!outcome.stdout.contains(TOKEN) && !outcome.stderr.contains(TOKEN));
    (outcome.code, outcome.stdout + &outcome.stderr)
}

#[test]
fn a_test_and_a_check_say_what_is_wrong_without_the_address() {
    let mut server = Server::new(Kind::Directory);
    let sections = server.sections.clone();
    let (code, text) = alert_test(&server);
    assert_eq!(code, Some(1));
    assert!(text.contains("(key reports.on_silent)"), "{text}");

    let address = format!("http://127.0.0.1:{}", free_port());
    server.sections = format!(
        "{sections}reports:\n  on_silent: {{command: [/bin/false, a], webhook: '{address}/{TOKEN}'}}\n"
    );
    let (code, text) = alert_test(&server);
    let expected = format!(
        "command   FAILED: /bin/false: it ended with exit code 1; it wrote nothing\n\
         webhook   FAILED: {address}: Connection refused (os error 111)\n"
    );
    assert_eq!((code, text), (Some(1), expected));
    let check = |server: &Server| {
        let file = server.configure();
        let outcome = programs::run(SERVER, &["check", "-c", file.to_str().unwrap()]);
        assert!(!outcome.stdout.contains(TOKEN), "{}", outcome.stdout);
        (outcome.code, outcome.stdout)
    };
    let (code, text) = check(&server);
    assert_eq!(code, Some(0), "{text}");
    let expected = format!(
        "alerts         ok: runs /bin/false with 1 argument\nalerts         ok: posts to {address}\n"
    );
    assert!(text.contains(&expected), "{text}");

    server.sections = format!(
        "{sections}reports:\n  on_silent: {{command: /bin/no, webhook: 'https://a.example.com/{TOKEN}', \
         ca_file: /no.pem}}\n"
    );
    let (code, text) = check(&server);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("alerts         FAILED: /bin/no: No such file"), "{text}");
    let expected =
        "alerts         FAILED: https://a.example.com: reports.on_silent.ca_file /no.pem: cannot";
    assert!(text.contains(expected), "{text}");
    let outcome = programs::run(SERVER, &["alert", "-c", "x"]);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(2), ""));
    assert!(outcome.stderr.contains("s3up-server alert --test -c"), "{}", outcome.stderr);
}

fn config(on_silent: &str) -> Config {
    let text = format!(
        "server: {{}}\ndirectory: {{path: /x}}\ndatabase: {{path: /d}}\nclients: [{{name: web, api_key: \
         \"{WEB_KEY}\"}}]\nreports: {{late_after_hours: 26, on_silent: {on_silent}}}\n"
    );
    config::parse("server.yaml", &text, Outside::NOTHING).unwrap()
}

#[test]
fn a_webhook_over_tls_is_known_by_the_named_ca_and_by_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path(), "ca");
    let other = Authority::new(folder.path(), "other");
    let receiver = ScriptedServer::start(vec![Step::Last(OK.to_owned())]);
    let identity = authority.issue(folder.path(), &["localhost"]);
    let front = TlsFront::start(receiver.port(), &identity);
    let post = |ca_file: Option<&Path>| {
        let ca_file = ca_file.map(|path| format!(", ca_file: {path:?}")).unwrap_or_default();
        let config = config(&format!("{{webhook: '{}/{TOKEN}'{ca_file}}}", front.url("localhost")));
        let ways = ways(&config.on_silent, &Environment::new(|_| None));
        ways[0].tell(&Message::test(0), &StopSource::default().stop())
    };
    for ca_file in [None, Some(&*other.cert)] {
        let problem = post(ca_file).unwrap_err();
        assert!(problem.contains("certificate") && !problem.contains(TOKEN), "{problem}");
    }
    assert_eq!(post(Some(&authority.cert)), Ok(()));
    assert_eq!(receiver.asked().len(), 1);
}

#[test]
fn a_webhook_goes_by_the_proxy_that_the_environment_names_and_no_error_shows_its_address() {
    let config = config(&format!("{{webhook: 'https://chat.example.com/{TOKEN}'}}"));
    let port = free_port();
    let environment = Environment::new(move |name| {
        (name == "HTTPS_PROXY").then(|| format!("http://u:hidden@127.0.0.1:{port}"))
    });
    let problem = ways(&config.on_silent, &environment)[0]
        .tell(&Message::test(0), &StopSource::default().stop())
        .unwrap_err();
    // Nobody listens there; the name would not even be known.
    assert!(problem.starts_with("https://chat.example.com: Connection refused"), "{problem}");
    assert!(!problem.contains(TOKEN) && !problem.contains("hidden"), "{problem}");
}

#[test]
fn what_a_receiver_refuses_is_sent_again_later_and_nothing_else_is_followed_or_repeated() {
    let answer = |status: &str, more: &str| {
        Step::Last(format!("HTTP/1.1 {status}\r\n{more}Content-Length: 0\r\n\r\n"))
    };
    let receiver = ScriptedServer::start(vec![
        answer("500 Broken", ""),
        answer("302 Found", "Location: http://127.0.0.1:1/elsewhere\r\n"),
        Step::Hang,
        answer("204 No Content", ""),
        answer("200 OK", ""),
    ]);
    let config = config(&format!("{{webhook: '{}/{TOKEN}'}}", receiver.endpoint()));
    let folder = tempfile::tempdir().unwrap();
    let mut supervisor = Supervisor::new().unwrap();
    let mut recording = StopSource::default();
    let path = folder.path().join("activity.db");
    let activity = Activity::start(path.clone(), 90, &mut supervisor, recording.stop()).unwrap();
    let clients = Arc::new(Clients::new(config.clients.clone(), vec![]));
    let begun = clock::unix_seconds();
    let not_ending = StopSource::default();
    let stop = not_ending.stop();
    let make = |on_silent: &OnSilent| {
        let ways = ways(on_silent, &Environment::new(|_| None));
        Alerts::new(activity.clone(), Arc::clone(&clients), config.reports, ways, begun)
    };
    let mut alerts = make(&config.on_silent);
    let web = &config.clients[0].name;
    activity.report(web, Report::of(Day::of(begun), 0), begun).unwrap();
    let late = begun + 26 * 3600;
    let moments = [
        (begun, begun + 3600),
        (late - 1, late),
        // 500, a redirect, no answer: one minute, two, four.
        (late, late + 60),
        (late + 59, late + 60),
        (late + 60, late + 180),
        (late + 180, late + 420),
    ];
    for (now, next) in moments {
        let again = alerts.look(now, &stop);
        assert_eq!(again, next, "{} s", now - begun);
    }
    assert_eq!(remembered(&path, "webhook", "web").as_deref(), Some("healthy"));
    // Who has just come to be waited for is looked at once more.
    assert_eq!(alerts.look(late + 420, &stop), late + 420);
    assert_eq!(alerts.look(late + 421, &stop), late + 421 + 3600);
    assert_eq!(remembered(&path, "webhook", "web").as_deref(), Some("late"));
    // Another process, to which the client comes back.
    let mut alerts = make(&config.on_silent);
    alerts.look(late + 500, &stop);
    activity.report(web, Report::of(Day::of(begun), 0), late + 600).unwrap();
    activity.awaited().unwrap().news().recv_timeout(DEADLINE).unwrap();
    alerts.look(late + 600, &stop);
    recording.raise();
    assert!(supervisor.join(shutdown_deadline()));
    let states = receiver.asked().into_iter().map(|asked| {
        let document: Value = serde_json::from_slice(&asked.body).unwrap();
        document["state"].as_str().unwrap().to_owned()
    });
    assert_eq!(states.collect::<Vec<_>>(), ["late", "late", "late", "late", "healthy"]);
}
