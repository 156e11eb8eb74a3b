//! What this program calls itself: its number, and the commit that it was built from.
//!
//! Pure. `packaging/build.rs` finds the commit out. What other programs read (the wire, figures, `User-Agent`)
//! has the number alone; the commit is for people, who have to know which build they look at.

/// `0.1.0`.
pub const NUMBER: &str = env!("CARGO_PKG_VERSION");

/// `0.1.0 (7787906abcde 2026-11-28)`; the number alone if the commit is not known, as in a build for tests.
/// `-dirty` behind the commit: the sources were not those of the commit.
pub const FULL: &str = env!("S3UP_VERSION");

/// The day of the commit, UTC, such as `2026-11-28`, as far as it is known.
pub fn commit_day() -> Option<&'static str> {
    day_of(FULL)
}

fn day_of(full: &str) -> Option<&str> {
    let (_, day) = full.strip_suffix(')')?.rsplit_once(' ')?;
    day.parse::<crate::wire::Day>().is_ok().then_some(day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commit_follows_the_number() {
        assert!(FULL == NUMBER || FULL.starts_with(&format!("{NUMBER} (")), "{FULL}");
    }

    #[test]
    fn the_day_is_the_commits_if_there_is_one() {
        for (full, day) in [
            ("0.1.0 (7787906abcde 2026-11-28)", Some("2026-11-28")),
            ("0.1.0 (7787906abcde-dirty 2026-11-28)", Some("2026-11-28")),
            ("0.1.0 (from-a-tarball)", None),
            ("0.1.0 (7787906abcde yesterday)", None),
            ("0.1.0", None),
        ] {
            assert_eq!(day_of(full), day, "{full}");
        }
    }
}
