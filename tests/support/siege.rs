//! A server under attack: what must be as it was when the attack is over.

use super::api::{Answer, Request, parts};
use super::bucket::{Bucket, Kind};
use super::connection::Connection;
use super::server::{Server, WEB_KEY};
use super::tls_peer::TlsPeer;
use super::vitals::Vitals;
use super::waiting::{DEADLINE, eventually};
use s3up::limits::S3_IDLE_CONNECTIONS_MAX;
use serde_json::json;
use std::ops::Deref;

/// Where the honest client of a siege stores its file.
const HONEST: &str = "honest/file";

/// A server, and how it was before.
pub(crate) struct Siege {
    server: Server,
    port: u16,
    /// Whoever speaks TLS to it, if it does.
    peer: Option<TlsPeer>,
    before: Vitals,
}

impl Deref for Siege {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

impl Siege {
    /// Of a server over a folder, with `limits` as they stand in the file.
    pub(crate) fn with_limits(limits: &str) -> Self {
        let mut server = Server::new(Kind::Directory);
        limits.clone_into(&mut server.limits);
        // Enough of them to notice what takes one and does not give it back.
        server.workers = 8;
        Self::of(server)
    }

    /// Of a server as it is by default, over a folder.
    pub(crate) fn new() -> Self {
        Self::with_limits("")
    }

    /// Of a server that is not yet started.
    pub(crate) fn of(server: Server) -> Self {
        Self::begin(server, None)
    }

    /// Of a server that speaks TLS.
    pub(crate) fn within_tls(limits: &str) -> Self {
        let mut server = Server::new(Kind::Directory);
        limits.clone_into(&mut server.limits);
        server.workers = 8;
        let peer = TlsPeer::of(&mut server);
        Self::begin(server, Some(peer))
    }

    fn begin(mut server: Server, peer: Option<TlsPeer>) -> Self {
        let port = server.start();
        let before = server.vitals();
        let siege = Self { server, port, peer, before };
        siege.assert_serves_the_honest();
        eventually(DEADLINE, "the honest client has gone", || {
            (siege.server.vitals().threads_named("connection") == 0).then_some(())
        });
        // Now with everything that it takes to serve at all.
        let mut before = siege.server.vitals();
        if let Bucket::S3(_) | Bucket::Proxied(..) = siege.server.bucket {
            // Connections to the store are kept for those who come next.
            before.allow_descriptors(S3_IDLE_CONNECTIONS_MAX);
        }
        Self { before, ..siege }
    }

    /// The port it listens on.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Whoever speaks TLS to it.
    pub(crate) fn peer(&self) -> &TlsPeer {
        self.peer.as_ref().expect("a siege within TLS")
    }

    /// Asks it on a new connection, as an honest client does.
    #[track_caller]
    pub(crate) fn ask(&self, request: &Request) -> Answer {
        match &self.peer {
            None => self.connect().ask(request),
            Some(peer) => peer.connect(self.port).ask(request),
        }
    }

    /// A new connection to it, without TLS.
    pub(crate) fn connect(&self) -> Connection {
        Connection::to(self.port)
    }

    /// How it was before the attack.
    pub(crate) fn before(&self) -> &Vitals {
        &self.before
    }

    /// Says `bytes` on a new connection, and checks the refusal in every letter: status, JSON, the
    /// line in the access log, which begins with `who`, and that the connection ends in order.
    #[track_caller]
    pub(crate) fn assert_refused(&self, bytes: &[u8], who: &str, refusal: Refusal<'_>) {
        let seen = self.server.daemon().count(&refusal.note());
        let mut connection = self.connect();
        connection.say(bytes);
        let answer = connection.answer();
        refusal.assert_is(&answer);
        assert_eq!(answer.header("Connection"), Some("close"));
        connection.assert_ended();
        self.assert_logged(seen + 1, who, refusal);
    }

    /// Waits for the `times`th line of the access log with this refusal.
    #[track_caller]
    pub(crate) fn assert_logged(&self, times: usize, who: &str, refusal: Refusal<'_>) {
        let line = self.server.daemon().wait_for_times(times, &refusal.note());
        let expected = format!("] 127.0.0.1 {who} {} ", refusal.status);
        assert!(line.contains(&expected), "{expected:?} is not in {line:?}");
    }

    /// Checks that the attack has done nothing: the same process serves the honest, holds nothing
    /// more than before, and has met no defect of its own.
    #[track_caller]
    pub(crate) fn assert_unharmed(&self) {
        self.assert_unharmed_but_for(&[]);
    }

    /// As [`Self::assert_unharmed`], but what the log says loudly may be one of `known`.
    #[track_caller]
    pub(crate) fn assert_unharmed_but_for(&self, known: &[&str]) {
        // Before and after: the honest must find room, and cost nothing that stays.
        self.before.assert_back();
        self.assert_serves_the_honest();
        self.before.assert_back();
        for line in self.server.log().lines() {
            let loud = ["ERROR", "WARN", "panicked"].iter().any(|word| line.contains(word));
            assert!(!loud || known.iter().any(|known| line.contains(known)), "{line}");
        }
    }

    /// Checks that a new connection is served.
    #[track_caller]
    pub(crate) fn assert_serves_the_honest(&self) {
        let health = self.ask(&Request::new("GET", "/health"));
        assert_eq!((health.status, &health.json()["status"]), (200, &json!("ok")));
        let content = fastrand::u64(..).to_string();
        let upload = Request::upload(&parts(HONEST, content.as_bytes())).key(WEB_KEY);
        let answer = self.ask(&upload);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let stored = self.server.bucket.get(&format!("backups/web/{HONEST}")).unwrap();
        assert_eq!(stored, content.as_bytes());
    }
}

/// How something is refused.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refusal<'r> {
    pub(crate) status: u16,
    pub(crate) code: &'r str,
    pub(crate) message: &'r str,
}

impl Refusal<'_> {
    /// Checks an answer in every letter.
    #[track_caller]
    pub(crate) fn assert_is(&self, answer: &Answer) {
        let Self { status, code, message } = self;
        answer.assert_error(*status, code);
        let expected = json!({"success": false, "error": code, "message": message});
        assert_eq!(answer.json(), expected);
    }

    /// What the access log says of it, from the time it took on.
    pub(crate) fn note(&self) -> String {
        format!(" s {}: {}", self.code, self.message)
    }
}
