use store::{
    Db,
    budgets::{self, Booked, NewBudget, Subjects},
    ledger::{self, Call, Ended},
    usage::{self, Days, Of, Thing},
};
use uuid::Uuid;
use wire::{
    BudgetId, ConversationId, Micros, ModelVersionId, ProjectId, ReservationId, TurnId, UserId,
    budgets::{BudgetScope, Period, UsageSums},
    models::Prices,
};

use crate::world::{at, begin, commit, conversation, id, new_turn, project, read, user, write};

const NOV: &str = "2026-11";
const DEC: &str = "2026-12";
const DAY: i64 = 86_400 * Micros::SECOND;

fn booked(month: &str, reserved: i64, micros: i64) -> Booked<'_> {
    Booked { month, reserved_micros: reserved, reserved_tokens: reserved, micros, estimated: micros, tokens: micros * 2 }
}

pub async fn counters_hold_reservations_until_they_are_booked(db: Db) {
    let who = Uuid::now_v7();
    let reserve = async |month: &str, amount| {
        let of = [(BudgetScope::User, who)];
        write!(&db, tx => budgets::reserve(&mut tx, &of, month, amount, amount)).remove(0)
    };
    let book = async |entry: Booked<'_>| write!(&db, tx => budgets::book(&mut tx, BudgetScope::User, who, &entry));
    reserve(NOV, 100).await;
    let counter = reserve(NOV, 50).await;
    assert_eq!((counter.reserved_micros, counter.reserved_tokens, counter.month_micros), (150, 150, 0));
    let counter = book(booked(NOV, 50, 20)).await;
    assert_eq!((counter.reserved_micros, counter.month_micros, counter.month_estimated, counter.total_tokens), (100, 20, 20, 40));

    // The next month begins at nothing; what is reserved still counts, and what ends late counts where it began.
    let counter = reserve(DEC, 5).await;
    assert_eq!((counter.month.as_str(), counter.month_micros, counter.total_micros, counter.reserved_micros), (DEC, 0, 20, 105));
    let counter = book(booked(NOV, 100, 30)).await;
    assert_eq!((counter.month_micros, counter.total_micros, counter.reserved_micros), (0, 50, 5));
    // A clock that is behind takes nothing away.
    let counter = reserve(NOV, 1).await;
    assert_eq!(counter.month, DEC);
    let counter = book(booked(DEC, 5, 7)).await;
    assert_eq!((counter.month_micros, counter.total_micros), (7, 57));
    let mut conn = read(&db).await;
    let used = budgets::counter(&mut conn, BudgetScope::User, who).await.unwrap().used(Period::Month, "2027-01");
    assert_eq!((used.spent_micros, used.reserved_micros), (0, 1), "a month that nobody has reserved in yet");
    assert_eq!(budgets::counter(&mut conn, BudgetScope::Project, who).await.unwrap(), budgets::Counter::default());
}

pub async fn reservations_of_one_counter_wait_for_each_other(db: Db) {
    let all = (0..40).map(|_| {
        let db = db.clone();
        tokio::spawn(async move {
            let of = [(BudgetScope::Instance, Uuid::nil()), (BudgetScope::User, Uuid::max())];
            let counters = write!(&db, tx => budgets::reserve(&mut tx, &of, NOV, 3, 1));
            assert_eq!(counters.len(), 2);
            assert_eq!(counters[0].reserved_micros, counters[1].reserved_micros);
        })
    });
    for task in all.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    let counter = budgets::counter(&mut read(&db).await, BudgetScope::Instance, Uuid::nil()).await.unwrap();
    assert_eq!((counter.reserved_micros, counter.reserved_tokens), (120, 40));
}

fn new_budget(scope: BudgetScope, subject: Uuid, usd_micros: i64, by: UserId) -> NewBudget {
    NewBudget { id: id(), scope, subject, period: Period::Month, usd_micros: Some(usd_micros), tokens: None, at: at(1), by }
}

