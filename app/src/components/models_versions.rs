//! The versions that a model had: with any change of its settings a new one begins, and each is measured for itself.

use leptos::{prelude::*, task::spawn_local};
use wire::models::ModelVersion;

use super::{
    model_picker::{first_token, price_list, share, speed, tokens_short},
    models_state::ModelsDesk,
};
use crate::{
    api,
    ui::{Badge, Button, Dialog, Icon, RelativeTime, Skeleton, format, open_about},
};

/// Open while a model is in `desk.versions`.
#[component]
pub fn VersionsDialog(desk: ModelsDesk) -> impl IntoView {
    let open = open_about(desk.versions);
    let versions = RwSignal::new(None::<Vec<ModelVersion>>);
    let failure = RwSignal::new(None::<String>);
    Effect::new(move |_| {
        let Some(model) = desk.versions.get() else { return };
        versions.set(None);
        failure.set(None);
        spawn_local(async move {
            match api::models::versions(model.id).await {
                Ok(found) => {
                    versions.try_set(Some(found));
                }
                Err(error) => {
                    failure.try_set(Some(error.to_string()));
                }
            }
        });
    });
    let title =
        Signal::derive(move || desk.versions.with(|model| model.as_ref().map(|m| format!("Versions of {}", m.name)).unwrap_or_default()));
    let list = move || versions.get().map(|all| view! { <Versions versions=all /> });
    view! {
        <Dialog open=open title=title>
            <p class="t2">"A change of settings makes a new version, and so does another address. What was measured belongs to the version."</p>
            <Show when=move || failure.with(Option::is_some)>
                <p class="err" role="alert">
                    <Icon name="circle-alert" small=true />
                    <span>{move || failure.get()}</span>
                </p>
            </Show>
            <Show when=move || versions.with(Option::is_some) || failure.with(Option::is_some) fallback=|| view! { <Skeleton lines=4 /> }>
                {list}
            </Show>
            <div class="acts end">
                <Button on_click=move |_| open.set(false) attr:autofocus=true>
                    "Close"
                </Button>
            </div>
        </Dialog>
    }
    .into_any()
}

#[component]
fn Versions(versions: Vec<ModelVersion>) -> impl IntoView {
    let newest = versions.first().map(|version| version.number);
    let row = move |version: ModelVersion| {
        let ModelVersion { number, settings, host, created_at, created_by, metrics, .. } = version;
        let prices = settings.prices;
        let mut facts = vec![
            settings.remote_name,
            host,
            format!("{} tokens, answers of up to {}", tokens_short(settings.context_tokens), tokens_short(settings.max_output)),
            format!("{} per million", price_list(prices)),
            format!("temperature {}", settings.temperature),
        ];
        facts.extend(settings.reasoning.map(|word| format!("reasoning {word}")));
        facts.extend(settings.images.then(|| "images".to_owned()));
        let by = created_by.map_or_else(|| "by the environment".to_owned(), |by| format!("by {}", by.name));
        view! {
            <li>
                <span class="row wrap-row">
                    <b class="medium">{format!("Version {number}")}</b>
                    {(Some(number) == newest).then(|| view! { <Badge>"Answers now"</Badge> })}
                    <RelativeTime at=created_at />
                    <span class="t3 fs12">{by}</span>
                </span>
                <span class="t2 fs12">{facts.join(" · ")}</span>
                <span class="t3 fs12">
                    {format!(
                        "{}: first token {}, {} tokens/s, success {}, accepted {}",
                        format::counted(metrics.calls, "call", "calls"),
                        first_token(&metrics),
                        speed(&metrics),
                        share(metrics.success_rate),
                        share(metrics.acceptance_rate),
                    )}
                </span>
            </li>
        }
    };
    view! { <ul class="model-versions">{versions.into_iter().map(row).collect_view()}</ul> }.into_any()
}
