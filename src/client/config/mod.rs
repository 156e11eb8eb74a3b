//! `client.yaml`: which folders, which server, and how patient to be.
//!
//! Pure: text in, a checked [`Config`] or every problem at once out.

mod server;

pub use server::Server;

use crate::client::filter::{Filter, Pattern, Patterns};
use crate::config::{self, ConfigError, Environment, Section};
use crate::limits::{DEBOUNCE_SECONDS_MAX, DEBOUNCE_SECONDS_MIN, OBJECT_BYTES_MAX};
use crate::remote_path::RemotePrefix;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

/// One "MB" of the configuration, in bytes, as on the server.
const MB: u64 = 1024 * 1024;

/// A whole client configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to send files.
    pub server: Server,
    /// Where the client remembers what it sent (`database.path`).
    pub database: PathBuf,
    /// The folders to back up; no two overlap.
    pub watches: Vec<Watch>,
    /// What a scan takes, and when.
    pub scan: Scan,
    /// When a file counts as at rest.
    pub stability: Stability,
    /// How files are sent.
    pub upload: Upload,
}

/// One watched folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watch {
    /// The folder: absolute, without `.` or `..`.
    pub local_path: PathBuf,
    /// What its files are put below in this client's part of the bucket.
    pub remote_prefix: RemotePrefix,
    /// Whether its subfolders belong to it.
    pub recursive: bool,
    /// Which of its files are taken.
    pub filter: Filter,
    /// Size of the largest file that is sent, in bytes; `None` leaves that to the server.
    pub max_file_size: Option<u64>,
}

/// What a scan takes, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scan {
    /// Whether files that were there before the first run are uploaded.
    pub upload_existing: bool,
    /// Time between two full scans.
    pub interval: Duration,
}

/// When a file counts as at rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stability {
    /// Least time between the two looks that must see the same.
    pub debounce: Duration,
    /// How often a file may be found changed before it is given up until the next scan.
    pub max_attempts: u32,
}

/// How files are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Upload {
    /// How often a failed file is tried again before it is parked.
    pub retry_attempts: u32,
    /// First delay before a failed file is tried again; it grows.
    pub retry_delay: Duration,
    /// How many files are sent at the same time.
    pub concurrency: usize,
}

/// Reads a configuration. `file` is the name problems are reported under.
pub fn parse(file: &str, text: &str, environment: Environment<'_>) -> Result<Config, ConfigError> {
    config::parse(file, text, environment, |root| {
        let server = root.section("server", server::read);
        let database = root.section("database", |section| section.required("path", absolute_path));
        let watches = root.list("watches", watch).filter(|watches| disjoint(root, watches));
        let scan = root.section_or_default("scan", scan);
        let stability = root.section_or_default("stability", stability);
        let upload = root.section_or_default("upload", upload);
        Some(Config {
            server: server?,
            database: database?,
            watches: watches?,
            scan: scan?,
            stability: stability?,
            upload: upload?,
        })
    })
}

fn watch(section: &Section<'_>) -> Option<Watch> {
    let local_path = section.required("local_path", absolute_path);
    let remote_prefix = section.optional("remote_prefix", RemotePrefix::parse);
    let recursive = section.flag("recursive", true);
    let filter = filter(section);
    let megabytes = 1..=OBJECT_BYTES_MAX / MB;
    let max_file_size = section.optional_integer("max_file_size_mb", megabytes);
    Some(Watch {
        local_path: local_path?,
        remote_prefix: remote_prefix?.unwrap_or_default(),
        recursive: recursive?,
        filter: filter?,
        max_file_size: max_file_size?.map(|megabytes| megabytes * MB),
    })
}

/// A list of patterns to leave out takes the place of the built-in one; an empty one leaves nothing
/// out.
fn filter(section: &Section<'_>) -> Option<Filter> {
    let exclude = match section.has("exclude_patterns") {
        true => patterns(section, "exclude_patterns"),
        false => section.noted("exclude_patterns", Patterns::built_in()),
    };
    let include = patterns(section, "include_patterns");
    if section.has("include_patterns") && include.as_ref()?.texts().is_empty() {
        section.problem(
            "include_patterns",
            "is an empty list, by which no file would be sent; take the key out to send all",
        );
        return None;
    }
    Some(Filter { exclude: exclude?, include: include? })
}

