//! The Tests tab: what the newest test run found, and the ways to run it again.

use std::{collections::BTreeMap, sync::Arc};

use leptos::prelude::*;
use wire::{
    Micros,
    runs::{ExitKind, Run, RunState},
    test_reports::{CaseState, TestCase, TestReport},
};

use super::{
    commands::Command,
    ide::{ConsoleTab, Ide, use_ide},
    test_desk::{self, framework_name},
    test_detail::TestDetail,
    test_model::{self, Row, TestIndex, Wish},
    test_settings::TestSettingsDialog,
    test_tree::TestTree,
};
use crate::ui::{Badge, BadgeKind, Button, ButtonKind, ButtonSize, Icon, IconButton, SearchField, Skeleton, format, storage};

/// What the tree and the detail share.
#[derive(Clone, Copy)]
pub struct TestView {
    pub ide: Ide,
    pub report: Memo<Option<Arc<TestReport>>>,
    pub rows: Memo<Vec<Row>>,
    pub wish: RwSignal<Wish>,
    /// The key of the row that the keyboard is on, and whose case is shown.
    pub current: RwSignal<Option<String>>,
}

impl TestView {
    fn new(ide: Ide) -> Self {
        let report = Memo::new_with_compare(
            move |_| ide.tests.shown.with(|shown| shown.as_ref().and_then(|shown| shown.report.clone())),
            |before: Option<&Option<Arc<TestReport>>>, now| match (before, now) {
                (Some(Some(before)), Some(Some(now))) => !Arc::ptr_eq(before, now),
                (Some(None), Some(None)) => false,
                _ => true,
            },
        );
        let wish = RwSignal::new(Wish { failed_first: true, ..Wish::default() });
        let index = Memo::new_with_compare(
            move |_| report.with(|report| report.as_ref().map(|report| Arc::new(TestIndex::new(&report.cases)))),
            // Made again only with another report.
            |_, _| true,
        );
        let rows =
            Memo::new(move |_| index.with(|index| index.as_ref().map(|index| wish.with(|wish| index.rows(wish))).unwrap_or_default()));
        let view = Self { ide, report, rows, wish, current: RwSignal::new(None) };
        view.remember();
        view
    }

    /// What was folded, and the order, come back after a reload.
    fn remember(self) {
        let key = StoredValue::new(self.ide.storage_key("tests-view"));
        Effect::new(move |_| {
            let stored = key.with_value(|key| storage::read(key));
            if let Some((failed_first, folds)) = stored.and_then(|text| serde_json::from_str::<(bool, BTreeMap<String, bool>)>(&text).ok())
            {
                self.wish.update(|wish| {
                    wish.failed_first = failed_first;
                    wish.folds = folds;
                });
            }
        });
        let kept = Memo::new(move |_| self.wish.with(|wish| (wish.failed_first, wish.folds.clone())));
        Effect::new(move |before: Option<()>| {
            let kept = kept.get();
            if before.is_some()
                && let Ok(text) = serde_json::to_string(&kept)
            {
                key.with_value(|key| storage::write(key, &text));
            }
        });
    }

    /// The case of the current row.
    pub fn case(self) -> Option<TestCase> {
        // The report first: rows may stay the same while messages change.
        let report = self.report.get()?;
        let current = self.current.get()?;
        let at = self.rows.with(|rows| rows.iter().find(|row| row.key == current).and_then(|row| row.case))?;
        report.cases.get(at).cloned()
    }
}

/// Tests of the project.
#[component]
pub fn TestPanel(now: RwSignal<Micros>) -> impl IntoView {
    let ide = use_ide();
    let view = TestView::new(ide);
    // The files may have changed what the tests are recognised by.
    Effect::new(move |_| {
        if ide.console_tab.get() == ConsoleTab::Tests {
            test_desk::load_settings(ide);
        }
    });
    announce(ide);
    let selected = Memo::new(move |_| view.case());
    let has_report = move || view.report.with(Option::is_some);
    let waits = Memo::new(move |_| {
        let finished = test_desk::newest(ide).is_some_and(|run| run.state.is_finished());
        finished && ide.tests.shown.with(Option::is_none) && ide.tests.problem.with(Option::is_none)
    });
    view! {
        <div class="tests">
            <TestHead view=view now=now />
            {move || {
                ide.tests
                    .problem
                    .get()
                    .map(|problem| {
                        view! {
                            <div class="tests-note err" role="alert">
                                <Icon name="circle-alert" small=true />
                                <span class="grow">{problem.detail}</span>
                                <Button size=ButtonSize::Small on_click=move |_| ide.tests.configuring.set(true)>
                                    "Set the command"
                                </Button>
                                <IconButton icon="x" label="Dismiss" small=true on_click=move |_| ide.tests.problem.set(None) />
                            </div>
                        }
                    })
            }}
            <Show
                when=has_report
                fallback=move || {
                    if waits.get() {
                        view! {
                            <div class="inset">
                                <Skeleton lines=4 />
                            </div>
                        }
                            .into_any()
                    } else {
                        view! { <NoReport ide=ide /> }.into_any()
                    }
                }
            >
                <div class="tests-body" data-detail=move || selected.with(Option::is_some).then_some("open")>
                    <TestTree view=view />
                    {move || selected.get().map(|case| view! { <TestDetail view=view case=case /> })}
                </div>
            </Show>
            <TestSettingsDialog />
        </div>
    }
}

