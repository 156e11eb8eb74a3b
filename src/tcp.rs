//! TCP connections for `ureq` on which what belongs together is sent together.
//!
//! Runs on the threads that send requests. Each connection owns its socket and its buffers, and waits
//! no longer than `ureq` says. `ureq`'s own connections write the head of a request and its body one
//! after the other, look after idle ones by three system calls each time, and tell the system every
//! deadline anew that is a microsecond shorter than the last. For a small object that was half of the
//! system calls on the way to S3, and woke the store twice; the client, over TLS, sent each small file
//! in four pieces.

use crate::clock;
use crate::limits::http::HELD_BACK_MAX;
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout, Transport,
};

/// So much of the buffer for what is sent may be held back, in a body's pieces of any size.
const HELD_SHARE: usize = 2;

/// Connects, unless a connector before it has.
#[derive(Debug, Default)]
pub struct TcpConnector;

/// A connection.
#[derive(Debug)]
pub struct TcpTransport {
    socket: TcpStream,
    buffers: HoldingBuffers,
    /// When something of this request was last sent, or else the first of it written.
    quiet_since: Option<Instant>,
    /// What the socket knows of deadlines.
    receiving: Option<Duration>,
    sending: Option<Duration>,
    /// Some of what was to be sent is lost: nothing that follows it may be sent.
    broken: bool,
}

/// Buffers of which a part is written and not yet sent.
#[derive(Debug)]
struct HoldingBuffers {
    buffers: LazyBuffers,
    held: usize,
}

impl<In: Transport> Connector<In> for TcpConnector {
    type Out = Either<In, TcpTransport>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, ureq::Error> {
        if let Some(connection) = chained {
            return Ok(Some(Either::A(connection)));
        }
        let socket = connect(&details.addrs, details.timeout)?;
        // What is sent goes at once; it was held back for as long as it should be.
        socket.set_nodelay(true)?;
        let config = details.config;
        let buffers = LazyBuffers::new(config.input_buffer_size(), config.output_buffer_size());
        Ok(Some(Either::B(TcpTransport::new(socket, buffers))))
    }
}

/// Connects to the first address that answers. Each but the last has half of the time that is left.
fn connect(addresses: &[SocketAddr], timeout: NextTimeout) -> Result<TcpStream, ureq::Error> {
    let begun = clock::monotonic();
    let mut failure = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for (number, address) in addresses.iter().enumerate() {
        let last = number + 1 == addresses.len();
        let connected = match timeout.not_zero() {
            None => TcpStream::connect(address),
            Some(all) => {
                let left = all.saturating_sub(clock::monotonic() - begun);
                let left = if last { left } else { left / 2 };
                TcpStream::connect_timeout(address, left.max(Duration::from_millis(1)))
            }
        };
        match connected {
            Ok(socket) => return Ok(socket),
            Err(error) => failure = error,
        }
    }
    Err(timed(failure, timeout))
}

/// An error of a socket, as `ureq` wants to hear of it.
fn timed(error: io::Error, timeout: NextTimeout) -> ureq::Error {
    match error.kind() {
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => ureq::Error::Timeout(timeout.reason),
        _ => ureq::Error::Io(error),
    }
}

/// A deadline as the socket is told it: in whole seconds if it is that long, so that most of the time
/// it knows it already.
fn rounded(timeout: NextTimeout) -> Result<Option<Duration>, ureq::Error> {
    if timeout.after.is_zero() {
        return Err(ureq::Error::Timeout(timeout.reason));
    }
    Ok(timeout.not_zero().map(|after| match after.as_secs() {
        0 => (*after).max(Duration::from_millis(1)),
        seconds => Duration::from_secs(seconds + u64::from(after.subsec_nanos() > 0)),
    }))
}

impl TcpTransport {
    fn new(socket: TcpStream, buffers: LazyBuffers) -> Self {
        let buffers = HoldingBuffers { buffers, held: 0 };
        let (quiet_since, receiving, sending) = (None, None, None);
        Self { socket, buffers, quiet_since, receiving, sending, broken: false }
    }

    /// Sends what is held back.
    fn flush(&mut self, timeout: NextTimeout) -> Result<(), ureq::Error> {
        if self.broken {
            return Err(io::Error::from(io::ErrorKind::BrokenPipe).into());
        }
        let held = std::mem::take(&mut self.buffers.held);
        if held == 0 {
            return Ok(());
        }
        // Until it is known that all is sent.
        self.broken = true;
        let timeout = timeout.for_write();
        let deadline = rounded(timeout)?;
        if self.sending != deadline {
            self.socket.set_write_timeout(deadline)?;
            self.sending = deadline;
        }
        let sent = self.socket.write_all(&self.buffers.buffers.output()[..held]);
        sent.map_err(|error| timed(error, timeout))?;
        self.broken = false;
        Ok(())
    }
}

