//! The page cache of one inode: what is here, what is on its way, what failed to come.
//!
//! Pure data. A page is absent, locked by a READ under way, up to date, or here without being up to date because its READ
//! failed, or because only a part of it was written. Up-to-date pages are kept in the runs they came in; only the last page of a file is short.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::task::Waker;

use bytes::Bytes;

use crate::KIB;

pub(super) const PAGE_BYTES: u64 = 4 * KIB;

#[derive(Default)]
pub(super) struct Pages {
    /// By their first page.
    runs: BTreeMap<u64, Bytes>,
    locked: Vec<Range<u64>>,
    failed: BTreeSet<u64>,
    /// Pages at which readahead goes on (PG_readahead).
    marks: BTreeSet<u64>,
    /// Written to through mappings since they were last written back.
    dirty: BTreeSet<u64>,
    /// Being written back.
    writing: BTreeSet<u64>,
    waiters: Vec<Waker>,
}

/// What a reader finds at a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// From that page on, as far as it is here in one piece, and no further than past the first mark.
    UpToDate {
        bytes: Bytes,
        mark: Option<u64>,
    },
    Locked {
        marked: bool,
    },
    Failed,
    Absent,
}

impl Pages {
    /// Nothing is here nor on its way.
    pub(super) fn is_empty(&self) -> bool {
        self.runs.is_empty() && self.locked.is_empty()
    }

    /// `before`: pages from there on do not matter to the reader.
    pub(super) fn find(&self, page: u64, before: u64) -> Found {
        if let Some((first, bytes)) = self.run_at(page) {
            let end = before.min(first + page_count(bytes));
            let mark = self.marks.range(page..end).next().copied();
            let end = mark.map_or(end, |mark| mark + 1);
            let to = bytes.len().min(((end - first) * PAGE_BYTES) as usize);
            return Found::UpToDate { bytes: bytes.slice(((page - first) * PAGE_BYTES) as usize..to), mark };
        }
        if self.is_locked(page) {
            return Found::Locked { marked: self.marks.contains(&page) };
        }
        if self.failed.contains(&page) { Found::Failed } else { Found::Absent }
    }

    pub(super) fn is_locked(&self, page: u64) -> bool {
        self.locked.iter().any(|range| range.contains(&page))
    }

    fn run_at(&self, page: u64) -> Option<(u64, &Bytes)> {
        let (first, bytes) = self.runs.range(..=page).next_back()?;
        (page < first + page_count(bytes)).then_some((*first, bytes))
    }

    /// The pages around `page` that are here or locked, if it is: one run, one READ or one page of them.
    fn around(&self, page: u64) -> Option<Range<u64>> {
        if let Some((first, bytes)) = self.run_at(page) {
            return Some(first..first + page_count(bytes));
        }
        if let Some(range) = self.locked.iter().find(|range| range.contains(&page)) {
            return Some(range.clone());
        }
        self.failed.contains(&page).then_some(page..page + 1)
    }

    /// The first run of absent pages within `range`.
    pub(super) fn first_absent(&self, range: Range<u64>) -> Option<Range<u64>> {
        let start = self.next_absent(range.start, range.end)?;
        let run = self.runs.range(start..range.end).next().map(|(first, _)| *first);
        let locked = self.locked.iter().map(|locked| locked.start).filter(|first| *first > start).min();
        let failed = self.failed.range(start..range.end).next().copied();
        let end = [run, locked, failed].into_iter().flatten().fold(range.end, u64::min);
        Some(start..end)
    }

    /// The first absent page at or after `page`, before `end`.
    pub(super) fn next_absent(&self, page: u64, end: u64) -> Option<u64> {
        let mut at = page;
        while at < end {
            match self.around(at) {
                Some(present) => at = present.end,
                None => return Some(at),
            }
        }
        None
    }

    /// How many pages in a row end with the one before `page`, as far as `most` pages tell; and whether they reach the
    /// start of the file.
    pub(super) fn contiguous_before(&self, page: u64, most: u64) -> (u64, bool) {
        let mut at = page;
        while at > 0 && page - at < most {
            match self.around(at - 1) {
                Some(present) => at = present.start,
                None => return (page - at, false),
            }
        }
        ((page - at).min(most), at == 0 && page <= most)
    }

