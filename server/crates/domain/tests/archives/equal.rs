//! Every row that belongs to a project, before and after its journey through an archive. Tables and columns are found in the database, so
//! one that is added later is compared as well, or has to be named here with the reason why it is not.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{Cursor, Read, Write},
};

use domain::{
    Ctx,
    budgets::{self, CallEnd, CallOutcome, CallPlan, Reserved},
    changes, chat, context, files,
    jobs::JobError,
    network, permissions, projects, runs, test_reports, usage,
};
use serde_json::Value;
use sha2::{Digest, Sha256};
use sqlx::AssertSqlSafe;
use store::Conn;
use uuid::Uuid;
use wire::{
    ConversationId, Micros, ProjectId, TurnId,
    budgets::{BudgetLimits, BudgetScope, UsageGroup, UsageQuery},
    changes::AddComment,
    chat::{
        Approval, CreateConversation, DecideApproval, ForkConversation, MessageBody, Queued, RewindConversation, RewindOutcome, StartTurn,
        TokenUsage, ToolCall, ToolFacts, TurnReason, UndoRewind, Window,
    },
    context::{ContextChoice, ImageRef, Mention, SetCompaction},
    network::{EgressEntry, HostRule, UpdateNetwork},
    permissions::{NewPermissionRule, PermissionEffect},
    runs::{Exit, ExitKind, RunKind, RunState, RunUsage, StartRun},
    test_reports::{Framework, TestReport, TestSettings},
};

use super::{export, forge, import, live_a_little, save, support::Home};

/// Tables with rows of a project that an archive does not take along.
const LEFT_OUT: &[(&str, &str)] = &[
    ("project_members", "who works on it is decided where it is"),
    ("invitations", "the same"),
    ("admin_access", "who looked into it there"),
    ("presence", "who has it open there"),
    ("uploads", "had not ended"),
    ("upload_pieces", "the same"),
    ("exports", "archives of it"),
    ("export_holds", "archives of it that are being made"),
    ("imports", "where it came from"),
    ("staged_imports", "had not ended"),
    ("staged_files", "the same"),
    ("terminals", "live"),
    ("project_quotas", "what administrators set"),
    ("jobs", "work of the server"),
    ("audit_entries", "what the server has to answer for"),
    ("usage_daily", "sums of the ledger, by the server's days"),
    ("budget_counters", "what was used on the server"),
    ("event_streams", "counted with the events"),
];

/// Columns that differ, or may.
const DIFFERENT: &[(&str, &str, &str)] = &[
    ("projects", "name", "the importer chooses it"),
    ("projects", "owner_id", "the importer"),
    ("projects", "visibility", "decided where it is"),
    ("projects", "storage_backend", "the server's"),
    ("projects", "moving_to", "the server's"),
    ("projects", "moving_job", "the server's"),
    ("projects", "moved_at", "the server's"),
    ("projects", "history_bytes", "at least what is held; counted anew"),
    ("projects", "past_versions", "the same"),
    ("projects", "version_floor", "nobody has seen a version of the copy yet"),
    ("projects", "forgotten_revision", "nobody has a revision of the copy yet"),
    ("projects", "created_at", "when it was imported"),
    ("projects", "updated_at", "the same"),
    ("runs", "job_id", "work of the server"),
    ("runs", "env", "values may be secrets; the names are compared apart"),
    ("turns", "job_id", "work of the server"),
    ("turns", "stop_requested", "only matters while it goes on"),
    ("messages", "turn_event", "a place in the events that open pages follow"),
    ("queued_prompts", "held", "begins only when a person sends it"),
    ("queued_prompts", "urgent", "the same"),
    ("queued_prompts", "version", "counts changes on the server"),
    ("permission_rules", "waits", "what allows waits for a person"),
    ("project_run_settings", "egress_json", "what is open waits for a person; compared apart"),
    ("project_run_settings", "egress_waits_json", "the same"),
    ("ledger", "imported", "counts in no budget here"),
    ("ledger", "model_version_id", "models are the server's"),
    ("ledger", "reserved_input", "only matters while it goes on"),
    ("ledger", "reserved_output", "the same"),
    ("ledger", "reserved_micros", "the same"),
    ("budgets", "subject", "compared by its scope"),
    ("budgets", "version", "counts changes on the server"),
];

