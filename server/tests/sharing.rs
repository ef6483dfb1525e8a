//! Sharing over REST: who comes in how, and that access ends where connections are open.

use std::time::{Duration, Instant};

use serde_json::json;
use wire::{
    Page,
    event::EventKind,
    members::Members,
    projects::{Project, ProjectRole},
    quotas::{ProjectQuota, UserQuota},
    users::UserRef,
};

use crate::support::{TestApp, fixture};

#[tokio::test(flavor = "multi_thread")]
async fn a_project_is_shared_handed_over_and_left() {
    let app = TestApp::start().await;
    let (ada, ben) = (app.user("ada").await, app.user("ben").await);
    let id = fixture::project(&ada, "P").await;
    let ben_id = ben.user.as_ref().unwrap().id;
    let members = format!("/api/projects/{id}/members");
    let joined = ada.post(&members, &json!({ "who": "ben", "role": "viewer" })).await.expect(201);
    assert_eq!((joined.field("outcome"), joined.field("member")["role"].clone()), (json!("joined"), json!("viewer")));
    let waiting = ada.post(&members, &json!({ "who": "cleo@example.org", "role": "editor" })).await.expect(202);
    assert_eq!(waiting.field("outcome"), json!("pending"));
    ada.post(&members, &json!({ "who": "x", "role": "emperor" })).await.expect(422);

    let seen: Members = ben.get(&members).await.expect(200).json();
    assert_eq!(seen.items.iter().map(|m| m.role).collect::<Vec<_>>(), [ProjectRole::Owner, ProjectRole::Viewer]);
    assert!(seen.invitations.is_empty());
    let shared: Page<Project> = ben.get("/api/projects").await.expect(200).json();
    assert_eq!((shared.items.len(), shared.items[0].role), (1, ProjectRole::Viewer));
    ben.put(&format!("/api/projects/{id}/files/a"), Some(("if-none-match", "*")), "x").await.expect(403);
    ada.send(ada.request(reqwest::Method::PUT, &format!("{members}/{ben_id}")).json(&json!({ "role": "editor" }))).await.expect(200);
    ben.put(&format!("/api/projects/{id}/files/a"), Some(("if-none-match", "*")), "x").await.expect(201);

    let cleo = app.user("cleo").await;
    cleo.get(&format!("/api/projects/{id}")).await.expect(404);
    let claimed: Members = ada.get(&members).await.expect(200).json();
    let account = claimed.invitations[0].account.as_ref().expect("the owner sees who says to have the address");
    let cleo_id = cleo.user.as_ref().unwrap().id;
    assert_eq!((account.user.id, claimed.invitations[0].role), (cleo_id, ProjectRole::Editor));
    ada.send(ada.request(reqwest::Method::PUT, &format!("{members}/{cleo_id}")).json(&json!({ "role": "editor" }))).await.expect(200);
    assert_eq!(cleo.get(&format!("/api/projects/{id}")).await.expect(200).json::<Project>().role, ProjectRole::Editor);
    let after: Members = ada.post(&format!("/api/projects/{id}/transfer"), &json!({ "to": ben_id })).await.expect(200).json();
    assert_eq!((after.items[0].user.id, after.items[0].holds_quota), (ben_id, true));
    let own = ada.user.as_ref().unwrap().id;
    ada.delete(&format!("{members}/{ben_id}")).await.expect(403);
    ada.delete(&format!("{members}/{own}")).await.expect(204);
    ada.get(&format!("/api/projects/{id}")).await.expect(404);
    ben.delete(&format!("{members}/{ben_id}")).await.expect(409);

    ben.patch(&format!("/api/projects/{id}"), &json!({ "visibility": "public" })).await.expect(200);
    let public: Page<Project> = ada.get("/api/projects?visibility=public").await.expect(200).json();
    assert_eq!(public.items.iter().map(|p| (p.id.to_string(), p.role)).collect::<Vec<_>>(), [(id.clone(), ProjectRole::Viewer)]);
    ada.get("/api/projects?visibility=private").await.expect(422);
    ada.put(&format!("/api/projects/{id}/files/b"), Some(("if-none-match", "*")), "x").await.expect(403);
    app.nobody().get(&format!("/api/projects/{id}")).await.expect(401);
}

