//! One connection of the server's to S3 as the proxy serves it, and how each fault is done to it.

use super::fault::{End, Fault};
use super::s3_message::{Asked, S3Answer};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::sockopt::set_socket_linger;
use std::io::{BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// Between two pieces of what is slow.
const TICK: Duration = Duration::from_millis(1);

/// How many pieces that which is slow comes in.
const PIECES: usize = 64;

/// Size of a piece of what is not, in bytes.
const PIECE: usize = 64 * 1024;

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// What becomes of a connection after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    Keep,
    Close,
    Reset,
}

/// A connection of the server's, and the one to S3 that belongs to it.
pub(super) struct Exchange {
    server: BufReader<TcpStream>,
    address: SocketAddr,
    s3: Option<BufReader<TcpStream>>,
    /// What is held up is taken and thrown away from now on.
    released: Arc<AtomicBool>,
}

impl Exchange {
    /// Over this connection of the server's, with the S3 server at `address` behind it. When
    /// `released` is set, what is held up is taken and thrown away.
    pub(super) fn over(server: TcpStream, address: SocketAddr, released: Arc<AtomicBool>) -> Self {
        Self { server: BufReader::new(server), address, s3: None, released }
    }

    /// Waits for the next request; `None` if the server has closed the connection.
    pub(super) fn next(&mut self) -> Option<Asked> {
        Asked::read(&mut self.server)
    }

    /// Serves a request and tells `done` how S3 has answered it.
    pub(super) fn serve(
        &mut self,
        asked: &Asked,
        fault: Option<Fault>,
        done: impl FnOnce(&S3Answer),
    ) -> Then {
        // One of the two sides has broken it off: the other one sees the same.
        self.try_serve(asked, fault, done).unwrap_or(Then::Reset)
    }

    fn try_serve(
        &mut self,
        asked: &Asked,
        fault: Option<Fault>,
        done: impl FnOnce(&S3Answer),
    ) -> Option<Then> {
        let whole = asked.length();
        match fault {
            None => {
                let answer = self.ask(asked, false, done)?;
                self.say(&answer.bytes())?;
                Some(Then::Keep)
            }
            Some(Fault::Slow) => {
                let answer = self.ask(asked, true, done)?.bytes();
                for piece in answer.chunks(answer.len().div_ceil(PIECES)) {
                    self.say(piece)?;
                    thread::park_timeout(TICK);
                }
                Some(Then::Keep)
            }
            Some(Fault::Gone) => Some(Then::Reset),
            Some(Fault::Reset(after)) => {
                self.hand_on_some(asked, after.min(whole.saturating_sub(1)))?;
                Some(Then::Reset)
            }
            Some(Fault::Stall(after)) => {
                self.hand_on_some(asked, after.min(whole.saturating_sub(1)))?;
                self.hold();
                Some(Then::Close)
            }
            Some(Fault::Answer(answer)) => {
                self.go_on(asked)?;
                let body = (&mut self.server).take(whole as u64);
                if std::io::copy(&mut { body }, &mut std::io::sink()).ok()? < whole as u64 {
                    return None;
                }
                self.say(without_body_if_head(&answer, asked).as_bytes())?;
                Some(Then::Keep)
            }
            Some(Fault::Early(answer)) => {
                self.say(without_body_if_head(&answer, asked).as_bytes())?;
                // Whoever is still sending sees the answer before the end.
                self.server.get_ref().shutdown(Shutdown::Write).ok()?;
                std::io::copy(&mut self.server, &mut std::io::sink()).ok()?;
                Some(Then::Close)
            }
            Some(Fault::Done(end)) => {
                let answer = self.ask(asked, false, done)?;
                self.answer_badly(asked, &answer, end)
            }
        }
    }

