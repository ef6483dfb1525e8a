//! What an administrator lets projects and people keep.

use leptos::{ev, prelude::*, task::spawn_local};
use wire::{FieldError, Problem, quotas::StorageSettings};

use super::{
    admin_settings::{Theirs, read_theirs},
    auth_frame::summary_of,
    limit_field::LimitField,
    limits_form::{self, Limit, Texts, Unit},
};
use crate::{
    api,
    ui::{Button, ButtonKind, ErrorSummary, use_toasts},
};

const fn limit(name: &'static str, label: &'static str, unit: Unit, hint: &'static str) -> Limit {
    Limit { name, label, hint, unit }
}

const PROJECT: [Limit; 3] = [
    limit("project_bytes", "Files of a project", Unit::Size, "As they are now, without earlier versions."),
    limit("project_files", "Number of files", Unit::Number, "In one project."),
    limit("checkpoints", "Checkpoints", Unit::Number, "Of one project."),
];
const PERSON: [Limit; 5] = [
    limit("user_bytes", "Files of a person", Unit::Size, "All projects that the person owns, together."),
    limit("user_files", "Number of files", Unit::Number, "In all projects that the person owns."),
    limit(
        "user_versions",
        "Earlier versions",
        Unit::Number,
        "In all projects that the person owns. Beyond it the oldest go, and twice as many are never kept.",
    ),
    limit("user_checkpoints", "Checkpoints of a person", Unit::Number, "In all projects that the person owns."),
    limit("user_projects", "Number of projects", Unit::Number, "Deleted ones count for as long as they can be restored."),
];
const HISTORY: [Limit; 3] = [
    limit("versions_per_file", "Versions of a file", Unit::Number, "The newest so many are kept, the present one included."),
    limit(
        "project_history_bytes",
        "Earlier versions of a project",
        Unit::Size,
        "Together with deleted files; beyond it the oldest go, and at twice as much nothing new is saved.",
    ),
    limit("retention_days", "Kept for days", Unit::Number, "After they were replaced. Empty: as STORAGE_RETENTION_DAYS says."),
];

fn fields() -> impl Iterator<Item = Limit> {
    PROJECT.into_iter().chain(PERSON).chain(HISTORY)
}

/// The settings as people write them, by the names that the server knows.
fn write_all(settings: &StorageSettings) -> Texts {
    let json = serde_json::to_value(settings).unwrap_or_default();
    fields()
        .map(|field| {
            (field.name.to_owned(), json[field.name].as_i64().map(|value| limits_form::write(field.unit, value)).unwrap_or_default())
        })
        .collect()
}

/// The settings that the texts mean, or what is wrong with them.
fn read_all(texts: &Texts) -> Result<StorageSettings, Vec<FieldError>> {
    let mut json = serde_json::to_value(StorageSettings::default()).unwrap_or_default();
    let mut wrong = Vec::new();
    for field in fields() {
        let text = texts.get(field.name).map(|text| text.trim()).unwrap_or_default();
        if field.name == "retention_days" && text.is_empty() {
            json[field.name] = serde_json::Value::Null;
            continue;
        }
        match limits_form::read(field.unit, text) {
            Ok(value) => json[field.name] = serde_json::Value::from(value),
            Err(reason) => wrong.push(FieldError::new(field.name, reason)),
        }
    }
    if !wrong.is_empty() {
        return Err(wrong);
    }
    let settings: StorageSettings =
        serde_json::from_value(json).map_err(|_| vec![FieldError::new("retention_days", "This is far too large.")])?;
    let wrong = settings.validate();
    if wrong.is_empty() { Ok(settings) } else { Err(wrong) }
}

#[derive(Clone, Copy)]
struct Form {
    texts: RwSignal<Texts>,
    problem: RwSignal<Option<Problem>>,
    busy: RwSignal<bool>,
}

