//! One store with what stands behind it, so that a test can look at both sides.

use super::s3_server::{self, S3Server};
use super::{files_below, key_below, tree};
use s3up::remote_path::RemotePrefix;
use s3up::secret::Secret;
use s3up::server::key::{ClientFolder, ClientName, ObjectKey};
use s3up::server::store::directory::DirectoryStore;
use s3up::server::store::inspect::Inspect;
use s3up::server::store::s3::{Deadlines, Environment, Identity, Keys, S3Settings, S3Store};
use s3up::server::store::{ObjectStore, StoreError};
use s3up::threads::{Stop, StopSource};
use std::collections::HashMap;
use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;
use tempfile::TempDir;

/// A store, its other side, and a prefix that no other test uses.
pub(crate) struct Scene {
    pub(crate) store: Box<dyn Inspect>,
    prefix: String,
    behind: Behind,
}

/// What stands behind a store.
enum Behind {
    Directory(TempDir),
    External(Box<s3::Bucket>),
    S3(S3Server),
}

impl Scene {
    /// A fresh folder.
    pub(crate) fn directory() -> Self {
        let folder = TempDir::new().unwrap();
        let store = DirectoryStore::open(folder.path().join("store")).unwrap();
        let behind = Behind::Directory(folder);
        Self { store: Box::new(store), prefix: "backups".to_owned(), behind }
    }

    /// A fresh server, or the one that the environment names:
    /// `S3UP_TEST_S3_{ENDPOINT,REGION,BUCKET,ACCESS_KEY_ID,SECRET_ACCESS_KEY}`.
    pub(crate) fn s3() -> Self {
        if let Some(scene) = Self::external() {
            return scene;
        }
        let server = S3Server::start();
        let store = prepare(settings(&server.endpoint())).unwrap();
        let behind = Behind::S3(server);
        Self { store: Box::new(store), prefix: "backups".to_owned(), behind }
    }

    fn external() -> Option<Self> {
        let (settings, store) = (external_settings()?, external_store()?);
        // The other side is looked at with other eyes than the store's own.
        let Identity::Keys(Keys { access_key_id: id, secret_access_key: secret, .. }) =
            &settings.identity
        else {
            panic!("the keys are in the environment")
        };
        let secret = Some(secret.expose());
        let credentials = s3::creds::Credentials::new(Some(id), secret, None, None, None);
        let place = s3::Region::Custom {
            region: settings.region.clone(),
            endpoint: settings.endpoint.clone().unwrap(),
        };
        let other = s3::Bucket::new(&settings.bucket, place, credentials.unwrap()).unwrap();
        Some(Self {
            store: Box::new(store),
            prefix: format!("run-{:016x}", fastrand::u64(..)),
            behind: Behind::External(other.with_path_style()),
        })
    }

    /// What every key in this scene begins with.
    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// A key in this scene.
    pub(crate) fn key(&self, path: &str) -> ObjectKey {
        key_below(&self.prefix, path)
    }

    /// Paths of all objects, as the other side has them.
    pub(crate) fn objects(&self) -> Vec<String> {
        let mut names = match &self.behind {
            Behind::Directory(folder) => {
                let mut names = files_below(&folder.path().join("store"));
                names.retain(|name| !name.starts_with(".s3up-tmp"));
                names
            }
            Behind::S3(server) => server.objects(),
            Behind::External(bucket) => {
                let pages = bucket.list(format!("{}/", self.prefix), None).unwrap();
                pages.into_iter().flat_map(|page| page.contents).map(|object| object.key).collect()
            }
        };
        let prefix = self.key("x").as_str().strip_suffix('x').unwrap().to_owned();
        for name in &mut names {
            *name = name.strip_prefix(&prefix).expect("objects lie below the prefix").to_owned();
        }
        names.sort();
        names
    }

    /// What was begun, not finished and not removed.
    pub(crate) fn leftovers(&self) -> Vec<String> {
        match &self.behind {
            Behind::Directory(folder) => files_below(&folder.path().join("store/.s3up-tmp")),
            Behind::S3(server) => server.leftovers(),
            Behind::External(bucket) => {
                let prefix = format!("{}/", self.prefix);
                let pages = bucket.list_multiparts_uploads(Some(&prefix), None).unwrap();
                pages.into_iter().flat_map(|page| page.uploads).map(|upload| upload.key).collect()
            }
        }
    }

