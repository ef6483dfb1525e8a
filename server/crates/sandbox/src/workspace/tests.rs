//! Checkouts and branches without a mount; the mounted side is in the integration tests.

use super::*;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::os::unix::fs::symlink;
use std::time::Duration;

#[derive(Default)]
pub struct Blobs(pub HashMap<String, Vec<u8>>);

#[async_trait]
impl BytesSource for Blobs {
    async fn open(&self, sha256: &str) -> io::Result<Pin<Box<dyn AsyncRead + Send>>> {
        let bytes = self.0.get(sha256).cloned().ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::pin(io::Cursor::new(bytes)))
    }
}

pub struct Bed {
    _dir: tempfile::TempDir,
    pub workspaces: Workspaces,
    pub project: Uuid,
    pub blobs: Blobs,
}

impl Bed {
    pub fn new(overlay: bool) -> Bed {
        let dir = tempfile::tempdir().unwrap();
        let root = rustix::process::geteuid().is_root();
        let workspaces = Workspaces::open(dir.path(), root.then_some(1_500_000), overlay).unwrap();
        Bed { _dir: dir, workspaces, project: Uuid::now_v7(), blobs: Blobs::default() }
    }

    pub fn entry(&mut self, path: &str, text: &str) -> TreeEntry {
        self.entry_as(path, text, EntryKind::File)
    }

    pub fn entry_as(&mut self, path: &str, text: &str, kind: EntryKind) -> TreeEntry {
        let sha256 = hex::encode(Sha256::digest(text));
        self.blobs.0.insert(sha256.clone(), text.into());
        TreeEntry { path: path.into(), kind, mode: 0o644, sha256, size: text.len() as u64 }
    }

    pub async fn sync(&self, to: i64, changes: Changes) -> Result<Vec<Collision>> {
        let source = Arc::new(Blobs(self.blobs.0.clone()));
        self.workspaces.sync(self.project, to, changes, source).await
    }

    pub fn tree(&self) -> PathBuf {
        self.workspaces.project_dir(self.project).join("tree")
    }

    /// Writes as a job would: with the project's rights.
    pub fn as_job<T>(&self, work: impl FnOnce(&Path) -> T) -> T {
        let tree = self.tree();
        std::env::set_current_dir(&tree).unwrap();
        let _as_owner = AsOwner::enter(self.workspaces.owner(self.project).unwrap()).unwrap();
        work(Path::new("."))
    }

    pub async fn three_files(overlay: bool) -> Bed {
        let mut bed = Bed::new(overlay);
        let files = vec![bed.entry("a.txt", "one"), bed.entry("d/b.txt", "two"), bed.entry("d/e/c.txt", "three")];
        bed.sync(1, Changes::Full(files)).await.unwrap();
        bed
    }
}

pub fn directory(path: &str) -> TreeEntry {
    TreeEntry { path: path.into(), kind: EntryKind::Directory, mode: 0o755, sha256: String::new(), size: 0 }
}

pub fn brief(changes: &[Change]) -> Vec<(&str, ChangeAction)> {
    changes.iter().map(|c| (c.path.as_str(), c.action)).collect()
}

fn shown(changes: &[BranchChange]) -> Vec<(&str, BranchAction)> {
    changes.iter().map(|c| (c.path.as_str(), c.action)).collect()
}

