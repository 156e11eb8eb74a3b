//! Daily reports between both programs: what the client counted, and what the server stored.

use crate::support::bucket::Kind;
use crate::support::daemon::{CLIENT, Daemon};
use crate::support::pair::Pair;
use crate::support::waiting::{DEADLINE, eventually};
use s3up::client::daily::Sent;
use s3up::wire::report::Verdict;
use std::ffi::OsStr;

/// Has today's report sent, and returns it with the server's answer.
#[track_caller]
fn report_now(pair: &Pair) -> Sent {
    let file = pair.client.configure();
    let words = ["report", "--now", "--json", "-c"].map(OsStr::new);
    let arguments: Vec<&OsStr> = words.into_iter().chain([file.as_os_str()]).collect();
    let mut command = Daemon::start(CLIENT, &arguments, &[]);
    assert_eq!(command.ended().code(), Some(0), "{}", command.log());
    serde_json::from_str(&command.stdout()).unwrap()
}

#[test]
fn the_server_counts_what_its_client_counts() {
    let mut pair = Pair::started(Kind::Directory);
    for name in ["a", "b", "deep/c"] {
        pair.write(name, name.as_bytes());
    }
    pair.assert_all_arrive();
    // The server's ledger is written beside the uploads.
    let sent = eventually(DEADLINE, "both count the same", || {
        Some(report_now(&pair)).filter(|sent| sent.answer.check.verdict == Verdict::Agrees)
    });
    assert_eq!((sent.report.files, sent.report.bytes), (3, 8));
    assert_eq!((sent.answer.check.files, sent.answer.check.bytes), (3, 8));
    assert_eq!(sent.report.watches.files, 3);
    // Without the client, the same day by the database alone; it takes the place of the one before.
    pair.client.stop();
    let alone = report_now(&pair);
    assert_eq!(alone.answer.check.verdict, Verdict::Agrees);
    assert_eq!((alone.report.files, alone.report.uptime_seconds), (3, 0));
}
