//! Films whose every block names the film and its own place in it.

use std::collections::BTreeSet;

use bytes::Bytes;

/// Bytes of a block.
const BLOCK: usize = 4096;

/// A film of the demo, by its letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Film(pub(super) char);

impl Film {
    /// The film's bytes; `blocks` of 4 KiB.
    pub(super) fn bytes(self, blocks: usize) -> Bytes {
        let mut bytes = Vec::with_capacity(blocks * BLOCK);
        for number in 0..blocks {
            let mut block = [0; BLOCK];
            for (at, word) in block.chunks_exact_mut(8).enumerate() {
                word.copy_from_slice(&self.word(number, at));
            }
            bytes.extend_from_slice(&block);
        }
        bytes.into()
    }

    /// Eight bytes that occur nowhere else: film, block, place in the block.
    fn word(self, block: usize, at: usize) -> [u8; 8] {
        let mut word = [0; 8];
        word[0] = self.0 as u8;
        word[1..6].copy_from_slice(&(block as u64).to_le_bytes()[..5]);
        word[6..].copy_from_slice(&(at as u16).to_le_bytes());
        word
    }
}

/// What was seen in some bytes that should be whole blocks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sighting {
    pub(super) films: BTreeSet<Film>,
    /// Blocks that are no film's, or stand in the wrong place.
    pub(super) garbage: usize,
}

impl Sighting {
    /// Looks at bytes that were read at `offset`, a multiple of the block size.
    pub(super) fn look(&mut self, bytes: &[u8], offset: u64) {
        for (n, block) in bytes.chunks(BLOCK).enumerate() {
            let number = offset as usize / BLOCK + n;
            let film = Film(char::from(block[0]));
            let genuine = block.len() == BLOCK
                && film.0.is_ascii_uppercase()
                && block.chunks_exact(8).enumerate().all(|(at, word)| word == film.word(number, at));
            if genuine {
                self.films.insert(film);
            } else {
                self.garbage += 1;
            }
        }
    }

    /// All of one film, and of this one.
    pub(super) fn is_all(&self, film: Film) -> bool {
        self.garbage == 0 && self.films == BTreeSet::from([film])
    }

    /// Like `all A` or `A and B mixed`.
    pub(super) fn told(&self) -> String {
        let names: Vec<String> = self.films.iter().map(|film| film.0.to_string()).collect();
        let films = match names.as_slice() {
            [] => "nothing".to_string(),
            [one] => format!("all {one}"),
            many => format!("{} mixed", many.join(" and ")),
        };
        if self.garbage == 0 { films } else { format!("{films}, {} blocks of garbage", self.garbage) }
    }
}

#[cfg(test)]
mod tests {
    use super::{BLOCK, Film, Sighting};

    #[test]
    fn a_sighting_tells_one_film_from_a_mix_and_from_garbage() {
        let (a, b) = (Film('A').bytes(4), Film('B').bytes(4));
        let look = |bytes: &[u8], offset| {
            let mut sighting = Sighting::default();
            sighting.look(bytes, offset);
            sighting
        };
        assert!(look(&a, 0).is_all(Film('A')));
        assert!(!look(&a, BLOCK as u64).is_all(Film('A')), "blocks in the wrong place are garbage");
        let torn = [&a[..2 * BLOCK], &b[2 * BLOCK..]].concat();
        assert_eq!(look(&torn, 0).told(), "A and B mixed");
        let mut flipped = a.to_vec();
        flipped[BLOCK + 77] ^= 1;
        assert_eq!(look(&flipped, 0).told(), "all A, 1 blocks of garbage");
    }
}
