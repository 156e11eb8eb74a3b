//! A connection's bytes, with TLS or without.
//!
//! Runs on the connection's thread. It owns the TLS session and the bytes that were read ahead of
//! it; the socket is shared with the census, which may shut it. Reading and writing never block:
//! who may not go on waits here with a deadline.
//!
//! `rustls` asks a socket for 4 KiB at a time at most. So the socket is read into a larger buffer,
//! and the session is fed from that; the buffer is there only while a request is.

use super::pace::Pace;
use crate::clock;
use crate::limits::COPY_BUFFER_BYTES;
use crate::server::poll::{self, For};
use rustls::{ServerConfig, ServerConnection};
use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Read ahead where only a head or a small body is expected, in bytes.
const SMALL_READ_BYTES: usize = 16 * 1024;

/// First byte of every TLS connection: the type of a handshake record (RFC 8446, section 5.1).
const HANDSHAKE_RECORD: u8 = 22;

/// A connection's bytes in both directions.
pub(super) struct Stream {
    socket: Arc<TcpStream>,
    tls: Option<Box<Tls>>,
}

struct Tls {
    session: ServerConnection,
    /// Read from the socket: up to `filled`, and from `taken` on not yet given to the session.
    raw: Vec<u8>,
    taken: usize,
    filled: usize,
    /// Whether the peer speaks TLS at all, once its first byte is there.
    begun: bool,
}

