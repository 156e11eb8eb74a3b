//! What was seen since the last write, summed up: who was there, what was refused, what was dropped.
//!
//! Pure; [`Activity`](super::Activity) keeps one behind a mutex. Its size is that of the list of
//! clients, whatever is asked and however often: a flood of refusals is one number here.

use crate::limits::report::VERSION_BYTES_MAX;
use crate::server::key::ClientName;
use crate::wire::{Day, ErrorCode, Text};
use std::collections::{BTreeMap, HashMap};

/// What was seen.
#[derive(Debug, Default)]
pub(super) struct Pending {
    pub(super) seen: HashMap<ClientName, Sighting>,
    pub(super) refused: HashMap<Refusal, Times>,
    /// Uploads that could not be kept for writing, by the day of their end.
    pub(super) dropped: BTreeMap<Day, u64>,
}

/// A client that was there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sighting {
    pub(super) first_at: i64,
    pub(super) last_at: i64,
    /// What it says it is.
    pub(super) version: Option<Text<VERSION_BYTES_MAX>>,
}

/// What was refused, and to whom.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Refusal {
    pub(super) day: Day,
    /// Nobody: without a good key.
    pub(super) client: Option<ClientName>,
    /// What was asked for, as `route::word` has it.
    pub(super) asked: &'static str,
    pub(super) code: ErrorCode,
}

/// How often, and when last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Times {
    pub(super) count: u64,
    pub(super) last_at: i64,
}

impl Pending {
    pub(super) fn is_empty(&self) -> bool {
        self.seen.is_empty() && self.refused.is_empty() && self.dropped.is_empty()
    }

    /// A client was there.
    pub(super) fn see(&mut self, client: &ClientName, version: Option<&str>, at: i64) {
        match self.seen.get_mut(client) {
            Some(sighting) => {
                sighting.last_at = at;
                if version.is_some() && sighting.version.as_deref() != version {
                    sighting.version = version.map(Text::new);
                }
            }
            None => {
                let version = version.map(Text::new);
                let sighting = Sighting { first_at: at, last_at: at, version };
                self.seen.insert(client.clone(), sighting);
            }
        }
    }

    /// Something was refused, `count` times.
    pub(super) fn refuse(&mut self, refusal: Refusal, times: Times) {
        let all = self.refused.entry(refusal).or_default();
        all.count += times.count;
        all.last_at = times.last_at;
    }

    /// An upload that ended on this day will not be written down.
    pub(super) fn drop_upload(&mut self, day: Day) {
        *self.dropped.entry(day).or_default() += 1;
    }

    /// Puts back what was taken out before and could not be written.
    pub(super) fn put_back(&mut self, older: Self) {
        let newer = std::mem::replace(self, older);
        for (client, sighting) in newer.seen {
            match self.seen.get_mut(&client) {
                Some(older) => {
                    older.last_at = sighting.last_at;
                    older.version = sighting.version.or(older.version.take());
                }
                None => {
                    self.seen.insert(client, sighting);
                }
            }
        }
        for (refusal, times) in newer.refused {
            self.refuse(refusal, times);
        }
        for (day, count) in newer.dropped {
            *self.dropped.entry(day).or_default() += count;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(name: &str) -> ClientName {
        ClientName::parse(name).unwrap()
    }

    fn refusal(name: Option<&str>) -> Refusal {
        let code = ErrorCode::Unauthorized;
        Refusal { day: Day::of(0), client: name.map(client), asked: "upload", code }
    }

    #[test]
    fn what_is_put_back_is_as_if_it_had_never_been_taken() {
        let mut pending = Pending::default();
        let mut whole = Pending::default();
        let early = |pending: &mut Pending| {
            pending.see(&client("a"), Some("1"), 10);
            pending.see(&client("b"), None, 11);
            pending.refuse(refusal(None), Times { count: 2, last_at: 12 });
            pending.drop_upload(Day::of(0));
        };
        let late = |pending: &mut Pending| {
            pending.see(&client("a"), None, 20);
            pending.see(&client("b"), Some("2"), 21);
            pending.see(&client("c"), None, 22);
            pending.see(&client("c"), None, 25);
            pending.refuse(refusal(None), Times { count: 3, last_at: 23 });
            pending.refuse(refusal(Some("a")), Times { count: 1, last_at: 24 });
            pending.drop_upload(Day::of(0));
        };
        early(&mut pending);
        let taken = std::mem::take(&mut pending);
        assert!(pending.is_empty() && !taken.is_empty());
        late(&mut pending);
        pending.put_back(taken);
        early(&mut whole);
        late(&mut whole);
        assert_eq!(format!("{:?}", sorted(pending)), format!("{:?}", sorted(whole)));
    }

    fn sorted(pending: Pending) -> (Vec<String>, Vec<String>, BTreeMap<Day, u64>) {
        let mut seen: Vec<_> = pending.seen.iter().map(|one| format!("{one:?}")).collect();
        let mut refused: Vec<_> = pending.refused.iter().map(|one| format!("{one:?}")).collect();
        seen.sort();
        refused.sort();
        (seen, refused, pending.dropped)
    }

    #[test]
    fn a_version_is_kept_until_another_one_is_told() {
        let mut pending = Pending::default();
        for (version, kept) in
            [(Some("1"), "1"), (None, "1"), (Some("2\n"), "2\\n"), (None, "2\\n")]
        {
            pending.see(&client("a"), version, 1);
            assert_eq!(pending.seen[&client("a")].version.as_deref(), Some(kept));
        }
    }
}
