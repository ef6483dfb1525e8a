//! Who may use which model, with which key, and what becomes a version.

mod support;

use domain::{Ctx, Error, models};
use support::Home;
use wire::{
    TurnId,
    models::{
        Audience, CreateModel, CreateProvider, KeyState, ManagedModel, ModelChoices, ModelSettings, Prices, Provider, ProviderKind,
        SetOwnKey, UpdateModel, UpdateProvider,
    },
};

on_both!(
    a_model_of_the_environment_is_there_from_the_start,
    an_administrator_adds_a_provider_and_a_model,
    a_change_of_settings_is_a_new_version,
    a_key_goes_with_its_host,
    peoples_keys_go_before_that_of_everybody,
    models_are_for_those_who_may_use_them,
    the_backup_is_another_model_that_can_be_used,
    choices_are_not_replaced_by_who_has_not_seen_them,
    only_administrators_and_never_the_agent,
    the_environment_comes_and_goes,
);

fn fields(error: Error) -> Vec<String> {
    match error {
        Error::Invalid(fields) => fields.into_iter().map(|field| field.field).collect(),
        other => panic!("not about fields: {other:?}"),
    }
}

async fn provider(admin: &Ctx, base_url: &str, key: Option<&str>, own_keys: bool) -> Provider {
    let request = CreateProvider {
        name: "House".to_owned(),
        kind: ProviderKind::OpenaiChat,
        base_url: base_url.to_owned(),
        key: key.map(str::to_owned),
        own_keys,
    };
    models::create_provider(admin, request).await.unwrap()
}

fn settings(remote_name: &str) -> ModelSettings {
    ModelSettings { remote_name: remote_name.to_owned(), ..ModelSettings::default() }
}

async fn model(admin: &Ctx, provider: &Provider, name: &str) -> ManagedModel {
    let request = CreateModel {
        provider_id: provider.id,
        name: name.to_owned(),
        settings: settings(&format!("remote-{name}")),
        active: true,
        audience: Audience::Everyone,
    };
    models::create_model(admin, request).await.unwrap()
}

async fn key_of(ctx: &Ctx, name: &str) -> Option<String> {
    models::resolve(ctx, Some(name)).await.unwrap().key.map(|key| String::from_utf8(key.0).unwrap())
}

async fn names(ctx: &Ctx) -> Vec<String> {
    models::list(ctx).await.unwrap().items.into_iter().map(|item| item.name).collect()
}

async fn a_model_of_the_environment_is_there_from_the_start(home: Home) {
    let ada = home.person("ada").await;
    let listed = models::list(&ada).await.unwrap();
    assert_eq!((listed.items.len(), listed.default.as_deref()), (1, Some("scripted")));
    let found = models::resolve(&ada, None).await.unwrap();
    assert_eq!((found.name.as_str(), found.trusted_host), ("scripted", true));
    assert_eq!(found.key.unwrap().0, b"sk-environment");
    assert_eq!(found.version_id, listed.items[0].version_id);
    assert_eq!(fields(models::resolve(&ada, Some("gone")).await.unwrap_err()), ["model"]);

    let view = models::admin_view(&ada).await.unwrap();
    assert_eq!(view.providers[0].key, KeyState::Environment);
    assert!(view.models[0].is_default && view.models[0].from_environment);
    // A second process that starts writes nothing.
    models::adopt_environment(&Ctx::system(&home.services)).await.unwrap();
    assert_eq!(models::admin_view(&ada).await.unwrap(), view);
    let fixed = UpdateProvider { revision: view.providers[0].revision, key: Some("sk-x".to_owned()), ..UpdateProvider::default() };
    assert!(matches!(models::update_provider(&ada, view.providers[0].id, fixed).await, Err(Error::Forbidden(_))));
    assert!(matches!(models::remove_provider(&ada, view.providers[0].id).await, Err(Error::Forbidden(_))));
}

