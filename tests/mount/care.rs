//! `holdfast doctor` and `holdfast status`: what they find and say.

use std::fs;
use std::path::Path;

use bytes::Bytes;
use holdfast::bucket::{BucketOptions, Versioning};
use holdfast::env::store::{CreateUpload, Key, NewObject, UploadPart};

use crate::mounted::{Endpoint, holdfast};
use crate::proxy::{Answer, Lying};
use crate::reader::{MIB, xattr, xattrs};
use crate::remote::{Embedded, Remote};
use crate::require;
use crate::shell::output;
use crate::world::World;

struct Doctor {
    code: i32,
    text: String,
}

impl Doctor {
    #[track_caller]
    fn says(&self, state: &str, what: &str, words: &str) {
        let fits = |line: &&str| line.starts_with(state) && line.contains(what) && line.contains(words);
        assert!(self.text.lines().any(|line| fits(&line)), "{state} {what} … {words} in\n{}", self.text);
    }
}

fn doctor(endpoint: &Endpoint, state: &Path, args: &[&str]) -> Doctor {
    let mut command = holdfast();
    endpoint.lend_to(&mut command);
    command.env("XDG_STATE_HOME", state.join("state")).env("XDG_CACHE_HOME", state.join("cache"));
    let said = output(command.arg("doctor").args(args).args(["--hold-max", "1MiB"]));
    let text = String::from_utf8([said.stdout, said.stderr].concat()).expect("text");
    assert!(!text.contains(&endpoint.secret_key), "{text}");
    Doctor { code: said.status.code().expect("it was not killed"), text }
}

/// Rule R47.
#[test]
fn the_doctor_finds_a_healthy_bucket_healthy_and_leaves_nothing_there() {
    if !require::fuse() {
        return;
    }
    let home = tempfile::tempdir().expect("a folder");
    for versioning in [Versioning::Off, Versioning::Enabled] {
        let remote = Embedded::start(versioning);
        for source in ["s3://holdfast", "s3://holdfast/some/prefix"] {
            let found = doctor(&remote.endpoint(), home.path(), &[source]);
            assert_eq!(found.code, 0, "{}", found.text);
            for what in
                ["PUT", "HEAD", "GET", "If-None-Match", "If-Match", "COPY", "multipart", "DELETE", "clock", "cache"]
            {
                found.says("ok", what, "");
            }
            found.says("ok", "versions", if versioning == Versioning::Off { "are not kept" } else { "are kept" });
            found.says("ok", "uploads", "none is orphaned");
        }
        assert!(remote.model().is_empty(), "nothing remains, no version and no marker either");
        assert!(remote.model().list_uploads("").is_empty());
    }
    let remote = Embedded::start(Versioning::Off);
    assert_eq!(doctor(&remote.endpoint(), home.path(), &["s3://holdfast", "--read-only"]).code, 0);
    // Its ETags are no MD5s, and the options say so.
    let with = ["s3://holdfast", "--sse", "aws:kms", "--checksum", "crc64nvme", "--acl", "private"];
    let found = doctor(&remote.endpoint(), home.path(), &with);
    assert_eq!(found.code, 0, "{}", found.text);
}

/// Rule R47.
#[test]
fn the_doctor_says_what_is_wrong_and_what_to_do() {
    let home = tempfile::tempdir().expect("a folder");
    let remote = Embedded::start(Versioning::Off);
    let endpoint = remote.endpoint();
    let found = doctor(&endpoint, home.path(), &["s3://no-such-bucket"]);
    assert_eq!(found.code, 2, "{}", found.text);
    found.says("FAIL", "the bucket", "does not exist");
    let forged = Endpoint { secret_key: "forged-secret".into(), ..endpoint.clone() };
    let found = doctor(&forged, home.path(), &["s3://holdfast"]);
    assert_eq!(found.code, 2);
    found.says("FAIL", "the bucket", "refused the credentials");
    let found = doctor(&endpoint, home.path(), &["s3://holdfast", "--cache-dir", "/proc/nowhere"]);
    assert_eq!(found.code, 2);
    found.says("FAIL", "cache", "cannot be used");

    let ignoring = Embedded::with(BucketOptions { preconditions_ignored: true, ..BucketOptions::default() });
    let found = doctor(&ignoring.endpoint(), home.path(), &["s3://holdfast"]);
    assert_eq!(found.code, 1, "{}", found.text);
    found.says("warn", "If-None-Match", "is ignored");
    found.says("warn", "If-Match", "is ignored");
    assert!(ignoring.model().is_empty());

    let proxy = Lying::before(Embedded::start(Versioning::Off));
    proxy.guard(|asked, _| (asked.method == "PUT").then(|| Answer::error(403, "AccessDenied")));
    let found = doctor(&proxy.endpoint(), home.path(), &["s3://holdfast"]);
    assert_eq!(found.code, 1, "{}", found.text);
    found.says("warn", "PUT", "may not be made");
    proxy.guard(|asked, _| (asked.method == "DELETE").then(|| Answer::error(403, "AccessDenied")));
    let found = doctor(&proxy.endpoint(), home.path(), &["s3://holdfast"]);
    assert_eq!(found.code, 1, "{}", found.text);
    found.says("warn", "DELETE", "could not be removed");
}