#[tokio::test]
async fn sync_makes_the_revision_and_remembers_it() {
    let mut bed = Bed::three_files(true).await;
    let (ws, project) = (bed.workspaces.clone(), bed.project);
    assert_eq!(ws.revision(project), Some(1));
    assert_eq!(fs::read_to_string(bed.tree().join("d/e/c.txt")).unwrap(), "three");
    let upserts = vec![bed.entry("a.txt", "ONE"), bed.entry_as("link", "a.txt", EntryKind::Symlink)];
    let deletes = vec!["d/e/c.txt".to_owned()];
    let wrong = Changes::Since { from: 7, upserts: upserts.clone(), deletes: deletes.clone() };
    let refused = bed.sync(8, wrong).await.unwrap_err();
    assert!(matches!(refused, WorkspaceError::NeedFull { have: Some(1) }), "{refused}");
    bed.sync(2, Changes::Since { from: 1, upserts, deletes }).await.unwrap();
    assert_eq!(ws.revision(project), Some(2));
    assert_eq!(fs::read_to_string(bed.tree().join("a.txt")).unwrap(), "ONE");
    assert_eq!(fs::read_link(bed.tree().join("link")).unwrap(), Path::new("a.txt"));
    assert!(!bed.tree().join("d/e").exists(), "directories that became empty go");
    assert!(ws.scan(project).await.unwrap().is_empty());
    assert!(ws.open_file(project, "link").is_err(), "links are not followed");
    ws.drop_project(project).await.unwrap();
    assert!(!bed.tree().exists());
}

#[tokio::test]
async fn damaged_content_is_refused_and_asks_for_a_full_sync() {
    let mut bed = Bed::three_files(true).await;
    let mut entry = bed.entry("a.txt", "right");
    bed.blobs.0.insert(entry.sha256.clone(), b"wrong".to_vec());
    entry.size = 5;
    let refused = bed.sync(2, Changes::Since { from: 1, upserts: vec![entry], deletes: vec![] }).await.unwrap_err();
    assert!(matches!(refused, WorkspaceError::Corrupt { .. }), "{refused}");
    assert_eq!(fs::read_to_string(bed.tree().join("a.txt")).unwrap(), "one");
    assert_eq!(bed.workspaces.revision(bed.project), None);
}

#[tokio::test]
async fn scan_finds_what_changed_and_reads_nothing_else() {
    let mut bed = Bed::three_files(true).await;
    let (ws, project) = (bed.workspaces.clone(), bed.project);
    tokio::time::sleep(Duration::from_millis(40)).await;
    ws.scan(project).await.unwrap();
    assert_eq!(ws.scan_counting(project).await.unwrap().1, 0, "nothing changed, nothing read");
    bed.as_job(|at| {
        fs::write(at.join("a.txt"), "ONE").unwrap();
        fs::write(at.join("new.txt"), "new").unwrap();
        fs::remove_file(at.join("d/e/c.txt")).unwrap();
        fs::create_dir(at.join("node_modules")).unwrap();
        fs::write(at.join("node_modules/x.js"), "x").unwrap();
        fs::write(at.join(".gitignore"), "*.log\n").unwrap();
        fs::write(at.join("noise.log"), "x").unwrap();
        use std::os::unix::ffi::OsStrExt;
        fs::write(at.join("d").join(std::ffi::OsStr::from_bytes(b"caf\xe9")), "x").unwrap();
        symlink("/etc", at.join("out")).unwrap();
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(at.join("d/b.txt"), fs::Permissions::from_mode(0o755)).unwrap();
    });
    let (changes, _) = ws.scan_counting(project).await.unwrap();
    let expected = [
        (".gitignore", ChangeAction::Added),
        ("a.txt", ChangeAction::Modified),
        ("d/b.txt", ChangeAction::ModeChanged),
        ("d/caf\u{fffd}", ChangeAction::Unnameable),
        // Empty now, and there.
        ("d/e", ChangeAction::Added),
        ("d/e/c.txt", ChangeAction::Deleted),
        ("new.txt", ChangeAction::Added),
        ("out", ChangeAction::Added),
    ];
    assert_eq!(brief(&changes), expected);
    tokio::time::sleep(Duration::from_millis(40)).await;
    ws.scan(project).await.unwrap();
    bed.as_job(|at| fs::write(at.join("new.txt"), "NEW").unwrap());
    let (changes, reads) = ws.scan_counting(project).await.unwrap();
    assert_eq!((changes.len(), reads), (8, 1), "one file changed, one file read");
    let mut upserts = Vec::new();
    for change in changes.iter().filter(|c| !matches!(c.action, ChangeAction::Deleted | ChangeAction::Unnameable)) {
        upserts.push(TreeEntry {
            path: change.path.clone(),
            kind: change.kind,
            mode: change.mode,
            sha256: change.sha256.clone(),
            size: change.size,
        });
    }
    bed.blobs.0.clear();
    let deletes = vec!["d/e/c.txt".to_owned()];
    bed.sync(2, Changes::Since { from: 1, upserts, deletes }).await.expect("what is on disk is not fetched");
    assert_eq!(brief(&ws.scan(project).await.unwrap()), [("d/caf\u{fffd}", ChangeAction::Unnameable)]);
}

