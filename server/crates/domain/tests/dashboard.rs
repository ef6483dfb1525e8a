//! What the list of projects and what stands beside it tell, and to whom.

mod support;

use domain::{Ctx, budgets, chat, checkpoints, dashboard, files, members, projects, quotas, settings};
use support::Home;
use wire::{
    ProjectId,
    budgets::{BudgetScope, BudgetUse, Period, SetBudget, USD},
    chat::{CreateConversation, StartTurn, TurnState},
    checkpoints::{CreateCheckpoint, ForkProject, RestoreCheckpoint},
    dashboard::WorkKind,
    files::{Base, ChangeFiles, FileStep, FilesChanged, Origin, SaveOutcome, SaveText},
    languages::{Languages, language_of},
    members::Invite,
    projects::{ProjectRole, UpdateProject, Visibility},
    quotas::{QuotaOverride, StorageSettings},
};

on_both!(
    languages_follow_every_way_in_which_files_change,
    only_what_is_open_to_somebody_is_told,
    anybody_may_have_a_copy_of_the_sample,
    whoever_changed_files_last_is_told,
    the_first_page_tells_what_each_of_its_parts_tells_alone,
);

async fn save(ctx: &Ctx, project: ProjectId, path: &str, text: &str) {
    let base = files::entry(ctx, project, path).await.map_or(Base::New, |entry| Base::Version(entry.version));
    let request = SaveText { path: path.to_owned(), base, text: text.to_owned(), format: Default::default() };
    assert!(matches!(files::save_text(ctx, project, request).await.unwrap(), SaveOutcome::Saved { .. }));
}

async fn save_all(ctx: &Ctx, project: ProjectId, paths: impl Iterator<Item = String>) {
    let mut batch = Vec::new();
    for path in paths {
        let bytes = files::receive(ctx, project, Box::pin(std::io::Cursor::new(path.clone().into_bytes()))).await.unwrap();
        batch.push(files::BatchFile { path, base: Base::New, bytes });
    }
    files::save_batch(ctx, project, batch).await.unwrap();
}

/// The steps on what is there now; answers those that take them back.
async fn step(ctx: &Ctx, project: ProjectId, step: impl FnOnce(Base) -> FileStep) -> Vec<FileStep> {
    let now = Base::Revision(files::tree(ctx, project).await.unwrap().revision);
    match files::change(ctx, project, ChangeFiles { steps: vec![step(now)] }).await.unwrap() {
        FilesChanged::Changed { undo, .. } => undo,
        FilesChanged::Conflict { paths } => panic!("{paths:?}"),
    }
}

async fn undo(ctx: &Ctx, project: ProjectId, steps: Vec<FileStep>) {
    assert!(matches!(files::change(ctx, project, ChangeFiles { steps }).await.unwrap(), FilesChanged::Changed { .. }));
}

/// What the project says, which has to be what its tree holds.
async fn languages(ctx: &Ctx, project: ProjectId) -> Languages {
    let told = projects::get(ctx, project).await.unwrap().languages;
    let mut counted = Languages::new();
    for entry in files::tree(ctx, project).await.unwrap().items {
        if let Some(language) = language_of(&entry.path).filter(|_| entry.size > 0) {
            *counted.entry(language.to_owned()).or_default() += entry.size;
        }
    }
    assert_eq!(told, counted);
    told
}

fn of(sizes: &[(&str, i64)]) -> Languages {
    sizes.iter().map(|(language, bytes)| ((*language).to_owned(), *bytes)).collect()
}

