//! Thirty days of uploads as bars.
//!
//! Pure. The numbers are those of an SVG that is stretched to whatever room there is, so widths and
//! heights are in units of its own.

use crate::limits::activity::RECENT_DAYS;
use crate::server::activity::reading::Counts;
use crate::shown;
use crate::wire::Day;
use std::collections::BTreeMap;

/// Room for a day, and what its bar takes of that.
const SLOT: u64 = 10;
const BAR: u64 = 8;

/// Height of the highest bar.
const HEIGHT: u64 = 100;

/// Of a day with uploads, and of failures, at least so much shows; of a day without, exactly that.
const LEAST: u64 = 3;

/// The bars of a client.
pub struct Chart {
    /// What a screen reader says instead.
    pub label: String,
    /// Room for all.
    pub width: u64,
    /// Room for the highest.
    pub height: u64,
    /// Room for one, with the gap to the next.
    pub slot: u64,
    /// A bar a day, the oldest first.
    pub bars: Vec<Bar>,
    /// The first day.
    pub first: Day,
    /// What the highest bar stands for.
    pub caption: String,
}

/// A day.
pub struct Bar {
    /// The day, and what happened on it.
    pub label: String,
    /// Uploads that were stored.
    pub files: u64,
    /// Where it begins.
    pub x: u64,
    /// The part for what was stored, or a stub.
    pub stored: Span,
    /// The part for what failed, above.
    pub failed: Option<Span>,
}

/// From where to where something reaches, from above.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Its upper end.
    pub y: u64,
    /// How high it is.
    pub height: u64,
}

impl Chart {
    /// The bars of the thirty days that end with `today`.
    pub fn of(days: Option<&BTreeMap<Day, Counts>>, today: Day) -> Self {
        let first = today.plus(1 - RECENT_DAYS);
        let counts: Vec<(Day, Counts)> = (0..RECENT_DAYS)
            .map(|number| first.plus(number))
            .map(|day| (day, days.and_then(|days| days.get(&day)).copied().unwrap_or_default()))
            .collect();
        let all = |counts: &Counts| counts.files.saturating_add(counts.failures);
        let most = counts.iter().map(|(_, counts)| all(counts)).max().unwrap_or(0);
        let bars = counts.iter().zip(0..).map(|((day, counts), number)| {
            let failed = (counts.failures > 0).then(|| height(counts.failures, most));
            // Beside failures something has to be left for what was stored.
            let room = HEIGHT - failed.unwrap_or(0);
            let stored =
                if counts.files == 0 { LEAST } else { height(counts.files, most).min(room) };
            Bar {
                label: label(*day, counts),
                files: counts.files,
                x: number * SLOT,
                stored: Span { y: HEIGHT - stored, height: stored },
                failed: failed.map(|failed| Span {
                    y: (HEIGHT - stored).saturating_sub(failed),
                    height: failed,
                }),
            }
        });
        let busy = counts.iter().filter(|(_, counts)| counts.files > 0).count();
        let best = counts.iter().max_by_key(|(day, counts)| (counts.files, *day));
        let caption = match best {
            Some((_, counts)) if counts.files > 0 => {
                format!("at most {} a day", shown::counted(counts.files, "file"))
            }
            _ => "no uploads".to_owned(),
        };
        Self {
            label: format!("Uploads on {busy} of the last {RECENT_DAYS} days; {caption}"),
            width: RECENT_DAYS.unsigned_abs() * SLOT,
            height: HEIGHT,
            slot: SLOT,
            bars: bars.collect(),
            first,
            caption,
        }
    }
}

impl Chart {
    /// All that was stored, as one shape: with one for each day, the page of 500 clients would be half as
    /// large again.
    pub fn stored(&self) -> Option<String> {
        self.shape(|bar| (bar.files > 0).then_some(bar.stored))
    }

    /// All that failed.
    pub fn failed(&self) -> Option<String> {
        self.shape(|bar| bar.failed)
    }

    /// The stubs of days without uploads.
    pub fn stubs(&self) -> Option<String> {
        self.shape(|bar| (bar.files == 0).then_some(bar.stored))
    }

    /// The path around these parts of the bars, if there are any.
    fn shape(&self, part: impl Fn(&Bar) -> Option<Span>) -> Option<String> {
        let parts = self.bars.iter().filter_map(|bar| part(bar).map(|span| (bar.x, span)));
        let path: String = parts
            .map(|(x, Span { y, height })| format!("M{x} {y}h{BAR}v{height}h-{BAR}z"))
            .collect();
        (!path.is_empty()).then_some(path)
    }
}

