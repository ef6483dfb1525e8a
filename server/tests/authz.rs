//! Who may come where. Every REST route, server function and stream has a row here; one without a row fails the build.

mod support;

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};
use server::http::routes::Access::{self, Admin, Member, Public, SignedIn};
use support::{Caller, Options, Reply, TestApp, archives, fixture};
use wire::{TurnId, changes::ChangeSet};

/// Everything that a row can name.
struct World {
    app: TestApp,
    admin: Caller,
    owner: Caller,
    stranger: Caller,
    disabled: Caller,
    /// An active account; a member where a row needs one.
    member: Caller,
}

/// What one request of one row is about; made anew for each row, since some rows delete.
struct Things {
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
    export: String,
    job: String,
    user: String,
    member: String,
    invitation: String,
    provider: String,
    model: String,
    rule: String,
    mcp_server: String,
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
        row!(GET "/api/users/me" SignedIn, t => { let _ = t; "/api/users/me" }),
        row!(PATCH "/api/users/me" SignedIn, t => { let _ = t; "/api/users/me" }, json!({})),
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
        row!(GET "/api/projects/{id}" Member, t => format!("/api/projects/{}", t.project)),
        row!(PATCH "/api/projects/{id}" Member, t => format!("/api/projects/{}", t.project), json!({ "name": "Y" })),
        row!(DELETE "/api/projects/{id}" Member, t => format!("/api/projects/{}", t.project)),
        row!(GET "/api/projects/{id}/tree" Member, t => format!("/api/projects/{}/tree", t.project)),
        row!(GET "/api/projects/{id}/history" Member, t => format!("/api/projects/{}/history?path=a.txt", t.project)),
        row!(GET "/api/projects/{id}/files/{*path}" Member, t => format!("/api/projects/{}/files/a.txt", t.project)),
        row!(PUT "/api/projects/{id}/files/{*path}" Member, t => format!("/api/projects/{}/files/b.txt", t.project)),
        row!(DELETE "/api/projects/{id}/files/{*path}" Member, t => format!("/api/projects/{}/files/a.txt", t.project)),
        row!(POST "/api/projects/{id}/files:move" Member, t => format!("/api/projects/{}/files:move", t.project), json!({ "from": "a.txt", "to": "c.txt" })),
        row!(POST "/api/projects/{id}/files:copy" Member, t => format!("/api/projects/{}/files:copy", t.project), json!({ "from": "a.txt", "to": "d.txt" })),
        row!(GET "/api/projects/{id}/archive" Member, t => format!("/api/projects/{}/archive", t.project)),
        row!(GET "/api/projects/{id}/trash" Member, t => format!("/api/projects/{}/trash", t.project)),
        row!(POST "/api/projects/{id}/files:restore" Member, t => format!("/api/projects/{}/files:restore", t.project), json!({ "path": "a.txt", "version": 1 })),
        row!(GET "/api/projects/{id}/checkpoints" Member, t => format!("/api/projects/{}/checkpoints", t.project)),
        row!(POST "/api/projects/{id}/checkpoints" Member, t => format!("/api/projects/{}/checkpoints", t.project), json!({ "name": "Before it broke" })),
        row!(PATCH "/api/projects/{id}/checkpoints/{cid}" Member, t => format!("/api/projects/{}/checkpoints/{}", t.project, t.checkpoint), json!({ "name": "Kept" })),
        row!(DELETE "/api/projects/{id}/checkpoints/{cid}" Member, t => format!("/api/projects/{}/checkpoints/{}", t.project, t.checkpoint)),
        row!(GET "/api/projects/{id}/checkpoints/{cid}/diff" Member, t => format!("/api/projects/{}/checkpoints/{}/diff", t.project, t.checkpoint)),
        row!(POST "/api/projects/{id}/checkpoints/{cid}/restore" Member, t => format!("/api/projects/{}/checkpoints/{}/restore", t.project, t.checkpoint), json!({ "expected_revision": 1 })),
        row!(POST "/api/projects/{id}/fork" Member, t => format!("/api/projects/{}/fork", t.project), json!({ "name": "Fork" })),
        row!(POST "/api/projects/{id}/files:batch" Member, t => format!("/api/projects/{}/files:batch", t.project)),
        row!(POST "/api/projects/{id}/uploads" Member, t => format!("/api/projects/{}/uploads", t.project), json!({ "path": "u.bin", "size": 3, "base": "new" })),
        row!(GET "/api/uploads/{id}" Member, t => format!("/api/uploads/{}", t.upload)),
        row!(PATCH "/api/uploads/{id}" Member, t => format!("/api/uploads/{}", t.upload)),
        row!(DELETE "/api/uploads/{id}" Member, t => format!("/api/uploads/{}", t.upload)),
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
        row!(PATCH "/api/admin/users/{id}" Admin, t => format!("/api/admin/users/{}", t.user), json!({})),
        row!(GET "/api/admin/jobs" Admin, t => { let _ = t; "/api/admin/jobs" }),
        row!(POST "/api/admin/jobs/{id}/cancel" Admin, t => format!("/api/admin/jobs/{}/cancel", t.job)),
        row!(POST "/api/admin/jobs/{id}/requeue" Admin, t => format!("/api/admin/jobs/{}/requeue", t.job)),
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
        row!(POST "/fn/auth/register" Public, t => { let _ = t; "/fn/auth/register" }),
        row!(POST "/fn/users/update_me" SignedIn, t => { let _ = t; "/fn/users/update_me" }),
        row!(POST "/fn/projects/list" SignedIn, t => { let _ = t; "/fn/projects/list" }, json!({})),
        row!(POST "/fn/projects/list_public" SignedIn, t => { let _ = t; "/fn/projects/list_public" }, json!({})),
        row!(POST "/fn/members/list" Member, t => { let _ = t; "/fn/members/list" }, json!({ "project": t.project })),
        row!(POST "/fn/members/invite" Member, t => { let _ = t; "/fn/members/invite" }, json!({ "project": t.project, "request": { "who": "later@example.org", "role": "viewer" } })),
        row!(POST "/fn/members/change" Member, t => { let _ = t; "/fn/members/change" }, json!({ "project": t.project, "user": t.member, "request": { "role": "editor" } })),
        row!(POST "/fn/members/remove" Member, t => { let _ = t; "/fn/members/remove" }, json!({ "project": t.project, "user": t.member })),
        row!(POST "/fn/members/withdraw" Member, t => { let _ = t; "/fn/members/withdraw" }, json!({ "project": t.project, "invitation": t.invitation })),
        row!(POST "/fn/members/transfer" Member, t => { let _ = t; "/fn/members/transfer" }, json!({ "project": t.project, "request": { "to": t.member } })),
        row!(POST "/fn/members/present" Member, t => { let _ = t; "/fn/members/present" }, json!({ "project": t.project })),
        row!(POST "/fn/quotas/of_project" Member, t => { let _ = t; "/fn/quotas/of_project" }, json!({ "project": t.project })),
        row!(POST "/fn/quotas/mine" SignedIn, t => { let _ = t; "/fn/quotas/mine" }, json!({})),
        row!(POST "/fn/admin/quota" Admin, t => { let _ = t; "/fn/admin/quota" }, json!({ "user": t.user })),
        row!(POST "/fn/admin/set_quota" Admin, t => { let _ = t; "/fn/admin/set_quota" }, json!({ "user": t.user, "request": {} })),
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
        row!(POST "/fn/projects/create" SignedIn, t => { let _ = t; "/fn/projects/create" }, json!({ "request": { "name": "X" } })),
        row!(POST "/fn/projects/get" Member, t => { let _ = t; "/fn/projects/get" }, json!({ "id": t.project })),
        row!(POST "/fn/projects/update" Member, t => { let _ = t; "/fn/projects/update" }, json!({ "id": t.project, "request": {} })),
        row!(POST "/fn/projects/delete" Member, t => { let _ = t; "/fn/projects/delete" }, json!({ "id": t.project })),
        row!(POST "/fn/files/tree" Member, t => { let _ = t; "/fn/files/tree" }, json!({ "project": t.project })),
        row!(POST "/fn/files/open" Member, t => { let _ = t; "/fn/files/open" }, json!({ "project": t.project, "path": "a.txt" })),
        row!(POST "/fn/files/save" Member, t => { let _ = t; "/fn/files/save" }, json!({ "project": t.project, "request": { "path": "n.txt", "base": "new", "text": "x" } })),
        row!(POST "/fn/files/create_directory" Member, t => { let _ = t; "/fn/files/create_directory" }, json!({ "project": t.project, "path": "d" })),
        row!(POST "/fn/files/move" Member, t => { let _ = t; "/fn/files/move" }, json!({ "project": t.project, "request": { "from": "a.txt", "to": "b.txt" } })),
        row!(POST "/fn/files/delete" Member, t => { let _ = t; "/fn/files/delete" }, json!({ "project": t.project, "path": "a.txt" })),
        row!(POST "/fn/files/restore" Member, t => { let _ = t; "/fn/files/restore" }, json!({ "project": t.project, "request": { "path": "a.txt", "version": 1 } })),
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
        row!(POST "/fn/admin/users" Admin, t => { let _ = t; "/fn/admin/users" }, json!({})),
        row!(POST "/fn/admin/update_user" Admin, t => { let _ = t; "/fn/admin/update_user" }, json!({ "id": t.user, "request": {} })),
        row!(POST "/fn/admin/jobs" Admin, t => { let _ = t; "/fn/admin/jobs" }, json!({})),
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
    World { app, admin, owner, stranger, disabled, member }
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
    let import = owner.upload("a.zip", archives::zip(&[("a", b"a")])).await.expect(202);
    let job = import.field("job_id").as_str().unwrap().to_owned();
    let user = world.stranger.user.as_ref().unwrap().id.to_string();
    fixture::member(&world.app, &project, &world.member, wire::projects::ProjectRole::Viewer).await;
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
    Things {
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
        export,
        job,
        user,
        member,
        invitation,
        rule,
        provider,
        model,
        mcp_server,
    }
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

/// The statuses that keep the promise of a row's class.
async fn hold_to(world: &World, row: &Row, failures: &mut Vec<String>) {
    let things = things(world).await;
    let name = format!("{} {}", row.method, row.path);
    let mut check = |who: &str, status: u16, kept: bool| {
        if !kept || status == 500 {
            failures.push(format!("{name} answered {status} to {who}; it is for {:?}", row.access));
        }
    };
    let nobody = try_row(&world.app.nobody(), row, &things).await;
    let disabled = try_row(&world.disabled, row, &things).await;
    let open = row.access == Public;
    check("nobody", nobody, if open { nobody != 401 } else { nobody == 401 });
    check("a disabled account", disabled, if open { disabled != 401 } else { disabled == 401 });
    let refused = |status: u16| [401, 403, 404].contains(&status);
    if row.path == "/api/auth/logout" || row.path == "/fn/auth/logout" {
        return;
    }
    let stranger = try_row(&world.stranger, row, &things).await;
    check(
        "a stranger",
        stranger,
        match row.access {
            Public | SignedIn => !refused(stranger),
            Member => stranger == 404,
            Admin => stranger == 403,
        },
    );
    let admin = try_row(&world.admin, row, &things).await;
    // An administrator runs the installation and is no member of everybody's projects; jobs are the installation's.
    check(
        "an administrator",
        admin,
        match row.access {
            Member if !row.path.starts_with("/api/jobs/") && !row.path.starts_with("/fn/jobs/") => admin == 404,
            _ => !refused(admin),
        },
    );
    let owner = try_row(&world.owner, row, &things).await;
    // This call was never asked about.
    let unknown_call = row.path.contains("approval") && owner == 404;
    // What a row leaves open counts against the owner's limit in the next one.
    for open in world.owner.get(&format!("/api/projects/{}/terminals", things.project)).await.listed_ids() {
        world.owner.delete(&format!("/api/terminals/{open}")).await;
    }
    check("its owner", owner, if row.access == Admin { owner == 403 } else { !refused(owner) || unknown_call });
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_keeps_its_promise() {
    let world = world().await;
    let rows: Vec<Row> = rest().into_iter().chain(functions()).collect();
    let declared: BTreeSet<_> = world.app.routes.iter().map(|r| (r.method.to_string(), r.path, format!("{:?}", r.access))).collect();
    let listed: BTreeSet<_> = rows.iter().map(|r| (r.method.to_string(), r.path, format!("{:?}", r.access))).collect();
    let unlisted: Vec<_> = declared.difference(&listed).collect();
    let gone: Vec<_> = listed.difference(&declared).collect();
    assert!(unlisted.is_empty() && gone.is_empty(), "without a row here: {unlisted:#?}; without a route: {gone:#?}");
    let mut failures = Vec::new();
    for row in &rows {
        hold_to(&world, row, &mut failures).await;
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_stream_is_for_its_people_only() {
    let world = world().await;
    let t = things(&world).await;
    let own = world.owner.user.as_ref().unwrap().id;
    let member = [
        format!("project:{}", t.project),
        format!("run:{}", t.run),
        format!("turn:{}", t.turn),
        format!("conversation:{}", t.conversation),
        format!("user:{own}"),
        format!("job:{}", t.job),
    ];
    let status =
        async |caller: &Caller, stream: &str| caller.follow(&format!("/api/live/{stream}")).await.map_or_else(|r| r.status, |_| 200);
    for stream in &member {
        assert_eq!(status(&world.app.nobody(), stream).await, 401, "{stream}");
        assert_eq!(status(&world.disabled, stream).await, 401, "{stream}");
        assert_eq!(status(&world.stranger, stream).await, 404, "{stream}");
        assert_eq!(status(&world.owner, stream).await, 200, "{stream}");
        let admin = if stream.starts_with("job:") { 200 } else { 404 };
        assert_eq!(status(&world.admin, stream).await, admin, "{stream}");
    }
    assert_eq!(status(&world.app.nobody(), "admin").await, 401);
    assert_eq!(status(&world.owner, "admin").await, 403);
    assert_eq!(status(&world.admin, "admin").await, 200);
}
