//! Downloads and questions while S3 has a bad day: a client gets the whole file, an error, or a broken
//! connection, and never a short file, another one, or a wrong "it is not there".

use crate::support::api::{Answer, Request};
use crate::support::content;
use crate::support::fault::{End, Fault, Rule, bare, error};
use crate::support::fault_scene::{FaultScene, Sent};
use crate::support::s3_message::Stage::{self, Get, Head};
use crate::support::scripted_server::answer;
use std::thread;

/// What a client got of a file.
#[derive(Debug, PartialEq, Eq)]
enum Got {
    Whole,
    /// The connection broke before the length was reached.
    Broken,
    /// Told to come again.
    Unavailable,
    Refused,
}
use Got::{Broken, Refused, Unavailable, Whole};

/// The ways to ask for a file, of which all but the first read it.
const EXISTS: &str = "/exists?path=";
const WAYS: [(&str, &str); 2] = [("/download?path=", ""), ("/download?path=", "bytes=10-3999")];

/// Asks for a file in one way, and checks that what comes belongs to it.
#[track_caller]
fn get(scene: &FaultScene, file: &Sent<'_>, (target, range): (&str, &str)) -> Got {
    let mut request = Request::new("GET", &format!("{target}{}", file.path));
    let mut expected = file.content;
    if !range.is_empty() {
        request = request.header("Range", range);
        expected = &file.content[10..4000];
    }
    let mut connection = scene.connect_and_say(&request);
    let head = connection.head_of_answer();
    let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name));
    let length = field("Content-Length: ").unwrap().parse().unwrap();
    let mut body = vec![0; length];
    let mut count = 0;
    while count < length {
        match connection.read(&mut body[count..]) {
            Ok(0) | Err(_) => break,
            Ok(more) => count += more,
        }
    }
    let whole = count == length;
    let status = head.split(' ').nth(1).unwrap();
    match status {
        "200" if target == EXISTS => {
            let text = String::from_utf8(body).unwrap();
            assert!(whole && text.contains("\"exists\":true"), "{text}");
            Whole
        }
        "200" | "206" => {
            assert_eq!(status == "206", !range.is_empty());
            assert_eq!(length, expected.len(), "{head}");
            assert!(body[..count] == expected[..count], "{} comes as something else", file.path);
            if whole { Whole } else { Broken }
        }
        _ => {
            let answer = Answer::read(&mut [head.as_bytes(), &body].concat().as_slice(), false);
            let answer = answer.unwrap();
            scene.assert_says_nothing_of_s3(&answer);
            match status {
                "503" => {
                    answer.assert_error(503, "unavailable");
                    assert!(answer.header("Retry-After").is_some());
                    Unavailable
                }
                _ => {
                    answer.assert_error(502, "store_refused");
                    Refused
                }
            }
        }
    }
}

/// Has `fault` happen at `stage` to whoever asks for `file` in this way, once and then always, and
/// checks what they get: one of `may`, but not the whole file if it happens always.
#[track_caller]
fn check(
    scene: &FaultScene,
    file: &Sent<'_>,
    way: (&str, &str),
    (stage, fault): (Stage, &Fault),
    may: &[Got],
) {
    let (key, proxy) = (file.key(), scene.proxy());
    for times in [1, usize::MAX] {
        let before = proxy.fired(&key).len();
        proxy.arrange(Rule { key: key.clone(), stage, spared: 0, times, fault: fault.clone() });
        let got = get(scene, file, way);
        proxy.heal(&key);
        assert!(proxy.fired(&key).len() > before, "{fault:?}: nothing happened");
        // Without a fault there is no error; a refusal is never the store's bad day.
        let got_over = got == Whole && times == 1 && may != [Refused];
        assert!(got_over || may.contains(&got), "{got:?} by {way:?} after {times} {fault:?}");
        assert_eq!(get(scene, file, way), Whole, "the next time");
    }
}

/// Two files in the bucket.
fn scene_with<'f>(small: &'f [u8], large: &'f [u8]) -> (FaultScene, [Sent<'f>; 2]) {
    let scene = FaultScene::new();
    let files = [Sent::new("small", small, 1), Sent::new("large", large, 2)];
    for file in &files {
        assert_eq!(scene.upload(file).status, 200);
    }
    (scene, files)
}

#[test]
fn a_download_that_s3_breaks_off_is_never_a_short_file() {
    let (small, large) = (content(1, 4096), content(2, 20_000_000));
    let (scene, files) = scene_with(&small, &large);
    for file in &files {
        let length = file.content.len();
        for end in [
            End::Reset(0),
            End::Reset(1),
            End::Reset(length / 2),
            End::Reset(length - 1),
            End::Truncated,
        ] {
            for way in WAYS {
                check(&scene, file, way, (Get, &Fault::Done(end.clone())), &[Broken, Unavailable]);
            }
        }
    }
    scene.assert_at_rest();
}

#[test]
fn a_download_that_stalls_in_s3_is_broken_off() {
    let (small, large) = (content(1, 4096), content(2, 20_000_000));
    let (scene, files) = scene_with(&small, &large);
    // At the same time, for each takes as long as the server waits; of one file one after the other.
    thread::scope(|scope| {
        for file in &files {
            let scene = &scene;
            scope.spawn(move || {
                for after in [0, file.content.len() / 2] {
                    let stall = Fault::Done(End::Stall(after));
                    check(scene, file, WAYS[0], (Get, &stall), &[Broken, Unavailable]);
                }
            });
        }
    });
    scene.assert_at_rest();
}

#[test]
fn a_question_that_s3_does_not_answer_is_not_answered_either() {
    let (small, large) = (content(1, 4096), content(2, 20_000_000));
    let (scene, [small, _]) = scene_with(&small, &large);
    let silent = Fault::Done(End::Silent);
    check(&scene, &small, (EXISTS, ""), (Head, &silent), &[Unavailable]);
    check(&scene, &small, WAYS[0], (Get, &silent), &[Unavailable]);
    for (stage, way) in [(Head, (EXISTS, "")), (Get, WAYS[0]), (Head, WAYS[1]), (Get, WAYS[1])] {
        for fault in [
            Fault::Gone,
            Fault::Reset(0),
            Fault::Done(End::Lost),
            Fault::Answer(error(500, "InternalError")),
            Fault::Answer(error(503, "SlowDown")),
            Fault::Answer(bare(503)),
        ] {
            check(&scene, &small, way, (stage, &fault), &[Unavailable]);
        }
        // What is no answer to the question: no length, another range, no tag.
        let odd = Fault::Answer(answer(200, &["last-modified: yesterday"], ""));
        check(&scene, &small, way, (stage, &odd), &[Unavailable]);
        if stage == Get {
            let fault = Fault::Answer(error(403, "AccessDenied"));
            check(&scene, &small, way, (stage, &fault), &[Refused]);
        }
    }
    scene.assert_at_rest();
}

#[test]
fn a_slow_download_is_waited_for() {
    let (small, large) = (content(1, 4096), content(2, 20_000_000));
    let (scene, files) = scene_with(&small, &large);
    for file in &files {
        for way in WAYS {
            check(&scene, file, way, (Get, &Fault::Slow), &[Whole]);
        }
    }
    scene.assert_at_rest();
}
