//! The specification of the lanes, over a pool that answers as workers do.

use super::*;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixListener;
use std::thread;

const SOON: Duration = Duration::from_secs(30);

/// Lanes to a pool that answers every head, and the thread that replaces them.
struct Scene {
    lanes: Arc<Lanes>,
    replacer: Option<Replacer>,
    _folder: Folder,
}

fn scene(count: usize) -> Scene {
    let (folder, listener) = Folder::create().unwrap();
    thread::Builder::new().name("pool".into()).spawn(move || answer_all(&listener)).unwrap();
    let (lanes, replacer) = Lanes::new(folder.socket(), Seal::new().unwrap(), count);
    replacer.open_all().unwrap();
    Scene { lanes, replacer: Some(replacer), _folder: folder }
}

fn answer_all(listener: &UnixListener) {
    for socket in listener.incoming() {
        let Ok(mut socket) = socket else { return };
        let answer = move || {
            let mut exchange = String::new();
            for line in BufReader::new(socket.try_clone().unwrap()).lines() {
                let Ok(line) = line else { return };
                if let Some(number) = line.strip_prefix("X-Gate-Exchange: ") {
                    exchange = number.to_owned();
                }
                if line.is_empty() {
                    let head = format!(
                        "HTTP/1.1 200 OK\r\nX-Gate-Exchange: {exchange}\r\nX-Gate-Drained: \
                         yes\r\nContent-Length: 0\r\n\r\n"
                    );
                    let _ = socket.write_all(head.as_bytes());
                }
            }
        };
        thread::Builder::new().name("answer".into()).spawn(answer).unwrap();
    }
}

impl Scene {
    fn borrow_now(&self, need: Need) -> Option<(Lane, Loan<'_>)> {
        self.lanes.borrow(need, None, clock::monotonic())
    }

    #[track_caller]
    fn borrow_soon(&self, need: Need) -> (Lane, Loan<'_>) {
        self.lanes.borrow(need, None, clock::monotonic() + SOON).expect("a lane")
    }

    /// How many lanes are free now.
    fn free(&self) -> usize {
        self.lanes.free().lanes.len()
    }

    fn replace_in_background(&mut self) -> crate::threads::StopSource {
        let stop = crate::threads::StopSource::default();
        let (replacer, ending) = (self.replacer.take().unwrap(), stop.stop());
        thread::Builder::new().name("lanes".into()).spawn(move || replacer.run(&ending)).unwrap();
        stop
    }
}

#[test]
fn there_are_as_many_lanes_as_were_asked_for_and_a_lane_given_back_is_used_again() {
    let scene = scene(3);
    let borrowed: Vec<_> = (0..3).map(|_| scene.borrow_now(Need::Short).expect("free")).collect();
    assert!(scene.borrow_now(Need::Short).is_none());
    for (lane, loan) in borrowed {
        loan.give_back(lane);
    }
    assert_eq!(scene.free(), 3);
    assert!(scene.lanes.under_way().is_empty(), "nothing is remembered of ended exchanges");
}

#[test]
fn what_takes_long_leaves_the_reserve_to_what_is_short() {
    for (count, reserve) in [(40, 8), (8, 2), (2, 1), (1, 0)] {
        let scene = scene(count);
        assert_eq!(scene.lanes.for_long(), count - reserve);
        let long: Vec<_> = std::iter::from_fn(|| scene.borrow_now(Need::Long)).collect();
        assert_eq!(long.len(), count - reserve);
        let short: Vec<_> = std::iter::from_fn(|| scene.borrow_now(Need::Short)).collect();
        assert_eq!(short.len(), reserve);
    }
}

