//! Limits of one person's or one project's own, from the tables of users and projects.

use leptos::{ev, prelude::*, task::spawn_local};
use wire::{
    FieldError, Problem, ProjectId,
    quotas::{QuotaOverride, Used, UserQuota},
    users::User,
};

use super::{
    limits_form::{self, Unit},
    quota_meters::{KeptMeters, Measure, QuotaMeter},
    second_factor_card::{field, on_top},
};
use crate::{
    api,
    ui::{Dialog, DialogActions, ErrorSummary, Skeleton, TextField, open_about, use_toasts},
};

fn write(unit: Unit, value: Option<i64>) -> String {
    value.map(|value| limits_form::write(unit, value)).unwrap_or_default()
}

/// Whose limits are shown.
#[derive(Clone)]
pub enum Whose {
    Person(User),
    /// With its name.
    Project(ProjectId, String),
}

impl Whose {
    fn name(&self) -> String {
        match self {
            Self::Person(user) => user.display_name().to_owned(),
            Self::Project(_, name) => name.clone(),
        }
    }

    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Person(one), Self::Person(other)) => one.id == other.id,
            (Self::Project(one, _), Self::Project(other, _)) => one == other,
            _ => false,
        }
    }

    async fn read(&self) -> Result<Shown, api::ApiError> {
        match self {
            Self::Person(user) => {
                let kept = |quota: &UserQuota| Some([quota.versions, quota.checkpoints, quota.all_projects]);
                api::quotas::of_user(user.id).await.map(|quota| Shown {
                    bytes: quota.bytes,
                    files: quota.files,
                    kept: kept(&quota),
                    own: quota.own,
                })
            }
            Self::Project(id, _) => {
                let found = api::quotas::of_any_project(*id).await;
                found.map(|quota| Shown { bytes: quota.bytes, files: quota.files, kept: None, own: quota.own })
            }
        }
    }

    async fn save(&self, own: QuotaOverride) -> Result<(), api::ApiError> {
        match self {
            Self::Person(user) => api::quotas::set_of_user(user.id, own).await.map(drop),
            Self::Project(id, _) => api::quotas::set_of_project(*id, own).await.map(drop),
        }
    }
}

/// What the dialog tells of them.
#[derive(Clone, Copy)]
struct Shown {
    bytes: Used,
    files: Used,
    /// Of a person: versions, checkpoints and projects.
    kept: Option<[Used; 3]>,
    own: QuotaOverride,
}

/// What is typed.
#[derive(Clone, Copy)]
struct Texts {
    bytes: RwSignal<String>,
    files: RwSignal<String>,
    versions: RwSignal<String>,
    checkpoints: RwSignal<String>,
    all_versions: RwSignal<String>,
    all_checkpoints: RwSignal<String>,
    projects: RwSignal<String>,
}

impl Texts {
    fn show(self, own: QuotaOverride) {
        self.bytes.set(write(Unit::Size, own.bytes));
        self.files.set(write(Unit::Number, own.files));
        self.versions.set(write(Unit::Number, own.versions));
        self.checkpoints.set(write(Unit::Number, own.checkpoints));
        self.all_versions.set(write(Unit::Number, own.all_versions));
        self.all_checkpoints.set(write(Unit::Number, own.all_checkpoints));
        self.projects.set(write(Unit::Number, own.projects));
    }

    fn read(self) -> Result<QuotaOverride, Vec<FieldError>> {
        let own = [self.bytes, self.files, self.versions, self.checkpoints].map(|text| text.get_untracked());
        let all = [self.all_versions, self.all_checkpoints, self.projects].map(|text| text.get_untracked());
        read(own.each_ref().map(|text| text.as_str()), all.each_ref().map(|text| text.as_str()))
    }
}

/// Empty means as for everybody. `all`: versions, checkpoints and projects of a person, empty for a project.
fn read([bytes, files, versions, checkpoints]: [&str; 4], all: [&str; 3]) -> Result<QuotaOverride, Vec<FieldError>> {
    let mut wrong = Vec::new();
    let mut one = |name: &str, unit: Unit, text: &str| match text.trim() {
        "" => None,
        text => limits_form::read(unit, text).map_err(|reason| wrong.push(FieldError::new(name, reason))).ok(),
    };
    let own = QuotaOverride {
        bytes: one("bytes", Unit::Size, bytes),
        files: one("files", Unit::Number, files),
        versions: one("versions", Unit::Number, versions),
        checkpoints: one("checkpoints", Unit::Number, checkpoints),
        all_versions: one("all_versions", Unit::Number, all[0]),
        all_checkpoints: one("all_checkpoints", Unit::Number, all[1]),
        projects: one("projects", Unit::Number, all[2]),
    };
    wrong.extend(own.validate());
    if wrong.is_empty() { Ok(own) } else { Err(wrong) }
}

