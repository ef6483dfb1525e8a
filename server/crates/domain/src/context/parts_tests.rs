use proptest::prelude::*;
use uuid::Uuid;
use wire::{
    Micros,
    changes::{HunkDecision, HunkState},
    chat::{TokenUsage, ToolFacts},
};

use super::*;

fn call(id: &str, arguments: &str) -> ToolCall {
    ToolCall { id: id.into(), name: "read_file".into(), arguments: arguments.into() }
}

fn assistant(text: &str, tool_calls: Vec<ToolCall>) -> MessageBody {
    MessageBody::Assistant { text: text.into(), reasoning: String::new(), tool_calls, usage: TokenUsage::default() }
}

fn tool(id: &str, content: &str) -> MessageBody {
    MessageBody::Tool { call_id: id.into(), name: "read_file".into(), ok: true, content: content.into(), facts: ToolFacts::default() }
}

fn person(text: &str) -> MessageBody {
    MessageBody::User { text: text.into(), attachments: vec![] }
}

fn compacted(summary: &str, upto_seq: i64) -> MessageBody {
    MessageBody::Compacted { summary: summary.into(), upto_seq, tokens_before: 0, tokens_after: 0 }
}

fn numbered(bodies: Vec<MessageBody>) -> Vec<Message> {
    let message = |(n, body)| Message { id: Uuid::nil().into(), turn_id: None, seq: n as i64 + 1, body, created_at: Micros(0) };
    bodies.into_iter().enumerate().map(message).collect()
}

struct Given {
    messages: Vec<Message>,
    prompt_seq: i64,
    without: Vec<String>,
    undone: BTreeSet<i64>,
    room: i64,
    images: bool,
}

impl Given {
    fn new(bodies: Vec<MessageBody>) -> Self {
        let messages = numbered(bodies);
        let prompts = messages.iter().filter(|m| matches!(m.body, MessageBody::User { .. }));
        let prompt_seq = prompts.map(|m| m.seq).max().unwrap_or(0);
        Self { messages, prompt_seq, without: vec![], undone: BTreeSet::new(), room: 100_000, images: false }
    }

    fn assemble(&self) -> Assembled {
        let ground = Ground { situation: "S.\n".into(), instructions: vec![], map: "M\n".into() };
        let tools = [ToolText { name: "t".into(), description: "d".into(), schema: "{}".into() }];
        let source = Source {
            ground: &ground,
            tools: &tools,
            later: &[],
            messages: &self.messages,
            prompt_seq: self.prompt_seq,
            without: &self.without,
            undone: &self.undone,
            ratio_percent: 100,
            room: self.room,
            images: self.images,
        };
        source.assemble()
    }

    fn shown(&self) -> Vec<String> {
        let shown = |entry: &Entry| match entry.role {
            Role::Tool => format!("{}={}", entry.call_id.as_deref().unwrap_or_default(), entry.text()),
            Role::Assistant if entry.text().is_empty() => "assistant".to_owned(),
            _ => entry.text(),
        };
        self.assemble().entries.iter().map(shown).collect()
    }
}

#[test]
fn reasoning_is_neither_sent_nor_counted() {
    let answer = |text: &str, reasoning: &str| {
        let (text, reasoning, usage) = (text.into(), reasoning.into(), TokenUsage::default());
        MessageBody::Assistant { text, reasoning, tool_calls: vec![], usage }
    };
    let thought = Given::new(vec![person("go"), answer("Done.", &"Hm. ".repeat(200)), answer("", "Hm."), person("on")]);
    assert_eq!(thought.shown(), ["go", "Done.", "on"]);
    let plain = Given::new(vec![person("go"), answer("Done.", ""), person("on")]);
    let tokens = |given: &Given| given.assemble().entries.iter().map(Entry::tokens).sum::<i64>();
    assert_eq!(tokens(&thought), tokens(&plain));
}

