//! What stands above the editor: a conflict to decide, a text kept from before, a file that is gone, or what the agent proposes.
//! One at a time, in this order.

use leptos::{ev, html, prelude::*};
use wire::TurnId;

use crate::{
    components::{
        documents,
        ide::{Conflict, Ide, Tab},
    },
    editor::monaco,
    ui::{Button, ButtonKind, ButtonSize, Icon},
};

#[derive(Debug, Clone, PartialEq, Eq)]
enum Ribbon {
    Conflict { by: String, deleted: bool, comparable: bool },
    Draft,
    Deleted { by: String },
    Proposal { hunks: usize, turn: TurnId },
}

fn ribbon_of(ide: Ide, tab: &Tab) -> Option<Ribbon> {
    let me = ide.viewer.with_value(|user| user.display_name().to_owned());
    let who = |by: &str| {
        if by.is_empty() {
            "Someone".to_owned()
        } else if by == me {
            "You".to_owned()
        } else {
            by.to_owned()
        }
    };
    if let Some(Conflict { theirs, by }) = &tab.conflict {
        let comparable = theirs.as_ref().is_some_and(|theirs| theirs.text.is_some());
        return Some(Ribbon::Conflict { by: who(by), deleted: theirs.is_none(), comparable });
    }
    if tab.draft.is_some() {
        return Some(Ribbon::Draft);
    }
    if let Some(by) = &tab.deleted_by {
        return Some(Ribbon::Deleted { by: who(by) });
    }
    let hunks = ide.open_hunks_in(&tab.path);
    let turn = ide.proposals.with(|all| {
        let touching = all.values().filter(|set| set.files.iter().any(|f| f.path == tab.path && f.hunks.iter().any(|h| h.state.is_open())));
        touching.max_by_key(|set| set.created_at).map(|set| set.turn_id)
    });
    turn.filter(|_| hunks > 0).map(|turn| Ribbon::Proposal { hunks, turn })
}

/// The ribbon of the file on top. `comparing` is the path whose two sides are shown instead of the editor.
#[component]
pub fn ConflictBar(ide: Ide, comparing: RwSignal<Option<String>>, diff: RwSignal<Option<monaco::Diff>>) -> impl IntoView {
    let shown = Memo::new(move |_| {
        let active = ide.active.get()?;
        ide.tabs.with(|tabs| tabs.iter().find(|tab| tab.path == active).and_then(|tab| Some((active.clone(), ribbon_of(ide, tab)?))))
    });
    move || match shown.get() {
        None => ().into_any(),
        Some((path, Ribbon::Conflict { by, deleted, comparable })) => {
            view! { <ConflictRibbon ide=ide path=path by=by deleted=deleted comparable=comparable comparing=comparing diff=diff /> }
                .into_any()
        }
        Some((path, Ribbon::Draft)) => view! { <DraftRibbon ide=ide path=path /> }.into_any(),
        Some((path, Ribbon::Deleted { by })) => view! { <DeletedRibbon ide=ide path=path by=by /> }.into_any(),
        Some((_, Ribbon::Proposal { hunks, turn })) => view! { <ProposalRibbon ide=ide hunks=hunks turn=turn /> }.into_any(),
    }
}

