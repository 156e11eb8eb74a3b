//! Attacks by leaving: connections that are dropped at every stage, and downloads that break off at
//! either end.

use crate::support::api::{Request, parts};
use crate::support::content;
use crate::support::server::WEB_KEY;
use crate::support::siege::Siege;
use crate::support::waiting::{DEADLINE, eventually};
use std::fs::File;

/// Larger than all buffers between a store and a reader.
const LARGE: u64 = 64 * 1024 * 1024;

/// Puts a file of [`LARGE`] bytes of nothing into the store, behind the server's back.
fn store_large(siege: &Siege) -> File {
    let file = File::create(siege.bucket.root().join("backups/web/large")).unwrap();
    file.set_len(LARGE).unwrap();
    file
}

fn download() -> Request {
    Request::new("GET", "/download?path=large").key(WEB_KEY)
}

#[test]
fn a_connection_may_be_dropped_at_any_byte_of_a_head_or_body() {
    let siege = Siege::with_limits("limits: {stall_seconds: 2}");
    let small = Request::upload(&parts("small", &content(1, 1000))).key(WEB_KEY);
    let large = Request::upload(&parts("large", &content(2, 1_000_000))).key(WEB_KEY);
    for request in [&small, &large, &large.clone().header("Expect", "100-continue")] {
        let bytes = request.bytes();
        let head = request.head().len();
        let places = [
            0,
            1,
            3,
            4,
            20,
            head - 2,
            head - 1,
            head,
            head + 1,
            head + 200,
            head + 600,
            bytes.len() / 2,
            bytes.len() - 1,
            bytes.len(),
        ];
        for place in places {
            for resets in [false, true] {
                let mut connection = siege.connect();
                connection.say(&bytes[..place]);
                if resets {
                    connection.reset();
                }
            }
        }
    }
    siege.assert_unharmed();
    // Whole or not at all.
    let files = siege.bucket.files_of("web");
    for (path, expected) in [("small", content(1, 1000)), ("large", content(2, 1_000_000))] {
        assert!(files.get(path).is_none_or(|stored| *stored == expected), "{path} is half there");
    }
    assert_eq!(siege.bucket.leftovers(), [""; 0]);
}

#[test]
fn who_leaves_during_its_download_leaves_nothing_behind() {
    let siege = Siege::new();
    store_large(&siege);
    for (times, resets) in [false, true, false, true].into_iter().enumerate() {
        let mut connection = siege.connect();
        connection.say(download().bytes());
        let head = connection.head_of_answer();
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        if resets {
            connection.reset();
        } else {
            drop(connection);
        }
        let line = siege.daemon().wait_for_times(times + 1, "; the answer was not taken: ");
        assert!(line.contains(" 127.0.0.1 web GET \"/download?path=large\" 200 "), "{line}");
    }
    siege.assert_unharmed();
}

#[test]
fn who_stops_reading_its_download_is_given_up() {
    let siege = Siege::with_limits("limits: {stall_seconds: 1}");
    store_large(&siege);
    let mut readers: Vec<_> = (0..4).map(|_| siege.connect()).collect();
    for reader in &mut readers {
        reader.say(download().bytes());
        reader.head_of_answer();
    }
    siege.daemon().wait_for_times(4, "; the answer was not taken: ");
    // While all of them are still there.
    siege.assert_unharmed();
    for mut reader in readers {
        let received = reader.bytes_until_broken();
        assert!(received < LARGE, "it got all of it");
    }
}

#[test]
fn a_download_that_breaks_off_in_the_store_is_never_a_short_file() {
    let siege = Siege::new();
    for times in 1..=3 {
        let file = store_large(&siege);
        let mut connection = siege.connect();
        connection.say(download().bytes());
        let head = connection.head_of_answer();
        assert!(head.contains(&format!("Content-Length: {LARGE}\r\n")), "{head}");
        // The store has sent what fits into the buffers, and can send no more.
        file.set_len(0).unwrap();
        let received = connection.bytes_until_broken();
        assert!(received < LARGE, "{received} bytes");
        let line = siege.daemon().wait_for_times(times, "; the answer broke off: ");
        assert!(line.contains(" 127.0.0.1 web GET \"/download?path=large\" 200 "), "{line}");
        siege.daemon().wait_for_times(times, "the store broke off a download");
    }
    siege.assert_unharmed_but_for(&["the store broke off a download"]);
}

#[test]
fn readers_that_hardly_read_leave_room_for_everybody_else() {
    let siege = Siege::with_limits("limits: {stall_seconds: 600, min_bytes_per_second: 0}");
    store_large(&siege);
    // More than there are workers. Each of them reads the head of its answer, or is told to come again.
    let mut readers: Vec<_> = (0..12).map(|_| siege.connect()).collect();
    for reader in &mut readers {
        reader.say(download().bytes());
    }
    let turned_away = "503 ";
    eventually(DEADLINE, "those for whom there is no room are told so", || {
        (siege.daemon().count(turned_away) >= 7).then_some(())
    });
    siege.assert_serves_the_honest();
    let heads: Vec<_> = readers.iter_mut().map(|reader| reader.head_of_answer()).collect();
    let served = heads.iter().filter(|head| head.starts_with("HTTP/1.1 200 ")).count();
    assert_eq!(served, 5, "of 8 lanes, 2 are for what is short and 1 for another client");
    drop(readers);
    siege.assert_unharmed();
}
