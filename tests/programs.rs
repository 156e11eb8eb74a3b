//! Both programs at the command line: what they print, and the code they end with.

use crate::support::bucket::Kind;
use crate::support::client::Client;
use crate::support::daemon::{CLIENT, Daemon, SERVER};
use crate::support::pair::Pair;
use crate::support::server::{Server, listening_port};
use argh::{ArgsInfo as _, CommandInfoWithArgs};
use s3up::completions::Shell;
use std::net::TcpListener;
use std::path::Path;
use tempfile::TempDir;

/// How a program that does not go on ended.
pub(crate) struct Outcome {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs a program to its end.
#[track_caller]
pub(crate) fn run(program: &'static str, arguments: &[&str]) -> Outcome {
    run_with(program, arguments, &[])
}

/// Runs a program to its end with these variables beside our own.
#[track_caller]
pub(crate) fn run_with(
    program: &'static str,
    arguments: &[&str],
    environment: &[(&str, &str)],
) -> Outcome {
    let mut daemon = Daemon::start(program, arguments, environment);
    let code = daemon.ended().code();
    Outcome { code, stdout: daemon.stdout(), stderr: daemon.log() }
}

/// Runs a program that must say only this and end with this code.
#[track_caller]
fn check(program: &'static str, arguments: &[&str], code: i32, stderr: &str) {
    let outcome = run(program, arguments);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(code), stderr), "{arguments:?}");
    assert_eq!(outcome.stdout, "", "{arguments:?}");
}

#[test]
fn the_version_is_one_line() {
    for (program, name) in [(CLIENT, "s3up"), (SERVER, "s3up-server")] {
        for argument in ["--version", "-V"] {
            let Outcome { code, stdout, stderr } = run(program, &[argument]);
            assert_eq!((code, stderr, stdout.lines().count()), (Some(0), String::new(), 1));
            let number = format!("{name} {}", s3up::version::NUMBER);
            // Another build than this one, which knows its commit, may be what is tried here.
            let commit = stdout.trim_end().strip_prefix(&number).expect("name and number");
            let is_commit = commit.starts_with(" (") && commit.ends_with(')');
            assert!(commit.is_empty() || is_commit, "{stdout}");
        }
    }
}

#[test]
fn help_names_every_argument_and_an_example() {
    for (program, arguments, expected) in [
        (CLIENT, &["--help"][..], &["--config", "--version", "s3up -c /etc/s3up/client.yaml"][..]),
        (SERVER, &["--help"], &["--config", "--version", "s3up-server keygen", "RUST_LOG"]),
        (SERVER, &["keygen", "--help"], &["api_key_sha256"]),
    ] {
        let Outcome { code, stdout, stderr } = run(program, arguments);
        assert_eq!((code, stderr.as_str()), (Some(0), ""));
        for part in expected {
            assert!(stdout.contains(part), "{part} in {stdout}");
        }
    }
}

#[test]
fn a_wrong_command_line_is_answered_with_what_is_wrong_and_code_2() {
    check(CLIENT, &[], 2, "error: no configuration file; such as: s3up -c /etc/s3up/client.yaml\n");
    check(
        SERVER,
        &[],
        2,
        "error: no configuration file; such as: s3up-server -c /etc/s3up/server.yaml\n",
    );
    check(
        CLIENT,
        &["--confg", "x"],
        2,
        "error: Unrecognized argument: --confg\nerror: for help: s3up --help\n",
    );
    check(
        SERVER,
        &["keymake"],
        2,
        "error: Unrecognized argument: keymake\nerror: for help: s3up-server --help\n",
    );
    let missing = "error: /nowhere/at/all.yaml: cannot read it: No such file or directory (os error \
                   2); hint: name a readable YAML file by -c\n";
    check(CLIENT, &["-c", "/nowhere/at/all.yaml"], 2, missing);
    check(SERVER, &["--config", "/nowhere/at/all.yaml"], 2, missing);
}

