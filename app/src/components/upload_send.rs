//! Requests that tell how much of their body has gone. `fetch` can't; this is the older interface.

use std::{cell::RefCell, collections::BTreeMap};

use leptos::{
    wasm_bindgen::{JsCast, JsValue, closure::Closure},
    web_sys::{self, ProgressEvent, XmlHttpRequest},
};
use serde::de::DeserializeOwned;
use wasm_bindgen_futures::JsFuture;
use wire::{ErrorCode, Problem, files::Entry};

thread_local! {
    /// What is under way, so that it can be stopped.
    static REQUESTS: RefCell<BTreeMap<u64, XmlHttpRequest>> = const { RefCell::new(BTreeMap::new()) };
}

pub enum Payload {
    None,
    Json(String),
    Bytes(web_sys::Blob),
    Form(web_sys::FormData),
}

/// What the server said; status 0 when it said nothing.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    pub status: u16,
    pub body: String,
}

impl Answer {
    pub fn is_ok(&self) -> bool {
        (200..300).contains(&self.status)
    }

    pub fn read<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_str(&self.body).ok()
    }

    pub fn problem(&self) -> Option<Problem> {
        self.read()
    }

    /// The entry that is in the way, when the answer names one.
    pub fn current(&self) -> Option<Entry> {
        serde_json::from_value(self.problem()?.current?).ok()
    }

    /// Whether the server may have done what it was asked for although it did not say so.
    pub fn is_unsure(&self) -> bool {
        self.problem().is_none_or(|problem| problem.code == ErrorCode::Internal)
    }

    /// Why it was refused, or what is not known, in a sentence.
    pub fn reason(&self) -> String {
        match self.problem() {
            Some(problem) => problem.to_string(),
            None if self.status == 0 => "No answer came, so it may have arrived or not. Look before you send it again.".to_owned(),
            None => {
                format!("The server answered with status {}, so it may have arrived or not. Look before you send it again.", self.status)
            }
        }
    }
}

/// Sends a request and waits for its end. `key` names it for [`stop`]; `progress` hears how many bytes of the body have gone.
pub async fn send(
    key: u64,
    method: &str,
    url: &str,
    headers: &[(&str, String)],
    payload: Payload,
    progress: impl Fn(f64) + 'static,
) -> Answer {
    let Ok(xhr) = XmlHttpRequest::new() else { return Answer::default() };
    let prepare = || -> Result<js_sys::Promise, JsValue> {
        xhr.open_with_async(method, url, true)?;
        xhr.set_request_header("accept", "application/json")?;
        for (name, value) in headers {
            xhr.set_request_header(name, value)?;
        }
        let told = Closure::<dyn FnMut(ProgressEvent)>::new(move |event: ProgressEvent| progress(event.loaded()));
        xhr.upload()?.set_onprogress(Some(told.into_js_value().unchecked_ref()));
        let ended = js_sys::Promise::new(&mut |resolve, _| xhr.set_onloadend(Some(&resolve)));
        match &payload {
            Payload::None => xhr.send()?,
            Payload::Json(json) => {
                xhr.set_request_header("content-type", "application/json")?;
                xhr.send_with_opt_str(Some(json))?;
            }
            Payload::Bytes(bytes) => {
                xhr.set_request_header("content-type", "application/octet-stream")?;
                xhr.send_with_opt_blob(Some(bytes))?;
            }
            Payload::Form(form) => xhr.send_with_opt_form_data(Some(form))?,
        }
        Ok(ended)
    };
    let Ok(ended) = prepare() else { return Answer::default() };
    REQUESTS.with_borrow_mut(|all| all.insert(key, xhr.clone()));
    // A failure to send ends in `loadend`, too, with status 0.
    let _ = JsFuture::from(ended).await;
    REQUESTS.with_borrow_mut(|all| all.remove(&key));
    Answer { status: xhr.status().unwrap_or(0), body: xhr.response_text().ok().flatten().unwrap_or_default() }
}

/// Ends a request that is under way; whoever waits for it gets status 0.
pub fn stop(key: u64) {
    let xhr = REQUESTS.with_borrow(|all| all.get(&key).cloned());
    if let Some(xhr) = xhr {
        let _ = xhr.abort();
    }
}

/// Whether the browser can still read the file: it refuses when the file was changed or removed after it was chosen.
pub async fn is_readable(file: &web_sys::Blob) -> bool {
    let Ok(first) = file.slice_with_f64_and_f64(0.0, 1.0) else { return false };
    JsFuture::from(first.array_buffer()).await.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_claimed_where_the_server_said_nothing() {
        let told = |code: ErrorCode| Answer { status: code.status(), body: serde_json::to_string(&Problem::new(code, "Why.")).unwrap() };
        assert!(!told(ErrorCode::TooLarge).is_unsure() && !told(ErrorCode::Unavailable).is_unsure());
        assert!(told(ErrorCode::Internal).is_unsure());
        for answer in [Answer::default(), Answer { status: 502, body: "<html>".to_owned() }, Answer { status: 200, body: String::new() }] {
            assert!(answer.is_unsure() && !answer.reason().contains("nothing was"), "{answer:?}");
        }
        assert_eq!(told(ErrorCode::TooLarge).reason(), "Why.");
    }
}
