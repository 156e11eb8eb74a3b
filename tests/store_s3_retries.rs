//! What the S3 store does again by itself, and what it leaves to others.

use crate::support::scene::{never, prepare, settings};
use crate::support::scripted_server::{Asked, ScriptedServer, Step, answer, error};
use crate::support::{key_below, part};
use s3up::digest::Digest;
use s3up::server::key::ObjectKey;
use s3up::server::store::s3::{Deadlines, S3Settings, S3Store};
use s3up::server::store::{Metadata, ObjectStore, StoreError, StoreErrorKind};
use s3up::threads::{Stop, StopSource};
use std::time::Duration;

const BEGUN: &str = "<InitiateMultipartUploadResult><Bucket>b</Bucket><Key>k</Key>\
                     <UploadId>id</UploadId></InitiateMultipartUploadResult>";
const COMPLETED: &str = "<CompleteMultipartUploadResult></CompleteMultipartUploadResult>";
const CONTENT: &[u8] = b"all of it";

/// Longer than any test takes.
const LONG: Duration = Duration::from_secs(60);

fn key() -> ObjectKey {
    key_below("backups", "a/file")
}

fn metadata() -> Metadata {
    Metadata { sha256: Some(Digest::of(CONTENT)), mtime: None }
}

fn store(server: &ScriptedServer, stop: Stop) -> S3Store {
    let deadlines = Deadlines { retry: LONG, ..Deadlines::default() };
    S3Store::new(S3Settings { deadlines, ..settings(&server.endpoint()) }, stop).unwrap()
}

fn put(store: &S3Store) -> Result<(), StoreError> {
    store.put(&key(), CONTENT, &metadata())
}

/// Begins, sends one part, and completes.
fn put_in_parts(store: &S3Store) -> Result<(), StoreError> {
    let mut large = store.begin(&key(), &metadata())?;
    large.append(part(CONTENT))?;
    large.complete(Digest::of(CONTENT))
}

fn ok() -> Step {
    Step::Answer(answer(200, &["etag: \"e\""], ""))
}

fn says(body: &str) -> Step {
    Step::Answer(answer(200, &[], body))
}

fn refuses(status: u16, code: &str) -> Step {
    Step::Answer(error(status, code))
}

/// The answer to a HEAD for an object with this content.
fn holds(content: &[u8]) -> Step {
    let lines = [
        "HTTP/1.1 200 OK".to_owned(),
        format!("content-length: {}", content.len()),
        format!("x-amz-meta-sha256: {}", Digest::of(content)),
        "etag: \"e\"".to_owned(),
        "last-modified: Sun, 06 Nov 1994 08:49:37 GMT".to_owned(),
        "\r\n".to_owned(),
    ];
    Step::Answer(lines.join("\r\n"))
}

/// The method and what stands behind the key, of every request.
fn lines(asked: &[Asked]) -> Vec<String> {
    let target = "/backups-of-all-hosts/backups/web/a/file";
    asked.iter().map(|asked| asked.line.replace(target, "")).collect()
}

/// Plays `script` to `upload`, and says how it ended and what was asked.
fn play(
    script: Vec<Step>,
    upload: fn(&S3Store) -> Result<(), StoreError>,
) -> (Result<(), StoreError>, Vec<String>) {
    let server = ScriptedServer::start(script);
    let result = upload(&store(&server, never()));
    (result, lines(&server.asked()))
}

#[test]
fn what_may_pass_is_tried_again_until_it_has() {
    let slow_down = || refuses(503, "SlowDown");
    let bare = Step::Answer("HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n".to_owned());
    for failures in [
        vec![slow_down()],
        vec![refuses(500, "InternalError"), slow_down(), bare],
        vec![refuses(400, "RequestTimeout")],
        vec![refuses(400, "BadDigest")],
        // The first one is repeated at once: an idle connection may have been closed.
        vec![Step::Hang, Step::Hang],
    ] {
        let attempts = failures.len() + 1;
        let (result, asked) = play([failures, vec![ok()]].concat(), put);
        result.unwrap();
        assert_eq!(asked, vec!["PUT "; attempts]);
    }
}

#[test]
fn what_will_not_pass_is_told_at_once() {
    for (status, code, kind) in [
        (403, "AccessDenied", StoreErrorKind::Refused),
        (403, "RequestTimeTooSkewed", StoreErrorKind::Refused),
        (404, "NoSuchBucket", StoreErrorKind::Refused),
        (507, "XMinioStorageFull", StoreErrorKind::Full),
    ] {
        let (result, asked) = play(vec![refuses(status, code), ok()], put);
        assert_eq!(result.unwrap_err().kind, kind, "{code}");
        assert_eq!(asked, ["PUT "]);
    }
}

