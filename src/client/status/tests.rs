use super::live::{Live, Waiting};
use super::report::{Sources, Verdict, report};
use super::text::text;
use crate::client::config::{self, Config};
use crate::client::database::LastScan;
use crate::client::database::facts::{Facts, LastUpload, Parked};
use crate::client::progress::{
    InHand, ScanBegun, ScanDone, ServerState, Snapshot, Trouble, Uploads, WatchState,
};
use crate::config::Outside;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// 2026-11-28T13:00:00Z.
const NOW: i64 = 1_795_870_800;

fn config() -> Config {
    let yaml = "server: {url: 'https://backup.example.com', api_key: sk_0123456789abcdef}\n\
                database: {path: /var/lib/s3up/client.db}\n\
                watches: [{local_path: /data/a, remote_prefix: a/}]\n";
    config::parse("client.yaml", yaml, Outside::NOTHING).unwrap()
}

/// A client that runs well and has nothing to do.
fn live() -> Live {
    let watches = vec![WatchState { local_path: "/data/a".into(), unwatched: None }];
    let uploads = Uploads {
        files: 812,
        bytes: 96_300_000,
        last_success: Some(NOW - 60),
        ..Uploads::default()
    };
    let last_scan = Some(ScanDone {
        cause: "start".into(),
        started: NOW - 7000,
        seconds: 0.34,
        files: 12_345,
        queued: 812,
        complete: true,
    });
    let server = ServerState::Answers { last: NOW - 60 };
    Live {
        version: "0.1.0".into(),
        pid: 77,
        started: NOW - 7380,
        folders_watched: Some(14),
        queue: Waiting::default(),
        snapshot: Snapshot { uploads, server, last_scan, watches, ..Snapshot::default() },
    }
}

fn facts() -> Facts {
    let last = LastUpload {
        path: "/data/a/ä b".into(),
        remote_path: "a/ä b".into(),
        size: 1200,
        uploaded_at: NOW - 60,
    };
    Facts {
        files: 12_345,
        bytes: 4_500_000_000,
        last_uploads: vec![last],
        baselines: BTreeMap::from([(PathBuf::from("/data/a"), Some(1_795_000_000_000_000_000))]),
        scans: BTreeMap::from([(
            PathBuf::from("/data/a"),
            LastScan { ended_at: NOW - 180, milliseconds: 1500, files: 12_346 },
        )]),
        ..Facts::default()
    }
}

fn parked(name: &[u8], reason: &str) -> Parked {
    let path = Path::new(OsStr::from_bytes(name)).to_owned();
    Parked { path, reason: reason.into(), since: NOW - 100, last_seen: NOW }
}

/// The text of a report, and the verdict.
fn told(live: Option<Live>, facts: Option<Facts>) -> (String, Verdict) {
    let config = config();
    let (report, verdict) =
        report(Sources { config: &config, live, silence: None, facts, now: NOW });
    assert_eq!(report.healthy, verdict == Verdict::Well);
    (text(&report), verdict)
}

/// The lines of a subject, without its name.
fn lines(text: &str, name: &str) -> Vec<String> {
    let mut current = "";
    let mut lines = vec![];
    for line in text.lines() {
        let (column, rest) = line.split_at(10);
        if !column.trim().is_empty() {
            current = column.trim();
        }
        if current == name {
            lines.push(rest.to_owned());
        }
    }
    lines
}

#[test]
fn a_client_that_is_well_is_told_in_one_screen() {
    let (text, verdict) = told(Some(live()), Some(facts()));
    assert_eq!(verdict, Verdict::Well);
    assert_eq!(
        text,
        "\
client    running for 2 h 3 min, since 2026-11-28T10:57:00Z; pid 77, s3up 0.1.0
server    https://backup.example.com answers; last 1 min 0 s ago
queue     empty
sent      812 files, 96.3 MB since the start; the last one 1 min 0 s ago
scan      1 h 56 min ago (start): 12,345 files, 812 to look at, 0.3 s
events    from 14 folders
watch     \"/data/a\" to \"a/\": watched; scanned 3 min 0 s ago, 12,346 files; files from before \
2026-11-18T11:06:40Z are left out
backed up 12,345 files, 4.5 GB
          1 min 0 s ago  \"/data/a/ä b\", 1.2 kB
parked    none
verdict   all is well
"
    );
}

