//! The figures and their text.
//!
//! Pure. Names and meanings are promised to whoever has rules for them; the README lists them.

use crate::client::attempt::Attempt;
use crate::client::progress::{ScanDone, ServerState, Snapshot};
use prometheus_client::encoding::prometheus_text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use std::collections::BTreeMap;

/// What all names begin with: the server has figures of its own.
const PREFIX: &str = "s3up_client";

/// The label of an attempt that failed.
type Kind = [(&'static str, &'static str); 1];

/// How the client stands at one moment. Moments are seconds since 1970.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// When the client was started.
    pub started: i64,
    /// Attempts to upload a file that failed since then.
    pub failures: BTreeMap<Attempt, u64>,
    /// How many files are parked, if that is known.
    pub parked: Option<u64>,
    /// When the last upload was recorded.
    pub last_upload: Option<i64>,
    /// Files in the queue, those in a worker's hands included.
    pub queued: u64,
    /// Since when the one that is there longest has been.
    pub oldest: Option<i64>,
    /// How many folders the configuration watches.
    pub watches: u64,
    /// The last scan of everything that came to its end.
    pub last_scan: Option<ScanDone>,
    /// What it is doing.
    pub snapshot: Snapshot,
}

/// The figures in Prometheus' text form.
pub fn text(figures: &Figures) -> String {
    let mut registry = Registry::with_prefix(PREFIX);
    this_client(figures, &mut registry);
    uploads(figures, &mut registry);
    waiting(figures, &mut registry);
    watches(figures, &mut registry);
    let mut text = String::new();
    // Only the writer could fail, and a text does not.
    let _ = prometheus_text::encode(&mut text, &registry);
    text
}

fn this_client(figures: &Figures, registry: &mut Registry) {
    let version = Family::<Kind, prometheus_client::metrics::gauge::Gauge>::default();
    version.get_or_create(&[("version", env!("CARGO_PKG_VERSION"))]).set(1);
    registry.register("build_info", "Always 1; the label is the version of the client", version);
    let help = "When the client was started, in seconds since 1970";
    gauge(registry, "start_timestamp_seconds", help, Some(figures.started));
    let up = match figures.snapshot.server {
        ServerState::Unknown => None,
        ServerState::Answers { .. } => Some(1),
        ServerState::Fails { .. } => Some(0),
    };
    let help = "Whether the server served the last request; not there before the first one";
    gauge(registry, "server_up", help, up);
}

fn uploads(figures: &Figures, registry: &mut Registry) {
    let uploads = &figures.snapshot.uploads;
    let help = "Files that the server has acknowledged since the start";
    counter(registry, "uploaded_files", help, uploads.files);
    let help = "Bytes of the files that the server has acknowledged since the start";
    counter(registry, "uploaded_bytes", help, uploads.bytes);
    let failures = Family::<Kind, Counter>::default();
    for attempt in Attempt::ALL {
        let count = figures.failures.get(&attempt).copied().unwrap_or_default();
        failures.get_or_create(&[("kind", attempt.name())]).inc_by(count);
    }
    let help = "Attempts to upload a file that failed since the start, by what they failed by";
    registry.register("upload_failures", help, failures);
    let help = "When the last upload was recorded, in seconds since 1970, also before the start";
    gauge(registry, "last_upload_timestamp_seconds", help, figures.last_upload);
}

fn waiting(figures: &Figures, registry: &mut Registry) {
    let parked = figures.parked.map(|parked| i64::try_from(parked).unwrap_or(i64::MAX));
    gauge(registry, "parked_files", "Files that are not backed up as they stand", parked);
    let queued = i64::try_from(figures.queued).unwrap_or(i64::MAX);
    let help = "Files that wait until they rest or for a worker, or are being sent";
    gauge(registry, "queue_files", help, Some(queued));
    let help = "Since when the file that waits longest has waited, in seconds since 1970; not there \
                if none does";
    gauge(registry, "queue_oldest_timestamp_seconds", help, figures.oldest);
}

fn watches(figures: &Figures, registry: &mut Registry) {
    let watches = &figures.snapshot.watches;
    let unheard = watches.iter().filter(|watch| watch.unwatched.is_some()).count();
    let number = |number: u64| Some(i64::try_from(number).unwrap_or(i64::MAX));
    let help = "Folders that the configuration watches";
    gauge(registry, "watches", help, number(figures.watches));
    let help = "Watched folders whose events are not heard; scans find what happens there";
    gauge(registry, "watches_unheard", help, number(unheard as u64));
    let scan = figures.last_scan.as_ref();
    let ended = |scan: &ScanDone| scan.started.saturating_add(scan.seconds as i64);
    let help = "When the last scan of everything came to its end, in seconds since 1970";
    gauge(registry, "last_scan_timestamp_seconds", help, scan.map(ended));
    let help = "How long the last scan of everything took";
    gauge(registry, "last_scan_duration_seconds", help, scan.map(|scan| scan.seconds));
    let help = "Files that the last scan of everything saw";
    gauge(registry, "last_scan_files", help, scan.and_then(|scan| number(scan.files)));
}

fn counter(registry: &mut Registry, name: &str, help: &str, value: u64) {
    let counter = Counter::<u64>::default();
    counter.inc_by(value);
    registry.register(name, help, counter);
}

