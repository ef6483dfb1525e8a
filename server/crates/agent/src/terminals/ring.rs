//! The last bytes of an endless output, by their absolute offsets.

use bytes::Bytes;
use wire::terminals::SCROLLBACK;

const CAPACITY: usize = SCROLLBACK as usize;
/// How far a reader that lost its place is moved on to begin with a whole line.
const LINE_LOOK: usize = 4096;

/// Grows up to its capacity, then forgets the oldest bytes.
#[derive(Default)]
pub(super) struct Ring {
    /// The byte at offset `n` stands at `n % CAPACITY`.
    bytes: Vec<u8>,
    end: u64,
}

impl Ring {
    pub fn end(&self) -> u64 {
        self.end
    }

    /// The oldest byte that is remembered.
    pub fn start(&self) -> u64 {
        self.end - self.bytes.len() as u64
    }

    pub fn push(&mut self, data: &[u8]) {
        let kept = &data[data.len().saturating_sub(CAPACITY)..];
        self.end += (data.len() - kept.len()) as u64;
        if data.len() != kept.len() {
            // All of it is replaced, and the places follow the offsets.
            self.bytes.resize(CAPACITY, 0);
        }
        let mut rest = kept;
        while !rest.is_empty() {
            let at = (self.end % CAPACITY as u64) as usize;
            let n = rest.len().min(CAPACITY - at);
            if at == self.bytes.len() {
                self.bytes.extend_from_slice(&rest[..n]);
            } else {
                self.bytes[at..at + n].copy_from_slice(&rest[..n]);
            }
            self.end += n as u64;
            rest = &rest[n..];
        }
    }

    /// At most `most` bytes from `from` on, which is remembered.
    pub fn read(&self, from: u64, most: usize) -> Bytes {
        let n = most.min((self.end - from) as usize);
        let at = (from % CAPACITY as u64) as usize;
        let first = n.min(CAPACITY - at);
        let mut out = Vec::with_capacity(n);
        out.extend_from_slice(&self.bytes[at..at + first]);
        out.extend_from_slice(&self.bytes[..n - first]);
        out.into()
    }

    /// Where a reader goes on who can't go on where they were: at most `back` bytes before the end, after a line's end if one is near, so
    /// that neither a character nor a control sequence is cut in two.
    pub fn sane_place(&self, back: usize) -> u64 {
        let from = self.start().max(self.end.saturating_sub(back as u64));
        if from == 0 {
            return 0;
        }
        match self.read(from, LINE_LOOK).iter().position(|byte| *byte == b'\n') {
            Some(at) => from + at as u64 + 1,
            None => from,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(from: u64, n: usize) -> Vec<u8> {
        (from..from + n as u64).map(|i| (i * 31 % 251) as u8).collect()
    }

    #[test]
    fn what_is_remembered_is_exact_at_every_offset() {
        let mut ring = Ring::default();
        let mut total = 0;
        for n in [1, 5000, CAPACITY - 7, 3, 200_000, CAPACITY, 17, 3 * CAPACITY + 11, 64] {
            ring.push(&pattern(total, n));
            total += n as u64;
            assert_eq!((ring.end(), ring.end() - ring.start()), (total, total.min(CAPACITY as u64)));
            for from in [ring.start(), (ring.start() + total) / 2, total - 1] {
                let n = (total - from) as usize;
                assert!(ring.read(from, usize::MAX)[..] == pattern(from, n)[..], "{from} of {total}");
                assert_eq!(ring.read(from, 3).len(), n.min(3));
            }
        }
    }

    #[test]
    fn a_lost_reader_goes_on_with_a_whole_line() {
        let mut ring = Ring::default();
        ring.push(b"first\nsecond\nthird");
        assert_eq!(ring.sane_place(8), 13);
        assert_eq!(ring.sane_place(1000), 0);
        assert_eq!(ring.sane_place(3), 15, "no line ends here");
    }
}
