//! Who may enter a project, what each role may do there, and how it ends.

mod support;

use std::{collections::BTreeMap, time::Duration};

use domain::{Ctx, Error, dashboard, files, live, members, presence, projects, runs};
use futures::StreamExt;
use support::Home;
use wire::{
    ErrorCode, ProjectId,
    admin::UpdateUser,
    auth::{Login, Register},
    event::{EventKind, Stream},
    files::{Base, SaveText},
    links::InviteUser,
    members::{ChangeMember, Invite, Invited, TransferProject},
    projects::{ProjectRole, UpdateProject, Visibility},
    runs::StartRun,
    users::UserRole,
};

on_both!(
    each_role_may_do_what_it_says,
    invitations_by_name_by_address_and_for_later,
    the_last_owner_stays,
    a_private_project_is_for_its_owners,
    a_public_project_is_read_by_everybody_signed_in,
    streams_end_with_the_access,
    the_administrators_stream_ends_with_the_role,
    people_are_present_while_they_follow,
);

async fn invite(owner: &Ctx, project: ProjectId, who: &str, role: ProjectRole) -> Invited {
    members::invite(owner, project, Invite { who: who.to_owned(), role }).await.unwrap()
}

async fn show(owner: &Ctx, project: ProjectId, visibility: Visibility) {
    projects::update(owner, project, UpdateProject { visibility: Some(visibility), ..UpdateProject::default() }).await.unwrap();
}

fn code(ctx: &Ctx, outcome: Result<(), Error>) -> Option<ErrorCode> {
    outcome.err().map(|error| error.into_problem(ctx).code)
}

fn id(ctx: &Ctx) -> wire::UserId {
    ctx.user_id().unwrap()
}

/// Everything that needs a role, tried by everybody: no outcome but being let in, forbidden or not found.
async fn each_role_may_do_what_it_says(home: Home) {
    let owner = home.person("ada").await;
    let project = home.project(&owner).await.id;
    files::save_text(&owner, project, SaveText { path: "a.txt".into(), base: Base::New, text: "a".into(), format: Default::default() })
        .await
        .unwrap();
    let mut people: Vec<(&str, Ctx)> = vec![("owner", owner.clone())];
    for (name, role) in [("viewer", ProjectRole::Viewer), ("reviewer", ProjectRole::Reviewer), ("editor", ProjectRole::Editor)] {
        let person = home.person(name).await;
        invite(&owner, project, name, role).await;
        people.push((name, person));
    }
    people.push(("stranger", home.person("stranger").await));
    let guest = id(&home.person("guest").await);

    let mut seen: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (who, ctx) in &people {
        let text = SaveText { path: format!("{who}.txt"), base: Base::New, text: "x".into(), format: Default::default() };
        let rename = UpdateProject { name: Some("Renamed".into()), ..UpdateProject::default() };
        let open = UpdateProject { visibility: Some(Visibility::Shared), ..UpdateProject::default() };
        let outcomes = [
            ("see", code(ctx, projects::get(ctx, project).await.map(drop))),
            ("read", code(ctx, files::open_text(ctx, project, "a.txt", None).await.map(drop))),
            ("members", code(ctx, members::list(ctx, project).await.map(drop))),
            ("quota", code(ctx, domain::quotas::of_project(ctx, project).await.map(drop))),
            ("presence", code(ctx, presence::present(ctx, project).await.map(drop))),
            ("follow", code(ctx, live::follow(ctx, vec![(Stream::Project(project), 0)]).await.map(drop))),
            ("save", code(ctx, files::save_text(ctx, project, text).await.map(drop))),
            ("run", code(ctx, runs::start(ctx, project, StartRun::command("true")).await.map(drop))),
            ("rename", code(ctx, projects::update(ctx, project, rename).await.map(drop))),
            ("visibility", code(ctx, projects::update(ctx, project, open).await.map(drop))),
            ("invite", code(ctx, members::change(ctx, project, guest, ChangeMember { role: ProjectRole::Viewer }).await.map(drop))),
            ("remove", code(ctx, members::remove(ctx, project, guest).await)),
        ];
        for (what, refused) in outcomes {
            match refused {
                None => seen.entry(what).or_default().push(who),
                Some(ErrorCode::NotFound) => assert_eq!(*who, "stranger", "{what}"),
                Some(code) => assert!(code == ErrorCode::Forbidden && *who != "stranger", "{who} {what}: {code:?}"),
            }
        }
    }
    let all = ["owner", "viewer", "reviewer", "editor"];
    for (what, who) in &seen {
        let expected: &[&str] = match *what {
            "see" | "read" | "members" | "quota" | "presence" | "follow" => &all,
            "save" | "run" | "rename" => &["owner", "editor"],
            _ => &["owner"],
        };
        assert_eq!(who, expected, "{what}");
    }
    assert_eq!(seen.len(), 12, "something was open to nobody: {seen:?}");
}

