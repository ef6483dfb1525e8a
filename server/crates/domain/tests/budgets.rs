//! Budgets hold however many calls are made at once, say once what people should know, and are set by those who may.

mod support;

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use domain::{
    Clock, Ctx, Error, Services,
    budgets::{self, CallEnd, CallOutcome, CallPlan, Cost, Reservation, Reserved},
    chat,
    models::ResolvedModel,
    usage,
};
use futures::StreamExt;
use support::Home;
use wire::{
    ConversationId, ErrorCode, JobId, Micros, ProjectId, TurnId,
    budgets::{BudgetLimits, BudgetScope, Period, SetBudget, USD, UsageGroup, UsageQuery},
    chat::{CreateConversation, TokenUsage},
    event::{Event, EventKind, Stream},
    models::{Prices, ProviderKind},
};

on_both!(
    a_hundred_turns_at_once_never_overspend_one_budget,
    a_hundred_turns_at_once_never_take_more_tokens_than_there_are,
    every_budget_in_the_way_refuses_with_its_own_sentence,
    what_a_call_cost_is_booked_once,
    lost_calls_are_booked_at_their_worst,
    notices_come_once_for_each_share_and_again_when_it_is_raised,
    a_month_begins_at_nothing_and_a_total_does_not,
    a_turn_has_a_budget_of_its_own,
    budgets_are_set_by_those_who_may,
    budgets_are_not_replaced_by_who_has_not_seen_them,
    usage_is_told_by_day_model_person_and_thing,
);

/// Ten dollars a million tokens in, twenty out, one from the cache.
fn model() -> ResolvedModel {
    ResolvedModel {
        name: "priced".to_owned(),
        version_id: uuid::Uuid::from_u128(7).into(),
        kind: ProviderKind::OpenaiChat,
        base_url: "http://127.0.0.1:9/v1".to_owned(),
        remote_name: "priced".to_owned(),
        key: None,
        context_tokens: 100_000,
        max_output: 8000,
        images: false,
        prices: Prices { input: 10 * USD, output: 20 * USD, cached: USD, cache_write: None },
        temperature: 0.2,
        reasoning: None,
        is_demo: false,
        trusted_host: true,
    }
}

#[derive(Clone, Copy, Default)]
struct Place {
    project: Option<ProjectId>,
    conversation: Option<ConversationId>,
    turn: Option<TurnId>,
}

/// A call whose worst case is 1000 tokens in and 500 out: two cents.
async fn reserve(ctx: &Ctx, at: Place) -> Reserved {
    let model = model();
    let plan = CallPlan {
        user: ctx.user_id().unwrap(),
        project: at.project,
        conversation: at.conversation,
        turn: at.turn,
        model: &model,
        input_tokens: 1000,
        output_max: 500,
    };
    budgets::reserve(ctx, plan).await.unwrap()
}

const WORST: i64 = 20_000;

fn granted(reserved: Reserved) -> Reservation {
    match reserved {
        Reserved::Granted(reservation) => reservation,
        Reserved::Refused { sentence, .. } => panic!("refused: {sentence}"),
    }
}

fn refused(reserved: Reserved) -> (BudgetScope, String) {
    match reserved {
        Reserved::Refused { scope, sentence } => (scope, sentence),
        Reserved::Granted(reservation) => panic!("granted: {reservation:?}"),
    }
}

fn counted(input: i64, output: i64, cached: i64) -> CallEnd {
    CallEnd {
        usage: Some(TokenUsage { input, output, cached }),
        cache_written: 0,
        estimate: None,
        first_token_ms: Some(90),
        duration_ms: 400,
        outcome: CallOutcome::Ok,
    }
}

async fn limit(admin: &Ctx, scope: BudgetScope, subject: Option<uuid::Uuid>, usd_micros: Option<i64>) {
    budgets::set(admin, SetBudget { scope, subject, period: Period::Month, usd_micros, tokens: None, version: None }).await.unwrap();
}

async fn budget_of(admin: &Ctx, scope: BudgetScope) -> wire::budgets::Budget {
    budgets::list(admin).await.unwrap().into_iter().find(|budget| budget.scope == scope).unwrap()
}

