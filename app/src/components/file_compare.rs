//! Two versions of a file beside each other, in the place of the editor.

use leptos::{html, prelude::*, task::spawn_local};
use wire::{
    ErrorCode,
    files::{Base, FileAction, FileStep, FileVersion},
};

use super::{
    explorer_actions::change,
    file_history::describe_version,
    file_preview::{ImageView, is_image},
    files_desk::Comparison,
    ide::Ide,
    tree_model::{find, name_of},
};
use crate::{
    api,
    editor::monaco,
    ui::{Button, ButtonKind, Icon, IconButton, PanelError, Skeleton, format, use_dark},
};

/// What one side shows; `None` where it is no text.
type Sides = (Option<String>, Option<String>);

/// The comparison that is chosen in the history of a file.
#[component]
pub fn FileCompare(ide: Ide) -> impl IntoView {
    // By key: each comparison has elements of its own, whose handlers go with it.
    view! {
        <For each=move || ide.files.comparison.get() key=Clone::clone let:comparison>
            <Compared ide=ide comparison=comparison />
        </For>
    }
}

#[component]
fn Compared(ide: Ide, comparison: Comparison) -> impl IntoView {
    let sides = RwSignal::new(None::<Result<Sides, String>>);
    let inline = RwSignal::new(super::commands::is_narrow());
    let path = comparison.path.clone();
    let wanted = comparison.clone();
    let read = move || {
        let wanted = wanted.clone();
        sides.set(None);
        spawn_local(async move {
            let read = match monaco::load().await {
                Ok(()) => read_sides(ide, &wanted).await,
                Err(reason) => Err(reason),
            };
            sides.try_set(Some(read));
        });
    };
    let again = read.clone();
    Effect::new(move |_| read());
    let shown = comparison.clone();
    let body = move || {
        let again = again.clone();
        match sides.get() {
            None => view! { <div class="inset"><Skeleton lines=8 /></div> }.into_any(),
            Some(Err(reason)) => view! {
                <div class="inset">
                    <PanelError title="The versions did not load" text=reason>
                        <Button on_click=move |_| again()>"Try again"</Button>
                    </PanelError>
                </div>
            }
            .into_any(),
            Some(Ok((Some(before), Some(after)))) => {
                view! { <DiffHost path=shown.path.clone() before=before after=after inline=inline.get() /> }.into_any()
            }
            Some(Ok(_)) => view! { <Facts ide=ide comparison=shown.clone() /> }.into_any(),
        }
    };
    view! {
        <section aria-label=format!("Versions of {}", name_of(&path)) class="compare">
            <CompareHead ide=ide comparison=comparison inline=inline />
            {body}
        </section>
    }
}

async fn read_sides(ide: Ide, comparison: &Comparison) -> Result<Sides, String> {
    let before = read_side(ide, &comparison.path, comparison.from).await?;
    let after = read_side(ide, &comparison.path, comparison.to).await?;
    Ok((before, after))
}

/// Empty text stands for a version in which the file does not exist.
async fn read_side(ide: Ide, path: &str, version: i64) -> Result<Option<String>, String> {
    let deleted = ide.files.versions.try_with_untracked(|v| v.get(version).is_some_and(|known| known.action == FileAction::Deleted));
    if version == 0 || deleted == Some(true) {
        return Ok(Some(String::new()));
    }
    match api::files::open(ide.project_id, path.to_owned(), Some(version)).await {
        Ok(file) => Ok(file.text),
        Err(error) if error.code() == ErrorCode::NotFound => Err(format!("Version {version} is not kept any more.")),
        Err(error) => Err(error.to_string()),
    }
}

