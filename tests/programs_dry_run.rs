//! `s3up scan --dry-run`: what it says a scan would do is what the next scan does.

use crate::programs::Outcome;
use crate::programs_client::{run, unreachable_client};
use crate::support::bucket::Kind;
use crate::support::pair::Pair;
use crate::support::tools;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::{File, Permissions};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

/// What a dry run lists: for each path its action and cause, as `upload new`.
type List = BTreeMap<PathBuf, String>;

/// The list of a dry run, and how many files it calls backed up.
#[track_caller]
fn list(pair: &Pair) -> (List, u64) {
    let Outcome { code, stdout, stderr } = run(&pair.client, &["scan", "--dry-run", "--json"]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""), "{stdout}");
    let mut list = List::new();
    let mut sums = Value::Null;
    for line in stdout.lines() {
        let document: Value = serde_json::from_str(line).unwrap();
        let Some(path) = document["path"].as_str() else {
            sums = document["sums"].clone();
            continue;
        };
        let bytes = match document["path_hex"].as_str() {
            Some(hex) => hex::decode(hex).unwrap(),
            None => path.as_bytes().to_vec(),
        };
        let text = |name: &str| document[name].as_str().unwrap().to_owned();
        let path = PathBuf::from(OsStr::from_bytes(&bytes));
        let told = format!("{} {}", text("action"), text("cause"));
        assert_eq!(list.insert(path, told), None, "each once");
    }
    let sums = sums.as_array().unwrap().clone();
    let current = sums.iter().find(|sum| sum["action"] == "none");
    (list, current.map_or(0, |sum| sum["files"].as_u64().unwrap()))
}

/// The names of a list in the first watched folder.
fn names(pair: &Pair, list: &List) -> BTreeMap<String, String> {
    let name = |path: &Path| {
        let name = path.strip_prefix(pair.client.path("")).unwrap().to_string_lossy().into_owned();
        let slash = if path.as_os_str().as_bytes().ends_with(b"/") { "/" } else { "" };
        format!("{name}{slash}")
    };
    list.iter().map(|(path, told)| (name(path), told.clone())).collect()
}

/// Starts the client, lets it come to rest, and ends it. What it sent must be what the dry run before
/// lists, but for files that were only touched; what it left out is still left out.
#[track_caller]
fn check(pair: &mut Pair, only_touched: &[&str]) -> List {
    let (before, current) = list(pair);
    let logged = pair.client.log().len();
    pair.client.start();
    let wanted: BTreeSet<&Path> = before
        .iter()
        .filter(|(_, told)| told.starts_with("upload "))
        .map(|(path, _)| path.as_path())
        .collect();
    wanted.iter().for_each(|path| pair.client.wait_until_recorded(path));
    pair.let_things_settle();
    pair.client.stop();
    let log = pair.client.log()[logged..].to_owned();
    let sent = log.lines().filter_map(|line| line.split_once(" uploaded \"")?.1.split_once('"'));
    let sent = sent.map(|(path, _)| Path::new(path));
    let sent: BTreeSet<&Path> =
        sent.filter(|path| !path.to_str().unwrap().contains("/settled-")).collect();
    let touched: Vec<PathBuf> = only_touched.iter().map(|name| pair.client.path(name)).collect();
    let expected: BTreeSet<&Path> =
        wanted.iter().copied().filter(|path| !touched.iter().any(|it| it == path)).collect();
    assert_eq!(sent, expected, "{before:#?}");
    assert!(touched.iter().all(|path| before[path] == "upload touched"), "{before:#?}");

    let (after, current_after) = list(pair);
    let left: List =
        before.iter().filter(|(_, told)| told.starts_with("leave ")).map(own).collect();
    assert_eq!(after, left, "nothing is left to do, and the same is left out");
    assert!(current_after >= current, "{current_after} after {current}");
    before
}

fn own((path, told): (&PathBuf, &String)) -> (PathBuf, String) {
    (path.clone(), told.clone())
}