/// Columns that say whose a row is, and how it is told whether that is the project `$1`.
const OWNERS: &[(&str, &str)] = &[
    ("project_id", "project_id = $1"),
    ("conversation_id", "conversation_id IN (SELECT id FROM conversations WHERE project_id = $1)"),
    ("turn_id", "turn_id IN (SELECT id FROM turns WHERE project_id = $1)"),
    ("change_set_id", "change_set_id IN (SELECT id FROM change_sets WHERE project_id = $1)"),
    ("run_id", "run_id IN (SELECT id FROM runs WHERE project_id = $1)"),
    ("upload_id", "upload_id IN (SELECT id FROM uploads WHERE project_id = $1)"),
    ("subject", "(subject = $1 OR subject IN (SELECT id FROM conversations WHERE project_id = $1))"),
    ("stream", "stream LIKE 'run:%'"),
];

async fn texts(conn: &mut Conn, sql: String, project: Option<ProjectId>) -> Vec<String> {
    let sql = AssertSqlSafe(sql);
    match (conn, project) {
        (Conn::Sqlite(handle), Some(id)) => sqlx::query_scalar(sql).bind(id).fetch_all(handle.get()).await.unwrap(),
        (Conn::Sqlite(handle), None) => sqlx::query_scalar(sql).fetch_all(handle.get()).await.unwrap(),
        (Conn::Postgres(handle), Some(id)) => sqlx::query_scalar(sql).bind(id).fetch_all(handle.get()).await.unwrap(),
        (Conn::Postgres(handle), None) => sqlx::query_scalar(sql).fetch_all(handle.get()).await.unwrap(),
    }
}

async fn tables(conn: &mut Conn) -> BTreeMap<String, Vec<String>> {
    let (list, columns) = match conn {
        Conn::Sqlite(_) => ("SELECT name FROM sqlite_master WHERE type = 'table'", "SELECT name FROM pragma_table_info('{}')"),
        Conn::Postgres(_) => (
            "SELECT table_name::text FROM information_schema.tables WHERE table_schema = current_schema() AND table_type = 'BASE TABLE'",
            "SELECT column_name::text FROM information_schema.columns WHERE table_schema = current_schema() AND table_name = '{}'",
        ),
    };
    let mut found = BTreeMap::new();
    for table in texts(conn, list.to_owned(), None).await {
        let names = texts(conn, columns.replace("{}", &table), None).await;
        found.insert(table, names);
    }
    found
}

/// All rows of a project by table, each as an object of its columns.
async fn dump(ctx: &Ctx, project: ProjectId) -> BTreeMap<String, Vec<Value>> {
    let mut conn = ctx.services().db.read().await.unwrap();
    let mut rows = BTreeMap::new();
    let streams: BTreeSet<String> = runs::list(ctx, project).await.unwrap().into_iter().map(|run| format!("run:{}", run.id)).collect();
    for (table, columns) in tables(&mut conn).await {
        let has = |name: &str| columns.iter().any(|column| column == name);
        let owner = if table == "projects" {
            Some("id = $1")
        } else {
            // Accounts elsewhere have subjects as well; those of budgets stand beside their scope.
            OWNERS.iter().find(|(column, _)| has(column) && (*column != "subject" || has("scope"))).map(|(_, filter)| *filter)
        };
        let Some(filter) = owner.filter(|_| LEFT_OUT.iter().all(|(name, _)| *name != table)) else { continue };
        let sql = match conn {
            Conn::Sqlite(_) => {
                let value = |name: &String| {
                    format!("'{name}', CASE typeof(\"{name}\") WHEN 'blob' THEN lower(hex(\"{name}\")) ELSE \"{name}\" END")
                };
                let values: Vec<String> = columns.iter().map(value).collect();
                format!("SELECT json_object({}) FROM \"{table}\" t WHERE {filter}", values.join(", "))
            }
            Conn::Postgres(_) => format!("SELECT to_jsonb(t)::text FROM \"{table}\" t WHERE {filter}"),
        };
        let bound = filter.contains("$1").then_some(project);
        let mut found: Vec<Value> = texts(&mut conn, sql, bound).await.iter().map(|row| serde_json::from_str(row).unwrap()).collect();
        if table == "events" {
            found.retain(|row| streams.contains(row["stream"].as_str().unwrap()));
        }
        for row in &mut found {
            for (_, column, _) in DIFFERENT.iter().filter(|(name, ..)| *name == table) {
                assert!(row.as_object_mut().unwrap().remove(*column).is_some(), "{table}.{column} is named and not there");
            }
        }
        rows.insert(table, found);
    }
    rows
}

