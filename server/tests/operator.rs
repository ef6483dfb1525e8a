//! What an operator does at the command line, with the real program, while another of it serves.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::{
    self, PASSWORD, SECRET, data_folder,
    program::{Program, free_port},
};

fn run(data: &Path, arguments: &[&str]) -> (i32, String, String) {
    Program::command(data, arguments, "")
}

/// Ends well, and answers what it said as JSON.
#[track_caller]
fn json_of(data: &Path, arguments: &[&str], input: &str) -> Value {
    let (code, out, err) = Program::command(data, &[arguments, &["--json"]].concat(), input);
    assert_eq!(code, 0, "{arguments:?}: {out}{err}");
    serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}"))
}

/// Without a server, from the first migration on.
#[test]
fn a_schema_is_told_of_before_it_is_touched() {
    let folder = data_folder();
    let data = folder.path();
    std::fs::create_dir(data.join("data")).unwrap();
    let (code, out, _) = run(data, &["migrate", "--status"]);
    assert!(code == 3 && out.contains("PENDING  0001") && out.contains("cloudxdevai migrate"), "{code} {out}");
    let status: Value = serde_json::from_str(&run(data, &["migrate", "--status", "--json"]).1).unwrap();
    assert!(status["applied"].as_array().unwrap().is_empty(), "a look changes nothing");
    assert_eq!(std::fs::read_dir(data.join("data")).unwrap().count(), 0, "and makes no database");
    assert_eq!(run(data, &["migrate"]).0, 0);
    let (code, out, _) = run(data, &["migrate", "--status"]);
    assert!(code == 0 && out.contains("applied  0001") && !out.contains("PENDING"), "{out}");
}

#[test]
fn what_is_wrong_is_said_and_ends_otherwise_than_well() {
    let folder = data_folder();
    let data = folder.path();
    for usage in
        [&["admin"][..], &["admin", "user"], &["admin", "user", "create", "ada"], &["admin", "user", "create", "a", "b", "--password", "x"]]
    {
        assert_eq!(run(data, usage).0, 2, "{usage:?}");
    }
    let (code, out, err) = run(data, &["admin", "user", "disable", "nobody-there"]);
    assert!(code == 1 && out.is_empty() && err.contains("There is no such user"), "{out}{err}");
    let (code, _, err) = Program::command(data, &["admin", "user", "create", "ada", "not an address", "--password-stdin"], "password\n");
    assert!(code == 1 && err.contains("email:") && err.contains("password:"), "each field is named: {err}");
    let (code, _, err) = Program::command(data, &["admin", "user", "create", "ada", "x", "--json", "--password-stdin"], "password\n");
    let told: Value = serde_json::from_str(&err).unwrap();
    assert!(code == 1 && told["fields"].as_array().unwrap().len() == 2, "{told}");
    let (code, _, err) = Program::command(data, &["admin", "user", "create", "ada", "ada@example.org", "--password-stdin"], "");
    assert!(code == 1 && err.contains("no password"), "{err}");
    let (code, out, _) = run(data, &["openapi"]);
    let document: Value = serde_json::from_str(&out).unwrap();
    assert!(code == 0 && document["openapi"].as_str().unwrap().starts_with("3."), "{}", document["openapi"]);
    let (code, out, _) = run(data, &["doctor", "--json"]);
    let health: Value = serde_json::from_str(&out).unwrap();
    let state = |name: &str| health["checks"].as_array().unwrap().iter().find(|c| c["name"] == name).unwrap()["state"].clone();
    assert_eq!((code, state("migrations"), state("database")), (0, json!("ok"), json!("ok")));
}

