use super::{Operation, extras, op};

const USER: &str = r#"{
  "id": "0199f1a2-7c3e-7b1a-9d50-3f0c8e1b2a44", "email": "ada@example.org", "username": "ada", "full_name": "Ada Lovelace",
  "role": "user", "state": "active", "created_at": "2026-11-22T13:20:00Z", "last_seen_at": null
}"#;

#[rustfmt::skip]
pub const OPERATIONS: &[Operation] = &[
    op("GET", "/api/openapi.json", "This document").edit(extras::sends_document),
    op("GET", "/api/docs", "This document as a page").edit(extras::sends_page),
    op("POST", "/api/auth/register", "Make an account").ok(&[201])
        .note("The very first account administers. Registration may be open, by invitation, or closed.")
        .asks(r#"{"email": "ada@example.org", "username": "ada", "password": "correct horse battery staple", "full_name": "Ada Lovelace"}"#)
        .says(USER),
    op("POST", "/api/auth/login", "Sign in").also(&[401])
        .note("A form. `username` is the name or the e-mail address. An account with a second factor is answered 401 with the code `second_factor_required` until `otp` comes along."),
    op("POST", "/api/auth/refresh", "Renew the access token").also(&[401])
        .note("A refresh token is good for once. One that is used again ends all that came of it, but a second tab within ten seconds gets the same answer."),
    op("POST", "/api/auth/logout", "Sign out").note("Ends the session, and with it its tokens."),
    op("POST", "/api/auth/forgot", "Ask for a link to set a new password").ok(&[202]).also(&[409])
        .note("The answer is the same whether there is such an account or not. Where no mail is configured it is 409: an administrator hands the link over.")
        .asks(r#"{"who": "ada@example.org"}"#),
    op("POST", "/api/auth/reset", "Set a new password by a link")
        .note("The link works once. Every session of the account ends.")
        .asks(r#"{"token": "cxl_6uLk…", "new_password": "a few words of one's own"}"#),
    op("DELETE", "/api/users/me", "Delete my account").also(&[409])
        .note("Projects that nobody else is in go with it. 409 lists the projects that need another owner first; the last administrator stays.")
        .asks(r#"{"password": "correct horse battery staple"}"#),
    op("GET", "/api/users/me/export", "Everything about me, as one document")
        .note("Profile, preferences, sessions, passkeys, accounts elsewhere, API tokens and model keys without their secrets, projects, usage, and the conversations that I began.").edit(extras::sends_account),
    op("POST", "/api/users/me/password", "Change my password")
        .note("Every other session of the account ends.")
        .asks(r#"{"current_password": "correct horse battery staple", "new_password": "a few words of one's own"}"#),
    op("GET", "/api/users/me/sessions", "Where I am signed in"),
    op("DELETE", "/api/users/me/sessions", "End all my other sessions").says(r#"{"ended": 3}"#),
    op("DELETE", "/api/users/me/sessions/{id}", "End one of my sessions"),
    op("GET", "/api/users/me", "Who I am").says(USER),
    op("PATCH", "/api/users/me", "Change my profile").asks(r#"{"full_name": "Ada King"}"#),
    op("GET", "/api/users/me/preferences", "How I like the editor and the pages"),
    op("PATCH", "/api/users/me/preferences", "Change how I like the editor and the pages"),
    op("GET", "/api/users/me/quota", "What I may keep, and how much I do"),
    op("GET", "/api/users/me/model-keys", "My own keys of model providers").note("The keys themselves are never told."),
    op("PUT", "/api/users/me/model-keys/{id}", "Set my own key of a provider").asks(r#"{"key": "sk-of-a-person"}"#),
    op("DELETE", "/api/users/me/model-keys/{id}", "Forget my own key of a provider"),
    op("POST", "/api/auth/passkey", "Begin to sign in with a passkey").note("What the browser's `navigator.credentials.get` is given."),
    op("POST", "/api/auth/passkey/confirm", "Sign in with a passkey").also(&[401]),
    op("GET", "/api/users/me/passkeys", "List my passkeys"),
    op("POST", "/api/users/me/passkeys", "Begin to add a passkey").note("What the browser's `navigator.credentials.create` is given.")
        .asks(r#"{"password": "correct horse battery staple"}"#),
    op("POST", "/api/users/me/passkeys/confirm", "Add a passkey").ok(&[201]),
    op("PATCH", "/api/users/me/passkeys/{id}", "Rename a passkey").asks(r#"{"name": "Laptop"}"#),
    op("DELETE", "/api/users/me/passkeys/{id}", "Remove a passkey").asks(r#"{"password": "correct horse battery staple"}"#),
    op("GET", "/api/users/me/second-factor", "What I am asked for besides a password"),
    op("POST", "/api/users/me/totp", "Begin to set up codes from an app").ok(&[201]).note("The secret and its picture. Nothing is asked for until a code has been confirmed."),
    op("POST", "/api/users/me/totp/confirm", "Ask for codes from now on").note("The recovery codes are told this once.").asks(r#"{"password": "correct horse battery staple", "code": "123456"}"#),
    op("DELETE", "/api/users/me/totp", "Ask for codes no more").asks(r#"{"password": "correct horse battery staple", "code": "123456"}"#),
    op("POST", "/api/users/me/recovery-codes", "Make new recovery codes").ok(&[201]).note("The ones before are void.").asks(r#"{"password": "correct horse battery staple"}"#),
    op("GET", "/api/users/me/identities", "List the accounts elsewhere that sign me in"),
    op("DELETE", "/api/users/me/identities/{id}", "Unlink an account elsewhere"),
    op("GET", "/auth/{provider}", "Sign in elsewhere").note("For browsers: leads to the provider of identities.").edit(extras::redirects),
    op("GET", "/auth/{provider}/callback", "Come back from elsewhere").note("For browsers: leads to where they wanted to go, or back to signing in with a reason.").edit(extras::redirects),
    op("GET", "/api/users/me/tokens", "List my API tokens"),
    op("POST", "/api/users/me/tokens", "Make an API token").ok(&[201])
        .note("The secret is told this once.")
        .asks(r#"{"name": "Nightly build", "scopes": ["read", "run"], "expires_in_days": 90}"#)
        .says(r#"{
            "token": {
                "id": "0199f1a2-7c3e-7b1a-9d50-3f0c8e1b2a44", "name": "Nightly build", "prefix": "cxd_Zk3", "scopes": ["read", "run"], "projects": null,
                "created_at": "2026-11-22T13:20:00Z", "expires_at": "2027-02-20T13:20:00Z", "last_used_at": null, "last_used_from": null
            },
            "secret": "cxd_Zk3hPq7w…"
        }"#),
    op("DELETE", "/api/users/me/tokens/{id}", "Revoke an API token"),
];
