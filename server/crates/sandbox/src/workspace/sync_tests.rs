//! Nothing that a command wrote is overwritten unseen; what idles is cleaned up; many files are no trouble.

use super::tests::{Bed, brief, directory};
use super::*;
use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::Duration;

fn read(bed: &Bed, path: &str) -> String {
    fs::read_to_string(bed.tree().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Names in a directory of the checkout.
fn names(bed: &Bed, dir: &str) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(bed.tree().join(dir)).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn what_both_changed_is_kept_beside() {
    let mut bed = Bed::three_files(true).await;
    bed.as_job(|at| {
        fs::write(at.join("a.txt"), "by a command").unwrap();
        fs::write(at.join("d/b.txt"), "also by a command").unwrap();
        fs::remove_file(at.join("d/e/c.txt")).unwrap();
        fs::write(at.join("mine.txt"), "new").unwrap();
        fs::write(at.join("both.txt"), "one way").unwrap();
    });
    let upserts = vec![bed.entry("a.txt", "by a person"), bed.entry("d/e/c.txt", "kept"), bed.entry("both.txt", "the other way")];
    let deletes = vec!["d/b.txt".to_owned()];
    let collisions = bed.sync(2, Changes::Since { from: 1, upserts, deletes }).await.unwrap();
    let mut told: Vec<_> = collisions.iter().map(|c| (c.path.as_str(), c.beside.is_some())).collect();
    told.sort_unstable();
    assert_eq!(told, [("a.txt", true), ("both.txt", true), ("d/b.txt", true), ("d/e/c.txt", false)]);
    assert_eq!((read(&bed, "a.txt"), read(&bed, "d/e/c.txt")), ("by a person".into(), "kept".into()));
    assert_eq!((read(&bed, "both.txt"), read(&bed, "mine.txt")), ("the other way".into(), "new".into()));
    let beside = |path: &str| collisions.iter().find(|c| c.path == path).unwrap().beside.clone().unwrap();
    assert_eq!(read(&bed, &beside("a.txt")), "by a command");
    assert_eq!(read(&bed, &beside("d/b.txt")), "also by a command");
    assert!(beside("a.txt").starts_with("a.conflict-") && beside("a.txt").ends_with(".txt"), "{}", beside("a.txt"));
    assert!(!bed.tree().join("d/b.txt").exists());
    let changes = bed.workspaces.scan(bed.project).await.unwrap();
    let mut expected = vec![beside("a.txt"), beside("both.txt"), beside("d/b.txt"), "mine.txt".into()];
    expected.sort();
    assert_eq!(changes.iter().map(|c| c.path.clone()).collect::<Vec<_>>(), expected, "all of it waits to be saved");
    assert!(changes.iter().all(|c| c.action == ChangeAction::Added && c.base == 2));
}

#[tokio::test]
async fn who_has_it_mounted_learns_that_the_checkout_is_wanted() {
    let bed = Bed::three_files(true).await;
    let (ws, project) = (&bed.workspaces, bed.project);
    let mounted = ws.locks(project).lower.clone().read_owned().await;
    assert!(!ws.is_wanted(project), "others may have it mounted too");
    let waits = tokio::spawn({
        let ws = ws.clone();
        async move { drop(ws.lock_lower_for_writing(project).await) }
    });
    while !ws.is_wanted(project) {
        tokio::task::yield_now().await;
    }
    drop(mounted);
    waits.await.unwrap();
    assert!(!ws.is_wanted(project));
}

#[tokio::test]
async fn what_was_saved_is_known_and_what_came_after_it_stays() {
    let mut bed = Bed::three_files(true).await;
    let (ws, project) = (bed.workspaces.clone(), bed.project);
    bed.as_job(|at| {
        fs::write(at.join("a.txt"), "second").unwrap();
        fs::remove_file(at.join("d/b.txt")).unwrap();
    });
    assert_eq!(ws.scan(project).await.unwrap().len(), 2);
    let second = bed.entry("a.txt", "second");
    let saved = |entry: &TreeEntry| SavedFile { path: entry.path.clone(), content: Some(entry.clone()) };
    let gone = SavedFile { path: "d/b.txt".into(), content: None };
    // Somebody else's revision 2 lies between: the checkout still shows 1.
    ws.note_saved(project, 3, vec![saved(&second), gone]).await.unwrap();
    assert_eq!(ws.revision(project), Some(1));
    assert!(ws.scan(project).await.unwrap().is_empty(), "saved is saved");
    bed.as_job(|at| {
        fs::write(at.join("a.txt"), "third").unwrap();
        fs::write(at.join("d/b.txt"), "again").unwrap();
    });
    let changes = ws.scan(project).await.unwrap();
    assert_eq!(brief(&changes), [("a.txt", ChangeAction::Modified), ("d/b.txt", ChangeAction::Added)]);
    assert!(changes.iter().all(|c| c.base == 3), "{changes:?}");
    let upserts = vec![second, bed.entry("other.txt", "of revision 2")];
    let deletes = vec!["d/b.txt".to_owned()];
    let collisions = bed.sync(3, Changes::Since { from: 1, upserts, deletes }).await.unwrap();
    assert_eq!(collisions, [], "our own revision never competes with what came after it");
    assert_eq!((read(&bed, "a.txt"), read(&bed, "d/b.txt")), ("third".into(), "again".into()));
    let third = bed.entry("a.txt", "third");
    ws.note_saved(project, 4, vec![saved(&third)]).await.unwrap();
    assert_eq!(ws.revision(project), Some(4), "the next revision, and all of it from here");
    // Somebody saves over what came from here: that is no collision either.
    let upserts = vec![bed.entry("a.txt", "fourth")];
    assert_eq!(bed.sync(5, Changes::Since { from: 4, upserts, deletes: vec![] }).await.unwrap(), []);
    assert_eq!(read(&bed, "a.txt"), "fourth");
}

#[tokio::test]
async fn directories_files_and_links_in_each_others_way() {
    let mut bed = Bed::three_files(true).await;
    let outside = tempfile::tempdir().unwrap();
    let target = outside.path().to_path_buf();
    bed.as_job(|at| {
        fs::remove_file(at.join("a.txt")).unwrap();
        fs::create_dir_all(at.join("a.txt/sub")).unwrap();
        fs::write(at.join("a.txt/sub/work"), "work").unwrap();
        fs::set_permissions(at.join("a.txt"), Permissions::from_mode(0o500)).unwrap();
        fs::remove_dir_all(at.join("d/e")).unwrap();
        fs::write(at.join("d/e"), "a file now").unwrap();
        fs::remove_file(at.join("d/b.txt")).unwrap();
        symlink(&target, at.join("d/b.txt")).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, at.join("fifo"), rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
        symlink("nowhere", at.join("dangling")).unwrap();
        symlink(".", at.join("loop")).unwrap();
    });
    assert!(bed.workspaces.scan(bed.project).await.is_ok(), "links, pipes and loops disturb no scan");
    let upserts = vec![
        bed.entry("a.txt", "file"),
        bed.entry("d/e/c.txt", "changed"),
        bed.entry("d/b.txt/x", "below"),
        bed.entry("fifo", "plain"),
        bed.entry("dangling", "plain"),
    ];
    let collisions = bed.sync(2, Changes::Since { from: 1, upserts, deletes: vec!["d/b.txt".into()] }).await.unwrap();
    for (path, text) in [("a.txt", "file"), ("d/e/c.txt", "changed"), ("d/b.txt/x", "below"), ("fifo", "plain"), ("dangling", "plain")] {
        assert_eq!(read(&bed, path), text);
    }
    let beside = |path: &str| collisions.iter().find(|c| c.path == path && c.beside.is_some()).unwrap().beside.clone().unwrap();
    assert_eq!(read(&bed, &format!("{}/sub/work", beside("a.txt"))), "work");
    assert_eq!(read(&bed, &beside("d/e")), "a file now");
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_file_that_comes_does_not_hide_one_that_goes() {
    let bed = Bed::three_files(true).await;
    bed.as_job(|at| {
        fs::rename(at.join("a.txt"), at.join("b.txt")).unwrap();
        fs::remove_file(at.join("d/e/c.txt")).unwrap();
        fs::write(at.join("d/e/x.txt"), "x").unwrap();
    });
    let expected = [
        ("a.txt", ChangeAction::Deleted),
        ("b.txt", ChangeAction::Added),
        ("d/e/c.txt", ChangeAction::Deleted),
        ("d/e/x.txt", ChangeAction::Added),
    ];
    for _ in 0..2 {
        assert_eq!(brief(&bed.workspaces.scan(bed.project).await.unwrap()), expected);
    }
}

#[tokio::test]
async fn an_interrupted_sync_loses_nothing() {
    let mut bed = Bed::three_files(true).await;
    bed.as_job(|at| {
        fs::write(at.join("a.txt"), "unsaved").unwrap();
        fs::write(at.join("new.txt"), "unsaved too").unwrap();
    });
    let mut broken = bed.entry("z.txt", "right");
    bed.blobs.0.insert(broken.sha256.clone(), b"wrong".to_vec());
    broken.size = 5;
    let upserts = vec![bed.entry("d/b.txt", "of revision 2"), broken];
    bed.sync(2, Changes::Since { from: 1, upserts, deletes: vec![] }).await.unwrap_err();
    assert_eq!(bed.workspaces.revision(bed.project), None);
    let all = vec![bed.entry("a.txt", "one"), bed.entry("d/b.txt", "of revision 2"), bed.entry("d/e/c.txt", "three")];
    let collisions = bed.sync(2, Changes::Full(all)).await.unwrap();
    assert_eq!(collisions.len(), 1, "{collisions:?}");
    assert_eq!((read(&bed, "a.txt"), read(&bed, "new.txt")), ("one".into(), "unsaved too".into()));
    assert_eq!(read(&bed, collisions[0].beside.as_deref().unwrap()), "unsaved");
}

#[tokio::test]
async fn empty_directories_are_laid_out() {
    let bed = Bed::three_files(true).await;
    let upserts = vec![directory("empty/inner"), directory("d/e")];
    bed.sync(2, Changes::Since { from: 1, upserts, deletes: vec!["d/e/c.txt".into()] }).await.unwrap();
    assert!(bed.tree().join("empty/inner").is_dir());
    assert!(bed.tree().join("d/e").is_dir(), "one the project holds stays when its last file goes");
    assert!(bed.workspaces.scan(bed.project).await.unwrap().is_empty());
    bed.sync(3, Changes::Since { from: 2, upserts: vec![], deletes: vec!["empty/inner".into(), "d/e".into()] }).await.unwrap();
    assert!(!bed.tree().join("empty").exists() && !bed.tree().join("d/e").exists());
    let other = Uuid::now_v7();
    let source = Arc::new(super::tests::Blobs::default());
    bed.workspaces.sync(other, 1, Changes::Full(vec![directory("first")]), source).await.unwrap();
    assert!(bed.workspaces.project_dir(other).join("tree/first").is_dir());
}

#[tokio::test]
async fn directories_that_commands_make_and_remove_are_seen() {
    let mut bed = Bed::three_files(true).await;
    let (ws, project) = (bed.workspaces.clone(), bed.project);
    bed.sync(2, Changes::Since { from: 1, upserts: vec![directory("held"), directory("left")], deletes: vec![] }).await.unwrap();
    bed.as_job(|at| {
        fs::create_dir_all(at.join("made/deep")).unwrap();
        fs::create_dir_all(at.join("node_modules/x")).unwrap();
        fs::remove_dir(at.join("held")).unwrap();
        fs::remove_file(at.join("d/e/c.txt")).unwrap();
        fs::remove_file(at.join("a.txt")).unwrap();
        fs::create_dir(at.join("a.txt")).unwrap();
        fs::remove_dir(at.join("left")).unwrap();
        fs::write(at.join("left"), "a file").unwrap();
    });
    let changes = ws.scan(project).await.unwrap();
    let expected = [
        ("a.txt", ChangeAction::Deleted),
        ("a.txt", ChangeAction::Added),
        ("d/e", ChangeAction::Added),
        ("d/e/c.txt", ChangeAction::Deleted),
        ("held", ChangeAction::Deleted),
        ("left", ChangeAction::Deleted),
        ("left", ChangeAction::Added),
        ("made/deep", ChangeAction::Added),
    ];
    assert_eq!(brief(&changes), expected);
    assert!(changes.iter().all(|change| change.base == 2));
    // Somebody else's revision 3 lies between: the checkout still shows 2.
    let file = bed.entry("left", "a file");
    let content = |change: &Change| match (change.action, change.kind) {
        (ChangeAction::Deleted, _) => None,
        (_, EntryKind::Directory) => Some(directory(&change.path)),
        _ => Some(file.clone()),
    };
    let saved = changes.iter().map(|change| SavedFile { path: change.path.clone(), content: content(change) }).collect();
    ws.note_saved(project, 4, saved).await.unwrap();
    assert!(ws.scan(project).await.unwrap().is_empty(), "saved is saved");
    bed.as_job(|at| {
        fs::remove_dir_all(at.join("made")).unwrap();
        fs::create_dir(at.join("held")).unwrap();
    });
    let changes = ws.scan(project).await.unwrap();
    assert_eq!(brief(&changes), [("held", ChangeAction::Added), ("made/deep", ChangeAction::Deleted)]);
    assert!(changes.iter().all(|change| change.base == 4), "based on what was saved: {changes:?}");
    // What came from here does not come again over what a command did since.
    let upserts = vec![directory("a.txt"), directory("d/e"), directory("made/deep"), file];
    let deletes = vec!["d/e/c.txt".to_owned(), "held".to_owned()];
    assert_eq!(bed.sync(4, Changes::Since { from: 2, upserts, deletes }).await.unwrap(), []);
    let left: Vec<_> = names(&bed, "").into_iter().filter(|name| name != "node_modules").collect();
    assert_eq!(left, ["a.txt", "d", "held", "left"]);
    let expected = [("held", ChangeAction::Added), ("made/deep", ChangeAction::Deleted)];
    assert_eq!(brief(&ws.scan(project).await.unwrap()), expected);
    assert_eq!(read(&bed, "left"), "a file");
    // Where the past of a checkout is not known, what the project does not hold goes, and is not taken for new.
    bed.as_job(|at| fs::create_dir_all(at.join("old/empty")).unwrap());
    fs::remove_file(ws.project_dir(project).join("state")).unwrap();
    *ws.lock_state(project).await = None;
    let entries = vec![directory("a.txt"), bed.entry("left", "a file")];
    bed.sync(5, Changes::Full(entries)).await.unwrap();
    let left: Vec<_> = names(&bed, "").into_iter().filter(|name| name != "node_modules").collect();
    assert_eq!(left, ["a.txt", "left"]);
    assert!(ws.scan(project).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_directory_and_a_file_take_each_others_place() {
    let mut bed = Bed::three_files(true).await;
    let (ws, project) = (bed.workspaces.clone(), bed.project);
    bed.sync(2, Changes::Since { from: 1, upserts: vec![directory("x"), directory("a.txt")], deletes: vec![] }).await.unwrap();
    assert!(bed.tree().join("a.txt").is_dir());
    assert!(ws.scan(project).await.unwrap().is_empty(), "the file that was there is not missed");
    let upserts = vec![bed.entry("x", "a file now")];
    bed.sync(3, Changes::Since { from: 2, upserts, deletes: vec![] }).await.unwrap();
    assert_eq!(read(&bed, "x"), "a file now");
    assert!(ws.scan(project).await.unwrap().is_empty(), "the directory that was there is not missed");
}

#[tokio::test]
async fn a_first_layout_needs_no_second_reading() {
    let mut bed = Bed::new(true);
    let mut files: Vec<_> = (0..3500).map(|i| bed.entry(&format!("d{}/e{}/f{i}.txt", i % 7, i % 31), &format!("file {i}"))).collect();
    files.push(bed.entry_as("link", "d0", EntryKind::Symlink));
    files[3].mode = 0o755;
    bed.sync(1, Changes::Full(files.clone())).await.unwrap();
    let (ws, project) = (bed.workspaces.clone(), bed.project);
    assert_eq!(ws.scan_counting(project).await.unwrap(), (vec![], 0));
    assert_eq!(read(&bed, "d1/e1/f1.txt"), "file 1");
    bed.as_job(|at| {
        fs::write(at.join("d0/e0/f0.txt"), "other").unwrap();
        fs::remove_dir_all(at.join("d1")).unwrap();
        fs::write(at.join("top.txt"), "new").unwrap();
    });
    let (changes, reads) = ws.scan_counting(project).await.unwrap();
    assert_eq!((changes.len(), reads), (502, 2));
    assert_eq!(changes.iter().filter(|c| c.action == ChangeAction::Deleted).count(), 500);
    assert!(changes.is_sorted_by(|a, b| a.path < b.path));
    // From the file, as after a restart.
    let again = Workspaces::open(bed.workspaces.inner.root.as_path(), bed.workspaces.inner.uid_base, true).unwrap();
    assert_eq!(again.revision(project), Some(1));
    assert_eq!(again.scan(project).await.unwrap().len(), 502);
}

#[tokio::test]
async fn what_a_run_left_is_read_and_removed_safely() {
    let bed = Bed::three_files(true).await;
    let (ws, project, branch) = (bed.workspaces.clone(), bed.project, Uuid::now_v7());
    ws.create_branch(project, branch).await.unwrap();
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret"), "secret").unwrap();
    let secret = outside.path().join("secret");
    bed.as_job(|at| {
        fs::create_dir(at.join(".cloudxdevai")).unwrap();
        fs::write(at.join(".cloudxdevai/report.xml"), "<report/>").unwrap();
        symlink(&secret, at.join(".cloudxdevai/link.xml")).unwrap();
        symlink(secret.parent().unwrap(), at.join("dir")).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, at.join("fifo"), rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
    });
    let listed = ws.scan(project).await.unwrap();
    assert!(listed.iter().all(|c| !c.path.starts_with(".cloudxdevai")), "reports are not versioned");
    let read = async |path: &str, max| (ws.read_capped(project, path, max).await, ws.branch_read_capped(project, branch, path, max).await);
    let whole = Some(b"<report/>".to_vec());
    assert_eq!(read(".cloudxdevai/report.xml", 9).await, (whole.clone(), whole));
    assert_eq!(read(".cloudxdevai/report.xml", 8).await, (None, None));
    for bad in [".cloudxdevai/link.xml", "dir/secret", "fifo", "d", "nothing", "../state", "/etc/hostname", ""] {
        assert_eq!(read(bad, 1000).await, (None, None), "{bad}");
    }
    ws.remove_path(project, ".cloudxdevai").await.unwrap();
    ws.remove_path(project, "not/there").await.unwrap();
    assert!(ws.remove_path(project, "../state").await.is_err() && ws.remove_path(project, "dir/secret").await.is_ok());
    assert!(secret.exists() && !names(&bed, "").contains(&".cloudxdevai".to_owned()));
}

#[tokio::test]
async fn idle_checkouts_go_and_others_stay() {
    let mut bed = Bed::three_files(true).await;
    let ws = bed.workspaces.clone();
    let source = Arc::new(super::tests::Blobs(bed.blobs.0.clone()));
    let files = vec![bed.entry("a.txt", "one")];
    let (used, branched, idle) = (Uuid::now_v7(), Uuid::now_v7(), bed.project);
    for project in [used, branched] {
        ws.sync(project, 1, Changes::Full(files.clone()), source.clone()).await.unwrap();
    }
    let guard = ws.in_use(used);
    let branch = Uuid::now_v7();
    ws.create_branch(branched, branch).await.unwrap();
    assert_eq!(ws.branches().unwrap(), [(branched, branch)]);
    let long = Duration::from_secs(3600);
    assert_eq!(ws.idle_cleanup(long, u64::MAX).await.unwrap(), Cleaned::default(), "nothing is old, nothing is too much");
    let cleaned = ws.idle_cleanup(Duration::ZERO, u64::MAX).await.unwrap();
    assert_eq!(cleaned.checkouts, 1);
    assert!(ws.revision(idle).is_none() && !ws.project_dir(idle).exists());
    assert_eq!((ws.revision(used), ws.revision(branched)), (Some(1), Some(1)));
    drop(guard);
    ws.drop_branch(branched, branch).await.unwrap();
    assert_eq!(ws.idle_cleanup(long, 0).await.unwrap().checkouts, 2, "over the budget, age does not matter");
    ws.sync(idle, 1, Changes::Full(files), source).await.expect("it is made again");
    assert_eq!(read(&bed, "a.txt"), "one");
}
