//! The project's past in the main area: the timeline, and what restoring one of its points would do.

use leptos::{ev, html, prelude::*, wasm_bindgen::JsCast, web_sys};
use wire::checkpoints::{Checkpoint, Exclusion, Timeline};

use super::{
    checkpoint_plan::Plan,
    checkpoint_state::{Ask, PastDesk},
    checkpoint_words as words,
    ide::use_ide,
};
use crate::ui::{
    Button, ButtonKind, ButtonSize, Empty, IconButton, PanelError, Skeleton,
    focus::{self, Axis},
    format,
};

/// The checkpoints while `ide.checkpoints` is open; nothing otherwise.
#[component]
pub fn CheckpointPanel() -> impl IntoView {
    let ide = use_ide();
    move || ide.checkpoints.open.get().then(|| view! { <Panel desk=PastDesk::provide(ide) /> })
}

#[component]
fn Panel(desk: PastDesk) -> impl IntoView {
    let section = NodeRef::<html::Section>::new();
    desk.start();
    // Keys act while the focus is in the panel or nowhere in particular.
    let keys = window_event_listener(ev::keydown, move |event| {
        let active = document().active_element();
        let nowhere = active.as_ref().is_none_or(|active| active.tag_name().eq_ignore_ascii_case("body"));
        let inside = section
            .get_untracked()
            .zip(active)
            .is_some_and(|(section, active)| section.unchecked_ref::<web_sys::Node>().contains(Some(&active)));
        if (nowhere || inside) && !event.default_prevented() {
            take_key(desk, &event);
        }
    });
    on_cleanup(move || keys.remove());
    let is_chosen = Memo::new(move |_| desk.chosen.with(Option::is_some));
    let side = move || if is_chosen.get() { "plan" } else { "list" };
    view! {
        <section class="review review--split cp-panel" aria-label="Checkpoints" data-view=side node_ref=section>
            <Side desk=desk />
            <div class="rv-main">
                {move || if is_chosen.get() { view! { <Plan desk=desk /> }.into_any() } else { view! { <Nothing desk=desk /> }.into_any() }}
            </div>
        </section>
    }
}

fn take_key(desk: PastDesk, event: &ev::KeyboardEvent) {
    if event.alt_key() {
        return;
    }
    let control = event.ctrl_key() || event.meta_key();
    match event.key().as_str() {
        "Enter" if control => desk.restore(),
        "Escape" if !control && desk.chosen.with_untracked(Option::is_some) => {
            desk.choose(None);
            focus_timeline();
        }
        "Escape" if !control => desk.ide.close_review(),
        "j" | "J" if !control && !focus::is_typing() => desk.step(true),
        "k" | "K" if !control && !focus::is_typing() => desk.step(false),
        _ => return,
    }
    event.prevent_default();
}

/// Puts the focus on the chosen point, once it is drawn. Whoever went to another point meanwhile stays there.
pub fn focus_timeline() {
    request_animation_frame(|| {
        if document().query_selector(".tl :focus").ok().flatten().is_some() {
            return;
        }
        let point = document().query_selector(".tl button[aria-current]").ok().flatten();
        if let Some(point) = point.and_then(|point| point.dyn_into::<web_sys::HtmlElement>().ok()) {
            let _ = point.focus();
        }
    });
}

#[component]
fn Side(desk: PastDesk) -> impl IntoView {
    let ide = desk.ide;
    let locked = Signal::derive(move || !ide.can_edit());
    let state = Memo::new(move |_| (desk.timeline.with(Option::is_some), desk.timeline_failure.get()));
    view! {
        <nav class="rv-side cp-side" aria-label="Points of the past">
            <div class="phead">
                <h2>"Checkpoints"</h2>
                <Button
                    size=ButtonSize::Small
                    kind=ButtonKind::Ghost
                    icon="plus"
                    disabled=locked
                    title=Signal::derive(move || locked.get().then(|| "Editors of the project can make checkpoints".to_owned()))
                    on_click=move |_| ide.checkpoints.ask.set(Some(Ask::New))
                >
                    "New"
                </Button>
                <IconButton icon="x" label="Back to the editor" small=true on_click=move |_| ide.close_review() />
            </div>
            {move || match state.get() {
                (true, _) => view! { <Points desk=desk /> }.into_any(),
                (false, Some(text)) => {
                    view! {
                        <PanelError title="The checkpoints did not load" text=text>
                            <Button on_click=move |_| desk.load()>"Try again"</Button>
                        </PanelError>
                    }
                        .into_any()
                }
                (false, None) => view! { <div class="inset"><Skeleton lines=8 /></div> }.into_any(),
            }}
            <Foot desk=desk />
        </nav>
    }
}

/// The points by day, newest first.
fn by_day(timeline: &Timeline) -> Vec<(String, Vec<Checkpoint>)> {
    let now = format::now();
    let mut days: Vec<(String, Vec<Checkpoint>)> = vec![("Today".to_owned(), Vec::new())];
    for item in &timeline.items {
        let day = format::day(item.created_at, now);
        match days.last_mut() {
            Some((last, items)) if *last == day => items.push(item.clone()),
            _ => days.push((day, vec![item.clone()])),
        }
    }
    days
}

