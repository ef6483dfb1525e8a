//! What the tree asks about: where to, and what to do with names that are taken.

use leptos::prelude::*;
use wire::files::{EntryKind, check_path};

use super::{
    explorer_actions::{Asking, Relocation, place_name},
    explorer_state::Explorer,
    file_plan::{Clash, Transfer, describe},
    ide::Ide,
    tree_model::{find, parent},
};
use crate::ui::{Button, ButtonKind, Dialog, DialogActions, ErrorSummary, Icon, TextField};

/// Directories offered at a time; typing narrows them down.
const OFFERED: usize = 40;
/// Names listed in the question about names that are taken.
const LISTED: usize = 6;

/// Asks for the directory that something should go to: typed, or chosen from the list. One that does not exist is made by going there.
#[component]
pub fn RelocateDialog(explorer: Explorer) -> impl IntoView {
    let ide = explorer.ide;
    let open = RwSignal::new(false);
    let typed = RwSignal::new(String::new());
    let error = RwSignal::new(None::<String>);
    Effect::new(move |_| {
        if explorer.relocating.with(Option::is_some) {
            typed.set(String::new());
            error.set(None);
            open.set(true);
        }
    });
    Effect::new(move |_| {
        if !open.get() && explorer.relocating.with_untracked(Option::is_some) {
            explorer.relocating.set(None);
        }
    });
    let what = move || explorer.relocating.with(|relocation| relocation.as_ref().map(name_relocation).unwrap_or_default());
    let go = move |directory: String| {
        let Some(relocation) = explorer.relocating.get_untracked() else { return };
        let directory = directory.trim().trim_matches('/').to_owned();
        if let Err(reason) = check_directory(ide, &directory) {
            return error.set(Some(reason));
        }
        open.set(false);
        explorer.transfer(relocation.paths, &directory, relocation.transfer);
    };
    let on_submit = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        go(typed.get_untracked());
    };
    let offered = Memo::new(move |_| {
        if !open.get() {
            return Vec::new();
        }
        let wanted = typed.with(|typed| typed.trim().to_lowercase());
        directories(ide).into_iter().filter(|path| path.to_lowercase().contains(&wanted)).take(OFFERED).collect::<Vec<_>>()
    });
    let verb = move || {
        let copies = explorer.relocating.with(|relocation| relocation.as_ref().is_some_and(|r| r.transfer == Transfer::Copy));
        if copies { "Copy here" } else { "Move here" }
    };
    view! {
        <Dialog open=open title=Signal::derive(what)>
            <form on:submit=on_submit>
                <ErrorSummary message=error />
                <TextField
                    label="Folder"
                    name="relocate-to"
                    bind=typed
                    autocomplete="off"
                    autofocus=true
                    hint="Empty is the project itself. A folder that does not exist is made."
                />
                <ul class="folder-list" aria-label="Folders of the project">
                    <For each=move || offered.get() key=|path| path.clone() let:path>
                        <FolderChoice path=path on_choose=Callback::new(go) />
                    </For>
                </ul>
                <DialogActions open=open>{verb}</DialogActions>
            </form>
        </Dialog>
    }
    .into_any()
}

#[component]
fn FolderChoice(path: String, on_choose: Callback<String>) -> impl IntoView {
    let shown = path.clone();
    view! {
        <li>
            <button type="button" class="folder-choice" on:click=move |_| on_choose.run(path.clone())>
                <Icon name="folder" small=true />
                <span class="clip">{shown}</span>
            </button>
        </li>
    }
}

fn name_relocation(relocation: &Relocation) -> String {
    let verb = if relocation.transfer == Transfer::Move { "Move" } else { "Copy" };
    describe(verb, &relocation.paths, "")
}

fn check_directory(ide: Ide, directory: &str) -> Result<(), String> {
    if directory.is_empty() {
        return Ok(());
    }
    check_path(directory).map_err(str::to_owned)?;
    let is_file = ide.tree.with_untracked(|tree| find(&tree.items, directory).is_some_and(|entry| entry.kind != EntryKind::Directory));
    if is_file { Err(format!("{directory} is a file. Choose a folder.")) } else { Ok(()) }
}

/// Every directory of the project, also those that exist only through what lies below them.
fn directories(ide: Ide) -> Vec<String> {
    ide.tree.with_untracked(|tree| {
        let mut all = std::collections::BTreeSet::new();
        for entry in &tree.items {
            if entry.kind == EntryKind::Directory {
                all.insert(entry.path.as_str());
            }
            let mut above = parent(&entry.path);
            while !above.is_empty() && all.insert(above) {
                above = parent(above);
            }
        }
        all.into_iter().map(str::to_owned).collect()
    })
}

/// Asks once about all names that are taken where something goes.
#[component]
pub fn ClashDialog(explorer: Explorer) -> impl IntoView {
    let ide = explorer.ide;
    let open = RwSignal::new(false);
    // Each follows the other only when it differs: else they would answer each other for ever.
    Effect::new(move |_| {
        let asks = explorer.asking.with(Option::is_some);
        if open.get_untracked() != asks {
            open.set(asks);
        }
    });
    Effect::new(move |_| {
        if !open.get() && explorer.asking.with_untracked(Option::is_some) {
            explorer.asking.set(None);
        }
    });
    let title = move || {
        explorer.asking.with(|asking| {
            let Some(Asking { placement, directory, .. }) = asking else { return String::new() };
            let place = place_name(ide, directory);
            match &placement.clashing[..] {
                [one] => format!("{} exists in {place} already", super::tree_model::name_of(&one.to)),
                many => format!("{} names are taken in {place}", many.len()),
            }
        })
    };
    let names = move || {
        explorer.asking.with(|asking| {
            let clashing = asking.as_ref().map(|asking| asking.placement.clashing.as_slice()).unwrap_or_default();
            let mut names: Vec<String> = clashing.iter().take(LISTED).map(|trip| trip.to.clone()).collect();
            if clashing.len() > LISTED {
                names.push(format!("and {} more", clashing.len() - LISTED));
            }
            names.into_iter().map(|name| view! { <li class="mono fs12">{name}</li> }).collect_view()
        })
    };
    let answer = move |clash| {
        if let Some(asking) = explorer.asking.get_untracked() {
            explorer.carry_out(asking, clash);
        }
    };
    view! {
        <Dialog open=open title=Signal::derive(title)>
            <ul class="stack g-2">{names}</ul>
            <p class="t2">"What is replaced goes to the trash and can be brought back from there."</p>
            <div class="acts end">
                <Button on_click=move |_| open.set(false)>"Cancel"</Button>
                <Button on_click=move |_| answer(Clash::Skip)>"Leave these out"</Button>
                <Button kind=ButtonKind::Danger on_click=move |_| answer(Clash::Replace)>"Replace"</Button>
                <Button kind=ButtonKind::Primary attr:autofocus=true on_click=move |_| answer(Clash::KeepBoth)>"Keep both"</Button>
            </div>
        </Dialog>
    }
    .into_any()
}
