//! When credentials are fetched anew, by whom, and what is used meanwhile.
//!
//! Pure: both clocks are arguments. The end of credentials is a time of the UTC clock, since others
//! have written it down; pauses are of the monotonic one.

use super::{CredentialsError, Fetched, Keys};
use crate::limits::credentials::{FILE_AGE, PAUSE, RENEW_AHEAD};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// What is held, and who fetches.
#[derive(Debug, Default)]
pub(super) struct Renewal {
    held: Option<Held>,
    /// Somebody fetches.
    fetching: bool,
    /// The last attempt ended then.
    attempt: Option<Instant>,
    /// Why the last attempt failed; `None` if it did not.
    failure: Option<CredentialsError>,
    standing: Standing,
}

#[derive(Debug)]
struct Held {
    keys: Arc<Keys>,
    source: String,
    /// From then on others are looked for.
    renew_at: Option<SystemTime>,
    /// From then on they are refused.
    ends: Option<SystemTime>,
}

/// What was last said of the credentials.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Standing {
    #[default]
    Nothing,
    Good,
    /// They cannot be renewed, and are still good.
    Worn,
    /// They ended.
    Out,
}

/// What somebody who needs credentials does.
#[derive(Debug)]
pub(super) enum Step {
    /// Takes these.
    Use(Arc<Keys>),
    /// Fetches some, and reports with [`Renewal::fetched`].
    Fetch,
    /// Waits for the one who fetches.
    Wait,
    /// Gives up: the last attempt failed, and the next one is not due.
    Fail(CredentialsError),
}

/// A change that the operator should know of.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum News {
    /// There are credentials, for the first time or again.
    Good {
        /// Where they are from.
        source: String,
        ends: Option<SystemTime>,
    },
    /// Renewing them failed; they are good for a while.
    Worn {
        error: CredentialsError,
        /// `None`: nobody knows for how long.
        left: Option<Duration>,
    },
    /// They ended, and others cannot be got.
    Out { error: CredentialsError },
}

impl Renewal {
    /// What to do at `now`, which is `utc` by the other clock. Whoever is told [`Step::Fetch`] is
    /// the only one until [`Renewal::fetched`].
    pub(super) fn step(&mut self, utc: SystemTime, now: Instant) -> Step {
        let paused = self.attempt.is_some_and(|last| now.saturating_duration_since(last) < PAUSE);
        let good = self.held.as_ref().filter(|held| held.is_good(utc));
        match good {
            Some(held) if !held.is_due(utc) || self.fetching || paused => {
                Step::Use(Arc::clone(&held.keys))
            }
            None if self.fetching => Step::Wait,
            None if paused => match &self.failure {
                Some(error) => Step::Fail(error.clone()),
                // Those that were fetched a moment ago are over already: a clock was set.
                None => self.begin(),
            },
            _ => self.begin(),
        }
    }

    fn begin(&mut self) -> Step {
        self.fetching = true;
        Step::Fetch
    }

    /// Takes the outcome of an attempt.
    pub(super) fn fetched(
        &mut self,
        outcome: Result<Fetched, CredentialsError>,
        utc: SystemTime,
        now: Instant,
    ) -> Option<News> {
        self.fetching = false;
        self.attempt = Some(now);
        let outcome = outcome.and_then(|fetched| match fetched.ends {
            Some(ends) if ends <= utc => Err(CredentialsError::over(&fetched.source, ends)),
            _ => Ok(fetched),
        });
        match outcome {
            Ok(fetched) => self.took(fetched, utc),
            Err(error) => self.failed(error, utc),
        }
    }

    fn took(&mut self, fetched: Fetched, utc: SystemTime) -> Option<News> {
        let Fetched { keys, source, ends, may_change } = fetched;
        let renew_at = match ends {
            Some(ends) => ends.checked_sub(RENEW_AHEAD),
            None if may_change => utc.checked_add(FILE_AGE),
            None => None,
        };
        let same_source = self.held.as_ref().is_some_and(|held| held.source == source);
        let news = (self.standing != Standing::Good || !same_source)
            .then(|| News::Good { source: source.clone(), ends });
        self.held = Some(Held { keys: Arc::new(keys), source, renew_at, ends });
        self.failure = None;
        self.standing = Standing::Good;
        news
    }

