//! The socket beside the database: where a running client can be asked, and how.
//!
//! In the daemon it runs on the `status` thread, which sleeps in `accept` while nobody asks. One
//! question at a time: a word and the end of the stream; one JSON document and the end of the
//! stream are the answer. Only the client's own user may ask. In the commands it runs on the main
//! thread. It knows nothing of what is asked for.

use crate::limits::status::{ACCEPT_PAUSE, ANSWER_BYTES_MAX, ASK, PEER, QUESTION_BYTES_MAX};
use crate::threads::Stop;
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, chmodat, openat, statat, unlinkat};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen};
use rustix::net::{Shutdown, shutdown, socket_with};
use std::fs::File;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Questions that wait while another one is answered. A few operators and monitors have to fit.
const BACKLOG: i32 = 16;

/// Longest path that a Unix socket's address holds, in bytes: `sun_path` without its closing zero.
const ADDRESS_BYTES_MAX: usize = 107;

/// The end in the daemon. Dropping it removes the socket's file.
pub struct Listener {
    listener: UnixListener,
    place: Place,
}

/// Where the socket is. The opened folder keeps the address valid, however long its path is.
struct Place {
    folder: File,
    name: PathBuf,
    path: PathBuf,
}

/// The path of the socket of the client with this database.
pub fn path(database: &Path) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push(".sock");
    PathBuf::from(path)
}

impl Place {
    fn of(database: &Path) -> io::Result<Self> {
        let path = path(database);
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(io::Error::new(ErrorKind::InvalidInput, "the database has no name"));
        };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = File::from(openat(CWD, folder, flags, Mode::empty())?);
        Ok(Self { folder, name: PathBuf::from(name), path })
    }

    fn address(&self) -> io::Result<SocketAddrUnix> {
        if self.path.as_os_str().len() <= ADDRESS_BYTES_MAX {
            return Ok(SocketAddrUnix::new(&self.path)?);
        }
        let folder = PathBuf::from(format!("/proc/self/fd/{}", self.folder.as_raw_fd()));
        Ok(SocketAddrUnix::new(folder.join(&self.name))?)
    }

    /// Removes a socket that nobody listens at any more. The database's lock says that nobody does.
    fn clear(&self) -> io::Result<()> {
        let is_socket = match statat(&self.folder, &self.name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => FileType::from_raw_mode(stat.st_mode) == FileType::Socket,
            Err(rustix::io::Errno::NOENT) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        if !is_socket {
            let message = "something else has its name, and is left alone";
            return Err(io::Error::new(ErrorKind::AlreadyExists, message));
        }
        Ok(unlinkat(&self.folder, &self.name, AtFlags::empty())?)
    }
}

impl Listener {
    /// A socket beside `database`, in place of one that a client left behind when it was killed.
    pub fn bind(database: &Path) -> io::Result<Self> {
        let place = Place::of(database)?;
        place.clear()?;
        let socket = new_socket(SocketFlags::CLOEXEC)?;
        bind(&socket, &place.address()?)?;
        // Before anybody can be heard at it.
        chmodat(&place.folder, &place.name, Mode::RUSR | Mode::WUSR, AtFlags::empty())?;
        listen(&socket, BACKLOG)?;
        Ok(Self { listener: UnixListener::from(socket), place })
    }

    /// Takes questions until the program is ending and [`Listener::close`] was called. `answer` need
    /// not answer at once: it has the one who asks.
    pub fn run(&self, stop: &Stop, answer: impl Fn(&str, Peer)) {
        while !stop.is_raised() {
            match self.listener.accept() {
                Ok((peer, _)) => {
                    if let Err(error) = serve(peer, &answer) {
                        log::debug!("a question about the status was not answered: {error}");
                    }
                }
                Err(_) if stop.is_raised() => return,
                Err(error) => {
                    log::warn!("nobody can ask for the status: {error}; it is tried again");
                    stop.wait(ACCEPT_PAUSE);
                }
            }
        }
    }