impl Transport for TcpTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    /// Holds back what is written, until there is much of it or an answer is waited for, and only as
    /// long as a body that is read slowly does not look like one that stalls.
    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        self.buffers.held += amount;
        let room = self.buffers.buffers.output().len();
        let now = clock::monotonic();
        let quiet = now.saturating_duration_since(*self.quiet_since.get_or_insert(now));
        if self.buffers.held < room / HELD_SHARE && quiet < HELD_BACK_MAX {
            return Ok(());
        }
        self.quiet_since = Some(now);
        self.flush(timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        self.quiet_since = None;
        self.flush(timeout)?;
        if self.buffers.can_use_input() {
            // It was there before the last piece was sent.
            return Ok(true);
        }
        let timeout = timeout.for_read();
        let deadline = rounded(timeout)?;
        if self.receiving != deadline {
            self.socket.set_read_timeout(deadline)?;
            self.receiving = deadline;
        }
        let room = self.buffers.input_append_buf();
        let count = loop {
            match self.socket.read(room) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result.map_err(|error| timed(error, timeout))?,
            }
        };
        self.buffers.input_appended(count);
        Ok(count > 0)
    }

    /// Whether another request can be sent: nothing of the last one is left here, and the other side
    /// has said nothing unasked, not even its farewell.
    fn is_open(&mut self) -> bool {
        let silent = || {
            let looked = recv(&self.socket, &mut [0; 1], RecvFlags::PEEK | RecvFlags::DONTWAIT);
            matches!(looked, Err(Errno::AGAIN))
        };
        !self.broken && self.buffers.held == 0 && silent()
    }
}

impl Buffers for HoldingBuffers {
    fn output(&mut self) -> &mut [u8] {
        &mut self.buffers.output()[self.held..]
    }

    fn input(&self) -> &[u8] {
        self.buffers.input()
    }

    fn input_append_buf(&mut self) -> &mut [u8] {
        self.buffers.input_append_buf()
    }

    fn input_appended(&mut self, amount: usize) {
        self.buffers.input_appended(amount);
    }

    fn input_consume(&mut self, amount: usize) {
        self.buffers.input_consume(amount);
    }

    fn tmp_and_output(&mut self) -> (&mut [u8], &mut [u8]) {
        let (scratch, output) = self.buffers.tmp_and_output();
        (scratch, &mut output[self.held..])
    }

