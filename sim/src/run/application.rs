//! One application of a scenario: makes its system calls one after another.

use std::pin::pin;
use std::time::Duration;

use futures_util::future::select;
use holdfast::op::{Allocation, Kind, OpenMode, SetXattr};

use crate::app::{File, Mapping, Process, Stream};
use crate::executor::SimHandle;
use crate::kernel::OpenHow;
use crate::run::causes::Causes;
use crate::scenario::{AllocationName, AppOp, Call, SLOTS, SetXattrName, Slot};

pub(super) struct Application {
    process: Process,
    handle: SimHandle,
    causes: Causes,
    ops: Vec<AppOp>,
    table: [Option<Entry>; SLOTS as usize],
}

/// What a slot holds.
#[derive(Clone, Copy)]
enum Entry {
    File(File),
    Mapping(Mapping),
    Stream(Stream),
}

/// What `cat` reads at a time.
const READ_BYTES: u64 = 128 << 10;

impl Application {
    pub(super) fn new(process: Process, handle: SimHandle, causes: Causes, ops: Vec<AppOp>) -> Self {
        Self { process, handle, causes, ops, table: [None; SLOTS as usize] }
    }

    pub(super) fn process(&self) -> Process {
        self.process.clone()
    }

    pub(super) async fn run(mut self) {
        for op in std::mem::take(&mut self.ops) {
            if op.pause_ms > 0 {
                self.handle.sleep(Duration::from_millis(op.pause_ms)).await;
            }
            self.causes.op_begins(&op, self.process.seat());
            match op.killed_after_ms {
                None => self.make(&op).await,
                Some(ms) => {
                    let killed = self.handle.sleep(Duration::from_millis(ms));
                    // Dropped in the middle, a system call is one that was killed.
                    drop(select(pin!(self.make(&op)), killed).await);
                }
            }
            self.causes.op_ended(op.id);
        }
    }

