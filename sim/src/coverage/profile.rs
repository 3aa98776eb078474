//! What a run counted: LLVM's raw profiles (llvm/include/llvm/ProfileData/InstrProfData.inc), of any number of processes.
//!
//! The counters of a function are found by the hash of its name and the hash of its structure, which a run and the
//! mapping in its program share.

use std::collections::BTreeMap;

use super::bytes::Bytes;

/// "\xfflprofr\x81" as a little-endian number.
const MAGIC: u64 = 0xff6c_7072_6f66_7281;
/// Of LLVM 19 to 22; the upper bits tell variants.
const VERSION: u64 = 10;
const VERSION_MASK: u64 = 0x00ff_ffff_ffff_ffff;
/// Bytes of a function's record.
const RECORD_BYTES: u64 = 64;
const COUNTER_BYTES: u64 = 8;

/// (hash of the name, hash of the structure).
pub(super) type FunctionId = (u64, u64);

#[derive(Debug, Default)]
pub(super) struct Profile {
    counts: BTreeMap<FunctionId, Vec<u64>>,
}

impl Profile {
    /// `None`: the function is in no program that ran.
    pub(super) fn counts(&self, function: FunctionId) -> Option<&[u64]> {
        self.counts.get(&function).map(Vec::as_slice)
    }

    /// Adds the counts of one process.
    pub(super) fn add(&mut self, raw: &[u8]) -> Result<(), String> {
        let mut bytes = Bytes::new(raw);
        let magic = bytes.u64()?;
        let version = bytes.u64()? & VERSION_MASK;
        if magic != MAGIC || version != VERSION {
            return Err(format!("magic {magic:x}, version {version}: not a profile of version {VERSION}"));
        }
        let binary_ids_bytes = bytes.u64()?;
        let records = bytes.u64()?;
        let padding_before = bytes.u64()?;
        let counters = bytes.u64()?;
        // Padding behind the counters; bitmaps and theirs; the length of the names.
        for _ in 0..4 {
            bytes.u64()?;
        }
        // Where the counters are, seen from the first record.
        let counters_delta = bytes.u64()?;
        // Of bitmaps, names; virtual tables, their names; the last kind of value.
        for _ in 0..5 {
            bytes.u64()?;
        }
        bytes.take(binary_ids_bytes)?;
        let mut table = Bytes::new(bytes.take(records.saturating_mul(RECORD_BYTES))?);
        bytes.take(padding_before)?;
        let counters = bytes.take(counters.saturating_mul(COUNTER_BYTES))?;
        for at in 0..records {
            let mut record = Bytes::new(table.take(RECORD_BYTES)?);
            let function = (record.u64()?, record.u64()?);
            // Seen from this record.
            let first = record.u64()?.wrapping_sub(counters_delta).wrapping_add(at * RECORD_BYTES);
            // Bitmap, address, values.
            record.take(24)?;
            let len = u64::from(record.u32()?);
            let mut own = Bytes::new(counters);
            own.take(first)?;
            let total = self.counts.entry(function).or_insert_with(|| vec![0; len as usize]);
            for count in total.iter_mut().take(len as usize) {
                *count = count.saturating_add(own.u64()?);
            }
        }
        Ok(())
    }
}
