//! The dialog of a codegen run: the prompt, then how far it is, then the review of what it proposes.

use leptos::{prelude::*, task::spawn_local};
use wire::{
    RunId, TurnId,
    event::Stream,
    runs::{Run, RunState},
};

use super::{
    chat_state::{self, ToolState, TurnView},
    generate_form::GenerateForm,
    ide::{Ide, use_ide},
};
use crate::{
    api,
    ui::{Button, ButtonKind, Dialog, Icon, format},
};

/// Characters of the answer's end that are shown while it is written.
const TAIL_CHARS: usize = 240;

/// Opened by `ide.generating`; closing it leaves the run at work.
#[component]
pub fn GenerateDialog() -> impl IntoView {
    let ide = use_ide();
    let state = ide.generating;
    follow_end(ide);
    let title =
        Signal::derive(
            move || {
                if state.run.with(Option::is_some) { "Generating changes".to_owned() } else { "Generate changes".to_owned() }
            },
        );
    view! {
        <Dialog open=state.open title=title>
            {move || match state.run.get() {
                None => view! { <GenerateForm ide=ide /> }.into_any(),
                Some(id) => view! { <AtWork ide=ide id=id /> }.into_any(),
            }}
        </Dialog>
    }
    .into_any()
}

/// What is known of the run that matters for its end: whether it has one, and the turn whose changes can be reviewed.
type Known = Option<(RunId, bool, Option<TurnId>)>;

fn known(runs: &[Run], id: RunId) -> Known {
    let run = runs.iter().find(|run| run.id == id)?;
    Some((id, run.state.is_finished(), run.codegen_turn.filter(|_| run.change_set_id.is_some())))
}

/// Opens the review when the run ends while the dialog is open, and else says that there is one.
fn follow_end(ide: Ide) {
    let state = ide.generating;
    let now = Memo::new(move |_| state.run.get().and_then(|id| ide.runs.with(|runs| known(runs, id))));
    Effect::new(move |before: Option<Known>| {
        let now = now.get();
        let Some((id, true, review)) = now else { return now };
        let was_known = before.flatten().is_some_and(|(known, has_ended, _)| known == id && has_ended);
        if !was_known {
            ended(ide, id, review);
        }
        now
    });
}

fn ended(ide: Ide, id: RunId, review: Option<TurnId>) {
    let state = ide.generating;
    let is_open = state.open.get_untracked();
    let Some(turn) = review else {
        // An open dialog says it itself.
        if !is_open {
            state.run.set(None);
            ide.toast("The prompt was answered without any change. Its run says why");
            ide.selected_run.set(Some(id));
        }
        return;
    };
    state.run.set(None);
    state.prompt.set(String::new());
    if is_open {
        state.open.set(false);
        ide.open_review(turn);
        return;
    }
    ide.toasts.show_with_action("The changes that you asked for wait for review", "Review", move || {
        // The page may have been left meanwhile.
        if !ide.is_gone() {
            ide.open_review(turn);
        }
    });
}

/// Calls so far, and the one that goes on, in a few words.
fn words(run: Option<&Run>, view: &TurnView) -> String {
    match run.map(|run| run.state) {
        Some(RunState::Queued) => return "Waits for its turn".to_owned(),
        Some(state) if state.is_finished() => return "Ended".to_owned(),
        _ => {}
    }
    let tools = view.steps.iter().flat_map(|step| &step.tools);
    if let Some(tool) = tools.clone().rfind(|tool| tool.state == ToolState::Running) {
        return format!("Step {}: {}", view.steps.len(), tool.name);
    }
    match (view.steps.len(), tools.count()) {
        (0, _) => "Reads the project".to_owned(),
        (steps, 0) => format!("Step {steps}"),
        (steps, calls) => format!("Step {steps}, after {}", format::counted(calls as i64, "call of a tool", "calls of tools")),
    }
}

fn tail(text: &str) -> String {
    let chars = text.trim().chars().count();
    if chars <= TAIL_CHARS {
        return text.trim().to_owned();
    }
    format!("…{}", text.trim().chars().skip(chars - TAIL_CHARS).collect::<String>())
}

