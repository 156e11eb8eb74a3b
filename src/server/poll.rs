//! Waiting for sockets, each time with a deadline.
//!
//! Runs on whatever thread has to wait: connections of the gate, lanes. It owns nothing. All sockets
//! here are non-blocking: whoever may not go on comes here, and no wait is without its end.

use crate::clock;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::io;
use std::os::fd::AsFd;
use std::time::Instant;

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum For {
    /// Bytes to read, or the end of them.
    Reading,
    /// Room to write, or nobody to write to.
    Writing,
    /// The end of it, in both directions.
    Ending,
}

impl For {
    fn flags(self) -> PollFlags {
        match self {
            Self::Reading => PollFlags::IN,
            Self::Writing => PollFlags::OUT,
            // It is told without being asked for.
            Self::Ending => PollFlags::empty(),
        }
    }
}

/// Waits until `socket` is ready, at most until `deadline`; `false` if it is not.
pub fn wait(socket: impl AsFd, what: For, deadline: Instant) -> io::Result<bool> {
    let mut fds = [PollFd::new(&socket, what.flags())];
    until(&mut fds, deadline)?;
    Ok(!fds[0].revents().is_empty())
}

/// Waits until one of the two is ready, at most until `deadline`; says which are.
pub fn wait_either(
    first: (impl AsFd, For),
    second: (impl AsFd, For),
    deadline: Instant,
) -> io::Result<(bool, bool)> {
    let mut fds =
        [PollFd::new(&first.0, first.1.flags()), PollFd::new(&second.0, second.1.flags())];
    until(&mut fds, deadline)?;
    Ok((!fds[0].revents().is_empty(), !fds[1].revents().is_empty()))
}

/// Whether `socket` has something to read, or has ended, right now.
pub fn is_readable(socket: impl AsFd) -> io::Result<bool> {
    let mut fds = [PollFd::new(&socket, PollFlags::IN)];
    match poll(&mut fds, Some(&Timespec::default())) {
        Ok(ready) => Ok(ready > 0),
        Err(Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Whether `deadline` is over.
pub fn is_past(deadline: Instant) -> bool {
    clock::monotonic() >= deadline
}

fn until(fds: &mut [PollFd<'_>], deadline: Instant) -> io::Result<()> {
    loop {
        let left = deadline.saturating_duration_since(clock::monotonic());
        let timeout = Timespec::try_from(left).map_err(|_| io::ErrorKind::InvalidInput)?;
        match poll(fds, Some(&timeout)) {
            Ok(_) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    #[test]
    fn a_wait_ends_by_what_is_waited_for_or_by_its_deadline() {
        let (one, mut other) = UnixStream::pair().unwrap();
        let now = clock::monotonic();
        let later = now + Duration::from_secs(3600);
        assert!(wait(&one, For::Writing, later).unwrap());
        assert!(!wait(&one, For::Reading, now).unwrap());
        assert!(!is_readable(&one).unwrap());
        other.write_all(b"a").unwrap();
        assert!(wait(&one, For::Reading, later).unwrap());
        assert!(is_readable(&one).unwrap());
        let either = wait_either((&other, For::Reading), (&one, For::Reading), later).unwrap();
        assert_eq!(either, (false, true));
    }

    #[test]
    fn an_end_in_both_directions_is_told_from_bytes_and_from_half_an_end() {
        use std::net::Shutdown;
        let (one, mut other) = UnixStream::pair().unwrap();
        other.write_all(b"a").unwrap();
        one.shutdown(Shutdown::Read).unwrap();
        assert!(!wait(&one, For::Ending, clock::monotonic()).unwrap());
        one.shutdown(Shutdown::Both).unwrap();
        assert!(wait(&one, For::Ending, clock::monotonic() + Duration::from_secs(3600)).unwrap());
    }

    #[test]
    fn a_closed_peer_counts_as_ready() {
        let (one, other) = UnixStream::pair().unwrap();
        drop(other);
        assert!(wait(&one, For::Reading, clock::monotonic()).unwrap());
        assert!(is_readable(&one).unwrap());
    }
}
