//! Tells somebody when a client falls silent, and when it is back: by a command, by a webhook, or both.
//!
//! One thread, `alerts`, if `reports.on_silent` is configured. It sleeps until the next moment at which time
//! alone can change how a client stands, until a client that is waited for has given a sign, or until the list
//! of clients is replaced. It owns what was told, by each way apart, and keeps that in the server's
//! database, so that a restart neither forgets nor repeats; only a process that dies between a message
//! and its note says it twice. It must not hold up anybody: nobody waits for it, and it never ends the
//! process.

pub mod command;
pub mod message;
pub mod plan;
#[cfg(test)]
mod tests;
pub mod webhook;

use crate::backoff;
use crate::clock;
use crate::limits::alerts::{LOOK_EVERY_MAX, LOOK_EVERY_MIN, READ_AGAIN, RETRY_FIRST, RETRY_MAX};
use crate::server::activity::reading::{ClientFacts, Facts};
use crate::server::activity::standing::{Signs, Standing};
use crate::server::activity::{Activity, Awaited, Told};
use crate::server::clients::Clients;
use crate::server::config::{OnSilent, Reports};
use crate::server::store::s3::Environment;
use crate::shown;
use crate::threads::{Stop, StopSource};
use crate::wire::Day;
use crossbeam_channel::{never, select};
use message::Message;
use plan::{Client, Memory, Plan, Record, Since, later};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// A way that messages take.
pub trait Way: Send {
    /// Its name, in the log and in the database.
    fn name(&self) -> &'static str;

    /// Brings a message there, or says why that failed, without a secret.
    fn tell(&self, message: &Message, stop: &Stop) -> Result<(), String>;
}

struct ByCommand(crate::server::config::AlertCommand);

impl Way for ByCommand {
    fn name(&self) -> &'static str {
        "command"
    }

    fn tell(&self, message: &Message, stop: &Stop) -> Result<(), String> {
        let told = command::run(&self.0, message, stop);
        told.map_err(|error| format!("{}: {error}", self.0.program.display()))
    }
}

struct ByWebhook(crate::server::config::AlertWebhook, Environment);

impl Way for ByWebhook {
    fn name(&self) -> &'static str {
        "webhook"
    }

    fn tell(&self, message: &Message, _: &Stop) -> Result<(), String> {
        let told = webhook::post(&self.0, &self.1, message);
        told.map_err(|error| format!("{}: {error}", self.0.shown))
    }
}

/// The ways that are configured.
pub fn ways(on_silent: &OnSilent, environment: &Environment) -> Vec<Box<dyn Way>> {
    let command =
        on_silent.command.clone().map(|command| Box::new(ByCommand(command)) as Box<dyn Way>);
    let webhook = on_silent.webhook.clone();
    let webhook =
        webhook.map(|webhook| Box::new(ByWebhook(webhook, environment.clone())) as Box<dyn Way>);
    command.into_iter().chain(webhook).collect()
}

/// Sends a test message by each way and prints a line for each; `true` if all took it, and there is one. An error is
/// one of `out`.
pub fn test(on_silent: &OnSilent, out: &mut dyn Write) -> io::Result<bool> {
    let ways = ways(on_silent, &Environment::process());
    if ways.is_empty() {
        writeln!(out, "nobody is told when a client falls silent (key reports.on_silent)")?;
    }
    let (stop, message) = (StopSource::default(), Message::test(clock::unix_seconds()));
    let mut all_well = !ways.is_empty();
    for way in ways {
        let told = way.tell(&message, &stop.stop());
        all_well &= told.is_ok();
        let ended = told.map_or_else(|error| format!("FAILED: {error}"), |()| "ok".to_owned());
        writeln!(out, "{:10}{ended}", way.name())?;
    }
    Ok(all_well)
}

/// Whether there is a program at `path` that may be run, as far as that shows from outside.
pub fn find_program(path: &Path) -> io::Result<()> {
    let metadata = std::fs::metadata(path)?;
    match metadata.is_file() && metadata.permissions().mode() & 0o111 != 0 {
        true => Ok(()),
        false => Err(io::Error::other("it is no program that can be run")),
    }
}