/// Each turn asks again and again until it is refused; calls end in every way there is.
async fn spend(ctx: Ctx, at: Place, turn: usize) -> usize {
    for n in 0..1000 {
        let reservation = match reserve(&ctx, at).await {
            Reserved::Granted(reservation) => reservation,
            Reserved::Refused { sentence, .. } => {
                assert!(sentence.contains("does not cover") && sentence.contains("raise it"), "{sentence}");
                return n;
            }
        };
        tokio::task::yield_now().await;
        let end = match (turn + n) % 4 {
            0 => counted(1000, 500, 0),
            1 => counted(600, 100, 300),
            2 => CallEnd { usage: None, outcome: CallOutcome::Stopped, ..counted(0, 0, 0) },
            _ => CallEnd { usage: None, outcome: CallOutcome::Failed("stalled".to_owned()), ..counted(0, 0, 0) },
        };
        budgets::settle(&ctx, reservation, end).await.unwrap();
    }
    panic!("never refused");
}

async fn places(ctx: &Ctx, home: &Home) -> Place {
    let project = home.project(ctx).await.id;
    let conversation = chat::create_conversation(ctx, project, CreateConversation::default()).await.unwrap().id;
    Place { project: Some(project), conversation: Some(conversation), turn: None }
}

async fn a_hundred_turns_at_once_never_overspend_one_budget(home: Home) {
    let (ada, ben) = (home.person("ada").await, home.person("ben").await);
    let of_all = 3 * USD;
    limit(&ada, BudgetScope::Instance, None, Some(of_all)).await;
    limit(&ada, BudgetScope::UserDefault, None, Some(2 * USD)).await;
    let (first, second) = (places(&ada, &home).await, places(&ben, &home).await);
    let turns = (0..100).map(|turn| {
        let (ctx, at) = if turn % 2 == 0 { (ada.clone(), first) } else { (ben.clone(), second) };
        tokio::spawn(spend(ctx, at, turn))
    });
    let watcher = tokio::spawn({
        let ada = ada.clone();
        async move {
            // What is booked and reserved together never passes the limit, at any moment.
            for _ in 0..50 {
                let used = budget_of(&ada, BudgetScope::Instance).await.used;
                assert!(used.spent_micros + used.reserved_micros <= of_all, "{used:?}");
                tokio::time::sleep(std::time::Duration::from_millis(4)).await;
            }
        }
    });
    let made: Vec<usize> = futures::stream::iter(turns).buffer_unordered(100).map(Result::unwrap).collect().await;
    watcher.await.unwrap();
    let used = budget_of(&ada, BudgetScope::Instance).await.used;
    assert!(made.iter().sum::<usize>() > 100, "{made:?}");
    assert_eq!((used.reserved_micros, used.reserved_tokens), (0, 0));
    assert!(used.spent_micros <= of_all && used.spent_micros > of_all - WORST * 100, "{used:?}");
    // The book agrees with the counter to the micro-dollar.
    let report = usage::of_all(&ada, UsageQuery::default()).await.unwrap();
    assert_eq!(report.total.cost_micros(), used.spent_micros);
    assert_eq!(report.total.estimated_micros, used.estimated_micros);
    assert_eq!(report.total.calls as usize, made.iter().sum::<usize>());
    for ctx in [&ada, &ben] {
        let mine = budgets::of_caller(ctx, None, None).await.unwrap();
        let own = mine.iter().find(|budget| budget.scope == BudgetScope::UserDefault).unwrap();
        assert!(own.used.spent_micros <= 2 * USD);
    }
}

async fn a_hundred_turns_at_once_never_take_more_tokens_than_there_are(home: Home) {
    let ada = home.person("ada").await;
    let place = places(&ada, &home).await;
    let limits = BudgetLimits { period: Period::Total, tokens: Some(100_000), ..BudgetLimits::default() };
    budgets::set_of_project(&ada, place.project.unwrap(), limits).await.unwrap();
    let turns = (0..100).map(|turn| tokio::spawn(spend(ada.clone(), place, turn)));
    let made: Vec<usize> = futures::stream::iter(turns).buffer_unordered(100).map(Result::unwrap).collect().await;
    let own = budgets::of_project(&ada, place.project.unwrap()).await.unwrap().remove(0);
    assert_eq!((own.scope, own.used.reserved_tokens), (BudgetScope::ProjectOwn, 0));
    assert!(own.used.spent_tokens <= 100_000 && own.used.spent_tokens > 90_000, "{:?} by {made:?}", own.used);
}

