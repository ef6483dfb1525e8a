//! Random lives of projects against a plain map: after every step the project holds the same paths with the same modes and bytes, its
//! totals are right, and at the end every checkpoint still shows the tree that it was made of.

mod support;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use domain::{
    Ctx, checkpoints,
    files::{self, Precondition, WorkChange},
    storage,
};
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use support::Home;
use wire::{
    CheckpointId, ProjectId,
    checkpoints::{CreateCheckpoint, ForkProject, RestoreCheckpoint, RestoreOutcome},
    files::{Base, ChangeFiles, EntryKind, FileStep, FilesChanged, Origin},
};

on_both!(projects_live_as_their_models_do);

/// Files and directories that get in each other's way.
const PATHS: [&str; 10] = ["a", "a/b", "a/b/c.txt", "a/d.txt", "e.txt", "f/g.txt", "f/h/i.sh", "f/h/j", "k", "k/l.txt"];
const WORLDS_MAX: usize = 3;
/// So many that a step on their directory is one of whole statements.
const MANY: usize = 210;

#[derive(Debug, Clone)]
enum Step {
    Save {
        path: usize,
        content: u8,
        runs: bool,
    },
    /// Based on a version that is not the present one: has to change nothing.
    SaveStale {
        path: usize,
    },
    MakeDirectory {
        path: usize,
    },
    /// Many files below a path, as a run leaves them.
    Fill {
        path: usize,
    },
    Move {
        from: usize,
        to: usize,
    },
    Copy {
        from: usize,
        to: usize,
    },
    Delete {
        path: usize,
    },
    /// What was deleted last.
    Undelete,
    /// An earlier version of a file.
    RestoreVersion {
        path: usize,
        nth: usize,
    },
    Checkpoint,
    Restore {
        nth: usize,
        undo: bool,
    },
    RestoreSome {
        nth: usize,
        mask: u16,
    },
    Fork {
        nth: Option<usize>,
    },
    /// Go on in another project.
    Turn {
        to: usize,
    },
}

fn any_step() -> impl Strategy<Value = Step> {
    let path = 0..PATHS.len();
    prop_oneof![
        8 => (path.clone(), any::<u8>(), any::<bool>()).prop_map(|(path, content, runs)| Step::Save { path, content, runs }),
        1 => path.clone().prop_map(|path| Step::SaveStale { path }),
        1 => path.clone().prop_map(|path| Step::MakeDirectory { path }),
        1 => path.clone().prop_map(|path| Step::Fill { path }),
        3 => (path.clone(), path.clone()).prop_map(|(from, to)| Step::Move { from, to }),
        1 => (path.clone(), path.clone()).prop_map(|(from, to)| Step::Copy { from, to }),
        3 => path.clone().prop_map(|path| Step::Delete { path }),
        2 => Just(Step::Undelete),
        2 => (path, 0..20_usize).prop_map(|(path, nth)| Step::RestoreVersion { path, nth }),
        3 => Just(Step::Checkpoint),
        3 => (0..20_usize, any::<bool>()).prop_map(|(nth, undo)| Step::Restore { nth, undo }),
        2 => (0..20_usize, any::<u16>()).prop_map(|(nth, mask)| Step::RestoreSome { nth, mask }),
        1 => proptest::option::of(0..20_usize).prop_map(|nth| Step::Fork { nth }),
        1 => (0..WORLDS_MAX).prop_map(|to| Step::Turn { to }),
    ]
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    Directory,
    File { bytes: Vec<u8>, mode: i32 },
}

type Tree = BTreeMap<String, Node>;

/// Nothing lies below a file.
fn is_sound(tree: &Tree) -> bool {
    let is_file = |path: &str| matches!(tree.get(path), Some(Node::File { .. }));
    tree.keys().all(|path| path.match_indices('/').all(|(at, _)| !is_file(&path[..at])))
        && tree.iter().all(|(path, node)| *node == Node::Directory || !has_below(tree, path))
}

