//! What can be done on the project page by key and from the palette: one list for both.

use leptos::{ev, prelude::*, task::spawn_local, wasm_bindgen::JsCast, web_sys};
use wire::runs::RunKind;

use crate::{
    api,
    components::{
        autosave::{self, Autosave},
        checkpoint_state::Ask,
        compare, documents,
        editor_groups::Groups,
        editor_pane::focus_editor,
        editor_tabs, explorer_actions, files_desk,
        ide::{Against, ConsoleTab, Ide, PaletteKind, PhonePane},
        search_list, search_state, terminal_state, test_desk,
    },
    editor::monaco,
    ui::focus,
};

/// The areas that F6 goes through, in reading order.
const AREAS: [&str; 6] =
    [".ide > .side", ".rv-side", ".rv-main", ".main-pane:not([hidden]):not(:has(.review))", ".console-area", ".chat-area"];
const FOCUSABLE: &str = "textarea, input:not([hidden]), [tabindex='0'], button:not([tabindex='-1']):not([disabled]), a[href]";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    GoToFile,
    GoToSymbol,
    SearchProject,
    ReplaceInProject,
    NextFound,
    PreviousFound,
    ShowCommands,
    Save,
    SaveAll,
    CloseFile,
    GoToLine,
    Find,
    Replace,
    SplitEditor,
    MoveAcross,
    JoinEditors,
    CompareSaved,
    CompareVersion,
    ShowInFiles,
    FileHistory,
    ShowTrash,
    UndoFiles,
    AutosaveOff,
    AutosaveDelay,
    AutosaveFocus,
    RunAgain,
    StopRun,
    RunTests,
    RunFailedTests,
    SetUpTests,
    OpenReview,
    ShowCheckpoints,
    NewCheckpoint,
    ForkProject,
    ToggleSide,
    ToggleConsole,
    MaximiseConsole,
    ShowOutput,
    ShowTests,
    ShowTerminal,
    NewTerminal,
    ShowPorts,
    ProjectSettings,
    ToggleChat,
    AskAgent,
    AddSelection,
    NextArea,
    PreviousArea,
    FocusEditor,
}

impl Command {
    pub const ALL: [Self; 49] = [
        Self::GoToFile,
        Self::GoToSymbol,
        Self::SearchProject,
        Self::ReplaceInProject,
        Self::NextFound,
        Self::PreviousFound,
        Self::ShowCommands,
        Self::Save,
        Self::SaveAll,
        Self::CloseFile,
        Self::GoToLine,
        Self::Find,
        Self::Replace,
        Self::SplitEditor,
        Self::MoveAcross,
        Self::JoinEditors,
        Self::CompareSaved,
        Self::CompareVersion,
        Self::ShowInFiles,
        Self::FileHistory,
        Self::ShowTrash,
        Self::UndoFiles,
        Self::AutosaveOff,
        Self::AutosaveDelay,
        Self::AutosaveFocus,
        Self::RunAgain,
        Self::StopRun,
        Self::RunTests,
        Self::RunFailedTests,
        Self::SetUpTests,
        Self::OpenReview,
        Self::ShowCheckpoints,
        Self::NewCheckpoint,
        Self::ForkProject,
        Self::ToggleSide,
        Self::ToggleConsole,
        Self::MaximiseConsole,
        Self::ShowOutput,
        Self::ShowTests,
        Self::ShowTerminal,
        Self::NewTerminal,
        Self::ShowPorts,
        Self::ProjectSettings,
        Self::ToggleChat,
        Self::AskAgent,
        Self::AddSelection,
        Self::NextArea,
        Self::PreviousArea,
        Self::FocusEditor,
    ];

