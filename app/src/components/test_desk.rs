//! The tests of the project: which report is shown, how they are started, how they are set up.

use std::sync::Arc;

use leptos::{prelude::*, task::spawn_local};
use wire::{
    Problem, RunId,
    runs::{Run, RunKind, StartRun},
    test_reports::{Framework, TestReport, TestSettings},
};

use super::{
    ide::{ConsoleTab, Ide},
    test_model,
};
use crate::api;

/// Runs of a few cases that are laid over the report of an earlier run.
const LAYERS_MAX: usize = 16;

/// A report on screen.
#[derive(Debug, Clone)]
pub struct Shown {
    /// The newest run in it.
    pub run: RunId,
    /// `None` when the run left no report.
    pub report: Option<Arc<TestReport>>,
    /// How many runs of a few cases are laid over the whole one.
    pub layers: usize,
}

/// What the tests tab and the commands share.
#[derive(Debug, Clone, Copy)]
pub struct TestDesk {
    pub shown: RwSignal<Option<Shown>>,
    /// Why the last start, or reading a report, did not work.
    pub problem: RwSignal<Option<Problem>>,
    pub settings: RwSignal<Option<TestSettings>>,
    /// The dialog for the command is open.
    pub configuring: RwSignal<bool>,
    /// A run whose report is wanted instead of the newest one.
    pub chosen: RwSignal<Option<RunId>>,
}

impl Default for TestDesk {
    fn default() -> Self {
        Self {
            shown: RwSignal::new(None),
            problem: RwSignal::new(None),
            settings: RwSignal::new(None),
            configuring: RwSignal::new(false),
            chosen: RwSignal::new(None),
        }
    }
}

pub fn framework_name(framework: Framework) -> &'static str {
    match framework {
        Framework::Cargo => "cargo test",
        Framework::Pytest => "pytest",
        Framework::Unittest => "unittest",
        Framework::Node => "Node's test runner",
        Framework::Vitest => "Vitest",
        Framework::Jest => "Jest",
        Framework::Go => "go test",
        Framework::Junit => "JUnit XML",
        Framework::Tap => "TAP",
    }
}

/// A test of the project as it is saved; the agent's are of its branch.
fn is_own(run: &Run) -> bool {
    run.kind == RunKind::TestRunner && run.turn_id.is_none()
}

/// The newest test run, finished or not. Tracks the runs.
pub fn newest(ide: Ide) -> Option<Run> {
    ide.runs.with(|runs| runs.iter().find(|run| is_own(run)).cloned())
}

/// How many cases failed, as far as is known without the report. Tracks the runs.
pub fn failed(ide: Ide) -> i64 {
    let shown = ide.tests.shown.with(|shown| shown.as_ref().and_then(|shown| shown.report.as_ref()).map(|report| report.failed));
    shown.unwrap_or_else(|| {
        ide.runs.with(|runs| {
            let last = runs.iter().find(|run| is_own(run) && run.tests.is_some());
            last.and_then(|run| run.tests.as_ref()).map_or(0, |tests| tests.failed)
        })
    })
}

/// Keeps the report on screen in step with the runs, once `wanted`.
pub fn follow(ide: Ide, wanted: Signal<bool>) {
    let target = Memo::new(move |_| {
        if !wanted.get() {
            return None;
        }
        ide.tests
            .chosen
            .get()
            .or_else(|| ide.runs.with(|runs| runs.iter().find(|run| is_own(run) && run.state.is_finished()).map(|run| run.id)))
    });
    Effect::new(move |_| {
        if let Some(id) = target.get() {
            spawn_local(async move {
                let answer = load(ide, id).await;
                if ide.is_gone() || target.try_get_untracked().flatten() != Some(id) {
                    return;
                }
                match answer {
                    Ok(shown) => ide.tests.shown.set(Some(shown)),
                    Err(problem) => ide.tests.problem.set(Some(problem)),
                }
            });
        }
    });
}