/// Shows what a person or a project uses, and takes limits of their own; open while there is one in `target`.
#[component]
pub fn QuotaDialog(target: RwSignal<Option<Whose>>) -> impl IntoView {
    let toasts = use_toasts();
    let open = open_about(target);
    let busy = RwSignal::new(false);
    let quota = RwSignal::new(None::<Shown>);
    let empty = || RwSignal::new(String::new());
    let texts = Texts {
        bytes: empty(),
        files: empty(),
        versions: empty(),
        checkpoints: empty(),
        all_versions: empty(),
        all_checkpoints: empty(),
        projects: empty(),
    };
    let problem = RwSignal::new(None::<Problem>);
    Effect::new(move |_| {
        let Some(whose) = target.get() else { return };
        quota.set(None);
        problem.set(None);
        spawn_local(async move {
            let found = whose.read().await;
            if target.try_with_untracked(|now| now.as_ref().is_some_and(|now| now.is(&whose))) != Some(true) {
                return;
            }
            match found {
                Ok(found) => {
                    texts.show(found.own);
                    quota.set(Some(found));
                }
                Err(error) => problem.set(Some(error.0)),
            }
        });
    });
    let save = move |event: ev::SubmitEvent| {
        event.prevent_default();
        let Some(whose) = target.get_untracked().filter(|_| !busy.get_untracked() && quota.with_untracked(Option::is_some)) else {
            return;
        };
        let own = match texts.read() {
            Ok(own) => own,
            Err(fields) => return problem.set(Some(Problem::invalid(fields))),
        };
        busy.set(true);
        spawn_local(async move {
            let saved = whose.save(own).await;
            if busy.try_set(false).is_some() {
                return;
            }
            match saved {
                Ok(()) => {
                    open.set(false);
                    toasts.show(format!("The storage limits of {} were saved", whose.name()));
                }
                Err(error) => problem.set(Some(error.0)),
            }
        });
    };
    let title =
        Signal::derive(move || target.with(|whose| whose.as_ref().map(|whose| format!("Storage of {}", whose.name())).unwrap_or_default()));
    let unread = move || quota.with(Option::is_none) && problem.with(Option::is_some);
    let not_yet = move || quota.with(Option::is_none).then(|| "The limits as they are have to be read first".to_owned());
    let used = move || {
        quota.get().map(|quota| {
            view! {
                <div class="quotas">
                    <QuotaMeter label="Files" used=Signal::derive(move || quota.bytes) measure=Measure::Bytes />
                    <QuotaMeter label="Number of files" used=Signal::derive(move || quota.files) measure=Measure::Pieces("files") />
                    {quota.kept.map(|used| view! { <KeptMeters used=used /> })}
                </div>
            }
        })
    };
    let all = move || {
        quota.get().filter(|quota| quota.kept.is_some()).map(|_| {
            view! {
                <TextField
                    label="Earlier versions in all projects"
                    name="all_versions"
                    bind=texts.all_versions
                    error=field(problem, "all_versions")
                    hint="Empty: as for everybody."
                    autocomplete="off"
                />
                <TextField
                    label="Checkpoints in all projects"
                    name="all_checkpoints"
                    bind=texts.all_checkpoints
                    error=field(problem, "all_checkpoints")
                    hint="Empty: as for everybody."
                    autocomplete="off"
                />
                <TextField
                    label="Number of projects"
                    name="projects"
                    bind=texts.projects
                    error=field(problem, "projects")
                    hint="Empty: as for everybody."
                    autocomplete="off"
                />
            }
        })
    };
    view! {
        <Dialog open=open title=title locked=busy>
            <form novalidate=true on:submit=save>
                <ErrorSummary message=on_top(problem) />
                <Show when=move || quota.with(Option::is_some) fallback=move || (!unread()).then(|| view! { <Skeleton lines=4 /> })>
                    {used}
                    <TextField
                        label="Size of the files"
                        name="bytes"
                        bind=texts.bytes
                        error=field(problem, "bytes")
                        hint="Such as 50 GiB. Empty: as for everybody."
                        autocomplete="off"
                        autofocus=true
                    />
                    <TextField
                        label="Number of files"
                        name="files"
                        bind=texts.files
                        error=field(problem, "files")
                        hint="Empty: as for everybody."
                        autocomplete="off"
                    />
                    <TextField
                        label="Versions of each file"
                        name="versions"
                        bind=texts.versions
                        error=field(problem, "versions")
                        hint="The newest so many are kept. Empty: as for everybody."
                        autocomplete="off"
                    />
                    <TextField
                        label="Checkpoints of each project"
                        name="checkpoints"
                        bind=texts.checkpoints
                        error=field(problem, "checkpoints")
                        hint="Empty: as for everybody."
                        autocomplete="off"
                    />
                    {all}
                </Show>
                <DialogActions
                    open=open
                    busy=busy
                    disabled=Signal::derive(move || quota.with(Option::is_none))
                    title=MaybeProp::derive(not_yet)
                >
                    "Save limits"
                </DialogActions>
            </form>
        </Dialog>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_is_as_for_everybody() {
        assert_eq!(read(["", " ", "", ""], ["", "", " "]), Ok(QuotaOverride::default()));
        let own = QuotaOverride {
            bytes: Some(1 << 30),
            files: Some(500),
            versions: Some(20),
            checkpoints: Some(50),
            all_versions: Some(4000),
            all_checkpoints: Some(300),
            projects: Some(8),
        };
        assert_eq!(read(["1 GiB", "500", "20", "50"], ["4000", "300", "8"]), Ok(own));
        assert_eq!(read(["5", "1", "", ""], [""; 3]).unwrap_err().into_iter().map(|f| f.field).collect::<Vec<_>>(), ["bytes", "files"]);
    }
}
