//! A client over days and weeks, with a server that comes and goes and a clock that is set.

use super::*;
use crate::clock;
use proptest::prelude::*;

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

/// The time of the client of these tests: 2 o'clock.
const OFFSET: Duration = Duration::from_secs(2 * 3600);

fn refusal(status: u16, fault: Fault, retry_after: Option<u64>) -> Failure {
    let retry_after = retry_after.map(Duration::from_secs);
    Failure::Refused { fault, status, error: "e".into(), message: "m".into(), retry_after }
}

/// What the server does when it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Server {
    Takes,
    Away,
    Overloaded,
    WithoutTheRoute,
    RefusesTheKey,
    RefusesTheDay,
    TalksNonsense,
}

impl Server {
    fn failure(self) -> Option<Failure> {
        Some(match self {
            Self::Takes => return None,
            Self::Away => Failure::Unreachable("away".into()),
            Self::Overloaded => refusal(503, Fault::Server, Some(7200)),
            Self::WithoutTheRoute => refusal(404, Fault::Request, None),
            Self::RefusesTheKey => refusal(401, Fault::Key, None),
            Self::RefusesTheDay => refusal(400, Fault::Request, None),
            Self::TalksNonsense => Failure::Nonsense("<html>".into()),
        })
    }
}

/// A client in simulated time. It has lived on every day since its first one.
struct World {
    unix: i64,
    monotonic: Instant,
    schedule: Schedule,
    lived: BTreeSet<Day>,
    acknowledged: BTreeSet<Day>,
    /// When, in seconds since the start by the monotonic clock, and for which day it sent.
    sent: Vec<(u64, Day)>,
    begin: Instant,
    wakes: usize,
}

impl World {
    fn new(unix: i64) -> Self {
        let begin = clock::monotonic();
        let now = Now { unix, monotonic: begin };
        Self {
            unix,
            monotonic: begin,
            schedule: Schedule::new(OFFSET, &now),
            lived: BTreeSet::from([Day::of(unix)]),
            acknowledged: BTreeSet::new(),
            sent: vec![],
            begin,
            wakes: 0,
        }
    }

    fn now(&self) -> Now {
        Now { unix: self.unix, monotonic: self.monotonic }
    }

    fn due(&self) -> Vec<Day> {
        let today = Day::of(self.unix);
        let days = today.plus(-30)..today;
        self.lived
            .difference(&self.acknowledged)
            .filter(|day| days.contains(day))
            .copied()
            .collect()
    }

    fn pass(&mut self, time: Duration) {
        self.monotonic += time;
        self.unix += time.as_secs() as i64;
    }

    /// Lets so many seconds go by with a server that is like this all the while.
    fn run(&mut self, seconds: i64, server: Server) {
        let end = self.monotonic + Duration::from_secs(seconds as u64);
        loop {
            self.lived.insert(Day::of(self.unix));
            let (due, now) = (self.due(), self.now());
            let left = end.saturating_duration_since(self.monotonic);
            match self.schedule.next(&due, &now) {
                Next::Wait(wait) if wait >= left => return self.pass(left),
                Next::Wait(wait) => {
                    assert!(!wait.is_zero());
                    self.pass(wait);
                    self.wakes += 1;
                }
                Next::Send(day) => {
                    assert!(due.contains(&day), "{day} of {due:?}");
                    self.sent.push(((self.monotonic - self.begin).as_secs(), day));
                    match server.failure() {
                        None => {
                            self.schedule.taken();
                            assert!(self.acknowledged.insert(day), "{day} was acknowledged");
                        }
                        Some(failure) => {
                            self.schedule.failed(day, &failure, &now, 0.0);
                        }
                    }
                }
            }
        }
    }

    /// What was sent since the last time, as hours since the start and the days' numbers.
    fn news(&mut self) -> Vec<(u64, i64)> {
        let first = Day::of(START);
        self.sent.drain(..).map(|(at, day)| (at / 3600, day.days_since(first))).collect()
    }
}