/// Gives every id in a value the one that `new` says; ids alone in 32 digits get their dashes.
fn map_ids(value: &mut Value, new: &impl Fn(Uuid) -> Uuid) {
    match value {
        Value::String(text) => {
            if text.len() == 32
                && let Ok(id) = Uuid::try_parse(text)
            {
                *text = id.to_string();
            }
            let mut out = String::new();
            let mut rest = text.as_str();
            while let Some(first) = rest.chars().next() {
                match rest.get(..36).filter(|part| part.as_bytes()[8] == b'-').and_then(|part| Uuid::try_parse(part).ok()) {
                    Some(id) => {
                        out.push_str(&new(id).to_string());
                        rest = &rest[36..];
                    }
                    None => {
                        out.push(first);
                        rest = &rest[first.len_utf8()..];
                    }
                }
            }
            *text = out;
        }
        Value::Array(items) => items.iter_mut().for_each(|item| map_ids(item, new)),
        Value::Object(fields) => fields.values_mut().for_each(|field| map_ids(field, new)),
        _ => {}
    }
}

/// What an import makes of an id.
fn imported(project: ProjectId, old: Uuid) -> Uuid {
    let digest = Sha256::new().chain_update(project.0.as_bytes()).chain_update(old.as_bytes()).finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    bytes[..6].copy_from_slice(&old.as_bytes()[..6]);
    uuid::Builder::from_bytes(bytes).with_version(uuid::Version::SortRand).with_variant(uuid::Variant::RFC4122).into_uuid()
}

fn sorted(rows: Vec<Value>, new: &impl Fn(Uuid) -> Uuid) -> Vec<String> {
    let mut lines: Vec<String> = rows
        .into_iter()
        .map(|mut row| {
            map_ids(&mut row, new);
            row.to_string()
        })
        .collect();
    lines.sort_unstable();
    lines
}

/// Compares them row by row; every table has to have some, or nothing was compared.
async fn assert_same(ctx: &Ctx, old: ProjectId, new: ProjectId, people: &[Uuid]) {
    let (before, mut after) = (dump(ctx, old).await, dump(ctx, new).await);
    let to_new = |id: Uuid| match id {
        id if id.is_nil() || people.contains(&id) => id,
        id if id == old.0 => new.0,
        id => imported(new, id),
    };
    for (table, rows) in before {
        assert!(!rows.is_empty(), "the test has no row of {table}: give it one, or name the table with the reason why it is left out");
        let (ours, theirs) = (sorted(rows, &to_new), sorted(after.remove(&table).unwrap(), &|id| id));
        for (ours, theirs) in ours.iter().zip(&theirs) {
            assert_eq!(ours, theirs, "{table}");
        }
        assert_eq!(ours.len(), theirs.len(), "{table}");
    }
}

fn png() -> Vec<u8> {
    [&[0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a][..], b"not much of a picture"].concat()
}

async fn picture(ctx: &Ctx, project: ProjectId, name: &str, more: &[u8]) -> ImageRef {
    let bytes = [png(), more.to_vec()].concat();
    context::upload_image(ctx, project, name, Box::pin(std::io::Cursor::new(bytes))).await.unwrap()
}

async fn pay(ctx: &Ctx, project: ProjectId, at: Option<(ConversationId, TurnId)>, input: i64) {
    let model = domain::models::ResolvedModel {
        name: "priced".to_owned(),
        version_id: Uuid::from_u128(7).into(),
        kind: wire::models::ProviderKind::OpenaiChat,
        base_url: "http://127.0.0.1:9/v1".to_owned(),
        remote_name: "priced".to_owned(),
        key: None,
        context_tokens: 100_000,
        max_output: 8000,
        images: false,
        prices: wire::models::Prices { input: 10_000_000, output: 20_000_000, cached: 1_000_000, cache_write: None },
        temperature: 0.2,
        reasoning: None,
        is_demo: false,
        trusted_host: true,
    };
    let plan = CallPlan {
        user: ctx.user_id().unwrap(),
        project: Some(project),
        conversation: at.map(|at| at.0),
        turn: at.map(|at| at.1),
        model: &model,
        input_tokens: 1000,
        output_max: 500,
    };
    let Reserved::Granted(reservation) = budgets::reserve(ctx, plan).await.unwrap() else { panic!("refused") };
    let usage = Some(TokenUsage { input, output: 7, cached: 0 });
    let end = CallEnd { usage, cache_written: 0, estimate: None, first_token_ms: Some(9), duration_ms: 40, outcome: CallOutcome::Ok };
    budgets::settle(ctx, reservation, end).await.unwrap();
}

async fn say(ctx: &Ctx, turn: TurnId, text: &str) -> wire::chat::Message {
    let usage = TokenUsage { input: 3, output: 4, cached: 0 };
    let body = MessageBody::Assistant { text: text.to_owned(), reasoning: "Hm.".to_owned(), tool_calls: vec![], usage };
    chat::append_message(&ctx.as_agent(turn), turn, body).await.unwrap()
}

async fn end(ctx: &Ctx, turn: TurnId, reason: TurnReason) {
    chat::finish_turn(&ctx.as_agent(turn), turn, reason, "").await.unwrap();
}

