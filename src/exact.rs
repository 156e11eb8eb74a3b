//! A reader that yields exactly the promised number of bytes, or an error.
//!
//! Pure but for the reader it is given: a file on its way out, a request's body, an object on its way
//! back. It must not pass an early end on as an end: that is how half a file becomes a backup.

use std::io::{self, Read};

/// Yields `left` bytes of `inner` and then ends; if `inner` ends before that, it fails with
/// [`io::ErrorKind::UnexpectedEof`].
pub struct ExactReader<R> {
    inner: R,
    left: u64,
    shortage: fn(u64) -> String,
}

impl<R: Read> ExactReader<R> {
    /// A reader of the next `length` bytes of `inner`. `shortage` words the error for so many
    /// missing bytes.
    pub fn new(inner: R, length: u64, shortage: fn(u64) -> String) -> Self {
        Self { inner, left: length, shortage }
    }
}

impl<R: Read> Read for ExactReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        if room == 0 {
            return Ok(0);
        }
        let taken = self.inner.read(&mut buffer[..room])?;
        if taken == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, (self.shortage)(self.left)));
        }
        self.left -= taken as u64;
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(content: &[u8], length: u64) -> (Vec<u8>, Option<io::ErrorKind>) {
        let mut read = Vec::new();
        let end = ExactReader::new(content, length, |left| left.to_string()).read_to_end(&mut read);
        (read, end.err().map(|e| e.kind()))
    }

    #[test]
    fn an_early_end_is_an_error_and_what_follows_the_length_is_not_read() {
        assert_eq!(read(b"abc", 3), (b"abc".to_vec(), None));
        assert_eq!(read(b"abcd", 3), (b"abc".to_vec(), None));
        assert_eq!(read(b"", 0), (Vec::new(), None));
        assert_eq!(read(b"ab", 3), (b"ab".to_vec(), Some(io::ErrorKind::UnexpectedEof)));
        assert_eq!(read(b"", 1), (Vec::new(), Some(io::ErrorKind::UnexpectedEof)));
    }
}
