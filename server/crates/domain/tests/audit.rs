//! The audit log has everything that it should, and shows whatever is done to it behind its back.

mod support;

use std::{fs, path::Path};

use domain::{
    Ctx, Error, admin,
    audit::{self, Facts},
    budgets::{self, CallEnd, CallOutcome, CallPlan, Reserved},
    chat, members, models, network, operator, permissions, projects, quotas, runs, settings,
};
use futures::TryStreamExt;
use serde_json::json;
use store::Db;
use support::Home;
use wire::{
    Micros, ProjectId, TurnId,
    admin::UpdateUser,
    audit::{AuditAction, AuditActorKind, AuditEntry, AuditOutcome, AuditQuery},
    budgets::{BudgetScope, Period, SetBudget},
    chat::{Approval, CreateConversation, DecideApproval, MessageBody, Mode, StartTurn, TokenUsage, ToolCall, ToolFacts},
    members::Invite,
    models::{Audience, CreateProvider, ProviderKind},
    network::{HostRule, UpdateNetwork},
    permissions::{NewPermissionRule, PermissionEffect},
    projects::{ProjectRole, UpdateProject, Visibility},
    quotas::QuotaOverride,
    runs::{Exit, ExitKind, RunState, RunUsage, StartRun},
    tokens::{CreateToken, Scope},
};

on_both! {
    a_call_of_the_agent_names_who_asked_allowed_and_paid,
    changes_behind_its_back_are_found,
    refusals_roll_nothing_forward_and_lost_transactions_leave_nothing,
    starts_and_limits_of_runs_are_kept,
    the_command_line_acts_under_its_own_name,
    what_people_decide_is_kept,
}

async fn execute(home: &Home, sql: &str) {
    let sql = sqlx::AssertSqlSafe(sql.to_owned());
    match &home.services.db {
        Db::Sqlite { write, .. } => drop(sqlx::query(sql).execute(write).await.unwrap()),
        Db::Postgres(pool) => drop(sqlx::query(sql).execute(pool).await.unwrap()),
    }
}

/// Whoever owns the database can take the triggers away.
async fn drop_triggers(home: &Home) {
    let of_table = if home.services.db.is_local() { "" } else { " ON audit_entries" };
    for trigger in ["audit_entries_stay", "audit_entries_remain"] {
        execute(home, &format!("DROP TRIGGER {trigger}{of_table}")).await;
    }
}

async fn entries(ctx: &Ctx) -> Vec<AuditEntry> {
    let mut all: Vec<AuditEntry> = audit::export(ctx, AuditQuery::default()).await.unwrap().try_collect().await.unwrap();
    all.reverse();
    all
}

async fn of(ctx: &Ctx, action: AuditAction) -> Vec<AuditEntry> {
    entries(ctx).await.into_iter().filter(|entry| entry.action == action).collect()
}

#[track_caller]
fn only(mut entries: Vec<AuditEntry>) -> AuditEntry {
    assert_eq!(entries.len(), 1, "{entries:#?}");
    entries.remove(0)
}

