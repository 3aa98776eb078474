//! Extended attributes that applications set: of each inode that a mount changed, what each was from when on.

use std::collections::BTreeMap;

use holdfast::env::Time;
use holdfast::error::Errno;
use holdfast::op::{Ino, Op};

use super::{Ledger, LocalFile};

/// By mount, inode and name. Oldest first.
pub(super) type Xattrs = BTreeMap<(u8, Ino, String), Vec<Value>>;

#[derive(Clone, Debug)]
pub(super) struct Value {
    began: Time,
    /// From then on it is this. `None`: that is not known yet.
    ended: Option<Time>,
    /// `None`: there is none of this name.
    value: Option<Vec<u8>>,
    /// Whether this or what was before, nobody knows.
    uncertain: bool,
    made_by: u64,
}

impl Ledger {
    pub(super) fn xattr_begins(&mut self, at: u64, mount: u8, op: &Op, now: Time) {
        let (ino, name, value) = match op {
            Op::Setxattr { ino, name, value, .. } => (*ino, name, Some(value.clone())),
            Op::Removexattr { ino, name } => (*ino, name, None),
            _ => return,
        };
        let name = String::from_utf8_lossy(name).into_owned();
        let values = self.xattrs.entry((mount, ino, name)).or_default();
        values.push(Value { began: now, ended: None, value, uncertain: false, made_by: at });
    }

    pub(super) fn xattr_ends(&mut self, at: u64, mount: u8, ino: Ino, now: Time, outcome: Option<Result<(), Errno>>) {
        let of_inode = self.xattrs.iter_mut().filter(|((of, which, _), _)| (*of, *which) == (mount, ino));
        for (_, values) in of_inode {
            let Some(place) = values.iter().position(|value| value.made_by == at) else { continue };
            match outcome {
                Some(Ok(())) => values[place].ended = Some(now),
                None
                | Some(Err(
                    Errno::EEXIST | Errno::ENODATA | Errno::EOPNOTSUPP | Errno::EPERM | Errno::EROFS | Errno::ENOSPC,
                )) => {
                    values.remove(place);
                }
                Some(Err(_)) => values[place].uncertain = true,
            }
        }
    }

    /// Whether an attribute may be this at some moment of `from..=until`; what nobody here set, may be anything. And since
    /// when what is known of it is.
    pub fn may_have_xattr(
        &self,
        (mount, ino): (u8, Ino),
        name: &str,
        value: Option<&str>,
        (from, until): (Time, Time),
    ) -> Result<(), Time> {
        let Some(values) = self.xattrs.get(&(mount, ino, name.to_owned())) else { return Ok(()) };
        admits(values, |known| known == value.map(str::as_bytes), (from, until))
    }

    /// The attributes that applications set of an inode of which it is not so that they may have been listed, or left out, at some
    /// moment of `from..=until`. And since when what is known of each is.
    pub fn wrongly_listed(
        &self,
        (mount, ino): (u8, Ino),
        listed: &[String],
        within: (Time, Time),
    ) -> Vec<(String, Time)> {
        let of_inode = self.xattrs.iter().filter(|((of, which, _), _)| (*of, *which) == (mount, ino));
        let wrong = of_inode.filter_map(|((_, _, name), values)| {
            let is_listed = listed.contains(name);
            let since = admits(values, |known| known.is_some() == is_listed, within).err()?;
            Some((name.clone(), since))
        });
        wrong.collect()
    }

    /// Whether anything is in doubt of what applications made of an inode.
    pub fn is_doubted(&self, mount: u8, ino: Ino) -> bool {
        let doubted = |file: &LocalFile| file.abandoned || file.uncertain || file.doubtful;
        let files = self.files.values().chain(&self.past).filter(|file| (file.mount, file.ino) == (mount, ino));
        files.into_iter().any(doubted)
    }
}

/// Whether one of the values that `fits` may have been an attribute's at some moment of `from..=until`; and since when what is
/// known of it is.
fn admits(values: &[Value], fits: impl Fn(Option<&[u8]>) -> bool, (from, until): (Time, Time)) -> Result<(), Time> {
    let values = &values[..values.partition_point(|value| value.began <= until)];
    let known = |value: &Value| !value.uncertain && value.ended.is_some_and(|ended| ended < from);
    let Some(first) = values.iter().rposition(known) else { return Ok(()) };
    let fits = |known: &Value| fits(known.value.as_deref());
    if values[first..].iter().any(fits) { Ok(()) } else { Err(values[first].began) }
}
