//! What is written through mappings: first it is in a kernel's page cache alone, then a WRITE brings it to the core.

use bytes::Bytes;
use holdfast::env::Time;
use holdfast::error::Errno;
use holdfast::op::Ino;

use super::Ledger;
use super::file::Stored;

impl Ledger {
    pub fn stored(&mut self, mount: u8, ino: Ino, offset: u64, bytes: &Bytes, now: Time) {
        if let Some(file) = self.files.get_mut(&(mount, ino)) {
            let bytes = bytes.clone();
            file.stored.push(Stored { began: now, ended: None, offset, bytes, written_by: None });
        }
    }

    /// A kernel could not write such bytes back.
    pub fn lost(&mut self, mount: u8, ino: Ino, errno: Errno) {
        if let Some(file) = self.files.get_mut(&(mount, ino)) {
            file.lost = Some(errno);
        }
        self.lost.insert((mount, ino));
    }

    /// Whether that ever failed: Linux keeps such pages, and shows them for as long as it has room.
    pub fn has_lost(&self, mount: u8, ino: Ino) -> bool {
        self.lost.contains(&(mount, ino))
    }
}
