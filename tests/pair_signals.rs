//! The pair and signals: how both programs end, and that nothing is lost by it.

use crate::programs_client::wait_until_idle;
use crate::support::bucket::Kind;
use crate::support::content;
use crate::support::pair::Pair;
use crate::support::relay::Relay;
use crate::support::waiting::{DEADLINE, eventually};
use rustix::process::Signal;
use s3up::clock;
use s3up::limits::SHUTDOWN_MAX;
use std::process::ExitStatus;
use std::time::Duration;

const MIB: usize = 1024 * 1024;

/// A pair in the middle of an upload, which the relay holds.
pub(crate) fn pair_with_a_held_upload() -> (Pair, Relay) {
    let mut pair = Pair::new(Kind::Directory);
    let relay = Relay::start(pair.server.listening_port(), 12 * MIB);
    pair.client.url = relay.url();
    pair.client.start();
    // More than the sockets on the way can hold, so that the client is still sending.
    pair.write("a", &content(1, 48 * MIB));
    relay.wait_until_held();
    (pair, relay)
}

/// The same, with the upload's first part in the store already.
fn pair_with_an_upload_in_hand() -> (Pair, Relay) {
    let (pair, relay) = pair_with_a_held_upload();
    eventually(DEADLINE, "the upload's first part is stored", || {
        (!pair.server.bucket.leftovers().is_empty()).then_some(())
    });
    (pair, relay)
}

#[track_caller]
fn assert_clean(status: ExitStatus) {
    assert_eq!(status.code(), Some(0), "{status}");
}

#[test]
fn both_end_with_code_0_on_either_signal() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut pair = Pair::started(Kind::Directory);
        pair.write("a", b"a");
        pair.assert_all_arrive();
        // The row of a file is there before its worker has put it away.
        wait_until_idle(&pair.client);
        let name = if signal == Signal::TERM { "SIGTERM" } else { "SIGINT" };
        pair.client.daemon().signal(signal);
        assert_clean(pair.client.ended());
        pair.server.daemon().signal(signal);
        assert_clean(pair.server.ended());
        assert!(pair.client.log().contains(&format!("{name}: ending; 0 files wait")));
        assert!(pair.server.log().contains(&format!("{name}: ending; requests in hand")));
    }
}

#[test]
fn a_client_that_is_told_to_end_finishes_the_upload_in_its_hand() {
    let (mut pair, relay) = pair_with_an_upload_in_hand();
    pair.client.daemon().signal(Signal::TERM);
    pair.client.daemon().wait_for("SIGTERM: ending");
    relay.release();
    assert_clean(pair.client.ended());
    pair.assert_all_arrive();
    assert!(pair.client.log().contains(" uploaded "));
}

#[test]
fn a_server_that_is_told_to_end_finishes_the_upload_in_its_hand() {
    let (mut pair, relay) = pair_with_an_upload_in_hand();
    pair.server.daemon().signal(Signal::TERM);
    pair.server.daemon().wait_for("SIGTERM: ending");
    relay.release();
    assert_clean(pair.server.ended());
    pair.assert_all_arrive();
    assert_eq!(pair.server.uploads(), 1);
}

#[test]
fn a_client_whose_upload_is_stuck_ends_within_its_bound_and_begins_anew() {
    let (mut pair, relay) = pair_with_an_upload_in_hand();
    let told = clock::monotonic();
    assert_clean(pair.client.stop());
    assert_within_bound(clock::monotonic() - told);
    assert!(pair.client.records().is_empty(), "what did not arrive is not recorded");
    relay.cut();
    pair.client.start();
    pair.assert_all_arrive();
}

#[test]
fn a_server_whose_upload_is_stuck_ends_within_its_bound_and_stores_nothing_of_it() {
    let (mut pair, relay) = pair_with_an_upload_in_hand();
    let told = clock::monotonic();
    assert_clean(pair.server.stop());
    assert_within_bound(clock::monotonic() - told);
    pair.assert_names(&[]);
    drop(relay);
    assert_begins_anew(&mut pair);
}

/// Starts the server again, and the client with it. Nothing is left of what was not finished.
#[track_caller]
fn assert_begins_anew(pair: &mut Pair) {
    pair.client.stop();
    pair.client.url = format!("http://127.0.0.1:{}", pair.server.start());
    assert_eq!(pair.server.bucket.leftovers(), [""; 0]);
    pair.client.start();
    pair.assert_all_arrive();
}

#[test]
fn a_server_that_is_killed_with_an_upload_in_its_hand_leaves_nothing_of_it() {
    let (mut pair, relay) = pair_with_an_upload_in_hand();
    pair.server.kill();
    pair.assert_names(&[]);
    drop(relay);
    assert_begins_anew(&mut pair);
}

#[track_caller]
fn assert_within_bound(took: Duration) {
    // The rest is for a busy machine.
    assert!(took < SHUTDOWN_MAX + Duration::from_secs(10), "it took {took:?}");
}

#[test]
fn a_second_signal_ends_the_client_at_once_and_loses_nothing() {
    let (mut pair, relay) = pair_with_an_upload_in_hand();
    pair.client.daemon().signal(Signal::TERM);
    pair.client.daemon().wait_for("SIGTERM: ending");
    pair.client.daemon().signal(Signal::INT);
    let status = pair.client.ended();
    assert_eq!(status.code(), Some(130), "{status}");
    relay.cut();
    pair.client.start();
    pair.assert_all_arrive();
}

#[test]
fn a_second_signal_ends_the_server_at_once() {
    let (mut pair, _relay) = pair_with_an_upload_in_hand();
    pair.server.daemon().signal(Signal::INT);
    pair.server.daemon().wait_for("SIGINT: ending");
    pair.server.daemon().signal(Signal::TERM);
    let status = pair.server.ended();
    assert_eq!(status.code(), Some(130), "{status}");
    pair.assert_names(&[]);
}

#[test]
fn a_client_that_is_told_to_end_while_it_waits_for_the_server_ends_at_once() {
    let mut pair = Pair::new(Kind::Directory);
    pair.server.stop();
    pair.client.start();
    pair.write("a", b"a");
    pair.client.daemon().wait_for("uploads pause");
    assert_clean(pair.client.stop());
    assert!(!pair.client.log().contains("did not end in time"));
}
