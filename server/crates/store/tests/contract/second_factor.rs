use store::{Db, Error, passkeys, second_factor};
use wire::{Micros, PasskeyId, UserId};

use crate::world::{at, begin, id, read, user, write};

pub async fn an_app_is_pending_until_it_is_confirmed(db: Db) {
    let ada = user(&db, "ada").await;
    assert!(write!(&db, tx => second_factor::begin_totp(&mut tx, ada, b"first", at(0))));
    assert!(write!(&db, tx => second_factor::begin_totp(&mut tx, ada, b"second", at(1))), "another one before it is confirmed");
    assert_eq!(second_factor::factors(&mut read(&db).await, ada).await.unwrap().totp, 0, "it does not count yet");

    assert!(!write!(&db, tx => second_factor::confirm_totp(&mut tx, ada, b"first", 5, at(2))), "that secret was replaced");
    assert!(write!(&db, tx => second_factor::confirm_totp(&mut tx, ada, b"second", 5, at(2))));
    assert!(!write!(&db, tx => second_factor::confirm_totp(&mut tx, ada, b"second", 6, at(3))), "once");
    assert!(!write!(&db, tx => second_factor::begin_totp(&mut tx, ada, b"third", at(4))), "one is on");
    let row = second_factor::totp(&mut read(&db).await, ada).await.unwrap().unwrap();
    assert_eq!((row.secret_sealed.as_slice(), row.confirmed_at, row.last_step), (b"second".as_slice(), Some(at(2)), 5));
    assert_eq!(second_factor::factors(&mut read(&db).await, ada).await.unwrap().totp, 1);

    write!(&db, tx => second_factor::remove_totp(&mut tx, ada));
    assert!(second_factor::totp(&mut read(&db).await, ada).await.unwrap().is_none());
}

pub async fn a_code_is_used_by_one(db: Db) {
    let (ada, ben) = (user(&db, "ada").await, user(&db, "ben").await);
    write!(&db, tx => second_factor::begin_totp(&mut tx, ada, b"sealed", at(0)));
    write!(&db, tx => second_factor::confirm_totp(&mut tx, ada, b"sealed", 5, at(0)));
    assert!(!write!(&db, tx => second_factor::use_step(&mut tx, ada, 5)), "the one it was confirmed with");
    assert_eq!(winners(&db, move |db| async move { write!(&db, tx => second_factor::use_step(&mut tx, ada, 6)) }).await, 1);
    assert!(!write!(&db, tx => second_factor::use_step(&mut tx, ada, 4)), "never an earlier one");

    let hashes = ["one".to_owned(), "two".to_owned()];
    write!(&db, tx => second_factor::replace_codes(&mut tx, ada, &hashes, at(0)));
    assert!(!write!(&db, tx => second_factor::use_code(&mut tx, ben, "one", at(1))), "somebody else's");
    assert_eq!(winners(&db, move |db| async move { write!(&db, tx => second_factor::use_code(&mut tx, ada, "one", at(1))) }).await, 1);
    assert_eq!(second_factor::factors(&mut read(&db).await, ada).await.unwrap().codes_left, 1);
    write!(&db, tx => second_factor::replace_codes(&mut tx, ada, &["three".to_owned()], at(2)));
    assert!(!write!(&db, tx => second_factor::use_code(&mut tx, ada, "two", at(3))), "earlier ones are gone");
    write!(&db, tx => second_factor::remove_codes(&mut tx, ada));
    assert_eq!(second_factor::factors(&mut read(&db).await, ada).await.unwrap().codes_left, 0);
}

pub async fn tries_at_one_moment_count_one_by_one(db: Db) {
    let ada = user(&db, "ada").await;
    let attempts: Vec<_> = (0..12)
        .map(|n| {
            let db = db.clone();
            tokio::spawn(async move {
                let mut tx = begin(&db).await;
                let before = second_factor::lock_tries(&mut tx, ada).await.unwrap();
                let after = second_factor::Tries { failures: before.failures + 1, last_at: at(n) };
                second_factor::set_tries(&mut tx, ada, after).await.unwrap();
                let _committed = tx.commit().await.unwrap();
            })
        })
        .collect();
    for attempt in attempts {
        attempt.await.unwrap();
    }
    assert_eq!(write!(&db, tx => second_factor::lock_tries(&mut tx, ada)).failures, 12);
}

pub async fn challenges_come_back_once(db: Db) {
    let ada = user(&db, "ada").await;
    let new = |hash, user_id, expires_at| second_factor::NewChallenge { hash, purpose: "step", user_id, state: "{}", expires_at };
    write!(&db, tx => second_factor::insert_challenge(&mut tx, &new("one", Some(ada), at(10)), at(0)));
    write!(&db, tx => second_factor::insert_challenge(&mut tx, &new("two", None, at(20)), at(0)));

    let mut c = read(&db).await;
    let found = second_factor::challenge(&mut c, "one", "step", at(9)).await.unwrap().unwrap();
    assert_eq!((found.user_id, found.state.as_str()), (Some(ada), "{}"));
    assert!(second_factor::challenge(&mut c, "one", "other", at(9)).await.unwrap().is_none(), "for something else");
    assert!(second_factor::challenge(&mut c, "one", "step", at(10)).await.unwrap().is_none(), "expired");
    drop(c);
    assert!(write!(&db, tx => second_factor::take_challenge(&mut tx, "one", "other", at(9))).is_none());
    let take = |db: Db| async move { write!(&db, tx => second_factor::take_challenge(&mut tx, "one", "step", at(9))).is_some() };
    assert_eq!(winners(&db, take).await, 1);

    write!(&db, tx => second_factor::insert_challenge(&mut tx, &new("three", None, at(40)), at(20)));
    assert!(second_factor::challenge(&mut read(&db).await, "two", "step", at(0)).await.unwrap().is_none(), "expired ones are forgotten");
}

