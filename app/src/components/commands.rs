//! What can be done on the project page by key and from the palette: one list for both.

use leptos::{prelude::*, task::spawn_local, wasm_bindgen::JsCast, web_sys};
use wire::{chat::Mode, runs::RunKind};

use crate::{
    api,
    components::{
        autosave::{self, Autosave},
        chat_actions::ChatOrder,
        checkpoint_state::Ask,
        compare, documents,
        editor_groups::Groups,
        editor_pane::focus_editor,
        editor_tabs, explorer_actions,
        files_desk::{self, TreeOrder},
        ide::{Against, ConsoleTab, Ide, PaletteKind, PhonePane},
        search_list, search_state, terminal_state, test_desk,
    },
    editor::monaco,
    ui::focus,
};

/// The areas that F6 goes through, in reading order.
const AREAS: [&str; 6] =
    [".ide > .side", ".rv-side", ".rv-main", ".main-pane:not([hidden]):not(:has(.review))", ".console-area", ".chat-area"];
const MODEL_PICKER: &str = ".chat-area .compose-model";
const FOCUSABLE: &str = "textarea, input:not([hidden]), [tabindex='0'], button:not([tabindex='-1']):not([disabled]), a[href]";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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
    NewFile,
    NewFolder,
    UploadFiles,
    UploadFolder,
    RenameEntry,
    MoveEntry,
    CopyEntry,
    DeleteEntry,
    CopyPath,
    DownloadEntry,
    FilterFiles,
    FoldFolders,
    MarkSeen,
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
    Generate,
    AddSelection,
    NewConversation,
    StopAgent,
    ChangeModel,
    ModePlan,
    ModeAsk,
    ModeAuto,
    ExportMarkdown,
    ExportJson,
    NextArea,
    PreviousArea,
    FocusEditor,
}

