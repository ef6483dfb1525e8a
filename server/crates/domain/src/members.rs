//! Who may enter a project: members with their roles, invitations that wait for an account, and the owners among them.

use serde_json::json;
use store::{Tx, members as table};
use wire::{
    InvitationId, ProjectId, UserId,
    audit::AuditAction,
    auth,
    event::{EventKind, Stream},
    members::{ChangeMember, Invitation, Invite, Invited, Member, Members, TransferProject},
    projects::{ProjectRole, Visibility},
    users::{User, UserState},
};

use crate::{
    Ctx, Error, Result,
    audit::{self, Facts},
    auth::key_of,
    mail::{self, Letter},
    projects, quotas,
};

/// Members and waiting invitations of one project together.
const MEMBERS_MAX: usize = 500;
const LAST_OWNER: &str = "This is the project's last owner. Make somebody else owner first, or delete the project.";

/// Everybody who is in the project. Owners also see who is invited.
pub async fn list(ctx: &Ctx, project: ProjectId) -> Result<Members> {
    let mut conn = ctx.services().db.read().await?;
    let role = projects::require(ctx, &mut conn, project, ProjectRole::Viewer).await?;
    let mut items = table::list(&mut conn, project).await?;
    items.sort_by(|a, b| b.role.cmp(&a.role).then_with(|| key_of(&a.user.name).cmp(&key_of(&b.user.name))));
    let invitations = if role == ProjectRole::Owner { table::invitations(&mut conn, project).await? } else { Vec::new() };
    Ok(Members { items, invitations })
}

/// Lets somebody in by user name, or invites an e-mail address: that waits until somebody proves that it is theirs, or until an owner
/// makes the account a member that has it. A private project becomes a shared one by this.
pub async fn invite(ctx: &Ctx, project: ProjectId, request: Invite) -> Result<Invited> {
    let who = request.who.trim();
    if who.is_empty() {
        return Err(Error::invalid("who", "Enter a user name or an e-mail address."));
    }
    let (mut tx, by) = begin(ctx, project).await?;
    let waiting = table::invitations(&mut tx, project).await?;
    if table::list(&mut tx, project).await?.len() + waiting.len() >= MEMBERS_MAX {
        return Err(Error::conflict(format!("A project has at most {MEMBERS_MAX} members and invitations. Remove some first.")));
    }
    let key = key_of(who);
    let answer = match store::users::by_key(&mut tx, &key).await? {
        Some(found) => {
            let user = found.into_user();
            if user.state != UserState::Active {
                return Err(Error::invalid("who", "This account is disabled. An administrator can enable it."));
            }
            if let Some(member) = table::get(&mut tx, project, user.id).await? {
                let role = projects::role_word(member.role);
                return Err(Error::invalid(
                    "who",
                    format!("{} is in this project already, as {role}. Change the role in the list.", member.user.name),
                ));
            }
            if key_of(&user.email) == key {
                // Whoever made the account may have typed any address.
                Invited::Pending { invitation: wait(ctx, &mut tx, project, who, request.role, by).await? }
            } else {
                let member = admit(ctx, &mut tx, project, user.id, request.role).await?;
                Invited::Joined { member }
            }
        }
        None if who.contains('@') => {
            if !auth::is_email(who) {
                return Err(Error::invalid("who", auth::NO_EMAIL));
            }
            Invited::Pending { invitation: wait(ctx, &mut tx, project, who, request.role, by).await? }
        }
        None => {
            let hint = "Nobody here has this name. With an e-mail address the invitation waits for that person.";
            return Err(Error::invalid("who", hint));
        }
    };
    open_to_members(ctx, &mut tx, project).await?;
    let letter = match &answer {
        // Who is invited once more has the letter.
        Invited::Pending { invitation } if waiting.iter().all(|known| key_of(&known.email) != key) => {
            invitation_letter(ctx, &mut tx, project, invitation).await?
        }
        _ => None,
    };
    let who = match &answer {
        Invited::Joined { member } => json!({ "what": "added", "user": member.user, "role": request.role }),
        Invited::Pending { invitation } => json!({ "what": "invited", "email": invitation.email, "role": request.role }),
    };
    note(ctx, &mut tx, project, who);
    tell(ctx, &mut tx, project, &[]).await?;
    ctx.commit(tx).await?;
    tracing::info!(project.id = %project, by = %by, role = projects::role_word(request.role), "somebody was invited to a project");
    if let Some(letter) = letter {
        mail::send_soon(ctx, letter);
    }
    Ok(answer)
}