    pub fn label(self) -> &'static str {
        match self {
            Self::GoToFile => "Go to a file",
            Self::GoToSymbol => "Go to a symbol of the file",
            Self::SearchProject => "Search through all files",
            Self::ReplaceInProject => "Replace in all files, by way of a review",
            Self::NextFound => "Go to the next line found",
            Self::PreviousFound => "Go to the line found before",
            Self::ShowCommands => "Show all commands",
            Self::Save => "Save the file",
            Self::SaveAll => "Save all files",
            Self::CloseFile => "Close the file",
            Self::GoToLine => "Go to a line",
            Self::Find => "Find in the file",
            Self::Replace => "Find and replace in the file",
            Self::SplitEditor => "Split the editor, or go to the other half",
            Self::MoveAcross => "Move the file to the other half",
            Self::JoinEditors => "Put both halves of the editor together",
            Self::CompareSaved => "Compare the file with what is saved",
            Self::CompareVersion => "Compare the file with a version",
            Self::ShowInFiles => "Show the file in the tree",
            Self::FileHistory => "Show the history of the file",
            Self::ShowTrash => "Show the trash",
            Self::UndoFiles => "Take back the last change of files",
            Self::AutosaveOff => "Autosave: off",
            Self::AutosaveDelay => "Autosave: after a second of rest",
            Self::AutosaveFocus => "Autosave: when the keyboard leaves",
            Self::RunAgain => "Repeat the last run",
            Self::StopRun => "Stop the run",
            Self::RunTests => "Run the tests",
            Self::RunFailedTests => "Run the failed tests again",
            Self::SetUpTests => "Set up how the tests are run",
            Self::OpenReview => "Review what the agent proposes",
            Self::ShowCheckpoints => "Restore a checkpoint",
            Self::NewCheckpoint => "Make a checkpoint",
            Self::ForkProject => "Fork the project",
            Self::ToggleSide => "Show or hide the files",
            Self::ToggleConsole => "Show or hide the runs",
            Self::MaximiseConsole => "Maximise the panel of the runs, or make it small again",
            Self::ShowOutput => "Show the output of runs",
            Self::ShowTests => "Show the tests",
            Self::ShowTerminal => "Show the terminals",
            Self::NewTerminal => "Open a new terminal",
            Self::ProjectSettings => "Open the project's settings, network access among them",
            Self::ShowPorts => "Show the ports",
            Self::ToggleChat => "Show or hide the chat",
            Self::AskAgent => "Write to the agent",
            Self::AddSelection => "Add the editor's selection to the chat",
            Self::NextArea => "Go to the next area",
            Self::PreviousArea => "Go to the area before",
            Self::FocusEditor => "Go to the editor",
        }
    }

    pub fn icon(self) -> &'static str {
        match self {
            Self::GoToFile | Self::SearchProject => "search",
            Self::GoToSymbol => "at-sign",
            Self::ReplaceInProject => "pencil",
            Self::NextFound => "arrow-down",
            Self::PreviousFound => "arrow-up",
            Self::ShowCommands => "list-checks",
            Self::Save | Self::SaveAll => "check",
            Self::CloseFile => "x",
            Self::GoToLine => "arrow-right",
            Self::Find => "search",
            Self::Replace => "pencil",
            Self::SplitEditor | Self::MoveAcross => "columns-2",
            Self::JoinEditors => "square",
            Self::CompareSaved => "git-compare",
            Self::CompareVersion => "history",
            Self::ShowInFiles => "files",
            Self::FileHistory => "history",
            Self::ShowTrash => "trash-2",
            Self::UndoFiles => "undo-2",
            Self::AutosaveOff | Self::AutosaveDelay | Self::AutosaveFocus => "check",
            Self::RunAgain => "rotate-cw",
            Self::StopRun => "square",
            Self::RunTests | Self::ShowTests => "flask-conical",
            Self::RunFailedTests => "rotate-cw",
            Self::SetUpTests => "settings",
            Self::OpenReview => "git-compare",
            Self::ShowCheckpoints => "history",
            Self::NewCheckpoint => "bookmark",
            Self::ForkProject => "git-branch",
            Self::ToggleSide => "files",
            Self::ToggleConsole => "panel-bottom",
            Self::MaximiseConsole => "maximize-2",
            Self::ShowOutput => "scroll-text",
            Self::ShowTerminal | Self::NewTerminal => "square-terminal",
            Self::ProjectSettings => "file-cog",
            Self::ShowPorts => "link",
            Self::ToggleChat => "panel-right",
            Self::AskAgent => "sparkles",
            Self::AddSelection => "text-select",
            Self::NextArea | Self::PreviousArea => "arrow-right",
            Self::FocusEditor => "file-code",
        }
    }

    pub fn keys(self) -> Vec<&'static str> {
        match self {
            Self::GoToFile => vec!["Ctrl", "P"],
            Self::GoToSymbol => vec!["Ctrl", "Shift", "O"],
            Self::SearchProject => vec!["Ctrl", "Shift", "F"],
            Self::ReplaceInProject => vec!["Ctrl", "Shift", "H"],
            Self::NextFound => vec!["F4"],
            Self::PreviousFound => vec!["Shift", "F4"],
            Self::ShowCommands => vec!["Ctrl", "Shift", "P"],
            Self::Save => vec!["Ctrl", "S"],
            Self::GoToLine => vec!["Ctrl", "G"],
            Self::Find => vec!["Ctrl", "F"],
            Self::Replace => vec!["Ctrl", "H"],
            Self::SplitEditor => vec!["Ctrl", "\\"],
            Self::RunAgain => vec!["Ctrl", "⏎"],
            Self::StopRun => vec!["Ctrl", "."],
            Self::OpenReview => vec!["F7"],
            Self::ShowCheckpoints => vec!["F8"],
            Self::ToggleSide => vec!["Ctrl", "B"],
            Self::ToggleConsole => vec!["Ctrl", "J"],
            Self::ToggleChat => vec!["Ctrl", "L"],
            Self::NextArea => vec!["F6"],
            Self::PreviousArea => vec!["Shift", "F6"],
            Self::ShowTerminal => vec!["Ctrl", "`"],
            Self::NewTerminal => vec!["Ctrl", "Shift", "`"],
            Self::SaveAll
            | Self::NewCheckpoint
            | Self::ForkProject
            | Self::CloseFile
            | Self::MoveAcross
            | Self::JoinEditors
            | Self::CompareSaved
            | Self::CompareVersion
            | Self::ShowInFiles
            | Self::FileHistory
            | Self::ShowTrash
            | Self::UndoFiles
            | Self::AutosaveOff
            | Self::AutosaveDelay
            | Self::AutosaveFocus
            | Self::AskAgent
            | Self::AddSelection
            | Self::FocusEditor
            | Self::RunTests
            | Self::RunFailedTests
            | Self::SetUpTests
            | Self::MaximiseConsole
            | Self::ShowOutput
            | Self::ShowTests
            | Self::ShowPorts
            | Self::ProjectSettings => Vec::new(),
        }
    }

    pub fn run(self, ide: Ide) {
        match self {
            Self::GoToFile => ide.palette.set(Some(PaletteKind::Files)),
            Self::GoToSymbol => ide.palette.set(Some(PaletteKind::Symbols)),
            Self::SearchProject => search_state::open(ide, &monaco::selected_text(), false),
            Self::ReplaceInProject => search_state::open(ide, &monaco::selected_text(), true),
            Self::NextFound => search_list::step(ide, true),
            Self::PreviousFound => search_list::step(ide, false),
            Self::ShowCommands => ide.palette.set(Some(PaletteKind::Commands)),
            Self::Save => with_active(ide, documents::save),
            Self::SaveAll => documents::save_all(ide),
            Self::CloseFile => with_active(ide, documents::close),
            Self::GoToLine => in_editor(ide, "editor.action.gotoLine"),
            Self::Find => in_editor(ide, "actions.find"),
            Self::Replace => in_editor(ide, "editor.action.startFindReplaceAction"),
            Self::SplitEditor => {
                ide.arrange(Groups::split);
                request_animation_frame(focus_editor);
            }
            Self::MoveAcross => with_active(ide, |ide, path| {
                let at = ide.groups.with_untracked(Groups::focused);
                editor_tabs::move_across(ide, at, path);
            }),
            Self::JoinEditors => ide.arrange(Groups::join),
            Self::CompareSaved => with_active(ide, |ide, path| compare::compare(ide, path, Against::Saved)),
            Self::CompareVersion => with_active(ide, compare::compare_versions),
            Self::ShowInFiles => with_active(ide, editor_tabs::show_in_tree),
            Self::FileHistory => with_active(ide, files_desk::show_history),
            Self::ShowTrash => files_desk::show_trash(ide),
            Self::UndoFiles => explorer_actions::take_back(ide, None),
            Self::AutosaveOff => autosave::choose(ide, Autosave::Off),
            Self::AutosaveDelay => autosave::choose(ide, Autosave::AfterDelay),
            Self::AutosaveFocus => autosave::choose(ide, Autosave::OnFocusChange),
            Self::RunAgain => run_again(ide),
            Self::StopRun => stop_run(ide),
            Self::RunTests => test_desk::start(ide, Vec::new()),
            Self::RunFailedTests => test_desk::start_failed(ide),
            Self::SetUpTests => {
                ide.show_console(ConsoleTab::Tests);
                ide.tests.configuring.set(true);
            }
            Self::MaximiseConsole => {
                ide.console.set_open(true);
                ide.console_max.update(|max| *max = !*max);
            }
            Self::ShowOutput => show_tab(ide, ConsoleTab::Output),
            Self::ShowTests => show_tab(ide, ConsoleTab::Tests),
            Self::ShowTerminal => terminal_state::focus(ide),
            Self::NewTerminal => terminal_state::open(ide),
            Self::ProjectSettings => click("[data-goto='project-settings']"),
            Self::ShowPorts => show_tab(ide, ConsoleTab::Ports),
            Self::OpenReview => open_review(ide),
            Self::ShowCheckpoints if ide.checkpoints.open.get_untracked() => ide.close_review(),
            Self::ShowCheckpoints => ide.open_checkpoints(None),
            Self::NewCheckpoint => ask_in_the_past(ide, Ask::New),
            Self::ForkProject => ide.checkpoints.ask.set(Some(Ask::Fork(None))),
            Self::ToggleSide => toggle_side(ide),
            Self::ToggleConsole => {
                ide.console_max.set(false);
                ide.console.toggle();
                ide.phone_pane.set(PhonePane::Runs);
            }
            Self::ToggleChat => {
                ide.chat.toggle();
                ide.phone_pane.set(PhonePane::Chat);
            }
            Self::AddSelection => in_editor(ide, "cloudxdevai.to-chat"),
            Self::AskAgent => {
                ide.chat.set_open(true);
                ide.phone_pane.set(PhonePane::Chat);
                request_animation_frame(|| focus_in(".chat textarea"));
            }
            Self::NextArea => go_to_area(true),
            Self::PreviousArea => go_to_area(false),
            Self::FocusEditor => {
                ide.close_review();
                request_animation_frame(focus_editor);
            }
        }
    }
}

