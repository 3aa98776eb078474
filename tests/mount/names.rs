//! Which keys are shown, and under which names.

use std::collections::BTreeMap;
use std::path::Path;

use holdfast::bucket::Versioning;
use holdfast_sim::content::version_bytes;
use holdfast_sim::version;

use crate::remote::Remote;
use crate::world::World;

/// Names that S3 allows and a path can spell.
fn odd_names() -> Vec<String> {
    let mut names: Vec<String> = [
        " ",
        "  two  spaces  ",
        " leading",
        "trailing ",
        "\t",
        "line\nbreak",
        "\n",
        "carriage\rreturn",
        "\u{1}",
        "bell\u{7}",
        "\u{1f}",
        "\u{7f}",
        "\u{85}",
        "quote'",
        "quote\"",
        "back\\slash",
        "\\",
        "%",
        "%41",
        "%2F",
        "%00",
        "100%",
        "a+b",
        "+",
        "#",
        "a#b",
        "?",
        "a?versions",
        "?acl",
        "&",
        "&amp;",
        "*",
        "=",
        ";",
        ":",
        ",",
        "@",
        "$HOME",
        "!",
        "~",
        "^",
        "`id`",
        "|",
        "<b>",
        "]]>",
        "{}",
        "[a]",
        "(1)",
        ".hidden",
        "...",
        "..a",
        "a..",
        "-rf",
        "--",
        "é",
        "e\u{301}",
        "\u{301}",
        "ｆｕｌｌ",
        "日本語",
        "עברית",
        "🎬",
        "👩‍👩‍👧",
        "\u{feff}bom",
        "\u{2028}",
        "\u{fffd}",
        "\u{10ffff}",
        "CON",
        "a.tar.gz",
    ]
    .map(str::to_string)
    .to_vec();
    names.push("n".repeat(255));
    names.push("語".repeat(85));
    names
}

/// Each name to its content, directories left out.
fn files_in(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("an entry"));
    let files = entries.filter(|entry| entry.file_type().expect("known").is_file());
    files
        .map(|entry| {
            let name = entry.file_name().into_string().expect("keys are UTF-8");
            let bytes = std::fs::read(entry.path()).unwrap_or_else(|error| panic!("{name:?}: {error}"));
            (name, bytes)
        })
        .collect()
}

#[test]
fn every_key_that_a_path_can_spell_is_listed_and_reads() {
    let content = |key: &str| version_bytes(key, version(1), 100 + key.len() as u64).to_vec();
    let world = World::prepared(Versioning::Off, &[], |remote| {
        for name in odd_names() {
            for key in [name.clone(), format!("{name} directory/{name}"), format!("beneath/{name}")] {
                if key.split('/').all(|part| part.len() <= 255) {
                    remote.put_bytes(&key, content(&key).into());
                }
            }
        }
    });
    let Some(w) = world else { return };
    let expected = |prefix: &str| -> BTreeMap<String, Vec<u8>> {
        odd_names().into_iter().map(|name| (name.clone(), content(&format!("{prefix}{name}")))).collect()
    };
    assert_eq!(files_in(w.mount.directory()), expected(""));
    assert_eq!(files_in(&w.path("beneath")), expected("beneath/"));
    for name in odd_names().iter().filter(|name| name.len() < 200) {
        let directory = w.path(&format!("{name} directory"));
        assert!(directory.is_dir(), "{directory:?}");
        let only = content(&format!("{name} directory/{name}"));
        assert_eq!(files_in(&directory), BTreeMap::from([(name.clone(), only)]));
    }
}

#[test]
fn every_key_that_a_path_can_spell_opens_without_a_listing_before() {
    let Some(w) = World::plain() else { return };
    for name in odd_names() {
        let bytes = version_bytes(&name, version(1), 77);
        w.put_bytes(&name, bytes.clone());
        assert_eq!(std::fs::read(w.path(&name)).unwrap_or_else(|error| panic!("{name:?}: {error}")), bytes);
    }
}

