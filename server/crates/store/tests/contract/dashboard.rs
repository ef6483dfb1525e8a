use store::{Db, Tx, Word, budgets, changes, chat, dashboard, files, jobs, members, projects, quotas, settings};
use wire::{
    ProjectId, TurnId, UserId,
    budgets::BudgetScope,
    changes::{ChangeAction, ChangeOrigin, ChangeSetState, Hunk, HunkState},
    chat::{TurnReason, TurnState},
    checkpoints::CheckpointKind,
    dashboard::{Work, WorkKind},
    files::{EntryKind, FileAction, Origin},
    jobs::Progress,
    languages::Languages,
    projects::{ProjectRole, Visibility},
    quotas::QuotaOverride,
};

use crate::world::{at, begin, commit, conversation, id, new_turn, project, read, run, turn, user, write};

async fn work(db: &Db, user: UserId) -> Vec<Work> {
    dashboard::activity_of(&mut read(db).await, user, 0, 50).await.unwrap().work
}

async fn kinds(db: &Db, user: UserId) -> Vec<WorkKind> {
    work(db, user).await.iter().map(|work| work.kind).collect()
}

pub async fn recent_conversations_are_ones_own_as_long_as_they_can_be_read(db: Db) {
    let (ada, bob) = (user(&db, "ada").await, user(&db, "bob").await);
    let (first, second) = (project(&db, ada).await, project(&db, ada).await);
    let (older, newer, bobs) =
        (conversation(&db, first, ada).await, conversation(&db, second, ada).await, conversation(&db, first, bob).await);
    write!(&db, tx => chat::rename_conversation(&mut tx, older, "Older", at(5)));
    write!(&db, tx => chat::rename_conversation(&mut tx, newer, "Newer", at(6)));
    write!(&db, tx => chat::rename_conversation(&mut tx, bobs, "Of bob", at(7)));
    let titles = async |user: UserId, limit: i64| {
        let found = dashboard::activity_of(&mut read(&db).await, user, limit, 0).await.unwrap();
        assert!(found.work.is_empty(), "{found:?}");
        found.conversations.into_iter().map(|found| found.title).collect::<Vec<_>>()
    };
    assert_eq!((titles(ada, 9).await, titles(ada, 1).await), (vec!["Newer".to_owned(), "Older".to_owned()], vec!["Newer".to_owned()]));
    assert!(titles(bob, 9).await.is_empty(), "the project is not open to bob");

    write!(&db, tx => members::put(&mut tx, first, bob, ProjectRole::Viewer, at(1)));
    assert!(titles(bob, 9).await.is_empty(), "private is for owners");
    write!(&db, tx => members::set_visibility(&mut tx, first, Visibility::Shared));
    assert_eq!(titles(bob, 9).await, ["Of bob"]);
    write!(&db, tx => members::remove(&mut tx, first, bob));
    assert!(titles(bob, 9).await.is_empty());
    write!(&db, tx => members::set_visibility(&mut tx, first, Visibility::Public));
    assert_eq!(titles(bob, 9).await, ["Of bob"]);

    // The last turn says how it stands.
    let asked = new_turn(older, first, ada);
    write!(&db, tx => chat::insert_turn(&mut tx, &asked));
    write!(&db, tx => chat::finish_turn(&mut tx, asked.id, TurnReason::Limit, "", at(8)));
    write!(&db, tx => changes::insert_set(&mut tx, &open_set(first, Some(asked.id))));
    let found = dashboard::activity_of(&mut read(&db).await, ada, 9, 9).await.unwrap();
    assert_eq!(found.work.iter().map(|work| work.kind).collect::<Vec<_>>(), [WorkKind::Review], "both lists at once");
    let states: Vec<_> = found.conversations.iter().map(|found| (found.turn_state, found.turn_reason, found.has_changes)).collect();
    assert_eq!(states, [(None, None, false), (Some(TurnState::Finished), Some(TurnReason::Limit), true)]);

    write!(&db, tx => chat::mark_conversation_deleted(&mut tx, newer, at(9)));
    write!(&db, tx => projects::mark_deleted(&mut tx, first, at(9)));
    assert!(titles(ada, 9).await.is_empty());
}

