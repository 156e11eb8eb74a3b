//! Reads a body through one fixed buffer and cuts it at its delimiter lines.
//!
//! Runs on the worker that serves the request. It owns the body and the buffer, which never grows.
//! It knows lines, not parts: what a head says is not its business.
//!
//! `start <= known <= end <= buffer.len()`, always: content up to `known`, then either `line` or
//! bytes that were not judged yet.

use super::boundary::Boundary;
use super::delimiter::{Delimiter, Line, More, Sight};
use super::error::FormError;
use crate::limits::PART_HEAD_BYTES_MAX;
use memchr::memmem;
use std::io::{ErrorKind, Read};

/// The line end that stands in front of a head, and of the very first delimiter.
const LINE_END: &[u8] = b"\r\n";

/// The end of a head: of its last line, and the empty line.
const HEAD_END: &[u8] = b"\r\n\r\n";

pub(super) struct Scanner<R> {
    body: R,
    more: More,
    delimiter: Delimiter,
    buffer: Box<[u8]>,
    start: usize,
    known: usize,
    end: usize,
    /// The delimiter line that begins at `known`, once it was found.
    line: Option<Line>,
}

impl<R: Read> Scanner<R> {
    /// A scanner with a buffer of `buffer_bytes`, or more if a delimiter line needs it.
    pub(super) fn new(body: R, boundary: &Boundary, buffer_bytes: usize) -> Self {
        let delimiter = Delimiter::new(boundary);
        // One byte more than can be held back, so that there always is room to read on.
        let bytes = buffer_bytes.max(delimiter.undecided_bytes_max() + 1);
        let mut buffer = vec![0; bytes].into_boxed_slice();
        // The first delimiter has no line end before it. With this one it is like all others.
        buffer[..LINE_END.len()].copy_from_slice(LINE_END);
        let end = LINE_END.len();
        Self { body, more: More::Possible, delimiter, buffer, start: 0, known: 0, end, line: None }
    }

    /// The next bytes of content; none if a delimiter line comes next.
    pub(super) fn content(&mut self) -> Result<&[u8], FormError> {
        while self.start == self.known && self.line.is_none() {
            match self.delimiter.look(&self.buffer[self.known..self.end], self.more) {
                Sight::Content(0) => self.refill()?,
                Sight::Content(bytes) => self.known += bytes,
                Sight::Line(bytes, line) => {
                    self.known += bytes;
                    self.line = Some(line);
                }
            }
        }
        Ok(&self.buffer[self.start..self.known])
    }

    /// Takes `bytes` of what [`Scanner::content`] showed.
    pub(super) fn consume(&mut self, bytes: usize) {
        self.start = self.known.min(self.start.saturating_add(bytes));
    }

    /// Takes the delimiter line that comes next; `None` if none is known or content comes first.
    pub(super) fn take_line(&mut self) -> Option<Line> {
        if self.start < self.known {
            return None;
        }
        let line = self.line.take()?;
        if let Line::Opening { bytes } = line {
            self.start += bytes;
            self.known = self.start;
        }
        Some(line)
    }

    /// The head that follows an opening line: its lines and the empty one. Stays in front until
    /// [`Scanner::consume_head`] takes it.
    pub(super) fn head(&mut self) -> Result<&[u8], FormError> {
        // The line end of the opening line stands before the head, so that an empty head has the
        // same end as all others.
        let limit = self.buffer.len().min(LINE_END.len() + PART_HEAD_BYTES_MAX);
        loop {
            let seen = limit.min(self.end - self.start);
            let window = &self.buffer[self.start..self.start + seen];
            if let Some(offset) = memmem::find(window, HEAD_END) {
                let end = self.start + offset + HEAD_END.len();
                return Ok(&self.buffer[self.start + LINE_END.len()..end]);
            }
            if seen == limit {
                return Err(FormError::HeadTooLong);
            }
            self.refill()?;
        }
    }

    /// Takes a head of `bytes` bytes, as [`Scanner::head`] showed it.
    pub(super) fn consume_head(&mut self, bytes: usize) {
        self.start = self.end.min(self.start + LINE_END.len() + bytes);
        self.known = self.start;
    }

    /// The body, without what already was in the buffer.
    pub(super) fn into_body(self) -> R {
        self.body
    }

    /// Reads on, once. The buffer is never full here: what is in it is a head below its limit, or
    /// held back, and both are shorter.
    fn refill(&mut self) -> Result<(), FormError> {
        if self.more == More::Never {
            return Err(FormError::Truncated);
        }
        self.make_room();
        let room = &mut self.buffer[self.end..];
        let bytes = loop {
            match self.body.read(room) {
                // A reader that claims more than it was given is not believed.
                Ok(bytes) => break bytes.min(room.len()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(FormError::Body(error)),
            }
        };
        if bytes == 0 {
            self.more = More::Never;
        }
        self.end += bytes;
        Ok(())
    }

    /// Moves what is left to the front, unless half of the buffer is free anyway: a body that comes
    /// byte by byte does not move it for each of them.
    fn make_room(&mut self) {
        if self.start == self.end || self.buffer.len() - self.end < self.buffer.len() / 2 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.known -= self.start;
            self.start = 0;
        }
    }
}
