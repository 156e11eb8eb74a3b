//! How numbers, times and texts from elsewhere are shown to people.
//!
//! Pure. What is shown here is one line: nothing in it can move a terminal's cursor.

use time::OffsetDateTime;

const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];

/// A number with its thousands apart: `3,210`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut shown = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

/// A number and what is counted, which takes an `s` unless it is one: `1 file`, `3,210 files`.
pub fn counted(number: u64, what: &str) -> String {
    format!("{} {what}{}", count(number), if number == 1 { "" } else { "s" })
}

/// A size, in powers of a thousand: `512 B`, `96.3 MB`.
pub fn bytes(number: u64) -> String {
    if number < 1000 {
        return format!("{number} B");
    }
    let mut value = number as f64 / 1000.0;
    let mut unit = 0;
    // Not 1000: what rounds to `1000.0 kB` is `1.0 MB`.
    while value >= 999.95 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// A time that passed, by its two largest units: `42 s`, `3 min 5 s`, `2 h 3 min`, `5 d 1 h`.
pub fn span(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{minutes} min {} s", seconds % 60),
        3600..86_400 => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

/// A moment, in seconds since 1970, as RFC 3339 writes it: `2026-11-28T13:40:02Z`.
pub fn utc(seconds: i64) -> String {
    // Beyond the year 9999 the text form ends; such a time is nobody's.
    let moment = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let (date, time) = (moment.date(), moment.time());
    let month = u8::from(date.month());
    format!(
        "{:04}-{month:02}-{:02}T{:02}:{:02}:{:02}Z",
        date.year(),
        date.day(),
        time.hour(),
        time.minute(),
        time.second()
    )
}

/// `text` without what does not show: control characters, and those that turn the direction of
/// writing. A text from elsewhere may have any of them.
pub fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '"' | '\'' | '\\' => shown.push(character),
            _ => shown.extend(character.escape_debug()),
        }
    }
    shown
}

/// Width of the first column of [`Lines`]: the longest name and two blanks.
const NAME_WIDTH: usize = 10;

/// A report for people: a line for each subject, its name in the first column.
#[derive(Debug, Default)]
pub struct Lines {
    text: String,
}

impl Lines {
    /// A line on a subject.
    pub fn line(&mut self, name: &str, text: &str) {
        self.text += &format!("{name:NAME_WIDTH$}{text}\n");
    }

    /// A line that belongs to the one before it.
    pub fn more(&mut self, text: &str) {
        self.line("", text);
    }

    /// All of them.
    pub fn into_text(self) -> String {
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_stand_apart() {
        for (number, shown) in
            [(0, "0"), (999, "999"), (1000, "1,000"), (65_536, "65,536"), (1_234_567, "1,234,567")]
        {
            assert_eq!(count(number), shown);
        }
        assert_eq!([0, 1, 2000].map(|n| counted(n, "file")), ["0 files", "1 file", "2,000 files"]);
    }

    #[test]
    fn sizes_have_the_unit_that_keeps_them_short() {
        for (number, shown) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (96_340_000, "96.3 MB"),
            (999_949, "999.9 kB"),
            (999_950, "1.0 MB"),
            (u64::MAX, "18446.7 PB"),
        ] {
            assert_eq!(bytes(number), shown);
        }
    }

    #[test]
    fn a_span_has_two_units_at_most() {
        for (seconds, shown) in [
            (0, "0 s"),
            (59, "59 s"),
            (185, "3 min 5 s"),
            (7380, "2 h 3 min"),
            (435_600, "5 d 1 h"),
        ] {
            assert_eq!(span(seconds), shown);
        }
    }

    #[test]
    fn a_moment_is_written_as_programs_read_it() {
        for (seconds, shown) in [
            (0, "1970-01-01T00:00:00Z"),
            (1_709_210_096, "2024-02-29T12:34:56Z"),
            (-1, "1969-12-31T23:59:59Z"),
            (i64::MAX, "1970-01-01T00:00:00Z"),
        ] {
            assert_eq!(utc(seconds), shown);
        }
    }

    #[test]
    fn nothing_that_moves_a_cursor_reaches_a_terminal() {
        assert_eq!(visible("it's \"a\\b\" ä"), "it's \"a\\b\" ä");
        assert_eq!(visible("a\nb\u{1b}[2J\r"), "a\\nb\\u{1b}[2J\\r");
        assert_eq!(visible("\u{202e}gnp.exe"), "\\u{202e}gnp.exe");
    }
}
