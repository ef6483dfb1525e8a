//! What stands above the editor: a conflict to decide, a text kept from before, a file that is gone, or what is proposed.
//! One at a time, in this order.

use leptos::{ev, prelude::*};
use wire::{
    Micros,
    changes::{ChangeOrigin, ReviewKey},
};

use crate::{
    components::{
        compare::{BesideKind, MergeState},
        conflicts, documents, drafts,
        ide::{Against, Beside, Conflict, Ide, Tab},
        tab::By,
    },
    ui::{Button, ButtonKind, ButtonSize, Icon, RelativeTime},
};

#[derive(Debug, Clone, PartialEq, Eq)]
enum Ribbon {
    Conflict {
        by: By,
        deleted: bool,
        comparable: bool,
    },
    /// `fits`: the editor has a place for it.
    Draft {
        based_on: Option<i64>,
        at: i64,
        fits: bool,
    },
    Deleted {
        by: By,
    },
    Proposal {
        hunks: usize,
        review: ReviewKey,
        origin: ChangeOrigin,
    },
}

fn ribbon_of(ide: Ide, tab: &Tab) -> Option<Ribbon> {
    if let Some(Conflict { theirs, by, .. }) = &tab.conflict {
        let comparable = theirs.as_ref().is_some_and(|theirs| theirs.text.is_some());
        return Some(Ribbon::Conflict { by: by.clone(), deleted: theirs.is_none(), comparable });
    }
    if let Some(draft) = &tab.draft {
        let based_on = Some(draft.version).filter(|version| *version > 0 && *version != tab.version);
        return Some(Ribbon::Draft { based_on, at: draft.at as i64, fits: tab.stored().is_some() });
    }
    if let Some(by) = &tab.deleted_by {
        return Some(Ribbon::Deleted { by: by.clone() });
    }
    let hunks = ide.open_hunks_in(&tab.path);
    let newest = ide.proposals.with(|all| {
        let touching =
            all.values().filter(|set| set.files.iter().any(|f| f.touches(&tab.path) && f.hunks.iter().any(|h| h.state.is_open())));
        touching.max_by_key(|set| set.created_at).map(|set| (set.review_key(), set.origin))
    });
    newest.filter(|_| hunks > 0).map(|(review, origin)| Ribbon::Proposal { hunks, review, origin })
}

/// What the ribbon of a group knows of the merge that stands in that group.
#[derive(Clone, Copy)]
pub struct MergeHere {
    pub group: usize,
    /// The file on top is being merged in this group.
    pub on_top: Memo<bool>,
    pub state: RwSignal<Option<MergeState>>,
}

/// The ribbon of the file on top of a group.
#[component]
pub fn ConflictBar(ide: Ide, path: Memo<Option<String>>, merge: MergeHere) -> impl IntoView {
    let shown = Memo::new(move |_| {
        let active = path.get()?;
        ide.tabs.with(|tabs| tabs.iter().find(|tab| tab.path == active).and_then(|tab| Some((active.clone(), ribbon_of(ide, tab)?))))
    });
    move || match shown.get() {
        None => ().into_any(),
        Some((path, Ribbon::Conflict { by, deleted, comparable })) => {
            view! { <ConflictRibbon ide=ide path=path by=by deleted=deleted comparable=comparable merge=merge /> }.into_any()
        }
        Some((path, Ribbon::Draft { based_on, at, fits: true })) => {
            view! { <DraftRibbon ide=ide path=path based_on=based_on at=at /> }.into_any()
        }
        Some((path, Ribbon::Draft { at, fits: false, .. })) => view! { <LeftOverRibbon ide=ide path=path at=at /> }.into_any(),
        Some((path, Ribbon::Deleted { by })) => view! { <DeletedRibbon ide=ide path=path by=by /> }.into_any(),
        Some((_, Ribbon::Proposal { hunks, review, origin })) => {
            view! { <ProposalRibbon ide=ide hunks=hunks review=review origin=origin /> }.into_any()
        }
    }
}

