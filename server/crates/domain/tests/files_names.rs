//! Names that are one to other systems, names that are hostile, and links: the same rule through every door.

mod support;

use blobs::Stored;
use domain::{Ctx, Error, files};
use support::Home;
use wire::{
    ProjectId,
    files::{Base, BatchOutcome, ChangeFiles, EntryKind, FileStep, FilesChanged, Origin, SaveOutcome, SaveText, StartUpload},
};

on_both!(
    names_that_differ_only_in_case_or_composition_never_meet,
    a_case_only_rename_works,
    hostile_names_are_refused,
    links_are_entries,
    directories_of_commands_are_entries,
);

const E_ACUTE: &str = "caf\u{e9}";
const E_PLUS_ACUTE: &str = "cafe\u{301}";

async fn save(ctx: &Ctx, project: ProjectId, path: &str, base: Base, text: &str) -> Result<SaveOutcome, Error> {
    files::save_text(ctx, project, SaveText { path: path.to_owned(), base, text: text.to_owned(), format: Default::default() }).await
}

async fn step(ctx: &Ctx, project: ProjectId, step: FileStep) -> FilesChanged {
    files::change(ctx, project, ChangeFiles { steps: vec![step] }).await.unwrap()
}

async fn paths(ctx: &Ctx, project: ProjectId) -> Vec<String> {
    files::tree(ctx, project).await.unwrap().items.into_iter().map(|entry| entry.path).collect()
}

async fn revision(ctx: &Ctx, project: ProjectId) -> i64 {
    files::tree(ctx, project).await.unwrap().revision
}

async fn store(home: &Home, bytes: &[u8]) -> Stored {
    home.services.storage.local.put_bytes(bytes.to_vec()).await.unwrap()
}

async fn work(home: &Home, path: &str, kind: EntryKind, bytes: Option<&[u8]>) -> files::WorkChange {
    let stored = match bytes {
        Some(bytes) => Some(store(home, bytes).await),
        None => None,
    };
    let size = stored.as_ref().map_or(0, |stored| stored.size);
    files::WorkChange { path: path.to_owned(), kind, checksum: stored.map(|stored| stored.sha256), size, mode: 0o644 }
}

async fn names_that_differ_only_in_case_or_composition_never_meet(home: Home) {
    let ctx = home.person("ada").await;
    let project = home.project(&ctx).await.id;
    let taken = ["README.md".to_owned(), "src/main.rs".to_owned(), format!("{E_ACUTE}/menu"), "other".to_owned()];
    for path in &taken {
        save(&ctx, project, path, Base::New, "x").await.unwrap();
    }
    files::create_directory(&ctx, project, "Empty").await.unwrap();
    let before = paths(&ctx, project).await;
    let clashes = [
        "readme.md".to_owned(),
        "SRC/main.rs".to_owned(),
        "Src/new.rs".to_owned(),
        "src/Main.rs".to_owned(),
        format!("{E_PLUS_ACUTE}/menu"),
        format!("{E_PLUS_ACUTE}/new"),
        "src/MAIN.rs/below".to_owned(),
        "empty/x".to_owned(),
        "SRC".to_owned(),
        "readme.MD/x".to_owned(),
    ];
    for path in &clashes {
        let saved = save(&ctx, project, path, Base::New, "x").await;
        assert!(matches!(&saved, Err(Error::Conflict { detail, .. }) if detail.contains("upper and lower case")), "{path}: {saved:?}");
        let base = Base::Version(1);
        for step_of in [
            FileStep::Move { from: "other".into(), to: path.clone(), base },
            FileStep::Copy { from: "other".into(), to: path.clone(), base },
            FileStep::CreateDirectory { path: path.clone() },
        ] {
            let changed = step(&ctx, project, step_of).await;
            assert!(
                matches!(&changed, FilesChanged::Conflict { paths } if paths[0].reason.contains("upper and lower case")),
                "{path}: {changed:?}"
            );
        }
        let batch = files::BatchFile { path: path.clone(), base: Base::New, bytes: files::Received::Stored(store(&home, b"x").await) };
        let outcome = files::save_batch(&ctx, project, vec![batch]).await.unwrap();
        assert!(matches!(&outcome[..], [BatchOutcome::Refused { reason, .. }] if reason.contains("upper and lower case")), "{outcome:?}");
        let change = work(&home, path, EntryKind::File, Some(b"x")).await;
        let committed =
            files::commit_changes(&ctx, project, revision(&ctx, project).await, Origin::Run.into(), vec![change]).await.unwrap();
        assert_eq!((committed.written.len(), committed.refused.len()), (0, 1), "{path}");
    }
    assert_eq!(paths(&ctx, project).await, before);
    // Once the one spelling is gone the other may come, and then the first can't be restored beside it.
    step(&ctx, project, FileStep::Delete { path: "README.md".into(), base: Base::Version(1) }).await;
    save(&ctx, project, "readme.md", Base::New, "x").await.unwrap();
    let back = step(&ctx, project, FileStep::Restore { path: "README.md".into(), version: None, base: Base::New }).await;
    assert!(matches!(back, FilesChanged::Conflict { .. }), "{back:?}");
}

