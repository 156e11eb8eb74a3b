//! What the server remembers of its clients: an upload ledger, who was there, what was refused, daily
//! reports.
//!
//! [`Activity`] is the handle for whoever knows what happened: the gate knows who came in and what it
//! refused, the workers how an upload ended. Telling it costs a short lock or a place in a channel,
//! and never waits: **no upload depends on any of this**. One thread, `activity`, owns the connection
//! that writes (`writer`); readers have their own. What cannot be kept for writing is dropped and
//! counted.
//!
//! Without `database.path` there is none of it, and the handle does nothing but count: what is told to
//! it is counted for Prometheus as well, so that ledger and figures cannot tell two stories.

pub mod awaited;
pub mod cross_check;
pub mod event;
mod ledger;
mod pending;
pub mod reading;
mod schema;
pub mod standing;
mod sums;
#[cfg(test)]
mod tests;
pub mod view;
mod writer;

pub use awaited::Awaited;
pub use event::{Outcome, Upload};
pub use ledger::{Kept, Told};
pub use reading::Reading;

use crate::clock;
use crate::limits::activity::{ORDER_WAIT, ORDERS_WAITING_MAX, UPLOADS_WAITING_MAX};
use crate::server::admitted::Caller;
use crate::server::key::ClientName;
use crate::server::metrics::counts::Counts;
use crate::server::metrics::figures::LedgerFigures;
use crate::sqlite::DatabaseError;
use crate::threads::{Stop, Supervisor};
use crate::wire::report::{CrossCheck, Report};
use crate::wire::{Day, ErrorCode};
use cross_check::{Amount, Windows, compare};
use crossbeam_channel::{Receiver, SendTimeoutError, Sender, TrySendError, bounded};
use pending::{Pending, Refusal, Times};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use writer::Writer;

/// Remembers what happens, if the server has a database, and counts it for Prometheus in any case.
/// Cheap to copy.
#[derive(Clone, Default)]
pub struct Activity {
    counts: Arc<Counts>,
    shared: Option<Arc<Shared>>,
}

