//! Many connections at once: those that only wait, and those that work.

use crate::support::api::{Request, parts};
use crate::support::bucket::{Kind, for_both_stores};
use crate::support::connection::Connection;
use crate::support::content;
use crate::support::crowd::{address, connect_from, crowd};
use crate::support::server::{Server, WEB_KEY};
use crate::support::siege::Siege;
use crate::support::slow;
use crate::support::waiting::{DEADLINE, eventually};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// So that nobody in a crowd goes because of the time.
const PATIENT: &str = "limits: { head_seconds: 300, idle_seconds: 3600 }";

/// How many of a kind there are.
const CROWD: usize = 1000;

fn health() -> Request {
    Request::new("GET", "/health")
}

/// Two crowds, the second of which says something and never all of it. The honest are served before
/// and after.
fn check(siege: &Siege, something: &[u8]) {
    let idle = crowd(CROWD, 2, siege.port());
    let mut half = crowd(CROWD, 2 + (CROWD / 100) as u8, siege.port());
    for connection in &mut half {
        connection.say(something);
    }
    eventually(DEADLINE, "all are inside", || {
        (siege.vitals().threads_named("connection") >= 2 * CROWD).then_some(())
    });
    for _ in 0..10 {
        siege.assert_serves_the_honest();
    }
    let all_stayed = idle.iter().chain(&half).all(|connection| !connection.is_readable());
    assert!(all_stayed, "nobody had to go");
    drop((idle, half));
    siege.assert_unharmed();
}

#[test]
fn a_thousand_who_say_nothing_and_a_thousand_who_say_half_a_head_keep_nobody_out() {
    check(&Siege::with_limits(PATIENT), b"POST /upload HTTP/1.1\r\nHost: backup.example.com\r\nX-");
}

#[test]
fn within_tls_a_thousand_who_say_nothing_and_a_thousand_half_handshakes_keep_nobody_out() {
    let siege = Siege::within_tls(PATIENT);
    let hello = siege.peer().hello();
    check(&siege, &hello[..hello.len() / 2]);
}

/// A file on its way, and what will be in the bucket.
struct Sent {
    path: String,
    content: Vec<u8>,
}

impl Sent {
    fn new(kind: &str, number: usize, size: usize) -> Self {
        let path = format!("{kind}/{number}");
        // To each path a content of its own.
        let mix = |seed: u64, byte| seed.wrapping_mul(257).wrapping_add(u64::from(byte));
        let content = content(path.bytes().fold(0, mix), size);
        Self { path, content }
    }

    fn request(&self) -> Request {
        Request::upload(&parts(&self.path, &self.content)).key(WEB_KEY)
    }

    /// Sends it on new connections until it is taken: a server that is busy may say so, and nothing
    /// else.
    #[track_caller]
    fn send_until_taken(&self, port: u16) {
        eventually(DEADLINE, "it is taken", || {
            let answer = connect_from(address(3), port).ask(&self.request());
            assert!([200, 503].contains(&answer.status), "{answer:?}");
            (answer.status == 200).then_some(())
        });
    }
}

/// Sends files at a bounded rate each, all at once.
fn send_slowly(files: &[Sent], rate: usize, port: u16) {
    let mut senders: Vec<_> = files
        .iter()
        .map(|file| slow::Sender::new(connect_from(address(2), port), file.request().bytes()))
        .collect();
    slow::send_all(&mut senders, rate);
    for (sender, file) in senders.into_iter().zip(files) {
        let answer = sender.into_connection().answer();
        match answer.status {
            200 => {}
            503 => file.send_until_taken(port),
            _ => panic!("{answer:?}"),
        }
    }
}

/// Sends files on kept-alive connections, one file after the other on each and all at once.
fn send_side_by_side(files: &[Vec<Sent>], from: u8, port: u16) {
    let connect = |_| connect_from(address(from), port);
    let mut connections: Vec<Connection> = files.iter().map(connect).collect();
    for turn in 0..files[0].len() {
        for (connection, files) in connections.iter_mut().zip(files) {
            connection.say(files[turn].request().bytes());
        }
        for (connection, files) in connections.iter_mut().zip(files) {
            let answer = connection.answer();
            match answer.status {
                200 => {}
                503 => {
                    *connection = connect_from(address(from), port);
                    files[turn].send_until_taken(port);
                }
                _ => panic!("{answer:?}"),
            }
        }
    }
}

/// Slow uplinks, fast ones and many small clients, all at once.
fn everybody_is_served(kind: Kind) {
    const SLOW: usize = 60;
    const FAST: usize = 40;
    const LARGE: usize = 768 * 1024;
    const RATE: usize = 160 * 1000;
    const GROUPS: usize = 20;
    const CLIENTS: usize = 20;
    const FILES: usize = 3;
    let mut server = Server::new(kind);
    server.workers = 128;
    let siege = Siege::of(server);
    let port = siege.port();
    let slow: Vec<_> = (0..SLOW).map(|number| Sent::new("slow", number, LARGE)).collect();
    let fast: Vec<_> = (0..FAST).map(|number| Sent::new("fast", number, LARGE)).collect();
    let small = |group: usize| -> Vec<Vec<Sent>> {
        let number = |client, file| (group * CLIENTS + client) * FILES + file;
        let of =
            |client| (0..FILES).map(move |file| Sent::new("small", number(client, file), 4096));
        (0..CLIENTS).map(|client| of(client).collect()).collect()
    };
    let small: Vec<_> = (0..GROUPS).map(small).collect();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                assert_eq!(connect_from(address(4), port).ask(&health()).status, 200);
            }
        });
        let mut working = vec![scope.spawn(|| send_slowly(&slow, RATE, port))];
        for file in &fast {
            working.push(scope.spawn(|| file.send_until_taken(port)));
        }
        for (files, from) in small.iter().zip(5..) {
            working.push(scope.spawn(move || send_side_by_side(files, from, port)));
        }
        let ended: Vec<_> = working.into_iter().map(|thread| thread.join()).collect();
        over.store(true, Ordering::Relaxed);
        assert!(ended.iter().all(Result::is_ok), "somebody was not served");
    });
    let mut stored = siege.bucket.files_of("web");
    stored.remove("honest/file");
    let sent = slow.iter().chain(&fast).chain(small.iter().flatten().flatten());
    let sent: BTreeMap<_, _> = sent.map(|file| (file.path.clone(), file.content.clone())).collect();
    assert_eq!(sent.len(), SLOW + FAST + GROUPS * CLIENTS * FILES);
    assert!(stored == sent, "{:?}", stored.keys());
    // `s3s-fs` cannot list what was begun.
    siege.assert_unharmed_but_for(&["abandoned uploads cannot be removed: "]);
}

for_both_stores! { everybody_is_served }
