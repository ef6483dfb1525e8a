//! Files that the editor does not hold: images, sound, films and documents, and everything else as text or bytes, page by page.
//! Nothing of them runs: the browser gets them as data of this page, in elements that only show or play.

use leptos::{html, prelude::*, task::spawn_local, wasm_bindgen::JsCast, web_sys};
use wasm_bindgen_futures::JsFuture;
use wire::{Problem, files::Entry};

use super::{file_bytes::BytesView, ide::Ide, pdf_view::PdfView, tree_model::name_of};
use crate::ui::{Icon, PanelError, Skeleton, format};

/// Larger ones are not fetched as a whole; they can be looked at page by page.
const SHOWN_MAX: i64 = 64 * 1024 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Image,
    Audio,
    Video,
    Document,
    Other,
}

fn kind_of(path: &str) -> Kind {
    let ending = path.rsplit_once('.').map_or(String::new(), |(_, ending)| ending.to_lowercase());
    match ending.as_str() {
        "png" | "jpg" | "jpeg" | "gif" | "webp" | "avif" | "bmp" | "ico" | "svg" => Kind::Image,
        "mp3" | "ogg" | "oga" | "opus" | "wav" | "flac" | "m4a" | "aac" => Kind::Audio,
        "mp4" | "webm" | "ogv" | "mov" | "m4v" => Kind::Video,
        "pdf" => Kind::Document,
        _ => Kind::Other,
    }
}

/// Whether a file can be shown as a picture, by its name.
pub fn is_image(path: &str) -> bool {
    kind_of(path) == Kind::Image
}

/// Whether a file is a document of pages, by its name: it is shown as one, even where its bytes can be read as text.
pub fn is_document(path: &str) -> bool {
    kind_of(path) == Kind::Document
}

/// Whether a file is a drawing that is written as text, by its name: it can be edited, and looked at.
pub fn is_drawing(path: &str) -> bool {
    kind_of(path) == Kind::Image && path.rsplit('.').next().is_some_and(|ending| ending.eq_ignore_ascii_case("svg"))
}

/// What stands above the text of a drawing: whether it is shown as a picture, and the button for it.
#[component]
pub fn DrawingBar(
    /// The stored version that the picture shows.
    version: Signal<i64>,
    unsaved: Signal<bool>,
    pictured: Signal<bool>,
    toggle: Callback<()>,
) -> impl IntoView {
    let words = move || match (pictured.get(), unsaved.get()) {
        (false, _) => "A drawing, as text".to_owned(),
        (true, false) => format!("Version {} as a picture", version.get()),
        (true, true) => format!("Version {} as a picture, without what is not saved yet", version.get()),
    };
    view! {
        <div class="preview-head">
            <span class="clip t2 fs12">{words}</span>
            <span class="grow"></span>
            <button
                type="button"
                class="btn btn--s"
                aria-pressed=move || if pictured.get() { "true" } else { "false" }
                on:click=move |_| toggle.run(())
            >
                "Preview"
            </button>
        </div>
    }
}

/// A stored version of a drawing, as an image only: scripts in it do not run, and it loads nothing.
#[component]
pub fn Drawing(ide: Ide, path: String, version: i64) -> impl IntoView {
    let url = format!("{}?version={version}", ide.file_url(&path));
    let name = name_of(&path).to_owned();
    view! {
        <div class="preview">
            <ImageView url=url name=name />
        </div>
    }
}

/// The content of a tab whose file is no text, a document, or too large for the editor.
#[component]
pub fn FilePreview(ide: Ide, entry: Entry) -> impl IntoView {
    // By key: each version of a file has elements of its own, whose handlers go with it.
    view! {
        <For each=move || [entry.clone()] key=|entry| (entry.path.clone(), entry.version) let:entry>
            <Preview ide=ide entry=entry />
        </For>
    }
}

