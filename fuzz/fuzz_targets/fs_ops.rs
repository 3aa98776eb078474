//! Requests straight to the core, sensible and not, alone and at once, while the bucket and its weather change.
//!
//! Whatever is asked: no panic, no hang, no errno beyond the table, no EIO that nothing explains; an inode that the kernel
//! has been told of answers until it is forgotten; its bytes are those of one version; and once everything is released
//! and forgotten, nothing is left. Half of the stories write as well: then bytes, sizes and names are whatever was made of
//! them, which nobody keeps count of here, and the rest must hold all the same.
//!
//! What is asked at once waits for one another as Linux has it: whoever changes a file, or a name in a directory, does so alone.

#![no_main]

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use holdfast::config::Hold;
use holdfast::env::store::{ErrorKind, NewObject};
use holdfast::error::{Errno, FsError};
use holdfast::op::{
    Allocation, Attr, Caller, Changes, DirEntry, Entry, Fh, Ino, Kind, Name, NewNode, Op, OpenMode, Reply, SetTime,
    SetXattr, UnixTime, Whence,
};
use holdfast_fuzz::Input;
use holdfast_fuzz::locks::{Locks, Wanted};
use holdfast_sim::content::{self, Found};
use holdfast_sim::{FaultKind, KIB, MIB, Matcher, Mutation, Version, World, WorldConfig, version};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let mut story = Story::begin(&mut input);
    for _ in 0..STEPS_MAX {
        if input.is_empty() {
            break;
        }
        story.step(&mut input);
    }
    story.end();
});

const STEPS_MAX: usize = 300;
const TOGETHER_MAX: usize = 12;
const KEYS: [&str; 8] = ["a", "b", "d/c", "d/e/f", "a/x", "d/", "é", "l"];
/// Making bytes costs time: the large ones come by replacement only.
const SIZES: [u64; 8] = [100, 0, 1, 4 * KIB, 70_000, 600 * KIB, 3 * MIB, 9 * MIB];
const SIZES_AT_FIRST: [u64; 8] = [5000, 0, 1, 4 * KIB, 70_000, 100, 0, 3];
/// Every errno of the table. ENOSYS is not among them.
const ERRNOS: [Errno; 18] = [
    Errno::EPERM,
    Errno::ENOENT,
    Errno::EIO,
    Errno::ENXIO,
    Errno::EBADF,
    Errno::EACCES,
    Errno::ENOTDIR,
    Errno::EISDIR,
    Errno::EINVAL,
    Errno::ENOSPC,
    Errno::EROFS,
    Errno::ENAMETOOLONG,
    Errno::ENODATA,
    Errno::EOPNOTSUPP,
    Errno::ESTALE,
    Errno::EEXIST,
    Errno::ENOTEMPTY,
    Errno::EFBIG,
];
/// Where writes end: a file is published whole.
const WRITTEN_MAX: u64 = 9 * MIB;

struct Story {
    w: World,
    posix: bool,
    writes: bool,
    /// HOLDFAST_TELL: what is asked and answered is printed.
    told: bool,
    /// Something happened that explains EIO.
    troubled: bool,
    versions: u32,
    inodes: BTreeMap<Ino, Known>,
    /// In the order of their being learnt.
    inos: Vec<Ino>,
    handles: Vec<Open>,
    batch: Vec<(Caller, Op)>,
}

/// What the kernel was told of an inode.
struct Known {
    key: String,
    attr: Attr,
    lookups: u64,
    /// More was forgotten than was ever counted, so the core need not know it.
    spoiled: bool,
    version: Option<Version>,
}

#[derive(Clone, Copy)]
struct Open {
    fh: Fh,
    ino: Ino,
    released: bool,
    fenced: bool,
    /// The last cookie.
    cookie: u64,
}

