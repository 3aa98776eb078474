//! Plays a script on a mount of this process: the in-memory bucket behind the core behind the real kernel, and this
//! thread as the application.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use holdfast::bucket::{Bucket, BucketOptions, MemoryStore};
use holdfast::config::{Config, Hold};
use holdfast::env::store::{Delete, NewObject, Put};
use holdfast::error::FsError;
use holdfast::fs::Fs;
use holdfast::fuse::{Access, MountOptions, Mounted, Observer};
use holdfast::op::{Allocation, Op, Reply};
use holdfast::real::mountpoint::{Unmount, raise_readahead, unmount};
use holdfast::real::{LocalDisk, RealEnv};
use holdfast_sim::content::version_bytes;
use holdfast_sim::kernel::Trace;
use holdfast_sim::kernel::recording::{Played, Recording};
use holdfast_sim::kernel::script::{Flags, Options, Script, Step, nth_key};
use holdfast_sim::version;
use nix::libc;

/// A step is done when nothing has been asked for so long.
const QUIET: Duration = Duration::from_millis(60);

#[derive(Default)]
struct Recorder(Mutex<Trace>);

impl Recorder {
    fn trace(&self) -> std::sync::MutexGuard<'_, Trace> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The requests of a step, once it is done.
    fn take(&self) -> Vec<String> {
        let (mut seen, mut since) = (0, Instant::now());
        loop {
            {
                let mut trace = self.trace();
                if trace.len() != seen || trace.is_under_way() {
                    (seen, since) = (trace.len(), Instant::now());
                } else if since.elapsed() >= QUIET {
                    return trace.take_lines();
                }
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Observer for Recorder {
    fn asked(&self, op: &Op) -> usize {
        self.trace().asked(op)
    }

    fn answered(&self, number: usize, outcome: &Result<Reply, FsError>) {
        self.trace().answered(number, outcome);
    }
}

/// Of which the kernel has a page where the file has one.
struct Mapping {
    at: NonNull<libc::c_void>,
    bytes: usize,
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: it was mapped with this length, and nobody has a reference into it.
        unsafe { libc::munmap(self.at.as_ptr(), self.bytes) };
    }
}

struct Player {
    store: MemoryStore,
    root: PathBuf,
    files: BTreeMap<String, File>,
    mappings: BTreeMap<String, Mapping>,
}

pub fn play(script: &Script) -> Recording {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("threads");
    let beneath = tempfile::Builder::new().prefix("holdfast-calibration-").tempdir().expect("a temporary directory");
    let root = beneath.path().canonicalize().expect("made just now");
    let (directory, cache) = (root.join("mount"), root.join("cache"));
    std::fs::create_dir(&directory).expect("a mount point");
    std::fs::create_dir(&cache).expect("a cache");
    let bucket = Arc::new(Mutex::new(Bucket::new(BucketOptions::default())));
    let store = MemoryStore::new(bucket, now);
    let handle = runtime.handle().clone();
    let disk = LocalDisk::new(cache, beneath.path().join("recovery"), handle.clone());
    let env = RealEnv::new(store.clone(), disk, handle);
    let fs = Fs::new(env, config(&script.options));
    let recorder = Arc::new(Recorder::default());
    let options = MountOptions {
        source: "calibration".to_string(),
        access: Access::Owner,
        // Of a mount that may be written to, Linux asks for the time of access after reads.
        read_only: !script.options.writable,
        descriptors: None,
        status: None,
        observer: Some(recorder.clone()),
    };
    let mounted = Mounted::new(fs, &directory, options).expect("a mount");
    let session = std::thread::spawn(move || mounted.run());
    if script.options.readahead_raised {
        raise_readahead(&directory).expect("root's to raise");
    }
    recorder.take();
    let mut player = Player { store, root: directory.clone(), files: BTreeMap::new(), mappings: BTreeMap::new() };
    let mut recording = Recording::default();
    for (line, step) in &script.steps {
        let result = player.play(step).unwrap_or_else(|error| format!("errno {}", error.raw_os_error().unwrap_or(0)));
        recording.steps.push(Played { step: line.clone(), result, requests: recorder.take() });
    }
    drop(player);
    unmount(&directory, Unmount::Strict).expect("nothing is open");
    session.join().expect("no panic").expect("unmounted");
    recording
}

fn config(options: &Options) -> Config {
    let config = Config {
        metadata_ttl: Duration::from_millis(options.metadata_ttl_ms),
        negative_metadata_ttl: Duration::from_millis(options.negative_metadata_ttl_ms),
        posix_metadata: options.posix_metadata,
        hold: if options.no_hold { Hold::Off } else { Hold::Auto },
        read_only: !options.writable,
        ..Config::default()
    };
    config.validated().expect("valid options")
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64)
}

impl Player {
    fn bucket(&self) -> std::sync::MutexGuard<'_, Bucket> {
        self.store.bucket().lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, key: &str, body: bytes::Bytes, object: NewObject) {
        self.bucket().put(Put { key: key.into(), body, object, condition: None }, now()).expect("a valid object");
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    fn play(&mut self, step: &Step) -> io::Result<String> {
        let done = Ok("done".to_string());
        match step {
            Step::Put { key, version: number, size } => {
                self.put(key, version_bytes(key, version(*number), *size), NewObject::default());
                done
            }
            Step::PutMany { prefix, count } => {
                for n in 0..*count {
                    self.put(&nth_key(prefix, n), bytes::Bytes::from_static(b"x"), NewObject::default());
                }
                done
            }
            Step::PutLink { key, target } => {
                let user = [("mode".to_string(), "41471".to_string())].into_iter().collect();
                self.put(key, target.clone().into_bytes().into(), NewObject { user, ..NewObject::default() });
                done
            }
            Step::Delete { key } => {
                let request = Delete { key: key.as_str().into(), version_id: None, condition: None };
                self.bucket().delete(request, now()).expect("a valid key");
                done
            }
            Step::Stat { path } => std::fs::metadata(self.path(path)).map(|stat| shown(&stat)),
            Step::Lstat { path } => std::fs::symlink_metadata(self.path(path)).map(|stat| shown(&stat)),
            Step::Access { path, mask } => {
                let path = c_path(&self.path(path));
                // SAFETY: a string that ends in NUL.
                ok(unsafe { libc::access(path.as_ptr(), *mask as i32) } as isize).and(done)
            }
            Step::Readlink { path } => {
                std::fs::read_link(self.path(path)).map(|target| format!("link {}", target.display()))
            }
            Step::Statfs { path } => {
                nix::sys::statvfs::statvfs(&self.path(path)).map_err(io::Error::from)?;
                done
            }
            Step::Getxattr { path, name } => {
                let (path, name) = (c_path(&self.path(path)), CString::new(name.as_str()).expect("no NUL"));
                let mut value = [0u8; 4096];
                // SAFETY: strings that end in NUL, and a buffer of the length that is told.
                let len = ok(unsafe {
                    libc::getxattr(path.as_ptr(), name.as_ptr(), value.as_mut_ptr().cast(), value.len())
                })?;
                Ok(format!("value of {len} bytes"))
            }
            Step::Listxattr { path } => {
                let path = c_path(&self.path(path));
                let mut names = [0u8; 4096];
                // SAFETY: a string that ends in NUL, and a buffer of the length that is told.
                let len = ok(unsafe { libc::listxattr(path.as_ptr(), names.as_mut_ptr().cast(), names.len()) })?;
                Ok(format!("value of {len} bytes"))
            }
            Step::Open { file, path, flags } => {
                let opened = open(&self.path(path), of_open(flags))?;
                self.files.insert(file.clone(), opened);
                done
            }
            // Memory that was never written to is not there yet, and Linux copies from it bit by bit.
            Step::Write { file, len } => written(self.file(file).write(&vec![1; *len as usize])),
            Step::Pwrite { file, offset, len } => written(self.file(file).write_at(&vec![1; *len as usize], *offset)),
            Step::Ftruncate { file, size } => self.file(file).set_len(*size).and(done),
            Step::Truncate { path, size } => {
                let path = c_path(&self.path(path));
                // SAFETY: a string that ends in NUL.
                ok(unsafe { libc::truncate(path.as_ptr(), *size as i64) } as isize).and(done)
            }
            Step::Fallocate { file, how, offset, len } => {
                let fd = self.file(file).as_raw_fd();
                // SAFETY: touches no memory.
                ok(unsafe { libc::fallocate(fd, mode(*how), *offset as i64, *len as i64) } as isize).and(done)
            }
            Step::Copy { file, offset, to, to_offset, len } => {
                let (from, to) = (self.file(file).as_raw_fd(), self.file(to).as_raw_fd());
                let (mut offset, mut to_offset) = (*offset as i64, *to_offset as i64);
                // SAFETY: two numbers of our own.
                let copied = unsafe { libc::copy_file_range(from, &mut offset, to, &mut to_offset, *len as usize, 0) };
                written(ok(copied))
            }
            Step::Setxattr { path, name, value } => {
                let (path, name) = (c_path(&self.path(path)), CString::new(name.as_str()).expect("no NUL"));
                let (value, len) = (value.as_ptr().cast(), value.len());
                // SAFETY: strings that end in NUL, and a value of the length that is told.
                ok(unsafe { libc::setxattr(path.as_ptr(), name.as_ptr(), value, len, 0) } as isize).and(done)
            }
            Step::Removexattr { path, name } => {
                let (path, name) = (c_path(&self.path(path)), CString::new(name.as_str()).expect("no NUL"));
                // SAFETY: strings that end in NUL.
                ok(unsafe { libc::removexattr(path.as_ptr(), name.as_ptr()) } as isize).and(done)
            }
            Step::Fsetxattr { file, name, value } => {
                let (fd, name) = (self.file(file).as_raw_fd(), CString::new(name.as_str()).expect("no NUL"));
                let (value, len) = (value.as_ptr().cast(), value.len());
                // SAFETY: a string that ends in NUL, and a value of the length that is told.
                ok(unsafe { libc::fsetxattr(fd, name.as_ptr(), value, len, 0) } as isize).and(done)
            }
            Step::Fremovexattr { file, name } => {
                let (fd, name) = (self.file(file).as_raw_fd(), CString::new(name.as_str()).expect("no NUL"));
                // SAFETY: a string that ends in NUL.
                ok(unsafe { libc::fremovexattr(fd, name.as_ptr()) } as isize).and(done)
            }
            Step::Chmod { path, perm } => {
                std::fs::set_permissions(self.path(path), std::fs::Permissions::from_mode((*perm).into())).and(done)
            }
            Step::Mknod { path } => {
                let path = c_path(&self.path(path));
                // SAFETY: a string that ends in NUL.
                ok(unsafe { libc::mknod(path.as_ptr(), libc::S_IFREG | 0o644, 0) } as isize).and(done)
            }
            Step::Unlink { path } => std::fs::remove_file(self.path(path)).and(done),
            Step::Mkdir { path } => std::fs::create_dir(self.path(path)).and(done),
            Step::Rmdir { path } => std::fs::remove_dir(self.path(path)).and(done),
            Step::Rename { path, to } => std::fs::rename(self.path(path), self.path(to)).and(done),
            Step::OpenDirectory { directory, path } => {
                let opened = open(&self.path(path), libc::O_RDONLY | libc::O_DIRECTORY)?;
                self.files.insert(directory.clone(), opened);
                done
            }
            Step::Dup { file, twin } => {
                let copy = self.file(file).try_clone()?;
                self.files.insert(twin.clone(), copy);
                done
            }
            Step::Close { file } | Step::CloseDirectory { directory: file } => {
                self.files.remove(file).expect("it is open");
                done
            }
            Step::Fstat { file } => self.file(file).metadata().map(|stat| shown(&stat)),
            Step::Fsync { file } => self.file(file).sync_all().and(done),
            Step::Read { file, len } => self.read(file, None, *len),
            Step::Pread { file, offset, len } => self.read(file, Some(*offset), *len),
            Step::SeekEnd { file } => self.seek(file, 0, libc::SEEK_END),
            Step::SeekData { file, offset } => self.seek(file, *offset, libc::SEEK_DATA),
            Step::SeekHole { file, offset } => self.seek(file, *offset, libc::SEEK_HOLE),
            Step::AdviseRandom { file } => {
                // SAFETY: touches no memory.
                unsafe { libc::posix_fadvise(self.file(file).as_raw_fd(), 0, 0, libc::POSIX_FADV_RANDOM) };
                done
            }
            Step::Map { file, mapping } => {
                // Without a stat, which is a request where attributes have expired.
                let bytes = self.file(file).metadata()?.len().next_multiple_of(4096) as usize;
                let fd = self.file(file).as_raw_fd();
                // SAFETY: a new mapping, at an address that the kernel chooses.
                let at = unsafe { libc::mmap(std::ptr::null_mut(), bytes, libc::PROT_READ, libc::MAP_SHARED, fd, 0) };
                if at == libc::MAP_FAILED {
                    return Err(io::Error::last_os_error());
                }
                let at = NonNull::new(at).expect("not at zero");
                self.mappings.insert(mapping.clone(), Mapping { at, bytes });
                done
            }
            Step::Touch { mapping, offset } => self.touch(mapping, *offset),
            Step::Unmap { mapping } => {
                self.mappings.remove(mapping).expect("it is mapped");
                done
            }
            Step::Getdents { directory } => self.getdents(directory).map(|count| format!("{count} entries")),
            Step::ListRest { directory } => {
                let mut count = 0;
                loop {
                    match self.getdents(directory)? {
                        0 => return Ok(format!("{count} entries")),
                        more => count += more,
                    }
                }
            }
            Step::Rewind { directory } => self.seek(directory, 0, libc::SEEK_SET).and(done),
            Step::DropCaches => std::fs::write("/proc/sys/vm/drop_caches", "3").and(done),
            Step::Wait { ms } => {
                std::thread::sleep(Duration::from_millis(*ms));
                done
            }
        }
    }

    fn file(&self, name: &str) -> &File {
        &self.files[name]
    }

    fn read(&self, file: &str, offset: Option<u64>, len: u64) -> io::Result<String> {
        use std::io::Read;
        // Pages of its own: O_DIRECT wants them aligned.
        let mut buffer = vec![0u8; len as usize + 4096];
        let skip = buffer.as_ptr().align_offset(4096);
        let buffer = &mut buffer[skip..skip + len as usize];
        let bytes = match offset {
            Some(offset) => self.file(file).read_at(buffer, offset)?,
            None => self.file(file).read(buffer)?,
        };
        Ok(format!("{bytes} bytes"))
    }

    fn seek(&self, file: &str, offset: u64, whence: i32) -> io::Result<String> {
        // SAFETY: touches no memory.
        let at = ok(unsafe { libc::lseek(self.file(file).as_raw_fd(), offset as i64, whence) } as isize)?;
        Ok(format!("at {at}"))
    }

    /// By a pipe: where a load would end the process with SIGBUS, write(2) answers EFAULT.
    ///
    /// A child does it. A fault may hold the lock of its process's memory until it is answered, and who answers is a thread
    /// of this process, which may just then need that lock to allocate. The child shares the table of descriptors, so that
    /// its end closes none a second time.
    fn touch(&self, mapping: &str, offset: u64) -> io::Result<String> {
        let mapping = &self.mappings[mapping];
        assert!((offset as usize) < mapping.bytes);
        let (_reader, writer) = nix::unistd::pipe().map_err(io::Error::from)?;
        let fd = writer.as_raw_fd();
        // SAFETY: the offset is within the mapping; what cannot be read is answered EFAULT.
        let byte = unsafe { mapping.at.as_ptr().cast::<u8>().add(offset as usize) };
        let flags = i64::from(libc::CLONE_FILES | libc::SIGCHLD);
        // SAFETY: without CLONE_VM it is a fork, whose child makes two system calls and allocates nothing.
        let child = ok(unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) } as isize)? as i32;
        if child == 0 {
            // SAFETY: as above.
            unsafe {
                let written = libc::write(fd, byte.cast(), 1);
                libc::_exit(if written == 1 { 0 } else { *libc::__errno_location() });
            }
        }
        let mut status = 0;
        // SAFETY: our own child, and a number to write to.
        ok(unsafe { libc::waitpid(child, &mut status, 0) } as isize)?;
        match libc::WEXITSTATUS(status) {
            0 if libc::WIFEXITED(status) => Ok("done".to_string()),
            errno => Err(io::Error::from_raw_os_error(errno)),
        }
    }

