//! The census beside a house that is kept by looking at everybody every time.

use super::*;
use proptest::prelude::*;

/// A guest as the model keeps it.
#[derive(Clone, Debug)]
struct Person {
    handle: u64,
    peer: PeerGroup,
    visitor: bool,
    proven: bool,
    busy: bool,
}

/// The rules of the module's head, by looking at everybody every time.
struct Model {
    limits: CensusLimits,
    vestibule: usize,
    present: Vec<Person>,
}

impl Model {
    fn count(&self, of: impl Fn(&Person) -> bool) -> usize {
        self.present.iter().filter(|person| of(person)).count()
    }

    fn show_out(&mut self, whom: impl Fn(&Person) -> bool) -> Option<u64> {
        let at = self.present.iter().position(|person| !person.busy && whom(person))?;
        Some(self.present.remove(at).handle)
    }

    /// Where a newcomer goes, and who goes for it.
    fn enter(&mut self, peer: PeerGroup, trusted: bool, handle: u64) -> (&str, Option<u64>) {
        let own = self.count(|p| !p.visitor && p.peer == peer) >= self.limits.per_peer;
        let all = self.count(|p| !p.visitor) >= self.limits.connections;
        let strangers = self.count(|p| !p.visitor && !p.proven) >= self.limits.strangers;
        let mut person = Person { handle, peer, visitor: false, proven: false, busy: false };
        let mut evicted = None;
        if (own && !trusted) || all || strangers {
            let only_own = own && !trusted;
            evicted = self.show_out(|p| !p.visitor && !p.proven && (p.peer == peer || !only_own));
            person.visitor = evicted.is_none();
        }
        if person.visitor && self.count(|p| p.visitor) >= self.vestibule {
            evicted = self.show_out(|p| p.visitor);
            if evicted.is_none() {
                return ("refused", None);
            }
        }
        let place = if person.visitor { "vestibule" } else { "welcome" };
        self.present.push(person);
        (place, evicted)
    }

    fn find(&mut self, handle: u64) -> Option<&mut Person> {
        self.present.iter_mut().find(|person| person.handle == handle)
    }

    fn counts(&self) -> Counts {
        Counts {
            connections: self.count(|p| !p.visitor),
            strangers: self.count(|p| !p.visitor && !p.proven),
            visitors: self.count(|p| p.visitor),
            busy: self.count(|p| p.busy),
        }
    }
}

#[derive(Clone, Debug)]
enum Deed {
    Enter(&'static str),
    Prove(usize),
    Busy(usize, bool),
    Leave(usize),
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let letter = proptest::sample::select(vec!["a", "A", "b", "c", "y", "Y", "p"]);
    // Mostly about those who came lately, for they may be here still.
    let whom = 0..12_usize;
    let deed = prop_oneof![
        4 => letter.prop_map(Deed::Enter),
        2 => whom.clone().prop_map(Deed::Prove),
        3 => (whom.clone(), any::<bool>()).prop_map(|(whom, busy)| Deed::Busy(whom, busy)),
        1 => whom.prop_map(Deed::Leave),
    ];
    proptest::collection::vec(deed, 0..120)
}

/// Does the same to both and compares what comes of it; `None` if there is nobody to do it to.
fn compare(scene: &mut Scene, model: &mut Model, deed: &Deed) -> Option<()> {
    let back = |back: usize| scene.ids.len().checked_sub(back + 1);
    match *deed {
        Deed::Enter(letter) => {
            let (peer, trusted) = address(letter);
            let handle = scene.ids.len() as u64;
            let expected = match model.enter(PeerGroup::of(peer), trusted, handle) {
                (place, Some(out)) => format!("{place}, {out} goes"),
                (place, None) => place.to_owned(),
            };
            assert_eq!(scene.play("enter", letter), expected);
        }
        Deed::Prove(whom) => {
            let whom = back(whom)?;
            let here = model.find(whom as u64).map(|person| person.proven = true).is_some();
            assert_eq!(scene.census.prove(scene.ids[whom]?), here);
        }
        Deed::Busy(whom, busy) => {
            let whom = back(whom)?;
            let here = model.find(whom as u64).map(|person| person.busy = busy).is_some();
            assert_eq!(scene.census.set_busy(scene.ids[whom]?, busy), here);
        }
        Deed::Leave(whom) => {
            let whom = back(whom)?;
            let expected = model.find(whom as u64).map(|person| person.handle);
            model.present.retain(|person| Some(person.handle) != expected);
            assert_eq!(scene.census.leave(scene.ids[whom]?), expected);
        }
    }
    Some(())
}

proptest! {
    #[test]
    fn the_census_agrees_with_looking_at_everybody(
        connections in 0..8_usize, per_peer in 0..5_usize, strangers in 0..6_usize,
        vestibule in 0..4_usize, deeds in deeds(),
    ) {
        let limits = CensusLimits { connections, per_peer, strangers };
        let census = house(connections, per_peer, strangers, vestibule);
        let mut scene = Scene { census, ids: Vec::new() };
        let mut model = Model { limits, vestibule, present: Vec::new() };
        for deed in deeds {
            compare(&mut scene, &mut model, &deed);
            let census = &scene.census;
            prop_assert_eq!(census.counts(), model.counts());
            prop_assert_eq!(census.len(), model.present.len());
            prop_assert_eq!(census.is_empty(), model.present.is_empty());
            let idle = model.present.iter().filter(|p| !p.busy).map(|p| p.handle);
            prop_assert_eq!(census.idle_handles().copied().collect::<Vec<_>>(),
                idle.collect::<Vec<_>>());
            prop_assert!(census.counts().connections <= connections);
            prop_assert!(census.counts().strangers <= strangers);
            prop_assert!(census.counts().visitors <= vestibule);
            // No entry of a peer outlives its last connection, no place in a line its owner.
            let mut peers: Vec<_> =
                model.present.iter().filter(|p| !p.visitor).map(|p| p.peer).collect();
            peers.sort();
            peers.dedup();
            prop_assert_eq!(census.peers.len(), peers.len());
            let lines: usize = census.peers.values().map(|peer| peer.idle_strangers.len()).sum();
            let waiting = model.count(|p| !p.visitor && !p.proven && !p.busy);
            prop_assert_eq!((lines, census.idle_strangers.len()), (waiting, waiting));
            prop_assert_eq!(census.idle_visitors.len(), model.count(|p| p.visitor && !p.busy));
        }
    }
}