    /// Makes one call. Whatever it answers has been judged by the court when it returns.
    async fn make(&mut self, op: &AppOp) {
        let process = self.process.at(op.id);
        match &op.call {
            Call::Open { file, path, direct } => {
                self.vacate(&process, *file).await;
                let opened = process.open_as(path, *direct).await;
                self.table[usize::from(*file)] = opened.ok().map(Entry::File);
            }
            Call::Read { file, len } => {
                if let Some(file) = self.file(*file) {
                    let _ = process.read_on(file, *len).await;
                }
            }
            Call::Pread { file, at, len } => {
                if let Some(file) = self.file(*file) {
                    let _ = process.pread(file, *at..at.saturating_add(*len)).await;
                }
            }
            Call::ReadToEnd { file } => {
                if let Some(file) = self.file(*file) {
                    read_to_end(&process, file).await;
                }
            }
            Call::Seek { file, to } => {
                if let Some(file) = self.file(*file) {
                    process.seek(file, *to);
                }
            }
            Call::SeekData { file, from } => {
                if let Some(file) = self.file(*file) {
                    process.seek_data(file, *from, false).await;
                }
            }
            Call::SeekHole { file, from } => {
                if let Some(file) = self.file(*file) {
                    process.seek_data(file, *from, true).await;
                }
            }
            Call::Fstat { file } => {
                if let Some(file) = self.file(*file) {
                    let _ = process.fstat(file).await;
                }
            }
            Call::Xattr { file, name } => {
                if let Some(file) = self.file(*file) {
                    let _ = process.xattr(file, name).await;
                }
            }
            Call::Dup { file, to } => {
                if let Some(file) = self.file(*file) {
                    let copy = process.dup(file);
                    self.vacate(&process, *to).await;
                    self.table[usize::from(*to)] = Some(Entry::File(copy));
                }
            }
            Call::Close { file } => self.vacate(&process, *file).await,
            Call::Map { file, to } => {
                if let Some(file) = self.file(*file) {
                    let mapping = process.map(file);
                    self.vacate(&process, *to).await;
                    self.table[usize::from(*to)] = Some(Entry::Mapping(mapping));
                }
            }
            Call::Touch { map, at, len } => {
                if let Some(mapping) = self.mapping(*map) {
                    let _ = process.touch(mapping, *at..at.saturating_add(*len)).await;
                }
            }
            Call::Store { map, at, len } => {
                if let Some(mapping) = self.mapping(*map) {
                    let _ = process.store_named(mapping, *at, *len).await;
                }
            }
            Call::Msync { map } => {
                if let Some(mapping) = self.mapping(*map) {
                    let _ = process.msync(mapping).await;
                }
            }
            Call::Unmap { map } => {
                if matches!(self.table[usize::from(*map)], Some(Entry::Mapping(_))) {
                    self.vacate(&process, *map).await;
                }
            }
            Call::Stat { path } => drop(process.stat(path).await),
            Call::Access { path } => drop(process.access(path).await),
            Call::Readlink { path } => drop(process.readlink(path).await),
            Call::Readdir { path } => drop(process.readdir(path).await),
            Call::Opendir { dir, path } => {
                self.vacate(&process, *dir).await;
                let opened = process.opendir(path).await;
                self.table[usize::from(*dir)] = opened.ok().map(Entry::Stream);
            }
            Call::Getdents { dir } => {
                if let Some(stream) = self.stream(*dir) {
                    let _ = process.getdents(stream).await;
                }
            }
            Call::Rewinddir { dir } => {
                if let Some(stream) = self.stream(*dir) {
                    process.rewinddir(stream).await;
                }
            }
            Call::Seekdir { dir, nth } => {
                if let Some(stream) = self.stream(*dir) {
                    process.seekdir(stream, *nth).await;
                }
            }
            Call::ListLong { path } => process.list_long(path).await,
            Call::Lstat { path } => drop(process.lstat(path).await),
            Call::ListXattr { path } => drop(process.list_xattr(path).await),
            Call::XattrAt { path, name } => drop(process.xattr_at(path, name).await),
            Call::Cat { path } => {
                if let Ok(file) = process.open(path).await {
                    read_to_end(&process, file).await;
                    let _ = process.close(file).await;
                }
            }
            Call::Statfs => process.statfs().await,
            Call::Write { path } => process.try_create(path).await,
            Call::OpenWrite { file, path, .. } => {
                self.vacate(&process, *file).await;
                let opened = process.open_how(path, open_how(&op.call)).await;
                self.table[usize::from(*file)] = opened.ok().map(Entry::File);
            }
            Call::WriteOn { file, len } => {
                if let Some(file) = self.file(*file) {
                    let _ = process.write_named(file, None, *len).await;
                }
            }
            Call::Pwrite { file, at, len } => {
                if let Some(file) = self.file(*file) {
                    let _ = process.write_named(file, Some(*at), *len).await;
                }
            }
            Call::Fsync { file } => {
                if let Some(file) = self.file(*file) {
                    let _ = process.fsync(file).await;
                }
            }
            Call::Ftruncate { file, size } => {
                if let Some(file) = self.file(*file) {
                    let _ = process.ftruncate(file, *size).await;
                }
            }
            Call::Fallocate { file, at, len, how } => {
                if let Some(file) = self.file(*file) {
                    let _ = process.fallocate(file, *at, *len, allocation(*how)).await;
                }
            }
            Call::CopyRange { file, at, to, to_at, len } => {
                if let (Some(from), Some(to)) = (self.file(*file), self.file(*to)) {
                    let _ = process.copy_range((from, *at), (to, *to_at), *len).await;
                }
            }
            Call::Setxattr { path, name, value, how } => {
                let _ = process.setxattr(path, name, value, set_xattr(*how)).await;
            }
            Call::Removexattr { path, name } => drop(process.removexattr(path, name).await),
            Call::Fsetxattr { file, name, value, how } => {
                if let Some(file) = self.file(*file) {
                    let _ = process.fsetxattr(file, name, value, set_xattr(*how)).await;
                }
            }
            Call::Fremovexattr { file, name } => {
                if let Some(file) = self.file(*file) {
                    let _ = process.fremovexattr(file, name).await;
                }
            }
            Call::Mknod { path, fifo } => {
                let _ = process.mknod(path, if *fifo { Kind::Fifo } else { Kind::File }).await;
            }
            Call::Chmod { path, perm } => drop(process.chmod(path, *perm).await),
            Call::Utimens { path, seconds } => drop(process.utimens(path, *seconds).await),
            Call::Symlink { target, path } => drop(process.symlink(target, path).await),
            Call::Truncate { path, size } => drop(process.truncate(path, *size).await),
            Call::Unlink { path } => drop(process.unlink(path).await),
            Call::Mkdir { path } => drop(process.mkdir(path).await),
            Call::Rmdir { path } => drop(process.rmdir(path).await),
            Call::Rename { path, to, no_replace } => drop(process.rename(path, to, *no_replace).await),
            Call::Save { path, len } => drop(process.save(path, *len).await),
            Call::SaveBeside { path, len } => {
                let beside = format!("{path}.new");
                if process.save(&beside, *len).await.is_ok() {
                    let _ = process.rename(&beside, path, false).await;
                }
            }
            Call::DropPages => process.kernel().drop_pages(),
            Call::DropCaches => process.kernel().drop_caches(),
            Call::Sleep => {}
        }
    }