#[test]
fn without_a_client_what_the_database_knows_is_told() {
    let (text, verdict) = told(None, Some(facts()));
    assert_eq!(verdict, Verdict::NotRunning);
    assert_eq!(lines(&text, "client"), ["not running"]);
    assert_eq!(lines(&text, "backed up")[0], "12,345 files, 4.5 GB");
    assert_eq!(lines(&text, "verdict"), ["NOT WELL: no client is running"]);
    let (text, verdict) = told(None, None);
    assert_eq!(verdict, Verdict::NotRunning);
    assert_eq!(lines(&text, "backed up"), ["0 files, 0 B"]);
}

#[test]
fn a_client_that_does_not_tell_is_not_called_one_that_does_not_run() {
    let config = config();
    let silence = Some("the client does not answer: reset".to_owned());
    let sources = Sources { config: &config, live: None, silence, facts: None, now: NOW };
    let (report, verdict) = report(sources);
    assert_eq!(verdict, Verdict::NotRunning);
    let text = text(&report);
    assert_eq!(lines(&text, "client"), ["does not answer"]);
    assert_eq!(lines(&text, "verdict"), ["NOT WELL: the client does not answer: reset"]);
}

#[test]
fn work_is_told_with_what_waits_and_what_is_in_hand() {
    let mut live = live();
    live.queue = Waiting { resting: 3210, ready: 12, in_hand: 1, oldest_seconds: Some(240) };
    live.snapshot.uploads.failures = 3;
    live.snapshot.uploads.in_hand =
        vec![InHand { path: "/data/a/large\n".into(), size: 512_000_000, sent: 12_300_000 }];
    live.snapshot.scanning = Some(ScanBegun { cause: "interval".into(), started: NOW - 5 });
    let (text, verdict) = told(Some(live), Some(facts()));
    assert_eq!(verdict, Verdict::Well, "work is no problem");
    assert_eq!(
        lines(&text, "queue"),
        [
            "3,210 wait until they rest, 12 ready, 1 in hand; the oldest for 4 min 0 s",
            "sending \"/data/a/large\\n\", 12.3 MB of 512.0 MB"
        ]
    );
    assert!(lines(&text, "sent")[0].contains(", 3 failed attempts; "), "{text}");
    assert!(lines(&text, "scan")[0].starts_with("under way for 5 s (interval); before it: 1 h"));
}

#[test]
fn each_trouble_is_told_and_none_of_it_moves_the_cursor() {
    let check = |change: &dyn Fn(&mut Live, &mut Facts), expected: &str| {
        let (mut live, mut facts) = (live(), facts());
        change(&mut live, &mut facts);
        let (text, verdict) = told(Some(live), Some(facts));
        assert_eq!(verdict, Verdict::Ailing, "{text}");
        assert_eq!(lines(&text, "verdict"), [format!("NOT WELL: {expected}")]);
        assert!(!text.contains('\u{1b}'), "{text:?}");
    };
    check(
        &|live, _| {
            let cause = "no answer\u{1b}[2J".into();
            live.snapshot.server = ServerState::Fails { since: NOW - 180, cause };
        },
        "the server has been failing for 3 min 0 s: no answer\\u{1b}[2J",
    );
    check(
        &|live, _| {
            let cause = "the disk is full\u{1b}".into();
            live.snapshot.trouble = Some(Trouble { since: NOW - 5, cause });
        },
        "nothing is uploaded for 5 s: the disk is full\\u{1b}",
    );
    check(
        &|live, _| live.snapshot.watches[0].unwatched = Some("gone\u{1b}".into()),
        "\"/data/a\" is not watched: gone\\u{1b}",
    );
    check(
        &|live, _| live.snapshot.watches.clear(),
        "\"/data/a\" is not known to the running client; hint: restart it, it read another \
         configuration",
    );
    check(
        &|live, _| live.snapshot.last_scan.as_mut().unwrap().complete = false,
        "the last scan broke off; the log says why",
    );
    check(
        &|_, facts| {
            facts.parked_count = 1;
            facts.parked = vec![parked(b"/data/a/\x1b\xff", "not UTF-8\u{1b}")];
        },
        "1 file is not backed up",
    );
}

