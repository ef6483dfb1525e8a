use reqwest::Method;
use serde_json::json;
use wire::ErrorCode;

use super::fill_in;
use crate::support::{Caller, Options, PASSWORD, Reply, TestApp};

const EVIL: &str = "https://evil.example";
const NAMED: &str = "https://app.example.org";
const HANDSHAKE: [(&str, &str); 4] = [
    ("connection", "Upgrade"),
    ("upgrade", "websocket"),
    ("sec-websocket-version", "13"),
    ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

async fn ask(caller: &Caller, method: &Method, path: &str, headers: &[(&str, &str)]) -> Reply {
    let request = headers.iter().fold(caller.request(method.clone(), path), |request, (name, value)| request.header(*name, *value));
    caller.send(request).await
}

/// Whatever is behind them, and whoever's cookie comes along: a page of another site moves nothing and reads nothing.
#[tokio::test(flavor = "multi_thread")]
async fn no_route_serves_a_page_of_another_site() {
    let app = TestApp::start().await;
    app.register("ada").await;
    let ada = app.nobody().sign_in_browser("ada", PASSWORD).await;
    let other_port = app.base.replace("127.0.0.1:", "127.0.0.1:1");
    let foreign: [&[(&str, &str)]; 6] = [
        &[("origin", EVIL)],
        &[("origin", "null")],
        &[("origin", &other_port)],
        &[("origin", EVIL), ("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "no-cors")],
        &[("sec-fetch-site", "same-site"), ("sec-fetch-mode", "cors")],
        &[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "websocket"), ("origin", EVIL)],
    ];
    let (mut tried, mut failures) = (0, Vec::new());
    for route in &app.routes {
        let path = fill_in(route.path);
        let is_socket = route.path.ends_with("/ws") || route.path.starts_with("/ws/");
        for headers in foreign {
            let mut headers = headers.to_vec();
            if is_socket {
                headers.extend(HANDSHAKE);
            }
            let reply = ask(&ada, &route.method, &path, &headers).await;
            tried += 1;
            if reply.status != 403 || reply.problem().code != ErrorCode::Forbidden {
                failures.push(format!("{} {} with {headers:?} answered {}", route.method, route.path, reply.status));
            }
        }
        // A form of another site that is sent by going there.
        if route.method != Method::GET {
            let going =
                [("origin", EVIL), ("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")];
            tried += 1;
            if ask(&ada, &route.method, &path, &going).await.status != 403 {
                failures.push(format!("{} {} by navigating", route.method, route.path));
            }
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
    assert!(tried > 6 * 150, "only {tried} requests were tried");
    for path in ["/", "/login", "/settings"] {
        assert_eq!(ask(&ada, &Method::POST, path, &[("origin", EVIL)]).await.status, 403, "{path}");
        let link = [("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")];
        assert_ne!(ask(&ada, &Method::GET, path, &link).await.status, 403, "following a link to {path}");
    }
    assert!(ada.get("/api/projects").await.expect(200).listed_ids().is_empty(), "nothing was done");
    let own = ask(&ada, &Method::GET, "/api/users/me", &[("origin", &app.base), ("sec-fetch-site", "same-origin")]).await;
    own.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_of_another_site_signs_nobody_in() {
    let app = TestApp::start().await;
    app.register("ada").await;
    for path in ["/fn/auth/login", "/api/auth/login"] {
        let body = format!("username=ada&password={}", PASSWORD.replace(' ', "+"));
        let request = app.nobody().request(Method::POST, path).header("origin", EVIL).body(body);
        let reply = app.nobody().send(request.header("content-type", "application/x-www-form-urlencoded")).await;
        assert_eq!((reply.status, reply.set_cookie()), (403, None), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_of_named_origins_use_the_api_with_a_token_alone() {
    let app =
        TestApp::with(Options { settings: vec![("CORS_ORIGINS", "https://app.example.org, http://localhost:5173")], ..Options::default() })
            .await;
    let ada = app.user("ada").await;
    let cookie = app.nobody().sign_in_browser("ada", PASSWORD).await;
    let nobody = app.nobody();

    let preflight =
        [("origin", NAMED), ("access-control-request-method", "PUT"), ("access-control-request-headers", "authorization, if-match")];
    let allowed = ask(&nobody, &Method::OPTIONS, "/api/projects", &preflight).await.expect(200);
    assert_eq!(allowed.header("access-control-allow-origin"), Some(NAMED));
    assert_eq!(allowed.header("access-control-allow-credentials"), None);
    assert!(allowed.header("access-control-allow-methods").unwrap().contains("PATCH"));
    assert!(allowed.header("access-control-allow-headers").unwrap().contains("idempotency-key"));
    assert_eq!(allowed.header("access-control-max-age"), Some("600"));
    assert!(allowed.header("vary").unwrap().contains("origin"));

    let read = ask(&ada, &Method::GET, "/api/users/me", &[("origin", NAMED), ("sec-fetch-site", "cross-site")]).await.expect(200);
    assert_eq!((read.header("access-control-allow-origin"), read.header("vary")), (Some(NAMED), Some("origin")));
    assert!(read.header("access-control-expose-headers").unwrap().contains("x-request-id"));
    let made = ada.send(ada.request(Method::POST, "/api/projects").header("origin", NAMED).json(&json!({ "name": "P" }))).await;
    made.expect(201);
    // A refusal can be read as well.
    let refused = ask(&nobody, &Method::GET, "/api/users/me", &[("origin", NAMED)]).await.expect(401);
    assert_eq!(refused.header("access-control-allow-origin"), Some(NAMED));

    let by_cookie = ask(&cookie, &Method::GET, "/api/users/me", &[("origin", NAMED), ("sec-fetch-site", "cross-site")]).await;
    assert_eq!(by_cookie.status, 401, "the cookie does not count");
    let form = nobody.request(Method::POST, "/api/auth/login").header("origin", NAMED);
    let form = form
        .header("content-type", "application/x-www-form-urlencoded")
        .body(format!("username=ada&password={}", PASSWORD.replace(' ', "+")));
    let signed_in = nobody.send(form).await.expect(200);
    assert_eq!(signed_in.set_cookie(), None, "who signs in from elsewhere gets tokens");

    for (path, origin) in [
        ("/fn/projects/list", NAMED),
        ("/login", NAMED),
        ("/api/projects", EVIL),
        ("/api/projects", "https://app.example.org.evil.example"),
    ] {
        let reply = ask(&cookie, &Method::POST, path, &[("origin", origin)]).await.expect(403);
        assert_eq!(reply.header("access-control-allow-origin"), None, "{path} {origin}");
        let reply = ask(&nobody, &Method::OPTIONS, path, &[("origin", origin), ("access-control-request-method", "POST")]).await;
        assert_eq!(reply.header("access-control-allow-origin"), None, "{path} {origin}");
    }
    let other = ask(&ada, &Method::GET, "/api/users/me", &[]).await.expect(200);
    assert_eq!(other.header("vary"), Some("origin"), "a cache must not give one origin's answer to another");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_known_hosts_are_answered_and_probes_by_any_name() {
    let settings = vec![("ALLOWED_HOSTS", "lan.example, ::1"), ("APP_PUBLIC_URL", "http://code.example.org")];
    let app = TestApp::with(Options { settings, ..Options::default() }).await;
    let nobody = app.nobody();
    let status = async |host: &str, path: &str| ask(&nobody, &Method::GET, path, &[("host", host)]).await.status;
    for host in ["lan.example", "LAN.example:9999", "[::1]:8000", "code.example.org", "code.example.org:8443", "lan.example."] {
        assert_eq!(status(host, "/login").await, 200, "{host}");
    }
    for host in ["127.0.0.1", "evil.example", "lan.example.evil.example", "[::2]:8000", "evil.example:80"] {
        assert_eq!(status(host, "/login").await, 400, "{host}");
        assert_eq!(status(host, "/api/users/me").await, 400, "{host}");
        assert_eq!(status(host, "/pkg/none.js").await, 400, "{host}");
        assert_eq!((status(host, "/healthz").await, status(host, "/readyz").await), (200, 200), "a probe comes by address: {host}");
    }
    let refused = ask(&nobody, &Method::GET, "/api/users/me", &[("host", "evil.example")]).await;
    assert!(refused.problem().detail.contains("ALLOWED_HOSTS"));
}
