//! `s3up-server -c server.yaml`: the server. Arguments in, exit code out; the rest is the library's.

use argh::FromArgs;
use s3up::program::{self, Failure};
use s3up::server;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

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
    Keygen(Keygen),
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
        Some(Command::Keygen(Keygen {})) => keygen(),
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
