//! How many connections the limit of open files leaves room for.
//!
//! The division is pure; asking and raising the limit is done once, at start, on the main thread.
//! Running out of descriptors would not end the server, but it would hit whoever comes next: the
//! store's connection as well as a peer's. So the gate takes no more than its share.

use super::census::vestibule_places;
use crate::limits::gate::{DESCRIPTORS_PER_LANE, DESCRIPTORS_RESERVED};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What there is room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Lanes, each with its worker.
    pub lanes: usize,
    /// Connections.
    pub connections: usize,
}

/// Fewest lanes and connections worth starting with.
const LEAST: Room = Room { lanes: 2, connections: 4 };

/// Divides `descriptors` (none: there is no limit) so that as much as possible of what is wanted
/// fits; `None` if hardly anything does.
pub fn divide(wanted: Room, descriptors: Option<u64>) -> Option<Room> {
    let Some(descriptors) = descriptors else { return Some(wanted) };
    let vestibule = vestibule_places(wanted.connections);
    let own = DESCRIPTORS_RESERVED.min(descriptors / 2);
    let free = usize::try_from(descriptors - own).unwrap_or(usize::MAX);
    let per_lane = usize::try_from(DESCRIPTORS_PER_LANE).unwrap_or(usize::MAX);
    // Where both do not fit, each gets half.
    let lanes =
        wanted.lanes.min((free / 2).max(free.saturating_sub(wanted.connections)) / per_lane);
    let rest = free.saturating_sub(lanes * per_lane);
    let connections = wanted.connections.min(rest.saturating_sub(vestibule.min(rest / 4)));
    (lanes >= LEAST.lanes && connections >= LEAST.connections)
        .then_some(Room { lanes, connections })
}

/// Raises the limit as far as this process may, and says what it is then.
pub fn raise() -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    if raised.is_ok() { maximum } else { current }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANTED: Room = Room { lanes: 128, connections: 4096 };

    fn check(descriptors: Option<u64>, expected: Option<(usize, usize)>) {
        let expected = expected.map(|(lanes, connections)| Room { lanes, connections });
        assert_eq!(divide(WANTED, descriptors), expected, "{descriptors:?}");
    }

    #[test]
    fn what_is_wanted_is_given_where_there_is_room() {
        check(None, Some((128, 4096)));
        check(Some(1 << 20), Some((128, 4096)));
        check(Some(32 + 128 * 8 + 4096 + 32), Some((128, 4096)));
    }

    #[test]
    fn a_low_limit_is_divided_between_lanes_and_connections() {
        check(Some(4096), Some((128, 3008)));
        check(Some(1024), Some((62, 464)));
        check(Some(64), Some((2, 12)));
    }

    #[test]
    fn with_hardly_any_descriptors_there_is_no_room() {
        check(Some(40), None);
        check(Some(0), None);
    }

    #[test]
    fn never_more_is_given_than_there_is() {
        for descriptors in 0..6000 {
            let Some(room) = divide(WANTED, Some(descriptors)) else { continue };
            let vestibule = vestibule_places(room.connections) as u64;
            let used = room.lanes as u64 * DESCRIPTORS_PER_LANE + room.connections as u64;
            assert!(used + vestibule <= descriptors, "{room:?} of {descriptors}");
        }
    }
}
