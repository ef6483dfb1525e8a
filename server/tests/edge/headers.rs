use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::json;

use super::fill_in;
use crate::support::{Options, PASSWORD, Reply, TestApp};

/// What is wrong with the headers of an answer.
fn missing(reply: &Reply, is_secure: bool) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut expect = |name: &str, fits: &dyn Fn(&str) -> bool| match reply.header(name) {
        Some(value) if fits(value) => {}
        other => wrong.push(format!("{name}: {other:?}")),
    };
    let same = |wanted: &'static str| move |value: &str| value == wanted;
    expect("x-content-type-options", &same("nosniff"));
    expect("referrer-policy", &same("same-origin"));
    expect("cross-origin-opener-policy", &same("same-origin"));
    expect("cross-origin-resource-policy", &same("same-origin"));
    expect("permissions-policy", &|value| value.contains("camera=()"));
    expect("content-security-policy", &|value| {
        value.contains("default-src 'none'") && value.contains("frame-ancestors 'none'") && !value.contains("'unsafe-eval'")
    });
    expect("cache-control", &|value| value.contains("no-store") || value.contains("no-cache") || value.contains("max-age"));
    expect("x-request-id", &|value| !value.is_empty());
    match (is_secure, reply.header("strict-transport-security")) {
        (true, Some(value)) if value.starts_with("max-age=") => {}
        (false, None) => {}
        (_, other) => wrong.push(format!("strict-transport-security: {other:?}")),
    }
    wrong
}

async fn walk(app: &TestApp, is_secure: bool) -> (usize, Vec<String>) {
    app.register("ada").await;
    let ada = app.nobody().sign_in("ada", PASSWORD).await;
    let (mut looked, mut failures) = (0, Vec::new());
    let mut look = |what: String, reply: Reply| {
        looked += 1;
        let wrong = missing(&reply, is_secure);
        if !wrong.is_empty() || reply.status == 500 {
            failures.push(format!("{what} answered {}: {wrong:?}", reply.status));
        }
    };
    for route in &app.routes {
        let path = fill_in(route.path);
        for (who, caller) in [("nobody", app.nobody()), ("ada", ada.clone())] {
            if route.path.ends_with("/logout") || (route.path.starts_with("/api/live") && who == "ada") {
                continue;
            }
            let reply = caller.send(caller.request(route.method.clone(), &path)).await;
            look(format!("{} {} for {who}", route.method, route.path), reply);
        }
        let other = Method::from_bytes(b"TRACE").unwrap();
        look(format!("TRACE {}", route.path), ada.send(ada.request(other, &path)).await);
    }
    for path in [
        "/",
        "/login",
        "/signup",
        "/admin",
        "/settings",
        "/none",
        "/api/none",
        "/fn/none",
        "/pkg/none.js",
        "/robots.txt",
        "/healthz",
        "/readyz",
    ] {
        look(format!("GET {path}"), ada.get(path).await);
        look(format!("PATCH {path}"), ada.patch(path, &json!({})).await);
    }
    (looked, failures)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_carries_the_headers() {
    let app = TestApp::start().await;
    let (looked, failures) = walk(&app, false).await;
    assert!(failures.is_empty(), "{failures:#?}");
    assert!(looked > 3 * 150, "only {looked} answers were looked at");
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_under_tls_say_that_it_stays_so() {
    let app = TestApp::with(Options { settings: vec![("APP_PUBLIC_URL", "https://code.example.org")], ..Options::default() }).await;
    for path in ["/login", "/api/users/me", "/none", "/healthz", "/pkg/none.js"] {
        assert_eq!(missing(&app.nobody().get(path).await, true), Vec::<String>::new(), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_is_refused_as_a_problem() {
    let app = TestApp::start().await;
    let ada = app.user("ada").await;
    let long = format!("/api/projects?x={}", "a".repeat(17 * 1024));
    let reply = ada.get(&long).await.expect(414);
    assert!(missing(&reply, false).is_empty() && reply.problem().detail.contains("16384"), "{reply:?}");
    let large = ada.send(ada.request(Method::GET, "/api/projects").header("x-large", "a".repeat(33 * 1024))).await.expect(431);
    assert!(missing(&large, false).is_empty() && large.problem().status == 431);
    let many = (0..120).fold(ada.request(Method::GET, "/api/projects"), |request, n| request.header(format!("x-{n}"), "1"));
    assert_eq!(ada.send(many).await.status, 431, "a hundred headers are enough");

    let text = "a".repeat(1024 * 1024);
    let project = ada.post("/api/projects", &json!({ "name": "P" })).await.expect(201).id();
    for (path, body) in [
        ("/api/projects".to_owned(), json!({ "name": text })),
        (format!("/api/projects/{project}/conversations"), json!({ "title": text })),
        (format!("/api/projects/{project}/checkpoints"), json!({ "name": text })),
    ] {
        let reply = ada.post(&path, &body).await.expect(413);
        assert!(missing(&reply, false).is_empty() && reply.problem().status == 413, "{path}");
    }
    // What is meant to be long is taken, and what is too long in it is refused by name.
    let proposal = json!({ "path": "long.txt", "text": text });
    ada.post(&format!("/api/projects/{project}/proposals"), &proposal).await.expect(201);
    let account = json!({ "email": "bob@example.org", "username": "bob", "password": text });
    let refused = app.nobody().post("/api/auth/register", &account).await.expect(422);
    assert!(refused.problem().field("password").is_some(), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_page_has_a_nonce_of_its_own_and_requests_keep_their_id() {
    let app = TestApp::start().await;
    let nobody = app.nobody();
    let mut nonces = BTreeSet::new();
    for _ in 0..5 {
        let reply = nobody.get("/login").await.expect(200);
        let policy = reply.header("content-security-policy").unwrap().to_owned();
        let nonce = policy.split("'nonce-").nth(1).and_then(|rest| rest.split('\'').next()).unwrap().to_owned();
        let page = String::from_utf8_lossy(&reply.body).into_owned();
        assert!(nonce.len() >= 20 && !policy.split("script-src").nth(1).unwrap().split(';').next().unwrap().contains("unsafe-inline"));
        let scripts: Vec<&str> = page.split("<script").skip(1).filter_map(|rest| rest.split('>').next()).collect();
        assert!(scripts.iter().all(|tag| tag.contains(&nonce) || tag.contains(" src=")), "{scripts:?}");
        nonces.insert(nonce);
    }
    assert_eq!(nonces.len(), 5);

    let with_id = async |id: &str| {
        let reply = nobody.send(nobody.request(Method::GET, "/api/users/me").header("x-request-id", id)).await.expect(401);
        (reply.header("x-request-id").unwrap().to_owned(), reply.problem().request_id)
    };
    assert_eq!(with_id("abc-123_x.y").await, ("abc-123_x.y".to_owned(), Some("abc-123_x.y".to_owned())));
    for id in ["a b", "<script>", &"a".repeat(65), "a=1"] {
        let (answered, named) = with_id(id).await;
        assert!(answered != id && named.as_ref() == Some(&answered), "{id}");
    }
}
