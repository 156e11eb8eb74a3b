//! The lanes: as many kept-alive connections to the worker pool as it serves requests at once.
//!
//! An exchange borrows a lane and gives it back if it ended cleanly on both sides. Any other lane is
//! closed, and the `lanes` thread opens a fresh one. Lanes are opened one after the other, each
//! proven by a round trip before it counts: `tiny_http` may leave a connection without a thread when
//! several come at once.
//!
//! Large uploads and downloads never hold the last [`LANES_RESERVED_MAX`] lanes, so that everything that
//! is short finds one. Nothing here waits without a deadline.

mod answer;
mod folder;
pub mod head;
mod lane;
#[cfg(test)]
mod tests;

pub use answer::Answer;
pub use folder::Folder;
pub use head::Seal;
pub use lane::{Lane, Written};

use crate::clock;
use crate::limits::gate::{DESCRIPTORS_PER_LANE, LANE_PROOF, LANES_RESERVED_MAX};
use crate::server::admitted::{Admitted, Caller};
use crate::server::route::Route;
use crate::server::shares::Share;
use crate::threads::Stop;
use crossbeam_channel::{Receiver, Sender, select, unbounded};
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Shutdown};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long an exchange will hold its lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// As long as the server itself takes: all that is sent is at hand.
    Short,
    /// As long as a peer takes to send a large body, or to read a file; or whatever must not crowd
    /// those out that are short.
    Long,
}

/// All lanes.
pub struct Lanes {
    socket: PathBuf,
    seal: Seal,
    count: usize,
    reserve: usize,
    free: Mutex<Free>,
    /// There is a lane for somebody who needs it shortly.
    any: Condvar,
    /// There is one beyond the reserve.
    beyond_reserve: Condvar,
    lost: Sender<()>,
    exchanges: AtomicU64,
    under_way: Mutex<HashMap<u64, UnderWay>>,
}

/// What the two ends of an exchange share beside its lane.
struct UnderWay {
    /// The lane's socket, for [`Lanes::break_off`].
    socket: Arc<UnixStream>,
    /// What was reserved for its body, until the worker claims it.
    memory: Option<Share>,
}

/// The lanes that nobody has borrowed, and how many wait for one.
#[derive(Default)]
struct Free {
    lanes: Vec<Lane>,
    /// At [`Lanes::any`].
    short: usize,
    /// At [`Lanes::beyond_reserve`].
    long: usize,
}

/// The loan of a lane. Dropping it says that the exchange did not end cleanly.
pub struct Loan<'l> {
    lanes: &'l Lanes,
    exchange: u64,
    ended_cleanly: bool,
}

/// Replaces lanes that were lost; the `lanes` thread runs it.
pub struct Replacer {
    lanes: Arc<Lanes>,
    lost: Receiver<()>,
}

impl Lanes {
    /// Lanes to the pool that listens on `socket`; none is open yet.
    pub fn new(socket: PathBuf, seal: Seal, count: usize) -> (Arc<Self>, Replacer) {
        let (lost, notices) = unbounded();
        let lanes = Arc::new(Self {
            socket,
            seal,
            count,
            // Of two, one: what is short must always find a lane.
            reserve: (count / 4).clamp(1, LANES_RESERVED_MAX).min(count.saturating_sub(1)),
            free: Mutex::default(),
            any: Condvar::new(),
            beyond_reserve: Condvar::new(),
            lost,
            exchanges: AtomicU64::new(1),
            under_way: Mutex::default(),
        });
        for _ in 0..count {
            lanes.report_lost();
        }
        let replacer = Replacer { lanes: Arc::clone(&lanes), lost: notices };
        (lanes, replacer)
    }

    /// The seal that every head on a lane bears.
    pub fn seal(&self) -> &Seal {
        &self.seal
    }

    /// How many lanes large uploads and downloads can hold at the same time.
    pub fn for_long(&self) -> usize {
        self.count - self.reserve
    }

    /// How many lanes there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// How many of them are lent out, or lost and not yet replaced.
    pub fn in_use(&self) -> usize {
        self.count.saturating_sub(self.free().lanes.len())
    }

    /// Borrows a lane; `None` if there is none until `deadline`. `memory` is for the worker, which
    /// may outlast the gate's patience.
    pub fn borrow(
        &self,
        need: Need,
        memory: Option<Share>,
        deadline: Instant,
    ) -> Option<(Lane, Loan<'_>)> {
        loop {
            let lane = self.take(need, deadline)?;
            // A worker that speaks unasked has ended the connection, or is out of step.
            if lane.has_answer().unwrap_or(true) {
                self.report_lost();
                continue;
            }
            let exchange = self.begin(&lane, memory);
            return Some((lane, Loan { lanes: self, exchange, ended_cleanly: false }));
        }
    }

    fn take(&self, need: Need, deadline: Instant) -> Option<Lane> {
        let reserve = match need {
            Need::Short => 0,
            Need::Long => self.reserve,
        };
        let mut free = self.free();
        while free.lanes.len() <= reserve {
            let left = deadline.checked_duration_since(clock::monotonic())?;
            free = self.wait(free, need, left);
        }
        free.lanes.pop()
    }

