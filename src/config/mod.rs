//! Reads a YAML configuration and reports everything that is wrong with it at once.
//!
//! Pure: text in, values or [`ConfigError`] out; what is outside of the text, variables and files with
//! secrets, is an argument. Which keys there are is the business of `client::config` and
//! `server::config`; this module knows how to ask for one, how to replace `${VAR}`, and how to say
//! where a problem stands.
//!
//! A reader asks a [`Section`] for each key it knows. `None` always means "a problem was noted", so
//! a reader asks for everything first and puts its result together last.

mod line;
mod outside;
#[cfg(test)]
mod tests;

pub use outside::Outside;

use crate::limits::CONFIG_PROBLEMS_MAX;
use line::{Step, line_of};
use serde_yaml::{Mapping, Value};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt::{self, Display};
use std::ops::RangeInclusive;
use std::path::Path;

/// Everything that is wrong with one configuration file; one line each.
#[derive(Debug, PartialEq, Eq)]
pub struct ConfigError {
    file: String,
    problems: Vec<Problem>,
}

#[derive(Debug, PartialEq, Eq)]
struct Problem {
    line: Option<usize>,
    key: String,
    message: String,
}

impl std::error::Error for ConfigError {}

impl Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{}:", self.file)?;
            if let Some(line) = problem.line {
                write!(f, "{line}:")?;
            }
            if !problem.key.is_empty() {
                write!(f, " {}:", one_line(&problem.key))?;
            }
            write!(f, " {}", one_line(&problem.message))?;
        }
        Ok(())
    }
}

/// The text with its control characters escaped: keys and names of variables come from the file as
/// they are, and a message is a line on somebody's terminal.
fn one_line(text: &str) -> String {
    let mut line = String::new();
    for character in text.chars() {
        match character.is_control() {
            true => line.extend(character.escape_default()),
            false => line.push(character),
        }
    }
    line
}

impl ConfigError {
    /// A problem with the file as a whole, such as one that cannot be read.
    pub fn whole_file(file: &str, message: impl Into<String>) -> Self {
        let problem = Problem { line: None, key: String::new(), message: message.into() };
        Self { file: file.to_owned(), problems: vec![problem] }
    }
}

/// Parses `text` and lets `read` take its keys. `file` is the name problems are reported under.
pub fn parse<T>(
    file: &str,
    text: &str,
    outside: Outside<'_>,
    read: impl FnOnce(&Section<'_>) -> Option<T>,
) -> Result<T, ConfigError> {
    let root: Value = serde_yaml::from_str(text).map_err(|error| ConfigError {
        file: file.to_owned(),
        problems: vec![Problem {
            line: error.location().map(|at| at.line()),
            key: String::new(),
            message: format!("not valid YAML: {error}{}", hint(&error)),
        }],
    })?;
    let reader = Reader { text, outside, problems: RefCell::default() };
    let value = reader.enter(vec![], &root, read);
    let problems = reader.problems.into_inner();
    match value {
        Some(value) if problems.is_empty() => Ok(value),
        _ => Err(ConfigError { file: file.to_owned(), problems }),
    }
}

/// A pattern such as `*.tmp` looks like the name of something else in YAML.
fn hint(error: &serde_yaml::Error) -> &'static str {
    let text = error.to_string();
    match text.contains("unknown anchor") || text.contains("scanning an alias") {
        true => "; hint: a value that begins with '*' needs quotes",
        false => "",
    }
}

struct Reader<'d> {
    text: &'d str,
    outside: Outside<'d>,
    problems: RefCell<Vec<Problem>>,
}

impl Reader<'_> {
    /// Reads a mapping at `path`, then reports the keys nobody asked for.
    fn enter<T>(
        &self,
        path: Vec<Step>,
        value: &Value,
        read: impl FnOnce(&Section<'_>) -> Option<T>,
    ) -> Option<T> {
        let empty = Mapping::new();
        let map = match value {
            Value::Mapping(map) => map,
            Value::Null => &empty,
            _ => {
                self.problem(&path, "must be a group of keys, one `key: value` a line");
                return None;
            }
        };
        let section = Section { reader: self, path, map, known: RefCell::default() };
        let value = read(&section);
        section.report_unknown_keys();
        value
    }

    fn problem(&self, path: &[Step], message: impl Into<String>) {
        let mut problems = self.problems.borrow_mut();
        match problems.len() {
            ..CONFIG_PROBLEMS_MAX => problems.push(Problem {
                line: line_of(self.text, path),
                key: line::name(path),
                message: message.into(),
            }),
            CONFIG_PROBLEMS_MAX => problems.push(Problem {
                line: None,
                key: String::new(),
                message: format!("has more problems than these {CONFIG_PROBLEMS_MAX}"),
            }),
            _ => {}
        }
    }
}

/// One group of keys in the file.
pub struct Section<'d> {
    reader: &'d Reader<'d>,
    path: Vec<Step>,
    map: &'d Mapping,
    known: RefCell<BTreeSet<String>>,
}