pub async fn budgets_are_set_in_place_and_told_of_once(db: Db) {
    let ada = user(&db, "ada").await;
    let place = project(&db, ada).await;
    let put = async |budget: NewBudget| -> BudgetId { write!(&db, tx => budgets::put(&mut tx, &budget)) };
    let first = put(new_budget(BudgetScope::Project, place.0, 10, ada)).await;
    let note = async |percent| write!(&db, tx => budgets::note(&mut tx, first, place.0, NOV, percent, at(2)));
    assert!(note(80).await && !note(80).await && note(90).await);
    let again = put(new_budget(BudgetScope::Project, place.0, 20, ada)).await;
    assert_eq!(again, first, "one budget a scope, subject and period");
    assert!(note(80).await, "the new amount is told of anew");

    put(new_budget(BudgetScope::ProjectOwn, place.0, 5, ada)).await;
    put(new_budget(BudgetScope::UserDefault, Uuid::nil(), 7, ada)).await;
    put(new_budget(BudgetScope::User, ada.0, 8, ada)).await;
    put(new_budget(BudgetScope::Instance, Uuid::nil(), 100, ada)).await;
    put(new_budget(BudgetScope::User, Uuid::now_v7(), 8, ada)).await;
    write!(&db, tx => budgets::reserve(&mut tx, &[(BudgetScope::Project, place.0)], NOV, 4, 1));
    write!(&db, tx => budgets::reserve(&mut tx, &[(BudgetScope::User, ada.0)], NOV, 3, 1));
    let mut conn = read(&db).await;
    let of = Subjects { user: ada.0, project: place.0, conversation: Uuid::nil() };
    assert_eq!(budgets::applying(&mut conn, of).await.unwrap().len(), 5);
    let mine = budgets::list_for(&mut conn, of, NOV).await.unwrap();
    let told = |scope| mine.iter().find(|b| b.scope == scope).map(|b| (b.subject_name.as_str(), b.used.reserved_micros)).unwrap();
    assert_eq!(told(BudgetScope::ProjectOwn), ("Project", 4));
    assert_eq!(told(BudgetScope::Project), ("Project", 4));
    assert_eq!((told(BudgetScope::User), told(BudgetScope::UserDefault)), (("ada", 3), ("", 3)));
    let all = budgets::list(&mut conn, NOV).await.unwrap();
    assert_eq!((all.len(), all.iter().filter(|b| b.scope == BudgetScope::ProjectOwn).count()), (5, 0));
    drop(conn);
    let remove = async |period| write!(&db, tx => budgets::remove(&mut tx, BudgetScope::Project, place.0, period, None));
    assert!(!remove(Period::Total).await && remove(Period::Month).await && !remove(Period::Month).await);
}

pub async fn budgets_are_put_over_the_version_that_is_named(db: Db) {
    let ada = user(&db, "ada").await;
    let put = async |usd_micros, base| {
        let budget = new_budget(BudgetScope::User, ada.0, usd_micros, ada);
        write!(&db, tx => budgets::put_over(&mut tx, &budget, base))
    };
    let now = async || budgets::one(&mut read(&db).await, BudgetScope::User, ada.0, Period::Month, NOV).await.unwrap();
    assert!(now().await.is_none() && put(1, 5).await.is_none(), "there is none to replace");
    let id = put(1, 0).await.unwrap();
    let first = now().await.unwrap();
    assert_eq!((first.id, first.usd_micros, first.updated_by.map(|by| by.name)), (id, Some(1), Some("ada".to_owned())));
    assert!(put(2, 0).await.is_none() && put(2, first.version + 1).await.is_none());
    write!(&db, tx => budgets::note(&mut tx, id, ada.0, NOV, 80, at(2)));
    assert_eq!(put(2, first.version).await, Some(id));
    assert!(write!(&db, tx => budgets::note(&mut tx, id, ada.0, NOV, 80, at(2))), "the new amount is told of anew");
    let second = now().await.unwrap();
    assert_eq!((second.usd_micros, second.version), (Some(2), first.version + 1));
    write!(&db, tx => budgets::put(&mut tx, &new_budget(BudgetScope::User, ada.0, 3, ada)));
    let third = now().await.unwrap();
    assert_eq!((third.usd_micros, third.version), (Some(3), second.version + 1));
    let remove = async |base| write!(&db, tx => budgets::remove(&mut tx, BudgetScope::User, ada.0, Period::Month, Some(base)));
    assert!(!remove(0).await && !remove(second.version).await && remove(third.version).await && !remove(third.version).await);
}