async fn an_administrator_adds_a_provider_and_a_model(home: Home) {
    let ada = home.person("ada").await;
    let refused = CreateProvider {
        name: "Elsewhere".to_owned(),
        kind: ProviderKind::OpenaiChat,
        base_url: "https://elsewhere.test/v1".to_owned(),
        key: Some("sk-1".to_owned()),
        own_keys: false,
    };
    assert_eq!(fields(models::create_provider(&ada, refused.clone()).await.unwrap_err()), ["base_url"], "it is not on the list");
    let broken = CreateProvider { base_url: String::new(), key: Some("two words".to_owned()), ..refused };
    assert_eq!(fields(models::create_provider(&ada, broken).await.unwrap_err()), ["key"]);

    let house = provider(&ada, "https://models.test:8443/v1/", Some("sk-a-long-key-of-the-house"), false).await;
    assert_eq!((house.base_url.as_str(), house.host.as_str()), ("https://models.test:8443/v1", "models.test:8443"));
    assert_eq!(house.key, KeyState::Set { hint: "••••ouse".to_owned() });
    assert!(!serde_json::to_string(&house).unwrap().contains("a-long-key"));
    let test = models::test_provider(&ada, house.id).await.unwrap();
    assert_eq!(test.models, ["https://models.test:8443/v1 sk-a-long-key-of-the-house true"]);

    let added = model(&ada, &house, "small").await;
    assert_eq!((added.current.number, added.provider.as_str(), added.is_default), (1, "House", false));
    let found = models::resolve(&ada, Some("small")).await.unwrap();
    assert_eq!((found.remote_name.as_str(), found.base_url.as_str()), ("remote-small", house.base_url.as_str()));
    assert_eq!(key_of(&ada, "small").await.unwrap(), "sk-a-long-key-of-the-house");
    let again = CreateModel {
        provider_id: house.id,
        name: " small ".to_owned(),
        settings: settings("x"),
        active: true,
        audience: Audience::Everyone,
    };
    assert_eq!(fields(models::create_model(&ada, again).await.unwrap_err()), ["name"]);

    models::remove_provider(&ada, house.id).await.unwrap();
    assert_eq!(names(&ada).await, ["scripted"]);
    assert!(matches!(models::test_provider(&ada, house.id).await, Err(Error::NotFound(_))));
}

async fn a_change_of_settings_is_a_new_version(home: Home) {
    let ada = home.person("ada").await;
    let house = provider(&ada, "https://models.test:8443/v1", None, false).await;
    let first = model(&ada, &house, "small").await;
    let change = |model: &ManagedModel, settings: Option<ModelSettings>| UpdateModel {
        revision: model.revision,
        settings,
        ..UpdateModel::default()
    };
    let same = models::update_model(&ada, first.id, change(&first, Some(first.current.settings.clone()))).await.unwrap();
    assert_eq!((same.current.id, same.revision), (first.current.id, 2), "the same settings are the same version");
    let prices = Prices { input: 3_000_000, output: 15_000_000, cached: 300_000, cache_write: None };
    let dearer = ModelSettings { prices, temperature: 0.7, ..first.current.settings.clone() };
    let second = models::update_model(&ada, first.id, change(&same, Some(dearer.clone()))).await.unwrap();
    assert_eq!((second.current.number, &second.current.settings), (2, &dearer));
    assert_eq!(models::resolve(&ada, Some("small")).await.unwrap().version_id, second.current.id);
    let stale = models::update_model(&ada, first.id, change(&same, None)).await;
    assert!(matches!(stale, Err(Error::Conflict { .. })), "somebody else changed it");

    // Reached elsewhere, it may be faster or slower: another version.
    let elsewhere = Some("https://models.test:8443/v2".to_owned());
    let moved = UpdateProvider { revision: house.revision, base_url: elsewhere, ..UpdateProvider::default() };
    models::update_provider(&ada, house.id, moved).await.unwrap();
    let kept = models::versions(&ada, first.id).await.unwrap();
    assert_eq!(kept.iter().map(|version| version.number).collect::<Vec<_>>(), [3, 2, 1]);
    assert_eq!((&kept[0].settings, kept[2].id), (&dearer, first.current.id));
    assert_eq!(kept[0].created_by.as_ref().unwrap().name, "ada");

    models::set_choices(&ada, ModelChoices { default: Some("small".to_owned()), ..ModelChoices::default() }).await.unwrap();
    let now = models::admin_view(&ada).await.unwrap().models.into_iter().find(|model| model.id == first.id).unwrap();
    let renamed = UpdateModel { revision: now.revision, name: Some("tiny".to_owned()), ..UpdateModel::default() };
    let renamed = models::update_model(&ada, first.id, renamed).await.unwrap();
    assert!(renamed.is_default && renamed.current.number == 3, "a name is no setting, and the choice follows it");
    assert_eq!(models::resolve(&ada, None).await.unwrap().name, "tiny");
}

