//! What can be named with `@`: files, folders, runs, and what is selected in the editor.

use leptos::prelude::*;
use wire::{context::Mention, files::EntryKind, runs::RunKind};

use super::{
    composer_draft::{Draft, Picked},
    path_index::{PathIndex, score_name},
    tree_model::file_icon,
};
use crate::ui::Icon;

const SHOWN: usize = 9;
const RUNS_SHOWN: usize = 4;
pub const LIST_ID: &str = "mentions";

/// The `@word` before the caret, in bytes of the text: where it begins and what was typed of it.
pub fn word_at(text: &str, caret: usize) -> Option<(usize, &str)> {
    let before = text.get(..caret)?;
    let at = before.rfind('@')?;
    let word = &before[at + 1..];
    let begins = before[..at].chars().next_back().is_none_or(char::is_whitespace);
    (begins && !word.contains(char::is_whitespace)).then_some((at, word))
}

/// One line of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    File(String),
    Folder(String),
    Run { id: wire::RunId, command: String },
    Selection,
}

impl Choice {
    fn icon(&self) -> &'static str {
        match self {
            Self::File(path) => file_icon(path),
            Self::Folder(_) => "folder",
            Self::Run { .. } => "square-terminal",
            Self::Selection => "text-select",
        }
    }

    fn words(&self) -> (String, String) {
        match self {
            Self::File(path) | Self::Folder(path) => {
                let (above, name) = path.rsplit_once('/').unwrap_or(("", path));
                let name = if matches!(self, Self::Folder(_)) { format!("{name}/") } else { name.to_owned() };
                (name, above.to_owned())
            }
            Self::Run { command, .. } => (command.clone(), "Run with its output".to_owned()),
            Self::Selection => ("Selection".to_owned(), "Lines selected in the editor".to_owned()),
        }
    }
}

/// State of the list; `None` while it is closed.
#[derive(Clone, Copy)]
pub struct Mentions {
    draft: Draft,
    /// Where the word begins in the text, and how many bytes of it are before the caret.
    word: RwSignal<Option<(usize, String)>>,
    pub choices: Memo<Vec<Choice>>,
    pub active: RwSignal<usize>,
}

#[derive(Default)]
struct Known {
    of: Option<(i64, usize)>,
    index: PathIndex,
}

impl Mentions {
    pub fn of(draft: Draft) -> Self {
        let word = RwSignal::new(None::<(usize, String)>);
        let known = StoredValue::new(Known::default());
        let choices = Memo::new(move |_| match word.get() {
            Some((_, query)) => find(draft, known, &query),
            None => Vec::new(),
        });
        let active = RwSignal::new(0);
        Effect::new(move |_| {
            choices.track();
            active.set(0);
        });
        Self { draft, word, choices, active }
    }

    pub fn is_open(self) -> bool {
        self.choices.with(|choices| !choices.is_empty())
    }

    /// Looks at the text again after a key or a click. `caret` counts UTF-16 units, as browsers do.
    pub fn look(self, text: &str, caret: Option<u32>) {
        let caret = caret.and_then(|caret| byte_of(text, caret as usize));
        let found = caret.and_then(|caret| word_at(text, caret)).map(|(at, word)| (at, word.to_owned()));
        if self.word.with_untracked(|known| *known != found) {
            self.word.set(found);
        }
    }

    pub fn close(self) {
        self.word.set(None);
    }

    pub fn step(self, by: isize) {
        let count = self.choices.with_untracked(Vec::len) as isize;
        if count > 0 {
            self.active.update(|at| *at = (*at as isize + by).rem_euclid(count) as usize);
        }
    }

    /// Takes a line of the list. Answers the new text and where the caret goes, in UTF-16 units.
    pub fn take(self, at: usize) -> Option<(String, u32)> {
        let choice = self.choices.with_untracked(|choices| choices.get(at).cloned())?;
        let (from, typed) = self.word.get_untracked()?;
        let text = self.draft.text.get_untracked();
        let put = match &choice {
            // In the text a path ends at the first blank.
            Choice::File(path) | Choice::Folder(path) if path.contains(char::is_whitespace) => String::new(),
            Choice::File(path) => format!("@{path} "),
            Choice::Folder(path) => format!("@{path}/ "),
            Choice::Run { .. } | Choice::Selection => String::new(),
        };
        match choice {
            Choice::Run { id, command } => {
                self.draft.pick(Picked { label: command, mention: Mention::Run { run_id: id } });
            }
            Choice::Selection => self.draft.chat.ide.editor_action.set(Some("cloudxdevai.to-chat")),
            Choice::File(path) if put.is_empty() => self.draft.attach(path),
            Choice::Folder(path) if put.is_empty() => {
                self.draft.pick(Picked { label: format!("{path}/"), mention: Mention::Folder { path } });
            }
            Choice::File(_) | Choice::Folder(_) => {}
        }
        let until = from + 1 + typed.len();
        let before = text.get(..from)?;
        let after = text.get(until..)?;
        let text = format!(
            "{before}{put}{}",
            if put.is_empty() { after.trim_start_matches(' ') } else { after.strip_prefix(' ').unwrap_or(after) }
        );
        let caret = text[..from + put.len()].encode_utf16().count() as u32;
        self.close();
        Some((text, caret))
    }
}

