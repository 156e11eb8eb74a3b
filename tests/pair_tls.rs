//! The two programs with TLS between them, and certificates that change while they run.

use crate::support::bucket::Kind;
use crate::support::certificates::{Authority, Identity};
use crate::support::client::Client;
use crate::support::content;
use crate::support::pair::Pair;
use crate::support::server::Server;
use rustix::process::Signal;
use std::path::{Path, PathBuf};

/// A pair whose server shows what lies at two paths that stay the same.
struct Encrypted {
    pair: Pair,
    cert: PathBuf,
    key: PathBuf,
}

impl Encrypted {
    /// Starts the server with `identity`. The client knows it by `trust`, and does not run yet.
    fn new(identity: &Identity, trust: String) -> Self {
        let (mut client, mut server) = (Client::new(), Server::new(Kind::Directory));
        let (cert, key) = (server.folder().join("cert.pem"), server.folder().join("key.pem"));
        server.tls = format!("{{ enabled: true, cert_file: {cert:?}, key_file: {key:?} }}");
        place(identity, &cert, &key);
        client.url = format!("https://127.0.0.1:{}", server.start());
        client.trust = trust;
        Self { pair: Pair { client, server }, cert, key }
    }

    /// Puts another certificate into the place of the first, and waits until it is shown.
    fn rotate(&self, identity: &Identity) {
        place(identity, &self.cert, &self.key);
        self.pair.server.daemon().signal(Signal::HUP);
        let shown = format!("the certificate's SHA-256 is {}", identity.sha256());
        self.pair.server.daemon().wait_for(&shown);
    }
}

fn place(identity: &Identity, cert: &Path, key: &Path) {
    std::fs::copy(&identity.cert, cert).unwrap();
    std::fs::copy(&identity.key, key).unwrap();
}

#[test]
fn files_of_every_size_arrive_over_tls_and_a_renewed_certificate_is_shown_without_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path(), "our CA");
    let issue = || authority.issue(folder.path(), &["127.0.0.1"]);
    let trust = format!("ca_file: {:?}", authority.cert);
    let mut encrypted = Encrypted::new(&issue(), trust);
    let pair = &mut encrypted.pair;
    pair.client.start();
    for (name, size) in
        [("empty", 0), ("small", 4096), ("asks-first", 300_000), ("in-parts", 9 << 20)]
    {
        pair.write(name, &content(1, size));
    }
    pair.assert_all_arrive();

    encrypted.rotate(&issue());
    let pair = &mut encrypted.pair;
    // By a connection that was kept, and by new ones.
    for number in 0..8 {
        pair.write(format!("after/{number}"), &content(number, 300_000));
    }
    pair.assert_all_arrive();
    pair.client.stop();
    pair.client.start();
    pair.write("anew", b"by a new connection");
    pair.assert_all_arrive();
    pair.client.assert_nothing_to_complain();
    assert_eq!(pair.stop().map(|status| status.code()), [Some(0); 2]);
}

#[test]
fn the_fingerprint_that_the_server_tells_is_the_one_to_pin() {
    let folder = tempfile::tempdir().unwrap();
    let identity = Identity::self_signed(folder.path(), &["somewhere.else"]);
    let mut encrypted = Encrypted::new(&identity, String::new());
    let pair = &mut encrypted.pair;
    let line = pair.server.daemon().wait_for("the certificate's SHA-256 is ");
    let told = line.rsplit(' ').next().unwrap();
    pair.client.trust = format!("certificate_sha256: \"{told}\"");
    pair.client.start();
    pair.write("a", b"content");
    pair.assert_all_arrive();
    pair.client.assert_nothing_to_complain();
}
