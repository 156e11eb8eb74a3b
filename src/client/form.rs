//! The upload form as a stream: fields, file, fields, made while it is sent.
//!
//! Pure but for the reader it is given. The file is read once; its digest is computed on the way
//! and, if it was not known before, sent after the file. The length is known before the first byte.

use crate::digest::{Digest, Hasher};
use crate::exact::ExactReader;
use crate::wire::{Mtime, field};
use std::io::{self, Read};

/// One upload form around a file's content.
pub struct FormBody<R> {
    head: Vec<u8>,
    content: ExactReader<R>,
    size: u64,
    tail: Vec<u8>,
    /// How much of head, content and tail together went out.
    sent: u64,
    hasher: Hasher,
    boundary: String,
    digest: Option<Digest>,
    digest_goes_last: bool,
    failure: Option<io::Error>,
}

/// What the form says of the file.
pub struct Fields<'f> {
    /// Its remote path.
    pub path: &'f str,
    /// Its size in bytes: exactly as much is read.
    pub size: u64,
    /// Its modification time.
    pub mtime: Mtime,
    /// Its digest, if it is known before it is read.
    pub sha256: Option<Digest>,
}

impl<R: Read> FormBody<R> {
    /// A form around `content`. `boundary` must be made by chance, so that no file can contain it.
    pub fn new(content: R, fields: &Fields<'_>, boundary: String) -> Self {
        let mut head = String::new();
        head.push_str(&text_part(&boundary, field::PATH, fields.path));
        head.push_str(&text_part(&boundary, field::MTIME, &fields.mtime.to_string()));
        if let Some(sha256) = fields.sha256 {
            head.push_str(&text_part(&boundary, field::SHA256, &sha256.to_string()));
        }
        head.push_str(&format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"{}\"; filename=\"file\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n",
            field::FILE
        ));
        let digest_goes_last = fields.sha256.is_none();
        // Made now with any digest, because its length is part of the form's.
        let tail = tail(&boundary, digest_goes_last.then(|| Digest::of(b"")));
        Self {
            head: head.into_bytes(),
            content: ExactReader::new(content, fields.size, |_| "the file became shorter".into()),
            size: fields.size,
            tail,
            sent: 0,
            hasher: Hasher::new(),
            boundary,
            digest: None,
            digest_goes_last,
            failure: None,
        }
    }

    /// The `Content-Type` that goes with it.
    pub fn content_type(&self) -> String {
        format!("multipart/form-data; boundary={}", self.boundary)
    }

    /// Length of the whole form in bytes.
    pub fn length(&self) -> u64 {
        self.tail_starts() + self.tail.len() as u64
    }

    /// The digest of the file, once all of it was read.
    pub fn digest(&self) -> Option<Digest> {
        self.digest
    }

    /// What went wrong with reading the file, if that is why sending failed.
    pub fn take_failure(&mut self) -> Option<io::Error> {
        self.failure.take()
    }

    fn tail_starts(&self) -> u64 {
        self.head.len() as u64 + self.size
    }

    fn read_content(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // Without its error for a shorter file the sender would wait for the missing bytes for ever.
        let count = self.content.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        Ok(count)
    }

    fn close_content(&mut self) {
        let digest = std::mem::take(&mut self.hasher).finish();
        self.digest = Some(digest);
        if self.digest_goes_last {
            self.tail = tail(&self.boundary, Some(digest));
        }
    }
}

impl<R: Read> Read for FormBody<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let head = self.head.len() as u64;
        let tail_starts = self.tail_starts();
        let count = if self.sent < head {
            copy(&self.head[self.sent as usize..], buffer)
        } else if self.sent < tail_starts {
            self.read_content(buffer).inspect_err(|error| {
                self.failure = Some(io::Error::new(error.kind(), error.to_string()));
            })?
        } else {
            if self.digest.is_none() {
                self.close_content();
            }
            copy(&self.tail[(self.sent - tail_starts) as usize..], buffer)
        };
        self.sent += count as u64;
        Ok(count)
    }
}

fn copy(from: &[u8], to: &mut [u8]) -> usize {
    let count = from.len().min(to.len());
    to[..count].copy_from_slice(&from[..count]);
    count
}

fn text_part(boundary: &str, name: &str, value: &str) -> String {
    format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
}

fn tail(boundary: &str, sha256: Option<Digest>) -> Vec<u8> {
    let sha256 = sha256.map(|sha256| text_part(boundary, field::SHA256, &sha256.to_string()));
    format!("\r\n{}--{boundary}--\r\n", sha256.unwrap_or_default()).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(content: &[u8], size: u64, sha256: Option<Digest>) -> FormBody<&[u8]> {
        let mtime = Mtime::from_nanos(1_500_000_000);
        FormBody::new(content, &Fields { path: "a/ä.txt", size, mtime, sha256 }, "XX".into())
    }

    fn sent(mut form: FormBody<&[u8]>) -> String {
        let mut bytes = Vec::new();
        form.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes.len() as u64, form.length(), "the length is known beforehand");
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn the_path_goes_first_and_an_unknown_digest_last() {
        assert_eq!(
            sent(form(b"hello", 5, None)),
            format!(
                "--XX\r\nContent-Disposition: form-data; name=\"path\"\r\n\r\na/ä.txt\r\n\
                 --XX\r\nContent-Disposition: form-data; name=\"mtime\"\r\n\r\n1.500000000\r\n\
                 --XX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"file\"\r\n\
                 Content-Type: application/octet-stream\r\n\r\nhello\r\n\
                 --XX\r\nContent-Disposition: form-data; name=\"sha256\"\r\n\r\n{}\r\n--XX--\r\n",
                Digest::of(b"hello")
            )
        );
    }

    #[test]
    fn a_known_digest_goes_before_the_file() {
        let text = sent(form(b"", 0, Some(Digest::of(b""))));
        assert!(text.find("sha256").unwrap() < text.find("\"file\"").unwrap());
        assert!(text.ends_with("\r\n\r\n\r\n--XX--\r\n"), "{text}");
    }

    #[test]
    fn exactly_the_promised_bytes_are_read_and_a_shorter_file_is_an_error() {
        assert!(sent(form(b"hello, and more", 5, None)).contains("\r\n\r\nhello\r\n--XX"));
        let mut short = form(b"hell", 5, None);
        let error = short.read_to_end(&mut Vec::new()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(short.take_failure().unwrap().to_string(), "the file became shorter");
        assert_eq!(short.digest(), None);
    }
}
