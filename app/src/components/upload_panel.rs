//! The uploads of the page: how far they are together and each, and what asks for a decision.

use leptos::{html, prelude::*};

use super::{
    file_plan::Clash,
    ide::Ide,
    upload_plan::{Item, State, Totals, totals},
    uploads::{self, can_replace},
};
use crate::ui::{Button, ButtonSize, Icon, IconButton, format};

/// Rows shown at a time; what asks for a decision comes first.
const SHOWN: usize = 60;

/// What stands below the tree while something is uploaded or waits for an answer.
#[component]
pub fn UploadPanel(ide: Ide) -> impl IntoView {
    let desk = ide.files.uploads;
    let sum = Memo::new(move |_| desk.items.with(|items| totals(items)));
    let folded = RwSignal::new(false);
    // The id of the file that is to be chosen again.
    let wanted = StoredValue::new(None::<u64>);
    let picker = NodeRef::<html::Input>::new();
    let chosen = move |_| {
        let Some(input) = picker.get_untracked() else { return };
        if let (Some(id), Some(file)) = (wanted.get_value(), input.files().and_then(|files| files.item(0))) {
            uploads::choose_again(ide, id, file);
        }
        input.set_value("");
    };
    let choose = move |id: u64| {
        wanted.set_value(Some(id));
        if let Some(input) = picker.get_untracked() {
            input.click();
        }
    };
    let listed = Memo::new(move |_| {
        desk.items.with(|items| {
            let mut order: Vec<(u8, u64)> =
                items.iter().filter(|item| !matches!(item.state, State::Saved(_))).map(|item| (item.rank(), item.id)).collect();
            order.sort_unstable();
            order.into_iter().take(SHOWN).map(|(_, id)| id).collect::<Vec<_>>()
        })
    });
    let hidden = move || sum.with(|sum| sum.files - sum.saved).saturating_sub(listed.with(Vec::len));
    view! {
        <input type="file" hidden aria-label="File to go on with" node_ref=picker on:change=chosen />
        <Show when=move || sum.with(|sum| sum.files > 0) || desk.notes.with(|notes| !notes.is_empty())>
            <section class="uploads" aria-label="Uploads">
                <UploadHead ide=ide sum=sum folded=folded />
                <Show when=move || !folded.get()>
                    <Notes ide=ide />
                    <ForAll ide=ide sum=sum />
                    <ul class="upload-list">
                        <For each=move || listed.get() key=|id| *id let:id>
                            <UploadRow ide=ide id=id choose=Callback::new(choose) />
                        </For>
                    </ul>
                    <Show when=move || hidden() != 0>
                        <p class="t3 fs12">{move || format!("and {} more", format::count(hidden() as i64))}</p>
                    </Show>
                </Show>
            </section>
        </Show>
    }
}

fn sum_text(sum: &Totals) -> String {
    let files = if sum.files == 1 {
        "1 file".to_owned()
    } else {
        format!("{} of {} files", format::count(sum.saved as i64), format::count(sum.files as i64))
    };
    format!("{files}, {} of {}", format::bytes(sum.sent as i64), format::bytes(sum.bytes as i64))
}

fn percent(sent: f64, size: f64) -> f64 {
    if size > 0.0 { (sent / size * 100.0).clamp(0.0, 100.0) } else { 0.0 }
}