async fn every_budget_in_the_way_refuses_with_its_own_sentence(home: Home) {
    let (ada, ben) = (home.person("ada").await, home.person("ben").await);
    let place = places(&ben, &home).await;
    let (project, conversation) = (place.project.unwrap(), place.conversation.unwrap());
    let small = Some(10_000);
    let try_it = async || refused(reserve(&ben, place).await);

    limit(&ada, BudgetScope::Instance, None, small).await;
    let (scope, sentence) = try_it().await;
    assert_eq!(scope, BudgetScope::Instance);
    assert_eq!(
        sentence,
        "This month's budget of the installation does not cover the worst case of the next answer: $0.01 of $0.01 is left, and it may cost \
         up to $0.02. An administrator can raise it. A shorter prompt or a new conversation needs less."
    );
    limit(&ada, BudgetScope::Instance, None, None).await;

    limit(&ada, BudgetScope::UserDefault, None, small).await;
    assert_eq!(try_it().await.0, BudgetScope::UserDefault);
    // One's own stands in for everybody's.
    limit(&ada, BudgetScope::User, ben.user_id().map(|id| id.0), Some(USD)).await;
    budgets::settle(&ben, granted(reserve(&ben, place).await), counted(0, 0, 0)).await.unwrap();
    limit(&ada, BudgetScope::User, ben.user_id().map(|id| id.0), Some(0)).await;
    assert_eq!(try_it().await.0, BudgetScope::User);
    limit(&ada, BudgetScope::User, ben.user_id().map(|id| id.0), None).await;
    limit(&ada, BudgetScope::UserDefault, None, None).await;

    limit(&ada, BudgetScope::Project, Some(project.0), small).await;
    assert_eq!(try_it().await.0, BudgetScope::Project);
    limit(&ada, BudgetScope::Project, Some(project.0), None).await;
    let own = BudgetLimits { usd_micros: small, ..BudgetLimits::default() };
    budgets::set_of_project(&ben, project, own).await.unwrap();
    let (scope, sentence) = try_it().await;
    assert!(scope == BudgetScope::ProjectOwn && sentence.contains("An owner of the project can raise it."), "{sentence}");
    budgets::set_of_project(&ben, project, BudgetLimits::default()).await.unwrap();

    budgets::set_of_conversation(&ben, conversation, BudgetLimits { tokens: Some(1499), ..own }).await.unwrap();
    assert_eq!(try_it().await.0, BudgetScope::Conversation);
    budgets::set_of_conversation(&ben, conversation, BudgetLimits { tokens: Some(1499), usd_micros: None, ..own }).await.unwrap();
    let (_, sentence) = try_it().await;
    assert!(sentence.contains("1\u{202f}499 of 1\u{202f}499 tokens are left"), "{sentence}");
    // Another conversation has nothing to do with it.
    granted(reserve(&ben, Place { conversation: None, ..place }).await);
}

