//! What restoring a checkpoint would do, file by file, and doing it.

use leptos::{html, prelude::*};
use wire::checkpoints::{Checkpoint, PlannedFile, RestorePlan};

use super::{
    checkpoint_diff::FileDiff,
    checkpoint_state::{Ask, PastDesk},
    checkpoint_words as words,
};
use crate::ui::{Badge, Button, ButtonKind, ButtonSize, Icon, IconButton, MenuButton, MenuItem, PanelError, Skeleton, format};

/// Rows shown before "Show more"; what is not shown is restored all the same if it is ticked.
const ROWS: usize = 300;

/// The chosen point.
#[component]
pub fn Plan(desk: PastDesk) -> impl IntoView {
    let state = Memo::new(move |_| {
        let count = desk.plan.with(|plan| plan.as_ref().map(|plan| plan.items.len()));
        (count.map(|count| count == 0), desk.plan_failure.get())
    });
    view! {
        <Head desk=desk />
        {move || match state.get() {
            (Some(true), _) => view! { <Same desk=desk /> }.into_any(),
            (Some(false), _) => {
                view! {
                    <div class="cp">
                        <FileList desk=desk />
                        <Differences desk=desk />
                    </div>
                    <SummaryBar desk=desk />
                }
                    .into_any()
            }
            (None, Some(text)) => {
                view! {
                    <div class="rv-body">
                        <PanelError title="What would change did not load" text=text>
                            <Button on_click=move |_| {
                                desk.plan_failure.set(None);
                                if let Some(id) = desk.chosen.get_untracked() {
                                    desk.load_plan(id);
                                }
                            }>"Try again"</Button>
                        </PanelError>
                    </div>
                }
                    .into_any()
            }
            (None, None) => view! { <div class="rv-body"><Skeleton lines=8 /></div> }.into_any(),
        }}
    }
}

fn checkpoint_of(desk: PastDesk) -> Option<Checkpoint> {
    let chosen = desk.chosen.get()?;
    desk.timeline.with(|timeline| timeline.as_ref()?.items.iter().find(|item| item.id == chosen).cloned())
}

#[component]
fn Head(desk: PastDesk) -> impl IntoView {
    let ide = desk.ide;
    let checkpoint = Memo::new(move |_| checkpoint_of(desk));
    let title = move || {
        checkpoint.with(|checkpoint| match checkpoint {
            Some(found) => format!("Restore to {}, {}", format::clock(found.created_at), found.title()),
            None => "Restore".to_owned(),
        })
    };
    let ask = move |make: fn(Checkpoint) -> Ask| {
        if let Some(found) = checkpoint.get_untracked() {
            ide.checkpoints.ask.set(Some(make(found)));
        }
    };
    let locked = Signal::derive(move || !ide.can_edit());
    let rename =
        move || checkpoint.with(|found| if found.as_ref().is_some_and(|found| found.name.is_some()) { "Rename" } else { "Give it a name" });
    view! {
        <div class="rv-head">
            <div class="row">
                <span class="cp-back">
                    <IconButton icon="history" label="Back to the timeline" on_click=move |_| desk.choose(None) />
                </span>
                <h1 class="clip">{title}</h1>
                <span class="grow"></span>
                <MenuButton label="More about this checkpoint">
                    <MenuItem icon="pencil" disabled=locked on_choose=move || ask(Ask::Rename)>
                        {rename}
                    </MenuItem>
                    <MenuItem icon="git-branch" on_choose=move || ask(|found| Ask::Fork(Some(found)))>
                        "Fork into a new project"
                    </MenuItem>
                    <MenuItem icon="trash-2" danger=true disabled=locked on_choose=move || ask(Ask::Delete)>
                        "Delete"
                    </MenuItem>
                </MenuButton>
                <IconButton icon="x" label="Leave the checkpoints" on_click=move |_| ide.close_review() />
            </div>
            <div class="facts">
                {move || desk.plan.with(|plan| plan.as_ref().map(facts))}
                <span class="desk">
                    <Icon name="shield-check" small=true />
                    "A checkpoint is made first, so this can be undone"
                </span>
            </div>
        </div>
    }
}

fn facts(plan: &RestorePlan) -> impl IntoView + use<> {
    let count = plan.items.len() as i64;
    let stay = match plan.unchanged {
        1 => "1 stays as it is".to_owned(),
        more => format!("{} stay as they are", format::count(more)),
    };
    view! {
        <span>{format!("{} would change", format::counted(count, "file", "files"))}</span>
        <span>{stay}</span>
    }
}

/// The project is as it was then.
#[component]
fn Same(desk: PastDesk) -> impl IntoView {
    view! {
        <div class="rv-body cp-nothing">
            <div class="empty">
                <b>"Nothing differs"</b>
                <p>"The files are as they were at this checkpoint."</p>
                <Button kind=ButtonKind::Primary on_click=move |_| desk.ide.close_review()>"Back to the editor"</Button>
            </div>
        </div>
    }
}