fn with_active(ide: Ide, act: fn(Ide, &str)) {
    if let Some(path) = ide.active.get_untracked() {
        act(ide, &path);
    }
}

/// Runs one of the editor's own commands on the file on top.
fn in_editor(ide: Ide, action: &'static str) {
    if ide.active.with_untracked(Option::is_some) {
        ide.close_review();
        ide.editor_action.set(Some(action));
    }
}

/// Repeats the last command; without one, goes to where one is typed.
pub fn run_again(ide: Ide) {
    let command = ide.last_command.get_untracked();
    if !command.trim().is_empty() && untrack(|| ide.can_edit()) {
        ide.run(command);
        return;
    }
    ide.show_console(ConsoleTab::Output);
    request_animation_frame(|| focus_in(".console-area .run-input"));
}

/// Opens the console at a tab and goes there, unless what is in it takes the focus by itself.
fn show_tab(ide: Ide, tab: ConsoleTab) {
    ide.show_console(tab);
    request_animation_frame(move || {
        let inside = format!("#console-{}", tab.name());
        if !is_inside(&inside) {
            focus_in(&format!("#console-tab-{}", tab.name()));
        }
    });
}

/// Stops the chosen run, or else the newest that goes on. Terminals are closed at their own place.
pub fn stop_run(ide: Ide) {
    let running = ide.runs.with_untracked(|runs| {
        let selected = ide.selected_run.get_untracked();
        let live = |run: &&wire::runs::Run| !run.state.is_finished() && run.kind != RunKind::Terminal;
        runs.iter().filter(live).find(|run| Some(run.id) == selected).or_else(|| runs.iter().find(live)).map(|run| run.id)
    });
    let Some(id) = running else { return };
    spawn_local(async move {
        match api::runs::cancel(id).await {
            _ if ide.is_gone() => {}
            Ok(run) => ide.put_run(run),
            Err(error) => ide.error(&error.0),
        }
    });
}

