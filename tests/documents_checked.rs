//! Every configuration that a document shows is taken by `check`: of the README, those in its lines for a
//! shell, too, and the examples beside the units.
//!
//! What they name is there: each absolute path lies below a folder of the test's own, the bucket and the server
//! are those of the test.

use crate::programs::{Outcome, run_with};
use crate::support::bucket::{self, Bucket, Kind};
use crate::support::certificates::{Authority, Identity};
use crate::support::daemon::{CLIENT, Daemon, SERVER};
use crate::support::s3_server::{BUCKET, REGION};
use crate::support::server::{WEB_KEY, free_port, listening_port};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use tempfile::TempDir;

const README: &str = include_str!("../README.md");
const CLIENT_EXAMPLE: &str = include_str!("../packaging/client.example.yaml");
const SERVER_EXAMPLE: &str = include_str!("../packaging/server.example.yaml");

/// All of README's configurations: blocks of YAML, and files that its lines for a shell write.
fn configurations() -> Vec<String> {
    let mut found = vec![];
    for block in README.split("\n```").skip(1).step_by(2) {
        let (kind, text) = block.split_once('\n').expect("a block has a first line");
        if kind == "yaml" {
            found.push(text.to_owned());
        }
        if kind.starts_with("sh") {
            let files = text.split(".yaml <<").skip(1).map(|file| {
                let (_, file) = file.split_once('\n').expect("lines follow");
                file.split_once("\nEOF").expect("they end").0.replace("\\$", "$") + "\n"
            });
            found.extend(files);
        }
    }
    found
}

/// Where the documents' folders, files and servers really are.
struct Place {
    root: TempDir,
    bucket: Bucket,
    authority: Authority,
    identity: Identity,
    port: u16,
}

impl Place {
    fn new() -> Self {
        let root = TempDir::new().unwrap();
        let below = |path: &str| root.path().join(path);
        for folder in [
            "etc/s3up/tls",
            "path/to",
            "usr/local/bin",
            "var/lib/s3up-server",
            "var/lib/s3up",
            "var/www/webapp/uploads",
            "var/www/webapp/documents",
            "try/store",
            "try/uploads",
        ] {
            fs::create_dir_all(below(folder)).unwrap();
        }
        let authority = Authority::new(root.path(), "everybody's");
        let identity = authority.issue(root.path(), &["127.0.0.1"]);
        for (certificate, key) in [
            ("etc/s3up/cert.pem", "etc/s3up/key.pem"),
            ("etc/s3up/tls/fullchain.pem", "etc/s3up/tls/privkey.pem"),
            ("try/cert.pem", "try/key.pem"),
        ] {
            fs::copy(&identity.cert, below(certificate)).unwrap();
            fs::copy(&identity.key, below(key)).unwrap();
        }
        let [(_, id), (_, secret)] = bucket::environment();
        for (name, text) in
            [("s3-access-key-id", id), ("s3-secret-access-key", secret), ("client.key", WEB_KEY)]
        {
            fs::write(below("etc/s3up").join(name), format!("{text}\n")).unwrap();
        }
        let alert = below("usr/local/bin/s3up-alert");
        fs::write(&alert, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&alert, fs::Permissions::from_mode(0o755)).unwrap();
        let bucket = Bucket::new(Kind::S3, root.path());
        Self { bucket, authority, identity, port: free_port(), root }
    }

    /// The configuration with this test's places, in a file of this name.
    fn write(&self, name: &str, yaml: &str) -> String {
        let Bucket::S3(s3) = &self.bucket else { panic!("an S3 server") };
        let root = self.root.path().to_str().unwrap();
        let try_folder = format!("{root}/try");
        let mut yaml = yaml.to_owned();
        for (from, to) in [
            ("endpoint: \"\"", format!("endpoint: \"{}\"", s3.endpoint()).as_str()),
            ("endpoint: \"$ENDPOINT\"", &format!("endpoint: \"{}\"", s3.endpoint())),
            ("us-east-1", REGION),
            ("$REGION", REGION),
            ("mycompany-backups", BUCKET),
            ("$BUCKET", BUCKET),
            ("https://backup.mycompany.com:8080", &format!("https://127.0.0.1:{}", self.port)),
            ("https://backup.example.com:8080", &format!("https://127.0.0.1:{}", self.port)),
            ("https://$NAME:8080", &format!("https://127.0.0.1:{}", self.port)),
            ("https://localhost:8080", &format!("https://127.0.0.1:{}", self.port)),
            ("$DIGEST", &"0".repeat(64)),
            ("$PIN", &self.identity.sha256()),
            ("$KEY", WEB_KEY),
            ("$TRY", &try_folder),
            (":-/etc/", &format!(":-{root}/etc/")),
            ("\"/", &format!("\"{root}/")),
        ] {
            yaml = yaml.replace(from, to);
        }
        let file = self.root.path().join(name);
        fs::write(&file, yaml).unwrap();
        file.to_str().unwrap().to_owned()
    }

    fn environment(&self) -> Vec<(&'static str, &str)> {
        let [id, secret] = bucket::environment();
        let trusted = self.authority.cert.to_str().unwrap();
        vec![
            id,
            secret,
            ("S3UP_API_KEY", WEB_KEY),
            ("ALERT_WEBHOOK", "https://alerts.example.com/secret"),
            ("SSL_CERT_FILE", trusted),
        ]
    }

    #[track_caller]
    fn check(&self, program: &'static str, file: &str) {
        let Outcome { code, stdout, stderr } =
            run_with(program, &["check", "-c", file], &self.environment());
        let yaml = fs::read_to_string(file).unwrap();
        assert_eq!(code, Some(0), "{yaml}\n{stdout}{stderr}");
        assert!(!stdout.contains("FAILED"), "{stdout}");
    }
}

#[test]
fn check_takes_every_configuration_that_the_documents_show() {
    let place = Place::new();
    let (mut for_servers, mut for_clients, mut parts) = (vec![], vec![], vec![]);
    for yaml in configurations() {
        match () {
            () if yaml.contains("\nclients:") => for_servers.push(yaml),
            () if yaml.contains("\nwatches:") => for_clients.push(yaml),
            () => parts.push(yaml),
        }
    }
    assert_eq!((for_servers.len(), for_clients.len(), parts.len()), (3, 3, 1), "of the README");
    assert!(parts[0].starts_with("reports:"), "{parts:?}");
    let whole = for_servers.iter().find(|yaml| yaml.contains("\ndatabase:")).unwrap();
    for_servers.push(format!("{whole}{}", parts[0]));
    for_servers.push(SERVER_EXAMPLE.to_owned());
    for_clients.push(CLIENT_EXAMPLE.to_owned());
    for (number, yaml) in for_servers.iter().enumerate() {
        place.check(SERVER, &place.write(&format!("server-{number}.yaml"), yaml));
    }

    let server = format!(
        "server: {{host: 127.0.0.1, port: {}, tls: {{enabled: true, cert_file: {:?}, key_file: {:?}}}}}\n\
         directory: {{path: {:?}}}\nclients: [{{name: web, api_key: {WEB_KEY}}}]\n",
        place.port,
        place.identity.cert,
        place.identity.key,
        place.root.path().join("try/store")
    );
    let file = place.root.path().join("server.yaml");
    fs::write(&file, server).unwrap();
    let running = Daemon::start(SERVER, &[Path::new("-c"), &file], &[]);
    listening_port(&running);
    for (number, yaml) in for_clients.iter().enumerate() {
        place.check(CLIENT, &place.write(&format!("client-{number}.yaml"), yaml));
    }
}
