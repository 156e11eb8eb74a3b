//! The pair and whole trees, made by the programs that users make them with.

use crate::support::bucket::Kind;
use crate::support::content;
use crate::support::pair::Pair;
use crate::support::tools::{run, tool};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, UNIX_EPOCH};

/// The source tree that is copied, packed and cloned: the project's own.
const SOURCES: &str = env!("CARGO_MANIFEST_DIR");

/// A pair whose client leaves nothing out by its name, and waits long enough that no program is kept
/// from its next step for that time, even on a busy machine: what has a name for a moment only is
/// never taken for a file at rest.
fn patient_pair() -> Pair {
    let mut pair = Pair::new(Kind::Directory);
    pair.client.watches[0].more = "exclude_patterns: []".to_owned();
    pair.client.debounce_seconds = 1.0;
    pair
}

#[test]
fn files_written_by_many_hands_while_their_folders_are_made_arrive() {
    let mut chance = fastrand::Rng::with_seed(7);
    let pair = Pair::started(Kind::Directory);
    for round in 0..12 {
        // `mkdir -p`, of any depth, and at once 200 files at every level.
        let depth = chance.usize(1..8);
        let levels: Vec<PathBuf> = (0..depth)
            .scan(pair.client.path(format!("{round}")), |folder, level| {
                folder.push(format!("{level}"));
                Some(folder.clone())
            })
            .collect();
        let place = |number: usize| levels[number % depth].join(format!("{number}"));
        std::fs::create_dir_all(&levels[depth - 1]).unwrap();
        thread::scope(|scope| {
            for hand in 0..4 {
                scope.spawn(move || {
                    for number in (hand..200).step_by(4) {
                        std::fs::write(place(number), number.to_string()).unwrap();
                    }
                });
            }
        });
        // Some rounds meet a client that still has its hands full with those before.
        if chance.bool() {
            pair.assert_all_arrive();
        }
    }
    pair.assert_all_arrive();
    assert_eq!(pair.client.records().len(), 12 * 200);
}

/// Copies the project's sources to `target`, as a user does.
fn copy_sources(options: &str, target: &Path) {
    std::fs::create_dir_all(target).unwrap();
    run(tool("cp", Path::new(SOURCES)).args([options, "src", "tests"]).arg(target));
}

#[test]
fn a_copied_source_tree_arrives() {
    for options in ["-r", "-a", "-rl"] {
        let pair = Pair::started(Kind::Directory);
        let original = pair.client.beside("original");
        copy_sources("-r", &original);
        run(tool("cp", &original).args([options, "."]).arg(pair.client.path("copy")));
        pair.assert_all_arrive();
        assert!(pair.client.records().len() > 100, "{options}: that was no source tree");
    }
}

#[test]
fn an_unpacked_archive_arrives_although_its_files_look_old() {
    let mut pair = patient_pair();
    pair.client.upload_existing = false;
    pair.client.start();
    let packed = pair.client.beside("packed");
    copy_sources("-r", &packed);
    for path in files(&packed) {
        let long_ago = UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        File::options().write(true).open(path).unwrap().set_modified(long_ago).unwrap();
    }
    let archive = pair.client.beside("archive.tar");
    run(tool("tar", &packed).arg("-cf").arg(&archive).arg("."));
    run(tool("tar", &pair.client.path("")).arg("-xf").arg(&archive));
    pair.assert_all_arrive();

    // Over itself: the same bytes in other inodes are not sent once more.
    let sent = pair.server.uploads();
    run(tool("tar", &pair.client.path("")).arg("-xf").arg(&archive));
    pair.assert_all_arrive();
    pair.stop();
    assert_eq!(pair.server.uploads(), sent);
}

fn files(root: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = walkdir::WalkDir::new(root).into_iter().map(Result::unwrap);
    entries.filter(|entry| entry.file_type().is_file()).map(walkdir::DirEntry::into_path)
}

/// Clones a repository into the watched folder, pulls a change into it, and has `check` look each time.
fn clone_and_pull(pair: &Pair, check: impl Fn(&Pair)) {
    let origin = pair.client.beside("origin");
    copy_sources("-r", &origin);
    let git = |folder: &Path, arguments: &[&str]| run(tool("git", folder).args(arguments));
    git(&origin, &["init", "--quiet"]);
    git(&origin, &["add", "."]);
    git(&origin, &["commit", "--quiet", "--message", "all"]);
    // Hard links to the origin's objects would get other times without an event here, when the
    // origin uses these objects again.
    let how = ["clone", "--quiet", "--no-hardlinks", origin.to_str().unwrap(), "clone"];
    git(&pair.client.path(""), &how);
    check(pair);
    let clone = pair.client.path("clone");
    assert!(clone.join("src/lib.rs").exists() && clone.join(".git/HEAD").exists());

    // git removes a file and writes another in its place, and moves folders so, file by file.
    std::fs::write(origin.join("src/lib.rs"), "other bytes").unwrap();
    git(&origin, &["mv", "tests", "moved"]);
    git(&origin, &["commit", "--quiet", "--all", "--message", "changed"]);
    git(&clone, &["pull", "--quiet"]);
    check(pair);
    pair.wait_for_object("uploads/clone/src/lib.rs", b"other bytes");
    assert!(clone.join("moved/main.rs").exists());
}

#[test]
fn a_cloned_repository_and_what_is_pulled_into_it_arrive_without_what_is_gits_own() {
    let pair = Pair::started(Kind::Directory);
    clone_and_pull(&pair, |pair| {
        let of_git = |path: &Path| path.components().any(|part| part.as_os_str() == ".git");
        pair.assert_arrive(|path| !of_git(path));
        let found = pair.server.bucket.files_of("web");
        assert!(!found.keys().any(|path| of_git(Path::new(path))));
    });
}

#[test]
fn a_cloned_repository_arrives_with_all_that_is_gits_own_if_it_is_not_left_out() {
    let mut pair = patient_pair();
    pair.client.start();
    clone_and_pull(&pair, |pair| pair.assert_arrive(|_| true));
}

#[test]
fn what_rsync_brings_arrives_under_its_last_name_only() {
    for options in [&[][..], &["--inplace"], &["--delay-updates"], &["--append"], &["--backup"]] {
        let mut pair = patient_pair();
        pair.client.start();
        let source = pair.client.beside("source");
        copy_sources("-r", &source);
        let large = source.join("large");
        std::fs::write(&large, content(1, 3_000_000)).unwrap();
        let sync = || {
            let from = format!("{}/", source.to_str().unwrap());
            run(tool("rsync", &source).arg("-a").args(options).arg(from).arg(pair.client.path("")));
        };
        sync();
        pair.assert_all_arrive();

        // A second time with changes: temporary names again, renamed over files that are known.
        for (number, path) in files(&source.join("src")).enumerate().filter(|(n, _)| n % 3 == 0) {
            let mut grown = std::fs::read(&path).unwrap();
            grown.extend(content(number as u64, 100));
            std::fs::write(&path, grown).unwrap();
        }
        std::fs::write(&large, content(1, 3_500_000)).unwrap();
        sync();
        pair.assert_all_arrive();
        pair.wait_for_object("uploads/large", &content(1, 3_500_000));
    }
}