fn open_set(project_id: ProjectId, turn_id: Option<TurnId>) -> changes::ChangeSetRow {
    changes::ChangeSetRow {
        id: id(),
        project_id,
        turn_id,
        origin: Word(if turn_id.is_some() { ChangeOrigin::Agent } else { ChangeOrigin::Replace }),
        title: if turn_id.is_some() { String::new() } else { "Replaced".to_owned() },
        state: Word(ChangeSetState::Open),
        base_revision: 0,
        version: 1,
        created_at: at(1),
        created_by: None,
    }
}

pub async fn what_goes_on_is_told_to_members(db: Db) {
    let (ada, bob, eve) = (user(&db, "ada").await, user(&db, "bob").await, user(&db, "eve").await);
    let shared = project(&db, ada).await;
    write!(&db, tx => members::put(&mut tx, shared, bob, ProjectRole::Viewer, at(1)));
    write!(&db, tx => members::set_visibility(&mut tx, shared, Visibility::Shared));
    let asks = turn(&db, shared, ada).await;
    write!(&db, tx => chat::set_turn_state(&mut tx, asks, TurnState::Running, None, at(2)));
    assert_eq!((kinds(&db, ada).await, kinds(&db, bob).await, kinds(&db, eve).await), (vec![WorkKind::Turn], vec![WorkKind::Turn], vec![]));
    write!(&db, tx => chat::set_turn_state(&mut tx, asks, TurnState::Waiting, None, at(3)));
    write!(&db, tx => chat::insert_approval(&mut tx, asks, "call-1", "run_command", "{}", at(3)));
    let mine = work(&db, ada).await;
    assert_eq!((mine[0].kind, mine[0].detail.as_deref(), mine[0].is_mine), (WorkKind::Approval, Some("run_command"), true));
    assert_eq!((mine[0].id, mine[0].role, mine[0].project_name.as_str()), (asks.0, ProjectRole::Owner, "Project"));
    let theirs = work(&db, bob).await;
    assert_eq!((theirs[0].kind, theirs[0].is_mine, theirs[0].role), (WorkKind::Turn, false, ProjectRole::Viewer), "it asks ada");
    assert_eq!(theirs[0].conversation_id, mine[0].conversation_id);
    write!(&db, tx => chat::finish_turn(&mut tx, asks, TurnReason::Done, "", at(4)));
    assert!(kinds(&db, ada).await.is_empty());

    let command = run(&db, shared, ada, None, None, at(5)).await;
    let running = work(&db, bob).await;
    assert_eq!((running[0].kind, running[0].id, running[0].title.as_str(), running[0].at), (WorkKind::Run, command.0, "make", at(5)));
    write!(&db, tx => members::set_visibility(&mut tx, shared, Visibility::Public));
    assert!(kinds(&db, eve).await.is_empty(), "who only may read it is no member");
    write!(&db, tx => members::set_visibility(&mut tx, shared, Visibility::Private));
    assert_eq!((kinds(&db, ada).await, kinds(&db, bob).await), (vec![WorkKind::Run], vec![]));
}

