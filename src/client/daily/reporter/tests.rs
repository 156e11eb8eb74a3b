//! The reporter with a database of its own and a server that is made up.

use super::*;
use crate::client::daily::schedule::offset;
use crate::client::progress::Progress;
use crate::client::queue::SharedQueue;
use crate::client::status::REPORT;
use crate::client::status::socket::{self, Listener};
use crate::limits::status::ASK;
use crate::threads::StopSource;
use crate::wire::{Fault, Few};
use crossbeam_channel::{Sender, unbounded};
use std::sync::Mutex;
use tempfile::TempDir;

/// A server that says what it was sent, and answers what it is told to.
struct Scripted {
    heard: Sender<Report>,
    answers: Mutex<Receiver<Result<Verdict, Failure>>>,
}

impl ReportedTo for Scripted {
    fn report(&self, report: &Report) -> Result<Reported, Failure> {
        self.heard.send(report.clone()).unwrap();
        let answer = self.answers.lock().unwrap().recv();
        // Nobody answers any more: as silent as a server can be.
        let verdict = answer.map_err(|_| Failure::Unreachable("over".into()))??;
        let (files, bytes, remarks) = (report.files, report.bytes, Few::default());
        let check = CrossCheck { verdict, files, bytes, remarks };
        Ok(Reported { success: true, date: report.date, check })
    }
}

/// A reporter at work.
struct Bench {
    folder: TempDir,
    database: Arc<Database>,
    heard: Receiver<Report>,
    answers: Option<Sender<Result<Verdict, Failure>>>,
    errands: Sender<Errand>,
    crew: Crew,
    source: StopSource,
}

impl Bench {
    /// The client lived on the days that are so many before today.
    fn start(lived: &[i64]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("client.db");
        let database = Arc::new(Database::open(&path).unwrap());
        let today = Day::of(clock::unix_seconds());
        for days in lived {
            database.live_on(today.plus(-days)).unwrap();
        }
        let (tell, heard) = unbounded();
        let (answers, to_give) = unbounded();
        let reporter = Reporter {
            database: Arc::clone(&database),
            path,
            watches: vec!["/w".into()],
            inside: Inside {
                progress: Arc::new(Progress::default()),
                queue: Arc::new(SharedQueue::new(1, 9)),
                started: clock::unix_seconds(),
            },
            server: Arc::new(Scripted { heard: tell, answers: Mutex::new(to_give) }),
            schedule: Schedule::new(offset(b"anybody"), &now()),
        };
        let (errands, to_do) = bounded(1);
        let (crew, source) = (Crew::default(), StopSource::default());
        let stop = source.stop();
        crew.spawn("reporter", move || reporter.run(&to_do, &stop)).unwrap();
        Self { folder, database, heard, answers: Some(answers), errands, crew, source }
    }

    /// The day of the next report that is sent, as how many days it lies before today.
    #[track_caller]
    fn heard(&self) -> i64 {
        let report = self.heard.recv_timeout(ASK).expect("a report");
        Day::of(clock::unix_seconds()).days_since(report.date)
    }

    fn answer(&self, answer: Result<Verdict, Failure>) {
        self.answers.as_ref().unwrap().send(answer).unwrap();
    }

    /// Has today's report sent by somebody at the socket; what the server says is given.
    fn ask(&self, answer: Result<Verdict, Failure>) -> NowAnswer {
        let database = self.folder.path().join("asked.db");
        let listener = Listener::bind(&database).unwrap();
        let (errands, mut over) = (&self.errands, StopSource::default());
        let stop = over.stop();
        let (heard, told) = std::thread::scope(|scope| {
            scope.spawn(|| {
                listener.run(&stop, |question, peer| {
                    assert_eq!(question, REPORT);
                    errands.send(Errand::Now(peer)).unwrap();
                });
            });
            let asked = scope.spawn(|| socket::ask(&database, REPORT, ASK));
            let heard = self.heard.recv_timeout(ASK);
            self.answer(answer);
            let told = asked.join();
            over.raise();
            listener.close();
            (heard, told)
        });
        assert_eq!(heard.expect("a report").date, Day::of(clock::unix_seconds()));
        serde_json::from_slice(&told.unwrap().unwrap().unwrap()).unwrap()
    }

    fn due(&self) -> usize {
        self.database.unreported(Day::of(clock::unix_seconds())).unwrap().len()
    }

    /// Ends the reporter, which must have done nothing else.
    #[track_caller]
    fn end(mut self) {
        assert!(self.heard.try_recv().is_err(), "nothing else is sent");
        self.source.raise();
        assert!(self.crew.wait(clock::monotonic() + ASK), "it ends");
    }
}

fn refused(status: u16, fault: Fault) -> Failure {
    let (error, message) = ("e".to_owned(), "m".to_owned());
    Failure::Refused { fault, status, error, message, retry_after: None }
}

#[test]
fn what_is_missing_at_the_start_is_sent_day_by_day_and_known_afterwards() {
    let bench = Bench::start(&[7, 3, 1]);
    for days in [7, 3, 1] {
        assert_eq!(bench.heard(), days);
        bench.answer(Ok(Verdict::Differs));
    }
    // Whatever the server thinks of it: it has it.
    until(|| bench.due() == 0);
    bench.end();
}

/// Waits for what comes soon and announces itself to nobody.
#[track_caller]
fn until(seen: impl Fn() -> bool) {
    let end = clock::monotonic() + ASK;
    while !seen() {
        assert!(clock::monotonic() < end);
        std::thread::yield_now();
    }
}

#[test]
fn on_its_first_day_a_client_reports_nothing_until_it_is_asked() {
    let bench = Bench::start(&[]);
    let NowAnswer::Sent(sent) = bench.ask(Ok(Verdict::Agrees)) else { panic!("it is sent") };
    assert_eq!(sent.report.watches.count, 1);
    assert_eq!(sent.answer.check.verdict, Verdict::Agrees);
    assert_eq!(bench.due(), 0);
    bench.end();
}

#[test]
fn a_day_that_is_not_over_is_not_known_as_reported() {
    let bench = Bench::start(&[]);
    assert!(matches!(bench.ask(Ok(Verdict::Agrees)), NowAnswer::Sent(_)));
    let tomorrow = Day::of(clock::unix_seconds()).plus(1);
    assert_eq!(bench.database.unreported(tomorrow).unwrap(), [tomorrow.plus(-1)]);
    bench.end();
}

#[test]
fn what_the_server_refused_is_sent_at_once_after_it_took_one_that_was_asked_for() {
    let bench = Bench::start(&[2]);
    assert_eq!(bench.heard(), 2);
    bench.answer(Err(refused(404, Fault::Request)));
    // Nothing more is tried, and this is told to who asks.
    let NowAnswer::Error(why) = bench.ask(Err(refused(404, Fault::Request))) else {
        panic!("it is refused")
    };
    assert_eq!(
        why,
        "the server answers 404 e: m; hint: that server keeps no reports: it is older than this \
         client, or has no database"
    );
    assert!(matches!(bench.ask(Ok(Verdict::Unknown)), NowAnswer::Sent(_)));
    for days in [2, 1] {
        assert_eq!(bench.heard(), days);
        bench.answer(Ok(Verdict::Agrees));
    }
    until(|| bench.due() == 0);
    bench.end();
}

#[test]
fn a_server_that_is_silent_does_not_hold_up_the_end() {
    let bench = Bench::start(&[1]);
    assert_eq!(bench.heard(), 1);
    bench.end();
}
