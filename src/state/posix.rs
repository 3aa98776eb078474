//! Attributes that other tools keep in an object's user metadata: mode, owner, times, symbolic links.
//!
//! The names are those of s3fs (`mode`, `uid`, `gid`, `mtime`), which rclone and goofys share in part. s3fs writes numbers
//! in decimal, and a whole st_mode; rclone writes the mode in octal and the time with a fraction.

use crate::env::store::ObjectMeta;
use crate::op::Kind;

/// What the metadata says; `None` where it says nothing that can be understood.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Posix {
    pub kind: Option<Kind>,
    /// Permission bits, 0o7777.
    pub perm: Option<u16>,
    pub uid: Option<u32>,
    pub gid: Option<u32>,
    /// Seconds since 1970.
    pub mtime: Option<i64>,
}

const S_IFMT: u32 = 0o170_000;
const S_IFLNK: u32 = 0o120_000;
const S_IFREG: u32 = 0o100_000;
/// No st_mode in decimal has so many digits; every one of a file in octal has.
const OCTAL_FROM: u32 = 100_000;

impl Posix {
    pub fn of(meta: &ObjectMeta) -> Self {
        let text = |name: &str| meta.user.get(name).map(|value| value.trim());
        let mode = text("mode").and_then(parse_mode);
        Self {
            kind: mode.and_then(|mode| match mode & S_IFMT {
                S_IFLNK => Some(Kind::Symlink),
                S_IFREG => Some(Kind::File),
                _ => None,
            }),
            perm: mode.map(|mode| (mode & 0o7777) as u16),
            uid: text("uid").and_then(|value| value.parse().ok()),
            gid: text("gid").and_then(|value| value.parse().ok()),
            mtime: text("mtime").and_then(|value| value.split('.').next()?.parse().ok()),
        }
    }
}

fn parse_mode(text: &str) -> Option<u32> {
    let decimal: u32 = text.parse().ok()?;
    if decimal < OCTAL_FROM { Some(decimal) } else { u32::from_str_radix(text, 8).ok() }
}

#[cfg(test)]
mod tests {
    use super::Posix;
    use crate::env::store::ObjectMeta;
    use crate::op::Kind;

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
            assert_eq!((read.uid, read.mtime), (Some(1000), Some(1_700_000_000)));
        }
        assert_eq!(posix(&[("mode", "33188")]).perm, Some(0o644));
        assert_eq!(posix(&[("mode", "33188")]).kind, Some(Kind::File));
    }

    #[test]
    fn what_cannot_be_understood_says_nothing() {
        assert_eq!(posix(&[]), Posix::default());
        assert_eq!(posix(&[("mode", "rwx"), ("uid", "-1"), ("mtime", "soon")]), Posix::default());
    }
}