pub async fn reviews_and_imports_are_told_with_how_far_they_are(db: Db) {
    let (ada, bob) = (user(&db, "ada").await, user(&db, "bob").await);
    let shared = project(&db, ada).await;
    write!(&db, tx => members::put(&mut tx, shared, bob, ProjectRole::Viewer, at(1)));
    write!(&db, tx => members::set_visibility(&mut tx, shared, Visibility::Shared));
    let asked = turn(&db, shared, ada).await;
    write!(&db, tx => chat::finish_turn(&mut tx, asked, TurnReason::Done, "", at(2)));
    let proposed = open_set(shared, Some(asked));
    let replaced = changes::ChangeSetRow { created_at: at(9), ..open_set(shared, None) };
    let mut tx = begin(&db).await;
    for set in [&proposed, &replaced] {
        changes::insert_set(&mut tx, set).await.unwrap();
    }
    let file = changes::ChangeFileRow {
        change_set_id: proposed.id,
        ord: 0,
        path: "a.rs".to_owned(),
        old_path: None,
        action: Word(ChangeAction::Modify),
        is_binary: false,
        kind: Word(EntryKind::File),
        added_lines: 1,
        removed_lines: 0,
        old_checksum: None,
        old_mode: None,
        new_checksum: None,
        new_mode: None,
        new_size: 1,
    };
    changes::insert_file(&mut tx, &file).await.unwrap();
    for (ord, state) in [HunkState::Open, HunkState::Conflict, HunkState::Rejected].into_iter().enumerate() {
        let hunk = Hunk {
            id: id(),
            old_start: 1,
            old_lines: 1,
            new_start: 1,
            new_lines: 1,
            diff: "+a\n".to_owned(),
            state,
            edited_text: None,
            reason: None,
            decided_by: None,
            now: None,
        };
        changes::insert_hunk(&mut tx, proposed.id, 0, ord as i64, &hunk).await.unwrap();
    }
    let _committed = commit(tx).await;
    let shown: Vec<_> = work(&db, ada).await.into_iter().map(|w| (w.id, w.title, w.detail, w.is_mine, w.done, w.total)).collect();
    let (agent, replace) = (Some("agent".to_owned()), Some("replace".to_owned()));
    assert_eq!(
        shown,
        [(replaced.id.0, "Replaced".to_owned(), replace, false, 0, 0), (proposed.id.0, "Title".to_owned(), agent, true, 2, 3)]
    );
    assert!(kinds(&db, bob).await.is_empty(), "viewers decide nothing");
    for set in [proposed.id, replaced.id] {
        write!(&db, tx => changes::set_state(&mut tx, set, ChangeSetState::Decided));
    }

    let (coming, job) = (id(), id());
    write!(&db, tx => projects::insert(&mut tx, &projects::NewProject {
        id: coming, owner_id: bob, name: "Coming", description: "", storage_backend: "local", at: at(1), importing: true,
    }));
    write!(&db, tx => jobs::insert(&mut tx, &jobs::NewJob {
        id: job, kind: "git_import", lane: "work", priority: 0, payload: "{}", user_id: Some(bob), project_id: Some(coming),
        max_attempts: 3, at: at(1),
    }));
    let waits = work(&db, bob).await;
    assert_eq!((waits[0].kind, waits[0].id, waits[0].project_name.as_str(), waits[0].total), (WorkKind::Import, job.0, "Coming", 0));
    assert!(kinds(&db, ada).await.is_empty());
    claim(&db, Progress { done: 3, total: 8 }).await;
    let comes = work(&db, bob).await;
    assert_eq!((comes.len(), comes[0].done, comes[0].total, comes[0].is_mine), (1, 3, 8, true));
}

/// Lets a worker take the only job there is and tell how far it is.
async fn claim(db: &Db, progress: Progress) {
    let claim = jobs::Claim { worker: "worker", lane: "work", now: at(2), lease_until: at(60), per_user: 9, in_all: 0 };
    let claimed = write!(db, tx => jobs::claim(&mut tx, &claim)).unwrap();
    write!(db, tx => jobs::renew(&mut tx, claimed.id, claimed.fence, at(90), Some(progress)));
}

