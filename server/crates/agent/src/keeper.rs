//! Keeps checkouts and projects in step both ways while commands run: what they write is saved as versions within about a second,
//! what people save appears on the disk.

mod books;
mod pace;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use domain::{
    Ctx, Services,
    files::{self, Committed, Maker},
};
use sandbox::{Collision, InUse, WorkspaceError, Workspaces};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;
use wire::{ProjectId, event::Stream, runs::RunChange};

use self::{
    books::{Account, sentences},
    pace::Pace,
};
use crate::workspace::{self, MOUNTED_PAUSE, Saved, SyncError};

/// Most commands are over before following them is worth anything; the end of a hold saves what they did.
const FOLLOW_AFTER: Duration = Duration::from_millis(150);
/// After a round that failed, or that found commands on a branch in the way.
const RETRY: Duration = Duration::from_secs(2);
const NOTICES: usize = 64;
/// A checkout that brings forth collisions again and again is left for the next round.
const PASSES: usize = 3;

/// One per process. Cheap to clone.
#[derive(Clone)]
pub struct Keeper {
    inner: Arc<Inner>,
}

struct Inner {
    services: Arc<Services>,
    workspaces: Workspaces,
    projects: Mutex<HashMap<ProjectId, Arc<Kept>>>,
}

/// One project that is held.
struct Kept {
    project: ProjectId,
    books: Mutex<Books>,
}

#[derive(Default)]
struct Books {
    /// In the order they began.
    holders: Vec<Holder>,
    next_id: u64,
    follower: Option<CancellationToken>,
}

struct Holder {
    id: u64,
    ctx: Ctx,
    maker: Maker,
    account: Account,
    notices: mpsc::Sender<String>,
}

/// While it lives, the project's checkout and its rows are kept in step. Dropped without [`Hold::finish`], what was not yet saved
/// stays on the disk.
///
/// Nobody can tell which of several commands wrote a file. A version's author is the holder that began last, or the one that is just
/// finishing; in [`Committed::written`] each hold finds everything that was saved while it lived.
pub struct Hold {
    keeper: Keeper,
    kept: Arc<Kept>,
    id: u64,
    /// The revision that the checkout showed when the hold began.
    pub revision: i64,
    /// Sentences for people: what met somebody else's change, what could not be saved.
    pub notices: mpsc::Receiver<String>,
    /// Once it is finished.
    account: Option<Account>,
    _in_use: InUse,
}

impl Keeper {
    pub fn new(services: Arc<Services>, workspaces: Workspaces) -> Self {
        Self { inner: Arc::new(Inner { services, workspaces, projects: Mutex::default() }) }
    }

    /// Brings the checkout up to date for a command that the caller is about to run there. Waits for commands on branches of the
    /// project where something has to change below them.
    pub async fn hold(&self, ctx: &Ctx, project: ProjectId, maker: impl Into<Maker>) -> Result<Hold, SyncError> {
        let (workspaces, maker) = (&self.inner.workspaces, maker.into());
        let in_use = workspaces.in_use(project.0);
        let kept = self.kept(project);
        loop {
            let exchange = workspaces.lock_exchange(project.0).await;
            // What the others did until now is theirs.
            if let Some((author, maker)) = kept.newest() {
                self.settle_or_tell(&kept, &author, maker).await;
            }
            match workspace::lay_out(ctx, workspaces, project).await {
                Ok(laid) => {
                    kept.tell(sentences(&Saved::default(), &laid.collisions));
                    let (id, notices) = kept.admit(ctx, maker);
                    self.follow(&kept);
                    return Ok(Hold { keeper: self.clone(), kept, id, revision: laid.revision, notices, account: None, _in_use: in_use });
                }
                Err(SyncError::Workspace(WorkspaceError::Mounted)) => {}
                Err(error) => return Err(error),
            }
            drop(exchange);
            sleep(MOUNTED_PAUSE).await;
        }
    }

