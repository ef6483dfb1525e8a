//! The status bar and the notices under the topbar.

use leptos::{prelude::*, task::spawn_local};
use wire::{
    changes::{ChangeSet, ReviewKey},
    runs::{Run, RunKind},
};

use crate::{
    api,
    components::{
        admin_access::AdminAccessNotice,
        connection::{ConnectionNotice, ConnectionState},
        editor_status::EditorStatus,
        ide::{Ide, use_ide},
        quota_meters::QuotaNotice,
    },
    ui::{Banner, Button, ButtonSize, Icon, format},
};

/// How much of the person's own text is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Saving {
    Saved,
    InFlight,
    Unsaved(i64),
    Conflict,
}

fn saving_of(ide: Ide) -> Saving {
    ide.tabs.with(|tabs| {
        let unsaved = tabs.iter().filter(|tab| tab.dirty).count();
        if tabs.iter().any(|tab| tab.conflict.is_some()) {
            Saving::Conflict
        } else if tabs.iter().any(|tab| tab.saving) {
            Saving::InFlight
        } else if unsaved > 0 {
            Saving::Unsaved(i64::try_from(unsaved).unwrap_or(i64::MAX))
        } else {
            Saving::Saved
        }
    })
}

#[component]
pub fn IdeStatus() -> impl IntoView {
    let ide = use_ide();
    let saving = Memo::new(move |_| saving_of(ide));
    let hunks = Memo::new(move |_| {
        let of_agent = |(key, set): (&ReviewKey, &ChangeSet)| if matches!(key, ReviewKey::Turn(_)) { set.open_hunks() as i64 } else { 0 };
        ide.proposals.with(|all| all.iter().map(of_agent).sum::<i64>())
    });
    let running = Memo::new(move |_| {
        let live = |run: &&Run| !run.state.is_finished() && run.kind != RunKind::Terminal;
        ide.runs.with(|runs| i64::try_from(runs.iter().filter(live).count()).unwrap_or(0))
    });
    view! {
        <footer class="status">
            <Show when=move || hunks.get() != 0>
                <span class="c-agent">
                    <Icon name="sparkles" />
                    {move || format!("Agent branch: {}", format::counted(hunks.get(), "change", "changes"))}
                </span>
            </Show>
            <Show when=move || running.get() != 0>
                <span class="c-run">
                    <Icon name="loader-circle" class="spin" />
                    {move || format::counted(running.get(), "run", "runs")}
                </span>
            </Show>
            <span class="grow"></span>
            {move || match saving.get() {
                Saving::Saved => view! { <span><Icon name="check" />"Saved"</span> }.into_any(),
                Saving::InFlight => view! { <span><Icon name="loader-circle" class="spin" />"Saving"</span> }.into_any(),
                Saving::Unsaved(count) => {
                    view! {
                        <span>
                            <i class="dot dot--unsaved"></i>
                            {format!("{} not saved", format::counted(count, "file", "files"))}
                        </span>
                    }
                        .into_any()
                }
                Saving::Conflict => {
                    view! {
                        <span class="c-warn">
                            <Icon name="triangle-alert" />
                            "Not saved: conflict"
                        </span>
                    }
                        .into_any()
                }
            }}
            <EditorStatus ide=ide />
            <ConnectionState live=ide.live />
        </footer>
    }
}

/// Lost connection, and what could not be done.
#[component]
pub fn IdeNotices() -> impl IntoView {
    let ide = use_ide();
    let connected = ide.live.connected();
    let signed_out = ide.live.signed_out();
    // The connection may be refused because the session is over; only then does the server say that nobody is signed in.
    Effect::new(move |_| {
        if !connected.get() {
            spawn_local(async move {
                let nobody = api::auth::viewer().await.is_ok_and(|viewer| viewer.user.is_none());
                if nobody && !ide.is_gone() {
                    ide.live.end_session();
                }
            });
        }
    });
    view! {
        <div class="notes">
            <Show when=move || signed_out.get()>
                <Banner icon="log-in" title="You are signed out." text="What you typed is kept in this browser.">
                    <a class="btn btn--s" href=format!("/login?next=/projects/{}", ide.project_id) rel="external">
                        "Sign in"
                    </a>
                </Banner>
            </Show>
            <ConnectionNotice ide=ide />
            <AdminAccessNotice />
            <QuotaNotice />
            {move || {
                ide.problem
                    .get()
                    .map(|problem| {
                        view! {
                            <Banner title=problem.title.clone() text=problem.detail.clone()>
                                <Button size=ButtonSize::Small on_click=move |_| ide.problem.set(None)>
                                    "Dismiss"
                                </Button>
                            </Banner>
                        }
                    })
            }}
        </div>
    }
}