/// Who tells; see the module's head.
pub struct Alerts {
    activity: Activity,
    clients: Arc<Clients>,
    reports: Reports,
    /// When the server was started.
    started: i64,
    routes: Vec<Route>,
    /// When the database was begun from which the memory came, or in which it was kept last.
    kept_in: Option<i64>,
    /// Whether the memory has to be kept.
    changed: bool,
    /// Whether the log has said that nobody can be told.
    said_unreadable: bool,
}

/// A way, what was told by it, and whether it works.
struct Route {
    way: Box<dyn Way>,
    memory: Memory,
    failures: u32,
    /// When it is tried again after a failure.
    again_at: Option<i64>,
}

/// What is known at the moment of a look.
struct Scene {
    clients: Vec<Client>,
    facts: Facts,
    since: Since,
    now: i64,
}

impl Alerts {
    /// Tells by `ways` how the `clients` of a server stand that was started at the moment `started`.
    pub fn new(
        activity: Activity,
        clients: Arc<Clients>,
        reports: Reports,
        ways: Vec<Box<dyn Way>>,
        started: i64,
    ) -> Self {
        let route = |way| Route { way, memory: Memory::default(), failures: 0, again_at: None };
        let routes = ways.into_iter().map(route).collect();
        let (kept_in, changed, said_unreadable) = (None, false, false);
        Self { activity, clients, reports, started, routes, kept_in, changed, said_unreadable }
    }

    /// Looks and tells until the program is ending.
    pub fn run(mut self, stop: &Stop) {
        let activity = self.activity.clone();
        let nobody = never();
        let news = activity.awaited().map_or(&nobody, Awaited::news);
        let clients = Arc::clone(&self.clients);
        loop {
            let now = clock::unix_seconds();
            let next = self.look(now, stop);
            let pause = u64::try_from(next.saturating_sub(now)).unwrap_or(0);
            let pause = Duration::from_secs(pause).clamp(LOOK_EVERY_MIN, LOOK_EVERY_MAX);
            select! {
                recv(stop.receiver()) -> _ => return,
                recv(news) -> _ => {}
                recv(clients.changed()) -> _ => {}
                default(pause) => {}
            }
            // Those that come back together are one look.
            if stop.wait(LOOK_EVERY_MIN) {
                return;
            }
        }
    }

    /// Looks how the clients stand at the moment `now`, tells what has to be told, and says when to look again.
    pub fn look(&mut self, now: i64, stop: &Stop) -> i64 {
        let again = later(now, READ_AGAIN);
        let Some(scene) = self.scene(now) else { return again };
        let mut next = later(now, LOOK_EVERY_MAX);
        for index in 0..self.routes.len() {
            let Plan { due, next: moment, changed } = {
                let memory = &mut self.routes[index].memory;
                memory.plan(&scene.clients, scene.since, self.reports.late_after, now)
            };
            self.changed |= changed;
            moment.into_iter().for_each(|moment| next = next.min(moment));
            for change in due {
                if stop.is_raised() {
                    return again;
                }
                let waits = self.routes[index].waits_until(now).is_some();
                if !waits && self.routes[index].tell(&change, &scene, stop) {
                    // At once: what was told is not to be told again, whatever happens now.
                    self.changed = true;
                    self.keep();
                }
                let moment = self.routes[index].waits_until(now);
                moment.into_iter().for_each(|moment| next = next.min(moment));
            }
        }
        self.keep();
        let gained = self.wait_for_signs();
        match (self.changed, gained) {
            // What was given between reading and waiting was heard by nobody.
            (_, true) => now,
            (true, false) => next.min(again),
            (false, false) => next,
        }
    }

