//! The pair where the kernel has no more to give, or takes it away: events, watches, permissions,
//! the watched folder itself.

use crate::support::bucket::Kind;
use crate::support::daemon::{CLIENT, Daemon};
use crate::support::pair::Pair;
use crate::support::tools;
use crate::support::waiting::{DEADLINE, eventually};
use rustix::process::Signal;
use std::ffi::OsStr;
use std::fs::Permissions;
use std::ops::Range;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::thread;
use std::time::Duration;

/// Files as many hands write them at once, in 20 folders.
fn burst(root: &Path, numbers: Range<usize>) {
    const HANDS: usize = 4;
    thread::scope(|scope| {
        for hand in 0..HANDS {
            let numbers = numbers.clone();
            scope.spawn(move || {
                for number in numbers.filter(|number| number % HANDS == hand) {
                    let folder = root.join(format!("{}", number % 20));
                    std::fs::create_dir_all(&folder).unwrap();
                    std::fs::write(folder.join(format!("{number}")), number.to_string()).unwrap();
                }
            });
        }
    });
}

#[test]
fn a_burst_that_is_too_much_for_the_kernels_queue_costs_no_file() {
    let pair = Pair::started(Kind::Directory);
    let [known, new] = ["known", "new"].map(|name| pair.client.path(name));
    burst(&known, 0..500);
    pair.client.wait_for_watches(22);
    // Each file is two events at least. Stopped, the client takes none of them, as if the kernel's
    // queue were as small as one likes; and nobody else on this machine has to do with such a one.
    pair.client.daemon().signal(Signal::STOP);
    for _ in 0..=allowed("max_queued_events") / 2 / 500 {
        burst(&known, 0..500);
    }
    // No event tells of these any more, and nobody watches the folders.
    burst(&new, 0..200);
    pair.client.daemon().signal(Signal::CONT);
    // While it finds out.
    burst(&known, 500..1000);
    burst(&new, 200..300);
    pair.client.daemon().wait_for("scan (the kernel lost events)");
    pair.assert_all_arrive();
    assert_eq!(pair.client.records().len(), 1000 + 300);

    pair.client.wait_for_watches(43);
    for folder in std::fs::read_dir(&new).unwrap() {
        std::fs::write(folder.unwrap().path().join("late"), "late").unwrap();
    }
    pair.assert_all_arrive();
}

/// What the kernel allows of something about inotify.
fn allowed(what: &str) -> usize {
    let text = std::fs::read_to_string(format!("/proc/sys/fs/inotify/{what}")).unwrap();
    text.trim().parse().unwrap()
}

#[test]
fn more_folders_than_the_kernels_queue_has_room_for_are_watched_anew_once() {
    let room = allowed("max_queued_events");
    if room > 40_000 || allowed("max_user_watches") < 2 * room {
        println!("not tried: it would take {room} folders");
        return;
    }
    let mut pair = Pair::new(Kind::Directory);
    let many = pair.client.path("many");
    for number in 0..room + 100 {
        std::fs::create_dir_all(many.join(number.to_string())).unwrap();
    }
    let [one, other] = ["one", "other"].map(|name| pair.write(name, b"x"));
    pair.client.start();
    pair.assert_all_arrive();
    pair.client.daemon().signal(Signal::STOP);
    for number in 0..=room / 4 {
        // In turns, since what happens twice running is told once.
        std::fs::write(&one, number.to_string()).unwrap();
        std::fs::write(&other, number.to_string()).unwrap();
    }
    pair.write("many/7/unheard", b"x");
    pair.client.daemon().signal(Signal::CONT);
    pair.client.daemon().wait_for("scan (the kernel lost events)");
    pair.write("many/9/late", b"x");
    pair.assert_all_arrive();
    pair.client.wait_for_watches(room + 102);
    // Watches that are taken off one by one are events, too.
    let times = pair.client.daemon().count("the kernel lost events: everything is scanned");
    assert_eq!(times + pair.client.daemon().count("lost events again"), 1);
}

#[test]
fn a_watched_folder_that_is_made_again_is_watched_again() {
    let pair = Pair::started(Kind::Directory);
    let root = pair.client.path("");
    pair.write("deep/er/before", b"1");
    pair.assert_all_arrive();
    for times in 1..3 {
        std::fs::remove_dir_all(&root).unwrap();
        pair.client.daemon().wait_for_times(times, "is gone; it is looked for again");
        pair.write("deep/er/after", format!("{times}").as_bytes());
        pair.client.wait_until_recorded(&pair.client.path("deep/er/after"));
        pair.client.wait_for_watches(3);
        pair.write("deep/er/late", format!("{times}").as_bytes());
        pair.client.wait_until_all_recorded();
        let [after, late] = ["after", "late"].map(|name| format!("uploads/deep/er/{name}"));
        for name in [&after, &late] {
            pair.wait_for_object(name, times.to_string().as_bytes());
        }
    }
    pair.wait_for_object("uploads/deep/er/before", b"1");
}

#[test]
fn a_watched_folder_whose_place_another_takes_is_that_other() {
    let pair = Pair::started(Kind::Directory);
    let root = pair.client.path("");
    pair.write("before", b"x");
    pair.assert_all_arrive();
    let [old, other] = ["old", "other"].map(|name| pair.client.beside(name));
    std::fs::create_dir_all(other.join("deep")).unwrap();
    std::fs::write(other.join("deep/file"), "of the other").unwrap();
    std::fs::rename(&root, &old).unwrap();
    std::fs::rename(&other, &root).unwrap();
    std::fs::write(old.join("late"), "of the old").unwrap();
    pair.assert_arrive(|_| true);
    pair.client.wait_for_watches(2);
    pair.write("deep/late", b"late");
    pair.assert_arrive(|_| true);
    pair.assert_names(&["before", "deep/file", "deep/late"]);
}

