//! What is left of a history while it happens.

use super::history::{Action, Step, When};
use super::world::World;
use std::collections::VecDeque;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

/// What a growing file still has before it.
#[derive(Clone, Debug)]
pub(super) struct Growth {
    pub(super) due: Duration,
    pub(super) action: Action,
    pub(super) left: u64,
    pub(super) every: Duration,
}

/// What is left of the history.
#[derive(Debug, Default)]
pub(super) struct Script {
    pub(super) steps: VecDeque<Step>,
    /// When the step before was taken, and at which call.
    pub(super) before: (Duration, u64),
    /// The call at which a file was opened first since then.
    pub(super) opened: Option<u64>,
    pub(super) growths: Vec<Growth>,
}

impl World {
    pub(super) fn step_is_due(&self) -> bool {
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

    /// The client has opened a file.
    pub(super) fn opened(&self, path: &Path) {
        *self.opens.borrow_mut().entry(path.to_owned()).or_default() += 1;
        self.script.borrow_mut().opened.get_or_insert(self.calls.get());
    }

    /// Whether every step was taken.
    pub(super) fn is_over(&self) -> bool {
        let script = self.script.borrow();
        script.steps.is_empty() && script.growths.is_empty()
    }

    pub(super) fn take_step(self: &Rc<Self>) {
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

    pub(super) fn grow(self: &Rc<Self>) {
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
}
