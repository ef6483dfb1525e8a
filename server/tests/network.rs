//! The network policy over REST, and what keeps another origin on our own host from acting for a visitor.

use reqwest::Method;
use serde_json::json;
use wire::{event::EventKind, network::NetworkPolicy, runs::RunState};

use crate::support::{self, Caller, PASSWORD, TestApp, fixture};

async fn put(caller: &Caller, path: &str, body: serde_json::Value) -> support::Reply {
    caller.send(caller.request(Method::PUT, path).json(&body)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_allows_what_the_administrator_opened() {
    let app = TestApp::start().await;
    let (ada, ben, cleo) = (app.user("ada").await, app.user("ben").await, app.user("cleo").await);
    let id = fixture::project(&ben, "P").await;
    let path = format!("/api/projects/{id}/network");
    let policy: NetworkPolicy = ben.get(&path).await.expect(200).json();
    assert!(policy.allow.is_empty() && policy.unavailable.is_some());

    put(&ada, "/api/admin/settings/runs", json!({ "egress": ["pypi.org", "*.pythonhosted.org"] })).await.expect(200);
    let policy: NetworkPolicy = put(&ben, &path, json!({ "allow": ["pypi.org", "files.pythonhosted.org"] })).await.expect(200).json();
    assert_eq!(policy.allow.len(), 2);
    assert_eq!(policy.unavailable, None);

    let problem = put(&ben, &path, json!({ "allow": ["pypi.org", "example.net:443"] })).await.expect(422).problem();
    assert_eq!(problem.fields.len(), 1);
    assert!(problem.fields[0].message.contains("example.net:443") && problem.fields[0].message.contains("pypi.org"), "{problem:?}");
    let policy: NetworkPolicy = ben.get(&path).await.expect(200).json();
    assert_eq!(policy.allow.len(), 2, "a refusal changes nothing");

    put(&cleo, &path, json!({ "allow": [] })).await.expect(404);
    cleo.get(&path).await.expect(404);
    put(&ben, &path, json!({ "allow": "pypi.org" })).await.expect(422);
}

/// Asks the proxy again and again, until it is no longer refused.
const KNOCK: &str = r#"
import socket, time
while True:
    s = socket.create_connection(("127.0.0.1", 3128))
    s.sendall(b"CONNECT nothing.example.invalid:443 HTTP/1.1\r\n\r\n")
    answer = s.recv(400).decode().splitlines()[0]
    print(answer, flush=True)
    if " 403 " not in answer: break
    time.sleep(0.2)
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_allowed_is_open_to_the_run_that_asked_for_it() {
    let app = TestApp::with_worker().await;
    if !fixture::can_run(&app).await {
        return;
    }
    let (ada, ben) = (app.user("ada").await, app.user("ben").await);
    put(&ada, "/api/admin/settings/runs", json!({ "egress": ["*.example.invalid"] })).await.expect(200);
    let id = fixture::project(&ben, "P").await;
    fixture::file(&ben, &id, "knock.py", KNOCK).await;
    let run = fixture::start_run(&ben, &id, "python3 knock.py").await;
    let mut events = ben.follow(&format!("/api/live/run:{}", run.id)).await.unwrap();
    let asked = events.until(|event| matches!(event.kind, EventKind::EgressAsked { .. })).await;
    let EventKind::EgressAsked { host, port, allowed, reason } = &asked.kind else { unreachable!() };
    assert_eq!((host.as_str(), *port, *allowed), ("nothing.example.invalid", 443, false), "{reason}");

    put(&ben, &format!("/api/projects/{id}/network"), json!({ "allow": ["nothing.example.invalid"] })).await.expect(200);
    let ended = fixture::finished(&ben, &run).await;
    let output = fixture::output(&ben, &run).await;
    assert_eq!(ended.state, RunState::Succeeded, "{output}");
    assert!(output.lines().next().unwrap().contains(" 403 ") && !output.lines().last().unwrap().contains(" 403 "), "{output}");
}

/// A preview's page is on the same host: browsers send our cookie along, so the origin has to count.
#[tokio::test(flavor = "multi_thread")]
async fn another_port_of_our_host_is_another_site() {
    let app = TestApp::start().await;
    app.register("ada").await;
    let browser = app.nobody().sign_in_browser("ada", PASSWORD).await;
    let project = fixture::project(&browser, "P").await;
    let run = browser.post(&format!("/api/projects/{project}/runs"), &json!({ "command": "true" })).await.expect(202).id();
    let stream = format!("/api/live/run:{run}");
    let host = app.base.trim_start_matches("http://").to_owned();
    let from = |method: Method, path: &str, headers: &[(&str, &str)]| {
        headers.iter().fold(browser.request(method, path), |request, (name, value)| request.header(*name, *value))
    };
    let foreign: [&[(&str, &str)]; 4] = [
        &[("origin", "http://127.0.0.1:8100")],
        &[("origin", "http://127.0.0.1:8100"), ("sec-fetch-site", "same-site")],
        &[("sec-fetch-site", "same-site"), ("sec-fetch-mode", "no-cors")],
        &[("origin", "null"), ("sec-fetch-site", "cross-site")],
    ];
    let socket = [("connection", "upgrade"), ("upgrade", "websocket"), ("sec-websocket-version", "13"), ("sec-websocket-key", "eA==")];
    for headers in foreign {
        for (method, path) in [
            (Method::POST, format!("/api/projects/{project}/runs")),
            (Method::POST, "/fn/projects/list".to_owned()),
            (Method::DELETE, format!("/api/projects/{project}")),
            (Method::GET, stream.clone()),
            (Method::GET, "/api/users/me".to_owned()),
        ] {
            let reply = browser.send(from(method.clone(), &path, headers).json(&json!({ "command": "true" }))).await;
            assert_eq!(reply.status, 403, "{method} {path} {headers:?}");
        }
        let asked = [headers, &socket].concat();
        let reply = browser.send(from(Method::GET, &format!("/api/terminals/{run}/ws"), &asked)).await;
        assert_eq!(reply.status, 403, "a socket from {headers:?}");
    }
    // A form of the preview's page is a navigation too, but not a reading one.
    let form = [("origin", "http://127.0.0.1:8100"), ("sec-fetch-site", "same-site"), ("sec-fetch-mode", "navigate")];
    assert_eq!(browser.send(from(Method::POST, "/fn/auth/logout", &form)).await.status, 403);
    browser.get(&format!("/api/projects/{project}")).await.expect(200);

    // Our own page, and a link that leads here.
    let own = format!("http://{host}");
    let own = [("origin", own.as_str()), ("sec-fetch-site", "same-origin")];
    assert_eq!(browser.send(from(Method::GET, "/api/users/me", &own)).await.status, 200);
    let link = [("sec-fetch-site", "same-site"), ("sec-fetch-mode", "navigate")];
    assert_eq!(browser.send(from(Method::GET, &format!("/api/runs/{run}/output"), &link)).await.status, 200);
    assert_eq!(browser.send(from(Method::GET, "/", &link)).await.status, 200);
}

/// A page on another port can put a cookie of our name beside the real one.
#[tokio::test(flavor = "multi_thread")]
async fn sessions_of_two_accounts_in_one_request_count_for_nothing() {
    let app = TestApp::start().await;
    app.register("ada").await;
    app.register("eve").await;
    let cookie = async |name: &str| {
        let reply = app.nobody().form("/fn/auth/login", &[("username", name), ("password", PASSWORD)]).await;
        reply.set_cookie().unwrap().split(';').next().unwrap().to_owned()
    };
    let (ada, eve) = (cookie("ada").await, cookie("eve").await);
    let status = async |cookies: String| {
        let nobody = app.nobody();
        nobody.send(nobody.request(Method::GET, "/api/users/me").header("cookie", cookies)).await.status
    };
    assert_eq!(status(ada.clone()).await, 200);
    assert_eq!(status(format!("{ada}; cxd_session=garbage")).await, 200);
    assert_eq!(status(format!("cxd_session=garbage; {ada}; {ada}")).await, 200);
    assert_eq!(status(format!("{ada}; {eve}")).await, 401);
    assert_eq!(status(format!("{eve}; x=1; {ada}")).await, 401);
}
