use std::collections::BTreeSet;

use proptest::prelude::*;
use uuid::Uuid;
use wire::{
    Micros,
    changes::{HunkDecision, HunkState},
    chat::{TokenUsage, ToolCall, ToolFacts},
};

use super::{
    super::{Ground, parts::Source},
    *,
};

const ROOM: Room = Room { window: 8000, answer: 2000 };

fn conversation(bodies: Vec<MessageBody>) -> Vec<Message> {
    let message = |(n, body)| Message { id: Uuid::nil().into(), turn_id: None, seq: n as i64 + 1, body, created_at: Micros(0) };
    bodies.into_iter().enumerate().map(message).collect()
}

fn person(tokens: usize) -> MessageBody {
    MessageBody::User { text: "p".repeat(tokens * 3), attachments: vec![] }
}

fn answer(tokens: usize) -> MessageBody {
    MessageBody::Assistant { text: "a".repeat(tokens * 3), reasoning: String::new(), tool_calls: vec![], usage: TokenUsage::default() }
}

fn step(id: &str, tokens: usize) -> [MessageBody; 2] {
    let arguments = r#"{"path":"src/a.rs"}"#.to_owned();
    let call = ToolCall { id: id.to_owned(), name: "edit_file".to_owned(), arguments };
    [
        MessageBody::Assistant { text: String::new(), reasoning: String::new(), tool_calls: vec![call], usage: TokenUsage::default() },
        MessageBody::Tool {
            call_id: id.to_owned(),
            name: "edit_file".to_owned(),
            ok: true,
            content: "r".repeat(tokens * 3),
            facts: ToolFacts::default(),
        },
    ]
}

fn summary(tokens: usize, upto_seq: i64) -> MessageBody {
    MessageBody::Compacted { summary: "s".repeat(tokens * 3), upto_seq, tokens_before: 0, tokens_after: 0 }
}

fn assemble(messages: &[Message], prompt_seq: i64, undone: &[i64]) -> Assembled {
    let ground = Ground { situation: "S".into(), instructions: vec![], map: "M".into() };
    let undone: BTreeSet<i64> = undone.iter().copied().collect();
    let source = Source {
        ground: &ground,
        tools: &[],
        later: &[],
        messages,
        prompt_seq,
        without: &[],
        undone: &undone,
        ratio_percent: 100,
        room: i64::MAX,
        images: false,
    };
    source.assemble()
}

fn planned(messages: &[Message], prompt_seq: i64, undone: &[i64]) -> Option<Plan> {
    plan(&assemble(messages, prompt_seq, undone), messages, ROOM, prompt_seq, 100, false)
}

fn asked(messages: &[Message], prompt_seq: i64) -> Option<Plan> {
    plan(&assemble(messages, prompt_seq, &[]), messages, ROOM, prompt_seq, 100, true)
}

#[test]
fn a_person_may_ask_for_it_before_it_is_full() {
    let messages = conversation(vec![person(100), answer(1800), person(100), answer(300), person(50)]);
    assert_eq!(planned(&messages, 5, &[]), None);
    assert_eq!(asked(&messages, 5).map(|plan| (plan.upto_seq, plan.folded)), Some((2, 1900)));
    // Not again for what was summed up, and not for what is shorter than a summary.
    let again = conversation(vec![person(100), answer(1800), summary(400, 2), person(50)]);
    assert_eq!(asked(&again, 4), None);
    let short = conversation(vec![person(100), answer(300), person(50)]);
    assert_eq!(asked(&short, 3), None);
    assert_eq!(asked(&conversation(vec![person(3000)]), 1), None, "the message itself is never summed up");
}

#[test]
fn room_is_left_for_the_answer() {
    assert_eq!(Room::of(0, 0), Room { window: WINDOW_DEFAULT, answer: ANSWER_MAX });
    assert_eq!(Room::of(8000, 0), ROOM);
    assert_eq!(Room::of(200_000, 4096), Room { window: 200_000, answer: 4096 });
    assert_eq!(Room::of(200_000, 32_000).answer, 32_000, "an administrator said so");
    assert_eq!(Room::of(40_000, 32_000).answer, 10_000);
    assert_eq!((ROOM.input(), ROOM.compact_at(), ROOM.summary_max()), (6000, 4800, 500));
}

#[test]
fn nothing_is_summed_up_while_there_is_room() {
    let messages = conversation(vec![person(100), answer(4000), person(100)]);
    assert_eq!(planned(&messages, 3, &[]), None);
}

#[test]
fn the_older_part_goes_and_the_newest_stays() {
    let messages = conversation(vec![person(100), answer(3000), person(100), answer(1500), person(200)]);
    let plan = planned(&messages, 5, &[]).unwrap();
    assert_eq!((plan.upto_seq, plan.folded), (2, 3100));
    let told = material(&assemble(&messages, 5, &[]), &plan, 5, 100_000);
    assert!(told.starts_with("## Person\nppp") && told.contains("## Agent\naaa") && told.contains("left out here"), "{}", &told[..40]);
}

