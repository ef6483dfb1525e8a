//! Administration over REST: lists, what is done with what is listed, and projects that are opened with a reason.

use std::{collections::BTreeSet, time::Duration};

use reqwest::Method;
use serde_json::{Value, json};
use wire::{
    Micros, Page,
    admin::{AdminAccess, AdminProject, AdminUser, HealthReport, Listed, Overview, UserDetail},
    audit::{AuditAction, AuditEntry},
    event::EventKind,
    jobs::{Job, JobState},
    members::Members,
    projects::{Project, ProjectRole},
};

use crate::support::{Caller, Options, PASSWORD, TestApp, fixture};

async fn list<T: serde::de::DeserializeOwned>(caller: &Caller, path: &str) -> Listed<T> {
    caller.get(path).await.expect(200).json()
}

fn id_of(caller: &Caller) -> String {
    caller.user.as_ref().unwrap().id.to_string()
}

/// Entries of the audit log with one action, the newest first.
async fn told(admin: &Caller, action: AuditAction) -> Vec<AuditEntry> {
    admin.get(&format!("/api/admin/audit?action={}", action.word())).await.expect(200).json::<Page<AuditEntry>>().items
}

/// The cells of a table, line by line; quotes are taken away.
fn cells(text: &str) -> Vec<Vec<String>> {
    let (mut lines, mut line, mut cell, mut quoted) = (Vec::new(), Vec::new(), String::new(), false);
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' if quoted && letters.peek() == Some(&'"') => cell.extend(letters.next()),
            '"' => quoted = !quoted,
            ',' if !quoted => line.push(std::mem::take(&mut cell)),
            '\r' if !quoted && letters.peek() == Some(&'\n') => {
                letters.next();
                line.push(std::mem::take(&mut cell));
                lines.push(std::mem::take(&mut line));
            }
            other => cell.push(other),
        }
    }
    assert!(cell.is_empty() && line.is_empty() && !quoted, "the last line ends as all do: {text}");
    lines
}

