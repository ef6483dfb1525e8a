//! Moves, copies, deletions and restores: each says what it was based on, several are one revision, and all of them can be taken back.

mod support;

use std::{collections::BTreeMap, sync::Arc};

use domain::{Ctx, Error, files};
use support::Home;
use wire::{
    ProjectId,
    files::{Base, ChangeFiles, EntryKind, FileAction, FileStep, FilesChanged, Origin, PathConflict, SaveOutcome, SaveText},
};

on_both!(
    steps_are_one_revision_and_can_be_taken_back,
    a_step_on_something_that_changed_is_refused_with_names,
    what_a_step_makes_can_be_the_base_of_the_next,
    the_trash_holds_what_was_deleted_and_nothing_else,
    a_restore_never_overwrites,
    history_comes_in_pages_and_says_what_made_it,
    a_large_folder_goes_as_a_small_one_does,
    of_eight_movers_one_wins,
    eight_writers_in_a_folder_that_moves_lose_nothing
);

async fn save(ctx: &Ctx, project: ProjectId, path: &str, base: Base, text: &str) -> i64 {
    let request = SaveText { path: path.to_owned(), base, text: text.to_owned(), format: Default::default() };
    match files::save_text(ctx, project, request).await.unwrap() {
        SaveOutcome::Saved { entry } => entry.version,
        SaveOutcome::Conflict { .. } => panic!("{path} is not at {base:?}"),
    }
}

/// Every file with its text, every directory that exists by itself.
async fn content(ctx: &Ctx, project: ProjectId) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for entry in files::tree(ctx, project).await.unwrap().items {
        if entry.kind == EntryKind::Directory {
            if entry.version > 0 {
                found.insert(entry.path, "/".to_owned());
            }
        } else {
            let text = files::open_text(ctx, project, &entry.path, None).await.unwrap().text.unwrap();
            found.insert(entry.path, text);
        }
    }
    found
}

async fn revision(ctx: &Ctx, project: ProjectId) -> i64 {
    files::tree(ctx, project).await.unwrap().revision
}

async fn change(ctx: &Ctx, project: ProjectId, steps: Vec<FileStep>) -> (i64, Vec<FileStep>) {
    match files::change(ctx, project, ChangeFiles { steps }).await.unwrap() {
        FilesChanged::Changed { revision, undo, left_out: 0 } => (revision, undo),
        FilesChanged::Changed { left_out, .. } => panic!("{left_out} were left out"),
        FilesChanged::Conflict { paths } => panic!("{paths:?}"),
    }
}

async fn conflicts(ctx: &Ctx, project: ProjectId, steps: Vec<FileStep>) -> Vec<PathConflict> {
    let before = (revision(ctx, project).await, content(ctx, project).await);
    match files::change(ctx, project, ChangeFiles { steps }).await.unwrap() {
        FilesChanged::Changed { .. } => panic!("it was changed"),
        FilesChanged::Conflict { paths } => {
            assert_eq!((revision(ctx, project).await, content(ctx, project).await), before, "a conflict changes nothing");
            paths
        }
    }
}

fn mv(from: &str, to: &str, base: Base) -> FileStep {
    FileStep::Move { from: from.to_owned(), to: to.to_owned(), base }
}

fn cp(from: &str, to: &str, base: Base) -> FileStep {
    FileStep::Copy { from: from.to_owned(), to: to.to_owned(), base }
}

fn rm(path: &str, base: Base) -> FileStep {
    FileStep::Delete { path: path.to_owned(), base }
}

fn restore(path: &str, version: Option<i64>, base: Base) -> FileStep {
    FileStep::Restore { path: path.to_owned(), version, base }
}

