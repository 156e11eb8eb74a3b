//! Sends small files to a server over TLS, as cheaply as a sender can.
//!
//! `tests/acceptance/data_path.py` runs it: on few cores, what the sender takes is missing to the server
//! and to its store. All requests are prepared and all connections open before the clock starts; it
//! stops with the last answer. Prints the seconds, and the CPU seconds of the sending threads.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark prints its results, and one that cannot go on stops"
)]

use argh::FromArgs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use s3up::clock;
use s3up::digest::Digest;
use s3up::wire::{field, route};
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Barrier};
use std::thread;

const BOUNDARY: &str = "----where-one-part-ends";

/// Upload the files of a folder to a server on this machine.
#[derive(FromArgs)]
struct Arguments {
    /// the server's port
    #[argh(option)]
    port: u16,
    /// its certificate, for localhost, as a PEM file
    #[argh(option)]
    certificate: PathBuf,
    /// the client's API key
    #[argh(option)]
    key: String,
    /// the folder; what is in it are files
    #[argh(option)]
    folder: PathBuf,
    /// the remote folder
    #[argh(option)]
    prefix: String,
    /// over how many connections at once
    #[argh(option)]
    connections: usize,
    /// given by `cargo bench`
    #[argh(switch)]
    #[expect(dead_code, reason = "says nothing new")]
    bench: bool,
}

type Connection = StreamOwned<ClientConnection, TcpStream>;

fn main() {
    let arguments: Arguments = argh::from_env();
    let requests = requests(&arguments);
    let tls = trusting(&arguments.certificate);
    let connections: Vec<_> =
        (0..arguments.connections).map(|_| connect(arguments.port, Arc::clone(&tls))).collect();
    let ready = Barrier::new(connections.len() + 1);
    let send = |number, mut connection| {
        let mine = requests.iter().skip(number).step_by(arguments.connections);
        // Before and after the clock is read.
        ready.wait();
        ready.wait();
        let before = own_cpu_seconds();
        mine.for_each(|request| exchange(&mut connection, request));
        own_cpu_seconds() - before
    };
    let (begun, cpu) = thread::scope(|scope| {
        let senders: Vec<_> = connections
            .into_iter()
            .enumerate()
            .map(|(number, connection)| scope.spawn(move || send(number, connection)))
            .collect();
        ready.wait();
        let begun = clock::monotonic();
        ready.wait();
        (begun, senders.into_iter().map(|sender| sender.join().unwrap()).sum::<f64>())
    });
    println!("{:.4} s, {cpu:.4} s of CPU", (clock::monotonic() - begun).as_secs_f64());
}

/// A request for each file, by their names.
fn requests(arguments: &Arguments) -> Vec<Vec<u8>> {
    let mut paths: Vec<_> =
        fs::read_dir(&arguments.folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| request(path, arguments)).collect()
}

fn request(path: &Path, Arguments { key, prefix, .. }: &Arguments) -> Vec<u8> {
    let content = fs::read(path).unwrap();
    let name = path.file_name().unwrap().to_str().unwrap();
    let part = |name| format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"");
    let form = format!(
        "{}\r\n\r\n{prefix}/{name}\r\n{}\r\n\r\n{}\r\n{}; filename=\"f\"\r\n\r\n",
        part(field::PATH),
        part(field::SHA256),
        Digest::of(&content),
        part(field::FILE)
    );
    let end = format!("\r\n--{BOUNDARY}--\r\n");
    let length = form.len() + content.len() + end.len();
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n\
         Content-Type: multipart/form-data; boundary={BOUNDARY}\r\nContent-Length: {length}\r\n\r\n",
        route::UPLOAD
    );
    [head.as_bytes(), form.as_bytes(), &content, end.as_bytes()].concat()
}

fn trusting(certificate: &Path) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(certificate).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider);
    let config = config.with_safe_default_protocol_versions().unwrap();
    Arc::new(config.with_root_certificates(roots).with_no_client_auth())
}

/// A connection, its handshake done.
fn connect(port: u16, tls: Arc<ClientConfig>) -> Connection {
    let mut socket = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    socket.set_nodelay(true).unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let mut session = ClientConnection::new(tls, name).unwrap();
    while session.is_handshaking() {
        session.complete_io(&mut socket).unwrap();
    }
    StreamOwned::new(session, socket)
}

/// Sends a request and takes its answer, which must say that the file was stored.
fn exchange(connection: &mut Connection, request: &[u8]) {
    connection.write_all(request).unwrap();
    connection.flush().unwrap();
    let (mut received, mut known) = ([0; 4096], 0);
    loop {
        let count = connection.read(&mut received[known..]).unwrap();
        assert!(count > 0, "the server has closed the connection, or says too much");
        known += count;
        let mut room = [httparse::EMPTY_HEADER; 32];
        let mut response = httparse::Response::new(&mut room);
        let httparse::Status::Complete(head) = response.parse(&received[..known]).unwrap() else {
            continue;
        };
        let answer = || String::from_utf8_lossy(&received[..known]);
        assert_eq!(response.code, Some(200), "{}", answer());
        let mut headers = response.headers.iter();
        let length = headers.find(|header| header.name.eq_ignore_ascii_case("Content-Length"));
        let length = std::str::from_utf8(length.unwrap().value).unwrap().parse::<usize>().unwrap();
        if known >= head + length {
            return;
        }
    }
}

/// CPU time of this thread so far: the first field is in nanoseconds (`sched-stats.rst` of Linux).
fn own_cpu_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    stat.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e9
}
