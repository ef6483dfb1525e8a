//! The state that the parts of the project page share. Each part reads and writes these signals; none knows another part.

use std::collections::BTreeMap;

use leptos::{prelude::*, task::spawn_local};
use wire::{
    ErrorCode, Problem, ProjectId, RunId, TurnId,
    changes::{ChangeOrigin, ChangeSet, ReviewKey},
    context::{Mention, SELECTION_MAX_BYTES},
    files::{Entry, Tree},
    keys::Keymap,
    projects::{Project, ProjectRole},
    runs::{Run, RunKind, StartRun},
    users::User,
};

use super::{
    autosave::Autosave,
    chat_actions::ChatOrder,
    checkpoint_state::Checkpoints,
    composer_draft::{Picked, lines_label},
    editor_groups::Groups,
    files_desk::FilesDesk,
    generate_state::Generating,
    outline::Outlines,
    ports_panel::Ports,
    preferences::{Prefs, use_preferences},
    presence::Sharing,
    search_state::Search,
    terminal_state::Terminals,
    test_desk::{self, TestDesk},
};
pub use super::{
    compare::{Against, Beside},
    console_tab::ConsoleTab,
    side_view::SideView,
    tab::{Conflict, Draft, Tab, TabBody},
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

/// A place to show in an open file, 1-based.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Jump {
    pub path: String,
    pub line: u32,
    /// In UTF-16 units.
    pub column: u32,
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
    /// The symbols of the file on top.
    Symbols,
}

