//! The client's commands beside the daemon: `status`, `check`, `scan`; what they print, and the code
//! they end with.

use crate::programs::Outcome;
use crate::support::bucket::Kind;
use crate::support::client::Client;
use crate::support::daemon::{CLIENT, Daemon, file_of};
use crate::support::pair::Pair;
use crate::support::scripted_server::{Asked, ScriptedServer, Step, answer};
use crate::support::server::{EU_KEY, WEB_KEY, free_port};
use crate::support::waiting::{DEADLINE, eventually};
use serde_json::Value;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

/// Runs a command with a client's configuration to its end.
#[track_caller]
pub(crate) fn run(client: &Client, words: &[&str]) -> Outcome {
    let file = client.configure();
    let arguments: Vec<&OsStr> =
        words.iter().map(OsStr::new).chain([OsStr::new("-c"), file.as_os_str()]).collect();
    let mut daemon = Daemon::start_within(&client.wrapper, CLIENT, &arguments, &[]);
    let code = daemon.ended().code();
    let outcome = Outcome { code, stdout: daemon.stdout(), stderr: daemon.log() };
    for text in [&outcome.stdout, &outcome.stderr] {
        assert!(!text.contains(WEB_KEY) && !text.contains(EU_KEY), "{text}");
    }
    outcome
}

/// What a command prints as JSON, and its code.
#[track_caller]
pub(crate) fn json(client: &Client, words: &[&str]) -> (Option<i32>, Value) {
    let Outcome { code, stdout, stderr } = run(client, words);
    assert_eq!(stderr, "", "{stdout}");
    (code, serde_json::from_str(&stdout).unwrap())
}

/// Waits until a running client has nothing in its queue, and returns what `status` says then.
#[track_caller]
pub(crate) fn wait_until_idle(client: &Client) -> (Option<i32>, Value) {
    eventually(DEADLINE, "the queue is empty", || {
        let (code, report) = json(client, &["status", "--json"]);
        let queue = &report["live"]["queue"];
        (queue["in_hand"] == 0 && queue["resting"] == 0).then_some((code, report))
    })
}

/// The line of a step or subject, without its name.
#[track_caller]
fn line<'t>(text: &'t str, name: &str) -> &'t str {
    let found = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    found.unwrap_or_else(|| panic!("no line for {name} in\n{text}")).trim_start()
}

pub(crate) fn unreachable_client() -> Client {
    let mut client = Client::new();
    client.url = format!("http://127.0.0.1:{}", free_port());
    client
}

#[test]
fn without_a_client_the_status_is_read_from_the_database_and_says_so_by_code_1() {
    let mut pair = Pair::new(Kind::Directory);
    let Outcome { code, stdout, stderr } = run(&pair.client, &["status"]);
    assert_eq!((code, stderr.as_str()), (Some(1), ""), "{stdout}");
    assert_eq!(line(&stdout, "client"), "not running");
    assert!(!pair.client.database.exists(), "nothing is made by asking");
    let path = pair.write("a", b"four");
    pair.client.start();
    pair.client.wait_until_recorded(&path);
    pair.client.stop();
    let (code, report) = json(&pair.client, &["status", "--json"]);
    assert_eq!(code, Some(1));
    assert_eq!(report["live"], Value::Null);
    assert_eq!((&report["files"], &report["bytes"]), (&1.into(), &4.into()));
    assert_eq!(report["last_uploads"][0]["path"], path.to_str().unwrap());
    assert_eq!(report["problems"], serde_json::json!(["no client is running"]));
}

#[test]
fn a_client_that_was_killed_is_not_running_and_the_next_one_is_asked() {
    let mut pair = Pair::started(Kind::Directory);
    assert_eq!(run(&pair.client, &["status"]).code, Some(0));
    pair.client.kill();
    assert!(PathBuf::from(format!("{}.sock", pair.client.database.display())).exists());
    let Outcome { code, stdout, .. } = run(&pair.client, &["status"]);
    assert_eq!((code, line(&stdout, "client")), (Some(1), "not running"));
    pair.client.start();
    assert_eq!(run(&pair.client, &["status"]).code, Some(0));
}

