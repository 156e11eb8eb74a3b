//! The client's program with its configuration, its database and its watched folder.

use super::daemon::{CLIENT, Daemon};
use super::server::WEB_KEY;
use super::slot::Slot;
use super::tree;
use super::waiting::{DEADLINE, eventually};
use rusqlite::{Connection, OpenFlags};
use s3up::client::fingerprint::Fingerprint;
use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// One entry of `watches`.
pub(crate) struct Watch {
    pub(crate) folder: PathBuf,
    pub(crate) prefix: &'static str,
    pub(crate) recursive: bool,
    /// Further lines of the entry, without their indent.
    pub(crate) more: String,
}

/// A client: running, or ready to be started (again).
pub(crate) struct Client {
    folder: TempDir,
    pub(crate) watches: Vec<Watch>,
    pub(crate) url: String,
    /// How the server is known: further lines of the section `server`, without their indent.
    pub(crate) trust: String,
    pub(crate) environment: Vec<(&'static str, String)>,
    pub(crate) api_key: String,
    pub(crate) upload_existing: bool,
    pub(crate) interval_minutes: u32,
    pub(crate) debounce_seconds: f64,
    pub(crate) max_attempts: u32,
    pub(crate) max_wait_seconds: u32,
    pub(crate) database: PathBuf,
    /// Where it writes figures, if anywhere.
    pub(crate) textfile: Option<PathBuf>,
    /// By which command it is started; see [`Daemon::start_within`].
    pub(crate) wrapper: Vec<String>,
    slot: Slot,
}

impl Deref for Client {
    type Target = Slot;

    fn deref(&self) -> &Slot {
        &self.slot
    }
}

impl DerefMut for Client {
    fn deref_mut(&mut self) -> &mut Slot {
        &mut self.slot
    }
}

impl Client {
    /// A client with one empty watched folder, not yet started.
    pub(crate) fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let mut client = Self {
            watches: vec![],
            url: String::new(),
            trust: String::new(),
            environment: vec![],
            api_key: WEB_KEY.to_owned(),
            upload_existing: true,
            interval_minutes: 60,
            debounce_seconds: 0.2,
            max_attempts: 100,
            max_wait_seconds: 3600,
            database: folder.path().join("client.db"),
            textfile: None,
            wrapper: vec![],
            folder,
            slot: Slot::default(),
        };
        client.watch("data", "uploads/");
        client
    }

    /// Makes one more folder and watches it.
    pub(crate) fn watch(&mut self, name: &str, prefix: &'static str) -> PathBuf {
        let folder = self.beside(name);
        std::fs::create_dir(&folder).unwrap();
        let more = String::new();
        self.watches.push(Watch { folder: folder.clone(), prefix, recursive: true, more });
        folder
    }

