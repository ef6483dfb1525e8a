//! What types do not say: a sentence for each route, its statuses where the type leaves them open, examples. A route without an entry
//! here, and an entry without a route, fail a test.

mod accounts;
mod admin;
mod agent;
mod extras;
mod files;
mod projects;

use super::document::Draft;

#[derive(Clone, Copy)]
pub struct Operation {
    pub method: &'static str,
    /// As declared.
    pub path: &'static str,
    /// What it does, in a few words.
    pub summary: &'static str,
    /// What else there is to know, in Markdown.
    pub note: &'static str,
    /// Statuses of success, where the type does not say: a body alone is 200, no body is 204.
    pub ok: &'static [u16],
    /// Refusals beyond those that hold by rule.
    pub also: &'static [u16],
    /// A body that can be sent as it is, as JSON.
    pub asks: &'static str,
    /// A body that may be answered, as JSON.
    pub says: &'static str,
    pub edit: Option<fn(&mut Draft<'_>)>,
}

const fn op(method: &'static str, path: &'static str, summary: &'static str) -> Operation {
    Operation { method, path, summary, note: "", ok: &[], also: &[], asks: "", says: "", edit: None }
}

impl Operation {
    const fn note(self, note: &'static str) -> Self {
        Self { note, ..self }
    }

    const fn ok(self, ok: &'static [u16]) -> Self {
        Self { ok, ..self }
    }

    const fn also(self, also: &'static [u16]) -> Self {
        Self { also, ..self }
    }

    const fn asks(self, asks: &'static str) -> Self {
        Self { asks, ..self }
    }

    const fn says(self, says: &'static str) -> Self {
        Self { says, ..self }
    }

    const fn edit(self, edit: fn(&mut Draft<'_>)) -> Self {
        Self { edit: Some(edit), ..self }
    }
}

pub fn all() -> Vec<Operation> {
    [accounts::OPERATIONS, projects::OPERATIONS, files::OPERATIONS, agent::OPERATIONS, admin::OPERATIONS].concat()
}

/// The modules of a chapter, its name, what it is about; in the order in which they are read.
pub const TAGS: &[(&[&str], &str, &str)] = &[
    (&["auth", "links", "password"], "Signing in", "Accounts, access tokens and their renewal."),
    (&["users", "preferences", "sessions", "tokens", "account"], "Your account", "About the caller."),
    (&["second_factor", "totp", "passkeys", "recovery"], "Second factor", "What is asked for besides a password."),
    (&["identities", "oauth", "oidc"], "Identities", "Accounts elsewhere that sign in here."),
    (&["projects", "members", "network", "storage"], "Projects", "Projects, who may enter them, and what holds for them."),
    (&["files", "uploads", "archive"], "Files", "The files of a project. Every write names what it is based on."),
    (&["search"], "Search", "Finding and replacing in all files, and the symbols of one."),
    (&["checkpoints"], "Checkpoints", "Points of a project's past."),
    (&["import", "imports", "exports", "jobs"], "Import and export", "Projects that come from elsewhere or go there. Slow work is a job."),
    (&["runs", "test_reports", "previews"], "Runs", "Commands in the sandbox, tests, and what listens inside."),
    (&["terminals", "terminal"], "Terminals", "Runs with a keyboard."),
    (&["chat", "context", "permissions"], "Agent", "Conversations, turns, what is sent to the model, what the agent may do."),
    (&["changes", "proposals"], "Reviews", "Changes that are proposed and decided hunk by hunk."),
    (&["generate", "models"], "Models", "The models there are, and one question to one of them."),
    (&["budgets", "usage", "quotas"], "Usage and limits", "What was used, and what may be."),
    (&["live"], "Events", "Streams of what happens, as server-sent events."),
    (&["admin", "settings", "audit", "mcp"], "Administration", "For administrators."),
    (&["openapi"], "This document", "The document itself."),
];
