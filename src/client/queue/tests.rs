//! What the queue promises, in scenes and by chance.

use super::*;
use crate::client::fingerprint::Fingerprint;
use crate::clock;
use proptest::prelude::*;
use std::time::Duration;

/// A queue driven by words; the answer to each stands behind it.
fn check(scenario: &str) {
    let start = clock::monotonic();
    let at = |second: &str| start + Duration::from_secs(second.parse().unwrap());
    // Small letters lie in the first watch, capital ones in the second.
    let task = |path: &str| Task::new(Path::new(path), usize::from(path < "a"), None, start);
    let mut queue = Queue::new(2, 3);
    queue.release();
    let mut shown = String::new();
    for line in scenario.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let command = line.split(" -> ").next().unwrap();
        let words: Vec<&str> = command.split(' ').collect();
        let answer = match words[..] {
            ["push", path, second] => {
                format!("{:?}", queue.push(task(path), at(second)))
            }
            ["pop", second] => match queue.pop(at(second)) {
                Popped::Task(task) => task.path.display().to_string(),
                Popped::NotBefore(due) => format!("not before {}", (due - start).as_secs()),
                other => format!("{other:?}"),
            },
            ["back", path, second] => {
                queue.put_back(task(path), at(second));
                String::new()
            }
            ["done", path, second] => {
                queue.done(&Arc::from(Path::new(path)), at(second));
                String::new()
            }
            ["pause", second] => {
                queue.pause(at(second));
                String::new()
            }
            ["close"] => {
                queue.close();
                String::new()
            }
            _ => panic!("unknown command {command}"),
        };
        let arrow = if answer.is_empty() { "" } else { " -> " };
        shown += &format!("{command}{arrow}{answer}\n");
    }
    let expected: Vec<&str> =
        scenario.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    assert_eq!(shown.trim_end(), expected.join("\n"));
}

#[test]
fn each_path_is_there_once_and_leaves_at_its_time_in_order() {
    check(
        "push a 3 -> Added
         push b 1 -> Added
         push a 0 -> Merged
         pop 0 -> not before 1
         pop 1 -> b
         pop 3 -> a
         done a 3
         done b 3
         pop 9 -> Nothing",
    );
}

#[test]
fn what_is_ready_at_the_same_time_leaves_in_the_order_it_came() {
    check(
        "push a 3 -> Added\npush b 3 -> Added\npush c 2 -> Added\npop 5 -> c\npop 5 -> a\npop 5 -> b",
    );
}

#[test]
fn the_watches_take_turns() {
    check(
        "push a 0 -> Added
         push b 0 -> Added
         push A 1 -> Added
         pop 1 -> a
         pop 1 -> A
         pop 1 -> b",
    );
}

#[test]
fn a_scan_leaves_room_to_events() {
    let now = clock::monotonic();
    let mut queue = Queue::new(1, 8);
    let task = |number: usize| Task::new(Path::new(&number.to_string()), 0, None, now);
    for number in 0..7 {
        assert_eq!(queue.push_scanned(task(number), now), Pushed::Added);
    }
    assert_eq!(queue.push_scanned(task(7), now), Pushed::Full);
    assert_eq!(queue.push(task(7), now), Pushed::Added);
    assert_eq!(queue.push(task(8), now), Pushed::Full);
    assert_eq!(queue.push_scanned(task(0), now), Pushed::Merged);
}

#[test]
fn a_path_heard_of_while_it_is_in_hand_is_looked_at_again() {
    check(
        "push a 0 -> Added
         pop 0 -> a
         push a 0 -> Merged
         pop 0 -> Nothing
         done a 5
         pop 5 -> a
         done a 6
         pop 9 -> Nothing",
    );
}

#[test]
fn a_path_put_back_waits_again_and_only_once() {
    check(
        "push a 0 -> Added
         pop 0 -> a
         push a 0 -> Merged
         back a 4
         pop 3 -> not before 4
         pop 4 -> a
         done a 4
         pop 9 -> Nothing",
    );
}

#[test]
fn a_full_queue_takes_no_new_path_and_hears_of_the_old_ones() {
    check(
        "push a 0 -> Added
         push b 0 -> Added
         push c 0 -> Added
         push d 0 -> Full
         push c 0 -> Merged
         pop 0 -> a
         push d 0 -> Full
         done a 0
         push d 0 -> Added",
    );
}