#[test]
fn calls_stay_with_their_results_and_the_prompt_with_its_words() {
    let mut bodies = vec![person(50)];
    for n in 0..6 {
        bodies.extend(step(&format!("c{n}"), 900));
    }
    let messages = conversation(bodies);
    let plan = planned(&messages, 1, &[]).unwrap();
    assert_eq!(plan.upto_seq % 2, 1, "a result is the last of what goes: {plan:?}");
    let mut after = messages.clone();
    after.push(Message { seq: 14, body: summary(400, plan.upto_seq), ..messages[0].clone() });
    let now = assemble(&after, 1, &[]);
    let spoken: Vec<String> = now.entries.iter().take(2).map(Entry::text).collect();
    assert!(spoken[0].starts_with("[Summary") && spoken[1].starts_with("ppp"));
    assert_eq!(planned(&after, 1, &[]), None);
    let facts = kept_facts(&messages, &plan, ROOM);
    assert_eq!(facts.matches("edit_file src/a.rs").count(), 1, "{facts}");
}

fn rejected() -> MessageBody {
    let hunk = HunkDecision {
        path: "a.rs".into(),
        action: None,
        old_path: None,
        old_start: 1,
        state: HunkState::Rejected,
        diff: "-a\n+b\n".into(),
        edited_text: None,
        reason: None,
    };
    MessageBody::Decision { change_set_id: Uuid::nil().into(), hunks: vec![hunk] }
}

#[test]
fn what_was_decided_stays_until_a_model_was_told() {
    // Decided before the prompt that is about to be sent; all but the prompt would go.
    let before = conversation(vec![person(100), answer(3000), rejected(), person(3000)]);
    assert_eq!(planned(&before, 4, &[]).map(|plan| plan.upto_seq), Some(2));
    // An answer that had begun when it was decided knows nothing of it.
    let during = conversation(vec![person(100), answer(3000), rejected(), answer(100), person(3000)]);
    assert_eq!(planned(&during, 5, &[]).map(|plan| plan.upto_seq), Some(2));
    // Nor does a turn that got no answer.
    let failed = conversation(vec![person(100), answer(3000), rejected(), person(50), person(3000)]);
    assert_eq!(planned(&failed, 5, &[]).map(|plan| plan.upto_seq), Some(2));
    // Told with the prompt that was answered, it may go.
    let told = conversation(vec![person(100), answer(3000), rejected(), person(50), answer(100), person(3000)]);
    assert_eq!(planned(&told, 6, &[]).map(|plan| plan.upto_seq), Some(5));

    let comments = MessageBody::User { text: format!("{COMMENTS_NOTE} Go through them."), attachments: vec![] };
    let waiting = conversation(vec![person(100), answer(3000), comments.clone(), person(3000)]);
    assert_eq!(planned(&waiting, 4, &[]).map(|plan| plan.upto_seq), Some(2));
    let told = conversation(vec![person(100), answer(3000), comments, answer(100), person(3000)]);
    assert_eq!(planned(&told, 5, &[]).map(|plan| plan.upto_seq), Some(4));
}

#[test]
fn it_is_never_repeated_without_progress() {
    // One huge message that can't go: what is before it was summed up already.
    let messages = conversation(vec![person(100), answer(2000), summary(400, 2), person(6000)]);
    assert_eq!(planned(&messages, 4, &[]), None);
    // The same, with the summary taken back: it would only be made again.
    assert_eq!(planned(&messages, 4, &[3]), None);
    // Too little to be worth a summary.
    let messages = conversation(vec![person(100), answer(200), person(6000)]);
    assert_eq!(planned(&messages, 3, &[]), None);
    // Once the conversation has gone on, the next one goes further.
    let messages = conversation(vec![person(100), answer(2000), summary(400, 2), person(2000), answer(2000), person(1500)]);
    assert_eq!(planned(&messages, 6, &[]).map(|plan| plan.upto_seq), Some(5));
}

proptest! {
    /// However a conversation grows, with summaries of the greatest size written whenever a plan asks for one and some taken back:
    /// each plan goes further than the last, takes the place of more than it brings, and two never follow each other at once.
    #[test]
    fn every_plan_makes_progress(steps in prop::collection::vec((0..3_u8, 1..2500_usize), 1..40), undo in prop::collection::vec(any::<bool>(), 40)) {
        let mut bodies = vec![person(20)];
        let (mut behind, mut undone, mut prompt_seq) = (0, Vec::new(), 1);
        for (n, (kind, tokens)) in steps.into_iter().enumerate() {
            match kind {
                0 => { bodies.push(person(tokens)); prompt_seq = bodies.len() as i64; }
                1 => bodies.push(answer(tokens)),
                _ => bodies.extend(step(&format!("c{n}"), tokens)),
            }
            let messages = conversation(bodies.clone());
            let Some(plan) = planned(&messages, prompt_seq, &undone) else { continue };
            prop_assert!(plan.upto_seq > behind && plan.folded >= 3 * ROOM.summary_max());
            behind = plan.upto_seq;
            let facts = kept_facts(&messages, &plan, ROOM).len() / 3;
            bodies.push(summary(ROOM.summary_max() as usize + facts, plan.upto_seq));
            let messages = conversation(bodies.clone());
            let after = assemble(&messages, prompt_seq, &undone).tokens();
            prop_assert!(after < plan.tokens_before, "{after} is not less than {}", plan.tokens_before);
            prop_assert_eq!(planned(&messages, prompt_seq, &undone).filter(|again| again.upto_seq <= plan.upto_seq), None);
            if undo[n] {
                undone.push(bodies.len() as i64);
            }
        }
    }
}
