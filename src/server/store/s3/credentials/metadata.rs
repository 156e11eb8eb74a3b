//! Temporary credentials from the services beside a container or an instance.
//!
//! Runs on a worker thread, for some seconds at most. It must not go by a proxy or follow a
//! redirect: whoever answers has our rights, and whoever asks with the container's token gets them.
//! The addresses and documents are AWS's: Amazon ECS developer guide, "Task IAM role"; AWS SDKs and
//! tools reference guide, "Container credential provider" and "IMDS credential provider"; Amazon EC2
//! user guide, "Retrieve security credentials from instance metadata".

use super::super::answer::plain;
use super::{CredentialsError, Environment, Fetched, HINT_SERVICE, Keys, Miss};
use crate::limits::credentials::{
    ANSWER_BYTES_MAX, CONNECT, FILE_BYTES_MAX, INSTANCE_TOKEN_SECONDS, REQUEST,
};
use crate::secret::Secret;
use crate::server::outgoing;
use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue, Method, Request};
use serde::Deserialize;
use std::fs::File;
use std::io::Read as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::SystemTime;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use ureq::Agent;
use ureq::tls::RootCerts;
use url::{Host, Url};

/// Where Amazon ECS answers.
const ECS: Ipv4Addr = Ipv4Addr::new(169, 254, 170, 2);
/// Where the agent of EKS Pod Identity answers.
const EKS: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 23)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x23)),
];
/// Where an EC2 instance's metadata service answers.
const INSTANCE: &str = "http://169.254.169.254";
const ROLES: &str = "latest/meta-data/iam/security-credentials/";

const X_TOKEN: HeaderName = HeaderName::from_static("x-aws-ec2-metadata-token");
const X_TOKEN_SECONDS: HeaderName = HeaderName::from_static("x-aws-ec2-metadata-token-ttl-seconds");

const HINT_CONTAINER: &str = "check AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or \
                              AWS_CONTAINER_CREDENTIALS_FULL_URI: https, or http on this machine";
const HINT_TOKEN: &str = "check AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE or \
                          AWS_CONTAINER_AUTHORIZATION_TOKEN: one line";
const HINT_INSTANCE: &str = "check AWS_EC2_METADATA_SERVICE_ENDPOINT and the instance's role";

/// What both services answer.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Document {
    access_key_id: String,
    secret_access_key: String,
    token: Option<String>,
    expiration: Option<String>,
}

/// The credentials of a container: on Amazon ECS, on EKS with Pod Identity, and of whatever speaks
/// as they do.
pub(super) fn of_container(environment: &Environment) -> Result<Fetched, Miss> {
    let Some((url, token)) = container(environment)? else {
        let reason = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI and _FULL_URI are not set";
        return Err(Miss::Absent(reason.to_owned()));
    };
    let source = format!("the container's service at {}", origin(&url));
    let headers = token.map(|token| (AUTHORIZATION, token));
    let (status, text) = ask(&agent(), Method::GET, &url, headers.into_iter().collect())
        .map_err(|cause| unavailable(&source, &cause))?;
    fetched(source, status, &text)
}

/// Where the container's credentials are, and the token to ask with.
fn container(environment: &Environment) -> Result<Option<(Url, Option<HeaderValue>)>, Miss> {
    let refused = |cause: &str| Miss::Broken(CredentialsError::refused(cause, HINT_CONTAINER));
    if let Some(path) = environment.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") {
        let url = Url::parse(&format!("http://{ECS}{path}")).ok();
        // The path must not become a part of the host.
        let url = url.filter(|url| path.starts_with('/') && url.host() == Some(Host::Ipv4(ECS)));
        let cause = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI is no path";
        return Ok(Some((url.ok_or_else(|| refused(cause))?, None)));
    }
    let Some(text) = environment.get("AWS_CONTAINER_CREDENTIALS_FULL_URI") else { return Ok(None) };
    let url = Url::parse(&text).ok().filter(may_be_asked).ok_or_else(|| {
        refused("AWS_CONTAINER_CREDENTIALS_FULL_URI is no address that may be asked")
    })?;
    Ok(Some((url, token(environment)?)))
}

/// Without TLS the token must not leave this machine and its links.
fn may_be_asked(url: &Url) -> bool {
    let near = |ip: IpAddr| ip.is_loopback() || ip == IpAddr::V4(ECS) || EKS.contains(&ip);
    let bare = url.username().is_empty() && url.password().is_none();
    bare && match (url.scheme(), url.host()) {
        ("https", Some(_)) | ("http", Some(Host::Domain("localhost"))) => true,
        ("http", Some(Host::Ipv4(ip))) => near(IpAddr::V4(ip)),
        ("http", Some(Host::Ipv6(ip))) => near(IpAddr::V6(ip)),
        _ => false,
    }
}

/// The container's token. A file is read each time: it is replaced when the token is.
fn token(environment: &Environment) -> Result<Option<HeaderValue>, Miss> {
    let refused = |cause: String| Miss::Broken(CredentialsError::refused(cause, HINT_TOKEN));
    let text = match environment.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE") {
        Some(file) => {
            let mut text = String::new();
            File::open(&file)
                .and_then(|opened| opened.take(FILE_BYTES_MAX).read_to_string(&mut text))
                .map_err(|error| refused(format!("cannot read {file}: {error}")))?;
            text
        }
        None => match environment.get("AWS_CONTAINER_AUTHORIZATION_TOKEN") {
            Some(text) => text,
            None => return Ok(None),
        },
    };
    let text = text.trim_end_matches(['\r', '\n']);
    let value = HeaderValue::from_str(text).ok().filter(|value| !value.is_empty());
    let mut value = value.ok_or_else(|| refused("the container's token is not one".to_owned()))?;
    value.set_sensitive(true);
    Ok(Some(value))
}