    fn kept(&self, project: ProjectId) -> Arc<Kept> {
        let mut projects = self.inner.projects.lock().unwrap_or_else(PoisonError::into_inner);
        projects.retain(|_, kept| Arc::strong_count(kept) > 1);
        projects.entry(project).or_insert_with(|| Arc::new(Kept { project, books: Mutex::default() })).clone()
    }

    /// Starts the task that keeps the project in step, if there is none.
    fn follow(&self, kept: &Arc<Kept>) {
        let mut books = kept.books();
        if books.follower.is_none() {
            let stop = CancellationToken::new();
            books.follower = Some(stop.clone());
            tokio::spawn(follow(self.clone(), kept.clone(), stop));
        }
    }

    /// Saves what is on the disk as the author's, then lays out what is newer in the project. Needs the exchange lock.
    async fn settle(&self, kept: &Kept, author: &Ctx, maker: Maker) -> Result<Settled, SyncError> {
        let (workspaces, project) = (&self.inner.workspaces, kept.project);
        let mut settled = Settled::default();
        for _ in 0..PASSES {
            let saved = workspace::save_disk(author, workspaces, project, maker).await?;
            kept.book(&saved);
            settled.saved.too_large = saved.too_large;
            settled.saved.conflicts = saved.conflicts;
            settled.saved.refused = saved.refused;
            settled.saved.written.extend(saved.written);
            match workspace::lay_out(author, workspaces, project).await {
                Ok(laid) => {
                    let is_done = laid.collisions.iter().all(|collision| collision.beside.is_none());
                    settled.collisions.extend(laid.collisions);
                    if is_done {
                        break;
                    }
                    // What was put aside is new on the disk.
                }
                Err(error) => {
                    if !matches!(error, SyncError::Workspace(WorkspaceError::Mounted)) {
                        tracing::warn!(project.id = %project, %error, "a checkout could not be brought up to date");
                    }
                    settled.is_behind = true;
                    break;
                }
            }
        }
        let met: Vec<&str> = settled.collisions.iter().map(|collision| collision.path.as_str()).collect();
        settled.saved.conflicts.retain(|path| !met.contains(&path.as_str()));
        kept.book_failures(&settled.saved);
        kept.tell(sentences(&settled.saved, &settled.collisions));
        Ok(settled)
    }

    /// False if it has to be tried again soon.
    async fn settle_or_tell(&self, kept: &Kept, author: &Ctx, maker: Maker) -> bool {
        match self.settle(kept, author, maker).await {
            Ok(settled) => !settled.is_behind,
            Err(error) => {
                tracing::warn!(project.id = %kept.project, %error, "what commands changed could not be saved");
                kept.tell(vec![format!("What commands changed in the project's files can't be saved right now: {}", error.sentence())]);
                false
            }
        }
    }
}

#[derive(Default)]
struct Settled {
    saved: Saved,
    collisions: Vec<Collision>,
    is_behind: bool,
}

impl Hold {
    /// Everything that was saved since the hold began.
    pub fn changes(&self) -> Vec<RunChange> {
        if let Some(account) = &self.account {
            return account.changes();
        }
        self.kept.books().holders.iter().find(|h| h.id == self.id).map(|h| h.account.changes()).unwrap_or_default()
    }

    /// Saves what is left, and tells what changed in all while the hold lived and what could not be saved. Where a command and
    /// somebody else changed the same file, the command's content was saved beside it and is told in `notices`. After an error the
    /// command's files stay on the disk, and `changes` says what had been saved before. `notices` ends when all were received.
    pub async fn finish(&mut self) -> Result<Committed, SyncError> {
        let workspaces = &self.keeper.inner.workspaces;
        let own = self.kept.books().holders.iter().find(|h| h.id == self.id).map(|h| (h.ctx.clone(), h.maker));
        let settled = match own {
            Some((ctx, maker)) => {
                let _exchange = workspaces.lock_exchange(self.kept.project.0).await;
                self.keeper.settle(&self.kept, &ctx, maker).await
            }
            None => Ok(Settled::default()),
        };
        if let Some(account) = self.kept.dismiss(self.id) {
            self.account = Some(account);
        }
        settled?;
        let account = self.account.get_or_insert_default();
        let revision = workspaces.revision(self.kept.project.0).unwrap_or(self.revision);
        Ok(Committed { revision, written: account.changes(), conflicts: account.failures(), refused: Vec::new() })
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.kept.dismiss(self.id);
    }
}

