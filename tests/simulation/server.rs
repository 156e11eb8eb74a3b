//! A server in memory, which fails as it is told to.

use super::history::Trouble;
use super::world::World;
use s3up::client::form::Fields;
use s3up::client::remote::{Failure, Remote};
use s3up::digest::Digest;
use s3up::limits::UPLOAD_GRACE;
use s3up::remote_path::RemotePath;
use s3up::threads::Ending;
use s3up::wire::{ErrorCode, Existence, Mtime, Uploaded};
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::io::{self, Read};
use std::rc::Rc;
use std::time::Duration;

/// What the server has, and what is wrong with it.
#[derive(Debug)]
pub(super) struct Server {
    limit: u64,
    /// What is stored, by remote path.
    pub(super) stored: BTreeMap<String, Vec<u8>>,
    /// What each file's mtime was said to be.
    mtimes: BTreeMap<String, Mtime>,
    /// What it ever said it has stored.
    pub(super) acknowledged: HashSet<(String, Digest)>,
    /// How many uploads were begun.
    pub(super) begun: u64,
    /// How many of them were to fail by plan.
    pub(super) failed: u64,
    /// How many were too large.
    pub(super) refused: u64,
    troubles: VecDeque<(Trouble, u64)>,
    poison: BTreeMap<String, u64>,
    /// How long it takes to send a piece.
    pub(super) pace: Duration,
}

impl Server {
    pub(super) fn new(limit: u64) -> Self {
        Self {
            limit,
            stored: BTreeMap::new(),
            mtimes: BTreeMap::new(),
            acknowledged: HashSet::new(),
            begun: 0,
            failed: 0,
            refused: 0,
            troubles: VecDeque::new(),
            poison: BTreeMap::new(),
            pace: Duration::from_micros(50),
        }
    }

    pub(super) fn fail(&mut self, trouble: Trouble, times: u64) {
        self.troubles.push_back((trouble, times));
    }

    pub(super) fn poison(&mut self, path: &str, times: u64) {
        self.poison.insert(path.to_owned(), times);
    }

    pub(super) fn calm_down(&mut self) {
        self.troubles.clear();
        self.poison.clear();
    }

    /// What goes wrong with this upload, or with this question.
    fn trouble(&mut self, path: &str, is_upload: bool) -> Option<Trouble> {
        self.begun += u64::from(is_upload);
        let mut trouble = None;
        if let Some(times) = self.poison.get_mut(path).filter(|times| **times > 0) {
            *times -= 1;
            trouble = Some(Trouble::Busy(0));
        } else if let Some((next, times)) = self.troubles.front_mut() {
            trouble = Some(*next);
            *times = times.saturating_sub(1);
            if *times == 0 {
                self.troubles.pop_front();
            }
        }
        self.failed += u64::from(trouble.is_some());
        trouble
    }
}

fn refused(code: ErrorCode, retry_after: Option<u64>) -> Failure {
    Failure::Refused {
        fault: code.fault(),
        status: code.status(),
        error: code.as_str().to_owned(),
        message: "as planned".to_owned(),
        retry_after: retry_after.map(Duration::from_secs),
    }
}

/// What a trouble is to whoever has just begun to speak.
fn refusal(trouble: Trouble) -> Option<Failure> {
    match trouble {
        Trouble::Unreachable => Some(unreachable("nobody answers")),
        Trouble::Busy(seconds) => {
            Some(refused(ErrorCode::Unavailable, (seconds > 0).then_some(seconds)))
        }
        Trouble::Unauthorized => Some(refused(ErrorCode::Unauthorized, None)),
        _ => None,
    }
}

fn unreachable(text: &str) -> Failure {
    Failure::Unreachable(text.to_owned())
}

/// The way of one client to the server.
pub(super) struct SimulatedRemote(pub(super) Rc<World>);

