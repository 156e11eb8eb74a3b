//! The specification of the provider, with fetchers of the test's own. Where credentials are looked
//! for is specified from outside, in `tests/s3_credentials.rs`.

use super::*;
use crossbeam_channel::{Receiver, Sender, bounded};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// For what must come; a test that would wait longer has failed.
const LONG: Duration = Duration::from_secs(30);

fn fetched(name: &str, seconds: u64) -> Fetched {
    let keys = Keys {
        access_key_id: name.to_owned(),
        secret_access_key: Secret::new("the/secret"),
        session_token: None,
    };
    let ends = clock::utc() + Duration::from_secs(seconds);
    Fetched { keys, source: "a test".to_owned(), ends: Some(ends), may_change: false }
}

/// A provider whose fetcher says that it was called and waits for its outcome.
fn staged() -> (Arc<Provider>, Receiver<()>, Sender<Result<Fetched, CredentialsError>>) {
    let (called, calls) = bounded(16);
    let (outcome, outcomes) = bounded(16);
    let provider = Provider::fetching(move || {
        called.send(()).unwrap();
        outcomes.recv_timeout(LONG).unwrap()
    });
    (Arc::new(provider), calls, outcome)
}

/// Asks on a thread of its own.
fn ask(provider: &Arc<Provider>) -> Receiver<Result<String, CredentialsError>> {
    let provider = Arc::clone(provider);
    let (answer, answers) = bounded(1);
    thread::Builder::new()
        .spawn(move || {
            let current = provider.current().map(|keys| keys.access_key_id.clone());
            answer.send(current).unwrap();
        })
        .unwrap();
    answers
}

#[test]
fn many_who_need_credentials_cost_one_question() {
    let (provider, calls, outcome) = staged();
    let first = ask(&provider);
    calls.recv_timeout(LONG).unwrap();
    let others: Vec<_> = (0..20).map(|_| ask(&provider)).collect();
    outcome.send(Ok(fetched("a", 3600))).unwrap();
    for answer in others.iter().chain([&first]) {
        assert_eq!(answer.recv_timeout(LONG).unwrap().unwrap(), "a");
    }
    assert!(calls.is_empty(), "fetched once");
}

#[test]
fn those_that_wait_are_told_of_a_failure() {
    let (provider, calls, outcome) = staged();
    let first = ask(&provider);
    calls.recv_timeout(LONG).unwrap();
    let second = ask(&provider);
    let error = CredentialsError::unavailable("nobody answers", HINT_SERVICE);
    outcome.send(Err(error.clone())).unwrap();
    for answer in [first, second] {
        assert_eq!(answer.recv_timeout(LONG).unwrap().unwrap_err(), error);
    }
    assert!(calls.is_empty(), "not tried again at once");
}

#[test]
fn a_fetch_that_panics_ends_its_turn() {
    let calls = AtomicUsize::new(0);
    let provider = Provider::fetching(move || match calls.fetch_add(1, Ordering::Relaxed) {
        0 => panic!("on the first day"),
        _ => Ok(fetched("a", 3600)),
    });
    catch_unwind(AssertUnwindSafe(|| provider.current())).unwrap_err();
    let error = provider.current().unwrap_err();
    assert!(error.cause.contains("broke off"), "{error}");
}

#[test]
fn keys_of_the_configuration_are_taken_as_they_are() {
    let keys = fetched("a", 0).keys;
    let environment = Environment::new(|name| panic!("{name} is looked up"));
    let provider = Provider::new(Identity::Keys(keys.clone()), environment);
    assert_eq!(*provider.current().unwrap(), keys);
}
