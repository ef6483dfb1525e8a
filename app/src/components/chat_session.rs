//! The conversation at hand: what is loaded, what is followed, and how events reach the screen.

use std::{collections::BTreeMap, time::Duration};

use leptos::{prelude::*, task::spawn_local};
use wire::{
    ConversationId, Problem, TurnId,
    chat::{Conversation, ConversationView, CreateConversation, Mode, Models, StartTurn, TurnReason, TurnState},
    event::{Event, EventKind, Stream},
};

use super::{
    approval::Asked,
    chat_state::{self, Facts, Item, TurnView},
    ide::{Ide, use_ide},
};
use crate::{
    api,
    live::Follow,
    ui::{format, storage},
};

/// Events are gathered this long before the screen changes.
const GATHER: Duration = Duration::from_millis(60);

/// State of the chat panel, shared by its parts.
#[derive(Clone, Copy)]
pub struct Chat {
    pub ide: Ide,
    pub conversations: RwSignal<Vec<Conversation>>,
    pub current: RwSignal<Option<ConversationId>>,
    pub view: RwSignal<Option<ConversationView>>,
    pub models: RwSignal<Option<Models>>,
    /// What could not be done, beside the composer.
    pub failure: RwSignal<Option<String>>,
    /// The conversation could not be read.
    pub broken: RwSignal<Option<Problem>>,
    /// The list of conversations was read.
    pub ready: RwSignal<bool>,
    pub stopping: RwSignal<bool>,
    pub items: Memo<Vec<Item>>,
    pub active: Memo<Option<TurnId>>,
    pub asked: Memo<Option<Asked>>,
    /// What the screen shows of unfinished turns; `buffers` is ahead of it by at most one gathering.
    lives: RwSignal<BTreeMap<TurnId, TurnView>>,
    buffers: StoredValue<BTreeMap<TurnId, TurnView>>,
    facts: StoredValue<Facts>,
    turn_follows: StoredValue<BTreeMap<TurnId, Follow>>,
    follow: StoredValue<Option<Follow>>,
    flush_waits: StoredValue<bool>,
    /// Counts up when another conversation is opened: answers to older requests are dropped.
    generation: StoredValue<u32>,
    reading: StoredValue<bool>,
    read_again: StoredValue<bool>,
}

impl Chat {
    /// Makes the state and hands it to everything below.
    pub fn provide() -> Self {
        let view = RwSignal::new(None::<ConversationView>);
        let lives = RwSignal::new(BTreeMap::<TurnId, TurnView>::new());
        let facts = StoredValue::new(Facts::new());
        let settled = Memo::new(move |_| {
            view.with(|view| view.as_ref().map(|view| facts.with_value(|facts| chat_state::settle(view, facts))).unwrap_or_default())
        });
        let items = Memo::new(move |_| {
            let turns = view.with(|view| view.as_ref().map(|view| view.turns.clone()).unwrap_or_default());
            settled.with(|settled| lives.with(|lives| chat_state::expand(settled, &turns, lives)))
        });
        let active = Memo::new(move |_| {
            view.with(|view| view.as_ref().and_then(|v| v.turns.iter().find(|t| t.state != TurnState::Finished).map(|t| t.id)))
                .filter(|id| lives.with(|lives| lives.get(id).is_none_or(|live| live.end.is_none())))
        });
        let asked = Memo::new(move |_| {
            lives.with(|lives| {
                let mut waiting = lives.iter().flat_map(|(turn, live)| live.waiting().map(|tool| (*turn, tool)));
                let (turn, tool) = waiting.next()?;
                Some(Asked { turn, tool: tool.clone(), behind: waiting.count() })
            })
        });
        let chat = Self {
            ide: use_ide(),
            conversations: RwSignal::new(Vec::new()),
            current: RwSignal::new(None),
            view,
            models: RwSignal::new(None),
            failure: RwSignal::new(None),
            broken: RwSignal::new(None),
            ready: RwSignal::new(false),
            stopping: RwSignal::new(false),
            items,
            active,
            asked,
            lives,
            buffers: StoredValue::new(BTreeMap::new()),
            facts,
            turn_follows: StoredValue::new(BTreeMap::new()),
            follow: StoredValue::new(None),
            flush_waits: StoredValue::new(false),
            generation: StoredValue::new(0),
            reading: StoredValue::new(false),
            read_again: StoredValue::new(false),
        };
        provide_context(chat);
        chat
    }

    /// The state provided by the chat panel.
    pub fn expect() -> Self {
        expect_context()
    }

    /// Whether this model is the scripted one. Tracks the models.
    pub fn is_demo(&self, model: &str) -> bool {
        self.models.with(|models| models.as_ref().is_some_and(|m| m.items.iter().any(|item| item.name == model && item.is_demo)))
    }

    fn last_key(&self) -> String {
        self.ide.storage_key("conversation")
    }

