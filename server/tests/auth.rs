//! Accounts, sessions and tokens over REST.

use serde_json::json;
use wire::{ErrorCode, auth::Tokens, users::User};

use crate::support::{Options, PASSWORD, TestApp};

#[tokio::test(flavor = "multi_thread")]
async fn the_first_account_administers_and_the_second_does_not() {
    let app = TestApp::start().await;
    assert!(app.register("ada").await.is_admin());
    assert!(!app.register("ben").await.is_admin());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_registration_names_every_field() {
    let app = TestApp::start().await;
    let body = json!({ "email": "nonsense", "username": "a b", "password": "short" });
    let problem = app.nobody().post("/api/auth/register", &body).await.expect(422).problem();
    assert_eq!(problem.code, ErrorCode::Invalid);
    let mut fields: Vec<_> = problem.fields.iter().map(|f| f.field.as_str()).collect();
    fields.sort_unstable();
    assert_eq!(fields, ["email", "password", "username"]);

    let broken = app.nobody().request(reqwest::Method::POST, "/api/auth/register").header("content-type", "application/json").body("{");
    assert_eq!(app.nobody().send(broken).await.expect(400).problem().code, ErrorCode::BadRequest);
    let missing = app.nobody().post("/api/auth/register", &json!({ "email": "a@b.org" })).await.expect(422).problem();
    assert_eq!(missing.fields[0].field, "username");
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_unique_whatever_their_case() {
    let app = TestApp::start().await;
    app.register("ada").await;
    let body = json!({ "email": "ADA@example.org", "username": "Ada", "password": PASSWORD });
    let problem = app.nobody().post("/api/auth/register", &body).await.expect(422).problem();
    assert_eq!(problem.fields.len(), 2, "{problem:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sign_in_answers_the_same_for_a_wrong_password_and_an_unknown_name() {
    let app = TestApp::start().await;
    app.register("ada").await;
    let wrong = app.nobody().login("ada", "not the password").await.expect(401);
    let unknown = app.nobody().login("nobody-of-this-name", "not the password").await.expect(401);
    assert_eq!(wrong.problem().fields, unknown.problem().fields);
    let by_mail: Tokens = app.nobody().login("ada@example.org", PASSWORD).await.expect(200).json();
    assert_eq!((by_mail.user.username.as_str(), by_mail.token_type.as_str(), by_mail.expires_in), ("ada", "bearer", 900));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_token_is_spent_by_its_use_and_two_tabs_agree() {
    let app = TestApp::start().await;
    let ada = app.user("ada").await;
    let spent = json!({ "refresh_token": ada.refresh_token });
    let first: Tokens = app.nobody().post("/api/auth/refresh", &spent).await.expect(200).json();
    let second: Tokens = app.nobody().post("/api/auth/refresh", &spent).await.expect(200).json();
    assert_eq!(first.refresh_token, second.refresh_token, "the second tab gets the same successor");
    assert_ne!(Some(&first.refresh_token), ada.refresh_token.as_ref());
    ada.with_tokens(first).get("/api/users/me").await.expect(200);
    app.nobody().post("/api/auth/refresh", &json!({ "refresh_token": "cxr_invented" })).await.expect(401);
}

#[tokio::test(flavor = "multi_thread")]
async fn logging_out_ends_the_session_at_once() {
    let app = TestApp::start().await;
    let ada = app.user("ada").await;
    ada.get("/api/users/me").await.expect(200);
    let reply = ada.send(ada.request(reqwest::Method::POST, "/api/auth/logout")).await.expect(204);
    assert!(reply.set_cookie().is_some_and(|c| c.contains("Max-Age=0")));
    let refused = ada.get("/api/users/me").await.expect(401);
    assert_eq!(refused.header("www-authenticate"), Some("Bearer"));
    assert_eq!(refused.problem().code, ErrorCode::NotSignedIn);
    ada.post("/api/auth/refresh", &json!({ "refresh_token": ada.refresh_token })).await.expect(401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_account_is_out_at_its_next_request() {
    let app = TestApp::start().await;
    let admin = app.user("ada").await;
    let ben = app.user("ben").await;
    let id = ben.user.as_ref().unwrap().id;
    admin.patch(&format!("/api/admin/users/{id}"), &json!({ "state": "disabled" })).await.expect(200);
    ben.get("/api/users/me").await.expect(401);
    app.nobody().login("ben", PASSWORD).await.expect(401);
    let own = admin.user.as_ref().unwrap().id;
    admin.patch(&format!("/api/admin/users/{own}"), &json!({ "role": "user" })).await.expect(409);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_or_foreign_token_is_nobody() {
    let app = TestApp::start().await;
    let ada = app.user("ada").await;
    for token in ["nonsense", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.", ada.refresh_token.as_deref().unwrap()] {
        ada.with_bearer(token).get("/api/users/me").await.expect(401);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_may_change_ones_name_only() {
    let app = TestApp::start().await;
    let ada = app.user("ada").await;
    let user: User = ada.patch("/api/users/me", &json!({ "full_name": "Ada Lovelace", "role": "user" })).await.expect(200).json();
    assert_eq!((user.full_name.as_deref(), user.is_admin()), (Some("Ada Lovelace"), true));
    let again: User = ada.get("/api/users/me").await.expect(200).json();
    assert_eq!(again.full_name.as_deref(), Some("Ada Lovelace"));
}

#[tokio::test(flavor = "multi_thread")]
async fn closed_registration_lets_only_the_first_one_in() {
    let app = TestApp::with(Options { settings: vec![("REGISTRATION", "closed")], ..Options::default() }).await;
    app.register("ada").await;
    let body = json!({ "email": "ben@example.org", "username": "ben", "password": PASSWORD });
    app.nobody().post("/api/auth/register", &body).await.expect(403).problem();
}
