//! `cargo demo`: the whole pair on one machine, and one file that travels through it.
//!
//! It builds the two programs, makes a key, certificates and both configurations in a folder of
//! their own, starts server and client, drops a file into the watched folder and shows it arriving.
//! Not installed with the programs: it needs the feature `demo`.
#![expect(clippy::print_stdout, reason = "a program speaks to its terminal")]

mod certificates;

use argh::FromArgs;
use certificates::Certificates;
use crossbeam_channel::{Receiver, Sender, unbounded};
use rustix::process::{Pid, Signal, kill_process};
use s3up::clock;
use s3up::digest::Digest;
use s3up::program::{self, Failure};
use s3up::threads::Supervisor;
use std::fmt::Display;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};
use ureq::tls::{Certificate, RootCerts, TlsConfig};

/// Where the server listens, and the name in its certificate.
const HOST: &str = "127.0.0.1";

/// How long any one step may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Shows the pair at work: builds it, starts server and client, sends one file. Runs until Ctrl-C.
#[derive(FromArgs)]
struct Arguments {
    /// end after the first file has arrived, with 0 if all was well
    #[argh(switch)]
    once: bool,
}

fn main() -> ExitCode {
    match program::arguments::<Arguments>() {
        Err(stop) => stop,
        Ok(arguments) => program::report(run(&arguments)),
    }
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut supervisor = Supervisor::new().map_err(failed("prepare for signals"))?;
    let programs = build()?;
    let home = tempfile::Builder::new()
        .prefix("s3up-demo-")
        .tempdir()
        .map_err(failed("make a folder for the demo"))?;
    // Kept whatever happens: what is in it explains a failure.
    let home = home.keep();
    println!("\nEverything of this demo is in {}", home.display());

    let mut server = Daemon::default();
    let mut client = Daemon::default();
    let shown = show(&mut supervisor, &programs, &home, &mut server, &mut client);
    let shown = shown.and_then(|key| {
        if !arguments.once {
            say_what_next(&home, &server.address, &key);
            wait(&mut supervisor)?;
        }
        Ok(())
    });
    client.end();
    server.end();
    if shown.is_ok() && arguments.once {
        fs::remove_dir_all(&home).map_err(failed("remove the demo's folder"))?;
    } else {
        println!("\nLogs, configurations and files are still in {}", home.display());
    }
    shown
}