/// Says how a test run ended, once.
fn announce(ide: Ide) {
    Effect::new(move |before: Option<Option<wire::RunId>>| {
        let shown = ide.tests.shown.get();
        let run = shown.as_ref().map(|shown| shown.run);
        if let (Some(Some(before)), Some(shown)) = (before, &shown)
            && before != shown.run
            && let Some(report) = &shown.report
        {
            ide.announcement.set(format!("Tests ended: {} failed, {} passed.", report.failed, report.passed));
        }
        run
    });
}

#[component]
fn TestHead(view: TestView, now: RwSignal<Micros>) -> impl IntoView {
    let ide = view.ide;
    let newest = Memo::new(move |_| test_desk::newest(ide));
    let running = Memo::new(move |_| newest.with(|run| run.as_ref().is_some_and(|run| !run.state.is_finished())));
    let word = move || newest.with(|run| run.as_ref().map(|run| running_word(run, now.get())));
    let count = move |state: CaseState| {
        view.report.with(|report| {
            report.as_ref().map_or(0, |report| match state {
                CaseState::Failed => report.failed,
                CaseState::Passed => report.passed,
                CaseState::Skipped => report.skipped,
            })
        })
    };
    let badge = move |state: CaseState, kind: BadgeKind, icon: &'static str| {
        move || {
            let count = count(state);
            let text = format!("{} {}", format::count(count), test_model::state_word(state));
            (count > 0).then(|| view! { <Badge kind=kind icon=icon>{text}</Badge> })
        }
    };
    let stop = move |_| Command::StopRun.run(ide);
    let locked = Signal::derive(move || !ide.can_edit() || running.get());
    let filter = RwSignal::new(String::new());
    Effect::new(move |_| {
        let text = filter.get();
        if view.wish.with_untracked(|wish| wish.filter != text) {
            view.wish.update(|wish| wish.filter = text);
        }
    });
    let has_report = move || view.report.with(Option::is_some);
    let has_any = move || has_report() || running.get();
    view! {
        <div class="tests-head" class:tests-head--bare=move || !has_any()>
            {move || {
                running
                    .get()
                    .then(|| {
                        view! {
                            <Badge kind=BadgeKind::Running icon="loader-circle">
                                {word}
                            </Badge>
                        }
                    })
            }}
            {badge(CaseState::Failed, BadgeKind::Bad, "circle-x")}
            {badge(CaseState::Passed, BadgeKind::Ok, "check")}
            {badge(CaseState::Skipped, BadgeKind::Neutral, "")}
            {move || has_report().then(|| view! { <Origin view=view /> })}
            <span class="grow"></span>
            <Show when=has_report>
                <span class="tests-filter">
                    <SearchField label="Filter tests" icon="list-filter" bind=filter />
                </span>
                <IconButton
                    icon="arrow-up"
                    label="Failed ones first"
                    small=true
                    pressed=Signal::derive(move || Some(view.wish.with(|wish| wish.failed_first)))
                    on_click=move |_| view.wish.update(|wish| wish.failed_first = !wish.failed_first)
                />
            </Show>
            <Show when=move || running.get()>
                <Button size=ButtonSize::Small icon="square" on_click=stop>
                    "Stop "
                    {move || Some(Command::StopRun.shown_keys(ide).get()).filter(|keys| !keys.is_empty()).map(|keys| view! { <kbd>{keys}</kbd> })}
                </Button>
            </Show>
            <Show when=move || has_report() && !running.get()>
                <Button
                    size=ButtonSize::Small
                    icon="rotate-cw"
                    disabled=Signal::derive(move || locked.get() || count(CaseState::Failed) == 0)
                    title="Run the cases that failed"
                    on_click=move |_| run_failed(view)
                >
                    "Run failed"
                </Button>
                <Button size=ButtonSize::Small icon="play" disabled=locked on_click=move |_| test_desk::start(ide, Vec::new())>
                    "Run all"
                </Button>
            </Show>
            <IconButton icon="settings" label="How the tests are run" small=true on_click=move |_| ide.tests.configuring.set(true) />
        </div>
    }
}

fn running_word(run: &Run, now: Micros) -> String {
    if run.state == RunState::Queued {
        return "Queued".to_owned();
    }
    let seconds = run.started_at.map_or(0, |started| now.millis_since(started) / 1000);
    format!("Running {}:{:02}", seconds / 60, seconds % 60)
}

