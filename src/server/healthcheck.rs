//! `s3up-server healthcheck`: asks the server that a configuration describes whether it is well, for
//! containers, which have no other program in them, and for monitoring.
//!
//! Runs on the command's main thread, beside the server. It goes where the configuration says that the
//! server listens, and needs no key. Over TLS it takes any certificate: no name of one is for loopback,
//! nothing secret is said, and nothing of the answer is used but that it came. It cannot compare with the
//! certificate's file either: between a renewal and its reading, or beside a broken one, the server shows
//! the last good certificate and is well, and who is not well is killed by those who ask.

use crate::limits::{ANSWER_BYTES_MAX, HEALTHCHECK_MAX};
use crate::server::config::Server;
use crate::server::{listen, outgoing};
use crate::shown;
use crate::wire::{ReceivedError, Status, route};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use ureq::tls::TlsConfig;

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// Whether the server lives, whatever its store does.
    Alive,
    /// Whether its store is ready, too.
    Ready,
}

/// The server is not well, or cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum HealthcheckError {
    /// Nobody but the server itself knows its port.
    #[error("server.port is 0, any that is free; hint: name one, so that the server can be asked")]
    AnyPort,
    /// `server.host` is a name without an address.
    #[error("server.host: {host:?}: {cause}")]
    Host {
        /// The name.
        host: String,
        /// What the system answered.
        cause: io::Error,
    },
    /// Nothing came that could be read.
    #[error("{address} does not answer: {cause}")]
    Silent {
        /// Where it was asked.
        address: String,
        /// Why, in words.
        cause: String,
    },
    /// The server says that it is not well.
    #[error("{address} is not well: {status}, {message}")]
    Unwell {
        /// Where it was asked.
        address: String,
        /// The answer's status.
        status: u16,
        /// What it says.
        message: String,
    },
    /// Something else answers there.
    #[error(
        "{address} answers {status} and is no s3up-server; hint: which program listens there, and is \
         this the configuration of the server?"
    )]
    SomethingElse {
        /// Where it was asked.
        address: String,
        /// The answer's status.
        status: u16,
    },
}

/// Asks the server; the text says in one line who answered.
pub fn run(server: &Server, question: Question) -> Result<String, HealthcheckError> {
    let address = address(server)?;
    let route = match question {
        Question::Alive => route::HEALTH,
        Question::Ready => route::READY,
    };
    let (status, body) = get(&format!("{address}{route}")).map_err(|error| {
        HealthcheckError::Silent { address: address.clone(), cause: why(&error) }
    })?;
    let said = serde_json::from_slice::<Status>(&body).ok().filter(|said| said.status == "ok");
    match (said, serde_json::from_slice::<ReceivedError>(&body)) {
        (Some(Status { version, activity, .. }), _) if status == 200 => {
            let version = shown::visible(&version);
            let activity = activity.map(|text| format!(", activity {}", shown::visible(&text)));
            Ok(format!("ok: s3up-server {version} at {address}{}", activity.unwrap_or_default()))
        }
        (_, Ok(ReceivedError { message, .. })) => {
            Err(HealthcheckError::Unwell { address, status, message: shown::visible(&message) })
        }
        (_, Err(_)) => Err(HealthcheckError::SomethingElse { address, status }),
    }
}

/// Where a program of this machine reaches the server: the first address of its host, as it takes
/// itself, and loopback if it takes every address.
fn address(server: &Server) -> Result<String, HealthcheckError> {
    if server.port == 0 {
        return Err(HealthcheckError::AnyPort);
    }
    let mut address = listen::address(server)
        .map_err(|cause| HealthcheckError::Host { host: server.host.clone(), cause })?;
    match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => {
            address.set_ip(Ipv4Addr::LOCALHOST.into());
        }
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => {
            address.set_ip(Ipv6Addr::LOCALHOST.into());
        }
        _ => {}
    }
    let scheme = if server.tls.is_some() { "https" } else { "http" };
    Ok(format!("{scheme}://{address}"))
}

fn get(url: &str) -> Result<(u16, Vec<u8>), ureq::Error> {
    let anybody = TlsConfig::builder().disable_verification(true);
    let config = outgoing::config_with(anybody, None).timeout_global(Some(HEALTHCHECK_MAX)).build();
    let mut answer = outgoing::agent(config).get(url).call()?;
    let body = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec()?;
    Ok((answer.status().as_u16(), body))
}

fn why(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Timeout(_) => format!("nothing came within {} s", HEALTHCHECK_MAX.as_secs()),
        ureq::Error::Io(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            "nobody listens there; is the server running?".to_owned()
        }
        error => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(host: &str, port: u16, tls: &str, expected: &str) {
        let text = format!(
            "server: {{host: '{host}', port: {port}, tls: {tls}}}\ndirectory: {{path: /x}}\n\
             clients: [{{name: a, api_key: 0123456789abcdef}}]\n"
        );
        let outside = crate::config::Outside::NOTHING;
        let config = crate::server::config::parse("server.yaml", &text, outside).unwrap();
        let shown = address(&config.server).unwrap_or_else(|error| error.to_string());
        assert!(shown.starts_with(expected), "{shown}");
    }

    #[test]
    fn the_server_is_asked_where_it_listens_and_by_loopback_if_that_is_everywhere() {
        let plain = "{enabled: false}";
        check("127.0.0.1", 8080, plain, "http://127.0.0.1:8080");
        check("10.1.2.3", 80, plain, "http://10.1.2.3:80");
        check("0.0.0.0", 8080, plain, "http://127.0.0.1:8080");
        check("::", 8080, plain, "http://[::1]:8080");
        check("::1", 443, "{enabled: true, cert_file: /c, key_file: /k}", "https://[::1]:443");
        check("127.0.0.1", 0, plain, "server.port is 0, any that is free");
        check("no such name", 1, plain, "server.host: \"no such name\": ");
    }
}
