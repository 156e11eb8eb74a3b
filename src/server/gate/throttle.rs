//! Failed authentications, counted per peer: their answers come slower and slower, then as a 429.
//!
//! Pure: time is an argument, and it is the caller who waits. Shared by all connections under one
//! mutex that is the caller's.
//!
//! A good key always passes and is none of this module's business: one host behind a shared address
//! that is set up wrong must not lock its neighbours out, and keys of 256 random bits cannot be
//! guessed. What is bounded here is the processor time and the log lines that failures cost, and how
//! fast somebody can try the weak keys of an operator who made them up. Therefore a 429 is delayed
//! too: it would otherwise be the cheapest of all answers to ask for.
//!
//! Each peer has an account. A failure is put on it, and one is forgotten every
//! [`AUTH_FAILURE_AGE`]. What finds the account full is not put on it, so that who waits as long as
//! it was told is answered again.

use super::peer::PeerGroup;
use crate::limits::gate::{
    AUTH_DELAY_FIRST, AUTH_DELAY_MAX, AUTH_FAILURE_AGE, AUTH_FAILURES_FREE, AUTH_FAILURES_MAX,
    AUTH_PEERS_MAX,
};
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// How a failed authentication is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Say what is wrong with it.
    Answer {
        /// How long to wait before that.
        delay: Duration,
    },
    /// Say 429, and close the connection: its next attempt then costs a connection too.
    TooMany {
        /// How long to wait before that.
        delay: Duration,
        /// When a failure would be answered again.
        retry_after: Duration,
    },
}

/// The accounts of the peers that failed lately, at most [`AUTH_PEERS_MAX`]. Beyond that, the one
/// whose last failure is longest ago is forgotten.
#[derive(Debug)]
pub struct Throttle {
    peers_max: usize,
    accounts: HashMap<PeerGroup, Account>,
    /// By the turn of their last failure.
    turns: BTreeMap<u64, PeerGroup>,
    next_turn: u64,
}

#[derive(Clone, Copy, Debug)]
struct Account {
    /// When all failures on it will be forgotten.
    empty_at: Instant,
    turn: u64,
}

impl Default for Throttle {
    fn default() -> Self {
        Self::new()
    }
}

impl Throttle {
    /// Nobody has failed yet.
    pub fn new() -> Self {
        Self {
            peers_max: AUTH_PEERS_MAX,
            accounts: HashMap::new(),
            turns: BTreeMap::new(),
            next_turn: 0,
        }
    }

    /// Notes that an authentication from `peer` failed `now`, and says how to answer it. Takes
    /// O(log n).
    pub fn failed(&mut self, peer: IpAddr, now: Instant) -> Verdict {
        let peer = PeerGroup::of(peer);
        // A failure is worth the time it takes until it is forgotten.
        let account = self.take(peer);
        let before = account
            .map_or(Duration::ZERO, |account| account.empty_at.saturating_duration_since(now));
        let worth = before + AUTH_FAILURE_AGE;
        let excess = worth.saturating_sub(AUTH_FAILURE_AGE * AUTH_FAILURES_MAX);
        if excess.is_zero() {
            self.put(peer, now + worth);
            Verdict::Answer { delay: delay(failures_worth(worth)) }
        } else {
            self.put(peer, now + before);
            Verdict::TooMany { delay: AUTH_DELAY_MAX, retry_after: excess }
        }
    }

    fn take(&mut self, peer: PeerGroup) -> Option<Account> {
        let account = self.accounts.remove(&peer)?;
        self.turns.remove(&account.turn);
        Some(account)
    }

    /// Puts an account back, as the one that failed last.
    fn put(&mut self, peer: PeerGroup, empty_at: Instant) {
        while self.accounts.len() >= self.peers_max {
            let Some((_, forgotten)) = self.turns.pop_first() else { break };
            self.accounts.remove(&forgotten);
        }
        let turn = self.next_turn;
        self.next_turn += 1;
        self.accounts.insert(peer, Account { empty_at, turn });
        self.turns.insert(turn, peer);
    }
}

/// How many failures take so long to be forgotten; one that is half forgotten still counts.
fn failures_worth(worth: Duration) -> u32 {
    let failures = worth.as_nanos().div_ceil(AUTH_FAILURE_AGE.as_nanos());
    u32::try_from(failures).unwrap_or(u32::MAX)
}

