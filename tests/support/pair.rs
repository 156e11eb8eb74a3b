//! Client and server together: files on the one side, objects on the other.

use super::bucket::{Bucket, Kind};
use super::client::Client;
use super::server::Server;
use super::waiting::{DEADLINE, eventually};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

/// Beginning of the names of files that only let things settle.
const SETTLED: &str = "settled-";

/// One client, `web`, and its server.
pub(crate) struct Pair {
    // In this order: the client goes first.
    pub(crate) client: Client,
    pub(crate) server: Server,
}

impl Pair {
    /// A pair with an empty watched folder and an empty store; the server runs, the client does not.
    #[track_caller]
    pub(crate) fn new(kind: Kind) -> Self {
        let mut pair = Self { client: Client::new(), server: Server::new(kind) };
        let port = pair.server.start();
        pair.client.url = format!("http://127.0.0.1:{port}");
        pair
    }

    /// A pair with an empty watched folder and an empty store; both run.
    #[track_caller]
    pub(crate) fn started(kind: Kind) -> Self {
        let mut pair = Self::new(kind);
        pair.client.start();
        pair
    }

    /// Writes a file in the first watched folder, with the folders it needs.
    pub(crate) fn write(&self, name: impl AsRef<Path>, content: &[u8]) -> PathBuf {
        let path = self.client.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }

    /// Waits until all files of the watched folders are recorded, and compares them with the bucket.
    #[track_caller]
    pub(crate) fn assert_all_arrive(&self) {
        self.client.wait_until_all_recorded();
        let expected: BTreeMap<String, Vec<u8>> = self
            .client
            .files()
            .into_keys()
            .map(|path| (self.remote_path(&path), std::fs::read(&path).unwrap()))
            .collect();
        self.assert_holds(&expected);
    }

    /// Waits until all files of the watched folders that are `wanted` are recorded, and finds them in
    /// the bucket. It may hold more: names that files had for a while.
    #[track_caller]
    pub(crate) fn assert_arrive(&self, wanted: impl Fn(&Path) -> bool) {
        self.client.wait_until_recorded_all(&wanted);
        let found = self.server.bucket.files_of("web");
        for path in self.client.files().into_keys().filter(|path| wanted(path)) {
            let object = found.get(&self.remote_path(&path));
            assert!(object.is_some(), "{path:?} is not in the bucket");
            assert!(
                object == Some(&std::fs::read(&path).unwrap()),
                "{path:?} has other bytes there"
            );
        }
    }

    /// Compares all that is in the client's part of the bucket, but for what let things settle.
    #[track_caller]
    pub(crate) fn assert_holds(&self, expected: &BTreeMap<String, Vec<u8>>) {
        let mut found = self.server.bucket.files_of("web");
        found.retain(|path, _| !path.contains(SETTLED));
        assert_eq!(
            found.keys().collect::<Vec<_>>(),
            expected.keys().collect::<Vec<_>>(),
            "the bucket's names"
        );
        for (path, content) in expected {
            // Not `assert_eq!`: nobody wants to read megabytes.
            assert!(found[path] == *content, "{path} holds other bytes");
        }
        // `s3s-fs` keeps what it has of a PUT whose connection breaks.
        if !(self.server.was_killed() && matches!(self.server.bucket, Bucket::S3(_))) {
            assert_eq!(self.server.bucket.leftovers(), [""; 0]);
        }
    }

    /// Compares the names of all that is in the client's part of the bucket, and below `uploads/`.
    #[track_caller]
    pub(crate) fn assert_names(&self, expected: &[&str]) {
        let names = self.server.bucket.files_of("web").into_keys();
        let names = names.filter(|path| !path.contains(SETTLED));
        let names: Vec<String> =
            names.map(|path| path.strip_prefix("uploads/").unwrap().to_owned()).collect();
        assert_eq!(names, expected);
    }

    /// How often the object of `path` (as in `uploads/a`) was stored.
    pub(crate) fn times_stored(&self, path: &str) -> usize {
        self.server.log().matches(&format!("stored \"backups/web/{path}\", ")).count()
    }

    /// Waits until the object of `path` (as in `uploads/a`) has this content, recorded or not.
    #[track_caller]
    pub(crate) fn wait_for_object(&self, path: &str, content: &[u8]) {
        let key = format!("backups/web/{path}");
        eventually(DEADLINE, &format!("{key} has its {} bytes", content.len()), || {
            (self.server.bucket.get(&key).as_deref() == Some(content)).then_some(())
        });
    }

    /// What a local file is called below the client's part of the bucket.
    fn remote_path(&self, path: &Path) -> String {
        let mut watches = self.client.watches.iter();
        let (prefix, name) = watches
            .find_map(|watch| Some((watch.prefix, path.strip_prefix(&watch.folder).ok()?)))
            .unwrap();
        format!("{prefix}{}", name.to_str().unwrap())
    }

    /// Lets a file through behind everything that was heard before, so that what is not in the
    /// bucket by then was not going to be.
    #[track_caller]
    pub(crate) fn let_things_settle(&self) {
        let path = self.write(format!("{SETTLED}{:08x}", fastrand::u32(..)), b"");
        self.client.wait_until_recorded(&path);
        std::fs::remove_file(path).unwrap();
    }

    /// Stops both, the client first.
    #[track_caller]
    pub(crate) fn stop(&mut self) -> [ExitStatus; 2] {
        [self.client.stop(), self.server.stop()]
    }
}