#[tokio::test]
async fn a_planted_link_does_not_lead_a_sync_out_of_the_tree() {
    let mut bed = Bed::three_files(true).await;
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("b.txt"), "untouched").unwrap();
    let target = outside.path().to_path_buf();
    bed.as_job(|at| {
        fs::remove_dir_all(at.join("d")).unwrap();
        symlink(&target, at.join("d")).unwrap();
    });
    assert!(bed.workspaces.open_file(bed.project, "d/b.txt").is_err());
    assert!(bed.workspaces.open_file(bed.project, "../../run/uids.json").is_err());
    let upserts = vec![bed.entry("d/b.txt", "changed")];
    let deletes = vec!["d/e/c.txt".to_owned()];
    bed.sync(2, Changes::Since { from: 1, upserts, deletes }).await.unwrap();
    assert_eq!(fs::read_to_string(target.join("b.txt")).unwrap(), "untouched");
    assert_eq!(fs::read_to_string(bed.tree().join("d/b.txt")).unwrap(), "changed");
    for path in ["../x", "/x", "a/../../x", ""] {
        let bad = vec![bed.entry(path, "x")];
        assert!(bed.sync(3, Changes::Full(bad)).await.is_err(), "{path:?}");
    }
}

#[tokio::test]
async fn branch_edits_are_the_same_over_an_overlay_and_in_a_copy() {
    for overlay in [true, false] {
        let bed = Bed::three_files(overlay).await;
        let (ws, project, branch) = (bed.workspaces.clone(), bed.project, Uuid::now_v7());
        ws.create_branch(project, branch).await.unwrap();
        assert!(ws.branch_changes(project, branch).await.unwrap().is_empty());
        let read = async |path: &str| ws.branch_read(project, branch, path, 100).await.unwrap();
        let write = async |path: &str, text: &str| ws.branch_write(project, branch, path, bytes::Bytes::from(text.to_owned()), 0o644).await;
        write("a.txt", "changed").await.unwrap();
        write("new/deep/file", "new").await.unwrap();
        ws.branch_rename(project, branch, "d/e", "moved").await.unwrap();
        ws.branch_remove(project, branch, "d/b.txt").await.unwrap();
        assert_eq!(read("a.txt").await.unwrap(), "changed");
        assert_eq!(read("moved/c.txt").await.unwrap(), "three");
        assert!(read("d/b.txt").await.is_none() && read("d/e/c.txt").await.is_none());
        let expected = [
            ("a.txt", BranchAction::Modified),
            ("d/b.txt", BranchAction::Deleted),
            ("d/e/c.txt", BranchAction::Deleted),
            ("moved/c.txt", BranchAction::Added),
            ("new/deep/file", BranchAction::Added),
        ];
        assert_eq!(shown(&ws.branch_changes(project, branch).await.unwrap()), expected, "overlay {overlay}");
        let listed = ws.branch_list(project, branch, "").await.unwrap();
        let listed: Vec<_> = listed.iter().map(|e| e.path.as_str()).collect();
        assert_eq!(listed, ["a.txt", "moved/c.txt", "new/deep/file"]);
        // Nothing was left in `d`, so it went too; made anew it shows nothing of the old.
        write("d/e/c.txt", "three").await.unwrap();
        assert!(read("d/b.txt").await.is_none());
        let changes = ws.branch_changes(project, branch).await.unwrap();
        assert!(!shown(&changes).iter().any(|(p, _)| *p == "d/e/c.txt"), "same content again is no change");
        assert!(shown(&changes).contains(&("d/b.txt", BranchAction::Deleted)));
        for bad in ["../x", "/x", "a/../b", "a.txt/x"] {
            assert!(write(bad, "x").await.is_err(), "{bad}");
        }
        assert_eq!(fs::read_to_string(bed.tree().join("a.txt")).unwrap(), "one", "the checkout stays");
        ws.drop_branch(project, branch).await.unwrap();
        assert!(matches!(ws.branch_read(project, branch, "a.txt", 9).await, Err(WorkspaceError::NoBranch)));
    }
}

