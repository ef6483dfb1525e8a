//! A model's name, settings and prices.

use leptos::{ev, prelude::*, task::spawn_local};
use wire::{
    FieldError, Problem, ProviderId,
    models::{Audience, CreateModel, ManagedModel, ModelSettings, Prices, ProviderKind, UpdateModel},
};

use super::{
    auth_frame::summary_of,
    models_state::{ModelTarget, ModelsDesk},
};
use crate::{
    api,
    ui::{Dialog, DialogActions, ErrorSummary, TextField, open_about},
};

/// What was typed.
#[derive(Clone, Copy)]
struct Form {
    provider: RwSignal<Option<ProviderId>>,
    name: RwSignal<String>,
    remote_name: RwSignal<String>,
    context: RwSignal<String>,
    output: RwSignal<String>,
    images: RwSignal<bool>,
    input_price: RwSignal<String>,
    output_price: RwSignal<String>,
    cached_price: RwSignal<String>,
    cache_write_price: RwSignal<String>,
    temperature: RwSignal<String>,
    reasoning: RwSignal<String>,
    audience: RwSignal<Audience>,
    problem: RwSignal<Option<Problem>>,
    busy: RwSignal<bool>,
}

/// `3`, `0.15`: dollars as they are typed.
fn write_price(micros: i64) -> String {
    let text = format!("{:.6}", micros as f64 / 1e6);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Micro-dollars from `3`, `$0.15` or `0,15`; empty is nothing.
fn read_price(text: &str) -> Option<i64> {
    let text = text.trim().trim_start_matches('$').replace(',', ".");
    if text.is_empty() {
        return Some(0);
    }
    let dollars: f64 = text.parse().ok()?;
    (dollars.is_finite() && (0.0..=1e6).contains(&dollars)).then(|| (dollars * 1e6).round() as i64)
}

/// A whole number from `128000`, `128 000`, `128k` or `1M`.
fn read_tokens(text: &str) -> Option<i64> {
    let text: String = text.chars().filter(|c| !c.is_whitespace() && *c != '_').collect();
    let (digits, factor) = match text.strip_suffix(['k', 'K']) {
        Some(digits) => (digits, 1000),
        None => text.strip_suffix(['m', 'M']).map_or((text.as_str(), 1), |digits| (digits, 1_000_000)),
    };
    digits.parse::<i64>().ok()?.checked_mul(factor)
}

impl Form {
    fn new() -> Self {
        let text = || RwSignal::new(String::new());
        Self {
            provider: RwSignal::new(None),
            name: text(),
            remote_name: text(),
            context: text(),
            output: text(),
            images: RwSignal::new(false),
            input_price: text(),
            output_price: text(),
            cached_price: text(),
            cache_write_price: text(),
            temperature: text(),
            reasoning: text(),
            audience: RwSignal::new(Audience::Everyone),
            problem: RwSignal::new(None),
            busy: RwSignal::new(false),
        }
    }

    fn show(self, name: &str, provider: Option<ProviderId>, settings: &ModelSettings, audience: Audience) {
        self.provider.set(provider);
        self.name.set(name.to_owned());
        self.remote_name.set(settings.remote_name.clone());
        self.context.set(settings.context_tokens.to_string());
        self.output.set(settings.max_output.to_string());
        self.images.set(settings.images);
        self.input_price.set(write_price(settings.prices.input));
        self.output_price.set(write_price(settings.prices.output));
        self.cached_price.set(write_price(settings.prices.cached));
        self.cache_write_price.set(settings.prices.cache_write.map(write_price).unwrap_or_default());
        self.temperature.set(settings.temperature.to_string());
        self.reasoning.set(settings.reasoning.clone().unwrap_or_default());
        self.audience.set(audience);
        self.problem.set(None);
    }

    /// The settings that were typed, or what is wrong with them.
    fn settings(self) -> Result<ModelSettings, Vec<FieldError>> {
        let mut wrong = Vec::new();
        let mut tokens = |field: &str, text: RwSignal<String>| {
            read_tokens(&text.get_untracked()).unwrap_or_else(|| {
                wrong.push(FieldError::new(field, "Write a number of tokens, such as 128000 or 128k."));
                0
            })
        };
        let (context_tokens, max_output) = (tokens("context_tokens", self.context), tokens("max_output", self.output));
        let mut price = |field: &str, text: RwSignal<String>| {
            read_price(&text.get_untracked()).unwrap_or_else(|| {
                wrong.push(FieldError::new(field, "Write dollars per million tokens, such as 3 or 0.15."));
                0
            })
        };
        let prices = Prices {
            input: price("prices.input", self.input_price),
            output: price("prices.output", self.output_price),
            cached: price("prices.cached", self.cached_price),
            cache_write: match self.cache_write_price.get_untracked().trim() {
                "" => None,
                _ => Some(price("prices.cache_write", self.cache_write_price)),
            },
        };
        let temperature = self.temperature.get_untracked().trim().replace(',', ".").parse().unwrap_or(f32::NAN);
        let reasoning = Some(self.reasoning.get_untracked().trim().to_owned()).filter(|word| !word.is_empty());
        let remote_name = self.remote_name.get_untracked().trim().to_owned();
        let settings =
            ModelSettings { remote_name, context_tokens, max_output, images: self.images.get_untracked(), prices, temperature, reasoning };
        let of_values = settings.validate().into_iter().filter(|field| !wrong.iter().any(|known| known.field == field.field));
        let of_values: Vec<_> = of_values.collect();
        wrong.extend(of_values);
        if wrong.is_empty() { Ok(settings) } else { Err(wrong) }
    }

    fn error(self, field: &'static str) -> Signal<Option<String>> {
        Signal::derive(move || self.problem.with(|problem| problem.as_ref()?.field(field).map(str::to_owned)))
    }
}

/// Open while there is something in `desk.model`.
#[component]
pub fn ModelDialog(desk: ModelsDesk) -> impl IntoView {
    let open = open_about(desk.model);
    let form = Form::new();
    Effect::new(move |_| {
        let Some(target) = desk.model.get() else { return };
        match target {
            ModelTarget::New { provider, remote_name } => {
                let usable = untrack(|| desk.providers()).into_iter().find(|provider| provider.kind != ProviderKind::Demo);
                let settings = ModelSettings { remote_name: remote_name.clone(), ..ModelSettings::default() };
                form.show(&remote_name, provider.or(usable.map(|provider| provider.id)), &settings, Audience::Everyone);
            }
            ModelTarget::Existing(model) => {
                form.show(&model.name, Some(model.provider_id), &model.current.settings, model.audience);
            }
        }
    });
    let save = move |event: ev::SubmitEvent| {
        event.prevent_default();
        let Some(target) = desk.model.get_untracked().filter(|_| !form.busy.get_untracked()) else { return };
        match form.settings() {
            Ok(settings) => send(desk, form, open, target, settings),
            Err(fields) => form.problem.set(Some(Problem::invalid(fields))),
        }
    };
    let is_new = move || desk.model.with(|target| matches!(target, Some(ModelTarget::New { .. })));
    let title = Signal::derive(move || {
        desk.model.with(|target| match target {
            Some(ModelTarget::Existing(model)) => format!("Edit {}", model.name),
            _ => "Add model".to_owned(),
        })
    });
    let on_top = Signal::derive(move || form.problem.with(|problem| problem.as_ref().map(|p| summary_of(p, "Nothing was saved."))));
    view! {
        <Dialog open=open title=title locked=form.busy>
            <form novalidate=true on:submit=save class="model-form">
                <ErrorSummary message=on_top />
                <Show when=is_new>
                    <ProviderChoice desk=desk form=form />
                </Show>
                <Identity form=form />
                <Numbers form=form />
                <Access form=form />
                <Show when=move || !is_new()>
                    <p class="hint">
                        "Other settings become a new version, which is measured from the start. Turns that are under way keep theirs."
                    </p>
                </Show>
                <DialogActions open=open busy=form.busy>
                    {move || if is_new() { "Add model" } else { "Save model" }}
                </DialogActions>
            </form>
        </Dialog>
    }
    .into_any()
}

fn send(desk: ModelsDesk, form: Form, open: RwSignal<bool>, target: ModelTarget, settings: ModelSettings) {
    let (name, audience) = (form.name.get_untracked(), form.audience.get_untracked());
    let Some(provider_id) = form.provider.get_untracked() else {
        form.problem.set(Some(Problem::invalid(vec![FieldError::new("provider_id", "Choose a provider.")])));
        return;
    };
    form.busy.set(true);
    spawn_local(async move {
        let saved: Result<ManagedModel, _> = match target {
            ModelTarget::New { .. } => api::models::create_model(CreateModel { provider_id, name, settings, active: true, audience }).await,
            ModelTarget::Existing(model) => {
                let request = UpdateModel {
                    revision: model.revision,
                    name: Some(name),
                    audience: Some(audience),
                    settings: Some(settings),
                    ..UpdateModel::default()
                };
                api::models::update_model(model.id, request).await
            }
        };
        if form.busy.try_set(false).is_some() {
            return;
        }
        match saved {
            Ok(saved) => {
                open.set(false);
                desk.toasts.show(format!("{} was saved as version {}", saved.name, saved.current.number));
                desk.reload();
            }
            Err(error) => form.problem.set(Some(error.0)),
        }
    });
}

#[component]
fn ProviderChoice(desk: ModelsDesk, form: Form) -> impl IntoView {
    let providers = Memo::new(move |_| {
        let all = desk.providers().into_iter().filter(|provider| provider.kind != ProviderKind::Demo);
        all.map(|provider| (provider.id, provider.name)).collect::<Vec<_>>()
    });
    let choose = move |text: String| form.provider.set(text.parse().ok());
    view! {
        <div class="field">
            <label for="f-model-provider">"Provider"</label>
            <select id="f-model-provider" class="select" on:change:target=move |ev| choose(ev.target().value())>
                <For each=move || providers.get() key=|(id, name)| (*id, name.clone()) let:provider>
                    <option value=provider.0.to_string() prop:selected=move || form.provider.get() == Some(provider.0)>
                        {provider.1.clone()}
                    </option>
                </For>
            </select>
        </div>
    }
    .into_any()
}

#[component]
fn Identity(form: Form) -> impl IntoView {
    view! {
        <div class="form-pair">
            <TextField
                label="Provider's name for it"
                name="remote_name"
                bind=form.remote_name
                error=form.error("remote_name")
                hint="Exactly as the provider writes it."
                autocomplete="off"
                autofocus=true
            />
            <TextField
                label="Name"
                name="model_name"
                bind=form.name
                error=form.error("name")
                hint="What people see when they pick it."
                autocomplete="off"
            />
        </div>
    }
    .into_any()
}

#[component]
fn Numbers(form: Form) -> impl IntoView {
    view! {
        <div class="form-pair">
            <TextField label="Context, in tokens" name="context_tokens" bind=form.context error=form.error("context_tokens") autocomplete="off" />
            <TextField label="Longest answer, in tokens" name="max_output" bind=form.output error=form.error("max_output") autocomplete="off" />
        </div>
        <fieldset class="form-set">
            <legend>"Price, in dollars per million tokens"</legend>
            <div class="form-pair">
                <TextField label="Input" name="price_input" bind=form.input_price error=form.error("prices.input") autocomplete="off" />
                <TextField label="Output" name="price_output" bind=form.output_price error=form.error("prices.output") autocomplete="off" />
                <TextField label="Cached input" name="price_cached" bind=form.cached_price error=form.error("prices.cached") autocomplete="off" />
                <TextField
                    label="Cache writes"
                    name="price_cache_write"
                    bind=form.cache_write_price
                    error=form.error("prices.cache_write")
                    hint="Empty: a quarter more than input."
                    autocomplete="off"
                    optional=true
                />
            </div>
            <p class="hint">"Budgets and costs are reckoned with these. Without a price, calls cost nothing here and only tokens are counted."</p>
        </fieldset>
        <div class="form-pair">
            <TextField label="Temperature" name="temperature" bind=form.temperature error=form.error("temperature") hint="0 to 2." autocomplete="off" />
            <TextField
                label="Reasoning"
                name="reasoning"
                bind=form.reasoning
                error=form.error("reasoning")
                hint="In the provider's words, such as low or high."
                autocomplete="off"
                optional=true
            />
        </div>
    }
    .into_any()
}

#[component]
fn Access(form: Form) -> impl IntoView {
    let choose = move |word: String| {
        form.audience.set(if word == "administrators" { Audience::Administrators } else { Audience::Everyone });
    };
    view! {
        <label class="check">
            <input type="checkbox" prop:checked=move || form.images.get() on:change:target=move |ev| form.images.set(ev.target().checked()) />
            "It takes images"
        </label>
        <div class="field">
            <label for="f-audience">"Who may use it"</label>
            <select id="f-audience" class="select" on:change:target=move |ev| choose(ev.target().value())>
                <option value="everyone" prop:selected=move || form.audience.get() == Audience::Everyone>
                    "Everyone"
                </option>
                <option value="administrators" prop:selected=move || form.audience.get() == Audience::Administrators>
                    "Administrators"
                </option>
            </select>
        </div>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_are_typed_in_dollars() {
        assert_eq!(["3", "$0.15", "0,075", "", " 12.5 "].map(read_price), [3_000_000, 150_000, 75_000, 0, 12_500_000].map(Some));
        assert_eq!(["-1", "three", "1e300", "NaN"].map(read_price), [None; 4]);
        assert_eq!([3_000_000, 150_000, 0, 1].map(write_price), ["3", "0.15", "0", "0.000001"]);
    }

    #[test]
    fn tokens_are_typed_in_short() {
        assert_eq!(["128000", "128 000", "128k", "1M"].map(read_tokens), [128_000, 128_000, 128_000, 1_000_000].map(Some));
        assert_eq!(["", "many", "1.5k", "99999999999999M"].map(read_tokens), [None; 4]);
    }
}
