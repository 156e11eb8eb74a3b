//! What happens to a machine with a client on it, as values and as text.
//!
//! A history is a file of lines: settings, then steps. A step says when it comes and what it does:
//! `+250ms write a/x 30` is 250 ms after the step before it, `@3 crash` is at the third call, after the
//! step before it, that the client makes to its disk, its clock or its server, and `!3 crash` at the third
//! call after it has opened a file. So a step can fall between any two looks of the client. Paths lie below `/w`; `%` and two digits stand for a byte.

use std::ffi::OsStr;
use std::fmt::{self, Display, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

/// The folder that all paths of a history lie in.
pub(super) const ROOT: &str = "/w";

/// A path below [`ROOT`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place(pub(super) PathBuf);

impl Place {
    /// A path from its text in a history.
    pub(super) fn new(text: &str) -> Self {
        let mut bytes = Vec::new();
        let mut rest = text.as_bytes();
        while let Some((&first, tail)) = rest.split_first() {
            rest = tail;
            match (first, tail.split_at_checked(2)) {
                (b'%', Some((digits, tail))) => {
                    bytes.push(hex::decode(digits).unwrap()[0]);
                    rest = tail;
                }
                _ => bytes.push(first),
            }
        }
        Self(Path::new(ROOT).join(OsStr::from_bytes(&bytes)))
    }
}

impl Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0.strip_prefix(ROOT).unwrap_or(&self.0).as_os_str().as_bytes() {
            match byte {
                b'%' | 0..=b' ' | 0x7f.. => write!(f, "%{byte:02x}")?,
                _ => f.write_char(char::from(*byte))?,
            }
        }
        Ok(())
    }
}

/// What goes wrong with an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Nobody answers.
    Unreachable,
    /// 503, and a wish to be left alone for so many seconds.
    Busy(u64),
    /// 401.
    Unauthorized,
    /// 422: the bytes were damaged on their way.
    Mismatch,
    /// 500.
    Internal,
    /// The file is stored, and nobody hears of it.
    Lost,
    /// The connection breaks after so many reads of the content.
    Cut(u64),
    /// An answer that cannot be true.
    Nonsense,
}

/// What happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// A file is written anew, so many bytes.
    Write(Place, usize),
    /// So many bytes are put behind it.
    Append(Place, usize),
    /// It is made this long.
    Truncate(Place, usize),
    /// Its bytes change, its size does not.
    Patch(Place),
    /// The same, and its mtime is put back.
    PatchBack(Place),
    /// Its mtime is set to so many milliseconds after now.
    Utime(Place, i64),
    /// Only its inode changes.
    Chmod(Place),
    /// The client may not read it any more.
    Deny(Place),
    /// The client may read it again.
    Allow(Place),
    /// A file or a folder gets another name, maybe one that a file had.
    Rename(Place, Place),
    /// A file is written beside it and takes its place.
    Replace(Place, usize),
    /// A file gets a second name.
    Link(Place, Place),
    /// A file or a folder with all that is in it is removed.
    Remove(Place),
    /// A folder is made.
    Mkdir(Place),
    /// Something takes this place that is neither file nor folder.
    Other(Place),
    /// So many bytes are put behind a file, so many times, so many milliseconds apart.
    Grow(Place, usize, u64, u64),
    /// The clock of the machine is set, by so many milliseconds.
    SetClock(i64),
    /// So many hints get lost and nobody knows.
    Lose(u64),
    /// The kernel's queue of hints overflows, and is not read for so many milliseconds.
    Overflow(u64),
    /// The watcher gets no processor for so many milliseconds.
    Stall(u64),
    /// The last hints are told once more.
    Echo,
    /// Something is hinted at that did not happen.
    Hint(Place),
    /// This goes wrong with each of the next uploads, so many times.
    Fail(Trouble, u64),
    /// The store cannot take this one file, so many times.
    Poison(Place, u64),
    /// Reading a piece of a file, and sending it, takes so many microseconds from now on.
    Pace(u64),
    /// The client's process is gone.
    Crash,
    /// The client's process is gone because its database is damaged: the next one begins a new one.
    Damage,
    /// The client is told to end.
    Stop,
    /// The client is started, if it does not run.
    Start,
}

/// When a step comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    /// So long after the step before it.
    After(Duration),
    /// At this call of the client after the step before it, or as soon as the client rests.
    Call(u64),
    /// The same, counted from the next opening of a file on.
    Open(u64),
}

/// Something that happens, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) when: When,
    pub(super) action: Action,
}