#[tokio::test]
async fn empty_directories_of_a_branch_are_the_same_over_an_overlay_and_in_a_copy() {
    for overlay in [true, false] {
        let bed = Bed::three_files(overlay).await;
        let (ws, project, branch) = (bed.workspaces.clone(), bed.project, Uuid::now_v7());
        let upserts = vec![directory("kept"), directory("lost"), directory("d"), directory("gone/deep")];
        bed.sync(2, Changes::Since { from: 1, upserts, deletes: vec![] }).await.unwrap();
        ws.create_branch(project, branch).await.unwrap();
        assert!(ws.branch_changes(project, branch).await.unwrap().is_empty(), "overlay {overlay}");
        let at = ws.project_dir(project).join("branches").join(branch.to_string()).join(if overlay { "upper" } else { "copy" });
        // As a command leaves it, without a mount.
        let as_command = |work: &dyn Fn(&Path)| {
            std::env::set_current_dir(&at).unwrap();
            let _as_owner = AsOwner::enter(ws.owner(project).unwrap()).unwrap();
            work(Path::new("."));
        };
        as_command(&|at| fs::create_dir_all(at.join("made/deep")).unwrap());
        ws.branch_remove(project, branch, "lost").await.unwrap();
        ws.branch_remove(project, branch, "gone").await.unwrap();
        for path in ["d/b.txt", "d/e/c.txt"] {
            ws.branch_remove(project, branch, path).await.unwrap();
        }
        let expected = [
            ("d/b.txt", BranchAction::Deleted),
            ("d/e/c.txt", BranchAction::Deleted),
            ("gone/deep", BranchAction::Deleted),
            ("lost", BranchAction::Deleted),
            ("made/deep", BranchAction::Added),
        ];
        let changes = ws.branch_changes(project, branch).await.unwrap();
        assert_eq!(shown(&changes), expected, "overlay {overlay}: what the project holds for itself stays, `d/e` goes with its file");
        assert!(changes.iter().skip(2).all(|change| change.kind == EntryKind::Directory && change.sha256.is_none()));
        // What a command empties stays as an empty directory.
        ws.branch_write(project, branch, "new/only.txt", bytes::Bytes::from_static(b"x"), 0o644).await.unwrap();
        as_command(&|at| fs::remove_file(at.join("new/only.txt")).unwrap());
        let changes = ws.branch_changes(project, branch).await.unwrap();
        assert_eq!(shown(&changes).last(), Some(&("new", BranchAction::Added)), "overlay {overlay}");
        // A file in the place of one that the project holds.
        ws.branch_remove(project, branch, "kept").await.unwrap();
        ws.branch_write(project, branch, "kept", bytes::Bytes::from_static(b"x"), 0o644).await.unwrap();
        let changes = ws.branch_changes(project, branch).await.unwrap();
        let at_kept: Vec<_> = changes.iter().filter(|change| change.path == "kept").map(|change| (change.action, change.kind)).collect();
        let expected = [(BranchAction::Deleted, EntryKind::Directory), (BranchAction::Added, EntryKind::File)];
        assert_eq!(at_kept, expected, "overlay {overlay}: what was lost comes first");
    }
}
