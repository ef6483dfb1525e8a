//! Codes of an authenticator app and recovery codes, from setting up to signing in, and what is open to whom has to have one first.

use reqwest::Method;
use serde_json::{Value, json};
use totp_rs::{Builder, Secret, Totp};
use wire::{audit::AuditAction, auth::Tokens, second_factor::SecondFactor};

use crate::support::{self, Caller, PASSWORD, Reply, TestApp};

/// The app on somebody's phone. Times are now, unless a test comes back for a second code.
struct Phone(Totp);

impl Phone {
    fn scan(setup: &Value) -> Self {
        let secret = Secret::try_from_base32(setup["secret"].as_str().unwrap()).unwrap();
        Self(Builder::new().with_secret(secret).build().unwrap())
    }

    /// The code of now, or of so many steps later: the server takes the next one too.
    fn code(&self, steps: u64) -> String {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        self.0.generate(now + steps * 30).to_string()
    }

    fn wrong_code(&self) -> String {
        let right: Vec<_> = (0..3).map(|n| self.code(n)).collect();
        (0..).map(|n| format!("{n:06}")).find(|code| !right.contains(code)).unwrap()
    }
}

async fn turn_on(person: &Caller) -> (Phone, Vec<String>) {
    let setup: Value = person.post("/api/users/me/totp", &json!({})).await.expect(201).json();
    let phone = Phone::scan(&setup);
    let confirm = json!({ "password": PASSWORD, "code": phone.code(0) });
    let made = person.post("/api/users/me/totp/confirm", &confirm).await.expect(200);
    let codes = made.field("codes").as_array().unwrap().iter().map(|code| code.as_str().unwrap().to_owned()).collect();
    (phone, codes)
}

async fn login(app: &TestApp, name: &str, otp: &str) -> Reply {
    app.nobody().form("/api/auth/login", &[("username", name), ("password", PASSWORD), ("otp", otp)]).await
}

async fn status(person: &Caller) -> SecondFactor {
    person.get("/api/users/me/second-factor").await.expect(200).json()
}

async fn require(admin: &Caller, whom: &str) {
    let request = admin.request(Method::PUT, "/api/admin/settings/accounts").json(&json!({ "require_second_factor": whom }));
    admin.send(request).await.expect(200);
}

