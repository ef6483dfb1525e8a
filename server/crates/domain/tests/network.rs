//! What runs may reach: who decides, within what, and what is remembered of it.

mod support;

use domain::{Ctx, Error, network, runs, settings};
use support::Home;
use wire::{
    Micros, RunId,
    event::{EventKind, Stream},
    network::{EgressEntry, HostRule, LOG_MAX, RULES_MAX, UpdateNetwork},
    runs::StartRun,
    settings::RunSettings,
};

fn rules(texts: &[&str]) -> Vec<HostRule> {
    texts.iter().map(|text| HostRule((*text).to_owned())).collect()
}

fn ask(texts: &[&str]) -> UpdateNetwork {
    UpdateNetwork { allow: rules(texts) }
}

async fn open(admin: &Ctx, texts: &[&str]) {
    settings::update_runs(admin, RunSettings { egress: rules(texts), ..RunSettings::default() }).await.unwrap();
}

fn messages(error: Error) -> Vec<String> {
    let Error::Invalid(fields) = error else { panic!("{error:?}") };
    fields.into_iter().map(|field| format!("{}: {}", field.field, field.message)).collect()
}

on_both!(
    owners_choose_from_what_the_administrator_opened,
    nothing_is_reachable_until_somebody_opens_it,
    only_the_owner_or_an_administrator_decides,
    what_was_asked_for_is_remembered_and_told,
);

async fn nothing_is_reachable_until_somebody_opens_it(home: Home) {
    let ada = home.person("ada").await;
    let project = home.project(&ada).await.id;
    let policy = network::policy(&ada, project).await.unwrap();
    assert!(policy.allow.is_empty() && policy.available.is_empty() && policy.log.is_empty());
    assert!(policy.unavailable.unwrap().contains("has not opened any host"));
    let refused = messages(network::update(&ada, project, ask(&["pypi.org"])).await.unwrap_err());
    assert_eq!(refused, ["allow: pypi.org is not open to projects here. The administrator has not opened any host."]);
    assert!(network::rules(&ada, project).await.unwrap().is_empty());
}

async fn owners_choose_from_what_the_administrator_opened(home: Home) {
    let (admin, ben) = (home.person("ada").await, home.person("ben").await);
    let project = home.project(&ben).await.id;
    open(&admin, &["pypi.org", "*.example.org", "git.example.com:22"]).await;

    let policy = network::update(&ben, project, ask(&[" PyPI.org", "a.b.example.org:443", "pypi.org"])).await.unwrap();
    assert_eq!(policy.allow, rules(&["pypi.org", "a.b.example.org:443"]), "plain, and each once");
    assert_eq!((policy.available.len(), policy.unavailable), (3, None));

    let wrong = ["pypi.org:22", "example.org", "*.org", "10.0.0.1", "git.example.com"];
    let refused = messages(network::update(&ben, project, ask(&wrong)).await.unwrap_err());
    assert_eq!(refused.len(), wrong.len(), "{refused:?}");
    for (rule, message) in wrong.iter().zip(&refused) {
        assert!(message.contains(rule), "{message}");
    }
    assert!(refused[0].contains("*.example.org") && refused[0].contains("git.example.com:22"), "what is allowed is named: {}", refused[0]);
    let many: Vec<String> = (0..=RULES_MAX).map(|n| format!("h{n}.example.org")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(messages(network::update(&ben, project, ask(&many)).await.unwrap_err()), ["allow: At most 100 rules can be kept."]);
    assert_eq!(network::policy(&ben, project).await.unwrap().allow, policy.allow, "a refusal changes nothing");

    // What the administrator closes is closed at once, and opens again without a word of the owner.
    open(&admin, &["*.example.org"]).await;
    assert_eq!(network::rules(&ben, project).await.unwrap(), rules(&["a.b.example.org:443"]));
    assert_eq!(network::policy(&ben, project).await.unwrap().allow, policy.allow);
    open(&admin, &["*.example.org", "pypi.org"]).await;
    assert_eq!(network::rules(&ben, project).await.unwrap(), policy.allow);
}

async fn only_the_owner_or_an_administrator_decides(home: Home) {
    let (admin, ben, cleo) = (home.person("ada").await, home.person("ben").await, home.person("cleo").await);
    let project = home.project(&ben).await.id;
    open(&admin, &["pypi.org"]).await;
    for stranger in [&admin, &cleo] {
        assert!(matches!(network::policy(stranger, project).await, Err(Error::NotFound(_))));
        assert!(matches!(network::update(stranger, project, ask(&["pypi.org"])).await, Err(Error::NotFound(_))));
        assert!(matches!(network::rules(stranger, project).await, Err(Error::NotFound(_))));
    }
    assert!(matches!(network::policy(&home.nobody(), project).await, Err(Error::NotSignedIn)));
    let agent = ben.as_agent(ben.new_id());
    assert!(network::policy(&agent, project).await.is_ok(), "the agent may see it");
    assert!(matches!(network::update(&agent, project, ask(&["pypi.org"])).await, Err(Error::Forbidden(_))));
    assert!(network::policy(&ben, project).await.unwrap().allow.is_empty());
}

async fn what_was_asked_for_is_remembered_and_told(home: Home) {
    let ben = home.person("ben").await;
    let (project, other) = (home.project(&ben).await.id, home.project(&ben).await.id);
    let run = runs::start(&ben, project, StartRun::command("true")).await.unwrap().id;
    let entry = |n: i64, allowed: bool| EgressEntry {
        run_id: RunId(uuid::Uuid::nil()),
        host: format!("h{n}.example.org"),
        port: 443,
        allowed,
        reason: if allowed { String::new() } else { "é".repeat(1000) },
        at: Micros(n),
    };
    network::record(&ben, run, vec![entry(1, true), entry(2, false), entry(2, false), entry(2, true)]).await.unwrap();
    network::record(&ben, run, Vec::new()).await.unwrap();
    let log = network::policy(&ben, project).await.unwrap().log;
    let seen: Vec<_> = log.iter().map(|e| (e.host.as_str(), e.allowed, e.run_id)).collect();
    assert_eq!(seen.len(), 3, "asked twice in one moment is written once: {seen:?}");
    assert!(seen.contains(&("h2.example.org", false, run)) && seen.contains(&("h1.example.org", true, run)));
    assert!(log.iter().all(|e| e.reason.len() <= 400));
    assert!(network::policy(&ben, other).await.unwrap().log.is_empty());

    let events = store::events::after(&mut ben.services().db.read().await.unwrap(), Stream::Run(run), 0, 100).await.unwrap();
    let told = events.iter().filter(|e| matches!(&e.kind, EventKind::EgressAsked { port: 443, .. })).count();
    assert_eq!(told, 3);

    for batch in 1..=6 {
        let flood: Vec<EgressEntry> = (0..200).map(|n| entry(batch * 1000 + n, false)).collect();
        network::record(&ben, run, flood).await.unwrap();
    }
    let log = network::policy(&ben, project).await.unwrap().log;
    assert_eq!(log.len() as i64, LOG_MAX);
    let events = store::events::after(&mut ben.services().db.read().await.unwrap(), Stream::Run(run), 0, 10_000).await.unwrap();
    let told = events.iter().filter(|e| matches!(e.kind, EventKind::EgressAsked { .. })).count();
    let notes = events.iter().filter(|e| matches!(e.kind, EventKind::RunNoted { .. })).count();
    assert_eq!((told, notes), (500, 1), "one run fills no more than its part of the log, and says so once");
}