#[component]
fn CompareHead(ide: Ide, comparison: Comparison, inline: RwSignal<bool>) -> impl IntoView {
    let Comparison { path, from, to } = comparison.clone();
    let known = ide.files.versions;
    let close = move |_| ide.files.comparison.set(None);
    let set = move |change: fn(&mut Comparison, i64), text: String| {
        if let Ok(version) = text.parse() {
            ide.files.comparison.update(|comparison| {
                if let Some(comparison) = comparison {
                    change(comparison, version);
                }
            });
        }
    };
    let options = move |chosen: i64, with_nothing: bool| {
        let option = |version: &FileVersion| {
            let number = version.version;
            view! { <option value=number.to_string() selected=number == chosen>{format!("Version {number}, {}", describe_version(version))}</option> }
        };
        let nothing = with_nothing.then(|| view! { <option value="0" selected=chosen == 0>"Nothing"</option> });
        view! {
            {known.with(|versions| versions.items.iter().map(option).collect_view())}
            {nothing}
        }
    };
    let newest = Memo::new(move |_| known.with(|versions| versions.newest().map(|newest| (newest.version, newest.action))));
    let is_deletion = move || known.with(|versions| versions.get(to).is_some_and(|version| version.action == FileAction::Deleted));
    let why_not = move || match newest.get() {
        _ if !ide.can_edit() => Some("You may read this project only"),
        Some((version, _)) if version == to => Some("This is the version that is there now"),
        _ if is_deletion() => Some("In this version the file does not exist"),
        _ => None,
    };
    let path = StoredValue::new(path);
    view! {
        <div class="compare-head">
            <b class="clip" title=path.get_value()>{path.with_value(|path| name_of(path).to_owned())}</b>
            <select class="input input--s" aria-label="From" on:change:target=move |event| set(|c, version| c.from = version, event.target().value())>
                {move || options(from, true)}
            </select>
            <Icon name="arrow-right" small=true />
            <select class="input input--s" aria-label="To" on:change:target=move |event| set(|c, version| c.to = version, event.target().value())>
                {move || options(to, false)}
            </select>
            <span class="grow"></span>
            <IconButton
                icon="columns-2"
                label="Beside each other"
                small=true
                class="desk"
                pressed=MaybeProp::derive(move || Some(!inline.get()))
                on_click=move |_| inline.update(|inline| *inline = !*inline)
            />
            <Button
                kind=ButtonKind::Primary
                icon="undo-2"
                disabled=Signal::derive(move || why_not().is_some())
                title=MaybeProp::derive(move || why_not().map(str::to_owned))
                on_click=move |_| restore(ide, path.get_value(), to)
            >
                {format!("Restore version {to}")}
            </Button>
            <IconButton icon="x" label="Close the comparison" small=true on_click=close />
        </div>
    }
}

/// Makes an earlier version the newest one; what is there now stays in the history.
fn restore(ide: Ide, path: String, version: i64) {
    let current = ide.tree.with_untracked(|tree| find(&tree.items, &path).map(|entry| entry.version).filter(|version| *version > 0));
    let text = format!("Restored version {version} of {}", name_of(&path));
    let base = current.map_or(Base::New, Base::Version);
    spawn_local(async move {
        if change(ide, vec![FileStep::Restore { path, version: Some(version), base }], text).await {
            ide.files.comparison.set(None);
        }
    });
}

#[component]
fn DiffHost(path: String, before: String, after: String, inline: bool) -> impl IntoView {
    let node = NodeRef::<html::Div>::new();
    let dark = use_dark();
    let made = StoredValue::new(None::<monaco::Diff>);
    Effect::new(move |_| {
        let Some(host) = node.get() else { return };
        monaco::set_theme(dark.get_untracked());
        made.set_value(monaco::Diff::create(&host, &before, &after, &path, true, inline));
    });
    on_cleanup(move || {
        if let Some(diff) = made.try_update_value(Option::take).flatten() {
            diff.dispose();
        }
    });
    view! { <div class="compare-host" node_ref=node></div> }
}

/// What can be said of two versions that are no text: how they look or how large they are, and where to get them.
#[component]
fn Facts(ide: Ide, comparison: Comparison) -> impl IntoView {
    let Comparison { path, from, to } = comparison;
    let side = move |label: &'static str, number: i64| {
        let version = ide.files.versions.with_untracked(|versions| versions.get(number).cloned());
        let url = format!("{}?version={number}", ide.file_url(&path));
        let body = match version {
            None => view! { <p class="t3">"Nothing was here."</p> }.into_any(),
            Some(version) if version.action == FileAction::Deleted => view! { <p class="t3">"The file was deleted."</p> }.into_any(),
            Some(version) => view! {
                <p class="t2 fs12">{format!("{}, SHA-256 {}", format::bytes(version.size), version.checksum.get(..12).unwrap_or_default())}</p>
                {is_image(&path).then(|| view! { <ImageView url=url.clone() name=name_of(&path).to_owned() /> })}
                <a class="btn btn--s" href=url download rel="external">
                    <Icon name="download" small=true />
                    "Download"
                </a>
            }
            .into_any(),
        };
        view! {
            <div class="compare-side">
                <h3>{label}</h3>
                {body}
            </div>
        }
    };
    view! {
        <p class="t2 inset">"Not both versions are text that can be compared line by line."</p>
        <div class="compare-sides">{side("From", from)} {side("To", to)}</div>
    }
}
