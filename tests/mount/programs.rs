//! Programs that people run, on a mount: they must work, and what they leave must be whole, also from elsewhere.

use std::fs;

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
    let elsewhere = w.elsewhere(LIKE_A_DISK);
    let status = elsewhere.sh(&format!(
        "{identity} git -c safe.directory='*' -C repo fsck --strict 2>/dev/null
         git -c safe.directory='*' -C repo log --oneline | wc -l"
    ));
    assert_eq!(status.trim(), "2");
    w.mount.sh(&format!("{identity} git clone -q repo copy; cmp copy/file-1 repo/file-1; rm -rf repo copy"));
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