#[test]
fn a_configuration_is_looked_at_before_it_is_used() {
    let folder = data_folder();
    let data = folder.path();
    let (code, out, err) = run(data, &["config", "check"]);
    assert!(code == 0 && err.is_empty(), "{code} {err}");
    assert!(out.contains("APP_PORT") && out.contains("JWT_SECRET_KEY") && !out.contains(SECRET), "a secret is not printed: {out}");
    assert!(!data.join("data").exists(), "a look makes nothing");

    // Every wrong value at once, by name.
    let wrong = "APP_PORT = \"many\"\nJWT_ACCESS_TOKEN_EXPIRE_MINUTES = 0\n";
    std::fs::write(data.join("cloudxdevai.toml"), wrong).unwrap();
    let (code, out, err) = run(data, &["config", "check"]);
    assert!(code == 1 && out.is_empty(), "{code} {out}");
    assert!(err.contains("APP_PORT:") && err.contains("JWT_ACCESS_TOKEN_EXPIRE_MINUTES:"), "{err}");
    let (code, _, again) = run(data, &["serve"]);
    assert!(code == 1 && again == err, "what would not pass does not serve: {again}");
    assert_eq!(run(data, &["config"]).0, 2, "a look at what?");
}

#[tokio::test]
async fn accounts_are_looked_after_while_the_server_runs() {
    llm::install_crypto();
    let folder = data_folder();
    let data = folder.path();
    let port = free_port();
    let program = Program::spawn(data, port, &["serve", "--no-worker"], &[("PROMETHEUS_ENABLED", "false")]);
    program.ready().await;
    let nobody = program.caller();

    // An administrator with a password, and somebody with a link.
    let made =
        json_of(data, &["admin", "user", "create", "ada", "ada@example.org", "--admin", "--password-stdin"], &format!("{PASSWORD}\n"));
    assert!(made["user"]["role"] == "admin" && made["link"].is_null(), "{made}");
    let ada = nobody.sign_in("ada", PASSWORD).await;
    ada.get("/api/admin/users").await.expect(200);
    let made = json_of(data, &["admin", "user", "create", "ben", "ben@example.org", "--full-name", "Ben B."], "");
    let address = made["link"]["address"].as_str().unwrap();
    let (page, token) = address.split_once("?token=").unwrap();
    assert_eq!(page, "/reset");
    let set = json!({ "token": token, "new_password": "tin whistle on the moor" });
    nobody.post("/api/auth/reset", &set).await.expect(204);
    assert!(nobody.post("/api/auth/reset", &set).await.status >= 400, "a link works once");
    let ben = nobody.sign_in("ben", "tin whistle on the moor").await;
    let (code, out, _) = run(data, &["admin", "user", "list", "--search", "ben"]);
    assert!(code == 0 && out.contains("ben@example.org") && !out.contains("ada@example.org"), "{out}");

    // Out at the next request, and in again.
    json_of(data, &["admin", "user", "disable", "BEN@example.org"], "");
    ben.get("/api/users/me").await.expect(401);
    assert_eq!(nobody.login("ben", "tin whistle on the moor").await.status, 401);
    json_of(data, &["admin", "user", "enable", "ben"], "");
    let ben = nobody.sign_in("ben", "tin whistle on the moor").await;
    json_of(data, &["admin", "user", "sign-out", "ben"], "");
    ben.get("/api/users/me").await.expect(401);
    let (code, _, err) = run(data, &["admin", "user", "disable", "ada"]);
    assert!(code == 1 && err.contains("last active administrator"), "{err}");
    json_of(data, &["admin", "user", "make-admin", "ben"], "");
    let ben = nobody.sign_in("ben", "tin whistle on the moor").await;
    ben.get("/api/admin/users").await.expect(200);

    // What only administrators may, or another role in a project, and others try is kept, once for each way they try it.
    json_of(data, &["admin", "user", "create", "cleo", "cleo@example.org", "--password-stdin"], "a ferry across the fjord");
    let cleo = nobody.sign_in("cleo", "a ferry across the fjord").await;
    let project = support::fixture::project(&ada, "Shared").await;
    ada.post(&format!("/api/projects/{project}/members"), &json!({ "who": "cleo", "role": "viewer" })).await.expect(201);
    for _ in 0..3 {
        cleo.get("/api/admin/users").await.expect(403);
        cleo.patch(&format!("/api/projects/{project}"), &json!({ "name": "Mine" })).await.expect(403);
        cleo.get("/api/projects/01a20329-d174-7548-8be8-41c8fc622153").await.expect(404);
    }

    // A new password ends what was open.
    json_of(data, &["admin", "user", "reset-password", "ben", "--password-stdin"], "a new one for the harbour\n");
    ben.get("/api/users/me").await.expect(401);
    nobody.sign_in("ben", "a new one for the harbour").await;
    let link = json_of(data, &["admin", "user", "reset-password", "ben"], "");
    assert!(link["link"]["address"].as_str().unwrap().starts_with("/reset?token="), "{link}");

    // A token for a program; it alone is printed, so that it can go straight into a file.
    let (code, out, _) = run(data, &["admin", "token", "create", "ada", "--name", "ci", "--scope", "read,admin", "--days", "30"]);
    let secret = out.trim();
    assert!(code == 0 && secret.starts_with("cxd_") && !secret.contains(' '), "{out}");
    let program_of_ada = nobody.with_bearer(secret);
    program_of_ada.get("/api/users/me").await.expect(200);
    program_of_ada.get("/api/admin/users").await.expect(200);
    assert_eq!(program_of_ada.post("/api/projects", &json!({ "name": "X" })).await.status, 403, "it lacks the scope write");

    // All of it is in the audit log, as the command line's.
    let (code, out, _) = run(data, &["admin", "audit", "export"]);
    assert_eq!(code, 0);
    let entries: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let by_operator: Vec<&str> = entries
        .iter()
        .filter(|entry| entry["actor"]["kind"] == "command_line")
        .map(|entry| {
            assert_eq!(entry["actor"]["name"], "tester");
            entry["action"].as_str().unwrap()
        })
        .collect();
    for action in [
        "account_created",
        "account_disabled",
        "account_enabled",
        "role_changed",
        "password_reset",
        "reset_link_made",
        "token_made",
        "all_sessions_revoked",
    ] {
        assert!(by_operator.contains(&action), "{action} is missing: {by_operator:?}");
    }
    let refused = entries.iter().filter(|entry| entry["action"] == "access_refused" && entry["outcome"] == "refused");
    let refused: Vec<_> = refused.map(|entry| json!([entry["actor"]["kind"], entry["actor"]["name"], entry["target"]["id"]])).collect();
    let kept = [["token", "ada", "/api/projects"], ["person", "cleo", "/api/projects/{id}"], ["person", "cleo", "/api/admin/users"]];
    assert_eq!(json!(refused), json!(kept));
    for secret in [PASSWORD, "tin whistle", "the fjord", "the harbour", secret, token] {
        assert!(!out.contains(secret), "a secret is in the audit log");
    }
    let verdict = json_of(data, &["admin", "audit", "verify"], "");
    assert_eq!(verdict["holds"], true);
    let head = verdict["head"].as_str().unwrap().to_owned();
    assert_eq!(run(data, &["admin", "audit", "verify", "--head", &head]).0, 0);
    let (code, out, _) = run(data, &["admin", "audit", "verify", "--head", &"0".repeat(63)]);
    assert!(code == 3 && out.contains("not in the log"), "{out}");
    program.terminate();

    // Behind its back, as whoever has the file can.
    let url = format!("sqlite:{}", data.join("data/cloudxdevai.db").display());
    let database = sqlx::SqlitePool::connect(&url).await.unwrap();
    for sql in ["DROP TRIGGER audit_entries_stay", "UPDATE audit_entries SET actor_name = 'somebody else' WHERE seq = 2"] {
        sqlx::query(sql).execute(&database).await.unwrap();
    }
    database.close().await;
    let (code, out, _) = run(data, &["admin", "audit", "verify"]);
    assert!(code == 3 && out.contains("Entry 2 was changed"), "{code} {out}");
}
