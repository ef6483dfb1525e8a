//! The conversation at hand: what is loaded, what is followed, and how events reach the screen.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use leptos::{prelude::*, task::spawn_local};
use wire::{
    ConversationId, Problem, RewindId, TurnId,
    chat::{
        ConversationQuery, ConversationView, CreateConversation, FoundConversation, Models, Queued, StartTurn, TurnReason, TurnState,
        Window,
    },
    event::{Event, EventKind, Stream},
};

use super::{
    approval::Asked,
    chat_state::{self, Cost, Item, TurnView},
    chat_window::{self, WINDOW},
    ide::{Ide, use_ide},
    turn_usage::Measured,
};
use crate::{
    api,
    live::Follow,
    ui::{format, storage},
};

/// Events are gathered this long before the screen changes.
const GATHER: Duration = Duration::from_millis(60);

/// Conversations that the list begins with.
const LISTED: i64 = 50;
const LISTED_MAX: i64 = 200;

/// State of the chat panel, shared by its parts.
#[derive(Clone, Copy)]
pub struct Chat {
    pub ide: Ide,
    /// As far as they were read, for the words in `search`.
    pub conversations: RwSignal<Vec<FoundConversation>>,
    /// Where the list goes on.
    pub more: RwSignal<Option<String>>,
    pub search: RwSignal<String>,
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
    /// Older messages are being read.
    pub loading_older: RwSignal<bool>,
    /// Stretches that were taken back and are shown all the same.
    pub unfolded: RwSignal<BTreeSet<RewindId>>,
    /// The turn before which somebody wants to go back.
    pub rewinding: RwSignal<Option<TurnId>>,
    /// What somebody wants to know the cost of.
    pub measured: RwSignal<Option<Measured>>,
    pub items: Memo<Vec<Item>>,
    pub active: Memo<Option<TurnId>>,
    pub asked: Memo<Option<Asked>>,
    /// What the screen shows of unfinished turns; `buffers` is ahead of it by at most one gathering.
    lives: RwSignal<BTreeMap<TurnId, TurnView>>,
    buffers: StoredValue<BTreeMap<TurnId, TurnView>>,
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
        let settled = Memo::new(move |_| view.with(|view| view.as_ref().map(chat_state::settle).unwrap_or_default()));
        let unfolded = RwSignal::new(BTreeSet::new());
        let items = Memo::new(move |_| {
            view.with(|view| {
                let Some(view) = view else { return Vec::new() };
                let items = settled.with(|settled| lives.with(|lives| chat_state::expand(settled, &view.turns, lives)));
                unfolded.with(|open| chat_window::fold(items, &view.rewinds, open))
            })
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
            more: RwSignal::new(None),
            search: RwSignal::new(String::new()),
            current: RwSignal::new(None),
            view,
            models: RwSignal::new(None),
            failure: RwSignal::new(None),
            broken: RwSignal::new(None),
            ready: RwSignal::new(false),
            stopping: RwSignal::new(false),
            loading_older: RwSignal::new(false),
            unfolded,
            rewinding: RwSignal::new(None),
            measured: RwSignal::new(None),
            items,
            active,
            asked,
            lives,
            buffers: StoredValue::new(BTreeMap::new()),
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
            match api::models::list().await {
                Ok(models) => {
                    self.models.try_set(Some(models));
                }
                Err(error) => {
                    self.failure.try_set(Some(error.to_string()));
                }
            }
        });
        spawn_local(async move {
            match api::chat::conversations(self.ide.project_id, self.query(None)).await {
                Ok(page) => {
                    let remembered: Option<ConversationId> = storage::read(&self.last_key()).and_then(|id| id.parse().ok());
                    // A conversation that was opened last may be further down than the list reaches.
                    let chosen = remembered.or(page.items.first().map(|found| found.conversation.id));
                    if self.conversations.try_set(page.items).is_some() {
                        return;
                    }
                    self.more.set(page.next_cursor);
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

    fn query(self, cursor: Option<String>) -> ConversationQuery {
        let search = self.search.try_get_untracked().filter(|words| !words.trim().is_empty());
        let shown = self.conversations.try_with_untracked(Vec::len).unwrap_or_default() as i64;
        let limit = if cursor.is_some() { LISTED } else { shown.clamp(LISTED, LISTED_MAX) };
        ConversationQuery { search, cursor, limit: Some(limit) }
    }

    /// Reads the list of conversations again, as far as it is shown.
    pub fn refresh_list(self) {
        self.read_list(None);
    }

    /// Reads the next conversations of the list.
    pub fn list_more(self) {
        if let Some(cursor) = self.more.get_untracked() {
            self.read_list(Some(cursor));
        }
    }

    fn read_list(self, cursor: Option<String>) {
        let goes_on = cursor.is_some();
        let query = self.query(cursor);
        let asked = query.search.clone();
        spawn_local(async move {
            let answer = api::chat::conversations(self.ide.project_id, query).await;
            // Somebody has typed on meanwhile.
            if self.search.try_get_untracked().map(|words| words.trim().to_owned()) != Some(asked.unwrap_or_default().trim().to_owned()) {
                return;
            }
            match answer {
                Ok(page) => {
                    self.conversations.update(|list| {
                        if !goes_on {
                            list.clear();
                        }
                        list.extend(page.items);
                    });
                    self.more.set(page.next_cursor);
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
        self.loading_older.set(false);
        self.unfolded.set(BTreeSet::new());
        self.rewinding.set(None);
        self.measured.set(None);
    }

    /// Shows a conversation and follows it.
    pub fn open(self, id: ConversationId) {
        if self.current.get_untracked() == Some(id) {
            return;
        }
        self.leave();
        self.current.set(Some(id));
        storage::write(&self.last_key(), &id.to_string());
        // Followed from where the first answer ends: nothing of a long past comes once more.
        self.read();
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
                EventKind::PromptQueued { .. }
                | EventKind::PromptChanged { .. }
                | EventKind::PromptRemoved { .. }
                | EventKind::PromptStarted { .. }
                | EventKind::QueueHeld { .. }
                | EventKind::ConversationRewound { .. }
                | EventKind::RewindUndone { .. } => event.seq > view.events,
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
                let answer = api::chat::view(id, Window::latest(WINDOW)).await;
                if self.generation.try_get_value() != Some(generation) {
                    return;
                }
                match answer {
                    Ok(view) => self.take(view),
                    // The one that was open last is gone: there is nothing to show in its place.
                    Err(error) if error.0.status == 404 && self.view.with_untracked(Option::is_none) => self.open_new(),
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
        if self.follow.with_value(Option::is_none) {
            let stream = Stream::Conversation(view.conversation.id);
            let follow = self.ide.live.follow(stream, view.events, move |event| self.conversation_told(event));
            self.follow.set_value(Some(follow));
        }
        for turn in &view.turns {
            if turn.state == TurnState::Finished {
                self.turn_follows.update_value(|follows| {
                    follows.remove(&turn.id);
                });
                self.buffers.update_value(|buffers| {
                    buffers.remove(&turn.id);
                });
            } else if self.turn_follows.with_value(|follows| !follows.contains_key(&turn.id)) {
                let id = turn.id;
                let from = view.live.filter(|live| live.turn_id == id).map(|live| {
                    let seeded = chat_window::seed(&view, id);
                    self.buffers.update_value(|buffers| {
                        buffers.insert(id, seeded);
                    });
                    live.event
                });
                let follow = self.ide.live.follow(Stream::Turn(id), from.unwrap_or(0), move |event| self.turn_told(id, event));
                self.turn_follows.update_value(|follows| {
                    follows.insert(id, follow);
                });
            }
        }
        self.conversations.update(|list| match list.iter_mut().find(|found| found.conversation.id == view.conversation.id) {
            Some(found) => found.conversation = view.conversation.clone(),
            None if self.search.with_untracked(String::is_empty) => {
                list.insert(0, FoundConversation { conversation: view.conversation.clone(), excerpt: None });
            }
            None => {}
        });
        self.broken.set(None);
        let known = self.view.try_update_untracked(Option::take).flatten();
        self.view.set(Some(chat_window::merge(known, view)));
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
        // One change of the screen per frame; a page in the background has no frames.
        let flush = move || if document().hidden() { self.flush() } else { request_animation_frame(move || self.flush()) };
        set_timeout(flush, GATHER);
    }

    fn flush(self) {
        self.flush_waits.try_set_value(false);
        if let Some(buffers) = self.buffers.try_get_value() {
            self.lives.try_set(buffers);
        }
    }

    /// Reads the messages before those on screen.
    pub fn load_older(self) {
        let known = self.view.with_untracked(|view| view.as_ref().and_then(|view| Some((view.conversation.id, view.before?))));
        let Some((id, before)) = known.filter(|_| !self.loading_older.get_untracked()) else { return };
        self.loading_older.set(true);
        let generation = self.generation.get_value();
        spawn_local(async move {
            let answer = api::chat::view(id, Window { before: Some(before), limit: Some(WINDOW) }).await;
            if self.generation.try_get_value() != Some(generation) {
                return;
            }
            match answer {
                Ok(older) => self.view.update(|view| {
                    // What was on screen may have been read anew meanwhile.
                    if view.as_ref().is_some_and(|known| known.before == Some(before)) {
                        *view = view.take().map(|known| chat_window::prepend(older, known));
                    }
                }),
                Err(error) => self.failure.set(Some(error.to_string())),
            }
            self.loading_older.set(false);
        });
    }

    /// Hands a prompt to the agent; while it works, to the queue. True when it was taken.
    pub async fn submit(self, request: StartTurn) -> bool {
        self.failure.set(None);
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
        let queued = api::chat::enqueue(conversation, request).await;
        if self.current.try_get_untracked().is_none() {
            return queued.is_ok();
        }
        // Opened even when the turn was refused: the conversation exists now.
        self.open(conversation);
        match queued {
            Ok(queued) => {
                if matches!(queued, Queued::Waiting { .. }) {
                    self.ide.announcement.set("The message waits until the agent has finished.".to_owned());
                }
                self.read();
                true
            }
            Err(error) => {
                self.failure.set(Some(error.to_string()));
                false
            }
        }
    }

    /// As [`Self::submit`], with files of the project alone.
    pub async fn send(self, prompt: String, mode: wire::chat::Mode, model: Option<String>, attachments: Vec<String>) -> bool {
        self.submit(StartTurn { prompt, mode, model, attachments, ..StartTurn::default() }).await
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

    /// Tokens and cost of the turn under way or of the last one, for the line below the composer.
    pub fn usage_line(&self) -> String {
        let live = self.lives.with(|lives| lives.values().last().map(|live| (live.usage, live.cost)));
        let used = live.filter(|(usage, _)| usage.input + usage.output > 0).or_else(|| {
            let last =
                self.view.with(|view| view.as_ref().and_then(|view| view.turns.iter().max_by_key(|turn| turn.created_at)).cloned())?;
            Some((last.usage, Cost { micros: last.cost_micros, estimated: last.estimated }))
        });
        let Some((usage, cost)) = used.filter(|(usage, _)| usage.input + usage.output > 0) else { return String::new() };
        let tokens = format!("{} tokens in, {} out in this turn", format::count(usage.input), format::count(usage.output));
        // First, since a narrow panel shows the beginning.
        match cost {
            Cost { micros: 0, .. } => tokens,
            Cost { micros, estimated } => format!("{}{}, {tokens}", if estimated { "about " } else { "" }, format::money(micros)),
        }
    }

    /// The model of the turn under way or of the last one, while it is offered.
    pub fn last_model(&self) -> Option<String> {
        let live = self.lives.with_untracked(|lives| lives.values().last().and_then(|live| live.model.clone()));
        let last = || {
            self.view.with_untracked(|view| {
                view.as_ref().and_then(|view| view.turns.iter().max_by_key(|turn| turn.created_at)).map(|turn| turn.model.clone())
            })
        };
        let model = live.or_else(last)?;
        let is_offered = self.models.with_untracked(|all| all.as_ref().is_some_and(|all| all.items.iter().any(|item| item.name == model)));
        is_offered.then_some(model)
    }
}