    // Changes.

    /// A READ of these pages, all absent or failed, has begun.
    pub(super) fn lock(&mut self, pages: Range<u64>) {
        for page in pages.clone() {
            self.failed.remove(&page);
        }
        self.locked.push(pages);
    }

    /// It brought these bytes, or nothing.
    pub(super) fn unlock(&mut self, pages: &Range<u64>, bytes: Option<Bytes>) -> Vec<Waker> {
        let at = self.locked.iter().position(|locked| locked == pages).expect("they were locked by this READ");
        self.locked.swap_remove(at);
        match bytes {
            Some(bytes) if bytes.is_empty() => {}
            Some(bytes) => drop(self.runs.insert(pages.start, bytes)),
            None => self.failed.extend(pages.clone()),
        }
        self.take_waiters()
    }

    /// What a WRITE had locked, whose bytes are not here, or are put here by [`Pages::write`].
    pub(super) fn unlock_absent(&mut self, pages: &Range<u64>) -> Vec<Waker> {
        let at = self.locked.iter().position(|locked| locked == pages).expect("they were locked by this WRITE");
        self.locked.swap_remove(at);
        self.take_waiters()
    }

    /// Whether a READ or a WRITE of one of these is under way.
    pub(super) fn is_any_locked(&self, pages: Range<u64>) -> bool {
        self.locked.iter().any(|locked| locked.start < pages.end && pages.start < locked.end)
    }

    /// The file ends here from now on. What is locked beyond is for the caller to wait for.
    pub(super) fn resize(&mut self, size: u64) {
        while let Some((first, bytes)) = self.runs.pop_last() {
            let starts = first * PAGE_BYTES;
            if starts >= size {
                continue;
            }
            let end = starts + bytes.len() as u64;
            let full = (end.next_multiple_of(PAGE_BYTES)).min(size);
            let kept = match end.cmp(&full) {
                std::cmp::Ordering::Greater => bytes.slice(..(size - starts) as usize),
                std::cmp::Ordering::Equal => bytes,
                // What the last page had beyond the end was zeros.
                std::cmp::Ordering::Less => {
                    let mut longer = bytes.to_vec();
                    longer.resize((full - starts) as usize, 0);
                    longer.into()
                }
            };
            self.runs.insert(first, kept);
            break;
        }
        let pages = size.div_ceil(PAGE_BYTES);
        self.failed.retain(|page| *page < pages);
        self.dirty.retain(|page| *page < pages);
    }

    /// These bytes are in the file, which already reaches to their end. A page is up to date afterwards if it was, or if all
    /// of it was written (fuse_fill_write_pages).
    pub(super) fn write(&mut self, offset: u64, data: &Bytes) {
        let end = offset + data.len() as u64;
        let pages = offset / PAGE_BYTES..end.div_ceil(PAGE_BYTES);
        let mut whole: Vec<(u64, Bytes)> = Vec::new();
        let mut parts = Vec::new();
        for page in pages.clone() {
            let (from, to) = (page * PAGE_BYTES, (page + 1) * PAGE_BYTES);
            let piece = data.slice((from.max(offset) - offset) as usize..(to.min(end) - offset) as usize);
            if piece.len() as u64 == PAGE_BYTES {
                whole.push((page, piece));
            } else if let Some((first, bytes)) = self.run_at(page) {
                let start = ((page - first) * PAGE_BYTES) as usize;
                let mut merged = bytes[start..bytes.len().min(start + PAGE_BYTES as usize)].to_vec();
                let at = (from.max(offset) - from) as usize;
                merged.resize(merged.len().max(at + piece.len()), 0);
                merged[at..at + piece.len()].copy_from_slice(&piece);
                whole.push((page, merged.into()));
            } else {
                parts.push(page);
            }
        }
        self.take_out(pages);
        self.failed.extend(parts);
        let mut run: Option<(u64, Vec<u8>)> = None;
        for (page, bytes) in whole {
            match &mut run {
                Some((first, joined)) if *first + joined.len() as u64 / PAGE_BYTES == page => joined.extend(bytes),
                _ => {
                    if let Some((first, joined)) = run.replace((page, bytes.to_vec())) {
                        self.runs.insert(first, joined.into());
                    }
                }
            }
        }
        if let Some((first, joined)) = run {
            self.runs.insert(first, joined.into());
        }
    }

