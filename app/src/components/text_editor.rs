//! The editor of one group, made once and kept: switching tabs only exchanges the text.

use leptos::{html, prelude::*, task::spawn_local};

use crate::{
    components::{
        autosave, documents,
        ide::{Cursor, Ide, TabBody},
    },
    editor::monaco::{self, EditorEvent},
    ui::{Button, PanelError, use_dark},
};

#[component]
pub fn TextEditor(
    ide: Ide,
    at: usize,
    /// Whether this editor's group is the one that has the keyboard.
    focused: Signal<bool>,
    path: Memo<Option<String>>,
    visible: Signal<bool>,
) -> impl IntoView {
    let node = NodeRef::<html::Div>::new();
    let editor = RwSignal::new(None::<monaco::Editor>);
    let failure = RwSignal::new(None::<String>);
    let dark = use_dark();
    let begin = move || {
        failure.set(None);
        spawn_local(async move {
            let loaded = monaco::load().await;
            if ide.is_gone() {
                return;
            }
            if let Err(reason) = loaded {
                failure.try_set(Some(reason));
                return;
            }
            monaco::set_theme(dark.get_untracked());
            if let Some(host) = node.try_get_untracked().flatten()
                && editor.get_untracked().is_none()
            {
                let made = monaco::Editor::create(&host, move |event| on_event(ide, at, event));
                if let Some(made) = made {
                    made.add_command("ask", "Ask the agent about this");
                    made.add_command("to-chat", "Add selection to chat");
                }
                editor.set(made);
            }
        });
    };
    let wanted = Memo::new(move |before: Option<&bool>| before == Some(&true) || visible.get());
    Effect::new(move |_| {
        if wanted.get() {
            begin();
        }
    });
    Effect::new(move |_| monaco::set_theme(dark.get()));
    show_active(ide, focused, path, editor);
    follow_rights(ide, path);
    run_actions(ide, focused, editor);
    on_cleanup(move || {
        if let Some(made) = editor.try_get_untracked().flatten() {
            made.dispose();
        }
    });
    view! {
        <div class="ed-host" node_ref=node hidden=move || !visible.get()></div>
        {move || {
            failure
                .get()
                .filter(|_| visible.get())
                .map(|reason| {
                    view! {
                        <div class="inset ed-over">
                            <PanelError title="The editor did not load" text=reason>
                                <Button on_click=move |_| begin()>"Try again"</Button>
                            </PanelError>
                        </div>
                    }
                })
        }}
    }
}

/// Opens the text of the file on top and shows it, once both are there.
fn show_active(ide: Ide, focused: Signal<bool>, path: Memo<Option<String>>, editor: RwSignal<Option<monaco::Editor>>) {
    let ready = Memo::new(move |_| {
        editor.get()?;
        let path = path.get()?;
        ide.tabs.with(|tabs| tabs.iter().any(|t| t.path == path && matches!(t.body, TabBody::Text { .. }))).then_some(path)
    });
    Effect::new(move |_| {
        let (Some(path), Some(editor)) = (ready.get(), editor.get_untracked()) else { return };
        documents::open_model(ide, &path);
        editor.show(&path);
        // The host may still be hidden in this very task, and a size that is back within a frame is told to nobody.
        request_animation_frame(move || editor.layout());
    });
    Effect::new(move |_| {
        let (Some(path), Some(jump), Some(editor)) = (ready.get(), ide.jump.get(), editor.get_untracked()) else { return };
        if jump.path == path && focused.get_untracked() {
            editor.show(&path);
            editor.reveal(jump.line, jump.column);
            editor.focus();
            ide.jump.set(None);
        }
    });
}

/// Who may change the project can change while it is open.
fn follow_rights(ide: Ide, path: Memo<Option<String>>) {
    Effect::new(move |_| {
        let Some(path) = path.get() else { return };
        ide.project.track();
        if let Some(tab) = ide.tab(&path) {
            monaco::set_read_only(&path, &documents::read_only_reason(ide, &tab).unwrap_or_default());
        }
    });
}

/// Commands of the page for the editor: find, replace, go to a line.
fn run_actions(ide: Ide, focused: Signal<bool>, editor: RwSignal<Option<monaco::Editor>>) {
    Effect::new(move |_| {
        let (Some(action), Some(editor)) = (ide.editor_action.get(), editor.get_untracked()) else { return };
        if focused.get_untracked() {
            ide.editor_action.set(None);
            editor.trigger(action);
        }
    });
}

fn on_event(ide: Ide, at: usize, event: EditorEvent) {
    if ide.is_gone() {
        return;
    }
    match event {
        EditorEvent::Dirty { uri, dirty } => ide.update_tab(&uri, |tab| {
            tab.typed = dirty;
            tab.settle();
        }),
        EditorEvent::Save { uri } => documents::save(ide, &uri),
        EditorEvent::Focus { uri } => ide.arrange(|groups| {
            // On a narrow screen one editor stands for both groups.
            if groups.group(at).is_some_and(|group| group.active.as_deref() == Some(uri.as_str())) {
                groups.focus(at);
            }
        }),
        EditorEvent::Blur { uri } => autosave::save_left(ide, &uri),
        EditorEvent::Cursor { uri, line, col, selected } => {
            if ide.active.with_untracked(|active| active.as_deref() == Some(uri.as_str())) {
                ide.cursor.set(Some(Cursor { line, column: col, selected }));
            }
        }
        EditorEvent::Command { id, uri, text, start_line, end_line } if id == "to-chat" => {
            ide.add_selection(&uri, text, start_line, end_line);
        }
        EditorEvent::Command { uri, text, start_line, end_line, .. } => {
            let place = if start_line == end_line { format!("line {start_line}") } else { format!("lines {start_line} to {end_line}") };
            let quote = if text.is_empty() { String::new() } else { format!("\n```\n{}\n```\n", text.trim_end()) };
            ide.ask_agent(format!("About `{uri}`, {place}:{quote}"));
        }
        EditorEvent::Merge { .. } => {}
    }
}
