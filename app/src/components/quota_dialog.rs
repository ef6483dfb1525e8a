//! Limits of one person's own, from the table of users.

use leptos::{ev, prelude::*, task::spawn_local};
use wire::{
    FieldError, Problem,
    quotas::{QuotaOverride, UserQuota},
    users::User,
};

use super::{
    limits_form::{self, Unit},
    quota_meters::{Measure, QuotaMeter},
};
use crate::{
    api,
    ui::{Button, ButtonKind, Dialog, ErrorSummary, Skeleton, TextField, use_toasts},
};

fn write(unit: Unit, value: Option<i64>) -> String {
    value.map(|value| limits_form::write(unit, value)).unwrap_or_default()
}

/// Empty means as for everybody.
fn read(bytes: &str, files: &str) -> Result<QuotaOverride, Vec<FieldError>> {
    let mut wrong = Vec::new();
    let mut one = |name: &str, unit: Unit, text: &str| match text.trim() {
        "" => None,
        text => limits_form::read(unit, text).map_err(|reason| wrong.push(FieldError::new(name, reason))).ok(),
    };
    let own = QuotaOverride { bytes: one("bytes", Unit::Size, bytes), files: one("files", Unit::Number, files) };
    wrong.extend(own.validate());
    if wrong.is_empty() { Ok(own) } else { Err(wrong) }
}

/// Shows what the person in `target` uses, and takes limits of their own; open while there is one.
#[component]
pub fn UserQuotaDialog(target: RwSignal<Option<User>>) -> impl IntoView {
    let toasts = use_toasts();
    let open = RwSignal::new(false);
    let busy = RwSignal::new(false);
    let quota = RwSignal::new(None::<UserQuota>);
    let (bytes, files) = (RwSignal::new(String::new()), RwSignal::new(String::new()));
    let problem = RwSignal::new(None::<Problem>);
    Effect::new(move |_| {
        let Some(user) = target.get() else { return };
        quota.set(None);
        problem.set(None);
        open.set(true);
        spawn_local(async move {
            match api::quotas::of_user(user.id).await {
                _ if target.try_with_untracked(|now| now.as_ref().map(|now| now.id) == Some(user.id)) != Some(true) => {}
                Ok(found) => {
                    bytes.set(write(Unit::Size, found.own.bytes));
                    files.set(write(Unit::Number, found.own.files));
                    quota.set(Some(found));
                }
                Err(error) => problem.set(Some(error.0)),
            }
        });
    });
    Effect::new(move |_| {
        if !open.get() {
            target.set(None);
        }
    });
    let save = move |event: ev::SubmitEvent| {
        event.prevent_default();
        let Some(user) = target.get_untracked().filter(|_| !busy.get_untracked() && quota.with_untracked(Option::is_some)) else { return };
        let own = match read(&bytes.get_untracked(), &files.get_untracked()) {
            Ok(own) => own,
            Err(fields) => return problem.set(Some(Problem::invalid(fields))),
        };
        busy.set(true);
        spawn_local(async move {
            let saved = api::quotas::set_of_user(user.id, own).await;
            if busy.try_set(false).is_some() {
                return;
            }
            match saved {
                Ok(_) => {
                    open.set(false);
                    toasts.show(format!("The storage limits of {} were saved", user.display_name()));
                }
                Err(error) => problem.set(Some(error.0)),
            }
        });
    };
    let title = Signal::derive(move || {
        target.with(|user| user.as_ref().map(|user| format!("Storage of {}", user.display_name())).unwrap_or_default())
    });
    let field = move |wanted: &'static str| Signal::derive(move || problem.with(|p| p.as_ref()?.field(wanted).map(str::to_owned)));
    let on_top = Signal::derive(move || problem.with(|p| p.as_ref().filter(|p| p.fields.is_empty()).map(ToString::to_string)));
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
                <ErrorSummary message=on_top />
                <Show when=move || quota.with(Option::is_some) fallback=|| view! { <Skeleton lines=4 /> }>
                    {used}
                    <TextField
                        label="Files of this person"
                        name="bytes"
                        bind=bytes
                        error=field("bytes")
                        hint="Such as 50 GiB. Empty: as for everybody."
                        autocomplete="off"
                        autofocus=true
                    />
                    <TextField
                        label="Number of files"
                        name="files"
                        bind=files
                        error=field("files")
                        hint="Empty: as for everybody."
                        autocomplete="off"
                    />
                </Show>
                <div class="acts end">
                    <Button disabled=busy on:click=move |_| open.set(false)>"Cancel"</Button>
                    <Button kind=ButtonKind::Primary submit=true busy=busy disabled=Signal::derive(move || quota.with(Option::is_none))>
                        "Save limits"
                    </Button>
                </div>
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
        assert_eq!(read("", " "), Ok(QuotaOverride::default()));
        assert_eq!(read("1 GiB", "500"), Ok(QuotaOverride { bytes: Some(1 << 30), files: Some(500) }));
        assert_eq!(read("5", "1").unwrap_err().into_iter().map(|f| f.field).collect::<Vec<_>>(), ["bytes", "files"]);
    }
}
