//! The systemd units: sound and tight by systemd's own word, explained line by line, and in step with
//! limits, programs and example configurations.

use crate::programs;
use crate::support::daemon::{CLIENT, SERVER};
use s3up::limits::activity::RECORDING_GRACE;
use s3up::limits::gate::{LEAVING_CONNECTIONS, VESTIBULE_CONNECTIONS};
use s3up::limits::{SHUTDOWN_MAX, WATCHDOG_BEAT_LEAST};
use s3up::server::gate::descriptors::{Room, divide};
use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

struct Unit {
    name: &'static str,
    text: &'static str,
    sysusers: &'static str,
    /// What it starts, as it is installed and as it was built.
    program: &'static str,
    built: &'static str,
    file: &'static str,
    example: &'static str,
}

const UNITS: [Unit; 2] = [
    Unit {
        name: "s3up.service",
        text: include_str!("../packaging/systemd/s3up.service"),
        sysusers: include_str!("../packaging/systemd/s3up.sysusers"),
        program: "/usr/bin/s3up",
        built: CLIENT,
        file: "/etc/s3up/client.yaml",
        example: include_str!("../packaging/client.example.yaml"),
    },
    Unit {
        name: "s3up-server.service",
        text: include_str!("../packaging/systemd/s3up-server.service"),
        sysusers: include_str!("../packaging/systemd/s3up-server.sysusers"),
        program: "/usr/bin/s3up-server",
        built: SERVER,
        file: "/etc/s3up/server.yaml",
        example: include_str!("../packaging/server.example.yaml"),
    },
];

/// Highest exposure that `systemd-analyze security` may find, in tenths.
const EXPOSURE_MAX: &str = "20";

/// Lines that need no words.
const PLAIN: [&str; 5] = ["Description", "Documentation", "ExecStart", "WantedBy", "["];

impl Unit {
    fn settings(&self) -> impl Iterator<Item = (&str, &str)> {
        self.text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.split_once('='))
    }

    /// All values of a setting.
    fn all(&self, key: &str) -> Vec<&str> {
        self.settings().filter(|(known, _)| *known == key).map(|(_, value)| value).collect()
    }

    #[track_caller]
    fn one(&self, key: &str) -> &str {
        let all = self.all(key);
        assert_eq!(all.len(), 1, "{}: {key}", self.name);
        all[0]
    }

    #[track_caller]
    fn number(&self, key: &str) -> u64 {
        self.one(key).parse().unwrap()
    }

    #[track_caller]
    fn span(&self, key: &str) -> Duration {
        let value = self.one(key);
        let digits = value.trim_end_matches(|char: char| !char.is_ascii_digit());
        let seconds = match &value[digits.len()..] {
            "s" => 1,
            "min" => 60,
            unit => panic!("{key}: {unit}"),
        };
        Duration::from_secs(digits.parse::<u64>().unwrap() * seconds)
    }
}

