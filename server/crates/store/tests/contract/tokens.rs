use store::{
    Db, Doc,
    tokens::{self, TokenRow},
    users,
};
use wire::{
    ProjectId, UserId,
    tokens::Scope,
    users::{UserRole, UserState},
};

use crate::world::{at, begin, commit, id, read, user, write};

fn token(user: UserId, name: &str, made: i64) -> TokenRow {
    TokenRow {
        id: id(),
        user_id: user,
        name: name.to_owned(),
        prefix: "cxd_abcdef".to_owned(),
        scopes: Doc(vec![Scope::Read, Scope::Agent]),
        projects: None,
        created_at: at(made),
        expires_at: None,
        last_used_at: None,
        last_used_from: None,
    }
}

pub async fn tokens_live_until_revoked_ended_or_their_owner_is_disabled(db: Db) {
    let (ada, ben) = (user(&db, "ada").await, user(&db, "ben").await);
    let project: ProjectId = id();
    let first = TokenRow { projects: Some(Doc(vec![project])), ..token(ada, "first", 1) };
    let ending = TokenRow { expires_at: Some(at(100)), ..token(ada, "ending", 2) };
    write!(&db, tx => tokens::insert(&mut tx, &first, "h1"));
    write!(&db, tx => tokens::insert(&mut tx, &ending, "h2"));
    let mut tx = begin(&db).await;
    assert!(tokens::insert(&mut tx, &token(ben, "same", 3), "h1").await.is_err(), "a secret is for one token");
    drop(tx);

    let mut conn = read(&db).await;
    let names: Vec<_> = tokens::list(&mut conn, ada).await.unwrap().into_iter().map(|row| row.name).collect();
    assert_eq!(names, ["ending", "first"]);
    assert!(tokens::list(&mut conn, ben).await.unwrap().is_empty());
    let live = tokens::live_by_hash(&mut conn, "h1", at(99)).await.unwrap().unwrap();
    assert_eq!((live.token_id, live.user.id, live.token_scopes.0), (first.id, ada, vec![Scope::Read, Scope::Agent]));
    assert_eq!(live.token_projects.map(|list| list.0), Some(vec![project]));
    assert!(tokens::live_by_hash(&mut conn, "h2", at(99)).await.unwrap().is_some());
    assert!(tokens::live_by_hash(&mut conn, "h2", at(100)).await.unwrap().is_none(), "it has ended");
    assert!(
        tokens::live_by_id(&mut conn, ending.id, at(99)).await.unwrap().is_some_and(|live| !live.has_factor && live.accounts.is_none())
    );
    assert!(tokens::live_by_id(&mut conn, ending.id, at(100)).await.unwrap().is_none());
    assert!(tokens::live_by_hash(&mut conn, "h3", at(1)).await.unwrap().is_none());
    drop(conn);

    write!(&db, tx => tokens::touch(&mut tx, first.id, at(50), Some("192.0.2.1")));
    let used = tokens::list(&mut read(&db).await, ada).await.unwrap().pop().unwrap();
    assert_eq!((used.last_used_at, used.last_used_from.as_deref()), (Some(at(50)), Some("192.0.2.1")));

    let mut tx = begin(&db).await;
    assert_eq!(tokens::revoke(&mut tx, ben, first.id, at(60)).await.unwrap(), None, "somebody else's");
    assert_eq!(tokens::revoke(&mut tx, ada, first.id, at(60)).await.unwrap().as_deref(), Some("first"));
    assert_eq!(tokens::revoke(&mut tx, ada, first.id, at(60)).await.unwrap(), None, "once");
    let _committed = commit(tx).await;
    assert!(tokens::live_by_hash(&mut read(&db).await, "h1", at(61)).await.unwrap().is_none());

    let mut tx = begin(&db).await;
    users::update_access(&mut tx, ada, UserRole::User, UserState::Disabled).await.unwrap();
    let _committed = commit(tx).await;
    assert!(tokens::live_by_id(&mut read(&db).await, ending.id, at(50)).await.unwrap().is_none());
}

pub async fn all_tokens_of_a_person_end_at_once(db: Db) {
    let (ada, ben) = (user(&db, "ada").await, user(&db, "ben").await);
    let first = token(ada, "first", 1);
    for (row, hash) in [(&first, "h1"), (&token(ada, "second", 2), "h2"), (&token(ben, "third", 3), "h3")] {
        write!(&db, tx => tokens::insert(&mut tx, row, hash));
    }
    write!(&db, tx => tokens::revoke(&mut tx, ada, first.id, at(9)));
    assert_eq!(write!(&db, tx => tokens::revoke_all(&mut tx, ada, at(10))), 1, "the first had ended");
    assert!(tokens::live_by_hash(&mut read(&db).await, "h2", at(11)).await.unwrap().is_none());
    assert!(tokens::live_by_hash(&mut read(&db).await, "h3", at(11)).await.unwrap().is_some());
}