    fn file(&self, slot: Slot) -> Option<File> {
        match self.table[usize::from(slot)] {
            Some(Entry::File(file)) => Some(file),
            Some(Entry::Mapping(_) | Entry::Stream(_)) | None => None,
        }
    }

    fn mapping(&self, slot: Slot) -> Option<Mapping> {
        match self.table[usize::from(slot)] {
            Some(Entry::Mapping(mapping)) => Some(mapping),
            Some(Entry::File(_) | Entry::Stream(_)) | None => None,
        }
    }

    fn stream(&self, slot: Slot) -> Option<Stream> {
        match self.table[usize::from(slot)] {
            Some(Entry::Stream(stream)) => Some(stream),
            Some(Entry::Mapping(_) | Entry::File(_)) | None => None,
        }
    }

    /// Closes or unmaps what the slot holds.
    async fn vacate(&mut self, process: &Process, slot: Slot) {
        match self.table[usize::from(slot)].take() {
            Some(Entry::File(file)) => drop(process.close(file).await),
            Some(Entry::Mapping(mapping)) => process.unmap(mapping).await,
            Some(Entry::Stream(stream)) => process.closedir(stream),
            None => {}
        }
    }
}

/// The flags of [`Call::OpenWrite`].
fn open_how(call: &Call) -> OpenHow {
    let Call::OpenWrite { create, exclusive, truncate, append, write_only, direct, sync, dsync, .. } = *call else {
        return OpenHow::default();
    };
    OpenHow {
        mode: OpenMode { write: true, write_only, truncate, direct },
        create,
        exclusive,
        append,
        sync: sync || dsync,
    }
}

fn set_xattr(how: SetXattrName) -> SetXattr {
    match how {
        SetXattrName::Either => SetXattr::Either,
        SetXattrName::Create => SetXattr::Create,
        SetXattrName::Replace => SetXattr::Replace,
    }
}

fn allocation(how: AllocationName) -> Allocation {
    match how {
        AllocationName::Allocate => Allocation::Allocate { keep_size: false },
        AllocationName::AllocateKeepingSize => Allocation::Allocate { keep_size: true },
        AllocationName::Punch => Allocation::Punch,
        AllocationName::Zero => Allocation::Zero { keep_size: false },
        AllocationName::ZeroKeepingSize => Allocation::Zero { keep_size: true },
    }
}

/// As programs do, in pieces, until the end or a failure.
async fn read_to_end(process: &Process, file: File) {
    loop {
        let before = process.position(file);
        if process.read_on(file, READ_BYTES).await.is_err() || process.position(file) == before {
            return;
        }
    }
}
