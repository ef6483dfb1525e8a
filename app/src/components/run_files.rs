//! The files that a run changed, each shown as it was before and after.

use leptos::{html, prelude::*, task::spawn_local};
use wire::{
    ErrorCode, Micros,
    files::{FileAction, FileVersion, Origin},
    runs::{Run, RunChange},
};

use super::{
    ide::{Ide, use_ide},
    tree_model::file_icon,
};
use crate::{
    api,
    editor::monaco,
    ui::{Button, ButtonKind, Dialog, Icon, Skeleton, use_dark},
};

/// Shown before "Show all".
const FILES_MAX: usize = 12;

/// The changed files of a finished run.
#[component]
pub fn RunFiles(run: Memo<Option<Run>>) -> impl IntoView {
    let ide = use_ide();
    let changes = Memo::new(move |_| run.with(|run| run.as_ref().map(|run| run.changes.clone()).unwrap_or_default()));
    let all = RwSignal::new(false);
    let chosen = RwSignal::new(None::<RunChange>);
    let open = RwSignal::new(false);
    let shown =
        move || changes.with(|changes| changes.iter().take(if all.get() { usize::MAX } else { FILES_MAX }).cloned().collect::<Vec<_>>());
    let show = move |change: RunChange| {
        // What the agent's commands change is on its branch, and judged in the review.
        if let Some(turn) = run.with_untracked(|run| run.as_ref().and_then(|run| run.turn_id)) {
            if ide.proposals.with_untracked(|all| all.contains_key(&turn.into())) {
                ide.open_review(turn);
            } else {
                ide.open_file(&change.path, None);
            }
            return;
        }
        chosen.set(Some(change));
        open.set(true);
    };
    let title = Signal::derive(move || chosen.with(|chosen| chosen.as_ref().map(|change| change.path.clone()).unwrap_or_default()));
    view! {
        <Show when=move || changes.with(|changes| !changes.is_empty())>
            <div class="chips run-files" role="group" aria-label="Files that the run changed">
                <span class="t3 fs12">"Changed files"</span>
                <For each=shown key=|change| change.path.clone() let:change>
                    <FileChip change=change on_choose=show />
                </For>
                <Show when=move || !all.get() && changes.with(|changes| changes.len() > FILES_MAX)>
                    <button type="button" class="btn btn--s btn--ghost" on:click=move |_| all.set(true)>
                        {move || format!("Show all {}", changes.with(Vec::len))}
                    </button>
                </Show>
            </div>
            <Dialog open=open title=title>
                {move || {
                    let (run, change) = (run.get(), chosen.get());
                    run.zip(change).map(|(run, change)| view! { <Compared run=run change=change open=open /> })
                }}
            </Dialog>
        </Show>
    }
}

fn action_word(action: FileAction) -> &'static str {
    match action {
        FileAction::Added => "added",
        FileAction::Modified => "changed",
        FileAction::Deleted => "deleted",
        FileAction::Restored => "restored",
    }
}

#[component]
fn FileChip(change: RunChange, on_choose: impl Fn(RunChange) + Copy + 'static) -> impl IntoView {
    let (icon, sign) = match change.action {
        FileAction::Added => ("file-plus", "+"),
        FileAction::Deleted => ("trash-2", "−"),
        FileAction::Modified | FileAction::Restored => (file_icon(change.path.rsplit('/').next().unwrap_or_default()), "±"),
    };
    let word = action_word(change.action);
    let (path, title) = (change.path.clone(), format!("{}, {word} by this run: show what changed", change.path));
    view! {
        <button type="button" class="chip" title=title on:click=move |_| on_choose(change.clone())>
            <Icon name=icon />
            {path}
            <span class="t3" aria-hidden="true">
                {sign}
            </span>
            <span class="sr">{format!(", {word}")}</span>
        </button>
    }
}

/// The two sides of a change; a text is `None` where it is no text.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Sides {
    before: Option<String>,
    after: Option<String>,
}

/// The versions of a path that lie around what a run did to it: the one before it, and the run's last one.
fn versions_of(history: &[FileVersion], began: Micros, ended: Micros) -> Option<(i64, i64)> {
    let during = |version: &&FileVersion| version.origin == Origin::Run && (began..=ended).contains(&version.created_at);
    let by_run = history.iter().filter(during);
    let (first, last) = by_run.fold(None, |span: Option<(i64, i64)>, version| {
        let (first, last) = span.unwrap_or((version.version, version.version));
        Some((first.min(version.version), last.max(version.version)))
    })?;
    let before = history.iter().map(|version| version.version).filter(|version| *version < first).max().unwrap_or(0);
    Some((before, last))
}

