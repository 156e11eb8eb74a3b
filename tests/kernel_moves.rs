//! The pair and names: folders that are moved in, out and about, files of several names, and files
//! that get theirs last.

use crate::support::bucket::Kind;
use crate::support::pair::Pair;
use crate::support::tools::{run, tool};
use std::path::{Path, PathBuf};

/// `folders` full of files, a few at every level. Returns how many folders that are.
fn fill(root: &Path, folders: usize) -> usize {
    for number in 0..folders {
        let folder = root.join(format!("{}/{number}", number % 3));
        std::fs::create_dir_all(&folder).unwrap();
        for name in ["a", "b"] {
            std::fs::write(folder.join(name), format!("{name} of {number}")).unwrap();
        }
    }
    walkdir::WalkDir::new(root).into_iter().filter(|entry| is_folder(entry.as_ref())).count()
}

fn is_folder(entry: Result<&walkdir::DirEntry, &walkdir::Error>) -> bool {
    entry.is_ok_and(|entry| entry.file_type().is_dir())
}

#[track_caller]
fn mv(from: &Path, to: &Path) {
    run(tool("mv", from.parent().unwrap()).args([from, to]));
}

#[test]
fn a_full_folder_moved_in_arrives_and_moved_out_is_watched_no_more() {
    let pair = Pair::started(Kind::Directory);
    let outside = pair.client.beside("outside");
    let folders = fill(&outside, 30);
    let inside = pair.client.path("inside");
    mv(&outside, &inside);
    pair.assert_all_arrive();
    pair.client.wait_for_watches(1 + folders);
    let stored = pair.server.bucket.files_of("web");

    mv(&inside, &outside);
    for entry in walkdir::WalkDir::new(&outside) {
        let entry = entry.unwrap();
        if entry.file_type().is_file() {
            std::fs::write(entry.path(), "nobody's business").unwrap();
        } else {
            std::fs::write(entry.path().join("new"), "nobody's business").unwrap();
        }
    }
    pair.let_things_settle();
    pair.assert_holds(&stored);
    pair.client.wait_for_watches(1);

    // Back under another name it is new there, with all that happened to it meanwhile.
    mv(&outside, &pair.client.path("back"));
    pair.assert_arrive(|_| true);
    pair.client.wait_for_watches(1 + folders);
    let mut found = pair.server.bucket.files_of("web");
    found.retain(|path, _| path.starts_with("uploads/inside/"));
    assert!(found == stored, "what was backed up of the old name stays as it was");
}

#[test]
fn a_full_folder_moved_in_from_another_file_system_arrives() {
    // There `mv` copies, and gives the copies the old times.
    let elsewhere = tempfile::tempdir_in("/dev/shm").expect("a second file system at /dev/shm");
    let mut pair = Pair::new(Kind::Directory);
    pair.client.upload_existing = false;
    pair.client.start();
    let folder = elsewhere.path().join("folder");
    fill(&folder, 30);
    mv(&folder, &pair.client.path("folder"));
    pair.assert_all_arrive();
    assert_eq!(pair.client.records().len(), 60);
}

#[test]
fn a_folder_renamed_inside_is_backed_up_under_its_new_name_from_then_on() {
    let pair = Pair::started(Kind::Directory);
    let folders = fill(&pair.client.path("0"), 12);
    pair.assert_all_arrive();
    for number in 0..5 {
        let [old, new] = [number, number + 1].map(|number| pair.client.path(format!("{number}")));
        mv(&old, &new);
        // At once, when the client may not have heard of the new name yet.
        std::fs::write(new.join("0/3/a"), format!("changed in {number}")).unwrap();
        std::fs::write(new.join(format!("1/1/late-{number}")), "late").unwrap();
        // The old name again, for another folder.
        fill(&old, 3);
        pair.assert_arrive(|_| true);
        // And when it has.
        std::fs::write(new.join("0/3/b"), format!("changed after {number}")).unwrap();
        std::fs::write(old.join("0/0/a"), "of another folder").unwrap();
        pair.assert_arrive(|_| true);
        std::fs::remove_dir_all(&old).unwrap();
    }
    pair.client.wait_for_watches(1 + folders);
}

#[test]
fn two_folders_that_change_places_change_names() {
    let pair = Pair::started(Kind::Directory);
    let [one, two, aside] = ["one", "two", "aside"].map(|name| pair.client.path(name));
    for (folder, text) in [(&one, "of the first"), (&two, "of the second")] {
        std::fs::create_dir_all(folder.join("deep")).unwrap();
        std::fs::write(folder.join("deep/file"), text).unwrap();
    }
    pair.assert_all_arrive();
    for _ in 0..20 {
        for (from, to) in [(&one, &aside), (&two, &one), (&aside, &two)] {
            std::fs::rename(from, to).unwrap();
        }
    }
    std::fs::rename(&one, &aside).unwrap();
    std::fs::rename(&two, &one).unwrap();
    std::fs::rename(&aside, &two).unwrap();
    pair.assert_arrive(|_| true);
    pair.wait_for_object("uploads/one/deep/file", b"of the second");
    for folder in [&one, &two] {
        std::fs::write(folder.join("deep/late"), "late").unwrap();
    }
    pair.assert_arrive(|_| true);
    pair.client.wait_for_watches(5);
}

/// To run the same once more.
const SEED: &str = "S3UP_TEST_SEED";

