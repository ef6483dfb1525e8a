//! What was deleted and can be brought back, in the place of the tree.

use leptos::{prelude::*, task::spawn_local};
use wire::{
    Problem,
    files::{Base, EntryKind, FileStep, TrashItem},
};

use super::{
    explorer_actions::{attempt, offer_undo, refuse},
    file_explorer::RefusalNote,
    file_plan::{base_of, free_name},
    files_desk::{FilesPanel, show_history},
    ide::Ide,
    tree_model::{file_icon, is_taken, name_of, parent},
};
use crate::{
    api,
    ui::{Button, ButtonSize, Empty, Icon, IconButton, PanelError, RelativeTime, SearchField, Skeleton, format},
};

/// Rows shown at a time; the filter finds the rest.
const SHOWN: usize = 200;

/// The trash of the project. It is read when opened and whenever files change.
#[component]
pub fn TrashPanel(ide: Ide) -> impl IntoView {
    let items = RwSignal::new(None::<Result<Vec<TrashItem>, Problem>>);
    let filter = RwSignal::new(String::new());
    let read = move || {
        spawn_local(async move {
            let answer = api::files::trash(ide.project_id).await;
            items.try_set(Some(answer.map_err(|error| error.0)));
        });
    };
    let revision = Memo::new(move |_| ide.tree.with(|tree| tree.revision));
    Effect::new(move |_| {
        revision.get();
        read();
    });
    let found = Memo::new(move |_| {
        let wanted = filter.with(|filter| filter.trim().to_lowercase());
        items.with(|items| match items {
            Some(Ok(items)) => items.iter().filter(|item| item.path.to_lowercase().contains(&wanted)).cloned().collect(),
            _ => Vec::new(),
        })
    });
    let shown = move || found.with(|found| found.iter().take(SHOWN).cloned().collect::<Vec<_>>());
    view! {
        <PanelHead ide=ide title="Trash" />
        <div class="tree-filter">
            <SearchField label="Filter the trash" icon="list-filter" bind=filter />
        </div>
        <RefusalNote ide=ide />
        <div class="scroll side-list">
            {move || items.with(|items| match items {
                None => view! { <div class="inset"><Skeleton lines=6 /></div> }.into_any(),
                Some(Err(problem)) => {
                    view! {
                        <div class="inset">
                            <PanelError title="The trash did not load" text=problem.to_string()>
                                <Button on_click=move |_| read()>"Try again"</Button>
                            </PanelError>
                        </div>
                    }
                        .into_any()
                }
                Some(Ok(items)) if items.is_empty() => {
                    view! {
                        <div class="inset">
                            <Empty title="The trash is empty" text="What is deleted in the tree, by the agent or by a command comes here." />
                        </div>
                    }
                        .into_any()
                }
                Some(Ok(_)) => ().into_any(),
            })}
            <ul aria-label="Deleted files">
                <For each=shown key=|item| (item.path.clone(), item.revision) let:item>
                    <TrashRow ide=ide item=item />
                </For>
            </ul>
            <Show when=move || found.with(|found| found.len() > SHOWN)>
                <p class="t3 fs12 inset">
                    {move || format!("and {} more; the filter finds them", format::count(found.with(|found| found.len() - SHOWN) as i64))}
                </p>
            </Show>
        </div>
    }
}

/// The head of a panel in the place of the tree, with the way back.
#[component]
pub fn PanelHead(ide: Ide, #[prop(into)] title: String) -> impl IntoView {
    view! {
        <div class="phead">
            <h2 class="clip">{title}</h2>
            <IconButton icon="files" label="Back to the files" small=true on_click=move |_| ide.files.panel.set(FilesPanel::Tree) />
        </div>
    }
}

#[component]
fn TrashRow(ide: Ide, item: TrashItem) -> impl IntoView {
    let icon = if item.kind == EntryKind::Directory { "folder" } else { file_icon(name_of(&item.path)) };
    let name = name_of(&item.path).to_owned();
    let place = match parent(&item.path) {
        "" => String::new(),
        directory => format!("{directory}, "),
    };
    let size = if item.kind == EntryKind::Directory {
        format!("{}, {}", format::counted(item.files, "file", "files"), format::bytes(item.size))
    } else {
        format::bytes(item.size)
    };
    let lost = (item.lost > 0).then(|| {
        let files = format::counted(item.lost, "file of it is", "files of it are");
        view! { <div class="t2 fs12">{format!("{files} not kept any more; the others come back.")}</div> }
    });
    let by = item.deleted_by.as_ref().map(|user| format!("by {}, ", user.name)).unwrap_or_default();
    let path = StoredValue::new(item.path.clone());
    let taken = Memo::new(move |_| ide.tree.with(|tree| path.with_value(|path| is_taken(&tree.items, path))));
    let is_file = item.kind != EntryKind::Directory;
    let label = format!("Restore {}", item.path);
    view! {
        <li class="side-row" title=item.path.clone()>
            <Icon name=icon />
            <div class="grow">
                <div class="clip">{name}</div>
                <div class="t3 fs12">{place} {size}</div>
                {lost}
                <div class="t3 fs12">{by} <RelativeTime at=item.deleted_at /></div>
                <Show when=move || taken.get()>
                    <div class="t2 fs12">"Something else has this name now; it gets another one."</div>
                </Show>
            </div>
            <div class="side-acts">
                {is_file
                    .then(|| {
                        view! {
                            <IconButton icon="history" label=format!("History of {}", item.path) small=true on_click=move |_| show_history(ide, &path.get_value()) />
                        }
                    })}
                <Button
                    size=ButtonSize::Small
                    disabled=Signal::derive(move || !ide.can_edit())
                    attr:aria-label=label
                    on_click=move |_| restore(ide, path.get_value())
                >
                    "Restore"
                </Button>
            </div>
        </li>
    }
}

/// Brings a deleted path back. What has its name now is kept under another one.
fn restore(ide: Ide, path: String) {
    let text = format!("Restored {}", name_of(&path));
    spawn_local(async move {
        let mut undo = Vec::new();
        let aside = ide.tree.with_untracked(|tree| {
            is_taken(&tree.items, &path).then(|| {
                let to = free_name(&path, "", |path| is_taken(&tree.items, path));
                FileStep::Move { from: path.clone(), to, base: base_of(tree, &path) }
            })
        });
        // The move comes first and alone: what it leaves behind would else be what is restored.
        for step in aside.into_iter().chain([FileStep::Restore { path: path.clone(), version: None, base: Base::New }]) {
            match attempt(ide, vec![step]).await {
                _ if ide.is_gone() => return,
                Ok(back) => undo.splice(0..0, back).for_each(drop),
                Err(lines) => return refuse(ide, lines),
            }
        }
        offer_undo(ide, text, undo);
    });
}
