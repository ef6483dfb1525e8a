//! One run: command, state and facts in its head, output below.

use leptos::{ev, prelude::*, task::spawn_local};
use wire::{
    Micros, RunId,
    runs::{ExitKind, Run, RunKind, RunNetwork, RunState},
};

use super::{
    clipboard,
    commands::Command,
    ide::use_ide,
    run_chart::RunChart,
    run_egress::RunEgress,
    run_feed::RunFeed,
    run_files::RunFiles,
    run_output::{RunOutput, Screen, Tail},
    run_search::RunSearch,
    test_desk,
};
use crate::{
    api,
    ui::{Badge, BadgeKind, Button, ButtonKind, ButtonSize, Dialog, Icon, IconButton, RelativeTime, format},
};

/// Lines of the output that go along with a question.
const ASKED_LINES: usize = 40;

/// Kind, icon and words of the badge. `now` is only needed while it runs.
fn badge(run: &Run, now: Micros) -> (BadgeKind, &'static str, String) {
    let exit = run.exit.as_ref();
    match run.state {
        RunState::Queued => (BadgeKind::Neutral, "clock", "Queued".to_owned()),
        RunState::Running => {
            let seconds = run.started_at.map_or(0, |started| now.millis_since(started) / 1000);
            (BadgeKind::Running, "loader-circle", format!("Running {}:{:02}", seconds / 60, seconds % 60))
        }
        RunState::Succeeded if run.is_prompt() => (BadgeKind::Ok, "check", "Done".to_owned()),
        RunState::Succeeded => (BadgeKind::Ok, "check", format!("Exit {}", exit.and_then(|exit| exit.code).unwrap_or(0))),
        RunState::TimedOut => (BadgeKind::Bad, "timer-off", format!("Timed out, {} s", run.limits.wall_s)),
        RunState::Cancelled => (BadgeKind::Neutral, "square", format!("Stopped, {} left", exit.map_or(0, |exit| exit.left_alive))),
        RunState::Lost => (BadgeKind::Warning, "unplug", "Lost".to_owned()),
        RunState::Failed => (BadgeKind::Bad, "circle-x", failed_word(run)),
    }
}

fn failed_word(run: &Run) -> String {
    let Some(exit) = &run.exit else { return "Failed".to_owned() };
    match exit.kind {
        ExitKind::Exited => format!("Exit {}", exit.code.unwrap_or(1)),
        ExitKind::Signalled => exit.signal.map_or_else(|| "Ended by a signal".to_owned(), |signal| format!("Signal {signal}")),
        ExitKind::OutOfMemory => "Out of memory".to_owned(),
        ExitKind::OutputLimit => "Too much output".to_owned(),
        ExitKind::DiskLimit => "Disk limit".to_owned(),
        ExitKind::PidsLimit => "Too many processes".to_owned(),
        ExitKind::Refused if run.is_prompt() => "Ended early".to_owned(),
        ExitKind::Refused => "Not started".to_owned(),
        ExitKind::TimedOut | ExitKind::Cancelled | ExitKind::Lost => "Failed".to_owned(),
    }
}

/// A failure is worth asking about; what a person stopped is not.
fn has_failed(run: &Run) -> bool {
    matches!(run.state, RunState::Failed | RunState::TimedOut)
}

