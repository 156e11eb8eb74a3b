//! How a client stands: has it been heard of lately?
//!
//! Pure: the moment is an argument.

use crate::server::config::Reports;
use serde::Serialize;
use std::time::Duration;

/// How a client stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Nothing was ever heard of it.
    Never,
    /// A report or an upload came lately.
    Healthy,
    /// None has come for longer than `reports.late_after_hours`.
    Late,
    /// None has come for longer than `reports.silent_after_hours`.
    Silent,
}

/// When something was heard of a client, in seconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Signs {
    /// The first request with its key.
    pub first_seen: Option<i64>,
    /// The last upload that was stored.
    pub last_upload_at: Option<i64>,
    /// The last report.
    pub last_report_at: Option<i64>,
}

impl Standing {
    /// How a client stands at the moment `now`.
    ///
    /// What counts is that its backup works: a report, or a stored upload. A client that only asks,
    /// or whose uploads all fail, is no healthier than one that is gone; from its first request on it
    /// has as much time as any other. A moment that lies ahead, by a clock that was set back, is now.
    pub fn of(signs: &Signs, reports: &Reports, now: i64) -> Self {
        let worked = signs.last_upload_at.max(signs.last_report_at);
        let Some(sign) = worked.or(signs.first_seen) else { return Self::Never };
        let silence = Duration::from_secs(u64::try_from(now.saturating_sub(sign)).unwrap_or(0));
        match silence {
            silence if silence >= reports.silent_after => Self::Silent,
            silence if silence >= reports.late_after => Self::Late,
            _ => Self::Healthy,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3600;
    const NOW: i64 = 1_795_900_000;

    fn check(seen: Option<i64>, uploaded: Option<i64>, reported: Option<i64>, expected: Standing) {
        let signs = Signs {
            first_seen: seen.map(|ago| NOW - ago),
            last_upload_at: uploaded.map(|ago| NOW - ago),
            last_report_at: reported.map(|ago| NOW - ago),
        };
        assert_eq!(Standing::of(&signs, &Reports::default(), NOW), expected, "{signs:?}");
    }

    #[test]
    fn a_client_is_as_healthy_as_its_last_report_or_upload_is_young() {
        let long = Some(1000 * HOUR);
        for (ago, expected) in [
            (0, Standing::Healthy),
            (30 * HOUR - 1, Standing::Healthy),
            (30 * HOUR, Standing::Late),
            (54 * HOUR - 1, Standing::Late),
            (54 * HOUR, Standing::Silent),
            (900 * HOUR, Standing::Silent),
            (-5 * HOUR, Standing::Healthy),
        ] {
            check(long, Some(ago), None, expected);
            check(long, None, Some(ago), expected);
            check(long, Some(ago), Some(990 * HOUR), expected);
            check(long, Some(990 * HOUR), Some(ago), expected);
        }
    }

    #[test]
    fn a_client_that_was_never_there_is_neither_late_nor_silent() {
        check(None, None, None, Standing::Never);
    }

    #[test]
    fn a_client_that_only_asks_or_fails_has_as_much_time_as_any_other() {
        check(Some(HOUR), None, None, Standing::Healthy);
        check(Some(30 * HOUR), None, None, Standing::Late);
        check(Some(54 * HOUR), None, None, Standing::Silent);
    }
}
