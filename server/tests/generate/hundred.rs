//! A hundred turns at once on one budget: what is spent and reserved together never passes it, and whoever gets no more is told so.

use std::time::{Duration, Instant};

use futures::{StreamExt, future, stream};
use serde_json::{Value, json};
use store::Db;
use tokio::{task::JoinHandle, time::sleep};
use tokio_util::sync::CancellationToken;
use wire::{
    Page,
    budgets::{Budget, BudgetScope, BudgetUse, TurnUsage},
    chat::TurnReason,
    event::EventKind,
};

use super::{Place, place_with, put, set_price};
use crate::support::{Caller, PATIENCE, fixture, model_server::Step};

const TURNS: usize = 100;
/// What an answer costs, in percent of its worst case.
const COST: i64 = 80;
/// Worst cases beyond the first of each turn that the budget has room for.
const MORE: i64 = 5;

async fn set_limit(place: &Place, micros: i64) {
    put(&place.ada, "/api/admin/budgets", json!({ "scope": "instance", "usd_micros": micros })).await.expect(200);
}

async fn counter(ada: &Caller) -> BudgetUse {
    let all: Page<Budget> = ada.get("/api/admin/budgets").await.expect(200).json();
    all.items.iter().find(|budget| budget.scope == BudgetScope::Instance).expect("it is set").used
}

/// What the rows of the book come to, those of calls that go on at their worst case.
async fn booked(db: &Db) -> i64 {
    const SUM: &str = "SELECT CAST(COALESCE(SUM(CASE WHEN outcome = 'open' THEN reserved_micros ELSE cost_micros END), 0) AS BIGINT)
                       FROM ledger";
    match db {
        Db::Sqlite { read, .. } => sqlx::query_scalar(SUM).fetch_one(read).await.unwrap(),
        Db::Postgres(pool) => sqlx::query_scalar(SUM).fetch_one(pool).await.unwrap(),
    }
}

struct Watched {
    looks: usize,
    /// The most that was spent and reserved together.
    most: i64,
}

/// Looks at the counter over HTTP and at the book itself, again and again until it is over.
fn watch(place: &Place, limit: i64, over: CancellationToken) -> JoinHandle<Watched> {
    let (ada, db) = (place.ada.clone(), place.app.services.db.clone());
    tokio::spawn(async move {
        let mut seen = Watched { looks: 0, most: 0 };
        while !over.is_cancelled() {
            let used = counter(&ada).await;
            for taken in [used.spent_micros + used.reserved_micros, booked(&db).await] {
                assert!(taken <= limit, "{taken} of {limit} micro-dollars: {used:?}");
                seen.most = seen.most.max(taken);
            }
            seen.looks += 1;
            sleep(Duration::from_millis(5)).await;
        }
        seen
    })
}

async fn start(caller: &Caller, project: &str, n: usize) -> String {
    let conversation = caller.post(&format!("/api/projects/{project}/conversations"), &json!({})).await.expect(201).id();
    let body = json!({ "prompt": format!("Say {n:03}"), "mode": "plan" });
    let started = caller.post(&format!("/api/conversations/{conversation}/turns"), &body).await.expect(202);
    started.field("turn_id").as_str().unwrap().to_owned()
}

async fn end(caller: &Caller, turn: &str) -> EventKind {
    caller.follow(&format!("/api/live/turn:{turn}")).await.unwrap().rest().await.pop().unwrap().kind
}

/// Waits until the model has been asked so often.
async fn asked(place: &Place, times: usize) {
    let deadline = Instant::now() + PATIENCE;
    while place.model.counts().requests < times {
        assert!(Instant::now() < deadline, "{:?}, not {times}", place.model.counts());
        sleep(Duration::from_millis(10)).await;
    }
}

/// What the first answer of such a turn is reserved at, found out by one for `cost`.
pub(crate) async fn worst_case(place: &Place, project: &str, cost: i64) -> i64 {
    set_limit(place, 1_000_000_000).await;
    place.model.script([Step { held: true, ..priced(Step::text("Done."), cost) }]);
    let turn = start(&place.ben, project, 0).await;
    asked(place, 1).await;
    let worst = counter(&place.ada).await.reserved_micros;
    place.model.release();
    end(&place.ben, &turn).await;
    let used = counter(&place.ada).await;
    assert_eq!((used.spent_micros, used.reserved_micros), (cost, 0));
    worst
}

/// Said to have used as many tokens as cost so much, an even number of micro-dollars above 9000.
pub(crate) fn priced(step: Step, micros: i64) -> Step {
    let output = 900;
    Step { usage: Some(json!({ "prompt_tokens": (micros - output * 10) / 2, "completion_tokens": output })), ..step }
}