    fn failed(&mut self, error: CredentialsError, utc: SystemTime) -> Option<News> {
        self.failure = Some(error.clone());
        let before = self.standing;
        let held = self.held.as_ref()?;
        if held.is_good(utc) {
            self.standing = Standing::Worn;
            let left = held.ends.and_then(|ends| ends.duration_since(utc).ok());
            return (before != Standing::Worn).then_some(News::Worn { error, left });
        }
        self.standing = Standing::Out;
        // Where there never were any, the request that fails says all there is to say.
        (before != Standing::Out).then_some(News::Out { error })
    }
}

impl Held {
    fn is_good(&self, utc: SystemTime) -> bool {
        self.ends.is_none_or(|ends| utc < ends)
    }

    fn is_due(&self, utc: SystemTime) -> bool {
        self.renew_at.is_some_and(|at| at <= utc)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;
    use crate::server::store::StoreErrorKind;
    use std::time::UNIX_EPOCH;

    const HOUR: u64 = 3600;

    /// A renewal with its two clocks, which both begin at some time and go on together.
    struct Scene {
        renewal: Renewal,
        begun: Instant,
        second: u64,
    }

    impl Scene {
        fn new() -> Self {
            Self { renewal: Renewal::default(), begun: clock::monotonic(), second: 0 }
        }

        fn utc(&self) -> SystemTime {
            at(self.second)
        }

        fn now(&self) -> Instant {
            self.begun + Duration::from_secs(self.second)
        }

        fn step(&mut self) -> String {
            let (utc, now) = (self.utc(), self.now());
            match self.renewal.step(utc, now) {
                Step::Use(keys) => keys.access_key_id.clone(),
                Step::Fetch => "fetch".to_owned(),
                Step::Wait => "wait".to_owned(),
                Step::Fail(error) => error.cause,
            }
        }

        /// The attempt yields keys of this name that end at this second.
        fn yields(&mut self, name: &str, ends: Option<u64>) -> String {
            let fetched = Fetched { ends: ends.map(at), ..fetched(name) };
            self.ends(Ok(fetched))
        }

        fn fails(&mut self) -> String {
            self.ends(Err(CredentialsError {
                kind: StoreErrorKind::Unavailable,
                cause: "nobody answers".to_owned(),
                hint: "x",
            }))
        }

        fn ends(&mut self, outcome: Result<Fetched, CredentialsError>) -> String {
            let (utc, now) = (self.utc(), self.now());
            match self.renewal.fetched(outcome, utc, now) {
                None => String::new(),
                Some(News::Good { source, .. }) => format!("good from {source}"),
                Some(News::Worn { left, .. }) => {
                    format!("worn, {:?} left", left.map(|left| left.as_secs()))
                }
                Some(News::Out { error }) => format!("out: {}", error.cause),
            }
        }
    }

    fn at(second: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_700_000_000 + second)
    }

    fn fetched(name: &str) -> Fetched {
        let keys = Keys {
            access_key_id: name.to_owned(),
            secret_access_key: crate::secret::Secret::new("s"),
            session_token: None,
        };
        Fetched { keys, source: "there".to_owned(), ends: None, may_change: false }
    }

    #[test]
    fn the_first_who_asks_fetches_and_the_others_wait() {
        let mut scene = Scene::new();
        assert_eq!([scene.step(), scene.step(), scene.step()], ["fetch", "wait", "wait"]);
        assert_eq!(scene.yields("a", None), "good from there");
        assert_eq!([scene.step(), scene.step()], ["a", "a"]);
        scene.second = 1_000_000;
        assert_eq!(scene.step(), "a", "without an end they are good for ever");
    }

    #[test]
    fn temporary_ones_are_renewed_ahead_by_one_while_the_others_go_on() {
        let mut scene = Scene::new();
        scene.step();
        scene.yields("a", Some(HOUR));
        scene.second = HOUR - RENEW_AHEAD.as_secs() - 1;
        assert_eq!(scene.step(), "a");
        scene.second += 1;
        assert_eq!([scene.step(), scene.step(), scene.step()], ["fetch", "a", "a"]);
        assert_eq!(scene.yields("b", Some(2 * HOUR)), "", "the same source as before is no news");
        assert_eq!([scene.step(), scene.step()], ["b", "b"]);
    }