async fn read_sides(ide: Ide, run: &Run, change: &RunChange) -> Result<Sides, String> {
    let history = api::files::history(ide.project_id, change.path.clone(), None).await.map_err(|error| error.to_string())?.items;
    let began = run.started_at.unwrap_or(run.created_at);
    let span = versions_of(&history, began, run.finished_at.unwrap_or(began));
    let (before, after) = span.ok_or("The versions that this run saved are not kept any more.")?;
    Ok(Sides { before: read_version(ide, &history, change, before).await?, after: read_version(ide, &history, change, after).await? })
}

/// The text of one version; empty where there was no file.
async fn read_version(ide: Ide, history: &[FileVersion], change: &RunChange, version: i64) -> Result<Option<String>, String> {
    let known = history.iter().find(|known| known.version == version);
    if known.is_none_or(|known| known.action == FileAction::Deleted) {
        return Ok(Some(String::new()));
    }
    match api::files::open(ide.project_id, change.path.clone(), Some(version)).await {
        Ok(file) => Ok(file.text),
        Err(error) if error.code() == ErrorCode::NotFound => Ok(Some(String::new())),
        Err(error) => Err(error.to_string()),
    }
}

#[component]
fn Compared(run: Run, change: RunChange, open: RwSignal<bool>) -> impl IntoView {
    let ide = use_ide();
    let sides = RwSignal::new(None::<Result<Sides, String>>);
    let path = StoredValue::new(change.path.clone());
    let (exists, word) = (change.action != FileAction::Deleted, action_word(change.action));
    Effect::new(move |_| {
        let (run, change) = (run.clone(), change.clone());
        spawn_local(async move {
            let loaded = monaco::load().await;
            let read = match loaded {
                Ok(()) => read_sides(ide, &run, &change).await,
                Err(reason) => Err(reason),
            };
            sides.try_set(Some(read));
        });
    });
    let open_file = move |_| {
        open.set(false);
        ide.open_file(&path.get_value(), None);
    };
    view! {
        <p class="t2 fs12">{format!("Before and after: {word} by this run.")}</p>
        {move || match sides.get() {
            None => view! { <Skeleton lines=6 /> }.into_any(),
            Some(Err(reason)) => {
                view! {
                    <p class="err" role="alert">
                        <Icon name="circle-alert" small=true />
                        <span>{reason}</span>
                    </p>
                }
                    .into_any()
            }
            Some(Ok(Sides { before: Some(before), after: Some(after) })) => {
                view! { <DiffHost path=path.get_value() before=before after=after /> }.into_any()
            }
            Some(Ok(_)) => view! { <p class="t2">"Its content is not text, or too large to be compared here."</p> }.into_any(),
        }}
        <div class="row end">
            {exists.then(|| view! { <Button icon="file-code" on_click=open_file>"Open the file"</Button> })}
            <Button kind=ButtonKind::Primary attr:autofocus=true on_click=move |_| open.set(false)>
                "Close"
            </Button>
        </div>
    }
}

#[component]
fn DiffHost(path: String, before: String, after: String) -> impl IntoView {
    let node = NodeRef::<html::Div>::new();
    let dark = use_dark();
    let made = StoredValue::new(None::<monaco::Diff>);
    Effect::new(move |_| {
        let Some(host) = node.get() else { return };
        monaco::set_theme(dark.get_untracked());
        made.set_value(monaco::Diff::create(&host, &before, &after, &path, true, false));
    });
    on_cleanup(move || {
        if let Some(diff) = made.try_update_value(Option::take).flatten() {
            diff.dispose();
        }
    });
    view! { <div class="diff-host" node_ref=node></div> }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(version: i64, origin: Origin, second: i64) -> FileVersion {
        FileVersion {
            path: "a".into(),
            version,
            revision: version,
            action: FileAction::Modified,
            origin,
            size: 1,
            checksum: String::new(),
            kind: wire::files::EntryKind::File,
            mode: 0o644,
            moved_from: None,
            cause: None,
            created_at: Micros(second * Micros::SECOND),
            created_by: None,
        }
    }

    #[test]
    fn the_versions_around_a_run_are_found() {
        let history =
            [version(5, Origin::Person, 90), version(4, Origin::Run, 21), version(3, Origin::Run, 12), version(2, Origin::Person, 5)];
        let span = |began: i64, ended: i64| versions_of(&history, Micros(began * Micros::SECOND), Micros(ended * Micros::SECOND));
        assert_eq!(span(10, 21), Some((2, 4)), "several versions of one run");
        assert_eq!(span(10, 12), Some((2, 3)));
        assert_eq!(span(40, 50), None);
        assert_eq!(versions_of(&history[1..3], Micros(0), Micros(30 * Micros::SECOND)), Some((0, 4)), "new with the run");
    }
}
