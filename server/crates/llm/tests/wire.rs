//! Chat completions against a real HTTP server that misbehaves as providers do.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use llm::{
    ApiKey, FinishReason, HostPolicy, Message, Model, ModelError, ModelEvent, ModelRequest, Spec, ToolCall, ToolSpec, Usage, connect,
};
use serde_json::{Value, json};

#[path = "../../../tests/support/model_server.rs"]
mod model_server;
use model_server::{ModelServer, ScriptedCall, Step};

const KEY: &str = "sk-wire-test";

fn spec(server: &ModelServer) -> Spec {
    let hosts = HostPolicy { allowed: vec![], private: true };
    let base = server.base_url().parse().unwrap();
    Spec { hosts, ..Spec::new(wire::models::ProviderKind::OpenaiChat, base, Some(ApiKey::new(KEY)), "scripted") }
}

fn model(server: &ModelServer) -> Arc<dyn Model> {
    connect(&spec(server)).unwrap()
}

fn ask(text: &str) -> ModelRequest {
    ModelRequest {
        system: "You are helpful.".into(),
        messages: vec![Message::user(text)],
        max_tokens: 4000,
        temperature: 0.2,
        ..ModelRequest::default()
    }
}

/// All events until the end or the first error, and that error.
async fn drain(model: &Arc<dyn Model>, req: ModelRequest) -> (Vec<ModelEvent>, Option<ModelError>) {
    let mut stream = match model.stream(req).await {
        Ok(stream) => stream,
        Err(error) => return (Vec::new(), Some(error)),
    };
    let mut events = Vec::new();
    let mut failure = None;
    while let Some(item) = stream.next().await {
        assert!(failure.is_none(), "a stream ends with its first error");
        match item {
            Ok(event) => events.push(event),
            Err(error) => failure = Some(error),
        }
    }
    (events, failure)
}

async fn answer(step: Step) -> (Vec<ModelEvent>, Option<ModelError>) {
    let server = ModelServer::start().await;
    server.script([step]);
    drain(&model(&server), ask("hi")).await
}

async fn good(step: Step) -> Vec<ModelEvent> {
    let (events, failure) = answer(step).await;
    assert_eq!(failure, None, "{events:?}");
    events
}

fn text_of(events: &[ModelEvent]) -> String {
    let text = |event: &ModelEvent| match event {
        ModelEvent::Text(piece) => Some(piece.clone()),
        _ => None,
    };
    events.iter().filter_map(text).collect()
}

fn calls_of(events: &[ModelEvent]) -> Vec<ToolCall> {
    let call = |event: &ModelEvent| match event {
        ModelEvent::ToolCall(call) => Some(call.clone()),
        _ => None,
    };
    events.iter().filter_map(call).collect()
}

fn finished(events: &[ModelEvent]) -> Option<&FinishReason> {
    match events.last() {
        Some(ModelEvent::Finished(reason)) => Some(reason),
        _ => None,
    }
}

#[tokio::test]
async fn sends_the_request_as_specified_and_reads_pieces() {
    let server = ModelServer::start().await;
    server.script([Step {
        usage: Some(json!({"prompt_tokens": 12, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 8}})),
        reasoning: Some("let me think".into()),
        ..Step::text("A long enough answer to come in pieces.")
    }]);
    let mut req = ask("hi");
    req.tools.push(ToolSpec { name: "list_files".into(), description: "Lists.".into(), schema: json!({"type": "object"}).into() });
    let (events, failure) = drain(&model(&server), req).await;
    assert_eq!(failure, None);
    assert_eq!(text_of(&events), "A long enough answer to come in pieces.");
    assert!(events.iter().filter(|e| matches!(e, ModelEvent::Text(_))).count() > 3);
    assert!(events.contains(&ModelEvent::Usage(Usage { input: 12, output: 4, cached: 8, cache_write: 0 })));
    assert_eq!(finished(&events), Some(&FinishReason::Stop));

    let sent = server.requests();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].authorization.as_deref(), Some("Bearer sk-wire-test"));
    let tool = json!({"type": "function", "function": {"name": "list_files", "description": "Lists.", "parameters": {"type": "object"}}});
    assert_eq!(
        sent[0].body,
        json!({
            "model": "scripted", "stream": true, "stream_options": {"include_usage": true},
            "max_tokens": 4000, "temperature": 0.2, "tools": [tool],
            "messages": [{"role": "system", "content": "You are helpful."}, {"role": "user", "content": "hi"}],
        })
    );
}

