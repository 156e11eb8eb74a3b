//! `s3up-server -c server.yaml`: the server. Arguments in, exit code out; the rest is the library's.

use argh::FromArgs;
use s3up::program::{self, Failure};
use s3up::server::healthcheck::Question;
use s3up::server::tables::{self, TablesError, Verdict, Wanted};
use s3up::table::Paint;
use s3up::wire::Day;
use s3up::{clock, server};
use std::io::{self, IsTerminal as _};
use std::path::PathBuf;
use std::process::ExitCode;

/// Exit code of a command that reports: something is not as it should be.
const EXIT_AILING: u8 = 3;

/// Receives files from s3up clients and stores them in one bucket. It alone holds the S3
/// credentials.
///
/// Runs until SIGTERM or SIGINT. What it does is logged to standard error; RUST_LOG=s3up=debug
/// says more. Clients and certificate are read again when their files change, and on SIGHUP.
#[derive(FromArgs)]
#[argh(
    note = "Examples:\n  s3up-server keygen\n  s3up-server check -c /etc/s3up/server.yaml\n  s3up-server -c /etc/s3up/server.yaml"
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
    Alert(Alert),
    Check(Check),
    Clients(Clients),
    Healthcheck(Healthcheck),
    Keygen(Keygen),
    Report(Report),
}

/// Check the configuration, the certificate and the store, which a probe is written to and removed
/// from again, and print the rights that are enough. A server may be running beside it.
#[derive(FromArgs)]
#[argh(subcommand, name = "check")]
struct Check {
    /// the configuration file
    #[argh(option, short = 'c')]
    config: Option<PathBuf>,
}

/// Show how the clients are: whether each was heard of lately, what it uploaded, what is wrong there.
/// A server may be running beside it. Exit code 3: somebody has to look after a client.
#[derive(FromArgs)]
#[argh(subcommand, name = "clients")]
struct Clients {
    /// the configuration file
    #[argh(option, short = 'c')]
    config: Option<PathBuf>,

    /// this client alone
    #[argh(option)]
    client: Option<String>,

    /// one JSON document
    #[argh(switch)]
    json: bool,
}

/// Show what the clients reported of a day, beside what the server stored. A server may be running
/// beside it. Exit code 3: a report is missing, or says that something is wrong.
#[derive(FromArgs)]
#[argh(subcommand, name = "report")]
struct Report {
    /// the configuration file
    #[argh(option, short = 'c')]
    config: Option<PathBuf>,

    /// the day, UTC, such as 2026-11-28; yesterday otherwise
    #[argh(option)]
    date: Option<Day>,

    /// this client alone
    #[argh(option)]
    client: Option<String>,

    /// one JSON document
    #[argh(switch)]
    json: bool,
}

/// Ask the server that runs with this configuration whether it is well: for containers and monitoring. It
/// is asked where it listens, and needs no key.
#[derive(FromArgs)]
#[argh(
    subcommand,
    name = "healthcheck",
    note = "Example: s3up-server healthcheck -c /etc/s3up/server.yaml",
    error_code(0, "it is"),
    error_code(1, "it is not, or nobody answers"),
    error_code(2, "the command line or the configuration is wrong")
)]
struct Healthcheck {
    /// the configuration file
    #[argh(option, short = 'c')]
    config: Option<PathBuf>,

    /// ask whether its store is ready, too
    #[argh(switch)]
    ready: bool,
}

/// Make an API key for one client. The first line goes into client.yaml (server.api_key), the
/// second one into server.yaml (clients[].api_key_sha256): the server needs not know the key itself.
#[derive(FromArgs)]
#[argh(subcommand, name = "keygen")]
struct Keygen {}

/// Send a test message by each way that reports.on_silent names, and say how it went. The exit code is 1
/// if one has failed.
#[derive(FromArgs)]
#[argh(subcommand, name = "alert")]
struct Alert {
    /// the configuration file
    #[argh(option, short = 'c')]
    config: Option<PathBuf>,

    /// really send it
    #[argh(switch)]
    test: bool,
}

