//! `client.yaml`: which folders, which server, and how patient to be.
//!
//! Pure: text in, a checked [`Config`] or every problem at once out.

mod metrics;
mod server;
mod watches;

pub use server::Server;
pub use watches::Watch;

use crate::client::bandwidth::Rate;
use crate::config::{self, ConfigError, Outside, Section};
use crate::limits::{
    BANDWIDTH_MEGABITS_MAX, BANDWIDTH_MEGABITS_MIN, DEBOUNCE_SECONDS_MAX, DEBOUNCE_SECONDS_MIN,
    UPLOAD_BYTES_PER_SECOND_MIN, WAIT_DEFAULT, WAIT_SECONDS_MAX,
};
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

/// A whole client configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// Where figures are written for Prometheus (`metrics.textfile`); `None` for nowhere.
    pub textfile: Option<PathBuf>,
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
    /// How long a file may be found changed before the operator is told; at least `debounce`.
    pub max_wait: Duration,
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
    /// What all of them together may send; `None` for as much as goes.
    pub bandwidth: Option<Rate>,
}

/// Reads a configuration. `file` is the name problems are reported under.
pub fn parse(file: &str, text: &str, outside: Outside<'_>) -> Result<Config, ConfigError> {
    config::parse(file, text, outside, |root| {
        let server = root.section("server", server::read);
        let database = root.section("database", |section| section.required("path", absolute_path));
        let watches = watches::read(root);
        let scan = root.section_or_default("scan", scan);
        let stability = root.section_or_default("stability", stability);
        let upload = root.section_or_default("upload", upload);
        let watched = watches.as_deref().unwrap_or_default();
        let textfile =
            root.section_or_default("metrics", |section| metrics::textfile(section, watched));
        Some(Config {
            server: server?,
            database: database?,
            watches: watches?,
            scan: scan?,
            stability: stability?,
            upload: upload?,
            textfile: textfile?,
        })
    })
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

fn scan(section: &Section<'_>) -> Option<Scan> {
    let upload_existing = section.flag("upload_existing", false);
    let minutes = section.integer("interval_minutes", Some(60), 1..=7 * 24 * 60);
    Some(Scan { upload_existing: upload_existing?, interval: Duration::from_secs(minutes? * 60) })
}

fn stability(section: &Section<'_>) -> Option<Stability> {
    let range = DEBOUNCE_SECONDS_MIN..=DEBOUNCE_SECONDS_MAX;
    let debounce = section.number("debounce_seconds", Some(3.0), range);
    let max_attempts = section.integer("max_attempts", Some(100), 1..=1_000_000);
    let max_wait = section.optional_integer("max_wait_seconds", 1..=WAIT_SECONDS_MAX);
    let debounce = Duration::from_secs_f64(debounce?);
    // Every file is found to be new once; with less than two looks all of them would be reported.
    let least = debounce * 2;
    let max_wait = match max_wait?.map(Duration::from_secs) {
        Some(given) if given < least => {
            let message = format!(
                "is {}; with two looks {} seconds apart (stability.debounce_seconds) it has to be {} \
                 at least",
                given.as_secs(),
                debounce.as_secs_f64(),
                least.as_secs_f64().ceil()
            );
            section.problem("max_wait_seconds", message);
            return None;
        }
        Some(given) => given,
        None => WAIT_DEFAULT.max(least),
    };
    Some(Stability { debounce, max_attempts: max_attempts? as u32, max_wait })
}

fn upload(section: &Section<'_>) -> Option<Upload> {
    let retry_attempts = section.integer("retry_attempts", Some(3), 0..=1000);
    let retry_delay = section.number("retry_delay_seconds", Some(5.0), 0.0..=3600.0);
    let concurrency = section.integer("concurrency", Some(4), 1..=64);
    let megabits = BANDWIDTH_MEGABITS_MIN..=BANDWIDTH_MEGABITS_MAX;
    let bandwidth = section.optional_number("bandwidth_limit_mbps", megabits);
    let bandwidth = bandwidth?.map(Rate::from_megabits);
    let concurrency = concurrency?;
    if let Some(rate) = bandwidth
        && rate.bytes_per_second() / concurrency < UPLOAD_BYTES_PER_SECOND_MIN
    {
        let message = format!(
            "leaves {} bytes per second to each of {concurrency} files (upload.concurrency), and a \
             server gives up on one that comes so slowly; {UPLOAD_BYTES_PER_SECOND_MIN} at least are \
             needed",
            rate.bytes_per_second() / concurrency
        );
        section.problem("bandwidth_limit_mbps", message);
        return None;
    }
    Some(Upload {
        retry_attempts: retry_attempts? as u32,
        retry_delay: Duration::from_secs_f64(retry_delay?),
        concurrency: concurrency as usize,
        bandwidth,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::filter::{Filter, Patterns};
    use crate::remote_path::RemotePrefix;

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
        parse("client.yaml", text, Outside::NOTHING).map_err(|error| error.to_string())
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
        let max_wait = Duration::from_secs(3600);
        assert_eq!(config.stability, Stability { debounce, max_attempts: 100, max_wait });
        let retry_delay = Duration::from_secs(5);
        let expected = Upload { retry_attempts: 3, retry_delay, concurrency: 4, bandwidth: None };
        assert_eq!(config.upload, expected);
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
             client.yaml:8: upload.retries: unknown key; known here: bandwidth_limit_mbps, concurrency, \
             retry_attempts, retry_delay_seconds",
        );
    }

    /// The settings behind what is required.
    fn with(settings: &str) -> String {
        let upto = DOCUMENT.find("scan:").unwrap();
        format!("{}{settings}", &DOCUMENT[..upto])
    }

    #[test]
    fn a_file_may_change_for_an_hour_and_for_two_looks_in_any_case() {
        for (settings, expected) in [
            ("stability: {max_wait_seconds: 6}", 6),
            ("stability: {debounce_seconds: 1800}", 3600),
            ("stability: {debounce_seconds: 7200}", 14_400),
        ] {
            let stability = read(&with(settings)).unwrap().stability;
            assert_eq!(stability.max_wait.as_secs(), expected, "{settings}");
        }
        check(
            &with("stability: {max_wait_seconds: 5}"),
            "client.yaml:18: stability.max_wait_seconds: is 5; with two looks 3 seconds apart \
             (stability.debounce_seconds) it has to be 6 at least",
        );
    }

    #[test]
    fn figures_go_to_a_file_that_a_collector_reads_and_that_is_not_backed_up() {
        let textfile = |settings: &str| read(&with(settings)).unwrap().textfile;
        assert_eq!(textfile(""), None);
        assert_eq!(textfile("metrics: {textfile: /var/x/a.prom}"), Some("/var/x/a.prom".into()));
        check(
            &with("metrics: {textfile: /var/x/a.txt}"),
            "client.yaml:18: metrics.textfile: \"/var/x/a.txt\": does not end in .prom, as the name of \
             each file does that node_exporter reads",
        );
        check(
            &with("metrics: {textfile: /var/www/webapp/uploads/x/a.prom}"),
            "client.yaml:18: metrics.textfile: lies in the watched folder \
             \"/var/www/webapp/uploads\": each time it is written it would be uploaded",
        );
    }

    #[test]
    fn a_bandwidth_limit_is_in_megabits_and_leaves_enough_to_every_file() {
        let limit = |settings: &str| read(&with(settings)).unwrap().upload.bandwidth;
        assert_eq!(limit("upload: {concurrency: 1}"), None);
        let rate = limit("upload: {bandwidth_limit_mbps: 2.5}").unwrap();
        assert_eq!(rate.bytes_per_second(), 312_500);
        assert!(limit("upload: {bandwidth_limit_mbps: 0.1}").is_some());
        check(
            &with("upload: {bandwidth_limit_mbps: 0.1, concurrency: 7}"),
            "client.yaml:18: upload.bandwidth_limit_mbps: leaves 1785 bytes per second to each of 7 \
             files (upload.concurrency), and a server gives up on one that comes so slowly; 2048 at \
             least are needed",
        );
        check(
            &with("upload: {bandwidth_limit_mbps: 0}"),
            "client.yaml:18: upload.bandwidth_limit_mbps: \"0\": is not a number from 0.1 to 100000",
        );
    }
}
