//! The versions of one file, in the place of the tree.

use leptos::{prelude::*, task::spawn_local};
use wire::{
    Problem,
    files::{FileAction, FileVersion, Origin},
};

use super::{
    file_explorer::RefusalNote,
    files_desk::{Comparison, show_history},
    ide::{Ide, PhonePane},
    trash_panel::PanelHead,
    tree_model::{find, name_of},
};
use crate::{
    api,
    ui::{Button, ButtonSize, PanelError, RelativeTime, Skeleton, format},
};

/// The versions that are known of a file, newest first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Versions {
    pub path: String,
    pub items: Vec<FileVersion>,
    /// Older ones are asked for with this.
    next: Option<i64>,
}

impl Versions {
    pub fn get(&self, version: i64) -> Option<&FileVersion> {
        self.items.iter().find(|known| known.version == version)
    }

    /// The version that `version` took the place of; 0 for the first one.
    pub fn before(&self, version: i64) -> i64 {
        self.items.iter().map(|known| known.version).filter(|known| *known < version).max().unwrap_or(0)
    }

    pub fn newest(&self) -> Option<&FileVersion> {
        self.items.first()
    }
}

/// Who or what made a version, and how, in a few words.
pub fn describe_version(version: &FileVersion) -> String {
    let what = match (version.action, &version.moved_from) {
        (FileAction::Deleted, _) => "Deleted",
        (FileAction::Restored, _) => "Restored",
        (_, Some(_)) => "Moved here",
        (FileAction::Added, None) => "Made",
        (FileAction::Modified, None) => "Changed",
    };
    let who = version.created_by.as_ref().map(|user| user.name.as_str());
    match (version.origin, who) {
        (Origin::Person | Origin::Restore, Some(who)) => format!("{what} by {who}"),
        (Origin::Person | Origin::Restore, None) => what.to_owned(),
        (Origin::Agent, Some(who)) => format!("{what} by the agent, for {who}"),
        (Origin::Agent, None) => format!("{what} by the agent"),
        (Origin::Run, Some(who)) => format!("{what} by a run of {who}"),
        (Origin::Run, None) => format!("{what} by a run"),
        (Origin::Terminal, Some(who)) => format!("{what} in a terminal of {who}"),
        (Origin::Terminal, None) => format!("{what} in a terminal"),
        (Origin::Import, Some(who)) => format!("Imported by {who}"),
        (Origin::Import, None) => "Imported".to_owned(),
        (Origin::Sample, _) => "Part of the sample project".to_owned(),
        (Origin::Git, Some(who)) => format!("{what} with git by {who}"),
        (Origin::Git, None) => format!("{what} with git"),
    }
}

/// The panel. Choosing a version shows it against the one before.
#[component]
pub fn HistoryPanel(ide: Ide, path: String) -> impl IntoView {
    let versions = ide.files.versions;
    let problem = RwSignal::new(None::<Problem>);
    let loading = RwSignal::new(true);
    let title = format!("History of {}", name_of(&path));
    let path = StoredValue::new(path);
    let read = move |before: Option<i64>| {
        let wanted = path.get_value();
        spawn_local(async move {
            let answer = api::files::history(ide.project_id, wanted.clone(), before).await;
            if ide.is_gone()
                || ide.files.panel.with_untracked(|panel| *panel != super::files_desk::FilesPanel::History { path: wanted.clone() })
            {
                return;
            }
            loading.try_set(false);
            match answer {
                Ok(page) => {
                    problem.try_set(None);
                    let next = page.next_cursor.and_then(|cursor| cursor.parse().ok());
                    versions.update(|versions| {
                        if before.is_none() {
                            *versions = Versions { path: wanted, items: page.items, next };
                        } else {
                            versions.items.extend(page.items);
                            versions.next = next;
                        }
                    });
                }
                Err(error) => drop(problem.try_set(Some(error.0))),
            }
        });
    };
    let version_now = Memo::new(move |_| {
        ide.tree.with(|tree| path.with_value(|path| find(&tree.items, path).map(|entry| (entry.version, tree.revision))))
    });
    Effect::new(move |_| {
        // Also after a deletion, when there is no version any more. Asked for its value, since a memo that nobody asks is never worked out.
        version_now.get();
        read(None);
    });
    let items =
        move || versions.with(|versions| if path.with_value(|path| *path == versions.path) { versions.items.clone() } else { Vec::new() });
    view! {
        <PanelHead ide=ide title=title />
        <RefusalNote ide=ide />
        <div class="scroll side-list">
            <p class="t3 fs12 side-path">{path.get_value()}</p>
            {move || {
                problem
                    .get()
                    .map(|problem| {
                        view! {
                            <div class="inset">
                                <PanelError title="The versions did not load" text=problem.to_string()>
                                    <Button on_click=move |_| read(None)>"Try again"</Button>
                                </PanelError>
                            </div>
                        }
                    })
            }}
            <Show when=move || loading.get()>
                <div class="inset">
                    <Skeleton lines=6 />
                </div>
            </Show>
            <ul class="tl" aria-label="Versions, newest first">
                <For each=items key=|version| (version.path.clone(), version.version) let:version>
                    <VersionRow ide=ide version=version />
                </For>
            </ul>
            <Show when=move || versions.with(|versions| versions.next.is_some())>
                <div class="inset">
                    <Button size=ButtonSize::Small on_click=move |_| read(versions.with_untracked(|versions| versions.next))>
                        "Show older versions"
                    </Button>
                </div>
            </Show>
        </div>
    }
}