    /// The same store, as another process opens it. (What this process is writing is not under way
    /// there.)
    pub(crate) fn another(&self) -> Box<dyn ObjectStore> {
        match &self.behind {
            Behind::Directory(folder) => {
                Box::new(DirectoryStore::open(folder.path().join("store")).unwrap())
            }
            Behind::S3(server) => Box::new(prepare(settings(&server.endpoint())).unwrap()),
            Behind::External(_) => Box::new(external_store().unwrap()),
        }
    }

    /// The folder of a client in this scene.
    pub(crate) fn client_folder(&self, client: &str) -> ClientFolder {
        folder_of(&self.prefix, client)
    }

    /// Whether the other side lists what was begun. `s3s-fs` does not know this.
    pub(crate) fn lists_what_was_begun(&self) -> bool {
        !matches!(self.behind, Behind::S3(_))
    }

    /// Whether what is unfinished is told apart by its key there.
    pub(crate) fn keeps_unfinished_below_its_key(&self) -> bool {
        !matches!(self.behind, Behind::Directory(_))
    }

    /// The longest segment that the other side can hold, in bytes. `s3s-fs` keeps metadata in files
    /// named by the key in base64.
    pub(crate) fn segment_max(&self) -> usize {
        if matches!(self.behind, Behind::S3(_)) { 100 } else { 255 }
    }

    /// Whether a name that only begins other names is absent there. `s3s-fs` fails over the folder.
    pub(crate) fn tells_folders_from_objects(&self) -> bool {
        !matches!(self.behind, Behind::S3(_))
    }

    /// The scene for the eyes of who reads a failure.
    fn show(&self) -> String {
        match &self.behind {
            Behind::Directory(folder) => tree(folder.path()),
            Behind::S3(server) => tree(server.folder()),
            Behind::External(_) => {
                format!("{:#?}\nbegun: {:#?}", self.objects(), self.leftovers())
            }
        }
    }

    /// The folder behind a directory store.
    pub(crate) fn folder(&self) -> &Path {
        match &self.behind {
            Behind::Directory(folder) => folder.path(),
            _ => panic!("only a directory store has a folder"),
        }
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}\n{}", self.store.describe(), self.show());
        }
    }
}

/// The folder of `client` below `prefix`.
pub(crate) fn folder_of(prefix: &str, client: &str) -> ClientFolder {
    let prefix = RemotePrefix::parse(prefix).unwrap();
    ClientFolder::new(&prefix, &ClientName::parse(client).unwrap())
}

/// Settings for the server that the environment names, if it names one.
fn external_settings() -> Option<S3Settings> {
    let read = |name: &str| std::env::var(format!("S3UP_TEST_S3_{name}"));
    let endpoint = read("ENDPOINT").ok()?;
    let [region, bucket, id, secret] =
        ["REGION", "BUCKET", "ACCESS_KEY_ID", "SECRET_ACCESS_KEY"].map(|n| read(n).expect(n));
    let identity = keys(&id, &secret, None);
    let deadlines = Deadlines::default();
    Some(S3Settings { region, bucket, identity, deadlines, ..settings(&endpoint) })
}

fn external_store() -> Option<S3Store> {
    external_settings().map(|settings| prepare(settings).unwrap())
}

/// What tells nobody to end.
pub(crate) fn never() -> Stop {
    static SOURCE: LazyLock<StopSource> = LazyLock::new(StopSource::default);
    SOURCE.stop()
}

/// A store with these settings that is never told to end.
pub(crate) fn prepare(settings: S3Settings) -> Result<S3Store, StoreError> {
    S3Store::new(settings, never())
}

/// Settings for the test server at `endpoint`.
pub(crate) fn settings(endpoint: &str) -> S3Settings {
    S3Settings {
        endpoint: Some(endpoint.to_owned()),
        region: s3_server::REGION.to_owned(),
        bucket: s3_server::BUCKET.to_owned(),
        force_path_style: None,
        ca_file: None,
        identity: keys(s3_server::ACCESS_KEY_ID, s3_server::SECRET_ACCESS_KEY, None),
        environment: environment(&[]),
        // Each failure is seen as it comes.
        deadlines: Deadlines { retry: Duration::ZERO, ..Deadlines::default() },
    }
}

/// An environment of these variables alone.
pub(crate) fn environment(variables: &[(&str, &str)]) -> Environment {
    let variables: HashMap<String, String> =
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Environment::new(move |name| variables.get(name).cloned())
}

/// An identity of these keys.
pub(crate) fn keys(id: &str, secret: &str, token: Option<&str>) -> Identity {
    Identity::Keys(Keys {
        access_key_id: id.to_owned(),
        secret_access_key: Secret::new(secret),
        session_token: token.map(Secret::new),
    })
}