#[test]
fn a_look_while_it_waits_counts_only_if_it_shows_a_change() {
    let start = clock::monotonic();
    let look = |size, seconds| Sighting {
        fingerprint: Fingerprint { size, mtime_ns: 0, ctime_ns: 0, inode: 1 },
        at: start + Duration::from_secs(seconds),
    };
    // An empty one is a word that something happened.
    for (looks, sighting, changes) in [
        (vec![Some(look(1, 0))], look(1, 0), 0),
        (vec![Some(look(1, 0)), Some(look(1, 1))], look(1, 0), 0),
        (vec![Some(look(0, 0)), Some(look(1, 1))], look(1, 1), 1),
        (vec![Some(look(0, 0)), Some(look(1, 1)), None], look(1, 1), 1),
        (vec![None, Some(look(1, 1)), None], look(1, 1), 0),
        (vec![Some(look(0, 0)), Some(look(1, 1)), Some(look(2, 2))], look(2, 2), 1),
    ] {
        let mut queue = Queue::new(1, 9);
        queue.release();
        for look in looks {
            queue.push(Task::new(Path::new("a"), 0, look, start), start);
        }
        let expected = Task { changes, ..Task::new(Path::new("a"), 0, Some(sighting), start) };
        assert_eq!(queue.pop(start), Popped::Task(expected));
    }
}

#[test]
fn a_pause_holds_everything_until_its_end() {
    check("push a 0 -> Added\npause 5\npause 3\npop 4 -> not before 5\npop 5 -> a");
}

#[test]
fn a_closed_queue_hands_out_nothing() {
    check("push a 0 -> Added\nclose\npop 9 -> Closed");
}

#[test]
fn nothing_leaves_before_the_first_scan_is_through() {
    let now = clock::monotonic();
    let mut queue = Queue::new(1, 9);
    queue.push(Task::new(Path::new("a"), 0, None, now), now);
    assert_eq!(queue.pop(now), Popped::Nothing);
    queue.release();
    assert!(matches!(queue.pop(now), Popped::Task(_)));
}

#[test]
fn a_scan_larger_than_the_queue_begins_to_drain_it() {
    let queue = Arc::new(SharedQueue::new(1, 2));
    let scanner = Arc::clone(&queue);
    let now = clock::monotonic();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for name in ["a", "b", "c", "d"] {
                assert!(scanner.push_waiting(&Task::new(Path::new(name), 0, None, now), now));
            }
        });
        for name in ["a", "b", "c", "d"] {
            let task = queue.pop().unwrap();
            assert_eq!(&*task.path, Path::new(name));
            queue.done(&task.path, now);
        }
    });
    assert!(queue.is_empty());
}

proptest! {
    /// Whatever is done to it: a path that was pushed last and not yet looked at again is still
    /// there, and none is in two hands.
    #[test]
    fn no_path_is_lost_or_doubled(steps in proptest::collection::vec((0..4_u8, 0..4_usize), 0..200)) {
        let names: Vec<Arc<Path>> = ["a", "b", "c", "d"].map(|n| Arc::from(Path::new(n))).into();
        let now = clock::monotonic();
        let mut queue = Queue::new(2, 4);
        queue.release();
        let mut owed = [false; 4];
        let mut in_hand: [Option<Task>; 4] = [const { None }; 4];
        for (kind, index) in steps {
            match kind {
                0 => {
                    prop_assert_ne!(queue.push(Task::new(Arc::clone(&names[index]), index % 2, None, now), now), Pushed::Full);
                    owed[index] = true;
                }
                1 => if let Popped::Task(task) = queue.pop(now) {
                    let index = names.iter().position(|name| *name == task.path).unwrap();
                    prop_assert!(in_hand[index].is_none(), "in two hands");
                    prop_assert!(owed[index], "popped without a reason");
                    owed[index] = false;
                    in_hand[index] = Some(task);
                },
                2 => if let Some(task) = in_hand[index].take() {
                    queue.done(&task.path, now);
                },
                _ => if let Some(task) = in_hand[index].take() {
                    queue.put_back(task, now);
                    owed[index] = true;
                },
            }
        }
        for task in in_hand.into_iter().flatten() {
            queue.done(&task.path, now);
        }
        let mut left = [false; 4];
        while let Popped::Task(task) = queue.pop(now) {
            left[names.iter().position(|name| *name == task.path).unwrap()] = true;
            queue.done(&task.path, now);
        }
        prop_assert_eq!(left, owed);
        prop_assert!(queue.is_empty());
    }
}
