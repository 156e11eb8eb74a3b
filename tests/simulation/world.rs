//! The machine around the client: its time, its disk, its kernel, the history that happens to it.
//!
//! One thread does everything. The client is made of what it is made of in truth, but whoever would
//! run on a thread of its own is given turns here: the watcher, the scanner, each worker. Whenever one
//! of them calls its disk, its clock or its server, a little time passes, and then the next step of the
//! history may happen or somebody else get a turn, in the midst of it. Nobody waits: when nothing is
//! left to do, the clock goes on to the moment at which something is.
//!
//! A crash unwinds whatever of the client is running, as far as here. No code of the client sees it.

use super::client::{self, Client};
use super::disk::{FileSystem, Hint, Node};
use super::history::{Action, History, ROOT, Settings, When};
use super::kernel::Kernel;
use super::machine::FileClocks;
use super::script::{Growth, Script};
use super::server::Server;
use s3up::client::database::Database;
use s3up::client::scope::{Place, Scope};
use s3up::clock;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Unix time at the beginning, in nanoseconds.
const BEGIN_NS: i64 = 1_800_000_000_000_000_000;

/// More turns than any sound history takes.
const TURNS_MAX: u64 = 200_000;

/// The client's process is gone.
pub(super) struct Crashed;

/// Who gets a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    Step,
    Growth,
    Hints,
    Losses,
    Gaps,
    Scan,
    Worker,
}

/// The machine; see the module's head.
pub(super) struct World {
    pub(super) settings: Settings,
    pub(super) scope: Scope,
    begin: Instant,
    now: Cell<Duration>,
    set_ms: Cell<i64>,
    /// Whether the clock was ever set back.
    pub(super) set_back: Cell<bool>,
    pub(super) calls: Cell<u64>,
    turns: Cell<u64>,
    /// How many turns of the client are under way, each in the midst of the one before.
    pub(super) depth: Cell<u32>,
    pub(super) disk: RefCell<FileSystem>,
    pub(super) file_clock: FileClocks,
    pub(super) kernel: RefCell<Kernel>,
    pub(super) server: RefCell<Server>,
    pub(super) script: RefCell<Script>,
    chance: RefCell<fastrand::Rng>,
    pub(super) database: RefCell<Arc<Database>>,
    /// The database is damaged, and the next start begins a new one.
    pub(super) damaged: Cell<bool>,
    /// Whether that ever happened: from then on everything is wanted.
    pub(super) rebuilt: Cell<bool>,
    pub(super) client: RefCell<Option<Rc<Client>>>,
    /// It is to be started as soon as the one before it has ended.
    pub(super) restart: Cell<bool>,
    /// Something happened that no hint told of, and no scan has been since.
    pub(super) unheard: Cell<bool>,
    /// How many times the client was started.
    pub(super) starts: Cell<u64>,
    /// How often the client opened each file.
    pub(super) opens: RefCell<BTreeMap<PathBuf, u64>>,
    /// The files that ever had a row: they are wanted, however old they look.
    pub(super) known: RefCell<BTreeSet<PathBuf>>,
    /// What of the promise was broken first.
    pub(super) broken: RefCell<Option<String>>,
    trace: RefCell<Option<Vec<String>>>,
}

impl World {
    /// A machine to which `history` is about to happen. What happens is noted if `traced`.
    pub(super) fn new(history: &History, traced: bool) -> Rc<Self> {
        let settings = history.settings.clone();
        fastrand::seed(settings.chance);
        let script = Script { steps: history.steps.iter().cloned().collect(), ..Script::default() };
        let world = Self {
            scope: client::scope(&settings),
            begin: clock::monotonic(),
            now: Cell::default(),
            set_ms: Cell::default(),
            set_back: Cell::default(),
            calls: Cell::default(),
            turns: Cell::default(),
            depth: Cell::default(),
            disk: RefCell::default(),
            file_clock: FileClocks::default(),
            kernel: RefCell::default(),
            server: RefCell::new(Server::new(settings.limit)),
            script: RefCell::new(script),
            chance: RefCell::new(fastrand::Rng::with_seed(settings.chance)),
            database: RefCell::new(Arc::new(Database::in_memory().unwrap())),
            damaged: Cell::default(),
            rebuilt: Cell::default(),
            client: RefCell::default(),
            restart: Cell::default(),
            unheard: Cell::default(),
            starts: Cell::default(),
            opens: RefCell::default(),
            known: RefCell::default(),
            broken: RefCell::default(),
            trace: RefCell::new(traced.then(Vec::new)),
            settings,
        };
        world.pass(Duration::ZERO);
        for folder in ["a", "b", "out"] {
            world.disk.borrow_mut().act(&Action::Mkdir(super::history::Place::new(folder)));
        }
        Rc::new(world)
    }

