//! Many connections at once, from several addresses of this machine.

use super::connection::{Connection, new_socket, prepared};
use rustix::net::{bind, connect};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};

/// One of this machine's addresses, all of which begin with 127.
pub(crate) fn address(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 0, last)
}

/// A connection to a server on this machine that comes from this address.
#[track_caller]
pub(crate) fn connect_from(source: Ipv4Addr, port: u16) -> Connection {
    let socket = new_socket();
    bind(&socket, &SocketAddrV4::new(source, 0)).unwrap();
    connect(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)).unwrap();
    Connection::over(prepared(TcpStream::from(socket)))
}

/// So many connections, a hundred from each address, the first of which is `first`.
#[track_caller]
pub(crate) fn crowd(count: usize, first: u8, port: u16) -> Vec<Connection> {
    make_room();
    let source = |number: usize| address(first + u8::try_from(number / 100).unwrap());
    (0..count).map(|number| connect_from(source(number), port)).collect()
}

/// Lets this process have as many descriptors as it may.
pub(crate) fn make_room() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
}
