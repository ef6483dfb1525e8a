//! The bytes of files, out and in. What a project contains is never rendered on our origin.

use std::ops::Range;

use axum::{
    Json,
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use domain::{
    Error,
    files::{Precondition, Put},
};
use tokio_util::io::ReaderStream;
use wire::files::Entry;

/// What a request for bytes asks for, given the size of the file.
#[derive(Debug, PartialEq, Eq)]
pub enum Wanted {
    All,
    Part(Range<u64>),
    Unsatisfiable,
}

pub fn etag(entry: &Entry) -> String {
    format!("\"{}\"", entry.checksum)
}

/// Whether `If-None-Match` already names this content.
pub fn is_known(headers: &HeaderMap, entry: &Entry) -> bool {
    let Some(value) = headers.get(header::IF_NONE_MATCH).and_then(|v| v.to_str().ok()) else { return false };
    let own = etag(entry);
    value.split(',').map(|tag| tag.trim().trim_start_matches("W/")).any(|tag| tag == "*" || tag == own)
}

/// One range of bytes. Several, another unit, or an `If-Range` that names other content get the whole.
pub fn wanted(headers: &HeaderMap, entry: &Entry) -> Wanted {
    let text = |name: HeaderName| headers.get(name).and_then(|v| v.to_str().ok());
    let Some(range) = text(header::RANGE).and_then(|v| v.strip_prefix("bytes=")) else { return Wanted::All };
    if text(header::IF_RANGE).is_some_and(|tag| tag != etag(entry)) {
        return Wanted::All;
    }
    read_range(range.trim(), entry.size.max(0) as u64)
}

fn read_range(range: &str, size: u64) -> Wanted {
    let Some((first, last)) = range.split_once('-') else { return Wanted::All };
    let (start, end) = match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(first), Ok(last)) if first <= last => (first, last.saturating_add(1).min(size)),
        (Ok(first), Err(_)) if last.is_empty() => (first, size),
        (Err(_), Ok(tail)) if first.is_empty() => (size.saturating_sub(tail), size),
        _ => return Wanted::All,
    };
    if start < end { Wanted::Part(start..end) } else { Wanted::Unsatisfiable }
}

/// The whole file, or `part` of it.
pub fn send(entry: &Entry, part: Option<Range<u64>>, reader: blobs::Reader) -> Response {
    let size = entry.size.max(0) as u64;
    let length = part.as_ref().map_or(size, |part| part.end - part.start);
    let mut response = Response::new(Body::from_stream(ReaderStream::with_capacity(reader, 64 * 1024)));
    describe(response.headers_mut(), entry);
    response.headers_mut().insert(header::CONTENT_LENGTH, length.into());
    if let Some(part) = part {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        put(response.headers_mut(), header::CONTENT_RANGE, &format!("bytes {}-{}/{size}", part.start, part.end - 1));
    }
    response
}

/// An archive that is made while it is sent, so that its size is not known.
pub fn send_archive(name: &str, body: Body) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    put(headers, header::CONTENT_TYPE, "application/zip");
    put(headers, header::CONTENT_DISPOSITION, &disposition(name));
    put(headers, header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox; frame-ancestors 'none'");
    put(headers, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    put(headers, header::CACHE_CONTROL, "private, no-store");
    response
}

pub fn not_modified(entry: &Entry) -> Response {
    let mut response = StatusCode::NOT_MODIFIED.into_response();
    describe(response.headers_mut(), entry);
    response
}

pub fn unsatisfiable(entry: &Entry) -> Response {
    let mut response = StatusCode::RANGE_NOT_SATISFIABLE.into_response();
    put(response.headers_mut(), header::CONTENT_RANGE, &format!("bytes */{}", entry.size));
    response
}

/// Even opened directly, the bytes are a download without scripts, cookies or origin.
fn describe(headers: &mut HeaderMap, entry: &Entry) {
    put(headers, header::CONTENT_TYPE, &entry.content_type);
    put(headers, header::CONTENT_DISPOSITION, &disposition(entry.name()));
    put(headers, header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox; frame-ancestors 'none'");
    put(headers, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    put(headers, header::ACCEPT_RANGES, "bytes");
    put(headers, header::CACHE_CONTROL, "private, no-cache");
    put(headers, header::ETAG, &etag(entry));
    headers.insert(HeaderName::from_static("x-file-version"), entry.version.into());
}

fn put(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// RFC 6266: a plain name for old clients, the real one beside it.
pub fn disposition(name: &str) -> String {
    let plain: String = name.chars().map(|c| if c.is_ascii_graphic() && !matches!(c, '"' | '\\' | '%') { c } else { '_' }).collect();
    let keep = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'~');
    let full: String = name.bytes().map(|b| if keep(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect();
    format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{full}")
}

/// What a write made: 201 for a new file, 200 for a new version.
pub fn tell_saved(put: Put) -> Response {
    let status = if put.created { StatusCode::CREATED } else { StatusCode::OK };
    let headers = [(header::ETAG, etag(&put.entry)), (HeaderName::from_static("x-file-version"), put.entry.version.to_string())];
    (status, headers, Json(put.entry)).into_response()
}

/// `If-None-Match: *` makes a new file, `If-Match: "<etag>"` replaces that content.
pub fn read_precondition(headers: &HeaderMap) -> Result<Precondition, Error> {
    let text = |name: HeaderName| headers.get(name).and_then(|v| v.to_str().ok()).map(str::trim);
    match (text(header::IF_NONE_MATCH), text(header::IF_MATCH)) {
        (Some("*"), None) => Ok(Precondition::New),
        (None, Some(tag)) => match tag.strip_prefix('"').and_then(|t| t.strip_suffix('"')) {
            Some(checksum) if !checksum.contains('"') => Ok(Precondition::Checksum(checksum.to_owned())),
            _ => Err(Error::BadRequest("If-Match takes the one quoted ETag that the file had.".to_owned())),
        },
        (None, None) => Ok(Precondition::None),
        _ => Err(Error::BadRequest("Send either If-None-Match: * or If-Match with the ETag.".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_cut_to_the_file() {
        assert_eq!(read_range("0-4", 10), Wanted::Part(0..5));
        assert_eq!(read_range("5-", 10), Wanted::Part(5..10));
        assert_eq!(read_range("-3", 10), Wanted::Part(7..10));
        assert_eq!(read_range("-30", 10), Wanted::Part(0..10));
        assert_eq!(read_range("5-99", 10), Wanted::Part(5..10));
        assert_eq!(read_range("10-", 10), Wanted::Unsatisfiable);
        assert_eq!(read_range("-0", 10), Wanted::Unsatisfiable);
        for whole in ["0-1,3-4", "b-a", "4-2", "-"] {
            assert_eq!(read_range(whole, 10), Wanted::All, "{whole}");
        }
    }

    #[test]
    fn a_name_can_not_break_out_of_its_header() {
        assert_eq!(disposition("a\"; x=\"ä.html"), "attachment; filename=\"a_;_x=__.html\"; filename*=UTF-8''a%22%3B%20x%3D%22%C3%A4.html");
    }
}
