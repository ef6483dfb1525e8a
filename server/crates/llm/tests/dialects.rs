//! Each dialect against a real HTTP server that replays what was written after the public specifications.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use llm::{
    ApiKey, FinishReason, HostPolicy, Image, Message, Model, ModelError, ModelEvent, ModelRequest, Spec, ToolCall, ToolSpec, Usage,
    connect, list_models,
};
use serde_json::{Value, json};
use wire::models::ProviderKind::{self, Anthropic, Gemini, Ollama, OpenaiChat, OpenaiResponses};

mod replay;
use replay::{Replay, Reply};

const KEY: &str = "sk-wire-test";
const ALL: [ProviderKind; 5] = [OpenaiChat, OpenaiResponses, Anthropic, Gemini, Ollama];

/// What was written down for a dialect: `text`, `tools`, `error`, `overloaded` or `cut`.
fn capture(kind: ProviderKind, name: &str) -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/captures");
    let kind = serde_json::to_value(kind).unwrap();
    std::fs::read_to_string(format!("{folder}/{}_{name}.txt", kind.as_str().unwrap())).unwrap()
}

fn content_type(kind: ProviderKind) -> &'static str {
    if kind == Ollama { "application/x-ndjson" } else { "text/event-stream; charset=utf-8" }
}

fn reply(kind: ProviderKind, name: &str) -> Reply {
    Reply::of(content_type(kind), capture(kind, name))
}

fn spec(kind: ProviderKind, server: &Replay) -> Spec {
    let hosts = HostPolicy { allowed: vec![], private: true };
    let mut spec = Spec::new(kind, server.url().parse().unwrap(), Some(ApiKey::new(KEY)), "m");
    (spec.hosts, spec.shown, spec.images) = (hosts, "Shown".into(), true);
    spec
}

fn model(kind: ProviderKind, server: &Replay) -> Arc<dyn Model> {
    connect(&spec(kind, server)).unwrap()
}

fn ask(text: &str) -> ModelRequest {
    ModelRequest { messages: vec![Message::user(text)], max_tokens: 8000, temperature: 0.2, ..ModelRequest::default() }
}

/// All events until the end or the first error, and that error.
async fn drain(model: &Arc<dyn Model>, req: ModelRequest) -> (Vec<ModelEvent>, Option<ModelError>) {
    let mut stream = match model.stream(req).await {
        Ok(stream) => stream,
        Err(error) => return (Vec::new(), Some(error)),
    };
    let mut events = Vec::new();
    while let Some(item) = stream.next().await {
        match item {
            Ok(event) => events.push(event),
            Err(error) => {
                assert!(stream.next().await.is_none(), "a stream ends with its first error");
                return (events, Some(error));
            }
        }
    }
    (events, None)
}

async fn answer(kind: ProviderKind, reply: Reply) -> (Vec<ModelEvent>, Option<ModelError>) {
    let server = Replay::start([reply]).await;
    drain(&model(kind, &server), ask("hi")).await
}

fn expected_text(kind: ProviderKind) -> Vec<ModelEvent> {
    let cached = if kind == Ollama { 0 } else { 8 };
    let cache_write = u64::from(kind == Anthropic);
    vec![
        ModelEvent::Reasoning("Größe?".into()),
        ModelEvent::Text("Grüße ".into()),
        ModelEvent::Text("🌊 東京".into()),
        ModelEvent::Usage(Usage { input: 12, output: 4, cached, cache_write }),
        ModelEvent::Finished(FinishReason::Stop),
    ]
}

fn calls_of(events: &[ModelEvent]) -> Vec<ToolCall> {
    events
        .iter()
        .filter_map(|event| match event {
            ModelEvent::ToolCall(call) => Some(call.clone()),
            _ => None,
        })
        .collect()
}