/// A scalar as text, and how to show it in a message.
struct Scalar {
    text: String,
    shown: String,
}

impl Section<'_> {
    /// Whether the key is there with a value.
    pub fn has(&self, key: &str) -> bool {
        self.value(key).is_some()
    }

    /// Notes a problem with `key` of this section.
    pub fn problem(&self, key: &str, message: impl Into<String>) {
        self.reader.problem(&self.at(key), message);
    }

    /// Notes a problem with `key` of the group `section` in this one.
    pub fn problem_in(&self, section: &str, key: &str, message: impl Into<String>) {
        let path = [self.at(section), vec![Step::Key(key.to_owned())]].concat();
        self.reader.problem(&path, message);
    }

    /// A group of keys; its absence is a problem.
    pub fn section<T>(&self, key: &str, read: impl FnOnce(&Section<'_>) -> Option<T>) -> Option<T> {
        if !self.has(key) {
            self.problem(key, "is missing");
            return None;
        }
        self.section_or_default(key, read)
    }

    /// A group of keys; absent is the same as empty, so that every key takes its default.
    pub fn section_or_default<T>(
        &self,
        key: &str,
        read: impl FnOnce(&Section<'_>) -> Option<T>,
    ) -> Option<T> {
        let value = self.value(key).unwrap_or(&Value::Null);
        self.reader.enter(self.at(key), value, read)
    }

    /// A list of groups with at least one entry.
    pub fn list<T>(
        &self,
        key: &str,
        mut read: impl FnMut(&Section<'_>) -> Option<T>,
    ) -> Option<Vec<T>> {
        let entries = match self.value(key) {
            None => {
                self.problem(key, "is missing: at least one entry is needed");
                return None;
            }
            Some(Value::Sequence(entries)) if !entries.is_empty() => entries,
            Some(_) => {
                self.problem(key, "must be a list with at least one entry, each begun with `- `");
                return None;
            }
        };
        let read: Vec<Option<T>> = entries
            .iter()
            .enumerate()
            .map(|(index, entry)| {
                let mut path = self.at(key);
                path.push(Step::Index(index));
                self.reader.enter(path, entry, &mut read)
            })
            .collect();
        read.into_iter().collect()
    }

    /// A text that `parse` turns into a value; its absence is a problem.
    pub fn required<T, E: Display>(
        &self,
        key: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        self.or_missing(key, self.optional(key, parse)?)
    }

    /// A text that may be absent; `Some(None)` then.
    pub fn optional<T, E: Display>(
        &self,
        key: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<Option<T>> {
        let Some(value) = self.value(key) else { return Some(None) };
        let scalar = self.scalar(&self.at(key), value)?;
        match parse(&scalar.text) {
            Ok(parsed) => Some(Some(parsed)),
            Err(error) => {
                self.problem(key, format!("{}: {error}", scalar.shown));
                None
            }
        }
    }

    /// One or several texts; none if the key is absent.
    pub fn texts<T, E: Display>(
        &self,
        key: &str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<Vec<T>> {
        self.one_or_several(key, parse, |shown, error| format!("{shown}: {error}"))
    }

    /// One or several secret texts. They are never shown in a message, whatever is wrong.
    pub fn secrets<T, E: Display>(
        &self,
        key: &str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<Vec<T>> {
        self.one_or_several(key, parse, |_, error| error.to_string())
    }

    /// One secret text; its absence is a problem.
    pub fn secret<T, E: Display>(
        &self,
        key: &str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<T> {
        self.or_missing(key, self.optional_secret(key, parse)?)
    }

    /// One secret text that may be absent; `Some(None)` then.
    pub fn optional_secret<T, E: Display>(
        &self,
        key: &str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<Option<T>> {
        let mut secrets = self.secrets(key, parse)?;
        if secrets.len() > 1 {
            self.problem(key, "must be one text, not a list");
            return None;
        }
        Some(secrets.pop())
    }

    /// One secret text that stands here or alone in a file, which `{key}_file` names; its absence is a
    /// problem.
    pub fn secret_or_file<T, E: Display>(
        &self,
        key: &str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<T> {
        let value = self.optional_secret_or_file(key, parse)?;
        if value.is_none() {
            self.problem(key, format!("is missing; {key}_file may name a file that holds it"));
        }
        value
    }

    /// One secret text that stands here or alone in a file, which `{key}_file` names, or that is absent;
    /// `Some(None)` then.
    pub fn optional_secret_or_file<T, E: Display>(
        &self,
        key: &str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<Option<T>> {
        let of_file = format!("{key}_file");
        match (self.has(key), self.has(&of_file)) {
            (true, true) => {
                self.problem(&of_file, format!("stands beside {key}: take one of the two out"));
                None
            }
            (_, false) => self.optional_secret(key, parse),
            // What stands in the file is shown by no message, so what is wrong with it has to say whose
            // fault it is.
            (false, true) => self.optional(&of_file, |path| {
                let text = self.reader.outside.secret(Path::new(path))?;
                parse(&text).map_err(|error| format!("what stands in it {error}"))
            }),
        }
    }

    /// `true` or `false`.
    pub fn flag(&self, key: &str, default: bool) -> Option<bool> {
        Some(self.optional_flag(key)?.unwrap_or(default))
    }

    /// `true`, `false`, or absent; `Some(None)` then.
    pub fn optional_flag(&self, key: &str) -> Option<Option<bool>> {
        let parse = |text: &str| match text {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err("is neither true nor false"),
        };
        self.optional(key, parse)
    }

    /// A whole number within `range`; without a default its absence is a problem.
    pub fn integer(
        &self,
        key: &str,
        default: Option<u64>,
        range: RangeInclusive<u64>,
    ) -> Option<u64> {
        self.or_missing(key, self.optional_integer(key, range)?.or(default))
    }

    /// A whole number within `range` that may be absent; `Some(None)` then.
    pub fn optional_integer(&self, key: &str, range: RangeInclusive<u64>) -> Option<Option<u64>> {
        let parse = |text: &str| {
            text.parse().ok().filter(|number| range.contains(number)).ok_or_else(|| {
                format!("is not a whole number from {} to {}", range.start(), range.end())
            })
        };
        self.optional(key, parse)
    }

    /// A number within `range`, decimals allowed; without a default its absence is a problem.
    pub fn number(
        &self,
        key: &str,
        default: Option<f64>,
        range: RangeInclusive<f64>,
    ) -> Option<f64> {
        self.or_missing(key, self.optional_number(key, range)?.or(default))
    }

    /// A number within `range`, decimals allowed, that may be absent; `Some(None)` then.
    pub fn optional_number(&self, key: &str, range: RangeInclusive<f64>) -> Option<Option<f64>> {
        let parse = |text: &str| {
            text.parse()
                .ok()
                .filter(|number| range.contains(number))
                .ok_or_else(|| format!("is not a number from {} to {}", range.start(), range.end()))
        };
        self.optional(key, parse)
    }

    /// The value, or a problem with `key` noted.
    pub fn noted<T, E: Display>(&self, key: &str, value: Result<T, E>) -> Option<T> {
        value.map_err(|error| self.problem(key, error.to_string())).ok()
    }

    fn or_missing<T>(&self, key: &str, value: Option<T>) -> Option<T> {
        if value.is_none() {
            self.problem(key, "is missing");
        }
        value
    }

    fn at(&self, key: &str) -> Vec<Step> {
        let mut path = self.path.clone();
        path.push(Step::Key(key.to_owned()));
        path
    }

    fn value(&self, key: &str) -> Option<&Value> {
        self.known.borrow_mut().insert(key.to_owned());
        self.map.get(key).filter(|value| !value.is_null())
    }

    /// A key that takes a single text or a list of them. `describe` makes a problem's message from
    /// the text, as it may be shown, and the error.
    fn one_or_several<T, E: Display>(
        &self,
        key: &str,
        parse: impl Fn(&str) -> Result<T, E>,
        describe: impl Fn(&str, &E) -> String,
    ) -> Option<Vec<T>> {
        let path = self.at(key);
        let read = |path: &[Step], value| {
            let scalar = self.scalar(path, value)?;
            let problem = |error| self.reader.problem(path, describe(&scalar.shown, &error));
            parse(&scalar.text).map_err(problem).ok()
        };
        let read: Vec<Option<T>> = match self.value(key) {
            None => vec![],
            Some(Value::Sequence(values)) => {
                let entry = |index| [path.as_slice(), &[Step::Index(index)]].concat();
                values.iter().enumerate().map(|(index, value)| read(&entry(index), value)).collect()
            }
            Some(value) => vec![read(&path, value)],
        };
        read.into_iter().collect()
    }

    fn scalar(&self, path: &[Step], value: &Value) -> Option<Scalar> {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Bool(flag) => flag.to_string(),
            Value::Number(number) => number.to_string(),
            _ => {
                self.reader.problem(path, "must be a single value");
                return None;
            }
        };
        match self.reader.outside.substitute(&text) {
            // A value from the environment is shown by its variable: it may be a secret.
            Ok(replaced) => Some(Scalar { shown: format!("{text:?}"), text: replaced }),
            Err(error) => {
                self.reader.problem(path, error);
                None
            }
        }
    }

    fn report_unknown_keys(&self) {
        let known = self.known.borrow();
        for key in self.map.keys() {
            let name = match key {
                Value::String(name) if known.contains(name) => continue,
                Value::String(name) => name.clone(),
                other => serde_yaml::to_string(other).unwrap_or_default().trim().to_owned(),
            };
            let list = known.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
            self.problem(&name, format!("unknown key; known here: {list}"));
        }
    }
}
