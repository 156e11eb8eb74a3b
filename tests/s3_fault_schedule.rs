//! Uploads through a store whose bad days come by chance: whoever repeats an upload until it is
//! acknowledged has it in the bucket in the end, whatever happened between.

use crate::support::content;
use crate::support::fault::{End, Fault, Rule, bare, error};
use crate::support::fault_scene::{Client, FaultScene, Sent};
use crate::support::s3_message::Stage::{self, Abort, Begin, Complete, Part, Put};
use crate::support::scripted_server::answer;
use s3up::limits::PART_BYTES;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// To run the same once more.
const SEED: &str = "S3UP_TEST_SEED";

const SEQUENCES: usize = 40;

/// Uploads at the same time: two of each client.
const HANDS: usize = 4;

/// Attempts at one upload: more than faults can come to it.
const ATTEMPTS_MAX: usize = 40;

const SIZES: [usize; 8] =
    [0, 4096, 4096, 4096, PART_BYTES - 1, PART_BYTES, PART_BYTES + 1, 20 * 1024 * 1024];

/// A fault that passes, at any stage of an upload of so many bytes.
fn drawn(chance: &mut fastrand::Rng, size: usize) -> (Stage, Fault) {
    let parts = size.div_ceil(PART_BYTES) as u64;
    let stage = match chance.u8(0..8) {
        _ if parts < 2 => Put,
        0 => Begin,
        1 | 2 => Complete,
        3 => Abort,
        _ => Part(chance.u64(1..=parts)),
    };
    let bytes = chance.usize(0..=size.clamp(1, PART_BYTES));
    let late = answer(200, &[], "<Error><Code>InternalError</Code></Error>");
    let fault = match chance.u8(0..16) {
        0 => Fault::Gone,
        1 | 2 => Fault::Reset(0),
        3 | 4 => Fault::Reset(bytes),
        5 => Fault::Answer(error(500, "InternalError")),
        6 => Fault::Answer(error(503, "SlowDown")),
        7 => Fault::Answer(bare(503)),
        8 => Fault::Early(error(503, "SlowDown")),
        9 => Fault::Answer(error(403, "AccessDenied")),
        10 => Fault::Done(End::Instead(error(500, "InternalError"))),
        11 if stage == Complete => Fault::Answer(late),
        12 if stage == Complete => Fault::Done(End::Instead(late)),
        13 => Fault::Done(End::Truncated),
        14 => Fault::Slow,
        _ => Fault::Done(End::Lost),
    };
    (stage, fault)
}

/// One sequence: a file, and what will happen to it.
struct Sequence {
    client: Client,
    path: String,
    content: Vec<u8>,
    faults: Vec<(Stage, Fault, [usize; 2])>,
}

fn sequence(chance: &mut fastrand::Rng, number: usize) -> Sequence {
    let hand = number % HANDS;
    let size = SIZES[chance.usize(..SIZES.len())];
    let faults = (0..chance.usize(1..=4)).map(|_| {
        let (stage, fault) = drawn(chance, size);
        (stage, fault, [chance.usize(..2), chance.usize(1..=2)])
    });
    Sequence {
        client: if hand.is_multiple_of(2) { Client::Web } else { Client::Eu },
        faults: faults.collect(),
        // Some of them replace what the same hand has stored before.
        path: format!("hand-{hand}/file-{}", chance.u8(..6)),
        content: content(chance.u64(..), size),
    }
}

/// Uploads the file until it is acknowledged. Returns how many attempts it took.
fn upload(scene: &FaultScene, number: usize, sequence: &Sequence) -> usize {
    let version = i64::try_from(number).unwrap();
    let file = Sent::new(&sequence.path, &sequence.content, version);
    let file = Sent { client: sequence.client, ..file };
    let proxy = scene.proxy();
    for (stage, fault, [spared, times]) in sequence.faults.iter().cloned() {
        proxy.arrange(Rule { key: file.key(), stage, spared, times, fault });
    }
    let attempts = (1..=ATTEMPTS_MAX).find(|attempt| {
        let answer = scene.upload(&file);
        // Whoever finds the store gone has it back the next time.
        proxy.come_back();
        assert!([200, 502, 503].contains(&answer.status), "attempt {attempt}: {}", answer.text());
        // Acknowledged is stored: nothing else writes here.
        assert!(answer.status != 200 || scene.holds_content(&file), "{} is not there", file.key());
        answer.status == 200
    });
    proxy.heal(&file.key());
    attempts.expect("an upload that ends well")
}

#[test]
fn whoever_repeats_an_upload_until_it_is_acknowledged_has_it_in_the_bucket() {
    let seed = std::env::var(SEED).map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap());
    println!("{SEED}={seed}");
    let mut chance = fastrand::Rng::with_seed(seed);
    let sequences: Vec<_> = (0..SEQUENCES).map(|number| sequence(&mut chance, number)).collect();
    let scene = FaultScene::new();
    let attempts = AtomicUsize::new(0);
    thread::scope(|scope| {
        for hand in 0..HANDS {
            let (scene, sequences, attempts) = (&scene, &sequences, &attempts);
            scope.spawn(move || {
                for number in (hand..SEQUENCES).step_by(HANDS) {
                    let took = upload(scene, number, &sequences[number]);
                    attempts.fetch_add(took, Ordering::Relaxed);
                }
            });
        }
    });
    println!("{} attempts at {SEQUENCES} uploads", attempts.into_inner());

    // The last of each path is what must be there, and nothing else.
    let mut expected = BTreeMap::new();
    for (number, sequence) in sequences.iter().enumerate() {
        let version = i64::try_from(number).unwrap();
        let file = Sent::new(&sequence.path, &sequence.content, version);
        let file = Sent { client: sequence.client, ..file };
        expected.insert(file.key(), file);
    }
    for file in expected.values() {
        scene.assert_holds(file);
    }
    scene.assert_at_rest();
    let mut keys = scene.keys();
    keys.retain(|key| key.contains("/hand-"));
    assert_eq!(keys, expected.into_keys().collect::<Vec<_>>());
}