/// Why a report was not kept, or a question not answered.
#[derive(Debug, thiserror::Error)]
pub enum Unavailable {
    /// The server has no database.
    #[error("this server keeps no reports (key database.path)")]
    NoDatabase,
    /// The writer is busy with others, or the database cannot be written.
    #[error("the server's database cannot be written at the moment; try again later")]
    Writer,
    /// The database cannot be read.
    #[error(transparent)]
    Reading(#[from] DatabaseError),
}

/// What those who tell and the one who writes have in common.
struct Shared {
    path: PathBuf,
    /// For what was known before this process.
    counts: Arc<Counts>,
    uploads: Sender<Upload>,
    orders: Sender<Order>,
    /// A place for one who compares a report: that may take seconds, and whoever has a client's key can
    /// ask for it.
    comparing: (Sender<()>, Receiver<()>),
    /// A message if there is something pending, so that the writer need not look.
    wake: Sender<()>,
    pending: Mutex<Pending>,
    /// Of whom a sign of life is news.
    awaited: Awaited,
    /// Whether nothing can be written down at the moment.
    away: AtomicBool,
    /// Uploads that were not kept for writing since the process began.
    dropped: AtomicU64,
}

/// What the writer is asked to do; it answers when it is done, or when it cannot.
enum Order {
    /// Write down what was told so far.
    Flush(Sender<bool>),
    /// Keep this report.
    Keep(Box<Kept>, Sender<bool>),
    /// Keep what was told of clients, and nothing that was kept before.
    Told(Vec<Told>, Sender<bool>),
    /// Somebody who read has found the database damaged; nobody waits for an answer.
    Examine,
}

/// What the writer is told over.
struct Inbox {
    uploads: Receiver<Upload>,
    orders: Receiver<Order>,
    wake: Receiver<()>,
}

impl Shared {
    fn new(path: PathBuf, counts: Arc<Counts>) -> (Arc<Self>, Inbox) {
        let (uploads, to_write) = bounded(UPLOADS_WAITING_MAX);
        let (orders, to_do) = bounded(ORDERS_WAITING_MAX);
        let (wake, waking) = bounded(1);
        let (pending, away, dropped) = (Mutex::default(), AtomicBool::new(false), 0.into());
        let (comparing, awaited) = (bounded(1), Awaited::default());
        let shared = Arc::new(Self {
            path,
            counts,
            uploads,
            orders,
            comparing,
            wake,
            pending,
            awaited,
            away,
            dropped,
        });
        (shared, Inbox { uploads: to_write, orders: to_do, wake: waking })
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        // Each change is complete in itself, so a panic elsewhere cannot have left half of one.
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what is pending, and has it written soon.
    fn note(&self, change: impl FnOnce(&mut Pending)) {
        let was_empty = {
            let mut pending = self.pending();
            let was_empty = pending.is_empty();
            change(&mut pending);
            was_empty
        };
        if was_empty {
            // A full channel holds the message already.
            let _ = self.wake.try_send(());
        }
    }
}

impl Activity {
    /// Opens the database at `path` and starts the `activity` thread on it. It ends after `stop`, when it has
    /// written what it was told: raise that when everybody who tells has ended. A database that cannot
    /// be opened is no reason not to start; the log says it, and the thread tries again.
    pub fn start(
        path: PathBuf,
        retention_days: u32,
        supervisor: &mut Supervisor,
        stop: Stop,
    ) -> io::Result<Self> {
        let counts = Arc::<Counts>::default();
        let (shared, inbox) = Shared::new(path, Arc::clone(&counts));
        let mut writer = Writer::new(Arc::clone(&shared), inbox, retention_days);
        // Here, so that there is something to read from the beginning.
        writer.open();
        supervisor.spawn("activity", move || writer.run(&stop))?;
        Ok(Self { counts, shared: Some(shared) })
    }

    /// What is counted for Prometheus; for what is counted there and not remembered.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// How the ledger is, if there is one.
    pub fn ledger(&self) -> Option<LedgerFigures> {
        let shared = self.shared.as_ref()?;
        Some(LedgerFigures {
            healthy: !self.is_away(),
            dropped: shared.dropped.load(Ordering::Relaxed),
            waiting: shared.uploads.len(),
        })
    }

    /// Whether nothing can be written down at the moment, though it should be.
    pub fn is_away(&self) -> bool {
        self.shared.as_ref().is_some_and(|shared| shared.away.load(Ordering::Relaxed))
    }

    /// A request of a client came in, which says that its version is `version`, at the moment `at` in
    /// seconds since 1970.
    pub fn seen(&self, client: &ClientName, version: Option<&str>, at: i64) {
        if let Some(shared) = &self.shared {
            shared.note(|pending| pending.see(client, version, at));
        }
    }

    /// A request was refused with `code`: of a client, or of somebody without a good key. `asked` says
    /// what for, as `route::word` has it.
    pub fn refused(
        &self,
        client: Option<&ClientName>,
        asked: &'static str,
        code: ErrorCode,
        at: i64,
    ) {
        self.counts.refused(client, code);
        if let Some(shared) = &self.shared {
            let refusal = Refusal { day: Day::of(at), client: client.cloned(), asked, code };
            shared.note(|pending| pending.refuse(refusal, Times { count: 1, last_at: at }));
        }
    }

    /// A request of somebody whose key is known was refused, or of somebody who needs none. Of a client it
    /// is remembered; of others it is only counted, since anybody can ask for anything.
    pub fn refused_to(&self, caller: &Caller, asked: &'static str, code: ErrorCode) {
        match caller {
            Caller::Client(client) => {
                self.refused(Some(&client.name), asked, code, clock::unix_seconds());
            }
            Caller::Nobody | Caller::Administrator => self.counts.refused(None, code),
        }
    }