    /// Reads models and conversations and opens the one used last.
    pub fn start(self) {
        spawn_local(async move {
            match api::chat::models().await {
                Ok(models) => {
                    self.models.try_set(Some(models));
                }
                Err(error) => {
                    self.failure.try_set(Some(error.to_string()));
                }
            }
        });
        spawn_local(async move {
            match api::chat::conversations(self.ide.project_id).await {
                Ok(list) => {
                    let remembered = storage::read(&self.last_key()).and_then(|id| id.parse().ok());
                    let chosen = list.iter().find(|c| Some(c.id) == remembered).or(list.first()).map(|c| c.id);
                    if self.conversations.try_set(list).is_some() {
                        return;
                    }
                    if let (Some(id), None) = (chosen, self.current.get_untracked()) {
                        self.open(id);
                    }
                }
                Err(error) => {
                    self.broken.try_set(Some(error.0));
                }
            }
            self.ready.try_set(true);
        });
    }

    /// Reads the list of conversations again.
    pub fn refresh_list(self) {
        spawn_local(async move {
            match api::chat::conversations(self.ide.project_id).await {
                Ok(list) => {
                    self.conversations.try_set(list);
                }
                Err(error) => {
                    self.failure.try_set(Some(error.to_string()));
                }
            }
        });
    }

    /// Shows nothing; the conversation is made with the first message.
    pub fn open_new(self) {
        self.leave();
        storage::remove(&self.last_key());
    }

    fn leave(self) {
        self.generation.update_value(|generation| *generation += 1);
        self.follow.set_value(None);
        self.turn_follows.set_value(BTreeMap::new());
        self.buffers.set_value(BTreeMap::new());
        self.reading.set_value(false);
        self.read_again.set_value(false);
        self.current.set(None);
        self.view.set(None);
        self.lives.set(BTreeMap::new());
        self.failure.set(None);
        self.broken.set(None);
        self.stopping.set(false);
    }

    /// Shows a conversation and follows it.
    pub fn open(self, id: ConversationId) {
        if self.current.get_untracked() == Some(id) {
            return;
        }
        self.leave();
        self.current.set(Some(id));
        storage::write(&self.last_key(), &id.to_string());
        self.read();
        let follow = self.ide.live.follow(Stream::Conversation(id), 0, move |event| self.conversation_told(event));
        self.follow.set_value(Some(follow));
    }

    /// Most of the past is already in what was read; only news leads to reading again.
    fn conversation_told(self, event: &Event) {
        let news = self.view.try_with_untracked(|view| {
            let Some(view) = view else { return false };
            let turn = |id: TurnId| view.turns.iter().find(|turn| turn.id == id);
            match &event.kind {
                EventKind::MessageAdded { seq } => view.messages.last().is_none_or(|last| last.seq < *seq),
                EventKind::TurnQueued { turn_id } => turn(*turn_id).is_none(),
                EventKind::TurnChanged { turn_id, state } => {
                    turn(*turn_id).is_none_or(|turn| turn.state != TurnState::Finished && turn.state != *state)
                }
                EventKind::ConversationChanged { .. } => event.at > view.conversation.updated_at,
                _ => false,
            }
        });
        if news == Some(true) {
            self.read();
        }
    }

    /// Reads the conversation; requests while one is under way become one more.
    pub fn read(self) {
        let Some(id) = self.current.get_untracked() else { return };
        if self.reading.get_value() {
            self.read_again.set_value(true);
            return;
        }
        self.reading.set_value(true);
        let generation = self.generation.get_value();
        spawn_local(async move {
            loop {
                self.read_again.try_set_value(false);
                let answer = api::chat::view(id).await;
                if self.generation.try_get_value() != Some(generation) {
                    return;
                }
                match answer {
                    Ok(view) => self.take(view),
                    Err(error) if self.view.with_untracked(Option::is_none) => self.broken.set(Some(error.0)),
                    Err(error) => self.failure.set(Some(error.to_string())),
                }
                if !self.read_again.get_value() {
                    break;
                }
            }
            self.reading.set_value(false);
        });
    }

    /// Takes a view over: unfinished turns are followed, finished ones shown from their messages, in one change of the screen.
    fn take(self, view: ConversationView) {
        for turn in &view.turns {
            if turn.state == TurnState::Finished {
                self.turn_follows.update_value(|follows| {
                    follows.remove(&turn.id);
                });
                if let Some(live) = self.buffers.try_update_value(|buffers| buffers.remove(&turn.id)).flatten() {
                    self.facts.update_value(|facts| chat_state::collect_facts(facts, &live));
                }
            } else if self.turn_follows.with_value(|follows| !follows.contains_key(&turn.id)) {
                let id = turn.id;
                let follow = self.ide.live.follow(Stream::Turn(id), 0, move |event| self.turn_told(id, event));
                self.turn_follows.update_value(|follows| {
                    follows.insert(id, follow);
                });
            }
        }
        self.conversations.update(|list| {
            list.retain(|known| known.id != view.conversation.id);
            list.insert(0, view.conversation.clone());
            list.sort_by_key(|known| std::cmp::Reverse(known.updated_at));
        });
        self.broken.set(None);
        self.view.set(Some(view));
        self.flush();
    }

