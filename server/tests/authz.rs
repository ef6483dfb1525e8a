//! Who may come where. Every REST route, server function and stream has a row here; one without a row fails the build. Each row is
//! tried by everybody there is, and what a role in the project lets pass is compared with `authz_roles.txt`.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::Method;
use serde_json::{Value, json};
use server::http::routes::{
    Access::{self, Admin, Member, Public, SignedIn},
    Needs,
};
use sha2::{Digest, Sha256};
use tokio_tungstenite::{connect_async, tungstenite};
use wire::{TurnId, UserId, changes::ChangeSet, projects::ProjectRole, tokens::Scope};

use crate::support::{self, Caller, Options, Reply, TestApp, archives, fixture};

/// Everything that a row can name.
struct World {
    app: TestApp,
    admin: Caller,
    owner: Caller,
    stranger: Caller,
    disabled: Caller,
    /// Signed in once; the session has ended by itself.
    expired: Caller,
    /// A program of the owner, whose token has ended by itself.
    outdated: Caller,
    /// Members of every project, with the role of that name.
    viewer: Caller,
    reviewer: Caller,
    editor: Caller,
    /// An active account; a member where a row needs one.
    member: Caller,
    /// Programs with tokens of the owner, and of the administrator.
    of_owner: Programs,
    of_admin: Programs,
}