/// Builds both programs and says in which folder they are.
fn build() -> Result<PathBuf, Failure> {
    println!("Building s3up and s3up-server (a few minutes the first time) ...");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    // What `cargo run` says of the demo's own crate would make build scripts run again.
    for (name, _) in std::env::vars_os() {
        let named = |prefix: &str| name.to_string_lossy().starts_with(prefix);
        if named("CARGO_PKG_") || named("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    let status = command
        // The demo's own feature, so that what was built for it serves the programs too.
        .args(["build", "--release", "--locked", "--bins", "--features", "demo"])
        .args(["--manifest-path", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")])
        .status()
        .map_err(failed("run cargo"))?;
    if !status.success() {
        return Err(Failure::usage("the programs could not be built; cargo says why above"));
    }
    let own = std::env::current_exe().map_err(failed("find the programs"))?;
    Ok(own.parent().map(Path::to_path_buf).unwrap_or_default())
}

/// Starts the pair, sends one file and compares it at both ends. Gives back the client's key.
fn show(
    supervisor: &mut Supervisor,
    programs: &Path,
    home: &Path,
    server: &mut Daemon,
    client: &mut Daemon,
) -> Result<String, Failure> {
    let (key, sha256) = keygen(programs)?;
    for folder in ["watched", "store"] {
        fs::create_dir(home.join(folder)).map_err(failed("make a folder"))?;
    }
    let Certificates { authority, certificate, key: private } =
        certificates::make(HOST).map_err(failed("make certificates"))?;
    write(&home.join("ca.pem"), &authority)?;
    write(&home.join("cert.pem"), &certificate)?;
    write(&home.join("key.pem"), &private)?;
    write(&home.join("server.yaml"), &server_yaml(home, &sha256))?;
    println!("Certificates were made for this run: the client knows the server by ca.pem.");
    server.start(supervisor, programs, home, "s3up-server", "server")?;
    let listening = server.wait_for("listening on ")?;
    server.address = listening.rsplit(' ').next().unwrap_or_default().to_owned();

    write(&home.join("client.yaml"), &client_yaml(home, &server.address, &key))?;
    client.start(supervisor, programs, home, "s3up", "client")?;
    client.wait_for("scan (start)")?;

    let local = home.join("watched/hello.txt");
    let dropped = clock::monotonic();
    write(&local, "Hello from a web host. I am backed up as soon as I come to rest.\n")?;
    println!("\nDropped   {}", local.display());
    client.wait_for("uploaded ")?;
    let seconds = (clock::monotonic() - dropped).as_secs_f64();

    let stored = home.join("store/backups/demo-host/files/hello.txt");
    let (here, there) = (read(&local)?, read(&stored)?);
    let (own, theirs) = (Digest::of(&here), Digest::of(&there));
    println!("Arrived   {}", stored.display());
    println!("Size      {} bytes here, {} bytes there", here.len(), there.len());
    println!("SHA-256   {own} here");
    println!("          {theirs} there");
    println!("Time      {seconds:.1} s, of which 1 s is the wait for the file to rest");
    let back = download(home, &server.address, &key)?;
    if own != theirs || Digest::of(&back) != own {
        return Err(Failure::usage("what arrived is not what was sent"));
    }
    println!("Read back over the server's API: equal.");
    Ok(key)
}

fn say_what_next(home: &Path, address: &str, key: &str) {
    let home = home.display();
    println!(
        "\nBoth run until Ctrl-C. Try:\n\
         \x20 drop files, folders or whole trees into   {home}/watched\n\
         \x20 see them arrive in                        {home}/store/backups/demo-host/files\n\
         \x20 follow the client                         tail -f {home}/client.log\n\
         \x20 get a file back:\n\
         \x20   curl --cacert {home}/ca.pem -G -H 'Authorization: Bearer {key}' \\\n\
         \x20     --data-urlencode path=files/hello.txt {address}/download"
    );
}

fn wait(supervisor: &mut Supervisor) -> Result<(), Failure> {
    supervisor.wait().into_result().map_err(Failure::run)
}

/// One of the two programs, running; its log goes to a file and can be waited for.
#[derive(Default)]
struct Daemon {
    child: Option<Child>,
    lines: Option<Receiver<String>>,
    log: PathBuf,
    address: String,
}

impl Daemon {
    fn start(
        &mut self,
        supervisor: &mut Supervisor,
        programs: &Path,
        home: &Path,
        program: &str,
        name: &str,
    ) -> Result<(), Failure> {
        let mut child = Command::new(programs.join(program))
            .arg("-c")
            .arg(home.join(format!("{name}.yaml")))
            .env_remove("RUST_LOG")
            .stderr(Stdio::piped())
            .spawn()
            .map_err(failed("start a program"))?;
        let stderr = child.stderr.take();
        self.child = Some(child);
        self.log = home.join(format!("{name}.log"));
        let file = File::create(&self.log).map_err(failed("make a log file"))?;
        let (sender, lines) = unbounded();
        self.lines = Some(lines);
        let stderr = stderr.ok_or_else(|| Failure::usage("a program has no log"))?;
        supervisor
            .spawn(name, move || copy_log(stderr, file, &sender))
            .map_err(failed("start a thread"))
    }

    /// Waits for a line of the log that contains `text`.
    fn wait_for(&self, text: &str) -> Result<String, Failure> {
        let deadline: Instant = clock::monotonic() + PATIENCE;
        let lines = self.lines.as_ref().ok_or_else(|| Failure::usage("it was not started"))?;
        while let Ok(line) = lines.recv_deadline(deadline) {
            if line.contains(text) {
                return Ok(line);
            }
        }
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        Err(Failure::usage(format!("{text:?} did not show up in {}:\n{log}", self.log.display())))
    }

    fn end(&mut self) {
        let Some(child) = &mut self.child else { return };
        if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
            // It may have ended by itself, or by the same Ctrl-C.
            let _ = kill_process(pid, Signal::TERM);
        }
        let _ = child.wait();
    }
}

/// Moves a log's lines to its file and, while anybody listens, to the channel.
fn copy_log(stderr: ChildStderr, mut file: File, lines: &Sender<String>) {
    for line in BufReader::new(stderr).lines().map_while(Result::ok) {
        let written = writeln!(file, "{line}");
        if written.is_err() || lines.send(line).is_err() {
            return;
        }
    }
}

fn keygen(programs: &Path) -> Result<(String, String), Failure> {
    let output = Command::new(programs.join("s3up-server"))
        .arg("keygen")
        .output()
        .map_err(failed("run s3up-server keygen"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let value = |name: &str| {
        text.lines().find_map(|line| line.strip_prefix(name)).map(|value| value.replace('"', ""))
    };
    value("api_key: ")
        .zip(value("api_key_sha256: "))
        .ok_or_else(|| Failure::usage(format!("keygen says something else: {text}")))
}

fn server_yaml(home: &Path, sha256: &str) -> String {
    format!(
        "server:\n  host: {HOST}\n  port: 0\n  tls:\n    enabled: true\n    cert_file: {cert:?}\n    \
         key_file: {key:?}\ndirectory:\n  path: {store:?}\n  path_prefix: backups/\ndatabase:\n  path: \
         {database:?}\nclients:\n  - name: demo-host\n    api_key_sha256: {sha256}\n    max_file_size_mb: 1024\n",
        cert = home.join("cert.pem"),
        key = home.join("key.pem"),
        store = home.join("store"),
        database = home.join("server.db"),
    )
}

fn client_yaml(home: &Path, address: &str, key: &str) -> String {
    format!(
        "server:\n  url: {address}\n  ca_file: {authority:?}\n  api_key: {key}\ndatabase:\n  path: {database:?}\nwatches:\n  \
         - local_path: {watched:?}\n    remote_prefix: files/\nstability:\n  debounce_seconds: 1\n",
        authority = home.join("ca.pem"),
        database = home.join("client.db"),
        watched = home.join("watched")
    )
}

fn download(home: &Path, address: &str, key: &str) -> Result<Vec<u8>, Failure> {
    let authority = Certificate::from_pem(&read(&home.join("ca.pem"))?)
        .map_err(failed("read the authority's certificate"))?;
    let roots = RootCerts::new_with_certs(&[authority]);
    let mut response = ureq::get(format!("{address}/download?path=files/hello.txt"))
        .config()
        .tls_config(TlsConfig::builder().root_certs(roots).build())
        .build()
        .header("Authorization", format!("Bearer {key}"))
        .call()
        .map_err(failed("download the file"))?;
    let mut content = Vec::new();
    let mut body = response.body_mut().as_reader();
    body.read_to_end(&mut content).map_err(failed("download the file"))?;
    Ok(content)
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(path).map_err(|error| failed("read a file")(format!("{}: {error}", path.display())))
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    fs::write(path, text)
        .map_err(|error| failed("write a file")(format!("{}: {error}", path.display())))
}

fn failed<E: Display>(what: &str) -> impl FnOnce(E) -> Failure {
    move |error| Failure::usage(format!("cannot {what}: {error}"))
}
