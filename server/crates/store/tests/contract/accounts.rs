use store::{Db, Word, links, members, sessions, users};
use wire::{
    LinkId, SessionId, UserId,
    links::LinkKind,
    projects::ProjectRole,
    users::{UserRole, UserState},
};

use crate::world::{at, id, project, read, user, write};

fn link(kind: LinkKind, user: Option<UserId>, email: Option<&str>, ends: i64) -> links::LinkRow {
    links::LinkRow {
        id: id(),
        kind: Word(kind),
        user_id: user,
        email: email.map(str::to_owned),
        email_key: email.map(str::to_owned),
        role: email.map(|_| Word(UserRole::Admin)),
        created_by: None,
        created_at: at(0),
        expires_at: at(ends),
    }
}

pub async fn links_work_once_until_their_end(db: Db) {
    let ada = user(&db, "ada").await;
    let reset = link(LinkKind::Reset, Some(ada), None, 100);
    let invitation = link(LinkKind::Invitation, None, Some("ben@example.org"), 200);
    write!(&db, tx => links::insert(&mut tx, &reset, "reset"));
    write!(&db, tx => links::insert(&mut tx, &invitation, "invitation"));

    let mut c = read(&db).await;
    assert_eq!(links::live(&mut c, LinkKind::Reset, "reset", at(99)).await.unwrap().unwrap().user_id, Some(ada));
    assert!(links::live(&mut c, LinkKind::Invitation, "reset", at(1)).await.unwrap().is_none(), "each is good for one thing");
    assert!(links::live(&mut c, LinkKind::Reset, "reset", at(100)).await.unwrap().is_none(), "it has ended");
    let listed: Vec<_> = links::list(&mut c, at(1), 10).await.unwrap().into_iter().map(|link| (link.id, link.kind)).collect();
    assert_eq!(listed.len(), 2);
    assert!(listed.contains(&(reset.id, LinkKind::Reset)) && listed.contains(&(invitation.id, LinkKind::Invitation)));
    assert_eq!(links::count_resets(&mut c, ada, at(1)).await.unwrap(), 1);
    drop(c);

    let takers: Vec<_> = (0..8)
        .map(|_| {
            let db = db.clone();
            tokio::spawn(async move { write!(&db, tx => links::take(&mut tx, LinkKind::Reset, "reset", at(2))) })
        })
        .collect();
    let mut taken = 0;
    for taker in takers {
        taken += usize::from(taker.await.unwrap().is_some());
    }
    assert_eq!(taken, 1, "one of many gets it");
    assert!(write!(&db, tx => links::remove(&mut tx, reset.id)).is_none(), "what was used can't be taken back");
    assert_eq!(write!(&db, tx => links::remove(&mut tx, invitation.id)).unwrap().role.map(|role| role.0), Some(UserRole::Admin));
    assert!(write!(&db, tx => links::remove(&mut tx, LinkId(uuid::Uuid::nil()))).is_none());
    assert!(links::list(&mut read(&db).await, at(3), 10).await.unwrap().is_empty());

    write!(&db, tx => links::insert(&mut tx, &link(LinkKind::Reset, Some(ada), None, 300), "again"));
    write!(&db, tx => links::remove_resets(&mut tx, ada));
    assert!(write!(&db, tx => links::take(&mut tx, LinkKind::Reset, "again", at(4))).is_none());

    let by_ada = links::LinkRow { created_by: Some(ada), ..link(LinkKind::Invitation, None, None, 300) };
    write!(&db, tx => links::insert(&mut tx, &by_ada, "by ada"));
    write!(&db, tx => links::insert(&mut tx, &link(LinkKind::Invitation, None, None, 300), "by the operator"));
    write!(&db, tx => links::remove_made_by(&mut tx, ada));
    assert!(write!(&db, tx => links::take(&mut tx, LinkKind::Invitation, "by ada", at(4))).is_none());
    assert!(write!(&db, tx => links::take(&mut tx, LinkKind::Invitation, "by the operator", at(4))).is_some());
}

async fn session(db: &Db, user_id: UserId, cookie: Option<&str>, address: &str, begun: i64) -> SessionId {
    let new = id();
    write!(db, tx => sessions::insert(&mut tx, &sessions::NewSession {
        id: new, user_id, cookie_hash: cookie, address: Some(address), user_agent: Some("curl/8"), at: at(begun), expires_at: at(1000),
    }));
    new
}

