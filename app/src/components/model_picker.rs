//! Choosing a model: what it is called, where it is, what it costs and how fast it was measured to be.

use leptos::{ev, prelude::*, task::spawn_local};
use wire::models::{ModelInfo, ModelMetrics, Models, Prices, show_price};

use crate::{
    api,
    ui::{Badge, Icon, Menu, MenuState, menu::open_from},
};

/// `$3.00 in · $15.00 out`, per million tokens.
pub fn price_line(prices: Prices) -> String {
    if prices == Prices::default() {
        return "No price set".to_owned();
    }
    format!("{} in · {} out", show_price(prices.input), show_price(prices.output))
}

/// `$3.00 / $15.00 / $0.30 / $3.75`: input, output, cached input, cache writes.
pub fn price_list(prices: Prices) -> String {
    [prices.input, prices.output, prices.cached, prices.of_cache_writes()].map(show_price).join(" / ")
}

/// `128k`, `1M`: tokens as models are described by.
pub fn tokens_short(tokens: i64) -> String {
    match tokens {
        1_000_000.. => format!("{}M", (tokens as f64 / 100_000.0).round() / 10.0),
        1000.. => format!("{}k", tokens / 1000),
        _ => tokens.to_string(),
    }
}

/// `40 ms`, `0.8 s`, or a dash without data.
pub fn first_token(metrics: &ModelMetrics) -> String {
    match metrics.first_token_ms {
        None => "—".to_owned(),
        Some(ms @ ..100) => format!("{ms} ms"),
        Some(ms) => format!("{:.1} s", ms as f64 / 1000.0),
    }
}

/// `54`, or a dash without data.
pub fn speed(metrics: &ModelMetrics) -> String {
    metrics.tokens_per_second.map_or_else(|| "—".to_owned(), |rate| format!("{rate:.0}"))
}

/// `98 %`, or a dash without data.
pub fn share(rate: Option<f64>) -> String {
    rate.map_or_else(|| "—".to_owned(), |rate| format!("{:.0} %", rate * 100.0))
}

fn speed_line(metrics: &ModelMetrics) -> String {
    if metrics.first_token_ms.is_none() && metrics.tokens_per_second.is_none() {
        return "Not measured yet".to_owned();
    }
    format!("{} to the first token · {} tokens/s", first_token(metrics), speed(metrics))
}

/// How its calls and its changes ended; `None` where nothing was measured.
fn quality_line(metrics: &ModelMetrics) -> Option<String> {
    if metrics.success_rate.is_none() && metrics.acceptance_rate.is_none() {
        return None;
    }
    Some(format!("{} of calls ended well · {} of changes accepted", share(metrics.success_rate), share(metrics.acceptance_rate)))
}

/// The version, and what it is asked with.
fn settings_line(item: &ModelInfo) -> String {
    let reasoning = item.reasoning.as_ref().map(|word| format!(" · reasoning {word}")).unwrap_or_default();
    format!("Version {} · temperature {}{reasoning}", item.version, item.temperature)
}

/// A button with the chosen model's name; it opens the list. `models` is read again whenever the list opens, so that what an administrator
/// turned off is gone from it.
#[component]
pub fn ModelPicker(
    models: RwSignal<Option<Models>>,
    /// The name of the model that the next turn uses.
    #[prop(into)]
    chosen: Signal<Option<String>>,
    #[prop(into)] on_choose: Callback<String>,
) -> impl IntoView {
    let state = MenuState::new();
    let open = move |event: ev::MouseEvent| {
        open_from(state, &event);
        spawn_local(async move {
            if let Ok(found) = api::models::list().await
                && models.try_with_untracked(|shown| shown.as_ref() != Some(&found)) == Some(true)
            {
                models.try_set(Some(found));
            }
        });
    };
    let label = move || match chosen.get() {
        Some(name) => format!("Model: {name}"),
        None => "Model: none is connected".to_owned(),
    };
    view! {
        <Show when=move || models.with(|models| models.as_ref().is_some_and(|models| !models.items.is_empty()))>
            <button
                type="button"
                class="select select--s clip compose-model"
                aria-haspopup="menu"
                aria-expanded=move || if state.is_open() { "true" } else { "false" }
                aria-label=label
                title=label
                on:click=open
            >
                <span class="clip">{move || chosen.get()}</span>
                <Icon name="chevron-down" small=true />
            </button>
            <Menu state=state label="Model">
                <Options state=state models=models chosen=chosen on_choose=on_choose />
            </Menu>
        </Show>
    }
    .into_any()
}

