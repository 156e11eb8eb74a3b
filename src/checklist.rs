//! What the `check` commands of both programs tell: each step, how it ended, and why.
//!
//! Runs on the main thread. As lines it prints each step when it ends, so that the one that hangs is
//! seen; as JSON, one document at the end. It knows nothing of what is checked.

use serde::Serialize;
use std::fmt::Display;
use std::io::{self, Write};

/// Width of the first column: the longest name and two blanks.
const NAME_WIDTH: usize = 15;

/// How the steps are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A line for each, for people.
    Lines,
    /// One JSON document, for programs.
    Json,
}

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Outcome {
    Ok,
    Warning,
    Failed,
    /// Neither good nor bad, or not to be found out.
    Note,
}

#[derive(Debug, Serialize)]
struct Step {
    name: &'static str,
    outcome: Outcome,
    text: String,
}

/// The steps of one check.
pub struct Checklist<'o> {
    out: &'o mut dyn Write,
    form: Form,
    all_well: bool,
    steps: Vec<Step>,
}

impl<'o> Checklist<'o> {
    /// An empty list that is told to `out`.
    pub fn new(out: &'o mut dyn Write, form: Form) -> Self {
        Self { out, form, all_well: true, steps: Vec::new() }
    }

    /// A step that went well, with a word about what was found; it may be empty.
    pub fn ok(&mut self, name: &'static str, detail: impl Display) -> io::Result<()> {
        self.end(name, Outcome::Ok, detail.to_string())
    }

    /// A step that went well, and something that somebody should look at.
    pub fn warning(&mut self, name: &'static str, text: impl Display) -> io::Result<()> {
        self.end(name, Outcome::Warning, text.to_string())
    }

    /// A step that failed, and why.
    pub fn failed(&mut self, name: &'static str, error: impl Display) -> io::Result<()> {
        self.all_well = false;
        self.end(name, Outcome::Failed, error.to_string())
    }

    /// Something that is neither good nor bad, or that could not be found out.
    pub fn note(&mut self, name: &'static str, text: impl Display) -> io::Result<()> {
        self.end(name, Outcome::Note, text.to_string())
    }

    /// A step that went well without a word, or failed.
    pub fn step<E: Display>(
        &mut self,
        name: &'static str,
        result: Result<(), E>,
    ) -> io::Result<()> {
        match result {
            Ok(()) => self.ok(name, ""),
            Err(error) => self.failed(name, error),
        }
    }

    /// Ends the list; `true` if no step has failed.
    pub fn finish(self) -> io::Result<bool> {
        if self.form == Form::Json {
            let document = serde_json::json!({ "ok": self.all_well, "steps": self.steps });
            writeln!(self.out, "{document:#}")?;
        }
        Ok(self.all_well)
    }

    fn end(&mut self, name: &'static str, outcome: Outcome, text: String) -> io::Result<()> {
        if self.form == Form::Json {
            self.steps.push(Step { name, outcome, text });
            return Ok(());
        }
        let word = match outcome {
            Outcome::Ok if text.is_empty() => "ok",
            Outcome::Ok => "ok: ",
            Outcome::Warning => "warning: ",
            Outcome::Failed => "FAILED: ",
            Outcome::Note => "",
        };
        writeln!(self.out, "{name:NAME_WIDTH$}{word}{text}")?;
        // Whoever reads through a pipe waits for the step that hangs, too.
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(form: Form, failing: bool) -> (String, bool) {
        let mut out = Vec::new();
        let mut list = Checklist::new(&mut out, form);
        list.ok("configuration", "a.yaml").unwrap();
        list.step("head", Ok::<(), String>(())).unwrap();
        list.warning("clock", "late").unwrap();
        list.note("versioning", "off").unwrap();
        if failing {
            list.failed("key", "no").unwrap();
        }
        let all_well = list.finish().unwrap();
        (String::from_utf8(out).unwrap(), all_well)
    }

    #[test]
    fn each_step_is_a_line_with_what_came_of_it() {
        let lines = "configuration  ok: a.yaml\nhead           ok\nclock          warning: late\n\
                     versioning     off\n";
        assert_eq!(check(Form::Lines, false), (lines.to_owned(), true));
        let failed = format!("{lines}key            FAILED: no\n");
        assert_eq!(check(Form::Lines, true), (failed, false));
    }

    #[test]
    fn as_json_it_is_one_document() {
        let (text, all_well) = check(Form::Json, true);
        assert!(!all_well);
        let expected = serde_json::json!({"ok": false, "steps": [
            {"name": "configuration", "outcome": "ok", "text": "a.yaml"},
            {"name": "head", "outcome": "ok", "text": ""},
            {"name": "clock", "outcome": "warning", "text": "late"},
            {"name": "versioning", "outcome": "note", "text": "off"},
            {"name": "key", "outcome": "failed", "text": "no"},
        ]});
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), expected);
    }
}
