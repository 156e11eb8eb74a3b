//! The contract of `server::store`, sentence by sentence, for every store there is.
//!
//! `s3::…` runs over a server of its own, or over the one the environment names (`Scene::s3`).

mod inspect;
mod sweep;
mod turns;

use self::inspect::a_probe_is_listed_and_removed_and_leaves_nothing;
use self::sweep::what_a_dead_process_has_begun_is_swept_away_and_nothing_else;
use self::turns::{
    concurrent_writers_of_one_key_leave_one_whole_object,
    of_two_uploads_of_one_key_the_one_that_began_later_stands,
};
use crate::support::scene::Scene;
use crate::support::{content, part};
use s3up::digest::Digest;
use s3up::limits::PART_BYTES;
use s3up::server::store::{ByteRange, Metadata, StoreError};
use s3up::wire::Mtime;
use std::io::Read;
use std::time::{Duration, SystemTime};

macro_rules! for_every_store {
    ($($sentence:ident)+) => {
        mod directory {
            use crate::support::scene::Scene;
            $(#[test] fn $sentence() { super::$sentence(&Scene::directory()); })+
        }
        mod s3 {
            use crate::support::scene::Scene;
            $(#[test] fn $sentence() { super::$sentence(&Scene::s3()); })+
        }
    };
}

for_every_store! {
    a_large_object_beside_a_small_one_of_the_same_key_replaces_it
    a_large_object_comes_back_byte_for_byte
    a_large_object_of_one_part_or_none_is_an_object_too
    a_large_object_that_is_dropped_leaves_nothing_and_the_old_one_stands
    a_large_object_that_never_got_a_part_leaves_nothing_when_dropped
    a_probe_is_listed_and_removed_and_leaves_nothing
    a_range_is_exactly_its_bytes_and_the_info_is_of_the_whole
    a_range_that_the_object_no_longer_has_is_an_error
    a_reader_of_the_old_object_finishes_it_or_fails
    an_object_comes_back_byte_for_byte
    an_object_not_yet_completed_is_not_there
    an_unknown_mtime_is_not_invented
    concurrent_writers_of_one_key_leave_one_whole_object
    every_allowed_name_is_its_own_object
    metadata_comes_back_as_it_was_put
    nothing_is_there_before_it_is_put
    of_two_uploads_of_one_key_the_one_that_began_later_stands
    the_etag_is_quoted_stands_still_and_differs_with_the_content
    the_longest_names_work
    the_store_names_itself_and_is_ready
    the_time_of_storing_is_about_now
    what_a_dead_process_has_begun_is_swept_away_and_nothing_else
    what_is_put_later_replaces_the_object_and_its_metadata
}

fn metadata_of(bytes: &[u8]) -> Metadata {
    Metadata {
        sha256: Some(Digest::of(bytes)),
        mtime: Some(Mtime::from_nanos(1_700_000_000_123_456_789)),
    }
}

impl Scene {
    fn put(&self, path: &str, bytes: &[u8]) {
        self.store.put(&self.key(path), bytes, &metadata_of(bytes)).unwrap();
    }

    fn put_large(&self, path: &str, parts: &[&[u8]], metadata: &Metadata) {
        self.try_put_large(path, parts, metadata).unwrap();
    }

    fn try_put_large(
        &self,
        path: &str,
        parts: &[&[u8]],
        metadata: &Metadata,
    ) -> Result<(), StoreError> {
        let mut large = self.store.begin(&self.key(path), metadata)?;
        for content in parts {
            large.append(part(content))?;
        }
        large.complete(Digest::of(&parts.concat()))
    }

    fn read(&self, path: &str, range: Option<ByteRange>) -> Option<Vec<u8>> {
        let object = self.store.open(&self.key(path), range).unwrap()?;
        let mut bytes = Vec::new();
        let mut body = object.body;
        body.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes.len() as u64, object.length, "{path}");
        let head = self.store.head(&self.key(path)).unwrap().unwrap();
        assert_eq!((object.info.size, &object.info.etag), (head.size, &head.etag), "{path}");
        Some(bytes)
    }

    #[track_caller]
    fn assert_holds(&self, path: &str, bytes: &[u8]) {
        // Not `assert_eq!`: nobody wants to read 19 MiB.
        assert!(self.read(path, None).as_deref() == Some(bytes), "{path} holds other bytes");
    }
}

fn nothing_is_there_before_it_is_put(scene: &Scene) {
    scene.put("a/b", b"x");
    let folder = scene.tells_folders_from_objects().then_some("a");
    for path in ["a/b/c", "a/c", "b", "A/B"].into_iter().chain(folder) {
        assert_eq!(scene.store.head(&scene.key(path)).unwrap(), None, "{path}");
        assert!(scene.store.open(&scene.key(path), None).unwrap().is_none(), "{path}");
        let range = Some(ByteRange { first: 0, last: 0 });
        assert!(scene.store.open(&scene.key(path), range).unwrap().is_none(), "{path}");
    }
    assert_eq!(scene.objects(), ["a/b"]);
}

fn an_object_comes_back_byte_for_byte(scene: &Scene) {
    for length in [0, 1, 4096, PART_BYTES] {
        let bytes = content(length as u64, length);
        let path = format!("of/{length}");
        scene.put(&path, &bytes);
        scene.assert_holds(&path, &bytes);
        assert_eq!(scene.store.head(&scene.key(&path)).unwrap().unwrap().size, length as u64);
    }
    assert_eq!(scene.leftovers(), [""; 0]);
}

fn a_large_object_comes_back_byte_for_byte(scene: &Scene) {
    let bytes = content(1, 2 * PART_BYTES + 3 * 1024 * 1024);
    let parts: Vec<&[u8]> = bytes.chunks(PART_BYTES).collect();
    assert_eq!(parts.len(), 3);
    scene.put_large("large", &parts, &metadata_of(&bytes));
    scene.assert_holds("large", &bytes);
    let info = scene.store.head(&scene.key("large")).unwrap().unwrap();
    assert_eq!(info.metadata, metadata_of(&bytes));
    assert_eq!(info.size, bytes.len() as u64);
    assert_eq!(scene.objects(), ["large"]);
    assert_eq!(scene.leftovers(), [""; 0]);
}

fn a_large_object_of_one_part_or_none_is_an_object_too(scene: &Scene) {
    scene.put_large("one", &[b"part"], &Metadata::default());
    scene.assert_holds("one", b"part");
    for (path, parts) in [("none", &[][..]), ("empty", &[&b""[..]])] {
        scene.put_large(path, parts, &metadata_of(b""));
        scene.assert_holds(path, b"");
        let metadata = scene.store.head(&scene.key(path)).unwrap().unwrap().metadata;
        assert_eq!(metadata, metadata_of(b""));
    }
    assert_eq!(scene.leftovers(), [""; 0]);
}

fn a_large_object_beside_a_small_one_of_the_same_key_replaces_it(scene: &Scene) {
    let (small, large) = (content(1, 10), content(2, PART_BYTES + 1));
    scene.put("it", &small);
    let parts: Vec<&[u8]> = large.chunks(PART_BYTES).collect();
    // The digest is known only at the end: it may be missing then, it may not be the old one's.
    scene.put_large("it", &parts, &Metadata::default());
    scene.assert_holds("it", &large);
    let sha256 = scene.store.head(&scene.key("it")).unwrap().unwrap().metadata.sha256;
    assert!(sha256.is_none_or(|sha256| sha256 == Digest::of(&large)));
    scene.put("it", &small);
    scene.assert_holds("it", &small);
}

fn an_object_not_yet_completed_is_not_there(scene: &Scene) {
    let bytes = content(1, PART_BYTES);
    let mut large = scene.store.begin(&scene.key("it"), &metadata_of(&bytes)).unwrap();
    large.append(part(&bytes)).unwrap();
    assert_eq!(scene.store.head(&scene.key("it")).unwrap(), None);
    assert!(scene.store.open(&scene.key("it"), None).unwrap().is_none());
    assert_eq!(scene.objects(), [""; 0]);
    assert_ne!(scene.leftovers(), [""; 0], "the scene shows what was begun");
    large.complete(Digest::of(&bytes)).unwrap();
    scene.assert_holds("it", &bytes);
}

fn a_large_object_that_is_dropped_leaves_nothing_and_the_old_one_stands(scene: &Scene) {
    scene.put("old", b"old");
    let bytes = content(1, PART_BYTES);
    for path in ["old", "new/in/a/new/folder"] {
        let mut large = scene.store.begin(&scene.key(path), &metadata_of(&bytes)).unwrap();
        large.append(part(&bytes)).unwrap();
        large.append(part(b"the last part")).unwrap();
        drop(large);
    }
    assert_eq!(scene.leftovers(), [""; 0]);
    assert_eq!(scene.objects(), ["old"]);
    scene.assert_holds("old", b"old");
}

fn a_large_object_that_never_got_a_part_leaves_nothing_when_dropped(scene: &Scene) {
    drop(scene.store.begin(&scene.key("it"), &Metadata::default()).unwrap());
    assert_eq!(scene.leftovers(), [""; 0]);
    assert_eq!(scene.objects(), [""; 0]);
}

fn what_is_put_later_replaces_the_object_and_its_metadata(scene: &Scene) {
    scene.put("it", b"a longer first version");
    let second =
        Metadata { sha256: Some(Digest::of(b"second")), mtime: Some(Mtime::from_nanos(5)) };
    scene.store.put(&scene.key("it"), b"second", &second).unwrap();
    scene.assert_holds("it", b"second");
    assert_eq!(scene.store.head(&scene.key("it")).unwrap().unwrap().metadata, second);
    assert_eq!(scene.objects(), ["it"]);
}

fn a_reader_of_the_old_object_finishes_it_or_fails(scene: &Scene) {
    let (old, new) = (content(1, PART_BYTES), content(2, PART_BYTES));
    scene.put("it", &old);
    let mut object = scene.store.open(&scene.key("it"), None).unwrap().unwrap();
    let mut bytes = vec![0; 10];
    object.body.read_exact(&mut bytes).unwrap();
    scene.put("it", &new);
    if object.body.read_to_end(&mut bytes).is_ok() {
        assert!(bytes == old, "neither the old object nor an error");
    }
    scene.assert_holds("it", &new);
}

fn a_range_is_exactly_its_bytes_and_the_info_is_of_the_whole(scene: &Scene) {
    let bytes = content(1, 100_000);
    scene.put("it", &bytes);
    for (first, last) in
        [(0, 0), (0, 99_999), (1, 1), (5_000, 69_999), (99_998, 99_999), (99_999, 99_999)]
    {
        let range = ByteRange { first, last };
        let read = scene.read("it", Some(range)).unwrap();
        assert!(read == bytes[first as usize..=last as usize], "{range:?}");
        let object = scene.store.open(&scene.key("it"), Some(range)).unwrap().unwrap();
        assert_eq!((object.info.size, object.length), (100_000, range.len()));
        assert_eq!(object.info.metadata, metadata_of(&bytes));
    }
}

fn a_range_that_the_object_no_longer_has_is_an_error(scene: &Scene) {
    scene.put("it", b"0123456789");
    scene.put("empty", b"");
    for (path, first, last) in
        [("it", 0, 10), ("it", 9, 10), ("it", 10, 10), ("it", 50, 60), ("empty", 0, 0)]
    {
        let range = ByteRange { first, last };
        assert!(scene.store.open(&scene.key(path), Some(range)).is_err(), "{path} {range:?}");
    }
}

fn metadata_comes_back_as_it_was_put(scene: &Scene) {
    for nanos in [0, 1, -1, 1_700_000_000_123_456_789, -1_250_000_000, 4_000_000_000_000_000_000] {
        let metadata =
            Metadata { sha256: Some(Digest::of(b"x")), mtime: Some(Mtime::from_nanos(nanos)) };
        scene.store.put(&scene.key("it"), b"x", &metadata).unwrap();
        let head = scene.store.head(&scene.key("it")).unwrap().unwrap();
        assert_eq!(head.metadata, metadata);
        let object = scene.store.open(&scene.key("it"), None).unwrap().unwrap();
        assert_eq!(object.info, head);
    }
}

fn an_unknown_mtime_is_not_invented(scene: &Scene) {
    scene.put("it", b"before");
    scene.store.put(&scene.key("it"), b"now", &Metadata::default()).unwrap();
    let metadata = scene.store.head(&scene.key("it")).unwrap().unwrap().metadata;
    assert_eq!(metadata.mtime, None);
    assert!(metadata.sha256.is_none_or(|sha256| sha256 == Digest::of(b"now")));
}

fn the_etag_is_quoted_stands_still_and_differs_with_the_content(scene: &Scene) {
    let etag = |bytes: &[u8]| {
        scene.put("it", bytes);
        let first = scene.store.head(&scene.key("it")).unwrap().unwrap().etag;
        let second = scene.store.head(&scene.key("it")).unwrap().unwrap().etag;
        assert_eq!(first, second);
        assert!(first.len() > 2 && first.starts_with('"') && first.ends_with('"'), "{first}");
        first
    };
    // Same size, same modification time.
    assert_ne!(etag(b"one"), etag(b"two"));
}

fn the_time_of_storing_is_about_now(scene: &Scene) {
    scene.put("it", b"x");
    let stored = scene.store.head(&scene.key("it")).unwrap().unwrap().last_modified;
    let written = s3up::clock::utc();
    let apart = written.duration_since(stored).unwrap_or_else(|error| error.duration());
    assert!(apart < Duration::from_secs(60), "{stored:?} is {apart:?} away");
    let whole = stored.duration_since(SystemTime::UNIX_EPOCH).unwrap();
    assert_eq!(whole.subsec_nanos(), 0, "to the second");
}

fn every_allowed_name_is_its_own_object(scene: &Scene) {
    let mut names = vec![
        "plain.txt",
        "with space",
        " leading",
        "trailing ",
        "two  spaces",
        "umlaut-äöüß",
        "e\u{301}",
        "\u{e9}",
        "日本語/ファイル",
        "emoji-🦀",
        "plus+plus",
        "plus plus",
        "percent%",
        "%",
        "%%",
        "%2F",
        "a%2Fb",
        "a/b",
        "a%252Fb",
        "%2f",
        "%20",
        "%2e%2e",
        "%2E",
        "%00",
        "%ff",
        "hash#tag",
        "question?mark",
        "question?versionId=null",
        "and&and",
        "a=b",
        "tilde~",
        "~",
        "(round)",
        "[square]",
        "{curly}",
        "apostrophe's",
        "bang!",
        "star*",
        "dollar$",
        "comma,",
        "semi;colon",
        "colon:",
        "at@host",
        "\"quoted\"",
        "<angle>",
        "&amp;",
        "pipe|",
        "hat^",
        "back`tick",
        "foo..bar",
        "...",
        "..a",
        "a..",
        ".hidden",
        "-",
        "--",
        "dots.",
        "uploads",
        "a/uploads",
        "deep/1/2/3/4/5/6/7/8/9/10",
        "Case",
        "case",
        "x-amz-meta-sha256",
        "nbsp\u{a0}",
        "\u{202e}right-to-left",
        "\u{feff}bom",
        "zero\u{200b}width",
    ];
    names.sort();
    names.dedup();
    for (seed, name) in names.iter().enumerate() {
        scene.put(name, &content(seed as u64, 100));
    }
    assert_eq!(scene.objects(), names);
    for (seed, name) in names.iter().enumerate() {
        scene.assert_holds(name, &content(seed as u64, 100));
        let range = ByteRange { first: 10, last: 19 };
        assert_eq!(scene.read(name, Some(range)).unwrap(), content(seed as u64, 100)[10..20]);
        scene.put_large(name, &[name.as_bytes()], &Metadata::default());
        scene.assert_holds(name, name.as_bytes());
    }
    assert_eq!(scene.objects(), names);
    assert_eq!(scene.leftovers(), [""; 0]);
}

fn the_longest_names_work(scene: &Scene) {
    let segment = "s".repeat(scene.segment_max());
    scene.put(&segment, b"long segment");
    scene.assert_holds(&segment, b"long segment");
    // `s3s-fs` cannot hold a long key in short segments either.
    let room =
        if scene.segment_max() < 255 { 100 } else { 1024 - scene.key("x").as_str().len() + 1 };
    let path = format!("{}{}", "d/".repeat(room / 2 - 1), "e".repeat(room - 2 * (room / 2 - 1)));
    assert_eq!(path.len(), room);
    scene.put(&path, b"long key");
    scene.assert_holds(&path, b"long key");
}

fn the_store_names_itself_and_is_ready(scene: &Scene) {
    let line = scene.store.describe();
    assert!(!line.is_empty() && !line.contains(char::is_control), "{line:?}");
    assert!(!line.contains("secret"), "{line:?}");
    scene.store.ready().unwrap();
    assert_eq!(scene.objects(), [""; 0], "asking leaves nothing");
    assert_eq!(scene.leftovers(), [""; 0]);
}
