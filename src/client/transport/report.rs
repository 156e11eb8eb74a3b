//! A report on its way to the server.
//!
//! Runs on a thread of the reporter's or on a command's main thread, beside the uploads and on the same
//! connections.

use super::{Transport, answer};
use crate::client::remote::{Failure, ReportedTo};
use crate::limits::daily::SEND;
use crate::wire::report::{Report, Reported};
use crate::wire::route;
use ureq::http::header;

impl ReportedTo for Transport {
    fn report(&self, report: &Report) -> Result<Reported, Failure> {
        let body = serde_json::to_vec(report)
            .map_err(|error| Failure::Nonsense(format!("cannot write the report: {error}")))?;
        let request = self
            .agent
            .post(format!("{}{}", self.url, route::REPORT))
            .header(header::AUTHORIZATION, format!("Bearer {}", self.api_key.expose()))
            .header(header::CONTENT_TYPE, "application/json")
            .config()
            .timeout_global(Some(SEND))
            .build();
        let response =
            request.send(&body).map_err(|error| Failure::Unreachable(self.explain(&error)))?;
        let reported: Reported = answer(response)?;
        if !reported.success || reported.date != report.date {
            return Err(Failure::Nonsense(format!("it confirms {}", reported.date)));
        }
        Ok(reported)
    }
}
