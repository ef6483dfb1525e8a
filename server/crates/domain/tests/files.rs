//! Nothing is overwritten silently, whoever writes at the same moment.

mod support;

use std::collections::BTreeMap;

use domain::{Ctx, Error, files, live, projects};
use futures::StreamExt;
use support::Home;
use wire::{
    ProjectId,
    event::{EventKind, Stream},
    files::{Base, MovePath, RestorePath, SaveOutcome, SaveText, Tree},
    projects::ProjectRole,
};

on_both!(
    concurrent_saves_lose_no_update,
    moves_and_deletions_can_be_undone,
    events_have_no_gap,
    paths_stay_inside,
    a_file_is_not_a_directory,
    pages_get_the_tree_as_it_is_now,
    random_steps_match_a_model
);

async fn save(ctx: &Ctx, project: ProjectId, path: &str, base: Base, text: &str) -> Result<SaveOutcome, Error> {
    files::save_text(ctx, project, SaveText { path: path.to_owned(), base, text: text.to_owned(), format: Default::default() }).await
}

async fn text(ctx: &Ctx, project: ProjectId, path: &str) -> String {
    files::open_text(ctx, project, path, None).await.unwrap().text.unwrap()
}

/// Eight writers append a line each, twenty times, to one file: every line must be there in the end.
async fn concurrent_saves_lose_no_update(home: Home) {
    let ctx = home.person("ada").await;
    let project = home.project(&ctx).await.id;
    save(&ctx, project, "log.txt", Base::New, "").await.unwrap();
    let writers = (0..8).map(|writer| {
        let ctx = ctx.clone();
        tokio::spawn(async move {
            let mut conflicts = 0;
            for n in 0..20 {
                loop {
                    let opened = files::open_text(&ctx, project, "log.txt", None).await.unwrap();
                    let longer = format!("{}writer {writer} line {n}\n", opened.text.unwrap());
                    match save(&ctx, project, "log.txt", Base::Version(opened.entry.version), &longer).await.unwrap() {
                        SaveOutcome::Saved { .. } => break,
                        SaveOutcome::Conflict { theirs } => {
                            assert!(theirs.unwrap().entry.version > opened.entry.version);
                            conflicts += 1;
                        }
                    }
                }
            }
            conflicts
        })
    });
    let conflicts: Vec<i32> = futures::future::join_all(writers).await.into_iter().map(Result::unwrap).collect();
    assert!(conflicts.iter().sum::<i32>() > 0, "the writers never met, so this proved nothing");
    let found = text(&ctx, project, "log.txt").await;
    assert_eq!(found.lines().count(), 160);
    for writer in 0..8 {
        let own: Vec<_> = found.lines().filter(|line| line.starts_with(&format!("writer {writer} "))).collect();
        assert_eq!(own, (0..20).map(|n| format!("writer {writer} line {n}")).collect::<Vec<_>>());
    }
    assert_eq!(files::entry(&ctx, project, "log.txt").await.unwrap().version, 161);
}

async fn moves_and_deletions_can_be_undone(home: Home) {
    let ctx = home.person("ada").await;
    let project = home.project(&ctx).await.id;
    save(&ctx, project, "src/a.txt", Base::New, "a").await.unwrap();
    save(&ctx, project, "src/deep/b.txt", Base::New, "b").await.unwrap();
    save(&ctx, project, "src2/c.txt", Base::New, "c").await.unwrap();
    files::move_path(&ctx, project, MovePath { from: "src".into(), to: "lib".into(), base: support::AS_IT_IS }).await.unwrap();
    assert_eq!(text(&ctx, project, "lib/deep/b.txt").await, "b");
    assert_eq!(text(&ctx, project, "src2/c.txt").await, "c", "a name that only begins alike stays");
    assert!(matches!(files::entry(&ctx, project, "src/a.txt").await, Err(Error::NotFound(_))));

    let into_itself = files::move_path(&ctx, project, MovePath { from: "lib".into(), to: "lib/x".into(), base: support::AS_IT_IS }).await;
    assert!(matches!(into_itself, Err(Error::Invalid(_))));
    let taken =
        files::move_path(&ctx, project, MovePath { from: "lib/a.txt".into(), to: "src2/c.txt".into(), base: support::AS_IT_IS }).await;
    assert!(matches!(taken, Err(Error::Conflict { .. })));

    files::delete(&ctx, project, "lib", support::AS_IT_IS).await.unwrap();
    assert!(matches!(files::entry(&ctx, project, "lib/a.txt").await, Err(Error::NotFound(_))));
    files::restore(&ctx, project, RestorePath { path: "lib".into(), version: None, base: support::AS_IT_IS }).await.unwrap();
    assert_eq!(text(&ctx, project, "lib/a.txt").await, "a");
    assert_eq!(text(&ctx, project, "lib/deep/b.txt").await, "b");

    let stale = files::delete(&ctx, project, "lib/a.txt", Some(Base::Version(1))).await;
    assert!(matches!(stale, Err(Error::PreconditionFailed { .. })));
    let totals = domain::projects::get(&ctx, project).await.unwrap();
    assert_eq!((totals.file_count, totals.size_bytes), (3, 3));
}

