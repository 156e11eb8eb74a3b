//! The lanes to the workers under load: whatever some do with theirs, others find one, and all are
//! there again afterwards.

use crate::support::api::{Request, parts};
use crate::support::bucket::Kind;
use crate::support::connection::{Connection, narrow_to};
use crate::support::content;
use crate::support::crowd::crowd;
use crate::support::server::{EU_KEY, Server, WEB_KEY};
use crate::support::siege::Siege;
use s3up::limits::gate::SMALL_BODY_BYTES;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Lanes in these tests, how many of them can be had for long at the same time, and how many of those
/// one client can have.
const LANES: usize = 8;
const LONG: usize = 6;
const OF_ONE_CLIENT: usize = 5;

/// The head of a `100 Continue`.
const CONTINUE: &str = "HTTP/1.1 100 Continue\r\n\r\n";

/// A body just too large to be read before a lane is needed.
fn large(seed: u64) -> Vec<u8> {
    content(seed, usize::try_from(SMALL_BODY_BYTES).unwrap() + 1)
}

fn upload(path: &str, content: &[u8]) -> Request {
    Request::upload(&parts(path, content)).key(WEB_KEY)
}

/// An upload whose body waits until it is asked for.
fn polite(path: &str, content: &[u8]) -> Request {
    upload(path, content).header("Expect", "100-continue")
}

/// A large upload that has a lane and does nothing with it.
struct Held {
    connection: Connection,
    request: Request,
    key: String,
    content: Vec<u8>,
}

impl Held {
    /// Half sent. The last one that can be had is not the first client's.
    #[track_caller]
    fn new(siege: &Siege, number: usize) -> Self {
        let client = if number < OF_ONE_CLIENT { ("web", WEB_KEY) } else { ("web-eu", EU_KEY) };
        let mut held = Self::asked(siege, client, number);
        assert_eq!(held.connection.head_of_answer(), CONTINUE, "lane {number}");
        let half = held.request.body.len() / 2;
        held.connection.say(&held.request.body[..half]);
        held
    }

    /// Not yet answered.
    #[track_caller]
    fn asked(siege: &Siege, (client, key): (&str, &str), number: usize) -> Self {
        let (path, content) = (format!("large/{number}"), large(number as u64));
        let request = Request::upload(&parts(&path, &content)).key(key);
        let request = request.header("Expect", "100-continue");
        let mut connection = siege.connect();
        connection.say(request.head());
        Self { connection, request, key: format!("backups/{client}/{path}"), content }
    }

    /// Sends the rest, and checks that the file is stored.
    #[track_caller]
    fn complete(mut self, siege: &Siege, sent: usize) {
        self.connection.say(&self.request.body[sent..]);
        let answer = self.connection.answer();
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(siege.bucket.get(&self.key) == Some(self.content), "{}", self.key);
    }
}

/// Checks that all lanes are there: the last one that can be had for long is one beyond the reserve.
#[track_caller]
fn assert_all_lanes(siege: &Siege) {
    let held: Vec<_> = (0..LONG).map(|number| Held::new(siege, number)).collect();
    siege.assert_serves_the_honest();
    for held in held {
        let half = held.request.body.len() / 2;
        held.complete(siege, half);
    }
}

#[test]
fn large_uploads_never_hold_the_last_lanes_and_no_client_holds_all_the_others() {
    let siege = Siege::new();
    let web = ("web", WEB_KEY);
    let mut asked: Vec<_> = (0..20).map(|number| Held::asked(&siege, web, number)).collect();
    for number in 0..20 {
        let path = format!("small/{number}");
        let mut connection = siege.connect();
        assert_eq!(connection.ask(&upload(&path, b"x")).status, 200);
        let exists = Request::new("GET", &format!("/exists?path={path}")).key(WEB_KEY);
        assert_eq!(connection.ask(&exists).json()["exists"], true);
    }
    let told = |held: &mut Held| held.connection.head_of_answer();
    let (served, refused): (Vec<_>, Vec<_>) = asked
        .drain(..)
        .map(|mut held| (told(&mut held), held))
        .partition(|(head, _)| head == CONTINUE);
    assert_eq!(served.len(), OF_ONE_CLIENT);
    // Whatever the one does, another client finds a lane.
    let other = Held::new(&siege, OF_ONE_CLIENT);
    for (head, _) in refused {
        assert!(head.starts_with("HTTP/1.1 503 ") && head.contains("\r\nRetry-After: "), "{head}");
    }
    for (_, held) in served {
        held.complete(&siege, 0);
    }
    let half = other.request.body.len() / 2;
    other.complete(&siege, half);
    assert_all_lanes(&siege);
    siege.assert_unharmed();
}

#[test]
fn downloads_that_nobody_takes_never_hold_the_last_lanes() {
    let mut server = Server::new(Kind::Directory);
    // More than all sockets on the way hold.
    let file = content(1, 24 * 1024 * 1024);
    server.workers = LANES;
    let siege = Siege::of(server);
    assert_eq!(upload("file", &file).send(siege.port()).status, 200);
    let download = Request::new("GET", "/download?path=file").key(WEB_KEY);
    let mut asked: Vec<_> = (0..20)
        .map(|_| {
            let mut connection = Connection::over(narrow_to(siege.port()));
            connection.say(download.bytes());
            connection
        })
        .collect();
    for number in 0..20 {
        assert_eq!(upload(&format!("small/{number}"), b"x").send(siege.port()).status, 200);
    }
    let heads = asked.iter_mut().map(Connection::head_of_answer).collect::<Vec<_>>();
    let served = heads.iter().filter(|head| head.starts_with("HTTP/1.1 200 ")).count();
    let refused = heads.iter().filter(|head| head.starts_with("HTTP/1.1 503 ")).count();
    assert_eq!((served, refused), (OF_ONE_CLIENT, 20 - OF_ONE_CLIENT), "{heads:#?}");
    let first = heads.iter().position(|head| head.starts_with("HTTP/1.1 200 ")).unwrap();
    let mut taken = vec![0; file.len()];
    asked[first].read_exactly(&mut taken);
    assert!(taken == file, "what is taken late is what was stored");
    drop(asked);
    assert_all_lanes(&siege);
    siege.assert_unharmed();
}

