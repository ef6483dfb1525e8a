//! Who gets an account, how it changes, and how it ends.

mod support;

use argon2::{Algorithm, Argon2, Params, Version, password_hash::PasswordHasher};
use domain::{Ctx, Error, accounts, auth, links, sessions, settings, users};
use futures::TryStreamExt;
use serde_json::Value;
use sha2::{Digest, Sha256};
use support::Home;
use wire::{
    admin::UpdateUser,
    auth::{ChangePassword, DeleteMe, Login, Register, ResetPassword},
    links::{InviteUser, LinkKind},
    projects::ProjectRole,
    settings::{AccountSettings, Registration},
    tokens::{CreateToken, Scope},
    users::{CreateUser, UpdateMe, UserRole, UserState},
};

on_both! {
    administrators_say_who_may_sign_up,
    settings_are_saved_over_what_was_looked_at,
    an_invitation_makes_one_account,
    a_link_sets_a_password_once,
    old_hashes_are_renewed_at_the_next_sign_in,
    names_are_unique_however_they_are_composed,
    accounts_are_made_by_administrators_only,
    the_last_administrator_stays,
    a_deleted_account_takes_along_what_nobody_else_has,
    an_export_holds_everything_about_a_person,
    a_changed_password_ends_the_other_sessions,
    a_sign_in_on_its_way_ends_with_the_password,
    without_a_password_a_new_session_confirms,
}

fn register(name: &str, email: &str) -> Register {
    Register { email: email.to_owned(), username: name.to_owned(), password: "correct horse".to_owned(), ..Register::default() }
}

fn invited(name: &str, email: &str, url_path: &str) -> Register {
    let invite = url_path.split_once('=').map(|(_, secret)| secret.to_owned());
    Register { invite, ..register(name, email) }
}

fn login(name: &str, password: &str) -> Login {
    Login { username: name.to_owned(), password: password.to_owned(), otp: None }
}

/// The fields of a refusal.
#[track_caller]
fn fields<T>(result: Result<T, Error>) -> Vec<String> {
    match result.err() {
        Some(Error::Invalid(fields) | Error::InvalidForm { fields, .. }) => fields.into_iter().map(|field| field.field).collect(),
        Some(other) => panic!("{other:?}"),
        None => panic!("it was accepted"),
    }
}

async fn allow(admin: &Ctx, registration: Registration, domains: &[&str]) {
    let allowed_email_domains = domains.iter().map(|domain| (*domain).to_owned()).collect();
    let wanted = AccountSettings { registration, allowed_email_domains, ..AccountSettings::default() };
    settings::update_accounts(admin, wanted).await.unwrap();
}

async fn administrators_say_who_may_sign_up(home: Home) {
    let (ada, nobody) = (home.person("ada").await, home.nobody());
    assert!(ada.user().unwrap().is_admin());
    let ben = home.person("ben").await;
    assert!(matches!(settings::accounts(&ben).await, Err(Error::Forbidden(_))));
    assert_eq!(settings::accounts(&ada).await.unwrap().registration, Registration::Open, "as the environment says");

    allow(&ada, Registration::Open, &[" @Example.COM ", "example.net"]).await;
    assert_eq!(settings::accounts(&ada).await.unwrap().allowed_email_domains, ["example.com", "example.net"]);
    assert_eq!(fields(accounts::register(&nobody, register("cleo", "cleo@example.org")).await), ["email"]);
    assert_eq!(fields(accounts::register(&nobody, register("cleo", "cleo@sub.example.com")).await), ["email"]);
    accounts::register(&nobody, register("cleo", "cleo@EXAMPLE.com")).await.unwrap();

    for closed in [Registration::Invite, Registration::Closed] {
        allow(&ada, closed, &[]).await;
        let refused = accounts::register(&nobody, register("dora", "dora@example.org")).await;
        assert!(matches!(refused, Err(Error::Forbidden(_))), "{refused:?}");
    }
    let wrong = AccountSettings { session_days: 0, allowed_email_domains: vec!["not a domain".to_owned()], ..AccountSettings::default() };
    assert_eq!(fields(settings::update_accounts(&ada, wrong).await), ["session_days", "allowed_email_domains"]);
}

