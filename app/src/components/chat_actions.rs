//! What people do to conversations as a whole: name, remove, fork, go back, and change what waits.

use leptos::{prelude::*, task::spawn_local};
use wire::{
    ConversationId, QueuedPromptId, RewindId, TurnId,
    chat::{
        ForkConversation, Mode, QueuedPrompt, Rewind, RewindConversation, RewindOutcome, UndoRewind, UndoneRewind, UpdateConversation,
        UpdateQueued,
    },
    files::PathConflict,
};

use super::{admin_settings::read_theirs, chat_session::Chat, tree_menu};
use crate::{api, ui::format};

/// What a command wants of the chat. The composer takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChatOrder {
    Mode(Mode),
    /// A format that [`Chat::export`] knows.
    Export(&'static str),
}

impl Chat {
    /// Whether the panel is still there after an answer was awaited.
    fn is_gone(self) -> bool {
        self.current.try_get_untracked().is_none()
    }

    fn refuse(self, text: impl Into<String>) {
        self.failure.try_set(Some(text.into()));
    }

    pub fn rename(self, id: ConversationId, title: String) {
        spawn_local(async move {
            match api::chat::rename(id, UpdateConversation { title }).await {
                _ if self.is_gone() => {}
                Ok(renamed) => {
                    self.view.update(|view| {
                        if let Some(view) = view.as_mut().filter(|view| view.conversation.id == id) {
                            view.conversation = renamed.clone();
                        }
                    });
                    self.conversations.update(|list| {
                        if let Some(found) = list.iter_mut().find(|found| found.conversation.id == id) {
                            found.conversation = renamed;
                        }
                    });
                }
                Err(error) => self.refuse(error.to_string()),
            }
        });
    }

    /// Removes a conversation; it can be taken back.
    pub fn delete(self, id: ConversationId) {
        spawn_local(async move {
            match api::chat::delete(id).await {
                _ if self.is_gone() => {}
                Ok(()) => {
                    self.conversations.update(|list| list.retain(|found| found.conversation.id != id));
                    let was_open = self.current.get_untracked() == Some(id);
                    if was_open {
                        self.open_new();
                    }
                    self.ide.toast_undo("Removed the conversation; its accepted changes stay", move || self.bring_back(id, was_open));
                }
                Err(error) => self.refuse(error.to_string()),
            }
        });
    }

    /// Takes a removal back.
    pub fn bring_back(self, id: ConversationId, open: bool) {
        spawn_local(async move {
            match api::chat::restore(id).await {
                _ if self.is_gone() => {}
                Ok(_) => {
                    self.refresh_list();
                    if open {
                        self.open(id);
                    }
                }
                Err(error) => self.refuse(error.to_string()),
            }
        });
    }

    /// Opens a new conversation with the messages up to and with number `seq`.
    pub fn fork_at(self, seq: i64) {
        let Some(id) = self.current.get_untracked() else { return };
        spawn_local(async move {
            match api::chat::fork(id, ForkConversation { seq, title: None }).await {
                _ if self.is_gone() => {}
                Ok(made) => {
                    self.open(made.id);
                    self.refresh_list();
                    self.ide.toast("Forked; the first conversation stays as it is");
                }
                Err(error) => self.refuse(error.to_string()),
            }
        });
    }

    /// Goes back to before a turn. What stands in the way is handed back.
    pub async fn rewind(self, request: RewindConversation) -> Result<(), String> {
        let Some(id) = self.current.get_untracked() else { return Ok(()) };
        let (turn, is_chat) = (request.turn_id, request.chat);
        match api::chat::rewind(id, request).await {
            Err(error) => Err(error.to_string()),
            Ok(RewindOutcome::Conflict { paths }) => Err(in_the_way(&paths)),
            Ok(_) if self.is_gone() => Ok(()),
            Ok(RewindOutcome::Rewound { rewind, paths, left }) => {
                self.after_rewind(turn, is_chat, &rewind, paths.len(), left.len());
                Ok(())
            }
        }
    }

