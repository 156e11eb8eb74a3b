//! `s3up-server check`: what it prints, how it ends, and that it leaves nothing behind.

use crate::programs::Outcome;
use crate::support::bucket::{Bucket, Kind};
use crate::support::daemon::{Daemon, SERVER};
use crate::support::s3_server::{ACCESS_KEY_ID, BUCKET, SECRET_ACCESS_KEY};
use crate::support::scripted_server::{ScriptedServer, Step, answer, error};
use crate::support::server::{EU_KEY, Server, WEB_KEY, free_port};
use serde_json::Value;

/// Runs the check of a server's configuration to its end.
#[track_caller]
fn check(server: &Server) -> Outcome {
    let file = server.configure();
    let arguments = ["check", "-c", file.to_str().unwrap()];
    let mut daemon = Daemon::start(SERVER, &arguments, &server.environment);
    let code = daemon.ended().code();
    let Outcome { code, stdout, stderr } =
        Outcome { code, stdout: daemon.stdout(), stderr: daemon.log() };
    let mut secrets = vec![WEB_KEY, EU_KEY, ACCESS_KEY_ID, SECRET_ACCESS_KEY];
    secrets.extend(server.environment.iter().map(|(_, value)| *value));
    for secret in secrets {
        assert!(!stdout.contains(secret) && !stderr.contains(secret), "{stdout}{stderr}");
    }
    Outcome { code, stdout, stderr }
}

/// The line of a step, without its name.
#[track_caller]
fn line<'t>(text: &'t str, step: &str) -> &'t str {
    let start = format!("{step:15}");
    let found = text.lines().find_map(|line| line.strip_prefix(&start));
    found.unwrap_or_else(|| panic!("no line for {step} in\n{text}"))
}

/// The names of the steps, in their order.
fn steps(text: &str) -> Vec<&str> {
    let lines = text.lines().take_while(|line| !line.is_empty());
    lines.map(|line| line.split_once(' ').unwrap().0).collect()
}

const PROBE_STEPS: [&str; 6] = ["write", "head", "read", "list", "parts", "remove"];

#[track_caller]
fn policy(text: &str) -> Value {
    let (_, json) = text.split_once("\n{").expect("a policy at the end");
    serde_json::from_str(&format!("{{{json}")).unwrap()
}

#[test]
fn a_folder_that_works_is_all_ok_and_stays_empty() {
    let server = Server::new(Kind::Directory);
    let Outcome { code, stdout, stderr } = check(&server);
    assert_eq!((code, stderr.as_str()), (Some(0), ""), "{stdout}");
    let first = ["configuration", "certificate", "database", "store"];
    assert_eq!(steps(&stdout), [&first[..], &PROBE_STEPS].concat());
    assert!(line(&stdout, "configuration").contains("server.yaml, 2 clients"), "{stdout}");
    assert!(line(&stdout, "store").starts_with("ok: directory /"), "{stdout}");
    let write = line(&stdout, "write");
    assert!(write.starts_with("ok: 1024 bytes at \"backups/.s3up-check-"), "{write}");
    for step in &PROBE_STEPS[1..] {
        assert_eq!(line(&stdout, step), "ok");
    }
    assert_eq!((server.bucket.keys(), server.bucket.leftovers()), (vec![], vec![]));
}

#[test]
fn a_bucket_that_works_is_all_ok_and_the_policy_is_for_it() {
    let server = Server::new(Kind::S3);
    let Outcome { code, stdout, stderr } = check(&server);
    assert_eq!((code, stderr.as_str()), (Some(0), ""), "{stdout}");
    let steps = steps(&stdout);
    assert_eq!(steps[4..], [&PROBE_STEPS[..], &["unfinished", "versioning", "lifecycle"]].concat());
    for step in &PROBE_STEPS {
        assert!(line(&stdout, step).starts_with("ok"), "{stdout}");
    }
    // `s3s-fs` knows none of these.
    for step in ["unfinished", "versioning", "lifecycle"] {
        assert!(line(&stdout, step).starts_with("unknown: "), "{stdout}");
    }
    let resources = &policy(&stdout)["Statement"][0]["Resource"];
    assert_eq!(resources[0], format!("arn:aws:s3:::{BUCKET}/backups/*"));
    assert!(stdout.contains("\n# "), "what is for check alone is said: {stdout}");
    assert_eq!((server.bucket.keys(), server.bucket.leftovers()), (vec![], vec![]));
}

#[test]
fn a_store_that_refuses_is_said_with_a_hint_and_what_rights_would_do() {
    let mut server = Server::new(Kind::S3);
    server.environment.retain(|(name, _)| *name != "S3_SECRET_ACCESS_KEY");
    server.environment.push(("S3_SECRET_ACCESS_KEY", "a-secret-of-somebody-else"));
    let Outcome { code, stdout, stderr } = check(&server);
    assert_eq!((code, stderr.as_str()), (Some(1), ""), "{stdout}");
    let write = line(&stdout, "write");
    assert!(write.starts_with("FAILED: cannot put \"backups/.s3up-check-"), "{write}");
    assert!(write.contains("SignatureDoesNotMatch") && write.contains("hint: "), "{write}");
    assert_eq!(steps(&stdout).last(), Some(&"write"), "nothing else is tried");
    assert!(policy(&stdout)["Statement"].is_array());
}

#[test]
fn a_store_that_is_away_fails_and_does_not_hang() {
    let mut server = Server::new(Kind::Directory);
    server.bucket = Bucket::Nobody(format!("http://127.0.0.1:{}", free_port()));
    let Outcome { code, stdout, .. } = check(&server);
    assert_eq!(code, Some(1));
    assert!(line(&stdout, "write").contains("check s3.endpoint"), "{stdout}");
}