impl Story {
    fn begin(input: &mut Input) -> Self {
        let flags = input.byte();
        let seed = u64::from(input.byte());
        let mut config = if flags & 1 == 0 { WorldConfig::calm() } else { WorldConfig::rough(seed) };
        config.seed = seed;
        // Seeds that were typed are letters.
        let writes = seed >= 128;
        if writes {
            config = config.writable();
            config.mount.write_back_max = if seed % 4 == 0 { 4 * MIB } else { 0 };
        }
        if flags & 2 != 0 {
            config = config.versioned();
        }
        config.mount.hold = [Hold::Auto, Hold::Full, Hold::Off, Hold::Auto][usize::from(flags >> 2 & 3)];
        config.mount.posix_metadata = flags & 16 != 0;
        config.mount.metadata_ttl = if flags & 32 != 0 { Duration::ZERO } else { Duration::from_secs(1) };
        config.mount.negative_metadata_ttl = config.mount.metadata_ttl;
        config.store.lists_in_order = flags & 64 == 0;
        if flags & 128 != 0 {
            config.mount.prefix = "d/".into();
        }
        let prefix = config.mount.prefix.clone();
        let posix = config.mount.posix_metadata;
        let mut w = World::new(config);
        // A world judges its end if there was any request.
        let root = match w.ask(Op::Getattr { ino: Ino::ROOT }) {
            Ok(Reply::Attr { attr, .. }) => attr,
            other => panic!("GETATTR of the root: {other:?}"),
        };
        let known = Known { key: prefix, attr: root, lookups: 1, spoiled: false, version: None };
        let inodes = BTreeMap::from([(Ino::ROOT, known)]);
        let (handles, batch) = (Vec::new(), Vec::new());
        let inos = vec![Ino::ROOT];
        let told = std::env::var_os("HOLDFAST_TELL").is_some();
        let mut story = Self { w, posix, writes, told, troubled: false, versions: 0, inodes, inos, handles, batch };
        let present = input.byte();
        for (n, key) in KEYS.iter().enumerate() {
            if present & 1 << n == 0 {
                story.put(key, SIZES_AT_FIRST[n], n == 7);
            }
        }
        story
    }

    fn step(&mut self, input: &mut Input) {
        match input.byte() {
            0..=190 => {
                let op = self.op(input);
                self.batch.push((Caller(input.below(3) as u32), op));
                if self.batch.len() == TOGETHER_MAX || !input.chance(3) {
                    self.send();
                }
            }
            191..=214 => self.mutate(input),
            215..=229 => self.disturb(input),
            230..=239 => self.w.wait(Duration::from_millis(input.number() * 10)),
            240..=244 => {
                self.w.s3().clear_faults();
                self.w.s3().up();
            }
            245..=249 => self.fence(input),
            _ => self.tie_mutation(input),
        }
    }

    // Requests.

    fn op(&mut self, input: &mut Input) -> Op {
        if self.writes && input.chance(2) {
            return self.change(input);
        }
        match input.below(20) {
            0..=3 => Op::Lookup { parent: self.ino(input), name: name(input) },
            4..=6 => Op::Open { ino: self.ino(input), mode: mode(input) },
            7..=9 => {
                let (ino, fh) = self.handle(input);
                Op::Read { ino, fh, offset: offset(input), len: *input.pick(&[4096, 0, 1, 131_072, 1 << 20, u32::MAX]) }
            }
            10 | 11 => {
                let (ino, fh) = self.handle(input);
                let offset = match input.below(4) {
                    0 | 1 => self.handles.iter().find(|open| open.fh == fh).map_or(0, |open| open.cookie),
                    2 => 0,
                    _ => offset(input),
                };
                let max_bytes = *input.pick(&[4096, 0, 200, 1 << 20]);
                Op::Readdir { ino, fh, offset, max_bytes, plus: input.chance(2) }
            }
            12 => Op::Opendir { ino: self.ino(input) },
            13 => self.forget(input),
            14 => {
                let (ino, fh) = self.handle(input);
                if let Some(open) = self.handles.iter_mut().find(|open| open.fh == fh) {
                    open.released = true;
                }
                if input.chance(2) { Op::Releasedir { ino, fh } } else { Op::Release { ino, fh } }
            }
            15 => Op::Getattr { ino: self.ino(input) },
            16 => Op::Readlink { ino: self.ino(input) },
            17 => {
                let (ino, fh) = self.handle(input);
                let offset = offset(input).cast_signed();
                Op::Lseek { ino, fh, offset, whence: if input.chance(2) { Whence::Hole } else { Whence::Data } }
            }
            18 => Op::Getxattr { ino: self.ino(input), name: xattr(input) },
            _ => self.rare_op(input),
        }
    }

