//! What is written but not sent: text, what goes along with it, mode and model. Kept per conversation over reloads.

use leptos::{prelude::*, task::spawn_local, wasm_bindgen::JsCast, web_sys};
use serde::{Deserialize, Serialize};
use wire::{
    chat::{Mode, StartTurn},
    context::{ContextChoice, IMAGE_MAX_BYTES, IMAGES_MAX, ImageRef, Mention},
    files::{Entry, EntryKind},
};

use super::{
    chat_session::Chat,
    message_limits::MessageLimits,
    upload_send::{self, Payload},
};
use crate::ui::storage;

/// A mention that was chosen, with the words of its chip.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Picked {
    pub label: String,
    pub mention: Mention,
}

/// What is kept of a draft.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Kept {
    text: String,
    files: Vec<String>,
    picked: Vec<Picked>,
    images: Vec<ImageRef>,
    without: Vec<String>,
    compact: bool,
    /// As they are typed.
    usd: String,
    tokens: String,
    steps: String,
}

/// Where in a draft a piece of a file comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// The file goes along whole.
    File(String),
    /// Lines among what was picked.
    Lines(usize),
}

/// The words of a chip for lines of a file.
pub fn lines_label(path: &str, start_line: u32, end_line: u32) -> String {
    let name = path.rsplit('/').next().unwrap_or(path);
    let lines = if start_line == end_line { start_line.to_string() } else { format!("{start_line}–{end_line}") };
    format!("{name}:{lines}")
}

pub fn mode_word(mode: Mode) -> &'static str {
    match mode {
        Mode::Plan => "plan",
        Mode::Ask => "ask",
        Mode::Auto => "auto",
    }
}

pub fn read_mode(word: &str) -> Mode {
    match word {
        "plan" => Mode::Plan,
        "auto" => Mode::Auto,
        _ => Mode::Ask,
    }
}

/// A file or folder of the tree that stands in the text as `@path` or `@path/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Named {
    File(String),
    Folder(String),
}

impl Named {
    pub fn path(&self) -> &str {
        match self {
            Self::File(path) | Self::Folder(path) => path,
        }
    }
}

/// What the text names, in the order in which it first stands there. `kind_of` knows the paths of the project.
pub fn named_in(text: &str, kind_of: impl Fn(&str) -> Option<EntryKind>) -> Vec<Named> {
    let mut found: Vec<Named> = Vec::new();
    for word in text.split_whitespace().filter_map(|word| word.strip_prefix('@')) {
        let trimmed = word.trim_end_matches([',', '.', ';', ':', ')', '?', '!']);
        let named = [word, trimmed].into_iter().find_map(|word| {
            let path = word.trim_end_matches('/');
            match kind_of(path)? {
                EntryKind::File if path == word => Some(Named::File(path.to_owned())),
                EntryKind::Directory => Some(Named::Folder(path.to_owned())),
                _ => None,
            }
        });
        found.extend(named.filter(|named| !found.contains(named)));
    }
    found
}

/// The kind of a path in a list that is sorted by path.
pub fn kind_in(items: &[Entry], path: &str) -> Option<EntryKind> {
    items.binary_search_by(|entry| entry.path.as_str().cmp(path)).ok().map(|at| items[at].kind)
}

/// The text without the marks of one mention: the path stays as plain words.
pub fn without_mention(text: &str, path: &str) -> String {
    text.replace(&format!("@{path}/"), &format!("{path}/")).replace(&format!("@{path}"), path)
}

#[derive(Clone, Copy)]
pub struct Draft {
    pub chat: Chat,
    pub text: RwSignal<String>,
    /// Files that were attached; others are named in the text.
    pub files: RwSignal<Vec<String>>,
    pub picked: RwSignal<Vec<Picked>>,
    pub images: RwSignal<Vec<ImageRef>>,
    /// Pictures on their way to the server.
    pub uploading: RwSignal<usize>,
    /// Keys of parts of the context that are not sent.
    pub without: RwSignal<Vec<String>>,
    /// The older messages are summed up before the message is answered.
    pub compact: RwSignal<bool>,
    /// Of this message alone: they go when it is sent.
    pub limits: MessageLimits,
    /// Their fields are shown although they are empty.
    pub limiting: RwSignal<bool>,
    pub mode: RwSignal<Mode>,
    /// `None` is the installation's default.
    pub model: RwSignal<Option<String>>,
    pub sending: RwSignal<bool>,
    /// A conversation is being made for what is sent.
    making: StoredValue<bool>,
}

