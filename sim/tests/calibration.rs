//! The simulated kernel asks for what the real one asks for: the scripts of tests/calibration, played here, give the
//! recordings that were taken of a real mount (tests/mount/calibration.rs).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use holdfast::config::Hold;
use holdfast::env::store::NewObject;
use holdfast::error::Errno;
use holdfast::op::{Attr, Kind, OpenMode, SetXattr};
use holdfast_sim::kernel::recording::{Played, Recording};
use holdfast_sim::kernel::script::{Flags, Options, Script, Step, nth_key};
use holdfast_sim::kernel::{At, CopyError, Directory, Kernel, Mapping, OpenFile, OpenHow, SeekFrom};
use holdfast_sim::{MIB, Mutation, World, WorldConfig, version};

/// How long each step takes at least: what is left of it goes on meanwhile, as after the real steps.
const QUIET: Duration = Duration::from_millis(60);

fn config(options: &Options) -> WorldConfig {
    let mut config = WorldConfig::calm();
    let now = Duration::ZERO..=Duration::ZERO;
    (config.store.before, config.store.after, config.store.chunk) = (now.clone(), now.clone(), now.clone());
    config.disk.latency = now;
    config.kernel.readahead = true;
    if options.readahead_raised {
        config.kernel.readahead_bytes = MIB;
    }
    config.mount.metadata_ttl = Duration::from_millis(options.metadata_ttl_ms);
    config.mount.negative_metadata_ttl = Duration::from_millis(options.negative_metadata_ttl_ms);
    config.mount.posix_metadata = options.posix_metadata;
    if options.writable {
        config = config.writable();
    }
    if options.no_hold {
        config.mount.hold = Hold::Off;
    }
    config
}

struct Player {
    w: World,
    kernel: Kernel,
    files: BTreeMap<String, Arc<OpenFile>>,
    directories: BTreeMap<String, Directory>,
    mappings: BTreeMap<String, Mapping>,
}

fn play(script: &Script) -> Recording {
    let w = World::new(config(&script.options));
    let kernel = w.kernel().clone();
    kernel.start_trace();
    let (files, directories, mappings) = Default::default();
    let mut player = Player { w, kernel, files, directories, mappings };
    let mut recording = Recording::default();
    for (line, step) in &script.steps {
        let result = player.play(step).unwrap_or_else(|errno| format!("errno {}", errno.0));
        player.w.wait(QUIET);
        recording.steps.push(Played { step: line.clone(), result, requests: player.kernel.take_trace() });
    }
    recording
}