    /// Whatever changes something, or makes it last.
    fn change(&mut self, input: &mut Input) -> Op {
        let node = NewNode { perm: 0o644, uid: 0, gid: 0 };
        match input.below(20) {
            0..=3 => {
                let (ino, fh) = self.handle(input);
                let len = *input.pick(&[100, 1, 0, 4096, 70_000, 1 << 20]);
                Op::Write { ino, fh, offset: written(input), data: vec![input.byte(); len].into() }
            }
            4 | 5 => {
                let mode = OpenMode { write: true, truncate: input.chance(4), ..OpenMode::default() };
                Op::Open { ino: self.ino(input), mode }
            }
            6 | 7 => {
                let mode = OpenMode { write: true, truncate: input.chance(4), ..OpenMode::default() };
                let exclusive = input.chance(4);
                Op::Create { parent: self.ino(input), name: name(input), mode, exclusive, node }
            }
            8 => {
                let (ino, fh) = self.handle(input);
                Op::Fsync { ino, fh }
            }
            9 => {
                let (ino, fh) = self.handle(input);
                Op::Flush { ino, fh, still_open: input.chance(4) }
            }
            10 => Op::Unlink { parent: self.ino(input), name: name(input) },
            11 => Op::Rmdir { parent: self.ino(input), name: name(input) },
            12 => Op::Mkdir { parent: self.ino(input), name: name(input), node },
            13 | 14 => Op::Rename {
                parent: self.ino(input),
                name: name(input),
                new_parent: self.ino(input),
                new_name: name(input),
                no_replace: input.chance(4),
            },
            15 => {
                let (ino, fh) = self.handle(input);
                let changes = Changes { size: Some(written(input)), ..Changes::default() };
                Op::Setattr { ino, fh: input.chance(2).then_some(fh), changes }
            }
            16 => {
                let perm = input.chance(2).then_some(0o600);
                let mtime = Some(SetTime::To(UnixTime { seconds: input.number().cast_signed(), nanos: 0 }));
                let (uid, gid) = (input.chance(3).then_some(7), input.chance(3).then_some(7));
                Op::Setattr {
                    ino: self.ino(input),
                    fh: None,
                    changes: Changes { perm, uid, gid, mtime, ..Changes::default() },
                }
            }
            17 => {
                let (ino, fh) = self.handle(input);
                let how = *input.pick(&[
                    Allocation::Punch,
                    Allocation::Allocate { keep_size: false },
                    Allocation::Allocate { keep_size: true },
                    Allocation::Zero { keep_size: false },
                    Allocation::Zero { keep_size: true },
                ]);
                Op::Fallocate { ino, fh, offset: written(input), len: 1 + input.number(), how }
            }
            18 => match input.below(3) {
                0 => Op::Symlink { parent: self.ino(input), name: name(input), target: name(input), node },
                1 => Op::Mknod { parent: self.ino(input), name: name(input), kind: Kind::File, node },
                _ => Op::Mknod { parent: self.ino(input), name: name(input), kind: Kind::Fifo, node },
            },
            _ => match input.below(4) {
                0 | 1 => {
                    let (from, to) = (self.handle(input), self.handle(input));
                    let (from_offset, len) = (if input.chance(2) { 0 } else { offset(input) }, written(input));
                    let to_offset = if input.chance(2) { from_offset } else { written(input) };
                    Op::CopyRange { from, from_offset, to, to_offset, len }
                }
                2 => {
                    let (value, how) = (vec![input.byte(); input.below(9)], *input.pick(&SET_XATTR));
                    Op::Setxattr { ino: self.ino(input), name: xattr(input), value, how }
                }
                _ => Op::Removexattr { ino: self.ino(input), name: xattr(input) },
            },
        }
    }

