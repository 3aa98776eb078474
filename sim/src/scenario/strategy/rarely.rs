//! What few programs do to files: write through mappings, copy within the mount, set extended attributes.

use super::Draw;
use super::writers::open_for_both;
use crate::scenario::{Call, SetXattrName, Slot};

/// Mappings have places of their own.
const MAPS_FROM: Slot = 3;
/// The other descriptor of a copy.
const COPY_TO: Slot = 6;

type Size<'a> = dyn FnMut(&mut Draw<'_>) -> u64 + 'a;

/// Opens, maps, writes through the mapping, and lets go of both in any order.
pub(super) fn mapped(size: &mut Size<'_>, file: Slot, path: String, draw: &mut Draw<'_>) -> Vec<Call> {
    let map = MAPS_FROM + file;
    let mut calls = vec![open_for_both(file, path)];
    if draw.chance(1, 3) {
        calls.push(Call::Ftruncate { file, size: size(draw) });
    } else if draw.chance(1, 2) {
        calls.push(Call::WriteOn { file, len: size(draw) });
    }
    calls.push(Call::Map { file, to: map });
    for _ in 0..draw.within(1, 7) {
        let (at, len) = (size(draw), size(draw).max(1));
        calls.push(match draw.below(14) {
            0..5 => Call::Store { map, at: at / 2, len },
            5 => Call::Store { map, at: 0, len: draw.within(1, 5000) },
            6 => Call::Touch { map, at, len },
            7 => Call::Msync { map },
            8 => Call::Fsync { file },
            9 => Call::Pwrite { file, at, len },
            10 => Call::Ftruncate { file, size: at },
            11 => Call::DropPages,
            12 => Call::Pread { file, at: 0, len: at + 1 },
            _ => Call::Close { file },
        });
    }
    match draw.below(4) {
        0 | 1 => calls.extend([Call::Unmap { map }, Call::Close { file }]),
        2 => calls.extend([Call::Close { file }, Call::Store { map, at: 0, len: 100 }, Call::Unmap { map }]),
        _ => calls.push(Call::Close { file }),
    }
    calls
}

/// A program that copies a file, or more of it, and may change either before and after.
pub(super) fn copied(
    size: &mut Size<'_>,
    (file, path): (Slot, String),
    to_path: String,
    draw: &mut Draw<'_>,
) -> Vec<Call> {
    let (to, whole) = (COPY_TO, 1 << 20);
    let source = if draw.chance(2, 3) { Call::Open { file, path, direct: false } } else { open_for_both(file, path) };
    let mut calls = vec![source, open_for_both(to, to_path)];
    if draw.chance(1, 2) {
        calls.push(Call::Ftruncate { file: to, size: 0 });
    }
    for _ in 0..draw.within(1, 4) {
        let (at, len) = (size(draw), size(draw) + 1);
        calls.push(match draw.below(10) {
            0..4 => Call::CopyRange { file, at: 0, to, to_at: 0, len: whole },
            4 => Call::CopyRange { file, at: 0, to, to_at: 0, len },
            5 => Call::CopyRange { file, at, to, to_at: at, len: whole },
            6 => Call::CopyRange { file, at, to, to_at: size(draw), len },
            7 => Call::Pwrite { file: draw.pick(&[file, to]), at, len },
            8 => Call::Ftruncate { file: to, size: at },
            _ => Call::Pread { file: to, at: 0, len: whole },
        });
    }
    if draw.chance(5, 6) {
        calls.extend([Call::Close { file: to }, Call::Close { file }]);
    }
    calls
}

pub(super) fn name(draw: &mut Draw<'_>) -> String {
    draw.pick(&["user.colour", "user.origin"]).to_owned()
}

pub(super) fn attribute(path: String, draw: &mut Draw<'_>) -> Call {
    let name = name(draw);
    match draw.below(6) {
        0..3 => {
            let letter = char::from(b'a' + draw.below(26) as u8);
            let value = String::from(letter).repeat(draw.within(0, 40) as usize);
            let how =
                draw.pick(&[SetXattrName::Either, SetXattrName::Either, SetXattrName::Create, SetXattrName::Replace]);
            Call::Setxattr { path, name, value, how }
        }
        3 => Call::Removexattr { path, name },
        _ => Call::XattrAt { path, name },
    }
}
