//! A file of the change set in the editor's comparison, whole, with its hunks decided from a bar above it.

use leptos::{html, prelude::*, task::spawn_local};
use wire::{HunkId, changes::FileSides};

use super::{
    hunk::describe_bare,
    review_desk::{Desk, WHOLE_ELEMENT},
    review_state::{Mark, Standing},
};
use crate::{
    api,
    editor::monaco,
    ui::{Button, ButtonKind, ButtonSize, IconButton, PanelError, Skeleton, use_dark},
};

#[component]
pub fn WholeFile(desk: Desk, path: String) -> impl IntoView {
    let sides = RwSignal::new(None::<Result<FileSides, String>>);
    let inline = RwSignal::new(super::commands::is_narrow());
    let path = StoredValue::new(path);
    let read = move || {
        let Some(set) = desk.set.with_untracked(|set| set.as_ref().map(|set| set.change_set_id)) else { return };
        sides.set(None);
        spawn_local(async move {
            let answer = match monaco::load().await {
                Ok(()) => api::changes::sides(set, path.get_value()).await.map_err(|error| error.to_string()),
                Err(reason) => Err(reason),
            };
            sides.try_set(Some(answer));
        });
    };
    Effect::new(move |_| read());
    let ids = Memo::new(move |_| {
        path.with_value(|path| desk.with_file(path, |file| file.hunks.iter().map(|hunk| hunk.id).collect::<Vec<_>>())).unwrap_or_default()
    });
    let here = Memo::new(move |_| desk.focus.get().filter(|id| ids.with(|ids| ids.contains(id))));
    let body = move || match sides.get() {
        None => view! { <div class="inset"><Skeleton lines=8 /></div> }.into_any(),
        Some(Ok(FileSides { old: Some(old), new: Some(new) })) => {
            view! { <Comparison desk=desk here=here path=path.get_value() old=old new=new inline=inline.get() /> }.into_any()
        }
        Some(Ok(_)) => view! { <p class="hunk-note t2">"Not both sides are text that can be compared line by line."</p> }.into_any(),
        Some(Err(reason)) => view! {
            <div class="inset">
                <PanelError title="The file did not load" text=reason>
                    <Button on_click=move |_| read()>"Try again"</Button>
                </PanelError>
            </div>
        }
        .into_any(),
    };
    view! {
        <Bar desk=desk here=here ids=ids inline=inline />
        {body}
    }
}

/// The hunk at hand with its decisions. It has the focus in place of the hunks, so that the keys act on them.
#[component]
fn Bar(desk: Desk, here: Memo<Option<HunkId>>, ids: Memo<Vec<HunkId>>, inline: RwSignal<bool>) -> impl IntoView {
    let standing = Memo::new(move |_| here.get().and_then(|id| desk.with_hunk(id, |_, hunk, _, _| desk.standing(hunk))));
    let label = move || {
        let id = here.get()?;
        desk.with_hunk(id, |file, hunk, at, of| {
            let what = if hunk.diff.is_empty() { format!(", {}", describe_bare(file)) } else { String::new() };
            format!("Hunk {at} of {of}, {}{what}, {}", file.path, desk.standing(hunk).word().to_lowercase())
        })
    };
    let place = move || {
        let at = here.get().and_then(|id| ids.with(|ids| ids.iter().position(|known| *known == id)));
        let count = ids.with(Vec::len);
        let word = standing.get().map(|standing| standing.word().to_lowercase()).unwrap_or_default();
        at.map(|at| format!("Hunk {} of {count} in this file, {word}", at + 1))
    };
    let open = move || standing.get().is_some_and(Standing::is_open) && desk.ide.can_review();
    let is_marked = move || here.get().is_some_and(|id| desk.marks.with(|marks| marks.contains_key(&id)));
    let decide = move |mark: Mark| {
        if let Some(id) = here.get_untracked() {
            desk.mark(id, mark);
        }
    };
    view! {
        <div class="rv-whole" id=WHOLE_ELEMENT role="group" tabindex="0" aria-label=label>
            <span class="seg desk" role="group" aria-label="Comparison">
                <button type="button" aria-pressed=move || if inline.get() { "false" } else { "true" } on:click=move |_| inline.set(false)>
                    "Side by side"
                </button>
                <button type="button" aria-pressed=move || if inline.get() { "true" } else { "false" } on:click=move |_| inline.set(true)>
                    "Inline"
                </button>
            </span>
            <IconButton icon="arrow-up" small=true label="Previous hunk" key="K" on_click=move |_| desk.step(false) />
            <IconButton icon="arrow-down" small=true label="Next hunk" key="J" on_click=move |_| desk.step(true) />
            <span class="clip t2 fs12">{place}</span>
            <span class="grow"></span>
            <Show when=is_marked>
                <Button size=ButtonSize::Small kind=ButtonKind::Ghost on_click=move |_| here.get_untracked().into_iter().for_each(|id| desk.unmark(id))>
                    "Undo"
                    <kbd>"U"</kbd>
                </Button>
            </Show>
            <Show when=open>
                <Button size=ButtonSize::Small kind=ButtonKind::Danger icon="x" disabled=desk.busy on_click=move |_| decide(Mark::reject())>
                    "Reject"
                    <kbd>"R"</kbd>
                </Button>
                <Button size=ButtonSize::Small kind=ButtonKind::Accept icon="check" disabled=desk.busy on_click=move |_| decide(Mark::Accept)>
                    "Accept"
                    <kbd>"A"</kbd>
                </Button>
            </Show>
        </div>
    }
}

#[component]
fn Comparison(desk: Desk, here: Memo<Option<HunkId>>, path: String, old: String, new: String, inline: bool) -> impl IntoView {
    let node = NodeRef::<html::Div>::new();
    let dark = use_dark();
    let made = RwSignal::new(None::<monaco::Diff>);
    Effect::new(move |_| {
        let Some(host) = node.get() else { return };
        monaco::set_theme(dark.get_untracked());
        made.set(monaco::Diff::create(&host, &old, &new, &path, true, inline));
    });
    Effect::new(move |_| {
        let line = here.get().and_then(|id| desk.with_hunk(id, |_, hunk, _, _| hunk.new_start.max(1) + hunk.new_lines / 2));
        if let (Some(diff), Some(line)) = (made.get(), line.and_then(|line| u32::try_from(line).ok())) {
            diff.reveal(line, 1);
        }
    });
    on_cleanup(move || {
        if let Some(diff) = made.try_update(Option::take).flatten() {
            diff.dispose();
        }
    });
    view! { <div class="compare-host rv-whole-host" node_ref=node></div> }
}