#[component]
fn FileList(desk: PastDesk) -> impl IntoView {
    let shown = RwSignal::new(ROWS);
    let paths = Memo::new(move |_| {
        desk.plan.with(|plan| plan.iter().flat_map(|plan| &plan.items).take(shown.get()).map(|item| item.path.clone()).collect::<Vec<_>>())
    });
    let total = Memo::new(move |_| desk.plan.with(|plan| plan.as_ref().map_or(0, |plan| plan.items.len())));
    let all = NodeRef::<html::Input>::new();
    let ticked = Memo::new(move |_| desk.ticked.with(|ticked| ticked.len()));
    Effect::new(move |_| {
        let (ticked, total) = (ticked.get(), total.get());
        if let Some(all) = all.get() {
            all.set_checked(ticked == total);
            all.set_indeterminate(ticked > 0 && ticked < total);
        }
    });
    view! {
        <div class="cp-list">
            <label class="check cp-all">
                <input type="checkbox" node_ref=all on:change:target=move |ev| desk.set_all_ticks(ev.target().checked()) />
                {move || format!("All {}", format::counted(total.get() as i64, "file", "files"))}
            </label>
            <ul class="flist" aria-label="Files in this restore">
                <For each=move || paths.get() key=String::clone let:path>
                    <Row desk=desk path=path />
                </For>
            </ul>
            <Show when=move || { total.get() > shown.get() }>
                <div class="inset">
                    <Button size=ButtonSize::Small on_click=move |_| shown.update(|shown| *shown += ROWS)>
                        {move || format!("Show more of {}", format::count(total.get() as i64))}
                    </Button>
                </div>
            </Show>
        </div>
    }
}

#[component]
fn Row(desk: PastDesk, path: String) -> impl IntoView {
    let name = path.clone();
    let (tip, label) = (path.clone(), format!("Restore {path}"));
    let path = StoredValue::new(path);
    let item = Memo::new(move |_| desk.plan.with(|plan| path.with_value(|path| find(plan.as_ref(), path).cloned())));
    let is_ticked = Memo::new(move |_| desk.ticked.with(|ticked| path.with_value(|path| ticked.contains(path))));
    let is_shown = move || desk.file.with(|file| path.with_value(|path| file.as_ref() == Some(path))).then_some("true");
    let viewer = desk.ide.viewer.with_value(|viewer| viewer.id);
    view! {
        <li aria-current=is_shown>
            <input
                type="checkbox"
                class="cp-tick"
                aria-label=label
                prop:checked=move || is_ticked.get()
                on:change:target=move |ev| path.with_value(|path| desk.set_tick(path, ev.target().checked()))
            />
            <button type="button" class="mono fs12 cp-path" title=tip on:click=move |_| desk.file.set(Some(path.get_value()))>
                <bdi>{name}</bdi>
            </button>
            {move || {
                item.with(|item| {
                    item.as_ref()
                        .map(|item| {
                            let (kind, icon, word) = words::effect(item, is_ticked.get());
                            view! { <Badge kind=kind icon=icon>{word}</Badge> }
                        })
                })
            }}
            <span class="sub">{move || item.with(|item| item.as_ref().map(|item| words::note(item, is_ticked.get(), viewer)))}</span>
        </li>
    }
}

fn find<'a>(plan: Option<&'a RestorePlan>, path: &str) -> Option<&'a PlannedFile> {
    let items = &plan?.items;
    // Sorted by path.
    items.binary_search_by(|item| item.path.as_str().cmp(path)).ok().map(|at| &items[at])
}

/// What a difference is drawn from: another one is drawn anew.
fn versions(item: &PlannedFile) -> (String, Option<i64>, Option<i64>) {
    (item.path.clone(), item.then.as_ref().map(|then| then.version), item.now.as_ref().map(|now| now.version))
}

#[component]
fn Differences(desk: PastDesk) -> impl IntoView {
    let item = Memo::new(move |_| desk.file.with(|file| desk.plan.with(|plan| find(plan.as_ref(), file.as_ref()?).cloned())));
    view! {
        <div class="cp-diff">
            <For each=move || item.get() key=versions let:item>
                <FileDiff ide=desk.ide item=item />
            </For>
        </div>
    }
}

#[component]
fn SummaryBar(desk: PastDesk) -> impl IntoView {
    let ticked = Memo::new(move |_| desk.ticked.with(|ticked| ticked.len() as i64));
    let total = move || desk.plan.with(|plan| plan.as_ref().map_or(0, |plan| plan.items.len()));
    let locked = move || !desk.ide.can_edit();
    let why = move || {
        if locked() {
            Some("Editors of the project can restore".to_owned())
        } else {
            (ticked.get() == 0).then(|| "Tick a file first".to_owned())
        }
    };
    view! {
        {move || {
            desk.failure
                .get()
                .map(|text| {
                    view! {
                        <p class="err rv-failure" role="alert">
                            <Icon name="circle-alert" small=true />
                            <span>{text}</span>
                        </p>
                    }
                })
        }}
        <footer class="sumbar">
            <span class="strong nowrap" role="status">
                {move || format!("{} of {} chosen", format::count(ticked.get()), format::counted(total() as i64, "file", "files"))}
            </span>
            <span class="t2 fs12 desk wide clip">"Conversations stay as they are."</span>
            <span class="grow"></span>
            <Button disabled=desk.busy on_click=move |_| desk.choose(None)>"Cancel"</Button>
            <Button
                kind=ButtonKind::Primary
                busy=desk.busy
                disabled=Signal::derive(move || ticked.get() == 0 || locked())
                title=Signal::derive(why)
                on_click=move |_| desk.restore()
            >
                {move || format!("Restore {}", format::counted(ticked.get(), "file", "files"))}
                <kbd>"Ctrl ⏎"</kbd>
            </Button>
        </footer>
    }
}