#[test]
fn results_stand_behind_their_calls_and_none_is_missing() {
    let note = MessageBody::Note { text: "n".into() };
    let given = Given::new(vec![
        person("go"),
        assistant("", vec![call("a", "{}"), call("b", "oops"), call("c", "")]),
        tool("b", "B"),
        note,
        tool("a", "A"),
        assistant("", vec![]),
    ]);
    let calls = given.assemble().entries[1].calls.clone();
    assert_eq!((calls[1].arguments.as_str(), calls[2].arguments.as_str()), (r#"{"unreadable_arguments":"oops"}"#, "{}"));
    assert_eq!(given.shown(), ["go", "assistant", "a=A", "b=B", &format!("c={NO_RESULT}"), "[Note from the workspace] n"]);
}

#[test]
fn attachments_are_fenced_and_named_by_their_kind() {
    let of = |kind, path: &str, content: &str| Attachment { kind, ..Attachment::file(path, content) };
    let attachments = vec![
        of(AttachmentKind::File, "a.md", "```\nx"),
        of(AttachmentKind::Folder, "src", "src/a.rs"),
        of(AttachmentKind::Selection, "b.rs, lines 2 to 3", "y"),
    ];
    let given = Given::new(vec![MessageBody::User { text: "look".into(), attachments }]);
    let expected = "look\n\nAttached file a.md:\n````\n```\nx\n````\n\nFiles in the folder src:\n```\nsrc/a.rs\n```\n\nLines selected by the person in b.rs, lines 2 to 3:\n```\ny\n```";
    assert_eq!(given.shown(), [expected]);
}

#[test]
fn the_oldest_results_make_room() {
    let big = "x".repeat(5000);
    let mut given = Given::new(vec![
        person("go"),
        assistant("", vec![call("a", "{}")]),
        tool("a", &big),
        assistant("", vec![call("b", "{}")]),
        tool("b", &big),
    ]);
    given.room = 2000;
    let shown = given.shown();
    assert_eq!(shown[2], format!("a={TAKEN_OUT}"));
    assert_eq!(shown[4].len(), 5002);
}

#[test]
fn what_is_left_out_is_not_sent_but_the_prompt_is() {
    let mut given = Given::new(vec![
        MessageBody::User { text: "first".into(), attachments: vec![Attachment::file("a.rs", "secret")] },
        assistant("said", vec![call("a", "{}")]),
        tool("a", "long"),
        person("second"),
    ]);
    given.without = ["m1.a:a.rs", "m2", "m3", "m4", "situation", "map"].map(str::to_owned).to_vec();
    assert_eq!(given.shown(), ["first", LEFT_OUT, &format!("a={LEFT_OUT}"), "second"]);
    let assembled = given.assemble();
    assert_eq!(assembled.system_text(), "S.\n");
    let left_out: Vec<&str> = assembled.parts().filter(|part| part.left_out).map(|part| part.key.as_str()).collect();
    assert_eq!(left_out, ["map", "m1.a:a.rs", "m2", "m3"]);
}

#[test]
fn a_summary_stands_for_what_it_covers_and_can_be_taken_back() {
    let bodies = vec![
        person("old"),
        assistant("did", vec![]),
        person("now"),
        assistant("working", vec![]),
        compacted("SUM", 4),
        assistant("on", vec![]),
    ];
    let mut given = Given::new(bodies);
    let head = "[Summary of the conversation up to here, made to save room. What it tells of files may have changed since.]\nSUM";
    assert_eq!(given.shown(), [head, "now", "on"]);
    given.undone.insert(5);
    assert_eq!(given.shown(), ["old", "did", "now", "working", "on"]);
    given.undone.clear();
    given.without.push("m5".into());
    assert_eq!(given.shown(), ["old", "did", "now", "working", "on"]);
}

#[test]
fn a_summary_does_not_stand_for_what_was_decided_while_it_was_made() {
    let decided = |path: &str| MessageBody::Decision {
        change_set_id: Uuid::nil().into(),
        hunks: vec![HunkDecision {
            path: path.into(),
            action: None,
            old_path: None,
            old_start: 1,
            state: HunkState::Rejected,
            diff: "-a\n+b\n".into(),
            edited_text: None,
            reason: None,
        }],
    };
    let mut bodies = vec![person("one"), assistant("did one", vec![]), decided("known.rs"), person("two"), decided("unknown.rs")];
    bodies.extend([assistant("doing two", vec![]), assistant("still at it", vec![]), compacted("S", 6), person("three")]);
    let shown = Given::new(bodies).shown();
    assert_eq!(shown.len(), 4, "{shown:?}");
    assert!(shown[0].contains("Summary of the conversation") && shown[1].contains("unknown.rs, line 1: rejected"), "{shown:?}");
    assert_eq!(shown[2..], ["still at it", "three"]);
}

#[test]
fn pictures_go_to_models_that_take_them() {
    let image = Attachment { kind: AttachmentKind::Image, checksum: Some("abc".into()), ..Attachment::file("p.png", "") };
    let mut given = Given::new(vec![MessageBody::User { text: "see".into(), attachments: vec![image] }]);
    assert!(given.assemble().entries[0].images.is_empty());
    given.images = true;
    let entry = given.assemble().entries.remove(0);
    assert_eq!((entry.images.len(), entry.text().as_str(), entry.parts[1].tokens), (1, "see", IMAGE_TOKENS));
    given.without.push("m1.i:abc".into());
    assert!(given.assemble().entries[0].images.is_empty());
}

fn any_body() -> impl Strategy<Value = MessageBody> {
    let text = "[a-zä\n]{0,40}";
    prop_oneof![
        text.prop_map(|t| person(&t)),
        (text, prop::collection::vec("[a-c]", 0..3)).prop_map(|(t, ids)| {
            let mut ids = ids;
            ids.dedup();
            assistant(&t, ids.iter().map(|id| call(id, "{}")).collect())
        }),
        ("[a-c]", text).prop_map(|(id, t)| tool(&id, &t)),
        text.prop_map(|text| MessageBody::Note { text }),
        (text, 0..12_i64).prop_map(|(t, upto)| compacted(&t, upto)),
    ]
}

proptest! {
    /// Whatever the transcript: no result without its call, each call answered once, and tokens are those of the text that is sent.
    #[test]
    fn requests_are_well_formed(bodies in prop::collection::vec(any_body(), 1..14), room in 0..2000_i64, without in prop::collection::vec(0..14_i64, 0..4)) {
        let mut given = Given::new(bodies);
        given.room = room;
        given.without = without.iter().map(|seq| format!("m{seq}")).collect();
        let assembled = given.assemble();
        let mut open: Vec<&str> = Vec::new();
        for entry in &assembled.entries {
            match entry.role {
                Role::Tool => prop_assert_eq!(Some(open.remove(0)), entry.call_id.as_deref()),
                _ => prop_assert!(open.is_empty()),
            }
            open.extend(entry.calls.iter().map(|call| call.id.as_str()));
        }
        prop_assert!(open.is_empty());
        for part in assembled.parts().filter(|part| part.kind != PartKind::ToolCall) {
            prop_assert_eq!(part.tokens, estimate_tokens(part.text.as_deref().unwrap_or_default().len()));
        }
        if given.prompt_seq > 0 {
            let prompt = &given.messages[given.prompt_seq as usize - 1].body;
            let MessageBody::User { text, .. } = prompt else { panic!() };
            prop_assert!(assembled.entries.iter().any(|entry| entry.seq == given.prompt_seq && entry.text() == *text));
        }
    }
}
