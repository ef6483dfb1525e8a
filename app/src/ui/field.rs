use leptos::{html, prelude::*};

use super::Icon;

/// A labelled input of a form, with its hint or its error below. It is not controlled: what was typed before the page
/// came alive stays. With `bind` the signal follows the input, and setting the signal from elsewhere writes it back.
#[component]
pub fn TextField(
    label: &'static str,
    /// The name in the form; the id is made from it.
    name: &'static str,
    /// `text`, `email` or `password`.
    #[prop(default = "text")]
    kind: &'static str,
    #[prop(optional, into)] value: String,
    #[prop(optional)] bind: Option<RwSignal<String>>,
    #[prop(optional, into)] error: Signal<Option<String>>,
    #[prop(optional)] hint: &'static str,
    #[prop(optional)] autocomplete: &'static str,
    /// Says "optional" beside the label.
    #[prop(optional)]
    optional: bool,
    #[prop(optional)] required: bool,
    #[prop(optional)] autofocus: bool,
) -> impl IntoView {
    let node = NodeRef::<html::Input>::new();
    let id = format!("f-{name}");
    let note_id = format!("f-{name}-note");
    let initial = bind.map_or(value, |bind| bind.get_untracked());
    if let Some(bind) = bind {
        Effect::new(move |_| {
            let text = bind.get();
            if let Some(input) = node.get()
                && input.value() != text
            {
                input.set_value(&text);
            }
        });
    }
    let has_note = move || error.with(Option::is_some) || !hint.is_empty();
    let described = {
        let note_id = note_id.clone();
        move || has_note().then(|| note_id.clone())
    };
    let input = view! {
        <input
            id=id.clone()
            class="input"
            name=name
            type=kind
            value=initial
            autocomplete=(!autocomplete.is_empty()).then_some(autocomplete)
            autocapitalize="none"
            spellcheck="false"
            required=required
            autofocus=autofocus
            aria-invalid=move || error.with(Option::is_some).then_some("true")
            aria-describedby=described
            node_ref=node
            on:input:target=move |ev| {
                if let Some(bind) = bind {
                    bind.set(ev.target().value());
                }
            }
        />
    };
    view! {
        <div class="field">
            <label for=id>
                <span>{label}</span>
                {optional.then(|| view! { <span class="hint">"optional"</span> })}
            </label>
            {input}
            {move || match error.get() {
                Some(error) => {
                    view! {
                        <p class="err" id=note_id.clone()>
                            <Icon name="circle-alert" small=true />
                            <span>{error}</span>
                        </p>
                    }
                        .into_any()
                }
                None => {
                    (!hint.is_empty())
                        .then(|| view! { <p class="hint" id=note_id.clone()>{hint}</p> })
                        .into_any()
                }
            }}
        </div>
    }
    .into_any()
}

/// A few lines of text under a label.
#[component]
pub fn TextArea(
    label: &'static str,
    name: &'static str,
    bind: RwSignal<String>,
    #[prop(optional, into)] error: Signal<Option<String>>,
    #[prop(optional)] optional: bool,
    #[prop(optional)] hint: &'static str,
    #[prop(default = 3)] rows: u32,
) -> impl IntoView {
    let id = format!("f-{name}");
    let note_id = format!("f-{name}-note");
    let described = note_id.clone();
    view! {
        <div class="field">
            <label for=id.clone()>
                <span>{label}</span>
                {optional.then(|| view! { <span class="hint">"optional"</span> })}
            </label>
            <textarea
                id=id
                class="input"
                name=name
                rows=rows
                prop:value=move || bind.get()
                aria-invalid=move || error.with(Option::is_some).then_some("true")
                aria-describedby=move || (error.with(Option::is_some) || !hint.is_empty()).then(|| described.clone())
                on:input:target=move |ev| bind.set(ev.target().value())
            ></textarea>
            {move || match error.get() {
                Some(error) => {
                    view! {
                        <p class="err" id=note_id.clone()>
                            <Icon name="circle-alert" small=true />
                            <span>{error}</span>
                        </p>
                    }
                        .into_any()
                }
                None => (!hint.is_empty()).then(|| view! { <p class="hint" id=note_id.clone()>{hint}</p> }).into_any(),
            }}
        </div>
    }
    .into_any()
}

/// The search box of a list. It has no label on screen, so `label` names it.
#[component]
pub fn SearchField(label: &'static str, bind: RwSignal<String>, #[prop(default = "search")] icon: &'static str) -> impl IntoView {
    view! {
        <span class="with-icon">
            <Icon name=icon small=true />
            <input
                class="input input--s"
                type="search"
                aria-label=label
                placeholder=label
                autocomplete="off"
                prop:value=move || bind.get()
                on:input:target=move |ev| bind.set(ev.target().value())
            />
        </span>
    }
    .into_any()
}
