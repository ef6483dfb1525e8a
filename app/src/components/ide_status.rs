//! The status bar and the notices under the topbar.

use leptos::{prelude::*, task::spawn_local};
use wire::runs::{Run, RunKind};

use crate::{
    api,
    components::{
        ide::{Ide, use_ide},
        tree_model::file_icon,
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

/// The language of a file by its name, as people call it; the bare ending for what is not known.
fn language_name(name: &str) -> Option<String> {
    let (_, ending) = name.rsplit_once('.')?;
    let ending = ending.to_lowercase();
    let known = match ending.as_str() {
        "py" | "pyi" => "Python",
        "rs" => "Rust",
        "js" | "mjs" | "cjs" | "jsx" => "JavaScript",
        "ts" | "mts" | "tsx" => "TypeScript",
        "md" | "markdown" => "Markdown",
        "html" | "htm" => "HTML",
        "css" => "CSS",
        "json" => "JSON",
        "toml" => "TOML",
        "yml" | "yaml" => "YAML",
        "csv" => "CSV",
        "sh" | "bash" => "Shell",
        "sql" => "SQL",
        "go" => "Go",
        "java" => "Java",
        "rb" => "Ruby",
        "php" => "PHP",
        "c" | "h" => "C",
        "cc" | "cpp" | "hpp" => "C++",
        "xml" | "svg" => "XML",
        "txt" => "Plain text",
        _ => return Some(ending),
    };
    Some(known.to_owned())
}

#[component]
pub fn IdeStatus() -> impl IntoView {
    let ide = use_ide();
    let connected = ide.live.connected();
    let signed_out = ide.live.signed_out();
    let saving = Memo::new(move |_| saving_of(ide));
    let hunks = Memo::new(move |_| i64::try_from(ide.open_hunks()).unwrap_or(i64::MAX));
    let running = Memo::new(move |_| {
        let live = |run: &&Run| !run.state.is_finished() && run.kind != RunKind::Terminal;
        ide.runs.with(|runs| i64::try_from(runs.iter().filter(live).count()).unwrap_or(0))
    });
    let cursor = move || {
        let cursor = ide.cursor.get().filter(|_| ide.active.with(Option::is_some))?;
        let selected =
            if cursor.selected > 0 { format!(" ({} selected)", format::count(i64::from(cursor.selected))) } else { String::new() };
        Some(view! { <span class="wide">{format!("Line {}, column {}{selected}", cursor.line, cursor.column)}</span> })
    };
    let language = move || {
        let path = ide.active.get()?;
        let name = path.rsplit('/').next().unwrap_or(&path).to_owned();
        let language = language_name(&name)?;
        Some(view! {
            <span class="wide">
                <Icon name=file_icon(&name) />
                {language}
            </span>
        })
    };
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
            {cursor}
            {language}
            {move || {
                if connected.get() && !signed_out.get() {
                    view! { <span><i class="dot dot--ok"></i>"Connected"</span> }.into_any()
                } else {
                    view! { <span class="c-warn"><Icon name="cloud-off" />"Offline"</span> }.into_any()
                }
            }}
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
            <Show when=move || !connected.get() && !signed_out.get()>
                <Banner icon="cloud-off" title="Offline." text="What you type is kept; reconnecting." />
            </Show>
            {move || {
                ide.problem
                    .get()
                    .map(|problem| {
                        view! {
                            <Banner title=problem.title.clone() text=problem.detail.clone()>
                                <Button size=ButtonSize::Small on:click=move |_| ide.problem.set(None)>
                                    "Dismiss"
                                </Button>
                            </Banner>
                        }
                    })
            }}
        </div>
    }
}
