//! Random histories: of few paths, so that things meet, and of few moments, so that they meet closely.

use super::history::{Action, History, Place, Settings, Step, Trouble, When};
use fastrand::Rng;
use std::time::Duration;

/// Files: in the recursive watch, in the flat one, in neither. Two have names that cannot be stored.
const FILES: &[&str] = &[
    "a/x",
    "a/x",
    "a/x",
    "a/y",
    "a/y",
    "a/d/x",
    "a/d/x",
    "a/d/y",
    "a/d/e/x",
    "a/d-/x",
    "a/z/x",
    "a/back\\slash",
    "a/%ff",
    "b/x",
    "b/y",
    "b/sub/x",
    "a/x.tmp",
    "a/d/skip/x",
    "out/x",
    "out/d/x",
];

const FOLDERS: &[&str] = &[
    "a/d", "a/d", "a/d/e", "a/d-", "a/z", "a/new", "a/new/d", "a/d/skip", "b/sub", "out/d", "out/z",
];

/// The watched folders themselves.
const ROOTS: &[&str] = &["a", "b"];

fn place(rng: &mut Rng, among: &[&str]) -> Place {
    Place::new(rng.choice(among).unwrap())
}

fn one<T: Copy>(rng: &mut Rng, among: &[T]) -> T {
    *rng.choice(among).unwrap()
}

/// The history of a seed.
pub(super) fn history(seed: u64) -> History {
    let mut rng = Rng::with_seed(seed);
    let mut history = History { settings: settings(&mut rng), steps: Vec::new() };
    let before = rng.usize(..6);
    for _ in 0..before {
        let action = change(&mut rng);
        history.steps.push(Step { when: after(&mut rng), action });
    }
    history.steps.push(Step { when: after(&mut rng), action: Action::Start });
    let hot = Hot::draw(&mut rng);
    let mut mood = Mood::draw(&mut rng);
    let most = one(&mut rng, &[8, 50]);
    let count = rng.usize(2..most);
    while history.steps.len() < count {
        if rng.u8(..8) == 0 {
            mood = Mood::draw(&mut rng);
        }
        let when = when(&mut rng, mood);
        let action = action(&mut rng, mood, hot);
        let down = matches!(action, Action::Crash | Action::Damage | Action::Stop);
        history.steps.push(Step { when, action });
        if down {
            for _ in 0..rng.usize(..4) {
                let action = change(&mut rng);
                history.steps.push(Step { when: after(&mut rng), action });
            }
            history.steps.push(Step { when: after(&mut rng), action: Action::Start });
        }
    }
    if rng.bool() {
        // Nothing that comes later makes good what goes wrong here.
        let write = Action::Write(Place::new(hot.file), rng.usize(1..60));
        let when = When::After(Duration::from_millis(rng.u64(..60_000)));
        history.steps.push(Step { when, action: write });
        for _ in 0..rng.usize(1..3) {
            let when = When::Open(rng.u64(..20));
            history.steps.push(Step { when, action: hot.change(&mut rng) });
        }
    }
    history
}

fn settings(rng: &mut Rng) -> Settings {
    Settings {
        chance: rng.u64(..),
        debounce_ms: one(rng, &[100, 1000, 3000]),
        max_attempts: one(rng, &[2, 4, 10]),
        max_wait_seconds: one(rng, &[3, 30, 300]),
        retry_attempts: one(rng, &[0, 1, 3]),
        retry_seconds: one(rng, &[1, 5]),
        workers: one(rng, &[1, 2, 2, 4]),
        interval_seconds: one(rng, &[60, 600, 3600]),
        upload_existing: one(rng, &[0, 1, 1]),
        room: one(rng, &[1, 2, 8, 1000, 1000, 1000]),
        limit: one(rng, &[100, 1000]),
        own_limit: one(rng, &[0, 0, 50, 500]),
        latency_ms: one(rng, &[0, 1, 20]),
        call_us: one(rng, &[1, 20, 2000]),
        mix: one(rng, &[0, 32, 128, 255]),
        piece: one(rng, &[1, 16, 1000]),
        part: one(rng, &[20, 1_000_000]),
    }
}

/// What a stretch of a history is mostly about.
#[derive(Clone, Copy, Debug)]
struct Mood {
    /// How often a step falls in the midst of what the client does, of 16.
    close: u8,
    /// How often it is something that goes wrong, of 16.
    wrong: u8,
    /// The longest pause, in ms.
    pause: u64,
}

impl Mood {
    fn draw(rng: &mut Rng) -> Self {
        Self {
            close: one(rng, &[0, 4, 8, 14]),
            wrong: one(rng, &[0, 1, 4, 8]),
            pause: one(rng, &[5, 500, 5000, 60_000, 4_000_000]),
        }
    }
}

fn after(rng: &mut Rng) -> When {
    When::After(Duration::from_millis(rng.u64(..3000)))
}

fn when(rng: &mut Rng, mood: Mood) -> When {
    if rng.u8(..16) < mood.close {
        match rng.u8(..3) {
            0 => When::Call(rng.u64(..24)),
            1 => When::Call(rng.u64(..4)),
            _ => When::Open(rng.u64(..20)),
        }
    } else {
        When::After(Duration::from_millis(rng.u64(..mood.pause)))
    }
}

