//! Accounts: who there is, what they may, where they are signed in.

use futures::Stream;
use serde_json::json;
use store::{
    Tx,
    admin::{pattern, projects as project_table, users as table},
};
use wire::{
    UserId,
    admin::{AdminUser, Direction, Listed, PAGE_MAX, UpdateUser, UserDetail, UserQuery},
    audit::AuditAction,
    event::{EventKind, Stream as Events},
    users::{User, UserRole, UserState},
};

use super::{
    csv::{self, Bytes, Cell},
    paging::{Turn, read_search},
};
use crate::{
    Ctx, Error, Result,
    audit::{self, Facts},
    budgets::month_of,
    quotas, settings,
};

const LIST: &str = "admin users";
/// Projects that are shown with an account.
const OWNED: i64 = 50;

pub async fn list_users(ctx: &Ctx, query: UserQuery) -> Result<Listed<AdminUser>> {
    ctx.require_administration()?;
    let turn = Turn::read(LIST, query.cursor.as_deref(), query.limit, query.direction)?;
    let wanted = read_search(query.search.as_deref())?.map(pattern);
    let filter = table::Filter { pattern: wanted.as_deref(), role: query.role, state: query.state, second_factor: query.second_factor };
    let mut conn = ctx.services().db.read().await?;
    let rows = table::list(&mut conn, filter, turn.part(query.sort.word()), &month_of(ctx.now())).await?;
    let total = table::count(&mut conn, filter).await?;
    Ok(turn.page(rows, total, |row| row.position.clone(), shown))
}

fn shown(row: table::ListedUser) -> AdminUser {
    AdminUser {
        second_factor: row.second_factor,
        projects: row.projects,
        storage_bytes: row.storage_bytes,
        cost_micros: row.cost_micros,
        user: row.user.into_user(),
    }
}

/// One account with its quota, the number of its sessions and tokens, and the projects that it owns.
pub async fn user_detail(ctx: &Ctx, id: UserId) -> Result<UserDetail> {
    let me = ctx.require_admin()?.id;
    let mut conn = ctx.services().db.read().await?;
    let facts = table::get(&mut conn, id, &month_of(ctx.now()), ctx.now()).await?.ok_or(Error::NotFound("user"))?;
    let limits = settings::storage_in(&mut conn).await?;
    let filter = project_table::Filter { owner: Some(id), ..project_table::Filter::default() };
    let turn = Turn::read(LIST, None, None, Direction::Desc)?;
    let part = store::admin::Part { limit: OWNED, ..turn.part("activity") };
    let owned = project_table::list(&mut conn, filter, part, me, ctx.now()).await?;
    Ok(UserDetail {
        quota: quotas::of_person(&mut conn, id, &limits).await?,
        user: shown(facts.listed),
        sessions: facts.sessions,
        tokens: facts.tokens,
        owned: owned.into_iter().map(project_table::ListedProject::into_project).collect(),
    })
}

