//! What a configuration may ask of the machine that it is read on: variables, and files that hold a
//! secret each.
//!
//! Pure: both are functions that the caller hands over. What they answer is judged here, and no message
//! repeats any of it.

use crate::limits::SECRET_FILE_BYTES_MAX;
use std::io;
use std::path::Path;

/// The variables and files that a configuration may name.
#[derive(Clone, Copy)]
pub struct Outside<'o> {
    /// Looks up an environment variable.
    pub variable: &'o dyn Fn(&str) -> Option<String>,
    /// Reads a regular file: all of it, or its first bytes if they are more than
    /// `limits::SECRET_FILE_BYTES_MAX`.
    pub file: &'o dyn Fn(&Path) -> io::Result<Vec<u8>>,
}

impl Outside<'_> {
    /// No variable is set, and there is no file.
    pub const NOTHING: Outside<'static> =
        Outside { variable: &|_| None, file: &|_| Err(io::ErrorKind::NotFound.into()) };

    /// The secret that is all there is in the file at `path`: one line, whose end may be missing.
    pub(super) fn secret(&self, path: &Path) -> Result<String, String> {
        if !path.is_absolute() {
            return Err("is not an absolute path".to_owned());
        }
        let content = (self.file)(path).map_err(|error| format!("cannot read it: {error}"))?;
        Ok(only_line(&content)?.to_owned())
    }

    /// `text` with every `${NAME}` replaced; `$${` stands for a literal `${`. Of `${NAME:-text}` the text
    /// is taken if the variable is not set or empty, as shells do.
    pub(super) fn substitute(&self, text: &str) -> Result<String, String> {
        let mut replaced = String::new();
        let mut rest = text;
        while let Some(start) = rest.find("${") {
            if let Some(before) = rest[..start].strip_suffix('$') {
                replaced.push_str(before);
                replaced.push_str("${");
                rest = &rest[start + 2..];
                continue;
            }
            replaced.push_str(&rest[..start]);
            let (expression, after) = rest[start + 2..]
                .split_once('}')
                .ok_or("a '${' without its '}'; write '$${' for the characters themselves")?;
            replaced.push_str(&self.value(expression)?);
            rest = after;
        }
        replaced.push_str(rest);
        Ok(replaced)
    }

    /// What is taken for the expression between `${` and `}`.
    fn value(&self, expression: &str) -> Result<String, String> {
        let (name, default) = match expression.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (expression, None),
        };
        let valid = !name.is_empty()
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
            && !name.as_bytes()[0].is_ascii_digit();
        if !valid {
            return Err(format!("${{{expression}}} does not name an environment variable"));
        }
        let value = (self.variable)(name);
        match default {
            Some(default) => Ok(value.filter(|value| !value.is_empty()).unwrap_or(default.into())),
            None => value.ok_or_else(|| {
                format!(
                    "the environment variable {name} is not set; set it or write the value here"
                )
            }),
        }
    }
}

/// The one line of a file that holds a secret and nothing else. What an editor or `echo` leaves at its
/// end is not part of it; anything else that is no key would only show as a key that is refused.
fn only_line(content: &[u8]) -> Result<&str, String> {
    if content.len() as u64 > SECRET_FILE_BYTES_MAX {
        return Err(format!(
            "is larger than {SECRET_FILE_BYTES_MAX} bytes; nothing but the secret is expected in it"
        ));
    }
    let text = str::from_utf8(content).map_err(|_| "is no text")?;
    let line = text.strip_suffix('\n').unwrap_or(text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.is_empty() {
        return Err("is empty; one line with the secret is expected in it".into());
    }
    if line.contains('\n') {
        return Err("holds more than one line; nothing but the secret is expected in it".into());
    }
    if line.contains(char::is_control) {
        return Err("holds control characters; one line of text is expected in it".into());
    }
    if line.trim() != line {
        return Err("holds a blank before or behind the secret".into());
    }
    Ok(line)
}
