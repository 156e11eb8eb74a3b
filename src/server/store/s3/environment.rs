//! The environment variables that say how to reach S3 and who we are there.
//!
//! Read on the worker threads, whenever credentials are looked for. What the variables mean is said
//! where they are used.

use std::fmt;
use std::sync::Arc;

/// A way to look variables up: those of the process, or a test's own.
#[derive(Clone)]
pub struct Environment(Arc<LookUp>);

type LookUp = dyn Fn(&str) -> Option<String> + Send + Sync;

impl Environment {
    /// The process's own variables.
    pub fn process() -> Self {
        Self::new(|name| std::env::var(name).ok())
    }

    /// Whatever `look_up` knows.
    pub fn new(look_up: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(look_up))
    }

    /// The variable's value; one that is empty counts as not set, as everywhere.
    pub fn get(&self, name: &str) -> Option<String> {
        (self.0)(name).filter(|value| !value.is_empty())
    }
}

/// Values may be secret, so none is shown.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Environment")
    }
}
