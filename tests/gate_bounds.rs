//! How many connections there may be, and who has to go for whom.

use crate::support::api::{Answer, Request, parts};
use crate::support::bucket::Kind;
use crate::support::connection::Connection;
use crate::support::crowd::{address, connect_from, crowd};
use crate::support::server::{Server, WEB_KEY};
use crate::support::siege::Siege;
use crate::support::waiting::{DEADLINE, eventually};
use s3up::limits::gate::LEAVING_CONNECTIONS;
use std::io::Write as _;
use std::thread;

/// The smallest house there is: eight connections, six strangers among them, and two more places in
/// the vestibule.
const SMALL: &str = "limits: { connections: 8 }";
const PLACES: usize = 8;
const STRANGERS: usize = 6;
const VESTIBULE: usize = 2;

/// A house with enough room, where one peer may have four places.
const FOUR_EACH: &str = "limits: { connections: 40, connections_per_peer: 4 }";

fn health() -> Request {
    Request::new("GET", "/health")
}

fn exists() -> Request {
    Request::new("GET", "/exists?path=a").key(WEB_KEY)
}

/// Somebody who came in, and has shown nothing but that.
#[track_caller]
fn stranger(siege: &Siege) -> Connection {
    stranger_from(siege, 1)
}

#[track_caller]
fn stranger_from(siege: &Siege, last: u8) -> Connection {
    let mut connection = connect_from(address(last), siege.port());
    assert_eq!(connection.ask(&health()).status, 200);
    connection
}

/// Somebody who has shown a good key.
#[track_caller]
fn guest(siege: &Siege) -> Connection {
    guest_from(siege, 1)
}

#[track_caller]
fn guest_from(siege: &Siege, last: u8) -> Connection {
    let mut connection = connect_from(address(last), siege.port());
    assert_eq!(connection.ask(&exists()).status, 200);
    connection
}

#[track_caller]
fn assert_no_room(answer: &Answer) {
    answer.assert_error(503, "unavailable");
    assert!(answer.header("Retry-After").unwrap().parse::<u32>().unwrap() > 0);
    assert_eq!(answer.header("Connection"), Some("close"));
}

#[test]
fn strangers_make_room_for_who_comes_and_the_longest_there_goes_first() {
    let siege = Siege::with_limits(SMALL);
    let mut strangers: Vec<_> = (0..STRANGERS).map(|_| stranger(&siege)).collect();
    for _ in 0..3 {
        // It had asked a moment ago, but it came first.
        assert_eq!(strangers[0].ask(&health()).status, 200);
        strangers.push(stranger(&siege));
        strangers.remove(0).assert_ended();
    }
    for stranger in &mut strangers {
        assert_eq!(stranger.ask(&health()).status, 200);
    }
    drop(strangers);
    siege.assert_unharmed();
}

#[test]
fn who_has_shown_a_good_key_stays_and_the_next_one_is_told_to_come_again() {
    let siege = Siege::with_limits(SMALL);
    let mut guests: Vec<_> = (0..PLACES).map(|_| guest(&siege)).collect();
    for _ in 0..2 * VESTIBULE {
        assert_no_room(&exists().send(siege.port()));
        let upload = Request::upload(&parts("a", b"x")).key(WEB_KEY);
        assert_no_room(&upload.send(siege.port()));
        // The server lives, and says so.
        let answer = health().send(siege.port());
        assert_eq!((answer.status, answer.header("Connection")), (200, Some("close")));
    }
    for guest in &mut guests {
        assert_eq!(guest.ask(&exists()).status, 200);
    }
    guests.remove(3);
    // As soon as that has been noticed, there is a place.
    eventually(DEADLINE, "there is a place again", || {
        (exists().send(siege.port()).status == 200).then_some(())
    });
    drop(guests);
    siege.assert_unharmed();
}

