//! Reads the answer of a search line by line while it arrives. One search goes on at a time; beginning another, or leaving the page, tells the
//! server to stop.

use std::cell::RefCell;

use leptos::{task::spawn_local, wasm_bindgen::JsCast, web_sys};
use wasm_bindgen_futures::JsFuture;
use wire::{ErrorCode, Problem, search::SearchItem};

thread_local! {
    static CURRENT: RefCell<Option<web_sys::AbortController>> = const { RefCell::new(None) };
}

/// Ends the search that goes on, if one does; nothing more is told of it.
pub fn stop() {
    if let Some(current) = CURRENT.with(RefCell::take) {
        current.abort();
    }
}

/// Begins a search. `on_items` gets what has arrived, `on_end` why it ended early, if it did.
pub fn start(address: &str, on_items: impl Fn(Vec<SearchItem>) + 'static, on_end: impl FnOnce(Option<Problem>) + 'static) {
    stop();
    let Ok(controller) = web_sys::AbortController::new() else { return };
    let signal = controller.signal();
    CURRENT.with(|current| current.replace(Some(controller)));
    let address = address.to_owned();
    spawn_local(async move {
        let ended = read(&address, &signal, on_items).await;
        if !signal.aborted() {
            on_end(ended.err().map(|problem| *problem));
        }
    });
}

fn lost() -> Box<Problem> {
    let text = "The connection to the server was lost. What was found so far is shown; search again when it is back.";
    Box::new(Problem::new(ErrorCode::Unavailable, text))
}

async fn read(address: &str, signal: &web_sys::AbortSignal, on_items: impl Fn(Vec<SearchItem>)) -> Result<(), Box<Problem>> {
    let init = web_sys::RequestInit::new();
    init.set_signal(Some(signal));
    let sent = leptos::prelude::window().fetch_with_str_and_init(address, &init);
    let response: web_sys::Response = JsFuture::from(sent).await.map_err(|_| lost())?.unchecked_into();
    if !response.ok() {
        let text = JsFuture::from(response.text().map_err(|_| lost())?).await.map_err(|_| lost())?;
        return Err(serde_json::from_str(&text.as_string().unwrap_or_default()).map_err(|_| lost())?);
    }
    let Some(body) = response.body() else { return Ok(()) };
    let reader: web_sys::ReadableStreamDefaultReader = body.get_reader().unchecked_into();
    let mut lines = Lines::default();
    loop {
        let chunk = JsFuture::from(reader.read()).await.map_err(|_| lost())?;
        if signal.aborted() {
            return Ok(());
        }
        let field = |name: &str| js_sys::Reflect::get(&chunk, &name.into()).map_err(|_| lost());
        if field("done")?.is_truthy() {
            return if lines.ended { Ok(()) } else { Err(lost()) };
        }
        let items = lines.push(&js_sys::Uint8Array::new(&field("value")?).to_vec());
        if !items.is_empty() {
            on_items(items);
        }
    }
}

/// Puts lines together out of pieces that end anywhere.
#[derive(Default)]
struct Lines {
    rest: Vec<u8>,
    /// The line that ends every answer was there.
    ended: bool,
}

impl Lines {
    fn push(&mut self, bytes: &[u8]) -> Vec<SearchItem> {
        self.rest.extend_from_slice(bytes);
        let Some(end) = self.rest.iter().rposition(|byte| *byte == b'\n') else { return Vec::new() };
        let rest = self.rest.split_off(end + 1);
        let whole = std::mem::replace(&mut self.rest, rest);
        let lines = whole.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let items: Vec<SearchItem> = lines.filter_map(|line| serde_json::from_slice(line).ok()).collect();
        self.ended |= items.iter().any(|item| matches!(item, SearchItem::Done(_) | SearchItem::Failed { .. }));
        items
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_may_be_cut_anywhere() {
        let text = "{\"type\":\"progress\",\"searched\":1}\n{\"type\":\"done\",\"searched\":2,\"files\":0,\"lines\":0,\"notes\":[\"ä\"],\"elapsed_ms\":3}\n";
        for size in [1, 7, 40, 500] {
            let mut lines = Lines::default();
            let items: Vec<_> = text.as_bytes().chunks(size).flat_map(|piece| lines.push(piece)).collect();
            assert!(
                matches!(&items[..], [SearchItem::Progress { searched: 1 }, SearchItem::Done(done)] if done.notes == ["ä"]),
                "{items:?}"
            );
            assert!(lines.ended && lines.rest.is_empty());
        }
    }
}
