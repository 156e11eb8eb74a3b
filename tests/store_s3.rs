//! What only S3 can get wrong: refusals, bad days, bad connections.

use crate::support::s3_server::{self, S3Server};
use crate::support::scene::{keys, prepare, settings};
use crate::support::scripted_server::{ScriptedServer, Step, answer, error};
use crate::support::{content, key_below, part};
use s3up::digest::Digest;
use s3up::server::key::ObjectKey;
use s3up::server::store::s3::{Deadlines, S3Settings, S3Store};
use s3up::server::store::{ByteRange, Metadata, ObjectStore, StoreError, StoreErrorKind};
use std::io::Read;
use std::net::TcpListener;
use std::time::Duration;

const DAY: &str = "last-modified: Sun, 06 Nov 1994 08:49:37 GMT";

fn key() -> ObjectKey {
    key_below("backups", "a/file")
}

fn store(settings: S3Settings) -> S3Store {
    prepare(settings).unwrap()
}

/// Every way to ask a store for something, and what came of it.
fn every_operation(store: &S3Store) -> Vec<(&'static str, Result<(), StoreError>)> {
    let range = Some(ByteRange { first: 0, last: 0 });
    vec![
        ("put", store.put(&key(), b"x", &Metadata::default())),
        ("put much", store.put(&key(), &content(1, 2_000_000), &Metadata::default())),
        ("begin", store.begin(&key(), &Metadata::default()).map(drop)),
        ("head", store.head(&key()).map(drop)),
        ("open", store.open(&key(), None).map(drop)),
        ("open a range", store.open(&key(), range).map(drop)),
        ("ready", store.ready()),
    ]
}

#[track_caller]
fn assert_all_fail(store: &S3Store, kind: StoreErrorKind, hint: &str) {
    for (operation, result) in every_operation(store) {
        let error = result.expect_err(operation);
        assert_eq!(error.kind, kind, "{operation}: {error}");
        assert!(error.hint.is_some_and(|text| text.contains(hint)), "{operation}: {error}");
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("the/secret"), "{shown}");
    }
}

#[test]
fn a_wrong_secret_is_refused_with_a_hint() {
    let server = S3Server::start();
    let identity = keys(s3_server::ACCESS_KEY_ID, "not the/secret", None);
    let store = store(S3Settings { identity, ..settings(&server.endpoint()) });
    assert_all_fail(&store, StoreErrorKind::Refused, "s3.secret_access_key");
    assert_eq!(server.objects(), [""; 0]);
}

#[test]
fn an_unknown_key_is_refused_with_a_hint() {
    let server = S3Server::start();
    let identity = keys("AKIANOBODY", s3_server::SECRET_ACCESS_KEY, None);
    let store = store(S3Settings { identity, ..settings(&server.endpoint()) });
    assert_all_fail(&store, StoreErrorKind::Refused, "s3.access_key_id");
}

#[test]
fn a_bucket_that_does_not_exist_is_refused_and_not_an_absent_object() {
    // `s3s-fs` makes the folder of a bucket on the first put, so the refusals are played.
    let refusal = || Step::Answer(error(404, "NoSuchBucket"));
    let bare = || Step::Answer("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_owned());
    let mut script = vec![refusal(), refusal(), refusal()]; // put, put much, begin
    script.extend([bare(), bare(), refusal()]); // head: the object, the bucket, and why
    script.extend([refusal(), bare(), refusal()]); // open
    script.extend([refusal(), bare(), refusal()]); // open a range
    script.extend([bare(), refusal()]); // ready
    let server = ScriptedServer::start(script);
    assert_all_fail(&store(settings(&server.endpoint())), StoreErrorKind::Refused, "s3.bucket");
    server.asked();

    let server = S3Server::start();
    let bucket = "another-bucket".to_owned();
    let store = store(S3Settings { bucket, ..settings(&server.endpoint()) });
    for result in [store.head(&key()).map(drop), store.open(&key(), None).map(drop), store.ready()]
    {
        let error = result.unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::Refused, "{error}");
        assert!(error.hint.unwrap().contains("s3.bucket"), "{error}");
    }
}

#[test]
fn an_object_of_a_bucket_that_does_not_exist_is_not_absent_even_if_the_bucket_comes_back() {
    let found = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_owned();
    let script = vec![Step::Answer(error(404, "NoSuchBucket")), Step::Answer(found)];
    let server = ScriptedServer::start(script);
    let error = store(settings(&server.endpoint())).open(&key(), None).err().unwrap();
    assert_eq!(error.kind, StoreErrorKind::Refused, "{error}");
    server.asked();
}

