//! The gate: what stands between the network and the worker pool.
//!
//! It accepts connections, speaks TLS, reads heads and bodies with deadlines, admits a request on its
//! head alone, and hands it to a worker over a lane, under a head that it wrote itself. What a peer
//! sent is never passed on as it came, and nothing of it is believed before it was checked.
//!
//! Threads: `door` accepts; each connection has one. They share one [`Gate`].

mod access_log;
pub mod admission;
mod body;
mod browser;
pub mod census;
pub mod certificate;
mod connection;
pub mod descriptors;
pub mod door;
mod exchange;
pub mod forwarded;
pub mod head;
pub mod pace;
pub mod peer;
mod response;
mod stream;
pub mod throttle;

use crate::server::activity::Activity;
use crate::server::clients::Clients;
use crate::server::config::Limits;
use crate::server::lanes::Lanes;
use crate::server::metrics::{Inside, Metrics};
use crate::server::page::session::Sessions;
use crate::server::reply::Reply;
use crate::server::shares::Shares;
use crate::threads::Stop;
use census::{Census, CensusLimits};
use certificate::Certificates;
use ipnet::IpNet;
use pace::Pace;
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use throttle::Throttle;

/// What the connections share.
pub struct Gate {
    clients: Arc<Clients>,
    certificates: Option<Arc<Certificates>>,
    trusted_proxies: Vec<IpNet>,
    limits: Limits,
    activity: Activity,
    metrics: Metrics,
    lanes: Arc<Lanes>,
    /// Memory for bodies and for the files in them, in bytes.
    memory: Arc<Shares>,
    /// Exchanges that last as long as a peer takes, one unit each.
    long: Arc<Shares>,
    census: Mutex<Census<Arc<TcpStream>>>,
    throttle: Mutex<Throttle>,
    sessions: Mutex<Sessions>,
    stop: Stop,
}

/// What a gate is built of.
pub struct Parts {
    /// Who may come in.
    pub clients: Arc<Clients>,
    /// With which certificate; none means without TLS.
    pub certificates: Option<Arc<Certificates>>,
    /// Whose word on a peer's address is taken.
    pub trusted_proxies: Vec<IpNet>,
    /// How much is borne, and for how long.
    pub limits: Limits,
    /// Who is told who came in, and what was refused.
    pub activity: Activity,
    /// Who tells how the server stands.
    pub metrics: Metrics,
    /// The way to the workers.
    pub lanes: Arc<Lanes>,
    /// When the program is ending.
    pub stop: Stop,
}

impl Gate {
    /// A gate without connections.
    pub fn new(parts: Parts) -> Arc<Self> {
        let Parts { clients, certificates, trusted_proxies, limits, .. } = parts;
        let Parts { activity, metrics, lanes, stop, .. } = parts;
        Arc::new(Self {
            clients,
            certificates,
            trusted_proxies,
            limits,
            activity,
            metrics,
            memory: Shares::new(limits.buffer_memory),
            long: Shares::new(lanes.for_long()),
            lanes,
            census: Mutex::new(Census::new(CensusLimits {
                connections: limits.connections,
                per_peer: limits.connections_per_peer,
                // Three quarters: whoever has a key finds room beside any number of others.
                strangers: limits.connections - limits.connections / 4,
            })),
            throttle: Mutex::new(Throttle::new()),
            sessions: Mutex::default(),
            stop,
        })
    }

    /// Ends the connections that wait for a request. What has arrived already is read, and answered.
    /// Those that serve a request end after it.
    pub fn dismiss_idle(&self) {
        stop_reading(self.census().idle_handles());
    }

    /// Ends the bodies that are still coming in; their senders are told 503.
    pub fn break_off_bodies(&self) {
        stop_reading(self.census().handles());
    }

    /// Takes and gives back each lock that connections, workers and reports share. It waits for nothing
    /// else, and each is held for moments only: so this ends, unless they are stuck.
    pub fn prove_alive(&self) {
        drop(self.figures());
        drop(self.throttle());
        drop(self.sessions());
    }

    /// The server's figures. No worker is needed, and nothing is waited for but for some short locks.
    fn figures(&self) -> Reply {
        let connections = self.census().len();
        self.metrics.reply(Inside {
            connections,
            connections_max: self.limits.connections,
            memory: self.memory.taken(),
            memory_max: self.memory.max(),
            lanes_in_use: self.lanes.in_use(),
            lanes: self.lanes.count(),
            ..Inside::default()
        })
    }

    fn pace(&self) -> Pace {
        Pace::new(self.limits.stall, self.limits.min_rate)
    }

    fn census(&self) -> MutexGuard<'_, Census<Arc<TcpStream>>> {
        self.census.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sessions(&self) -> MutexGuard<'_, Sessions> {
        // Each change is complete in itself, so a panic elsewhere cannot have left half of one.
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn throttle(&self) -> MutexGuard<'_, Throttle> {
        self.throttle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lets nothing more in by these sockets: who waits for something sees the end. Answers still go out.
fn stop_reading<'s>(sockets: impl Iterator<Item = &'s Arc<TcpStream>>) {
    for socket in sockets {
        // Gone already: just as well.
        let _ = socket.shutdown(Shutdown::Read);
    }
}