async fn steps_are_one_revision_and_can_be_taken_back(home: Home) {
    let ctx = home.person("ada").await;
    let project = home.project(&ctx).await.id;
    for path in ["src/a", "src/deep/b", "docs/c", "top"] {
        save(&ctx, project, path, Base::New, path).await;
    }
    save(&ctx, project, "top", Base::Version(1), "top, second").await;
    let here = revision(&ctx, project).await;
    let cases = [
        vec![mv("src", "lib", Base::Revision(here))],
        vec![mv("top", "docs/top", Base::Version(2)), rm("docs/c", Base::Version(1))],
        vec![cp("src", "copy", Base::Revision(here)), FileStep::CreateDirectory { path: "empty".to_owned() }],
        vec![rm("src", Base::Revision(here)), rm("docs", Base::Revision(here)), rm("top", Base::Version(2))],
        vec![restore("top", Some(1), Base::Version(2))],
        vec![mv("src/a", "src/x", Base::Version(1)), mv("src/x", "src/y", Base::Version(1)), mv("src", "z", Base::Revision(here))],
        vec![mv("src/a", "src/a", Base::Version(1))],
    ];
    let mut here = here;
    for steps in cases {
        // What was based on the beginning still is, since taking a step back makes what it was.
        let before = content(&ctx, project).await;
        let is_idle = matches!(&steps[..], [FileStep::Move { from, to, .. }] if from == to);
        let steps = steps.into_iter().map(|step| rebase(step, here, &ctx, project)).collect::<Vec<_>>();
        let steps = futures::future::join_all(steps).await;
        let (revision, undo) = change(&ctx, project, steps.clone()).await;
        assert_eq!(revision, if is_idle { here } else { here + 1 }, "{steps:?}");
        if is_idle {
            assert!(undo.is_empty());
            continue;
        }
        let after = content(&ctx, project).await;
        assert_ne!(after, before);
        let (_, redo) = change(&ctx, project, undo.clone()).await;
        assert_eq!(content(&ctx, project).await, before, "{steps:?} taken back by {undo:?}");
        let (_, undo) = change(&ctx, project, redo.clone()).await;
        assert_eq!(content(&ctx, project).await, after, "{undo:?} taken back by {redo:?}");
        here = change(&ctx, project, undo).await.0;
        assert_eq!(content(&ctx, project).await, before);
    }
}

/// The same step, based on what is there now.
async fn rebase(step: FileStep, here: i64, ctx: &Ctx, project: ProjectId) -> FileStep {
    let now = async |path: &str, base: Base| match base {
        Base::Version(_) => files::entry(ctx, project, path).await.map_or(base, |entry| Base::Version(entry.version)),
        Base::Revision(_) => Base::Revision(here),
        Base::New => Base::New,
    };
    match step {
        FileStep::Move { from, to, base } => FileStep::Move { base: now(&from, base).await, from, to },
        FileStep::Copy { from, to, base } => FileStep::Copy { base: now(&from, base).await, from, to },
        FileStep::Delete { path, base } => FileStep::Delete { base: now(&path, base).await, path },
        FileStep::Restore { path, version, base } => FileStep::Restore { base: now(&path, base).await, path, version },
        step => step,
    }
}

async fn a_step_on_something_that_changed_is_refused_with_names(home: Home) {
    let ctx = home.person("ada").await;
    let project = home.project(&ctx).await.id;
    for path in ["d/a", "d/b", "d/c", "e/x"] {
        save(&ctx, project, path, Base::New, "1").await;
    }
    let seen = revision(&ctx, project).await;
    save(&ctx, project, "d/a", Base::Version(1), "2").await;
    change(&ctx, project, vec![rm("d/b", Base::Version(1))]).await;
    save(&ctx, project, "d/new", Base::New, "1").await;
    for step in [mv("d", "f", Base::Revision(seen)), cp("d", "f", Base::Revision(seen)), rm("d", Base::Revision(seen))] {
        let found = conflicts(&ctx, project, vec![step]).await;
        let named: Vec<_> = found.iter().map(|c| (c.path.as_str(), c.current.as_ref().map(|entry| entry.version))).collect();
        assert_eq!(named, [("d/a", Some(2)), ("d/b", None), ("d/new", Some(1))]);
        assert!(found[0].reason.contains("ada"), "{}", found[0].reason);
    }
    let several =
        vec![rm("d/a", Base::Version(1)), rm("d/c", Base::Version(1)), rm("d/b", Base::Version(1)), rm("e", Base::Revision(seen))];
    let found = conflicts(&ctx, project, several).await;
    assert_eq!(found.iter().map(|c| c.path.as_str()).collect::<Vec<_>>(), ["d/a", "d/b"], "all or none, and all that stand in the way");
    let taken = conflicts(&ctx, project, vec![mv("d/c", "e/x", Base::Version(1))]).await;
    assert_eq!((taken[0].path.as_str(), taken[0].current.as_ref().unwrap().version), ("e/x", 1));
    assert_eq!(conflicts(&ctx, project, vec![mv("e", "d", Base::Revision(seen))]).await[0].path, "d");
    assert_eq!(conflicts(&ctx, project, vec![mv("e", "d/a/e", Base::Revision(seen))]).await[0].path, "d/a/e/x");
    for (step, field) in [
        (mv("d", "d/e", Base::Revision(seen)), "to"),
        (mv("d", "q", Base::Version(1)), "base"),
        (rm("d/a", Base::New), "base"),
        (mv("d", "../q", Base::Revision(seen)), "path"),
    ] {
        let refused = files::change(&ctx, project, ChangeFiles { steps: vec![step] }).await;
        assert!(matches!(&refused, Err(Error::Invalid(fields)) if fields[0].field == field), "{refused:?}");
    }
    // What is unchanged since may go although other files have changed.
    change(&ctx, project, vec![mv("e", "g", Base::Revision(seen))]).await;
}