#[tokio::test]
async fn joins_several_calls_at_once() {
    for interleave in [false, true] {
        let step = Step { interleave, chunk_chars: Some(3), ..Step::text("Reading.") }
            .and_call("read_file", json!({"path": "tally/report.py"}))
            .and_call("search", json!({"query": "größe 🌊"}));
        let events = good(step).await;
        let calls = calls_of(&events);
        assert_eq!(calls.len(), 2);
        assert_eq!(calls[0].name, "read_file");
        assert_eq!(serde_json::from_str::<Value>(&calls[0].arguments).unwrap(), json!({"path": "tally/report.py"}));
        assert_eq!(serde_json::from_str::<Value>(&calls[1].arguments).unwrap(), json!({"query": "größe 🌊"}));
        let started = events.iter().filter(|e| matches!(e, ModelEvent::ToolCallStarted { .. })).count();
        assert_eq!(started, 2);
        assert_eq!(finished(&events), Some(&FinishReason::ToolCalls));
    }
}

#[tokio::test]
async fn gives_calls_ids_of_their_own_where_they_are_missing_or_double() {
    let call = |id: &str| ScriptedCall { id: Some(id.into()), name: "list_files".into(), arguments: json!({}) };
    for id in ["", "same"] {
        let events = good(Step { tool_calls: vec![call(id), call(id)], ..Step::default() }).await;
        let calls = calls_of(&events);
        assert_eq!(calls.len(), 2);
        assert!(!calls[0].id.is_empty() && !calls[1].id.is_empty());
        assert_ne!(calls[0].id, calls[1].id);
    }
}

#[tokio::test]
async fn usage_may_be_absent_and_so_may_done() {
    let events = good(Step { no_done: true, ..Step::text("ok") }).await;
    assert!(!events.iter().any(|e| matches!(e, ModelEvent::Usage(_))));
    assert_eq!(finished(&events), Some(&FinishReason::Stop));
    let events = good(Step { finish_reason: Some(String::new()), ..Step::text("ok") }).await;
    assert_eq!(finished(&events), Some(&FinishReason::Stop));
}

#[tokio::test]
async fn survives_cut_characters_pings_and_other_line_ends() {
    let text = "Grüße aus Łódź 🌊 und 東京.";
    let step = Step { split_bytes: true, pings: true, crlf: true, chunk_chars: Some(4), ..Step::text(text) };
    assert_eq!(text_of(&good(step).await), text);
}

