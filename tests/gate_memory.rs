//! Memory: what uploads take is bounded, however many come at once and however large they are.

use crate::support::api::{Request, parts};
use crate::support::bucket::Kind;
use crate::support::content;
use crate::support::server::{EU_KEY, Server, WEB_KEY};
use crate::support::siege::Siege;
use crate::support::waiting::{DEADLINE, eventually};
use std::thread;

const MIB: usize = 1024 * 1024;

/// As much memory as these servers may use for uploads, in MiB.
const BUDGET_MIB: usize = 64;

/// What the rest of a server may take, in MiB.
const REST_MIB: usize = 64;

/// Sends `count` files of `size` bytes at the same time, each until it is taken.
#[track_caller]
fn check(kind: Kind, count: usize, size: usize) {
    let mut server = Server::new(kind);
    server.limits = format!("limits: {{buffer_memory_mb: {BUDGET_MIB}}}");
    server.workers = 40;
    let siege = Siege::of(server);
    thread::scope(|scope| {
        for number in 0..count {
            let siege = &siege;
            scope.spawn(move || {
                let (client, key) = [("web", WEB_KEY), ("web-eu", EU_KEY)][number % 2];
                let (path, content) = (format!("file/{number}"), content(number as u64, size));
                let request = Request::upload(&parts(&path, &content)).key(key);
                eventually(DEADLINE, "the file is taken", || {
                    let answer = request.send(siege.port());
                    assert!([200, 503].contains(&answer.status), "{answer:?}");
                    (answer.status == 200).then_some(())
                });
                let key = format!("backups/{client}/{path}");
                assert!(siege.bucket.get(&key) == Some(content), "{key}");
            });
        }
    });
    siege.before().assert_never_grew_by(((BUDGET_MIB + REST_MIB) * 1024) as u64);
    // The S3 server of the tests has no list of uploads.
    siege.assert_unharmed_but_for(&["abandoned uploads cannot be removed: "]);
}

#[test]
fn many_large_uploads_at_once_stay_within_what_is_reserved() {
    check(Kind::Directory, 30, 9 * MIB);
}

#[test]
fn large_uploads_to_s3_that_fill_two_parts_each_stay_within_what_is_reserved() {
    check(Kind::S3, 16, 20 * MIB);
}
