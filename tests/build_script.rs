//! The build script: what `--version` says of the commit. It is compiled and run here as Cargo does it, in
//! trees of its own.

use crate::support::tools::{run, tool};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/build.rs");
/// One second before a midnight in UTC, which is the next day already in most of Europe.
const MOMENT: &str = "2026-11-27T23:59:59 +0000";

/// A source tree, and the build script beside it.
struct Tree {
    folder: TempDir,
    script: PathBuf,
}

impl Tree {
    /// A tree as a tarball has it, without git.
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let script = folder.path().join("build-script");
        // Beside the Cargo that runs the tests, or wherever `rustc` is found.
        let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let mut rustc = Command::new(rustc);
        run(rustc.args(["--edition", "2024", SCRIPT, "-o"]).arg(&script));
        let tree = Self { folder, script };
        std::fs::create_dir_all(tree.top().join("src")).unwrap();
        tree.write("src/lib.rs", "//! A library.\n");
        tree.write("README.md", "# A package\n");
        tree
    }

    /// The same tree, committed.
    fn committed() -> Self {
        let tree = Self::new();
        tree.git(&["init", "--quiet"]);
        tree.commit();
        tree
    }

    fn top(&self) -> PathBuf {
        self.folder.path().join("tree")
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.top().join(name), text).unwrap();
    }

    fn git(&self, arguments: &[&str]) {
        let mut git = tool("git", &self.top());
        run(git.args(arguments).env("GIT_COMMITTER_DATE", MOMENT).env("GIT_AUTHOR_DATE", MOMENT));
    }

    fn commit(&self) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", "all of it"]);
    }

    /// The first twelve digits of the commit.
    fn commit_name(&self) -> String {
        let output = tool("git", &self.top()).args(["rev-parse", "HEAD"]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()[..12].to_owned()
    }

    /// Runs the script for the package in `folder`.
    fn built_in(&self, folder: &Path, profile: &str, given: Option<&str>) -> Output {
        let mut command = Command::new(&self.script);
        command.current_dir(folder).env_remove("S3UP_COMMIT").env("TZ", "Europe/Berlin");
        command.env("CARGO_PKG_VERSION", "1.2.3").env("PROFILE", profile);
        command.env("CARGO_MANIFEST_DIR", folder).envs(given.map(|text| ("S3UP_COMMIT", text)));
        command.output().unwrap()
    }

    #[track_caller]
    fn check(&self, profile: &str, given: Option<&str>, version: &str) {
        check(&self.built_in(&self.top(), profile, given), version);
    }
}

/// What the script has told Cargo in lines that begin so.
fn told(output: &Output, what: &str) -> Vec<String> {
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().filter_map(|line| line.strip_prefix(what)).map(str::to_owned).collect()
}

#[track_caller]
fn check(output: &Output, version: &str) {
    assert!(output.status.success(), "{output:?}");
    assert_eq!(told(output, "cargo::rustc-env=S3UP_VERSION="), [version], "{output:?}");
    assert_eq!(told(output, "cargo::warning="), [""; 0], "{output:?}");
}

#[test]
fn a_release_names_the_commit_and_its_day_in_utc() {
    let tree = Tree::committed();
    let name = tree.commit_name();
    tree.check("release", None, &format!("1.2.3 ({name} 2026-11-27)"));
}

#[test]
fn sources_that_differ_from_the_commit_are_called_dirty_and_other_files_are_not() {
    let tree = Tree::committed();
    let name = tree.commit_name();
    tree.write("README.md", "# Another text\n");
    tree.write("src/notes.txt", "not in any commit");
    tree.check("release", None, &format!("1.2.3 ({name} 2026-11-27)"));
    tree.write("src/lib.rs", "//! Another library.\n");
    tree.check("release", None, &format!("1.2.3 ({name}-dirty 2026-11-27)"));
}

#[test]
fn a_build_for_tests_asks_nobody() {
    let tree = Tree::committed();
    let output = tree.built_in(&tree.top(), "debug", None);
    check(&output, "1.2.3");
    assert_eq!(told(&output, "cargo::rerun-if-changed="), ["packaging/build.rs"]);
}

#[test]
fn what_the_environment_says_is_taken_before_git() {
    let tree = Tree::committed();
    for profile in ["debug", "release"] {
        tree.check(profile, Some("1234567 2026-01-02"), "1.2.3 (1234567 2026-01-02)");
        tree.check(profile, Some(""), "1.2.3");
    }
    for odd in ["a\nb", "a)b", " a", &"a".repeat(65), "ä"] {
        let output = tree.built_in(&tree.top(), "release", Some(odd));
        assert!(!output.status.success(), "{odd:?}");
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(words.contains("S3UP_COMMIT is ") && words.contains("is expected"), "{words}");
    }
}

#[test]
fn a_tarball_has_no_commit_even_inside_somebody_elses_tree() {
    let tarball = Tree::new();
    tarball.check("release", None, "1.2.3");

    let other = Tree::committed();
    let inside = other.top().join("src");
    check(&other.built_in(&inside, "release", None), "1.2.3");
}

#[test]
fn it_is_run_again_when_a_commit_is_made_and_watches_nothing_that_is_not_there() {
    let check = |tree: &Tree, folder: &Path| {
        let output = tree.built_in(folder, "release", None);
        let places = told(&output, "cargo::rerun-if-changed=");
        for place in &places {
            assert!(folder.join(place).exists() || place == "packaging/build.rs", "{place}");
        }
        assert!(places.contains(&folder.join("src").display().to_string()), "{places:?}");
        places.into_iter().map(|place| folder.join(place)).collect::<Vec<_>>()
    };
    let tree = Tree::committed();
    let worktree = tree.folder.path().join("worktree");
    tree.git(&["worktree", "add", "--quiet", &worktree.display().to_string(), "-b", "other"]);
    assert!(worktree.join(".git").is_file());
    for folder in [tree.top(), worktree] {
        let places = check(&tree, &folder);
        let contents = || -> Vec<Vec<u8>> {
            places.iter().filter_map(|place| std::fs::read(place).ok()).collect()
        };
        let before = contents();
        let mut git = tool("git", &folder);
        run(git.args(["commit", "--quiet", "--allow-empty", "--message", "another"]));
        assert_ne!(contents(), before, "{places:?}");
    }
    // Branches that were packed are in no file of their own.
    tree.git(&["pack-refs", "--all"]);
    check(&tree, &tree.top());
}

#[test]
fn git_that_cannot_say_it_costs_a_warning_and_the_commit() {
    let tree = Tree::new();
    tree.git(&["init", "--quiet"]);
    let output = tree.built_in(&tree.top(), "release", None);
    assert_eq!(told(&output, "cargo::rustc-env=S3UP_VERSION="), ["1.2.3"]);
    let warnings = told(&output, "cargo::warning=--version will not name the commit: ");
    assert_eq!(warnings.len(), 1, "{output:?}");
}
