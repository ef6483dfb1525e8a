use store::{
    Db,
    admin::{self, Part, Position, access, jobs as job_list, overview, pattern, projects as project_list, users as user_list},
    budgets::{self, Booked},
    jobs, members, projects, second_factor, users,
};
use wire::{
    JobId, Micros, ProjectId, UserId,
    budgets::BudgetScope,
    jobs::JobState,
    projects::{ProjectRole, Visibility},
    users::{UserRole, UserState},
};

use crate::world::{at, id, job, project, read, user, write};

const NOV: &str = "2026-11";

fn part<'a>(sort: &'a str, ascending: bool, after: Option<&'a Position>, limit: i64) -> Part<'a> {
    Part { sort, ascending, after, limit }
}

async fn user_ids(db: &Db, filter: user_list::Filter<'_>, sort: &str, ascending: bool) -> Vec<UserId> {
    let rows = user_list::list(&mut read(db).await, filter, part(sort, ascending, None, 50), NOV).await.unwrap();
    assert_eq!(user_list::count(&mut read(db).await, filter).await.unwrap(), rows.len() as i64);
    rows.into_iter().map(|row| row.user.id).collect()
}

pub async fn accounts_are_sorted_filtered_and_turned_both_ways(db: Db) {
    let (ada, ben, cleo) = (user(&db, "ada").await, user(&db, "ben").await, user(&db, "cleo_100%").await);
    let first = project(&db, ben).await;
    write!(&db, tx => projects::add_totals(&mut tx, first, 3, 700));
    write!(&db, tx => users::update_full_name(&mut tx, cleo, Some("Zoë the \\First")));
    write!(&db, tx => users::update_access(&mut tx, ada, UserRole::Admin, UserState::Active));
    write!(&db, tx => users::touch(&mut tx, ben, at(9)));
    write!(&db, tx => budgets::reserve(&mut tx, &[(BudgetScope::User, cleo.0)], NOV, 50, 50));
    let booked = Booked { month: NOV, reserved_micros: 50, reserved_tokens: 50, micros: 40, estimated: 0, tokens: 9 };
    write!(&db, tx => budgets::book(&mut tx, BudgetScope::User, cleo.0, &booked));

    let all = user_list::Filter::default();
    assert_eq!(user_ids(&db, all, "name", true).await, [ada, ben, cleo]);
    assert_eq!(user_ids(&db, all, "name", false).await, [cleo, ben, ada]);
    assert_eq!(user_ids(&db, all, "cost", false).await[0], cleo);
    assert_eq!(user_ids(&db, all, "storage", false).await[0], ben);
    assert_eq!(user_ids(&db, all, "projects", false).await[0], ben);
    assert_eq!(user_ids(&db, all, "last_seen", false).await[0], ben);
    assert_eq!(user_ids(&db, all, "joined", true).await, [ada, ben, cleo], "those of one moment by id");
    let found = async |text: &str| user_ids(&db, user_list::Filter { pattern: Some(&pattern(text)), ..all }, "name", true).await;
    assert_eq!((found("BEN").await, found("100%").await, found("00_").await), (vec![ben], vec![cleo], vec![]));
    assert_eq!((found("the \\first").await, found("example.com").await.len()), (vec![cleo], 3));
    assert_eq!(user_ids(&db, user_list::Filter { role: Some(UserRole::Admin), ..all }, "name", true).await, [ada]);
    assert_eq!(user_ids(&db, user_list::Filter { state: Some(UserState::Disabled), ..all }, "name", true).await, []);
    assert_eq!(user_ids(&db, user_list::Filter { second_factor: Some(false), ..all }, "name", true).await.len(), 3);

    write!(&db, tx => second_factor::begin_totp(&mut tx, ben, &[1], at(0)));
    assert_eq!(user_ids(&db, user_list::Filter { second_factor: Some(true), ..all }, "name", true).await, [], "not before it is confirmed");
    assert!(write!(&db, tx => second_factor::confirm_totp(&mut tx, ben, &[1], 1, at(1))));
    assert_eq!(user_ids(&db, user_list::Filter { second_factor: Some(true), ..all }, "name", true).await, [ben]);

    // Page by page there and back again, each row once.
    for sort in ["name", "joined", "cost", "storage"] {
        let whole = user_ids(&db, all, sort, true).await;
        let (mut seen, mut after) = (Vec::new(), None::<Position>);
        loop {
            let page = user_list::list(&mut read(&db).await, all, part(sort, true, after.as_ref(), 1), NOV).await.unwrap();
            let Some(row) = page.into_iter().next() else { break };
            seen.push(row.user.id);
            after = Some(row.position);
        }
        assert_eq!(seen, whole, "{sort}");
        let back = user_list::list(&mut read(&db).await, all, part(sort, false, after.as_ref(), 50), NOV).await.unwrap();
        assert_eq!(back.iter().map(|row| row.user.id).collect::<Vec<_>>(), [whole[1], whole[0]], "{sort}");
    }

    let facts = user_list::get(&mut read(&db).await, ben, NOV, at(10)).await.unwrap().unwrap();
    assert_eq!((facts.listed.projects, facts.listed.storage_bytes, facts.listed.second_factor), (1, 700, true));
    assert_eq!((facts.sessions, facts.tokens), (0, 0));
    assert!(user_list::get(&mut read(&db).await, id(), NOV, at(10)).await.unwrap().is_none());
}