#[test]
fn composed_and_decomposed_letters_are_two_names() {
    let Some(w) = World::plain() else { return };
    w.put_bytes("é", "composed".into());
    w.put_bytes("e\u{301}", "decomposed".into());
    assert_eq!(std::fs::read_to_string(w.path("é")).expect("one"), "composed");
    assert_eq!(std::fs::read_to_string(w.path("e\u{301}")).expect("the other"), "decomposed");
}

/// Rule R20.
#[test]
fn keys_that_no_path_can_spell_are_hidden_and_the_log_says_so_once() {
    let long = "n".repeat(256);
    let hidden = ["a//b", "a/./b", "a/../b", "./c", "../c", "//", "/d", &long, &format!("a/{long}/b"), ".", ".."];
    let world = World::prepared(Versioning::Off, &[], |remote| {
        hidden.iter().for_each(|key| remote.put_bytes(key, "hidden".into()));
        remote.put_bytes("a/shown", "shown".into());
        remote.put_bytes("shown", "shown".into());
    });
    let Some(w) = world else { return };
    assert_eq!(names_in(w.mount.directory()), ["a", "shown"]);
    assert_eq!(names_in(&w.path("a")), ["shown"]);
    assert_eq!(names_in(w.mount.directory()), ["a", "shown"]);
    let lines = w.mount.log_lines(&["is not shown"]);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("WARN"), "{lines:?}");
}

#[test]
fn a_name_of_more_than_255_bytes_is_too_long_and_one_of_other_bytes_does_not_exist() {
    let Some(w) = World::plain() else { return };
    let errno = |name: &std::ffi::OsStr| std::fs::metadata(w.mount.path(name)).expect_err("no file").raw_os_error();
    assert_eq!(errno("n".repeat(256).as_ref()), Some(nix::libc::ENAMETOOLONG));
    let latin1 = std::os::unix::ffi::OsStrExt::from_bytes(b"caf\xe9");
    assert_eq!(errno(latin1), Some(nix::libc::ENOENT));
}

/// Rule R19.
#[test]
fn a_directory_shadows_the_file_of_its_name() {
    let world = World::prepared(Versioning::Off, &[], |remote| {
        for key in ["d", "d-1", "d.txt", "d/e", "f/", "f", "g"] {
            remote.put_bytes(key, key.to_string().into());
        }
    });
    let Some(w) = world else { return };
    assert!(w.path("d").is_dir() && w.path("f").is_dir(), "looked up");
    assert_eq!(names_in(w.mount.directory()), ["d", "d-1", "d.txt", "f", "g"]);
    assert!(w.path("d").is_dir() && w.path("f").is_dir(), "listed");
    assert_eq!(names_in(&w.path("d")), ["e"]);
    assert!(names_in(&w.path("f")).is_empty());
    assert_eq!(std::fs::read_to_string(w.path("d/e")).expect("a file"), "d/e");
    assert_eq!(w.mount.log_lines(&["is not shown"]).len(), 1);
}

#[test]
fn a_prefix_can_be_mounted_and_nothing_outside_it_shows() {
    if !crate::require::fuse() {
        return;
    }
    let remote = crate::remote::Embedded::start(Versioning::Off);
    for key in ["films/a", "films/b/c", "films", "films-2/d", "other"] {
        remote.put_bytes(key, key.to_string().into());
    }
    for source in ["s3://holdfast/films", "holdfast/films/"] {
        let mount = crate::mounted::Mounted::start(&remote.endpoint(), source, &[""; 0]);
        assert_eq!(names_in(mount.directory()), ["a", "b"]);
        assert_eq!(std::fs::read_to_string(mount.path("b/c")).expect("a file"), "films/b/c");
        assert!(std::fs::metadata(mount.path("../other")).is_err());
    }
}

/// Sorted.
fn names_in(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).expect("a directory");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8")).collect();
    names.sort();
    names
}
