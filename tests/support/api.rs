//! The server's HTTP interface as a foreign client meets it: requests written by hand.

use super::waiting::DEADLINE;
use serde_json::Value;
use std::io::{BufRead, BufReader, Write as _};
use std::net::TcpStream;

const BOUNDARY: &str = "----a-boundary-by-hand";

/// A request: head lines and body, sent as they stand.
#[derive(Clone)]
pub(crate) struct Request {
    line: String,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// One part of an upload form.
pub(crate) enum Part<'p> {
    Field(&'p str, &'p str),
    File(&'p [u8]),
}

impl Request {
    pub(crate) fn new(method: &str, target: &str) -> Self {
        let line = format!("{method} {target} HTTP/1.1");
        Self { line, headers: vec![], body: vec![] }.header("Host", "backup.example.com")
    }

    /// An upload form, with its length.
    pub(crate) fn upload(parts: &[Part<'_>]) -> Self {
        let body = form(parts);
        let length = body.len().to_string();
        Self { body, ..Self::new("POST", "/upload") }
            .header("Content-Type", &format!("multipart/form-data; boundary={BOUNDARY}"))
            .header("Content-Length", &length)
    }

    pub(crate) fn key(self, key: &str) -> Self {
        self.header("Authorization", &format!("Bearer {key}"))
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(known, _)| known != name);
        self
    }

    /// Whether it asks for the head of the answer alone.
    pub(crate) fn is_head(&self) -> bool {
        self.line.starts_with("HEAD ")
    }

    /// Its head, as it is sent.
    pub(crate) fn head(&self) -> String {
        let lines = self.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n"));
        format!("{}\r\n{}\r\n", self.line, lines.collect::<String>())
    }

    /// All of it, as it is sent.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        [self.head().as_bytes(), &self.body].concat()
    }

    /// Sends it on a connection that may have been used before, and reads the answer.
    #[track_caller]
    pub(crate) fn send_on(&self, mut stream: &TcpStream) -> Answer {
        stream.write_all(&self.bytes()).unwrap();
        Answer::read(&mut BufReader::new(stream), self.is_head()).expect("an answer")
    }

    /// Sends it and reads the answer.
    #[track_caller]
    pub(crate) fn send(&self, port: u16) -> Answer {
        self.send_part(port, self.body.len())
    }

    /// Sends it with the first `count` bytes of its body only, and reads the answer while the
    /// server may still wait for the rest.
    #[track_caller]
    pub(crate) fn send_part(&self, port: u16, count: usize) -> Answer {
        let stream = self.write(port, count);
        Answer::read(&mut BufReader::new(&stream), self.is_head()).expect("an answer")
    }

    /// Sends it with the first `count` bytes of its body, then says that no more will come. Returns
    /// the answer, if there is one.
    #[track_caller]
    pub(crate) fn send_cut(&self, port: u16, count: usize) -> Option<Answer> {
        let stream = self.write(port, count);
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        Answer::read(&mut BufReader::new(&stream), false)
    }

    fn write(&self, port: u16, count: usize) -> TcpStream {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.write_all(self.head().as_bytes()).unwrap();
        // A server that has refused the body already need not take it.
        let _ = stream.write_all(&self.body[..count]);
        stream
    }
}

/// The body of an upload form.
pub(crate) fn form(parts: &[Part<'_>]) -> Vec<u8> {
    let mut body = Vec::new();
    for part in parts {
        let (head, content) = match part {
            Part::Field(name, value) => (format!("name=\"{name}\"\r\n"), value.as_bytes()),
            Part::File(content) => {
                let head = "name=\"file\"; filename=\"a\"\r\nContent-Type: image/png\r\n";
                (head.to_owned(), *content)
            }
        };
        let head = format!("--{BOUNDARY}\r\nContent-Disposition: form-data; {head}\r\n");
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
    body
}

/// The parts of an ordinary upload.
pub(crate) fn parts<'p>(path: &'p str, content: &'p [u8]) -> [Part<'p>; 2] {
    [Part::Field("path", path), Part::File(content)]
}

/// What the server answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// Reads an answer; `None` if the connection ends before its end.
    pub(crate) fn read(reader: &mut impl BufRead, head_only: bool) -> Option<Self> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            match line.trim_end() {
                "" => break,
                line => lines.push(line.to_owned()),
            }
        }
        let status = lines[0].split(' ').nth(1).unwrap().parse().unwrap();
        let headers = lines[1..]
            .iter()
            .map(|line| line.split_once(':').unwrap())
            .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
            .collect();
        let mut answer = Self { status, headers, body: vec![] };
        let length = answer.header("content-length").map_or(0, |length| length.parse().unwrap());
        answer.body = vec![0; if head_only { 0 } else { length }];
        reader.read_exact(&mut answer.body).ok()?;
        Some(answer)
    }

    /// The value of a header that is there at most once.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        let value = values.next().map(|(_, value)| value.as_str());
        assert!(values.next().is_none(), "{name} is there twice: {:?}", self.headers);
        value
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Checks that this is a failure, in the one shape that failures have.
    #[track_caller]
    pub(crate) fn assert_error(&self, status: u16, code: &str) {
        assert_eq!(self.status, status, "{}", self.text());
        assert_eq!(self.header("content-type"), Some("application/json"));
        let json = self.json();
        let members = json.as_object().unwrap();
        assert_eq!(members.keys().collect::<Vec<_>>(), ["error", "message", "success"], "{json}");
        assert_eq!((&json["success"], &json["error"]), (&false.into(), &code.into()), "{json}");
        let message = json["message"].as_str().unwrap();
        assert!(!message.is_empty() && !message.contains('\n'), "{message:?}");
    }
}