/// Disables, enables, makes or unmakes an administrator. Disabling ends every session at once. The last active administrator stays.
pub async fn update_user(ctx: &Ctx, id: UserId, request: UpdateUser) -> Result<User> {
    ctx.require_administrator_in_person()?;
    let mut tx = ctx.services().db.begin().await?;
    // Two administrators who unmake each other at the same moment must not both succeed.
    store::users::lock_installation(&mut tx).await?;
    let mut user = store::users::by_id(&mut tx, id).await?.ok_or(Error::NotFound("user"))?.into_user();
    let before = user.clone();
    let was_acting_admin = user.is_admin() && user.state == UserState::Active;
    user.role = request.role.unwrap_or(user.role);
    user.state = request.state.unwrap_or(user.state);
    let is_acting_admin = user.role == UserRole::Admin && user.state == UserState::Active;
    if was_acting_admin && !is_acting_admin && store::users::count_active_admins(&mut tx).await? <= 1 {
        return Err(Error::conflict("This is the last active administrator. Make someone else administrator first."));
    }
    store::users::update_access(&mut tx, id, user.role, user.state).await?;
    if user.state == UserState::Disabled {
        end_sessions(ctx, &mut tx, id).await?;
    }
    if !is_acting_admin {
        store::admin::access::close_all(&mut tx, id, ctx.now()).await?;
        store::links::remove_made_by(&mut tx, id).await?;
    }
    if user.role != before.role {
        let facts = Facts::user(&user).with(json!({ "from": before.role, "to": user.role }));
        audit::record(ctx, &mut tx, AuditAction::RoleChanged, facts);
    }
    if user.state != before.state {
        let is_disabled = user.state == UserState::Disabled;
        let action = if is_disabled { AuditAction::AccountDisabled } else { AuditAction::AccountEnabled };
        audit::record(ctx, &mut tx, action, Facts::user(&user));
    }
    ctx.commit(tx).await?;
    tracing::info!(user.id = %id, user.role = ?user.role, user.state = ?user.state, by = ?ctx.user_id(), "an account was changed");
    Ok(user)
}

/// Ends every session of an account and revokes its tokens; the person may sign in again.
pub async fn sign_out_user(ctx: &Ctx, id: UserId) -> Result<()> {
    ctx.require_administration()?;
    let mut tx = ctx.services().db.begin().await?;
    let user = store::users::by_id(&mut tx, id).await?.ok_or(Error::NotFound("user"))?.into_user();
    end_sessions(ctx, &mut tx, id).await?;
    let tokens = store::tokens::revoke_all(&mut tx, id, ctx.now()).await?;
    audit::record(ctx, &mut tx, AuditAction::AllSessionsRevoked, Facts::user(&user).with(json!({ "tokens_revoked": tokens })));
    ctx.commit(tx).await?;
    tracing::info!(user.id = %id, by = ?ctx.user_id(), "somebody was signed out everywhere");
    Ok(())
}

async fn end_sessions(ctx: &Ctx, tx: &mut Tx, id: UserId) -> Result<()> {
    store::sessions::revoke_all(tx, id, ctx.now()).await?;
    store::events::append(tx, Events::User(id), ctx.now(), vec![EventKind::SessionEnded {}]).await?;
    Ok(())
}

const COLUMNS: &[&str] = &[
    "id",
    "username",
    "full_name",
    "email",
    "role",
    "state",
    "second_factor",
    "projects",
    "storage_bytes",
    "cost_this_month_usd",
    "created_at",
    "last_seen_at",
];

fn csv_line(item: &AdminUser) -> Bytes {
    let user = &item.user;
    csv::line(&[
        Cell::Text(&user.id.to_string()),
        Cell::Text(&user.username),
        Cell::Text(user.full_name.as_deref().unwrap_or_default()),
        Cell::Text(&user.email),
        Cell::Text(if user.is_admin() { "admin" } else { "user" }),
        Cell::Text(if user.state == UserState::Active { "active" } else { "disabled" }),
        Cell::Yes(item.second_factor),
        Cell::Number(item.projects),
        Cell::Number(item.storage_bytes),
        Cell::Usd(item.cost_micros),
        Cell::At(Some(user.created_at)),
        Cell::At(user.last_seen_at),
    ])
}

/// The whole list as [`list_users`] filters and sorts it.
pub async fn users_csv(ctx: &Ctx, query: UserQuery) -> Result<impl Stream<Item = Result<Bytes>> + Send + use<>> {
    let query = UserQuery { cursor: None, limit: Some(PAGE_MAX), ..query };
    let first = list_users(ctx, query.clone()).await?;
    let ctx = ctx.clone();
    Ok(csv::of_pages(COLUMNS, first, csv_line, move |cursor| {
        let (ctx, query) = (ctx.clone(), UserQuery { cursor: Some(cursor), ..query.clone() });
        async move { list_users(&ctx, query).await }
    }))
}