/// How high `number` is if `most` is the highest.
fn height(number: u64, most: u64) -> u64 {
    let share = u128::from(number) * u128::from(HEIGHT) / u128::from(most.max(1));
    u64::try_from(share).unwrap_or(HEIGHT).clamp(LEAST, HEIGHT - LEAST)
}

fn label(day: Day, counts: &Counts) -> String {
    let Counts { files, bytes, failures } = *counts;
    let stored = match files {
        0 => "no uploads".to_owned(),
        _ => format!("{}, {}", shown::counted(files, "file"), shown::bytes(bytes)),
    };
    match failures {
        0 => format!("{day}: {stored}"),
        _ => format!("{day}: {stored}, {} failed", shown::count(failures)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn today() -> Day {
        "2026-11-28".parse().unwrap()
    }

    /// The bars of days so long ago, each with its files and failures.
    fn chart(days: &[(i64, u64, u64)]) -> Chart {
        let days = days.iter().map(|(ago, files, failures)| {
            let counts =
                Counts { files: *files, bytes: files.saturating_mul(1000), failures: *failures };
            (today().plus(-ago), counts)
        });
        Chart::of(Some(&days.collect()), today())
    }

    #[test]
    fn there_is_a_bar_for_each_of_thirty_days_and_today_is_the_last() {
        let chart = chart(&[(0, 5, 0), (29, 10, 0), (30, 99, 0), (-1, 99, 0)]);
        assert_eq!(chart.bars.len(), 30);
        assert_eq!(chart.first.to_string(), "2026-10-30");
        assert_eq!(chart.bars[0].label, "2026-10-30: 10 files, 10.0 kB");
        assert_eq!(chart.bars[29].label, "2026-11-28: 5 files, 5.0 kB");
        assert_eq!(chart.bars[28].label, "2026-11-27: no uploads");
        assert_eq!(chart.label, "Uploads on 2 of the last 30 days; at most 10 files a day");
        let last = &chart.bars[29];
        assert_eq!((last.x + chart.slot, last.stored.height), (chart.width, 50));
    }

    #[test]
    fn no_bar_leaves_its_room_and_whatever_happened_shows() {
        for days in [
            vec![],
            vec![(0, 1, 0)],
            vec![(0, 0, 1), (1, u64::MAX, u64::MAX)],
            vec![(0, 1, 1_000_000), (1, 1_000_000, 1), (2, 0, 3)],
            vec![(0, 1, 0), (1, u64::MAX / 2, 7)],
        ] {
            for bar in chart(&days).bars {
                let mut top = bar.stored.y;
                assert_eq!(bar.stored.y + bar.stored.height, HEIGHT, "{}", bar.label);
                assert!(bar.stored.height >= LEAST, "{}", bar.label);
                if let Some(failed) = bar.failed {
                    assert!(failed.height >= LEAST, "{}", bar.label);
                    assert_eq!(failed.y + failed.height, top, "{}", bar.label);
                    top = failed.y;
                }
                assert!(top <= HEIGHT, "{}", bar.label);
                assert_eq!(bar.failed.is_some(), bar.label.ends_with(" failed"), "{}", bar.label);
            }
        }
    }

    #[test]
    fn what_was_stored_what_failed_and_what_was_not_are_a_shape_each() {
        let chart = chart(&[(0, 50, 0), (1, 25, 0), (2, 100, 100)]);
        let stored = "M270 50h8v50h-8zM280 88h8v12h-8zM290 75h8v25h-8z";
        assert_eq!(chart.stored().as_deref(), Some(stored));
        assert_eq!(chart.failed().as_deref(), Some("M270 0h8v50h-8z"));
        let stubs = chart.stubs().unwrap();
        assert!(stubs.starts_with("M0 97h8v3h-8z") && stubs.matches('M').count() == 27, "{stubs}");
        assert_eq!(Chart::of(None, today()).stored(), None);
    }

    #[test]
    fn a_client_that_never_did_anything_has_stubs() {
        let chart = Chart::of(None, today());
        assert_eq!(chart.caption, "no uploads");
        assert!(chart.bars.iter().all(|bar| bar.files == 0 && bar.stored.height == LEAST));
    }
}
