//! A file system in memory: names, inodes and their numbers, bytes, stamps.
//!
//! It stamps by the time it is given, and gives out the lowest inode number that is free, as ext4 does:
//! a new file often has the number of one that was just removed. Each change yields the hints that
//! inotify would have of it, for the folder of the name by which it was made and for no other.

use super::history::{Action, Place};
use s3up::client::fingerprint::Fingerprint;
use s3up::digest::Digest;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::rc::{Rc, Weak};
use std::time::Duration;

/// A file's bytes and what is known of them, apart from its names.
#[derive(Debug)]
pub(super) struct Inode {
    number: u64,
    pub(super) bytes: Vec<u8>,
    mtime_ns: i64,
    ctime_ns: i64,
    names: u32,
    /// Whether the client may read it.
    pub(super) readable: bool,
    /// Whether it was changed since the client's first run.
    pub(super) new: bool,
}

impl Inode {
    pub(super) fn fingerprint(&self) -> Fingerprint {
        Fingerprint {
            size: self.bytes.len() as u64,
            mtime_ns: self.mtime_ns,
            ctime_ns: self.ctime_ns,
            inode: self.number,
        }
    }
}

/// An inode, by whoever holds it: its names and those who have it open.
pub(super) type File = Rc<RefCell<Inode>>;

/// What stands at a path.
#[derive(Clone, Debug)]
pub(super) enum Node {
    Folder,
    File(File),
    Other,
}

/// What inotify says of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Hint {
    /// Something about this name that is no folder.
    Changed(PathBuf),
    /// A folder was made.
    Made(PathBuf),
    /// A folder was removed.
    Removed(PathBuf),
    /// Something went from here.
    From(PathBuf),
    /// Something came here.
    To(PathBuf),
    /// Hints were lost.
    Overflow,
}

/// The file system; see the module's head.
#[derive(Debug, Default)]
pub(super) struct FileSystem {
    nodes: BTreeMap<PathBuf, Node>,
    inodes: Vec<Weak<RefCell<Inode>>>,
    /// What it is now, in nanoseconds since 1970.
    pub(super) now_ns: i64,
    /// Whether the client has run yet.
    pub(super) used: bool,
    /// A change was made that no hint tells of: a file with two names changed.
    pub(super) silent: bool,
    /// What was in a file, ever, for each look it had.
    states: HashMap<Fingerprint, HashSet<Digest>>,
    /// When a file had each look first, in the machine's running time.
    born: HashMap<Fingerprint, Duration>,
    /// The machine's running time.
    pub(super) now: Duration,
    /// How many times a file changed, counted by its names, or a name.
    pub(super) changes: u64,
}

/// The clock that stamps files moves in steps of 4 ms.
const STEP_NS: i64 = 4_000_000;

impl FileSystem {
    pub(super) fn stamp(&self) -> i64 {
        self.now_ns - self.now_ns.rem_euclid(STEP_NS)
    }

    pub(super) fn node(&self, path: &Path) -> Option<&Node> {
        self.nodes.get(path)
    }

    pub(super) fn file(&self, path: &Path) -> Option<&File> {
        match self.nodes.get(path) {
            Some(Node::File(file)) => Some(file),
            _ => None,
        }
    }

    /// Whether a file ever looked like this and had such bytes.
    pub(super) fn was(&self, look: &Fingerprint, digest: Digest) -> bool {
        self.states.get(look).is_some_and(|digests| digests.contains(&digest))
    }

    /// When a file looked like this first.
    pub(super) fn born(&self, look: &Fingerprint) -> Option<Duration> {
        self.born.get(look).copied()
    }

    /// Whether files with different bytes have looked like this: a clock that was set back stamped a
    /// change with the very moment of an earlier one.
    pub(super) fn is_ambiguous(&self, look: &Fingerprint) -> bool {
        self.states.get(look).is_some_and(|digests| digests.len() > 1)
    }

    /// Every file, in the order of paths.
    pub(super) fn files(&self) -> impl Iterator<Item = (&PathBuf, &File)> {
        self.nodes.iter().filter_map(|(path, node)| match node {
            Node::File(file) => Some((path, file)),
            _ => None,
        })
    }

    /// All folders at and below `root`.
    pub(super) fn folders(&self, root: &Path) -> Vec<PathBuf> {
        let folders = self.below(root).filter(|(_, node)| matches!(node, Node::Folder));
        folders.map(|(path, _)| path.clone()).collect()
    }

    /// The names in a folder, with what they are.
    pub(super) fn list(&self, folder: &Path) -> Vec<(PathBuf, Node)> {
        let inside = self.below(folder).filter(|(path, _)| path.parent() == Some(folder));
        inside.map(|(path, node)| (path.clone(), node.clone())).collect()
    }

