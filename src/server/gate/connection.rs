//! One connection, from its handshake to its end.
//!
//! Runs on a thread of its own. It owns the stream and what was read of the next head. One request
//! is served at a time; each has its line in the log, refused ones with the reason.

use super::access_log::Line;
use super::admission::{Refused, admit};
use super::census::ConnectionId;
use super::exchange::{Ending, Exchange, Next};
use super::head::{Arrival, Head, Parsed};
use super::response;
use super::stream::{HandshakeError, Stream, send};
use super::throttle::Verdict;
use super::{Gate, forwarded};
use crate::clock;
use crate::limits::HEAD_BYTES_MAX;
use crate::limits::gate::{LINGER, REQUESTS_PER_CONNECTION_MAX};
use crate::server::admitted::Caller;
use crate::server::poll::For;
use crate::server::reply::{ApiError, Reply};
use crate::server::route::{Route, allowed_methods, route};
use crate::wire::ErrorCode;
use std::io;
use std::net::{IpAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Room for a head, grown by this much at a time: most fit at once.
const HEAD_ROOM_BYTES: usize = 4096;

/// Somebody at the door.
pub(super) struct Visitor {
    /// Its number in the census.
    pub(super) id: ConnectionId,
    /// Its address, as the socket has it.
    pub(super) address: IpAddr,
    pub(super) socket: Arc<TcpStream>,
    /// The house is full: it is told so, and nothing but whether the server lives.
    pub(super) vestibule: bool,
}

/// A connection that is served.
pub(super) struct Connection<'g> {
    pub(super) gate: &'g Gate,
    pub(super) visitor: Visitor,
    pub(super) stream: Stream,
    /// What was read and belongs to no request yet.
    pub(super) received: Vec<u8>,
    served: u32,
}

/// What came instead of a head.
enum NoHead {
    /// Nothing: the peer has gone, or was shown out.
    Gone,
    /// Something that is answered, before the connection is closed.
    Refused(ApiError),
}

/// Serves a connection until one side ends it.
pub(super) fn serve(gate: &Gate, visitor: Visitor) {
    if gate.stop.is_raised() {
        // It came while the door was being closed, and may have missed that it is dismissed.
        return;
    }
    let tls = gate.certificates.as_ref().map(|certificates| certificates.current());
    let mut stream = match Stream::new(Arc::clone(&visitor.socket), tls) {
        Ok(stream) => stream,
        Err(error) => return log::warn!("{}: {error}", visitor.address),
    };
    match stream.shake_hands(clock::monotonic() + gate.limits.head) {
        Ok(()) => {}
        Err(HandshakeError::Plain) => return speak_plainly(gate, stream, visitor.address),
        Err(HandshakeError::Io(error)) => {
            return log::debug!("{}: no TLS handshake: {error}", visitor.address);
        }
    }
    Connection { gate, visitor, stream, received: Vec::new(), served: 0 }.run();
}

/// Tells a peer that does not know that this port speaks TLS.
fn speak_plainly(gate: &Gate, mut stream: Stream, address: IpAddr) {
    let error = ApiError::new(ErrorCode::BadRequest, "this port speaks TLS: use https://");
    stream.write_plain(&response::refusal(&error, false, false));
    let counts = gate.activity.counts();
    counts.refused(None, error.code);
    let started = clock::monotonic();
    let line = Line { counts, peer: address, client: None, request: None, started };
    line.write(Some(error.code.status()), &error.note());
    stream.linger(clock::monotonic() + LINGER);
}

/// What a browser asks without having shown a key.
pub(super) struct Asked<'a> {
    pub(super) head: &'a Head,
    pub(super) route: &'a Route,
    /// Length of the body, if it has one.
    pub(super) length: u64,
    /// Whether another request may follow.
    pub(super) keep_alive: bool,
}

