//! Accounts over REST: making them, getting into them, changing and ending them.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use reqwest::Method;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};
use wire::{auth::Tokens, users::User};

use crate::support::{Caller, Options, PASSWORD, PATIENCE, Reply, TestApp, fixture};

/// The names of the refused fields.
fn fields(reply: &Reply) -> Vec<String> {
    reply.problem().fields.into_iter().map(|field| field.field).collect()
}

fn registration(name: &str) -> Value {
    json!({ "email": format!("{name}@example.org"), "username": name, "password": PASSWORD })
}

/// An account that is not signed in.
async fn sign_up(app: &TestApp, body: &Value) -> Reply {
    app.nobody().post("/api/auth/register", body).await
}

#[tokio::test(flavor = "multi_thread")]
async fn administrators_open_and_close_the_door_while_it_stands() {
    let app = TestApp::with(Options { settings: vec![("REGISTRATION", "invite")], ..Options::default() }).await;
    let ada = app.user("ada").await;
    sign_up(&app, &registration("ben")).await.expect(403).problem();
    let viewer: Value = app.nobody().post("/fn/auth/viewer", &json!({})).await.expect(200).json();
    assert_eq!((viewer["registration"].as_str(), viewer["sends_mail"].as_bool()), (Some("invite"), Some(false)));

    let link = ada.post("/api/admin/invitations", &json!({ "email": "ben@example.org" })).await.expect(201);
    let path = link.field("url_path").as_str().unwrap().to_owned();
    let secret = path.strip_prefix("/signup?invite=").unwrap();
    let mut body = registration("ben");
    body["invite"] = json!(secret);
    assert!(!sign_up(&app, &body).await.expect(201).json::<User>().is_admin());
    body["username"] = json!("ben2");
    assert_eq!(fields(&sign_up(&app, &body).await.expect(422)), ["invite"]);

    let open = json!({ "registration": "open", "allowed_email_domains": ["example.com"] });
    let request = ada.request(Method::PUT, "/api/admin/settings/accounts").json(&open);
    ada.send(request).await.expect(200);
    assert_eq!(fields(&sign_up(&app, &registration("cleo")).await.expect(422)), ["email"]);
    let mut body = registration("cleo");
    body["email"] = json!("cleo@example.com");
    sign_up(&app, &body).await.expect(201);
    let wrong = ada.request(Method::PUT, "/api/admin/settings/accounts").json(&json!({ "registration": "sometimes" }));
    assert_eq!(fields(&ada.send(wrong).await.expect(422)), ["registration"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_is_refused_by_name_and_makes_nothing() {
    let app = TestApp::start().await;
    let ada = app.user("ada").await;
    let long = "x".repeat(1_000_000);
    let cases = [
        ("password", json!(long)),
        ("password", json!("password123")),
        ("password", json!("newcomer1")),
        ("password", json!("aaaaaaaaaaaa")),
        ("email", json!(format!("{long}@example.org"))),
        ("email", json!("a\u{0}b@example.org")),
        ("email", json!("a\u{202e}b@example.org")),
        ("username", json!("new\u{7}comer")),
        ("username", json!("n\u{fc}comer")),
        ("username", json!(long)),
        ("username", json!("")),
        ("full_name", json!("New\u{1b}[31mcomer")),
        ("full_name", json!(long)),
        ("password", json!(["a", "list"])),
        ("email", json!(null)),
    ];
    for (field, value) in cases {
        let mut body = registration("newcomer");
        body[field] = value;
        let reply = sign_up(&app, &body).await.expect(422);
        assert_eq!(fields(&reply), [field], "{reply:?}");
        assert!(reply.body.len() < 3_000_000);
    }
    for (name, password) in [("ada", long.as_str()), ("ada", "\u{1}\u{2}\u{7f}"), (long.as_str(), PASSWORD)] {
        assert_eq!(fields(&app.nobody().login(name, password).await.expect(401)), ["password"]);
    }
    assert_eq!(fields(&app.nobody().login("ada", "a\u{0}b").await.expect(422)), ["password"]);
    assert_eq!(fields(&app.nobody().login("", "").await.expect(422)), ["username", "password"]);
    let deep = format!("{{\"email\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
    for path in ["/api/auth/register", "/api/auth/refresh", "/api/auth/forgot"] {
        let request = app.nobody().request(Method::POST, path).header("content-type", "application/json").body(deep.clone());
        let reply = app.nobody().send(request).await;
        assert!((400..500).contains(&reply.status), "{reply:?}");
        reply.problem();
    }
    let request = ada.request(Method::PATCH, "/api/users/me").header("content-type", "application/json").body(deep);
    assert!((400..500).contains(&ada.send(request).await.status));
    let users: Value = ada.get("/api/admin/users").await.expect(200).json();
    assert_eq!(users["items"].as_array().map(Vec::len), Some(1), "nothing was half made");
}

/// A sign-in from an address, as a proxy tells it.
async fn try_from_address(app: &TestApp, address: &str, name: &str, password: &str) -> Reply {
    let nobody = app.nobody();
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs([("username", name), ("password", password)]).finish();
    let request = nobody.request(Method::POST, "/api/auth/login").header("x-forwarded-for", address);
    nobody.send(request.header("content-type", "application/x-www-form-urlencoded").body(body)).await
}

/// Only what slows down guessing is tried here, not the limits of the edge.
fn unlimited() -> Options<'static> {
    Options { settings: vec![("TRUSTED_PROXIES", "127.0.0.1"), ("RATE_LIMIT_ENABLED", "false")], ..Options::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn guessing_gets_slower_and_locks_nobody_out() {
    let app = TestApp::with(unlimited()).await;
    app.register("ada").await;
    app.register("ben").await;
    let mut told = Vec::new();
    for n in 0..100 {
        let reply = try_from_address(&app, "198.51.100.1", "ada", &format!("wrong {n}")).await;
        if reply.status == 429 {
            let wait: u32 = reply.header("retry-after").unwrap().parse().unwrap();
            assert_eq!(reply.problem().retry_after, Some(wait));
            told.push(wait);
        } else {
            reply.expect(401);
        }
    }
    assert!(told.len() > 80, "after the first few each waits: {} of 100", told.len());
    try_from_address(&app, "198.51.100.1", "ada", PASSWORD).await.expect(429);
    try_from_address(&app, "203.0.113.7", "ada", PASSWORD).await.expect(200);
    try_from_address(&app, "198.51.100.1", "ben", PASSWORD).await.expect(200);

    // From a hundred addresses, one guess each: whoever has not guessed is heard at once.
    for n in 0..100 {
        try_from_address(&app, &format!("192.0.2.{n}"), "ben", "wrong").await.expect(401);
    }
    try_from_address(&app, "203.0.113.8", "ben", PASSWORD).await.expect(200);
    // A name that nobody has is slowed down alike.
    let mut last = 0;
    for n in 0..10 {
        last = try_from_address(&app, "198.51.100.9", "no-such-name", &format!("wrong {n}")).await.status;
    }
    assert_eq!(last, 429);
}

/// Of this process. Unlike the clock, it stands still while other tests have the processor.
fn processor_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes the time, and nothing else.
    let status = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    assert_eq!(status, 0);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answer_takes_as_long_for_a_name_that_nobody_has() {
    let app = TestApp::with(unlimited()).await;
    for n in 0..25 {
        app.register(&format!("known{n}")).await;
    }
    // The first of each kind pays for what is made once.
    try_from_address(&app, "203.0.113.1", "known0", "wrong").await.expect(401);
    try_from_address(&app, "203.0.113.1", "unknown", "wrong").await.expect(401);
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    for n in 0..50 {
        let address = format!("198.51.100.{n}");
        for (times, name) in [(&mut known, format!("known{}", n % 25)), (&mut unknown, format!("unknown{n}"))] {
            let began = processor_time();
            try_from_address(&app, &address, &name, "a wrong password").await.expect(401);
            times.push(processor_time() - began);
        }
    }
    // The quickest of fifty: what the server does besides only adds to the others.
    let (known, unknown) = (known.into_iter().min().unwrap(), unknown.into_iter().min().unwrap());
    eprintln!("a refused sign-in: {known:?} for a known name, {unknown:?} for an unknown one");
    let ratio = known.as_secs_f64() / unknown.as_secs_f64();
    assert!((0.8..1.25).contains(&ratio), "{ratio}");
}

/// Resident memory of this process, in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap();
    status.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * rustix::param::page_size() as u64
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_sign_ins_at_once_take_little_memory() {
    let app = TestApp::with(unlimited()).await;
    app.register("ada").await;
    app.nobody().login("ada", PASSWORD).await.expect(200);
    let before = resident();
    let signing_in: Vec<_> = (0..50)
        .map(|_| {
            let nobody = app.nobody();
            tokio::spawn(async move { nobody.login("ada", PASSWORD).await.status })
        })
        .collect();
    let peak = Arc::new(AtomicU64::new(0));
    let watcher = tokio::spawn({
        let peak = peak.clone();
        async move {
            loop {
                peak.fetch_max(resident(), Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    });
    for one in signing_in {
        assert_eq!(one.await.unwrap(), 200);
    }
    watcher.abort();
    let grown = peak.load(Ordering::Relaxed).saturating_sub(before) >> 20;
    eprintln!("fifty sign-ins at once took {grown} MiB more");
    assert!(grown < 150, "a hash takes 19 MiB, and only two are made at a time: {grown} MiB");
}

/// A server that takes mail: what it was sent, one text each.
async fn mail_server() -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mails = Arc::new(Mutex::new(Vec::new()));
    let kept = mails.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(take_mail(stream, kept.clone()));
        }
    });
    (port, mails)
}

async fn take_mail(stream: TcpStream, mails: Arc<Mutex<Vec<String>>>) {
    let mut stream = BufReader::new(stream);
    stream.get_mut().write_all(b"220 here\r\n").await.unwrap();
    let mut line = String::new();
    while stream.read_line(&mut line).await.is_ok_and(|read| read > 0) {
        let word = line.split_whitespace().next().unwrap_or_default().to_uppercase();
        let answer = match word.as_str() {
            "DATA" => {
                stream.get_mut().write_all(b"354 go on\r\n").await.unwrap();
                let mut mail = String::new();
                while !mail.ends_with("\r\n.\r\n") && stream.read_line(&mut mail).await.is_ok_and(|read| read > 0) {}
                mails.lock().unwrap().push(mail);
                "250 taken\r\n"
            }
            "QUIT" => "221 bye\r\n",
            _ => "250 ok\r\n",
        };
        if stream.get_mut().write_all(answer.as_bytes()).await.is_err() {
            return;
        }
        line.clear();
    }
}

/// The next mail after the first `known` ones, as one text without the line breaks of its encoding.
async fn next_mail(mails: &Arc<Mutex<Vec<String>>>, known: usize) -> String {
    let began = Instant::now();
    loop {
        if let Some(mail) = mails.lock().unwrap().get(known) {
            return mail.replace("=\r\n", "").replace("=3D", "=");
        }
        assert!(began.elapsed() < PATIENCE, "no mail came");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forgotten_password_is_set_anew_by_mail() {
    let (port, mails) = mail_server().await;
    let smtp = format!("smtp://127.0.0.1:{port}");
    let settings = vec![
        ("SMTP_URL", smtp.as_str()),
        ("MAIL_FROM", "cloudxdevai <no-reply@example.org>"),
        ("APP_PUBLIC_URL", "http://code.example.org"),
    ];
    let app = TestApp::with(Options { settings, ..Options::default() }).await;
    let ada = app.user("ada").await;
    let unknown = app.nobody().post("/api/auth/forgot", &json!({ "who": "nobody@example.org" })).await.expect(202);
    let known = app.nobody().post("/api/auth/forgot", &json!({ "who": "ADA@example.org" })).await.expect(202);
    assert_eq!(known.body, unknown.body, "the same, whether there is such an account or not");
    assert_eq!(fields(&app.nobody().post("/api/auth/forgot", &json!({ "who": " " })).await.expect(422)), ["who"]);

    let mail = next_mail(&mails, 0).await;
    assert!(mail.contains("To: ada@example.org") && mail.contains("From: ") && mail.contains("no-reply@example.org"), "{mail}");
    let (_, rest) = mail.split_once("http://code.example.org/reset?token=").unwrap_or_else(|| panic!("{mail}"));
    let token = rest.split_whitespace().next().unwrap();
    let stored = {
        let mut conn = app.services.db.read().await.unwrap();
        store::links::list(&mut conn, wire::Micros(0), 10).await.unwrap()
    };
    assert!(!format!("{stored:?}").contains(token), "the secret itself is nowhere");
    let page = app.nobody().get(&format!("/reset?token={token}")).await.expect(200);
    assert!(String::from_utf8_lossy(&page.body).contains("for the account ada"));

    let set = |password: &str| json!({ "token": token, "new_password": password });
    assert_eq!(fields(&app.nobody().post("/api/auth/reset", &set("short")).await.expect(422)), ["new_password"]);
    app.nobody().post("/api/auth/reset", &set("a whole new password")).await.expect(204);
    assert_eq!(fields(&app.nobody().post("/api/auth/reset", &set("another new password")).await.expect(422)), ["token"]);
    ada.get("/api/users/me").await.expect(401);
    app.nobody().login("ada", PASSWORD).await.expect(401);
    app.nobody().login("ada", "a whole new password").await.expect(200);
    let told = next_mail(&mails, 1).await;
    assert!(told.contains("To: ada@example.org") && told.contains("Subject: A new password was set") && !told.contains(token), "{told}");

    let ada = app.nobody().sign_in("ada", "a whole new password").await;
    ada.post("/api/admin/invitations", &json!({ "email": "ben@example.org" })).await.expect(201);
    let mail = next_mail(&mails, 2).await;
    assert_eq!(mails.lock().unwrap().len(), 3, "nobody else got mail");
    assert!(mail.contains("To: ben@example.org") && mail.contains("http://code.example.org/signup?invite=cxl_"), "{mail}");

    // Into a project: one letter, however often the same address is invited.
    let project = ada.post("/api/projects", &json!({ "name": "Tides" })).await.expect(201);
    let members = format!("/api/projects/{}/members", project.field("id").as_str().unwrap());
    for who in ["cleo@example.org", "Cleo@Example.org", "dora@example.org"] {
        ada.post(&members, &json!({ "who": who, "role": "reviewer" })).await.expect(202);
    }
    let letters = [next_mail(&mails, 3).await, next_mail(&mails, 4).await];
    assert_eq!(mails.lock().unwrap().len(), 5);
    for to in ["cleo@example.org", "dora@example.org"] {
        let letter = letters.iter().find(|letter| letter.contains(&format!("To: {to}"))).unwrap_or_else(|| panic!("{letters:?}"));
        assert!(
            letter.contains("the project Tides") && letter.contains("as reviewer") && letter.contains("http://code.example.org/"),
            "{letter}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_mail_an_administrator_hands_the_link_over() {
    let app = TestApp::start().await;
    let (ada, ben) = (app.user("ada").await, app.user("ben").await);
    app.nobody().post("/api/auth/forgot", &json!({ "who": "ben" })).await.expect(409).problem();
    let page = app.nobody().get("/forgot").await.expect(200);
    assert!(String::from_utf8_lossy(&page.body).contains("Ask an administrator for a link"));
    let id = ben.user.as_ref().unwrap().id;
    ben.post(&format!("/api/admin/users/{id}/reset-link"), &json!({})).await.expect(403);
    let link = ada.post(&format!("/api/admin/users/{id}/reset-link"), &json!({})).await.expect(201);
    let path = link.field("url_path").as_str().unwrap().to_owned();
    let page = app.nobody().get(&path).await.expect(200);
    assert!(String::from_utf8_lossy(&page.body).contains("for the account ben"));
    let token = path.strip_prefix("/reset?token=").unwrap();

    // The form works without a script: a refusal comes back to the page, the rest goes to sign-in.
    let form =
        app.nobody().request(Method::POST, "/fn/auth/reset").header("accept", "text/html").header("referer", format!("{}{path}", app.base));
    let body = |password: &str| format!("token={token}&new_password={password}");
    let typed = "application/x-www-form-urlencoded";
    let refused = app.nobody().send(form.try_clone().unwrap().header("content-type", typed).body(body("short"))).await;
    assert_eq!(refused.status, 302, "{refused:?}");
    let back = refused.header("location").unwrap().to_owned();
    assert!(back.contains("/reset?") && !back.contains("short"), "{back}");
    let set = app.nobody().send(form.header("content-type", typed).body(body("a+whole+new+password"))).await;
    assert_eq!((set.status, set.header("location")), (302, Some("/login?reset=1")));
    app.nobody().login("ben", "a whole new password").await.expect(200);
    let dead = app.nobody().get(&path).await;
    assert!(String::from_utf8_lossy(&dead.body).contains("Each works once"), "{dead:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_changed_by_whoever_knows_its_password() {
    let app = TestApp::start().await;
    let ada = app.user("ada").await;
    let other = app.nobody().sign_in("ada", PASSWORD).await;
    let change = |current: &str, new: &str| json!({ "current_password": current, "new_password": new });
    assert_eq!(fields(&ada.post("/api/users/me/password", &change("wrong", "a new password")).await.expect(422)), ["current_password"]);
    assert_eq!(fields(&ada.post("/api/users/me/password", &change(PASSWORD, "qwertyuiop")).await.expect(422)), ["new_password"]);
    ada.post("/api/users/me/password", &change(PASSWORD, "a new password")).await.expect(204);
    ada.get("/api/users/me").await.expect(200);
    other.get("/api/users/me").await.expect(401);
    other.post("/api/auth/refresh", &json!({ "refresh_token": other.refresh_token })).await.expect(401);

    assert_eq!(fields(&ada.patch("/api/users/me", &json!({ "email": "new@example.org" })).await.expect(422)), ["password"]);
    let user: User = ada
        .patch("/api/users/me", &json!({ "email": "new@example.org", "password": "a new password", "username": "countess" }))
        .await
        .expect(200)
        .json();
    assert_eq!((user.email.as_str(), user.username.as_str()), ("new@example.org", "countess"));
    app.nobody().login("countess", "a new password").await.expect(200);
    app.nobody().login("ada", "a new password").await.expect(401);
    let token = ada.post("/api/users/me/tokens", &json!({ "name": "T", "scopes": ["read", "write", "admin"] })).await.expect(201);
    let program = ada.with_bearer(token.field("secret").as_str().unwrap());
    program.get("/api/users/me").await.expect(200);
    program.post("/api/users/me/password", &change("a new password", "another password")).await.expect(403).problem();
    // Guessing at an open screen gets slower too.
    let mut last = 0;
    for n in 0..8 {
        last = ada.post("/api/users/me/password", &change(&format!("wrong {n}"), "another password")).await.status;
    }
    assert_eq!(last, 429);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_exported_and_deleted() {
    let app = TestApp::start().await;
    let (ada, ben) = (app.user("ada").await, app.user("ben").await);
    let project = fixture::project(&ben, "Mine").await;
    let shared = fixture::project(&ben, "Ours").await;
    fixture::member(&app, &shared, &ada, wire::projects::ProjectRole::Editor).await;
    ben.post("/api/users/me/tokens", &json!({ "name": "Nightly", "scopes": ["read"] })).await.expect(201);
    let conversation = ben.post(&format!("/api/projects/{project}/conversations"), &json!({ "title": "About it" })).await.expect(201).id();
    ben.patch("/api/users/me/preferences", &json!({ "revision": 0, "editor": { "tab_size": 7 } })).await.expect(200);
    let provider = json!({ "name": "Elsewhere", "kind": "openai_chat", "base_url": "https://api.openai.com/v1", "own_keys": true });
    let provider = ada.post("/api/admin/model-providers", &provider).await.expect(201).id();
    let key = json!({ "key": "sk-nobody-else-knows-this" });
    ben.send(ben.request(Method::PUT, &format!("/api/users/me/model-keys/{provider}")).json(&key)).await.expect(200);
    let reply = ben.get("/api/users/me/export").await.expect(200);
    assert!(reply.header("content-disposition").unwrap().contains("attachment"));
    let found: Value = reply.json();
    assert_eq!(found["profile"]["email"], "ben@example.org");
    assert_eq!(found["api_tokens"][0]["name"], "Nightly");
    assert_eq!((&found["preferences"]["editor"]["tab_size"], &found["model_keys"][0]["provider"]), (&json!(7), &json!("Elsewhere")));
    assert!(found["passkeys"].is_array() && found["identities"].is_array() && !found.to_string().contains("knows-this"), "{found}");
    assert_eq!(found["conversations"][0]["conversation"]["id"], conversation);
    assert_eq!(found["projects"].as_array().map(Vec::len), Some(2));
    assert!(!reply.body.windows(4).any(|bytes| bytes == b"$arg"));

    let delete = |caller: &Caller, password: &str| caller.request(Method::DELETE, "/api/users/me").json(&json!({ "password": password }));
    assert_eq!(fields(&ben.send(delete(&ben, "wrong")).await.expect(422)), ["password"]);
    let held = ben.send(delete(&ben, PASSWORD)).await.expect(409).problem();
    assert_eq!(held.current.unwrap()["projects"][0]["id"], shared);
    ada.send(delete(&ada, PASSWORD)).await.expect(409).problem();
    let to = ada.user.as_ref().unwrap().id;
    ben.post(&format!("/api/projects/{shared}/transfer"), &json!({ "to": to })).await.expect(200);
    let mut events = ben.follow("/api/live/user:me").await.unwrap();
    let gone = ben.send(delete(&ben, PASSWORD)).await.expect(204);
    assert!(gone.set_cookie().unwrap().contains("Max-Age=0"));
    let began = Instant::now();
    while events.next().await.is_some() {}
    assert!(began.elapsed() < Duration::from_secs(5));
    ben.get("/api/users/me").await.expect(401);
    app.nobody().login("ben", PASSWORD).await.expect(401);
    let users: Value = ada.get("/api/admin/users").await.expect(200).json();
    assert_eq!(users["items"].as_array().map(Vec::len), Some(1), "{users}");
    ada.get(&format!("/api/projects/{shared}")).await.expect(200);
    let again: Tokens = {
        sign_up(&app, &registration("ben")).await.expect(201);
        app.nobody().login("ben", PASSWORD).await.expect(200).json()
    };
    let ben = app.nobody().with_tokens(again);
    ben.get(&format!("/api/projects/{project}")).await.expect(404);
    ben.get(&format!("/api/conversations/{conversation}")).await.expect(404);
}
