//! One request to the store: signed, sent over the kept-alive agent, sent again while what made it
//! fail may pass, answered or failed.
//!
//! Runs on the worker threads and on those that send parts, which share the agent's pool of
//! connections. It must not decide what an answer means for an object, and must not let a secret
//! into an error: errors name the operation and the key.

use super::agent;
use super::answer::{self, Failure, plain};
use super::call::{Call, Retry, Signing, Wait};
use super::credentials::{Keys, Provider};
use super::place::Place;
use super::{Deadlines, S3Settings};
use crate::backoff;
use crate::clock;
use crate::limits::http::IDLE;
use crate::limits::s3::{COMPLETION_FACTOR, COMPLETION_MAX, RETRY_PAUSE_FIRST, RETRY_PAUSE_MAX};
use crate::limits::{EXPECT_CONTINUE_BYTES, S3_ANSWER_BYTES_MAX};
use crate::server::store::{StoreError, StoreErrorKind};
use crate::threads::Stop;
use crossbeam_channel::select;
use hmac::Mac;
use http::header::{AUTHORIZATION, EXPECT, HOST, HeaderName};
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use s3::signing;
use std::io::{self, Read};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use time::OffsetDateTime;
use ureq::{Agent, Body};
use url::Url;

/// What goes wrong before a request is sent is the settings' fault.
const HINT_SETTINGS: &str = "check the s3 section of the configuration";

/// In place of a body's SHA-256: the signature leaves the body out.
const UNSIGNED: &str = "UNSIGNED-PAYLOAD";

const X_AMZ_CONTENT_SHA256: HeaderName = HeaderName::from_static("x-amz-content-sha256");
const X_AMZ_DATE: HeaderName = HeaderName::from_static("x-amz-date");
const X_AMZ_SECURITY_TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");

/// The way to one bucket.
pub(super) struct Requests {
    agent: Agent,
    place: Place,
    bucket: String,
    credentials: Provider,
    deadlines: Deadlines,
    stop: Stop,
    retries: AtomicU64,
}

impl Requests {
    pub(super) fn new(settings: S3Settings, place: Place, agent: Agent, stop: Stop) -> Self {
        Self {
            agent,
            place,
            bucket: settings.bucket,
            credentials: Provider::new(settings.identity, settings.environment),
            deadlines: settings.deadlines,
            stop,
            retries: AtomicU64::new(0),
        }
    }

    /// How often a request was sent again.
    pub(super) fn retries(&self) -> u64 {
        self.retries.load(Ordering::Relaxed)
    }

    /// Whether only the signature protects the body of a part on its way: neither does TLS, nor does
    /// it stay on this machine.
    pub(super) fn parts_signing_needed(&self) -> bool {
        !self.place.is_safe()
    }

    /// What a call is about, for errors.
    fn subject(&self, call: &Call<'_>) -> String {
        call.key.unwrap_or(&self.bucket).to_owned()
    }

    /// Sends a call and hands over its answer, if it is one of those expected.
    pub(super) fn send(&self, call: &Call<'_>) -> Result<Response<Body>, StoreError> {
        self.persist(call, || self.try_once(call))
    }

    /// Makes attempts at `call` until one succeeds, or fails for good, or the time is up.
    pub(super) fn persist<T>(
        &self,
        call: &Call<'_>,
        mut attempt: impl FnMut() -> Result<T, Failure>,
    ) -> Result<T, StoreError> {
        let begin = clock::monotonic();
        let mut failures = 0;
        loop {
            let Failure { error, passing } = match attempt() {
                Ok(done) => return Ok(done),
                Err(failure) => failure,
            };
            failures += 1;
            let pause =
                backoff::pause(RETRY_PAUSE_FIRST, failures, RETRY_PAUSE_MAX, fastrand::f64());
            let in_time = clock::monotonic() - begin + pause < self.deadlines.retry;
            if !passing || !in_time || self.is_unwanted_after(call.retry, pause) {
                return Err(error);
            }
            self.retries.fetch_add(1, Ordering::Relaxed);
            log::debug!("{error}; once more");
        }
    }