/// Rule R47.
#[test]
fn the_doctor_aborts_what_a_mount_left_and_only_names_what_others_left() {
    let Some(mut w) = World::with(&["--part-size", "5MiB"]) else { return };
    let key = Key::from("somebody's");
    let create = CreateUpload { key: key.clone(), object: NewObject::default() };
    // Begun in 1970.
    let others = w.model().create_upload(create, 1000).expect("an upload");
    // A mount that dies in the middle of an upload, and has said so in its notes.
    let noted = CreateUpload { key: Key::from("ours"), object: NewObject::default() };
    let ours = w.model().create_upload(noted, 1000).expect("an upload");
    // Another that died before it was told the upload's id, while somebody else uploads to the same key.
    let begun = CreateUpload { key: Key::from("begun"), object: NewObject::default() };
    w.model().create_upload(begun.clone(), 2001).expect("an upload");
    let used = w.model().create_upload(begun, 2001).expect("an upload");
    let (key, upload) = (Key::from("begun"), used.clone());
    let part = UploadPart { key, upload, number: 1, body: Bytes::from("a part") };
    w.model().upload_part(part, 2002).expect("a part");
    w.mount.kill();
    let home = w.mount.directory().parent().expect("a parent").to_path_buf();
    let folders = home.join("state/holdfast/notes");
    let bucket = fs::read_dir(&folders).expect("notes").next().expect("of the bucket").expect("an entry").path();
    let mount = fs::read_dir(&bucket).expect("notes").next().expect("of the mount").expect("an entry").path();
    fs::write(mount.join("1"), format!("upload 4\nours{ours}")).expect("a note");
    fs::write(mount.join("2"), "beginning 5 2000\nbegun").expect("a note");

    let found = doctor(&w.endpoint(), &home, &["s3://holdfast"]);
    assert_eq!(found.code, 1, "{}", found.text);
    found.says("warn", "uploads", "\"ours\"");
    found.says("warn", "uploads", "\"begun\"");
    found.says("warn", "uploads", "\"somebody's\"");
    assert_eq!(w.model().list_uploads("").len(), 4, "without --fix nothing is changed");
    let found = doctor(&w.endpoint(), &home, &["s3://holdfast", "--fix"]);
    found.says("ok", "uploads", "aborted");
    let left: Vec<_> = w.model().list_uploads("").into_iter().map(|upload| upload.upload).collect();
    assert_eq!(left, [used, others], "somebody's stays");
    assert!(!mount.join("1").exists() && !mount.join("2").exists(), "and the notes are done with");
}

/// Rule R48.
#[test]
fn a_running_mount_says_what_it_holds() {
    let Some(w) = World::with(&["--deadline", "2s", "--attempt-timeout", "1s"]) else { return };
    w.put_bytes("film", vec![1; 8 * MIB as usize].into());
    let status = |args: &[&str]| {
        let said = output(holdfast().arg("status").args(args).arg(w.mount.directory()));
        assert!(said.status.success(), "{said:?}");
        String::from_utf8(said.stdout).expect("text")
    };
    let json = || -> serde_json::Value { serde_json::from_str(&status(&["--json"])).expect("JSON") };
    let before = json();
    assert_eq!(before["source"], "s3://holdfast/");
    assert_eq!(before["pid"], w.mount.pid().as_raw());
    assert_eq!((&before["handles"], &before["drafts"], &before["warnings"]), (&0.into(), &0.into(), &0.into()));
    let mut film = w.open("film");
    film.file.metadata().expect("it is open");
    let mut new = fs::File::create(w.path("new")).expect("a new file");
    std::io::Write::write_all(&mut new, b"not published yet").expect("written");
    let during = json();
    assert_eq!((&during["handles"], &during["drafts"]), (&2.into(), &1.into()), "{during}");
    let text = status(&[]);
    assert!(text.contains("2 handles") && text.contains("1 files that are open or not published"), "{text}");
    drop(new);
    // While the service is away, it answers all the same, and counts what went wrong.
    w.kill_server();
    assert!(fs::read(w.path("missing")).is_err());
    let _ = film.read_to_end();
    w.mount.wait_for_log(&["WARN"]);
    let away = json();
    assert!(
        away["warnings"].as_u64() >= Some(1) && !away["last_problem"].as_str().expect("words").is_empty(),
        "{away}"
    );
    w.revive_server();

    assert!(!xattrs(w.mount.directory()).unwrap_or_default().contains(&"user.holdfast.status".to_string()));
    assert!(xattr(&w.path("new"), "user.holdfast.status").is_err(), "of the root only");
}

#[test]
fn status_of_what_is_no_mount_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    for (path, words) in [(folder.path(), "nothing is mounted"), (Path::new("/proc"), "not holdfast")] {
        let said = output(holdfast().arg("status").arg(path));
        let text = String::from_utf8(said.stderr).expect("text");
        assert!(!said.status.success() && text.contains(words), "{text}");
    }
}