async fn changes_behind_its_back_are_found(home: Home) {
    let ada = home.person("ada").await;
    for number in 0..20 {
        audit::record_alone(&ada, AuditAction::SettingsChanged, Facts::about("settings", number, "test").with(json!({ "n": number })))
            .await;
    }
    let verdict = audit::verify(&ada).await.unwrap();
    assert!(verdict.holds && verdict.entries >= 20, "{verdict:?}");
    assert!(audit::has_hash(&ada, &verdict.head).await.unwrap() && !audit::has_hash(&ada, "other").await.unwrap());
    let refused = |sql: &'static str| {
        let db = home.services.db.clone();
        async move {
            match db {
                Db::Sqlite { write, .. } => sqlx::query(sql).execute(&write).await.is_err(),
                Db::Postgres(pool) => sqlx::query(sql).execute(&pool).await.is_err(),
            }
        }
    };
    assert!(refused("UPDATE audit_entries SET details = '{}' WHERE seq = 3").await, "entries are not changed by mistake");
    assert!(refused("DELETE FROM audit_entries WHERE seq = 3").await, "nor removed");

    drop_triggers(&home).await;
    let broken = async |sql: &[&str], back: &[&str], expected: &str| {
        for statement in sql {
            execute(&home, statement).await;
        }
        let found = audit::verify(&ada).await.unwrap();
        let problem = found.problem.unwrap_or_default();
        assert!(!found.holds && problem.contains(expected), "{sql:?}: {problem}");
        for statement in back {
            execute(&home, statement).await;
        }
        assert!(audit::verify(&ada).await.unwrap().holds, "{sql:?} was taken back");
    };
    for (column, value) in [
        ("details", "'{\"n\":7}'"),
        ("actor_name", "'nobody'"),
        ("at", "5"),
        ("outcome", "'refused'"),
        ("action", "'signed_in'"),
        ("request_id", "'x'"),
        ("target_name", "NULL"),
        ("address", "'10.0.0.1'"),
    ] {
        let save = "CREATE TABLE kept AS SELECT * FROM audit_entries WHERE seq = 9";
        let change = format!("UPDATE audit_entries SET {column} = {value} WHERE seq = 9");
        let back = format!("UPDATE audit_entries SET {column} = (SELECT {column} FROM kept) WHERE seq = 9");
        broken(&[save, &change], &[&back, "DROP TABLE kept"], "Entry 9 was changed").await;
    }
    // One is taken out of the middle.
    let keep = "CREATE TABLE kept AS SELECT * FROM audit_entries WHERE seq = 9";
    let put_back = "INSERT INTO audit_entries SELECT * FROM kept";
    broken(&[keep, "DELETE FROM audit_entries WHERE seq = 9"], &[put_back, "DROP TABLE kept"], "Entry 9 is missing").await;
    // Two change places.
    let swap = [
        "UPDATE audit_entries SET seq = -1 WHERE seq = 8",
        "UPDATE audit_entries SET seq = 8 WHERE seq = 9",
        "UPDATE audit_entries SET seq = 9 WHERE seq = -1",
    ];
    broken(&swap, &swap, "Entry 8 was changed").await;
    // The end is cut off; and one is put behind it.
    let last = verdict.entries;
    let keep = format!("CREATE TABLE kept AS SELECT * FROM audit_entries WHERE seq > {}", last - 3);
    let cut = format!("DELETE FROM audit_entries WHERE seq > {}", last - 3);
    broken(&[&keep, &cut], &[put_back, "DROP TABLE kept"], "are missing").await;
    let keep = format!("CREATE TABLE kept AS SELECT * FROM audit_entries WHERE seq = {last}");
    let forge = format!("UPDATE kept SET seq = {}", last + 1);
    let undo = format!("DELETE FROM audit_entries WHERE seq = {}", last + 1);
    broken(&[&keep, &forge, put_back], &[&undo, "DROP TABLE kept"], "behind the end").await;
    // The end is cut off and the head set back: only a head that was noted elsewhere shows that.
    execute(&home, &cut).await;
    execute(&home, &format!("UPDATE audit_head SET seq = {0}, hash = (SELECT hash FROM audit_entries WHERE seq = {0})", last - 3)).await;
    assert!(audit::verify(&ada).await.unwrap().holds);
    assert!(!audit::has_hash(&ada, &verdict.head).await.unwrap());
    execute(&home, "UPDATE audit_head SET hash = 'x'").await;
    assert!(audit::verify(&ada).await.unwrap().problem.unwrap().contains("end of the chain"));
}

async fn refusals_roll_nothing_forward_and_lost_transactions_leave_nothing(home: Home) {
    let (ada, ben) = (home.person("ada").await, home.person("ben").await);
    let before = entries(&ada).await.len();
    let mut tx = home.services.db.begin().await.unwrap();
    audit::record(&ada, &mut tx, AuditAction::SettingsChanged, Facts::none());
    drop(tx);
    assert!(settings::update_runs(&ben, wire::settings::RunSettings::default()).await.is_err());
    assert!(audit::verify(&ben).await.is_err() && audit::list(&ben, AuditQuery::default()).await.is_err());
    // The exports themselves are the only entries.
    assert_eq!(entries(&ada).await.len(), before + 1);
    assert!(entries(&ada).await.iter().skip(before).all(|entry| entry.action == AuditAction::AuditExported));
    let many: Vec<_> = (0..40)
        .map(|n| {
            let ctx = if n % 2 == 0 { ada.clone() } else { ben.clone() };
            tokio::spawn(async move { audit::record_alone(&ctx, AuditAction::SignedIn, Facts::none()).await })
        })
        .collect();
    for one in many {
        one.await.unwrap();
    }
    let verdict = audit::verify(&ada).await.unwrap();
    assert!(verdict.holds, "{verdict:?}");
    assert_eq!(entries(&ada).await.iter().map(|entry| entry.seq).collect::<Vec<_>>(), (1..=verdict.entries + 1).collect::<Vec<_>>());
}

