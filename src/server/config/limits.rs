//! The gate's part of `server.yaml`: `limits:`, all of it optional.
//!
//! Pure, as the whole configuration is.

use super::Client;
use crate::config::Section;
use crate::limits::FORM_OVERHEAD_BYTES_MAX;
use crate::server::buffers::upload_bytes;
use std::time::Duration;

/// How many connections the gate holds, and how long it waits for each of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most connections at the same time, those that wait for a request included.
    pub connections: usize,
    /// Most connections of one address at the same time.
    pub connections_per_peer: usize,
    /// From the first byte of a connection or of its next request, or from the beginning of its TLS
    /// handshake, to the end of the request's head.
    pub head: Duration,
    /// How long a connection without a request is kept open.
    pub idle: Duration,
    /// How long no byte of a body may arrive, or none of an answer be taken.
    pub stall: Duration,
    /// Least average rate of a body, in bytes a second, after a time of grace; 0 for none.
    pub min_rate: u64,
    /// Memory for bodies and for the files in them, of all uploads together, in bytes.
    pub buffer_memory: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 4096,
            connections_per_peer: 512,
            head: Duration::from_secs(10),
            // Longer than clients keep theirs, so that it is the client that closes.
            idle: Duration::from_secs(75),
            stall: Duration::from_secs(30),
            min_rate: 1024,
            // Two parts for each of thirty large uploads.
            buffer_memory: 512 * MB,
        }
    }
}

/// Most connections that can be asked for: each is a thread.
const CONNECTIONS_MAX: u64 = 100_000;

/// Longest idle or stalled connection that can be asked for, in seconds.
const WAIT_SECONDS_MAX: u64 = 3600;

/// Highest `min_bytes_per_second`: more would refuse ordinary uplinks.
const RATE_MAX: u64 = 1024 * 1024;

/// 1 MB is 1,048,576 bytes here.
const MB: usize = 1024 * 1024;

/// Least and most `buffer_memory_mb`: two large uploads, and what no machine has.
const BUFFER_MEMORY_MB: std::ops::RangeInclusive<u64> = 64..=1024 * 1024;

/// Reads the section; what is absent keeps its default.
pub(super) fn read(section: &Section<'_>) -> Option<Limits> {
    let default = Limits::default();
    let count = |key, default: usize, least| {
        let count = section.integer(key, Some(default as u64), least..=CONNECTIONS_MAX)?;
        usize::try_from(count).ok()
    };
    let seconds = |key, default: Duration, most| {
        section.integer(key, Some(default.as_secs()), 1..=most).map(Duration::from_secs)
    };
    let connections = count("connections", default.connections, 8);
    let connections_per_peer = count("connections_per_peer", default.connections_per_peer, 1);
    let head = seconds("head_seconds", default.head, 300);
    let idle = seconds("idle_seconds", default.idle, WAIT_SECONDS_MAX);
    let stall = seconds("stall_seconds", default.stall, WAIT_SECONDS_MAX);
    let min_rate = section.integer("min_bytes_per_second", Some(default.min_rate), 0..=RATE_MAX);
    let default_memory = (default.buffer_memory / MB) as u64;
    let memory = section.integer("buffer_memory_mb", Some(default_memory), BUFFER_MEMORY_MB);
    Some(Limits {
        buffer_memory: usize::try_from(memory?).ok()? * MB,
        connections: connections?,
        connections_per_peer: connections_per_peer?,
        head: head?,
        idle: idle?,
        stall: stall?,
        min_rate: min_rate?,
    })
}

/// Whether the memory suffices for the largest file of each client. S3's limit of parts makes those
/// of huge files large.
pub(super) fn suffice(root: &Section<'_>, limits: &Limits, clients: &[Client]) -> bool {
    let largest = clients.iter().map(|client| client.max_file_size).max().unwrap_or_default();
    let needed = upload_bytes(largest + FORM_OVERHEAD_BYTES_MAX);
    // Nobody can take all of it: see `shares`.
    if needed <= limits.buffer_memory - limits.buffer_memory / 4 {
        return true;
    }
    let least = needed.div_ceil(3).saturating_mul(4).div_ceil(MB);
    let message = format!(
        "buffer_memory_mb is {}; for a max_file_size_mb of {} it has to be at least {least}",
        limits.buffer_memory / MB,
        largest / MB as u64
    );
    root.problem("limits", message);
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_is_more_patient_with_idle_connections_than_the_client() {
        assert!(Limits::default().idle > crate::limits::http::IDLE);
    }
}