#[component]
fn ConflictRibbon(ide: Ide, path: String, by: By, deleted: bool, comparable: bool, merge: MergeHere) -> impl IntoView {
    let path = StoredValue::new(path);
    let me = ide.viewer.with_value(|user| user.id);
    let who = by.subject(me);
    let sure = match (by.is(me), deleted) {
        (true, true) => "You deleted this file in another window.".to_owned(),
        (true, false) => "You saved this file in another window.".to_owned(),
        (false, true) => format!("{who} deleted this file."),
        (false, false) => format!("{who} saved this file first."),
    };
    let beside = move |kind: BesideKind| ide.beside.set(Some(Beside { path: path.get_value(), kind, group: merge.group }));
    let busy = Signal::derive(move || ide.tabs.with(|tabs| tabs.iter().any(|tab| tab.saving && path.with_value(|path| tab.path == *path))));
    let take = move |_| {
        ide.beside.set(None);
        conflicts::take_theirs(ide, &path.get_value());
    };
    let keep = move |_| {
        ide.beside.set(None);
        conflicts::keep_mine(ide, &path.get_value());
    };
    let hint = move || match merge.state.get() {
        Some(state) if merge.on_top.get() => state.sentence(),
        _ => "Your text is kept, unsaved.".to_owned(),
    };
    view! {
        <div class="ribbon ribbon--warn" role="alert">
            <Icon name="git-merge" />
            <span class="grow">
                <b>{sure}</b>
                " "
                <span class="t2">{hint}</span>
            </span>
            {move || {
                if merge.on_top.get() {
                    view! { <MergeButtons ide=ide path=path merge=merge.state busy=busy /> }.into_any()
                } else {
                    view! {
                        <Button size=ButtonSize::Small disabled=busy on_click=take>
                            {if deleted { "Close without saving" } else { "Take theirs" }}
                        </Button>
                        <Button
                            size=ButtonSize::Small
                            kind=if comparable { ButtonKind::Default } else { ButtonKind::Primary }
                            busy=busy
                            disabled=busy
                            on_click=keep
                        >
                            {if deleted { "Save it again" } else { "Keep mine" }}
                        </Button>
                        {comparable
                            .then(|| {
                                view! {
                                    <Button size=ButtonSize::Small on_click=move |_| beside(BesideKind::Compare(Against::Theirs))>
                                        "Compare"
                                    </Button>
                                    <Button
                                        size=ButtonSize::Small
                                        kind=ButtonKind::Primary
                                        on_click=move |_: ev::MouseEvent| beside(BesideKind::Merge)
                                    >
                                        "Merge"
                                    </Button>
                                }
                            })}
                    }
                        .into_any()
                }
            }}
        </div>
    }
}

#[component]
fn MergeButtons(ide: Ide, path: StoredValue<String>, merge: RwSignal<Option<MergeState>>, busy: Signal<bool>) -> impl IntoView {
    let open = move || merge.with(|merge| merge.map_or(u32::MAX, |merge| merge.open));
    let save = move |_| {
        if let Some(merge) = merge.get_untracked() {
            merge.save(ide, &path.get_value());
        }
    };
    let next = move |_| {
        if let Some(merge) = merge.get_untracked() {
            merge.next_conflict();
        }
    };
    let waits = Signal::derive(move || busy.get() || open() > 0);
    let why = move || (open() > 0).then(|| "Decide every conflict first".to_owned());
    view! {
        <Button size=ButtonSize::Small kind=ButtonKind::Ghost on_click=move |_| ide.beside.set(None)>
            "Back"
        </Button>
        <Show when=move || { open() > 0 }>
            <Button size=ButtonSize::Small on_click=next>
                "Next conflict"
            </Button>
        </Show>
        <Button size=ButtonSize::Small kind=ButtonKind::Primary busy=busy disabled=waits title=MaybeProp::derive(why) on_click=save>
            "Save the merge"
        </Button>
    }
}