async fn talk(ctx: &Ctx, project: ProjectId, title: &str) -> ConversationId {
    chat::create_conversation(ctx, project, CreateConversation { title: Some(title.to_owned()) }).await.unwrap().id
}

async fn ask(ctx: &Ctx, conversation: ConversationId, request: StartTurn) -> TurnId {
    let turn = chat::start_turn(ctx, conversation, request).await.unwrap().turn_id;
    chat::take_up_turn(&ctx.as_agent(turn), turn).await.unwrap().unwrap();
    turn
}

fn prompt(text: &str) -> StartTurn {
    StartTurn { prompt: text.to_owned(), ..StartTurn::default() }
}

/// A turn with a picture, mentions, a question, a tool that made a run, a summary and what it cost.
async fn long_turn(ctx: &Ctx, project: ProjectId, conversation: ConversationId) {
    let run = runs::list(ctx, project).await.unwrap()[0].id;
    let choice = ContextChoice { mentions: vec![Mention::Run { run_id: run }], without: vec![format!("m1.a:{run}")], compact: false };
    let images = vec![picture(ctx, project, "shot.png", b"").await];
    let turn = ask(ctx, conversation, StartTurn { images, context: choice, ..prompt("Look at this") }).await;
    let agent = ctx.as_agent(turn);
    let calls = ["a", "b"].map(|id| ToolCall { id: id.to_owned(), name: "run_command".to_owned(), arguments: "{}".to_owned() });
    chat::ask_approval(&agent, turn, &calls).await.unwrap();
    for (call, decision) in calls.iter().zip([Approval::Approve, Approval::Reject]) {
        let answer = DecideApproval { decision, reason: Some("Because".to_owned()), remember: None };
        chat::decide_approval(ctx, turn, &call.id, answer).await.unwrap();
    }
    chat::take_up_turn(&agent, turn).await.unwrap().unwrap();
    let usage = TokenUsage { input: 5, output: 6, cached: 1 };
    let body = MessageBody::Assistant { text: "I run it".to_owned(), reasoning: String::new(), tool_calls: calls.to_vec(), usage };
    chat::append_message(&agent, turn, body).await.unwrap();
    chat::add_usage(&agent, turn, usage).await.unwrap();
    let facts = ToolFacts { run_id: Some(run), took_ms: Some(3), ..ToolFacts::default() };
    let body = MessageBody::Tool { call_id: "a".into(), name: "run_command".into(), ok: true, content: "one".into(), facts };
    chat::append_message(&agent, turn, body).await.unwrap();
    pay(ctx, project, Some((conversation, turn)), 900).await;
    let last = say(ctx, turn, "Seen").await;
    let summary = context::record_compaction(&agent, turn, "In short".to_owned(), last.seq - 1, 900, 30).await.unwrap();
    context::set_compaction(ctx, conversation, summary.seq, SetCompaction { undone: true }).await.unwrap();
    end(ctx, turn, TurnReason::Done).await;
}

/// Takes turns back, with and without files; one of them is undone.
async fn go_back(ctx: &Ctx, project: ProjectId, conversation: ConversationId) {
    save(ctx, project, "kept.txt", "one\n").await;
    let first = ask(ctx, conversation, prompt("change it")).await;
    say(ctx, first, "changed").await;
    end(ctx, first, TurnReason::Done).await;
    save(ctx, project, "kept.txt", "two\n").await;
    let back = |files, expected_revision| RewindConversation { turn_id: first, chat: true, files, expected_revision, paths: None };
    let RewindOutcome::Rewound { rewind, .. } = chat::rewind(ctx, conversation, back(false, None)).await.unwrap() else { panic!() };
    chat::undo_rewind(ctx, rewind.id, UndoRewind::default()).await.unwrap();
    let revision = chat::preview_rewind(ctx, conversation, first).await.unwrap().files.unwrap().revision;
    let done = chat::rewind(ctx, conversation, back(true, Some(revision))).await.unwrap();
    assert!(matches!(done, RewindOutcome::Rewound { .. }), "{done:?}");
}

/// A change that nobody has decided, with what was said about it.
async fn open_change(ctx: &Ctx, project: ProjectId, conversation: ConversationId) {
    let turn = ask(ctx, conversation, prompt("propose it")).await;
    let stored = ctx.services().storage.local.put_bytes(b"proposed\n".to_vec()).await.unwrap();
    let new_size = stored.size;
    let file = changes::ProposedFile {
        path: "proposed.txt".to_owned(),
        kind: wire::files::EntryKind::File,
        is_retyped: false,
        old: None,
        new: Some((stored.sha256, 0o644)),
        new_size,
    };
    let revision = projects::get(ctx, project).await.unwrap().revision;
    let set = changes::create(ctx, turn, revision, vec![file]).await.unwrap().unwrap();
    end(ctx, turn, TurnReason::Done).await;
    let request = AddComment { hunk_id: set.files[0].hunks[0].id, text: "Why?".to_owned() };
    changes::comment(ctx, set.change_set_id, request).await.unwrap();
}