#[component]
fn UploadHead(ide: Ide, sum: Memo<Totals>, folded: RwSignal<bool>) -> impl IntoView {
    let desk = ide.files.uploads;
    let runs = move || sum.with(|sum| sum.under_way > 0) && !desk.paused.get();
    let can_resume = move || !runs() && sum.with(|sum| sum.paused + sum.under_way > 0);
    let all = move || sum.with(|sum| percent(sum.sent, sum.bytes));
    view! {
        <div class="row">
            <IconButton
                icon="chevron-down"
                label=Signal::derive(move || if folded.get() { "Show the uploads".to_owned() } else { "Fold the uploads".to_owned() })
                small=true
                pressed=MaybeProp::derive(move || Some(folded.get()))
                on_click=move |_| folded.update(|folded| *folded = !*folded)
            />
            <b class="fs12 grow">{move || if desk.paused.get() { "Uploads, paused" } else { "Uploads" }}</b>
            <Show when=runs>
                <IconButton icon="circle-pause" label="Pause all" small=true on_click=move |_| uploads::pause_all(ide) />
            </Show>
            <Show when=can_resume>
                <IconButton icon="play" label="Go on with all" small=true on_click=move |_| uploads::resume_all(ide) />
            </Show>
            <Show when=move || sum.with(|sum| sum.files > sum.saved + sum.failed)>
                <IconButton icon="x" label="Cancel all" small=true on_click=move |_| uploads::cancel_all(ide) />
            </Show>
            <Show when=move || sum.with(|sum| sum.files == sum.saved + sum.failed)>
                <IconButton icon="x" label="Dismiss" small=true on_click=move |_| uploads::clear(ide) />
            </Show>
        </div>
        <Show when=move || sum.with(|sum| sum.files > 0)>
            <div class="row fs12 t2">
                <span class="grow">{move || sum.with(sum_text)}</span>
                <span class="num">{move || format!("{:.0}%", all())}</span>
            </div>
            <span
                class="meter"
                role="progressbar"
                aria-label="All uploads"
                aria-valuemin="0"
                aria-valuemax="100"
                aria-valuenow=move || format!("{:.0}", all())
            >
                <i style:width=move || format!("{:.1}%", all())></i>
            </span>
        </Show>
    }
}

/// What was left out or could not be read.
#[component]
fn Notes(ide: Ide) -> impl IntoView {
    let notes = ide.files.uploads.notes;
    move || {
        let lines = notes.get();
        (!lines.is_empty()).then(|| {
            let shown = lines.into_iter().take(20).map(|line| view! { <li>{line}</li> }).collect_view();
            view! {
                <div class="row upload-notes" role="status">
                    <ul class="grow fs12 t2">{shown}</ul>
                    <IconButton icon="x" label="Dismiss the notes" small=true on_click=move |_| notes.set(Vec::new()) />
                </div>
            }
        })
    }
}

/// One answer for many questions of the same kind.
#[component]
fn ForAll(ide: Ide, sum: Memo<Totals>) -> impl IntoView {
    let asking = move || sum.with(|sum| sum.asking);
    let failed = move || sum.with(|sum| sum.failed);
    let many = move |count: usize| count > 1;
    view! {
        <Show when=move || many(asking())>
            <div class="upload-all" role="group" aria-label="For all files that exist already">
                <span class="fs12 grow">{move || format!("{} exist already", format::count(asking() as i64))}</span>
                <Button size=ButtonSize::Small on_click=move |_| uploads::decide_all(ide, Clash::Replace)>"Replace all"</Button>
                <Button size=ButtonSize::Small on_click=move |_| uploads::decide_all(ide, Clash::KeepBoth)>"Keep both"</Button>
                <Button size=ButtonSize::Small on_click=move |_| uploads::decide_all(ide, Clash::Skip)>"Skip all"</Button>
            </div>
        </Show>
        <Show when=move || many(failed())>
            <div class="upload-all">
                <span class="fs12 grow">{move || format!("{} were not uploaded", format::count(failed() as i64))}</span>
                <Button size=ButtonSize::Small on_click=move |_| uploads::retry_failed(ide)>"Try all again"</Button>
            </div>
        </Show>
    }
}

#[component]
fn UploadRow(ide: Ide, id: u64, choose: Callback<u64>) -> impl IntoView {
    let desk = ide.files.uploads;
    let find = move |items: &Vec<Item>| items.binary_search_by_key(&id, |item| item.id).ok().map(|at| items[at].clone());
    let item = Memo::new(move |_| desk.items.with(find));
    // Progress alone must not make the row anew: its buttons would lose the focus.
    let state = Memo::new(move |_| item.with(|item| item.as_ref().map(|item| (item.path.clone(), item.state.clone()))));
    let progress = Memo::new(move |_| item.with(|item| item.as_ref().map_or((0.0, 0.0), |item| (item.sent, item.size))));
    let shape = Memo::new(move |_| state.with(|state| state.as_ref().map(|(_, state)| shape_of(state))));
    let body = move |_| move || state.get().map(|(path, state)| row(ide, id, path, state, progress, choose));
    view! {
        <li class="upload-row">
            // Made anew for another shape: what is changed into something else keeps the handlers of its buttons.
            <For each=move || shape.get() key=|shape| *shape children=body />
        </li>
    }
}