#[test]
fn a_folder_that_cannot_be_made_fails_at_the_store() {
    let mut server = Server::new(Kind::Directory);
    server.bucket = Bucket::Directory("/proc/no/store/here".into());
    let Outcome { code, stdout, .. } = check(&server);
    assert_eq!(code, Some(1));
    assert!(line(&stdout, "store").starts_with("FAILED: cannot open"), "{stdout}");
}

#[test]
fn a_certificate_that_cannot_be_read_fails_and_the_store_is_checked_nevertheless() {
    let mut server = Server::new(Kind::Directory);
    server.tls = "{ enabled: true, cert_file: /no/cert.pem, key_file: /no/key.pem }".to_owned();
    let Outcome { code, stdout, .. } = check(&server);
    assert_eq!(code, Some(1));
    let certificate = line(&stdout, "certificate");
    assert!(certificate.starts_with("FAILED: ") && certificate.contains("/no/cert.pem"));
    assert_eq!(line(&stdout, "remove"), "ok");
}

#[test]
fn a_database_is_looked_at_and_neither_made_nor_changed() {
    let mut server = Server::new(Kind::Directory);
    let database = |server: &Server| {
        let Outcome { code, stdout, .. } = check(server);
        (code, line(&stdout, "database").to_owned())
    };
    server.sections = String::new();
    let (code, said) = database(&server);
    assert_eq!((code, &said[..5]), (Some(0), "none:"), "{said}");
    server.remembers();
    let path = server.database();
    let made = format!("ok: {}: the server makes it", path.display());
    assert_eq!(database(&server), (Some(0), made));
    assert!(!path.exists());
    server.start();
    assert_eq!(database(&server), (Some(0), format!("ok: {}", path.display())));
    server.stop();
    std::fs::write(&path, "no database".repeat(999)).unwrap();
    let (code, said) = database(&server);
    assert_eq!(
        (code, said.starts_with("FAILED: cannot open database ")),
        (Some(1), true),
        "{said}"
    );
    std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
    let (code, said) = database(&server);
    assert_eq!((code, said.contains("hint: its folder must exist")), (Some(1), true), "{said}");
}

#[test]
fn every_step_that_fails_is_told_and_the_probe_is_removed_nevertheless() {
    let object = |body: &str| {
        let headers = ["etag: \"e\"", "last-modified: Sun, 06 Nov 1994 08:49:37 GMT"];
        Step::Answer(answer(200, &headers, body))
    };
    let denied = || Step::Answer(error(403, "AccessDenied"));
    let script = vec![
        Step::Answer(answer(200, &["etag: \"e\""], "")),
        // The object as HEAD shows it: no metadata, and another length.
        Step::Answer(
            "HTTP/1.1 200 OK\r\ncontent-length: 1023\r\netag: \"e\"\r\nlast-modified: Sun, 06 Nov \
             1994 08:49:37 GMT\r\n\r\n"
                .to_owned(),
        ),
        object("other bytes"),
        Step::Answer(answer(200, &[], "<ListBucketResult/>")),
        denied(),
        denied(),
    ];
    let count = script.len();
    let scripted = ScriptedServer::start([script, vec![denied(), denied(), denied()]].concat());
    let mut server = Server::new(Kind::Directory);
    server.bucket = Bucket::Nobody(scripted.endpoint());
    let Outcome { code, stdout, .. } = check(&server);
    assert_eq!(code, Some(1), "{stdout}");
    for (step, expected) in [
        ("head", "FAILED: 1024 bytes were written, it knows 1023"),
        ("read", "FAILED: other bytes were read than were written"),
        ("list", "FAILED: it is not in the list"),
        ("parts", "FAILED: cannot begin"),
        ("remove", "FAILED: cannot remove"),
        ("unfinished", "unknown: cannot list"),
        ("versioning", "unknown: cannot "),
        ("lifecycle", "unknown: cannot "),
    ] {
        let line = line(&stdout, step);
        assert!(line.starts_with(expected), "{step}: {line}");
    }
    assert!(line(&stdout, "remove").contains("s3:DeleteObject"), "{stdout}");
    let asked = scripted.asked();
    let removed = &asked[count - 1].line;
    assert!(removed.starts_with("DELETE ") && removed.contains("/backups/.s3up-check-"));
}

#[test]
fn a_wrong_configuration_ends_with_all_its_problems_before_anything_is_tried() {
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("server.yaml");
    std::fs::write(&file, "server:\n  port: 99999\nclients: []\nx: 1\n").unwrap();
    let file = file.to_str().unwrap();
    for arguments in [vec!["check", "-c", file], vec!["-c", file, "check"]] {
        let Outcome { code, stdout, stderr } = crate::programs::run(SERVER, &arguments);
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{stderr}");
        assert!(stderr.contains("server.port") && stderr.contains("unknown key"), "{stderr}");
    }
    let Outcome { code, stderr, .. } = crate::programs::run(SERVER, &["check"]);
    assert_eq!(code, Some(2));
    assert!(stderr.contains("such as: s3up-server check -c"), "{stderr}");
}

#[test]
fn a_store_that_cannot_list_what_was_begun_costs_the_server_one_warning() {
    let server = Server::started(Kind::S3);
    let line = server.daemon().wait_for("abandoned uploads cannot be removed: ");
    assert!(line.contains("WARN") && line.contains("NotImplemented"), "{line}");
    assert!(line.contains("hint: ") && line.contains("AbortIncompleteMultipartUpload"), "{line}");
    let mut server = server;
    assert!(server.stop().success());
    assert_eq!(server.log().matches("abandoned uploads").count(), 1);
}