#[component]
fn Preview(ide: Ide, entry: Entry) -> impl IntoView {
    let url = ide.file_url(&entry.path);
    let kind = if entry.size > SHOWN_MAX { Kind::Other } else { kind_of(&entry.path) };
    let name = entry.name().to_owned();
    let raw = RwSignal::new(kind == Kind::Other);
    let facts = format!("{}, {}, version {}", format::bytes(entry.size), entry.content_type, entry.version);
    let why = if entry.size > SHOWN_MAX { "It is too large to be shown as a whole." } else { "Its content is not text." };
    // Another version is another address, so that nothing old is shown.
    let versioned = format!("{url}?version={}", entry.version);
    let size = entry.size;
    view! {
        <div class="preview">
            <div class="preview-head">
                <span class="clip t2 fs12">{facts}</span>
                <Show when=move || kind == Kind::Other>
                    <span class="t3 fs12 desk clip">{why}</span>
                </Show>
                <span class="grow"></span>
                <Show when=move || kind != Kind::Other>
                    <button
                        type="button"
                        class="btn btn--s"
                        aria-pressed=move || if raw.get() { "true" } else { "false" }
                        on:click=move |_| raw.update(|raw| *raw = !*raw)
                    >
                        "Show the bytes"
                    </button>
                </Show>
                <a class="btn btn--s" href=url download rel="external">
                    <Icon name="download" small=true />
                    "Download"
                </a>
            </div>
            {move || {
                let (url, name) = (versioned.clone(), name.clone());
                match kind {
                    _ if raw.get() => view! { <BytesView url=url size=size /> }.into_any(),
                    Kind::Image => view! { <ImageView url=url name=name /> }.into_any(),
                    Kind::Audio => view! { <MediaView url=url name=name video=false /> }.into_any(),
                    Kind::Video => view! { <MediaView url=url name=name video=true /> }.into_any(),
                    Kind::Document => view! { <PdfView url=url name=name /> }.into_any(),
                    Kind::Other => ().into_any(),
                }
            }}
        </div>
    }
}

/// Fetches a file as a blob of this page; the error is a sentence.
pub async fn fetch_blob(url: &str) -> Result<web_sys::Blob, String> {
    let lost = |_| "The connection was lost. The file is safe; try again when the connection is back.".to_owned();
    let response = JsFuture::from(window().fetch_with_str(url)).await.map_err(lost)?;
    let response: web_sys::Response = response.unchecked_into();
    if !response.ok() {
        let text = match response.text() {
            Ok(text) => JsFuture::from(text).await.ok().and_then(|text| text.as_string()).unwrap_or_default(),
            Err(_) => String::new(),
        };
        let problem: Option<Problem> = serde_json::from_str(&text).ok();
        return Err(
            problem.map_or_else(|| format!("The server answered with status {}.", response.status()), |problem| problem.to_string())
        );
    }
    let blob = JsFuture::from(response.blob().map_err(lost)?).await.map_err(lost)?;
    Ok(blob.unchecked_into())
}

/// The address of a fetched file within this page, for as long as the part that asked lives.
fn local_url(url: String) -> (RwSignal<Option<Result<String, String>>>, impl Fn() + Copy + Send + 'static) {
    let local = RwSignal::new(None::<Result<String, String>>);
    let url = StoredValue::new(url);
    let read = move || {
        local.set(None);
        spawn_local(async move {
            let Some(url) = url.try_get_value() else { return };
            let made = fetch_blob(&url).await.and_then(|blob| {
                web_sys::Url::create_object_url_with_blob(&blob).map_err(|_| "The browser refused to show this file.".to_owned())
            });
            if let Some(Ok(unused)) = local.try_set(Some(made)).flatten() {
                // The part went away meanwhile.
                let _ = web_sys::Url::revoke_object_url(&unused);
            }
        });
    };
    Effect::new(move |_| read());
    on_cleanup(move || {
        if let Some(Some(Ok(made))) = local.try_get_untracked() {
            let _ = web_sys::Url::revoke_object_url(&made);
        }
    });
    (local, read)
}

