//! Wrong answers on the wire: a clear error for that operation, the mount lives, nothing of the answer is kept.

use std::fs::File;
use std::path::Path;
use std::sync::Mutex;

use holdfast_sim::version;
use nix::libc::{EACCES, EIO, ENOENT};

use crate::proxy::{Answer, Asked, Lying};
use crate::reader::{KIB, MIB, Reader, Saw, Sight, saw};
use crate::remote::Remote;

const SIZE: u64 = 64 * MIB;
const PIECE: u64 = 4 * KIB;

/// What a reader may see while the server lies.
#[derive(Clone, Copy)]
enum Expected {
    /// The bytes of the version, in spite of it.
    Right,
    Errno(i32),
    /// Either: the lie can be seen through, or not be used.
    RightOrEio,
}

impl Expected {
    fn admits(self, seen: &Result<Saw, Sight>, right: Saw) -> bool {
        match (self, seen) {
            (Self::Right | Self::RightOrEio, Ok(saw)) => *saw == right,
            (Self::Errno(errno), Err(Sight::Errno(seen))) => *seen == errno,
            (Self::RightOrEio, Err(Sight::Errno(seen))) => *seen == EIO,
            _ => false,
        }
    }
}

type Rewrite = fn(&Asked, Answer) -> Answer;
type Lie = (&'static str, Expected, Rewrite);

/// Lies about an answer to a GET with a range.
const RANGE_LIES: &[Lie] = &[
    ("another range", Expected::Errno(EIO), |_, answer| {
        let (start, rest) = answer.header("content-range")["bytes ".len()..].split_once('-').expect("a range");
        let (end, size) = rest.split_once('/').expect("a size");
        let shifted = |number: &str| number.parse::<u64>().expect("a number") - 4096;
        let range = format!("bytes {}-{}/{size}", shifted(start), shifted(end));
        answer.with_header("content-range", &range)
    }),
    ("a shorter range", Expected::RightOrEio, |_, answer| {
        let half = answer.body.len() / 2;
        let (start, _) = answer.header("content-range")["bytes ".len()..].split_once('-').expect("a range");
        let start: u64 = start.parse().expect("a number");
        let range = format!("bytes {start}-{}/{SIZE}", start + half as u64 - 1);
        let body = answer.body[..half].to_vec();
        answer.with_header("content-range", &range).with_body(body)
    }),
    ("no range", Expected::Errno(EIO), |_, answer| answer.without_header("content-range")),
    ("a range that is none", Expected::Errno(EIO), |_, answer| answer.with_header("content-range", "bytes some/many")),
    ("a range of an object of another size", Expected::Errno(EIO), |_, answer| {
        let range = answer.header("content-range").replace(&SIZE.to_string(), &(SIZE + 1).to_string());
        answer.with_header("content-range", &range)
    }),
    ("another ETag", Expected::Errno(EIO), |_, answer| answer.with_header("etag", "\"0123456789abcdef\"")),
    ("no ETag", Expected::Errno(EIO), |_, answer| answer.without_header("etag")),
];

/// Lies about any answer to a GET.
const BODY_LIES: &[Lie] = &[
    ("a body that breaks", Expected::Right, |_, mut answer| {
        answer.breaks_after = Some(answer.body.len().div_ceil(2));
        answer
    }),
    ("a body that breaks before its first byte", Expected::Errno(EIO), |_, mut answer| {
        answer.breaks_after = Some(0);
        answer
    }),
    ("a body that is shorter, and says so", Expected::Errno(EIO), |_, answer| {
        let half = answer.body[..answer.body.len() / 2].to_vec();
        answer.with_body(half)
    }),
    ("a body that is longer", Expected::RightOrEio, |_, answer| {
        let mut longer = answer.body.clone();
        longer.extend_from_slice(&[b'!'; 5000]);
        answer.with_body(longer)
    }),
    ("an error document with status 200", Expected::Errno(EIO), |_, _| Answer::error(200, "InternalError")),
    ("an error document with status 200 and the object's ETag", Expected::Errno(EIO), |_, answer| {
        let document = Answer::error(200, "InternalError").body;
        let mut answer = answer.with_body(document);
        answer.status = 200;
        answer.without_header("content-range")
    }),
    ("an internal error", Expected::Errno(EIO), |_, _| Answer::error(500, "InternalError")),
    ("a request to slow down", Expected::Errno(EIO), |_, _| Answer::error(503, "SlowDown")),
    ("access denied", Expected::Errno(EACCES), |_, _| Answer::error(403, "AccessDenied")),
    ("a teapot", Expected::Errno(EIO), |_, _| Answer::error(418, "Teapot")),
];

/// Rule R27.
#[test]
fn a_wrong_answer_to_a_ranged_get_is_an_error_of_that_read_and_nothing_of_it_is_kept() {
    let Some(w) = Lying::world(&[]) else { return };
    w.put("film", version(1), SIZE);
    let film = w.open("film").reads_at_random();
    assert_eq!(film.read_at(0..PIECE), saw(version(1), PIECE));
    let right = Saw { version: version(1), bytes: PIECE };
    for (n, (name, expected, lie)) in RANGE_LIES.iter().chain(BODY_LIES).enumerate() {
        // Far from all that was read, and from one another: the next read has to ask.
        let at = 30 * MIB + n as u64 * MIB;
        w.lie(|asked, answer| match asked.is_get() && asked.header("range").is_some() && answer.status == 206 {
            true => lie(asked, answer),
            false => answer,
        });
        let seen = film.read_at(at..at + PIECE);
        assert!(expected.admits(&seen, right), "{name}: {seen:?}");
        w.mount.answers();
        w.be_honest();
        assert_eq!(film.read_at(at..at + PIECE), saw(version(1), PIECE), "{name}, and then the truth");
        film.drop_pages();
        assert_eq!(film.read_at(at..at + 3 * PIECE), saw(version(1), 3 * PIECE), "{name}, and the truth again");
    }
}

#[test]
fn a_wrong_answer_to_the_get_of_an_open_is_an_error_of_that_open_or_read_and_nothing_of_it_is_kept() {
    let Some(w) = Lying::world(&[]) else { return };
    let size = 300 * KIB;
    for (n, (name, expected, lie)) in BODY_LIES.iter().enumerate() {
        let key = format!("note-{n}");
        w.put(&key, version(1), size);
        w.lie(|asked, answer| if asked.is_get() { lie(asked, answer) } else { answer });
        let seen = File::open(w.path(&key)).map_err(Sight::from).and_then(|file| Reader::new(&key, file).read_to_end());
        assert!(expected.admits(&seen, Saw { version: version(1), bytes: size }), "{name}: {seen:?}");
        w.be_honest();
        assert_eq!(w.open(&key).read_to_end(), saw(version(1), size), "{name}, and then the truth");
    }
}

/// The page that a listing begins with, for ever.
fn first_page_again() -> impl Fn(&Asked, Answer) -> Answer + Send + Sync {
    let first: Mutex<Option<Answer>> = Mutex::new(None);
    move |asked, answer| {
        if !asked.is_list() || !asked.target.contains("delimiter") {
            return answer;
        }
        first.lock().expect("no panic").get_or_insert(answer).clone()
    }
}

fn rewritten(answer: Answer, from: &str, to: &str) -> Answer {
    let text = String::from_utf8(answer.body.clone()).expect("XML");
    assert!(text.contains(from), "{from} in {text}");
    answer.with_body(text.replace(from, to))
}

#[test]
fn a_wrong_page_of_a_listing_is_an_error_of_that_listing_and_the_next_one_is_right() {
    let Some(w) = Lying::world(&["--metadata-ttl", "minimal"]) else { return };
    (0..1500).for_each(|n| w.put(&format!("d/key-{n:04}"), version(1), 20));
    let directory = w.path("d");
    assert_eq!(list(&directory), Ok(1500));
    type ListLie = Box<dyn Fn(&Asked, Answer) -> Answer + Send + Sync>;
    fn of_listings(lie: fn(Answer) -> Answer) -> ListLie {
        Box::new(move |asked, answer| match asked.is_list() && asked.target.contains("delimiter") {
            true => lie(answer),
            false => answer,
        })
    }
    let lies: Vec<(&str, ListLie)> = vec![
        ("the first page again", Box::new(first_page_again())),
        ("keys outside the prefix", of_listings(|answer| rewritten(answer, "<Key>d", "<Key>e"))),
        ("keys of a directory beneath", of_listings(|answer| rewritten(answer, "key-0", "key/0"))),
        (
            "more to come, but no way to ask",
            of_listings(|answer| {
                let text = String::from_utf8(answer.body.clone()).expect("XML");
                let token = text.split_once("<NextContinuationToken>").and_then(|(_, rest)| rest.split_once("</Next"));
                match token {
                    Some((token, _)) => {
                        let element = format!("<NextContinuationToken>{token}</NextContinuationToken>");
                        rewritten(answer, &element, "")
                    }
                    None => answer,
                }
            }),
        ),
        (
            "half a document",
            of_listings(|answer| {
                let half = answer.body[..answer.body.len() / 2].to_vec();
                answer.with_body(half)
            }),
        ),
        ("an error document with status 200", of_listings(|_| Answer::error(200, "InternalError"))),
        ("an empty document", of_listings(|answer| answer.with_body(""))),
        ("an internal error", of_listings(|_| Answer::error(500, "InternalError"))),
    ];
    for (name, lie) in lies {
        w.lie(lie);
        assert_eq!(list(&directory), Err(EIO), "{name}");
        w.be_honest();
        assert_eq!(list(&directory), Ok(1500), "{name}, and then the truth");
        assert_eq!(w.open("d/key-0007").read_to_end(), saw(version(1), 20), "{name}");
    }
}

#[test]
fn an_object_that_a_listing_omits_is_found_by_its_name() {
    let Some(w) = Lying::world(&[]) else { return };
    (0..5).for_each(|n| w.put(&format!("d/key-{n}"), version(1), 20));
    w.lie(|asked, answer| match asked.is_list() && asked.target.contains("delimiter") {
        true => {
            let text = String::from_utf8(answer.body.clone()).expect("XML");
            let (before, rest) = text.split_once("<Contents>").expect("keys");
            let (_, after) = rest.split_once("</Contents>").expect("its end");
            answer.with_body(format!("{before}{after}"))
        }
        false => answer,
    });
    assert_eq!(list(&w.path("d")), Ok(4));
    assert_eq!(w.open("d/key-0").read_to_end(), saw(version(1), 20));
}

#[test]
fn a_wrong_answer_to_a_look_up_is_eio_and_never_says_that_a_file_is_missing() {
    let Some(w) = Lying::world(&["--metadata-ttl", "minimal"]) else { return };
    w.put("note", version(1), 100);
    let lies: [(&str, Rewrite); 5] = [
        ("HEAD without an ETag", |asked, answer| match asked.method.as_str() {
            "HEAD" => answer.without_header("etag"),
            _ => answer,
        }),
        ("HEAD without a length", |asked, answer| match asked.method.as_str() {
            "HEAD" => answer.without_header("content-length"),
            _ => answer,
        }),
        ("HEAD fails", |asked, answer| match asked.method.as_str() {
            "HEAD" => Answer::error(500, "InternalError"),
            _ => answer,
        }),
        ("LIST is an error document", |asked, answer| match asked.is_list() {
            true => Answer::error(200, "InternalError"),
            false => answer,
        }),
        ("all fails", |_, _| Answer::error(503, "SlowDown")),
    ];
    for (name, lie) in lies {
        w.lie(lie);
        for file in ["note", "missing"] {
            let errno = std::fs::metadata(w.path(file)).map_err(|error| error.raw_os_error());
            // Whether HEAD without a header is about a missing object, nobody can tell but by its status.
            let honest = file == "missing" && name.contains("without");
            assert_eq!(errno.expect_err("a lie"), Some(if honest { ENOENT } else { EIO }), "{name}: {file}");
        }
        w.be_honest();
        assert_eq!(w.open("note").read_to_end(), saw(version(1), 100), "{name}, and then the truth");
    }
}

/// Rule R28.
#[test]
fn keys_that_may_not_be_read_are_eacces_and_all_others_read() {
    let Some(w) = Lying::world(&[]) else { return };
    for key in ["open-1", "secret", "open-2", "d/secret", "d/open"] {
        w.put(key, version(1), 100);
    }
    w.lie(|asked, answer| match asked.target.contains("secret") && !asked.is_list() {
        true => Answer::error(403, "AccessDenied"),
        false => answer,
    });
    for key in ["secret", "d/secret"] {
        let errno = File::open(w.path(key)).expect_err("denied").raw_os_error();
        assert_eq!(errno, Some(EACCES), "{key}");
    }
    assert_eq!(list(w.mount.directory()), Ok(4));
    assert_eq!(list(&w.path("d")), Ok(2));
    for key in ["secret", "d/secret"] {
        let errno = File::open(w.path(key)).expect_err("denied, though listed").raw_os_error();
        assert_eq!(errno, Some(EACCES), "{key}");
    }
    for key in ["open-1", "open-2", "d/open"] {
        assert_eq!(w.open(key).read_to_end(), saw(version(1), 100));
    }
    let line = w.mount.wait_for_log(&["WARN", "\"secret\"", "denied"]);
    assert!(!line.contains(&w.endpoint().secret_key), "{line}");
    w.be_honest();
    assert_eq!(w.open("secret").read_to_end(), saw(version(1), 100), "once it may be read");
}

#[test]
fn a_directory_that_may_not_be_listed_is_eacces_and_its_files_read_by_name() {
    let Some(w) = Lying::world(&[]) else { return };
    w.put("note", version(1), 100);
    w.put("d/open", version(1), 100);
    assert!(std::fs::metadata(w.path("d")).expect("a directory").is_dir());
    w.lie(|asked, answer| if asked.is_list() { Answer::error(403, "AccessDenied") } else { answer });
    assert_eq!(list(&w.path("d")), Err(EACCES));
    assert_eq!(w.open("note").read_to_end(), saw(version(1), 100));
}

/// How many names a listing has, or its errno.
fn list(directory: &Path) -> Result<usize, i32> {
    let errno = |error: std::io::Error| error.raw_os_error().unwrap_or_default();
    std::fs::read_dir(directory).map_err(errno)?.try_fold(0, |n, entry| entry.map(|_| n + 1).map_err(errno))
}
