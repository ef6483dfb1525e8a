use store::{
    Db, Word,
    identities::{self, FlowRow, IdentityRow},
    sessions,
};
use wire::{UserId, identities::IdentityProvider};

use crate::world::{at, begin, commit, id, read, user, write};

fn identity(user: UserId, subject: &str) -> IdentityRow {
    IdentityRow {
        id: id(),
        user_id: user,
        provider: Word(IdentityProvider::Oidc),
        issuer: "https://id.example.org".to_owned(),
        subject: subject.to_owned(),
        name: "Ada".to_owned(),
        email: Some("ada@example.org".to_owned()),
        created_at: at(1),
        last_used_at: None,
    }
}

pub async fn an_identity_belongs_to_one_account(db: Db) {
    let (ada, ben) = (user(&db, "ada").await, user(&db, "ben").await);
    let row = identity(ada, "1");
    write!(&db, tx => identities::insert(&mut tx, &row));
    let mut tx = begin(&db).await;
    let again = identities::insert(&mut tx, &identity(ben, "1")).await;
    assert!(matches!(again, Err(store::Error::Taken(_))), "the same subject of the same issuer");
    drop(tx);
    let elsewhere = IdentityRow { issuer: "https://other.example.org".to_owned(), created_at: at(2), ..identity(ada, "1") };
    write!(&db, tx => identities::insert(&mut tx, &elsewhere));

    write!(&db, tx => identities::touch(&mut tx, row.id, "Ada L.", None, at(9)));
    let found = identities::by_subject(&mut read(&db).await, &row.issuer, "1").await.unwrap().unwrap();
    assert_eq!(found, IdentityRow { name: "Ada L.".to_owned(), email: None, last_used_at: Some(at(9)), ..row.clone() });
    assert!(identities::by_subject(&mut read(&db).await, &row.issuer, "2").await.unwrap().is_none());
    let ids: Vec<_> = identities::of_user(&mut read(&db).await, ada).await.unwrap().into_iter().map(|row| row.id).collect();
    assert_eq!(ids, [row.id, elsewhere.id]);

    assert!(!write!(&db, tx => identities::remove(&mut tx, ben, row.id)), "only one's own");
    assert!(write!(&db, tx => identities::remove(&mut tx, ada, row.id)));
    assert!(!write!(&db, tx => identities::remove(&mut tx, ada, row.id)));
}

pub async fn a_sign_in_is_taken_up_once_by_its_browser(db: Db) {
    let ada = user(&db, "ada").await;
    let session = id();
    write!(&db, tx => sessions::insert(&mut tx, &sessions::NewSession {
        id: session, user_id: ada, cookie_hash: Some("c"), address: None, user_agent: None, at: at(0), expires_at: at(1000),
    }));
    let flow = FlowRow {
        state_hash: "s".to_owned(),
        browser_hash: "b".to_owned(),
        provider: Word(IdentityProvider::Github),
        redirect_uri: "https://code.example.org/auth/github/callback".to_owned(),
        next: "/".to_owned(),
        session_id: Some(session),
        expires_at: at(600),
    };
    write!(&db, tx => identities::insert_flow(&mut tx, &flow));
    write!(&db, tx => identities::insert_flow(&mut tx, &FlowRow { state_hash: "old".to_owned(), expires_at: at(1), ..flow.clone() }));
    assert_eq!(write!(&db, tx => identities::forget_flows(&mut tx, at(1))), 1);
    assert!(write!(&db, tx => identities::take_flow(&mut tx, "s", "another")).is_none());

    let tries = (0..8).map(|_| {
        let db = db.clone();
        tokio::spawn(async move {
            let mut tx = begin(&db).await;
            let taken = identities::take_flow(&mut tx, "s", "b").await.unwrap();
            let _committed = commit(tx).await;
            taken
        })
    });
    let mut taken = Vec::new();
    for attempt in tries.collect::<Vec<_>>() {
        taken.extend(attempt.await.unwrap());
    }
    assert_eq!(taken, [flow], "one of all who come at once gets it");
}