    #[test]
    fn a_failed_renewal_keeps_the_old_ones_until_they_end_and_says_so_once() {
        let mut scene = Scene::new();
        scene.step();
        scene.yields("a", Some(HOUR));
        scene.second = HOUR - 25;
        assert_eq!(scene.step(), "fetch");
        assert_eq!(scene.fails(), "worn, Some(25) left");
        assert_eq!(scene.step(), "a");
        scene.second += PAUSE.as_secs() - 1;
        assert_eq!(scene.step(), "a", "not asked again so soon");
        scene.second += 1;
        assert_eq!([scene.step(), scene.step()], ["fetch", "a"]);
        assert_eq!(scene.fails(), "", "said already");
        scene.second = HOUR - 6;
        assert_eq!(scene.step(), "a");
        scene.second = HOUR;
        assert_eq!([scene.step(), scene.step()], ["fetch", "wait"]);
        assert_eq!(scene.fails(), "out: nobody answers");
        assert_eq!([scene.step(), scene.step()], ["nobody answers", "nobody answers"]);
        scene.second += PAUSE.as_secs();
        assert_eq!(scene.step(), "fetch");
        assert_eq!(scene.fails(), "", "said already");
        scene.second += PAUSE.as_secs();
        assert_eq!(scene.step(), "fetch");
        assert_eq!(scene.yields("b", Some(3 * HOUR)), "good from there", "again");
        assert_eq!(scene.step(), "b");
    }

    #[test]
    fn where_there_never_were_any_each_request_is_told_and_the_log_is_not() {
        let mut scene = Scene::new();
        assert_eq!(scene.step(), "fetch");
        assert_eq!(scene.fails(), "");
        assert_eq!(scene.step(), "nobody answers");
        scene.second += PAUSE.as_secs();
        assert_eq!(scene.step(), "fetch");
        assert_eq!(scene.yields("a", None), "good from there");
    }

    #[test]
    fn those_that_end_soon_are_used_and_renewed_no_faster_than_the_pause() {
        let mut scene = Scene::new();
        scene.step();
        scene.yields("a", Some(60));
        assert_eq!([scene.step(), scene.step()], ["a", "a"]);
        scene.second = PAUSE.as_secs();
        assert_eq!([scene.step(), scene.step()], ["fetch", "a"]);
        // The source has no later ones yet.
        assert_eq!(scene.yields("a", Some(60)), "");
        assert_eq!(scene.step(), "a");
    }

    #[test]
    fn those_that_are_over_when_they_come_are_none() {
        let mut scene = Scene::new();
        scene.second = HOUR;
        scene.step();
        scene.yields("a", Some(HOUR));
        let said = scene.step();
        assert!(said.contains("ended"), "{said}");
    }

    #[test]
    fn a_file_is_read_again_after_its_time_and_what_it_held_is_kept_if_that_fails() {
        let mut scene = Scene::new();
        scene.step();
        scene.ends(Ok(Fetched { may_change: true, ..fetched("a") }));
        scene.second = FILE_AGE.as_secs() - 1;
        assert_eq!(scene.step(), "a");
        scene.second += 1;
        assert_eq!([scene.step(), scene.step()], ["fetch", "a"]);
        assert_eq!(scene.fails(), "worn, None left");
        assert_eq!(scene.step(), "a");
        scene.second = 1_000_000;
        assert_eq!([scene.step(), scene.step()], ["fetch", "a"]);
        assert_eq!(scene.ends(Ok(fetched("b"))), "good from there");
        assert_eq!(scene.step(), "b");
    }

    #[test]
    fn another_source_is_news() {
        let mut scene = Scene::new();
        scene.step();
        scene.yields("a", Some(HOUR));
        scene.second = HOUR;
        assert_eq!(scene.step(), "fetch");
        let other = Fetched { source: "elsewhere".to_owned(), ..fetched("b") };
        assert_eq!(scene.ends(Ok(other)), "good from elsewhere");
    }

    #[test]
    fn a_clock_that_is_set_forward_costs_one_more_attempt() {
        let mut scene = Scene::new();
        scene.step();
        scene.yields("a", Some(HOUR));
        let (utc, now) = (at(2 * HOUR), scene.now());
        assert!(matches!(scene.renewal.step(utc, now), Step::Fetch));
    }
}
