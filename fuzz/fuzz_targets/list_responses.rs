//! Arbitrary pages of a listing, also ones that no S3 would send, fed to a directory that is being read.
//!
//! The server is a table from continuation tokens to pages, so tokens may lead back, and pages may hold anything: keys
//! out of order, twice, outside of the prefix, not directly beneath it. Whatever they hold: reading the directory ends,
//! each name comes once, cookies go on and stay valid, and an error is EIO.

#![no_main]

use std::collections::BTreeMap;

use holdfast::config::Config;
use holdfast::error::Errno;
use holdfast::fs::Fs;
use holdfast::op::{DirEntry, Fh, Ino, Name, Op, Reply};
use holdfast_fuzz::Input;
use holdfast_sim::executor::{Executor, Policy};
use libfuzzer_sys::fuzz_target;

use holdfast_fuzz::pages::{PagesEnv, Table};

/// Buffers that one directory may take. Every page is a request, so a reader of so many pages would have seen all.
const BUFFERS_MAX: usize = 2000;

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let flags = input.byte();
    let prefix = if flags & 1 == 0 { "" } else { "d/" };
    let ordered = flags & 2 == 0;
    let plus = flags & 4 != 0;
    // The least holds the longest name.
    let buffer_bytes = [4096, DirEntry::wire_bytes("", true) + 256][usize::from(flags >> 3 & 1)];
    let table = Table::read(&mut input, prefix);

    let mut executor = Executor::with_policy(0, Policy::Fifo);
    let env = PagesEnv::new(executor.handle(), table, ordered);
    let config = Config { prefix: prefix.into(), read_only: true, ..Config::default() };
    let fs = Fs::new(env, config.validated().expect("the prefix is one"));
    let mut ask = |op: Op| match executor.block_on(fs.handle(op)) {
        Ok(answer) => answer.map_err(|error| error.errno()),
        Err(stuck) => panic!("{stuck}"),
    };
    let Ok(Reply::Opened { fh }) = ask(Op::Opendir { ino: Ino::ROOT }) else { panic!("the root does not open") };
    let mut reading = Reading { ask: &mut ask, fh, buffer_bytes, plus };
    let whole = reading.from(0);
    if let Ok(entries) = &whole {
        reading.judge(entries);
    }
    reading.ask_done(Op::Releasedir { ino: Ino::ROOT, fh });
    let census = fs.census();
    assert_eq!((census.inodes, census.handles), (1, 0), "something is left of a directory");
});

struct Reading<'a, A> {
    ask: &'a mut A,
    fh: Fh,
    buffer_bytes: usize,
    plus: bool,
}

impl<A: FnMut(Op) -> Result<Reply, Errno>> Reading<'_, A> {
    /// What comes after a cookie, to the end or to the first error.
    fn from(&mut self, cookie: u64) -> Result<Vec<DirEntry>, Errno> {
        let mut entries: Vec<DirEntry> = Vec::new();
        for _ in 0..BUFFERS_MAX {
            let offset = entries.last().map_or(cookie, |entry| entry.offset);
            let buffer = match self.buffer(offset) {
                Ok(buffer) => buffer,
                Err(errno) => {
                    assert_eq!(errno, Errno::EIO, "of a listing that is nonsense");
                    judge_names(&entries);
                    return Err(errno);
                }
            };
            if buffer.is_empty() {
                judge_names(&entries);
                return Ok(entries);
            }
            entries.extend(buffer);
        }
        panic!("a directory without end: {} entries", entries.len());
    }

    fn buffer(&mut self, offset: u64) -> Result<Vec<DirEntry>, Errno> {
        let max_bytes = self.buffer_bytes;
        let read = Op::Readdir { ino: Ino::ROOT, fh: self.fh, offset, max_bytes, plus: self.plus };
        let Reply::Directory(entries) = (self.ask)(read)? else { panic!("READDIR was answered with something else") };
        let bytes: usize = entries.iter().map(|entry| DirEntry::wire_bytes(&entry.name, self.plus)).sum();
        assert!(bytes <= max_bytes, "{bytes} bytes of entries for {max_bytes}");
        for entry in entries.iter().filter(|entry| entry.entry.is_some()) {
            self.ask_done(Op::Forget { ino: entry.ino, count: 1 });
        }
        Ok(entries)
    }

    fn ask_done(&mut self, op: Op) {
        assert!(matches!((self.ask)(op), Ok(Reply::Done)));
    }

    /// A directory that could be read: from each of its cookies the rest comes again.
    fn judge(&mut self, entries: &[DirEntry]) {
        for (at, entry) in entries.iter().enumerate().step_by(1 + entries.len() / 8) {
            let rest = self.from(entry.offset).expect("all of it was read before");
            let names = |entries: &[DirEntry]| entries.iter().map(|entry| entry.name.clone()).collect::<Vec<_>>();
            assert_eq!(names(&rest), names(&entries[at + 1..]), "after cookie {}", entry.offset);
        }
    }
}

fn judge_names(entries: &[DirEntry]) {
    let mut seen = BTreeMap::new();
    for (at, entry) in entries.iter().enumerate() {
        let dots = entry.offset <= 2;
        assert!(dots != Name::new(&entry.name).is_some(), "{:?} is shown", entry.name);
        assert!(at == 0 || entry.offset > entries[at - 1].offset, "cookies go on");
        assert!(seen.insert(entry.name.clone(), at).is_none(), "{:?} is shown twice", entry.name);
    }
}