    /// One call, with the buffer that readdir(3) has.
    fn getdents(&self, directory: &str) -> io::Result<usize> {
        let mut buffer = vec![0u8; 32 << 10];
        let fd = self.file(directory).as_raw_fd();
        // SAFETY: a buffer of the length that is told.
        let filled =
            ok(unsafe { libc::syscall(libc::SYS_getdents64, fd, buffer.as_mut_ptr(), buffer.len()) } as isize)?;
        let (mut at, mut count) = (0, 0);
        while at < filled {
            // struct linux_dirent64: d_ino, d_off, then d_reclen.
            at += usize::from(u16::from_ne_bytes([buffer[at + 16], buffer[at + 17]]));
            count += 1;
        }
        Ok(count)
    }
}

/// What open(2) is given.
fn of_open(flags: &Flags) -> i32 {
    let Flags { write, write_only, create, exclusive, truncate, append, direct, sync, dsync } = *flags;
    let given = [
        (write && !write_only, libc::O_RDWR),
        (write_only, libc::O_WRONLY),
        (create, libc::O_CREAT),
        (exclusive, libc::O_EXCL),
        (truncate, libc::O_TRUNC),
        (append, libc::O_APPEND),
        (direct, libc::O_DIRECT),
        (sync, libc::O_SYNC),
        (dsync, libc::O_DSYNC),
    ];
    given.iter().filter(|(is, _)| *is).fold(libc::O_RDONLY, |all, (_, flag)| all | flag)
}

