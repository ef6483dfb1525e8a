use store::{Db, events, projects};
use wire::{
    ProjectId, UserId,
    changes::{ChangeOrigin, ChangeSetState},
    event::{EventKind, Stream},
    projects::{ProjectRole, Visibility},
};

use crate::world::{at, begin, commit, id, project, read, run, turn, user, write};

async fn listed(db: &Db, user: UserId) -> Vec<ProjectId> {
    projects::list_for(&mut read(db).await, user).await.unwrap().iter().map(|row| row.id).collect()
}

pub async fn projects_are_seen_by_members(db: Db) {
    let (ada, bob) = (user(&db, "ada").await, user(&db, "bob").await);
    let (first, second) = (project(&db, ada).await, project(&db, ada).await);
    let turn = turn(&db, first, ada).await;
    run(&db, first, ada, None, None, at(1)).await;
    write!(&db, tx => store::changes::insert_set(&mut tx, &store::changes::ChangeSetRow {
        id: id(), project_id: first, turn_id: Some(turn), origin: store::Word(ChangeOrigin::Agent), title: String::new(),
        state: store::Word(ChangeSetState::Open), base_revision: 0, version: 1, created_at: at(1), created_by: None,
    }));
    write!(&db, tx => projects::update(&mut tx, first, "Renamed", "About", at(7)));

    assert_eq!(listed(&db, ada).await, [first, second], "last changed first");
    assert_eq!(listed(&db, bob).await, []);
    let mut c = read(&db).await;
    let row = projects::get(&mut c, ada, first).await.unwrap().unwrap();
    assert_eq!(row.member_role.map(|word| word.0), Some(ProjectRole::Owner));
    let shown = row.into_project(ProjectRole::Owner);
    assert_eq!((shown.name.as_str(), shown.description.as_str(), shown.owner.name.as_str()), ("Renamed", "About", "ada"));
    assert_eq!((shown.active_runs, shown.pending_reviews, shown.updated_at), (1, 1, at(7)));
    assert!(projects::get(&mut c, bob, first).await.unwrap().unwrap().member_role.is_none());
    assert!(projects::get(&mut c, ada, id()).await.unwrap().is_none());
    let access = projects::access(&mut c, bob, first).await.unwrap().unwrap();
    assert!(access.visibility.0 == Visibility::Private && access.member_role.is_none() && !access.importing);
    drop(c);

    let mut tx = begin(&db).await;
    assert_eq!(projects::next_revision(&mut tx, first, at(8)).await.unwrap().unwrap().revision, 1);
    projects::add_totals(&mut tx, first, 3, 1000).await.unwrap();
    projects::add_totals(&mut tx, first, -1, -200).await.unwrap();
    let totals = projects::next_revision(&mut tx, first, at(9)).await.unwrap().unwrap();
    assert_eq!((totals.revision, totals.file_count, totals.size_bytes), (2, 2, 800));
    let _committed = commit(tx).await;
    assert_eq!(projects::revision(&mut read(&db).await, first).await.unwrap(), Some(2));
    assert_eq!(projects::revision(&mut read(&db).await, id()).await.unwrap(), None);
    let standing = async |id| projects::standing(&mut read(&db).await, id).await.unwrap();
    assert_eq!(standing(first).await, Some(projects::Standing { seq: 0, revision: 2 }));
    for stream in [Stream::Project(first), Stream::User(ada), Stream::Project(first)] {
        write!(&db, tx => events::append(&mut tx, stream, at(9), vec![EventKind::ProjectChanged {}]));
    }
    assert_eq!(standing(first).await, Some(projects::Standing { seq: 2, revision: 2 }));
    assert_eq!(standing(id()).await, None);
    let (row, standing) = projects::open(&mut read(&db).await, bob, first).await.unwrap().unwrap();
    assert_eq!((row.id, row.revision, row.member_role, standing), (first, 2, None, projects::Standing { seq: 2, revision: 2 }));
    assert!(projects::open(&mut read(&db).await, ada, id()).await.unwrap().is_none());

    write!(&db, tx => projects::mark_deleted(&mut tx, first, at(10)));
    let mut tx = begin(&db).await;
    assert!(projects::get(&mut tx, ada, first).await.unwrap().is_none());
    assert!(projects::open(&mut tx, ada, first).await.unwrap().is_none());
    assert!(projects::access(&mut tx, ada, first).await.unwrap().is_none());
    assert!(projects::next_revision(&mut tx, first, at(11)).await.unwrap().is_none());
    drop(tx);
    assert_eq!(listed(&db, ada).await, [second]);
}

pub async fn imports_are_invisible_until_finished(db: Db) {
    let ada = user(&db, "ada").await;
    let (kept, refused) = (id(), id());
    for new in [kept, refused] {
        write!(&db, tx => projects::insert(&mut tx, &projects::NewProject {
            id: new, owner_id: ada, name: "Imported", description: "", storage_backend: "local", at: at(0), importing: true,
        }));
    }
    assert_eq!(listed(&db, ada).await, []);
    assert!(projects::get(&mut read(&db).await, ada, kept).await.unwrap().is_none());
    assert!(projects::access(&mut read(&db).await, ada, kept).await.unwrap().unwrap().importing);
    write!(&db, tx => projects::finish_import(&mut tx, kept, at(1)));
    write!(&db, tx => projects::remove_unfinished(&mut tx, refused));
    write!(&db, tx => projects::remove_unfinished(&mut tx, kept));
    assert_eq!(listed(&db, ada).await, [kept]);
    assert!(projects::access(&mut read(&db).await, ada, refused).await.unwrap().is_none());
}

pub async fn pages_of_projects_follow_each_other(db: Db) {
    let (ada, bob) = (user(&db, "ada").await, user(&db, "bob").await);
    let mut own = Vec::new();
    for n in 0..5 {
        let project = project(&db, ada).await;
        // Two of each time, so that the id decides between them.
        write!(&db, tx => projects::update(&mut tx, project, "P", "", at(n / 2)));
        own.push((at(n / 2), project));
    }
    own.sort_unstable_by(|a, b| b.cmp(a));
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let rows = projects::page(&mut read(&db).await, ada, false, after, 2).await.unwrap();
        let Some(last) = rows.last() else { break };
        after = Some(projects::After { updated_at: last.updated_at, id: last.id });
        seen.extend(rows.iter().map(|row| (row.updated_at, row.id)));
    }
    assert_eq!(seen, own);
    assert!(projects::page(&mut read(&db).await, bob, true, None, 9).await.unwrap().is_empty(), "none of them is public");
}
