//! The command line of `s3up`: what can be said, and what help, manual and completions say of it.
//!
//! Pure. `bin/s3up.rs` acts on it; [`crate::completions`] and the manual read its description. What a field's
//! documentation says is its help text: a phrase, for people at a terminal.

use crate::completions::Shell;
use argh::{ArgsInfo, FromArgs};
use std::path::PathBuf;

/// All of it.
#[derive(ArgsInfo, FromArgs)]
#[argh(
    help_triggers("-h", "--help", "help"),
    description = "Watches folders and backs up every file that comes to rest there, through an \
                   s3up-server.\n\n\
                   Runs until SIGTERM or SIGINT. What it does is logged to standard error; \
                   RUST_LOG=s3up=debug says more. On SIGHUP the configuration file is read again.",
    example = "s3up check -c /etc/s3up/client.yaml",
    example = "s3up -c /etc/s3up/client.yaml",
    example = "s3up status -c /etc/s3up/client.yaml",
    note = "s3up <command> --help says more of a command.",
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
    Check(Check),
    Completions(Completions),
    Healthcheck(Healthcheck),
    Report(Report),
    Scan(Scan),
    Status(Status),
}

/// Try everything out: the configuration, the folders, the database, and whether the server accepts the
/// key.
#[derive(ArgsInfo, FromArgs)]
#[argh(
    subcommand,
    name = "check",
    help_triggers("-h", "--help", "help"),
    example = "s3up check -c /etc/s3up/client.yaml",
    note = "It changes nothing; a client may be running beside it.",
    error_code(0, "every step has succeeded"),
    error_code(1, "a step has failed"),
    error_code(2, "the command line or the configuration is wrong")
)]
pub struct Check {
    /// the configuration file
    #[argh(option, short = 'c', arg_name = "file")]
    pub config: Option<PathBuf>,

    /// print one JSON document instead of lines
    #[argh(switch)]
    pub json: bool,
}

/// Print what makes a shell complete this command line.
#[derive(ArgsInfo, FromArgs)]
#[argh(
    subcommand,
    name = "completions",
    help_triggers("-h", "--help", "help"),
    example = "s3up completions bash > /etc/bash_completion.d/s3up",
    example = "s3up completions zsh > /usr/local/share/zsh/site-functions/_s3up",
    example = "s3up completions fish > /etc/fish/completions/s3up.fish",
    note = "Packages bring them along; this is for a program that was copied."
)]
pub struct Completions {
    /// bash, zsh or fish
    #[argh(positional)]
    pub shell: Shell,
}

/// Ask the client that runs with this configuration whether it lives: for containers and monitoring.
#[derive(ArgsInfo, FromArgs)]
#[argh(
    subcommand,
    name = "healthcheck",
    help_triggers("-h", "--help", "help"),
    example = "s3up healthcheck -c /etc/s3up/client.yaml",
    note = "A client that cannot back up everything lives all the same; s3up status tells how the backup \
            stands.",
    error_code(0, "a client is running and answers"),
    error_code(1, "none is, or it does not answer"),
    error_code(2, "the command line or the configuration is wrong")
)]
pub struct Healthcheck {
    /// the configuration file
    #[argh(option, short = 'c', arg_name = "file")]
    pub config: Option<PathBuf>,
}

/// Show what this client would report of today to its server, or send it.
#[derive(ArgsInfo, FromArgs)]
#[argh(
    subcommand,
    name = "report",
    help_triggers("-h", "--help", "help"),
    example = "s3up report -c /etc/s3up/client.yaml",
    example = "s3up report --now -c /etc/s3up/client.yaml",
    note = "A running client sends its report daily by itself.",
    error_code(0, "it was shown; with --now, the server has it"),
    error_code(1, "it cannot be made, or the server did not take it"),
    error_code(2, "the command line or the configuration is wrong"),
    error_code(3, "the server has it, and its own count differs")
)]
pub struct Report {
    /// the configuration file
    #[argh(option, short = 'c', arg_name = "file")]
    pub config: Option<PathBuf>,

    /// send it now, and show what the server says to it
    #[argh(switch)]
    pub now: bool,

    /// print one JSON document
    #[argh(switch)]
    pub json: bool,
}

/// Have the running client scan everything now, or show what a scan would upload and why.
#[derive(ArgsInfo, FromArgs)]
#[argh(
    subcommand,
    name = "scan",
    help_triggers("-h", "--help", "help"),
    example = "s3up scan -c /etc/s3up/client.yaml",
    example = "s3up scan --dry-run -c /etc/s3up/client.yaml",
    note = "With --dry-run it touches nothing, and needs neither a running client nor a server."
)]
pub struct Scan {
    /// the configuration file
    #[argh(option, short = 'c', arg_name = "file")]
    pub config: Option<PathBuf>,

    /// show what would be done, and do nothing
    #[argh(switch)]
    pub dry_run: bool,

    /// with --dry-run: print a JSON document for each file, and one with the sums
    #[argh(switch)]
    pub json: bool,
}

/// Show how the backup of this host stands, whether a client is running or not.
#[derive(ArgsInfo, FromArgs)]
#[argh(
    subcommand,
    name = "status",
    help_triggers("-h", "--help", "help"),
    example = "s3up status -c /etc/s3up/client.yaml",
    example = "s3up status --json -c /etc/s3up/client.yaml | jq .parked",
    error_code(0, "a client is running and all is well"),
    error_code(1, "no client is running, or it cannot be asked"),
    error_code(2, "the command line or the configuration is wrong"),
    error_code(3, "a client is running, and something is not backed up or not watched")
)]
pub struct Status {
    /// the configuration file
    #[argh(option, short = 'c', arg_name = "file")]
    pub config: Option<PathBuf>,

    /// print one JSON document, with all parked files
    #[argh(switch)]
    pub json: bool,
}