    fn answer_badly(&mut self, asked: &Asked, answer: &S3Answer, end: End) -> Option<Then> {
        let some = |after: usize| {
            let after = after.min(answer.body.len().saturating_sub(1));
            [answer.head.as_bytes(), &answer.body[..after]].concat()
        };
        match end {
            End::Lost => Some(Then::Reset),
            End::Reset(after) => {
                self.say(&some(after))?;
                Some(Then::Reset)
            }
            End::Silent => {
                self.hold();
                Some(Then::Close)
            }
            End::Stall(after) => {
                self.say(&some(after))?;
                self.hold();
                Some(Then::Close)
            }
            End::Truncated => {
                let bytes = match answer.body.len() {
                    0 => answer.head.as_bytes()[..answer.head.len() / 2].to_vec(),
                    length => some(length / 2),
                };
                self.say(&bytes)?;
                Some(Then::Close)
            }
            End::Instead(answer) => {
                self.say(without_body_if_head(&answer, asked).as_bytes())?;
                Some(Then::Keep)
            }
        }
    }

    /// Has S3 serve the whole request.
    fn ask(
        &mut self,
        asked: &Asked,
        slowly: bool,
        done: impl FnOnce(&S3Answer),
    ) -> Option<S3Answer> {
        self.hand_on(asked, asked.length(), slowly)?;
        let answer = S3Answer::read(self.s3.as_mut()?, asked.is_head())?;
        done(&answer);
        Some(answer)
    }

    /// Hands on so many bytes of the body, and then S3 sees the request break off. Without a byte of
    /// it S3 does not hear of the request: it might have no body, and be done by its head.
    fn hand_on_some(&mut self, asked: &Asked, count: usize) -> Option<()> {
        if count > 0 {
            self.hand_on(asked, count, false)?;
        }
        self.s3 = None;
        Some(())
    }

    fn hand_on(&mut self, asked: &Asked, count: usize, slowly: bool) -> Option<()> {
        let s3 = match self.s3.take() {
            Some(s3) => s3,
            None => {
                let s3 = TcpStream::connect(self.address).ok()?;
                s3.set_nodelay(true).ok()?;
                BufReader::new(s3)
            }
        };
        let s3 = self.s3.insert(s3);
        s3.get_mut().write_all(asked.head().as_bytes()).ok()?;
        self.go_on(asked)?;
        let mut piece = vec![0; if slowly { count.div_ceil(PIECES) } else { PIECE }];
        let mut left = count;
        while left > 0 {
            let most = piece.len().min(left);
            let count = self.server.read(&mut piece[..most]).ok().filter(|count| *count > 0)?;
            self.s3.as_mut()?.get_mut().write_all(&piece[..count]).ok()?;
            left -= count;
            if slowly {
                thread::park_timeout(TICK);
            }
        }
        Some(())
    }

    /// Tells a server that waits to be told to send the body.
    fn go_on(&mut self, asked: &Asked) -> Option<()> {
        if asked.expects() { self.say(CONTINUE) } else { Some(()) }
    }

    fn say(&mut self, bytes: &[u8]) -> Option<()> {
        self.server.get_mut().write_all(bytes).ok()
    }

    /// Says and takes nothing more until the server gives up. That it does so is not seen behind what
    /// it has sent and nobody takes: for this, somebody has to release it.
    fn hold(&mut self) {
        let tick = Timespec { tv_sec: 0, tv_nsec: 10_000_000 };
        while !self.released.load(Ordering::Relaxed) {
            let mut fds = [PollFd::new(self.server.get_ref(), PollFlags::RDHUP)];
            // Whatever else ends it, the connection is at its end.
            if poll(&mut fds, Some(&tick)) != Ok(0) {
                return;
            }
        }
        let _ = std::io::copy(&mut self.server, &mut std::io::sink());
    }

    /// Ends the connection so.
    pub(super) fn end(self, then: Then) {
        if then == Then::Reset {
            // It may be broken already.
            let _ = set_socket_linger(self.server.get_ref(), Some(Duration::ZERO));
        }
    }
}

/// What is made up has a body, which the answer to a HEAD has not.
fn without_body_if_head<'a>(answer: &'a str, asked: &Asked) -> &'a str {
    match answer.find("\r\n\r\n") {
        Some(end) if asked.is_head() => &answer[..end + 4],
        _ => answer,
    }
}
