//! Figures for Prometheus, in a file that its `node_exporter` reads.
//!
//! Runs on the `metrics` thread, which sleeps until something changes. It owns that file and nothing
//! else. At rest nothing wakes it but the end of each scan, which is the sign of life that an alarm can
//! wait for in vain; so ages are told as moments, which need not be written again.

pub mod figures;

use crate::client::database::Database;
use crate::client::status::live::Inside;
use crate::clock;
use crate::limits::daily::FIGURES_EVERY;
use crate::threads::Stop;
use crossbeam_channel::select;
use figures::Figures;
use std::fs::Permissions;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// For everybody to read: the collector is another user.
const MODE: u32 = 0o644;

/// Writes the figures; see the module's head.
pub struct Textfile {
    /// The file.
    pub path: PathBuf,
    /// What the client does.
    pub inside: Inside,
    /// What it did.
    pub database: Arc<Database>,
    /// How many folders the configuration watches.
    pub watches: u64,
}

impl Textfile {
    /// Writes until `stop` is raised: at once, when something has changed, and at the end, but for the
    /// end at most once in `limits::daily::FIGURES_EVERY`. While files wait it is written that often.
    pub fn run(&self, stop: &Stop) {
        let news = self.inside.progress.news();
        let mut works = true;
        loop {
            // What changes from here on is not in these figures.
            let _ = news.try_recv();
            let figures = self.figures();
            let result = write(&self.path, &figures::text(&figures));
            self.tell(&result, &mut works);
            let due = clock::monotonic() + FIGURES_EVERY;
            if stop.is_raised() {
                return;
            }
            if figures.queued == 0 && !self.inside.progress.is_scanning() {
                select! {
                    recv(stop.receiver()) -> _ => continue,
                    recv(news) -> _ => {}
                }
            }
            stop.wait(due.saturating_duration_since(clock::monotonic()));
        }
    }

    fn figures(&self) -> Figures {
        let Inside { progress, queue, started } = &self.inside;
        let waits = queue.oldest().map(|since| clock::monotonic().saturating_duration_since(since));
        let now = clock::unix_seconds();
        Figures {
            started: *started,
            failures: progress.failures(),
            // What cannot be read now is said by whoever needs it.
            parked: self.database.parked_count().ok(),
            last_upload: self.database.last_upload_at().ok().flatten(),
            queued: queue.len() as u64,
            oldest: waits.map(|waits| now.saturating_sub_unsigned(waits.as_secs())),
            watches: self.watches,
            last_scan: progress.last_complete_scan(),
            snapshot: progress.snapshot(),
        }
    }

    fn tell(&self, result: &io::Result<()>, works: &mut bool) {
        match result {
            Err(error) if *works => log::warn!(
                "cannot write figures to {:?}: {error}; hint: its folder must exist and this user \
                 must be able to write to it (key metrics.textfile)",
                self.path
            ),
            Ok(()) if !*works => log::info!("figures are written to {:?} again", self.path),
            Ok(()) | Err(_) => {}
        }
        *works = result.is_ok();
    }
}

/// Puts `text` in the place of the file at `path`. Whoever reads it sees the one or the other, whole.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    // Not with the ending that makes the collector read it.
    let mut builder = tempfile::Builder::new();
    builder.prefix(".s3up-").suffix(".tmp").permissions(Permissions::from_mode(MODE));
    let mut file = builder.tempfile_in(folder)?;
    file.write_all(text.as_bytes())?;
    // The mask of this process is for its own secrets.
    file.as_file().set_permissions(Permissions::from_mode(MODE))?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests;