async fn noted(app: &TestApp, action: AuditAction) -> usize {
    let ctx = domain::Ctx::operator(&app.services, "test");
    let query = wire::audit::AuditQuery { action: Some(action.word().to_owned()), ..Default::default() };
    domain::audit::list(&ctx, query).await.unwrap().items.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_is_set_up_asked_for_and_turned_off() {
    let app = TestApp::start().await;
    let ada = app.user("ada").await;
    let setup: Value = ada.post("/api/users/me/totp", &json!({})).await.expect(201).json();
    assert!(setup["uri"].as_str().unwrap().starts_with("otpauth://totp/cloudxdevai:ada?secret="));
    assert!(setup["qr_svg"].as_str().unwrap().starts_with("<svg "));
    app.nobody().sign_in("ada", PASSWORD).await;
    assert!(!status(&ada).await.totp, "not before a code was confirmed");

    let phone = Phone::scan(&setup);
    let confirm =
        async |password: &str, code: &str| ada.post("/api/users/me/totp/confirm", &json!({ "password": password, "code": code })).await;
    assert_eq!(confirm(PASSWORD, &phone.wrong_code()).await.expect(422).problem().fields[0].field, "code");
    assert_eq!(confirm("wrong", &phone.code(0)).await.expect(422).problem().fields[0].field, "password");
    assert_eq!(confirm(PASSWORD, " ").await.expect(422).problem().fields[0].field, "code");
    let codes = confirm(PASSWORD, &phone.code(0)).await.expect(200).field("codes");
    assert_eq!(codes.as_array().unwrap().len(), 10);
    let now = status(&ada).await;
    assert_eq!((now.totp, now.recovery_codes_left, now.passkeys, now.required), (true, 10, 0, false));
    ada.post("/api/users/me/totp", &json!({})).await.expect(409);
    assert_eq!((noted(&app, AuditAction::SecondFactorEnabled).await, noted(&app, AuditAction::RecoveryCodesMade).await), (1, 1));

    let asked = login(&app, "ada", "").await.expect(401).problem();
    assert_eq!((asked.code, asked.fields[0].field.as_str()), (wire::ErrorCode::SecondFactorRequired, "otp"));
    assert_eq!(asked.current, Some(json!({ "totp": true, "recovery_code": true, "passkey": false })));
    let refused = login(&app, "ada", &phone.wrong_code()).await.expect(401).problem();
    assert_eq!(refused.code, wire::ErrorCode::SecondFactorRequired);
    assert!(noted(&app, AuditAction::SecondFactorRefused).await >= 1);
    let reused = login(&app, "ada", &phone.code(0)).await.expect(401).problem();
    assert_eq!(reused.code, wire::ErrorCode::SecondFactorRequired, "the code that it was confirmed with is spent");
    login(&app, "ada", &phone.code(1)).await.expect(200);
    let wrong_password = app.nobody().form("/api/auth/login", &[("username", "ada"), ("password", "wrong"), ("otp", "123456")]).await;
    assert_eq!(wrong_password.expect(401).problem().code, wire::ErrorCode::NotSignedIn, "nothing is said of a second factor");

    let code = codes[0].as_str().unwrap();
    let off = ada.request(Method::DELETE, "/api/users/me/totp").json(&json!({ "password": PASSWORD, "code": code }));
    ada.send(off).await.expect(204);
    app.nobody().sign_in("ada", PASSWORD).await;
    let now = status(&ada).await;
    assert_eq!((now.totp, now.recovery_codes_left), (false, 0), "the recovery codes went with it");
    assert_eq!(noted(&app, AuditAction::SecondFactorDisabled).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn recovery_codes_sign_in_once_each() {
    let app = TestApp::start().await;
    let ada = app.user("ada").await;
    let without = ada.post("/api/users/me/recovery-codes", &json!({ "password": PASSWORD })).await;
    without.expect(409);
    let (_, codes) = turn_on(&ada).await;
    login(&app, "ada", &codes[0].to_uppercase().replace('-', " ")).await.expect(200);
    login(&app, "ada", &codes[0]).await.expect(401);
    assert_eq!(status(&ada).await.recovery_codes_left, 9);
    assert_eq!(noted(&app, AuditAction::RecoveryCodeUsed).await, 1);

    // Two at the same moment: one gets in.
    let (one, two) = tokio::join!(login(&app, "ada", &codes[1]), login(&app, "ada", &codes[1]));
    let mut answers = [one.status, two.status];
    answers.sort_unstable();
    assert_eq!(answers, [200, 401]);

    ada.post("/api/users/me/recovery-codes", &json!({ "password": "wrong" })).await.expect(422);
    let made = ada.post("/api/users/me/recovery-codes", &json!({ "password": PASSWORD })).await.expect(201).field("codes");
    login(&app, "ada", made[0].as_str().unwrap()).await.expect(200);
    login(&app, "ada", &codes[2]).await.expect(401);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_codes_are_slowed_down_and_lock_nobody_out() {
    let app = TestApp::start().await;
    let ada = app.user("ada").await;
    let (phone, codes) = turn_on(&ada).await;
    for _ in 0..3 {
        login(&app, "ada", &phone.wrong_code()).await.expect(401);
    }
    let early = login(&app, "ada", &phone.code(1)).await.expect(429);
    let wait: u64 = early.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=5).contains(&wait), "{wait}");
    assert_eq!(early.problem().retry_after, Some(wait as u32));
    login(&app, "ada", &codes[1]).await.expect(200);
    for _ in 0..3 {
        login(&app, "ada", &phone.wrong_code()).await.expect(401);
    }
    ada.get("/api/users/me").await.expect(200);
    tokio::time::sleep(std::time::Duration::from_secs(wait + 1)).await;
    login(&app, "ada", &codes[0]).await.expect(200);
    login(&app, "ada", &phone.wrong_code()).await.expect(401);
}

/// What a browser without a script sends and gets.
async fn post_form(app: &TestApp, path: &str, referer: &str, cookie: &str, fields: &[(&str, &str)]) -> Reply {
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let request = app.nobody().request(Method::POST, path).header("accept", "text/html").header("cookie", cookie);
    let request = request.header("content-type", "application/x-www-form-urlencoded");
    app.nobody().send(request.header("referer", format!("{}{referer}", app.base)).body(body)).await
}

async fn page(app: &TestApp, path: &str, cookie: &str) -> Reply {
    let place = path.strip_prefix(&app.base).unwrap_or(path);
    app.nobody().send(app.nobody().request(Method::GET, place).header("accept", "text/html").header("cookie", cookie)).await
}

fn cookie_of(reply: &Reply, name: &str) -> Option<String> {
    let lines = reply.headers.get_all("set-cookie").iter().filter_map(|line| line.to_str().ok());
    lines.filter_map(|line| line.split(';').next()).find(|pair| pair.starts_with(name)).map(str::to_owned)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_without_a_script_takes_the_second_step() {
    let app = TestApp::start().await;
    let ada = app.user("ada").await;
    let (phone, _) = turn_on(&ada).await;
    let given = [("username", "ada"), ("password", PASSWORD), ("next", "/settings")];
    let asked = post_form(&app, "/fn/auth/login", "/login?next=/settings", "", &given).await;
    assert!((300..400).contains(&asked.status), "{asked:?}");
    let place = asked.header("location").unwrap();
    let place = place.strip_prefix(&app.base).unwrap_or(place).to_owned();
    let ticket = cookie_of(&asked, "cxd_step=").expect("a ticket for the next step");
    assert!(cookie_of(&asked, "cxd_session=").is_none() && asked.header("set-cookie").unwrap().contains("HttpOnly"));
    let value = ticket.split_once('=').unwrap().1.to_owned();
    let html = String::from_utf8(page(&app, &place, &ticket).await.expect(200).body.to_vec()).unwrap();
    assert!(html.contains("name=\"otp\"") && html.contains("/fn/auth/second_step") && html.contains("value=\"/settings\""), "{html}");
    assert!(!html.contains(PASSWORD) && !html.contains("name=\"password\"") && !html.contains(&value) && !place.contains(&value));

    let wrong = post_form(&app, "/fn/auth/second_step", &place, &ticket, &[("otp", &phone.wrong_code()), ("next", "/settings")]).await;
    let html = page(&app, wrong.header("location").unwrap(), &ticket).await.expect(200);
    let html = String::from_utf8(html.body.to_vec()).unwrap();
    assert!(html.contains("name=\"otp\"") && html.contains("This code is not right"), "{html}");

    let code = phone.code(1);
    let done = post_form(&app, "/fn/auth/second_step", &place, &ticket, &[("otp", &code), ("next", "/settings")]).await;
    assert_eq!(done.header("location"), Some("/settings"), "{done:?}");
    let session = cookie_of(&done, "cxd_session=").expect("a session");
    assert_eq!(cookie_of(&done, "cxd_step=").as_deref(), Some("cxd_step="), "the ticket is forgotten");
    app.nobody().send(app.nobody().request(Method::GET, "/api/users/me").header("cookie", session)).await.expect(200);

    let again = post_form(&app, "/fn/auth/second_step", &place, &ticket, &[("otp", &phone.code(2))]).await;
    assert!(cookie_of(&again, "cxd_session=").is_none(), "a ticket is good once");
    let html = page(&app, again.header("location").unwrap(), &ticket).await.expect(200);
    let html = String::from_utf8(html.body.to_vec()).unwrap();
    assert!(html.contains("name=\"password\"") && html.contains("Enter your password again"), "{html}");
    let strange = post_form(&app, "/fn/auth/second_step", &place, "cxd_step=made-up", &[("otp", &phone.code(2))]).await;
    assert!(cookie_of(&strange, "cxd_session=").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_to_have_one_sets_it_up_first() {
    let app = TestApp::start().await;
    let admin = app.user("root").await;
    let ada = app.user("ada").await;
    let browser = app.nobody().sign_in_browser("ada", PASSWORD).await;
    let project = support::fixture::project(&ada, "P").await;
    let made = ada.post("/api/users/me/tokens", &json!({ "name": "T", "scopes": ["read", "write", "run", "agent"] })).await.expect(201);
    let program = ada.with_bearer(made.field("secret").as_str().unwrap());
    let (phone, _) = turn_on(&admin).await;
    let mut stream = ada.follow("/api/live/user:me").await.unwrap();
    let mut of_program = program.follow(&format!("/api/live/project:{project}")).await.unwrap();
    require(&admin, "everybody").await;

    let refused = |reply: Reply| assert_eq!(reply.expect(403).field("code"), "second_factor_setup_required");
    for caller in [&ada, &browser, &app.user("ben").await] {
        refused(caller.get("/api/users/me").await);
        refused(caller.get("/api/projects").await);
        refused(caller.post("/api/projects", &json!({ "name": "X" })).await);
        refused(caller.get(&format!("/api/projects/{project}/archive")).await);
        refused(caller.post("/fn/projects/list", &json!({})).await);
        refused(caller.post("/fn/projects/get", &json!({ "id": project })).await);
        refused(caller.post("/api/users/me/tokens", &json!({ "name": "T", "scopes": ["read"] })).await);
        refused(caller.post("/api/users/me/recovery-codes", &json!({ "password": PASSWORD })).await);
        refused(caller.follow("/api/live/user:me").await.err().unwrap());
        refused(caller.follow(&format!("/api/live/project:{project}")).await.err().unwrap());
        assert!(status(caller).await.required);
    }
    // A token from before is no way around it.
    for path in ["/api/users/me", "/api/projects", "/api/users/me/second-factor"] {
        refused(program.get(path).await);
    }
    refused(program.post("/api/projects", &json!({ "name": "X" })).await);
    refused(program.post("/api/users/me/totp", &json!({})).await);
    let told = program.get("/api/projects").await.expect(403).problem();
    assert!(told.detail.contains("Set one up under Settings, Security"), "{told:?}");
    refused(program.follow(&format!("/api/live/project:{project}")).await.err().unwrap());
    let ended = tokio::time::timeout(std::time::Duration::from_secs(20), async {
        while stream.next().await.is_some() {}
        while of_program.next().await.is_some() {}
    });
    ended.await.expect("what was open ends");

    let html = |path: &'static str| browser.send(browser.request(Method::GET, path).header("accept", "text/html"));
    for path in ["/", "/settings", "/admin/users"] {
        let page = html(path).await;
        assert_eq!(page.header("location"), Some("/settings/security"), "{path}: {page:?}");
    }
    assert_eq!(html("/settings/security").await.status, 200);

    let (_, codes) = turn_on(&browser).await;
    assert_eq!(codes.len(), 10);
    browser.get("/api/projects").await.expect(200);
    ada.get("/api/users/me").await.expect(200);
    program.get("/api/projects").await.expect(200);
    let off = json!({ "password": PASSWORD, "code": codes[0] });
    ada.send(ada.request(Method::DELETE, "/api/users/me/totp").json(&off)).await.expect(409);
    login(&app, "ada", &codes[0]).await.expect(200);

    require(&admin, "administrators").await;
    let carl = app.user("carl").await;
    carl.get("/api/users/me").await.expect(200);
    admin.get("/api/admin/settings/accounts").await.expect(200);
    assert!(!status(&carl).await.required && status(&admin).await.required);
    login(&app, "root", &phone.code(1)).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_takes_away_what_somebody_lost() {
    let app = TestApp::start().await;
    let admin = app.user("root").await;
    let ada = app.user("ada").await;
    turn_on(&ada).await;
    let id = ada.user.as_ref().unwrap().id;
    let place = format!("/api/admin/users/{id}/second-factor");
    ada.delete(&place).await.expect(403);
    admin.delete(&format!("/api/admin/users/{}/second-factor", uuid::Uuid::now_v7())).await.expect(404);
    admin.delete(&place).await.expect(204);
    let tokens: Tokens = login(&app, "ada", "").await.expect(200).json();
    let again = app.nobody().with_tokens(tokens);
    assert_eq!(
        status(&again).await,
        SecondFactor { totp: false, recovery_codes_left: 0, passkeys: 0, required: false, has_password: true }
    );
}