async fn what_a_call_cost_is_booked_once(home: Home) {
    let ada = home.person("ada").await;
    limit(&ada, BudgetScope::Instance, None, Some(USD)).await;
    let place = places(&ada, &home).await;
    let first = granted(reserve(&ada, place).await);
    assert_eq!(first.micros_usd, WORST);
    let cost = budgets::settle(&ada, first.clone(), counted(1000, 100, 500)).await.unwrap();
    let expected = Cost { micros_usd: 5000 + 500 + 2000, estimated: false };
    assert_eq!(cost, expected);
    assert_eq!(budgets::settle(&ada, first, counted(9, 9, 9)).await.unwrap(), expected, "a second time changes nothing");

    // Of a thousand tokens 400 were written into the cache, at a quarter more.
    let writing = granted(reserve(&ada, Place::default()).await);
    let end = CallEnd { cache_written: 400, ..counted(1000, 0, 500) };
    assert_eq!(budgets::settle(&ada, writing, end).await.unwrap().micros_usd, 1000 + 5000 + 500);
    let claude = ResolvedModel { kind: ProviderKind::Anthropic, ..model() };
    let plan = CallPlan {
        user: ada.user_id().unwrap(),
        project: None,
        conversation: None,
        turn: None,
        model: &claude,
        input_tokens: 1000,
        output_max: 500,
    };
    let dearer = granted(budgets::reserve(&ada, plan).await.unwrap());
    assert_eq!(dearer.micros_usd, 12_500 + 10_000, "all of it may be written");
    let end = CallEnd { cache_written: 1000, ..counted(1000, 500, 0) };
    assert_eq!(budgets::settle(&ada, dearer, end).await.unwrap().micros_usd, 22_500);

    let estimate = Some(TokenUsage { input: 100, output: 10, cached: 0 });
    let second = granted(reserve(&ada, place).await);
    let end = CallEnd { usage: None, estimate, outcome: CallOutcome::Stopped, ..counted(0, 0, 0) };
    assert_eq!(budgets::settle(&ada, second, end).await.unwrap(), Cost { micros_usd: 1200, estimated: true });
    let third = granted(reserve(&ada, place).await);
    let end = CallEnd { usage: None, outcome: CallOutcome::Failed("refused".to_owned()), ..counted(0, 0, 0) };
    assert_eq!(budgets::settle(&ada, third, end).await.unwrap(), Cost::default());
    let fourth = granted(reserve(&ada, place).await);
    let end = CallEnd { usage: None, ..counted(0, 0, 0) };
    assert_eq!(budgets::settle(&ada, fourth, end).await.unwrap(), Cost { micros_usd: WORST, estimated: true }, "nobody counted");
    let used = budget_of(&ada, BudgetScope::Instance).await.used;
    assert_eq!((used.spent_micros, used.estimated_micros, used.reserved_micros), (7500 + 6500 + 22_500 + 1200 + WORST, 1200 + WORST, 0));

    // What is free is written down and never refused.
    limit(&ada, BudgetScope::Instance, None, Some(0)).await;
    let demo = ResolvedModel { is_demo: true, ..model() };
    let plan = CallPlan {
        user: ada.user_id().unwrap(),
        project: None,
        conversation: None,
        turn: None,
        model: &demo,
        input_tokens: 9,
        output_max: 9,
    };
    let free = granted(budgets::reserve(&ada, plan).await.unwrap());
    assert_eq!(budgets::settle(&ada, free, counted(5, 5, 0)).await.unwrap(), Cost::default());
}

/// A turn with its row, without a model.
async fn turn(ctx: &Ctx, at: Place, usd_micros: Option<i64>) -> Place {
    let id: TurnId = uuid::Uuid::now_v7().into();
    let mut tx = ctx.services().db.begin().await.unwrap();
    let new = store::chat::NewTurn {
        id,
        conversation_id: at.conversation.unwrap(),
        project_id: at.project.unwrap(),
        user_id: ctx.user_id().unwrap(),
        job_id: JobId(uuid::Uuid::now_v7()),
        prompt: "Make it faster\nand shorter",
        mode: wire::chat::Mode::Auto,
        model: "priced",
        base_revision: 0,
        budget_tokens: None,
        budget_steps: None,
        budget_usd_micros: usd_micros,
        max_tokens: None,
        temperature: None,
        at: ctx.now(),
    };
    store::chat::insert_turn(&mut tx, &new).await.unwrap();
    let _committed = tx.commit().await.unwrap();
    Place { turn: Some(id), ..at }
}

async fn lost_calls_are_booked_at_their_worst(home: Home) {
    let ada = home.person("ada").await;
    let at = turn(&ada, places(&ada, &home).await, None).await;
    let late = granted(reserve(&ada, at).await);
    granted(reserve(&ada, at).await);
    assert_eq!(budgets::settle_lost(&ada, at.turn.unwrap()).await.unwrap(), 2);
    assert_eq!(budgets::settle_lost(&ada, at.turn.unwrap()).await.unwrap(), 0);
    let cost = budgets::settle(&ada, late, counted(1, 1, 0)).await.unwrap();
    assert_eq!(cost, Cost { micros_usd: WORST, estimated: true }, "who comes too late finds it booked");
    let row = chat::get_turn(&ada, at.turn.unwrap()).await.unwrap();
    assert_eq!((row.cost_micros, row.estimated), (2 * WORST, true));
    let told = events(&home.services, Stream::Turn(at.turn.unwrap())).await;
    assert_eq!(told.iter().filter(|e| matches!(e.kind, EventKind::Usage { cost_micros: WORST, estimated: true, .. })).count(), 2);
    assert!(budgets::settle_abandoned(&ada).await.is_err(), "only the server itself does this");
}

