//! The pair on bad days: whatever breaks, every file arrives once it works again, and what cannot
//! arrive is named.

use crate::support::api::Request;
use crate::support::bucket::{Bucket, Kind, for_both_stores};
use crate::support::content;
use crate::support::pair::Pair;
use crate::support::relay::Relay;
use crate::support::server::{STORED, WEB_KEY, free_port};
use rustix::process::Signal;
use std::collections::BTreeMap;

const MIB: usize = 1024 * 1024;

for_both_stores! {
    a_server_that_is_killed_among_many_uploads_loses_none
    a_client_that_is_killed_among_many_uploads_loses_none
}

/// A pair whose client has 300 files to upload; the server's port stays its own.
fn pair_with_many_files(kind: Kind) -> Pair {
    let mut pair = Pair::new(kind);
    pair.server.stop();
    pair.server.port = free_port();
    pair.client.url = format!("http://127.0.0.1:{}", pair.server.start());
    for number in 0..300 {
        pair.write(format!("{}/{number}", number % 7), &content(number, 20_000));
    }
    pair
}

/// No failure was counted against any file.
#[track_caller]
fn assert_no_file_is_blamed(pair: &Pair) {
    assert_eq!(pair.client.parked(), BTreeMap::new());
    let log = pair.client.log();
    assert!(!log.contains("tried again in"), "an attempt was burned");
    assert!(!log.contains("not backed up"), "a file was given up");
}

fn a_server_that_is_killed_among_many_uploads_loses_none(kind: Kind) {
    let mut pair = pair_with_many_files(kind);
    pair.client.start();
    for times in [20, 40] {
        pair.server.daemon().wait_for_times(times, STORED);
        pair.server.kill();
        pair.server.start();
    }
    pair.assert_all_arrive();
    assert_no_file_is_blamed(&pair);
}

fn a_client_that_is_killed_among_many_uploads_loses_none(kind: Kind) {
    let mut pair = pair_with_many_files(kind);
    for times in [50, 150] {
        pair.client.launch();
        pair.server.daemon().wait_for_times(times, STORED);
        pair.client.kill();
    }
    pair.client.start();
    pair.assert_all_arrive();
    pair.stop();
    // At each kill an upload in each of its four hands may have been stored and not yet recorded.
    let again = pair.server.uploads() - 300;
    assert!(again <= 2 * 4, "{again} files were uploaded although they were recorded");
}

#[test]
fn a_server_that_comes_up_after_the_client_gets_every_file() {
    let mut pair = Pair::new(Kind::Directory);
    pair.server.stop();
    pair.server.port = free_port();
    pair.client.url = format!("http://127.0.0.1:{}", pair.server.port);
    pair.write("before", b"before");
    pair.client.start();
    let line = pair.client.daemon().wait_for("uploads pause");
    assert!(
        line.contains("1 files wait") && line.contains("hint: is s3up-server running"),
        "{line}"
    );
    pair.write("meanwhile", b"meanwhile");
    pair.client.daemon().wait_for_times(2, "uploads pause");
    pair.server.start();
    pair.assert_all_arrive();
    pair.client.daemon().wait_for("the server answers again");
    assert_no_file_is_blamed(&pair);
}

#[test]
fn a_connection_that_breaks_in_the_middle_of_an_upload_costs_only_time() {
    for size in [MIB, 20 * MIB] {
        let mut pair = Pair::new(Kind::Directory);
        let relay = Relay::start(pair.server.listening_port(), MIB / 2);
        pair.client.url = relay.url();
        pair.client.start();
        pair.write("a", &content(1, size));
        relay.wait_until_held();
        relay.cut();
        pair.assert_all_arrive();
        assert_no_file_is_blamed(&pair);
        pair.stop();
        assert_eq!(pair.server.uploads(), 1);
    }
}

#[test]
fn a_store_that_goes_away_and_comes_back_gets_every_file() {
    let mut pair = Pair::new(Kind::S3);
    pair.server.stop();
    let port = free_port();
    with_s3(&mut pair, |s3| {
        s3.go_away();
        s3.come_back(port);
    });
    pair.client.url = format!("http://127.0.0.1:{}", pair.server.start());
    pair.client.start();
    pair.write("before", b"before");
    pair.assert_all_arrive();

    with_s3(&mut pair, |s3| s3.go_away());
    for number in 0..10 {
        pair.write(format!("meanwhile/{number}"), b"x");
    }
    let line = pair.client.daemon().wait_for("uploads pause");
    assert!(line.contains("503 unavailable"), "{line}");
    with_s3(&mut pair, |s3| s3.come_back(port));
    pair.assert_all_arrive();
    assert_no_file_is_blamed(&pair);
}