fn ask_in_the_past(ide: Ide, ask: Ask) {
    if untrack(|| ide.can_edit()) {
        ide.checkpoints.ask.set(Some(ask));
    } else {
        ide.toast("Editors of the project can make checkpoints");
    }
}

fn open_review(ide: Ide) {
    if ide.review.get_untracked().is_some() {
        return;
    }
    match untrack(|| ide.newest_review()) {
        Some(turn) => ide.open_review(turn),
        None => ide.toast("Nothing waits for review"),
    }
}

/// Beside the chat there is no room for the files below desk width: they open over the main area instead.
pub fn toggle_side(ide: Ide) {
    if is_narrow() && ide.chat_open.get_untracked() {
        ide.drawer.update(|open| *open = !*open);
    } else {
        ide.side.toggle();
    }
    ide.phone_pane.set(PhonePane::Files);
    ide.phone_editor.set(false);
}

pub fn is_narrow() -> bool {
    window().match_media("(max-width: 1180px)").ok().flatten().is_some_and(|query| query.matches())
}

fn focus_in(selector: &str) {
    let found = document().query_selector(selector).ok().flatten().and_then(|el| el.dyn_into::<web_sys::HtmlElement>().ok());
    if let Some(found) = found {
        let _ = found.focus();
    }
}

