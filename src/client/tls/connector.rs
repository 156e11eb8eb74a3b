//! Joins `rustls` to `ureq`: encrypts the connections that `ureq` opens.
//!
//! Runs on the uploader's threads. It owns nothing but the shared configuration. `ureq` has a
//! connector of its own, but that takes no verifier from outside. This is the only module that knows
//! how a TLS failure hides in an error of `ureq`.

use crate::client::tls::explain::{self, Explanation};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::sync::Arc;
use ureq::unversioned::transport::time::{Duration, Instant};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport, TransportAdapter,
};

/// Makes a TLS connection of each connection it is given.
#[derive(Debug)]
pub struct TlsConnector {
    config: Arc<ClientConfig>,
}

/// An encrypted connection.
pub struct TlsTransport {
    stream: StreamOwned<ClientConnection, TransportAdapter>,
    buffers: LazyBuffers,
}

/// Why a handshake failed.
#[derive(Debug, thiserror::Error)]
enum HandshakeError {
    #[error("TLS handshake: {0}")]
    Tls(rustls::Error),
    #[error("TLS handshake: {0}")]
    Cut(io::Error),
    #[error("TLS handshake: no answer in time")]
    Silence,
    #[error("TLS handshake: {0:?} is not a server's name")]
    Name(String),
}

/// The TLS failure in an error of `ureq`, in words; `None` if it is something else.
pub fn explain(error: &ureq::Error) -> Option<Explanation> {
    match error {
        ureq::Error::Other(error) => Some(match error.downcast_ref()? {
            HandshakeError::Tls(error) => explain::explain(error),
            HandshakeError::Cut(error) => explain::cut(error),
            HandshakeError::Silence => explain::silence(),
            HandshakeError::Name(host) => explain::unnameable(host),
        }),
        ureq::Error::Io(error) => tls_error(error).map(explain::explain),
        _ => None,
    }
}

fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

impl TlsConnector {
    /// Connections of this configuration.
    pub fn new(config: ClientConfig) -> Self {
        Self { config: Arc::new(config) }
    }

    fn shake_hands(
        &self,
        details: &ConnectionDetails<'_>,
        transport: Box<dyn Transport>,
    ) -> Result<StreamOwned<ClientConnection, TransportAdapter>, HandshakeError> {
        let name = server_name(details.uri.host().unwrap_or_default())?;
        let config = Arc::clone(&self.config);
        let mut conn = ClientConnection::new(config, name).map_err(HandshakeError::Tls)?;
        let mut sock = TransportAdapter::new(transport, Arc::clone(&details.current_time));
        sock.set_timeout(rest(details.timeout, details.now, (details.current_time)()));
        conn.complete_io(&mut sock).map_err(handshake_error)?;
        Ok(StreamOwned { conn, sock })
    }
}

/// The name or address that the certificate has to be for. An IPv6 address stands in brackets.
fn server_name(host: &str) -> Result<ServerName<'static>, HandshakeError> {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    ServerName::try_from(bare.to_owned()).map_err(|_| HandshakeError::Name(host.to_owned()))
}

/// What is left `now` of a timeout that began at `begun`: TCP has used up some of it.
fn rest(mut timeout: NextTimeout, begun: Instant, now: Instant) -> NextTimeout {
    if let (Duration::Exact(all), Instant::Exact(begun), Instant::Exact(now)) =
        (timeout.after, begun, now)
    {
        timeout.after = all.saturating_sub(now.saturating_duration_since(begun)).into();
    }
    timeout
}

fn handshake_error(error: io::Error) -> HandshakeError {
    if let Some(error) = tls_error(&error) {
        return HandshakeError::Tls(error.clone());
    }
    match ureq::Error::from(error) {
        ureq::Error::Timeout(_) => HandshakeError::Silence,
        error => HandshakeError::Cut(error.into_io()),
    }
}

