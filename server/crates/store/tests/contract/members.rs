use std::collections::BTreeSet;

use store::{Db, members, presence, projects};
use uuid::Uuid;
use wire::{
    ProjectId, UserId,
    projects::{ProjectRole, Visibility},
};

use crate::world::{at, begin, commit, id, project, read, user, write};

async fn listed(db: &Db, user: UserId) -> Vec<ProjectId> {
    projects::list_for(&mut read(db).await, user).await.unwrap().iter().map(|row| row.id).collect()
}

async fn public(db: &Db, user: UserId) -> Vec<ProjectId> {
    let open = projects::list_open(&mut read(db).await, user).await.unwrap();
    let (own, others): (Vec<_>, Vec<_>) = open.iter().partition(|row| row.member_role.is_some());
    assert_eq!(own.iter().map(|row| row.id).collect::<Vec<_>>(), listed(db, user).await, "both lists hold the same of one's own");
    others.iter().map(|row| row.id).collect()
}

pub async fn members_come_go_and_change_roles(db: Db) {
    let (ada, bob) = (user(&db, "ada").await, user(&db, "bob").await);
    let (first, other) = (project(&db, ada).await, project(&db, ada).await);
    write!(&db, tx => members::put(&mut tx, first, bob, ProjectRole::Viewer, at(5)));
    write!(&db, tx => members::put(&mut tx, first, bob, ProjectRole::Editor, at(9)));
    let found = members::list(&mut read(&db).await, first).await.unwrap();
    let rows: Vec<_> = found.iter().map(|m| (m.user.id, m.username.as_str(), m.role, m.holds_quota, m.since)).collect();
    assert_eq!(rows, [(ada, "ada", ProjectRole::Owner, true, at(0)), (bob, "bob", ProjectRole::Editor, false, at(5))]);
    assert_eq!(members::get(&mut read(&db).await, first, bob).await.unwrap().unwrap().role, ProjectRole::Editor);
    assert!(members::get(&mut read(&db).await, other, bob).await.unwrap().is_none());

    write!(&db, tx => members::set_holder(&mut tx, first, bob));
    assert!(members::get(&mut read(&db).await, first, bob).await.unwrap().unwrap().holds_quota);
    write!(&db, tx => members::remove(&mut tx, first, bob));
    assert!(members::get(&mut read(&db).await, first, bob).await.unwrap().is_none());
}

pub async fn visibility_decides_what_is_listed(db: Db) {
    let (ada, bob, eve) = (user(&db, "ada").await, user(&db, "bob").await, user(&db, "eve").await);
    let first = project(&db, ada).await;
    write!(&db, tx => members::put(&mut tx, first, bob, ProjectRole::Editor, at(1)));
    assert_eq!(projects::visibility(&mut read(&db).await, first).await.unwrap(), Some(Visibility::Private));
    assert_eq!((listed(&db, ada).await, listed(&db, bob).await), (vec![first], vec![]), "private is for owners");
    write!(&db, tx => members::set_visibility(&mut tx, first, Visibility::Shared));
    assert_eq!((listed(&db, bob).await, public(&db, eve).await), (vec![first], vec![]));
    write!(&db, tx => members::set_visibility(&mut tx, first, Visibility::Public));
    assert_eq!((public(&db, eve).await, public(&db, bob).await, listed(&db, eve).await), (vec![first], vec![], vec![]));
    assert_eq!(projects::visibility(&mut read(&db).await, id()).await.unwrap(), None);
}