fn has_below(tree: &Tree, path: &str) -> bool {
    let prefix = format!("{path}/");
    tree.keys().any(|other| other.starts_with(&prefix))
}

fn exists(tree: &Tree, path: &str) -> bool {
    tree.contains_key(path) || has_below(tree, path)
}

/// The path itself and all below it.
fn part(tree: &Tree, path: &str) -> Tree {
    let prefix = format!("{path}/");
    tree.iter().filter(|(other, _)| *other == path || other.starts_with(&prefix)).map(|(path, node)| (path.clone(), node.clone())).collect()
}

/// A project and what it should hold.
struct World {
    project: ProjectId,
    tree: Tree,
    checkpoints: Vec<(CheckpointId, i64, Tree)>,
    /// What each version of a file held.
    versions: BTreeMap<String, Vec<(i64, Node)>>,
    /// What the last deletion took, while nothing has touched its paths since.
    trash: Option<(String, Tree)>,
}

impl World {
    fn new(project: ProjectId, tree: Tree) -> Self {
        Self { project, tree, checkpoints: Vec::new(), versions: BTreeMap::new(), trash: None }
    }

    async fn base(&self, ctx: &Ctx, path: &str) -> Base {
        match self.tree.get(path) {
            Some(Node::File { .. }) => Base::Version(files::entry(ctx, self.project, path).await.unwrap().version),
            _ if exists(&self.tree, path) => Base::Revision(self.revision(ctx).await),
            _ => Base::New,
        }
    }

    async fn revision(&self, ctx: &Ctx) -> i64 {
        domain::projects::get(ctx, self.project).await.unwrap().revision
    }

    /// One step on files: `wanted` is the tree that it has to lead to, or `None` where it has to be refused.
    async fn change(&mut self, ctx: &Ctx, step: FileStep, wanted: Option<Tree>) {
        let before = self.revision(ctx).await;
        let done = files::change(ctx, self.project, ChangeFiles { steps: vec![step.clone()] }).await;
        match (done, wanted) {
            (Ok(FilesChanged::Changed { revision, .. }), Some(wanted)) => {
                assert_eq!(revision, before + 1, "{step:?} is one revision");
                self.tree = wanted;
                self.trash = None;
            }
            (Ok(FilesChanged::Conflict { .. }) | Err(_), None) => {
                assert_eq!(self.revision(ctx).await, before, "a refused step makes no revision");
            }
            (done, wanted) => panic!("{step:?} answered {done:?}; wanted {:?}", wanted.map(|tree| tree.into_keys().collect::<Vec<_>>())),
        }
    }

    async fn save(&mut self, ctx: &Ctx, path: &str, bytes: Vec<u8>, mode: i32, precondition: Precondition) -> bool {
        let body: blobs::Reader = Box::pin(std::io::Cursor::new(bytes));
        files::put(ctx, self.project, path, precondition, body, Some(mode)).await.is_ok()
    }

