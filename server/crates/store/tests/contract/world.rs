//! Databases to test on, and the rows that most tests need first.

use std::collections::BTreeMap;

use store::{Committed, Conn, Db, Tx, chat, jobs, projects, runs, users};
use uuid::Uuid;
use wire::{
    ConversationId, JobId, Micros, ProjectId, RunId, TurnId, UserId,
    chat::Mode,
    runs::{RunKind, RunLimits, RunNetwork},
    users::UserRole,
};

use crate::database::{TestDatabase, sqlite_in};

pub async fn on_sqlite<F: Future<Output = ()> + Send + 'static>(body: fn(Db) -> F) {
    let directory = tempfile::tempdir().unwrap();
    let db = Db::connect(&sqlite_in(directory.path()).await, 4).await.unwrap();
    body(db.clone()).await;
    db.close().await;
}

/// With a collation that differs from byte order where the server has one, since nothing may depend on it.
pub async fn on_postgres<F: Future<Output = ()> + Send + 'static>(body: fn(Db) -> F) {
    let Some(database) = TestDatabase::create_with("LOCALE_PROVIDER icu ICU_LOCALE 'en-US'").await else { return };
    let db = Db::connect(&database.url, 20).await.unwrap();
    body(db.clone()).await;
    db.close().await;
}

/// Seconds after the epoch of the tests.
pub fn at(seconds: i64) -> Micros {
    Micros(1_800_000_000_000_000).plus_seconds(seconds)
}

pub fn id<T: From<Uuid>>() -> T {
    Uuid::now_v7().into()
}

pub async fn read(db: &Db) -> Conn {
    db.read().await.unwrap()
}

pub async fn begin(db: &Db) -> Tx {
    db.begin().await.unwrap()
}

pub async fn commit(tx: Tx) -> Committed {
    tx.commit().await.unwrap()
}

/// Runs one statement in a transaction of its own.
macro_rules! write {
    ($db:expr, $tx:ident => $body:expr) => {{
        let mut $tx = $crate::world::begin($db).await;
        let done = $body.await.unwrap();
        let _committed = $crate::world::commit($tx).await;
        done
    }};
}
pub(crate) use write;

pub async fn user(db: &Db, name: &str) -> UserId {
    let new = id();
    let email = format!("{name}@example.com");
    write!(db, tx => users::insert(&mut tx, &users::NewUser {
        id: new, email: &email, email_key: &email, username: name, username_key: name, full_name: None, password_hash: "hash",
        role: UserRole::User, at: at(0),
    }));
    new
}

pub async fn project(db: &Db, owner: UserId) -> ProjectId {
    let new = id();
    write!(db, tx => projects::insert(&mut tx, &projects::NewProject {
        id: new, owner_id: owner, name: "Project", description: "", storage_backend: "local", at: at(0), importing: false,
    }));
    new
}

pub async fn conversation(db: &Db, project: ProjectId, user: UserId) -> ConversationId {
    let new = id();
    write!(db, tx => chat::insert_conversation(&mut tx, new, project, user, "Title", at(0)));
    new
}

pub fn new_turn(conversation: ConversationId, project: ProjectId, user: UserId) -> chat::NewTurn<'static> {
    chat::NewTurn {
        id: id(),
        conversation_id: conversation,
        project_id: project,
        user_id: user,
        job_id: id(),
        prompt: "Do it",
        mode: Mode::Ask,
        model: "demo",
        base_revision: 3,
        budget_tokens: Some(1000),
        budget_steps: None,
        budget_usd_micros: None,
        max_tokens: None,
        temperature: None,
        at: at(1),
    }
}

/// A turn with the conversation that it needs.
pub async fn turn(db: &Db, project: ProjectId, user: UserId) -> TurnId {
    let conversation = conversation(db, project, user).await;
    let new = new_turn(conversation, project, user);
    write!(db, tx => chat::insert_turn(&mut tx, &new));
    new.id
}

pub async fn run(db: &Db, project: ProjectId, user: UserId, turn: Option<TurnId>, job: Option<JobId>, when: Micros) -> RunId {
    let new = id();
    let env = BTreeMap::from([("LANG".to_owned(), "C.UTF-8".to_owned())]);
    let limits = RunLimits { wall_s: 60, pids: 64, ..RunLimits::default() };
    write!(db, tx => runs::insert(&mut tx, &runs::NewRun {
        id: new, project_id: project, user_id: user, turn_id: turn, job_id: job, kind: RunKind::SandboxExec, command: "make", cwd: "src",
        env: &env, limits: &limits, network: RunNetwork::AllowList, only: &["a::b".to_owned()], at: when,
    }));
    new
}

pub async fn job(db: &Db, user: Option<UserId>, run_at: Micros) -> JobId {
    job_in(db, user, run_at, "work", 0).await
}

pub async fn job_in(db: &Db, user: Option<UserId>, run_at: Micros, lane: &str, priority: i64) -> JobId {
    let new = id();
    write!(db, tx => jobs::insert(&mut tx, &jobs::NewJob {
        id: new, kind: "test", lane, priority, payload: "{}", user_id: user, project_id: None, max_attempts: 3, at: run_at,
    }));
    new
}
