//! The pair and files whose times tell little: written without a pause, or behind their old time.

use crate::support::bucket::Kind;
use crate::support::content;
use crate::support::pair::Pair;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::thread;
use std::time::Duration;

#[test]
fn a_log_that_is_appended_to_for_twenty_seconds_is_sent_once_and_whole() {
    let mut pair = Pair::new(Kind::Directory);
    // As it is delivered, and far longer than a writer on a busy machine is kept from writing.
    pair.client.debounce_seconds = 3.0;
    pair.client.start();
    let path = pair.write("growing.log", b"");
    let mut log = File::options().append(true).open(&path).unwrap();
    let mut whole = vec![];
    for number in 0..200 {
        let line = content(number, 80);
        log.write_all(&line).unwrap();
        whole.extend(line);
        thread::park_timeout(Duration::from_millis(100));
    }
    assert_eq!(pair.times_stored("uploads/growing.log"), 0, "it was sent before it rested");
    pair.assert_all_arrive();
    pair.wait_for_object("uploads/growing.log", &whole);
    assert!(pair.client.parked().is_empty());
    pair.stop();
    assert_eq!(pair.times_stored("uploads/growing.log"), 1);
}

/// Other bytes of the same length, in place, behind the time that the file had.
fn write_behind_its_time(path: &Path, bytes: &[u8]) {
    let modified = std::fs::metadata(path).unwrap().modified().unwrap();
    let mut file = File::options().write(true).open(path).unwrap();
    file.write_all(bytes).unwrap();
    file.set_modified(modified).unwrap();
}

#[test]
fn other_bytes_behind_the_old_time_are_found_whenever_they_are_written() {
    let pair = Pair::started(Kind::Directory);
    let paths: Vec<_> =
        (0..16).map(|number| pair.write(format!("{number}"), &content(number, 1000))).collect();
    thread::scope(|scope| {
        for (number, path) in (0..).zip(&paths) {
            let mut chance = fastrand::Rng::with_seed(number);
            scope.spawn(move || {
                // Several within one second and one step of the file system's clock, and some just
                // when the client takes the file for one at rest, reads it, or writes its row.
                for _ in 0..40 {
                    write_behind_its_time(path, &content(chance.u64(..), 1000));
                    let pause = [0, 1, 4, 150, 200, 210, 220, 250][chance.usize(..8)];
                    if pause > 0 {
                        thread::park_timeout(Duration::from_millis(pause));
                    }
                }
            });
        }
    });
    pair.assert_all_arrive();
}