    /// Zeros are in the file there, which ends no earlier: whole pages go, and of others what is here is zeroed.
    pub(super) fn zero(&mut self, bytes: Range<u64>) {
        let whole = bytes.start.div_ceil(PAGE_BYTES)..bytes.end / PAGE_BYTES;
        let edges = [bytes.start / PAGE_BYTES, bytes.end / PAGE_BYTES];
        for page in edges.into_iter().filter(|page| !whole.contains(page)) {
            let from = bytes.start.max(page * PAGE_BYTES);
            let to = bytes.end.min((page + 1) * PAGE_BYTES);
            if from < to && self.run_at(page).is_some() {
                self.write(from, &vec![0; (to - from) as usize].into());
            }
        }
        if !whole.is_empty() {
            self.remove(whole);
        }
    }

    /// Lets go of up-to-date and failed pages, whether they are dirty or not.
    pub(super) fn remove(&mut self, pages: Range<u64>) {
        self.dirty.retain(|page| !pages.contains(page));
        self.take_out(pages);
    }

    fn take_out(&mut self, pages: Range<u64>) {
        let touched: Vec<u64> = self
            .runs
            .range(..pages.end)
            .filter(|(first, bytes)| **first + page_count(bytes) > pages.start)
            .map(|(first, _)| *first)
            .collect();
        for first in touched {
            let Some(bytes) = self.runs.remove(&first) else { continue };
            let end = first + page_count(&bytes);
            if first < pages.start {
                self.runs.insert(first, bytes.slice(..((pages.start - first) * PAGE_BYTES) as usize));
            }
            if end > pages.end {
                self.runs.insert(pages.end, bytes.slice(((pages.end - first) * PAGE_BYTES) as usize..));
            }
        }
        self.failed.retain(|page| !pages.contains(page));
    }

    // Through mappings.

    /// Writes to one page, which is here, through a mapping.
    pub(super) fn store(&mut self, offset: u64, data: &Bytes) {
        self.write(offset, data);
        self.dirty.insert(offset / PAGE_BYTES);
    }

    pub(super) fn is_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }

    pub(super) fn is_being_written(&self, page: u64) -> bool {
        self.writing.contains(&page)
    }

    pub(super) fn is_any_being_written(&self) -> bool {
        !self.writing.is_empty()
    }

    /// What is dirty, in runs that one WRITE each takes; it is being written back from now on.
    pub(super) fn begin_write_back(&mut self, pages_max: u64) -> Vec<(u64, Bytes)> {
        let mut runs: Vec<(u64, Vec<u8>)> = Vec::new();
        for page in std::mem::take(&mut self.dirty) {
            let Some(bytes) = self.page(page) else { continue };
            self.writing.insert(page);
            match runs.last_mut() {
                Some((first, run)) if page - *first < pages_max && run.len() as u64 == (page - *first) * PAGE_BYTES => {
                    run.extend_from_slice(&bytes);
                }
                _ => runs.push((page, bytes.to_vec())),
            }
        }
        runs.into_iter().map(|(first, run)| (first, run.into())).collect()
    }

    /// Of one of these runs.
    pub(super) fn end_write_back(&mut self, first: u64, run: &Bytes) -> Vec<Waker> {
        let pages = first..first + page_count(run);
        self.writing.retain(|page| !pages.contains(page));
        self.take_waiters()
    }

    fn page(&self, page: u64) -> Option<Bytes> {
        let (first, bytes) = self.run_at(page)?;
        let start = ((page - first) * PAGE_BYTES) as usize;
        Some(bytes.slice(start..bytes.len().min(start + PAGE_BYTES as usize)))
    }

    /// Pages that failed are absent again.
    pub(super) fn forget_failure(&mut self, pages: Range<u64>) {
        for page in pages {
            self.failed.remove(&page);
        }
    }

    pub(super) fn mark(&mut self, page: u64) {
        self.marks.insert(page);
    }

    /// Whether the page was marked. It no longer is.
    pub(super) fn take_mark(&mut self, page: u64) -> bool {
        self.marks.remove(&page)
    }

    /// Wakes once any READ of this inode has ended.
    pub(super) fn wait(&mut self, waker: &Waker) {
        if !self.waiters.iter().any(|other| other.will_wake(waker)) {
            self.waiters.push(waker.clone());
        }
    }

    pub(super) fn take_waiters(&mut self) -> Vec<Waker> {
        std::mem::take(&mut self.waiters)
    }

    /// All but what is locked, dirty or being written back.
    pub(super) fn drop_all(&mut self) {
        let stays: Vec<u64> = self.dirty.union(&self.writing).copied().collect();
        let kept: Vec<(u64, Bytes)> = stays.into_iter().filter_map(|page| Some((page, self.page(page)?))).collect();
        self.runs = kept.into_iter().collect();
        self.failed.clear();
        let locked = &self.locked;
        self.marks.retain(|mark| locked.iter().any(|range| range.contains(mark)));
    }

    /// Some run, and what failed; `draw` says which.
    pub(super) fn evict_some(&mut self, draw: u64) {
        self.failed.clear();
        let count = self.runs.len() as u64;
        if count == 0 {
            return;
        }
        let chosen = self.runs.keys().copied().nth((draw % count) as usize).expect("there are so many");
        let pages = chosen..chosen + page_count(&self.runs[&chosen]);
        if self.dirty.range(pages.clone()).chain(self.writing.range(pages)).next().is_some() {
            return;
        }
        let bytes = self.runs.remove(&chosen).expect("it was there just now");
        for page in chosen..chosen + page_count(&bytes) {
            self.marks.remove(&page);
        }
    }
}

