//! Scenes at the door, a few lines each; `model` has the scenes that nobody thought of.

mod model;

use super::*;

/// Who comes: a letter each. `A` is `a` as a socket for both IPs shows it, `Y` another address of
/// the same IPv6 network as `y`, and `p` is a trusted proxy.
fn address(letter: &str) -> (IpAddr, bool) {
    let text = match letter {
        "a" => "192.0.2.1",
        "A" => "::ffff:192.0.2.1",
        "b" => "192.0.2.2",
        "c" => "192.0.2.3",
        "y" => "2001:db8::1",
        "Y" => "2001:db8::ffff:2",
        "p" => "10.0.0.1",
        other => panic!("who is {other}?"),
    };
    (text.parse().unwrap(), letter == "p")
}

fn house(connections: usize, per_peer: usize, strangers: usize, vestibule: usize) -> Census<u64> {
    let census = Census::new(CensusLimits { connections, per_peer, strangers });
    Census { vestibule, ..census }
}

/// The handle of a connection is its number, from 0 in the order they came, the refused included.
struct Scene {
    census: Census<u64>,
    ids: Vec<Option<ConnectionId>>,
}

impl Scene {
    fn enter(&mut self, peer: IpAddr, trusted: bool) -> Entry<u64> {
        let entry = self.census.enter(peer, trusted, self.ids.len() as u64);
        self.ids.push(match &entry {
            Entry::Welcome { id, .. } | Entry::Vestibule { id, .. } => Some(*id),
            Entry::Refused(_) => None,
        });
        entry
    }

    fn play(&mut self, verb: &str, whom: &str) -> String {
        if verb == "enter" {
            let (peer, trusted) = address(whom);
            let (place, evicted) = match self.enter(peer, trusted) {
                Entry::Welcome { evicted, .. } => ("welcome", evicted),
                Entry::Vestibule { evicted, .. } => ("vestibule", evicted),
                Entry::Refused(_) => ("refused", None),
            };
            return evicted.map_or(place.to_owned(), |out| format!("{place}, {out} goes"));
        }
        let id = self.ids[whom.parse::<usize>().unwrap()].unwrap();
        let here = match verb {
            "prove" => self.census.prove(id),
            "busy" => self.census.set_busy(id, true),
            "idle" => self.census.set_busy(id, false),
            "leave" => self.census.leave(id).is_some(),
            other => panic!("what is {other}?"),
        };
        if here { "here" } else { "gone" }.to_owned()
    }
}

/// Each line: who does what, and what comes of it.
fn check(census: Census<u64>, scenario: &str) {
    let mut scene = Scene { census, ids: Vec::new() };
    let expected: Vec<&str> = scenario.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
    let shown = expected.iter().map(|line| {
        let (deed, _) = line.split_once(':').unwrap();
        let (verb, whom) = deed.split_once(' ').unwrap();
        format!("{verb} {whom}: {}", scene.play(verb, whom))
    });
    assert_eq!(shown.collect::<Vec<_>>(), expected);
}

#[test]
fn at_the_bound_of_all_connections_the_stranger_longest_there_goes() {
    check(
        house(3, 9, 9, 0),
        "enter a: welcome
         enter b: welcome
         enter c: welcome
         enter a: welcome, 0 goes
         enter b: welcome, 1 goes
         leave 2: here
         enter c: welcome",
    );
}

#[test]
fn at_the_bound_of_strangers_the_one_longest_there_goes() {
    check(
        house(9, 9, 2, 0),
        "enter a: welcome
         enter b: welcome
         prove 0: here
         enter c: welcome
         enter a: welcome, 1 goes",
    );
}

#[test]
fn at_the_bound_of_a_peer_only_its_own_strangers_go() {
    check(
        house(9, 2, 9, 1),
        "enter a: welcome
         enter b: welcome
         enter b: welcome
         enter b: welcome, 1 goes
         prove 2: here
         prove 3: here
         enter b: vestibule",
    );
}

#[test]
fn addresses_of_one_group_share_their_bound() {
    check(
        house(9, 1, 9, 0),
        "enter a: welcome
         enter A: welcome, 0 goes
         enter y: welcome
         enter Y: welcome, 2 goes",
    );
}

#[test]
fn a_trusted_proxy_has_no_bound_of_its_own() {
    check(
        house(3, 1, 9, 0),
        "enter p: welcome
         enter p: welcome
         enter p: welcome
         enter p: welcome, 0 goes",
    );
}

#[test]
fn the_proven_and_the_busy_stay() {
    check(
        house(3, 9, 9, 0),
        "enter a: welcome
         enter b: welcome
         enter c: welcome
         prove 0: here
         busy 1: here
         enter c: welcome, 2 goes
         busy 3: here
         enter c: refused
         idle 1: here
         enter c: welcome, 1 goes
         prove 3: here
         idle 3: here
         prove 5: here
         enter c: refused",
    );
}

#[test]
fn a_stranger_that_was_busy_has_not_become_a_newcomer() {
    check(
        house(2, 9, 9, 0),
        "enter a: welcome
         enter b: welcome
         busy 0: here
         idle 0: here
         enter c: welcome, 0 goes",
    );
}

#[test]
fn who_was_shown_out_is_gone_whatever_its_thread_says_later() {
    check(
        house(1, 9, 9, 0),
        "enter a: welcome
         enter b: welcome, 0 goes
         prove 0: gone
         busy 0: gone
         leave 0: gone
         enter c: welcome, 1 goes
         leave 2: here
         leave 2: gone
         enter c: welcome",
    );
}

#[test]
fn visitors_make_room_for_each_other_unless_they_are_busy() {
    check(
        house(1, 9, 9, 2),
        "enter a: welcome
         prove 0: here
         enter b: vestibule
         enter b: vestibule
         enter c: vestibule, 1 goes
         busy 2: here
         enter c: vestibule, 3 goes
         busy 4: here
         enter c: refused
         idle 2: here
         enter c: vestibule, 2 goes",
    );
}

#[test]
fn a_key_shown_in_the_vestibule_opens_no_place_in_the_house() {
    check(
        house(1, 9, 9, 1),
        "enter a: welcome
         prove 0: here
         enter b: vestibule
         prove 1: here
         leave 0: here
         enter c: welcome
         enter c: welcome, 2 goes
         prove 3: here
         enter c: vestibule, 1 goes",
    );
}

#[test]
fn an_honest_upload_has_as_many_arrivals_of_time_as_there_may_be_strangers() {
    let mut scene = Scene { census: house(1000, 1000, 100, 0), ids: Vec::new() };
    let (flood, _) = address("a");
    for _ in 0..1000 {
        scene.enter(flood, false);
    }
    let Entry::Welcome { id, .. } = scene.enter(address("b").0, false) else { panic!() };
    for _ in 0..99 {
        scene.enter(flood, false);
    }
    assert!(scene.census.prove(id), "a handshake and a head later it is still there");
    for _ in 0..1000 {
        scene.enter(flood, false);
    }
    assert!(scene.census.leave(id).is_some(), "and from then on nobody moves it");
}

#[test]
fn the_vestibule_comes_on_top_and_is_small_beside_a_small_house() {
    for (connections, vestibule) in [(1000, 32), (128, 32), (8, 2), (3, 0)] {
        let limits = CensusLimits { connections, per_peer: 9999, strangers: 9999 };
        let mut census = Census::new(limits);
        for handle in 0..2000 {
            if let Entry::Welcome { id, .. } = census.enter(address("a").0, false, handle) {
                census.prove(id);
            }
        }
        assert_eq!(census.len(), connections + vestibule);
    }
}
