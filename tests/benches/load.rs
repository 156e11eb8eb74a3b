//! The load: uploads over kept-alive connections, as cheap for the sender as can be.

use crate::server::ServerKind;
use crate::servers::CERTIFICATE;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use s3up::wire::{field, route};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::sync::Arc;

/// What every key in the store begins with.
pub(crate) const PATH_PREFIX: &str = "bench/";
/// The one client of the servers under test ...
pub(crate) const CLIENT: &str = "web";
/// ... and its key.
pub(crate) const KEY: &str = "sk_test_0123456789abcdef0123456789abcdef";

const BOUNDARY: &str = "----------------------------0123456789abcdef";

/// Files are made of this much, again and again, in bytes.
const BLOCK_BYTES: usize = 256 * 1024;

/// What is measured of a load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Measure {
    Uploads,
    Megabytes,
}

/// Files that are uploaded, over some connections at once.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    pub(crate) name: String,
    pub(crate) measure: Measure,
    connections: u64,
    files_each: u64,
    file_bytes: u64,
}

impl Load {
    /// All loads; of small files so many.
    pub(crate) fn all(uploads: u64) -> Vec<Self> {
        let mib = 1024 * 1024;
        let load = |name: &str, measure, connections, files_each, file_bytes| Self {
            name: name.to_owned(),
            measure,
            connections,
            files_each,
            file_bytes,
        };
        vec![
            load("4 KiB over 8 connections", Measure::Uploads, 8, uploads.div_ceil(8), 4096),
            load("256 MiB over 1 connection", Measure::Megabytes, 1, 4, 256 * mib),
            load("32 MiB over 8 connections", Measure::Megabytes, 8, 4, 32 * mib),
        ]
    }

    /// A little of the same.
    pub(crate) fn warm_up(&self) -> Self {
        Self { files_each: self.files_each.div_ceil(8), ..self.clone() }
    }

    /// How much it is, in its measure.
    pub(crate) fn amount(&self) -> f64 {
        let files = self.connections * self.files_each;
        match self.measure {
            Measure::Uploads => files as f64,
            Measure::Megabytes => (files * self.file_bytes) as f64 / 1e6,
        }
    }

    /// What stands before the file's content, and what after.
    fn frame(&self, file: u64) -> (Vec<u8>, Vec<u8>) {
        let form = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{}\"\r\n\r\nfolder/{file:04}.bin\r\n\
             --{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{}\"; filename=\"file\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n",
            field::PATH,
            field::FILE
        );
        let end = format!("\r\n--{BOUNDARY}--\r\n");
        let length = form.len() as u64 + self.file_bytes + end.len() as u64;
        let head = format!(
            "POST {} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: bench\r\nAccept: */*\r\n\
             Authorization: Bearer {KEY}\r\n\
             Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n\
             Content-Length: {length}\r\n\r\n{form}",
            route::UPLOAD
        );
        (head.into_bytes(), end.into_bytes())
    }
}

/// Where the load goes.
pub(crate) struct Target {
    port: u16,
    tls: Option<Arc<ClientConfig>>,
    block: Vec<u8>,
}

trait Bytes: Read + Write + Send {}

impl<T: Read + Write + Send> Bytes for T {}

/// One connection, proven by an upload.
pub(crate) struct Connection {
    bytes: Box<dyn Bytes>,
    /// Which file it sends, again and again.
    file: u64,
    received: Vec<u8>,
}

impl Target {
    /// The server of this kind on this port.
    pub(crate) fn new(port: u16, kind: ServerKind, folder: &Path) -> Self {
        let tls = (kind == ServerKind::GateTls).then(|| {
            let mut roots = RootCertStore::empty();
            let certificate = CertificateDer::from_pem_file(folder.join(CERTIFICATE)).unwrap();
            roots.add(certificate).unwrap();
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let config = ClientConfig::builder_with_provider(provider)
                .with_protocol_versions(&[&rustls::version::TLS13])
                .unwrap();
            Arc::new(config.with_root_certificates(roots).with_no_client_auth())
        });
        let mut block = vec![0; BLOCK_BYTES];
        getrandom::fill(&mut block).unwrap();
        Self { port, tls, block }
    }

    /// Sends all files, each connection its own, all connections at once.
    pub(crate) fn run(&self, load: &Load) {
        // One after the other, each proven: `tiny_http` leaves some of a burst without a thread.
        let connections: Vec<_> =
            (0..load.connections).map(|file| self.connect_for(load, file)).collect();
        std::thread::scope(|scope| {
            for mut connection in connections {
                scope.spawn(move || {
                    for _ in 0..load.files_each {
                        connection.upload(load, &self.block);
                    }
                });
            }
        });
    }

    /// A connection over which a small file was uploaded.
    pub(crate) fn connect(&self, load: &Load) -> Connection {
        self.connect_for(load, 0)
    }

    /// One for a file of its own, as those of others would have to wait for their turn.
    fn connect_for(&self, load: &Load, file: u64) -> Connection {
        let socket = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).unwrap();
        socket.set_nodelay(true).unwrap();
        let bytes: Box<dyn Bytes> = match &self.tls {
            None => Box::new(socket),
            Some(config) => {
                let name = ServerName::try_from("localhost").unwrap();
                let session = ClientConnection::new(Arc::clone(config), name).unwrap();
                Box::new(StreamOwned::new(session, socket))
            }
        };
        let mut connection = Connection { bytes, file, received: Vec::new() };
        connection.upload(&Load { file_bytes: 4096, ..load.clone() }, &self.block);
        connection
    }
}

impl Connection {
    fn upload(&mut self, load: &Load, block: &[u8]) {
        let (mut before, after) = load.frame(self.file);
        let mut left = load.file_bytes as usize;
        if left <= block.len() {
            // In one piece, as a client would.
            before.extend_from_slice(&block[..left]);
            before.extend_from_slice(&after);
            self.bytes.write_all(&before).unwrap();
        } else {
            self.bytes.write_all(&before).unwrap();
            while left > 0 {
                let piece = &block[..left.min(block.len())];
                self.bytes.write_all(piece).unwrap();
                left -= piece.len();
            }
            self.bytes.write_all(&after).unwrap();
        }
        self.bytes.flush().unwrap();
        self.read_answer();
    }

    fn read_answer(&mut self) {
        self.received.clear();
        let mut piece = [0; 4096];
        loop {
            let count = self.bytes.read(&mut piece).unwrap();
            assert!(count > 0, "the server has closed the connection");
            self.received.extend_from_slice(&piece[..count]);
            let mut room = [httparse::EMPTY_HEADER; 32];
            let mut response = httparse::Response::new(&mut room);
            let httparse::Status::Complete(head) = response.parse(&self.received).unwrap() else {
                continue;
            };
            assert_eq!(response.code, Some(200), "{}", String::from_utf8_lossy(&self.received));
            let mut headers = response.headers.iter();
            let length =
                headers.find(|header| header.name.eq_ignore_ascii_case("Content-Length")).unwrap();
            let length: usize = std::str::from_utf8(length.value).unwrap().parse().unwrap();
            if self.received.len() >= head + length {
                return;
            }
        }
    }
}