async fn events(services: &Arc<Services>, stream: Stream) -> Vec<Event> {
    store::events::after(&mut services.db.read().await.unwrap(), stream, 0, 1000).await.unwrap()
}

fn notices(events: &[Event]) -> Vec<(BudgetScope, i64)> {
    let told = |event: &Event| match &event.kind {
        EventKind::BudgetNotice { scope, percent, sentence, .. } => {
            assert!(sentence.contains("left"), "{sentence}");
            Some((*scope, *percent))
        }
        _ => None,
    };
    events.iter().filter_map(told).collect()
}

async fn notices_come_once_for_each_share_and_again_when_it_is_raised(home: Home) {
    let (ada, ben, cleo) = (home.person("ada").await, home.person("ben").await, home.person("cleo").await);
    let place = places(&ben, &home).await;
    let project = place.project.unwrap();
    limit(&ada, BudgetScope::Project, Some(project.0), Some(100_000)).await;
    let pay = async |by: &Ctx, micros: i64| {
        let reservation = granted(reserve(by, Place { conversation: None, ..place }).await);
        budgets::settle(by, reservation, counted(micros / 10, 0, 0)).await.unwrap();
    };
    for amount in [19_000, 20_000, 20_000, 20_000, 1000, 500] {
        pay(&cleo, amount).await;
    }
    // 80 500 of 100 000.
    let of = async |who: &Ctx| notices(&events(&home.services, Stream::User(who.user_id().unwrap())).await);
    assert_eq!(of(&cleo).await, [(BudgetScope::Project, 80)], "who made the calls");
    assert_eq!(of(&ben).await, [(BudgetScope::Project, 80)], "the owner");
    let watch = budgets::watched(&ben, Some(project), None).await.unwrap();
    assert_eq!((watch.stream, watch.seq, watch.budgets.len()), (Stream::User(ben.user_id().unwrap()), 1, 1), "news begin after these");
    assert!(budgets::watched(&cleo, Some(project), None).await.unwrap().budgets.is_empty(), "a project of others");
    assert_eq!(notices(&events(&home.services, Stream::Admin).await), [(BudgetScope::Project, 80)]);
    // A call that does not fit any more is told like one that used up the rest.
    assert_eq!(refused(reserve(&cleo, place).await).0, BudgetScope::Project);
    assert_eq!(refused(reserve(&cleo, place).await).0, BudgetScope::Project);
    assert_eq!(of(&cleo).await, [(BudgetScope::Project, 80), (BudgetScope::Project, 100)]);

    limit(&ada, BudgetScope::Project, Some(project.0), Some(110_000)).await;
    pay(&cleo, 19_000).await;
    assert_eq!(of(&ben).await.last(), Some(&(BudgetScope::Project, 90)));
    assert_eq!(budget_of(&ada, BudgetScope::Project).await.percent, 90);
}

/// Time that a test moves.
struct Hand(AtomicI64);

impl Clock for Hand {
    fn now(&self) -> Micros {
        Micros(self.0.load(Ordering::SeqCst))
    }
}

async fn a_month_begins_at_nothing_and_a_total_does_not(mut home: Home) {
    let clock = Arc::new(Hand(AtomicI64::new(Micros::parse_rfc3339("2026-11-30T23:59:00Z").unwrap().0)));
    Arc::get_mut(&mut home.services).unwrap().clock = clock.clone();
    let ada = home.person("ada").await;
    let place = places(&ada, &home).await;
    limit(&ada, BudgetScope::Instance, None, Some(WORST)).await;
    let limits = BudgetLimits { tokens: Some(3500), ..BudgetLimits::default() };
    budgets::set_of_conversation(&ada, place.conversation.unwrap(), limits).await.unwrap();
    let over_midnight = granted(reserve(&ada, place).await);
    assert_eq!(refused(reserve(&ada, place).await).0, BudgetScope::Instance);
    clock.0.fetch_add(120 * Micros::SECOND, Ordering::SeqCst);
    // What goes on still holds its room.
    assert_eq!(refused(reserve(&ada, place).await).0, BudgetScope::Instance);
    budgets::settle(&ada, over_midnight, counted(1000, 500, 0)).await.unwrap();
    let used = budget_of(&ada, BudgetScope::Instance).await.used;
    assert_eq!((used.spent_micros, used.reserved_micros), (0, 0), "it counts where it began");
    budgets::settle(&ada, granted(reserve(&ada, place).await), counted(1000, 500, 0)).await.unwrap();
    limit(&ada, BudgetScope::Instance, None, None).await;
    assert_eq!(refused(reserve(&ada, place).await).0, BudgetScope::Conversation, "3000 of 3500 tokens, over both months");
}

