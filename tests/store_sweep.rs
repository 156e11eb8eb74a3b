//! The sweep and the inspection of an S3 store over played answers: pages, garbage, refusals.
//!
//! What a real server does with them stands in the contract.

use crate::support::scene::{folder_of, prepare, settings};
use crate::support::scripted_server::{Asked, ScriptedServer, Step, answer, error};
use s3up::remote_path::RemotePrefix;
use s3up::server::key::ProbeKey;
use s3up::server::store::inspect::Inspect;
use s3up::server::store::{CannotSweep, ObjectStore, StoreErrorKind, Swept};
use s3up::threads::StopSource;
use std::time::Duration;

const DATE: &str = "date: Sun, 06 Nov 1994 08:49:37 GMT";
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const OLD: &str = "1994-11-05T08:49:37.000Z";
const YOUNG: &str = "1994-11-05T08:49:38.000Z";

fn upload(key: &str, id: &str, initiated: &str) -> String {
    format!(
        "<Upload><Key>{key}</Key><UploadId>{id}</UploadId><Initiated>{initiated}</Initiated></Upload>"
    )
}

fn page(inside: &str) -> Step {
    let body = format!(
        "<?xml version=\"1.0\"?>\n<ListMultipartUploadsResult><EncodingType>url</EncodingType>\
         {inside}</ListMultipartUploadsResult>"
    );
    Step::Answer(answer(200, &[DATE], &body))
}

fn gone() -> Step {
    Step::Answer(answer(204, &[], ""))
}

/// Sweeps the folders of these clients over a script, which must be played to its end.
#[track_caller]
fn sweep(clients: &[&str], script: Vec<Step>) -> (Result<Swept, CannotSweep>, Vec<Asked>) {
    let (server, length) = (ScriptedServer::start(script.clone()), script.len());
    let store = prepare(settings(&server.endpoint())).unwrap();
    let folders: Vec<_> = clients.iter().map(|client| folder_of("backups", client)).collect();
    let swept = store.sweep(&folders, DAY, &StopSource::default().stop());
    let asked = server.asked();
    assert_eq!(asked.len(), length, "{asked:#?}");
    (swept, asked)
}

fn lines(asked: &[Asked]) -> Vec<&str> {
    asked.iter().map(|asked| asked.line.strip_prefix("GET ").unwrap_or(&asked.line)).collect()
}

#[track_caller]
fn check(script: Vec<Step>, removed: u64, failures: &[&str]) -> Vec<Asked> {
    let (swept, asked) = sweep(&["web"], script);
    let swept = swept.unwrap();
    assert_eq!(swept.removed, removed);
    assert_eq!(swept.failures.len(), failures.len(), "{:?}", swept.failures);
    for (failure, expected) in swept.failures.iter().zip(failures) {
        let failure = failure.to_string();
        assert!(failure.contains("backups/web/") && failure.contains(expected), "{failure}");
    }
    asked
}

#[test]
fn every_page_is_asked_for_and_only_what_is_old_and_in_the_folder_is_aborted() {
    let first = "<IsTruncated>true</IsTruncated><NextKeyMarker>backups%2Fweb%2Fb+c</NextKeyMarker>\
                 <NextUploadIdMarker>id&amp;2</NextUploadIdMarker>";
    let first = page(
        &(first.to_owned()
            + &upload("backups%2Fweb%2Fa", "id1", OLD)
            + &upload("backups%2Fweb%2Fb+c", "id&amp;2", OLD)),
    );
    let second = page(
        &(upload("backups/web/young", "id3", YOUNG)
            + &upload("backups/web-eu/a", "id4", OLD)
            + &upload("backups/web//a", "id5", OLD)
            + &upload("%FF", "id6", OLD)
            + &upload("backups/web/%25", "id7", OLD)),
    );
    let asked = check(vec![first, gone(), gone(), second, gone()], 3, &[]);
    let bucket = "/backups-of-all-hosts/";
    let list = |markers: [&str; 2]| {
        let [key, id] = markers;
        format!(
            "{bucket}?encoding-type=url{key}&max-uploads=8&prefix=backups%2Fweb%2F{id}&uploads="
        )
    };
    assert_eq!(
        lines(&asked),
        [
            list(["", ""]),
            format!("DELETE {bucket}backups/web/a?uploadId=id1"),
            format!("DELETE {bucket}backups/web/b%20c?uploadId=id%262"),
            list(["&key-marker=backups%2Fweb%2Fb%20c", "&upload-id-marker=id%262"]),
            format!("DELETE {bucket}backups/web/%25?uploadId=id7"),
        ]
    );
}

