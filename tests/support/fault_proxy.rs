//! A proxy between the server and S3 that does to chosen requests what networks and stores do on
//! their worst days.
//!
//! It reads every request's head, so that it knows what it is for, and hands everything on whose turn
//! it is not. One thread accepts, one serves each connection. It writes down what it saw.

use super::fault::{Fault, Rule};
use super::fault_exchange::{Exchange, Then};
use super::s3_message::{Asked, S3Answer, Stage};
use super::server::free_port;
use super::waiting::{DEADLINE, eventually};
use s3up::digest::Digest;
use std::collections::BTreeMap;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};

/// A running proxy.
pub(crate) struct FaultProxy {
    port: u16,
    shared: Arc<Shared>,
    acceptor: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    s3: SocketAddr,
    released: Arc<AtomicBool>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Nothing: nobody listens.
    listener: Option<Arc<TcpListener>>,
    /// How often it went away or came.
    absences: usize,
    /// Each with the SHA-256 of the object that it is for alone, if there is one.
    rules: Vec<(Rule, Option<String>)>,
    fired: Vec<(String, Stage, Fault)>,
    log: Vec<String>,
    /// The server's ends of all connections, by their numbers.
    connections: BTreeMap<usize, TcpStream>,
    connections_ever: usize,
    in_flight: usize,
    most_in_flight: usize,
    /// Key of each upload in parts that S3 has begun and not ended, by its id.
    begun: BTreeMap<String, String>,
    /// SHA-256 of the object that each upload in parts is to become, where it was said.
    digests: BTreeMap<String, String>,
    /// Keys of the objects that S3 has stored, once for each time.
    stored: Vec<String>,
}

impl FaultProxy {
    /// A proxy to the S3 server at this address, through which everything passes.
    pub(crate) fn before(s3: SocketAddr) -> Self {
        let shared = Arc::new(Shared { s3, released: Arc::default(), state: Mutex::default() });
        let proxy = Self { port: free_port(), shared, acceptor: Mutex::default() };
        proxy.come_back();
        proxy
    }

    /// The URL to reach it at.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Lets this happen from now on.
    pub(crate) fn arrange(&self, rule: Rule) {
        self.shared.lock().rules.push((rule, None));
    }

    /// The same, to uploads of this content alone.
    pub(crate) fn arrange_for(&self, sha256: Digest, rule: Rule) {
        self.shared.lock().rules.push((rule, Some(sha256.to_string())));
    }

    /// Lets everything pass from now on to this key, and the proxy be there.
    pub(crate) fn heal(&self, key: &str) {
        self.shared.lock().rules.retain(|(rule, _)| rule.key != key);
        self.come_back();
    }

    /// Listens again, if it does not.
    pub(crate) fn come_back(&self) {
        let mut acceptor = self.acceptor.lock().unwrap();
        if self.shared.lock().listener.is_some() {
            return;
        }
        if let Some(before) = acceptor.take() {
            before.join().unwrap();
        }
        let listener = Arc::new(TcpListener::bind(("127.0.0.1", self.port)).unwrap());
        let mut state = self.shared.lock();
        state.listener = Some(Arc::clone(&listener));
        state.absences += 1;
        drop(state);
        let shared = Arc::clone(&self.shared);
        *acceptor = Some(begin("fault-proxy", move || shared.accept(&listener)));
    }

    /// What has happened to this key so far.
    pub(crate) fn fired(&self, key: &str) -> Vec<(Stage, Fault)> {
        let state = self.shared.lock();
        let fired = state.fired.iter().filter(|(hit, ..)| hit == key);
        fired.map(|(_, stage, fault)| (*stage, fault.clone())).collect()
    }

    /// Counts every time it went away or came; even as long as nobody listens.
    pub(crate) fn absences(&self) -> usize {
        self.shared.lock().absences
    }

    /// How often S3 has stored an object under this key.
    pub(crate) fn stored(&self, key: &str) -> usize {
        self.shared.lock().stored.iter().filter(|stored| *stored == key).count()
    }

    /// How many uploads in parts S3 keeps under this key.
    pub(crate) fn begun(&self, key: &str) -> usize {
        self.shared.lock().begun.values().filter(|begun| *begun == key).count()
    }

    /// Whether S3 keeps any upload in parts.
    pub(crate) fn keeps_uploads(&self) -> bool {
        !self.shared.lock().begun.is_empty()
    }

