//! The bar of the first catch-up, on a terminal. The only module that knows `indicatif`.
//!
//! Log lines come from all threads and the bar stands below them: it is taken away while one is
//! written. It has no thread of its own and is drawn when it is told to.

use crate::shown::{bytes, span};
use indicatif::{ProgressBar, ProgressStyle};
use std::collections::VecDeque;
use std::time::Instant;

/// Looks that the speed is measured over: some seconds.
const LOOKS: usize = 25;

/// The bar. Copies are the same one.
#[derive(Clone, Debug)]
pub struct Bar {
    bar: ProgressBar,
}

impl Bar {
    /// A bar on standard error; none if that is no terminal.
    pub fn on_terminal() -> Option<Self> {
        let bar = ProgressBar::new(0);
        if bar.is_hidden() {
            return None;
        }
        let style = ProgressStyle::with_template("{human_pos}/{human_len} files {wide_bar} {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Some(Self { bar })
    }

    /// Writes something else to the terminal: the bar makes room for it.
    pub fn beside(&self, write: &mut dyn FnMut()) {
        self.bar.suspend(write);
    }

    /// Shows how far the work is.
    pub(super) fn show(&self, known: u64, done: u64, text: &str) {
        self.bar.set_length(known);
        self.bar.set_message(text.to_owned());
        self.bar.set_position(done);
        self.bar.tick();
    }

    /// Takes the bar away for good.
    pub(super) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

/// How fast bytes went by lately.
#[derive(Debug, Default)]
pub(super) struct Pace {
    looks: VecDeque<(Instant, u64)>,
}

impl Pace {
    /// So many bytes had gone by at this moment.
    pub(super) fn add(&mut self, now: Instant, sent: u64) {
        if self.looks.len() >= LOOKS {
            self.looks.pop_front();
        }
        self.looks.push_back((now, sent));
    }

    fn bytes_per_second(&self) -> u64 {
        let (Some(first), Some(last)) = (self.looks.front(), self.looks.back()) else { return 0 };
        let seconds = (last.0 - first.0).as_secs_f64();
        if seconds > 0.0 { ((last.1 - first.1) as f64 / seconds) as u64 } else { 0 }
    }

    /// The speed, and how long the rest will take if it goes on as it did for `seconds`.
    pub(super) fn text(&self, done: u64, known: u64, seconds: f64) -> String {
        let speed = bytes(self.bytes_per_second());
        if done == 0 {
            return format!("{speed}/s");
        }
        let left = known.saturating_sub(done) as f64 * seconds / done as f64;
        format!("{speed}/s, {} left", span(left as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;
    use std::time::Duration;

    #[test]
    fn the_speed_is_that_of_the_last_seconds_and_the_rest_takes_as_long_as_the_done_did() {
        let start = clock::monotonic();
        let mut pace = Pace::default();
        assert_eq!(pace.text(0, 10, 0.0), "0 B/s");
        pace.add(start, 0);
        assert_eq!(pace.text(0, 10, 0.0), "0 B/s");
        pace.add(start + Duration::from_secs(2), 3_000_000);
        assert_eq!(pace.text(0, 10, 2.0), "1.5 MB/s");
        assert_eq!(pace.text(4, 10, 2.0), "1.5 MB/s, 3 s left");
        for second in 0..LOOKS as u64 {
            pace.add(start + Duration::from_secs(10 + second), 3_000_000 + second * 1000);
        }
        assert_eq!(pace.text(10, 10, 40.0), "1.0 kB/s, 0 s left");
    }
}