    async fn take(&mut self, ctx: &Ctx, step: Step, number: usize) {
        match step {
            Step::Save { path, content, runs } => {
                let path = PATHS[path];
                let node = Node::File { bytes: vec![content; usize::from(content) % 7], mode: if runs { 0o755 } else { 0o644 } };
                let mut wanted = self.tree.clone();
                wanted.insert(path.to_owned(), node.clone());
                let is_allowed = is_sound(&wanted) && self.tree.get(path) != Some(&Node::Directory);
                let precondition = match self.base(ctx, path).await {
                    Base::Version(version) => Precondition::Version(version),
                    _ => Precondition::New,
                };
                let Node::File { bytes, mode } = node else { return };
                let done = self.save(ctx, path, bytes, mode, precondition).await;
                assert_eq!(done, is_allowed, "saving {path}");
                if done {
                    self.tree = wanted;
                    self.trash = None;
                }
            }
            Step::SaveStale { path } => {
                let stale = match self.base(ctx, PATHS[path]).await {
                    Base::Version(version) => Precondition::Version(version + 1),
                    _ => Precondition::Version(1),
                };
                assert!(!self.save(ctx, PATHS[path], b"lost".to_vec(), 0o644, stale).await);
            }
            Step::MakeDirectory { path } => {
                let path = PATHS[path].to_owned();
                let mut wanted = self.tree.clone();
                wanted.insert(path.clone(), Node::Directory);
                let wanted = (!exists(&self.tree, &path) && is_sound(&wanted)).then_some(wanted);
                self.change(ctx, FileStep::CreateDirectory { path }, wanted).await;
            }
            Step::Fill { path } => self.fill(ctx, PATHS[path]).await,
            Step::Move { from, to } if from != to => self.carry(ctx, PATHS[from], PATHS[to], true).await,
            Step::Copy { from, to } if from != to => self.carry(ctx, PATHS[from], PATHS[to], false).await,
            Step::Move { .. } | Step::Copy { .. } | Step::Turn { .. } | Step::Fork { .. } => {}
            Step::Delete { path } => {
                let path = PATHS[path].to_owned();
                let gone = part(&self.tree, &path);
                let wanted: Tree =
                    self.tree.iter().filter(|(path, _)| !gone.contains_key(*path)).map(|(p, n)| (p.clone(), n.clone())).collect();
                let base = self.base(ctx, &path).await;
                self.change(ctx, FileStep::Delete { path: path.clone(), base }, (!gone.is_empty()).then_some(wanted)).await;
                if !gone.is_empty() {
                    self.trash = Some((path, gone));
                }
            }
            Step::Undelete => {
                let Some((path, gone)) = self.trash.take() else { return };
                let mut wanted = self.tree.clone();
                wanted.extend(gone);
                self.change(ctx, FileStep::Restore { path, version: None, base: Base::New }, Some(wanted)).await;
            }
            Step::RestoreVersion { path, nth } => self.restore_version(ctx, PATHS[path], nth).await,
            Step::Checkpoint => {
                let made = checkpoints::create(ctx, self.project, CreateCheckpoint { name: format!("step {number}") }).await.unwrap();
                self.checkpoints.push((made.id, made.revision, self.tree.clone()));
            }
            Step::Restore { nth, undo } => self.restore(ctx, nth, undo).await,
            Step::RestoreSome { nth, mask } => self.restore_some(ctx, nth, mask).await,
        }
    }

    async fn fill(&mut self, ctx: &Ctx, path: &str) {
        let blobs = storage::open(ctx, self.project).await.unwrap();
        let stored = blobs.put_bytes(b"many".to_vec()).await.unwrap();
        let names: Vec<String> = (0..MANY).map(|n| format!("{path}/{n}")).collect();
        let mut wanted = self.tree.clone();
        wanted.extend(names.iter().map(|name| (name.clone(), Node::File { bytes: b"many".to_vec(), mode: 0o644 })));
        let change = |path: String| WorkChange {
            path,
            kind: EntryKind::File,
            checksum: Some(stored.sha256.clone()),
            size: stored.size,
            mode: 0o644,
        };
        let revision = self.revision(ctx).await;
        let changes = names.into_iter().map(change).collect();
        let done = files::commit_changes(ctx, self.project, revision, Origin::Run.into(), changes).await.unwrap();
        if !is_sound(&wanted) {
            assert_eq!((done.refused.len(), done.revision), (MANY, revision), "below a file");
        } else if done.revision != revision {
            assert!(done.refused.is_empty() && done.conflicts.is_empty(), "{done:?}");
            self.tree = wanted;
            self.trash = None;
        }
    }

