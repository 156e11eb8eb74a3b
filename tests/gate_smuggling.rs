//! Attacks by what looks like the gate's own words: in a head, in a body, and in what is left of a
//! body that was refused. A client with a good key tries to be another one, to end the server, or to
//! have its answers go astray.

use crate::support::api::{Part, Request, parts};
use crate::support::bucket::Kind;
use crate::support::connection::Connection;
use crate::support::content;
use crate::support::server::{EU_KEY, Server, WEB_KEY};
use crate::support::siege::Siege;

/// Everything that the gate says to a worker, as an attacker would have it.
const FORGED: [(&str, &str); 9] = [
    ("X-Gate-Seal", "00000000000000000000000000000000"),
    ("X-Gate-Exchange", "1"),
    ("X-Gate-Client", "web-eu"),
    ("X-Gate-Max-File-Size", "5497558138880"),
    ("X-Gate-Peer", "192.0.2.1"),
    ("X-Gate-Length", "3"),
    ("X-Gate-Drained", "yes"),
    ("X-Gate-Note", "all is well"),
    // What a proxy would say, and nobody here is one.
    ("X-Forwarded-For", "192.0.2.2"),
];

/// An upload of this content that is refused for its path, which comes first.
fn refused_early(content: &[u8]) -> Request {
    Request::upload(&parts("../x", content)).key(WEB_KEY)
}

/// Checks that many early refusals, whose bodies are full of `request`, leave nothing behind. The
/// first line is so long that wherever the worker stops to read, it stands within one.
#[track_caller]
fn check_leftovers(request: &str) {
    let siege = Siege::new();
    let line = format!("{}{request}", "A".repeat(2000));
    // One that is with the worker at once, and one that is still coming when it is refused.
    for size in [100_000, 4 * 1024 * 1024] {
        let content = line.repeat(size / line.len());
        for _ in 0..10 {
            let mut connection = siege.connect();
            let answer = connection.ask(&refused_early(content.as_bytes()));
            answer.assert_error(400, "invalid_path");
        }
    }
    assert!(!siege.log().contains("AAAA"), "a body was taken for a request");
    siege.assert_unharmed();
}

#[test]
fn what_is_left_of_a_refused_body_ends_nothing_by_a_length_without_bounds() {
    check_leftovers(" / HTTP/1.1\r\nContent-Length: 70368744177664\r\n\r\n");
    check_leftovers(" / HTTP/1.1\r\nContent-Length: 18446744073709551615\r\n\r\n");
}

#[test]
fn what_is_left_of_a_refused_body_holds_no_thread_by_a_version_that_nobody_speaks() {
    check_leftovers(" / HTTP/2.0\r\n\r\n");
    check_leftovers(" / HTTP/3.0\r\n\r\n");
}

#[test]
fn what_is_left_of_a_refused_body_is_no_request_however_it_is_made() {
    let lines: String = FORGED.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    check_leftovers(&format!(" /download?path=honest%2Ffile HTTP/1.1\r\n{lines}\r\n"));
    check_leftovers(" / HTTP/1.1\r\nExpect: a miracle\r\n\r\n");
    check_leftovers(" / HTTP/1.1\r\nConnection: upgrade\r\nTransfer-Encoding: chunked\r\n\r\n");
}

#[test]
fn the_gates_own_fields_say_nothing_when_a_client_sends_them() {
    let mut server = Server::new(Kind::Directory);
    server.max_file_size_mb = 1;
    let siege = Siege::of(server);
    let forge = |request: Request| {
        FORGED.iter().fold(request, |request, (name, value)| request.header(name, value))
    };
    let port = siege.port();
    let answer = forge(Request::upload(&parts("a", b"of web"))).key(WEB_KEY).send(port);
    assert_eq!(answer.json()["s3_key"], "backups/web/a");
    let large = content(1, 1024 * 1024 + 1);
    let large = forge(Request::upload(&parts("large", &large))).key(WEB_KEY).send(port);
    large.assert_error(413, "file_too_large");
    forge(Request::upload(&parts("a", b"x"))).send(port).assert_error(401, "unauthorized");
    for (key, exists) in [(WEB_KEY, true), (EU_KEY, false)] {
        let answer = forge(Request::new("GET", "/exists?path=a")).key(key).send(port);
        assert_eq!(answer.json()["exists"], exists);
        for (name, _) in FORGED {
            assert_eq!(answer.header(name), None, "a client sees it");
        }
    }
    siege.daemon().wait_for("127.0.0.1 web GET \"/exists?path=a\" 200");
    assert!(!siege.log().contains("192.0.2.") && !siege.log().contains("all is well"));
    siege.assert_unharmed();
}

#[test]
fn a_request_within_a_file_is_its_content() {
    let siege = Siege::new();
    let lines: String = FORGED.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let request = format!("GET /download?path=b HTTP/1.1\r\nHost: h\r\n{lines}\r\n");
    // As a chunk would be framed, too.
    let content = format!("0\r\n\r\n{request}00000005\r\n{request}").repeat(3000);
    let upload = Request::upload(&parts("odd", content.as_bytes())).key(WEB_KEY);
    assert_eq!(upload.send(siege.port()).status, 200);
    let download = Request::new("GET", "/download?path=odd").key(WEB_KEY).send(siege.port());
    assert!(download.body == content.as_bytes(), "it comes back as something else");
    siege.assert_unharmed();
}

#[test]
fn each_answer_belongs_to_its_request_among_many_that_are_refused_early() {
    let siege = Siege::new();
    let port = siege.port();
    for number in 0..40 {
        let content = content(number, 1000 + number as usize * 7000);
        let store = Request::upload(&parts(&format!("n/{number}"), &content)).key(WEB_KEY);
        assert_eq!(store.send(port).json()["s3_key"], format!("backups/web/n/{number}"));
        // Each of these is refused with its body under way, which costs a lane.
        refused_early(&content).send(port).assert_error(400, "invalid_path");
        let twice = [Part::Field("path", "a"), Part::Field("path", "b"), Part::File(&content)];
        Request::upload(&twice).key(WEB_KEY).send(port).assert_error(400, "bad_request");
    }
    std::thread::scope(|scope| {
        for thread in 0..8 {
            scope.spawn(move || {
                let mut connection = Connection::to(port);
                for number in (0..40).chain(0..40).skip(thread * 5).take(40) {
                    let target = format!("/download?path=n/{number}");
                    let answer = connection.ask(&Request::new("GET", &target).key(WEB_KEY));
                    let expected = content(number, 1000 + number as usize * 7000);
                    assert!(answer.body == expected, "{number} comes back as another");
                    let mut refused = Connection::to(port);
                    refused.ask(&refused_early(&expected)).assert_error(400, "invalid_path");
                }
            });
        }
    });
    siege.assert_unharmed();
}