/// Pages that so many bytes take.
pub(super) fn page_count(bytes: &Bytes) -> u64 {
    (bytes.len() as u64).div_ceil(PAGE_BYTES)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::{Found, PAGE_BYTES, Pages};

    fn with(runs: &[std::ops::Range<u64>]) -> Pages {
        let mut pages = Pages::default();
        for run in runs {
            pages.lock(run.clone());
            let bytes = vec![7; ((run.end - run.start) * PAGE_BYTES) as usize];
            pages.unlock(run, Some(Bytes::from(bytes)));
        }
        pages
    }

    #[test]
    fn what_is_missing_lies_between_what_is_here() {
        let mut pages = with(&[2..4, 4..6, 9..10]);
        pages.lock(7..8);
        assert_eq!(pages.first_absent(0..20), Some(0..2));
        assert_eq!(pages.first_absent(2..20), Some(6..7));
        assert_eq!(pages.first_absent(7..20), Some(8..9));
        assert_eq!(pages.first_absent(9..20), Some(10..20));
        assert_eq!(pages.first_absent(2..6), None);
    }

    #[test]
    fn what_lies_before_a_page_is_counted_back_to_the_first_gap() {
        let pages = with(&[0..2, 4..6, 6..9]);
        assert_eq!(pages.contiguous_before(9, 32), (5, false));
        assert_eq!(pages.contiguous_before(9, 3), (3, false));
        assert_eq!(pages.contiguous_before(2, 32), (2, true));
        assert_eq!(pages.contiguous_before(4, 32), (0, false));
    }

    #[test]
    fn a_reader_is_shown_a_run_as_far_as_its_first_mark() {
        let mut pages = with(&[0..4, 4..8]);
        pages.mark(3);
        let Found::UpToDate { bytes, mark } = pages.find(1, 100) else { panic!("it is here") };
        assert_eq!((bytes.len() as u64, mark), (3 * PAGE_BYTES, Some(3)));
        let Found::UpToDate { bytes, mark } = pages.find(4, 100) else { panic!("it is here") };
        assert_eq!((bytes.len() as u64, mark), (4 * PAGE_BYTES, None));
        assert_eq!(pages.find(8, 100), Found::Absent);
    }

    #[test]
    fn what_is_written_is_here_where_whole_pages_were_or_where_the_page_was_here() {
        let mut pages = with(&[0..1, 1..2]);
        pages.resize(4 * PAGE_BYTES);
        // The end of the second page, all of the third, the beginning of the fourth.
        let data = Bytes::from(vec![9; (PAGE_BYTES + 20) as usize]);
        pages.write(2 * PAGE_BYTES - 10, &data);
        let Found::UpToDate { bytes, .. } = pages.find(1, 100) else { panic!("it was here") };
        assert_eq!((bytes[0], bytes[PAGE_BYTES as usize - 11], bytes[PAGE_BYTES as usize - 10]), (7, 7, 9));
        assert!(matches!(pages.find(2, 100), Found::UpToDate { .. }));
        // Here, and not up to date.
        assert_eq!(pages.find(3, 100), Found::Failed);
    }

    #[test]
    fn zeros_take_whole_pages_and_are_written_into_others() {
        let mut pages = with(std::slice::from_ref(&(0..4)));
        pages.zero(PAGE_BYTES - 10..3 * PAGE_BYTES + 10);
        let Found::UpToDate { bytes, .. } = pages.find(0, 1) else { panic!("the rest of it is as it was") };
        assert_eq!((bytes[PAGE_BYTES as usize - 11], bytes[PAGE_BYTES as usize - 10]), (7, 0));
        assert_eq!((pages.find(1, 100), pages.find(2, 100)), (Found::Absent, Found::Absent));
        let Found::UpToDate { bytes, .. } = pages.find(3, 4) else { panic!("the rest of it is as it was") };
        assert_eq!((bytes[9], bytes[10]), (0, 7));
    }

    #[test]
    fn a_file_that_grows_has_zeros_between() {
        let mut pages = Pages::default();
        pages.lock(0..1);
        pages.unlock(&(0..1), Some(Bytes::from(vec![7; 100])));
        pages.resize(200);
        let Found::UpToDate { bytes, .. } = pages.find(0, 1) else { panic!("it is here") };
        assert_eq!((bytes.len(), bytes[99], bytes[100]), (200, 7, 0));
        pages.resize(50);
        let Found::UpToDate { bytes, .. } = pages.find(0, 1) else { panic!("it is here") };
        assert_eq!(bytes.len(), 50);
    }

    #[test]
    fn pages_that_failed_are_here_but_of_no_use() {
        let mut pages = Pages::default();
        pages.lock(0..2);
        assert_eq!(pages.find(1, 2), Found::Locked { marked: false });
        pages.unlock(&(0..2), None);
        assert_eq!(pages.find(1, 2), Found::Failed);
        assert_eq!(pages.first_absent(0..3), Some(2..3));
        pages.drop_all();
        assert_eq!(pages.find(1, 2), Found::Absent);
    }

    #[test]
    fn what_was_written_through_a_mapping_stays_until_it_is_written_back() {
        let mut pages = with(&[0..3, 5..6]);
        pages.store(PAGE_BYTES + 10, &Bytes::from_static(&[1, 2, 3]));
        pages.store(2 * PAGE_BYTES, &Bytes::from_static(&[4]));
        pages.store(5 * PAGE_BYTES, &Bytes::from_static(&[5]));
        pages.drop_all();
        assert_eq!((pages.find(0, 1), pages.is_dirty()), (Found::Absent, true));
        let runs = pages.begin_write_back(256);
        let sizes: Vec<_> = runs.iter().map(|(first, run)| (*first, run.len() as u64 / PAGE_BYTES)).collect();
        assert_eq!(sizes, [(1, 2), (5, 1)]);
        assert_eq!((runs[0].1[9], runs[0].1[10], runs[0].1[PAGE_BYTES as usize]), (7, 1, 4));
        assert!(!pages.is_dirty() && pages.is_being_written(2) && !pages.is_being_written(3));
        runs.iter().for_each(|(first, run)| drop(pages.end_write_back(*first, run)));
        pages.drop_all();
        assert!(!pages.is_any_being_written() && pages.is_empty());
    }

    #[test]
    fn what_is_cut_off_is_not_written_back() {
        let mut pages = with(&[0..1, 1..3]);
        pages.store(10, &Bytes::from_static(&[1]));
        pages.store(2 * PAGE_BYTES, &Bytes::from_static(&[1]));
        pages.resize(100);
        let runs = pages.begin_write_back(256);
        assert_eq!(runs.iter().map(|(first, run)| (*first, run.len())).collect::<Vec<_>>(), [(0, 100)]);
    }
}