async fn tested_run(ctx: &Ctx, project: ProjectId) {
    let request = StartRun { kind: RunKind::TestRunner, ..StartRun::command("pytest") };
    let run = runs::start(ctx, project, request).await.unwrap();
    runs::begin(ctx, run.id, "s2").await.unwrap();
    let entry = EgressEntry { run_id: run.id, host: "pypi.org".into(), port: 443, allowed: false, reason: "Closed.".into(), at: Micros(1) };
    network::record(ctx, run.id, vec![entry]).await.unwrap();
    let exit = Exit { kind: ExitKind::Exited, code: Some(0), signal: None, sentence: "It ended well.".to_owned(), left_alive: 0 };
    runs::finish(ctx, run.id, RunState::Succeeded, exit, RunUsage::default(), Vec::new()).await.unwrap();
    let report = TestReport { framework: Framework::Pytest, passed: 2, failed: 0, skipped: 0, cases: Vec::new(), truncated: false };
    let mut tx = ctx.services().db.begin().await.unwrap();
    store::test_reports::put(&mut tx, run.id, &report).await.unwrap();
    let _committed = tx.commit().await.unwrap();
    let asked = StartRun { max_tokens: Some(300), temperature: Some(0.5), ..StartRun::prompt("Write it") };
    let run = chat::start_codegen(ctx, project, asked).await.unwrap();
    let (turn, _) = store::codegen::turn_of(&mut ctx.services().db.read().await.unwrap(), run.id).await.unwrap().unwrap();
    chat::take_up_turn(&ctx.as_agent(turn), turn).await.unwrap().unwrap();
    chat::begin_codegen_run(&ctx.as_agent(turn), turn).await.unwrap();
    say(ctx, turn, "Written").await;
    end(ctx, turn, TurnReason::Done).await;
}

fn rule(effect: PermissionEffect, pattern: &str) -> NewPermissionRule {
    NewPermissionRule { effect, tool: Some("run_command".to_owned()), command_pattern: Some(pattern.to_owned()), path_pattern: None }
}

async fn settle_in(ctx: &Ctx, project: ProjectId, conversation: ConversationId) {
    for (effect, pattern) in [(PermissionEffect::Allow, "make *"), (PermissionEffect::Deny, "rm *"), (PermissionEffect::Ask, "git *")] {
        permissions::add(ctx, project, rule(effect, pattern)).await.unwrap();
    }
    let open = wire::settings::RunSettings { egress: vec![HostRule("pypi.org".to_owned())], ..Default::default() };
    domain::settings::update_runs(ctx, open).await.unwrap();
    network::update(ctx, project, UpdateNetwork { allow: vec![HostRule("pypi.org".to_owned())] }).await.unwrap();
    let tests = TestSettings { command: Some("make test".into()), report: Some("out/junit.xml".into()), recognised: None };
    test_reports::update_settings(ctx, project, tests).await.unwrap();
    let limits = BudgetLimits { usd_micros: Some(5_000_000), ..BudgetLimits::default() };
    budgets::set_of_project(ctx, project, limits).await.unwrap();
    budgets::set_of_conversation(ctx, conversation, BudgetLimits { tokens: Some(500_000), usd_micros: None, ..limits }).await.unwrap();
}

/// Messages that wait, one with a picture, in a conversation where nothing goes on.
async fn leave_waiting(ctx: &Ctx, project: ProjectId, conversation: ConversationId) {
    let turn = ask(ctx, conversation, prompt("first")).await;
    let images = vec![picture(ctx, project, "later.png", b"2").await];
    for request in [prompt("second"), StartTurn { images, ..prompt("third") }] {
        assert!(matches!(chat::enqueue(ctx, conversation, request).await.unwrap(), Queued::Waiting { .. }));
    }
    end(ctx, turn, TurnReason::Budget).await;
}

