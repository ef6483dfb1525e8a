//! The state that the parts of the project page share. Each part reads and writes these signals; none knows another part.

use std::{collections::BTreeMap, sync::Arc};

use leptos::{prelude::*, task::spawn_local};
use serde::{Deserialize, Serialize};
use wire::{
    Problem, ProjectId, RunId, TurnId,
    changes::ChangeSet,
    files::{Entry, OpenedFile, Tree},
    projects::{Project, ProjectRole},
    runs::{Run, RunKind, StartRun},
    users::User,
};

pub use super::console_tab::ConsoleTab;
use super::{
    ports_panel::Ports,
    terminal_state::Terminals,
    test_desk::{self, TestDesk},
};
use crate::{
    api,
    live::Live,
    ui::{Panel, Toasts, storage, use_panel},
};

/// The panes of a narrow screen, where one shows at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PhonePane {
    #[default]
    Chat,
    Review,
    /// The tree, or the file that was opened from it.
    Files,
    Runs,
}

/// What a tab shows.
#[derive(Debug, Clone)]
pub enum TabBody {
    Loading,
    /// `stored` is the text of the tab's version; what was typed since is in the editor.
    Text {
        stored: Arc<str>,
        read_only: bool,
    },
    /// Not text, or too large to edit: offered as a download.
    Plain(Entry),
    Failed(Problem),
}

/// The file moved on while the tab held unsaved text.
#[derive(Debug, Clone)]
pub struct Conflict {
    /// What is stored now; `None` when the file was deleted.
    pub theirs: Option<OpenedFile>,
    /// Who changed it.
    pub by: String,
}

/// Unsaved text that this browser has kept, with the version it was based on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draft {
    pub version: i64,
    pub text: String,
}

#[derive(Debug, Clone)]
pub struct Tab {
    pub path: String,
    pub body: TabBody,
    /// The version that the text is based on; 0 while loading and for a file that does not exist (any more).
    pub version: i64,
    pub dirty: bool,
    pub saving: bool,
    pub conflict: Option<Conflict>,
    /// Unsaved text from before a reload, which can be taken up again.
    pub draft: Option<Draft>,
    /// The newest version that the live events told of.
    pub latest: i64,
    /// Deleted by someone while the tab had nothing unsaved; the name of who did it.
    pub deleted_by: Option<String>,
}

impl Tab {
    pub fn new(path: &str) -> Self {
        Self {
            path: path.to_owned(),
            body: TabBody::Loading,
            version: 0,
            dirty: false,
            saving: false,
            conflict: None,
            draft: None,
            latest: 0,
            deleted_by: None,
        }
    }

    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }
}

/// A place to show in an open file, 1-based.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Jump {
    pub path: String,
    pub line: u32,
}

/// Where the editor's cursor is, 1-based; `selected` counts characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    pub line: u32,
    pub column: u32,
    pub selected: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PaletteKind {
    Files,
    Commands,
}

/// What the review had to close, to be opened again when it is left.
#[derive(Debug, Clone, Copy)]
struct BeforeReview {
    side: bool,
    chat: bool,
    console: bool,
}

