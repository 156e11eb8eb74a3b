//! Bounds of what is told when a client falls silent.
//!
//! Pure: constants only.

use std::time::Duration;

/// So long after the server's start no client is told to be late or silent. The server may have been
/// away, and its clients come back by and by: one whose report was not taken tries again after an
/// hour and a quarter at most.
pub const START_GRACE: Duration = Duration::from_secs(90 * 60);

/// Least time between a message about a client and the next one that says that it is worse. That it is
/// well again is said at once.
pub const CLIENT_EVERY: Duration = Duration::from_secs(60 * 60);

/// First pause after a message that could not be delivered, which grows ...
pub const RETRY_FIRST: Duration = Duration::from_secs(60);

/// ... up to this one. It is tried for as long as it is true: an alert that was given up would be silence.
pub const RETRY_MAX: Duration = Duration::from_secs(60 * 60);

/// Longest time between two looks at the clients. Every look knows when the next one is due; this is for a
/// clock that somebody sets, and a machine that slept.
pub const LOOK_EVERY_MAX: Duration = Duration::from_secs(60 * 60);

/// Least time between two looks: clients that come back together are one look.
pub const LOOK_EVERY_MIN: Duration = Duration::from_secs(1);

/// Pause before the database is read again when it could not be.
pub const READ_AGAIN: Duration = Duration::from_secs(60);

/// How long a command may take, until it is killed with all it began.
pub const COMMAND_MAX: Duration = Duration::from_secs(30);

/// How long a command may go on when the server is ending: well within `limits::SHUTDOWN_MAX`.
pub const COMMAND_GRACE: Duration = Duration::from_secs(3);

/// Between two looks, while a command runs, whether the server is ending.
pub const COMMAND_LOOK_EVERY: Duration = Duration::from_millis(250);

/// How long a command that was killed may take to be gone: one that waits for a disk may not be at once.
pub const COMMAND_DEATH: Duration = Duration::from_secs(2);

/// Most that a command may write to its outputs, in bytes. One that writes more is killed.
pub const COMMAND_OUTPUT_MAX: usize = 1024 * 1024;

/// How much of the end of a command's output is kept, in bytes; its last line goes to the log.
pub const COMMAND_OUTPUT_KEPT: usize = 4096;

/// Longest text of that line in the log, in bytes.
pub const LAST_LINE_BYTES_MAX: usize = 200;

/// Most arguments of a command, its program included.
pub const ARGUMENTS_MAX: usize = 64;

/// How long a webhook may take from name to answer. It cannot be broken off, so it is well within
/// `limits::SHUTDOWN_MAX`.
pub const WEBHOOK_MAX: Duration = Duration::from_secs(10);

const _: () =
    assert!(COMMAND_GRACE.as_secs() + COMMAND_DEATH.as_secs() < super::SHUTDOWN_MAX.as_secs());
const _: () = assert!(WEBHOOK_MAX.as_secs() < super::SHUTDOWN_MAX.as_secs());
const _: () = assert!(COMMAND_OUTPUT_KEPT < COMMAND_OUTPUT_MAX);