#[test]
fn a_marker_without_an_id_is_taken_as_it_is() {
    let first = page("<IsTruncated>true</IsTruncated><NextKeyMarker>k</NextKeyMarker>");
    let asked = check(vec![first, page("")], 0, &[]);
    assert!(asked[1].line.contains("key-marker=k") && !asked[1].line.contains("id-marker"));
}

#[test]
fn an_answer_that_cannot_be_read_aborts_nothing() {
    let old = upload("backups/web/a", "id", OLD);
    let list =
        |inside: &str| format!("<ListMultipartUploadsResult>{inside}</ListMultipartUploadsResult>");
    for (step, cause) in [
        (Step::Answer(answer(200, &[], &list(&old))), "no date"),
        (Step::Answer(answer(200, &["date: today"], &list(&old))), "no date"),
        (
            Step::Answer(answer(200, &[DATE], list(&old).rsplit_once("</").unwrap().0)),
            "cannot list",
        ),
        (Step::Answer(answer(200, &[DATE], "")), "not a list"),
        (Step::Answer(answer(200, &[DATE], "<ListBucketResult/>")), "not a list"),
        (page(&(old.clone() + &upload("backups/web/b", "id", "once"))), "\"once\" is no time"),
        (page(&(old.clone() + &"x".repeat(70_000))), "cannot list"),
        (page("<IsTruncated>true</IsTruncated>"), "not said where"),
        (Step::Answer(error(500, "InternalError")), "InternalError"),
        (Step::Answer(error(403, "AccessDenied")), "s3:ListBucketMultipartUploads"),
        (Step::Answer(error(404, "NoSuchBucket")), "s3.bucket"),
    ] {
        check(vec![step], 0, &[cause]);
    }
}

#[test]
fn a_list_that_goes_round_in_circles_is_left() {
    let same = "<IsTruncated>true</IsTruncated><NextKeyMarker>backups/web/a</NextKeyMarker>\
                <NextUploadIdMarker>id</NextUploadIdMarker>";
    check(vec![page(same), page(same)], 0, &["does not go on"]);
}

#[test]
fn a_store_that_knows_no_such_list_is_asked_once_and_told_from_one_that_fails() {
    for (status, code) in [(501, "NotImplemented"), (405, "MethodNotAllowed")] {
        let (swept, _) = sweep(&["a", "b", "c"], vec![Step::Answer(error(status, code))]);
        let error = swept.unwrap_err().to_string();
        assert!(error.contains(code), "{error}");
        assert!(error.contains("AbortIncompleteMultipartUpload"), "{error}");
    }
}

#[test]
fn an_upload_that_ended_meanwhile_is_not_counted_and_one_that_cannot_be_aborted_is_said() {
    let two = || page(&(upload("backups/web/a", "1", OLD) + &upload("backups/web/b", "2", OLD)));
    check(vec![two(), Step::Answer(error(404, "NoSuchUpload")), gone()], 1, &[]);
    let denied = Step::Answer(error(403, "AccessDenied"));
    check(vec![two(), gone(), denied], 1, &["s3:AbortMultipartUpload"]);
    check(vec![two(), Step::Answer(error(404, "NoSuchBucket"))], 0, &["s3.bucket"]);
}

#[test]
fn one_folder_that_fails_is_not_the_others_but_three_are_enough() {
    let bad = || Step::Answer(error(500, "InternalError"));
    let good = |client: &str| page(&upload(&format!("backups/{client}/x"), "id", OLD));
    let (swept, _) = sweep(&["a", "b", "c"], vec![bad(), good("b"), gone(), good("c"), gone()]);
    let swept = swept.unwrap();
    assert_eq!((swept.removed, swept.failures.len()), (2, 1));
    let (swept, _) =
        sweep(&["a", "b", "c", "d", "e"], vec![bad(), good("b"), gone(), bad(), bad()]);
    let swept = swept.unwrap();
    assert_eq!((swept.removed, swept.failures.len()), (1, 3), "and e is not asked for");
}

