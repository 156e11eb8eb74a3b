//! S3 over HTTPS: whose certificate is accepted, and what the operator is told of one that is not.

use crate::support::certificates::{Authority, Identity};
use crate::support::s3_server::S3Server;
use crate::support::scene::{prepare, settings};
use crate::support::tls_front::{TlsFront, saying};
use crate::support::{content, key_below};
use s3up::server::key::ObjectKey;
use s3up::server::store::s3::{S3Settings, S3Store};
use s3up::server::store::{Metadata, ObjectStore, StoreError, StoreErrorKind};
use std::io::Read;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

fn key() -> ObjectKey {
    key_below("backups", "a/file")
}

fn store(endpoint: &str, ca_file: Option<&Path>) -> Result<S3Store, StoreError> {
    prepare(S3Settings { ca_file: ca_file.map(Path::to_owned), ..settings(endpoint) })
}

/// What a store says to a server with this certificate, whatever it is asked.
#[track_caller]
fn check(shown: &Identity, host: &str, ca_file: Option<&Path>, cause: &str, hint: &str) {
    let server = S3Server::start();
    let front = TlsFront::start(server.port(), shown);
    let store = store(&front.url(host), ca_file).unwrap();
    let put = store.put(&key(), b"x", &Metadata::default());
    for result in [put, store.ready(), store.head(&key()).map(drop)] {
        let error = result.unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::Unavailable, "{error}");
        assert!(error.cause.contains(cause), "{error}");
        assert!(error.hint.is_some_and(|text| text.contains(hint)), "{error}");
    }
    assert_eq!(server.objects(), [""; 0]);
}

#[test]
fn a_private_ca_is_trusted_when_its_certificate_is_named() {
    let folder = TempDir::new().unwrap();
    let authority = Authority::new(folder.path(), "our CA");
    let identity = authority.issue(folder.path(), &["localhost", "127.0.0.1"]);
    let server = S3Server::start();
    let front = TlsFront::start(server.port(), &identity);
    for host in ["localhost", "127.0.0.1"] {
        let store = store(&front.url(host), Some(&authority.cert)).unwrap();
        store.ready().unwrap();
        let bytes = content(1, 1_000_000);
        store.put(&key(), &bytes, &Metadata::default()).unwrap();
        let mut read = Vec::new();
        let mut object = store.open(&key(), None).unwrap().unwrap();
        object.body.read_to_end(&mut read).unwrap();
        assert!(read == bytes, "other bytes come back");
    }
}

#[test]
fn one_of_several_cas_in_the_file_is_enough() {
    let folder = TempDir::new().unwrap();
    let [old, new] = ["old", "new"].map(|name| Authority::new(folder.path(), name));
    let both = folder.path().join("both.pem");
    let pem = |ca: &Authority| std::fs::read_to_string(&ca.cert).unwrap();
    std::fs::write(&both, pem(&old) + &pem(&new)).unwrap();
    let server = S3Server::start();
    for authority in [&old, &new] {
        let identity = authority.issue(folder.path(), &["localhost"]);
        let front = TlsFront::start(server.port(), &identity);
        store(&front.url("localhost"), Some(&both)).unwrap().ready().unwrap();
    }
}

#[test]
fn a_certificate_that_nobody_trusted_has_issued_is_refused_and_the_way_out_is_told() {
    let folder = TempDir::new().unwrap();
    let authority = Authority::new(folder.path(), "our CA");
    let identity = authority.issue(folder.path(), &["localhost"]);
    let hint = "in s3.ca_file";
    check(&identity, "localhost", None, "UnknownIssuer", hint);
    let other = Authority::new(folder.path(), "their CA");
    check(&identity, "localhost", Some(&other.cert), "UnknownIssuer", hint);
    // The same name and another key.
    let other = Authority::new(folder.path(), "our CA");
    check(&identity, "localhost", Some(&other.cert), "invalid peer certificate", hint);
}

#[test]
fn a_certificate_for_another_name_or_another_time_is_refused() {
    let folder = TempDir::new().unwrap();
    let authority = Authority::new(folder.path(), "our CA");
    let ca = Some(authority.cert.as_path());
    let elsewhere = authority.issue(folder.path(), &["s3.example.com"]);
    check(&elsewhere, "localhost", ca, "s3.example.com", "check the host in s3.endpoint");
    let localhost = ["localhost"];
    let past = authority.issue_for_years(folder.path(), &localhost, [2019, 2020]);
    check(&past, "localhost", ca, "expired", "renew it there");
    let future = authority.issue_for_years(folder.path(), &localhost, [2900, 2901]);
    check(&future, "localhost", ca, "not valid yet", "this machine's clock");
}

#[test]
fn a_cas_certificate_in_the_place_of_a_servers_is_explained() {
    let folder = TempDir::new().unwrap();
    let identity = Identity::self_signed(folder.path(), &["localhost"]);
    check(&identity, "localhost", Some(&identity.cert), "CaUsedAsEndEntity", "openssl req -x509");
}

#[test]
fn what_speaks_no_tls_is_told_from_what_is_not_there() {
    let port = saying(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n");
    let error = store(&format!("https://127.0.0.1:{port}"), None).unwrap().ready().unwrap_err();
    assert!(error.hint.is_some_and(|hint| hint.contains("TLS handshake")), "{error}");
}

#[test]
fn a_ca_file_that_is_of_no_use_is_one_line_with_the_file_and_what_would_be_right() {
    let folder = TempDir::new().unwrap();
    let identity = Identity::self_signed(folder.path(), &["localhost"]);
    let write = |name: &str, text: &str| -> PathBuf {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    for (file, cause) in [
        (folder.path().join("absent.pem"), "cannot read it"),
        (folder.path().to_owned(), "cannot read it"),
        (write("empty.pem", ""), "it holds no certificate"),
        (write("text.pem", "a text\nand another\n"), "it holds no certificate"),
        (write("cut.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n"), "it is damaged"),
        (identity.key.clone(), "it holds a private key"),
    ] {
        let error = store("https://localhost", Some(&file)).err().unwrap();
        assert_eq!(error.kind, StoreErrorKind::Refused, "{error}");
        let line = error.to_string();
        assert!(line.contains("s3.ca_file") && line.contains(file.to_str().unwrap()), "{line}");
        assert!(line.contains(cause) && line.contains("hint: "), "{line}");
        assert_eq!(line.lines().count(), 1, "{line}");
    }
}
