//! `s3up status`: how the backup of this host stands, whether a client is running or not.
//!
//! Runs on the command's main thread. A running client is asked by the socket beside its database;
//! what outlives it is read from the database. It changes nothing, and asks no server.

pub mod desk;
pub mod live;
pub mod report;
pub mod socket;
pub mod text;

#[cfg(test)]
mod tests;

use crate::client::config::Config;
use crate::client::database::facts;
use crate::clock;
use crate::limits::status::{ASK, PARKED_SHOWN_MAX, UPLOADS_SHOWN_MAX};
use crate::shown;
use crate::sqlite::DatabaseError;
use live::Live;
use report::{Sources, Verdict, report};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

/// The question that is answered by a [`Live`].
pub const STATUS: &str = "status";

/// The question that asks for a scan of everything; it is answered by [`SCAN_ACCEPTED`].
pub const SCAN: &str = "scan";

/// The answer to [`SCAN`] if all is well.
pub const SCAN_ACCEPTED: &[u8] = b"{\"accepted\":true}";

/// The question that asks for today's report to be sent; it is answered by a
/// [`NowAnswer`](crate::client::daily::NowAnswer).
pub const REPORT: &str = "report";

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum StatusError {
    /// The database cannot be read.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The client's socket cannot be used by this user.
    #[error(
        "cannot ask the client by {path:?}: {cause}; hint: run this as the user that it runs as, or \
         as root"
    )]
    Socket {
        /// The socket.
        path: PathBuf,
        /// What the system answered.
        cause: io::Error,
    },
    /// A scan was asked for, and nobody is there to do it.
    #[error("no client is running with this database; hint: it scans everything when it starts")]
    NotRunning,
    /// A scan was asked for, and the client does not say that it will do it.
    #[error("the client does not say that it will scan: {0}")]
    NotAccepted(String),
    /// The report cannot be written.
    #[error("cannot write the report: {0}")]
    Output(#[from] io::Error),
}

/// Reports to `out`, as text or as JSON.
pub fn run(config: &Config, json: bool, out: &mut dyn Write) -> Result<Verdict, StatusError> {
    let (live, silence) = match ask(&config.database)? {
        Asked::Answer(live) => (Some(*live), None),
        Asked::Nobody => (None, None),
        Asked::Silence(why) => (None, Some(why)),
    };
    let parked = if json { usize::MAX } else { PARKED_SHOWN_MAX };
    let facts = facts::read(&config.database, parked, UPLOADS_SHOWN_MAX)?;
    let now = clock::unix_seconds();
    let (report, verdict) = report(Sources { config, live, silence, facts, now });
    if json {
        serde_json::to_writer_pretty(&mut *out, &report).map_err(io::Error::from)?;
        writeln!(out)?;
    } else {
        out.write_all(text::text(&report).as_bytes())?;
    }
    Ok(verdict)
}

/// What came of asking.
#[derive(Debug)]
pub enum Asked {
    /// The running client told.
    Answer(Box<Live>),
    /// No client is running.
    Nobody,
    /// One is, and told nothing that can be read; why.
    Silence(String),
}

/// Asks the client that runs with this database how it is.
pub fn ask(database: &Path) -> Result<Asked, StatusError> {
    match socket::ask(database, STATUS, ASK) {
        Ok(None) => Ok(Asked::Nobody),
        Ok(Some(answer)) => Ok(match serde_json::from_slice(&answer) {
            Ok(live) => Asked::Answer(live),
            Err(error) => Asked::Silence(format!("the client's answer cannot be read: {error}")),
        }),
        Err(cause) if cause.kind() == ErrorKind::PermissionDenied => {
            Err(forbidden(database, cause))
        }
        Err(cause) => Ok(Asked::Silence(format!("the client does not answer: {cause}"))),
    }
}

/// Asks the client that runs with this database to scan everything.
pub fn request_scan(database: &Path) -> Result<(), StatusError> {
    match socket::ask(database, SCAN, ASK) {
        Ok(None) => Err(StatusError::NotRunning),
        Ok(Some(answer)) if answer == SCAN_ACCEPTED => Ok(()),
        Ok(Some(answer)) => {
            let answer = shown::visible(&String::from_utf8_lossy(&answer));
            Err(StatusError::NotAccepted(answer))
        }
        Err(cause) if cause.kind() == ErrorKind::PermissionDenied => {
            Err(forbidden(database, cause))
        }
        Err(cause) => Err(StatusError::NotAccepted(cause.to_string())),
    }
}

/// The client's socket is not for this user.
pub(super) fn forbidden(database: &Path, cause: io::Error) -> StatusError {
    StatusError::Socket { path: socket::path(database), cause }
}