#[component]
fn DraftRibbon(ide: Ide, path: String, based_on: Option<i64>, at: i64) -> impl IntoView {
    let path = StoredValue::new(path);
    let hint = match based_on {
        Some(version) => format!("It was typed over version {version}; the file has been saved since. You can merge both."),
        None => "Restoring it does not save it yet.".to_owned(),
    };
    view! {
        <div class="ribbon ribbon--warn" role="status">
            <Icon name="history" />
            <span class="grow">
                <b>"This browser kept unsaved text of this file"</b>
                {(at > 0).then(|| view! { <b>", " <RelativeTime at=Micros(at * 1000) class="nowrap" /></b> })}
                <b>"."</b>
                " "
                <span class="t2">{hint}</span>
            </span>
            <Button size=ButtonSize::Small kind=ButtonKind::Ghost on_click=move |_| drafts::discard(ide, &path.get_value())>
                "Discard"
            </Button>
            <Button size=ButtonSize::Small kind=ButtonKind::Primary on_click=move |_| drafts::restore(ide, &path.get_value())>
                "Restore"
            </Button>
        </div>
    }
}

/// A kept text of a file that is no text any more, or too large for the editor.
#[component]
fn LeftOverRibbon(ide: Ide, path: String, at: i64) -> impl IntoView {
    let path = StoredValue::new(path);
    view! {
        <div class="ribbon ribbon--warn" role="status">
            <Icon name="history" />
            <span class="grow">
                <b>"This browser kept unsaved text of this file"</b>
                {(at > 0).then(|| view! { <b>", " <RelativeTime at=Micros(at * 1000) class="nowrap" /></b> })}
                <b>"."</b>
                " "
                <span class="t2">"The file is not shown as text now, so that the text can only become a file of its own."</span>
            </span>
            <Button size=ButtonSize::Small kind=ButtonKind::Ghost on_click=move |_| drafts::discard(ide, &path.get_value())>
                "Discard"
            </Button>
            {ide
                .can_edit()
                .then(|| {
                    view! {
                        <Button size=ButtonSize::Small kind=ButtonKind::Primary on_click=move |_| drafts::save_beside(ide, &path.get_value())>
                            "Save as a new file"
                        </Button>
                    }
                })}
        </div>
    }
}

#[component]
fn DeletedRibbon(ide: Ide, path: String, by: By) -> impl IntoView {
    let path = StoredValue::new(path);
    let who = by.subject(ide.viewer.with_value(|user| user.id));
    view! {
        <div class="ribbon ribbon--warn" role="status">
            <Icon name="trash-2" />
            <span class="grow">
                <b>{format!("{who} deleted this file.")}</b>
                " "
                <span class="t2">"Its last text is still shown here."</span>
            </span>
            <Button size=ButtonSize::Small kind=ButtonKind::Ghost on_click=move |_| documents::close_everywhere(ide, &path.get_value())>
                "Close"
            </Button>
            {ide
                .can_edit()
                .then(|| {
                    view! {
                        <Button size=ButtonSize::Small on_click=move |_| documents::save(ide, &path.get_value())>
                            "Save it again"
                        </Button>
                    }
                })}
        </div>
    }
}

#[component]
fn ProposalRibbon(ide: Ide, hunks: usize, review: ReviewKey, origin: ChangeOrigin) -> impl IntoView {
    let count = if hunks == 1 { "1 change".to_owned() } else { format!("{hunks} changes") };
    let (class, icon, before) = match origin {
        ChangeOrigin::Agent => ("ribbon ribbon--agent", "sparkles", "The agent proposes "),
        ChangeOrigin::Replace => ("ribbon", "search", "A replacement proposes "),
        ChangeOrigin::Conversation => ("ribbon", "messages-square", "Code from the conversation proposes "),
    };
    view! {
        <div class=class>
            <Icon name=icon />
            <span class="grow clip">{before} <b>{count}</b> " in this file"</span>
            <Button size=ButtonSize::Small on_click=move |_| ide.open_review(review)>
                "Review "
                <kbd>"F7"</kbd>
            </Button>
        </div>
    }
}