async fn winners<F, R>(db: &Db, attempt: F) -> usize
where
    F: Fn(Db) -> R,
    R: Future<Output = bool> + Send + 'static,
{
    let attempts: Vec<_> = (0..8).map(|_| tokio::spawn(attempt(db.clone()))).collect();
    let mut won = 0;
    for attempt in attempts {
        won += usize::from(attempt.await.unwrap());
    }
    won
}

fn passkey(user_id: UserId, credential_id: &str, created_at: Micros) -> passkeys::PasskeyRow {
    passkeys::PasskeyRow {
        id: id(),
        user_id,
        name: "Laptop".to_owned(),
        credential_id: credential_id.to_owned(),
        credential: "{\"counter\":0}".to_owned(),
        created_at,
        last_used_at: None,
    }
}

pub async fn passkeys_belong_to_one_user(db: Db) {
    let (ada, ben) = (user(&db, "ada").await, user(&db, "ben").await);
    let (first, second) = (passkey(ada, "a", at(0)), passkey(ada, "b", at(1)));
    write!(&db, tx => passkeys::insert(&mut tx, &second));
    write!(&db, tx => passkeys::insert(&mut tx, &first));
    let mut tx = begin(&db).await;
    let taken = passkeys::insert(&mut tx, &passkey(ben, "a", at(2))).await;
    assert!(matches!(taken, Err(Error::Taken(_))), "{taken:?}");
    drop(tx);

    let mut c = read(&db).await;
    let listed: Vec<PasskeyId> = passkeys::list(&mut c, ada).await.unwrap().iter().map(|row| row.id).collect();
    assert_eq!(listed, [first.id, second.id], "the oldest first");
    assert!(passkeys::list(&mut c, ben).await.unwrap().is_empty());
    let found = passkeys::by_credential(&mut c, "b").await.unwrap().unwrap();
    assert_eq!((found.id, found.user_id, found.name.as_str()), (second.id, ada, "Laptop"));
    assert!(passkeys::by_credential(&mut c, "c").await.unwrap().is_none());
    assert_eq!(second_factor::factors(&mut c, ada).await.unwrap().passkeys, 2);
    drop(c);

    assert!(!write!(&db, tx => passkeys::rename(&mut tx, ben, first.id, "Mine")));
    assert!(write!(&db, tx => passkeys::rename(&mut tx, ada, first.id, "Phone")));
    assert!(write!(&db, tx => passkeys::update_used(&mut tx, first.id, &first.credential, "{\"counter\":1}", at(5))));
    assert!(!write!(&db, tx => passkeys::update_used(&mut tx, first.id, &first.credential, "{\"counter\":2}", at(6))), "used meanwhile");
    let shown = passkeys::list(&mut read(&db).await, ada).await.unwrap().remove(0).into_passkey();
    assert_eq!((shown.name.as_str(), shown.created_at, shown.last_used_at), ("Phone", at(0), Some(at(5))));

    assert!(write!(&db, tx => passkeys::remove(&mut tx, ben, first.id)).is_none());
    assert_eq!(write!(&db, tx => passkeys::remove(&mut tx, ada, first.id)).unwrap().name, "Phone");
    assert!(passkeys::by_credential(&mut read(&db).await, "a").await.unwrap().is_none());
}

/// Read with every request's session.
pub async fn a_session_says_whether_its_user_has_a_factor(db: Db) {
    use store::sessions;
    let ada = user(&db, "ada").await;
    let session = id();
    write!(&db, tx => sessions::insert(&mut tx, &sessions::NewSession {
        id: session, user_id: ada, cookie_hash: Some("cookie"), address: None, user_agent: None, at: at(0), expires_at: at(100),
    }));
    let live = async || sessions::live_by_id(&mut read(&db).await, session, at(1)).await.unwrap().unwrap();
    assert_eq!((live().await.has_factor, live().await.accounts), (false, None));
    write!(&db, tx => second_factor::begin_totp(&mut tx, ada, b"sealed", at(0)));
    assert!(!live().await.has_factor, "one that waits to be confirmed is none");
    write!(&db, tx => second_factor::confirm_totp(&mut tx, ada, b"sealed", 5, at(0)));
    assert!(live().await.has_factor);
    write!(&db, tx => second_factor::remove_totp(&mut tx, ada));
    write!(&db, tx => passkeys::insert(&mut tx, &passkey(ada, "a", at(0))));
    write!(&db, tx => store::settings::put(&mut tx, "accounts", "{}", at(0), None));
    let by_cookie = sessions::live_by_cookie(&mut read(&db).await, "cookie", at(1)).await.unwrap().unwrap();
    assert_eq!((by_cookie.has_factor, by_cookie.accounts.as_deref()), (true, Some("{}")));
}