    fn rare_op(&mut self, input: &mut Input) -> Op {
        let ino = self.ino(input);
        match input.below(6) {
            0 => Op::Listxattr { ino },
            1 => Op::Statfs { ino },
            2 => {
                Op::Access { ino, mask: input.number() as u32, uid: input.below(3) as u32, gid: input.below(3) as u32 }
            }
            3 => Op::Unsupported { ino, what: "link" },
            4 => {
                let (ino, fh) = self.handle(input);
                Op::Flush { ino, fh, still_open: input.chance(2) }
            }
            _ => {
                let (ino, fh) = self.handle(input);
                Op::Fsync { ino, fh }
            }
        }
    }

    /// Known, forgotten, or nonsense.
    fn ino(&self, input: &mut Input) -> Ino {
        match input.byte() {
            choice @ 0..=223 => self.inos[usize::from(choice) % self.inos.len()],
            224..=239 => Ino(input.number()),
            choice => [Ino(0), Ino(u64::MAX), Ino(0xffff_ffff), Ino(u64::MAX / 2)][usize::from(choice) % 4],
        }
    }

    /// A live handle with its inode, or with any, as only a broken kernel would; or one that is none, or no more.
    fn handle(&self, input: &mut Input) -> (Ino, Fh) {
        match input.byte() {
            choice @ 0..=223 if !self.handles.is_empty() => {
                let open = self.handles[self.handles.len() - 1 - usize::from(choice) % self.handles.len()];
                (open.ino, open.fh)
            }
            choice @ 224..=231 if !self.handles.is_empty() => {
                (self.ino(input), self.handles[usize::from(choice) % self.handles.len()].fh)
            }
            choice => (self.ino(input), [Fh(0), Fh(u64::MAX), Fh(1 << 40)][usize::from(choice) % 3]),
        }
    }

    fn forget(&mut self, input: &mut Input) -> Op {
        let ino = self.ino(input);
        let asked = *input.pick(&[1, u64::MAX, 2, 0]);
        let Some(known) = self.inodes.get_mut(&ino).filter(|_| ino != Ino::ROOT) else {
            return Op::Forget { ino, count: asked };
        };
        // u64::MAX: all of them. More than that only now and then.
        let count = match asked {
            u64::MAX if !input.chance(8) => known.lookups,
            asked => asked,
        };
        known.spoiled |= count > known.lookups;
        known.lookups = known.lookups.saturating_sub(count);
        Op::Forget { ino, count }
    }

    /// Sends what has gathered, all at once, and judges the answers.
    fn send(&mut self) {
        let fs = self.w.fs().clone();
        let batch = std::mem::take(&mut self.batch);
        let locks = Locks::default();
        let calls: Vec<_> = batch
            .iter()
            .cloned()
            .map(|(caller, op)| {
                let (fs, locks, wanted) = (Arc::clone(&fs), locks.clone(), self.wanted(&op));
                async move {
                    let _locked = locks.take(wanted).await;
                    fs.handle_for(caller, op).await
                }
            })
            .collect();
        let answers = self.run(join_all(calls));
        for ((_, op), answer) in batch.into_iter().zip(answers) {
            if self.told {
                eprintln!("{op:?}: {answer:?}");
            }
            match answer {
                Ok(reply) => self.learn(op, reply),
                Err(error) => self.judge_error(&op, &error),
            }
        }
        self.check_known();
    }

