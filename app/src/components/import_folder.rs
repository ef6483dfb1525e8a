//! The part of the new-project dialog that takes a folder or several files: by picker or by drop.

use std::cell::RefCell;

use leptos::{ev, html, prelude::*, task::spawn_local, web_sys};

use super::{
    import_files::LeftOut,
    upload_pick::{self, Picked, PickedFiles},
};
use crate::ui::{Button, ButtonSize, Icon, format};

thread_local! {
    /// The browser's files stay where they came in; pages pass on only what is said of them.
    static FILES: RefCell<Vec<Picked>> = const { RefCell::new(Vec::new()) };
}

/// What was chosen last.
pub fn chosen_files() -> Vec<Picked> {
    FILES.with_borrow(Clone::clone)
}

/// What was chosen, with the folder's own name taken off the paths where all lie in one.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Chosen {
    pub count: usize,
    pub bytes: f64,
    pub folder: Option<String>,
    pub notes: Vec<String>,
}

impl Chosen {
    fn of(picked: PickedFiles) -> Self {
        let PickedFiles { mut files, empty, unreadable: mut notes, left_out } = picked;
        if left_out {
            notes.push("What belongs to version control stays out.".to_owned());
        }
        notes.extend(empty_note(empty.len()));
        let folder = common_folder(files.iter().map(|picked| picked.path.as_str()));
        if let Some(folder) = &folder {
            for picked in &mut files {
                picked.path.drain(..=folder.len());
            }
        }
        let chosen = Self { count: files.len(), bytes: files.iter().map(|picked| picked.file.size()).sum(), folder, notes };
        FILES.set(files);
        chosen
    }

    fn text(&self) -> String {
        let files = format::counted(self.count as i64, "file", "files");
        let place = self.folder.as_ref().map(|folder| format!(" of {folder}")).unwrap_or_default();
        format!("{files}{place}, {}", format::bytes(self.bytes as i64))
    }
}

/// Only files are sent, so folders in which nothing lies do not come along.
fn empty_note(folders: usize) -> Option<String> {
    (folders > 0).then(|| format!("{} left out.", format::counted(folders as i64, "empty folder is", "empty folders are")))
}

/// The directory that all paths begin with.
fn common_folder<'a>(mut paths: impl Iterator<Item = &'a str>) -> Option<String> {
    let (first, _) = paths.next()?.split_once('/')?;
    paths.all(|path| path.split_once('/').is_some_and(|(folder, _)| folder == first)).then(|| first.to_owned())
}

/// A place to drop on, with a button for each picker. What is chosen replaces what was chosen before.
#[component]
pub fn FolderField(
    chosen: RwSignal<Chosen>,
    #[prop(into)] error: Signal<Option<String>>,
    #[prop(into)] disabled: Signal<bool>,
) -> impl IntoView {
    let folder = NodeRef::<html::Input>::new();
    let files = NodeRef::<html::Input>::new();
    let over = RwSignal::new(false);
    let take = move |input: Option<web_sys::HtmlInputElement>| {
        let Some(input) = input else { return };
        if let Some(list) = input.files().filter(|list| list.length() > 0) {
            chosen.set(Chosen::of(upload_pick::of_list(&list)));
        }
        // Choosing the same once more is a choice, too.
        input.set_value("");
    };
    let on_drop = move |event: ev::DragEvent| {
        event.prevent_default();
        over.set(false);
        let Some(data) = event.data_transfer().filter(|_| !disabled.get_untracked()) else { return };
        let dropped = upload_pick::of_drop(&data);
        spawn_local(async move { chosen.set(Chosen::of(upload_pick::walk(dropped).await)) });
    };
    let open = |node: NodeRef<html::Input>| {
        if let Some(input) = node.get_untracked() {
            input.click();
        }
    };
    let described = move || (error.with(Option::is_some) || chosen.with(|chosen| chosen.count > 0)).then_some("f-folder-note");
    view! {
        <div
            class="field drop-field"
            class:over=move || over.get()
            role="group"
            aria-label="Files of the project"
            aria-describedby=described
            on:dragover=move |event| {
                event.prevent_default();
                over.set(true);
            }
            on:dragleave=move |_| over.set(false)
            on:drop=on_drop
        >
            <p class="t2">"Drop a folder or files here, or choose them."</p>
            <div class="acts">
                <Button size=ButtonSize::Small icon="folder-open" disabled=disabled on_click=move |_| open(folder)>
                    "Choose folder"
                </Button>
                <Button size=ButtonSize::Small icon="file-plus" disabled=disabled on_click=move |_| open(files)>
                    "Choose files"
                </Button>
            </div>
            <input
                type="file"
                hidden=true
                multiple=true
                node_ref=folder
                aria-label="Folder to import"
                on:change=move |_| take(folder.get_untracked())
                {..leptos::attr::custom::custom_attribute("webkitdirectory", "")}
            />
            <input type="file" hidden=true multiple=true node_ref=files aria-label="Files to import" on:change=move |_| take(files.get_untracked()) />
            <div id="f-folder-note" aria-live="polite">
                {move || {
                    error
                        .get()
                        .filter(|_| chosen.with(|chosen| chosen.count == 0))
                        .map(|error| {
                            view! {
                                <p class="err">
                                    <Icon name="circle-alert" small=true />
                                    <span>{error}</span>
                                </p>
                            }
                        })
                }}
                {move || {
                    chosen
                        .with(|chosen| {
                            (chosen.count > 0).then(|| view! { <p class="hint">{chosen.text()}</p> })
                        })
                }}
                {move || chosen.with(|chosen| chosen.notes.iter().map(|note| view! { <p class="hint">{note.clone()}</p> }).collect_view())}
            </div>
        </div>
    }
    .into_any()
}

/// Rows of a list of files; the rest is counted.
const LISTED: usize = 200;

/// Which files a project does not get, each with the reason. Nothing while there are none.
#[component]
pub fn LeftOutList(files: RwSignal<Vec<LeftOut>>) -> impl IntoView {
    let count = Memo::new(move |_| files.with(Vec::len));
    let rows = move || {
        files.with(|files| {
            let row = |left: &LeftOut| view! { <li><span class="mono">{left.path.clone()}</span>" "{left.reason.clone()}</li> };
            files.iter().take(LISTED).map(row).collect_view()
        })
    };
    let more = move || {
        let more = count.get().saturating_sub(LISTED);
        (more > 0).then(|| view! { <p class="hint">{format!("And {}.", format::counted(more as i64, "more file", "more files"))}</p> })
    };
    view! {
        <Show when=move || count.get() != 0>
            <div class="left-out" role="group" aria-label="Files that were left out" tabindex="0">
                <p aria-live="polite">{move || format!("{} left out:", format::counted(count.get() as i64, "file was", "files were"))}</p>
                <ul class="plain-list t2">{rows}</ul>
                {more}
            </div>
        </Show>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_folders_that_stay_behind_are_told() {
        assert_eq!(empty_note(0), None);
        assert_eq!(empty_note(1).as_deref(), Some("1 empty folder is left out."));
        assert_eq!(empty_note(3).as_deref(), Some("3 empty folders are left out."));
    }

    #[test]
    fn a_folder_gives_its_name_to_the_project_and_not_to_the_paths() {
        let common = |paths: &[&str]| common_folder(paths.iter().copied());
        assert_eq!(common(&["tally/a", "tally/src/b"]).as_deref(), Some("tally"));
        assert_eq!(common(&["tally/a", "other/b"]), None);
        assert_eq!(common(&["a", "b"]), None);
        assert_eq!(common(&[]), None);
    }
}
