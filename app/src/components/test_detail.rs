//! One case: why it failed, where, and what to do about it.

use leptos::prelude::*;
use wire::test_reports::{CaseState, TestCase};

use super::{
    ide::Ide,
    run_output::plain_text,
    test_desk,
    test_model::{parent_key, state_word},
    test_panel::TestView,
    test_places::{self, Piece},
    test_tree::state_icon,
};
use crate::ui::{Button, ButtonKind, ButtonSize, Icon, IconButton, format};

/// Where the case stands, and how that is written.
fn place(ide: Ide, case: &TestCase) -> Option<(String, Option<u32>)> {
    let file = case.file.clone().filter(|file| ide.entry(file).is_some())?;
    Some((file, case.line))
}

/// Opens the place of a case in the editor, where the framework told it.
pub fn open_case(ide: Ide, case: &TestCase) {
    if let Some((file, line)) = place(ide, case) {
        ide.open_file(&file, line);
    }
}

/// What the agent is asked about a case.
fn question(case: &TestCase) -> String {
    let mut name = case.path.join(" › ");
    if !name.is_empty() {
        name.push_str(" › ");
    }
    name.push_str(&case.name);
    let at = match (&case.file, case.line) {
        (Some(file), Some(line)) => format!(", in `{file}`, line {line}"),
        (Some(file), None) => format!(", in `{file}`"),
        _ => String::new(),
    };
    let message = plain_text(&case.message);
    let mut fence = "```".to_owned();
    while message.contains(&fence) {
        fence.push('`');
    }
    let mut text = format!("This test fails: `{name}`{at}\n");
    if !message.trim().is_empty() {
        text.push_str(&format!("\n{fence}\n{}\n{fence}\n", message.trim_end()));
    }
    text.push_str("\nFind the cause and fix it.");
    text
}

#[component]
pub fn TestDetail(view: TestView, case: TestCase) -> impl IntoView {
    let ide = view.ide;
    let (icon, class) = state_icon(case.state);
    let at = place(ide, &case);
    let link = at.map(|(file, line)| {
        let name = file.rsplit('/').next().unwrap_or(&file).to_owned();
        let label = line.map_or(name.clone(), |line| format!("{name}:{line}"));
        view! {
            <button type="button" class="link nowrap" title=file.clone() on:click=move |_| ide.open_file(&file, line)>
                {label}
            </button>
        }
    });
    let said = case.duration_ms.map_or_else(String::new, |ms| format!(" in {}", format::duration_ms(ms)));
    let state = format!("{}{said}", capitalised(state_word(case.state)));
    let pieces = test_places::split(&plain_text(&case.message), case.file.as_deref(), |path| ide.entry(path).is_some());
    let message = pieces.into_iter().map(|piece| match piece {
        Piece::Text(text) => text.into_any(),
        Piece::Place { label, path, line } => view! {
            <button type="button" class="link" title=format!("{path}, line {line}") on:click=move |_| ide.open_file(&path, Some(line))>
                {label}
            </button>
        }
        .into_any(),
    });
    let has_message = !case.message.trim().is_empty();
    let failed = case.state == CaseState::Failed;
    let asked = question(&case);
    let id = case.id.clone();
    let locked = Signal::derive(move || !ide.can_edit());
    view! {
        <section class="tests-detail" aria-label=format!("Test {}", case.name)>
            <div class="row">
                <span class=format!("mark-icon {class}")>
                    <Icon name=icon small=true />
                </span>
                <b class="clip" title=case.name.clone()>
                    {case.name.clone()}
                </b>
                <span class="t3 fs12 nowrap">{state}</span>
                <span class="grow"></span>
                {link}
                <IconButton icon="x" label="Close the detail" small=true on_click=move |_| close(view) />
            </div>
            {has_message.then(|| view! { <div class="cmd tests-message" tabindex="0" role="group" aria-label="Message">{message.collect_view()}</div> })}
            <div class="acts">
                {failed
                    .then(|| {
                        view! {
                            <Button kind=ButtonKind::Primary size=ButtonSize::Small icon="sparkles" on_click=move |_| ide.ask_agent(asked.clone())>
                                "Ask the agent about this"
                            </Button>
                        }
                    })}
                <Button size=ButtonSize::Small disabled=locked on_click=move |_| test_desk::start(ide, vec![id.clone()])>
                    "Run this test"
                </Button>
            </div>
        </section>
    }
}

/// Goes back to the suite: a case on which the keyboard is has its detail open.
fn close(view: TestView) {
    view.current.update(|current| {
        if let Some(key) = current {
            *key = parent_key(key).to_owned();
        }
    });
}

fn capitalised(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_carries_name_place_and_message() {
        let case = TestCase {
            id: "x".into(),
            path: vec!["tests".into(), "a.py".into()],
            name: "one".into(),
            state: CaseState::Failed,
            duration_ms: None,
            message: "\u{1b}[31mAssertionError\u{1b}[0m: 1 != 2\n".into(),
            file: Some("tests/a.py".into()),
            line: Some(4),
        };
        let text = question(&case);
        assert!(
            text.starts_with("This test fails: `tests › a.py › one`, in `tests/a.py`, line 4\n\n```\nAssertionError: 1 != 2\n```\n"),
            "{text}"
        );
        assert_eq!(capitalised("failed"), "Failed");
    }
}
