//! Headers, media types and answers that several operations share.

use serde_json::{Value, json};
use wire::{
    files::{Entry, Upload},
    generate::GenerateNotice,
    search::SearchItem,
    terminals::{TerminalControl, TerminalNotice},
};

use crate::http::openapi::document::Draft;

const ETAG: &str = "The quoted SHA-256 of the content.";
const VERSION: &str = "The version of the file.";
const DISPOSITION: &str = "Always `attachment`: what a project contains is never shown on this origin.";

/// One file, whole or in part.
pub fn sends_file(draft: &mut Draft<'_>) {
    draft.header("If-None-Match", "An ETag that is known: 304 if it is still the content.");
    draft.header("Range", "One range of bytes, such as `bytes=0-1023`. Several get the whole.");
    draft.header("If-Range", "The range only if the content still has this ETag, else the whole.");
    for (status, about) in [(200, "The bytes."), (206, "The range that was asked for.")] {
        draft.gives(status, about, "*/*", Value::Null);
        draft.with_header(status, "accept-ranges", "Always `bytes`.");
        describe_file(draft, status);
    }
    draft.with_header(206, "content-range", "Which part of how many bytes.");
    draft.gives(304, "Still the content that is known.", "", Value::Null);
    describe_file(draft, 304);
    draft.gives(416, "There are no such bytes; `Content-Range` tells the size.", "", Value::Null);
    draft.with_header(416, "content-range", "The size.");
}

fn describe_file(draft: &mut Draft<'_>, status: u16) {
    draft.with_header(status, "etag", ETAG);
    draft.with_header(status, "x-file-version", VERSION);
    draft.with_header(status, "content-disposition", DISPOSITION);
}

/// As one file, without a version to know it by.
pub fn sends_archive_again(draft: &mut Draft<'_>) {
    draft.header("Range", "One range of bytes, so that a download can be taken up again.");
    draft.header("If-Range", "The range only if the archive still has this ETag, else the whole.");
    for (status, about) in [(200, "The archive."), (206, "The range that was asked for.")] {
        draft.gives(status, about, "application/zip", Value::Null);
        draft.with_header(status, "etag", ETAG);
        draft.with_header(status, "content-disposition", DISPOSITION);
    }
    draft.gives(416, "There are no such bytes; `Content-Range` tells the size.", "", Value::Null);
}

/// Comma-separated values by RFC 4180.
pub fn sends_table(draft: &mut Draft<'_>) {
    draft.gives(200, "A table with names in its first line. What people wrote never begins like a formula.", "text/csv", Value::Null);
    draft.with_header(200, "content-disposition", DISPOSITION);
}

pub fn sends_zip(draft: &mut Draft<'_>) {
    draft.gives(200, "A zip, made while it is sent.", "application/zip", Value::Null);
    draft.with_header(200, "content-disposition", DISPOSITION);
}

pub fn sends_output(draft: &mut Draft<'_>) {
    draft.gives(200, "The bytes of all channels, in the order in which they came.", "application/octet-stream", Value::Null);
    draft.with_header(200, "content-disposition", DISPOSITION);
}

pub fn sends_account(draft: &mut Draft<'_>) {
    draft.gives(200, "The document, made while it is sent.", "application/json", json!({}));
    draft.with_header(200, "content-disposition", DISPOSITION);
}

pub fn sends_picture(draft: &mut Draft<'_>) {
    draft.gives(200, "The picture.", "image/*", Value::Null);
}

pub fn takes_picture(draft: &mut Draft<'_>) {
    draft.takes("image/*", Value::Null);
}

pub fn sends_conversation(draft: &mut Draft<'_>) {
    draft.gives(200, "The conversation, as Markdown or as JSON.", "text/markdown", Value::Null);
    let answer = &mut draft.operation["responses"]["200"];
    answer["content"]["application/json"] = json!({});
    draft.with_header(200, "content-disposition", DISPOSITION);
}

/// What `PUT` on a file takes and answers.
pub fn saves_file(draft: &mut Draft<'_>) {
    precondition(draft);
    saved(draft);
}

fn precondition(draft: &mut Draft<'_>) {
    draft.header("If-None-Match", "`*`: the file must not exist.");
    draft.header("If-Match", "The ETag of the content that is replaced.");
}

fn saved(draft: &mut Draft<'_>) {
    let entry = draft.schemas.given_as::<Entry>();
    for (status, about) in [(200, "Saved as a new version."), (201, "A new file.")] {
        draft.gives(status, about, "application/json", entry.clone());
        draft.with_header(status, "etag", ETAG);
        draft.with_header(status, "x-file-version", VERSION);
    }
}

pub fn deletes_file(draft: &mut Draft<'_>) {
    draft.header("If-Match", "Only that content of a file is deleted.");
}