async fn live_fully(ctx: &Ctx, project: ProjectId) {
    for (path, text) in [("README.md", "# First\n"), ("src/main.py", "print(1)\n")] {
        save(ctx, project, path, text).await;
    }
    live_a_little(ctx, project).await;
    tested_run(ctx, project).await;
    let conversation = talk(ctx, project, "All of it").await;
    settle_in(ctx, project, conversation).await;
    long_turn(ctx, project, conversation).await;
    go_back(ctx, project, conversation).await;
    open_change(ctx, project, conversation).await;
    chat::fork(ctx, conversation, ForkConversation { seq: 2, title: None }).await.unwrap();
    leave_waiting(ctx, project, talk(ctx, project, "Waits").await).await;
    let removed = talk(ctx, project, "Removed").await;
    open_change(ctx, project, removed).await;
    chat::delete_conversation(ctx, removed).await.unwrap();
    pay(ctx, project, None, 100).await;
}

async fn spent(ctx: &Ctx, project: ProjectId) -> (i64, i64) {
    let asked = UsageQuery { group_by: UsageGroup::Conversation, ..UsageQuery::default() };
    let total = usage::of_project(ctx, project, asked).await.unwrap().total;
    (total.calls, total.cost_micros())
}

pub async fn a_project_with_everything_comes_back_equal(home: Home) {
    let ada = &home.person("ada").await;
    let project = home.project(ada).await.id;
    live_fully(ada, project).await;
    let (cost, mine) = (spent(ada, project).await, usage::mine(ada, UsageQuery::default()).await.unwrap().total);
    assert_eq!(cost.0, 2);

    let archive = export(ada, project, true).await;
    assert!(!archive.windows(14).any(|part| part == b"a secret value"));
    let copy = import(ada, "copy.zip", archive).await.unwrap();
    let people = [ada.user_id().unwrap().0];
    assert_same(ada, project, copy, &people).await;
    let (ours, theirs) = (runs::list(ada, project).await.unwrap(), runs::list(ada, copy).await.unwrap());
    assert!(ours.iter().map(|run| &run.env_names).eq(theirs.iter().map(|run| &run.env_names)));
    let again = export(ada, copy, true).await;
    let third = import(ada, "again.zip", again).await.unwrap();
    assert_same(ada, copy, third, &people).await;

    assert_eq!(spent(ada, copy).await, cost, "it shows what it cost");
    assert_eq!(usage::mine(ada, UsageQuery::default()).await.unwrap().total, mine, "and was paid for once");
    let everybody = UsageQuery { group_by: UsageGroup::Model, ..UsageQuery::default() };
    assert_eq!(usage::of_all(ada, everybody).await.unwrap().total.calls, 2);
    let counter = store::budgets::counter(&mut ada.services().db.read().await.unwrap(), BudgetScope::Project, copy.0).await.unwrap();
    assert_eq!(counter, store::budgets::Counter::default(), "budgets begin at nothing");
    let mut tx = ada.services().db.begin().await.unwrap();
    texts(&mut tx, "UPDATE usage_rollup SET until = 99999 WHERE one = 1 RETURNING CAST(until AS TEXT)".to_owned(), None).await;
    let _committed = tx.commit().await.unwrap();
    assert_eq!(spent(ada, copy).await, cost, "also when days are read from their sums");

    rules_wait(ada, copy).await;
    messages_wait(ada, copy).await;
    what_was_open_can_be_decided(ada, copy).await;
    what_was_taken_back_returns(ada, copy).await;
}

async fn rules_wait(ctx: &Ctx, copy: ProjectId) {
    let listed = permissions::list(ctx, copy).await.unwrap();
    assert!(listed.rules.iter().all(|rule| rule.effect != PermissionEffect::Allow) && listed.rules.len() == 2, "{listed:?}");
    assert_eq!(listed.waiting.iter().map(|rule| rule.label()).collect::<Vec<_>>(), ["run_command: make *"]);
    assert_eq!(permissions::rules(ctx, copy).await.unwrap().len(), 2, "the agent is held to those alone");
    permissions::add(ctx, copy, rule(PermissionEffect::Allow, "make *")).await.unwrap();
    let listed = permissions::list(ctx, copy).await.unwrap();
    assert_eq!((listed.rules.len(), listed.waiting.len()), (3, 0));
    let host = HostRule("pypi.org".to_owned());
    let policy = network::policy(ctx, copy).await.unwrap();
    assert_eq!((policy.allow.as_slice(), policy.waiting.as_slice()), (&[][..], std::slice::from_ref(&host)));
    assert!(network::rules(ctx, copy).await.unwrap().is_empty());
    let policy = network::update(ctx, copy, UpdateNetwork { allow: vec![host.clone()] }).await.unwrap();
    assert_eq!((policy.allow.as_slice(), policy.waiting.as_slice()), (std::slice::from_ref(&host), &[][..]));
}

async fn named(ctx: &Ctx, project: ProjectId, title: &str) -> ConversationId {
    let found = chat::list_conversations(ctx, project).await.unwrap();
    found.iter().find(|conversation| conversation.title == title).unwrap().id
}