async fn invitations_by_name_by_address_and_for_later(home: Home) {
    let owner = home.person("ada").await;
    let (ben, cleo) = (home.person("ben").await, home.person("cleo").await);
    let project = home.project(&owner).await.id;
    assert!(matches!(invite(&owner, project, " Ben ", ProjectRole::Editor).await, Invited::Joined { .. }));
    assert_eq!(projects::get(&ben, project).await.unwrap().visibility, Visibility::Shared, "inviting opens a private project to members");
    let Invited::Pending { invitation } = invite(&owner, project, "CLEO@example.org", ProjectRole::Viewer).await else { panic!() };
    assert_eq!(invitation.account.map(|account| account.username).as_deref(), Some("cleo"));
    assert_eq!(
        code(&cleo, projects::get(&cleo, project).await.map(drop)),
        Some(ErrorCode::NotFound),
        "who typed an address is let in first"
    );
    members::change(&owner, project, id(&cleo), ChangeMember { role: ProjectRole::Viewer }).await.unwrap();
    assert!(members::list(&owner, project).await.unwrap().invitations.is_empty(), "letting in settles the invitation");
    assert_eq!(projects::get(&cleo, project).await.unwrap().role, ProjectRole::Viewer);
    assert_eq!(projects::list(&cleo).await.unwrap().len(), 1);

    for (who, field) in [("nobody", "who"), ("", "who"), ("no@", "who"), ("ben", "who")] {
        let refused = members::invite(&owner, project, Invite { who: who.into(), role: ProjectRole::Viewer }).await;
        let problem = refused.err().unwrap().into_problem(&owner);
        assert!(problem.code == ErrorCode::Invalid && problem.field(field).is_some(), "{who}");
    }
    let Invited::Pending { invitation } = invite(&owner, project, "dora@example.org", ProjectRole::Reviewer).await else { panic!() };
    invite(&owner, project, "eve@example.org", ProjectRole::Owner).await;
    assert_eq!(members::list(&owner, project).await.unwrap().invitations.len(), 2);
    assert!(members::list(&ben, project).await.unwrap().invitations.is_empty(), "addresses are for owners");
    let eve = members::list(&owner, project).await.unwrap().invitations.into_iter().find(|i| i.id != invitation.id).unwrap();
    members::withdraw(&owner, project, eve.id).await.unwrap();
    assert_eq!(code(&owner, members::withdraw(&owner, project, eve.id).await), Some(ErrorCode::NotFound));

    let dora = home.person("dora").await;
    assert!(projects::list(&dora).await.unwrap().is_empty(), "an address that was only typed opens nothing");
    let waiting = members::list(&owner, project).await.unwrap().invitations;
    assert_eq!(waiting[0].account.as_ref().map(|account| account.user.id), Some(id(&dora)));
    members::change(&owner, project, id(&dora), ChangeMember { role: waiting[0].role }).await.unwrap();
    assert_eq!(projects::get(&dora, project).await.unwrap().role, ProjectRole::Reviewer);

    invite(&owner, project, "fay@example.org", ProjectRole::Editor).await;
    let link =
        domain::links::invite(&owner, InviteUser { email: Some("fay@example.org".into()), role: UserRole::User, days: 7 }).await.unwrap();
    let secret = link.url_path.split_once('=').unwrap().1.to_owned();
    let sign_up = Register {
        email: "Fay@example.org".into(),
        username: "fay".into(),
        full_name: None,
        password: "a very long password".into(),
        invite: Some(secret),
    };
    let fay = domain::accounts::register(&home.nobody(), sign_up).await.unwrap();
    let members = members::list(&owner, project).await.unwrap();
    let joined = members.items.iter().find(|member| member.user.id == fay.id).map(|member| member.role);
    assert_eq!(joined, Some(ProjectRole::Editor), "a link that was made for the address proves it");
    assert!(projects::list(&home.person("eve").await).await.unwrap().is_empty(), "what was withdrawn is gone");
    assert!(members::list(&owner, project).await.unwrap().invitations.is_empty());
}

