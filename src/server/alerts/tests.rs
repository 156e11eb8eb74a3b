//! The specification of what is told and when: a week of simulated days over a real database, and the
//! cases that a week does not have. The moment is an argument everywhere.

use super::plan::Change;
use super::*;
use crate::clock;
use crate::server::config::Client as Configured;
use crate::server::key::ClientName;
use crate::threads::{Supervisor, shutdown_deadline};
use crate::wire::report::Report;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tempfile::TempDir;

const HOUR: i64 = 3600;

/// Somebody who is told, or cannot be.
#[derive(Clone)]
struct Listener {
    name: &'static str,
    heard: Arc<Mutex<Vec<Message>>>,
    deaf: Arc<AtomicBool>,
    attempts: Arc<AtomicUsize>,
}

impl Listener {
    fn new(name: &'static str) -> Self {
        let (heard, deaf, attempts) = Default::default();
        Self { name, heard, deaf, attempts }
    }

    fn be_deaf(&self, deaf: bool) {
        self.deaf.store(deaf, Ordering::Relaxed);
    }
}

impl Way for Listener {
    fn name(&self) -> &'static str {
        self.name
    }

    fn tell(&self, message: &Message, _: &Stop) -> Result<(), String> {
        self.attempts.fetch_add(1, Ordering::Relaxed);
        if self.deaf.load(Ordering::Relaxed) {
            return Err("nobody listens".to_owned());
        }
        self.heard.lock().unwrap().push(message.clone());
        Ok(())
    }
}

/// Something that happens there.
type Event = Box<dyn Fn(&mut World)>;

/// A server whose clock is ours.
struct World {
    _folder: TempDir,
    activity: Activity,
    supervisor: Supervisor,
    recording: StopSource,
    clients: Arc<Clients>,
    listeners: [Listener; 2],
    alerts: Alerts,
    begun: i64,
    now: i64,
    /// When the thread would wake by itself.
    next: i64,
    looks: usize,
}

fn clients(names: &[&str]) -> Vec<Configured> {
    let client = |name: &&str| Configured {
        name: ClientName::parse(name).unwrap(),
        keys: vec![],
        weak_key: false,
        max_file_size: 1,
        allow_download: true,
    };
    names.iter().map(client).collect()
}

impl World {
    fn new(names: &[&str]) -> Self {
        let (folder, recording) = (tempfile::tempdir().unwrap(), StopSource::default());
        let mut supervisor = Supervisor::new().unwrap();
        let path = folder.path().join("activity.db");
        let activity = Activity::start(path, 90, &mut supervisor, recording.stop()).unwrap();
        let clients = Arc::new(Clients::new(clients(names), vec![]));
        let listeners = ["command", "webhook"].map(Listener::new);
        // The database says itself when it was begun.
        let begun = clock::unix_seconds();
        let alerts = alerts(&activity, &clients, &listeners, begun);
        let (now, next, looks) = (begun, begun, 0);
        Self {
            _folder: folder,
            activity,
            supervisor,
            recording,
            clients,
            listeners,
            alerts,
            begun,
            now,
            next,
            looks,
        }
    }

    fn look(&mut self) {
        self.looks += 1;
        self.next = self.alerts.look(self.now, &StopSource::default().stop());
    }

    /// Lets time pass until so many hours after the beginning, as the thread would see it pass.
    fn sleep_until(&mut self, hour: f64) {
        let until = self.begun + (hour * HOUR as f64) as i64;
        while self.next <= until {
            self.now = self.next.max(self.now + 1);
            self.look();
        }
        self.now = until;
    }

    /// A report comes in; the thread wakes if it is to.
    fn report(&mut self, client: &str) {
        let report = Report::of(Day::of(self.now), u64::try_from(self.now).unwrap());
        self.activity.report(&ClientName::parse(client).unwrap(), report, self.now).unwrap();
        if self.activity.awaited().unwrap().news().try_recv().is_ok() {
            self.look();
        }
    }

    /// Another process of the server takes over.
    fn restart(&mut self) {
        self.alerts = alerts(&self.activity, &self.clients, &self.listeners, self.now);
        self.next = self.now;
    }

    /// What a listener has heard: hours after the beginning, client, states.
    fn heard(&self, listener: usize) -> Vec<String> {
        let heard = self.listeners[listener].heard.lock().unwrap();
        let line = |message: &Message| {
            let at = time(&message.at) - self.begun;
            let hours = at as f64 / HOUR as f64;
            let Message { client, previous_state, state, .. } = message;
            format!("{hours:.2} {client}: {previous_state} -> {state}")
        };
        heard.iter().map(line).collect()
    }

    fn end(mut self) {
        self.recording.raise();
        assert!(self.supervisor.join(shutdown_deadline()));
    }
}

