//! The server's HTTP interface as people use it: by `curl`, on any machine that has it.

use crate::support::bucket::Kind;
use crate::support::content;
use crate::support::server::{Server, WEB_KEY};
use std::path::PathBuf;
use std::process::Command;

/// A server, and a folder with a file to send.
struct Desk {
    server: Server,
    file: PathBuf,
    content: Vec<u8>,
}

impl Desk {
    /// `None` on a machine without `curl`.
    fn set_up(length: usize) -> Option<Self> {
        Command::new("curl").arg("--version").output().ok()?;
        let server = Server::started(Kind::Directory);
        let file = server.folder().join("a file to send.bin");
        let content = content(length as u64, length);
        std::fs::write(&file, &content).unwrap();
        Some(Self { server, file, content })
    }

    /// Runs `curl` with our key and returns what it prints, and the status it got.
    #[track_caller]
    fn curl(&self, route: &str, arguments: &[&str]) -> (Vec<u8>, String) {
        let answer = self.server.folder().join("answer");
        let output = Command::new("curl")
            .args(["--silent", "--show-error", "--max-time", "30", "--noproxy", "*"])
            .args(["-H", &format!("Authorization: Bearer {WEB_KEY}")])
            .args(["-w", "%{http_code}", "-o", answer.to_str().unwrap()])
            .args(arguments)
            .arg(format!("http://127.0.0.1:{}{route}", self.server.listening_port()))
            .output()
            .unwrap();
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "curl: {complaint}");
        (std::fs::read(answer).unwrap(), String::from_utf8(output.stdout).unwrap())
    }

    #[track_caller]
    fn assert_uploads(&self, arguments: &[&str], path: &str) {
        let (answer, status) = self.curl("/upload", arguments);
        assert_eq!(status, "200", "{}", String::from_utf8_lossy(&answer));
        let stored = self.server.bucket.get(&format!("backups/web/{path}"));
        assert!(stored.as_ref() == Some(&self.content), "{path} is stored byte for byte");
    }

    #[track_caller]
    fn assert_round_trip(&self) {
        let file = format!("file=@{}", self.file.display());
        self.assert_uploads(&["-F", "path=first.bin", "-F", &file], "first.bin");
        if self.content.len() <= s3up::limits::PART_BYTES {
            self.assert_uploads(&["-F", &file, "-F", "path=last.bin"], "last.bin");
        }
        let odd = "ordner/größe + 100% #1?&=.bin";
        self.assert_uploads(&["-F", &format!("path={odd}"), "-F", &file], odd);
        let query = format!("path={odd}");
        let (answer, status) = self.curl("/download", &["-G", "--data-urlencode", &query]);
        assert_eq!(status, "200", "{}", String::from_utf8_lossy(&answer));
        assert!(answer == self.content, "the download is other bytes");
        let (answer, _) = self.curl("/exists", &["-G", "--data-urlencode", &query]);
        assert!(answer.starts_with(b"{\"exists\":true,"), "{}", String::from_utf8_lossy(&answer));
    }
}

#[test]
fn curl_uploads_and_downloads_a_small_file_with_its_path_before_or_after() {
    let Some(desk) = Desk::set_up(100) else { return };
    desk.assert_round_trip();
}

#[test]
fn curl_uploads_and_downloads_a_file_large_enough_to_ask_first() {
    let Some(desk) = Desk::set_up(3 * 1024 * 1024) else { return };
    desk.assert_round_trip();
}

#[test]
fn curl_uploads_and_downloads_a_file_that_is_stored_in_parts() {
    let Some(desk) = Desk::set_up(20 * 1024 * 1024) else { return };
    desk.assert_round_trip();
}
