//! The area below the editor: runs, tests, terminals and ports as tabs.

use leptos::{ev, html, prelude::*};

use super::{
    commands::{self, Command},
    ide::{ConsoleTab, Ide, use_ide},
    ports_panel::{self, PortsPanel},
    run_list::{Hidden, RunList, running_clock},
    terminal_panel::TerminalPanel,
    test_desk,
    test_panel::TestPanel,
};
use crate::ui::{
    BadgeKind, Count, IconButton,
    focus::{self, Axis},
    storage,
};

/// Tabs and what they show. A body that was seen stays, so that a terminal keeps its screen.
#[component]
pub fn RunConsole() -> impl IntoView {
    let ide = use_ide();
    let now = running_clock(ide);
    let hidden = Hidden::new(ide);
    remember_tab(ide);
    let is_open = move |tab: ConsoleTab| ide.console_tab.get() == tab;
    let seen = move |tab: ConsoleTab| {
        Memo::new(move |before: Option<&bool>| before == Some(&true) || (ide.console_open.get() && ide.console_tab.get() == tab))
    };
    let (tests_seen, terminal_seen, ports_seen) = (seen(ConsoleTab::Tests), seen(ConsoleTab::Terminal), seen(ConsoleTab::Ports));
    test_desk::follow(ide, tests_seen.into());
    let on_keydown = move |event: ev::KeyboardEvent| {
        let control = event.ctrl_key() || event.meta_key();
        if control && event.key() == "." && ide.console_tab.get_untracked() != ConsoleTab::Terminal {
            event.prevent_default();
            event.stop_propagation();
            commands::stop_run(ide);
        }
    };
    let maximise = move |_| ide.console_max.update(|max| *max = !*max);
    view! {
        <section
            class="console"
            aria-label="Run console"
            data-max=move || ide.console_max.get().then_some("true")
            on:keydown=on_keydown
        >
            <div class="ptabs">
                <TabList ide=ide />
                <span class="grow"></span>
                <Show when=move || is_open(ConsoleTab::Output)>
                    <IconButton icon="eraser" label="Hide the finished runs" small=true on_click=move |_| hidden.hide_finished() />
                </Show>
                <IconButton
                    icon="maximize-2"
                    label="Maximise panel"
                    small=true
                    class="desk"
                    pressed=Signal::derive(move || Some(ide.console_max.get()))
                    on_click=maximise
                />
                <IconButton
                    icon="x"
                    label="Close panel"
                    key=Command::ToggleConsole.shown_keys(ide)
                    small=true
                    class="desk"
                    on_click=move |_| {
                        ide.console_max.set(false);
                        ide.console.set_open(false);
                    }
                />
            </div>
            <TabBody tab=ConsoleTab::Output>
                <RunList now=now hidden=hidden />
            </TabBody>
            <TabBody tab=ConsoleTab::Tests>
                <Show when=move || tests_seen.get()>
                    <TestPanel now=now />
                </Show>
            </TabBody>
            <TabBody tab=ConsoleTab::Terminal>
                <Show when=move || terminal_seen.get()>
                    <TerminalPanel />
                </Show>
            </TabBody>
            <TabBody tab=ConsoleTab::Ports>
                <Show when=move || ports_seen.get()>
                    <PortsPanel />
                </Show>
            </TabBody>
        </section>
    }
}

/// The tab of the last visit, per project.
fn remember_tab(ide: Ide) {
    let restored = RwSignal::new(false);
    Effect::new(move |_| {
        if let Some(tab) = storage::read(&ide.storage_key("console-tab")).and_then(|name| ConsoleTab::parse(&name)) {
            ide.console_tab.set(tab);
        }
        restored.set(true);
    });
    Effect::new(move |_| {
        let tab = ide.console_tab.get();
        if restored.get() {
            storage::write(&ide.storage_key("console-tab"), tab.name());
        }
    });
}

#[component]
fn TabList(ide: Ide) -> impl IntoView {
    let node = NodeRef::<html::Div>::new();
    let failed = Signal::derive(move || test_desk::failed(ide));
    let listening = ports_panel::open_ports(ide);
    let ports = Signal::derive(move || i64::try_from(listening.get()).unwrap_or(i64::MAX));
    let on_keydown = move |event: ev::KeyboardEvent| {
        if let Some(list) = node.get_untracked() {
            focus::rove(&event, &list, "[role=tab]", Axis::Horizontal);
        }
    };
    let tab = move |tab: ConsoleTab| {
        let is_on = move || ide.console_tab.get() == tab;
        let count = move || match tab {
            ConsoleTab::Tests => (failed.get() > 0).then(|| {
                view! {
                    <Count value=failed kind=BadgeKind::Bad />
                    <span class="sr">" failed"</span>
                }
                .into_any()
            }),
            ConsoleTab::Ports => (ports.get() > 0).then(|| view! { <Count value=ports /> }.into_any()),
            ConsoleTab::Output | ConsoleTab::Terminal => None,
        };
        view! {
            <button
                type="button"
                class="ptab"
                role="tab"
                id=format!("console-tab-{}", tab.name())
                aria-selected=move || if is_on() { "true" } else { "false" }
                aria-controls=format!("console-{}", tab.name())
                tabindex=move || if is_on() { "0" } else { "-1" }
                on:click=move |_| ide.console_tab.set(tab)
                on:focus=move |_| ide.console_tab.set(tab)
            >
                {tab.label()}
                {count}
            </button>
        }
    };
    // A tab that was chosen by key or command is scrolled into view.
    Effect::new(move |_| {
        ide.console_tab.track();
        request_animation_frame(move || {
            let Some(list) = node.try_get_untracked().flatten() else { return };
            let Some(tab) = list.query_selector("[aria-selected=true]").ok().flatten() else { return };
            let (tab, view) = (tab.get_bounding_client_rect(), list.get_bounding_client_rect());
            let hidden = (tab.right() - view.right()).max(0.0) + (tab.left() - view.left()).min(0.0);
            list.set_scroll_left(list.scroll_left() + hidden as i32);
        });
    });
    view! {
        <div role="tablist" class="ptab-list" aria-label="Run console" node_ref=node on:keydown=on_keydown>
            {ConsoleTab::ALL.map(tab).collect_view()}
        </div>
    }
}

#[component]
fn TabBody(tab: ConsoleTab, children: Children) -> impl IntoView {
    let ide = use_ide();
    view! {
        <div
            class="console-body"
            role="tabpanel"
            id=format!("console-{}", tab.name())
            aria-labelledby=format!("console-tab-{}", tab.name())
            hidden=move || ide.console_tab.get() != tab
        >
            {children()}
        </div>
    }
}
