//! A week of simulated days with three clients: one is healthy, one is late, one stops.

use super::*;
use crate::server::activity::cross_check::{Amount, Windows, compare};
use crate::server::activity::standing::Standing;
use crate::server::activity::view::{self, Overview};
use crate::server::config::Reports;
use crate::wire::report::{Parked, ParkedFor};

const NAMES: [&str; 4] = ["healthy", "late", "stops", "unused"];
const HOUR: i64 = 3600;
const KEPT_DAYS: i64 = 4;

/// A Monday.
fn first_day() -> Day {
    "2026-11-30".parse().unwrap()
}

struct Week {
    scene: Scene,
    now: i64,
}

impl Week {
    /// `files` uploads of a client, one a minute from the moment on, and one that is refused.
    fn work(&mut self, client: &str, files: u64) {
        let at = |number: u64| self.now + 60 * i64::try_from(number).unwrap();
        let mut uploads: Vec<_> = (0..files)
            .map(|number| stored(client, &format!("f{}-{number}", self.now), 100, at(number)))
            .collect();
        uploads.push(failed(client, ErrorCode::FileTooLarge, at(files)));
        self.scene.write(&uploads);
    }

    /// Does what the server does with a report.
    fn report(&mut self, client: &str, date: Day, files: u64) -> CrossCheck {
        let parked = Parked {
            count: 1,
            reasons: [ParkedFor { reason: "too large".into(), count: 1 }].into_iter().collect(),
        };
        let report = Report { parked, ..report(date, files, 100 * files, self.now) };
        let windows = Windows::of(&report, self.now);
        let counted = Amount { files, bytes: 100 * files };
        let reading = self.scene.reading();
        let recorded = reading.recorded(client, date, windows.as_ref(), counted).unwrap();
        let check = compare(&report, &recorded, self.now);
        let (client, received_at) = (client.to_owned(), self.now);
        let kept = Kept { client, received_at, report, check: check.clone() };
        self.scene.ledger.keep(&kept).unwrap();
        check
    }

    fn overview(&self) -> Overview {
        let facts = self.scene.reading().facts(view::first_day(self.now)).unwrap();
        let names = NAMES.into_iter().rev();
        view::overview(names, &facts, &Reports::default(), true, self.now)
    }

    fn standings(&self) -> [Standing; 4] {
        let overview = self.overview();
        let names: Vec<_> = overview.clients.iter().map(|client| client.name.as_str()).collect();
        assert_eq!(names, NAMES);
        std::array::from_fn(|index| overview.clients[index].state)
    }

    fn prune(&mut self) {
        let oldest = Day::of(self.now).plus(-KEPT_DAYS);
        while self.scene.ledger.prune(oldest, self.now).unwrap() {}
    }
}

