//! What only a folder can get wrong.

use crate::support::scene::Scene;
use crate::support::{content, key_below, part};
use s3up::digest::Digest;
use s3up::limits::PART_BYTES;
use s3up::server::store::directory::DirectoryStore;
use s3up::server::store::{Metadata, ObjectStore, StoreErrorKind};
use s3up::wire::Mtime;
use std::fs;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::PathBuf;
use tempfile::TempDir;

const MTIME: i64 = 1_600_000_000_123_456_789;

fn metadata(bytes: &[u8]) -> Metadata {
    Metadata { sha256: Some(Digest::of(bytes)), mtime: Some(Mtime::from_nanos(MTIME)) }
}

impl Scene {
    fn file(&self, path: &str) -> PathBuf {
        self.folder().join("store").join(self.key(path).as_str())
    }

    fn place(&self, path: &str, bytes: &[u8]) {
        self.store.put(&self.key(path), bytes, &metadata(bytes)).unwrap();
    }
}

#[test]
fn a_name_that_needs_a_folder_where_a_file_is_conflicts_and_so_does_the_reverse() {
    let scene = Scene::directory();
    scene.place("file", b"x");
    scene.place("folder/file", b"x");
    for path in ["file/below", "file/far/below", "folder"] {
        let error = scene.store.put(&scene.key(path), b"y", &metadata(b"y")).unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::NameConflict, "{error}");
        let begun = scene.store.begin(&scene.key(path), &metadata(b"y"));
        let error = begun.err().expect("told before the bytes are sent");
        assert_eq!(error.kind, StoreErrorKind::NameConflict, "{error}");
    }
    assert_eq!(scene.objects(), ["file", "folder/file"]);
    assert_eq!(scene.leftovers(), [""; 0]);
}

#[test]
fn a_link_inside_the_store_is_never_followed() {
    let scene = Scene::directory();
    let outside = scene.folder().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("secret"), "secret").unwrap();
    scene.place("real/file", b"x");
    symlink(&outside, scene.file("link")).unwrap();
    symlink(outside.join("secret"), scene.file("real/direct")).unwrap();
    symlink("real", scene.file("inner")).unwrap();
    for path in ["link/secret", "link/new", "inner/file"] {
        let key = scene.key(path);
        let errors = [
            scene.store.put(&key, b"y", &metadata(b"y")).unwrap_err(),
            scene.store.begin(&key, &metadata(b"y")).err().unwrap(),
            scene.store.head(&key).unwrap_err(),
            scene.store.open(&key, None).err().unwrap(),
        ];
        for error in errors {
            assert_eq!(error.kind, StoreErrorKind::Refused, "{error}");
            assert!(error.hint.is_some(), "{error}");
        }
    }
    let direct = scene.key("real/direct");
    assert_eq!(scene.store.head(&direct).unwrap_err().kind, StoreErrorKind::Refused);
    assert!(scene.store.open(&direct, None).is_err());
    // Writing to a link's name replaces the link, not what it leads to.
    scene.place("real/direct", b"ours");
    assert_eq!(fs::read(outside.join("secret")).unwrap(), b"secret");
    assert_eq!(fs::read(scene.file("real/direct")).unwrap(), b"ours");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
}

#[test]
fn something_that_is_no_file_is_neither_read_nor_called_absent() {
    let scene = Scene::directory();
    scene.place("file", b"x");
    let socket = scene.file("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let fifo = scene.file("fifo");
    rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::RWXU).unwrap();
    for path in ["socket", "fifo"] {
        let error = scene.store.head(&scene.key(path)).unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::NameConflict, "{error}");
        assert!(scene.store.open(&scene.key(path), None).is_err());
    }
}

#[test]
fn the_stores_own_folder_cannot_be_named() {
    let scene = Scene::directory();
    for prefix in [".s3up-tmp", ".s3up-tmp/x", ".s3up-tmpx"] {
        let key = key_below(prefix, "file");
        let errors = [
            scene.store.put(&key, b"y", &metadata(b"y")).unwrap_err(),
            scene.store.begin(&key, &metadata(b"y")).err().unwrap(),
            scene.store.head(&key).unwrap_err(),
            scene.store.open(&key, None).err().unwrap(),
        ];
        assert!(errors.iter().all(|error| error.kind == StoreErrorKind::NameConflict));
    }
    scene.place(".s3up-tmp/as/part/of/a/path", b"is fine");
}

