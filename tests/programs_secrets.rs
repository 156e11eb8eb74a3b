//! Secrets that stand in files of their own, as a service manager hands them over: the pair works with
//! them, what is wrong with one is said in one line, and none is ever shown.

use crate::programs::run;
use crate::support::bucket::Kind;
use crate::support::client::Client;
use crate::support::daemon::{CLIENT, Daemon, SERVER};
use crate::support::s3_server::{ACCESS_KEY_ID, SECRET_ACCESS_KEY};
use crate::support::server::{Server, WEB_KEY, listening_port};
use crate::support::waiting::{DEADLINE, eventually};
use rustix::fs::{CWD, FileType, Mode};
use rustix::process::Signal;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Writes `file` anew, with some of its lines replaced.
#[track_caller]
fn rewrite(file: &Path, lines: &[(&str, &str)]) {
    let mut text = fs::read_to_string(file).unwrap();
    for (old, new) in lines {
        assert!(text.contains(old), "{old} in {text}");
        text = text.replace(old, new);
    }
    fs::write(file, text).unwrap();
}

/// The file of a client that has its key from `api_key_file`, whatever that says.
fn with_key_file(client: &Client, value: &str) -> PathBuf {
    let file = client.configure();
    rewrite(&file, &[(&format!("api_key: \"{WEB_KEY}\""), &format!("api_key_file: {value}"))]);
    file
}

#[test]
fn the_pair_moves_a_file_with_all_its_secrets_from_a_folder_of_credentials() {
    let credentials = TempDir::new().unwrap();
    for (name, secret) in [
        ("s3-access-key-id", ACCESS_KEY_ID),
        ("s3-secret-access-key", SECRET_ACCESS_KEY),
        ("client.key", WEB_KEY),
    ] {
        fs::write(credentials.path().join(name), format!("{secret}\n")).unwrap();
    }
    let environment = [("CREDENTIALS_DIRECTORY", credentials.path().to_str().unwrap())];

    let server = Server::new(Kind::S3);
    let file = server.configure();
    rewrite(
        &file,
        &[
            (
                "access_key_id: \"${S3_ACCESS_KEY_ID}\"",
                "access_key_id_file: \"${CREDENTIALS_DIRECTORY}/s3-access-key-id\"",
            ),
            (
                "secret_access_key: \"${S3_SECRET_ACCESS_KEY}\"",
                "secret_access_key_file: \"${CREDENTIALS_DIRECTORY}/s3-secret-access-key\"",
            ),
        ],
    );
    let running_server = Daemon::start(SERVER, &[Path::new("-c"), &file], &environment);

    let mut client = Client::new();
    client.url = format!("http://127.0.0.1:{}", listening_port(&running_server));
    fs::write(client.path("a.txt"), "hello").unwrap();
    let file = with_key_file(&client, "\"${CREDENTIALS_DIRECTORY}/client.key\"");
    let running_client = Daemon::start(CLIENT, &[Path::new("-c"), &file], &environment);
    let stored = || server.bucket.get("backups/web/uploads/a.txt");
    assert_eq!(eventually(DEADLINE, "the file is in the bucket", stored), b"hello");
    for log in [running_server.log(), running_client.log()] {
        for secret in [ACCESS_KEY_ID, SECRET_ACCESS_KEY, WEB_KEY] {
            assert!(!log.contains(secret), "{log}");
        }
    }
}

/// Runs a client whose key is in `name` of a folder that `make` has filled; it must end at once with
/// this problem.
#[track_caller]
fn check(name: &str, make: impl FnOnce(&Path), problem: &str) {
    let mut client = Client::new();
    client.url = "http://127.0.0.1:1".to_owned();
    let key = client.beside(name);
    make(&key);
    let file = with_key_file(&client, &format!("{key:?}"));
    let outcome = run(CLIENT, &["-c", file.to_str().unwrap()]);
    let expected =
        format!("error: {}:3: server.api_key_file: {key:?}: {problem}\n", file.display());
    assert_eq!((outcome.code, outcome.stderr), (Some(2), expected));
}

#[test]
fn a_file_that_holds_no_key_is_told_in_one_line_and_holds_up_nobody() {
    let write = |content: &'static str| move |path: &Path| fs::write(path, content).unwrap();
    check("none", |_| {}, "cannot read it: No such file or directory (os error 2)");
    check("folder", |path| fs::create_dir(path).unwrap(), "cannot read it: it is no regular file");
    let pipe = |path: &Path| {
        rustix::fs::mknodat(CWD, path, FileType::Fifo, Mode::RWXU, 0).unwrap();
    };
    check("pipe", pipe, "cannot read it: it is no regular file");
    check("empty", write("\n"), "is empty; one line with the secret is expected in it");
    check(
        "whole",
        write("api_key: hidden-hidden-hidden\napi_key_sha256: hidden\n"),
        "holds more than one line; nothing but the secret is expected in it",
    );
    check(
        "short",
        write("hidden"),
        "what stands in it is not an API key: 16 to 512 visible ASCII characters without blanks are \
         expected; `s3up-server keygen` makes one",
    );
    let endless = |path: &Path| {
        fs::File::create(path).unwrap().set_len(1 << 40).unwrap();
    };
    check(
        "endless",
        endless,
        "is larger than 8192 bytes; nothing but the secret is expected in it",
    );
}

#[test]
fn a_server_that_reads_its_file_again_reads_its_secrets_again() {
    let mut server = Server::new(Kind::Directory);
    let webhook = server.folder().join("webhook");
    fs::write(&webhook, "http://127.0.0.1:9/hidden\n").unwrap();
    let on_silent = format!("reports: {{on_silent: {{webhook_file: {webhook:?}}}}}\n");
    server.sections.push_str(&on_silent);
    server.start();
    server.daemon().signal(Signal::HUP);
    server.daemon().wait_for("was read again: no client has changed");
    assert_eq!(server.daemon().count("needs a restart"), 0, "{}", server.log());

    fs::write(&webhook, "http://127.0.0.1:9/hidden-too\n").unwrap();
    server.daemon().signal(Signal::HUP);
    let line = server.daemon().wait_for("needs a restart");
    assert!(line.ends_with("needs a restart: reports.on_silent"), "{line}");

    fs::remove_file(&webhook).unwrap();
    server.daemon().signal(Signal::HUP);
    let problem =
        format!("reports.on_silent.webhook_file: {webhook:?}: cannot read it: No such file");
    server.daemon().wait_for(&problem);
    server.daemon().wait_for("is refused; the clients of the last good one stay");
    assert!(!server.log().contains("hidden"), "{}", server.log());
}
