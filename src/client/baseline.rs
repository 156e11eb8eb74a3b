//! From when on the files of a watch count, if those from before its first run are not wanted.
//!
//! Pure: stamps and moments are arguments. A stamp is the ctime that a file system gives to a file
//! made just now; a moment is how long the machine has been running. The clock that makes stamps can
//! be set; the one that counts moments cannot.
//!
//! # What has to hold
//!
//! Every file that is made, changed or brought in after the first run gets a ctime that is not below
//! the baseline. As long as the clock goes forward, the first run's own stamp is such a baseline. When
//! it is set back, new files may be stamped lower, and the baseline has to follow.
//!
//! So the scanner takes a stamp at every start, at every scan of everything, and as soon as the clock
//! has been set, and lowers the baseline to *the stamp, less the time since the look before*. Say the
//! look before was at the moment `p`, this one is at `n`, and the clock is `o` ahead of the moments
//! now. The stamp is `n + o`, the new baseline is at most `n + o - (n - p)`, that is `p + o`. A file
//! that was stamped at a moment `t` between them has `t + o` or more, unless the clock was further back
//! then than it is now. Since `t` is not before `p`, that is not below `p + o`. With a clock that
//! nobody sets, `p + o` is the stamp of the look before, and nothing is lowered.
//!
//! Across a restart of the client the same holds, since the moment of the last look is kept. Across a
//! restart of the machine moments cannot be compared; but the machine started after the last look, so
//! its whole running time is taken off.
//!
//! # What could still be missed
//!
//! A file that was stamped while the clock was further back than at both looks around it, below the
//! baseline. While the client runs there is a look each time the clock is set, and what events report
//! is taken whatever its stamp. So it remains: nobody running, the clock set back behind the first run
//! and forward again, all before the client starts, and a file written in between. It is taken at its
//! next change, or with `upload_existing: true`. The clock of a file server counts as if nobody was
//! running between two scans, since its setting cannot be heard of here.
//!
//! The price: after the clock was set back, files from shortly before the first run may be taken too.

use std::time::Duration;

/// How far the machine has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Which run of the machine this is; empty if that is not known, which is never the same twice.
    pub boot: String,
    /// How long it has been running, sleep included.
    pub since_boot: Duration,
}

/// A watch's baseline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Baseline {
    /// From when on files count, in nanoseconds since 1970 by their file system's clock.
    pub from_ns: i64,
    /// When it was last compared with that clock; not known in a database of an older version.
    pub looked: Option<Moment>,
}

impl Baseline {
    /// The baseline of a first run, with a stamp that was made after the moment `earlier`.
    pub fn first(stamp_ns: i64, earlier: Moment) -> Self {
        Self { from_ns: stamp_ns, looked: Some(earlier) }
    }