async fn table(admin: &Caller, path: &str) -> Vec<Vec<String>> {
    let reply = admin.get(path).await.expect(200);
    assert_eq!(reply.header("content-type"), Some("text/csv; charset=utf-8; header=present"));
    assert!(reply.header("content-disposition").unwrap().starts_with("attachment; filename="), "{reply:?}");
    let lines = cells(std::str::from_utf8(&reply.body).unwrap());
    assert!(lines.iter().all(|line| line.len() == lines[0].len()), "{lines:?}");
    lines
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_are_found_filtered_sorted_and_turned() {
    let app = TestApp::start().await;
    let ada = app.user("ada").await;
    for n in 0..7 {
        app.register(&format!("person{n}")).await;
    }
    let ben = app.user("ben").await;
    let project = fixture::project(&ben, "P").await;
    fixture::file(&ben, &project, "a.txt", "12345").await;

    let (mut seen, mut cursor) = (Vec::new(), String::new());
    let mut pages = Vec::new();
    loop {
        let page: Listed<AdminUser> = list(&ada, &format!("/api/admin/users?limit=4&sort=name&direction=asc{cursor}")).await;
        assert_eq!(page.total, 9);
        seen.extend(page.items.iter().map(|item| item.user.username.clone()));
        pages.push(page.clone());
        match page.next_cursor {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    let sorted: BTreeSet<_> = seen.iter().cloned().collect();
    assert_eq!(seen, sorted.into_iter().collect::<Vec<_>>(), "each once, in order");
    let back = pages[2].previous_cursor.as_ref().unwrap();
    let again: Listed<AdminUser> = list(&ada, &format!("/api/admin/users?limit=4&sort=name&direction=asc&cursor={back}")).await;
    assert_eq!(again.items, pages[1].items, "and back");

    let found: Listed<AdminUser> = list(&ada, "/api/admin/users?search=BEN@EXAMPLE").await;
    let row = &found.items[0];
    assert_eq!((found.total, row.user.username.as_str(), row.projects, row.storage_bytes), (1, "ben", 1, 5));
    assert!(!row.second_factor && row.user.last_seen_at.is_some());
    let admins: Listed<AdminUser> = list(&ada, "/api/admin/users?role=admin").await;
    assert_eq!(admins.items.iter().map(|item| item.user.username.as_str()).collect::<Vec<_>>(), ["ada"]);
    let without: Listed<AdminUser> = list(&ada, "/api/admin/users?second_factor=false&state=active").await;
    assert_eq!(without.total, 9);
    let by_size: Listed<AdminUser> = list(&ada, "/api/admin/users?sort=storage&limit=1").await;
    assert_eq!(by_size.items[0].user.username, "ben");

    for wrong in ["limit=0", "limit=201", "cursor=nonsense", "cursor=%00", "search=a%00b", "sort=size", "role=emperor"] {
        let reply = ada.get(&format!("/api/admin/users?{wrong}")).await;
        assert!([400, 422].contains(&reply.status), "{wrong}: {reply:?}");
    }
    let detail: UserDetail = ada.get(&format!("/api/admin/users/{}", id_of(&ben))).await.expect(200).json();
    assert_eq!((detail.quota.bytes.used, detail.quota.files.used, detail.sessions, detail.tokens), (5, 1, 1, 0));
    assert_eq!(detail.owned.iter().map(|p| p.name.as_str()).collect::<Vec<_>>(), ["P"]);
    ada.get(&format!("/api/admin/users/{}", uuid::Uuid::now_v7())).await.expect(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_hold_the_whole_list_and_no_formulas() {
    let app = TestApp::start().await;
    let ada = app.user("ada").await;
    let ben = app.user("ben").await;
    ben.patch("/api/users/me", &json!({ "full_name": "=cmd|' /C calc'!A0" })).await.expect(200);
    fixture::project(&ben, "+1, \"quoted\"").await;
    let users = table(&ada, "/api/admin/users.csv?sort=name&direction=asc").await;
    assert_eq!(users[0][..4], ["id", "username", "full_name", "email"]);
    assert_eq!(users.len(), 3);
    let row = users.iter().find(|row| row[1] == "ben").unwrap();
    assert_eq!((row[2].as_str(), row[4].as_str(), row[6].as_str(), row[7].as_str()), ("'=cmd|' /C calc'!A0", "user", "no", "1"));
    assert_eq!(table(&ada, "/api/admin/users.csv?search=ada").await.len(), 2, "as it is filtered");
    let projects = table(&ada, "/api/admin/projects.csv").await;
    assert_eq!((projects[1][1].as_str(), projects[1][4].as_str()), ("'+1, \"quoted\"", "private"));
    for (path, first) in [("jobs", "id"), ("models", "id"), ("budgets", "scope"), ("usage", "day"), ("audit", "seq")] {
        let lines = table(&ada, &format!("/api/admin/{path}.csv")).await;
        assert_eq!(lines[0][0], first);
    }
    assert_eq!(told(&ada, AuditAction::AuditExported).await.len(), 1);
    for path in ["users", "projects", "jobs", "models", "budgets", "usage", "audit"] {
        ben.get(&format!("/api/admin/{path}.csv")).await.expect(403).problem();
    }
    let wrong = ada.get("/api/admin/users.csv?search=%00").await;
    assert_eq!(wrong.status, 422, "before the first byte: {wrong:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_list_is_one_table() {
    let app = TestApp::start().await;
    let ada = app.user("ada").await;
    let owner = ada.user.as_ref().unwrap().id;
    let mut tx = app.services.db.begin().await.unwrap();
    for n in 0..450 {
        let new = store::projects::NewProject {
            id: wire::ProjectId(uuid::Uuid::now_v7()),
            owner_id: owner,
            name: &format!("p{n}"),
            description: "",
            storage_backend: "local",
            at: Micros(1_000_000 + n / 3),
            importing: false,
        };
        store::projects::insert(&mut tx, &new).await.unwrap();
    }
    let _committed = tx.commit().await.unwrap();
    for sort in ["activity", "name", "owner", "size"] {
        let lines = table(&ada, &format!("/api/admin/projects.csv?sort={sort}")).await;
        let ids: BTreeSet<_> = lines[1..].iter().map(|line| line[0].clone()).collect();
        assert_eq!((lines.len(), ids.len()), (451, 450), "each once, sorted by {sort}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn people_are_signed_out_disabled_and_never_the_last_administrator() {
    let app = TestApp::start().await;
    let (ada, ben) = (app.user("ada").await, app.user("ben").await);
    let id = id_of(&ben);
    ada.post(&format!("/api/admin/users/{id}/sign-out"), &json!({})).await.expect(204);
    ben.get("/api/users/me").await.expect(401);
    let ben = app.nobody().sign_in("ben", PASSWORD).await;
    ben.get("/api/users/me").await.expect(200);
    let entry = &told(&ada, AuditAction::AllSessionsRevoked).await[0];
    assert_eq!((entry.actor.name.as_str(), entry.target.as_ref().unwrap().name.as_str()), ("ada", "ben"));

    let role = |who: &Caller, to: &str, role: &str| {
        let (who, path, body) = (who.clone(), format!("/api/admin/users/{to}"), json!({ "role": role }));
        async move { who.patch(&path, &body).await }
    };
    role(&ada, &id, "admin").await.expect(200);
    assert_eq!(told(&ada, AuditAction::RoleChanged).await[0].details, json!({ "from": "user", "to": "admin" }));
    // Each takes the role from the other at the same moment.
    let own = id_of(&ada);
    let (one, other) = tokio::join!(role(&ada, &id, "user"), role(&ben, &own, "user"));
    let mut statuses = [one.status, other.status];
    statuses.sort_unstable();
    assert!(statuses[0] == 200 && [403, 409].contains(&statuses[1]), "{statuses:?}");
    let (still, him) = if one.status == 200 { (&ada, &own) } else { (&ben, &id) };
    still.patch(&format!("/api/admin/users/{him}"), &json!({ "state": "disabled" })).await.expect(409);
    let admins: Listed<AdminUser> = list(still, "/api/admin/users?role=admin&state=active").await;
    assert_eq!(admins.total, 1);
}

/// With what decides who can sign in, or administers, a leaked token would be worth as much as its owner.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_for_administration_makes_nobody_an_administrator_and_opens_no_account() {
    let app = TestApp::start().await;
    let (ada, ben) = (app.user("ada").await, app.user("ben").await);
    let token = ada.post("/api/users/me/tokens", &json!({ "name": "T", "scopes": ["read", "admin"] })).await.expect(201);
    let program = ada.with_bearer(token.field("secret").as_str().unwrap());
    let (own, other) = (id_of(&ada), id_of(&ben));
    let user = |role: &str| json!({ "email": format!("{role}@example.org"), "username": format!("new-{role}"), "role": role });
    for id in [&own, &other] {
        program.post(&format!("/api/admin/users/{id}/reset-link"), &json!({})).await.expect(403);
        program.delete(&format!("/api/admin/users/{id}/second-factor")).await.expect(403);
        program.patch(&format!("/api/admin/users/{id}"), &json!({ "role": "admin" })).await.expect(403);
        program.patch(&format!("/api/admin/users/{id}"), &json!({ "state": "disabled" })).await.expect(403);
    }
    program.post("/api/admin/invitations", &json!({ "role": "admin" })).await.expect(403);
    program.post("/api/admin/users", &user("admin")).await.expect(403);
    let settings = program.request(Method::PUT, "/api/admin/settings/accounts").json(&json!({}));
    program.send(settings).await.expect(403);
    // What it is for goes on.
    program.get("/api/admin/users").await.expect(200);
    program.get("/api/admin/settings/accounts").await.expect(200);
    program.post("/api/admin/invitations", &json!({ "role": "user" })).await.expect(201);
    program.post("/api/admin/users", &user("user")).await.expect(201);

    // The person may, and not to themselves, since that asks for nothing that they know.
    ada.post("/api/admin/invitations", &json!({ "role": "admin" })).await.expect(201);
    ada.post(&format!("/api/admin/users/{own}/reset-link"), &json!({})).await.expect(409);
    ada.delete(&format!("/api/admin/users/{own}/second-factor")).await.expect(409);
    ada.post(&format!("/api/admin/users/{other}/reset-link"), &json!({})).await.expect(201);

    // Administration is about everything, so a token for it can't be for some projects.
    let project = fixture::project(&ada, "P").await;
    let narrow = json!({ "name": "N", "scopes": ["admin"], "projects": [project] });
    let refused = ada.post("/api/users/me/tokens", &narrow).await.expect(422);
    assert_eq!(refused.problem().fields[0].field, "projects");
}

#[tokio::test(flavor = "multi_thread")]
async fn links_end_with_the_rights_of_whoever_made_them() {
    let app = TestApp::start().await;
    let (ada, ben) = (app.user("ada").await, app.user("ben").await);
    let place = format!("/api/admin/users/{}", id_of(&ben));
    let names = ["made-by-ben", "kept"];
    for way in [json!({ "role": "user" }), json!({ "state": "disabled" })] {
        ada.patch(&place, &json!({ "role": "admin", "state": "active" })).await.expect(200);
        let ben = app.nobody().with_tokens(app.nobody().login("ben", PASSWORD).await.expect(200).json());
        let invite = async |by: &Caller| {
            let made = by.post("/api/admin/invitations", &json!({ "role": "admin" })).await.expect(201);
            made.field("url_path").as_str().unwrap().split_once("invite=").unwrap().1.to_owned()
        };
        let (lost, kept) = (invite(&ben).await, invite(&ada).await);
        let reset = ben.post(&format!("/api/admin/users/{}/reset-link", id_of(&ada)), &json!({})).await.expect(201);
        let reset = reset.field("url_path").as_str().unwrap().split_once("token=").unwrap().1.to_owned();
        ada.patch(&place, &way).await.expect(200);
        let join = async |name: &str, invite: &str| {
            let email = format!("{name}-{}@example.org", way.to_string().len());
            let name = format!("{name}-{}", way.to_string().len());
            app.nobody()
                .post("/api/auth/register", &json!({ "email": email, "username": name, "password": PASSWORD, "invite": invite }))
                .await
        };
        join(names[0], &lost).await.expect(422);
        join(names[1], &kept).await.expect(201);
        join("twice", &kept).await.expect(422);
        let request = json!({ "token": reset, "new_password": "another long password" });
        app.nobody().post("/api/auth/reset", &request).await.expect(422);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn projects_are_deleted_restored_and_given_away_from_outside() {
    let app = TestApp::start().await;
    let (ada, ben, cleo) = (app.user("ada").await, app.user("ben").await, app.user("cleo").await);
    let id = fixture::project(&ben, "Plans").await;
    fixture::file(&ben, &id, "a.txt", "secret").await;
    let found: Listed<AdminProject> = list(&ada, "/api/admin/projects?search=plan").await;
    let row = &found.items[0];
    assert_eq!((row.name.as_str(), row.owner.name.as_str(), row.file_count, row.deleted_at), ("Plans", "ben", 1, None));
    let text = ada.get("/api/admin/projects").await.expect(200);
    assert!(!String::from_utf8_lossy(&text.body).contains("a.txt"));

    let path = format!("/api/admin/projects/{id}");
    ada.delete(&path).await.expect(204);
    ada.delete(&path).await.expect(409);
    ben.get(&format!("/api/projects/{id}")).await.expect(404);
    let deleted: Listed<AdminProject> = list(&ada, "/api/admin/projects?deleted=true").await;
    assert!(deleted.total == 1 && deleted.items[0].deleted_at.is_some());
    ada.post(&format!("{path}/transfer"), &json!({ "to": id_of(&cleo) })).await.expect(409);
    ada.post(&format!("{path}/restore"), &json!({})).await.expect(204);
    ada.post(&format!("{path}/restore"), &json!({})).await.expect(409);
    assert_eq!(ben.get(&format!("/api/projects/{id}/files/a.txt")).await.expect(200).body, "secret");

    let to_herself = ada.post(&format!("{path}/transfer"), &json!({ "to": id_of(&ada) })).await.expect(422);
    assert_eq!(to_herself.problem().fields[0].field, "to", "that would be a way in without a reason");
    ada.post(&format!("{path}/transfer"), &json!({ "to": id_of(&cleo) })).await.expect(204);
    let project: Project = cleo.get(&format!("/api/projects/{id}")).await.expect(200).json();
    assert_eq!((project.role, project.owner.name.as_str()), (ProjectRole::Owner, "cleo"));
    let members: Members = cleo.get(&format!("/api/projects/{id}/members")).await.expect(200).json();
    assert!(members.items.iter().any(|m| m.user.name == "ben" && m.role == ProjectRole::Editor));
    for (action, target) in
        [(AuditAction::ProjectDeleted, "Plans"), (AuditAction::ProjectRestored, "Plans"), (AuditAction::OwnerChanged, "Plans")]
    {
        let entries = told(&ada, action).await;
        assert_eq!(entries.len(), 1, "{action:?}");
        assert_eq!((entries[0].target.as_ref().unwrap().name.as_str(), entries[0].project_id.unwrap().to_string()), (target, id.clone()));
    }
    for refused in [ben.delete(&path).await, ben.post(&format!("{path}/restore"), &json!({})).await] {
        refused.expect(403).problem();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_reads_a_private_project_only_with_a_reason_and_its_people_see_it() {
    let app = TestApp::start().await;
    let (ada, ben) = (app.user("ada").await, app.user("ben").await);
    let id = fixture::project(&ben, "Plans").await;
    fixture::file(&ben, &id, "a.txt", "secret").await;
    let base = format!("/api/projects/{id}");
    let ways = [
        "",
        "/tree",
        "/files/a.txt",
        "/history?path=a.txt",
        "/members",
        "/runs",
        "/conversations",
        "/search?q=s",
        "/admin-access",
        "/archive",
    ];
    for way in ways {
        ada.get(&format!("{base}{way}")).await.expect(404);
    }
    ada.follow(&format!("/api/live/project:{id}")).await.err().unwrap().expect(404);

    let access = format!("/api/admin/projects/{id}/access");
    for reason in ["", "  short  ", "a\0bcdefghijkl", &"x".repeat(501)] {
        let refused = ada.post(&access, &json!({ "reason": reason })).await.expect(422);
        assert_eq!(refused.problem().fields[0].field, "reason");
    }
    ada.get(&base).await.expect(404);
    ben.post(&access, &json!({ "reason": "I would like to see it." })).await.expect(403);
    let token = ada.post("/api/users/me/tokens", &json!({ "name": "T", "scopes": ["read", "admin"] })).await.expect(201);
    let program = ada.with_bearer(token.field("secret").as_str().unwrap());
    program.post(&access, &json!({ "reason": "A program has no reasons." })).await.expect(403);

    let mut owner = ben.follow(&format!("/api/live/user:{}", id_of(&ben))).await.unwrap();
    let mut inside = ben.follow(&format!("/api/live/project:{id}")).await.unwrap();
    let reason = "The disk is nearly full; Ben asked me to look.";
    let opened: AdminAccess = ada.post(&access, &json!({ "reason": format!(" {reason} ") })).await.expect(201).json();
    assert_eq!((opened.reason.as_str(), opened.until.0 - opened.opened_at.0), (reason, 3600 * Micros::SECOND));
    let event = owner.until(|event| matches!(event.kind, EventKind::ProjectOpened { .. })).await;
    let EventKind::ProjectOpened { project, by, reason: said, .. } = event.kind else { unreachable!() };
    assert_eq!((project.as_str(), by.name.as_str(), said.as_str()), ("Plans", "ada", reason));
    inside.until(|event| event.kind == EventKind::AdminAccessChanged {}).await;

    // She reads, and nothing more.
    for way in ways {
        ada.get(&format!("{base}{way}")).await.expect(200);
    }
    assert_eq!(ada.get(&base).await.expect(200).json::<Project>().role, ProjectRole::Viewer);
    let watching = ada.follow(&format!("/api/live/project:{id}")).await.unwrap();
    ada.put(&format!("{base}/files/b.txt"), Some(("if-none-match", "*")), "x").await.expect(403);
    ada.delete(&format!("{base}/files/a.txt?version=1")).await.expect(403);
    ada.delete(&base).await.expect(403);
    ada.patch(&base, &json!({ "visibility": "public" })).await.expect(403);
    ada.post(&format!("{base}/runs"), &json!({ "kind": "sandbox_exec", "command": "true" })).await.expect(403);
    ada.post(&format!("{base}/members"), &json!({ "who": "ada", "role": "owner" })).await.expect(403);
    let history: Page<AdminAccess> = ben.get(&format!("{base}/admin-access")).await.expect(200).json();
    assert_eq!((history.items.len(), history.items[0].closed_at), (1, None));
    let listed: Listed<AdminProject> = list(&ada, "/api/admin/projects").await;
    assert_eq!(listed.items[0].open_until, Some(opened.until));
    let cleo = app.user("cleo").await;
    ada.patch(&format!("/api/admin/users/{}", id_of(&cleo)), &json!({ "role": "admin" })).await.expect(200);
    cleo.get(&base).await.expect(404);

    // Closed early, it is closed, also where a connection is open.
    ada.delete(&access).await.expect(204);
    ada.delete(&access).await.expect(204);
    ada.get(&base).await.expect(404);
    let last = watching.rest().await.pop().expect("it says why it ends");
    assert_eq!(last.kind, EventKind::AccessEnded {});
    let history: Page<AdminAccess> = ben.get(&format!("{base}/admin-access")).await.expect(200).json();
    assert!(history.items[0].closed_at.is_some());
    assert_eq!(told(&ada, AuditAction::ProjectClosedByAdmin).await.len(), 1);
    let entry = &told(&ada, AuditAction::ProjectOpenedByAdmin).await[0];
    assert_eq!((entry.actor.name.as_str(), &entry.details["reason"]), ("ada", &Value::from(reason)));
    assert_eq!(entry.project_id.unwrap().to_string(), id);
    ben.post(&access, &json!({ "reason": "I would like to see it." })).await.expect(403);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_opened_closes_by_itself_and_with_the_role() {
    let app = TestApp::start().await;
    let (ada, ben, cleo) = (app.user("ada").await, app.user("ben").await, app.user("cleo").await);
    let id = fixture::project(&ben, "Plans").await;
    let base = format!("/api/projects/{id}");
    let project: wire::ProjectId = id.parse().unwrap();
    let now = app.services.clock.now();
    let mut tx = app.services.db.begin().await.unwrap();
    let new = store::admin::access::NewAccess {
        id: uuid::Uuid::now_v7(),
        project_id: project,
        user_id: ada.user.as_ref().unwrap().id,
        user_name: "ada",
        reason: "Nearly over",
        at: now,
        ends_at: now.plus_millis(1500),
    };
    store::admin::access::open(&mut tx, &new).await.unwrap();
    let _committed = tx.commit().await.unwrap();
    ada.get(&base).await.expect(200);
    let watching = ada.follow(&format!("/api/live/project:{id}")).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1600)).await;
    ada.get(&base).await.expect(404);
    let last = tokio::time::timeout(Duration::from_secs(6), watching.rest()).await.expect("it ends by itself").pop().unwrap();
    assert_eq!(last.kind, EventKind::AccessEnded {});

    let cleos = id_of(&cleo);
    ada.patch(&format!("/api/admin/users/{cleos}"), &json!({ "role": "admin" })).await.expect(200);
    cleo.post(&format!("/api/admin/projects/{id}/access"), &json!({ "reason": "Looking for what fills the disk." })).await.expect(201);
    cleo.get(&base).await.expect(200);
    ada.patch(&format!("/api/admin/users/{cleos}"), &json!({ "role": "user" })).await.expect(200);
    cleo.get(&base).await.expect(404);
    ada.patch(&format!("/api/admin/users/{cleos}"), &json!({ "role": "admin" })).await.expect(200);
    cleo.get(&base).await.expect(404);

    // Where there is nothing to open, nothing is opened.
    let own = fixture::project(&ada, "Own").await;
    ada.post(&format!("/api/admin/projects/{own}/access"), &json!({ "reason": "Looking at what is mine." })).await.expect(409);
    ada.delete(&format!("/api/admin/projects/{id}")).await.expect(204);
    ada.post(&format!("/api/admin/projects/{id}/access"), &json!({ "reason": "Looking at what is gone." })).await.expect(409);
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_found_and_those_given_up_tried_again_together() {
    let app = TestApp::start().await;
    let (ada, ben) = (app.user("ada").await, app.user("ben").await);
    let owner = ben.user.as_ref().unwrap().id;
    let mut tx = app.services.db.begin().await.unwrap();
    let mut ids = Vec::new();
    for n in 0..3 {
        let id = wire::JobId(uuid::Uuid::now_v7());
        let at = Micros(1_000_000 * (n + 1));
        let new = store::jobs::NewJob {
            id,
            kind: "export",
            lane: "nobody",
            priority: 0,
            payload: "{}",
            user_id: Some(owner),
            project_id: None,
            max_attempts: 1,
            at,
        };
        store::jobs::insert(&mut tx, &new).await.unwrap();
        ids.push(id);
    }
    for _ in 0..2 {
        let claim = store::jobs::Claim {
            worker: "w",
            lane: "nobody",
            now: Micros(9_000_000),
            lease_until: Micros(99_000_000),
            per_user: 9,
            in_all: 0,
        };
        let row = store::jobs::claim(&mut tx, &claim).await.unwrap().unwrap();
        store::jobs::finish(&mut tx, row.id, row.fence, JobState::Dead, Some("No room left"), Micros(10_000_000)).await.unwrap();
    }
    let _committed = tx.commit().await.unwrap();

    let dead: Listed<Job> = list(&ada, "/api/admin/jobs?state=dead").await;
    assert_eq!((dead.total, dead.items[0].error.as_deref()), (2, Some("No room left")));
    let live: Listed<Job> = list(&ada, "/api/admin/jobs?live=true").await;
    assert_eq!(live.total, 1);
    let by_id: Listed<Job> = list(&ada, &format!("/api/admin/jobs?search={}", ids[0])).await;
    assert_eq!(by_id.items.iter().map(|job| job.id).collect::<Vec<_>>(), [ids[0]]);
    let by_kind: Listed<Job> = list(&ada, &format!("/api/admin/jobs?kind=export&user={}&search=room", id_of(&ben))).await;
    assert_eq!(by_kind.total, 2);
    assert_eq!(ada.get("/api/admin/jobs?kind=nothing").await.expect(422).problem().fields[0].field, "kind");

    let again = ada.post("/api/admin/jobs/requeue", &json!({})).await.expect(200);
    assert_eq!(again.field("jobs").as_array().unwrap().len(), 2);
    let live: Listed<Job> = list(&ada, "/api/admin/jobs?live=true").await;
    assert_eq!(live.total, 3);
    assert_eq!(told(&ada, AuditAction::JobRequeued).await[0].details, json!({ "jobs": 2 }));
    ben.post("/api/admin/jobs/requeue", &json!({})).await.expect(403);
    let overview: Overview = ada.get("/api/admin/overview").await.expect(200).json();
    assert_eq!((overview.users, overview.administrators, overview.queue.queued, overview.queue.dead), (2, 1, 3, 0));
    let health: HealthReport = ada.get("/api/admin/health").await.expect(200).json();
    assert!(!health.version.is_empty() && health.uptime_s.is_some() && health.database_bytes.is_some_and(|bytes| bytes > 0));
    assert!(health.health.checks.iter().any(|check| check.name == "database"));
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_tell_who_changed_them_last() {
    let app = TestApp::with(Options::default()).await;
    let ada = app.user("ada").await;
    let put = ada.request(Method::PUT, "/api/admin/settings/runs").json(&json!({ "jobs_per_user": 3 }));
    ada.send(put).await.expect(200);
    let changes: Page<wire::admin::SettingsChange> = ada.get("/api/admin/settings").await.expect(200).json();
    let change = changes.items.iter().find(|change| change.name == "runs").unwrap();
    assert_eq!(change.by.as_ref().unwrap().name, "ada");
}

/// Each section is whole as the server sends it, with what its address asks for.
#[tokio::test(flavor = "multi_thread")]
async fn pages_come_with_what_their_address_asks_for() {
    let app = TestApp::start().await;
    let ada = app.user("ada").await;
    let ben = app.user("ben").await;
    let id = fixture::project(&ben, "Plans of Ben").await;
    let page = async |path: &str| {
        let reply = ada.get(path).await.expect(200);
        String::from_utf8(reply.body.to_vec()).unwrap()
    };
    let users = page("/admin/users?q=ben&sort=name&direction=asc").await;
    assert!(users.contains("ben@example.org") && !users.contains(">ada@example.org<"), "only who is searched for is listed");
    assert!(page(&format!("/admin/users?user={}", id_of(&ben))).await.contains("Plans of Ben"));
    assert!(page("/admin/projects").await.contains("Plans of Ben"));
    assert!(page(&format!("/admin/projects?q={id}")).await.contains("Plans of Ben"));
    assert!(page("/admin/audit?action=account_created").await.contains("Account created"));
    for (path, text) in [
        ("/admin", "Queue"),
        ("/admin/jobs?state=dead", "No jobs here"),
        ("/admin/health", "Database"),
        ("/admin/accounts", "Who may make an account"),
        ("/admin/runs", "Limits of one run"),
        ("/admin/storage", "Storage"),
        ("/admin/rates", "Requests of one caller"),
        ("/admin/models", "Models"),
        ("/admin/budgets", "Budgets"),
        ("/admin/usage", "Usage of models"),
    ] {
        assert!(page(path).await.contains(text), "{path} lacks {text}");
    }
    // What can't be asked for is said in its place; the page stands.
    for path in ["/admin/users?cursor=nonsense", "/admin/audit?action=nothing", "/admin/projects?q=a%00b"] {
        let refused = ada.get(path).await.expect(422);
        assert!(String::from_utf8_lossy(&refused.body).contains("aria-label=\"Administration\""), "{path}");
    }
    let refused = ben.get("/admin/audit").await;
    assert!(String::from_utf8_lossy(&refused.body).contains("This page is not open to you"), "{}", refused.status);
}
