//! What goes along with the message, one chip each.

use leptos::prelude::*;
use wire::context::Mention;

use super::{
    composer_draft::{Draft, Named, without_mention},
    tree_model::file_icon,
};
use crate::ui::Icon;

#[derive(Debug, Clone, PartialEq)]
enum Of {
    /// It stands in the text.
    Text(Named),
    File(String),
    Picked(usize, Mention),
    Image(String),
}

#[derive(Debug, Clone, PartialEq)]
struct Chip {
    of: Of,
    icon: &'static str,
    label: String,
    title: String,
    picture: Option<String>,
}

fn last(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn chips(draft: Draft) -> Vec<Chip> {
    let chip = |of, icon, label: String, title: String| Chip { of, icon, label, title, picture: None };
    let mut all: Vec<Chip> = Vec::new();
    for named in draft.named() {
        all.push(match &named {
            Named::File(path) => chip(Of::Text(named.clone()), file_icon(path), last(path).to_owned(), path.clone()),
            Named::Folder(path) => {
                chip(Of::Text(named.clone()), "folder", format!("{}/", last(path)), format!("The names of all files in {path}"))
            }
        });
    }
    for path in draft.files.get() {
        all.push(chip(Of::File(path.clone()), file_icon(&path), last(&path).to_owned(), path));
    }
    for (at, picked) in draft.picked.get().into_iter().enumerate() {
        let (icon, title) = match &picked.mention {
            Mention::Run { .. } => ("square-terminal", format!("The run {} and the last of its output", picked.label)),
            Mention::Selection { path, .. } => ("text-select", path.clone()),
            Mention::Folder { path } => ("folder", path.clone()),
        };
        all.push(chip(Of::Picked(at, picked.mention), icon, picked.label, title));
    }
    let project = draft.chat.ide.project_id;
    for image in draft.images.get() {
        let picture = Some(format!("/api/projects/{project}/images/{}", image.checksum));
        all.push(Chip { picture, ..chip(Of::Image(image.checksum), "image", image.name.clone(), image.name) });
    }
    all
}

fn remove(draft: Draft, of: &Of) {
    match of {
        Of::Text(named) => draft.text.update(|text| *text = without_mention(text, named.path())),
        Of::File(path) => draft.files.update(|all| all.retain(|known| known != path)),
        Of::Picked(_, mention) => draft.picked.update(|all| all.retain(|known| &known.mention != mention)),
        Of::Image(checksum) => draft.images.update(|all| all.retain(|known| &known.checksum != checksum)),
    }
}

/// The chips; each can be taken out again.
#[component]
pub fn Chips(draft: Draft) -> impl IntoView {
    let all = Memo::new(move |_| chips(draft));
    let one = move |chip: Chip| {
        let label = format!("Do not send {}", chip.title);
        let of = chip.of.clone();
        let warn = Signal::derive(move || chip.picture.is_some() && !draft.takes_images());
        let picture = all.with_untracked(|all| all.iter().find(|known| known.of == of).and_then(|known| known.picture.clone()));
        view! {
            <span class="chip" class:chip--warn=warn title=chip.title>
                {match picture {
                    Some(url) => view! { <img class="chip-pic" src=url alt="" /> }.into_any(),
                    None => view! { <Icon name=chip.icon small=true /> }.into_any(),
                }}
                <span class="clip">{chip.label}</span>
                <Show when=move || warn.get()>
                    <span class="fs12">"not sent: this model takes no pictures"</span>
                </Show>
                <button type="button" class="chip-x" aria-label=label on:click=move |_| remove(draft, &of)>
                    <Icon name="x" small=true />
                </button>
            </span>
        }
    };
    let uploading = move || draft.uploading.get() > 0;
    view! {
        <Show when=move || all.with(|all| !all.is_empty()) || uploading()>
            <div class="chips compose-chips" role="group" aria-label="Sent along with the message">
                {move || all.get().into_iter().map(one).collect_view()}
                <Show when=uploading>
                    <span class="chip">
                        <Icon name="loader-circle" small=true class="spin" />
                        "Uploading"
                    </span>
                </Show>
            </div>
        </Show>
    }
    .into_any()
}