/// A run of the list; open it follows the output.
#[component]
pub fn RunBlock(id: RunId, now: RwSignal<Micros>, #[prop(into)] open: Signal<bool>, on_toggle: Callback<()>) -> impl IntoView {
    let ide = use_ide();
    let run = Memo::new(move |_| ide.runs.with(|runs| runs.iter().find(|run| run.id == id).cloned()));
    let parts = Parts::default();
    let stopping = RwSignal::new(false);
    let finished = Memo::new(move |_| run.with(|run| run.as_ref().is_none_or(|run| run.state.is_finished())));
    let command = Memo::new(move |_| run.with(|run| run.as_ref().map(title).unwrap_or_default()));
    let state = Memo::new(move |_| {
        run.with(|run| {
            let run = run.as_ref()?;
            let at = if run.state.is_finished() { run.created_at } else { now.get() };
            Some(badge(run, at))
        })
    });
    let label = move || state.with(|state| state.as_ref().map(|(_, _, word)| format!("{}, {word}", command.get())));
    let stop = move |_| {
        stopping.set(true);
        spawn_local(async move {
            match api::runs::cancel(id).await {
                Ok(run) => ide.put_run(run),
                Err(error) => ide.error(&error.0),
            }
            stopping.try_set(false);
        });
    };
    let again = move |_| {
        if let Some(run) = run.get_untracked() {
            ide.run_again(&run);
        }
    };
    Effect::new(move |before: Option<bool>| {
        let done = finished.get();
        if before == Some(false) && done {
            let sentence = run.with_untracked(|run| run.as_ref().map(|run| badge(run, run.created_at).2.to_lowercase()));
            ide.announcement.set(format!("Run ended: {}.", sentence.unwrap_or_default()));
        }
        done
    });
    let on_keydown = move |event: ev::KeyboardEvent| {
        let control = event.ctrl_key() || event.meta_key();
        if control && !event.shift_key() && !event.alt_key() && event.key().eq_ignore_ascii_case("f") && open.get_untracked() {
            event.prevent_default();
            event.stop_propagation();
            parts.open_search();
        }
    };
    view! {
        <article class="run" aria-label=label on:keydown=on_keydown>
            <div class="run-head">
                <button
                    type="button"
                    class="run-fold"
                    aria-expanded=move || if open.get() { "true" } else { "false" }
                    title=move || command.get()
                    on:click=move |_| on_toggle.run(())
                >
                    {move || view! { <Icon name=if open.get() { "chevron-down" } else { "chevron-right" } small=true /> }}
                    <code class="clip">{move || first_line(&command.get())}</code>
                </button>
                {move || state.get().map(|(kind, icon, word)| view! { <Badge kind=kind icon=icon>{word}</Badge> })}
                <Facts run=run feed=parts.feed />
                <Show
                    when=move || finished.get()
                    fallback=move || {
                        view! {
                            <Button size=ButtonSize::Small icon="square" busy=stopping on_click=stop>
                                {move || if stopping.get() { "Stopping" } else { "Stop" }}
                                {move || Some(Command::StopRun.shown_keys(ide).get()).filter(|keys| !keys.is_empty()).map(|keys| view! { <kbd>{keys}</kbd> })}
                            </Button>
                        }
                    }
                >
                    {move || run.with(|run| run.as_ref().map(|run| view! { <RelativeTime at=run.created_at class="t3 fs12 nowrap desk" /> }))}
                    <IconButton icon="rotate-cw" label="Run again" small=true disabled=Signal::derive(move || !ide.can_edit()) on_click=again />
                </Show>
            </div>
            <Show when=move || open.get()>
                <Opened id=id run=run parts=parts />
            </Show>
        </article>
    }
}

/// What the head and the open part of a run share.
#[derive(Debug, Clone, Copy, Default)]
struct Parts {
    tail: Tail,
    feed: RunFeed,
    screen: Screen,
    searching: Searching,
}

/// Whether the search bar is there.
#[derive(Debug, Clone, Copy)]
struct Searching(RwSignal<bool>);

impl Default for Searching {
    fn default() -> Self {
        Self(RwSignal::new(false))
    }
}

impl Parts {
    /// Opens the search; an open one gets the focus again.
    fn open_search(self) {
        self.searching.0.set(false);
        self.searching.0.set(true);
    }
}

/// What a run is called: its command, or what it does where that is not typed.
fn title(run: &Run) -> String {
    match (run.kind, run.command.trim()) {
        (RunKind::TestRunner, "") if run.only.is_empty() => "Tests".to_owned(),
        (RunKind::TestRunner, "") => format!("Tests, {}", format::counted(run.only.len() as i64, "case", "cases")),
        _ => run.command.clone(),
    }
}

fn first_line(command: &str) -> String {
    let mut lines = command.lines();
    let first = lines.next().unwrap_or_default().to_owned();
    if lines.next().is_some() { format!("{first} …") } else { first }
}

/// What it used and may reach, beside its command; while it runs, as last measured.
#[component]
fn Facts(run: Memo<Option<Run>>, feed: RunFeed) -> impl IntoView {
    let used = Memo::new(move |_| {
        run.with(|run| {
            let run = run.as_ref()?;
            match run.usage {
                Some(usage) => Some((Some(usage.wall_ms), usage.cpu_ms, usage.peak_memory_bytes)),
                None => feed.samples.with(|samples| samples.last().map(|last| (None, last.cpu_ms, samples.peak_memory()))),
            }
        })
    });
    let fact = |name: &'static str, value: String| view! { <span class="wide">{name}<b>{value}</b></span> };
    let figures = move || {
        used.get().map(|(wall, cpu, peak)| {
            view! {
                {wall.map(|wall| view! { <span><b>{format::duration_ms(wall)}</b></span> })}
                {fact("CPU ", format::duration_ms(cpu))}
                {peak.map(|peak| fact("Peak ", format::bytes(peak)))}
            }
        })
    };
    let rest = move || {
        run.with(|run| {
            let run = run.as_ref()?;
            let (icon, network) = match run.network {
                RunNetwork::None => ("shield-check", "No network"),
                RunNetwork::AllowList => ("link", "Allowed hosts only"),
            };
            let changed = (run.state.is_finished() && !run.is_prompt())
                .then(|| format!("{} changed", format::counted(run.changes.len() as i64, "file", "files")));
            let tier = run.tier.clone();
            Some(view! {
                <span>
                    <Icon name=icon small=true />
                    {network}
                </span>
                {tier.map(|tier| view! { <span title=format!("Sandbox tier {tier}")>{tier.clone()}</span> })}
                {changed.map(|text| view! { <span class="wide">{text}</span> })}
                {run.turn_id.is_some().then(|| view! { <span class="wide">"by the agent"</span> })}
            })
        })
    };
    view! { <span class="facts grow">{figures} {rest}</span> }
}

