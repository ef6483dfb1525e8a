//! Asking again with the same key does nothing twice.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use crate::support::{Caller, Reply, TestApp, archives, fixture};

const REPLAYED: &str = "idempotency-replayed";

async fn post(caller: &Caller, path: &str, key: &str, body: &Value) -> Reply {
    caller.send(caller.request(Method::POST, path).header("idempotency-key", key).json(body)).await
}

async fn projects(caller: &Caller) -> usize {
    caller.get("/api/projects").await.expect(200).listed_ids().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_request_is_answered_the_same_and_done_once() {
    let app = TestApp::start().await;
    let (ada, bob) = (app.user("ada").await, app.user("bob").await);
    let body = json!({ "name": "P", "description": "first" });
    let first = post(&ada, "/api/projects", "a key", &body).await.expect(201);
    assert_eq!(first.header(REPLAYED), None);
    let again = post(&ada, "/api/projects", "a key", &body).await.expect(201);
    assert_eq!((again.header(REPLAYED), &again.body, projects(&ada).await), (Some("true"), &first.body, 1));
    assert_eq!(again.header("content-type"), first.header("content-type"));
    assert_ne!(again.header("x-request-id"), first.header("x-request-id"));

    let other = post(&ada, "/api/projects", "a key", &json!({ "name": "Q" })).await.expect(422);
    assert!(other.problem().field("Idempotency-Key").is_some());
    let elsewhere = post(&ada, "/api/projects?x=1", "a key", &body).await;
    assert_eq!(elsewhere.status, 422, "the query is part of what was asked");
    post(&bob, "/api/projects", "a key", &body).await.expect(201);
    post(&ada, "/api/projects", "another key", &body).await.expect(201);
    assert_eq!((projects(&ada).await, projects(&bob).await), (2, 1));
    // A route of its own, although the path differs only by the project.
    let project = first.id();
    let checkpoint = json!({ "name": "Before" });
    let made = post(&ada, &format!("/api/projects/{project}/checkpoints"), "a key", &checkpoint).await.expect(201).id();
    let again = post(&ada, &format!("/api/projects/{project}/checkpoints"), "a key", &checkpoint).await.expect(201);
    assert_eq!(again.id(), made);
    let second = ada.get("/api/projects").await.listed_ids().into_iter().find(|id| *id != project).unwrap();
    assert_eq!(post(&ada, &format!("/api/projects/{second}/checkpoints"), "a key", &checkpoint).await.status, 422);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_are_none_are_refused_by_name() {
    let app = TestApp::start().await;
    let ada = app.user("ada").await;
    let body = json!({ "name": "P" });
    for key in ["", &"k".repeat(256), "tab\there", "caf\u{e9}"] {
        let reply = post(&ada, "/api/projects", key, &body).await.expect(422);
        assert!(reply.problem().field("Idempotency-Key").is_some(), "{key:?}");
    }
    let two = ada.request(Method::POST, "/api/projects").header("idempotency-key", "a").header("idempotency-key", "b").json(&body);
    ada.send(two).await.expect(422);
    assert_eq!(projects(&ada).await, 0);
    post(&ada, "/api/projects", &"k".repeat(255), &body).await.expect(201);
    app.nobody().send(app.nobody().request(Method::POST, "/api/projects").header("idempotency-key", "k").json(&body)).await.expect(401);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_refused_did_nothing_and_frees_its_key() {
    let app = TestApp::start().await;
    let ada = app.user("ada").await;
    post(&ada, "/api/projects", "k", &json!({ "name": "" })).await.expect(422);
    let made = post(&ada, "/api/projects", "k", &json!({ "name": "P" })).await.expect(201).id();
    assert_eq!(post(&ada, "/api/projects", "k", &json!({ "name": "P" })).await.expect(201).id(), made);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_twenty_at_once_one_is_done() {
    let app = TestApp::start().await;
    let ada = app.user("ada").await;
    let body = json!({ "name": "P" });
    for round in 0..3 {
        let key = format!("round {round}");
        let replies = futures::future::join_all((0..20).map(|_| post(&ada, "/api/projects", &key, &body))).await;
        let done: Vec<&Reply> = replies.iter().filter(|reply| reply.status == 201).collect();
        let first: Vec<&&Reply> = done.iter().filter(|reply| reply.header(REPLAYED).is_none()).collect();
        assert_eq!(first.len(), 1, "{replies:?}");
        for reply in &replies {
            match reply.status {
                201 => assert_eq!(reply.id(), first[0].id()),
                409 => assert_eq!((reply.header("retry-after"), reply.problem().retry_after), (Some("1"), Some(1))),
                _ => panic!("{reply:?}"),
            }
        }
        assert_eq!(post(&ada, "/api/projects", &key, &body).await.expect(201).id(), first[0].id());
        assert_eq!(projects(&ada).await, round + 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_lost_the_connection_finds_it_done() {
    const ASKED: u64 = 16;
    let app = TestApp::start().await;
    let ada = app.user("ada").await;
    let address = app.base.strip_prefix("http://").unwrap();
    let token = ada.request(Method::GET, "/").build().unwrap().headers()["authorization"].to_str().unwrap().to_owned();
    let body = serde_json::to_string(&json!({ "name": "P" })).unwrap();
    for n in 0..ASKED {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let text = format!(
            "POST /api/projects HTTP/1.1\r\nhost: {address}\r\nauthorization: {token}\r\nidempotency-key: lost {n}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(text.as_bytes()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(n / 2)).await;
        drop(stream);
    }
    for n in 0..ASKED {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let reply = post(&ada, "/api/projects", &format!("lost {n}"), &json!({ "name": "P" })).await;
            if reply.status == 201 {
                break;
            }
            assert!(reply.status == 409 && Instant::now() < deadline, "{reply:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    assert_eq!(projects(&ada).await, ASKED as usize);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_too_long_to_keep_is_not_given_twice_nor_the_work_done_twice() {
    let app = TestApp::start().await;
    let ada = app.user("ada").await;
    let project = fixture::project(&ada, "P").await;
    let text: String = (0..4000).map(|n| format!("fn function_number_{n}() {{}}\n")).collect();
    let path = format!("/api/projects/{project}/outline");
    let body = json!({ "path": "long.rs", "text": text });
    let first = post(&ada, &path, "k", &body).await.expect(200);
    assert!(first.body.len() > 64 * 1024, "{} bytes", first.body.len());
    let again = post(&ada, &path, "k", &body).await.expect(409);
    assert!(again.problem().detail.contains("too long to keep"), "{again:?}");
    assert_eq!(post(&ada, &path, "k", &json!({ "path": "a.rs" })).await.status, 422);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_is_known_again_without_being_kept() {
    let app = TestApp::start().await;
    let ada = app.user("ada").await;
    let form = |boundary: &str, archive: &[u8]| {
        let head = format!("--{boundary}\r\ncontent-disposition: form-data; name=\"archive\"; filename=\"a.zip\"\r\n\r\n");
        [head.as_bytes(), archive, format!("\r\n--{boundary}--\r\n").as_bytes()].concat()
    };
    let send = async |boundary: &str, body: Vec<u8>| {
        let request = ada.request(Method::POST, "/api/projects/import").header("idempotency-key", "import");
        ada.send(request.header("content-type", format!("multipart/form-data; boundary={boundary}")).body(body)).await
    };
    let large = vec![7; 300_000];
    let archive = archives::zip(&[("a.bin", &large)]);
    let first = send("one-boundary", form("one-boundary", &archive)).await.expect(202);
    for boundary in ["one-boundary", "----another--boundary123456"] {
        let again = send(boundary, form(boundary, &archive)).await.expect(202);
        assert_eq!((again.header(REPLAYED), &again.body), (Some("true"), &first.body), "{boundary}");
    }
    let other = archives::zip(&[("b.bin", &large)]);
    assert_eq!(send("b", form("b", &other)).await.status, 422);
    assert_eq!(send("b", form("b", &archive)[..100].to_vec()).await.status, 422);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_in_an_answer_is_not_readable_where_it_is_kept() {
    let app = TestApp::start().await;
    let ada = app.user("ada").await;
    let body = json!({ "name": "ci", "scopes": ["read", "write"] });
    let first = post(&ada, "/api/users/me/tokens", "token", &body).await.expect(201);
    let again = post(&ada, "/api/users/me/tokens", "token", &body).await.expect(201);
    assert_eq!(first.body, again.body);
    let secret = first.field("secret").as_str().unwrap().to_owned();
    let user = ada.user.as_ref().unwrap().id;
    let of = store::idempotency::Key { user, key: "token", route: "POST /api/users/me/tokens" };
    let row = store::idempotency::get(&mut app.services.db.read().await.unwrap(), of).await.unwrap().unwrap();
    let kept = row.answer.unwrap();
    assert!(!kept.windows(secret.len()).any(|part| part == secret.as_bytes()));

    // Another of the same person's tokens is not told what this one was.
    let program = app.nobody().with_bearer(&secret);
    let project = json!({ "name": "P" });
    post(&program, "/api/projects", "k", &project).await.expect(201);
    post(&program, "/api/projects", "k", &project).await.expect(201);
    assert_eq!(post(&ada, "/api/projects", "k", &project).await.status, 422);
}
