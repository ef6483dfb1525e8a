//! The project page: the frame around files, editor, chat and runs, and what they share.

use leptos::{ev, prelude::*};
use leptos_router::hooks::use_params_map;
use wire::{ErrorCode, Problem, ProjectId, projects::OpenedProject, users::User};

use crate::{
    api::{self, ApiError},
    components::{
        ai_chat::AiChat,
        change_review::ChangeReview,
        checkpoint_dialogs::CheckpointDialogs,
        checkpoint_panel::CheckpointPanel,
        code_actions::CodeDialog,
        command_keys,
        commands::Command,
        editor_pane::EditorPane,
        file_compare::FileCompare,
        file_explorer::FileExplorer,
        generate_dialog::GenerateDialog,
        guard::{Guarded, PageFailed},
        ide::{Ide, IdeStart, PhonePane, SideView},
        ide_status::{IdeNotices, IdeStatus},
        ide_topbar::IdeTopbar,
        outline, ports_panel, presence, project_feed,
        quick_open::QuickOpen,
        run_console::RunConsole,
        search_panel::SearchPanel,
        side_view, terminal_state,
    },
    live::Live,
    pages::not_found::NotFound,
    ui::{BadgeKind, Count, Icon, PageTitle, Sash, SashEdge, storage, use_toasts},
};

/// A longer list would make the page itself slow to arrive: it then has what lies at the top, and the browser reads the rest at once.
const TREE_IN_PAGE_MAX: i64 = 3000;

/// `/projects/:id`.
#[component]
pub fn ProjectPage() -> impl IntoView {
    let params = use_params_map();
    let id = Memo::new(move |_| params.with(|params| params.get("id").unwrap_or_default()));
    // Another project is another page: nothing of the first one's state may stay.
    move || {
        let id = id.get();
        view! { <Guarded load=move || load(id.clone()) render=render /> }
    }
}

async fn load(id: String) -> Result<OpenedProject, ApiError> {
    let unknown = |_| ApiError(Problem::new(ErrorCode::NotFound, "This address names no project."));
    let id: ProjectId = id.parse().map_err(unknown)?;
    // A page that the browser makes has time for all of it.
    api::projects::open(id, cfg!(feature = "ssr").then_some(TREE_IN_PAGE_MAX)).await
}

fn render(viewer: User, loaded: Result<OpenedProject, ApiError>) -> AnyView {
    match loaded {
        Ok(OpenedProject { project, tree, whole, runs }) => {
            let start = IdeStart { project, tree: tree.unpack(), whole, runs, viewer };
            view! { <ProjectFrame start=start /> }.into_any()
        }
        Err(error) if error.code() == ErrorCode::NotFound => NotFound().into_any(),
        Err(error) => view! { <PageFailed error=error /> }.into_any(),
    }
}

#[component]
fn ProjectFrame(start: IdeStart) -> impl IntoView {
    let ide = Ide::provide(start, Live::provide(), use_toasts());
    project_feed::follow_project(ide);
    outline::follow(ide);
    terminal_state::begin(ide);
    ports_panel::follow_ports(ide);
    presence::follow_people(ide);
    let keys = window_event_listener(ev::keydown, move |event| command_keys::take_key(ide, &event));
    on_cleanup(move || keys.remove());
    Effect::new(move |_| {
        if let Some(command) = storage::read(&ide.storage_key("command")) {
            ide.last_command.set(command);
        }
    });
    let word = |open: bool| if open { "open" } else { "closed" };
    let phone = move || match ide.phone_pane.get() {
        PhonePane::Chat => "chat",
        PhonePane::Review => "main",
        PhonePane::Files if ide.phone_editor.get() => "main",
        PhonePane::Files => "files",
        PhonePane::Runs => "console",
    };
    view! {
        <PageTitle text=Signal::derive(move || ide.project.with(|project| project.name.clone())) />
        <div
            class="ide"
            data-side=move || word(ide.side_open.get())
            data-chat=move || word(ide.chat_open.get())
            data-review=move || ide.takes_main().then_some("open")
            data-drawer=move || ide.drawer.get().then_some("open")
            data-phone=phone
            style:--sidebar-w=move || ide.side.css()
            style:--chat-w=move || ide.chat.css()
            style:--console-h=move || ide.console.css()
        >
            <a class="skip" href="#main">"Skip to the editor"</a>
            <IdeTopbar />
            <IdeNotices />
            <Rail ide=ide />
            <section class="side" aria-label=move || ide.side_view.get().label()>
                <SideSwitch ide=ide />
                <div class="side-view" hidden=move || ide.side_view.get() != SideView::Files>
                    <FileExplorer />
                </div>
                <div class="side-view" hidden=move || ide.side_view.get() != SideView::Search>
                    <SearchPanel />
                </div>
                <Sash panel=ide.side edge=SashEdge::InlineEnd label="Width of the side area" />
            </section>
            <Main ide=ide />
            <div class="chat-area">
                <AiChat />
                <Sash panel=ide.chat edge=SashEdge::InlineStart label="Width of the chat" />
            </div>
            <IdeStatus />
            <PhoneBar ide=ide />
            <div class="sr" aria-live="polite">{move || ide.announcement.get()}</div>
        </div>
        <QuickOpen />
        <CheckpointDialogs />
        <GenerateDialog />
        <CodeDialog ide=ide />
    }
}

