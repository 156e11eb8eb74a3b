//! Figures for Prometheus: what `GET /metrics` answers.
//!
//! [`Counts`] are added to by those who know what happened, mostly by way of `activity`, so that ledger
//! and figures are fed in one place. [`Metrics`] puts a page together on the thread of the connection that
//! asks: from memory alone, without a worker, a lane, the store or the database, so that it is answered
//! also when those are in trouble.

pub mod counts;
pub mod durations;
pub mod figures;

pub use counts::Counts;
pub use figures::Inside;

use crate::exposition::CONTENT_TYPE;
use crate::server::activity::Activity;
use crate::server::clients::Clients;
use crate::server::gate::certificate::Certificates;
use crate::server::key::ClientName;
use crate::server::reply::Reply;
use crate::server::store::ObjectStore;
use figures::{ClientFigures, Figures};
use std::io::Cursor;
use std::sync::Arc;

/// Where the figures come from, but for the gate's own.
pub struct Metrics {
    /// When the server was started, in seconds since 1970.
    pub started: i64,
    /// What was counted, and how the ledger is.
    pub activity: Activity,
    /// Whose figures are told.
    pub clients: Arc<Clients>,
    /// What is served over TLS, if it is.
    pub certificates: Option<Arc<Certificates>>,
    /// How often it asked again.
    pub store: Arc<dyn ObjectStore>,
}

impl Metrics {
    /// The answer to `GET /metrics`.
    pub fn reply(&self, inside: Inside) -> Reply {
        let text = figures::text(&self.figures(inside));
        Reply {
            status: 200,
            headers: vec![
                ("Content-Type", CONTENT_TYPE.to_owned()),
                ("Cache-Control", "no-store".to_owned()),
            ],
            length: text.len() as u64,
            body: Box::new(Cursor::new(text)),
        }
    }

    fn figures(&self, inside: Inside) -> Figures {
        let counts = self.activity.counts();
        let keyring = self.clients.current();
        let mut clients: Vec<ClientFigures> =
            keyring.clients().map(|client| client_figures(counts, &client.name)).collect();
        clients.sort_by(|one, other| one.name.cmp(&other.name));
        let certificates = self.certificates.as_ref();
        Figures {
            started: self.started,
            clients,
            strangers: counts.strangers().all().collect(),
            requests: counts.requests().map(|(word, took)| (word, took.histogram())).collect(),
            uploads: counts.uploads().histogram(),
            store_errors: counts.store_errors().map(|(kind, count)| (kind.word(), count)).collect(),
            store_retries: self.store.retries(),
            inside: Inside {
                turned_away: counts.all_turned_away(),
                bodies: counts.bodies(),
                ..inside
            },
            ledger: self.activity.ledger(),
            certificate_end: certificates.and_then(|certificates| certificates.not_after()),
        }
    }
}

fn client_figures(counts: &Counts, name: &ClientName) -> ClientFigures {
    let known = counts.of(name);
    let name = name.to_string();
    let Some(known) = known else { return ClientFigures { name, ..ClientFigures::default() } };
    ClientFigures {
        name,
        files: known.files(),
        bytes: known.bytes(),
        refusals: known.refusals().all().filter(|(_, count)| *count > 0).collect(),
        last_success: known.last_success(),
        last_report: known.last_report(),
    }
}
