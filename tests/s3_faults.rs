//! Uploads while S3 has a bad day: whatever happens at whatever stage, a client is told "stored" of
//! whole objects only, and what stood there before still stands otherwise.

use crate::support::content;
use crate::support::fault::{End, Fault, Rule, bare, error};
use crate::support::fault_scene::{FaultScene, Sent};
use crate::support::s3_message::Stage::{self, Abort, Begin, Complete, Part, Put};
use crate::support::scripted_server::answer;
use std::sync::LazyLock;
use std::thread;

/// All that is asked of S3 for a file of 4 KiB.
const SMALL: [Stage; 1] = [Put];
/// The same for one of 40 MiB, of which every part but the last could be any other.
const LARGE: [Stage; 6] = [Begin, Part(1), Part(3), Part(5), Complete, Abort];

static CONTENT: LazyLock<Vec<u8>> = LazyLock::new(|| content(1, 40 * 1024 * 1024));

/// What a client may be told of an upload that a fault has befallen.
#[derive(Clone, Copy, Debug)]
enum Expected {
    Stored,
    /// The server may have tried again.
    StoredOrUnavailable,
    Unavailable,
    /// The operator is told why, in these words.
    Refused(&'static str),
}
use Expected::{Refused, Stored, StoredOrUnavailable, Unavailable};

/// How often.
const ONCE: usize = 1;
const ALWAYS: usize = usize::MAX;

/// Has `fault` happen to an upload at `stage`, so many times, and checks everything that must hold.
#[track_caller]
fn check(
    scene: &FaultScene,
    (name, fault): (&str, Fault),
    stage: Stage,
    times: usize,
    then: Expected,
) {
    let kind = if times == ONCE { "once" } else { "always" };
    let path = format!("{name}-{kind}/{stage:?}").replace(['(', ')'], "");
    let content = if stage == Put { &CONTENT[..4096] } else { &CONTENT[..] };
    let (old, new) =
        (Sent::new(&path, b"what stood there before", 1), Sent::new(&path, content, 2));
    assert_eq!(scene.upload(&old).status, 200);
    let (key, proxy) = (new.key(), scene.proxy());
    proxy.arrange(Rule { key: key.clone(), stage, spared: 0, times, fault });

    if stage == Abort {
        scene.upload_damaged(&new).assert_error(422, "digest_mismatch");
        proxy.heal(&key);
        scene.assert_holds(&old);
        assert!(!proxy.fired(&key).is_empty(), "{path}: nothing happened");
    } else {
        let answer = scene.upload(&new);
        proxy.heal(&key);
        assert!(!proxy.fired(&key).is_empty(), "{path}: nothing happened");
        match then {
            Stored => assert_eq!(answer.status, 200, "{path}: {}", answer.text()),
            StoredOrUnavailable => {
                assert!([200, 503].contains(&answer.status), "{path}: {}", answer.text());
            }
            Unavailable => assert_eq!(answer.status, 503, "{path}: {}", answer.text()),
            Refused(hint) => {
                answer.assert_error(502, "store_refused");
                let lines = scene.loud_lines(&key, 1);
                assert!(lines[0].contains("hint: ") && lines[0].contains(hint), "{lines:?}");
            }
        }
        // An answer that was lost can be that of an upload that was stored.
        let stored = answer.status == 200 || proxy.stored(&key) > 1;
        scene.assert_holds(if stored { &new } else { &old });
        if answer.status == 200 {
            return scene.clear_away(&new);
        }
    }
    assert_eq!(scene.upload(&new).status, 200, "{path}: the next time");
    scene.assert_holds(&new);
    scene.clear_away(&new);
    // One failure, one loud line.
    assert!(scene.loud_lines(&key, 0).len() <= 1, "{:?}", scene.loud_lines(&key, 0));
}

fn both() -> impl Iterator<Item = Stage> {
    SMALL.into_iter().chain(LARGE)
}

/// Checks faults that pass by themselves: they may be got over, and when they do not pass they must
/// be told.
#[track_caller]
fn check_passing(scene: &FaultScene, name: &str, fault: &Fault, stage: Stage) {
    check(scene, (name, fault.clone()), stage, ONCE, StoredOrUnavailable);
    if matches!(stage, Put | Part(3)) {
        check(scene, (name, fault.clone()), stage, ALWAYS, Unavailable);
    }
}

#[test]
fn a_store_that_goes_away_at_any_stage() {
    let scene = FaultScene::new();
    for stage in both() {
        check(&scene, ("gone", Fault::Gone), stage, ONCE, Unavailable);
    }
    scene.assert_at_rest();
}

#[test]
fn a_connection_that_is_reset_within_a_request() {
    let scene = FaultScene::new();
    for stage in both() {
        check_passing(&scene, "reset-at-once", &Fault::Reset(0), stage);
    }
    for (stage, bytes) in [(Put, 1), (Put, 4095), (Part(1), 1), (Part(3), 5_000_000)] {
        check_passing(&scene, &format!("reset-after-{bytes}"), &Fault::Reset(bytes), stage);
    }
    check_passing(&scene, "reset-in-parts-list", &Fault::Reset(100), Complete);
    scene.assert_at_rest();
}

#[test]
fn an_answer_that_is_lost_or_cut_after_s3_has_done_its_work() {
    let scene = FaultScene::new();
    for stage in both() {
        check_passing(&scene, "lost", &Fault::Done(End::Lost), stage);
        check_passing(&scene, "truncated", &Fault::Done(End::Truncated), stage);
    }
    // Nobody says that it is stored, but it is there to be seen.
    check(&scene, ("lost", Fault::Done(End::Lost)), Complete, ALWAYS, Stored);
    scene.assert_at_rest();
}

#[test]
fn a_store_that_stalls() {
    let scene = FaultScene::new();
    let stalls = [
        ("stall-at-once", Fault::Stall(0)),
        ("stall-within", Fault::Stall(3000)),
        ("silent", Fault::Done(End::Silent)),
    ];
    // At the same time, for each takes as long as the server waits.
    for stages in [&[Put, Begin, Abort, Complete][..], &[Part(1), Part(3), Part(5)]] {
        thread::scope(|scope| {
            for ((name, fault), stage) in
                stalls.iter().flat_map(|stall| stages.iter().map(move |stage| (stall, *stage)))
            {
                let scene = &scene;
                scope.spawn(move || {
                    check(scene, (name, fault.clone()), stage, ONCE, StoredOrUnavailable);
                });
            }
        });
    }
    scene.assert_at_rest();
}

#[test]
fn an_error_that_passes() {
    let scene = FaultScene::new();
    let stages =
        |all: bool| both().filter(move |stage| all || matches!(stage, Put | Part(3) | Abort));
    for (name, fault, everywhere) in [
        ("500", Fault::Answer(error(500, "InternalError")), true),
        ("slow-down", Fault::Answer(error(503, "SlowDown")), true),
        ("bare-503", Fault::Answer(bare(503)), false),
        ("early-503", Fault::Early(error(503, "SlowDown")), false),
        ("500-when-done", Fault::Done(End::Instead(error(500, "InternalError"))), true),
    ] {
        for stage in stages(everywhere) {
            check(&scene, (name, fault.clone()), stage, ONCE, StoredOrUnavailable);
        }
    }
    for stage in [Put, Begin, Part(3), Complete] {
        let fault = Fault::Answer(error(503, "SlowDown"));
        check(&scene, ("slow-down", fault), stage, ALWAYS, Unavailable);
    }
    scene.assert_at_rest();
}

#[test]
fn an_error_that_comes_with_status_200() {
    let scene = FaultScene::new();
    let late = |code: &str| answer(200, &[], error(200, code).split_once("\r\n\r\n").unwrap().1);
    for (name, fault, times, then) in [
        ("late-error", Fault::Answer(late("InternalError")), ONCE, StoredOrUnavailable),
        ("late-slow-down", Fault::Answer(late("SlowDown")), ALWAYS, Unavailable),
        ("late-denied", Fault::Answer(late("AccessDenied")), ALWAYS, Refused("s3:PutObject")),
        ("no-document", Fault::Answer(answer(200, &[], "")), ALWAYS, Unavailable),
        ("another-document", Fault::Answer(answer(200, &[], "<html/>")), ONCE, StoredOrUnavailable),
        ("late-error", Fault::Done(End::Instead(late("InternalError"))), ALWAYS, Stored),
    ] {
        check(&scene, (name, fault), Complete, times, then);
    }
    scene.assert_at_rest();
}

#[test]
fn a_refusal_that_the_operator_has_to_mend() {
    let scene = FaultScene::new();
    for (name, status, code, hint, stages) in [
        (
            "denied",
            403,
            "AccessDenied",
            "s3:PutObject",
            &[Put, Begin, Part(1), Part(5), Complete][..],
        ),
        ("no-bucket", 404, "NoSuchBucket", "s3.bucket", &[Put, Begin, Part(3), Abort]),
        ("skew", 403, "RequestTimeTooSkewed", "NTP", &[Put, Begin, Part(3), Complete]),
    ] {
        for stage in stages {
            let fault = Fault::Answer(error(status, code));
            check(&scene, (name, fault), *stage, ONCE, Refused(hint));
        }
    }
    let fault = Fault::Done(End::Instead(error(403, "AccessDenied")));
    for stage in [Put, Begin, Part(5), Complete, Abort] {
        check(&scene, ("denied-when-done", fault.clone()), stage, ALWAYS, Refused("s3:PutObject"));
    }
    let early = Fault::Early(error(403, "AccessDenied"));
    for stage in [Put, Part(3)] {
        check(&scene, ("denied-early", early.clone()), stage, ALWAYS, Refused("s3:PutObject"));
    }
    scene.assert_at_rest();
}

#[test]
fn a_slow_store_is_waited_for() {
    let scene = FaultScene::new();
    for stage in both() {
        check(&scene, ("slow", Fault::Slow), stage, ALWAYS, Stored);
    }
    scene.assert_at_rest();
}
