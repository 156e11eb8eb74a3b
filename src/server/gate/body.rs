//! A request's body on its way to a worker, as chunks.
//!
//! Runs on the connection's thread. It reads exactly the declared length and waits no longer than the
//! pace allows. A body that ends early or stalls is an error here; nothing tells a worker that it was
//! whole.

use super::pace::Pace;
use super::stream::Stream;
use crate::clock;
use crate::limits::gate::CHUNK_BYTES;
use crate::server::lanes::Lane;
use crate::server::poll::{self, For};
use std::io;
use std::ops::Range;

/// What stands before a chunk's content: its length in eight hexadecimal digits and a line end.
const CHUNK_HEAD_BYTES: usize = 10;

/// What ends a chunk, and the last one.
const CHUNK_END: &[u8] = b"\r\n";
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Why a body did not come.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyError {
    /// The connection broke.
    #[error("the body broke off: {0}")]
    Broken(io::Error),
    /// It ended before its declared length.
    #[error("the body ended early: {missing} of {length} bytes are missing")]
    Short {
        /// Bytes that did not come.
        missing: u64,
        /// Bytes that were declared.
        length: u64,
    },
    /// Too little of it came for too long.
    #[error("the body came too slowly: {missing} of {length} bytes were still missing")]
    TooSlow {
        /// Bytes that did not come.
        missing: u64,
        /// Bytes that were declared.
        length: u64,
    },
}

/// The body of one request.
pub(super) struct Body<'b> {
    stream: &'b mut Stream,
    /// What was read behind the head; the body begins with it.
    received: &'b mut Vec<u8>,
    length: u64,
    left: u64,
    pace: Pace,
}

/// Room for one chunk and what frames it.
pub(super) struct Chunk {
    bytes: Vec<u8>,
}

impl Chunk {
    /// Room for chunks of up to `content` bytes.
    pub(super) fn with_room_for(content: usize) -> Self {
        let frame = CHUNK_HEAD_BYTES + CHUNK_END.len() + LAST_CHUNK.len();
        Self { bytes: vec![0; frame + content] }
    }

    fn content(&mut self) -> &mut [u8] {
        let end = self.bytes.len() - CHUNK_END.len() - LAST_CHUNK.len();
        &mut self.bytes[CHUNK_HEAD_BYTES..end]
    }

    /// Frames the first `count` bytes of the content, and ends the body if they are its last.
    fn frame(&mut self, count: usize, last: bool) -> &[u8] {
        let framed = self.put_frame(count, last);
        &self.bytes[framed]
    }

    /// As [`Chunk::frame`], as bytes of its own.
    fn into_framed(mut self, count: usize, last: bool) -> Vec<u8> {
        let framed = self.put_frame(count, last);
        self.bytes.truncate(framed.end);
        self.bytes.drain(..framed.start);
        self.bytes
    }

    /// Says where the framed content stands.
    fn put_frame(&mut self, count: usize, last: bool) -> Range<usize> {
        self.bytes[..CHUNK_HEAD_BYTES].copy_from_slice(format!("{count:08x}\r\n").as_bytes());
        let mut end = CHUNK_HEAD_BYTES + count;
        // A chunk of nothing would be the last one twice.
        let begin = if count == 0 { end } else { 0 };
        let mut put = |part: &[u8]| {
            self.bytes[end..end + part.len()].copy_from_slice(part);
            end += part.len();
        };
        if count > 0 {
            put(CHUNK_END);
        }
        if last {
            put(LAST_CHUNK);
        }
        begin..end
    }
}

impl<'b> Body<'b> {
    /// A body of `length` bytes, of which `received` may hold the first ones.
    pub(super) fn new(
        stream: &'b mut Stream,
        received: &'b mut Vec<u8>,
        length: u64,
        pace: Pace,
    ) -> Self {
        Self { stream, received, length, left: length, pace }
    }

