use store::{Db, Error, preferences, sessions, settings, users};
use wire::{
    SessionId, UserId,
    users::{UserRole, UserState},
};

use crate::world::{at, begin, commit, id, read, user, write};

fn new_user<'a>(name: &'a str, email: &'a str) -> users::NewUser<'a> {
    users::NewUser {
        id: id(),
        email,
        email_key: email,
        username: name,
        username_key: name,
        full_name: Some("Ada L."),
        password_hash: "hash",
        role: UserRole::Admin,
        at: at(5),
    }
}

pub async fn users_are_found_and_changed(db: Db) {
    assert!(!users::any_exist(&mut read(&db).await).await.unwrap());
    assert_eq!(users::entrance(&mut read(&db).await).await.unwrap(), (false, None));
    let new = new_user("ada", "ada@example.com");
    write!(&db, tx => users::insert(&mut tx, &new));
    let other = user(&db, "bob").await;
    write!(&db, tx => settings::put(&mut tx, "accounts", "{}", at(1), None));

    let mut c = read(&db).await;
    assert!(users::any_exist(&mut c).await.unwrap());
    assert_eq!(users::entrance(&mut c).await.unwrap(), (true, Some("{}".to_owned())));
    let found = users::by_id(&mut c, new.id).await.unwrap().unwrap();
    assert_eq!((found.role.0, found.state.0, found.password_hash.as_str()), (UserRole::Admin, UserState::Active, "hash"));
    assert_eq!(users::by_key(&mut c, "ada").await.unwrap().unwrap().id, new.id);
    assert_eq!(users::by_key(&mut c, "ada@example.com").await.unwrap().unwrap().id, new.id);
    assert!(users::by_key(&mut c, "nobody").await.unwrap().is_none());
    assert!(users::by_id(&mut c, id()).await.unwrap().is_none());
    let listed: Vec<UserId> = users::list(&mut c).await.unwrap().iter().map(|row| row.id).collect();
    assert_eq!(listed, [new.id, other], "the newest first");
    assert_eq!(users::count_active_admins(&mut c).await.unwrap(), 1);
    drop(c);

    let mut tx = begin(&db).await;
    users::lock_installation(&mut tx).await.unwrap();
    users::update_full_name(&mut tx, new.id, None).await.unwrap();
    users::update_password_hash(&mut tx, new.id, "changed").await.unwrap();
    users::update_access(&mut tx, new.id, UserRole::Admin, UserState::Disabled).await.unwrap();
    users::touch(&mut tx, new.id, at(9)).await.unwrap();
    assert_eq!(users::count_active_admins(&mut tx).await.unwrap(), 0);
    let _committed = commit(tx).await;

    let found = users::by_id(&mut read(&db).await, new.id).await.unwrap().unwrap();
    assert_eq!(found.password_hash, "changed");
    let shown = found.into_user();
    assert_eq!((shown.full_name, shown.state, shown.last_seen_at, shown.created_at), (None, UserState::Disabled, Some(at(9)), at(5)));

    assert!(write!(&db, tx => users::mark_seeded(&mut tx, at(1))));
    assert!(!write!(&db, tx => users::mark_seeded(&mut tx, at(2))));
}

pub async fn names_belong_to_one_user(db: Db) {
    let attempts: Vec<_> = (0..8)
        .map(|n| {
            let db = db.clone();
            tokio::spawn(async move {
                let mut tx = begin(&db).await;
                users::insert(&mut tx, &new_user("ada", &format!("{n}@example.com"))).await?;
                tx.commit().await
            })
        })
        .collect();
    let mut won = 0;
    for attempt in attempts {
        match attempt.await.unwrap() {
            Ok(_) => won += 1,
            Err(error) => assert!(matches!(error, Error::Taken(_)), "{error:?}"),
        }
    }
    assert_eq!(won, 1);
    let mut tx = begin(&db).await;
    let existing = users::list(&mut tx).await.unwrap().remove(0).email;
    let taken = users::insert(&mut tx, &new_user("other", &existing)).await;
    assert!(matches!(taken, Err(Error::Taken(_))));
}

async fn session(db: &Db, user: UserId, cookie: Option<&str>) -> SessionId {
    let new = id();
    write!(db, tx => sessions::insert(&mut tx, &sessions::NewSession {
        id: new, user_id: user, cookie_hash: cookie, address: Some("::1"), user_agent: None, at: at(0), expires_at: at(100),
    }));
    new
}

