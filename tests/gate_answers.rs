//! What the gate promises of every answer: how connections go on or end, and what a client's own
//! configuration forbids.

use crate::support::api::{Request, parts};
use crate::support::bucket::Kind;
use crate::support::content;
use crate::support::server::{Server, WEB_KEY};
use crate::support::siege::{Refusal, Siege};
use crate::support::waiting::{DEADLINE, eventually};
use s3up::limits::gate::REQUESTS_PER_CONNECTION_MAX;

fn get(target: &str) -> Request {
    Request::new("GET", target).key(WEB_KEY)
}

#[test]
fn one_connection_serves_many_requests_of_every_kind() {
    let siege = Siege::new();
    let mut connection = siege.connect();
    for number in 0..200 {
        let content = content(number, number as usize * 50);
        let upload = Request::upload(&parts("many", &content)).key(WEB_KEY);
        let answer = connection.ask(&upload);
        assert_eq!((answer.status, answer.header("Connection")), (200, Some("keep-alive")));
        assert_eq!(connection.ask(&get("/exists?path=many")).json()["size"], content.len());
        let head = Request::new("HEAD", "/download?path=many").key(WEB_KEY);
        let head = connection.ask(&head);
        assert_eq!(head.header("Content-Length"), Some(&*content.len().to_string()));
        assert!(connection.ask(&get("/download?path=many")).body == content, "{number}");
        connection.ask(&get("/download?path=none")).assert_error(404, "not_found");
        connection.ask(&get("/nowhere")).assert_error(404, "not_found");
        connection.ask(&get("/upload")).assert_error(405, "method_not_allowed");
    }
    drop(connection);
    siege.assert_unharmed();
}

#[test]
fn requests_sent_at_once_are_answered_one_after_the_other() {
    let siege = Siege::new();
    let contents: Vec<_> = (0..20).map(|number| content(number, 3000)).collect();
    let mut all = Vec::new();
    for (number, content) in contents.iter().enumerate() {
        let path = format!("at-once/{number}");
        all.extend(Request::upload(&parts(&path, content)).key(WEB_KEY).bytes());
        all.extend(Request::new("HEAD", &format!("/exists?path={path}")).key(WEB_KEY).bytes());
        all.extend(get(&format!("/download?path={path}")).bytes());
    }
    let mut connection = siege.connect();
    connection.say(all);
    for (number, content) in contents.iter().enumerate() {
        let key = format!("backups/web/at-once/{number}");
        assert_eq!(connection.answer().json()["s3_key"], key);
        let head = connection.answer_to_head();
        assert_eq!((head.status, head.body.len()), (200, 0));
        assert!(connection.answer().body == *content, "{number}");
    }
    connection.half_close();
    connection.assert_ended();
    siege.assert_unharmed();
}

#[test]
fn a_connection_goes_on_or_ends_as_its_client_says() {
    let siege = Siege::new();
    for (version, lines, goes_on) in [
        ("1.1", "", true),
        ("1.1", "Connection: keep-alive\r\n", true),
        ("1.1", "Connection: close\r\n", false),
        ("1.1", "Connection: keep-alive, Close\r\n", false),
        ("1.0", "", false),
        ("1.0", "Connection: Keep-Alive\r\n", true),
        ("1.0", "Connection: close\r\n", false),
    ] {
        for (target, status) in [("/health", 200), ("/exists?path=a", 200), ("/nowhere", 404)] {
            let mut connection = siege.connect();
            connection.say(format!(
                "GET {target} HTTP/{version}\r\nHost: h\r\nAuthorization: Bearer {WEB_KEY}\r\n\
                 {lines}\r\n"
            ));
            let answer = connection.answer();
            let said = if goes_on { "keep-alive" } else { "close" };
            assert_eq!((answer.status, answer.header("Connection")), (status, Some(said)));
            if goes_on {
                assert_eq!(connection.ask(&get("/health")).status, 200);
            } else {
                connection.assert_ended();
            }
        }
    }
    siege.assert_unharmed();
}

