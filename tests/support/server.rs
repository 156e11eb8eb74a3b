//! The server's program with its configuration and its store.

use super::bucket::{self, Bucket, Kind};
use super::daemon::{Daemon, SERVER};
use super::slot::Slot;
use super::tools;
use super::vitals::Vitals;
use std::net::TcpListener;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Key of the client `web`.
pub(crate) const WEB_KEY: &str = "sk_test_0123456789abcdef0123456789abcdef-web";
/// Key of the client `web-eu`.
pub(crate) const EU_KEY: &str = "sk_test_0123456789abcdef0123456789abcdef-eu";
/// Key of an administrator.
pub(crate) const ADMIN_KEY: &str = "sk_test_0123456789abcdef0123456789abcdef-admin";
/// What the log says of an upload that was stored.
pub(crate) const STORED: &str = "\"/upload\" 200";

/// A server: running, or ready to be started (again). What its file says can be changed at any time,
/// and is written at the next start, or by [`Server::configure`].
pub(crate) struct Server {
    folder: TempDir,
    pub(crate) bucket: Bucket,
    /// 0: any that is free, another one at each start.
    pub(crate) port: u16,
    pub(crate) host: &'static str,
    /// The value of `server.tls`, as it stands in the file.
    pub(crate) tls: String,
    pub(crate) workers: usize,
    /// Most descriptors it may have; none: as many as we may.
    pub(crate) descriptors: Option<u64>,
    /// Addresses and blocks of them.
    pub(crate) trusted_proxies: Vec<&'static str>,
    /// The section `limits`, as it stands in the file: empty for the defaults.
    pub(crate) limits: String,
    /// Other sections, as they stand in the file.
    pub(crate) sections: String,
    /// Name and key of each client.
    pub(crate) clients: Vec<(&'static str, &'static str)>,
    pub(crate) max_file_size_mb: u64,
    pub(crate) allow_download: bool,
    pub(crate) environment: Vec<(&'static str, &'static str)>,
    slot: Slot,
}

impl Deref for Server {
    type Target = Slot;

    fn deref(&self) -> &Slot {
        &self.slot
    }
}

impl DerefMut for Server {
    fn deref_mut(&mut self) -> &mut Slot {
        &mut self.slot
    }
}

impl Server {
    /// A server with an empty store, not yet started.
    pub(crate) fn new(kind: Kind) -> Self {
        let folder = TempDir::new().unwrap();
        let mut server = Self {
            bucket: Bucket::new(kind, folder.path()),
            folder,
            port: 0,
            host: "127.0.0.1",
            tls: "{ enabled: false }".to_owned(),
            workers: 16,
            descriptors: None,
            trusted_proxies: vec![],
            limits: String::new(),
            sections: String::new(),
            clients: vec![("web", WEB_KEY), ("web-eu", EU_KEY)],
            max_file_size_mb: 100,
            allow_download: true,
            environment: bucket::environment().to_vec(),
            slot: Slot::default(),
        };
        server.remembers();
        server
    }

    /// A server that runs.
    pub(crate) fn started(kind: Kind) -> Self {
        let mut server = Self::new(kind);
        server.start();
        server
    }

    /// Where it remembers what its clients do, if it does.
    pub(crate) fn database(&self) -> PathBuf {
        self.folder.path().join("memory/activity.db")
    }

    /// Gives it a database and an administrator, as it has them from the beginning.
    pub(crate) fn remembers(&mut self) {
        let path = self.database();
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        self.sections =
            format!("database:\n  path: {path:?}\nadmin_keys:\n  - api_key: \"{ADMIN_KEY}\"\n");
    }

    /// Starts it, and waits until it listens. Returns its port.
    #[track_caller]
    pub(crate) fn start(&mut self) -> u16 {
        self.launch();
        self.listening_port()
    }

    /// Starts it.
    pub(crate) fn launch(&mut self) {
        let file = self.configure();
        let arguments = [Path::new("-c"), &file];
        // A folder of its own for temporary files, so that what is left there can be seen.
        let temporary = self.folder.path().join("tmp");
        std::fs::create_dir_all(&temporary).unwrap();
        let mut environment = self.environment.clone();
        environment.push(("TMPDIR", temporary.to_str().unwrap()));
        self.slot.insert(match self.descriptors {
            None => Daemon::start(SERVER, &arguments, &environment),
            Some(most) => {
                let wrapper = tools::with_descriptors(most);
                Daemon::start_within(&wrapper, SERVER, &arguments, &environment)
            }
        });
    }

    /// Writes its configuration, and returns the file.
    pub(crate) fn configure(&self) -> PathBuf {
        let file = self.folder.path().join("server.yaml");
        std::fs::write(&file, self.yaml()).unwrap();
        file
    }

    /// What stands in its configuration.
    pub(crate) fn yaml(&self) -> String {
        let client = |(name, key): &(&str, &str)| {
            let (size, download) = (self.max_file_size_mb, self.allow_download);
            format!(
                "  - name: \"{name}\"\n    api_key: \"{key}\"\n    max_file_size_mb: {size}\n    \
                 allow_download: {download}\n"
            )
        };
        format!(
            "server:\n  host: \"{}\"\n  port: {}\n  tls: {}\n  workers: {}\n  trusted_proxies: {:?}\n\
             {}\n{}\n{}clients:\n{}",
            self.host,
            self.port,
            self.tls,
            self.workers,
            self.trusted_proxies,
            self.limits,
            self.sections,
            self.bucket.yaml(),
            self.clients.iter().map(client).collect::<String>()
        )
    }

    /// The port that the running server listens on.
    #[track_caller]
    pub(crate) fn listening_port(&self) -> u16 {
        listening_port(self.daemon())
    }

    /// What the running server holds now.
    #[track_caller]
    pub(crate) fn vitals(&self) -> Vitals {
        Vitals::of(self.daemon().pid())
    }

    /// How many uploads were stored, by those before, too.
    pub(crate) fn uploads(&self) -> usize {
        self.log().matches(STORED).count()
    }

    pub(crate) fn folder(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    fn show(&self) -> String {
        let log = self.log();
        format!(
            "# server.yaml\n{}\n# bucket\n{}\n# server log\n{log}",
            self.yaml(),
            self.bucket.show()
        )
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.show());
        }
    }
}

/// The port that a server says it listens on.
#[track_caller]
pub(crate) fn listening_port(daemon: &Daemon) -> u16 {
    let line = daemon.wait_for("listening on http");
    line.rsplit(':').next().unwrap().trim().parse().unwrap()
}

/// A port that stays free while a server is down: the system gives out none of these by itself.
pub(crate) fn free_port() -> u16 {
    let free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    std::iter::repeat_with(|| fastrand::u16(10_000..32_000)).find(free).unwrap()
}