#[test]
fn a_store_that_nobody_answers_for_is_unavailable() {
    // Bound and closed again: nothing listens there.
    let free = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
    let store = store(settings(&format!("http://{free}")));
    assert_all_fail(&store, StoreErrorKind::Unavailable, "s3.endpoint");
}

#[test]
fn a_store_that_accepts_and_says_nothing_is_unavailable_in_bounded_time() {
    let silent = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let short = Duration::from_millis(100);
    let deadlines =
        Deadlines { connect: short, stall: short, answer: short, retry: Duration::ZERO };
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    let store = store(S3Settings { deadlines, ..settings(&endpoint) });
    for (operation, result) in every_operation(&store) {
        let error = result.expect_err(operation);
        assert_eq!(error.kind, StoreErrorKind::Unavailable, "{operation}: {error}");
    }
}

#[test]
fn a_put_says_what_it_brings_and_is_signed_in_all_of_it() {
    let server = ScriptedServer::start(vec![Step::Answer(answer(200, &["etag: \"e\""], ""))]);
    let identity = keys(s3_server::ACCESS_KEY_ID, "a secret", Some("the-token"));
    let store = store(S3Settings { identity, ..settings(&server.endpoint()) });
    let mtime = "1700000000.123456789".parse().unwrap();
    store.put(&key(), b"abc", &Metadata { sha256: None, mtime: Some(mtime) }).unwrap();
    let asked = server.asked().remove(0);
    let sha256 = Digest::of(b"abc").to_string();
    for (name, value) in [
        ("content-length", "3"),
        ("content-type", "application/octet-stream"),
        ("x-amz-checksum-sha256", "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0="),
        ("x-amz-content-sha256", sha256.as_str()),
        ("x-amz-meta-sha256", sha256.as_str()),
        ("x-amz-meta-mtime", "1700000000.123456789"),
        ("x-amz-security-token", "the-token"),
    ] {
        assert_eq!(asked.header(name), Some(value), "{name}");
    }
    assert_eq!(asked.line, "PUT /backups-of-all-hosts/backups/web/a/file");
    assert_eq!(asked.body, b"abc");
    let authorization = asked.header("authorization").unwrap();
    let signed = "SignedHeaders=content-type;host;x-amz-checksum-sha256;x-amz-content-sha256;\
                  x-amz-date;x-amz-meta-mtime;x-amz-meta-sha256;x-amz-security-token,";
    assert!(authorization.contains(signed), "{authorization}");
}

#[test]
fn the_type_of_a_file_goes_with_it_in_one_piece_and_in_parts() {
    let put = || Step::Answer(answer(200, &["etag: \"e\""], ""));
    for (path, expected) in [("a/B.PNG", "image/png"), ("a/b", "application/octet-stream")] {
        let script = vec![put(), Step::Answer(answer(200, &[], BEGUN)), put()];
        let server = ScriptedServer::start(script);
        let store = store(settings(&server.endpoint()));
        let key = key_below("backups", path);
        store.put(&key, b"1", &Metadata::default()).unwrap();
        drop(store.begin(&key, &Metadata::default()).unwrap());
        let asked = server.asked();
        let types = [0, 1].map(|index: usize| asked[index].header("content-type"));
        assert_eq!(types, [Some(expected); 2], "{path}");
    }
}

#[test]
fn the_store_compares_what_arrived_with_what_was_hashed() {
    let server = S3Server::start();
    let store = store(settings(&server.endpoint()));
    // The same as a byte that changed on the way.
    let damaged = Metadata { sha256: Some(Digest::of(b"other bytes")), mtime: None };
    let error = store.put(&key(), b"some bytes", &damaged).unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Unavailable, "{error}");
    assert_eq!(server.objects(), [""; 0]);
}

#[test]
fn connections_are_used_again() {
    let ok = || Step::Answer(answer(200, &["etag: \"e\""], ""));
    let absent = || Step::Answer(error(404, "NoSuchKey"));
    let server = ScriptedServer::start(vec![ok(), ok(), absent(), ok(), ok()]);
    let store = store(settings(&server.endpoint()));
    store.put(&key(), b"1", &Metadata::default()).unwrap();
    store.put(&key(), &content(1, 1_000_000), &Metadata::default()).unwrap();
    assert!(store.open(&key(), None).unwrap().is_none());
    store.ready().unwrap();
    assert!(server.asked().iter().all(|asked| asked.connection == 0));
}