    fn turn_told(self, turn: TurnId, event: &Event) {
        if self.buffers.try_update_value(|buffers| chat_state::apply(buffers.entry(turn).or_default(), event.at, &event.kind)).is_none() {
            return;
        }
        match &event.kind {
            EventKind::TurnFinished { reason, .. } => {
                self.flush();
                self.stopping.set(false);
                self.announce_end(*reason);
                self.read();
            }
            EventKind::ApprovalAsked { .. } => {
                self.flush();
                if self.asked.with_untracked(Option::is_some) {
                    self.ide.announcement.set("The agent waits for your approval.".to_owned());
                }
            }
            EventKind::ChangeSetReady { .. } => self.ide.load_changes(turn),
            _ => self.flush_soon(),
        }
    }

    fn announce_end(self, reason: TurnReason) {
        let sentence = match reason {
            TurnReason::Done => "Answer finished.",
            TurnReason::Stopped => "The turn was stopped.",
            TurnReason::Failed => "The turn failed.",
            TurnReason::Budget => "The turn stopped at its budget.",
            TurnReason::Limit => "The turn stopped at a limit.",
            TurnReason::Lost => "The turn was lost.",
        };
        self.ide.announcement.set(sentence.to_owned());
    }

    fn flush_soon(self) {
        if self.flush_waits.get_value() {
            return;
        }
        self.flush_waits.set_value(true);
        set_timeout(move || self.flush(), GATHER);
    }

    fn flush(self) {
        self.flush_waits.try_set_value(false);
        if let Some(buffers) = self.buffers.try_get_value() {
            self.lives.try_set(buffers);
        }
    }

    /// Hands a prompt to the agent. True when it was taken.
    pub async fn send(self, prompt: String, mode: Mode, model: Option<String>, attachments: Vec<String>) -> bool {
        self.failure.set(None);
        let request = StartTurn { prompt, mode, model, attachments, budget: None };
        if let Some(first) = request.validate().into_iter().next() {
            self.failure.set(Some(first.message));
            return false;
        }
        let conversation = match self.current.get_untracked() {
            Some(id) => id,
            None => match api::chat::create(self.ide.project_id, CreateConversation::default()).await {
                Ok(made) => made.id,
                Err(error) => {
                    self.failure.try_set(Some(error.to_string()));
                    return false;
                }
            },
        };
        let started = api::chat::start_turn(conversation, request).await;
        if self.current.try_get_untracked().is_none() {
            return started.is_ok();
        }
        // Opened even when the turn was refused: the conversation exists now.
        self.open(conversation);
        match started {
            Ok(_) => {
                self.read();
                true
            }
            Err(error) => {
                self.failure.set(Some(error.to_string()));
                false
            }
        }
    }

    /// Stops the turn under way.
    pub fn stop(self) {
        let Some(turn) = self.active.get_untracked() else { return };
        if self.stopping.get_untracked() {
            return;
        }
        self.stopping.set(true);
        spawn_local(async move {
            match api::chat::stop_turn(turn).await {
                Ok(stopped) => {
                    // The end of its stream says the same, unless the connection is down.
                    if stopped.state == TurnState::Finished && self.current.try_get_untracked().is_some() {
                        self.stopping.set(false);
                        self.read();
                    }
                }
                Err(error) => {
                    self.stopping.try_set(false);
                    self.failure.try_set(Some(error.to_string()));
                }
            }
        });
    }

    /// Removes a conversation.
    pub fn delete(self, id: ConversationId) {
        spawn_local(async move {
            match api::chat::delete(id).await {
                Ok(()) => {
                    if self.conversations.try_update(|list| list.retain(|known| known.id != id)).is_none() {
                        return;
                    }
                    if self.current.get_untracked() == Some(id) {
                        self.open_new();
                    }
                    self.ide.toast("Removed the conversation; its accepted changes stay");
                }
                Err(error) => {
                    self.failure.try_set(Some(error.to_string()));
                }
            }
        });
    }

    /// Tokens of the turn under way or of the last one, for the line below the composer.
    pub fn usage_line(&self) -> String {
        let live = self.lives.with(|lives| lives.values().last().map(|live| live.usage));
        let usage = live.filter(|usage| usage.input + usage.output > 0).or_else(|| {
            self.view
                .with(|view| view.as_ref().and_then(|view| view.turns.iter().max_by_key(|turn| turn.created_at)).map(|turn| turn.usage))
        });
        match usage {
            Some(usage) if usage.input + usage.output > 0 => {
                format!("{} tokens in, {} out in this turn", format::count(usage.input), format::count(usage.output))
            }
            _ => String::new(),
        }
    }
}