/// The credentials of the role that an EC2 instance has, by version 2 of its metadata service, or by
/// version 1 where the service knows no other.
pub(super) fn of_instance(environment: &Environment) -> Result<Fetched, Miss> {
    let disabled = environment.get("AWS_EC2_METADATA_DISABLED");
    if disabled.is_some_and(|text| text.eq_ignore_ascii_case("true")) {
        return Err(Miss::Absent("AWS_EC2_METADATA_DISABLED is true".to_owned()));
    }
    let given = environment.get("AWS_EC2_METADATA_SERVICE_ENDPOINT");
    let base = given.unwrap_or_else(|| INSTANCE.to_owned());
    let url = |path: &str| {
        let url = Url::parse(&format!("{}/{path}", base.trim_end_matches('/'))).ok();
        url.filter(|url| matches!(url.scheme(), "http" | "https")).ok_or_else(|| {
            let cause = "AWS_EC2_METADATA_SERVICE_ENDPOINT is no address";
            Miss::Broken(CredentialsError::refused(cause, HINT_INSTANCE))
        })
    };
    let roles = url(ROLES)?;
    let source = format!("the instance's metadata service at {}", origin(&roles));
    let agent = agent();
    let headers = vec![(X_TOKEN_SECONDS, HeaderValue::from(INSTANCE_TOKEN_SECONDS))];
    let (status, token) = ask(&agent, Method::PUT, &url("latest/api/token")?, headers)
        // Most machines have none.
        .map_err(|cause| Miss::Absent(format!("{source} does not answer: {cause}")))?;
    let headers = match status {
        200 => {
            let token = HeaderValue::from_str(token.trim()).map(|mut token| {
                token.set_sensitive(true);
                vec![(X_TOKEN, token)]
            });
            token.map_err(|_| unavailable(&source, "its token is not one"))?
        }
        403..=405 => vec![],
        status => return Err(unavailable(&source, &format!("status {status} for a token"))),
    };
    let get = |url: &Url| {
        let asked = ask(&agent, Method::GET, url, headers.clone());
        asked.map_err(|cause| unavailable(&source, &cause))
    };
    let role = match get(&roles)? {
        (200, text) => text.lines().next().unwrap_or_default().trim().to_owned(),
        (404, _) => return Err(Miss::Absent(format!("{source} says that there is no role"))),
        (status, _) => return Err(unavailable(&source, &format!("status {status} for the role"))),
    };
    // AWS Identity and Access Management API reference, CreateRole, RoleName.
    let fit = |b: u8| b.is_ascii_alphanumeric() || b"_+=,.@-".contains(&b);
    if role.is_empty() || !role.bytes().all(fit) {
        return Err(unavailable(&source, "its role has no name"));
    }
    let (status, text) = get(&url(&format!("{ROLES}{role}"))?)?;
    fetched(format!("the role {role} of {source}"), status, &text)
}

fn unavailable(source: &str, cause: &str) -> Miss {
    let cause = format!("{source} gives no credentials: {cause}");
    Miss::Broken(CredentialsError::unavailable(cause, HINT_SERVICE))
}

/// The credentials in an answer. What is wrong with it is not repeated: it may hold some.
fn fetched(source: String, status: u16, text: &str) -> Result<Fetched, Miss> {
    if status != 200 {
        return Err(unavailable(&source, &format!("status {status}")));
    }
    let document: Document = serde_json::from_str(text)
        .map_err(|_| unavailable(&source, "the answer is not the document it should be"))?;
    let ends = document.expiration.map(|text| OffsetDateTime::parse(&text, &Rfc3339));
    let ends = ends.transpose().map_err(|_| unavailable(&source, "their end is not a time"))?;
    Ok(Fetched {
        keys: Keys {
            access_key_id: document.access_key_id,
            secret_access_key: Secret::new(document.secret_access_key),
            session_token: document.token.filter(|token| !token.is_empty()).map(Secret::new),
        },
        source,
        ends: ends.map(SystemTime::from),
        may_change: false,
    })
}

/// What may be shown of an address: the path to a container's credentials is as good as a password.
fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

fn agent() -> Agent {
    outgoing::config(RootCerts::WebPki, None)
        .timeout_connect(Some(CONNECT))
        .timeout_global(Some(REQUEST))
        .build()
        .new_agent()
}

/// Asks, and returns status and text; the error is the cause alone.
fn ask(
    agent: &Agent,
    method: Method,
    url: &Url,
    headers: Vec<(HeaderName, HeaderValue)>,
) -> Result<(u16, String), String> {
    let mut request = Request::builder().method(method).uri(url.as_str());
    for (name, value) in headers {
        request = request.header(name, value);
    }
    // A body, if an empty one, has a length; what has none is sent in chunks, which not every such
    // service knows.
    let request = request.body(&[][..]).map_err(|_| "its address is not one".to_owned())?;
    let answer = match *request.method() {
        Method::PUT => agent.run(request),
        _ => agent.run(request.map(|_| ())),
    };
    let answer = answer.map_err(|error| plain(&error.to_string()))?;
    let status = answer.status().as_u16();
    let reader = answer.into_body().into_with_config().limit(ANSWER_BYTES_MAX);
    let text = reader.read_to_string().map_err(|error| plain(&error.to_string()))?;
    Ok((status, text))
}