/// Follows a link of the page, as a click on it would.
fn click(selector: &str) {
    let found = document().query_selector(selector).ok().flatten().and_then(|el| el.dyn_into::<web_sys::HtmlElement>().ok());
    if let Some(found) = found {
        found.click();
    }
}

fn go_to_area(forward: bool) {
    let active = document().active_element();
    let areas: Vec<web_sys::Element> = AREAS
        .iter()
        .filter_map(|selector| document().query_selector(selector).ok().flatten())
        .filter(|area| area.get_bounding_client_rect().width() > 0.0)
        .collect();
    if areas.is_empty() {
        return;
    }
    let here = areas.iter().position(|area| active.as_ref().is_some_and(|active| area.contains(Some(active))));
    let step = if forward { 1 } else { areas.len() - 1 };
    let at = here.map_or(0, |here| (here + step) % areas.len());
    if areas[at].class_name().contains("main-pane") {
        focus_editor();
    } else if areas[at].class_name().contains("rv-main") && areas[at].query_selector(".hunk--focus").is_ok_and(|found| found.is_some()) {
        focus_in(".rv-main .hunk--focus");
    } else if let Some(first) = focus::elements(&areas[at], FOCUSABLE).first() {
        let _ = first.focus();
    }
}

/// Whether the focus is in a part that matches `selector`.
fn is_inside(selector: &str) -> bool {
    document().active_element().and_then(|active| active.closest(selector).ok().flatten()).is_some()
}

/// The keys of the page. What a part has used already is left alone.
pub fn take_key(ide: Ide, event: &ev::KeyboardEvent) {
    if event.default_prevented() || event.is_composing() {
        return;
    }
    let control = event.ctrl_key() || event.meta_key();
    let key = event.key().to_lowercase();
    let command = match (control, event.shift_key(), key.as_str()) {
        (_, _, _) if event.alt_key() => return,
        (true, false, "p") => Command::GoToFile,
        (true, true, "p") => Command::ShowCommands,
        (true, true, "o") => Command::GoToSymbol,
        (true, true, "f") => Command::SearchProject,
        (true, true, "h") => Command::ReplaceInProject,
        (false, false, "f4") => Command::NextFound,
        (false, true, "f4") => Command::PreviousFound,
        (true, false, "b") => Command::ToggleSide,
        (true, false, "j") => Command::ToggleConsole,
        (true, false, "l") => Command::ToggleChat,
        (true, false, "s") => Command::Save,
        (true, false, "g") if ide.active.with_untracked(Option::is_some) => Command::GoToLine,
        (true, false, "\\") => Command::SplitEditor,
        // With a review open and the focus nowhere in particular, these keys apply its decisions.
        (true, false, "enter") if untrack(|| ide.takes_main()) && !is_inside(".console") => return,
        (true, false, "enter") if !is_inside(".chat, .review, dialog") => Command::RunAgain,
        // With Shift the key is another sign, and which one depends on the keyboard.
        (true, shift, _) if event.code() == "Backquote" => {
            if shift {
                Command::NewTerminal
            } else {
                Command::ShowTerminal
            }
        }
        (true, false, ".") if !is_inside(".chat") => Command::StopRun,
        (false, false, "f6") => Command::NextArea,
        (false, true, "f6") => Command::PreviousArea,
        (false, false, "f7") if ide.review.get_untracked().is_none() => Command::OpenReview,
        (false, false, "f8") => Command::ShowCheckpoints,
        (false, false, "escape") if ide.drawer.get_untracked() => {
            event.prevent_default();
            ide.drawer.set(false);
            return;
        }
        _ => return,
    };
    event.prevent_default();
    command.run(ide);
}