    /// Waits, and says whether nobody wants another attempt any more.
    fn is_unwanted_after(&self, retry: Retry<'_>, pause: Duration) -> bool {
        let given_up = match retry {
            Retry::Never => return true,
            Retry::Window => return self.stop.wait(pause),
            Retry::WindowUnless(given_up) => given_up,
        };
        select! {
            recv(self.stop.receiver()) -> _ => true,
            recv(given_up.receiver()) -> _ => true,
            default(pause) => false,
        }
    }

    /// One attempt at a call, for [`Requests::persist`].
    pub(super) fn try_once(&self, call: &Call<'_>) -> Result<Response<Body>, Failure> {
        let response = match self.exchange(call, IDLE)? {
            // Whoever assembles wants to know that there was an attempt before.
            Err(error) if was_closed(&error) && call.wait != Wait::Assemble => {
                // As servers do with idle connections. Not the pool's next one: it may be as closed.
                let again = self.exchange(call, Duration::ZERO)?;
                again.map_err(|error| self.transport(call, &error))?
            }
            result => result.map_err(|error| self.transport(call, &error))?,
        };
        if call.expects.contains(&response.status().as_u16()) {
            Ok(response)
        } else {
            Err(self.failure(call, response))
        }
    }

    /// Sends a call once, over a connection that was idle for at most `idle`.
    fn exchange(
        &self,
        call: &Call<'_>,
        idle: Duration,
    ) -> Result<Result<Response<Body>, ureq::Error>, Failure> {
        let url = self.place.url(call.key, call.query);
        let headers = self.signed(call, &url).map_err(|error| Failure {
            passing: error.kind == StoreErrorKind::Unavailable,
            error,
        })?;
        let mut request = Request::new(call.body);
        *request.method_mut() = call.method.clone();
        *request.headers_mut() = headers;
        match url.parse() {
            Ok(uri) => *request.uri_mut() = uri,
            Err(error) => return Ok(Err(ureq::Error::Http(http::Error::from(error)))),
        }
        let Deadlines { stall, answer, .. } = self.deadlines;
        let wait = match call.wait {
            Wait::Look => stall,
            Wait::Write => answer,
            Wait::Assemble => answer.max(COMPLETION_MAX.min(answer * COMPLETION_FACTOR)),
        };
        if matches!(call.method, Method::PUT | Method::POST) {
            let request = self.agent.configure_request(request);
            let request = request
                .max_idle_age(idle)
                .timeout_per_read(Some(wait))
                .timeout_recv_response(Some(wait))
                .timeout_recv_body(Some(wait));
            return Ok(self.agent.run(request.build()));
        }
        let request = self.agent.configure_request(request.map(|_| ()));
        let request = request
            .max_idle_age(idle)
            .timeout_per_read(Some(wait))
            .timeout_recv_response(Some(wait));
        Ok(self.agent.run(request.build()))
    }

    /// The headers of a call, with its signature by the credentials of the moment.
    fn signed(&self, call: &Call<'_>, url: &str) -> Result<HeaderMap, StoreError> {
        let unfit = |kind, cause, hint| StoreError {
            kind,
            operation: call.operation,
            subject: self.subject(call),
            cause,
            hint: Some(hint),
        };
        let keys = self
            .credentials
            .current()
            .map_err(|error| unfit(error.kind, error.cause, error.hint))?;
        self.sign(call, url, &keys)
            .map_err(|cause| unfit(StoreErrorKind::Refused, cause.to_owned(), HINT_SETTINGS))
    }

