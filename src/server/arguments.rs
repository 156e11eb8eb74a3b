//! The command line of `s3up-server`: what can be said, and what help, manual and completions say of it.
//!
//! Pure. `bin/s3up-server.rs` acts on it; [`crate::completions`] and the manual read its description. What a
//! field's documentation says is its help text: a phrase, for people at a terminal.

use crate::completions::Shell;
use crate::wire::Day;
use argh::{ArgsInfo, FromArgs};
use std::path::PathBuf;

/// All of it.
#[derive(ArgsInfo, FromArgs)]
#[argh(
    help_triggers("-h", "--help", "help"),
    description = "Receives files from s3up clients and stores them in one bucket. It alone holds the S3 \
                   credentials.\n\n\
                   Runs until SIGTERM or SIGINT. What it does is logged to standard error; \
                   RUST_LOG=s3up=debug says more. Clients and certificate are read again when their \
                   files change, and on SIGHUP.",
    example = "s3up-server keygen",
    example = "s3up-server check -c /etc/s3up/server.yaml",
    example = "s3up-server -c /etc/s3up/server.yaml",
    example = "s3up-server clients -c /etc/s3up/server.yaml",
    note = "s3up-server <command> --help says more of a command.",
    error_code(0, "it ended as it was asked to"),
    error_code(1, "it could not run, or had to end"),
    error_code(2, "the command line or the configuration is wrong; a restart does not help"),
    error_code(130, "a second signal ended it at once")
)]
pub struct Arguments {
    /// the configuration file
    #[argh(option, short = 'c', arg_name = "file")]
    pub config: Option<PathBuf>,

    /// print the version and end
    #[argh(switch, short = 'V')]
    pub version: bool,

    /// what it is to do instead of running
    #[argh(subcommand)]
    pub command: Option<Command>,
}

/// What it is to do instead of running.
#[derive(ArgsInfo, FromArgs)]
#[argh(subcommand)]
#[expect(missing_docs, reason = "each names the type that describes it")]
pub enum Command {
    Alert(Alert),
    Check(Check),
    Clients(Clients),
    Completions(Completions),
    Healthcheck(Healthcheck),
    Keygen(Keygen),
    Report(Report),
}

/// Send a test message by each way that reports.on_silent names, and say how it went.
#[derive(ArgsInfo, FromArgs)]
#[argh(
    subcommand,
    name = "alert",
    help_triggers("-h", "--help", "help"),
    usage = "[-c <file>] --test",
    example = "s3up-server alert --test -c /etc/s3up/server.yaml",
    note = "A server may be running beside it; real alerts are its own.",
    error_code(0, "each way has taken the message"),
    error_code(1, "one has failed"),
    error_code(2, "the command line or the configuration is wrong")
)]
pub struct Alert {
    /// the configuration file
    #[argh(option, short = 'c', arg_name = "file")]
    pub config: Option<PathBuf>,

    /// say that it shall really be sent; nothing is without it
    #[argh(switch)]
    pub test: bool,
}

/// Try everything out: the configuration, the certificate, the database, and the store by a small object of
/// its own.
#[derive(ArgsInfo, FromArgs)]
#[argh(
    subcommand,
    name = "check",
    help_triggers("-h", "--help", "help"),
    example = "s3up-server check -c /etc/s3up/server.yaml",
    note = "The object lies where no client can reach it, and is removed again. At the end stand the \
            rights that are enough for the bucket, as an IAM policy. A server may be running beside it.",
    error_code(0, "every step has succeeded"),
    error_code(1, "a step has failed"),
    error_code(2, "the command line or the configuration is wrong")
)]
pub struct Check {
    /// the configuration file
    #[argh(option, short = 'c', arg_name = "file")]
    pub config: Option<PathBuf>,
}