pub async fn invitations_wait_for_their_address(db: Db) {
    let ada = user(&db, "ada").await;
    let (first, other) = (project(&db, ada).await, project(&db, ada).await);
    let new = |project_id, role, seconds| members::NewInvitation {
        id: id(),
        project_id,
        email: "Bob@example.com",
        email_key: "bob@example.com",
        role,
        by: ada,
        at: at(seconds),
    };
    let invitation = new(first, ProjectRole::Viewer, 1);
    write!(&db, tx => members::invite(&mut tx, &invitation));
    write!(&db, tx => members::invite(&mut tx, &new(first, ProjectRole::Editor, 2)));
    write!(&db, tx => members::invite(&mut tx, &new(other, ProjectRole::Owner, 3)));
    let waiting = members::invitations(&mut read(&db).await, first).await.unwrap();
    assert_eq!(waiting.len(), 1, "the same address again changes the role");
    assert_eq!((waiting[0].id, waiting[0].email.as_str(), waiting[0].role), (invitation.id, "Bob@example.com", ProjectRole::Editor));
    assert_eq!(waiting[0].invited_by.as_ref().map(|by| by.name.as_str()), Some("ada"));

    assert_eq!((&waiting[0].account, members::waiting_for(&mut read(&db).await, "bob@example.com").await.unwrap().len()), (&None, 2));

    assert!(!write!(&db, tx => members::withdraw(&mut tx, other, invitation.id)), "an invitation belongs to its project");
    let taken = write!(&db, tx => members::take_up(&mut tx, "bob@example.com"));
    let taken: BTreeSet<_> = taken.into_iter().collect();
    assert_eq!(taken, BTreeSet::from([(first, ProjectRole::Editor), (other, ProjectRole::Owner)]));
    assert!(write!(&db, tx => members::take_up(&mut tx, "bob@example.com")).is_empty());
    write!(&db, tx => members::invite(&mut tx, &invitation));
    assert!(write!(&db, tx => members::withdraw(&mut tx, first, invitation.id)));
}

pub async fn people_are_present_once_until_their_process_is_silent(db: Db) {
    let (ada, bob) = (user(&db, "ada").await, user(&db, "bob").await);
    let (first, other) = (project(&db, ada).await, project(&db, ada).await);
    let (one, two) = (Uuid::now_v7(), Uuid::now_v7());
    write!(&db, tx => presence::put(&mut tx, first, bob, one, at(1)));
    write!(&db, tx => presence::put(&mut tx, first, ada, one, at(2)));
    write!(&db, tx => presence::put(&mut tx, first, ada, two, at(3)));
    let names = async |since| {
        let people = presence::people(&mut read(&db).await, first, at(since)).await.unwrap();
        people.into_iter().map(|person| person.name).collect::<Vec<_>>()
    };
    assert_eq!(names(0).await, ["bob", "ada"]);
    assert_eq!(names(3).await, ["ada"]);
    assert!(presence::people(&mut read(&db).await, other, at(0)).await.unwrap().is_empty());
    write!(&db, tx => presence::beat(&mut tx, one, at(20)));
    assert_eq!(presence::stale(&mut read(&db).await, at(20)).await.unwrap(), [first], "the other process is silent");
    write!(&db, tx => presence::remove_stale(&mut tx, first, at(20)));
    assert_eq!(names(20).await, ["bob", "ada"]);
    let mut tx = begin(&db).await;
    presence::remove(&mut tx, first, bob, two).await.unwrap();
    presence::remove(&mut tx, first, ada, one).await.unwrap();
    let _committed = commit(tx).await;
    assert_eq!(names(0).await, ["bob"]);
}

pub async fn an_invitation_goes_when_its_account_is_a_member(db: Db) {
    let (ada, bob) = (user(&db, "ada").await, user(&db, "bob").await);
    let (first, other) = (project(&db, ada).await, project(&db, ada).await);
    for (project_id, address) in [(first, "bob@example.com"), (first, "eve@example.com"), (other, "bob@example.com")] {
        write!(&db, tx => members::invite(&mut tx, &members::NewInvitation {
            id: id(), project_id, email: address, email_key: address, role: ProjectRole::Viewer, by: ada, at: at(1),
        }));
    }
    let waiting = async |address: &str| members::waiting_for(&mut read(&db).await, address).await.unwrap();
    write!(&db, tx => members::settle(&mut tx, other, ada));
    assert_eq!(waiting("bob@example.com").await.len(), 2, "nobody had invited ada");
    write!(&db, tx => members::settle(&mut tx, first, bob));
    assert_eq!((waiting("bob@example.com").await, waiting("eve@example.com").await), (vec![other], vec![first]));
}