    fn sign(&self, call: &Call<'_>, url: &str, keys: &Keys) -> Result<HeaderMap, &'static str> {
        let url = Url::parse(url).map_err(|_| "the URL is not one")?;
        let now = OffsetDateTime::from_unix_timestamp(clock::unix_seconds())
            .map_err(|_| "the clock stands where no signature can be made")?;
        let sha256 = match call.signing {
            Signing::Body(digest) => digest.to_string(),
            Signing::Head => UNSIGNED.to_owned(),
        };
        let mut headers = call.headers.clone();
        let value = |text: &str| HeaderValue::from_str(text).map_err(|_| "not fit for a header");
        headers.insert(HOST, value(&self.place.host)?);
        headers.insert(X_AMZ_DATE, value(&amz_date(now))?);
        headers.insert(X_AMZ_CONTENT_SHA256, value(&sha256)?);
        if let Some(token) = &keys.session_token {
            let mut token = HeaderValue::from_str(token.expose())
                .map_err(|_| "the session token has characters that a header cannot have")?;
            token.set_sensitive(true);
            headers.insert(X_AMZ_SECURITY_TOKEN, token);
        }
        let signature = self.signature(call, &url, &headers, &sha256, now, keys);
        let authorization = signature.map_err(|_| "the request cannot be signed")?;
        let mut authorization = HeaderValue::from_str(&authorization)
            .map_err(|_| "the access key has characters that a header cannot have")?;
        authorization.set_sensitive(true);
        headers.insert(AUTHORIZATION, authorization);
        // Not signed: it is for the next hop.
        if call.body.len() as u64 > EXPECT_CONTINUE_BYTES {
            headers.insert(EXPECT, HeaderValue::from_static("100-continue"));
        }
        Ok(headers)
    }

    /// Signs all of `headers`. (`signing` sorts them as lines, so no name here may be another one
    /// followed by a hyphen.)
    fn signature(
        &self,
        call: &Call<'_>,
        url: &Url,
        headers: &HeaderMap,
        sha256: &str,
        now: OffsetDateTime,
        keys: &Keys,
    ) -> Result<String, s3::error::S3Error> {
        let region = &self.place.region;
        let request = signing::canonical_request(call.method.as_str(), url, headers, sha256)?;
        let text = signing::string_to_sign(&now, region, &request)?;
        let key = signing::signing_key(&now, keys.secret_access_key.expose(), region, "s3")?;
        let mut mac = signing::HmacSha256::new_from_slice(&key)?;
        mac.update(text.as_bytes());
        let signature = hex::encode(mac.finalize().into_bytes());
        let names = signing::signed_header_string(headers);
        signing::authorization_header(&keys.access_key_id, &now, region, &names, &signature)
    }

    /// The failure that an unexpected answer stands for. Takes the answer's body in, up to a bound.
    pub(super) fn failure(&self, call: &Call<'_>, response: Response<Body>) -> Failure {
        let (head, body) = response.into_parts();
        let mut bytes = Vec::new();
        // What has arrived is all there is to say; the status alone is an answer too.
        let _ = body.into_reader().take(S3_ANSWER_BYTES_MAX).read_to_end(&mut bytes);
        let text = String::from_utf8_lossy(&bytes);
        let subject = self.subject(call);
        answer::failure(
            call.operation,
            subject,
            head.status.as_u16(),
            &head.headers,
            &text,
            clock::utc(),
        )
    }

    /// The body of an answer, whole; one that breaks off or is too large is an error.
    pub(super) fn text(
        &self,
        call: &Call<'_>,
        response: Response<Body>,
    ) -> Result<String, Failure> {
        let reader = response.into_body().into_with_config().limit(S3_ANSWER_BYTES_MAX);
        reader.read_to_string().map_err(|error| self.transport(call, &error))
    }

    /// An answer that is none: the request may or may not have been done.
    pub(super) fn garbled(&self, call: &Call<'_>, cause: &str) -> Failure {
        let error = StoreError {
            kind: StoreErrorKind::Unavailable,
            operation: call.operation,
            subject: self.subject(call),
            cause: plain(cause),
            hint: None,
        };
        Failure { error, passing: true }
    }

    /// The failure of a request that got no answer.
    fn transport(&self, call: &Call<'_>, error: &ureq::Error) -> Failure {
        let error = StoreError {
            kind: StoreErrorKind::Unavailable,
            operation: call.operation,
            subject: self.subject(call),
            cause: plain(&error.to_string()),
            hint: agent::hint(error),
        };
        Failure { error, passing: true }
    }
}

fn amz_date(now: OffsetDateTime) -> String {
    let (year, month, day) = (now.year(), u8::from(now.month()), now.day());
    let (hour, minute, second) = (now.hour(), now.minute(), now.second());
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

/// Whether the store closed the connection instead of answering, as servers do with idle ones.
fn was_closed(error: &ureq::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    let ureq::Error::Io(error) = error else { return false };
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
}
