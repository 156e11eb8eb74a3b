//! `s3up check`: whether a client with this configuration could do its work, step by step.
//!
//! Runs on the command's main thread; a client may be running beside it. It stores nothing, changes
//! nothing, and prints no secret.

use crate::checklist::{Checklist, Form};
use crate::client::config::Config;
use crate::client::database::SCHEMA;
use crate::client::folders;
use crate::client::remote::Failure;
use crate::client::status::{self, Asked};
use crate::client::tls;
use crate::client::transport::Transport;
use crate::client::transport::probe::Health;
use crate::client::watch_limit;
use crate::clock;
use crate::limits::CLOCK_DIFFERENCE;
use crate::shown;
use crate::sqlite;
use crate::wire::Fault;
use rustix::fs::{Access, access};
use std::fmt::Display;
use std::io::{self, Write};
use std::path::Path;
use std::time::SystemTime;

const FOLDER: &str = "folder";
const DATABASE: &str = "database";
const METRICS: &str = "metrics";
const TRUST: &str = "trust";
const SERVER: &str = "server";
const KEY: &str = "key";

/// Checks what `config`, read from `file`, stands for. `true` if no step has failed; an error is one
/// of `out`.
pub fn run(file: &Path, config: &Config, form: Form, out: &mut dyn Write) -> io::Result<bool> {
    let mut list = Checklist::new(out, form);
    let watches = shown::counted(config.watches.len() as u64, "watched folder");
    list.ok("configuration", format!("{}, {watches}", file.display()))?;
    folders(config, &mut list)?;
    database(&config.database, &mut list)?;
    if let Some(textfile) = &config.textfile {
        metrics(textfile, &mut list)?;
    }
    if let Some(transport) = trust(config, &mut list)? {
        server(&transport, &mut list)?;
    }
    list.finish()
}

fn folders(config: &Config, list: &mut Checklist<'_>) -> io::Result<()> {
    let mut needed = 0;
    for watch in &config.watches {
        let path = &watch.local_path;
        match folders::count(path, watch.recursive) {
            Ok(found) => {
                needed += found.folders;
                let count = shown::counted(found.folders, "folder");
                match found.unreadable {
                    None => list.ok(FOLDER, format!("{path:?}, {count}"))?,
                    Some(error) => list.failed(FOLDER, error)?,
                }
            }
            Err(error) => list.failed(FOLDER, error)?,
        }
    }
    let allowed = watch_limit::allowed();
    match allowed {
        None => list.note("inotify", "unknown: the system does not say how many watches it gives"),
        Some(most) if most < needed => list.warning(
            "inotify",
            format!(
                "{}; until then scans find what events do not report (scan.interval_minutes)",
                watch_limit::advice(needed, allowed)
            ),
        ),
        Some(most) => {
            let (needed, most) = (shown::count(needed), shown::count(most));
            list.ok(
                "inotify",
                format!("watches needed: {needed}; fs.inotify.max_user_watches is {most}"),
            )
        }
    }
}

fn database(path: &Path, list: &mut Checklist<'_>) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    if let Err(error) = access(folder, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK) {
        let hint =
            "hint: it must exist and this user must be able to write to it (key database.path)";
        return list.failed(DATABASE, format!("{folder:?}: {}; {hint}", io::Error::from(error)));
    }
    match sqlite::open_if_there(path, SCHEMA) {
        Ok(None) => return list.ok(DATABASE, format!("{path:?}, made at the first start")),
        Ok(Some(_)) => {}
        Err(error) => return list.failed(DATABASE, error),
    }
    match status::ask(path) {
        Ok(Asked::Nobody) => list.ok(DATABASE, format!("{path:?}, no client is running")),
        Ok(Asked::Answer(live)) => {
            list.ok(DATABASE, format!("{path:?}, in use by the running client, pid {}", live.pid))
        }
        Ok(Asked::Silence(why)) => list.warning(DATABASE, format!("{path:?} is in use; {why}")),
        Err(error) => list.failed(DATABASE, error),
    }
}

fn metrics(textfile: &Path, list: &mut Checklist<'_>) -> io::Result<()> {
    let folder = textfile.parent().unwrap_or(Path::new("/"));
    match access(folder, Access::WRITE_OK | Access::EXEC_OK) {
        Ok(()) => list.ok(METRICS, format!("{textfile:?}")),
        Err(error) => {
            let hint = "hint: it must exist and this user must be able to write to it (key \
                        metrics.textfile)";
            list.failed(METRICS, format!("{folder:?}: {}; {hint}", io::Error::from(error)))
        }
    }
}

/// By what the server will be known, and the way to it.
fn trust(config: &Config, list: &mut Checklist<'_>) -> io::Result<Option<Transport>> {
    let server = &config.server;
    let verifier = match server.url.starts_with("https:") {
        true => tls::verifier(&server.trust).map(Some),
        false => Ok(None),
    };
    match verifier.and_then(|verifier| Ok((verifier, Transport::new(server)?))) {
        Err(error) => list.failed(TRUST, error).map(|()| None),
        Ok((None, transport)) => {
            list.note(TRUST, "none: the server's address is http://")?;
            Ok(Some(transport))
        }
        Ok((Some(verifier), transport)) => {
            list.ok(TRUST, format!("the server's certificate has to be {verifier}"))?;
            Ok(Some(transport))
        }
    }
}

fn server(transport: &Transport, list: &mut Checklist<'_>) -> io::Result<()> {
    let asked = clock::utc();
    match transport.health() {
        Err(failure) => {
            list.failed(SERVER, failure)?;
            return list.note(KEY, "unknown: no s3up-server was reached");
        }
        Ok(Health { version, date }) => {
            let version = shown::visible(&version);
            list.ok(SERVER, format!("{}, s3up-server {version}", transport.url()))?;
            if let Some(warning) = date.and_then(|date| clock_warning(asked, date)) {
                list.warning("clock", warning)?;
            }
        }
    }
    match transport.key_is_accepted() {
        Ok(()) => list.ok(KEY, "the server accepts it"),
        Err(failure) => list.failed(KEY, refused(&failure)),
    }
}

fn refused(failure: &Failure) -> impl Display {
    let hint = match failure.fault() {
        Fault::Key => "; hint: compare server.api_key with the server's clients",
        _ => "",
    };
    format!("{}{hint}", shown::visible(&failure.to_string()))
}

/// What to say if this machine's clock and the server's are far apart: then certificates seem to have
/// expired, and the times that stand beside backups mislead.
fn clock_warning(here: SystemTime, there: SystemTime) -> Option<String> {
    let (difference, word) = match here.duration_since(there) {
        Ok(ahead) => (ahead, "ahead of"),
        Err(behind) => (behind.duration(), "behind"),
    };
    (difference > CLOCK_DIFFERENCE).then(|| {
        let span = shown::span(difference.as_secs());
        format!("this machine's clock is {span} {word} the server's; hint: run NTP on both")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn clocks_that_are_minutes_apart_are_told() {
        let here = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let check = |there: SystemTime, expected: Option<&str>| {
            let warning = clock_warning(here, there);
            let expected =
                expected.map(|part| format!("this machine's clock is {part} the server's"));
            assert_eq!(warning.is_some(), expected.is_some());
            assert!(warning.unwrap_or_default().starts_with(&expected.unwrap_or_default()));
        };
        check(here, None);
        check(here + CLOCK_DIFFERENCE, None);
        check(here + Duration::from_secs(423), Some("7 min 3 s behind"));
        check(here - Duration::from_secs(7200), Some("2 h 0 min ahead of"));
    }
}