async fn the_last_owner_stays(home: Home) {
    let (ada, ben) = (home.person("ada").await, home.person("ben").await);
    let project = home.project(&ada).await.id;
    assert_eq!(code(&ada, members::remove(&ada, project, id(&ada)).await), Some(ErrorCode::Conflict));
    let demote = ChangeMember { role: ProjectRole::Editor };
    assert_eq!(code(&ada, members::change(&ada, project, id(&ada), demote.clone()).await.map(drop)), Some(ErrorCode::Conflict));

    invite(&ada, project, "ben", ProjectRole::Editor).await;
    let after = members::transfer(&ada, project, TransferProject { to: id(&ben) }).await.unwrap();
    let row = |ctx: &Ctx| after.items.iter().find(|member| member.user.id == id(ctx)).map(|m| (m.role, m.holds_quota)).unwrap();
    assert_eq!((row(&ada), row(&ben)), ((ProjectRole::Editor, false), (ProjectRole::Owner, true)));
    assert_eq!(code(&ada, members::transfer(&ada, project, TransferProject { to: id(&ada) }).await.map(drop)), Some(ErrorCode::Forbidden));
    let held = |quota: wire::quotas::UserQuota| quota.projects;
    assert_eq!((held(domain::quotas::mine(&ada).await.unwrap()), held(domain::quotas::mine(&ben).await.unwrap())), (0, 1));

    // Two owners who leave at the same moment: one of them stays.
    members::change(&ben, project, id(&ada), ChangeMember { role: ProjectRole::Owner }).await.unwrap();
    let (first, second) = tokio::join!(members::remove(&ada, project, id(&ada)), members::remove(&ben, project, id(&ben)));
    assert!(first.is_ok() != second.is_ok(), "{first:?} {second:?}");
    let stays = if first.is_err() { &ada } else { &ben };
    let left = members::list(stays, project).await.unwrap().items;
    assert_eq!(left.iter().map(|m| (m.user.id, m.role, m.holds_quota)).collect::<Vec<_>>(), [(id(stays), ProjectRole::Owner, true)]);
}

async fn a_private_project_is_for_its_owners(home: Home) {
    let (ada, ben, eve) = (home.person("ada").await, home.person("ben").await, home.person("eve").await);
    let project = home.project(&ada).await.id;
    invite(&ada, project, "ben", ProjectRole::Editor).await;
    invite(&ada, project, "eve", ProjectRole::Owner).await;
    show(&ada, project, Visibility::Private).await;
    assert_eq!(code(&ben, projects::get(&ben, project).await.map(drop)), Some(ErrorCode::NotFound));
    assert!(projects::list(&ben).await.unwrap().is_empty());
    assert_eq!(projects::get(&eve, project).await.unwrap().role, ProjectRole::Owner);
    show(&eve, project, Visibility::Shared).await;
    assert_eq!(projects::get(&ben, project).await.unwrap().role, ProjectRole::Editor, "the role was kept");
}

async fn a_public_project_is_read_by_everybody_signed_in(home: Home) {
    // The first account administers, which opens nothing.
    let (admin, ben) = (home.person("admin").await, home.person("ben").await);
    let project = home.project(&ben).await.id;
    for visibility in [Visibility::Private, Visibility::Shared] {
        show(&ben, project, visibility).await;
        assert_eq!(code(&admin, projects::get(&admin, project).await.map(drop)), Some(ErrorCode::NotFound));
        assert!(dashboard::mine(&admin).await.unwrap().public.is_empty());
    }
    show(&ben, project, Visibility::Public).await;
    assert_eq!(projects::get(&admin, project).await.unwrap().role, ProjectRole::Viewer);
    let (to_admin, to_ben) = (dashboard::mine(&admin).await.unwrap(), dashboard::mine(&ben).await.unwrap());
    assert_eq!((to_admin.projects.len(), to_admin.public.len(), to_admin.public[0].role), (0, 1, ProjectRole::Viewer));
    assert_eq!((to_ben.projects.len(), to_ben.public.len(), to_ben.projects[0].role), (1, 0, ProjectRole::Owner));
    let run = runs::start(&admin, project, StartRun::command("true")).await;
    assert_eq!(code(&admin, run.map(drop)), Some(ErrorCode::Forbidden));
    let nobody = home.nobody();
    assert_eq!(code(&nobody, projects::get(&nobody, project).await.map(drop)), Some(ErrorCode::NotSignedIn));
}

