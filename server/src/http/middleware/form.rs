use axum::http::{HeaderMap, header};

/// Stands for a line between two parts. No line of a form holds a NUL.
const LINE: &[u8] = b"\r\n--\0";

/// Bodies without what their sender makes anew for each attempt: the lines between the parts of a form. Other bodies pass unchanged.
#[derive(Debug, Clone)]
pub struct Parts {
    /// A line's beginning; empty where there are none.
    delimiter: Vec<u8>,
    /// Bytes of it that were seen last. Only its first one is a carriage return, so that a match never begins within another one.
    matched: usize,
}

impl Parts {
    pub fn of(headers: &HeaderMap) -> Self {
        let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        // The first line may stand at the very beginning, as if another one had ended there.
        let delimiter = find_boundary(content_type).map(|boundary| format!("\r\n--{boundary}").into_bytes());
        Self { delimiter: delimiter.unwrap_or_default(), matched: 2 }
    }

    /// Hands on what `bytes` are without them. What may yet become a line waits for the next bytes, and is nothing at the end.
    pub fn pass(&mut self, bytes: &[u8], mut hand_on: impl FnMut(&[u8])) {
        if self.delimiter.is_empty() {
            return hand_on(bytes);
        }
        let mut rest = bytes;
        while let Some(byte) = rest.first() {
            if *byte == self.delimiter[self.matched] {
                (self.matched, rest) = (self.matched + 1, &rest[1..]);
                if self.matched == self.delimiter.len() {
                    hand_on(LINE);
                    self.matched = 0;
                }
            } else if self.matched > 0 {
                hand_on(&self.delimiter[..self.matched]);
                self.matched = 0;
            } else {
                let (plain, others) = rest.split_at(rest.iter().position(|byte| *byte == b'\r').unwrap_or(rest.len()));
                hand_on(plain);
                rest = others;
            }
        }
    }
}

fn find_boundary(content_type: &str) -> Option<&str> {
    let mut parameters = content_type.split(';').map(str::trim);
    parameters.next().filter(|kind| kind.get(..10).is_some_and(|top| top.eq_ignore_ascii_case("multipart/")))?;
    let value = parameters.find_map(|one| one.split_once('=').filter(|(name, _)| name.trim().eq_ignore_ascii_case("boundary")))?.1;
    Some(value.trim().trim_matches('"')).filter(|boundary| !boundary.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pass(content_type: &str, body: &[u8], piece: usize) -> Vec<u8> {
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, content_type.parse().unwrap())]);
        let (mut parts, mut passed) = (Parts::of(&headers), Vec::new());
        for piece in body.chunks(piece) {
            parts.pass(piece, |bytes| passed.extend_from_slice(bytes));
        }
        passed
    }

    #[test]
    fn a_form_is_the_same_whatever_stands_between_its_parts() {
        let form =
            |boundary: &str| format!("--{boundary}\r\na: b\r\n\r\none\r\n\r\r\n--x\r\n--{boundary}\r\n\r\ntwo\r\n--{boundary}--\r\n");
        let expected = pass("multipart/form-data; boundary=AaB03x", form("AaB03x").as_bytes(), 1000);
        assert_eq!(expected, b"\r\n--\0\r\na: b\r\n\r\none\r\n\r\r\n--x\r\n--\0\r\n\r\ntwo\r\n--\0--");
        for piece in [1, 2, 3, 7, 1000] {
            let other = form("----Another");
            assert_eq!(pass("Multipart/form-data; charset=x; Boundary=\"----Another\"", other.as_bytes(), piece), expected, "{piece}");
        }
        assert_ne!(pass("multipart/form-data; boundary=b", form("b").replace("two", "too").as_bytes(), 5), expected);
    }

    #[test]
    fn what_is_no_form_passes_unchanged() {
        let body = b"--b\r\n--b--";
        for kind in ["application/octet-stream", "application/json; boundary=b", "multipart/form-data", "multipart/form-data; boundary="] {
            assert_eq!(pass(kind, body, 3), body, "{kind}");
        }
    }
}