#[tokio::test]
async fn reads_an_answer_sent_in_one_document() {
    let body = json!({
        "choices": [{"message": {"role": "assistant", "content": "whole"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1},
    });
    let step = Step { raw: Some(body.to_string()), content_type: Some("application/json".into()), ..Step::default() };
    let events = good(step).await;
    assert_eq!(text_of(&events), "whole");
    assert_eq!(events.len(), 3);
}

#[tokio::test]
async fn passes_on_other_reasons_to_end() {
    for (sent, expected) in [
        ("length", FinishReason::Length),
        ("content_filter", FinishReason::ContentFilter),
        ("weather", FinishReason::Other("weather".into())),
    ] {
        let events = good(Step { finish_reason: Some(sent.into()), ..Step::text("ok") }).await;
        assert_eq!(finished(&events), Some(&expected));
    }
}

#[tokio::test]
async fn reports_an_error_within_the_stream_and_masks_the_key() {
    let step = Step { error_object: Some(format!("out of memory for {KEY}")), ..Step::text("half an answer") };
    let (events, failure) = answer(step).await;
    assert_eq!(text_of(&events), "half an answer");
    let failure = failure.unwrap();
    assert_eq!(failure, ModelError::Provider { detail: "out of memory for •••".into() });
    assert!(!failure.sentence().contains(KEY));
}

#[tokio::test]
async fn notices_an_answer_that_is_cut_off() {
    for cut_clean in [false, true] {
        let step = Step { cut_after_chars: Some(12), cut_clean, ..Step::text("this answer never ends") };
        let (events, failure) = answer(step).await;
        assert_eq!(text_of(&events), "this answer ");
        assert_eq!(failure, Some(ModelError::CutOff));
    }
}

#[tokio::test]
async fn a_call_that_is_cut_off_is_never_handed_out() {
    let raw = "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"delete_file\",\"arguments\":\"{}\"}}]}}]}\n\n";
    let (events, failure) = answer(Step { raw: Some(raw.into()), ..Step::default() }).await;
    assert!(calls_of(&events).is_empty());
    assert_eq!(failure, Some(ModelError::CutOff));
}

#[tokio::test]
async fn reports_a_chunk_that_is_not_json() {
    let (events, failure) = answer(Step { malformed: true, ..Step::text("first piece, then noise") }).await;
    assert_eq!(text_of(&events), "first pi");
    assert!(matches!(failure, Some(ModelError::Malformed { .. })), "{failure:?}");
}

#[tokio::test]
async fn waits_as_long_as_a_rate_limit_asks_then_succeeds() {
    let server = ModelServer::start().await;
    server.script([Step { retry_after: Some(1.0), ..Step::status(429) }, Step::text("ok")]);
    let began = Instant::now();
    let (events, failure) = drain(&model(&server), ask("hi")).await;
    assert_eq!((text_of(&events).as_str(), failure), ("ok", None));
    assert!(began.elapsed() >= Duration::from_secs(1));
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn does_not_wait_for_long_limits_or_empty_accounts() {
    let server = ModelServer::start().await;
    let empty = json!({"error": {"message": "You exceeded your quota.", "code": "insufficient_quota"}});
    server.script([Step { retry_after: Some(90.0), ..Step::status(429) }, Step { body: Some(empty.to_string()), ..Step::status(429) }]);
    let (_, failure) = drain(&model(&server), ask("hi")).await;
    assert_eq!(failure, Some(ModelError::RateLimited { retry_after: Some(Duration::from_secs(90)) }));
    let (_, failure) = drain(&model(&server), ask("hi")).await;
    assert_eq!(failure, Some(ModelError::Exhausted { detail: "You exceeded your quota".into() }));
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn gives_up_after_three_failures_of_the_server() {
    let server = ModelServer::start().await;
    server.script([Step::status(500), Step::status(503), Step::status(500), Step::text("too late")]);
    let (_, failure) = drain(&model(&server), ask("hi")).await;
    assert_eq!(failure, Some(ModelError::Server { status: 500 }));
    assert_eq!(server.requests().len(), 3);
}

#[tokio::test]
async fn does_not_repeat_what_cannot_succeed() {
    let server = ModelServer::start().await;
    let echo = format!("{{\"error\": {{\"message\": \"bad key {KEY}\"}}}}");
    server.script([
        Step { body: Some(echo.clone()), ..Step::status(401) },
        Step { body: Some(echo), ..Step::status(400) },
        Step::status(307),
    ]);
    let model = model(&server);
    let (_, failure) = drain(&model, ask("hi")).await;
    let failure = failure.unwrap();
    assert_eq!(failure, ModelError::Unauthorised { host: server.address.to_string() });
    assert!(failure.sentence().contains("OPENAI_API_KEY"));
    let (_, failure) = drain(&model, ask("hi")).await;
    assert_eq!(failure, Some(ModelError::BadRequest { detail: "bad key •••".into() }));
    let (_, failure) = drain(&model, ask("hi")).await;
    assert!(matches!(failure, Some(ModelError::BadRequest { detail }) if detail.contains("redirect")));
    assert_eq!(server.requests().len(), 3);
}

#[tokio::test]
async fn says_when_nobody_is_there() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let server = ModelServer::start().await;
    let nobody = Spec { base_url: format!("http://{address}/v1").parse().unwrap(), ..spec(&server) };
    let (_, failure) = drain(&connect(&nobody).unwrap(), ask("hi")).await;
    let detail = "nothing is listening there".to_owned();
    assert_eq!(failure, Some(ModelError::Unreachable { host: address.to_string(), detail }));
}

#[tokio::test]
async fn a_late_first_byte_and_a_stall_are_told_apart() {
    let server = ModelServer::start().await;
    server.script([Step { first_byte_ms: 60_000, ..Step::text("late") }, Step { stall_ms: 60_000, ..Step::text("stalled") }]);
    let limits =
        |first_byte, stall| Spec { first_byte: Duration::from_millis(first_byte), stall: Duration::from_millis(stall), ..spec(&server) };
    let hurried = connect(&limits(150, 10_000)).unwrap();
    assert_eq!(drain(&hurried, ask("hi")).await.1, Some(ModelError::FirstByteTimeout));
    let patient_once = connect(&limits(10_000, 150)).unwrap();
    assert_eq!(drain(&patient_once, ask("hi")).await.1, Some(ModelError::Stalled));
    assert_eq!(server.requests().len(), 2, "a timeout is never retried silently");
    server.wait_for(|counts| counts.abandoned == 1 && counts.open == 0).await;
}

#[tokio::test]
async fn silence_after_the_end_does_not_spoil_the_answer() {
    let server = ModelServer::start().await;
    server.script([Step { no_done: true, hold_ms: 60_000, ..Step::text("all of it") }]);
    let hasty = Spec { stall: Duration::from_millis(300), ..spec(&server) };
    let (events, failure) = drain(&connect(&hasty).unwrap(), ask("hi")).await;
    assert_eq!((text_of(&events).as_str(), failure), ("all of it", None));
    server.wait_for(|counts| counts.abandoned == 1).await;
}

#[tokio::test]
async fn dropping_the_stream_closes_the_connection() {
    let server = ModelServer::start().await;
    server.script([Step { pace_ms: 5, chunk_chars: Some(1), ..Step::text("x".repeat(5_000)) }]);
    let mut stream = model(&server).stream(ask("hi")).await.unwrap();
    assert_eq!(stream.next().await, Some(Ok(ModelEvent::Text("x".into()))));
    assert_eq!(server.counts().open, 1);
    drop(stream);
    server.wait_for(|counts| counts.open == 0 && counts.abandoned == 1).await;
}

#[tokio::test]
async fn the_server_takes_scripts_over_http() {
    llm::install_crypto();
    let server = ModelServer::start().await;
    let http = reqwest::Client::builder().tls_certs_only([]).build().unwrap();
    let script = json!([
        {"when": "report", "steps": [{"text": "about the report"}, {"tool_calls": [{"name": "list_files"}]}]},
        {"text": "anything else"},
    ]);
    let post = |path: &str| http.post(format!("{}{path}", server.url()));
    assert_eq!(post("/__script").json(&script).send().await.unwrap().status(), 204);
    assert_eq!(post("/__script").json(&json!([{"txet": 1}])).send().await.unwrap().status(), 422);
    let model = model(&server);
    assert_eq!(text_of(&drain(&model, ask("hello")).await.0), "anything else");
    assert_eq!(text_of(&drain(&model, ask("fix the report")).await.0), "about the report");
    assert_eq!(calls_of(&drain(&model, ask("the report")).await.0)[0].arguments, "{}");
    assert_eq!(text_of(&drain(&model, ask("hello")).await.0), "No script.");

    let list = http.get(format!("{}/__requests", server.url())).send().await.unwrap();
    let list: Vec<Value> = list.json().await.unwrap();
    assert_eq!(list.len(), 4);
    assert_eq!(list[0]["body"]["messages"][1]["content"], "hello");
    post("/__reset").send().await.unwrap();
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn the_scripted_server_speaks_every_dialect() {
    use wire::models::ProviderKind::{Anthropic, Gemini, Ollama, OpenaiChat, OpenaiResponses};
    for kind in [OpenaiChat, OpenaiResponses, Anthropic, Gemini, Ollama] {
        let server = ModelServer::start().await;
        let usage = json!({"prompt_tokens": 12, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 8}});
        let step = Step { usage: Some(usage), reasoning: Some("hm".into()), split_bytes: true, ..Step::text("Grüße 🌊 für alle") };
        server.script_when("hello", [step.and_call("look", json!({"at": "größe"})).and_call("look", json!({"at": 2}))]);
        let model = connect(&Spec { kind, base_url: server.url().parse().unwrap(), ..spec(&server) }).unwrap();
        let (events, failure) = drain(&model, ask("hello")).await;
        assert_eq!(failure, None, "{kind:?}");
        assert_eq!(text_of(&events), "Grüße 🌊 für alle", "{kind:?}");
        let calls = calls_of(&events);
        assert_eq!((calls.len(), calls[0].arguments.as_str(), calls[1].arguments.as_str()), (2, "{\"at\":\"größe\"}", "{\"at\":2}"));
        let cached = if kind == Ollama { 0 } else { 8 };
        assert!(events.contains(&ModelEvent::Usage(Usage { input: 12, output: 4, cached, cache_write: 0 })), "{kind:?} {events:?}");
        assert!(server.requests()[0].authorization.as_deref().is_some_and(|sent| sent.contains(KEY)));
        assert_eq!(llm::list_models(&Spec { kind, base_url: server.url().parse().unwrap(), ..spec(&server) }).await.unwrap(), ["scripted"]);
        server.script([Step { error_object: Some("broken".into()), ..Step::text("half") }]);
        assert_eq!(drain(&model, ask("x")).await.1, Some(ModelError::Provider { detail: "broken".into() }), "{kind:?}");
        server.script([Step { cut_after_chars: Some(3), ..Step::text("half an answer") }]);
        assert_eq!(drain(&model, ask("x")).await.1, Some(ModelError::CutOff), "{kind:?}");
    }
}
