//! What Linux reads before it is asked to (mm/readahead.c, do_sync_mmap_readahead of mm/filemap.c): pure policy.
//!
//! A reader who misses a page gets a window from there on, with a mark in it. When a reader comes to the mark the next
//! window is read, before it is needed; windows double up to the most the mount allows.

use std::ops::Range;

use super::pages::Pages;

/// What a read asks for at a time at least, when nothing runs ahead of it (bdi->io_pages).
const OPTIMAL_PAGES: u64 = 32;
/// Faults that miss so much more often than they hit end readahead for mappings (MMAP_LOTSAMISS).
const MAPPED_MISSES_MAX: u32 = 100;

/// Windows that are read before they are needed end on a multiple of so many pages (ra->order, which FUSE never raises
/// above its first step).
const ASYNC_ALIGN: u64 = 4;

/// Of one `struct file` (struct file_ra_state).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Readahead {
    start: u64,
    size: u64,
    async_size: u64,
    /// Where the last read ended, in bytes.
    previous: Option<u64>,
    mapped_misses: u32,
    /// Just what is asked for (FMODE_RANDOM).
    pub(super) random: bool,
}

/// Pages to be read, those that are here already left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) pages: Range<u64>,
    pub(super) mark: Option<u64>,
}

/// What the mount allows, in pages.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// bdi->ra_pages
    pub(super) readahead: u64,
    /// Of the file.
    pub(super) file: u64,
}

impl Readahead {
    /// A read(2) ended at this byte.
    pub(super) fn read_to(&mut self, end: u64) {
        self.previous = Some(end);
    }

    /// A read of `wanted` pages misses the first of them, `index` (page_cache_sync_ra).
    pub(super) fn on_miss(&mut self, index: u64, wanted: u64, limits: Limits, pages: &Pages) -> Option<Window> {
        if self.random || limits.readahead == 0 {
            return window(index, wanted.min(limits.readahead.max(OPTIMAL_PAGES)), 0, limits.file);
        }
        let most = limits.readahead;
        let since = self.previous.map(|end| index.wrapping_sub(end / super::pages::PAGE_BYTES));
        if index == 0 || wanted > most || since.is_some_and(|since| since <= 1) {
            self.start = index;
            self.size = first_size(wanted, most);
            self.async_size = if self.size > wanted { self.size - wanted } else { self.size / 2 };
            return self.window(limits);
        }
        // Has somebody read up to here?
        let (before, from_start) = pages.contiguous_before(index, most);
        if before <= wanted {
            return window(index, wanted, 0, limits.file);
        }
        let before = if from_start { before * 2 } else { before };
        self.start = index;
        self.size = (before + wanted).min(most);
        self.async_size = 1;
        self.window(limits)
    }

    /// A read that wants `wanted` pages from here on comes to a mark, which is cleared (page_cache_async_ra).
    pub(super) fn on_mark(&mut self, index: u64, wanted: u64, limits: Limits, pages: &Pages) -> Option<Window> {
        let most = limits.readahead;
        if most == 0 {
            return None;
        }
        if index == (self.start + self.size).wrapping_sub(self.async_size) {
            self.start += self.size;
            self.size = next_size(self.size, most);
        } else {
            // Another reader's mark: go on behind what is here.
            let start = pages.next_absent(index + 1, index + 1 + most)?;
            self.start = start;
            self.size = next_size(start - index + wanted, most);
        }
        // It ends on a boundary of the folios that it would have, were they large.
        let end = (self.start + self.size) / ASYNC_ALIGN * ASYNC_ALIGN;
        if end > self.start {
            self.size = end - self.start;
        }
        self.async_size = self.size;
        self.window(limits)
    }

    /// A fault of a mapping misses its page.
    pub(super) fn on_fault(&mut self, index: u64, limits: Limits) -> Option<Window> {
        if limits.readahead == 0 {
            return None;
        }
        self.mapped_misses = (self.mapped_misses + 1).min(MAPPED_MISSES_MAX * 10);
        if self.mapped_misses > MAPPED_MISSES_MAX {
            return None;
        }
        self.start = index.saturating_sub(limits.readahead / 2);
        self.size = limits.readahead;
        self.async_size = limits.readahead / 4;
        self.window(limits)
    }

