//! What a server cannot do without: one pass of TLS over what it receives, and its SHA-256.
//!
//! `cargo bench --bench tls_digest` has a bare receiver take 1 GiB over loopback, and prints the CPU
//! time of its thread. What our server costs for a large upload is compared with it
//! (`tests/acceptance/data_path.py`). Sender and receiver are two threads; only the receiver counts.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark prints its results, and one that cannot go on stops"
)]

use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};
use s3up::digest::{Digest, Hasher};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

/// How much is sent.
const BYTES: u64 = 1 << 30;

/// Size of a piece, in bytes, for sender and receiver; [`BYTES`] is a multiple of it.
const PIECE: usize = 128 * 1024;

fn main() {
    let (server, client) = configurations();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (digest, cpu) = thread::scope(|scope| {
        let receiver = scope.spawn(move || receive(&listener.accept().unwrap().0, server));
        let name = ServerName::try_from("localhost").unwrap();
        let connection = ClientConnection::new(client, name).unwrap();
        send(&TcpStream::connect(address).unwrap(), connection);
        receiver.join().unwrap()
    });
    println!("{:.3} CPU-s a GB: TLS 1.3 and SHA-256 ({digest})", cpu / (BYTES as f64 / 1e9));
}

/// Two sides that trust each other, with the cryptography that ships.
fn configurations() -> (Arc<ServerConfig>, Arc<ClientConfig>) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let cert = made.cert.der().clone();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let server = ServerConfig::builder_with_provider(Arc::clone(&provider));
    let server = server.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let mut roots = RootCertStore::empty();
    roots.add(cert.clone()).unwrap();
    let client = ClientConfig::builder_with_provider(provider);
    let client = client.with_safe_default_protocol_versions().unwrap();
    (
        Arc::new(server.with_single_cert(vec![cert], key).unwrap()),
        Arc::new(client.with_root_certificates(roots).with_no_client_auth()),
    )
}

fn send(mut socket: &TcpStream, mut connection: ClientConnection) {
    let mut stream = rustls::Stream::new(&mut connection, &mut socket);
    let piece: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..)).take(PIECE).collect();
    for _ in 0..BYTES / PIECE as u64 {
        stream.write_all(&piece).unwrap();
    }
    stream.flush().unwrap();
    // Stays until the receiver has gone: leaving with its session tickets unread would be a reset. That
    // it goes without a farewell is no matter.
    let _ = stream.read(&mut [0]);
}

/// Receives everything; returns the digest of it and the CPU seconds that this thread took.
fn receive(mut socket: &TcpStream, server: Arc<ServerConfig>) -> (Digest, f64) {
    let before = own_cpu_seconds();
    let mut connection = ServerConnection::new(server).unwrap();
    let mut stream = rustls::Stream::new(&mut connection, &mut socket);
    let mut hasher = Hasher::new();
    let mut piece = vec![0; PIECE];
    let mut left = BYTES;
    while left > 0 {
        let count = stream.read(&mut piece).unwrap();
        assert_ne!(count, 0, "the sender has gone");
        hasher.update(&piece[..count]);
        left -= count as u64;
    }
    (hasher.finish(), own_cpu_seconds() - before)
}

/// CPU time of this thread so far: the first field is in nanoseconds (`sched-stats.rst` of Linux).
fn own_cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    stat.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e9
}
