//! How the client's process begins and ends.

use super::client::Client;
use super::kernel::Kernel;
use super::world::{Crashed, World};
use s3up::client::database::Database;
use std::panic::resume_unwind;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

impl World {
    /// Starts the client, if it does not run.
    pub(super) fn start(self: &Rc<Self>) {
        if self.client.borrow().is_some() {
            // It is started anew if it is ending.
            self.restart.set(self.client().is_some_and(|client| client.is_stopping()));
            return;
        }
        if self.damaged.take() {
            self.rebuilt.set(true);
            let watches = self.scope.watches().iter();
            let watches: Vec<&Path> = watches.map(|watch| watch.local_path.as_path()).collect();
            let database = Database::in_memory_anew(&watches, self.unix_ns()).unwrap();
            *self.database.borrow_mut() = Arc::new(database);
        }
        *self.kernel.borrow_mut() = Kernel::default();
        let client = Client::start(self);
        self.starts.set(self.starts.get() + 1);
        self.disk.borrow_mut().used = true;
        *self.client.borrow_mut() = Some(client);
    }

    /// Ends the client in the midst of whatever it does.
    pub(super) fn crash(&self) {
        if self.client.borrow_mut().take().is_some() && self.depth.get() > 0 {
            resume_unwind(Box::new(Crashed));
        }
    }

    /// Lets a client that was told to end be gone, once none of its turns is under way.
    pub(super) fn end_if_stopped(self: &Rc<Self>) {
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
}