async fn what_a_step_makes_can_be_the_base_of_the_next(home: Home) {
    let ctx = home.person("ada").await;
    let project = home.project(&ctx).await.id;
    save(&ctx, project, "d/a", Base::New, "a").await;
    let here = revision(&ctx, project).await;
    let swap = vec![
        mv("d/a", "tmp", Base::Version(1)),
        FileStep::CreateDirectory { path: "e".to_owned() },
        mv("tmp", "e/a", Base::Version(1)),
        mv("e", "d", Base::Revision(here)),
        cp("d", "e", Base::Revision(here)),
    ];
    change(&ctx, project, swap).await;
    let expected = [("d", "/"), ("d/a", "a"), ("e", "/"), ("e/a", "a")].map(|(path, text)| (path.to_owned(), text.to_owned()));
    assert_eq!(content(&ctx, project).await, BTreeMap::from(expected));
    let totals = domain::projects::get(&ctx, project).await.unwrap();
    assert_eq!((totals.file_count, totals.size_bytes, totals.revision), (2, 2, here + 1));
}

async fn the_trash_holds_what_was_deleted_and_nothing_else(home: Home) {
    let ctx = home.person("ada").await;
    let project = home.project(&ctx).await.id;
    for path in ["d/a", "d/deep/b", "d/deep/c", "x/1", "x/2", "y", "z"] {
        save(&ctx, project, path, Base::New, path).await;
    }
    let here = revision(&ctx, project).await;
    change(&ctx, project, vec![mv("y", "yy", Base::Version(1))]).await;
    change(&ctx, project, vec![rm("d/deep", Base::Revision(here)), rm("z", Base::Version(1))]).await;
    change(&ctx, project, vec![rm("d", Base::Revision(here + 2))]).await;
    let listed = |items: Vec<wire::files::TrashItem>| items.into_iter().map(|i| (i.path, i.kind, i.files, i.size)).collect::<Vec<_>>();
    let trash = files::trash(&ctx, project).await.unwrap();
    assert_eq!(trash[0].deleted_by.as_ref().unwrap().name, "ada");
    assert_eq!(
        listed(trash),
        [
            ("d".to_owned(), EntryKind::Directory, 1, 3),
            ("d/deep".to_owned(), EntryKind::Directory, 2, 16),
            ("z".to_owned(), EntryKind::File, 1, 1)
        ]
    );
    // A command that removes a directory leaves one item, not one for each file.
    let gone = |path: &str| files::WorkChange { path: path.to_owned(), kind: EntryKind::File, checksum: None, size: 0, mode: 0o644 };
    let here = revision(&ctx, project).await;
    let saved = files::commit_changes(&ctx, project, here, Origin::Run.into(), vec![gone("x/1"), gone("x/2")]).await.unwrap();
    assert_eq!(saved.written.len(), 2);
    assert_eq!(listed(files::trash(&ctx, project).await.unwrap())[0], ("x".to_owned(), EntryKind::Directory, 2, 6));
    change(&ctx, project, vec![restore("x", None, Base::New)]).await;
    change(&ctx, project, vec![restore("d", None, Base::New)]).await;
    let found = content(&ctx, project).await;
    assert_eq!(found.keys().collect::<Vec<_>>(), ["d/a", "x/1", "x/2", "yy"], "only what went in the same step comes back");
    assert_eq!(files::trash(&ctx, project).await.unwrap().len(), 2);
    let stranger = home.person("mallory").await;
    assert!(matches!(files::trash(&stranger, project).await, Err(Error::NotFound(_))));
}