#[test]
fn parked_folders_are_counted_as_folders() {
    let cases = [
        (1, 1, "1 folder", "1 folder is not backed up"),
        (3, 3, "3 folders", "3 folders are not backed up"),
        (3, 1, "2 files and 1 folder", "2 files and 1 folder are not backed up"),
        (2, 0, "2 files", "2 files are not backed up"),
    ];
    for (parked_count, parked_folders, count, problem) in cases {
        let facts = Facts { parked_count, parked_folders, ..facts() };
        let (text, _) = told(Some(live()), Some(facts));
        assert_eq!(lines(&text, "parked")[0], count);
        assert_eq!(lines(&text, "verdict"), [format!("NOT WELL: {problem}")]);
    }
}

#[test]
fn many_parked_files_are_counted_and_the_first_ones_shown() {
    let mut facts = facts();
    facts.parked_count = 5002;
    facts.parked = vec![parked(b"/data/a/\xff", "not UTF-8"), parked(b"/data/a/b", "too large")];
    let (text, _) = told(Some(live()), Some(facts));
    assert_eq!(
        lines(&text, "parked"),
        [
            "5,002 files",
            "\"/data/a/\\xFF\", since 2026-11-28T12:58:20Z: not UTF-8",
            "\"/data/a/b\", since 2026-11-28T12:58:20Z: too large",
            "and 5,000 more (--json lists all)"
        ]
    );
    assert_eq!(lines(&text, "verdict"), ["NOT WELL: 5,002 files are not backed up"]);
}

#[test]
fn several_problems_stand_below_each_other() {
    let mut facts = facts();
    facts.parked_count = 2;
    let (text, verdict) = told(None, Some(facts));
    assert_eq!(verdict, Verdict::NotRunning);
    assert_eq!(
        lines(&text, "verdict"),
        ["NOT WELL: no client is running", "          2 files are not backed up"]
    );
}

#[test]
fn the_names_in_json_are_promised() {
    let mut facts = facts();
    facts.parked_count = 1;
    facts.parked = vec![parked(b"/data/a/\xff", "not UTF-8")];
    let config = config();
    let sources = Sources {
        config: &config,
        live: Some(live()),
        silence: None,
        facts: Some(facts),
        now: NOW,
    };
    let json = serde_json::to_value(report(sources).0).unwrap();
    let expected = serde_json::json!({
        "healthy": false,
        "problems": ["1 file is not backed up"],
        "asked_at": NOW,
        "server_url": "https://backup.example.com",
        "database": "/var/lib/s3up/client.db",
        "files": 12345,
        "bytes": 4500000000_u64,
        "watches": [{
            "local_path": "/data/a", "remote_prefix": "a/", "watched": true, "unwatched": null,
            "baseline_ns": 1795000000000000000_i64,
            "last_scan": {"ended_at": NOW - 180, "seconds": 1.5, "files": 12346}
        }],
        "last_uploads": [{
            "path": "/data/a/ä b", "remote_path": "a/ä b", "size": 1200, "uploaded_at": NOW - 60
        }],
        "parked_count": 1,
        "parked_folders": 0,
        "parked": [{
            "path": "/data/a/\u{fffd}", "path_hex": "2f646174612f612fff", "reason": "not UTF-8",
            "since": NOW - 100, "last_seen": NOW
        }],
        "live": {
            "version": "0.1.0",
            "pid": 77,
            "started": NOW - 7380,
            "folders_watched": 14,
            "queue": {"resting": 0, "ready": 0, "in_hand": 0, "oldest_seconds": null},
            "uploads": {
                "files": 812, "bytes": 96300000, "failures": 0, "last_success": NOW - 60,
                "in_hand": []
            },
            "server": {"state": "answers", "last": NOW - 60},
            "trouble": null,
            "scanning": null,
            "last_scan": {
                "cause": "start", "started": NOW - 7000, "seconds": 0.34, "files": 12345,
                "queued": 812, "complete": true
            },
            "watches": [{"local_path": "/data/a", "unwatched": null}]
        }
    });
    assert_eq!(json, expected);
}
