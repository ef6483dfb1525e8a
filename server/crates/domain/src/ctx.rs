use std::sync::Arc;

use store::Tx;
use uuid::Uuid;
use wire::{
    JobId, Micros, SessionId, TurnId, UserId,
    users::{User, UserRef},
};

use crate::{Error, Result, Services};

/// Where a request came from, for the list of sessions.
#[derive(Debug, Clone, Default)]
pub struct Client {
    pub address: Option<String>,
    pub user_agent: Option<String>,
}

#[derive(Debug, Clone)]
enum Actor {
    Nobody,
    User {
        user: Arc<User>,
        session: Option<SessionId>,
    },
    /// The agent, on behalf of a user: it can never do more than that user.
    Agent {
        user: Arc<User>,
        turn: TurnId,
    },
    /// The server itself, for work that nobody asked for.
    System,
}

/// Who is asking, and with what. Made by the HTTP layer, the job runner and the test kit, and by nothing else.
#[derive(Clone)]
pub struct Ctx {
    services: Arc<Services>,
    actor: Actor,
    trace: Arc<str>,
    client: Arc<Client>,
    /// The job that this is done for.
    job: Option<JobId>,
    /// What the job's claim is known by.
    fence: Option<i64>,
}

impl Ctx {
    /// A request before its credentials were looked at. `trace` is the request id.
    pub fn nobody(services: &Arc<Services>, trace: impl Into<Arc<str>>, client: Client) -> Self {
        Self { services: services.clone(), actor: Actor::Nobody, trace: trace.into(), client: Arc::new(client), job: None, fence: None }
    }

    /// A job that a user asked for. The caller has just read the user, and checked that the account is active.
    pub fn for_job(services: &Arc<Services>, on_behalf_of: User, job: JobId) -> Self {
        let actor = Actor::User { user: Arc::new(on_behalf_of), session: None };
        Self { services: services.clone(), actor, trace: format!("job:{job}").into(), client: Arc::default(), job: Some(job), fence: None }
    }

    /// Somebody who looks at a preview, by a ticket that was just found to be of a live session.
    pub(crate) fn for_visitor(services: &Arc<Services>, user: User, session: SessionId) -> Self {
        Self::nobody(services, "preview", Client::default()).signed_in(user, session)
    }

    pub fn system(services: &Arc<Services>) -> Self {
        Self { services: services.clone(), actor: Actor::System, trace: "system".into(), client: Arc::default(), job: None, fence: None }
    }

    /// The server's own rights, for what the caller has just been found to be allowed without being in the project.
    pub(crate) fn with_system_rights(&self) -> Self {
        Self::system(&self.services)
    }

    /// The same user's rights, in the agent's hands.
    pub fn as_agent(&self, turn: TurnId) -> Self {
        let actor = match &self.actor {
            Actor::User { user, .. } | Actor::Agent { user, .. } => Actor::Agent { user: user.clone(), turn },
            Actor::Nobody | Actor::System => Actor::Nobody,
        };
        Self { actor, ..self.clone() }
    }

    pub(crate) fn signed_in(&self, user: User, session: SessionId) -> Self {
        Self { actor: Actor::User { user: Arc::new(user), session: Some(session) }, ..self.clone() }
    }

    pub fn user(&self) -> Option<&User> {
        match &self.actor {
            Actor::User { user, .. } | Actor::Agent { user, .. } => Some(user),
            Actor::Nobody | Actor::System => None,
        }
    }

    pub fn require_user(&self) -> Result<&User> {
        self.user().ok_or(Error::NotSignedIn)
    }

    /// Administrators act as people, never through the agent.
    pub fn require_admin(&self) -> Result<&User> {
        match &self.actor {
            Actor::User { user, .. } if user.is_admin() => Ok(user),
            Actor::Nobody => Err(Error::NotSignedIn),
            _ => Err(Error::Forbidden("Only an administrator can do this.".to_owned())),
        }
    }

    pub fn user_id(&self) -> Option<UserId> {
        self.user().map(|user| user.id)
    }

    pub fn user_ref(&self) -> Option<UserRef> {
        self.user().map(|user| UserRef { id: user.id, name: user.display_name().to_owned() })
    }

    pub fn agent_turn(&self) -> Option<TurnId> {
        match &self.actor {
            Actor::Agent { turn, .. } => Some(*turn),
            _ => None,
        }
    }

    /// For one claim of the job: what a turn writes is refused once another worker has taken the job.
    pub fn fenced(self, fence: i64) -> Self {
        Self { fence: Some(fence), ..self }
    }

    pub(crate) fn job(&self) -> Option<JobId> {
        self.job
    }

    pub(crate) fn claim(&self) -> Option<(JobId, i64)> {
        self.job.zip(self.fence)
    }

    pub(crate) fn is_system(&self) -> bool {
        matches!(self.actor, Actor::System)
    }

    pub fn session_id(&self) -> Option<SessionId> {
        match &self.actor {
            Actor::User { session, .. } => *session,
            _ => None,
        }
    }

    pub fn services(&self) -> &Arc<Services> {
        &self.services
    }

    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The request id, or the job's.
    pub fn trace(&self) -> &str {
        &self.trace
    }

    pub fn now(&self) -> Micros {
        self.services.clock.now()
    }

    pub fn new_id<T: From<Uuid>>(&self) -> T {
        self.services.ids.new_uuid().into()
    }

    /// Commits, then tells everyone who waits: readers of the events, and workers when a job was queued.
    pub(crate) async fn commit(&self, tx: Tx) -> Result<()> {
        self.services.commit(tx).await
    }
}
