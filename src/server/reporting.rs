//! The routes of reports: what a client says of its day comes in, what an administrator wants to know
//! goes out.
//!
//! Runs on the worker threads. It owns nothing; the database is `activity`'s. That it cannot be read
//! or written is said in the log, and told nobody in more words than that.

use crate::server::activity::reading::Facts;
use crate::server::activity::view::{Overview, day, first_day, overview};
use crate::server::activity::{Activity, Unavailable};
use crate::server::admitted::Identity;
use crate::server::clients::Clients;
use crate::server::config::Reports;
use crate::server::page::Page;
use crate::server::page::view::View;
use crate::server::reply::{ApiError, Reply};
use crate::threads::Ending;
use crate::wire::report::{Report, Reported, Verdict};
use crate::wire::{Day, ErrorCode, Text};
use std::io::Read;
use std::sync::Arc;

/// Most of what is wrong with a report that is repeated to its sender, in bytes.
const PROBLEM_BYTES_MAX: usize = 200;

/// What the routes of reports share.
#[derive(Clone)]
pub struct Reporting {
    /// What is remembered.
    pub activity: Activity,
    /// Who may use the server now.
    pub clients: Arc<Clients>,
    /// When a client is late, and how far back reports are taken.
    pub reports: Reports,
}

impl Default for Reporting {
    /// Of nobody, and nothing is remembered.
    fn default() -> Self {
        let clients = Arc::new(Clients::new(vec![], vec![]));
        Self { activity: Activity::default(), clients, reports: Reports::default() }
    }
}

impl Reporting {
    /// Takes a report, at the moment `now` in seconds since 1970.
    pub fn report(
        &self,
        client: &Identity,
        body: &mut dyn Read,
        now: i64,
    ) -> Result<(Reply, String), ApiError> {
        let mut bytes = Vec::new();
        body.read_to_end(&mut bytes).map_err(|error| {
            let code = if Ending::is_cause_of(&error) {
                ErrorCode::Unavailable
            } else {
                ErrorCode::IncompleteBody
            };
            ApiError::new(code, error.to_string())
        })?;
        let report: Report = serde_json::from_slice(&bytes).map_err(|error| {
            let problem = Text::<PROBLEM_BYTES_MAX>::new(&error.to_string());
            ApiError::new(ErrorCode::BadRequest, format!("this is no report: {problem}"))
        })?;
        let date = report.date;
        self.check_date(date, now)?;
        let check = self.activity.report(&client.name, report, now).map_err(told)?;
        let note = format!("report of {date}: {}", words(check.verdict));
        if check.verdict == Verdict::Differs {
            let remarks: Vec<&str> = check.remarks.iter().map(|remark| &**remark).collect();
            log::warn!("{}: its report of {date} differs: {}", client.name, remarks.join("; "));
        }
        Ok((Reply::json(200, &Reported { success: true, date, check }), note))
    }

    /// A day that would be removed at once, or that is far ahead, says that a clock is wrong.
    fn check_date(&self, date: Day, now: i64) -> Result<(), ApiError> {
        let today = Day::of(now);
        let (first, last) = (today.plus(-i64::from(self.reports.retention_days)), today.plus(1));
        if (first..=last).contains(&date) {
            return Ok(());
        }
        let message = format!(
            "a report of {date} is not kept, only of {first} to {last}; hint: are the clocks right?"
        );
        Err(ApiError::new(ErrorCode::BadRequest, message))
    }

    /// How all clients are.
    pub fn clients(&self, now: i64) -> Result<(Reply, String), ApiError> {
        let facts = self.activity.read(|reading| reading.facts(first_day(now))).map_err(told)?;
        let overview = self.overview(&facts, now);
        Ok((Reply::json(200, &overview), format!("{} clients", overview.clients.len())))
    }

    /// How all clients are, as a page.
    pub fn page(&self, now: i64) -> (Reply, String) {
        let facts = match self.activity.read(|reading| reading.facts(first_day(now))) {
            Ok(facts) => facts,
            Err(Unavailable::NoDatabase) => {
                return (Page::no_database().reply(200), "no database".to_owned());
            }
            Err(unavailable) => {
                let error = told(unavailable);
                return (Page::unreadable().reply(error.code.status()), error.note());
            }
        };
        let overview = self.overview(&facts, now);
        let view = View::of(&overview, &facts, &self.reports);
        (Page::overview(view).reply(200), format!("{} clients", overview.clients.len()))
    }

    fn overview(&self, facts: &Facts, now: i64) -> Overview {
        let clients = self.clients.current();
        let names = clients.clients().map(|client| client.name.as_str());
        overview(names, facts, &self.reports, !self.activity.is_away(), now)
    }

    /// What the clients said of a day, or of yesterday, the last one that is over.
    pub fn reports(&self, date: Option<Day>, now: i64) -> Result<(Reply, String), ApiError> {
        let date = date.unwrap_or_else(|| Day::of(now).plus(-1));
        let kept = self.activity.read(|reading| reading.reports(date)).map_err(told)?;
        let clients = self.clients.current();
        let names = clients.clients().map(|client| client.name.as_str());
        let note = format!("{} reports of {date}", kept.len());
        Ok((Reply::json(200, &day(names, date, kept)), note))
    }
}

fn words(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Agrees => "agrees",
        Verdict::Explained => "differs by what can be explained",
        Verdict::Differs => "differs",
        Verdict::Unknown => "cannot be compared",
    }
}

fn told(unavailable: Unavailable) -> ApiError {
    match unavailable {
        Unavailable::NoDatabase => ApiError::new(ErrorCode::NotFound, unavailable.to_string()),
        Unavailable::Writer => ApiError::new(ErrorCode::Unavailable, unavailable.to_string()),
        Unavailable::Reading(error) => {
            log::error!("{error}");
            let message = "the server's database cannot be read at the moment";
            ApiError::new(ErrorCode::Unavailable, message)
        }
    }
}
