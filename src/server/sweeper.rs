//! Has the store remove, at the start and then daily, what was begun there and never finished.
//!
//! One thread, `sweeper`. It waits for the end of the program or for the next sweep. It owns what was
//! said of a store that cannot be swept: once in the life of the process, since nothing changes
//! about it. It sweeps the folders of the clients there are at that moment and nothing else of the
//! bucket, which may hold the files of other programs, too. It never ends the process: a sweep that
//! fails costs money and no file.

use crate::limits::sweep::{AGE, EVERY};
use crate::remote_path::RemotePrefix;
use crate::server::clients::Clients;
use crate::server::key::ClientFolder;
use crate::server::store::{CannotSweep, ObjectStore, Swept};
use crate::threads::Stop;
use log::Level;
use std::sync::Arc;

/// What is swept.
pub struct Sweeper {
    /// What every key begins with.
    pub prefix: RemotePrefix,
    /// Whose folders are swept.
    pub clients: Arc<Clients>,
    /// Where.
    pub store: Arc<dyn ObjectStore>,
}

impl Sweeper {
    /// Sweeps until the program is ending.
    pub fn run(self, stop: Stop) {
        let mut reports = Reports::default();
        loop {
            let clients = self.clients.current();
            let names = clients.clients().map(|client| &client.name);
            let folders: Vec<_> = names.map(|name| ClientFolder::new(&self.prefix, name)).collect();
            for (level, line) in reports.of(self.store.sweep(&folders, AGE, &stop)) {
                log::log!(level, "{line}");
            }
            if stop.wait(EVERY) {
                return;
            }
        }
    }
}

/// What the log says of sweeps.
#[derive(Debug, Default)]
struct Reports {
    said_that_it_cannot: bool,
}

impl Reports {
    fn of(&mut self, sweep: Result<Swept, CannotSweep>) -> Vec<(Level, String)> {
        let swept = match sweep {
            Ok(swept) => swept,
            Err(_) if self.said_that_it_cannot => return vec![],
            Err(error) => {
                self.said_that_it_cannot = true;
                let line = format!("abandoned uploads cannot be removed: {error}");
                return vec![(Level::Warn, line)];
            }
        };
        let failures = swept.failures.iter();
        let mut lines: Vec<_> = failures
            .map(|error| (Level::Warn, format!("{error}; the next sweep tries again")))
            .collect();
        lines.extend(match swept.removed {
            0 => None,
            1 => Some((Level::Info, "one abandoned upload was removed".to_owned())),
            removed => Some((Level::Info, format!("{removed} abandoned uploads were removed"))),
        });
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::store::{StoreError, StoreErrorKind};

    fn error(cause: &str) -> StoreError {
        StoreError {
            kind: StoreErrorKind::Unavailable,
            operation: "list",
            subject: "backups/web/".to_owned(),
            cause: cause.to_owned(),
            hint: None,
        }
    }

    fn check(reports: &mut Reports, sweep: Result<Swept, CannotSweep>, expected: &[(Level, &str)]) {
        let lines = reports.of(sweep);
        let lines: Vec<_> = lines.iter().map(|(level, line)| (*level, line.as_str())).collect();
        assert_eq!(lines, expected);
    }

    #[test]
    fn a_sweep_that_found_nothing_says_nothing_and_one_that_did_one_line() {
        let mut reports = Reports::default();
        check(&mut reports, Ok(Swept::default()), &[]);
        for (removed, line) in
            [(1, "one abandoned upload was removed"), (7, "7 abandoned uploads were removed")]
        {
            let swept = Swept { removed, failures: vec![] };
            check(&mut reports, Ok(swept), &[(Level::Info, line)]);
        }
    }

    #[test]
    fn a_failure_is_said_at_every_sweep_beside_what_was_removed() {
        let mut reports = Reports::default();
        for _ in 0..2 {
            let failed = || Swept { removed: 2, failures: vec![error("status 500")] };
            let expected = [
                (
                    Level::Warn,
                    "cannot list \"backups/web/\": status 500; the next sweep tries again",
                ),
                (Level::Info, "2 abandoned uploads were removed"),
            ];
            check(&mut reports, Ok(failed()), &expected);
        }
    }

    #[test]
    fn a_store_that_cannot_be_swept_is_said_once_whatever_comes_between() {
        let mut reports = Reports::default();
        let cannot = || Err(CannotSweep(error("status 501")));
        let line = "abandoned uploads cannot be removed: cannot list \"backups/web/\": status 501";
        check(&mut reports, cannot(), &[(Level::Warn, line)]);
        check(&mut reports, cannot(), &[]);
        check(&mut reports, Ok(Swept::default()), &[]);
        check(&mut reports, cannot(), &[]);
    }
}
