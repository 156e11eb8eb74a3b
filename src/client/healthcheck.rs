//! `s3up healthcheck`: whether a client is running and answers, for containers and monitoring.
//!
//! Runs on the command's main thread. It asks by the socket beside the database, and nothing else: a
//! client that cannot back up everything, or whose server is away, is alive all the same, and would do
//! no better for being killed. `s3up status` tells how the backup stands.

use crate::client::status::{self, Asked, StatusError};
use crate::shown;
use std::path::Path;

/// No client runs, or none that answers.
#[derive(Debug, thiserror::Error)]
pub enum HealthcheckError {
    /// Nobody is there to be asked.
    #[error("no client is running with the database {0}")]
    NotRunning(String),
    /// A client is there, and says nothing that can be read.
    #[error("{0}")]
    Silent(String),
    /// The socket is not for this user.
    #[error(transparent)]
    Status(#[from] StatusError),
}

/// Asks the client that runs with this database; the text says in one line who answered.
pub fn run(database: &Path) -> Result<String, HealthcheckError> {
    match status::ask(database)? {
        Asked::Answer(live) => {
            Ok(format!("ok: s3up {} runs as process {}", shown::visible(&live.version), live.pid))
        }
        Asked::Nobody => Err(HealthcheckError::NotRunning(format!("{database:?}"))),
        Asked::Silence(why) => Err(HealthcheckError::Silent(shown::visible(&why))),
    }
}
