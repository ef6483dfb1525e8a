//! One value with its unit in a form of limits, and what is wrong with it.

use leptos::prelude::*;
use wire::Problem;

use super::limits_form::{Limit, Texts};
use crate::ui::Icon;

/// The value alone, where a table says what it is. `label` is for those who don't see the table; empty where a `label` element names it.
#[component]
pub fn LimitInput(texts: RwSignal<Texts>, problem: RwSignal<Option<Problem>>, name: String, label: String) -> impl IntoView {
    let name = StoredValue::new(name);
    let error = Memo::new(move |_| problem.with(|problem| name.with_value(|name| problem.as_ref()?.field(name).map(str::to_owned))));
    let note = name.with_value(|name| format!("f-{name}-note"));
    let described = note.clone();
    view! {
        <input
            class="input input--s num"
            id=name.with_value(|name| format!("f-{name}"))
            name=name.get_value()
            type="text"
            autocomplete="off"
            spellcheck="false"
            aria-label=(!label.is_empty()).then_some(label)
            aria-invalid=move || error.with(Option::is_some).then_some("true")
            aria-describedby=move || error.with(Option::is_some).then(|| described.clone())
            prop:value=move || texts.with(|texts| name.with_value(|name| texts.get(name).cloned()).unwrap_or_default())
            on:input:target=move |ev| {
                texts.update(|texts| {
                    texts.insert(name.get_value(), ev.target().value());
                });
            }
        />
        {move || {
            error
                .get()
                .map(|text| {
                    view! {
                        <p class="err" id=note.clone()>
                            <Icon name="circle-alert" small=true />
                            <span>{text}</span>
                        </p>
                    }
                })
        }}
    }
    .into_any()
}

/// The value below its name, with what it means.
#[component]
pub fn LimitField(texts: RwSignal<Texts>, problem: RwSignal<Option<Problem>>, limit: Limit) -> impl IntoView {
    view! {
        <div class="field">
            <label for=format!("f-{}", limit.name)>{limit.label}</label>
            <LimitInput texts=texts problem=problem name=limit.name.to_owned() label=String::new() />
            <p class="hint">{limit.hint}</p>
        </div>
    }
    .into_any()
}
