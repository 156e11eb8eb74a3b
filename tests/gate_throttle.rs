//! Failed authentications: a peer's own are slowed and then refused, and nobody else's.

use crate::support::api::{Answer, Request};
use crate::support::bucket::Kind;
use crate::support::crowd::{address, connect_from};
use crate::support::server::{EU_KEY, Server, WEB_KEY};
use crate::support::siege::Siege;
use s3up::limits::gate::{AUTH_FAILURE_AGE, AUTH_FAILURES_MAX};
use std::thread;

/// More failures than a peer may have on its account, and than are forgotten meanwhile.
const MANY: usize = AUTH_FAILURES_MAX as usize + 10;

fn exists(key: &str) -> Request {
    Request::new("GET", "/exists?path=a").key(key)
}

/// A request with a wrong key, as a proxy passes it on.
fn wrong(forwarded_for: Option<&str>) -> Request {
    let request = exists("sk_test_of_nobody_at_all_0123456789");
    match forwarded_for {
        Some(address) => request.header("X-Forwarded-For", address),
        None => request,
    }
}

/// Many failures from one address, all at once so that their delays pass together. Returns how many
/// were answered as such and how many with a 429.
#[track_caller]
fn fail_often(
    siege: &Siege,
    last: u8,
    request: impl Fn(usize) -> Request + Sync,
) -> (usize, usize) {
    let (request, port) = (&request, siege.port());
    let answers: Vec<Answer> = thread::scope(|scope| {
        let ask = |number| move || connect_from(address(last), port).ask(&request(number));
        let asking: Vec<_> = (0..MANY).map(|number| scope.spawn(ask(number))).collect();
        asking.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let with = |status| answers.iter().filter(|answer| answer.status == status).count();
    let seen = (with(401), with(429));
    assert_eq!(seen.0 + seen.1, MANY, "{answers:#?}");
    for answer in answers.iter().filter(|answer| answer.status == 429) {
        assert_refused(answer);
    }
    seen
}

#[track_caller]
fn assert_refused(answer: &Answer) {
    answer.assert_error(429, "too_many_requests");
    let seconds: u64 = answer.header("Retry-After").unwrap().parse().unwrap();
    assert!((1..=AUTH_FAILURE_AGE.as_secs() + 1).contains(&seconds), "{seconds} s");
    assert_eq!(answer.header("Connection"), Some("close"));
}

/// Checks that a peer whose account was full is refused: at once, or after what fills it again, if some
/// was forgotten meanwhile.
#[track_caller]
fn assert_refused_soon(ask: impl Fn() -> Answer) {
    let answer = (0..3).map(|_| ask()).find(|answer| answer.status != 401);
    assert_refused(&answer.expect("it is refused"));
}

#[test]
fn a_peer_that_fails_too_often_is_refused_and_a_good_key_of_the_same_address_passes() {
    let siege = Siege::new();
    let (answered, refused) = fail_often(&siege, 2, |_| wrong(None));
    // A few may be forgotten on a machine that takes its time.
    assert!(answered >= AUTH_FAILURES_MAX as usize && refused > 0, "{answered}, {refused}");
    let mut same = connect_from(address(2), siege.port());
    for key in [WEB_KEY, EU_KEY] {
        assert_eq!(same.ask(&exists(key)).status, 200);
    }
    drop(same);
    connect_from(address(9), siege.port()).ask(&wrong(None)).assert_error(401, "unauthorized");
    assert_refused_soon(|| connect_from(address(2), siege.port()).ask(&wrong(None)));
    siege.assert_unharmed();
}

#[test]
fn what_a_peer_says_of_itself_does_not_help_it() {
    let siege = Siege::new();
    let elsewhere = |number: usize| wrong(Some(&format!("192.0.2.{number}")));
    let (_, refused) = fail_often(&siege, 2, elsewhere);
    assert!(refused > 0);
    assert!(!siege.log().contains("192.0.2."), "it was believed");
    siege.assert_unharmed();
}

#[test]
fn behind_a_trusted_proxy_each_peer_has_an_account_of_its_own() {
    let mut server = Server::new(Kind::Directory);
    server.trusted_proxies = vec!["127.0.0.2"];
    let siege = Siege::of(server);
    // What stands before the address that the proxy wrote, the peer wrote.
    let (_, refused) =
        fail_often(&siege, 2, |number| wrong(Some(&format!("198.51.100.{number}, 192.0.2.7"))));
    assert!(refused > 0);
    siege.daemon().wait_for("] 192.0.2.7 - GET \"/exists?path=a\" 429 ");
    assert!(!siege.log().contains("198.51.100."), "the peer was believed");
    let ask = |request: &Request| connect_from(address(2), siege.port()).ask(request);
    ask(&wrong(Some("192.0.2.8"))).assert_error(401, "unauthorized");
    ask(&wrong(None)).assert_error(401, "unauthorized");
    assert_eq!(ask(&exists(WEB_KEY).header("X-Forwarded-For", "192.0.2.7")).status, 200);
    assert_refused_soon(|| ask(&wrong(Some("192.0.2.7"))));
    siege.assert_unharmed();
}