async fn a_case_only_rename_works(home: Home) {
    let ctx = home.person("ada").await;
    let project = home.project(&ctx).await.id;
    for path in ["readme", "src/a", "src/b", E_PLUS_ACUTE] {
        save(&ctx, project, path, Base::New, "x").await.unwrap();
    }
    let here = revision(&ctx, project).await;
    let FilesChanged::Changed { undo, .. } =
        step(&ctx, project, FileStep::Move { from: "readme".into(), to: "README".into(), base: Base::Version(1) }).await
    else {
        panic!("not renamed")
    };
    let moved = step(&ctx, project, FileStep::Move { from: "src".into(), to: "Src".into(), base: Base::Revision(here) }).await;
    assert!(matches!(moved, FilesChanged::Changed { .. }), "{moved:?}");
    let composed = FileStep::Move { from: E_PLUS_ACUTE.into(), to: E_ACUTE.into(), base: Base::Version(1) };
    assert!(matches!(step(&ctx, project, composed).await, FilesChanged::Changed { .. }));
    assert_eq!(paths(&ctx, project).await, ["README", "Src", "Src/a", "Src/b", E_ACUTE]);
    files::change(&ctx, project, ChangeFiles { steps: undo }).await.unwrap();
    // As a command does it: the old name goes and the new one comes.
    let changes = vec![work(&home, "README", EntryKind::File, Some(b"x")).await, work(&home, "readme", EntryKind::File, None).await];
    let committed = files::commit_changes(&ctx, project, revision(&ctx, project).await, Origin::Run.into(), changes).await.unwrap();
    assert_eq!((committed.written.len(), committed.refused.len()), (2, 0));
    assert_eq!(paths(&ctx, project).await, ["README", "Src", "Src/a", "Src/b", E_ACUTE]);
}

