//! What each route takes: how large a body, for how long, and how often. One rule for all of them, so that a new route is bounded
//! without a line of its own.

use std::time::Duration;

use axum::http::Method;

use super::routes::Access;
use crate::limits::Class;

const MIB: usize = 1024 * 1024;
/// A JSON body, unless a route is named below.
const JSON: usize = MIB;
/// A prompt of the greatest length with every character escaped. Also commands and the forms of accounts: what is far too long is
/// refused there by the name of its field.
const PROMPT: usize = 2 * MIB;
/// The text of a file, and what JSON adds to it.
const TEXT: usize = 8 * MIB;
/// The same of the editor.
const EDITED: usize = 12 * MIB;

/// What a request has to be answered within, unless its body or its answer is what takes long.
const REQUEST_TIME: Duration = Duration::from_secs(60);

/// Bodies that go straight to storage. Their handlers bound them, and how long they take is up to the sender.
const STREAMED: [&str; 6] = [
    "/api/imports/{id}/files",
    "/api/projects/import",
    "/api/projects/{id}/files:batch",
    "/api/projects/{id}/files/{*path}",
    "/api/projects/{id}/images",
    "/api/uploads/{id}",
];

/// Somebody else's server is waited for, with a time of its own.
const WAITS_FOR_OTHERS: [&str; 5] = [
    "/api/v1/generate",
    "/api/admin/model-providers/{id}/test",
    "/api/admin/mcp-servers/{id}/test",
    "/fn/admin/test_model_provider",
    "/fn/admin/test_mcp_server",
];

/// The whole audit log is read, which grows with the installation.
const READS_ALL: [&str; 2] = ["/api/admin/audit/verdict", "/fn/admin/verify_audit"];

/// What a model answers.
const MODEL_CALLS: [&str; 9] = [
    "/api/conversations/{id}/turns",
    "/api/conversations/{id}/queue",
    "/api/queue/{id}/send",
    "/api/change-sets/{id}/comments/send",
    "/api/v1/generate",
    "/fn/chat/start_turn",
    "/fn/chat/enqueue",
    "/fn/chat/send_queued",
    "/fn/changes/send_comments",
];

/// Server functions that only look at something: how pages read. Every other one counts as a change.
const READING: [&str; 73] = [
    "admin/audit",
    "admin/budgets",
    "admin/health",
    "admin/jobs",
    "admin/links",
    "admin/mcp_servers",
    "admin/model_versions",
    "admin/models",
    "admin/overview",
    "admin/project_quota",
    "admin/projects",
    "admin/pulse",
    "admin/quota",
    "admin/rates",
    "admin/settings_changes",
    "admin/usage",
    "admin/user",
    "admin/users",
    "auth/viewer",
    "budgets/mine",
    "budgets/of_project",
    "changes/get",
    "changes/of_turn",
    "changes/open",
    "changes/sides",
    "chat/conversations",
    "chat/preview_rewind",
    "chat/removed",
    "chat/view",
    "checkpoints/diff",
    "checkpoints/list",
    "context/compactions",
    "context/preview",
    "dashboard/mine",
    "exports/list",
    "files/history",
    "files/open",
    "files/trash",
    "files/tree",
    "identities/mine",
    "identities/providers",
    "members/list",
    "members/present",
    "models/list",
    "models/own_keys",
    "network/policy",
    "passkeys/list",
    "permissions/list",
    "permissions/try",
    "preferences/get",
    "previews/address",
    "projects/admin_access",
    "projects/get",
    "projects/list",
    "projects/open",
    "quotas/of_project",
    "runs/get",
    "runs/list",
    "search/outline",
    "second_factor/status",
    "sessions/list",
    "settings/accounts",
    "settings/runs",
    "settings/storage",
    "storage/choices",
    "storage/of_project",
    "terminals/list",
    "test_reports/of_run",
    "test_reports/settings",
    "tokens/list",
    "usage/mine",
    "usage/of_project",
    "usage/of_turn",
];

pub fn is_streamed(path: &str) -> bool {
    STREAMED.contains(&path)
}

/// Bytes of a body that is read as a whole.
pub fn body_limit(path: &str) -> usize {
    let is_of = |tops: &[&str]| tops.iter().any(|top| path.starts_with(top));
    let has = |words: &[&str]| path.split(['/', ':']).any(|part| words.contains(&part));
    if is_of(&["/fn/files/", "/fn/changes/", "/fn/proposals/", "/fn/search/"]) {
        EDITED
    } else if has(&["proposals", "decisions", "outline", "replace"]) {
        TEXT
    } else if is_of(&["/fn/", "/api/auth/", "/api/users/me"]) || has(&["turns", "queue", "context", "generate", "runs"]) {
        PROMPT
    } else {
        JSON
    }
}

/// `None` where it is not for this server to say how long it takes.
pub fn request_time(method: &Method, path: &str) -> Option<Duration> {
    let is_upload = is_streamed(path) && *method != Method::GET && *method != Method::HEAD;
    (!is_upload && !WAITS_FOR_OTHERS.contains(&path) && !READS_ALL.contains(&path)).then_some(REQUEST_TIME)
}