fn patterns(section: &Section<'_>, key: &str) -> Option<Patterns> {
    let texts = section.texts(key, Pattern::parse)?;
    section.noted(key, Patterns::new(texts))
}

fn absolute_path(text: &str) -> Result<PathBuf, &'static str> {
    let path = Path::new(text);
    if !path.is_absolute() {
        return Err("is not an absolute path");
    }
    if path.components().any(|part| part == Component::ParentDir) {
        return Err("must not contain '..'");
    }
    // Collecting the components drops doubled and closing slashes, so that paths compare.
    Ok(path.components().collect())
}

/// Two watches on one file would upload it twice; two files on one remote path would overwrite each
/// other. Neither is ever what was meant.
fn disjoint(root: &Section<'_>, watches: &[Watch]) -> bool {
    let covers = |outer: &Watch, inner: &Watch| {
        inner.local_path == outer.local_path
            || (outer.recursive && inner.local_path.starts_with(&outer.local_path))
    };
    let mut disjoint = true;
    for (index, one) in watches.iter().enumerate() {
        for other in &watches[..index] {
            let message = if covers(one, other) || covers(other, one) {
                format!("{:?} and {:?} overlap", other.local_path, one.local_path)
            } else if one.remote_prefix == other.remote_prefix {
                format!(
                    "{:?} and {:?} have the same remote_prefix {:?}; files of one name would \
                     overwrite each other",
                    other.local_path,
                    one.local_path,
                    one.remote_prefix.to_string()
                )
            } else {
                continue;
            };
            root.problem("watches", message);
            disjoint = false;
        }
    }
    disjoint
}

fn scan(section: &Section<'_>) -> Option<Scan> {
    let upload_existing = section.flag("upload_existing", false);
    let minutes = section.integer("interval_minutes", Some(60), 1..=7 * 24 * 60);
    Some(Scan { upload_existing: upload_existing?, interval: Duration::from_secs(minutes? * 60) })
}

fn stability(section: &Section<'_>) -> Option<Stability> {
    let range = DEBOUNCE_SECONDS_MIN..=DEBOUNCE_SECONDS_MAX;
    let debounce = section.number("debounce_seconds", Some(3.0), range);
    let max_attempts = section.integer("max_attempts", Some(100), 1..=1_000_000);
    Some(Stability {
        debounce: Duration::from_secs_f64(debounce?),
        max_attempts: max_attempts? as u32,
    })
}

