//! Changing what goes along with a message before it is sent: which lines of a file, and the text of lines that were picked.

use std::collections::BTreeSet;

use leptos::{prelude::*, task::spawn_local, wasm_bindgen::JsCast, web_sys};
use wire::context::{Mention, Part, PartKind, SELECTION_MAX_BYTES};

use super::composer_draft::{Draft, Picked, Place};
use crate::{
    api,
    ui::{Button, ButtonSize, Icon},
};

/// The words of an attachment if it is of the message at hand, which comes last.
pub fn draft_label<'a>(parts: &[Part], key: &'a str) -> Option<&'a str> {
    let prompt = &parts.iter().rfind(|part| part.kind == PartKind::User)?.key;
    key.strip_prefix(prompt.as_str())?.strip_prefix(".a:")
}

/// Where an attachment of the draft comes from, if its text can be changed.
pub fn place_of(label: &str, files: &[String], picked: &[Picked]) -> Option<Place> {
    let is_it = |picked: &Picked| match &picked.mention {
        Mention::Selection { path, start_line, end_line, edited, .. } => {
            Mention::selection_label(path, *start_line, *end_line, *edited) == label
        }
        _ => false,
    };
    let lines = picked.iter().position(is_it).map(Place::Lines);
    lines.or_else(|| files.iter().find(|path| path.as_str() == label).map(|path| Place::File(path.clone())))
}

/// Lines of a text, counted from 1, both ends included. The last one is taken for every larger number.
fn cut_lines(text: &str, first: u32, last: u32) -> Result<(u32, String), String> {
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let count = lines.len() as u32;
    if first == 0 || last < first {
        return Err("Give the first line and one that is not before it.".to_owned());
    }
    if first > count {
        return Err(format!("The file has {count} lines."));
    }
    let last = last.min(count);
    fits(lines[first as usize - 1..last as usize].concat()).map(|text| (last, text))
}

fn fits(text: String) -> Result<String, String> {
    if text.len() > SELECTION_MAX_BYTES { Err("That is more than 64 KiB. Take fewer lines.".to_owned()) } else { Ok(text) }
}

/// The first and the last line, and the text.
type Lines = (u32, u32, String);

/// What is sent of a file now: its path, and its lines where it is not sent whole.
fn now(draft: Draft, place: &Place) -> Option<(String, Option<Lines>)> {
    match place {
        Place::File(path) => Some((path.clone(), None)),
        Place::Lines(at) => draft.picked.with_untracked(|picked| match &picked.get(*at)?.mention {
            Mention::Selection { path, start_line, end_line, text, .. } => {
                Some((path.clone(), Some((*start_line, *end_line, text.clone()))))
            }
            _ => None,
        }),
    }
}

/// What the fields change. It has all it needs: a file that is read for a click is taken also when the fields are drawn anew meanwhile.
#[derive(Clone)]
struct Target {
    draft: Draft,
    place: Place,
    path: String,
    part_key: String,
    unfolded: RwSignal<BTreeSet<String>>,
}

impl Target {
    /// The lines that are sent now, where it is not sent whole.
    fn mention(&self) -> Option<Mention> {
        match self.place {
            Place::File(_) => None,
            Place::Lines(at) => self.draft.picked.with_untracked(|picked| picked.get(at).map(|picked| picked.mention.clone())),
        }
    }

    /// Where that stands which was `mention` before. `None` when the draft has it no more: it was taken out, or sent.
    fn place_now(&self, mention: Option<&Mention>) -> Option<Place> {
        let draft = self.draft;
        if draft.picked.is_disposed() {
            return None;
        }
        match &self.place {
            Place::File(path) => untrack(|| draft.request()).attachments.contains(path).then(|| self.place.clone()),
            Place::Lines(_) => {
                let is_it = |known: &Picked| Some(&known.mention) == mention;
                draft.picked.with_untracked(|picked| picked.iter().position(is_it)).map(Place::Lines)
            }
        }
    }

    fn send(&self, place: &Place, start_line: u32, end_line: u32, text: String, edited: bool) {
        let (draft, path) = (self.draft, self.path.clone());
        // Its key changes with the lines; it stays unfolded.
        let label = Mention::selection_label(&path, start_line, end_line, edited);
        let prompt = self.part_key.split_once(".a:").map_or("", |(prompt, _)| prompt);
        self.unfolded.update(|open| {
            open.insert(format!("{prompt}.a:{label}"));
        });
        draft.chat.ide.announcement.set(format!("{path}: lines {start_line} to {end_line} are sent."));
        // The fields go with the old words.
        focus_panel();
        draft.send_lines(place, Mention::Selection { path, start_line, end_line, text, edited });
    }
}