/// Why a handshake failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum HandshakeError {
    /// The first byte is that of a plain request.
    #[error("the peer does not speak TLS")]
    Plain,
    /// The deadline, a broken connection, or what the peer offered.
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl Stream {
    /// A stream over `socket`, which becomes non-blocking.
    pub(super) fn new(socket: Arc<TcpStream>, tls: Option<Arc<ServerConfig>>) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        // Answers are written in one piece; waiting for more would only delay them.
        socket.set_nodelay(true)?;
        let tls = tls.map(ServerConnection::new).transpose().map_err(io::Error::other)?;
        let tls = tls.map(|session| {
            Box::new(Tls { session, raw: Vec::new(), taken: 0, filled: 0, begun: false })
        });
        Ok(Self { socket, tls })
    }

    /// Agrees with the peer on keys; nothing to do without TLS.
    pub(super) fn shake_hands(&mut self, deadline: Instant) -> Result<(), HandshakeError> {
        let Some(tls) = &mut self.tls else { return Ok(()) };
        while tls.session.is_handshaking() {
            let result = tls.step(&self.socket);
            match result {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let writes = tls.session.wants_write();
                    let what = if writes { For::Writing } else { For::Reading };
                    if !poll::wait(&self.socket, what, deadline)? {
                        let late = "the handshake took too long";
                        return Err(io::Error::new(io::ErrorKind::TimedOut, late).into());
                    }
                }
                Err(_) if tls.is_plain() => return Err(HandshakeError::Plain),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Reads what is there, 0 bytes at the end. `WouldBlock` if nothing is there yet.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.tls {
            None => again_if_interrupted(|| (&*self.socket).read(buffer)),
            Some(tls) => tls.read(&self.socket, buffer),
        }
    }

    /// Whether something of the peer is at hand, bytes or its farewell, so that reading need not wait
    /// for the socket.
    pub(super) fn has_more(&mut self) -> io::Result<bool> {
        let Some(tls) = &mut self.tls else { return Ok(false) };
        let state = tls.session.process_new_packets().map_err(io::Error::other)?;
        let at_hand = state.plaintext_bytes_to_read() > 0 || state.peer_has_closed();
        Ok(at_hand || tls.taken < tls.filled)
    }

    /// Writes some of `bytes`; `WouldBlock` if there is no room.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.tls {
            None => again_if_interrupted(|| (&*self.socket).write(bytes)),
            Some(tls) => {
                tls.flush(&self.socket)?;
                let count = tls.session.writer().write(bytes)?;
                match tls.flush(&self.socket) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(count),
                    result => result.map(|()| count),
                }
            }
        }
    }

    /// Writes what is held back by the session; `WouldBlock` if there is no room.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.tls.as_mut().map_or(Ok(()), |tls| tls.flush(&self.socket))
    }

    /// Waits until the socket is ready, at most until `deadline`; `false` if it is not.
    pub(super) fn wait(&self, what: For, deadline: Instant) -> io::Result<bool> {
        poll::wait(&self.socket, what, deadline)
    }

    /// Gives back the memory that waiting for the next request does not need.
    pub(super) fn relax(&mut self) {
        if let Some(tls) = &mut self.tls
            && tls.taken == tls.filled
        {
            tls.raw = Vec::new();
        }
    }

    /// Says that no more will come, and reads on until the peer has said so, too, or `deadline`: it
    /// may still be sending what nobody wants, and must not lose the answer by it.
    pub(super) fn linger(mut self, deadline: Instant) {
        if let Some(tls) = &mut self.tls {
            tls.session.send_close_notify();
        }
        // As far as there is room; the peer may be gone.
        let _ = self.flush();
        if self.socket.shutdown(Shutdown::Write).is_err() {
            return;
        }
        // Not decrypted: nobody will look at it.
        let mut sink = vec![0; SMALL_READ_BYTES];
        loop {
            match (&*self.socket).read(&mut sink) {
                Ok(0) => return,
                Ok(_) => {
                    if poll::is_past(deadline) {
                        return;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if !self.wait(For::Reading, deadline).unwrap_or(false) {
                        return;
                    }
                }
                Err(_) => return,
            }
        }
    }

    /// Breaks the connection: the peer must not take what it has for all there is.
    pub(super) fn cut(self) {
        // Without TLS's own farewell, so that a short answer cannot pass for a whole one.
        let _ = self.socket.shutdown(Shutdown::Both);
    }

    /// Writes `bytes` as they are, beside TLS: for a peer that does not speak it.
    pub(super) fn write_plain(&mut self, bytes: &[u8]) {
        self.tls = None;
        // A few hundred bytes into an empty socket buffer.
        let _ = self.write(bytes);
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Tls {
    fn read(&mut self, socket: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
        let mut count = 0;
        loop {
            match self.session.reader().read(&mut buffer[count..]) {
                Ok(0) => return Ok(count),
                Ok(more) => count += more,
                // No farewell: the same end to us, as every length is known and counted.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    // What is at hand already is decrypted as long as there is room.
                    if count > 0 && self.taken == self.filled {
                        return Ok(count);
                    }
                    self.receive(socket, buffer.len())?;
                }
                Err(error) => return Err(error),
            }
            if count == buffer.len() {
                return Ok(count);
            }
        }
    }

    /// One step of the handshake.
    fn step(&mut self, socket: &TcpStream) -> io::Result<()> {
        self.flush(socket)?;
        if self.session.is_handshaking() { self.receive(socket, 0) } else { Ok(()) }
    }

    /// Feeds the session with a piece of what the socket has. `expected` bytes are hoped for.
    fn receive(&mut self, socket: &TcpStream, expected: usize) -> io::Result<()> {
        if self.taken == self.filled {
            let room =
                if expected > SMALL_READ_BYTES { COPY_BUFFER_BYTES } else { SMALL_READ_BYTES };
            if self.raw.len() < room {
                self.raw.resize(room, 0);
            }
            let read = again_if_interrupted(|| (&*socket).read(&mut self.raw));
            if read.is_err() && self.raw.len() <= SMALL_READ_BYTES {
                // Nothing is there yet: thousands may wait, and do so without a buffer each.
                self.raw = Vec::new();
            }
            let filled = read?;
            (self.taken, self.filled) = (0, filled);
            if filled > 0 && !self.begun && self.raw[0] != HANDSHAKE_RECORD {
                // Not given to the session, whose alarm such a peer would not understand.
                return Err(io::ErrorKind::InvalidData.into());
            }
            self.begun |= filled > 0;
        }
        let mut fresh = &self.raw[self.taken..self.filled];
        let ended = fresh.is_empty();
        self.taken += self.session.read_tls(&mut fresh)?;
        if let Err(error) = self.session.process_new_packets() {
            // The peer is told why, if it listens.
            let _ = self.flush(socket);
            return Err(io::Error::new(io::ErrorKind::InvalidData, error));
        }
        if ended && self.session.is_handshaking() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match self.flush(socket) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            result => result,
        }
    }

    fn flush(&mut self, mut socket: &TcpStream) -> io::Result<()> {
        while self.session.wants_write() {
            again_if_interrupted(|| self.session.write_tls(&mut socket))?;
        }
        Ok(())
    }

    /// Whether the peer has sent something that is no TLS.
    fn is_plain(&self) -> bool {
        !self.begun && self.filled > 0
    }
}

/// Writes all of `bytes`; who takes them too slowly is given up.
pub(super) fn send(stream: &mut Stream, mut bytes: &[u8], pace: &mut Pace) -> io::Result<()> {
    loop {
        let result = match bytes {
            [] => stream.flush().map(|()| 0),
            _ => stream.write(bytes),
        };
        match result {
            Ok(_) if bytes.is_empty() => return Ok(()),
            Ok(count) => {
                bytes = &bytes[count..];
                pace.waited(Duration::ZERO, count as u64);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let before = clock::monotonic();
                if !stream.wait(For::Writing, pace.deadline(before))? {
                    return Err(io::Error::new(io::ErrorKind::TimedOut, "the peer stalls"));
                }
                pace.waited(clock::monotonic() - before, 0);
            }
            Err(error) => return Err(error),
        }
    }
}

fn again_if_interrupted<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
