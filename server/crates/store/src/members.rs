use sqlx::FromRow;
use wire::{
    InvitationId, Micros, ProjectId, UserId,
    members::{Invitation, InvitedAccount, Member},
    projects::{ProjectRole, Visibility},
    users::UserRef,
};

use crate::{Conn, Result, Word, db::on, users::user_ref};

#[derive(FromRow)]
struct MemberRow {
    user_id: UserId,
    username: String,
    full_name: Option<String>,
    role: Word<ProjectRole>,
    holds_quota: bool,
    created_at: Micros,
}

impl MemberRow {
    fn into_member(self) -> Member {
        let user = user_ref(Some(self.user_id), Some(self.username.clone()), self.full_name);
        Member {
            user: user.unwrap_or(UserRef { id: self.user_id, name: self.username.clone() }),
            username: self.username,
            role: self.role.0,
            holds_quota: self.holds_quota,
            since: self.created_at,
        }
    }
}

macro_rules! select_members {
    ($filter:literal) => {
        concat!(
            "SELECT m.user_id, u.username, u.full_name, m.role, p.owner_id = m.user_id AS holds_quota, m.created_at
             FROM project_members m JOIN users u ON u.id = m.user_id JOIN projects p ON p.id = m.project_id WHERE m.project_id = $1 AND ",
            $filter
        )
    };
}

/// Everybody who is in a project, by how long they have been.
pub async fn list(c: &mut Conn, project: ProjectId) -> Result<Vec<Member>> {
    let rows: Vec<MemberRow> = on!(c, c => {
        sqlx::query_as(select_members!("1 = 1 ORDER BY m.created_at, m.user_id")).bind(project).fetch_all(c).await?
    });
    Ok(rows.into_iter().map(MemberRow::into_member).collect())
}

pub async fn get(c: &mut Conn, project: ProjectId, user: UserId) -> Result<Option<Member>> {
    let row: Option<MemberRow> = on!(c, c => {
        sqlx::query_as(select_members!("m.user_id = $2")).bind(project).bind(user).fetch_optional(c).await?
    });
    Ok(row.map(MemberRow::into_member))
}

/// A project that somebody is in, as they leave it.
#[derive(Debug, Clone, FromRow)]
pub struct Membership {
    pub project_id: ProjectId,
    pub name: String,
    pub role: Word<ProjectRole>,
    pub holds_quota: bool,
    pub since: Micros,
    /// Other members.
    pub others: i64,
    pub other_owners: i64,
}

/// Every project that somebody is in, also where they may not enter at the moment.
pub async fn of_user(c: &mut Conn, user: UserId) -> Result<Vec<Membership>> {
    Ok(on!(c, c => {
        sqlx::query_as(
            "SELECT p.id AS project_id, p.name, m.role, p.owner_id = $1 AS holds_quota, m.created_at AS since,
                    (SELECT COUNT(*) FROM project_members o WHERE o.project_id = p.id AND o.user_id <> $1) AS others,
                    (SELECT COUNT(*) FROM project_members o WHERE o.project_id = p.id AND o.user_id <> $1 AND o.role = 'owner') AS other_owners
             FROM project_members m JOIN projects p ON p.id = m.project_id
             WHERE m.user_id = $1 AND p.deleted_at IS NULL ORDER BY p.id",
        )
        .bind(user).fetch_all(c).await?
    }))
}

/// Makes somebody a member, or gives a member another role.
pub async fn put(c: &mut Conn, project: ProjectId, user: UserId, role: ProjectRole, at: Micros) -> Result<()> {
    on!(c, c => {
        sqlx::query(
            "INSERT INTO project_members (project_id, user_id, role, created_at) VALUES ($1, $2, $3, $4)
             ON CONFLICT (project_id, user_id) DO UPDATE SET role = $3",
        )
        .bind(project).bind(user).bind(Word(role)).bind(at).execute(c).await?;
    });
    Ok(())
}

pub async fn remove(c: &mut Conn, project: ProjectId, user: UserId) -> Result<()> {
    on!(c, c => {
        sqlx::query("DELETE FROM project_members WHERE project_id = $1 AND user_id = $2").bind(project).bind(user).execute(c).await?;
    });
    Ok(())
}

/// Lets the project count towards another owner's quota.
pub async fn set_holder(c: &mut Conn, project: ProjectId, user: UserId) -> Result<()> {
    on!(c, c => { sqlx::query("UPDATE projects SET owner_id = $2 WHERE id = $1").bind(project).bind(user).execute(c).await?; });
    Ok(())
}

