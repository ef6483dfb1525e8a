use leptos::prelude::*;
use wire::Problem;

use crate::{api::ApiError, ui::Brand};

/// What a decision looks like; only to be seen, so it is one piece of markup.
const SAMPLE_HUNK: &str = include_str!("auth_hunk.html");

/// The two halves of sign-in and sign-up: the form (as children), and what this place is about.
#[component]
pub fn AuthFrame(title: &'static str, lead: Signal<String>, children: Children) -> impl IntoView {
    view! {
        <div class="auth">
            <div class="auth-form">
                <header>
                    <Brand />
                </header>
                <main>
                    <h1>{title}</h1>
                    <p class="t2">{move || lead.get()}</p>
                    {children()}
                </main>
                <footer class="auth-foot">
                    <a href="/readyz" rel="external">"Status"</a>
                </footer>
            </div>
            <aside class="auth-side" aria-label="About this place">
                <p class="lead">
                    "The agent works on a branch of its own. Nothing reaches your project until you accept it."
                </p>
                <div aria-hidden="true" inert=true inner_html=SAMPLE_HUNK></div>
                <Flow />
            </aside>
        </div>
    }
    .into_any()
}

/// Something to know before, or instead of, filling in the form.
#[component]
pub fn AuthNote(children: Children) -> impl IntoView {
    use crate::ui::Icon;
    view! {
        <div class="auth-note" role="status">
            <Icon name="circle-alert" />
            <span>{children()}</span>
        </div>
    }
    .into_any()
}

#[component]
fn Flow() -> impl IntoView {
    use crate::ui::Icon;
    view! {
        <div class="flow">
            <span class="row"><Icon name="git-branch" small=true />"Proposed"</span>
            <Icon name="arrow-right" small=true />
            <span class="row"><Icon name="eye" small=true />"Reviewed"</span>
            <Icon name="arrow-right" small=true />
            <span class="row"><Icon name="check" small=true />"Yours"</span>
        </div>
    }
    .into_any()
}

/// What a refused form had in a field. The server gives it back (never the password), for browsers in which the page was loaded
/// anew.
pub fn typed(error: Option<&ApiError>, field: &str) -> String {
    error.and_then(|error| error.0.current.as_ref()?.get(field)?.as_str()).unwrap_or_default().to_owned()
}

/// The sentence on top of a refused form: how many fields, or what happened when it was none of them.
pub fn summary(error: &ApiError, nothing_happened: &str) -> String {
    summary_of(&error.0, nothing_happened)
}

/// As [`summary`].
pub fn summary_of(problem: &Problem, nothing_happened: &str) -> String {
    match problem.fields.len() {
        0 => problem.to_string(),
        1 => format!("One field needs another look. {nothing_happened}"),
        2 => format!("Two fields need another look. {nothing_happened}"),
        3 => format!("Three fields need another look. {nothing_happened}"),
        many => format!("{many} fields need another look. {nothing_happened}"),
    }
}