/// Runs `systemd-analyze` on each unit, with the program that was built in place of the one that may not
/// be installed. It must have nothing to say but what it is asked for.
fn check_by_systemd(arguments: &[&str], has_output: bool) {
    let installed = Command::new("systemd-analyze").arg("--version").output();
    if installed.is_err() {
        eprintln!("SKIPPED: systemd-analyze is not installed; .ci/run installs it");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for unit in &UNITS {
        let path = folder.path().join(unit.name);
        let start = format!("ExecStart={} ", unit.program);
        assert!(unit.text.contains(&start));
        std::fs::write(&path, unit.text.replace(&start, &format!("ExecStart={} ", unit.built)))
            .unwrap();
        let output = Command::new("systemd-analyze").args(arguments).arg(&path).output().unwrap();
        let (out, err) = (String::from_utf8(output.stdout), String::from_utf8(output.stderr));
        let (out, err) = (out.unwrap(), err.unwrap());
        assert!(output.status.success(), "{}\n{out}{err}", unit.name);
        assert_eq!(err, "", "{}", unit.name);
        assert_eq!(!out.is_empty(), has_output, "{out}");
    }
}

#[test]
fn systemd_has_nothing_to_complain_of() {
    check_by_systemd(&["verify", "--man=no"], false);
}

#[test]
fn systemd_calls_both_services_little_exposed() {
    let threshold = format!("--threshold={EXPOSURE_MAX}");
    check_by_systemd(&["security", "--no-pager", "--offline=true", &threshold], true);
}

#[test]
fn every_setting_has_its_reason_above_it() {
    for unit in &UNITS {
        let mut above = "";
        for line in unit.text.lines() {
            let plain = line.is_empty() || PLAIN.iter().any(|start| line.starts_with(start));
            let explained = line.starts_with('#') || above.starts_with("# ");
            assert!(plain || explained, "{}: {line}", unit.name);
            above = line;
        }
    }
}

#[test]
fn what_is_started_reads_its_command_line_and_is_not_started_again_after_a_wrong_file() {
    for unit in &UNITS {
        let words: Vec<&str> = unit.one("ExecStart").split(' ').collect();
        assert_eq!(words, [unit.program, "-c", unit.file]);
        assert!(unit.example.starts_with(&format!("# {}:", unit.file)), "{}", unit.name);
        let outcome = programs::run(unit.built, &[words[1], "/nowhere/at/all.yaml"]);
        assert!(outcome.stderr.contains("cannot read it"), "{}", outcome.stderr);
        let code = i32::try_from(unit.number("RestartPreventExitStatus")).unwrap();
        assert_eq!(outcome.code, Some(code), "{}", unit.name);
    }
}

#[test]
fn each_service_has_a_user_of_its_own_that_its_package_makes() {
    let mut users = BTreeSet::new();
    for unit in &UNITS {
        let user = unit.one("User");
        assert_eq!(unit.one("Group"), user);
        let line = unit.sysusers.lines().find(|line| line.starts_with("u ")).unwrap();
        let words: Vec<&str> = line.split(' ').collect();
        assert_eq!(words[..3], ["u", user, "-"]);
        let home = format!("/var/lib/{}", unit.one("StateDirectory"));
        assert_eq!(words.last(), Some(&home.as_str()));
        assert!(users.insert(user));
    }
}

#[test]
fn the_databases_of_the_examples_lie_where_the_services_may_write() {
    for unit in &UNITS {
        let folder = format!("path: /var/lib/{}/", unit.one("StateDirectory"));
        assert!(unit.example.replace('"', "").contains(&folder), "{folder}");
    }
}

#[test]
fn credentials_are_named_as_in_the_examples_and_as_their_files() {
    for unit in &UNITS {
        let mut ids = BTreeSet::new();
        for credential in unit.all("LoadCredential") {
            let (id, path) = credential.split_once(':').unwrap();
            // So that whoever calls a command by hand can say `CREDENTIALS_DIRECTORY=/etc/s3up`.
            assert_eq!(path, format!("/etc/s3up/{id}"));
            ids.insert(id);
        }
        assert!(!ids.is_empty());
        let absent: BTreeSet<&str> = unit
            .all("SetCredential")
            .into_iter()
            .map(|value| value.strip_suffix(":\\n").unwrap())
            .collect();
        assert_eq!(absent, ids, "a file that is not there is named by the program");
        for place in unit.example.split("${CREDENTIALS_DIRECTORY").skip(1) {
            let (_, name) = place.split_once("}/").unwrap();
            let name = name.split(['"', '\n', '`']).next().unwrap();
            assert!(ids.contains(name), "{}: {name}", unit.name);
        }
    }
}

#[test]
fn systemd_waits_for_longer_than_the_programs_take() {
    let reserve = Duration::from_secs(5);
    for unit in &UNITS {
        assert!(unit.span("TimeoutStopSec") >= SHUTDOWN_MAX + RECORDING_GRACE + reserve);
        // A client that begins anew gives no sign meanwhile.
        assert!(unit.span("WatchdogSec") / 2 > 2 * (SHUTDOWN_MAX + reserve));
        assert!(unit.span("WatchdogSec") / 2 > WATCHDOG_BEAT_LEAST);
    }
}

#[test]
fn the_server_may_have_what_its_defaults_need() {
    let [_, unit] = &UNITS;
    let example = unit.example;
    let value = |key: &str| -> usize {
        let (_, rest) = example.split_once(&format!("\n  {key}: ")).unwrap();
        rest.lines().next().unwrap().parse().unwrap()
    };
    let (lanes, connections) = (value("workers"), value("connections"));
    let room = Room { lanes, connections };
    assert_eq!(divide(room, Some(unit.number("LimitNOFILE"))), Some(room));
    // One a connection, one a worker and one of tiny_http's a lane; a few more.
    let threads = connections + VESTIBULE_CONNECTIONS + LEAVING_CONNECTIONS + 3 * lanes + 100;
    assert!(unit.number("TasksMax") >= threads as u64, "{threads}");
    assert_eq!(unit.one("MemoryMax"), format!("{}G", 2 * value("buffer_memory_mb") / 1024));
}

#[test]
fn the_client_sees_what_it_is_given_and_nothing_else() {
    let [unit, _] = &UNITS;
    assert_eq!(unit.one("TemporaryFileSystem"), "/:ro");
    // It has the root for its mount point, too, and wins: then all of the disk would be there to read.
    assert_eq!(unit.all("ProtectSystem"), [""; 0]);
    assert_eq!(unit.one("CapabilityBoundingSet"), unit.one("AmbientCapabilities"));
    let seen: Vec<&str> =
        unit.all("BindReadOnlyPaths").into_iter().flat_map(|line| line.split(' ')).collect();
    for needed in [unit.program, "/bin/kill", "/etc/s3up", "/run/systemd/notify"] {
        assert!(seen.contains(&needed), "{needed}");
    }
    for whole in ["/", "/etc", "/etc/ssl", "/usr", "/var", "/home", "/root", "/run"] {
        assert!(!seen.iter().any(|path| path.trim_start_matches('-') == whole), "{whole}");
    }
    // What of the server's may lie beside the client's file.
    let hidden = unit.one("InaccessiblePaths");
    let [_, server] = &UNITS;
    let credentials =
        server.all("LoadCredential").into_iter().map(|line| line.split_once(':').unwrap().1);
    for secret in credentials.chain([server.file]) {
        assert!(hidden.split(' ').any(|path| path == format!("-{secret}")), "{secret}");
    }
}
