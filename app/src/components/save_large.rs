//! Large texts go up as plain bytes, streamed: within JSON they would be half as large again, twice in memory.

use gloo_net::http::Request;
use wire::{
    ErrorCode, Problem,
    files::{Base, Entry, SaveOutcome, TextFormat},
};

use crate::{
    api,
    components::ide::{Ide, Tab},
};

const INLINE_MAX: usize = 3 * 1024 * 1024;

/// Only what the browser itself writes as bytes: UTF-8.
pub fn is_large(text: &str, format: &TextFormat) -> bool {
    text.len() > INLINE_MAX && format.encoding == "utf-8"
}

/// Saves `text` if the file still has the content that `base` stands for: the tab's, or that of the conflict it shows. A problem without
/// the name of a request is not the server's: the file may be saved then.
pub async fn send(ide: Ide, tab: &Tab, base: Base, text: &str) -> Result<SaveOutcome, Problem> {
    let (name, value) = match base {
        Base::New => ("If-None-Match", "*".to_owned()),
        _ => ("If-Match", format!("\"{}\"", checksum_at(tab, base))),
    };
    let body = if tab.format.bom { format!("\u{feff}{text}") } else { text.to_owned() };
    let request = Request::put(&ide.file_url(&tab.path)).header(name, &value).header("content-type", "application/octet-stream").body(body);
    let lost = |_| Problem::new(ErrorCode::Unavailable, "No answer came, so the file may be saved or not. Your text is kept here.");
    let answer = request.map_err(lost)?.send().await.map_err(lost)?;
    match answer.status() {
        200 | 201 => answer.json::<Entry>().await.map(|entry| SaveOutcome::Saved { entry }).map_err(lost),
        409 | 412 => match api::files::open(ide.project_id, tab.path.clone(), None).await {
            Ok(theirs) => Ok(SaveOutcome::Conflict { theirs: Some(theirs) }),
            Err(error) if error.code() == ErrorCode::NotFound => Ok(SaveOutcome::Conflict { theirs: None }),
            Err(error) => Err(error.0),
        },
        status => {
            let unknown = || {
                let words = format!("The server answered with status {status}, so the file may be saved or not. Your text is kept here.");
                Problem::new(ErrorCode::Internal, words)
            };
            Err(answer.json::<Problem>().await.unwrap_or_else(|_| unknown()))
        }
    }
}

fn checksum_at(tab: &Tab, base: Base) -> &str {
    let theirs = tab.conflict.as_ref().and_then(|conflict| conflict.theirs.as_ref());
    theirs.filter(|theirs| base == Base::Version(theirs.entry.version)).map_or(&tab.checksum, |theirs| &theirs.entry.checksum)
}
