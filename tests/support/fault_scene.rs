//! A server whose S3 has bad days, and what must hold for every file whatever happened.

use super::api::{Answer, Part, Request};
use super::bucket::{Bucket, Kind, PREFIX};
use super::connection::Connection;
use super::fault::{Fault, WORDS_OF_S3};
use super::fault_proxy::FaultProxy;
use super::s3_message::Stage;
use super::s3_server::{ACCESS_KEY_ID, BUCKET};
use super::server::{EU_KEY, Server, WEB_KEY};
use super::siege::Siege;
use super::waiting::{DEADLINE, eventually};
use s3up::digest::Digest;
use s3up::limits::PART_BYTES;
use s3up::wire::{Existence, Mtime};
use serde_json::json;

/// Stands in a form for the file's content, which is sent from where it lies.
const HERE: &[u8] = b"-the content comes here-";

/// A file as a client has it.
#[derive(Clone, Copy)]
pub(crate) struct Sent<'f> {
    pub(crate) client: Client,
    pub(crate) path: &'f str,
    pub(crate) content: &'f [u8],
    pub(crate) sha256: Digest,
    pub(crate) mtime: Mtime,
}

/// Who sends a file.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Client {
    Web,
    Eu,
}

/// A server, the proxy before its S3, and how it was before.
pub(crate) struct FaultScene {
    siege: Siege,
}

impl<'f> Sent<'f> {
    /// By the client `web`; another `version`, another time.
    pub(crate) fn new(path: &'f str, content: &'f [u8], version: i64) -> Self {
        let mtime = Mtime::from_nanos(version * 1_000_000_001);
        Self { client: Client::Web, path, content, sha256: Digest::of(content), mtime }
    }

    /// Its key in the bucket.
    pub(crate) fn key(&self) -> String {
        let client = match self.client {
            Client::Web => "web",
            Client::Eu => "web-eu",
        };
        format!("{PREFIX}/{client}/{}", self.path)
    }

    fn api_key(&self) -> &'static str {
        match self.client {
            Client::Web => WEB_KEY,
            Client::Eu => EU_KEY,
        }
    }

    /// What stands before and after its content in the request that sends it, as our client does.
    fn request(&self) -> [Vec<u8>; 2] {
        let (mtime, sha256) = (self.mtime.to_string(), self.sha256.to_string());
        let sha256 = Part::Field("sha256", &sha256);
        let mut parts = vec![Part::Field("path", self.path), Part::Field("mtime", &mtime)];
        let early = self.content.len() > PART_BYTES;
        parts.push(Part::File(HERE));
        parts.insert(if early { 2 } else { 3 }, sha256);
        let request = Request::upload(&parts).key(self.api_key());
        let length = request.body.len() - HERE.len() + self.content.len();
        let request =
            request.without("Content-Length").header("Content-Length", &length.to_string());
        let here = memchr::memmem::find(&request.body, HERE).unwrap();
        let (before, after) = (&request.body[..here], &request.body[here + HERE.len()..]);
        [[request.head().as_bytes(), before].concat(), after.to_vec()]
    }
}

impl FaultScene {
    /// One where everything passes as yet.
    pub(crate) fn new() -> Self {
        let mut server = Server::new(Kind::Directory);
        server.bucket = Bucket::proxied();
        Self { siege: Siege::of(server) }
    }

    /// The proxy before S3.
    pub(crate) fn proxy(&self) -> &FaultProxy {
        self.siege.bucket.proxy()
    }

    /// Sends a request of the client `web` on a new connection.
    pub(crate) fn connect_and_say(&self, request: &Request) -> Connection {
        let mut connection = self.siege.connect();
        connection.say(request.clone().key(WEB_KEY).bytes());
        connection
    }

    /// Uploads a file.
    #[track_caller]
    pub(crate) fn upload(&self, file: &Sent<'_>) -> Answer {
        let answer = self.leaving_nothing(file, || {
            let mut connection = self.siege.connect();
            let [before, after] = file.request();
            for piece in [&before, file.content, &after] {
                // Who has refused it need not take it.
                let _ = connection.try_say(piece);
            }
            connection.answer()
        });
        if answer.status == 503 {
            answer.assert_error(503, "unavailable");
            assert!(answer.header("Retry-After").unwrap().parse::<u32>().unwrap() > 0);
        }
        answer
    }