#[component]
fn AtWork(ide: Ide, id: RunId) -> impl IntoView {
    let state = ide.generating;
    let run = Memo::new(move |_| ide.runs.with(|runs| runs.iter().find(|run| run.id == id).cloned()));
    let turn = Memo::new(move |_| run.with(|run| run.as_ref().and_then(|run| run.codegen_turn)));
    let has_ended = Memo::new(move |_| run.with(|run| run.as_ref().is_none_or(|run| run.state.is_finished())));
    let view = RwSignal::new(TurnView::default());
    let stopping = RwSignal::new(false);
    Effect::new(move |_| {
        let Some(turn) = turn.get() else { return };
        view.set(TurnView::default());
        ide.live
            .follow(Stream::Turn(turn), 0, move |event| {
                let _ = view.try_update(|view| chat_state::apply(view, event.at, &event.kind));
            })
            .until_cleanup();
    });
    let prompt = run.with_untracked(|run| run.as_ref().map(|run| tail(&run.command)).unwrap_or_default());
    let status = move || run.with(|run| view.with(|view| words(run.as_ref(), view)));
    let said = move || view.with(|view| view.steps.iter().rev().map(|step| tail(&step.text)).find(|text| !text.is_empty()));
    let used = move || {
        let usage = view.with(|view| view.usage);
        (usage.input + usage.output > 0)
            .then(|| format!("{} tokens in, {} out so far", format::count(usage.input), format::count(usage.output)))
    };
    let sentence = move || run.with(|run| run.as_ref().and_then(|run| run.exit.as_ref()).map(|exit| exit.sentence.clone()));
    let stop = move |_| {
        stopping.set(true);
        spawn_local(async move {
            match api::runs::cancel(id).await {
                _ if ide.is_gone() => {}
                Ok(run) => ide.put_run(run),
                Err(error) => ide.error(&error.0),
            }
            stopping.try_set(false);
        });
    };
    let show_run = move |_| {
        state.open.set(false);
        if has_ended.get_untracked() {
            state.run.set(None);
        }
        ide.show_run(id);
    };
    let again = move |_| state.run.set(None);
    view! {
        <div class="stack">
            <blockquote class="t2 generate-prompt">{prompt}</blockquote>
            <Show when=move || !has_ended.get() fallback=move || sentence().map(|text| view! { <p role="status">{text}</p> })>
                <p class="row g-1" role="status">
                    <Icon name="loader-circle" small=true class="spin" />
                    <span>{status}</span>
                </p>
                {move || said().map(|text| view! { <p class="t2 fs12 generate-said">{text}</p> })}
                {move || used().map(|text| view! { <p class="t3 fs12">{text}</p> })}
            </Show>
            <div class="acts end">
                <Button on_click=show_run>"Show the run"</Button>
                <Show
                    when=move || has_ended.get()
                    fallback=move || {
                        view! {
                            <Button kind=ButtonKind::Danger icon="square" busy=stopping on_click=stop>
                                {move || if stopping.get() { "Stopping" } else { "Stop" }}
                            </Button>
                        }
                    }
                >
                    <Button kind=ButtonKind::Primary on_click=again>"Change the prompt"</Button>
                </Show>
            </div>
        </div>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use wire::{Micros, event::EventKind};

    use super::*;

    #[test]
    fn progress_is_a_few_words() {
        let mut view = TurnView::default();
        assert_eq!(words(None, &view), "Reads the project");
        let call = EventKind::ToolCalled { call_id: "a".into(), name: "read_file".into(), arguments: "{}".into() };
        chat_state::apply(&mut view, Micros(0), &call);
        assert_eq!(words(None, &view), "Step 1: read_file");
        let finished = EventKind::ToolFinished { call_id: "a".into(), ok: true, summary: String::new() };
        chat_state::apply(&mut view, Micros(1), &finished);
        assert_eq!(words(None, &view), "Step 1, after 1 call of a tool");
        chat_state::apply(&mut view, Micros(2), &EventKind::TextDelta { text: "Well".into() });
        assert_eq!(words(None, &view), "Step 2, after 1 call of a tool");
    }

    #[test]
    fn only_the_end_of_a_long_answer_is_shown() {
        assert_eq!(tail(" short "), "short");
        let long = tail(&"x".repeat(500));
        assert_eq!((long.chars().count(), long.starts_with('…')), (TAIL_CHARS + 1, true));
    }
}
