//! When the figures are written, and how.

use super::*;
use crate::client::progress::Progress;
use crate::client::queue::SharedQueue;
use crate::crew::Crew;
use crate::limits::status::ASK;
use crate::threads::StopSource;

#[test]
fn the_file_is_replaced_as_a_whole_and_everybody_may_read_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.prom");
    for text in ["first", "second"] {
        write(&path, text).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, MODE);
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    // What cannot be replaced stays, and so does nothing else.
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    assert!(write(&path, "third").is_err());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    assert!(write(&folder.path().join("no/such/a.prom"), "x").is_err());
}

#[test]
fn it_is_written_at_the_start_and_at_the_end_and_holds_up_neither() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.prom");
    let progress = Arc::new(Progress::default());
    let queue = Arc::new(SharedQueue::new(1, 9));
    let inside = Inside { progress: Arc::clone(&progress), queue, started: 5 };
    let database = Arc::new(Database::in_memory().unwrap());
    let textfile = Textfile { path: path.clone(), inside, database, watches: 1 };
    let (crew, mut source) = (Crew::default(), StopSource::default());
    let stop = source.stop();
    crew.spawn("metrics", move || textfile.run(&stop)).unwrap();
    let holds = |line: &str| {
        std::fs::read_to_string(&path).is_ok_and(|text| text.lines().any(|found| found == line))
    };
    let end = clock::monotonic() + ASK;
    while !holds("s3up_client_uploaded_bytes_total 0") {
        assert!(clock::monotonic() < end);
        std::thread::yield_now();
    }
    progress.uploaded(7, 1);
    source.raise();
    assert!(crew.wait(clock::monotonic() + ASK), "it does not wait until it is due");
    assert!(holds("s3up_client_uploaded_bytes_total 7"));
}
