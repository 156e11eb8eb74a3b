//! A real S3 server inside the test: `s3s-fs`, which checks signatures and payload digests.
//!
//! It has its own thread and runtime, keeps everything below one temporary folder and stops when it
//! is dropped.

use super::files_below;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};
use tempfile::TempDir;
use tokio::sync::oneshot;

pub(crate) const REGION: &str = "eu-central-1";
pub(crate) const BUCKET: &str = "backups-of-all-hosts";
pub(crate) const ACCESS_KEY_ID: &str = "AKIATESTTESTTESTTEST";
pub(crate) const SECRET_ACCESS_KEY: &str = "the/secret+of=the+test+server";

/// A running server with one empty bucket.
pub(crate) struct S3Server {
    folder: TempDir,
    address: SocketAddr,
    // In this order: dropping the sender is what ends the thread.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl S3Server {
    /// Starts a server on a free port.
    pub(crate) fn start() -> Self {
        let folder = TempDir::new().unwrap();
        std::fs::create_dir(folder.path().join(BUCKET)).unwrap();
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let mut server = Self { folder, address, stop: None, thread: None };
        server.serve(listener);
        server
    }

    /// Breaks all connections and takes no more.
    pub(crate) fn go_away(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }

    /// Serves again, on `port` from now on.
    pub(crate) fn come_back(&mut self, port: u16) {
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        self.address = listener.local_addr().unwrap();
        self.serve(listener);
    }

    fn serve(&mut self, listener: TcpListener) {
        listener.set_nonblocking(true).unwrap();
        let files = s3s_fs::FileSystem::new(self.folder.path()).unwrap();
        let mut builder = S3ServiceBuilder::new(files);
        builder.set_auth(SimpleAuth::from_single(ACCESS_KEY_ID, SECRET_ACCESS_KEY));
        let service = builder.build();
        let (stop, stopped) = oneshot::channel();
        let serve = move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(serve(listener, service, stopped));
        };
        let thread = thread::Builder::new().name("s3-server".to_owned());
        self.thread = Some(thread.spawn(serve).unwrap());
        self.stop = Some(stop);
    }

    /// The address to reach it at.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL to reach it at.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The port it serves on, without TLS.
    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// The folder that holds the bucket's folder and the server's own notes.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The bucket's folder: one file per object.
    pub(crate) fn bucket_folder(&self) -> PathBuf {
        self.folder.path().join(BUCKET)
    }

    /// Keys of all objects.
    pub(crate) fn objects(&self) -> Vec<String> {
        files_below(&self.bucket_folder())
    }

    /// What uploads in parts have left: begun uploads, their parts, files that were not finished.
    pub(crate) fn leftovers(&self) -> Vec<String> {
        let mut names = files_below(self.folder.path());
        names.retain(|name| {
            name.starts_with(".upload") || name.starts_with(".tmp") || name.contains(".upload-")
        });
        names
    }
}

async fn serve(listener: TcpListener, service: S3Service, mut stopped: oneshot::Receiver<()>) {
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    let http = Builder::new(TokioExecutor::new());
    loop {
        let (socket, _) = tokio::select! {
            accepted = listener.accept() => accepted.unwrap(),
            _ = &mut stopped => return,
        };
        let connection = http.serve_connection(TokioIo::new(socket), service.clone()).into_owned();
        // How a connection ends is the client's to judge.
        tokio::spawn(async move { drop(connection.await) });
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        self.go_away();
    }
}