/// Tells where the invitation waits. It holds no secret: whoever reads it has yet to prove that the address is theirs.
async fn invitation_letter(ctx: &Ctx, tx: &mut Tx, project: ProjectId, invitation: &Invitation) -> Result<Option<Letter>> {
    let Some(address) = mail::address_of(ctx.services(), "/") else { return Ok(None) };
    let by = ctx.require_user()?;
    let name = store::projects::get(tx, by.id, project).await?.ok_or(Error::NotFound("project"))?.name;
    let (by, role) = (by.display_name(), projects::role_word(invitation.role));
    let text = format!(
        "{by} invites you to the project {name} on cloudxdevai, as {role}. Sign in or make an account:\n\n{address}\n\n\
         The invitation waits for the account that proves this address. Until then {by} can let you in by your user name.\n"
    );
    Ok(Some(Letter { to: invitation.email.clone(), subject: "You are invited to a project on cloudxdevai", text }))
}

async fn wait(ctx: &Ctx, tx: &mut Tx, project: ProjectId, email: &str, role: ProjectRole, by: UserId) -> Result<Invitation> {
    let email_key = key_of(email);
    let new = table::NewInvitation { id: ctx.new_id(), project_id: project, email, email_key: &email_key, role, by, at: ctx.now() };
    table::invite(tx, &new).await?;
    let waiting = table::invitations(tx, project).await?;
    waiting.into_iter().find(|found| key_of(&found.email) == email_key).ok_or(Error::NotFound("invitation"))
}

/// Gives a member another role, or makes an account a member, such as one that says it has an invited address. The last owner stays one.
pub async fn change(ctx: &Ctx, project: ProjectId, user: UserId, request: ChangeMember) -> Result<Member> {
    let (mut tx, by) = begin(ctx, project).await?;
    let before = table::get(&mut tx, project, user).await?;
    if before.is_none() {
        let found = store::users::by_id(&mut tx, user).await?.map(store::users::UserRow::into_user);
        if found.is_none_or(|found| found.state != UserState::Active) {
            return Err(Error::NotFound("user"));
        }
        open_to_members(ctx, &mut tx, project).await?;
    } else if before.as_ref().is_some_and(|member| member.role == ProjectRole::Owner) && request.role != ProjectRole::Owner {
        keep_an_owner(&mut tx, project, user).await?;
    }
    let member = admit(ctx, &mut tx, project, user, request.role).await?;
    let was = before.map(|member| member.role);
    note(ctx, &mut tx, project, json!({ "what": "role", "user": member.user, "from": was, "role": request.role }));
    tell(ctx, &mut tx, project, &[]).await?;
    ctx.commit(tx).await?;
    tracing::info!(project.id = %project, user.id = %user, by = %by, role = projects::role_word(request.role), "a role was changed");
    Ok(member)
}

/// Takes a member out: owners anybody, everybody themselves. Their access ends at once, open streams within seconds. The last owner
/// stays.
pub async fn remove(ctx: &Ctx, project: ProjectId, user: UserId) -> Result<()> {
    refuse_agent(ctx)?;
    let me = ctx.require_user()?.id;
    let needed = if me == user { ProjectRole::Viewer } else { ProjectRole::Owner };
    let mut tx = ctx.services().db.begin().await?;
    projects::require(ctx, &mut tx, project, needed).await?;
    store::quotas::lock_project(&mut tx, project).await?;
    let member = table::get(&mut tx, project, user).await?.ok_or(Error::NotFound("member"))?;
    if member.role == ProjectRole::Owner {
        keep_an_owner(&mut tx, project, user).await?;
    }
    table::remove(&mut tx, project, user).await?;
    note(ctx, &mut tx, project, json!({ "what": "removed", "user": member.user, "role": member.role }));
    tell(ctx, &mut tx, project, &[user]).await?;
    ctx.commit(tx).await?;
    tracing::info!(project.id = %project, user.id = %user, by = %me, "somebody left a project or was taken out");
    Ok(())
}

/// Takes an invitation back.
pub async fn withdraw(ctx: &Ctx, project: ProjectId, invitation: InvitationId) -> Result<()> {
    let (mut tx, _) = begin(ctx, project).await?;
    if !table::withdraw(&mut tx, project, invitation).await? {
        return Err(Error::NotFound("invitation"));
    }
    note(ctx, &mut tx, project, json!({ "what": "invitation_withdrawn", "invitation": invitation }));
    tell(ctx, &mut tx, project, &[]).await?;
    ctx.commit(tx).await
}

/// Hands the project to another member, who becomes its owner and must have room for it. Whoever hands it over stays as an editor.
pub async fn transfer(ctx: &Ctx, project: ProjectId, request: TransferProject) -> Result<Members> {
    let (mut tx, by) = begin(ctx, project).await?;
    let to = table::get(&mut tx, project, request.to).await?.ok_or(Error::NotFound("member"))?;
    let to_state = store::users::by_id(&mut tx, request.to).await?.map(|found| found.state.0);
    if to_state != Some(UserState::Active) {
        return Err(Error::invalid("to", "This account is disabled. Choose somebody else."));
    }
    if request.to == by {
        return Err(Error::invalid("to", "The project is yours already. Choose another member."));
    }
    if !to.holds_quota {
        quotas::hand_over(&mut tx, project, request.to).await?;
    }
    table::put(&mut tx, project, request.to, ProjectRole::Owner, ctx.now()).await?;
    table::put(&mut tx, project, by, ProjectRole::Editor, ctx.now()).await?;
    let facts = Facts::about("project", project, "").in_project(project).with(json!({ "from": by, "to": to.user }));
    audit::record(ctx, &mut tx, AuditAction::OwnerChanged, facts);
    tell(ctx, &mut tx, project, &[by, request.to]).await?;
    ctx.commit(tx).await?;
    tracing::info!(project.id = %project, user.id = %request.to, by = %by, "a project was handed over");
    list(ctx, project).await
}