async fn a_turn_has_a_budget_of_its_own(home: Home) {
    let ada = home.person("ada").await;
    let at = turn(&ada, places(&ada, &home).await, Some(30_000)).await;
    let open = granted(reserve(&ada, at).await);
    assert_eq!(refused(reserve(&ada, at).await).0, BudgetScope::Turn);
    budgets::settle(&ada, open, counted(1000, 0, 0)).await.unwrap();
    budgets::settle(&ada, granted(reserve(&ada, at).await), counted(1000, 1, 0)).await.unwrap();
    let (_, sentence) = refused(reserve(&ada, at).await);
    assert!(sentence.contains("budget of this turn does not cover") && sentence.contains(": $0.0099 of $0.03 is left"), "{sentence}");
    let row = chat::get_turn(&ada, at.turn.unwrap()).await.unwrap();
    assert_eq!((row.cost_micros, row.estimated), (20_020, false));
    // A refusal leaves nothing reserved.
    let used = budgets::of_caller(&ada, at.project, at.conversation).await.unwrap();
    assert_eq!(used, []);
    limit(&ada, BudgetScope::Instance, None, Some(USD)).await;
    assert_eq!(budget_of(&ada, BudgetScope::Instance).await.used.reserved_micros, 0);
}

async fn code<T: std::fmt::Debug>(ctx: &Ctx, result: Result<T, Error>) -> ErrorCode {
    result.unwrap_err().into_problem(ctx).code
}

async fn budgets_are_set_by_those_who_may(home: Home) {
    let (ada, ben, cleo) = (home.person("ada").await, home.person("ben").await, home.person("cleo").await);
    let place = places(&ben, &home).await;
    let (project, conversation) = (place.project.unwrap(), place.conversation.unwrap());
    let one = BudgetLimits { usd_micros: Some(USD), ..BudgetLimits::default() };
    let (scope, usd_micros) = (BudgetScope::Instance, Some(USD));
    let all = SetBudget { scope, subject: None, period: Period::Month, usd_micros, tokens: None, version: None };
    assert_eq!(code(&ben, budgets::set(&ben, all.clone()).await).await, ErrorCode::Forbidden);
    assert_eq!(code(&ben, budgets::list(&ben).await).await, ErrorCode::Forbidden);
    assert_eq!(code(&cleo, budgets::set_of_project(&cleo, project, one).await).await, ErrorCode::NotFound);
    assert_eq!(code(&cleo, budgets::of_project(&cleo, project).await).await, ErrorCode::NotFound);
    assert_eq!(code(&cleo, budgets::set_of_conversation(&cleo, conversation, one).await).await, ErrorCode::NotFound);
    assert_eq!(code(&cleo, budgets::of_caller(&cleo, Some(project), None).await).await, ErrorCode::NotFound);
    let agent = ben.as_agent(uuid::Uuid::now_v7().into());
    assert_eq!(code(&agent, budgets::set_of_project(&agent, project, one).await).await, ErrorCode::Forbidden);
    assert_eq!(code(&agent, budgets::set_of_conversation(&agent, conversation, one).await).await, ErrorCode::Forbidden);
    for wrong in [
        SetBudget { usd_micros: Some(-1), ..all.clone() },
        SetBudget { scope: BudgetScope::User, ..all.clone() },
        SetBudget { scope: BudgetScope::Turn, ..all.clone() },
        SetBudget { subject: Some(project.0), ..all.clone() },
    ] {
        assert_eq!(code(&ada, budgets::set(&ada, wrong).await).await, ErrorCode::Invalid);
    }
    let unknown = SetBudget { scope: BudgetScope::User, subject: Some(uuid::Uuid::now_v7()), ..all.clone() };
    assert_eq!(code(&ada, budgets::set(&ada, unknown).await).await, ErrorCode::NotFound);

    // An owner stays within what the administrator gave.
    limit(&ada, BudgetScope::Project, Some(project.0), Some(USD / 2)).await;
    assert_eq!(code(&ben, budgets::set_of_project(&ben, project, one).await).await, ErrorCode::Invalid);
    let half = BudgetLimits { usd_micros: Some(USD / 2), ..one };
    let both = budgets::set_of_project(&ben, project, half).await.unwrap();
    assert_eq!(both.iter().map(|b| b.scope).collect::<Vec<_>>(), [BudgetScope::Project, BudgetScope::ProjectOwn]);
    // How much the installation has is for administrators; how full it is, for everybody.
    budgets::set(&ada, all).await.unwrap();
    budgets::settle(&ben, granted(reserve(&ben, Place::default()).await), counted(1000, 0, 0)).await.unwrap();
    let seen = |list: Vec<wire::budgets::Budget>| {
        let found = list.into_iter().find(|budget| budget.scope == BudgetScope::Instance).unwrap();
        (found.percent, found.usd_micros, found.used.spent_micros)
    };
    assert_eq!(seen(budgets::of_caller(&ben, None, None).await.unwrap()), (1, None, 0));
    assert_eq!(seen(budgets::of_caller(&ada, None, None).await.unwrap()), (1, Some(USD), 10_000));
}

