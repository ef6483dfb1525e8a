//! What checkpoints promise: they come by themselves, are bounded, never take away what others did unasked, and can be undone.

mod support;

use domain::{Ctx, Error, chat, checkpoints, files, members};
use support::Home;
use wire::{
    CheckpointId, ProjectId,
    chat::{CreateConversation, Mode, StartTurn},
    checkpoints::{
        Checkpoint, CheckpointKind, CreateCheckpoint, ForkProject, RestoreCheckpoint, RestoreEffect, RestoreOutcome, UpdateCheckpoint,
    },
    files::{Base, Origin, SaveOutcome, SaveText},
    members::Invite,
    projects::ProjectRole,
    quotas::StorageSettings,
};

on_both!(
    a_plan_says_what_a_restore_does_and_who_it_concerns,
    a_restore_leaves_others_alone_and_is_undone,
    what_came_after_the_plan_stands_in_the_way,
    turns_and_restores_keep_what_was_before_them,
    the_past_is_bounded_and_names_are_kept,
    forks_share_bytes_and_nothing_else,
    checkpoints_belong_to_their_project_and_its_people,
    what_is_left_out_is_listed
);

async fn save(ctx: &Ctx, project: ProjectId, path: &str, text: &str) {
    let base = files::entry(ctx, project, path).await.map_or(Base::New, |entry| Base::Version(entry.version));
    let request = SaveText { path: path.to_owned(), base, text: text.to_owned(), format: Default::default() };
    assert!(matches!(files::save_text(ctx, project, request).await.unwrap(), SaveOutcome::Saved { .. }));
}

async fn delete(ctx: &Ctx, project: ProjectId, path: &str) {
    let version = files::entry(ctx, project, path).await.unwrap().version;
    files::delete(ctx, project, path, Some(Base::Version(version))).await.unwrap();
}

async fn text(ctx: &Ctx, project: ProjectId, path: &str) -> Option<String> {
    match files::open_text(ctx, project, path, None).await {
        Ok(file) => file.text,
        Err(Error::NotFound(_)) => None,
        Err(error) => panic!("{error}"),
    }
}

async fn keep(ctx: &Ctx, project: ProjectId, name: &str) -> Checkpoint {
    checkpoints::create(ctx, project, CreateCheckpoint { name: name.to_owned() }).await.unwrap()
}

async fn join(owner: &Ctx, project: ProjectId, who: &str, role: ProjectRole) {
    members::invite(owner, project, Invite { who: who.to_owned(), role }).await.unwrap();
}

async fn restore(ctx: &Ctx, project: ProjectId, id: CheckpointId, paths: Option<&[&str]>, expected: i64) -> RestoreOutcome {
    let paths = paths.map(|paths| paths.iter().map(|path| (*path).to_owned()).collect());
    checkpoints::restore(ctx, project, id, RestoreCheckpoint { paths, expected_revision: Some(expected) }).await.unwrap()
}