    fn below<'a>(&'a self, root: &'a Path) -> impl Iterator<Item = (&'a PathBuf, &'a Node)> {
        // Paths are ordered by their segments, so that a folder stands right before what is in it.
        let from = self.nodes.range::<Path, _>((Bound::Included(root), Bound::Unbounded));
        from.take_while(move |(path, _)| path.starts_with(root))
    }

    /// Does what is asked for, if it can be done, and says what inotify would.
    pub(super) fn act(&mut self, action: &Action) -> Vec<Hint> {
        let mut hints = Vec::new();
        match action {
            Action::Write(Place(path), bytes) => self.write(path, &mut hints, |old, fresh| {
                old.clear();
                fresh.fill_up(old, *bytes);
            }),
            Action::Append(Place(path), bytes) => self.write(path, &mut hints, |old, fresh| {
                fresh.fill_up(old, *bytes);
            }),
            Action::Truncate(Place(path), bytes) => {
                self.change(path, &mut hints, |inode, now, _| {
                    inode.bytes.resize(*bytes, 0);
                    inode.mtime_ns = now;
                });
            }
            Action::Patch(Place(path)) => self.change(path, &mut hints, |inode, now, fresh| {
                fresh.patch(&mut inode.bytes);
                inode.mtime_ns = now;
            }),
            Action::PatchBack(Place(path)) => self.change(path, &mut hints, |inode, _, fresh| {
                fresh.patch(&mut inode.bytes);
            }),
            Action::Utime(Place(path), ms) => self.change(path, &mut hints, |inode, now, _| {
                inode.mtime_ns = now + ms * 1_000_000;
            }),
            Action::Chmod(Place(path)) => self.change(path, &mut hints, |_, _, _| ()),
            Action::Deny(Place(path)) => {
                self.change(path, &mut hints, |inode, _, _| inode.readable = false);
            }
            Action::Allow(Place(path)) => {
                self.change(path, &mut hints, |inode, _, _| inode.readable = true);
            }
            Action::Rename(Place(from), Place(to)) => self.rename(from, to, &mut hints),
            Action::Replace(Place(path), bytes) => self.replace(path, *bytes, &mut hints),
            Action::Link(Place(from), Place(to)) => self.link(from, to, &mut hints),
            Action::Remove(Place(path)) => self.remove(path, &mut hints),
            Action::Mkdir(Place(path)) => {
                self.folder(path, &mut hints);
            }
            Action::Other(Place(path)) => self.other(path, &mut hints),
            _ => {}
        }
        hints
    }

    /// Makes a folder and those around it. Returns whether it is there now.
    fn folder(&mut self, path: &Path, hints: &mut Vec<Hint>) -> bool {
        match self.nodes.get(path) {
            Some(Node::Folder) => true,
            Some(_) => false,
            None => {
                if path.parent().is_some_and(|parent| !self.folder(parent, hints)) {
                    return false;
                }
                self.nodes.insert(path.to_owned(), Node::Folder);
                hints.push(Hint::Made(path.to_owned()));
                true
            }
        }
    }

    fn parent(&mut self, path: &Path, hints: &mut Vec<Hint>) -> bool {
        path.parent().is_none_or(|parent| self.folder(parent, hints))
    }

    fn write(
        &mut self,
        path: &Path,
        hints: &mut Vec<Hint>,
        write: impl Fn(&mut Vec<u8>, &mut Fresh),
    ) {
        if !self.parent(path, hints) {
            return;
        }
        if !self.nodes.contains_key(path) {
            let file = self.inode();
            self.nodes.insert(path.to_owned(), Node::File(file));
        }
        self.change(path, hints, |inode, now, fresh| {
            write(&mut inode.bytes, fresh);
            inode.mtime_ns = now;
        });
    }

    /// Changes a file and stamps it, if one is there.
    fn change(
        &mut self,
        path: &Path,
        hints: &mut Vec<Hint>,
        change: impl FnOnce(&mut Inode, i64, &mut Fresh),
    ) {
        let Some(file) = self.file(path).cloned() else { return };
        change(&mut file.borrow_mut(), self.stamp(), &mut Fresh(self.changes));
        self.stamp_inode(&file);
        self.silent |= file.borrow().names > 1;
        hints.push(Hint::Changed(path.to_owned()));
    }

    fn stamp_inode(&mut self, file: &File) {
        let mut inode = file.borrow_mut();
        inode.ctime_ns = self.stamp();
        inode.new |= self.used;
        self.changes += u64::from(inode.names.max(1));
        self.born.entry(inode.fingerprint()).or_insert(self.now);
        let digests = self.states.entry(inode.fingerprint()).or_default();
        digests.insert(Digest::of(&inode.bytes));
    }

    fn inode(&mut self) -> File {
        let free = self.inodes.iter().position(|inode| inode.strong_count() == 0);
        let number = free.unwrap_or(self.inodes.len());
        let now = self.stamp();
        let file = Rc::new(RefCell::new(Inode {
            number: number as u64,
            bytes: Vec::new(),
            mtime_ns: now,
            ctime_ns: now,
            names: 1,
            readable: true,
            new: self.used,
        }));
        if number == self.inodes.len() {
            self.inodes.push(Weak::new());
        }
        self.inodes[number] = Rc::downgrade(&file);
        file
    }

    fn rename(&mut self, from: &Path, to: &Path, hints: &mut Vec<Hint>) {
        let Some(node) = self.nodes.get(from).cloned() else { return };
        let is_folder = matches!(node, Node::Folder);
        let in_the_way = match self.nodes.get(to) {
            None => false,
            Some(Node::Folder) => true,
            Some(_) => is_folder,
        };
        // Two names of one file are left as they are.
        let same = match (&node, self.nodes.get(to)) {
            (Node::File(one), Some(Node::File(other))) => Rc::ptr_eq(one, other),
            _ => false,
        };
        if in_the_way || same || to.starts_with(from) || !self.parent(to, hints) {
            return;
        }
        hints.push(Hint::From(from.to_owned()));
        hints.push(Hint::To(to.to_owned()));
        if is_folder {
            // Nothing is said of what is in it, and none of it is stamped.
            let inside: Vec<_> = self.below(from).map(|(path, _)| path.clone()).collect();
            for path in inside {
                let Some(node) = self.nodes.remove(&path) else { continue };
                let relative = path.strip_prefix(from).unwrap();
                let to = if path == from { to.to_owned() } else { to.join(relative) };
                self.nodes.insert(to, node);
                self.changes += 1;
            }
            return;
        }
        self.unname(to);
        self.nodes.remove(from);
        if let Node::File(file) = &node {
            self.stamp_inode(file);
            self.silent |= file.borrow().names > 1;
        }
        self.nodes.insert(to.to_owned(), node);
    }

    fn replace(&mut self, path: &Path, bytes: usize, hints: &mut Vec<Hint>) {
        let mut beside = path.as_os_str().to_owned();
        beside.push("~");
        let beside = Place(beside.into());
        hints.extend(self.act(&Action::Write(beside.clone(), bytes)));
        self.rename(&beside.0, path, hints);
    }

    fn link(&mut self, from: &Path, to: &Path, hints: &mut Vec<Hint>) {
        let Some(file) = self.file(from).cloned() else { return };
        if self.nodes.contains_key(to) || !self.parent(to, hints) {
            return;
        }
        file.borrow_mut().names += 1;
        self.stamp_inode(&file);
        self.silent = true;
        self.nodes.insert(to.to_owned(), Node::File(file));
        hints.push(Hint::Changed(to.to_owned()));
    }

    /// Takes a name away.
    fn unname(&mut self, path: &Path) {
        if let Some(Node::File(file)) = self.nodes.remove(path) {
            file.borrow_mut().names -= 1;
            self.stamp_inode(&file);
            self.silent |= file.borrow().names > 0;
        }
    }

    fn remove(&mut self, path: &Path, hints: &mut Vec<Hint>) {
        let inside: Vec<_> = self.below(path).map(|(path, _)| path.clone()).collect();
        for path in inside.into_iter().rev() {
            if matches!(self.nodes.get(&path), Some(Node::Folder)) {
                hints.push(Hint::Removed(path.clone()));
                self.nodes.remove(&path);
            }
            self.unname(&path);
        }
    }

    fn other(&mut self, path: &Path, hints: &mut Vec<Hint>) {
        if matches!(self.nodes.get(path), Some(Node::Folder)) || !self.parent(path, hints) {
            return;
        }
        self.unname(path);
        self.nodes.insert(path.to_owned(), Node::Other);
        hints.push(Hint::Changed(path.to_owned()));
    }
}

/// Bytes that no change has written before.
struct Fresh(u64);

impl Fresh {
    /// Puts `count` bytes behind the others.
    fn fill_up(&mut self, bytes: &mut Vec<u8>, count: usize) {
        let mut rng = fastrand::Rng::with_seed(self.0);
        bytes.extend(std::iter::repeat_with(|| rng.u8(..)).take(count));
    }

    /// Changes every byte.
    fn patch(&mut self, bytes: &mut [u8]) {
        let mut rng = fastrand::Rng::with_seed(self.0);
        bytes.iter_mut().for_each(|byte| *byte = byte.wrapping_add(rng.u8(1..)));
    }
}
