//! Who may make an upload visible: of each key one at a time, and never an older one after a newer.
//!
//! Pure: numbers in, verdicts out. It knows the uploads under way, waits for nothing and does
//! nothing itself. An entry lives as long as an upload of its key is under way. That is long enough:
//! whoever was begun before what stands is still known here, and whoever is not known begins later.

use crate::threads::{Stop, StopSource};
use std::collections::HashMap;

/// What an upload is told that could be made visible now.
#[derive(Debug)]
pub(super) enum Verdict {
    /// It is its turn. The flag is raised when a newer one waits for it to end.
    Now(Stop),
    /// An older one is at it, and was told to end. Ask again when an upload of this key has ended.
    Wait,
    /// A newer one stands, is at it, or waits: this one must never become visible.
    Overtaken,
}

/// The uploads of all keys.
#[derive(Debug, Default)]
pub(super) struct Order {
    last: u64,
    keys: HashMap<String, Uploads>,
}

/// The uploads of one key. Of two, the one begun later has the higher number; none has 0.
#[derive(Debug, Default)]
struct Uploads {
    under_way: usize,
    /// The newest that was stored of all that were under way since this entry is there.
    stands: u64,
    /// Who is making its upload visible, and how to tell it to end.
    at_it: Option<(u64, StopSource)>,
    /// Who waits for that one to end. At most one: an older one need not wait any more.
    waits: u64,
}

impl Order {
    /// An upload of this key begins; its number.
    pub(super) fn begin(&mut self, key: &str) -> u64 {
        self.last += 1;
        self.keys.entry(key.to_owned()).or_default().under_way += 1;
        self.last
    }

    /// Upload `number` of this key could be made visible. Whoever is told to wait asks again, or
    /// ends.
    pub(super) fn ask(&mut self, key: &str, number: u64) -> Verdict {
        self.keys.get_mut(key).map_or(Verdict::Overtaken, |uploads| uploads.ask(number))
    }

    /// Upload `number` of this key has ended at the store. Whether somebody waits who has to ask
    /// again.
    pub(super) fn end(&mut self, key: &str, number: u64, stored: bool) -> bool {
        let Some(uploads) = self.keys.get_mut(key) else { return false };
        uploads.end(number, stored);
        let somebody_waits = uploads.waits != 0;
        if uploads.under_way == 0 {
            self.keys.remove(key);
        }
        somebody_waits
    }

    /// Whether an upload of this key is under way.
    pub(super) fn holds(&self, key: &str) -> bool {
        self.keys.contains_key(key)
    }
}

impl Uploads {
    fn ask(&mut self, number: u64) -> Verdict {
        let at_it = self.at_it.as_ref().map_or(0, |(at_it, _)| *at_it);
        if self.stands.max(self.waits).max(at_it) > number {
            return Verdict::Overtaken;
        }
        if let Some((_, source)) = &mut self.at_it {
            source.raise();
            self.waits = number;
            return Verdict::Wait;
        }
        // Somebody older may have waited and not have asked again yet: it is overtaken then.
        self.waits = 0;
        let source = StopSource::default();
        let overtaken = source.stop();
        self.at_it = Some((number, source));
        Verdict::Now(overtaken)
    }