/// What was written into the page as the server sent it, before it came to life.
fn typed_before() -> String {
    if cfg!(feature = "ssr") || !Owner::current_shared_context().is_some_and(|page| page.during_hydration()) {
        return String::new();
    }
    let field = document().query_selector("textarea[aria-label='Message to the agent']").ok().flatten();
    field.and_then(|field| field.dyn_into::<web_sys::HtmlTextAreaElement>().ok()).map(|field| field.value()).unwrap_or_default()
}

impl Draft {
    /// A draft, at first empty, that follows the conversation on screen.
    pub fn of(chat: Chat) -> Self {
        let draft = Self {
            chat,
            text: RwSignal::new(typed_before()),
            files: RwSignal::new(Vec::new()),
            picked: RwSignal::new(Vec::new()),
            images: RwSignal::new(Vec::new()),
            uploading: RwSignal::new(0),
            without: RwSignal::new(Vec::new()),
            compact: RwSignal::new(false),
            limits: MessageLimits::default(),
            limiting: RwSignal::new(false),
            mode: RwSignal::new(Mode::Ask),
            model: RwSignal::new(None),
            sending: RwSignal::new(false),
            making: StoredValue::new(false),
        };
        draft.remember();
        draft
    }

    fn key_of(&self, conversation: Option<wire::ConversationId>) -> String {
        let conversation = conversation.map_or_else(|| "new".to_owned(), |id| id.to_string());
        format!("{}:{conversation}", self.chat.ide.storage_key("message"))
    }

    /// Reads what was kept when another conversation comes on screen, and keeps what changes.
    fn remember(self) {
        let ide = self.chat.ide;
        Effect::new(move |_| {
            if let Some(mode) = storage::read(&ide.storage_key("mode")) {
                self.mode.set(read_mode(&mode));
            }
            self.model.set(storage::read("model"));
        });
        let shown = StoredValue::new(None::<String>);
        // What the page began with; other text was typed here, maybe before the page had found its conversation.
        let loaded = StoredValue::new(Kept::default());
        let settled = StoredValue::new(false);
        Effect::new(move |_| {
            let current = self.chat.current.get();
            let (key, fresh) = (self.key_of(current), self.key_of(None));
            let before = shown.get_value();
            if before.as_deref() == Some(key.as_str()) {
                return;
            }
            shown.set_value(Some(key.clone()));
            let is_typed = untrack(|| self.kept()) != loaded.get_value();
            let was_fresh = before.as_deref() == Some(fresh.as_str());
            let was_settled = settled.get_value();
            settled.set_value(was_settled || current.is_some());
            if was_fresh && (self.making.get_value() || !was_settled && is_typed) {
                // The conversation was made for this very draft, or was found while it was written.
                self.making.set_value(false);
                storage::remove(&fresh);
                return;
            }
            let kept: Kept = storage::read(&key).and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
            if before.is_some() || !is_typed {
                loaded.set_value(kept.clone());
                self.show(kept);
            }
        });
        Effect::new(move |_| {
            let now = self.kept();
            let Some(key) = shown.get_value() else { return };
            if now == Kept::default() {
                storage::remove(&key);
            } else if let Ok(text) = serde_json::to_string(&now) {
                storage::write(&key, &text);
            }
        });
    }

    fn kept(&self) -> Kept {
        Kept {
            text: self.text.get(),
            files: self.files.get(),
            picked: self.picked.get(),
            images: self.images.get(),
            without: self.without.get(),
            compact: self.compact.get(),
            usd: self.limits.usd.get(),
            tokens: self.limits.tokens.get(),
            steps: self.limits.steps.get(),
        }
    }

