//! Which lines each counter stands for: LLVM's coverage mapping (llvm/docs/CoverageMappingFormat.rst), version 7.

use std::collections::BTreeMap;

use md5::{Digest, Md5};

use super::bytes::Bytes;
use super::profile::FunctionId;

/// As it is written: versions count from 0.
const VERSION: u32 = 6;
/// Columns with this bit belong to gaps between regions, which make no line coverable.
const GAP: u64 = 1 << 31;
/// A region's kind lies above a counter's tag and the bit of expansions.
const BRANCH: u64 = 4;
const SKIPPED: u64 = 2;
const CODE: u64 = 0;

/// The regions of one copy of a function.
#[derive(Debug)]
pub(super) struct Function {
    pub(super) id: FunctionId,
    expressions: Vec<(Counter, Counter)>,
    pub(super) regions: Vec<Region>,
}

#[derive(Debug)]
pub(super) struct Region {
    pub(super) file: String,
    /// The first and the last.
    pub(super) lines: (u64, u64),
    counter: Counter,
}

/// How often a region was entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Counter {
    Zero,
    Physical(u64),
    Difference(u64),
    Sum(u64),
}

impl Counter {
    fn read(encoded: u64) -> Self {
        let index = encoded >> 2;
        match encoded & 3 {
            0 => Self::Zero,
            1 => Self::Physical(index),
            2 => Self::Difference(index),
            _ => Self::Sum(index),
        }
    }
}

impl Function {
    /// How often the region was entered, by the function's counters.
    pub(super) fn count(&self, region: &Region, counts: &[u64]) -> i128 {
        self.evaluate(region.counter, counts)
    }

    fn evaluate(&self, counter: Counter, counts: &[u64]) -> i128 {
        let sides = |index: u64| {
            let (left, right) = self.expressions.get(index as usize).copied().unwrap_or((Counter::Zero, Counter::Zero));
            (self.evaluate(left, counts), self.evaluate(right, counts))
        };
        match counter {
            Counter::Zero => 0,
            Counter::Physical(index) => counts.get(index as usize).copied().unwrap_or(0).into(),
            Counter::Difference(index) => {
                let (left, right) = sides(index);
                left - right
            }
            Counter::Sum(index) => {
                let (left, right) = sides(index);
                left + right
            }
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Mapping {
    pub(super) functions: Vec<Function>,
}

impl Mapping {
    /// Adds what one object tells.
    pub(super) fn add(&mut self, covmap: &[u8], covfun: &[Vec<u8>]) -> Result<(), String> {
        let files = file_tables(covmap)?;
        for section in covfun {
            let mut at = 0;
            while section.len() >= at + 8 {
                let mut record = Bytes::new(&section[at..]);
                let name = record.u64()?;
                let len = record.u32()?;
                let function = (name, record.u64()?);
                let table = record.u64()?;
                let encoded = record.take(len.into())?;
                // Records begin at multiples of eight.
                at = (at + 28 + len as usize).next_multiple_of(8);
                let files = files.get(&table).ok_or("a function of unknown files")?;
                self.functions.push(read_function(function, encoded, files)?);
            }
        }
        Ok(())
    }
}

/// The names of files by the hash of the table they stand in.
fn file_tables(covmap: &[u8]) -> Result<BTreeMap<u64, Vec<String>>, String> {
    let mut tables = BTreeMap::new();
    let mut at = 0;
    while covmap.len() >= at + 16 {
        let mut header = Bytes::new(&covmap[at..]);
        header.u32()?;
        let len = header.u32()?;
        header.u32()?;
        let version = header.u32()?;
        if version != VERSION {
            return Err(format!("coverage mapping of version {}, not {}", version + 1, VERSION + 1));
        }
        let encoded = header.take(len.into())?;
        at = (at + 16 + len as usize).next_multiple_of(8);
        let hash = Bytes::new(&Md5::digest(encoded)).u64()?;
        tables.insert(hash, file_names(encoded)?);
    }
    Ok(tables)
}

fn file_names(encoded: &[u8]) -> Result<Vec<String>, String> {
    let mut bytes = Bytes::new(encoded);
    let names = bytes.leb128()?;
    let plain_len = bytes.leb128()?;
    let packed_len = bytes.leb128()?;
    let plain = match packed_len {
        0 => bytes.take(plain_len)?.to_vec(),
        _ => {
            miniz_oxide::inflate::decompress_to_vec_zlib(bytes.take(packed_len)?).map_err(|error| error.to_string())?
        }
    };
    let mut bytes = Bytes::new(&plain);
    let mut next = || {
        let len = bytes.leb128()?;
        Ok(String::from_utf8_lossy(bytes.take(len)?).into_owned())
    };
    (0..names).map(|_| next()).collect()
}

fn read_function(id: FunctionId, encoded: &[u8], names: &[String]) -> Result<Function, String> {
    let mut bytes = Bytes::new(encoded);
    let mut files = Vec::new();
    for _ in 0..bytes.leb128()? {
        let index = bytes.leb128()? as usize;
        let name = names.get(index).ok_or("an unknown file")?;
        // The first entry is the folder that relative names begin in.
        files.push(if name.starts_with('/') { name.clone() } else { format!("{}/{name}", names[0]) });
    }
    let mut expressions = Vec::new();
    for _ in 0..bytes.leb128()? {
        expressions.push((Counter::read(bytes.leb128()?), Counter::read(bytes.leb128()?)));
    }
    let mut regions = Vec::new();
    for file in files {
        let mut line = 0;
        for _ in 0..bytes.leb128()? {
            let encoded = bytes.leb128()?;
            let kind = if encoded & 3 != 0 { CODE } else { encoded >> 3 };
            let expansion = encoded & 7 == 4;
            if kind == BRANCH && !expansion {
                bytes.leb128()?;
                bytes.leb128()?;
            } else if kind > BRANCH && !expansion {
                return Err(format!("a region of the unknown kind {kind}"));
            }
            line += bytes.leb128()?;
            bytes.leb128()?;
            let last = line + bytes.leb128()?;
            let gap = bytes.leb128()? & GAP != 0;
            if !gap && !expansion && kind != BRANCH && kind != SKIPPED {
                regions.push(Region { file: file.clone(), lines: (line, last), counter: Counter::read(encoded) });
            }
        }
    }
    if !bytes.is_empty() {
        return Err("a function has more to tell than was understood".to_string());
    }
    Ok(Function { id, expressions, regions })
}
