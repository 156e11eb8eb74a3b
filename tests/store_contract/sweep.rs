//! The contract's sentence on the sweep.

use super::metadata_of;
use crate::support::scene::Scene;
use crate::support::{content, part};
use s3up::digest::Digest;
use s3up::limits::PART_BYTES;
use s3up::server::store::Metadata;
use s3up::threads::StopSource;
use std::time::Duration;

/// The age of what was begun just now.
const NOW: Duration = Duration::ZERO;

pub(super) fn what_a_dead_process_has_begun_is_swept_away_and_nothing_else(scene: &Scene) {
    scene.put("old", b"old");
    let bytes = content(1, PART_BYTES);
    // Nobody ever drops these: as if their process had died.
    for path in ["old", "a/b c+d%20é", " & <\u{202f}>", "one of many", "one of many"] {
        let mut large = scene.store.begin(&scene.key(path), &Metadata::default()).unwrap();
        large.append(part(&bytes[..6 * 1024 * 1024])).unwrap();
        std::mem::forget(large);
    }
    // More than a page of them.
    for number in 0..20 {
        let key = scene.key(&format!("{number}"));
        std::mem::forget(scene.store.begin(&key, &Metadata::default()).unwrap());
    }
    // But for parts: one may arrive just now.
    let begun = || {
        let mut names = scene.leftovers();
        names.retain(|name| !name.ends_with(".part") && !name.contains(".part-"));
        names
    };
    let dead = begun();
    let next = scene.another();
    let mut mine = next.begin(&scene.key("mine"), &metadata_of(&bytes)).unwrap();
    mine.append(part(&bytes)).unwrap();
    let all = begun();
    assert!(dead.len() >= 25 && all.len() > dead.len());

    let folders = ["other", "web", "we"].map(|client| scene.client_folder(client));
    let sweep = |folders: &[_], age| next.sweep(folders, age, &StopSource::default().stop());
    if !scene.lists_what_was_begun() {
        let error = sweep(&folders, NOW).unwrap_err().to_string();
        assert!(error.contains("501") && error.contains("hint: "), "{error}");
        assert_eq!(begun(), all);
        return;
    }
    let removed = |folders: &[_], age| {
        let swept = sweep(folders, age).unwrap();
        assert_eq!(swept.failures.len(), 0, "{:?}", swept.failures);
        swept.removed
    };
    let hour = Duration::from_secs(60 * 60);
    assert_eq!(removed(&folders, hour), 0, "they are young");
    if scene.keeps_unfinished_below_its_key() {
        assert_eq!(removed(&[scene.client_folder("we"), scene.client_folder("web-eu")], NOW), 0);
    }
    assert_eq!(begun(), all);
    assert_eq!(removed(&folders, NOW), 25);
    assert_eq!(removed(&folders, NOW), 0);
    assert_eq!(scene.leftovers().len(), 1, "what is under way is not abandoned");
    assert_eq!(scene.objects(), ["old"]);
    scene.assert_holds("old", b"old");
    mine.complete(Digest::of(&bytes)).unwrap();
    scene.assert_holds("mine", &bytes);
    assert_eq!(scene.leftovers(), [""; 0]);
}
