//! What new objects are given: encryption, an access list, a checksum; and that damaged bytes never become an object.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use holdfast::bucket::Protection;
use holdfast_sim::content::version_bytes;
use holdfast_sim::version;
use nix::errno::Errno;

use crate::agreement::agree;
use crate::mounted::Mounted;
use crate::proxy::Lying;
use crate::reader::{KIB, MIB};
use crate::remote::{Embedded, Remote};
use crate::world::World;
use crate::writing::close;

const PARTS: &[&str] = &["--part-size", "5MiB", "--posix-metadata"];

fn with_parts<'a>(args: &[&'a str]) -> Vec<&'a str> {
    PARTS.iter().chain(args).copied().collect()
}

fn protection(remote: &Embedded, key: &str) -> Protection {
    remote.model().current(key).unwrap_or_else(|| panic!("{key} is not there")).protection.clone()
}

/// By a PUT, an upload, a copied part beside a new one, a copy, and a copy onto itself.
fn write_in_every_way(mount: &Mounted) {
    fs::write(mount.path("small"), version_bytes("small", version(1), 100 * KIB)).expect("a PUT");
    fs::write(mount.path("large"), version_bytes("large", version(1), 12 * MIB)).expect("an upload");
    mount.sh("cp large longer; echo end >> longer; mv longer moved; chmod 640 moved; mkdir d; ln -s small link");
}

const WRITTEN: [&str; 5] = ["small", "large", "moved", "d/", "link"];

/// Rule R46.
#[test]
fn every_new_object_has_the_encryption_the_access_list_and_the_checksum_asked_for() {
    let kms = ["--sse", "aws:kms", "--sse-kms-key-id", "alias/films", "--acl", "bucket-owner-full-control"];
    let Some(w) = World::with(&with_parts(&[&kms[..], &["--checksum", "crc64nvme"]].concat())) else { return };
    write_in_every_way(&w.mount);
    for key in WRITTEN {
        let Protection { encryption, kms_key_id, acl, checksum, customer_key_md5 } = protection(&w, key);
        let told = (encryption.as_deref(), kms_key_id.as_deref(), acl.as_deref());
        assert_eq!(told, (Some("aws:kms"), Some("alias/films"), Some("bucket-owner-full-control")), "{key}");
        assert_eq!(checksum.expect(key).header, "x-amz-checksum-crc64nvme", "{key}");
        assert_eq!(customer_key_md5, None, "{key}");
    }
    agree(&w.mount, &w, "");

    let Some(w) = World::with(&with_parts(&["--sse", "AES256", "--checksum", "crc32c"])) else { return };
    write_in_every_way(&w.mount);
    for key in WRITTEN {
        let Protection { encryption, checksum, .. } = protection(&w, key);
        assert_eq!((encryption.as_deref(), checksum.expect(key).header), (Some("AES256"), "x-amz-checksum-crc32c"));
    }
    agree(&w.mount, &w, "");
}

fn key_file(folder: &Path, name: &str, byte: u8) -> String {
    let path = folder.join(name);
    fs::write(&path, [byte; 32]).expect("written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("ours");
    path.to_str().expect("UTF-8").to_string()
}

/// Rule R46.
#[test]
fn with_a_key_of_ones_own_everything_works_and_without_it_nothing_is_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let (right, wrong) = (key_file(folder.path(), "right", 1), key_file(folder.path(), "wrong", 2));
    let Some(w) = World::with(&with_parts(&["--sse-c-key-file", &right])) else { return };
    write_in_every_way(&w.mount);
    for key in WRITTEN {
        assert!(protection(&w, key).customer_key_md5.is_some(), "{key}");
    }
    agree(&w.mount, &w, "");
    agree(&w.elsewhere(&with_parts(&["--sse-c-key-file", &right])), &w, "");
    for args in [vec![], vec!["--sse-c-key-file", &wrong]] {
        let stranger = w.elsewhere(&args);
        let read = fs::read(stranger.path("small"));
        assert!(read.is_err(), "read with {args:?}");
        assert!(!stranger.log().contains("AQEBAQEB") && !w.mount.log().contains("AQEBAQEB"), "a key in the log");
    }
    w.mount.wait_for_log(&["WARN", "TLS"]);
}

/// Rule R46.
#[test]
fn bytes_that_are_damaged_on_their_way_are_refused_and_sent_again() {
    for args in [&["--checksum", "crc64nvme"], &["--checksum", "crc32c"], &["--checksum", "crc32"]] {
        let Some(w) = Lying::world(&with_parts(args)) else { return };
        let damaged = Arc::new(AtomicU32::new(0));
        let count = damaged.clone();
        // The first time that each request with a body comes; later it is let through.
        w.guard(move |asked, body| {
            if asked.method == "PUT" && asked.header("x-amz-copy-source").is_none() && body.len() > 1000 {
                let n = count.fetch_add(1, Ordering::SeqCst);
                if n.is_multiple_of(2) {
                    let middle = body.len() / 2;
                    body[middle] ^= 1;
                }
            }
            None
        });
        for (name, size) in [("small", 100 * KIB), ("large", 12 * MIB)] {
            let bytes = version_bytes(name, version(1), size);
            let file = fs::File::create(w.path(name)).expect("a new file");
            std::os::unix::fs::FileExt::write_all_at(&file, &bytes, 0).expect("written");
            assert_eq!(close(file), Ok(()), "{name} {args:?}");
            assert!(w.embedded().object(name).expect("it is there") == bytes, "{name} {args:?}");
            let header = protection(w.embedded(), name).checksum.expect("a checksum").header;
            assert_eq!(header, format!("x-amz-checksum-{}", args[1]));
        }
        assert!(damaged.load(Ordering::SeqCst) >= 4);
    }
}

/// Rule R46.
#[test]
fn what_is_always_damaged_fails_and_nothing_of_it_is_there() {
    let Some(w) = Lying::world(&["--checksum", "crc64nvme"]) else { return };
    w.guard(|asked, body| {
        if asked.method == "PUT" && body.len() > 1000 {
            body[500] ^= 1;
        }
        None
    });
    let file = fs::File::create(w.path("note")).expect("a new file");
    std::os::unix::fs::FileExt::write_all_at(&file, &[7; 5000], 0).expect("written");
    assert_eq!(close(file), Err(Errno::EIO));
    assert_eq!(w.embedded().object("note"), None);
}

#[test]
fn the_mask_says_what_files_without_a_mode_may_be_used_for() {
    let Some(w) = World::with(&["--umask", "027"]) else { return };
    w.put_bytes("d/note", "x".into());
    let mode = |name| fs::metadata(w.path(name)).expect("it is there").mode() & 0o7777;
    assert_eq!((mode("d"), mode("d/note")), (0o750, 0o640));
    let elsewhere = w.elsewhere(&["--umask", "077", "--dir-mode", "0711"]);
    let mode = |name| fs::metadata(elsewhere.path(name)).expect("it is there").mode() & 0o7777;
    assert_eq!((mode("d"), mode("d/note")), (0o711, 0o600));
}