#[test]
fn nobody_can_sit_in_the_vestibule() {
    let siege = Siege::with_limits(SMALL);
    let guests: Vec<_> = (0..PLACES).map(|_| guest(&siege)).collect();
    let mut silent: Vec<_> = (0..5 * VESTIBULE).map(|_| siege.connect()).collect();
    assert_eq!(health().send(siege.port()).status, 200);
    // The last ones are still there, or were until a moment ago.
    for connection in &mut silent[..4 * VESTIBULE] {
        connection.assert_ended();
    }
    drop((guests, silent));
    siege.assert_unharmed();
}

#[test]
fn one_peer_has_its_share_of_the_places_and_another_peer_has_its_own() {
    let siege = Siege::with_limits(FOUR_EACH);
    let mut strangers: Vec<_> = (0..4).map(|_| stranger_from(&siege, 2)).collect();
    let mut other = stranger_from(&siege, 3);
    // Beyond its share, a peer's strangers make room for each other.
    let mut guests: Vec<_> = (0..4).map(|_| guest_from(&siege, 2)).collect();
    for stranger in &mut strangers {
        stranger.assert_ended();
    }
    let mut refused = connect_from(address(2), siege.port());
    assert_no_room(&refused.ask(&exists()));
    assert_eq!(other.ask(&exists()).status, 200);
    for guest in guests.iter_mut().chain([&mut guest_from(&siege, 3)]) {
        assert_eq!(guest.ask(&exists()).status, 200);
    }
    drop((strangers, guests, refused, other));
    siege.assert_unharmed();
}

#[test]
fn a_trusted_proxy_speaks_for_many_and_has_no_share() {
    let mut server = Server::new(Kind::Directory);
    server.limits = FOUR_EACH.into();
    server.trusted_proxies = vec!["127.0.0.2"];
    let siege = Siege::of(server);
    let mut guests: Vec<_> = (0..20).map(|_| guest_from(&siege, 2)).collect();
    for guest in &mut guests {
        assert_eq!(guest.ask(&exists()).status, 200);
    }
    let others: Vec<_> = (0..4).map(|_| guest_from(&siege, 3)).collect();
    assert_no_room(&connect_from(address(3), siege.port()).ask(&exists()));
    drop((guests, others));
    siege.assert_unharmed();
}

/// Sends requests until the server takes no more, because nobody reads its answers.
fn stuff(connection: &Connection) {
    let socket = connection.socket();
    // The answer repeats it.
    let nowhere = format!("/{}", "x".repeat(4000));
    let requests = Request::new("GET", &nowhere).bytes().repeat(100);
    socket.set_write_timeout(Some(std::time::Duration::from_millis(200))).unwrap();
    while { socket }.write_all(&requests).is_ok() {}
}

#[test]
fn strangers_who_do_not_take_their_answers_make_room_as_well() {
    let siege = Siege::with_limits(SMALL);
    let stuffed: Vec<_> = (0..STRANGERS).map(|_| siege.connect()).collect();
    thread::scope(|scope| {
        for connection in &stuffed {
            scope.spawn(|| stuff(connection));
        }
    });
    let mut guests: Vec<_> = (0..PLACES).map(|_| guest(&siege)).collect();
    for guest in &mut guests {
        assert_eq!(guest.ask(&exists()).status, 200);
    }
    drop((stuffed, guests));
    siege.assert_unharmed();
}

#[test]
fn who_is_shown_out_while_it_waits_for_its_refusal_is_gone() {
    let siege = Siege::with_limits(SMALL);
    let refused = Request::new("GET", "/exists?path=a").key("sk_nobody_knows_this_key");
    // And what is open for a moment, such as a file that is looked at.
    let most = siege.before().descriptors() + PLACES + VESTIBULE + LEAVING_CONNECTIONS + 4;
    let mut crowd = crowd(400, 2, siege.port());
    for (number, connection) in crowd.iter_mut().enumerate() {
        // It may have been shown out before it could ask.
        let _ = connection.try_say(refused.bytes());
        if number % 20 == 0 {
            let open = siege.vitals().descriptors();
            assert!(open <= most, "{open} descriptors, {most} at most");
        }
    }
    assert_eq!(exists().send(siege.port()).status, 200);
    drop(crowd);
    siege.assert_unharmed();
}
