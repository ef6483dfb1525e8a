//! The built browser half: embedded in a release binary, read from `dist/` in a debug build.

use std::{borrow::Cow, sync::LazyLock};

use app::shell::Assets;
use axum::{
    body::Body,
    extract::{Path, Request},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use rust_embed::{EmbeddedFile, RustEmbed};

use super::error;

#[derive(RustEmbed)]
#[folder = "$CARGO_MANIFEST_DIR/../dist"]
#[allow_missing = true]
struct Dist;

const MANIFEST: &str = "asset-manifest.json";

/// Addresses of the built files; empty when the browser half has not been built, and pages then work without it.
pub fn manifest() -> Assets {
    static AT_START: LazyLock<Assets> = LazyLock::new(read_manifest);
    // A debug build follows a rebuild of the browser half without a restart.
    if cfg!(debug_assertions) { read_manifest() } else { AT_START.clone() }
}

fn read_manifest() -> Assets {
    let Some(file) = Dist::get(MANIFEST) else { return Assets::default() };
    serde_json::from_slice(&file.data).unwrap_or_else(|error| {
        tracing::error!(%error, "asset-manifest.json can't be read; pages are served without scripts");
        Assets::default()
    })
}

/// `/pkg/…`: names hold a hash of the content, so a browser may keep them for ever.
pub async fn serve(Path(path): Path<String>, request: Request) -> Response {
    match find(&path, request.headers()) {
        Some(file) => file.respond(request.headers(), "public, max-age=31536000, immutable"),
        None => error::not_found(&request).into_response(),
    }
}

/// A file that is served as it is at the top of the site, such as `/robots.txt`.
pub fn serve_public(path: &str, headers: &HeaderMap) -> Option<Response> {
    let name = path.strip_prefix('/').filter(|name| !name.is_empty() && *name != MANIFEST)?;
    find(name, headers).map(|file| file.respond(headers, "public, max-age=3600"))
}

struct Found {
    file: EmbeddedFile,
    content_type: &'static str,
    encoding: Option<&'static str>,
    varies: bool,
}

fn find(path: &str, headers: &HeaderMap) -> Option<Found> {
    // Only what the build wrote: no hidden files, nothing outside.
    if path.split('/').any(|part| part.is_empty() || part.starts_with('.')) || path.ends_with(".br") || path.ends_with(".gz") {
        return None;
    }
    let content_type = content_type_of(path);
    let mut varies = false;
    for (encoding, ending) in [("br", "br"), ("gzip", "gz")] {
        let Some(file) = Dist::get(&format!("{path}.{ending}")) else { continue };
        varies = true;
        if accepts(headers, encoding) {
            return Some(Found { file, content_type, encoding: Some(encoding), varies });
        }
    }
    Dist::get(path).map(|file| Found { file, content_type, encoding: None, varies })
}

impl Found {
    fn respond(self, headers: &HeaderMap, caching: &'static str) -> Response {
        let etag = format!("\"{}\"", hex::encode(&self.file.metadata.sha256_hash()[..16]));
        let known = headers.get(header::IF_NONE_MATCH).and_then(|v| v.to_str().ok()).is_some_and(|v| v.contains(&etag));
        let mut response = if known {
            StatusCode::NOT_MODIFIED.into_response()
        } else {
            let body = match self.file.data {
                Cow::Borrowed(bytes) => Body::from(bytes),
                Cow::Owned(bytes) => Body::from(bytes),
            };
            Response::new(body)
        };
        let out = response.headers_mut();
        out.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        out.insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
        if let Ok(etag) = HeaderValue::from_str(&etag) {
            out.insert(header::ETAG, etag);
        }
        if let Some(encoding) = self.encoding {
            out.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
        }
        if self.varies {
            out.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
        }
        response
    }
}

/// Whether `Accept-Encoding` names the encoding and does not forbid it with `q=0`.
pub fn accepts(headers: &HeaderMap, encoding: &str) -> bool {
    let lines = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|v| v.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|item| {
        let mut parts = item.split(';').map(str::trim);
        let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(encoding));
        let weight = parts.find_map(|p| p.strip_prefix("q=")).map_or(1.0, |q| q.parse::<f32>().unwrap_or(0.0));
        named && weight > 0.0
    })
}

fn content_type_of(path: &str) -> &'static str {
    match path.rsplit('.').next() {
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("wasm") => "application/wasm",
        Some("json" | "map") => "application/json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("ico") => "image/x-icon",
        Some("woff2") => "font/woff2",
        Some("ttf") => "font/ttf",
        Some("txt") => "text/plain; charset=utf-8",
        Some("webmanifest") => "application/manifest+json",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encoding_is_used_only_if_it_is_wanted() {
        let headers = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, text.parse().unwrap());
            headers
        };
        assert!(accepts(&headers("gzip, deflate, br;q=0.9"), "br"));
        assert!(!accepts(&headers("gzip, br;q=0"), "br"));
        assert!(!accepts(&headers("brotli"), "br"));
    }

    #[test]
    fn nothing_but_built_files_is_found() {
        for path in ["../Cargo.toml", "a/../../Cargo.toml", ".env", "", "/etc/passwd"] {
            assert!(find(path, &HeaderMap::new()).is_none(), "{path}");
        }
    }
}
