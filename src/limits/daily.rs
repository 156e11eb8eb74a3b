//! Bounds of when and how a client sends its reports and writes its figures.
//!
//! Pure: constants only. What a report itself may hold stands in [`super::report`].

use std::time::Duration;

/// How many days are kept in the client's database: a year and what a yearly look at it is late.
pub const KEPT_DAYS: u32 = 400;

/// Days further back than this are not sent any more: nobody acts on them.
pub const LATE_DAYS_MAX: i64 = 30;

/// From the end of a day to the first client's report of it: what was acknowledged in its last moment is
/// in both ledgers by then, also if the clocks are some minutes apart.
pub const AFTER_MIDNIGHT: Duration = Duration::from_secs(10 * 60);

/// The time of the night over which clients spread: with 500 of them, one in half a minute.
pub const SPREAD: Duration = Duration::from_secs(4 * 60 * 60);

/// How long the server may take for one report, all in all. It writes a line to its database.
pub const SEND: Duration = Duration::from_secs(60);

/// First pause after a report that was not taken for a reason that may pass; it doubles each time.
pub const PAUSE_FIRST: Duration = Duration::from_secs(60);

/// Longest such pause, unless the server asks for a longer one. A client that sends nothing else
/// wakes so often while the server is away.
pub const PAUSE_MAX: Duration = Duration::from_secs(60 * 60);

/// Longest pause that the server can ask for: the next day's report is due by then.
pub const ASKED_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// So many exchanges in a row that went wrong put a day off to tomorrow: if it is this report that a
/// server trips over, the others must not wait for it.
pub const EXCHANGES_MAX: u32 = 8;

/// How long `s3up report --now` waits for the running client: a report may be under way already.
pub const NOW: Duration = Duration::from_secs(2 * SEND.as_secs() + 15);

/// Commands that wait until the reporter has time for them; more are told to come again.
pub const ERRANDS_MAX: usize = 8;

/// Different reasons that are told apart while parked files are counted; those beyond count together.
pub const REASONS_COUNTED_MAX: usize = 1000;

/// Between two writes of the file with the figures: collectors look about as often.
pub const FIGURES_EVERY: Duration = Duration::from_secs(60);

const _: () = assert!(
    AFTER_MIDNIGHT.as_secs() + SPREAD.as_secs() < 24 * 60 * 60,
    "each day's report has its time on the next day"
);
const _: () = assert!(LATE_DAYS_MAX < KEPT_DAYS as i64);