pub fn tells_offset(draft: &mut Draft<'_>) {
    let upload = draft.schemas.given_as::<Upload>();
    draft.gives(200, "Where it is.", "application/json", upload);
    draft.with_header(200, "upload-offset", "Where the next piece begins.");
}

pub fn appends(draft: &mut Draft<'_>) {
    draft.required_header("Upload-Offset", "The byte that this piece begins at.", json!({ "type": "integer", "minimum": 0 }));
    precondition(draft);
    saved(draft);
    let upload = draft.schemas.given_as::<Upload>();
    draft.gives(202, "More is to come.", "application/json", upload);
    draft.with_header(202, "upload-offset", "Where the next piece begins.");
}

pub fn takes_batch(draft: &mut Draft<'_>) {
    let manifest = json!({ "type": "string", "description": "JSON: a list of `{path, base}`, one for each file." });
    draft.takes(
        "multipart/form-data",
        json!({
            "type": "object",
            "required": ["manifest"],
            "properties": { "manifest": manifest, "file": { "type": "array", "items": { "type": "string", "format": "binary" } } },
        }),
    );
}

pub fn takes_import_batch(draft: &mut Draft<'_>) {
    let manifest = json!({ "type": "string", "description": "JSON: a list of `{path, executable}`, one for each file." });
    draft.takes(
        "multipart/form-data",
        json!({
            "type": "object",
            "required": ["manifest"],
            "properties": { "manifest": manifest, "file": { "type": "array", "items": { "type": "string", "format": "binary" } } },
        }),
    );
}

pub fn takes_archive(draft: &mut Draft<'_>) {
    draft.operation.remove("requestBody");
    let git = draft.schemas.taken_as::<wire::imports::ImportGit>();
    draft.takes("application/json", git);
    draft.takes(
        "multipart/form-data",
        json!({
            "type": "object",
            "required": ["archive"],
            "properties": {
                "name": { "type": "string", "description": "What the project is called; empty: as the archive." },
                "storage_backend": { "type": "string", "description": "`local` or `s3`, before the archive." },
                "archive": { "type": "string", "format": "binary", "description": "A zip or a tar.gz." },
            },
        }),
    );
    let started = draft.schemas.given_as::<wire::projects::ImportStarted>();
    draft.gives(202, "A project that fills while the job runs; it disappears if the archive is refused.", "application/json", started);
}

/// One JSON object a line.
pub fn sends_matches(draft: &mut Draft<'_>) {
    let item = draft.schemas.given_as::<SearchItem>();
    draft.gives(200, "One line of JSON for each match; the last one is `done` or `failed`.", "application/x-ndjson", Value::Null);
    // OpenAPI 3.1 has no word for lines of JSON; the schema of one line is kept where readers find it.
    draft.operation["responses"]["200"]["content"]["application/x-ndjson"] = json!({ "x-line-schema": item });
}

pub fn follows(draft: &mut Draft<'_>) {
    draft.header("Last-Event-ID", "What was seen last; counts more than `after`.");
    let event = draft.schemas.given_as::<wire::event::Event>();
    draft.gives(200, "Events until the client goes or the stream ends.", "text/event-stream", Value::Null);
    draft.operation["responses"]["200"]["content"]["text/event-stream"] = json!({ "x-event-schema": event });
}

pub fn follows_many(draft: &mut Draft<'_>) {
    let schema = json!({ "type": "array", "items": { "type": "string" }, "minItems": 1, "maxItems": 32 });
    draft.query("s", "A stream and where to go on, as `project:01a2…@17`; 1 to 32 of them.", true, schema);
    follows(draft);
}

pub fn opens_terminal(draft: &mut Draft<'_>) {
    let frames = json!({ "in": draft.schemas.taken_as::<TerminalControl>(), "out": draft.schemas.given_as::<TerminalNotice>() });
    draft.operation.insert("x-frames".to_owned(), frames);
}

pub fn opens_generation(draft: &mut Draft<'_>) {
    let frames = json!({ "in": draft.schemas.taken_as::<wire::generate::Generate>(), "out": draft.schemas.given_as::<GenerateNotice>() });
    draft.operation.insert("x-frames".to_owned(), frames);
}

pub fn sends_lines(draft: &mut Draft<'_>) {
    draft.gives(200, "One line of JSON for each entry.", "application/x-ndjson", Value::Null);
}

pub fn sends_document(draft: &mut Draft<'_>) {
    draft.gives(200, "The document.", "application/json", json!({ "type": "object" }));
}

pub fn sends_page(draft: &mut Draft<'_>) {
    draft.gives(200, "The document as a page.", "text/html", Value::Null);
}

pub fn redirects(draft: &mut Draft<'_>) {
    draft.gives(303, "Where to go next.", "", Value::Null);
    draft.with_header(303, "location", "The address.");
}
