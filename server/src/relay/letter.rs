//! How letters about terminals are written: a line of JSON, then bytes as they are.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use wire::{RunId, terminals::TerminalNotice};

#[derive(Debug, Clone, PartialEq)]
pub struct Letter {
    /// Whom it is about; made anew for each seat.
    pub reader: Uuid,
    pub said: Said,
    pub body: Bytes,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "said")]
pub enum Said {
    // From the reader's process.
    Seek {
        id: RunId,
        after: Option<u64>,
        from: String,
    },
    /// The body was typed.
    Typed,
    Resize {
        cols: u16,
        rows: u16,
    },
    TakenIn {
        bytes: u64,
    },
    Left,
    // From the terminal's process. What is shown is numbered from 1.
    Found {
        at: String,
    },
    /// The body was printed.
    Printed {
        number: u64,
    },
    Told {
        number: u64,
        notice: TerminalNotice,
    },
    Closed {
        number: u64,
        sentence: String,
    },
    // From both. The terminal's names the last number; the reader's says 0.
    Alive {
        number: u64,
    },
}

#[derive(Serialize, Deserialize)]
struct Head {
    reader: Uuid,
    #[serde(flatten)]
    said: Said,
}

impl Letter {
    pub fn write(self) -> Vec<u8> {
        let mut text = serde_json::to_vec(&Head { reader: self.reader, said: self.said }).unwrap_or_default();
        text.push(b'\n');
        text.extend_from_slice(&self.body);
        text
    }

    /// `None` for one of a version that writes otherwise.
    pub fn read(text: Vec<u8>) -> Option<Self> {
        let end = text.iter().position(|byte| *byte == b'\n')?;
        let Head { reader, said } = serde_json::from_slice(&text[..end]).ok()?;
        Some(Self { reader, said, body: Bytes::from(text).slice(end + 1..) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_read_as_they_were_written() {
        let all = [
            Said::Seek { id: RunId(Uuid::nil()), after: Some(7), from: "here".to_owned() },
            Said::Typed,
            Said::Printed { number: 3 },
            Said::Told { number: 4, notice: TerminalNotice::Dropped { bytes: 9 } },
            Said::Alive { number: 4 },
        ];
        for said in all {
            let letter = Letter { reader: Uuid::now_v7(), said, body: Bytes::from_static(b"\n\0{\xff") };
            assert_eq!(Letter::read(letter.clone().write()), Some(letter));
        }
        assert_eq!(Letter::read(b"nonsense".to_vec()), None);
    }
}
