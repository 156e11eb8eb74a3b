//! `s3up -c client.yaml`: the client daemon, and the commands beside it. Arguments in, exit code out;
//! the rest is the library's.

use argh::FromArgs;
use s3up::checklist::Form;
use s3up::client::daily::command::ReportError;
use s3up::client::dry_run::DryRunError;
use s3up::client::herald::Bar;
use s3up::client::status::StatusError;
use s3up::client::status::report::Verdict;
use s3up::client::{self, config::Config};
use s3up::program::{self, Failure};
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

/// Exit code of `status` for a client that runs and does not back up everything, and of `report` if the
/// server's count differs.
const EXIT_AILING: u8 = 3;

/// Watches folders and backs up every file that comes to rest there, through an s3up-server.
///
/// Runs until SIGTERM or SIGINT. What it does is logged to standard error; RUST_LOG=s3up=debug
/// says more.
#[derive(FromArgs)]
#[argh(
    note = "Examples:\n  s3up -c /etc/s3up/client.yaml\n  s3up check -c /etc/s3up/client.yaml\n  s3up status -c /etc/s3up/client.yaml\n  s3up scan --dry-run -c /etc/s3up/client.yaml\n  s3up report --now -c /etc/s3up/client.yaml"
)]
struct Arguments {
    /// the configuration file
    #[argh(option, short = 'c')]
    config: Option<PathBuf>,

    /// print the version and end
    #[argh(switch, short = 'V')]
    version: bool,

    #[argh(subcommand)]
    command: Option<Command>,
}

#[derive(FromArgs)]
#[argh(subcommand)]
enum Command {
    Check(Check),
    Healthcheck(Healthcheck),
    Report(Report),
    Scan(Scan),
    Status(Status),
}

/// Check the configuration, the folders, the database, and that the server accepts the key. Changes
/// nothing; a client may be running beside it. Exit code 1 if a step has failed.
#[derive(FromArgs)]
#[argh(subcommand, name = "check", note = "Example: s3up check -c /etc/s3up/client.yaml")]
struct Check {
    /// the configuration file
    #[argh(option, short = 'c')]
    config: Option<PathBuf>,

    /// print one JSON document instead of lines
    #[argh(switch)]
    json: bool,
}

/// Ask the client that runs with this configuration whether it is alive: for containers and monitoring.
/// One that cannot back up everything is; `s3up status` tells that.
#[derive(FromArgs)]
#[argh(
    subcommand,
    name = "healthcheck",
    note = "Example: s3up healthcheck -c /etc/s3up/client.yaml",
    error_code(0, "a client is running and answers"),
    error_code(1, "none is, or it does not answer"),
    error_code(2, "the command line or the configuration is wrong")
)]
struct Healthcheck {
    /// the configuration file
    #[argh(option, short = 'c')]
    config: Option<PathBuf>,
}

/// Show how the backup of this host stands, whether a client is running or not.
#[derive(FromArgs)]
#[argh(
    subcommand,
    name = "status",
    note = "Examples:\n  s3up status -c /etc/s3up/client.yaml\n  s3up status --json -c /etc/s3up/client.yaml | jq .parked",
    error_code(0, "a client is running and all is well"),
    error_code(1, "no client is running, or it cannot be asked"),
    error_code(2, "the command line or the configuration is wrong"),
    error_code(3, "a client is running, and something is not backed up or not watched")
)]
struct Status {
    /// the configuration file
    #[argh(option, short = 'c')]
    config: Option<PathBuf>,

    /// print one JSON document, with all parked files
    #[argh(switch)]
    json: bool,
}

/// Show what this client would report of today to its server, or, by --now, have it sent at once. It is
/// sent daily by itself.
#[derive(FromArgs)]
#[argh(
    subcommand,
    name = "report",
    note = "Examples:\n  s3up report -c /etc/s3up/client.yaml\n  s3up report --now -c /etc/s3up/client.yaml",
    error_code(0, "shown; with --now, the server has it"),
    error_code(1, "it cannot be made, or was not taken"),
    error_code(2, "the command line or the configuration is wrong"),
    error_code(3, "the server has it, and its own count differs")
)]
struct Report {
    /// the configuration file
    #[argh(option, short = 'c')]
    config: Option<PathBuf>,

    /// send it, and show what the server says to it
    #[argh(switch)]
    now: bool,

    /// print one JSON document
    #[argh(switch)]
    json: bool,
}

/// Have the running client scan everything now, or, by --dry-run, show what a scan would upload and
/// why: that touches nothing and needs neither client nor server.
#[derive(FromArgs)]
#[argh(
    subcommand,
    name = "scan",
    note = "Examples:\n  s3up scan -c /etc/s3up/client.yaml\n  s3up scan --dry-run -c /etc/s3up/client.yaml"
)]
struct Scan {
    /// the configuration file
    #[argh(option, short = 'c')]
    config: Option<PathBuf>,

    /// show what would be done, and do nothing
    #[argh(switch)]
    dry_run: bool,

    /// with --dry-run: print a JSON document for each file, and one with the sums
    #[argh(switch)]
    json: bool,
}

fn main() -> ExitCode {
    let Arguments { config, version, command } = match program::arguments::<Arguments>() {
        Err(stop) => return stop,
        Ok(arguments) => arguments,
    };
    let ended = match command {
        _ if version => program::print(concat!("s3up ", env!("CARGO_PKG_VERSION"))),
        None => run(config),
        Some(Command::Check(command)) => check(config, command),
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
    let (_, config) = read(file, "s3up", None)?;
    let bar = Bar::on_terminal();
    match bar.clone() {
        None => program::start_log(),
        Some(bar) => program::start_log_by(move |write| bar.beside(write)),
    }
    client::run(config, bar).map_err(Failure::run)?;
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