/// What stands in the place of a file that is on its way or did not come.
fn not_there(state: Option<Result<String, String>>, again: impl Fn() + Copy + Send + 'static) -> AnyView {
    match state {
        Some(Err(reason)) => view! {
            <div class="inset">
                <PanelError title="This file did not load" text=reason>
                    <button type="button" class="btn" on:click=move |_| again()>
                        "Try again"
                    </button>
                </PanelError>
            </div>
        }
        .into_any(),
        _ => view! { <div class="inset"><Skeleton lines=4 /></div> }.into_any(),
    }
}

/// A picture, as an image only: scripts in it do not run. Fitted, or at its own size.
#[component]
pub fn ImageView(url: String, name: String) -> impl IntoView {
    let (local, read) = local_url(url);
    let node = NodeRef::<html::Img>::new();
    let size = RwSignal::new(None::<(u32, u32)>);
    let broken = RwSignal::new(false);
    let full = RwSignal::new(false);
    let on_load = move |_| {
        // It may arrive when the picture was left already.
        if let Some(image) = node.try_get_untracked().flatten() {
            size.set(Some((image.natural_width(), image.natural_height())));
        }
    };
    move || {
        match local.get() {
        Some(Ok(src)) if !broken.get() => {
            let name = name.clone();
            view! {
                <div class="preview-stage" data-full=move || full.get().then_some("true")>
                    <img
                        src=src
                        alt=name
                        node_ref=node
                        on:load=on_load
                        on:error=move |_| broken.set(true)
                        on:click=move |_| full.update(|full| *full = !*full)
                    />
                </div>
                <div class="preview-foot">
                    <span class="num t3 fs12">{move || size.get().map(|(width, height)| format!("{width} × {height}"))}</span>
                    <button
                        type="button"
                        class="btn btn--s"
                        aria-pressed=move || if full.get() { "true" } else { "false" }
                        on:click=move |_| full.update(|full| *full = !*full)
                    >
                        "Own size"
                    </button>
                </div>
            }
            .into_any()
        }
        Some(Ok(_)) => view! { <p class="inset t2" role="alert">"The browser can't show this image; it may be broken. Its bytes can be looked at."</p> }
            .into_any(),
        other => not_there(other, read),
    }
    }
}

/// Sound or film with the browser's own controls; it never starts by itself.
#[component]
fn MediaView(url: String, name: String, video: bool) -> impl IntoView {
    let (local, read) = local_url(url);
    let broken = RwSignal::new(false);
    move || match local.get() {
        Some(Ok(src)) if !broken.get() => {
            let name = name.clone();
            let on_error = move |_| broken.set(true);
            if video {
                view! { <div class="preview-stage"><video src=src controls preload="metadata" aria-label=name on:error=on_error></video></div> }.into_any()
            } else {
                view! { <div class="preview-stage"><audio src=src controls preload="metadata" aria-label=name on:error=on_error></audio></div> }.into_any()
            }
        }
        Some(Ok(_)) => {
            view! { <p class="inset t2" role="alert">"This browser can't play the file. Download it to play it elsewhere."</p> }.into_any()
        }
        other => not_there(other, read),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_how_a_file_is_shown() {
        assert_eq!(kind_of("a/B.PNG"), Kind::Image);
        assert_eq!(kind_of("x.tar.gz"), Kind::Other);
        assert_eq!(kind_of("no-ending"), Kind::Other);
        assert_eq!(kind_of("talk.pdf"), Kind::Document);
        assert!(is_image("logo.svg") && !is_image("page.html"));
        assert!(is_document("a/Talk.PDF") && !is_document("pdf"));
        assert!(is_drawing("a/Logo.SVG") && !is_drawing("logo.png") && !is_drawing("svg"));
    }
}