/// 2026-11-28T14:00:00Z.
const START: i64 = 1_795_874_400;

#[test]
fn each_day_is_sent_once_on_the_next_one_at_the_clients_own_time_and_nothing_wakes_in_between() {
    let mut world = World::new(START);
    world.run(21 * DAY, Server::Takes);
    // From 14 o'clock to 2 o'clock of the next day are 12 hours.
    let expected: Vec<(u64, i64)> = (0..21).map(|day| (12 + 24 * day as u64, day)).collect();
    assert_eq!(world.news(), expected);
    assert_eq!(world.wakes, 21);
}

#[test]
fn at_the_start_what_is_missing_is_sent_at_once_the_oldest_first() {
    for hour in [0, 1, 2, 23] {
        let midnight = Day::of(START).start();
        let mut world = World::new(midnight + hour * HOUR);
        world.lived.extend([-40, -9, -1].map(|days| Day::of(START).plus(days)));
        world.run(HOUR / 2, Server::Takes);
        assert_eq!(world.news(), [(0, -9), (0, -1)], "at {hour} o'clock");
    }
}

#[test]
fn days_that_a_server_missed_are_sent_when_it_is_back_as_far_as_thirty_days() {
    let mut world = World::new(START);
    world.run(40 * DAY, Server::Away);
    let away = world.news().len();
    // An hour between two tries, but for those of the first ones and before its time of the night.
    assert!((20 * 40..25 * 40).contains(&away), "{away}");
    world.run(2 * HOUR, Server::Takes);
    let days: Vec<i64> = world.news().iter().map(|(_, day)| *day).collect();
    assert_eq!(days, (10..40).collect::<Vec<_>>());
}

#[test]
fn a_server_is_asked_with_growing_pauses_and_as_late_as_it_wishes() {
    let minutes = |server| {
        let mut world = World::new(START);
        world.run(12 * HOUR, Server::Takes);
        world.run(12 * HOUR, server);
        let first = world.sent[0].0;
        world.sent.iter().map(|(at, _)| (at - first) / 60).collect::<Vec<_>>()
    };
    let grown = [0, 1, 3, 7, 15, 31, 63, 123, 183, 243, 303, 363, 423, 483, 543, 603, 663];
    assert_eq!(minutes(Server::Away), grown);
    assert_eq!(minutes(Server::TalksNonsense), grown[..EXCHANGES_MAX as usize], "and not all day");
    assert_eq!(minutes(Server::Overloaded), [0, 120, 240, 360, 480, 600]);
}

#[test]
fn who_refuses_is_asked_once_a_day() {
    for server in [Server::WithoutTheRoute, Server::RefusesTheKey] {
        let mut world = World::new(START);
        world.run(3 * DAY, server);
        assert_eq!(world.news(), [(12, 0), (36, 0), (60, 0)], "{server:?}");
        world.run(DAY, Server::Takes);
        assert_eq!(world.news(), [(84, 0), (84, 1), (84, 2), (84, 3)]);
    }
}

#[test]
fn a_day_that_is_refused_holds_no_other_up() {
    let mut world = World::new(START);
    world.run(2 * DAY + 11 * HOUR, Server::RefusesTheDay);
    assert_eq!(world.news(), [(12, 0), (36, 0), (36, 1)]);
    let (day, now) = (Day::of(START), world.now());
    let (failure, mut schedule) = (Server::RefusesTheDay.failure().unwrap(), world.schedule);
    assert_eq!(schedule.failed(day, &failure, &now, 0.0), Put::Aside);
    let next = schedule.next(&[day, day.plus(1)], &now);
    assert!(next != Next::Send(day), "{next:?}");
}

