//! Reads `server.yaml` and the certificate again while the server runs.
//!
//! One thread, `reload`. On SIGHUP it reads at once; besides, it looks at the files every
//! `limits::RELOAD_LOOK_EVERY` and reads what has changed and then come to rest. Clients and the
//! certificate are replaced; whatever else differs needs a restart and is named. A file that is not
//! sound is refused as a whole, all its problems are logged once, and the last good state stays. The
//! service manager is told when it was asked for, and what came of it.
//!
//! It owns what is in force of the file. It never ends the process, and it does not touch requests
//! and connections that are under way.

mod changes;
mod watch;

use crate::clock;
use crate::limits::RELOAD_LOOK_EVERY;
use crate::program;
use crate::server::clients::{Clients, warn_of_weak_admin_keys, warn_of_weak_keys};
use crate::server::config::{self, Config, Tls};
use crate::server::gate::certificate::{Certificates, Concern};
use crate::service;
use crate::shown::counted;
use crate::threads::Stop;
use crossbeam_channel::{Receiver, never, select};
use std::path::PathBuf;
use std::sync::Arc;
use watch::{State, Watch, Why};

/// What is read again, and where it goes.
#[derive(Debug)]
pub struct Reload {
    /// The configuration's file.
    pub file: PathBuf,
    /// Where the server listens, in words.
    pub listening: String,
    /// What was read of it at the start.
    pub config: Config,
    /// Who is admitted now.
    pub clients: Arc<Clients>,
    /// What is served over TLS now, if anything is.
    pub certificates: Option<Arc<Certificates>>,
}

impl Reload {
    /// How the server stands, for the service manager.
    pub fn standing(&self) -> String {
        standing(&self.listening, &self.config, "")
    }

    /// Looks and reads until the program is ending.
    pub fn run(self, stop: Stop, mut hangups: Receiver<()>) {
        let pair = self.certificates.zip(self.config.server.tls.clone());
        let mut pair = pair.map(|(certificates, files)| Pair {
            files,
            certificates,
            watch: Watch::default(),
            concern: None,
        });
        let mut settings = Settings {
            file: self.file,
            listening: self.listening,
            in_force: self.config,
            clients: self.clients,
            watch: Watch::default(),
            refused: false,
        };
        let mut asked = false;
        loop {
            if asked {
                service::reloading();
            }
            settings.look(asked);
            if let Some(pair) = &mut pair {
                pair.look(asked);
            }
            if asked {
                service::ready();
            }
            asked = select! {
                recv(stop.receiver()) -> _ => return,
                recv(hangups) -> message => {
                    if message.is_err() {
                        hangups = never();
                    }
                    message.is_ok()
                }
                default(RELOAD_LOOK_EVERY) => false,
            };
        }
    }
}

/// How the server stands, for the service manager.
fn standing(listening: &str, config: &Config, concern: &str) -> String {
    format!("{listening}; {}{concern}", counted(config.clients.len() as u64, "client"))
}

/// `server.yaml`.
struct Settings {
    file: PathBuf,
    listening: String,
    /// The start's, but for the people: those are the ones that are admitted now.
    in_force: Config,
    clients: Arc<Clients>,
    watch: Watch,
    /// The file that is there now was refused.
    refused: bool,
}

impl Settings {
    fn standing(&self) -> String {
        let concern = "; the file that is there now is refused, see the log";
        standing(&self.listening, &self.in_force, if self.refused { concern } else { "" })
    }

    fn look(&mut self, asked: bool) {
        if let Some(why) = self.watch.look(State::of(&[&self.file]), asked) {
            let before = self.standing();
            self.read(why);
            if self.standing() != before {
                service::status(&self.standing());
            }
        }
    }

    fn read(&mut self, why: Why) {
        match program::load_config(&self.file, config::parse) {
            Ok(config) => {
                let mended = self.watch.note_sound();
                self.refused = false;
                if !self.take(config) {
                    let file = self.file.display();
                    log::log!(level(why, mended), "{file} was read again: no client has changed");
                }
            }
            Err(error) => {
                self.refused = true;
                let problems = error.to_string();
                if self.watch.note_problem(why, &problems) {
                    problems.lines().for_each(|problem| log::error!("{problem}"));
                    let file = self.file.display();
                    log::error!("{file} is refused; the clients of the last good one stay");
                }
            }
        }
    }

