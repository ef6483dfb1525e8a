//! How much is used of what may be: in a project's settings, on the list of projects, and as a notice before a limit is hit.

use std::time::Duration;

use leptos::{prelude::*, task::spawn_local};
use wire::quotas::{HISTORY_TIMES, ProjectQuota, Used, UserQuota};

use super::ide::use_ide;
use crate::{
    api,
    ui::{Banner, Button, ButtonSize, Icon, Meter, format},
};

/// How often the open project asks how full it is.
const REFRESH: Duration = Duration::from_secs(60);

/// What a number counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    Bytes,
    Pieces(&'static str),
}

impl Measure {
    /// `1.2 GB of 2.1 GB`, `3 of 200 checkpoints`.
    fn say(self, used: Used) -> String {
        match self {
            Self::Bytes => format!("{} of {}", format::bytes(used.used), format::bytes(used.limit)),
            Self::Pieces(what) => format!("{} of {} {what}", format::count(used.used), format::count(used.limit)),
        }
    }
}

/// One limit with its meter; from four fifths on it says so in words.
#[component]
pub fn QuotaMeter(
    label: &'static str,
    #[prop(into)] used: Signal<Used>,
    measure: Measure,
    #[prop(optional)] note: String,
) -> impl IntoView {
    let near = Memo::new(move |_| used.with(|used| used.is_near()));
    let state = move || match used.get() {
        used if used.is_full() => Some("Full"),
        used if used.is_near() => Some("Nearly full"),
        _ => None,
    };
    view! {
        <div class="quota">
            <span class="row">
                <span class="medium">{label}</span>
                <span class="grow"></span>
                <span class="t2 fs12 num">{move || measure.say(used.get())}</span>
            </span>
            <Meter label=label percent=Signal::derive(move || used.get().percent()) warn=near />
            <span class="fs12 t2">
                {move || {
                    state()
                        .map(|word| {
                            view! {
                                <span class="c-warn quota-word">
                                    <Icon name="triangle-alert" small=true />
                                    {word}
                                </span>
                            }
                        })
                }}
                {note}
            </span>
        </div>
    }
    .into_any()
}

/// What becomes of a person's versions at their limit.
const VERSIONS_NOTE: &str = "Saving goes on at the limit: the oldest make room.";

/// Everything about one project.
#[component]
pub fn ProjectQuotaCard(quota: ProjectQuota) -> impl IntoView {
    let fixed = |used: Used| Signal::derive(move || used);
    let kept = format!(
        "The newest {} of each file, for {} after they were replaced. Beyond the limit the oldest go first, but never what a checkpoint or an open review needs; at twice the limit nothing new is saved.",
        format::counted(quota.versions_per_file, "version", "versions"),
        format::counted(i64::from(quota.retention_days), "day", "days"),
    );
    view! {
        <section class="card" aria-labelledby="quota-title">
            <div class="card-head">
                <h2 id="quota-title">"Storage"</h2>
            </div>
            <div class="inset quotas">
                <QuotaMeter label="Files now" used=fixed(quota.bytes) measure=Measure::Bytes />
                <QuotaMeter label="Number of files" used=fixed(quota.files) measure=Measure::Pieces("files") />
                <QuotaMeter label="Earlier versions and trash" used=fixed(quota.history_bytes) measure=Measure::Bytes note=kept />
                <QuotaMeter
                    label="Versions of a file"
                    used=fixed(quota.versions)
                    measure=Measure::Pieces("versions")
                    note="Of the file that has most. Saving goes on at the limit: the oldest make room.".to_owned()
                />
                <QuotaMeter label="Checkpoints" used=fixed(quota.checkpoints) measure=Measure::Pieces("checkpoints") />
                <QuotaMeter
                    label="All projects of the owner"
                    used=fixed(quota.owner.bytes)
                    measure=Measure::Bytes
                    note=format!(
                        "{} of {} files in {}",
                        format::count(quota.owner.files.used),
                        format::count(quota.owner.files.limit),
                        format::counted(quota.owner.projects, "project", "projects"),
                    )
                />
                <QuotaMeter
                    label="Earlier versions in all projects of the owner"
                    used=fixed(quota.owner.versions)
                    measure=Measure::Pieces("versions")
                    note=VERSIONS_NOTE.to_owned()
                />
                <QuotaMeter
                    label="Checkpoints in all projects of the owner"
                    used=fixed(quota.owner.checkpoints)
                    measure=Measure::Pieces("checkpoints")
                />
            </div>
        </section>
    }
    .into_any()
}