#[test]
fn keygen_makes_another_key_each_time_that_both_configurations_take() {
    let lines = |text: &str| -> [String; 2] {
        let lines = text.lines().map(|line| line.split('"').nth(1).unwrap().to_owned());
        lines.collect::<Vec<_>>().try_into().unwrap()
    };
    let Outcome { code, stdout, stderr } = run(SERVER, &["keygen"]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    let [key, digest] = lines(&stdout);
    assert_eq!(stdout, format!("api_key: \"{key}\"\napi_key_sha256: \"{digest}\"\n"));
    assert!(key.starts_with("sk_live_") && key.len() >= 32, "{key}");
    assert_ne!(lines(&run(SERVER, &["keygen"]).stdout)[0], key);

    let folder = TempDir::new().unwrap();
    let file = folder.path().join("server.yaml");
    let store = folder.path().join("store");
    let yaml = format!(
        "server:\n  port: 0\ndirectory:\n  path: {store:?}\nclients:\n  - name: web\n    \
         api_key_sha256: \"{digest}\"\n"
    );
    std::fs::write(&file, yaml).unwrap();
    let server = Daemon::start(SERVER, &[Path::new("-c"), &file], &[]);
    let mut client = Client::new();
    client.url = format!("http://127.0.0.1:{}", listening_port(&server));
    client.api_key = key;
    let path = client.path("a");
    std::fs::write(&path, "a").unwrap();
    client.start();
    client.wait_until_recorded(&path);
    assert_eq!(std::fs::read(store.join("web/uploads/a")).unwrap(), b"a");
}

#[test]
fn a_database_that_cannot_be_made_ends_the_client_with_a_hint() {
    for database in ["/proc/client.db", "/nowhere/at/all/client.db"] {
        let mut client = Client::new();
        client.url = "http://127.0.0.1:1".to_owned();
        client.database = database.into();
        let line = last_words_of(&mut client);
        assert!(line.starts_with(&format!("error: cannot open database {database}: ")), "{line}");
        assert!(line.contains("hint: its folder must exist") && line.contains("database.path"));
    }
}

#[test]
fn a_database_that_is_none_is_left_alone_and_ends_the_client_with_a_hint() {
    let mut client = Client::new();
    client.url = "http://127.0.0.1:1".to_owned();
    let letter = "Dear diary, ".repeat(1000);
    std::fs::write(&client.database, &letter).unwrap();
    let line = last_words_of(&mut client);
    assert!(line.contains(" database ") && line.contains("hint: move it aside"), "{line}");
    assert_eq!(std::fs::read_to_string(&client.database).unwrap(), letter);
}

#[test]
fn a_client_without_any_readable_folder_ends_with_a_hint() {
    let mut client = Client::new();
    client.url = "http://127.0.0.1:1".to_owned();
    let folder = client.watches[0].folder.clone();
    std::fs::remove_dir(&folder).unwrap();
    let line = last_words_of(&mut client);
    assert!(line.starts_with("error: cannot read any watched folder"), "{line}");
    assert!(line.contains(&format!("{folder:?}: No such file")), "{line}");
    assert!(line.contains("hint: it must exist") && line.contains("watches[].local_path"));
}

/// Starts a client that cannot go on, and returns its only line.
#[track_caller]
fn last_words_of(client: &mut Client) -> String {
    client.launch();
    assert_eq!(client.ended().code(), Some(1));
    let log = client.log();
    assert_eq!(log.lines().count(), 1, "one line");
    log
}

#[test]
fn a_client_with_one_folder_of_two_goes_on_and_says_which_is_missing() {
    let mut pair = Pair::new(Kind::Directory);
    let gone = pair.client.watch("gone", "gone/");
    std::fs::remove_dir(&gone).unwrap();
    pair.client.start();
    let daemon = pair.client.daemon();
    daemon.wait_for(&format!("cannot watch all of {gone:?}"));
    let line = daemon.wait_for(&format!("not backed up: watched folder {gone:?}"));
    assert!(line.contains("ERROR") && line.contains("hint: it must exist"), "{line}");
    let path = pair.write("a", b"a");
    pair.client.wait_until_recorded(&path);
    pair.assert_names(&["a"]);
}

#[test]
fn a_port_that_is_taken_ends_the_server_with_a_hint() {
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let mut server = Server::new(Kind::Directory);
    server.port = taken.local_addr().unwrap().port();
    server.launch();
    assert_eq!(server.ended().code(), Some(1));
    let expected = format!(
        "error: cannot listen on {}: Address already in use (os error 98); hint: see server.host \
         and server.port\n",
        taken.local_addr().unwrap()
    );
    assert!(server.log().ends_with(&expected), "the port is named");
}

#[test]
fn a_store_that_cannot_be_made_ends_the_server_with_its_name() {
    let mut server = Server::new(Kind::Directory);
    let path = "/proc/no/store/here";
    server.bucket = crate::support::bucket::Bucket::Directory(path.into());
    server.launch();
    assert_eq!(server.ended().code(), Some(1));
    let log = server.log();
    assert_eq!(log.lines().count(), 1, "one line");
    assert!(log.starts_with("error: ") && log.contains(path), "the folder is named");
}

#[test]
fn a_server_open_to_the_network_without_tls_warns_loudly() {
    let mut server = Server::new(Kind::Directory);
    server.host = "0.0.0.0";
    let port = server.start();
    let line = server.daemon().wait_for("WITHOUT TLS");
    assert!(
        line.contains("WARN") && line.contains("0.0.0.0:") && line.contains("hint: "),
        "{line}"
    );
    assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
}

#[test]
fn a_server_without_its_certificate_does_not_start_and_names_the_file() {
    let mut server = Server::new(Kind::Directory);
    server.tls = "{ enabled: true, cert_file: /no/cert.pem, key_file: /no/key.pem }".to_owned();
    server.launch();
    assert_eq!(server.ended().code(), Some(1));
    let log = server.log();
    let last = log.lines().last().unwrap();
    assert!(last.starts_with("error: ") && last.contains("/no/cert.pem"), "{log}");
}

/// Every command of a program, as its arguments.
fn commands(description: &CommandInfoWithArgs) -> Vec<Vec<&'static str>> {
    let commands = description.commands.iter().map(|command| vec![command.name]);
    std::iter::once(vec![]).chain(commands).collect()
}