async fn messages_wait(ctx: &Ctx, copy: ProjectId) {
    let conversation = named(ctx, copy, "Waits").await;
    let view = chat::view(ctx, conversation, Window::default()).await.unwrap();
    assert_eq!(view.queue.iter().map(|waiting| waiting.request.prompt.as_str()).collect::<Vec<_>>(), ["second", "third"]);
    assert!(view.queue_waits.is_some() && view.conversation.active_turn.is_none());
    let turn = ask(ctx, conversation, prompt("something else")).await;
    end(ctx, turn, TurnReason::Done).await;
    let view = chat::view(ctx, conversation, Window::default()).await.unwrap();
    assert!(view.conversation.active_turn.is_none() && view.queue.len() == 2, "nothing began by itself");
    assert!(view.queue_waits.unwrap().contains("came with the archive"));
    let picture = &view.queue[1].request.images[0].checksum;
    assert_eq!(context::open_image(ctx, copy, picture).await.unwrap(), ("image/png".to_owned(), [png(), b"2".to_vec()].concat()));
    assert!(matches!(chat::send_queued_now(ctx, view.queue[1].id).await.unwrap(), Queued::Started { .. }));
}

async fn what_was_open_can_be_decided(ctx: &Ctx, copy: ProjectId) {
    let conversation = named(ctx, copy, "All of it").await;
    let view = chat::view(ctx, conversation, Window::default()).await.unwrap();
    let set = view.turns.iter().filter_map(|turn| turn.change_set_id).next_back().unwrap();
    let found = changes::get(ctx, set).await.unwrap();
    assert_eq!(found.comments.iter().map(|comment| comment.text.as_str()).collect::<Vec<_>>(), ["Why?"]);
    let request = wire::changes::Decide { accept: vec![found.files[0].hunks[0].id], ..Default::default() };
    let decided = changes::decide(ctx, set, request).await.unwrap();
    assert_eq!(decided.written, ["proposed.txt"]);
}

async fn what_was_taken_back_returns(ctx: &Ctx, copy: ProjectId) {
    let conversation = named(ctx, copy, "All of it").await;
    let view = chat::view(ctx, conversation, Window::default()).await.unwrap();
    assert_eq!(view.rewinds.len(), 1);
    assert_eq!(files::open_text(ctx, copy, "kept.txt", None).await.unwrap().text.as_deref(), Some("one\n"));
    let undone = chat::undo_rewind(ctx, view.rewinds[0].id, UndoRewind::default()).await.unwrap();
    assert!(matches!(undone, wire::chat::UndoneRewind::Undone { .. }), "{undone:?}");
    assert_eq!(files::open_text(ctx, copy, "kept.txt", None).await.unwrap().text.as_deref(), Some("two\n"));
    let removed = chat::removed_conversations(ctx, copy).await.unwrap().items;
    assert_eq!(removed.iter().map(|found| found.conversation.title.as_str()).collect::<Vec<_>>(), ["Removed"]);
    chat::restore_conversation(ctx, removed[0].conversation.id).await.unwrap();
}

pub async fn every_part_of_a_past_is_checked(home: Home) {
    let ada = &home.person("ada").await;
    let project = home.project(ada).await.id;
    live_fully(ada, project).await;
    let archive = export(ada, project, true).await;
    let forgeries = [
        ("rewinds", "\"upto_seq\":", "\"upto_seq\":9"),
        ("rewinds", "\"turn_id\":\"0", "\"turn_id\":\"1"),
        ("undone", "\"seq\":", "\"seq\":9"),
        ("queued", "\"prompt\":\"second\"", "\"prompt\":\"\""),
        ("queued", "\"conversation_id\":\"0", "\"conversation_id\":\"1"),
        ("pictures", "\"size_bytes\":", "\"size_bytes\":1"),
        ("pictures", "\"checksum\":\"", "\"checksum\":\"0"),
        ("approvals", "\"turn_id\":\"0", "\"turn_id\":\"1"),
        ("comments", "\"text\":\"Why?\"", "\"text\":\"\""),
        ("comments", "\"hunk_id\":\"0", "\"hunk_id\":\"1"),
        ("codegen", "\"turn_id\":\"0", "\"turn_id\":\"1"),
        ("egress", "\"port\":443", "\"port\":70000"),
        ("rules", "\"tool\":\"run_command\"", "\"tool\":\"run command\""),
        ("settings", "pypi.org", "127.0.0.1"),
        ("budgets", "\"scope\":\"project_own\"", "\"scope\":\"instance\""),
        ("calls", "\"cost_micros\":", "\"cost_micros\":-"),
        ("calls", "\"outcome\":\"ok\"", "\"outcome\":\"open\""),
        ("turns", "\"cost_micros\":9", "\"cost_micros\":-9"),
        (
            "messages",
            "\"role\":\"compacted\",\"summary\":\"In short\",\"upto_seq\":",
            "\"role\":\"compacted\",\"summary\":\"In short\",\"upto_seq\":9",
        ),
    ];
    for (part, old, new) in forgeries {
        let forged = forge(&archive, &format!("history/{part}/00001.jsonl"), |text| text.replace(old, new));
        match import(ada, "false.zip", forged).await {
            Err(JobError::Final(sentence)) => assert!(sentence.contains("Nothing was kept"), "{sentence}"),
            other => panic!("{part}: {other:?}"),
        }
        assert_eq!(projects::list(ada).await.unwrap().len(), 1, "nothing is left of it");
        let mut conn = ada.services().db.read().await.unwrap();
        assert_eq!(texts(&mut conn, "SELECT CAST(COUNT(*) AS TEXT) FROM ledger WHERE imported".to_owned(), None).await, ["0"], "{part}");
    }
}

