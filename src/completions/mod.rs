//! What makes a shell complete a command line, from the description that `argh` has of it.
//!
//! Pure: a description in, a script out. Two levels are known, a program and its commands. A value is
//! completed by what the description calls it: `file` by the names of files, `shell` by those of shells,
//! anything else by nothing. `argh_complete` has such generators, too, of which none would do: behind `-c`
//! zsh and fish are offered no files, fish older than 4.0 nothing at all, and bash takes the value of an
//! option for a command.

mod bash;
mod fish;
mod zsh;

#[cfg(test)]
mod tests;

use argh::{CommandInfoWithArgs, FlagInfo, FlagInfoKind, FromArgValue};
use std::collections::BTreeSet;

/// A shell that completes command lines.
#[derive(Clone, Copy, Debug, Eq, FromArgValue, PartialEq)]
pub enum Shell {
    /// Bash 4 and later.
    Bash,
    /// Zsh 5 and later.
    Zsh,
    /// Fish 3 and later.
    Fish,
}

impl Shell {
    /// All there are.
    pub const ALL: [Self; 3] = [Self::Bash, Self::Zsh, Self::Fish];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bash => "bash",
            Self::Zsh => "zsh",
            Self::Fish => "fish",
        }
    }
}

/// The script that makes `shell` complete the command line of `program`.
pub fn script(shell: Shell, program: &str, description: &CommandInfoWithArgs) -> String {
    match shell {
        Shell::Bash => bash::script(program, description),
        Shell::Zsh => zsh::script(program, description),
        Shell::Fish => fish::script(program, description),
    }
}

/// By what a value is completed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Value {
    Files,
    Shells,
    /// Nobody but the user knows it.
    Free,
}

impl Value {
    fn called(name: &str) -> Self {
        match name {
            "file" => Self::Files,
            "shell" => Self::Shells,
            _ => Self::Free,
        }
    }
}

/// What is expected behind an option, and what it is called; `None` for a switch.
fn value<'a>(flag: &FlagInfo<'a>) -> Option<(&'a str, Value)> {
    match flag.kind {
        FlagInfoKind::Switch => None,
        FlagInfoKind::Option { arg_name } => Some((arg_name, Value::called(arg_name))),
    }
}

/// The short form of a flag, with its dash. `-h` is not in the description of any command, and known to all.
fn short(flag: &FlagInfo) -> Option<String> {
    let letter = if flag.long == "--help" { Some('h') } else { flag.short };
    letter.map(|letter| format!("-{letter}"))
}

/// A program and its commands, each with its name; the program's is empty.
fn levels(
    program: &CommandInfoWithArgs,
) -> impl Iterator<Item = (&'static str, &CommandInfoWithArgs)> {
    let commands = program.commands.iter().map(|command| (command.name, &command.command));
    std::iter::once(("", program)).chain(commands)
}

/// Every option that has a value, in all its forms: what follows one is no command.
fn options_with_value(program: &CommandInfoWithArgs) -> BTreeSet<String> {
    let flags = levels(program).flat_map(|(_, level)| level.flags);
    let flags = flags.filter(|flag| value(flag).is_some());
    flags.flat_map(|flag| short(flag).into_iter().chain([flag.long.to_owned()])).collect()
}

/// The words that a command expects, as far as they are known.
fn words(level: &CommandInfoWithArgs) -> Vec<&'static str> {
    let expected = level.positionals.iter().map(|positional| Value::called(positional.name));
    match expected.into_iter().any(|value| value == Value::Shells) {
        true => Shell::ALL.map(Shell::name).to_vec(),
        false => vec![],
    }
}

/// The first line of a script.
fn head(shell: Shell, program: &str) -> String {
    let shell = shell.name();
    format!("# Completions of {program} for {shell}; made by: {program} completions {shell}\n")
}