async fn project_ids(db: &Db, viewer: UserId, filter: project_list::Filter<'_>, sort: &str) -> Vec<ProjectId> {
    let rows = project_list::list(&mut read(db).await, filter, part(sort, true, None, 50), viewer, at(0)).await.unwrap();
    assert_eq!(project_list::count(&mut read(db).await, filter).await.unwrap(), rows.len() as i64);
    rows.into_iter().map(|row| row.id).collect()
}

pub async fn projects_are_listed_from_outside_deleted_and_restored(db: Db) {
    let (ada, ben) = (user(&db, "ada").await, user(&db, "ben").await);
    let (first, second) = (project(&db, ada).await, project(&db, ben).await);
    let hidden: ProjectId = id();
    let filling = projects::NewProject {
        id: hidden,
        owner_id: ada,
        name: "N",
        description: "",
        storage_backend: "local",
        at: at(0),
        importing: true,
    };
    write!(&db, tx => projects::insert(&mut tx, &filling));
    write!(&db, tx => projects::add_totals(&mut tx, first, 2, 900));
    write!(&db, tx => projects::update(&mut tx, second, "Zebra", "", at(5)));
    write!(&db, tx => members::put(&mut tx, second, ada, ProjectRole::Viewer, at(1)));
    write!(&db, tx => members::set_visibility(&mut tx, second, Visibility::Shared));

    let all = project_list::Filter::default();
    assert_eq!(project_ids(&db, ada, all, "name").await, [first, second], "not what an import fills");
    assert_eq!(project_ids(&db, ada, all, "size").await, [second, first]);
    assert_eq!(project_ids(&db, ada, all, "owner").await, [first, second]);
    assert_eq!(project_ids(&db, ada, all, "activity").await, [first, second]);
    let found = async |text: &str| {
        let filter = project_list::Filter { pattern: Some(&pattern(text)), id: text.parse().ok(), ..all };
        project_ids(&db, ada, filter, "name").await
    };
    assert_eq!((found("zEb").await, found("ben").await, found(&first.to_string()).await), (vec![second], vec![second], vec![first]));
    assert_eq!(project_ids(&db, ada, project_list::Filter { visibility: Some(Visibility::Shared), ..all }, "name").await, [second]);
    assert_eq!(project_ids(&db, ada, project_list::Filter { owner: Some(ada), ..all }, "name").await, [first]);
    let rows = project_list::list(&mut read(&db).await, all, part("size", false, None, 1), ada, at(0)).await.unwrap();
    let shown = rows.into_iter().next().unwrap().into_project();
    assert_eq!((shown.id, shown.size_bytes, shown.file_count, shown.members, shown.owner.name.as_str()), (first, 900, 2, 1, "ada"));

    write!(&db, tx => projects::mark_deleted(&mut tx, first, at(7)));
    assert_eq!(project_ids(&db, ada, project_list::Filter { deleted: Some(true), ..all }, "name").await, [first]);
    assert_eq!(project_ids(&db, ada, project_list::Filter { deleted: Some(false), ..all }, "name").await, [second]);
    assert_eq!(project_list::get(&mut read(&db).await, first).await.unwrap().unwrap().deleted_at, Some(at(7)));
    write!(&db, tx => project_list::restore(&mut tx, first, at(8)));
    assert_eq!(project_list::get(&mut read(&db).await, first).await.unwrap().unwrap().deleted_at, None);
    assert!(project_list::get(&mut read(&db).await, hidden).await.unwrap().is_none());
}

pub async fn administrators_open_projects_for_a_while(db: Db) {
    let (ada, ben) = (user(&db, "ada").await, user(&db, "ben").await);
    let of_ben = project(&db, ben).await;
    let open = async |who: UserId, from: i64, until: i64| {
        let new = access::NewAccess {
            id: id(),
            project_id: of_ben,
            user_id: who,
            user_name: "Ada",
            reason: "Why",
            at: at(from),
            ends_at: at(until),
        };
        write!(&db, tx => access::open(&mut tx, &new));
    };
    let until = async |who: UserId, now: i64| access::open_until(&mut read(&db).await, of_ben, who, at(now)).await.unwrap();
    assert_eq!(until(ada, 0).await, None);
    open(ada, 0, 10).await;
    assert_eq!((until(ada, 5).await, until(ada, 10).await, until(ben, 5).await), (Some(at(10)), None, None));
    let listed =
        project_list::list(&mut read(&db).await, project_list::Filter::default(), part("name", true, None, 9), ada, at(5)).await.unwrap();
    assert_eq!(listed[0].open_until, Some(at(10)));
    assert!(write!(&db, tx => access::close(&mut tx, of_ben, ada, at(6))));
    assert!(!write!(&db, tx => access::close(&mut tx, of_ben, ada, at(7))), "only what is open");
    assert_eq!(until(ada, 6).await, None);
    open(ada, 20, 30).await;
    write!(&db, tx => access::close_all(&mut tx, ada, at(21)));
    assert_eq!(until(ada, 22).await, None);
    let told = access::of_project(&mut read(&db).await, of_ben, 10).await.unwrap();
    assert_eq!(told.iter().map(|a| (a.opened_at, a.closed_at)).collect::<Vec<_>>(), [(at(20), Some(at(21))), (at(0), Some(at(6)))]);
    assert_eq!((told[0].by.id, told[0].by.name.as_str(), told[0].reason.as_str()), (ada, "Ada", "Why"));
}