async fn a_key_goes_with_its_host(home: Home) {
    let (ada, ben) = (home.person("ada").await, home.person("ben").await);
    let house = provider(&ada, "https://models.test:8443/v1", Some("sk-of-the-house"), true).await;
    model(&ada, &house, "small").await;
    models::set_own_key(&ben, house.id, SetOwnKey { key: "sk-of-ben".to_owned() }).await.unwrap();
    let change = |revision: i64, base_url: &str, key: Option<&str>| UpdateProvider {
        revision,
        base_url: Some(base_url.to_owned()),
        key: key.map(str::to_owned),
        ..UpdateProvider::default()
    };
    let path = models::update_provider(&ada, house.id, change(1, "https://models.test:8443/v2", None)).await.unwrap();
    assert!(path.key.is_usable() && path.voided_keys == 0, "another path is the same host");

    let moved = models::update_provider(&ada, house.id, change(2, "https://other.test/v1", None)).await.unwrap();
    assert_eq!((moved.key, moved.voided_keys), (KeyState::Void { host: "models.test:8443".to_owned() }, 1));
    let bens = models::own_keys(&ben).await.unwrap();
    assert_eq!(bens[0].key, KeyState::Void { host: "models.test:8443".to_owned() });
    assert_eq!(bens[0].host, "other.test");
    assert!(matches!(models::resolve(&ben, Some("small")).await, Err(Error::Unavailable(_))), "no key is sent to the new host");

    let back = models::update_provider(&ada, house.id, change(3, "https://models.test:8443/v1", None)).await.unwrap();
    assert!(!back.key.is_usable(), "what was deleted does not come back");
    let set = models::update_provider(&ada, house.id, change(4, "https://other.test/v1", Some("sk-new"))).await.unwrap();
    assert!(set.key.is_usable());
    assert_eq!(key_of(&ben, "small").await.unwrap(), "sk-new");

    // Whoever could write into the database could not turn a key towards a host of theirs.
    let mut tx = home.services.db.begin().await.unwrap();
    let mut row = store::models::provider(&mut tx, house.id).await.unwrap().unwrap();
    (row.base_url, row.host, row.key_host) =
        ("https://models.test:8443".to_owned(), "models.test:8443".to_owned(), "models.test:8443".to_owned());
    store::models::update_provider(&mut tx, &row).await.unwrap();
    let _committed = tx.commit().await.unwrap();
    assert!(matches!(models::resolve(&ada, Some("small")).await, Err(Error::Unavailable(_))));
    assert_eq!(models::admin_view(&ada).await.unwrap().providers[1].key, KeyState::Unreadable);
}

