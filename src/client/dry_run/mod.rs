//! `s3up scan --dry-run`: what a scan that began now would do with each file, and why.
//!
//! Runs on the command's main thread, beside a running client or without one. It touches nothing: no
//! server is asked, no database is made, and no file is opened. Without a database it is the first
//! run.

mod output;
mod verdict;

use crate::client::config::{Config, Watch};
use crate::client::database::{Database, facts};
use crate::client::fingerprint::Fingerprint;
use crate::client::scope::{Place, Scope};
use crate::clock;
use crate::sqlite::DatabaseError;
use output::{Item, Output};
use rustix::fs::{Access, access};
use std::collections::{BTreeMap, HashMap};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use verdict::{File, Verdict, WhyNot, judge};
use walkdir::{DirEntry, WalkDir};

/// Why a dry run ended early.
#[derive(Debug, thiserror::Error)]
pub enum DryRunError {
    /// The database cannot be read.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The list cannot be written.
    #[error("cannot write the list: {0}")]
    Output(#[from] io::Error),
}

struct DryRun<'d> {
    scope: Scope,
    database: Option<Database>,
    baselines: BTreeMap<PathBuf, Option<i64>>,
    /// What a watch begins with that never ran: nothing that is there now counts, or everything does.
    first_baseline: Option<i64>,
    upload_existing: bool,
    parked: HashMap<PathBuf, String>,
    output: Output<'d>,
}

/// Prints to `out` what a scan would do.
pub fn run(config: &Config, json: bool, out: &mut dyn Write) -> Result<(), DryRunError> {
    let facts = facts::read(&config.database, usize::MAX, 0)?;
    let database = match &facts {
        Some(_) => Some(Database::open_read_only(&config.database)?),
        None => None,
    };
    let facts = facts.unwrap_or_default();
    let parked = facts.parked.into_iter().map(|parked| (parked.path, parked.reason)).collect();
    let upload_existing = config.scan.upload_existing;
    let mut run = DryRun {
        scope: Scope::new(config.watches.clone(), &config.database),
        database,
        baselines: facts.baselines,
        first_baseline: (!upload_existing).then(clock::unix_nanos),
        upload_existing,
        parked,
        output: Output::new(out, json),
    };
    for watch in &config.watches {
        run.walk(watch)?;
    }
    Ok(run.output.finish()?)
}

impl DryRun<'_> {
    fn walk(&mut self, watch: &Watch) -> Result<(), DryRunError> {
        let depth = if watch.recursive { usize::MAX } else { 1 };
        let root = WalkDir::new(&watch.local_path).follow_links(false).sort_by_file_name();
        let mut walk = root.max_depth(depth).into_iter();
        while let Some(entry) = walk.next() {
            match entry {
                Ok(entry) if entry.file_type().is_file() => self.consider(&entry, watch)?,
                Ok(entry) if entry.file_type().is_dir() && !self.scope.enters(entry.path()) => {
                    if watch.recursive {
                        self.leave(&entry.path().join(""), WhyNot::Excluded)?;
                        walk.skip_current_dir();
                    }
                }
                Ok(_) => {}
                Err(error) => self.trouble(&error)?,
            }
        }
        Ok(())
    }

    fn consider(&mut self, entry: &DirEntry, watch: &Watch) -> Result<(), DryRunError> {
        let path = entry.path();
        let remote_path = match self.scope.place(path) {
            Place::Outside => return Ok(()),
            Place::Excluded => return self.leave(path, WhyNot::Excluded),
            Place::Unnameable(error) => Err(error),
            Place::File { remote_path, .. } => Ok(remote_path.to_string()),
        };
        // Gone since the folder was read: a deleted file needs nothing.
        let Ok(metadata) = entry.metadata() else { return Ok(()) };
        let fingerprint = Fingerprint::of(&metadata);
        let record = match &self.database {
            Some(database) => database.record(path)?,
            None => None,
        };
        let mut verdict = judge(&File {
            fingerprint,
            remote_path: remote_path.as_deref().map_err(|error| *error),
            record: record.as_ref(),
            parked: self.parked.get(path).map(String::as_str),
            baseline_ns: self.baseline(watch),
            size_max: watch.max_file_size,
        });
        if let (Verdict::Upload(_), Err(error)) = (&verdict, access(path, Access::READ_OK)) {
            verdict = Verdict::Leave(WhyNot::Unreadable(io::Error::from(error).to_string()));
        }
        let remote_path = remote_path.as_deref().ok();
        let item = Item { path, size: Some(fingerprint.size), remote_path };
        Ok(self.output.tell(&item, &verdict)?)
    }

    fn baseline(&self, watch: &Watch) -> Option<i64> {
        if self.upload_existing {
            return None;
        }
        *self.baselines.get(&watch.local_path).unwrap_or(&self.first_baseline)
    }

    fn leave(&mut self, path: &Path, why: WhyNot) -> Result<(), DryRunError> {
        let item = Item { path, size: None, remote_path: None };
        Ok(self.output.tell(&item, &Verdict::Leave(why))?)
    }

    fn trouble(&mut self, error: &walkdir::Error) -> Result<(), DryRunError> {
        let gone = error.io_error().is_some_and(|error| error.kind() == ErrorKind::NotFound);
        if gone && error.depth() > 0 {
            // Since its folder was read.
            return Ok(());
        }
        let cause = error.io_error().map_or_else(|| error.to_string(), ToString::to_string);
        let path = error.path().unwrap_or(Path::new("")).to_owned();
        self.leave(&path, WhyNot::Unreadable(cause))
    }
}