impl Player {
    fn play(&mut self, step: &Step) -> Result<String, Errno> {
        let (w, kernel) = (&mut self.w, self.kernel.clone());
        let done = || "done".to_string();
        let bytes = |count: u64| format!("{count} bytes");
        match step {
            Step::Put { key, version: number, size } => {
                // Without metadata of its own, as the real mount's.
                let (key, object) = (key.as_str().into(), NewObject::default());
                w.s3().apply(Mutation::Put { key, version: version(*number), size: *size, object });
                Ok(done())
            }
            Step::PutMany { prefix, count } => {
                for n in 0..*count {
                    w.s3().put(nth_key(prefix, n), version(1), 1);
                }
                Ok(done())
            }
            Step::PutLink { key, target } => {
                let user = [("mode".to_string(), "41471".to_string())].into_iter().collect();
                let object = NewObject { user, ..NewObject::default() };
                w.s3().apply(Mutation::Link { key: key.as_str().into(), target: target.clone(), object });
                Ok(done())
            }
            Step::Delete { key } => {
                w.s3().delete(key.as_str());
                Ok(done())
            }
            Step::Stat { path } => w.run(kernel.stat(path)).map(|attr| shown(&attr)),
            Step::Lstat { path } => w.run(kernel.lstat(path)).map(|attr| shown(&attr)),
            Step::Access { path, mask } => w.run(kernel.access(path, *mask)).map(|()| done()),
            Step::Readlink { path } => {
                w.run(kernel.readlink(path)).map(|target| format!("link {}", String::from_utf8_lossy(&target)))
            }
            Step::Statfs { path } => w.run(kernel.statfs(path)).map(|_| done()),
            Step::Getxattr { path, name } => {
                w.run(kernel.getxattr_at(path, name)).map(|value| format!("value of {} bytes", value.len()))
            }
            Step::Listxattr { path } => {
                w.run(kernel.listxattr(path)).map(|names| format!("value of {} bytes", names.len()))
            }
            Step::Open { file, path, flags } => {
                let opened = w.run(kernel.open_how(path, how(flags)))?;
                self.files.insert(file.clone(), opened);
                Ok(done())
            }
            Step::Dup { file, twin } => {
                self.files.insert(twin.clone(), self.files[file].clone());
                Ok(done())
            }
            Step::Close { file } => {
                let file = self.files.remove(file).expect("it is open");
                w.run(kernel.close(file)).map(|()| done())
            }
            Step::Fstat { file } => w.run(kernel.fstat(&self.files[file])).map(|attr| shown(&attr)),
            Step::Fsync { file } => w.run(kernel.fsync(&self.files[file])).map(|()| done()),
            Step::Read { file, len } => w.run(kernel.read(&self.files[file], *len)).map(|read| bytes(read.len())),
            Step::Pread { file, offset, len } => {
                w.run(kernel.pread_pieces(&self.files[file], *offset, *len)).map(|read| bytes(read.len()))
            }
            Step::SeekEnd { file } => self.seek(file, SeekFrom::End(0)),
            Step::SeekData { file, offset } => self.seek(file, SeekFrom::Data(*offset)),
            Step::SeekHole { file, offset } => self.seek(file, SeekFrom::Hole(*offset)),
            Step::AdviseRandom { file } => {
                self.files[file].advise_random(true);
                Ok(done())
            }
            Step::Map { file, mapping } => {
                w.run(kernel.fstat(&self.files[file]))?;
                self.mappings.insert(mapping.clone(), kernel.map(&self.files[file]));
                Ok(done())
            }
            Step::Touch { mapping, offset } => w.run(kernel.touch(&self.mappings[mapping], *offset, 1)).map(|_| done()),
            Step::Unmap { mapping } => {
                self.mappings.remove(mapping).expect("it is mapped");
                Ok(done())
            }
            Step::Write { file, len } => self.write(file, At::Position, *len),
            Step::Pwrite { file, offset, len } => self.write(file, At::Offset(*offset), *len),
            Step::Ftruncate { file, size } => w.run(kernel.ftruncate(&self.files[file], *size)).map(|()| done()),
            Step::Truncate { path, size } => w.run(kernel.truncate(path, *size)).map(|()| done()),
            Step::Fallocate { file, how, offset, len } => {
                w.run(kernel.fallocate(&self.files[file], *offset, *len, *how)).map(|()| done())
            }
            Step::Copy { file, offset, to, to_offset, len } => {
                let (from, to) = ((&self.files[file], *offset), (&self.files[to], *to_offset));
                match w.run(kernel.copy_range(from, to, *len)) {
                    Ok(copied) => Ok(bytes(copied)),
                    Err(CopyError::Source { errno, .. } | CopyError::Target(errno)) => Err(errno),
                }
            }
            Step::Setxattr { path, name, value } => {
                w.run(kernel.setxattr(path, name, value, SetXattr::Either)).map(|()| done())
            }
            Step::Removexattr { path, name } => w.run(kernel.removexattr(path, name)).map(|()| done()),
            Step::Fsetxattr { file, name, value } => {
                w.run(kernel.fsetxattr(&self.files[file], name, value, SetXattr::Either)).map(|()| done())
            }
            Step::Fremovexattr { file, name } => w.run(kernel.fremovexattr(&self.files[file], name)).map(|()| done()),
            Step::Chmod { path, perm } => w.run(kernel.chmod(path, *perm)).map(|()| done()),
            Step::Mknod { path } => w.run(kernel.mknod(path, Kind::File)).map(|()| done()),
            Step::Unlink { path } => w.run(kernel.unlink(path)).map(|()| done()),
            Step::Mkdir { path } => w.run(kernel.mkdir(path)).map(|()| done()),
            Step::Rmdir { path } => w.run(kernel.rmdir(path)).map(|()| done()),
            Step::Rename { path, to } => w.run(kernel.rename(path, to, false)).map(|()| done()),
            Step::OpenDirectory { directory, path } => {
                let opened = w.run(kernel.open_directory(path))?;
                self.directories.insert(directory.clone(), opened);
                Ok(done())
            }
            Step::Getdents { directory } => {
                let listed = w.run(kernel.getdents(&self.directories[directory]))?;
                Ok(format!("{} entries", listed.len()))
            }
            Step::ListRest { directory } => {
                let mut count = 0;
                loop {
                    match w.run(kernel.getdents(&self.directories[directory]))?.len() {
                        0 => return Ok(format!("{count} entries")),
                        more => count += more,
                    }
                }
            }
            Step::Rewind { directory } => {
                self.directories[directory].rewind();
                Ok(done())
            }
            Step::CloseDirectory { directory } => {
                self.directories.remove(directory).expect("it is open");
                Ok(done())
            }
            Step::DropCaches => {
                kernel.drop_caches();
                Ok(done())
            }
            Step::Wait { ms } => {
                w.wait(Duration::from_millis(*ms));
                Ok(done())
            }
        }
    }