    fn show(&self, kept: Kept) {
        self.text.set(kept.text);
        self.files.set(kept.files);
        self.picked.set(kept.picked);
        self.images.set(kept.images);
        self.without.set(kept.without);
        self.compact.set(kept.compact);
        self.limits.usd.set(kept.usd);
        self.limits.tokens.set(kept.tokens);
        self.limits.steps.set(kept.steps);
        self.limiting.set(false);
    }

    pub fn attach(&self, path: String) {
        self.files.update(|all| {
            if !all.contains(&path) {
                all.push(path);
            }
        });
    }

    pub fn pick(&self, picked: Picked) {
        self.picked.update(|all| {
            if !all.iter().any(|known| known.mention == picked.mention) {
                all.push(picked);
            }
        });
    }

    /// Sends lines in place of what stands for them now: the whole file, or other lines of it.
    pub fn send_lines(&self, place: &Place, lines: Mention) {
        let Mention::Selection { path, start_line, end_line, .. } = &lines else { return };
        let picked = Picked { label: lines_label(path, *start_line, *end_line), mention: lines.clone() };
        match place {
            Place::File(path) => {
                self.files.update(|all| all.retain(|known| known != path));
                self.text.update(|text| *text = without_mention(text, path));
                self.pick(picked);
            }
            Place::Lines(at) => self.picked.update(|all| {
                if let Some(known) = all.get_mut(*at) {
                    *known = picked;
                }
            }),
        }
    }

    /// What the text names. Tracks the text; the tree is as it is now.
    pub fn named(&self) -> Vec<Named> {
        self.text.with(|text| self.chat.ide.tree.with_untracked(|tree| named_in(text, |path| kind_in(&tree.items, path))))
    }

    /// The model that the next turn uses, as far as known.
    pub fn model_name(&self) -> Option<String> {
        let models = self.chat.models.get()?;
        let offered = |name: &String| models.items.iter().any(|model| &model.name == name);
        self.model.get().filter(offered).or(models.default.clone()).or(models.items.first().map(|model| model.name.clone()))
    }

    /// Whether that model takes pictures.
    pub fn takes_images(&self) -> bool {
        let name = self.model_name();
        self.chat.models.with(|models| {
            models.as_ref().is_some_and(|models| models.items.iter().any(|model| Some(&model.name) == name.as_ref() && model.images))
        })
    }

    /// Why nothing can be sent now.
    pub fn hindrance(&self) -> Option<String> {
        if !self.chat.ide.can_edit() {
            Some("Only editors of the project may start the agent".to_owned())
        } else if self.chat.models.with(|models| models.as_ref().is_some_and(|models| models.items.is_empty())) {
            Some("No model is connected yet".to_owned())
        } else if self.uploading.get() > 0 {
            Some("A picture is still being uploaded".to_owned())
        } else {
            let wrong = self.limits.read().err()?;
            wrong.first().map(|field| field.message.trim_end_matches('.').to_owned())
        }
    }

    /// Everything as it would be sent now. Tracks all of it.
    pub fn request(&self) -> StartTurn {
        let mut attachments = self.files.get();
        let mut mentions: Vec<Mention> = self.picked.get().into_iter().map(|picked| picked.mention).collect();
        for named in self.named() {
            match named {
                Named::File(path) if !attachments.contains(&path) => attachments.push(path),
                Named::Folder(path) => {
                    let folder = Mention::Folder { path };
                    if !mentions.contains(&folder) {
                        mentions.push(folder);
                    }
                }
                Named::File(_) => {}
            }
        }
        StartTurn {
            prompt: self.text.get(),
            mode: self.mode.get(),
            model: self.model_name(),
            attachments,
            images: self.images.get(),
            context: ContextChoice { mentions, without: self.without.get(), compact: self.compact.get() },
            budget: self.limits.read().ok().flatten(),
            ..StartTurn::default()
        }
    }