/// States with the same buttons have the same shape.
fn shape_of(state: &State) -> u8 {
    match state {
        State::Failed(_) => 0,
        State::Exists(_) => 1,
        State::Missing(_) => 2,
        State::Saved(_) => 3,
        State::Waiting | State::Sending | State::Paused | State::Lost(_) => 4,
    }
}

fn row(ide: Ide, id: u64, path: String, state: State, progress: Memo<(f64, f64)>, choose: Callback<u64>) -> impl IntoView {
    let shown = path.clone();
    view! {
        <span class="upload-path" title=path.clone()>{shown}</span>
        {row_body(ide, id, path, state, progress, choose)}
    }
}

fn row_body(ide: Ide, id: u64, path: String, state: State, progress: Memo<(f64, f64)>, choose: Callback<u64>) -> AnyView {
    let cancel = {
        let label = format!("Cancel {path}");
        move || view! { <IconButton icon="x" label=label.clone() small=true on_click=move |_| uploads::cancel(ide, id) /> }
    };
    match state {
        State::Failed(reason) => view! {
            <span class="c-bad fs12 upload-words" role="alert">{reason}</span>
            <div class="upload-acts">
                <Button size=ButtonSize::Small on_click=move |_| uploads::resume(ide, id)>"Try again"</Button>
                {cancel()}
            </div>
        }
        .into_any(),
        State::Exists(current) => view! {
            <span class="t2 fs12 upload-words">"Exists already"</span>
            <div class="upload-acts" role="group" aria-label=format!("{path} exists already")>
                {can_replace(current.as_deref())
                    .then(|| view! { <Button size=ButtonSize::Small on_click=move |_| uploads::decide(ide, id, Clash::Replace)>"Replace"</Button> })}
                <Button size=ButtonSize::Small on_click=move |_| uploads::decide(ide, id, Clash::KeepBoth)>"Keep both"</Button>
                <Button size=ButtonSize::Small on_click=move |_| uploads::decide(ide, id, Clash::Skip)>"Skip"</Button>
            </div>
        }
        .into_any(),
        State::Missing(wrong) => view! {
            <span class="t2 fs12 upload-words">
                {move || {
                    let (sent, size) = progress.get();
                    format!("{} of {} are there. Choose the file again to go on.", format::bytes(sent as i64), format::bytes(size as i64))
                }}
                {wrong.map(|wrong| view! { <span class="c-bad" role="alert">" " {wrong}</span> })}
            </span>
            <div class="upload-acts">
                <Button size=ButtonSize::Small on_click=move |_| choose.run(id)>"Choose the file"</Button>
                {cancel()}
            </div>
        }
        .into_any(),
        State::Saved(_) => ().into_any(),
        under_way => {
            let paused = ide.files.uploads.paused;
            let is_paused = matches!(under_way, State::Paused);
            // One button for both, so that it keeps the focus.
            let (icon, label) = if is_paused { ("play", format!("Go on with {path}")) } else { ("circle-pause", format!("Pause {path}")) };
            let word = match under_way {
                State::Paused => "Paused, ",
                State::Waiting => "Waits, ",
                State::Lost(_) => "Connection lost, goes on by itself, ",
                _ => "",
            };
            let lost = matches!(under_way, State::Lost(_));
            let text = move || {
                let (sent, size) = progress.get();
                let word = if paused.get() && word == "Waits, " { "Paused, " } else { word };
                format!("{word}{} of {}", format::bytes(sent as i64), format::bytes(size as i64))
            };
            let part = move || progress.with(|(sent, size)| percent(*sent, *size));
            view! {
                <span class="fs12 t2 upload-words">
                    {lost.then(|| view! { <Icon name="cloud-off" small=true /> })}
                    {text}
                </span>
                <div class="upload-acts">
                    <IconButton icon=icon label=label small=true on_click=move |_| uploads::pause_or_go_on(ide, id) />
                    {cancel()}
                </div>
                <span class="meter" role="progressbar" aria-label=path aria-valuemin="0" aria-valuemax="100" aria-valuenow=move || format!("{:.0}", part())>
                    <i style:width=move || format!("{:.1}%", part())></i>
                </span>
            }
            .into_any()
        }
    }
}
