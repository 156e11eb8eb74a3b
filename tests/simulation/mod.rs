//! The client's core against thousands of random histories, in one thread and in simulated time.
//!
//! The promise: a file that came to rest is in the store with its last bytes, or it is parked with a
//! reason that is true; no row without an acknowledgement; nothing that should not be there; and rest
//! when there is nothing left to do. A history that breaks it is made as short as possible and printed;
//! put into `found`, it is tried with every `cargo test`.

mod client;
mod disk;
mod generate;
mod history;
mod kernel;
mod life;
mod machine;
mod promise;
mod scan;
mod script;
mod server;
mod shrink;
mod world;

use history::History;
use promise::{Tally, keep};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// Histories that one test goes through, unless `S3UP_TEST_HISTORIES` says another number.
const HISTORIES: u64 = 2000;

/// Goes through one history. A panic breaks the promise as anything else does.
fn attempt(history: &History, traced: bool) -> (Result<Tally, String>, String) {
    let went = catch_unwind(AssertUnwindSafe(|| keep(history, traced)));
    went.unwrap_or_else(|payload| {
        let message = s3up::threads::panic_message(&*payload);
        (Err(format!("panic: {message}")), String::new())
    })
}

/// Stops the test with the history that broke the promise, as short as it can be made.
fn fail(what: &str, history: &History) -> ! {
    let short = shrink::shrink(history, |history| attempt(history, false).0.is_err());
    let (kept, trace) = attempt(&short, true);
    panic!("{what}\n{trace}\n\n{short}\n{}", kept.unwrap_err());
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().expect("a number"))
}

#[test]
fn random_histories_keep_the_promise() {
    let seed = number("S3UP_TEST_SEED");
    let first = seed.unwrap_or_else(|| fastrand::u64(..u64::from(u32::MAX)));
    let count = number("S3UP_TEST_HISTORIES").unwrap_or(seed.map_or(HISTORIES, |_| 1));
    let (mut uploads, mut recalled, mut heard) = (0, 0, 0);
    for seed in first..first + count {
        let history = generate::history(seed);
        match attempt(&history, false).0 {
            Ok(tally) => {
                uploads += tally.uploads;
                recalled += tally.recalled;
                heard += u64::from(tally.heard);
            }
            Err(broken) => fail(&format!("S3UP_TEST_SEED={seed}: {broken}"), &history),
        }
    }
    println!(
        "{count} histories from seed {first}: {uploads} uploads, {recalled} files recalled, {heard} \
         without lost hints"
    );
}

#[test]
fn every_history_that_was_found_to_break_it_keeps_it_now() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/simulation/found");
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let history: History = std::fs::read_to_string(&path).unwrap().parse().unwrap();
        if let (Err(broken), _) = attempt(&history, false) {
            fail(&format!("{}: {broken}", path.display()), &history);
        }
    }
}

#[test]
fn a_history_is_read_as_it_was_written_and_goes_the_same_way_again() {
    for seed in 0..100 {
        let history = generate::history(seed);
        let text = history.to_string();
        assert_eq!(text.parse::<History>().as_ref(), Ok(&history), "{text}");
        assert_eq!(attempt(&history, true), attempt(&history, true));
    }
}
