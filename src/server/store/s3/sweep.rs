//! Aborts uploads in parts that nobody will finish: a process that died cannot abort its own, and the
//! store keeps (and bills) their parts for ever.
//!
//! Runs on the `sweeper` thread. It owns nothing. It must not touch what is under way in this
//! process, what is younger than it was told, or what lies outside the folders it was given.

use super::request::Requests;
use super::uploads::{self, Begun, Marker, NoPage, Page};
use crate::limits::sweep::PAGES_MAX;
use crate::server::key::ClientFolder;
use crate::server::store::sweep::has_age;
use crate::server::store::turns::Turns;
use crate::server::store::{CannotSweep, StoreError, Swept};
use crate::threads::Stop;
use std::time::Duration;

/// One sweep.
pub(super) struct Sweep<'s> {
    pub(super) requests: &'s Requests,
    pub(super) turns: &'s Turns,
    pub(super) age: Duration,
    pub(super) stop: &'s Stop,
}

/// Whether to go on with the next folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    GoOn,
    End,
}

impl Sweep<'_> {
    /// Sweeps these folders, one after the other. A folder that fails does not keep the others
    /// from their turn, until there are too many.
    pub(super) fn run(&self, folders: &[ClientFolder]) -> Result<Swept, CannotSweep> {
        let mut swept = Swept::default();
        for folder in folders {
            if self.folder(folder, &mut swept)? == Then::End {
                break;
            }
        }
        Ok(swept)
    }

    fn folder(&self, folder: &ClientFolder, swept: &mut Swept) -> Result<Then, CannotSweep> {
        let mut after: Option<Marker> = None;
        for _ in 0..PAGES_MAX {
            if self.stop.is_raised() {
                return Ok(Then::End);
            }
            let page = match uploads::list(self.requests, folder.as_str(), after.as_ref()) {
                Ok(page) => page,
                Err(NoPage::Unknown(cannot)) => return Err(cannot),
                Err(NoPage::Failed(error)) => return Ok(after_failure(swept, error)),
            };
            if let Err(error) = self.page(folder, &page, swept) {
                return Ok(after_failure(swept, error));
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        Ok(Then::GoOn)
    }

    fn page(
        &self,
        folder: &ClientFolder,
        page: &Page,
        swept: &mut Swept,
    ) -> Result<(), StoreError> {
        for upload in &page.uploads {
            if self.stop.is_raised() {
                break;
            }
            if is_abandoned(upload, folder, page.now, self.age, self.turns)
                && uploads::abort(self.requests, &upload.key, &upload.id)?
            {
                swept.removed += 1;
            }
        }
        Ok(())
    }
}

/// Whether this upload is to be aborted, with the store's clock at `now`.
fn is_abandoned(
    upload: &Begun,
    folder: &ClientFolder,
    now: i64,
    age: Duration,
    turns: &Turns,
) -> bool {
    folder.holds(&upload.key)
        && has_age(upload.initiated, now, age)
        // Asked last, just before it is aborted. What is listed was begun, and noted before that;
        // so what is not noted now has ended here, if it was ever this process's.
        && !turns.holds(&upload.key)
}

fn after_failure(swept: &mut Swept, error: StoreError) -> Then {
    if swept.go_on_after(error) { Then::GoOn } else { Then::End }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote_path::RemotePrefix;
    use crate::server::key::ClientName;

    #[test]
    fn only_what_is_ours_and_old_and_of_no_living_upload_is_abandoned() {
        let prefix = RemotePrefix::parse("backups/").unwrap();
        let folder = ClientFolder::new(&prefix, &ClientName::parse("web").unwrap());
        let turns = Turns::new(Duration::ZERO);
        let _turn = turns.begin("backups/web/busy");
        let (now, age) = (1_700_000_000, Duration::from_secs(86_400));
        for (key, old, abandoned) in [
            ("backups/web/a/b", true, true),
            ("backups/web/a/b", false, false),
            ("backups/web/busy", true, false),
            ("backups/web/busy/not", true, true),
            ("backups/web-eu/a", true, false),
            ("backups/other/a", true, false),
            ("backups/web/", true, false),
            ("backups/web//a", true, false),
            ("backups/.s3up-check-0", true, false),
            ("web/a", true, false),
        ] {
            let initiated = if old { now - 86_400 } else { now - 86_399 };
            let upload = Begun { key: key.to_owned(), id: "id".to_owned(), initiated };
            let judged = is_abandoned(&upload, &folder, now, age, &turns);
            assert_eq!(judged, abandoned, "{key} {old}");
        }
    }
}