    /// Uploads a file with a digest that it does not have, which is noticed at its end.
    #[track_caller]
    pub(crate) fn upload_damaged(&self, file: &Sent<'_>) -> Answer {
        let wrong = Digest::of(b"something else").to_string();
        let path = Part::Field("path", file.path);
        let parts = [path, Part::File(file.content), Part::Field("sha256", &wrong)];
        let request = Request::upload(&parts).key(file.api_key());
        self.leaving_nothing(file, || self.siege.ask(&request))
    }

    /// Makes an attempt to upload a file, and checks that S3 keeps no more uploads in parts of it than
    /// before, or that it could not be helped: nobody could know of it, or nobody could be told.
    #[track_caller]
    fn leaving_nothing(&self, file: &Sent<'_>, attempt: impl FnOnce() -> Answer) -> Answer {
        let (proxy, key) = (self.proxy(), file.key());
        let (begun, fired) = (proxy.begun(&key), proxy.fired(&key).len());
        let absences = proxy.absences();
        let answer = attempt();
        self.assert_says_nothing_of_s3(&answer);
        eventually(DEADLINE, "the upload in parts is given up", || {
            let hidden = proxy.fired(&key)[fired..].iter().any(hides_an_upload);
            let absent = proxy.absences() != absences || absences.is_multiple_of(2);
            (hidden || absent || proxy.begun(&key) <= begun).then_some(())
        });
        answer
    }

    #[track_caller]
    pub(crate) fn assert_says_nothing_of_s3(&self, answer: &Answer) {
        let text = answer.text();
        let text = text.split("\"s3_key\"").next().unwrap();
        for inside in [WORDS_OF_S3, BUCKET, ACCESS_KEY_ID, "127.0.0.1", "Denied", "NoSuch", "Slow"]
        {
            assert!(!text.contains(inside), "{inside} in {text}");
        }
    }

    /// Checks that a file is in the bucket byte for byte, and known with all that belongs to it.
    #[track_caller]
    pub(crate) fn assert_holds(&self, file: &Sent<'_>) {
        assert!(self.holds_content(file), "{} is not what was sent", file.key());
        let target = format!("/exists?path={}", file.path);
        let answer = self.siege.ask(&Request::new("GET", &target).key(file.api_key()));
        assert_eq!(answer.status, 200, "{}", answer.text());
        let expected = Existence {
            exists: true,
            size: Some(file.content.len() as u64),
            sha256: Some(file.sha256),
            mtime: Some(file.mtime),
        };
        assert_eq!(answer.json(), json!(expected), "{}", file.key());
    }

    /// Whether the bucket has this content at a file's place.
    pub(crate) fn holds_content(&self, file: &Sent<'_>) -> bool {
        self.siege.bucket.get(&file.key()).is_some_and(|stored| stored == file.content)
    }

    /// All keys of the bucket, sorted.
    pub(crate) fn keys(&self) -> Vec<String> {
        self.siege.bucket.keys()
    }

    /// Makes room: many large files fill a disk.
    pub(crate) fn clear_away(&self, file: &Sent<'_>) {
        std::fs::remove_file(self.siege.bucket.root().join(file.key())).unwrap();
    }

    /// The loud lines of the log that name this key, of which there are at least so many.
    #[track_caller]
    pub(crate) fn loud_lines(&self, key: &str, least: usize) -> Vec<String> {
        eventually(DEADLINE, "the failure is in the log", || {
            let log = self.siege.log();
            let loud = |line: &&str| line.contains(" ERROR]") && line.contains(key);
            let lines: Vec<String> = log.lines().filter(loud).map(str::to_owned).collect();
            (lines.len() >= least).then_some(lines)
        })
    }

    /// Checks that the server is as it was before, that it keeps no connection it does not need, and
    /// that S3 keeps nothing but uploads that could not be given up.
    #[track_caller]
    pub(crate) fn assert_at_rest(&self) {
        let proxy = self.proxy();
        proxy.come_back();
        proxy.assert_at_rest();
        self.siege.assert_unharmed_but_for(&["cannot ", "the store broke off a download"]);
        proxy.assert_at_rest();
        if !proxy.keeps_uploads() {
            eventually(DEADLINE, "S3 keeps nothing of what was given up", || {
                self.siege.bucket.leftovers().is_empty().then_some(())
            });
        }
    }
}

/// Whether after this an upload in parts may stay until it is swept away.
fn hides_an_upload((stage, fault): &(Stage, Fault)) -> bool {
    match stage {
        Stage::Abort => true,
        Stage::Begin => fault.reaches_s3(),
        _ => false,
    }
}
