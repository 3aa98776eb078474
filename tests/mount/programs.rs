//! Programs that people run, on a mount: they must work, and what they leave must be whole, also from elsewhere.

use std::fs;

use crate::agreement::agree;
use crate::remote::Remote;
use crate::require;
use crate::world::World;

/// Modes and links last, as these programs expect of a disk.
const LIKE_A_DISK: &[&str] = &["--posix-metadata"];

#[test]
fn git_inits_commits_checks_and_clones() {
    if !require::program("git", "apt-get install git") {
        return;
    }
    let Some(w) = World::with(LIKE_A_DISK) else { return };
    let identity = "export HOME=/nonexistent GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b \
                    GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b;";
    w.mount.sh(&format!(
        "{identity} git init -q repo; cd repo
         for n in 1 2 3 4 5 6 7 8; do echo line $n > file-$n; done
         mkdir deep; ln -s ../file-1 deep/link; git add .; git commit -qm first
         for n in 1 2 3; do echo more >> file-$n; done
         git mv file-8 deep/file-8; git commit -qam second; git gc -q; git fsck --strict
         git checkout -q -b other HEAD~1; git checkout -q -; git status --porcelain"
    ));
    assert!(agree(&w.mount, &w, "") > 20);
    let elsewhere = w.elsewhere(LIKE_A_DISK);
    let status = elsewhere.sh(&format!(
        "{identity} git -c safe.directory='*' -C repo fsck --strict 2>/dev/null
         git -c safe.directory='*' -C repo log --oneline | wc -l"
    ));
    assert_eq!(status.trim(), "2");
    w.mount.sh(&format!("{identity} git clone -q repo copy; cmp copy/file-1 repo/file-1"));
    agree(&w.mount, &w, "");
    w.mount.sh("rm -rf repo copy");
    assert_eq!(w.keys(), [""; 0], "rm -rf leaves nothing");
}

#[test]
fn tar_and_cp_copy_trees() {
    let Some(w) = World::with(LIKE_A_DISK) else { return };
    w.mount.sh("mkdir -p tree/a/b tree/empty
         for n in 1 2 3 4 5 6 7 8 9; do head -c ${n}00000 /dev/urandom > tree/a/file-$n; done
         ln -s a/file-1 tree/link; echo '#!/bin/sh' > tree/run; chmod 755 tree/run; touch -d 2001-02-03 tree/run
         tar -cf tree.tar tree; mkdir out; tar -xf tree.tar -C out; diff -r tree out/tree
         cp -a tree copy; diff -r tree copy
         test -x copy/run; test -L copy/link; test -d copy/empty
         test \"$(stat -c %Y copy/run)\" = \"$(stat -c %Y tree/run)\"; mv copy moved; diff -r tree moved");
    let elsewhere = w.elsewhere(LIKE_A_DISK);
    elsewhere.sh("diff -r tree out/tree; diff -r tree moved; test -x moved/run; tar -df tree.tar tree");
    for mount in [&w.mount, &elsewhere] {
        assert_eq!(agree(mount, &w, ""), 3 * 11 + 1);
    }
}

#[test]
fn rsync_copies_once() {
    if !require::program("rsync", "apt-get install rsync") {
        return;
    }
    let Some(w) = World::with(LIKE_A_DISK) else { return };
    let from = tempfile::tempdir().expect("a directory");
    for n in 0..20 {
        fs::create_dir_all(from.path().join(format!("d{}", n % 3))).expect("made");
        fs::write(from.path().join(format!("d{}/f{n}", n % 3)), vec![n as u8; 1000 * n]).expect("written");
    }
    let copy = format!("rsync -a --itemize-changes {}/ copy/", from.path().display());
    assert_eq!(w.mount.sh(&copy).lines().filter(|line| line.starts_with(">f")).count(), 20);
    assert_eq!(w.mount.sh(&copy), "", "nothing is left to copy");
    w.reset_stats();
    std::thread::sleep(crate::world::PAST_TTL);
    assert_eq!(w.mount.sh(&copy), "", "nor once every name is looked up again");
    assert_eq!(w.stats().count("PutObject"), 0, "{:?}", w.stats());
    fs::write(from.path().join("d0/f0"), "changed").expect("written");
    w.mount.sh(&copy);
    assert_eq!(w.text("copy/d0/f0").as_deref(), Some("changed"));
    w.mount.sh(&format!("diff -r {} copy", from.path().display()));
    assert_eq!(agree(&w.mount, &w, "copy"), 20);
}

#[test]
fn editors_save() {
    let Some(w) = World::plain() else { return };
    w.put_bytes("note", "one\ntwo\n".into());
    w.mount.sh("sed -i s/one/ONE/ note");
    assert_eq!(w.text("note").as_deref(), Some("ONE\ntwo\n"));
    if require::program("vim", "apt-get install vim") {
        w.mount.sh("vim -Nu NONE -es -c '%s/two/TWO/' -c wq note");
        assert_eq!(w.text("note").as_deref(), Some("ONE\nTWO\n"));
        assert_eq!(w.keys(), ["note"], "no swap or backup file is left");
    }
}

