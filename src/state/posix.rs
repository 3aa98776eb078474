//! Attributes that other tools keep in an object's user metadata: mode, owner, times, symbolic links.
//!
//! The names are those of s3fs (`mode`, `uid`, `gid`, `mtime`), which rclone and goofys share in part. s3fs writes numbers
//! in decimal, and a whole st_mode; rclone writes the mode in octal and the time with a fraction.

use std::collections::BTreeMap;

use crate::env::store::ObjectMeta;
use crate::op::{Kind, UnixTime};

/// What the metadata says; `None` where it says nothing that can be understood.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Posix {
    pub kind: Option<Kind>,
    /// Permission bits, 0o7777.
    pub perm: Option<u16>,
    pub uid: Option<u32>,
    pub gid: Option<u32>,
    pub mtime: Option<UnixTime>,
    pub atime: Option<UnixTime>,
    pub ctime: Option<UnixTime>,
}

const S_IFMT: u32 = 0o170_000;
const KINDS: [(Kind, u32); 5] = [
    (Kind::File, 0o100_000),
    (Kind::Directory, 0o040_000),
    (Kind::Symlink, 0o120_000),
    (Kind::Fifo, 0o010_000),
    (Kind::Socket, 0o140_000),
];
/// No st_mode in decimal has so many digits; every one of a file in octal has.
const OCTAL_FROM: u32 = 100_000;

impl Posix {
    pub fn of(meta: &ObjectMeta) -> Self {
        Self::of_user(&meta.user)
    }

    /// The same of an object's user metadata.
    pub fn of_user(user: &BTreeMap<String, String>) -> Self {
        let text = |name: &str| user.get(name).map(|value| value.trim());
        let mode = text("mode").and_then(parse_mode);
        let time = |name: &str| text(name).and_then(parse_time);
        Self {
            kind: mode.and_then(|mode| KINDS.iter().find(|(_, bits)| mode & S_IFMT == *bits).map(|(kind, _)| *kind)),
            perm: mode.map(|mode| (mode & 0o7777) as u16),
            uid: text("uid").and_then(|value| value.parse().ok()),
            gid: text("gid").and_then(|value| value.parse().ok()),
            mtime: time("mtime"),
            atime: time("atime"),
            ctime: time("ctime"),
        }
    }

    /// Sets what is known in an object's user metadata, as s3fs writes it, and leaves the rest.
    pub fn write_into(&self, user: &mut BTreeMap<String, String>) {
        let mut set = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                user.insert(name.to_string(), value);
            }
        };
        let bits = |kind| KINDS.iter().find(|(known, _)| *known == kind).map_or(0, |(_, bits)| *bits);
        set("mode", self.perm.map(|perm| (bits(self.kind.unwrap_or(Kind::File)) | u32::from(perm)).to_string()));
        set("uid", self.uid.map(|uid| uid.to_string()));
        set("gid", self.gid.map(|gid| gid.to_string()));
        set("mtime", self.mtime.map(time_text));
        set("atime", self.atime.map(time_text));
        set("ctime", self.ctime.map(time_text));
    }
}

fn parse_mode(text: &str) -> Option<u32> {
    let decimal: u32 = text.parse().ok()?;
    if decimal < OCTAL_FROM { Some(decimal) } else { u32::from_str_radix(text, 8).ok() }
}

/// Seconds, perhaps with a fraction.
fn parse_time(text: &str) -> Option<UnixTime> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    Some(UnixTime { seconds: seconds.parse().ok()?, nanos: digits.parse().ok()? })
}

fn time_text(time: UnixTime) -> String {
    match time.nanos {
        0 => time.seconds.to_string(),
        nanos => format!("{}.{nanos:09}", time.seconds),
    }
}

#[cfg(test)]
mod tests {
    use super::Posix;
    use crate::env::store::ObjectMeta;
    use crate::op::{Kind, UnixTime};

    fn posix(pairs: &[(&str, &str)]) -> Posix {
        Posix::of(&ObjectMeta {
            etag: "e".into(),
            version_id: None,
            size: 3,
            last_modified: 0,
            content_type: None,
            storage_class: None,
            user: pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect(),
        })
    }

    #[test]
    fn s3fs_writes_decimal_and_rclone_octal() {
        for link in ["41471", "120777"] {
            let read = posix(&[("mode", link), ("uid", "1000"), ("mtime", "1700000000.25")]);
            assert_eq!((read.kind, read.perm), (Some(Kind::Symlink), Some(0o777)));
            let quarter_past = UnixTime { seconds: 1_700_000_000, nanos: 250_000_000 };
            assert_eq!((read.uid, read.mtime), (Some(1000), Some(quarter_past)));
        }
        assert_eq!(posix(&[("mode", "33188")]).perm, Some(0o644));
        assert_eq!(posix(&[("mode", "33188")]).kind, Some(Kind::File));
    }

    #[test]
    fn what_is_written_is_read_again() {
        let time = UnixTime { seconds: 1_700_000_000, nanos: 5 };
        let times = Posix { mtime: Some(time), atime: Some(time), ctime: Some(time), ..Posix::default() };
        for (kind, _) in super::KINDS {
            let written = Posix { kind: Some(kind), perm: Some(0o2750), uid: Some(7), gid: Some(8), ..times };
            let mut user = [("color".to_string(), "red".to_string())].into();
            written.write_into(&mut user);
            let pairs: Vec<(&str, &str)> = user.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            assert_eq!(posix(&pairs), written);
            assert_eq!(user["color"], "red");
        }
    }

    #[test]
    fn what_cannot_be_understood_says_nothing() {
        assert_eq!(posix(&[]), Posix::default());
        assert_eq!(posix(&[("mode", "rwx"), ("uid", "-1"), ("mtime", "soon")]), Posix::default());
    }
}
