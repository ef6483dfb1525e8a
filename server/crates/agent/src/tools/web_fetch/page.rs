//! What was received, as text.

use std::io::Read;

use encoding_rs::{Encoding, UTF_8};
use flate2::read::{MultiGzDecoder, ZlibDecoder};
use llm::http::{HttpStatus, Url};

use super::html;
use crate::{text::cut_end, tools::ToolError};

/// Bytes of a body, after it was unpacked too.
pub(super) const BODY_MAX: usize = 2 * 1024 * 1024;
/// How far into a document browsers look for the name of its encoding.
const HEAD: usize = 1024;
const TYPES: [&str; 12] = [
    "application/json",
    "application/xml",
    "application/xhtml+xml",
    "application/javascript",
    "application/x-javascript",
    "application/x-ndjson",
    "application/ndjson",
    "application/yaml",
    "application/x-yaml",
    "application/toml",
    "application/sql",
    "application/x-sh",
];

/// An answer as it came in. `bytes` may be a little more than [`BODY_MAX`].
pub(super) struct Raw {
    pub url: Url,
    pub host: String,
    pub status: HttpStatus,
    pub kind: String,
    pub encoding: String,
    pub redirects: usize,
    pub bytes: Vec<u8>,
}

pub(super) struct Page {
    /// Where it was found in the end.
    pub address: String,
    pub host: String,
    /// Such as `404 Not Found`.
    pub status: String,
    /// The server said that it is not what was asked for.
    pub is_failure: bool,
    pub kind: String,
    pub redirects: usize,
    /// There was more than is in `text`.
    pub is_cut: bool,
    pub text: String,
}

/// `text/html; charset=x` is `text/html`.
fn essence(kind: &str) -> String {
    kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Refuses types that are not text. Without a type, the bytes decide.
pub(super) fn check_kind(kind: &str) -> Result<(), ToolError> {
    let kind = essence(kind);
    let is_text =
        kind.is_empty() || kind.starts_with("text/") || kind.ends_with("+json") || kind.ends_with("+xml") || kind.ends_with("+yaml");
    if is_text && kind != "image/svg+xml" || TYPES.contains(&kind.as_str()) {
        return Ok(());
    }
    let shown = cut_end(&kind, 100);
    let content =
        format!("Not fetched: it is of the type {shown:?}, and only text can be fetched: HTML, plain text, Markdown, JSON, XML and such.");
    Err(ToolError::refused(content, format!("Not text: {shown}")))
}

pub(super) fn check_encoding(encoding: &str) -> Result<(), ToolError> {
    match encoding.trim().to_ascii_lowercase().as_str() {
        "" | "identity" | "gzip" | "x-gzip" | "deflate" => Ok(()),
        other => {
            let content = format!("Not fetched: it is packed in a way that can't be read here, {:?}.", cut_end(other, 100));
            Err(ToolError::refused(content, "Packed in an unknown way"))
        }
    }
}

pub(super) fn read(raw: Raw) -> Result<Page, ToolError> {
    let (mut bytes, is_broken) = match raw.encoding.trim().to_ascii_lowercase().as_str() {
        "gzip" | "x-gzip" => unpack(MultiGzDecoder::new(raw.bytes.as_slice())),
        "deflate" => unpack(ZlibDecoder::new(raw.bytes.as_slice())),
        _ => (raw.bytes, false),
    };
    if is_broken && bytes.is_empty() {
        return Err(ToolError::refused("Not fetched: it is packed, and damaged.", "Damaged"));
    }
    let is_cut = is_broken || bytes.len() > BODY_MAX;
    bytes.truncate(BODY_MAX);
    let kind = essence(&raw.kind);
    let is_html = matches!(kind.as_str(), "text/html" | "application/xhtml+xml");
    let (text, ..) = encoding_of(&raw.kind, &bytes, is_html).decode(&bytes);
    if text.contains('\0') {
        return Err(ToolError::refused("Not fetched: what is there is not text, whatever it is said to be.", "Not text"));
    }
    let text = if is_html { html::to_text(&text, &raw.url) } else { text.into_owned() };
    Ok(Page {
        address: raw.url.to_string(),
        host: raw.host,
        status: raw.status.to_string(),
        is_failure: !raw.status.is_success(),
        kind: if kind.is_empty() { "not said".to_owned() } else { cut_end(&kind, 100) },
        redirects: raw.redirects,
        is_cut,
        text,
    })
}

/// As much as may be read, and whether it broke off before its end.
fn unpack(reader: impl Read) -> (Vec<u8>, bool) {
    let mut bytes = Vec::new();
    let read = reader.take(BODY_MAX as u64 + 1).read_to_end(&mut bytes);
    (bytes, read.is_err())
}

/// What the head of the answer says, else what the document says of itself, else UTF-8.
fn encoding_of(kind: &str, bytes: &[u8], is_html: bool) -> &'static Encoding {
    let named = kind.split(';').skip(1).find_map(|part| {
        let (name, value) = part.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches(['"', '\'']).to_owned())
    });
    let said = named.or_else(|| if is_html { charset_in(&bytes[..bytes.len().min(HEAD)]) } else { None });
    said.and_then(|label| Encoding::for_label(label.as_bytes())).unwrap_or(UTF_8)
}

fn charset_in(head: &[u8]) -> Option<String> {
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let (_, after) = head.split_once("charset=")?;
    let label: String =
        after.trim_start_matches(['"', '\'']).chars().take_while(|c| c.is_ascii_alphanumeric() || "-_:".contains(*c)).collect();
    Some(label).filter(|label| !label.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_text_is_read() {
        for kind in
            ["text/html; charset=utf-8", "Text/Markdown", "application/JSON", "application/vnd.api+json", "application/atom+xml", ""]
        {
            assert!(check_kind(kind).is_ok(), "{kind}");
        }
        for kind in ["image/png", "application/octet-stream", "application/pdf", "image/svg+xml", "video/mp4", "application/zip"] {
            assert!(check_kind(kind).unwrap_err().to_string().contains(kind), "{kind}");
        }
        assert!(check_encoding("GZIP").is_ok() && check_encoding("").is_ok());
        assert!(check_encoding("br").unwrap_err().to_string().contains("br"));
    }

    #[test]
    fn letters_are_those_that_were_meant() {
        let text = |kind: &str, bytes: &[u8]| {
            let (text, ..) = encoding_of(kind, bytes, kind.starts_with("text/html")).decode(bytes);
            text.into_owned()
        };
        assert_eq!(text("text/plain", "größe".as_bytes()), "größe");
        assert_eq!(text("text/plain; charset=\"ISO-8859-1\"", b"gr\xf6\xdfe"), "größe");
        assert!(text("text/html", b"<meta charset='windows-1252'>gr\xf6\xdfe").ends_with("größe"));
        assert_eq!(text("text/plain; charset=nothing", b"a"), "a");
    }
}