async fn languages_follow_every_way_in_which_files_change(home: Home) {
    let ctx = home.person("ada").await;
    let project = home.project(&ctx).await.id;
    assert!(languages(&ctx, project).await.is_empty());
    save(&ctx, project, "src/a.rs", "fn a() {}\n").await;
    save(&ctx, project, "README.md", "# Read me\n").await;
    save(&ctx, project, "web/app.ts", "let a = 1;").await;
    assert_eq!(languages(&ctx, project).await, of(&[("Rust", 10), ("TypeScript", 10)]));
    let kept = checkpoints::create(&ctx, project, CreateCheckpoint { name: "Two languages".to_owned() }).await.unwrap();

    save(&ctx, project, "src/a.rs", "").await;
    save(&ctx, project, "src/b.rs", "//!").await;
    assert_eq!(languages(&ctx, project).await, of(&[("Rust", 3), ("TypeScript", 10)]));
    let (from, to) = ("web/app.ts".to_owned(), "web/app.py".to_owned());
    let back = step(&ctx, project, |base| FileStep::Move { from, to, base }).await;
    assert_eq!(languages(&ctx, project).await, of(&[("Python", 10), ("Rust", 3)]));
    undo(&ctx, project, back).await;
    let (from, to) = ("src".to_owned(), "copy".to_owned());
    step(&ctx, project, |base| FileStep::Copy { from, to, base }).await;
    assert_eq!(languages(&ctx, project).await, of(&[("Rust", 6), ("TypeScript", 10)]));
    let back = step(&ctx, project, |base| FileStep::Delete { path: "web".to_owned(), base }).await;
    assert_eq!(languages(&ctx, project).await, of(&[("Rust", 6)]));
    undo(&ctx, project, back).await;

    // More than what is done one by one.
    save_all(&ctx, project, (0..320).map(|n| format!("many/{}/{n}.{}", n % 3, if n % 2 == 0 { "go" } else { "txt" }))).await;
    let with_many = languages(&ctx, project).await;
    assert!(with_many["Go"] > 1000);
    for way in 0..3 {
        let back = step(&ctx, project, |base| match way {
            0 => FileStep::Move { from: "many".to_owned(), to: "moved.py".to_owned(), base },
            1 => FileStep::Copy { from: "many".to_owned(), to: "again".to_owned(), base },
            _ => FileStep::Delete { path: "many".to_owned(), base },
        })
        .await;
        languages(&ctx, project).await;
        undo(&ctx, project, back).await;
        assert_eq!(languages(&ctx, project).await, with_many);
    }

    let fork = ForkProject { name: "Fork".to_owned(), checkpoint_id: Some(kept.id) };
    let fork = checkpoints::fork(&ctx, project, fork).await.unwrap();
    assert_eq!(languages(&ctx, fork.id).await, of(&[("Rust", 10), ("TypeScript", 10)]));
    let restore = RestoreCheckpoint { paths: None, expected_revision: None };
    checkpoints::restore(&ctx, project, kept.id, restore).await.unwrap();
    assert_eq!(languages(&ctx, project).await, of(&[("Rust", 10), ("TypeScript", 10)]));
    let listed = projects::list(&ctx).await.unwrap();
    assert!(listed.iter().all(|project| project.languages == of(&[("Rust", 10), ("TypeScript", 10)])), "{listed:?}");
}

async fn show(owner: &Ctx, project: ProjectId, visibility: Visibility) {
    projects::update(owner, project, UpdateProject { visibility: Some(visibility), ..UpdateProject::default() }).await.unwrap();
}

/// How many conversations and things at work somebody is told of.
async fn told(ctx: &Ctx) -> (usize, usize) {
    let dashboard = dashboard::mine(ctx).await.unwrap().board;
    (dashboard.conversations.len(), dashboard.work.len())
}

async fn only_what_is_open_to_somebody_is_told(home: Home) {
    let (ada, ben, eve) = (home.person("ada").await, home.person("ben").await, home.person("eve").await);
    let project = home.project(&ada).await.id;
    members::invite(&ada, project, Invite { who: "ben".to_owned(), role: ProjectRole::Editor }).await.unwrap();
    show(&ada, project, Visibility::Shared).await;
    let title = Some("Honour Retry-After".to_owned());
    let conversation = chat::create_conversation(&ben, project, CreateConversation { title }).await.unwrap();
    let prompt: StartTurn = serde_json::from_value(serde_json::json!({ "prompt": "Do it" })).unwrap();
    chat::start_turn(&ben, conversation.id, prompt).await.unwrap();

    let mine = dashboard::mine(&ben).await.unwrap().board;
    let [recent] = mine.conversations.as_slice() else { panic!("{mine:?}") };
    assert_eq!((recent.id, recent.project_id, recent.project_name.as_str()), (conversation.id, project, "Test"));
    assert_eq!((recent.title.as_str(), recent.turn_state, recent.has_changes), ("Honour Retry-After", Some(TurnState::Queued), false));
    let [work] = mine.work.as_slice() else { panic!("{mine:?}") };
    assert_eq!((work.kind, work.project_id, work.is_mine, work.role), (WorkKind::Turn, project, true, ProjectRole::Editor));
    let hers = dashboard::mine(&ada).await.unwrap().board;
    assert!(hers.conversations.is_empty() && hers.work.len() == 1 && !hers.work[0].is_mine, "{hers:?}");
    assert_eq!(told(&eve).await, (0, 0));

    show(&ada, project, Visibility::Private).await;
    assert_eq!((told(&ada).await, told(&ben).await), ((0, 1), (0, 0)));
    show(&ada, project, Visibility::Public).await;
    assert_eq!((told(&ben).await, told(&eve).await), ((1, 1), (0, 0)));
    members::remove(&ada, project, ben.user_id().unwrap()).await.unwrap();
    assert_eq!(told(&ben).await, (1, 0), "it can still be read");
    chat::stop_turn(&ada, work.id.into()).await.unwrap();
    assert_eq!(told(&ada).await, (0, 0));
    assert_eq!(dashboard::mine(&ben).await.unwrap().board.conversations[0].turn_state, Some(TurnState::Finished));
    chat::delete_conversation(&ada, conversation.id).await.unwrap();
    assert_eq!(told(&ben).await, (0, 0));
    projects::delete(&ada, project).await.unwrap();
    assert_eq!(told(&ada).await, (0, 0));
    assert!(dashboard::mine(&home.nobody()).await.is_err());
}

