//! What the server renders for a browser, with and without its script half.

use reqwest::Method;

use crate::support::{PASSWORD, Reply, TestApp};

fn text(reply: &Reply) -> String {
    String::from_utf8(reply.body.to_vec()).unwrap()
}

fn nonce_of(reply: &Reply) -> String {
    let policy = reply.header("content-security-policy").unwrap();
    policy.split("'nonce-").nth(1).unwrap().split('\'').next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_script_of_a_page_carries_the_nonce_of_its_policy() {
    let app = TestApp::start().await;
    let page = app.nobody().get("/login").await.expect(200);
    assert!(page.header("content-type").unwrap().starts_with("text/html"));
    let (html, nonce) = (text(&page), nonce_of(&page));
    assert!(html.contains("<form"), "the form works without a script");
    let scripts: Vec<_> = html.split("<script").skip(1).map(|s| s.split('>').next().unwrap()).collect();
    assert!(!scripts.is_empty());
    for script in scripts {
        assert!(script.contains(&format!("nonce=\"{nonce}\"")), "<script{script}> has not the nonce {nonce}");
    }
    assert_ne!(nonce, nonce_of(&app.nobody().get("/login").await), "each response has its own");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_signs_in_with_a_plain_form_and_is_known_by_its_cookie() {
    let app = TestApp::start().await;
    app.register("ada").await;
    let page = |fields: &'static [(&'static str, &'static str)]| {
        let body = url_encode(fields);
        let request = app.nobody().request(Method::POST, "/fn/auth/login").header("accept", "text/html");
        request.header("content-type", "application/x-www-form-urlencoded").header("referer", format!("{}/login", app.base)).body(body)
    };
    let done = app.nobody().send(page(&[("username", "ada"), ("password", PASSWORD), ("next", "/settings")])).await;
    assert!((300..400).contains(&done.status), "{done:?}");
    assert_eq!(done.header("location"), Some("/settings"));
    let cookie = done.set_cookie().unwrap();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"), "{cookie}");

    let elsewhere = app.nobody().send(page(&[("username", "ada"), ("password", PASSWORD), ("next", "//evil.example")])).await;
    assert_eq!(elsewhere.header("location"), Some("/"), "never to another site");

    let refused = app.nobody().send(page(&[("username", "ada"), ("password", "wrong")])).await;
    assert!((300..400).contains(&refused.status), "a refusal goes back to its form: {refused:?}");
    assert!(refused.header("location").unwrap().contains("/login") && refused.set_cookie().is_none());

    let browser = app.nobody().sign_in_browser("ada", PASSWORD).await;
    browser.get("/api/users/me").await.expect(200);
    assert!(text(&browser.get("/").await.expect(200)).contains("ada"), "the page knows who is there");
}

fn url_encode(fields: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cookie_is_not_enough_from_another_site() {
    let app = TestApp::start().await;
    app.register("ada").await;
    let browser = app.nobody().sign_in_browser("ada", PASSWORD).await;
    let create = |site: &str| {
        browser.request(Method::POST, "/api/projects").header("sec-fetch-site", site).json(&serde_json::json!({ "name": "X" }))
    };
    browser.send(create("cross-site")).await.expect(403).problem();
    browser.send(create("same-origin")).await.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_exist_is_a_page_for_people_and_a_problem_for_programs() {
    let app = TestApp::start().await;
    let person = app.nobody().request(Method::GET, "/no/such/page").header("accept", "text/html");
    let page = app.nobody().send(person).await.expect(404);
    assert!(page.header("content-type").unwrap().starts_with("text/html"));
    let program = app.nobody().request(Method::GET, "/no/such/page").header("accept", "application/json");
    app.nobody().send(program).await.expect(404).problem();
    app.nobody().get("/pkg/nothing.js").await.expect(404);
    app.nobody().get("/asset-manifest.json").await.expect(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_function_refuses_with_the_status_of_its_problem() {
    let app = TestApp::start().await;
    let ada = app.user("ada").await;
    let unreadable = ada.post("/fn/files/open", &serde_json::json!({ "project": 7 })).await.expect(400);
    assert_eq!(unreadable.field("code"), "bad_request");
    let body = serde_json::json!({ "id": uuid::Uuid::now_v7() });
    assert_eq!(ada.post("/fn/projects/get", &body).await.expect(404).field("code"), "not_found");
    let wrong = app.nobody().form("/fn/auth/login", &[("username", "ada"), ("password", "wrong")]).await.expect(401);
    assert_eq!(wrong.field("current")["username"], "ada");
    let huge = ada.request(Method::POST, "/fn/projects/list").header("content-type", "application/json").body(vec![b' '; 13 << 20]);
    ada.send(huge).await.expect(413);
}

/// A page goes from thread to thread while it is rendered; whatever is read late must have gone along.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn pages_rendered_side_by_side_do_not_fail_each_other() {
    let app = TestApp::start().await;
    let ada = app.user("ada").await;
    let project = ada.post("/api/projects", &serde_json::json!({ "name": "rates" })).await.expect(201).id();
    let places = [format!("/projects/{project}"), "/admin/users".to_owned(), "/settings".to_owned(), "/".to_owned()];
    let asking = (0..8).map(|_| async {
        for place in places.iter().cycle().take(60) {
            let page = ada.get(place).await.expect(200);
            assert!(text(&page).contains(" · cloudxdevai</title>"), "{place} has its title");
        }
    });
    futures::future::join_all(asking).await;
}
