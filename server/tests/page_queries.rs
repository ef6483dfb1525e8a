//! How often a page asks the database: five times at most but where it is said, however many people, projects and files there are.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde_json::{Map, Value, json};
use server::{
    config::{LogConfig, LogFormat},
    logging::{self, Fields},
};
use tracing::{Event, Subscriber};
use tracing_subscriber::{Layer, filter::filter_fn, layer::Context};
use wire::{
    Micros,
    budgets::{BudgetScope, Period},
    projects::ProjectRole,
};

use crate::support::{Caller, PASSWORD, TestApp, fixture};

/// The bar.
const MOST: usize = 5;
/// Its parts still ask for themselves: the room that is left, the network, the terminals, the runs and the permissions.
const MOST_OF_PROJECT_SETTINGS: usize = 23;
/// Where something else than the page asks at the same moment, the next try is without it.
const TRIES: usize = 5;

/// What the database was asked, by everybody in this process.
static ASKED: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn asked() -> MutexGuard<'static, Vec<String>> {
    ASKED.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Statements;

impl<S: Subscriber> Layer<S> for Statements {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = Map::new();
        event.record(&mut Fields(&mut fields));
        let text = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default().trim().to_owned();
        // The whole text is only told where it is longer than its summary.
        let statement = Some(text("db.statement")).filter(|whole| !whole.is_empty()).unwrap_or_else(|| text("summary"));
        // What a new connection says first is of no page.
        if !statement.starts_with("PRAGMA") {
            asked().push(statement);
        }
    }
}

/// The statements of one request for a page.
async fn statements_of(caller: &Caller, path: &str) -> Vec<String> {
    let mut fewest: Option<Vec<String>> = None;
    for _ in 0..TRIES {
        asked().clear();
        let page = caller.get(path).await.expect(200);
        assert!(String::from_utf8_lossy(&page.body).contains("</html>"), "{path} is a whole page");
        // Some are told by the thread that the database has of its own.
        tokio::time::sleep(Duration::from_millis(20)).await;
        let found = std::mem::take(&mut *asked());
        if fewest.as_ref().is_none_or(|fewest| found.len() < fewest.len()) {
            fewest = Some(found);
        }
    }
    fewest.unwrap_or_default()
}

async fn check(caller: &Caller, path: &str, most: usize) {
    let found = statements_of(caller, path).await;
    assert!(!found.is_empty(), "{path}: statements are counted");
    assert!(found.len() <= most, "{path} asks {} times, and {most} at most are meant:\n{}", found.len(), found.join("\n---\n"));
}

/// A budget of everybody, and what somebody chose and used.
async fn fill(app: &TestApp, ada: &Caller) {
    let user = ada.user.as_ref().unwrap().id;
    let mut tx = app.services.db.begin().await.unwrap();
    for scope in [BudgetScope::Instance, BudgetScope::UserDefault] {
        let new = store::budgets::NewBudget {
            id: uuid::Uuid::now_v7().into(),
            scope,
            subject: uuid::Uuid::nil(),
            period: Period::Month,
            usd_micros: Some(1_000_000),
            tokens: None,
            at: Micros(1),
            by: user,
        };
        store::budgets::put(&mut tx, &new).await.unwrap();
    }
    store::budgets::reserve(&mut tx, &[(BudgetScope::User, user.0)], "2026-01", 10, 10).await.unwrap();
    assert!(store::preferences::put(&mut tx, user, 0, "{}", Micros(1)).await.unwrap());
    let _committed = tx.commit().await.unwrap();
}

/// One test, since everybody in this process is counted.
#[tokio::test(flavor = "multi_thread")]
async fn pages_ask_the_database_a_few_times() {
    let counting: logging::Listener = Statements.with_filter(filter_fn(|metadata| metadata.target() == "sqlx::query")).boxed();
    logging::install_with(&LogConfig { filter: "warn".to_owned(), format: LogFormat::Text }, vec![counting]);
    let app = TestApp::start().await;
    // The first account administers.
    let (ada, ben) = (app.user("ada").await, app.user("ben").await);
    let project = fixture::project(&ada, "One").await;
    fixture::member(&app, &project, &ben, ProjectRole::Editor).await;
    for n in 0..5 {
        fixture::file(if n % 2 == 0 { &ada } else { &ben }, &project, &format!("src/{n}.rs"), "fn a() {}\n").await;
        fixture::project(&ada, &format!("More {n}")).await;
        let of_ben = fixture::project(&ben, &format!("Public {n}")).await;
        ben.patch(&format!("/api/projects/{of_ben}"), &json!({ "visibility": "public" })).await.expect(200);
        ada.post(&format!("/api/projects/{project}/conversations"), &json!({ "title": "About it" })).await.expect(201);
    }
    fill(&app, &ada).await;

    for path in ["/login", "/signup", "/forgot"] {
        check(&app.nobody(), path, 1).await;
    }
    let browser = app.nobody().sign_in_browser("ada", PASSWORD).await;
    check(&browser, "/", MOST).await;
    check(&browser, &format!("/projects/{project}"), MOST).await;
    check(&browser, &format!("/projects/{project}/settings"), MOST_OF_PROJECT_SETTINGS).await;
    check(&browser, "/settings", 1).await;
    for section in ["security", "sessions", "tokens", "models", "usage", "keys", "account"] {
        check(&browser, &format!("/settings/{section}"), MOST).await;
    }
    for section in ["", "/users", "/projects", "/jobs", "/models", "/budgets", "/usage", "/audit", "/settings"] {
        check(&browser, &format!("/admin{section}"), MOST).await;
    }
}
