//! What stands above the editor: a conflict to decide, a text kept from before, a file that is gone, or what is proposed.
//! One at a time, in this order.

use std::collections::BTreeMap;

use leptos::{ev, prelude::*};
use wire::{
    Micros, UserId,
    changes::{ChangeOrigin, ReviewKey},
    files::{FileAction, Origin},
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

/// What made the newest version of each open file, as the live events tell it: a file that is read again says only who.
#[derive(Debug, Clone, Copy)]
pub struct Makers(RwSignal<BTreeMap<String, Made>>);

#[derive(Debug, Clone, Copy)]
struct Made {
    version: i64,
    origin: Origin,
    deleted: bool,
}

impl Made {
    /// What made a version that is stored, or deleted a file that is gone. `None` where this is news of another one.
    fn origin_of(self, stored: Option<i64>) -> Option<Origin> {
        let fits = stored.map_or(self.deleted, |version| !self.deleted && self.version == version);
        fits.then_some(self.origin)
    }
}

impl Makers {
    /// Hands it to everything below.
    pub fn provide() -> Self {
        let makers = Self(RwSignal::default());
        provide_context(makers);
        makers
    }

    pub fn note(self, path: &str, action: FileAction, version: i64, origin: Origin) {
        let made = Made { version, origin, deleted: action == FileAction::Deleted };
        self.0.update(|all| {
            all.insert(path.to_owned(), made);
        });
    }

    fn origin_of(self, path: &str, stored: Option<i64>) -> Option<Origin> {
        self.0.with(|all| all.get(path)?.origin_of(stored))
    }
}

/// The subject of a sentence where it was no person's hand.
fn tool(origin: Option<Origin>) -> Option<&'static str> {
    match origin? {
        Origin::Agent => Some("An accepted proposal"),
        Origin::Run => Some("A run"),
        Origin::Terminal => Some("A terminal"),
        Origin::Person | Origin::Import | Origin::Restore | Origin::Sample | Origin::Git => None,
    }
}

/// What happened to a file under unsaved text, as `me` reads it.
fn what_happened(by: &By, origin: Option<Origin>, deleted: bool, me: UserId) -> String {
    if let Some(tool) = tool(origin) {
        return if deleted { format!("{tool} deleted this file.") } else { format!("{tool} changed this file.") };
    }
    let who = by.subject(me);
    match (by.is(me), deleted) {
        (true, true) => "You deleted this file in another window.".to_owned(),
        (true, false) => "You saved this file in another window.".to_owned(),
        (false, true) => format!("{who} deleted this file."),
        (false, false) => format!("{who} saved this file first."),
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Ribbon {
    Conflict {
        by: By,
        origin: Option<Origin>,
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
        origin: Option<Origin>,
    },
    Proposal {
        hunks: usize,
        review: ReviewKey,
        origin: ChangeOrigin,
    },
}

fn ribbon_of(ide: Ide, makers: Option<Makers>, tab: &Tab) -> Option<Ribbon> {
    let origin = |stored: Option<i64>| makers.and_then(|makers| makers.origin_of(&tab.path, stored));
    if let Some(Conflict { theirs, by, .. }) = &tab.conflict {
        let comparable = theirs.as_ref().is_some_and(|theirs| theirs.text.is_some());
        let origin = origin(theirs.as_ref().map(|theirs| theirs.entry.version));
        return Some(Ribbon::Conflict { by: by.clone(), origin, deleted: theirs.is_none(), comparable });
    }
    if let Some(draft) = &tab.draft {
        let based_on = Some(draft.version).filter(|version| *version > 0 && *version != tab.version);
        return Some(Ribbon::Draft { based_on, at: draft.at as i64, fits: tab.stored().is_some() });
    }
    if let Some(by) = &tab.deleted_by {
        return Some(Ribbon::Deleted { by: by.clone(), origin: origin(None) });
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
    let makers = use_context::<Makers>();
    let shown = Memo::new(move |_| {
        let active = path.get()?;
        ide.tabs.with(|tabs| {
            let tab = tabs.iter().find(|tab| tab.path == active)?;
            Some((active.clone(), ribbon_of(ide, makers, tab)?))
        })
    });
    move || match shown.get() {
        None => ().into_any(),
        Some((path, Ribbon::Conflict { by, origin, deleted, comparable })) => {
            let sure = what_happened(&by, origin, deleted, ide.viewer.with_value(|user| user.id));
            view! { <ConflictRibbon ide=ide path=path sure=sure deleted=deleted comparable=comparable merge=merge /> }.into_any()
        }
        Some((path, Ribbon::Draft { based_on, at, fits: true })) => {
            view! { <DraftRibbon ide=ide path=path based_on=based_on at=at /> }.into_any()
        }
        Some((path, Ribbon::Draft { at, fits: false, .. })) => view! { <LeftOverRibbon ide=ide path=path at=at /> }.into_any(),
        Some((path, Ribbon::Deleted { by, origin })) => {
            let who = tool(origin).map_or_else(|| by.subject(ide.viewer.with_value(|user| user.id)), str::to_owned);
            view! { <DeletedRibbon ide=ide path=path who=who /> }.into_any()
        }
        Some((_, Ribbon::Proposal { hunks, review, origin })) => {
            view! { <ProposalRibbon ide=ide hunks=hunks review=review origin=origin /> }.into_any()
        }
    }
}

#[component]
fn ConflictRibbon(ide: Ide, path: String, sure: String, deleted: bool, comparable: bool, merge: MergeHere) -> impl IntoView {
    let path = StoredValue::new(path);
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
fn DeletedRibbon(ide: Ide, path: String, who: String) -> impl IntoView {
    let path = StoredValue::new(path);
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

#[cfg(test)]
mod tests {
    use super::*;
    use wire::users::UserRef;

    #[test]
    fn runs_and_proposals_are_not_taken_for_people() {
        let id = |digit: u8| format!("0000000000000000000000000000000{digit}").parse::<UserId>().unwrap();
        let by = |digit: u8, name: &str| By(Some(UserRef { id: id(digit), name: name.to_owned() }));
        let (mine, other) = (by(1, "Ada"), by(2, "Ben"));
        assert_eq!(what_happened(&mine, Some(Origin::Run), false, id(1)), "A run changed this file.");
        assert_eq!(what_happened(&mine, Some(Origin::Agent), false, id(1)), "An accepted proposal changed this file.");
        assert_eq!(what_happened(&other, Some(Origin::Run), true, id(1)), "A run deleted this file.");
        assert_eq!(what_happened(&mine, Some(Origin::Person), false, id(1)), "You saved this file in another window.");
        assert_eq!(what_happened(&other, None, false, id(1)), "Ben saved this file first.");
    }

    #[test]
    fn what_made_a_version_is_not_told_of_another_one() {
        let written = Made { version: 3, origin: Origin::Run, deleted: false };
        assert_eq!([Some(3), Some(4), None].map(|stored| written.origin_of(stored)), [Some(Origin::Run), None, None]);
        let deleted = Made { version: 4, origin: Origin::Agent, deleted: true };
        assert_eq!([Some(4), None].map(|stored| deleted.origin_of(stored)), [None, Some(Origin::Agent)]);
    }
}