async fn a_restore_never_overwrites(home: Home) {
    let ctx = home.person("ada").await;
    let project = home.project(&ctx).await.id;
    for path in ["d/a", "d/b"] {
        save(&ctx, project, path, Base::New, "old").await;
    }
    let here = revision(&ctx, project).await;
    change(&ctx, project, vec![rm("d", Base::Revision(here))]).await;
    save(&ctx, project, "d/a", Base::New, "new").await;
    assert_eq!(conflicts(&ctx, project, vec![restore("d", None, Base::New)]).await[0].path, "d");
    let here = revision(&ctx, project).await;
    let (_, undo) = change(&ctx, project, vec![restore("d", None, Base::Revision(here))]).await;
    assert_eq!(content(&ctx, project).await.into_iter().collect::<Vec<_>>(), [("d/a".into(), "new".into()), ("d/b".into(), "old".into())]);
    change(&ctx, project, undo).await;
    assert_eq!(content(&ctx, project).await.into_keys().collect::<Vec<_>>(), ["d/a"]);
    assert_eq!(conflicts(&ctx, project, vec![restore("d/a", Some(1), Base::Version(1))]).await[0].current.as_ref().unwrap().version, 3);
    assert_eq!(conflicts(&ctx, project, vec![restore("none", None, Base::New)]).await[0].path, "none");
    change(&ctx, project, vec![restore("d/a", Some(1), Base::Version(3))]).await;
    assert_eq!(content(&ctx, project).await["d/a"], "old");
}

async fn history_comes_in_pages_and_says_what_made_it(home: Home) {
    let ctx = home.person("ada").await;
    let project = home.project(&ctx).await.id;
    for version in 0..150 {
        let base = if version == 0 { Base::New } else { Base::Version(version) };
        save(&ctx, project, "a", base, &version.to_string()).await;
    }
    let first = files::history(&ctx, project, "a", None).await.unwrap();
    assert_eq!((first.items.len(), first.items[0].version, first.next_cursor.as_deref()), (100, 150, Some("51")));
    let last = files::history(&ctx, project, "a", Some(51)).await.unwrap();
    assert_eq!((last.items.len(), last.items[0].version, last.next_cursor), (50, 50, None));
    change(&ctx, project, vec![mv("a", "b", Base::Version(150))]).await;
    let moved = files::history(&ctx, project, "b", None).await.unwrap().items.remove(0);
    assert_eq!((moved.action, moved.moved_from.as_deref(), moved.origin), (FileAction::Added, Some("a"), Origin::Person));
    let run = uuid::Uuid::now_v7();
    let maker = files::Maker { origin: Origin::Run, cause: Some(run) };
    let stored = home.services.storage.local.put_bytes(b"made".to_vec()).await.unwrap();
    let work = files::WorkChange { path: "made".into(), kind: EntryKind::File, checksum: Some(stored.sha256), size: 4, mode: 0o755 };
    files::commit_changes(&ctx, project, revision(&ctx, project).await, maker, vec![work]).await.unwrap();
    let made = files::history(&ctx, project, "made", None).await.unwrap().items.remove(0);
    assert_eq!((made.origin, made.cause, made.mode), (Origin::Run, Some(run), 0o755));
    assert!(matches!(files::history(&ctx, project, "none", None).await, Err(Error::NotFound(_))));
}