    /// Wakes [`Listener::run`]. Call it once the program is ending.
    pub fn close(&self) {
        // Linux ends a blocked `accept` by it.
        if let Err(error) = shutdown(&self.listener, Shutdown::Both) {
            log::debug!("cannot shut the status socket: {error}");
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Err(error) = self.place.clear() {
            log::debug!("cannot remove {:?}: {error}", self.place.path);
        }
    }
}

fn new_socket(flags: SocketFlags) -> io::Result<OwnedFd> {
    Ok(socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?)
}

/// One who has asked, and waits for the answer. Dropping it ends that.
#[derive(Debug)]
pub struct Peer(UnixStream);

impl Peer {
    /// Gives the answer.
    pub fn answer(mut self, answer: &[u8]) {
        if let Err(error) = self.0.write_all(answer) {
            log::debug!("an answer was not waited for: {error}");
        }
    }
}

fn serve(peer: UnixStream, answer: impl Fn(&str, Peer)) -> io::Result<()> {
    // For each piece, of which there are few: who is slower waits for nothing but itself.
    peer.set_read_timeout(Some(PEER))?;
    peer.set_write_timeout(Some(PEER))?;
    let mut question = String::new();
    (&peer).take(QUESTION_BYTES_MAX).read_to_string(&mut question)?;
    answer(question.trim(), Peer(peer));
    Ok(())
}

/// Asks the client that runs with this database; none if none does. Its answer may take so long as
/// `patience`.
pub fn ask(database: &Path, question: &str, patience: Duration) -> io::Result<Option<Vec<u8>>> {
    let place = match Place::of(database) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        place => place?,
    };
    // Non-blocking: where others wait already, it is busy and not silent for ever.
    let socket = new_socket(SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?;
    match connect(&socket, &place.address()?).map_err(io::Error::from) {
        Ok(()) => {}
        Err(error) => match error.kind() {
            ErrorKind::NotFound | ErrorKind::ConnectionRefused => return Ok(None),
            _ => return Err(error),
        },
    }
    let mut stream = UnixStream::from(socket);
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(ASK))?;
    stream.write_all(question.as_bytes())?;
    stream.shutdown(std::net::Shutdown::Write)?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
    Ok(Some(answer))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::threads::StopSource;
    use std::os::unix::fs::PermissionsExt as _;
    use std::sync::Arc;

    /// A listener that repeats each question, for as long as `during` takes.
    fn check(database: &Path, during: impl FnOnce(&Listener)) {
        let mut source = StopSource::default();
        let listener = Arc::new(Listener::bind(database).unwrap());
        let (served, stop) = (Arc::clone(&listener), source.stop());
        let echo = |question: &str, peer: Peer| peer.answer(format!("{question}!").as_bytes());
        let crew = crate::crew::Crew::default();
        crew.spawn("status", move || served.run(&stop, echo)).unwrap();
        during(&listener);
        source.raise();
        listener.close();
        assert!(crew.wait(crate::clock::monotonic() + ASK), "it wakes and ends");
    }

    fn ask_twice(database: &Path) {
        for _ in 0..2 {
            assert_eq!(ask(database, "how", ASK).unwrap().unwrap(), b"how!");
        }
    }

    #[test]
    fn a_running_client_answers_and_its_socket_is_for_its_user_and_goes_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("client.db");
        assert!(ask(&database, "how", ASK).unwrap().is_none(), "nobody is there");
        check(&database, |_| {
            ask_twice(&database);
            let mode = std::fs::metadata(path(&database)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        });
        assert!(!path(&database).exists());
        assert!(ask(&folder.path().join("no/such/folder.db"), "how", ASK).unwrap().is_none());
    }

    #[test]
    fn a_path_that_no_address_holds_is_reached_by_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("x".repeat(100)).join("y".repeat(100));
        std::fs::create_dir_all(&deep).unwrap();
        let database = deep.join("client.db");
        check(&database, |_| ask_twice(&database));
    }

    #[test]
    fn a_socket_that_was_left_behind_is_replaced_and_nothing_else_is() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("client.db");
        drop(UnixListener::bind(path(&database)).unwrap());
        assert!(ask(&database, "how", ASK).unwrap().is_none(), "nobody listens at it");
        check(&database, |_| ask_twice(&database));
        std::fs::write(path(&database), "a letter").unwrap();
        let error = Listener::bind(&database).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read_to_string(path(&database)).unwrap(), "a letter");
    }

    #[test]
    fn who_asks_too_much_or_breaks_off_costs_nobody_else_an_answer() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("client.db");
        check(&database, |_| {
            drop(UnixStream::connect(path(&database)).unwrap());
            let mut verbose = UnixStream::connect(path(&database)).unwrap();
            let _ = verbose.write_all(&[b'x'; 100_000]);
            ask_twice(&database);
        });
    }
}