#[test]
fn a_kept_connection_that_was_closed_meanwhile_costs_nothing_but_a_second_attempt() {
    let ok = || Step::Answer(answer(200, &["etag: \"e\""], ""));
    let server = ScriptedServer::start(vec![ok(), Step::Hang, ok()]);
    let store = store(settings(&server.endpoint()));
    store.put(&key(), b"1", &Metadata::default()).unwrap();
    store.put(&key(), b"2", &Metadata::default()).unwrap();
    let asked = server.asked();
    let seen: Vec<(usize, &[u8])> =
        asked.iter().map(|asked| (asked.connection, asked.body.as_slice())).collect();
    assert_eq!(seen, [(0, &b"1"[..]), (0, b"2"), (1, b"2")]);
}

const BEGUN: &str = "<InitiateMultipartUploadResult><Bucket>b</Bucket><Key>k</Key>\
                     <UploadId>the+id/&amp;=</UploadId></InitiateMultipartUploadResult>";

#[test]
fn an_upload_that_ends_in_an_error_document_with_status_200_has_failed_and_is_aborted() {
    let body = "\n   \n<Error><Code>InternalError</Code><Message>m</Message></Error>";
    for end in [answer(200, &[], body), answer(200, &[], ""), answer(200, &[], "<html/>")] {
        let server = ScriptedServer::start(vec![
            Step::Answer(answer(200, &[], BEGUN)),
            Step::Answer(answer(200, &["etag: \"p1\""], "")),
            Step::Answer(end),
            Step::Answer(answer(204, &[], "")),
        ]);
        let store = store(settings(&server.endpoint()));
        let mut large = store.begin(&key(), &Metadata::default()).unwrap();
        large.append(part(b"part")).unwrap();
        let error = large.complete(Digest::of(b"part")).unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::Unavailable, "{error}");
        let asked = server.asked();
        let lines: Vec<&str> = asked.iter().map(|asked| asked.line.as_str()).collect();
        let target = "/backups-of-all-hosts/backups/web/a/file";
        let id = "uploadId=the%2Bid%2F%26%3D";
        assert_eq!(
            lines,
            [
                format!("POST {target}?uploads="),
                format!("PUT {target}?partNumber=1&{id}"),
                format!("POST {target}?{id}"),
                format!("DELETE {target}?{id}"),
            ]
        );
        assert_eq!(asked[0].header("x-amz-checksum-algorithm"), Some("CRC32"));
        let sum = "SQ9wxg==";
        assert_eq!(asked[1].header("x-amz-checksum-crc32"), Some(sum));
        assert_eq!(asked[1].header("x-amz-content-sha256"), Some("UNSIGNED-PAYLOAD"));
        let document = String::from_utf8(asked[2].body.clone()).unwrap();
        let listed = format!(
            "<Part><ChecksumCRC32>{sum}</ChecksumCRC32><ETag>&quot;p1&quot;</ETag>\
             <PartNumber>1</PartNumber></Part>"
        );
        assert!(document.contains(&listed), "{document}");
    }
}

#[test]
fn content_that_is_not_what_the_metadata_says_is_not_completed() {
    let server = S3Server::start();
    let store = store(settings(&server.endpoint()));
    let metadata = Metadata { sha256: Some(Digest::of(b"one thing")), mtime: None };
    let mut large = store.begin(&key(), &metadata).unwrap();
    large.append(part(b"another")).unwrap();
    assert!(large.complete(Digest::of(b"another")).is_err());
    assert_eq!((server.objects(), server.leftovers()), (vec![], vec![]));
}

#[test]
fn an_object_that_breaks_off_is_an_error_and_not_an_end() {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: 10\r\netag: \"e\"\r\n{DAY}\r\n\r\n");
    let short = Duration::from_millis(100);
    for step in [Step::Last(format!("{head}12345")), Step::Stall(format!("{head}12345"))] {
        let server = ScriptedServer::start(vec![step]);
        let deadlines =
            Deadlines { connect: short, stall: short, answer: short, retry: Duration::ZERO };
        let store = store(S3Settings { deadlines, ..settings(&server.endpoint()) });
        let mut object = store.open(&key(), None).unwrap().unwrap();
        let mut bytes = Vec::new();
        object.body.read_to_end(&mut bytes).unwrap_err();
        assert_eq!(bytes, b"12345");
        drop(object);
        server.asked();
    }
}

#[test]
fn an_answer_that_does_not_fit_the_question_is_an_error() {
    let range = Some(ByteRange { first: 2, last: 4 });
    let lines = |range: &'static str| vec!["etag: \"e\"", DAY, range];
    for (status, headers) in [
        (200, lines("x: y")),
        (206, lines("x: y")),
        (206, lines("content-range: bytes 1-3/10")),
        (206, lines("content-range: bytes 2-5/10")),
        (206, vec![DAY, "content-range: bytes 2-4/10"]),
        (204, lines("content-range: bytes 2-4/10")),
    ] {
        let server = ScriptedServer::start(vec![Step::Last(answer(status, &headers, "abc"))]);
        let store = store(settings(&server.endpoint()));
        let error = store.open(&key(), range).err().unwrap();
        assert_eq!(error.kind, StoreErrorKind::Unavailable, "{status} {headers:?}: {error}");
        server.asked();
    }
    let headers = lines("content-range: bytes 2-4/10");
    let server = ScriptedServer::start(vec![Step::Last(answer(206, &headers, "abc"))]);
    let object = store(settings(&server.endpoint())).open(&key(), range).unwrap().unwrap();
    assert_eq!((object.info.size, object.length), (10, 3));
    server.asked();
}