fn chmod(path: &Path, mode: u32) {
    std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// Gives a file other bytes of the same length, and its mtime back.
fn swap(path: &Path) {
    let before = std::fs::metadata(path).unwrap().modified().unwrap();
    let other: Vec<u8> = std::fs::read(path).unwrap().iter().map(|byte| byte ^ 1).collect();
    std::fs::write(path, other).unwrap();
    File::options().write(true).open(path).unwrap().set_modified(before).unwrap();
}

/// Everything that is never sent.
fn make_oddities(pair: &Pair) {
    pair.write("a.tmp", b"x");
    pair.write("site/.git/objects/1", b"x");
    pair.write("large", &vec![7; (1 << 20) + 1]);
    pair.write(OsStr::from_bytes(b"odd\xff"), b"x");
    pair.write("shut/inside", b"x");
    let secret = pair.write("secret", b"x");
    symlink("same", pair.client.path("link")).unwrap();
    let fifo = pair.client.path("fifo");
    mknodat(CWD, fifo, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    chmod(&secret, 0o000);
    chmod(&pair.client.path("shut"), 0o000);
}

fn oddities() -> Vec<(&'static str, &'static str)> {
    vec![
        ("a.tmp", "leave excluded"),
        ("fifo", "leave not_regular"),
        ("large", "leave too_large"),
        ("link", "leave not_regular"),
        ("odd\u{fffd}", "leave unnameable"),
        ("secret", "leave unreadable"),
        ("shut/", "leave unreadable"),
        ("site/.git/", "leave excluded"),
    ]
}

#[track_caller]
fn assert_list(pair: &Pair, list: &List, more: &[(&str, &str)]) {
    let mut expected: BTreeMap<String, String> = BTreeMap::new();
    for (name, told) in oddities().iter().chain(more) {
        expected.insert((*name).to_owned(), (*told).to_owned());
    }
    assert_eq!(names(pair, list), expected);
}

fn pair() -> Pair {
    let mut pair = Pair::new(Kind::Directory);
    pair.client.wrapper = tools::without_privileges();
    pair.client.watches[0].more = "max_file_size_mb: 1".to_owned();
    pair
}

#[test]
fn on_a_first_run_all_is_sent_that_the_dry_run_lists_and_nothing_else() {
    let mut pair = pair();
    make_oddities(&pair);
    for name in ["same", "deep/er/new", "deep-er", "ä b"] {
        pair.write(name, b"new");
    }
    let list = check(&mut pair, &[]);
    let new = ["same", "deep/er/new", "deep-er", "ä b"].map(|name| (name, "upload new"));
    assert_list(&pair, &list, &new);
}

#[test]
fn what_the_dry_run_lists_after_changes_is_what_the_next_start_sends() {
    let mut pair = pair();
    pair.client.upload_existing = false;
    for name in ["old", "old-and-changed", "old-and-touched"] {
        pair.write(name, b"old");
    }
    let flat = pair.client.watch("flat", "flat/");
    pair.client.watches[1].recursive = false;
    std::fs::create_dir(flat.join("deep")).unwrap();
    std::fs::write(flat.join("deep/x"), "of no watch").unwrap();
    let brought = pair.client.beside("brought");
    std::fs::create_dir(&brought).unwrap();
    std::fs::write(brought.join(OsStr::from_bytes(b"old\xff")), "x").unwrap();
    let first = check(&mut pair, &[]);
    assert!(first.values().all(|told| told == "leave old") && first.len() == 3, "{first:?}");

    pair.client.start();
    for name in ["same", "grown", "rewritten", "touched", "swapped", "moved-away"] {
        pair.write(name, b"first");
        pair.client.wait_until_recorded(&pair.client.path(name));
    }
    let again = pair.write("again", b"first");
    chmod(&again, 0o000);
    pair.client.wait_until_parked(&again);
    // Wanted since then, though nothing touched the file in it.
    std::fs::rename(brought, pair.client.path("brought")).unwrap();
    pair.client.wait_until_parked(&pair.client.path(OsStr::from_bytes(b"brought/old\xff")));
    pair.client.stop();

    make_oddities(&pair);
    pair.write("new", b"new");
    pair.write("grown", b"first and more");
    pair.write("rewritten", b"other");
    pair.write("old-and-changed", b"changed");
    let path = |name| pair.client.path(name);
    for name in ["again", "old-and-touched"] {
        chmod(&path(name), 0o644);
    }
    chmod(&path("touched"), 0o640);
    swap(&path("swapped"));
    std::fs::rename(path("moved-away"), path("moved-here")).unwrap();
    let list = check(&mut pair, &["touched"]);
    assert_list(
        &pair,
        &list,
        &[
            ("again", "upload again"),
            ("brought/old\u{fffd}", "leave unnameable"),
            ("grown", "upload size"),
            ("moved-here", "upload new"),
            ("new", "upload new"),
            ("old", "leave old"),
            ("old-and-changed", "upload new"),
            ("old-and-touched", "upload new"),
            ("rewritten", "upload mtime"),
            ("swapped", "upload touched"),
            ("touched", "upload touched"),
        ],
    );
}

#[test]
fn a_prefix_that_was_changed_has_everything_sent_to_its_new_place() {
    let mut pair = pair();
    pair.write("a", b"a");
    check(&mut pair, &[]);
    pair.client.watches[0].prefix = "elsewhere/";
    let list = check(&mut pair, &[]);
    assert_eq!(list.values().collect::<Vec<_>>(), ["upload moved"]);
}

#[test]
fn a_watched_folder_that_is_gone_is_told_and_the_others_are_listed() {
    let mut pair = pair();
    let gone = pair.client.watch("gone", "gone/");
    std::fs::remove_dir(&gone).unwrap();
    let a = pair.write("a", b"a");
    let expected = [(a, "upload new"), (gone.join(""), "leave unreadable")];
    let expected = expected.map(|(path, told)| (path, told.to_owned()));
    assert_eq!(list(&pair).0.into_iter().collect::<Vec<_>>(), expected);
}

#[test]
fn a_dry_run_before_the_first_run_makes_nothing_and_asks_nobody() {
    let mut client = unreachable_client();
    std::fs::write(client.path("a"), "12345").unwrap();
    std::fs::create_dir(client.path("sub")).unwrap();
    std::fs::write(client.path("sub/b"), "1").unwrap();
    let Outcome { code, stdout, stderr } = run(&client, &["scan", "--dry-run"]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""), "{stdout}");
    let (a, b) = (client.path("a"), client.path("sub/b"));
    assert_eq!(
        stdout,
        format!(
            "upload  {a:?} to \"uploads/a\", 5 B: new\nupload  {b:?} to \"uploads/sub/b\", 1 B: \
             new\nbacked up  0 files, 0 B\nto upload  2 files, 6 B: 2 new\nleft out   0 files, 0 B\n"
        )
    );
    client.upload_existing = false;
    let Outcome { stdout, .. } = run(&client, &["scan", "--dry-run"]);
    assert!(stdout.ends_with("left out   2 files, 6 B: 2 old\n"), "{stdout}");
    assert_eq!(files_beside(&client.database), [""; 0]);
}

/// What lies beside a database and begins with its name.
fn files_beside(database: &Path) -> Vec<String> {
    let name = database.file_name().unwrap().to_str().unwrap();
    let names = std::fs::read_dir(database.parent().unwrap()).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|found| found.starts_with(name)).collect()
}
