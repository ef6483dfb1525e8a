use super::{Operation, op};

#[rustfmt::skip]
pub const OPERATIONS: &[Operation] = &[
    op("GET", "/api/projects", "List projects").note("Those of the caller; with `visibility=public` those of others that everybody may read."),
    op("POST", "/api/projects", "Make a project").ok(&[201])
        .asks(r#"{"name": "Weather station", "description": "Reads the sensors on the roof"}"#)
        .says(r#"{
            "id": "0199f1a2-7c3e-7b1a-9d50-3f0c8e1b2a44", "name": "Weather station", "description": "Reads the sensors on the roof",
            "visibility": "private", "storage_backend": "local", "role": "owner", "owner": { "id": "0199f1a0-11aa-7c02-8f00-6a1d2b3c4d5e", "name": "Ada Lovelace" },
            "revision": 1, "file_count": 0, "size_bytes": 0, "active_runs": 0, "pending_reviews": 0,
            "created_at": "2026-11-22T13:20:00Z", "updated_at": "2026-11-22T13:20:00Z"
        }"#),
    op("GET", "/api/projects/{id}", "Read a project"),
    op("PATCH", "/api/projects/{id}", "Rename, describe or share a project").asks(r#"{"visibility": "shared"}"#),
    op("DELETE", "/api/projects/{id}", "Delete a project"),
    op("GET", "/api/projects/{id}/members", "List members and invitations"),
    op("POST", "/api/projects/{id}/members", "Invite somebody").ok(&[201, 202])
        .note("By user name or e-mail address. 201: a member now. 202: waits until somebody makes an account with the address.")
        .asks(r#"{"who": "ben@example.org", "role": "editor"}"#),
    op("PUT", "/api/projects/{id}/members/{user_id}", "Change a member's role").asks(r#"{"role": "reviewer"}"#),
    op("DELETE", "/api/projects/{id}/members/{user_id}", "Remove a member, or leave"),
    op("DELETE", "/api/projects/{id}/invitations/{invitation_id}", "Withdraw an invitation"),
    op("POST", "/api/projects/{id}/transfer", "Hand a project to another member"),
    op("GET", "/api/projects/{id}/presence", "Who is there now"),
    op("GET", "/api/projects/{id}/network", "What runs of a project may reach"),
    op("PUT", "/api/projects/{id}/network", "Set what runs of a project may reach").asks(r#"{"allow": ["pypi.org"]}"#),
    op("GET", "/api/projects/{id}/permissions", "List what the agent may do without asking"),
    op("POST", "/api/projects/{id}/permissions", "Add a rule for the agent").ok(&[201]).asks(r#"{"effect": "ask", "tool": "edit_file"}"#),
    op("DELETE", "/api/projects/{id}/permissions/{rule_id}", "Remove a rule for the agent"),
    op("POST", "/api/projects/{id}/permissions:try", "Try rules out").note("What would be decided about a call. Nothing is changed."),
    op("GET", "/api/storage", "Where projects may be stored"),
    op("GET", "/api/projects/{id}/storage", "Where a project is stored"),
    op("POST", "/api/projects/{id}/storage", "Move a project to another storage").ok(&[202]).note("The job that moves it is in the answer; cancelling that ends the move."),
    op("GET", "/api/projects/{id}/quota", "What a project may keep, and how much it does"),
    op("GET", "/api/projects/{id}/budgets", "The budgets of a project"),
    op("PUT", "/api/projects/{id}/budgets", "Set a project's budget")
        .note("Without an amount it is taken away. With `version`, 0 for none, only as long as what is there has it, else 409 with what is there now, or null, as `current`.")
        .asks(r#"{"period": "month", "usd_micros": 25000000, "version": 0}"#),
    op("GET", "/api/projects/{id}/usage", "What models cost in a project"),
    op("GET", "/api/budgets", "The budgets that hold for me").also(&[404]).note("With a project or a conversation, those that hold there too."),
    op("PUT", "/api/conversations/{id}/budget", "Set a conversation's budget")
        .note("Over all its turns; without an amount it is taken away. `version` as for a project's.")
        .asks(r#"{"tokens": 200000, "version": 0}"#),
    op("GET", "/api/usage", "What my model calls cost"),
    op("GET", "/api/turns/{id}/usage", "What a turn cost"),
];
