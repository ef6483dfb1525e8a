//! Providers and models that administrators add, over REST, with turns that are answered by them.

use serde_json::{Value, json};
use wire::{
    ErrorCode, Page,
    chat::TurnStarted,
    models::{KeyState, ManagedModel, ModelAdmin, ModelVersion, Models, OwnKey, Provider, ProviderTest},
};

use crate::support::{
    Caller, Options, TestApp, fixture,
    model_server::{ModelServer, Step},
};

const KEY: &str = "sk-this-key-is-sealed-at-rest";

/// With a worker, and model servers that an operator allowed by name.
async fn app(allowed: &[&ModelServer]) -> (TestApp, Caller) {
    let hosts = allowed.iter().map(|model| model.address.to_string()).collect::<Vec<_>>().join(",");
    let app = TestApp::with(Options { worker: true, settings: vec![("AI_ALLOWED_HOSTS", &hosts)], ..Options::default() }).await;
    let ada = app.user("ada").await;
    (app, ada)
}

async fn add_provider(admin: &Caller, model: &ModelServer, more: Value) -> Provider {
    let mut body = json!({ "name": "House", "kind": "openai_chat", "base_url": model.base_url(), "key": KEY });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    admin.post("/api/admin/model-providers", &body).await.expect(201).json()
}

async fn add_model(admin: &Caller, provider: &Provider, name: &str) -> ManagedModel {
    let settings = json!({ "remote_name": "scripted", "prices": { "input": 3_000_000, "output": 15_000_000, "cached": 300_000 } });
    admin.post("/api/admin/models", &json!({ "provider_id": provider.id, "name": name, "settings": settings })).await.expect(201).json()
}

/// Sends a prompt and waits for the end of its turn.
async fn talk(caller: &Caller, project: &str, model: &str) {
    let conversation = caller.post(&format!("/api/projects/{project}/conversations"), &json!({})).await.expect(201).id();
    let body = json!({ "prompt": "Hi", "mode": "ask", "model": model });
    let started: TurnStarted = caller.post(&format!("/api/conversations/{conversation}/turns"), &body).await.expect(202).json();
    caller.follow(&format!("/api/live/turn:{}", started.turn_id)).await.unwrap().rest().await;
}

