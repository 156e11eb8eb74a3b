//! One admitted request: its body to a worker, the worker's answer back.
//!
//! Runs on the connection's thread, once per request. It borrows a lane for as short as possible: a
//! small body is complete before, a small answer is at hand after. Both peers are waited for with
//! deadlines, both directions are counted. A lane goes back only if the worker has read all of the
//! body and all of its answer was taken from the lane.

use super::Gate;
use super::body::{Body, BodyError, Chunk};
use super::response;
use super::stream::{Stream, send};
use crate::clock;
use crate::limits::gate::{CHUNK_BYTES, LANE_WAIT, SMALL_BODY_BYTES, WORKER_SILENCE};
use crate::server::admitted::{Admitted, Caller};
use crate::server::buffers;
use crate::server::lanes::{Answer, Lane, Loan, Need, Written, head};
use crate::server::reply::ApiError;
use crate::server::route::Route;
use crate::server::shares::{Holder, Share};
use crate::wire::ErrorCode;
use std::io;
use std::time::{Duration, Instant};

/// What becomes of the connection after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Another request may follow.
    KeepAlive,
    /// The answer is sent; the peer may still be sending.
    Linger,
    /// The answer is not complete, or nobody takes it: the peer must notice.
    Cut,
}

/// How a request ended, for the connection and for the access log.
#[derive(Debug)]
pub(super) struct Ending {
    /// The status that was sent, if one was.
    pub(super) status: Option<u16>,
    /// What was done, or why not.
    pub(super) note: String,
    pub(super) next: Next,
}

/// Why there is no answer of a worker to send.
enum Trouble {
    /// The body did not come.
    Body(BodyError),
    /// The request cannot be served now.
    Refused(ApiError),
    /// The worker, or the lane to it, failed.
    Lane(io::Error),
}

impl From<BodyError> for Trouble {
    fn from(error: BodyError) -> Self {
        Self::Body(error)
    }
}

/// A lane for one exchange.
struct Borrowed<'g> {
    lane: Lane,
    loan: Loan<'g>,
    /// Of those that can be held for long.
    _share: Option<Share>,
}

/// A worker's answer, its body still on the lane.
struct Answered<'g> {
    answer: Answer,
    /// Until the last byte of the answer was read.
    borrowed: Option<Borrowed<'g>>,
    /// Bytes of the answer that are still on the lane.
    left: u64,
    /// Whether the worker was sent the whole body, and has read it.
    drained: bool,
    /// Whether the peer has sent the whole body.
    body_taken: bool,
}

impl Answered<'_> {
    /// Adds a piece of the answer to `piece`. With the last one the lane is given back, so that it
    /// need not wait until the peer has taken that.
    fn fill(&mut self, piece: &mut Vec<u8>) -> io::Result<()> {
        let Some(Borrowed { lane, .. }) = &mut self.borrowed else { return Ok(()) };
        let start = piece.len();
        let most = usize::try_from(self.left).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
        piece.resize(start + most, 0);
        let mut end = start;
        while end < piece.len() {
            match lane.read(&mut piece[end..], worker_deadline())? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => end += count,
            }
        }
        self.left -= most as u64;
        if self.left == 0
            && self.drained
            && let Some(Borrowed { lane, loan, .. }) = self.borrowed.take()
        {
            loan.give_back(lane);
        }
        Ok(())
    }
}

/// One request on its way.
pub(super) struct Exchange<'e> {
    pub(super) gate: &'e Gate,
    pub(super) stream: &'e mut Stream,
    /// What was read behind the head.
    pub(super) received: &'e mut Vec<u8>,
    pub(super) request: &'e Admitted,
    /// Whether the peer waits for `100 Continue`.
    pub(super) expects_continue: bool,
    /// Whether another request may follow, as far as the head says.
    pub(super) keep_alive: bool,
}

impl<'e> Exchange<'e> {
    /// Serves the request.
    pub(super) fn run(mut self) -> Ending {
        match self.ask() {
            Ok(answered) => self.relay(answered),
            Err(trouble) => self.refuse(trouble),
        }
    }

