//! Daily reports: what this client says of each of its days, and `s3up report`.
//!
//! Runs on the `reporter` thread or on a command's main thread. A day's counts are the database's; what
//! is going on now is told by the running client. It sends and never uploads: no file waits for it.

pub mod assemble;
pub mod command;
pub mod reasons;
pub mod reporter;
pub mod schedule;
pub mod text;

use crate::client::database::{DayCounts, day_facts};
use crate::client::status::live::Live;
use crate::sqlite::DatabaseError;
use crate::wire::Day;
use crate::wire::report::{Report, Reported};
use assemble::{Sources, assemble};
use rustix::fs::statvfs;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// A report that the server has taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// What was sent.
    pub report: Report,
    /// What the server said to it.
    pub answer: Reported,
}

/// What a running client answers when it was asked to send today's report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NowAnswer {
    /// The server has it.
    Sent(Box<Sent>),
    /// The server does not have it; why.
    Error(String),
}

/// A report that can be sent, and the counts in it as the database has them.
#[derive(Clone, Debug)]
pub struct Gathered {
    /// The report.
    pub report: Report,
    /// For [`Database::reported`](crate::client::database::Database::reported).
    pub counts: DayCounts,
}

/// Makes the report of `day` as of `now`, in seconds since 1970, from the database at `path`, and from
/// what the running client tells. None if there is no database yet.
pub fn gather(
    path: &Path,
    watches: &[PathBuf],
    day: Day,
    now: i64,
    live: Option<&Live>,
) -> Result<Option<Gathered>, DatabaseError> {
    let Some(facts) = day_facts::read(path, day)? else { return Ok(None) };
    let free_disk = free_beside(path);
    let report = assemble(Sources { day, now, watches, facts: &facts, live, free_disk });
    Ok(Some(Gathered { report, counts: facts.counts }))
}

/// What users other than root find free beside a file, in bytes.
fn free_beside(path: &Path) -> Option<u64> {
    let found = statvfs(path.parent()?).ok()?;
    Some(found.f_bavail.saturating_mul(found.f_frsize))
}