    /// Never before what is held back was sent, for which the transport has to be asked.
    fn can_use_input(&self) -> bool {
        self.held == 0 && self.buffers.can_use_input()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use ureq::Timeout;

    const HEAD: &[u8] = b"PUT /backups/a HTTP/1.1\r\n\r\n";
    const BODY: &[u8] = b"content";

    fn seconds(seconds: u64) -> NextTimeout {
        let after = Duration::from_secs(seconds).into();
        NextTimeout { after, reason: Timeout::RecvResponse, ..NextTimeout::default() }
    }

    /// A connection, and the other side of it, which does not wait.
    fn pair() -> (TcpTransport, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = connect(&[listener.local_addr().unwrap()], seconds(30)).unwrap();
        let (peer, _) = listener.accept().unwrap();
        peer.set_nonblocking(true).unwrap();
        (TcpTransport::new(socket, LazyBuffers::new(1024, 1024)), peer)
    }

    fn write(transport: &mut TcpTransport, bytes: &[u8]) -> Result<(), ureq::Error> {
        transport.buffers().output()[..bytes.len()].copy_from_slice(bytes);
        transport.transmit_output(bytes.len(), seconds(30))
    }

    /// What has arrived at the other side.
    fn arrived(mut peer: &TcpStream) -> Vec<u8> {
        let mut arrived = vec![0; 1 << 20];
        match peer.read(&mut arrived) {
            Ok(count) => arrived.truncate(count),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => arrived.clear(),
            Err(error) => panic!("{error}"),
        }
        arrived
    }

    #[test]
    fn head_and_body_go_together_as_soon_as_the_answer_is_waited_for() {
        let (mut transport, mut peer) = pair();
        for _ in 0..3 {
            write(&mut transport, HEAD).unwrap();
            write(&mut transport, BODY).unwrap();
            assert_eq!(arrived(&peer), b"");
            assert!(!transport.is_open(), "nothing else may be sent before it");
            peer.write_all(b"answer").unwrap();
            assert!(transport.maybe_await_input(seconds(30)).unwrap());
            assert_eq!(arrived(&peer), [HEAD, BODY].concat());
            assert_eq!(transport.buffers().input(), b"answer");
            transport.buffers().input_consume(6);
            assert!(transport.is_open());
        }
    }

    #[test]
    fn a_large_body_does_not_wait_for_the_answer() {
        let (mut transport, peer) = pair();
        let piece = [7; 400];
        write(&mut transport, HEAD).unwrap();
        write(&mut transport, &piece).unwrap();
        assert_eq!(arrived(&peer), b"");
        write(&mut transport, &piece).unwrap();
        assert_eq!(arrived(&peer), [HEAD, &piece, &piece].concat());
    }

    #[test]
    fn a_body_that_comes_slowly_does_not_wait_for_its_end() {
        let (mut transport, peer) = pair();
        // As if what was written had been written so much earlier.
        let pause = |transport: &mut TcpTransport| {
            transport.quiet_since = Some(clock::monotonic().checked_sub(HELD_BACK_MAX).unwrap());
        };
        write(&mut transport, HEAD).unwrap();
        pause(&mut transport);
        write(&mut transport, BODY).unwrap();
        assert_eq!(arrived(&peer), [HEAD, BODY].concat());
        pause(&mut transport);
        write(&mut transport, BODY).unwrap();
        assert_eq!(arrived(&peer), BODY, "each piece by itself");
        write(&mut transport, BODY).unwrap();
        assert_eq!(arrived(&peer), b"", "what comes quickly goes together");
    }

    #[test]
    fn an_answer_that_is_there_early_holds_nothing_back() {
        let (mut transport, mut peer) = pair();
        write(&mut transport, HEAD).unwrap();
        peer.write_all(b"100 200").unwrap();
        assert!(transport.maybe_await_input(seconds(30)).unwrap());
        transport.buffers().input_consume(4);
        write(&mut transport, BODY).unwrap();
        assert!(transport.maybe_await_input(seconds(30)).unwrap());
        assert_eq!(arrived(&peer), [HEAD, BODY].concat());
        assert_eq!(transport.buffers().input(), b"200");
    }

    #[test]
    fn a_connection_whose_other_side_has_spoken_or_gone_is_not_used_again() {
        let (mut transport, mut peer) = pair();
        assert!(transport.is_open());
        peer.write_all(b"?").unwrap();
        assert!(!transport.is_open());
        let (mut transport, peer) = pair();
        drop(peer);
        assert!(!transport.is_open());
    }

    #[test]
    fn no_wait_outlasts_its_deadline_and_after_half_a_request_nothing_is_sent() {
        let (mut transport, peer) = pair();
        let soon = NextTimeout { after: Duration::from_millis(20).into(), ..seconds(0) };
        let waited = transport.maybe_await_input(soon);
        assert!(matches!(waited, Err(ureq::Error::Timeout(Timeout::RecvResponse))));
        assert!(transport.is_open());

        // Until the other side takes no more.
        let piece = [7; 1000];
        let stuck = loop {
            transport.buffers().output()[..piece.len()].copy_from_slice(&piece);
            if let Err(error) = transport.transmit_output(piece.len(), soon) {
                break error;
            }
        };
        assert!(matches!(stuck, ureq::Error::Timeout(Timeout::RecvResponse)));
        while !arrived(&peer).is_empty() {}
        assert!(!transport.is_open());
        write(&mut transport, HEAD).unwrap();
        let refused = transport.maybe_await_input(seconds(30)).unwrap_err();
        assert!(
            matches!(refused, ureq::Error::Io(error) if error.kind() == io::ErrorKind::BrokenPipe)
        );
        assert_eq!(arrived(&peer), b"");
    }

    #[test]
    fn the_next_address_is_tried_if_nobody_listens() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let open = listener.local_addr().unwrap();
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert_eq!(connect(&[closed, open], seconds(30)).unwrap().peer_addr().unwrap(), open);
        let refused = connect(&[closed], seconds(30)).unwrap_err();
        assert!(
            matches!(refused, ureq::Error::Io(error) if error.kind() == io::ErrorKind::ConnectionRefused)
        );
        assert!(matches!(connect(&[], seconds(30)), Err(ureq::Error::Io(_))));
    }

    #[test]
    fn the_system_is_told_whole_seconds() {
        for (after, told) in [(60_000, 60_000), (59_999, 60_000), (1_001, 2_000), (300, 300)] {
            let timeout = NextTimeout { after: Duration::from_millis(after).into(), ..seconds(0) };
            assert_eq!(rounded(timeout).unwrap(), Some(Duration::from_millis(told)));
        }
        assert!(matches!(rounded(seconds(0)), Err(ureq::Error::Timeout(_))));
        assert_eq!(rounded(NextTimeout::default()).unwrap(), None);
    }
}
