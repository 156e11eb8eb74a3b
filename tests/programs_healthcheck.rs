//! `healthcheck` of both programs: who is well, who is not, and that nobody who is well is called ill.

use crate::programs::{Outcome, run};
use crate::programs_client::unreachable_client;
use crate::support::bucket::{Bucket, Kind};
use crate::support::certificates::Authority;
use crate::support::client::Client;
use crate::support::daemon::{CLIENT, Daemon, SERVER};
use crate::support::pair::Pair;
use crate::support::scripted_server::{ScriptedServer, Step, answer};
use crate::support::server::{Server, WEB_KEY, free_port};
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixListener;

/// A server with a port that its configuration names.
fn server() -> Server {
    let mut server = Server::new(Kind::Directory);
    server.port = free_port();
    server
}

/// Asks the server that is configured so.
fn ask_server(server: &Server, arguments: &[&str]) -> Outcome {
    let file = server.configure();
    let arguments = [&["healthcheck", "-c", file.to_str().unwrap()], arguments].concat();
    let mut asking = Daemon::start(SERVER, &arguments, &server.environment);
    let code = asking.ended().code();
    Outcome { code, stdout: asking.stdout(), stderr: asking.log() }
}

/// Asks the server, which must be well and say so in this line.
#[track_caller]
fn check_well(server: &Server, arguments: &[&str], more: &str) {
    let Outcome { code, stdout, stderr } = ask_server(server, arguments);
    let scheme = if server.tls.contains("true") { "https" } else { "http" };
    let version = env!("CARGO_PKG_VERSION");
    let host = if server.host.contains(':') { "[::1]" } else { "127.0.0.1" };
    let line = format!("ok: s3up-server {version} at {scheme}://{host}:{}{more}\n", server.port);
    assert_eq!((code, stdout, stderr), (Some(0), line, String::new()));
}

/// Asks the server, which must not be well and say why in one line.
#[track_caller]
fn check_ill(server: &Server, arguments: &[&str], why: &str) {
    let Outcome { code, stdout, stderr } = ask_server(server, arguments);
    assert_eq!((code, stdout.as_str(), stderr.lines().count()), (Some(1), "", 1), "{stderr}");
    assert!(stderr.starts_with("error: ") && stderr.contains(why), "{why} in {stderr}");
    assert!(!stderr.contains(WEB_KEY), "{stderr}");
}

#[test]
fn a_server_is_asked_where_it_listens() {
    for host in ["127.0.0.1", "0.0.0.0", "::"] {
        let mut server = server();
        server.host = host;
        check_ill(&server, &[], "does not answer: nobody listens there; is the server running?");
        server.start();
        check_well(&server, &[], "");
        check_well(&server, &["--ready"], "");
        server.stop();
        check_ill(&server, &[], "is the server running?");
    }
}

#[test]
fn a_server_behind_tls_is_well_whatever_its_certificate_is_for_and_while_it_is_renewed() {
    let mut server = server();
    let folder = server.folder();
    let ca = Authority::new(&folder, "a CA that nobody knows");
    let pair = ca.issue(&folder, &["backup.example.com"]);
    let (cert, key) = (&pair.cert, &pair.key);
    server.tls = format!("{{ enabled: true, cert_file: {cert:?}, key_file: {key:?} }}");
    server.start();
    check_well(&server, &[], "");
    check_well(&server, &["--ready"], "");
    // A renewal that the server has not read yet, and one that it never will.
    let next = ca.issue_for_years(&folder, &["backup.example.com"], [2001, 2002]);
    fs::copy(&next.cert, &pair.cert).unwrap();
    check_well(&server, &[], "");
    fs::write(&pair.cert, "damaged").unwrap();
    check_well(&server, &[], "");

    server.tls = "{ enabled: false }".to_owned();
    check_ill(&server, &[], "is not well: 400, this port speaks TLS: use https://");
}

#[test]
fn a_server_whose_house_is_full_is_well() {
    let mut server = server();
    server.limits = "limits: {connections: 8, connections_per_peer: 8}".to_owned();
    let port = server.start();
    let _others: Vec<_> =
        (0..30).map(|_| TcpStream::connect(("127.0.0.1", port)).unwrap()).collect();
    check_well(&server, &[], "");
}