/// The failed cases of what is on screen.
fn run_failed(view: TestView) {
    let ids = view.report.with_untracked(|report| report.as_ref().map(|report| test_model::failed_ids(report)).unwrap_or_default());
    if !ids.is_empty() {
        test_desk::start(view.ide, ids);
    }
}

/// Where the report comes from, in a few words.
#[component]
fn Origin(view: TestView) -> impl IntoView {
    let ide = view.ide;
    let text = move || {
        let shown = ide.tests.shown.get()?;
        let report = shown.report?;
        let run = ide.runs.with(|runs| runs.iter().find(|run| run.id == shown.run).cloned());
        let mut words = vec![framework_name(report.framework).to_owned()];
        if let Some(at) = run.as_ref().map(|run| run.finished_at.unwrap_or(run.created_at)) {
            words.push(format::relative(at, format::now()));
        }
        if shown.layers > 0 {
            words.push("with the cases that ran again since".to_owned());
        }
        if run.as_ref().is_some_and(|run| run.turn_id.is_some()) {
            words.push("of the agent's branch".to_owned());
        }
        if report.truncated {
            words.push(format!("the first {} cases", format::count(report.cases.len() as i64)));
        }
        Some(words.join(", "))
    };
    let show = move |_| {
        if let Some(shown) = ide.tests.shown.get_untracked() {
            ide.show_run(shown.run);
        }
    };
    view! {
        <button type="button" class="tests-origin clip" title="Show the output of this run" on:click=show>
            {text}
        </button>
    }
}

/// There is no report yet, or the last run left none: what to do.
#[component]
fn NoReport(ide: Ide) -> impl IntoView {
    let newest = Memo::new(move |_| test_desk::newest(ide));
    let locked = Signal::derive(move || !ide.can_edit());
    let run = move |_| test_desk::start(ide, Vec::new());
    let configure = move |_| ide.tests.configuring.set(true);
    let content = move || match newest.get() {
        Some(run) if !run.state.is_finished() => view! {
            <b>"The tests are running"</b>
            <p>"What they find is listed here when they have ended. Their output is in the first tab."</p>
            <div class="acts">
                <Button on_click=move |_| ide.show_run(run.id)>"Show the output"</Button>
            </div>
        }
        .into_any(),
        Some(last) => {
            let refused = last.exit.as_ref().is_some_and(|exit| exit.kind == ExitKind::Refused);
            let sentence = last.exit.map(|exit| exit.sentence).unwrap_or_default();
            let (title, text) = if refused {
                ("The tests were not started", sentence)
            } else {
                let hint = "Its output says what happened; or the command prints its results in a form that is not known.";
                ("The last test run found no cases", format!("{sentence} {hint}"))
            };
            view! {
                <b>{title}</b>
                <p>{text}</p>
                <div class="acts">
                    <Button kind=ButtonKind::Primary on_click=move |_| ide.show_run(last.id)>
                        "Show the output"
                    </Button>
                    <Button icon="rotate-cw" disabled=locked on_click=run>
                        "Run again"
                    </Button>
                    <Button icon="settings" on_click=configure>
                        "Set the command"
                    </Button>
                </div>
            }
            .into_any()
        }
        None => view! { <NeverRan ide=ide /> }.into_any(),
    };
    view! { <div class="empty inset tests-empty">{content}</div> }
}

#[component]
fn NeverRan(ide: Ide) -> impl IntoView {
    let locked = Signal::derive(move || !ide.can_edit());
    let content = move || {
        let settings = ide.tests.settings.get()?;
        let own = settings.command.filter(|command| !command.trim().is_empty());
        let how = match (&own, &settings.recognised) {
            (Some(command), _) => Some((command.clone(), "The project's own command: ".to_owned())),
            (None, Some(found)) => Some((found.command.clone(), format!("Recognised: {}. ", framework_name(found.framework)))),
            (None, None) => None,
        };
        Some(match how {
            Some((command, lead)) => view! {
                <p>{lead} <code>{command}</code></p>
                <div class="acts">
                    <Button kind=ButtonKind::Primary icon="play" disabled=locked on_click=move |_| test_desk::start(ide, Vec::new())>
                        "Run the tests"
                    </Button>
                    <Button icon="settings" on_click=move |_| ide.tests.configuring.set(true)>
                        "Change the command"
                    </Button>
                </div>
            }
            .into_any(),
            None => view! {
                <p>
                    "Nothing in the project's files says how they are run. Known are cargo test, pytest, unittest, Node's test runner, Vitest, Jest and go test, and any command that leaves JUnit XML or prints TAP."
                </p>
                <div class="acts">
                    <Button kind=ButtonKind::Primary icon="settings" disabled=locked on_click=move |_| ide.tests.configuring.set(true)>
                        "Set the command"
                    </Button>
                </div>
            }
            .into_any(),
        })
    };
    view! {
        <b>"No tests were run yet"</b>
        {content}
    }
}