async fn budgets_are_not_replaced_by_who_has_not_seen_them(home: Home) {
    let (ada, ben) = (home.person("ada").await, home.person("ben").await);
    let place = places(&ben, &home).await;
    let (project, conversation) = (place.project.unwrap(), place.conversation.unwrap());
    let standing = |outcome: Result<Vec<wire::budgets::Budget>, Error>| match outcome {
        Err(Error::Conflict { current: Some(now), .. }) => serde_json::from_value::<Option<wire::budgets::Budget>>(now).unwrap(),
        other => panic!("{other:?}"),
    };
    let own = |usd_micros, version| BudgetLimits { usd_micros, version, ..BudgetLimits::default() };
    let of_conversation = |list: Vec<wire::budgets::Budget>| list.into_iter().find(|b| b.scope == BudgetScope::Conversation).unwrap();

    let first = budgets::set_of_project(&ben, project, own(Some(USD), Some(0))).await.unwrap().remove(0);
    let there = standing(budgets::set_of_project(&ben, project, own(Some(2 * USD), Some(0))).await).unwrap();
    assert_eq!((there.version, there.usd_micros), (first.version, Some(USD)), "there is one already");
    let second = budgets::set_of_project(&ben, project, own(Some(2 * USD), Some(first.version))).await.unwrap().remove(0);
    assert_ne!(second.version, first.version);
    for late in [own(Some(3 * USD), Some(first.version)), own(None, Some(first.version)), own(None, Some(0))] {
        assert_eq!(standing(budgets::set_of_project(&ben, project, late).await), Some(second.clone()));
    }
    budgets::set_of_project(&ben, project, own(None, Some(second.version))).await.unwrap();
    assert_eq!(standing(budgets::set_of_project(&ben, project, own(Some(USD), Some(second.version))).await), None, "it is gone");
    assert!(budgets::set_of_project(&ben, project, own(None, Some(second.version))).await.unwrap().is_empty(), "gone already is as good");

    let one = of_conversation(budgets::set_of_conversation(&ben, conversation, own(Some(USD), None)).await.unwrap());
    let raise = |usd_micros| {
        let ben = ben.clone();
        tokio::spawn(async move { budgets::set_of_conversation(&ben, conversation, own(Some(usd_micros), Some(one.version))).await })
    };
    let all = futures::future::join_all((2..10).map(|n| raise(n * USD))).await;
    let (kept, late): (Vec<_>, Vec<_>) = all.into_iter().map(Result::unwrap).partition(Result::is_ok);
    assert_eq!(kept.len(), 1, "of all at once one is kept");
    let kept = of_conversation(kept.into_iter().next().unwrap().unwrap());
    assert!(late.into_iter().all(|outcome| standing(outcome) == Some(kept.clone())));

    let limit = |usd_micros, version| SetBudget {
        scope: BudgetScope::UserDefault,
        subject: None,
        period: Period::Month,
        usd_micros,
        tokens: None,
        version,
    };
    let set = budgets::set(&ada, limit(Some(USD), Some(0))).await.unwrap().remove(0);
    let refused = budgets::set(&ada, limit(Some(2 * USD), Some(set.version + 1))).await;
    assert!(matches!(&refused, Err(Error::Conflict { detail, .. }) if detail.contains("by you, elsewhere")), "{refused:?}");
    assert_eq!(standing(refused), Some(set));
}