#[test]
fn files_and_folders_are_for_the_servers_user_alone_and_carry_the_hosts_time() {
    let scene = Scene::directory();
    scene.place("a/b/file", b"x");
    let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(scene.file("a/b/file")), 0o600);
    for folder in ["a/b", "a"] {
        assert_eq!(mode(scene.file(folder)), 0o700);
    }
    assert_eq!(mode(scene.folder().join("store")), 0o700);
    assert_eq!(mode(scene.folder().join("store/.s3up-tmp")), 0o700);
    let file = fs::metadata(scene.file("a/b/file")).unwrap();
    assert_eq!(file.mtime() * 1_000_000_000 + file.mtime_nsec(), MTIME);
}

#[test]
fn the_metadata_of_a_file_edited_by_hand_is_not_believed() {
    let scene = Scene::directory();
    scene.place("same-size", b"old");
    scene.place("same-time", b"old");
    fs::write(scene.file("same-size"), b"new").unwrap();
    fs::write(scene.file("same-time"), b"longer").unwrap();
    let file = fs::File::options().write(true).open(scene.file("same-time")).unwrap();
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_nanos(MTIME as u64);
    file.set_modified(time).unwrap();
    for (path, bytes) in [("same-size", &b"new"[..]), ("same-time", b"longer")] {
        let info = scene.store.head(&scene.key(path)).unwrap().unwrap();
        assert_eq!(info.metadata.sha256, Some(Digest::of(bytes)), "{path}");
        assert!(!info.etag.contains(&Digest::of(b"old").to_string()), "{path}");
        let object = scene.store.open(&scene.key(path), None).unwrap().unwrap();
        assert_eq!((object.info.etag, object.length), (info.etag, bytes.len() as u64));
    }
}

#[test]
fn a_file_without_attribute_is_hashed_when_asked_for_and_has_its_own_time() {
    let scene = Scene::directory();
    scene.place("it", b"content");
    let file = fs::File::open(scene.file("it")).unwrap();
    rustix::fs::fremovexattr(&file, "user.s3up").unwrap();
    let info = scene.store.head(&scene.key("it")).unwrap().unwrap();
    assert_eq!(info.metadata, metadata(b"content"));
    assert_eq!(info.etag, format!("\"7-{MTIME}\""));
}

#[test]
fn an_attribute_costs_a_file_no_block() {
    let scene = Scene::directory();
    fs::write(scene.folder().join("bare"), [1; 4096]).unwrap();
    scene.place("it", &[1; 4096]);
    let blocks = |path: PathBuf| fs::metadata(path).unwrap().blocks();
    assert_eq!(blocks(scene.file("it")), blocks(scene.folder().join("bare")));
}

#[test]
fn a_start_removes_what_a_dead_process_left_and_spares_what_a_living_one_writes() {
    let folder = TempDir::new().unwrap();
    let root = folder.path().join("deep/store");
    let open = || DirectoryStore::open(root.clone()).unwrap();
    let leftovers = || fs::read_dir(root.join(".s3up-tmp")).unwrap().count();
    drop(open());
    fs::write(root.join(".s3up-tmp/0123"), "half a file").unwrap();
    let store = open();
    assert_eq!(leftovers(), 0);

    let key = key_below("", "it");
    let bytes = content(1, PART_BYTES);
    let mut large = store.begin(&key, &Metadata::default()).unwrap();
    large.append(part(&bytes)).unwrap();
    drop(open());
    assert_eq!(leftovers(), 1);
    large.complete(Digest::of(&bytes)).unwrap();
    assert_eq!(store.head(&key).unwrap().unwrap().size, PART_BYTES as u64);
}

#[test]
fn a_file_that_is_cut_while_it_is_read_is_an_error_not_an_end() {
    let scene = Scene::directory();
    scene.place("it", &content(1, 100_000));
    let mut object = scene.store.open(&scene.key("it"), None).unwrap().unwrap();
    let file = fs::File::options().write(true).open(scene.file("it")).unwrap();
    file.set_len(50_000).unwrap();
    let mut bytes = Vec::new();
    let error = object.body.read_to_end(&mut bytes).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
    assert_eq!(bytes.len(), 50_000);
}

#[test]
fn a_root_that_is_no_folder_or_was_exchanged_is_told() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("file");
    fs::write(&path, "x").unwrap();
    let error = DirectoryStore::open(path).err().unwrap();
    assert_eq!(error.kind, StoreErrorKind::NameConflict, "{error}");

    let path = folder.path().join("store");
    let store = DirectoryStore::open(path.clone()).unwrap();
    store.ready().unwrap();
    fs::rename(&path, folder.path().join("away")).unwrap();
    assert!(store.ready().is_err());
    fs::create_dir(&path).unwrap();
    assert_eq!(store.ready().unwrap_err().kind, StoreErrorKind::Unavailable);
}
