//! What administrators choose for accounts and for the edge, and who changed what last. All of it holds at once.

use std::sync::Arc;

use leptos::{ev, prelude::*, task::spawn_local};
use serde::de::DeserializeOwned;
use wire::{
    ErrorCode, FieldError, Problem, UserId,
    admin::SettingsChange,
    settings::{AccountSettings, Rate, RateSettings, Registration, SecondFactorDuty},
};

use super::{
    admin_confirm::{Ask, ConfirmDialog},
    admin_list::Remote,
    auth_frame::summary_of,
};
use crate::{
    api,
    ui::{Button, ButtonKind, ErrorSummary, RelativeTime, TextArea, TextField, focus, use_toasts},
};

/// On top of settings that were refused.
const NOT_SAVED: &str = "Nothing was saved.";

/// Who changed these settings last; `again` counts up when they were saved.
#[component]
pub fn ChangedLast(name: &'static str, again: RwSignal<u32>) -> impl IntoView {
    let key = Memo::new(move |_| again.get());
    let changes = Remote::follow(None::<Vec<SettingsChange>>, key, |_| api::admin::settings_changes());
    let line = move || {
        let found = changes.get()?.into_iter().find(|change| change.name == name);
        Some(match found {
            Some(change) => view! {
                <p class="hint" role="status">
                    {format!("Changed last by {} ", change.by.map_or_else(|| "the command line".to_owned(), |user| user.name))}
                    <RelativeTime at=change.at class="" />
                </p>
            }
            .into_any(),
            None => {
                view! { <p class="hint">"Nobody has changed these yet: the defaults and the environment's values hold."</p> }.into_any()
            }
        })
    };
    line.into_any()
}

/// What somebody else saved while the form was open, as the server answers it.
pub fn read_theirs<T: DeserializeOwned>(problem: &Problem) -> Option<T> {
    let current = problem.current.clone().filter(|_| problem.code == ErrorCode::Conflict)?;
    serde_json::from_value(current).ok()
}

/// Where somebody else saved meanwhile: their values in the place of what was typed. Saving replaces them otherwise.
#[component]
pub fn Theirs(problem: RwSignal<Option<Problem>>, on_show: Callback<()>, heading: &'static [&'static str]) -> impl IntoView {
    let is_due = Memo::new(move |_| problem.with(|problem| problem.as_ref().is_some_and(|problem| problem.code == ErrorCode::Conflict)));
    let show = move |_| {
        on_show.run(());
        problem.set(None);
        focus::recover(heading);
    };
    view! {
        <Show when=move || is_due.get()>
            <div class="acts">
                <Button icon="eye" on_click=show>"Show what is saved now"</Button>
                <span class="hint">"Saving replaces it with your entries."</span>
            </div>
        </Show>
    }
    .into_any()
}