fn alerts(
    activity: &Activity,
    clients: &Arc<Clients>,
    listeners: &[Listener; 2],
    started: i64,
) -> Alerts {
    let ways = listeners.iter().map(|one| Box::new(one.clone()) as Box<dyn Way>).collect();
    let (late_after, silent_after) =
        (Duration::from_secs(26 * 3600), Duration::from_secs(50 * 3600));
    let reports = Reports { late_after, silent_after, ..Reports::default() };
    Alerts::new(activity.clone(), Arc::clone(clients), reports, ways, started)
}

/// Seconds since 1970 of a moment in a message.
fn time(text: &str) -> i64 {
    let day: Day = text[..10].parse().unwrap();
    let number = |range: std::ops::Range<usize>| text[range].parse::<i64>().unwrap();
    day.start() + number(11..13) * HOUR + number(14..16) * 60 + number(17..19)
}

#[test]
fn a_week_of_three_clients_is_told_once_a_change_whatever_fails_and_restarts() {
    let mut world = World::new(&["stops", "healthy", "late", "unused"]);
    let [_, webhook] = world.listeners.clone();
    // Who reports at which hours.
    let mut reports: Vec<(i64, &str)> = vec![];
    reports.extend((0..7).map(|day| (1 + 24 * day, "healthy")));
    reports.extend([1, 49, 97, 145].map(|hour| (hour, "late")));
    reports.extend([1, 25, 49].map(|hour| (hour, "stops")));
    let mut events: Vec<(f64, Event)> = vec![];
    for (hour, client) in reports {
        events.push((hour as f64, Box::new(move |world| world.report(client))));
    }
    for hour in [30.0, 80.0, 81.0, 98.0] {
        events.push((hour, Box::new(World::restart)));
    }
    events.push((70.0, Box::new(|world| world.listeners[1].be_deaf(true))));
    events.push((76.0, Box::new(|world| world.listeners[1].be_deaf(false))));
    events.sort_by(|(one, _), (other, _)| one.total_cmp(other));
    for (hour, event) in events {
        world.sleep_until(hour);
        event(&mut world);
    }
    world.sleep_until(168.0);

    let told = |late_and_stops: &str| {
        [
            "26.00 unused: healthy -> never",
            "27.00 late: healthy -> late",
            "49.00 late: late -> healthy",
            &format!("{late_and_stops} late: healthy -> late"),
            &format!("{late_and_stops} stops: healthy -> late"),
            "97.00 late: late -> healthy",
            // At 99, an hour after a start: the server may have been away.
            "99.50 stops: late -> silent",
            "123.00 late: healthy -> late",
            "145.00 late: late -> healthy",
        ]
        .map(str::to_owned)
    };
    assert_eq!(world.heard(0), told("75.00"));
    // After 1, 3, 7, 15, 31 and 63 minutes.
    assert_eq!(world.heard(1), told("76.05"));
    assert_eq!(webhook.attempts.load(Ordering::Relaxed), 9 + 6);
    // Once an hour, and for what happened.
    assert!(world.looks < 168 + 40, "{} looks", world.looks);
    world.end();
}

#[test]
fn who_was_never_there_is_told_to_have_come_and_who_is_not_configured_is_forgotten() {
    let mut world = World::new(&["new", "gone"]);
    world.sleep_until(27.0);
    let never = ["26.00 gone: healthy -> never", "26.00 new: healthy -> never"];
    assert_eq!(world.heard(0), never);
    world.clients.replace(clients(&["new", "added"]), vec![]);
    assert!(world.clients.changed().try_recv().is_ok(), "the thread wakes");
    world.look();
    world.report("new");
    world.sleep_until(28.0);
    world.clients.replace(clients(&["new", "added", "gone"]), vec![]);
    world.look();
    world.restart();
    world.sleep_until(54.5);
    assert_eq!(
        world.heard(1)[2..],
        [
            "27.00 new: never -> healthy",
            // From when they could first be seen.
            "53.00 added: healthy -> never",
            "53.00 new: healthy -> late",
            "54.00 gone: healthy -> never"
        ]
    );
    world.end();
}

#[test]
fn a_server_that_was_away_for_a_weekend_gives_its_clients_time_to_come_back() {
    let mut world = World::new(&["web", "dead"]);
    world.report("web");
    world.report("dead");
    world.sleep_until(1.0);
    world.now = world.begun + 60 * HOUR;
    world.restart();
    world.sleep_until(61.0);
    world.report("web");
    world.sleep_until(62.0);
    assert_eq!(world.heard(0), ["61.50 dead: healthy -> silent"]);
    world.end();
}

const NOW: i64 = 1_795_867_200;

/// One client and a memory of it.
struct One {
    memory: Memory,
    since: Since,
}