fn upload(section: &Section<'_>) -> Option<Upload> {
    let retry_attempts = section.integer("retry_attempts", Some(3), 0..=1000);
    let retry_delay = section.number("retry_delay_seconds", Some(5.0), 0.0..=3600.0);
    let concurrency = section.integer("concurrency", Some(4), 1..=64);
    Some(Upload {
        retry_attempts: retry_attempts? as u32,
        retry_delay: Duration::from_secs_f64(retry_delay?),
        concurrency: concurrency? as usize,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = r#"
server:
  url: "https://backup.mycompany.com:8080"
  api_key: "sk_live_abc123..."

database:
  path: "/var/lib/s3uploader/client.db"

watches:
  - local_path: "/var/www/webapp/uploads"
    remote_prefix: "uploads/"
    recursive: true

  - local_path: "/var/www/webapp/documents"
    remote_prefix: "documents/"
    recursive: true

scan:
  upload_existing: false       # If false, skip existing files on first run

stability:
  debounce_seconds: 3          # Wait time between mtime/size checks
  max_attempts: 100            # Max stability check attempts before giving up on a file

upload:
  retry_attempts: 3
  retry_delay_seconds: 5
"#;

    fn read(text: &str) -> Result<Config, String> {
        parse("client.yaml", text, &|_| None).map_err(|error| error.to_string())
    }

    fn check(text: &str, expected: &str) {
        assert_eq!(read(text).map(|_| ()).unwrap_err(), expected, "\n{text}");
    }

    #[test]
    fn the_design_documents_own_file_is_read() {
        let config = read(DOCUMENT).unwrap();
        assert_eq!(config.server.url, "https://backup.mycompany.com:8080");
        assert_eq!(config.server.api_key.expose(), "sk_live_abc123...");
        assert_eq!(config.database, Path::new("/var/lib/s3uploader/client.db"));
        let watch = |local: &str, remote: &str| Watch {
            local_path: local.into(),
            remote_prefix: RemotePrefix::parse(remote).unwrap(),
            recursive: true,
            filter: Filter {
                exclude: Patterns::built_in().unwrap(),
                include: Patterns::new(vec![]).unwrap(),
            },
            max_file_size: None,
        };
        assert_eq!(
            config.watches,
            [
                watch("/var/www/webapp/uploads", "uploads/"),
                watch("/var/www/webapp/documents", "documents/")
            ]
        );
        assert_eq!(
            config.scan,
            Scan { upload_existing: false, interval: Duration::from_secs(3600) }
        );
        let debounce = Duration::from_secs(3);
        assert_eq!(config.stability, Stability { debounce, max_attempts: 100 });
        let retry_delay = Duration::from_secs(5);
        assert_eq!(config.upload, Upload { retry_attempts: 3, retry_delay, concurrency: 4 });
    }

    #[test]
    fn what_the_document_shows_as_settings_are_the_defaults() {
        let upto = DOCUMENT.find("scan:").unwrap();
        let (full, short) = (read(DOCUMENT).unwrap(), read(&DOCUMENT[..upto]).unwrap());
        assert_eq!(format!("{full:?}"), format!("{short:?}"));
        assert!(!format!("{full:?}").contains("sk_live"), "no key in Debug");
    }

    #[test]
    fn every_mistake_is_named_with_its_line() {
        check(
            "server: {url: ftp://x, api_key: short}\ndatabase: {path: client.db}\nwatches:\n  - \
             {local_path: rel}\n  - {local_path: /a/../b, remote_prefix: /x}\nscan: {upload_existing: \
             maybe}\nstability: {debounce_seconds: 0}\nupload: {retries: 3}\n",
            "client.yaml:1: server.url: \"ftp://x\": must begin with https://\n\
             client.yaml:1: server.api_key: is not an API key: 16 to 512 visible ASCII characters \
             without blanks are expected; `s3up-server keygen` makes one\n\
             client.yaml:2: database.path: \"client.db\": is not an absolute path\n\
             client.yaml:4: watches[0].local_path: \"rel\": is not an absolute path\n\
             client.yaml:5: watches[1].local_path: \"/a/../b\": must not contain '..'\n\
             client.yaml:5: watches[1].remote_prefix: \"/x\": it starts with a slash; paths are \
             relative\n\
             client.yaml:6: scan.upload_existing: \"maybe\": is neither true nor false\n\
             client.yaml:7: stability.debounce_seconds: \"0\": is not a number from 0.1 to 86400\n\
             client.yaml:8: upload.retries: unknown key; known here: concurrency, retry_attempts, \
             retry_delay_seconds",
        );
    }

    #[test]
    fn overlapping_watches_and_shared_remote_folders_are_refused() {
        let start = "server: {url: 'https://a', api_key: 0123456789abcdef}\ndatabase: {path: /d}\n";
        let two = |a: &str, b: &str| format!("{start}watches:\n  - {{{a}}}\n  - {{{b}}}\n");
        check(
            &two("local_path: /a, remote_prefix: x", "local_path: /a/b, remote_prefix: y"),
            "client.yaml:3: watches: \"/a\" and \"/a/b\" overlap",
        );
        check(
            &two("local_path: /a/, remote_prefix: x", "local_path: //b, remote_prefix: x/"),
            "client.yaml:3: watches: \"/a\" and \"/b\" have the same remote_prefix \"x/\"; files of \
             one name would overwrite each other",
        );
        let apart = two("local_path: /a, remote_prefix: x", "local_path: /ab, remote_prefix: y");
        assert!(read(&apart).is_ok());
        let flat = two("local_path: /a, recursive: false, remote_prefix: x", "local_path: /a/b");
        assert!(read(&flat).is_ok());
    }
}