    pub(super) fn now(&self) -> Duration {
        self.now.get()
    }

    pub(super) fn monotonic(&self) -> Instant {
        self.begin + self.now.get()
    }

    pub(super) fn unix_ns(&self) -> i64 {
        let passed = i64::try_from(self.now.get().as_nanos()).unwrap();
        BEGIN_NS + passed + self.set_ms.get() * 1_000_000
    }

    pub(super) fn pass(&self, time: Duration) {
        self.now.set(self.now.get() + time);
        let mut disk = self.disk.borrow_mut();
        disk.now_ns = self.unix_ns();
        disk.now = self.now.get();
        *self.file_clock.0.lock().unwrap() = (disk.stamp(), self.now.get());
    }

    pub(super) fn note(&self, text: impl FnOnce() -> String) {
        if let Some(trace) = self.trace.borrow_mut().as_mut() {
            let indent = "  ".repeat(self.depth.get() as usize);
            trace.push(format!("{:>14.6} {indent}{}", self.now.get().as_secs_f64(), text()));
        }
    }

    pub(super) fn trace(&self) -> String {
        self.trace.borrow().as_ref().map(|lines| lines.join("\n")).unwrap_or_default()
    }

    pub(super) fn random(&self, below: u64) -> u64 {
        self.chance.borrow_mut().u64(..below.max(1))
    }

    pub(super) fn database(&self) -> Arc<Database> {
        Arc::clone(&self.database.borrow())
    }

    pub(super) fn client(&self) -> Option<Rc<Client>> {
        self.client.borrow().clone()
    }

    /// A call of the client: `time` passes, and something else may happen before it is done.
    pub(super) fn call(self: &Rc<Self>, time: Duration) {
        self.pass(time);
        self.calls.set(self.calls.get() + 1);
        while self.step_is_due() && self.turns.get() < TURNS_MAX {
            self.turn(Turn::Step);
        }
        if self.random(256) < self.settings.mix
            && let Some(turn) = self.choose()
        {
            self.turn(turn);
        }
    }

    /// A call that takes as long as one to disk or clock.
    pub(super) fn quick_call(self: &Rc<Self>) {
        self.call(Duration::from_micros(self.settings.call_us));
    }

    /// Lets everything happen that is due, then goes on to what is next, until `enough` or until
    /// nothing is left.
    pub(super) fn run(self: &Rc<Self>, enough: impl Fn(&Self) -> bool) -> Result<(), String> {
        loop {
            while let Some(turn) = self.choose() {
                if let Err(payload) = catch_unwind(AssertUnwindSafe(|| self.turn(turn))) {
                    if !payload.is::<Crashed>() {
                        resume_unwind(payload);
                    }
                    self.depth.set(0);
                }
                self.end_if_stopped();
            }
            if let Some(broken) = self.broken.take() {
                return Err(broken);
            }
            if self.turns.get() > TURNS_MAX {
                return Err("it goes on and on".to_owned());
            }
            if enough(self) {
                return Ok(());
            }
            let Some(next) = self.next() else { return Ok(()) };
            self.turns.set(self.turns.get() + 1);
            self.pass(next.saturating_sub(self.now()));
        }
    }

    fn turn(self: &Rc<Self>, turn: Turn) {
        self.turns.set(self.turns.get() + 1);
        if self.turns.get() > TURNS_MAX {
            return;
        }
        match turn {
            Turn::Step => self.take_step(),
            Turn::Growth => self.grow(),
            Turn::Hints | Turn::Losses | Turn::Gaps | Turn::Scan | Turn::Worker => {
                let Some(client) = self.client() else { return };
                self.depth.set(self.depth.get() + 1);
                match turn {
                    Turn::Hints => client.hear(self),
                    Turn::Losses => client.make_good(self),
                    Turn::Gaps => client.close_gaps(self),
                    Turn::Scan => client.scan_on(self),
                    _ => client.work(self),
                }
                self.depth.set(self.depth.get() - 1);
            }
        }
    }

