//! The pages of the configuration files: the tables of the README, and the whole example.
//!
//! Pure.

use super::NoTable;
use super::markdown::{Key, inlines, keys};
use super::sheet::{Inline, Sheet, bold, italic, roman};

/// Which file a page is about.
pub(super) struct File {
    /// How the README calls it, and which other one it names.
    in_readme: &'static str,
    other: &'static str,
    page: &'static str,
    program: &'static str,
    example: &'static str,
}

pub(super) const CLIENT: File = File {
    in_readme: "client.yaml",
    other: "server.yaml",
    page: "s3up-client.yaml",
    program: "s3up",
    example: include_str!("../../packaging/client.example.yaml"),
};

pub(super) const SERVER: File = File {
    in_readme: "server.yaml",
    other: "client.yaml",
    page: "s3up-server.yaml",
    program: "s3up-server",
    example: include_str!("../../packaging/server.example.yaml"),
};

pub(super) fn page(file: &File, readme: &str, day: Option<&str>) -> Result<String, NoTable> {
    let keys = keys(readme, file.in_readme, &[file.other]);
    if keys.is_empty() {
        return Err(NoTable(file.in_readme));
    }
    let what = format!("configuration of {}", file.program);
    let mut sheet = Sheet::new(file.page, "5", day, &what);
    describe(&mut sheet, file);
    sheet.section("KEYS");
    let mut groups: Vec<&str> = keys.iter().map(group).collect();
    groups.sort_by_key(|own| keys.iter().position(|key| group(key) == *own));
    groups.dedup();
    for own in groups {
        sheet.subsection(own);
        for key in keys.iter().filter(|key| group(key) == own) {
            sheet.term(terms(key), meaning(key));
        }
    }
    sheet.section("EXAMPLE").literal(file.example.lines());
    let pages = [("s3up", "1"), ("s3up-server", "1"), (CLIENT.page, "5"), (SERVER.page, "5")];
    sheet.see_also(&pages.into_iter().filter(|(name, _)| *name != file.page).collect::<Vec<_>>());
    Ok(sheet.end())
}

fn describe(sheet: &mut Sheet, File { program, in_readme, .. }: &File) {
    let call = format!("{program} -c ");
    let place = format!("/etc/s3up/{in_readme}");
    sheet.section("SYNOPSIS").text([bold(call), italic(place.clone())]);
    sheet.section("DESCRIPTION").text([
        roman("A YAML file. "),
        bold("database.path"),
        roman(" is the key "),
        bold("path"),
        roman(" below the key "),
        bold("database"),
        roman("; a name that ends in "),
        bold("[]"),
        roman(
            " is a list. What has a default may be left out; a key that is not known is an error.",
        ),
    ]);
    sheet.paragraph([
        bold("${NAME}"),
        roman(" in a value is replaced by that variable of the environment; one that is not set is an error."),
    ]);
    sheet.paragraph([
        bold(format!("{program} check -c {place}")),
        roman(" says everything that is wrong with a file at once, each with its line."),
    ]);
}

/// The first part of a key's name.
fn group<'k>(key: &'k Key<'_>) -> &'k str {
    key.names.first().and_then(|name| name.split(['.', '[']).next()).unwrap_or_default()
}

fn terms(key: &Key<'_>) -> Vec<Inline> {
    let mut terms = vec![];
    for name in &key.names {
        let comma = if terms.is_empty() { "" } else { ", " };
        terms.extend([roman(comma), bold(name)]);
    }
    terms
}

fn meaning(key: &Key<'_>) -> Vec<Inline> {
    let mut text = inlines(key.meaning);
    text.push(roman("."));
    if !key.default.is_empty() {
        text.push(roman(" Default: "));
        text.extend(inlines(key.default));
        text.push(roman("."));
    }
    text
}
