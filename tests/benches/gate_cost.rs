//! What the gate costs: the same uploads through it, with TLS and without, and straight into
//! `tiny_http`.
//!
//! `cargo bench --bench gate_cost` prints the tables of DESIGN.md. It runs itself once more as the
//! server under test (`--serve`), so that the server's CPU time and memory are its own. Handlers and
//! keys are the library's, and the store keeps nothing: what is left is HTTP, the form, the digest.
//! Servers take turns in every round, and are compared within a round: other work on the machine
//! then bears on all of them.
//!
//! `cargo bench --bench gate_cost -- --ledger` measures instead what it costs to remember every upload in
//! the server's database: over the store that keeps nothing, where that is the most, and over a folder.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark prints its results, and one that cannot go on stops"
)]

mod figures;
mod load;
mod nowhere;
mod server;
mod servers;

use argh::FromArgs;
use figures::{Figure, Series};
use load::{Load, Measure, Target};
use s3up::clock;
use s3up::digest::Digest;
use server::{Server, ServerKind};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Measure what the gate costs.
#[derive(FromArgs)]
struct Arguments {
    /// how many rounds, 5 by default
    #[argh(option, default = "5")]
    rounds: usize,
    /// how many small uploads in each round, 24000 by default
    #[argh(option, default = "24_000")]
    uploads: u64,
    /// how many idle connections, 1000 by default
    #[argh(option, default = "1000")]
    idle: usize,
    /// another build of this program, whose servers take turns with those of this one
    #[argh(option)]
    before: Option<PathBuf>,
    /// only servers with this in their name
    #[argh(option, default = "String::new()")]
    only: String,
    /// only loads with this in their name
    #[argh(option, default = "String::new()")]
    load: String,
    /// what the ledger costs instead: servers with it and without it, small uploads alone
    #[argh(switch)]
    ledger: bool,
    /// be the server of this kind, with its certificate in this folder
    #[argh(option)]
    serve: Option<ServerKind>,
    /// the folder with the certificate
    #[argh(option)]
    folder: Option<PathBuf>,
    /// given by `cargo bench`
    #[argh(switch)]
    #[expect(dead_code, reason = "says nothing new")]
    bench: bool,
}

/// A server under test: which program, and as what.
struct Contestant {
    name: String,
    program: PathBuf,
    kind: ServerKind,
}

fn main() {
    let arguments: Arguments = argh::from_env();
    if let (Some(kind), Some(folder)) = (arguments.serve, &arguments.folder) {
        return servers::serve(kind, folder);
    }
    // As many descriptors as may be had: each idle connection is one here, and two over there.
    s3up::server::gate::descriptors::raise();
    let folder = TempDir::new().unwrap();
    servers::make_certificate(folder.path());
    let contestants = contestants(&arguments);
    let digest = digest_seconds_per_gb();
    let figures = measure(&arguments, &contestants, folder.path());
    println!("{}", figures::table(&figures));
    if arguments.ledger {
        return;
    }
    println!("SHA-256 alone: {digest:.2} CPU-s a GB\n");
    println!(
        "| server | opens its door after ms | kB for each of {} idle connections |",
        arguments.idle
    );
    println!("|---|---|---|");
    for contestant in &contestants {
        let (ready, idle) = rest(contestant, arguments.idle, folder.path());
        println!("| {} | {ready:.0} | {idle:.1} |", contestant.name);
    }
}

fn contestants(arguments: &Arguments) -> Vec<Contestant> {
    let own = std::env::current_exe().unwrap();
    let mut contestants = Vec::new();
    let kinds: &[ServerKind] =
        if arguments.ledger { &ServerKind::OF_THE_LEDGER } else { &ServerKind::OF_THE_GATE };
    for &kind in kinds {
        let mut add = |name: String, program: &Path| {
            contestants.push(Contestant { name, program: program.to_owned(), kind });
        };
        if let Some(before) = arguments.before.as_deref().filter(|_| kind != ServerKind::Bare) {
            add(format!("{}{}", kind.name(), figures::BEFORE), before);
        }
        add(kind.name().to_owned(), &own);
    }
    contestants.retain(|contestant| contestant.name.contains(&arguments.only));
    contestants
}

/// All figures, the servers in their order.
fn measure(arguments: &Arguments, contestants: &[Contestant], folder: &Path) -> Vec<Series> {
    let mut loads = Load::all(arguments.uploads);
    let warm_up = loads[0].warm_up();
    loads.retain(|load| load.name.contains(&arguments.load));
    if arguments.ledger {
        loads.retain(|load| load.measure == Measure::Uploads);
    }
    let mut all = Vec::new();
    for round in 0..arguments.rounds {
        // There and back again, so that none has always another one's dust before it.
        let mut turns: Vec<&Contestant> = contestants.iter().collect();
        if round % 2 == 1 {
            turns.reverse();
        }
        for contestant in turns {
            let server = Server::start(&contestant.program, contestant.kind, folder);
            let target = Target::new(server.port(), contestant.kind, folder);
            target.run(&warm_up);
            for load in &loads {
                let figure = one(&server, &target, load);
                eprintln!("{}: {} {} {figure:?}", round + 1, contestant.name, load.name);
                figures::note(&mut all, &contestant.name, load, figure);
            }
        }
    }
    all
}

fn one(server: &Server, target: &Target, load: &Load) -> Figure {
    server.forget_peak();
    let (cpu, began) = (server.cpu_seconds(), clock::monotonic());
    target.run(load);
    let seconds = (clock::monotonic() - began).as_secs_f64();
    let cpu = server.cpu_seconds() - cpu;
    Figure { rate: load.amount() / seconds, cpu: cpu / load.amount(), peak: server.peak_mb() }
}

/// How long a server takes until it is ready, in milliseconds, and what it needs for each
/// connection that waits after an upload, in kB.
fn rest(contestant: &Contestant, idle: usize, folder: &Path) -> (f64, f64) {
    let began = clock::monotonic();
    let server = Server::start(&contestant.program, contestant.kind, folder);
    let ready = (clock::monotonic() - began).as_secs_f64() * 1000.0;
    let target = Target::new(server.port(), contestant.kind, folder);
    let small = Load::all(1).swap_remove(0);
    let connections: Vec<_> = (0..16).map(|_| target.connect(&small)).collect();
    server.settle();
    let before = server.resident_kb();
    let more: Vec<_> = (0..idle).map(|_| target.connect(&small)).collect();
    server.settle();
    let needed = (server.resident_kb() - before) / idle as f64;
    drop((connections, more));
    (ready, needed)
}

/// CPU seconds that the digest of 10^9 bytes takes on this machine.
fn digest_seconds_per_gb() -> f64 {
    let content = vec![7; 1_000_000];
    let mut times: Vec<f64> = (0..200)
        .map(|_| {
            let began = clock::monotonic();
            std::hint::black_box(Digest::of(&content));
            (clock::monotonic() - began).as_secs_f64() * 1000.0
        })
        .collect();
    // The quickest ones were not interrupted.
    times.sort_by(f64::total_cmp);
    times[times.len() / 4]
}
