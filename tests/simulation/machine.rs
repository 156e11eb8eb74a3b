//! The machine's disk and clocks, as the client sees them.

use super::disk::File;
use super::world::World;
use s3up::client::baseline::Moment;
use s3up::client::baselines::FileClock;
use s3up::client::disk::{Disk, OpenFile};
use s3up::client::fingerprint::Fingerprint;
use s3up::clock::Clock;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::path::Path;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The machine's disk, as the client sees it.
#[derive(Clone)]
pub(super) struct SimulatedDisk(pub(super) Rc<World>);

/// An open file. It stays the same one, whatever becomes of its name.
pub(super) struct SimulatedFile {
    world: Rc<World>,
    file: File,
    position: usize,
}

impl Disk for SimulatedDisk {
    type File = SimulatedFile;

    fn look(&self, path: &Path) -> io::Result<Option<Fingerprint>> {
        self.0.quick_call();
        let seen = self.0.disk.borrow().file(path).map(|file| file.borrow().fingerprint());
        self.0.quick_call();
        Ok(seen)
    }

    fn is_folder(&self, path: &Path) -> bool {
        self.0.quick_call();
        self.0.is_folder(path)
    }

    fn open(&self, _: &Path, path: &Path) -> io::Result<Option<(SimulatedFile, Fingerprint)>> {
        self.0.quick_call();
        let Some(file) = self.0.disk.borrow().file(path).cloned() else { return Ok(None) };
        if !file.borrow().readable {
            return Err(ErrorKind::PermissionDenied.into());
        }
        self.0.quick_call();
        let fingerprint = file.borrow().fingerprint();
        self.0.opened(path);
        Ok(Some((SimulatedFile { world: Rc::clone(&self.0), file, position: 0 }, fingerprint)))
    }
}

impl Read for SimulatedFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.world.quick_call();
        let inode = self.file.borrow();
        let piece = usize::try_from(self.world.settings.piece).unwrap();
        let rest = inode.bytes.get(self.position..).unwrap_or_default();
        let count = rest.len().min(buffer.len()).min(piece.max(1));
        buffer[..count].copy_from_slice(&rest[..count]);
        self.position += count;
        Ok(count)
    }
}

impl Seek for SimulatedFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let SeekFrom::Start(position) = to else { return Err(ErrorKind::Unsupported.into()) };
        self.position = usize::try_from(position).unwrap();
        Ok(position)
    }
}

impl OpenFile for SimulatedFile {
    fn fingerprint(&self) -> io::Result<Fingerprint> {
        self.world.quick_call();
        Ok(self.file.borrow().fingerprint())
    }
}

/// The machine's clocks, as the client sees them.
#[derive(Clone)]
pub(super) struct SimulatedClock(pub(super) Rc<World>);

impl Clock for SimulatedClock {
    fn monotonic(&self) -> Instant {
        let now = self.0.monotonic();
        self.0.quick_call();
        now
    }

    fn unix_seconds(&self) -> i64 {
        let now = self.0.unix_ns().div_euclid(1_000_000_000);
        self.0.quick_call();
        now
    }
}

/// The stamp that a file would get now, and how long the machine has been running.
#[derive(Clone, Debug, Default)]
pub(super) struct FileClocks(pub(super) Arc<Mutex<(i64, Duration)>>);

impl FileClock for FileClocks {
    fn stamp(&self, _: &Path) -> i64 {
        self.0.lock().unwrap().0
    }

    fn moment(&self) -> Moment {
        Moment { boot: "the first".to_owned(), since_boot: self.0.lock().unwrap().1 }
    }
}
