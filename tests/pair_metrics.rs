//! The client's figures for Prometheus, as its collector finds them.

use crate::support::bucket::Kind;
use crate::support::pair::Pair;
use crate::support::waiting::{DEADLINE, eventually};
use std::collections::BTreeMap;
use std::path::Path;

/// The figures in a file, by their names without what all begin with.
fn figures(path: &Path) -> BTreeMap<String, f64> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let samples = text.lines().filter_map(|line| line.strip_prefix("s3up_client_"));
    let samples = samples.filter_map(|sample| sample.rsplit_once(' '));
    samples.map(|(name, value)| (name.to_owned(), value.parse().unwrap())).collect()
}

#[test]
fn the_figures_are_there_while_a_client_runs_and_stay_when_it_ends() {
    let mut pair = Pair::new(Kind::Directory);
    let path = pair.client.beside("s3up.prom");
    pair.client.textfile = Some(path.clone());
    pair.client.start();
    let first = eventually(DEADLINE, "figures", || Some(figures(&path)).filter(|f| !f.is_empty()));
    assert_eq!((first["watches"], first["uploaded_files_total"]), (1.0, 0.0));
    pair.write("a", b"four");
    pair.assert_all_arrive();
    assert!(pair.client.stop().success());
    // What was written at the end.
    let last = figures(&path);
    assert_eq!((last["uploaded_files_total"], last["uploaded_bytes_total"]), (1.0, 4.0));
    assert_eq!((last["server_up"], last["queue_files"], last["parked_files"]), (1.0, 0.0, 0.0));
    assert!(last["last_scan_timestamp_seconds"] >= last["start_timestamp_seconds"]);
    assert!(last["last_upload_timestamp_seconds"] >= last["start_timestamp_seconds"]);
    pair.client.assert_nothing_to_complain();
}

#[test]
fn a_folder_that_cannot_be_written_to_is_one_line_and_stops_nothing() {
    let mut pair = Pair::new(Kind::Directory);
    let folder = pair.client.beside("later");
    pair.client.textfile = Some(folder.join("s3up.prom"));
    pair.client.start();
    let line = pair.client.daemon().wait_for("cannot write figures to ");
    assert!(line.contains(" WARN") && line.contains("(key metrics.textfile)"), "{line}");
    pair.write("a", b"a");
    pair.assert_all_arrive();
    std::fs::create_dir(&folder).unwrap();
    pair.client.stop();
    assert!(pair.client.log().contains("figures are written to "), "{}", pair.client.log());
    assert_eq!(figures(&folder.join("s3up.prom"))["uploaded_files_total"], 1.0);
}
