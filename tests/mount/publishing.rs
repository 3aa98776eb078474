//! What changes cost, as the server counts it, and what elsewhere is seen of them.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;

use holdfast::bucket::Versioning;
use holdfast::server::StatsSnapshot;
use holdfast_sim::content::version_bytes;
use holdfast_sim::version;
use nix::sys::signal::Signal;

use crate::reader::{KIB, MIB};
use crate::remote::Remote;
use crate::shell::quiet;
use crate::world::World;
use crate::writing::{close, read_write};

/// What looking a name up may cost.
const LOOK_UP: &[(&str, u64)] = &[("HeadObject", 1), ("ListObjectsV2", 1)];

/// The requests that were counted are exactly these, and at most those of `LOOK_UP` besides.
#[track_caller]
fn cost(stats: &StatsSnapshot, expected: &[(&str, u64)]) {
    let mut counted = stats.requests.clone();
    for (name, most) in LOOK_UP {
        let count = counted.remove(*name).unwrap_or_default();
        assert!(count <= *most, "{count} {name}: {stats:?}");
    }
    let expected = expected.iter().map(|(name, count)| (name.to_string(), *count)).collect();
    assert_eq!(counted, expected, "{stats:?}");
}

/// Rule R38.
#[test]
fn a_new_file_costs_one_look_up_and_one_put() {
    let Some(w) = World::plain() else { return };
    let _quiet = quiet();
    for (name, size) in [("empty", 0), ("small", 8 * KIB), ("note", 100 * KIB), ("more", 5 * MIB)] {
        w.reset_stats();
        fs::write(w.path(name), version_bytes(name, version(1), size)).expect("written");
        cost(&w.stats(), &[("PutObject", 1)]);
        w.reset_stats();
        assert_eq!(fs::read(w.path(name)).expect("read back").len() as u64, size);
        assert!(w.stats().total() <= 3, "{:?}", w.stats());
    }
}

/// Rule R38.
#[test]
fn replacing_a_file_costs_one_look_up_and_one_put() {
    let Some(w) = World::plain() else { return };
    let _quiet = quiet();
    w.put("note", version(1), 100 * KIB);
    w.reset_stats();
    fs::write(w.path("note"), version_bytes("note", version(2), 100 * KIB)).expect("written");
    cost(&w.stats(), &[("PutObject", 1)]);
    // What was written here is known here.
    w.reset_stats();
    fs::write(w.path("note"), "again").expect("written");
    cost(&w.stats(), &[("PutObject", 1)]);
}

/// Rule R38.
#[test]
fn appending_to_a_large_object_uploads_its_tail_only() {
    let Some(w) = World::plain() else { return };
    let _quiet = quiet();
    let mut bytes = version_bytes("film", version(1), 64 * MIB).to_vec();
    w.put_bytes("film", bytes.clone().into());
    w.reset_stats();
    let mut file = OpenOptions::new().append(true).open(w.path("film")).expect("to append");
    file.write_all(b"the end").expect("appended");
    close(file).expect("published");
    let stats = w.stats();
    assert!(stats.bytes_in < 12 * MIB && stats.bytes_out < 12 * MIB, "not all of it: {stats:?}");
    assert!(stats.count("UploadPartCopy") >= 1 && stats.count("CompleteMultipartUpload") == 1, "{stats:?}");
    bytes.extend(b"the end");
    assert!(w.object("film").expect("published") == bytes);
}

/// Rule R38.
#[test]
fn an_edit_in_the_middle_of_a_large_object_uploads_what_is_near() {
    let Some(w) = World::plain() else { return };
    let _quiet = quiet();
    let mut bytes = version_bytes("film", version(1), 64 * MIB).to_vec();
    w.put_bytes("film", bytes.clone().into());
    w.reset_stats();
    let file = read_write(&w.path("film"));
    let at = 30 * MIB as usize + 17;
    file.write_all_at(b"edited", at as u64).expect("written");
    close(file).expect("published");
    bytes[at..at + 6].copy_from_slice(b"edited");
    let stats = w.stats();
    assert!(stats.bytes_in < 20 * MIB, "{stats:?}");
    assert!(w.object("film").expect("published") == bytes);
}

/// Rule R38.
#[test]
fn a_large_new_file_goes_up_in_parts_while_it_is_written_or_at_the_end() {
    let Some(w) = World::plain() else { return };
    let _quiet = quiet();
    let bytes = version_bytes("film", version(1), 50 * MIB + 3);
    w.reset_stats();
    fs::write(w.path("film"), &bytes).expect("written");
    let stats = w.stats();
    assert_eq!((stats.count("CreateMultipartUpload"), stats.count("CompleteMultipartUpload")), (1, 1), "{stats:?}");
    assert!(stats.count("UploadPart") >= 6 && stats.count("PutObject") == 0, "{stats:?}");
    assert!(stats.bytes_in < 51 * MIB, "each byte once: {stats:?}");
    assert!(w.object("film").expect("published") == bytes);
}

