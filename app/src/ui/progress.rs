use leptos::prelude::*;

/// Progress of something that runs: what, how far, and where it can be stopped a *Stop* beside it (as children).
/// `percent` is `None` while the total is not known.
#[component]
pub fn Progress(
    label: &'static str,
    #[prop(into)] text: Signal<String>,
    #[prop(into)] percent: Signal<Option<f64>>,
    #[prop(optional)] children: Option<Children>,
) -> impl IntoView {
    let value = move || percent.get().map(|p| p.clamp(0.0, 100.0));
    view! {
        <div class="stack w-full">
            <div class="row fs12 t2">
                <span class="grow" aria-live="polite">{move || text.get()}</span>
                <span class="num">{move || value().map(|p| format!("{p:.0}%"))}</span>
                {children.map(|children| children())}
            </div>
            <span
                class="meter"
                role="progressbar"
                aria-label=label
                aria-valuemin="0"
                aria-valuemax="100"
                aria-valuenow=move || value().map(|p| p.round().to_string())
            >
                <i style:width=move || format!("{:.1}%", value().unwrap_or(0.0))></i>
            </span>
        </div>
    }
    .into_any()
}