impl Remote for SimulatedRemote {
    fn upload(&self, content: &mut dyn Read, fields: &Fields<'_>) -> Result<Uploaded, Failure> {
        let world = &self.0;
        world.quick_call();
        let trouble = world.server.borrow_mut().trouble(fields.path, true);
        world.note(|| format!("upload of {} with {} bytes: {trouble:?}", fields.path, fields.size));
        if let Some(failure) = trouble.and_then(refusal) {
            return Err(failure);
        }
        if fields.size > world.server.borrow().limit {
            world.server.borrow_mut().refused += 1;
            return Err(refused(ErrorCode::FileTooLarge, None));
        }
        let cut = if let Some(Trouble::Cut(reads)) = trouble { Some(reads) } else { None };
        let bytes = self.read(content, fields.size, cut)?;
        let digest = Digest::of(&bytes);
        match trouble {
            Some(Trouble::Internal) => return Err(refused(ErrorCode::Internal, None)),
            Some(Trouble::Mismatch) => return Err(refused(ErrorCode::DigestMismatch, None)),
            _ if fields.sha256.is_some_and(|claimed| claimed != digest) => {
                return Err(refused(ErrorCode::DigestMismatch, None));
            }
            _ => {}
        }
        world.quick_call();
        world.server.borrow_mut().stored.insert(fields.path.to_owned(), bytes);
        world.server.borrow_mut().mtimes.insert(fields.path.to_owned(), fields.mtime);
        world.note(|| format!("stored {} as {digest}", fields.path));
        world.quick_call();
        match trouble {
            Some(Trouble::Lost) => return Err(unreachable("the answer is lost")),
            Some(Trouble::Nonsense) => return Err(Failure::Nonsense("another digest".to_owned())),
            _ => {}
        }
        let acknowledged = (fields.path.to_owned(), digest);
        world.server.borrow_mut().acknowledged.insert(acknowledged);
        world.quick_call();
        Ok(Uploaded {
            success: true,
            s3_key: format!("client/{}", fields.path),
            size: fields.size,
            sha256: digest,
        })
    }

    fn existence(&self, path: &RemotePath) -> Result<Existence, Failure> {
        self.0.quick_call();
        let trouble = self.0.server.borrow_mut().trouble(path.as_str(), false);
        if let Some(failure) = trouble.and_then(refusal) {
            return Err(failure);
        }
        let mut server = self.0.server.borrow_mut();
        let stored = server.stored.get(path.as_str());
        let existence = Existence {
            exists: stored.is_some(),
            size: stored.map(|bytes| bytes.len() as u64),
            sha256: stored.map(|bytes| Digest::of(bytes)),
            mtime: server.mtimes.get(path.as_str()).copied(),
        };
        self.0.note(|| format!("asked for {path}: {existence:?}"));
        // What it says it has, it has acknowledged.
        let said = existence.sha256.map(|digest| (path.to_string(), digest));
        server.acknowledged.extend(said);
        Ok(existence)
    }
}

impl SimulatedRemote {
    /// Reads exactly `size` bytes, and takes its time.
    fn read(
        &self,
        content: &mut dyn Read,
        size: u64,
        mut cut: Option<u64>,
    ) -> Result<Vec<u8>, Failure> {
        let world = &self.0;
        let (size, mut bytes) = (usize::try_from(size).unwrap(), Vec::new());
        let mut piece = vec![0; usize::try_from(world.settings.piece).unwrap().max(1)];
        while bytes.len() < size {
            if cut == Some(0) {
                return Err(unreachable("the connection is broken"));
            }
            cut = cut.map(|reads| reads - 1);
            let pace = world.server.borrow().pace;
            world.call(pace);
            let stopped = world.client().and_then(|client| client.stopped());
            if stopped.is_some_and(|stopped| world.now() > stopped + UPLOAD_GRACE) {
                return Err(Failure::File(io::Error::other(Ending)));
            }
            let room = piece.len().min(size - bytes.len());
            let count = content.read(&mut piece[..room]).map_err(Failure::File)?;
            if count == 0 {
                return Err(Failure::File(io::ErrorKind::UnexpectedEof.into()));
            }
            bytes.extend_from_slice(&piece[..count]);
        }
        Ok(bytes)
    }
}
