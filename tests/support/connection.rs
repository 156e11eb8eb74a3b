//! A connection that is spoken to in pieces: what is no request can be said on it, too.

use super::api::{Answer, Request};
use super::waiting::DEADLINE;
use std::io::{self, BufRead as _, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddrV4, TcpStream};

/// A connection, plain or within TLS.
pub(crate) struct Connection<S: Read + Write = TcpStream> {
    stream: BufReader<S>,
}

impl Connection {
    /// A plain one to a server on this machine.
    pub(crate) fn to(port: u16) -> Self {
        Self::over(socket_to(port))
    }

    /// Says that no more will come; what the other side says can still be read.
    pub(crate) fn half_close(&self) {
        self.stream.get_ref().shutdown(Shutdown::Write).unwrap();
    }

    /// Breaks it: the other side sees a reset.
    pub(crate) fn reset(self) {
        let linger = Some(std::time::Duration::ZERO);
        rustix::net::sockopt::set_socket_linger(self.stream.get_ref(), linger).unwrap();
    }

    /// The socket.
    pub(crate) fn socket(&self) -> &TcpStream {
        self.stream.get_ref()
    }

    /// Whether there is something to read, the end included.
    pub(crate) fn is_readable(&self) -> bool {
        !self.stream.buffer().is_empty()
            || s3up::server::poll::is_readable(self.stream.get_ref()).unwrap()
    }
}

/// A socket on which nothing blocks for ever.
pub(crate) fn socket_to(port: u16) -> TcpStream {
    prepared(TcpStream::connect(("127.0.0.1", port)).unwrap())
}

/// A socket that holds little of what nobody reads.
pub(crate) fn narrow_to(port: u16) -> TcpStream {
    use rustix::net::{AddressFamily, SocketType, connect, socket, sockopt};
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    // Before it connects, or the window is wide already.
    sockopt::set_socket_recv_buffer_size(&socket, 64 * 1024).unwrap();
    connect(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)).unwrap();
    prepared(TcpStream::from(socket))
}

/// A socket, so that nothing on it blocks for ever.
pub(crate) fn prepared(socket: TcpStream) -> TcpStream {
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    socket.set_write_timeout(Some(DEADLINE)).unwrap();
    socket.set_nodelay(true).unwrap();
    socket
}

impl<S: Read + Write> Connection<S> {
    /// One over a stream that is there already.
    pub(crate) fn over(stream: S) -> Self {
        Self { stream: BufReader::new(stream) }
    }

    /// What it goes over.
    pub(super) fn stream_mut(&mut self) -> &mut S {
        self.stream.get_mut()
    }

    /// Says something, all of which must be taken.
    #[track_caller]
    pub(crate) fn say(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_say(bytes).expect("the other side takes it");
    }

    /// Says something to somebody who may have gone.
    pub(crate) fn try_say(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes.as_ref())?;
        self.stream.get_mut().flush()
    }

    /// Reads the next answer.
    #[track_caller]
    pub(crate) fn answer(&mut self) -> Answer {
        Answer::read(&mut self.stream, false).expect("an answer")
    }

    /// Reads the next answer, whose body was not asked for.
    #[track_caller]
    pub(crate) fn answer_to_head(&mut self) -> Answer {
        Answer::read(&mut self.stream, true).expect("an answer")
    }

    /// Asks and reads the answer.
    #[track_caller]
    pub(crate) fn ask(&mut self, request: &Request) -> Answer {
        self.say(request.bytes());
        if request.is_head() { self.answer_to_head() } else { self.answer() }
    }

    /// Waits to be told to go on.
    #[track_caller]
    pub(crate) fn wait_for_continue(&mut self) {
        const CONTINUE: &str = "HTTP/1.1 100 Continue\r\n\r\n";
        let mut told = [0; CONTINUE.len()];
        self.stream.read_exact(&mut told).unwrap();
        assert_eq!(String::from_utf8_lossy(&told), CONTINUE);
    }

    /// Reads the head of the next answer, whose body is left to be read.
    #[track_caller]
    pub(crate) fn head_of_answer(&mut self) -> String {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(self.stream.read_line(&mut head).unwrap(), 0, "no head: {head:?}");
        }
        head
    }

    /// Reads so many bytes.
    #[track_caller]
    pub(crate) fn read_exactly(&mut self, bytes: &mut [u8]) {
        self.stream.read_exact(bytes).unwrap();
    }

    /// Reads to the end.
    pub(crate) fn rest(&mut self) -> io::Result<Vec<u8>> {
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest).map(|_| rest)
    }

    /// Reads what comes next; 0 bytes at an end in order.
    pub(crate) fn read(&mut self, piece: &mut [u8]) -> io::Result<usize> {
        self.stream.read(piece)
    }

    /// Reads to where the other side has broken it off, by an end or a reset, and returns how many
    /// bytes came.
    #[track_caller]
    pub(crate) fn bytes_until_broken(&mut self) -> u64 {
        let mut piece = vec![0; 64 * 1024];
        let mut count = 0;
        loop {
            match self.read(&mut piece) {
                Ok(0) => return count,
                Ok(more) => count += more as u64,
                Err(error) => {
                    let reset = io::ErrorKind::ConnectionReset;
                    assert_eq!(error.kind(), reset, "after {count} bytes: {error}");
                    return count;
                }
            }
        }
    }

    /// Checks that the other side has ended it in order, and said nothing more.
    #[track_caller]
    pub(crate) fn assert_ended(&mut self) {
        let rest = self.rest().expect("an end in order");
        assert_eq!(String::from_utf8_lossy(&rest), "");
    }
}
