//! One lane: a kept-alive connection to `tiny_http`, carrying one exchange at a time.
//!
//! Runs on the thread of the connection that has borrowed it. It owns the socket and what was read
//! of an answer too early. It waits with deadlines and never retries: a lane on which anything went
//! wrong is thrown away.

use super::answer::{self, Answer};
use crate::server::poll::{self, For};
use std::io::{self, IoSlice, Read as _, Write as _};
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
    pub fn write(&mut self, bytes: &[u8], deadline: Instant) -> io::Result<Written> {
        self.write_both(bytes, &[], deadline)
    }

    /// Writes all of `first` and then of `second`, as if they were one: the worker is woken once, and
    /// nothing is copied for it.
    pub fn write_both(
        &mut self,
        first: &[u8],
        second: &[u8],
        deadline: Instant,
    ) -> io::Result<Written> {
        let mut parts = [IoSlice::new(first), IoSlice::new(second)];
        let mut left = &mut parts[..];
        // Empty ones go.
        IoSlice::advance_slices(&mut left, 0);
        while !left.is_empty() {
            match (&*self.socket).write_vectored(left) {
                Ok(count) => IoSlice::advance_slices(&mut left, count),
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
        // It was asked just now, so that looking before waiting would find nothing.
        if self.received.is_empty() {
            self.wait(deadline)?;
        }
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
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.wait(deadline)?,
                result => return result,
            }
        }
    }

    fn wait(&self, deadline: Instant) -> io::Result<()> {
        let ready = poll::wait(&self.socket, For::Reading, deadline)?;
        if ready { Ok(()) } else { Err(io::ErrorKind::TimedOut.into()) }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;
    use std::thread;
    use std::time::Duration;

    /// Writes `first` and `second`, and says what the worker gets.
    fn check(first: &[u8], second: &[u8]) {
        let (gate, mut worker) = UnixStream::pair().unwrap();
        gate.set_nonblocking(true).unwrap();
        let mut lane = Lane { socket: Arc::new(gate), received: Vec::new() };
        let deadline = clock::monotonic() + Duration::from_secs(30);
        let received = thread::scope(|scope| {
            let reading = scope.spawn(move || {
                let mut received = Vec::new();
                worker.read_to_end(&mut received).unwrap();
                received
            });
            assert_eq!(lane.write_both(first, second, deadline).unwrap(), Written::All);
            drop(lane);
            reading.join().unwrap()
        });
        assert!(received == [first, second].concat(), "{} bytes came", received.len());
    }

    #[test]
    fn both_parts_arrive_whole_and_in_order_however_large_they_are() {
        // Larger than what a socket holds.
        let large: Vec<u8> = (0..1_000_003_u32).map(|number| (number % 251) as u8).collect();
        for first in [&large[..], &large[..7], &[]] {
            for second in [&large[..], &large[..9], &[]] {
                check(first, second);
            }
        }
    }
}
