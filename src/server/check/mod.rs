//! `s3up-server check`: whether a server with this configuration could do its work, step by step.
//!
//! Runs on the main thread, alone; a server may be running beside it. It owns one object, the probe,
//! which lies where no client can reach it, and removes it again. It must not touch anything else
//! and must not print a secret. It prints each step as it ends, so that the one that hangs is seen.

mod policy;

use crate::checklist::{Checklist, Form};
use crate::clock;
use crate::digest::Digest;
use crate::remote_path::RemotePrefix;
use crate::server::activity::Reading;
use crate::server::alerts;
use crate::server::config::{Config, OnSilent, StoreConfig, Tls};
use crate::server::gate::certificate::Certificates;
use crate::server::key::ProbeKey;
use crate::server::store::inspect::Inspect;
use crate::server::store::s3::Environment;
use crate::server::store::{Metadata, ObjectStore, StoreError};
use crate::shown;
use crate::threads::StopSource;
use std::io::{self, Read as _, Write};
use std::path::Path;

/// Size of the probe, in bytes.
const PROBE_BYTES: usize = 1024;

const POLICY_HEAD: &str = "\
# These rights are enough for this bucket and prefix. The statement \"Check\" serves this command alone,
# and removing is allowed for its probes only. A bucket that is encrypted with a KMS key needs
# kms:GenerateDataKey and kms:Decrypt on that key, too.";

/// Checks what `config`, read from `file`, stands for. Prints a line for each step; `true` if none
/// has failed. An error is one of `out`.
pub fn run(file: &Path, config: &Config, out: &mut dyn Write) -> io::Result<bool> {
    let mut report = Checklist::new(out, Form::Lines);
    let count = config.clients.len();
    let clients = if count == 1 { "client" } else { "clients" };
    report.ok("configuration", format!("{}, {count} {clients}", file.display()))?;
    certificate(config.server.tls.as_ref(), &mut report)?;
    database(config.database.as_deref(), &mut report)?;
    alerts(&config.on_silent, &mut report)?;
    store(config, &mut report)?;
    let all_well = report.finish()?;
    if let StoreConfig::S3(s3) = &config.store {
        let policy = policy::policy(&s3.region, &s3.bucket, &config.path_prefix);
        writeln!(out, "\n{POLICY_HEAD}\n{}", policy)?;
    }
    Ok(all_well)
}

fn certificate(files: Option<&Tls>, report: &mut Checklist<'_>) -> io::Result<()> {
    const NAME: &str = "certificate";
    let Some(files) = files else {
        return report.note(NAME, "none: the server does not speak TLS");
    };
    match Certificates::load(files) {
        Err(error) => report.failed(NAME, error),
        Ok(certificates) => match certificates.concern(clock::utc()) {
            None => report.ok(NAME, files.cert_file.display()),
            Some(concern) => report.warning(NAME, concern),
        },
    }
}

/// Neither makes the database nor changes it: a server may be writing to it.
fn database(path: Option<&Path>, report: &mut Checklist<'_>) -> io::Result<()> {
    const NAME: &str = "database";
    let Some(path) = path else {
        let note = "none: what the clients do is not remembered (key database.path)";
        return report.note(NAME, note);
    };
    let folder = path.parent().unwrap_or(Path::new("/"));
    if let Err(error) = tempfile::tempfile_in(folder) {
        let hint =
            "its folder must exist on a disk that this user may write to (key database.path)";
        return report.failed(NAME, format!("{}: {error}; hint: {hint}", path.display()));
    }
    match path.exists().then(|| Reading::open(path)).transpose() {
        Ok(Some(_)) => report.ok(NAME, path.display()),
        Ok(None) => report.ok(NAME, format!("{}: the server makes it", path.display())),
        Err(error) => report.failed(NAME, error),
    }
}

/// Runs nothing and sends nothing: `s3up-server alert --test` does.
fn alerts(on_silent: &OnSilent, report: &mut Checklist<'_>) -> io::Result<()> {
    if let Some(command) = &on_silent.command {
        let program = command.program.display();
        match alerts::find_program(&command.program) {
            Ok(()) => {
                let arguments = shown::counted(command.arguments.len() as u64, "argument");
                report.ok("alerts", format!("runs {program} with {arguments}"))?;
            }
            Err(error) => report
                .failed("alerts", format!("{program}: {error} (key reports.on_silent.command)"))?,
        }
    }
    if let Some(webhook) = &on_silent.webhook {
        match alerts::webhook::prepare(webhook, &Environment::process()) {
            Ok(_) => report.ok("alerts", format!("posts to {}", webhook.shown))?,
            Err(error) => report.failed("alerts", format!("{}: {error}", webhook.shown))?,
        }
    }
    Ok(())
}

