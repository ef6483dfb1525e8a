//! Who has a project open now, found by the live connections that are served. Several tabs are one person, a reload is no coming and
//! going, and a process that dies takes its people along within half a minute.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, OnceLock, PoisonError, Weak},
    time::Duration,
};

use store::{Tx, presence as table};
use uuid::Uuid;
use wire::{
    Micros, ProjectId, UserId,
    event::{EventKind, Stream},
    projects::ProjectRole,
    users::UserRef,
};

use crate::{Ctx, Result, Services, projects};

/// How often a process says that it still serves its people.
const BEAT: Duration = Duration::from_secs(7);
/// Whose process was not heard of for so long is gone.
const SILENCE_S: i64 = 18;
/// A page that is loaded again is back before this.
const GRACE: Duration = Duration::from_secs(3);

type Who = (ProjectId, UserId);

/// The connections of this process.
#[derive(Default)]
pub struct Presence {
    /// What the rows of this process are known by; made with the first of them.
    process: OnceLock<Uuid>,
    here: Mutex<Here>,
    /// One at a time, so that what is written last is what is true.
    settling: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Here {
    connections: HashMap<Who, usize>,
    is_beating: bool,
}

impl Presence {
    fn is_here(&self, who: Who) -> bool {
        self.here.lock().unwrap_or_else(PoisonError::into_inner).connections.contains_key(&who)
    }

    /// True for the first connection of a person in a project.
    fn add(&self, who: Who) -> bool {
        let mut here = self.here.lock().unwrap_or_else(PoisonError::into_inner);
        let count = here.connections.entry(who).or_default();
        *count += 1;
        *count == 1
    }

    /// True for the last one.
    fn take(&self, who: Who) -> bool {
        let mut here = self.here.lock().unwrap_or_else(PoisonError::into_inner);
        match here.connections.get_mut(&who) {
            Some(count) if *count > 1 => {
                *count -= 1;
                false
            }
            Some(_) => here.connections.remove(&who).is_some(),
            None => false,
        }
    }

    /// True when nobody else beats.
    fn begin_to_beat(&self) -> bool {
        !std::mem::replace(&mut self.here.lock().unwrap_or_else(PoisonError::into_inner).is_beating, true)
    }

    /// False, and over, when there is nobody left to beat for.
    fn goes_on(&self) -> bool {
        let mut here = self.here.lock().unwrap_or_else(PoisonError::into_inner);
        here.is_beating = !here.connections.is_empty();
        here.is_beating
    }
}

/// One connection of a person in a project; they leave with the last one.
pub(crate) struct Stay {
    services: Arc<Services>,
    who: Who,
}

impl Drop for Stay {
    fn drop(&mut self) {
        let (services, who) = (self.services.clone(), self.who);
        let is_last = services.presence.take(who);
        if let (true, Ok(runtime)) = (is_last, tokio::runtime::Handle::try_current()) {
            runtime.spawn(async move {
                tokio::time::sleep(GRACE).await;
                settle(&services, who).await;
            });
        }
    }
}

/// Notes a connection of the caller, who has been authorised. `None` for what is no person.
pub(crate) fn enter(ctx: &Ctx, project: ProjectId) -> Option<Stay> {
    ctx.session_id()?;
    let who = (project, ctx.user_id()?);
    let services = ctx.services().clone();
    if services.presence.add(who) {
        let arrived = services.clone();
        tokio::spawn(async move { settle(&arrived, who).await });
    }
    if services.presence.begin_to_beat() {
        tokio::spawn(beat(Arc::downgrade(&services)));
    }
    Some(Stay { services, who })
}

/// Who is in the project now, who came first first.
pub async fn present(ctx: &Ctx, project: ProjectId) -> Result<Vec<UserRef>> {
    let mut conn = ctx.services().db.read().await?;
    projects::require(ctx, &mut conn, project, ProjectRole::Viewer).await?;
    Ok(table::people(&mut conn, project, ctx.now().plus_seconds(-SILENCE_S)).await?)
}

fn process_of(services: &Services) -> Uuid {
    *services.presence.process.get_or_init(|| services.ids.new_uuid())
}

/// Brings the row of a person in step with the connections of this process.
async fn settle(services: &Arc<Services>, who: Who) {
    let _one = services.presence.settling.lock().await;
    let (project, user) = who;
    let process = process_of(services);
    let is_here = services.presence.is_here(who);
    let written = change(services, project, async |tx, now| {
        if is_here { table::put(tx, project, user, process, now).await } else { table::remove(tx, project, user, process).await }
    });
    if let Err(error) = written.await {
        tracing::warn!(%error, "who is in a project could not be written");
    }
}

/// Changes rows of a project, and tells its readers if other people are in it by that.
async fn change(services: &Arc<Services>, project: ProjectId, body: impl AsyncFnOnce(&mut Tx, Micros) -> store::Result<()>) -> Result<()> {
    let now = services.clock.now();
    let mut tx = services.db.begin().await?;
    if !store::quotas::lock_project(&mut tx, project).await? {
        return Ok(());
    }
    let before = table::people(&mut tx, project, Micros(0)).await?;
    body(&mut tx, now).await?;
    let people = table::people(&mut tx, project, Micros(0)).await?;
    if people.len() != before.len() || people.iter().any(|person| !before.contains(person)) {
        store::events::append(&mut tx, Stream::Project(project), now, vec![EventKind::PresenceChanged { people }]).await?;
    }
    services.commit(tx).await
}

/// Keeps this process's rows alive while it serves anybody, and takes away those of processes that are gone.
async fn beat(services: Weak<Services>) {
    loop {
        tokio::time::sleep(BEAT).await;
        let Some(services) = services.upgrade() else { return };
        if !services.presence.goes_on() {
            return;
        }
        if let Err(error) = beat_once(&services).await {
            tracing::warn!(%error, "who is in projects could not be kept up to date");
        }
    }
}

async fn beat_once(services: &Arc<Services>) -> Result<()> {
    let now = services.clock.now();
    let gone_before = now.plus_seconds(-SILENCE_S);
    let mut tx = services.db.begin().await?;
    table::beat(&mut tx, process_of(services), now).await?;
    let stale = table::stale(&mut tx, gone_before).await?;
    services.commit(tx).await?;
    for project in stale {
        change(services, project, async |tx, _| table::remove_stale(tx, project, gone_before).await).await?;
    }
    Ok(())
}