#[test]
fn folders_moved_about_by_chance_are_backed_up_where_they_end() {
    let given = std::env::var(SEED).ok().map(|seed| seed.parse().unwrap());
    let seed = given.unwrap_or_else(|| fastrand::u64(..));
    eprintln!("{SEED}={seed}");
    let mut chance = fastrand::Rng::with_seed(seed);
    let pair = Pair::started(Kind::Directory);
    let [root, outside] = [pair.client.path(""), pair.client.beside("outside")];
    std::fs::create_dir(&outside).unwrap();
    for step in 0..300 {
        let mut one_of = |root: &Path| {
            let folders = folders_below(root);
            folders[chance.usize(..folders.len())].clone()
        };
        let [from, to, gone, back] = [&root, &root, &outside, &outside].map(|root| one_of(root));
        // What cannot be done, such as a folder moved into itself, is left out.
        let _ = match chance.u8(0..12) {
            0..3 => std::fs::create_dir_all(from.join(format!("{}/f", step % 5))),
            3..6 if from != root => std::fs::rename(&from, to.join(from.file_name().unwrap())),
            6 if from != root => std::fs::rename(&from, from.with_extension("x")),
            7 if from != root => std::fs::rename(&from, gone.join(format!("gone-{step}"))),
            8 if back != outside => std::fs::rename(&back, to.join(format!("back-{step}"))),
            _ => std::fs::write(from.join(format!("file-{}", step % 7)), step.to_string()),
        };
        if chance.u8(0..40) == 0 {
            pair.assert_arrive(|_| true);
        }
    }
    pair.assert_arrive(|_| true);

    // Whatever was moved where, what stands inside now is watched, and nothing else.
    let inside = folders_below(&root);
    pair.client.wait_for_watches(inside.len());
    for folder in &inside {
        std::fs::write(folder.join("last"), "last").unwrap();
    }
    pair.assert_arrive(|_| true);
}

/// All folders below `root`, and itself.
fn folders_below(root: &Path) -> Vec<PathBuf> {
    let entries = walkdir::WalkDir::new(root).sort_by_file_name().into_iter();
    let folders = entries.filter(|entry| is_folder(entry.as_ref()));
    folders.map(|entry| entry.unwrap().into_path()).collect()
}

#[test]
fn every_hard_link_of_a_file_is_a_file() {
    let mut pair = Pair::started(Kind::Directory);
    let outside = pair.client.beside("outside");
    std::fs::write(&outside, "with names outside and inside").unwrap();
    let first = pair.write("first", b"with two names inside");
    pair.assert_all_arrive();
    // A name alone is made: nothing is written, closed or moved.
    for (from, name) in [(&outside, "from-outside"), (&first, "folder/second"), (&first, "third")] {
        let path = pair.client.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        run(tool("ln", from.parent().unwrap()).args([from, &path]));
        pair.client.wait_until_recorded(&path);
    }
    pair.wait_for_object("uploads/from-outside", b"with names outside and inside");
    for name in ["folder/second", "third"] {
        pair.wait_for_object(&format!("uploads/{name}"), b"with two names inside");
    }

    // What is written by one name is heard of by that name, and found under the others by a scan.
    let third = pair.write("third", b"written by its third name");
    pair.client.wait_until_recorded(&third);
    pair.wait_for_object("uploads/third", b"written by its third name");
    std::fs::write(&outside, "written from outside").unwrap();
    pair.client.stop();
    pair.client.start();
    pair.assert_all_arrive();
    pair.wait_for_object("uploads/first", b"written by its third name");
    pair.wait_for_object("uploads/from-outside", b"written from outside");
}

/// A way of saving a file.
type Save = fn(&Path, &[u8]);

const SAVES: [(&str, Save); 5] = [
    ("over itself", |path, bytes| std::fs::write(path, bytes).unwrap()),
    ("renamed over it", |path, bytes| {
        let new = path.with_file_name(".new-4f2a");
        std::fs::write(&new, bytes).unwrap();
        std::fs::rename(new, path).unwrap();
    }),
    ("as vim does", |path, bytes| {
        // May a file be made here, and be given its owner and mode? Then the old one makes way.
        let probe = path.with_file_name("4913");
        std::fs::write(&probe, "").unwrap();
        std::fs::remove_file(probe).unwrap();
        let backup = path.with_file_name(format!("{}~", path.file_name().unwrap().display()));
        std::fs::rename(path, &backup).unwrap();
        std::fs::write(path, bytes).unwrap();
        std::fs::remove_file(backup).unwrap();
    }),
    ("removed before", |path, bytes| {
        std::fs::remove_file(path).unwrap();
        std::fs::write(path, bytes).unwrap();
    }),
    ("linked to its name", |path, bytes| {
        let new = path.with_file_name(".unnamed-4f2a");
        std::fs::write(&new, bytes).unwrap();
        std::fs::remove_file(path).unwrap();
        std::fs::hard_link(&new, path).unwrap();
        std::fs::remove_file(new).unwrap();
    }),
];

#[test]
fn a_file_is_backed_up_however_an_editor_saves_it_and_nothing_else_is() {
    for (how, save) in SAVES {
        let mut pair = Pair::new(Kind::Directory);
        // Not by its name is anything left out here, but because it stands for less than this, even
        // on a busy machine.
        pair.client.watches[0].more = "exclude_patterns: []".to_owned();
        pair.client.debounce_seconds = 1.0;
        pair.client.start();
        let paths = ["notes.txt", "folder/config"].map(|name| pair.write(name, b"version 0"));
        for version in 1..4 {
            for path in &paths {
                save(path, format!("version {version}").as_bytes());
            }
            if version != 2 {
                pair.assert_all_arrive();
            }
        }
        pair.assert_names(&["folder/config", "notes.txt"]);
        for name in ["folder/config", "notes.txt"] {
            pair.wait_for_object(&format!("uploads/{name}"), b"version 3");
        }
        pair.client.assert_nothing_to_complain();
        assert!(pair.client.parked().is_empty(), "{how}");
    }
}