/// Whoever is taken out reads nothing more, also where the stream is open already.
async fn streams_end_with_the_access(home: Home) {
    let (ada, ben) = (home.person("ada").await, home.person("ben").await);
    let project = home.project(&ada).await.id;
    invite(&ada, project, "ben", ProjectRole::Editor).await;
    let streams = vec![(Stream::Project(project), 0), (Stream::User(id(&ben)), 0)];
    let mut open = Box::pin(live::follow(&ben, streams).await.unwrap());
    members::remove(&ada, project, id(&ben)).await.unwrap();
    let save = SaveText { path: "secret.txt".into(), base: Base::New, text: "x".into(), format: Default::default() };
    files::save_text(&ada, project, save).await.unwrap();
    let ended = async {
        loop {
            let event = open.next().await.expect("the person's own stream stays open").unwrap();
            assert!(!matches!(event.kind, EventKind::FileChanged { .. }), "told to somebody who is out");
            if event.kind == (EventKind::AccessEnded {}) {
                assert_eq!(event.stream, Stream::Project(project));
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(5), ended).await.expect("the stream went on");
    assert!(matches!(live::follow(&ben, vec![(Stream::Project(project), 0)]).await.err(), Some(Error::NotFound(_))));

    // Alone on its connection, the stream ends altogether.
    invite(&ada, project, "ben", ProjectRole::Viewer).await;
    let mut open = Box::pin(live::follow(&ben, vec![(Stream::Project(project), 0)]).await.unwrap());
    show(&ada, project, Visibility::Private).await;
    let last = tokio::time::timeout(Duration::from_secs(5), async {
        let mut last = None;
        while let Some(event) = open.next().await {
            last = Some(event.unwrap().kind);
        }
        last
    });
    assert_eq!(last.await.expect("the stream went on"), Some(EventKind::AccessEnded {}));
}

async fn the_administrators_stream_ends_with_the_role(home: Home) {
    let (ada, ben) = (home.person("ada").await, home.person("ben").await);
    let role = |role| domain::admin::update_user(&ada, id(&ben), UpdateUser { role: Some(role), ..UpdateUser::default() });
    role(UserRole::Admin).await.unwrap();
    let login = Login { username: "ben".into(), password: "correct horse".into(), otp: None };
    let tokens = domain::auth::login(&home.nobody(), login).await.unwrap();
    let ben = domain::auth::authenticate_bearer(&home.nobody(), &tokens.access_token).await.unwrap();
    let mut open = Box::pin(live::follow(&ben, vec![(Stream::Admin, 0), (Stream::User(id(&ben)), 0)]).await.unwrap());
    role(UserRole::User).await.unwrap();
    let ended = async {
        loop {
            let event = open.next().await.expect("the person's own stream stays open").unwrap();
            if event.kind == (EventKind::AccessEnded {}) {
                return event.stream;
            }
        }
    };
    assert_eq!(tokio::time::timeout(Duration::from_secs(8), ended).await.expect("the stream went on"), Stream::Admin);
    assert!(matches!(live::follow(&ben, vec![(Stream::Job(uuid::Uuid::now_v7().into()), 0)]).await.err(), Some(Error::NotFound(_))));
}

async fn people_are_present_while_they_follow(home: Home) {
    let (ada, ben) = (home.person("ada").await, home.person("ben").await);
    let project = home.project(&ada).await.id;
    invite(&ada, project, "ben", ProjectRole::Viewer).await;
    let stream = || vec![(Stream::Project(project), 0)];
    let mut events = Box::pin(live::follow(&ada, stream()).await.unwrap());
    let tabs = (live::follow(&ben, stream()).await.unwrap(), live::follow(&ben, stream()).await.unwrap());
    wait_for(&mut events, &["ada", "ben"]).await;
    let here = presence::present(&ben, project).await.unwrap();
    assert_eq!(here.len(), 2, "several tabs are one person: {here:?}");
    drop(tabs.0);
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(presence::present(&ada, project).await.unwrap().len(), 2, "one tab is still open");
    drop(tabs.1);
    tokio::time::timeout(Duration::from_secs(30), wait_for(&mut events, &["ada"])).await.expect("still there after half a minute");
    assert_eq!(presence::present(&ada, project).await.unwrap().len(), 1);
}

/// Reads on until exactly these people are said to be there.
async fn wait_for(events: &mut (impl futures::Stream<Item = Result<wire::event::Event, Error>> + Unpin), names: &[&str]) {
    loop {
        if let EventKind::PresenceChanged { people } = events.next().await.unwrap().unwrap().kind {
            let mut here: Vec<_> = people.iter().map(|person| person.name.as_str()).collect();
            here.sort_unstable();
            if here == names {
                return;
            }
        }
    }
}