    pub fn send(self) {
        if self.sending.get_untracked() || self.text.with_untracked(|text| text.trim().is_empty()) {
            return;
        }
        if let Some(reason) = untrack(|| self.hindrance()) {
            self.chat.failure.set(Some(format!("{reason}.")));
            return;
        }
        let request = untrack(|| self.request());
        let prompt = request.prompt.clone();
        let key = self.key_of(self.chat.current.get_untracked());
        self.making.set_value(self.chat.current.with_untracked(Option::is_none));
        self.sending.set(true);
        spawn_local(async move {
            let taken = self.chat.submit(request).await;
            if self.sending.is_disposed() {
                return;
            }
            if self.chat.current.with_untracked(Option::is_none) {
                self.making.set_value(false);
            }
            // What was typed meanwhile stays.
            if taken {
                storage::remove(&key);
                let rest = self.text.with_untracked(|now| now.strip_prefix(prompt.as_str()).unwrap_or(now).trim_start().to_owned());
                self.show(Kept { text: rest, without: self.without.get_untracked(), ..Kept::default() });
            }
            self.sending.set(false);
        });
    }

    /// Uploads pictures from the clipboard or a drop. True when there were files among what was handed over.
    pub fn take_pictures(self, files: Option<web_sys::FileList>) -> bool {
        let Some(files) = files.filter(|files| files.length() > 0) else { return false };
        let all: Vec<web_sys::File> = (0..files.length()).filter_map(|at| files.get(at)).collect();
        if !untrack(|| self.takes_images()) {
            let model = untrack(|| self.model_name()).unwrap_or_else(|| "This model".to_owned());
            self.chat.failure.set(Some(format!(
                "{model} takes no pictures. Choose a model that does, or add the file to the project and name it with @."
            )));
            return true;
        }
        self.chat.failure.set(None);
        for file in all {
            let reason = if !["image/png", "image/jpeg", "image/webp", "image/gif"].contains(&file.type_().as_str()) {
                Some(format!("{} is no PNG, JPEG, WebP or GIF picture. Add other files to the project and name them with @.", file.name()))
            } else if file.size() > IMAGE_MAX_BYTES as f64 {
                Some(format!("{} is larger than 5 MB. Make it smaller and try again.", file.name()))
            } else if self.images.with_untracked(Vec::len) + self.uploading.get_untracked() >= IMAGES_MAX {
                Some(format!("At most {IMAGES_MAX} pictures go with one message."))
            } else {
                None
            };
            match reason {
                Some(reason) => self.chat.failure.set(Some(reason)),
                None => self.upload(file),
            }
        }
        true
    }

    fn upload(self, file: web_sys::File) {
        self.uploading.update(|count| *count += 1);
        let name: String = js_sys::encode_uri_component(&file.name()).into();
        let url = format!("/api/projects/{}/images?name={name}", self.chat.ide.project_id);
        spawn_local(async move {
            let answer = upload_send::send(super::uploads::next_id(), "POST", &url, &[], Payload::Bytes(file.into()), |_| {}).await;
            if self.uploading.try_update(|count| *count = count.saturating_sub(1)).is_none() {
                return;
            }
            match answer.read::<ImageRef>().filter(|_| answer.is_ok()) {
                Some(image) => self.images.update(|all| {
                    if !all.iter().any(|known| known.checksum == image.checksum) {
                        all.push(image);
                    }
                }),
                None => self.chat.failure.set(Some(answer.reason())),
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_folders_are_named_by_their_path() {
        let kind = |path: &str| match path {
            "src/a.rs" | "b" | "odd." => Some(EntryKind::File),
            "src" => Some(EntryKind::Directory),
            _ => None,
        };
        let file = |path: &str| Named::File(path.to_owned());
        assert_eq!(named_in("see @src/a.rs, and @b. @b @missing mail@b (@odd.", kind), [file("src/a.rs"), file("b")]);
        assert_eq!(named_in("@odd. @src/, @src", kind), [file("odd."), Named::Folder("src".to_owned())]);
        assert_eq!(named_in("@b/", kind), []);
    }

    #[test]
    fn a_mention_that_is_taken_out_stays_as_words() {
        assert_eq!(without_mention("look at @src/ and @src/", "src"), "look at src/ and src/");
        assert_eq!(without_mention("look at @b.rs.", "b.rs"), "look at b.rs.");
    }

    #[test]
    fn what_an_older_version_kept_can_be_read() {
        assert_eq!(serde_json::from_str::<Kept>(r#"{"text":"x"}"#).unwrap(), Kept { text: "x".to_owned(), ..Kept::default() });
    }
}