    /// Checks that of the server's connections none stays that is not kept for the next request: there
    /// are no more than were ever needed at once, as far as the proxy can tell. A request may find the
    /// last connection not yet free when its answer has just passed here. What stalls takes everything
    /// from now on, and says nothing still.
    #[track_caller]
    pub(crate) fn assert_at_rest(&self) {
        self.shared.released.store(true, Ordering::Relaxed);
        eventually(DEADLINE, "the server lets go of its connections to S3", || {
            let state = self.shared.lock();
            let rests = state.in_flight == 0 && state.connections.len() <= state.most_in_flight + 1;
            rests.then_some(())
        });
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.shared.go_away();
        if let Some(acceptor) = self.acceptor.get_mut().ok().and_then(Option::take) {
            let _ = acceptor.join();
        }
        if thread::panicking() {
            let state = self.shared.lock();
            let (open, most) = (state.connections.len(), state.most_in_flight);
            eprintln!(
                "# {open} connections, {} of them in use, at most {most} were",
                state.in_flight
            );
            eprintln!("# what the proxy before S3 saw\n{}", state.log.join("\n"));
            eprintln!("# uploads that S3 keeps\n{:#?}", state.begun);
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn accept(self: &Arc<Self>, listener: &TcpListener) {
        while let Ok((server, _)) = listener.accept() {
            server.set_nodelay(true).unwrap();
            let number = {
                let mut state = self.lock();
                if state.listener.is_none() {
                    return;
                }
                state.connections_ever += 1;
                let number = state.connections_ever;
                state.connections.insert(number, server.try_clone().unwrap());
                number
            };
            let shared = Arc::clone(self);
            begin("fault-proxy-peer", move || shared.serve(number, server));
        }
    }

    /// Breaks all connections and takes no more.
    fn go_away(&self) {
        let mut state = self.lock();
        if let Some(listener) = state.listener.take() {
            state.absences += 1;
            rustix::net::shutdown(&*listener, rustix::net::Shutdown::Both).unwrap();
        }
        for connection in state.connections.values() {
            // It may be broken already.
            let _ = connection.shutdown(Shutdown::Both);
        }
    }

    /// Serves a connection of the server's to its end.
    fn serve(&self, number: usize, server: TcpStream) {
        let mut exchange = Exchange::over(server, self.s3, Arc::clone(&self.released));
        let mut then = Then::Keep;
        while then == Then::Keep {
            let Some(asked) = exchange.next() else { break };
            let fault = self.begin(number, &asked);
            if matches!(fault, Some(Fault::Gone)) {
                self.go_away();
            }
            then = exchange.serve(&asked, fault, |answer| self.done(&asked, answer));
            self.lock().in_flight -= 1;
        }
        // The last descriptor is the one whose closing resets.
        drop(self.lock().connections.remove(&number));
        exchange.end(then);
    }

    /// A request begins: what happens to it?
    fn begin(&self, number: usize, asked: &Asked) -> Option<Fault> {
        let mut state = self.lock();
        state.in_flight += 1;
        state.most_in_flight = state.most_in_flight.max(state.in_flight);
        let known = asked.upload.as_ref().and_then(|id| state.digests.get(id).cloned());
        let sha256 = asked.sha256.clone().or(known);
        let fault = state.rules.iter_mut().find_map(|(rule, whose)| {
            let is_for_it = whose.is_none() || *whose == sha256;
            (is_for_it && rule.hits(&asked.key, asked.stage)).then(|| rule.fault.clone())
        });
        let verdict = fault.as_ref().map_or("passes".to_owned(), |fault| format!("{fault:?}"));
        let line = format!("connection {number}: {:?} {}: {verdict}", asked.stage, asked.key);
        state.log.push(line);
        if let Some(fault) = &fault {
            state.fired.push((asked.key.clone(), asked.stage, fault.clone()));
        }
        fault
    }

    /// S3 has answered.
    fn done(&self, asked: &Asked, answer: &S3Answer) {
        let mut state = self.lock();
        state
            .log
            .push(format!("    S3 answers {:?} {}: {}", asked.stage, asked.key, answer.status));
        let text = String::from_utf8_lossy(&answer.body);
        let upload = asked.upload.as_deref().unwrap_or_default();
        match (asked.stage, answer.status) {
            (Stage::Begin, 200) => {
                let (_, rest) = text.split_once("<UploadId>").unwrap();
                let (id, _) = rest.split_once('<').unwrap();
                state.begun.insert(id.to_owned(), asked.key.clone());
                let digest = asked.sha256.clone().map(|sha256| (id.to_owned(), sha256));
                state.digests.extend(digest);
            }
            (Stage::Complete, 200) if text.contains("<CompleteMultipartUploadResult") => {
                state.begun.remove(upload);
                state.stored.push(asked.key.clone());
            }
            (Stage::Abort, 200..=299) => drop(state.begun.remove(upload)),
            (Stage::Put, 200) => state.stored.push(asked.key.clone()),
            _ => {}
        }
    }
}

/// Begins a thread, which ends when what it serves does.
fn begin(name: &str, run: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
    thread::Builder::new().name(name.to_owned()).spawn(run).unwrap()
}