fn assert_two_calls(kind: ProviderKind, events: &[ModelEvent]) {
    let calls = calls_of(events);
    let read: Vec<(&str, Value)> = calls.iter().map(|c| (c.name.as_str(), serde_json::from_str(&c.arguments).unwrap())).collect();
    assert_eq!(read, [("read_file", json!({"path": "größe.py"})), ("search", json!({"query": "🌊"}))], "{kind:?}");
    assert!(calls.iter().all(|call| !call.id.is_empty()) && calls[0].id != calls[1].id);
    let started: Vec<&String> = events
        .iter()
        .filter_map(|event| match event {
            ModelEvent::ToolCallStarted { id, .. } => Some(id),
            _ => None,
        })
        .collect();
    assert_eq!(started, [&calls[0].id, &calls[1].id], "{kind:?}");
    assert!(!events.iter().any(|event| matches!(event, ModelEvent::Usage(_))), "{kind:?} sent no usage");
    assert_eq!(events.last(), Some(&ModelEvent::Finished(FinishReason::ToolCalls)), "{kind:?}");
}

/// Answers that are cut at the same time.
const LANES: usize = 8;

/// The same answer, cut into two writes at every byte of it.
async fn reads_every_cut(kind: ProviderKind, name: &str, check: impl Fn(&[ModelEvent])) {
    let whole = capture(kind, name).into_bytes();
    // Most of it is waiting between the two writes.
    let lanes = (0..LANES).map(|lane| {
        let (whole, check) = (&whole, &check);
        async move {
            let server = Replay::start([]).await;
            let model = model(kind, &server);
            for at in (lane..=whole.len()).step_by(LANES) {
                server.add(Reply { pieces: vec![whole[..at].to_vec(), whole[at..].to_vec()], ..Reply::of(content_type(kind), "") });
                let (events, failure) = drain(&model, ask("hi")).await;
                assert_eq!(failure, None, "{kind:?} cut at byte {at}");
                check(&events);
            }
        }
    });
    futures::future::join_all(lanes).await;
    // And every byte on its own, with line ends of the other kind.
    let server = Replay::start([]).await;
    let model = model(kind, &server);
    let crlf = String::from_utf8(whole).unwrap().replace('\n', "\r\n");
    server.add(Reply { pieces: crlf.bytes().map(|byte| vec![byte]).collect(), ..Reply::of(content_type(kind), "") });
    let (events, failure) = drain(&model, ask("hi")).await;
    assert_eq!(failure, None, "{kind:?}");
    check(&events);
}

macro_rules! every_cut {
    ($($name:ident: $kind:expr;)*) => {$(
        #[tokio::test]
        async fn $name() {
            reads_every_cut($kind, "text", |events| assert_eq!(events, expected_text($kind))).await;
            reads_every_cut($kind, "tools", |events| assert_two_calls($kind, events)).await;
        }
    )*};
}

every_cut! {
    chat_completions_are_read_however_they_are_cut: OpenaiChat;
    responses_are_read_however_they_are_cut: OpenaiResponses;
    anthropic_is_read_however_it_is_cut: Anthropic;
    gemini_is_read_however_it_is_cut: Gemini;
    ollama_is_read_however_it_is_cut: Ollama;
}

#[tokio::test]
async fn an_error_within_the_stream_is_told_and_the_key_masked() {
    for kind in ALL {
        let (events, failure) = answer(kind, reply(kind, "error")).await;
        assert_eq!(events, [ModelEvent::Text("half".into())], "{kind:?}");
        assert_eq!(failure, Some(ModelError::Provider { detail: "The server had an error for •••".into() }), "{kind:?}");
    }
}

#[tokio::test]
async fn an_error_before_the_first_token_is_tried_again() {
    for kind in [OpenaiChat, OpenaiResponses, Anthropic, Gemini] {
        let server = Replay::start([reply(kind, "overloaded"), reply(kind, "text")]).await;
        let (events, failure) = drain(&model(kind, &server), ask("hi")).await;
        assert_eq!((events, failure), (expected_text(kind), None), "{kind:?}");
        assert_eq!(server.asked().len(), 2);
    }
}

#[tokio::test]
async fn a_stream_that_is_cut_is_told_and_its_calls_are_not_handed_out() {
    for kind in ALL {
        let (events, failure) = answer(kind, reply(kind, "cut")).await;
        assert_eq!(events.first(), Some(&ModelEvent::Text("half".into())), "{kind:?}");
        assert_eq!((calls_of(&events), failure), (vec![], Some(ModelError::CutOff)), "{kind:?}");
        let (events, failure) = answer(kind, Reply::of(content_type(kind), "")).await;
        assert_eq!((events, failure), (vec![], Some(ModelError::CutOff)), "{kind:?} said nothing at all");
    }
}

