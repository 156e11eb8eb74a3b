//! What passes between the server and S3, as far as it takes to tell one request from another and to
//! hand it on.

use super::scripted_server::read_head;
use std::io::{BufRead, Read};

/// What a request is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// A whole object is stored.
    Put,
    /// An upload in parts is begun.
    Begin,
    /// The part of this number is sent.
    Part(u64),
    /// An upload in parts becomes an object.
    Complete,
    /// An upload in parts is given up.
    Abort,
    /// An object is asked after.
    Head,
    /// An object, or a range of it, is read.
    Get,
    /// The bucket is asked after.
    Bucket,
    /// Objects or uploads are listed.
    List,
    /// Anything else.
    Other,
}

/// The head of a request.
pub(crate) struct Asked {
    pub(crate) stage: Stage,
    /// The object's key; empty for the bucket itself.
    pub(crate) key: String,
    /// Which upload in parts it belongs to.
    pub(crate) upload: Option<String>,
    /// SHA-256 of the whole object, where it is said.
    pub(crate) sha256: Option<String>,
    line: String,
    fields: Vec<(String, String)>,
}

impl Asked {
    /// Reads a head; `None` if the connection ends.
    pub(crate) fn read(stream: &mut impl BufRead) -> Option<Self> {
        let (line, fields) = read_head(stream)?;
        let mut words = line.split(' ');
        let (method, target) = (words.next()?, words.next()?);
        let url = url::Url::parse(&format!("http://s3{target}")).unwrap();
        let query = |name: &str| {
            url.query_pairs().find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
        };
        let key = url.path().splitn(3, '/').nth(2).unwrap_or_default();
        let key = percent_encoding::percent_decode_str(key).decode_utf8().unwrap().into_owned();
        let upload = query("uploadId");
        let part = query("partNumber").map(|number| number.parse().unwrap());
        let stage = match (method, key.as_str(), part, &upload) {
            ("PUT", _, Some(number), Some(_)) => Stage::Part(number),
            ("PUT", _, None, None) => Stage::Put,
            ("POST", _, None, None) if query("uploads").is_some() => Stage::Begin,
            ("POST", _, None, Some(_)) => Stage::Complete,
            ("DELETE", _, None, Some(_)) => Stage::Abort,
            ("HEAD", "", ..) => Stage::Bucket,
            ("GET", "", ..) => Stage::List,
            ("HEAD", ..) => Stage::Head,
            ("GET", _, None, None) => Stage::Get,
            _ => Stage::Other,
        };
        let sha256 = field(&fields, "x-amz-meta-sha256").map(str::to_owned);
        Some(Self { stage, key, upload, sha256, line, fields })
    }

    /// The length of its body.
    pub(crate) fn length(&self) -> usize {
        field(&self.fields, "content-length").map_or(0, |length| length.parse().unwrap())
    }

    /// Whether its sender waits to be told to send the body.
    pub(crate) fn expects(&self) -> bool {
        field(&self.fields, "expect").is_some()
    }

    /// Whether the answer has no body.
    pub(crate) fn is_head(&self) -> bool {
        self.line.starts_with("HEAD ")
    }

    /// The head to hand on. `Expect` is for the next hop only, and so is not signed.
    pub(crate) fn head(&self) -> String {
        head(&self.line, self.fields.iter().filter(|(name, _)| name != "expect"))
    }
}

/// S3's answer, whole.
pub(crate) struct S3Answer {
    pub(crate) status: u16,
    /// As it is to be handed on: the length of the body stands in it.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl S3Answer {
    /// Reads it; `None` if it breaks off.
    pub(crate) fn read(stream: &mut impl BufRead, head_only: bool) -> Option<Self> {
        let (line, mut fields) = read_head(stream)?;
        let status = line.split(' ').nth(1)?.parse().ok()?;
        let mut body = Vec::new();
        let bodiless = head_only || status == 204 || status == 304;
        if let Some(length) = field(&fields, "content-length").filter(|_| !bodiless) {
            body = vec![0; length.parse().ok()?];
            stream.read_exact(&mut body).ok()?;
        } else if field(&fields, "transfer-encoding").is_some() {
            read_chunks(stream, &mut body)?;
            fields.retain(|(name, _)| name != "transfer-encoding");
            fields.push(("content-length".to_owned(), body.len().to_string()));
        }
        Some(Self { status, head: head(&line, fields.iter()), body })
    }

    /// As it is handed on.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        [self.head.as_bytes(), &self.body].concat()
    }
}

fn read_chunks(stream: &mut impl BufRead, body: &mut Vec<u8>) -> Option<()> {
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).ok()?;
        let length = u64::from_str_radix(line.trim_end(), 16).ok()?;
        stream.take(length).read_to_end(body).ok()?;
        // After the last one there would be trailers; S3 sends none.
        stream.read_line(&mut String::new()).ok()?;
        if length == 0 {
            return Some(());
        }
    }
}

fn field<'f>(fields: &'f [(String, String)], name: &str) -> Option<&'f str> {
    fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

fn head<'f>(line: &str, fields: impl Iterator<Item = &'f (String, String)>) -> String {
    let fields: String = fields.map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("{line}\r\n{fields}\r\n")
}
