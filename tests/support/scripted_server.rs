//! An HTTP server that plays a script: what it is asked it writes down, what it answers is given.
//!
//! For what a real S3 server does only on its worst days. One thread, one connection at a time; the
//! script's end is the server's end.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// The line that ends a script.
const QUIT: &str = "QUIT";

/// How long a connection may be silent before the next one is taken.
const PATIENCE: Duration = Duration::from_secs(3);

/// What to do with one request.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Answer, and keep the connection.
    Answer(String),
    /// Answer, and close the connection.
    Last(String),
    /// Close the connection without an answer.
    Hang,
    /// Answer, and then be silent until the other side gives up.
    Stall(String),
}

/// One request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// Method and target.
    pub(crate) line: String,
    /// Header lines, names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// Number of the connection it came on, from 0.
    pub(crate) connection: usize,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

pub(crate) struct ScriptedServer {
    address: SocketAddr,
    thread: JoinHandle<Vec<Asked>>,
}

impl ScriptedServer {
    pub(crate) fn start(script: Vec<Step>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let play = move || play(&listener, script);
        let thread = thread::Builder::new().name("script".to_owned()).spawn(play).unwrap();
        Self { address, thread }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// Everything it was asked. Ends a script that is not at its end, so that a request that never
    /// came is a failed assertion and not a test that never ends.
    pub(crate) fn asked(self) -> Vec<Asked> {
        if let Ok(mut stream) = TcpStream::connect(self.address) {
            let _ = stream.write_all(format!("{QUIT}\r\n\r\n").as_bytes());
        }
        self.thread.join().unwrap()
    }
}

/// An answer with this status, these header lines and this body.
pub(crate) fn answer(status: u16, headers: &[&str], body: &str) -> String {
    let mut text = format!("HTTP/1.1 {status} Word\r\ncontent-length: {}\r\n", body.len());
    for line in headers {
        text += &format!("{line}\r\n");
    }
    format!("{text}\r\n{body}")
}

/// An error as S3 words it.
pub(crate) fn error(status: u16, code: &str) -> String {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <Error><Code>{code}</Code><Message>what S3 says of it</Message></Error>"
    );
    answer(status, &[], &body)
}

fn play(listener: &TcpListener, script: Vec<Step>) -> Vec<Asked> {
    let mut asked = Vec::new();
    let mut open: Option<BufReader<TcpStream>> = None;
    let mut connections = 0;
    for step in script {
        // A connection that the other side has closed reads as no request: take the next one.
        let request = loop {
            let stream = open.get_or_insert_with(|| {
                connections += 1;
                let (stream, _) = listener.accept().unwrap();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                BufReader::new(stream)
            });
            match read_request(stream, connections - 1) {
                Some(request) if request.line == QUIT => return asked,
                Some(request) => break request,
                None => open = None,
            }
        };
        asked.push(request);
        let mut write = |text: &str| {
            let _ = open.as_mut().unwrap().get_mut().write_all(text.as_bytes());
        };
        match step {
            Step::Answer(text) => write(&text),
            Step::Last(text) => {
                write(&text);
                open = None;
            }
            Step::Hang => open = None,
            Step::Stall(text) => {
                write(&text);
                let mut rest = Vec::new();
                let _ = open.take().unwrap().read_to_end(&mut rest);
            }
        }
    }
    asked
}

/// The first line and the fields of a head, names in lower case; `None` if it ends early.
pub(super) fn read_head(stream: &mut impl BufRead) -> Option<(String, Vec<(String, String)>)> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end().to_owned();
        if line.is_empty() {
            break;
        }
        lines.push(line);
    }
    let fields = lines[1..]
        .iter()
        .map(|line| line.split_once(':').unwrap())
        .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
        .collect();
    Some((lines.swap_remove(0), fields))
}

fn read_request(stream: &mut BufReader<TcpStream>, connection: usize) -> Option<Asked> {
    let (line, headers) = read_head(stream)?;
    let line = line.trim_end_matches(" HTTP/1.1").to_owned();
    let mut asked = Asked { line, headers, body: Vec::new(), connection };
    let length = asked.header("content-length").map_or(0, |length| length.parse().unwrap());
    if asked.header("expect").is_some() {
        stream.get_mut().write_all(b"HTTP/1.1 100 Continue\r\n\r\n").unwrap();
    }
    asked.body = vec![0; length];
    stream.read_exact(&mut asked.body).ok()?;
    Some(asked)
}
