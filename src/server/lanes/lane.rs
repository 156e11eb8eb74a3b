//! One lane: a kept-alive connection to `tiny_http`, carrying one exchange at a time.
//!
//! Runs on the thread of the connection that has borrowed it. It owns the socket and what was read
//! of an answer too early. It waits with deadlines and never retries: a lane on which anything went
//! wrong is thrown away.

use super::answer::{self, Answer};
use crate::server::poll::{self, For};
use std::io::{self, Read as _, Write as _};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// Largest head of an answer, in bytes: a note may hold a key with every byte escaped.
const ANSWER_HEAD_BYTES_MAX: usize = 32 * 1024;

/// Where the answer's first bytes go: most answers fit.
const ANSWER_BUFFER_BYTES: usize = 4 * 1024;

/// A connection to a worker's pool.
#[derive(Debug)]
pub struct Lane {
    socket: Arc<UnixStream>,
    /// What was read of an answer and is not yet taken.
    received: Vec<u8>,
}

/// How far writing came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// All was written.
    All,
    /// The worker has answered, or is gone, before it took all.
    Answered,
}

impl Lane {
    /// Connects to the pool that listens on `socket`.
    pub(super) fn open(socket: &Path) -> io::Result<Self> {
        let socket = UnixStream::connect(socket)?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket: Arc::new(socket), received: Vec::new() })
    }

    pub(super) fn socket(&self) -> &Arc<UnixStream> {
        &self.socket
    }

    /// Whether the worker has something to say, or is gone.
    pub fn has_answer(&self) -> io::Result<bool> {
        Ok(!self.received.is_empty() || poll::is_readable(&self.socket)?)
    }

    /// Writes all of `bytes`, unless the worker answers first.
    pub fn write(&mut self, mut bytes: &[u8], deadline: Instant) -> io::Result<Written> {
        while !bytes.is_empty() {
            match (&*self.socket).write(bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let socket = &self.socket;
                    let ready = (socket, For::Writing);
                    match poll::wait_either(ready, (socket, For::Reading), deadline)? {
                        (_, true) => return Ok(Written::Answered),
                        (true, false) => {}
                        (false, false) => return Err(io::ErrorKind::TimedOut.into()),
                    }
                }
                // It may have answered before it closed; reading tells.
                Err(error) if is_gone(&error) => return Ok(Written::Answered),
                Err(error) => return Err(error),
            }
        }
        Ok(Written::All)
    }

    /// Reads the head of the answer.
    pub fn read_answer(&mut self, deadline: Instant) -> io::Result<Answer> {
        loop {
            let read = answer::read(&self.received).map_err(io::Error::other)?;
            if let Some((answer, taken)) = read {
                self.received.drain(..taken);
                return Ok(answer);
            }
            if self.received.len() > ANSWER_HEAD_BYTES_MAX {
                return Err(io::Error::other("a worker's answer whose head does not end"));
            }
            let known = self.received.len();
            self.received.resize(known + ANSWER_BUFFER_BYTES, 0);
            let mut received = std::mem::take(&mut self.received);
            let count = self.receive(&mut received[known..], deadline);
            received.truncate(known + *count.as_ref().unwrap_or(&0));
            self.received = received;
            if count? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Reads of the answer's body; 0 is its early end.
    pub fn read(&mut self, buffer: &mut [u8], deadline: Instant) -> io::Result<usize> {
        if self.received.is_empty() {
            return self.receive(buffer, deadline);
        }
        let count = self.received.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.received[..count]);
        self.received.drain(..count);
        Ok(count)
    }

    fn receive(&mut self, buffer: &mut [u8], deadline: Instant) -> io::Result<usize> {
        loop {
            match (&*self.socket).read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if !poll::wait(&self.socket, For::Reading, deadline)? {
                        return Err(io::ErrorKind::TimedOut.into());
                    }
                }
                result => return result,
            }
        }
    }
}

impl AsFd for Lane {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        // The worker's side sees the end at once, even if somebody still holds the socket.
        let _ = self.socket.shutdown(Shutdown::Both);
    }
}

fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
}
