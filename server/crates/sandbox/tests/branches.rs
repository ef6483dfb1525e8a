//! Commands on a branch: what they write lands in the branch, whatever it is made of.
#![allow(clippy::print_stdout)]

mod support;

use sandbox::{BranchAction, RunDir, TierChoice};
use std::time::Duration;
use support::{bed, is_root};
use uuid::Uuid;

#[tokio::test]
async fn a_command_changes_the_branch_and_not_the_checkout() {
    let tiers = if is_root() { vec![TierChoice::S3r, TierChoice::S2, TierChoice::S1] } else { vec![TierChoice::Auto] };
    for tier in tiers {
        let Some(bed) = bed(tier).await else { continue };
        let ws = bed.sandbox.workspaces();
        println!("{tier:?}: overlay {}", ws.uses_overlay());
        assert_eq!(ws.uses_overlay(), tier != TierChoice::S1, "{:#?}", bed.sandbox.probe_result());
        bed.checkout(bed.project, &[("readme.md", "hello\n"), ("src/a", "a"), ("src/b", "b"), ("old/x", "x"), ("run.sh", "")]).await;
        // Dependencies of the checkout are visible on the branch.
        bed.run("mkdir node_modules; echo dep > node_modules/dep").await;
        let (project, branch) = (bed.project, Uuid::now_v7());
        ws.create_branch(project, branch).await.unwrap();
        ws.branch_write(project, branch, "src/a", "by a tool".into(), 0o644).await.unwrap();
        ws.branch_remove(project, branch, "src/b").await.unwrap();
        let mut spec = bed.spec(
            "cat node_modules/dep src/a; ls src; echo more >> readme.md; rm -r old; mkdir old; echo new > old/new; \
             rm src/a; echo dep2 > node_modules/dep2; chmod +x run.sh; mkdir -p x/y; echo z > x/y/z",
        );
        spec.dir = RunDir::Branch { project, branch };
        let ran = bed.run_spec(spec.clone()).await;
        assert_eq!(ran.out, "dep\nby a toola\n", "{}", ran.err);
        assert_eq!(ran.err, "");
        let changes = ws.branch_changes(project, branch).await.unwrap();
        let brief: Vec<_> = changes.iter().map(|c| (c.path.as_str(), c.action)).collect();
        let expected = [
            ("old/new", BranchAction::Added),
            ("old/x", BranchAction::Deleted),
            ("readme.md", BranchAction::Modified),
            ("run.sh", BranchAction::ModeChanged),
            ("src", BranchAction::Added),
            ("src/a", BranchAction::Deleted),
            ("src/b", BranchAction::Deleted),
            ("x/y/z", BranchAction::Added),
        ];
        assert_eq!(brief, expected);
        let read = ws.branch_read(project, branch, "readme.md", 100).await.unwrap().unwrap();
        assert_eq!(&read[..], b"hello\nmore\n");
        let tree = bed.run("cat readme.md src/a src/b old/x; ls node_modules").await;
        assert_eq!(tree.out, "hello\nabxdep\n", "{}", tree.err);
        // The tools see what the command did, and the next command sees what the tools do.
        ws.branch_write(project, branch, "old/x", "back".into(), 0o644).await.unwrap();
        spec.id = Uuid::now_v7();
        spec.argv = sandbox::shell("cat old/x; ls old src");
        assert_eq!(bed.run_spec(spec).await.out, "backold:\nnew\nx\n\nsrc:\n");
        ws.drop_branch(project, branch).await.unwrap();
        assert!(!bed.dir.path().join(project.to_string()).join("branches").join(branch.to_string()).exists());
    }
}

#[tokio::test]
async fn a_sync_waits_for_a_mounted_branch() {
    let Some(bed) = bed(TierChoice::Auto).await else {
        return;
    };
    if !bed.sandbox.workspaces().uses_overlay() {
        println!("SKIPPED: no overlay here");
        return;
    }
    let (project, branch) = (bed.project, Uuid::now_v7());
    bed.sandbox.workspaces().create_branch(project, branch).await.unwrap();
    let mut spec = bed.spec("echo up; sleep 0.6");
    spec.dir = RunDir::Branch { project, branch };
    let mut running = bed.sandbox.start(spec).await.unwrap();
    running.output.recv().await.unwrap();
    let sync = bed.checkout(project, &[("readme.md", "changed\n")]);
    tokio::pin!(sync);
    assert!(tokio::time::timeout(Duration::from_millis(200), &mut sync).await.is_err(), "it waits");
    running.wait().await;
    tokio::time::timeout(Duration::from_secs(2), sync).await.expect("it goes on after the command");
}
