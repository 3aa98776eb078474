//! Large directories and deep ones.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, Output};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use holdfast::bucket::Versioning;
use holdfast::env::store::{Key, NewObject, Put};
use nix::libc;

use crate::remote::{Embedded, Remote};
use crate::require;
use crate::shell::output;
use crate::world::{PAST_TTL, World};

/// Ten thousand keys, to their sizes: shallow, deep, wide, with names that tools and URLs might trip over.
fn ten_thousand_keys() -> BTreeMap<String, u64> {
    let odd = [
        "with space",
        " lead",
        "trail ",
        "ünï",
        "e\u{301}",
        "日本",
        "a+b",
        "100%",
        "q?x=1&y",
        "#",
        "'",
        "\"",
        "\\",
        "*",
    ];
    let mut keys = BTreeMap::new();
    for n in 0..10_000u64 {
        let name = odd[n as usize % odd.len()];
        let key = match n % 5 {
            0 => format!("wide/{n:05}-{name}"),
            1 => format!("{}/{name}/{n}", n % 37),
            2 => format!("deep/{name}/{}/{}/{name}/{n}", n % 7, n % 11),
            3 => format!("{name} dir/sub-{}/{n} {name}", n % 13),
            _ => format!("flat-{n}{name}"),
        };
        keys.insert(key, n * 7919 % 3000);
    }
    assert_eq!(keys.len(), 10_000);
    keys
}

fn put_all(remote: &Embedded, keys: &BTreeMap<String, u64>) {
    let all = Bytes::from(vec![b'x'; 3000]);
    let mut model = remote.model();
    for (key, size) in keys {
        let put = Put {
            key: Key::from(key.as_str()),
            body: all.slice(..*size as usize),
            object: NewObject::default(),
            condition: None,
        };
        model.put(put, 1_700_000_000).expect("a valid key");
    }
}

fn output_of(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = output(command);
    assert!(status.success(), "{command:?}: {}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).expect("names are UTF-8")
}

#[test]
fn find_and_ls_over_ten_thousand_objects_agree_with_aws_s3_ls() {
    let keys = ten_thousand_keys();
    let Some(w) = World::prepared(Versioning::Off, &[], |remote| put_all(remote, &keys)) else { return };
    let root = w.mount.directory();

    let found = output_of(Command::new("find").arg(root).args(["-type", "f", "-printf", "%s %T@ %P\\0"]));
    let found: BTreeMap<String, u64> = found
        .split_terminator('\0')
        .map(|line| {
            let mut fields = line.splitn(3, ' ');
            let size = fields.next().and_then(|size| size.parse().ok()).expect("a size");
            assert!(fields.next().is_some_and(|time| time.starts_with("1700000000")), "{line}");
            (fields.next().expect("a name").to_string(), size)
        })
        .collect();
    assert_eq!(found, keys, "find");

    let listed = output_of(Command::new("ls").args(["-lRAnN", "--time-style=+%s"]).arg(root).env("LC_ALL", "C.UTF-8"));
    assert_eq!(files_of_ls(&listed, root), keys, "ls -lR");

    if require::program("aws", "pip install awscli") {
        let mut aws = Command::new("aws");
        aws.args(["s3", "ls", "--recursive", "s3://holdfast"]);
        w.endpoint().lend_to(&mut aws);
        aws.env("PYTHONIOENCODING", "utf-8").env("LC_ALL", "C.UTF-8");
        assert_eq!(files_of_aws(&output_of(&mut aws)), keys, "aws s3 ls --recursive");
    }
}

/// The regular files of `ls -lRAnN --time-style=+%s`, by their path beneath `root`.
fn files_of_ls(text: &str, root: &Path) -> BTreeMap<String, u64> {
    let root = root.to_str().expect("UTF-8");
    let mut files = BTreeMap::new();
    let mut beneath = String::new();
    let mut heading = true;
    for line in text.lines() {
        if heading {
            let directory = line.strip_suffix(':').expect("a heading");
            let directory = directory.strip_prefix(root).expect("beneath the root").trim_start_matches('/');
            beneath = if directory.is_empty() { String::new() } else { format!("{directory}/") };
        } else if line.starts_with('-') {
            // Mode, links, owner, group, size, time, and one space before the name, which may begin with spaces.
            let mut rest = line;
            let fields: Vec<&str> = (0..6).map(|_| take_field(&mut rest)).collect();
            let name = rest.strip_prefix(' ').expect("one space");
            files.insert(format!("{beneath}{name}"), fields[4].parse().expect("a size"));
        }
        heading = line.is_empty();
    }
    files
}

/// Lines of date, time, size, and one space before the key.
fn files_of_aws(text: &str) -> BTreeMap<String, u64> {
    let file = |mut line| {
        let fields: Vec<&str> = (0..3).map(|_| take_field(&mut line)).collect();
        (line.strip_prefix(' ').expect("one space").to_string(), fields[2].parse().expect("a size"))
    };
    text.lines().map(file).collect()
}

fn take_field<'a>(rest: &mut &'a str) -> &'a str {
    let trimmed = rest.trim_start_matches(' ');
    let (field, left) = trimmed.split_at(trimmed.find(' ').unwrap_or(trimmed.len()));
    *rest = left;
    field
}

/// A directory stream of the C library, which has the positions that std hides.
struct Stream(NonNull<libc::DIR>);

impl Stream {
    fn open(path: &Path) -> Self {
        let path = std::ffi::CString::new(path.as_os_str().as_bytes()).expect("no NUL");
        // SAFETY: the path ends in NUL.
        Self(NonNull::new(unsafe { libc::opendir(path.as_ptr()) }).expect("opendir"))
    }