#[component]
fn ConflictRibbon(
    ide: Ide,
    path: String,
    by: String,
    deleted: bool,
    comparable: bool,
    comparing: RwSignal<Option<String>>,
    diff: RwSignal<Option<monaco::Diff>>,
) -> impl IntoView {
    let path = StoredValue::new(path);
    let sure = match (by.as_str(), deleted) {
        ("You", true) => "You deleted this file in another window.".to_owned(),
        ("You", false) => "You saved this file in another window.".to_owned(),
        (by, true) => format!("{by} deleted this file."),
        (by, false) => format!("{by} saved this file first."),
    };
    let is_comparing = move || comparing.with(|at| path.with_value(|path| at.as_deref() == Some(path)));
    let busy = Signal::derive(move || ide.tabs.with(|tabs| tabs.iter().any(|tab| tab.saving && path.with_value(|path| tab.path == *path))));
    let take = move |_| {
        comparing.set(None);
        documents::take_theirs(ide, &path.get_value());
    };
    let keep = move |_| {
        comparing.set(None);
        documents::keep_mine(ide, &path.get_value());
    };
    let save_merge = move |_| {
        if let Some(text) = diff.get_untracked().and_then(monaco::Diff::modified_text) {
            comparing.set(None);
            documents::keep_merged(ide, &path.get_value(), text);
        }
    };
    view! {
        <div class="ribbon ribbon--warn" role="alert">
            <Icon name="git-merge" />
            <span class="grow">
                <b>{sure}</b>
                " "
                <span class="t2">
                    {move || if is_comparing() { "Lines with − are theirs, lines with + yours, which you can edit." } else { "Your text is kept, unsaved." }}
                </span>
            </span>
            <Button size=ButtonSize::Small disabled=busy on:click=take>
                {if deleted { "Close without saving" } else { "Take theirs" }}
            </Button>
            <Button
                size=ButtonSize::Small
                kind=if comparable { ButtonKind::Default } else { ButtonKind::Primary }
                busy=busy
                disabled=busy
                on:click=keep
            >
                {if deleted { "Save it again" } else { "Keep mine" }}
            </Button>
            {move || {
                if !comparable {
                    ().into_any()
                } else if is_comparing() {
                    view! {
                        <Button size=ButtonSize::Small kind=ButtonKind::Ghost on:click=move |_| comparing.set(None)>
                            "Back"
                        </Button>
                        <Button size=ButtonSize::Small kind=ButtonKind::Primary disabled=busy on:click=save_merge>
                            "Save the merge"
                        </Button>
                    }
                        .into_any()
                } else {
                    view! {
                        <Button
                            size=ButtonSize::Small
                            kind=ButtonKind::Primary
                            on:click=move |_: ev::MouseEvent| comparing.set(Some(path.get_value()))
                        >
                            "Merge"
                        </Button>
                    }
                        .into_any()
                }
            }}
        </div>
    }
}

#[component]
fn DraftRibbon(ide: Ide, path: String) -> impl IntoView {
    let path = StoredValue::new(path);
    view! {
        <div class="ribbon ribbon--warn" role="status">
            <Icon name="history" />
            <span class="grow">
                <b>"This browser kept unsaved text of this file."</b>
                " "
                <span class="t2">"Restoring it does not save it yet."</span>
            </span>
            <Button size=ButtonSize::Small kind=ButtonKind::Ghost on:click=move |_| documents::discard_draft(ide, &path.get_value())>
                "Discard"
            </Button>
            <Button size=ButtonSize::Small kind=ButtonKind::Primary on:click=move |_| documents::restore_draft(ide, &path.get_value())>
                "Restore"
            </Button>
        </div>
    }
}

#[component]
fn DeletedRibbon(ide: Ide, path: String, by: String) -> impl IntoView {
    let path = StoredValue::new(path);
    view! {
        <div class="ribbon ribbon--warn" role="status">
            <Icon name="trash-2" />
            <span class="grow">
                <b>{format!("{by} deleted this file.")}</b>
                " "
                <span class="t2">"Its last text is still shown here."</span>
            </span>
            <Button size=ButtonSize::Small kind=ButtonKind::Ghost on:click=move |_| documents::close(ide, &path.get_value())>
                "Close"
            </Button>
            {ide
                .can_edit()
                .then(|| {
                    view! {
                        <Button size=ButtonSize::Small on:click=move |_| documents::save(ide, &path.get_value())>
                            "Save it again"
                        </Button>
                    }
                })}
        </div>
    }
}

#[component]
fn ProposalRibbon(ide: Ide, hunks: usize, turn: TurnId) -> impl IntoView {
    let count = if hunks == 1 { "1 change".to_owned() } else { format!("{hunks} changes") };
    view! {
        <div class="ribbon ribbon--agent">
            <Icon name="sparkles" />
            <span class="grow clip">"The agent proposes " <b>{count}</b> " in this file"</span>
            <Button size=ButtonSize::Small on:click=move |_| ide.open_review(turn)>
                "Review "
                <kbd>"F7"</kbd>
            </Button>
        </div>
    }
}

/// Both sides of a conflict in the place of the editor; the right side can be edited.
#[component]
pub fn CompareView(ide: Ide, path: String, diff: RwSignal<Option<monaco::Diff>>) -> impl IntoView {
    let node = NodeRef::<html::Div>::new();
    Effect::new(move |_| {
        let Some(host) = node.get() else { return };
        let theirs = ide.tab(&path).and_then(|tab| tab.conflict?.theirs?.text);
        if let (Some(theirs), Some(mine)) = (theirs, monaco::model_text(&path)) {
            let made = monaco::Diff::create(&host, &theirs, &mine, &path, false, false);
            diff.set(made);
            if let Some(made) = made {
                made.focus();
            }
        }
    });
    on_cleanup(move || {
        if let Some(made) = diff.try_get_untracked().flatten() {
            made.dispose();
            diff.set(None);
        }
    });
    view! { <div class="ed-host" node_ref=node></div> }
}