    /// One of those whose time has come.
    fn choose(&self) -> Option<Turn> {
        if self.turns.get() > TURNS_MAX {
            return None;
        }
        let now = self.now();
        let mut due = Vec::new();
        if self.step_is_due() {
            due.push(Turn::Step);
        }
        if self.script.borrow().growths.iter().any(|growth| growth.due <= now) {
            due.push(Turn::Growth);
        }
        if let Some(client) = self.client() {
            if !client.is_hearing() && self.hints_due().is_some_and(|due| due <= now) {
                due.push(Turn::Hints);
            }
            if client.losses_due(self).is_some_and(|due| due <= now) {
                due.push(Turn::Losses);
            }
            if client.gaps_due(self).is_some_and(|due| due <= now) {
                due.push(Turn::Gaps);
            }
            if client.scan_is_due(self) {
                due.push(Turn::Scan);
            }
            if client.work_due(self).is_some_and(|due| due <= now) {
                due.push(Turn::Worker);
            }
        }
        let chosen = self.random(due.len() as u64);
        due.get(usize::try_from(chosen).unwrap()).copied()
    }

    fn hints_due(&self) -> Option<Duration> {
        let kernel = self.kernel.borrow();
        kernel.due.map(|due| due.max(kernel.stalled))
    }

    /// The next moment at which something is due. A step that waits for a call of the client comes
    /// when the client has nothing to do but to scan at its interval.
    fn next(&self) -> Option<Duration> {
        let mut next: Vec<Duration> =
            self.script.borrow().growths.iter().map(|growth| growth.due).collect();
        let client = self.client();
        if let Some(client) = &client {
            next.extend(self.hints_due());
            next.extend(client.losses_due(self));
            next.extend(client.work_due(self));
        }
        let script = self.script.borrow();
        match script.steps.front().map(|step| step.when) {
            Some(When::After(time)) => next.push(script.before.0 + time),
            Some(When::Call(_) | When::Open(_)) if next.is_empty() => {
                drop(script);
                if let Some(step) = self.script.borrow_mut().steps.front_mut() {
                    step.when = When::After(Duration::ZERO);
                }
                return Some(self.now());
            }
            _ => {}
        }
        next.extend(client.as_ref().and_then(|client| client.gaps_due(self)));
        next.extend(client.and_then(|client| client.next_scan()));
        next.into_iter().min()
    }

    pub(super) fn happen(self: &Rc<Self>, action: &Action) {
        match action {
            Action::Grow(place, bytes, times, ms) if *times > 0 => {
                let action = Action::Append(place.clone(), *bytes);
                let every = Duration::from_millis(*ms);
                let growth = Growth { due: self.now(), action, left: *times, every };
                self.script.borrow_mut().growths.push(growth);
            }
            Action::SetClock(ms) => {
                self.set_ms.set(self.set_ms.get() + ms);
                self.set_back.set(self.set_back.get() || *ms < 0);
                self.pass(Duration::ZERO);
                if let Some(client) = self.client() {
                    client.clock_set();
                }
            }
            Action::Lose(hints) => self.kernel.borrow_mut().lose += hints,
            Action::Overflow(ms) => {
                let mut kernel = self.kernel.borrow_mut();
                kernel.pending.clear();
                kernel.stalled = self.now() + Duration::from_millis(*ms);
                drop(kernel);
                self.tell([Hint::Overflow]);
            }
            Action::Stall(ms) => {
                let until = self.now() + Duration::from_millis(*ms);
                self.kernel.borrow_mut().stalled = until;
            }
            Action::Echo => {
                let told = self.kernel.borrow().told.clone();
                self.tell(told);
            }
            Action::Hint(place) => self.tell([Hint::Changed(place.0.clone())]),
            Action::Fail(trouble, times) => self.server.borrow_mut().fail(*trouble, *times),
            Action::Poison(place, times) => {
                if let Place::File { remote_path, .. } = self.scope.place(&place.0) {
                    self.server.borrow_mut().poison(remote_path.as_str(), *times);
                }
            }
            Action::Pace(us) => self.server.borrow_mut().pace = Duration::from_micros(*us),
            Action::Crash => self.crash(),
            Action::Damage => {
                self.damaged.set(true);
                self.crash();
            }
            Action::Stop => {
                if let Some(client) = self.client() {
                    client.stop(self);
                }
                self.end_if_stopped();
            }
            Action::Start => self.start(),
            _ => {
                let hints = self.disk.borrow_mut().act(action);
                if std::mem::take(&mut self.disk.borrow_mut().silent) {
                    self.unheard.set(true);
                }
                self.tell(hints);
            }
        }
    }

    /// Whether a folder stands at `path`.
    pub(super) fn is_folder(&self, path: &Path) -> bool {
        matches!(self.disk.borrow().node(path), Some(Node::Folder))
    }

    /// The folder of all paths.
    pub(super) fn root() -> &'static Path {
        Path::new(ROOT)
    }
}