#[test]
fn sqlite_commits_rolls_back_and_is_whole_elsewhere() {
    if !require::python("sqlite3", "a python3 with its sqlite3 module") {
        return;
    }
    let Some(w) = World::plain() else { return };
    let script = "
import sqlite3
db = sqlite3.connect('data.db')
db.execute('create table t (n integer primary key, text)')
with db:
    db.executemany('insert into t values (?, ?)', ((n, 'x' * 100) for n in range(2000)))
db.execute('update t set text = ?', ('y',))
db.rollback()
with db:
    db.execute('delete from t where n % 3 = 0')
db.execute('vacuum')
db.close()
";
    fs::write(w.path("script.py"), script).expect("written");
    w.mount.sh("python3 script.py");
    let elsewhere = w.elsewhere(&[]);
    let check = "python3 -c \"import sqlite3; db = sqlite3.connect('file:data.db?mode=ro', uri=True); \
                 print(db.execute('pragma integrity_check').fetchone()[0], \
                 db.execute('select count(*), min(text) = max(text) from t').fetchone())\"";
    for mount in [&w.mount, &elsewhere] {
        assert_eq!(mount.sh(check).trim(), "ok (1333, 1)");
    }
    assert_eq!(w.keys(), ["data.db", "script.py"], "no journal is left");
    agree(&w.mount, &w, "");
}

#[test]
fn two_processes_write_one_database_in_turn() {
    if !require::python("sqlite3", "a python3 with its sqlite3 module") {
        return;
    }
    let Some(w) = World::plain() else { return };
    // Each keeps the database open all the time, and so has pages of it that the other changes.
    let script = "
import sqlite3, sys
db = sqlite3.connect('data.db', timeout=60, isolation_level=None)
db.execute('create table if not exists t (n integer primary key, who)')
for _ in range(25):
    db.execute('begin immediate')
    top = db.execute('select coalesce(max(n), 0) from t').fetchone()[0]
    db.execute('insert into t values (?, ?)', (top + 1, sys.argv[1]))
    db.execute('commit')
";
    let beneath = tempfile::tempdir().expect("a directory");
    let path = beneath.path().join("script.py");
    fs::write(&path, script).expect("written");
    let both = format!("python3 {0} a & one=$!; python3 {0} b & two=$!; wait $one; wait $two", path.display());
    w.mount.sh(&both);
    let check = "python3 -c \"import sqlite3; db = sqlite3.connect('data.db'); \
                 print(db.execute('pragma integrity_check').fetchone()[0], \
                 db.execute('select count(*), max(n), count(distinct who) from t').fetchone())\"";
    let elsewhere = w.elsewhere(&[]);
    for mount in [&w.mount, &elsewhere] {
        assert_eq!(mount.sh(check).trim(), "ok (50, 50, 2)");
        assert_eq!(agree(mount, &w, ""), 1);
    }
}

#[test]
fn cargo_builds_with_its_target_directory_on_the_mount() {
    let Some(w) = World::with(LIKE_A_DISK) else { return };
    let crate_folder = tempfile::tempdir().expect("a directory");
    let file = |name: &str, text: &str| fs::write(crate_folder.path().join(name), text).expect("written");
    file("Cargo.toml", "[package]\nname = \"tiny\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[workspace]\n");
    fs::create_dir(crate_folder.path().join("src")).expect("made");
    file("src/lib.rs", "pub fn answer() -> u32 { 41 }\n#[test]\nfn answers() { assert!(answer() > 40); }\n");
    file("src/main.rs", "fn main() { println!(\"{}\", tiny::answer()); }\n");
    let manifest = crate_folder.path().join("Cargo.toml");
    let build = format!(
        "export CARGO_TARGET_DIR=$PWD/target; unset CARGO_BUILD_TARGET_DIR RUSTFLAGS
         cargo build --quiet --offline --manifest-path {}; target/debug/tiny",
        manifest.display()
    );
    assert_eq!(w.mount.sh(&build).trim(), "41");
    agree(&w.mount, &w, "target");
    file("src/lib.rs", "pub fn answer() -> u32 { 42 }\n#[test]\nfn answers() { assert!(answer() > 40); }\n");
    assert_eq!(w.mount.sh(&build).trim(), "42", "what changed is built again");
    w.reset_stats();
    assert_eq!(w.mount.sh(&build).trim(), "42");
    w.mount.sh(&build.replace("cargo build", "cargo test"));
    assert!(agree(&w.mount, &w, "target") > 10);
}

#[test]
fn a_directory_of_a_thousand_files_is_moved() {
    let Some(w) = World::plain() else { return };
    let bytes = |n: u32| format!("file {n}").into();
    (0..1000).for_each(|n| w.put_bytes(&format!("dir/{}/{n}", n % 10), bytes(n)));
    w.mount.sh("mv dir dir2; test ! -e dir; test $(find dir2 -type f | wc -l) = 1000");
    (0..1000).for_each(|n| assert_eq!(w.object(&format!("dir2/{}/{n}", n % 10)), Some(bytes(n))));
    assert_eq!(agree(&w.mount, &w, ""), 1000);
}

#[test]
fn python_makes_a_virtual_environment() {
    if !require::python("venv", "a python3 with its venv module") {
        return;
    }
    let Some(w) = World::with(LIKE_A_DISK) else { return };
    w.mount
        .sh("python3 -m venv --without-pip env; env/bin/python -c 'import sys; assert sys.prefix.endswith(\"env\")'");
    w.elsewhere(LIKE_A_DISK).sh("test -L env/bin/python; test -f env/pyvenv.cfg");
    agree(&w.mount, &w, "env");
}

#[test]
fn a_tree_is_removed() {
    let Some(w) = World::plain() else { return };
    for n in 0..300 {
        w.put_bytes(&format!("tree/{}/{}/{n}", n % 5, n % 7), "x".into());
    }
    w.put_bytes("tree/0/", "".into());
    w.mount.sh("rm -r tree; test ! -e tree");
    assert_eq!(w.keys(), [""; 0]);
}
