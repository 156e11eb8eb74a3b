//! A file's modification time, as forms, headers and answers carry it.
//!
//! Pure.

use std::fmt;
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

/// A file's modification time. Text form: seconds since 1970 with nine decimals, UTC, as rclone
/// keeps it in `x-amz-meta-mtime`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mtime {
    nanos: i64,
}

/// A text that is no [`Mtime`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a time: seconds since 1970 are expected, with up to nine decimals")]
pub struct MtimeError;

impl Mtime {
    /// The time `nanos` nanoseconds after 1970.
    pub fn from_nanos(nanos: i64) -> Self {
        Self { nanos }
    }

    /// Nanoseconds since 1970.
    pub fn nanos(self) -> i64 {
        self.nanos
    }
}

impl From<SystemTime> for Mtime {
    fn from(time: SystemTime) -> Self {
        let nanos = match time.duration_since(UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_nanos()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |n| -n),
        };
        Self { nanos }
    }
}

impl fmt::Display for Mtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.nanos < 0 { "-" } else { "" };
        let nanos = self.nanos.unsigned_abs();
        write!(f, "{sign}{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000)
    }
}

impl FromStr for Mtime {
    type Err = MtimeError;

    fn from_str(text: &str) -> Result<Self, MtimeError> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (whole, decimals) = digits.split_once('.').unwrap_or((digits, "0"));
        let only_digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !only_digits(whole) || !only_digits(decimals) || decimals.len() > 9 {
            return Err(MtimeError);
        }
        // Wider than the result: the earliest time has no positive counterpart.
        let seconds: i128 = whole.parse().map_err(|_| MtimeError)?;
        let fraction: i128 = format!("{decimals:0<9}").parse().map_err(|_| MtimeError)?;
        let nanos = seconds
            .checked_mul(1_000_000_000)
            .and_then(|nanos| nanos.checked_add(fraction))
            .map(|nanos| if negative { -nanos } else { nanos })
            .ok_or(MtimeError)?;
        Ok(Self { nanos: i64::try_from(nanos).map_err(|_| MtimeError)? })
    }
}

as_text!(Mtime);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_time_is_seconds_with_up_to_nine_decimals() {
        for (text, nanos) in [
            ("0", 0),
            ("1", 1_000_000_000),
            ("1.5", 1_500_000_000),
            ("1700000000.123456789", 1_700_000_000_123_456_789),
            ("-1.25", -1_250_000_000),
            ("9223372036.854775807", i64::MAX),
            // What a time that is too early for nanoseconds is sent as.
            ("-9223372036.854775808", i64::MIN),
        ] {
            assert_eq!(text.parse(), Ok(Mtime::from_nanos(nanos)), "{text}");
        }
        for bad in [
            "",
            ".",
            "1.",
            ".5",
            "+1",
            "1e9",
            "1.0000000001",
            " 1",
            "99999999999",
            "--1",
            "9223372036.854775808",
            "-9223372036.854775809",
            "340282366920938463463374607431768211456",
        ] {
            assert_eq!(bad.parse::<Mtime>(), Err(MtimeError), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn every_time_survives_its_text(nanos: i64) {
            let time = Mtime::from_nanos(nanos);
            prop_assert_eq!(time.to_string().parse(), Ok(time));
        }
    }
}
