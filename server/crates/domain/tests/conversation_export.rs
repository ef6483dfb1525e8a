//! A conversation as Markdown says what became of things: texts that people wrote, models that took over, summaries that were taken back.

mod support;

use domain::{
    Ctx,
    chat::{self, ExportFormat},
    context, files,
};
use futures::TryStreamExt;
use support::Home;
use wire::{
    ChangeSetId, ConversationId, TurnId,
    changes::{HunkDecision, HunkState},
    chat::{CreateConversation, MessageBody, StartTurn, TokenUsage, TurnReason},
    context::{ContextChoice, Mention, SetCompaction},
    files::{Base, SaveText, TextFormat},
};

on_both!(what_is_exported_says_what_became_of_it);

async fn exported(ctx: &Ctx, conversation: ConversationId) -> String {
    exported_as(ctx, conversation, ExportFormat::Markdown).await
}

async fn exported_as(ctx: &Ctx, conversation: ConversationId, format: ExportFormat) -> String {
    let made = chat::export(ctx, conversation, format).await.unwrap();
    let bytes: Vec<bytes::Bytes> = made.body.try_collect().await.unwrap();
    String::from_utf8(bytes.concat()).unwrap()
}

fn answer(text: &str) -> MessageBody {
    MessageBody::Assistant { text: text.to_owned(), reasoning: String::new(), tool_calls: vec![], usage: TokenUsage::default() }
}

fn edited(change_set_id: ChangeSetId) -> MessageBody {
    let hunk = HunkDecision {
        path: "a.py".to_owned(),
        action: None,
        old_path: None,
        old_start: 1,
        state: HunkState::Edited,
        diff: "-x = 1\n+x = 2\n".to_owned(),
        edited_text: Some("x = 3  # mine\n".to_owned()),
        reason: None,
    };
    MessageBody::Decision { change_set_id, hunks: vec![hunk] }
}

/// As the agent: takes the turn up, says all of it, and ends it.
async fn play(ada: &Ctx, turn: TurnId, bodies: Vec<MessageBody>) {
    let agent = ada.as_agent(turn);
    chat::take_up_turn(&agent, turn).await.unwrap().unwrap();
    for body in bodies {
        chat::append_message(&agent, turn, body).await.unwrap();
    }
    chat::finish_turn(&agent, turn, TurnReason::Done, "").await.unwrap();
}

async fn what_is_exported_says_what_became_of_it(home: Home) {
    let ada = home.person("ada").await;
    let project = home.project(&ada).await.id;
    let save = SaveText { path: "a.py".to_owned(), base: Base::New, text: "x = 1\n".to_owned(), format: TextFormat::default() };
    files::save_text(&ada, project, save).await.unwrap();
    let conversation = chat::create_conversation(&ada, project, CreateConversation::default()).await.unwrap().id;
    let start = async |request| chat::start_turn(&ada, conversation, request).await.unwrap().turn_id;

    let lines = Mention::Selection { path: "a.py".to_owned(), start_line: 1, end_line: 1, text: "x = 1".to_owned(), edited: false };
    let context = ContextChoice { mentions: vec![lines], ..ContextChoice::default() };
    let attachments = vec!["a.py".to_owned()];
    let first = start(StartTurn { prompt: "Tidy up".to_owned(), attachments, context, ..StartTurn::default() }).await;
    let switched = MessageBody::Switched { from: "scripted".to_owned(), to: "spare".to_owned(), reason: "It is overloaded.".to_owned() };
    play(&ada, first, vec![answer("Before."), switched, answer("After."), edited(ada.new_id())]).await;

    let second = start(StartTurn { prompt: "Go on".to_owned(), ..StartTurn::default() }).await;
    let summary = context::record_compaction(&ada.as_agent(second), second, "All was tidied.".to_owned(), 3, 900, 90).await.unwrap();
    let (gone_on, reasoning) = ("Gone on.".to_owned(), "First this.\nThen that.\n".to_owned());
    let thought = MessageBody::Assistant { text: gone_on, reasoning, tool_calls: vec![], usage: TokenUsage::default() };
    play(&ada, second, vec![thought]).await;

    let text = exported(&ada, conversation).await;
    for part in [
        "- Attached file `a.py`\n",
        "- Attached selection of `a.py, line 1`\n",
        "## Agent (scripted)\n\nBefore.\n\n> Switched from scripted to spare: It is overloaded.\n\n## Agent (spare)\n\nAfter.\n",
        "`a.py` line 1: edited and accepted\n\n```diff\n-x = 1\n+x = 2\n```\n\nWritten instead:\n\n```\nx = 3  # mine\n```\n",
        "## Summary of messages 1 to 3\n\nAll was tidied.\n",
        "## Agent (scripted)\n\n> *Thoughts*\n>\n> First this.\n> Then that.\n\nGone on.\n",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert_eq!(text.matches("Thoughts").count(), 1, "only where there were some: {text}");
    let json: serde_json::Value = serde_json::from_str(&exported_as(&ada, conversation, ExportFormat::Json).await).unwrap();
    let told = |text: &str| json["messages"].as_array().unwrap().iter().find(|message| message["body"]["text"] == text).unwrap();
    assert_eq!(told("Gone on.")["body"]["reasoning"], "First this.\nThen that.\n");
    assert!(told("Before.")["body"].get("reasoning").is_none());
    context::set_compaction(&ada, conversation, summary.seq, SetCompaction { undone: true }).await.unwrap();
    let text = exported(&ada, conversation).await;
    assert!(text.contains("## Summary of messages 1 to 3, taken back later\n\nAll was tidied.\n"), "{text}");
    context::set_compaction(&ada, conversation, summary.seq, SetCompaction { undone: false }).await.unwrap();
    assert!(!exported(&ada, conversation).await.contains("taken back"), "in force again");
}
