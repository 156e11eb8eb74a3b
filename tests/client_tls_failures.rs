//! The client's side of TLS on bad days: each failure is explained in one line, costs no file an
//! attempt, and is over when its cause is.

use crate::support::bucket::Kind;
use crate::support::certificates::{Authority, Identity};
use crate::support::client::Client;
use crate::support::pair::Pair;
use crate::support::tls_front::{TlsFront, asking_for_certificates, only, saying};
use rustls::version::{TLS12, TLS13};
use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::Path;
use tempfile::TempDir;

/// What a client with a file to send says of the server at `url`, which it does not accept.
#[track_caller]
fn complaint(url: String, trust: &str) -> String {
    let mut client = Client::new();
    client.url = url;
    client.trust = trust.to_owned();
    std::fs::write(client.path("a"), b"a").unwrap();
    client.start();
    let line = client.daemon().wait_for("uploads pause");
    assert_no_file_is_blamed(&client);
    assert!(client.stop().success());
    line
}

#[track_caller]
fn check(url: String, trust: &str, expected: &[&str]) {
    let line = complaint(url.clone(), trust);
    let start = format!("1 files wait: no secure connection to {url}: ");
    for part in [start.as_str(), "; hint: "].iter().chain(expected) {
        assert!(line.contains(part), "{part} is not in {line}");
    }
}

/// No failure was counted against any file.
#[track_caller]
fn assert_no_file_is_blamed(client: &Client) {
    assert_eq!(client.parked(), BTreeMap::new());
    assert!(!client.log().contains("tried again in"), "an attempt was burned");
}

/// A port where nobody listens.
const NOBODY: u16 = 1;

/// A server with this certificate that nothing stands behind.
fn front(identity: &Identity) -> TlsFront {
    TlsFront::start(NOBODY, identity)
}

fn local(port: u16) -> String {
    format!("https://127.0.0.1:{port}")
}

struct Scene {
    folder: TempDir,
    ca: Authority,
}

impl Scene {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        Self { ca: Authority::new(folder.path(), "our CA"), folder }
    }

    fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Believes this scene's CA.
    fn trust(&self) -> String {
        format!("ca_file: {:?}", self.ca.cert)
    }
}

#[test]
fn a_certificate_of_an_unknown_issuer_is_shown_with_its_digest() {
    let scene = Scene::new();
    let other = Authority::new(scene.folder(), "another CA");
    let identity = other.issue(scene.folder(), &["localhost"]);
    let what =
        format!("the server's certificate (SHA-256 {}) is not issued by ", identity.sha256());
    let from_file = format!("{what}the CA certificate in server.ca_file");
    let hint = "a CA of your own belongs into server.ca_file";
    check(front(&identity).url("localhost"), &scene.trust(), &[&from_file, hint]);
}

#[test]
fn the_digest_in_the_log_is_one_that_can_be_pinned() {
    let scene = Scene::new();
    let identity = Identity::self_signed(scene.folder(), &["localhost"]);
    let mut pair = Pair::new(Kind::Directory);
    let front = TlsFront::start(pair.server.listening_port(), &identity);
    pair.client.url = front.url("localhost");
    pair.write("a", b"a");
    for trust in [String::new(), scene.trust()] {
        pair.client.trust = trust;
        pair.client.start();
        let line =
            pair.client.daemon().wait_for("is made for a CA (CA:TRUE), as `openssl req -x509`");
        assert!(line.contains("set server.certificate_sha256 to it"), "{line}");
        let digest = line.split("(SHA-256 ").nth(1).unwrap().split(')').next().unwrap();
        assert_eq!(digest, identity.sha256());
        pair.client.stop();
    }
    pair.client.trust = format!("certificate_sha256: {}", identity.sha256());
    pair.client.start();
    pair.assert_all_arrive();
}

