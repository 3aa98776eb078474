//! ETags: digests of an upload's bytes.
//!
//! MD5 is what S3 uses; `Quick` is for simulations, which would otherwise spend their time on MD5. Neither is meant to
//! withstand an adversary. Equal bytes give equal digests.

use md5::{Digest as _, Md5};

use crate::env::store::ETag;

/// How ETags are computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DigestKind {
    /// As S3: MD5, and the MD5 of the parts' MD5s for a multipart object.
    #[default]
    Md5,
    /// 128 bits of two multiplicative hashes: about twenty times as fast.
    Quick,
}

/// 128 bits that stand for some bytes.
pub(crate) type Digest = [u8; 16];

/// A digest in the making.
#[derive(Debug)]
pub(crate) enum Hasher {
    Md5(Box<Md5>),
    Quick(Quick),
}

impl Hasher {
    pub(crate) fn new(kind: DigestKind) -> Self {
        match kind {
            DigestKind::Md5 => Self::Md5(Box::default()),
            DigestKind::Quick => Self::Quick(Quick::default()),
        }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Md5(md5) => md5.update(bytes),
            Self::Quick(quick) => quick.update(bytes),
        }
    }

    pub(crate) fn finish(self) -> Digest {
        match self {
            Self::Md5(md5) => md5.finalize().into(),
            Self::Quick(quick) => quick.finish(),
        }
    }
}

/// The ETag of an object that was put whole.
pub(crate) fn etag_of(digest: Digest) -> ETag {
    ETag::from(hex(&digest))
}

/// The ETag of an object made of these parts: the digest of their digests, and their number.
pub(crate) fn etag_of_parts(kind: DigestKind, parts: &[Digest]) -> ETag {
    let mut hasher = Hasher::new(kind);
    for part in parts {
        hasher.update(part);
    }
    ETag::from(format!("{}-{}", hex(&hasher.finish()), parts.len()))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]])
        .map(char::from)
        .collect()
}

/// Two lanes of multiply-and-fold over 16-byte blocks. What it computes does not depend on how the bytes are cut.
#[derive(Debug)]
pub(crate) struct Quick {
    lanes: [u64; 2],
    pending: [u8; 16],
    pending_len: usize,
    total: u64,
}

impl Default for Quick {
    fn default() -> Self {
        Self { lanes: [0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7344], pending: [0; 16], pending_len: 0, total: 0 }
    }
}

impl Quick {
    fn update(&mut self, mut bytes: &[u8]) {
        self.total = self.total.wrapping_add(bytes.len() as u64);
        if self.pending_len > 0 {
            let taken = bytes.len().min(16 - self.pending_len);
            self.pending[self.pending_len..self.pending_len + taken].copy_from_slice(&bytes[..taken]);
            self.pending_len += taken;
            bytes = &bytes[taken..];
            if self.pending_len < 16 {
                return;
            }
            let block = self.pending;
            self.block(&block);
            self.pending_len = 0;
        }
        let (blocks, rest) = bytes.as_chunks::<16>();
        for block in blocks {
            self.block(block);
        }
        self.pending[..rest.len()].copy_from_slice(rest);
        self.pending_len = rest.len();
    }

    fn block(&mut self, block: &[u8; 16]) {
        let word = u128::from_le_bytes(*block);
        let (low, high) = (word as u64, (word >> 64) as u64);
        self.lanes[0] = fold(self.lanes[0] ^ low, 0x9e37_79b9_7f4a_7c15 ^ high);
        self.lanes[1] =
            fold(self.lanes[1] ^ high, 0xc2b2_ae3d_27d4_eb4f ^ low.rotate_left(23)).wrapping_add(self.lanes[0]);
    }

    fn finish(mut self) -> Digest {
        self.pending[self.pending_len..].fill(0);
        let (last, total) = (self.pending, self.total);
        self.block(&last);
        self.block(&(u128::from(total) | 1 << 127).to_le_bytes());
        self.block(&[0xa5; 16]);
        let mut digest = [0; 16];
        digest[..8].copy_from_slice(&self.lanes[0].to_be_bytes());
        digest[8..].copy_from_slice(&self.lanes[1].to_be_bytes());
        digest
    }
}

/// The 128-bit product, folded. Never loses the state to a zero factor.
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product as u64) ^ ((product >> 64) as u64) ^ a.rotate_left(31) ^ b
}

#[cfg(test)]
mod tests {
    use super::{DigestKind, Hasher, etag_of, etag_of_parts};

    fn digest(kind: DigestKind, pieces: &[&[u8]]) -> [u8; 16] {
        let mut hasher = Hasher::new(kind);
        pieces.iter().for_each(|piece| hasher.update(piece));
        hasher.finish()
    }

    #[test]
    fn md5_is_the_one_everybody_knows() {
        assert_eq!(etag_of(digest(DigestKind::Md5, &[])).as_str(), "d41d8cd98f00b204e9800998ecf8427e");
        assert_eq!(etag_of(digest(DigestKind::Md5, &[b"a", b"bc"])).as_str(), "900150983cd24fb0d6963f7d28e17f72");
    }

    #[test]
    fn a_multipart_etag_ends_with_the_number_of_parts() {
        let part = digest(DigestKind::Md5, &[b"x"]);
        assert!(etag_of_parts(DigestKind::Md5, &[part, part]).as_str().ends_with("-2"));
    }

    #[test]
    fn the_quick_digest_depends_on_every_byte_and_not_on_the_cuts() {
        let bytes: Vec<u8> = (0..100).collect();
        let whole = digest(DigestKind::Quick, &[&bytes]);
        for cut in 0..bytes.len() {
            assert_eq!(digest(DigestKind::Quick, &[&bytes[..cut], &bytes[cut..]]), whole);
            let mut other = bytes.clone();
            other[cut] ^= 1;
            assert_ne!(digest(DigestKind::Quick, &[&other]), whole);
            assert_ne!(digest(DigestKind::Quick, &[&bytes[..cut]]), whole);
        }
        assert_ne!(digest(DigestKind::Quick, &[&[0; 3]]), digest(DigestKind::Quick, &[&[0; 4]]));
    }
}
