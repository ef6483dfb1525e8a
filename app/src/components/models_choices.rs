//! Which model answers when nobody picks one, and which when another fails.

use leptos::{html, prelude::*, task::spawn_local};
use wire::models::{ManagedModel, ModelChoices};

use super::{admin_settings::read_theirs, models_state::ModelsDesk};
use crate::api;

/// Saves what was chosen, based on the choices on screen. Where somebody else has changed these, theirs are shown, and the sentence keeps
/// `name`, what was wanted here.
fn save(desk: ModelsDesk, chosen: ModelChoices, name: Option<String>, refused: RwSignal<u32>) {
    desk.failure.set(None);
    spawn_local(async move {
        match api::models::set_choices(chosen).await {
            Ok(now) => {
                desk.view.try_set(Some(now));
                desk.toasts.show("Saved. It answers from the next turn on.");
            }
            Err(error) => {
                let mut text = error.to_string();
                if let Some(theirs) = read_theirs::<ModelChoices>(&error.0) {
                    text.push_str(&format!(" You had chosen {}.", name.unwrap_or_else(|| "none here".to_owned())));
                    desk.view.try_update(|view| {
                        if let Some(view) = view {
                            view.choices = theirs;
                        }
                    });
                }
                desk.failure.try_set(Some(text));
                refused.try_update(|count| *count += 1);
                desk.reload();
            }
        }
    });
}

/// Saved as soon as something is chosen.
#[component]
pub fn ChoicesCard(desk: ModelsDesk) -> impl IntoView {
    let refused = RwSignal::new(0_u32);
    let set_default = Callback::new(move |name: Option<String>| {
        let chosen = ModelChoices { default: name.clone(), ..untrack(|| desk.choices()) };
        save(desk, chosen, name, refused);
    });
    let set_backup = Callback::new(move |name: Option<String>| {
        let chosen = ModelChoices { backup: name.clone(), ..untrack(|| desk.choices()) };
        save(desk, chosen, name, refused);
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
                    refused=refused
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
                    refused=refused
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
    /// Counts up when a choice was not saved: the field goes back to what holds.
    refused: RwSignal<u32>,
    on_choose: Callback<Option<String>>,
) -> impl IntoView {
    let field = NodeRef::<html::Select>::new();
    Effect::new(move |_| {
        if refused.get() > 0
            && let Some(field) = field.get_untracked()
        {
            field.set_value(&value.get_untracked().unwrap_or_default());
        }
    });
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
                node_ref=field
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
