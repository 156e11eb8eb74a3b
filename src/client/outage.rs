//! Whether the server serves us, and whose trouble it is when it does not.
//!
//! Pure: time and chance are arguments. A server that is away is nobody's fault, so all uploads pause
//! and no file's attempts are burned. But a server that fails for one file alone, again and again,
//! while it takes others in between, must not hold those up: then that file waits by itself.

use crate::client::retry;
use crate::wire::Fault;
use std::time::{Duration, Instant};

/// How the server, or the key, has been doing.
#[derive(Debug, Default)]
pub struct Outage {
    /// Pauses in a row; zero while all is well.
    pauses: u32,
    /// The end of the present pause.
    until: Option<Instant>,
    /// How often the server has given an answer that was about a file.
    answers: u64,
}

/// What a file remembers of the server's failures while it is on its way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileFault {
    /// [`Outage::answers`] at its last failure.
    seen: Option<u64>,
    /// How often the server failed for this file although it had served others since the time before.
    pub alone: u32,
}

/// Who has to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waits {
    /// All uploads, for so long.
    Everybody(Duration),
    /// All uploads, as was decided already: several workers meet the same outage.
    EverybodyAlready,
    /// This file.
    FileAlone,
}

impl Outage {
    /// Takes in that the server was about to store a file and could not. `asked` is what it said by
    /// `Retry-After`.
    pub fn failed(
        &mut self,
        fault: Fault,
        file: &mut FileFault,
        asked: Option<Duration>,
        now: Instant,
        chance: f64,
    ) -> Waits {
        let served_others = file.seen.is_some_and(|seen| seen < self.answers);
        file.seen = Some(self.answers);
        if served_others && fault == Fault::Server {
            file.alone = file.alone.saturating_add(1);
            return Waits::FileAlone;
        }
        self.pause(fault, asked, now, chance)
    }

    /// Pauses all uploads for a reason that is no file's.
    pub fn pause(
        &mut self,
        fault: Fault,
        asked: Option<Duration>,
        now: Instant,
        chance: f64,
    ) -> Waits {
        if self.until.is_some_and(|until| until > now) {
            return Waits::EverybodyAlready;
        }
        self.pauses = self.pauses.saturating_add(1);
        let pause = retry::pause(fault, self.pauses, asked, chance);
        self.until = Some(now + pause);
        Waits::Everybody(pause)
    }

    /// Takes in that the server gave an answer that was about a file. Returns whether that ends an
    /// outage.
    pub fn answered(&mut self) -> bool {
        self.answers += 1;
        self.until = None;
        std::mem::take(&mut self.pauses) > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    /// Each line: a second, what the server does for which file, and who waits then.
    fn check(scenario: &str) {
        let start = clock::monotonic();
        let mut outage = Outage::default();
        let mut files = [FileFault::default(); 2];
        let mut shown = String::new();
        for line in scenario.lines().map(str::trim) {
            let command = line.split(" -> ").next().unwrap();
            let words: Vec<&str> = command.split(' ').collect();
            let now = start + Duration::from_secs(words[0].parse().unwrap());
            let mut failed = |file: &str, fault| {
                let file = &mut files[usize::from(file == "b")];
                match outage.failed(fault, file, None, now, 0.0) {
                    Waits::Everybody(pause) => format!("all wait {} s", pause.as_secs()),
                    Waits::EverybodyAlready => "all wait already".to_owned(),
                    Waits::FileAlone => format!("it waits alone, {} times", file.alone),
                }
            };
            let answer = match words[1..] {
                ["fails", file] => failed(file, Fault::Server),
                ["refuses", "the", "key", file] => failed(file, Fault::Key),
                ["answers"] if outage.answered() => "again".to_owned(),
                ["answers"] => "as before".to_owned(),
                _ => panic!("unknown command {command}"),
            };
            shown += &format!("{command} -> {answer}\n");
        }
        let expected: Vec<&str> = scenario.lines().map(str::trim).collect();
        assert_eq!(shown.trim_end(), expected.join("\n"));
    }

    #[test]
    fn an_outage_is_one_pause_for_all_and_grows_until_the_server_answers() {
        check(
            "0 fails a -> all wait 1 s
             0 fails b -> all wait already
             1 fails a -> all wait 2 s
             3 fails b -> all wait 4 s
             7 answers -> again
             8 answers -> as before",
        );
    }

    #[test]
    fn a_file_that_fails_while_others_are_served_waits_alone() {
        check(
            "0 fails a -> all wait 1 s
             1 answers -> again
             4 fails a -> it waits alone, 1 times
             5 fails b -> all wait 1 s
             6 fails a -> all wait 2 s
             8 answers -> again
             9 fails a -> it waits alone, 2 times",
        );
    }

    #[test]
    fn a_refused_key_is_no_files_trouble() {
        check(
            "0 refuses the key a -> all wait 60 s
             60 answers -> again
             61 refuses the key a -> all wait 60 s
             121 refuses the key b -> all wait 120 s",
        );
    }
}