impl Connection<'_> {
    fn run(mut self) {
        loop {
            let next = match self.next_head() {
                Ok((head, started)) => self.answer(&head, started),
                Err(NoHead::Gone) => return,
                Err(NoHead::Refused(error)) => self.refuse_bytes(&error),
            };
            match next {
                Next::KeepAlive => self.stream.relax(),
                Next::Linger => return self.stream.linger(clock::monotonic() + LINGER),
                Next::Cut => return self.stream.cut(),
            }
        }
    }

    /// Waits for the next request and reads its head.
    fn next_head(&mut self) -> Result<(Head, Instant), NoHead> {
        // The first one is due at once; between two the peer may take its time.
        let patience = if self.served == 0 { self.gate.limits.head } else { self.gate.limits.idle };
        let mut deadline = clock::monotonic() + patience;
        let mut started = None;
        let mut arrival = Arrival::default();
        loop {
            if !self.received.is_empty() {
                let began = *started.get_or_insert_with(|| {
                    let now = clock::monotonic();
                    deadline = now + self.gate.limits.head;
                    now
                });
                match arrival.parse(&self.received) {
                    Parsed::Incomplete => {}
                    Parsed::Head { head, length } => {
                        self.received.drain(..length);
                        self.served += 1;
                        return Ok((head, began));
                    }
                    Parsed::Refused(refusal) => return Err(NoHead::Refused(refusal.into())),
                }
            }
            self.receive(deadline).map_err(|error| match error.kind() {
                io::ErrorKind::TimedOut if started.is_some() => {
                    let seconds = self.gate.limits.head.as_secs();
                    let message = format!("the head was not complete within {seconds} s");
                    NoHead::Refused(ApiError::new(ErrorCode::BadRequest, message))
                }
                _ => NoHead::Gone,
            })?;
        }
    }

    /// Adds what comes next to what was received.
    fn receive(&mut self, deadline: Instant) -> io::Result<()> {
        let known = self.received.len();
        // A peer that had its answer just now has hardly sent the next request.
        let mut wait = known == 0 && !self.stream.has_more()?;
        loop {
            if wait {
                if known == 0 {
                    self.received = Vec::new();
                }
                // Not a time out, which would be the peer's fault.
                if self.gate.stop.is_raised() {
                    return Err(io::ErrorKind::ConnectionAborted.into());
                }
                if !self.stream.wait(For::Reading, deadline)? {
                    return Err(io::ErrorKind::TimedOut.into());
                }
            }
            self.received.resize((known + HEAD_ROOM_BYTES).min(HEAD_BYTES_MAX), 0);
            let read = self.stream.read(&mut self.received[known..]);
            self.received.truncate(known + *read.as_ref().unwrap_or(&0));
            match read {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => wait = true,
                Err(error) => return Err(error),
            }
        }
    }

    /// Answers one request, and writes its line.
    fn answer(&mut self, head: &Head, started: Instant) -> Next {
        let gate = self.gate;
        let forwarded_for = head.forwarded_for.as_deref();
        let peer =
            forwarded::client_address(self.visitor.address, forwarded_for, &gate.trusted_proxies);
        let counts = gate.activity.counts();
        let line = Line { counts, peer, client: None, request: Some(head), started };
        let keep_alive = head.keep_alive
            && !self.visitor.vestibule
            && self.served < REQUESTS_PER_CONNECTION_MAX
            && !gate.stop.is_raised();
        let bodiless = head.content_length.is_none_or(|length| length == 0);
        if bodiless && matches!(route(&head.method, &head.target), Ok(Route::Health)) {
            return self.respond(line, Reply::alive(), keep_alive, String::new());
        }
        if self.visitor.vestibule {
            let message = "the server has as many connections as it can; try again later";
            counts.refused(None, ErrorCode::Unavailable);
            return self.refuse(line, &ApiError::new(ErrorCode::Unavailable, message), false);
        }
        let keyring = gate.clients.current();
        // Clients have none, and do not wait for who has.
        let session = head
            .cookies()
            .and_then(|cookies| gate.sessions().find(cookies, &keyring, clock::monotonic()));
        let admitted = match admit(head, &keyring, session, peer) {
            Ok(admitted) => admitted,
            Err(Refused { error, caller }) => {
                let line = Line { client: caller.name(), ..line };
                if error.code == ErrorCode::Unauthorized {
                    return self.refuse_stranger(line, error, keep_alive && bodiless);
                }
                gate.activity.refused_to(&caller, line.word(), error.code);
                // Without the length that is missing, a body may follow none the less.
                let sound = bodiless && error.code != ErrorCode::LengthRequired;
                return self.refuse(line, &error, keep_alive && sound);
            }
        };
        if admitted.is_a_browsers_without_a_key() {
            let length = admitted.length.unwrap_or(0);
            return self
                .answer_browser(line, &Asked { head, route: &admitted.route, length, keep_alive });
        }
        if let Some(client) = admitted.client() {
            gate.activity.seen(&client.name, head.client_version(), clock::unix_seconds());
        }
        let line = Line { client: admitted.caller.name(), ..line };
        // Whoever has no key is never busy: it could stay in the house by not taking its answers.
        if admitted.caller != Caller::Nobody && !self.begin_exchange() {
            line.write(None, "shown out to make room for others");
            return Next::Cut;
        }
        if admitted.route == Route::Metrics {
            let next = self.respond(line, gate.figures(), keep_alive, String::new());
            gate.census().set_busy(self.visitor.id, false);
            return next;
        }
        let exchange = Exchange {
            gate,
            stream: &mut self.stream,
            received: &mut self.received,
            request: &admitted,
            expects_continue: head.expects_continue,
            keep_alive,
        };
        let Ending { status, note, next } = exchange.run();
        gate.census().set_busy(self.visitor.id, false);
        line.write(status, &note);
        next
    }

    /// Notes that a peer with a good key is being served; `false` if it had to make room just now.
    fn begin_exchange(&self) -> bool {
        let mut census = self.gate.census();
        census.prove(self.visitor.id) && census.set_busy(self.visitor.id, true)
    }

    /// Refuses a peer that has no good key: it waits for its answer, the longer the more often it
    /// asks.
    fn refuse_stranger(&mut self, line: Line<'_>, error: ApiError, keep_alive: bool) -> Next {
        match self.fail(&line) {
            Verdict::Answer { .. } => self.refuse(line, &error, keep_alive),
            Verdict::TooMany { retry_after, .. } => {
                let message = "too many requests from this address without a good API key";
                let error = ApiError::new(ErrorCode::TooManyRequests, message);
                let mut reply = Reply::error(&error);
                reply.headers.retain(|(name, _)| *name != "Retry-After");
                let seconds = retry_after.as_secs() + 1;
                reply.headers.push(("Retry-After", seconds.to_string()));
                self.respond(line, reply, false, error.note())
            }
        }
    }

    /// Notes that a peer has shown no good key, and keeps it waiting for as long as it has to.
    pub(super) fn fail(&self, line: &Line<'_>) -> Verdict {
        let verdict = self.gate.throttle().failed(line.peer, clock::monotonic());
        let (Verdict::Answer { delay } | Verdict::TooMany { delay, .. }) = verdict;
        self.keep_waiting(delay);
        let code = match verdict {
            Verdict::Answer { .. } => ErrorCode::Unauthorized,
            Verdict::TooMany { .. } => ErrorCode::TooManyRequests,
        };
        self.gate.activity.refused(None, line.word(), code, clock::unix_seconds());
        verdict
    }

    /// Does nothing for a while, or until the connection ends: who is shown out must not stay.
    fn keep_waiting(&self, delay: Duration) {
        // Whether it has ended shows when the answer is sent.
        let _ = self.stream.wait(For::Ending, clock::monotonic() + delay);
    }

    /// Refuses bytes that are no request.
    fn refuse_bytes(&mut self, error: &ApiError) -> Next {
        let peer = self.visitor.address;
        let counts = self.gate.activity.counts();
        counts.refused(None, error.code);
        let line = Line { counts, peer, client: None, request: None, started: clock::monotonic() };
        self.refuse(line, error, false)
    }

    pub(super) fn refuse(&mut self, line: Line<'_>, error: &ApiError, keep_alive: bool) -> Next {
        let mut reply = Reply::error(error);
        if let (ErrorCode::MethodNotAllowed, Some(head)) = (error.code, line.request) {
            reply.headers.push(("Allow", allowed_methods(&head.target).into()));
        }
        self.respond(line, reply, keep_alive, error.note())
    }

    /// Gives an answer of the gate's own.
    pub(super) fn respond(
        &mut self,
        line: Line<'_>,
        reply: Reply,
        keep_alive: bool,
        note: String,
    ) -> Next {
        let head_only = line.request.is_some_and(|head| head.method == "HEAD");
        let status = reply.status;
        let response = response::whole(reply, head_only, keep_alive);
        match send(&mut self.stream, &response, &mut self.gate.pace()) {
            Ok(()) => {
                line.write(Some(status), &note);
                if keep_alive { Next::KeepAlive } else { Next::Linger }
            }
            Err(error) => {
                line.write(None, &format!("{note}; the answer was not taken: {error}"));
                Next::Cut
            }
        }
    }
}
