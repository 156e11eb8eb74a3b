//! The client, killed at any moment under load: nothing is missing afterwards, and nothing was sent
//! twice but what was in its hands.

use crate::support::bucket::Kind;
use crate::support::content;
use crate::support::pair::Pair;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

/// To run the same once more.
const SEED: &str = "S3UP_TEST_SEED";

/// How often the client is killed; more by hand than with every change of the code.
const KILLS: &str = "S3UP_TEST_KILLS";

/// `upload.concurrency`, as it is if nobody says otherwise.
const HANDS: usize = 4;

fn from_environment(name: &str) -> Option<u64> {
    Some(std::env::var(name).ok()?.parse().unwrap())
}

/// Makes files until it is told to end: each is written beside the watched folder and moved in, so
/// that it has one state only. Beside them a few that are written over and over. Returns how many
/// were moved in.
fn load(root: &Path, beside: &Path, seed: u64, end: &Receiver<()>) -> usize {
    let mut chance = fastrand::Rng::with_seed(seed);
    let mut count = 0;
    while end.recv_timeout(Duration::from_millis(chance.u64(0..60)))
        == Err(RecvTimeoutError::Timeout)
    {
        for _ in 0..chance.usize(1..4) {
            let folder = root.join(format!("once/{}/{}", chance.u8(0..5), count / 50));
            std::fs::create_dir_all(&folder).unwrap();
            let new = beside.join("new");
            std::fs::write(&new, content(chance.u64(..), chance.usize(0..30_000))).unwrap();
            std::fs::rename(new, folder.join(format!("{count}"))).unwrap();
            count += 1;
        }
        let restless = root.join(format!("restless-{}", chance.u8(0..3)));
        std::fs::write(restless, content(chance.u64(..), 5000)).unwrap();
    }
    count
}

#[test]
fn a_client_that_is_killed_at_any_moment_loses_nothing_and_sends_nothing_twice() {
    let seed = from_environment(SEED).unwrap_or_else(|| fastrand::u64(..));
    let kills = from_environment(KILLS).unwrap_or(25);
    eprintln!("{SEED}={seed} {KILLS}={kills}");
    let mut chance = fastrand::Rng::with_seed(seed);
    let mut pair = Pair::new(Kind::Directory);
    // Whatever is found after a kill is found because it is new, not because everything is taken.
    pair.client.upload_existing = false;
    pair.client.start();
    let [root, beside] = [pair.client.path(""), pair.client.beside("beside")];
    std::fs::create_dir(&beside).unwrap();

    let (going_on, end) = channel::<()>();
    let files = thread::scope(|scope| {
        let (root, beside) = (&root, &beside);
        let load = scope.spawn(move || load(root, beside, seed, &end));
        for _ in 0..kills {
            // From before it has opened its database to long after its first scan.
            let moment = if chance.bool() { chance.u64(0..100) } else { chance.u64(0..1500) };
            thread::park_timeout(Duration::from_millis(moment));
            pair.client.kill();
            pair.client.launch();
        }
        drop(going_on);
        load.join().unwrap()
    });
    pair.assert_all_arrive();
    assert!(pair.client.parked().is_empty());
    pair.stop();
    assert_sent_once(&pair, files, usize::try_from(kills).unwrap());
}

/// Of the files that had one state only, at most those were sent again that were in hand at a kill.
fn assert_sent_once(pair: &Pair, files: usize, kills: usize) {
    let log = pair.server.log();
    let mut stored: BTreeMap<String, usize> = BTreeMap::new();
    for line in log.lines() {
        if let Some((_, rest)) = line.split_once("stored \"backups/web/uploads/once/") {
            *stored.entry(rest.split('"').next().unwrap().to_owned()).or_default() += 1;
        }
    }
    assert_eq!(stored.len(), files);
    let again: usize = stored.values().map(|times| times - 1).sum();
    let most = stored.values().max().unwrap_or(&0);
    eprintln!("{files} files, {kills} kills: {again} sent again, no file more than {most} times");
    assert!(again <= kills * HANDS, "{again} files were sent again");
}
