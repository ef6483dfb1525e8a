//! In the place of the editor: the file beside its saved text, theirs of a conflict, or any version; and the merge of a conflict.

use std::sync::Arc;

use leptos::{html, prelude::*, task::spawn_local};
use wire::files::{FileAction, FileVersion};

use crate::{
    api,
    components::{conflicts, documents, editor_groups::Groups, ide::Ide, text_lines::hand_back, text_merge},
    editor::monaco::{self, DiffOptions, EditorEvent},
    ui::{Button, ButtonSize, Icon, IconButton, PanelError, Skeleton, use_dark},
};

/// What a file is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Against {
    Saved,
    Theirs,
    Version(i64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BesideKind {
    Merge,
    Compare(Against),
}

/// What stands in the place of the editor of `path`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beside {
    pub path: String,
    pub kind: BesideKind,
    /// The group it stands in, which stays the same when the keyboard goes to the other one.
    pub group: usize,
}

impl Beside {
    pub fn is_merge(&self) -> bool {
        self.kind == BesideKind::Merge
    }
}

/// Opens a file beside what it is compared with; the right side stays editable.
pub fn compare(ide: Ide, path: &str, against: Against) {
    ide.open_file(path, None);
    let group = ide.groups.with_untracked(Groups::focused);
    ide.beside.set(Some(Beside { path: path.to_owned(), kind: BesideKind::Compare(against), group }));
}

/// Compares with the version before the one that is open, from where any other can be chosen.
pub fn compare_versions(ide: Ide, path: &str) {
    let version = ide.tab(path).map_or(0, |tab| tab.version);
    if version <= 1 {
        return compare(ide, path, Against::Saved);
    }
    let path = path.to_owned();
    spawn_local(async move {
        // Numbers have gaps, and need not begin at one: older versions may have been let go.
        let against = match api::files::history(ide.project_id, path.clone(), Some(version)).await {
            Ok(page) => {
                let before = page.items.iter().find(|known| known.action != FileAction::Deleted);
                before.map_or(Against::Saved, |before| Against::Version(before.version))
            }
            // Reading that one says what is wrong.
            Err(_) => Against::Version(version - 1),
        };
        if !ide.is_gone() {
            compare(ide, &path, against);
        }
    });
}

/// The file beside another text.
#[component]
pub fn CompareView(ide: Ide, path: String, against: Against) -> impl IntoView {
    let path = StoredValue::new(path);
    let original = RwSignal::new(None::<Result<Arc<str>, String>>);
    let dark = use_dark();
    Effect::new(move |_| {
        spawn_local(async move {
            let loaded = monaco::load().await;
            if ide.is_gone() {
                return;
            }
            // The comparison may be closed by now.
            let (Some(path), Some(dark)) = (path.try_get_value(), dark.try_get_untracked()) else { return };
            monaco::set_theme(dark);
            documents::open_model(ide, &path);
            let read = match loaded {
                Ok(()) => read_side(ide, path, against).await,
                Err(reason) => Err(reason),
            };
            original.try_set(Some(read));
        });
    });
    let put = move |_| {
        if let Some(Ok(text)) = original.get_untracked() {
            documents::put_text(ide, &path.get_value(), &text);
        }
    };
    let locked = move || !ide.can_edit() || !matches!(original.get(), Some(Ok(_)));
    view! {
        <div class="cmp-head" role="group" aria-label="Comparison">
            <Icon name="git-compare" small=true />
            <VersionPicker ide=ide path=path against=against />
            <span class="grow"></span>
            <Button size=ButtonSize::Small disabled=Signal::derive(locked) title="Puts the left side into the editor, unsaved" on_click=put>
                "Use this text"
            </Button>
            <IconButton icon="x" label="Close the comparison" small=true on_click=move |_| ide.beside.set(None) />
        </div>
        {move || match original.get() {
            None => view! { <div class="inset"><Skeleton lines=9 /></div> }.into_any(),
            Some(Err(reason)) => view! { <div class="inset"><PanelError title="There is nothing to compare" text=reason /></div> }.into_any(),
            Some(Ok(text)) => view! { <CompareHost path=path text=text /> }.into_any(),
        }}
    }
}

