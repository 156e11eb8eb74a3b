//! `s3up -c client.yaml`: the client daemon. Arguments in, exit code out; the rest is the library's.
#![expect(clippy::print_stdout, reason = "a program speaks to its terminal")]

use argh::FromArgs;
use s3up::client;
use s3up::program::{self, Failure};
use std::path::PathBuf;
use std::process::ExitCode;

/// Watches folders and backs up every file that comes to rest there, through an s3up-server.
///
/// Runs until SIGTERM or SIGINT. What it does is logged to standard error; RUST_LOG=s3up=debug
/// says more.
#[derive(FromArgs)]
#[argh(note = "Example: s3up -c /etc/s3up/client.yaml")]
struct Arguments {
    /// the configuration file
    #[argh(option, short = 'c')]
    config: Option<PathBuf>,

    /// print the version and end
    #[argh(switch, short = 'V')]
    version: bool,
}

fn main() -> ExitCode {
    match program::arguments::<Arguments>() {
        Err(stop) => stop,
        Ok(Arguments { version: true, .. }) => {
            println!("s3up {}", env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
        Ok(arguments) => program::report(run(arguments)),
    }
}

fn run(arguments: Arguments) -> Result<(), Failure> {
    let file = program::required_config(arguments.config, "s3up -c /etc/s3up/client.yaml")?;
    let config = program::read_config(&file, client::config::parse)?;
    program::start_log();
    client::run(config).map_err(Failure::run)
}