    /// Puts the people in force and says what cannot be; `false` if they are the same.
    fn take(&mut self, config: Config) -> bool {
        let restart = changes::that_need_a_restart(&self.in_force, &config);
        if !restart.is_empty() {
            log::warn!("needs a restart: {}", restart.join(", "));
        }
        let changes = changes::of_clients(&self.in_force.clients, &config.clients);
        let administrators_changed = self.in_force.administrators != config.administrators;
        if changes.is_empty() && !administrators_changed {
            return false;
        }
        self.clients.replace(config.clients.clone(), config.administrators.clone());
        let file = self.file.display();
        if !changes.is_empty() {
            log::info!("{file} was read again: clients {changes}");
        }
        if administrators_changed {
            let count = config.administrators.len();
            log::info!("{file} was read again: admin_keys changed, there are {count}");
            warn_of_weak_admin_keys(&config.administrators);
        }
        warn_of_weak_keys(config.clients.iter().filter(|client| changes.concern(&client.name)));
        self.in_force.clients = config.clients;
        self.in_force.administrators = config.administrators;
        true
    }
}

/// The certificate and its key.
struct Pair {
    files: Tls,
    certificates: Arc<Certificates>,
    watch: Watch,
    /// What the log has said of the certificate.
    concern: Option<Concern>,
}

impl Pair {
    fn look(&mut self, asked: bool) {
        let state = State::of(&[&self.files.cert_file, &self.files.key_file]);
        if let Some(why) = self.watch.look(state, asked) {
            self.read(why);
        }
        // Time passes, too: a certificate that nobody renews becomes a concern by itself.
        let concern = self.certificates.concern(clock::utc());
        if concern != self.concern {
            concern.iter().for_each(|concern| log::warn!("{concern}"));
            self.concern = concern;
        }
    }

    fn read(&mut self, why: Why) {
        match self.certificates.reload() {
            Ok(changed) => {
                let mended = self.watch.note_sound();
                let file = self.files.cert_file.display();
                if changed {
                    log::info!("{file} was read again: new connections get the new certificate");
                    self.certificates.announce();
                } else {
                    log::log!(
                        level(why, mended),
                        "{file} was read again: it is the same certificate"
                    );
                }
            }
            Err(error) => {
                if self.watch.note_problem(why, &error.to_string()) {
                    log::error!("{error}; the last good certificate stays");
                }
            }
        }
    }
}

/// How loud it is said that nothing has changed: an operator who asked, or who mended something,
/// waits for an answer.
fn level(why: Why, mended: bool) -> log::Level {
    if why == Why::Asked || mended { log::Level::Info } else { log::Level::Debug }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// A certificate and its key as PEM.
    fn pair() -> (String, String) {
        let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        (pair.cert.pem(), pair.signing_key.serialize_pem())
    }

    /// Puts a file in the place of another, as renewals do.
    fn replace(file: &Path, text: &str) {
        let new = file.with_extension("new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, file).unwrap();
    }

    #[test]
    fn a_pair_whose_files_change_one_after_the_other_is_served_when_both_have() {
        let folder = tempfile::tempdir().unwrap();
        let files = Tls {
            cert_file: folder.path().join("cert.pem"),
            key_file: folder.path().join("key.pem"),
        };
        let (old, new) = (pair(), pair());
        replace(&files.cert_file, &old.0);
        replace(&files.key_file, &old.1);
        let certificates = Arc::new(Certificates::load(&files).unwrap());
        let (watch, concern) = (Watch::default(), None);
        let mut pair = Pair { files, certificates: Arc::clone(&certificates), watch, concern };
        let served = certificates.current();
        let mut look = |asked, changed| {
            pair.look(asked);
            assert_eq!(!Arc::ptr_eq(&served, &certificates.current()), changed);
            pair.files.clone()
        };
        look(false, false);
        let files = look(false, false);
        replace(&files.cert_file, &new.0);
        look(false, false);
        look(false, false);
        look(true, false);
        replace(&files.key_file, &new.1);
        look(false, false);
        look(false, true);
        look(true, true);
    }
}