pub async fn jobs_are_found_by_everything_that_is_known_of_them(db: Db) {
    let ada = user(&db, "ada").await;
    let (old, new) = (job(&db, Some(ada), at(1)).await, job(&db, None, at(2)).await);
    let claim = jobs::Claim { worker: "w", lane: "work", now: at(3), lease_until: at(9), per_user: 5, in_all: 0 };
    let row = write!(&db, tx => jobs::claim(&mut tx, &claim)).unwrap();
    write!(&db, tx => jobs::finish(&mut tx, row.id, row.fence, JobState::Dead, Some("The Disk is full"), at(4)));
    let (dead, waiting) = if row.id == old { (old, new) } else { (new, old) };

    let all = job_list::Filter::default();
    let ids = async |filter: job_list::Filter<'_>| -> Vec<JobId> {
        let rows = job_list::list(&mut read(&db).await, filter, part("", false, None, 50)).await.unwrap();
        assert_eq!(job_list::count(&mut read(&db).await, filter).await.unwrap(), rows.len() as i64);
        rows.into_iter().map(|row| row.job.id).collect()
    };
    assert_eq!(ids(all).await, [new, old]);
    assert_eq!(ids(job_list::Filter { state: Some(JobState::Dead), ..all }).await, [dead]);
    assert_eq!(ids(job_list::Filter { only_live: true, ..all }).await, [waiting]);
    assert_eq!(ids(job_list::Filter { user: Some(ada), ..all }).await, [old]);
    assert_eq!(
        (ids(job_list::Filter { kind: Some("test"), ..all }).await.len(), ids(job_list::Filter { kind: Some("x"), ..all }).await.len()),
        (2, 0)
    );
    let found = async |text: &str| ids(job_list::Filter { pattern: Some(&pattern(text)), id: text.parse().ok(), ..all }).await;
    assert_eq!((found("disk IS").await, found("ada").await, found(&new.to_string()).await), (vec![dead], vec![old], vec![new]));
    let first = job_list::list(&mut read(&db).await, all, part("", false, None, 1)).await.unwrap().remove(0);
    let after = job_list::position(&first);
    let rest = job_list::list(&mut read(&db).await, all, part("", false, Some(&after), 5)).await.unwrap();
    assert_eq!(rest.iter().map(|row| row.job.id).collect::<Vec<_>>(), [old]);
    assert_eq!(job_list::dead(&mut read(&db).await, 9).await.unwrap(), [dead]);
    assert_eq!(job_list::failed(&mut read(&db).await, 9).await.unwrap().len(), 1);
}

pub async fn an_installation_is_told_in_numbers(db: Db) {
    let (ada, ben) = (user(&db, "ada").await, user(&db, "ben").await);
    write!(&db, tx => users::update_access(&mut tx, ada, UserRole::Admin, UserState::Active));
    write!(&db, tx => users::update_access(&mut tx, ben, UserRole::User, UserState::Disabled));
    write!(&db, tx => users::touch(&mut tx, ada, at(9)));
    let (kept, gone) = (project(&db, ada).await, project(&db, ben).await);
    write!(&db, tx => projects::add_totals(&mut tx, kept, 1, 50));
    write!(&db, tx => projects::mark_deleted(&mut tx, gone, at(1)));
    let numbers = overview::numbers(&mut read(&db).await, at(5), at(10), NOV).await.unwrap();
    assert_eq!(
        numbers,
        overview::Numbers {
            users: 2,
            active_users: 1,
            administrators: 1,
            disabled: 1,
            without_second_factor: 1,
            projects: 1,
            deleted_projects: 1,
            storage_bytes: 50,
            cost_micros: 0,
            open_accesses: 0,
        }
    );
    assert!(overview::database_bytes(&mut read(&db).await).await.unwrap().is_some_and(|bytes| bytes > 1000));
    write!(&db, tx => store::settings::put(&mut tx, "runs", "{}", Micros(5), Some(ada)));
    write!(&db, tx => store::settings::put(&mut tx, "accounts", "{}", Micros(6), None));
    let changes = overview::settings_changes(&mut read(&db).await).await.unwrap();
    assert_eq!(
        changes.iter().map(|c| (c.name.as_str(), c.by.as_ref().map(|by| by.id))).collect::<Vec<_>>(),
        [("accounts", None), ("runs", Some(ada))]
    );
    assert_eq!(admin::pattern("A_b%"), "%a\\_b\\%%");
}
