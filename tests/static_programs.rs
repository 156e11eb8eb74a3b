//! The programs as they ship: static, in a root that holds nothing but them and their configurations.
//!
//! Built with the feature `static`; the variable `S3UP_TEST_PROGRAMS` names the folder they are in.

use crate::support::bucket::{self, Bucket, Kind, PREFIX};
use crate::support::content;
use crate::support::daemon::{Daemon, other_build};
use crate::support::server::{WEB_KEY, free_port, listening_port};
use crate::support::tools;
use std::path::Path;
use tempfile::TempDir;

const CLIENT: &str = "/s3up";
const SERVER: &str = "/s3up-server";

/// A root with the two programs and two configurations, the client's folders, and an S3 server outside.
struct Root {
    folder: TempDir,
    bucket: Bucket,
}

impl Root {
    fn new() -> Self {
        let (folder, elsewhere) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let bucket = Bucket::new(Kind::S3, elsewhere.path());
        let programs = other_build().expect("S3UP_TEST_PROGRAMS names the static programs' folder");
        for program in [CLIENT, SERVER] {
            let name = program.trim_start_matches('/');
            std::fs::copy(programs.join(name), folder.path().join(name)).unwrap();
        }
        let port = free_port();
        let server = format!(
            "server: {{host: 127.0.0.1, port: {port}}}\n{}clients:\n  - name: web\n    api_key: {WEB_KEY}\n",
            bucket.yaml()
        );
        let client = format!(
            "server: {{url: \"http://127.0.0.1:{port}\", api_key: {WEB_KEY}}}\n\
             database: {{path: /client.db}}\nwatches: [{{local_path: /files, remote_prefix: files/}}]\n\
             stability: {{debounce_seconds: 1}}\n"
        );
        std::fs::write(folder.path().join("server.yaml"), server).unwrap();
        std::fs::write(folder.path().join("client.yaml"), client).unwrap();
        std::fs::create_dir(folder.path().join("files")).unwrap();
        Self { folder, bucket }
    }

    fn start(&self, program: &'static str, arguments: &[&str]) -> Daemon {
        let wrapper = tools::with_root(self.folder.path());
        Daemon::start_within(&wrapper, program, arguments, &bucket::environment())
    }

    /// Runs a command to its end, which must be a good one, and returns what it prints.
    #[track_caller]
    fn run(&self, program: &'static str, arguments: &[&str]) -> String {
        let mut daemon = self.start(program, arguments);
        assert!(
            daemon.ended().success(),
            "{program} {arguments:?}: {}{}",
            daemon.stdout(),
            daemon.log()
        );
        daemon.stdout()
    }
}

#[test]
fn from_a_root_that_holds_nothing_else_the_pair_moves_a_file_to_s3() {
    let root = Root::new();
    for program in [CLIENT, SERVER] {
        assert!(root.run(program, &["--version"]).starts_with(&program[1..]));
    }
    let checked = root.run(SERVER, &["check", "-c", "/server.yaml"]);
    assert!(checked.contains("write          ok"), "{checked}");

    let mut server = root.start(SERVER, &["-c", "/server.yaml"]);
    listening_port(&server);
    let checked = root.run(CLIENT, &["check", "-c", "/client.yaml"]);
    assert!(checked.contains("the server accepts it"), "{checked}");

    let mut client = root.start(CLIENT, &["-c", "/client.yaml"]);
    client.wait_for("scan (start)");
    let sizes = [("small.bin", 5000), ("large.bin", 20 * 1024 * 1024)];
    for (name, size) in sizes {
        std::fs::write(root.folder.path().join("files").join(name), content(7, size)).unwrap();
    }
    for (name, size) in sizes {
        client.wait_for(&format!("files/{name}"));
        let stored = root.bucket.get(&format!("{PREFIX}/web/files/{name}"));
        assert!(stored == Some(content(7, size)), "{name}\n{}{}", client.log(), server.log());
    }
    root.run(CLIENT, &["status", "-c", "/client.yaml"]);
    for daemon in [&mut client, &mut server] {
        daemon.signal(rustix::process::Signal::TERM);
        assert!(daemon.ended().success(), "{}", daemon.log());
    }
}

#[test]
fn a_static_program_names_no_folder_of_the_machine_that_built_it() {
    let programs = other_build().expect("S3UP_TEST_PROGRAMS names the static programs' folder");
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let home = std::env::var("HOME").unwrap();
    for name in ["s3up", "s3up-server"] {
        let bytes = std::fs::read(programs.join(name)).unwrap();
        for folder in [here.to_str().unwrap(), &format!("{home}/.cargo")] {
            assert!(
                memchr::memmem::find(&bytes, folder.as_bytes()).is_none(),
                "{folder} in {name}"
            );
        }
    }
}
