//! Has a file come to rest? Two looks, at least `debounce` apart, must see the same.
//!
//! Pure: time is an argument. Nobody waits here; the queue holds a file until its second look is
//! due, so that ten thousand files settle together.

use crate::client::fingerprint::Fingerprint;
use std::time::{Duration, Instant};

/// What a file looked like, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// What was seen.
    pub fingerprint: Fingerprint,
    /// When it was seen.
    pub at: Instant,
}

/// What the latest look says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// At rest: it may be read.
    Settled,
    /// Seen for the first time, or again too early: look once more, not before this moment.
    Early(Instant),
    /// Changed since the look before: begin anew, not before this moment.
    Changed(Instant),
}

/// Judges the look `now` against the one before it. A caller keeps `before` while the verdict is
/// `Early` and there was one; otherwise `now` takes its place.
pub fn judge(before: Option<&Sighting>, now: &Sighting, debounce: Duration) -> Verdict {
    match before {
        None => Verdict::Early(now.at + debounce),
        Some(before) if before.fingerprint != now.fingerprint => {
            Verdict::Changed(now.at + debounce)
        }
        Some(before) if now.at < before.at + debounce => Verdict::Early(before.at + debounce),
        Some(_) => Verdict::Settled,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    /// Each line: a second, the size seen then, and what is said of it.
    fn check(scenario: &str) {
        let start = clock::monotonic();
        let mut before: Option<Sighting> = None;
        let mut shown = String::new();
        for line in scenario.lines() {
            let mut words = line.split_whitespace();
            let (second, size) = (words.next().unwrap(), words.next().unwrap());
            let fingerprint =
                Fingerprint { size: size.parse().unwrap(), mtime_ns: 0, ctime_ns: 0, inode: 1 };
            let at = start + Duration::from_secs(second.parse().unwrap());
            let now = Sighting { fingerprint, at };
            let until = |moment: Instant| (moment - start).as_secs();
            let said = match judge(before.as_ref(), &now, Duration::from_secs(3)) {
                Verdict::Settled => "settled".to_owned(),
                Verdict::Early(moment) => format!("early, until {}", until(moment)),
                Verdict::Changed(moment) => format!("changed, until {}", until(moment)),
            };
            if !said.starts_with("early") || before.is_none() {
                before = Some(now);
            }
            shown += &format!("{second} {size} {said}\n");
        }
        assert_eq!(shown, scenario);
    }

    #[test]
    fn a_file_at_rest_settles_at_its_second_look() {
        check("0 10 early, until 3\n3 10 settled\n");
    }

    #[test]
    fn a_growing_file_begins_anew_each_time() {
        check("0 10 early, until 3\n3 20 changed, until 6\n6 30 changed, until 9\n9 30 settled\n");
    }

    #[test]
    fn a_look_that_comes_early_does_not_move_the_wait() {
        check("0 10 early, until 3\n1 10 early, until 3\n2 10 early, until 3\n3 10 settled\n");
    }
}
