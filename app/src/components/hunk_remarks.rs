//! What people say about a hunk: why it is rejected, and comments that become the agent's next prompt.

use leptos::{ev, html, prelude::*};
use wire::{HunkId, changes::ReviewComment};

use super::{
    review_desk::{Desk, Field},
    review_state::Mark,
};
use crate::ui::{Button, ButtonKind, ButtonSize, Icon, IconButton, RelativeTime};

/// Gives a field the focus now and once it is on the page, whichever works.
pub fn focus_when_there(field: NodeRef<html::Textarea>) {
    Effect::new(move |_| {
        if let Some(field) = field.get() {
            let _ = field.focus();
            request_animation_frame(move || {
                let _ = field.focus();
            });
        }
    });
}

#[component]
pub fn Remarks(id: HunkId) -> impl IntoView {
    let desk = Desk::expect();
    let comments = Memo::new(move |_| {
        let of_this = |comment: &&ReviewComment| comment.hunk_id == id;
        desk.set.with(|set| set.iter().flat_map(|set| &set.comments).filter(of_this).cloned().collect::<Vec<_>>())
    });
    let field = Memo::new(move |_| desk.field_of(id));
    view! {
        <Show when=move || comments.with(|comments| !comments.is_empty())>
            <ul class="hunk-said" aria-label="Comments on this hunk">
                <For each=move || comments.get() key=|comment| (comment.id, comment.sent_at) let:comment>
                    <Said desk=desk comment=comment />
                </For>
            </ul>
        </Show>
        {move || match field.get() {
            Some(Field::Reason) => Some(view! { <Reason id=id /> }.into_any()),
            Some(Field::Comment) => Some(view! { <Comment id=id /> }.into_any()),
            _ => None,
        }}
    }
}

#[component]
fn Said(desk: Desk, comment: ReviewComment) -> impl IntoView {
    let ReviewComment { id, text, created_by, created_at, sent_at, .. } = comment;
    let mine = desk.ide.viewer.with_value(|viewer| created_by.as_ref().is_some_and(|by| by.id == viewer.id));
    let name = created_by.map_or_else(|| "Someone".to_owned(), |by| by.name);
    let is_owner = move || desk.ide.project.with(|project| project.role == wire::projects::ProjectRole::Owner);
    // Not to the agent: it may wait in the queue there, and be taken out of it again.
    let standing = if sent_at.is_some() { "Sent to the conversation" } else { "Not sent yet" };
    view! {
        <li>
            <span class="row">
                <Icon name="messages-square" small=true />
                <b class="medium">{name}</b>
                <RelativeTime at=created_at class="t3" />
                <span class="t3">{standing}</span>
                <span class="grow"></span>
                <Show when=move || sent_at.is_none() && (mine || is_owner())>
                    <IconButton icon="x" small=true label="Remove this comment" on_click=move |_| desk.remove_comment(id) />
                </Show>
            </span>
            <p>{text}</p>
        </li>
    }
}

#[component]
fn Reason(id: HunkId) -> impl IntoView {
    let desk = Desk::expect();
    let start = match desk.marks.with_untracked(|marks| marks.get(&id).cloned()) {
        Some(Mark::Reject { reason }) => reason,
        _ => String::new(),
    };
    let keep = move |text: String| desk.mark(id, Mark::Reject { reason: text.trim().to_owned() });
    view! {
        <Write
            label="Why it is rejected, told to the agent"
            start=start
            button="Reject"
            kind=ButtonKind::Danger
            hint="The agent is told with the decision."
            keep=Callback::new(keep)
        />
    }
}

#[component]
fn Comment(id: HunkId) -> impl IntoView {
    let desk = Desk::expect();
    view! {
        <Write
            label="Comment on this hunk"
            start=String::new()
            button="Keep the comment"
            kind=ButtonKind::Default
            hint="Send your comments together when you are done; they become the agent's next prompt."
            keep=Callback::new(move |text: String| desk.comment(id, text))
        />
    }
}

/// A field of a few lines: Ctrl Enter keeps, Escape leaves.
#[component]
fn Write(
    label: &'static str,
    start: String,
    button: &'static str,
    kind: ButtonKind,
    hint: &'static str,
    keep: Callback<String>,
) -> impl IntoView {
    let desk = Desk::expect();
    let field = NodeRef::<html::Textarea>::new();
    focus_when_there(field);
    let done = move || {
        if let Some(field) = field.get_untracked() {
            keep.run(field.value());
        }
    };
    let on_keydown = move |event: ev::KeyboardEvent| {
        event.stop_propagation();
        if (event.ctrl_key() || event.meta_key()) && event.key() == "Enter" {
            event.prevent_default();
            done();
        } else if event.key() == "Escape" {
            event.prevent_default();
            desk.close_field();
        }
    };
    view! {
        <div class="hunk-edit hunk-write">
            <textarea class="input" rows="2" maxlength="4000" aria-label=label node_ref=field on:keydown=on_keydown prop:value=start></textarea>
            <div class="acts">
                <Button size=ButtonSize::Small kind=kind disabled=desk.busy on_click=move |_| done()>
                    {button}
                    <kbd>"Ctrl ⏎"</kbd>
                </Button>
                <Button size=ButtonSize::Small kind=ButtonKind::Ghost on_click=move |_| desk.close_field()>
                    "Cancel"
                </Button>
                <span class="hint">{hint}</span>
            </div>
        </div>
    }
}