    /// Whether all of it was read.
    pub(super) fn is_over(&self) -> bool {
        self.left == 0
    }

    /// Reads the next piece, framed; `None` if the worker has something to say first.
    pub(super) fn next_chunk<'c>(
        &mut self,
        chunk: &'c mut Chunk,
        lane: &Lane,
    ) -> Result<Option<&'c [u8]>, BodyError> {
        match self.read(chunk.content(), Some(lane))? {
            None => Ok(None),
            Some(count) => Ok(Some(chunk.frame(count, self.left == 0))),
        }
    }

    /// Reads all of it, as it is. For bodies that memory has room for.
    pub(super) fn read_plain(mut self) -> Result<Vec<u8>, BodyError> {
        let mut content = vec![0; usize::try_from(self.length).unwrap_or(CHUNK_BYTES)];
        let mut filled = 0;
        while filled < content.len() {
            filled += self.read(&mut content[filled..], None)?.unwrap_or(0);
        }
        Ok(content)
    }

    /// Reads all of it, framed as one chunk. For bodies that memory has room for.
    pub(super) fn read_whole(mut self) -> Result<Vec<u8>, BodyError> {
        let length = usize::try_from(self.length).unwrap_or(CHUNK_BYTES);
        let mut chunk = Chunk::with_room_for(length);
        let mut filled = 0;
        while filled < length {
            filled += self.read(&mut chunk.content()[filled..], None)?.unwrap_or(0);
        }
        Ok(chunk.into_framed(length, true))
    }

    /// Reads some bytes, at least one; `None` if `lane` has something to say before any came.
    fn read(&mut self, room: &mut [u8], lane: Option<&Lane>) -> Result<Option<usize>, BodyError> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(room.len());
        if !self.received.is_empty() {
            let count = self.received.len().min(most);
            room[..count].copy_from_slice(&self.received[..count]);
            self.received.drain(..count);
            self.left -= count as u64;
            return Ok(Some(count));
        }
        loop {
            match self.stream.read(&mut room[..most]) {
                Ok(0) => {
                    let (missing, length) = (self.left, self.length);
                    return Err(BodyError::Short { missing, length });
                }
                Ok(count) => {
                    self.left -= count as u64;
                    self.pace.waited(std::time::Duration::ZERO, count as u64);
                    return Ok(Some(count));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if !self.wait(lane)? {
                        return Ok(None);
                    }
                }
                Err(error) => return Err(BodyError::Broken(error)),
            }
        }
    }

    /// Waits for the peer; `false` if `lane` has something to say.
    fn wait(&mut self, lane: Option<&Lane>) -> Result<bool, BodyError> {
        let before = clock::monotonic();
        let deadline = self.pace.deadline(before);
        let (peer, worker) = match lane {
            None => (self.stream.wait(For::Reading, deadline).map_err(BodyError::Broken)?, false),
            Some(lane) => {
                let peer = (&*self.stream, For::Reading);
                poll::wait_either(peer, (lane, For::Reading), deadline)
                    .map_err(BodyError::Broken)?
            }
        };
        self.pace.waited(clock::monotonic() - before, 0);
        match (peer, worker) {
            (_, true) => Ok(false),
            (true, false) => Ok(true),
            (false, false) => Err(BodyError::TooSlow { missing: self.left, length: self.length }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(content: &[u8], last: bool, expected: &[u8]) {
        let mut chunk = Chunk::with_room_for(content.len());
        chunk.content().copy_from_slice(content);
        assert_eq!(chunk.frame(content.len(), last), expected);
        assert_eq!(chunk.into_framed(content.len(), last), expected);
    }

    #[test]
    fn a_chunk_is_framed_by_its_length_and_only_the_last_one_ends_the_body() {
        check(b"abc", false, b"00000003\r\nabc\r\n");
        check(b"abc", true, b"00000003\r\nabc\r\n0\r\n\r\n");
        check(b"", true, b"0\r\n\r\n");
    }
}