#[component]
fn Points(desk: PastDesk) -> impl IntoView {
    let list = NodeRef::<html::Div>::new();
    let on_keydown = move |event: ev::KeyboardEvent| {
        if let Some(list) = list.get_untracked() {
            focus::rove(&event, &list, "button", Axis::Vertical);
        }
    };
    let days = Memo::new(move |_| desk.timeline.with(|timeline| timeline.as_ref().map(by_day).unwrap_or_default()));
    let is_now = move || desk.chosen.with(Option::is_none).then_some("true");
    let since = move || match desk.timeline.with(|t| t.as_ref().filter(|t| !t.items.is_empty()).map(|t| t.changed)) {
        None => "Nothing is kept yet".to_owned(),
        Some(0) => "Nothing changed since the last one".to_owned(),
        Some(count) => format!("{} changed since the last one", format::counted(count, "path", "paths")),
    };
    Effect::new(move |first: Option<()>| {
        if first.is_none() {
            focus_timeline();
        }
    });
    view! {
        <div class="tl scroll" role="group" aria-label="Timeline" node_ref=list on:keydown=on_keydown>
            {move || {
                days.get()
                    .into_iter()
                    .enumerate()
                    .map(|(at, (day, items))| {
                        view! {
                            <h3>{day}</h3>
                            <ul>
                                {(at == 0)
                                    .then(|| {
                                        view! {
                                            <li>
                                                <button type="button" aria-current=is_now on:click=move |_| desk.choose(None)>
                                                    <span class="node now"></span>
                                                    <span class="clip medium">"Now"</span>
                                                    <span></span>
                                                    <span class="sub clip">{since}</span>
                                                </button>
                                            </li>
                                        }
                                    })}
                                {items.into_iter().map(|item| view! { <Point desk=desk item=item /> }).collect_view()}
                            </ul>
                        }
                    })
                    .collect_view()
            }}
        </div>
    }
}

#[component]
fn Point(desk: PastDesk, item: Checkpoint) -> impl IntoView {
    let id = item.id;
    let title = item.title();
    let tip = title.clone();
    let exact = item.created_at.to_rfc3339();
    view! {
        <li>
            <button
                type="button"
                title=tip
                aria-current=move || (desk.chosen.get() == Some(id)).then_some("true")
                on:click=move |_| desk.choose(Some(id))
            >
                <span class=words::node_class(&item)></span>
                <span class="clip medium">{title}</span>
                <time class="t3 fs12" datetime=exact>
                    {format::clock(item.created_at)}
                </time>
                <span class="sub clip">{words::origin_of(&item, desk.ide.viewer.with_value(|viewer| viewer.id))}</span>
            </button>
        </li>
    }
}

/// How much is kept, and what is no part of it.
#[component]
fn Foot(desk: PastDesk) -> impl IntoView {
    let kept = move || desk.timeline.with(|timeline| timeline.as_ref().map(words::kept));
    let excluded = Memo::new(move |_| desk.timeline.with(|timeline| timeline.as_ref().map(|t| t.excluded.clone()).unwrap_or_default()));
    view! {
        <div class="cp-foot fs12 t3">
            <p>{kept}</p>
            <Show when=move || excluded.with(|list| !list.is_empty())>
                <details>
                    <summary>"What is left out"</summary>
                    <p>"Only what commands leave at these places; what a person saves there is kept."</p>
                    <dl class="cp-left-out">{move || excluded.get().into_iter().map(exclusion).collect_view()}</dl>
                </details>
            </Show>
        </div>
    }
}

fn exclusion(exclusion: Exclusion) -> impl IntoView {
    let source = exclusion.source.unwrap_or_else(|| "Always".to_owned());
    view! {
        <dt>{source}</dt>
        <dd class="mono">{exclusion.patterns.join("  ")}</dd>
    }
}

/// Nothing is chosen yet.
#[component]
fn Nothing(desk: PastDesk) -> impl IntoView {
    let ide = desk.ide;
    let is_empty = Memo::new(move |_| desk.timeline.with(|timeline| timeline.as_ref().map(|timeline| timeline.items.is_empty())));
    let words = move || match is_empty.get()? {
        true => Some((
            "No checkpoints yet",
            "One is made before every turn of the agent and before every restore. Make one now to keep it under a name.",
        )),
        false => {
            Some(("Choose a point of the past", "You see first what a restore would change, and where others have changed files since."))
        }
    };
    view! {
        <div class="rv-body cp-nothing">
            {move || {
                words()
                    .map(|(title, text)| {
                        view! {
                            <Empty title=title text=text>
                                <div class="acts">
                                    <Show when=move || ide.can_edit()>
                                        <Button icon="bookmark" on_click=move |_| ide.checkpoints.ask.set(Some(Ask::New))>
                                            "Make a checkpoint"
                                        </Button>
                                    </Show>
                                    <Button icon="git-branch" on_click=move |_| ide.checkpoints.ask.set(Some(Ask::Fork(None)))>
                                        "Fork the project"
                                    </Button>
                                </div>
                            </Empty>
                        }
                    })
            }}
        </div>
    }
}
