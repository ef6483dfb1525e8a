use store::{
    Db, Error, Word,
    models::{self, ModelRow, NewVersion, ProviderRow, UserKeyRow},
};
use wire::{
    ProviderId, UserId,
    models::{Audience, ModelSettings, Prices, ProviderKind},
};

use crate::world::{at, begin, commit, id, read, user, write};

fn provider(by: Option<UserId>, env_name: Option<&str>) -> ProviderRow {
    ProviderRow {
        id: id(),
        name: "House".to_owned(),
        kind: Word(ProviderKind::Anthropic),
        base_url: "https://a.example.org/v1".to_owned(),
        host: "a.example.org".to_owned(),
        env_name: env_name.map(str::to_owned),
        key_sealed: Some(vec![0, 1, 254, 255]),
        key_hint: "••••abcd".to_owned(),
        key_host: "a.example.org".to_owned(),
        own_keys: true,
        active: true,
        revision: 1,
        created_at: at(1),
        created_by: by,
        removed_at: None,
    }
}

fn model(provider: ProviderId, name: &str) -> ModelRow {
    ModelRow {
        id: id(),
        provider_id: provider,
        name: name.to_owned(),
        active: true,
        audience: Word(Audience::Administrators),
        from_environment: false,
        version: 1,
        revision: 1,
        created_at: at(2),
        created_by: None,
        removed_at: None,
    }
}

async fn add_model(db: &Db, row: &ModelRow, settings: &ModelSettings, by: Option<UserId>) {
    let mut tx = begin(db).await;
    models::insert_model(&mut tx, row).await.unwrap();
    let new =
        NewVersion { id: id(), model_id: row.id, number: 1, kind: ProviderKind::Anthropic, host: "a.example.org", settings, at: at(2), by };
    models::insert_version(&mut tx, &new).await.unwrap();
    let _committed = commit(tx).await;
}

pub async fn providers_are_changed_by_one_at_a_time(db: Db) {
    let ada = user(&db, "ada").await;
    let row = provider(Some(ada), None);
    write!(&db, tx => models::insert_provider(&mut tx, &row));
    let found = models::provider(&mut read(&db).await, row.id).await.unwrap().unwrap();
    assert_eq!(
        (found.key_sealed.as_deref(), found.key_hint.as_str(), found.created_by),
        (Some(&[0, 1, 254, 255][..]), "••••abcd", Some(ada))
    );
    assert_eq!((found.kind, found.own_keys, found.revision), (Word(ProviderKind::Anthropic), true, 1));

    let changed = ProviderRow { key_sealed: None, active: false, ..found.clone() };
    assert!(write!(&db, tx => models::update_provider(&mut tx, &changed)));
    assert!(!write!(&db, tx => models::update_provider(&mut tx, &changed)), "its revision has passed");
    let now = models::provider(&mut read(&db).await, row.id).await.unwrap().unwrap();
    assert!(now.revision == 2 && now.key_sealed.is_none() && !now.active);
    assert_eq!(models::providers(&mut read(&db).await).await.unwrap().len(), 1);
    assert!(models::environment_providers(&mut read(&db).await).await.unwrap().is_empty());
}

pub async fn names_of_models_are_taken_while_they_are_there(db: Db) {
    let row = provider(None, None);
    write!(&db, tx => models::insert_provider(&mut tx, &row));
    let prices = Prices { input: 3_000_000, output: 15_000_000_000, cached: 1, cache_write: Some(3_750_000) };
    let settings = ModelSettings {
        remote_name: "remote".to_owned(),
        prices,
        temperature: 0.725,
        reasoning: Some("high".to_owned()),
        ..ModelSettings::default()
    };
    let first = model(row.id, "small");
    add_model(&db, &first, &settings, None).await;
    let found = models::model(&mut read(&db).await, first.id).await.unwrap().unwrap();
    assert_eq!((found.version.settings(), found.version.number, found.model.audience.0), (settings.clone(), 1, Audience::Administrators));
    assert!(found.version.created_by().is_none());
    let mut tx = begin(&db).await;
    assert!(matches!(models::insert_model(&mut tx, &model(row.id, "small")).await, Err(Error::Taken(_))));
    drop(tx);
    let removed = ModelRow { removed_at: Some(at(3)), ..found.model };
    assert!(write!(&db, tx => models::update_model(&mut tx, &removed)));
    assert!(models::model(&mut read(&db).await, first.id).await.unwrap().is_none());
    add_model(&db, &model(row.id, "small"), &settings, None).await;
    assert_eq!(models::models(&mut read(&db).await).await.unwrap().len(), 1);
}