    /// Takes a later stamp into account, made between the moments `earlier` and `now`. Returns by how much the
    /// baseline had to be lowered: hardly anything at times, for what lies between stamp and moment.
    pub fn look(&mut self, stamp_ns: i64, earlier: Moment, now: &Moment) -> Option<Duration> {
        let unseen = match &self.looked {
            Some(before) if before.boot == now.boot && !now.boot.is_empty() => {
                now.since_boot.saturating_sub(before.since_boot)
            }
            // Without a look to compare with, the whole running time would lower it in any case.
            None if stamp_ns >= self.from_ns => Duration::ZERO,
            _ => now.since_boot,
        };
        // The interval from here on begins before the stamp, and it ended after it: what is taken off
        // is never too little.
        self.looked = Some(earlier);
        let floor = stamp_ns.saturating_sub(i64::try_from(unseen.as_nanos()).unwrap_or(i64::MAX));
        let lowered =
            u64::try_from(self.from_ns.saturating_sub(floor)).ok().filter(|by| *by > 0)?;
        self.from_ns = floor;
        Some(Duration::from_nanos(lowered))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::fingerprint::Fingerprint;
    use crate::client::plan;
    use proptest::prelude::*;

    fn moment(boot: &str, seconds: u64) -> Moment {
        Moment { boot: boot.into(), since_boot: Duration::from_secs(seconds) }
    }

    const SECOND: i64 = 1_000_000_000;

    /// The first run at second 1000 of the clock, 100 s after the boot `a`; then a look.
    fn check(stamp: i64, now: Moment, expected: i64) {
        let mut baseline = Baseline::first(1000 * SECOND, moment("a", 100));
        let lowered = baseline.look(stamp * SECOND, now.clone(), &now);
        assert_eq!(baseline.from_ns, expected * SECOND, "{stamp} at {now:?}");
        let by = Duration::from_secs(1000 - expected.unsigned_abs());
        assert_eq!(lowered, Some(by).filter(|by| !by.is_zero()), "{stamp} at {now:?}");
        assert_eq!(
            baseline.look(stamp * SECOND, now.clone(), &now),
            None,
            "a second look changes nothing"
        );
    }

    #[test]
    fn a_clock_that_goes_forward_lowers_nothing() {
        check(1000, moment("a", 100), 1000);
        check(1060, moment("a", 160), 1000);
        check(5000, moment("a", 160), 1000);
        check(1030, moment("b", 30), 1000);
        check(9000, moment("b", 30), 1000);
    }

    #[test]
    fn a_clock_that_was_set_back_lowers_it_by_what_was_stamped_unseen_too() {
        // A minute later it shows half a minute before the first run.
        check(970, moment("a", 160), 910);
        // It was set back by 59 s at once; what was stamped then lies below, the stamp does not.
        check(1001, moment("a", 160), 941);
    }

    #[test]
    fn after_a_restart_of_the_machine_its_whole_running_time_is_taken_off() {
        check(900, moment("b", 60), 840);
        check(1010, moment("b", 60), 950);
        check(1010, moment("", 60), 950);
    }

    #[test]
    fn without_an_earlier_look_only_a_stamp_below_the_baseline_counts() {
        let old = || Baseline { from_ns: 1000 * SECOND, looked: None };
        let now = moment("a", 500);
        assert_eq!(old().look(1001 * SECOND, now.clone(), &now), None);
        let lowered = old().look(990 * SECOND, now.clone(), &now);
        assert_eq!(lowered, Some(Duration::from_secs(510)));
    }

    /// What happens to a machine.
    #[derive(Clone, Debug)]
    enum Act {
        /// Time passes, in seconds, and a file is written.
        Write(u64),
        /// The clock is set, by so many seconds; the running client hears of it and looks.
        Set(i64),
        /// The client looks, as it does at a start and at a scan.
        Look,
        /// The client is down, and the clock is set once meanwhile.
        Away { before: u64, set: i64, after: u64 },
        /// The machine starts anew with another clock.
        Boot(i64),
    }

    fn act() -> impl Strategy<Value = Act> {
        let (short, jump) = (0..5000_u64, -20_000..20_000_i64);
        prop_oneof![
            short.clone().prop_map(Act::Write),
            jump.clone().prop_map(Act::Set),
            Just(Act::Look),
            (short.clone(), jump.clone(), short).prop_map(|(before, set, after)| Act::Away {
                before,
                set,
                after
            }),
            jump.prop_map(Act::Boot),
        ]
    }

    /// A machine, the clock of its file system, and the files that were written since the first run.
    struct Machine {
        boots: u32,
        since_boot: u64,
        clock: i64,
        stamps: Vec<i64>,
        baseline: Baseline,
    }

    impl Machine {
        fn new() -> Self {
            let baseline = Baseline::first(100_000 * SECOND, moment("0", 100));
            Self { boots: 0, since_boot: 100, clock: 100_000, stamps: Vec::new(), baseline }
        }

        fn write(&mut self) {
            self.stamps.push(self.clock * SECOND);
        }

        fn pass(&mut self, seconds: u64) {
            self.write();
            self.since_boot += seconds;
            self.clock += seconds.cast_signed();
            self.write();
        }

        fn look(&mut self) {
            let now = moment(&self.boots.to_string(), self.since_boot);
            self.baseline.look(self.clock * SECOND, now.clone(), &now);
        }

        fn act(&mut self, act: &Act) {
            match *act {
                Act::Write(seconds) => self.pass(seconds),
                Act::Look => self.look(),
                Act::Set(by) => {
                    self.clock += by;
                    self.look();
                }
                Act::Away { before, set, after } => {
                    self.pass(before);
                    self.clock += set;
                    self.pass(after);
                    self.look();
                }
                Act::Boot(clock) => {
                    self.boots += 1;
                    self.since_boot = 0;
                    self.clock += clock;
                    self.pass(30);
                    self.look();
                }
            }
        }
    }

    proptest! {
        #[test]
        fn whatever_is_written_after_the_first_run_is_new(
            acts in proptest::collection::vec(act(), 0..20),
        ) {
            let mut machine = Machine::new();
            for act in &acts {
                machine.act(act);
            }
            machine.look();
            for stamp in machine.stamps {
                // mtime is the writer's to choose, and may be anything.
                let file = Fingerprint { size: 1, mtime_ns: i64::MIN, ctime_ns: stamp, inode: 1 };
                prop_assert!(plan::is_new(Some(machine.baseline.from_ns), &file), "{}", stamp);
            }
        }

        #[test]
        fn a_clock_that_is_never_set_back_leaves_it_where_it_was(
            acts in proptest::collection::vec(act(), 0..20),
        ) {
            let mut machine = Machine::new();
            let first = machine.baseline.from_ns;
            for act in acts {
                machine.act(&match act {
                    Act::Set(by) => Act::Set(by.abs()),
                    Act::Away { before, set, after } => Act::Away { before, set: set.abs(), after },
                    Act::Boot(by) => Act::Boot(by.abs()),
                    other => other,
                });
            }
            prop_assert_eq!(machine.baseline.from_ns, first);
        }
    }
}