#[test]
fn a_connection_that_rests_too_long_is_closed_without_a_word() {
    let siege = Siege::with_limits("limits: {idle_seconds: 1}");
    let mut connection = siege.connect();
    for _ in 0..2 {
        assert_eq!(connection.ask(&get("/exists?path=rests")).status, 200);
    }
    connection.assert_ended();
    assert_eq!(siege.daemon().count("rests"), 2, "nothing was asked, so nothing is logged");
    siege.assert_unharmed();
}

#[test]
fn a_connection_ends_after_so_many_requests_that_its_client_makes_a_new_one() {
    let siege = Siege::new();
    let mut connection = siege.connect();
    let hundred = Request::new("GET", "/health").bytes().repeat(100);
    for batch in 1..=REQUESTS_PER_CONNECTION_MAX / 100 {
        connection.say(&hundred);
        for number in 1..=100 {
            let answer = connection.answer();
            let is_last = (batch - 1) * 100 + number == REQUESTS_PER_CONNECTION_MAX;
            let said = if is_last { "close" } else { "keep-alive" };
            assert_eq!((answer.status, answer.header("Connection")), (200, Some(said)));
        }
    }
    connection.assert_ended();
    siege.assert_unharmed();
}

#[test]
fn who_asks_and_asks_and_never_reads_is_given_up() {
    let siege = Siege::with_limits("limits: {stall_seconds: 1}");
    // Of some size: ten thousand small answers fit into the buffers, and more are not given.
    let upload = Request::upload(&parts("some", &content(1, 20_000))).key(WEB_KEY);
    assert_eq!(siege.ask(&upload).status, 200);
    let many = get("/download?path=some").bytes().repeat(1000);
    let mut askers = [siege.connect(), siege.connect()];
    for asker in &mut askers {
        eventually(DEADLINE, "nobody listens any more", || asker.try_say(&many).err());
    }
    siege.daemon().wait_for_times(2, "; the answer was not taken: ");
    siege.before().assert_never_grew_by(32 * 1024);
    siege.assert_unharmed();
}

#[test]
fn an_answer_to_head_has_no_body_whatever_it_answers() {
    let siege = Siege::new();
    let mut connection = siege.connect();
    for (target, status, key) in [
        ("/health", 200, true),
        ("/ready", 200, true),
        ("/exists?path=honest/file", 200, true),
        ("/download?path=honest/file", 200, true),
        ("/download?path=none", 404, true),
        ("/download?path=../none", 400, true),
        ("/upload", 405, true),
        ("/nowhere", 404, true),
        ("/exists?path=a", 401, false),
    ] {
        let request = Request::new("HEAD", target);
        let answer = connection.ask(&if key { request.key(WEB_KEY) } else { request });
        assert_eq!(answer.status, status, "{target}");
        assert!(answer.header("Content-Length").unwrap().parse::<u64>().unwrap() > 0);
        // A body would be read as the next answer.
        assert_eq!(connection.ask(&get("/health")).json()["status"], "ok");
    }
    drop(connection);
    siege.assert_unharmed();
}

#[test]
fn a_client_that_may_not_download_can_do_everything_else() {
    let mut server = Server::new(Kind::Directory);
    server.allow_download = false;
    let siege = Siege::of(server);
    let refusal = Refusal {
        status: 403,
        code: "forbidden",
        message: "this client may not download (allow_download: false)",
    };
    let mut connection = siege.connect();
    for path in ["honest/file", "none"] {
        let download = get(&format!("/download?path={path}"));
        refusal.assert_is(&connection.ask(&download));
        refusal.assert_is(&connection.ask(&download.header("Range", "bytes=0-0")));
        let head = Request::new("HEAD", &format!("/download?path={path}")).key(WEB_KEY);
        assert_eq!(connection.ask(&head).status, 403, "nobody learns what is there");
    }
    siege.assert_logged(1, "web GET \"/download?path=honest/file\"", refusal);
    siege.daemon().wait_for_times(6, &refusal.note());
    assert_eq!(connection.ask(&get("/exists?path=honest/file")).json()["exists"], true);
    let upload = Request::upload(&parts("more", b"x")).key(WEB_KEY);
    assert_eq!(connection.ask(&upload).status, 200);
    drop(connection);
    siege.assert_unharmed();
}
