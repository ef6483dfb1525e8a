//! One file of a restore: as it is now against what it would be.

use leptos::{html, prelude::*, task::spawn_local};
use wire::{
    checkpoints::{FileState, PlannedFile, RestoreEffect},
    files::EntryKind,
};

use super::{ide::Ide, review_files::split_path};
use crate::{
    api,
    editor::monaco,
    ui::{Icon, Skeleton, format, use_dark},
};

/// The texts on both sides; `None` where one is no text.
type Sides = Option<(String, String)>;

#[component]
pub fn FileDiff(ide: Ide, item: PlannedFile) -> impl IntoView {
    let (folder, name) = split_path(&item.path);
    let inline = RwSignal::new(true);
    let sides = RwSignal::new(None::<Result<Sides, String>>);
    let (path, facts) = (item.path.clone(), item.clone());
    Effect::new(move |_| {
        let item = item.clone();
        spawn_local(async move {
            let read = match monaco::load().await {
                Ok(()) => read_sides(ide, &item).await,
                Err(reason) => Err(reason),
            };
            sides.try_set(Some(read));
        });
    });
    let radio = move |label: &'static str, value: bool| {
        view! {
            <button
                type="button"
                role="radio"
                aria-checked=move || if inline.get() == value { "true" } else { "false" }
                on:click=move |_| inline.set(value)
            >
                {label}
            </button>
        }
    };
    let shows_text = move || sides.with(|sides| matches!(sides, Some(Ok(Some(_)))));
    view! {
        <article class="rfile cp-file">
            <header class="rfile-head">
                <h2 class="path clip" title=path.clone()>
                    <span class="desk">{folder}</span>
                    {name}
                </h2>
                <span class="grow"></span>
                <Show when=shows_text>
                    <span class="seg" role="radiogroup" aria-label="Layout of the difference">
                        {radio("Inline", true)} {radio("Side by side", false)}
                    </span>
                </Show>
            </header>
            {move || match sides.get() {
                None => view! { <div class="inset"><Skeleton lines=6 /></div> }.into_any(),
                Some(Err(reason)) => {
                    view! {
                        <p class="err inset" role="alert">
                            <Icon name="circle-alert" small=true />
                            <span>{reason}</span>
                        </p>
                    }
                        .into_any()
                }
                Some(Ok(Some((now, then)))) => {
                    view! { <Host path=path.clone() now=now then=then inline=inline /> }.into_any()
                }
                Some(Ok(None)) => view! { <Facts item=facts.clone() /> }.into_any(),
            }}
        </article>
    }
}

/// Empty text stands for a file that does not exist.
async fn read_sides(ide: Ide, item: &PlannedFile) -> Result<Sides, String> {
    if item.effect == RestoreEffect::Mode {
        return Ok(None);
    }
    let now = read_side(ide, &item.path, item.now.as_ref()).await?;
    let then = read_side(ide, &item.path, item.then.as_ref()).await?;
    Ok(now.zip(then))
}

async fn read_side(ide: Ide, path: &str, state: Option<&FileState>) -> Result<Option<String>, String> {
    let Some(state) = state else { return Ok(Some(String::new())) };
    if state.kind != EntryKind::File {
        return Ok(None);
    }
    let file = api::files::open(ide.project_id, path.to_owned(), Some(state.version)).await.map_err(|error| error.to_string())?;
    Ok(file.text)
}

/// Where no text can be compared: what is known of both.
#[component]
fn Facts(item: PlannedFile) -> impl IntoView {
    let words = |state: Option<&FileState>| match state {
        None => "does not exist".to_owned(),
        Some(state) if state.kind == EntryKind::Directory => "a folder".to_owned(),
        Some(state) => {
            let what = if state.kind == EntryKind::Symlink { "a link, " } else { "" };
            let mode = if state.mode & 0o111 != 0 { ", may be run" } else { "" };
            let sum = state.checksum.get(..12).unwrap_or_default();
            format!("{what}{}{mode}, SHA-256 {sum}…", format::bytes(state.size))
        }
    };
    view! {
        <dl class="kv inset">
            <dt>"Now"</dt>
            <dd>{words(item.now.as_ref())}</dd>
            <dt>"After a restore"</dt>
            <dd>{words(item.then.as_ref())}</dd>
        </dl>
    }
}

#[component]
fn Host(path: String, now: String, then: String, inline: RwSignal<bool>) -> impl IntoView {
    let node = NodeRef::<html::Div>::new();
    let dark = use_dark();
    let made = StoredValue::new(None::<monaco::Diff>);
    let dispose = move || {
        if let Some(diff) = made.try_update_value(Option::take).flatten() {
            diff.dispose();
        }
    };
    Effect::new(move |_| {
        let inline = inline.get();
        let Some(host) = node.get() else { return };
        dispose();
        monaco::set_theme(dark.get_untracked());
        made.set_value(monaco::Diff::create(&host, &now, &then, &path, true, inline));
    });
    on_cleanup(dispose);
    view! { <div class="diff-host cp-host" node_ref=node></div> }
}
