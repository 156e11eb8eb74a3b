//! The client's side of TLS: whom it believes to be its server, and what it is told to believe.

use crate::programs::{Outcome, run};
use crate::support::bucket::Kind;
use crate::support::certificates::{Authority, Identity};
use crate::support::client::Client;
use crate::support::content;
use crate::support::daemon::CLIENT;
use crate::support::pair::Pair;
use crate::support::scripted_server::{ScriptedServer, Step, answer};
use crate::support::server::WEB_KEY;
use crate::support::tls_front::{self, TlsFront};
use rustls::ServerConfig;
use rustls::version::{TLS12, TLS13};
use s3up::digest::Digest;
use std::path::Path;
use tempfile::TempDir;

/// A pair with TLS between, whose client knows the server by `trust` and under the name `host`.
/// Whatever it has to send arrives.
#[track_caller]
fn check(
    config: ServerConfig,
    host: &str,
    trust: &str,
    environment: &[(&'static str, &Path)],
    says: &str,
) {
    let mut pair = Pair::new(Kind::Directory);
    let front = TlsFront::start_with(pair.server.listening_port(), config);
    pair.client.url = front.url(host);
    pair.client.trust = trust.to_owned();
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    pair.client.environment = environment.iter().map(|(name, path)| (*name, text(path))).collect();
    pair.write("empty", b"");
    pair.write("small", b"small");
    pair.write("larger", &content(1, 200_000));
    pair.client.start();
    pair.client.daemon().wait_for(&format!("the server's certificate has to be {says}"));
    pair.assert_all_arrive();
    pair.client.assert_nothing_to_complain();
}

fn folder() -> TempDir {
    TempDir::new().unwrap()
}

#[test]
fn a_ca_in_a_file_is_believed_under_name_and_address() {
    let folder = folder();
    let (other, ours) =
        (Authority::new(folder.path(), "another CA"), Authority::new(folder.path(), "our CA"));
    let identity = ours.issue(folder.path(), &["localhost", "127.0.0.1"]);
    let alone = format!("ca_file: {:?}", ours.cert);
    for (host, version) in [("localhost", &TLS13), ("127.0.0.1", &TLS12)] {
        let config = tls_front::only(version, &identity);
        check(config, host, &alone, &[], "issued by the CA certificate in server.ca_file");
    }
    let both = folder.path().join("both.pem");
    let pem = [&other.cert, &ours.cert].map(|file| std::fs::read_to_string(file).unwrap());
    std::fs::write(&both, pem.concat()).unwrap();
    check(
        tls_front::only(&TLS13, &identity),
        "localhost",
        &format!("ca_file: {both:?}"),
        &[],
        "issued by one of the 2 CA certificates in server.ca_file",
    );
}

#[test]
fn a_pinned_certificate_is_believed_whatever_it_says_of_itself() {
    let folder = folder();
    let ca = Authority::new(folder.path(), "a CA that nobody knows");
    let named_otherwise = ca.issue(folder.path(), &["elsewhere.example"]);
    let expired = ca.issue_for_years(folder.path(), &["localhost"], [2001, 2002]);
    let self_signed = Identity::self_signed(folder.path(), &[]);
    let one = "the one in server.certificate_sha256";
    for version in [&TLS12, &TLS13] {
        let config = tls_front::only(version, &self_signed);
        let trust = format!("certificate_sha256: {:?}", self_signed.sha256());
        check(config, "127.0.0.1", &trust, &[], one);
    }
    let digits = expired.sha256().replace(':', "").to_lowercase();
    let config = tls_front::only(&TLS13, &expired);
    check(config, "localhost", &format!("certificate_sha256: {digits:?}"), &[], one);
    let list = format!(
        "certificate_sha256:\n  - {:?}\n  - {:?}",
        expired.sha256(),
        named_otherwise.sha256()
    );
    let config = tls_front::only(&TLS13, &named_otherwise);
    check(config, "localhost", &list, &[], "one of the 2 in server.certificate_sha256");
}

#[test]
fn the_systems_cas_are_believed_if_nothing_is_said() {
    let folder = folder();
    let ca = Authority::new(folder.path(), "our CA");
    let identity = ca.issue(folder.path(), &["localhost"]);
    let environment = [("SSL_CERT_FILE", ca.cert.as_path()), ("SSL_CERT_DIR", Path::new(""))];
    let says = "issued by one of the system's 1 CA certificates";
    check(tls_front::only(&TLS13, &identity), "localhost", "", &environment, says);
}

#[test]
fn large_files_go_through_and_a_connection_is_kept() {
    let folder = folder();
    let ca = Authority::new(folder.path(), "our CA");
    for version in [&TLS12, &TLS13] {
        let identity = ca.issue(folder.path(), &["localhost"]);
        let files = [content(1, 20 * 1024 * 1024), content(2, 300_000), b"small".to_vec()];
        let confirm = |file: &Vec<u8>| {
            let (size, sha256) = (file.len(), Digest::of(file));
            let json = format!(
                "{{\"success\":true,\"s3_key\":\"k\",\"size\":{size},\"sha256\":\"{sha256}\"}}"
            );
            Step::Answer(answer(200, &["content-type: application/json"], &json))
        };
        let server = ScriptedServer::start(files.iter().map(confirm).collect());
        let front = TlsFront::start_with(server.port(), tls_front::only(version, &identity));
        let mut client = Client::new();
        client.url = front.url("localhost");
        client.trust = format!("ca_file: {:?}", ca.cert);
        client.start();
        for (number, file) in files.iter().enumerate() {
            let path = client.path(number.to_string());
            std::fs::write(&path, file).unwrap();
            client.wait_until_recorded(&path);
        }
        let asked = server.asked();
        for (file, asked) in files.iter().zip(&asked) {
            assert!(memchr::memmem::find(&asked.body, file).is_some(), "the bytes are others");
        }
        let facts: Vec<_> =
            asked.iter().map(|asked| (asked.connection, asked.header("expect"))).collect();
        let asks = Some("100-continue");
        assert_eq!(facts, [(0, asks), (0, asks), (0, None)]);
    }
}

/// Runs a client that is told to believe the CAs in `file`.
fn run_with(file: &Path) -> Outcome {
    let folder = folder();
    let yaml = folder.path().join("client.yaml");
    let text = format!(
        "server:\n  url: https://localhost:1\n  ca_file: {file:?}\n  api_key: {WEB_KEY}\n\
         database:\n  path: {:?}\nwatches:\n  - local_path: {:?}\n",
        folder.path().join("client.db"),
        folder.path()
    );
    std::fs::write(&yaml, text).unwrap();
    run(CLIENT, &["-c", yaml.to_str().unwrap()])
}

#[test]
fn a_ca_file_that_cannot_be_used_is_said_at_the_start() {
    let folder = folder();
    let file = folder.path().join("ca.pem");
    let check = |content: Option<&str>, says: &str| {
        match content {
            Some(content) => std::fs::write(&file, content).unwrap(),
            None => drop(std::fs::remove_file(&file)),
        }
        let outcome = run_with(&file);
        assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(1), ""), "{}", outcome.stderr);
        let start = format!("error: server.ca_file: {file:?}: {says}");
        assert!(outcome.stderr.starts_with(&start), "{}", outcome.stderr);
        assert_eq!(outcome.stderr.lines().count(), 1, "{}", outcome.stderr);
        assert!(outcome.stderr.contains("; hint: "), "{}", outcome.stderr);
    };
    let identity = Identity::self_signed(folder.path(), &[]);
    let [cert, key] =
        [&identity.cert, &identity.key].map(|file| std::fs::read_to_string(file).unwrap());
    check(None, "cannot read it: No such file or directory");
    check(Some(&key), "it holds a private key");
    check(Some(&format!("{cert}{key}")), "it holds a private key");
    check(Some("nothing of the kind"), "it holds no certificate in PEM");
    check(
        Some(&cert[..cert.len() / 2]),
        "it is damaged: the line \"-----END CERTIFICATE-----\" is",
    );
    check(Some(&" ".repeat(5 * 1024 * 1024)), "it is larger than 4194304 bytes");
    std::fs::remove_file(&file).unwrap();
    std::fs::create_dir(&file).unwrap();
    let outcome = run_with(&file);
    assert!(outcome.stderr.contains("cannot read it: Is a directory"), "{}", outcome.stderr);
}
