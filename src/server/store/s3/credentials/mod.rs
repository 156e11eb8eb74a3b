//! Who we are to S3: keys from the configuration, or found where AWS's own programs look.
//!
//! Runs on the worker threads. It owns the keys. Those that end are renewed ahead of their end by
//! the one thread that finds them due, while the others go on with the old ones; a request without
//! any waits for that thread, with a bound. It must not show a key or a token, nor where a container
//! gets its own.
//!
//! `renewal` knows when, `profile` reads the credentials file, `metadata` asks the services of
//! containers and instances. Of the `s3` crate's own search only the reader of the file is used: the
//! rest sends questions to the instance's metadata service through `HTTP_PROXY`, with the instance's
//! credentials in the answer, waits 30 s for a connection and takes answers of any size.

mod metadata;
mod profile;
mod renewal;
#[cfg(test)]
mod tests;

use self::renewal::{News, Renewal, Step};
use super::environment::Environment;
use crate::clock;
use crate::limits::credentials::WAIT;
use crate::secret::Secret;
use crate::server::store::StoreErrorKind;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

const HINT_NOWHERE: &str = "set s3.access_key_id and s3.secret_access_key, or s3.profile, or give the \
                            instance or container a role";
const HINT_PROFILE: &str = "check s3.profile (or AWS_PROFILE and AWS_SHARED_CREDENTIALS_FILE) and that \
                            this user may read the file";
const HINT_HALF: &str = "set both AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or neither";
const HINT_OVER: &str = "check this machine's clock, and the service that gives them";
const HINT_SERVICE: &str = "check the service that gives them";

/// Who the server is to S3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// The owner of these keys.
    Keys(Keys),
    /// Whoever this profile of the credentials file names, and nobody else.
    Profile(String),
    /// Whoever the environment, the credentials file, the container or the instance says, the first
    /// of them that says anything.
    Found,
}

/// What requests are signed with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    /// The public half.
    pub access_key_id: String,
    /// The secret half.
    pub secret_access_key: Secret,
    /// What belongs to keys that are temporary.
    pub session_token: Option<Secret>,
}

/// Why there are no credentials; a part of the error of the request that needed them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{cause}; hint: {hint}")]
pub(super) struct CredentialsError {
    pub(super) kind: StoreErrorKind,
    pub(super) cause: String,
    pub(super) hint: &'static str,
}

impl CredentialsError {
    fn refused(cause: impl Into<String>, hint: &'static str) -> Self {
        Self { kind: StoreErrorKind::Refused, cause: cause.into(), hint }
    }

    fn unavailable(cause: impl Into<String>, hint: &'static str) -> Self {
        Self { kind: StoreErrorKind::Unavailable, cause: cause.into(), hint }
    }

    fn over(source: &str, ends: SystemTime) -> Self {
        let ended = httpdate::fmt_http_date(ends);
        Self::unavailable(format!("the credentials from {source} ended {ended}"), HINT_OVER)
    }
}

/// Credentials that were found somewhere.
struct Fetched {
    keys: Keys,
    /// Where; for the log.
    source: String,
    /// From then on they are refused.
    ends: Option<SystemTime>,
    /// Others may stand there at any time, as in a file.
    may_change: bool,
}

/// Why one place has none.
enum Miss {
    /// It is not in use; the next one counts. With the reason.
    Absent(String),
    /// It is in use, and what it says is of no use. Somebody else's rights would be a surprise.
    Broken(CredentialsError),
}

type Fetch = Box<dyn Fn() -> Result<Fetched, CredentialsError> + Send + Sync>;

/// Whoever signs asks this for the keys of the moment.
pub(super) struct Provider {
    kind: Kind,
}

enum Kind {
    Fixed(Arc<Keys>),
    Renewed { fetch: Fetch, renewal: Mutex<Renewal>, changed: Condvar },
}

impl Provider {
    pub(super) fn new(identity: Identity, environment: Environment) -> Self {
        match identity {
            Identity::Keys(keys) => Self { kind: Kind::Fixed(Arc::new(keys)) },
            Identity::Profile(name) => {
                Self::fetching(move || of_profile(&environment, Some(&name)).map_err(Miss::insist))
            }
            Identity::Found => Self::fetching(move || search(&environment)),
        }
    }

    fn fetching(
        fetch: impl Fn() -> Result<Fetched, CredentialsError> + Send + Sync + 'static,
    ) -> Self {
        let fetch: Fetch = Box::new(fetch);
        let (renewal, changed) = (Mutex::default(), Condvar::new());
        Self { kind: Kind::Renewed { fetch, renewal, changed } }
    }