/// Shared state of the project page; get it with `use_ide`.
#[derive(Clone, Copy)]
pub struct Ide {
    pub project_id: ProjectId,
    pub project: RwSignal<Project>,
    /// Flat, sorted by path; follows the project live.
    pub tree: RwSignal<Tree>,
    /// False until the tree has arrived (a big one is not part of the page).
    pub tree_loaded: RwSignal<bool>,
    pub live: Live,
    pub tabs: RwSignal<Vec<Tab>>,
    /// The path of the tab on top.
    pub active: RwSignal<Option<String>>,
    /// Newest first; follows the project live.
    pub runs: RwSignal<Vec<Run>>,
    pub selected_run: RwSignal<Option<RunId>>,
    /// The turn whose changes are reviewed in the main area.
    pub review: RwSignal<Option<TurnId>>,
    /// Change sets known to this page, by turn; the open ones are what the badges count.
    pub proposals: RwSignal<BTreeMap<TurnId, ChangeSet>>,
    /// Sizes of the three areas, remembered per project; their `open` signals are the three below.
    pub side: Panel,
    pub chat: Panel,
    pub console: Panel,
    pub side_open: RwSignal<bool>,
    pub chat_open: RwSignal<bool>,
    pub console_open: RwSignal<bool>,
    /// Remembered per project by the console.
    pub console_tab: RwSignal<ConsoleTab>,
    /// The console covers the editor until a file is opened.
    pub console_max: RwSignal<bool>,
    pub tests: TestDesk,
    pub terminals: Terminals,
    pub ports: Ports,
    /// Between phone and desk width the files open over the main area while the chat stands beside it.
    pub drawer: RwSignal<bool>,
    pub phone_pane: RwSignal<PhonePane>,
    /// On a narrow screen: the editor covers the tree.
    pub phone_editor: RwSignal<bool>,
    /// "Ask the agent about this" puts its text here; the composer takes it and leaves it empty.
    pub chat_draft: RwSignal<String>,
    pub viewer: StoredValue<User>,
    pub palette: RwSignal<Option<PaletteKind>>,
    pub jump: RwSignal<Option<Jump>>,
    pub cursor: RwSignal<Option<Cursor>>,
    /// The command that Run repeats.
    pub last_command: RwSignal<String>,
    /// What could not be done and has no place of its own; shown under the topbar until dismissed.
    pub problem: RwSignal<Option<Problem>>,
    /// What assistive software is told, one sentence at a time.
    pub announcement: RwSignal<String>,
    /// Counts up when the tree should be read again as a whole.
    pub tree_requests: RwSignal<u64>,
    /// Counts up when a conversation of the project was added, renamed or used by anyone.
    pub conversations_changed: RwSignal<u64>,
    pub toasts: Toasts,
    before_review: StoredValue<Option<BeforeReview>>,
}

/// Everything the page needs to begin with.
#[derive(Debug, Clone)]
pub struct IdeStart {
    pub project: Project,
    /// `None` when it is too big to be part of the page.
    pub tree: Option<Tree>,
    pub runs: Vec<Run>,
    pub viewer: User,
}

/// The shared state, provided by the project page.
pub fn use_ide() -> Ide {
    expect_context()
}

impl Ide {
    /// Makes the state and hands it to everything below.
    pub fn provide(start: IdeStart, live: Live, toasts: Toasts) -> Self {
        let IdeStart { project, mut tree, runs, viewer } = start;
        if let Some(tree) = &mut tree {
            super::project_feed::sort_by_path(&mut tree.items);
        }
        let side = use_panel(format!("side:{}", project.id), 180.0, 520.0, true);
        let chat = use_panel(format!("chat:{}", project.id), 300.0, 760.0, true);
        let console = use_panel(format!("console:{}", project.id), 120.0, 640.0, true);
        let last_command = runs
            .iter()
            .find(|run| run.turn_id.is_none() && run.kind == RunKind::SandboxExec)
            .map(|run| run.command.clone())
            .unwrap_or_default();
        let ide = Self {
            project_id: project.id,
            tree_loaded: RwSignal::new(tree.is_some()),
            tree: RwSignal::new(tree.unwrap_or(Tree { revision: project.revision, seq: 0, items: Vec::new() })),
            project: RwSignal::new(project),
            live,
            tabs: RwSignal::new(Vec::new()),
            active: RwSignal::new(None),
            selected_run: RwSignal::new(runs.first().map(|run| run.id)),
            runs: RwSignal::new(runs),
            review: RwSignal::new(None),
            proposals: RwSignal::new(BTreeMap::new()),
            side,
            chat,
            console,
            side_open: side.open,
            chat_open: chat.open,
            console_open: console.open,
            console_tab: RwSignal::new(ConsoleTab::Output),
            console_max: RwSignal::new(false),
            tests: TestDesk::default(),
            terminals: Terminals::default(),
            ports: RwSignal::default(),
            drawer: RwSignal::new(false),
            phone_pane: RwSignal::new(PhonePane::Chat),
            phone_editor: RwSignal::new(false),
            chat_draft: RwSignal::new(String::new()),
            viewer: StoredValue::new(viewer),
            palette: RwSignal::new(None),
            jump: RwSignal::new(None),
            cursor: RwSignal::new(None),
            last_command: RwSignal::new(last_command),
            problem: RwSignal::new(None),
            announcement: RwSignal::new(String::new()),
            tree_requests: RwSignal::new(0),
            conversations_changed: RwSignal::new(0),
            toasts,
            before_review: StoredValue::new(None),
        };
        provide_context(ide);
        ide
    }

