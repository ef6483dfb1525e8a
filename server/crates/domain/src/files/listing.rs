//! The whole tree of a project for its pages. Everybody who opens the project gets the same list until something in it changes, so it is
//! read and packed once for each revision.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use store::{Conn, projects::Standing};
use wire::{
    ProjectId,
    files::{Entry, EntryKind, Tree},
    packed_tree::PackedTree,
    projects::ProjectRole,
};

use super::read::{entries_at, implied_directory};
use crate::{Ctx, Error, Result, projects};

/// Shorter lists are read as fast as they are found.
const KEPT_FROM: usize = 1000;
/// All lists that are kept, together.
const KEPT_BYTES: usize = 24 << 20;
/// More names at the top are not shown before the whole list is there.
const TOP_MAX: usize = 100;

/// The lists that this process has packed, used last at the end.
#[derive(Default)]
pub struct Listings(Mutex<VecDeque<(ProjectId, Arc<PackedTree>)>>);

impl Listings {
    /// The list of just this revision.
    fn find(&self, project: ProjectId, revision: i64) -> Option<Arc<PackedTree>> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = kept.iter().position(|(id, list)| *id == project && list.revision() == revision)?;
        let found = kept.remove(at)?;
        let list = found.1.clone();
        kept.push_back(found);
        Some(list)
    }

    /// Keeps a list in the place of older ones of its project, and lets go of those not used for longest.
    fn keep(&self, project: ProjectId, list: Arc<PackedTree>) {
        if list.len() < KEPT_FROM || list.bytes() > KEPT_BYTES {
            return;
        }
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.iter().any(|(id, known)| *id == project && known.revision() > list.revision()) {
            return;
        }
        kept.retain(|(id, _)| *id != project);
        let mut bytes = list.bytes() + kept.iter().map(|(_, list)| list.bytes()).sum::<usize>();
        kept.push_back((project, list));
        while bytes > KEPT_BYTES
            && let Some((_, gone)) = kept.pop_front()
        {
            bytes -= gone.bytes();
        }
    }
}

/// As [`super::tree`], packed and without checksums.
pub async fn packed_tree(ctx: &Ctx, project: ProjectId) -> Result<PackedTree> {
    let mut conn = ctx.services().db.read().await?;
    projects::require(ctx, &mut conn, project, ProjectRole::Viewer).await?;
    // First: a list that is newer than these numbers only means that an event comes twice.
    let standing = store::projects::standing(&mut conn, project).await?.ok_or(Error::NotFound("project"))?;
    packed_at(ctx, conn, project, standing).await
}

/// As [`packed_tree`], for who has been found to be allowed to see it.
pub(crate) async fn packed_at(ctx: &Ctx, mut conn: Conn, project: ProjectId, standing: Standing) -> Result<PackedTree> {
    let Standing { seq, revision } = standing;
    let listings = &ctx.services().listings;
    if let Some(list) = listings.find(project, revision)
        && let Some(list) = told_now(&mut conn, &list, seq).await?
    {
        return Ok(list);
    }
    let items = entries_at(&mut conn, project, None).await?;
    drop(conn);
    let list = PackedTree::from(Tree { revision, seq, items });
    listings.keep(project, Arc::new(list.clone()));
    Ok(list)
}

/// What lies at the top of a project, directories included; nothing where that is much. For a page that the whole list comes to later, of
/// somebody who has been found to be allowed to see it.
pub(crate) async fn top_at(conn: &mut Conn, project: ProjectId, standing: Standing) -> Result<Tree> {
    let found = store::files::top_entries(conn, project, TOP_MAX).await?.unwrap_or_default();
    Ok(Tree { revision: standing.revision, seq: standing.seq, items: top_of(found) })
}

/// A kept list with the names of now; `None` when somebody in it is gone.
async fn told_now(conn: &mut Conn, list: &PackedTree, seq: i64) -> Result<Option<PackedTree>> {
    let ids = list.people().iter().map(|user| user.id).collect();
    let mut found = store::files::people(conn, ids).await?;
    let people: Option<Vec<_>> = list.people().iter().map(|user| found.remove(&user.id)).collect();
    Ok(people.map(|people| list.told_again(seq, people)))
}

/// The first entry of each name at the top, as that name; sorted by path.
fn top_of(found: Vec<Entry>) -> Vec<Entry> {
    let mut items: Vec<Entry> = found
        .into_iter()
        .map(|entry| match entry.path.split_once('/') {
            Some((directory, _)) => implied_directory(directory, entry.updated_at),
            None => entry,
        })
        .collect();
    // A directory that was made stands before the one that is implied.
    items.sort_by(|a, b| a.path.cmp(&b.path).then_with(|| is_implied(a).cmp(&is_implied(b))));
    items.dedup_by(|later, earlier| later.path == earlier.path);
    items
}

fn is_implied(entry: &Entry) -> bool {
    entry.kind == EntryKind::Directory && entry.version == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::Micros;

    fn entry(path: &str) -> Entry {
        Entry { kind: EntryKind::File, version: 1, ..implied_directory(path, Micros(1)) }
    }

    fn list(revision: i64, count: usize) -> Arc<PackedTree> {
        let items = (0..count).map(|n| entry(&format!("directory/with/a/long/name/{n:06}"))).collect();
        Arc::new(PackedTree::from(Tree { revision, seq: 0, items }))
    }

    fn project(n: u128) -> ProjectId {
        uuid::Uuid::from_u128(n).into()
    }

    #[test]
    fn a_list_is_found_at_its_revision_alone() {
        let listings = Listings::default();
        listings.keep(project(1), list(3, KEPT_FROM));
        listings.keep(project(2), list(3, KEPT_FROM - 1));
        assert!(listings.find(project(1), 3).is_some());
        assert!(listings.find(project(1), 4).is_none() && listings.find(project(2), 3).is_none());
        listings.keep(project(1), list(4, KEPT_FROM));
        listings.keep(project(1), list(3, KEPT_FROM));
        assert!(listings.find(project(1), 3).is_none() && listings.find(project(1), 4).is_some());
    }

    #[test]
    fn the_lists_not_used_for_longest_go_first() {
        let listings = Listings::default();
        let big = list(1, 100_000);
        let fit = KEPT_BYTES / big.bytes();
        for n in 0..fit as u128 {
            listings.keep(project(n), big.clone());
        }
        assert!(listings.find(project(0), 1).is_some());
        listings.keep(project(1000), big.clone());
        assert!(listings.find(project(0), 1).is_some() && listings.find(project(1000), 1).is_some());
        assert!(listings.find(project(1), 1).is_none());
    }

    #[test]
    fn the_top_has_each_name_once() {
        let made = Entry { version: 2, ..implied_directory("a", Micros(1)) };
        let found = vec![made, entry("a-b/x"), entry("a.txt"), entry("a/one"), entry("b")];
        let top = top_of(found);
        let told: Vec<_> = top.iter().map(|entry| (entry.path.as_str(), entry.kind, entry.version)).collect();
        let (directory, file) = (EntryKind::Directory, EntryKind::File);
        assert_eq!(told, [("a", directory, 2), ("a-b", directory, 0), ("a.txt", file, 1), ("b", file, 1)]);
    }
}
