//! s3up: file backup from many hosts into one bucket.
//!
//! The library behind two thin binaries. `DESIGN.md` draws the house; every module's head says what
//! it is for, which thread runs it, what it owns and what it must not do.

pub mod backoff;
pub mod ca_file;
pub mod checklist;
pub mod client;
pub mod clock;
pub mod completions;
pub mod config;
pub mod crew;
pub mod digest;
pub mod exact;
pub mod exposition;
pub mod limits;
#[cfg(any(test, feature = "manual"))]
pub mod manual;
pub mod names;
pub mod pin;
pub mod program;
pub mod remote_path;
pub mod secret;
pub mod server;
pub mod service;
pub mod shown;
pub mod sqlite;
pub mod table;
pub mod tcp;
pub mod threads;
pub mod version;
pub mod wire;

/// Memory in static programs. musl's own allocator takes one lock for all threads: the client's scan took twice as
/// long by it, small uploads a third longer.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
