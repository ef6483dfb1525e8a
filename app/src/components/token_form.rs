//! The form for a new API token.

use leptos::{ev, prelude::*, task::spawn_local};
use wire::{
    Problem, ProjectId, limits,
    tokens::{CreateToken, Scope},
};

use super::{auth_frame::summary_of, token_card::TokenDesk};
use crate::{
    api,
    ui::{Dialog, DialogActions, ErrorSummary, Icon, SearchField, TextField},
};

/// Days that are offered; none never ends.
const ENDS: [(Option<u32>, &str); 5] =
    [(Some(7), "7 days"), (Some(30), "30 days"), (Some(90), "90 days"), (Some(365), "365 days"), (None, "Never")];
const FIRST_END: Option<u32> = Some(30);

fn sentence(scope: Scope) -> &'static str {
    match scope {
        Scope::Read => "Look at projects, files, runs, conversations and events.",
        Scope::Write => "Change files, projects, members and checkpoints.",
        Scope::Run => "Run commands and tests, open terminals and previews.",
        Scope::Agent => "Talk to the agent, decide on its changes, and use models. It costs what models cost.",
        Scope::Admin => "Do what administrators do: accounts, jobs, models, settings.",
    }
}

/// What is being filled in.
#[derive(Clone, Copy)]
struct Form {
    name: RwSignal<String>,
    scopes: RwSignal<Vec<Scope>>,
    only_some: RwSignal<bool>,
    chosen: RwSignal<Vec<ProjectId>>,
    ends: RwSignal<Option<u32>>,
    problem: RwSignal<Option<Problem>>,
    busy: RwSignal<bool>,
}

impl Form {
    fn new() -> Self {
        Self {
            name: RwSignal::new(String::new()),
            scopes: RwSignal::new(vec![Scope::Read]),
            only_some: RwSignal::new(false),
            chosen: RwSignal::new(Vec::new()),
            ends: RwSignal::new(FIRST_END),
            problem: RwSignal::new(None),
            busy: RwSignal::new(false),
        }
    }

    fn clear(self) {
        self.name.set(String::new());
        self.scopes.set(vec![Scope::Read]);
        self.only_some.set(false);
        self.chosen.set(Vec::new());
        self.ends.set(FIRST_END);
        self.problem.set(None);
    }

    fn request(self) -> CreateToken {
        CreateToken {
            name: self.name.get_untracked(),
            scopes: self.scopes.get_untracked(),
            projects: self.only_some.get_untracked().then(|| self.chosen.get_untracked()),
            expires_in_days: self.ends.get_untracked(),
        }
    }

    fn error(self, field: &'static str) -> Signal<Option<String>> {
        Signal::derive(move || self.problem.with(|problem| problem.as_ref()?.field(field).map(str::to_owned)))
    }
}

fn switch<T: PartialEq>(list: &mut Vec<T>, item: T, on: bool) {
    list.retain(|other| *other != item);
    if on {
        list.push(item);
    }
}

#[component]
pub fn TokenForm(desk: TokenDesk) -> impl IntoView {
    let form = Form::new();
    Effect::new(move |_| {
        if desk.making.get() {
            form.clear();
        }
    });
    let save = move |event: ev::SubmitEvent| {
        event.prevent_default();
        if form.busy.get_untracked() {
            return;
        }
        let request = form.request();
        let wrong = request.validate();
        if !wrong.is_empty() {
            form.problem.set(Some(Problem::invalid(wrong)));
            return;
        }
        form.busy.set(true);
        spawn_local(async move {
            let made = api::tokens::create(request).await;
            if form.busy.try_set(false).is_some() {
                return;
            }
            match made {
                Ok(made) => {
                    desk.making.set(false);
                    desk.tokens.update(|tokens| tokens.insert(0, made.token.clone()));
                    desk.made.set(Some(made));
                }
                Err(error) => form.problem.set(Some(error.0)),
            }
        });
    };
    let on_top = Signal::derive(move || form.problem.with(|p| p.as_ref().map(|p| summary_of(p, "No token was made."))));
    view! {
        <Dialog open=desk.making title="New token" locked=form.busy>
            <form novalidate=true on:submit=save>
                <ErrorSummary message=on_top />
                <TextField
                    label="Name"
                    name="token_name"
                    bind=form.name
                    error=form.error("name")
                    hint="What uses it, such as Nightly build."
                    autocomplete="off"
                    autofocus=true
                />
                <Scopes form=form is_admin=desk.is_admin />
                <Reach form=form desk=desk />
                <Ends form=form />
                <DialogActions open=desk.making busy=form.busy>
                    "Make token"
                </DialogActions>
            </form>
        </Dialog>
    }
    .into_any()
}

