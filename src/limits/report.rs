//! Bounds of what a client says of one of its days.
//!
//! Pure: constants only.

/// Largest report as JSON, in bytes: one with all that the bounds below allow fits.
pub const BODY_BYTES_MAX: usize = 64 * 1024;

/// Largest number: what JSON's readers hold exactly, a double's 53 bits.
pub const NUMBER_MAX: u64 = (1 << 53) - 1;

/// Longest version, in bytes.
pub const VERSION_BYTES_MAX: usize = 64;

/// Longest reason, in bytes: a line with its hint, and what a system call has to say.
pub const REASON_BYTES_MAX: usize = 400;

/// Longest path of a folder, in bytes: it is for people, who know it by less.
pub const PATH_BYTES_MAX: usize = 512;

/// Most reasons for which files are parked: those that most files have.
pub const REASONS_MAX: usize = 16;

/// Most folders that cannot be watched: one cause, such as missing rights, makes thousands.
pub const WATCH_FAILURES_MAX: usize = 20;

/// Most lines that the comparison with the server's own count has.
pub const REMARKS_MAX: usize = 8;

const _: () = assert!(
    // JSON writes some characters as two.
    2 * (REASONS_MAX * REASON_BYTES_MAX
        + WATCH_FAILURES_MAX * (PATH_BYTES_MAX + REASON_BYTES_MAX)
        + VERSION_BYTES_MAX)
        + 8 * 1024
        <= BODY_BYTES_MAX,
    "the longest report can be sent"
);
