//! Limits of one person's or one project's own, from the tables of users and projects.

use leptos::{ev, prelude::*, task::spawn_local};
use wire::{
    FieldError, Problem, ProjectId,
    quotas::{QuotaOverride, Used},
    users::User,
};

use super::{
    limits_form::{self, Unit},
    quota_meters::{Measure, QuotaMeter},
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
                api::quotas::of_user(user.id).await.map(|quota| Shown { bytes: quota.bytes, files: quota.files, own: quota.own })
            }
            Self::Project(id, _) => {
                api::quotas::of_any_project(*id).await.map(|quota| Shown { bytes: quota.bytes, files: quota.files, own: quota.own })
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
    own: QuotaOverride,
}

/// What is typed.
#[derive(Clone, Copy)]
struct Texts {
    bytes: RwSignal<String>,
    files: RwSignal<String>,
    versions: RwSignal<String>,
    checkpoints: RwSignal<String>,
}

impl Texts {
    fn show(self, own: QuotaOverride) {
        self.bytes.set(write(Unit::Size, own.bytes));
        self.files.set(write(Unit::Number, own.files));
        self.versions.set(write(Unit::Number, own.versions));
        self.checkpoints.set(write(Unit::Number, own.checkpoints));
    }

    fn read(self) -> Result<QuotaOverride, Vec<FieldError>> {
        let [bytes, files, versions, checkpoints] =
            [self.bytes, self.files, self.versions, self.checkpoints].map(|text| text.get_untracked());
        read(&bytes, &files, &versions, &checkpoints)
    }
}

/// Empty means as for everybody.
fn read(bytes: &str, files: &str, versions: &str, checkpoints: &str) -> Result<QuotaOverride, Vec<FieldError>> {
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
    let texts = Texts { bytes: empty(), files: empty(), versions: empty(), checkpoints: empty() };
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
                </div>
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
        assert_eq!(read("", " ", "", ""), Ok(QuotaOverride::default()));
        let own = QuotaOverride { bytes: Some(1 << 30), files: Some(500), versions: Some(20), checkpoints: Some(50) };
        assert_eq!(read("1 GiB", "500", "20", "50"), Ok(own));
        assert_eq!(read("5", "1", "", "").unwrap_err().into_iter().map(|f| f.field).collect::<Vec<_>>(), ["bytes", "files"]);
    }
}