pub async fn set_visibility(c: &mut Conn, project: ProjectId, visibility: Visibility) -> Result<()> {
    on!(c, c => {
        sqlx::query("UPDATE projects SET visibility = $2 WHERE id = $1").bind(project).bind(Word(visibility)).execute(c).await?;
    });
    Ok(())
}

#[derive(FromRow)]
struct InvitationRow {
    id: InvitationId,
    email: String,
    role: Word<ProjectRole>,
    invited_by: Option<UserId>,
    username: Option<String>,
    full_name: Option<String>,
    created_at: Micros,
    account_id: Option<UserId>,
    account_username: Option<String>,
    account_full_name: Option<String>,
}

/// Invitations that wait, the newest first.
pub async fn invitations(c: &mut Conn, project: ProjectId) -> Result<Vec<Invitation>> {
    let rows: Vec<InvitationRow> = on!(c, c => {
        sqlx::query_as(
            "SELECT i.id, i.email, i.role, i.invited_by, u.username, u.full_name, i.created_at,
                    a.id AS account_id, a.username AS account_username, a.full_name AS account_full_name
             FROM invitations i LEFT JOIN users u ON u.id = i.invited_by
                                LEFT JOIN users a ON a.email_key = i.email_key AND a.state = 'active' WHERE i.project_id = $1 ORDER BY i.created_at DESC, i.id DESC",
        )
        .bind(project).fetch_all(c).await?
    });
    let invitation = |row: InvitationRow| Invitation {
        id: row.id,
        email: row.email,
        role: row.role.0,
        invited_by: user_ref(row.invited_by, row.username, row.full_name),
        created_at: row.created_at,
        account: row.account_username.and_then(|username| {
            let user = user_ref(row.account_id, Some(username.clone()), row.account_full_name)?;
            Some(InvitedAccount { user, username })
        }),
    };
    Ok(rows.into_iter().map(invitation).collect())
}

pub struct NewInvitation<'a> {
    pub id: InvitationId,
    pub project_id: ProjectId,
    pub email: &'a str,
    /// The address in the form that is unique.
    pub email_key: &'a str,
    pub role: ProjectRole,
    pub by: UserId,
    pub at: Micros,
}

/// Inviting the same address again only changes the role.
pub async fn invite(c: &mut Conn, new: &NewInvitation<'_>) -> Result<()> {
    on!(c, c => {
        sqlx::query(
            "INSERT INTO invitations (id, project_id, email, email_key, role, invited_by, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7)
             ON CONFLICT (project_id, email_key) DO UPDATE SET role = $5",
        )
        .bind(new.id).bind(new.project_id).bind(new.email).bind(new.email_key).bind(Word(new.role)).bind(new.by).bind(new.at)
        .execute(c).await?;
    });
    Ok(())
}

/// False when there was none.
pub async fn withdraw(c: &mut Conn, project: ProjectId, id: InvitationId) -> Result<bool> {
    Ok(on!(c, c => {
        sqlx::query("DELETE FROM invitations WHERE project_id = $1 AND id = $2").bind(project).bind(id).execute(c).await?.rows_affected()
    }) == 1)
}

/// Takes out the invitation to a project that waits for the address of an account, now that it is a member.
pub async fn settle(c: &mut Conn, project: ProjectId, user: UserId) -> Result<()> {
    on!(c, c => {
        sqlx::query("DELETE FROM invitations WHERE project_id = $1 AND email_key = (SELECT email_key FROM users WHERE id = $2)")
            .bind(project).bind(user).execute(c).await?;
    });
    Ok(())
}

/// The projects that somebody with an address is invited to.
pub async fn waiting_for(c: &mut Conn, email_key: &str) -> Result<Vec<ProjectId>> {
    Ok(on!(c, c => sqlx::query_scalar("SELECT project_id FROM invitations WHERE email_key = $1").bind(email_key).fetch_all(c).await?))
}

/// Takes out what waits for an address: the projects and the roles in them.
pub async fn take_up(c: &mut Conn, email_key: &str) -> Result<Vec<(ProjectId, ProjectRole)>> {
    let rows: Vec<(ProjectId, Word<ProjectRole>)> = on!(c, c => {
        sqlx::query_as("DELETE FROM invitations WHERE email_key = $1 RETURNING project_id, role").bind(email_key).fetch_all(c).await?
    });
    Ok(rows.into_iter().map(|(project, role)| (project, role.0)).collect())
}
