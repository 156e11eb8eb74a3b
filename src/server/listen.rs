//! The address that the server listens on.
//!
//! Runs on the main thread, at start, and in commands that look for the server.

use crate::limits::gate::BACKLOG;
use crate::server::config::Server;
use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs as _};

/// The address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {cause}; hint: see server.host and server.port")]
pub struct ListenError {
    /// The address.
    pub address: String,
    /// What the system answered.
    pub cause: io::Error,
}

/// Where the configuration says that the server listens: the first address of its host.
pub fn address(server: &Server) -> io::Result<SocketAddr> {
    let mut addresses = (server.host.as_str(), server.port).to_socket_addrs()?;
    addresses.next().ok_or_else(|| io::Error::other("the name has no address"))
}

/// Listens where the configuration says.
pub fn listen(server: &Server) -> Result<TcpListener, ListenError> {
    let listener = address(server).and_then(|address| {
        let listener = TcpListener::bind(address)?;
        // Once more, for a longer queue than the standard library's.
        rustix::net::listen(&listener, BACKLOG)?;
        Ok(listener)
    });
    let address = || format!("{}:{}", server.host, server.port);
    listener.map_err(|cause| ListenError { address: address(), cause })
}

/// Says how the server can be reached, and warns if it should not be. Returns what it said.
pub fn announce(server: &Server, listener: &TcpListener) -> io::Result<String> {
    let bound = listener.local_addr()?;
    if server.tls.is_none() && !bound.ip().is_loopback() {
        log::warn!(
            "{bound} is open to the network WITHOUT TLS: keys and files can be read on the way; \
             hint: server.tls, or server.host: 127.0.0.1 behind a reverse proxy"
        );
    }
    let scheme = if server.tls.is_some() { "https" } else { "http" };
    let listening = format!("listening on {scheme}://{bound}");
    log::info!("{listening}");
    Ok(listening)
}
