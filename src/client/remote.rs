//! What the client wants of a server, and what can go wrong there.
//!
//! Pure: a contract and its words. `transport` keeps it over HTTP, a simulation in memory.

use crate::client::form::Fields;
use crate::remote_path::RemotePath;
use crate::wire::report::{Report, Reported};
use crate::wire::{Existence, Fault, Uploaded};
use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

/// Where files are sent.
pub trait Remote {
    /// Sends one file. Success means that the server has it in its store, with exactly the size and
    /// digest that were sent.
    fn upload(&self, content: &mut dyn Read, fields: &Fields<'_>) -> Result<Uploaded, Failure>;

    /// Asks what the server has at a path.
    fn existence(&self, path: &RemotePath) -> Result<Existence, Failure>;
}

impl<R: Remote> Remote for Arc<R> {
    fn upload(&self, content: &mut dyn Read, fields: &Fields<'_>) -> Result<Uploaded, Failure> {
        R::upload(self, content, fields)
    }

    fn existence(&self, path: &RemotePath) -> Result<Existence, Failure> {
        R::existence(self, path)
    }
}

/// Where reports are sent.
pub trait ReportedTo: Send + Sync {
    /// Sends one report. Success means that the server has noted it in place of any other of that day.
    fn report(&self, report: &Report) -> Result<Reported, Failure>;
}

/// Why a file was not stored, or a report not taken.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The file could not be read to its end.
    #[error("cannot read it: {0}")]
    File(io::Error),
    /// The server answered, and not with success.
    #[error("the server answers {status} {error}: {message}")]
    Refused {
        /// Who has to act.
        fault: Fault,
        /// The HTTP status.
        status: u16,
        /// The error code, or what stands in its place.
        error: String,
        /// What the server says about it.
        message: String,
        /// How long it asks to be left alone.
        retry_after: Option<Duration>,
    },
    /// No answer: no connection, a broken one, none in time.
    #[error("{0}")]
    Unreachable(String),
    /// An answer that cannot be true.
    #[error("the server's answer is not what was asked for: {0}")]
    Nonsense(String),
}

impl Failure {
    /// Who has to act.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Refused { fault, .. } => *fault,
            Self::Unreachable(_) => Fault::Server,
            Self::File(_) | Self::Nonsense(_) => Fault::Exchange,
        }
    }

    /// How long the server asks to be left alone.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}