    /// What Linux locks for a request (fs/namei.c, fs/fuse). An open with O_TRUNC waits for nobody, nor does the look-up of a
    /// name that the kernel has and asks about again.
    fn wanted(&self, op: &Op) -> Wanted {
        let shared = |ino: &Ino| Wanted { shared: [*ino].into(), ..Wanted::default() };
        let alone = |inodes: Vec<Ino>| Wanted { alone: inodes.into_iter().collect(), ..Wanted::default() };
        match op {
            Op::Lookup { parent, name } if self.named(*parent, name).is_empty() => shared(parent),
            Op::Readdir { ino, .. } => shared(ino),
            Op::Create { parent, .. }
            | Op::Mkdir { parent, .. }
            | Op::Mknod { parent, .. }
            | Op::Symlink { parent, .. } => alone(vec![*parent]),
            Op::Unlink { parent, name } | Op::Rmdir { parent, name } => {
                alone([vec![*parent], self.named(*parent, name)].concat())
            }
            Op::Rename { parent, name, new_parent, new_name, .. } => {
                let ends = [self.named(*parent, name), self.named(*new_parent, new_name)];
                let inodes = [vec![*parent, *new_parent], ends.concat()].concat();
                Wanted { renames: parent != new_parent, ..alone(inodes) }
            }
            Op::Write { ino, .. }
            | Op::Setattr { ino, .. }
            | Op::Fallocate { ino, .. }
            | Op::Fsync { ino, .. }
            | Op::Setxattr { ino, .. }
            | Op::Removexattr { ino, .. }
            | Op::CopyRange { to: (ino, _), .. } => alone(vec![*ino]),
            _ => Wanted::default(),
        }
    }

    /// The inodes that were told by this name.
    fn named(&self, parent: Ino, name: &[u8]) -> Vec<Ino> {
        let key = std::str::from_utf8(name).ok().and_then(|name| self.key_beneath(parent, name));
        let Some(key) = key else { return Vec::new() };
        let named = self.inodes.iter().filter(|(_, known)| known.lookups > 0 && known.key == key);
        named.map(|(ino, _)| *ino).collect()
    }

    fn run<F: Future>(&mut self, future: F) -> F::Output {
        self.w.run(future)
    }

    // Answers.

    fn learn(&mut self, op: Op, reply: Reply) {
        match (op, reply) {
            (Op::Lookup { parent, name }, Reply::Entry(entry)) => {
                let name = std::str::from_utf8(&name).ok().and_then(Name::new).expect("other names have no entries");
                if let Some(key) = self.key_beneath(parent, name.as_str()) {
                    self.learn_entry(key, &entry);
                }
            }
            (Op::Open { ino, mode }, Reply::Opened { fh }) => {
                assert!(self.writes || (!mode.write && !mode.truncate), "opened for writing");
                self.opened(ino, fh);
            }
            (Op::Create { parent, name, .. }, Reply::Created { entry, fh }) => {
                let ino = entry.attr.as_ref().expect("what was made is there").ino;
                self.learn_made(parent, &name, &entry);
                self.opened(ino, fh);
            }
            (
                Op::Mkdir { parent, name, .. } | Op::Mknod { parent, name, .. } | Op::Symlink { parent, name, .. },
                Reply::Entry(entry),
            ) => self.learn_made(parent, &name, &entry),
            (Op::Write { data, .. }, Reply::Written(len)) => assert_eq!(len as usize, data.len(), "a write is whole"),
            (Op::CopyRange { len, .. }, Reply::Written(copied)) => {
                assert!(u64::from(copied) <= len, "{copied} bytes were copied of {len}");
            }
            (Op::Setattr { ino, .. }, Reply::Attr { attr, .. }) => assert_eq!(attr.ino, ino),
            (
                Op::Unlink { .. }
                | Op::Rmdir { .. }
                | Op::Rename { .. }
                | Op::Fallocate { .. }
                | Op::Setxattr { .. }
                | Op::Removexattr { .. },
                Reply::Done,
            ) => {}
            (Op::Opendir { ino }, Reply::Opened { fh }) => self.opened(ino, fh),
            (Op::Read { ino, offset, len, .. }, Reply::Data(data)) => self.judge_data(ino, offset, len, &data),
            (Op::Readdir { ino, fh, offset, max_bytes, plus }, Reply::Directory(entries)) => {
                self.learn_directory((ino, fh), offset, max_bytes, plus, &entries);
            }
            (Op::Getattr { ino } | Op::Lookup { parent: ino, .. }, Reply::Attr { attr, .. }) => {
                assert_eq!(attr.ino, ino);
            }
            (Op::Forget { .. } | Op::Release { .. } | Op::Releasedir { .. } | Op::Access { .. }, Reply::Done)
            | (Op::Flush { .. } | Op::Fsync { .. }, Reply::Done)
            | (Op::Readlink { .. }, Reply::Link(_))
            | (Op::Lseek { .. }, Reply::Offset(_))
            | (Op::Getxattr { .. } | Op::Listxattr { .. }, Reply::Xattr(_))
            | (Op::Statfs { .. }, Reply::Statfs(_)) => {}
            (op, reply) => panic!("{op:?} was answered with {reply:?}"),
        }
    }