async fn peoples_keys_go_before_that_of_everybody(home: Home) {
    let (ada, ben) = (home.person("ada").await, home.person("ben").await);
    let shared = provider(&ada, "https://models.test:8443/v1", Some("sk-shared"), false).await;
    let own = provider(&ada, "https://other.test/v1", None, true).await;
    model(&ada, &shared, "shared").await;
    model(&ada, &own, "own").await;
    assert!(matches!(models::set_own_key(&ben, shared.id, SetOwnKey { key: "sk-b".to_owned() }).await, Err(Error::Forbidden(_))));
    assert_eq!(models::own_keys(&ben).await.unwrap().len(), 1);

    let listed = models::list(&ben).await.unwrap().items;
    let of = |name: &str| listed.iter().find(|item| item.name == name).map(|item| (item.own_key, item.needs_key)).unwrap();
    assert_eq!((of("shared"), of("own")), ((false, false), (false, true)));
    let Err(Error::Unavailable(reason)) = models::resolve(&ben, Some("own")).await else { panic!("there is no key") };
    assert!(reason.contains("key of your own"), "{reason}");

    let keys = models::set_own_key(&ben, own.id, SetOwnKey { key: " sk-of-ben-and-long \n".to_owned() }).await.unwrap();
    assert_eq!(keys[0].key, KeyState::Set { hint: "••••long".to_owned() });
    assert_eq!(key_of(&ben, "own").await.unwrap(), "sk-of-ben-and-long");
    assert_eq!(key_of(&ben, "shared").await.unwrap(), "sk-shared");
    assert!(models::list(&ben).await.unwrap().items.iter().any(|item| item.name == "own" && item.own_key));
    assert!(models::resolve(&ada, Some("own")).await.is_err(), "it is nobody else's");
    models::remove_own_key(&ben, own.id).await.unwrap();
    assert!(models::resolve(&ben, Some("own")).await.is_err());
}

async fn models_are_for_those_who_may_use_them(home: Home) {
    let (ada, ben) = (home.person("ada").await, home.person("ben").await);
    let house = provider(&ada, "https://models.test:8443/v1", Some("sk"), false).await;
    let small = model(&ada, &house, "small").await;
    assert_eq!(names(&ben).await, ["scripted", "small"]);
    let closed = UpdateModel { revision: 1, audience: Some(Audience::Administrators), ..UpdateModel::default() };
    let closed = models::update_model(&ada, small.id, closed).await.unwrap();
    assert_eq!((names(&ben).await, names(&ada).await.len()), (vec!["scripted".to_owned()], 2));
    assert_eq!(fields(models::choose(&ben, Some("small")).await.unwrap_err()), ["model"]);
    let off = UpdateModel { revision: closed.revision, active: Some(false), audience: Some(Audience::Everyone), ..UpdateModel::default() };
    models::update_model(&ada, small.id, off).await.unwrap();
    assert_eq!(names(&ada).await, ["scripted"]);
    assert!(models::resolve(&ada, Some("small")).await.is_err());
    assert_eq!(models::admin_view(&ada).await.unwrap().models.len(), 2, "administrators still see it");
}

async fn the_backup_is_another_model_that_can_be_used(home: Home) {
    let ada = home.person("ada").await;
    let first = models::resolve(&ada, None).await.unwrap();
    assert!(models::backup(&ada, &first).await.unwrap().is_none());
    let house = provider(&ada, "https://models.test:8443/v1", Some("sk"), false).await;
    let spare = model(&ada, &house, "spare").await;
    let wrong = ModelChoices { backup: Some("gone".to_owned()), ..ModelChoices::default() };
    assert_eq!(fields(models::set_choices(&ada, wrong).await.unwrap_err()), ["backup"]);
    let view = models::set_choices(&ada, ModelChoices { backup: Some("spare".to_owned()), ..ModelChoices::default() }).await.unwrap();
    assert!(view.models.iter().any(|model| model.name == "spare" && model.is_backup));
    let backup = models::backup(&ada, &first).await.unwrap().unwrap();
    assert_eq!(backup.name, "spare");
    assert!(models::backup(&ada, &backup).await.unwrap().is_none(), "nothing stands in for itself");
    models::update_model(&ada, spare.id, UpdateModel { revision: 1, active: Some(false), ..UpdateModel::default() }).await.unwrap();
    assert!(models::backup(&ada, &first).await.unwrap().is_none());
}