async fn a_plan_says_what_a_restore_does_and_who_it_concerns(home: Home) {
    let (ada, ben) = (home.person("ada").await, home.person("ben").await);
    let project = home.project(&ada).await.id;
    join(&ada, project, "ben", ProjectRole::Editor).await;
    for path in ["back.txt", "gone.txt", "same.txt", "theirs.txt", "there-and-back.txt"] {
        save(&ada, project, path, "first").await;
    }
    let kept = keep(&ada, project, "Works").await;
    assert_eq!((kept.files, kept.bytes, kept.title().as_str()), (5, 25, "Works"));
    save(&ada, project, "back.txt", "second").await;
    delete(&ada, project, "gone.txt").await;
    save(&ada, project, "new.txt", "new").await;
    save(&ben, project, "theirs.txt", "by ben").await;
    save(&ada, project, "theirs.txt", "by ada, over what ben wrote").await;
    save(&ada, project, "there-and-back.txt", "other").await;
    save(&ada, project, "there-and-back.txt", "first").await;

    let plan = checkpoints::diff(&ada, project, kept.id).await.unwrap();
    let seen: Vec<_> = plan.items.iter().map(|item| (item.path.as_str(), item.effect)).collect();
    let expected = [
        ("back.txt", RestoreEffect::GoesBack),
        ("gone.txt", RestoreEffect::ComesBack),
        ("new.txt", RestoreEffect::ToTrash),
        ("theirs.txt", RestoreEffect::GoesBack),
    ];
    assert_eq!(seen, expected);
    assert_eq!(plan.unchanged, 2);
    let theirs = &plan.items[3];
    let others: Vec<_> = theirs.others.iter().filter_map(|note| note.by.as_ref().map(|by| by.name.as_str())).collect();
    assert_eq!(others, ["ben"], "what came over it does not hide it");
    assert_eq!((theirs.then.as_ref().unwrap().version, theirs.now.as_ref().unwrap().version), (1, 3));
    assert!(plan.items[..3].iter().all(|item| item.others.is_empty()));
    let for_ben = checkpoints::diff(&ben, project, kept.id).await.unwrap();
    assert!(for_ben.items.iter().all(|item| !item.others.is_empty()), "to ben all of it is ada's");
    let timeline = checkpoints::list(&ada, project).await.unwrap();
    assert_eq!((timeline.changed, timeline.items.len()), (5, 1));
    assert_eq!(timeline.held_bytes, 0, "the project still holds all that the checkpoint shows, under other names");
}

async fn a_restore_leaves_others_alone_and_is_undone(home: Home) {
    let (ada, ben) = (home.person("ada").await, home.person("ben").await);
    let project = home.project(&ada).await.id;
    join(&ada, project, "ben", ProjectRole::Editor).await;
    for path in ["mine.txt", "theirs.txt"] {
        save(&ada, project, path, "first").await;
    }
    let kept = keep(&ada, project, "Works").await;
    save(&ada, project, "mine.txt", "second").await;
    save(&ada, project, "dir/new.txt", "new").await;
    save(&ben, project, "theirs.txt", "by ben").await;
    let plan = checkpoints::diff(&ada, project, kept.id).await.unwrap();
    let RestoreOutcome::Restored { revision, before, paths, left } = restore(&ada, project, kept.id, None, plan.revision).await else {
        panic!("nothing was in the way")
    };
    assert_eq!((paths, left), (vec!["dir/new.txt".to_owned(), "mine.txt".to_owned()], vec!["theirs.txt".to_owned()]));
    assert_eq!((before.kind, before.revision, revision), (CheckpointKind::Restore, plan.revision, plan.revision + 1));
    assert_eq!(text(&ada, project, "mine.txt").await.as_deref(), Some("first"));
    assert_eq!(text(&ada, project, "theirs.txt").await.as_deref(), Some("by ben"));
    assert_eq!(text(&ada, project, "dir/new.txt").await, None);
    let history = files::history(&ada, project, "mine.txt", None).await.unwrap().items;
    assert_eq!((history[0].origin, history.len()), (Origin::Restore, 3));
    assert!(files::trash(&ada, project).await.unwrap().iter().any(|item| item.path.starts_with("dir")), "it went to the trash");

    // Taken back by restoring what was kept before it; then once more, with theirs because it was asked for.
    let undone = restore(&ada, project, before.id, Some(&["dir/new.txt", "mine.txt"]), revision).await;
    assert!(matches!(undone, RestoreOutcome::Restored { .. }));
    assert_eq!(text(&ada, project, "mine.txt").await.as_deref(), Some("second"));
    assert_eq!(text(&ada, project, "dir/new.txt").await.as_deref(), Some("new"));
    let plan = checkpoints::diff(&ada, project, kept.id).await.unwrap();
    restore(&ada, project, kept.id, Some(&["theirs.txt"]), plan.revision).await;
    assert_eq!(text(&ada, project, "theirs.txt").await.as_deref(), Some("first"));
    assert_eq!(text(&ada, project, "mine.txt").await.as_deref(), Some("second"), "only what was chosen");
}