/// What anybody may ask of accounts again and again.
const ROUTINE: [&str; 5] = ["/fn/auth/viewer", "/fn/identities/providers", "/fn/auth/logout", "/api/auth/logout", "/api/auth/refresh"];

/// `access` is `None` for pages and for what has no route.
pub fn class_of(method: &Method, path: &str, access: Option<Access>) -> Class {
    let is_reading = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
    let is_about_accounts = ["/api/auth/", "/fn/auth/", "/auth/"].iter().any(|top| path.starts_with(top));
    // Every page asks who looks at it, and what ends a session or goes on with it proves what it is with each request.
    let is_routine = ROUTINE.contains(&path);
    if access == Some(Access::Public) && !is_routine && (is_about_accounts || !is_reading) {
        Class::SignIn
    } else if MODEL_CALLS.contains(&path) && !is_reading {
        Class::ModelCalls
    } else if path.starts_with("/api/live") || path.ends_with("/ws") || path.starts_with("/ws/") {
        Class::Streams
    } else if let Some(function) = path.strip_prefix("/fn/") {
        if READING.contains(&function) { Class::Reads } else { Class::Writes }
    } else if is_reading {
        Class::Reads
    } else {
        Class::Writes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_are_classed_by_what_they_cost() {
        let class = |method: Method, path: &str, access| class_of(&method, path, access);
        let (public, member) = (Some(Access::Public), Some(Access::Member));
        assert_eq!(class(Method::POST, "/api/auth/login", public), Class::SignIn);
        assert_eq!(class(Method::POST, "/fn/auth/register", public), Class::SignIn);
        assert_eq!(class(Method::GET, "/auth/{provider}", public), Class::SignIn);
        assert_eq!(class(Method::HEAD, "/auth/{provider}", public), Class::SignIn);
        assert_eq!(class(Method::POST, "/fn/auth/viewer", public), Class::Reads);
        assert_eq!(class(Method::POST, "/fn/identities/providers", public), Class::Reads);
        assert_eq!(class(Method::POST, "/fn/files/something_new", member), Class::Writes);
        assert_eq!(class(Method::POST, "/api/auth/refresh", public), Class::Writes);
        assert_eq!(class(Method::POST, "/api/conversations/{id}/turns", member), Class::ModelCalls);
        assert_eq!(class(Method::GET, "/api/conversations/{id}/turns", member), Class::Reads);
        assert_eq!(class(Method::GET, "/api/live/{stream}", member), Class::Streams);
        assert_eq!(class(Method::GET, "/api/terminals/{id}/ws", member), Class::Streams);
        assert_eq!(class(Method::POST, "/fn/files/open", member), Class::Reads);
        assert_eq!(class(Method::POST, "/fn/files/save", member), Class::Writes);
        assert_eq!(class(Method::POST, "/fn/terminals/open", member), Class::Writes);
        assert_eq!(class(Method::GET, "/projects/:id", None), Class::Reads);
        assert_eq!(class(Method::DELETE, "/api/runs/{id}", member), Class::Writes);
    }

    #[test]
    fn every_server_function_is_a_change_unless_it_is_known_to_read() {
        const CHANGING: [&str; 17] = [
            "add", "cancel", "change", "create", "delete", "invite", "move", "remove", "rename", "reset", "restore", "revoke", "save",
            "set", "start", "update", "withdraw",
        ];
        let (_, table) = crate::http::leptos::declare_server_functions(crate::http::routes::Routes::default()).finish();
        let functions: Vec<&str> = table.iter().filter_map(|route| route.path.strip_prefix("/fn/")).collect();
        assert!(functions.len() > READING.len());
        for known in READING {
            assert!(functions.contains(&known), "{known} is gone");
        }
        for route in &table {
            let function = route.path.strip_prefix("/fn/").unwrap();
            let verb = function.rsplit('/').next().and_then(|name| name.split('_').next()).unwrap_or_default();
            let class = class_of(&route.method, route.path, Some(route.access));
            assert!(class != Class::Reads || !CHANGING.contains(&verb), "{function} changes something");
            let expected = [Class::Writes, Class::SignIn, Class::ModelCalls].contains(&class);
            assert!(expected || READING.contains(&function) || ROUTINE.contains(&route.path), "{function} is classed {class:?}");
        }
    }

    #[test]
    fn bodies_are_small_unless_there_is_a_reason() {
        assert_eq!(body_limit("/api/projects"), MIB);
        assert_eq!(body_limit("/api/projects/{id}/terminals"), MIB);
        assert_eq!(body_limit("/api/projects/{id}/runs"), 2 * MIB);
        assert_eq!(body_limit("/api/conversations/{id}/turns"), 2 * MIB);
        assert_eq!(body_limit("/api/auth/login"), 2 * MIB);
        assert_eq!(body_limit("/api/change-sets/{id}/decisions"), 8 * MIB);
        assert_eq!(body_limit("/fn/files/save"), 12 * MIB);
        assert_eq!(body_limit("/fn/members/list"), 2 * MIB);
        assert_eq!(request_time(&Method::POST, "/fn/admin/verify_audit"), None);
        assert_eq!(request_time(&Method::PUT, "/api/projects/{id}/files/{*path}"), None);
        assert_eq!(request_time(&Method::GET, "/api/projects/{id}/files/{*path}"), Some(REQUEST_TIME));
    }
}