    fn key_beneath(&self, parent: Ino, name: &str) -> Option<String> {
        let known = self.inodes.get(&parent)?;
        let slash = if known.key.is_empty() || known.key.ends_with('/') { "" } else { "/" };
        Some(format!("{}{slash}{name}", known.key))
    }

    fn learn_made(&mut self, parent: Ino, name: &[u8], entry: &Entry) {
        let name = std::str::from_utf8(name).ok().and_then(Name::new).expect("other names cannot be made");
        if let Some(key) = self.key_beneath(parent, name.as_str()) {
            self.learn_entry(key, entry);
        }
    }

    fn learn_entry(&mut self, key: String, entry: &Entry) {
        let Some(attr) = &entry.attr else { return };
        let known = self.inodes.entry(attr.ino).or_insert_with(|| {
            self.inos.push(attr.ino);
            Known { key: key.clone(), attr: attr.clone(), lookups: 0, spoiled: false, version: None }
        });
        // Where files are renamed and written, an inode goes from name to name, and changes.
        assert!(self.writes || known.key == key, "{:?} stands for {} and {key}", attr.ino, known.key);
        assert!(
            self.writes || known.lookups > 0 || known.spoiled || known.attr == *attr || self.posix,
            "{:?} came back",
            attr.ino
        );
        known.lookups += 1;
    }

    fn opened(&mut self, ino: Ino, fh: Fh) {
        assert!(self.handles.iter().all(|open| open.fh != fh), "{fh:?} was given out twice");
        self.handles.push(Open { fh, ino, released: false, fenced: false, cookie: 0 });
    }

    fn judge_data(&mut self, ino: Ino, offset: u64, len: u32, data: &[u8]) {
        if self.writes {
            return assert!(data.len() <= len as usize, "{ino:?} at {offset}: {} bytes of {len}", data.len());
        }
        let Some(known) = self.inodes.get_mut(&ino) else { return };
        let expected = known.attr.size.saturating_sub(offset).min(len.into());
        assert_eq!(data.len() as u64, expected, "{} at {offset}: a read is whole or an error", known.key);
        match known.version {
            _ if data.is_empty() => {}
            Some(version) => {
                let checked = content::check(&known.key, version, data, offset);
                assert!(checked.is_ok(), "{}: {checked:?}", known.key);
            }
            None => match content::identify(&known.key, data, offset) {
                Ok(version) => known.version = Some(version),
                Err(mismatch) => assert_eq!(mismatch.found, Found::TooShort, "{} at {offset}", known.key),
            },
        }
    }

    fn learn_directory(&mut self, (ino, fh): (Ino, Fh), offset: u64, max: usize, plus: bool, entries: &[DirEntry]) {
        let bytes: usize = entries.iter().map(|entry| DirEntry::wire_bytes(&entry.name, plus)).sum();
        assert!(bytes <= max, "{bytes} bytes of entries for {max}");
        let mut last = offset;
        for entry in entries {
            assert!(entry.offset > last, "cookies go on");
            last = entry.offset;
            let dots = entry.offset <= 2;
            assert_eq!(Name::new(&entry.name).is_none(), dots, "{:?}", entry.name);
            if let (Some(found), Some(key)) = (&entry.entry, self.key_beneath(ino, &entry.name)) {
                assert!(plus && !dots, "an entry that was not asked for");
                self.learn_entry(key, found);
            }
        }
        if let Some(open) = self.handles.iter_mut().find(|open| open.fh == fh) {
            open.cookie = last;
        }
    }