    /// A fault of a mapping finds its page.
    pub(super) fn on_hit(&mut self) {
        self.mapped_misses = self.mapped_misses.saturating_sub(1);
    }

    fn window(&self, limits: Limits) -> Option<Window> {
        window(self.start, self.size, self.async_size, limits.file)
    }
}

/// do_page_cache_ra: the window is cut at the end of the file, and its mark keeps its distance from where it then ends.
fn window(start: u64, size: u64, async_size: u64, file: u64) -> Option<Window> {
    let size = size.min(file.checked_sub(start)?);
    if size == 0 {
        return None;
    }
    let mark = size.checked_sub(async_size).map(|before| start + before).filter(|mark| *mark < start + size);
    Some(Window { pages: start..start + size, mark })
}

/// get_init_ra_size
fn first_size(wanted: u64, most: u64) -> u64 {
    let size = wanted.next_power_of_two();
    if size <= most / 32 {
        size * 4
    } else if size <= most / 4 {
        size * 2
    } else {
        most
    }
}

/// get_next_ra_size
fn next_size(size: u64, most: u64) -> u64 {
    if size < most / 16 {
        size * 4
    } else if size <= most / 2 {
        size * 2
    } else {
        most
    }
}

#[cfg(test)]
mod tests {
    use super::{Limits, Readahead, Window};
    use crate::kernel::pages::{PAGE_BYTES, Pages};

    const LIMITS: Limits = Limits { readahead: 32, file: 1000 };

    #[test]
    fn a_sequential_reader_is_given_windows_that_double() {
        let (mut ahead, pages) = (Readahead::default(), Pages::default());
        assert_eq!(ahead.on_miss(0, 1, LIMITS, &pages), Some(Window { pages: 0..4, mark: Some(1) }));
        assert_eq!(ahead.on_mark(1, 1, LIMITS, &pages), Some(Window { pages: 4..12, mark: Some(4) }));
        assert_eq!(ahead.on_mark(4, 1, LIMITS, &pages), Some(Window { pages: 12..28, mark: Some(12) }));
        assert_eq!(ahead.on_mark(12, 1, LIMITS, &pages), Some(Window { pages: 28..60, mark: Some(28) }));
        assert_eq!(ahead.on_mark(28, 1, LIMITS, &pages), Some(Window { pages: 60..92, mark: Some(60) }));
    }

    #[test]
    fn a_window_that_would_end_anywhere_ends_at_a_boundary() {
        let (mut ahead, pages) = (Readahead::default(), Pages::default());
        ahead.read_to(27 * PAGE_BYTES);
        assert_eq!(ahead.on_miss(27, 3, LIMITS, &pages), Some(Window { pages: 27..35, mark: Some(30) }));
        assert_eq!(ahead.on_mark(30, 12, LIMITS, &pages), Some(Window { pages: 35..48, mark: Some(35) }));
        assert_eq!(ahead.on_mark(35, 7, LIMITS, &pages), Some(Window { pages: 48..72, mark: Some(48) }));
    }

    #[test]
    fn a_stray_read_is_given_what_it_asks_for() {
        let mut ahead = Readahead::default();
        ahead.read_to(500 * PAGE_BYTES);
        let pages = Pages::default();
        assert_eq!(ahead.on_miss(700, 3, LIMITS, &pages), Some(Window { pages: 700..703, mark: None }));
    }

    #[test]
    fn a_fault_is_given_what_lies_around_it() {
        let mut ahead = Readahead::default();
        assert_eq!(ahead.on_fault(100, LIMITS), Some(Window { pages: 84..116, mark: Some(108) }));
        assert_eq!(ahead.on_fault(3, LIMITS), Some(Window { pages: 0..32, mark: Some(24) }));
    }

    #[test]
    fn nothing_is_read_past_the_end() {
        let (mut ahead, pages) = (Readahead::default(), Pages::default());
        let limits = Limits { file: 25, ..LIMITS };
        assert_eq!(ahead.on_miss(0, 256, limits, &pages), Some(Window { pages: 0..25, mark: Some(9) }));
        assert_eq!(ahead.on_miss(25, 1, limits, &pages), None);
    }
}
