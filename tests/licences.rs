//! Whose work is in the programs, and by what licence: what `packaging/third-party` prints.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

const TOP: &str = env!("CARGO_MANIFEST_DIR");

/// What a command prints in `folder`.
#[track_caller]
fn printed(command: &mut Command) -> String {
    let output = command.output().expect("a program of .ci/run's list");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn third_party(folder: &Path, locale: &str) -> String {
    let script = Path::new(TOP).join("packaging/third-party");
    printed(Command::new(script).current_dir(folder).env("LC_ALL", locale))
}

/// Every crate that the programs are made of, as Cargo draws them.
fn crates() -> BTreeSet<String> {
    let arguments = "tree --locked --edges normal --target x86_64-unknown-linux-musl --prefix none";
    let mut cargo = Command::new(env!("CARGO"));
    let tree = printed(cargo.current_dir(TOP).args(arguments.split(' ')));
    let names = tree.lines().filter_map(|line| {
        let mut words = line.split(' ');
        let (name, version) = (words.next()?, words.next()?.strip_prefix('v')?);
        (name != "s3up").then(|| format!("{name} {version}"))
    });
    names.collect()
}

#[test]
fn each_crate_of_the_programs_is_listed_with_a_text_and_no_other() {
    let printed = third_party(Path::new(TOP), "C.UTF-8");
    let (list, texts) = printed.split_once("\n\nThe Rust standard library").expect("two parts");
    let listed = list.lines().filter_map(|line| line.split_once(": "));
    let listed: BTreeSet<String> = listed.map(|(of, _)| of.to_owned()).collect();
    let crates = crates();
    let missing: Vec<_> = crates.difference(&listed).collect();
    assert!(missing.is_empty() && crates.len() > 100, "{missing:?}");
    for tests_alone in ["tokio ", "s3s ", "rcgen ", "roff ", "proptest "] {
        assert!(!listed.iter().any(|of| of.starts_with(tests_alone)), "{tests_alone}");
    }
    let line = "=".repeat(80);
    let heads: Vec<&str> = texts.split(&line).skip(1).step_by(2).collect();
    for of in &listed {
        let has = |head: &&str| head.trim().split(", ").any(|part| part == of);
        assert!(heads.iter().any(has), "{of} has no text");
    }
}

#[test]
fn the_same_lock_file_gives_the_same_bytes_wherever_it_is_printed() {
    let once = third_party(Path::new(TOP), "C.UTF-8");
    assert!(once == third_party(Path::new("/"), "C"));
    for place in [TOP, "/registry/"] {
        assert!(!once.contains(place), "{place}");
    }
}

#[test]
fn both_licences_lie_where_the_manifest_says() {
    let manifest = std::fs::read_to_string(Path::new(TOP).join("Cargo.toml")).unwrap();
    assert!(manifest.contains("\nlicense = \"MIT OR Apache-2.0\"\n"));
    for (file, words) in [
        ("LICENSE-MIT", "Copyright (c) 2026 the s3up authors"),
        ("LICENSE-APACHE", "Version 2.0, January 2004"),
    ] {
        let text = std::fs::read_to_string(Path::new(TOP).join(file)).unwrap();
        assert!(text.contains(words), "{file}");
    }
}
