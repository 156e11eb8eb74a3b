//! Both programs and their configuration files: every problem is said at once, with its line, and
//! the program ends with code 2 before it has done anything.

use crate::programs::{Outcome, run};
use crate::support::daemon::{CLIENT, SERVER};
use crate::support::server::WEB_KEY;
use tempfile::TempDir;

/// Runs a program with this configuration, which must be refused with these lines; `FILE` stands
/// for the file's name.
#[track_caller]
fn check(program: &'static str, yaml: &str, expected: &[&str]) {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("a config.yaml");
    std::fs::write(&file, yaml).unwrap();
    let file = file.to_str().unwrap();
    let Outcome { code, stdout, stderr } = run(program, &["-c", file]);
    assert_eq!((code, stdout.as_str()), (Some(2), ""), "{stderr}");
    let lines: Vec<String> = stderr.lines().map(|line| line.replace(file, "FILE")).collect();
    assert_eq!(lines, expected);
    assert!(!stderr.contains(WEB_KEY), "a key is shown");
}

/// A client's configuration that lacks its watches, followed by `rest`.
fn client(rest: &str) -> String {
    format!(
        "server:\n  url: \"http://127.0.0.1:1\"\n  api_key: \"{WEB_KEY}\"\ndatabase:\n  path: \
         /nowhere/client.db\n{rest}"
    )
}

const WATCHES: &str = "watches:\n  - local_path: /nowhere/data\n";

#[test]
fn an_unknown_key_is_named_with_its_line() {
    check(
        CLIENT,
        &client(&format!("{WATCHES}stability:\n  debounce_second: 3\n")),
        &["error: FILE:9: stability.debounce_second: unknown key; known here: debounce_seconds, \
           max_attempts, max_wait_seconds"],
    );
}

#[test]
fn several_problems_are_all_said_at_once() {
    check(
        SERVER,
        "server:\n  port: 99999\ns3:\n  region: \"\"\nclients:\n  - name: Web\n    api_key: short\n",
        &[
            "error: FILE:2: server.port: \"99999\": is not a whole number from 0 to 65535",
            "error: FILE:4: s3.region: \"\": is empty",
            "error: FILE:3: s3.bucket: is missing",
            "error: FILE:6: clients[0].name: \"Web\": is not a client name: a-z, 0-9, '.', '_' and '-' \
             are allowed, the first one a letter or digit, at most 64",
            "error: FILE:7: clients[0].api_key: is not an API key: 16 to 512 visible ASCII characters \
             without blanks are expected; `s3up-server keygen` makes one",
        ],
    );
}

#[test]
fn a_variable_that_is_not_set_is_named() {
    let yaml = client(WATCHES).replace(WEB_KEY, "${S3UP_TEST_KEY_THAT_IS_NOT_SET}");
    check(
        CLIENT,
        &yaml,
        &[
            "error: FILE:3: server.api_key: the environment variable S3UP_TEST_KEY_THAT_IS_NOT_SET is \
             not set; set it or write the value here",
        ],
    );
}

#[test]
fn a_file_that_is_no_yaml_is_told_where() {
    check(
        CLIENT,
        "server:\n  url: [\n",
        &["error: FILE:3: not valid YAML: did not find expected node content at line 3 column 1, \
             while parsing a flow node"],
    );
}

#[test]
fn a_server_elsewhere_is_reached_by_tls_only() {
    let yaml = client(WATCHES).replace("127.0.0.1:1", "backup.example.com:8080");
    check(
        CLIENT,
        &yaml,
        &[
            "error: FILE:2: server.url: \"http://backup.example.com:8080\": would send files and key \
             unencrypted; use https://, or set server.allow_plaintext: true if the way there is safe",
        ],
    );
}

#[test]
fn folders_that_would_be_uploaded_twice_are_refused() {
    let yaml = client(
        "watches:\n  - local_path: /nowhere/data\n    remote_prefix: a\n  - local_path: \
         /nowhere/data/sub\n    remote_prefix: b\n",
    );
    check(
        CLIENT,
        &yaml,
        &["error: FILE:6: watches: \"/nowhere/data\" and \"/nowhere/data/sub\" overlap"],
    );
}