async fn start_turn(ctx: &Ctx, project: ProjectId) -> TurnId {
    let conversation = chat::create_conversation(ctx, project, CreateConversation::default()).await.unwrap().id;
    let request = StartTurn { prompt: "Do it".to_owned(), mode: Mode::Ask, ..StartTurn::default() };
    chat::start_turn(ctx, conversation, request).await.unwrap().turn_id
}

fn priced() -> models::ResolvedModel {
    models::ResolvedModel {
        name: "priced".to_owned(),
        version_id: uuid::Uuid::from_u128(7).into(),
        kind: ProviderKind::OpenaiChat,
        base_url: "http://127.0.0.1:9/v1".to_owned(),
        remote_name: "priced".to_owned(),
        key: None,
        context_tokens: 100_000,
        max_output: 8000,
        images: false,
        prices: wire::models::Prices { input: 1_000_000, output: 1_000_000, cached: 0, cache_write: None },
        temperature: 0.2,
        reasoning: None,
        is_demo: false,
        trusted_host: true,
    }
}

async fn pay(ctx: &Ctx, turn: TurnId, project: ProjectId) {
    let model = priced();
    let plan = CallPlan {
        user: ctx.user_id().unwrap(),
        project: Some(project),
        conversation: None,
        turn: Some(turn),
        model: &model,
        input_tokens: 1000,
        output_max: 1000,
    };
    let Reserved::Granted(reservation) = budgets::reserve(ctx, plan).await.unwrap() else { panic!("there is a budget") };
    let usage = Some(TokenUsage { input: 40, output: 2, cached: 0 });
    let end = CallEnd { usage, cache_written: 0, estimate: None, first_token_ms: Some(1), duration_ms: 2, outcome: CallOutcome::Ok };
    assert_eq!(budgets::settle(ctx, reservation, end).await.unwrap().micros_usd, 42);
}

async fn a_call_of_the_agent_names_who_asked_allowed_and_paid(home: Home) {
    let (ada, ben) = (home.person("ada").await, home.person("ben").await);
    let project = home.project(&ada).await.id;
    members::invite(&ada, project, Invite { who: "ben".to_owned(), role: ProjectRole::Reviewer }).await.unwrap();
    let turn = start_turn(&ada, project).await;
    let agent = ada.as_agent(turn);
    chat::take_up_turn(&agent, turn).await.unwrap().unwrap();
    pay(&agent, turn, project).await;
    let call =
        |id: &str, name: &str| ToolCall { id: id.to_owned(), name: name.to_owned(), arguments: "{\"secret\":\"hunter2\"}".to_owned() };
    let calls = vec![call("c1", "run_command"), call("c2", "run_command"), call("c3", "write_file")];
    let (text, reasoning, usage) = (String::new(), String::new(), TokenUsage::default());
    let said = MessageBody::Assistant { text, reasoning, tool_calls: calls.clone(), usage };
    chat::append_message(&agent, turn, said).await.unwrap();
    chat::ask_approval(&agent, turn, &calls[..2]).await.unwrap();
    let decide = |decision| DecideApproval { decision, reason: Some("because of hunter2".to_owned()), remember: None };
    chat::decide_approval(&ben, turn, "c1", decide(Approval::Approve)).await.unwrap();
    chat::decide_approval(&ben, turn, "c2", decide(Approval::Reject)).await.unwrap();
    let facts = |bytes: Option<i64>, declined| ToolFacts { took_ms: Some(5), bytes_changed: bytes, declined, ..ToolFacts::default() };
    for (id, name, ok, facts) in [
        ("c1", "run_command", true, facts(None, false)),
        ("c2", "run_command", false, facts(None, true)),
        ("c3", "write_file", true, facts(Some(17), false)),
    ] {
        let body = MessageBody::Tool { call_id: id.into(), name: name.into(), ok, content: "hunter2".into(), facts };
        chat::append_message(&agent, turn, body).await.unwrap();
    }
    let called = of(&ada, AuditAction::ToolCalled).await;
    assert_eq!(called.len(), 3, "one entry a call");
    for entry in &called {
        assert_eq!((entry.actor.kind, entry.actor.id), (AuditActorKind::Agent, ada.user_id()));
        assert_eq!(entry.actor.by.as_deref(), Some(format!("turn:{turn}").as_str()));
        assert_eq!(entry.project_id, Some(project));
        assert_eq!(entry.details["model"], "priced", "{entry:?}");
        assert_eq!((&entry.details["answer_cost_micro_usd"], &entry.details["asked_by"]), (&json!(42), &json!(ada.user_id())));
    }
    assert_eq!(called[0].details["approved_by"]["name"], "ben");
    assert_eq!((called[1].outcome, &called[1].details["rejected_by"]["name"]), (AuditOutcome::Refused, &json!("ben")));
    assert_eq!((&called[2].details["bytes_changed"], &called[2].details["approved_by"]), (&json!(17), &json!(null)));
    let decided = of(&ada, AuditAction::ApprovalDecided).await;
    assert_eq!(decided.iter().map(|entry| entry.actor.name.as_str()).collect::<Vec<_>>(), ["ben", "ben"]);
    let everything = serde_json::to_string(&entries(&ada).await).unwrap();
    assert!(!everything.contains("hunter2"), "neither arguments nor results nor reasons are kept");
}

