//! What happened since the last write, summed up by client and by day: a row of each is changed once,
//! however many uploads there were.
//!
//! Pure.

use super::event::{Outcome, Upload};
use super::pending::{Pending, Refusal, Sighting, Times};
use crate::server::key::ClientName;
use crate::wire::{Day, ErrorCode};
use std::collections::HashMap;

/// What one write adds to a client's row.
#[derive(Default)]
pub(super) struct Sum {
    pub(super) first_at: i64,
    pub(super) last_at: i64,
    pub(super) version: Option<String>,
    pub(super) last_upload_at: Option<i64>,
    pub(super) last_error: Option<(i64, &'static str, ErrorCode)>,
    pub(super) files: u64,
    pub(super) bytes: u64,
}

/// What one write adds to a client's day.
#[derive(Default)]
pub(super) struct Counts {
    pub(super) files: u64,
    pub(super) bytes: u64,
    pub(super) failures: u64,
}

/// What one write adds, by whom and when.
#[derive(Default)]
pub(super) struct Sums {
    pub(super) clients: HashMap<ClientName, Sum>,
    pub(super) days: HashMap<(Day, ClientName), Counts>,
    pub(super) refusals: HashMap<Refusal, Times>,
}

impl Sums {
    /// Adds an upload; `true` if it was stored.
    pub(super) fn add_upload(&mut self, upload: &Upload) -> bool {
        let Upload { client, ended_at, size, outcome, .. } = upload;
        let Outcome::Failed(code) = *outcome else {
            let sum = self.client(client, *ended_at);
            sum.last_upload_at = Some(*ended_at);
            sum.files += 1;
            sum.bytes += size;
            let day = self.days.entry((Day::of(*ended_at), client.clone())).or_default();
            day.files += 1;
            day.bytes += size;
            return true;
        };
        let day = Day::of(*ended_at);
        let refusal = Refusal { day, client: Some(client.clone()), asked: "upload", code };
        self.add_refusal(refusal, Times { count: 1, last_at: *ended_at });
        false
    }

    fn add_refusal(&mut self, refusal: Refusal, times: Times) {
        if let Some(client) = &refusal.client {
            let error = (times.last_at, refusal.asked, refusal.code);
            let sum = self.client(client, times.last_at);
            if sum.last_error.is_none_or(|(at, ..)| at <= times.last_at) {
                sum.last_error = Some(error);
            }
            if refusal.asked == "upload" {
                let day = self.days.entry((refusal.day, client.clone())).or_default();
                day.failures += times.count;
            }
        }
        let all = self.refusals.entry(refusal).or_default();
        all.count += times.count;
        all.last_at = times.last_at;
    }

    /// Adds what was seen and refused.
    pub(super) fn add_pending(&mut self, pending: &Pending) {
        for (client, Sighting { first_at, last_at, version }) in &pending.seen {
            let sum = self.client(client, *first_at);
            sum.last_at = sum.last_at.max(*last_at);
            if let Some(version) = version {
                sum.version = Some(version.to_string());
            }
        }
        for (refusal, times) in &pending.refused {
            self.add_refusal(refusal.clone(), *times);
        }
    }

    fn client(&mut self, client: &ClientName, at: i64) -> &mut Sum {
        let new = || Sum { first_at: at, last_at: at, ..Sum::default() };
        let sum = self.clients.entry(client.clone()).or_insert_with(new);
        sum.first_at = sum.first_at.min(at);
        sum.last_at = sum.last_at.max(at);
        sum
    }
}