impl One {
    fn new() -> Self {
        Self { memory: Memory::default(), since: Since { started: NOW, kept: NOW } }
    }

    fn plan(&mut self, state: Standing, hours: f64) -> Plan {
        let client = Client { name: "web".to_owned(), state, until: None };
        let now = NOW + (hours * HOUR as f64) as i64;
        self.memory.plan(&[client], self.since, Duration::from_secs(26 * 3600), now)
    }

    /// What is due, and whether it can be told.
    fn check(&mut self, state: Standing, hours: f64, works: bool, expected: Option<&str>) {
        let plan = self.plan(state, hours);
        let due = plan.due.first();
        let shown = due.map(|Change { from, to, .. }| {
            format!("{} -> {}", message::word(*from), message::word(*to))
        });
        assert_eq!(shown.as_deref(), expected, "{hours} h, {state:?}");
        match due {
            Some(change) if works => self.memory.told(change, NOW + (hours * HOUR as f64) as i64),
            Some(change) => self.memory.failed(change),
            None => {}
        }
    }
}

#[test]
fn a_newer_change_takes_the_place_of_one_that_was_never_told() {
    use Standing::{Healthy, Late, Silent};
    let mut one = One::new();
    one.check(Late, 10.0, false, Some("healthy -> late"));
    one.check(Late, 10.1, false, Some("healthy -> late"));
    one.check(Silent, 34.0, false, Some("healthy -> silent"));
    one.check(Silent, 34.1, true, Some("healthy -> silent"));
    one.check(Silent, 34.2, true, None);
    one.check(Healthy, 35.0, true, Some("silent -> healthy"));
    one.check(Late, 70.0, false, Some("healthy -> late"));
    // It passed, and nobody has heard of it.
    one.check(Healthy, 71.0, true, None);
}

#[test]
fn who_comes_and_goes_is_told_to_be_worse_once_an_hour_and_to_be_well_at_once() {
    use Standing::{Healthy, Late, Silent};
    let mut one = One::new();
    one.check(Late, 2.0, true, Some("healthy -> late"));
    one.check(Healthy, 2.1, true, Some("late -> healthy"));
    for minute in 0..9 {
        let hours = 2.2 + f64::from(minute) / 60.0;
        one.check(Late, hours, true, None);
        one.check(Healthy, hours, true, None);
    }
    assert_eq!(one.plan(Late, 2.5).next, Some(NOW + (3.1 * HOUR as f64) as i64));
    one.check(Silent, 3.2, true, Some("healthy -> silent"));
}

#[test]
fn a_clock_that_is_set_back_holds_up_nothing_for_longer_than_a_pause() {
    use Standing::{Late, Never};
    let mut one = One::new();
    one.check(Late, 900.0, true, Some("healthy -> late"));
    one.since = Since { started: NOW + 800 * HOUR, kept: NOW + 800 * HOUR };
    one.check(Standing::Healthy, 2.0, true, Some("late -> healthy"));
    one.memory.records.get_mut("web").unwrap().told_at = Some(NOW + 900 * HOUR);
    let plan = one.plan(Late, 2.0);
    assert_eq!(plan.next, Some(NOW + 2 * HOUR + 90 * 60));
    let mut one = One::new();
    one.check(Never, 0.0, true, None);
    one.since.kept = NOW + 800 * HOUR;
    assert_eq!(one.plan(Never, 1.0).next, Some(NOW + 27 * HOUR));
}

#[test]
fn a_database_that_was_begun_anew_knows_nobody_and_says_nothing_of_that() {
    use Standing::{Never, Silent};
    let mut one = One::new();
    one.check(Silent, 5.0, true, Some("healthy -> silent"));
    one.since.kept = NOW + 6 * HOUR;
    one.check(Never, 6.0, true, None);
    one.check(Never, 99.0, true, None);
    one.check(Silent, 100.0, true, None);
    let mut one = One::new();
    one.check(Never, 0.0, true, None);
    one.since.kept = NOW + 20 * HOUR;
    one.check(Never, 45.9, true, None);
    one.check(Never, 46.0, true, Some("healthy -> never"));
}

#[test]
fn one_that_cannot_be_told_lets_the_others_go_first() {
    let mut memory = Memory::default();
    let since = Since { started: NOW - 9 * HOUR, kept: NOW };
    let late = |name: &str| Client { name: name.into(), state: Standing::Late, until: None };
    let clients = ["a", "b", "c"].map(late);
    let mut first = vec![];
    for _ in 0..4 {
        let plan = memory.plan(&clients, since, Duration::from_secs(1), NOW);
        assert_eq!(plan.due.len(), 3);
        memory.failed(&plan.due[0]);
        first.push(plan.due[0].client.clone());
    }
    assert_eq!(first, ["a", "b", "c", "a"]);
}
