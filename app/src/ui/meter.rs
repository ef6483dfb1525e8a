use leptos::prelude::*;

/// How much of a limit is used, in percent. `reserved` is drawn hatched after it. Say the numbers beside it in words.
#[component]
pub fn Meter(
    label: &'static str,
    #[prop(into)] percent: Signal<f64>,
    #[prop(optional, into)] reserved: Signal<f64>,
    /// Nearly used up.
    #[prop(optional, into)]
    warn: Signal<bool>,
) -> impl IntoView {
    let used = move || percent.get().clamp(0.0, 100.0);
    view! {
        <span
            class="meter"
            class:meter--warn=move || warn.get()
            role="meter"
            aria-label=label
            aria-valuemin="0"
            aria-valuemax="100"
            aria-valuenow=move || used().round().to_string()
        >
            <i style:width=move || format!("{:.1}%", used())></i>
            {move || {
                let reserved = reserved.get().clamp(0.0, 100.0 - used());
                (reserved > 0.0)
                    .then(|| {
                        view! { <i style:left=format!("{:.1}%", used()) style:width=format!("{reserved:.1}%")></i> }
                    })
            }}
        </span>
    }
    .into_any()
}