    /// Waits for a lane to be put back. Whoever waits is counted, since waking nobody costs a system
    /// call, too.
    fn wait<'f>(
        &self,
        mut free: MutexGuard<'f, Free>,
        need: Need,
        most: Duration,
    ) -> MutexGuard<'f, Free> {
        let condition = match need {
            Need::Short => &self.any,
            Need::Long => &self.beyond_reserve,
        };
        *free.waiting(need) += 1;
        let waited = condition.wait_timeout(free, most);
        let mut free = waited.unwrap_or_else(PoisonError::into_inner).0;
        *free.waiting(need) -= 1;
        free
    }

    /// Breaks off exchange number `exchange`, if it is still under way: its answer cannot be
    /// completed, and `tiny_http` has no way to say so.
    pub fn break_off(&self, exchange: u64) {
        if let Some(UnderWay { socket, .. }) = self.under_way().get(&exchange) {
            // Gone already: then the gate has noticed.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    /// Lets the gate send no more of exchange number `exchange`, if it is still under way. What was
    /// sent can be read, and then the end; the answer can be given.
    pub fn stop_sending(&self, exchange: u64) {
        if let Some(UnderWay { socket, .. }) = self.under_way().get(&exchange) {
            // Gone already: then it has ended as well.
            let _ = socket.shutdown(Shutdown::Write);
        }
    }

    /// What was reserved for the body of exchange number `exchange`. Hold it as long as anything of
    /// the body is in memory.
    pub fn claim_memory(&self, exchange: u64) -> Option<Share> {
        self.under_way().get_mut(&exchange)?.memory.take()
    }

    fn begin(&self, lane: &Lane, memory: Option<Share>) -> u64 {
        let exchange = self.exchanges.fetch_add(1, Ordering::Relaxed);
        let socket = Arc::clone(lane.socket());
        self.under_way().insert(exchange, UnderWay { socket, memory });
        exchange
    }

    fn put(&self, lane: Lane) {
        let mut free = self.free();
        free.lanes.push(lane);
        if free.long > 0 && free.lanes.len() > self.reserve {
            self.beyond_reserve.notify_one();
        }
        if free.short > 0 {
            self.any.notify_one();
        }
    }

    fn report_lost(&self) {
        // Nobody listens any more only when the server is ending.
        let _ = self.lost.send(());
    }

    fn free(&self) -> MutexGuard<'_, Free> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn under_way(&self) -> MutexGuard<'_, HashMap<u64, UnderWay>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a lane and sends it once to a worker and back.
    fn open_proven(&self) -> io::Result<Lane> {
        look_for_descriptors()?;
        let mut lane = Lane::open(&self.socket)?;
        let deadline = clock::monotonic() + LANE_PROOF;
        let exchange = self.exchanges.fetch_add(1, Ordering::Relaxed);
        let proof = Admitted {
            route: Route::Health,
            // So that the answer is its head.
            head_only: true,
            caller: Caller::Nobody,
            peer: IpAddr::V4(Ipv4Addr::LOCALHOST),
            length: None,
            boundary: None,
            range: None,
        };
        lane.write(&head::write(&proof, exchange, &self.seal), deadline)?;
        let answer = lane.read_answer(deadline)?;
        if answer.status == 200 && answer.exchange == exchange && answer.drained {
            Ok(lane)
        } else {
            Err(io::Error::other(format!("its first answer is {}", answer.status)))
        }
    }
}

impl Free {
    fn waiting(&mut self, need: Need) -> &mut usize {
        match need {
            Need::Short => &mut self.short,
            Need::Long => &mut self.long,
        }
    }
}

impl Loan<'_> {
    /// The exchange's number.
    pub fn exchange(&self) -> u64 {
        self.exchange
    }

    /// Gives the lane back: the exchange ended cleanly on both sides.
    pub fn give_back(mut self, lane: Lane) {
        self.ended_cleanly = true;
        self.lanes.under_way().remove(&self.exchange);
        self.lanes.put(lane);
    }
}

impl Drop for Loan<'_> {
    fn drop(&mut self) {
        if !self.ended_cleanly {
            self.lanes.under_way().remove(&self.exchange);
            self.lanes.report_lost();
        }
    }
}

impl Replacer {
    /// Opens all lanes, one after the other. Call it once the workers run.
    pub fn open_all(&self) -> io::Result<()> {
        while self.lost.try_recv().is_ok() {
            self.lanes.put(self.lanes.open_proven()?);
        }
        Ok(())
    }

    /// Opens a new lane for each that is lost, until the program is ending. Returns before that only
    /// if the pool does not listen any more, without which the server cannot go on.
    pub fn run(self, stop: &Stop) {
        loop {
            select! {
                recv(stop.receiver()) -> _ => return,
                recv(self.lost) -> lost => if lost.is_err() || !self.replace(stop) { return },
            }
        }
    }

    fn replace(&self, stop: &Stop) -> bool {
        let mut pause = Duration::from_millis(10);
        while !stop.is_raised() {
            match self.lanes.open_proven() {
                Ok(lane) => {
                    self.lanes.put(lane);
                    return true;
                }
                Err(error) if is_final(&error) => {
                    log::error!("the worker pool does not take connections any more: {error}");
                    return false;
                }
                // All workers busy, or no descriptor to be had: that passes.
                Err(error) => log::warn!("cannot open a lane to the worker pool: {error}"),
            }
            stop.wait(pause);
            pause = (pause * 2).min(Duration::from_secs(1));
        }
        true
    }
}

/// Fails if descriptors are scarce. A lane needs three, two of them at `tiny_http`'s end, whose
/// accepting thread ends for good if it cannot have them; some more are looked for, as others take
/// theirs at the same time.
fn look_for_descriptors() -> io::Result<()> {
    const PAIRS: u64 = DESCRIPTORS_PER_LANE / 2;
    let found: io::Result<Vec<_>> = (0..PAIRS).map(|_| UnixStream::pair()).collect();
    found.map(drop)
}

fn is_final(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound)
}