macro_rules! settings {
    ($($(#[doc = $doc:literal])+ $name:ident = $default:literal;)+) => {
        /// How the client is set up, and what its machine is like.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub(super) struct Settings { $($(#[doc = $doc])+ pub(super) $name: u64,)+ }

        impl Default for Settings {
            fn default() -> Self {
                Self { $($name: $default,)+ }
            }
        }

        impl Settings {
            fn set(&mut self, name: &str, value: u64) -> bool {
                match name {
                    $(stringify!($name) => self.$name = value,)+
                    _ => return false,
                }
                true
            }

            /// Gives the setting at this place in the list its usual value.
            pub(super) fn reset(&mut self, place: usize) {
                let (name, usual) = Self::default().list()[place];
                self.set(name, usual);
            }

            /// How many there are.
            pub(super) fn count(&self) -> usize {
                self.list().len()
            }

            fn list(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name),)+]
            }
        }
    };
}

settings! {
    /// Decides what comes first of what could happen at the same moment.
    chance = 0;
    /// `stability.debounce_seconds`, in ms.
    debounce_ms = 3000;
    /// `stability.max_attempts`.
    max_attempts = 10;
    /// `stability.max_wait_seconds`.
    max_wait_seconds = 300;
    /// `upload.retry_attempts`.
    retry_attempts = 3;
    /// `upload.retry_delay_seconds`.
    retry_seconds = 5;
    /// `upload.concurrency`.
    workers = 2;
    /// `scan.interval_seconds`.
    interval_seconds = 3600;
    /// `scan.upload_existing`, 0 or 1.
    upload_existing = 1;
    /// Paths that the queue has room for.
    room = 1000;
    /// The server's limit for a file, in bytes.
    limit = 1000;
    /// `watches[].max_file_size_mb`, in bytes; 0 is none.
    own_limit = 0;
    /// How long a hint is on its way, in ms.
    latency_ms = 1;
    /// How long each call of the client to its disk and its clock takes, in us.
    call_us = 20;
    /// How often, of 256 times, something else gets its turn at such a call.
    mix = 64;
    /// How many bytes of a file are read at a time.
    piece = 16;
    /// Files of more bytes are hashed before they are sent.
    part = 1_000_000;
}

/// A whole history.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct History {
    pub(super) settings: Settings,
    pub(super) steps: Vec<Step>,
}

impl Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable => f.write_str("unreachable"),
            Self::Busy(seconds) => write!(f, "busy:{seconds}"),
            Self::Unauthorized => f.write_str("unauthorized"),
            Self::Mismatch => f.write_str("mismatch"),
            Self::Internal => f.write_str("internal"),
            Self::Lost => f.write_str("lost"),
            Self::Cut(reads) => write!(f, "cut:{reads}"),
            Self::Nonsense => f.write_str("nonsense"),
        }
    }
}

impl FromStr for Trouble {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (word, number) = text.split_once(':').unwrap_or((text, "0"));
        let number = parse(number)?;
        Ok(match word {
            "unreachable" => Self::Unreachable,
            "busy" => Self::Busy(number),
            "unauthorized" => Self::Unauthorized,
            "mismatch" => Self::Mismatch,
            "internal" => Self::Internal,
            "lost" => Self::Lost,
            "cut" => Self::Cut(number),
            "nonsense" => Self::Nonsense,
            _ => return Err(format!("no trouble is called {word}")),
        })
    }
}

impl Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Write(path, bytes) => write!(f, "write {path} {bytes}"),
            Self::Append(path, bytes) => write!(f, "append {path} {bytes}"),
            Self::Truncate(path, bytes) => write!(f, "truncate {path} {bytes}"),
            Self::Patch(path) => write!(f, "patch {path}"),
            Self::PatchBack(path) => write!(f, "patch-back {path}"),
            Self::Utime(path, ms) => write!(f, "utime {path} {ms}"),
            Self::Chmod(path) => write!(f, "chmod {path}"),
            Self::Deny(path) => write!(f, "deny {path}"),
            Self::Allow(path) => write!(f, "allow {path}"),
            Self::Rename(from, to) => write!(f, "rename {from} {to}"),
            Self::Replace(path, bytes) => write!(f, "replace {path} {bytes}"),
            Self::Link(from, to) => write!(f, "link {from} {to}"),
            Self::Remove(path) => write!(f, "remove {path}"),
            Self::Mkdir(path) => write!(f, "mkdir {path}"),
            Self::Other(path) => write!(f, "other {path}"),
            Self::Grow(path, bytes, times, ms) => write!(f, "grow {path} {bytes} {times} {ms}"),
            Self::SetClock(ms) => write!(f, "set-clock {ms}"),
            Self::Lose(hints) => write!(f, "lose {hints}"),
            Self::Overflow(ms) => write!(f, "overflow {ms}"),
            Self::Stall(ms) => write!(f, "stall {ms}"),
            Self::Echo => f.write_str("echo"),
            Self::Hint(path) => write!(f, "hint {path}"),
            Self::Fail(trouble, times) => write!(f, "fail {trouble} {times}"),
            Self::Poison(path, times) => write!(f, "poison {path} {times}"),
            Self::Pace(us) => write!(f, "pace {us}"),
            Self::Crash => f.write_str("crash"),
            Self::Damage => f.write_str("damage"),
            Self::Stop => f.write_str("stop"),
            Self::Start => f.write_str("start"),
        }
    }
}