fn store(config: &Config, report: &mut Checklist<'_>) -> io::Result<()> {
    // Raised at once: what fails is not tried again, for somebody waits for the answer.
    let stop = StopSource::default().stop();
    let store = match super::open_store(&config.store, &stop) {
        Ok(store) => store,
        Err(error) => return report.failed("store", error),
    };
    report.ok("store", store.describe())?;
    let probe = match ProbeKey::new(&config.path_prefix, fastrand::u128(..)) {
        Ok(probe) => probe,
        Err(error) => return report.failed("write", format!("path_prefix: {error}")),
    };
    if !probe_steps(store.as_ref(), &probe, report)? {
        return Ok(());
    }
    findings(store.as_ref(), &config.path_prefix, report)
}

/// The probe's way through the store; `false` if that could not even be written.
fn probe_steps(
    store: &dyn Inspect,
    probe: &ProbeKey,
    report: &mut Checklist<'_>,
) -> io::Result<bool> {
    let mut content = [0; PROBE_BYTES];
    fastrand::fill(&mut content);
    let key = probe.as_object();
    let metadata = Metadata { sha256: Some(Digest::of(&content)), mtime: None };
    match store.put(key, &content, &metadata) {
        Ok(()) => report.ok("write", format!("{PROBE_BYTES} bytes at {:?}", key.as_str()))?,
        Err(error) => {
            report.failed("write", error)?;
            return Ok(false);
        }
    }
    report.step("head", head(store, probe, &metadata))?;
    report.step("read", read(store, probe, &content))?;
    report.step("list", list(store, probe))?;
    report.step("parts", store.begin_and_abort(probe).map_err(Problem::Store))?;
    report.step("remove", remove(store, probe))?;
    Ok(true)
}

/// Why a step has failed.
#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{0}")]
    Other(String),
}

impl Problem {
    fn other<T>(what: impl Into<String>) -> Result<T, Self> {
        Err(Self::Other(what.into()))
    }
}

fn head(store: &dyn ObjectStore, probe: &ProbeKey, metadata: &Metadata) -> Result<(), Problem> {
    let Some(info) = store.head(probe.as_object())? else {
        return Problem::other("the store does not know what was just written");
    };
    if info.size != PROBE_BYTES as u64 {
        return Problem::other(format!(
            "{} bytes were written, it knows {}",
            PROBE_BYTES, info.size
        ));
    }
    if info.metadata.sha256 != metadata.sha256 {
        return Problem::other("the store does not keep metadata: the SHA-256 is not there");
    }
    Ok(())
}

fn read(store: &dyn ObjectStore, probe: &ProbeKey, content: &[u8]) -> Result<(), Problem> {
    let Some(object) = store.open(probe.as_object(), None)? else {
        return Problem::other("the store does not know what was just written");
    };
    let mut bytes = Vec::new();
    if let Err(error) = object.body.take(2 * PROBE_BYTES as u64).read_to_end(&mut bytes) {
        return Problem::other(format!("after {} bytes: {error}", bytes.len()));
    }
    if bytes != content {
        return Problem::other("other bytes were read than were written");
    }
    Ok(())
}

fn list(store: &dyn Inspect, probe: &ProbeKey) -> Result<(), Problem> {
    if store.lists(probe)? { Ok(()) } else { Problem::other("it is not in the list") }
}

fn remove(store: &dyn Inspect, probe: &ProbeKey) -> Result<(), Problem> {
    store.remove(probe)?;
    match store.head(probe.as_object())? {
        None => Ok(()),
        Some(_) => Problem::other("it is there still"),
    }
}

fn findings(
    store: &dyn Inspect,
    prefix: &RemotePrefix,
    report: &mut Checklist<'_>,
) -> io::Result<()> {
    for finding in store.findings(prefix) {
        match finding.answer {
            Ok(answer) => report.note(finding.subject, answer)?,
            Err(error) => report.note(finding.subject, format!("unknown: {error}"))?,
        }
    }
    Ok(())
}
