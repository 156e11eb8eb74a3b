//! A proxy as companies have them: it takes `CONNECT`, and writes down what it was asked.
//!
//! Wherever somebody wants to go, they get to one server. Its threads end with the connections, at
//! the latest with the test's process.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

pub(crate) struct ConnectProxy {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl ConnectProxy {
    /// A proxy to the server at `port`.
    pub(crate) fn start(port: u16) -> Self {
        Self::with(move |_| Some(port))
    }

    /// A proxy that lets nobody through.
    pub(crate) fn refusing() -> Self {
        Self::with(|_| None)
    }

    /// A proxy to the server at `port` for those whose head has this line.
    pub(crate) fn for_those_with(line: &'static str, port: u16) -> Self {
        let knows = move |head: &str| head.lines().any(|known| known.eq_ignore_ascii_case(line));
        Self::with(move |head| knows(head).then_some(port))
    }

    fn with(way: impl Fn(&str) -> Option<u16> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(vec![]));
        let (notes, way) = (Arc::clone(&asked), Arc::new(way));
        begin("proxy", move || {
            for client in listener.incoming() {
                let Ok(client) = client else { return };
                let (notes, way) = (Arc::clone(&notes), Arc::clone(&way));
                // How a connection ends is its peers' business.
                begin("proxy-requests", move || drop(serve(client, &notes, way.as_ref())));
            }
        });
        Self { address, asked }
    }

    /// What a variable has to say to name it.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The same with user and password.
    pub(crate) fn url_with(&self, user_and_password: &str) -> String {
        format!("http://{user_and_password}@{}", self.address)
    }

    /// First lines of all it was asked so far, each different one once.
    pub(crate) fn asked(&self) -> Vec<String> {
        let mut asked = self.asked.lock().unwrap().clone();
        asked.dedup();
        asked
    }
}

fn serve(
    client: TcpStream,
    notes: &Mutex<Vec<String>>,
    way: &dyn Fn(&str) -> Option<u16>,
) -> io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Ok(());
        }
    }
    notes.lock().unwrap().push(head.lines().next().unwrap_or_default().to_owned());
    let Some(port) = way(&head) else {
        let mut client = client;
        client.write_all(b"HTTP/1.1 407 No\r\nproxy-authenticate: Basic\r\n\r\n")?;
        return client.shutdown(Shutdown::Write);
    };
    let server = TcpStream::connect(("127.0.0.1", port))?;
    (&client).write_all(b"HTTP/1.1 200 Established\r\n\r\n")?;
    let (answers, back) = (server.try_clone()?, client);
    begin("proxy-answers", move || pump(answers, &back));
    pump(reader, &server);
    Ok(())
}

fn pump(mut from: impl io::Read, mut to: &TcpStream) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}

fn begin(name: &str, run: impl FnOnce() + Send + 'static) {
    thread::Builder::new().name(name.to_owned()).spawn(run).unwrap();
}
