//! That something changed is noticed, wherever it happens, and ignored trees are quiet.

use super::tests::Bed;
use super::watch::Watch;
use super::*;
use std::time::Duration;

async fn is_told(watch: &mut Watch) -> bool {
    let told = tokio::time::timeout(Duration::from_millis(700), watch.changed()).await.is_ok();
    // What belongs to the same change may come a moment later.
    while tokio::time::timeout(Duration::from_millis(80), watch.changed()).await.is_ok() {}
    told
}

#[tokio::test]
async fn changes_are_told_in_new_directories_too() {
    let bed = Bed::three_files(true).await;
    let (ws, project) = (bed.workspaces.clone(), bed.project);
    let mut watch = ws.watch(project);
    let mut other = ws.watch(Uuid::now_v7());
    bed.as_job(|at| fs::create_dir_all(at.join("node_modules/x")).unwrap());
    ws.scan(project).await.unwrap();
    assert!(!watch.is_polling());
    assert!(!is_told(&mut watch).await, "nothing happened since the scan");
    bed.as_job(|at| fs::write(at.join("d/e/c.txt"), "changed").unwrap());
    assert!(is_told(&mut watch).await);
    bed.as_job(|at| fs::write(at.join("node_modules/x/y.js"), "x").unwrap());
    assert!(!is_told(&mut watch).await, "ignored directories are not watched");
    bed.as_job(|at| fs::create_dir_all(at.join("fresh/deep")).unwrap());
    assert!(is_told(&mut watch).await);
    ws.scan(project).await.unwrap();
    bed.as_job(|at| fs::write(at.join("fresh/deep/file"), "x").unwrap());
    assert!(is_told(&mut watch).await, "the scan extended the watch");
    ws.scan(project).await.unwrap();
    bed.as_job(|at| fs::remove_file(at.join("fresh/deep/file")).unwrap());
    assert!(is_told(&mut watch).await);
    bed.as_job(|at| fs::rename(at.join("fresh"), at.join("moved")).unwrap());
    assert!(is_told(&mut watch).await);
    ws.scan(project).await.unwrap();
    bed.as_job(|at| fs::write(at.join("moved/deep/again"), "x").unwrap());
    assert!(is_told(&mut watch).await, "moved directories go on being watched");
    assert!(tokio::time::timeout(Duration::from_millis(50), other.changed()).await.is_err(), "no other project hears of it");
    drop(watch);
    ws.scan(project).await.unwrap();
    let mut anew = ws.watch(project);
    ws.scan(project).await.unwrap();
    bed.as_job(|at| fs::write(at.join("a.txt"), "x").unwrap());
    assert!(is_told(&mut anew).await, "watching begins again after it ended");
}

#[tokio::test]
async fn a_link_is_not_watched_through() {
    let bed = Bed::three_files(true).await;
    let outside = tempfile::tempdir().unwrap();
    let target = outside.path().to_path_buf();
    bed.as_job(|at| std::os::unix::fs::symlink(&target, at.join("out")).unwrap());
    let mut watch = bed.workspaces.watch(bed.project);
    bed.workspaces.scan(bed.project).await.unwrap();
    fs::write(outside.path().join("x"), "x").unwrap();
    assert!(!is_told(&mut watch).await);
}
