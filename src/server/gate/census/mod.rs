//! Who is connected, and who has to go when the house is full.
//!
//! Pure: shared by the accept loop and all connections, under one mutex that is the caller's. It
//! owns a handle of every connection so that it can give one back to be shut down; it touches none.
//!
//! A connection is a *stranger* until a request on it had a good key. Strangers cost nothing to
//! make, so they are what an attacker fills the house with. Therefore:
//!
//! 1. At a bound (all connections, strangers, connections of one peer) the stranger that has been
//!    there longest and is not busy is shown out for the new one; where the peer's own bound is the
//!    one that is hit, a stranger of that peer. An honest client proves itself milliseconds after it
//!    came, long before its turn, however many idle connections there are.
//! 2. Who has proved itself, or is in an exchange, is never shown out for another.
//! 3. If there is nobody to show out, the new one goes to the *vestibule*: a few more places, where
//!    only health is answered and everything else gets a 503. Its visitors make room for each other
//!    by the same rule, so that nobody can sit there and keep the operator's monitor out.
//! 4. If all visitors are busy, the new one is refused.
//!
//! Connections from trusted proxies speak for many peers and know no bound of their own.
//!
//! Every operation takes O(log n). Nothing is kept of a peer that has no connection in the house.

#[cfg(test)]
mod tests;

use crate::limits::gate::VESTIBULE_CONNECTIONS;
use crate::server::gate::peer::PeerGroup;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

/// How many connections there may be, the vestibule's not counted.
#[derive(Clone, Copy, Debug)]
pub struct CensusLimits {
    /// In all.
    pub connections: usize,
    /// Of one peer, unless it is a trusted proxy.
    pub per_peer: usize,
    /// That have not authenticated yet.
    pub strangers: usize,
}

/// Places in the vestibule of a house for so many connections: [`VESTIBULE_CONNECTIONS`], or a
/// quarter of the house's where that is less.
pub fn vestibule_places(connections: usize) -> usize {
    VESTIBULE_CONNECTIONS.min(connections / 4)
}

/// Names a connection; never used again. The earlier one came, the smaller its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConnectionId(u64);

/// What becomes of a new connection. The handle in `evicted` is that of a connection that had to
/// make room: it counts as gone, and the caller has to shut it down.
#[derive(Debug, PartialEq, Eq)]
pub enum Entry<H> {
    /// It may go on.
    Welcome {
        /// Its name from now on.
        id: ConnectionId,
        /// Who had to go for it.
        evicted: Option<H>,
    },
    /// The house is full: only health is answered here.
    Vestibule {
        /// Its name from now on.
        id: ConnectionId,
        /// Who had to go for it.
        evicted: Option<H>,
    },
    /// There is no place at all: here is its handle again.
    Refused(H),
}

/// How many there are, for the log and for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections in the house.
    pub connections: usize,
    /// Of these, the ones that have not authenticated yet.
    pub strangers: usize,
    /// Connections in the vestibule.
    pub visitors: usize,
    /// Connections in an exchange, wherever they are.
    pub busy: usize,
}

/// All connections there are, each with a handle `H`.
#[derive(Debug)]
pub struct Census<H> {
    limits: CensusLimits,
    vestibule: usize,
    next: u64,
    guests: BTreeMap<ConnectionId, Guest<H>>,
    counts: Counts,
    /// Those in the house, by peer.
    peers: HashMap<PeerGroup, Peer>,
    /// Strangers that are not busy.
    idle_strangers: BTreeSet<ConnectionId>,
    /// Visitors that are not busy.
    idle_visitors: BTreeSet<ConnectionId>,
}

#[derive(Debug)]
struct Guest<H> {
    peer: PeerGroup,
    standing: Standing,
    busy: bool,
    handle: H,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// In the house, not authenticated yet.
    Stranger,
    /// In the house, authenticated.
    Proven,
    /// In the vestibule.
    Visitor,
}

/// What one peer has in the house.
#[derive(Debug, Default)]
struct Peer {
    connections: usize,
    idle_strangers: BTreeSet<ConnectionId>,
}

impl<H> Census<H> {
    /// An empty house.
    pub fn new(limits: CensusLimits) -> Self {
        Self {
            limits,
            vestibule: vestibule_places(limits.connections),
            next: 0,
            guests: BTreeMap::new(),
            counts: Counts::default(),
            peers: HashMap::new(),
            idle_strangers: BTreeSet::new(),
            idle_visitors: BTreeSet::new(),
        }
    }

    /// Most connections there can be in all, in the house and in the vestibule.
    pub fn capacity(&self) -> usize {
        self.limits.connections + self.vestibule
    }

