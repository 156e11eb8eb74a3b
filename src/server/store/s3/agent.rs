//! The agent that speaks to S3: its pool of connections, its deadlines, whom it trusts, and whether
//! it goes by a proxy.
//!
//! Built once, on the main thread; the worker threads share it. It must not follow a redirect, nor
//! show the password of a proxy.

use super::proxy::{self, Proxy};
use super::{Deadlines, S3Settings};
use crate::ca_file;
use crate::limits::S3_IDLE_CONNECTIONS_MAX;
use crate::limits::http::{CONTINUE, IDLE};
use crate::limits::s3::SEND;
use crate::names;
use crate::server::outgoing;
use crate::server::store::{StoreError, StoreErrorKind};
use rustls::CertificateError;
use std::io;
use std::path::Path;
use ureq::Agent;
use ureq::tls::RootCerts;
use url::Url;

const HINT_AUTHORITY: &str = "no CA that is trusted here has issued the store's certificate: name a \
                              PEM file with its CA's certificate in s3.ca_file, or take one out \
                              that is another's";
const HINT_CA_AS_SERVER: &str = "the store shows a CA's own certificate, as `openssl req -x509` \
                                 makes them: give it one that a CA has issued, and name that CA's \
                                 certificate in s3.ca_file";
const HINT_EXPIRED: &str = "the store's certificate is no longer valid: renew it there, or set this \
                            machine's clock";
const HINT_EARLY: &str = "the store's certificate is not valid yet: check this machine's clock";
const HINT_NAME: &str = "the store's certificate is for another name: check the host in s3.endpoint, \
                         and s3.force_path_style";
const HINT_TLS: &str = "the TLS handshake failed: check s3.endpoint and the store's certificate";

/// What an agent is made of.
pub(super) struct Way {
    pub(super) agent: Agent,
    /// The proxy it goes by.
    pub(super) proxy: Option<Proxy>,
}

/// Prepares the way to `url`, the bucket's. Nothing is sent.
pub(super) fn prepare(settings: &S3Settings, url: &str) -> Result<Way, StoreError> {
    let refused = |operation, subject, cause, hint| StoreError {
        kind: StoreErrorKind::Refused,
        operation,
        subject,
        cause,
        hint: Some(hint),
    };
    let proxy = match Url::parse(url) {
        Ok(url) => proxy::choose(&settings.environment, &url),
        // The request will say so.
        Err(_) => Ok(None),
    };
    let proxy = proxy.map_err(|error| {
        let hint = "such as http://proxy.example.com:3128 is expected; NO_PROXY lists the hosts \
                    that are reached without";
        refused("use", error.variable.to_owned(), error.to_string(), hint)
    })?;
    let roots = match &settings.ca_file {
        None => RootCerts::WebPki,
        Some(path) => roots(path)?,
    };
    let by = proxy.as_ref().map(|proxy| ureq::Proxy::new(proxy.url.expose()));
    let by = by.transpose().map_err(|_| {
        let variable = proxy.as_ref().map_or("", |proxy| proxy.variable);
        let hint = "check the user and the password in it: other characters than letters and \
                    digits are written as %40";
        refused("use", variable.to_owned(), "it is no address of a proxy".to_owned(), hint)
    })?;
    Ok(Way { agent: build(&settings.deadlines, roots, by), proxy })
}

fn build(deadlines: &Deadlines, roots: RootCerts, proxy: Option<ureq::Proxy>) -> Agent {
    // A redirect means that region or endpoint is wrong.
    let config = outgoing::config(roots, proxy)
        .max_idle_connections(S3_IDLE_CONNECTIONS_MAX)
        .max_idle_connections_per_host(S3_IDLE_CONNECTIONS_MAX)
        .max_idle_age(IDLE)
        .timeout_resolve(Some(deadlines.connect))
        .timeout_connect(Some(deadlines.connect))
        .timeout_await_100(Some(CONTINUE.min(deadlines.stall)))
        .timeout_per_write(Some(deadlines.stall))
        .timeout_send_body(Some(SEND))
        .build();
    outgoing::agent(config)
}

/// The certificates of the file that `s3.ca_file` names, and no others.
fn roots(path: &Path) -> Result<RootCerts, StoreError> {
    let certificates = ca_file::read(path).map_err(|problem| StoreError {
        kind: StoreErrorKind::Refused,
        operation: "use",
        subject: format!("s3.ca_file {}", path.display()),
        // With what would be right.
        cause: problem.to_string(),
        hint: None,
    })?;
    Ok(outgoing::only(&certificates))
}

/// What the operator can do about a request that got no answer.
pub(super) fn hint(error: &ureq::Error) -> Option<&'static str> {
    match error {
        error if names::is_unknown(error) => {
            Some("the name is not known: check s3.endpoint, HTTPS_PROXY if it is set, and the DNS")
        }
        ureq::Error::ConnectProxyFailed(_) => {
            Some("the proxy lets nothing through: check HTTPS_PROXY and NO_PROXY, and its log")
        }
        ureq::Error::Io(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            Some("nothing listens there: check s3.endpoint, and HTTPS_PROXY if it is set")
        }
        ureq::Error::Io(error) => {
            let of_tls = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
            of_tls.map(hint_of_tls)
        }
        ureq::Error::Rustls(error) => Some(hint_of_tls(error)),
        ureq::Error::Tls(_) => Some(HINT_TLS),
        _ => None,
    }
}

fn hint_of_tls(error: &rustls::Error) -> &'static str {
    use CertificateError::{
        BadSignature, Expired, ExpiredContext, NotValidForName, NotValidForNameContext,
        NotValidYet, NotValidYetContext, Other, UnknownIssuer,
    };
    let rustls::Error::InvalidCertificate(error) = error else { return HINT_TLS };
    match error {
        // A CA of the same name with another key is another CA.
        UnknownIssuer | BadSignature => HINT_AUTHORITY,
        Expired | ExpiredContext { .. } => HINT_EXPIRED,
        NotValidYet | NotValidYetContext { .. } => HINT_EARLY,
        NotValidForName | NotValidForNameContext { .. } => HINT_NAME,
        Other(other)
            if matches!(other.0.downcast_ref(), Some(webpki::Error::CaUsedAsEndEntity)) =>
        {
            HINT_CA_AS_SERVER
        }
        _ => HINT_TLS,
    }
}