    fn ask(&mut self) -> Result<Answered<'e>, Trouble> {
        match self.request.length {
            Some(length) => {
                let _counted = self.gate.activity.counts().body();
                let memory = self.reserve(length)?;
                if length > SMALL_BODY_BYTES {
                    return self.ask_streaming(length, memory);
                }
                self.say_continue()?;
                let body = Body::new(self.stream, self.received, length, self.gate.pace());
                let chunks = body.read_whole()?;
                self.ask_at_once(&chunks, Some(memory))
            }
            None => self.ask_at_once(&[], None),
        }
    }

    /// Sends what is there, body and all, and waits for the answer.
    fn ask_at_once(
        &mut self,
        chunks: &[u8],
        memory: Option<Share>,
    ) -> Result<Answered<'e>, Trouble> {
        let mut borrowed = self.borrow(self.need(), memory)?;
        let Borrowed { lane, loan, .. } = &mut borrowed;
        let head = head::write(self.request, loan.exchange(), self.gate.lanes.seal());
        let written = lane.write_both(&head, chunks, worker_deadline()).map_err(Trouble::Lane)?;
        self.await_answer(borrowed, written, true)
    }

    /// Sends the body as it comes, until all is sent or the worker answers.
    fn ask_streaming(&mut self, length: u64, memory: Share) -> Result<Answered<'e>, Trouble> {
        let mut borrowed = self.borrow(Need::Long, Some(memory))?;
        let Borrowed { lane, loan, .. } = &mut borrowed;
        self.say_continue()?;
        let message = head::write(self.request, loan.exchange(), self.gate.lanes.seal());
        let mut written = lane.write(&message, worker_deadline()).map_err(Trouble::Lane)?;
        let mut body = Body::new(self.stream, self.received, length, self.gate.pace());
        let mut chunk = Chunk::with_room_for(CHUNK_BYTES);
        while written == Written::All && !body.is_over() {
            written = match body.next_chunk(&mut chunk, lane)? {
                Some(chunk) => lane.write(chunk, worker_deadline()).map_err(Trouble::Lane)?,
                None => Written::Answered,
            };
        }
        let body_taken = body.is_over();
        self.await_answer(borrowed, written, body_taken)
    }

    /// How long the answer to a request that is complete will hold its lane.
    fn need(&self) -> Need {
        match self.request.route {
            // As long as the peer takes to read it.
            Route::Download(_) if !self.request.head_only => Need::Long,
            // Anybody may ask it, and it is the store that answers: those must not crowd clients out.
            Route::Ready => Need::Long,
            // The server's database answers those, whose disk may be slow or full.
            Route::Report | Route::Clients | Route::Reports(_) | Route::Page => Need::Long,
            _ => Need::Short,
        }
    }

    fn client(&self) -> Holder {
        self.request.client().map(|client| client.name.clone())
    }

    /// Reserves the memory that a body and its file need, before any of it is read.
    fn reserve(&self, length: u64) -> Result<Share, Trouble> {
        let Gate { memory, .. } = self.gate;
        let bytes = buffers::upload_bytes(length).min(memory.open_to_all());
        memory.take(&self.client(), bytes, self.patience()).ok_or_else(busy)
    }

    /// Until when a place is waited for. Whoever has no key may be shown out at any time, and would
    /// wait here all the same.
    fn patience(&self) -> Instant {
        let nobody = self.request.caller == Caller::Nobody;
        clock::monotonic() + if nobody { Duration::ZERO } else { LANE_WAIT }
    }

    /// Borrows a lane; `memory` goes with it to the worker.
    fn borrow(&self, need: Need, memory: Option<Share>) -> Result<Borrowed<'e>, Trouble> {
        let deadline = self.patience();
        let share = match need {
            Need::Short => None,
            Need::Long => Some(self.gate.long.take(&self.client(), 1, deadline).ok_or_else(busy)?),
        };
        let (lane, loan) = self.gate.lanes.borrow(need, memory, deadline).ok_or_else(busy)?;
        Ok(Borrowed { lane, loan, _share: share })
    }

    fn await_answer(
        &self,
        mut borrowed: Borrowed<'e>,
        written: Written,
        body_taken: bool,
    ) -> Result<Answered<'e>, Trouble> {
        let Borrowed { lane, loan, .. } = &mut borrowed;
        let answer = lane.read_answer(worker_deadline()).map_err(Trouble::Lane)?;
        if answer.exchange != loan.exchange() {
            return Err(Trouble::Lane(io::Error::other("the answer to another request")));
        }
        Ok(Answered {
            left: if self.request.head_only { 0 } else { answer.length },
            drained: written == Written::All && answer.drained,
            borrowed: Some(borrowed),
            answer,
            body_taken,
        })
    }

    fn say_continue(&mut self) -> Result<(), Trouble> {
        // Who has sent some of it already does not wait.
        if self.expects_continue && self.received.is_empty() {
            let sent = send(self.stream, response::CONTINUE, &mut self.gate.pace());
            sent.map_err(BodyError::Broken)?;
        }
        Ok(())
    }

    /// Sends the worker's answer on: all of it, or the connection is cut.
    fn relay(self, mut answered: Answered<'e>) -> Ending {
        let keep_alive = self.keep_alive && answered.body_taken && !self.gate.stop.is_raised();
        let Answer { status, length, headers, .. } = &answered.answer;
        let (status, lines) = (*status, headers.iter().map(|(name, value)| (&**name, &**value)));
        let mut piece = response::head(status, lines, *length, keep_alive);
        let note = std::mem::take(&mut answered.answer.note);
        let mut pace = self.gate.pace();
        let cut = |why: &str, error: io::Error| Ending {
            status: Some(status),
            note: format!("{note}; {why}: {error}"),
            next: Next::Cut,
        };
        loop {
            if let Err(error) = answered.fill(&mut piece) {
                return cut("the answer broke off", error);
            }
            if let Err(error) = send(self.stream, &piece, &mut pace) {
                return cut("the answer was not taken", error);
            }
            if answered.left == 0 {
                let next = if keep_alive { Next::KeepAlive } else { Next::Linger };
                return Ending { status: Some(status), note, next };
            }
            piece.clear();
        }
    }

    /// Tells the peer why there is no answer of a worker, if it can be told.
    fn refuse(self, trouble: Trouble) -> Ending {
        let error = match trouble {
            Trouble::Body(error @ BodyError::Broken(_)) => {
                self.note(ErrorCode::IncompleteBody);
                return Ending { status: None, note: error.to_string(), next: Next::Cut };
            }
            Trouble::Body(_) if self.gate.stop.is_raised() => {
                ApiError::new(ErrorCode::Unavailable, "the server is ending")
            }
            Trouble::Body(error) => ApiError::new(ErrorCode::IncompleteBody, error.to_string()),
            Trouble::Refused(error) => error,
            Trouble::Lane(error) => {
                log::error!("no answer of a worker to {:?}: {error}", self.request.route);
                let (code, message) = match error.kind() {
                    io::ErrorKind::TimedOut => {
                        (ErrorCode::Unavailable, "the server found no answer in time")
                    }
                    _ => (ErrorCode::Internal, "a defect in the server; its log says more"),
                };
                ApiError::new(code, message)
            }
        };
        self.note(error.code);
        // Where the body ends is not known any more.
        let keep_alive = self.keep_alive && self.request.length.is_none();
        let refusal = response::refusal(&error, self.request.head_only, keep_alive);
        match send(self.stream, &refusal, &mut self.gate.pace()) {
            Ok(()) => Ending {
                status: Some(error.code.status()),
                note: error.note(),
                next: if keep_alive { Next::KeepAlive } else { Next::Linger },
            },
            Err(cause) => Ending {
                status: None,
                note: format!("{}; the answer was not taken: {cause}", error.note()),
                next: Next::Cut,
            },
        }
    }
}

impl Exchange<'_> {
    /// Remembers what the gate refused. What a worker refuses, the worker remembers.
    fn note(&self, code: ErrorCode) {
        self.gate.activity.refused_to(&self.request.caller, self.request.route.word(), code);
    }
}

fn busy() -> Trouble {
    let message = "the server serves as many requests as it can; try again later";
    Trouble::Refused(ApiError::new(ErrorCode::Unavailable, message))
}

fn worker_deadline() -> Instant {
    clock::monotonic() + WORKER_SILENCE
}
