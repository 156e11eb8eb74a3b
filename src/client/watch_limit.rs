//! How many inotify watches the watched folders need, and how many the system gives.
//!
//! Asked by the watcher when they run out, and by `s3up check`. It owns nothing.

use crate::client::scope::Scope;
use std::path::Path;
use walkdir::WalkDir;

/// Where Linux keeps the most watches that one user may have (inotify(7)).
const ALLOWED: &str = "/proc/sys/fs/inotify/max_user_watches";

/// How many watches are needed for all of `scope`: one for each folder. It walks them all; what cannot
/// be read counts as none.
pub fn needed(scope: &Scope) -> u64 {
    let folders = |path: &Path, recursive| {
        let depth = if recursive { usize::MAX } else { 0 };
        let walk = WalkDir::new(path).follow_root_links(true).max_depth(depth);
        walk.into_iter().flatten().filter(|entry| entry.file_type().is_dir()).count() as u64
    };
    scope.watches().iter().map(|watch| folders(&watch.local_path, watch.recursive)).sum()
}

/// How many watches one user may have; `None` if the system does not say.
pub fn allowed() -> Option<u64> {
    std::fs::read_to_string(ALLOWED).ok()?.trim().parse().ok()
}

/// What is missing and how to get it, for the log and the terminal.
pub fn advice(needed: u64, allowed: Option<u64>) -> String {
    let allowed = allowed.map_or_else(String::new, |allowed| {
        format!(" and fs.inotify.max_user_watches is {allowed}, for all programs of a user")
    });
    // Twice as many, so that folders may be added, and in powers of two, so that it looks chosen.
    let wanted = (2 * needed.max(1)).next_power_of_two().max(1 << 16);
    format!(
        "{needed} folders need one inotify watch each{allowed}; hint: sysctl \
         fs.inotify.max_user_watches={wanted}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(path: &Path, recursive: bool) -> u64 {
        let text = format!(
            "server: {{url: 'http://localhost', api_key: 0123456789abcdef}}\ndatabase: {{path: /d}}\n\
             watches: [{{local_path: {path:?}, recursive: {recursive}}}]\n"
        );
        let config = crate::client::config::parse("client.yaml", &text, &|_| None).unwrap();
        needed(&Scope::new(config.watches, &config.database))
    }

    #[test]
    fn every_folder_of_a_recursive_watch_needs_one_and_of_another_only_itself() {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(home.path().join("a/b/c")).unwrap();
        std::fs::write(home.path().join("a/file"), "x").unwrap();
        assert_eq!((count(home.path(), true), count(home.path(), false)), (4, 1));
    }

    #[test]
    fn the_advice_names_both_numbers_and_a_setting_with_room() {
        assert_eq!(
            advice(70_000, Some(8192)),
            "70000 folders need one inotify watch each and fs.inotify.max_user_watches is 8192, for \
             all programs of a user; hint: sysctl fs.inotify.max_user_watches=262144"
        );
        assert_eq!(
            advice(3, None),
            "3 folders need one inotify watch each; hint: sysctl fs.inotify.max_user_watches=65536"
        );
    }
}