async fn anybody_may_have_a_copy_of_the_sample(home: Home) {
    let (ada, ben) = (home.person("ada").await, home.person("ben").await);
    assert!(projects::list(&ada).await.unwrap().is_empty(), "nobody asked for one");
    let sample = dashboard::mine(&ben).await.unwrap().board.sample;
    assert_eq!((sample.files, sample.tests, sample.is_scripted), (support::SAMPLE.len() as i64, 1, false));
    let copy = projects::create_sample(&ben).await.unwrap();
    assert_eq!((copy.role, copy.file_count, copy.visibility), (ProjectRole::Owner, sample.files, Visibility::Private));
    for (path, text) in support::SAMPLE {
        assert_eq!(files::open_text(&ben, copy.id, path, None).await.unwrap().text.as_deref(), Some(*text));
    }
    assert_eq!(languages(&ben, copy.id).await.len(), 1);
    save(&ben, copy.id, "count.py", "def test_count():\n    assert 2 == 2\n").await;
    assert!(projects::get(&ada, copy.id).await.is_err(), "it is nobody else's");
    assert_ne!(projects::create_sample(&ben).await.unwrap().id, copy.id);
    assert!(projects::create_sample(&home.nobody()).await.is_err());
}

async fn whoever_changed_files_last_is_told(home: Home) {
    let (ada, ben) = (home.person("ada").await, home.person("ben").await);
    let project = home.project(&ada).await.id;
    members::invite(&ada, project, Invite { who: "ben".to_owned(), role: ProjectRole::Editor }).await.unwrap();
    show(&ada, project, Visibility::Shared).await;
    assert_eq!(projects::get(&ada, project).await.unwrap().last_change, None);
    save(&ada, project, "a.txt", "a").await;
    save(&ben, project, "b.txt", "b").await;
    let change = projects::list(&ada).await.unwrap().remove(0).last_change.unwrap();
    assert_eq!((change.origin, change.by.map(|by| by.name)), (Origin::Person, Some("ben".to_owned())));
}

async fn the_first_page_tells_what_each_of_its_parts_tells_alone(home: Home) {
    // The first account administers.
    let (admin, ada, ben) = (home.person("admin").await, home.person("ada").await, home.person("ben").await);
    let (first, second) = (home.project(&ada).await.id, home.project(&ada).await.id);
    let public = home.project(&ben).await.id;
    show(&ben, public, Visibility::Public).await;
    save(&ada, first, "a.txt", "twelve bytes").await;
    projects::delete(&ada, second).await.unwrap();
    let own = QuotaOverride { bytes: Some(5_000_000), ..QuotaOverride::default() };
    quotas::set_of_user(&admin, ada.user_id().unwrap(), own).await.unwrap();
    let everybody = StorageSettings { user_files: 4321, ..StorageSettings::default() };
    settings::update_storage(&admin, everybody).await.unwrap();
    for scope in [BudgetScope::Instance, BudgetScope::UserDefault] {
        let budget = SetBudget { scope, subject: None, period: Period::Month, usd_micros: Some(7 * USD), tokens: None, version: None };
        budgets::set(&admin, budget).await.unwrap();
    }
    let mut tx = home.services.db.begin().await.unwrap();
    let month: String = ada.now().to_rfc3339().chars().take(7).collect();
    let user = ada.user_id().unwrap().0;
    store::budgets::reserve(&mut tx, &[(BudgetScope::User, user)], &month, 3 * USD, 300).await.unwrap();
    let _committed = tx.commit().await.unwrap();

    for ctx in [&ada, &ben, &admin] {
        let page = dashboard::mine(ctx).await.unwrap();
        assert_eq!(page.projects, projects::list(ctx).await.unwrap());
        assert_eq!(page.quota, quotas::mine(ctx).await.unwrap());
        assert_eq!(page.board.month.budgets, budgets::of_caller(ctx, None, None).await.unwrap());
    }
    let page = dashboard::mine(&ada).await.unwrap();
    let ids = |list: &[wire::projects::Project]| list.iter().map(|project| project.id).collect::<Vec<_>>();
    assert_eq!((ids(&page.projects), ids(&page.public)), (vec![first], vec![public]));
    assert_eq!((page.quota.projects, page.quota.bytes.used, page.quota.bytes.limit, page.quota.files.limit), (1, 12, 5_000_000, 4321));
    assert_eq!((page.board.month.used.reserved_micros, page.board.month.used.reserved_tokens), (3 * USD, 300));
    let told = |scope: BudgetScope| page.board.month.budgets.iter().find(|budget| budget.scope == scope).unwrap();
    assert_eq!(told(BudgetScope::UserDefault).used.reserved_micros, 3 * USD, "what counts is the person's own use");
    assert_eq!(told(BudgetScope::Instance).usd_micros, None, "what everybody may spend is for administrators");
    let to_admin = dashboard::mine(&admin).await.unwrap();
    assert_eq!((to_admin.projects.len(), ids(&to_admin.public)), (0, vec![public]));
    assert_eq!(to_admin.board.month.used, BudgetUse::default(), "and nobody is told of another one's use");
}
