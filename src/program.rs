//! What the two programs' `main` functions share: arguments, configuration file, log, exit code.
//!
//! Runs on the main thread before anything else; only [`load_config`] may be called later, too. Exit
//! codes: 0 all is well, 1 it could not run or had to end, 2 the command line or the configuration is
//! wrong (then restarting does not help). A command that reports has more; it says so.
#![expect(clippy::print_stderr, reason = "a program speaks to its terminal")]

use crate::completions::{self, Shell};
use crate::config::{ConfigError, Outside};
use crate::limits::{CONFIG_BYTES_MAX, SECRET_FILE_BYTES_MAX};
use argh::{ArgsInfo, TopLevelCommand};
use std::error::Error;
use std::fmt::Display;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Exit code for a wrong command line or configuration.
const EXIT_USAGE: u8 = 2;

/// Width of help.
const HELP_COLUMNS: usize = 80;

/// Why a program ends without success.
#[derive(Debug)]
pub struct Failure {
    exit: u8,
    message: String,
}

impl Failure {
    /// It could not run, or had to end.
    pub fn run(error: impl Error) -> Self {
        Self { exit: 1, message: error.to_string() }
    }

    /// What it says cannot be written. A reader that went away (`s3up status | head`) has what it wanted,
    /// and is told nothing; the exit code still says that not all was written.
    pub fn output(error: io::Error) -> Self {
        let message = match error.kind() {
            io::ErrorKind::BrokenPipe => String::new(),
            _ => format!("cannot write to standard output: {error}"),
        };
        Self { exit: 1, message }
    }

    /// It was called wrongly, or cannot do what was asked.
    pub fn usage(message: impl ToString) -> Self {
        Self { exit: EXIT_USAGE, message: message.to_string() }
    }
}

/// Prints a failure, each line behind `error: `, and makes the exit code.
pub fn report(result: Result<(), Failure>) -> ExitCode {
    let Err(failure) = result else { return ExitCode::SUCCESS };
    for line in failure.message.lines() {
        eprintln!("error: {line}");
    }
    ExitCode::from(failure.exit)
}

/// Prints a text and ends its line.
pub fn print(text: impl Display) -> Result<ExitCode, Failure> {
    let mut out = io::stdout();
    let written = writeln!(out, "{text}").and_then(|()| out.flush());
    written.map_err(Failure::output)?;
    Ok(ExitCode::SUCCESS)
}

/// Reads the command line. `Err` is the exit code to end with: help was printed, or what is wrong.
pub fn arguments<T: TopLevelCommand>() -> Result<T, ExitCode> {
    let words: Result<Vec<String>, _> =
        std::env::args_os().map(std::ffi::OsString::into_string).collect();
    let words = words.map_err(|word| {
        report(Err(Failure::usage(format!("{word:?} on the command line is not UTF-8"))))
    })?;
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (program, rest) = words.split_first().unwrap_or((&"s3up", &[]));
    let name = Path::new(program).file_name().and_then(|name| name.to_str()).unwrap_or(program);
    T::from_args(&[name], rest).map_err(|early| match early.status {
        Ok(()) => {
            print(folded(&early.output).trim_end()).unwrap_or_else(|failure| report(Err(failure)))
        }
        Err(()) => {
            let output = early.output.trim();
            report(Err(Failure::usage(format!("{output}\nfor help: {name} --help"))))
        }
    })
}

/// Help as a terminal of 80 columns shows it well. `argh` folds the texts of options and commands and
/// nothing else, and calls the exit codes of a success errors, too.
fn folded(help: &str) -> String {
    let help = help.replace("\nError codes:\n", "\nExit codes:\n");
    let mut folded = String::new();
    for line in help.lines() {
        let text = line.trim_start();
        let indent = line.len() - text.len();
        // Usage and examples are for the clipboard.
        if line.starts_with("Usage:") || text.contains(" -c /") || line.len() <= HELP_COLUMNS {
            folded.push_str(line);
        } else {
            let mut column = 0;
            for word in text.split(' ') {
                if column > 0 && column + 1 + word.len() > HELP_COLUMNS {
                    folded.push('\n');
                    column = 0;
                }
                let room = if column == 0 { indent } else { 1 };
                folded.extend(std::iter::repeat_n(' ', room));
                folded.push_str(word);
                column += room + word.len();
            }
        }
        folded.push('\n');
    }
    folded
}