/// What a person keeps beside files: versions, checkpoints and projects.
#[component]
pub fn KeptMeters(used: [Used; 3]) -> impl IntoView {
    let [versions, checkpoints, projects] = used.map(|used| Signal::derive(move || used));
    view! {
        <QuotaMeter label="Earlier versions" used=versions measure=Measure::Pieces("versions") />
        <QuotaMeter label="Checkpoints" used=checkpoints measure=Measure::Pieces("checkpoints") />
        <QuotaMeter label="Projects" used=projects measure=Measure::Pieces("projects") />
    }
    .into_any()
}

/// What the person's own projects take, beside the list.
#[component]
pub fn MyQuota(quota: RwSignal<UserQuota>) -> impl IntoView {
    let full = move || {
        quota.with(|quota| {
            let kept = [quota.history_bytes, refusing(quota.versions), quota.checkpoints, quota.all_projects];
            quota.bytes.is_near() || quota.files.is_near() || kept.into_iter().any(Used::is_near)
        })
    };
    view! {
        <section class="side-sec" aria-labelledby="my-quota">
            <h2 id="my-quota">"Your storage"</h2>
            <div class="card inset quotas">
                <QuotaMeter label="Files" used=Signal::derive(move || quota.with(|quota| quota.bytes)) measure=Measure::Bytes />
                <QuotaMeter
                    label="Number of files"
                    used=Signal::derive(move || quota.with(|quota| quota.files))
                    measure=Measure::Pieces("files")
                />
                <QuotaMeter
                    label="Earlier versions and trash"
                    used=Signal::derive(move || quota.with(|quota| quota.history_bytes))
                    measure=Measure::Bytes
                />
                <QuotaMeter
                    label="Earlier versions"
                    used=Signal::derive(move || quota.with(|quota| quota.versions))
                    measure=Measure::Pieces("versions")
                />
                <QuotaMeter
                    label="Checkpoints"
                    used=Signal::derive(move || quota.with(|quota| quota.checkpoints))
                    measure=Measure::Pieces("checkpoints")
                />
                <QuotaMeter
                    label="Projects"
                    used=Signal::derive(move || quota.with(|quota| quota.all_projects))
                    measure=Measure::Pieces("projects")
                />
                <p class="fs12 t2">
                    {move || {
                        if full() {
                            "Delete files and checkpoints you do not need, or ask an administrator for more room. Deleted projects count for as long as they can be restored."
                        } else {
                            "All projects you own, together. What others share with you counts towards theirs."
                        }
                    }}
                </p>
            </div>
        </section>
    }
    .into_any()
}

/// A limit beyond which the oldest go, and nobody has to do anything, as the one at which something is refused.
fn refusing(used: Used) -> Used {
    Used { limit: used.limit.saturating_mul(HISTORY_TIMES), ..used }
}

