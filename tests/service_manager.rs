//! The programs as a service manager sees them: when they serve, how they stand, whether they live.

use crate::support::api::Request;
use crate::support::bucket::Kind;
use crate::support::client::Client;
use crate::support::pair::Pair;
use crate::support::server::Server;
use crate::support::service_manager::ServiceManager;
use rustix::process::Signal;

const SIGN_OF_LIFE: &str = "WATCHDOG=1";

/// Two signs of life a second.
const A_SECOND: &str = "1000000";

#[track_caller]
fn check_two_signs_of_life(manager: &ServiceManager) {
    manager.wait_for(SIGN_OF_LIFE);
    manager.wait_for(SIGN_OF_LIFE);
}

/// Waits until a reload is announced, with the moment at which it began.
#[track_caller]
fn wait_for_reload(manager: &ServiceManager) {
    manager.wait_for("RELOADING=1");
    let moment = manager.wait_for("MONOTONIC_USEC=");
    let micros: u128 = moment.rsplit('=').next().unwrap().parse().unwrap();
    assert!(micros > 0 && micros <= s3up::clock::monotonic_reading().as_micros(), "{moment}");
}

#[track_caller]
fn check_status(manager: &ServiceManager, expected: &str) {
    let status = manager.wait_for("STATUS=");
    assert!(status.contains(expected), "{status}");
}

#[test]
fn a_server_says_that_it_serves_how_it_stands_that_it_lives_and_that_it_ends() {
    let manager = ServiceManager::new();
    let mut server = Server::new(Kind::Directory);
    server.environment.push(("NOTIFY_SOCKET", manager.address()));
    server.environment.push(("WATCHDOG_USEC", A_SECOND));
    server.launch();
    let status = manager.wait_for("STATUS=");
    manager.wait_for("READY=1");
    // Whoever was told may ask at once.
    let port: u16 = status.split([':', ';']).nth(2).unwrap().parse().unwrap();
    assert_eq!(status, format!("STATUS=listening on http://127.0.0.1:{port}; 2 clients"));
    assert_eq!(Request::new("GET", "/health").send(port).status, 200);
    check_two_signs_of_life(&manager);

    server.clients.pop();
    let file = server.configure();
    server.daemon().signal(Signal::HUP);
    wait_for_reload(&manager);
    check_status(&manager, "; 1 client");
    manager.wait_for("READY=1");
    std::fs::write(&file, "nonsense").unwrap();
    server.daemon().signal(Signal::HUP);
    wait_for_reload(&manager);
    check_status(&manager, "; 1 client; the file that is there now is refused");
    manager.wait_for("READY=1");
    check_two_signs_of_life(&manager);

    server.daemon().signal(Signal::TERM);
    manager.wait_for("STOPPING=1");
    assert_eq!(server.ended().code(), Some(0));
    let rest = manager.rest();
    assert!(!rest.iter().any(|line| line == "READY=1"), "{rest:?}");
}

#[test]
fn a_client_says_that_it_serves_how_it_stands_that_it_lives_and_that_it_ends() {
    let manager = ServiceManager::new();
    let mut pair = Pair::new(Kind::Directory);
    pair.client.environment.push(("NOTIFY_SOCKET", manager.address().to_owned()));
    pair.client.environment.push(("WATCHDOG_USEC", A_SECOND.to_owned()));
    pair.write("a", b"a");
    pair.client.start();
    manager.wait_for("READY=1");
    check_two_signs_of_life(&manager);
    pair.assert_all_arrive();

    pair.client.watch("more", "more/");
    let file = pair.client.configure();
    pair.client.daemon().signal(Signal::HUP);
    wait_for_reload(&manager);
    manager.wait_for("READY=1");
    check_status(&manager, "0 parked, 0 files uploaded since the start");
    std::fs::write(&file, "nonsense").unwrap();
    pair.client.daemon().signal(Signal::HUP);
    wait_for_reload(&manager);
    check_status(&manager, "client.yaml is refused, see the log; the client goes on");
    manager.wait_for("READY=1");
    check_two_signs_of_life(&manager);

    pair.client.daemon().signal(Signal::TERM);
    manager.wait_for("STOPPING=1");
    assert_eq!(pair.client.ended().code(), Some(0));
    let rest = manager.rest();
    assert!(!rest.iter().any(|line| line == "READY=1"), "{rest:?}");
}

#[test]
fn a_program_that_cannot_start_never_says_that_it_serves() {
    let manager = ServiceManager::new();
    let mut client = Client::new();
    client.url = "http://127.0.0.1:1".to_owned();
    client.database = "/nowhere/at/all/client.db".into();
    client.environment.push(("NOTIFY_SOCKET", manager.address().to_owned()));
    client.launch();
    assert_eq!(client.ended().code(), Some(1));
    let mut server = Server::new(Kind::Directory);
    server.tls = "{ enabled: true, cert_file: /no/cert.pem, key_file: /no/key.pem }".to_owned();
    server.environment.push(("NOTIFY_SOCKET", manager.address()));
    server.launch();
    assert_eq!(server.ended().code(), Some(1));
    assert_eq!(manager.rest(), [""; 0]);
}

#[test]
fn signs_of_life_that_another_process_is_to_give_are_not_given() {
    let manager = ServiceManager::new();
    let mut server = Server::new(Kind::Directory);
    for (name, value) in
        [("NOTIFY_SOCKET", manager.address()), ("WATCHDOG_USEC", "20000"), ("WATCHDOG_PID", "1")]
    {
        server.environment.push((name, value));
    }
    server.start();
    // Many would have come meanwhile.
    for _ in 0..5 {
        server.daemon().signal(Signal::HUP);
        manager.wait_for("READY=1");
    }
    server.stop();
    assert!(!manager.rest().iter().any(|line| line == SIGN_OF_LIFE));
}

#[test]
fn a_service_manager_that_cannot_be_told_is_one_warning_and_nothing_else() {
    let mut pair = Pair::new(Kind::Directory);
    let address = pair.client.beside("nobody").into_os_string().into_string().unwrap();
    pair.client.environment.push(("NOTIFY_SOCKET", address));
    pair.write("a", b"a");
    pair.client.start();
    pair.assert_all_arrive();
    let line = pair.client.daemon().wait_for("the service manager cannot be told");
    assert!(line.contains("WARN") && line.contains("No such file"), "{line}");
    assert_eq!(pair.client.stop().code(), Some(0));
    assert_eq!(pair.client.log().matches("the service manager").count(), 1);
}
