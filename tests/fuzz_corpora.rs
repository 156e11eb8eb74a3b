//! What the fuzz targets of `tests/fuzz` have seen, looked at again: every file of their corpora,
//! and every file that once broke a rule.

use crate::oracle::{JUDGES, judge};
use std::collections::BTreeSet;
use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

const CORPUS_FILES_MAX: usize = 400;
const ALL_BYTES_MAX: u64 = 1024 * 1024;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz").join(name)
}

/// The files in a folder, if it is there.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// Has every file in the folder judged, and names all that break a rule.
fn check(target: &str, folder: &Path) -> usize {
    let files = files(folder);
    let broken: Vec<_> = files
        .iter()
        .filter(|file| {
            let bytes = fs::read(file).unwrap();
            catch_unwind(|| judge(target, &bytes)).is_err()
        })
        .collect();
    assert!(broken.is_empty(), "the reasons stand above; broken by {broken:#?}");
    files.len()
}

#[test]
fn every_corpus_and_every_finding_is_judged_well() {
    for (target, _) in JUDGES {
        let count = check(target, &folder("corpus").join(target));
        assert!((1..=CORPUS_FILES_MAX).contains(&count), "{target} has {count} files");
        check(target, &folder("findings").join(target));
    }
}

#[test]
fn corpora_and_findings_are_small() {
    let folders = JUDGES
        .iter()
        .flat_map(|(target, _)| [folder("corpus").join(target), folder("findings").join(target)]);
    let sizes =
        folders.flat_map(|folder| files(&folder)).map(|file| file.metadata().unwrap().len());
    let all = sizes.sum::<u64>();
    assert!(all < ALL_BYTES_MAX, "{all} bytes");
}

#[test]
fn every_judge_has_a_target_and_no_folder_is_left_over() {
    let judges: BTreeSet<_> = JUDGES.iter().map(|(name, _)| (*name).to_owned()).collect();
    let manifest = fs::read_to_string(folder("Cargo.toml")).unwrap();
    let targets = manifest.split("[[bin]]").skip(1).map(|bin| {
        let (_, name) = bin.split_once("name = \"").expect("a name");
        let (name, _) = name.split_once('"').expect("its end");
        let source = fs::read_to_string(folder("targets").join(format!("{name}.rs"))).unwrap();
        assert!(source.contains(&format!("judge(\"{name}\", ")), "{source}");
        name.to_owned()
    });
    assert_eq!(targets.collect::<BTreeSet<_>>(), judges);
    for parent in ["corpus", "findings"] {
        for entry in files(&folder(parent)) {
            let name = entry.file_name().unwrap().to_str().unwrap();
            assert!(judges.contains(name), "no judge for {}", entry.display());
        }
    }
}
