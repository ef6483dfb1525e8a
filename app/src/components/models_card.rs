//! Models in the administration: what is offered, at what price, and what was measured of it.

use leptos::prelude::*;
use wire::models::{Audience, ManagedModel, UpdateModel};

use super::{
    model_picker::{first_token, price_list, share, speed, tokens_short},
    models_choices::ChoicesCard,
    models_form::ModelDialog,
    models_providers::{ProviderDialog, ProvidersCard, TestDialog},
    models_removal::RemovalDialog,
    models_state::{ModelTarget, ModelsDesk, Removal},
    models_versions::VersionsDialog,
};
use crate::{
    api,
    ui::{
        Badge, BadgeKind, Button, ButtonKind, Count, Empty, Icon, MenuButton, MenuItem, MenuSeparator, Pager, PanelError, SearchField,
        Skeleton, format,
    },
};

const PAGE: usize = 25;

/// Providers, models and what answers without being picked.
#[component]
pub fn ModelsCard() -> impl IntoView {
    let desk = ModelsDesk::new();
    Effect::new(move |_| desk.reload());
    let nothing = move || match desk.failure.get() {
        Some(reason) => view! {
            <PanelError title="Models can't be shown" text=reason>
                <Button on_click=move |_| {
                    desk.failure.set(None);
                    desk.reload();
                }>"Try again"</Button>
            </PanelError>
        }
        .into_any(),
        None => view! { <Skeleton lines=8 /> }.into_any(),
    };
    let loaded = Memo::new(move |_| desk.view.with(Option::is_some));
    view! {
        <Show when=move || loaded.get() fallback=nothing>
            <Show when=move || desk.failure.with(Option::is_some)>
                <p class="err" role="alert">
                    <Icon name="circle-alert" small=true />
                    <span>{move || desk.failure.get()}</span>
                </p>
            </Show>
            <ModelsTable desk=desk />
            <ProvidersCard desk=desk />
            <ChoicesCard desk=desk />
        </Show>
        <ModelDialog desk=desk />
        <ProviderDialog desk=desk />
        <TestDialog desk=desk />
        <VersionsDialog desk=desk />
        <RemovalDialog desk=desk />
    }
    .into_any()
}

#[component]
fn ModelsTable(desk: ModelsDesk) -> impl IntoView {
    let models = Memo::new(move |_| desk.models());
    let search = RwSignal::new(String::new());
    let page = RwSignal::new(0_usize);
    let found = Memo::new(move |_| {
        let wanted = search.with(|text| text.trim().to_lowercase());
        let fits = |model: &&ManagedModel| {
            [&model.name, &model.provider, &model.current.settings.remote_name].iter().any(|text| text.to_lowercase().contains(&wanted))
        };
        models.with(|models| models.iter().filter(fits).cloned().collect::<Vec<_>>())
    });
    let shown = move || found.with(|found| found.iter().skip(page.get() * PAGE).take(PAGE).cloned().collect::<Vec<_>>());
    let has_provider = move || desk.providers().iter().any(|provider| provider.kind != wire::models::ProviderKind::Demo);
    let add = move |_| desk.model.set(Some(ModelTarget::New { provider: None, remote_name: String::new() }));
    view! {
        <section class="card" aria-labelledby="models-title">
            <div class="card-head">
                <h2 id="models-title">"Models"</h2>
                <Count value=Signal::derive(move || i64::try_from(models.with(Vec::len)).unwrap_or(i64::MAX)) />
                <span class="grow"></span>
                <span class="head-search">
                    <SearchField label="Search models" bind=search />
                </span>
                <a class="btn btn--s" href="/api/admin/models.csv" download="models.csv" rel="external">
                    <Icon name="download" small=true />
                    "CSV"
                </a>
                <Button
                    kind=ButtonKind::Primary
                    icon="plus"
                    disabled=Signal::derive(move || !has_provider())
                    title=Signal::derive(move || (!has_provider()).then(|| "Add a provider first".to_owned()))
                    on_click=add
                >
                    "Add model"
                </Button>
            </div>
            <Show
                when=move || models.with(|models| !models.is_empty())
                fallback=|| {
                    view! {
                        <div class="inset">
                            <Empty
                                title="No model yet"
                                text="Add a provider below, test it, and take over one of the models that it offers. Everything except the agent works meanwhile."
                            />
                        </div>
                    }
                }
            >
                <div class="over" tabindex="0" role="group" aria-label="Models table">
                    <table class="tbl tbl--bare models-table">
                        <thead>
                            <tr>
                                <th>"Model"</th>
                                <th>"Provider"</th>
                                <th class="r">"Context"</th>
                                <th class="r" title="Dollars per million tokens: input, output, cached input, cache writes">
                                    "Price per million"
                                </th>
                                <th class="r" title="Median time to the first token, last 30 days">
                                    "First token"
                                </th>
                                <th class="r" title="Median tokens a second, last 30 days">
                                    "Tokens/s"
                                </th>
                                <th class="r" title="Calls that ended well, last 30 days">
                                    "Success"
                                </th>
                                <th class="r" title="Hunks that people accepted, of those they decided">
                                    "Accepted"
                                </th>
                                <th>"State"</th>
                                <th>
                                    <span class="sr">"Actions"</span>
                                </th>
                            </tr>
                        </thead>
                        <tbody>
                            <For
                                each=shown
                                key=|model| (model.id, model.revision, model.provider.clone(), model.current.metrics.calls, model.is_default, model.is_backup)
                                let:model
                            >
                                <ModelRow desk=desk model=model />
                            </For>
                        </tbody>
                    </table>
                </div>
                <Show when=move || found.with(Vec::is_empty)>
                    <div class="inset">
                        <Empty title="No model matches" text="Names of models and of their providers are searched." />
                    </div>
                </Show>
                <Pager page=page page_size=PAGE total=Signal::derive(move || found.with(Vec::len)) />
            </Show>
        </section>
    }
    .into_any()
}