/// What is done in few statements for many files leaves what is done one by one for few.
async fn a_large_folder_goes_as_a_small_one_does(home: Home) {
    let ctx = home.person("ada").await;
    let mut ends = Vec::new();
    for count in [20, 320] {
        let project = home.project(&ctx).await.id;
        let files = (0..count).map(|n| format!("Source/{}/é{n}.txt", n % 5));
        let mut batch = Vec::new();
        for path in files.chain(["Source-2/x".to_owned(), "lib/0/é0.txt".to_owned()]) {
            let bytes = files::receive(&ctx, project, Box::pin(std::io::Cursor::new(path.clone().into_bytes()))).await.unwrap();
            batch.push(files::BatchFile { path, base: Base::New, bytes });
        }
        files::save_batch(&ctx, project, batch).await.unwrap();
        files::create_directory(&ctx, project, "Source/empty").await.unwrap();
        // A deletion that is the last word where a file is going to be.
        change(&ctx, project, vec![rm("lib/0/é0.txt", Base::Version(1))]).await;
        let before = content(&ctx, project).await;
        let mut here = revision(&ctx, project).await;
        let mut sizes = Vec::new();
        for step in [
            mv("Source", "lib", Base::Revision(here)),
            cp("Source", "deep/copy", Base::Revision(here)),
            rm("Source", Base::Revision(here)),
            mv("Source", "SOURCE", Base::Revision(here)),
        ] {
            let (_, undo) = change(&ctx, project, vec![rebase(step, here, &ctx, project).await]).await;
            let after = content(&ctx, project).await;
            let totals = domain::projects::get(&ctx, project).await.unwrap();
            let is_file = |text: &&String| *text != "/";
            assert_eq!(totals.file_count, after.values().filter(is_file).count() as i64);
            assert_eq!(totals.size_bytes, after.values().filter(is_file).map(|text| text.len() as i64).sum::<i64>());
            let some = after.iter().filter(|(path, _)| path.ends_with("/0/é0.txt") || path.ends_with("empty") || path.ends_with('x'));
            sizes.push(some.map(|(path, text)| (path.clone(), text.clone())).collect::<Vec<_>>());
            sizes.push(
                files::trash(&ctx, project).await.unwrap().into_iter().map(|item| (item.path, (item.files > 1).to_string())).collect(),
            );
            here = change(&ctx, project, undo).await.0;
            assert_eq!(content(&ctx, project).await, before);
        }
        for path in ["lib/0/é0.txt", "Source/0/é0.txt", "Source/1/é1.txt"] {
            let versions = files::history(&ctx, project, path, None).await.unwrap().items;
            sizes.push(
                versions
                    .into_iter()
                    .map(|v| (format!("{} {:?}", v.version, v.action), format!("{:?} {:?} {:?}", v.moved_from, v.origin, v.kind)))
                    .collect(),
            );
        }
        assert!(conflicts(&ctx, project, vec![mv("Source", "SOURCE-2", Base::Revision(here))]).await[0].reason.contains("Source-2"));
        save(&ctx, project, "Source/new", Base::New, "x").await;
        assert_eq!(conflicts(&ctx, project, vec![mv("Source", "q", Base::Revision(here))]).await[0].path, "Source/new");
        ends.push(sizes);
    }
    assert_eq!(ends[0], ends[1]);
}

async fn of_eight_movers_one_wins(home: Home) {
    let ctx = home.person("ada").await;
    let project = home.project(&ctx).await.id;
    for n in 0..10 {
        save(&ctx, project, &format!("shared/{n}"), Base::New, &n.to_string()).await;
    }
    for round in 0..5 {
        let tree = files::tree(&ctx, project).await.unwrap();
        let from = tree.items[0].path.clone();
        let start = Arc::new(tokio::sync::Barrier::new(8));
        let movers = (0..8).map(|mover| {
            let (ctx, from, start, base) = (ctx.clone(), from.clone(), start.clone(), Base::Revision(tree.revision));
            tokio::spawn(async move {
                start.wait().await;
                let steps = vec![mv(&from, &format!("to-{round}-{mover}"), base)];
                matches!(files::change(&ctx, project, ChangeFiles { steps }).await.unwrap(), FilesChanged::Changed { .. })
            })
        });
        let won: Vec<bool> = futures::future::join_all(movers).await.into_iter().map(Result::unwrap).collect();
        assert_eq!(won.iter().filter(|won| **won).count(), 1, "{won:?}");
        let found = content(&ctx, project).await;
        let winner = won.iter().position(|won| *won).unwrap();
        let expected: BTreeMap<_, _> = (0..10).map(|n| (format!("to-{round}-{winner}/{n}"), n.to_string())).collect();
        assert_eq!(found, expected);
    }
}