pub async fn versions_are_kept_the_newest_first(db: Db) {
    let ada = user(&db, "ada").await;
    let row = provider(None, None);
    write!(&db, tx => models::insert_provider(&mut tx, &row));
    let settings = ModelSettings { remote_name: "one".to_owned(), ..ModelSettings::default() };
    let first = model(row.id, "small");
    add_model(&db, &first, &settings, None).await;
    let other = ModelSettings { remote_name: "two".to_owned(), images: true, ..settings };
    let mut tx = begin(&db).await;
    assert!(models::update_model(&mut tx, &ModelRow { version: 2, ..first.clone() }).await.unwrap());
    let new = NewVersion {
        id: id(),
        model_id: first.id,
        number: 2,
        kind: ProviderKind::Gemini,
        host: "b.example.org",
        settings: &other,
        at: at(5),
        by: Some(ada),
    };
    models::insert_version(&mut tx, &new).await.unwrap();
    let _committed = commit(tx).await;
    let kept = models::versions(&mut read(&db).await, first.id).await.unwrap();
    assert_eq!(
        kept.iter().map(|version| (version.number, version.host.as_str())).collect::<Vec<_>>(),
        [(2, "b.example.org"), (1, "a.example.org")]
    );
    assert_eq!(kept[0].created_by().unwrap().name, "ada");
    let current = models::model(&mut read(&db).await, first.id).await.unwrap().unwrap();
    assert_eq!((current.version.version_id, current.version.settings()), (kept[0].version_id, other));
}

pub async fn a_provider_goes_with_its_models_and_keys(db: Db) {
    let ada = user(&db, "ada").await;
    let row = provider(None, Some("openai"));
    write!(&db, tx => models::insert_provider(&mut tx, &row));
    let settings = ModelSettings { remote_name: "m".to_owned(), ..ModelSettings::default() };
    let first = ModelRow { from_environment: true, ..model(row.id, "small") };
    add_model(&db, &first, &settings, None).await;
    let key = UserKeyRow {
        user_id: ada,
        provider_id: row.id,
        key_sealed: Some(vec![7]),
        key_hint: "••••".to_owned(),
        key_host: "a.example.org".to_owned(),
        set_at: at(1),
    };
    write!(&db, tx => models::put_user_key(&mut tx, &key));
    write!(&db, tx => models::remove_provider(&mut tx, row.id, at(9)));
    let mut conn = read(&db).await;
    assert!(models::providers(&mut conn).await.unwrap().is_empty() && models::models(&mut conn).await.unwrap().is_empty());
    assert!(models::user_keys(&mut conn, ada).await.unwrap().is_empty());
    let gone = models::environment_providers(&mut conn).await.unwrap().remove(0);
    assert!(gone.removed_at == Some(at(9)) && gone.key_sealed.is_none());
    assert_eq!(models::environment_models(&mut conn, row.id).await.unwrap()[0].model.removed_at, Some(at(9)));
    drop(conn);

    // It comes back with what went at the same moment, unless the name is taken.
    let taken = ModelRow { removed_at: None, ..model(row.id, "other") };
    add_model(&db, &taken, &settings, None).await;
    write!(&db, tx => models::update_provider(&mut tx, &ProviderRow { removed_at: None, ..gone }));
    write!(&db, tx => models::revive_models(&mut tx, row.id, at(9)));
    let mut names: Vec<_> = models::models(&mut read(&db).await).await.unwrap().into_iter().map(|found| found.model.name).collect();
    names.sort();
    assert_eq!(names, ["other", "small"]);
}

pub async fn peoples_keys_are_void_at_another_host(db: Db) {
    let (ada, bob) = (user(&db, "ada").await, user(&db, "bob").await);
    let row = provider(None, None);
    write!(&db, tx => models::insert_provider(&mut tx, &row));
    for (user, host) in [(ada, "a.example.org"), (bob, "b.example.org")] {
        let key = UserKeyRow {
            user_id: user,
            provider_id: row.id,
            key_sealed: Some(vec![1, 2]),
            key_hint: "••••wxyz".to_owned(),
            key_host: host.to_owned(),
            set_at: at(1),
        };
        write!(&db, tx => models::put_user_key(&mut tx, &key));
        write!(&db, tx => models::put_user_key(&mut tx, &UserKeyRow { set_at: at(2), ..key }));
    }
    assert_eq!(write!(&db, tx => models::void_user_keys(&mut tx, row.id, "b.example.org")), 1);
    assert_eq!(write!(&db, tx => models::void_user_keys(&mut tx, row.id, "b.example.org")), 0);
    let adas = models::user_keys(&mut read(&db).await, ada).await.unwrap().remove(0);
    assert_eq!((adas.key_sealed, adas.key_host.as_str(), adas.set_at), (None, "a.example.org", at(2)));
    assert!(models::user_keys(&mut read(&db).await, bob).await.unwrap()[0].key_sealed.is_some());
    assert!(write!(&db, tx => models::delete_user_key(&mut tx, bob, row.id)));
    assert!(!write!(&db, tx => models::delete_user_key(&mut tx, bob, row.id)));
}
