//! A relay before a server that holds uploads up at a chosen byte until it is told to go on: what
//! happens in the middle of an upload then happens there every time.

use super::waiting::DEADLINE;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;

pub(crate) struct Relay {
    address: SocketAddr,
    gate: Arc<Gate>,
}

struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    /// How many more bytes may go to the server before everything is held.
    room: usize,
    /// Something waits for room.
    held: bool,
    /// Both ends of every connection there was, the server's first.
    ends: Vec<TcpStream>,
}

impl Relay {
    /// A relay to the server at `port`. It holds after `room` bytes, over all connections.
    pub(crate) fn start(port: u16, room: usize) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let state = Mutex::new(State { room, held: false, ends: vec![] });
        let gate = Arc::new(Gate { state, changed: Condvar::new() });
        let doorman = Arc::clone(&gate);
        // It ends with the test's process, as do those of the connections.
        begin("relay", move || {
            for client in listener.incoming() {
                let Ok(client) = client else { return };
                // No server: the client sees its connection closed.
                let Ok(server) = TcpStream::connect(("127.0.0.1", port)) else { continue };
                let (to_client, from_server) = (duplicate(&client), duplicate(&server));
                begin("relay-answers", move || pump(&from_server, &to_client, |_| {}));
                doorman.lock().ends.extend([duplicate(&server), duplicate(&client)]);
                let gate = Arc::clone(&doorman);
                begin("relay-requests", move || pump(&client, &server, |n| gate.pass(n)));
            }
        });
        Self { address, gate }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Waits until an upload is held up.
    #[track_caller]
    pub(crate) fn wait_until_held(&self) {
        let waited = self.gate.wait(|state| !state.held);
        assert!(waited.held, "no upload came as far as the relay's gate");
    }

    /// Lets everything pass from now on.
    pub(crate) fn release(&self) {
        self.gate.open();
    }

    /// Breaks every connection there is, so that not a byte more gets through; later ones pass.
    pub(crate) fn cut(&self) {
        for end in self.gate.lock().ends.drain(..) {
            // It may be closed already.
            let _ = end.shutdown(Shutdown::Both);
        }
        self.release();
    }
}

impl Gate {
    fn open(&self) {
        self.lock().room = usize::MAX;
        self.changed.notify_all();
    }

    /// Waits until `count` bytes may pass.
    fn pass(&self, count: usize) {
        let mut state = self.lock();
        while state.room < count {
            state.held = true;
            self.changed.notify_all();
            state = self.changed.wait(state).unwrap();
        }
        state.room -= count;
    }

    fn wait(&self, unready: impl Fn(&mut State) -> bool) -> MutexGuard<'_, State> {
        let lock = self.lock();
        self.changed.wait_timeout_while(lock, DEADLINE, unready).unwrap().0
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.cut();
    }
}

fn begin(name: &str, run: impl FnOnce() + Send + 'static) {
    thread::Builder::new().name(name.to_owned()).spawn(run).unwrap();
}

fn duplicate(stream: &TcpStream) -> TcpStream {
    stream.try_clone().unwrap()
}

/// Moves bytes until either side closes, then closes both: a broken connection breaks whole.
fn pump(mut from: &TcpStream, mut to: &TcpStream, pass: impl Fn(usize)) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        pass(count);
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