/// What is nearly full, the fullest first.
fn nearly_full(quota: &ProjectQuota) -> Option<(bool, String)> {
    let limits = [
        ("This project", quota.bytes, Measure::Bytes),
        ("This project", quota.files, Measure::Pieces("files")),
        ("Earlier versions and trash of this project", refusing(quota.history_bytes), Measure::Bytes),
        ("The checkpoints of this project", quota.checkpoints, Measure::Pieces("checkpoints")),
        ("All projects of the owner together", quota.owner.bytes, Measure::Bytes),
        ("All projects of the owner together", quota.owner.files, Measure::Pieces("files")),
        ("Earlier versions and trash in all projects of the owner", quota.owner.history_bytes, Measure::Bytes),
        ("All projects of the owner together", refusing(quota.owner.versions), Measure::Pieces("earlier versions")),
        ("All projects of the owner together", quota.owner.checkpoints, Measure::Pieces("checkpoints")),
    ];
    let near = limits.into_iter().filter(|(_, used, _)| used.is_near());
    let fullest = near.max_by(|(_, a, _), (_, b, _)| a.percent().total_cmp(&b.percent()));
    fullest.map(|(what, used, measure)| (used.is_full(), format!("{what}: {} used.", measure.say(used))))
}

/// Under the topbar of the open project, before something can't be saved any more.
#[component]
pub fn QuotaNotice() -> impl IntoView {
    let ide = use_ide();
    let near = RwSignal::new(None::<(bool, String)>);
    let dismissed = RwSignal::new(None::<bool>);
    let read = move || {
        spawn_local(async move {
            if let Ok(quota) = api::quotas::of_project(ide.project_id).await {
                let _ = near.try_set(nearly_full(&quota));
            }
        });
    };
    Effect::new(move |_| {
        read();
        let timer = set_interval_with_handle(
            move || {
                if !document().hidden() {
                    read();
                }
            },
            REFRESH,
        );
        on_cleanup(move || {
            if let Ok(timer) = timer {
                timer.clear();
            }
        });
    });
    // Being told once is enough, until it is full.
    let shown = Memo::new(move |_| near.get().filter(|(is_full, _)| ide.can_edit() && dismissed.get() != Some(*is_full)));
    move || {
        shown.get().map(|(is_full, text)| {
            let title = if is_full { "The storage is full." } else { "The storage is nearly full." };
            view! {
                <Banner title=title.to_owned() text=text>
                    <a class="btn btn--s" href=format!("/projects/{}/settings#quota-title", ide.project_id)>
                        "Show storage"
                    </a>
                    <Button size=ButtonSize::Small on_click=move |_| dismissed.set(Some(is_full))>
                        "Dismiss"
                    </Button>
                </Banner>
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quota(bytes: i64, owner: i64) -> ProjectQuota {
        let used = |used| Used { used, limit: 100 };
        ProjectQuota {
            bytes: used(bytes),
            files: used(0),
            history_bytes: used(100),
            checkpoints: used(0),
            versions: used(100),
            versions_per_file: 500,
            retention_days: 90,
            owner: UserQuota {
                bytes: used(owner),
                files: used(0),
                history_bytes: used(0),
                versions: used(100),
                checkpoints: used(0),
                all_projects: used(100),
                projects: 1,
                own: Default::default(),
            },
            own: Default::default(),
        }
    }

    #[test]
    fn the_fullest_limit_is_told_and_a_full_history_is_none() {
        assert_eq!(nearly_full(&quota(79, 0)), None);
        assert_eq!(nearly_full(&quota(80, 10)).map(|(full, _)| full), Some(false));
        let (is_full, text) = nearly_full(&quota(81, 100)).unwrap();
        assert!(is_full && text.starts_with("All projects"), "{text}");
        let past = |history| ProjectQuota { history_bytes: Used { used: history, limit: 100 }, ..quota(0, 0) };
        assert_eq!(nearly_full(&past(159)), None, "the oldest go, and nothing is refused");
        let (is_full, text) = nearly_full(&past(160)).unwrap();
        assert!(!is_full && text.starts_with("Earlier versions"), "{text}");
        let mut all = quota(0, 0);
        all.owner.versions.used = 159;
        assert_eq!(nearly_full(&all), None, "nor here");
        all.owner.versions.used = 160;
        assert!(nearly_full(&all).unwrap().1.contains("earlier versions"));
        all.owner.checkpoints.used = 90;
        assert_eq!(nearly_full(&all), Some((false, "All projects of the owner together: 90 of 100 checkpoints used.".to_owned())));
    }
}
