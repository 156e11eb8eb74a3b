//! What `check` relies on, for every store there is.

use crate::support::scene::Scene;
use s3up::remote_path::RemotePrefix;
use s3up::server::key::ProbeKey;
use s3up::server::store::Metadata;

pub(super) fn a_probe_is_listed_and_removed_and_leaves_nothing(scene: &Scene) {
    let prefix = RemotePrefix::parse(&format!("{}/odd + name%20 é&", scene.prefix())).unwrap();
    let probe = ProbeKey::new(&prefix, fastrand::u128(..)).unwrap();
    let other = ProbeKey::new(&prefix, fastrand::u128(..)).unwrap();
    assert!(!scene.store.lists(&probe).unwrap());
    scene.store.remove(&probe).unwrap();
    for key in [&probe, &other] {
        scene.store.put(key.as_object(), b"probe", &Metadata::default()).unwrap();
        scene.store.begin_and_abort(key).unwrap();
    }
    assert!(scene.store.lists(&probe).unwrap() && scene.store.lists(&other).unwrap());
    scene.store.remove(&probe).unwrap();
    assert!(!scene.store.lists(&probe).unwrap());
    assert!(scene.store.lists(&other).unwrap(), "another probe is another's");
    assert_eq!(scene.store.head(probe.as_object()).unwrap(), None);
    scene.store.remove(&other).unwrap();
    assert_eq!((scene.objects(), scene.leftovers()), (vec![], vec![]));
    for finding in scene.store.findings(&prefix) {
        assert_eq!(finding.answer.is_ok(), scene.lists_what_was_begun(), "{finding:?}");
    }
}
