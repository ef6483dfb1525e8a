use std::{
    any::Any,
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use store::Tx;
use tokio::sync::OnceCell;
use uuid::Uuid;
use wire::{
    JobId, Micros, ProjectId, SessionId, TokenId, TurnId, UserId,
    audit::{AuditActor, AuditActorKind},
    tokens::Scope,
    users::{User, UserRef},
};

use crate::{Error, Result, Services};

/// Where a request came from, for the list of sessions.
#[derive(Debug, Clone, Default)]
pub struct Client {
    pub address: Option<String>,
    pub user_agent: Option<String>,
    /// The site as the client sees it, such as `https://code.example.org`.
    pub origin: Option<String>,
}

/// What an API token lets its bearer do of what its owner may.
#[derive(Debug, Clone)]
pub struct TokenGrant {
    pub id: TokenId,
    pub name: String,
    pub scopes: Vec<Scope>,
    /// The only projects it reaches; `None` is every project of its owner.
    pub projects: Option<Vec<ProjectId>>,
}

impl TokenGrant {
    pub fn covers(&self, project: ProjectId) -> bool {
        self.projects.as_ref().is_none_or(|list| list.contains(&project))
    }
}

#[derive(Debug, Clone)]
enum Actor {
    Nobody,
    User {
        user: Arc<User>,
        session: Option<SessionId>,
    },
    /// Somebody who signed in, has to have a second factor and has none: nobody at all, but for setting one up.
    SettingUp {
        user: Arc<User>,
        session: SessionId,
    },
    /// A program with one of a user's API tokens.
    Token {
        user: Arc<User>,
        grant: Arc<TokenGrant>,
    },
    /// The agent, on behalf of a user: it can never do more than that user.
    Agent {
        user: Arc<User>,
        turn: TurnId,
    },
    /// Whoever may use the server's own command line, under the name that the system knows.
    Operator {
        name: Arc<str>,
    },
    /// The server itself, for work that nobody asked for.
    System,
}

/// What the lookup of a browser's session found besides, so that the page which is asked for need not ask again. As old as the request.
#[derive(Debug, Clone)]
pub(crate) struct Arrival {
    /// The saved settings of accounts.
    pub accounts: Option<String>,
    /// Revision and document of the user's preferences.
    pub preferences: Option<(i64, String)>,
    answers: Answers,
}

/// What was answered for one request, by the name of what was asked.
type Answers = Arc<Mutex<HashMap<&'static str, Arc<dyn Any + Send + Sync>>>>;

impl Arrival {
    pub fn new(accounts: Option<String>, preferences: Option<(i64, String)>) -> Self {
        Self { accounts, preferences, answers: Answers::default() }
    }
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
    arrival: Option<Arc<Arrival>>,
}

impl Ctx {
    /// A request before its credentials were looked at. `trace` is the request id.
    pub fn nobody(services: &Arc<Services>, trace: impl Into<Arc<str>>, client: Client) -> Self {
        let (trace, client) = (trace.into(), Arc::new(client));
        Self { services: services.clone(), actor: Actor::Nobody, trace, client, job: None, fence: None, arrival: None }
    }

    /// A job that a user asked for. The caller has just read the user, and checked that the account is active.
    pub fn for_job(services: &Arc<Services>, on_behalf_of: User, job: JobId) -> Self {
        let actor = Actor::User { user: Arc::new(on_behalf_of), session: None };
        Self { actor, trace: format!("job:{job}").into(), job: Some(job), ..Self::system(services) }
    }

    /// Somebody who looks at a preview, by a ticket that was just found to be of a live session.
    pub(crate) fn for_visitor(services: &Arc<Services>, user: User, session: SessionId) -> Self {
        Self::nobody(services, "preview", Client::default()).signed_in(user, session)
    }

    pub fn system(services: &Arc<Services>) -> Self {
        Self { actor: Actor::System, ..Self::nobody(services, "system", Client::default()) }
    }

    /// Administration from the server's own command line. `name` is the system's user.
    pub fn operator(services: &Arc<Services>, name: impl Into<Arc<str>>) -> Self {
        Self { actor: Actor::Operator { name: name.into() }, trace: "command line".into(), ..Self::system(services) }
    }

    /// The server's own rights, for what the caller has just been found to be allowed without being in the project.
    pub(crate) fn with_system_rights(&self) -> Self {
        Self::system(&self.services)
    }

    /// The same user's rights, in the agent's hands.
    pub fn as_agent(&self, turn: TurnId) -> Self {
        let actor = match &self.actor {
            Actor::User { user, .. } | Actor::Token { user, .. } | Actor::Agent { user, .. } => Actor::Agent { user: user.clone(), turn },
            Actor::Nobody | Actor::SettingUp { .. } | Actor::Operator { .. } | Actor::System => Actor::Nobody,
        };
        Self { actor, ..self.clone() }
    }

    pub(crate) fn signed_in(&self, user: User, session: SessionId) -> Self {
        Self { actor: Actor::User { user: Arc::new(user), session: Some(session) }, ..self.clone() }
    }

    /// The same caller, with what is known of the account by now.
    pub(crate) fn with_user(&self, user: User) -> Self {
        let user = Arc::new(user);
        let actor = match &self.actor {
            Actor::User { session, .. } => Actor::User { user, session: *session },
            Actor::Token { grant, .. } => Actor::Token { user, grant: grant.clone() },
            other => other.clone(),
        };
        Self { actor, ..self.clone() }
    }

    pub(crate) fn setting_up(&self, user: User, session: SessionId) -> Self {
        Self { actor: Actor::SettingUp { user: Arc::new(user), session }, ..self.clone() }
    }

    /// The same caller, for a request that has just begun.
    pub(crate) fn arriving(self, arrival: Arrival) -> Self {
        Self { arrival: Some(Arc::new(arrival)), ..self }
    }

    /// For what a page shows as it was when the request came; nothing that decides who may do what.
    pub(crate) fn arrival(&self) -> Option<&Arrival> {
        self.arrival.as_deref()
    }

    /// Asks once for each request of a browser: the parts of a page are made several times while it is rendered, and ask each time. `name`
    /// stands for one question alone, which changes nothing.
    pub async fn once<T: Clone + Send + Sync + 'static>(&self, name: &'static str, ask: impl Future<Output = Result<T>>) -> Result<T> {
        let Some(arrival) = &self.arrival else { return ask.await };
        let new = || Arc::new(OnceCell::<T>::new()) as Arc<dyn Any + Send + Sync>;
        let cell = arrival.answers.lock().unwrap_or_else(PoisonError::into_inner).entry(name).or_insert_with(new).clone();
        match cell.downcast::<OnceCell<T>>() {
            Ok(cell) => cell.get_or_try_init(|| ask).await.cloned(),
            Err(_) => ask.await,
        }
    }

    pub(crate) fn with_token(&self, user: User, grant: TokenGrant) -> Self {
        Self { actor: Actor::Token { user: Arc::new(user), grant: Arc::new(grant) }, ..self.clone() }
    }

    pub fn user(&self) -> Option<&User> {
        match &self.actor {
            Actor::User { user, .. } | Actor::Token { user, .. } | Actor::Agent { user, .. } => Some(user),
            Actor::Nobody | Actor::SettingUp { .. } | Actor::Operator { .. } | Actor::System => None,
        }
    }

    pub fn require_user(&self) -> Result<&User> {
        self.user().ok_or_else(|| self.nobody_error())
    }

    /// Whose account this is, also of somebody who has to set up a second factor first and may do nothing else.
    pub fn account(&self) -> Option<&User> {
        match &self.actor {
            Actor::SettingUp { user, .. } => Some(user),
            _ => self.user(),
        }
    }

    /// As [`Self::require_session`], and for somebody who has to set up a second factor first: only for what that takes.
    pub fn require_account(&self) -> Result<&User> {
        match &self.actor {
            Actor::SettingUp { user, .. } => Ok(user),
            _ => self.require_session(),
        }
    }

    /// Somebody signed in who has to set up a second factor first.
    pub fn is_setting_up(&self) -> bool {
        matches!(self.actor, Actor::SettingUp { .. })
    }

    fn nobody_error(&self) -> Error {
        if self.is_setting_up() { Error::SecondFactorSetup } else { Error::NotSignedIn }
    }

    /// Administrators act as people or by a token made for it, never through the agent. Administration is about all projects.
    pub fn require_admin(&self) -> Result<&User> {
        match &self.actor {
            Actor::User { user, .. } if user.is_admin() => Ok(user),
            Actor::Token { user, .. } if user.is_admin() => {
                self.require_scope(Scope::Admin)?;
                self.require_all_projects().map(|()| &**user)
            }
            Actor::Nobody | Actor::SettingUp { .. } => Err(self.nobody_error()),
            _ => Err(Error::Forbidden("Only an administrator can do this.".to_owned())),
        }
    }

    /// As [`Self::require_admin`], and for the command line.
    pub fn require_administration(&self) -> Result<()> {
        match &self.actor {
            Actor::Operator { .. } => Ok(()),
            _ => self.require_admin().map(|_| ()),
        }
    }

    /// An administrator who signed in, or the command line: for what decides who can sign in as whom, or administers. A token that
    /// could do this would be worth as much as the person.
    pub fn require_administrator_in_person(&self) -> Result<()> {
        self.require_administration()?;
        match &self.actor {
            Actor::Operator { .. } => Ok(()),
            _ => self.require_session().map(|_| ()),
        }
    }

    /// What an account may see, for who acts for it from the command line.
    pub(crate) fn on_behalf_of(&self, user: &User) -> Self {
        Self { actor: Actor::User { user: Arc::new(user.clone()), session: None }, ..self.clone() }
    }

    /// The server's own command line, and nobody over the network.
    pub(crate) fn require_operator(&self) -> Result<()> {
        match &self.actor {
            Actor::Operator { .. } => Ok(()),
            _ => Err(Error::Forbidden("This is only done from the server's own command line.".to_owned())),
        }
    }

    /// The person themselves, signed in: neither a program with a token nor the agent. For what decides who can sign in.
    pub fn require_session(&self) -> Result<&User> {
        match &self.actor {
            Actor::User { user, session: Some(_) } => Ok(user),
            Actor::Nobody | Actor::SettingUp { .. } => Err(self.nobody_error()),
            _ => Err(Error::Forbidden("This is only for people who signed in themselves; an API token does not reach it.".to_owned())),
        }
    }

    /// Whether a token was made for this. Who comes without a token may whatever the account may.
    pub fn require_scope(&self, scope: Scope) -> Result<()> {
        match &self.actor {
            Actor::Token { grant, .. } if !grant.scopes.contains(&scope) => {
                Err(Error::Forbidden(format!("This token lacks the scope {}. Make one that has it under Settings, Tokens.", scope.word())))
            }
            _ => Ok(()),
        }
    }

    /// For what is about the whole account: a token that only reaches some projects does not see the others' traces there.
    pub(crate) fn require_all_projects(&self) -> Result<()> {
        match self.grant() {
            Some(grant) if grant.projects.is_some() => {
                Err(Error::Forbidden("This token reaches only some projects, and this is about all of them.".to_owned()))
            }
            _ => Ok(()),
        }
    }

    pub fn grant(&self) -> Option<&TokenGrant> {
        match &self.actor {
            Actor::Token { grant, .. } => Some(grant),
            _ => None,
        }
    }

    /// Who does this, for the audit log.
    pub(crate) fn audit_actor(&self) -> AuditActor {
        let person = |kind, user: &User, by: Option<String>| AuditActor { kind, id: Some(user.id), name: user.username.clone(), by };
        let other = |kind, name: &str| AuditActor { kind, id: None, name: name.to_owned(), by: None };
        match &self.actor {
            Actor::Nobody => other(AuditActorKind::Nobody, "nobody"),
            Actor::User { user, session } => person(AuditActorKind::Person, user, session.map(|id| format!("session:{id}"))),
            Actor::SettingUp { user, session } => person(AuditActorKind::Person, user, Some(format!("session:{session}"))),
            Actor::Token { user, grant } => person(AuditActorKind::Token, user, Some(format!("token:{}", grant.id))),
            Actor::Agent { user, turn } => person(AuditActorKind::Agent, user, Some(format!("turn:{turn}"))),
            Actor::Operator { name } => other(AuditActorKind::CommandLine, name),
            Actor::System => other(AuditActorKind::Server, "server"),
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
            Actor::SettingUp { session, .. } => Some(*session),
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