#[test]
fn a_day_that_the_server_trips_over_holds_the_others_up_for_hours_only() {
    let mut world = World::new(START);
    world.run(DAY, Server::Away);
    world.run(DAY, Server::TalksNonsense);
    let days: BTreeSet<i64> = world.news().iter().map(|(_, day)| *day).collect();
    assert_eq!(days, BTreeSet::from([0, 1]));
}

#[test]
fn what_was_put_off_is_news_once() {
    let now = World::new(START).now();
    let mut schedule = Schedule::new(OFFSET, &now);
    let away = Server::Away.failure().unwrap();
    let failed = |schedule: &mut Schedule| schedule.failed(Day::of(START), &away, &now, 1.0);
    assert_eq!(failed(&mut schedule), Put::Off { first: true });
    assert_eq!(failed(&mut schedule), Put::Off { first: false });
    assert!(schedule.taken() && !schedule.taken());
    assert_eq!(failed(&mut schedule), Put::Off { first: true });
    let key = Server::RefusesTheKey.failure().unwrap();
    assert_eq!(schedule.failed(Day::of(START), &key, &now, 0.0), Put::ToTomorrow);
}

#[test]
fn clients_spread_over_four_hours_and_each_keeps_its_time() {
    let mut hours = [0; 5];
    for number in 0..500 {
        let identity = format!("key {number}");
        let offset = offset(identity.as_bytes());
        assert_eq!(offset, super::offset(identity.as_bytes()));
        assert!(AFTER_MIDNIGHT <= offset && offset < AFTER_MIDNIGHT + SPREAD);
        hours[((offset - AFTER_MIDNIGHT).as_secs() / 3600) as usize] += 1;
    }
    assert!(hours[..4].iter().all(|clients| (90..160).contains(clients)), "{hours:?}");
}

/// Something that happens to the client, and for how many minutes it stays so.
fn turns() -> impl Strategy<Value = Vec<(Server, i64, i64)>> {
    let server = prop_oneof![
        3 => Just(Server::Takes),
        1 => Just(Server::Away),
        1 => Just(Server::Overloaded),
        1 => Just(Server::WithoutTheRoute),
        1 => Just(Server::RefusesTheKey),
        1 => Just(Server::RefusesTheDay),
        1 => Just(Server::TalksNonsense),
    ];
    let set = prop_oneof![
        6 => Just(0),
        1 => -3 * DAY..3 * DAY,
        1 => -1000 * DAY..1000 * DAY,
    ];
    prop::collection::vec((server, 1..3 * DAY, set), 1..12)
}

proptest! {
    /// `World::run` itself sees that no day that was acknowledged is sent again.
    #[test]
    fn whatever_server_and_clock_do_nobody_is_hammered_and_no_day_is_left_out(turns in turns()) {
        let mut world = World::new(START);
        for (server, seconds, set) in turns {
            let (sent, began) = (world.sent.len(), world.monotonic);
            world.run(seconds, server);
            if server != Server::Takes {
                let most = match server {
                    // Each day of them once a day.
                    Server::RefusesTheDay => 31 * (seconds / DAY + 2),
                    Server::WithoutTheRoute | Server::RefusesTheKey => seconds / DAY + 2,
                    // Eight in some two hours, then the next day's.
                    Server::TalksNonsense => 8 + 5 * seconds / HOUR,
                    Server::Takes | Server::Away | Server::Overloaded => 7 + seconds / HOUR,
                };
                let tried = (world.sent.len() - sent) as i64;
                prop_assert!(tried <= most, "{tried} times in {:?}", world.monotonic - began);
            }
            world.unix = (world.unix + set).max(0);
        }
        world.run(DAY, Server::Takes);
        // Whatever was, from the second day of a good server on each day is sent on the next.
        let today = Day::of(world.unix);
        world.run(5 * DAY, Server::Takes);
        prop_assert!((0..4).all(|days| world.acknowledged.contains(&today.plus(days))));
        prop_assert!(world.due().is_empty() || world.due() == [Day::of(world.unix).plus(-1)]);
    }
}
