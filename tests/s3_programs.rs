//! The server's program and its way to S3: a private CA, a proxy, and credentials that are found in
//! the environment of its process.

use crate::programs::{Outcome, run};
use crate::support::api::{Request, parts};
use crate::support::certificates::Authority;
use crate::support::connect_proxy::ConnectProxy;
use crate::support::daemon::{Daemon, SERVER};
use crate::support::s3_server::{ACCESS_KEY_ID, BUCKET, REGION, S3Server, SECRET_ACCESS_KEY};
use crate::support::scripted_server::{ScriptedServer, Step, answer};
use crate::support::server::{WEB_KEY, listening_port};
use crate::support::tls_front::TlsFront;
use std::path::PathBuf;
use tempfile::TempDir;

const KEYS: [(&str, &str); 2] =
    [("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID), ("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY)];

/// Nothing is found here, whatever the test's own process has; an empty variable is as good as none.
const NOBODY: [(&str, &str); 8] = [
    ("AWS_ACCESS_KEY_ID", ""),
    ("AWS_SECRET_ACCESS_KEY", ""),
    ("AWS_PROFILE", ""),
    ("AWS_SHARED_CREDENTIALS_FILE", ""),
    ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", ""),
    ("AWS_CONTAINER_CREDENTIALS_FULL_URI", ""),
    ("AWS_EC2_METADATA_DISABLED", "true"),
    ("HOME", "/no/such/home"),
];

struct Scene {
    folder: TempDir,
    s3: S3Server,
}

impl Scene {
    fn new() -> Self {
        Self { folder: TempDir::new().unwrap(), s3: S3Server::start() }
    }

    /// A configuration without keys, and with `rest` in its section `s3`.
    fn configure(&self, endpoint: &str, rest: &str) -> PathBuf {
        let file = self.folder.path().join("server.yaml");
        let text = format!(
            "server: {{port: 0}}\ns3:\n  endpoint: \"{endpoint}\"\n  region: {REGION}\n  bucket: \
             {BUCKET}\n{rest}clients:\n  - {{name: web, api_key: {WEB_KEY}}}\n"
        );
        std::fs::write(&file, text).unwrap();
        file
    }

    fn start(&self, endpoint: &str, rest: &str, environment: &[(&str, &str)]) -> Daemon {
        let file = self.configure(endpoint, rest);
        let environment = [&NOBODY, environment].concat();
        Daemon::start(SERVER, &["-c", file.to_str().unwrap()], &environment)
    }

    /// The server takes a file, which is then in the bucket.
    #[track_caller]
    fn assert_stores(&self, server: &Daemon) {
        let request = Request::upload(&parts("a/b.txt", b"some bytes")).key(WEB_KEY);
        let answer = request.send(listening_port(server));
        assert_eq!(answer.status, 200, "{}\n{}", answer.text(), server.log());
        assert_eq!(self.s3.objects(), ["web/a/b.txt"]);
    }
}

#[test]
fn a_server_with_its_cas_certificate_stores_over_https() {
    let scene = Scene::new();
    let authority = Authority::new(scene.folder.path(), "our CA");
    let identity = authority.issue(scene.folder.path(), &["localhost"]);
    let front = TlsFront::start(scene.s3.port(), &identity);
    let ca_file = format!("  ca_file: {:?}\n", authority.cert);
    let server = scene.start(&front.url("localhost"), &ca_file, &KEYS);
    scene.assert_stores(&server);
    assert!(server.log().contains("the S3 credentials are from the environment"));

    let without = scene.start(&front.url("localhost"), "", &KEYS);
    let line = without.wait_for("the store is not ready");
    assert!(line.contains("UnknownIssuer") && line.contains("in s3.ca_file"), "{line}");
}

#[test]
fn a_ca_file_that_cannot_be_read_ends_the_server_with_one_line() {
    let scene = Scene::new();
    let file = scene.configure("https://localhost", "  ca_file: /no/such/ca.pem\n");
    let Outcome { code, stderr, .. } = run(SERVER, &["-c", file.to_str().unwrap()]);
    assert_eq!(code, Some(1), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    let expected = "cannot use \"s3.ca_file /no/such/ca.pem\": cannot read it: No such file";
    assert!(stderr.contains(expected) && stderr.contains("hint: "), "{stderr}");
}

#[test]
fn no_secret_of_the_way_to_s3_is_in_the_log_however_much_it_says() {
    let scene = Scene::new();
    let proxy = ConnectProxy::start(scene.s3.port());
    let url = proxy.url_with("web:the-proxys-password");
    let document = format!(
        "{{\"AccessKeyId\": \"{ACCESS_KEY_ID}\", \"SecretAccessKey\": \"{SECRET_ACCESS_KEY}\", \
         \"Token\": \"the-session-token\", \"Expiration\": \"2099-01-01T00:00:00Z\"}}"
    );
    let service = ScriptedServer::start(vec![Step::Answer(answer(200, &[], &document))]);
    let uri = format!("{}/credentials", service.endpoint());
    let server = scene.start(
        "http://s3.invalid:9000",
        "",
        &[
            ("HTTP_PROXY", &url),
            ("http_proxy", ""),
            ("NO_PROXY", ""),
            ("no_proxy", ""),
            ("RUST_LOG", "trace"),
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &uri),
            ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "the-containers-token"),
        ],
    );
    scene.assert_stores(&server);
    assert_eq!(proxy.asked(), ["CONNECT s3.invalid:9000 HTTP/1.1"]);
    let log = server.log();
    assert!(log.contains(&format!("by the proxy {} (HTTP_PROXY)", proxy.url())), "{log}");
    assert!(log.contains("good until Thu, 01 Jan 2099 00:00:00 GMT"), "{log}");
    for secret in [
        "the-proxys-password",
        "d2ViOnRoZS1wcm94eXMtcGFzc3dvcmQ=", // The same in base64, as it is sent.
        SECRET_ACCESS_KEY,
        "the-session-token",
        "the-containers-token",
    ] {
        assert!(!log.contains(secret), "{secret} is in the log:\n{log}");
    }
    assert_eq!(service.asked().len(), 1, "asked directly, and once");
}

#[test]
fn a_server_without_credentials_starts_and_says_where_it_looked() {
    let scene = Scene::new();
    let server = scene.start(&scene.s3.endpoint(), "", &[]);
    let line = server.wait_for("the store is not ready");
    for part in [
        "there are no S3 credentials",
        "AWS_ACCESS_KEY_ID is not set",
        "/no/such/home/.aws/credentials",
        "AWS_EC2_METADATA_DISABLED is true",
        "hint: set s3.access_key_id",
    ] {
        assert!(line.contains(part), "{line}");
    }
    let request = Request::upload(&parts("a", b"b")).key(WEB_KEY);
    request.send(listening_port(&server)).assert_error(502, "store_refused");
}
