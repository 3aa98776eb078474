//! A served bucket and a mount of it: what a test holds.

use std::fs::File;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::PoisonError;

use holdfast::bucket::Versioning;
use holdfast::server::StatsSnapshot;

use crate::mounted::Mounted;
use crate::reader::Reader;
use crate::remote::{Embedded, Remote};
use crate::require;

/// The default metadata TTL, in seconds, and a bit.
pub const PAST_TTL: std::time::Duration = std::time::Duration::from_millis(2500);

/// The mount first: it is dropped, and with it unmounted, while the server still answers.
pub struct World<R = Embedded> {
    pub mount: Mounted,
    pub remote: R,
}

impl World {
    /// A bucket without versions. `None`: mounts are not possible here.
    pub fn plain() -> Option<Self> {
        Self::with(&[])
    }

    pub fn versioned() -> Option<Self> {
        Self::prepared(Versioning::Enabled, &[], |_| {})
    }

    /// A plain bucket, mounted with these options.
    pub fn with(args: &[&str]) -> Option<Self> {
        Self::prepared(Versioning::Off, args, |_| {})
    }

    /// What `prepare` does to the bucket happens before the mount.
    pub fn prepared(versioning: Versioning, args: &[&str], prepare: impl FnOnce(&Embedded)) -> Option<Self> {
        require::fuse().then(|| {
            let remote = Embedded::start(versioning);
            prepare(&remote);
            World::of(remote, args)
        })
    }

    /// A second mount of the same bucket, as on another machine.
    pub fn elsewhere(&self, args: &[&str]) -> Mounted {
        Mounted::start(&self.endpoint(), "s3://holdfast", args)
    }

    pub fn stats(&self) -> StatsSnapshot {
        self.remote.server.lock().unwrap_or_else(PoisonError::into_inner).stats()
    }

    /// Counts from here on.
    pub fn reset_stats(&self) {
        self.remote.server.lock().unwrap_or_else(PoisonError::into_inner).reset_stats();
    }

    /// The server dies, in the middle of whatever it does.
    pub fn kill_server(&self) {
        self.remote.server.lock().unwrap_or_else(PoisonError::into_inner).stop();
    }

    pub fn revive_server(&self) {
        let mut server = self.remote.server.lock().unwrap_or_else(PoisonError::into_inner);
        server.restart().expect("its port is still free");
    }
}

impl<R: Remote> World<R> {
    pub fn of(remote: R, args: &[&str]) -> Self {
        let source = format!("s3://{}", remote.bucket());
        let mount = Mounted::start(&remote.endpoint(), &source, args);
        Self { mount, remote }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.mount.path(name)
    }

    /// Opens the file as an application does.
    pub fn open(&self, name: &str) -> Reader {
        Reader::new(name, File::open(self.path(name)).unwrap_or_else(|error| panic!("open {name}: {error}")))
    }
}

impl<R> Deref for World<R> {
    type Target = R;

    fn deref(&self) -> &R {
        &self.remote
    }
}