fn check_sentence(detail: &str) {
    let said = ["budget of the installation does not cover the worst case", "An administrator can raise it.", "It had changed no file."];
    assert!(said.iter().all(|part| detail.contains(part)) && detail.ends_with('.'), "{detail}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_turns_at_once_stay_within_one_budget() {
    // The first is answered when the last one has asked.
    let place = place_with(true, vec![("WORKER_CONCURRENCY", "100"), ("AI_REQUEST_TIMEOUT", "120")]).await;
    if !fixture::can_run(&place.app).await {
        return;
    }
    set_price(&place.ada).await;
    let mut settings: Value = place.ada.get("/api/admin/settings/runs").await.expect(200).json();
    settings["jobs_per_user"] = json!(TURNS);
    put(&place.ada, "/api/admin/settings/runs", settings).await.expect(200);
    let project = fixture::project(&place.ben, "P").await;
    let before = 10_000;
    let worst = worst_case(&place, &project, before).await;
    let cost = worst * COST / 100 / 2 * 2;
    assert!(cost > before, "{worst} micro-dollars");
    let limit = before + (TURNS as i64 + MORE) * worst;
    set_limit(&place, limit).await;

    // All have their first call; what is left after those is enough for some to go on, and not for all.
    let search = |word: String| Step::call("search", json!({ "query": word }));
    let first = (0..TURNS).map(|_| Step { held: true, ..priced(search("nowhere".to_owned()), cost) });
    let later = (0..TURNS).map(|n| priced(if n % 3 == 0 { Step::text("Done.") } else { search(format!("word {n}")) }, cost));
    place.model.script(first.chain(later));
    let began = Instant::now();
    let over = CancellationToken::new();
    let watcher = watch(&place, limit, over.clone());
    let turns = future::join_all((1..=TURNS).map(|n| start(&place.ben, &project, n))).await;
    asked(&place, 1 + TURNS).await;
    let used = counter(&place.ada).await;
    // Requests differ by a few bytes.
    let all = TURNS as i64 * worst * 99 / 100;
    assert!(used.spent_micros == before && used.reserved_micros >= all, "a hundred calls go on, and none has ended: {used:?}");
    place.model.release();
    let ends: Vec<EventKind> = stream::iter(&turns).map(|turn| end(&place.ben, turn)).buffered(20).collect().await;
    over.cancel();
    let seen = watcher.await.unwrap();

    let (mut done, mut stopped) = (0, 0);
    for kind in ends {
        match kind {
            EventKind::TurnFinished { reason: TurnReason::Done, .. } => done += 1,
            EventKind::TurnFinished { reason: TurnReason::Budget, detail } => {
                check_sentence(&detail);
                stopped += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(done > 0 && stopped > 0 && done + stopped == TURNS, "{done} done, {stopped} stopped");
    assert!(seen.looks >= 20 && seen.most >= before + all, "{} looks, at most {}", seen.looks, seen.most);
    let calls = check_books(&place, &turns, cost).await;
    assert!(calls > TURNS, "some went on after their first answer");
    let used = counter(&place.ada).await;
    let spent = before + calls as i64 * cost;
    assert_eq!((used.spent_micros, used.reserved_micros, used.reserved_tokens), (spent, 0, 0));
    assert_eq!(booked(&place.app.services.db).await, spent);
    assert!(spent <= limit);
    eprintln!(
        "{done} turns done, {stopped} stopped after {calls} calls in {:?}; at most {} of {limit} in {} looks",
        began.elapsed(),
        seen.most,
        seen.looks
    );
}

/// Each turn had its first answer, and is told every call that it made. Answers how many there were.
async fn check_books(place: &Place, turns: &[String], cost: i64) -> usize {
    let usage = |turn: &String| {
        let path = format!("/api/turns/{turn}/usage");
        async move { place.ben.get(&path).await.expect(200).json::<TurnUsage>() }
    };
    let told: Vec<TurnUsage> = stream::iter(turns).map(usage).buffered(10).collect().await;
    for turn in &told {
        assert!(!turn.calls.is_empty() && turn.calls.iter().all(|call| call.message_id.is_some() && call.outcome == "ok"), "{turn:?}");
        assert_eq!(turn.total.cost_micros(), turn.calls.len() as i64 * cost);
    }
    // What somebody else's turn cost is nobody's business.
    place.ada.get(&format!("/api/turns/{}/usage", turns[0])).await.expect(404);
    told.iter().map(|turn| turn.calls.len()).sum()
}