pub async fn sessions_live_until_revoked_or_expired(db: Db) {
    let ada = user(&db, "ada").await;
    let by_cookie = session(&db, ada, Some("cookie")).await;
    let by_token = session(&db, ada, None).await;
    let third = session(&db, ada, None).await;

    let mut c = read(&db).await;
    let live = sessions::live_by_cookie(&mut c, "cookie", at(99)).await.unwrap().unwrap();
    assert_eq!((live.session_id, live.session_seen_at, live.user.id), (by_cookie, at(0), ada));
    assert_eq!((live.user.username.as_str(), live.preferences_revision, live.preferences), ("ada", None, None));
    assert!(sessions::live_by_cookie(&mut c, "cookie", at(100)).await.unwrap().is_none(), "expired");
    assert!(sessions::live_by_cookie(&mut c, "other", at(1)).await.unwrap().is_none());
    assert_eq!(sessions::live_by_id(&mut c, by_token, at(1)).await.unwrap().unwrap().user.id, ada);
    assert!(sessions::live_by_id(&mut c, by_token, at(100)).await.unwrap().is_none());
    drop(c);

    write!(&db, tx => sessions::touch(&mut tx, by_cookie, at(50), at(150)));
    write!(&db, tx => preferences::put(&mut tx, ada, 0, "{}", at(50)));
    let live = sessions::live_by_cookie(&mut read(&db).await, "cookie", at(120)).await.unwrap().unwrap();
    assert_eq!((live.session_seen_at, live.preferences_revision, live.preferences.as_deref()), (at(50), Some(1), Some("{}")));
    let live = sessions::live_by_id(&mut read(&db).await, by_cookie, at(120)).await.unwrap().unwrap();
    assert_eq!((live.preferences_revision, live.preferences), (None, None), "only browsers show pages");

    write!(&db, tx => users::update_access(&mut tx, ada, UserRole::User, UserState::Disabled));
    assert!(sessions::live_by_id(&mut read(&db).await, by_token, at(1)).await.unwrap().is_none(), "the user is disabled");
    write!(&db, tx => users::update_access(&mut tx, ada, UserRole::User, UserState::Active));

    write!(&db, tx => sessions::revoke(&mut tx, by_token, at(2)));
    let mut c = read(&db).await;
    assert!(sessions::live_by_id(&mut c, by_token, at(3)).await.unwrap().is_none());
    assert!(sessions::live_by_id(&mut c, third, at(3)).await.unwrap().is_some());
    drop(c);
    write!(&db, tx => sessions::revoke_all(&mut tx, ada, at(4)));
    let mut c = read(&db).await;
    assert!(sessions::live_by_id(&mut c, third, at(5)).await.unwrap().is_none());
    assert!(sessions::live_by_cookie(&mut c, "cookie", at(5)).await.unwrap().is_none());
}

pub async fn refresh_tokens_are_spent_once(db: Db) {
    let ada = user(&db, "ada").await;
    let session = session(&db, ada, None).await;
    write!(&db, tx => sessions::insert_refresh(&mut tx, "first", session, at(0)));
    write!(&db, tx => sessions::insert_refresh(&mut tx, "first", session, at(1)));
    let row = sessions::refresh(&mut read(&db).await, "first").await.unwrap().unwrap();
    assert_eq!((row.hash.as_str(), row.session_id, row.spent_at), ("first", session, None));
    assert!(sessions::refresh(&mut read(&db).await, "other").await.unwrap().is_none());

    let attempts: Vec<_> = (0..16)
        .map(|_| {
            let db = db.clone();
            tokio::spawn(async move { write!(&db, tx => sessions::spend_refresh(&mut tx, "first", at(2))) })
        })
        .collect();
    let mut spent = 0;
    for attempt in attempts {
        spent += usize::from(attempt.await.unwrap());
    }
    assert_eq!(spent, 1);
    assert_eq!(sessions::refresh(&mut read(&db).await, "first").await.unwrap().unwrap().spent_at, Some(at(2)));
}

pub async fn sessions_of_one_person_end_by_themselves(db: Db) {
    let (ada, bob) = (user(&db, "ada").await, user(&db, "bob").await);
    let (first, second) = (session(&db, ada, None).await, session(&db, ada, None).await);
    let other = session(&db, bob, None).await;
    write!(&db, tx => sessions::touch(&mut tx, first, at(50), at(150)));
    assert_eq!(sessions::began_at(&mut read(&db).await, first).await.unwrap(), Some(at(0)), "whenever it was seen");
    assert_eq!(sessions::began_at(&mut read(&db).await, id()).await.unwrap(), None);

    write!(&db, tx => sessions::end_all(&mut tx, ada, at(60)));
    let lives = async |session, seconds| sessions::live_by_id(&mut read(&db).await, session, at(seconds)).await.unwrap().is_some();
    assert!(lives(first, 59).await && lives(second, 59).await && lives(other, 99).await);
    assert!(!lives(first, 60).await && !lives(second, 60).await);
}

pub async fn only_active_accounts_are_entered(db: Db) {
    let (ada, bob) = (user(&db, "ada").await, user(&db, "bob").await);
    assert_eq!(write!(&db, tx => users::enter(&mut tx, ada, at(9))).as_deref(), Some("hash"));
    assert_eq!(write!(&db, tx => users::enter(&mut tx, id(), at(9))), None);
    write!(&db, tx => users::update_access(&mut tx, bob, UserRole::User, UserState::Disabled));
    assert_eq!(write!(&db, tx => users::enter(&mut tx, bob, at(9))), None);
    let seen = async |user| users::by_id(&mut read(&db).await, user).await.unwrap().unwrap().last_seen_at;
    assert_eq!((seen(ada).await, seen(bob).await), (Some(at(9)), None));
}
