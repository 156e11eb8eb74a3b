//! `s3up report`: what this client would report of today, or, with `--now`, has reported.
//!
//! Runs on the command's main thread. A running client is asked to send: it alone knows what it does.
//! Without one, the database is read and the report sent from here. Nothing is written.

use super::{NowAnswer, Sent, gather, reporter, text};
use crate::client::config::Config;
use crate::client::remote::ReportedTo as _;
use crate::client::status::live::Live;
use crate::client::status::{self, Asked, REPORT, StatusError, socket};
use crate::client::tls::TrustError;
use crate::client::transport::Transport;
use crate::clock;
use crate::limits::daily::NOW;
use crate::shown::visible;
use crate::sqlite::DatabaseError;
use crate::wire::Day;
use crate::wire::report::{Report, Verdict};
use serde::Serialize;
use std::io::{self, ErrorKind, Write};
use std::path::PathBuf;

/// Why there is no report, or why it was not sent.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The running client cannot be asked.
    #[error(transparent)]
    Status(#[from] StatusError),
    /// The database cannot be read.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// There is nothing to report.
    #[error("there is no database at {0:?} yet; hint: the client makes it when it starts")]
    NoDatabase(PathBuf),
    /// A client is running, and does not tell.
    #[error("{0}")]
    Silence(String),
    /// Nothing to know the server by.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The server does not have the report.
    #[error("the report was not taken: {0}")]
    NotTaken(String),
    /// What there is to say cannot be written.
    #[error("cannot write the report: {0}")]
    Output(#[from] io::Error),
}

/// Shows what would be sent, as text or as JSON.
pub fn show(config: &Config, json: bool, out: &mut dyn Write) -> Result<(), ReportError> {
    let live = match status::ask(&config.database)? {
        Asked::Answer(live) => Some(live),
        Asked::Nobody => None,
        Asked::Silence(why) => return Err(ReportError::Silence(why)),
    };
    let report = today(config, live.as_deref())?;
    print(&report, text::unsent, json, out)
}

/// Has today's report sent, and shows it with what the server said to it. Returns whether the server
/// counted something else.
pub fn send(config: &Config, json: bool, out: &mut dyn Write) -> Result<bool, ReportError> {
    let sent = match socket::ask(&config.database, REPORT, NOW) {
        Ok(Some(answer)) => read(&answer)?,
        Ok(None) => send_from_here(config)?,
        Err(cause) if cause.kind() == ErrorKind::PermissionDenied => {
            return Err(status::forbidden(&config.database, cause).into());
        }
        Err(cause) => {
            return Err(ReportError::Silence(format!("the client does not answer: {cause}")));
        }
    };
    print(&sent, text::sent, json, out)?;
    Ok(sent.answer.check.verdict == Verdict::Differs)
}

/// What the running client said.
fn read(answer: &[u8]) -> Result<Sent, ReportError> {
    match serde_json::from_slice(answer) {
        Ok(NowAnswer::Sent(sent)) => Ok(*sent),
        Ok(NowAnswer::Error(why)) => Err(ReportError::NotTaken(visible(&why))),
        Err(_) if answer.is_empty() => {
            Err(ReportError::Silence("the client ended before it had an answer".to_owned()))
        }
        Err(error) => {
            Err(ReportError::Silence(format!("the client's answer cannot be read: {error}")))
        }
    }
}

fn send_from_here(config: &Config) -> Result<Sent, ReportError> {
    let report = today(config, None)?;
    let answer = Transport::new(&config.server)?
        .report(&report)
        .map_err(|failure| ReportError::NotTaken(reporter::explained(&failure)))?;
    Ok(Sent { report, answer })
}

fn today(config: &Config, live: Option<&Live>) -> Result<Report, ReportError> {
    let now = clock::unix_seconds();
    let watches: Vec<PathBuf> =
        config.watches.iter().map(|watch| watch.local_path.clone()).collect();
    let gathered = gather(&config.database, &watches, Day::of(now), now, live)?;
    let gathered = gathered.ok_or_else(|| ReportError::NoDatabase(config.database.clone()))?;
    Ok(gathered.report)
}

fn print<T: Serialize>(
    what: &T,
    text: fn(&T) -> String,
    json: bool,
    out: &mut dyn Write,
) -> Result<(), ReportError> {
    if json {
        serde_json::to_writer_pretty(&mut *out, what).map_err(io::Error::from)?;
        writeln!(out)?;
    } else {
        out.write_all(text(what).as_bytes())?;
    }
    Ok(())
}
