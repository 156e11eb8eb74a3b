//! The contract's sentence on uploads of one key: the later one is what stands in the end.

use super::metadata_of;
use crate::support::scene::Scene;
use crate::support::{content, part};
use s3up::digest::Digest;
use s3up::server::store::{LargeObject, StoreErrorKind};
use std::sync::Barrier;
use std::thread;

/// An object of which only its completion is missing.
fn begun<'s>(scene: &'s Scene, bytes: &[u8]) -> Box<dyn LargeObject + 's> {
    let mut large = scene.store.begin(&scene.key("it"), &metadata_of(bytes)).unwrap();
    large.append(part(bytes)).unwrap();
    large
}

#[track_caller]
fn assert_overtaken(large: Box<dyn LargeObject + '_>, bytes: &[u8]) {
    let error = large.complete(Digest::of(bytes)).unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Overtaken, "{error}");
}

pub(super) fn of_two_uploads_of_one_key_the_one_that_began_later_stands(scene: &Scene) {
    let [one, two, three] = [1, 2, 3].map(|seed| content(seed, 1000 + seed as usize));
    // A small one comes between the beginning and the end of a large one.
    let large = begun(scene, &one);
    scene.put("it", &two);
    assert_overtaken(large, &one);
    scene.assert_holds("it", &two);
    // Two large ones, which end in the wrong order, and a third that nobody overtakes.
    let (first, second) = (begun(scene, &one), begun(scene, &two));
    let third = begun(scene, &three);
    second.complete(Digest::of(&two)).unwrap();
    assert_overtaken(first, &one);
    scene.assert_holds("it", &two);
    third.complete(Digest::of(&three)).unwrap();
    scene.assert_holds("it", &three);
    // What came between has failed, or is of another key: then nothing was overtaken.
    let large = begun(scene, &one);
    drop(begun(scene, &two));
    scene.put("its neighbour", &two);
    large.complete(Digest::of(&one)).unwrap();
    scene.assert_holds("it", &one);
    // And nothing is remembered of it.
    scene.put("it", &two);
    scene.assert_holds("it", &two);
    assert_eq!(scene.objects(), ["it", "its neighbour"]);
    assert_eq!(scene.leftovers(), [""; 0]);
}

pub(super) fn concurrent_writers_of_one_key_leave_one_whole_object(scene: &Scene) {
    const WRITERS: u64 = 6;
    let contents: Vec<Vec<u8>> =
        (0..WRITERS).map(|seed| content(seed, 300_000 + seed as usize)).collect();
    for round in 0..4 {
        let path = format!("a/new/folder/{round}/it");
        let start = Barrier::new(contents.len());
        thread::scope(|scope| {
            for (number, bytes) in contents.iter().enumerate() {
                let (start, path) = (&start, &path);
                scope.spawn(move || {
                    start.wait();
                    let metadata = metadata_of(bytes);
                    let ended = if number % 2 == 0 {
                        scene.store.put(&scene.key(path), bytes, &metadata)
                    } else {
                        scene.try_put_large(path, &[bytes], &metadata)
                    };
                    if let Err(error) = ended {
                        // Overtaken by a later one, and said in a way that makes the sender
                        // repeat it.
                        assert_eq!(error.kind, StoreErrorKind::Overtaken, "{error}");
                    }
                });
            }
        });
        let read = scene.read(&path, None).unwrap();
        assert!(contents.contains(&read), "a mixture of {} bytes", read.len());
        let metadata = scene.store.head(&scene.key(&path)).unwrap().unwrap().metadata;
        assert_eq!(metadata, metadata_of(&read));
    }
    assert_eq!(scene.leftovers(), [""; 0]);
}
