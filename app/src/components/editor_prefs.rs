//! How the editor behaves.

use leptos::prelude::*;
use wire::preferences::{AutosaveChoice, EditorPreferences, LineNumbers, UpdateEditorPreferences, Whitespace};

use super::{
    pref_rows::{ChoiceRow, NumberRow, SavingNote, SwitchRow},
    preferences::use_preferences,
};

#[component]
pub fn EditorPrefsCard() -> impl IntoView {
    view! {
        <section class="card" aria-labelledby="editor-title">
            <div class="card-head">
                <h2 id="editor-title">"How it works"</h2>
                <span class="grow"></span>
                <SavingNote />
            </div>
            <div class="prefs">
                <p class="t2">
                    "Kept with your account. What a project's " <code>".editorconfig"</code> " says goes before it, file by file."
                </p>
                <Indentation />
                <Showing />
            </div>
        </section>
    }
    .into_any()
}

/// A part of what is shown, and a way to change some of it.
fn part<T: Send + Sync + 'static>(read: fn(&EditorPreferences) -> T) -> Signal<T> {
    let prefs = use_preferences();
    Signal::derive(move || prefs.shown.with(|shown| read(&shown.editor)))
}

fn change<T: 'static>(write: fn(T) -> UpdateEditorPreferences) -> Callback<T> {
    let prefs = use_preferences();
    Callback::new(move |value: T| prefs.change_editor(write(value)))
}

#[component]
fn Indentation() -> impl IntoView {
    type Update = UpdateEditorPreferences;
    view! {
        <NumberRow
            label="Tab size"
            name="tab-size"
            hint="Columns of one step, 1 to 16"
            least=1
            most=16
            unit="columns"
            value=part(|editor| editor.tab_size)
            on_change=change(|size| Update { tab_size: Some(size), ..Update::default() })
        />
        <SwitchRow
            label="Insert spaces"
            name="insert-spaces"
            hint="Tab makes blanks instead of a tab."
            value=part(|editor| editor.insert_spaces)
            on_change=change(|on| Update { insert_spaces: Some(on), ..Update::default() })
        />
        <SwitchRow
            label="Follow the file"
            name="detect-indentation"
            hint="A text that is indented already goes on as it is; the two above are for the others."
            value=part(|editor| editor.detect_indentation)
            on_change=change(|on| Update { detect_indentation: Some(on), ..Update::default() })
        />
        <SwitchRow
            label="Format what is pasted"
            name="format-on-paste"
            hint="Where the language has a formatter in the browser."
            value=part(|editor| editor.format_on_paste)
            on_change=change(|on| Update { format_on_paste: Some(on), ..Update::default() })
        />
        <ChoiceRow
            label="Autosave"
            hint="Never over a conflict."
            options=vec![(AutosaveChoice::Off, "Off"), (AutosaveChoice::Delay, "After a second"), (AutosaveChoice::Focus, "On leaving")]
            value=part(|editor| editor.autosave)
            on_choose=change(|mode| Update { autosave: Some(mode), ..Update::default() })
        />
    }
    .into_any()
}

#[component]
fn Showing() -> impl IntoView {
    type Update = UpdateEditorPreferences;
    view! {
        <SwitchRow
            label="Wrap long lines"
            name="word-wrap"
            value=part(|editor| editor.word_wrap)
            on_change=change(|on| Update { word_wrap: Some(on), ..Update::default() })
        />
        <SwitchRow
            label="Overview at the side"
            name="minimap"
            hint="The whole text, small, beside the scroll bar."
            value=part(|editor| editor.minimap)
            on_change=change(|on| Update { minimap: Some(on), ..Update::default() })
        />
        <ChoiceRow
            label="Line numbers"
            hint="Relative counts from the line of the cursor."
            options=vec![(LineNumbers::On, "On"), (LineNumbers::Relative, "Relative"), (LineNumbers::Off, "Off")]
            value=part(|editor| editor.line_numbers)
            on_choose=change(|shown| Update { line_numbers: Some(shown), ..Update::default() })
        />
        <ChoiceRow
            label="Show blanks"
            options=vec![
                (Whitespace::None, "Never"),
                (Whitespace::Selection, "Selected"),
                (Whitespace::Boundary, "At edges"),
                (Whitespace::All, "Always"),
            ]
            value=part(|editor| editor.render_whitespace)
            on_choose=change(|shown| Update { render_whitespace: Some(shown), ..Update::default() })
        />
        <SwitchRow
            label="Font ligatures"
            name="font-ligatures"
            hint="Signs such as => as one, where the font has them."
            value=part(|editor| editor.font_ligatures)
            on_change=change(|on| Update { font_ligatures: Some(on), ..Update::default() })
        />
    }
    .into_any()
}