impl Kept {
    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn newest(&self) -> Option<(Ctx, Maker)> {
        self.books().holders.last().map(|holder| (holder.ctx.clone(), holder.maker))
    }

    fn admit(&self, ctx: &Ctx, maker: Maker) -> (u64, mpsc::Receiver<String>) {
        let (sender, notices) = mpsc::channel(NOTICES);
        let mut books = self.books();
        let id = books.next_id;
        books.next_id += 1;
        books.holders.push(Holder { id, ctx: ctx.clone(), maker, account: Account::default(), notices: sender });
        (id, notices)
    }

    fn dismiss(&self, id: u64) -> Option<Account> {
        let mut books = self.books();
        let at = books.holders.iter().position(|holder| holder.id == id)?;
        let holder = books.holders.remove(at);
        if books.holders.is_empty()
            && let Some(follower) = books.follower.take()
        {
            follower.cancel();
        }
        Some(holder.account)
    }

    fn book(&self, saved: &Saved) {
        for holder in &mut self.books().holders {
            holder.account.add(&saved.written);
        }
    }

    fn book_failures(&self, saved: &Saved) {
        for holder in &mut self.books().holders {
            holder.account.set_failures(saved.conflicts.iter().chain(saved.refused.iter().map(|(path, _)| path)).chain(&saved.too_large));
        }
    }

    /// Tells every holder what it was not told before. One that does not listen misses it.
    fn tell(&self, sentences: Vec<String>) {
        for holder in &mut self.books().holders {
            for sentence in &sentences {
                if holder.account.is_news(sentence) {
                    let _ = holder.notices.try_send(sentence.clone());
                }
            }
        }
    }
}

/// Until the last holder is gone.
async fn follow(keeper: Keeper, kept: Arc<Kept>, stop: CancellationToken) {
    tokio::select! {
        () = sleep(FOLLOW_AFTER) => {}
        () = stop.cancelled() => return,
    }
    let inner = &keeper.inner;
    let mut watch = inner.workspaces.watch(kept.project.0);
    let mut bus = inner.services.bus.subscribe(&[Stream::Project(kept.project)]).await;
    let mut pace = Pace::default();
    // What happened before anybody watched.
    pace.disk_changed(Instant::now());
    loop {
        let due = pace.due();
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                let began = Instant::now();
                let asked = pace.begin();
                let is_settled = round(&keeper, &kept, asked.disk).await;
                pace.done(Instant::now(), began.elapsed());
                if !is_settled {
                    pace.retry(Instant::now() + RETRY.max(began.elapsed() * 5));
                }
            }
            () = watch.changed() => pace.disk_changed(Instant::now()),
            signal = bus.next() => {
                if signal.is_none() {
                    sleep(RETRY).await;
                    bus = inner.services.bus.subscribe(&[Stream::Project(kept.project)]).await;
                }
                pace.project_changed(Instant::now());
            }
        }
    }
}

/// One pass in both directions. `disk`: something may have changed there. False if it has to be tried again soon.
async fn round(keeper: &Keeper, kept: &Kept, disk: bool) -> bool {
    let workspaces = &keeper.inner.workspaces;
    let _exchange = workspaces.lock_exchange(kept.project.0).await;
    let Some((author, maker)) = kept.newest() else { return true };
    if !disk && !is_behind(&author, workspaces, kept.project).await {
        // The signal was about something else, or about what came from here.
        return true;
    }
    keeper.settle_or_tell(kept, &author, maker).await
}

async fn is_behind(ctx: &Ctx, workspaces: &Workspaces, project: ProjectId) -> bool {
    match workspaces.revision(project.0) {
        Some(have) => files::changes_since(ctx, project, have).await.is_ok_and(|delta| delta.to > have),
        None => true,
    }
}