/// What is not known has no line: a zero would be a lie.
fn gauge<T>(registry: &mut Registry, name: &str, help: &str, value: Option<T>)
where
    ConstGauge<T>: prometheus_client::registry::Metric,
{
    if let Some(value) = value {
        registry.register(name, help, ConstGauge::new(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::progress::{Uploads, WatchState};
    use std::collections::BTreeSet;

    /// A client of which everything is known.
    fn figures() -> Figures {
        let watch = |unwatched: Option<&str>| WatchState {
            local_path: "/data".into(),
            unwatched: unwatched.map(str::to_owned),
        };
        let uploads = Uploads { files: 3, bytes: 4096, ..Uploads::default() };
        let last_scan = ScanDone {
            started: 990,
            seconds: 2.5,
            files: 7,
            complete: true,
            ..ScanDone::default()
        };
        Figures {
            started: 900,
            failures: BTreeMap::from([(Attempt::Server, 5)]),
            parked: Some(2),
            last_upload: Some(980),
            queued: 4,
            oldest: Some(970),
            watches: 2,
            last_scan: Some(last_scan),
            snapshot: Snapshot {
                uploads,
                server: ServerState::Answers { last: 985 },
                watches: vec![watch(None), watch(Some("gone"))],
                ..Snapshot::default()
            },
        }
    }

    /// The samples of a text and the types of what they belong to. Each has to be announced by its HELP
    /// and its TYPE, as `promtool check metrics` wants it.
    fn parsed(text: &str) -> (BTreeMap<String, f64>, BTreeMap<String, String>) {
        assert!(text.ends_with('\n'));
        let (mut samples, mut types) = (BTreeMap::new(), BTreeMap::new());
        let mut helped = BTreeSet::new();
        for line in text.lines() {
            if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|l| l.split_once(' '))
            {
                assert!(help.len() > 10 && helped.insert(name.to_owned()), "{line}");
            } else if let Some((name, of)) =
                line.strip_prefix("# TYPE ").and_then(|l| l.split_once(' '))
            {
                assert!(helped.contains(name), "{line}");
                assert!(types.insert(name.to_owned(), of.to_owned()).is_none(), "{line}");
            } else {
                let (sample, value) = line.rsplit_once(' ').expect(line);
                let name = sample.split('{').next().unwrap();
                assert!(types.contains_key(name), "{line}");
                let twice = samples.insert(sample.to_owned(), value.parse().expect(line));
                assert!(twice.is_none(), "{line}");
            }
        }
        (samples, types)
    }

    #[test]
    fn everything_that_is_known_is_told() {
        let (samples, _) = parsed(&text(&figures()));
        let told: Vec<String> =
            samples.iter().map(|(name, value)| format!("{} {value}", &name[12..])).collect();
        let version = env!("CARGO_PKG_VERSION");
        let build = format!("build_info{{version=\"{version}\"}} 1");
        let expected = [
            &*build,
            "last_scan_duration_seconds 2.5",
            "last_scan_files 7",
            "last_scan_timestamp_seconds 992",
            "last_upload_timestamp_seconds 980",
            "parked_files 2",
            "queue_files 4",
            "queue_oldest_timestamp_seconds 970",
            "server_up 1",
            "start_timestamp_seconds 900",
            "upload_failures_total{kind=\"broken\"} 0",
            "upload_failures_total{kind=\"key\"} 0",
            "upload_failures_total{kind=\"refused\"} 0",
            "upload_failures_total{kind=\"server\"} 5",
            "upload_failures_total{kind=\"unreadable\"} 0",
            "uploaded_bytes_total 4096",
            "uploaded_files_total 3",
            "watches 2",
            "watches_unheard 1",
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let whole = parsed(&text(&figures())).1;
        let least = parsed(&text(&Figures::default())).1;
        let missing: Vec<&str> = whole
            .keys()
            .filter(|name| !least.contains_key(*name))
            .map(|name| &name[12..])
            .collect();
        let expected = [
            "last_scan_duration_seconds",
            "last_scan_files",
            "last_scan_timestamp_seconds",
            "last_upload_timestamp_seconds",
            "parked_files",
            "queue_oldest_timestamp_seconds",
            "server_up",
        ];
        assert_eq!(missing, expected);
        let fails = ServerState::Fails { since: 1, cause: "x".into() };
        let snapshot = Snapshot { server: fails, ..Snapshot::default() };
        let (samples, _) = parsed(&text(&Figures { snapshot, ..Figures::default() }));
        assert_eq!(samples["s3up_client_server_up"], 0.0);
    }

    #[test]
    fn names_follow_the_conventions_and_the_readme_has_them_all() {
        let (_, types) = parsed(&text(&figures()));
        for (name, of) in &types {
            assert!(name.starts_with("s3up_client_"), "{name}");
            assert_eq!(name.ends_with("_total"), of == "counter", "{name}");
            for unit in ["_ms", "_mb", "_minutes", "_count"] {
                assert!(!name.contains(unit), "{name}: base units only");
            }
        }
        let readme = include_str!("../../../README.md");
        let table = readme.split_once("| figure |").expect("a table").1;
        let table = table.split_once("\n\n").expect("a table ends").0;
        let listed: BTreeSet<&str> = table
            .lines()
            .skip(2)
            .flat_map(|row| row.split('|').nth(1).unwrap_or_default().split('`').skip(1).step_by(2))
            .map(|name| name.split('{').next().unwrap_or(name))
            .collect();
        assert_eq!(listed, types.keys().map(String::as_str).collect());
    }
}
