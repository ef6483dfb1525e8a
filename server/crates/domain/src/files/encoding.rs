//! Text in the encoding that its file has, byte for byte: what is opened and saved unchanged is the same file.

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};
use wire::files::TextFormat;

use crate::{Error, Result};

/// The bytes as text, with how they were written, if they are text. A byte order mark decides; without one it is UTF-8, or else a guess
/// between UTF-16 and windows-1252 that gives the same bytes back.
pub(crate) fn decode(bytes: &[u8]) -> Option<(String, TextFormat)> {
    let (encoding, mark) = match Encoding::for_bom(bytes) {
        Some(found) => found,
        None => (guess(bytes)?, 0),
    };
    let text = encoding.decode_without_bom_handling_and_without_replacement(&bytes[mark..])?.into_owned();
    let is_guessed = mark == 0 && encoding != UTF_8;
    if text.contains('\0') || (is_guessed && text.contains(is_binary)) {
        return None;
    }
    Some((text, TextFormat { encoding: encoding.name().to_ascii_lowercase(), bom: mark > 0 }))
}

fn guess(bytes: &[u8]) -> Option<&'static Encoding> {
    if !bytes.contains(&0) {
        return Some(if std::str::from_utf8(bytes).is_ok() { UTF_8 } else { WINDOWS_1252 });
    }
    // Latin text in UTF-16 has a zero in most of its units, always on the same side.
    let units = bytes.len() / 2;
    let zeros = |side: usize| bytes.iter().skip(side).step_by(2).filter(|byte| **byte == 0).count();
    let (first, second) = (zeros(0), zeros(1));
    match bytes.len().is_multiple_of(2) {
        true if first == 0 && second * 5 >= units * 2 => Some(UTF_16LE),
        true if second == 0 && first * 5 >= units * 2 => Some(UTF_16BE),
        _ => None,
    }
}

/// Characters that a guess is wrong about: controls other than white space, of which windows-1252 makes some out of bytes it does not use.
fn is_binary(c: char) -> bool {
    c.is_control() && !matches!(c, '\t' | '\n' | '\r' | '\u{c}' | '\u{1b}')
}

/// Text as the bytes of its file. What the encoding does not have is refused by name.
pub(crate) fn encode(text: &str, format: &TextFormat) -> Result<Vec<u8>> {
    let unicode = |mark: &[u8], bytes: &mut dyn Iterator<Item = u8>| {
        let mark = if format.bom { mark } else { &[] };
        mark.iter().copied().chain(bytes).collect()
    };
    match Encoding::for_label(format.encoding.as_bytes()) {
        Some(encoding) if encoding == UTF_8 => Ok(unicode(b"\xef\xbb\xbf", &mut text.bytes())),
        Some(encoding) if encoding == UTF_16LE => Ok(unicode(b"\xff\xfe", &mut text.encode_utf16().flat_map(u16::to_le_bytes))),
        Some(encoding) if encoding == UTF_16BE => Ok(unicode(b"\xfe\xff", &mut text.encode_utf16().flat_map(u16::to_be_bytes))),
        Some(encoding) if encoding == WINDOWS_1252 && !format.bom => encode_windows_1252(text),
        _ => Err(Error::invalid("format", "Text is saved as UTF-8, UTF-16 or windows-1252. Choose one of them.")),
    }
}

fn encode_windows_1252(text: &str) -> Result<Vec<u8>> {
    let (bytes, _, is_lossy) = WINDOWS_1252.encode(text);
    if !is_lossy {
        return Ok(bytes.into_owned());
    }
    let mut buffer = [0; 4];
    let missing = text.char_indices().find(|(_, c)| WINDOWS_1252.encode(c.encode_utf8(&mut buffer)).2);
    let (at, c) = missing.unwrap_or((0, char::REPLACEMENT_CHARACTER));
    let line = text[..at].matches('\n').count() + 1;
    let point = c as u32;
    Err(Error::invalid(
        "text",
        format!(
            "Line {line} holds “{c}” (U+{point:04X}), which windows-1252 does not have. Nothing was saved; save it as UTF-8 or take the character out."
        ),
    ))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn format(encoding: &str, bom: bool) -> TextFormat {
        TextFormat { encoding: encoding.to_owned(), bom }
    }

    #[test]
    fn encodings_are_recognised() {
        type Case = (&'static [u8], Option<(&'static str, TextFormat)>);
        let cases: [Case; 12] = [
            (b"", Some(("", format("utf-8", false)))),
            ("naïve ☃\r\n".as_bytes(), Some(("naïve ☃\r\n", format("utf-8", false)))),
            (b"\xef\xbb\xbfa", Some(("a", format("utf-8", true)))),
            (b"\xff\xfea\0\n\0", Some(("a\n", format("utf-16le", true)))),
            (b"\xfe\xff\0a\0\n", Some(("a\n", format("utf-16be", true)))),
            (b"a\0b\0", Some(("ab", format("utf-16le", false)))),
            (b"\0a\0b", Some(("ab", format("utf-16be", false)))),
            (b"caf\xe9 \x80\n", Some(("café €\n", format("windows-1252", false)))),
            (b"\x89PNG\r\n\x1a\n", None),
            (b"a\0\0b", None),
            (b"\xff\xfea", None),
            (b"\x7fELF\x02\x01\x01\0\0\0", None),
        ];
        for (bytes, expected) in cases {
            let expected = expected.map(|(text, format)| (text.to_owned(), format));
            assert_eq!(decode(bytes), expected, "{bytes:?}");
        }
    }

    #[test]
    fn what_can_not_be_written_is_named() {
        let refused = encode("a\nb → c", &format("windows-1252", false)).unwrap_err();
        let Error::Invalid(fields) = refused else { panic!("{refused}") };
        assert!(fields[0].message.contains("Line 2") && fields[0].message.contains("U+2192"), "{fields:?}");
        assert!(encode("a", &format("shift_jis", false)).is_err());
        assert!(encode("a", &format("nonsense", false)).is_err());
        assert!(encode("a", &format("windows-1252", true)).is_err());
    }

    proptest! {
        /// Opening and saving unchanged gives the same bytes, whatever they are.
        #[test]
        fn text_goes_back_byte_for_byte(bytes in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..40),
            proptest::collection::vec(prop_oneof![0x20..0x7f_u8, Just(b'\n'), Just(b'\r'), 0xa0..=0xff_u8], 0..40),
            "\\PC{0,20}".prop_map(|text| text.encode_utf16().flat_map(u16::to_le_bytes).collect()),
            "\\PC{0,20}".prop_map(|text| [0xfe, 0xff].into_iter().chain(text.encode_utf16().flat_map(u16::to_be_bytes)).collect()),
            "\\PC{0,20}".prop_map(|text| [0xef, 0xbb, 0xbf].into_iter().chain(text.bytes()).collect()),
        ]) {
            if let Some((text, format)) = decode(&bytes) {
                prop_assert_eq!(encode(&text, &format).unwrap(), bytes);
            }
        }
    }
}
