//! What other tools left in metadata, shown with `--posix-metadata` (Rule R32).

use holdfast::env::store::{NewObject, Put};
use holdfast::op::{Attr, Ino, Kind, Op, Reply};
use holdfast_sim::{World, WorldConfig};

type Pairs = &'static [(&'static str, &'static str)];

/// A bucket with an ordinary object, an executable of user 1000 and a link, as s3fs writes them.
fn world(posix_metadata: bool) -> World {
    let mut w = World::new(WorldConfig::calm().mounted(|config| config.posix_metadata = posix_metadata));
    let objects: [(&str, &str, Pairs); 3] = [
        ("link", "tools/run", &[("mode", "41471"), ("uid", "1000"), ("mtime", "1700000000")]),
        ("plain", "text", &[]),
        ("run", "#!/bin/sh", &[("mode", "33261"), ("uid", "1000"), ("gid", "50")]),
    ];
    for (key, body, pairs) in objects {
        let user = pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        let object = NewObject { user, ..NewObject::default() };
        let put = Put { key: key.into(), body: body.as_bytes().to_vec().into(), object, condition: None };
        w.s3().bucket().put(put, 0).expect("put");
    }
    w.wait(std::time::Duration::from_secs(1));
    w
}

fn look_up(w: &mut World, name: &str) -> Attr {
    let name = name.as_bytes().to_vec();
    let Ok(Reply::Entry(entry)) = w.ask(Op::Lookup { parent: Ino::ROOT, name }) else { panic!("not looked up") };
    let attr = entry.attr.expect("exists");
    assert!(w.ask(Op::Forget { ino: attr.ino, count: 1 }).is_ok());
    attr
}

fn link_target(w: &mut World, name: &str) -> Vec<u8> {
    let name = name.as_bytes().to_vec();
    let Ok(Reply::Entry(entry)) = w.ask(Op::Lookup { parent: Ino::ROOT, name }) else { panic!("no such link") };
    let ino = entry.attr.expect("exists").ino;
    let Ok(Reply::Link(target)) = w.ask(Op::Readlink { ino }) else { panic!("not a link") };
    assert!(w.ask(Op::Forget { ino, count: 1 }).is_ok());
    target
}

#[test]
fn links_modes_owners_and_times_are_those_in_the_metadata() {
    let mut w = world(true);
    let run = look_up(&mut w, "run");
    assert_eq!((run.kind, run.perm, run.uid, run.gid), (Kind::File, 0o755, 1000, 50));
    let link = look_up(&mut w, "link");
    assert_eq!((link.kind, link.perm, link.mtime), (Kind::Symlink, 0o777, 1_700_000_000));
    assert_eq!(look_up(&mut w, "plain").perm, 0o644);
    assert_eq!(link_target(&mut w, "link"), b"tools/run");
}

#[test]
fn a_listing_and_a_look_up_agree_on_what_is_a_link() {
    for posix_metadata in [false, true] {
        for plus in [false, true] {
            let mut w = world(posix_metadata);
            let Ok(Reply::Opened { fh }) = w.ask(Op::Opendir { ino: Ino::ROOT }) else { panic!("not opened") };
            let ask = Op::Readdir { ino: Ino::ROOT, fh, offset: 2, max_bytes: 4096, plus };
            let Ok(Reply::Directory(listed)) = w.ask(ask) else { panic!("not listed") };
            assert!(w.ask(Op::Releasedir { ino: Ino::ROOT, fh }).is_ok());
            for entry in listed {
                if entry.entry.is_some() {
                    assert!(w.ask(Op::Forget { ino: entry.ino, count: 1 }).is_ok());
                }
                let looked_up = look_up(&mut w, &entry.name);
                assert_eq!(looked_up.kind, entry.kind, "{}, plus: {plus}", entry.name);
                assert_eq!(entry.kind == Kind::Symlink, posix_metadata && &*entry.name == "link");
            }
        }
    }
}
