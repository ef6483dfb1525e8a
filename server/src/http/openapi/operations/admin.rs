use super::{Operation, extras, op};

#[rustfmt::skip]
pub const OPERATIONS: &[Operation] = &[
    op("GET", "/api/admin/users", "List accounts")
        .note("Filtered, sorted, and turned both ways: `next_cursor` and `previous_cursor` are `cursor` of the page after and before."),
    op("GET", "/api/admin/users.csv", "Download the list of accounts").edit(extras::sends_table),
    op("GET", "/api/admin/users/{id}", "Read an account with its quota and its projects"),
    op("POST", "/api/admin/users/{id}/sign-out", "End every session of an account"),
    op("GET", "/api/admin/projects", "List projects of everybody")
        .note("From outside: their names, owners and sizes. What is in them stays their people's."),
    op("GET", "/api/admin/projects.csv", "Download the list of projects").edit(extras::sends_table),
    op("DELETE", "/api/admin/projects/{id}", "Take a project away from everyone").also(&[409]).note("It can be restored for as long as earlier versions are kept; then it goes for good."),
    op("POST", "/api/admin/projects/{id}/restore", "Bring a deleted project back").ok(&[204]).also(&[409]),
    op("POST", "/api/admin/projects/{id}/transfer", "Make somebody else a project's owner").ok(&[204]).also(&[409, 413])
        .note("Never the caller; the owner before stays as an editor."),
    op("POST", "/api/admin/projects/{id}/access", "Open a project to read it").ok(&[201]).also(&[409])
        .note("For one hour, and only to read. Its owners are told, everybody in it sees who and why, and it is in the audit log.")
        .asks(r#"{"reason": "A run does not end; the owner asked for help."}"#),
    op("DELETE", "/api/admin/projects/{id}/access", "Close a project again before its time"),
    op("GET", "/api/projects/{id}/admin-access", "Which administrators opened a project, and why"),
    op("GET", "/api/admin/overview", "A few numbers of the installation"),
    op("GET", "/api/admin/settings", "Who changed which settings last"),
    op("PATCH", "/api/admin/users/{id}", "Change an account's role or state").note("The last administrator stays one."),
    op("POST", "/api/admin/users", "Make an account for somebody").ok(&[201])
        .note("Without a password it is entered by a link to set one.")
        .asks(r#"{"email": "ben@example.org", "username": "ben", "role": "user"}"#),
    op("POST", "/api/admin/users/{id}/reset-link", "Make a link to set an account's password").ok(&[201]).also(&[409])
        .note("It works once, for a day; its path is told this once."),
    op("POST", "/api/admin/invitations", "Invite somebody to make an account").ok(&[201]).also(&[409])
        .note("The link works once; its path is told this once. Where it is for one address and mail is configured, it is sent there.")
        .asks(r#"{"email": "ben@example.org", "role": "user", "days": 7}"#),
    op("GET", "/api/admin/links", "List invitations and links to set a password that still work"),
    op("DELETE", "/api/admin/links/{id}", "Take a link back"),
    op("GET", "/api/admin/settings/accounts", "Read who may have an account"),
    op("PUT", "/api/admin/settings/accounts", "Set who may have an account").note("It applies at once. What is left out goes back to its default.")
        .asks(r#"{"registration": "invite", "require_second_factor": "administrators", "session_days": 7, "allowed_email_domains": ["example.org"]}"#),
    op("DELETE", "/api/admin/users/{id}/second-factor", "Take away an account's second factor").note("For somebody who has lost it."),
    op("GET", "/api/admin/users/{id}/quota", "What an account may keep, and how much it does"),
    op("PUT", "/api/admin/users/{id}/quota", "Set what an account may keep"),
    op("GET", "/api/admin/projects/{id}/quota", "What anybody's project may keep, and how much it does"),
    op("PUT", "/api/admin/projects/{id}/quota", "Set what a project may keep"),
    op("GET", "/api/admin/jobs", "List jobs"),
    op("GET", "/api/admin/jobs.csv", "Download the list of jobs").edit(extras::sends_table),
    op("POST", "/api/admin/jobs/requeue", "Try all jobs again that were given up").ok(&[200]).note("At most a thousand at a time."),
    op("GET", "/api/admin/usage.csv", "Download what all model calls cost").edit(extras::sends_table),
    op("GET", "/api/admin/budgets.csv", "Download all budgets").edit(extras::sends_table),
    op("GET", "/api/admin/models.csv", "Download all models with prices and what was measured").edit(extras::sends_table),
    op("GET", "/api/admin/audit.csv", "Download the audit log as a table").edit(extras::sends_table),
    op("POST", "/api/admin/jobs/{id}/cancel", "Cancel anybody's job"),
    op("POST", "/api/admin/jobs/{id}/requeue", "Try a failed job again"),
    op("GET", "/api/admin/settings/runs", "Read the limits of runs"),
    op("GET", "/api/admin/settings/rates", "Read how many requests a caller may send"),
    op("PUT", "/api/admin/settings/rates", "Set how many requests a caller may send").note("Everywhere within a few seconds. What is left out goes back to its default."),
    op("PUT", "/api/admin/settings/runs", "Set the limits of runs").note("From the next run on. What is left out goes back to its default."),
    op("GET", "/api/admin/settings/storage", "Read the limits of storage"),
    op("PUT", "/api/admin/settings/storage", "Set the limits of storage"),
    op("GET", "/api/admin/health", "How the parts of the server are, each with its reason"),
    op("GET", "/api/admin/budgets", "List all budgets"),
    op("PUT", "/api/admin/budgets", "Set a budget").also(&[404])
        .note("Without an amount it is taken away. With `version`, 0 for none, only as long as what is there has it, else 409 with what is there now, or null, as `current`; without, whatever is there is replaced."),
    op("GET", "/api/admin/usage", "What all model calls cost"),
    op("GET", "/api/admin/models", "List providers and models")
        .note("`limit` and `cursor` cut the models into pages; providers and choices are on each."),
    op("POST", "/api/admin/models", "Add a model").ok(&[201]),
    op("PUT", "/api/admin/models/choices", "Choose which models are used for what")
        .note("What is left out goes back to the environment's. With `revision` only as long as the choices have it, else 409 with those of now as `current`.")
        .asks(r#"{"default": null, "backup": null, "revision": 0}"#),
    op("PATCH", "/api/admin/models/{id}", "Change a model"),
    op("DELETE", "/api/admin/models/{id}", "Remove a model"),
    op("GET", "/api/admin/models/{id}/versions", "List the versions of a model's settings"),
    op("POST", "/api/admin/model-providers", "Add a provider").ok(&[201])
        .asks(r#"{"name": "Our machine", "kind": "ollama", "base_url": "http://127.0.0.1:11434"}"#),
    op("PATCH", "/api/admin/model-providers/{id}", "Change a provider"),
    op("DELETE", "/api/admin/model-providers/{id}", "Remove a provider"),
    op("POST", "/api/admin/model-providers/{id}/test", "Try a provider"),
    op("GET", "/api/admin/mcp-servers", "List tool servers"),
    op("POST", "/api/admin/mcp-servers", "Add a tool server").ok(&[201]),
    op("PATCH", "/api/admin/mcp-servers/{id}", "Change a tool server"),
    op("DELETE", "/api/admin/mcp-servers/{id}", "Remove a tool server"),
    op("POST", "/api/admin/mcp-servers/{id}/test", "Try a tool server"),
    op("GET", "/api/admin/audit", "Read the audit log"),
    op("GET", "/api/admin/audit/export", "Download the audit log").edit(extras::sends_lines),
    op("GET", "/api/admin/audit/verdict", "Check the chain of the audit log"),
];
