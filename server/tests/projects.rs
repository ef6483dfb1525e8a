//! Projects over REST, and what every answer of the site has in common.

use reqwest::Method;
use serde_json::json;
use wire::{ErrorCode, Page, projects::Project};

use crate::support::{self, Options, TestApp, fixture};

#[tokio::test(flavor = "multi_thread")]
async fn a_project_lives_from_creation_to_deletion() {
    let app = TestApp::start().await;
    let ada = app.user("ada").await;
    let id = ada.post("/api/projects", &json!({ "name": " Tally ", "description": "Counts" })).await.expect(201).id();
    let project: Project = ada.get(&format!("/api/projects/{id}")).await.expect(200).json();
    assert_eq!((project.name.as_str(), project.description.as_str(), project.file_count), ("Tally", "Counts", 0));
    let renamed: Project = ada.patch(&format!("/api/projects/{id}"), &json!({ "name": "Ledger" })).await.expect(200).json();
    assert_eq!((renamed.name.as_str(), renamed.description.as_str()), ("Ledger", "Counts"));
    let list: Page<Project> = ada.get("/api/projects").await.expect(200).json();
    assert_eq!(list.items.len(), 1);
    ada.delete(&format!("/api/projects/{id}")).await.expect(204);
    assert_eq!(ada.get(&format!("/api/projects/{id}")).await.expect(404).problem().code, ErrorCode::NotFound);
    assert!(ada.get("/api/projects").await.expect(200).json::<Page<Project>>().items.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strangers_project_looks_like_none() {
    let app = TestApp::start().await;
    let (ada, ben) = (app.user("ada").await, app.user("ben").await);
    let id = fixture::project(&ada, "Private").await;
    let foreign = ben.get(&format!("/api/projects/{id}")).await.expect(404).problem();
    let invented = ben.get("/api/projects/0190a5c8-0000-7000-8000-000000000000").await.expect(404).problem();
    assert_eq!(foreign.detail, invented.detail);
    assert!(ben.get("/api/projects").await.json::<Page<Project>>().items.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_needed() {
    let app = TestApp::start().await;
    let ada = app.user("ada").await;
    let problem = ada.post("/api/projects", &json!({ "name": "  " })).await.expect(422).problem();
    assert_eq!(problem.fields[0].field, "name");
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_addresses_and_methods_answer_problems() {
    let app = TestApp::start().await;
    let ada = app.user("ada").await;
    assert_eq!(ada.get("/api/nothing/here").await.expect(404).problem().code, ErrorCode::NotFound);
    assert_eq!(ada.get("/api/projects/not-an-id").await.expect(404).problem().code, ErrorCode::NotFound);
    assert_eq!(ada.get("/fn/nothing").await.expect(404).problem().code, ErrorCode::NotFound);
    let refused = ada.delete("/api/projects").await.expect(405);
    let allowed = refused.header("allow").unwrap_or_default().to_owned();
    assert!(allowed.contains("GET") && allowed.contains("POST"), "{allowed}");
    assert_eq!(refused.problem().status, 405);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_carries_its_headers() {
    let app = TestApp::start().await;
    for path in ["/healthz", "/api/users/me", "/api/nothing", "/login"] {
        let reply = app.nobody().get(path).await;
        for (name, part) in [
            ("content-security-policy", "default-src 'none'"),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "same-origin"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
            ("permissions-policy", "camera=()"),
            ("cache-control", "no-"),
            ("x-request-id", "-"),
        ] {
            assert!(reply.header(name).is_some_and(|v| v.contains(part)), "{path}: {name} is {:?}", reply.header(name));
        }
        assert!(reply.header("strict-transport-security").is_none(), "HSTS only under TLS");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn under_tls_cookies_are_secure_and_hsts_is_sent() {
    let app = TestApp::with(Options { settings: vec![("APP_PUBLIC_URL", "https://code.example.org")], ..Options::default() }).await;
    let ada = app.user("ada").await;
    let reply = ada.send(ada.request(Method::POST, "/api/auth/logout")).await.expect(204);
    assert!(reply.header("strict-transport-security").is_some());
    let cookie = reply.set_cookie().unwrap();
    assert!(cookie.starts_with("__Host-") && cookie.contains("; Secure") && cookie.contains("HttpOnly"), "{cookie}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_harmless_request_id_is_kept_and_another_is_replaced() {
    let app = TestApp::start().await;
    let nobody = app.nobody();
    let with_id = |id: &str| nobody.request(Method::GET, "/healthz").header("x-request-id", id);
    assert_eq!(nobody.send(with_id("trace-1.a_B")).await.header("x-request-id"), Some("trace-1.a_B"));
    for bad in ["has space", "a\"b", &"x".repeat(65)] {
        let reply = nobody.send(with_id(bad)).await;
        assert_ne!(reply.header("x-request-id"), Some(bad));
        assert!(reply.header("x-request-id").is_some_and(|id| id.len() == 36));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_site_can_not_act_for_a_visitor() {
    let app = TestApp::start().await;
    app.register("ada").await;
    let login = |headers: &[(&str, &str)]| {
        let mut request = app.nobody().request(Method::POST, "/api/auth/login").header("content-type", "application/x-www-form-urlencoded");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(format!("username=ada&password={}", support::PASSWORD.replace(' ', "+")))
    };
    let nobody = app.nobody();
    nobody.send(login(&[])).await.expect(200);
    nobody.send(login(&[("origin", &app.base)])).await.expect(200);
    nobody.send(login(&[("sec-fetch-site", "same-origin")])).await.expect(200);
    for foreign in [("origin", "https://evil.example"), ("sec-fetch-site", "cross-site"), ("origin", "null")] {
        let problem = nobody.send(login(&[foreign])).await.expect(403).problem();
        assert_eq!(problem.code, ErrorCode::Forbidden);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_listed_hosts_are_answered_but_probes_always() {
    let app = TestApp::with(Options { settings: vec![("ALLOWED_HOSTS", "code.example.org")], ..Options::default() }).await;
    let nobody = app.nobody();
    nobody.get("/api/users/me").await.expect(400).problem();
    nobody.get("/healthz").await.expect(200);
    let named = nobody.request(Method::GET, "/api/users/me").header("host", "code.example.org");
    nobody.send(named).await.expect(401);
}

#[tokio::test(flavor = "multi_thread")]
async fn health_says_what_each_part_is_like() {
    let app = TestApp::start().await;
    let health: wire::admin::Health = app.nobody().get("/readyz").await.expect(200).json();
    let names: Vec<_> = health.checks.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(
        names,
        ["database", "migrations", "file storage", "job queue", "redis", "sandbox", "previews", "disk", "models", "sign-in provider"]
    );
    assert!(health.checks.iter().all(|c| !c.reason.is_empty()));
    app.nobody().get("/health").await.expect(200);
}