    fn write(&mut self, file: &str, at: At, len: u64) -> Result<String, Errno> {
        let written = self.w.run(self.kernel.write(&self.files[file], at, move |_| vec![0; len as usize].into()))?;
        Ok(format!("{} bytes", written.bytes))
    }

    fn seek(&mut self, file: &str, to: SeekFrom) -> Result<String, Errno> {
        let at = self.w.run(self.kernel.lseek(&self.files[file], to))?;
        Ok(format!("at {at}"))
    }
}

/// The flags of open(2).
fn how(flags: &Flags) -> OpenHow {
    let Flags { write, write_only, create, exclusive, truncate, append, direct, sync, dsync } = *flags;
    OpenHow { mode: OpenMode { write, write_only, truncate, direct }, create, exclusive, append, sync: sync || dsync }
}

fn shown(attr: &Attr) -> String {
    match attr.kind {
        Kind::Directory => "directory".to_string(),
        Kind::Symlink => format!("link {}", attr.size),
        Kind::File => format!("file {}", attr.size),
        Kind::Fifo | Kind::Socket => format!("{:?}", attr.kind),
    }
}

fn scripts() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/calibration");
    let entries = std::fs::read_dir(folder).expect("tests/calibration").map(|entry| entry.expect("an entry").path());
    let mut scripts: Vec<_> = entries.filter(|path| path.extension().is_some_and(|end| end == "script")).collect();
    scripts.sort();
    scripts
}

#[test]
fn the_simulated_kernel_asks_for_what_the_real_one_asked_for() {
    let mut findings = Vec::new();
    for path in scripts() {
        let text = std::fs::read_to_string(&path).expect("a script");
        let script = Script::parse(&text).unwrap_or_else(|bad| panic!("{}: {bad}", path.display()));
        let recorded = std::fs::read_to_string(path.with_extension("trace")).expect("a recording for every script");
        let name = path.file_name().expect("a file").display().to_string();
        if let Some(difference) = Recording::parse(&recorded).first_difference(&play(&script).normal()) {
            findings.push(format!("{name}: {difference}"));
        }
    }
    assert!(findings.is_empty(), "\n{}", findings.join("\n"));
}
