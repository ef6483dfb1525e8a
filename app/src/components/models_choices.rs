//! Which model answers when nobody picks one, and which when another fails.

use leptos::prelude::*;
use wire::models::{ManagedModel, ModelChoices};

use super::models_state::ModelsDesk;
use crate::api;

/// Saved as soon as something is chosen.
#[component]
pub fn ChoicesCard(desk: ModelsDesk) -> impl IntoView {
    let set_default = Callback::new(move |name: Option<String>| {
        let chosen = ModelChoices { default: name, ..desk.choices() };
        desk.change("Saved. It answers from the next turn on.", api::models::set_choices(chosen));
    });
    let set_backup = Callback::new(move |name: Option<String>| {
        let chosen = ModelChoices { backup: name, ..desk.choices() };
        desk.change("Saved. It answers from the next turn on.", api::models::set_choices(chosen));
    });
    view! {
        <section class="card" aria-labelledby="choices-title">
            <div class="card-head">
                <h2 id="choices-title">"What answers"</h2>
            </div>
            <div class="inset model-choices">
                <Choice
                    desk=desk
                    id="model-default"
                    label="When nobody picks one"
                    hint="People can pick any other active model in the chat."
                    unset="The first of the list"
                    value=Signal::derive(move || desk.choices().default)
                    now=Signal::derive(move || named(&desk.models(), |model| model.is_default))
                    on_choose=set_default
                />
                <Choice
                    desk=desk
                    id="model-backup"
                    label="When another one fails before its first token"
                    hint="The chat says which model went on, and why."
                    unset="None: the turn ends and says why"
                    value=Signal::derive(move || desk.choices().backup)
                    now=Signal::derive(move || named(&desk.models(), |model| model.is_backup))
                    on_choose=set_backup
                />
            </div>
        </section>
    }
    .into_any()
}

fn named(models: &[ManagedModel], wanted: impl Fn(&ManagedModel) -> bool) -> Option<String> {
    models.iter().find(|model| wanted(model)).map(|model| model.name.clone())
}

#[component]
fn Choice(
    desk: ModelsDesk,
    id: &'static str,
    label: &'static str,
    hint: &'static str,
    /// What happens where neither an administrator nor the environment chose.
    unset: &'static str,
    /// What an administrator chose.
    value: Signal<Option<String>>,
    /// What applies now, with the environment taken into account.
    now: Signal<Option<String>>,
    on_choose: Callback<Option<String>>,
) -> impl IntoView {
    let names = Memo::new(move |_| desk.models().into_iter().map(|model| model.name).collect::<Vec<_>>());
    let unchosen = move || match (value.get(), now.get()) {
        (None, Some(name)) => format!("As the environment says ({name})"),
        _ => unset.to_owned(),
    };
    let option = move |name: String| {
        let chosen = {
            let name = name.clone();
            move || value.with(|value| value.as_deref() == Some(name.as_str()))
        };
        let value = name.clone();
        view! { <option value=value prop:selected=chosen>{name}</option> }
    };
    view! {
        <div class="field">
            <label for=id>{label}</label>
            <select
                id=id
                class="select"
                aria-describedby=format!("{id}-hint")
                on:change:target=move |ev| on_choose.run(Some(ev.target().value()).filter(|name| !name.is_empty()))
            >
                <option value="" prop:selected=move || value.with(Option::is_none)>
                    {unchosen}
                </option>
                <For each=move || names.get() key=String::clone let:name>
                    {option(name)}
                </For>
            </select>
            <p class="hint" id=format!("{id}-hint")>
                {hint}
            </p>
        </div>
    }
    .into_any()
}