#[component]
fn ModelRow(desk: ModelsDesk, model: ManagedModel) -> impl IntoView {
    let row = StoredValue::new(model.clone());
    let ManagedModel { name, active, audience, current, .. } = model;
    let settings = current.settings;
    let metrics = current.metrics;
    let prices = settings.prices;
    let price = if prices == wire::models::Prices::default() { "—".to_owned() } else { price_list(prices) };
    let measured = format!("{} in the last 30 days", format::counted(metrics.calls, "call", "calls"));
    view! {
        <tr>
            <td data-label="Model">
                <span class="stack-tight">
                    <span class="row wrap-row">
                        <b class="medium">{name.clone()}</b>
                        {model.is_default.then(|| view! { <Badge>"Default"</Badge> })}
                        {model.is_backup.then(|| view! { <Badge>"Backup"</Badge> })}
                    </span>
                    <span class="t3 fs12">{format!("{}, version {}", settings.remote_name, current.number)}</span>
                </span>
            </td>
            <td data-label="Provider" class="t2">
                {model.provider}
            </td>
            <td data-label="Context" class="r">
                {tokens_short(settings.context_tokens)}
            </td>
            <td data-label="Price per million" class="r nowrap">
                {price}
            </td>
            <td data-label="First token" class="r nowrap" title=measured.clone()>
                {first_token(&metrics)}
            </td>
            <td data-label="Tokens/s" class="r" title=measured.clone()>
                {speed(&metrics)}
            </td>
            <td data-label="Success" class="r nowrap" title=measured>
                {share(metrics.success_rate)}
            </td>
            <td data-label="Accepted" class="r nowrap">
                {share(metrics.acceptance_rate)}
            </td>
            <td data-label="State">
                <span class="row">
                    {if active {
                        view! { <Badge kind=BadgeKind::Ok icon="check">"Active"</Badge> }
                    } else {
                        view! { <Badge icon="circle-minus">"Off"</Badge> }
                    }}
                    {(audience == Audience::Administrators).then(|| view! { <Badge icon="shield-check">"Administrators"</Badge> })}
                </span>
            </td>
            <td class="r actions-col">
                <ModelMenu desk=desk row=row name=name active=active />
            </td>
        </tr>
    }
    .into_any()
}

#[component]
fn ModelMenu(desk: ModelsDesk, row: StoredValue<ManagedModel>, name: String, active: bool) -> impl IntoView {
    let fixed = row.with_value(|model| model.from_environment);
    let turn = move || {
        let (id, revision, name) = row.with_value(|model| (model.id, model.revision, model.name.clone()));
        let said = if active { format!("{name} is off: nobody can pick it") } else { format!("{name} can be picked again") };
        let request = UpdateModel { revision, active: Some(!active), ..UpdateModel::default() };
        desk.change(said, api::models::update_model(id, request));
    };
    let remove = move || desk.removal.set(Some(Removal::Model(Box::new(row.get_value()))));
    view! {
        <MenuButton label=format!("Actions for {name}") small=true>
            <MenuItem icon="pencil" on_choose=move || desk.model.set(Some(ModelTarget::Existing(Box::new(row.get_value()))))>
                "Edit"
            </MenuItem>
            <MenuItem icon="history" on_choose=move || desk.versions.set(Some(row.get_value()))>
                "Versions"
            </MenuItem>
            <MenuItem icon=if active { "circle-minus" } else { "circle-check" } on_choose=turn>
                {if active { "Turn off" } else { "Turn on" }}
            </MenuItem>
            <MenuSeparator />
            <MenuItem
                icon="trash-2"
                danger=true
                disabled=fixed
                title=fixed.then(|| "The server's environment names this model; turn it off instead".to_owned())
                on_choose=remove
            >
                "Remove"
            </MenuItem>
        </MenuButton>
    }
    .into_any()
}
