//! Two versions of one file on their way to S3 at the same time: the old one, of which the client has
//! heard nothing and hears no more, must not land on the new one.

use crate::support::fault::{Fault, Rule, error};
use crate::support::fault_proxy::FaultProxy;
use crate::support::s3_message::Stage::{self, Abort, Complete, Put};
use crate::support::s3_server::S3Server;
use crate::support::scene::{prepare, settings};
use crate::support::waiting::{DEADLINE, eventually};
use crate::support::{content, key_below, part};
use s3up::digest::Digest;
use s3up::server::store::s3::{Deadlines, S3Settings, S3Store};
use s3up::server::store::{Metadata, ObjectStore, StoreError, StoreErrorKind};
use std::io::Read;
use std::thread;
use std::time::Duration;

/// Longer than any test takes, and than anybody waits for another one's turn: an upload that is not
/// told to end does not end.
const FOR_EVER: Duration = Duration::from_secs(3600);

const ALWAYS: usize = usize::MAX;

/// How a version is uploaded, by the stage that makes it visible.
const WAYS: [Stage; 2] = [Put, Complete];

/// An S3 server, the proxy before it, and a store that gives up on a silent attempt soon and tries
/// again for ever.
struct Race {
    server: S3Server,
    proxy: FaultProxy,
    store: S3Store,
}

impl Race {
    fn new() -> Self {
        let server = S3Server::start();
        let proxy = FaultProxy::before(server.address());
        let answer = Duration::from_secs(1);
        let deadlines = Deadlines { answer, retry: FOR_EVER, ..Deadlines::default() };
        let settings = S3Settings { deadlines, ..settings(&proxy.endpoint()) };
        Self { server, proxy, store: prepare(settings).unwrap() }
    }

    fn upload(&self, path: &str, bytes: &[u8], way: Stage) -> Result<(), StoreError> {
        let key = key_below("backups", path);
        let sha256 = Digest::of(bytes);
        let metadata = Metadata { sha256: Some(sha256), mtime: None };
        if way == Put {
            return self.store.put(&key, bytes, &metadata);
        }
        let mut large = self.store.begin(&key, &metadata)?;
        large.append(part(bytes))?;
        large.complete(sha256)
    }

    fn read(&self, path: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        let object = self.store.open(&key_below("backups", path), None).unwrap().unwrap();
        object.body.take(1_000_000).read_to_end(&mut bytes).unwrap();
        bytes
    }
}

/// The old version gets through to S3 at the earliest when the new one was acknowledged.
#[track_caller]
fn check(race: &Race, fault: &Fault, [old_way, new_way]: [Stage; 2]) {
    let path = format!("{old_way:?}-{new_way:?}");
    let key = key_below("backups", &path).as_str().to_owned();
    let (old, new) = (content(1, 10_000), content(2, 20_000));
    let sha256 = Digest::of(&old);
    let rule = |stage, fault| Rule { key: key.clone(), stage, spared: 0, times: ALWAYS, fault };
    race.proxy.arrange_for(sha256, rule(old_way, fault.clone()));
    // Whoever does not wait for the old one to be given up at S3 is faster than that.
    race.proxy.arrange_for(sha256, rule(Abort, Fault::Slow));
    let before = race.proxy.stored(&key);
    thread::scope(|scope| {
        let old = scope.spawn(|| race.upload(&path, &old, old_way));
        eventually(DEADLINE, "the old version is on its way", || {
            (!race.proxy.fired(&key).is_empty()).then_some(())
        });
        let uploaded = race.upload(&path, &new, new_way);
        let begun = race.proxy.begun(&key);
        // If anybody still tries, it succeeds now. (Or this test would never end.)
        race.proxy.heal(&key);
        uploaded.unwrap();
        assert_eq!(begun, 0, "{path}: something can still come of the old version");
        let error = old.join().unwrap().unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::Unavailable, "{path}: {error}");
    });
    assert!(race.read(&path) == new, "{path}: the old version stands");
    assert_eq!(race.proxy.stored(&key), before + 1);
}

fn check_all(fault: &Fault) {
    let race = Race::new();
    thread::scope(|scope| {
        for ways in WAYS.into_iter().flat_map(|old| WAYS.map(|new| [old, new])) {
            let race = &race;
            scope.spawn(move || check(race, fault, ways));
        }
    });
    assert_eq!(race.server.leftovers(), [""; 0]);
}

#[test]
fn an_old_version_that_s3_puts_off_gives_way_to_the_new_one() {
    check_all(&Fault::Answer(error(503, "SlowDown")));
}

#[test]
fn an_old_version_that_s3_says_nothing_to_is_waited_for_and_gives_way() {
    check_all(&Fault::Stall(0));
}

#[test]
fn an_old_version_that_comes_through_after_all_is_stored_before_the_new_one() {
    let race = Race::new();
    let key = key_below("backups", "it").as_str().to_owned();
    let (old, new) = (content(1, 10_000), content(2, 20_000));
    race.proxy.arrange_for(
        Digest::of(&old),
        Rule { key: key.clone(), stage: Put, spared: 0, times: 1, fault: Fault::Slow },
    );
    thread::scope(|scope| {
        let old = scope.spawn(|| race.upload("it", &old, Put));
        eventually(DEADLINE, "the old version is on its way", || {
            (!race.proxy.fired(&key).is_empty()).then_some(())
        });
        race.upload("it", &new, Put).unwrap();
        assert_eq!(race.proxy.stored(&key), 2, "one after the other");
        old.join().unwrap().unwrap();
    });
    assert!(race.read("it") == new);
}
