//! Says which commit the programs are built from: `0.1.0 (7787906abcde 2026-11-28)`.
//!
//! Run by Cargo before the library is compiled; the library has the text as `S3UP_VERSION`. The commit is
//! what `S3UP_COMMIT` in the environment says (nothing, if it is set and empty), so that a package can be
//! built from a tarball; otherwise git is asked, in the release profile alone: a test would be compiled
//! anew after each commit, and learn nothing by it. It must not say anything of today, nor of this
//! machine: who builds the same commit again gets the same bytes.

use std::env;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the programs are made of. Whatever else differs from the commit makes no other program.
const SOURCES: [&str; 7] =
    ["src", "bin", "packaging/build.rs", "Cargo.toml", "Cargo.lock", ".cargo", ".askama.toml"];
/// Digits of a commit's name.
const ABBREVIATED: usize = 12;
/// Bytes of what `S3UP_COMMIT` may say.
const COMMIT_BYTES_MAX: usize = 64;

fn main() -> Result<(), String> {
    let number = variable("CARGO_PKG_VERSION")?;
    println!("cargo::rerun-if-env-changed=S3UP_COMMIT");
    // Without any such line Cargo would run this again for every file that changes.
    println!("cargo::rerun-if-changed=packaging/build.rs");
    let commit = match env::var("S3UP_COMMIT") {
        Ok(given) => checked(given)?,
        Err(_) if variable("PROFILE")? == "release" => {
            asked(Path::new(&variable("CARGO_MANIFEST_DIR")?))
        }
        Err(_) => String::new(),
    };
    match commit.as_str() {
        "" => println!("cargo::rustc-env=S3UP_VERSION={number}"),
        commit => println!("cargo::rustc-env=S3UP_VERSION={number} ({commit})"),
    }
    Ok(())
}

fn variable(name: &str) -> Result<String, String> {
    env::var(name).map_err(|error| format!("{name}: {error}; Cargo sets it"))
}

/// What the environment says goes into logs and file names.
fn checked(given: String) -> Result<String, String> {
    let plain = |byte: u8| byte.is_ascii_graphic() && !b"()".contains(&byte) || byte == b' ';
    match given.len() <= COMMIT_BYTES_MAX && given.bytes().all(plain) && given.trim() == given {
        true => Ok(given),
        false => Err(format!(
            "S3UP_COMMIT is {given:?}; a commit and its day, such as \"7787906abcde 2026-11-28\", is expected"
        )),
    }
}

/// What git says of the tree that `folder` is the top of; nothing if it is none.
fn asked(folder: &Path) -> String {
    // A tarball may lie inside another project's tree, whose commit says nothing of it.
    let top = git(folder, &["rev-parse", "--show-toplevel"]).map(PathBuf::from);
    let is_top = |top: PathBuf| Some(top.canonicalize().ok()? == folder.canonicalize().ok()?);
    match top.map(is_top) {
        Ok(Some(true)) => {}
        Ok(_) => return String::new(),
        // There is a tree and git does not speak of it, for it belongs to somebody else.
        Err(error) if folder.join(".git").exists() => {
            println!("cargo::warning=--version will not name the commit: {error}");
            return String::new();
        }
        Err(_) => return String::new(),
    }
    watch(folder);
    described(folder).unwrap_or_else(|error| {
        println!("cargo::warning=--version will not name the commit: {error}");
        String::new()
    })
}

/// `7787906abcde-dirty 2026-11-28`: the commit, whether the sources differ from it, its day in UTC.
fn described(folder: &Path) -> io::Result<String> {
    let format = ["show", "--no-patch", "--format=%H %cd", "--date=format-local:%Y-%m-%d", "HEAD"];
    let shown = git(folder, &format)?;
    let (name, day) = shown.split_once(' ').ok_or_else(|| io::Error::other("no commit"))?;
    let name = name.get(..ABBREVIATED).unwrap_or(name);
    let status = ["status", "--porcelain", "--untracked-files=no", "--"];
    let changed = git(folder, &[&status[..], &SOURCES].concat())?;
    let dirty = if changed.is_empty() { "" } else { "-dirty" };
    Ok(format!("{name}{dirty} {day}"))
}

/// Has Cargo run this again when another commit is checked out or made, or a source is changed. What is
/// not there must not be named: Cargo would take it for changed, always.
fn watch(folder: &Path) {
    let names = ["HEAD", "logs/HEAD", "packed-refs"].map(str::to_owned);
    let branch = git(folder, &["symbolic-ref", "--quiet", "HEAD"]).ok();
    // In a worktree `.git` is a file, and these lie in different places.
    let places = names.into_iter().chain(branch).filter_map(|name| {
        let place = git(folder, &["rev-parse", "--git-path", &name]).ok()?;
        Some(folder.join(place))
    });
    for place in places.chain(SOURCES.map(|name| folder.join(name))) {
        if place.exists() {
            println!("cargo::rerun-if-changed={}", place.display());
        }
    }
}

/// What git prints, without the end of its last line.
fn git(folder: &Path, arguments: &[&str]) -> io::Result<String> {
    let mut command = Command::new("git");
    command.current_dir(folder).args(arguments);
    // So that neither a hook's environment nor the time zone of this machine has a say.
    for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
        command.env_remove(name);
    }
    let output = command.env("TZ", "UTC").env("LC_ALL", "C").output()?;
    if !output.status.success() {
        return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
}