/// Who may have an account, and how they sign in.
#[component]
pub fn AccountsCard(settings: AccountSettings, me: UserId) -> impl IntoView {
    let toasts = use_toasts();
    let saved = RwSignal::new(0_u32);
    let busy = RwSignal::new(false);
    let problem = RwSignal::new(None::<Problem>);
    let ask = RwSignal::new(None::<Ask>);
    let registration = RwSignal::new(settings.registration);
    let duty = RwSignal::new(settings.require_second_factor);
    let days = RwSignal::new(settings.session_days.to_string());
    let domains = RwSignal::new(settings.allowed_email_domains.join("\n"));
    let read = move || AccountSettings {
        registration: registration.get_untracked(),
        require_second_factor: duty.get_untracked(),
        session_days: days.with_untracked(|days| days.trim().parse().unwrap_or(0)),
        allowed_email_domains: domains.with_untracked(|text| text.split([',', '\n', ' ']).map(str::to_owned).collect()),
    };
    // What the form began with, or what was shown of a change by somebody else.
    let base = RwSignal::new(settings);
    let show = move || {
        base.with_untracked(|now| {
            registration.set(now.registration);
            duty.set(now.require_second_factor);
            days.set(now.session_days.to_string());
            domains.set(now.allowed_email_domains.join("\n"));
        });
    };
    let send = Callback::new(move |()| {
        let wanted = read();
        busy.set(true);
        spawn_local(async move {
            let answer = api::settings::update_accounts(wanted, base.try_get_untracked()).await;
            if busy.try_set(false).is_some() {
                return;
            }
            match answer {
                Ok(now) => {
                    problem.set(None);
                    base.set(now);
                    show();
                    saved.update(|n| *n += 1);
                    toasts.show("Saved. It holds from the next request on.");
                }
                Err(refused) => {
                    if let Some(theirs) = read_theirs(&refused.0) {
                        base.set(theirs);
                        saved.update(|n| *n += 1);
                    }
                    problem.set(Some(refused.0));
                }
            }
        });
    });
    let save = move |event: ev::SubmitEvent| {
        event.prevent_default();
        if busy.get_untracked() {
            return;
        }
        let wanted = read();
        let mut checked = wanted.clone();
        checked.normalize();
        let fields = checked.validate();
        if !fields.is_empty() {
            return problem.set(Some(Problem::invalid(fields)));
        }
        problem.set(None);
        let asked_before = base.with_untracked(|base| base.require_second_factor != SecondFactorDuty::Nobody);
        if wanted.require_second_factor == SecondFactorDuty::Nobody || asked_before {
            return send.run(());
        }
        // Whoever asks for it of others without having it would stand before the closed door too.
        busy.set(true);
        spawn_local(async move {
            let own = api::admin::user(me).await;
            if busy.try_set(false).is_some() {
                return;
            }
            match own {
                Ok(detail) if detail.user.second_factor => send.run(()),
                Ok(_) => ask.set(Some(Ask {
                    title: "You have no second factor yourself".to_owned(),
                    text: "Everybody it is asked of, you included, has to set one up before anything else works. Set yours up first under Settings, Security, to be sure that your device does its part."
                        .to_owned(),
                    verb: "Ask for it all the same",
                    run: Arc::new(move || send.run(())),
                })),
                Err(refused) => problem.set(Some(refused.0)),
            }
        });
    };
    let field = move |wanted: &'static str| Signal::derive(move || problem.with(|p| p.as_ref()?.field(wanted).map(str::to_owned)));
    let on_top = Signal::derive(move || problem.with(|p| p.as_ref().map(|p| summary_of(p, NOT_SAVED))));
    view! {
        <section class="card" aria-labelledby="accounts-title">
            <div class="card-head">
                <h2 id="accounts-title">"Accounts and signing in"</h2>
            </div>
            <form class="stack inset form-narrow" novalidate=true on:submit=save>
                <ErrorSummary message=on_top />
                <Theirs problem=problem on_show=Callback::new(move |()| show()) heading=&["#accounts-title"] />
                <Choice
                    id="registration"
                    label="Who may make an account"
                    value=registration
                    choices=vec![
                        (Registration::Open, "Everybody who reaches this site"),
                        (Registration::Invite, "Whoever has an invitation of an administrator"),
                        (Registration::Closed, "Nobody; only administrators make accounts"),
                    ]
                />
                <TextArea
                    label="E-mail domains that may sign up"
                    name="allowed_email_domains"
                    bind=domains
                    error=field("allowed_email_domains")
                    optional=true
                    hint="One a line, such as example.org. Empty: all. Invitations to one address are not bound by it."
                />
                <p class="hint">
                    "Only what is typed is compared, at sign-up and when an address is changed: nobody has to prove that it is theirs, so this list alone keeps out nobody who types an address of yours. To let in only people you know, choose invitations above and invite each address; its link is mailed where mail is set up, else hand it over on a way that only they read. Addresses that come from a sign-in provider are confirmed there."
                </p>
                <Choice
                    id="second-factor"
                    label="Who has to have a second factor"
                    value=duty
                    choices=vec![
                        (SecondFactorDuty::Nobody, "Nobody; everybody may"),
                        (SecondFactorDuty::Administrators, "Administrators"),
                        (SecondFactorDuty::Everybody, "Everybody"),
                    ]
                />
                <TextField
                    label="Days that a session lasts without use"
                    name="session_days"
                    bind=days
                    error=field("session_days")
                    hint="1 to 365."
                    autocomplete="off"
                />
                <div class="acts">
                    <Button kind=ButtonKind::Primary submit=true busy=busy>"Save"</Button>
                </div>
                <ChangedLast name="accounts" again=saved />
            </form>
        </section>
        <ConfirmDialog ask=ask />
    }
    .into_any()
}