/// What stands below the head of an open run.
#[component]
fn Opened(id: RunId, run: Memo<Option<Run>>, parts: Parts) -> impl IntoView {
    let Parts { tail, feed, screen, searching: Searching(searching) } = parts;
    let label = run.with_untracked(|run| run.as_ref().map(|run| format!("Output of {}", title(run))).unwrap_or_default());
    let memory = Signal::derive(move || run.with(|run| run.as_ref().map_or(0, |run| run.limits.memory_bytes)));
    let running = Signal::derive(move || run.with(|run| run.as_ref().is_some_and(|run| !run.state.is_finished())));
    on_cleanup(move || {
        searching.try_set(false);
    });
    view! {
        <RunChart samples=feed.samples memory_limit=memory running=running />
        <Show when=move || { feed.dropped.get() > 0 }>
            <p class="run-note">
                <Icon name="triangle-alert" small=true />
                <span>
                    {move || format!("{} not shown: ", format::bytes(feed.dropped.get()))}
                    <a href=output_url(id) download=output_name(id) rel="external">
                        "download all of it"
                    </a>
                </span>
            </p>
        </Show>
        <Show when=move || searching.get()>
            <RunSearch screen=screen open=searching />
        </Show>
        <RunOutput id=id label=label tail=tail feed=feed screen=screen />
        <For each=move || feed.notes.get() key=String::clone let:text>
            <p class="run-note">
                <Icon name="circle-alert" small=true />
                <span>{text}</span>
            </p>
        </For>
        <RunEgress id=id feed=feed />
        <Footer id=id run=run parts=parts />
        <RunFiles run=run />
    }
}

fn output_url(id: RunId) -> String {
    format!("/api/runs/{id}/output")
}

fn output_name(id: RunId) -> String {
    format!("run-{id}.txt")
}

/// How it ended, and what can be done with the output.
#[component]
fn Footer(id: RunId, run: Memo<Option<Run>>, parts: Parts) -> impl IntoView {
    let ide = use_ide();
    let sentence = move || {
        run.with(|run| run.as_ref().and_then(|run| run.exit.as_ref()).map(|exit| exit.sentence.clone())).filter(|text| !text.is_empty())
    };
    let failed = move || run.with(|run| run.as_ref().is_some_and(has_failed));
    let has_tests = move || run.with(|run| run.as_ref().is_some_and(|run| run.kind == RunKind::TestRunner && run.tests.is_some()));
    // What a prompt led to is decided in its review.
    let proposed =
        Memo::new(move |_| run.with(|run| run.as_ref().and_then(|run| run.codegen_turn.filter(|_| run.change_set_id.is_some()))));
    let review = move |_| {
        if let Some(turn) = proposed.get_untracked() {
            ide.open_review(turn);
        }
    };
    let ask = move |_| {
        run.with_untracked(|run| {
            if let Some(run) = run {
                ide.ask_agent(question(run, &parts.tail.text(ASKED_LINES)));
            }
        });
    };
    let copy = move |_| {
        spawn_local(async move {
            match fetch_text(&output_url(id)).await {
                Some(text) => clipboard::copy(super::run_output::plain_text(&text), "output", ide.toasts),
                None => ide.toast("The output could not be read; try again when the connection is back"),
            }
        });
    };
    view! {
        <div class="run-foot">
            {move || sentence().map(|text| view! { <span class="t2 fs12">{text}</span> })}
            <span class="grow"></span>
            <Show when=move || proposed.with(Option::is_some)>
                <Button size=ButtonSize::Small icon="git-compare" on_click=review>
                    "Review the changes"
                </Button>
            </Show>
            <Show when=has_tests>
                <Button size=ButtonSize::Small icon="flask-conical" on_click=move |_| test_desk::show_report(ide, id)>
                    "Show the tests"
                </Button>
            </Show>
            <Show when=failed>
                <Button size=ButtonSize::Small icon="sparkles" on_click=ask>
                    "Ask the agent about this"
                </Button>
            </Show>
            <IconButton icon="search" label="Search in the output" key="Ctrl F" small=true on_click=move |_| parts.open_search() />
            <IconButton icon="clipboard" label="Copy the output" small=true on_click=copy />
            <a
                class="ib ib--s"
                href=output_url(id)
                download=output_name(id)
                aria-label="Download the output"
                title="Download the output"
                rel="external"
            >
                <Icon name="download" small=true />
            </a>
            <Show when=move || run.with(|run| run.as_ref().is_some_and(|run| run.state.is_finished())) && ide.can_edit()>
                <DeleteRun id=id />
            </Show>
        </div>
    }
}