fn last_key(model: &ModelServer) -> Option<String> {
    model.requests().last().unwrap_or_else(|| panic!("nobody asked {}", model.url())).authorization.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_is_added_tested_and_answers() {
    let model = ModelServer::start().await;
    let (app, ada) = app(&[&model]).await;
    let house = add_provider(&ada, &model, json!({})).await;
    assert_eq!(house.key, KeyState::Set { hint: "••••rest".to_owned() });
    let test: ProviderTest = ada.post(&format!("/api/admin/model-providers/{}/test", house.id), &json!({})).await.expect(200).json();
    assert!(test.ok && test.models == ["scripted"], "{test:?}");
    let small = add_model(&ada, &house, "small").await;

    let ben = app.user("ben").await;
    let listed: Models = ben.get("/api/models").await.expect(200).json();
    let item = &listed.items[0];
    assert_eq!((item.name.as_str(), item.provider.as_str(), item.prices.output), ("small", "House", 15_000_000));
    assert_eq!((listed.default.as_deref(), item.metrics.calls, item.metrics.first_token_ms), (Some("small"), 0, None));

    model.script([Step { usage: Some(json!({ "prompt_tokens": 11, "completion_tokens": 7 })), ..Step::text("Good day") }]);
    let project = fixture::project(&ben, "P").await;
    talk(&ben, &project, "small").await;
    let asked = model.requests().pop().unwrap();
    assert_eq!((asked.body["model"].as_str(), asked.authorization), (Some("scripted"), Some(format!("Bearer {KEY}"))));

    for address in ["/api/admin/models", "/api/models"] {
        assert!(!String::from_utf8_lossy(&ada.get(address).await.expect(200).body).contains(KEY), "{address}");
    }
    let change = json!({ "revision": small.revision, "settings": { "remote_name": "scripted", "temperature": 0.9 } });
    let changed: ManagedModel = ada.patch(&format!("/api/admin/models/{}", small.id), &change).await.expect(200).json();
    assert_eq!(changed.current.number, 2);
    let versions: Page<ModelVersion> = ada.get(&format!("/api/admin/models/{}/versions", small.id)).await.expect(200).json();
    assert_eq!(versions.items.iter().map(|version| version.number).collect::<Vec<_>>(), [2, 1]);
    assert_eq!(versions.items[1].id, small.current.id);

    let off = json!({ "revision": changed.revision, "active": false });
    ada.patch(&format!("/api/admin/models/{}", small.id), &off).await.expect(200);
    assert!(ben.get("/api/models").await.expect(200).json::<Models>().items.is_empty());
    let conversation = ben.post(&format!("/api/projects/{project}/conversations"), &json!({})).await.expect(201).id();
    let refused = ben.post(&format!("/api/conversations/{conversation}/turns"), &json!({ "prompt": "Hi", "model": "small" })).await;
    assert_eq!(refused.expect(422).problem().fields[0].field, "model");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_models_of_administrators_come_in_pages() {
    let model = ModelServer::start().await;
    let (_app, ada) = app(&[&model]).await;
    let house = add_provider(&ada, &model, json!({})).await;
    for name in ["small", "medium", "large"] {
        add_model(&ada, &house, name).await;
    }
    let whole: ModelAdmin = ada.get("/api/admin/models").await.expect(200).json();
    assert!(whole.models.len() >= 3 && whole.next_cursor.is_none());
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page: ModelAdmin = ada.get(&format!("/api/admin/models?limit=2{cursor}")).await.expect(200).json();
        assert_eq!((&page.providers, &page.choices), (&whole.providers, &whole.choices));
        assert!(page.models.len() <= 2);
        seen.extend(page.models);
        match page.next_cursor {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen, whole.models);

    let put = async |body: Value| ada.send(ada.request(reqwest::Method::PUT, "/api/admin/models/choices").json(&body)).await;
    let chosen: ModelAdmin = put(json!({ "default": "small", "revision": 0 })).await.expect(200).json();
    assert_eq!(chosen.choices.revision, Some(1));
    let late = put(json!({ "default": "large", "revision": 0 })).await.expect(409).problem();
    assert_eq!(late.current.unwrap()["default"], "small");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_sealed_and_go_to_their_host_alone() {
    let (first, second) = (ModelServer::start().await, ModelServer::start().await);
    let (app, ada) = app(&[&first, &second]).await;
    let house = add_provider(&ada, &first, json!({ "own_keys": true })).await;
    add_model(&ada, &house, "small").await;
    let ben = app.user("ben").await;
    let own = format!("/api/users/me/model-keys/{}", house.id);
    let set = ben.request(reqwest::Method::PUT, &own).json(&json!({ "key": "sk-the-own-key-of-ben" }));
    let set = ben.send(set).await.expect(200);
    assert!(matches!(set.json::<Page<OwnKey>>().items[0].key, KeyState::Set { .. }));
    let (bens, adas) = (fixture::project(&ben, "B").await, fixture::project(&ada, "A").await);
    first.script([Step::text("to ben"), Step::text("to ada")]);
    talk(&ben, &bens, "small").await;
    assert_eq!(last_key(&first).as_deref(), Some("Bearer sk-the-own-key-of-ben"));
    talk(&ada, &adas, "small").await;
    assert_eq!(last_key(&first), Some(format!("Bearer {KEY}")));
    if std::env::var("TEST_DATABASE_URL").is_err() {
        for file in ["cloudxdevai.db", "cloudxdevai.db-wal"] {
            let bytes = std::fs::read(app.data.path().join("data").join(file)).unwrap_or_default();
            for key in [KEY, "sk-the-own-key-of-ben"] {
                assert!(!bytes.windows(key.len()).any(|part| part == key.as_bytes()), "{key} is in {file}");
            }
        }
    }

    // The provider moves. Nothing that was kept for the first host reaches the second.
    let moved = json!({ "revision": house.revision, "base_url": second.base_url() });
    let moved: Provider = ada.patch(&format!("/api/admin/model-providers/{}", house.id), &moved).await.expect(200).json();
    assert_eq!((moved.voided_keys, matches!(moved.key, KeyState::Void { .. })), (1, true));
    let keys: Page<OwnKey> = ben.get("/api/users/me/model-keys").await.expect(200).json();
    assert_eq!(keys.items[0].key, KeyState::Void { host: first.address.to_string() });
    for (caller, project) in [(&ben, &bens), (&ada, &adas)] {
        let conversation = caller.post(&format!("/api/projects/{project}/conversations"), &json!({})).await.expect(201).id();
        let refused = caller.post(&format!("/api/conversations/{conversation}/turns"), &json!({ "prompt": "Hi", "model": "small" })).await;
        assert_eq!(refused.expect(503).problem().code, ErrorCode::Unavailable);
    }
    assert!(second.requests().is_empty(), "nobody was asked");
    ben.delete(&own).await.expect(204);
    let new = json!({ "revision": moved.revision, "key": "sk-for-the-second" });
    ada.patch(&format!("/api/admin/model-providers/{}", house.id), &new).await.expect(200);
    second.script([Step::text("here")]);
    talk(&ben, &bens, "small").await;
    assert_eq!(last_key(&second).as_deref(), Some("Bearer sk-for-the-second"));
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_that_the_operator_did_not_name_are_refused() {
    let (named, other) = (ModelServer::start().await, ModelServer::start().await);
    let (_app, ada) = app(&[&named]).await;
    let port = other.address.port();
    for address in [
        other.base_url(),
        format!("http://localhost:{port}/v1"),
        format!("http://[::ffff:127.0.0.1]:{port}/"),
        "http://169.254.169.254/latest".to_owned(),
        "http://api.openai.com/v1".to_owned(),
        "https://api.openai.com@127.0.0.1/".to_owned(),
        "gopher://127.0.0.1/".to_owned(),
    ] {
        let body = json!({ "name": "X", "kind": "openai_chat", "base_url": address, "key": KEY });
        let refused = ada.post("/api/admin/model-providers", &body).await.expect(422);
        assert_eq!(refused.problem().fields[0].field, "base_url", "{address}");
    }
    assert!(other.requests().is_empty());
    let view: ModelAdmin = ada.get("/api/admin/models").await.expect(200).json();
    assert!(view.providers.is_empty() && view.hosts.contains(&named.address.to_string()));
    // A provider that fails says why, and is kept.
    let gone = json!({ "name": "Gone", "kind": "anthropic", "base_url": named.url(), "key": KEY });
    let gone: Provider = ada.post("/api/admin/model-providers", &gone).await.expect(201).json();
    drop(named);
    let test: ProviderTest = ada.post(&format!("/api/admin/model-providers/{}/test", gone.id), &json!({})).await.expect(200).json();
    assert!(!test.ok && test.detail.len() > 20 && !test.detail.contains(KEY), "{test:?}");
}
