//! A message told by a POST to an address of the operator's.
//!
//! Runs on the `alerts` thread, or on the main one for a test. It owns nothing: agent and CA certificates
//! are made anew for each message, which may be weeks apart, so that what is wrong with them holds up
//! no server's start and is mended without one. The address is a secret, since tokens stand in it:
//! what is said of it is its host, and no error's text is repeated that could have the rest.

use super::message::Message;
use crate::ca_file;
use crate::limits::alerts::WEBHOOK_MAX;
use crate::names;
use crate::server::config::AlertWebhook;
use crate::server::outgoing;
use crate::server::store::s3::Environment;
use crate::server::store::s3::proxy;
use std::path::Path;
use ureq::Agent;
use ureq::http::header;
use ureq::tls::RootCerts;
use url::Url;

/// Why a webhook cannot be used, or did not take a message.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct WebhookError(String);

/// Reads all that a POST needs; nothing is sent.
pub fn prepare(settings: &AlertWebhook, environment: &Environment) -> Result<Agent, WebhookError> {
    let url = Url::parse(settings.url.expose());
    let url = url.map_err(|_| WebhookError("it is no address".to_owned()))?;
    let proxy = proxy::choose(environment, &url)
        .map_err(|error| WebhookError(format!("{}: {error}", error.variable)))?;
    let proxy = proxy.map(|proxy| ureq::Proxy::new(proxy.url.expose())).transpose();
    let proxy = proxy.map_err(|_| WebhookError("the proxy's address is wrong".to_owned()))?;
    Ok(agent(roots(settings.ca_file.as_deref())?, proxy))
}

/// Sends the message. Only an answer from 200 to 299 says that it was taken.
pub fn post(
    settings: &AlertWebhook,
    environment: &Environment,
    message: &Message,
) -> Result<(), WebhookError> {
    let answer = prepare(settings, environment)?
        .post(settings.url.expose())
        .header(header::CONTENT_TYPE, "application/json")
        .send(message.json());
    let status = match answer {
        Ok(answer) => answer.status(),
        Err(error) => return Err(WebhookError(explain(&error))),
    };
    match status {
        status if status.is_success() => Ok(()),
        status if status.is_redirection() => Err(WebhookError(format!(
            "it answered {}, a redirect, which is not followed; hint: give the address itself",
            status.as_u16()
        ))),
        status => Err(WebhookError(format!("it answered {}", status.as_u16()))),
    }
}

fn agent(roots: RootCerts, proxy: Option<ureq::Proxy>) -> Agent {
    let config = outgoing::config(roots, proxy)
        .max_idle_connections(0)
        .timeout_global(Some(WEBHOOK_MAX))
        .build();
    outgoing::agent(config)
}

/// The certificates of the file, and no others; without one those of the system, and Mozilla's if it has none.
fn roots(file: Option<&Path>) -> Result<RootCerts, WebhookError> {
    let certificates = match file {
        Some(path) => ca_file::read(path).map_err(|problem| {
            WebhookError(format!("reports.on_silent.ca_file {}: {problem}", path.display()))
        })?,
        None => rustls_native_certs::load_native_certs().certs,
    };
    if certificates.is_empty() {
        return Ok(RootCerts::WebPki);
    }
    Ok(outgoing::only(&certificates))
}

/// What went wrong, in words that never hold the address.
fn explain(error: &ureq::Error) -> String {
    match error {
        error if names::is_unknown(error) => {
            "its name is not known; hint: check the address, and this machine's DNS".to_owned()
        }
        ureq::Error::Timeout(_) => format!("no answer within {} s", WEBHOOK_MAX.as_secs()),
        ureq::Error::Io(error) => error.to_string(),
        ureq::Error::Rustls(error) => error.to_string(),
        ureq::Error::ConnectProxyFailed(_) => "the proxy lets nothing through".to_owned(),
        ureq::Error::Tls(text) => (*text).to_owned(),
        _ => "no answer that can be understood".to_owned(),
    }
}