/// The byte at which a place counted in UTF-16 units is.
fn byte_of(text: &str, units: usize) -> Option<usize> {
    let mut seen = 0;
    for (at, c) in text.char_indices() {
        if seen == units {
            return Some(at);
        }
        seen += c.len_utf16();
    }
    (seen == units).then_some(text.len())
}

fn find(draft: Draft, known: StoredValue<Known>, query: &str) -> Vec<Choice> {
    let ide = draft.chat.ide;
    let mut found = Vec::new();
    let lower = query.to_lowercase();
    let has_selection = ide.cursor.with_untracked(|cursor| cursor.as_ref().is_some_and(|cursor| cursor.selected > 0));
    if has_selection && "selection".starts_with(&lower) {
        found.push(Choice::Selection);
    }
    let paths = ide.tree.with(|tree| {
        known
            .try_update_value(|known| {
                let of = Some((tree.revision, tree.items.len()));
                if known.of != of {
                    known.of = of;
                    let shown = |entry: &wire::files::Entry| match entry.kind {
                        EntryKind::Directory => format!("{}/", entry.path),
                        _ => entry.path.clone(),
                    };
                    known.index = PathIndex::new(tree.items.iter().filter(|entry| entry.kind != EntryKind::Symlink).map(shown));
                }
                let fits = known
                    .index
                    .find(query, SHOWN, |path| i32::from(ide.tabs.with_untracked(|tabs| tabs.iter().any(|tab| tab.path == path))) * 5);
                fits.into_iter().map(|fit| known.index.path(fit).to_owned()).collect::<Vec<_>>()
            })
            .unwrap_or_default()
    });
    let words = lower.strip_prefix("run").map(|rest| rest.trim_start_matches([':', '-']));
    let runs = ide.runs.with(|runs| {
        let commands = runs.iter().filter(|run| run.kind != RunKind::Terminal && !run.command.trim().is_empty());
        let fitting = commands.filter(|run| match words {
            Some(words) => words.is_empty() || score_name(&run.command, words).is_some(),
            None => lower.len() > 1 && run.command.to_lowercase().contains(&lower),
        });
        let choice = |run: &wire::runs::Run| Choice::Run { id: run.id, command: run.command.lines().next().unwrap_or_default().to_owned() };
        fitting.take(RUNS_SHOWN).map(choice).collect::<Vec<_>>()
    });
    // Whoever types "run" means runs; otherwise paths come first.
    let (first, then): (Vec<Choice>, Vec<Choice>) = {
        let paths = paths.into_iter().map(|path| match path.strip_suffix('/') {
            Some(folder) => Choice::Folder(folder.to_owned()),
            None => Choice::File(path),
        });
        if words.is_some() { (runs, paths.collect()) } else { (paths.collect(), runs) }
    };
    found.extend(first);
    let room = SHOWN.saturating_sub(found.len()).max(then.len().min(RUNS_SHOWN));
    found.extend(then.into_iter().take(room));
    found
}

/// The list above the field. The keyboard stays in the field, which names the active line.
#[component]
pub fn MentionList(mentions: Mentions, #[prop(into)] on_choose: Callback<usize>) -> impl IntoView {
    let line = move |(at, choice): (usize, Choice)| {
        let (name, rest) = choice.words();
        let icon = choice.icon();
        let title = if rest.is_empty() { name.clone() } else { format!("{name}, {rest}") };
        view! {
            <li
                id=format!("{LIST_ID}-{at}")
                role="option"
                class="mention"
                title=title
                aria-selected=move || if mentions.active.get() == at { "true" } else { "false" }
                on:pointerdown=move |event| {
                    // The field keeps the keyboard.
                    event.prevent_default();
                    on_choose.run(at);
                }
            >
                <Icon name=icon small=true />
                <span class="clip">{name}</span>
                <span class="t3 fs12 clip mention-rest">{rest}</span>
            </li>
        }
    };
    view! {
        <Show when=move || mentions.is_open()>
            <ul id=LIST_ID class="mentions" role="listbox" aria-label="What to mention">
                {move || mentions.choices.get().into_iter().enumerate().map(line).collect_view()}
            </ul>
        </Show>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_before_the_caret_is_looked_at() {
        assert_eq!(word_at("see @src/a and", 10), Some((4, "src/a")));
        assert_eq!(word_at("see @src/a and", 14), None);
        assert_eq!(word_at("mail@host", 9), None);
        assert_eq!(word_at("@", 1), Some((0, "")));
        assert_eq!(word_at("ä\n@é", 6), Some((3, "é")));
        assert_eq!(word_at("a", 5), None);
    }

    #[test]
    fn carets_are_counted_as_browsers_do() {
        assert_eq!(byte_of("aé🎉b", 4), Some(7));
        assert_eq!(byte_of("aé🎉b", 3), None);
        assert_eq!(byte_of("ab", 2), Some(2));
        assert_eq!(byte_of("ab", 3), None);
    }
}