/// What the review or the checkpoints had to close, to be opened again when they are left.
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
    /// False until the whole tree has arrived: of a big one, only what lies at the top is part of the page.
    pub tree_loaded: RwSignal<bool>,
    pub live: Live,
    /// Every open file once, in no order; where they are shown is in `groups`.
    pub tabs: RwSignal<Vec<Tab>>,
    /// Change them by `arrange`.
    pub groups: RwSignal<Groups>,
    /// The path of the tab on top in the group that has the keyboard.
    pub active: Memo<Option<String>>,
    /// What stands in the place of the editor of one file.
    pub beside: RwSignal<Option<Beside>>,
    pub autosave: Memo<Autosave>,
    /// The keys of the commands.
    pub keymap: Memo<Keymap>,
    pub preferences: Prefs,
    /// A command for the editor that has the keyboard, by its id there; taken by the editor, which leaves it empty.
    pub editor_action: RwSignal<Option<&'static str>>,
    /// Newest first; follows the project live.
    pub runs: RwSignal<Vec<Run>>,
    pub selected_run: RwSignal<Option<RunId>>,
    /// What is reviewed in the main area.
    pub review: RwSignal<Option<ReviewKey>>,
    /// Change sets known to this page; the open ones are what the badges count.
    pub proposals: RwSignal<BTreeMap<ReviewKey, ChangeSet>>,
    /// Sizes of the three areas, remembered per project; their `open` signals are the three below.
    pub side: Panel,
    pub chat: Panel,
    pub console: Panel,
    pub side_open: RwSignal<bool>,
    /// Which of its views the side area shows.
    pub side_view: RwSignal<SideView>,
    pub search: Search,
    pub outlines: Outlines,
    pub chat_open: RwSignal<bool>,
    pub console_open: RwSignal<bool>,
    /// Remembered per project by the console.
    pub console_tab: RwSignal<ConsoleTab>,
    /// The console covers the editor until a file is opened.
    pub console_max: RwSignal<bool>,
    pub tests: TestDesk,
    pub checkpoints: Checkpoints,
    pub terminals: Terminals,
    pub ports: Ports,
    pub sharing: Sharing,
    pub files: FilesDesk,
    pub generating: Generating,
    /// Between phone and desk width the files open over the main area while the chat stands beside it.
    pub drawer: RwSignal<bool>,
    pub phone_pane: RwSignal<PhonePane>,
    /// On a narrow screen: the editor covers the tree.
    pub phone_editor: RwSignal<bool>,
    /// "Ask the agent about this" puts its text here; the composer takes it and leaves it empty.
    pub chat_draft: RwSignal<String>,
    /// What is to go along with the message; the composer takes it and leaves nothing.
    pub chat_mention: RwSignal<Option<Picked>>,
    /// What a command wants of the chat; the composer takes it and leaves nothing.
    pub chat_order: RwSignal<Option<ChatOrder>>,
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
    /// Sorted by path, as the server tells it.
    pub tree: Tree,
    /// Whether the tree is more than what lies at the top, which is told first where all of it is too big for the page.
    pub whole: bool,
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
        let IdeStart { project, tree, whole, runs, viewer } = start;
        let side = use_panel(format!("side:{}", project.id), 180.0, 520.0, true);
        let chat = use_panel(format!("chat:{}", project.id), 300.0, 760.0, true);
        let console = use_panel(format!("console:{}", project.id), 120.0, 640.0, true);
        let last_command = runs
            .iter()
            .find(|run| run.turn_id.is_none() && run.kind == RunKind::SandboxExec)
            .map(|run| run.command.clone())
            .unwrap_or_default();
        let groups = RwSignal::new(Groups::default());
        let preferences = use_preferences();
        let ide = Self {
            project_id: project.id,
            tree_loaded: RwSignal::new(whole),
            tree: RwSignal::new(tree),
            project: RwSignal::new(project),
            live,
            tabs: RwSignal::new(Vec::new()),
            groups,
            active: Memo::new(move |_| groups.with(|groups| groups.active().map(str::to_owned))),
            beside: RwSignal::new(None),
            autosave: Memo::new(move |_| preferences.shown.with(|shown| shown.editor.autosave.into())),
            keymap: preferences.keymap,
            preferences,
            editor_action: RwSignal::new(None),
            selected_run: RwSignal::new(runs.first().map(|run| run.id)),
            runs: RwSignal::new(runs),
            review: RwSignal::new(None),
            proposals: RwSignal::new(BTreeMap::new()),
            side,
            chat,
            console,
            side_open: side.open,
            side_view: RwSignal::new(SideView::Files),
            search: Search::default(),
            outlines: Outlines::default(),
            chat_open: chat.open,
            console_open: console.open,
            console_tab: RwSignal::new(ConsoleTab::Output),
            console_max: RwSignal::new(false),
            tests: TestDesk::default(),
            checkpoints: Checkpoints::default(),
            terminals: Terminals::default(),
            ports: RwSignal::default(),
            sharing: Sharing::default(),
            files: FilesDesk::default(),
            generating: Generating::default(),
            drawer: RwSignal::new(false),
            phone_pane: RwSignal::new(PhonePane::Chat),
            phone_editor: RwSignal::new(false),
            chat_draft: RwSignal::new(String::new()),
            chat_mention: RwSignal::new(None),
            chat_order: RwSignal::new(None),
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
        self.files.comparison.set(None);
        self.console_max.set(false);
        self.arrange(|groups| groups.open(path));
        if let Some(line) = line {
            self.jump.set(Some(Jump { path: path.to_owned(), line, column: 1 }));
        }
        self.phone_pane.set(PhonePane::Files);
        self.phone_editor.set(true);
    }

    /// Opens a file with the cursor at a place.
    pub fn open_at(&self, path: &str, line: u32, column: u32) {
        self.open_file(path, None);
        self.jump.set(Some(Jump { path: path.to_owned(), line, column }));
    }

    /// Whether files may be changed and commands run here.
    pub fn can_edit(&self) -> bool {
        self.project.with(|project| project.role >= ProjectRole::Editor)
    }

    /// Whether approvals and hunks may be decided here.
    pub fn can_review(&self) -> bool {
        self.project.with(|project| project.role >= ProjectRole::Reviewer)
    }

    /// Why nothing can be changed here, in a sentence; `None` for whoever may. Tracks the project.
    pub fn read_only_reason(&self) -> Option<String> {
        let role = self.project.with(|project| project.role);
        (role < ProjectRole::Editor).then(|| {
            let role = super::share_desk::role_word(role);
            format!("You are a {role} of this project: you can read its files, not change them. An owner can give you another role.")
        })
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
        self.toasts.show_with_action(text, "Undo", undo);
    }

    /// Opens the chat with a text to go on from; the person still sends it.
    pub fn ask_agent(&self, text: impl Into<String>) {
        self.close_review();
        self.chat_draft.set(text.into());
        self.chat_open.set(true);
        self.phone_pane.set(PhonePane::Chat);
    }

    /// Puts lines of a file, as they stand in the editor, beside the message.
    pub fn add_selection(&self, path: &str, text: String, start_line: u32, end_line: u32) {
        if text.trim().is_empty() {
            self.toast("Nothing is selected. Select some lines first");
            return;
        }
        if text.len() > SELECTION_MAX_BYTES {
            self.toast("The selection has more than 64 KiB. Attach the file instead");
            return;
        }
        let label = lines_label(path, start_line, end_line);
        let mention = Mention::Selection { path: path.to_owned(), start_line, end_line, text, edited: false };
        self.show_chat();
        self.chat_mention.set(Some(Picked { label, mention }));
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

    /// Starts what a run was once more: the same kind, directory and network. A prompt is shown first, since it costs.
    pub fn run_again(&self, run: &Run) {
        if run.is_prompt() {
            self.generating.begin(*self, Some(&run.command));
            return;
        }
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

    /// Shows proposed changes in the main area; chat and console make room until the review is left.
    pub fn open_review(&self, what: impl Into<ReviewKey>) {
        self.make_room();
        self.checkpoints.open.set(false);
        self.phone_pane.set(PhonePane::Review);
        self.review.set(Some(what.into()));
    }

    /// Shows the project's past in the main area, or with a turn what restoring to before it would do.
    pub fn open_checkpoints(&self, turn: Option<TurnId>) {
        self.make_room();
        self.review.set(None);
        self.checkpoints.wanted.set(turn);
        self.checkpoints.open.set(true);
        self.phone_pane.set(PhonePane::Files);
        self.phone_editor.set(true);
    }

    /// Whether something else than the editor has the main area. Tracks what decides it.
    pub fn takes_main(&self) -> bool {
        self.checkpoints.open.get() || self.review.with(Option::is_some)
    }

    /// Closes what stands beside the main area; its place is taken by the lists of a review or of the checkpoints.
    fn make_room(&self) {
        if self.review.get_untracked().is_some() || self.checkpoints.open.get_untracked() {
            return;
        }
        let open = BeforeReview {
            side: self.side_open.get_untracked(),
            chat: self.chat_open.get_untracked(),
            console: self.console_open.get_untracked(),
        };
        self.before_review.set_value(Some(open));
        self.side_open.set(true);
        self.drawer.set(false);
        self.chat_open.set(false);
        self.console_open.set(false);
        self.console_max.set(false);
    }

    /// Leaves the review or the checkpoints and opens again what they had closed.
    pub fn close_review(&self) {
        if self.review.get_untracked().is_none() && !self.checkpoints.open.get_untracked() {
            return;
        }
        self.review.set(None);
        self.checkpoints.open.set(false);
        if let Some(before) = self.before_review.try_update_value(Option::take).flatten() {
            self.side_open.set(before.side);
            self.chat_open.set(before.chat);
            self.console_open.set(before.console);
        }
        if self.phone_pane.get_untracked() == PhonePane::Review {
            self.phone_pane.set(PhonePane::Chat);
        }
    }

    /// Reads proposed changes again, for the badges and the review.
    pub fn load_changes(&self, what: impl Into<ReviewKey>) {
        let (ide, what) = (*self, what.into());
        spawn_local(async move {
            match fetch_changes(what).await {
                _ if ide.is_gone() => {}
                Ok(Some(changes)) => ide.put_changes(changes),
                Ok(None) => ide.proposals.update(|all| {
                    all.remove(&what);
                }),
                // It went with its conversation.
                Err(error) if error.code() == ErrorCode::NotFound => ide.proposals.update(|all| {
                    all.remove(&what);
                }),
                Err(error) => ide.error(&error.0),
            }
        });
    }

    /// Takes over a change set as it is now.
    pub fn put_changes(&self, changes: ChangeSet) {
        self.proposals.update(|all| {
            all.insert(changes.review_key(), changes);
        });
    }

    /// Changes what is known of a change set, if it is.
    pub fn update_changes(&self, what: ReviewKey, change: impl FnOnce(&mut ChangeSet)) {
        self.proposals.update(|all| {
            if let Some(set) = all.get_mut(&what) {
                change(set);
            }
        });
    }

    /// Leaves what is in front of the conversation.
    pub fn show_chat(&self) {
        self.close_review();
        self.chat_open.set(true);
        self.phone_pane.set(PhonePane::Chat);
    }

    /// Whether any open hunk is the agent's, of one file or of all. Tracks the proposals.
    pub fn has_agent_hunks(&self, path: Option<&str>) -> bool {
        self.proposals.with(|all| {
            let sets = all.values().filter(|set| set.origin == ChangeOrigin::Agent);
            let mut files = sets.flat_map(|set| &set.files).filter(|file| path.is_none_or(|path| file.touches(path)));
            files.any(|file| file.hunks.iter().any(|hunk| hunk.state.is_open()))
        })
    }

    /// Open hunks in a file, over all change sets. Tracks the proposals.
    pub fn open_hunks_in(&self, path: &str) -> usize {
        self.proposals.with(|all| {
            let files = all.values().flat_map(|set| &set.files).filter(|file| file.touches(path));
            files.flat_map(|file| &file.hunks).filter(|hunk| hunk.state.is_open()).count()
        })
    }

    /// Open hunks of the whole project, as far as this page knows. Tracks the proposals.
    pub fn open_hunks(&self) -> usize {
        self.proposals.with(|all| all.values().map(ChangeSet::open_hunks).sum())
    }

    /// The newest change set that still has open hunks. Tracks the proposals.
    pub fn newest_review(&self) -> Option<ReviewKey> {
        self.proposals.with(|all| {
            let open = all.values().filter(|set| set.open_hunks() > 0);
            open.max_by_key(|set| set.created_at).map(ChangeSet::review_key)
        })
    }

    /// Changes which files are open where.
    pub fn arrange(&self, change: impl FnOnce(&mut Groups)) {
        let before = self.groups.get_untracked();
        let mut after = before.clone();
        change(&mut after);
        if after == before {
            return;
        }
        let known = |path: &String| self.tabs.with_untracked(|tabs| tabs.iter().any(|tab| tab.path == *path));
        let new: Vec<Tab> = after.paths().iter().filter(|path| !known(path)).map(|path| Tab::new(path)).collect();
        if !new.is_empty() {
            self.tabs.update(|tabs| tabs.extend(new));
        }
        self.groups.set(after);
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
        self.tree.with_untracked(|tree| super::tree_model::find(&tree.items, path).cloned())
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

    /// Where a directory can be fetched as a zip archive; empty for the whole project.
    pub fn folder_url(&self, path: &str) -> String {
        format!("/api/projects/{}/archive?path={}", self.project_id, escape_segment(path))
    }

    /// Where several files and directories can be fetched as one zip archive.
    pub fn paths_url(&self, paths: &[String]) -> String {
        let query: Vec<String> = paths.iter().map(|path| format!("path={}", escape_segment(path))).collect();
        format!("/api/projects/{}/archive?{}", self.project_id, query.join("&"))
    }

    /// The key under which the browser remembers something about this project.
    pub fn storage_key(&self, what: &str) -> String {
        format!("{what}:{}", self.project_id)
    }
}

/// What is proposed now; `None` when a turn proposes nothing.
pub async fn fetch_changes(what: ReviewKey) -> Result<Option<ChangeSet>, api::ApiError> {
    match what {
        ReviewKey::Turn(turn) => api::changes::of_turn(turn).await,
        ReviewKey::Set(set) => api::changes::get(set).await.map(Some),
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