impl Command {
    pub const ALL: [Self; 71] = [
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
        Self::NewFile,
        Self::NewFolder,
        Self::UploadFiles,
        Self::UploadFolder,
        Self::RenameEntry,
        Self::MoveEntry,
        Self::CopyEntry,
        Self::DeleteEntry,
        Self::CopyPath,
        Self::DownloadEntry,
        Self::FilterFiles,
        Self::FoldFolders,
        Self::MarkSeen,
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
        Self::Generate,
        Self::AddSelection,
        Self::NewConversation,
        Self::StopAgent,
        Self::ChangeModel,
        Self::ModePlan,
        Self::ModeAsk,
        Self::ModeAuto,
        Self::ExportMarkdown,
        Self::ExportJson,
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
            Self::NewFile => "New file",
            Self::NewFolder => "New folder",
            Self::UploadFiles => "Upload files",
            Self::UploadFolder => "Upload a folder",
            Self::RenameEntry => "Rename what is chosen in the tree",
            Self::MoveEntry => "Move what is chosen in the tree to another folder",
            Self::CopyEntry => "Copy what is chosen in the tree to another folder",
            Self::DeleteEntry => "Move what is chosen in the tree to the trash",
            Self::CopyPath => "Copy the path of what is chosen in the tree",
            Self::DownloadEntry => "Download what is chosen in the tree",
            Self::FilterFiles => "Filter the tree of files",
            Self::FoldFolders => "Fold all folders",
            Self::MarkSeen => "Mark all files as looked at",
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
            Self::Generate => "Generate changes from a prompt, without a conversation",
            Self::AddSelection => "Add the editor's selection to the chat",
            Self::NewConversation => "Begin a new conversation",
            Self::StopAgent => "Stop the agent",
            Self::ChangeModel => "Change the model",
            Self::ModePlan => "Change the mode to Plan, which only reads",
            Self::ModeAsk => "Change the mode to Ask first, which asks before it runs anything",
            Self::ModeAuto => "Change the mode to Auto, which also runs",
            Self::ExportMarkdown => "Export the conversation as Markdown",
            Self::ExportJson => "Export the conversation as JSON",
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
            Self::NewFile => "file-plus",
            Self::NewFolder => "folder-plus",
            Self::UploadFiles => "upload",
            Self::UploadFolder => "folder-up",
            Self::RenameEntry => "pencil",
            Self::MoveEntry => "arrow-right",
            Self::CopyEntry => "files",
            Self::DeleteEntry => "trash-2",
            Self::CopyPath => "clipboard",
            Self::DownloadEntry => "download",
            Self::FilterFiles => "list-filter",
            Self::FoldFolders => "folder",
            Self::MarkSeen => "eye",
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
            Self::AskAgent | Self::Generate => "sparkles",
            Self::AddSelection => "text-select",
            Self::NewConversation => "plus",
            Self::StopAgent => "square",
            Self::ChangeModel => "sparkles",
            Self::ModePlan | Self::ModeAsk | Self::ModeAuto => "check",
            Self::ExportMarkdown | Self::ExportJson => "download",
            Self::NextArea | Self::PreviousArea => "arrow-right",
            Self::FocusEditor => "file-code",
        }
    }

    /// As it is called in `wire::keys::COMMANDS` and in what is kept.
    pub fn id(self) -> &'static str {
        match self {
            Self::GoToFile => "go-to-file",
            Self::GoToSymbol => "go-to-symbol",
            Self::SearchProject => "search-project",
            Self::ReplaceInProject => "replace-in-project",
            Self::NextFound => "next-found",
            Self::PreviousFound => "previous-found",
            Self::ShowCommands => "show-commands",
            Self::Save => "save",
            Self::SaveAll => "save-all",
            Self::CloseFile => "close-file",
            Self::GoToLine => "go-to-line",
            Self::Find => "find",
            Self::Replace => "replace",
            Self::SplitEditor => "split-editor",
            Self::MoveAcross => "move-across",
            Self::JoinEditors => "join-editors",
            Self::CompareSaved => "compare-saved",
            Self::CompareVersion => "compare-version",
            Self::ShowInFiles => "show-in-files",
            Self::FileHistory => "file-history",
            Self::ShowTrash => "show-trash",
            Self::UndoFiles => "undo-files",
            Self::NewFile => "new-file",
            Self::NewFolder => "new-folder",
            Self::UploadFiles => "upload-files",
            Self::UploadFolder => "upload-folder",
            Self::RenameEntry => "rename-entry",
            Self::MoveEntry => "move-entry",
            Self::CopyEntry => "copy-entry",
            Self::DeleteEntry => "delete-entry",
            Self::CopyPath => "copy-path",
            Self::DownloadEntry => "download-entry",
            Self::FilterFiles => "filter-files",
            Self::FoldFolders => "fold-folders",
            Self::MarkSeen => "mark-seen",
            Self::AutosaveOff => "autosave-off",
            Self::AutosaveDelay => "autosave-delay",
            Self::AutosaveFocus => "autosave-focus",
            Self::RunAgain => "run-again",
            Self::StopRun => "stop-run",
            Self::RunTests => "run-tests",
            Self::RunFailedTests => "run-failed-tests",
            Self::SetUpTests => "set-up-tests",
            Self::OpenReview => "open-review",
            Self::ShowCheckpoints => "show-checkpoints",
            Self::NewCheckpoint => "new-checkpoint",
            Self::ForkProject => "fork-project",
            Self::ToggleSide => "toggle-side",
            Self::ToggleConsole => "toggle-console",
            Self::MaximiseConsole => "maximise-console",
            Self::ShowOutput => "show-output",
            Self::ShowTests => "show-tests",
            Self::ShowTerminal => "show-terminal",
            Self::NewTerminal => "new-terminal",
            Self::ShowPorts => "show-ports",
            Self::ProjectSettings => "project-settings",
            Self::ToggleChat => "toggle-chat",
            Self::AskAgent => "ask-agent",
            Self::Generate => "generate",
            Self::AddSelection => "add-selection",
            Self::NewConversation => "new-conversation",
            Self::StopAgent => "stop-agent",
            Self::ChangeModel => "change-model",
            Self::ModePlan => "mode-plan",
            Self::ModeAsk => "mode-ask",
            Self::ModeAuto => "mode-auto",
            Self::ExportMarkdown => "export-markdown",
            Self::ExportJson => "export-json",
            Self::NextArea => "next-area",
            Self::PreviousArea => "previous-area",
            Self::FocusEditor => "focus-editor",
        }
    }

    pub fn of_id(id: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|command| command.id() == id)
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
            Self::NewFile => files_desk::order(ide, TreeOrder::NewFile),
            Self::NewFolder => files_desk::order(ide, TreeOrder::NewDirectory),
            Self::UploadFiles => files_desk::order(ide, TreeOrder::UploadFiles),
            Self::UploadFolder => files_desk::order(ide, TreeOrder::UploadFolder),
            Self::RenameEntry => files_desk::order(ide, TreeOrder::Rename),
            Self::MoveEntry => files_desk::order(ide, TreeOrder::Move),
            Self::CopyEntry => files_desk::order(ide, TreeOrder::Copy),
            Self::DeleteEntry => files_desk::order(ide, TreeOrder::Delete),
            Self::CopyPath => files_desk::order(ide, TreeOrder::CopyPath),
            Self::DownloadEntry => files_desk::order(ide, TreeOrder::Download),
            Self::FilterFiles => files_desk::order(ide, TreeOrder::Filter),
            Self::FoldFolders => files_desk::order(ide, TreeOrder::FoldAll),
            Self::MarkSeen => files_desk::mark_all_seen(ide),
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
            Self::Generate => ide.generating.begin(ide, None),
            Self::NewConversation => {
                Self::AskAgent.run(ide);
                click(".chat-area [aria-label='New conversation']");
            }
            Self::StopAgent => click(".chat-area [data-act='stop']"),
            Self::ChangeModel => change_model(ide),
            Self::ModePlan => ide.chat_order.set(Some(ChatOrder::Mode(Mode::Plan))),
            Self::ModeAsk => ide.chat_order.set(Some(ChatOrder::Mode(Mode::Ask))),
            Self::ModeAuto => ide.chat_order.set(Some(ChatOrder::Mode(Mode::Auto))),
            Self::ExportMarkdown => ide.chat_order.set(Some(ChatOrder::Export("markdown"))),
            Self::ExportJson => ide.chat_order.set(Some(ChatOrder::Export("json"))),
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

/// Opens the list of models in the chat. When it closes, the message has the keyboard.
fn change_model(ide: Ide) {
    ide.chat.set_open(true);
    ide.phone_pane.set(PhonePane::Chat);
    request_animation_frame(move || {
        focus_in(".chat textarea");
        if document().query_selector(MODEL_PICKER).is_ok_and(|found| found.is_some()) {
            click(MODEL_PICKER);
        } else {
            ide.toast("No model is connected");
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

pub(super) fn focus_in(selector: &str) {
    let found = document().query_selector(selector).ok().flatten().and_then(|el| el.dyn_into::<web_sys::HtmlElement>().ok());
    if let Some(found) = found {
        let _ = found.focus();
    }
}

/// Presses something on the page, as a click on it would.
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
pub(super) fn is_inside(selector: &str) -> bool {
    document().active_element().and_then(|active| active.closest(selector).ok().flatten()).is_some()
}
