//! `s3up-server clients` and `s3up-server report`: how the clients are, as tables.
//!
//! Runs on the main thread of a command. It reads the server's database beside a server that writes to
//! it, or without one, and changes nothing. What is said is made by the modules inside, which
//! are pure; this file fetches and prints.

mod clients;
mod reports;
#[cfg(test)]
mod tests;

use crate::server::activity::reading::Reading;
use crate::server::activity::view::{day, first_day, overview};
use crate::server::config::Config;
use crate::sqlite::DatabaseError;
use crate::table::Paint;
use crate::wire::Day;
use serde::Serialize;
use std::io::{self, Write};

/// Why nothing can be told.
#[derive(Debug, thiserror::Error)]
pub enum TablesError {
    /// There is no database.
    #[error(
        "the server remembers nothing: its configuration has no database; hint: the key database.path"
    )]
    NoDatabase,
    /// Nobody has that name.
    #[error("no client is called {0:?} in the configuration")]
    NoClient(String),
    /// The database cannot be read.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// What is told cannot be written.
    #[error("cannot write to standard output: {0}")]
    Output(#[from] io::Error),
}

/// Whether somebody has to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All is as it should be.
    Well,
    /// Something is not.
    Ailing,
}

/// What is wanted.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// This client alone.
    pub client: Option<String>,
    /// A document for programs.
    pub json: bool,
    /// With colours or without.
    pub paint: Paint,
}

impl Wanted {
    /// The names of the clients that are wanted.
    fn names<'c>(&self, config: &'c Config) -> Result<Vec<&'c str>, TablesError> {
        let wanted = |name: &&str| self.client.as_deref().is_none_or(|one| one == *name);
        let names = config.clients.iter().map(|client| client.name.as_str()).filter(wanted);
        let names: Vec<&str> = names.collect();
        match &self.client {
            Some(client) if names.is_empty() => Err(TablesError::NoClient(client.clone())),
            _ => Ok(names),
        }
    }

    fn print(
        &self,
        document: &impl Serialize,
        text: impl FnOnce(Paint) -> String,
        out: &mut dyn Write,
    ) -> Result<(), TablesError> {
        let text = match self.json {
            // Texts and numbers: they always have a form in JSON.
            true => serde_json::to_string(document).unwrap_or_default() + "\n",
            false => text(self.paint),
        };
        out.write_all(text.as_bytes())?;
        Ok(out.flush()?)
    }
}

fn read(config: &Config) -> Result<Reading, TablesError> {
    let path = config.database.as_ref().ok_or(TablesError::NoDatabase)?;
    Ok(Reading::open(path)?)
}

/// How the clients are at the moment `now`, in seconds since 1970.
pub fn clients(
    config: &Config,
    wanted: &Wanted,
    now: i64,
    out: &mut dyn Write,
) -> Result<Verdict, TablesError> {
    let names = wanted.names(config)?;
    let facts = read(config)?.facts(first_day(now))?;
    let overview = overview(names.into_iter(), &facts, &config.reports, true, now);
    let table = clients::Clients::of(&overview, &facts);
    // Whether the server writes it down cannot be known from here.
    let mut document = serde_json::to_value(&overview).unwrap_or_default();
    if let Some(document) = document.as_object_mut() {
        document.remove("recording");
    }
    wanted.print(&document, |paint| table.text(paint), out)?;
    Ok(table.verdict())
}

/// What the clients said of a day, or of yesterday.
pub fn reports(
    config: &Config,
    wanted: &Wanted,
    date: Option<Day>,
    now: i64,
    out: &mut dyn Write,
) -> Result<Verdict, TablesError> {
    let date = date.unwrap_or_else(|| Day::of(now).plus(-1));
    let names = wanted.names(config)?;
    let mut kept = read(config)?.reports(date)?;
    kept.retain(|kept| wanted.client.as_deref().is_none_or(|one| one == kept.client));
    let day = day(names.into_iter(), date, kept);
    let table = reports::Reports { day: &day, now };
    wanted.print(&day, |paint| table.text(paint), out)?;
    Ok(table.verdict())
}
