//! A running client and its file: on SIGHUP it begins anew with what stands there, if that is sound.

use crate::pair_signals::pair_with_a_held_upload;
use crate::support::bucket::Kind;
use crate::support::pair::Pair;
use crate::support::relay::Relay;
use crate::support::vitals::Vitals;
use rustix::process::Signal;

/// What the log says when a life has begun: the first one's, then one for each reload.
const BEGUN: &str = "scan (start)";

fn hang_up(pair: &Pair) {
    pair.client.daemon().signal(Signal::HUP);
}

#[test]
fn a_watch_that_was_added_is_backed_up_and_one_that_was_removed_is_not() {
    let mut pair = Pair::started(Kind::Directory);
    let old = pair.write("a", b"a");
    pair.client.wait_until_recorded(&old);
    let pid = pair.client.daemon().pid();
    let more = pair.client.watch("more", "more/");
    std::fs::write(more.join("before"), "b").unwrap();
    pair.client.configure();
    hang_up(&pair);
    pair.client.daemon().wait_for("client.yaml was read again: the client begins anew with it");
    pair.client.daemon().wait_for_times(2, BEGUN);
    std::fs::write(more.join("after"), "c").unwrap();
    pair.write("b", b"b");
    pair.assert_all_arrive();
    assert_eq!(pair.times_stored("uploads/a"), 1, "what is known is not sent again");

    let gone = pair.client.watches.remove(0);
    pair.client.configure();
    hang_up(&pair);
    pair.client.daemon().wait_for_times(3, BEGUN);
    std::fs::write(gone.folder.join("late"), "d").unwrap();
    let settled = more.join("settled");
    std::fs::write(&settled, "").unwrap();
    pair.client.wait_until_recorded(&settled);
    assert!(!pair.server.bucket.files_of("web").contains_key("uploads/late"));
    assert_eq!(pair.client.daemon().pid(), pid);
    pair.client.assert_nothing_to_complain();
    assert_eq!(pair.client.stop().code(), Some(0));
}

#[test]
fn a_broken_file_is_refused_with_all_its_problems_and_the_client_goes_on() {
    let mut pair = Pair::started(Kind::Directory);
    let file = pair.client.configure();
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{text}colour: red\nmetrics: {{textfile: x}}\n")).unwrap();
    hang_up(&pair);
    let daemon = pair.client.daemon();
    daemon.wait_for("colour: unknown key; known here: ");
    daemon.wait_for("metrics.textfile: \"x\": is not an absolute path");
    daemon.wait_for("client.yaml is refused; the client goes on with the last good configuration");
    std::fs::remove_file(&file).unwrap();
    hang_up(&pair);
    daemon.wait_for("client.yaml: cannot read it: No such file");
    pair.write("a", b"a");
    pair.assert_all_arrive();
    assert_eq!(pair.client.daemon().count(BEGUN), 1, "it did not begin anew");

    pair.client.configure();
    hang_up(&pair);
    pair.client.daemon().wait_for("client.yaml was read again: it is unchanged");
    assert_eq!(pair.client.daemon().count(BEGUN), 1, "it did not begin anew");
    assert_eq!(pair.client.stop().code(), Some(0));
}

#[test]
fn another_key_alone_is_a_change() {
    let mut pair = Pair::started(Kind::Directory);
    pair.client.api_key = crate::support::server::EU_KEY.to_owned();
    pair.client.configure();
    hang_up(&pair);
    pair.client.daemon().wait_for_times(2, BEGUN);
    let path = pair.write("a", b"a");
    pair.client.wait_until_recorded(&path);
    assert!(pair.server.bucket.files_of("web-eu").contains_key("uploads/a"));
}

#[test]
fn a_sound_file_with_which_no_client_can_run_leaves_the_one_that_does() {
    let mut pair = Pair::started(Kind::Directory);
    let database = pair.client.database.clone();
    pair.client.database = "/nowhere/at/all/client.db".into();
    pair.client.configure();
    hang_up(&pair);
    pair.client.daemon().wait_for("cannot open database /nowhere/at/all/client.db");
    pair.client.daemon().wait_for("client.yaml cannot be put in force; the client goes on");
    pair.client.daemon().wait_for_times(2, BEGUN);
    pair.client.database = database;
    pair.write("a", b"a");
    pair.assert_all_arrive();

    // And what is right again is what runs already.
    pair.client.configure();
    hang_up(&pair);
    pair.client.daemon().wait_for("client.yaml was read again: it is unchanged");
    assert_eq!(pair.client.stop().code(), Some(0));
}

/// A pair in the middle of an upload, which the relay holds, and a file with one more watch, which the
/// client has been told to read: it waits for the upload in its hand.
fn pair_in_the_middle_of_a_reload() -> (Pair, Relay) {
    let (mut pair, relay) = pair_with_a_held_upload();
    pair.client.watch("more", "more/");
    pair.client.configure();
    hang_up(&pair);
    pair.client.daemon().wait_for("the client begins anew with it");
    (pair, relay)
}

#[test]
fn the_upload_in_hand_is_finished_before_the_client_begins_anew() {
    let (mut pair, relay) = pair_in_the_middle_of_a_reload();
    relay.release();
    pair.client.daemon().wait_for_times(2, BEGUN);
    std::fs::write(pair.client.watches[1].folder.join("b"), "b").unwrap();
    pair.assert_all_arrive();
    assert_eq!(pair.times_stored("uploads/a"), 1);
    pair.client.assert_nothing_to_complain();
    assert_eq!(pair.client.stop().code(), Some(0));
}

#[test]
fn a_client_that_is_told_to_end_during_a_reload_ends() {
    let (mut pair, relay) = pair_in_the_middle_of_a_reload();
    pair.client.daemon().signal(Signal::TERM);
    relay.release();
    assert_eq!(pair.client.ended().code(), Some(0));
    assert!(pair.client.log().contains("told to end meanwhile"));
    assert_eq!(pair.client.log().matches(BEGUN).count(), 1, "it did not begin anew");
}

#[test]
fn a_second_hangup_during_a_reload_is_one_more_reload() {
    let (mut pair, relay) = pair_in_the_middle_of_a_reload();
    pair.client.interval_minutes = 7;
    pair.client.configure();
    hang_up(&pair);
    relay.release();
    // The second life's first scan may have been broken off.
    pair.client.daemon().wait_for_times(3, " sends to ");
    pair.assert_all_arrive();
}

#[test]
fn an_upload_that_does_not_end_for_a_reload_ends_the_program_and_is_repeated_by_the_next() {
    let (mut pair, relay) = pair_in_the_middle_of_a_reload();
    assert_eq!(pair.client.ended().code(), Some(1));
    let log = pair.client.log();
    let last = log.lines().last().unwrap();
    let start = "error: for the new configuration all threads had to end, and uploader-";
    assert!(last.starts_with(start) && last.ends_with("its next start reads that configuration"));
    assert!(pair.client.records().is_empty(), "what did not arrive is not recorded");
    relay.cut();
    pair.client.start();
    pair.assert_all_arrive();
}

#[test]
fn reloads_in_a_row_leave_nothing_behind() {
    let mut pair = Pair::started(Kind::Directory);
    pair.write("a", b"a");
    pair.assert_all_arrive();
    let before = Vitals::of(pair.client.daemon().pid());
    for times in 2..22 {
        pair.client.interval_minutes = times;
        pair.client.configure();
        hang_up(&pair);
        pair.client.daemon().wait_for_times(times as usize, BEGUN);
    }
    before.assert_back();
    pair.write("b", b"b");
    pair.assert_all_arrive();
    pair.client.assert_nothing_to_complain();
}
