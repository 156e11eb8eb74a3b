//! The head that travels over a lane: written by the gate, read by a worker.
//!
//! Pure. Nothing of what a peer sent is copied into it: every line is made anew from what was
//! understood. Each head carries the seal, a secret of this process. Bytes of a body that `tiny_http`
//! takes for the next request, after a worker answered before it had read them all, do not have it,
//! and are refused whatever they say.

use crate::server::admitted::{Admitted, Caller, Identity};
use crate::server::key::ClientName;
use crate::server::multipart::Boundary;
use crate::server::route::route;
use std::fmt::{self, Write as _};
use std::net::IpAddr;
use subtle::ConstantTimeEq as _;

/// Names of the header lines on a lane, in both directions.
pub mod field {
    /// The process's secret.
    pub const SEAL: &str = "X-Gate-Seal";
    /// The number of the exchange; the answer repeats it.
    pub const EXCHANGE: &str = "X-Gate-Exchange";
    /// The client's name.
    pub const CLIENT: &str = "X-Gate-Client";
    /// `yes` if an administrator asks.
    pub const ADMINISTRATOR: &str = "X-Gate-Administrator";
    /// The largest file that the client may store, in bytes.
    pub const MAX_FILE_SIZE: &str = "X-Gate-Max-File-Size";
    /// The peer's address.
    pub const PEER: &str = "X-Gate-Peer";
    /// The body's true length in bytes; on the lane it is framed in chunks.
    pub const LENGTH: &str = "X-Gate-Length";
    /// In an answer: the worker has read the whole body, the lane can be used again.
    pub const DRAINED: &str = "X-Gate-Drained";
    /// In an answer: what the access log says, percent-encoded.
    pub const NOTE: &str = "X-Gate-Note";
}

/// Room for the head of an upload, in bytes.
const HEAD_BYTES_USUAL: usize = 512;

/// 128 random bits, made when the process starts and known to nobody else.
#[derive(Clone, PartialEq, Eq)]
pub struct Seal(String);

impl Seal {
    /// A new seal.
    pub fn new() -> Result<Self, getrandom::Error> {
        let mut random = [0; 16];
        getrandom::fill(&mut random)?;
        Ok(Self(hex::encode(random)))
    }

    fn is(&self, text: &str) -> bool {
        self.0.as_bytes().ct_eq(text.as_bytes()).into()
    }
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seal")
    }
}

/// Why a worker does not serve what came over a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnsealedError {
    /// Not from the gate: what is left of a body, most likely.
    #[error("a request on a lane without the gate's seal")]
    Unsealed,
    /// From the gate, and not understood: a defect.
    #[error("a head on a lane with {0} missing or not as the gate writes it")]
    Malformed(&'static str),
}

/// Writes the head of exchange number `exchange`.
pub fn write(admitted: &Admitted, exchange: u64, seal: &Seal) -> Vec<u8> {
    let Admitted { route, head_only, caller, peer, length, boundary, range } = admitted;
    let mut head = String::with_capacity(HEAD_BYTES_USUAL);
    // Writing to a `String` cannot fail.
    let mut line = |line: fmt::Arguments<'_>| {
        let _ = head.write_fmt(line);
        head.push_str("\r\n");
    };
    line(format_args!("{} {} HTTP/1.1", route.method(*head_only), route.target()));
    line(format_args!("{}: {}", field::SEAL, seal.0));
    line(format_args!("{}: {exchange}", field::EXCHANGE));
    line(format_args!("{}: {peer}", field::PEER));
    match caller {
        Caller::Nobody => {}
        Caller::Client(Identity { name, max_file_size }) => {
            line(format_args!("{}: {name}", field::CLIENT));
            line(format_args!("{}: {max_file_size}", field::MAX_FILE_SIZE));
        }
        Caller::Administrator => line(format_args!("{}: yes", field::ADMINISTRATOR)),
    }
    if let Some(boundary) = boundary {
        line(format_args!("Content-Type: {}", boundary.content_type()));
    }
    if let Some(range) = range {
        line(format_args!("Range: {range}"));
    }
    if let Some(length) = length {
        line(format_args!("{}: {length}", field::LENGTH));
        line(format_args!("Transfer-Encoding: chunked"));
    }
    line(format_args!(""));
    head.into_bytes()
}