async fn what_came_after_the_plan_stands_in_the_way(home: Home) {
    let (ada, ben) = (home.person("ada").await, home.person("ben").await);
    let project = home.project(&ada).await.id;
    join(&ada, project, "ben", ProjectRole::Editor).await;
    save(&ada, project, "a.txt", "first").await;
    save(&ada, project, "b.txt", "first").await;
    let kept = keep(&ada, project, "Works").await;
    save(&ada, project, "a.txt", "second").await;
    save(&ada, project, "b.txt", "second").await;
    let plan = checkpoints::diff(&ada, project, kept.id).await.unwrap();
    save(&ben, project, "b.txt", "by ben").await;
    let RestoreOutcome::Conflict { paths } = restore(&ada, project, kept.id, Some(&["a.txt", "b.txt"]), plan.revision).await else {
        panic!("ben's work was overwritten")
    };
    assert_eq!((paths[0].path.as_str(), paths[0].reason.as_str()), ("b.txt", "ben changed it after this plan was made."));
    assert_eq!(paths[0].current.as_ref().unwrap().version, 3);
    assert_eq!(text(&ada, project, "a.txt").await.as_deref(), Some("second"), "all of it or nothing");
    assert_eq!(checkpoints::list(&ada, project).await.unwrap().items.len(), 1, "and no checkpoint of what did not happen");
    assert!(matches!(restore(&ada, project, kept.id, Some(&["a.txt"]), plan.revision).await, RestoreOutcome::Restored { .. }));
    // A file where a directory is now.
    let kept = keep(&ada, project, "A file").await;
    delete(&ada, project, "a.txt").await;
    save(&ada, project, "a.txt/inside", "x").await;
    let now = checkpoints::diff(&ada, project, kept.id).await.unwrap().revision;
    let blocked = restore(&ada, project, kept.id, Some(&["a.txt"]), now).await;
    assert!(matches!(blocked, RestoreOutcome::Conflict { paths } if paths[0].reason.contains("directory")));
    assert!(matches!(restore(&ada, project, kept.id, None, now).await, RestoreOutcome::Restored { .. }));
    assert_eq!(text(&ada, project, "a.txt").await.as_deref(), Some("first"));
    let again = checkpoints::restore(&ada, project, kept.id, RestoreCheckpoint { paths: None, expected_revision: Some(now + 1) }).await;
    assert!(matches!(again, Err(Error::Conflict { .. })), "there is nothing to restore");
}

async fn start_turn(ctx: &Ctx, project: ProjectId, prompt: &str) {
    let conversation = chat::create_conversation(ctx, project, CreateConversation { title: None }).await.unwrap().id;
    let request = StartTurn { prompt: prompt.to_owned(), mode: Mode::Ask, ..Default::default() };
    chat::start_turn(ctx, conversation, request).await.unwrap();
}

async fn turns_and_restores_keep_what_was_before_them(home: Home) {
    let ada = home.person("ada").await;
    let project = home.project(&ada).await.id;
    save(&ada, project, "a.txt", "first").await;
    start_turn(&ada, project, "Tidy up\nand more").await;
    save(&ada, project, "a.txt", "second").await;
    let timeline = checkpoints::list(&ada, project).await.unwrap();
    let made = &timeline.items[0];
    assert_eq!((made.kind, made.title().as_str(), made.files), (CheckpointKind::Turn, "Before: Tidy up", 1));
    assert!(made.turn_id.is_some());
    assert_eq!(timeline.changed, 1);
    restore(&ada, project, made.id, None, timeline.revision).await;
    assert_eq!(text(&ada, project, "a.txt").await.as_deref(), Some("first"));
    assert_eq!(checkpoints::list(&ada, project).await.unwrap().items[0].kind, CheckpointKind::Restore);
}

async fn limits(home: &Home, change: impl FnOnce(&mut StorageSettings)) {
    let mut settings = StorageSettings::default();
    change(&mut settings);
    let mut tx = home.services.db.begin().await.unwrap();
    let text = serde_json::to_string(&settings).unwrap();
    store::settings::put(&mut tx, "storage", &text, home.services.clock.now(), None).await.unwrap();
    let _committed = tx.commit().await.unwrap();
}