async fn usage_is_told_by_day_model_person_and_thing(home: Home) {
    let (ada, ben) = (home.person("ada").await, home.person("ben").await);
    let at = turn(&ben, places(&ben, &home).await, None).await;
    budgets::settle(&ben, granted(reserve(&ben, at).await), counted(1000, 100, 0)).await.unwrap();
    budgets::settle(&ben, granted(reserve(&ben, Place::default()).await), counted(10, 0, 0)).await.unwrap();
    budgets::settle(&ada, granted(reserve(&ada, Place::default()).await), counted(20, 0, 0)).await.unwrap();
    let by = |group_by| UsageQuery { group_by, ..UsageQuery::default() };
    let days = usage::mine(&ben, by(UsageGroup::Day)).await.unwrap();
    assert_eq!((days.rows.len(), days.total.cost_micros()), (30, 12_100));
    assert_eq!(days.rows.last().unwrap().key, days.to);
    let project = at.project.unwrap();
    let labels = |report: wire::budgets::UsageReport| report.rows.into_iter().map(|row| row.label).collect::<Vec<_>>();
    assert_eq!(labels(usage::mine(&ben, by(UsageGroup::Project)).await.unwrap()), ["Test", "Outside of projects"]);
    assert_eq!(labels(usage::of_all(&ada, by(UsageGroup::User)).await.unwrap()), ["ben", "ada"]);
    assert_eq!(labels(usage::of_all(&ada, by(UsageGroup::Model)).await.unwrap()), ["priced"]);
    let only = UsageQuery { user: ben.user_id(), ..by(UsageGroup::Day) };
    assert_eq!(usage::of_all(&ada, only.clone()).await.unwrap(), days, "a person's days, for administrators");
    assert_eq!(code(&ben, usage::mine(&ben, only.clone()).await).await, ErrorCode::Invalid);
    let place = UsageQuery { project: Some(project), ..by(UsageGroup::User) };
    assert_eq!(labels(usage::of_all(&ada, place.clone()).await.unwrap()), ["ben"]);
    assert_eq!(code(&ben, usage::of_project(&ben, project, place.clone()).await).await, ErrorCode::Invalid);
    assert_eq!(code(&ada, usage::of_all(&ada, UsageQuery { user: ben.user_id(), ..place }).await).await, ErrorCode::Invalid);
    assert_eq!(labels(usage::of_project(&ben, project, by(UsageGroup::Turn)).await.unwrap()), ["Make it faster\nand shorter"]);
    let talk = UsageQuery { conversation: at.conversation, ..by(UsageGroup::Message) };
    assert_eq!(usage::of_project(&ben, project, talk).await.unwrap().total.calls, 1);
    assert_eq!(code(&ada, usage::of_project(&ada, project, by(UsageGroup::Day)).await).await, ErrorCode::NotFound);
    granted(reserve(&ben, at).await);
    let of_turn = usage::of_turn(&ben, at.turn.unwrap()).await.unwrap();
    let calls: Vec<_> = of_turn.calls.iter().map(|call| (call.outcome.as_str(), call.input, call.output, call.cost_micros)).collect();
    assert_eq!(calls, [("ok", 1000, 100, 12_000), ("open", 0, 0, 0)]);
    assert_eq!((of_turn.total.calls, of_turn.total.cost_micros()), (1, 12_000), "what goes on is not summed up");
    assert_eq!(code(&ada, usage::of_turn(&ada, at.turn.unwrap()).await).await, ErrorCode::NotFound);
    assert_eq!(code(&ben, usage::of_all(&ben, by(UsageGroup::Day)).await).await, ErrorCode::Forbidden);
    assert_eq!(code(&ada, usage::of_all(&ada, by(UsageGroup::Turn)).await).await, ErrorCode::Invalid, "prompts are not for administrators");
    let wrong = UsageQuery { from: Some("2026-13-01".to_owned()), ..UsageQuery::default() };
    assert_eq!(code(&ada, usage::mine(&ada, wrong).await).await, ErrorCode::Invalid);

    let system = Ctx::system(&home.services);
    assert_eq!(usage::roll_up(&system).await.unwrap(), 0, "today is not over");
    assert!(usage::roll_up(&ada).await.is_err());
    assert_eq!(usage::mine(&ben, by(UsageGroup::Day)).await.unwrap(), days);
}