#[component]
fn Choice<T>(id: &'static str, label: &'static str, value: RwSignal<T>, choices: Vec<(T, &'static str)>) -> impl IntoView
where
    T: Copy + PartialEq + Send + Sync + 'static,
{
    let of = choices.clone();
    let values: Vec<T> = choices.iter().map(|(choice, _)| *choice).collect();
    let at = Memo::new(move |_| values.iter().position(|choice| *choice == value.get()).unwrap_or_default());
    view! {
        <div class="field">
            <label for=id>{label}</label>
            <select
                id=id
                class="select"
                prop:value=move || at.get().to_string()
                on:change:target=move |event| {
                    let at: usize = event.target().value().parse().unwrap_or(0);
                    if let Some((chosen, _)) = of.get(at) {
                        value.set(*chosen);
                    }
                }
            >
                {choices
                    .into_iter()
                    .enumerate()
                    .map(|(n, (_, text))| {
                        view! {
                            <option value=n.to_string() selected=move || at.get() == n>
                                {text}
                            </option>
                        }
                    })
                    .collect_view()}
            </select>
        </div>
    }
    .into_any()
}

/// Name in the request, label, what it is about.
const CLASSES: [(&str, &str, &str); 6] = [
    ("sign_in", "Signing in", "Also signing up and new passwords; by address"),
    ("model_calls", "Models", "Turns of the agent and generated text"),
    ("writes", "Changes", "Everything that changes something"),
    ("reads", "Reading", "Everything else"),
    ("streams", "Connections", "Event streams, terminals and sockets"),
    ("address", "One address", "All requests from it, whoever sends them"),
];

fn rate_of(settings: &RateSettings, class: &str) -> Rate {
    match class {
        "sign_in" => settings.sign_in,
        "model_calls" => settings.model_calls,
        "writes" => settings.writes,
        "streams" => settings.streams,
        "address" => settings.address,
        _ => settings.reads,
    }
}

type Texts = [(RwSignal<String>, RwSignal<String>); 6];

fn read_rates(texts: &Texts) -> Result<RateSettings, Vec<FieldError>> {
    let mut wrong = Vec::new();
    let mut read = |n: usize| {
        let mut one = |text: RwSignal<String>, name: &str| {
            text.with_untracked(|text| text.trim().parse::<u32>()).unwrap_or_else(|_| {
                wrong.push(FieldError::new(format!("{}.{name}", CLASSES[n].0), "Write a whole number."));
                0
            })
        };
        Rate { per_minute: one(texts[n].0, "per_minute"), burst: one(texts[n].1, "burst") }
    };
    let settings =
        RateSettings { sign_in: read(0), model_calls: read(1), writes: read(2), reads: read(3), streams: read(4), address: read(5) };
    if wrong.is_empty() {
        wrong = settings.validate();
    }
    if wrong.is_empty() { Ok(settings) } else { Err(wrong) }
}

/// How many requests one caller may send.
#[component]
pub fn RatesCard(settings: RateSettings) -> impl IntoView {
    let toasts = use_toasts();
    let saved = RwSignal::new(0_u32);
    let busy = RwSignal::new(false);
    let problem = RwSignal::new(None::<Problem>);
    let texts: Texts = CLASSES.map(|(class, ..)| {
        let rate = rate_of(&settings, class);
        (RwSignal::new(rate.per_minute.to_string()), RwSignal::new(rate.burst.to_string()))
    });
    let base = RwSignal::new(settings);
    let show = move |settings: &RateSettings| {
        for (n, (class, ..)) in CLASSES.into_iter().enumerate() {
            let rate = rate_of(settings, class);
            texts[n].0.set(rate.per_minute.to_string());
            texts[n].1.set(rate.burst.to_string());
        }
    };
    let save = move |event: ev::SubmitEvent| {
        event.prevent_default();
        if busy.get_untracked() {
            return;
        }
        let request = match read_rates(&texts) {
            Ok(request) => request,
            Err(fields) => return problem.set(Some(Problem::invalid(fields))),
        };
        problem.set(None);
        busy.set(true);
        spawn_local(async move {
            let answer = api::admin::update_rates(request, base.try_get_untracked()).await;
            if busy.try_set(false).is_some() {
                return;
            }
            match answer {
                Ok(now) => {
                    show(&now);
                    base.set(now);
                    saved.update(|n| *n += 1);
                    toasts.show("Saved. It holds within seconds.");
                }
                Err(refused) => {
                    if let Some(theirs) = read_theirs(&refused.0) {
                        base.set(theirs);
                        saved.update(|n| *n += 1);
                    }
                    problem.set(Some(refused.0));
                }
            }
        });
    };
    let reset = move |_| {
        show(&RateSettings::default());
        problem.set(None);
        toasts.show("The defaults are filled in. Nothing changes until you save.");
    };
    let on_top = Signal::derive(move || problem.with(|p| p.as_ref().map(|p| summary_of(p, NOT_SAVED))));
    let input = move |n: usize, name: &'static str, label: &'static str, text: RwSignal<String>| {
        let field = format!("{}.{name}", CLASSES[n].0);
        let note_id = format!("rate-{}-{name}-note", CLASSES[n].0);
        let described = note_id.clone();
        let wrong = Memo::new(move |_| problem.with(|p| p.as_ref()?.field(&field).map(str::to_owned)));
        view! {
            <td data-label=label>
                <input
                    class="input input--s rate"
                    inputmode="numeric"
                    autocomplete="off"
                    aria-label=format!("{}, {label}", CLASSES[n].1)
                    aria-invalid=move || wrong.with(Option::is_some).then_some("true")
                    aria-describedby=move || wrong.with(Option::is_some).then(|| described.clone())
                    prop:value=move || text.get()
                    value=text.get_untracked()
                    on:input:target=move |event| text.set(event.target().value())
                />
                {move || wrong.get().map(|wrong| view! { <p class="err" id=note_id.clone()>{wrong}</p> })}
            </td>
        }
    };
    view! {
        <section class="card" aria-labelledby="rates-title">
            <div class="card-head">
                <h2 id="rates-title">"Requests of one caller"</h2>
            </div>
            <form novalidate=true on:submit=save>
                <div class="inset stack">
                    <p class="t2">
                        "A caller is a person, one of their API tokens, or an address while nobody is signed in. Who sends more is told to wait, and for how long."
                    </p>
                    <ErrorSummary message=on_top />
                    <Theirs problem=problem on_show=Callback::new(move |()| base.with_untracked(show)) heading=&["#rates-title"] />
                </div>
                <div class="over" tabindex="0" role="group" aria-label="Requests of one caller">
                    <table class="tbl tbl--bare tbl--cards">
                        <thead>
                            <tr>
                                <th scope="col">"What"</th>
                                <th scope="col">"A minute"</th>
                                <th scope="col">"At once"</th>
                            </tr>
                        </thead>
                        <tbody>
                            {CLASSES
                                .into_iter()
                                .enumerate()
                                .map(|(n, (_, label, hint))| {
                                    view! {
                                        <tr>
                                            <th scope="row">{label} <div class="hint">{hint}</div></th>
                                            {input(n, "per_minute", "A minute", texts[n].0)}
                                            {input(n, "burst", "At once", texts[n].1)}
                                        </tr>
                                    }
                                })
                                .collect_view()}
                        </tbody>
                    </table>
                </div>
                <div class="inset stack">
                    <div class="acts">
                        <Button kind=ButtonKind::Primary submit=true busy=busy>"Save rates"</Button>
                        <Button disabled=busy on_click=reset>"Reset to defaults"</Button>
                    </div>
                    <ChangedLast name="rates" again=saved />
                </div>
            </form>
        </section>
    }
    .into_any()
}