    /// Brings a file on top, opening it if needed, and shows a line of it (1-based).
    pub fn open_file(&self, path: &str, line: Option<u32>) {
        self.close_review();
        self.console_max.set(false);
        if !self.tabs.with_untracked(|tabs| tabs.iter().any(|tab| tab.path == path)) {
            self.tabs.update(|tabs| tabs.push(Tab::new(path)));
        }
        if self.active.with_untracked(|active| active.as_deref() != Some(path)) {
            self.active.set(Some(path.to_owned()));
        }
        if let Some(line) = line {
            self.jump.set(Some(Jump { path: path.to_owned(), line }));
        }
        self.phone_pane.set(PhonePane::Files);
        self.phone_editor.set(true);
    }

    /// Whether files may be changed and commands run here.
    pub fn can_edit(&self) -> bool {
        self.project.with(|project| project.role >= ProjectRole::Editor)
    }

    /// Whether approvals and hunks may be decided here.
    pub fn can_review(&self) -> bool {
        self.project.with(|project| project.role >= ProjectRole::Reviewer)
    }

    /// Shows a refusal that has no better place, under the topbar.
    pub fn error(&self, problem: &Problem) {
        self.problem.set(Some(problem.clone()));
        self.announcement.set(problem.to_string());
    }

    /// Says a result.
    pub fn toast(&self, text: impl Into<String>) {
        self.toasts.show(text);
    }

    /// Says a result that can be taken back.
    pub fn toast_undo(&self, text: impl Into<String>, undo: impl Fn() + Send + Sync + 'static) {
        self.toasts.show_with_action(text, "Undo", Callback::new(move |()| undo()));
    }

    /// Opens the chat with a text to go on from; the person still sends it.
    pub fn ask_agent(&self, text: impl Into<String>) {
        self.close_review();
        self.chat_draft.set(text.into());
        self.chat_open.set(true);
        self.phone_pane.set(PhonePane::Chat);
    }

    /// Starts a command, shows its run and makes it the one that Run repeats.
    pub fn run(&self, command: impl Into<String>) {
        self.start(StartRun::command(command));
    }

    /// Starts a run and shows it. A command becomes the one that Run repeats.
    pub fn start(&self, request: StartRun) {
        let ide = *self;
        ide.show_console(ConsoleTab::Output);
        if request.kind == RunKind::SandboxExec {
            ide.last_command.set(request.command.clone());
            storage::write(&ide.storage_key("command"), &request.command);
        }
        spawn_local(async move {
            match api::runs::start(ide.project_id, request).await {
                _ if ide.is_gone() => {}
                Ok(run) => {
                    ide.selected_run.set(Some(run.id));
                    ide.put_run(run);
                }
                Err(error) => ide.error(&error.0),
            }
        });
    }

    /// Starts what a run was once more: the same kind, directory and network.
    pub fn run_again(&self, run: &Run) {
        if run.kind == RunKind::TestRunner && run.command.trim().is_empty() {
            test_desk::start(*self, run.only.clone());
            return;
        }
        self.start(StartRun {
            command: run.command.clone(),
            cwd: Some(run.cwd.clone()).filter(|cwd| !cwd.is_empty()),
            network: Some(run.network),
            only: run.only.clone(),
            ..StartRun::of_kind(run.kind)
        });
    }

    /// Opens the console at one of its tabs.
    pub fn show_console(&self, tab: ConsoleTab) {
        self.console_tab.set(tab);
        self.console.set_open(true);
        self.phone_pane.set(PhonePane::Runs);
    }

    /// Shows a run in the list.
    pub fn show_run(&self, id: RunId) {
        self.show_console(ConsoleTab::Output);
        self.selected_run.set(Some(id));
    }

    /// Takes over what is known about a run now; a state that is already finished is not taken back.
    pub fn put_run(&self, run: Run) {
        self.runs.update(|runs| match runs.iter_mut().find(|known| known.id == run.id) {
            Some(known) if known.state.is_finished() && !run.state.is_finished() => {}
            Some(known) => *known = run,
            None => runs.insert(0, run),
        });
    }