impl World {
    /// Nobody, as far as anything is concerned that is not for everybody.
    fn outsiders(&self) -> [(&'static str, Caller); 4] {
        [
            ("nobody", self.app.nobody()),
            ("a disabled account", self.disabled.clone()),
            ("an expired session", self.expired.clone()),
            ("an expired token", self.outdated.clone()),
        ]
    }
}

/// For each scope a token that has only it, and one that has all others.
struct Programs {
    with: BTreeMap<Scope, Caller>,
    without: BTreeMap<Scope, Caller>,
    /// All scopes.
    all: Caller,
}

impl Programs {
    async fn of(person: &Caller) -> Self {
        let token = async |scopes: Vec<Scope>| {
            let made = person.post("/api/users/me/tokens", &json!({ "name": "program", "scopes": scopes })).await.expect(201);
            person.with_bearer(made.field("secret").as_str().unwrap())
        };
        let able: Vec<Scope> = if person.user.as_ref().unwrap().is_admin() { Scope::ALL.to_vec() } else { Scope::ALL[..4].to_vec() };
        let (mut with, mut without) = (BTreeMap::new(), BTreeMap::new());
        for scope in &able {
            with.insert(*scope, token(vec![*scope]).await);
            without.insert(*scope, token(able.iter().copied().filter(|other| other != scope).collect()).await);
        }
        Self { with, without, all: token(able).await }
    }
}

/// What one request of one row is about; made anew for each row, since some rows delete.
struct Things {
    /// Another session of the owner.
    session: String,
    /// The owner's.
    passkey: String,
    /// The owner's.
    identity: String,
    /// An invitation to the installation.
    link: String,
    image: String,
    /// A conversation with a summary, and that message's number.
    summed: String,
    summary: i64,
    project: String,
    checkpoint: String,
    conversation: String,
    turn: String,
    /// A conversation whose one turn was taken back.
    rewound: String,
    rewound_turn: String,
    rewind: String,
    /// Waits for `turn` to end.
    prompt: String,
    change_set: String,
    hunk: String,
    comment: String,
    run: String,
    terminal: String,
    upload: String,
    /// Waits for its files; of the owner.
    import: String,
    export: String,
    job: String,
    user: String,
    /// An account that nobody here uses.
    nobodys: String,
    member: String,
    invitation: String,
    provider: String,
    model: String,
    rule: String,
    mcp_server: String,
    /// Of the owner.
    token: String,
}

type Body = fn(&Things) -> Value;

struct Row {
    method: Method,
    /// As declared.
    path: &'static str,
    access: Access,
    /// How the path is filled in.
    address: fn(&Things) -> String,
    body: Option<Body>,
}

macro_rules! row {
    ($method:ident $path:literal $access:ident, $things:ident => $address:expr $(, $body:expr)?) => {
        Row {
            method: Method::$method,
            path: $path,
            access: $access,
            address: |$things| $address.to_string(),
            body: None $(.or(Some((|$things: &Things| {
                let _ = $things;
                $body
            }) as Body)))?,
        }
    };
}

#[rustfmt::skip]
fn rest() -> Vec<Row> {
    vec![
        row!(POST "/api/auth/register" Public, t => { let _ = t; "/api/auth/register" }, json!({})),
        row!(POST "/api/auth/login" Public, t => { let _ = t; "/api/auth/login" }),
        row!(POST "/api/auth/refresh" Public, t => { let _ = t; "/api/auth/refresh" }, json!({})),
        row!(POST "/api/auth/forgot" Public, t => { let _ = t; "/api/auth/forgot" }, json!({})),
        row!(POST "/api/auth/reset" Public, t => { let _ = t; "/api/auth/reset" }, json!({})),
        row!(DELETE "/api/users/me" SignedIn, t => { let _ = t; "/api/users/me" }, json!({})),
        row!(GET "/api/users/me/export" SignedIn, t => { let _ = t; "/api/users/me/export" }),
        row!(POST "/api/users/me/password" SignedIn, t => { let _ = t; "/api/users/me/password" }, json!({})),
        row!(GET "/api/users/me/sessions" SignedIn, t => { let _ = t; "/api/users/me/sessions" }),
        row!(DELETE "/api/users/me/sessions" SignedIn, t => { let _ = t; "/api/users/me/sessions" }),
        row!(DELETE "/api/users/me/sessions/{id}" SignedIn, t => format!("/api/users/me/sessions/{}", t.session)),
        row!(POST "/api/admin/users" Admin, t => { let _ = t; "/api/admin/users" }, json!({ "email": format!("x{}@example.org", new_name(&t.link)), "username": new_name(&t.link) })),
        row!(POST "/api/admin/users/{id}/reset-link" Admin, t => format!("/api/admin/users/{}/reset-link", t.user), json!({})),
        row!(POST "/api/admin/invitations" Admin, t => { let _ = t; "/api/admin/invitations" }, json!({})),
        row!(GET "/api/admin/links" Admin, t => { let _ = t; "/api/admin/links" }),
        row!(DELETE "/api/admin/links/{id}" Admin, t => format!("/api/admin/links/{}", t.link)),
        row!(GET "/api/admin/settings/accounts" Admin, t => { let _ = t; "/api/admin/settings/accounts" }),
        row!(PUT "/api/admin/settings/accounts" Admin, t => { let _ = t; "/api/admin/settings/accounts" }, json!({})),
        row!(GET "/api/users/me" SignedIn, t => { let _ = t; "/api/users/me" }),
        row!(PATCH "/api/users/me" SignedIn, t => { let _ = t; "/api/users/me" }, json!({})),
        row!(GET "/api/users/me/preferences" SignedIn, t => { let _ = t; "/api/users/me/preferences" }),
        row!(PATCH "/api/users/me/preferences" SignedIn, t => { let _ = t; "/api/users/me/preferences" }, json!({ "revision": 0, "editor": { "tab_size": 2 } })),
        row!(POST "/api/auth/passkey" Public, t => { let _ = t; "/api/auth/passkey" }, json!({})),
        row!(POST "/api/auth/passkey/confirm" Public, t => { let _ = t; "/api/auth/passkey/confirm" }, json!({})),
        row!(GET "/api/users/me/second-factor" SignedIn, t => { let _ = t; "/api/users/me/second-factor" }),
        row!(POST "/api/users/me/totp" SignedIn, t => { let _ = t; "/api/users/me/totp" }, json!({})),
        row!(POST "/api/users/me/totp/confirm" SignedIn, t => { let _ = t; "/api/users/me/totp/confirm" }, json!({ "password": support::PASSWORD, "code": "" })),
        row!(DELETE "/api/users/me/totp" SignedIn, t => { let _ = t; "/api/users/me/totp" }, json!({ "password": support::PASSWORD, "code": "" })),
        row!(POST "/api/users/me/recovery-codes" SignedIn, t => { let _ = t; "/api/users/me/recovery-codes" }, json!({ "password": support::PASSWORD })),
        row!(DELETE "/api/admin/users/{id}/second-factor" Admin, t => format!("/api/admin/users/{}/second-factor", t.user)),
        row!(GET "/api/users/me/passkeys" SignedIn, t => { let _ = t; "/api/users/me/passkeys" }),
        row!(POST "/api/users/me/passkeys" SignedIn, t => { let _ = t; "/api/users/me/passkeys" }, json!({ "password": support::PASSWORD })),
        row!(POST "/api/users/me/passkeys/confirm" SignedIn, t => { let _ = t; "/api/users/me/passkeys/confirm" }, json!({})),
        row!(PATCH "/api/users/me/passkeys/{id}" SignedIn, t => format!("/api/users/me/passkeys/{}", t.passkey), json!({ "name": "Phone" })),
        row!(DELETE "/api/users/me/passkeys/{id}" SignedIn, t => format!("/api/users/me/passkeys/{}", t.passkey), json!({ "password": support::PASSWORD })),
        row!(GET "/auth/{provider}" Public, t => { let _ = t; "/auth/oidc" }),
        row!(GET "/auth/{provider}/callback" Public, t => { let _ = t; "/auth/oidc/callback?state=x&code=y" }),
        row!(GET "/api/users/me/identities" SignedIn, t => { let _ = t; "/api/users/me/identities" }),
        row!(DELETE "/api/users/me/identities/{id}" SignedIn, t => format!("/api/users/me/identities/{}", t.identity)),
        row!(GET "/api/users/me/tokens" SignedIn, t => { let _ = t; "/api/users/me/tokens" }),
        row!(POST "/api/users/me/tokens" SignedIn, t => { let _ = t; "/api/users/me/tokens" }, json!({ "name": "T", "scopes": ["read"] })),
        row!(DELETE "/api/users/me/tokens/{id}" SignedIn, t => format!("/api/users/me/tokens/{}", t.token)),
        row!(GET "/api/docs" Public, t => { let _ = t; "/api/docs" }),
        row!(GET "/api/openapi.json" Public, t => { let _ = t; "/api/openapi.json" }),
        row!(GET "/api/admin/audit" Admin, t => { let _ = t; "/api/admin/audit" }),
        row!(GET "/api/admin/audit/export" Admin, t => { let _ = t; "/api/admin/audit/export" }),
        row!(GET "/api/admin/audit/verdict" Admin, t => { let _ = t; "/api/admin/audit/verdict" }),
        row!(GET "/api/models" SignedIn, t => { let _ = t; "/api/models" }),
        row!(GET "/api/users/me/model-keys" SignedIn, t => { let _ = t; "/api/users/me/model-keys" }),
        row!(PUT "/api/users/me/model-keys/{id}" SignedIn, t => format!("/api/users/me/model-keys/{}", t.provider), json!({ "key": "sk-of-a-person" })),
        row!(DELETE "/api/users/me/model-keys/{id}" SignedIn, t => format!("/api/users/me/model-keys/{}", t.provider)),
        row!(GET "/api/admin/models" Admin, t => { let _ = t; "/api/admin/models" }),
        row!(POST "/api/admin/models" Admin, t => { let _ = t; "/api/admin/models" }, json!({ "provider_id": t.provider, "name": format!("another {}", t.model), "settings": { "remote_name": "m" } })),
        row!(PUT "/api/admin/models/choices" Admin, t => { let _ = t; "/api/admin/models/choices" }, json!({})),
        row!(PATCH "/api/admin/models/{id}" Admin, t => format!("/api/admin/models/{}", t.model), json!({ "revision": 1, "active": false })),
        row!(DELETE "/api/admin/models/{id}" Admin, t => format!("/api/admin/models/{}", t.model)),
        row!(GET "/api/admin/models/{id}/versions" Admin, t => format!("/api/admin/models/{}/versions", t.model)),
        row!(GET "/api/admin/mcp-servers" Admin, t => { let _ = t; "/api/admin/mcp-servers" }),
        row!(POST "/api/admin/mcp-servers" Admin, t => { let _ = t; "/api/admin/mcp-servers" }, json!({ "name": new_name(&t.mcp_server), "transport": "stdio", "target": "true" })),
        row!(PATCH "/api/admin/mcp-servers/{id}" Admin, t => format!("/api/admin/mcp-servers/{}", t.mcp_server), json!({ "revision": 1, "active": false })),
        row!(DELETE "/api/admin/mcp-servers/{id}" Admin, t => format!("/api/admin/mcp-servers/{}", t.mcp_server)),
        row!(POST "/api/admin/mcp-servers/{id}/test" Admin, t => format!("/api/admin/mcp-servers/{}/test", t.mcp_server), json!({})),
        row!(POST "/api/admin/model-providers" Admin, t => { let _ = t; "/api/admin/model-providers" }, json!({ "name": "P", "kind": "ollama", "base_url": "http://127.0.0.1:9" })),
        row!(PATCH "/api/admin/model-providers/{id}" Admin, t => format!("/api/admin/model-providers/{}", t.provider), json!({ "revision": 1, "active": false })),
        row!(DELETE "/api/admin/model-providers/{id}" Admin, t => format!("/api/admin/model-providers/{}", t.provider)),
        row!(POST "/api/admin/model-providers/{id}/test" Admin, t => format!("/api/admin/model-providers/{}/test", t.provider), json!({})),
        row!(GET "/api/projects" SignedIn, t => { let _ = t; "/api/projects" }),
        row!(POST "/api/projects" SignedIn, t => { let _ = t; "/api/projects" }, json!({ "name": "X" })),
        row!(POST "/api/projects/import" SignedIn, t => { let _ = t; "/api/projects/import" }),
        row!(POST "/api/imports" SignedIn, t => { let _ = t; "/api/imports" }, json!({ "name": "X" })),
        row!(GET "/api/imports/{id}" SignedIn, t => format!("/api/imports/{}", t.import)),
        row!(GET "/api/imports/{id}/files" SignedIn, t => format!("/api/imports/{}/files", t.import)),
        row!(POST "/api/imports/{id}/files" SignedIn, t => format!("/api/imports/{}/files", t.import)),
        row!(POST "/api/imports/{id}/finish" SignedIn, t => format!("/api/imports/{}/finish", t.import)),
        row!(DELETE "/api/imports/{id}" SignedIn, t => format!("/api/imports/{}", t.import)),
        row!(GET "/api/projects/{id}" Member, t => format!("/api/projects/{}", t.project)),
        row!(PATCH "/api/projects/{id}" Member, t => format!("/api/projects/{}", t.project), json!({ "name": "Y" })),
        row!(DELETE "/api/projects/{id}" Member, t => format!("/api/projects/{}", t.project)),
        row!(GET "/api/projects/{id}/tree" Member, t => format!("/api/projects/{}/tree", t.project)),
        row!(GET "/api/projects/{id}/history" Member, t => format!("/api/projects/{}/history?path=a.txt", t.project)),
        row!(GET "/api/projects/{id}/files/{*path}" Member, t => format!("/api/projects/{}/files/a.txt", t.project)),
        row!(PUT "/api/projects/{id}/files/{*path}" Member, t => format!("/api/projects/{}/files/b.txt", t.project)),
        row!(DELETE "/api/projects/{id}/files/{*path}" Member, t => format!("/api/projects/{}/files/a.txt?revision=1000", t.project)),
        row!(POST "/api/projects/{id}/files:move" Member, t => format!("/api/projects/{}/files:move", t.project), json!({ "from": "a.txt", "to": "c.txt", "base": { "revision": 1000 } })),
        row!(POST "/api/projects/{id}/files:copy" Member, t => format!("/api/projects/{}/files:copy", t.project), json!({ "from": "a.txt", "to": "d.txt" })),
        row!(GET "/api/projects/{id}/archive" Member, t => format!("/api/projects/{}/archive", t.project)),
        row!(GET "/api/projects/{id}/trash" Member, t => format!("/api/projects/{}/trash", t.project)),
        row!(POST "/api/projects/{id}/files:restore" Member, t => format!("/api/projects/{}/files:restore", t.project), json!({ "path": "a.txt", "version": 1, "base": { "revision": 1000 } })),
        row!(GET "/api/projects/{id}/checkpoints" Member, t => format!("/api/projects/{}/checkpoints", t.project)),
        row!(POST "/api/projects/{id}/checkpoints" Member, t => format!("/api/projects/{}/checkpoints", t.project), json!({ "name": "Before it broke" })),
        row!(PATCH "/api/projects/{id}/checkpoints/{cid}" Member, t => format!("/api/projects/{}/checkpoints/{}", t.project, t.checkpoint), json!({ "name": "Kept" })),
        row!(DELETE "/api/projects/{id}/checkpoints/{cid}" Member, t => format!("/api/projects/{}/checkpoints/{}", t.project, t.checkpoint)),
        row!(GET "/api/projects/{id}/checkpoints/{cid}/files" Member, t => format!("/api/projects/{}/checkpoints/{}/files", t.project, t.checkpoint)),
        row!(GET "/api/projects/{id}/checkpoints/{cid}/diff" Member, t => format!("/api/projects/{}/checkpoints/{}/diff", t.project, t.checkpoint)),
        row!(POST "/api/projects/{id}/checkpoints/{cid}/restore" Member, t => format!("/api/projects/{}/checkpoints/{}/restore", t.project, t.checkpoint), json!({ "expected_revision": 1 })),
        row!(POST "/api/projects/{id}/fork" Member, t => format!("/api/projects/{}/fork", t.project), json!({ "name": "Fork" })),
        row!(POST "/api/projects/{id}/files:batch" Member, t => format!("/api/projects/{}/files:batch", t.project)),
        row!(POST "/api/projects/{id}/uploads" Member, t => format!("/api/projects/{}/uploads", t.project), json!({ "path": "u.bin", "size": 3, "base": "new" })),
        row!(GET "/api/uploads/{id}" Member, t => format!("/api/uploads/{}", t.upload)),
        row!(PATCH "/api/uploads/{id}" Member, t => format!("/api/uploads/{}", t.upload)),
        row!(DELETE "/api/uploads/{id}" Member, t => format!("/api/uploads/{}", t.upload)),
        row!(GET "/api/projects/{id}/export" Member, t => format!("/api/projects/{}/export?history=true", t.project)),
        row!(POST "/api/projects/{id}/exports" Member, t => format!("/api/projects/{}/exports", t.project), json!({})),
        row!(GET "/api/projects/{id}/exports" Member, t => format!("/api/projects/{}/exports", t.project)),
        row!(GET "/api/exports/{id}" Member, t => format!("/api/exports/{}", t.export)),
        row!(GET "/api/exports/{id}/archive" Member, t => format!("/api/exports/{}/archive", t.export)),
        row!(DELETE "/api/exports/{id}" Member, t => format!("/api/exports/{}", t.export)),
        row!(POST "/api/projects/{id}/context" Member, t => format!("/api/projects/{}/context", t.project), json!({ "turn": { "prompt": "Hi" } })),
        row!(POST "/api/projects/{id}/images" Member, t => format!("/api/projects/{}/images?name=a.gif", t.project)),
        row!(GET "/api/projects/{id}/images/{checksum}" Member, t => format!("/api/projects/{}/images/{}", t.project, t.image)),
        row!(GET "/api/conversations/{id}/compactions" Member, t => format!("/api/conversations/{}/compactions", t.conversation)),
        row!(PUT "/api/conversations/{id}/compactions/{seq}" Member, t => format!("/api/conversations/{}/compactions/{}", t.summed, t.summary), json!({ "undone": true })),
        row!(GET "/api/projects/{id}/runs" Member, t => format!("/api/projects/{}/runs", t.project)),
        row!(POST "/api/projects/{id}/runs" Member, t => format!("/api/projects/{}/runs", t.project), json!({ "kind": "sandbox_exec", "command": "true" })),
        row!(GET "/api/runs/{id}" Member, t => format!("/api/runs/{}", t.run)),
        row!(DELETE "/api/runs/{id}" Member, t => format!("/api/runs/{}", t.run)),
        row!(GET "/api/runs/{id}/output" Member, t => format!("/api/runs/{}/output", t.run)),
        row!(GET "/api/runs/{id}/tests" Member, t => format!("/api/runs/{}/tests", t.run)),
        row!(GET "/api/projects/{id}/tests" Member, t => format!("/api/projects/{}/tests", t.project)),
        row!(PUT "/api/projects/{id}/tests" Member, t => format!("/api/projects/{}/tests", t.project), json!({ "command": "true" })),
        row!(POST "/api/runs/{id}/cancel" Member, t => format!("/api/runs/{}/cancel", t.run)),
        row!(POST "/api/runs/{id}/previews/{port}" Member, t => format!("/api/runs/{}/previews/8080", t.run)),
        row!(GET "/api/projects/{id}/terminals" Member, t => format!("/api/projects/{}/terminals", t.project)),
        row!(POST "/api/projects/{id}/terminals" Member, t => format!("/api/projects/{}/terminals", t.project), json!({ "cols": 80, "rows": 24 })),
        row!(PATCH "/api/terminals/{id}" Member, t => format!("/api/terminals/{}", t.terminal), json!({ "title": "T" })),
        row!(DELETE "/api/terminals/{id}" Member, t => format!("/api/terminals/{}", t.terminal)),
        row!(GET "/api/terminals/{id}/ws" Member, t => format!("/api/terminals/{}/ws", t.terminal)),
        row!(GET "/api/projects/{id}/members" Member, t => format!("/api/projects/{}/members", t.project)),
        row!(POST "/api/projects/{id}/members" Member, t => format!("/api/projects/{}/members", t.project), json!({ "who": "later@example.org", "role": "viewer" })),
        row!(PUT "/api/projects/{id}/members/{user_id}" Member, t => format!("/api/projects/{}/members/{}", t.project, t.member), json!({ "role": "editor" })),
        row!(DELETE "/api/projects/{id}/members/{user_id}" Member, t => format!("/api/projects/{}/members/{}", t.project, t.member)),
        row!(DELETE "/api/projects/{id}/invitations/{invitation_id}" Member, t => format!("/api/projects/{}/invitations/{}", t.project, t.invitation)),
        row!(POST "/api/projects/{id}/transfer" Member, t => format!("/api/projects/{}/transfer", t.project), json!({ "to": t.member })),
        row!(GET "/api/projects/{id}/presence" Member, t => format!("/api/projects/{}/presence", t.project)),
        row!(GET "/api/projects/{id}/quota" Member, t => format!("/api/projects/{}/quota", t.project)),
        row!(GET "/api/users/me/quota" SignedIn, t => { let _ = t; "/api/users/me/quota" }),
        row!(GET "/api/admin/users/{id}/quota" Admin, t => format!("/api/admin/users/{}/quota", t.user)),
        row!(PUT "/api/admin/users/{id}/quota" Admin, t => format!("/api/admin/users/{}/quota", t.user), json!({})),
        row!(GET "/api/admin/projects/{id}/quota" Admin, t => format!("/api/admin/projects/{}/quota", t.project)),
        row!(PUT "/api/admin/projects/{id}/quota" Admin, t => format!("/api/admin/projects/{}/quota", t.project), json!({})),
        row!(GET "/api/admin/settings/storage" Admin, t => { let _ = t; "/api/admin/settings/storage" }),
        row!(PUT "/api/admin/settings/storage" Admin, t => { let _ = t; "/api/admin/settings/storage" }, json!({})),
        row!(POST "/api/v1/generate" SignedIn, t => { let _ = t; "/api/v1/generate" }, json!({ "prompt": "Hi" })),
        row!(GET "/ws/generate" SignedIn, t => { let _ = t; "/ws/generate" }),
        row!(GET "/api/budgets" SignedIn, t => { let _ = t; "/api/budgets" }),
        row!(GET "/api/projects/{id}/budgets" Member, t => format!("/api/projects/{}/budgets", t.project)),
        row!(PUT "/api/projects/{id}/budgets" Member, t => format!("/api/projects/{}/budgets", t.project), json!({ "usd_micros": 1_000_000 })),
        row!(PUT "/api/conversations/{id}/budget" Member, t => format!("/api/conversations/{}/budget", t.conversation), json!({ "tokens": 1000 })),
        row!(GET "/api/admin/budgets" Admin, t => { let _ = t; "/api/admin/budgets" }),
        row!(PUT "/api/admin/budgets" Admin, t => { let _ = t; "/api/admin/budgets" }, json!({ "scope": "user_default", "usd_micros": 900_000_000_000i64 })),
        row!(GET "/api/usage" SignedIn, t => { let _ = t; "/api/usage" }),
        row!(GET "/api/projects/{id}/usage" Member, t => format!("/api/projects/{}/usage", t.project)),
        row!(GET "/api/turns/{id}/usage" Member, t => format!("/api/turns/{}/usage", t.turn)),
        row!(GET "/api/admin/usage" Admin, t => { let _ = t; "/api/admin/usage" }),
        row!(GET "/api/storage" SignedIn, t => { let _ = t; "/api/storage" }),
        row!(GET "/api/projects/{id}/storage" Member, t => format!("/api/projects/{}/storage", t.project)),
        row!(POST "/api/projects/{id}/storage" Member, t => format!("/api/projects/{}/storage", t.project), json!({ "to": "s3" })),
        row!(GET "/api/projects/{id}/network" Member, t => format!("/api/projects/{}/network", t.project)),
        row!(PUT "/api/projects/{id}/network" Member, t => format!("/api/projects/{}/network", t.project), json!({ "allow": [] })),
        row!(POST "/api/projects/{id}/proposals" Member, t => format!("/api/projects/{}/proposals", t.project), json!({ "path": "n.txt", "text": "n" })),
        row!(GET "/api/projects/{id}/permissions" Member, t => format!("/api/projects/{}/permissions", t.project)),
        row!(POST "/api/projects/{id}/permissions" Member, t => format!("/api/projects/{}/permissions", t.project), json!({ "effect": "ask", "tool": "edit_file" })),
        row!(DELETE "/api/projects/{id}/permissions/{rule_id}" Member, t => format!("/api/projects/{}/permissions/{}", t.project, t.rule)),
        row!(POST "/api/projects/{id}/permissions:try" Member, t => format!("/api/projects/{}/permissions:try", t.project), json!({})),
        row!(GET "/api/projects/{id}/search" Member, t => format!("/api/projects/{}/search?q=a", t.project)),
        row!(POST "/api/projects/{id}/replace" Member, t => format!("/api/projects/{}/replace", t.project), json!({ "q": "a", "replacement": "b" })),
        row!(POST "/api/projects/{id}/outline" Member, t => format!("/api/projects/{}/outline", t.project), json!({ "path": "a.txt" })),
        row!(GET "/api/projects/{id}/conversations" Member, t => format!("/api/projects/{}/conversations", t.project)),
        row!(GET "/api/projects/{id}/conversations/removed" Member, t => format!("/api/projects/{}/conversations/removed", t.project)),
        row!(POST "/api/projects/{id}/conversations" Member, t => format!("/api/projects/{}/conversations", t.project), json!({})),
        row!(GET "/api/conversations/{id}" Member, t => format!("/api/conversations/{}", t.conversation)),
        row!(PATCH "/api/conversations/{id}" Member, t => format!("/api/conversations/{}", t.conversation), json!({ "title": "T" })),
        row!(DELETE "/api/conversations/{id}" Member, t => format!("/api/conversations/{}", t.conversation)),
        row!(GET "/api/conversations/{id}/messages" Member, t => format!("/api/conversations/{}/messages", t.conversation)),
        row!(POST "/api/conversations/{id}/turns" Member, t => format!("/api/conversations/{}/turns", t.conversation), json!({ "prompt": "Hi" })),
        row!(POST "/api/conversations/{id}/restore" Member, t => format!("/api/conversations/{}/restore", t.conversation)),
        row!(GET "/api/conversations/{id}/export" Member, t => format!("/api/conversations/{}/export?format=json", t.conversation)),
        row!(POST "/api/conversations/{id}/fork" Member, t => format!("/api/conversations/{}/fork", t.rewound), json!({ "seq": 1 })),
        row!(GET "/api/conversations/{id}/rewind/{turn}" Member, t => format!("/api/conversations/{}/rewind/{}", t.rewound, t.rewound_turn)),
        row!(POST "/api/conversations/{id}/rewind" Member, t => format!("/api/conversations/{}/rewind", t.rewound), json!({ "turn_id": t.rewound_turn, "chat": true })),
        row!(POST "/api/rewinds/{id}/undo" Member, t => format!("/api/rewinds/{}/undo", t.rewind), json!({})),
        row!(POST "/api/conversations/{id}/queue" Member, t => format!("/api/conversations/{}/queue", t.conversation), json!({ "prompt": "Hi" })),
        row!(PATCH "/api/queue/{id}" Member, t => format!("/api/queue/{}", t.prompt), json!({ "prompt": "Ho" })),
        row!(DELETE "/api/queue/{id}" Member, t => format!("/api/queue/{}", t.prompt)),
        row!(POST "/api/queue/{id}/send" Member, t => format!("/api/queue/{}/send", t.prompt)),
        row!(GET "/api/turns/{id}" Member, t => format!("/api/turns/{}", t.turn)),
        row!(POST "/api/turns/{id}/stop" Member, t => format!("/api/turns/{}/stop", t.turn)),
        row!(POST "/api/turns/{id}/approvals/{call_id}" Member, t => format!("/api/turns/{}/approvals/call-1", t.turn), json!({ "decision": "approve" })),
        row!(GET "/api/turns/{id}/changes" Member, t => format!("/api/turns/{}/changes", t.turn)),
        row!(GET "/api/change-sets/{id}" Member, t => format!("/api/change-sets/{}", t.change_set)),
        row!(GET "/api/projects/{id}/change-sets" Member, t => format!("/api/projects/{}/change-sets", t.project)),
        row!(GET "/api/change-sets/{id}/sides" Member, t => format!("/api/change-sets/{}/sides?path=p.txt", t.change_set)),
        row!(POST "/api/change-sets/{id}/comments" Member, t => format!("/api/change-sets/{}/comments", t.change_set), json!({ "hunk_id": t.hunk, "text": "Why?" })),
        row!(POST "/api/change-sets/{id}/comments/send" Member, t => format!("/api/change-sets/{}/comments/send", t.change_set)),
        row!(DELETE "/api/review-comments/{id}" Member, t => format!("/api/review-comments/{}", t.comment)),
        row!(POST "/api/change-sets/{id}/decisions" Member, t => format!("/api/change-sets/{}/decisions", t.change_set), json!({ "accept": [t.hunk] })),
        row!(GET "/api/jobs/{id}" Member, t => format!("/api/jobs/{}", t.job)),
        row!(POST "/api/jobs/{id}/cancel" Member, t => format!("/api/jobs/{}/cancel", t.job)),
        row!(GET "/api/admin/users" Admin, t => { let _ = t; "/api/admin/users" }),
        row!(GET "/api/admin/users.csv" Admin, t => { let _ = t; "/api/admin/users.csv" }),
        row!(GET "/api/admin/users/{id}" Admin, t => format!("/api/admin/users/{}", t.user)),
        row!(POST "/api/admin/users/{id}/sign-out" Admin, t => format!("/api/admin/users/{}/sign-out", t.nobodys)),
        row!(GET "/api/admin/projects" Admin, t => { let _ = t; "/api/admin/projects" }),
        row!(GET "/api/admin/projects.csv" Admin, t => { let _ = t; "/api/admin/projects.csv" }),
        row!(DELETE "/api/admin/projects/{id}" Admin, t => format!("/api/admin/projects/{}", t.project)),
        row!(POST "/api/admin/projects/{id}/restore" Admin, t => format!("/api/admin/projects/{}/restore", t.project)),
        row!(POST "/api/admin/projects/{id}/transfer" Admin, t => format!("/api/admin/projects/{}/transfer", t.project), json!({ "to": t.member })),
        row!(POST "/api/admin/projects/{id}/access" Admin, t => format!("/api/admin/projects/{}/access", t.project), json!({ "reason": "Somebody asked for help." })),
        row!(DELETE "/api/admin/projects/{id}/access" Admin, t => format!("/api/admin/projects/{}/access", t.project)),
        row!(GET "/api/projects/{id}/admin-access" Member, t => format!("/api/projects/{}/admin-access", t.project)),
        row!(GET "/api/admin/jobs.csv" Admin, t => { let _ = t; "/api/admin/jobs.csv" }),
        row!(POST "/api/admin/jobs/requeue" Admin, t => { let _ = t; "/api/admin/jobs/requeue" }),
        row!(GET "/api/admin/usage.csv" Admin, t => { let _ = t; "/api/admin/usage.csv" }),
        row!(GET "/api/admin/budgets.csv" Admin, t => { let _ = t; "/api/admin/budgets.csv" }),
        row!(GET "/api/admin/models.csv" Admin, t => { let _ = t; "/api/admin/models.csv" }),
        row!(GET "/api/admin/audit.csv" Admin, t => { let _ = t; "/api/admin/audit.csv" }),
        row!(GET "/api/admin/overview" Admin, t => { let _ = t; "/api/admin/overview" }),
        row!(GET "/api/admin/settings" Admin, t => { let _ = t; "/api/admin/settings" }),
        row!(PATCH "/api/admin/users/{id}" Admin, t => format!("/api/admin/users/{}", t.user), json!({})),
        row!(GET "/api/admin/jobs" Admin, t => { let _ = t; "/api/admin/jobs" }),
        row!(POST "/api/admin/jobs/{id}/cancel" Admin, t => format!("/api/admin/jobs/{}/cancel", t.job)),
        row!(POST "/api/admin/jobs/{id}/requeue" Admin, t => format!("/api/admin/jobs/{}/requeue", t.job)),
        row!(GET "/api/admin/settings/rates" Admin, t => { let _ = t; "/api/admin/settings/rates" }),
        row!(PUT "/api/admin/settings/rates" Admin, t => { let _ = t; "/api/admin/settings/rates" }, json!({})),
        row!(GET "/api/admin/settings/runs" Admin, t => { let _ = t; "/api/admin/settings/runs" }),
        row!(PUT "/api/admin/settings/runs" Admin, t => { let _ = t; "/api/admin/settings/runs" }, json!({})),
        row!(GET "/api/admin/health" Admin, t => { let _ = t; "/api/admin/health" }),
        row!(GET "/api/live/{stream}" Member, t => format!("/api/live/project:{}", t.project)),
        row!(GET "/api/live" Member, t => format!("/api/live?s=project:{}@0", t.project)),
        // Last, since it ends the caller's session.
        row!(POST "/api/auth/logout" SignedIn, t => { let _ = t; "/api/auth/logout" }),
    ]
}

#[rustfmt::skip]
fn functions() -> Vec<Row> {
    vec![
        row!(POST "/fn/auth/viewer" Public, t => { let _ = t; "/fn/auth/viewer" }),
        row!(POST "/fn/auth/login" Public, t => { let _ = t; "/fn/auth/login" }),
        row!(POST "/fn/auth/forgot" Public, t => { let _ = t; "/fn/auth/forgot" }),
        row!(POST "/fn/auth/reset" Public, t => { let _ = t; "/fn/auth/reset" }),
        row!(POST "/fn/auth/link" Public, t => { let _ = t; "/fn/auth/link" }, json!({ "kind": "reset" })),
        row!(POST "/fn/auth/logout_everywhere" SignedIn, t => { let _ = t; "/fn/auth/logout_everywhere" }),
        row!(POST "/fn/users/change_password" SignedIn, t => { let _ = t; "/fn/users/change_password" }),
        row!(POST "/fn/users/delete_me" SignedIn, t => { let _ = t; "/fn/users/delete_me" }),
        row!(POST "/fn/sessions/list" SignedIn, t => { let _ = t; "/fn/sessions/list" }, json!({})),
        row!(POST "/fn/sessions/revoke" SignedIn, t => { let _ = t; "/fn/sessions/revoke" }, json!({ "id": t.session })),
        row!(POST "/fn/sessions/revoke_others" SignedIn, t => { let _ = t; "/fn/sessions/revoke_others" }, json!({})),
        row!(POST "/fn/admin/links" Admin, t => { let _ = t; "/fn/admin/links" }, json!({})),
        row!(POST "/fn/admin/invite" Admin, t => { let _ = t; "/fn/admin/invite" }, json!({ "request": {} })),
        row!(POST "/fn/admin/make_reset_link" Admin, t => { let _ = t; "/fn/admin/make_reset_link" }, json!({ "id": t.user })),
        row!(POST "/fn/admin/revoke_link" Admin, t => { let _ = t; "/fn/admin/revoke_link" }, json!({ "id": t.link })),
        row!(POST "/fn/admin/create_user" Admin, t => { let _ = t; "/fn/admin/create_user" }, json!({ "request": { "email": format!("y{}@example.org", new_name(&t.link)), "username": format!("y{}", new_name(&t.link)) } })),
        row!(POST "/fn/settings/accounts" Admin, t => { let _ = t; "/fn/settings/accounts" }, json!({})),
        row!(POST "/fn/settings/update_accounts" Admin, t => { let _ = t; "/fn/settings/update_accounts" }, json!({ "request": {} })),
        row!(POST "/fn/auth/register" Public, t => { let _ = t; "/fn/auth/register" }),
        row!(POST "/fn/users/update_me" SignedIn, t => { let _ = t; "/fn/users/update_me" }),
        row!(POST "/fn/preferences/get" SignedIn, t => { let _ = t; "/fn/preferences/get" }, json!({})),
        row!(POST "/fn/preferences/update" SignedIn, t => { let _ = t; "/fn/preferences/update" }, json!({ "request": { "revision": 0 } })),
        row!(POST "/fn/projects/list" SignedIn, t => { let _ = t; "/fn/projects/list" }, json!({})),
        row!(POST "/fn/members/list" Member, t => { let _ = t; "/fn/members/list" }, json!({ "project": t.project })),
        row!(POST "/fn/members/invite" Member, t => { let _ = t; "/fn/members/invite" }, json!({ "project": t.project, "request": { "who": "later@example.org", "role": "viewer" } })),
        row!(POST "/fn/members/change" Member, t => { let _ = t; "/fn/members/change" }, json!({ "project": t.project, "user": t.member, "request": { "role": "editor" } })),
        row!(POST "/fn/members/remove" Member, t => { let _ = t; "/fn/members/remove" }, json!({ "project": t.project, "user": t.member })),
        row!(POST "/fn/members/withdraw" Member, t => { let _ = t; "/fn/members/withdraw" }, json!({ "project": t.project, "invitation": t.invitation })),
        row!(POST "/fn/members/transfer" Member, t => { let _ = t; "/fn/members/transfer" }, json!({ "project": t.project, "request": { "to": t.member } })),
        row!(POST "/fn/members/present" Member, t => { let _ = t; "/fn/members/present" }, json!({ "project": t.project })),
        row!(POST "/fn/quotas/of_project" Member, t => { let _ = t; "/fn/quotas/of_project" }, json!({ "project": t.project })),
        row!(POST "/fn/admin/quota" Admin, t => { let _ = t; "/fn/admin/quota" }, json!({ "user": t.user })),
        row!(POST "/fn/admin/set_quota" Admin, t => { let _ = t; "/fn/admin/set_quota" }, json!({ "user": t.user, "request": {} })),
        row!(POST "/fn/admin/project_quota" Admin, t => { let _ = t; "/fn/admin/project_quota" }, json!({ "project": t.project })),
        row!(POST "/fn/admin/set_project_quota" Admin, t => { let _ = t; "/fn/admin/set_project_quota" }, json!({ "project": t.project, "request": {} })),
        row!(POST "/fn/settings/storage" Admin, t => { let _ = t; "/fn/settings/storage" }, json!({})),
        row!(POST "/fn/settings/update_storage" Admin, t => { let _ = t; "/fn/settings/update_storage" }, json!({ "request": {} })),
        row!(POST "/fn/budgets/mine" SignedIn, t => { let _ = t; "/fn/budgets/mine" }, json!({ "project": null, "conversation": null })),
        row!(POST "/fn/budgets/of_project" Member, t => { let _ = t; "/fn/budgets/of_project" }, json!({ "project": t.project })),
        row!(POST "/fn/budgets/set_of_project" Member, t => { let _ = t; "/fn/budgets/set_of_project" }, json!({ "project": t.project, "limits": { "usd_micros": 1_000_000 } })),
        row!(POST "/fn/budgets/set_of_conversation" Member, t => { let _ = t; "/fn/budgets/set_of_conversation" }, json!({ "conversation": t.conversation, "limits": { "tokens": 1000 } })),
        row!(POST "/fn/admin/budgets" Admin, t => { let _ = t; "/fn/admin/budgets" }, json!({})),
        row!(POST "/fn/admin/set_budget" Admin, t => { let _ = t; "/fn/admin/set_budget" }, json!({ "request": { "scope": "user_default", "usd_micros": 900_000_000_000i64 } })),
        row!(POST "/fn/usage/mine" SignedIn, t => { let _ = t; "/fn/usage/mine" }, json!({ "query": {} })),
        row!(POST "/fn/usage/of_project" Member, t => { let _ = t; "/fn/usage/of_project" }, json!({ "project": t.project, "query": {} })),
        row!(POST "/fn/usage/of_turn" Member, t => { let _ = t; "/fn/usage/of_turn" }, json!({ "turn": t.turn })),
        row!(POST "/fn/admin/usage" Admin, t => { let _ = t; "/fn/admin/usage" }, json!({ "query": {} })),
        row!(POST "/fn/storage/choices" SignedIn, t => { let _ = t; "/fn/storage/choices" }, json!({})),
        row!(POST "/fn/storage/of_project" Member, t => { let _ = t; "/fn/storage/of_project" }, json!({ "project": t.project })),
        row!(POST "/fn/storage/move" Member, t => { let _ = t; "/fn/storage/move" }, json!({ "project": t.project, "request": { "to": "s3" } })),
        row!(POST "/fn/projects/create_sample" SignedIn, t => { let _ = t; "/fn/projects/create_sample" }, json!({})),
        row!(POST "/fn/dashboard/mine" SignedIn, t => { let _ = t; "/fn/dashboard/mine" }, json!({})),
        row!(POST "/fn/projects/create" SignedIn, t => { let _ = t; "/fn/projects/create" }, json!({ "request": { "name": "X" } })),
        row!(POST "/fn/projects/open" Member, t => { let _ = t; "/fn/projects/open" }, json!({ "id": t.project, "files_max": null })),
        row!(POST "/fn/projects/get" Member, t => { let _ = t; "/fn/projects/get" }, json!({ "id": t.project })),
        row!(POST "/fn/projects/update" Member, t => { let _ = t; "/fn/projects/update" }, json!({ "id": t.project, "request": {} })),
        row!(POST "/fn/projects/delete" Member, t => { let _ = t; "/fn/projects/delete" }, json!({ "id": t.project })),
        row!(POST "/fn/files/tree" Member, t => { let _ = t; "/fn/files/tree" }, json!({ "project": t.project })),
        row!(POST "/fn/files/open" Member, t => { let _ = t; "/fn/files/open" }, json!({ "project": t.project, "path": "a.txt" })),
        row!(POST "/fn/files/save" Member, t => { let _ = t; "/fn/files/save" }, json!({ "project": t.project, "request": { "path": "n.txt", "base": "new", "text": "x" } })),
        row!(POST "/fn/files/create_directory" Member, t => { let _ = t; "/fn/files/create_directory" }, json!({ "project": t.project, "path": "d" })),
        row!(POST "/fn/files/move" Member, t => { let _ = t; "/fn/files/move" }, json!({ "project": t.project, "request": { "from": "a.txt", "to": "b.txt", "base": { "revision": 1000 } } })),
        row!(POST "/fn/files/delete" Member, t => { let _ = t; "/fn/files/delete" }, json!({ "project": t.project, "path": "a.txt", "base": { "revision": 1000 } })),
        row!(POST "/fn/files/restore" Member, t => { let _ = t; "/fn/files/restore" }, json!({ "project": t.project, "request": { "path": "a.txt", "version": 1, "base": { "revision": 1000 } } })),
        row!(POST "/fn/files/change" Member, t => { let _ = t; "/fn/files/change" }, json!({ "project": t.project, "request": { "steps": [{ "change": "create_directory", "path": "e" }] } })),
        row!(POST "/fn/files/trash" Member, t => { let _ = t; "/fn/files/trash" }, json!({ "project": t.project })),
        row!(POST "/fn/files/history" Member, t => { let _ = t; "/fn/files/history" }, json!({ "project": t.project, "path": "a.txt" })),
        row!(POST "/fn/imports/git" SignedIn, t => { let _ = t; "/fn/imports/git" }, json!({ "request": { "url": "https://example.org/a" } })),
        row!(POST "/fn/exports/start" Member, t => { let _ = t; "/fn/exports/start" }, json!({ "project": t.project, "request": {} })),
        row!(POST "/fn/exports/list" Member, t => { let _ = t; "/fn/exports/list" }, json!({ "project": t.project })),
        row!(POST "/fn/exports/delete" Member, t => { let _ = t; "/fn/exports/delete" }, json!({ "id": t.export })),
        row!(POST "/fn/jobs/cancel" Member, t => { let _ = t; "/fn/jobs/cancel" }, json!({ "id": t.job })),
        row!(POST "/fn/runs/list" Member, t => { let _ = t; "/fn/runs/list" }, json!({ "project": t.project })),
        row!(POST "/fn/runs/get" Member, t => { let _ = t; "/fn/runs/get" }, json!({ "id": t.run })),
        row!(POST "/fn/runs/start" Member, t => { let _ = t; "/fn/runs/start" }, json!({ "project": t.project, "request": { "kind": "sandbox_exec", "command": "true" } })),
        row!(POST "/fn/runs/delete" Member, t => { let _ = t; "/fn/runs/delete" }, json!({ "id": t.run })),
        row!(POST "/fn/test_reports/of_run" Member, t => { let _ = t; "/fn/test_reports/of_run" }, json!({ "run": t.run })),
        row!(POST "/fn/test_reports/settings" Member, t => { let _ = t; "/fn/test_reports/settings" }, json!({ "project": t.project })),
        row!(POST "/fn/test_reports/update_settings" Member, t => { let _ = t; "/fn/test_reports/update_settings" }, json!({ "project": t.project, "request": {} })),
        row!(POST "/fn/runs/cancel" Member, t => { let _ = t; "/fn/runs/cancel" }, json!({ "id": t.run })),
        row!(POST "/fn/previews/address" Member, t => { let _ = t; "/fn/previews/address" }, json!({ "run": t.run, "port": 8080 })),
        row!(POST "/fn/network/policy" Member, t => { let _ = t; "/fn/network/policy" }, json!({ "project": t.project })),
        row!(POST "/fn/network/update" Member, t => { let _ = t; "/fn/network/update" }, json!({ "project": t.project, "request": { "allow": [] } })),
        row!(POST "/fn/proposals/propose" Member, t => { let _ = t; "/fn/proposals/propose" }, json!({ "project": t.project, "request": { "path": "n.txt", "text": "n" } })),
        row!(POST "/fn/permissions/list" Member, t => { let _ = t; "/fn/permissions/list" }, json!({ "project": t.project })),
        row!(POST "/fn/permissions/add" Member, t => { let _ = t; "/fn/permissions/add" }, json!({ "project": t.project, "request": { "effect": "ask", "tool": "edit_file" } })),
        row!(POST "/fn/permissions/revoke" Member, t => { let _ = t; "/fn/permissions/revoke" }, json!({ "project": t.project, "id": t.rule })),
        row!(POST "/fn/permissions/try" Member, t => { let _ = t; "/fn/permissions/try" }, json!({ "project": t.project, "request": {} })),
        row!(POST "/fn/terminals/list" Member, t => { let _ = t; "/fn/terminals/list" }, json!({ "project": t.project })),
        row!(POST "/fn/terminals/open" Member, t => { let _ = t; "/fn/terminals/open" }, json!({ "project": t.project, "request": { "cols": 80, "rows": 24 } })),
        row!(POST "/fn/terminals/rename" Member, t => { let _ = t; "/fn/terminals/rename" }, json!({ "id": t.terminal, "title": "T" })),
        row!(POST "/fn/terminals/close" Member, t => { let _ = t; "/fn/terminals/close" }, json!({ "id": t.terminal })),
        row!(POST "/fn/models/list" SignedIn, t => { let _ = t; "/fn/models/list" }, json!({})),
        row!(POST "/fn/models/own_keys" SignedIn, t => { let _ = t; "/fn/models/own_keys" }, json!({})),
        row!(POST "/fn/models/set_own_key" SignedIn, t => { let _ = t; "/fn/models/set_own_key" }, json!({ "provider": t.provider, "request": { "key": "sk-of-a-person" } })),
        row!(POST "/fn/models/remove_own_key" SignedIn, t => { let _ = t; "/fn/models/remove_own_key" }, json!({ "provider": t.provider })),
        row!(POST "/fn/admin/models" Admin, t => { let _ = t; "/fn/admin/models" }, json!({})),
        row!(POST "/fn/admin/set_model_choices" Admin, t => { let _ = t; "/fn/admin/set_model_choices" }, json!({ "request": {} })),
        row!(POST "/fn/admin/create_model" Admin, t => { let _ = t; "/fn/admin/create_model" }, json!({ "request": { "provider_id": t.provider, "name": format!("another {}", t.model), "settings": { "remote_name": "m" } } })),
        row!(POST "/fn/admin/update_model" Admin, t => { let _ = t; "/fn/admin/update_model" }, json!({ "id": t.model, "request": { "revision": 1, "active": false } })),
        row!(POST "/fn/admin/remove_model" Admin, t => { let _ = t; "/fn/admin/remove_model" }, json!({ "id": t.model })),
        row!(POST "/fn/admin/model_versions" Admin, t => { let _ = t; "/fn/admin/model_versions" }, json!({ "id": t.model })),
        row!(POST "/fn/admin/mcp_servers" Admin, t => { let _ = t; "/fn/admin/mcp_servers" }, json!({})),
        row!(POST "/fn/admin/create_mcp_server" Admin, t => { let _ = t; "/fn/admin/create_mcp_server" }, json!({ "request": { "name": new_name(&t.mcp_server), "transport": "stdio", "target": "true" } })),
        row!(POST "/fn/admin/update_mcp_server" Admin, t => { let _ = t; "/fn/admin/update_mcp_server" }, json!({ "id": t.mcp_server, "request": { "revision": 1, "active": false } })),
        row!(POST "/fn/admin/remove_mcp_server" Admin, t => { let _ = t; "/fn/admin/remove_mcp_server" }, json!({ "id": t.mcp_server })),
        row!(POST "/fn/admin/test_mcp_server" Admin, t => { let _ = t; "/fn/admin/test_mcp_server" }, json!({ "id": t.mcp_server })),
        row!(POST "/fn/admin/create_model_provider" Admin, t => { let _ = t; "/fn/admin/create_model_provider" }, json!({ "request": { "name": "P", "kind": "ollama", "base_url": "http://127.0.0.1:9" } })),
        row!(POST "/fn/admin/update_model_provider" Admin, t => { let _ = t; "/fn/admin/update_model_provider" }, json!({ "id": t.provider, "request": { "revision": 1, "active": false } })),
        row!(POST "/fn/admin/remove_model_provider" Admin, t => { let _ = t; "/fn/admin/remove_model_provider" }, json!({ "id": t.provider })),
        row!(POST "/fn/admin/test_model_provider" Admin, t => { let _ = t; "/fn/admin/test_model_provider" }, json!({ "id": t.provider })),
        row!(POST "/fn/context/preview" Member, t => { let _ = t; "/fn/context/preview" }, json!({ "project": t.project, "request": { "turn": { "prompt": "Hi" } } })),
        row!(POST "/fn/context/compactions" Member, t => { let _ = t; "/fn/context/compactions" }, json!({ "conversation": t.conversation })),
        row!(POST "/fn/context/set_compaction" Member, t => { let _ = t; "/fn/context/set_compaction" }, json!({ "conversation": t.summed, "seq": t.summary, "request": { "undone": true } })),
        row!(POST "/fn/chat/conversations" Member, t => { let _ = t; "/fn/chat/conversations" }, json!({ "project": t.project, "query": { "search": "a" } })),
        row!(POST "/fn/chat/create" Member, t => { let _ = t; "/fn/chat/create" }, json!({ "project": t.project, "request": {} })),
        row!(POST "/fn/chat/delete" Member, t => { let _ = t; "/fn/chat/delete" }, json!({ "id": t.conversation })),
        row!(POST "/fn/chat/view" Member, t => { let _ = t; "/fn/chat/view" }, json!({ "id": t.conversation, "window": {} })),
        row!(POST "/fn/chat/rename" Member, t => { let _ = t; "/fn/chat/rename" }, json!({ "id": t.conversation, "request": { "title": "T" } })),
        row!(POST "/fn/chat/removed" Member, t => { let _ = t; "/fn/chat/removed" }, json!({ "project": t.project })),
        row!(POST "/fn/chat/restore" Member, t => { let _ = t; "/fn/chat/restore" }, json!({ "id": t.conversation })),
        row!(POST "/fn/chat/fork" Member, t => { let _ = t; "/fn/chat/fork" }, json!({ "id": t.rewound, "request": { "seq": 1 } })),
        row!(POST "/fn/chat/preview_rewind" Member, t => { let _ = t; "/fn/chat/preview_rewind" }, json!({ "id": t.rewound, "turn": t.rewound_turn })),
        row!(POST "/fn/chat/rewind" Member, t => { let _ = t; "/fn/chat/rewind" }, json!({ "id": t.rewound, "request": { "turn_id": t.rewound_turn, "chat": true } })),
        row!(POST "/fn/chat/undo_rewind" Member, t => { let _ = t; "/fn/chat/undo_rewind" }, json!({ "id": t.rewind, "request": {} })),
        row!(POST "/fn/chat/enqueue" Member, t => { let _ = t; "/fn/chat/enqueue" }, json!({ "conversation": t.conversation, "request": { "prompt": "Hi" } })),
        row!(POST "/fn/chat/update_queued" Member, t => { let _ = t; "/fn/chat/update_queued" }, json!({ "id": t.prompt, "request": { "prompt": "Ho" } })),
        row!(POST "/fn/chat/remove_queued" Member, t => { let _ = t; "/fn/chat/remove_queued" }, json!({ "id": t.prompt })),
        row!(POST "/fn/chat/send_queued" Member, t => { let _ = t; "/fn/chat/send_queued" }, json!({ "id": t.prompt })),
        row!(POST "/fn/chat/start_turn" Member, t => { let _ = t; "/fn/chat/start_turn" }, json!({ "conversation": t.conversation, "request": { "prompt": "Hi" } })),
        row!(POST "/fn/chat/stop_turn" Member, t => { let _ = t; "/fn/chat/stop_turn" }, json!({ "id": t.turn })),
        row!(POST "/fn/chat/decide_approval" Member, t => { let _ = t; "/fn/chat/decide_approval" }, json!({ "turn": t.turn, "call_id": "call-1", "request": { "decision": "approve" } })),
        row!(POST "/fn/search/replace" Member, t => { let _ = t; "/fn/search/replace" }, json!({ "project": t.project, "request": { "q": "a", "replacement": "b" } })),
        row!(POST "/fn/search/outline" Member, t => { let _ = t; "/fn/search/outline" }, json!({ "project": t.project, "of": { "path": "a.txt" } })),
        row!(POST "/fn/changes/get" Member, t => { let _ = t; "/fn/changes/get" }, json!({ "id": t.change_set })),
        row!(POST "/fn/changes/of_turn" Member, t => { let _ = t; "/fn/changes/of_turn" }, json!({ "turn": t.turn })),
        row!(POST "/fn/changes/open" Member, t => { let _ = t; "/fn/changes/open" }, json!({ "project": t.project })),
        row!(POST "/fn/changes/sides" Member, t => { let _ = t; "/fn/changes/sides" }, json!({ "id": t.change_set, "path": "p.txt" })),
        row!(POST "/fn/changes/comment" Member, t => { let _ = t; "/fn/changes/comment" }, json!({ "id": t.change_set, "request": { "hunk_id": t.hunk, "text": "Why?" } })),
        row!(POST "/fn/changes/remove_comment" Member, t => { let _ = t; "/fn/changes/remove_comment" }, json!({ "id": t.comment })),
        row!(POST "/fn/changes/send_comments" Member, t => { let _ = t; "/fn/changes/send_comments" }, json!({ "id": t.change_set })),
        row!(POST "/fn/changes/decide" Member, t => { let _ = t; "/fn/changes/decide" }, json!({ "id": t.change_set, "request": { "accept": [t.hunk] } })),
        row!(POST "/fn/checkpoints/list" Member, t => { let _ = t; "/fn/checkpoints/list" }, json!({ "project": t.project })),
        row!(POST "/fn/checkpoints/create" Member, t => { let _ = t; "/fn/checkpoints/create" }, json!({ "project": t.project, "request": { "name": "Kept" } })),
        row!(POST "/fn/checkpoints/rename" Member, t => { let _ = t; "/fn/checkpoints/rename" }, json!({ "project": t.project, "id": t.checkpoint, "request": { "name": "Kept" } })),
        row!(POST "/fn/checkpoints/delete" Member, t => { let _ = t; "/fn/checkpoints/delete" }, json!({ "project": t.project, "id": t.checkpoint })),
        row!(POST "/fn/checkpoints/diff" Member, t => { let _ = t; "/fn/checkpoints/diff" }, json!({ "project": t.project, "id": t.checkpoint })),
        row!(POST "/fn/checkpoints/restore" Member, t => { let _ = t; "/fn/checkpoints/restore" }, json!({ "project": t.project, "id": t.checkpoint, "request": { "expected_revision": 1 } })),
        row!(POST "/fn/checkpoints/fork" Member, t => { let _ = t; "/fn/checkpoints/fork" }, json!({ "project": t.project, "request": { "name": "Fork" } })),
        row!(POST "/fn/auth/second_step" Public, t => { let _ = t; "/fn/auth/second_step" }),
        row!(POST "/fn/auth/step_ways" Public, t => { let _ = t; "/fn/auth/step_ways" }, json!({})),
        row!(POST "/fn/auth/begin_passkey" Public, t => { let _ = t; "/fn/auth/begin_passkey" }, json!({ "step": false })),
        row!(POST "/fn/auth/passkey" Public, t => { let _ = t; "/fn/auth/passkey" }),
        row!(POST "/fn/identities/providers" Public, t => { let _ = t; "/fn/identities/providers" }, json!({})),
        row!(POST "/fn/identities/mine" SignedIn, t => { let _ = t; "/fn/identities/mine" }, json!({})),
        row!(POST "/fn/identities/begin_link" SignedIn, t => { let _ = t; "/fn/identities/begin_link" }, json!({ "request": { "provider": "oidc", "password": support::PASSWORD } })),
        row!(POST "/fn/identities/unlink" SignedIn, t => { let _ = t; "/fn/identities/unlink" }, json!({ "id": t.identity })),
        row!(POST "/fn/second_factor/status" SignedIn, t => { let _ = t; "/fn/second_factor/status" }, json!({})),
        row!(POST "/fn/second_factor/begin_totp" SignedIn, t => { let _ = t; "/fn/second_factor/begin_totp" }, json!({})),
        row!(POST "/fn/second_factor/confirm_totp" SignedIn, t => { let _ = t; "/fn/second_factor/confirm_totp" }, json!({ "request": { "password": support::PASSWORD, "code": "" } })),
        row!(POST "/fn/second_factor/disable_totp" SignedIn, t => { let _ = t; "/fn/second_factor/disable_totp" }, json!({ "request": { "password": support::PASSWORD, "code": "" } })),
        row!(POST "/fn/second_factor/make_recovery_codes" SignedIn, t => { let _ = t; "/fn/second_factor/make_recovery_codes" }, json!({ "request": { "password": support::PASSWORD } })),
        row!(POST "/fn/passkeys/list" SignedIn, t => { let _ = t; "/fn/passkeys/list" }, json!({})),
        row!(POST "/fn/passkeys/begin_add" SignedIn, t => { let _ = t; "/fn/passkeys/begin_add" }, json!({ "request": { "password": support::PASSWORD } })),
        row!(POST "/fn/passkeys/add" SignedIn, t => { let _ = t; "/fn/passkeys/add" }, json!({ "request": { "ceremony": "", "name": "Phone", "credential": null } })),
        row!(POST "/fn/passkeys/rename" SignedIn, t => { let _ = t; "/fn/passkeys/rename" }, json!({ "id": t.passkey, "request": { "name": "Phone" } })),
        row!(POST "/fn/passkeys/remove" SignedIn, t => { let _ = t; "/fn/passkeys/remove" }, json!({ "id": t.passkey, "request": { "password": support::PASSWORD } })),
        row!(POST "/fn/tokens/list" SignedIn, t => { let _ = t; "/fn/tokens/list" }, json!({})),
        row!(POST "/fn/tokens/create" SignedIn, t => { let _ = t; "/fn/tokens/create" }, json!({ "request": { "name": "T", "scopes": ["read"] } })),
        row!(POST "/fn/tokens/revoke" SignedIn, t => { let _ = t; "/fn/tokens/revoke" }, json!({ "id": t.token })),
        row!(POST "/fn/admin/audit" Admin, t => { let _ = t; "/fn/admin/audit" }, json!({ "query": {} })),
        row!(POST "/fn/admin/verify_audit" Admin, t => { let _ = t; "/fn/admin/verify_audit" }, json!({})),
        row!(POST "/fn/admin/users" Admin, t => { let _ = t; "/fn/admin/users" }, json!({ "query": {} })),
        row!(POST "/fn/admin/user" Admin, t => { let _ = t; "/fn/admin/user" }, json!({ "id": t.user })),
        row!(POST "/fn/admin/sign_out_user" Admin, t => { let _ = t; "/fn/admin/sign_out_user" }, json!({ "id": t.nobodys })),
        row!(POST "/fn/admin/reset_second_factor" Admin, t => { let _ = t; "/fn/admin/reset_second_factor" }, json!({ "id": t.nobodys })),
        row!(POST "/fn/admin/projects" Admin, t => { let _ = t; "/fn/admin/projects" }, json!({ "query": {} })),
        row!(POST "/fn/admin/delete_project" Admin, t => { let _ = t; "/fn/admin/delete_project" }, json!({ "id": t.project })),
        row!(POST "/fn/admin/restore_project" Admin, t => { let _ = t; "/fn/admin/restore_project" }, json!({ "id": t.project })),
        row!(POST "/fn/admin/give_project" Admin, t => { let _ = t; "/fn/admin/give_project" }, json!({ "id": t.project, "request": { "to": t.member } })),
        row!(POST "/fn/admin/open_project" Admin, t => { let _ = t; "/fn/admin/open_project" }, json!({ "id": t.project, "request": { "reason": "Somebody asked for help." } })),
        row!(POST "/fn/admin/close_project" Admin, t => { let _ = t; "/fn/admin/close_project" }, json!({ "id": t.project })),
        row!(POST "/fn/projects/admin_access" Member, t => { let _ = t; "/fn/projects/admin_access" }, json!({ "id": t.project })),
        row!(POST "/fn/admin/requeue_dead" Admin, t => { let _ = t; "/fn/admin/requeue_dead" }, json!({})),
        row!(POST "/fn/admin/overview" Admin, t => { let _ = t; "/fn/admin/overview" }, json!({})),
        row!(POST "/fn/admin/pulse" Admin, t => { let _ = t; "/fn/admin/pulse" }, json!({})),
        row!(POST "/fn/admin/settings_changes" Admin, t => { let _ = t; "/fn/admin/settings_changes" }, json!({})),
        row!(POST "/fn/admin/rates" Admin, t => { let _ = t; "/fn/admin/rates" }, json!({})),
        row!(POST "/fn/admin/update_rates" Admin, t => { let _ = t; "/fn/admin/update_rates" }, json!({ "request": {} })),
        row!(POST "/fn/admin/update_user" Admin, t => { let _ = t; "/fn/admin/update_user" }, json!({ "id": t.user, "request": {} })),
        row!(POST "/fn/admin/jobs" Admin, t => { let _ = t; "/fn/admin/jobs" }, json!({ "query": {} })),
        row!(POST "/fn/admin/cancel_job" Admin, t => { let _ = t; "/fn/admin/cancel_job" }, json!({ "id": t.job })),
        row!(POST "/fn/admin/requeue_job" Admin, t => { let _ = t; "/fn/admin/requeue_job" }, json!({ "id": t.job })),
        row!(POST "/fn/admin/health" Admin, t => { let _ = t; "/fn/admin/health" }, json!({})),
        row!(POST "/fn/settings/runs" Admin, t => { let _ = t; "/fn/settings/runs" }, json!({})),
        row!(POST "/fn/settings/update_runs" Admin, t => { let _ = t; "/fn/settings/update_runs" }, json!({ "request": {} })),
        row!(POST "/fn/auth/logout" Public, t => { let _ = t; "/fn/auth/logout" }),
    ]
}

/// A model that nobody answers for: turns can be queued, and no worker takes them.
async fn world() -> World {
    let settings = vec![("AI_ALLOWED_HOSTS", "127.0.0.1:9")];
    let options = Options { model: Some("http://127.0.0.1:9/v1".to_owned()), settings, ..Options::default() };
    let app = TestApp::with(options).await;
    let (admin, owner, stranger, disabled) = (app.user("ada").await, app.user("ben").await, app.user("cleo").await, app.user("dora").await);
    let id = disabled.user.as_ref().unwrap().id;
    admin.patch(&format!("/api/admin/users/{id}"), &json!({ "state": "disabled" })).await.expect(200);
    let member = app.user("eve").await;
    let (viewer, reviewer, editor) = (app.user("vera").await, app.user("rob").await, app.user("ed").await);
    let expired = app.user("old").await;
    end_sessions(&app, expired.user.as_ref().unwrap().id).await;
    let (of_owner, of_admin) = (Programs::of(&owner).await, Programs::of(&admin).await);
    let outdated = outdated_program(&app, &owner).await;
    World { app, admin, owner, stranger, disabled, expired, outdated, viewer, reviewer, editor, member, of_owner, of_admin }
}

/// With a token of all scopes that was good until a moment ago.
async fn outdated_program(app: &TestApp, owner: &Caller) -> Caller {
    let secret = "cxd_good-until-a-moment-ago";
    let row = store::tokens::TokenRow {
        id: wire::TokenId(uuid::Uuid::now_v7()),
        user_id: owner.user.as_ref().unwrap().id,
        name: "outdated".to_owned(),
        prefix: "cxd_good-u".to_owned(),
        scopes: store::Doc(Scope::ALL.to_vec()),
        projects: None,
        created_at: wire::Micros(0),
        expires_at: Some(app.services.clock.now()),
        last_used_at: None,
        last_used_from: None,
    };
    let mut tx = app.services.db.begin().await.unwrap();
    store::tokens::insert(&mut tx, &row, &hex::encode(Sha256::digest(secret))).await.unwrap();
    let _committed = tx.commit().await.unwrap();
    owner.with_bearer(secret)
}

async fn things(world: &World) -> Things {
    let owner = &world.owner;
    let project = fixture::project(owner, "P").await;
    fixture::file(owner, &project, "a.txt", "a").await;
    let checkpoint = owner.post(&format!("/api/projects/{project}/checkpoints"), &json!({ "name": "Begun" })).await.expect(201).id();
    let conversation = owner.post(&format!("/api/projects/{project}/conversations"), &json!({})).await.expect(201).id();
    let other = owner.post(&format!("/api/projects/{project}/conversations"), &json!({})).await.expect(201).id();
    let started = owner.post(&format!("/api/conversations/{other}/turns"), &json!({ "prompt": "Hi" })).await.expect(202);
    let turn = started.field("turn_id").as_str().unwrap().to_owned();
    let queued = owner.post(&format!("/api/conversations/{other}/queue"), &json!({ "prompt": "Then this" })).await.expect(202);
    let prompt = queued.field("prompt")["id"].as_str().unwrap().to_owned();
    let rewound = owner.post(&format!("/api/projects/{project}/conversations"), &json!({})).await.expect(201).id();
    let undone = owner.post(&format!("/api/conversations/{rewound}/turns"), &json!({ "prompt": "Hi" })).await.expect(202);
    let rewound_turn = undone.field("turn_id").as_str().unwrap().to_owned();
    owner.post(&format!("/api/turns/{rewound_turn}/stop"), &json!({})).await.expect(200);
    let request = json!({ "turn_id": rewound_turn, "chat": true });
    let done = owner.post(&format!("/api/conversations/{rewound}/rewind"), &request).await.expect(200);
    let rewind = done.field("rewind")["id"].as_str().unwrap().to_owned();
    let proposed = propose(world, turn.parse().unwrap()).await;
    let (change_set, hunk) = (proposed.change_set_id.to_string(), proposed.files[0].hunks[0].id.to_string());
    let comment =
        owner.post(&format!("/api/change-sets/{change_set}/comments"), &json!({ "hunk_id": hunk, "text": "Why?" })).await.expect(201).id();
    let image = owner.request(Method::POST, &format!("/api/projects/{project}/images?name=a.gif")).body("GIF89a and so on");
    let image = owner.send(image).await.expect(201).field("checksum").as_str().unwrap().to_owned();
    let summary = sum_up(world, turn.parse().unwrap()).await;
    let run = fixture::start_run(owner, &project, "true").await.id.to_string();
    let size = json!({ "cols": 80, "rows": 24 });
    let terminal = owner.post(&format!("/api/projects/{project}/terminals"), &size).await.expect(202).id();
    let upload = json!({ "path": "big.bin", "size": 3, "base": "new" });
    let upload = owner.post(&format!("/api/projects/{project}/uploads"), &upload).await.expect(201).id();
    let export = owner.post(&format!("/api/projects/{project}/exports"), &json!({})).await.expect(202).id();
    let import = owner.post("/api/imports", &json!({ "name": "Imported" })).await.expect(201).id();
    let unpacking = owner.upload("a.zip", archives::zip(&[("a", b"a")])).await.expect(202);
    let job = unpacking.field("job_id").as_str().unwrap().to_owned();
    let user = world.stranger.user.as_ref().unwrap().id.to_string();
    let nobodys = world.disabled.user.as_ref().unwrap().id.to_string();
    fixture::member(&world.app, &project, &world.member, wire::projects::ProjectRole::Viewer).await;
    let roles = [(&world.viewer, ProjectRole::Viewer), (&world.reviewer, ProjectRole::Reviewer), (&world.editor, ProjectRole::Editor)];
    for (caller, role) in roles {
        fixture::member(&world.app, &project, caller, role).await;
    }
    let member = world.member.user.as_ref().unwrap().id.to_string();
    let waiting = json!({ "who": "waiting@example.org", "role": "viewer" });
    let waiting = owner.post(&format!("/api/projects/{project}/members"), &waiting).await.expect(202);
    let invitation = waiting.field("invitation")["id"].as_str().unwrap().to_owned();
    let rule = json!({ "effect": "allow", "tool": "run_tests" });
    let rule = owner.post(&format!("/api/projects/{project}/permissions"), &rule).await.expect(201).id();
    let provider = json!({ "name": "P", "kind": "openai_chat", "base_url": "http://127.0.0.1:9/v1", "own_keys": true });
    let provider = world.admin.post("/api/admin/model-providers", &provider).await.expect(201).id();
    let mcp_server = json!({ "name": new_name(&provider), "transport": "stdio", "target": "true" });
    let mcp_server = world.admin.post("/api/admin/mcp-servers", &mcp_server).await.expect(201).id();
    let model = json!({ "provider_id": provider, "name": format!("m-{provider}"), "settings": { "remote_name": "m" } });
    let model = world.admin.post("/api/admin/models", &model).await.expect(201).id();
    let token = another_token(owner).await;
    let session = another_session(world).await;
    let passkey = passkey_of(world, owner).await;
    let identity = identity_of(world, owner).await;
    let invitation_to_all = world.admin.post("/api/admin/invitations", &json!({})).await.expect(201);
    let link = invitation_to_all.id();
    Things {
        session,
        passkey,
        identity,
        link,
        token,
        image,
        summed: other,
        summary,
        project,
        checkpoint,
        conversation,
        turn,
        rewound,
        rewound_turn,
        rewind,
        prompt,
        change_set,
        hunk,
        comment,
        run,
        terminal,
        upload,
        import,
        export,
        job,
        user,
        nobodys,
        member,
        invitation,
        rule,
        provider,
        model,
        mcp_server,
    }
}

/// One that no device has: a row is enough to be renamed and removed.
async fn passkey_of(world: &World, owner: &Caller) -> String {
    let id = uuid::Uuid::now_v7();
    let row = store::passkeys::PasskeyRow {
        id: id.into(),
        user_id: owner.user.as_ref().unwrap().id,
        name: "Laptop".to_owned(),
        credential_id: id.to_string(),
        credential: "{}".to_owned(),
        created_at: wire::Micros(0),
        last_used_at: None,
    };
    let mut tx = world.app.services.db.begin().await.unwrap();
    store::passkeys::insert(&mut tx, &row).await.unwrap();
    let _committed = tx.commit().await.unwrap();
    id.to_string()
}

/// Who the owner is at a provider.
async fn identity_of(world: &World, owner: &Caller) -> String {
    let id = uuid::Uuid::now_v7();
    let row = store::identities::IdentityRow {
        id: id.into(),
        user_id: owner.user.as_ref().unwrap().id,
        provider: store::Word(wire::identities::IdentityProvider::Oidc),
        issuer: "https://id.example.org".to_owned(),
        subject: id.to_string(),
        name: "Owner".to_owned(),
        email: None,
        created_at: wire::Micros(0),
        last_used_at: None,
    };
    let mut tx = world.app.services.db.begin().await.unwrap();
    store::identities::insert(&mut tx, &row).await.unwrap();
    let _committed = tx.commit().await.unwrap();
    id.to_string()
}

/// A token that no row's caller uses, in the place of those of earlier rows.
async fn another_token(owner: &Caller) -> String {
    let request = json!({ "name": "T", "scopes": ["read"] });
    let listed: Value = owner.get("/api/users/me/tokens").await.expect(200).json();
    for old in listed["items"].as_array().unwrap().iter().filter(|token| token["name"] == "T") {
        owner.delete(&format!("/api/users/me/tokens/{}", old["id"].as_str().unwrap())).await.expect(204);
    }
    let made = owner.post("/api/users/me/tokens", &request).await.expect(201);
    made.field("token")["id"].as_str().unwrap().to_owned()
}

/// A session of the owner that no row's caller uses.
async fn another_session(world: &World) -> String {
    let services = &world.app.services;
    let now = services.clock.now();
    let id = wire::SessionId(uuid::Uuid::now_v7());
    let session = store::sessions::NewSession {
        id,
        user_id: world.owner.user.as_ref().unwrap().id,
        cookie_hash: None,
        address: None,
        user_agent: None,
        at: now,
        expires_at: now.plus_seconds(3600),
    };
    let mut tx = services.db.begin().await.unwrap();
    store::sessions::insert(&mut tx, &session).await.unwrap();
    let _committed = tx.commit().await.unwrap();
    id.to_string()
}

/// The end of an id, as a name that nothing else has.
fn new_name(id: &str) -> String {
    id.rsplit('-').next().unwrap_or(id).to_owned()
}

/// A summary as the agent would leave it.
async fn sum_up(world: &World, turn: TurnId) -> i64 {
    let user = world.owner.user.clone().unwrap();
    let ctx = domain::Ctx::for_job(&world.app.services, user, wire::JobId(uuid::Uuid::now_v7())).as_agent(turn);
    domain::context::record_compaction(&ctx, turn, "Said before.".to_owned(), 1, 900, 100).await.unwrap().seq
}

/// A change set as the agent would leave it.
async fn propose(world: &World, turn: TurnId) -> ChangeSet {
    let services = &world.app.services;
    let user = world.owner.user.clone().unwrap();
    let ctx = domain::Ctx::for_job(services, user, wire::JobId(uuid::Uuid::now_v7())).as_agent(turn);
    let stored = services.storage.local.put_bytes(b"proposed\n".to_vec()).await.unwrap();
    let file = domain::changes::ProposedFile {
        path: "p.txt".to_owned(),
        kind: wire::files::EntryKind::File,
        is_retyped: false,
        old: None,
        new: Some((stored.sha256, 0o644)),
        new_size: stored.size,
    };
    domain::changes::create(&ctx, turn, 1, vec![file]).await.unwrap().unwrap()
}

async fn try_row(caller: &Caller, row: &Row, things: &Things) -> u16 {
    let mut request = caller.request(row.method.clone(), &(row.address)(things));
    if let Some(body) = row.body {
        request = request.json(&body(things));
    } else if row.method == Method::POST {
        request = request.header("content-type", "application/x-www-form-urlencoded").body("");
    }
    if row.path.ends_with("/ws") || row.path.starts_with("/ws/") {
        let handshake = [("upgrade", "websocket"), ("sec-websocket-version", "13"), ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")];
        request = handshake.into_iter().fold(request.header("connection", "Upgrade"), |request, (name, value)| request.header(name, value));
    }
    // A stream that opens never ends by itself, so only its beginning is looked at.
    match caller.follow_with(request).await {
        Ok(_) => 200,
        Err(Reply { status, .. }) => status,
    }
}

/// The session's time is over; nobody has ended it.
async fn end_sessions(app: &TestApp, user: UserId) {
    let mut tx = app.services.db.begin().await.unwrap();
    store::sessions::end_all(&mut tx, user, wire::Micros(1)).await.unwrap();
    let _committed = tx.commit().await.unwrap();
}

/// Whoever calls these is not the same afterwards, so people do who call nothing else.
const CHANGES_THE_CALLER: &[&str] =
    &["/api/auth/logout", "/fn/auth/logout", "/api/users/me/sessions", "/fn/auth/logout_everywhere", "/fn/sessions/revoke_others"];

/// What a project's row says to each role, in words that are compared with the file.
#[derive(Default)]
struct Outcome {
    failures: Vec<String>,
    cells: usize,
    roles: BTreeMap<String, String>,
}

impl Outcome {
    fn check(&mut self, row: &Row, who: &str, status: u16, kept: bool) {
        self.cells += 1;
        if !kept || status == 500 {
            self.failures.push(format!("{} {} answered {status} to {who}; it is for {:?}", row.method, row.path, row.access));
        }
    }
}

fn is_refusal(status: u16) -> bool {
    [401, 403, 404].contains(&status)
}

/// Tries one row with everybody. The weakest come first, since whoever passes may change what the next one finds.
async fn hold_to(world: &World, row: &Row, needs: Needs) -> Outcome {
    let things = things(world).await;
    let mut outcome = Outcome::default();
    let open = row.access == Public;
    for (who, caller) in world.outsiders() {
        let status = try_row(&caller, row, &things).await;
        outcome.check(row, who, status, if open { status != 401 } else { status == 401 });
    }
    try_tokens(world, row, needs, &things, &mut outcome).await;
    // The caller's own thing, named by the path or the body: another person's is unknown.
    let is_owned = row.access == SignedIn && is_of_the_owner(row, &things);
    let stranger = try_row(&world.stranger, row, &things).await;
    let kept = match row.access {
        Public => stranger != 401,
        SignedIn if is_owned => stranger == 404,
        SignedIn => !is_refusal(stranger),
        Member => stranger == 404,
        Admin => stranger == 403,
    };
    outcome.check(row, "a stranger", stranger, kept);
    let admin = try_row(&world.admin, row, &things).await;
    // An administrator runs the installation and is no member of everybody's projects; jobs are the installation's.
    let kept = match row.access {
        Member if !row.path.starts_with("/api/jobs/") && !row.path.starts_with("/fn/jobs/") => admin == 404,
        SignedIn if is_owned => admin == 404,
        Public => admin != 401,
        _ => !is_refusal(admin),
    };
    outcome.check(row, "an administrator", admin, kept);
    try_members(world, row, is_owned, &things, &mut outcome).await;
    outcome
}

/// Whether a row about a person names something of the owner.
fn is_of_the_owner(row: &Row, things: &Things) -> bool {
    let named = [&things.token, &things.session, &things.passkey, &things.identity, &things.import];
    let address = (row.address)(things);
    let body = row.body.map(|body| body(things).to_string()).unwrap_or_default();
    named.iter().any(|id| address.contains(id.as_str()) || body.contains(id.as_str()))
}

async fn try_tokens(world: &World, row: &Row, needs: Needs, things: &Things, outcome: &mut Outcome) {
    let programs = if row.access == Admin { &world.of_admin } else { &world.of_owner };
    match needs {
        Needs::Nothing => {}
        Needs::Session => {
            let status = try_row(&programs.all, row, things).await;
            outcome.check(row, "a token, although it needs a person", status, status == 403);
        }
        Needs::Scope(scope) => {
            let status = try_row(&programs.without[&scope], row, things).await;
            outcome.check(row, "a token without the scope", status, status == 403);
        }
    }
}

async fn try_members(world: &World, row: &Row, is_owned: bool, things: &Things, outcome: &mut Outcome) {
    let mut passed = false;
    let mut said = Vec::new();
    let people = [("viewer", &world.viewer), ("reviewer", &world.reviewer), ("editor", &world.editor), ("owner", &world.owner)];
    for (role, caller) in people {
        let status = try_row(caller, row, things).await;
        // What a row leaves open counts against the caller's limit in the next one.
        for open in caller.get(&format!("/api/projects/{}/terminals", things.project)).await.listed_ids() {
            world.owner.delete(&format!("/api/terminals/{open}")).await;
        }
        // This call was never asked about.
        let unknown_call = row.path.contains("approval") && status == 404;
        // Whoever came before may have removed what the row names.
        let gone = passed && status == 404;
        let passes = !is_refusal(status) || unknown_call || gone;
        let kept = match row.access {
            Public => status != 401,
            Admin => status == 403,
            SignedIn if is_owned => (status == 404) == (role != "owner"),
            SignedIn => passes,
            Member if role == "owner" => passes,
            Member => passes || (!passed && status != 401),
        };
        outcome.check(row, role, status, kept);
        passed |= passes;
        said.push(if passes { role.to_string() } else { format!("{role}:{status}") });
    }
    if row.access == Member {
        outcome.roles.insert(format!("{} {}", row.method, row.path), said.join(" "));
    }
    if let Needs::Scope(scope) = server::http::routes::needs_of(&row.method, row.path, row.access)
        && row.access != Admin
    {
        let status = try_row(&world.of_owner.with[&scope], row, things).await;
        // Whoever gave the project away is no longer its owner.
        let gave_away = row.path.ends_with("/transfer");
        outcome.check(row, "a token with the scope", status, status != 401 && (status != 403 || gave_away));
    }
}

/// Rows that are tried at the same time, each lane in a world of its own.
const LANES: usize = 3;

#[tokio::test(flavor = "multi_thread")]
async fn every_route_keeps_its_promise() {
    let first = world().await;
    let rows: Vec<Row> = rest().into_iter().chain(functions()).collect();
    let declared: BTreeSet<_> = first.app.routes.iter().map(|r| (r.method.to_string(), r.path, format!("{:?}", r.access))).collect();
    let listed: BTreeSet<_> = rows.iter().map(|r| (r.method.to_string(), r.path, format!("{:?}", r.access))).collect();
    let unlisted: Vec<_> = declared.difference(&listed).collect();
    let gone: Vec<_> = listed.difference(&declared).collect();
    assert!(unlisted.is_empty() && gone.is_empty(), "without a row here: {unlisted:#?}; without a route: {gone:#?}");
    let mut worlds = vec![first];
    while worlds.len() < LANES {
        worlds.push(world().await);
    }
    let lanes = worlds.iter().enumerate().map(|(lane, world)| {
        let rows = rows.iter().skip(lane).step_by(LANES);
        async move {
            let mut all = Outcome::default();
            for row in rows {
                let needs = world.app.routes.iter().find(|r| r.method == row.method && r.path == row.path).unwrap().needs;
                let own = match CHANGES_THE_CALLER.contains(&row.path) {
                    true => Some(self::world().await),
                    false => None,
                };
                let outcome = hold_to(own.as_ref().unwrap_or(world), row, needs).await;
                all.cells += outcome.cells;
                all.failures.extend(outcome.failures);
                all.roles.extend(outcome.roles);
            }
            all
        }
    });
    let mut outcomes = futures::future::join_all(lanes).await;
    outcomes.push(try_streams(&worlds[0]).await);
    let cells: usize = outcomes.iter().map(|outcome| outcome.cells).sum();
    let count = format!("# {cells} cells: {} rows, {STREAMS} streams and sockets, each tried by everybody", rows.len());
    let failures: Vec<_> = outcomes.iter().flat_map(|outcome| &outcome.failures).collect();
    let roles: BTreeMap<_, _> = outcomes.iter().flat_map(|outcome| &outcome.roles).collect();
    let text: String = roles.iter().map(|(route, roles)| format!("{route}  {roles}\n")).collect();
    compare_roles(&format!("{count}\n{text}"));
    assert!(failures.is_empty(), "{failures:#?}");
}

/// Who passes in a project is written down, so that a change of it is seen by whoever reads the change.
fn compare_roles(found: &str) {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/authz_roles.txt");
    if std::env::var_os("UPDATE_AUTHZ_ROLES").is_some() {
        std::fs::write(path, found).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    let (found, written): (BTreeSet<&str>, BTreeSet<&str>) = (found.lines().collect(), written.lines().collect());
    let (new, old): (Vec<_>, Vec<_>) = (found.difference(&written).collect(), written.difference(&found).collect());
    assert!(new.is_empty() && old.is_empty(), "found: {new:#?}; written in {path}: {old:#?}. UPDATE_AUTHZ_ROLES=1 writes what was found.");
}

/// What server functions are called that tell somebody about what is theirs.
const LOOKS: &[&str] = &["list", "mine", "get", "own_keys", "choices", "status"];

/// What a stranger may list holds no id of other people's things.
#[tokio::test(flavor = "multi_thread")]
async fn lists_never_hold_foreign_ids() {
    let world = world().await;
    let t = things(&world).await;
    let ids = [
        &t.project,
        &t.conversation,
        &t.turn,
        &t.run,
        &t.terminal,
        &t.import,
        &t.export,
        &t.job,
        &t.change_set,
        &t.upload,
        &t.token,
        &t.invitation,
        &t.checkpoint,
        &t.session,
        &t.passkey,
        &t.identity,
        &t.prompt,
        &t.rewind,
        &t.comment,
        &t.rule,
    ];
    let rest = rest().into_iter().filter(|row| row.method == Method::GET && !row.path.contains('{') && !row.path.starts_with("/ws"));
    let functions = functions().into_iter().filter(|row| row.path.rsplit('/').next().is_some_and(|name| LOOKS.contains(&name)));
    let mut looked = 0;
    for row in rest.chain(functions).filter(|row| row.access == SignedIn) {
        let request = world.stranger.request(row.method.clone(), row.path);
        let request = if let Some(body) = row.body { request.json(&body(&t)) } else { request };
        let reply = world.stranger.send(request).await;
        assert_eq!(reply.status, 200, "{} {reply:?}", row.path);
        let text = String::from_utf8_lossy(&reply.body).into_owned();
        let found: Vec<_> = ids.iter().filter(|id| text.contains(id.as_str())).collect();
        assert!(found.is_empty(), "{} shows a stranger {found:?}", row.path);
        looked += 1;
    }
    assert!(looked >= 28, "{looked}");
    // A program sees only the projects that its token names.
    let other = fixture::project(&world.owner, "Other").await;
    let request = json!({ "name": "narrow", "scopes": ["read", "write"], "projects": [t.project] });
    let made = world.owner.post("/api/users/me/tokens", &request).await.expect(201);
    let narrow = world.owner.with_bearer(made.field("secret").as_str().unwrap());
    assert_eq!(narrow.get("/api/projects").await.expect(200).listed_ids(), std::slice::from_ref(&t.project));
    narrow.get(&format!("/api/projects/{other}")).await.expect(404);
    narrow.get(&format!("/api/projects/{other}/tree")).await.expect(404);
    narrow.get(&format!("/api/projects/{}/tree", t.project)).await.expect(200);
    narrow.post("/api/projects", &json!({ "name": "New" })).await.expect(403);
    narrow.post(&format!("/api/projects/{}/fork", t.project), &json!({ "name": "New" })).await.expect(403);
    narrow.upload("a.zip", archives::zip(&[("a", b"a")])).await.expect(403);
    narrow.post("/api/imports", &json!({ "name": "New" })).await.expect(403);
    narrow.get(&format!("/api/imports/{}", t.import)).await.expect(404);
    world.owner.get(&format!("/api/jobs/{}", t.job)).await.expect(200);
    narrow.get(&format!("/api/jobs/{}", t.job)).await.expect(404);
    narrow.get("/api/usage").await.expect(403);
    assert!(narrow.follow("/api/live/user:me").await.is_err_and(|reply| reply.status == 403));
}

/// Who reads a stream, beside the owner of what it is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Readers {
    Members,
    /// The owner, and administrators.
    Administrators,
    Nobody,
    /// Anybody who is signed in.
    Everybody,
    /// Administrators alone; others are told so.
    OnlyAdministrators,
}

const STREAMS: usize = 11;

/// Every stream and socket, each tried by everybody there is.
async fn try_streams(world: &World) -> Outcome {
    let t = things(world).await;
    let own = world.owner.user.as_ref().unwrap().id;
    let live = |stream: String| format!("/api/live/{stream}");
    let streams: [(String, Readers, Scope); STREAMS] = [
        (live(format!("project:{}", t.project)), Readers::Members, Scope::Read),
        (live(format!("run:{}", t.run)), Readers::Members, Scope::Read),
        (live(format!("turn:{}", t.turn)), Readers::Members, Scope::Read),
        (live(format!("conversation:{}", t.conversation)), Readers::Members, Scope::Read),
        (format!("/api/live?s=project:{}@0&s=run:{}@0", t.project, t.run), Readers::Members, Scope::Read),
        (live(format!("job:{}", t.job)), Readers::Administrators, Scope::Read),
        (live(format!("user:{own}")), Readers::Nobody, Scope::Read),
        (live("user:me".to_owned()), Readers::Everybody, Scope::Read),
        (live("admin".to_owned()), Readers::OnlyAdministrators, Scope::Read),
        (format!("/api/terminals/{}/ws", t.terminal), Readers::Members, Scope::Run),
        ("/ws/generate".to_owned(), Readers::Everybody, Scope::Agent),
    ];
    let mut outcome = Outcome::default();
    for (address, readers, scope) in &streams {
        let outsiders = world.outsiders().into_iter().map(|(who, caller)| (who, caller, 401));
        let member = if *readers == Readers::Members { 200 } else { refusal_of(*readers) };
        let owner = if *readers == Readers::OnlyAdministrators { 403 } else { 200 };
        let admin = if [Readers::Members, Readers::Nobody].contains(readers) { 404 } else { 200 };
        let known = [
            ("a stranger", &world.stranger, refusal_of(*readers)),
            ("viewer", &world.viewer, member),
            ("reviewer", &world.reviewer, member),
            ("editor", &world.editor, member),
            ("owner", &world.owner, owner),
            ("an administrator", &world.admin, admin),
            ("a token with the scope", &world.of_owner.with[scope], owner),
            ("a token without the scope", &world.of_owner.without[scope], 403),
        ];
        for (who, caller, expected) in outsiders.chain(known.map(|(who, caller, expected)| (who, caller.clone(), expected))) {
            let found = try_address(&caller, address).await;
            outcome.cells += 1;
            if found != expected {
                outcome.failures.push(format!("{address} answered {found} to {who} instead of {expected}"));
            }
        }
    }
    outcome
}

/// What somebody is told who is signed in and no reader.
fn refusal_of(readers: Readers) -> u16 {
    match readers {
        Readers::Everybody => 200,
        Readers::OnlyAdministrators => 403,
        _ => 404,
    }
}

/// The refusal's status; 200 where the stream or the socket was opened to the caller.
async fn try_address(caller: &Caller, address: &str) -> u16 {
    if !address.starts_with("/ws/") && !address.ends_with("/ws") {
        return caller.follow(address).await.map_or_else(|reply| reply.status, |_| 200);
    }
    match tokio::time::timeout(support::PATIENCE, connect_async(caller.socket_request(address, &[]))).await.expect("no answer in time") {
        Ok(_) => 200,
        // Whoever is told that no worker holds the terminal here has been let in.
        Err(tungstenite::Error::Http(response)) if response.status() == 503 => 200,
        Err(tungstenite::Error::Http(response)) => response.status().as_u16(),
        Err(other) => panic!("{address}: {other}"),
    }
}
