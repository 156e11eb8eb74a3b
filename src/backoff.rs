//! How pauses between attempts grow.
//!
//! Pure: chance is an argument.

use std::time::Duration;

/// The pause after failure number `failures` (from 1): `first`, doubled each time, at most `most`,
/// and up to a quarter more by `chance` (0 to 1), so that many who failed together do not come back
/// together.
pub fn pause(first: Duration, failures: u32, most: Duration, chance: f64) -> Duration {
    spread(grown(first, failures).min(most), chance)
}

/// `first`, doubled with each of `failures` but the first.
fn grown(first: Duration, failures: u32) -> Duration {
    first.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1)))
}

/// `pause`, and up to a quarter more by `chance` (0 to 1).
pub fn spread(pause: Duration, chance: f64) -> Duration {
    pause.mul_f64(1.0 + 0.25 * chance.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(failures: u32, chance: f64, seconds: f64) {
        let (first, most) = (Duration::from_secs(5), Duration::from_secs(900));
        assert_eq!(pause(first, failures, most, chance).as_secs_f64(), seconds, "{failures}");
    }

    #[test]
    fn a_pause_doubles_up_to_its_limit() {
        for (failures, seconds) in
            [(0, 5.0), (1, 5.0), (2, 10.0), (3, 20.0), (9, 900.0), (u32::MAX, 900.0)]
        {
            check(failures, 0.0, seconds);
        }
        let most = Duration::from_secs(900);
        assert_eq!(pause(Duration::ZERO, 7, most, 1.0), Duration::ZERO);
    }

    #[test]
    fn chance_adds_up_to_a_quarter() {
        for (chance, seconds) in [(-1.0, 20.0), (0.0, 20.0), (0.5, 22.5), (1.0, 25.0), (7.0, 25.0)]
        {
            check(3, chance, seconds);
        }
    }
}
