//! Which descriptors a process has open, as /proc tells, for the close of a file that is still blank.
//!
//! The process waits in close(2) for this mount's answer, so nothing here may ask the mount for anything: no path of it is
//! followed, no file of it is looked at. fdinfo gives numbers that the kernel knows by itself. A process in the middle of an
//! exec or an exit may make a reader of its /proc wait for it, that is for us: so the looking is done by a thread that nobody
//! waits for longer than [`PATIENCE`].

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;

use super::in_runtime::InRuntime;
use super::mountpoint;

/// After this the answer is no.
const PATIENCE: Duration = Duration::from_millis(100);

/// Finds descriptors of files of the mount at one directory.
pub struct Descriptors {
    looker: Arc<Looker>,
    handle: Handle,
}

struct Looker {
    directory: PathBuf,
    /// `major:minor` of the mount, once it is there.
    device: OnceLock<String>,
}

impl Descriptors {
    /// `directory`: absolute, where the mount is or will be.
    pub fn new(directory: PathBuf, handle: Handle) -> Self {
        Self { looker: Arc::new(Looker { directory, device: OnceLock::new() }), handle }
    }

    /// Whether the process of the thread `pid` has a descriptor of inode `ino` of the mount. `false` when that cannot be
    /// found out in time.
    pub fn of(&self, pid: u32, ino: u64) -> impl Future<Output = bool> + Send + use<> {
        let (looker, handle) = (self.looker.clone(), self.handle.clone());
        InRuntime::new(self.handle.clone(), async move {
            let looking = handle.spawn_blocking(move || looker.look(pid, ino));
            matches!(tokio::time::timeout(PATIENCE, looking).await, Ok(Ok(true)))
        })
    }
}

impl Looker {
    fn look(&self, pid: u32, ino: u64) -> bool {
        let begun = Instant::now();
        let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
        for descriptor in descriptors.flatten() {
            if begun.elapsed() > PATIENCE {
                return false;
            }
            let number = descriptor.file_name();
            let info = fs::read_to_string(format!("/proc/{pid}/fdinfo/{}", number.to_string_lossy()));
            // Other file systems have that inode number too: which mount it is decides.
            if let Ok(info) = info
                && field(&info, "ino:") == Some(ino)
                && field(&info, "mnt_id:").is_some_and(|mount| self.is_ours(pid, mount))
            {
                return true;
            }
        }
        false
    }

    /// The process may see the mount under another number than this one, as in a container.
    fn is_ours(&self, pid: u32, mount: u64) -> bool {
        let device = self.device.get().cloned().or_else(|| {
            let device = mountpoint::mount_at(&self.directory)?.device;
            Some(self.device.get_or_init(|| device).clone())
        });
        let Ok(table) = fs::read_to_string(format!("/proc/{pid}/mountinfo")) else { return false };
        device.is_some() && mountpoint::device_of(&table, mount) == device.as_deref()
    }
}

/// The number after a word at the beginning of a line.
fn field(info: &str, word: &str) -> Option<u64> {
    info.lines().find_map(|line| line.strip_prefix(word)?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::os::unix::fs::MetadataExt;
    use std::path::PathBuf;

    use super::{Descriptors, PATIENCE};

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
    }

    /// Some mount point with a file on it that this process can open.
    fn proc_version() -> (PathBuf, File, u64) {
        let file = File::open("/proc/version").expect("it is always there");
        let ino = file.metadata().expect("fstat").ino();
        (PathBuf::from("/proc"), file, ino)
    }

    #[test]
    fn a_descriptor_is_found_while_it_is_open() {
        let runtime = runtime();
        let (mount, file, ino) = proc_version();
        let descriptors = Descriptors::new(mount, runtime.handle().clone());
        let me = std::process::id();
        assert!(runtime.block_on(descriptors.of(me, ino)));
        drop(file);
        assert!(!runtime.block_on(descriptors.of(me, ino)));
    }

    #[test]
    fn the_same_number_on_another_mount_is_another_file() {
        let runtime = runtime();
        let (_, _file, ino) = proc_version();
        let descriptors = Descriptors::new("/sys".into(), runtime.handle().clone());
        assert!(!runtime.block_on(descriptors.of(std::process::id(), ino)));
    }

    #[test]
    fn who_cannot_be_looked_at_has_none() {
        let runtime = runtime();
        let (mount, _file, ino) = proc_version();
        let descriptors = Descriptors::new(mount, runtime.handle().clone());
        let nobody: u32 = fs::read_to_string("/proc/sys/kernel/pid_max").unwrap().trim().parse().unwrap();
        assert!(!runtime.block_on(descriptors.of(nobody, ino)));
    }

    #[test]
    fn the_wait_for_an_answer_is_bounded() {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let (mount, _file, ino) = proc_version();
        let descriptors = Descriptors::new(mount, runtime.handle().clone());
        // The only thread that could look hangs.
        let (release, hangs) = std::sync::mpsc::channel::<()>();
        runtime.spawn_blocking(move || hangs.recv());
        let begun = std::time::Instant::now();
        assert!(!runtime.block_on(descriptors.of(std::process::id(), ino)));
        assert!(begun.elapsed() >= PATIENCE);
        drop(release);
    }
}
