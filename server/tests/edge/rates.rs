use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;
use wire::{
    ErrorCode, JobId,
    settings::{Rate, RateSettings},
};

use crate::support::{Caller, Options, PASSWORD, PATIENCE, Reply, TestApp, redis_server::Redis};

const LIMITED: (&str, &str) = ("RATE_LIMIT_ENABLED", "true");

async fn limited(settings: Vec<(&str, &str)>) -> TestApp {
    let settings = [vec![LIMITED], settings].concat();
    TestApp::with(Options { settings, ..Options::default() }).await
}

/// Chooses rates as an administrator does, and waits until they apply.
async fn choose(app: &TestApp, admin: &Caller, settings: RateSettings) {
    let ctx = domain::Ctx::for_job(&app.services, admin.user.clone().unwrap(), JobId(uuid::Uuid::now_v7()));
    domain::settings::update_rates(&ctx, settings.clone()).await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(8);
    let wanted = settings.reads.burst.to_string();
    while admin.get("/api/users/me").await.header("ratelimit-limit") != Some(&wanted) {
        assert!(Instant::now() < deadline, "they apply within five seconds");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

fn number(reply: &Reply, name: &str) -> u32 {
    reply.header(name).and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{name}: {:?}", reply.headers))
}

/// Asks until it is refused; answers how often it was not.
async fn until_refused(most: usize, mut ask: impl AsyncFnMut() -> Reply) -> (usize, Reply) {
    for count in 0..most {
        let reply = ask().await;
        if reply.status == 429 {
            return (count, reply);
        }
    }
    panic!("{most} requests were taken");
}

/// Asks until it is taken; what is refused counts for nothing.
async fn until_taken(mut ask: impl AsyncFnMut() -> Reply) -> Reply {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let reply = ask().await;
        if reply.status != 429 {
            return reply;
        }
        assert!(Instant::now() < deadline, "it is refused for good");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_caller_has_a_rate_for_each_kind_of_request() {
    let app = limited(vec![]).await;
    let (ada, bob) = (app.user("ada").await, app.user("bob").await);
    let first = ada.get("/api/users/me").await.expect(200);
    assert_eq!(number(&first, "ratelimit-limit"), RateSettings::default().reads.burst);
    assert!(number(&first, "ratelimit-remaining") > 5000 && number(&first, "ratelimit-reset") <= 1);
    let settings =
        RateSettings { writes: Rate::new(30, 30), reads: Rate::new(240, 120), model_calls: Rate::new(1, 1), ..RateSettings::default() };
    choose(&app, &ada, settings).await;

    let (taken, refused) = until_refused(60, async || ada.post("/api/projects", &json!({ "name": "P" })).await).await;
    assert!((30..=33).contains(&taken), "{taken}");
    let problem = refused.problem();
    assert_eq!((problem.code, problem.status), (ErrorCode::RateLimited, 429));
    let wait = number(&refused, "retry-after");
    assert!((1..=2).contains(&wait) && problem.retry_after == Some(wait), "{refused:?}");
    assert_eq!((number(&refused, "ratelimit-limit"), number(&refused, "ratelimit-remaining")), (30, 0));
    assert!(number(&refused, "ratelimit-reset") >= 50);
    assert_eq!(refused.header("cache-control"), Some("no-store"));

    ada.get("/api/projects").await.expect(200);
    let made = bob.post("/api/projects", &json!({ "name": "P" })).await.expect(201);
    assert!(number(&made, "ratelimit-remaining") >= 28, "others are not held up");
    // Who waits as long as they were told is served.
    tokio::time::sleep(Duration::from_secs(u64::from(wait))).await;
    ada.post("/api/projects", &json!({ "name": "P" })).await.expect(201);

    // A token has a rate of its own.
    let token = json!({ "name": "ci", "scopes": ["read", "write"] });
    let secret = until_taken(async || ada.post("/api/users/me/tokens", &token).await).await.expect(201).field("secret");
    let program = app.nobody().with_bearer(secret.as_str().unwrap());
    until_refused(60, async || program.post("/api/projects", &json!({ "name": "P" })).await).await;
    until_taken(async || ada.post("/api/projects", &json!({ "name": "P" })).await).await.expect(201);

    // What a model answers is refused before anything is asked of it.
    let generate = async || ada.post("/api/v1/generate", &json!({ "prompt": "Hi" })).await;
    let (taken, _) = until_refused(3, generate).await;
    assert_eq!(taken, 1);
    // No token of theirs has more of it.
    assert_eq!(program.post("/api/v1/generate", &json!({ "prompt": "Hi" })).await.status, 429);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_that_was_sent_too_often_goes_back_to_its_page() {
    let app = limited(vec![]).await;
    let ada = app.user("ada").await;
    choose(&app, &ada, RateSettings { sign_in: Rate::new(5, 5), reads: Rate::new(900, 901), ..RateSettings::default() }).await;
    let nobody = app.nobody();
    let send = async |referer: &str| {
        let request = nobody.request(Method::POST, "/fn/auth/login").header("accept", "text/html").header("referer", referer);
        nobody.send(request.header("content-type", "application/x-www-form-urlencoded").body("username=ada&password=wrong")).await
    };
    let page = format!("{}/login?next=%2Fprojects", app.base);
    // A wrong password goes back with 302, by the framework; what was not even looked at with 303.
    let mut refused = send(&page).await;
    for _ in 0..8 {
        if refused.status == 303 {
            break;
        }
        assert_eq!(refused.status, 302, "{refused:?}");
        refused = send(&page).await;
    }
    assert_eq!(refused.status, 303, "{refused:?}");
    let place = refused.header("location").unwrap();
    assert!(place.starts_with("/login?next=%2Fprojects&__path=%2Ffn%2Fauth%2Flogin&__err="), "{place}");
    assert_eq!(number(&refused, "ratelimit-remaining"), 0);
    let shown = nobody.get(place).await.expect(200);
    let shown = String::from_utf8_lossy(&shown.body);
    assert!(shown.contains("too many attempts to sign in"), "{shown}");
    assert_eq!(send("https://elsewhere.example/login").await.status, 429, "nobody is sent to another site");
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_sign_in_are_counted_by_address_and_by_nothing_that_they_say() {
    let app = limited(vec![("TRUSTED_PROXIES", "127.0.0.1")]).await;
    let ada = app.user("ada").await;
    let settings = RateSettings { sign_in: Rate::new(5, 5), reads: Rate::new(900, 901), ..RateSettings::default() };
    choose(&app, &ada, settings).await;
    let nobody = app.nobody();
    let sign_in = async |forwarded: &str| {
        let body = format!("username=ada&password={}", PASSWORD.replace(' ', "+"));
        let request = nobody.request(Method::POST, "/api/auth/login").header("x-forwarded-for", forwarded);
        nobody.send(request.header("content-type", "application/x-www-form-urlencoded").body(body)).await
    };
    let mut forged = 0;
    let (taken, refused) = until_refused(12, async || {
        forged += 1;
        sign_in(&format!("10.9.8.{forged}, 203.0.113.7")).await
    })
    .await;
    assert_eq!(taken, 5, "what stands left of the proxy's own word counts for nothing");
    assert!(number(&refused, "retry-after") >= 5);
    sign_in("203.0.113.8").await.expect(200);
    let (taken, _) = until_refused(12, {
        let mut host = 0;
        let sign_in = &sign_in;
        async move || {
            host += 1;
            sign_in(&format!("2001:db8:1:2::{host}")).await
        }
    })
    .await;
    assert_eq!(taken, 5, "a network of IPv6 counts as one");
    sign_in("2001:db8:1:3::1").await.expect(200);
    nobody.send(nobody.request(Method::GET, "/login").header("x-forwarded-for", "203.0.113.7")).await.expect(200);
    ada.get("/api/users/me").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_meets_the_usual_rates_at_work() {
    let app = limited(vec![]).await;
    let ada = app.user("ada").await;
    let cookie = app.nobody().sign_in_browser("ada", PASSWORD).await;
    let project = ada.post("/api/projects", &json!({ "name": "P" })).await.expect(201).id();
    for n in 0..100 {
        ada.put(&format!("/api/projects/{project}/files/{n}.txt"), Some(("if-none-match", "*")), "x").await.expect(201);
        for path in ["/", "/api/projects", "/api/users/me"] {
            let reply = cookie.get(path).await.expect(200);
            let (left, most) = (number(&reply, "ratelimit-remaining"), number(&reply, "ratelimit-limit"));
            assert!(left > most / 2, "{path} number {n}: {left} of {most} are left");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_with_a_redis_count_together_and_go_on_without_it() {
    let Some(mut redis) = Redis::start() else { return };
    let url = redis.url();
    let (here, there) = (limited(vec![("REDIS_URL", &url)]).await, limited(vec![("REDIS_URL", &url)]).await);
    let settings = RateSettings { sign_in: Rate::new(5, 20), reads: Rate::new(600, 602), ..RateSettings::default() };
    let (ada, bob) = (here.user("ada").await, there.user("bob").await);
    choose(&here, &ada, settings.clone()).await;
    choose(&there, &bob, settings).await;
    let wrong = async |app: &TestApp| app.nobody().post("/api/auth/register", &json!({})).await;
    let mut turn = 0;
    // A few of the twenty were used to sign in.
    let (taken, refused) = until_refused(40, async || {
        turn += 1;
        wrong(if turn % 2 == 0 { &here } else { &there }).await
    })
    .await;
    assert!((17..=21).contains(&taken), "they count together: {taken}");
    assert!(number(&refused, "retry-after") >= 1);

    redis.kill();
    for app in [&here, &there] {
        let reply = wrong(app).await;
        assert_eq!(reply.status, 422, "each counts for itself: {reply:?}");
        app.nobody().get("/login").await.expect(200);
    }
    redis.come_back();
    let deadline = Instant::now() + Duration::from_secs(10);
    // Both count the address of this test. Alone, each would know of its own requests only.
    let counted = async |app: &TestApp| number(&app.nobody().get("/api/users/me").await.expect(401), "ratelimit-remaining");
    loop {
        let before = counted(&there).await;
        for _ in 0..10 {
            counted(&here).await;
        }
        // A few become free again meanwhile.
        if counted(&there).await + 6 <= before {
            break;
        }
        assert!(Instant::now() < deadline, "they count together again");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
