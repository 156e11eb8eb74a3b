//! TLS before a server that speaks none: ends it, and passes on what was said.
//!
//! A thread for each direction of each connection; they end with the connection, at the latest with
//! the test's process.

use super::certificates::Identity;
use rustls::crypto::ring;
use rustls::server::WantsServerCert;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::{TLS12, TLS13};
use rustls::{ConfigBuilder, RootCertStore, ServerConfig, ServerConnection};
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

pub(crate) struct TlsFront {
    address: SocketAddr,
    config: Arc<Mutex<Arc<ServerConfig>>>,
}

impl TlsFront {
    /// TLS 1.2 and 1.3 with this certificate, before the server at `port`.
    pub(crate) fn start(port: u16, identity: &Identity) -> Self {
        Self::start_with(port, config(identity))
    }

    /// TLS of this configuration before the server at `port`.
    pub(crate) fn start_with(port: u16, config: ServerConfig) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let config = Arc::new(Mutex::new(Arc::new(config)));
        let shown = Arc::clone(&config);
        begin("tls-front", move || {
            for client in listener.incoming() {
                let Ok(client) = client else { return };
                let config = Arc::clone(&shown.lock().unwrap());
                // What a client does with a connection is the client's business.
                begin("tls-front-requests", move || drop(serve(&client, config, port)));
            }
        });
        Self { address, config }
    }

    /// Shows another certificate to those who come from now on.
    pub(crate) fn show(&self, identity: &Identity) {
        *self.config.lock().unwrap() = Arc::new(config(identity));
    }

    /// Its address under this name of the machine.
    pub(crate) fn url(&self, host: &str) -> String {
        format!("https://{host}:{}", self.address.port())
    }
}

fn config(identity: &Identity) -> ServerConfig {
    with_identity(versions(&[&TLS12, &TLS13]).with_no_client_auth(), identity)
}

/// TLS of this version only.
pub(crate) fn only(
    version: &'static rustls::SupportedProtocolVersion,
    identity: &Identity,
) -> ServerConfig {
    with_identity(versions(&[version]).with_no_client_auth(), identity)
}

/// TLS of this version only, for clients that show a certificate.
pub(crate) fn asking_for_certificates(
    version: &'static rustls::SupportedProtocolVersion,
    identity: &Identity,
) -> ServerConfig {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(identity.chain());
    let provider = Arc::new(ring::default_provider());
    let verifier =
        rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .unwrap();
    with_identity(versions(&[version]).with_client_cert_verifier(verifier), identity)
}

fn versions(
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> ConfigBuilder<ServerConfig, rustls::WantsVerifier> {
    let provider = Arc::new(ring::default_provider());
    ServerConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap()
}

fn with_identity(
    builder: ConfigBuilder<ServerConfig, WantsServerCert>,
    identity: &Identity,
) -> ServerConfig {
    // Not `with_single_cert`: it would not take a stolen certificate without its key.
    let key = ring::sign::any_supported_type(&identity.private_key()).unwrap();
    let shown = SingleCertAndKey::from(CertifiedKey::new(identity.chain(), key));
    builder.with_cert_resolver(Arc::new(shown))
}

fn serve(mut client: &TcpStream, config: Arc<ServerConfig>, port: u16) -> io::Result<()> {
    let mut conn = ServerConnection::new(config).map_err(io::Error::other)?;
    if let Err(error) = conn.complete_io(&mut client) {
        return hang_up(client, error);
    }
    let mut server = TcpStream::connect(("127.0.0.1", port))?;
    let conn = Arc::new(Mutex::new(conn));
    let answers = (Arc::clone(&conn), client.try_clone()?, server.try_clone()?);
    begin("tls-front-answers", move || {
        let (conn, client, server) = answers;
        drop(answer(&conn, &client, &server));
        let _ = client.shutdown(Shutdown::Both);
    });
    let mut buffer = vec![0; 16 * 1024];
    // Some of the request may have come with the handshake's end.
    let mut sealed = &buffer[..0];
    loop {
        let mut plain = Vec::new();
        {
            let mut conn = conn.lock().unwrap();
            while !sealed.is_empty() {
                conn.read_tls(&mut sealed)?;
                conn.process_new_packets().map_err(io::Error::other)?;
                // There is nothing more for now, or for ever; that is seen below.
                let _ = conn.reader().read_to_end(&mut plain);
            }
            let _ = conn.reader().read_to_end(&mut plain);
        }
        server.write_all(&plain)?;
        let count = client.read(&mut buffer)?;
        if count == 0 {
            return server.shutdown(Shutdown::Both);
        }
        sealed = &buffer[..count];
    }
}

/// Passes on what the server says, until it says no more.
fn answer(
    conn: &Mutex<ServerConnection>,
    mut client: &TcpStream,
    mut server: &TcpStream,
) -> io::Result<()> {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let count = server.read(&mut buffer)?;
        let mut conn = conn.lock().unwrap();
        match count {
            0 => conn.send_close_notify(),
            count => conn.writer().write_all(&buffer[..count])?,
        }
        while conn.wants_write() {
            conn.write_tls(&mut client)?;
        }
        if count == 0 {
            return Ok(());
        }
    }
}

/// Closes so that the last thing said is heard: what the client still sends is taken first.
fn hang_up(mut client: &TcpStream, error: io::Error) -> io::Result<()> {
    client.shutdown(Shutdown::Write)?;
    let _ = io::copy(&mut client, &mut io::sink());
    Err(error)
}

/// A server that says the same to everybody who says something, and closes. Returns its port.
pub(crate) fn saying(answer: &'static [u8]) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    begin("saying", move || {
        for client in listener.incoming() {
            let Ok(mut client) = client else { return };
            if client.read(&mut [0; 1024]).is_ok() && client.write_all(answer).is_ok() {
                let _ = hang_up(&client, io::ErrorKind::Other.into());
            }
        }
    });
    port
}

fn begin(name: &str, run: impl FnOnce() + Send + 'static) {
    thread::Builder::new().name(name.to_owned()).spawn(run).unwrap();
}
