//! Makes a history that breaks the promise shorter, as long as it still does.

use super::history::{History, Settings, When};
use std::time::Duration;

/// Takes away steps, then makes pauses round and settings usual, in whatever order helps.
pub(super) fn shrink(history: &History, breaks: impl Fn(&History) -> bool) -> History {
    let mut short = history.clone();
    loop {
        let before = short.clone();
        let mut size = short.steps.len().next_power_of_two();
        while size > 0 {
            drop_steps(&mut short, size, &breaks);
            size /= 2;
        }
        simplify(&mut short, &breaks);
        if short == before {
            return short;
        }
    }
}

/// Takes away `size` steps at a time, wherever that is possible.
fn drop_steps(short: &mut History, size: usize, breaks: &impl Fn(&History) -> bool) {
    let mut from = 0;
    while from < short.steps.len() {
        let mut candidate = short.clone();
        candidate.steps.drain(from..(from + size).min(short.steps.len()));
        if breaks(&candidate) {
            *short = candidate;
        } else {
            from += size;
        }
    }
}

fn simplify(short: &mut History, breaks: &impl Fn(&History) -> bool) {
    let steps = short.steps.len();
    let mut take = |change: &dyn Fn(&mut History)| {
        let mut candidate = short.clone();
        change(&mut candidate);
        if candidate != *short && breaks(&candidate) {
            *short = candidate;
        }
    };
    let usual = Settings::default();
    for setting in 0..usual.count() {
        take(&|history| history.settings.reset(setting));
    }
    for step in 0..steps {
        for ms in [10_000, 1000, 0] {
            let when = When::After(Duration::from_millis(ms));
            take(&|history| history.steps[step].when = when);
        }
    }
}
