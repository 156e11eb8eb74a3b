//! `s3up-server -c server.yaml`: the server. Arguments in, exit code out; the rest is the library's.

use s3up::program::{self, Failure};
use s3up::server::arguments::{
    Alert, Arguments, Check, Clients, Command, Completions, Healthcheck, Keygen, Report,
};
use s3up::server::healthcheck::Question;
use s3up::server::tables::{self, TablesError, Verdict, Wanted};
use s3up::table::Paint;
use s3up::version;
use s3up::{clock, server};
use std::io::{self, IsTerminal as _};
use std::path::PathBuf;
use std::process::ExitCode;

/// Exit code of a command that reports: something is not as it should be.
const EXIT_AILING: u8 = 3;

fn main() -> ExitCode {
    let Arguments { config, version, command } = match program::arguments::<Arguments>() {
        Err(stop) => return stop,
        Ok(arguments) => arguments,
    };
    let ended = match command {
        _ if version => program::print(format_args!("s3up-server {}", version::FULL)),
        None => run(config),
        Some(Command::Alert(command)) => alert(config, command),
        Some(Command::Check(command)) => check(config, command),
        Some(Command::Clients(command)) => clients(config, command),
        Some(Command::Completions(Completions { shell })) => {
            program::completions::<Arguments>("s3up-server", shell)
        }
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