    fn judge_error(&self, op: &Op, error: &FsError) {
        let errno = error.errno();
        assert!(ERRNOS.contains(&errno), "{op:?}: {error}");
        // A link is what its object says, which may be too long for one.
        let fenced = |fh: u64| self.handles.iter().any(|open| open.fenced && open.fh == Fh(fh));
        let explained = match error {
            FsError::Fenced(fh) => fenced(*fh),
            _ => self.troubled || matches!(op, Op::Readlink { .. }),
        };
        assert!(errno != Errno::EIO || explained, "{op:?}: {error}, and nothing explains it");
        assert!(!matches!(op, Op::Forget { .. } | Op::Statfs { .. }), "{op:?}: {error}");
    }

    /// What the kernel was told of and has not forgotten is there, unchanged.
    fn check_known(&mut self) {
        let fs = self.w.fs().clone();
        let counted: Vec<Ino> =
            self.inodes.iter().filter(|(_, known)| known.lookups > 0 && !known.spoiled).map(|(ino, _)| *ino).collect();
        for ino in counted {
            let answer = self.run(fs.handle(Op::Getattr { ino }));
            let Ok(Reply::Attr { attr, .. }) = answer else { panic!("{ino:?} is known, but: {answer:?}") };
            let known = &self.inodes[&ino];
            let directory = |attr: &Attr| attr.kind == Kind::Directory;
            assert_eq!(directory(&attr), directory(&known.attr), "{ino:?}");
            assert!(
                self.writes || attr.size == known.attr.size,
                "{ino:?}: {} bytes were {}",
                attr.size,
                known.attr.size
            );
            assert!(self.posix || self.writes || attr == known.attr, "{ino:?}: {attr:?} was {:?}", known.attr);
        }
    }

    // The world.

    fn put(&mut self, key: &str, size: u64, link: bool) {
        self.versions += 1;
        let change = self.put_of(key, size, link);
        self.w.s3().apply(change);
    }

    fn put_of(&self, key: &str, size: u64, link: bool) -> Mutation {
        let mut object = NewObject::default();
        if link {
            object.user.insert("mode".into(), "41471".into());
        }
        Mutation::Put { key: key.into(), version: version(self.versions), size, object }
    }

    fn mutation(&mut self, input: &mut Input) -> Mutation {
        let key = *input.pick(&KEYS);
        match input.below(6) {
            0 => Mutation::delete(key),
            1 => Mutation::purge(key),
            choice => {
                self.versions += 1;
                let size = *input.pick(&SIZES);
                self.put_of(key, size, choice == 2)
            }
        }
    }

    fn mutate(&mut self, input: &mut Input) {
        let mutation = self.mutation(input);
        self.w.s3().apply(mutation);
    }

    /// Something happens at the very moment at which a request is carried out.
    fn tie_mutation(&mut self, input: &mut Input) {
        let when = Matcher::any().nth(1 + input.below(6) as u64);
        let mutation = self.mutation(input);
        if input.chance(2) {
            self.w.s3().after(when, mutation);
        } else {
            self.w.s3().before(when, mutation);
        }
    }

    fn disturb(&mut self, input: &mut Input) {
        self.troubled = true;
        let after = input.number() * 64;
        let long = Duration::from_millis(input.number() * 10);
        let what = match input.below(20) {
            0 => FaultKind::refused(ErrorKind::Throttled),
            1 => FaultKind::refused(ErrorKind::AccessDenied),
            2 => FaultKind::refused(ErrorKind::Unavailable),
            3 => FaultKind::AnswerLost,
            4 => FaultKind::Hangs,
            5 => FaultKind::BodyBreaks { after },
            6 => FaultKind::BodyEnds { after },
            7 => FaultKind::BodyStalls { after },
            8 => FaultKind::BodyOverflows { by: 1 + after },
            9 => FaultKind::BodyDiesPaused { longer_than: long },
            10 => FaultKind::RangeShifted(16),
            11 => FaultKind::RangeIgnored,
            12 => FaultKind::EtagWrong,
            13 => FaultKind::Delayed(long),
            14 => FaultKind::ConditionsIgnored,
            15 => FaultKind::PageRepeats,
            16 => FaultKind::PageGoesBack,
            17 => FaultKind::PageTokenDropped,
            18 => FaultKind::PageTokenLoops,
            _ => return self.w.s3().down_for(long),
        };
        self.w.s3().fault(Matcher::any().nth(1 + input.below(6) as u64), what);
    }