/// Also from the second time on, when the list is kept, and whoever made what is in it is called otherwise by then.
async fn pages_get_the_tree_as_it_is_now(home: Home) {
    let ctx = home.person("ada").await;
    let project = home.project(&ctx).await.id;
    let many = (0..1200).map(|n| (format!("src/part-{:02}/file-{n:04}.txt", n / 100), format!("{n:064x}"), 1));
    support::insert_files(&ctx, project, many).await;
    for path in ["src-b.txt", "src/zones.py", "a/b/c/d.txt"] {
        save(&ctx, project, path, Base::New, path).await.unwrap();
        assert_packed(&ctx, project).await;
        assert_packed(&ctx, project).await;
    }
    files::delete(&ctx, project, "src/part-03", support::AS_IT_IS).await.unwrap();
    assert_packed(&ctx, project).await;
    let renamed = wire::users::UpdateMe { full_name: Some("Ada Lovelace".to_owned()), ..Default::default() };
    domain::users::update_me(&ctx, renamed).await.unwrap();
    assert_packed(&ctx, project).await;
    let made_by: Vec<_> = files::packed_tree(&ctx, project).await.unwrap().people().iter().map(|user| user.name.clone()).collect();
    assert_eq!(made_by, ["Ada Lovelace"]);

    let opened = projects::open(&ctx, project, Some(0)).await.unwrap();
    assert!(!opened.whole && opened.runs.is_empty());
    assert_eq!((opened.project.id, opened.project.role), (project, ProjectRole::Owner));
    let top = Tree::from(opened.tree);
    assert_eq!(top.items.iter().map(|entry| entry.path.as_str()).collect::<Vec<_>>(), ["a", "src", "src-b.txt"]);
    let tree = files::tree(&ctx, project).await.unwrap();
    assert_eq!((top.revision, top.seq), (tree.revision, tree.seq));
    let opened = projects::open(&ctx, project, None).await.unwrap();
    assert!(opened.whole && opened.tree == files::packed_tree(&ctx, project).await.unwrap());
    let stranger = home.person("mallory").await;
    assert!(matches!(files::packed_tree(&stranger, project).await, Err(Error::NotFound(_))));
    assert!(matches!(projects::open(&stranger, project, None).await, Err(Error::NotFound(_))));
    assert!(matches!(projects::open(&stranger, project, Some(0)).await, Err(Error::NotFound(_))));
}

async fn assert_packed(ctx: &Ctx, project: ProjectId) {
    let mut tree = files::tree(ctx, project).await.unwrap();
    tree.items.iter_mut().for_each(|entry| entry.checksum.clear());
    assert!(tree.items.is_sorted_by(|a, b| a.path < b.path));
    assert!(files::packed_tree(ctx, project).await.unwrap().unpack() == tree, "the list differs from the tree");
}

/// Two readers, one from the start and one who comes late, see each change once and in order, while four people write.
async fn events_have_no_gap(home: Home) {
    let ctx = home.person("ada").await;
    let project = home.project(&ctx).await.id;
    let read = |after: i64| {
        let ctx = ctx.clone();
        tokio::spawn(async move {
            let stream = live::follow(&ctx, vec![(Stream::Project(project), after)]).await.unwrap();
            let events: Vec<_> = Box::pin(stream).take(100 - after as usize).map(Result::unwrap).collect().await;
            let seqs: Vec<i64> = events.iter().map(|event| event.seq).collect();
            assert_eq!(seqs, (after + 1..=100).collect::<Vec<_>>());
            events.len()
        })
    };
    let early = read(0);
    let writers = (0..4).map(|writer| {
        let ctx = ctx.clone();
        tokio::spawn(async move {
            for n in 0..25 {
                save(&ctx, project, &format!("{writer}-{n}.txt"), Base::New, "x").await.unwrap();
            }
        })
    });
    let late = read(40);
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    let deadline = std::time::Duration::from_secs(20);
    assert_eq!(tokio::time::timeout(deadline, early).await.unwrap().unwrap(), 100);
    assert_eq!(tokio::time::timeout(deadline, late).await.unwrap().unwrap(), 60);
    let stranger = home.person("mallory").await;
    assert!(matches!(live::follow(&stranger, vec![(Stream::Project(project), 0)]).await.err(), Some(Error::NotFound(_))));
}

