//! The beginning and the end of something long, in bounded memory.

use std::collections::VecDeque;

const HALF: usize = 8 * 1024;

#[derive(Debug, Clone, Default)]
pub struct Sample {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    total: u64,
}

impl Sample {
    pub fn push(&mut self, bytes: &[u8]) {
        self.total += bytes.len() as u64;
        let room = HALF - self.head.len();
        let (first, rest) = bytes.split_at(room.min(bytes.len()));
        self.head.extend_from_slice(first);
        let rest = &rest[rest.len().saturating_sub(HALF)..];
        let surplus = (self.tail.len() + rest.len()).saturating_sub(HALF);
        self.tail.drain(..surplus);
        self.tail.extend(rest);
    }

    pub fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// Something is missing in the middle.
    pub fn is_cut(&self) -> bool {
        self.total > (self.head.len() + self.tail.len()) as u64
    }

    /// As text; where something is missing in the middle, it says how much.
    pub fn to_text(&self) -> String {
        let tail: Vec<u8> = self.tail.iter().copied().collect();
        let kept = (self.head.len() + tail.len()) as u64;
        if kept == self.total {
            return String::from_utf8_lossy(&[self.head.as_slice(), &tail].concat()).into_owned();
        }
        let (head, tail) = (String::from_utf8_lossy(&self.head), String::from_utf8_lossy(&tail));
        format!("{head}\n[… {} bytes left out here …]\n{tail}", self.total - kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_output_is_whole() {
        let mut sample = Sample::default();
        assert!(sample.is_empty());
        for _ in 0..HALF {
            sample.push("ä".as_bytes());
        }
        assert_eq!(sample.to_text(), "ä".repeat(HALF));
    }

    #[test]
    fn long_output_keeps_both_ends_and_counts_the_rest() {
        let mut sample = Sample::default();
        for n in 0..10_000 {
            sample.push(format!("line {n}\n").as_bytes());
        }
        sample.push(&vec![b'x'; 3 * HALF]);
        sample.push(b"end");
        let text = sample.to_text();
        assert!(text.starts_with("line 0\n") && text.ends_with("xxend"));
        assert!(text.len() < 2 * HALF + 60);
        let left_out: u64 = text.split_once("[… ").unwrap().1.split_once(' ').unwrap().0.parse().unwrap();
        assert_eq!(left_out + 2 * HALF as u64, sample.total);
    }
}
