//! Keys and paths: a bucket of arbitrary keys, walked from the root by whatever its directories show.
//!
//! Every name shown is a name that a path can hold, once in its directory; every file shown has exactly the key that its
//! path spells, and answers for that key's object; and what is shown is all that a path can spell: a key is missing only
//! if one of its components is no name, if it is too long, or if keys beneath it make it a directory. Before that, the
//! same of the bucket's own listings, with any prefix, delimiter and page size, against the definition of a listing.

#![no_main]

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use holdfast::bucket::{Bucket, BucketOptions, DigestKind};
use holdfast::config::KEY_BYTES_MAX;
use holdfast::env::store::{List, NewObject, Put};
use holdfast::op::{DirEntry, Fh, Ino, Kind, Name, Op, OpenMode, Reply};
use holdfast_fuzz::Input;
use holdfast_sim::{Mutation, World, WorldConfig, version};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let flags = input.byte();
    // The least holds the longest name; Linux offers a page and more.
    let buffer_bytes = [4096, DirEntry::wire_bytes("", true) + 256, 600, 65_536][usize::from(flags >> 2 & 3)];
    let mount_prefix = String::from_utf8_lossy(input.until(b'\n')).into_owned();
    let list = list_request(&mut input);
    let keys = keys(&mut input);

    judge_bucket(&keys, &list);

    let mut config = WorldConfig::calm();
    config.store.lists_in_order = flags & 1 == 0;
    config.mount.prefix = mount_prefix;
    let Ok(mount) = config.mount.clone().validated() else { return };
    let w = World::new(config);
    for (n, key) in keys.iter().enumerate() {
        w.s3().apply(Mutation::put(key.as_str(), version(n as u32), n as u64 % 3));
    }
    let mut walk = Walk { w, plus: flags & 2 != 0, buffer_bytes, prefix: mount.prefix.clone(), found: BTreeMap::new() };
    walk.directory(Ino::ROOT, String::new());
    assert_eq!(walk.found, expected(&keys, &mount.prefix));
    walk.w.settle();
});

/// Deeper directories than the core could be asked for within a key's length are not there; wider buckets find no more.
const KEYS_MAX: usize = 40;

fn list_request(input: &mut Input) -> List {
    let prefix = String::from_utf8_lossy(input.until(b'\n')).into_owned();
    let delimiter = String::from_utf8_lossy(input.until(b'\n')).into_owned();
    let start_after = String::from_utf8_lossy(input.until(b'\n')).into_owned();
    let max_keys = 1 + input.below(5) as u32;
    let some = |text: String| (!text.is_empty()).then_some(text);
    List { prefix, delimiter: some(delimiter), start_after: some(start_after), continuation: None, max_keys }
}

/// A line is a key. `*` and a byte at its end: that component so many times over.
fn keys(input: &mut Input) -> BTreeSet<String> {
    let mut keys = BTreeSet::new();
    while !input.is_empty() && keys.len() < KEYS_MAX {
        let line = input.until(b'\n');
        let key = match line {
            [head @ .., b'*', times] => head.repeat(usize::from(*times)),
            line => line.to_vec(),
        };
        let key = String::from_utf8_lossy(&key).into_owned();
        if (1..=KEY_BYTES_MAX).contains(&key.len()) {
            keys.insert(key);
        }
    }
    keys
}

// The bucket.

fn judge_bucket(keys: &BTreeSet<String>, list: &List) {
    let mut bucket = Bucket::new(BucketOptions { digest: DigestKind::Quick, ..BucketOptions::default() });
    for key in keys {
        let object = NewObject::default();
        let put = Put { key: key.as_str().into(), body: Bytes::new(), object, condition: None };
        bucket.put(put, 0).expect("a key of a length that S3 takes");
    }
    let mut got = Vec::new();
    let mut request = list.clone();
    loop {
        let page = bucket.list(&request).expect("its own token");
        let objects = page.objects.iter().map(|object| object.key.to_string());
        let entries: Vec<_> = objects.chain(page.prefixes.iter().map(ToString::to_string)).collect();
        assert!(entries.len() <= list.max_keys as usize);
        assert!(!entries.is_empty() || page.next.is_none(), "an empty page that is not the last");
        got.extend(entries);
        if page.next.is_none() {
            break;
        }
        request.continuation = page.next;
    }
    let after = list.start_after.as_deref().unwrap_or_default();
    let rolled_up = |key: &String| {
        let rest = key.strip_prefix(&list.prefix)?;
        let end = list.delimiter.as_ref().and_then(|delimiter| Some(rest.find(delimiter)? + delimiter.len()));
        Some(end.map_or(key.clone(), |end| key[..list.prefix.len() + end].to_string()))
    };
    let expected: BTreeSet<String> = keys.iter().filter(|key| key.as_str() > after).filter_map(rolled_up).collect();
    // Of a page, objects and prefixes each ascend; of all, everything comes once.
    assert_eq!(got.len(), expected.len(), "{list:?}: {got:?}");
    assert_eq!(got.into_iter().collect::<BTreeSet<_>>(), expected, "{list:?}");
}