fn with_s3(pair: &mut Pair, act: impl FnOnce(&mut crate::support::s3_server::S3Server)) {
    match &mut pair.server.bucket {
        Bucket::S3(server) => act(server),
        _ => panic!("only S3 goes away"),
    }
}

#[test]
fn a_key_that_is_refused_pauses_the_client_and_is_said() {
    let mut pair = Pair::new(Kind::Directory);
    let wrong = "sk_test_a_key_that_no_client_of_this_server_has";
    pair.client.api_key = wrong.to_owned();
    let path = pair.write("a", b"a");
    pair.client.start();
    let line = pair.client.daemon().wait_for("uploads pause for ");
    assert!(line.contains(" ERROR"), "{line}");
    assert!(line.contains("401 unauthorized") && line.contains("hint: compare server.api_key"));
    let seconds: u32 =
        line.split("pause for ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    assert!((60..=75).contains(&seconds), "{line}");
    pair.server.daemon().wait_for("POST \"/upload\" 401");
    assert!(!pair.client.log().contains(wrong), "the key is in the log");

    // It waits, and ends at once when it is told to.
    assert!(pair.client.stop().success());
    assert_eq!(pair.server.daemon().count("POST \"/upload\""), 1, "one question, one answer");
    assert_no_file_is_blamed(&pair);
    pair.client.api_key = WEB_KEY.to_owned();
    pair.client.start();
    pair.client.wait_until_recorded(&path);
    pair.assert_names(&["a"]);
}

#[test]
fn a_file_over_the_limit_is_parked_and_the_others_go_on() {
    let mut pair = Pair::new(Kind::Directory);
    pair.server.stop();
    pair.server.max_file_size_mb = 1;
    pair.client.url = format!("http://127.0.0.1:{}", pair.server.start());
    pair.client.start();
    let fits = pair.write("fits", &content(1, MIB));
    // Refused while it is counted, by its declared length, and after a head that is gone by then.
    let over = [MIB + 1, 2 * MIB, 30 * MIB]
        .map(|size| pair.write(format!("over-{size}"), &content(2, size)));
    for path in &over {
        let reason = pair.client.wait_until_parked(path);
        assert!(reason.contains("file_too_large") && reason.contains("at most 1048576 bytes"));
        pair.client.daemon().wait_for(&format!("not backed up: {path:?}: the server answers 413"));
    }
    let late = pair.write("late", b"late");
    for path in [&fits, &late] {
        pair.client.wait_until_recorded(path);
    }
    pair.assert_names(&["fits", "late"]);

    // Parked is not forgotten: a file that is small enough one day is uploaded.
    for path in &over {
        std::fs::write(path, "small now").unwrap();
        pair.client.wait_until_recorded(path);
    }
    assert_eq!(pair.client.parked(), BTreeMap::new());
}

#[test]
fn events_that_the_kernel_loses_cost_no_file() {
    let pair = Pair::started(Kind::Directory);
    pair.write("there/before", b"x");
    pair.assert_all_arrive();
    pair.client.daemon().signal(Signal::STOP);
    // A file that comes and goes is at least two events, and nobody takes them.
    let room = std::fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
    for number in 0..=room.trim().parse().unwrap_or(16_384) / 2 {
        let path = pair.write(format!("{number}"), b"");
        std::fs::remove_file(path).unwrap();
    }
    pair.write("unheard", b"1");
    pair.write("there/unheard", b"2");
    pair.write("new/folder/unheard", b"3");
    pair.write("there/before", b"changed");
    pair.client.daemon().signal(Signal::CONT);
    pair.client.daemon().wait_for("scan (the kernel lost events)");
    pair.assert_all_arrive();

    // What is new is watched again.
    pair.write("new/folder/late", b"4");
    pair.assert_all_arrive();
}

#[test]
fn a_server_answers_others_while_an_upload_is_stuck() {
    let mut pair = Pair::new(Kind::Directory);
    let relay = Relay::start(pair.server.listening_port(), MIB / 2);
    pair.client.url = relay.url();
    pair.client.start();
    pair.write("a", &content(1, 2 * MIB));
    relay.wait_until_held();
    let answer = Request::new("GET", "/health").send(pair.server.listening_port());
    assert_eq!(answer.status, 200);
    relay.release();
    pair.assert_all_arrive();
}
