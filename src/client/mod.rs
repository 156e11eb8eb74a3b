//! The client daemon: it watches folders and sends what comes to rest there.
//!
//! This file has the main thread's loop: it begins a life of the client (`life`), waits for what ends
//! it, and begins another one with a new configuration if SIGHUP asks for that. Both programs' orders of
//! start and end are wiring; this one's are in `life`.

pub mod ahead;
pub mod arguments;
pub mod attempt;
pub mod bandwidth;
pub mod baseline;
pub mod baselines;
pub mod check;
pub mod choice;
pub mod clock_watch;
pub mod comparison;
pub mod config;
pub mod daily;
pub mod database;
pub mod denied;
pub mod disk;
pub mod dry_run;
pub mod filter;
pub mod fingerprint;
pub mod folders;
pub mod form;
pub mod healthcheck;
pub mod herald;
pub mod hints;
mod life;
pub mod losses;
pub mod metrics;
pub mod outage;
pub mod paced;
pub mod parking;
pub mod plan;
pub mod progress;
pub mod queue;
pub mod remote;
pub mod retry;
pub mod rewatch;
pub mod scanner;
pub mod scope;
pub mod stability;
pub mod status;
pub mod survey;
pub mod tls;
pub mod transport;
pub mod uploader;
pub mod walk;
pub mod watch_limit;
pub mod watcher;

use crate::program;
use crate::service::{self, Watchdog};
use crate::sqlite::DatabaseError;
use crate::threads::{Died, Ended, Supervisor, Woken, hangups};
use config::Config;
use crossbeam_channel::Receiver;
use herald::Bar;
use life::{Life, Running};
use std::io;
use std::path::{Path, PathBuf};
use tls::TrustError;

/// Why the client could not start, or had to end.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The database cannot be used.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// None of the watched folders can be read, so there is nothing to do.
    #[error(
        "cannot read any watched folder; the first is {path:?}: {cause}; hint: it must exist and \
         this user must be able to read it (key watches[].local_path); a service sees only what its \
         unit names (BindReadOnlyPaths=)"
    )]
    NoFolder {
        /// The first watched folder.
        path: PathBuf,
        /// What the system answered.
        cause: io::Error,
    },
    /// Nothing to know the server by.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The system has no inotify instance left.
    #[error(
        "cannot watch anything: {0}; hint: raise fs.inotify.max_user_instances: sysctl \
         fs.inotify.max_user_instances=1024"
    )]
    Watch(notify::Error),
    /// No thread or signal handler to be had.
    #[error("cannot start a thread: {0}")]
    Thread(#[from] io::Error),
    /// Threads did not end for a new configuration.
    #[error(
        "for the new configuration all threads had to end, and {0} did not in time; the program ends, and \
         its next start reads that configuration"
    )]
    Stuck(String),
    /// A part of it ended, which none may.
    #[error(transparent)]
    Died(#[from] Died),
}

/// What follows from a new configuration that is none.
const AS_BEFORE: &str = "the client goes on with the last good configuration";

/// Runs the client until a signal ends it. `file` is what `config` was read from; on SIGHUP it is read
/// again.
///
/// With a `bar`, the first catch-up is shown by it.
pub fn run(file: &Path, mut config: Config, bar: Option<Bar>) -> Result<(), ClientError> {
    let mut supervisor = Supervisor::new()?;
    let hangups = hangups()?;
    let mut life = Life::prepare(&config, bar.clone())?;
    loop {
        let running = life.begin(&mut supervisor)?;
        // What could fail for a wrong configuration has not. Watches and the first scan may take
        // minutes, and nobody who starts services has to wait for that.
        service::ready();
        let next = match wait(&mut supervisor, &running, &hangups, file, &config) {
            Next::Config(next) => next,
            Next::End(ended) => {
                service::stopping();
                if let Ended::Signal(signal) = ended {
                    let waiting = running.waiting();
                    log::info!("{signal}: ending; {waiting} files wait and are found again");
                }
                if !running.end(&mut supervisor) {
                    log::warn!(
                        "an upload did not end in time and is abandoned; it is repeated at the next \
                         start"
                    );
                }
                return Ok(ended.into_result()?);
            }
        };
        log::info!("{} was read again: the client begins anew with it", file.display());
        let all_ended = running.end(&mut supervisor);
        if supervisor.is_told_to_end() {
            service::stopping();
            log::info!("told to end meanwhile: ending; what waits is found again");
            return Ok(());
        }
        if !all_ended {
            return Err(ClientError::Stuck(supervisor.running().join(", ")));
        }
        life = match Life::prepare(&next, bar.clone()) {
            Ok(life) => {
                config = *next;
                life
            }
            Err(error) => {
                log::error!("{error}");
                log::error!("{} cannot be put in force; {AS_BEFORE}", file.display());
                Life::prepare(&config, bar.clone())?
            }
        };
    }
}

/// What follows a life.
enum Next {
    /// Another one.
    Config(Box<Config>),
    /// Nothing.
    End(Ended),
}

fn wait(
    supervisor: &mut Supervisor,
    running: &Running,
    hangups: &Receiver<()>,
    file: &Path,
    in_force: &Config,
) -> Next {
    let watchdog = Watchdog::new(|| running.prove_alive());
    loop {
        match supervisor.wait_or_hangup(&watchdog, hangups) {
            Woken::Ended(ended) => return Next::End(ended),
            Woken::Hangup => {
                service::reloading();
                if let Some(config) = read_again(file, in_force) {
                    return Next::Config(Box::new(config));
                }
                service::ready();
            }
        }
    }
}

/// What stands in the configuration file now, if it is sound and something else.
fn read_again(file: &Path, in_force: &Config) -> Option<Config> {
    let name = file.display();
    match program::load_config(file, config::parse) {
        Ok(config) if config != *in_force => return Some(config),
        Ok(_) => log::info!("{name} was read again: it is unchanged, and so is the client"),
        Err(error) => {
            error.to_string().lines().for_each(|problem| log::error!("{problem}"));
            log::error!("{name} is refused; {AS_BEFORE}");
            service::status(&format!("{name} is refused, see the log; {AS_BEFORE}"));
        }
    }
    None
}