#[test]
fn a_program_that_is_ending_begins_no_request() {
    let server = ScriptedServer::start(vec![page(&upload("backups/web/a", "id", OLD))]);
    let store = prepare(settings(&server.endpoint())).unwrap();
    let mut source = StopSource::default();
    source.raise();
    let swept = store.sweep(&[folder_of("backups", "web")], DAY, &source.stop()).unwrap();
    assert_eq!((swept.removed, swept.failures.len(), server.asked().len()), (0, 0, 0));
}

/// What the store says of itself below `backups/`, by subject.
#[track_caller]
fn findings(script: [Step; 3]) -> Vec<String> {
    let server = ScriptedServer::start(script.to_vec());
    let store = prepare(settings(&server.endpoint())).unwrap();
    let findings = store.findings(&RemotePrefix::parse("backups/").unwrap());
    assert_eq!(server.asked().len(), 3);
    let text = |finding: s3up::server::store::inspect::Finding| match finding.answer {
        Ok(answer) => format!("{}: {answer}", finding.subject),
        Err(error) => format!("{} unknown: {error}", finding.subject),
    };
    findings.into_iter().map(text).collect()
}

#[test]
fn versioning_and_lifecycle_are_told_as_they_are_and_what_is_denied_is_unknown() {
    let xml = |body: &str| Step::Answer(answer(200, &[], body));
    let rule = "<LifecycleConfiguration><Rule><Status>Enabled</Status><Filter/>\
                <AbortIncompleteMultipartUpload><DaysAfterInitiation>7</DaysAfterInitiation>\
                </AbortIncompleteMultipartUpload></Rule></LifecycleConfiguration>";
    let on = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
    let told = findings([page(""), xml(on), xml(rule)]);
    for (told, expected) in told.iter().zip(["can be listed", "versioning: on", "after 7 days"]) {
        assert!(told.contains(expected), "{told}");
    }
    let none = Step::Answer(error(404, "NoSuchLifecycleConfiguration"));
    let told = findings([page(""), xml("<VersioningConfiguration/>"), none]);
    for (told, expected) in told.iter().zip(["can be listed", "versioning: off", "no rule"]) {
        assert!(told.contains(expected), "{told}");
    }
    let denied = || Step::Answer(error(403, "AccessDenied"));
    for told in findings([denied(), denied(), denied()]) {
        assert!(told.contains("unknown: ") && told.contains("AccessDenied"), "{told}");
        assert!(!told.contains("s3:PutObject"), "that is not what is missing: {told}");
    }
    let no_bucket = || Step::Answer(error(404, "NoSuchBucket"));
    for told in findings([no_bucket(), no_bucket(), no_bucket()]) {
        assert!(told.contains("unknown: "), "{told}");
    }
}

#[test]
fn what_was_begun_for_the_probe_is_aborted_and_a_refusal_of_that_is_an_error() {
    let begun = "<InitiateMultipartUploadResult><Bucket>b</Bucket><Key>k</Key><UploadId>id/1\
                 </UploadId></InitiateMultipartUploadResult>";
    let begun = || Step::Answer(answer(200, &[], begun));
    let probe = ProbeKey::new(&RemotePrefix::parse("backups/").unwrap(), 7).unwrap();
    let target = format!("/backups-of-all-hosts/{}", probe.as_object());
    for (end, well) in [(gone(), true), (Step::Answer(error(403, "AccessDenied")), false)] {
        let server = ScriptedServer::start(vec![begun(), end]);
        let store = prepare(settings(&server.endpoint())).unwrap();
        let done = store.begin_and_abort(&probe);
        let asked = server.asked();
        let expected =
            [format!("POST {target}?uploads="), format!("DELETE {target}?uploadId=id%2F1")];
        assert_eq!(lines(&asked), expected);
        assert_eq!(done.is_ok(), well);
        assert!(done.err().is_none_or(|error| error.kind == StoreErrorKind::Refused));
    }
}