/// Limits of projects, of people, and of the past; saved together.
#[component]
pub fn StorageCard(settings: RwSignal<StorageSettings>) -> impl IntoView {
    let toasts = use_toasts();
    let form = Form { texts: RwSignal::new(settings.with_untracked(write_all)), problem: RwSignal::new(None), busy: RwSignal::new(false) };
    let save = move |event: ev::SubmitEvent| {
        event.prevent_default();
        if form.busy.get_untracked() {
            return;
        }
        let request = match form.texts.with_untracked(read_all) {
            Ok(request) => request,
            Err(fields) => return form.problem.set(Some(Problem::invalid(fields))),
        };
        form.problem.set(None);
        form.busy.set(true);
        spawn_local(async move {
            let saved = api::quotas::update_settings(request, settings.try_get_untracked()).await;
            if form.busy.try_set(false).is_some() {
                return;
            }
            match saved {
                Ok(saved) => {
                    form.texts.set(write_all(&saved));
                    settings.set(saved);
                    toasts.show("Saved. Whoever is above a limit keeps everything, and can't add to it.");
                }
                Err(error) => {
                    if let Some(theirs) = read_theirs(&error.0) {
                        settings.set(theirs);
                    }
                    form.problem.set(Some(error.0));
                }
            }
        });
    };
    let reset = move |_| {
        form.texts.set(write_all(&StorageSettings::default()));
        form.problem.set(None);
        toasts.show("The defaults are filled in. Nothing changes until you save.");
    };
    let on_top = Signal::derive(move || form.problem.with(|problem| problem.as_ref().map(|p| summary_of(p, "Nothing was saved."))));
    view! {
        <form class="stack limits" novalidate=true on:submit=save>
            <ErrorSummary message=on_top />
            <Theirs
                problem=form.problem
                on_show=Callback::new(move |()| form.texts.set(settings.with_untracked(write_all)))
                heading=&["#storage-project"]
            />
            <Group form=form id="storage-project" title="Each project" limits=PROJECT.to_vec() />
            <Group form=form id="storage-person" title="Each person" limits=PERSON.to_vec()>
                <p class="hint">
                    "Single people can have other limits: choose "<em>"Storage limits"</em>" in the menu of their row under "
                    <a href="/admin/users">"Users"</a>"."
                </p>
            </Group>
            <Group form=form id="storage-past" title="The past" limits=HISTORY.to_vec()>
                <p class="hint">
                    "What a checkpoint, an open review or a turn that goes on needs is always kept, and so is the present version of every file."
                </p>
            </Group>
            <div class="acts">
                <Button kind=ButtonKind::Primary submit=true busy=form.busy>
                    "Save limits"
                </Button>
                <Button disabled=form.busy on_click=reset>
                    "Reset to defaults"
                </Button>
            </div>
        </form>
    }
    .into_any()
}

#[component]
fn Group(
    form: Form,
    id: &'static str,
    title: &'static str,
    limits: Vec<Limit>,
    #[prop(optional)] children: Option<Children>,
) -> impl IntoView {
    view! {
        <section class="card" aria-labelledby=id>
            <div class="card-head">
                <h2 id=id>{title}</h2>
            </div>
            <div class="inset stack">
                <div class="limits-shared">
                    {limits.into_iter().map(|limit| view! { <LimitField texts=form.texts problem=form.problem limit=limit /> }).collect_view()}
                </div>
                {children.map(|children| children())}
            </div>
        </section>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        for settings in [StorageSettings::default(), StorageSettings { retention_days: Some(30), ..StorageSettings::default() }] {
            assert_eq!(read_all(&write_all(&settings)), Ok(settings));
        }
    }

    #[test]
    fn errors_stand_at_their_fields() {
        let mut texts = write_all(&StorageSettings::default());
        texts.insert("project_bytes".into(), "much".into());
        texts.insert("checkpoints".into(), "1.5".into());
        let names: Vec<_> = read_all(&texts).unwrap_err().into_iter().map(|field| field.field).collect();
        assert_eq!(names, ["project_bytes", "checkpoints"]);
    }
}