/// The fields below the text of an attachment, which is the part with this key.
#[component]
pub fn EditPart(draft: Draft, place: Place, part_key: String, unfolded: RwSignal<BTreeSet<String>>) -> impl IntoView {
    let is_lines = matches!(place, Place::Lines(_));
    let known = now(draft, &place);
    let (path, lines) = known.unwrap_or_default();
    let (first, last, text) = lines.clone().unwrap_or((1, 1, String::new()));
    let first = RwSignal::new(first.to_string());
    let last = RwSignal::new(if lines.is_some() { last.to_string() } else { String::new() });
    let text = RwSignal::new(text);
    let failure = RwSignal::new(None::<String>);
    let busy = RwSignal::new(false);
    let target = Target { draft, place, path, part_key, unfolded };
    let of_text = target.clone();
    let take_lines = move |_| {
        let number = |field: RwSignal<String>| field.with_untracked(|text| text.trim().parse::<u32>().unwrap_or(0));
        let (from, to) = (number(first), if last.with_untracked(|text| text.trim().is_empty()) { u32::MAX } else { number(last) });
        busy.set(true);
        failure.set(None);
        let (target, before) = (target.clone(), target.mention());
        spawn_local(async move {
            let opened = api::files::open(draft.chat.ide.project_id, target.path.clone(), None).await;
            busy.try_set(false);
            let cut = match opened {
                Ok(file) => file.text.ok_or_else(|| "The file is no text.".to_owned()).and_then(|text| cut_lines(&text, from, to)),
                Err(error) => Err(error.to_string()),
            };
            let Some(place) = target.place_now(before.as_ref()) else { return };
            match cut {
                Ok((to, text)) => target.send(&place, from, to, text, false),
                Err(reason) => {
                    // Where the fields are gone it is said elsewhere.
                    if let Some(Some(reason)) = failure.try_set(Some(reason)) {
                        draft.chat.ide.toast(format!("{}: {reason}", target.path));
                    }
                }
            }
        });
    };
    let take_text = move |_| match fits(text.get_untracked()) {
        Ok(text) if text.trim().is_empty() => failure.set(Some("Leave the part out instead of sending nothing of it.".to_owned())),
        Ok(text) => {
            let number = |field: RwSignal<String>| field.with_untracked(|text| text.trim().parse::<u32>().unwrap_or(1).max(1));
            let (from, to) = lines.as_ref().map_or((number(first), number(last)), |(from, to, _)| (*from, *to));
            of_text.send(&of_text.place, from, to, text, true);
        }
        Err(reason) => failure.set(Some(reason)),
    };
    let field = move |label: &'static str, bind: RwSignal<String>| {
        view! {
            <label class="ctx-line fs12">
                <span>{label}</span>
                <input
                    class="input input--s"
                    inputmode="numeric"
                    autocomplete="off"
                    prop:value=move || bind.get()
                    on:input:target=move |ev| bind.set(ev.target().value())
                />
            </label>
        }
    };
    view! {
        <div class="ctx-edit" role="group" aria-label="Change what is sent of it">
            <div class="ctx-lines">
                {field("First line", first)} {field("Last line", last)}
                <Button size=ButtonSize::Small busy=busy on_click=take_lines>"Send these lines"</Button>
            </div>
            {is_lines
                .then(|| {
                    view! {
                        <textarea
                            class="input mono fs12"
                            rows="4"
                            aria-label="The text that is sent"
                            spellcheck="false"
                            prop:value=move || text.get()
                            on:input:target=move |ev| text.set(ev.target().value())
                        ></textarea>
                        <div class="acts">
                            <Button size=ButtonSize::Small on_click=take_text>"Send this text"</Button>
                        </div>
                    }
                })}
            {move || {
                failure
                    .get()
                    .map(|reason| {
                        view! {
                            <p class="err fs12" role="alert">
                                <Icon name="circle-alert" small=true />
                                <span>{reason}</span>
                            </p>
                        }
                    })
            }}
        </div>
    }
    .into_any()
}

fn focus_panel() {
    if let Ok(Some(panel)) = document().query_selector(".ctx")
        && let Ok(panel) = panel.dyn_into::<web_sys::HtmlElement>()
    {
        let _ = panel.focus();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(key: &str, kind: PartKind) -> Part {
        Part { key: key.to_owned(), kind, label: String::new(), tokens: 1, removable: true, left_out: false, text: None }
    }

    #[test]
    fn only_what_the_message_at_hand_brings_is_changed() {
        let parts = [
            part("m1", PartKind::User),
            part("m1.a:a.rs", PartKind::Attachment),
            part("m12", PartKind::User),
            part("m12.a:a.rs", PartKind::Attachment),
        ];
        assert_eq!(draft_label(&parts, "m12.a:a.rs"), Some("a.rs"));
        assert_eq!(draft_label(&parts, "m1.a:a.rs"), None);
        assert_eq!(draft_label(&[], "m1.a:a.rs"), None);
        let lines = |edited| Picked {
            label: "a.rs:2–3".to_owned(),
            mention: Mention::Selection { path: "a.rs".to_owned(), start_line: 2, end_line: 3, text: "x".to_owned(), edited },
        };
        let files = ["a.rs".to_owned()];
        assert_eq!(place_of("a.rs", &files, &[lines(false)]), Some(Place::File("a.rs".to_owned())));
        assert_eq!(place_of("a.rs, lines 2 to 3", &files, &[lines(false)]), Some(Place::Lines(0)));
        assert_eq!(place_of("a.rs, lines 2 to 3", &files, &[lines(true)]), None);
        assert_eq!(place_of("src", &files, &[]), None);
    }

    #[test]
    fn lines_are_cut_with_both_ends() {
        assert_eq!(cut_lines("a\nb\nc", 2, 3), Ok((3, "b\nc".to_owned())));
        assert_eq!(cut_lines("a\nb\n", 1, u32::MAX), Ok((2, "a\nb\n".to_owned())));
        assert!(cut_lines("a\n", 2, 2).unwrap_err().contains("has 1 lines"));
        assert!(cut_lines("a\nb\n", 2, 1).is_err() && cut_lines("a\n", 0, 1).is_err());
        assert!(cut_lines(&"x".repeat(70_000), 1, 1).unwrap_err().contains("64 KiB"));
    }
}
