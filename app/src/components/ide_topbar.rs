//! The bar above the project: where one is, go to anything, run, connection, and the person.

use leptos::{ev, prelude::*, task::spawn_local};
use wire::{projects::Project, runs::RunKind};

use crate::{
    api,
    components::{
        budget_meter::BudgetMeter,
        commands::{Command, run_again},
        connection::ConnectionBadge,
        ide::{Ide, PaletteKind, use_ide},
        presence::{People, RoleBadge, ShareDialog},
        user_menu::UserMenu,
    },
    ui::{Brand, Icon, IconButton, Menu, MenuItem, MenuSeparator, MenuState, ThemeSwitch, menu::open_from},
};

const RECENT_MAX: usize = 8;

#[component]
pub fn IdeTopbar() -> impl IntoView {
    let ide = use_ide();
    let user = ide.viewer.get_value();
    view! {
        <header class="topbar">
            <h1 class="sr">{move || format!("Project {}", ide.project.with(|project| project.name.clone()))}</h1>
            <div class="tb-l">
                <Brand mark_only=true />
                <Switcher ide=ide />
                <RoleBadge />
                <ConnectionBadge live=ide.live />
            </div>
            <button type="button" class="omni" on:click=move |_| ide.palette.set(Some(PaletteKind::Files))>
                <Icon name="search" small=true />
                <span class="clip grow omni-text">"Go to file or run a command"</span>
                <span class="wide">
                    <span class="keys">
                        {move || {
                            let keys = ide.keymap.with(|keymap| Command::GoToFile.keys(keymap));
                            keys.into_iter().map(|key| view! { <kbd>{key}</kbd> }).collect_view()
                        }}
                    </span>
                </span>
            </button>
            <div class="tb-r">
                <RunButtons ide=ide />
                {ide.can_edit().then(|| view! { <BudgetMeter project=ide.project_id changed=ide.conversations_changed /> })}
                <IconButton
                    icon="panel-bottom"
                    label="Runs"
                    key=Command::ToggleConsole.shown_keys(ide)
                    class="desk"
                    pressed=Signal::derive(move || Some(ide.console_open.get()))
                    on_click=move |_| Command::ToggleConsole.run(ide)
                />
                <IconButton
                    icon="panel-right"
                    label="Chat"
                    key=Command::ToggleChat.shown_keys(ide)
                    class="desk"
                    pressed=Signal::derive(move || Some(ide.chat_open.get()))
                    on_click=move |_| Command::ToggleChat.run(ide)
                />
                <People />
                <ThemeSwitch class="desk" />
                <UserMenu user=user />
            </div>
        </header>
        <ShareDialog />
    }
}

/// The project's name; its menu leads to the other projects.
#[component]
fn Switcher(ide: Ide) -> impl IntoView {
    let state = MenuState::new();
    let others = RwSignal::new(None::<Result<Vec<Project>, String>>);
    let open = move |event: ev::MouseEvent| {
        open_from(state, &event);
        spawn_local(async move {
            let list = api::projects::list().await.map_err(|error| error.to_string());
            if !ide.is_gone() {
                others.set(Some(list.map(|list| list.into_iter().filter(|project| project.id != ide.project_id).take(12).collect())));
            }
        });
    };
    let link = move |project: Project| {
        view! {
            <a role="menuitem" tabindex="-1" href=format!("/projects/{}", project.id) on:click=move |_| state.close()>
                <Icon name="folder-git-2" small=true />
                <span class="clip">{project.name}</span>
            </a>
        }
    };
    view! {
        <button
            type="button"
            class="sw"
            aria-haspopup="menu"
            aria-expanded=move || if state.is_open() { "true" } else { "false" }
            on:click=open
        >
            <span class="clip strong">{move || ide.project.with(|project| project.name.clone())}</span>
            <Icon name="chevrons-up-down" small=true />
        </button>
        <Menu state=state label="Projects">
            <a role="menuitem" tabindex="-1" href="/" on:click=move |_| state.close()>
                <Icon name="layout-dashboard" small=true />
                "All projects"
            </a>
            <MenuItem
                icon="history"
                key=Command::ShowCheckpoints.shown_keys(ide)
                on_choose=move || {
                    state.close();
                    ide.open_checkpoints(None);
                }
            >
                "Checkpoints"
            </MenuItem>
            <a role="menuitem" tabindex="-1" href=format!("/projects/{}/settings", ide.project_id) on:click=move |_| state.close()>
                <Icon name="file-cog" small=true />
                "Project settings"
            </a>
            <MenuSeparator />
            {move || match others.get() {
                None => view! { <div class="menu-note">"Loading"</div> }.into_any(),
                Some(Err(reason)) => view! { <div class="menu-note">{reason}</div> }.into_any(),
                Some(Ok(list)) if list.is_empty() => view! { <div class="menu-note">"This is your only project."</div> }.into_any(),
                Some(Ok(list)) => list.into_iter().map(link).collect_view().into_any(),
            }}
        </Menu>
    }
}

/// Run with the last command, and a menu of the ones before.
#[component]
fn RunButtons(ide: Ide) -> impl IntoView {
    let state = MenuState::new();
    let title = move || {
        let command = ide.last_command.get();
        if !ide.can_edit() {
            "Editors of the project can run commands".to_owned()
        } else if command.is_empty() {
            "Type a command to run".to_owned()
        } else {
            format!("Run {command}")
        }
    };
    let recent = move || {
        let mut commands: Vec<String> = Vec::new();
        ide.runs.with(|runs| {
            for run in runs.iter().filter(|run| run.turn_id.is_none() && run.kind == RunKind::SandboxExec) {
                if commands.len() < RECENT_MAX && !commands.contains(&run.command) {
                    commands.push(run.command.clone());
                }
            }
        });
        commands
    };
    let item = move |command: String| {
        let again = command.clone();
        view! {
            <MenuItem icon="play" on_choose=move || ide.run(again.clone())>
                <span class="clip mono fs12">{command}</span>
            </MenuItem>
        }
    };
    view! {
        <span class="btn-pair desk">
            <button type="button" class="btn" title=title disabled=move || !ide.can_edit() on:click=move |_| run_again(ide)>
                <Icon name="play" small=true />
                "Run"
            </button>
            <button
                type="button"
                class="btn"
                aria-label="Choose what to run"
                aria-haspopup="menu"
                aria-expanded=move || if state.is_open() { "true" } else { "false" }
                disabled=move || !ide.can_edit()
                on:click=move |event: ev::MouseEvent| open_from(state, &event)
            >
                <Icon name="chevron-down" small=true />
            </button>
        </span>
        <button
            type="button"
            class="btn desk"
            title=move || if ide.can_edit() { "Run the tests of the project" } else { "Editors of the project can run its tests" }
            disabled=move || !ide.can_edit()
            on:click=move |_| Command::RunTests.run(ide)
        >
            <Icon name="flask-conical" small=true />
            "Test"
        </button>
        <Menu state=state label="Commands that ran before">
            {move || {
                let recent = recent();
                if recent.is_empty() {
                    view! { <div class="menu-note">"Nothing ran yet. Type a command in the runs below."</div> }.into_any()
                } else {
                    recent.into_iter().map(item).collect_view().into_any()
                }
            }}
        </Menu>
    }
}
