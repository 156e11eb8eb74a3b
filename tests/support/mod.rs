//! What the tests stand on: servers, scenes, keys and contents.

pub(crate) mod api;
#[cfg(feature = "browser")]
pub(crate) mod browser;
pub(crate) mod bucket;
pub(crate) mod certificates;
pub(crate) mod client;
pub(crate) mod connect_proxy;
pub(crate) mod connection;
pub(crate) mod crowd;
pub(crate) mod daemon;
pub(crate) mod fault;
pub(crate) mod fault_exchange;
pub(crate) mod fault_proxy;
pub(crate) mod fault_scene;
pub(crate) mod pair;
pub(crate) mod prometheus;
pub(crate) mod relay;
pub(crate) mod s3_message;
pub(crate) mod s3_server;
pub(crate) mod scene;
pub(crate) mod scripted_server;
pub(crate) mod server;
pub(crate) mod service_manager;
pub(crate) mod siege;
pub(crate) mod slot;
pub(crate) mod slow;
pub(crate) mod tls_front;
pub(crate) mod tls_peer;
pub(crate) mod tools;
pub(crate) mod vitals;
pub(crate) mod waiting;

use s3up::remote_path::{RemotePath, RemotePrefix};
use s3up::server::key::{ClientName, ObjectKey};
use s3up::server::part_buffer::PartBuffer;
use std::path::Path;

/// The key of `path` for the client `web`, below `prefix`.
pub(crate) fn key_below(prefix: &str, path: &str) -> ObjectKey {
    let prefix = RemotePrefix::parse(prefix).unwrap();
    let client = ClientName::parse("web").unwrap();
    ObjectKey::new(&prefix, &client, &RemotePath::parse(path).unwrap()).unwrap()
}

/// `length` bytes that no shift, cut or repetition leaves equal; another `seed`, other bytes.
pub(crate) fn content(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    fastrand::Rng::with_seed(seed).fill(&mut bytes);
    bytes
}

/// A part of an object that has this content.
pub(crate) fn part(content: &[u8]) -> PartBuffer {
    let mut part = PartBuffer::with_room_for(content.len()).unwrap();
    assert_eq!(part.fill(content), content.len());
    part
}

/// Every file below `root`, as sorted paths relative to it.
pub(crate) fn files_below(root: &Path) -> Vec<String> {
    let files = walkdir::WalkDir::new(root).sort_by_file_name().into_iter().map(Result::unwrap);
    let mut names: Vec<String> = files
        .filter(|entry| !entry.file_type().is_dir())
        .map(|entry| entry.path().strip_prefix(root).unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

/// Everything below `root`, one line each, for the eyes of who reads a failure.
pub(crate) fn tree(root: &Path) -> String {
    let mut lines = String::new();
    for entry in walkdir::WalkDir::new(root).sort_by_file_name() {
        lines += &match entry {
            Ok(entry) => {
                let size = entry.metadata().map_or(0, |metadata| metadata.len());
                let name = entry.path().strip_prefix(root).unwrap_or(entry.path());
                let kind = match entry.file_type() {
                    kind if kind.is_dir() => "folder",
                    kind if kind.is_file() => "file",
                    kind if kind.is_symlink() => "link",
                    _ => "other",
                };
                format!("{kind:6} {size:>10} {name:?}\n")
            }
            Err(error) => format!("{error}\n"),
        };
    }
    lines
}