/// Bodies of one client that fill all the memory that one client can have, none of them complete.
fn fill_memory(siege: &Siege, request: &Request, count: usize) -> Vec<Connection> {
    let mut senders = crowd(count, 2, siege.port());
    for sender in &mut senders {
        sender.say(request.head());
    }
    for sender in &mut senders {
        assert_eq!(sender.head_of_answer(), CONTINUE);
        sender.say(&request.body[..request.body.len() / 2]);
    }
    senders
}

#[test]
fn bodies_in_flight_are_bounded_by_memory_hold_no_lane_and_are_never_all_of_one_client() {
    let siege = Siege::with_limits("limits: {buffer_memory_mb: 64}");
    // Each takes twice its length, of three quarters of 64 MiB.
    let request = polite("small", &content(1, 255 * 1024));
    let of_one_client = 48 * 1024 * 1024 / (2 * request.body.len());
    let mut senders = fill_memory(&siege, &request, of_one_client);
    let answer = request.send(siege.port());
    answer.assert_error(503, "unavailable");
    assert!(answer.header("Retry-After").is_some());
    let of_another = Request::upload(&parts("small", &content(2, 255 * 1024))).key(EU_KEY);
    assert_eq!(of_another.send(siege.port()).status, 200, "a client that holds little");
    // Nothing else is bounded by them.
    let exists = Request::new("GET", "/exists?path=a").key(WEB_KEY);
    assert_eq!(exists.send(siege.port()).status, 200);
    let mut first = senders.remove(0);
    first.say(&request.body[request.body.len() / 2..]);
    assert_eq!(first.answer().status, 200);
    assert_eq!(request.without("Expect").send(siege.port()).status, 200);
    drop((first, senders));
    assert_all_lanes(&siege);
    siege.assert_unharmed();
}

#[test]
fn what_is_left_of_a_refused_body_is_never_a_request() {
    let siege = Siege::new();
    // Wherever the worker stops reading it, what is left begins with a request of HTTP/2.0, which
    // would cost `tiny_http` a thread each.
    let longer_than_a_field = format!("{} / HTTP/2.0\r\n\r\n", "A".repeat(150 * 1024));
    for _ in 0..100 {
        let answer = upload(&longer_than_a_field, b"x").send(siege.port());
        answer.assert_error(400, "bad_request");
    }
    assert_all_lanes(&siege);
    siege.assert_unharmed();
}

#[test]
fn a_lane_that_is_lost_while_descriptors_are_scarce_is_replaced_when_they_are_not() {
    const SCARCE: &str = "cannot open a lane to the worker pool: Too many open files";
    let siege = Siege::new();
    let held = Held::new(&siege, 0);
    siege.daemon().limit_descriptors(siege.daemon().next_descriptor());
    // Its own descriptors would do for a new one, if nobody else took one at the same time.
    drop(held);
    siege.daemon().wait_for(SCARCE);
    siege.daemon().limit_descriptors(10_000);
    assert_all_lanes(&siege);
    siege.assert_unharmed_but_for(&[SCARCE]);
}

#[test]
fn uploads_that_are_dropped_in_the_middle_take_no_lane_with_them() {
    const DROPPED: usize = 500;
    const HONEST: usize = 400;
    const THREADS: usize = 8;
    let siege = Siege::new();
    let (dropped, stored) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let take = |from: &AtomicUsize, most: usize| {
        let number = from.fetch_add(1, Ordering::Relaxed);
        (number < most).then_some(number)
    };
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some(number) = take(&dropped, DROPPED) {
                    drop_in_the_middle(&siege, number);
                }
            });
            scope.spawn(|| {
                let mut connection = siege.connect();
                while let Some(number) = take(&stored, HONEST) {
                    let path = format!("honest/{number}");
                    let answer = connection.ask(&upload(&path, &content(number as u64, 4096)));
                    assert_eq!(answer.status, 200, "{}", answer.text());
                }
            });
        }
    });
    for number in 0..HONEST {
        let stored = siege.bucket.get(&format!("backups/web/honest/{number}"));
        assert!(stored == Some(content(number as u64, 4096)), "{number}");
    }
    assert_all_lanes(&siege);
    siege.assert_unharmed();
}

/// Sends some of a large upload and goes: in order or not, at one of many places.
fn drop_in_the_middle(siege: &Siege, number: usize) {
    let request = upload(&format!("dropped/{number}"), &large(number as u64));
    let length = request.body.len();
    let sent = [0, 1, 100, length / 3, length / 2, length - 1][number % 6];
    let mut connection = siege.connect();
    connection.say(request.head());
    connection.say(&request.body[..sent]);
    match number / 6 % 3 {
        0 => drop(connection),
        1 => connection.reset(),
        _ => {
            connection.half_close();
            // A reset if it is closed before the server has read all.
            let _ = connection.rest();
        }
    }
}