async fn starts_and_limits_of_runs_are_kept(home: Home) {
    let ada = home.person("ada").await;
    let project = home.project(&ada).await.id;
    let run = runs::start(&ada, project, StartRun::command("echo hunter2")).await.unwrap();
    runs::begin(&ada, run.id, "S3").await.unwrap();
    let exit = Exit { kind: ExitKind::OutOfMemory, code: None, signal: None, sentence: "Too much.".to_owned(), left_alive: 0 };
    runs::finish(&ada, run.id, RunState::Failed, exit.clone(), RunUsage::default(), Vec::new()).await.unwrap();
    runs::finish(&ada, run.id, RunState::Failed, exit, RunUsage::default(), Vec::new()).await.unwrap();
    let started = only(of(&ada, AuditAction::RunStarted).await);
    assert_eq!((started.details["tier"].as_str(), started.project_id), (Some("S3"), Some(project)));
    assert_eq!(started.target.unwrap().name, "sandbox_exec");
    let limited = only(of(&ada, AuditAction::RunLimited).await);
    assert_eq!(limited.details["limit"], "out_of_memory");
    assert!(!serde_json::to_string(&entries(&ada).await).unwrap().contains("hunter2"), "a command may hold anything");
}

async fn the_command_line_acts_under_its_own_name(home: Home) {
    let (ada, ben) = (home.person("ada").await, home.person("ben").await);
    let operator = Ctx::operator(&home.services, "root");
    let found = operator::find_user(&operator, "BEN@example.org").await.unwrap();
    assert_eq!(Some(found.id), ben.user_id());
    admin::update_user(&operator, found.id, UpdateUser { role: Some(wire::users::UserRole::Admin), state: None }).await.unwrap();
    let entry = only(of(&operator, AuditAction::RoleChanged).await);
    assert_eq!((entry.actor.kind, entry.actor.name.as_str(), entry.actor.id), (AuditActorKind::CommandLine, "root", None));
    let weak = operator::set_password(&operator, found.id, "password".to_owned()).await;
    assert!(matches!(weak, Err(Error::Invalid(_))), "{weak:?}");
    operator::set_password(&operator, found.id, "tin whistle on the moor".to_owned()).await.unwrap();
    assert!(!domain::auth::still_signed_in(&ben).await.unwrap(), "every session has ended");
    assert_eq!(only(of(&operator, AuditAction::PasswordReset).await).actor.kind, AuditActorKind::CommandLine);
    let request = CreateToken { name: "ci".to_owned(), scopes: vec![Scope::Read], projects: None, expires_in_days: Some(1) };
    let made = operator::create_token(&operator, found.id, request.clone()).await.unwrap();
    let by_token = domain::tokens::authenticate(&home.nobody(), &made.secret).await.unwrap();
    assert_eq!(by_token.user_id(), Some(found.id));
    let project = home.project(&ada).await.id;
    let foreign = operator::create_token(&operator, found.id, CreateToken { projects: Some(vec![project]), ..request.clone() }).await;
    assert!(matches!(foreign, Err(Error::Invalid(_))), "a token reaches no project that its owner does not");
    for refused in [operator::find_user(&ada, "ben").await.is_err(), operator::create_token(&ada, found.id, request).await.is_err()] {
        assert!(refused, "an administrator over the network is no operator");
    }
    assert!(matches!(projects::list(&operator).await, Err(Error::NotSignedIn)), "and an operator is nobody's account");
}

