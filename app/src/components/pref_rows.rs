//! Rows of settings that apply as they are changed: what it is, a sentence, and the control.

use leptos::prelude::*;

use crate::{
    components::preferences::{Saving, use_preferences},
    ui::Icon,
};

/// One of a few, all of them in view.
#[component]
pub fn ChoiceRow<T>(
    label: &'static str,
    #[prop(optional)] hint: &'static str,
    options: Vec<(T, &'static str)>,
    #[prop(into)] value: Signal<T>,
    #[prop(into)] on_choose: Callback<T>,
) -> impl IntoView
where
    T: Copy + PartialEq + Send + Sync + 'static,
{
    let option = move |(option, word): (T, &'static str)| {
        view! {
            <button
                type="button"
                aria-pressed=move || if value.get() == option { "true" } else { "false" }
                on:click=move |_| on_choose.run(option)
            >
                {word}
            </button>
        }
    };
    view! {
        <div class="pref">
            <span class="pref-what">
                <b class="medium">{label}</b>
                {(!hint.is_empty()).then(|| view! { <span class="hint">{hint}</span> })}
            </span>
            <span class="seg seg--l" role="group" aria-label=label>
                {options.into_iter().map(option).collect_view()}
            </span>
        </div>
    }
    .into_any()
}

/// On or off.
#[component]
pub fn SwitchRow(
    label: &'static str,
    name: &'static str,
    #[prop(optional)] hint: &'static str,
    #[prop(into)] value: Signal<bool>,
    #[prop(into)] on_change: Callback<bool>,
) -> impl IntoView {
    let hint_id = format!("p-{name}-hint");
    view! {
        <div class="pref">
            <label class="pref-what" for=format!("p-{name}")>
                <b class="medium">{label}</b>
                {(!hint.is_empty()).then(|| view! { <span class="hint" id=hint_id.clone()>{hint}</span> })}
            </label>
            <span class="check pref-check">
                <input
                    id=format!("p-{name}")
                    type="checkbox"
                    aria-label=label
                    aria-describedby=(!hint.is_empty()).then_some(hint_id.clone())
                    checked=value.get_untracked()
                    prop:checked=move || value.get()
                    on:change:target=move |ev| on_change.run(ev.target().checked())
                />
            </span>
        </div>
    }
    .into_any()
}

/// A whole number; what is out of bounds comes back as the nearest that is not.
#[component]
pub fn NumberRow(
    label: &'static str,
    name: &'static str,
    #[prop(optional)] hint: &'static str,
    least: u8,
    most: u8,
    /// What is counted, after the field.
    unit: &'static str,
    #[prop(into)] value: Signal<u8>,
    #[prop(into)] on_change: Callback<u8>,
) -> impl IntoView {
    let take = move |ev: leptos::ev::Targeted<leptos::ev::Event, leptos::web_sys::HtmlInputElement>| {
        let input = ev.target();
        let now = value.get_untracked();
        let wanted =
            input.value().trim().parse::<f64>().map_or(now, |number| number.round().clamp(f64::from(least), f64::from(most)) as u8);
        input.set_value(&wanted.to_string());
        if wanted != now {
            on_change.run(wanted);
        }
    };
    view! {
        <div class="pref">
            <label class="pref-what" for=format!("p-{name}")>
                <b class="medium">{label}</b>
                <span class="hint">{if hint.is_empty() { format!("{least} to {most} {unit}") } else { hint.to_owned() }}</span>
            </label>
            <input
                id=format!("p-{name}")
                class="input input--s pref-number"
                type="number"
                inputmode="numeric"
                aria-label=label
                min=least.to_string()
                max=most.to_string()
                value=value.get_untracked().to_string()
                prop:value=move || value.get().to_string()
                on:change:target=take
            />
        </div>
    }
    .into_any()
}

/// Whether what was changed is kept.
#[component]
pub fn SavingNote() -> impl IntoView {
    let prefs = use_preferences();
    // What was said of another section is old news here.
    Effect::new(move |_| {
        if prefs.saving.with_untracked(|saving| *saving != Saving::Going) {
            prefs.saving.set(Saving::Nothing);
        }
    });
    view! {
        <p class="pref-note" role="status">
            {move || match prefs.saving.get() {
                Saving::Nothing => ().into_any(),
                Saving::Going => view! { <span class="row t3"><Icon name="loader-circle" small=true class="spin" />"Saving"</span> }.into_any(),
                Saving::Saved => view! { <span class="row c-ok"><Icon name="check" small=true />"Saved"</span> }.into_any(),
                Saving::Failed(reason) => {
                    view! {
                        <span class="err">
                            <Icon name="circle-alert" small=true />
                            <span>{format!("Not saved: {reason}")}</span>
                        </span>
                    }
                        .into_any()
                }
            }}
        </p>
    }
    .into_any()
}
