//! The administrator's page over HTTP: who sees it, how one logs in, and what a browser is told.

use crate::server_activity::upload;
use crate::support::api::{Answer, Request};
use crate::support::bucket::Kind;
use crate::support::connection::Connection;
use crate::support::server::{ADMIN_KEY, Server, WEB_KEY};
use crate::support::waiting::{DEADLINE, eventually};
use s3up::limits::gate::AUTH_FAILURES_MAX;
use s3up::limits::page::LOGIN_BYTES_MAX;

/// What a browser sends with a form of the page.
fn posted(target: &str, form: &str) -> Request {
    let mut request = Request::new("POST", target)
        .header("Sec-Fetch-Site", "same-origin")
        .header("Content-Type", "application/x-www-form-urlencoded")
        .header("Content-Length", &form.len().to_string());
    request.body = form.as_bytes().to_vec();
    request
}

fn log_in(server: &Server, key: &str) -> Answer {
    posted("/login", &format!("key={key}")).send(server.listening_port())
}

/// Logs in, and returns what a browser sends from then on.
#[track_caller]
fn session(server: &Server) -> String {
    let answer = log_in(server, ADMIN_KEY);
    assert_eq!((answer.status, answer.header("Location")), (303, Some("/")), "{}", answer.text());
    let cookie = answer.header("Set-Cookie").unwrap();
    let (cookie, attributes) = cookie.split_once("; ").unwrap();
    assert_eq!(attributes, "Path=/; Secure; HttpOnly; SameSite=Strict");
    cookie.to_owned()
}

fn page(server: &Server, cookie: &str) -> Answer {
    Request::new("GET", "/").header("Cookie", cookie).send(server.listening_port())
}

#[track_caller]
fn assert_form(answer: &Answer) {
    let text = answer.text();
    assert!(text.contains("<form class=\"panel\" method=\"post\" action=\"/login\">"), "{text}");
    assert!(!text.contains("web-eu") && !text.contains("Log out"), "{text}");
}