async fn settings_are_saved_over_what_was_looked_at(home: Home) {
    let ada = home.person("ada").await;
    let base = settings::accounts(&ada).await.unwrap();
    let savers: Vec<_> = (1..=4)
        .map(|days| {
            let (ada, base) = (ada.clone(), base.clone());
            let wanted = AccountSettings { session_days: days, ..base.clone() };
            tokio::spawn(async move { settings::replace_accounts(&ada, wanted, Some(&base)).await })
        })
        .collect();
    let (mut saved, mut refused) = (Vec::new(), Vec::new());
    for one in savers {
        match one.await.unwrap() {
            Ok(settings) => saved.push(settings),
            Err(Error::Conflict { detail, current }) => refused.push((detail, current.unwrap())),
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!((saved.len(), refused.len()), (1, 3), "however many come at once");
    let now = settings::accounts(&ada).await.unwrap();
    assert_eq!(saved[0], now);
    for (detail, current) in refused {
        assert!(detail.starts_with("Changed meanwhile by you, elsewhere."), "{detail}");
        assert_eq!(serde_json::from_value::<AccountSettings>(current).unwrap(), now);
    }
    let again = AccountSettings { session_days: 30, ..base };
    settings::replace_accounts(&ada, again, Some(&now)).await.unwrap();
    settings::update_accounts(&ada, now.clone()).await.unwrap();
    assert_eq!(settings::accounts(&ada).await.unwrap(), now, "without a base it is replaced all the same");
}

async fn an_invitation_makes_one_account(home: Home) {
    let (ada, nobody) = (home.person("ada").await, home.nobody());
    allow(&ada, Registration::Closed, &[]).await;
    assert!(matches!(links::invite(&ada, InviteUser::default()).await, Err(Error::Conflict { .. })), "closed is closed");
    allow(&ada, Registration::Invite, &["example.net"]).await;

    let request = InviteUser { email: Some("Ben@Example.org".to_owned()), role: UserRole::Admin, days: 3 };
    let link = links::invite(&ada, request).await.unwrap();
    assert!(!link.mailed && link.url_path.starts_with("/signup?invite=cxl_"), "{link:?}");
    let secret = link.url_path.split_once('=').unwrap().1;
    assert!(!format!("{link:?}").contains(secret), "its secret is not shown by chance");
    let view = links::look(&nobody, LinkKind::Invitation, secret).await.unwrap();
    assert_eq!(view.name.as_deref(), Some("Ben@Example.org"));
    assert!(links::look(&nobody, LinkKind::Reset, secret).await.is_err());

    assert_eq!(fields(accounts::register(&nobody, invited("eve", "eve@example.org", &link.url_path)).await), ["email"]);
    let ben = accounts::register(&nobody, invited("ben", "ben@example.org", &link.url_path)).await.unwrap();
    assert!(ben.is_admin(), "what the invitation says, and its address counts more than the allowed domains");
    assert_eq!(fields(accounts::register(&nobody, invited("ben2", "ben@example.org", &link.url_path)).await), ["invite"], "once");

    let open = links::invite(&ada, InviteUser::default()).await.unwrap();
    assert_eq!(fields(accounts::register(&nobody, invited("eve", "eve@example.org", &open.url_path)).await), ["email"]);
    let many: Vec<_> = (0..4)
        .map(|n| {
            let (nobody, path) = (nobody.clone(), open.url_path.clone());
            tokio::spawn(async move { accounts::register(&nobody, invited(&format!("m{n}"), &format!("m{n}@example.net"), &path)).await })
        })
        .collect();
    let mut made = 0;
    for one in many {
        made += usize::from(one.await.unwrap().is_ok());
    }
    assert_eq!(made, 1, "however many come at once");

    let last = links::invite(&ada, InviteUser::default()).await.unwrap();
    assert_eq!(links::list(&ada).await.unwrap().iter().map(|link| link.id).collect::<Vec<_>>(), [last.id]);
    links::revoke(&ada, last.id).await.unwrap();
    assert_eq!(fields(accounts::register(&nobody, invited("late", "late@example.net", &last.url_path)).await), ["invite"]);
    let plain = home_person(&home, "m").await;
    assert!(matches!(links::list(&plain).await, Err(Error::Forbidden(_))));
    assert_eq!(
        fields(links::invite(&ada, InviteUser { email: Some("x".to_owned()), days: 0, ..InviteUser::default() }).await),
        ["email", "days"]
    );
}

/// One of the people who signed up as m0 to m3.
async fn home_person(home: &Home, prefix: &str) -> Ctx {
    for n in 0..4 {
        let found = auth::login(&home.nobody(), login(&format!("{prefix}{n}"), "correct horse")).await;
        if let Ok(tokens) = found {
            return auth::authenticate_bearer(&home.nobody(), &tokens.access_token).await.unwrap();
        }
    }
    panic!("none of them has an account")
}

async fn a_link_sets_a_password_once(home: Home) {
    let (ada, ben) = (home.person("ada").await, home.person("ben").await);
    let nobody = home.nobody();
    let ben_id = ben.user_id().unwrap();
    assert!(matches!(links::make_reset(&ben, ben_id).await, Err(Error::Forbidden(_))));
    let first = links::make_reset(&ada, ben_id).await.unwrap();
    let second = links::make_reset(&ada, ben_id).await.unwrap();
    let reset =
        |path: &str, password: &str| ResetPassword { token: path.split_once('=').unwrap().1.to_owned(), new_password: password.to_owned() };
    assert_eq!(fields(links::reset(&nobody, reset(&first.url_path, "a different one")).await), ["token"], "the newer one counts");
    assert_eq!(fields(links::reset(&nobody, reset(&second.url_path, "password1")).await), ["new_password"], "and it stays good");
    let request = CreateToken { name: "script".to_owned(), scopes: vec![Scope::Read], projects: None, expires_in_days: None };
    let key = domain::tokens::create(&ben, request).await.unwrap().secret;
    domain::tokens::authenticate(&nobody, &key).await.unwrap();
    links::reset(&nobody, reset(&second.url_path, "a different one")).await.unwrap();
    assert_eq!(fields(links::reset(&nobody, reset(&second.url_path, "a different two")).await), ["token"]);
    assert!(!auth::still_signed_in(&ben).await.unwrap(), "every session has ended");
    assert!(domain::tokens::authenticate(&nobody, &key).await.is_err(), "and every token");
    assert!(auth::login(&nobody, login("ben", "correct horse")).await.is_err());
    auth::login(&nobody, login("ben", "a different one")).await.unwrap();
}

async fn old_hashes_are_renewed_at_the_next_sign_in(home: Home) {
    let ada = home.person("ada").await;
    let weak = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(8192, 1, 1, None).unwrap());
    let old = weak.hash_password_with_salt(b"an older password", &[3; 16]).unwrap().to_string();
    let id = ada.user_id().unwrap();
    let mut tx = home.services.db.begin().await.unwrap();
    store::users::update_password_hash(&mut tx, id, &old).await.unwrap();
    let _committed = tx.commit().await.unwrap();

    assert!(auth::login(&home.nobody(), login("ada", "not this one")).await.is_err());
    let kept = store::users::by_id(&mut home.services.db.read().await.unwrap(), id).await.unwrap().unwrap().password_hash;
    assert_eq!(kept, old, "only who knows the password renews its hash");
    auth::login(&home.nobody(), login("ada", "an older password")).await.unwrap();
    let renewed = store::users::by_id(&mut home.services.db.read().await.unwrap(), id).await.unwrap().unwrap().password_hash;
    assert!(renewed.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{renewed}");
    auth::login(&home.nobody(), login("ada", "an older password")).await.unwrap();
}

async fn names_are_unique_however_they_are_composed(home: Home) {
    let nobody = home.nobody();
    accounts::register(&nobody, register("jose", "Jose\u{301}@example.org")).await.unwrap();
    assert_eq!(fields(accounts::register(&nobody, register("jose2", "JOS\u{c9}@EXAMPLE.org")).await), ["email"]);
    assert_eq!(fields(accounts::register(&nobody, register("JOSE", "other@example.org")).await), ["username"]);
    auth::login(&nobody, login("jos\u{e9}@example.org", "correct horse")).await.unwrap();
    auth::login(&nobody, login("\u{ff2a}OSE", "correct horse")).await.unwrap();

    // An account from before keys were composed.
    let id = nobody.new_id();
    let plain = "ada\u{ff21}@example.org".to_lowercase();
    let mut tx = home.services.db.begin().await.unwrap();
    let hash = store::users::by_key(&mut tx, "jose").await.unwrap().unwrap().password_hash;
    let old = store::users::NewUser {
        id,
        email: "ada\u{ff21}@example.org",
        email_key: &plain,
        username: "oldada",
        username_key: "oldada",
        full_name: None,
        password_hash: &hash,
        role: UserRole::User,
        at: nobody.now(),
    };
    store::users::insert(&mut tx, &old).await.unwrap();
    let _committed = tx.commit().await.unwrap();
    assert_eq!(auth::login(&nobody, login("ada\u{ff21}@example.org", "correct horse")).await.unwrap().user.id, id);
    for bad in ["a\u{200b}b@example.org", "a\u{202e}b@example.org", "a\u{0}b@example.org"] {
        assert_eq!(fields(accounts::register(&nobody, register("new", bad)).await), ["email"], "{bad:?}");
    }
}

async fn accounts_are_made_by_administrators_only(home: Home) {
    let (ada, ben) = (home.person("ada").await, home.person("ben").await);
    let request = |name: &str| CreateUser {
        email: format!("{name}@example.org"),
        username: name.to_owned(),
        password: None,
        full_name: None,
        role: Some(UserRole::Admin),
    };
    assert!(matches!(accounts::create(&ben, request("cleo")).await, Err(Error::Forbidden(_))));
    assert!(matches!(accounts::create(&home.nobody(), request("cleo")).await, Err(Error::NotSignedIn)));
    let cleo = accounts::create(&ada, request("cleo")).await.unwrap();
    assert!(cleo.is_admin());
    assert!(auth::login(&home.nobody(), login("cleo", "")).await.is_err());
    assert!(auth::login(&home.nobody(), login("cleo", "anything at all")).await.is_err(), "no password is no password");
    assert_eq!(fields(accounts::create(&ada, request("CLEO")).await), ["username", "email"]);
    let weak = CreateUser { password: Some("dora1234".to_owned()), ..request("dora") };
    assert_eq!(fields(accounts::create(&ada, weak).await), ["password"]);
    let operator = Ctx::operator(&home.services, "root");
    accounts::create(&operator, request("dora")).await.unwrap();
    let (eve, link) = accounts::create_with_link(&operator, request("eve")).await.unwrap();
    assert_eq!(links::list(&operator).await.unwrap().into_iter().map(|link| link.id).collect::<Vec<_>>(), [link.unwrap().id]);
    let with_password = CreateUser { password: Some("a quiet afternoon".to_owned()), ..request("finn") };
    assert!(accounts::create_with_link(&operator, with_password).await.unwrap().1.is_none(), "{}", eve.username);
    let link = links::make_reset(&operator, cleo.id).await.unwrap();
    assert!(link.url_path.starts_with("/reset?token=cxl_"));
}

async fn the_last_administrator_stays(home: Home) {
    let ada = home.person("ada").await;
    let gone = DeleteMe { password: Some("correct horse".to_owned()) };
    assert!(matches!(users::delete_me(&ada, gone.clone()).await, Err(Error::Conflict { .. })));
    let create = CreateUser {
        email: "ben@example.org".to_owned(),
        username: "ben".to_owned(),
        password: Some("correct horse".to_owned()),
        full_name: None,
        role: Some(UserRole::Admin),
    };
    accounts::create(&ada, create).await.unwrap();
    let tokens = auth::login(&home.nobody(), login("ben", "correct horse")).await.unwrap();
    let ben = auth::authenticate_bearer(&home.nobody(), &tokens.access_token).await.unwrap();
    // Both at the same moment: one of them has to stay.
    let (first, second) = tokio::join!(users::delete_me(&ada, gone.clone()), users::delete_me(&ben, gone));
    assert_eq!(usize::from(first.is_ok()) + usize::from(second.is_ok()), 1, "{first:?} {second:?}");
}

async fn a_deleted_account_takes_along_what_nobody_else_has(home: Home) {
    let (ada, ben) = (home.person("ada").await, home.person("ben").await);
    let (alone, shared, kept) = (home.project(&ben).await, home.project(&ben).await, home.project(&ada).await);
    let (ada_id, ben_id) = (ada.user_id().unwrap(), ben.user_id().unwrap());
    let put = async |project, user, role| {
        let mut tx = home.services.db.begin().await.unwrap();
        store::members::put(&mut tx, project, user, role, ada.now()).await.unwrap();
        store::members::set_visibility(&mut tx, project, wire::projects::Visibility::Shared).await.unwrap();
        let _committed = tx.commit().await.unwrap();
    };
    put(shared.id, ada_id, ProjectRole::Editor).await;
    put(kept.id, ben_id, ProjectRole::Editor).await;
    let request = |password: &str| DeleteMe { password: Some(password.to_owned()) };
    assert_eq!(fields(users::delete_me(&ben, request("wrong one")).await), ["password"]);
    match users::delete_me(&ben, request("correct horse")).await {
        Err(Error::Conflict { current: Some(list), .. }) => {
            assert_eq!(list["projects"].as_array().unwrap().len(), 1);
            assert_eq!(list["projects"][0]["id"], shared.id.to_string());
        }
        other => panic!("{other:?}"),
    }
    domain::projects::get(&ben, alone.id).await.unwrap();

    put(shared.id, ada_id, ProjectRole::Owner).await;
    let cookie = users::delete_me(&ben, request("correct horse")).await.unwrap();
    assert!(cookie.contains("Max-Age=0"));
    assert!(!auth::still_signed_in(&ben).await.unwrap());
    assert!(auth::login(&home.nobody(), login("ben", "correct horse")).await.is_err());
    let handed = domain::projects::get(&ada, shared.id).await.unwrap();
    assert_eq!(handed.owner.id, ada_id, "it counts towards who stays");
    let members = domain::members::list(&ada, kept.id).await.unwrap().items;
    assert!(members.iter().all(|member| member.user.id != ben_id));
    assert!(domain::projects::get(&ada, alone.id).await.is_err());
    let again = home.person("ben").await;
    assert_ne!(again.user_id(), Some(ben_id), "the name can be had again, by somebody else");
    assert!(domain::projects::get(&again, kept.id).await.is_err());
}

async fn an_export_holds_everything_about_a_person(home: Home) {
    let (ada, ben) = (home.person("ada").await, home.person("ben").await);
    let project = home.project(&ada).await;
    for title in ["First", "Second"] {
        let request = wire::chat::CreateConversation { title: Some(title.to_owned()) };
        domain::chat::create_conversation(&ada, project.id, request).await.unwrap();
    }
    let read = async |ctx: &Ctx| -> Value {
        let made = users::export(ctx).await.unwrap();
        let pieces: Vec<_> = made.body.try_collect().await.unwrap();
        serde_json::from_slice(&pieces.concat()).unwrap()
    };
    let found = read(&ada).await;
    assert_eq!((found["profile"]["username"].as_str(), found["sessions"].as_array().unwrap().len()), (Some("ada"), 1));
    assert_eq!(found["projects"][0]["id"], project.id.to_string());
    let about: Vec<_> = ["preferences", "passkeys", "identities", "model_keys"].map(|part| found.get(part).is_some()).into();
    assert_eq!(about, [true; 4], "{found}");
    let titles: Vec<_> = found["conversations"].as_array().unwrap().iter().map(|c| c["conversation"]["title"].as_str().unwrap()).collect();
    assert_eq!(titles, ["First", "Second"]);
    assert!(found["conversations"][0]["messages"].is_array());
    assert!(!found.to_string().contains("argon2"), "no hash of a password");
    let other = read(&ben).await;
    assert_eq!((other["conversations"].as_array().unwrap().len(), other["projects"].as_array().unwrap().len()), (0, 0));
}

async fn a_changed_password_ends_the_other_sessions(home: Home) {
    let ada = home.person("ada").await;
    let tokens = auth::login(&home.nobody(), login("ada", "correct horse")).await.unwrap();
    let other = auth::authenticate_bearer(&home.nobody(), &tokens.access_token).await.unwrap();
    assert_eq!(sessions::list(&ada).await.unwrap().len(), 2);
    let change = |current: &str, new: &str| ChangePassword { current_password: Some(current.to_owned()), new_password: new.to_owned() };
    assert_eq!(fields(users::change_password(&ada, change("wrong one", "a different one")).await), ["current_password"]);
    assert_eq!(fields(users::change_password(&ada, change("correct horse", "short")).await), ["new_password"]);
    assert_eq!(fields(users::change_password(&ada, change("correct horse", "correct horse")).await), ["new_password"]);
    users::change_password(&ada, change("correct horse", "a different one")).await.unwrap();
    assert!(auth::still_signed_in(&ada).await.unwrap());
    assert!(!auth::still_signed_in(&other).await.unwrap());

    let rename = UpdateMe { username: Some("countess".to_owned()), ..UpdateMe::default() };
    assert_eq!(users::update_me(&ada, rename).await.unwrap().username, "countess");
    let mail = |password: Option<&str>| UpdateMe {
        email: Some("new@example.org".to_owned()),
        password: password.map(str::to_owned),
        ..UpdateMe::default()
    };
    assert_eq!(fields(users::update_me(&ada, mail(None)).await), ["password"]);
    users::update_me(&ada, mail(Some("a different one"))).await.unwrap();
    auth::login(&home.nobody(), login("new@example.org", "a different one")).await.unwrap();
    home.person("ben").await;
    let taken = UpdateMe { username: Some("BEN".to_owned()), full_name: Some("a\u{7}b".to_owned()), ..UpdateMe::default() };
    assert_eq!(fields(users::update_me(&ada, taken).await), ["full_name"]);
    let taken = UpdateMe { username: Some("BEN".to_owned()), ..UpdateMe::default() };
    assert_eq!(fields(users::update_me(&ada, taken).await), ["username"]);
}

async fn a_sign_in_on_its_way_ends_with_the_password(home: Home) {
    let (ada, ben, nobody) = (home.person("ada").await, home.person("ben").await, home.nobody());
    let user = ben.user().unwrap().clone();
    let mut old = "correct horse".to_owned();
    for round in 0..3 {
        let link = links::make_reset(&ada, user.id).await.unwrap();
        let new = format!("a different one {round}");
        let reset = ResetPassword { token: link.url_path.split_once('=').unwrap().1.to_owned(), new_password: new.clone() };
        let (signed_in, reset) = tokio::join!(auth::login(&nobody, login("ben", &old)), links::reset(&nobody, reset));
        reset.unwrap();
        if let Ok(tokens) = signed_in {
            assert!(auth::authenticate_bearer(&nobody, &tokens.access_token).await.is_err(), "the old password outlived the new one");
        }
        old = new;
    }
    let proved = auth::Proved::by(user.clone(), auth::SignInMethod::Passkey);
    auth::finish_browser(&nobody, proved.clone()).await.unwrap();
    let disable = UpdateUser { state: Some(UserState::Disabled), ..UpdateUser::default() };
    domain::admin::update_user(&ada, user.id, disable).await.unwrap();
    assert!(auth::finish_browser(&nobody, proved).await.is_err(), "disabled after the proof");
}

async fn without_a_password_a_new_session_confirms(home: Home) {
    let ada = home.person("ada").await;
    let id = ada.user_id().unwrap();
    assert!(domain::second_factor::status(&ada).await.unwrap().has_password);
    let mut tx = home.services.db.begin().await.unwrap();
    store::users::update_password_hash(&mut tx, id, "").await.unwrap();
    let began = ada.now().plus_seconds(-601);
    let old = store::sessions::NewSession {
        id: uuid::Uuid::now_v7().into(),
        user_id: id,
        cookie_hash: Some(&hex::encode(Sha256::digest(b"an old cookie"))),
        address: None,
        user_agent: None,
        at: began,
        expires_at: ada.now().plus_seconds(600),
    };
    store::sessions::insert(&mut tx, &old).await.unwrap();
    let _committed = tx.commit().await.unwrap();
    let old = auth::authenticate_cookie(&home.nobody(), "an old cookie").await.unwrap();
    assert!(!domain::second_factor::status(&old).await.unwrap().has_password);
    let set = || ChangePassword { current_password: None, new_password: "a first password".to_owned() };
    for refused in [users::change_password(&old, set()).await, users::delete_me(&old, DeleteMe { password: None }).await.map(drop)] {
        assert!(matches!(&refused, Err(Error::Forbidden(text)) if text.contains("Sign in again")), "{refused:?}");
    }
    users::change_password(&ada, set()).await.unwrap();
    auth::login(&home.nobody(), login("ada", "a first password")).await.unwrap();
}