#[tokio::test]
async fn what_is_not_the_format_is_told() {
    for kind in ALL {
        let body = if kind == Ollama { "<html>\n" } else { "data: <html>\n\n" };
        let (_, failure) = answer(kind, Reply::of(content_type(kind), body)).await;
        assert!(matches!(failure, Some(ModelError::Malformed { .. })), "{kind:?} {failure:?}");
    }
}

#[tokio::test]
async fn a_rate_limit_is_waited_for() {
    for kind in ALL {
        let limited = Reply::status(429, r#"{"error":{"message":"slow down","type":"rate_limit_error"}}"#);
        let server = Replay::start([limited.header("retry-after", "1"), reply(kind, "text")]).await;
        let began = Instant::now();
        let (events, failure) = drain(&model(kind, &server), ask("hi")).await;
        assert_eq!((events, failure), (expected_text(kind), None), "{kind:?}");
        assert!(began.elapsed() >= Duration::from_secs(1), "{kind:?}");
        assert_eq!(server.asked().len(), 2);
    }
    let delayed = r#"{"error":{"code":429,"status":"RESOURCE_EXHAUSTED","message":"quota","details":[{"retryDelay":"90s"}]}}"#;
    let (_, failure) = answer(Gemini, Reply::status(429, delayed)).await;
    assert_eq!(failure, Some(ModelError::RateLimited { retry_after: Some(Duration::from_secs(90)) }));
}

#[tokio::test]
async fn failures_of_the_server_are_tried_three_times() {
    for kind in ALL {
        let failures = [500, 529, 503].map(|status| Reply::status(status, "{}").header("retry-after-ms", "5"));
        let server = Replay::start(failures.into_iter().chain([reply(kind, "text")])).await;
        let (_, failure) = drain(&model(kind, &server), ask("hi")).await;
        assert_eq!(failure, Some(ModelError::Server { status: 503 }), "{kind:?}");
        assert_eq!(server.asked().len(), 3);
    }
}

#[tokio::test]
async fn what_cannot_succeed_is_not_repeated() {
    for kind in ALL {
        let refusal = |status| Reply::status(status, &format!("{{\"error\": {{\"message\": \"bad {KEY}\"}}}}"));
        let server = Replay::start([refusal(401), refusal(400)]).await;
        let model = model(kind, &server);
        let host = server.address.to_string();
        assert_eq!(drain(&model, ask("hi")).await.1, Some(ModelError::Unauthorised { host }));
        assert_eq!(drain(&model, ask("hi")).await.1, Some(ModelError::BadRequest { detail: "bad •••".into() }));
        assert_eq!(server.asked().len(), 2);
    }
    let invalid = r#"[{"error":{"code":400,"message":"API key not valid.","details":[{"reason":"API_KEY_INVALID"}]}}]"#;
    assert!(matches!(answer(Gemini, Reply::status(400, invalid)).await.1, Some(ModelError::Unauthorised { .. })));
    let missing = Reply::status(404, "{\"error\":\"model 'm' not found\"}");
    assert_eq!(answer(Ollama, missing).await.1, Some(ModelError::NotFound { detail: "model 'm' not found".into() }));
}

#[tokio::test]
async fn a_late_first_byte_and_a_stall_are_told_apart() {
    for kind in ALL {
        let minute = Duration::from_secs(60);
        let late = Reply { before_headers: minute, ..reply(kind, "text") };
        let silent = Reply { pieces: vec![], hold: minute, ..reply(kind, "text") };
        let stalled = Reply { hold: minute, ..reply(kind, "cut") };
        let server = Replay::start([late, silent, stalled]).await;
        let limits = |first_byte, stall| Spec { first_byte, stall, ..spec(kind, &server) };
        let (short, long) = (Duration::from_millis(120), Duration::from_secs(20));
        let hurried = connect(&limits(short, long)).unwrap();
        assert_eq!(drain(&hurried, ask("hi")).await.1, Some(ModelError::FirstByteTimeout), "{kind:?}");
        assert_eq!(drain(&hurried, ask("hi")).await.1, Some(ModelError::FirstByteTimeout), "{kind:?}, headers alone");
        let (events, failure) = drain(&connect(&limits(long, short)).unwrap(), ask("hi")).await;
        assert_eq!(events.first(), Some(&ModelEvent::Text("half".into())), "{kind:?}");
        assert_eq!(failure, Some(ModelError::Stalled), "{kind:?}");
        assert_eq!(server.asked().len(), 3, "a time-out is never retried silently");
        server.wait_open(0).await;
    }
}

#[tokio::test]
async fn signs_of_life_alone_are_a_stall_at_last() {
    for (kind, ping) in [(OpenaiChat, ": keep-alive\n\n"), (Anthropic, "event: ping\ndata: {\"type\": \"ping\"}\n\n")] {
        let mut stalled = reply(kind, "cut");
        stalled.pieces.extend((0..200).map(|_| ping.as_bytes().to_vec()));
        (stalled.pace, stalled.hold) = (Duration::from_millis(40), Duration::from_secs(60));
        let server = Replay::start([stalled]).await;
        let limits = Spec { stall: Duration::from_millis(200), ..spec(kind, &server) };
        let began = Instant::now();
        let (events, failure) = drain(&connect(&limits).unwrap(), ask("hi")).await;
        assert_eq!((events.first(), failure), (Some(&ModelEvent::Text("half".into())), Some(ModelError::Stalled)), "{kind:?}");
        let took = began.elapsed();
        assert!(took >= Duration::from_secs(1) && took < Duration::from_secs(6), "five times the longest silence: {kind:?}, {took:?}");
        server.wait_open(0).await;
    }
}

#[tokio::test]
async fn the_most_that_a_request_can_be_holds_whatever_it_is_written_in() {
    let server = Replay::start([]).await;
    for kind in ALL {
        let model = model(kind, &server);
        let most = |req: &ModelRequest| model.most_input(req);
        for text in ["plain words", "東京都", "🌊🌊🌊", "QUJDREVGRw==", "\u{0}\n\t\\\""] {
            let text = text.repeat(1000);
            assert!(most(&ask(&text)) >= text.len() as u64, "{kind:?}");
            let system = ModelRequest { system: text.clone(), ..ask("hi") };
            assert!(most(&system) >= text.len() as u64, "{kind:?}");
        }
        let mut with_tools = ask("hi");
        let schema = json!({"type": "object", "description": "東".repeat(500)});
        with_tools.tools.push(ToolSpec { name: "look".into(), description: "東".repeat(500).into(), schema: schema.into() });
        assert!(most(&with_tools) >= 3000, "{kind:?}");
        // A picture counts by what a provider makes of it, not by its size in base64.
        let image = Image { media_type: "image/png".into(), data: vec![0; 5 << 20].into() };
        let mut pictured = ask("hi");
        pictured.messages = vec![Message::User { text: "hi".into(), images: vec![image.clone(), image] }];
        let pictures = most(&pictured) - most(&ask("hi"));
        assert!((2 * 4784..120_000).contains(&pictures), "{kind:?}: {pictures}");
    }
}

#[tokio::test]
async fn dropping_the_stream_closes_the_connection() {
    for kind in ALL {
        let server = Replay::start([Reply { hold: Duration::from_secs(60), ..reply(kind, "cut") }]).await;
        let mut stream = model(kind, &server).stream(ask("hi")).await.unwrap();
        assert_eq!(stream.next().await, Some(Ok(ModelEvent::Text("half".into()))));
        server.wait_open(1).await;
        drop(stream);
        server.wait_open(0).await;
    }
}

#[tokio::test]
async fn a_redirect_is_refused_and_the_key_stays_at_home() {
    for kind in ALL {
        let elsewhere = Replay::start([reply(kind, "text")]).await;
        let moved = Reply::status(307, "").header("location", format!("{}/v1/elsewhere", elsewhere.url()));
        let server = Replay::start([moved.clone(), moved]).await;
        let (_, failure) = drain(&model(kind, &server), ask("hi")).await;
        assert!(matches!(failure, Some(ModelError::BadRequest { detail }) if detail.contains("redirect")), "{kind:?}");
        assert!(matches!(list_models(&spec(kind, &server)).await, Err(ModelError::BadRequest { .. })));
        assert!(elsewhere.asked().is_empty(), "{kind:?}");
    }
}

#[tokio::test]
async fn the_key_goes_into_the_one_header_it_belongs_in() {
    for kind in ALL {
        let server = Replay::start([reply(kind, "text")]).await;
        drain(&model(kind, &server), ask("hi")).await;
        let asked = &server.asked()[0];
        let (name, value) = match kind {
            Anthropic => ("x-api-key", KEY.to_owned()),
            Gemini => ("x-goog-api-key", KEY.to_owned()),
            _ => ("authorization", format!("Bearer {KEY}")),
        };
        assert_eq!(asked.header(name), Some(value.as_str()), "{kind:?}");
        let carriers = asked.headers.values().filter(|value| value.to_str().is_ok_and(|value| value.contains(KEY)));
        assert_eq!(carriers.count(), 1);
        assert!(!asked.path.contains(KEY) && !asked.body.to_string().contains(KEY));
    }
}

#[tokio::test]
async fn a_private_address_is_refused_unless_allowed() {
    for kind in ALL {
        let server = Replay::start([reply(kind, "text")]).await;
        let mut spec = spec(kind, &server);
        spec.hosts.private = false;
        assert!(matches!(connect(&spec).err(), Some(ModelError::AddressRefused { .. })), "{kind:?}");
        // A name says nothing before it is resolved.
        spec.base_url = format!("http://localhost:{}", server.address.port()).parse().unwrap();
        let failure = drain(&connect(&spec).unwrap(), ask("hi")).await.1;
        assert!(matches!(&failure, Some(ModelError::AddressRefused { detail, .. }) if detail.contains("machine itself")), "{failure:?}");
        assert!(matches!(list_models(&spec).await, Err(ModelError::AddressRefused { .. })));
        assert!(server.asked().is_empty());
        spec.hosts = HostPolicy { allowed: vec!["models.example".into()], private: true };
        assert!(matches!(connect(&spec).err(), Some(ModelError::AddressRefused { .. })));
        spec.hosts.allowed = vec!["localhost".into(), "127.0.0.1".into()];
        assert_eq!(drain(&connect(&spec).unwrap(), ask("hi")).await.1, None);
    }
}

#[tokio::test]
async fn requests_are_written_as_specified() {
    for (kind, path) in [
        (OpenaiChat, "/v1/chat/completions"),
        (OpenaiResponses, "/v1/responses"),
        (Anthropic, "/v1/messages"),
        (Gemini, "/v1beta/models/m:streamGenerateContent?alt=sse"),
        (Ollama, "/api/chat"),
    ] {
        let server = Replay::start([reply(kind, "text")]).await;
        let mut req = ask("hi");
        req.system = "be good".into();
        req.tools.push(ToolSpec { name: "look".into(), description: "Looks.".into(), schema: json!({"type": "object"}).into() });
        let picture = Image { media_type: "image/png".into(), data: vec![1, 2, 3].into() };
        req.messages = vec![Message::User { text: "hi".into(), images: vec![picture] }];
        let model = model(kind, &server);
        assert_eq!((model.name(), model.describe().provider), ("Shown", server.address.to_string()));
        assert_eq!(drain(&model, req).await.1, None);
        let asked = server.asked().remove(0);
        assert_eq!(asked.path, path);
        let sent = asked.body.to_string();
        for part in ["be good", "\"hi\"", "Looks.", "AQID"] {
            assert!(sent.contains(part), "{kind:?} lacks {part}: {sent}");
        }
        if kind == Anthropic {
            assert_eq!(asked.header("anthropic-version"), Some("2023-06-01"));
        }
    }
}

#[tokio::test]
async fn what_a_provider_wants_back_goes_back_with_the_call() {
    for kind in [OpenaiResponses, Anthropic, Gemini] {
        let server = Replay::start([reply(kind, "tools"), reply(kind, "text")]).await;
        let model = model(kind, &server);
        let mut req = ModelRequest { reasoning: Some("medium".into()), ..ask("hi") };
        let calls = calls_of(&drain(&model, req.clone()).await.0);
        req.messages.push(Message::Assistant { text: String::new(), reasoning: None, tool_calls: calls.clone() });
        req.messages.extend(calls.into_iter().map(|call| Message::Tool { call_id: call.id, content: "seen".into() }));
        assert_eq!(drain(&model, req).await.1, None);
        let sent = server.asked()[1].body.to_string();
        assert_eq!(sent.matches("sealed-thoughts").count(), 1, "{kind:?}: {sent}");
    }
}

#[tokio::test]
async fn images_are_left_out_for_models_that_take_none() {
    for kind in ALL {
        let server = Replay::start([reply(kind, "text")]).await;
        let blind = connect(&Spec { images: false, ..spec(kind, &server) }).unwrap();
        let mut req = ask("");
        let picture = Image { media_type: "image/png".into(), data: vec![1, 2, 3].into() };
        req.messages = vec![Message::User { text: "look".into(), images: vec![picture] }];
        assert_eq!(drain(&blind, req).await.1, None);
        let sent = server.asked()[0].body.to_string();
        assert!(!sent.contains("AQID") && sent.contains("left out"), "{sent}");
    }
}

#[tokio::test]
async fn an_answer_in_one_document_is_read() {
    let parts = json!([{"text": "whole"}]);
    let document = |kind| match kind {
        OpenaiResponses => json!({
            "object": "response", "status": "completed", "usage": {"input_tokens": 1, "output_tokens": 1},
            "output": [{"type": "message", "content": [{"type": "output_text", "text": "whole"}]}],
        }),
        Anthropic => json!({
            "type": "message", "stop_reason": "end_turn", "usage": {"input_tokens": 1, "output_tokens": 1},
            "content": [{"type": "text", "text": "whole"}],
        }),
        Gemini => json!([{
            "candidates": [{"content": {"parts": parts}, "finishReason": "STOP"}],
            "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 1},
        }]),
        Ollama => json!({"message": {"content": "whole"}, "done": true, "prompt_eval_count": 1, "eval_count": 1}),
        _ => json!({
            "choices": [{"message": {"content": "whole"}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 1},
        }),
    };
    for kind in ALL {
        let (events, failure) = answer(kind, Reply::of("application/json", document(kind).to_string())).await;
        let usage = ModelEvent::Usage(Usage { input: 1, output: 1, ..Usage::default() });
        let expected = [ModelEvent::Text("whole".into()), usage, ModelEvent::Finished(FinishReason::Stop)];
        assert_eq!((events.as_slice(), failure), (&expected[..], None), "{kind:?}");
    }
}

#[tokio::test]
async fn lists_the_models_of_each() {
    for (kind, path, list) in [
        (OpenaiChat, "/v1/models", json!({"object": "list", "data": [{"id": "b"}, {"id": "a"}]})),
        (OpenaiResponses, "/v1/models", json!({"data": [{"id": "a"}, {"id": "b"}, {"id": "b"}]})),
        (Anthropic, "/v1/models?limit=1000", json!({"data": [{"type": "model", "id": "b"}, {"id": "a"}], "has_more": false})),
        (Gemini, "/v1beta/models?pageSize=1000", json!({"models": [{"name": "models/b"}, {"name": "models/a"}]})),
        (Ollama, "/api/tags", json!({"models": [{"name": "b", "size": 1}, {"name": "a"}]})),
    ] {
        let server = Replay::start([Reply::status(200, &list.to_string()), Reply::status(200, "{}"), Reply::status(401, "")]).await;
        let spec = spec(kind, &server);
        assert_eq!(list_models(&spec).await, Ok(vec!["a".into(), "b".into()]), "{kind:?}");
        assert_eq!(server.asked()[0].path, path);
        assert!(matches!(list_models(&spec).await, Err(ModelError::Malformed { .. })), "{kind:?}");
        assert!(matches!(list_models(&spec).await, Err(ModelError::Unauthorised { .. })), "{kind:?}");
    }
}

#[tokio::test]
async fn nobody_there_is_told() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let mut spec = Spec::new(Anthropic, format!("http://{address}").parse().unwrap(), None, "m");
    spec.hosts.private = true;
    let failure = drain(&connect(&spec).unwrap(), ask("hi")).await.1;
    let detail = "nothing is listening there".to_owned();
    assert_eq!(failure, Some(ModelError::Unreachable { host: address.to_string(), detail }));
}