impl FromStr for Action {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let words: Vec<&str> = text.split(' ').collect();
        let place = Place::new;
        Ok(match words[..] {
            ["write", path, bytes] => Self::Write(place(path), parse(bytes)?),
            ["append", path, bytes] => Self::Append(place(path), parse(bytes)?),
            ["truncate", path, bytes] => Self::Truncate(place(path), parse(bytes)?),
            ["patch", path] => Self::Patch(place(path)),
            ["patch-back", path] => Self::PatchBack(place(path)),
            ["utime", path, ms] => Self::Utime(place(path), parse(ms)?),
            ["chmod", path] => Self::Chmod(place(path)),
            ["deny", path] => Self::Deny(place(path)),
            ["allow", path] => Self::Allow(place(path)),
            ["rename", from, to] => Self::Rename(place(from), place(to)),
            ["replace", path, bytes] => Self::Replace(place(path), parse(bytes)?),
            ["link", from, to] => Self::Link(place(from), place(to)),
            ["remove", path] => Self::Remove(place(path)),
            ["mkdir", path] => Self::Mkdir(place(path)),
            ["other", path] => Self::Other(place(path)),
            ["grow", path, bytes, times, ms] => {
                Self::Grow(place(path), parse(bytes)?, parse(times)?, parse(ms)?)
            }
            ["set-clock", ms] => Self::SetClock(parse(ms)?),
            ["lose", hints] => Self::Lose(parse(hints)?),
            ["overflow", ms] => Self::Overflow(parse(ms)?),
            ["stall", ms] => Self::Stall(parse(ms)?),
            ["echo"] => Self::Echo,
            ["hint", path] => Self::Hint(place(path)),
            ["fail", trouble, times] => Self::Fail(trouble.parse()?, parse(times)?),
            ["poison", path, times] => Self::Poison(place(path), parse(times)?),
            ["pace", us] => Self::Pace(parse(us)?),
            ["crash"] => Self::Crash,
            ["damage"] => Self::Damage,
            ["stop"] => Self::Stop,
            ["start"] => Self::Start,
            _ => return Err(format!("no action is written {text:?}")),
        })
    }
}

impl Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.when {
            When::After(time) => write!(f, "+{}ms {}", time.as_millis(), self.action),
            When::Call(number) => write!(f, "@{number} {}", self.action),
            When::Open(number) => write!(f, "!{number} {}", self.action),
        }
    }
}

impl FromStr for Step {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (when, action) = text.split_once(' ').ok_or("a step has a time and an action")?;
        let when = if let Some(number) = when.strip_prefix('@') {
            When::Call(parse(number)?)
        } else if let Some(number) = when.strip_prefix('!') {
            When::Open(parse(number)?)
        } else {
            let time = when.strip_prefix('+').and_then(|time| time.strip_suffix("ms"));
            When::After(Duration::from_millis(parse(time.ok_or("+<ms>ms, @<call> or !<call>")?)?))
        };
        Ok(Self { when, action: action.parse()? })
    }
}

impl Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let defaults = Settings::default().list();
        for (set, default) in self.settings.list().iter().zip(defaults) {
            if *set != default {
                writeln!(f, "{} = {}", set.0, set.1)?;
            }
        }
        self.steps.iter().try_for_each(|step| writeln!(f, "{step}"))
    }
}

impl FromStr for History {
    type Err = String;

    /// Reads what [`Display`] wrote. Empty lines and those that begin with `#` say nothing.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut history = Self::default();
        let lines = text.lines().map(str::trim);
        for line in lines.filter(|line| !line.is_empty() && !line.starts_with('#')) {
            match line.split_once(" = ") {
                Some((name, value)) => {
                    if !history.settings.set(name, parse(value)?) {
                        return Err(format!("no setting is called {name}"));
                    }
                }
                None => history.steps.push(line.parse().map_err(|e| format!("{line:?}: {e}"))?),
            }
        }
        Ok(history)
    }
}

fn parse<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{text:?} is no number that fits here"))
}