async fn choices_are_not_replaced_by_who_has_not_seen_them(home: Home) {
    let ada = home.person("ada").await;
    let house = provider(&ada, "https://models.test:8443/v1", Some("sk"), false).await;
    let small = model(&ada, &house, "small").await;
    let choose = |name: Option<&str>, revision| {
        let (ada, default) = (ada.clone(), name.map(str::to_owned));
        async move { models::set_choices(&ada, ModelChoices { default, backup: None, revision }).await.map(|view| view.choices) }
    };
    let standing = |outcome: Result<ModelChoices, Error>| match outcome {
        Err(Error::Conflict { current: Some(now), .. }) => serde_json::from_value::<ModelChoices>(now).unwrap(),
        other => panic!("{other:?}"),
    };
    let seen = models::admin_view(&ada).await.unwrap().choices;
    assert_eq!(seen, ModelChoices { revision: Some(0), ..ModelChoices::default() });
    let first = choose(Some("small"), seen.revision).await.unwrap();
    assert_eq!((first.default.as_deref(), first.revision), (Some("small"), Some(1)));
    assert_eq!(standing(choose(None, seen.revision).await), first);

    // A name that follows its model is a change as well.
    let renamed = UpdateModel { revision: small.revision, name: Some("tiny".to_owned()), ..UpdateModel::default() };
    models::update_model(&ada, small.id, renamed).await.unwrap();
    let second = standing(choose(None, first.revision).await);
    assert_eq!((second.default.as_deref(), second.revision), (Some("tiny"), Some(2)));

    let all = (0..8).map(|n| tokio::spawn(choose(Some("tiny").filter(|_| n % 2 == 0), second.revision)));
    let all: Vec<_> = futures::future::join_all(all).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(all.iter().filter(|outcome| outcome.is_ok()).count(), 1, "of all at once one is kept");
    assert_eq!(choose(None, None).await.unwrap().revision, Some(4), "whatever was there");
}

async fn only_administrators_and_never_the_agent(home: Home) {
    let (ada, ben) = (home.person("ada").await, home.person("ben").await);
    let agent = ada.as_agent(TurnId(uuid::Uuid::now_v7()));
    for ctx in [&ben, &agent] {
        assert!(matches!(models::admin_view(ctx).await, Err(Error::Forbidden(_))));
        assert!(matches!(models::set_choices(ctx, ModelChoices::default()).await, Err(Error::Forbidden(_))));
        assert!(matches!(models::adopt_environment(ctx).await, Err(Error::Forbidden(_))));
    }
    assert!(matches!(models::own_keys(&agent).await, Err(Error::Forbidden(_))));
    assert!(models::resolve(&agent, None).await.is_ok(), "it works with its user's models");
    assert!(matches!(models::list(&home.nobody()).await, Err(Error::NotSignedIn)));
}

async fn the_environment_comes_and_goes(mut home: Home) {
    let ada = home.person("ada").await;
    let view = models::admin_view(&ada).await.unwrap();
    let (environment, scripted) = (view.providers[0].id, view.models[0].clone());
    let priced =
        ModelSettings { prices: Prices { input: 1, output: 2, cached: 0, cache_write: None }, ..scripted.current.settings.clone() };
    let priced = UpdateModel { revision: scripted.revision, settings: Some(priced), ..UpdateModel::default() };
    models::update_model(&ada, scripted.id, priced).await.unwrap();
    let on_it = CreateModel {
        provider_id: environment,
        name: "more".to_owned(),
        settings: settings("more"),
        active: true,
        audience: Audience::Everyone,
    };
    models::create_model(&ada, on_it).await.unwrap();
    drop(ada);

    let services = std::sync::Arc::get_mut(&mut home.services).expect("nobody else holds it");
    let configured = std::mem::take(&mut services.models.environment);
    models::adopt_environment(&Ctx::system(&home.services)).await.unwrap();
    let ben = home.person("ben").await;
    let gone = models::list(&ben).await.unwrap();
    assert!(gone.items.is_empty() && gone.hint.contains("OPENAI_BASE_URL"));
    assert!(matches!(models::resolve(&ben, None).await, Err(Error::Unavailable(_))));
    drop(ben);

    std::sync::Arc::get_mut(&mut home.services).unwrap().models.environment = configured;
    models::adopt_environment(&Ctx::system(&home.services)).await.unwrap();
    let cleo = home.person("cleo").await;
    assert_eq!(names(&cleo).await, ["scripted", "more"], "with what administrators added to it");
    let back = models::resolve(&cleo, Some("scripted")).await.unwrap();
    assert_eq!(back.prices.output, 2, "what an administrator chose stays");
}