fn programs() -> [(&'static str, CommandInfoWithArgs); 2] {
    [
        (CLIENT, s3up::client::arguments::Arguments::get_args_info()),
        (SERVER, s3up::server::arguments::Arguments::get_args_info()),
    ]
}

#[test]
fn the_help_of_each_command_fits_a_terminal_and_has_an_example_that_is_its_own() {
    for (program, description) in programs() {
        for command in commands(&description) {
            let arguments = [&command[..], &["--help"]].concat();
            let help = run(program, &arguments).stdout;
            let short = [&command[..], &["-h"]].concat();
            assert_eq!(run(program, &short).stdout, help, "{command:?}");
            let (_, examples) = help.split_once("\nExamples:\n").expect("examples");
            let (examples, _) = examples.split_once("\n\n").unwrap_or((examples, ""));
            let name = Path::new(program).file_name().unwrap().to_str().unwrap();
            let own = [&[name][..], &command].concat().join(" ");
            assert!(examples.lines().all(|line| line.trim().starts_with(&own)), "{examples}");
            for line in help.lines() {
                let for_the_clipboard = line.starts_with("Usage:") || examples.contains(line);
                assert!(line.len() <= if for_the_clipboard { 100 } else { 80 }, "{line}");
            }
        }
    }
}

#[test]
fn completions_are_printed_for_each_shell_there_is() {
    for (program, _) in programs() {
        for shell in Shell::ALL {
            let Outcome { code, stdout, stderr } = run(program, &["completions", shell.name()]);
            assert_eq!((code, stderr.as_str()), (Some(0), ""));
            assert!(stdout.contains("completions"), "{stdout}");
        }
    }
    let wrong = run(CLIENT, &["completions", "tcsh"]);
    assert_eq!(wrong.code, Some(2));
    assert!(wrong.stderr.contains(r#"expected "bash", "zsh" or "fish""#), "{}", wrong.stderr);
}