/// Rule R40.
#[test]
fn renaming_a_file_costs_a_copy_and_a_deletion() {
    let Some(w) = World::plain() else { return };
    w.put("note", version(1), 100 * KIB);
    fs::metadata(w.path("note")).expect("it is there");
    w.reset_stats();
    fs::rename(w.path("note"), w.path("other")).expect("renamed");
    let stats = w.stats();
    assert_eq!((stats.count("CopyObject"), stats.count("DeleteObject")), (1, 1), "{stats:?}");
    assert_eq!((stats.count("GetObject"), stats.count("PutObject")), (0, 0), "{stats:?}");
    assert!(stats.total() <= 2 + 4, "{stats:?}");
}

#[test]
fn removing_a_file_costs_a_deletion() {
    let Some(w) = World::plain() else { return };
    w.put("note", version(1), 100 * KIB);
    w.reset_stats();
    fs::remove_file(w.path("note")).expect("removed");
    cost(&w.stats(), &[("DeleteObject", 1)]);
}

/// Rule R41.
#[test]
fn making_a_directory_costs_a_put() {
    let Some(w) = World::plain() else { return };
    w.reset_stats();
    fs::create_dir(w.path("d")).expect("made");
    cost(&w.stats(), &[("PutObject", 1)]);
    w.reset_stats();
    fs::remove_dir(w.path("d")).expect("removed");
    let stats = w.stats();
    assert!(stats.count("DeleteObject") == 1 && stats.total() <= 3, "{stats:?}");
}

/// Rule R42.
#[test]
fn a_shell_that_redirects_into_a_file_publishes_once_and_nothing_empty() {
    let scripts = ["echo x > f", "cat /etc/passwd > f", "(echo x; echo y) > f", "exec > f; echo x", "echo x | cat > f"];
    for script in scripts {
        for there_before in [false, true] {
            let Some(w) = World::prepared(Versioning::Enabled, &[], |_| {}) else { return };
            if there_before {
                w.put_bytes("f", "old\n".into());
            }
            w.reset_stats();
            w.mount.sh(script);
            // RELEASE comes after close(2) has returned.
            let versions =
                w.model().versions("f").filter_map(|entry| entry.object().map(|o| o.content.size())).collect();
            let versions: Vec<u64> = versions;
            assert_eq!(versions.len(), 1 + usize::from(there_before), "{script}: {versions:?}");
            assert!(versions.iter().all(|size| *size > 0), "{script}: {versions:?}");
            assert_eq!(w.stats().count("PutObject"), 1, "{script}: {:?}", w.stats());
        }
    }
}

/// Rule R42.
#[test]
fn a_file_that_is_only_made_is_published_empty() {
    let Some(w) = World::plain() else { return };
    w.mount.sh(": > redirected; touch touched");
    drop(File::create(w.path("created")).expect("made"));
    assert_eq!(w.keys(), ["created", "redirected", "touched"]);
    assert!(w.keys().iter().all(|key| w.text(key).as_deref() == Some("")));
}

#[test]
fn new_objects_get_the_class_and_type_asked_for() {
    let Some(w) = World::with(&["--storage-class", "STANDARD_IA"]) else { return };
    fs::write(w.path("note"), "x").expect("written");
    let class = w.model().current("note").expect("published").meta.storage_class.clone();
    assert_eq!(class.as_deref(), Some("STANDARD_IA"));
}

/// Rule R44.
#[test]
fn what_is_not_published_yet_is_before_the_process_ends() {
    let Some(mut w) = World::with(&["--unmount-grace", "1s"]) else { return };
    let mut file = File::create(w.path("late")).expect("a new file");
    file.write_all(b"written and never closed").expect("written");
    w.mount.signal(Signal::SIGTERM);
    while w.mount.is_mounted() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    drop(file);
    let status = w.mount.wait();
    assert!(status.success(), "{status}: {}", w.mount.log());
    assert_eq!(w.text("late").as_deref(), Some("written and never closed"));
}

/// Rule R45.
#[test]
fn a_store_that_ignores_preconditions_is_told_and_written_to() {
    let ignores = |remote: &crate::remote::Embedded| remote.model().set_preconditions_ignored(true);
    let Some(w) = World::prepared(Versioning::Off, &[], ignores) else { return };
    assert_eq!(w.mount.log_lines(&["WARN", "ignores preconditions"]).len(), 1, "{}", w.mount.log());
    fs::write(w.path("note"), "x").expect("written");
    fs::write(w.path("note"), "y").expect("written again");
    assert_eq!(w.text("note").as_deref(), Some("y"));
    assert_eq!(w.keys(), ["note"], "nothing is left of the probe");
}

/// Rule R45.
#[test]
fn the_probe_leaves_nothing_behind() {
    for versioning in [Versioning::Off, Versioning::Enabled] {
        let Some(w) = World::prepared(versioning, &[], |_| {}) else { return };
        assert!(w.model().is_empty(), "{versioning:?}");
        assert!(w.mount.log_lines(&["WARN"]).is_empty(), "{}", w.mount.log());
        assert_eq!(w.stats().count("PutObject"), 2, "{:?}", w.stats());
    }
}
