//! The way to the server over HTTP: one kept-alive agent, and what its answers mean.
//!
//! Shared by the uploader's workers and the reporter. It owns the connections and the key. It knows nothing of the
//! queue or the database, and it never decides what to do about a failure: [`Failure`] says whose
//! fault it was, the uploader acts.

pub mod probe;
mod report;

use crate::client::config::Server;
use crate::client::form::{Fields, FormBody};
use crate::client::remote::{Failure, Remote};
use crate::client::tls::{self, TrustError};
use crate::limits::{ANSWER_BYTES_MAX, EXPECT_CONTINUE_BYTES, http};
use crate::names::{self, Names};
use crate::remote_path::RemotePath;
use crate::secret::Secret;
use crate::tcp::TcpConnector;
use crate::wire::{ErrorCode, Existence, ReceivedError, Uploaded, fault_of_status, route};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::io::{self, Read};
use std::time::Duration;
use ureq::http::{Response, header};
use ureq::unversioned::transport::Connector as _;
use ureq::{Agent, Body, SendBody};

/// What is escaped in the value of a query: all but what RFC 3986 calls unreserved, and `/`.
const QUERY_VALUE: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// Sends files to one server.
pub struct Transport {
    agent: Agent,
    url: String,
    api_key: Secret,
}

impl Transport {
    /// A way to `server`; nothing is sent yet. Reads the CA certificates if it leads over TLS.
    pub fn new(server: &Server) -> Result<Self, TrustError> {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            // Only what the configuration says, never an environment left over from a shell.
            .proxy(None)
            .user_agent(concat!("s3up/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(http::CONNECT))
            .timeout_await_100(Some(http::CONTINUE))
            .timeout_per_write(Some(http::STALL))
            .timeout_recv_response(Some(http::ANSWER))
            .timeout_recv_body(Some(http::STALL))
            .max_idle_age(http::IDLE)
            .max_idle_connections_per_host(64)
            .max_idle_connections(64)
            .build();
        let tcp = ().chain(TcpConnector);
        let agent = if server.url.starts_with("https:") {
            let connector = tcp.chain(tls::connector(&server.trust)?);
            Agent::with_parts(config, connector, Names::default())
        } else {
            Agent::with_parts(config, tcp, Names::default())
        };
        Ok(Self { agent, url: server.url.clone(), api_key: server.api_key.clone() })
    }

    /// The server's base address.
    pub fn url(&self) -> &str {
        &self.url
    }

    fn explain(&self, error: &ureq::Error) -> String {
        if let Some(explanation) = tls::connector::explain(error) {
            return format!("no secure connection to {}: {explanation}", self.url);
        }
        let hint = match error {
            ureq::Error::Io(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                "; hint: is s3up-server running there, on this port? (key server.url)"
            }
            error if names::is_unknown(error) => {
                "; hint: check the name in server.url, and this machine's DNS"
            }
            _ => "",
        };
        let cause = match error {
            ureq::Error::Io(error) => error.to_string(),
            error => error.to_string(),
        };
        format!("no answer from {}: {cause}{hint}", self.url)
    }
}

impl Remote for Transport {
    fn upload(&self, content: &mut dyn Read, fields: &Fields<'_>) -> Result<Uploaded, Failure> {
        let mut form = FormBody::new(content, fields, boundary()?);
        let length = form.length();
        let mut request = self
            .agent
            .post(format!("{}{}", self.url, route::UPLOAD))
            .header(header::AUTHORIZATION, format!("Bearer {}", self.api_key.expose()))
            .header(header::CONTENT_TYPE, form.content_type())
            .header(header::CONTENT_LENGTH, length);
        if length > EXPECT_CONTINUE_BYTES {
            request = request.header(header::EXPECT, "100-continue");
        }
        let sent = request.send(SendBody::from_reader(&mut form));
        let response = match (sent, form.take_failure()) {
            (_, Some(error)) => return Err(Failure::File(error)),
            (Err(error), None) => return Err(Failure::Unreachable(self.explain(&error))),
            (Ok(response), None) => response,
        };
        let uploaded: Uploaded = answer(response)?;
        match form.digest() {
            Some(sha256) if uploaded.size == fields.size && uploaded.sha256 == sha256 => {
                Ok(uploaded)
            }
            _ => Err(Failure::Nonsense(format!(
                "it confirms {} bytes with SHA-256 {}",
                uploaded.size, uploaded.sha256
            ))),
        }
    }

    fn existence(&self, path: &RemotePath) -> Result<Existence, Failure> {
        let query = utf8_percent_encode(path.as_str(), QUERY_VALUE);
        let request = self
            .agent
            .get(format!("{}{}?path={query}", self.url, route::EXISTS))
            .header(header::AUTHORIZATION, format!("Bearer {}", self.api_key.expose()));
        match request.call() {
            Ok(response) => answer(response),
            Err(error) => Err(Failure::Unreachable(self.explain(&error))),
        }
    }
}

/// A boundary that no file contains: 128 random bits.
fn boundary() -> Result<String, Failure> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| Failure::File(io::Error::other(format!("no random bytes: {error}"))))?;
    Ok(format!("s3up-{}", hex::encode(bytes)))
}

/// Reads an answer's JSON, or what its error says.
fn answer<T: serde::de::DeserializeOwned>(mut response: Response<Body>) -> Result<T, Failure> {
    let status = response.status().as_u16();
    let retry_after = response
        .headers()
        .get(header::RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.parse().ok())
        .map(Duration::from_secs);
    let mut body = Vec::new();
    let read =
        response.body_mut().with_config().limit(ANSWER_BYTES_MAX).reader().read_to_end(&mut body);
    if let Err(error) = read {
        return Err(Failure::Unreachable(format!("the server's answer broke off: {error}")));
    }
    if status == 200 {
        return serde_json::from_slice(&body).map_err(|error| Failure::Nonsense(error.to_string()));
    }
    let received: Option<ReceivedError> = serde_json::from_slice(&body).ok();
    let code = received.as_ref().and_then(|received| received.error.parse::<ErrorCode>().ok());
    let (error, message) = received.map_or_else(
        || ("without an error code".to_owned(), "is that an s3up-server?".to_owned()),
        |received| (received.error, received.message),
    );
    Err(Failure::Refused {
        fault: code.map_or_else(|| fault_of_status(status), ErrorCode::fault),
        status,
        error,
        message,
        retry_after,
    })
}
