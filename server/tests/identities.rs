//! Signing in with an account elsewhere, against a provider on this machine that can do everything wrong.

use domain::Ctx;
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use store::{Word, identities::FlowRow};
use wire::{
    Micros,
    audit::{AuditAction, AuditQuery},
    identities::{IdentityProvider, SignInTrouble},
    settings::AccountSettings,
    users::{User, UserRole, UserState},
};

use crate::support::{
    Options, PASSWORD, TestApp,
    oidc_browser::{Browser, read_trouble},
    oidc_server::{CLIENT_ID, CLIENT_SECRET, OidcServer, Wrong},
};

async fn start(provider: &OidcServer, more: &[(&'static str, &str)]) -> TestApp {
    let own = [
        ("OIDC_ISSUER", provider.url.as_str()),
        ("OIDC_CLIENT_ID", CLIENT_ID),
        ("OIDC_CLIENT_SECRET", CLIENT_SECRET),
        ("OIDC_NAME", "Acme"),
        ("GITHUB_URL", &provider.url),
        ("GITHUB_CLIENT_ID", CLIENT_ID),
        ("GITHUB_CLIENT_SECRET", CLIENT_SECRET),
    ];
    TestApp::with(Options { settings: [&own[..], more].concat(), ..Options::default() }).await
}

async fn audited(app: &TestApp, action: AuditAction) -> Vec<Value> {
    let query = AuditQuery { action: Some(action.word().to_owned()), ..AuditQuery::default() };
    let page = domain::audit::list(&Ctx::operator(&app.services, "tests"), query).await.unwrap();
    page.items.into_iter().map(|entry| serde_json::to_value(entry).unwrap()).collect()
}

async fn user(app: &TestApp, name: &str) -> User {
    let mut conn = app.services.db.read().await.unwrap();
    store::users::by_key(&mut conn, name).await.unwrap().unwrap_or_else(|| panic!("no {name}")).into_user()
}

async fn count_users(app: &TestApp) -> usize {
    store::users::list(&mut app.services.db.read().await.unwrap()).await.unwrap().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_new_gets_an_account_and_comes_back_to_it() {
    let provider = OidcServer::start().await;
    let app = start(&provider, &[]).await;
    app.register("ada").await;
    provider
        .claims(json!({ "sub": "b-1", "preferred_username": "ada", "name": "Ben B.", "email": "Ben@Example.org", "email_verified": true }));
    let mut browser = Browser::new(&app);
    assert_eq!(browser.go("/auth/oidc?next=/projects/1%3Fa%3Db").await, "/projects/1?a=b");
    let ben = browser.me().await.unwrap();
    assert_eq!((ben.username.as_str(), ben.email.as_str(), ben.full_name.as_deref()), ("ada-2", "Ben@Example.org", Some("Ben B.")));
    assert_eq!(ben.role, UserRole::User);
    assert!(!browser.cookies.keys().any(|name| name.starts_with("cxd_flow")), "what the sign-in needed is gone");

    let mut again = Browser::new(&app);
    assert_eq!(again.go("/auth/oidc?next=//evil.example").await, "/", "only to a page of this site");
    assert_eq!(again.go("/auth/oidc?next=/%C3%A4%20b%0D%0AX:y").await, "/", "nor into a header");
    assert_eq!(again.go("/auth/oidc?next=/%C3%A4%20b").await, "/%C3%A4%20b");
    assert_eq!(again.me().await.unwrap().id, ben.id);
    assert_eq!(count_users(&app).await, 2);
    let [identity] = &again.identities().await[..] else { panic!("one identity") };
    assert_eq!((identity.provider_name.as_str(), identity.name.as_str(), identity.usable), ("Acme", "ada", true));
    assert!(identity.last_used_at.is_some());

    for password in ["", "x", PASSWORD] {
        app.nobody().login("ada-2", password).await.expect(if password.is_empty() { 422 } else { 401 });
    }
    let linked = audited(&app, AuditAction::IdentityLinked).await;
    assert_eq!((linked.len(), &linked[0]["actor"]["name"]), (1, &json!("ada-2")));
    assert_eq!(audited(&app, AuditAction::SignedIn).await.iter().filter(|entry| entry["details"]["method"] == "identity").count(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_account_may_come_from_elsewhere() {
    let provider = OidcServer::start().await;
    let app = start(&provider, &[("REGISTRATION", "closed")]).await;
    provider.is("1", "ada");
    let mut browser = Browser::new(&app);
    assert_eq!(browser.go("/auth/oidc").await, "/");
    assert!(browser.me().await.unwrap().is_admin());
    provider.is("2", "ben");
    assert_eq!(Browser::new(&app).trouble("/auth/oidc").await, SignInTrouble::SignupClosed);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_alone_never_opens_an_account() {
    let provider = OidcServer::start().await;
    let app = start(&provider, &[]).await;
    app.register("ada").await;
    provider.is("1", "ada");
    let mut browser = Browser::new(&app);
    assert_eq!(browser.trouble("/auth/oidc").await, SignInTrouble::LinkFirst);
    assert!(!browser.has_session());
    provider.claims(json!({ "sub": "1", "preferred_username": "ada", "email": "ADA@example.org", "email_verified": true }));
    assert_eq!(browser.trouble("/auth/oidc").await, SignInTrouble::LinkFirst);
    assert_eq!(count_users(&app).await, 1);

    let mut ada = Browser::signed_in(&app, "ada").await;
    let link = ada.link_path("oidc").await;
    assert_eq!(ada.go(&link).await, "/settings/security?linked=oidc#identities");
    assert_eq!(ada.go(&link).await, "/settings/security?linked=oidc#identities", "once more is no harm");
    assert_eq!(browser.go("/auth/oidc").await, "/");
    assert_eq!(browser.me().await.unwrap().username, "ada");
}

#[tokio::test(flavor = "multi_thread")]
async fn linking_belongs_to_the_session_that_asked_for_it() {
    let provider = OidcServer::start().await;
    let app = start(&provider, &[]).await;
    app.register("ada").await;
    app.register("ben").await;
    let (mut ada, mut ben) = (Browser::signed_in(&app, "ada").await, Browser::signed_in(&app, "ben").await);
    provider.is("1", "somebody");
    for wrong in ["", "not her password"] {
        let page = ada.begin_link("oidc", wrong).await;
        assert!(page.status == 422 && page.text.contains("\"password\""), "{} {}", page.status, page.text);
    }
    let link = ada.link_path("oidc").await;
    let (_, mac) = link.split_once('-').unwrap();
    let later = format!("/auth/oidc?link=99999999999999999-{mac}");
    assert_eq!(ada.trouble(&later).await, SignInTrouble::SignedOut, "nobody gives a pass more time");
    for foreign in [link.as_str(), "/auth/oidc?link=", "/auth/oidc?link=00", "/auth/github?link=1-00"] {
        assert_eq!(ben.trouble(foreign).await, SignInTrouble::SignedOut, "{foreign}");
    }
    assert_eq!(ada.trouble(&link.replace("oidc", "github")).await, SignInTrouble::SignedOut, "a pass is for one provider");
    assert_eq!(Browser::new(&app).trouble(&link).await, SignInTrouble::SignedOut);

    // Ben's browser is made to come back with what Ada began: the session is another one.
    let back = ada.leave(&link).await;
    let flow =
        ada.cookies.iter().find(|(name, _)| name.starts_with("cxd_flow")).map(|(name, value)| (name.clone(), value.clone())).unwrap();
    ben.cookies.insert(flow.0, flow.1);
    assert_eq!(read_trouble(&ben.follow(&back).await), SignInTrouble::SignedOut);
    assert!(ben.identities().await.is_empty());

    assert_eq!(ada.go(&link).await, "/settings/security?linked=oidc#identities");
    let link = ben.link_path("oidc").await;
    let end = ben.go(&link).await;
    assert!(end.starts_with("/settings/security?"), "{end}");
    assert_eq!(read_trouble(&end), SignInTrouble::Taken);
    let identity = &ada.identities().await[0];
    assert_eq!(ben.unlink(identity).await, 404, "only one's own");
    assert_eq!(app.nobody().get("/api/users/me/identities").await.status, 401);
    assert_eq!(ada.unlink(identity).await, 204);
    assert_eq!(audited(&app, AuditAction::IdentityUnlinked).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_only_way_in_stays() {
    let provider = OidcServer::start().await;
    let app = start(&provider, &[]).await;
    app.register("ada").await;
    provider.is("1", "ben");
    let mut ben = Browser::new(&app);
    ben.go("/auth/oidc").await;
    let identity = ben.identities().await.remove(0);
    assert_eq!(ben.unlink(&identity).await, 409);

    let link = ben.link_path("github").await;
    provider.claims(json!({ "id": 7, "login": "ben" }));
    provider.emails(json!([{ "email": "ben@example.org", "primary": true, "verified": true }]));
    assert_eq!(ben.go(&link).await, "/settings/security?linked=github#identities");
    assert_eq!(ben.unlink(&identity).await, 204, "the other one is left");
    let other = ben.identities().await.remove(0);
    assert_eq!(ben.unlink(&other).await, 409);

    let id = user(&app, "ben").await.id;
    let mut tx = app.services.db.begin().await.unwrap();
    store::users::update_password_hash(&mut tx, id, "a hash").await.unwrap();
    let _committed = tx.commit().await.unwrap();
    assert_eq!(ben.unlink(&other).await, 204);
    assert!(ben.identities().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn new_accounts_follow_the_rules_of_signing_up() {
    let provider = OidcServer::start().await;
    let app = start(&provider, &[("REGISTRATION", "invite")]).await;
    app.register("ada").await;
    provider.is("1", "ben");
    let mut browser = Browser::new(&app);
    assert_eq!(browser.trouble("/auth/oidc").await, SignInTrouble::SignupClosed);
    assert_eq!(browser.trouble("/auth/oidc?invite=cxl_invented").await, SignInTrouble::InvitationRefused);

    let operator = Ctx::operator(&app.services, "tests");
    let invite = async |email: Option<&str>| {
        let request = wire::links::InviteUser { email: email.map(str::to_owned), role: UserRole::User, days: 1 };
        let link = domain::links::invite(&operator, request).await.unwrap();
        link.url_path.split_once("invite=").unwrap().1.to_owned()
    };
    let other = invite(Some("cleo@example.org")).await;
    assert_eq!(browser.trouble(&format!("/auth/oidc?invite={other}")).await, SignInTrouble::InvitationRefused);
    let own = invite(Some("ben@example.org")).await;
    assert_eq!(browser.go(&format!("/auth/oidc?invite={own}")).await, "/");
    provider.is("2", "dan");
    assert_eq!(Browser::new(&app).trouble(&format!("/auth/oidc?invite={own}")).await, SignInTrouble::InvitationRefused, "it is used up");

    let settings = AccountSettings { allowed_email_domains: vec!["example.com".to_owned()], ..AccountSettings::default() };
    let mut tx = app.services.db.begin().await.unwrap();
    store::settings::put(&mut tx, "accounts", &serde_json::to_string(&settings).unwrap(), Micros(1), None).await.unwrap();
    let _committed = tx.commit().await.unwrap();
    assert_eq!(Browser::new(&app).trouble("/auth/oidc").await, SignInTrouble::DomainRefused);
    provider.claims(json!({ "sub": "3", "email": "eve@example.com", "email_verified": true }));
    assert_eq!(Browser::new(&app).go("/auth/oidc").await, "/");
    assert_eq!(user(&app, "eve").await.email, "eve@example.com");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_nobody_vouches_for_is_none() {
    let provider = OidcServer::start().await;
    let app = start(&provider, &[("OIDC_ALLOW_SIGNUP", "false")]).await;
    app.register("ada").await;
    for claims in [
        json!({ "sub": "1", "email": "ben@example.org" }),
        json!({ "sub": "1", "email": "ben@example.org", "email_verified": false }),
        json!({ "sub": "1", "email": "no address", "email_verified": true }),
        json!({ "sub": "1" }),
    ] {
        provider.claims(claims.clone());
        assert_eq!(Browser::new(&app).trouble("/auth/oidc").await, SignInTrouble::UnverifiedEmail, "{claims}");
    }
    provider.only_userinfo_tells(json!({ "email": "ben@example.org", "email_verified": true }));
    assert_eq!(Browser::new(&app).trouble("/auth/oidc").await, SignInTrouble::SignupClosed, "the operator wants no new people from there");
    assert!(provider.count("/userinfo") > 0);
    provider.does(Wrong::OtherPerson);
    assert_eq!(Browser::new(&app).trouble("/auth/oidc").await, SignInTrouble::NotForUs);
    assert_eq!(count_users(&app).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_follow_the_claim_but_the_last_administrator_stays() {
    let provider = OidcServer::start().await;
    let roles = [("OIDC_ROLE_CLAIM", "realm_access.roles"), ("OIDC_ADMIN_VALUES", "owners, root")];
    let app = start(&provider, &roles).await;
    let claims = |roles: Value| {
        let base = json!({ "sub": "1", "preferred_username": "ben", "email": "ben@example.org", "email_verified": true });
        let mut claims = base.as_object().cloned().unwrap();
        claims.insert("realm_access".to_owned(), json!({ "roles": roles }));
        provider.claims(Value::Object(claims));
    };
    claims(json!([]));
    let mut ben = Browser::new(&app);
    ben.go("/auth/oidc").await;
    assert!(ben.me().await.unwrap().is_admin(), "the first account, and so the last administrator");
    app.register("ada").await;
    let ada = user(&app, "ada").await;
    let mut tx = app.services.db.begin().await.unwrap();
    store::users::update_access(&mut tx, ada.id, UserRole::Admin, UserState::Active).await.unwrap();
    let _committed = tx.commit().await.unwrap();

    ben.go("/auth/oidc").await;
    assert!(!ben.me().await.unwrap().is_admin());
    claims(json!(["people", "root"]));
    ben.go("/auth/oidc").await;
    assert!(ben.me().await.unwrap().is_admin());
    claims(json!("people"));
    ben.go("/auth/oidc").await;
    assert!(!ben.me().await.unwrap().is_admin());
    let changes = audited(&app, AuditAction::RoleChanged).await;
    assert_eq!(changes.len(), 3);
    assert_eq!(changes[0]["details"], json!({ "from": "admin", "to": "user", "provider": "oidc" }));
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_provider_does_wrong_ends_in_words_and_in_no_session() {
    use SignInTrouble::*;
    let provider = OidcServer::start().await;
    let app = start(&provider, &[]).await;
    app.register("ada").await;
    provider.is("1", "ben");
    let mut browser = Browser::new(&app);
    for (wrong, trouble) in [
        (Wrong::Denied, Denied),
        (Wrong::Error, ProviderRefused),
        (Wrong::TokenDown, Unreachable),
        (Wrong::ClientRefused, ProviderRefused),
        (Wrong::NoJson, Unreachable),
        (Wrong::OtherIssuer, WrongIssuer),
        (Wrong::OtherIssuerInAnswer, WrongIssuer),
        (Wrong::OtherKey, BadSignature),
        (Wrong::Unsigned, BadSignature),
        (Wrong::SharedSecret, BadSignature),
        (Wrong::OtherAudience, NotForUs),
        (Wrong::OtherParty, NotForUs),
        (Wrong::OtherNonce, NotForUs),
        (Wrong::ClockAhead, ClockOff),
        (Wrong::ClockBehind, ClockOff),
    ] {
        provider.does(wrong);
        let end = browser.go("/auth/oidc?next=/x").await;
        assert!(end.starts_with("/login?") && end.ends_with("&next=%2Fx"), "{end}");
        assert_eq!(read_trouble(&end), trouble, "{wrong:?}");
        assert!(!browser.has_session(), "{wrong:?}");
        let page = browser.get(&end).await;
        // As text of a page: & and the like are escaped there.
        let sentence = trouble.sentence("Acme");
        assert!(page.text.contains(sentence.split(['\'', '&']).next().unwrap()), "{wrong:?}: the page tells it without a script");
    }
    assert_eq!(count_users(&app).await, 1);
    let refused = audited(&app, AuditAction::SignInRefused).await;
    assert_eq!((refused.len(), &refused[0]["details"]["trouble"]), (15, &json!("clock_off")));

    for wrong in [Wrong::Endless, Wrong::Redirects] {
        provider.does(wrong);
        assert!(matches!(browser.trouble("/auth/oidc").await, Unreachable | ProviderRefused), "{wrong:?}");
    }
    assert_eq!(provider.count("/elsewhere"), 0, "no redirect is followed");
    provider.does(None);
    assert_eq!(browser.go("/auth/oidc").await, "/", "all is well once it behaves");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issuer_that_is_away_or_another_one_is_told_and_never_keeps_the_server_from_starting() {
    for (wrong, trouble) in [
        (Wrong::OtherIssuerInDocument, SignInTrouble::WrongIssuer),
        (Wrong::Endless, SignInTrouble::Unreachable),
        (Wrong::Redirects, SignInTrouble::Unreachable),
    ] {
        let provider = OidcServer::start().await;
        provider.does(wrong);
        let app = start(&provider, &[]).await;
        app.register("ada").await;
        assert_eq!(Browser::new(&app).trouble("/auth/oidc").await, trouble, "{wrong:?}");
        let health = domain::health::check(&app.services).await;
        let line = health.checks.iter().find(|check| check.name == "sign-in provider").unwrap();
        assert_eq!(line.state, wire::admin::CheckState::Warning, "{line:?}");
        assert!(line.reason.starts_with("Acme can't be used") && line.advice.is_some(), "{line:?}");
    }
    let provider = OidcServer::start().await;
    let url = provider.url.clone();
    drop(provider);
    let app = TestApp::with(Options { settings: vec![("OIDC_ISSUER", &url), ("OIDC_CLIENT_ID", "us")], ..Options::default() }).await;
    app.register("ada").await;
    assert_eq!(Browser::new(&app).trouble("/auth/oidc").await, SignInTrouble::Unreachable);
    assert_eq!(Browser::new(&app).trouble("/auth/github").await, SignInTrouble::NotSetUp);
    assert_eq!(app.nobody().get("/auth/elsewhere").await.status, 404);
    assert_eq!(app.nobody().get("/readyz").await.status, 200, "people sign in with their passwords");
}

#[tokio::test(flavor = "multi_thread")]
async fn health_tells_that_the_issuer_answers_and_asks_it_rarely() {
    let provider = OidcServer::start().await;
    let app = start(&provider, &[]).await;
    for _ in 0..3 {
        let health = domain::health::check(&app.services).await;
        let line = health.checks.iter().find(|check| check.name == "sign-in provider").unwrap();
        assert_eq!(line.state, wire::admin::CheckState::Ok, "{line:?}");
        assert!(line.reason.contains("Acme answers") && line.reason.contains("GitHub"), "{line:?}");
    }
    assert_eq!(provider.count("/.well-known/openid-configuration"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_is_worth_something_once_in_one_browser_for_ten_minutes() {
    let provider = OidcServer::start().await;
    let app = start(&provider, &[]).await;
    app.register("ada").await;
    provider.is("1", "ben");
    let mut browser = Browser::new(&app);
    let back = browser.leave("/auth/oidc").await;
    let cookies = browser.cookies.clone();
    assert_eq!(read_trouble(&Browser::new(&app).follow(&back).await), SignInTrouble::OtherBrowser);
    let mut mixed = Browser::new(&app);
    mixed.cookies = cookies.keys().map(|name| (name.clone(), "x".repeat(43))).collect();
    assert_eq!(read_trouble(&mixed.follow(&back).await), SignInTrouble::Expired, "somebody else's cookie");
    assert_eq!(browser.follow(&back).await, "/", "and none of that has used it up");
    assert_eq!(provider.count("/token"), 1);

    browser.cookies = cookies;
    assert_eq!(read_trouble(&browser.follow(&back).await), SignInTrouble::Expired, "a replay");
    assert_eq!(provider.count("/token"), 1);
    for broken in ["/auth/oidc/callback", "/auth/oidc/callback?state=&code=x", "/auth/oidc/callback?state=%C3%A4&code=x"] {
        assert_eq!(read_trouble(&Browser::new(&app).follow(broken).await), SignInTrouble::Expired, "{broken}");
    }

    let (state, secret) = ("s".repeat(43), "b".repeat(43));
    let hash = |text: &str| hex::encode(Sha256::digest(text.as_bytes()));
    let row = FlowRow {
        state_hash: hash(&state),
        browser_hash: hash(&secret),
        provider: Word(IdentityProvider::Oidc),
        redirect_uri: format!("{}/auth/oidc/callback", app.base),
        next: "/".to_owned(),
        session_id: None,
        expires_at: Micros(app.services.clock.now().0 - 1),
    };
    let mut tx = app.services.db.begin().await.unwrap();
    store::identities::insert_flow(&mut tx, &row).await.unwrap();
    let _committed = tx.commit().await.unwrap();
    let mut late = Browser::new(&app);
    late.cookies.insert("cxd_flow_ssssssss".to_owned(), secret);
    assert_eq!(read_trouble(&late.follow(&format!("/auth/oidc/callback?state={state}&code=x")).await), SignInTrouble::Expired);

    let mut tabs = Browser::new(&app);
    let (one, two) = (tabs.leave("/auth/oidc").await, tabs.leave("/auth/oidc").await);
    assert_eq!((tabs.follow(&one).await.as_str(), tabs.follow(&two).await.as_str()), ("/", "/"), "two tabs do not end each other's");

    let elsewhere = tabs.leave("/auth/oidc").await.replace("/auth/oidc/", "/auth/github/");
    let end = tabs.follow(&elsewhere).await;
    assert!(end.starts_with("/settings/security?"), "who is signed in is told there: {end}");
    assert_eq!(read_trouble(&end), SignInTrouble::NotForUs);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_may_change_and_are_asked_for_again() {
    let provider = OidcServer::start().await;
    let app = start(&provider, &[]).await;
    app.register("ada").await;
    provider.is("1", "ben");
    let mut browser = Browser::new(&app);
    assert_eq!(browser.go("/auth/oidc").await, "/");
    assert_eq!(browser.go("/auth/oidc").await, "/");
    assert_eq!(provider.count("/keys"), 1, "they are kept");
    provider.exchange_keys(Algorithm::EdDSA);
    assert_eq!(browser.go("/auth/oidc").await, "/");
    assert_eq!(provider.count("/keys"), 2);
    provider.does(Wrong::OtherKey);
    browser.cookies.clear();
    assert_eq!(browser.trouble("/auth/oidc").await, SignInTrouble::BadSignature);
    assert_eq!(provider.count("/keys"), 2, "bad tokens do not make the server ask again and again");
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_may_be_signed_in_three_ways() {
    for algorithm in [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA] {
        let provider = OidcServer::start().await;
        provider.exchange_keys(algorithm);
        let app = start(&provider, &[]).await;
        provider.is("1", "ada");
        assert_eq!(Browser::new(&app).go("/auth/oidc").await, "/", "{algorithm:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_account_stays_out() {
    let provider = OidcServer::start().await;
    let app = start(&provider, &[]).await;
    app.register("ada").await;
    provider.is("1", "ben");
    let mut browser = Browser::new(&app);
    browser.go("/auth/oidc").await;
    let ben = browser.me().await.unwrap();
    let mut tx = app.services.db.begin().await.unwrap();
    store::users::update_access(&mut tx, ben.id, UserRole::User, UserState::Disabled).await.unwrap();
    let _committed = tx.commit().await.unwrap();
    let mut again = Browser::new(&app);
    assert_eq!(again.trouble("/auth/oidc").await, SignInTrouble::Disabled);
    assert!(!again.has_session() && browser.me().await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn our_second_factor_is_asked_for_even_if_two_were_shown_there() {
    let provider = OidcServer::start().await;
    let app = start(&provider, &[]).await;
    let (mut browser, _) = with_both_factors(&provider, &app).await;
    assert_eq!(browser.go("/auth/oidc?next=/x").await, "/login?step=code&next=%2Fx");
    assert!(!browser.has_session());
}

/// A browser for somebody with an app here, whose provider says that it saw two factors.
async fn with_both_factors(provider: &OidcServer, app: &TestApp) -> (Browser, User) {
    app.register("ada").await;
    provider.is("1", "ben");
    let mut browser = Browser::new(app);
    browser.go("/auth/oidc").await;
    let ben = browser.me().await.unwrap();
    let mut tx = app.services.db.begin().await.unwrap();
    store::second_factor::begin_totp(&mut tx, ben.id, b"sealed", Micros(1)).await.unwrap();
    assert!(store::second_factor::confirm_totp(&mut tx, ben.id, b"sealed", 1, Micros(2)).await.unwrap());
    let _committed = tx.commit().await.unwrap();
    provider.claims(json!({ "sub": "1", "email": "ben@example.org", "email_verified": true, "amr": ["pwd", "mfa"] }));
    (Browser::new(app), ben)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_trusted_with_it_may_ask_for_the_second_factor() {
    let provider = OidcServer::start().await;
    let app = start(&provider, &[("OIDC_TRUST_MFA", "true")]).await;
    let (mut trusted, ben) = with_both_factors(&provider, &app).await;
    assert_eq!(trusted.go("/auth/oidc").await, "/");
    assert_eq!(trusted.me().await.unwrap().id, ben.id);
    let claims = |amr: Value| {
        let mut claims = json!({ "sub": "1", "email": "ben@example.org", "email_verified": true });
        claims["amr"] = amr;
        provider.claims(claims);
    };
    for amr in [json!(["pwd", "otp"]), json!("mfa"), json!(["mfa2"])] {
        claims(amr.clone());
        let mut again = Browser::new(&app);
        assert!(again.go("/auth/oidc").await.starts_with("/login?step=code"), "{amr}");
        assert!(!again.has_session() && again.cookies.contains_key("cxd_step"), "{:?}", again.cookies);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn github_is_asked_who_came() {
    use SignInTrouble::*;
    let provider = OidcServer::start().await;
    let app = start(&provider, &[]).await;
    app.register("ada").await;
    let entry = |email: &str, primary: bool, verified: bool| json!({ "email": email, "primary": primary, "verified": verified });
    provider.claims(json!({ "id": 7, "login": "Ben_X!", "name": "Ben", "email": "public@example.org" }));
    provider.emails(json!([entry("old@example.org", false, true), entry("ben@example.org", true, false)]));
    let mut browser = Browser::new(&app);
    assert_eq!(browser.trouble("/auth/github").await, UnverifiedEmail);
    provider.emails(json!([entry("old@example.org", false, true), entry("ben@example.org", true, true)]));
    for (wrong, trouble) in [(Wrong::Denied, Denied), (Wrong::TokenDown, Unreachable), (Wrong::ClientRefused, ProviderRefused)] {
        provider.does(wrong);
        assert_eq!(browser.trouble("/auth/github").await, trouble, "{wrong:?}");
    }
    provider.does(None);
    assert_eq!(browser.go("/auth/github").await, "/");
    let ben = browser.me().await.unwrap();
    assert_eq!((ben.username.as_str(), ben.email.as_str()), ("Ben_X", "ben@example.org"));

    // A login is given to somebody else in time; the number is not.
    provider.claims(json!({ "id": 8, "login": "Ben_X!" }));
    provider.emails(json!([entry("other@example.org", true, true)]));
    let mut other = Browser::new(&app);
    assert_eq!(other.go("/auth/github").await, "/");
    assert_eq!(other.me().await.unwrap().username, "Ben_X-2");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pages_offer_what_is_set_up_without_a_script() {
    let provider = OidcServer::start().await;
    let app = start(&provider, &[]).await;
    app.register("ada").await;
    let mut browser = Browser::new(&app);
    let login = browser.get("/login?next=/projects/1").await.text;
    for part in ["Continue with Acme", "Continue with GitHub", "href=\"/auth/oidc?next=%2Fprojects%2F1\""] {
        assert!(login.contains(part), "{part}");
    }
    let signup = browser.get("/signup?invite=cxl_1").await.text;
    assert!(signup.contains("href=\"/auth/github?invite=cxl_1\""));
    let foreign = browser.get("/login?trouble=You+won+a+prize&provider=oidc").await.text;
    assert!(!foreign.contains("prize"), "the address can't put words on the page");

    let plain = TestApp::start().await;
    plain.register("ada").await;
    assert!(!Browser::new(&plain).get("/login").await.text.contains("Continue with"));
}
