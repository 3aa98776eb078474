//! A contiguous piece of one Version's bytes, filled from the front while it is read.
//!
//! The bytes of a GET are copied here once, from the socket's buffer, and from here they go to the kernel without
//! another copy. One writer appends; any number of readers see the bytes below the watermark, which never change again.
//! This is the only file of the core with `unsafe` code; what makes it sound:
//! - `ExtentWriter` is the only way to write, there is one per extent, and `append` takes `&mut self`;
//! - it writes at or above the watermark only, and publishes with a release store;
//! - `slice` hands out bytes below a watermark that it loaded with acquire.

use std::cell::UnsafeCell;
use std::fmt;
use std::mem::MaybeUninit;
use std::ops::{Deref, Range};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::data::memory::Permit;

/// Raw room for an extent, recycled through the memory budget's pool.
pub struct Buffer(Box<[UnsafeCell<MaybeUninit<u8>>]>);

// SAFETY: the cells are written by one `ExtentWriter` above the watermark and read only below it.
unsafe impl Sync for Buffer {}

impl Buffer {
    pub fn new(bytes: usize) -> Self {
        let room = Box::<[u8]>::new_uninit_slice(bytes);
        let raw = Box::into_raw(room) as *mut [UnsafeCell<MaybeUninit<u8>>];
        // SAFETY: `UnsafeCell<T>` has the layout of `T`, and `raw` came from a box of the same length just now.
        Self(unsafe { Box::from_raw(raw) })
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

pub struct Extent {
    /// Offset in the object of the first byte.
    start: u64,
    room: Buffer,
    /// Bytes from the front that are valid.
    filled: AtomicUsize,
    /// Read again since the last sweep: gets a second chance when memory is short.
    touched: AtomicBool,
    /// Returns the room to the budget when the last reader lets go.
    permit: Permit,
}

impl Extent {
    /// An empty extent at `start` and the one writer that fills it.
    pub fn new(start: u64, room: Buffer, permit: Permit) -> (Arc<Self>, ExtentWriter) {
        let extent =
            Arc::new(Self { start, room, filled: AtomicUsize::new(0), touched: AtomicBool::new(false), permit });
        let writer = ExtentWriter { extent: extent.clone(), filled: 0 };
        (extent, writer)
    }

    pub fn start(&self) -> u64 {
        self.start
    }

    /// End in the object of the bytes that can be read now.
    pub fn end_filled(&self) -> u64 {
        self.start + self.filled.load(Ordering::Acquire) as u64
    }

    pub fn end_room(&self) -> u64 {
        self.start + self.room.len() as u64
    }

    pub fn touch(&self) {
        self.touched.store(true, Ordering::Relaxed);
    }

    /// Whether it was touched since the last call.
    pub fn take_touched(&self) -> bool {
        self.touched.swap(false, Ordering::Relaxed)
    }

    /// The bytes `range` of the object, or `None` where they are not all here yet.
    pub fn slice(self: &Arc<Self>, range: Range<u64>) -> Option<ExtentSlice> {
        let here = self.start <= range.start && range.start <= range.end && range.end <= self.end_filled();
        here.then(|| ExtentSlice {
            from: (range.start - self.start) as usize,
            len: (range.end - range.start) as usize,
            extent: self.clone(),
        })
    }
}

impl Drop for Extent {
    fn drop(&mut self) {
        let room = std::mem::replace(&mut self.room, Buffer::new(0));
        self.permit.recycle(room);
    }
}

impl fmt::Debug for Extent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Extent({}..{} of {})", self.start, self.end_filled(), self.end_room())
    }
}

/// Fills an extent from the front. Cannot be cloned.
pub struct ExtentWriter {
    extent: Arc<Extent>,
    filled: usize,
}

impl ExtentWriter {
    pub fn room_left(&self) -> usize {
        self.extent.room.len() - self.filled
    }

    /// Appends as much of `bytes` as there is room for, and answers how much that was.
    pub fn append(&mut self, bytes: &[u8]) -> usize {
        let n = bytes.len().min(self.room_left());
        let target = self.extent.room.0[self.filled..self.filled + n].as_ptr();
        // SAFETY: `target` points at `n` cells inside the room. They lie at or above the watermark, where nobody reads,
        // and `&mut self` of the only writer excludes another write. `bytes` cannot overlap them: readers hold slices
        // below the watermark only.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), target as *mut u8, n) };
        self.filled += n;
        self.extent.filled.store(self.filled, Ordering::Release);
        n
    }
}

/// Bytes of an extent, which stays alive while they are in use.
#[derive(Clone)]
pub struct ExtentSlice {
    extent: Arc<Extent>,
    from: usize,
    len: usize,
}

impl Deref for ExtentSlice {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        let cells = self.extent.room.0[self.from..self.from + self.len].as_ptr();
        // SAFETY: `Extent::slice` checked with an acquire load that these bytes lie below the watermark, which never
        // falls: they are initialised, and nobody writes below it.
        unsafe { std::slice::from_raw_parts(cells as *const u8, self.len) }
    }
}

impl AsRef<[u8]> for ExtentSlice {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for ExtentSlice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ExtentSlice({} bytes)", self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::Extent;
    use crate::data::memory::Memory;

    #[test]
    fn readers_see_what_was_appended_and_nothing_beyond() {
        let memory = Memory::new(1 << 20, 1 << 16);
        let (room, permit) = memory.allocate_anyway(8);
        let (extent, mut writer) = Extent::new(100, room, permit);
        assert_eq!(writer.append(b"abcde"), 5);
        assert_eq!(extent.slice(101..104).as_deref(), Some(&b"bcd"[..]));
        assert!(extent.slice(104..106).is_none());
        assert!(extent.slice(99..101).is_none());
        assert_eq!(writer.append(b"fghij"), 3, "as much as there is room for");
        let held = extent.slice(100..108);
        drop((extent, writer));
        assert_eq!(held.as_deref(), Some(&b"abcdefgh"[..]), "a slice outlives the extent's owner");
    }

    #[test]
    fn a_writer_and_readers_on_two_threads_agree() {
        let memory = Memory::new(1 << 20, 1 << 16);
        let (room, permit) = memory.allocate_anyway(1 << 16);
        let (extent, mut writer) = Extent::new(0, room, permit);
        std::thread::scope(|scope| {
            scope.spawn(move || {
                for i in 0..(1u32 << 14) {
                    writer.append(&i.to_le_bytes());
                }
            });
            scope.spawn(move || {
                let mut seen = 0;
                while seen < 1 << 16 {
                    let end = extent.end_filled() & !3;
                    let bytes = extent.slice(seen..end).expect("below the watermark");
                    for (i, word) in bytes.chunks_exact(4).enumerate() {
                        assert_eq!(word, ((seen / 4) as u32 + i as u32).to_le_bytes());
                    }
                    seen = end;
                }
            });
        });
    }
}
