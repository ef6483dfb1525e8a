//! Documents in PDF. They are drawn by a script in a frame of its own, which has no origin, no cookies and no network: whatever a
//! document does to that script, it stays there.

use leptos::{
    ev, html,
    prelude::*,
    task::spawn_local,
    wasm_bindgen::{JsCast, JsValue},
    web_sys,
};
use wasm_bindgen_futures::JsFuture;

use super::file_preview::fetch_blob;
use crate::{
    editor::asset_url,
    ui::{PanelError, Skeleton, use_dark},
};

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Loading,
    /// So many pages.
    Shown(u32),
    Failed(String),
}

/// The document at `url`.
#[component]
pub fn PdfView(url: String, name: String) -> impl IntoView {
    let frame = NodeRef::<html::Iframe>::new();
    let state = RwSignal::new(State::Loading);
    let page = RwSignal::new(None::<String>);
    let bytes = StoredValue::new_local(None::<js_sys::ArrayBuffer>);
    let dark = use_dark();
    let read = move || {
        let url = url.clone();
        state.set(State::Loading);
        spawn_local(async move {
            match load(&url, dark.get_untracked()).await {
                Ok((document, buffer)) => {
                    bytes.try_set_value(Some(buffer));
                    page.try_set(Some(document));
                }
                Err(reason) => drop(state.try_set(State::Failed(reason))),
            }
        });
    };
    let again = read.clone();
    Effect::new(move |_| read());
    let told = StoredValue::new(None::<WindowListenerHandle>);
    Effect::new(move |_| told.set_value(Some(window_event_listener(ev::message, move |event| hear(frame, state, &event)))));
    on_cleanup(move || {
        if let Some(listener) = told.try_update_value(Option::take).flatten() {
            listener.remove();
        }
    });
    // The bytes are handed over once the script in the frame is there.
    let on_load = move |_| {
        let window = frame.get_untracked().and_then(|frame| frame.content_window());
        if let (Some(window), Some(buffer)) = (window, bytes.try_update_value(Option::take).flatten()) {
            let _ = window.post_message_with_transfer(&buffer, "*", &js_sys::Array::of1(&buffer));
        }
    };
    let title = StoredValue::new(name);
    view! {
        {move || {
            let again = again.clone();
            match state.get() {
                State::Loading => view! { <div class="inset"><Skeleton lines=6 /></div> }.into_any(),
                State::Shown(_) => ().into_any(),
                State::Failed(reason) => {
                    view! {
                        <div class="inset">
                            <PanelError title="The document is not shown" text=reason>
                                <button type="button" class="btn" on:click=move |_| again()>
                                    "Try again"
                                </button>
                            </PanelError>
                        </div>
                    }
                        .into_any()
                }
            }
        }}
        {move || {
            page.get()
                .map(|document| {
                    view! {
                        <iframe
                            class="pdf"
                            sandbox="allow-scripts"
                            title=title.get_value()
                            srcdoc=document
                            node_ref=frame
                            hidden=move || !matches!(state.get(), State::Shown(_))
                            on:load=on_load
                        ></iframe>
                    }
                })
        }}
        <div class="preview-foot">
            <span class="num t3 fs12">
                {move || match state.get() {
                    State::Shown(1) => "1 page".to_owned(),
                    State::Shown(pages) => format!("{pages} pages"),
                    _ => String::new(),
                }}
            </span>
        </div>
    }
}

/// What the frame says: how many pages there are, or why none.
fn hear(frame: NodeRef<html::Iframe>, state: RwSignal<State>, event: &web_sys::MessageEvent) {
    let own = frame.try_get_untracked().flatten().and_then(|frame| frame.content_window());
    let is_own = own.zip(event.source()).is_some_and(|(own, source)| source.loose_eq(own.as_ref()));
    if !is_own {
        return;
    }
    let field = |name: &str| js_sys::Reflect::get(&event.data(), &JsValue::from_str(name)).ok();
    if let Some(pages) = field("pages").and_then(|pages| pages.as_f64()) {
        state.set(State::Shown(pages as u32));
    } else if field("failed").is_some_and(|failed| failed.is_truthy()) {
        let words = "It is broken, or protected by a password. Download it to open it elsewhere, or look at its bytes.";
        state.set(State::Failed(words.to_owned()));
    }
}

/// The frame's page with the script in it, and the document's bytes.
async fn load(url: &str, dark: bool) -> Result<(String, js_sys::ArrayBuffer), String> {
    let lost = |_| "A part of the page could not be loaded. Your files are safe; try again when the connection is back.".to_owned();
    let script = asset_url("pdf").ok_or("This server was started without its browser files.")?;
    let script = fetch_blob(&script).await?;
    let script = JsFuture::from(script.text()).await.map_err(lost)?.as_string().unwrap_or_default();
    let bytes = JsFuture::from(fetch_blob(url).await?.array_buffer()).await.map_err(lost)?;
    let nonce = document()
        .query_selector("script[nonce]")
        .ok()
        .flatten()
        .and_then(|element| js_sys::Reflect::get(&element, &JsValue::from_str("nonce")).ok().and_then(|nonce| nonce.as_string()));
    // A script in a page ends at the first such tag, also inside of a text.
    let script = script.replace("</script", "<\\/script");
    let scheme = if dark { "dark" } else { "light" };
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{0}'; style-src 'unsafe-inline'; img-src blob: data:; font-src data:",
        nonce.clone().unwrap_or_default()
    );
    let page = format!(
        "<!doctype html><html style=\"color-scheme: {scheme}\"><meta charset=\"utf-8\"><meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\"><body><script nonce=\"{}\">{script}</script></body></html>",
        nonce.unwrap_or_default()
    );
    Ok((page, bytes.unchecked_into()))
}