#[test]
fn a_server_whose_store_is_away_is_alive_and_not_ready() {
    let mut server = server();
    server.bucket = Bucket::Nobody(format!("http://127.0.0.1:{}", free_port()));
    server.start();
    check_well(&server, &[], "");
    check_ill(&server, &["--ready"], "is not well: 503, the store does not answer as it should");
}

#[test]
fn something_else_that_answers_there_is_no_server() {
    let mut server = server();
    for (status, body) in
        [(200, "welcome"), (404, "{}"), (200, "{\"status\":\"fine\",\"version\":\"\"}")]
    {
        let other = ScriptedServer::start(vec![Step::Last(answer(status, &[], body))]);
        server.port = other.port();
        check_ill(&server, &[], &format!("answers {status} and is no s3up-server; hint: "));
    }
    // It takes the connection and says nothing.
    let silent = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    server.port = silent.local_addr().unwrap().port();
    check_ill(&server, &[], "does not answer: nothing came within 5 s");
    server.tls = "{ enabled: true, cert_file: /c, key_file: /k }".to_owned();
    let other = ScriptedServer::start(vec![Step::Last(answer(200, &[], "welcome"))]);
    server.port = other.port();
    check_ill(&server, &[], "does not answer: ");
}

#[test]
fn without_a_port_or_a_sound_file_nobody_can_be_asked() {
    let mut server = server();
    server.port = 0;
    check_ill(&server, &[], "server.port is 0, any that is free; hint: name one");
    let file = server.configure();
    fs::write(&file, "x: 1\n").unwrap();
    for program in [SERVER, CLIENT] {
        let outcome = run(program, &["healthcheck", "-c", file.to_str().unwrap()]);
        assert_eq!(outcome.code, Some(2), "{}", outcome.stderr);
    }
}

/// Asks the client by its configuration.
fn ask(client: &Client) -> Outcome {
    run(CLIENT, &["healthcheck", "-c", client.configure().to_str().unwrap()])
}

#[track_caller]
fn check_client(client: &Client, code: i32, says: &str) {
    let Outcome { code: ended, stdout, stderr } = ask(client);
    let said = if code == 0 { &stdout } else { &stderr };
    assert_eq!((ended, said.as_str()), (Some(code), says), "{stdout}{stderr}");
}

#[test]
fn a_client_is_well_while_it_runs_also_if_a_file_is_parked_or_its_server_is_away() {
    let ok = |client: &Client| {
        let (version, pid) = (env!("CARGO_PKG_VERSION"), client.daemon().pid());
        format!("ok: s3up {version} runs as process {pid}\n")
    };
    let mut pair = Pair::new(Kind::Directory);
    let database = pair.client.database.clone();
    let not_running = format!("error: no client is running with the database {database:?}\n");
    check_client(&pair.client, 1, &not_running);
    assert!(!database.exists(), "nothing is made by asking");
    pair.server.max_file_size_mb = 1;
    pair.write("too large", &vec![7; 1024 * 1024 + 1]);
    pair.server.start();
    pair.client.url = format!("http://127.0.0.1:{}", pair.server.listening_port());
    pair.client.start();
    pair.client.daemon().wait_for("too large");
    check_client(&pair.client, 0, &ok(&pair.client));
    pair.client.stop();
    check_client(&pair.client, 1, &not_running);

    let mut alone = unreachable_client();
    fs::write(alone.path("a"), "a").unwrap();
    alone.start();
    check_client(&alone, 0, &ok(&alone));
}

#[test]
fn whoever_answers_nonsense_by_the_clients_socket_is_not_well() {
    let client = unreachable_client();
    let socket = UnixListener::bind(s3up::client::status::socket::path(&client.database)).unwrap();
    let file = client.configure();
    let arguments = ["healthcheck", "-c", file.to_str().unwrap()];
    let mut asking = Daemon::start(CLIENT, &arguments, &[]);
    let (mut peer, _) = socket.accept().unwrap();
    peer.read_to_end(&mut vec![]).unwrap();
    peer.write_all(b"nonsense").unwrap();
    drop(peer);
    assert_eq!(asking.ended().code(), Some(1));
    assert!(asking.log().starts_with("error: the client's answer cannot be read: "));
}
