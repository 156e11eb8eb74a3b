//! Senders with slow uplinks: many of them on one thread, each paced by what it has sent so far.

use super::connection::Connection;
use super::waiting::DEADLINE;
use s3up::clock;
use std::io::{ErrorKind, Write as _};
use std::thread;
use std::time::Duration;

/// Between two steps of a sender.
const STEP: Duration = Duration::from_millis(50);

/// Somebody who sends something slowly.
pub(crate) struct Sender {
    connection: Connection,
    bytes: Vec<u8>,
    sent: usize,
    /// The other side takes no more.
    given_up: bool,
}

impl Sender {
    /// Who will send `bytes`.
    pub(crate) fn new(connection: Connection, bytes: Vec<u8>) -> Self {
        connection.socket().set_nonblocking(true).unwrap();
        Self { connection, bytes, sent: 0, given_up: false }
    }

    /// The connection, on which there may be an answer.
    pub(crate) fn into_connection(self) -> Connection {
        self.connection.socket().set_nonblocking(false).unwrap();
        self.connection
    }

    fn is_done(&self) -> bool {
        self.given_up || self.sent == self.bytes.len()
    }

    /// Sends on until `due` bytes are sent, as far as they are taken now.
    fn step(&mut self, due: usize) {
        let due = due.min(self.bytes.len());
        while !self.given_up && self.sent < due {
            match self.connection.socket().write(&self.bytes[self.sent..due]) {
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                // It may have said why.
                Err(_) => self.given_up = true,
            }
        }
    }
}

/// Lets all send at `rate` bytes a second each, until all is sent.
#[track_caller]
pub(crate) fn send_all(senders: &mut [Sender], rate: usize) {
    let begin = clock::monotonic();
    while !senders.iter().all(Sender::is_done) {
        let passed = clock::monotonic() - begin;
        let due = rate * usize::try_from(passed.as_millis()).unwrap() / 1000;
        assert!(passed < 2 * DEADLINE, "the server does not take it");
        for sender in &mut *senders {
            sender.step(due);
        }
        thread::park_timeout(STEP);
    }
}
