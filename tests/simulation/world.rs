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
use super::history::{Action, History, ROOT, Settings, Step, When};
use super::server::Server;
use s3up::client::baseline::Moment;
use s3up::client::baselines::FileClock;
use s3up::client::database::Database;
use s3up::client::scope::{Place, Scope};
use s3up::clock;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Unix time at the beginning, in nanoseconds.
const BEGIN_NS: i64 = 1_800_000_000_000_000_000;

/// More turns than any sound history takes.
const TURNS_MAX: u64 = 200_000;

/// The client's process is gone.
struct Crashed;

/// What the kernel has to tell the watcher.
#[derive(Debug, Default)]
pub(super) struct Kernel {
    /// The folders whose changes are heard of.
    pub(super) watched: BTreeSet<PathBuf>,
    /// What is to be told.
    pub(super) pending: VecDeque<Hint>,
    /// When it is told; set whenever there is something.
    pub(super) due: Option<Duration>,
    /// What was told last.
    pub(super) told: Vec<Hint>,
    /// The watcher gets no turn before this.
    stalled: Duration,
    /// How many of the next hints get lost.
    lose: u64,
}

/// What a growing file still has before it.
#[derive(Clone, Debug)]
struct Growth {
    due: Duration,
    action: Action,
    left: u64,
    every: Duration,
}

/// What is left of the history.
#[derive(Debug, Default)]
struct Script {
    steps: VecDeque<Step>,
    /// When the step before was taken, and at which call.
    before: (Duration, u64),
    /// The call at which a file was opened first since then.
    opened: Option<u64>,
    growths: Vec<Growth>,
}

/// The stamp that a file would get now, and how long the machine has been running.
#[derive(Clone, Debug, Default)]
pub(super) struct FileClocks(Arc<Mutex<(i64, Duration)>>);

impl FileClock for FileClocks {
    fn stamp(&self, _: &Path) -> i64 {
        self.0.lock().unwrap().0
    }

    fn moment(&self) -> Moment {
        Moment { boot: "the first".to_owned(), since_boot: self.0.lock().unwrap().1 }
    }
}