#[component]
fn Main(ide: Ide) -> impl IntoView {
    let reviewing = move || ide.review.with(Option::is_some);
    let in_the_past = move || ide.checkpoints.open.get();
    let comparing = move || ide.files.comparison.with(Option::is_some);
    view! {
        <main
            class="main"
            id="main"
            tabindex="-1"
            data-console=move || if ide.console_open.get() { "open" } else { "closed" }
            on:pointerdown=move |_| ide.drawer.set(false)
        >
            <div class="main-pane" hidden=move || ide.takes_main() || comparing()>
                <EditorPane />
            </div>
            <div class="main-pane" hidden=move || ide.takes_main() || !comparing()>
                <FileCompare ide=ide />
            </div>
            <div class="main-pane" hidden=move || !reviewing()>
                <ChangeReview />
            </div>
            <div class="main-pane" hidden=move || !in_the_past()>
                <CheckpointPanel />
            </div>
            <div class="console-area">
                <RunConsole />
                <Sash panel=ide.console edge=SashEdge::BlockStart label="Height of the runs" />
            </div>
        </main>
    }
}

#[component]
fn Rail(ide: Ide) -> impl IntoView {
    let waiting = Signal::derive(move || i64::try_from(ide.open_hunks()).unwrap_or(i64::MAX));
    let hint = move |command: Command, does: &'static str| move || ide.keymap.with(|keymap| command.hint(does, keymap));
    let side = move |view: SideView| move |_| side_view::toggle(ide, view);
    let side_current =
        move |view: SideView| move || (ide.side_open.get() && !ide.takes_main() && ide.side_view.get() == view).then_some("true");
    let review_label = move || match waiting.get() {
        0 => "Review, nothing waits".to_owned(),
        count => format!("Review, {} open", crate::ui::format::counted(count, "change", "changes")),
    };
    let review = move |_| {
        if ide.review.get_untracked().is_some() {
            ide.close_review();
        } else {
            Command::OpenReview.run(ide);
        }
    };
    view! {
        <nav class="rail" aria-label="Side panels">
            <button type="button" aria-label="Files" title=hint(Command::ToggleSide, "Files") aria-current=side_current(SideView::Files) on:click=side(SideView::Files)>
                <Icon name="files" />
            </button>
            <button
                type="button"
                aria-label="Search"
                title=hint(Command::SearchProject, "Search")
                aria-current=side_current(SideView::Search)
                on:click=side(SideView::Search)
            >
                <Icon name="search" />
            </button>
            <button
                type="button"
                aria-label=review_label
                title=hint(Command::OpenReview, "Review")
                aria-current=move || ide.review.with(Option::is_some).then_some("true")
                on:click=review
            >
                <Icon name="git-compare" />
                <Show when=move || waiting.get() != 0>
                    {move || review_count(ide, waiting)}
                </Show>
            </button>
            <button
                type="button"
                aria-label="Checkpoints"
                title=hint(Command::ShowCheckpoints, "Checkpoints")
                aria-current=move || ide.checkpoints.open.get().then_some("true")
                on:click=move |_| Command::ShowCheckpoints.run(ide)
            >
                <Icon name="history" />
            </button>
            <span class="grow"></span>
            <a href=format!("/projects/{}/settings", ide.project_id) aria-label="Project settings" title="Project settings" data-goto="project-settings">
                <Icon name="file-cog" />
            </a>
            <a href="/settings" aria-label="Settings" title="Settings">
                <Icon name="settings" />
            </a>
        </nav>
    }
}

/// On a phone, which has no rail, the views of the side area are chosen above them.
#[component]
fn SideSwitch(ide: Ide) -> impl IntoView {
    view! {
        <div class="seg side-switch" role="group" aria-label="View">
            {[SideView::Files, SideView::Search]
                .map(|view| {
                    view! {
                        <button
                            type="button"
                            aria-pressed=move || if ide.side_view.get() == view { "true" } else { "false" }
                            on:click=move |_| ide.side_view.set(view)
                        >
                            {view.label()}
                        </button>
                    }
                })
                .collect_view()}
        </div>
    }
}

/// Open hunks; violet only where the agent proposes some of them.
fn review_count(ide: Ide, waiting: Signal<i64>) -> AnyView {
    let kind = if ide.has_agent_hunks(None) { BadgeKind::Agent } else { BadgeKind::Neutral };
    view! { <Count value=waiting kind=kind /> }.into_any()
}

#[component]
fn PhoneBar(ide: Ide) -> impl IntoView {
    let waiting = Signal::derive(move || i64::try_from(ide.open_hunks()).unwrap_or(i64::MAX));
    let tab = move |pane: PhonePane, icon: &'static str, label: &'static str| {
        view! {
            <button
                type="button"
                aria-current=move || (ide.phone_pane.get() == pane).then_some("true")
                on:click=move |_| choose_pane(ide, pane)
            >
                <Icon name=icon />
                {label}
                <Show when=move || pane == PhonePane::Review && waiting.get() != 0>
                    {move || review_count(ide, waiting)}
                </Show>
            </button>
        }
    };
    view! {
        <nav class="phonebar" aria-label="Panes">
            {tab(PhonePane::Chat, "messages-square", "Chat")}
            {tab(PhonePane::Review, "git-compare", "Review")}
            {tab(PhonePane::Files, "files", "Files")}
            {tab(PhonePane::Runs, "square-terminal", "Runs")}
        </nav>
    }
}

fn choose_pane(ide: Ide, pane: PhonePane) {
    match pane {
        PhonePane::Review => {
            match untrack(|| ide.newest_review()).filter(|_| ide.review.get_untracked().is_none()) {
                Some(turn) => ide.open_review(turn),
                None if ide.review.get_untracked().is_some() => ide.phone_pane.set(PhonePane::Review),
                None => ide.toast("Nothing waits for review"),
            }
            return;
        }
        // A second tap goes back from the file to the tree.
        PhonePane::Files if ide.phone_pane.get_untracked() == PhonePane::Files => ide.phone_editor.set(false),
        _ => {}
    }
    ide.close_review();
    ide.phone_pane.set(pane);
}
