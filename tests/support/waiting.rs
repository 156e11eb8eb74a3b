//! Waiting for what will happen, never for time to pass: one deadline, one poll.

use s3up::clock;
use std::thread;
use std::time::Duration;

/// How long anything may take before it counts as never happening. Far more than any needs, even on
/// a machine with other work to do.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// Between two looks at what announces itself to nobody, such as a folder.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Looks until there is something to see, and returns it.
#[track_caller]
pub(crate) fn eventually<T>(
    deadline: Duration,
    what: &str,
    mut look: impl FnMut() -> Option<T>,
) -> T {
    let end = clock::monotonic() + deadline;
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(clock::monotonic() < end, "waited {deadline:?} in vain: {what}");
        thread::park_timeout(LOOK_AGAIN);
    }
}
