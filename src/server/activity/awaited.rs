//! Of which clients a sign of life is news, and that there was one.
//!
//! Between the `activity` thread, which has written the sign down, and the one that tells of clients: that
//! one says whom it waits for and sleeps; nobody else's uploads wake it.

use super::event::{Outcome, Upload};
use super::standing::Standing;
use crate::server::key::ClientName;
use crossbeam_channel::{Receiver, Sender, bounded};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Who is waited for.
#[derive(Debug)]
pub struct Awaited {
    /// By name, as what they were told.
    clients: Mutex<BTreeMap<String, Standing>>,
    news: (Sender<()>, Receiver<()>),
}

impl Default for Awaited {
    fn default() -> Self {
        Self { clients: Mutex::default(), news: bounded(1) }
    }
}

impl Awaited {
    /// Waits for these, and nobody else; `true` if one of them was not waited for before.
    pub fn set(&self, clients: BTreeMap<String, Standing>) -> bool {
        let before = std::mem::replace(&mut *self.clients(), clients.clone());
        clients.iter().any(|(name, told)| before.get(name) != Some(told))
    }

    /// A message when one of them has given a sign that is written down; several may be one.
    pub fn news(&self) -> &Receiver<()> {
        &self.news.1
    }

    /// Uploads were written down, and who was there. That one was there is news only if it never was.
    pub(super) fn written<'n>(
        &self,
        uploads: &[Upload],
        seen: impl IntoIterator<Item = &'n ClientName>,
    ) {
        let clients = self.clients();
        if clients.is_empty() {
            return;
        }
        let mut stored = uploads.iter().filter(|upload| upload.outcome == Outcome::Stored);
        let never = |name: &ClientName| clients.get(name.as_str()) == Some(&Standing::Never);
        if stored.any(|upload| clients.contains_key(upload.client.as_str()))
            || seen.into_iter().any(never)
        {
            self.tell();
        }
    }

    /// A report was written down.
    pub(super) fn reported(&self, client: &str) {
        if self.clients().contains_key(client) {
            self.tell();
        }
    }

    fn tell(&self) {
        // A full channel holds the message already.
        let _ = self.news.0.try_send(());
    }

    fn clients(&self) -> MutexGuard<'_, BTreeMap<String, Standing>> {
        // Only whole lists are put in.
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::ErrorCode;
    use std::time::Duration;

    fn name(name: &str) -> ClientName {
        ClientName::parse(name).unwrap()
    }

    fn upload(client: &str, outcome: Outcome) -> Upload {
        Upload {
            client: name(client),
            peer: [192, 0, 2, 1].into(),
            path: None,
            size: 0,
            sha256: None,
            ended_at: 0,
            took: Duration::ZERO,
            outcome,
        }
    }

    #[test]
    fn only_what_changes_how_one_of_them_stands_is_news() {
        let awaited = Awaited::default();
        let news = || awaited.news().try_recv().is_ok();
        let failed = Outcome::Failed(ErrorCode::FileTooLarge);
        awaited.written(&[upload("late", Outcome::Stored)], [&name("new")]);
        assert!(!news(), "nobody is waited for");
        let clients = [("late", Standing::Late), ("new", Standing::Never)];
        let clients: BTreeMap<_, _> =
            clients.into_iter().map(|(name, told)| (name.to_owned(), told)).collect();
        assert!(awaited.set(clients.clone()) && !awaited.set(clients));
        for (uploads, seen, expected) in [
            (vec![upload("well", Outcome::Stored)], "well", false),
            (vec![upload("late", failed)], "late", false),
            (vec![upload("well", failed), upload("late", Outcome::Stored)], "late", true),
            (vec![], "new", true),
        ] {
            awaited.written(&uploads, [&name(seen)]);
            assert_eq!(news(), expected, "{uploads:?}, {seen}");
        }
        awaited.reported("well");
        assert!(!news());
        awaited.reported("late");
        awaited.reported("new");
        assert!(news() && !news(), "several are one");
        assert!(!awaited.set(BTreeMap::new()), "fewer");
        awaited.reported("late");
        assert!(!news());
    }
}
