//! As much of Markdown as the README's tables are written in.
//!
//! Pure. Where in the README a table stands does not matter, if a heading above it names the file.

use super::sheet::{Inline, bold, roman};

/// One row of a table of keys.
#[derive(Debug, PartialEq)]
pub(super) struct Key<'a> {
    /// `server.host`, or several that belong together.
    pub(super) names: Vec<String>,
    /// What stands there for the default, in Markdown.
    pub(super) default: &'a str,
    /// What the key means, in Markdown.
    pub(super) meaning: &'a str,
}

/// The rows of all tables of keys below headings that name `file` and not one of `others`.
pub(super) fn keys<'a>(readme: &'a str, file: &str, others: &[&str]) -> Vec<Key<'a>> {
    let mut keys = vec![];
    let mut headings: Vec<(usize, &str)> = vec![];
    let mut table: Vec<&str> = vec![];
    let mut is_code = false;
    // A line behind the last one ends a table that ends the text.
    for line in readme.lines().chain([""]) {
        if line.starts_with("```") {
            is_code = !is_code;
        }
        if !is_code && line.starts_with('|') {
            table.push(line);
            continue;
        }
        let named = headings.iter().rev().find(|(_, heading)| {
            heading.contains(file) || others.iter().any(|other| heading.contains(other))
        });
        let is_ours = named.is_some_and(|(_, heading)| {
            heading.contains(file) && !others.iter().any(|other| heading.contains(other))
        });
        let table = std::mem::take(&mut table);
        if is_ours {
            keys.extend(rows(&table).unwrap_or_default());
        }
        let level = line.len() - line.trim_start_matches('#').len();
        if !is_code && level > 0 {
            headings.retain(|(above, _)| *above < level);
            headings.push((level, line));
        }
    }
    keys
}

/// The rows of a table of keys; `None` if it is a table of something else.
fn rows<'a>(table: &[&'a str]) -> Option<Vec<Key<'a>>> {
    // A head, and the line below it.
    let rows = table.get(2..)?.iter().map(|line| {
        let [first, default, meaning] = cells(line)?;
        Some(Key { names: names(first)?, default, meaning })
    });
    rows.collect()
}

/// The cells of a row of three. A bar that belongs to a text stands as `\|`.
fn cells(line: &str) -> Option<[&str; 3]> {
    let inner = line.trim().strip_prefix('|')?.strip_suffix('|')?;
    let mut cells = vec![];
    let mut begin = 0;
    for (at, _) in inner.match_indices('|') {
        if !inner[..at].ends_with('\\') {
            cells.push(inner[begin..at].trim());
            begin = at + 1;
        }
    }
    cells.push(inner[begin..].trim());
    cells.try_into().ok()
}

/// The names of keys in a first cell, each in full: `.key_file` stands beside what it begins as.
fn names(cell: &str) -> Option<Vec<String>> {
    let mut names: Vec<String> = vec![];
    for (at, part) in cell.split('`').enumerate() {
        if at % 2 == 0 {
            // Between two names.
            part.chars().all(|letter| letter == ',' || letter == ' ').then_some(())?;
            continue;
        }
        let is_key = |letter: char| letter.is_ascii_alphanumeric() || "_.[]".contains(letter);
        part.chars().all(is_key).then_some(())?;
        names.push(match (part.strip_prefix('.'), names.first()) {
            (Some(last), Some(first)) => {
                let group = first.rsplit_once('.').map_or("", |(group, _)| group);
                format!("{group}.{last}")
            }
            _ => part.to_owned(),
        });
    }
    (!names.is_empty()).then_some(names)
}

/// A text with its code in bold. Of a link to elsewhere in the README the words stay, of another the
/// address, too.
pub(super) fn inlines(text: &str) -> Vec<Inline> {
    let text = without_links(&text.replace("\\|", "|")).replace("**", "");
    let parts = text.split('`').enumerate().filter(|(_, part)| !part.is_empty());
    parts.map(|(at, part)| if at % 2 == 1 { bold(part) } else { roman(part) }).collect()
}

fn without_links(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('[') {
        plain.push_str(before);
        let link = behind.split_once(']').and_then(|(words, behind)| {
            let (target, behind) = behind.strip_prefix('(')?.split_once(')')?;
            Some((words, target, behind))
        });
        let Some((words, target, behind)) = link else {
            // Some other bracket, as in `clients[].name`.
            plain.push('[');
            rest = behind;
            continue;
        };
        plain.push_str(words);
        if target.contains("://") {
            plain.push_str(&format!(" ({target})"));
        }
        rest = behind;
    }
    plain + rest
}
