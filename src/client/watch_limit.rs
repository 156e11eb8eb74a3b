//! How many inotify watches the watched folders need, and how many the system gives.
//!
//! Asked by the watcher when they run out, and by `s3up check`. It owns nothing.

use crate::client::folders;
use crate::client::scope::Scope;

/// Where Linux keeps the most watches that one user may have (inotify(7)).
const ALLOWED: &str = "/proc/sys/fs/inotify/max_user_watches";

/// How many watches are needed for all of `scope`: one for each folder. It walks them all; a watched
/// folder that cannot be read needs none.
pub fn needed(scope: &Scope) -> u64 {
    let watches = scope.watches().iter();
    let found = watches.filter_map(|watch| folders::count(&watch.local_path, watch.recursive).ok());
    found.map(|found| found.folders).sum()
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
    use std::path::Path;

    fn count(path: &Path, recursive: bool) -> u64 {
        let text = format!(
            "server: {{url: 'http://localhost', api_key: 0123456789abcdef}}\ndatabase: {{path: /d}}\n\
             watches: [{{local_path: {path:?}, recursive: {recursive}}}]\n"
        );
        let config =
            crate::client::config::parse("client.yaml", &text, crate::config::Outside::NOTHING)
                .unwrap();
        needed(&Scope::new(config.watches, &config.database))
    }

    #[test]
    fn every_folder_of_a_recursive_watch_needs_one_and_of_another_only_itself() {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(home.path().join("a/b/c")).unwrap();
        std::fs::write(home.path().join("a/file"), "x").unwrap();
        let link = home.path().join("link");
        std::os::unix::fs::symlink(home.path(), &link).unwrap();
        for root in [home.path(), &link] {
            assert_eq!((count(root, true), count(root, false)), (4, 1));
        }
        assert_eq!(count(&home.path().join("not-there"), true), 0);
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