/// Deleting is for everyone and for good, so it asks first.
#[component]
fn DeleteRun(id: RunId) -> impl IntoView {
    let ide = use_ide();
    let open = RwSignal::new(false);
    let deleting = RwSignal::new(false);
    let delete = move |_| {
        deleting.set(true);
        spawn_local(async move {
            match api::runs::delete(id).await {
                _ if ide.is_gone() => {}
                Ok(()) => {
                    ide.runs.update(|runs| runs.retain(|run| run.id != id));
                    ide.toast("Deleted the run");
                }
                Err(error) => {
                    open.try_set(false);
                    ide.error(&error.0);
                }
            }
            deleting.try_set(false);
        });
    };
    view! {
        <IconButton icon="trash-2" label="Delete this run" small=true on_click=move |_| open.set(true) />
        <Dialog open=open title="Delete this run?" locked=deleting>
            <p>"Its output and what its tests found are deleted for everyone in the project. Files that it changed stay as they are."</p>
            <div class="row end">
                <Button attr:autofocus=true on_click=move |_| open.set(false)>
                    "Keep it"
                </Button>
                <Button kind=ButtonKind::Danger icon="trash-2" busy=deleting disabled=deleting on_click=delete>
                    "Delete the run"
                </Button>
            </div>
        </Dialog>
    }
}

async fn fetch_text(url: &str) -> Option<String> {
    let response = gloo_net::http::Request::get(url).send().await.ok()?;
    if !response.ok() {
        return None;
    }
    response.text().await.ok()
}

/// The text that "Ask the agent about this" puts into the composer.
fn question(run: &Run, output: &str) -> String {
    let how = run.exit.as_ref().map(|exit| exit.sentence.as_str()).filter(|text| !text.is_empty()).unwrap_or("It failed.");
    let mut fence = "```".to_owned();
    while output.contains(&fence) {
        fence.push('`');
    }
    let what = if run.is_prompt() { "This prompt" } else { "This command" };
    let mut text = format!("{what} failed:\n\n{fence}\n{}\n{fence}\n\n{how}\n", title(run));
    if !output.trim().is_empty() {
        text.push_str(&format!("\nThe end of its output:\n\n{fence}\n{output}\n{fence}\n"));
    }
    text.push_str("\nFind the cause and fix it.");
    text
}

#[cfg(test)]
mod tests {
    use wire::{
        runs::{Exit, RunLimits},
        users::UserRef,
    };

    use super::*;

    fn run(state: RunState, exit: Option<Exit>) -> Run {
        let id = "00000000000000000000000000000001";
        Run {
            id: id.parse().unwrap(),
            project_id: id.parse().unwrap(),
            kind: RunKind::SandboxExec,
            command: "pytest -q".into(),
            cwd: String::new(),
            state,
            exit,
            tier: None,
            limits: RunLimits { wall_s: 60, ..RunLimits::default() },
            network: RunNetwork::None,
            ports: Vec::new(),
            tests: None,
            env_names: Vec::new(),
            only: Vec::new(),
            usage: None,
            changes: Vec::new(),
            turn_id: None,
            change_set_id: None,
            codegen_turn: None,
            started_by: UserRef { id: id.parse().unwrap(), name: "Mara".into() },
            created_at: Micros(0),
            started_at: Some(Micros(0)),
            finished_at: None,
        }
    }

    fn exit(kind: ExitKind, code: Option<i32>) -> Option<Exit> {
        Some(Exit { kind, code, signal: None, sentence: "It said no.".into(), left_alive: 0 })
    }

    #[test]
    fn badges_name_the_end() {
        let word = |state, exit| badge(&run(state, exit), Micros(67 * Micros::SECOND)).2;
        assert_eq!(word(RunState::Running, None), "Running 1:07");
        assert_eq!(word(RunState::Failed, exit(ExitKind::Exited, Some(3))), "Exit 3");
        assert_eq!(word(RunState::Failed, exit(ExitKind::OutOfMemory, None)), "Out of memory");
        assert_eq!(word(RunState::Cancelled, exit(ExitKind::Cancelled, None)), "Stopped, 0 left");
        assert_eq!(word(RunState::TimedOut, exit(ExitKind::TimedOut, None)), "Timed out, 60 s");
    }

    #[test]
    fn a_question_carries_command_reason_and_output() {
        let text = question(&run(RunState::Failed, exit(ExitKind::Exited, Some(1))), "a ``` b");
        assert!(text.contains("pytest -q") && text.contains("It said no.") && text.contains("````\na ``` b\n````"), "{text}");
    }
}
