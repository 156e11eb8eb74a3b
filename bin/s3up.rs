//! `s3up -c client.yaml`: the client daemon, and the commands beside it. Arguments in, exit code out;
//! the rest is the library's.

use s3up::checklist::Form;
use s3up::client::arguments::{
    Arguments, Check, Command, Completions, Healthcheck, Report, Scan, Status,
};
use s3up::client::daily::command::ReportError;
use s3up::client::dry_run::DryRunError;
use s3up::client::herald::Bar;
use s3up::client::status::StatusError;
use s3up::client::status::report::Verdict;
use s3up::client::{self, config::Config};
use s3up::program::{self, Failure};
use s3up::version;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

/// Exit code of `status` for a client that runs and does not back up everything, and of `report` if the
/// server's count differs.
const EXIT_AILING: u8 = 3;

fn main() -> ExitCode {
    let Arguments { config, version, command } = match program::arguments::<Arguments>() {
        Err(stop) => return stop,
        Ok(arguments) => arguments,
    };
    let ended = match command {
        _ if version => program::print(format_args!("s3up {}", version::FULL)),
        None => run(config),
        Some(Command::Check(command)) => check(config, command),
        Some(Command::Completions(Completions { shell })) => {
            program::completions::<Arguments>("s3up", shell)
        }
        Some(Command::Healthcheck(command)) => healthcheck(config, command),
        Some(Command::Report(command)) => report(config, command),
        Some(Command::Scan(command)) => scan(config, command),
        Some(Command::Status(command)) => status(config, command),
    };
    ended.unwrap_or_else(|failure| program::report(Err(failure)))
}

/// The configuration of a command that stands between two places for its file's name.
fn read(
    before: Option<PathBuf>,
    command: &str,
    behind: Option<PathBuf>,
) -> Result<(PathBuf, Config), Failure> {
    let example = format!("{command} -c /etc/s3up/client.yaml");
    program::read_config(before, behind, &example, client::config::parse)
}

fn run(file: Option<PathBuf>) -> Result<ExitCode, Failure> {
    let (file, config) = read(file, "s3up", None)?;
    let bar = Bar::on_terminal();
    match bar.clone() {
        None => program::start_log(),
        Some(bar) => program::start_log_by(move |write| bar.beside(write)),
    }
    client::run(&file, config, bar).map_err(Failure::run)?;
    Ok(ExitCode::SUCCESS)
}

fn check(file: Option<PathBuf>, command: Check) -> Result<ExitCode, Failure> {
    let (file, config) = read(file, "s3up check", command.config)?;
    let form = if command.json { Form::Json } else { Form::Lines };
    // What failed was said where it did.
    match client::check::run(&file, &config, form, &mut io::stdout()).map_err(Failure::output)? {
        true => Ok(ExitCode::SUCCESS),
        false => Ok(ExitCode::FAILURE),
    }
}

fn healthcheck(file: Option<PathBuf>, command: Healthcheck) -> Result<ExitCode, Failure> {
    let (_, config) = read(file, "s3up healthcheck", command.config)?;
    program::print(client::healthcheck::run(&config.database).map_err(Failure::run)?)
}

fn status(file: Option<PathBuf>, command: Status) -> Result<ExitCode, Failure> {
    let (_, config) = read(file, "s3up status", command.config)?;
    let verdict = client::status::run(&config, command.json, &mut io::stdout());
    let verdict = verdict.map_err(|error| match error {
        StatusError::Output(error) => Failure::output(error),
        error => Failure::run(error),
    })?;
    Ok(match verdict {
        Verdict::Well => ExitCode::SUCCESS,
        Verdict::NotRunning => ExitCode::FAILURE,
        Verdict::Ailing => ExitCode::from(EXIT_AILING),
    })
}

fn report(file: Option<PathBuf>, command: Report) -> Result<ExitCode, Failure> {
    let (_, config) = read(file, "s3up report", command.config)?;
    let mut out = io::stdout();
    let failed = |error| match error {
        ReportError::Output(error) => Failure::output(error),
        error => Failure::run(error),
    };
    if !command.now {
        client::daily::command::show(&config, command.json, &mut out).map_err(failed)?;
        return Ok(ExitCode::SUCCESS);
    }
    let differs = client::daily::command::send(&config, command.json, &mut out).map_err(failed)?;
    Ok(match differs {
        true => ExitCode::from(EXIT_AILING),
        false => ExitCode::SUCCESS,
    })
}

fn scan(file: Option<PathBuf>, command: Scan) -> Result<ExitCode, Failure> {
    if command.json && !command.dry_run {
        return Err(Failure::usage("--json needs --dry-run: what a scan finds, the client logs"));
    }
    let (_, config) = read(file, "s3up scan", command.config)?;
    if command.dry_run {
        let mut out = io::BufWriter::new(io::stdout());
        client::dry_run::run(&config, command.json, &mut out).map_err(|error| match error {
            DryRunError::Output(error) => Failure::output(error),
            error => Failure::run(error),
        })?;
        return Ok(ExitCode::SUCCESS);
    }
    client::status::request_scan(&config.database).map_err(Failure::run)?;
    program::print("the client scans everything now; its log and s3up status say what it finds")
}