#[test]
fn a_watched_link_that_is_switched_to_another_folder_is_watched_there() {
    let mut pair = Pair::new(Kind::Directory);
    let [current, first, second] =
        ["current", "release-1", "release-2"].map(|name| pair.client.beside(name));
    for release in [&first, &second] {
        std::fs::create_dir_all(release.join("deep")).unwrap();
    }
    std::os::unix::fs::symlink(&first, &current).unwrap();
    pair.client.watches[0].folder = current.clone();
    pair.client.interval_minutes = 1;
    pair.client.start();
    pair.write("deep/one", b"1");
    pair.wait_for_object("uploads/deep/one", b"1");

    std::fs::write(second.join("deep/before"), "2").unwrap();
    let next = pair.client.beside("next");
    std::os::unix::fs::symlink(&second, &next).unwrap();
    std::fs::rename(&next, &current).unwrap();
    // The shortest interval there is.
    eventually(Duration::from_secs(120), "the other folder is watched", || {
        pair.client.log().contains("a watched folder is another one").then_some(())
    });
    pair.wait_for_object("uploads/deep/before", b"2");
    pair.write("deep/late", b"3");
    pair.wait_for_object("uploads/deep/late", b"3");
    std::fs::write(first.join("deep/old"), "of the old release").unwrap();
    pair.let_things_settle();
    pair.assert_names(&["deep/before", "deep/late", "deep/one"]);
}

#[test]
fn a_folder_that_becomes_readable_is_backed_up_and_watched() {
    let mut pair = Pair::new(Kind::Directory);
    pair.client.wrapper = tools::without_privileges();
    let shut = |path: &Path| std::fs::set_permissions(path, Permissions::from_mode(0o000)).unwrap();
    let open = |path: &Path| std::fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
    pair.write("at-the-start/deep/file", b"1");
    pair.write("meanwhile/deep/file", b"2");
    let folders = ["at-the-start", "meanwhile", "from-outside"].map(|name| pair.client.path(name));
    shut(&folders[0]);
    pair.client.start();
    let line = pair.client.daemon().wait_for(&format!("not backed up: {:?}", folders[0].join("")));
    assert!(line.contains("hint: let this user read it"), "{line}");
    pair.client.wait_until_recorded(&pair.client.path("meanwhile/deep/file"));

    shut(&folders[1]);
    let outside = pair.client.beside("outside");
    std::fs::create_dir_all(outside.join("deep")).unwrap();
    std::fs::write(outside.join("deep/file"), "3").unwrap();
    shut(&outside);
    std::fs::rename(&outside, &folders[2]).unwrap();
    pair.let_things_settle();
    pair.assert_names(&["meanwhile/deep/file"]);

    for folder in &folders {
        open(folder);
    }
    pair.assert_all_arrive();
    for folder in &folders {
        std::fs::write(folder.join("deep/late"), "late").unwrap();
    }
    pair.assert_all_arrive();
    pair.client.wait_for_watches(7);
}

#[test]
fn a_parked_folder_is_forgotten_when_it_can_be_read_or_is_gone() {
    let mut pair = Pair::new(Kind::Directory);
    pair.client.wrapper = tools::without_privileges();
    pair.write("file", b"x");
    let folders = ["opened", "removed", "shut"].map(|name| pair.client.path(name));
    for folder in &folders {
        std::fs::create_dir(folder).unwrap();
        std::fs::set_permissions(folder, Permissions::from_mode(0o000)).unwrap();
    }
    pair.client.start();
    for folder in &folders {
        let reason = pair.client.wait_until_parked(&folder.join(""));
        assert!(reason.starts_with("not all in it can be looked at"), "{reason}");
    }
    std::fs::remove_dir(&folders[1]).unwrap();
    std::fs::set_permissions(&folders[0], Permissions::from_mode(0o755)).unwrap();
    let (left, file) = ([folders[2].join("")], pair.client.configure());
    eventually(DEADLINE, "only what is shut is parked", || {
        // Again and again, since notes of the second in which a scan begins are left alone by it.
        let scan = [OsStr::new("scan"), OsStr::new("-c"), file.as_os_str()];
        assert!(Daemon::start(CLIENT, &scan, &[]).ended().success());
        pair.client.parked().into_keys().eq(left.iter().cloned()).then_some(())
    });
}

#[test]
fn too_few_watches_are_said_with_how_many_it_takes_and_scans_go_on() {
    let mut pair = Pair::new(Kind::Directory);
    pair.client.wrapper = tools::with_inotify_watches(20);
    for number in 0..60 {
        pair.write(format!("{number}/file"), number.to_string().as_bytes());
    }
    pair.client.start();
    let line = pair.client.daemon().wait_for("no inotify watches are left");
    assert!(line.contains("fs.inotify.max_user_watches"), "{line}");
    assert!(line.contains("61"), "it does not say how many are needed: {line}");
    pair.assert_all_arrive();
}

#[test]
fn too_few_watches_while_it_runs_are_no_end_and_scans_go_on() {
    let mut pair = Pair::new(Kind::Directory);
    pair.client.wrapper = tools::with_inotify_watches(20);
    pair.client.start();
    for number in 0..60 {
        pair.write(format!("{number}/file"), number.to_string().as_bytes());
    }
    let line = pair.client.daemon().wait_for("no inotify watches are left");
    assert!(line.contains("fs.inotify.max_user_watches"), "{line}");
    pair.assert_all_arrive();
}