#[component]
fn CompareHost(path: StoredValue<String>, text: Arc<str>) -> impl IntoView {
    let node = NodeRef::<html::Div>::new();
    let made = StoredValue::new(None::<monaco::Diff>);
    Effect::new(move |_| {
        let Some(host) = node.get() else { return };
        let options = DiffOptions { inline: false, before: Some("The other text"), after: Some("Your text") };
        let diff = monaco::Diff::with_model(&host, &text, &path.get_value(), options);
        if let Some(diff) = diff {
            diff.focus();
        }
        made.set_value(diff);
    });
    on_cleanup(move || {
        if let Some(diff) = made.try_update_value(Option::take).flatten() {
            diff.dispose();
        }
    });
    view! { <div class="ed-host" node_ref=node></div> }
}

async fn read_side(ide: Ide, path: String, against: Against) -> Result<Arc<str>, String> {
    const NO_TEXT: &str = "That version is no text, or too large for the editor.";
    let tab = ide.tab(&path).ok_or("The file is not open any more.")?;
    match against {
        Against::Saved => tab.stored().cloned().ok_or_else(|| NO_TEXT.to_owned()),
        Against::Theirs => {
            let theirs = tab.conflict.and_then(|conflict| conflict.theirs).and_then(|theirs| theirs.text);
            theirs.map(Into::into).ok_or_else(|| "The conflict is decided.".to_owned())
        }
        Against::Version(version) => {
            let file = api::files::open(ide.project_id, path, Some(version)).await.map_err(|error| error.to_string())?;
            file.text.map(Into::into).ok_or_else(|| NO_TEXT.to_owned())
        }
    }
}

/// Chooses what is on the left side.
#[component]
fn VersionPicker(ide: Ide, path: StoredValue<String>, against: Against) -> impl IntoView {
    let versions = RwSignal::new(Vec::<FileVersion>::new());
    let more = RwSignal::new(false);
    let load = move |before: Option<i64>| {
        let path = path.get_value();
        spawn_local(async move {
            if let Ok(page) = api::files::history(ide.project_id, path, before).await {
                more.try_set(page.next_cursor.is_some());
                versions.try_update(|known| known.extend(page.items));
            }
        });
    };
    Effect::new(move |_| load(None));
    let choose = move |value: String| {
        if value == "more" {
            load(versions.with_untracked(|known| known.last().map(|version| version.version)));
            return;
        }
        let chosen = match value.as_str() {
            "saved" => Against::Saved,
            "theirs" => Against::Theirs,
            number => Against::Version(number.parse().unwrap_or(0)),
        };
        ide.beside.update(|beside| {
            if let Some(beside) = beside {
                beside.kind = BesideKind::Compare(chosen);
            }
        });
    };
    let value = match against {
        Against::Saved => "saved".to_owned(),
        Against::Theirs => "theirs".to_owned(),
        Against::Version(version) => version.to_string(),
    };
    let has_theirs = ide.tab(&path.get_value()).is_some_and(|tab| tab.conflict.is_some_and(|conflict| conflict.theirs.is_some()));
    // Until the list has arrived, the chosen version stands alone.
    let listed = move |version: i64| versions.with(|known| known.iter().any(|known| known.version == version));
    let alone = match against {
        Against::Version(version) => Some(version),
        _ => None,
    };
    let selected = StoredValue::new(value);
    let is_selected = move |option: &str| selected.with_value(|value| value == option);
    view! {
        <label class="row g-2">
            <span class="t2">"Compared with"</span>
            <select class="select select--s" on:change:target=move |event| choose(event.target().value())>
                <option value="saved" selected=is_selected("saved")>"what is saved"</option>
                {has_theirs.then(|| view! { <option value="theirs" selected=is_selected("theirs")>"theirs"</option> })}
                {move || {
                    alone
                        .filter(|version| !listed(*version))
                        .map(|version| view! { <option value=version.to_string() selected=true>{format!("version {version}")}</option> })
                }}
                {move || {
                    versions
                        .get()
                        .into_iter()
                        .filter(|version| version.action != FileAction::Deleted)
                        .map(|version| {
                            let number = version.version.to_string();
                            let chosen = is_selected(&number);
                            view! { <option value=number selected=chosen>{name_of(&version)}</option> }
                        })
                        .collect_view()
                }}
                {move || more.get().then(|| view! { <option value="more">"Older versions…"</option> })}
            </select>
        </label>
    }
}

