//! Two questions that `s3up check` asks the server: is it one, and does it accept the key.
//!
//! Runs on the command's main thread. Nothing is stored by it.

use super::{Transport, answer};
use crate::client::remote::Failure;
use crate::limits::CHECK_ANSWER;
use crate::wire::{Existence, Status, route};
use std::time::SystemTime;
use ureq::Body;
use ureq::http::{Response, header};

/// What the probe asks for: nobody's file.
const PATH: &str = ".s3up-check";

/// A server that answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// Its version.
    pub version: String,
    /// What its clock, or that of a proxy before it, said; none if the answer does not tell.
    pub date: Option<SystemTime>,
}

impl Transport {
    /// Asks whether a server is there; needs no key.
    pub fn health(&self) -> Result<Health, Failure> {
        let response = self.get(route::HEALTH, false)?;
        let date = response.headers().get(header::DATE);
        let date = date.and_then(|date| httpdate::parse_http_date(date.to_str().ok()?).ok());
        let Status { version, .. } = answer(response)?;
        Ok(Health { version, date })
    }

    /// Asks whether the server accepts the key.
    pub fn key_is_accepted(&self) -> Result<(), Failure> {
        let response = self.get(&format!("{}?path={PATH}", route::EXISTS), true)?;
        answer::<Existence>(response).map(drop)
    }

    fn get(&self, target: &str, with_key: bool) -> Result<Response<Body>, Failure> {
        let mut request = self.agent.get(format!("{}{target}", self.url));
        if with_key {
            let bearer = format!("Bearer {}", self.api_key.expose());
            request = request.header(header::AUTHORIZATION, bearer);
        }
        let request = request.config().timeout_global(Some(CHECK_ANSWER)).build();
        request.call().map_err(|error| Failure::Unreachable(self.explain(&error)))
    }
}