/// What waits for the address of a new account becomes memberships, in the transaction that makes the account. The address is proved.
pub(crate) async fn take_up(ctx: &Ctx, tx: &mut Tx, user: &User) -> Result<()> {
    for (project, role) in table::take_up(tx, &key_of(&user.email)).await? {
        table::put(tx, project, user.id, role, ctx.now()).await?;
        let details = json!({ "what": "joined_by_invitation", "user": { "id": user.id, "name": user.username }, "role": role });
        let facts = Facts::about("project", project, "").in_project(project).by(user).with(details);
        audit::record(ctx, tx, AuditAction::MembersChanged, facts);
        tell(ctx, tx, project, &[]).await?;
    }
    Ok(())
}

/// Tells the owners of projects that somebody who says to have an invited address has an account now, for them to let in.
pub(crate) async fn announce(ctx: &Ctx, tx: &mut Tx, user: &User) -> Result<()> {
    for project in table::waiting_for(tx, &key_of(&user.email)).await? {
        store::events::append(tx, Stream::Project(project), ctx.now(), vec![EventKind::MembersChanged {}]).await?;
    }
    Ok(())
}

/// Opens a transaction of an owner who is a person, in which nobody else changes the members.
async fn begin(ctx: &Ctx, project: ProjectId) -> Result<(Tx, UserId)> {
    refuse_agent(ctx)?;
    let by = ctx.require_user()?.id;
    let mut tx = ctx.services().db.begin().await?;
    projects::require(ctx, &mut tx, project, ProjectRole::Viewer).await?;
    store::quotas::lock_project(&mut tx, project).await?;
    // Asked again now that nobody can change it meanwhile.
    projects::require(ctx, &mut tx, project, ProjectRole::Owner).await?;
    Ok((tx, by))
}

fn refuse_agent(ctx: &Ctx) -> Result<()> {
    if ctx.agent_turn().is_some() {
        return Err(Error::Forbidden("Only people decide who is in a project.".to_owned()));
    }
    Ok(())
}

async fn admit(ctx: &Ctx, tx: &mut Tx, project: ProjectId, user: UserId, role: ProjectRole) -> Result<Member> {
    table::put(tx, project, user, role, ctx.now()).await?;
    table::settle(tx, project, user).await?;
    store::events::append(tx, Stream::User(user), ctx.now(), vec![EventKind::MembersChanged {}]).await?;
    table::get(tx, project, user).await?.ok_or(Error::NotFound("member"))
}

fn note(ctx: &Ctx, tx: &mut Tx, project: ProjectId, details: serde_json::Value) {
    let facts = Facts::about("project", project, "").in_project(project).with(details);
    audit::record(ctx, tx, AuditAction::MembersChanged, facts);
}

async fn open_to_members(ctx: &Ctx, tx: &mut Tx, project: ProjectId) -> Result<()> {
    let found = store::projects::visibility(tx, project).await?;
    if found == Some(Visibility::Private) {
        table::set_visibility(tx, project, Visibility::Shared).await?;
        let change = json!({ "from": Visibility::Private, "to": Visibility::Shared });
        let facts = Facts::about("project", project, "").in_project(project).with(change);
        audit::record(ctx, tx, AuditAction::VisibilityChanged, facts);
    }
    Ok(())
}

/// Refuses where `leaving` is the last owner. Where the project counts towards their quota, another owner takes it over.
async fn keep_an_owner(tx: &mut Tx, project: ProjectId, leaving: UserId) -> Result<()> {
    let members = table::list(tx, project).await?;
    let holds = members.iter().any(|member| member.user.id == leaving && member.holds_quota);
    let next = members.iter().find(|member| member.role == ProjectRole::Owner && member.user.id != leaving);
    let Some(next) = next else { return Err(Error::conflict(LAST_OWNER)) };
    if holds {
        quotas::hand_over(tx, project, next.user.id).await?;
    }
    Ok(())
}

/// Tells the project's readers, whose access is looked at again by that, and `people` of whom it is about.
async fn tell(ctx: &Ctx, tx: &mut Tx, project: ProjectId, people: &[UserId]) -> Result<()> {
    for user in people {
        store::events::append(tx, Stream::User(*user), ctx.now(), vec![EventKind::MembersChanged {}]).await?;
    }
    let kinds = vec![EventKind::MembersChanged {}, EventKind::ProjectChanged {}];
    Ok(store::events::append(tx, Stream::Project(project), ctx.now(), kinds).await?)
}
