//! A service manager in place of systemd: a socket where programs say how it goes.

use super::waiting::DEADLINE;
use s3up::clock;
use std::cell::RefCell;
use std::os::unix::net::UnixDatagram;
use tempfile::TempDir;

/// Largest message, in bytes; longer ones would be cut off.
const MESSAGE_BYTES_MAX: usize = 4096;

pub(crate) struct ServiceManager {
    socket: UnixDatagram,
    path: String,
    _folder: TempDir,
    /// The lines of all messages so far.
    heard: RefCell<Vec<String>>,
}

impl ServiceManager {
    pub(crate) fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("notify").into_os_string().into_string().unwrap();
        let socket = UnixDatagram::bind(&path).unwrap();
        Self { socket, path, _folder: folder, heard: RefCell::default() }
    }

    /// The address of its socket, for `NOTIFY_SOCKET`. It outlives the test, as the programs'
    /// environments want it.
    pub(crate) fn address(&self) -> &'static str {
        self.path.clone().leak()
    }

    /// Waits for the next line that begins with `start`; what comes before it is passed over.
    #[track_caller]
    pub(crate) fn wait_for(&self, start: &str) -> String {
        let end = clock::monotonic() + DEADLINE;
        loop {
            let mut heard = self.heard.borrow_mut();
            if let Some(place) = heard.iter().position(|line| line.starts_with(start)) {
                return heard.drain(..=place).next_back().unwrap();
            }
            let left = end.saturating_duration_since(clock::monotonic());
            assert!(!left.is_zero(), "the service manager is not told {start:?}");
            self.socket.set_read_timeout(Some(left)).unwrap();
            let mut message = [0; MESSAGE_BYTES_MAX];
            let Ok(length) = self.socket.recv(&mut message) else { continue };
            let text = std::str::from_utf8(&message[..length]).unwrap();
            heard.extend(text.lines().map(str::to_owned));
        }
    }

    /// What it was told until now and nobody has waited for.
    pub(crate) fn rest(&self) -> Vec<String> {
        self.socket.set_nonblocking(true).unwrap();
        let mut message = [0; MESSAGE_BYTES_MAX];
        let mut heard = self.heard.borrow_mut();
        while let Ok(length) = self.socket.recv(&mut message) {
            let text = std::str::from_utf8(&message[..length]).unwrap();
            heard.extend(text.lines().map(str::to_owned));
        }
        self.socket.set_nonblocking(false).unwrap();
        std::mem::take(&mut *heard)
    }
}