async fn the_past_is_bounded_and_names_are_kept(home: Home) {
    let ada = home.person("ada").await;
    let project = home.project(&ada).await.id;
    save(&ada, project, "a.txt", "0").await;
    limits(&home, |settings| settings.checkpoints = 10).await;
    let named = keep(&ada, project, "Kept").await;
    for n in 0..14 {
        start_turn(&ada, project, &format!("turn {n}")).await;
    }
    let items = checkpoints::list(&ada, project).await.unwrap().items;
    assert_eq!(items.len(), 10, "nine automatic ones beside the one with a name");
    assert_eq!((items[0].title().as_str(), items[9].id), ("Before: turn 13", named.id));
    // A name keeps; taking it away lets go again.
    let oldest = items[8].id;
    checkpoints::rename(&ada, project, oldest, UpdateCheckpoint { name: "Also kept".to_owned() }).await.unwrap();
    start_turn(&ada, project, "one more").await;
    assert!(checkpoints::list(&ada, project).await.unwrap().items.iter().any(|item| item.id == oldest));
    checkpoints::rename(&ada, project, oldest, UpdateCheckpoint { name: String::new() }).await.unwrap();
    let unnamed = checkpoints::rename(&ada, project, named.id, UpdateCheckpoint { name: " ".to_owned() }).await;
    assert!(matches!(unnamed, Err(Error::Invalid(_))), "what a person made has a name");
    for n in 0..20 {
        let made = checkpoints::create(&ada, project, CreateCheckpoint { name: format!("{n}") }).await;
        assert_eq!(made.is_ok(), n < 9, "the limit holds for names too: {n}");
    }
    checkpoints::delete(&ada, project, named.id).await.unwrap();
    assert!(matches!(checkpoints::delete(&ada, project, named.id).await, Err(Error::NotFound(_))));

    // Age: made long ago by the clock of the row.
    let mut tx = home.services.db.begin().await.unwrap();
    let long_ago = home.services.clock.now().plus_seconds(-91 * 86_400);
    let new = store::checkpoints::NewCheckpoint {
        id: CheckpointId(uuid::Uuid::now_v7()),
        project_id: project,
        revision: 1,
        kind: CheckpointKind::Restore,
        name: None,
        turn_id: None,
        file_count: 1,
        size_bytes: 1,
        at: long_ago,
        by: None,
    };
    store::checkpoints::insert(&mut tx, &new).await.unwrap();
    let _committed = tx.commit().await.unwrap();
    let is_there = async || checkpoints::list(&ada, project).await.unwrap().items.iter().any(|item| item.id == new.id);
    assert!(is_there().await);
    domain::quotas::thin(&Ctx::system(&home.services)).await.unwrap();
    assert!(!is_there().await, "too old");

    // Bytes: each round leaves 400 kB that only the past holds.
    let project = home.project(&ada).await.id;
    limits(&home, |settings| settings.project_history_bytes = 1 << 20).await;
    for n in 0..6 {
        save(&ada, project, "big.txt", &n.to_string().repeat(400_000)).await;
        start_turn(&ada, project, &format!("turn {n}")).await;
    }
    let timeline = checkpoints::list(&ada, project).await.unwrap();
    assert!(timeline.held_bytes <= timeline.bounds.bytes, "{} of {}", timeline.held_bytes, timeline.bounds.bytes);
    assert_eq!(timeline.items.len(), 3, "the newest of what is there now, and two before it");
}