/// Shows a version against the one before it, in the main area.
pub fn compare_with_before(ide: Ide, path: &str, version: i64) {
    let from = ide.files.versions.with_untracked(|versions| versions.before(version));
    ide.close_review();
    ide.console_max.set(false);
    ide.files.comparison.set(Some(Comparison { path: path.to_owned(), from, to: version }));
    ide.drawer.set(false);
    ide.phone_pane.set(PhonePane::Files);
    ide.phone_editor.set(true);
}

#[component]
fn VersionRow(ide: Ide, version: FileVersion) -> impl IntoView {
    let number = version.version;
    let path = StoredValue::new(version.path.clone());
    let chosen = move || {
        ide.files
            .comparison
            .with(|comparison| comparison.as_ref().is_some_and(|c| c.to == number && path.with_value(|path| c.path == *path)))
    };
    let is_newest = move || ide.files.versions.with(|versions| versions.newest().is_some_and(|newest| newest.version == number));
    let node = move || match (version.origin, is_newest()) {
        (_, true) => "node now",
        (Origin::Agent, false) => "node agent",
        _ => "node",
    };
    let size = if version.action == FileAction::Deleted { String::new() } else { format!(", {}", format::bytes(version.size)) };
    let moved = version.moved_from.clone();
    let words = describe_version(&version);
    let run = version.cause.filter(|_| matches!(version.origin, Origin::Run | Origin::Terminal));
    view! {
        <li>
            <button type="button" aria-current=move || chosen().then_some("true") on:click=move |_| compare_with_before(ide, &path.get_value(), number)>
                <span class=node></span>
                <span class="clip">{format!("Version {number}")}</span>
                <RelativeTime at=version.created_at class="t3 fs12 nowrap" />
                <span class="sub">{words} {size}</span>
            </button>
            {moved
                .map(|from| {
                    let shown = format!("Before that: {from}");
                    view! {
                        <button type="button" class="btn btn--s" on:click=move |_| show_history(ide, &from)>
                            {shown}
                        </button>
                    }
                })}
            {run
                .map(|run| {
                    view! {
                        <button type="button" class="btn btn--s" on:click=move |_| ide.show_run(run.into())>
                            "Show the run"
                        </button>
                    }
                })}
        </li>
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::{Micros, files::EntryKind, users::UserRef};

    fn version(number: i64, action: FileAction, origin: Origin) -> FileVersion {
        FileVersion {
            path: "a".to_owned(),
            version: number,
            revision: number,
            action,
            origin,
            size: 1,
            checksum: String::new(),
            kind: EntryKind::File,
            mode: 0o644,
            moved_from: None,
            cause: None,
            created_at: Micros(0),
            created_by: Some(UserRef { id: "00000000000000000000000000000001".parse().unwrap(), name: "Ada".to_owned() }),
        }
    }

    #[test]
    fn a_version_says_who_made_it_and_how() {
        let words = |action, origin| describe_version(&version(1, action, origin));
        assert_eq!(words(FileAction::Modified, Origin::Person), "Changed by Ada");
        assert_eq!(words(FileAction::Added, Origin::Agent), "Made by the agent, for Ada");
        assert_eq!(words(FileAction::Deleted, Origin::Terminal), "Deleted in a terminal of Ada");
        let moved = FileVersion { moved_from: Some("b".to_owned()), ..version(1, FileAction::Added, Origin::Person) };
        assert_eq!(describe_version(&moved), "Moved here by Ada");
    }

    #[test]
    fn each_version_has_one_before_it() {
        let items = [5, 3, 2].map(|number| version(number, FileAction::Modified, Origin::Person)).to_vec();
        let versions = Versions { path: "a".to_owned(), items, next: None };
        assert_eq!((versions.before(5), versions.before(3), versions.before(2)), (3, 2, 0));
        assert_eq!(versions.newest().map(|v| v.version), Some(5));
    }
}
