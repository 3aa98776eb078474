//! The bucket model as an S3 endpoint: [`crate::bucket`] behind s3s and hyper, for the demo, tests and benchmarks.
//!
//! Owns a runtime of its own, so that it can be started, stopped and started again from any thread, inside or outside of
//! another runtime. Stopping is as rude as a crash: connections are reset. Buckets outlive that.
//!
//! It is no part of a production mount, keeps everything in memory, and must not be what a benchmark measures: bodies are
//! sent from the buckets' own memory, and digests are computed outside their locks.
//!
//! `GET /-/stats` answers counters as JSON without authentication; `POST /-/stats/reset` sets them to zero.

// This is the world that the core may not name.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

mod access;
mod bucket_operations;
mod buckets;
mod convert;
mod import;
mod listings;
mod multipart;
mod objects;
mod protection;
mod receive;
mod serve;
mod service;
mod stats;
mod wire;

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::net::TcpSocket;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;

use crate::bucket::{Bucket, BucketOptions};

pub use stats::StatsSnapshot;

use buckets::Buckets;
use stats::Stats;

/// How to serve. The default: a free port of the loopback interface, one unversioned bucket `holdfast`, keys
/// `holdfast` / `holdfast-secret`, no delays.
#[derive(Clone, Debug)]
pub struct ServeOptions {
    /// Port 0 lets the system choose.
    pub listen: SocketAddr,
    /// Names of the buckets that exist from the start.
    pub buckets: Vec<String>,
    /// Of these and of buckets created later.
    pub bucket_options: BucketOptions,
    pub access_key: String,
    pub secret_key: String,
    /// Answer unsigned requests too.
    pub anonymous: bool,
    /// The region that is reported. Signatures for any region are accepted.
    pub region: String,
    /// Delay before the first byte of each answer.
    pub latency: Duration,
    /// Bytes per second of the bodies that one connection sends.
    pub bandwidth_per_connection: Option<u64>,
    /// A directory whose regular files become objects of the first bucket.
    pub import: Option<PathBuf>,
    /// Threads that serve.
    pub threads: usize,
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            buckets: vec![String::from("holdfast")],
            bucket_options: BucketOptions::default(),
            access_key: String::from("holdfast"),
            secret_key: String::from("holdfast-secret"),
            anonymous: false,
            region: String::from("us-east-1"),
            latency: Duration::ZERO,
            bandwidth_per_connection: None,
            import: None,
            threads: 2,
        }
    }
}

/// A server and its buckets. Dropping it stops it.
#[derive(Debug)]
pub struct Server {
    addr: SocketAddr,
    url: String,
    shared: Arc<Shared>,
    running: Option<Running>,
    /// Keeps the port, without listening, while the server is stopped: else some connection might be given it.
    reserved: Option<TcpSocket>,
}

/// What all requests share.
#[derive(Debug)]
struct Shared {
    options: ServeOptions,
    buckets: Buckets,
    stats: Arc<Stats>,
}

#[derive(Debug)]
struct Running {
    runtime: Runtime,
    stop: watch::Sender<bool>,
    /// Disconnected once the listener and the last connection are gone.
    ended: mpsc::Receiver<()>,
}

impl Server {
    /// Creates the buckets, imports, and listens. It answers from the moment this returns.
    ///
    /// # Errors
    /// A bucket name that S3 does not allow, an unreadable import directory, or an address that cannot be bound.
    pub fn start(options: ServeOptions) -> io::Result<Self> {
        let buckets = Buckets::new(options.bucket_options.clone());
        for name in &options.buckets {
            buckets.create(name, unix_seconds()).map_err(io::Error::other)?;
        }
        if let (Some(directory), Some(name)) = (&options.import, options.buckets.first()) {
            let bucket = buckets.get(name).ok_or_else(|| io::Error::other("no bucket to import into"))?;
            import::import(directory, &bucket)?;
        }
        let listener = TcpListener::bind(options.listen)?;
        let addr = listener.local_addr()?;
        let shared = Arc::new(Shared { options, buckets, stats: Arc::default() });
        let running = Some(Running::start(listener, &shared)?);
        Ok(Self { addr, url: format!("http://{addr}"), shared, running, reserved: None })
    }

    /// The address that is listened on, the port included.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The endpoint URL, for path-style addressing.
    pub fn url(&self) -> &str {
        &self.url
    }

    pub fn options(&self) -> &ServeOptions {
        &self.shared.options
    }

    /// The bucket of this name. Hold its lock briefly: requests wait for it.
    pub fn bucket(&self, name: &str) -> Option<Arc<Mutex<Bucket>>> {
        self.shared.buckets.get(name)
    }

    pub fn stats(&self) -> StatsSnapshot {
        self.shared.stats.snapshot()
    }

    pub fn reset_stats(&self) {
        self.shared.stats.reset();
    }

    /// Dies: closes the listener and resets all connections, also in the middle of a body. Buckets stay. Returns when
    /// all is closed.
    pub fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop();
            self.reserved = reserve(self.addr).ok();
        }
    }

    /// Serves again on the same address, after [`Server::stop`].
    ///
    /// # Errors
    /// The address cannot be bound any more.
    pub fn restart(&mut self) -> io::Result<()> {
        self.stop();
        let listener = TcpListener::bind(self.addr)?;
        self.reserved = None;
        self.running = Some(Running::start(listener, &self.shared)?);
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Running {
    fn start(listener: TcpListener, shared: &Arc<Shared>) -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(shared.options.threads.max(1))
            .thread_name("s3-server")
            .enable_all()
            .build()?;
        listener.set_nonblocking(true)?;
        let listener = {
            let _in_runtime = runtime.enter();
            tokio::net::TcpListener::from_std(listener)?
        };
        let (stop, stopping) = watch::channel(false);
        let (alive, ended) = mpsc::channel();
        runtime.spawn(serve::accept(listener, shared.clone(), stopping, alive));
        Ok(Self { runtime, stop, ended })
    }

    fn stop(self) {
        // Nobody listens any more if the accept loop has ended; then there is nothing to stop either.
        let _ = self.stop.send(true);
        // Nothing is ever sent: this waits until the last holder of the other end is gone.
        let _ = self.ended.recv();
        self.runtime.shutdown_background();
    }
}

/// Listeners of the standard library share an address with what does not listen, as this does.
fn reserve(addr: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if addr.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(addr)?;
    Ok(socket)
}

fn unix_seconds() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64)
}