pub async fn sessions_are_listed_and_ended_by_their_owner(db: Db) {
    let (ada, ben) = (user(&db, "ada").await, user(&db, "ben").await);
    let first = session(&db, ada, Some("cookie"), "192.0.2.1", 1).await;
    let second = session(&db, ada, None, "192.0.2.2", 2).await;
    let third = session(&db, ada, None, "192.0.2.3", 3).await;
    let other = session(&db, ben, None, "192.0.2.4", 4).await;

    let listed = sessions::list(&mut read(&db).await, ada, at(5)).await.unwrap();
    assert_eq!(listed.iter().map(|row| row.id).collect::<Vec<_>>(), [third, second, first], "seen last first");
    assert_eq!((listed[2].cookie_hash.as_deref(), listed[2].address.as_deref()), (Some("cookie"), Some("192.0.2.1")));
    assert!(sessions::list(&mut read(&db).await, ada, at(1000)).await.unwrap().is_empty(), "ended by themselves");

    assert_eq!(write!(&db, tx => sessions::revoke_of(&mut tx, ada, second, at(5))), Some(Some("192.0.2.2".to_owned())));
    assert!(write!(&db, tx => sessions::revoke_of(&mut tx, ada, second, at(6))).is_none(), "once");
    assert!(write!(&db, tx => sessions::revoke_of(&mut tx, ada, other, at(6))).is_none(), "nobody ends another's");
    assert_eq!(write!(&db, tx => sessions::revoke_others(&mut tx, ada, Some(third), at(7))), 1);
    let left: Vec<_> = sessions::list(&mut read(&db).await, ada, at(8)).await.unwrap().iter().map(|row| row.id).collect();
    assert_eq!(left, [third]);
    assert_eq!(write!(&db, tx => sessions::revoke_others(&mut tx, ada, None, at(9))), 1);
    assert_eq!(sessions::list(&mut read(&db).await, ben, at(10)).await.unwrap().len(), 1);

    write!(&db, tx => sessions::forget(&mut tx, ada, at(8)));
    write!(&db, tx => sessions::insert_refresh(&mut tx, "kept", third, at(9)));
    assert_eq!(sessions::refresh(&mut read(&db).await, "kept").await.unwrap().unwrap().session_id, third);
    write!(&db, tx => sessions::forget(&mut tx, ada, at(20)));
    assert!(sessions::refresh(&mut read(&db).await, "kept").await.unwrap().is_none(), "its tokens go with it");
}

pub async fn a_deleted_account_leaves_a_row_without_a_person(db: Db) {
    let (ada, ben) = (user(&db, "ada").await, user(&db, "ben").await);
    let shared = project(&db, ada).await;
    write!(&db, tx => members::put(&mut tx, shared, ben, ProjectRole::Owner, at(2)));
    let memberships = members::of_user(&mut read(&db).await, ada).await.unwrap();
    let found = &memberships[0];
    assert_eq!((memberships.len(), found.project_id, found.others, found.other_owners, found.holds_quota), (1, shared, 1, 1, true));
    session(&db, ada, None, "192.0.2.1", 1).await;

    write!(&db, tx => users::bury(&mut tx, ada, at(5)));
    let late = users::Names { username: "ada", username_key: "ada", email: "ada@example.com", email_key: "ada@example.com" };
    write!(&db, tx => users::update_names(&mut tx, ada, &late));
    write!(&db, tx => users::update_full_name(&mut tx, ada, Some("Ada")));
    let mut c = read(&db).await;
    assert!(users::by_id(&mut c, ada).await.unwrap().is_none());
    assert!(users::by_key(&mut c, "ada").await.unwrap().is_none(), "the name is free again");
    assert!(users::by_key(&mut c, "ada@example.com").await.unwrap().is_none());
    assert!(sessions::list(&mut c, ada, at(6)).await.unwrap().is_empty());
    assert!(members::of_user(&mut c, ada).await.unwrap().is_empty());
    let listed: Vec<UserId> = users::list(&mut c).await.unwrap().iter().map(|row| row.id).collect();
    assert_eq!(listed, [ben]);
    let of_ben = store::projects::get(&mut c, ben, shared).await.unwrap().unwrap();
    assert_eq!(of_ben.owner_full_name.as_deref(), Some("Deleted account"), "what others see names nobody");
    assert_eq!(users::forgotten_by_burial(&mut c).await.unwrap(), Vec::<String>::new(), "every table with people in it is thought of");
    drop(c);
    let again = user(&db, "ada").await;
    assert_ne!(again, ada);
}

pub async fn names_and_hashes_change_only_where_they_may(db: Db) {
    let (ada, ben) = (user(&db, "ada").await, user(&db, "ben").await);
    let names = |name: &'static str, email: &'static str| users::Names { username: name, username_key: name, email, email_key: email };
    write!(&db, tx => users::update_names(&mut tx, ada, &names("countess", "c@example.com")));
    let found = users::by_key(&mut read(&db).await, "countess").await.unwrap().unwrap();
    assert_eq!((found.id, found.email.as_str()), (ada, "c@example.com"));
    let mut tx = db.begin().await.unwrap();
    assert!(matches!(users::update_names(&mut tx, ben, &names("countess", "b@example.com")).await, Err(store::Error::Taken(_))));
    drop(tx);

    write!(&db, tx => users::replace_password_hash(&mut tx, ada, "another", "new"));
    assert_eq!(users::by_id(&mut read(&db).await, ada).await.unwrap().unwrap().password_hash, "hash", "it was changed meanwhile");
    write!(&db, tx => users::replace_password_hash(&mut tx, ada, "hash", "new"));
    let changed = users::by_id(&mut read(&db).await, ada).await.unwrap().unwrap();
    assert_eq!((changed.password_hash.as_str(), changed.state.0), ("new", UserState::Active));
    let begun = crate::world::conversation(&db, project(&db, ada).await, ada).await;
    assert_eq!(users::conversations_of(&mut read(&db).await, ada).await.unwrap(), [begun]);
    assert!(users::conversations_of(&mut read(&db).await, ben).await.unwrap().is_empty());
}
