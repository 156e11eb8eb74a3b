//! `s3up scan --dry-run`: what a scan that began now would do with each file, and why.
//!
//! Runs on the command's main thread, beside a running client or without one. It goes through the
//! scanner's own walk, survey and choice, so that both say the same. It touches nothing: no
//! server is asked, no database is made, and no file is opened. Without a database it is the first
//! run. A clock that was set back since the client's last look at it counts as if it had not been.

mod output;
mod verdict;

use crate::client::choice::{Choice, choose};
use crate::client::config::{Config, Watch};
use crate::client::database::{Database, facts};
use crate::client::plan::Known;
use crate::client::scope::Scope;
use crate::client::survey::{Finding, survey};
use crate::client::walk::{Passed, Seen, WalkError, walk};
use crate::clock;
use crate::limits::SCAN_PAGE_ROWS;
use crate::sqlite::DatabaseError;
use output::{Item, Output};
use rustix::fs::{Access, access};
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use verdict::{File, Verdict, WhyNot, of_file, of_passed};

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
    output: Output<'d>,
}

/// Prints to `out` what a scan would do.
pub fn run(config: &Config, json: bool, out: &mut dyn Write) -> Result<(), DryRunError> {
    let facts = facts::read(&config.database, 0, 0)?;
    let database = match &facts {
        Some(_) => Some(Database::open_read_only(&config.database)?),
        None => None,
    };
    let upload_existing = config.scan.upload_existing;
    let mut run = DryRun {
        scope: Scope::new(config.watches.clone(), &config.database),
        database,
        baselines: facts.unwrap_or_default().baselines,
        first_baseline: (!upload_existing).then(clock::unix_nanos),
        upload_existing,
        output: Output::new(out, json),
    };
    for watch in &config.watches {
        run.watch(watch)?;
    }
    Ok(run.output.finish()?)
}

impl DryRun<'_> {
    fn watch(&mut self, watch: &Watch) -> Result<(), DryRunError> {
        let (root, room, baseline) = (&watch.local_path, SCAN_PAGE_ROWS, self.baseline(watch));
        let Self { scope, database, output, .. } = self;
        let database = database.as_ref();
        let rows = database.map(|database| database.rows_below(root, room));
        let parked = database.map(|database| database.parked_below(root, room));
        let walk = walk(root, watch.recursive, |folder| scope.enters(folder));
        for finding in survey(walk, rows.into_iter().flatten(), parked.into_iter().flatten()) {
            match finding? {
                Finding::File { seen, known, parked } => {
                    let choice = choose(scope, baseline, &seen, known.as_ref(), parked.is_some());
                    let file = of(&seen, known.as_ref(), parked.as_deref(), database);
                    tell_file(output, &choice, &seen.path, file)?;
                }
                Finding::Passed(Passed { path, why }) => {
                    if let Some(verdict) = of_passed(why, &scope.place(&path)) {
                        output
                            .tell(&Item { path: &path, size: None, remote_path: None }, &verdict)?;
                    }
                }
                Finding::Trouble(WalkError { path, cause, .. }) => {
                    let verdict = Verdict::Leave(WhyNot::Unreadable(cause.to_string()));
                    output.tell(&Item { path: &path, size: None, remote_path: None }, &verdict)?;
                }
                // A scan forgets that it was parked.
                Finding::Vanished(_) => {}
            }
        }
        Ok(())
    }

    fn baseline(&self, watch: &Watch) -> Option<i64> {
        if self.upload_existing {
            return None;
        }
        *self.baselines.get(&watch.local_path).unwrap_or(&self.first_baseline)
    }
}

fn of<'f>(
    seen: &Seen,
    known: Option<&'f Known>,
    parked: Option<&'f str>,
    database: Option<&Database>,
) -> File<'f> {
    let fingerprint = seen.fingerprint;
    let may_be_lost = database.is_some_and(|database| database.may_have_lost(&fingerprint));
    File { fingerprint, known, parked, may_be_lost }
}

fn tell_file(
    output: &mut Output<'_>,
    choice: &Choice<'_>,
    path: &Path,
    file: File<'_>,
) -> io::Result<()> {
    let Some(mut verdict) = of_file(choice, file) else { return Ok(()) };
    // Asked only of what would be opened.
    if let (Verdict::Upload(_), Err(error)) = (&verdict, access(path, Access::READ_OK)) {
        verdict = Verdict::Leave(WhyNot::Unreadable(io::Error::from(error).to_string()));
    }
    let remote_path = match choice {
        Choice::Wanted { remote_path, .. } => Some(remote_path.as_str()),
        _ => None,
    };
    output.tell(&Item { path, size: Some(file.fingerprint.size), remote_path }, &verdict)
}