struct Book {
    ada: UserId,
    place: ProjectId,
    talk: ConversationId,
    turn: TurnId,
}

fn call(book: &Book, started: Micros, version: ModelVersionId) -> Call<'static> {
    Call {
        id: id(),
        user: book.ada,
        project: Some(book.place),
        conversation: Some(book.talk),
        turn: Some(book.turn),
        version,
        model: "large",
        prices: Prices { input: 1, output: 2, cached: 0, cache_write: None },
        input: 100,
        output: 50,
        micros: 200,
        at: started,
    }
}

fn end(micros: i64, estimated: bool, outcome: &'static str) -> Ended<'static> {
    Ended {
        input: 10,
        output: 20,
        cached: 5,
        cache_write: 3,
        micros,
        estimated,
        first_token_ms: Some(100),
        duration_ms: Some(1100),
        outcome,
        code: None,
        at: at(9),
    }
}

async fn book(db: &Db) -> Book {
    let ada = user(db, "ada").await;
    let place = project(db, ada).await;
    let talk = conversation(db, place, ada).await;
    let turn = new_turn(talk, place, ada);
    write!(db, tx => store::chat::insert_turn(&mut tx, &turn));
    Book { ada, place, talk, turn: turn.id }
}

async fn enter(db: &Db, call: &Call<'_>, end: Option<Ended<'_>>) -> ReservationId {
    write!(db, tx => ledger::insert(&mut tx, call));
    if let Some(end) = end {
        write!(db, tx => ledger::close(&mut tx, call.id, &end));
    }
    call.id
}

pub async fn a_call_is_closed_once_and_counts_in_its_turn(db: Db) {
    let book = book(&db).await;
    let version = id();
    let open = enter(&db, &call(&book, at(5), version), None).await;
    let closed = enter(&db, &call(&book, at(6), version), Some(end(70, false, "ok"))).await;
    write!(&db, tx => ledger::close(&mut tx, closed, &end(999, true, "lost")));
    let mut tx = begin(&db).await;
    let row = ledger::lock(&mut tx, closed).await.unwrap().unwrap();
    assert_eq!((row.cost_micros, row.is_open(), row.prices().output), (70, false, 2));
    assert_eq!(ledger::open_of_turn(&mut tx, book.turn).await.unwrap(), [open]);
    assert_eq!(ledger::open_before(&mut tx, at(5)).await.unwrap(), []);
    assert_eq!(ledger::open_before(&mut tx, at(6)).await.unwrap(), [open]);
    let used = ledger::of_turn(&mut tx, book.turn).await.unwrap();
    assert_eq!((used.limit_tokens, used.limit_micros, used.micros, used.tokens), (Some(1000), None, 270, 180));
    store::chat::add_cost(&mut tx, book.turn, 70, false).await.unwrap();
    store::chat::add_cost(&mut tx, book.turn, 5, true).await.unwrap();
    store::chat::add_cost(&mut tx, book.turn, 5, false).await.unwrap();
    assert_eq!(ledger::last_answer(&mut tx, book.turn).await.unwrap(), None, "no call has become a message yet");
    ledger::attach_message(&mut tx, book.turn, id()).await.unwrap();
    assert!(ledger::last_answer(&mut tx, book.turn).await.unwrap().is_some_and(|(model, _)| !model.is_empty()));
    let turn = store::chat::turn(&mut tx, book.turn).await.unwrap().unwrap();
    assert_eq!((turn.cost_micros, turn.cost_estimated), (80, true));
    let _committed = commit(tx).await;
}

pub async fn calls_outside_of_turns_are_counted_by_person(db: Db) {
    let book = book(&db).await;
    let outside = |started| Call { project: None, conversation: None, turn: None, ..call(&book, started, id()) };
    enter(&db, &outside(at(10)), None).await;
    enter(&db, &outside(at(500)), Some(end(1, false, "ok"))).await;
    enter(&db, &outside(at(510)), None).await;
    enter(&db, &call(&book, at(511), id()), None).await;
    let made = ledger::outside_turns(&mut read(&db).await, book.ada, at(500), at(5)).await.unwrap();
    assert_eq!((made.recent, made.open, made.oldest), (2, 2, Some(at(500))));
    assert_eq!(ledger::outside_turns(&mut read(&db).await, id(), at(500), at(5)).await.unwrap(), ledger::OutsideTurns::default());
}

pub async fn sums_are_the_same_before_and_after_rolling_up(db: Db) {
    let book = book(&db).await;
    let version = id();
    // Two days that are over, and today.
    let (first, last) = (20_000, 20_002);
    for (day, micros, estimated, outcome) in
        [(first, 10, false, "ok"), (first, 20, true, "lost"), (first + 1, 30, false, "failed"), (last, 40, false, "ok")]
    {
        enter(&db, &call(&book, Micros(day * DAY + 7), version), Some(end(micros, estimated, outcome))).await;
    }
    let outside = Call { project: None, conversation: None, turn: None, ..call(&book, Micros(last * DAY + 9), version) };
    enter(&db, &outside, Some(end(1, false, "ok"))).await;
    enter(&db, &call(&book, Micros(last * DAY + 8), version), None).await;
    let days = Days { from: first, until: last + 1 };
    let look = async || {
        let mut conn = read(&db).await;
        let mut sums = Vec::new();
        for of in [Of::All, Of::User(book.ada), Of::Project(book.place), Of::Conversation(book.talk)] {
            let mut total = UsageSums::default();
            for row in usage::by_day(&mut conn, of, days).await.unwrap() {
                total.add(&row.sums.into());
            }
            for row in usage::by_model(&mut conn, of, days).await.unwrap() {
                assert_eq!(row.model, "large");
            }
            sums.push(total);
        }
        for thing in [Thing::User, Thing::Project, Thing::Conversation, Thing::Turn, Thing::Message] {
            let rows = usage::by_thing(&mut conn, Of::All, days, thing).await.unwrap();
            sums.push(rows.into_iter().fold(UsageSums::default(), |mut total, row| {
                total.add(&row.sums.into());
                total
            }));
        }
        let labels: Vec<_> = usage::by_thing(&mut conn, Of::All, days, Thing::Project)
            .await
            .unwrap()
            .into_iter()
            .map(|row| (row.key.is_nil(), row.label))
            .collect();
        assert!(labels.contains(&(true, None)) && labels.contains(&(false, Some("Project".to_owned()))), "{labels:?}");
        sums
    };
    let before = look().await;
    let whole = UsageSums { calls: 5, failed: 2, input: 50, output: 100, cached: 25, billed_micros: 81, estimated_micros: 20 };
    assert_eq!(before[0], whole);
    assert_eq!((before[2].calls, before[3].calls), (4, 4));

    let roll = async |today| write!(&db, tx => usage::roll_up_next(&mut tx, today));
    assert!(roll(last).await && roll(last).await && !roll(last).await);
    assert_eq!(usage::summed_until(&mut read(&db).await).await.unwrap(), last);
    assert_eq!(look().await, before);
    // A call that is not settled keeps its day open, and those after it.
    assert!(!roll(last + 5).await);
    assert_eq!(usage::summed_until(&mut read(&db).await).await.unwrap(), last);
    assert_eq!(look().await, before);
}

pub async fn versions_are_measured_by_their_calls(db: Db) {
    let book = book(&db).await;
    let (fast, broken) = (id(), id());
    for (n, outcome) in ["ok", "ok", "ok", "stopped", "failed", "lost"].into_iter().enumerate() {
        enter(&db, &call(&book, at(n as i64), fast), Some(end(1, false, outcome))).await;
    }
    enter(&db, &call(&book, at(9), broken), Some(Ended { first_token_ms: None, ..end(0, false, "failed") })).await;
    enter(&db, &call(&book, at(-50), broken), Some(end(0, false, "ok"))).await;
    let metrics = ledger::metrics(&mut read(&db).await, at(0)).await.unwrap();
    let of = |version: ModelVersionId| metrics.iter().find(|(id, _)| *id == version).unwrap().1;
    let found = of(fast);
    assert_eq!((found.calls, found.first_token_ms, found.success_rate), (6, Some(100), Some(0.75)));
    assert_eq!((found.tokens_per_second, found.acceptance_rate), (Some(20.0), None));
    assert_eq!((of(broken).success_rate, of(broken).first_token_ms), (Some(0.0), None));
}
