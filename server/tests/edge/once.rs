use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use server::{seats::Bounds, serve};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::slow::read_all;
use crate::support::{
    Caller, Options, PATIENCE, Reply, TestApp,
    model_server::{ModelServer, Step},
};

async fn post(caller: &Caller, path: &str, key: &str, body: &Value) -> Reply {
    caller.send(caller.request(Method::POST, path).header("idempotency-key", key).json(body)).await
}

/// The head of a `POST` by hand, up to its framing.
fn head(caller: &Caller, path: &str, key: &str, content_type: &str) -> String {
    let token = caller.request(Method::GET, "/").build().unwrap().headers()["authorization"].to_str().unwrap().to_owned();
    format!(
        "POST {path} HTTP/1.1\r\nhost: here\r\nconnection: close\r\nauthorization: {token}\r\nidempotency-key: {key}\r\ncontent-type: {content_type}\r\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_breaks_off_is_told_from_one_that_is_too_large() {
    let app = TestApp::start().await;
    let ada = app.user("ada").await;
    let address = app.base.strip_prefix("http://").unwrap();
    for (path, content_type) in [("/api/projects", "application/json"), ("/api/projects/import", "multipart/form-data; boundary=b")] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = head(&ada, path, "k", content_type);
        // Where the next size should be there is something else.
        stream.write_all(format!("{head}transfer-encoding: chunked\r\n\r\n4\r\n--b\n\r\nno size\r\n").as_bytes()).await.unwrap();
        let answer = read_all(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("application/problem+json"), "{path}: {answer}");
    }
    let text = "a".repeat(2 << 20);
    let large = post(&ada, "/api/projects", "k", &json!({ "name": text })).await.expect(413);
    assert_eq!(large.problem().status, 413);
    post(&ada, "/api/projects", "k", &json!({ "name": "P" })).await.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_on_without_its_connection_is_waited_for_when_the_server_stops() {
    let model = ModelServer::start().await;
    let app = TestApp::with(Options { model: Some(model.base_url()), ..Options::default() }).await;
    let ada = app.user("ada").await;
    model.script([Step { first_byte_ms: 1500, ..Step::text("Four") }, Step::text("Never asked")]);
    // A listener of its own, whose end can be waited for.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
    let serving = tokio::spawn(serve::listen_within(listener, app.router.clone(), Bounds::default(), stop.clone()));
    let body = json!({ "prompt": "Two and two?" });
    let mut stream = TcpStream::connect(address).await.unwrap();
    let (head, text) = (head(&ada, "/api/v1/generate", "k", "application/json"), body.to_string());
    stream.write_all(format!("{head}content-length: {}\r\n\r\n{text}", text.len()).as_bytes()).await.unwrap();
    model.wait_for(|counts| counts.requests == 1).await;
    drop(stream);
    // Long enough for the loss to be noticed, and far from an answer.
    tokio::time::sleep(Duration::from_millis(200)).await;
    stop.cancel();
    timeout(PATIENCE, serving).await.expect("it stops").unwrap();

    let kept = post(&ada, "/api/v1/generate", "k", &body).await.expect(200);
    assert_eq!((kept.header("idempotency-replayed"), kept.field("text")), (Some("true"), json!("Four")));
    assert_eq!(model.requests().len(), 1, "the model was asked once");
}