async fn what_people_decide_is_kept(home: Home) {
    let (ada, ben) = (home.person("ada").await, home.person("ben").await);
    let project = home.project(&ada).await.id;
    let user = ben.user_id().unwrap();
    settings::update_runs(&ada, wire::settings::RunSettings { egress: vec![HostRule("example.org".to_owned())], ..Default::default() })
        .await
        .unwrap();
    settings::update_storage(&ada, wire::quotas::StorageSettings::default()).await.unwrap();
    quotas::set_of_user(&ada, user, QuotaOverride { bytes: Some(1 << 40), ..QuotaOverride::default() }).await.unwrap();
    let budget = SetBudget {
        scope: BudgetScope::User,
        subject: Some(user.0),
        period: Period::Month,
        usd_micros: Some(5),
        tokens: None,
        version: None,
    };
    budgets::set(&ada, budget).await.unwrap();
    let provider = CreateProvider {
        name: "Other".to_owned(),
        kind: ProviderKind::OpenaiChat,
        base_url: "https://other.test/v1".to_owned(),
        key: Some("sk-very-secret-key-0123456789".to_owned()),
        own_keys: true,
    };
    let provider = models::create_provider(&ada, provider).await.unwrap();
    let own = wire::models::SetOwnKey { key: "sk-own-secret-key-9876543210".to_owned() };
    models::set_own_key(&ben, provider.id, own).await.unwrap();
    models::remove_own_key(&ben, provider.id).await.unwrap();
    let model = wire::models::CreateModel {
        provider_id: provider.id,
        name: "large".to_owned(),
        active: true,
        audience: Audience::Everyone,
        settings: wire::models::ModelSettings { remote_name: "large-1".to_owned(), ..Default::default() },
    };
    let model = models::create_model(&ada, model).await.unwrap();
    models::remove_model(&ada, model.id).await.unwrap();
    members::invite(&ada, project, Invite { who: "ben".to_owned(), role: ProjectRole::Editor }).await.unwrap();
    members::remove(&ada, project, user).await.unwrap();
    projects::update(&ada, project, UpdateProject { visibility: Some(Visibility::Public), ..Default::default() }).await.unwrap();
    network::update(&ada, project, UpdateNetwork { allow: vec![HostRule("example.org".to_owned())] }).await.unwrap();
    let rule = NewPermissionRule {
        effect: PermissionEffect::Allow,
        tool: Some("run_command".to_owned()),
        command_pattern: Some("cargo test *".to_owned()),
        path_pattern: None,
    };
    let rule = permissions::add(&ada, project, rule).await.unwrap();
    permissions::revoke(&ada, project, rule.id).await.unwrap();
    projects::delete(&ada, project).await.unwrap();

    let count = async |action| of(&ada, action).await.len();
    assert_eq!(count(AuditAction::SettingsChanged).await, 2);
    assert_eq!((count(AuditAction::QuotaChanged).await, count(AuditAction::BudgetChanged).await), (1, 1));
    assert_eq!((count(AuditAction::ModelProviderChanged).await, count(AuditAction::ModelChanged).await), (1, 2));
    assert_eq!(count(AuditAction::ModelKeyChanged).await, 3, "the installation's, and one that came and went");
    assert_eq!((count(AuditAction::MembersChanged).await, count(AuditAction::VisibilityChanged).await), (2, 2));
    assert_eq!((count(AuditAction::NetworkRulesChanged).await, count(AuditAction::PermissionRulesChanged).await), (1, 2));
    assert_eq!((count(AuditAction::ProjectCreated).await, count(AuditAction::ProjectDeleted).await), (1, 1));
    let everything = serde_json::to_string(&entries(&ada).await).unwrap();
    for secret in ["sk-very", "sk-own", "0123456789", "correct horse"] {
        assert!(!everything.contains(secret), "{secret} is in the log");
    }
    let about_project = AuditQuery { project: Some(project), from: Some(Micros(0)), ..AuditQuery::default() };
    let listed = audit::list(&ada, about_project).await.unwrap().items;
    assert!(listed.len() >= 8 && listed.iter().all(|entry| entry.project_id == Some(project)), "{}", listed.len());
    assert!(audit::verify(&ada).await.unwrap().holds);
}

fn read_sources(folder: &Path, found: &mut String) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            read_sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push_str(&fs::read_to_string(&path).unwrap());
        }
    }
}

/// What is in the list and never written would be looked for in vain.
#[test]
fn every_action_is_recorded_somewhere() {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = String::new();
    read_sources(&own.join("src"), &mut sources);
    read_sources(&own.join("../../src"), &mut sources);
    // What only counts entries writes none.
    let counts = sources.find("fn count(entry: &table::NewEntry)").expect("the counter of entries is there");
    let end = counts + sources[counts..].find("\n}\n").unwrap();
    sources.replace_range(counts..end, "");
    let is_recorded = |action: &&AuditAction| {
        let name = format!("AuditAction::{action:?}");
        sources.match_indices(&name).any(|(at, _)| !sources[at + name.len()..].starts_with(|c: char| c.is_alphanumeric()))
    };
    let never: Vec<_> = AuditAction::ALL.iter().filter(|action| !is_recorded(action)).collect();
    assert!(never.is_empty(), "never recorded: {never:?}");
}
