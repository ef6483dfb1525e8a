//! Who is in a project and what owners do about it: the state behind the share dialog and the project's settings.

use std::sync::Arc;

use leptos::{prelude::*, task::spawn_local};
use wire::{
    UserId,
    members::{ChangeMember, Invitation, Invite, Invited, Member, Members, TransferProject},
    projects::{Project, ProjectRole, UpdateProject, Visibility},
};

use crate::api::{self, ApiError};

pub const ROLES: [ProjectRole; 4] = [ProjectRole::Viewer, ProjectRole::Reviewer, ProjectRole::Editor, ProjectRole::Owner];

pub fn role_label(role: ProjectRole) -> &'static str {
    match role {
        ProjectRole::Viewer => "Viewer",
        ProjectRole::Reviewer => "Reviewer",
        ProjectRole::Editor => "Editor",
        ProjectRole::Owner => "Owner",
    }
}

/// What the role may do beyond the one before it.
pub fn role_hint(role: ProjectRole) -> &'static str {
    match role {
        ProjectRole::Viewer => "Reads files, chats and runs, and changes nothing.",
        ProjectRole::Reviewer => "Reads everything, approves what the agent asks for and decides on its changes.",
        ProjectRole::Editor => "Edits files, runs commands and asks the agent.",
        ProjectRole::Owner => "Does everything, decides who is in and may delete the project.",
    }
}

/// The word of a role in requests and in the values of lists to choose from.
pub fn role_word(role: ProjectRole) -> &'static str {
    match role {
        ProjectRole::Viewer => "viewer",
        ProjectRole::Reviewer => "reviewer",
        ProjectRole::Editor => "editor",
        ProjectRole::Owner => "owner",
    }
}

pub fn read_role(word: &str) -> ProjectRole {
    ROLES.into_iter().find(|role| role_word(*role) == word).unwrap_or(ProjectRole::Viewer)
}

pub fn visibility_label(visibility: Visibility) -> &'static str {
    match visibility {
        Visibility::Private => "Private",
        Visibility::Shared => "Shared",
        Visibility::Public => "Public",
    }
}

/// What can't be taken back by who does it, and so is asked once more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    Leave,
    Transfer(Member),
}

/// Takes something back. It outlives the row that it was begun from, as a callback would not.
pub type Undo = Arc<dyn Fn() + Send + Sync>;

fn undo_by(undo: impl Fn() + Send + Sync + 'static) -> Undo {
    Arc::new(undo)
}

/// What was done, and what takes it back. It is told inside the panel, since nothing outside of a dialog can be reached.
#[derive(Clone)]
pub struct Said {
    pub text: String,
    pub undo: Option<Undo>,
}

#[derive(Clone, Copy)]
pub struct ShareDesk {
    pub project: RwSignal<Project>,
    pub me: UserId,
    /// `None` until it was read.
    pub members: RwSignal<Option<Members>>,
    pub who: RwSignal<String>,
    pub role: RwSignal<ProjectRole>,
    pub who_error: RwSignal<Option<String>>,
    pub problem: RwSignal<Option<String>>,
    pub ask: RwSignal<Option<Ask>>,
    pub busy: RwSignal<bool>,
    /// The caller has left: the page has nothing to show any more.
    pub has_left: RwSignal<bool>,
    pub said: RwSignal<Option<Said>>,
}

impl ShareDesk {
    pub fn new(project: RwSignal<Project>, me: UserId) -> Self {
        Self {
            project,
            me,
            members: RwSignal::new(None),
            who: RwSignal::new(String::new()),
            role: RwSignal::new(ProjectRole::Editor),
            who_error: RwSignal::new(None),
            problem: RwSignal::new(None),
            ask: RwSignal::new(None),
            busy: RwSignal::new(false),
            has_left: RwSignal::new(false),
            said: RwSignal::new(None),
        }
    }

    pub fn is_owner(self) -> bool {
        self.project.with(|project| project.role == ProjectRole::Owner)
    }

    /// Whether the caller is in the project, not only let in because it is public.
    pub fn is_member(self) -> bool {
        self.members.with(|members| members.as_ref().is_some_and(|all| all.items.iter().any(|member| member.user.id == self.me)))
    }

    /// Reads the list again; a failure leaves what is shown and says so.
    pub fn load(self) {
        spawn_local(async move {
            let id = self.project.with_untracked(|project| project.id);
            let read = api::members::list(id).await;
            match read {
                Ok(members) => {
                    let _ = self.members.try_set(Some(members));
                }
                Err(error) => {
                    let _ = self.problem.try_set(Some(error.to_string()));
                }
            }
        });
    }

    fn begin(self) {
        self.busy.set(true);
        self.problem.set(None);
        self.who_error.set(None);
        self.said.set(None);
    }

    /// Does one thing, shows its refusal or what is there afterwards. `said` is told with what takes it back.
    fn act<F>(self, action: F, said: String, undo: Option<Undo>)
    where
        F: Future<Output = Result<(), ApiError>> + 'static,
    {
        if self.busy.get_untracked() {
            return;
        }
        self.begin();
        spawn_local(async move {
            let done = action.await;
            if self.busy.try_set(false).is_some() {
                return;
            }
            match done {
                Ok(()) => self.said.set(Some(Said { text: said, undo })),
                Err(error) => self.problem.set(Some(error.to_string())),
            }
            self.refresh().await;
        });
    }

