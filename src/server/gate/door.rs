//! The door: the loop that accepts connections, and never ends by itself.
//!
//! Runs on the `door` thread. It owns the listener. Each connection gets a thread of its own; whom
//! the census turns away is gone before it costs one. What goes wrong while accepting is logged,
//! waited out, and tried again: only the end of the program ends this loop.

use super::Gate;
use super::census::{ConnectionId, Entry};
use super::connection::{Visitor, serve};
use crate::clock;
use crate::crew::Crew;
use crate::limits::gate::{ACCEPT_PAUSE_FIRST, ACCEPT_PAUSE_MAX, LEAVING_CONNECTIONS};
use std::io;
use std::net::{IpAddr, Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Instant;

/// The door. Copies are the same one.
#[derive(Clone)]
pub struct Door {
    listener: Arc<TcpListener>,
    gate: Arc<Gate>,
    connections: Crew,
    /// Most threads of connections, those that were shown out and have not ended yet included.
    threads_max: usize,
}

impl Door {
    /// A door that leads from `listener` to `gate`; nobody is let in before [`Door::run`].
    pub fn open(listener: TcpListener, gate: Arc<Gate>) -> Self {
        let threads_max = gate.census().capacity() + LEAVING_CONNECTIONS;
        Self { listener: Arc::new(listener), gate, connections: Crew::default(), threads_max }
    }

    /// The listener.
    pub fn listener(&self) -> &TcpListener {
        &self.listener
    }

    /// Accepts connections until the program is ending and [`Door::close`] was called.
    pub fn run(&self) {
        let mut pause = ACCEPT_PAUSE_FIRST;
        while !self.gate.stop.is_raised() {
            self.let_leave();
            match self.listener.accept() {
                Ok((socket, address)) => {
                    pause = ACCEPT_PAUSE_FIRST;
                    self.welcome(socket, address.ip());
                }
                Err(_) if self.gate.stop.is_raised() => return,
                Err(error) if concerns_one(&error) => {
                    log::debug!("a connection was not made: {error}");
                }
                Err(error) => {
                    log::error!(
                        "cannot accept connections: {error}; trying again in {} ms; hint: at `too \
                         many open files`, raise the limit or lower limits.connections",
                        pause.as_millis()
                    );
                    self.gate.stop.wait(pause);
                    pause = (pause * 2).min(ACCEPT_PAUSE_MAX);
                }
            }
        }
    }

    /// Lets nobody in any more, and sends away who waits without a request. Call it once the
    /// program is ending.
    pub fn close(&self) {
        // Linux ends a blocked `accept` by it.
        if let Err(error) = rustix::net::shutdown(&*self.listener, rustix::net::Shutdown::Both) {
            log::debug!("cannot shut the listener: {error}");
        }
        self.gate.dismiss_idle();
    }

    /// Returns unless what the threads share is stuck; see [`Gate::prove_alive`].
    pub fn prove_alive(&self) {
        self.gate.prove_alive();
        let _ = self.connections.len();
    }

    /// Waits until the last connection has ended, at most until `deadline`; `false` if some have not.
    /// Bodies that still come in after `grace` are broken off.
    pub fn wait_empty(&self, grace: Instant, deadline: Instant) -> bool {
        self.connections.wait(grace.min(deadline)) || {
            self.gate.break_off_bodies();
            self.connections.wait(deadline)
        }
    }

    /// Waits for connections that were shown out, if they are many: their threads have to wake and
    /// to end, and whoever comes could be faster. They do not wait for anything, so this is short;
    /// should it ever not be, the door opens nevertheless.
    fn let_leave(&self) {
        self.connections.wait_for_room(self.threads_max - 1, clock::monotonic() + ACCEPT_PAUSE_MAX);
    }

    fn welcome(&self, socket: TcpStream, address: IpAddr) {
        let gate = &self.gate;
        let address = address.to_canonical();
        let socket = Arc::new(socket);
        let trusted = gate.trusted_proxies.iter().any(|network| network.contains(&address));
        let entry = gate.census().enter(address, trusted, Arc::clone(&socket));
        let (id, vestibule, evicted) = match entry {
            Entry::Welcome { id, evicted } => (id, false, evicted),
            Entry::Vestibule { id, evicted } => (id, true, evicted),
            Entry::Refused(_) => {
                gate.activity.counts().turned_away();
                return log::debug!("{address}: no room, turned away");
            }
        };
        if let Some(evicted) = evicted {
            // Its thread wakes and ends.
            let _ = evicted.shutdown(Shutdown::Both);
        }
        let visitor = Visitor { id, address, socket, vestibule };
        let inside = Arc::clone(gate);
        let stay = Stay { gate: Arc::clone(gate), id };
        let begun = self.connections.spawn("connection", move || {
            let _stay = stay;
            serve(&inside, visitor);
        });
        if let Err(error) = begun {
            log::error!("no thread for a connection: {error}; hint: lower limits.connections");
            gate.stop.wait(ACCEPT_PAUSE_FIRST);
        }
    }
}

/// Whether it was only this connection that failed, not accepting as such.
fn concerns_one(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}

/// A place in the census, given up however the connection ends.
struct Stay {
    gate: Arc<Gate>,
    id: ConnectionId,
}

impl Drop for Stay {
    fn drop(&mut self) {
        self.gate.census().leave(self.id);
    }
}