/// Who gets a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    Step,
    Growth,
    Hints,
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
    calls: Cell<u64>,
    turns: Cell<u64>,
    /// How many turns of the client are under way, each in the midst of the one before.
    depth: Cell<u32>,
    pub(super) disk: RefCell<FileSystem>,
    pub(super) file_clock: FileClocks,
    pub(super) kernel: RefCell<Kernel>,
    pub(super) server: RefCell<Server>,
    script: RefCell<Script>,
    chance: RefCell<fastrand::Rng>,
    pub(super) database: Arc<Database>,
    client: RefCell<Option<Rc<Client>>>,
    /// It is to be started as soon as the one before it has ended.
    restart: Cell<bool>,
    /// Something happened that no hint told of, and no scan has been since.
    pub(super) unheard: Cell<bool>,
    /// How many times the client was started.
    pub(super) starts: Cell<u64>,
    /// How often the client opened each file.
    pub(super) opens: RefCell<BTreeMap<PathBuf, u64>>,
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
            calls: Cell::default(),
            turns: Cell::default(),
            depth: Cell::default(),
            disk: RefCell::default(),
            file_clock: FileClocks::default(),
            kernel: RefCell::default(),
            server: RefCell::new(Server::new(settings.limit)),
            script: RefCell::new(script),
            chance: RefCell::new(fastrand::Rng::with_seed(settings.chance)),
            database: Arc::new(Database::in_memory().unwrap()),
            client: RefCell::default(),
            restart: Cell::default(),
            unheard: Cell::default(),
            starts: Cell::default(),
            opens: RefCell::default(),
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

    /// The client has opened a file.
    pub(super) fn opened(&self, path: &Path) {
        *self.opens.borrow_mut().entry(path.to_owned()).or_default() += 1;
        self.script.borrow_mut().opened.get_or_insert(self.calls.get());
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
            Turn::Hints | Turn::Scan | Turn::Worker => {
                let Some(client) = self.client() else { return };
                self.depth.set(self.depth.get() + 1);
                match turn {
                    Turn::Hints => client.hear(self),
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

    fn step_is_due(&self) -> bool {
        let script = self.script.borrow();
        let (moment, call) = script.before;
        script.steps.front().is_some_and(|step| match step.when {
            When::After(time) => moment + time <= self.now(),
            When::Call(number) => call + number <= self.calls.get(),
            When::Open(number) => {
                script.opened.is_some_and(|opened| opened + number <= self.calls.get())
            }
        })
    }

    /// The next moment at which something is due. A step that waits for a call of the client comes
    /// when the client has nothing to do but to scan at its interval.
    fn next(&self) -> Option<Duration> {
        let mut next: Vec<Duration> =
            self.script.borrow().growths.iter().map(|growth| growth.due).collect();
        let client = self.client();
        if let Some(client) = &client {
            next.extend(self.hints_due());
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
        next.extend(client.and_then(|client| client.next_scan()));
        next.into_iter().min()
    }

    /// Whether every step was taken.
    pub(super) fn is_over(&self) -> bool {
        let script = self.script.borrow();
        script.steps.is_empty() && script.growths.is_empty()
    }

    fn take_step(self: &Rc<Self>) {
        let step = {
            let mut script = self.script.borrow_mut();
            script.before = (self.now(), self.calls.get());
            script.opened = None;
            script.steps.pop_front()
        };
        if let Some(step) = step {
            self.note(|| format!("* {step}"));
            self.happen(&step.action);
        }
    }

    fn grow(self: &Rc<Self>) {
        let action = {
            let now = self.now();
            let growths = &mut self.script.borrow_mut().growths;
            let Some(index) = growths.iter().position(|growth| growth.due <= now) else { return };
            let growth = &mut growths[index];
            growth.left -= 1;
            growth.due += growth.every;
            let action = growth.action.clone();
            if growth.left == 0 {
                growths.remove(index);
            }
            action
        };
        self.happen(&action);
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

    /// Hands hints to the watcher, if it watches the folder they are about.
    fn tell(&self, hints: impl IntoIterator<Item = Hint>) {
        let mut kernel = self.kernel.borrow_mut();
        let latency = Duration::from_millis(self.settings.latency_ms);
        for hint in hints {
            let heard = match &hint {
                Hint::Overflow => true,
                Hint::Changed(path)
                | Hint::Made(path)
                | Hint::Removed(path)
                | Hint::From(path)
                | Hint::To(path) => {
                    path.parent().is_some_and(|folder| kernel.watched.contains(folder))
                }
            };
            if let Hint::From(path) | Hint::Removed(path) = &hint {
                // What was watched there is watched there no longer.
                kernel.watched.retain(|folder| !folder.starts_with(path));
            }
            // A queue that has overflowed takes nothing until it is read.
            if !heard || kernel.pending.back() == Some(&Hint::Overflow) {
                continue;
            }
            if kernel.lose > 0 && hint != Hint::Overflow {
                kernel.lose -= 1;
                self.unheard.set(true);
                continue;
            }
            kernel.pending.push_back(hint);
            kernel.due = kernel.due.or(Some(self.now() + latency));
        }
    }

    /// Watches all folders of a watch that lie at or below `folder`.
    pub(super) fn watch(&self, folder: &Path, recursive: bool) {
        let found = self.disk.borrow().folders(folder);
        let found = found.into_iter().filter(|found| recursive || found == folder);
        self.kernel.borrow_mut().watched.extend(found);
    }

    fn start(self: &Rc<Self>) {
        if self.client.borrow().is_some() {
            // It is started anew if it is ending.
            self.restart.set(self.client().is_some_and(|client| client.is_stopping()));
            return;
        }
        *self.kernel.borrow_mut() = Kernel::default();
        let client = Client::start(self);
        self.starts.set(self.starts.get() + 1);
        self.disk.borrow_mut().used = true;
        *self.client.borrow_mut() = Some(client);
    }

    fn crash(&self) {
        if self.client.borrow_mut().take().is_some() && self.depth.get() > 0 {
            resume_unwind(Box::new(Crashed));
        }
    }

    fn end_if_stopped(self: &Rc<Self>) {
        if self.depth.get() == 0 && self.client().is_some_and(|client| client.is_stopping()) {
            self.note(|| "the client has ended".to_owned());
            *self.client.borrow_mut() = None;
            if self.restart.take() {
                self.start();
            }
        }
    }

    /// No more faults and no more lost hints; the client runs.
    pub(super) fn calm_down(self: &Rc<Self>) {
        self.server.borrow_mut().calm_down();
        {
            let mut kernel = self.kernel.borrow_mut();
            kernel.lose = 0;
            kernel.stalled = Duration::ZERO;
        }
        self.start();
    }

    /// Takes the client and the machine apart; they hold one another.
    pub(super) fn end(&self) {
        *self.client.borrow_mut() = None;
    }

    /// Whether a folder stands at `path`.
    pub(super) fn is_folder(&self, path: &Path) -> bool {
        matches!(self.disk.borrow().node(path), Some(Node::Folder))
    }

    /// Whether what is in the folders below `path` is backed up, and so watched.
    pub(super) fn lies_in_recursive_watch(&self, path: &Path) -> bool {
        let mut watches = self.scope.watches().iter();
        watches.any(|watch| watch.recursive && path.starts_with(&watch.local_path))
    }

    /// The folder of all paths.
    pub(super) fn root() -> &'static Path {
        Path::new(ROOT)
    }
}