/// Prints what makes a shell complete the command line of `program`, which `T` describes.
pub fn completions<T: ArgsInfo>(program: &str, shell: Shell) -> Result<ExitCode, Failure> {
    let script = completions::script(shell, program, &T::get_args_info());
    let mut out = io::stdout();
    let written = out.write_all(script.as_bytes()).and_then(|()| out.flush());
    written.map_err(Failure::output)?;
    Ok(ExitCode::SUCCESS)
}

/// Reads the configuration file that a program begins with. It has to be named, `before` a command or
/// `behind` it; `example` is such a command line.
pub fn read_config<T>(
    before: Option<PathBuf>,
    behind: Option<PathBuf>,
    example: &str,
    parse: impl FnOnce(&str, &str, Outside<'_>) -> Result<T, ConfigError>,
) -> Result<(PathBuf, T), Failure> {
    let file = match (before, behind) {
        (Some(before), Some(behind)) if before != behind => Err(Failure::usage(format!(
            "two configuration files are named, {before:?} and {behind:?}: name one by -c"
        ))),
        (before, behind) => behind
            .or(before)
            .ok_or_else(|| Failure::usage(format!("no configuration file; such as: {example}"))),
    }?;
    let config = load_config(&file, parse).map_err(Failure::usage)?;
    Ok((file, config))
}

/// Reads a configuration file with the parser for it, and the files with secrets that it names. Its
/// variables are the process's.
pub fn load_config<T>(
    file: &Path,
    parse: impl FnOnce(&str, &str, Outside<'_>) -> Result<T, ConfigError>,
) -> Result<T, ConfigError> {
    let name = file.display().to_string();
    let text = read_text(file).map_err(|error| {
        let hint = "hint: name a readable YAML file by -c";
        ConfigError::whole_file(&name, format!("cannot read it: {error}; {hint}"))
    })?;
    let variable = |name: &str| std::env::var(name).ok();
    parse(&name, &text, Outside { variable: &variable, file: &secret_file })
}

/// The bytes of a file that should hold a secret: one more than may be, at most. Only a regular file is
/// opened: a pipe would hold up for ever who reads a configuration again, and has nothing for him.
fn secret_file(file: &Path) -> io::Result<Vec<u8>> {
    if !std::fs::metadata(file)?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let mut bytes = Vec::new();
    File::open(file)?.take(SECRET_FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn read_text(file: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(file)?.take(CONFIG_BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > CONFIG_BYTES_MAX {
        return Err(io::Error::other(format!("it is larger than {CONFIG_BYTES_MAX} bytes")));
    }
    Ok(text)
}

/// Starts the log: to standard error, from `info` upward, UTC. `RUST_LOG` chooses otherwise.
pub fn start_log() {
    start_log_by(|write| write());
}

/// Starts the log; each line is written by `frame`, which may have to make room on the terminal.
pub fn start_log_by(frame: impl Fn(&mut dyn FnMut()) + Send + Sync + 'static) {
    let filter = env_logger::Env::default().default_filter_or("info");
    let mut builder = env_logger::Builder::from_env(filter);
    let logger = builder.format_timestamp_millis().format_target(false).build();
    let level = logger.filter();
    // Only a second call fails, and then there is a log.
    if log::set_boxed_logger(Box::new(Framed { logger, frame })).is_ok() {
        log::set_max_level(level);
    }
}

struct Framed<F> {
    logger: env_logger::Logger,
    frame: F,
}

impl<F: Fn(&mut dyn FnMut()) + Send + Sync> log::Log for Framed<F> {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        self.logger.enabled(metadata)
    }

    fn log(&self, record: &log::Record<'_>) {
        // A line that is not written needs no room.
        if self.logger.matches(record) {
            (self.frame)(&mut || self.logger.log(record));
        }
    }

    fn flush(&self) {
        self.logger.flush();
    }
}