#[tokio::test(flavor = "multi_thread")]
async fn open_connections_end_within_five_seconds_of_a_removal() {
    let app = TestApp::start().await;
    let (ada, ben) = (app.user("ada").await, app.user("ben").await);
    let id = fixture::project(&ada, "P").await;
    fixture::member(&app, &id, &ben, ProjectRole::Viewer).await;
    let mut alone = ben.follow(&format!("/api/live/project:{id}")).await.unwrap();
    let mut among = ben.follow(&format!("/api/live?s=project:{id}@0&s=user:me@0")).await.unwrap();
    let here = |people: &[UserRef]| people.len();
    alone.until(|event| matches!(&event.kind, EventKind::PresenceChanged { people } if here(people) == 1)).await;
    let present: Page<UserRef> = ada.get(&format!("/api/projects/{id}/presence")).await.expect(200).json();
    assert_eq!(present.items.iter().map(|p| p.name.as_str()).collect::<Vec<_>>(), ["ben"]);

    let began = Instant::now();
    ada.delete(&format!("/api/projects/{id}/members/{}", ben.user.as_ref().unwrap().id)).await.expect(204);
    among.until(|event| event.kind == EventKind::AccessEnded {}).await;
    let last = alone.rest().await.pop().expect("it says why it ends");
    assert_eq!((last.kind, last.seq), (EventKind::AccessEnded {}, 0));
    assert!(began.elapsed() < Duration::from_secs(5), "it took {:?}", began.elapsed());
    ben.follow(&format!("/api/live/project:{id}")).await.err().unwrap().expect(404);
    let gone = async {
        while !ada.get(&format!("/api/projects/{id}/presence")).await.json::<Page<UserRef>>().items.is_empty() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), gone).await.expect("still present after half a minute");
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_are_an_administrators_and_everybody_sees_what_is_used() {
    let app = TestApp::start().await;
    let (admin, ben) = (app.user("ada").await, app.user("ben").await);
    let id = fixture::project(&ben, "P").await;
    fixture::file(&ben, &id, "a.txt", &"x".repeat(600_000)).await;
    let user = ben.user.as_ref().unwrap().id;
    let put = |path: String, body: serde_json::Value| admin.send(admin.request(reqwest::Method::PUT, &path).json(&body));
    put(format!("/api/admin/users/{user}/quota"), json!({ "bytes": 1 << 20 })).await.expect(200);
    let mine: UserQuota = ben.get("/api/users/me/quota").await.expect(200).json();
    assert_eq!((mine.bytes.used, mine.bytes.limit, mine.own.bytes), (600_000, 1 << 20, Some(1 << 20)));
    let refused = ben.put(&format!("/api/projects/{id}/files/b.txt"), Some(("if-none-match", "*")), "y".repeat(600_000)).await.expect(413);
    assert!(refused.problem().detail.contains("1 MiB"), "{refused:?}");
    ben.get(&format!("/api/projects/{id}/files/b.txt")).await.expect(404);

    put("/api/admin/settings/storage".into(), json!({ "project_bytes": 1 << 20, "retention_days": 7 })).await.expect(200);
    let quota: ProjectQuota = ben.get(&format!("/api/projects/{id}/quota")).await.expect(200).json();
    assert_eq!((quota.bytes.limit, quota.retention_days, quota.files.used), (1 << 20, 7, 1));
    let wrong = put("/api/admin/settings/storage".into(), json!({ "versions_per_file": 1 })).await.expect(422);
    assert_eq!(wrong.problem().fields[0].field, "versions_per_file");
}