    async fn refresh(self) {
        let id = self.project.with_untracked(|project| project.id);
        if let Ok(project) = api::projects::get(id).await
            && self.project.try_with_untracked(|shown| *shown != project) == Some(true)
        {
            self.project.set(project);
        }
        if let Ok(members) = api::members::list(id).await {
            let _ = self.members.try_set(Some(members));
        }
    }

    /// Invites who stands in the field.
    pub fn invite(self) {
        if self.busy.get_untracked() {
            return;
        }
        let request = Invite { who: self.who.get_untracked().trim().to_owned(), role: self.role.get_untracked() };
        if request.who.is_empty() {
            self.who_error.set(Some("Enter a user name or an e-mail address.".to_owned()));
            return;
        }
        self.begin();
        let id = self.project.with_untracked(|project| project.id);
        spawn_local(async move {
            let invited = api::members::invite(id, request).await;
            if self.busy.try_set(false).is_some() {
                return;
            }
            match invited {
                Ok(invited) => {
                    self.who.set(String::new());
                    let text = match invited {
                        Invited::Joined { member } => format!("{} is in the project now", member.user.name),
                        Invited::Pending { invitation } => match invitation.account {
                            Some(account) => {
                                format!("{} has this address, which is not verified. Let them in below if you know them", account.user.name)
                            }
                            None => format!("The invitation waits for {}", invitation.email),
                        },
                    };
                    self.said.set(Some(Said { text, undo: None }));
                    self.refresh().await;
                }
                Err(error) => match error.field("who") {
                    Some(reason) => self.who_error.set(Some(reason)),
                    None => self.problem.set(Some(error.to_string())),
                },
            }
        });
    }

    pub fn change(self, member: Member, role: ProjectRole) {
        let back = member.role;
        let said = format!("{} is {} now", member.user.name, role_word(role));
        let undo = undo_by(move || self.send_role(member.user.id, back, "The role is as it was".to_owned(), None));
        self.send_role(member.user.id, role, said, Some(undo));
    }

    fn send_role(self, user: UserId, role: ProjectRole, said: String, undo: Option<Undo>) {
        let id = self.project.with_untracked(|project| project.id);
        self.act(async move { api::members::change(id, user, ChangeMember { role }).await.map(drop) }, said, undo);
    }

    pub fn remove(self, member: Member) {
        let id = self.project.with_untracked(|project| project.id);
        let (user, role, name) = (member.user.id, member.role, member.user.name);
        let back = format!("{name} is in the project again");
        let undo = undo_by(move || self.send_role(user, role, back.clone(), None));
        self.act(async move { api::members::remove(id, user).await }, format!("{name} was taken out of the project"), Some(undo));
    }

    /// Makes the account a member that says it has an invited address.
    pub fn let_in(self, invitation: Invitation) {
        let Some(account) = invitation.account else { return };
        let id = self.project.with_untracked(|project| project.id);
        let said = format!("{} is in the project now", account.user.name);
        let (user, role) = (account.user.id, invitation.role);
        self.act(async move { api::members::change(id, user, ChangeMember { role }).await.map(drop) }, said, None);
    }

    pub fn withdraw(self, invitation: Invitation) {
        let id = self.project.with_untracked(|project| project.id);
        let again = Invite { who: invitation.email.clone(), role: invitation.role };
        let undo = undo_by(move || {
            let again = again.clone();
            self.act(async move { api::members::invite(id, again).await.map(drop) }, "The invitation waits again".to_owned(), None);
        });
        let said = format!("{} is not invited any more", invitation.email);
        self.act(async move { api::members::withdraw(id, invitation.id).await }, said, Some(undo));
    }

    pub fn set_visibility(self, visibility: Visibility) {
        let (id, before) = self.project.with_untracked(|project| (project.id, project.visibility));
        let send = move |visibility: Visibility| {
            let request = UpdateProject { visibility: Some(visibility), ..UpdateProject::default() };
            async move { api::projects::update(id, request).await.map(drop) }
        };
        let undo = undo_by(move || self.act(send(before), "Who may see the project is as it was".to_owned(), None));
        let said = format!("The project is {} now", visibility_label(visibility).to_lowercase());
        self.act(send(visibility), said, Some(undo));
    }

    pub fn transfer(self, to: Member) {
        let id = self.project.with_untracked(|project| project.id);
        self.ask.set(None);
        let said = format!("{} owns the project now; you are an editor", to.user.name);
        self.act(async move { api::members::transfer(id, TransferProject { to: to.user.id }).await.map(drop) }, said, None);
    }

    pub fn leave(self) {
        let id = self.project.with_untracked(|project| project.id);
        self.ask.set(None);
        self.begin();
        spawn_local(async move {
            let left = api::members::remove(id, self.me).await;
            if self.busy.try_set(false).is_some() {
                return;
            }
            match left {
                Ok(()) => self.has_left.set(true),
                Err(error) => self.problem.set(Some(error.to_string())),
            }
        });
    }
}
