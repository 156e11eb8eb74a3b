//! The figures and their text.
//!
//! Pure. Names and meanings are promised to whoever has rules for them; the README lists them.

use crate::client::attempt::Attempt;
use crate::client::progress::{ScanDone, ServerState, Snapshot};
use crate::exposition::Page;
use crate::version;
use std::collections::BTreeMap;

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
    let mut page = Page::default();
    this_client(figures, &mut page);
    uploads(figures, &mut page);
    waiting(figures, &mut page);
    watches(figures, &mut page);
    page.text()
}

fn this_client(figures: &Figures, page: &mut Page) {
    let version = vec![("version", version::NUMBER.to_owned())];
    let help = "Always 1; the label is the version of the client";
    page.gauges("s3up_client_build_info", help, [(version, 1_i64)]);
    let help = "When the client was started, in seconds since 1970";
    page.gauge("s3up_client_start_timestamp_seconds", help, Some(figures.started));
    let up = match figures.snapshot.server {
        ServerState::Unknown => None,
        ServerState::Answers { .. } => Some(true),
        ServerState::Fails { .. } => Some(false),
    };
    let help = "Whether the server served the last request; not there before the first one";
    page.gauge("s3up_client_server_up", help, up);
}

fn uploads(figures: &Figures, page: &mut Page) {
    let uploads = &figures.snapshot.uploads;
    let help = "Files that the server has acknowledged since the start";
    page.counter("s3up_client_uploaded_files_total", help, uploads.files);
    let help = "Bytes of the files that the server has acknowledged since the start";
    page.counter("s3up_client_uploaded_bytes_total", help, uploads.bytes);
    let failures = Attempt::ALL.into_iter().map(|attempt| {
        let count = figures.failures.get(&attempt).copied().unwrap_or_default();
        (vec![("kind", attempt.name().to_owned())], count)
    });
    let help = "Attempts to upload a file that failed since the start, by what they failed by";
    page.counters("s3up_client_upload_failures_total", help, failures);
    let help = "When the last upload was recorded, in seconds since 1970, also before the start";
    page.gauge("s3up_client_last_upload_timestamp_seconds", help, figures.last_upload);
}

fn waiting(figures: &Figures, page: &mut Page) {
    let help = "Files that are not backed up as they stand";
    page.gauge("s3up_client_parked_files", help, figures.parked);
    let help = "Files that wait until they rest or for a worker, or are being sent";
    page.gauge("s3up_client_queue_files", help, Some(figures.queued));
    let help = "Since when the file that waits longest has waited, in seconds since 1970; not there \
                if none does";
    page.gauge("s3up_client_queue_oldest_timestamp_seconds", help, figures.oldest);
}

fn watches(figures: &Figures, page: &mut Page) {
    let watches = &figures.snapshot.watches;
    let unheard = watches.iter().filter(|watch| watch.unwatched.is_some()).count();
    let help = "Folders that the configuration watches";
    page.gauge("s3up_client_watches", help, Some(figures.watches));
    let help = "Watched folders whose events are not heard; scans find what happens there";
    page.gauge("s3up_client_watches_unheard", help, Some(unheard));
    let scan = figures.last_scan.as_ref();
    let ended = scan.map(|scan| scan.started.saturating_add(scan.seconds as i64));
    let help = "When the last scan of everything came to its end, in seconds since 1970";
    page.gauge("s3up_client_last_scan_timestamp_seconds", help, ended);
    let help = "How long the last scan of everything took";
    let name = "s3up_client_last_scan_duration_seconds";
    page.gauge(name, help, scan.map(|scan| scan.seconds));
    let help = "Files that the last scan of everything saw";
    page.gauge("s3up_client_last_scan_files", help, scan.map(|scan| scan.files));
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
        let version = version::NUMBER;
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
