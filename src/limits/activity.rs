//! Bounds of what the server remembers of its clients.
//!
//! Pure: constants only.

use std::time::Duration;

/// Most uploads that wait to be written down: some seconds of the highest rate. More are dropped,
/// and counted.
pub const UPLOADS_WAITING_MAX: usize = 8192;

/// Most uploads that are written down in one transaction.
pub const BATCH_UPLOADS: usize = 1024;

/// So long after the first of them a batch is written, however few they are.
pub const COMMIT_EVERY: Duration = Duration::from_millis(250);

/// Failed uploads of one client and day that get a row each, with their paths: enough to see what is
/// wrong. The others are counted, so that a client that fails in a loop does not fill the disk.
pub const FAILED_ROWS_PER_DAY: u64 = 1000;

/// Most reports that wait to be written down.
pub const ORDERS_WAITING_MAX: usize = 64;

/// How long a report waits until it is written down, before its client is told to come again.
pub const ORDER_WAIT: Duration = Duration::from_secs(10);

/// How much longer than all else the server may take to end, to write down the last uploads.
pub const RECORDING_GRACE: Duration = Duration::from_secs(2);

/// First pause before a database that cannot be written is tried again, which grows ...
pub const RETRY_PAUSE_FIRST: Duration = Duration::from_secs(1);

/// ... up to this one.
pub const RETRY_PAUSE_MAX: Duration = Duration::from_secs(60);

/// Between two lines that say how much was dropped.
pub const DROPPED_TOLD_EVERY: Duration = Duration::from_secs(60);

/// Between two looks for what is older than it has to be kept.
pub const PRUNE_EVERY: Duration = Duration::from_secs(60 * 60);

/// Rows that are removed in one transaction: some milliseconds, between which uploads are written.
pub const PRUNE_ROWS: usize = 2000;

/// Days that a view of the near past sums up.
pub const RECENT_DAYS: i64 = 30;

/// How far apart a client's clock and the server's may be for their days to be compared.
pub const CLOCK_DIFFERENCE_MAX: Duration = Duration::from_secs(12 * 60 * 60);

/// Files that may be stored and never counted by their client, beside one in a hundred: those that
/// changed or vanished while they were sent.
pub const UNCOUNTED_FILES: u64 = 10;

const _: () = assert!(BATCH_UPLOADS <= UPLOADS_WAITING_MAX);