#[test]
fn a_forbidden_object_is_refused_and_not_absent_and_the_reason_is_looked_for() {
    let bare = || Step::Answer("HTTP/1.1 403 No\r\ncontent-length: 0\r\n\r\n".to_owned());
    for (code, hint) in [("RequestTimeTooSkewed", "NTP"), ("AccessDenied", "s3:ListBucket")] {
        let server = ScriptedServer::start(vec![bare(), Step::Answer(error(403, code))]);
        let error = store(settings(&server.endpoint())).head(&key()).unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::Refused, "{error}");
        assert!(error.hint.unwrap().contains(hint), "{error}");
        assert_eq!(error.subject, key().as_str());
        server.asked();
    }
    // Listing works, this object does not: still no reason to call it absent.
    let server = ScriptedServer::start(vec![bare(), Step::Answer(answer(200, &[], "<x/>"))]);
    let error = store(settings(&server.endpoint())).head(&key()).unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Refused, "{error}");
    server.asked();
}

#[test]
fn a_redirect_is_not_followed_but_explained() {
    for status in [301, 302, 307, 308] {
        let moved = answer(status, &["location: http://127.0.0.1:1/elsewhere"], "");
        let server = ScriptedServer::start(vec![Step::Answer(moved)]);
        let store = store(settings(&server.endpoint()));
        let error = store.put(&key(), b"x", &Metadata::default()).unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::Refused, "{error}");
        assert!(error.hint.unwrap().contains("s3.region"), "{error}");
        assert_eq!(server.asked().len(), 1);
    }
}

#[test]
fn an_overloaded_or_full_store_is_told_from_a_broken_one() {
    for (status, code, kind) in [
        (503, "SlowDown", StoreErrorKind::Unavailable),
        (500, "InternalError", StoreErrorKind::Unavailable),
        (507, "XMinioStorageFull", StoreErrorKind::Full),
        (400, "EntityTooLarge", StoreErrorKind::Refused),
    ] {
        let server = ScriptedServer::start(vec![Step::Answer(error(status, code))]);
        let store = store(settings(&server.endpoint()));
        let error = store.put(&key(), b"x", &Metadata::default()).unwrap_err();
        assert_eq!(error.kind, kind, "{error}");
        assert!(error.cause.contains(code), "{error}");
        server.asked();
    }
}

#[test]
fn an_endless_error_page_is_cut() {
    let head = "HTTP/1.1 400 No\r\ncontent-length: 100000000000\r\n\r\n";
    let page = format!("{head}<Error><Code>Odd</Code>{}", "x".repeat(200_000));
    let server = ScriptedServer::start(vec![Step::Stall(page)]);
    let store = store(settings(&server.endpoint()));
    let error = store.put(&key(), b"x", &Metadata::default()).unwrap_err();
    assert_eq!(error.cause, "status 400", "a document without an end is none");
    server.asked();
}

#[test]
fn no_secret_is_in_any_debug_or_error() {
    let identity = keys("id", "the/secret", Some("the/secret token"));
    let shown = format!("{:?}", S3Settings { identity, ..settings("http://h") });
    assert!(!shown.contains("the/secret"), "{shown}");
    // A line end would end the header; the message must not repeat it.
    let identity = keys("id", "the/secret", Some("the/secret\r\nx: y"));
    let store = store(S3Settings { identity, ..settings("http://127.0.0.1:1") });
    let error = store.ready().unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Refused);
    assert!(!format!("{error} {error:?}").contains("the/secret"), "{error}");
}

#[test]
fn settings_that_name_no_place_are_refused_at_once() {
    for (endpoint, region, bucket) in [
        (Some("127.0.0.1:9000"), "x", "b"),
        (Some("http://h"), "x", "b/c"),
        (None, "nowhere-1", "b"),
    ] {
        let error = prepare(S3Settings {
            endpoint: endpoint.map(str::to_owned),
            region: region.to_owned(),
            bucket: bucket.to_owned(),
            ..settings("")
        });
        assert_eq!(error.err().unwrap().kind, StoreErrorKind::Refused);
    }
}