    fn after_rewind(self, turn: TurnId, is_chat: bool, rewind: &Rewind, paths: usize, left: usize) {
        // What was asked then is there to be asked differently.
        let asked =
            self.view.with_untracked(|view| view.as_ref()?.turns.iter().find(|known| known.id == turn).map(|turn| turn.prompt.clone()));
        if let Some(prompt) = asked.filter(|_| is_chat) {
            self.ide.chat_draft.set(prompt);
        }
        self.read();
        let mut text = match (rewind.chat, rewind.files) {
            (true, true) => format!("Rewound the conversation and {}", format::counted(paths as i64, "file", "files")),
            (false, true) => format!("Put back {}", format::counted(paths as i64, "file", "files")),
            _ => "Rewound the conversation".to_owned(),
        };
        if left > 0 {
            text.push_str(&format!("; {} changed by others stay", format::counted(left as i64, "file", "files")));
        }
        let id = rewind.id;
        self.ide.toast_undo(text, move || self.undo_rewind(id));
    }

    /// Takes a rewind back.
    pub fn undo_rewind(self, id: RewindId) {
        spawn_local(async move {
            match api::chat::undo_rewind(id, UndoRewind::default()).await {
                _ if self.is_gone() => {}
                Ok(UndoneRewind::Undone { left, .. }) => {
                    self.failure.set(None);
                    self.read();
                    let text = match left.len() {
                        0 => "Brought back".to_owned(),
                        left => format!("Brought back; {} changed by others stay", format::counted(left as i64, "file", "files")),
                    };
                    self.ide.toast(text);
                }
                Ok(UndoneRewind::Conflict { paths }) => self.refuse(in_the_way(&paths)),
                Err(error) => self.refuse(error.to_string()),
            }
        });
    }

    /// Removes what waits; with a version only that one.
    pub fn remove_queued(self, id: QueuedPromptId, version: Option<i64>) {
        self.change_queue(move |queue| queue.retain(|prompt| prompt.id != id));
        spawn_local(async move {
            if let Err(error) = api::chat::remove_queued(id, version).await {
                self.refuse(error.to_string());
            }
            if !self.is_gone() {
                self.read();
            }
        });
    }

    /// Writes a version of what waits anew; true when it was saved. What somebody else made of it meanwhile is shown in the queue.
    pub async fn update_queued(self, id: QueuedPromptId, version: i64, prompt: String) -> bool {
        let answer = api::chat::update_queued(id, UpdateQueued { prompt, version: Some(version) }).await;
        if self.is_gone() {
            return false;
        }
        match answer {
            Ok(changed) => {
                self.put_queued(changed);
                true
            }
            Err(error) => {
                match read_theirs::<QueuedPrompt>(&error.0) {
                    Some(theirs) => self.put_queued(theirs),
                    None => {
                        self.refuse(error.to_string());
                        self.read();
                    }
                }
                false
            }
        }
    }

    fn put_queued(self, prompt: QueuedPrompt) {
        self.change_queue(move |queue| {
            if let Some(known) = queue.iter_mut().find(|known| known.id == prompt.id) {
                *known = prompt;
            }
        });
    }

    /// Downloads the conversation on screen; `format` is `markdown` or `json`.
    pub fn export(self, format: &str) {
        match self.current.get_untracked() {
            Some(id) => tree_menu::download(&format!("/api/conversations/{id}/export?format={format}")),
            None => self.ide.toast("There is no conversation to export yet. Write a message to begin one"),
        }
    }

    /// Sends what waits at once. A turn at work is stopped first; its changes are kept for review.
    pub fn send_queued(self, id: QueuedPromptId) {
        if self.active.get_untracked().is_some() {
            self.stopping.set(true);
        }
        spawn_local(async move {
            let answer = api::chat::send_queued(id).await;
            if self.is_gone() {
                return;
            }
            self.stopping.set(false);
            if let Err(error) = answer {
                self.refuse(error.to_string());
            }
            self.read();
        });
    }

    fn change_queue(self, change: impl FnOnce(&mut Vec<QueuedPrompt>)) {
        self.view.update(|view| {
            if let Some(view) = view {
                change(&mut view.queue);
            }
        });
    }
}

fn in_the_way(paths: &[PathConflict]) -> String {
    let Some(first) = paths.first() else { return "Something was changed meanwhile. Nothing was changed; look again.".to_owned() };
    let more = match paths.len() {
        1 => String::new(),
        count => format!(" {} more stand in the way too.", count - 1),
    };
    format!("{}: {}{more} Nothing was changed; look at the preview again.", first.path, first.reason)
}