    async fn carry(&mut self, ctx: &Ctx, from: &str, to: &str, moves: bool) {
        let carried = part(&self.tree, from);
        let mut wanted = self.tree.clone();
        if moves {
            wanted.retain(|path, _| !carried.contains_key(path));
        }
        let is_free = !exists(&self.tree, to) && !to.starts_with(&format!("{from}/"));
        wanted.extend(carried.iter().map(|(path, node)| (format!("{to}{}", &path[from.len()..]), node.clone())));
        let wanted = (!carried.is_empty() && is_free && is_sound(&wanted)).then_some(wanted);
        let base = self.base(ctx, from).await;
        let (from, to) = (from.to_owned(), to.to_owned());
        let step = if moves { FileStep::Move { from, to, base } } else { FileStep::Copy { from, to, base } };
        self.change(ctx, step, wanted).await;
    }

    async fn restore_version(&mut self, ctx: &Ctx, path: &str, nth: usize) {
        let Some((version, node)) = self.versions.get(path).and_then(|known| known.get(nth % known.len())).cloned() else { return };
        let mut wanted = self.tree.clone();
        wanted.insert(path.to_owned(), node);
        let is_allowed = is_sound(&wanted) && self.tree.get(path) != Some(&Node::Directory);
        let base = self.base(ctx, path).await;
        self.change(ctx, FileStep::Restore { path: path.to_owned(), version: Some(version), base }, is_allowed.then_some(wanted)).await;
    }

    async fn restore(&mut self, ctx: &Ctx, nth: usize, undo: bool) {
        if self.checkpoints.is_empty() {
            return;
        }
        let (id, _, wanted) = self.checkpoints[nth % self.checkpoints.len()].clone();
        let before = self.tree.clone();
        let plan = checkpoints::diff(ctx, self.project, id).await.unwrap();
        assert_eq!(plan.items.is_empty(), wanted == before, "the plan names what differs");
        let request = RestoreCheckpoint { paths: None, expected_revision: Some(plan.revision) };
        let done = checkpoints::restore(ctx, self.project, id, request).await;
        if wanted == before {
            assert!(done.is_err(), "there was nothing to restore");
            return;
        }
        let RestoreOutcome::Restored { revision, before: kept, .. } = done.unwrap() else {
            panic!("a restore in nobody's way was refused")
        };
        self.tree = wanted;
        self.trash = None;
        if undo {
            self.check(ctx).await;
            let request = RestoreCheckpoint { paths: None, expected_revision: Some(revision) };
            let undone = checkpoints::restore(ctx, self.project, kept.id, request).await.unwrap();
            assert!(matches!(undone, RestoreOutcome::Restored { .. }));
            self.tree = before;
        }
    }

    async fn restore_some(&mut self, ctx: &Ctx, nth: usize, mask: u16) {
        if self.checkpoints.is_empty() {
            return;
        }
        let (id, _, then) = self.checkpoints[nth % self.checkpoints.len()].clone();
        let plan = checkpoints::diff(ctx, self.project, id).await.unwrap();
        let chosen: BTreeSet<String> =
            plan.items.iter().enumerate().filter(|(at, _)| mask >> (at % 16) & 1 == 1).map(|(_, item)| item.path.clone()).collect();
        if chosen.is_empty() {
            return;
        }
        let mut wanted = self.tree.clone();
        for path in &chosen {
            match then.get(path) {
                Some(node) => wanted.insert(path.clone(), node.clone()),
                None => wanted.remove(path),
            };
        }
        let request = RestoreCheckpoint { paths: Some(chosen.into_iter().collect()), expected_revision: Some(plan.revision) };
        match checkpoints::restore(ctx, self.project, id, request).await.unwrap() {
            RestoreOutcome::Restored { .. } => {
                assert!(is_sound(&wanted), "a restore put something below a file");
                self.tree = wanted;
                self.trash = None;
            }
            RestoreOutcome::Conflict { paths } => assert!(!is_sound(&wanted), "refused without a reason: {paths:?}"),
        }
    }