fn action(rng: &mut Rng, mood: Mood, hot: Hot) -> Action {
    if rng.u8(..16) < mood.wrong {
        wrong(rng)
    } else if rng.u8(..16) < hot.often {
        hot.change(rng)
    } else {
        change(rng)
    }
}

/// A file that most of a history is about, and where it goes and comes from.
#[derive(Clone, Copy)]
struct Hot {
    /// How often, of 16.
    often: u8,
    file: &'static str,
    away: &'static str,
}

impl Hot {
    fn draw(rng: &mut Rng) -> Self {
        let (file, away) = one(rng, &[("a/d/x", "out/d/x"), ("a/x", "a/y"), ("a/d/x", "a/z/x")]);
        Self { often: one(rng, &[0, 8, 15]), file, away }
    }

    fn change(self, rng: &mut Rng) -> Action {
        let (file, away) = (Place::new(self.file), Place::new(self.away));
        let folder = |path: &str| {
            let above = path.strip_suffix("/x").filter(|above| *above != "a");
            Place::new(above.unwrap_or(path))
        };
        match rng.u8(..16) {
            0..3 => Action::Write(file, rng.usize(10..30)),
            3 => Action::Append(file, rng.usize(1..40)),
            4..7 => Action::Patch(file),
            7 => Action::PatchBack(file),
            8 => Action::Utime(file, one(rng, &[0, -1, -100, -3_600_000])),
            9 => Action::Replace(file, rng.usize(10..30)),
            10 => Action::Rename(file, away),
            11..13 => Action::Rename(away, file),
            13 => Action::Rename(folder(self.file), folder(self.away)),
            14 => Action::Rename(folder(self.away), folder(self.file)),
            _ => Action::Grow(file, 1, rng.u64(2..20), one(rng, &[1, 3, 100, 1000])),
        }
    }
}

fn size(rng: &mut Rng) -> usize {
    match rng.u8(..8) {
        0 => 0,
        1 => rng.usize(90..130),
        2 => rng.usize(990..1020),
        _ => rng.usize(1..60),
    }
}

/// Something happens to files.
fn change(rng: &mut Rng) -> Action {
    let (file, other) = (place(rng, FILES), place(rng, FILES));
    let (folder, another) = (place(rng, FOLDERS), place(rng, FOLDERS));
    match rng.u8(..42) {
        0..8 => Action::Write(file, size(rng)),
        8..11 => Action::Append(file, rng.usize(1..40)),
        11..13 => Action::Truncate(file, rng.usize(..30)),
        13..16 => Action::Patch(file),
        16..18 => Action::PatchBack(file),
        18 => Action::Utime(file, one(rng, &[0, -1, -3_600_000, 3_600_000])),
        19 => Action::Chmod(file),
        20 => Action::Deny(file),
        21 => Action::Allow(file),
        22..26 => Action::Rename(file, other),
        26..29 => Action::Rename(folder, another),
        29..32 => Action::Replace(file, size(rng)),
        32 => Action::Link(file, other),
        33..35 => Action::Remove(file),
        35 => Action::Remove(folder),
        36..38 => Action::Mkdir(folder),
        38 => Action::Other(file),
        39 => Action::Remove(place(rng, ROOTS)),
        40 => {
            let (root, away) = (place(rng, ROOTS), place(rng, &["out/r", "out/d"]));
            if rng.bool() { Action::Rename(root, away) } else { Action::Rename(away, root) }
        }
        _ => {
            let ms = one(rng, &[10, 100, 1000]);
            Action::Grow(file, rng.usize(1..5), rng.u64(2..100), ms)
        }
    }
}

/// Something goes wrong.
fn wrong(rng: &mut Rng) -> Action {
    match rng.u8(..24) {
        0..8 => Action::Fail(trouble(rng), one(rng, &[1, 1, 1, 2, 4, 8])),
        8 => Action::Poison(place(rng, FILES), rng.u64(1..8)),
        9..11 => Action::Pace(one(rng, &[1, 1000, 50_000, 500_000])),
        11..13 => Action::Lose(rng.u64(1..6)),
        13 => Action::Overflow(rng.u64(..10_000)),
        14 => Action::Stall(rng.u64(..10_000)),
        15 => Action::Echo,
        16 => {
            let among = if rng.bool() { FILES } else { FOLDERS };
            Action::Hint(place(rng, among))
        }
        17..19 => Action::Stop,
        20 => Action::Damage,
        19 => Action::SetClock(one(rng, &[-3_600_000, -1000, -4, 1000, 3_600_000])),
        _ => Action::Crash,
    }
}

fn trouble(rng: &mut Rng) -> Trouble {
    match rng.u8(..8) {
        0 => Trouble::Unreachable,
        1 => Trouble::Busy(one(rng, &[0, 1, 30, 100_000])),
        2 => Trouble::Unauthorized,
        3 => Trouble::Mismatch,
        4 => Trouble::Internal,
        5 => Trouble::Lost,
        6 => Trouble::Cut(rng.u64(..4)),
        _ => Trouble::Nonsense,
    }
}