pub async fn languages_and_the_last_change_are_kept_with_the_project(db: Db) {
    let ada = user(&db, "ada").await;
    let new = project(&db, ada).await;
    let sizes = |pairs: &[(&str, i64)]| pairs.iter().map(|(name, size)| ((*name).to_owned(), *size)).collect::<Languages>();
    let mut tx = begin(&db).await;
    let totals = projects::next_revision(&mut tx, new, at(3)).await.unwrap().unwrap();
    assert!(totals.languages.0.is_empty());
    for (path, kind, size) in [
        ("a.py", EntryKind::File, 7),
        ("b/c.PY", EntryKind::File, 3),
        ("d.rs", EntryKind::File, 5),
        ("link.rs", EntryKind::Symlink, 4),
        ("notes.md", EntryKind::File, 90),
        ("dir.py", EntryKind::Directory, 0),
    ] {
        add(&mut tx, new, ada, totals.revision, Came(path, 1, FileAction::Added, kind, size)).await;
    }
    let gone = projects::next_revision(&mut tx, new, at(3)).await.unwrap().unwrap().revision;
    add(&mut tx, new, ada, gone, Came("d.rs", 2, FileAction::Deleted, EntryKind::File, 0)).await;
    projects::count_languages(&mut tx, new).await.unwrap();
    assert_eq!(projects::next_revision(&mut tx, new, at(3)).await.unwrap().unwrap().languages.0, sizes(&[("Python", 10)]));
    projects::set_languages(&mut tx, new, &sizes(&[("Go", 1)])).await.unwrap();
    let last = projects::next_revision(&mut tx, new, at(4)).await.unwrap().unwrap().revision;
    add(&mut tx, new, ada, last, Came("e.go", 1, FileAction::Added, EntryKind::File, 1)).await;
    let _committed = commit(tx).await;

    let shown = projects::list_for(&mut read(&db).await, ada).await.unwrap().remove(0).into_project(ProjectRole::Owner);
    assert_eq!(shown.languages, sizes(&[("Go", 1)]));
    let change = shown.last_change.unwrap();
    assert_eq!((change.origin, change.by.map(|by| by.name).as_deref()), (Origin::Git, Some("ada")));
    write!(&db, tx => projects::update(&mut tx, new, "Renamed", "", at(60)));
    let shown = projects::get(&mut read(&db).await, ada, new).await.unwrap().unwrap().into_project(ProjectRole::Owner);
    assert_eq!(shown.last_change, None, "something else was changed since");
}

/// A version of a file that git brought.
struct Came<'a>(&'a str, i64, FileAction, EntryKind, i64);

async fn add(tx: &mut Tx, project_id: ProjectId, by: UserId, revision: i64, Came(path, version, action, kind, size): Came<'_>) {
    let new = files::NewVersion {
        project_id,
        path,
        version,
        revision,
        action,
        kind,
        size,
        content_type: "text/plain",
        checksum: None,
        mode: 0o644,
        origin: Origin::Git,
        at: at(3),
        by: Some(by),
        moved_from: None,
        cause: None,
        deleted_as: None,
    };
    files::insert_version(tx, &new).await.unwrap();
}

pub async fn an_account_is_told_as_its_parts_are(db: Db) {
    let (ada, bob) = (user(&db, "ada").await, user(&db, "bob").await);
    let held = project(&db, ada).await;
    write!(&db, tx => projects::add_totals(&mut tx, held, 2, 30));
    write!(&db, tx => quotas::add_history(&mut tx, held, 4));
    write!(&db, tx => quotas::set_versions(&mut tx, held, 6));
    write!(&db, tx => store::checkpoints::insert(&mut tx, &store::checkpoints::NewCheckpoint {
        id: id(), project_id: held, revision: 1, kind: CheckpointKind::Named, name: Some("Kept"), turn_id: None, file_count: 1, size_bytes: 1,
        at: at(1), by: Some(ada),
    }));
    let own = QuotaOverride { bytes: Some(1 << 40), files: Some(7), versions: Some(3), projects: Some(2), ..QuotaOverride::default() };
    write!(&db, tx => quotas::set_override(&mut tx, ada, own));
    let of = [(BudgetScope::User, ada.0)];
    let counter = write!(&db, tx => budgets::reserve(&mut tx, &of, "2026-11", 100, 50)).remove(0);
    let mut c = read(&db).await;
    let account = dashboard::account_of(&mut c, ada).await.unwrap();
    let totals = quotas::Totals { projects: 1, files: 2, bytes: 30, history: 4, versions: 6, held: 1 };
    assert_eq!(account, dashboard::Account { totals, checkpoints: 1, own, storage: None, counter });
    assert_eq!((account.counter.reserved_micros, account.counter.reserved_tokens), (100, 50));
    drop(c);

    write!(&db, tx => settings::put(&mut tx, "storage", "{}", at(1), None));
    let nothing = dashboard::Account {
        totals: quotas::Totals::default(),
        checkpoints: 0,
        own: QuotaOverride::default(),
        storage: Some("{}".to_owned()),
        counter: budgets::Counter::default(),
    };
    assert_eq!(dashboard::account_of(&mut read(&db).await, bob).await.unwrap(), nothing);
}