async fn forks_share_bytes_and_nothing_else(home: Home) {
    let (ada, ben) = (home.person("ada").await, home.person("ben").await);
    let project = home.project(&ada).await.id;
    join(&ada, project, "ben", ProjectRole::Viewer).await;
    save(&ada, project, "src/a.txt", "first").await;
    files::create_directory(&ada, project, "empty").await.unwrap();
    let kept = keep(&ada, project, "Works").await;
    save(&ada, project, "src/a.txt", "second").await;
    let stored = domain::storage::open(&ada, project).await.unwrap();
    let request = ForkProject { name: "Mine".to_owned(), checkpoint_id: Some(kept.id) };
    let fork = checkpoints::fork(&ben, project, request).await.unwrap();
    assert_eq!((fork.owner.name.as_str(), fork.file_count, fork.size_bytes, fork.role), ("ben", 1, 5, ProjectRole::Owner));
    assert_eq!(text(&ben, fork.id, "src/a.txt").await.as_deref(), Some("first"));
    assert_eq!(files::entry(&ben, fork.id, "empty").await.unwrap().version, 1);
    let sum = files::entry(&ben, fork.id, "src/a.txt").await.unwrap().checksum;
    assert!(stored.exists(&sum).await.unwrap(), "the bytes are those of the source");
    let items = checkpoints::list(&ben, fork.id).await.unwrap().items;
    assert_eq!(items.iter().map(Checkpoint::title).collect::<Vec<_>>(), ["Forked from Test, Works"]);
    save(&ben, fork.id, "src/a.txt", "ben's own").await;
    assert_eq!(text(&ada, project, "src/a.txt").await.as_deref(), Some("second"));
    assert!(matches!(files::entry(&ada, fork.id, "src/a.txt").await, Err(Error::NotFound(_))), "it is ben's alone");
    limits(&home, |settings| settings.user_files = 10).await;
    for n in 0..9 {
        save(&ada, project, &format!("{n}"), "x").await;
    }
    let refused = checkpoints::fork(&ada, project, ForkProject { name: "Too much".to_owned(), checkpoint_id: None }).await;
    assert!(matches!(refused, Err(Error::TooLarge(_))), "a fork counts as files of its owner");
}

async fn checkpoints_belong_to_their_project_and_its_people(home: Home) {
    let (ada, ben) = (home.person("ada").await, home.person("ben").await);
    let (project, other) = (home.project(&ada).await.id, home.project(&ada).await.id);
    save(&ada, project, "a.txt", "first").await;
    let kept = keep(&ada, project, "Works").await;
    save(&ada, project, "a.txt", "second").await;
    assert!(matches!(checkpoints::diff(&ada, other, kept.id).await, Err(Error::NotFound(_))));
    let request = RestoreCheckpoint { paths: None, expected_revision: Some(100) };
    assert!(matches!(checkpoints::restore(&ada, other, kept.id, request.clone()).await, Err(Error::NotFound(_))));
    let fork = ForkProject { name: "X".to_owned(), checkpoint_id: Some(kept.id) };
    assert!(matches!(checkpoints::fork(&ada, other, fork.clone()).await, Err(Error::NotFound(_))));
    assert!(matches!(checkpoints::fork(&ben, project, fork).await, Err(Error::NotFound(_))));
    assert!(matches!(checkpoints::list(&ben, project).await, Err(Error::NotFound(_))));
    join(&ada, project, "ben", ProjectRole::Reviewer).await;
    assert_eq!(checkpoints::diff(&ben, project, kept.id).await.unwrap().items.len(), 1);
    assert!(matches!(checkpoints::restore(&ben, project, kept.id, request).await, Err(Error::Forbidden(_))));
    assert!(matches!(checkpoints::delete(&ben, project, kept.id).await, Err(Error::Forbidden(_))));
    let create = CreateCheckpoint { name: "Ben's".to_owned() };
    assert!(matches!(checkpoints::create(&ben, project, create).await, Err(Error::Forbidden(_))));
}

async fn what_is_left_out_is_listed(home: Home) {
    let ada = home.person("ada").await;
    let project = home.project(&ada).await.id;
    let always = checkpoints::list(&ada, project).await.unwrap().excluded;
    assert!(always.len() == 1 && always[0].source.is_none() && always[0].patterns.contains(&"node_modules/".to_owned()));
    save(&ada, project, ".gitignore", "# built\n\ndist/\n*.log  \n").await;
    save(&ada, project, "web/.gitignore", "# nothing\n").await;
    let excluded = checkpoints::list(&ada, project).await.unwrap().excluded;
    assert_eq!(excluded.len(), 2);
    assert_eq!((excluded[1].source.as_deref(), excluded[1].patterns.join(" ")), (Some(".gitignore"), "dist/ *.log".to_owned()));
}
