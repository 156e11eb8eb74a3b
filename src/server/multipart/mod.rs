//! Reads an upload form (`multipart/form-data`, RFC 7578) while it arrives.
//!
//! Runs on the worker that serves the request. A [`Form`] owns the body and one buffer of
//! [`COPY_BUFFER_BYTES`] at most, whatever is sent. It must not know which fields there should be,
//! nor how large a file may be: whoever reads a part counts.
//!
//! 1. A part's content is exactly the bytes between its head and the next delimiter line.
//! 2. The end of a part, or of the form, is told only after its delimiter line was seen whole: a
//!    body that breaks off is an error, never a short part.
//! 3. An error of the body comes out as it is, and is never taken for a malformed form.
//! 4. What can be read in two ways is refused.

mod boundary;
mod delimiter;
mod error;
mod head;
mod parameters;
mod scanner;
#[cfg(test)]
mod tests;

pub use boundary::{Boundary, BoundaryError};
pub use error::FormError;

use crate::limits::{COPY_BUFFER_BYTES, FIELD_BYTES_MAX, FORM_PARTS_MAX, PART_HEAD_BYTES_MAX};
use delimiter::Line;
use head::Head;
use scanner::Scanner;
use std::io::{self, BufRead, Read};

/// A form that is being read, part by part.
pub struct Form<R> {
    scanner: Scanner<R>,
    place: Place,
    parts: usize,
}

/// Where in the form the scanner stands.
#[derive(Clone, Copy)]
enum Place {
    /// Before the first delimiter line, after so many bytes.
    Preamble(usize),
    /// At the head of a part.
    Head,
    /// In a part's content, or at the line after it.
    Content,
    /// After the closing line.
    End,
}

impl<R: Read> Form<R> {
    /// A form whose body was announced with `boundary`. Reads nothing yet.
    pub fn new(body: R, boundary: &Boundary) -> Self {
        Self::with_buffer(body, boundary, COPY_BUFFER_BYTES)
    }

    /// The same for a body of at most `length` bytes: a small one costs a small buffer.
    pub fn of_length(body: R, boundary: &Boundary, length: u64) -> Self {
        // A head, with the two bytes before it, is shorter than the body it stands in.
        let length = usize::try_from(length).unwrap_or(COPY_BUFFER_BYTES);
        Self::with_buffer(body, boundary, length.min(COPY_BUFFER_BYTES))
    }

    /// The same with a buffer of `buffer_bytes`, or more if a delimiter line needs it. The head of a
    /// part, and the two bytes before it, have to fit into it too.
    pub fn with_buffer(body: R, boundary: &Boundary, buffer_bytes: usize) -> Self {
        let scanner = Scanner::new(body, boundary, buffer_bytes);
        Self { scanner, place: Place::Preamble(0), parts: 0 }
    }

    /// The next part; `None` after the last one. What was not read of the part before is skipped.
    /// After an error of the form every call answers with the same one.
    pub fn next_part(&mut self) -> Result<Option<Part<'_, R>>, FormError> {
        if matches!(self.place, Place::Preamble(_) | Place::Content) {
            match self.skip_to_line()? {
                Line::Closing => self.place = Place::End,
                Line::Opening { .. } => {
                    self.place = Place::Head;
                    self.parts += 1;
                }
            }
        }
        if matches!(self.place, Place::End) {
            return Ok(None);
        }
        if self.parts > FORM_PARTS_MAX {
            return Err(FormError::TooManyParts);
        }
        let bytes = self.scanner.head()?;
        let (head, length) = (Head::parse(bytes)?, bytes.len());
        self.scanner.consume_head(length);
        self.place = Place::Content;
        Ok(Some(Part { scanner: &mut self.scanner, head }))
    }

    /// The body, for whoever has to read it to its end; what was read beyond the form, one
    /// buffer at most, is lost. No bound is set here: take no more than you want to wait for.
    pub fn into_inner(self) -> R {
        self.scanner.into_body()
    }

    fn skip_to_line(&mut self) -> Result<Line, FormError> {
        loop {
            if let Some(line) = self.scanner.take_line() {
                return Ok(line);
            }
            let bytes = self.scanner.content()?.len();
            if let Place::Preamble(before) = &mut self.place {
                if *before + bytes > PART_HEAD_BYTES_MAX {
                    return Err(FormError::NoBoundary);
                }
                *before += bytes;
            }
            self.scanner.consume(bytes);
        }
    }
}

/// One part of a [`Form`]; reading it yields its content. A body that ends too early reads as
/// `UnexpectedEof`; [`FormError::from`] tells that from an `UnexpectedEof` of the body itself.
pub struct Part<'f, R> {
    scanner: &'f mut Scanner<R>,
    head: Head,
}

impl<R: Read> Part<'_, R> {
    /// The field's name, unescaped. It may hold any character, line ends too.
    pub fn name(&self) -> &str {
        &self.head.name
    }

    /// The file's name as the sender gave it, unescaped: nothing that could be used as a path.
    pub fn file_name(&self) -> Option<&str> {
        self.head.file_name.as_deref()
    }

    /// The content as the text of a small field: at most [`FIELD_BYTES_MAX`] bytes of UTF-8.
    pub fn text(mut self) -> Result<String, FormError> {
        let mut bytes = Vec::new();
        self.by_ref().take(FIELD_BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
        let name = self.head.name;
        if bytes.len() > FIELD_BYTES_MAX {
            return Err(FormError::FieldTooLong { name });
        }
        String::from_utf8(bytes).map_err(|_| FormError::FieldNotUtf8 { name })
    }
}

impl<R: Read> BufRead for Part<'_, R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        Ok(self.scanner.content()?)
    }

    fn consume(&mut self, bytes: usize) {
        self.scanner.consume(bytes);
    }
}

impl<R: Read> Read for Part<'_, R> {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        let bytes = self.fill_buf()?.read(target)?;
        self.consume(bytes);
        Ok(bytes)
    }
}