    /// How things stand; none if the database cannot be read.
    fn scene(&mut self, now: i64) -> Option<Scene> {
        // Of days only today's, which nobody looks at.
        let read =
            self.activity.read(|reading| Ok((reading.told()?, reading.facts(Day::of(now))?)));
        let ((kept, told), facts) = match read {
            Ok(read) => read,
            Err(error) => {
                if !std::mem::replace(&mut self.said_unreadable, true) {
                    log::error!("nobody can be told whether clients fall silent: {error}");
                }
                return None;
            }
        };
        if std::mem::take(&mut self.said_unreadable) {
            log::info!("whether clients fall silent is looked at again");
        }
        match self.kept_in {
            None => self.routes.iter_mut().for_each(|route| route.remember(&told)),
            // Another database has taken its place meanwhile.
            Some(before) => self.changed |= before != kept,
        }
        self.kept_in = Some(kept);
        let keyring = self.clients.current();
        let names = keyring.clients().map(|client| client.name.as_str());
        let mut clients: Vec<_> =
            names.map(|name| Client::new(name, &signs(name, &facts), &self.reports, now)).collect();
        clients.sort_by(|one, other| one.name.cmp(&other.name));
        Some(Scene { clients, facts, since: Since { started: self.started, kept }, now })
    }

    /// Keeps what was told, if that has changed.
    fn keep(&mut self) {
        if !self.changed {
            return;
        }
        let rows = self.routes.iter().flat_map(Route::rows).collect();
        match self.activity.keep_told(rows) {
            Ok(()) => self.changed = false,
            // It is tried again; until then it is known here alone.
            Err(error) => log::debug!("what was told of clients is not kept yet: {error}"),
        }
    }

    /// Has those waited for that were told to be in trouble; `true` if there is a new one.
    fn wait_for_signs(&self) -> bool {
        let Some(awaited) = self.activity.awaited() else { return false };
        let records = self.routes.iter().flat_map(|route| &route.memory.records);
        let troubled = records.filter(|(_, record)| record.told != Standing::Healthy);
        awaited.set(troubled.map(|(name, record)| (name.clone(), record.told)).collect())
    }
}

impl Route {
    /// Takes up what was told by this way before.
    fn remember(&mut self, all: &[Told]) {
        let ours = all.iter().filter(|told| told.way == self.way.name());
        let records = ours.filter_map(|told| {
            let Told { client, since, told_at, .. } = told.clone();
            // A word of a newer version: as if nothing had been told.
            let told = message::state(&told.told)?;
            Some((client, Record { since, told, told_at }))
        });
        self.memory = Memory::new(records.collect());
    }

    fn rows(&self) -> impl Iterator<Item = Told> {
        self.memory.records.iter().map(|(client, record)| Told {
            way: self.way.name().to_owned(),
            client: client.clone(),
            since: record.since,
            told: message::word(record.told).to_owned(),
            told_at: record.told_at,
        })
    }

    /// When it may be tried again, if that is later than `now`.
    fn waits_until(&self, now: i64) -> Option<i64> {
        // Later than any pause: the clock was set back.
        self.again_at.filter(|again| (now + 1..=later(now, RETRY_MAX)).contains(again))
    }

    /// Tells of a change; `true` if that worked.
    fn tell(&mut self, change: &plan::Change, scene: &Scene, stop: &Stop) -> bool {
        let message = Message::of(change, &scene.facts, scene.now);
        let (way, client, state) = (self.way.name(), &change.client, message.state);
        match self.way.tell(&message, stop) {
            Ok(()) => {
                log::info!("alert by {way}: {}", message.text);
                self.memory.told(change, scene.now);
                (self.failures, self.again_at) = (0, None);
                true
            }
            Err(error) => {
                self.memory.failed(change);
                self.failures = self.failures.saturating_add(1);
                let pause = backoff::pause(RETRY_FIRST, self.failures, RETRY_MAX, 0.0);
                self.again_at = Some(later(scene.now, pause));
                let again = shown::span(pause.as_secs());
                log::warn!(
                    "alert by {way} that {client} is {state} failed: {error}; it is tried again in {again}"
                );
                false
            }
        }
    }
}

fn signs(name: &str, facts: &Facts) -> Signs {
    facts.clients.get(name).map_or_else(Signs::default, |known: &ClientFacts| Signs {
        first_seen: Some(known.first_seen),
        last_upload_at: known.last_upload_at,
        last_report_at: known.last_report_at,
    })
}