async fn hostile_names_are_refused(home: Home) {
    let ctx = home.person("ada").await;
    let project = home.project(&ctx).await.id;
    save(&ctx, project, "a", Base::New, "x").await.unwrap();
    let long = "n".repeat(256);
    let deep = format!("{}x", "d/".repeat(64));
    let far = format!("{}x", format!("{}/", "d".repeat(199)).repeat(20));
    let hostile = [
        "a\nb",
        "a\u{202e}b",
        "a\u{200f}",
        "..",
        "../a",
        "/etc/passwd",
        "a\\b",
        ".git/hooks/x",
        "x\0y",
        " a",
        "a//b",
        "",
        ".GIT/x",
        "a\u{61c}",
        "a\u{2029}",
        "a\u{200b}",
        &long,
        &deep,
        &far,
    ];
    for bad in hostile {
        assert!(matches!(save(&ctx, project, bad, Base::New, "x").await, Err(Error::Invalid(_))), "{bad:?}");
        let base = Base::Version(1);
        for step in [
            FileStep::Move { from: "a".into(), to: bad.into(), base },
            FileStep::Copy { from: "a".into(), to: bad.into(), base },
            FileStep::Delete { path: bad.into(), base },
            FileStep::Restore { path: bad.into(), version: None, base },
            FileStep::CreateDirectory { path: bad.into() },
        ] {
            let refused = files::change(&ctx, project, ChangeFiles { steps: vec![step] }).await;
            assert!(matches!(refused, Err(Error::Invalid(_))), "{bad:?}: {refused:?}");
        }
        assert!(matches!(
            files::start_upload(&ctx, project, StartUpload { path: bad.into(), size: 1, base: Base::New }).await,
            Err(Error::Invalid(_))
        ));
        assert!(matches!(files::open_text(&ctx, project, bad, None).await, Err(Error::Invalid(_))));
        assert!(matches!(files::history(&ctx, project, bad, None).await, Err(Error::Invalid(_))));
        let batch = files::BatchFile { path: bad.into(), base: Base::New, bytes: files::Received::Stored(store(&home, b"x").await) };
        assert!(matches!(files::save_batch(&ctx, project, vec![batch]).await.unwrap()[..], [BatchOutcome::Refused { .. }]), "{bad:?}");
        let change = work(&home, bad, EntryKind::File, Some(b"x")).await;
        let committed =
            files::commit_changes(&ctx, project, revision(&ctx, project).await, Origin::Terminal.into(), vec![change]).await.unwrap();
        assert_eq!((committed.written.len(), committed.refused.len()), (0, 1), "{bad:?}");
    }
    // A directory that moves may not push what lies in it over the limit.
    let nearly = format!("d/{}x", format!("{}/", "e".repeat(199)).repeat(19));
    save(&ctx, project, &nearly, Base::New, "x").await.unwrap();
    let here = revision(&ctx, project).await;
    let to = "m".repeat(200);
    let moved =
        files::change(&ctx, project, ChangeFiles { steps: vec![FileStep::Move { from: "d".into(), to, base: Base::Revision(here) }] })
            .await;
    assert!(matches!(moved, Err(Error::Invalid(_))), "{moved:?}");
    for good in ["-rf", "--help", "con", "NUL.txt", "a b", "…", &"n".repeat(255), "%2e%2e", "~", "$(x)"] {
        save(&ctx, project, good, Base::New, "x").await.unwrap();
    }
}

async fn links_are_entries(home: Home) {
    let ctx = home.person("ada").await;
    let project = home.project(&ctx).await.id;
    let here = revision(&ctx, project).await;
    let changes = vec![
        work(&home, "out", EntryKind::Symlink, Some(b"/etc/passwd")).await,
        work(&home, "dir/up", EntryKind::Symlink, Some(b"../../other")).await,
    ];
    let committed = files::commit_changes(&ctx, project, here, Origin::Run.into(), changes).await.unwrap();
    assert_eq!(committed.written.len(), 2);
    let opened = files::open_text(&ctx, project, "out", None).await.unwrap();
    assert_eq!(
        (opened.entry.kind, opened.text.as_deref(), opened.entry.content_type.as_str()),
        (EntryKind::Symlink, Some("/etc/passwd"), "inode/symlink")
    );
    let manifest = files::manifest(&ctx, project).await.unwrap();
    assert!(manifest.entries.iter().all(|entry| entry.kind == EntryKind::Symlink));
    // Nothing can be put below a link, so it leads no write anywhere.
    assert!(matches!(save(&ctx, project, "out/x", Base::New, "x").await, Err(Error::Conflict { .. })));
    // Saved as text it stays a link.
    save(&ctx, project, "out", Base::Version(1), "elsewhere").await.unwrap();
    assert_eq!(files::entry(&ctx, project, "out").await.unwrap().kind, EntryKind::Symlink);
    for bad in ["", "two\nlines", &"x".repeat(4001)] {
        assert!(matches!(save(&ctx, project, "out", Base::Version(2), bad).await, Err(Error::Conflict { .. })), "{bad:.20}");
    }
    // A link in place of a file, and a file in place of a link, are changes.
    let here = revision(&ctx, project).await;
    let file = vec![work(&home, "out", EntryKind::File, Some(b"elsewhere")).await];
    assert_eq!(files::commit_changes(&ctx, project, here, Origin::Run.into(), file).await.unwrap().written.len(), 1);
    assert_eq!(files::entry(&ctx, project, "out").await.unwrap().kind, EntryKind::File);
    let moved = step(&ctx, project, FileStep::Move { from: "dir/up".into(), to: "up".into(), base: Base::Version(1) }).await;
    assert!(matches!(moved, FilesChanged::Changed { .. }));
    assert_eq!(files::entry(&ctx, project, "up").await.unwrap().kind, EntryKind::Symlink);
}