#[component]
fn FieldNote(error: Signal<Option<String>>) -> impl IntoView {
    move || {
        error.get().map(|text| {
            view! {
                <p class="err" role="alert">
                    <Icon name="circle-alert" small=true />
                    <span>{text}</span>
                </p>
            }
        })
    }
}

#[component]
fn Scopes(form: Form, is_admin: bool) -> impl IntoView {
    let offered = Scope::ALL.into_iter().filter(|scope| is_admin || *scope != Scope::Admin);
    view! {
        <fieldset class="field">
            <legend>"What it may do"</legend>
            {offered
                .map(|scope| {
                    view! {
                        <label class="choice">
                            <input
                                type="checkbox"
                                prop:checked=move || form.scopes.with(|scopes| scopes.contains(&scope))
                                on:change:target=move |ev| {
                                    let on = ev.target().checked();
                                    form.scopes.update(|scopes| switch(scopes, scope, on));
                                }
                            />
                            <span>
                                {scope.word()}
                                <span class="hint">{sentence(scope)}</span>
                            </span>
                        </label>
                    }
                })
                .collect_view()}
            <FieldNote error=form.error("scopes") />
        </fieldset>
    }
    .into_any()
}

#[component]
fn Reach(form: Form, desk: TokenDesk) -> impl IntoView {
    let radio = move |some: bool, label: &'static str, hint: &'static str| {
        view! {
            <label class="choice">
                <input
                    type="radio"
                    name="token-reach"
                    prop:checked=move || form.only_some.get() == some
                    on:change=move |_| form.only_some.set(some)
                />
                <span>
                    {label}
                    <span class="hint">{hint}</span>
                </span>
            </label>
        }
    };
    view! {
        <fieldset class="field">
            <legend>"Where"</legend>
            {radio(false, "All projects", "Those that you are in, also later ones.")}
            {radio(true, "Some projects", "Only those that you choose here.")}
            <Show when=move || form.only_some.get()>
                <Picker form=form desk=desk />
            </Show>
            <FieldNote error=form.error("projects") />
        </fieldset>
    }
    .into_any()
}

#[component]
fn Picker(form: Form, desk: TokenDesk) -> impl IntoView {
    let query = RwSignal::new(String::new());
    let found = move || {
        let wanted = query.get().trim().to_lowercase();
        desk.projects.with(|projects| {
            let fits = projects.iter().filter(|project| project.name.to_lowercase().contains(&wanted));
            fits.take(limits::TOKEN_PROJECTS_MAX).map(|project| (project.id, project.name.clone())).collect::<Vec<_>>()
        })
    };
    let none_fits = move || found().is_empty();
    view! {
        <div class="picker" role="group" aria-label="Projects">
            <SearchField label="Search your projects" bind=query />
            <ul class="picker-list">
                <For each=found key=|(id, _)| *id let((id, name))>
                    <li>
                        <label class="check">
                            <input
                                type="checkbox"
                                prop:checked=move || form.chosen.with(|chosen| chosen.contains(&id))
                                on:change:target=move |ev| {
                                    let on = ev.target().checked();
                                    form.chosen.update(|chosen| switch(chosen, id, on));
                                }
                            />
                            <span class="clip">{name}</span>
                        </label>
                    </li>
                </For>
            </ul>
            <p class="hint" role="status">
                {move || match (desk.projects.with(Vec::is_empty), none_fits()) {
                    (true, _) => "You are in no project yet. A token for all projects reaches later ones.".to_owned(),
                    (false, true) => "No project of yours has such a name.".to_owned(),
                    (false, false) => format!("{} chosen", form.chosen.with(Vec::len)),
                }}
            </p>
        </div>
    }
    .into_any()
}

#[component]
fn Ends(form: Form) -> impl IntoView {
    let choose = move |word: String| form.ends.set(word.parse().ok());
    view! {
        <div class="field">
            <label for="f-token-end">"Ends after"</label>
            <select id="f-token-end" class="select" on:change:target=move |ev| choose(ev.target().value())>
                {ENDS
                    .into_iter()
                    .map(|(days, label)| {
                        let word = days.map_or_else(|| "never".to_owned(), |days| days.to_string());
                        view! {
                            <option value=word prop:selected=move || form.ends.get() == days>
                                {label}
                            </option>
                        }
                    })
                    .collect_view()}
            </select>
            <Show when=move || form.ends.get().is_none()>
                <p class="row c-warn fs12" role="status">
                    <Icon name="triangle-alert" small=true />
                    "It works until somebody revokes it, also after it leaked unseen. Choose an end where you can."
                </p>
            </Show>
            <FieldNote error=form.error("expires_in_days") />
        </div>
    }
    .into_any()
}
