//! How it stands with the page's connection, and what to do about a loss: in the topbar, under it, and in the status bar.

use leptos::prelude::*;

use super::ide::Ide;
use crate::{
    live::{Connection, Live},
    ui::{Badge, BadgeKind, Banner, Icon},
};

impl Connection {
    fn word(self) -> &'static str {
        match self {
            Self::Connected => "Connected",
            Self::Reconnecting => "Reconnecting",
            Self::Offline => "Offline",
        }
    }

    fn icon(self) -> &'static str {
        match self {
            Self::Reconnecting => "loader-circle",
            Self::Connected | Self::Offline => "cloud-off",
        }
    }

    /// What is safe, and what to do.
    fn advice(self) -> &'static str {
        match self {
            Self::Connected => "",
            Self::Reconnecting => {
                "The server does not answer and is asked again by itself. What you type is kept in this browser. If this lasts, tell whoever runs the server."
            }
            Self::Offline => {
                "This device has no network: check it. What you type is kept in this browser, and the page goes on by itself once the network is back."
            }
        }
    }
}

/// In the topbar, where a phone has it too: nothing while all is well.
#[component]
pub fn ConnectionBadge(live: Live) -> impl IntoView {
    let connection = live.connection();
    move || {
        let now = connection.get();
        (now != Connection::Connected).then(|| {
            view! {
                <span title=now.advice()>
                    <Badge kind=BadgeKind::Warning icon=now.icon()>
                        {now.word()}
                    </Badge>
                </span>
            }
        })
    }
}

/// In the status bar, at all times.
#[component]
pub fn ConnectionState(live: Live) -> impl IntoView {
    let (connection, signed_out) = (live.connection(), live.signed_out());
    move || {
        if signed_out.get() {
            return view! { <span class="c-warn"><Icon name="log-in" />"Signed out"</span> }.into_any();
        }
        match connection.get() {
            Connection::Connected => view! { <span><i class="dot dot--ok"></i>{Connection::Connected.word()}</span> }.into_any(),
            lost => {
                let spin = if lost == Connection::Reconnecting { "spin" } else { "" };
                view! { <span class="c-warn"><Icon name=lost.icon() class=spin />{lost.word()}</span> }.into_any()
            }
        }
    }
}

/// Under the topbar while the connection is lost. A loss and its end are read aloud once, by the page's own region: one that comes with its
/// text is passed over by some readers.
#[component]
pub fn ConnectionNotice(ide: Ide) -> impl IntoView {
    let (connection, signed_out) = (ide.live.connection(), ide.live.signed_out());
    Effect::new(move |before: Option<Connection>| {
        let now = connection.get();
        if before.is_some_and(|before| before != now) && !signed_out.get_untracked() {
            ide.announcement.set(format!("{}. {}", now.word(), now.advice()).trim_end().to_owned());
        }
        now
    });
    let title = Signal::derive(move || format!("{}.", connection.get().word()));
    let text = Signal::derive(move || connection.get().advice().to_owned());
    let icon = move || connection.get().icon();
    view! {
        <Show when=move || connection.get() != Connection::Connected && !signed_out.get()>
            {move || view! { <Banner icon=icon() title=title text=text quiet=true /> }}
        </Show>
    }
}
