//! How the tests of the project are run: its own command, or what its files are recognised by.

use leptos::{ev, prelude::*, task::spawn_local};
use wire::test_reports::TestSettings;

use super::{
    ide::use_ide,
    test_desk::{self, framework_name},
};
use crate::{
    api,
    ui::{Button, ButtonKind, Dialog, ErrorSummary, TextField},
};

#[component]
pub fn TestSettingsDialog() -> impl IntoView {
    let ide = use_ide();
    let open = ide.tests.configuring;
    Effect::new(move |_| {
        if open.get() {
            test_desk::load_settings(ide);
        }
    });
    view! {
        <Dialog open=open title="How the tests are run">
            <SettingsForm open=open />
        </Dialog>
    }
}

#[component]
fn SettingsForm(open: RwSignal<bool>) -> impl IntoView {
    let ide = use_ide();
    let command = RwSignal::new(String::new());
    let report = RwSignal::new(String::new());
    let touched = RwSignal::new(false);
    let problem = RwSignal::new(None::<wire::Problem>);
    let saving = RwSignal::new(false);
    Effect::new(move |_| {
        let Some(settings) = ide.tests.settings.get() else { return };
        if !touched.get_untracked() {
            command.set(settings.command.unwrap_or_default());
            report.set(settings.report.unwrap_or_default());
        }
    });
    let recognised = move || {
        match ide.tests.settings.with(|settings| settings.as_ref().map(|settings| settings.recognised.clone())) {
        None => ().into_any(),
        Some(Some(found)) => view! {
            <p class="t2">
                {format!("Recognised by the project's files: {}. Without a command of its own, this runs: ", framework_name(found.framework))}
                <code>{found.command}</code>
            </p>
        }
        .into_any(),
        Some(None) => view! {
            <p class="t2">"Nothing in the project's files says how its tests are run. Set a command here."</p>
        }
        .into_any(),
    }
    };
    let field = move |name: &'static str| {
        Signal::derive(move || problem.with(|problem| problem.as_ref().and_then(|problem| problem.field(name).map(str::to_owned))))
    };
    let general = Signal::derive(move || {
        problem.with(|problem| problem.as_ref().filter(|problem| problem.fields.is_empty()).map(|problem| problem.detail.clone()))
    });
    let submit = move |event: ev::SubmitEvent| {
        event.prevent_default();
        if saving.get_untracked() {
            return;
        }
        saving.set(true);
        let value = |text: RwSignal<String>| Some(text.get_untracked().trim().to_owned()).filter(|text| !text.is_empty());
        let request = TestSettings { command: value(command), report: value(report), recognised: None };
        spawn_local(async move {
            let answer = api::test_reports::update_settings(ide.project_id, request).await;
            if ide.is_gone() {
                return;
            }
            saving.try_set(false);
            match answer {
                Ok(settings) => {
                    ide.tests.settings.set(Some(settings));
                    ide.tests.problem.set(None);
                    open.set(false);
                    ide.toast("Saved how the tests are run");
                }
                Err(error) => {
                    problem.try_set(Some(error.0));
                }
            }
        });
    };
    let locked = Signal::derive(move || !ide.can_edit() || saving.get());
    view! {
        <form on:submit=submit on:input=move |_| touched.set(true)>
            <ErrorSummary message=general />
            {recognised}
            <TextField
                label="Command"
                name="test-command"
                optional=true
                bind=command
                error=field("command")
                hint="Runs in the project's directory, in the sandbox. Leave it empty to take what is recognised."
                autocomplete="off"
            />
            <TextField
                label="Report file"
                name="test-report"
                optional=true
                bind=report
                error=field("report")
                hint="Where the command leaves JUnit XML or TAP, such as out/junit.xml. Without it, its output is read."
                autocomplete="off"
            />
            <div class="row end">
                <Button on_click=move |_| open.set(false)>"Cancel"</Button>
                <Button kind=ButtonKind::Primary submit=true busy=saving disabled=locked>
                    "Save"
                </Button>
            </div>
        </form>
    }
}