    /// A path beside the watched folders, on the same file system.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The path of `name` in the first watched folder.
    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.watches[0].folder.join(name)
    }

    /// Starts it, and waits until it watches and its first scan is through.
    #[track_caller]
    pub(crate) fn start(&mut self) {
        let daemon = self.launch();
        daemon.wait_for("scan (start)");
    }

    /// Starts it.
    pub(crate) fn launch(&mut self) -> &Daemon {
        let file = self.configure();
        let environment = self.environment.iter().map(|(name, value)| (*name, value.as_str()));
        let environment: Vec<(&str, &str)> = environment.collect();
        let arguments = [Path::new("-c"), &file];
        self.slot.insert(Daemon::start_within(&self.wrapper, CLIENT, &arguments, &environment))
    }

    /// Writes its configuration, and returns the file.
    pub(crate) fn configure(&self) -> PathBuf {
        let file = self.beside("client.yaml");
        std::fs::write(&file, self.yaml()).unwrap();
        file
    }

    fn yaml(&self) -> String {
        let trust: String = self.trust.lines().map(|line| format!("  {line}\n")).collect();
        let mut yaml = format!(
            "server:\n  url: \"{}\"\n{trust}  api_key: \"{}\"\ndatabase:\n  path: {:?}\n\
             scan:\n  upload_existing: {}\n  interval_minutes: {}\nstability:\n  debounce_seconds: {}\n  \
             max_attempts: {}\n  max_wait_seconds: {}\nupload:\n  retry_delay_seconds: 0.1\nwatches:\n",
            self.url,
            self.api_key,
            self.database,
            self.upload_existing,
            self.interval_minutes,
            self.debounce_seconds,
            self.max_attempts,
            self.max_wait_seconds
        );
        if let Some(textfile) = &self.textfile {
            yaml = format!("metrics:\n  textfile: {textfile:?}\n{yaml}");
        }
        for Watch { folder, prefix, recursive, more } in &self.watches {
            yaml += &format!(
                "  - local_path: {folder:?}\n    remote_prefix: \"{prefix}\"\n    \
                 recursive: {recursive}\n"
            );
            yaml.extend(more.lines().map(|line| format!("    {line}\n")));
        }
        yaml
    }

    #[track_caller]
    pub(crate) fn assert_nothing_to_complain(&self) {
        let log = self.log();
        assert!(!log.contains(" WARN") && !log.contains(" ERROR"), "the client complains");
    }

    /// Waits until the database says of the file at `path` that it is in the bucket as it stands.
    #[track_caller]
    pub(crate) fn wait_until_recorded(&self, path: &Path) {
        let what = format!("a row for {path:?} as it stands");
        eventually(DEADLINE, &what, || {
            let now = Fingerprint::of(&std::fs::symlink_metadata(path).ok()?);
            (self.records().get(path) == Some(&now)).then_some(())
        });
    }

    /// Waits until the database says so of every regular file in the watched folders.
    #[track_caller]
    pub(crate) fn wait_until_all_recorded(&self) {
        self.wait_until_recorded_all(|_| true);
    }

    /// Waits until the database says so of every regular file there that is `wanted`.
    #[track_caller]
    pub(crate) fn wait_until_recorded_all(&self, wanted: impl Fn(&Path) -> bool) {
        eventually(DEADLINE, "a row for every file as it stands", || {
            let records = self.records();
            let files = self.files();
            let mut files = files.iter().filter(|(path, _)| wanted(path));
            files.all(|(path, now)| records.get(path) == Some(now)).then_some(())
        });
    }

    /// Waits until the kernel watches just this many folders for it.
    #[track_caller]
    pub(crate) fn wait_for_watches(&self, count: usize) {
        let what = format!("the kernel watches {count} folders for the client");
        eventually(DEADLINE, &what, || (self.daemon().inotify_watches() == count).then_some(()));
    }

    /// Every regular file in the watched folders.
    pub(crate) fn files(&self) -> BTreeMap<PathBuf, Fingerprint> {
        let folders = self.watches.iter().map(|watch| walkdir::WalkDir::new(&watch.folder));
        let entries = folders.flatten().map(Result::unwrap);
        let files = entries.filter(|entry| entry.file_type().is_file());
        files
            .map(|file| (file.path().to_owned(), Fingerprint::of(&file.metadata().unwrap())))
            .collect()
    }

    /// What the database says is in the bucket.
    pub(crate) fn records(&self) -> BTreeMap<PathBuf, Fingerprint> {
        self.select("SELECT local_path, file_size, mtime_ns, ctime_ns, inode FROM files", |row| {
            let path: String = row.get(0)?;
            let fingerprint = Fingerprint {
                size: row.get::<_, i64>(1)?.cast_unsigned(),
                mtime_ns: row.get(2)?,
                ctime_ns: row.get(3)?,
                inode: row.get::<_, i64>(4)?.cast_unsigned(),
            };
            Ok((PathBuf::from(path), fingerprint))
        })
        .into_iter()
        .collect()
    }

    /// What the database says cannot be backed up, and why.
    pub(crate) fn parked(&self) -> BTreeMap<PathBuf, String> {
        self.select("SELECT local_path, reason FROM parked", |row| {
            let path: Vec<u8> = row.get(0)?;
            Ok((PathBuf::from(std::ffi::OsStr::from_bytes(&path)), row.get(1)?))
        })
        .into_iter()
        .collect()
    }

    /// Waits until the file at `path` is parked, and returns the reason.
    #[track_caller]
    pub(crate) fn wait_until_parked(&self, path: &Path) -> String {
        let what = format!("{path:?} is parked");
        eventually(DEADLINE, &what, || self.parked().remove(path))
    }

    /// Rows of the database. There are none as long as there is no database.
    fn select<T>(
        &self,
        statement: &str,
        read: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Vec<T> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let Ok(database) = Connection::open_with_flags(&self.database, flags) else {
            return vec![];
        };
        database.busy_timeout(DEADLINE).unwrap();
        let Ok(mut statement) = database.prepare(statement) else { return vec![] };
        statement.query_map([], read).unwrap().map(Result::unwrap).collect()
    }

    fn show(&self) -> String {
        let mut shown = format!("# client.yaml\n{}", self.yaml());
        for watch in &self.watches {
            shown += &format!("# {:?}\n{}", watch.folder, tree(&watch.folder));
        }
        shown += &format!("# database: uploaded\n{:#?}\n", self.records());
        shown += &format!("# database: parked\n{:#?}\n", self.parked());
        shown + "# client log\n" + &self.log()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.show());
        }
    }
}