/// Reads a head back, with the exchange's number. `value` looks up a header line.
pub fn read(
    method: &str,
    target: &str,
    value: &dyn Fn(&'static str) -> Option<String>,
    seal: &Seal,
) -> Result<(Admitted, u64), UnsealedError> {
    if !value(field::SEAL).is_some_and(|sent| seal.is(&sent)) {
        return Err(UnsealedError::Unsealed);
    }
    let caller = match (value(field::CLIENT), value(field::ADMINISTRATOR)) {
        (None, None) => Caller::Nobody,
        (None, Some(_)) => Caller::Administrator,
        (Some(name), None) => Caller::Client(Identity {
            name: ClientName::parse(&name).map_err(|_| UnsealedError::Malformed(field::CLIENT))?,
            max_file_size: number(value, field::MAX_FILE_SIZE)?
                .ok_or(UnsealedError::Malformed(field::MAX_FILE_SIZE))?,
        }),
        (Some(_), Some(_)) => return Err(UnsealedError::Malformed(field::ADMINISTRATOR)),
    };
    let boundary = value("Content-Type").map(|value| {
        Boundary::from_content_type(&value).map_err(|_| UnsealedError::Malformed("Content-Type"))
    });
    let admitted = Admitted {
        route: route(method, target).map_err(|_| UnsealedError::Malformed("the request line"))?,
        head_only: method == "HEAD",
        caller,
        peer: value(field::PEER)
            .and_then(|peer| peer.parse::<IpAddr>().ok())
            .ok_or(UnsealedError::Malformed(field::PEER))?,
        length: number(value, field::LENGTH)?,
        boundary: boundary.transpose()?,
        range: value("Range"),
    };
    let exchange = number(value, field::EXCHANGE)?;
    Ok((admitted, exchange.ok_or(UnsealedError::Malformed(field::EXCHANGE))?))
}

fn number(
    value: &dyn Fn(&'static str) -> Option<String>,
    name: &'static str,
) -> Result<Option<u64>, UnsealedError> {
    let number = value(name).map(|text| text.parse().map_err(|_| UnsealedError::Malformed(name)));
    number.transpose()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote_path::RemotePath;
    use crate::server::route::Route;
    use proptest::prelude::*;
    use std::net::Ipv6Addr;

    /// Takes a head apart as simply as `tiny_http` does.
    fn read_back(head: &[u8], seal: &Seal) -> Result<(Admitted, u64), UnsealedError> {
        let text = std::str::from_utf8(head).unwrap().strip_suffix("\r\n\r\n").unwrap();
        let mut lines = text.split("\r\n");
        let first: Vec<&str> = lines.next().unwrap().split(' ').collect();
        assert_eq!(first[2..], ["HTTP/1.1"]);
        let lines: Vec<_> = lines.map(|line| line.split_once(": ").unwrap()).collect();
        let value = |name: &str| {
            let mut found = lines.iter().filter(|(known, _)| *known == name);
            let value = found.next().map(|(_, value)| (*value).to_owned());
            assert!(found.next().is_none(), "{name} twice");
            value
        };
        read(first[0], first[1], &value, seal)
    }

    fn route_and_method() -> impl Strategy<Value = (Route, bool)> {
        let path = "[a-zA-Z0-9 äöü+%#?&=;\"'€-]{1,40}(/[a-z. ]{0,8}[a-z])?"
            .prop_filter_map("no path", |text| RemotePath::parse(&text).ok());
        let route = prop_oneof![
            path.clone().prop_map(Route::Exists),
            path.prop_map(Route::Download),
            Just(Route::Health),
            Just(Route::Ready),
            Just(Route::Clients),
            Just(Route::Page),
            Just(Route::Metrics),
            proptest::option::of(0..250_000_000_000_i64)
                .prop_map(|at| Route::Reports(at.map(crate::wire::Day::of))),
        ];
        let posted = prop_oneof![Just(Route::Upload), Just(Route::Report)];
        prop_oneof![(route, any::<bool>()), (posted, Just(false))]
    }

    fn admitted() -> impl Strategy<Value = Admitted> {
        let client = ("[a-z0-9][a-z0-9._-]{0,20}", any::<u64>()).prop_map(|(name, size)| {
            Identity { name: ClientName::parse(&name).unwrap(), max_file_size: size }
        });
        let boundary = "[a-zA-Z0-9'()+_,./:=? -]{0,60}[a-z]".prop_map(|text| {
            Boundary::from_content_type(&format!("multipart/form-data; boundary=\"{text}\""))
                .unwrap()
        });
        (
            route_and_method(),
            prop_oneof![
                Just(Caller::Nobody),
                Just(Caller::Administrator),
                client.prop_map(Caller::Client)
            ],
            any::<u128>().prop_map(|bits| IpAddr::V6(Ipv6Addr::from(bits))),
            proptest::option::of(any::<u64>()),
            proptest::option::of(boundary),
            proptest::option::of("bytes=[0-9]{1,20}-"),
        )
            .prop_map(|((route, head_only), caller, peer, length, boundary, range)| {
                Admitted { route, head_only, caller, peer, length, boundary, range }
            })
    }

    proptest! {
        #[test]
        fn what_the_gate_admits_is_what_the_worker_reads(admitted in admitted(), exchange: u64) {
            let seal = Seal::new().unwrap();
            let head = write(&admitted, exchange, &seal);
            prop_assert!(head.is_ascii());
            prop_assert_eq!(read_back(&head, &seal), Ok((admitted, exchange)));
        }

        #[test]
        fn a_head_with_another_seal_is_refused(admitted in admitted()) {
            let head = write(&admitted, 1, &Seal::new().unwrap());
            let read = read_back(&head, &Seal::new().unwrap());
            prop_assert_eq!(read, Err(UnsealedError::Unsealed));
        }
    }

    #[test]
    fn a_head_without_a_seal_is_refused_before_anything_else_is_looked_at() {
        let seal = Seal::new().unwrap();
        let nothing = |_: &'static str| None;
        assert_eq!(read("POST", "/upload", &nothing, &seal), Err(UnsealedError::Unsealed));
        assert_eq!(read("", "", &nothing, &seal), Err(UnsealedError::Unsealed));
        let empty = |name: &'static str| (name == field::SEAL).then(String::new);
        assert_eq!(read("GET", "/health", &empty, &seal), Err(UnsealedError::Unsealed));
    }

    #[test]
    fn the_seal_does_not_show_itself() {
        assert_eq!(format!("{:?}", Seal::new().unwrap()), "Seal");
    }
}