#[track_caller]
fn assert_overview(answer: &Answer) {
    let text = answer.text();
    assert_eq!(answer.status, 200, "{text}");
    for part in ["<h2 id=\"c-web\">web</h2>", "<h2 id=\"c-web-eu\">web-eu</h2>", "Log out"] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[test]
fn a_browser_without_a_key_gets_a_form_and_nothing_else() {
    let server = Server::started(Kind::Directory);
    for cookie in ["", "a=b", "__Host-s3up=", "__Host-s3up=0123"] {
        let answer = page(&server, cookie);
        assert_eq!(answer.status, 200);
        assert_form(&answer);
        for (name, expected) in [
            ("Content-Type", "text/html; charset=utf-8"),
            ("X-Content-Type-Options", "nosniff"),
            ("Referrer-Policy", "no-referrer"),
            ("Cache-Control", "no-store"),
            ("Cross-Origin-Opener-Policy", "same-origin"),
            ("Cross-Origin-Resource-Policy", "same-origin"),
        ] {
            assert_eq!(answer.header(name), Some(expected), "{name}");
        }
        let policy = answer.header("Content-Security-Policy").unwrap();
        assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
        assert!(!policy.contains("unsafe") && policy.contains("form-action 'self'"), "{policy}");
        assert_eq!(answer.header("Set-Cookie"), None);
    }
    let head = Request::new("HEAD", "/").send(server.listening_port());
    assert_eq!((head.status, head.body.len()), (200, 0));
}

#[test]
fn an_administrators_key_opens_the_page_to_programs_and_no_other_does() {
    let server = Server::started(Kind::Directory);
    assert_eq!(upload(&server, WEB_KEY, "a/b", b"0123456789").status, 200);
    let ask = |key: &str| Request::new("GET", "/").key(key).send(server.listening_port());
    // The upload is written down some moments later.
    let answer = eventually(DEADLINE, "the upload is counted", || {
        Some(ask(ADMIN_KEY))
            .filter(|answer| answer.text().contains("<b>1 file</b> <span>10 B</span>"))
    });
    assert_overview(&answer);
    assert!(answer.header("Content-Security-Policy").is_some());
    ask(WEB_KEY).assert_error(403, "forbidden");
    ask("nobodys-key-0123456789").assert_error(401, "unauthorized");
}

#[test]
fn who_logs_in_sees_the_page_until_logging_out() {
    let server = Server::started(Kind::Directory);
    let (one, other) = (session(&server), session(&server));
    assert_ne!(one, other);
    assert_overview(&page(&server, &one));
    assert_overview(&page(&server, &format!("theme=dark; {one}")));
    // A session opens the page, and no other door.
    for target in ["/clients", "/reports", "/exists?path=a"] {
        let request = Request::new("GET", target).header("Cookie", &one);
        request.send(server.listening_port()).assert_error(401, "unauthorized");
    }
    // Another site can have a browser ask, but not with the cookie, nor without saying who it is.
    let foreign = Request::new("POST", "/logout").header("Cookie", &one);
    foreign.send(server.listening_port()).assert_error(403, "forbidden");
    assert_overview(&page(&server, &one));
    let answer = posted("/logout", "").header("Cookie", &one).send(server.listening_port());
    assert_eq!((answer.status, answer.header("Location")), (303, Some("/")));
    let cookie = answer.header("Set-Cookie").unwrap();
    assert!(cookie.starts_with("__Host-s3up=; ") && cookie.ends_with("Max-Age=0"), "{cookie}");
    assert_form(&page(&server, &one));
    assert_overview(&page(&server, &other));
    let log = server.log();
    assert!(log.contains("logged in") && log.contains("(admin) GET \"/\" 200"), "{log}");
    for secret in [ADMIN_KEY, one.split_once('=').unwrap().1] {
        assert!(!log.contains(secret), "{log}");
    }
}

#[test]
fn a_session_ends_with_its_key() {
    let mut server = Server::started(Kind::Directory);
    let cookie = session(&server);
    assert_overview(&page(&server, &cookie));
    server.sections =
        server.sections.replace(ADMIN_KEY, "sk_test_another_administrators_key_0123456");
    server.configure();
    server.daemon().signal(rustix::process::Signal::HUP);
    server.daemon().wait_for("was read again: admin_keys changed");
    assert_form(&page(&server, &cookie));
}

#[test]
fn a_wrong_key_is_told_so_by_the_form_slower_and_slower_and_then_not_any_more() {
    let server = Server::started(Kind::Directory);
    for key in ["nobodys-key-0123456789", WEB_KEY, ""] {
        let answer = log_in(&server, key);
        assert_eq!(answer.status, 401);
        assert_form(&answer);
        assert!(answer.text().contains("This is not the key of an administrator."));
        assert_eq!(answer.header("Set-Cookie"), None);
        assert!(!answer.text().contains(key) || key.is_empty());
    }
    // The account is the one that all bad keys of this address are on.
    let attempts: Vec<Connection> = (0..AUTH_FAILURES_MAX)
        .map(|_| {
            let mut connection = Connection::to(server.listening_port());
            connection.say(posted("/login", "key=x").bytes());
            connection
        })
        .collect();
    let answers = attempts.into_iter().map(|mut connection| connection.answer());
    let mut refused: Vec<Answer> = answers.filter(|answer| answer.status != 401).collect();
    let answer = refused.pop().unwrap();
    assert_eq!(answer.status, 429);
    assert_form(&answer);
    assert!(answer.header("Retry-After").is_some());
    let bearer = Request::new("GET", "/clients").key("x").send(server.listening_port());
    bearer.assert_error(429, "too_many_requests");
    // A good key always passes.
    assert_overview(&page(&server, &session(&server)));
}

#[test]
fn of_a_login_no_more_is_read_than_a_key_needs() {
    let server = Server::started(Kind::Directory);
    let too_long = format!("key={}", "x".repeat(LOGIN_BYTES_MAX as usize));
    posted("/login", &too_long).send(server.listening_port()).assert_error(413, "file_too_large");
    posted("/login", "key=x")
        .without("Content-Length")
        .send(server.listening_port())
        .assert_error(411, "length_required");
    for without in ["Sec-Fetch-Site", "Content-Type"] {
        let answer = posted("/login", "key=x").without(without).send(server.listening_port());
        assert!([403, 415].contains(&answer.status), "{without}: {}", answer.text());
    }
    // A form that comes in pieces, one that is held back until it is asked for, and one that ends early.
    let form = format!("key={ADMIN_KEY}");
    let bytes = posted("/login", &form).bytes();
    let mut connection = Connection::to(server.listening_port());
    connection.say(&bytes[..bytes.len() - 9]);
    connection.say(&bytes[bytes.len() - 9..]);
    assert_eq!(connection.answer().status, 303);
    // The connection goes on.
    assert_form(&connection.ask(&Request::new("GET", "/")));
    let patient = posted("/login", &form).header("Expect", "100-continue");
    let mut connection = Connection::to(server.listening_port());
    connection.say(patient.head());
    connection.wait_for_continue();
    connection.say(&form);
    assert_eq!(connection.answer().status, 303);
    let mut connection = Connection::to(server.listening_port());
    connection.say(&bytes[..bytes.len() - 9]);
    connection.half_close();
    connection.answer().assert_error(400, "incomplete_body");
}

#[test]
fn where_nobody_may_see_it_there_is_no_page() {
    let mut server = Server::new(Kind::Directory);
    server.sections.clear();
    server.start();
    for request in [Request::new("GET", "/"), posted("/login", "key=x"), posted("/logout", "")] {
        request.send(server.listening_port()).assert_error(404, "not_found");
    }
}

#[test]
fn an_administrator_of_a_server_without_a_database_is_told_what_is_missing() {
    let mut server = Server::new(Kind::Directory);
    server.sections = format!("admin_keys:\n  - api_key: \"{ADMIN_KEY}\"\n");
    server.start();
    let text = page(&server, &session(&server)).text();
    assert!(text.contains("This server has no database.") && text.contains("Log out"), "{text}");
}
