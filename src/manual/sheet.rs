//! A page of the manual as it is written from top to bottom: the only module that knows `roff`.
//!
//! Pure.

use crate::version;
pub(super) use roff::{Inline, bold, italic, roman};
use roff::{Roff, line_break};

pub(super) struct Sheet(Roff);

impl Sheet {
    /// A page with its head and foot, and what it is called.
    pub(super) fn new(name: &str, section: &str, day: Option<&str>, what: &str) -> Self {
        let mut roff = Roff::new();
        let source = format!("s3up {}", version::NUMBER);
        // Two quotes are an argument that is empty.
        let day = day.unwrap_or("\"\"");
        roff.control("TH", [&name.to_uppercase(), section, day, &source, "s3up manual"]);
        // Whatever is as wide as a terminal has to stay a line: nothing is hyphenated, nothing stretched.
        roff.control("nh", []).control("ad", ["l"]);
        let mut sheet = Self(roff);
        sheet.section("NAME").text([roman(format!("{name} - {what}"))]);
        sheet
    }

    pub(super) fn section(&mut self, name: &str) -> &mut Self {
        self.0.control("SH", [name]);
        self
    }

    pub(super) fn subsection(&mut self, name: &str) -> &mut Self {
        self.0.control("SS", [name]);
        self
    }

    /// A paragraph, or what follows a heading or a term.
    pub(super) fn text(&mut self, text: impl Into<Vec<Inline>>) -> &mut Self {
        self.0.text(text);
        self
    }

    /// A paragraph behind another.
    pub(super) fn paragraph(&mut self, text: impl Into<Vec<Inline>>) -> &mut Self {
        self.0.control("PP", []);
        self.text(text)
    }

    /// A term, and what it means.
    pub(super) fn term(
        &mut self,
        term: impl Into<Vec<Inline>>,
        text: impl Into<Vec<Inline>>,
    ) -> &mut Self {
        self.0.control("TP", []);
        self.text(term).text(text)
    }

    /// Lines that stay as they are.
    pub(super) fn literal<'a>(&mut self, lines: impl IntoIterator<Item = &'a str>) -> &mut Self {
        self.0.control("RS", ["4"]).control("nf", []);
        for line in lines {
            match line {
                // An empty text line would be none at all.
                "" => self.0.text([line_break()]),
                line => self.0.text([roman(line)]),
            };
        }
        self.0.control("fi", []).control("RE", []);
        self
    }

    /// Pages, such as `s3up(1)`.
    pub(super) fn see_also(&mut self, pages: &[(&str, &str)]) -> &mut Self {
        let mut text = vec![];
        for (name, section) in pages {
            let comma = if text.is_empty() { "" } else { ", " };
            text.extend([roman(comma), bold(*name), roman(format!("({section})"))]);
        }
        self.section("SEE ALSO").text(text)
    }

    pub(super) fn end(&self) -> String {
        self.0.render()
    }
}