    /// What the adapter does after a panic in a request on the handle.
    fn fence(&mut self, input: &mut Input) {
        let (_, fh) = self.handle(input);
        if let Some(open) = self.handles.iter_mut().find(|open| open.fh == fh) {
            open.fenced = true;
        }
        self.w.fs().fence(fh);
    }

    // The end.

    /// Releases and forgets all; the world's own end judges what is left.
    fn end(mut self) {
        self.send();
        self.w.s3().clear_faults();
        self.w.s3().up();
        let fs = self.w.fs().clone();
        for open in std::mem::take(&mut self.handles).into_iter().filter(|open| !open.released) {
            let Open { fh, ino, .. } = open;
            let done = self.run(fs.handle(Op::Release { ino, fh }));
            assert!(done.is_ok(), "{fh:?}: {done:?}");
        }
        for (ino, known) in std::mem::take(&mut self.inodes) {
            if ino != Ino::ROOT && known.lookups > 0 {
                let _ = self.run(fs.handle(Op::Forget { ino, count: known.lookups }));
            }
        }
        self.w.settle();
    }
}

fn name(input: &mut Input) -> Vec<u8> {
    match input.below(20) {
        0 | 1 => b"a".to_vec(),
        2 => b"b".to_vec(),
        3 | 4 => b"d".to_vec(),
        5 => b"c".to_vec(),
        6 => b"e".to_vec(),
        7 => b"f".to_vec(),
        8 => b"x".to_vec(),
        9 => b"l".to_vec(),
        10 => "é".as_bytes().to_vec(),
        11 => b"".to_vec(),
        12 => b".".to_vec(),
        13 => b"..".to_vec(),
        14 => b"a/x".to_vec(),
        15 => b"a\0".to_vec(),
        16 => b"\xff\xfe".to_vec(),
        17 => vec![b'n'; 255],
        18 => vec![b'n'; 256],
        _ => input.until(0).to_vec(),
    }
}

fn xattr(input: &mut Input) -> Vec<u8> {
    let names: [&[u8]; 10] = [
        b"user.colour",
        b"user.origin",
        b"user.s3.etag",
        b"user.holdfast.hold",
        b"user.s3.version-id",
        b"user.s3.storage-class",
        b"user.s3.content-type",
        b"user.s3.meta.mode",
        b"user.s3.",
        b"\xff",
    ];
    input.pick(&names).to_vec()
}

fn mode(input: &mut Input) -> OpenMode {
    let flags = input.byte();
    let (write, truncate) = (flags & 0xf0 == 0x10, flags & 0xf0 == 0x20);
    OpenMode { write, truncate, direct: flags & 1 != 0, ..OpenMode::default() }
}

const SET_XATTR: [SetXattr; 3] = [SetXattr::Either, SetXattr::Create, SetXattr::Replace];

/// Where something is written, or ends: near, far, or nowhere at all.
fn written(input: &mut Input) -> u64 {
    match input.below(8) {
        0..=3 => input.number(),
        4 | 5 => (input.number() * 4096).min(WRITTEN_MAX),
        6 => (input.number() * 65_536).min(WRITTEN_MAX),
        _ => u64::MAX - input.number(),
    }
}

fn offset(input: &mut Input) -> u64 {
    match input.below(6) {
        0 => 0,
        1 => input.number(),
        2 => input.number() * 4096,
        3 => input.number() * 65_536,
        4 => u64::MAX - input.number(),
        _ => (i64::MAX as u64).wrapping_add(input.number()),
    }
}