    /// Shows the changes of a turn in the main area; chat and console make room until the review is left.
    pub fn open_review(&self, turn: TurnId) {
        if self.review.get_untracked().is_none() {
            let open = BeforeReview {
                side: self.side_open.get_untracked(),
                chat: self.chat_open.get_untracked(),
                console: self.console_open.get_untracked(),
            };
            self.before_review.set_value(Some(open));
            // Its place is taken by the files of the change set.
            self.side_open.set(true);
            self.drawer.set(false);
            self.chat_open.set(false);
            self.console_open.set(false);
            self.console_max.set(false);
        }
        self.phone_pane.set(PhonePane::Review);
        self.review.set(Some(turn));
    }

    /// Leaves the review and opens again what it had closed.
    pub fn close_review(&self) {
        if self.review.get_untracked().is_none() {
            return;
        }
        self.review.set(None);
        if let Some(before) = self.before_review.try_update_value(Option::take).flatten() {
            self.side_open.set(before.side);
            self.chat_open.set(before.chat);
            self.console_open.set(before.console);
        }
        if self.phone_pane.get_untracked() == PhonePane::Review {
            self.phone_pane.set(PhonePane::Chat);
        }
    }

    /// Reads the changes of a turn again, for the badges and the review.
    pub fn load_changes(&self, turn: TurnId) {
        let ide = *self;
        spawn_local(async move {
            match api::changes::of_turn(turn).await {
                _ if ide.is_gone() => {}
                Ok(Some(changes)) => ide.put_changes(changes),
                Ok(None) => ide.proposals.update(|all| {
                    all.remove(&turn);
                }),
                Err(error) => ide.error(&error.0),
            }
        });
    }

    /// Takes over a change set as it is now.
    pub fn put_changes(&self, changes: ChangeSet) {
        self.proposals.update(|all| {
            all.insert(changes.turn_id, changes);
        });
    }

    /// Open hunks in a file, over all turns. Tracks the proposals.
    pub fn open_hunks_in(&self, path: &str) -> usize {
        self.proposals.with(|all| {
            let files = all.values().flat_map(|set| &set.files).filter(|file| file.path == path);
            files.flat_map(|file| &file.hunks).filter(|hunk| hunk.state.is_open()).count()
        })
    }

    /// Open hunks of the whole project, as far as this page knows. Tracks the proposals.
    pub fn open_hunks(&self) -> usize {
        self.proposals.with(|all| all.values().map(ChangeSet::open_hunks).sum())
    }

    /// The newest turn that still has open hunks. Tracks the proposals.
    pub fn newest_review(&self) -> Option<TurnId> {
        self.proposals.with(|all| {
            let open = all.values().filter(|set| set.open_hunks() > 0);
            open.max_by_key(|set| set.created_at).map(|set| set.turn_id)
        })
    }

    /// Changes one tab, if it is open.
    pub fn update_tab(&self, path: &str, change: impl FnOnce(&mut Tab)) {
        self.tabs.update(|tabs| {
            if let Some(tab) = tabs.iter_mut().find(|tab| tab.path == path) {
                change(tab);
            }
        });
    }

    /// One tab as it is now, without tracking.
    pub fn tab(&self, path: &str) -> Option<Tab> {
        self.tabs.with_untracked(|tabs| tabs.iter().find(|tab| tab.path == path).cloned())
    }

    /// The entry of a path in the tree, without tracking.
    pub fn entry(&self, path: &str) -> Option<Entry> {
        self.tree.with_untracked(|tree| tree.items.iter().find(|entry| entry.path == path).cloned())
    }

    /// True when the page was left while something was awaited: its signals are gone then.
    pub fn is_gone(&self) -> bool {
        self.tabs.try_with_untracked(|_| ()).is_none()
    }

    /// Where the bytes of a file can be fetched.
    pub fn file_url(&self, path: &str) -> String {
        let path: Vec<String> = path.split('/').map(escape_segment).collect();
        format!("/api/projects/{}/files/{}", self.project_id, path.join("/"))
    }

    /// The key under which the browser remembers something about this project.
    pub fn storage_key(&self, what: &str) -> String {
        format!("{what}:{}", self.project_id)
    }
}

/// Percent-encodes everything in a path segment but the characters that every URL takes.
fn escape_segment(segment: &str) -> String {
    let mut out = String::with_capacity(segment.len());
    for byte in segment.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
