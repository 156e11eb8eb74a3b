//! A request that the gate has let in: all that the rest of the server knows of it.
//!
//! Pure. `gate::admission` makes it, `lanes` carry it to a worker, `handlers` serve it. Whoever holds
//! one need not ask again whether the key was good or the length allowed.

use crate::server::config::Client;
use crate::server::key::ClientName;
use crate::server::multipart::Boundary;
use crate::server::route::Route;
use std::net::IpAddr;

/// An admitted request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admitted {
    /// What is asked for.
    pub route: Route,
    /// Whether only the head of the answer is wanted (method `HEAD`).
    pub head_only: bool,
    /// Who asks.
    pub caller: Caller,
    /// From where, as far as that is known.
    pub peer: IpAddr,
    /// Length of the body in bytes; without one there is no body.
    pub length: Option<u64>,
    /// The boundary of the form in the body, if it is to be one.
    pub boundary: Option<Boundary>,
    /// The value of `Range`, visible ASCII.
    pub range: Option<String>,
}

impl Admitted {
    /// The client that asks, if it is one.
    pub fn client(&self) -> Option<&Identity> {
        match &self.caller {
            Caller::Client(client) => Some(client),
            Caller::Nobody | Caller::Administrator => None,
        }
    }

    /// Whether it is a login or a logout, or asks for the page without a key. No worker is asked for
    /// it: the gate answers such a browser by itself.
    pub fn is_a_browsers_without_a_key(&self) -> bool {
        match self.route {
            Route::Login | Route::Logout => true,
            Route::Page => self.caller == Caller::Nobody,
            _ => false,
        }
    }
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    /// Somebody without a key, where none is needed.
    Nobody,
    /// A client.
    Client(Identity),
    /// An administrator.
    Administrator,
}

/// What the log calls an administrator: no client can have such a name.
pub const ADMINISTRATOR: &str = "(admin)";

impl Caller {
    /// What the log calls it; none if it is nobody.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Nobody => None,
            Self::Client(client) => Some(client.name.as_str()),
            Self::Administrator => Some(ADMINISTRATOR),
        }
    }
}

/// A client as far as a request of its needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Its name: its folder in the bucket.
    pub name: ClientName,
    /// Largest file it may store, in bytes.
    pub max_file_size: u64,
}

impl From<&Client> for Identity {
    fn from(client: &Client) -> Self {
        Self { name: client.name.clone(), max_file_size: client.max_file_size }
    }
}