    /// Takes a new connection in, as a stranger that is not busy. `peer` is the address of its
    /// socket; `trusted` says that this is a trusted proxy.
    pub fn enter(&mut self, peer: IpAddr, trusted: bool, handle: H) -> Entry<H> {
        let peer = PeerGroup::of(peer);
        let own = self.peers.get(&peer);
        let own_full = !trusted && own.map_or(0, |own| own.connections) >= self.limits.per_peer;
        let full = self.counts.connections >= self.limits.connections
            || self.counts.strangers >= self.limits.strangers;
        // One leaving is enough for all bounds: it is a stranger in the house, as the new one will
        // be, and of the same peer where that matters.
        let longest = if own_full {
            own.and_then(|own| own.idle_strangers.first())
        } else {
            self.idle_strangers.first()
        };
        if !own_full && !full {
            Entry::Welcome { id: self.admit(peer, Standing::Stranger, handle), evicted: None }
        } else if let Some(longest) = longest.copied() {
            let evicted = self.leave(longest);
            Entry::Welcome { id: self.admit(peer, Standing::Stranger, handle), evicted }
        } else {
            self.enter_vestibule(peer, handle)
        }
    }

    fn enter_vestibule(&mut self, peer: PeerGroup, handle: H) -> Entry<H> {
        let mut evicted = None;
        if self.counts.visitors >= self.vestibule {
            let Some(longest) = self.idle_visitors.first().copied() else {
                return Entry::Refused(handle);
            };
            evicted = self.leave(longest);
        }
        Entry::Vestibule { id: self.admit(peer, Standing::Visitor, handle), evicted }
    }

    /// Notes that a request on this connection had a good key. Who is in the vestibule stays there.
    /// False if the connection was shown out meanwhile: nothing more should be done for it.
    pub fn prove(&mut self, id: ConnectionId) -> bool {
        self.change(id, |guest| {
            if guest.standing == Standing::Stranger {
                guest.standing = Standing::Proven;
            }
        })
    }

    /// Notes that an exchange has begun on this connection, or ended. False if the connection was
    /// shown out meanwhile: nothing more should be done for it.
    ///
    /// Being made to wait after a bad key is no exchange: a stranger could stay as long as it likes.
    pub fn set_busy(&mut self, id: ConnectionId, busy: bool) -> bool {
        self.change(id, |guest| guest.busy = busy)
    }

    /// Notes that a connection has ended, and gives its handle back. `None` if it was shown out
    /// before, or has left before.
    pub fn leave(&mut self, id: ConnectionId) -> Option<H> {
        self.take(id).map(|guest| guest.handle)
    }

    /// The handles of all connections that are not in an exchange, in the order they came: what is
    /// shut down first when the server ends.
    pub fn idle_handles(&self) -> impl Iterator<Item = &H> {
        self.guests.values().filter(|guest| !guest.busy).map(|guest| &guest.handle)
    }

    /// The handles of all connections, in the order they came.
    pub fn handles(&self) -> impl Iterator<Item = &H> {
        self.guests.values().map(|guest| &guest.handle)
    }

    /// How many connections there are of each kind.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// How many connections there are in all, in the house and in the vestibule.
    pub fn len(&self) -> usize {
        self.guests.len()
    }

    /// Whether nobody is connected.
    pub fn is_empty(&self) -> bool {
        self.guests.is_empty()
    }

    fn admit(&mut self, peer: PeerGroup, standing: Standing, handle: H) -> ConnectionId {
        let id = ConnectionId(self.next);
        self.next += 1;
        self.put(id, Guest { peer, standing, busy: false, handle });
        id
    }

    /// Changes a guest and everything that is counted by what it is; false if it is not here.
    fn change(&mut self, id: ConnectionId, change: impl FnOnce(&mut Guest<H>)) -> bool {
        let guest = self.take(id);
        let here = guest.is_some();
        if let Some(mut guest) = guest {
            change(&mut guest);
            self.put(id, guest);
        }
        here
    }

    /// Counts a guest in; the reverse of [`Census::take`].
    fn put(&mut self, id: ConnectionId, guest: Guest<H>) {
        self.counts.busy += usize::from(guest.busy);
        if guest.standing == Standing::Visitor {
            self.counts.visitors += 1;
            if !guest.busy {
                self.idle_visitors.insert(id);
            }
        } else {
            self.counts.connections += 1;
            let peer = self.peers.entry(guest.peer).or_default();
            peer.connections += 1;
            if guest.standing == Standing::Stranger {
                self.counts.strangers += 1;
                if !guest.busy {
                    self.idle_strangers.insert(id);
                    peer.idle_strangers.insert(id);
                }
            }
        }
        self.guests.insert(id, guest);
    }

    /// Takes a guest out, and out of everything it is counted in.
    fn take(&mut self, id: ConnectionId) -> Option<Guest<H>> {
        let guest = self.guests.remove(&id)?;
        self.counts.busy -= usize::from(guest.busy);
        self.idle_visitors.remove(&id);
        self.idle_strangers.remove(&id);
        if guest.standing == Standing::Visitor {
            self.counts.visitors -= 1;
            return Some(guest);
        }
        self.counts.connections -= 1;
        self.counts.strangers -= usize::from(guest.standing == Standing::Stranger);
        if let Some(peer) = self.peers.get_mut(&guest.peer) {
            peer.connections -= 1;
            peer.idle_strangers.remove(&id);
            if peer.connections == 0 {
                self.peers.remove(&guest.peer);
            }
        }
        Some(guest)
    }
}