fn name_of(version: &FileVersion) -> String {
    let by = version.created_by.as_ref().map(|user| format!(" by {}", user.name)).unwrap_or_default();
    format!("version {}{by}", version.version)
}

/// The merge of a conflict: what fits together is put together already, each conflict is decided in place. It stays as it is while another
/// file is on top.
#[component]
pub fn MergeView(ide: Ide, path: String, state: RwSignal<Option<MergeState>>, on_top: Memo<bool>) -> impl IntoView {
    let node = NodeRef::<html::Div>::new();
    Effect::new(move |_| {
        let Some(host) = node.get() else { return };
        let Some((base, mine, theirs)) = conflicts::sides(ide, &path) else { return };
        let pieces = text_merge::merge(base.as_deref(), &mine, theirs.text.as_deref().unwrap_or_default());
        let Ok(json) = serde_json::to_string(&pieces) else { return };
        let merged =
            pieces.iter().filter(|piece| matches!(piece, text_merge::Piece::Mine { .. } | text_merge::Piece::Theirs { .. })).count();
        let view = monaco::Merge::create(&host, &json, &path, move |event| {
            if let EditorEvent::Merge { open, total } = event {
                state.try_update(|state| {
                    if let Some(state) = state {
                        (state.open, state.total) = (open, total);
                    }
                });
            }
        });
        let Some(view) = view else { return };
        let all: String = pieces.iter().map(text_merge::Piece::lines).collect();
        state.set(Some(MergeState {
            view,
            merged,
            open: u32::MAX,
            total: 0,
            all: StoredValue::new(all),
            theirs: StoredValue::new(theirs),
        }));
    });
    on_cleanup(move || {
        if let Some(made) = state.try_update(Option::take).flatten() {
            made.view.dispose();
        }
    });
    view! { <div class="ed-host" node_ref=node hidden=move || !on_top.get()></div> }
}

/// A merge in work.
#[derive(Clone, Copy)]
pub struct MergeState {
    view: monaco::Merge,
    /// Changes that were put together without asking.
    pub merged: usize,
    /// Conflicts that are not decided, and all.
    pub open: u32,
    pub total: u32,
    /// Every line that may be in the result, with its own end.
    all: StoredValue<String>,
    theirs: StoredValue<wire::files::OpenedFile>,
}

impl MergeState {
    pub fn next_conflict(self) {
        self.view.next_conflict();
    }

    /// Saves the merged text over the version it was made with.
    pub fn save(self, ide: Ide, path: &str) {
        if let Some(text) = self.view.text() {
            let text = self.all.with_value(|all| hand_back(all, &text));
            conflicts::keep_merged(ide, path, text, self.theirs.get_value());
        }
    }

    /// What is to be done, in a sentence.
    pub fn sentence(self) -> String {
        let merged = match self.merged {
            0 => String::new(),
            1 => "1 change was put together. ".to_owned(),
            count => format!("{count} changes were put together. "),
        };
        match (self.open, self.total) {
            (u32::MAX, _) => String::new(),
            (0, 0) => format!("{merged}Nothing is in conflict; look it over and save it."),
            (0, 1) => format!("{merged}The conflict is decided."),
            (1, 1) => format!("{merged}1 conflict to decide."),
            (0, total) => format!("{merged}All {total} conflicts are decided."),
            (open, total) => format!("{merged}{open} of {total} conflicts to decide."),
        }
    }
}
