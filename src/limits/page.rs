//! Bounds of the administrator's page.
//!
//! Pure: constants only.

use super::API_KEY_BYTES_MAX;
use std::time::Duration;

/// Largest form of a login, in bytes: a key in which every byte is escaped, and what stands before it.
pub const LOGIN_BYTES_MAX: u64 = 2048;

/// After so long a browser is asked for the key again: a working day.
pub const SESSION_AGE: Duration = Duration::from_secs(12 * 60 * 60);

/// Most sessions at the same time; the oldest makes room. Only who has an administrator's key begins
/// one.
pub const SESSIONS_MAX: usize = 64;

/// Longest `Cookie` that is looked through, in bytes: others on the same host may add to it.
pub const COOKIES_BYTES_MAX: usize = 4096;

const _: () =
    assert!(LOGIN_BYTES_MAX as usize >= "name=administrator&key=".len() + 3 * API_KEY_BYTES_MAX);