    /// An upload ended. Never waits.
    pub fn upload(&self, upload: Upload) {
        match upload.outcome {
            Outcome::Stored => {
                self.counts.stored(&upload.client, upload.size, upload.took, upload.ended_at);
            }
            Outcome::Failed(code) => self.counts.refused(Some(&upload.client), code),
        }
        let Some(shared) = &self.shared else { return };
        if let Err(TrySendError::Full(upload) | TrySendError::Disconnected(upload)) =
            shared.uploads.try_send(upload)
        {
            shared.dropped.fetch_add(1, Ordering::Relaxed);
            shared.note(|pending| pending.drop_upload(Day::of(upload.ended_at)));
        }
    }

    /// Compares a report with the ledger and keeps both, one report after the other. Waits for its
    /// turn, and for the writer, `limits::activity::ORDER_WAIT` each. `now` is seconds since 1970.
    pub fn report(
        &self,
        client: &ClientName,
        report: Report,
        now: i64,
    ) -> Result<CrossCheck, Unavailable> {
        let shared = self.shared()?;
        let _turn = shared.turn()?;
        // What was acknowledged just now has to be in the ledger.
        shared.order(Order::Flush)?;
        let windows = Windows::of(&report, now);
        let counted = Amount { files: report.files, bytes: report.bytes };
        let recorded = self.read(|reading| {
            reading.recorded(client.as_str(), report.date, windows.as_ref(), counted)
        })?;
        let check = compare(&report, &recorded, now);
        let name = client.as_str().to_owned();
        let kept = Kept { client: name, received_at: now, report, check: check.clone() };
        shared.order(|done| Order::Keep(Box::new(kept), done))?;
        self.counts.reported(client, now);
        Ok(check)
    }

    /// Keeps what was told of clients, in place of what was kept before. Waits for the writer,
    /// `limits::activity::ORDER_WAIT` at most.
    pub fn keep_told(&self, told: Vec<Told>) -> Result<(), Unavailable> {
        self.shared()?.order(|done| Order::Told(told, done))
    }

    /// Of whom a sign of life is news; none without a database.
    pub fn awaited(&self) -> Option<&Awaited> {
        self.shared.as_deref().map(|shared| &shared.awaited)
    }

    /// Reads from the database. If it turns out to be damaged, the writer looks after it.
    pub fn read<T>(
        &self,
        read: impl FnOnce(&Reading) -> Result<T, DatabaseError>,
    ) -> Result<T, Unavailable> {
        let shared = self.shared()?;
        Reading::open(&shared.path).and_then(|reading| read(&reading)).map_err(|error| {
            if error.is_corrupt() {
                // With a full channel somebody else has said it, or will.
                let _ = shared.orders.try_send(Order::Examine);
            }
            error.into()
        })
    }

    fn shared(&self) -> Result<&Shared, Unavailable> {
        self.shared.as_deref().ok_or(Unavailable::NoDatabase)
    }
}

/// The turn of one who compares a report.
struct Turn<'s>(&'s Receiver<()>);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        // It is full as long as this lives.
        let _ = self.0.try_recv();
    }
}

impl Shared {
    fn turn(&self) -> Result<Turn<'_>, Unavailable> {
        let (place, taken) = &self.comparing;
        place.send_timeout((), ORDER_WAIT).map_err(|_| Unavailable::Writer)?;
        Ok(Turn(taken))
    }

    fn order(&self, order: impl FnOnce(Sender<bool>) -> Order) -> Result<(), Unavailable> {
        let (done, answer) = bounded(1);
        match self.orders.send_timeout(order(done), ORDER_WAIT) {
            Ok(()) => {}
            Err(SendTimeoutError::Timeout(_) | SendTimeoutError::Disconnected(_)) => {
                return Err(Unavailable::Writer);
            }
        }
        match answer.recv_timeout(ORDER_WAIT) {
            Ok(true) => Ok(()),
            Ok(false) | Err(_) => Err(Unavailable::Writer),
        }
    }
}