#[test]
fn a_week_of_three_clients_shows_who_is_well_who_is_late_and_who_has_stopped() {
    use Standing::{Healthy, Late, Never, Silent};
    let mut week =
        Week { scene: Scene::new(first_day().plus(-1).start()), now: first_day().start() };
    assert_eq!(week.standings(), [Never; 4]);
    let mut seen = vec![];
    for number in 0..7 {
        let day = first_day().plus(number);
        let yesterday = day.plus(-1);
        // In the morning, before anybody says anything.
        week.now = day.start() + 2 * HOUR;
        seen.push(week.standings());
        if number > 0 {
            week.now = day.start() + 3 * HOUR;
            assert_eq!(
                week.report("healthy", yesterday, 30).verdict,
                Verdict::Agrees,
                "{yesterday}"
            );
        }
        if number == 2 {
            // Its own count of Tuesday has two files that the server never saw.
            let check = week.report("stops", yesterday, 22);
            assert_eq!((check.verdict, check.files), (Verdict::Differs, 20));
        }
        week.now = day.start() + 10 * HOUR;
        week.work("healthy", 30);
        if number < 2 {
            week.work("stops", 20);
        }
        // This one works and reports every other day.
        if number % 2 == 0 {
            week.work("late", 3);
            if number > 0 {
                assert_eq!(week.report("late", day.plus(-2), 3).verdict, Verdict::Agrees);
            }
        }
        week.now = day.start() + 23 * HOUR;
        week.prune();
    }
    let expected = [
        [Never, Never, Never, Never],
        [Healthy, Healthy, Healthy, Never],
        // The last sign of the late one is of Monday, 10:02.
        [Healthy, Late, Healthy, Never],
        [Healthy, Healthy, Healthy, Never],
        // The last one of the one that stops is its report of Wednesday, 3:00 or before.
        [Healthy, Late, Late, Never],
        [Healthy, Healthy, Silent, Never],
        [Healthy, Late, Silent, Never],
    ];
    assert_eq!(seen, expected);

    week.now = first_day().plus(6).start() + 23 * HOUR;
    let overview = week.overview();
    let [healthy, late, stops, unused] = &overview.clients[..] else { panic!("{overview:?}") };
    let sum = |files, failures| view::Sum { files, bytes: 100 * files, failures };
    // Of the whole week, the counts of more than four days ago are gone.
    assert_eq!((healthy.today, healthy.last_30_days), (sum(30, 1), sum(150, 5)));
    assert_eq!((late.today, late.last_30_days), (sum(3, 1), sum(9, 3)));
    assert_eq!((stops.today, stops.last_30_days), (sum(0, 0), sum(0, 0)));
    assert_eq!(
        (unused.today, unused.first_seen, unused.last_check.is_none()),
        (sum(0, 0), None, true)
    );
    // What is said of a client as such stays.
    assert_eq!(stops.total, view::Total { files: 40, bytes: 4000 });
    assert_eq!(healthy.total.files, 210);
    let friday = first_day().plus(4);
    assert_eq!(stops.last_report, Some(first_day().plus(2).start() + 3 * HOUR));
    assert_eq!(healthy.parked.as_ref().unwrap().reasons[0].count, 1);
    assert_eq!(stops.parked, None, "its report is no longer kept");
    let last = healthy.last_check.as_ref().unwrap();
    assert_eq!((last.date, last.check.verdict), (first_day().plus(5), Verdict::Agrees));
    assert_eq!(healthy.last_error.as_ref().unwrap().error, "file_too_large");
    let said = view::day(NAMES.into_iter(), friday, week.scene.reading().reports(friday).unwrap());
    let who: Vec<_> = said.clients.iter().map(|one| (&*one.name, one.report.is_some())).collect();
    assert_eq!(who, [("healthy", true), ("late", true), ("stops", false), ("unused", false)]);
}

#[test]
fn a_day_that_lies_ahead_is_not_counted_and_an_overview_has_this_shape() {
    let now = first_day().start() + HOUR;
    let mut week = Week { scene: Scene::new(now), now };
    week.scene.write(&[
        stored("healthy", "a", 7, now),
        stored("healthy", "a", 1, now + 86_400),
        stored("healthy", "a", 1, now - 29 * 86_400),
        stored("healthy", "a", 1, now - 30 * 86_400),
    ]);
    let json = serde_json::to_value(week.overview()).unwrap();
    let names: Vec<_> = json.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(names, ["asked_at", "clients", "recording", "version"]);
    let expected = serde_json::json!({
        "name": "healthy",
        "state": "silent",
        "first_seen": now - 30 * 86_400,
        "last_seen": now + 86_400,
        "last_upload": now - 30 * 86_400,
        "last_report": null,
        "version": null,
        "today": {"files": 1, "bytes": 7, "failures": 0},
        "last_30_days": {"files": 2, "bytes": 8, "failures": 0},
        "total": {"files": 4, "bytes": 10},
        "parked": null,
        "last_error": null,
        "last_check": null,
    });
    assert_eq!(json["clients"][0], expected);
    assert_eq!(json["clients"][3]["state"], "never");
}