impl<In: Transport> Connector<In> for TlsConnector {
    type Out = TlsTransport;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<TlsTransport>, ureq::Error> {
        let Some(transport) = chained else { return Ok(None) };
        let stream = self
            .shake_hands(details, transport.boxed())
            .map_err(|error| ureq::Error::Other(Box::new(error)))?;
        let config = details.config;
        let buffers = LazyBuffers::new(config.input_buffer_size(), config.output_buffer_size());
        Ok(Some(TlsTransport { stream, buffers }))
    }
}

impl Transport for TlsTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        self.stream.sock.set_timeout(timeout);
        self.stream.write_all(&self.buffers.output()[..amount])?;
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        self.stream.sock.set_timeout(timeout);
        let amount = self.stream.read(self.buffers.input_append_buf())?;
        self.buffers.input_appended(amount);
        Ok(amount > 0)
    }

    fn is_open(&mut self) -> bool {
        self.stream.sock.get_mut().is_open()
    }

    fn is_tls(&self) -> bool {
        true
    }
}

impl fmt::Debug for TlsTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsTransport").field("over", self.stream.sock.get_ref()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;
    use std::time;

    #[test]
    fn name_lookup_and_tcp_leave_the_rest_of_the_time_to_the_handshake() {
        let second = time::Duration::from_secs;
        let begun = clock::monotonic();
        let check = |after: Duration, begun, now, left: Duration| {
            let timeout = NextTimeout { after, ..NextTimeout::default() };
            assert_eq!(rest(timeout, begun, now), NextTimeout { after: left, ..timeout });
        };
        let at = |seconds| Instant::Exact(begun + second(seconds));
        check(second(10).into(), at(0), at(4), second(6).into());
        check(second(10).into(), at(0), at(11), second(0).into());
        check(second(10).into(), at(1), at(0), second(10).into());
        check(Duration::NotHappening, at(0), at(4), Duration::NotHappening);
        check(second(10).into(), at(0), Instant::NotHappening, second(10).into());
    }

    #[test]
    fn a_certificate_is_asked_for_by_name_or_address() {
        for (host, name) in [
            ("backup.example.com", "backup.example.com"),
            ("127.0.0.1", "127.0.0.1"),
            ("[2001:db8::1]", "2001:db8::1"),
        ] {
            let asked = server_name(host).unwrap();
            assert_eq!(asked.to_str(), name);
            let by_address = matches!(asked, ServerName::IpAddress(_));
            assert_eq!(by_address, host != "backup.example.com");
        }
        for host in ["", "a..b", "[a.example]]"] {
            assert!(server_name(host).is_err(), "{host}");
        }
    }

    #[test]
    fn a_failure_of_the_connection_is_told_from_one_of_tls() {
        let found = |error: ureq::Error| explain(&error).map(|explanation| explanation.what);
        assert_eq!(found(ureq::Error::HostNotFound), None);
        assert_eq!(found(ureq::Error::Io(io::ErrorKind::ConnectionRefused.into())), None);
        assert_eq!(found(ureq::Error::Other("something else".into())), None);
        let inner = rustls::Error::DecryptError;
        let later = io::Error::new(io::ErrorKind::InvalidData, inner.clone());
        assert_eq!(found(later.into()), Some(explain::explain(&inner).what));
        for (error, what) in [
            (io::Error::new(io::ErrorKind::InvalidData, inner.clone()), explain::explain(&inner)),
            (io::Error::other(ureq::Error::Timeout(ureq::Timeout::Connect)), explain::silence()),
            (
                io::ErrorKind::ConnectionReset.into(),
                explain::cut(&io::ErrorKind::ConnectionReset.into()),
            ),
        ] {
            let error = ureq::Error::Other(Box::new(handshake_error(error)));
            assert_eq!(found(error), Some(what.what));
        }
        let name = HandshakeError::Name("-".to_owned());
        let what = "\"-\" is no name that a certificate can be for".to_owned();
        assert_eq!(found(ureq::Error::Other(Box::new(name))), Some(what));
    }
}
