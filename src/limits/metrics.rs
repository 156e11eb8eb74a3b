//! Bounds of the server's figures for Prometheus.
//!
//! Pure: constants only.

use std::time::Duration;

/// Upper bounds of how long requests and uploads take: from a small file on a fast network to one of
/// gigabytes on a slow one. Rules of operators name them, so none may go away.
pub const DURATION_BOUNDS: [Duration; 16] = [
    Duration::from_millis(1),
    Duration::from_micros(2500),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(25),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_millis(2500),
    Duration::from_secs(5),
    Duration::from_secs(15),
    Duration::from_secs(60),
    Duration::from_secs(300),
    Duration::from_secs(1800),
];
