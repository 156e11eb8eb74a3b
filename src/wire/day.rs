//! A day of the calendar, UTC, as reports are dated and counted by.
//!
//! Pure.

use std::fmt;
use std::str::FromStr;
use time::{Date, Month, OffsetDateTime};

const DAY_SECONDS: i64 = 86_400;

/// The Julian day of 1970-01-01.
const EPOCH_JULIAN_DAY: i32 = 2_440_588;

/// Days from 1970-01-01 to 9999-12-31.
const LAST: i32 = 2_932_896;

/// A day from 1970-01-01 to 9999-12-31, UTC. Text form: `2026-11-28`, always ten characters, so that
/// texts sort as days do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day {
    since_epoch: i32,
}

/// A text that is no [`Day`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a day: one of the calendar is expected, from 1970 on, written as 2026-11-28")]
pub struct DayError;

impl Day {
    /// The day of a moment in seconds since 1970. What lies before or behind all days is the first
    /// or the last one.
    pub fn of(unix_seconds: i64) -> Self {
        Self::clamped(unix_seconds.div_euclid(DAY_SECONDS))
    }

    /// Its first second, in seconds since 1970.
    pub fn start(self) -> i64 {
        i64::from(self.since_epoch) * DAY_SECONDS
    }

    /// The first second that is no longer of it.
    pub fn end(self) -> i64 {
        self.start() + DAY_SECONDS
    }

    /// The day so many days later, or earlier if negative; stops at the first and the last one.
    pub fn plus(self, days: i64) -> Self {
        Self::clamped(i64::from(self.since_epoch).saturating_add(days))
    }

    /// How many days it comes after `other`; negative if before.
    pub fn days_since(self, other: Self) -> i64 {
        i64::from(self.since_epoch) - i64::from(other.since_epoch)
    }

    fn clamped(since_epoch: i64) -> Self {
        let since_epoch = since_epoch.clamp(0, i64::from(LAST));
        Self { since_epoch: i32::try_from(since_epoch).unwrap_or(LAST) }
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let date = Date::from_julian_day(self.since_epoch + EPOCH_JULIAN_DAY)
            .unwrap_or(OffsetDateTime::UNIX_EPOCH.date());
        write!(f, "{:04}-{:02}-{:02}", date.year(), u8::from(date.month()), date.day())
    }
}

impl FromStr for Day {
    type Err = DayError;

    fn from_str(text: &str) -> Result<Self, DayError> {
        let bytes = text.as_bytes();
        let shaped = bytes.len() == 10
            && bytes.iter().enumerate().all(|(index, byte)| match index {
                4 | 7 => *byte == b'-',
                _ => byte.is_ascii_digit(),
            });
        if !shaped {
            return Err(DayError);
        }
        let (year, month, day) = (&text[..4], &text[5..7], &text[8..]);
        let month: u8 = month.parse().map_err(|_| DayError)?;
        let month = Month::try_from(month).map_err(|_| DayError)?;
        let year = year.parse().map_err(|_| DayError)?;
        let day = day.parse().map_err(|_| DayError)?;
        let date = Date::from_calendar_date(year, month, day).map_err(|_| DayError)?;
        let since_epoch = date.to_julian_day() - EPOCH_JULIAN_DAY;
        if since_epoch < 0 { Err(DayError) } else { Ok(Self { since_epoch }) }
    }
}

as_text!(Day);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn day(text: &str) -> Day {
        text.parse().unwrap()
    }

    #[test]
    fn a_day_is_one_of_the_calendar_in_ten_characters() {
        for text in ["1970-01-01", "2024-02-29", "2000-02-29", "2026-11-28", "9999-12-31"] {
            assert_eq!(day(text).to_string(), text);
        }
        for bad in [
            "",
            "2026-11-31",
            "2026-02-29",
            "1900-02-29",
            "2026-00-10",
            "2026-13-01",
            "2026-01-00",
            "1969-12-31",
            "2026-1-1",
            "2026-11-28 ",
            "2026-11-28T00:00:00Z",
            "+026-11-28",
            "2026/11/28",
            "20261128",
            "10000-01-01",
            "２０２６-1",
        ] {
            assert_eq!(bad.parse::<Day>(), Err(DayError), "{bad:?}");
        }
    }

    #[test]
    fn a_moment_belongs_to_one_day() {
        let noon = 1_795_867_200 - 43_200;
        for (seconds, expected) in [
            (0, "1970-01-01"),
            (86_399, "1970-01-01"),
            (86_400, "1970-01-02"),
            (noon, "2026-11-28"),
            (-1, "1970-01-01"),
            (i64::MIN, "1970-01-01"),
            (253_402_300_799, "9999-12-31"),
            (i64::MAX, "9999-12-31"),
        ] {
            assert_eq!(Day::of(seconds).to_string(), expected, "{seconds}");
        }
        let today = day("2026-11-28");
        assert_eq!((Day::of(today.start()), Day::of(today.end() - 1)), (today, today));
        assert_eq!(Day::of(today.end()), day("2026-11-29"));
    }

    #[test]
    fn days_are_counted_across_months_and_leap_years() {
        for (from, days, to) in [
            ("2024-02-28", 1, "2024-02-29"),
            ("2024-02-28", 2, "2024-03-01"),
            ("2026-01-01", -1, "2025-12-31"),
            ("2026-11-28", 30, "2026-12-28"),
        ] {
            assert_eq!(day(from).plus(days), day(to), "{from} {days:+}");
            assert_eq!(day(to).days_since(day(from)), days);
        }
        assert_eq!(day("1970-01-02").plus(i64::MIN), day("1970-01-01"));
        assert_eq!(day("2026-11-28").plus(i64::MAX), day("9999-12-31"));
    }

    proptest! {
        #[test]
        fn every_day_survives_its_text_and_its_moments(seconds in 0..253_402_300_800_i64) {
            let day = Day::of(seconds);
            prop_assert_eq!(day.to_string().parse(), Ok(day));
            prop_assert!(day.start() <= seconds && seconds < day.end());
        }

        #[test]
        fn days_sort_as_their_texts_do(one in 0..253_402_300_800_i64, other in 0..253_402_300_800_i64) {
            let (one, other) = (Day::of(one), Day::of(other));
            prop_assert_eq!(one.cmp(&other), one.to_string().cmp(&other.to_string()));
        }
    }
}