    fn end(&mut self, number: u64, stored: bool) {
        self.under_way -= 1;
        if self.waits == number {
            self.waits = 0;
        }
        if self.at_it.as_ref().is_some_and(|(at_it, _)| *at_it == number) {
            self.at_it = None;
            if stored {
                self.stands = number;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Plays a history of uploads of one key and compares what each is told. `b` begins the next
    /// one, `?1` has the first one ask, `+1` and `-1` end it as stored and as failed.
    #[track_caller]
    fn check(history: &str, expected: &str) {
        let mut order = Order::default();
        let mut told = Vec::new();
        let mut flags = HashMap::new();
        for step in history.split(' ') {
            let (what, number) = step.split_at(1);
            let number = number.parse().unwrap_or(0);
            match what {
                "b" => drop(order.begin("k")),
                "?" => told.push(match order.ask("k", number) {
                    Verdict::Now(flag) => {
                        flags.insert(number, flag);
                        format!("{number} now")
                    }
                    Verdict::Wait => format!("{number} waits"),
                    Verdict::Overtaken => format!("{number} overtaken"),
                }),
                _ => {
                    let raised = flags.get(&number).is_some_and(Stop::is_raised);
                    told.extend(raised.then(|| format!("{number} was told")));
                    order.end("k", number, what == "+");
                }
            }
        }
        assert_eq!(told.join(", "), expected, "{history}");
    }

    #[test]
    fn uploads_one_after_the_other_need_not_know_of_each_other() {
        check("b ?1 +1 b ?2 +2 b ?3 -3", "1 now, 2 now, 3 now");
    }

    #[test]
    fn a_newer_one_tells_the_older_one_that_is_at_it_and_waits_for_it() {
        check("b ?1 b ?2 -1 ?2 +2", "1 now, 2 waits, 1 was told, 2 now");
        check("b ?1 b ?2 +1 ?2 +2", "1 now, 2 waits, 1 was told, 2 now");
    }

    #[test]
    fn an_older_one_is_overtaken_by_what_stands_and_by_what_is_at_it() {
        check("b b ?2 +2 ?1", "2 now, 1 overtaken");
        check("b b ?2 ?1 -1 +2", "2 now, 1 overtaken");
        check("b b ?2 +2 b ?3 +3 ?1 -1 b ?4", "2 now, 3 now, 1 overtaken, 4 now");
    }

    #[test]
    fn a_newer_one_that_failed_is_in_nobodys_way() {
        check("b b ?2 -2 ?1 +1", "2 now, 1 now");
        check("b ?1 b ?2 -2 +1", "1 now, 2 waits, 1 was told");
        check("b ?1 b ?2 -2 b ?3 -1 ?3", "1 now, 2 waits, 3 waits, 1 was told, 3 now");
    }

    #[test]
    fn of_all_who_could_wait_only_the_newest_does() {
        check("b ?1 b b ?2 ?3 ?2", "1 now, 2 waits, 3 waits, 2 overtaken");
        check("b ?1 b b ?3 ?2", "1 now, 3 waits, 2 overtaken");
        // The third comes before the second has seen that the first has ended.
        check("b ?1 b ?2 -1 b ?3 ?2", "1 now, 2 waits, 1 was told, 3 now, 2 overtaken");
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Begin(usize),
        Ask(usize),
        End(usize, bool),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let any_one = 0..16_usize;
        let step = prop_oneof![
            2 => (0..2_usize).prop_map(Step::Begin),
            4 => any_one.clone().prop_map(Step::Ask),
            2 => (any_one, any::<bool>()).prop_map(|(which, stored)| Step::End(which, stored)),
        ];
        prop::collection::vec(step, 0..120)
    }

    /// An upload as its worker knows it.
    struct Upload {
        key: &'static str,
        number: u64,
        flag: Option<Stop>,
        waits: bool,
        overtaken: bool,
    }

    proptest! {
        #[test]
        fn whatever_happens_in_whatever_order_the_newest_that_was_stored_stands(steps in steps()) {
            const KEYS: [&str; 2] = ["a", "b"];
            let mut order = Order::default();
            let mut uploads: Vec<Upload> = Vec::new();
            // What stands at the store, and all that was reported as stored.
            let mut stands: HashMap<&str, u64> = HashMap::new();
            let mut reported: HashMap<&str, u64> = HashMap::new();
            // In the end everybody ends.
            let ends = (0..200).map(|_| Step::End(0, true));
            for step in steps.into_iter().chain(ends) {
                match step {
                    Step::Begin(key) => {
                        let (key, flag) = (KEYS[key], None);
                        let number = order.begin(key);
                        let upload = Upload { key, number, flag, waits: false, overtaken: false };
                        uploads.push(upload);
                    }
                    Step::Ask(which) => {
                        let Some(upload) = uploads.get_mut(which) else { continue };
                        if upload.flag.is_some() || upload.overtaken {
                            continue;
                        }
                        let verdict = order.ask(upload.key, upload.number);
                        upload.waits = matches!(verdict, Verdict::Wait);
                        upload.overtaken = matches!(verdict, Verdict::Overtaken);
                        if let Verdict::Now(flag) = verdict {
                            upload.flag = Some(flag);
                        }
                        let (key, number) = (upload.key, upload.number);
                        let others = uploads.iter().filter(|other| other.key == key);
                        let newer = others.clone().filter(|other| other.number > number);
                        // It may be overtaken only by somebody who is or was there.
                        if uploads[which].overtaken {
                            let by = newer.filter(|other| other.flag.is_some() || other.waits);
                            let below = reported.get(key).is_some_and(|stored| *stored > number);
                            prop_assert!(by.count() > 0 || below);
                        }
                        let mut at_it = others.clone().filter(|other| other.flag.is_some());
                        if uploads[which].waits {
                            let flag = at_it.next().and_then(|other| other.flag.as_ref());
                            prop_assert!(flag.is_some_and(Stop::is_raised), "it waits for nobody");
                        }
                        prop_assert!(at_it.count() <= 1, "two at once");
                    }
                    Step::End(which, stored) => {
                        if which >= uploads.len() {
                            continue;
                        }
                        let Upload { key, number, flag, .. } = uploads.remove(which);
                        let stored = stored && flag.is_some();
                        if stored {
                            // The store keeps what comes last, whatever number it has.
                            stands.insert(key, number);
                            let newest = reported.entry(key).or_default();
                            *newest = number.max(*newest);
                        }
                        order.end(key, number, stored);
                    }
                }
                prop_assert_eq!(&stands, &reported);
                for key in KEYS {
                    let under_way = uploads.iter().any(|upload| upload.key == key);
                    prop_assert_eq!(order.holds(key), under_way, "nothing grows");
                }
            }
            prop_assert!(uploads.is_empty());
        }
    }
}