    fn next(&mut self) -> Option<String> {
        // SAFETY: the stream is open; the entry is read before the next call on it.
        unsafe {
            let entry = libc::readdir(self.0.as_ptr());
            (!entry.is_null()).then(|| CStr::from_ptr((*entry).d_name.as_ptr()).to_str().expect("UTF-8").to_string())
        }
    }

    fn tell(&mut self) -> libc::c_long {
        // SAFETY: the stream is open.
        unsafe { libc::telldir(self.0.as_ptr()) }
    }

    fn seek(&mut self, position: libc::c_long) {
        // SAFETY: the stream is open, and the position came from `tell`.
        unsafe { libc::seekdir(self.0.as_ptr(), position) }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // SAFETY: open, and not used afterwards.
        unsafe { libc::closedir(self.0.as_ptr()) };
    }
}

#[test]
fn a_slow_reader_of_a_directory_misses_no_name() {
    let world = World::prepared(Versioning::Off, &[], |remote| put_all(remote, &numbered(0..3000)));
    let Some(w) = world else { return };
    let mut stream = Stream::open(&w.path("d"));
    let mut seen: BTreeSet<String> = (0..10).map(|_| stream.next().expect("of 3000")).collect();
    // Long enough for what the listing told to be out of date, and enough other names for it to be dropped.
    std::thread::sleep(PAST_TTL);
    for n in 0..5000 {
        assert!(std::fs::metadata(w.path(&format!("d/missing-{n}"))).is_err());
    }
    while let Some(name) = stream.next() {
        // As `ls -l` does; it has the kernel ask for attributes along with the names.
        std::fs::metadata(w.path(&format!("d/{name}"))).expect("it is there");
        assert!(seen.insert(name.clone()), "{name} twice");
    }
    let missing: Vec<String> = (0..3000).map(|n| format!("key-{n:05}")).filter(|name| !seen.contains(name)).collect();
    assert_eq!(missing, [""; 0]);
}

fn numbered(range: std::ops::Range<u32>) -> BTreeMap<String, u64> {
    range.map(|n| (format!("d/key-{n:05}"), u64::from(n % 10))).collect()
}

/// Rule R21.
#[test]
fn positions_of_a_directory_stay_good_while_it_is_open() {
    let world = World::prepared(Versioning::Off, &[], |remote| put_all(remote, &numbered(0..3500)));
    let Some(w) = world else { return };
    let mut stream = Stream::open(&w.path("d"));
    let mut visited = Vec::new();
    loop {
        let position = stream.tell();
        match stream.next() {
            Some(name) => visited.push((position, name)),
            None => break,
        }
    }
    assert_eq!(visited.len(), 3502, "with . and ..");
    // The bucket changes; where the stream has been stays where it was.
    put_all(&w.remote, &BTreeMap::from([("d/aaa".to_string(), 1), ("d/key-00500x".to_string(), 1)]));
    // Position 0 is not among them: for the file system, going there is rewinddir(3), which looks afresh.
    for n in (1..visited.len()).rev().step_by(97).chain([3501, 1, 2000]) {
        let (position, name) = &visited[n];
        stream.seek(*position);
        assert_eq!(stream.next().as_ref(), Some(name), "entry {n}");
        assert_eq!(stream.next().as_ref(), visited.get(n + 1).map(|(_, name)| name), "the one after entry {n}");
    }
}

/// Rule R21.
#[test]
fn names_that_are_there_throughout_are_listed_exactly_once_while_others_come_and_go() {
    const STABLE: u32 = 20_000;
    let world = World::prepared(Versioning::Off, &[], |remote| put_all(remote, &numbered(0..STABLE)));
    let Some(w) = world else { return };
    let over = AtomicBool::new(false);
    let rounds = if require::everything_is_required() { 12 } else { 4 };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut n = 1u32;
            while !over.load(Ordering::Relaxed) {
                n = n.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let key = format!("d/key-{:05}-{}", (n >> 8) % STABLE, n % 3);
                if n & 16 == 0 {
                    w.put_bytes(&key, "now".into());
                } else {
                    w.delete(&key);
                }
                // A file that becomes a directory and a file again.
                let (file, beneath) = ("d/key-10000!", "d/key-10000!/x");
                let (comes, goes) = if n & 32 == 0 { (file, beneath) } else { (beneath, file) };
                w.put_bytes(comes, "now".into());
                w.delete(goes);
                std::thread::yield_now();
            }
        });
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for round in 0..rounds {
                let mut stream = Stream::open(&w.path("d"));
                let mut seen = BTreeSet::new();
                while let Some(name) = stream.next() {
                    assert!(seen.insert(name.clone()), "round {round}: {name} twice");
                }
                let missing: Vec<u32> = (0..STABLE).filter(|n| !seen.contains(&format!("key-{n:05}"))).collect();
                assert!(missing.is_empty(), "round {round}: missing {missing:?}");
            }
        }));
        over.store(true, Ordering::Relaxed);
        outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
}

/// Rule R21.
#[test]
fn a_directory_of_very_many_keys_streams() {
    let count = if require::everything_is_required() { 1_000_000 } else { 100_000 };
    let world = World::prepared(Versioning::Off, &[], |remote| put_all(remote, &numbered(0..count)));
    let Some(w) = world else { return };
    w.reset_stats();
    let mut names = 0u32;
    let mut sum = 0u64;
    for entry in std::fs::read_dir(w.path("d")).expect("a directory") {
        let name = entry.expect("an entry").file_name();
        let digits = name.to_str().and_then(|name| name.strip_prefix("key-")).expect("one of ours");
        sum += digits.parse::<u64>().expect("a number");
        if names == 0 {
            assert!(w.stats().count("ListObjectsV2") < 10, "the first name does not wait for the last page");
        }
        names += 1;
    }
    assert_eq!((names, sum), (count, u64::from(count) * u64::from(count - 1) / 2));
}