#[test]
fn nothing_is_tried_again_when_the_program_is_ending() {
    let server = ScriptedServer::start(vec![refuses(503, "SlowDown"), ok()]);
    let mut source = StopSource::default();
    let store = store(&server, source.stop());
    source.raise();
    assert_eq!(put(&store).unwrap_err().kind, StoreErrorKind::Unavailable);
    assert_eq!(lines(&server.asked()), ["PUT "]);
}

#[test]
fn whether_the_store_is_ready_is_asked_once() {
    let server = ScriptedServer::start(vec![refuses(503, "SlowDown"), ok()]);
    assert!(store(&server, never()).ready().is_err());
    assert_eq!(server.asked().len(), 1);
}

#[test]
fn every_stage_of_an_upload_in_parts_is_tried_again() {
    let slow_down = || refuses(503, "SlowDown");
    let broken = "<Error><Code>InternalError</Code></Error>";
    let (result, asked) = play(
        vec![
            slow_down(),
            says(BEGUN),
            slow_down(),
            ok(),
            slow_down(),
            // Late, behind a status that promised something else.
            says(broken),
            says(COMPLETED),
        ],
        put_in_parts,
    );
    result.unwrap();
    let (begin, part) = ("POST ?uploads=", "PUT ?partNumber=1&uploadId=id");
    let complete = "POST ?uploadId=id";
    assert_eq!(asked, [begin, begin, part, part, complete, complete, complete]);
}

/// Completes an upload whose answer gets lost, and which is then said not to exist.
#[track_caller]
fn check_lost_completion(object: Step, stored: bool) {
    let lost = vec![says(BEGUN), ok(), Step::Hang, refuses(404, "NoSuchUpload"), object];
    let gone = Step::Answer("HTTP/1.1 204 Gone\r\n\r\n".to_owned());
    let (result, asked) = play([lost, vec![gone]].concat(), put_in_parts);
    let complete = "POST ?uploadId=id";
    assert_eq!(asked[2..5], [complete, complete, "HEAD "], "{asked:?}");
    assert_eq!(result.is_ok(), stored);
    let rest: &[&str] = if stored { &[] } else { &["DELETE ?uploadId=id"] };
    assert_eq!(asked[5..], *rest);
}

#[test]
fn a_completion_whose_answer_was_lost_is_known_by_the_object_itself() {
    check_lost_completion(holds(CONTENT), true);
    check_lost_completion(holds(b"something"), false);
    check_lost_completion(holds(b"all of it, and more"), false);
}

#[test]
fn the_next_part_can_be_received_while_the_last_one_is_on_its_way() {
    let server = ScriptedServer::start(vec![says(BEGUN), Step::Stall(String::new())]);
    let answer = Duration::from_millis(300);
    let deadlines = Deadlines { answer, retry: Duration::ZERO, ..Deadlines::default() };
    let settings = S3Settings { deadlines, ..settings(&server.endpoint()) };
    let store = prepare(settings).unwrap();
    let mut large = store.begin(&key(), &metadata()).unwrap();
    // Nobody has acknowledged it, nor will anybody.
    let buffer = large.append(part(CONTENT)).unwrap();
    assert_eq!((buffer.bytes().len(), buffer.room()), (0, CONTENT.len()));
    let error = large.append(part(CONTENT)).err().unwrap();
    assert_eq!((error.kind, error.operation), (StoreErrorKind::Unavailable, "append to"));
    drop((large, server.asked()));
}

#[test]
fn an_upload_is_aborted_only_when_no_part_is_on_its_way() {
    let gone = Step::Answer("HTTP/1.1 204 Gone\r\n\r\n".to_owned());
    // The part fails in a way that may pass, but by then nobody wants it.
    let server = ScriptedServer::start(vec![says(BEGUN), refuses(503, "SlowDown"), gone]);
    let store = store(&server, never());
    let mut large = store.begin(&key(), &metadata()).unwrap();
    large.append(part(CONTENT)).unwrap();
    drop(large);
    let asked = lines(&server.asked());
    assert_eq!(asked, ["POST ?uploads=", "PUT ?partNumber=1&uploadId=id", "DELETE ?uploadId=id"]);
}