#[test]
fn who_waits_gets_the_lane_that_is_given_back() {
    let scene = scene(4);
    let all: Vec<_> = std::iter::from_fn(|| scene.borrow_now(Need::Short)).collect();
    let (report, served) = unbounded();
    for need in [Need::Short, Need::Long, Need::Short, Need::Long] {
        let (lanes, report) = (Arc::clone(&scene.lanes), report.clone());
        let work = move || {
            // Long enough that nobody is served by having waited in vain.
            let (lane, loan) =
                lanes.borrow(need, None, clock::monotonic() + 100 * SOON).expect("a lane");
            loan.give_back(lane);
            report.send(()).unwrap();
        };
        thread::Builder::new().spawn(work).unwrap();
    }
    let waiting = || {
        let free = scene.lanes.free();
        (free.short, free.long)
    };
    while waiting() != (2, 2) {
        thread::yield_now();
    }
    for (lane, loan) in all {
        loan.give_back(lane);
    }
    for _ in 0..4 {
        served.recv_timeout(SOON).expect("whoever waits is woken");
    }
    assert_eq!(waiting(), (0, 0));
    assert_eq!(scene.free(), 4);
}

#[test]
fn a_lane_whose_exchange_did_not_end_cleanly_is_closed_and_replaced_by_a_proven_one() {
    let mut scene = scene(2);
    let _stop = scene.replace_in_background();
    for _ in 0..50 {
        let (lane, loan) = scene.borrow_soon(Need::Short);
        drop(loan);
        drop(lane);
    }
    let both = [scene.borrow_soon(Need::Short), scene.borrow_soon(Need::Short)];
    for (mut lane, loan) in both {
        let deadline = clock::monotonic() + SOON;
        let request = Admitted {
            route: Route::Ready,
            head_only: false,
            caller: Caller::Nobody,
            peer: IpAddr::V4(Ipv4Addr::LOCALHOST),
            length: None,
            boundary: None,
            range: None,
        };
        let head = head::write(&request, loan.exchange(), scene.lanes.seal());
        assert_eq!(lane.write(&head, deadline).unwrap(), Written::All);
        assert_eq!(lane.read_answer(deadline).unwrap().exchange, loan.exchange());
        loan.give_back(lane);
    }
    assert_eq!(scene.free(), 2);
}

#[test]
fn a_lane_that_speaks_unasked_is_not_used() {
    let mut scene = scene(1);
    let (mut lane, loan) = scene.borrow_now(Need::Short).unwrap();
    // Its answer comes when it is free already.
    lane.write(b"\r\n", clock::monotonic() + SOON).unwrap();
    assert!(
        crate::server::poll::wait(
            &lane,
            crate::server::poll::For::Reading,
            clock::monotonic() + SOON
        )
        .unwrap()
    );
    let stale = loan.exchange();
    loan.give_back(lane);
    assert!(scene.borrow_now(Need::Short).is_none(), "the only lane is out of step");
    let _stop = scene.replace_in_background();
    let (lane, loan) = scene.borrow_soon(Need::Short);
    assert!(loan.exchange() > stale && !lane.has_answer().unwrap());
}

#[test]
fn an_exchange_that_is_broken_off_ends_at_the_gate_and_no_other_does() {
    let scene = scene(2);
    let (mut broken, first) = scene.borrow_now(Need::Short).unwrap();
    let (other, second) = scene.borrow_now(Need::Short).unwrap();
    scene.lanes.break_off(first.exchange());
    let read = broken.read_answer(clock::monotonic() + SOON);
    assert_eq!(read.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    assert!(!other.has_answer().unwrap());
    let over = second.exchange();
    second.give_back(other);
    scene.lanes.break_off(over);
    let (lane, _loan) = scene.borrow_now(Need::Short).expect("its exchange is over");
    assert!(!lane.has_answer().unwrap());
}

#[test]
fn without_a_pool_the_lanes_thread_ends_so_that_the_process_does() {
    let (folder, listener) = Folder::create().unwrap();
    drop(listener);
    let (_lanes, replacer) = Lanes::new(folder.socket(), Seal::new().unwrap(), 1);
    assert!(replacer.open_all().is_err());
    let (_lanes, replacer) = Lanes::new(folder.socket(), Seal::new().unwrap(), 1);
    let stop = crate::threads::StopSource::default();
    // Returns by itself.
    replacer.run(&stop.stop());
}