// The paths.

/// What paths can spell of the keys: each file's path, and each directory's.
fn expected(keys: &BTreeSet<String>, prefix: &str) -> BTreeMap<String, Kind> {
    let mut shown = BTreeMap::new();
    for key in keys {
        let Some(rest) = key.strip_prefix(prefix).filter(|rest| !rest.is_empty()) else { continue };
        let mut path = String::new();
        let mut components = rest.split('/').peekable();
        while let Some(component) = components.next() {
            if Name::new(component).is_none() {
                break;
            }
            path = format!("{path}/{component}");
            let kind = if components.peek().is_some() { Kind::Directory } else { Kind::File };
            let known = shown.entry(path.clone()).or_insert(kind);
            if kind == Kind::Directory {
                *known = kind;
            }
        }
    }
    shown
}

struct Walk {
    w: World,
    plus: bool,
    buffer_bytes: usize,
    prefix: String,
    found: BTreeMap<String, Kind>,
}

impl Walk {
    fn directory(&mut self, ino: Ino, path: String) {
        let Ok(Reply::Opened { fh }) = self.w.ask(Op::Opendir { ino }) else { panic!("{path:?} does not open") };
        let names = self.names(ino, fh);
        self.w.ask(Op::Releasedir { ino, fh }).expect("it is open");
        for (name, kind) in names {
            let path = format!("{path}/{name}");
            let lookup = Op::Lookup { parent: ino, name: name.into_bytes() };
            let found = self.w.ask(lookup);
            if path.len() + self.prefix.len() > KEY_BYTES_MAX + 1 {
                panic!("{path:?} is shown and is longer than any key");
            }
            let Ok(Reply::Entry(entry)) = found else { panic!("{path:?} is shown, but: {found:?}") };
            let attr = entry.attr.unwrap_or_else(|| panic!("{path:?} is shown and does not exist"));
            assert_eq!(attr.kind, kind, "{path:?}");
            assert!(self.found.insert(path.clone(), kind).is_none(), "{path:?} is there twice");
            match kind {
                Kind::Directory => self.directory(attr.ino, path),
                _ => self.file(attr.ino, attr.size, &path),
            }
            self.w.ask(Op::Forget { ino: attr.ino, count: 1 }).expect("forgetting succeeds");
        }
    }

    /// All names but `.` and `..`, in as many requests as it takes.
    fn names(&mut self, ino: Ino, fh: Fh) -> Vec<(String, Kind)> {
        let mut names: BTreeMap<String, Kind> = BTreeMap::new();
        let mut offset = 0;
        loop {
            let read = Op::Readdir { ino, fh, offset, max_bytes: self.buffer_bytes, plus: self.plus };
            let answer = self.w.ask(read);
            let Ok(Reply::Directory(entries)) = answer else { panic!("readdir: {answer:?}") };
            let Some(last) = entries.last() else { return names.into_iter().collect() };
            offset = last.offset;
            for entry in entries {
                if entry.offset <= 2 {
                    continue;
                }
                assert!(Name::new(&entry.name).is_some(), "{:?} is no name", entry.name);
                let kind = entry.kind;
                assert!(names.insert(entry.name.to_string(), kind).is_none(), "{:?} is listed twice", entry.name);
                if entry.entry.is_some() {
                    self.w.ask(Op::Forget { ino: entry.ino, count: 1 }).expect("forgetting succeeds");
                }
            }
        }
    }

    /// The object at exactly this path's key.
    fn file(&mut self, ino: Ino, size: u64, path: &str) {
        let key = format!("{}{}", self.prefix, &path[1..]);
        let published =
            self.w.history().current(&key).unwrap_or_else(|| panic!("{path:?} is shown, but {key:?} is no key"));
        assert_eq!(size, published.size, "{path:?}");
        let asked = self.w.ask(Op::Getxattr { ino, name: b"user.s3.etag".to_vec() });
        let Ok(Reply::Xattr(etag)) = asked else { panic!("the ETag of {path:?}: {asked:?}") };
        assert_eq!(etag, published.etag.as_str().as_bytes(), "{path:?}");
        let opened = self.w.ask(Op::Open { ino, mode: OpenMode::default() });
        let Ok(Reply::Opened { fh }) = opened else { panic!("{path:?} does not open: {opened:?}") };
        self.w.ask(Op::Release { ino, fh }).expect("it is open");
    }
}