fn main() -> ExitCode {
    let Arguments { config, version, command } = match program::arguments::<Arguments>() {
        Err(stop) => return stop,
        Ok(arguments) => arguments,
    };
    let ended = match command {
        _ if version => program::print(concat!("s3up-server ", env!("CARGO_PKG_VERSION"))),
        None => run(config),
        Some(Command::Alert(command)) => alert(config, command),
        Some(Command::Check(command)) => check(config, command),
        Some(Command::Clients(command)) => clients(config, command),
        Some(Command::Healthcheck(command)) => healthcheck(config, command),
        Some(Command::Keygen(Keygen {})) => keygen(),
        Some(Command::Report(command)) => report(config, command),
    };
    ended.unwrap_or_else(|failure| program::report(Err(failure)))
}

fn check(file: Option<PathBuf>, command: Check) -> Result<ExitCode, Failure> {
    let example = "s3up-server check -c /etc/s3up/server.yaml";
    let (file, config) =
        program::read_config(file, command.config, example, server::config::parse)?;
    // What failed was said where it did.
    match server::check::run(&file, &config, &mut io::stdout()).map_err(Failure::output)? {
        true => Ok(ExitCode::SUCCESS),
        false => Ok(ExitCode::FAILURE),
    }
}

fn clients(file: Option<PathBuf>, command: Clients) -> Result<ExitCode, Failure> {
    let example = "s3up-server clients -c /etc/s3up/server.yaml";
    let (_, config) = program::read_config(file, command.config, example, server::config::parse)?;
    let wanted = wanted(command.client, command.json);
    told(tables::clients(&config, &wanted, clock::unix_seconds(), &mut io::stdout()))
}

fn report(file: Option<PathBuf>, command: Report) -> Result<ExitCode, Failure> {
    let example = "s3up-server report -c /etc/s3up/server.yaml";
    let (_, config) = program::read_config(file, command.config, example, server::config::parse)?;
    let (wanted, now) = (wanted(command.client, command.json), clock::unix_seconds());
    told(tables::reports(&config, &wanted, command.date, now, &mut io::stdout()))
}

fn wanted(client: Option<String>, json: bool) -> Wanted {
    let variable = |name| std::env::var(name).ok();
    let (no_color, term) = (variable("NO_COLOR"), variable("TERM"));
    let is_terminal = io::stdout().is_terminal();
    let paint = Paint::wanted(is_terminal, no_color.as_deref(), term.as_deref());
    Wanted { client, json, paint }
}

fn told(verdict: Result<Verdict, TablesError>) -> Result<ExitCode, Failure> {
    match verdict {
        Ok(Verdict::Well) => Ok(ExitCode::SUCCESS),
        Ok(Verdict::Ailing) => Ok(ExitCode::from(EXIT_AILING)),
        Err(TablesError::Output(error)) => Err(Failure::output(error)),
        Err(error @ TablesError::NoClient(_)) => Err(Failure::usage(error)),
        Err(error) => Err(Failure::run(error)),
    }
}

fn alert(file: Option<PathBuf>, command: Alert) -> Result<ExitCode, Failure> {
    let example = "s3up-server alert --test -c /etc/s3up/server.yaml";
    if !command.test {
        return Err(Failure::usage(format!("alert needs --test; such as: {example}")));
    }
    let (_, config) = program::read_config(file, command.config, example, server::config::parse)?;
    match server::alerts::test(&config.on_silent, &mut io::stdout()).map_err(Failure::output)? {
        true => Ok(ExitCode::SUCCESS),
        false => Ok(ExitCode::FAILURE),
    }
}

fn healthcheck(file: Option<PathBuf>, command: Healthcheck) -> Result<ExitCode, Failure> {
    let example = "s3up-server healthcheck -c /etc/s3up/server.yaml";
    let (_, config) = program::read_config(file, command.config, example, server::config::parse)?;
    let question = if command.ready { Question::Ready } else { Question::Alive };
    program::print(server::healthcheck::run(&config.server, question).map_err(Failure::run)?)
}

fn keygen() -> Result<ExitCode, Failure> {
    let (key, sha256) = server::auth::generate_key().map_err(Failure::run)?;
    program::print(format_args!("api_key: \"{}\"\napi_key_sha256: \"{sha256}\"", key.expose()))
}

fn run(file: Option<PathBuf>) -> Result<ExitCode, Failure> {
    let example = "s3up-server -c /etc/s3up/server.yaml";
    let (file, config) = program::read_config(file, None, example, server::config::parse)?;
    program::start_log();
    server::run(file, config).map_err(Failure::run)?;
    Ok(ExitCode::SUCCESS)
}