/// What commands make and remove, by the same comparison as files.
async fn directories_of_commands_are_entries(home: Home) {
    let ctx = home.person("ada").await;
    let project = home.project(&ctx).await.id;
    let made = |path: &str| files::WorkChange {
        path: path.to_owned(),
        kind: EntryKind::Directory,
        checksum: Some(String::new()),
        size: 0,
        mode: 0o755,
    };
    let gone = |path: &str, kind: EntryKind| files::WorkChange { path: path.to_owned(), kind, checksum: None, size: 0, mode: 0o755 };
    let commit = async |base: i64, changes: Vec<files::WorkChange>| {
        files::commit_changes(&ctx, project, base, Origin::Run.into(), changes).await.unwrap()
    };
    let trash = async || files::trash(&ctx, project).await.unwrap().into_iter().map(|item| (item.path, item.kind)).collect::<Vec<_>>();
    for path in ["full/a.txt", "swap"] {
        save(&ctx, project, path, Base::New, "x").await.unwrap();
    }
    let base = revision(&ctx, project).await;
    let done = commit(base, vec![made("made/deep"), made("swap"), gone("swap", EntryKind::File), made("a\nb"), made("FULL")]).await;
    assert_eq!(done.written.len(), 3, "{done:?}");
    let refused: Vec<&str> = done.refused.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!((done.conflicts.len(), refused), (0, vec!["a\nb", "FULL"]), "held to the same names as files");
    assert_eq!(paths(&ctx, project).await, ["full", "full/a.txt", "made", "made/deep", "swap"]);
    assert_eq!(files::entry(&ctx, project, "swap").await.unwrap().kind, EntryKind::Directory);
    let again = commit(base, vec![made("made/deep"), made("swap")]).await;
    assert!(again.written.is_empty() && again.conflicts.is_empty() && again.revision == done.revision, "{again:?}");

    // Somebody made it anew since: theirs stays.
    files::delete(&ctx, project, "made/deep", support::AS_IT_IS).await.unwrap();
    files::create_directory(&ctx, project, "made/deep").await.unwrap();
    let late = commit(done.revision, vec![gone("made/deep", EntryKind::Directory)]).await;
    assert_eq!((late.written.len(), late.conflicts), (0, vec!["made/deep".to_owned()]));
    // What is gone was a directory; a file that stands there by now is not it, and the other way round.
    let here = revision(&ctx, project).await;
    let none = commit(here, vec![gone("full/a.txt", EntryKind::Directory), gone("swap", EntryKind::File)]).await;
    assert!(none.written.is_empty() && none.conflicts.is_empty(), "{none:?}");

    // One that went with what lay in it is one thing to bring back.
    save(&ctx, project, "made/deep/b.txt", Base::New, "b").await.unwrap();
    let here = revision(&ctx, project).await;
    let done = commit(here, vec![gone("made/deep/b.txt", EntryKind::File), gone("made/deep", EntryKind::Directory)]).await;
    assert_eq!((done.written.len(), paths(&ctx, project).await), (2, vec!["full".into(), "full/a.txt".into(), "swap".into()]));
    assert_eq!(trash().await[0].1, EntryKind::Directory);
    let whole = trash().await[0].0.clone();
    step(&ctx, project, FileStep::Restore { path: whole, version: None, base: Base::New }).await;
    assert_eq!(paths(&ctx, project).await, ["full", "full/a.txt", "made", "made/deep", "made/deep/b.txt", "swap"]);
    // A file in its place.
    let here = revision(&ctx, project).await;
    let file = work(&home, "swap", EntryKind::File, Some(b"a file")).await;
    let done = commit(here, vec![file, gone("swap", EntryKind::Directory)]).await;
    assert_eq!((done.written.len(), files::entry(&ctx, project, "swap").await.unwrap().kind), (2, EntryKind::File));
    let delta = files::changes_since(&ctx, project, here).await.unwrap();
    assert_eq!((delta.upserts.len(), delta.deletes.len()), (1, 0), "{delta:?}");
}