#[test]
fn a_running_client_tells_what_it_did_and_is_well() {
    let pair = Pair::started(Kind::Directory);
    let path = pair.write("deep/ä b", b"12345");
    pair.client.wait_until_recorded(&path);
    let (code, report) = wait_until_idle(&pair.client);
    assert_eq!(code, Some(0), "{report:#}");
    assert_eq!((&report["healthy"], &report["problems"]), (&true.into(), &Value::Array(vec![])));
    let live = &report["live"];
    assert_eq!(live["pid"], pair.client.daemon().pid());
    assert_eq!(live["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(live["folders_watched"], 2, "the folder and the one in it");
    assert_eq!((&live["uploads"]["files"], &live["uploads"]["bytes"]), (&1.into(), &5.into()));
    assert_eq!(live["server"]["state"], "answers");
    assert_eq!(live["last_scan"]["cause"], "start");
    assert_eq!(report["watches"][0]["watched"], true);
    let Outcome { code, stdout, stderr } = run(&pair.client, &["status"]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    assert_eq!(line(&stdout, "verdict"), "all is well");
    assert!(stdout.contains("deep/ä b\", 5 B"), "{stdout}");
}

#[test]
fn a_file_that_is_not_backed_up_is_told_with_its_reason_and_code_3() {
    let mut pair = Pair::started(Kind::Directory);
    let odd = pair.client.path(OsStr::from_bytes(b"odd\xff\x1b[2J"));
    std::fs::write(&odd, "x").unwrap();
    pair.client.wait_until_parked(&odd);
    let Outcome { code, stdout, .. } = run(&pair.client, &["status"]);
    assert_eq!(code, Some(3), "{stdout}");
    assert!(stdout.contains("odd\\xFF\\u{1b}[2J\"") && stdout.contains("not UTF-8"), "{stdout}");
    assert!(!stdout.contains('\u{1b}'), "{stdout:?}");
    assert_eq!(line(&stdout, "verdict"), "NOT WELL: 1 file is not backed up");
    pair.client.stop();
    let (code, report) = json(&pair.client, &["status", "--json"]);
    assert_eq!(code, Some(1), "that no client runs comes first");
    assert_eq!(report["parked_count"], 1);
    let hex = report["parked"][0]["path_hex"].as_str().unwrap().to_owned();
    assert!(hex.ends_with("6f6464ff1b5b324a"), "{hex}");
}

#[test]
fn a_server_that_does_not_answer_is_told_since_when_and_why() {
    let mut client = unreachable_client();
    client.start();
    std::fs::write(client.path("a"), "a").unwrap();
    client.daemon().wait_for("uploads pause");
    let (code, report) = json(&client, &["status", "--json"]);
    assert_eq!(code, Some(3), "{report:#}");
    let server = &report["live"]["server"];
    assert_eq!(server["state"], "fails");
    assert!(server["cause"].as_str().unwrap().contains("Connection refused"), "{server}");
    assert!(report["live"]["queue"]["oldest_seconds"].is_u64(), "{report:#}");
}

#[test]
fn a_folder_that_is_gone_is_told_as_not_watched() {
    let mut pair = Pair::new(Kind::Directory);
    let gone = pair.client.watch("gone", "gone/");
    std::fs::remove_dir(&gone).unwrap();
    pair.client.start();
    let (code, report) = json(&pair.client, &["status", "--json"]);
    assert_eq!(code, Some(3));
    assert_eq!(
        (&report["watches"][0]["watched"], &report["watches"][1]["watched"]),
        (&true.into(), &false.into())
    );
    assert!(
        report["problems"][0].as_str().unwrap().contains("gone\" is not watched"),
        "{report:#}"
    );
}

#[test]
fn the_socket_is_for_the_clients_user_and_goes_with_the_client() {
    let mut client = unreachable_client();
    client.start();
    let socket = PathBuf::from(format!("{}.sock", client.database.display()));
    let mode = std::fs::metadata(&socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    client.stop();
    assert!(!socket.exists());
}

#[test]
fn a_database_with_a_path_that_no_socket_can_have_is_asked_nevertheless() {
    let mut client = unreachable_client();
    let folder = client.beside(&"x".repeat(120));
    std::fs::create_dir(&folder).unwrap();
    client.database = folder.join("client.db");
    client.start();
    assert_eq!(run(&client, &["status"]).code, Some(0));
}

#[test]
fn a_sound_client_passes_its_check_before_its_first_run_and_while_it_runs() {
    let mut pair = Pair::new(Kind::Directory);
    let Outcome { code, stdout, stderr } = run(&pair.client, &["check"]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""), "{stdout}");
    assert!(line(&stdout, "configuration").ends_with("client.yaml, 1 watched folder"));
    assert!(line(&stdout, "folder").ends_with("/data\", 1 folder"), "{stdout}");
    assert!(line(&stdout, "inotify").starts_with("ok: watches needed: 1; "), "{stdout}");
    assert!(line(&stdout, "database").ends_with("made at the first start"), "{stdout}");
    assert!(line(&stdout, "server").contains("s3up-server 0."), "{stdout}");
    assert_eq!(line(&stdout, "key"), "ok: the server accepts it");
    assert!(!pair.client.database.exists(), "nothing is made by it");
    pair.client.start();
    let (code, document) = json(&pair.client, &["check", "--json"]);
    assert_eq!((code, &document["ok"]), (Some(0), &true.into()), "{document:#}");
    let steps = document["steps"].as_array().unwrap();
    let database = steps.iter().find(|step| step["name"] == "database").unwrap();
    let pid = format!("in use by the running client, pid {}", pair.client.daemon().pid());
    assert!(database["text"].as_str().unwrap().ends_with(&pid), "{database}");
}

/// A client whose check must fail in this step, with this in its line.
#[track_caller]
fn check_fails(client: &Client, step: &str, expected: &str) -> String {
    let Outcome { code, stdout, stderr } = run(client, &["check"]);
    assert_eq!((code, stderr.as_str()), (Some(1), ""), "{stdout}");
    let failed = line(&stdout, step);
    assert!(failed.starts_with("FAILED: ") && failed.contains(expected), "{stdout}");
    stdout
}

#[test]
fn a_key_that_the_server_does_not_know_fails_the_check_with_a_hint() {
    let mut pair = Pair::new(Kind::Directory);
    pair.client.api_key = "sk_test_that_nobody_has_0123456789abcdef".to_owned();
    let stdout = check_fails(&pair.client, "key", "the server answers 401 unauthorized");
    assert!(
        line(&stdout, "key").ends_with("hint: compare server.api_key with the server's clients")
    );
    assert!(line(&stdout, "server").starts_with("ok: "), "{stdout}");
    assert!(!stdout.contains("that_nobody_has"), "{stdout}");
}

#[test]
fn a_server_that_is_not_there_fails_the_check_and_the_key_stays_unknown() {
    let client = unreachable_client();
    let stdout =
        check_fails(&client, "server", "hint: is s3up-server running there, on this port?");
    assert_eq!(line(&stdout, "key"), "unknown: no s3up-server was reached");
}

#[test]
fn a_server_whose_name_nobody_knows_is_told_with_what_to_check() {
    let mut client = Client::new();
    client.url = "https://nobody.invalid".to_owned();
    let expected = "hint: check the name in server.url, and this machine's DNS";
    check_fails(&client, "server", expected);
}

#[test]
fn folder_and_database_that_cannot_be_used_fail_the_check_each_with_its_name() {
    let mut pair = Pair::new(Kind::Directory);
    let gone = pair.client.watch("gone", "gone/");
    std::fs::remove_dir(&gone).unwrap();
    pair.client.database = "/nowhere/at/all/client.db".into();
    pair.client.textfile = Some(pair.client.beside("s3up.prom"));
    let stdout = check_fails(&pair.client, "database", "\"/nowhere/at/all\": No such file");
    assert!(line(&stdout, "metrics").starts_with("ok: "), "{stdout}");
    pair.client.textfile = Some("/nowhere/at/all/s3up.prom".into());
    check_fails(&pair.client, "metrics", "\"/nowhere/at/all\": No such file");
    let folders: Vec<&str> = stdout.lines().filter(|line| line.starts_with("folder ")).collect();
    assert!(folders[0].contains(" ok: ") && folders[1].contains(&format!("FAILED: {gone:?}")));
    assert!(line(&stdout, "key").starts_with("ok: "), "the other steps go on: {stdout}");
}

#[test]
fn a_ca_file_that_is_none_fails_the_check_as_trust() {
    let mut client = unreachable_client();
    client.url = client.url.replace("http://", "https://");
    client.trust = "ca_file: /no/ca.pem".to_owned();
    check_fails(&client, "trust", "/no/ca.pem");
}

#[test]
fn a_scan_is_asked_for_of_the_running_client_and_of_no_other() {
    let mut client = unreachable_client();
    let Outcome { code, stderr, .. } = run(&client, &["scan"]);
    assert_eq!(code, Some(1));
    assert!(
        stderr.starts_with("error: no client is running with this database; hint: "),
        "{stderr}"
    );
    client.start();
    let Outcome { code, stdout, stderr } = run(&client, &["scan"]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""), "{stdout}");
    client.daemon().wait_for("scan (asked for)");
    let Outcome { code, stderr, .. } = run(&client, &["scan", "--json"]);
    assert_eq!(code, Some(2), "{stderr}");
}

#[test]
fn the_configuration_may_stand_before_a_command_and_is_needed() {
    let client = unreachable_client();
    let file = client.configure();
    let file = file.to_str().unwrap();
    for words in [&["-c", file, "status"][..], &["-c", file, "status", "-c", file]] {
        let Outcome { code, .. } = crate::programs::run(CLIENT, words);
        assert_eq!(code, Some(1), "{words:?}");
    }
    let two = ["-c", "/a.yaml", "status", "-c", "/b.yaml"];
    let Outcome { code, stderr, .. } = crate::programs::run(CLIENT, &two);
    let expected = "error: two configuration files are named, \"/a.yaml\" and \"/b.yaml\": name \
                    one by -c\n";
    assert_eq!((code, stderr.as_str()), (Some(2), expected));
    for command in ["status", "check", "scan"] {
        let Outcome { code, stdout, stderr } = crate::programs::run(CLIENT, &[command]);
        assert_eq!((code, stdout.as_str()), (Some(2), ""));
        let expected = format!("such as: s3up {command} -c /etc/s3up/client.yaml");
        assert!(stderr.contains(&expected), "{stderr}");
    }
}

/// What a command says and ends with whose standard output leads to `out`.
fn said_over(out: std::fs::File, client: &Client, words: &[&str]) -> (Option<i32>, String) {
    let mut command = std::process::Command::new(file_of(CLIENT));
    command.args(words).arg("-c").arg(client.configure()).stdout(out);
    let output = command.output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn what_cannot_be_written_is_one_line_and_nothing_if_the_reader_went_away() {
    let client = unreachable_client();
    std::fs::write(client.path("a"), "a").unwrap();
    for words in
        [&["check"][..], &["status"], &["status", "--json"], &["scan", "--dry-run"], &["--version"]]
    {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let expected = "error: cannot write to standard output: No space left on device (os error \
                        28)\n";
        assert_eq!(said_over(full, &client, words), (Some(1), expected.to_owned()), "{words:?}");
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let writer = std::os::fd::OwnedFd::from(writer).into();
        assert_eq!(said_over(writer, &client, words), (Some(1), String::new()), "{words:?}");
    }
}

#[test]
fn a_clock_that_is_hours_off_is_a_warning_and_no_failure() {
    let health = r#"{"status":"ok","version":"0.1.0"}"#;
    let date = "date: Sat, 01 Jan 2000 00:00:00 GMT";
    let server = ScriptedServer::start(vec![
        Step::Answer(answer(200, &[date], health)),
        Step::Last(answer(200, &[], r#"{"exists":false}"#)),
    ]);
    let mut client = Client::new();
    client.url = server.endpoint();
    let Outcome { code, stdout, .. } = run(&client, &["check"]);
    assert_eq!(code, Some(0), "{stdout}");
    let clock = line(&stdout, "clock");
    assert!(clock.starts_with("warning: this machine's clock is ") && clock.contains("ahead of"));
    let asked = server.asked();
    let with_key = |asked: &Asked| asked.header("authorization").is_some();
    let told: Vec<(&str, bool)> =
        asked.iter().map(|asked| (asked.line.as_str(), with_key(asked))).collect();
    let expected = [("GET /health", false), ("GET /exists?path=.s3up-check", true)];
    assert_eq!(told, expected);
}