    /// The project is what the model says, in paths, modes, bytes and totals.
    async fn check(&mut self, ctx: &Ctx) {
        let manifest = files::manifest(ctx, self.project).await.unwrap();
        assert_eq!(read(ctx, self.project, &manifest).await, self.tree);
        let project = domain::projects::get(ctx, self.project).await.unwrap();
        let files = self.tree.values().filter(|node| **node != Node::Directory).count() as i64;
        let bytes: usize = self.tree.values().map(|node| if let Node::File { bytes, .. } = node { bytes.len() } else { 0 }).sum();
        assert_eq!((project.file_count, project.size_bytes), (files, bytes as i64));
        let known_paths = self.tree.iter().filter(|(path, node)| **node != Node::Directory && PATHS.contains(&path.as_str()));
        for (path, node) in known_paths {
            let version = files::entry(ctx, self.project, path).await.unwrap().version;
            let known = self.versions.entry(path.clone()).or_default();
            if known.last().is_none_or(|(last, _)| *last != version) {
                known.push((version, node.clone()));
            }
        }
    }

    async fn check_past(&self, ctx: &Ctx) {
        for (_, revision, tree) in &self.checkpoints {
            let manifest = files::manifest_at(ctx, self.project, *revision).await.unwrap();
            assert_eq!(read(ctx, self.project, &manifest).await, *tree, "at revision {revision}");
        }
    }
}

async fn read(ctx: &Ctx, project: ProjectId, manifest: &files::Manifest) -> Tree {
    let blobs = storage::open(ctx, project).await.unwrap();
    let mut tree = Tree::new();
    let mut contents: HashMap<&str, Vec<u8>> = HashMap::new();
    for entry in &manifest.entries {
        let node = if entry.kind == EntryKind::Directory {
            Node::Directory
        } else {
            if !contents.contains_key(entry.checksum.as_str()) {
                contents.insert(&entry.checksum, blobs.read_all(&entry.checksum, 1 << 20).await.unwrap());
            }
            let bytes = contents[entry.checksum.as_str()].clone();
            assert_eq!(bytes.len() as u64, entry.size);
            Node::File { bytes, mode: entry.mode }
        };
        tree.insert(entry.path.clone(), node);
    }
    tree
}

async fn fork(ctx: &Ctx, world: &World, nth: Option<usize>) -> World {
    let point = nth.and_then(|nth| world.checkpoints.get(nth % world.checkpoints.len().max(1)));
    let request = ForkProject { name: "Fork".to_owned(), checkpoint_id: point.map(|(id, ..)| *id) };
    let made = checkpoints::fork(ctx, world.project, request).await.unwrap();
    World::new(made.id, point.map_or_else(|| world.tree.clone(), |(_, _, tree)| tree.clone()))
}

async fn live(ctx: &Ctx, first: ProjectId, steps: Vec<Step>) {
    let mut worlds = vec![World::new(first, Tree::new())];
    let mut here = 0;
    for (number, step) in steps.into_iter().enumerate() {
        match step {
            Step::Turn { to } => here = to % worlds.len(),
            Step::Fork { nth } if worlds.len() < WORLDS_MAX => {
                let forked = fork(ctx, &worlds[here], nth).await;
                worlds.push(forked);
                worlds.last_mut().unwrap().check(ctx).await;
            }
            step => worlds[here].take(ctx, step, number).await,
        }
        worlds[here].check(ctx).await;
    }
    for world in &mut worlds {
        world.check(ctx).await;
        world.check_past(ctx).await;
    }
}

async fn projects_live_as_their_models_do(home: Home) {
    let ctx = home.person("ada").await;
    let runtime = tokio::runtime::Handle::current();
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(24);
    tokio::task::block_in_place(|| {
        let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
        let lived = runner.run(&proptest::collection::vec(any_step(), 1..60), |steps| {
            runtime.block_on(async {
                let project = home.project(&ctx).await.id;
                live(&ctx, project, steps).await;
            });
            Ok(())
        });
        if let Err(failure) = lived {
            panic!("{failure}");
        }
    });
}
