//! What the server remembers of its clients: `database` and `reports`.
//!
//! Pure, as the whole configuration is.

use super::alerts::{self, OnSilent};
use crate::config::Section;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// When a client is late, and for how long what is known of it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reports {
    /// After so long without a report or an upload a client is late.
    pub late_after: Duration,
    /// After so long it is silent.
    pub silent_after: Duration,
    /// For how many days uploads, counts and reports are kept.
    pub retention_days: u32,
}

impl Default for Reports {
    fn default() -> Self {
        Self {
            // A report a day, four hours within which a client has its time of the day (one that was
            // started just after midnight has reported at once), and two for whatever holds it up.
            late_after: 30 * HOUR,
            // The next one is missing, too.
            silent_after: 54 * HOUR,
            retention_days: 90,
        }
    }
}

const HOUR: Duration = Duration::from_secs(60 * 60);

/// Longest time until a client counts as late or silent, in hours: a year.
const HOURS_MAX: u64 = 366 * 24;

/// Least and most days: what the view of thirty days needs, and ten years.
const RETENTION_DAYS: std::ops::RangeInclusive<u64> = 31..=3660;

/// Where the server's database is, if it is to have one.
pub(super) fn database(section: &Section<'_>) -> Option<Option<PathBuf>> {
    section.optional("path", |text| {
        let path = Path::new(text);
        match path.is_absolute() && path.file_name().is_some() && !text.ends_with('/') {
            true => Ok(path.to_owned()),
            false => Err("is not the absolute path of a file"),
        }
    })
}

pub(super) fn reports(section: &Section<'_>) -> Option<(Reports, OnSilent)> {
    let default = Reports::default();
    let hours = |key, default: Duration| {
        let default = default.as_secs() / HOUR.as_secs();
        section.integer(key, Some(default), 1..=HOURS_MAX)
    };
    let late = hours("late_after_hours", default.late_after);
    let silent = hours("silent_after_hours", default.silent_after);
    let days = u64::from(default.retention_days);
    let days = section.integer("retention_days", Some(days), RETENTION_DAYS);
    let on_silent = section.section_or_default("on_silent", alerts::read);
    let (late, silent, days, on_silent) = (late?, silent?, days?, on_silent?);
    if silent <= late {
        let message =
            format!("is {silent}; it must be more than late_after_hours, which is {late}");
        section.problem("silent_after_hours", message);
        return None;
    }
    let after = |hours: u64| Duration::from_secs(hours * HOUR.as_secs());
    let reports = Reports {
        late_after: after(late),
        silent_after: after(silent),
        retention_days: u32::try_from(days).ok()?,
    };
    Some((reports, on_silent))
}