/// Show how the clients are: when each was heard of, what it uploaded, what is wrong there.
#[derive(ArgsInfo, FromArgs)]
#[argh(
    subcommand,
    name = "clients",
    help_triggers("-h", "--help", "help"),
    example = "s3up-server clients -c /etc/s3up/server.yaml",
    example = "s3up-server clients --client webapp-prod --json -c /etc/s3up/server.yaml",
    note = "It reads the server's database (database.path). A server may be running beside it.",
    error_code(0, "nobody has to look"),
    error_code(1, "it cannot be told: there is no database, or it cannot be read"),
    error_code(2, "the command line or the configuration is wrong, or no client has that name"),
    error_code(3, "somebody has to look after a client")
)]
pub struct Clients {
    /// the configuration file
    #[argh(option, short = 'c', arg_name = "file")]
    pub config: Option<PathBuf>,

    /// show this client alone
    #[argh(option, arg_name = "name")]
    pub client: Option<String>,

    /// print one JSON document
    #[argh(switch)]
    pub json: bool,
}

/// Print what makes a shell complete this command line.
#[derive(ArgsInfo, FromArgs)]
#[argh(
    subcommand,
    name = "completions",
    help_triggers("-h", "--help", "help"),
    example = "s3up-server completions bash > /etc/bash_completion.d/s3up-server",
    example = "s3up-server completions zsh > /usr/local/share/zsh/site-functions/_s3up-server",
    example = "s3up-server completions fish > /etc/fish/completions/s3up-server.fish",
    note = "Packages bring them along; this is for a program that was copied."
)]
pub struct Completions {
    /// bash, zsh or fish
    #[argh(positional)]
    pub shell: Shell,
}

/// Ask the server that runs with this configuration whether it is well: for containers and monitoring.
#[derive(ArgsInfo, FromArgs)]
#[argh(
    subcommand,
    name = "healthcheck",
    help_triggers("-h", "--help", "help"),
    example = "s3up-server healthcheck -c /etc/s3up/server.yaml",
    example = "s3up-server healthcheck --ready -c /etc/s3up/server.yaml",
    note = "It is asked where it listens, and needs no key.",
    error_code(0, "it is well"),
    error_code(1, "it is not, or nobody answers"),
    error_code(2, "the command line or the configuration is wrong")
)]
pub struct Healthcheck {
    /// the configuration file
    #[argh(option, short = 'c', arg_name = "file")]
    pub config: Option<PathBuf>,

    /// ask whether its store is ready, too
    #[argh(switch)]
    pub ready: bool,
}

/// Make a new API key for one client, and the digest by which the server knows it.
#[derive(ArgsInfo, FromArgs)]
#[argh(
    subcommand,
    name = "keygen",
    help_triggers("-h", "--help", "help"),
    example = "s3up-server keygen",
    note = "The first line goes into client.yaml (server.api_key), the second one into server.yaml \
            (clients[].api_key_sha256): the server needs not know the key itself. It is kept nowhere."
)]
pub struct Keygen {}

/// Show what the clients reported of a day, beside what the server stored.
#[derive(ArgsInfo, FromArgs)]
#[argh(
    subcommand,
    name = "report",
    help_triggers("-h", "--help", "help"),
    example = "s3up-server report -c /etc/s3up/server.yaml",
    example = "s3up-server report --date 2026-11-28 --client webapp-prod -c /etc/s3up/server.yaml",
    note = "It reads the server's database (database.path). A server may be running beside it.",
    error_code(0, "nobody has to look"),
    error_code(1, "it cannot be told: there is no database, or it cannot be read"),
    error_code(2, "the command line or the configuration is wrong, or no client has that name"),
    error_code(3, "a report is missing, or says that something is wrong")
)]
pub struct Report {
    /// the configuration file
    #[argh(option, short = 'c', arg_name = "file")]
    pub config: Option<PathBuf>,

    /// the day, UTC, such as 2026-11-28; yesterday if none is named
    #[argh(option, arg_name = "day")]
    pub date: Option<Day>,

    /// show this client alone
    #[argh(option, arg_name = "name")]
    pub client: Option<String>,

    /// print one JSON document
    #[argh(switch)]
    pub json: bool,
}
