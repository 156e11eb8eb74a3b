//! A client that speaks TLS by hand, and may stop in the middle of it.

use super::certificates::Authority;
use super::connection::{Connection, socket_to};
use super::server::Server;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion,
};
use std::io::Write as _;
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;

/// A TLS connection's two ends in one.
pub(crate) type TlsStream = StreamOwned<ClientConnection, TcpStream>;

/// Who knows a server by its CA.
pub(crate) struct TlsPeer {
    tls12: Arc<ClientConfig>,
    tls13: Arc<ClientConfig>,
}

impl TlsPeer {
    /// Gives a server that is not yet started a certificate, which this peer believes.
    pub(crate) fn of(server: &mut Server) -> Self {
        let authority = Authority::new(&server.folder(), "an authority");
        let identity = authority.issue(&server.folder(), &["127.0.0.1"]);
        server.tls = format!(
            "{{ enabled: true, cert_file: {:?}, key_file: {:?} }}",
            identity.cert, identity.key
        );
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&authority.cert).unwrap()).unwrap();
        let config = |version: &'static SupportedProtocolVersion| {
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let builder = ClientConfig::builder_with_provider(provider);
            let builder = builder.with_protocol_versions(&[version]).unwrap();
            let builder = builder.with_root_certificates(roots.clone());
            Arc::new(builder.with_no_client_auth())
        };
        Self { tls12: config(&TLS12), tls13: config(&TLS13) }
    }

    /// A connection by TLS 1.3.
    pub(crate) fn connect(&self, port: u16) -> Connection<TlsStream> {
        Connection::over(StreamOwned::new(begin(&self.tls13), socket_to(port)))
    }

    /// A connection by TLS 1.2.
    pub(crate) fn connect_by_tls12(&self, port: u16) -> Connection<TlsStream> {
        Connection::over(StreamOwned::new(begin(&self.tls12), socket_to(port)))
    }

    /// The first message of a connection.
    pub(crate) fn hello(&self) -> Vec<u8> {
        let mut hello = Vec::new();
        begin(&self.tls13).write_tls(&mut hello).unwrap();
        hello
    }
}

fn begin(config: &Arc<ClientConfig>) -> ClientConnection {
    let name = ServerName::try_from("127.0.0.1").unwrap();
    ClientConnection::new(Arc::clone(config), name).unwrap()
}

impl Connection<TlsStream> {
    /// Says, within TLS, that no more will come.
    pub(crate) fn say_farewell(&mut self) {
        self.stream_mut().conn.send_close_notify();
        self.stream_mut().flush().unwrap();
    }

    /// Says something and takes leave, all in one piece.
    pub(crate) fn say_last(&mut self, bytes: &[u8]) {
        self.stream_mut().conn.writer().write_all(bytes).unwrap();
        self.say_farewell();
    }

    /// Ends its direction of the connection, without TLS's farewell.
    pub(crate) fn half_close(&mut self) {
        self.stream_mut().sock.shutdown(Shutdown::Write).unwrap();
    }
}
