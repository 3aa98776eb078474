//! What the demo plays on: the embedded server, and two of its buckets, each mounted twice by this very program.

use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::film::Film;
use crate::bucket::Versioning;
use crate::env::store::{Delete, Key, NewObject, Put};
use crate::real::mountpoint::{Unmount, mount_at, unmount};
use crate::server::{ServeOptions, Server};

/// A mounted bucket.
pub(super) struct House<'a> {
    pub(super) title: &'static str,
    /// How the table calls it.
    pub(super) kind: &'static str,
    bucket: &'static str,
    server: &'a Server,
    directory: &'a Path,
    /// A second mount of the same bucket, as on another machine.
    elsewhere: &'a Path,
}

pub(super) struct Stage {
    server: Server,
    directory: PathBuf,
    mounts: Vec<Mount>,
}

struct Mount {
    directory: PathBuf,
    process: Child,
}

/// Buckets and the names of their mounts: each is mounted twice, one after the other here.
const MOUNTS: [(&str, &str); 4] =
    [(PLAIN, "plain"), (PLAIN, "plain-elsewhere"), (VERSIONED, "versioned"), (VERSIONED, "versioned-elsewhere")];
const PLAIN: &str = "plain";
const VERSIONED: &str = "versioned";
/// A mount of a server in memory answers at once or not at all.
const MOUNT_PATIENCE: Duration = Duration::from_secs(20);

impl Stage {
    pub(super) fn set_up() -> io::Result<Self> {
        let buckets = vec![PLAIN.to_string(), VERSIONED.to_string()];
        let server = Server::start(ServeOptions { buckets, ..ServeOptions::default() })?;
        if let Some(bucket) = server.bucket(VERSIONED) {
            let mut bucket = bucket.lock().unwrap_or_else(PoisonError::into_inner);
            bucket.set_versioning(Versioning::Enabled).map_err(io::Error::other)?;
        }
        let directory = std::env::temp_dir().join(format!("holdfast-demo-{}", std::process::id()));
        std::fs::create_dir(&directory)?;
        let mut stage = Self { server, directory, mounts: Vec::new() };
        for (bucket, name) in MOUNTS {
            let mount = Mount::start(&stage.server, bucket, name, &stage.directory)?;
            stage.mounts.push(mount);
        }
        Ok(stage)
    }

    pub(super) fn houses(&self) -> Vec<House<'_>> {
        let house = |title, kind, bucket, mount: usize| House {
            title,
            kind,
            bucket,
            server: &self.server,
            directory: &self.mounts[mount].directory,
            elsewhere: &self.mounts[mount + 1].directory,
        };
        vec![
            house("On a plain bucket, which forgets what is replaced:", PLAIN, PLAIN, 0),
            house("On a bucket with versions:", VERSIONED, VERSIONED, 2),
        ]
    }

    /// For whoever wants to look around.
    pub(super) fn how_to_reach(&self) -> String {
        let options = self.server.options();
        let mounts: Vec<String> = self.mounts.iter().map(|mount| mount.directory.display().to_string()).collect();
        format!(
            "Mounts: {}\nServer: {}\n\nexport AWS_ENDPOINT_URL={} AWS_REGION={}\n\
             export AWS_ACCESS_KEY_ID={} AWS_SECRET_ACCESS_KEY={}\naws s3 ls s3://{PLAIN}\n",
            mounts.join(", "),
            self.server.url(),
            self.server.url(),
            options.region,
            options.access_key,
            options.secret_key,
        )
    }

    pub(super) fn tear_down(mut self) -> io::Result<()> {
        for mount in std::mem::take(&mut self.mounts) {
            mount.end()?;
        }
        Ok(())
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        for mount in std::mem::take(&mut self.mounts) {
            let _ = mount.end();
        }
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

impl Mount {
    fn start(server: &Server, bucket: &str, name: &str, beneath: &Path) -> io::Result<Self> {
        let directory = beneath.join(name);
        std::fs::create_dir(&directory)?;
        let options = server.options();
        let process = Command::new(std::env::current_exe()?)
            .args(["mount", "--foreground", "--log-level", "warn", "--endpoint-url"])
            .arg(server.url())
            .arg("--cache-dir")
            .arg(beneath.join("cache"))
            .arg("--recovery-dir")
            .arg(beneath.join("recovery"))
            .env("XDG_STATE_HOME", beneath.join("state"))
            .arg(format!("s3://{bucket}"))
            .arg(&directory)
            .env("AWS_ACCESS_KEY_ID", &options.access_key)
            .env("AWS_SECRET_ACCESS_KEY", &options.secret_key)
            .env("AWS_REGION", &options.region)
            .env_remove("AWS_SESSION_TOKEN")
            .env_remove("AWS_PROFILE")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut mount = Self { directory, process };
        let outcome = mount.wait_until_mounted();
        // What the mount has to say is part of the show.
        if let Some(lines) = mount.process.stderr.take() {
            std::thread::spawn(move || {
                for line in BufReader::new(lines).lines().map_while(Result::ok) {
                    let plain = line.split_once("WARN ").map_or(line.as_str(), |(_, words)| words);
                    println!("      log: {plain}");
                }
            });
        }
        outcome.map(|()| mount)
    }

    fn wait_until_mounted(&mut self) -> io::Result<()> {
        let asked = Instant::now();
        while mount_at(&self.directory).is_none() {
            if let Some(status) = self.process.try_wait()? {
                let mut reason = String::new();
                if let Some(mut stderr) = self.process.stderr.take() {
                    io::Read::read_to_string(&mut stderr, &mut reason)?;
                }
                return Err(io::Error::other(format!("the mount ended with {status}: {}", reason.trim())));
            }
            if asked.elapsed() > MOUNT_PATIENCE {
                return Err(io::Error::other("the mount does not answer"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        // Answers only once the mount does.
        std::fs::read_dir(&self.directory).map(drop)
    }

    fn end(mut self) -> io::Result<()> {
        kill(Pid::from_raw(self.process.id() as i32), Signal::SIGTERM)?;
        self.process.wait()?;
        if mount_at(&self.directory).is_some() {
            unmount(&self.directory, Unmount::Lazy)?;
        }
        Ok(())
    }
}

impl House<'_> {
    /// Uploads a film as somebody elsewhere would, behind the mount's back.
    pub(super) fn upload(&self, name: &str, film: Film, blocks: usize) -> io::Result<()> {
        let body = film.bytes(blocks);
        self.with_bucket(|bucket, now| {
            bucket.put(Put { key: Key::from(name), body, object: NewObject::default(), condition: None }, now).map(drop)
        })
    }

    pub(super) fn delete(&self, name: &str) -> io::Result<()> {
        self.with_bucket(|bucket, now| {
            bucket.delete(Delete { key: Key::from(name), version_id: None, condition: None }, now).map(drop)
        })
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// The same name on the other mount.
    pub(super) fn path_elsewhere(&self, name: &str) -> PathBuf {
        self.elsewhere.join(name)
    }

    fn with_bucket(
        &self,
        change: impl FnOnce(&mut crate::bucket::Bucket, i64) -> Result<(), crate::env::store::StoreError>,
    ) -> io::Result<()> {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_secs();
        let bucket = self.server.bucket(self.bucket).ok_or_else(|| io::Error::other("the bucket is gone"))?;
        let mut bucket = bucket.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut bucket, now as i64).map_err(io::Error::other)
    }
}