#[component]
fn Options(
    state: MenuState,
    models: RwSignal<Option<Models>>,
    chosen: Signal<Option<String>>,
    on_choose: Callback<String>,
) -> impl IntoView {
    let items = Memo::new(move |_| models.with(|models| models.as_ref().map(|models| models.items.clone()).unwrap_or_default()));
    let names = Memo::new(move |_| items.with(|items| items.iter().map(|item| item.name.clone()).collect::<Vec<_>>()));
    let needs_key = move || items.with(|items| items.iter().any(|item| item.needs_key));
    view! {
        <For each=move || names.get() key=String::clone let:name>
            <ModelOption state=state name=name items=items chosen=chosen on_choose=on_choose />
        </For>
        <Show when=needs_key>
            <div role="separator"></div>
            <a role="menuitem" tabindex="-1" class="model-keys" href="/settings/models">
                <Icon name="key-round" small=true />
                "Add a key of your own"
            </a>
        </Show>
    }
    .into_any()
}

/// One row. It stays the same element while what is known of the model changes, so that it keeps the focus.
#[component]
fn ModelOption(
    state: MenuState,
    name: String,
    items: Memo<Vec<ModelInfo>>,
    chosen: Signal<Option<String>>,
    on_choose: Callback<String>,
) -> impl IntoView {
    let name = StoredValue::new(name);
    let item = Memo::new(move |_| name.with_value(|name| items.with(|items| items.iter().find(|item| item.name == *name).cloned())));
    let is_chosen = move || name.with_value(|name| chosen.with(|chosen| chosen.as_deref() == Some(name)));
    let needs_key = move || item.with(|item| item.as_ref().is_some_and(|item| item.needs_key));
    let choose = move |_| {
        if untrack(needs_key) {
            return;
        }
        state.close();
        on_choose.run(name.get_value());
    };
    view! {
        <button
            type="button"
            role="menuitemradio"
            tabindex="-1"
            class="model-opt"
            aria-checked=move || if is_chosen() { "true" } else { "false" }
            aria-disabled=move || needs_key().then_some("true")
            title=move || needs_key().then_some("It is used with a key of your own; add yours in your settings")
            on:click=choose
        >
            <span class="model-tick">{move || is_chosen().then(|| view! { <Icon name="check" small=true /> })}</span>
            {move || item.get().map(|item| view! { <Facts item=item /> })}
        </button>
    }
    .into_any()
}

#[component]
fn Facts(item: ModelInfo) -> impl IntoView {
    let context = item.context_tokens.map(|tokens| format!(" · {} tokens", tokens_short(tokens))).unwrap_or_default();
    let facts = if item.is_demo { "Scripted, not an AI".to_owned() } else { format!("{}{context}", price_line(item.prices)) };
    let quality = quality_line(&item.metrics).filter(|_| !item.is_demo);
    let asked_with = (!item.is_demo).then(|| settings_line(&item));
    view! {
        <span class="model-what">
            <span class="row wrap-row">
                <b class="medium clip">{item.name}</b>
                <span class="t3 fs12 clip">{item.provider}</span>
                {item.is_demo.then(|| view! { <Badge>"Demonstration"</Badge> })}
                {item.own_key.then(|| view! { <Badge icon="key-round">"Your key"</Badge> })}
                {item.needs_key.then(|| view! { <Badge icon="key-round">"Needs your key"</Badge> })}
            </span>
            <span class="t2 fs12">{facts}</span>
            {asked_with.map(|text| view! { <span class="t3 fs12">{text}</span> })}
            {(!item.is_demo).then(|| view! { <span class="t3 fs12">{speed_line(&item.metrics)}</span> })}
            {quality.map(|text| view! { <span class="t3 fs12">{text}</span> })}
        </span>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_data_there_is_a_dash() {
        let none = ModelMetrics::default();
        assert_eq!((first_token(&none).as_str(), speed(&none).as_str(), share(None).as_str()), ("—", "—", "—"));
        assert_eq!(speed_line(&none), "Not measured yet");
        let some = ModelMetrics { first_token_ms: Some(840), tokens_per_second: Some(53.6), success_rate: Some(0.984), ..none };
        assert_eq!(speed_line(&some), "0.8 s to the first token · 54 tokens/s");
        assert_eq!(share(some.success_rate), "98 %");
        assert_eq!(quality_line(&none), None);
        assert_eq!(quality_line(&some).unwrap(), "98 % of calls ended well · — of changes accepted");
        let judged = ModelMetrics { acceptance_rate: Some(0.75), ..some };
        assert_eq!(quality_line(&judged).unwrap(), "98 % of calls ended well · 75 % of changes accepted");
    }

    #[test]
    fn prices_are_per_million_tokens() {
        assert_eq!(price_line(Prices { input: 3_000_000, output: 15_000_000, cached: 0, cache_write: None }), "$3.00 in · $15.00 out");
        assert_eq!(price_line(Prices::default()), "No price set");
        assert_eq!([900, 8192, 128_000, 1_048_576, 1_500_000].map(tokens_short), ["900", "8k", "128k", "1M", "1.5M"]);
    }
}