async fn paths_stay_inside(home: Home) {
    let ctx = home.person("ada").await;
    let project = home.project(&ctx).await.id;
    for bad in ["../x", "/etc/passwd", "a/../../x", "a\nb", ".git/config", "a//b", ""] {
        assert!(matches!(save(&ctx, project, bad, Base::New, "x").await, Err(Error::Invalid(_))), "{bad:?}");
        let moved = files::move_path(&ctx, project, MovePath { from: "a".into(), to: bad.into(), base: support::AS_IT_IS }).await;
        assert!(matches!(moved, Err(Error::Invalid(_))), "{bad:?}");
        assert!(matches!(files::open_text(&ctx, project, bad, None).await, Err(Error::Invalid(_))), "{bad:?}");
    }
    assert_eq!(files::tree(&ctx, project).await.unwrap().items, []);
}

async fn a_file_is_not_a_directory(home: Home) {
    let ctx = home.person("ada").await;
    let project = home.project(&ctx).await.id;
    save(&ctx, project, "a", Base::New, "file").await.unwrap();
    assert!(matches!(save(&ctx, project, "a/b", Base::New, "below a file").await, Err(Error::Conflict { .. })));
    save(&ctx, project, "d/e", Base::New, "file").await.unwrap();
    assert!(matches!(save(&ctx, project, "d", Base::New, "in place of a directory").await, Err(Error::Conflict { .. })));
    files::create_directory(&ctx, project, "empty").await.unwrap();
    assert!(matches!(files::create_directory(&ctx, project, "d").await, Err(Error::Invalid(_))));
    let paths: Vec<_> = files::tree(&ctx, project).await.unwrap().items.into_iter().map(|entry| entry.path).collect();
    assert_eq!(paths, ["a", "d", "d/e", "empty"]);
}

/// A long random sequence of saves, moves, deletions and restores against a plain map, equal at every step, and the tree of every
/// earlier revision still the one it was.
async fn random_steps_match_a_model(home: Home) {
    let ctx = home.person("ada").await;
    let project = home.project(&ctx).await.id;
    let mut model: BTreeMap<String, String> = BTreeMap::new();
    let mut past: Vec<(i64, BTreeMap<String, String>)> = Vec::new();
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |below: u64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed % below
    };
    for step in 0..200 {
        let path = format!("{}/{}.txt", ["x", "y", "x/z"][next(3) as usize], next(4));
        match next(6) {
            0..=2 => {
                let base = files::entry(&ctx, project, &path).await.map_or(Base::New, |entry| Base::Version(entry.version));
                let content = format!("step {step}");
                assert!(matches!(save(&ctx, project, &path, base, &content).await.unwrap(), SaveOutcome::Saved { .. }));
                model.insert(path, content);
            }
            3 => {
                let to = format!("moved/{step}.txt");
                let result =
                    files::move_path(&ctx, project, MovePath { from: path.clone(), to: to.clone(), base: support::AS_IT_IS }).await;
                match model.remove(&path) {
                    Some(content) => {
                        result.unwrap();
                        model.insert(to, content);
                    }
                    None => assert!(matches!(result, Err(Error::NotFound(_)))),
                }
            }
            4 => {
                let result = files::delete(&ctx, project, &path, support::AS_IT_IS).await;
                assert_eq!(result.is_ok(), model.remove(&path).is_some());
            }
            _ => {
                let before = model.get(&path).cloned();
                if before.is_some() && files::delete(&ctx, project, &path, support::AS_IT_IS).await.is_ok() {
                    files::restore(&ctx, project, RestorePath { path: path.clone(), version: None, base: support::AS_IT_IS })
                        .await
                        .unwrap();
                }
            }
        }
        let mut found = BTreeMap::new();
        for entry in files::tree(&ctx, project).await.unwrap().items {
            if entry.version > 0 {
                found.insert(entry.path.clone(), text(&ctx, project, &entry.path).await);
            }
        }
        assert_eq!(found, model, "after step {step}");
        past.push((domain::projects::get(&ctx, project).await.unwrap().revision, model.clone()));
    }
    for (revision, expected) in past {
        let manifest = files::manifest_at(&ctx, project, revision).await.unwrap();
        let mut found = BTreeMap::new();
        for entry in manifest.entries {
            let bytes = home.services.storage.local.read_all(&entry.checksum, 1 << 20).await.unwrap();
            found.insert(entry.path, String::from_utf8(bytes).unwrap());
        }
        assert_eq!(found, expected, "at revision {revision}");
    }
    let last = live::follow(&ctx, vec![(Stream::Project(project), 0)]).await.unwrap();
    let first = Box::pin(last).next().await.unwrap().unwrap();
    assert!(matches!(first.kind, EventKind::FileChanged { .. }));
}