/// The report of a run. When it ran a few cases only, they are laid over the last whole report before it.
async fn load(ide: Ide, id: RunId) -> Result<Shown, Problem> {
    let mut layers: Vec<Arc<TestReport>> = Vec::new();
    for run in chain(ide, id) {
        match api::test_reports::of_run(run).await {
            // A build that fails leaves a report without cases: what ran before would look like its result.
            Ok(Some(report)) if run == id && report.cases.is_empty() => return Ok(Shown { run: id, report: None, layers: 0 }),
            Ok(Some(report)) => layers.push(Arc::new(report)),
            Ok(None) if run == id => return Ok(Shown { run: id, report: None, layers: 0 }),
            Ok(None) => {}
            Err(error) => return Err(error.0),
        }
    }
    let mut oldest_first = layers.iter().rev();
    let Some(base) = oldest_first.next() else { return Ok(Shown { run: id, report: None, layers: 0 }) };
    let report = oldest_first.fold(Arc::clone(base), |report, newer| Arc::new(test_model::merge(&report, newer)));
    Ok(Shown { run: id, report: Some(report), layers: layers.len() - 1 })
}

/// The run and those before it that its report lies over, newest first.
fn chain(ide: Ide, id: RunId) -> Vec<RunId> {
    ide.runs.with_untracked(|runs| chain_of(runs, id))
}

fn chain_of(runs: &[Run], id: RunId) -> Vec<RunId> {
    let mut chain = vec![id];
    let Some(at) = runs.iter().position(|run| run.id == id).filter(|at| !runs[*at].only.is_empty()) else { return chain };
    for run in runs[at + 1..].iter().filter(|run| is_own(run) && run.tests.is_some()) {
        chain.push(run.id);
        if run.only.is_empty() || chain.len() > LAYERS_MAX {
            break;
        }
    }
    chain
}

/// Runs the project's tests, or only some of them by their ids, and shows how they go.
pub fn start(ide: Ide, only: Vec<String>) {
    if !untrack(|| ide.can_edit()) {
        ide.toast("Only editors of the project may run its tests");
        return;
    }
    ide.show_console(ConsoleTab::Tests);
    ide.tests.chosen.set(None);
    spawn_local(async move {
        let request = StartRun { only, ..StartRun::of_kind(RunKind::TestRunner) };
        let answer = api::runs::start(ide.project_id, request).await;
        if ide.is_gone() {
            return;
        }
        match answer {
            Ok(run) => {
                ide.tests.problem.set(None);
                ide.selected_run.set(Some(run.id));
                ide.put_run(run);
            }
            Err(error) => ide.tests.problem.set(Some(error.0)),
        }
    });
}

/// Runs what failed in the newest report, or everything when nothing did.
pub fn start_failed(ide: Ide) {
    spawn_local(async move {
        let target = ide.runs.with_untracked(|runs| runs.iter().find(|run| is_own(run) && run.tests.is_some()).map(|run| run.id));
        let Some(id) = target else { return start(ide, Vec::new()) };
        let shown = ide.tests.shown.get_untracked().filter(|shown| shown.run == id);
        let shown = match shown {
            Some(shown) => Ok(shown),
            None => load(ide, id).await,
        };
        if ide.is_gone() {
            return;
        }
        match shown {
            Ok(shown) => {
                let ids = shown.report.map(|report| test_model::failed_ids(&report)).unwrap_or_default();
                if ids.is_empty() {
                    ide.show_console(ConsoleTab::Tests);
                    ide.toast("Nothing failed in the last test run");
                } else {
                    start(ide, ids);
                }
            }
            Err(problem) => ide.tests.problem.set(Some(problem)),
        }
    });
}

/// Reads how the tests are run; what they are recognised by changes with the files.
pub fn load_settings(ide: Ide) {
    spawn_local(async move {
        match api::test_reports::settings(ide.project_id).await {
            _ if ide.is_gone() => {}
            Ok(settings) => ide.tests.settings.set(Some(settings)),
            Err(error) => ide.tests.problem.set(Some(error.0)),
        }
    });
}

/// The report of a run, in the tests tab.
pub fn show_report(ide: Ide, run: RunId) {
    ide.tests.chosen.set(Some(run));
    ide.show_console(ConsoleTab::Tests);
}