#[test]
fn a_system_without_cas_is_told_and_has_built_in_ones() {
    let scene = Scene::new();
    let identity = scene.ca.issue(scene.folder(), &["localhost"]);
    let mut client = Client::new();
    let front = front(&identity);
    client.url = front.url("localhost");
    let nowhere = scene.folder().join("nowhere").to_str().unwrap().to_owned();
    client.environment = vec![("SSL_CERT_FILE", nowhere.clone()), ("SSL_CERT_DIR", nowhere)];
    std::fs::write(client.path("a"), b"a").unwrap();
    client.start();
    let line = client.daemon().wait_for("the system has no CA certificates");
    assert!(line.contains("nowhere") && line.contains("ca-certificates"), "{line}");
    let line = client.daemon().wait_for("the server's certificate has to be issued by one of ");
    let number: usize =
        line.split("one of ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    assert!(number > 50 && line.ends_with("built-in CA certificates"), "{line}");
    client.daemon().wait_for(&format!("is not issued by one of {number} built-in CA certificates"));
}

#[test]
fn a_certificate_of_a_ca_that_was_made_anew_is_told_from_one_of_a_stranger() {
    let scene = Scene::new();
    let anew = Authority::new(scene.folder(), "our CA");
    let identity = anew.issue(scene.folder(), &["localhost"]);
    let what = "names an issuer that did not sign it; hint: was the CA made anew";
    check(front(&identity).url("localhost"), &scene.trust(), &[what]);
}

#[test]
fn a_certificate_for_another_name_is_shown_with_its_names() {
    let scene = Scene::new();
    let identity = scene.ca.issue(scene.folder(), &["backup.example.com", "10.1.2.3"]);
    for host in ["localhost", "127.0.0.1"] {
        let what = format!(
            "is not for {host:?}, which server.url names, but for \"backup.example.com\", \
             \"10.1.2.3\"; "
        );
        check(front(&identity).url(host), &scene.trust(), &[&what]);
    }
    let nameless = scene.ca.issue(scene.folder(), &[]);
    let what = "but for no name at all (it has no subjectAltName)";
    check(front(&nameless).url("localhost"), &scene.trust(), &[what]);
}

#[test]
fn a_certificate_out_of_its_time_is_shown_with_its_date_and_the_clock() {
    let scene = Scene::new();
    let clock = ": is this machine's clock right?";
    for (years, what) in [
        (
            [2001, 2002],
            "expired at 2002-01-01 00:00:00 UTC; hint: renew it on the server; here it is 20",
        ),
        (
            [2101, 2102],
            "is not valid before 2101-01-01 00:00:00 UTC; hint: wait until then; here it is 20",
        ),
    ] {
        let identity = scene.ca.issue_for_years(scene.folder(), &["localhost"], years);
        check(front(&identity).url("localhost"), &scene.trust(), &[what, clock]);
    }
}

#[test]
fn another_certificate_than_the_pinned_one_is_shown_with_its_digest() {
    let scene = Scene::new();
    let [pinned, shown] = [(); 2].map(|()| Identity::self_signed(scene.folder(), &["localhost"]));
    let what = format!("this one's SHA-256 is {}; ", shown.sha256());
    let trust = format!("certificate_sha256: {}", pinned.sha256());
    for version in [&TLS12, &TLS13] {
        let front = TlsFront::start_with(NOBODY, only(version, &shown));
        check(front.url("localhost"), &trust, &["shows another certificate than", &what]);
    }
}

#[test]
fn whoever_shows_a_pinned_certificate_without_its_key_is_not_believed() {
    let scene = Scene::new();
    let [pinned, thief] = [(); 2].map(|()| Identity::self_signed(scene.folder(), &["localhost"]));
    let stolen = Identity { cert: pinned.cert.clone(), key: thief.key };
    let trust = format!("certificate_sha256: {}", pinned.sha256());
    for version in [&TLS12, &TLS13] {
        let front = TlsFront::start_with(NOBODY, only(version, &stolen));
        let what = "the server does not prove that it has its certificate's key";
        check(front.url("localhost"), &trust, &[what]);
    }
}

#[test]
fn a_server_that_does_not_speak_tls_is_told_from_one_that_speaks_another() {
    let scene = Scene::new();
    let no_tls = "the server answers, but does not speak TLS on this port";
    for answer in [&b"SSH-2.0-OpenSSH_9.9\r\n"[..], b"HTTP/1.0 400 Bad Request\r\n\r\n"] {
        check(local(saying(answer)), &scene.trust(), &[no_tls]);
    }
    // Alerts: fatal, protocol_version; fatal, unrecognized_name.
    let too_old = "speaks neither TLS 1.2 nor TLS 1.3";
    check(local(saying(&[21, 3, 1, 0, 2, 2, 70])), &scene.trust(), &[too_old]);
    let nameless = "does not know the name in server.url";
    check(local(saying(&[21, 3, 3, 0, 2, 2, 112])), &scene.trust(), &[nameless]);
    let cut = "the connection was closed in the middle of the TLS handshake";
    check(local(saying(b"")), &scene.trust(), &[cut]);

    let identity = scene.ca.issue(scene.folder(), &["127.0.0.1"]);
    let mut h2 = only(&TLS13, &identity);
    h2.alpn_protocols = vec![b"h2".to_vec()];
    let front = TlsFront::start_with(NOBODY, h2);
    check(front.url("127.0.0.1"), &scene.trust(), &["does not speak HTTP/1.1"]);
    let front = TlsFront::start_with(NOBODY, asking_for_certificates(&TLS13, &identity));
    check(front.url("127.0.0.1"), &scene.trust(), &["asks for a client's certificate"]);
}

#[test]
fn a_server_that_does_not_say_a_word_is_given_up() {
    let scene = Scene::new();
    // The system takes the connection; nobody takes it from the system.
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let silent = local(listener.local_addr().unwrap().port());
    check(silent, &scene.trust(), &["does not answer the TLS handshake"]);
}

#[test]
fn what_waits_for_a_certificate_arrives_once_it_is_right() {
    let scene = Scene::new();
    let expired = scene.ca.issue_for_years(scene.folder(), &["localhost"], [2001, 2002]);
    let mut pair = Pair::new(Kind::Directory);
    let front = TlsFront::start(pair.server.listening_port(), &expired);
    pair.client.url = front.url("localhost");
    pair.client.trust = scene.trust();
    for number in 0..20 {
        pair.write(format!("{number}"), b"x");
    }
    pair.client.start();
    pair.client.daemon().wait_for_times(2, "expired at 2002-01-01");
    front.show(&scene.ca.issue(scene.folder(), &["localhost"]));
    pair.assert_all_arrive();
    pair.client.daemon().wait_for("the server answers again");
    assert_no_file_is_blamed(&pair.client);
    pair.stop();
    assert_eq!(pair.server.uploads(), 20);
}