/// Eight people add, change, rename and delete files in one folder, while a ninth moves the folder about. Each goes on from what is
/// there when told of a conflict. In the end exactly what they made is there.
async fn eight_writers_in_a_folder_that_moves_lose_nothing(home: Home) {
    let ctx = home.person("ada").await;
    let project = home.project(&ctx).await.id;
    save(&ctx, project, "folder-0/keep", Base::New, "kept").await;
    let writers = (0..8).map(|writer| {
        let ctx = ctx.clone();
        tokio::spawn(async move {
            for n in 0..6 {
                write_until_kept(&ctx, project, &format!("{writer}-{n}")).await;
                edit_until_kept(&ctx, project, &format!("{writer}-{n}"), n).await;
            }
        })
    });
    let mover = async {
        for n in 1..12 {
            loop {
                let (folder, here) = folder(&ctx, project).await;
                let steps = vec![mv(&folder, &format!("folder-{n}"), Base::Revision(here))];
                if let FilesChanged::Changed { .. } = files::change(&ctx, project, ChangeFiles { steps }).await.unwrap() {
                    break;
                }
            }
        }
    };
    let writers: Vec<_> = writers.collect();
    mover.await;
    for writer in writers {
        writer.await.unwrap();
    }
    let found = content(&ctx, project).await;
    let mut names: BTreeMap<String, String> = BTreeMap::new();
    for (path, text) in found {
        // A file that was added while the folder moved away made a folder of the old name again.
        names.insert(path.rsplit('/').next().unwrap().to_owned(), text);
    }
    let mut expected = BTreeMap::from([("keep".to_owned(), "kept".to_owned())]);
    for name in (0..8).flat_map(|writer| (0..6).map(move |n| (writer, n))) {
        let (writer, n) = name;
        match n % 3 {
            0 => expected.insert(format!("{writer}-{n}"), "edited".to_owned()),
            1 => expected.insert(format!("{writer}-{n}-renamed"), "first".to_owned()),
            _ => None,
        };
    }
    assert_eq!(names, expected);
    let totals = domain::projects::get(&ctx, project).await.unwrap();
    assert_eq!(totals.file_count, expected.len() as i64);
    assert_eq!(totals.size_bytes, expected.values().map(|text| text.len() as i64).sum::<i64>());
}

/// Where the folder is now, as of which revision.
async fn folder(ctx: &Ctx, project: ProjectId) -> (String, i64) {
    let tree = files::tree(ctx, project).await.unwrap();
    let keep = tree.items.iter().find(|entry| entry.path.ends_with("/keep")).unwrap();
    (keep.path.strip_suffix("/keep").unwrap().to_owned(), tree.revision)
}

async fn write_until_kept(ctx: &Ctx, project: ProjectId, name: &str) {
    let (folder, _) = folder(ctx, project).await;
    save(ctx, project, &format!("{folder}/{name}"), Base::New, "first").await;
}

async fn edit_until_kept(ctx: &Ctx, project: ProjectId, name: &str, n: usize) {
    loop {
        let tree = files::tree(ctx, project).await.unwrap();
        let own = tree.items.into_iter().find(|entry| entry.path.rsplit('/').next() == Some(name)).unwrap();
        let base = Base::Version(own.version);
        let is_done = match n % 3 {
            0 => {
                let request = SaveText { path: own.path, base, text: "edited".into(), format: Default::default() };
                matches!(files::save_text(ctx, project, request).await.unwrap(), SaveOutcome::Saved { .. })
            }
            kind => {
                let step = if kind == 1 { mv(&own.path, &format!("{}-renamed", own.path), base) } else { rm(&own.path, base) };
                let changed = files::change(ctx, project, ChangeFiles { steps: vec![step] }).await.unwrap();
                matches!(changed, FilesChanged::Changed { .. })
            }
        };
        if is_done {
            return;
        }
    }
}