    /// The keys to sign with now. Fetches them if they are due and nobody else does.
    pub(super) fn current(&self) -> Result<Arc<Keys>, CredentialsError> {
        let (fetch, renewal, changed) = match &self.kind {
            Kind::Fixed(keys) => return Ok(Arc::clone(keys)),
            Kind::Renewed { fetch, renewal, changed } => (fetch, renewal, changed),
        };
        let mut state = lock(renewal);
        loop {
            match state.step(clock::utc(), clock::monotonic()) {
                Step::Use(keys) => return Ok(keys),
                Step::Fail(error) => return Err(error),
                Step::Fetch => {
                    // Not under the lock: the others go on with what there is.
                    drop(state);
                    let mut turn = Turn { renewal, changed, outcome: None };
                    turn.outcome = Some(fetch());
                    drop(turn);
                    state = lock(renewal);
                }
                Step::Wait => {
                    let (woken, timeout) =
                        changed.wait_timeout(state, WAIT).unwrap_or_else(PoisonError::into_inner);
                    if timeout.timed_out() {
                        let cause = "the credentials are still being fetched";
                        return Err(CredentialsError::unavailable(cause, HINT_SERVICE));
                    }
                    state = woken;
                }
            }
        }
    }
}

fn lock(renewal: &Mutex<Renewal>) -> MutexGuard<'_, Renewal> {
    renewal.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One thread's turn to fetch. It ends also by a panic, or all would wait for ever.
struct Turn<'p> {
    renewal: &'p Mutex<Renewal>,
    changed: &'p Condvar,
    outcome: Option<Result<Fetched, CredentialsError>>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let outcome = self.outcome.take().unwrap_or_else(|| {
            Err(CredentialsError::unavailable("fetching credentials broke off", HINT_SERVICE))
        });
        let news = lock(self.renewal).fetched(outcome, clock::utc(), clock::monotonic());
        self.changed.notify_all();
        if let Some(news) = news {
            tell(&news);
        }
    }
}

fn tell(news: &News) {
    match news {
        News::Good { source, ends: None } => log::info!("the S3 credentials are from {source}"),
        News::Good { source, ends: Some(ends) } => {
            let until = httpdate::fmt_http_date(*ends);
            log::info!(
                "the S3 credentials are from {source}; good until {until}, renewed before that"
            );
        }
        News::Worn { error, left: Some(left) } => {
            log::warn!(
                "cannot renew the S3 credentials, which are good for {} s more: {error}",
                left.as_secs()
            );
        }
        News::Worn { error, left: None } => {
            log::warn!("cannot look for newer S3 credentials and stay with the old ones: {error}");
        }
        News::Out { error } => {
            log::error!("the S3 credentials have ended and cannot be renewed: {error}");
        }
    }
}

impl Miss {
    /// The place was named, so that it has nothing is an error.
    fn insist(self) -> CredentialsError {
        match self {
            Self::Absent(why) => CredentialsError::refused(why, HINT_PROFILE),
            Self::Broken(error) => error,
        }
    }
}

type Place = fn(&Environment) -> Result<Fetched, Miss>;

/// One place after the other, in the order of AWS's own programs.
fn search(environment: &Environment) -> Result<Fetched, CredentialsError> {
    let places: [Place; 4] = [
        of_environment,
        |environment| of_profile(environment, None),
        metadata::of_container,
        metadata::of_instance,
    ];
    let mut reasons = Vec::new();
    for place in places {
        match place(environment) {
            Ok(fetched) => return Ok(fetched),
            Err(Miss::Absent(reason)) => reasons.push(reason),
            Err(Miss::Broken(error)) => return Err(error),
        }
    }
    let cause = format!("there are no S3 credentials: {}", reasons.join("; "));
    Err(CredentialsError::refused(cause, HINT_NOWHERE))
}

fn of_environment(environment: &Environment) -> Result<Fetched, Miss> {
    let id = environment.get("AWS_ACCESS_KEY_ID");
    let secret = environment.get("AWS_SECRET_ACCESS_KEY");
    match (id, secret) {
        (Some(access_key_id), Some(secret)) => Ok(Fetched {
            keys: Keys {
                access_key_id,
                secret_access_key: Secret::new(secret),
                session_token: environment.get("AWS_SESSION_TOKEN").map(Secret::new),
            },
            source: "the environment".to_owned(),
            ends: None,
            may_change: false,
        }),
        (None, None) => Err(Miss::Absent("AWS_ACCESS_KEY_ID is not set".to_owned())),
        (Some(_), None) => half("AWS_SECRET_ACCESS_KEY"),
        (None, Some(_)) => half("AWS_ACCESS_KEY_ID"),
    }
}

fn half(missing: &str) -> Result<Fetched, Miss> {
    let cause = format!("{missing} is not set, and its other half is");
    Err(Miss::Broken(CredentialsError::refused(cause, HINT_HALF)))
}

/// A profile of the credentials file: the one that is named here or by `AWS_PROFILE`, which must be
/// there then, or `default`.
fn of_profile(environment: &Environment, name: Option<&str>) -> Result<Fetched, Miss> {
    let named = name.map(str::to_owned).or_else(|| environment.get("AWS_PROFILE"));
    let given = environment.get("AWS_SHARED_CREDENTIALS_FILE").map(PathBuf::from);
    let must = named.is_some() || given.is_some();
    let home = || environment.get("HOME").map(|home| PathBuf::from(home).join(".aws/credentials"));
    let found = match given.or_else(home) {
        Some(file) => profile::read(&file, named.as_deref().unwrap_or("default")),
        None => Err(Miss::Absent("there is no home folder with a credentials file".to_owned())),
    };
    found.map_err(|miss| if must { Miss::Broken(miss.insist()) } else { miss })
}
