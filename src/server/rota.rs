//! Which of the idle workers wait for the next request.
//!
//! Shared by the workers. `tiny_http` hands a request to whoever has waited longest. If all idle
//! workers waited, each request would wake another one, whose memory no cache holds any more: with
//! 132 of them a small upload cost half as much CPU time again as with 12. So only some wait, and the
//! others rest until there are too few. It knows nothing of requests.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// How many wait, and the rest of them.
#[derive(Debug)]
pub struct Rota {
    least: usize,
    most: usize,
    turns: Mutex<Turns>,
    /// Somebody has to wait who rests now, or all have to.
    called: Condvar,
}

#[derive(Debug, Default)]
struct Turns {
    waiting: usize,
    resting: usize,
    closed: bool,
}

impl Rota {
    /// As soon as fewer than `least` wait, another one is called; no more than `most` wait. Between
    /// the two a worker that has served a request waits again and nobody else has to move.
    pub fn new(least: usize, most: usize) -> Self {
        let (least, most) = (least.max(1), most.max(least).max(1));
        Self { least, most, turns: Mutex::default(), called: Condvar::new() }
    }

    /// Rests until it is this worker's turn to wait for a request.
    pub fn begin_waiting(&self) {
        let mut turns = self.turns();
        while turns.waiting >= self.most && !turns.closed {
            turns.resting += 1;
            turns = self.called.wait(turns).unwrap_or_else(PoisonError::into_inner);
            turns.resting -= 1;
        }
        turns.waiting += 1;
    }

    /// Says that this worker has a request. Call it before serving that: if too few are left,
    /// another worker has to wait.
    pub fn end_waiting(&self) {
        let mut turns = self.turns();
        turns.waiting -= 1;
        if turns.waiting < self.least && turns.resting > 0 {
            self.called.notify_one();
        }
    }

    /// Lets nobody rest any more.
    pub fn close(&self) {
        self.turns().closed = true;
        self.called.notify_all();
    }

    fn turns(&self) -> MutexGuard<'_, Turns> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
    use std::collections::HashSet;
    use std::sync::Arc;
    use std::thread::{self, ThreadId};
    use std::time::Duration;

    const WORKERS: usize = 20;
    const LEAST: usize = 2;
    const MOST: usize = 5;
    const SOON: Duration = Duration::from_secs(30);

    /// A request: the worker says who it is, and is busy until the other end is dropped.
    type Job = (Sender<ThreadId>, Receiver<()>);

    /// Workers that take jobs in turns, all of them idle.
    struct Scene {
        rota: Arc<Rota>,
        jobs: Option<Sender<Job>>,
        threads: Vec<thread::JoinHandle<()>>,
    }

    fn scene() -> Scene {
        let (jobs, queue) = unbounded::<Job>();
        let rota = Arc::new(Rota::new(LEAST, MOST));
        let threads = (0..WORKERS).map(|_| {
            let (queue, rota) = (queue.clone(), Arc::clone(&rota));
            let work = move || loop {
                rota.begin_waiting();
                let Ok((hello, busy)) = queue.recv() else { return };
                rota.end_waiting();
                hello.send(thread::current().id()).unwrap();
                let _ = busy.recv();
            };
            thread::Builder::new().spawn(work).unwrap()
        });
        let scene = Scene { threads: threads.collect(), rota, jobs: Some(jobs) };
        scene.await_idle();
        scene
    }

    impl Scene {
        fn await_idle(&self) {
            while self.idle() < WORKERS {
                thread::yield_now();
            }
        }

        fn idle(&self) -> usize {
            let turns = self.rota.turns();
            turns.waiting + turns.resting
        }

        /// Gives a worker something to do, until what is returned is dropped.
        #[track_caller]
        fn occupy(&self) -> (ThreadId, Sender<()>) {
            let (hello, who) = bounded(1);
            let (done, busy) = bounded(0);
            self.jobs.as_ref().unwrap().send((hello, busy)).unwrap();
            (who.recv_timeout(SOON).expect("somebody waits"), done)
        }
    }

    #[test]
    fn one_request_after_the_other_is_served_by_the_few_that_wait() {
        let scene = scene();
        let mut seen = HashSet::new();
        for _ in 0..10 * WORKERS {
            seen.insert(scene.occupy().0);
            scene.await_idle();
        }
        // Which of them is the channel's business.
        assert!(seen.len() <= MOST, "{seen:?}");
        assert_eq!(scene.rota.turns().resting, WORKERS - MOST);
    }

    #[test]
    fn all_can_be_busy_at_once_again_and_again() {
        let scene = scene();
        for _ in 0..20 {
            let busy: Vec<_> = (0..WORKERS).map(|_| scene.occupy()).collect();
            assert_eq!(scene.idle(), 0);
            drop(busy);
            scene.await_idle();
        }
    }

    #[test]
    fn whoever_rests_is_woken_at_the_end() {
        let mut scene = scene();
        scene.rota.close();
        scene.jobs = None;
        for thread in scene.threads {
            thread.join().unwrap();
        }
    }
}
