//! Tables for a terminal: columns as wide as what stands in them, whatever alphabet it is in.
//!
//! Pure. Texts from elsewhere must have been made visible before (`shown::visible`, `wire::Text`): what
//! moves a cursor has no width.

use std::fmt::Write as _;
use unicode_width::UnicodeWidthStr as _;

/// What stands between two columns.
const GAP: &str = "  ";

/// Whether colours are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    /// On a terminal that shows them.
    Colours,
    /// In a file, in a pipe, or where nobody wants them.
    Plain,
}

impl Paint {
    /// What is wanted of an output that is a terminal or not; `no_color` and `term` are the variables
    /// `NO_COLOR` and `TERM`.
    pub fn wanted(is_terminal: bool, no_color: Option<&str>, term: Option<&str>) -> Self {
        // https://no-color.org: set, and not empty.
        let refused = no_color.is_some_and(|value| !value.is_empty()) || term == Some("dumb");
        if is_terminal && !refused { Self::Colours } else { Self::Plain }
    }
}

/// How a text looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tone {
    /// As any other.
    #[default]
    Plain,
    /// Of less weight.
    Faint,
    /// All is well.
    Good,
    /// Somebody should look.
    Warning,
    /// Somebody has to look.
    Bad,
}

impl Tone {
    fn codes(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Faint => Some("2"),
            Self::Good => Some("32"),
            Self::Warning => Some("33"),
            Self::Bad => Some("1;31"),
        }
    }

    /// `text` in this tone.
    pub fn paint(self, text: &str, paint: Paint) -> String {
        match (paint, self.codes()) {
            (Paint::Colours, Some(codes)) => format!("\u{1b}[{codes}m{text}\u{1b}[0m"),
            _ => text.to_owned(),
        }
    }
}

/// On which side of its column a text stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Texts.
    Left,
    /// Numbers.
    Right,
}

/// What stands in one place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    /// A text in a tone.
    pub fn toned(text: impl Into<String>, tone: Tone) -> Self {
        Self { text: text.into(), tone }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::toned(text, Tone::Plain)
    }
}

/// A table with `N` columns.
#[derive(Clone, Debug)]
pub struct Table<const N: usize> {
    columns: [(&'static str, Side); N],
    rows: Vec<[Cell; N]>,
}

impl<const N: usize> Table<N> {
    /// A table without rows, with a head for each column.
    pub fn new(columns: [(&'static str, Side); N]) -> Self {
        Self { columns, rows: vec![] }
    }

    /// Adds a row.
    pub fn push(&mut self, row: [Cell; N]) {
        self.rows.push(row);
    }

    /// The lines of the table, head first. No line ends in blanks.
    pub fn render(&self, paint: Paint) -> String {
        let widths: [usize; N] = std::array::from_fn(|index| {
            let cells = self.rows.iter().map(|row| row[index].text.width());
            cells.chain([self.columns[index].0.width()]).max().unwrap_or(0)
        });
        let mut out = String::new();
        let head: [Cell; N] =
            std::array::from_fn(|index| Cell::toned(self.columns[index].0, Tone::Faint));
        for row in [&head].into_iter().chain(&self.rows) {
            let mut line = String::new();
            for ((cell, width), (_, side)) in row.iter().zip(widths).zip(self.columns) {
                let pad = width - cell.text.width();
                let (before, behind) = if side == Side::Right { (pad, 0) } else { (0, pad) };
                let text = if cell.text.is_empty() {
                    String::new()
                } else {
                    cell.tone.paint(&cell.text, paint)
                };
                // Writing to a `String` cannot fail.
                let _ = write!(line, "{:before$}{text}{:behind$}{GAP}", "", "");
            }
            out.push_str(line.trim_end());
            out.push('\n');
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(rows: &[(&str, &str)]) -> String {
        let mut table =
            Table::new([("NAME", Side::Left), ("FILES", Side::Right), ("", Side::Left)]);
        for (name, files) in rows {
            table.push([(*name).into(), (*files).into(), Cell::default()]);
        }
        table.render(Paint::Plain)
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_text_and_no_line_ends_in_blanks() {
        let expected = "NAME      FILES\na             1\nlonger-b  1,234\n";
        assert_eq!(table(&[("a", "1"), ("longer-b", "1,234")]), expected);
        assert_eq!(table(&[]), "NAME  FILES\n");
        assert_eq!(table(&[("a", "")]), "NAME  FILES\na\n");
    }

    #[test]
    fn wide_characters_take_two_columns_and_marks_none() {
        let shown = table(&[("写真", "1"), ("é\u{301}o", "22"), ("🦀", "3"), ("plain", "4")]);
        let ends: Vec<usize> = shown.lines().map(|line| line.width()).collect();
        assert_eq!(ends, [12, 12, 12, 12, 12], "{shown}");
        assert_eq!(shown.lines().nth(1), Some("写真       1"));
    }

    #[test]
    fn colours_change_no_width() {
        let mut table = Table::new([("STATE", Side::Left), ("N", Side::Right)]);
        table.push([Cell::toned("late", Tone::Warning), Cell::toned("7", Tone::Bad)]);
        assert_eq!(table.render(Paint::Plain), "STATE  N\nlate   7\n");
        let coloured = table.render(Paint::Colours);
        assert!(
            coloured.ends_with("\u{1b}[33mlate\u{1b}[0m   \u{1b}[1;31m7\u{1b}[0m\n"),
            "{coloured:?}"
        );
    }

    #[test]
    fn colours_are_for_terminals_whose_user_does_not_refuse_them() {
        for (is_terminal, no_color, term, expected) in [
            (true, None, Some("xterm"), Paint::Colours),
            (true, None, None, Paint::Colours),
            (true, Some(""), None, Paint::Colours),
            (true, Some("1"), None, Paint::Plain),
            (true, None, Some("dumb"), Paint::Plain),
            (false, None, Some("xterm"), Paint::Plain),
        ] {
            assert_eq!(Paint::wanted(is_terminal, no_color, term), expected);
        }
    }
}
