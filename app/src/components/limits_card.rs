//! What an administrator lets runs and terminals use.

use leptos::{ev, prelude::*, task::spawn_local};
use wire::{FieldError, Problem, settings::RunSettings};

use super::{
    admin_settings::{Theirs, read_theirs},
    auth_frame::summary_of,
    limit_field::{LimitField, LimitInput},
    limits_form::{self, KINDS, LIMITS, PRESETS, SHARED, Texts},
};
use crate::{
    api,
    ui::{Button, ButtonKind, ButtonSize, ErrorSummary, TextArea, use_toasts},
};

#[derive(Clone, Copy)]
struct Form {
    texts: RwSignal<Texts>,
    hosts: RwSignal<String>,
    problem: RwSignal<Option<Problem>>,
    busy: RwSignal<bool>,
}

impl Form {
    fn show(self, settings: &RunSettings) {
        self.texts.set(limits_form::write_all(settings));
        self.hosts.set(limits_form::write_hosts(&settings.egress));
    }
}

/// Limits per kind, numbers for the whole server, and the hosts that owners may choose from; saved together.
#[component]
pub fn LimitsCard(settings: RwSignal<RunSettings>) -> impl IntoView {
    let toasts = use_toasts();
    let form = Form {
        texts: RwSignal::new(settings.with_untracked(limits_form::write_all)),
        hosts: RwSignal::new(settings.with_untracked(|settings| limits_form::write_hosts(&settings.egress))),
        problem: RwSignal::new(None),
        busy: RwSignal::new(false),
    };
    let save = move |event: ev::SubmitEvent| {
        event.prevent_default();
        if form.busy.get_untracked() {
            return;
        }
        let request = match form.texts.with_untracked(|texts| limits_form::read_all(texts, &form.hosts.get_untracked())) {
            Ok(request) => request,
            Err(fields) => {
                form.problem.set(Some(Problem::invalid(fields)));
                return;
            }
        };
        form.problem.set(None);
        form.busy.set(true);
        spawn_local(async move {
            let saved = api::settings::update_runs(request, settings.try_get_untracked()).await;
            if form.busy.try_set(false).is_some() {
                return;
            }
            match saved {
                Ok(saved) => {
                    form.show(&saved);
                    settings.set(saved);
                    toasts.show("Saved. What starts from now on keeps to it; what runs keeps what it began with.");
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
        let egress = limits_form::read_hosts(&form.hosts.get_untracked());
        form.show(&RunSettings { egress, ..RunSettings::default() });
        form.problem.set(None);
        toasts.show("The defaults are filled in. Nothing changes until you save; the hosts are as they were.");
    };
    let on_top = Signal::derive(move || form.problem.with(|problem| problem.as_ref().map(|p| summary_of(p, "Nothing was saved."))));
    view! {
        <form class="stack limits" novalidate=true on:submit=save>
            <ErrorSummary message=on_top />
            <Theirs
                problem=form.problem
                on_show=Callback::new(move |()| settings.with_untracked(|settings| form.show(settings)))
                heading=&["#limits-title"]
            />
            <LimitsTable form=form />
            <SharedLimits form=form />
            <Hosts form=form />
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
fn LimitsTable(form: Form) -> impl IntoView {
    view! {
        <section class="card" aria-labelledby="limits-title">
            <div class="card-head">
                <h2 id="limits-title">"Limits of one run"</h2>
            </div>
            <div class="over" tabindex="0" role="group" aria-label="Limits by kind of run">
                <table class="tbl tbl--bare limits-table">
                    <thead>
                        <tr>
                            <th>"At most"</th>
                            {KINDS.into_iter().map(|(_, label)| view! { <th scope="col">{label}</th> }).collect_view()}
                        </tr>
                    </thead>
                    <tbody>
                        {LIMITS
                            .into_iter()
                            .map(|limit| {
                                view! {
                                    <tr>
                                        <th scope="row">
                                            {limit.label} {(!limit.hint.is_empty()).then(|| view! { <div class="hint">{limit.hint}</div> })}
                                        </th>
                                        {KINDS
                                            .into_iter()
                                            .map(|(kind, kind_label)| {
                                                let name = limits_form::field_name(kind, limit.name);
                                                view! {
                                                    <td data-kind=kind_label>
                                                        <LimitInput texts=form.texts problem=form.problem name=name label=format!("{}, {kind_label}", limit.label) />
                                                    </td>
                                                }
                                            })
                                            .collect_view()}
                                    </tr>
                                }
                            })
                            .collect_view()}
                    </tbody>
                </table>
            </div>
        </section>
    }
    .into_any()
}

#[component]
fn SharedLimits(form: Form) -> impl IntoView {
    view! {
        <section class="card" aria-labelledby="shared-title">
            <div class="card-head">
                <h2 id="shared-title">"Queue and terminals"</h2>
            </div>
            <div class="inset limits-shared">
                {SHARED.into_iter().map(|limit| view! { <LimitField texts=form.texts problem=form.problem limit=limit /> }).collect_view()}
            </div>
        </section>
    }
    .into_any()
}

#[component]
fn Hosts(form: Form) -> impl IntoView {
    let error = Signal::derive(move || {
        let fields: Vec<FieldError> = form.problem.with(|problem| problem.as_ref().map(|p| p.fields.clone()).unwrap_or_default());
        let texts: Vec<String> = fields.into_iter().filter(|field| field.field == "egress").map(|field| field.message).collect();
        (!texts.is_empty()).then(|| texts.join(" "))
    });
    let add = move |hosts: &'static [&'static str]| {
        form.hosts.update(|text| {
            let mut rules = limits_form::read_hosts(text);
            for host in hosts {
                let rule = wire::network::HostRule((*host).to_owned());
                if !rules.contains(&rule) {
                    rules.push(rule);
                }
            }
            *text = limits_form::write_hosts(&rules);
        });
    };
    view! {
        <section class="card" aria-labelledby="hosts-title">
            <div class="card-head">
                <h2 id="hosts-title">"Network"</h2>
            </div>
            <div class="inset stack">
                <p class="t2">
                    "Runs have no network. Owners can open these hosts for their projects, and no others; while the list is empty, no run reaches anything."
                </p>
                <TextArea label="Hosts that owners may open, one a line" name="egress" bind=form.hosts error=error rows=6 />
                <div class="row wrap-row" role="group" aria-label="Add hosts">
                    {PRESETS
                        .into_iter()
                        .map(|(name, hosts)| {
                            view! {
                                <Button size=ButtonSize::Small icon="plus" title=hosts.join(", ") on_click=move |_| add(hosts)>
                                    {name}
                                </Button>
                            }
                        })
                        .collect_view()}
                </div>
            </div>
        </section>
    }
    .into_any()
}
