use std::io::Read;

use flate2::read::GzDecoder;
use reqwest::Method;
use serde_json::json;

use crate::support::{Caller, PASSWORD, Reply, TestApp, fixture};

async fn ask(caller: &Caller, path: &str, headers: &[(&str, &str)]) -> Reply {
    let request = headers.iter().fold(caller.request(Method::GET, path), |request, (name, value)| request.header(*name, *value));
    caller.send(request).await.expect(200)
}

/// What the answer says, and whether it came compressed.
fn read(reply: &Reply) -> (bool, String) {
    let plain = || String::from_utf8(reply.body.to_vec()).unwrap();
    match reply.header("content-encoding") {
        Some("gzip") => {
            let mut text = String::new();
            GzDecoder::new(&reply.body[..]).read_to_string(&mut text).unwrap();
            (true, text)
        }
        None => (false, plain()),
        Some(other) => panic!("{other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_and_answers_are_compressed_for_who_reads_that() {
    let app = TestApp::start().await;
    let ada = app.user("ada").await;
    let project = fixture::project(&ada, "P").await;
    let long: String = (0..4000).map(|n| format!("line {n}\n")).collect();
    fixture::file(&ada, &project, "long.json", &long).await;
    let page = ask(&app.nobody(), "/login", &[("accept-encoding", "br, gzip"), ("accept", "text/html")]).await;
    let (is_short, text) = read(&page);
    assert!(is_short && text.contains("</html>") && page.header("vary").unwrap().contains("accept-encoding"), "{:?}", page.headers);
    assert!(page.header("content-security-policy").is_some() && page.body.len() * 2 < text.len(), "{} of {}", page.body.len(), text.len());

    let plain = read(&ask(&ada, "/api/openapi.json", &[]).await);
    let short = ask(&ada, "/api/openapi.json", &[("accept-encoding", "gzip;q=0.5")]).await;
    assert_eq!(short.header("content-length"), Some(&*short.body.len().to_string()));
    assert_eq!((plain.0, read(&short)), (false, (true, plain.1)));

    for path in ["/api/users/me", "/healthz"] {
        assert!(!read(&ask(&ada, path, &[("accept-encoding", "gzip")]).await).0, "{path} is too short");
    }
    assert!(!read(&ask(&ada, "/api/openapi.json", &[("accept-encoding", "gzip;q=0, br")]).await).0);
    let file = ask(&ada, &format!("/api/projects/{project}/files/long.json"), &[("accept-encoding", "gzip")]).await;
    assert_eq!((read(&file), file.header("accept-ranges")), ((false, long), Some("bytes")));
    let missing = ada.request(Method::GET, "/nowhere").header("accept-encoding", "gzip").header("accept", "text/html");
    let missing = ada.send(missing).await.expect(404);
    assert!(read(&missing).1.contains("</html>"));
}

/// How long a compressed answer is tells what of a guess is in it, so nobody's guesses are compressed together with what is secret.
#[tokio::test(flavor = "multi_thread")]
async fn what_another_site_makes_a_browser_ask_for_is_not() {
    let app = TestApp::start().await;
    app.register("ada").await;
    let ada = app.nobody().sign_in_browser("ada", PASSWORD).await;
    ada.post("/api/projects", &json!({ "name": "P" })).await.expect(201);
    let page = |site: &'static str| {
        let headers = [("accept-encoding", "gzip"), ("accept", "text/html"), ("sec-fetch-mode", "navigate"), ("sec-fetch-site", site)];
        let ada = ada.clone();
        async move { read(&ask(&ada, "/?q=guess", &headers).await) }
    };
    for (site, is_compressed) in [("same-origin", true), ("none", true), ("cross-site", false), ("same-site", false)] {
        let (is_short, text) = page(site).await;
        assert_eq!(is_short, is_compressed, "{site}");
        assert!(text.contains("</html>"));
    }
}