/// The delay of an answer that puts failure number `failures` on the account.
fn delay(failures: u32) -> Duration {
    match failures.saturating_sub(AUTH_FAILURES_FREE) {
        0 => Duration::ZERO,
        slowed => {
            let growth = 2_u32.saturating_pow(slowed - 1);
            AUTH_DELAY_FIRST.saturating_mul(growth).min(AUTH_DELAY_MAX)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;
    use proptest::prelude::*;

    fn answer(delay_ms: u64) -> Verdict {
        Verdict::Answer { delay: Duration::from_millis(delay_ms) }
    }

    fn too_many(retry_after: u64) -> Verdict {
        let retry_after = Duration::from_secs(retry_after);
        Verdict::TooMany { delay: Duration::from_secs(2), retry_after }
    }

    fn refused(verdict: Verdict) -> bool {
        matches!(verdict, Verdict::TooMany { .. })
    }

    /// Failures of peers at seconds, and the answer to the last one.
    fn check<'a>(failures: impl IntoIterator<Item = (&'a str, u64)>, expected: Verdict) {
        let start = clock::monotonic();
        let mut throttle = Throttle::new();
        let verdicts = failures.into_iter().map(|(peer, second)| {
            throttle.failed(peer.parse().unwrap(), start + Duration::from_secs(second))
        });
        assert_eq!(verdicts.last(), Some(expected));
    }

    /// So many failures of one peer at one second.
    fn burst(peer: &str, count: usize, second: u64) -> impl Iterator<Item = (&str, u64)> {
        std::iter::repeat_n((peer, second), count)
    }

    const PEER: &str = "192.0.2.1";

    #[test]
    fn the_first_failures_are_answered_at_once() {
        check(burst(PEER, 1, 0), answer(0));
        check(burst(PEER, 10, 0), answer(0));
    }

    #[test]
    fn further_ones_are_slowed_up_to_two_seconds() {
        for (count, delay) in [(11, 250), (12, 500), (13, 1000), (14, 2000), (15, 2000)] {
            check(burst(PEER, count, 0), answer(delay));
        }
        check(burst(PEER, 30, 0), answer(2000));
    }

    #[test]
    fn too_many_are_refused_until_one_is_forgotten() {
        check(burst(PEER, 31, 0), too_many(10));
        check(burst(PEER, 30, 0).chain([(PEER, 4)]), too_many(6));
        check(burst(PEER, 30, 0).chain([(PEER, 10)]), answer(2000));
        check(burst(PEER, 30, 0).chain(burst(PEER, 2, 10)), too_many(10));
    }

    #[test]
    fn what_was_refused_is_not_counted() {
        check(burst(PEER, 10_000, 0), too_many(10));
        check(burst(PEER, 10_000, 0).chain([(PEER, 10)]), answer(2000));
    }

    #[test]
    fn a_failure_is_forgotten_every_ten_seconds() {
        check(burst(PEER, 20, 0).chain([(PEER, 100)]), answer(250));
        check(burst(PEER, 20, 0).chain([(PEER, 101)]), answer(250));
        check(burst(PEER, 20, 0).chain([(PEER, 110)]), answer(0));
        check(burst(PEER, 10_000, 0).chain(burst(PEER, 10, 300)), answer(0));
    }

    #[test]
    fn a_host_that_tries_once_a_minute_is_never_slowed() {
        check((0..10_000).map(|minute| (PEER, 60 * minute)), answer(0));
    }

    #[test]
    fn peers_have_accounts_of_their_own_by_group() {
        check(burst(PEER, 99, 0).chain([("192.0.2.2", 0)]), answer(0));
        check(burst(PEER, 99, 0).chain([("::ffff:192.0.2.1", 0)]), too_many(10));
        check(burst("2001:db8::1", 99, 0).chain([("2001:db8::f:2", 0)]), too_many(10));
        check(burst("2001:db8::1", 99, 0).chain([("2001:db8:0:1::1", 0)]), answer(0));
    }

    #[test]
    fn a_time_that_is_a_little_earlier_than_the_last_one_does_no_harm() {
        check(burst(PEER, 30, 5).chain([(PEER, 4)]), too_many(11));
    }

    #[test]
    fn the_number_of_accounts_is_bounded() {
        let mut throttle = Throttle::new();
        for address in 0..10_000_u32 {
            throttle.failed(std::net::Ipv4Addr::from_bits(address).into(), clock::monotonic());
        }
        assert_eq!(throttle.accounts.len(), AUTH_PEERS_MAX);
        assert_eq!(throttle.turns.len(), AUTH_PEERS_MAX);
    }

    /// The accounts in the order of their last failures, each with its peer, its failures in
    /// thousandths, and when (in units of a hundredth of a second) these were counted.
    type Model = Vec<(u8, u64, u64)>;

    /// The rules of the module's head, step by step; only whether it is refused.
    fn refused_by_the_rules(model: &mut Model, peers_max: usize, peer: u8, now: u64) -> bool {
        let known = model.iter().position(|(other, ..)| *other == peer);
        let (_, failures, at) = known.map_or((peer, 0, now), |index| model.remove(index));
        let left = failures.saturating_sub(now - at);
        let full = left + 1000 > u64::from(AUTH_FAILURES_MAX) * 1000;
        model.push((peer, if full { left } else { left + 1000 }, now));
        if model.len() > peers_max {
            model.remove(0);
        }
        full
    }

    proptest! {
        #[test]
        fn the_accounts_are_kept_by_the_rules(
            peers_max in 1..6_usize,
            failures in proptest::collection::vec((0..7_u8, 0..200_u64, 1..40_usize), 1..60),
        ) {
            let start = clock::monotonic();
            let mut throttle = Throttle { peers_max, ..Throttle::new() };
            let mut model = Model::new();
            let mut now = 0;
            for (peer, pause, times) in failures {
                now += pause;
                let at = start + Duration::from_millis(now * 10);
                let address = IpAddr::from([192, 0, 2, peer]);
                for _ in 0..times {
                    let verdict = throttle.failed(address, at);
                    let expected = refused_by_the_rules(&mut model, peers_max, peer, now);
                    prop_assert_eq!(refused(verdict), expected);
                }
                prop_assert_eq!(throttle.accounts.len(), model.len());
                prop_assert_eq!(throttle.turns.len(), model.len());
            }
        }

        #[test]
        fn who_waits_as_long_as_it_was_told_is_answered_and_not_a_moment_sooner(
            pauses in proptest::collection::vec(0..5_000_u64, 31..80),
        ) {
            let mut now = clock::monotonic();
            let mut throttle = Throttle::new();
            for pause in pauses {
                now += Duration::from_millis(pause);
                let verdict = throttle.failed([192, 0, 2, 1].into(), now);
                if let Verdict::TooMany { retry_after, .. } = verdict {
                    let soon = now + retry_after - Duration::from_nanos(1);
                    let verdict = throttle.failed([192, 0, 2, 1].into(), soon);
                    prop_assert!(refused(verdict));
                    now += retry_after;
                    let verdict = throttle.failed([192, 0, 2, 1].into(), now);
                    prop_assert!(!refused(verdict));
                }
            }
        }
    }
}
