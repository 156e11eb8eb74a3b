//! By what attempts to upload a file fail: kinds to count them by.
//!
//! Pure.

use crate::wire::Fault;

/// By what an attempt to upload a file failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Attempt {
    /// The file cannot be read.
    Unreadable,
    /// The server does not want this file.
    Refused,
    /// Something went wrong on the way, for this once.
    Broken,
    /// The server does not know the key.
    Key,
    /// The server is away, or cannot store anything now.
    Server,
}

impl Attempt {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Unreadable, Self::Refused, Self::Broken, Self::Key, Self::Server];

    /// By what an attempt failed that the server, or the way to it, is at fault for.
    pub fn of(fault: Fault) -> Self {
        match fault {
            Fault::Request => Self::Refused,
            Fault::Exchange => Self::Broken,
            Fault::Key => Self::Key,
            Fault::Server => Self::Server,
        }
    }

    /// Its name for programs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::Refused => "refused",
            Self::Broken => "broken",
            Self::Key => "key",
            Self::Server => "server",
        }
    }

    /// Whether it counts against the file.
    pub fn is_files(self) -> bool {
        matches!(self, Self::Unreadable | Self::Refused | Self::Broken)
    }
}