/// As the first version of the format had it.
fn without_the_rest(archive: &[u8]) -> Vec<u8> {
    const PARTS: [&str; 11] = [
        "versions",
        "checkpoints",
        "conversations",
        "turns",
        "messages",
        "change_sets",
        "change_files",
        "change_hunks",
        "runs",
        "output",
        "reports",
    ];
    const NEW: [&str; 12] = [
        "parent_id",
        "parent_seq",
        "last_prompt",
        "queue_waits",
        "deleted_at",
        "budget_usd_micros",
        "max_tokens",
        "temperature",
        "cost_micros",
        "cost_estimated",
        "copied_from",
        "choice",
    ];
    let mut zip = zip::ZipArchive::new(Cursor::new(archive)).unwrap();
    let mut old = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for at in 0..zip.len() {
        let mut file = zip.by_index(at).unwrap();
        let name = file.name().unwrap().into_owned();
        let part = name.strip_prefix("history/").and_then(|rest| rest.split('/').next());
        if file.is_dir() || part.is_some_and(|part| part != "blobs" && !PARTS.contains(&part)) {
            continue;
        }
        let mut content = Vec::new();
        file.read_to_end(&mut content).unwrap();
        if name == "cloudxdevai.json" {
            content = String::from_utf8(content).unwrap().replace("\"version\": 2", "\"version\": 1").into_bytes();
        } else if matches!(part, Some("conversations" | "turns")) {
            let lines = String::from_utf8(content).unwrap();
            let lines = lines.lines().map(|line| {
                let mut line: Value = serde_json::from_str(line).unwrap();
                NEW.iter().for_each(|field| drop(line.as_object_mut().unwrap().remove(*field)));
                format!("{line}\n")
            });
            content = lines.collect::<String>().into_bytes();
        }
        old.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        old.write_all(&content).unwrap();
    }
    old.finish().unwrap().into_inner()
}

pub async fn archives_of_the_first_version_are_read(home: Home) {
    let ada = &home.person("ada").await;
    let project = home.project(ada).await.id;
    live_fully(ada, project).await;
    let archive = without_the_rest(&export(ada, project, true).await);
    let copy = import(ada, "old.zip", archive).await.unwrap();
    let view = chat::view(ada, named(ada, copy, "All of it").await, Window::default()).await.unwrap();
    assert!(view.rewinds.is_empty() && view.messages.len() > 6);
    let MessageBody::User { attachments, .. } = &view.messages[0].body else { panic!() };
    assert!(attachments.iter().all(|attached| attached.checksum.is_none()), "a picture that did not come along is none of this server's");
    assert_eq!(spent(ada, copy).await, (0, 0));
}

/// Whoever may only look takes along what they are shown.
pub async fn an_archive_says_no_more_than_its_maker_is_told(home: Home) {
    let (ada, ben) = (&home.person("ada").await, &home.person("ben").await);
    let project = home.project(ada).await.id;
    live_fully(ada, project).await;
    let request = wire::members::Invite { who: "ben".to_owned(), role: wire::projects::ProjectRole::Viewer };
    domain::members::invite(ada, project, request).await.unwrap();
    let archive = export(ben, project, true).await;
    let copy = import(ben, "copy.zip", archive).await.unwrap();
    assert_eq!(spent(ben, copy).await, (0, 0));
    assert!(chat::removed_conversations(ben, copy).await.unwrap().items.is_empty());
    assert!(budgets::of_project(ben, copy).await.unwrap().is_empty());
    let listed = chat::list_conversations(ben, copy).await.unwrap();
    assert_eq!(listed.len(), chat::list_conversations(ada, project).await.unwrap().len());
}
