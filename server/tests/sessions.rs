//! Where people are signed in: listed, ended one by one and all at once, with all that is open.

use std::time::{Duration, Instant};

use futures::StreamExt;
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio_tungstenite::{connect_async, tungstenite::Message};
use wire::{Micros, Page, auth::Tokens, event::EventKind, sessions::Session};

use crate::support::{
    Caller, Events, PASSWORD, TestApp, fixture,
    terminal::{self, Reader},
};

/// How soon what is open has to end.
const SOON: Duration = Duration::from_secs(5);

async fn sessions(caller: &Caller) -> Vec<Session> {
    caller.get("/api/users/me/sessions").await.expect(200).json::<Page<Session>>().items
}

/// The stream tells that the session has ended, is over, and all that within the time.
async fn ends_soon(mut events: Events, since: Instant) {
    events.until(|event| event.kind == EventKind::SessionEnded {}).await;
    assert!(events.next().await.is_none(), "it is the last");
    assert!(since.elapsed() < SOON, "{:?}", since.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_listed_and_ended_one_by_one() {
    let app = TestApp::start().await;
    let ada = app.user("ada").await;
    let browser = app.nobody().sign_in_browser("ada", PASSWORD).await;
    let listed = sessions(&browser).await;
    assert_eq!(listed.len(), 2);
    assert_eq!(listed.iter().filter(|session| session.current).count(), 1);
    let own = listed.iter().find(|session| session.current).unwrap();
    assert_eq!((own.kind, own.address.as_deref()), (wire::sessions::SessionKind::Browser, Some("127.0.0.1")));
    let other = listed.iter().find(|session| !session.current).unwrap();
    assert_eq!(other.kind, wire::sessions::SessionKind::Client);
    assert!(!other.device.is_empty() && other.expires_at > other.created_at);

    let project = fixture::project(&ada, "P").await;
    let of_ada = ada.follow(&format!("/api/live/project:{project}")).await.unwrap();
    let mut of_browser = browser.follow("/api/live/user:me").await.unwrap();
    let ben = app.user("ben").await;
    ben.delete(&format!("/api/users/me/sessions/{}", other.id)).await.expect(404).problem();
    let began = Instant::now();
    ada.delete(&format!("/api/users/me/sessions/{}", other.id)).await.expect(204);
    ada.get("/api/users/me").await.expect(401);
    ends_soon(of_ada, began).await;
    let told = of_browser.next().await.unwrap();
    assert_eq!(told.event.kind, EventKind::SessionsChanged {}, "the others hear of it and go on");
    browser.delete(&format!("/api/users/me/sessions/{}", other.id)).await.expect(404);
    assert_eq!(sessions(&browser).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_others_or_all_at_once() {
    let app = TestApp::start().await;
    let ada = app.user("ada").await;
    let (second, third) = (app.nobody().sign_in("ada", PASSWORD).await, app.nobody().sign_in_browser("ada", PASSWORD).await);
    let ended = ada.delete("/api/users/me/sessions").await.expect(200);
    assert_eq!(ended.field("ended"), 2);
    for gone in [&second, &third] {
        gone.get("/api/users/me").await.expect(401);
    }
    ada.get("/api/users/me").await.expect(200);

    let again = app.nobody().sign_in("ada", PASSWORD).await;
    let open = again.follow("/api/live/user:me").await.unwrap();
    let began = Instant::now();
    let reply = ada.send(ada.request(reqwest::Method::POST, "/api/auth/logout?everywhere=true")).await.expect(204);
    assert!(reply.set_cookie().unwrap().contains("Max-Age=0"));
    ends_soon(open, began).await;
    for gone in [&ada, &again] {
        gone.get("/api/users/me").await.expect(401);
        gone.post("/api/auth/refresh", &json!({ "refresh_token": gone.refresh_token })).await.expect(401);
    }
    // An end that the log tells of is not the end of who signs in later.
    let later = app.nobody().sign_in("ada", PASSWORD).await;
    let mut events = later.follow("/api/live/user:me?after=0").await.unwrap();
    fixture::project(&later, "P").await;
    later.patch("/api/users/me", &json!({ "full_name": "Ada" })).await.expect(200);
    later.delete("/api/users/me/sessions").await.expect(200);
    let told = events.until(|event| event.kind == EventKind::SessionsChanged {}).await;
    assert!(told.seq > 0);
}

async fn refresh(caller: &Caller, token: &str, status: u16) -> Option<Tokens> {
    let reply = caller.post("/api/auth/refresh", &json!({ "refresh_token": token })).await.expect(status);
    (status == 200).then(|| reply.json())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_tabs_stay_signed_in_and_a_stolen_token_ends_the_family() {
    let app = TestApp::start().await;
    let nobody = app.nobody();
    let ada = app.user("ada").await;
    let first = ada.refresh_token.clone().unwrap();
    let one = refresh(&nobody, &first, 200).await.unwrap();
    let two = refresh(&nobody, &first, 200).await.unwrap();
    assert_eq!(one.refresh_token, two.refresh_token, "both tabs go on with the same");
    let next = refresh(&nobody, &one.refresh_token, 200).await.unwrap();
    let (tab, other) = (nobody.with_tokens(one), nobody.with_tokens(next));
    tab.get("/api/users/me").await.expect(200);
    other.get("/api/users/me").await.expect(200);

    // As if that had been eleven seconds ago.
    let last = other.refresh_token.clone().unwrap();
    let hash = hex::encode(Sha256::digest(last.as_bytes()));
    let mut tx = app.services.db.begin().await.unwrap();
    let earlier = Micros(app.services.clock.now().0 - 11 * Micros::SECOND);
    assert!(store::sessions::spend_refresh(&mut tx, &hash, earlier).await.unwrap());
    let _committed = tx.commit().await.unwrap();
    let open = other.follow("/api/live/user:me").await.unwrap();
    let began = Instant::now();
    refresh(&nobody, &last, 401).await;
    tab.get("/api/users/me").await.expect(401);
    other.get("/api/users/me").await.expect(401);
    refresh(&nobody, &first, 401).await;
    ends_soon(open, began).await;
    let ada = nobody.sign_in("ada", PASSWORD).await;
    let log = ada.get("/api/admin/audit?action=refresh_reused").await.expect(200);
    assert_eq!(log.json::<serde_json::Value>()["items"].as_array().map(Vec::len), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_person_is_out_with_all_that_is_open() {
    let app = TestApp::with_worker().await;
    let (ada, ben) = (app.user("ada").await, app.user("ben").await);
    let project = fixture::project(&ben, "P").await;
    let stream = ben.follow(&format!("/api/live/project:{project}")).await.unwrap();
    let made = ben.post("/api/users/me/tokens", &json!({ "name": "Watcher", "scopes": ["read"] })).await.expect(201);
    let program = ben.with_bearer(made.field("secret").as_str().unwrap());
    let of_program = program.follow(&format!("/api/live/project:{project}")).await.unwrap();
    let (mut asking, _) = connect_async(ben.socket_request("/ws/generate", &[])).await.unwrap();
    let can_run = fixture::can_run(&app).await;
    let mut reader = None;
    if can_run {
        let opened = terminal::open(&ben, &project).await;
        reader = Some(Reader::join(&ben, opened.id, None).await.unwrap());
    }
    let id = ben.user.as_ref().unwrap().id;
    let began = Instant::now();
    ada.patch(&format!("/api/admin/users/{id}"), &json!({ "state": "disabled" })).await.expect(200);
    ben.get("/api/users/me").await.expect(401);
    refresh(&app.nobody(), ben.refresh_token.as_ref().unwrap(), 401).await;
    program.get("/api/projects").await.expect(401);
    ends_soon(stream, began).await;
    ends_soon(of_program, began).await;
    let closed = loop {
        let left = SOON.saturating_sub(began.elapsed());
        match tokio::time::timeout(left, asking.next()).await.expect("the socket for prompts is still open") {
            Some(Ok(Message::Close(frame))) => break frame,
            Some(Ok(_)) => {}
            gone => panic!("{gone:?}"),
        }
    };
    assert_eq!(closed.map(|frame| u16::from(frame.code)), Some(1008));
    if let Some(mut reader) = reader {
        while reader.end.is_none() {
            let left = SOON.saturating_sub(began.elapsed());
            assert!(!left.is_zero(), "the socket is still open");
            reader.step(left).await;
        }
        assert_eq!(reader.end.flatten().map(|frame| u16::from(frame.code)), Some(1008));
    }
    app.stop().await;
}