fn mode(how: Allocation) -> i32 {
    match how {
        Allocation::Allocate { keep_size: false } => 0,
        Allocation::Allocate { keep_size: true } => libc::FALLOC_FL_KEEP_SIZE,
        Allocation::Punch => libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE,
        Allocation::Zero { keep_size: false } => libc::FALLOC_FL_ZERO_RANGE,
        Allocation::Zero { keep_size: true } => libc::FALLOC_FL_ZERO_RANGE | libc::FALLOC_FL_KEEP_SIZE,
    }
}

fn written(bytes: io::Result<usize>) -> io::Result<String> {
    Ok(format!("{} bytes", bytes?))
}

fn open(path: &Path, flags: i32) -> io::Result<File> {
    let path = c_path(path);
    // SAFETY: a string that ends in NUL.
    let fd = ok(unsafe { libc::open(path.as_ptr(), flags | libc::O_CLOEXEC, 0o644) } as isize)?;
    // SAFETY: a descriptor that was opened just now.
    Ok(File::from(unsafe { OwnedFd::from_raw_fd(fd as i32) }))
}

fn c_path(path: &Path) -> CString {
    CString::new(path.to_str().expect("our own path")).expect("no NUL")
}

fn ok(result: isize) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

fn shown(stat: &std::fs::Metadata) -> String {
    let kind = stat.file_type();
    assert!(!kind.is_fifo());
    if kind.is_dir() {
        "directory".to_string()
    } else if kind.is_symlink() {
        format!("link {}", stat.size())
    } else {
        format!("file {}", stat.size())
    }
}
