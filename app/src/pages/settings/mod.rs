//! The person's own settings, a section at a time.

mod account;
mod appearance;
mod editor;
mod keys;
mod models;
mod profile;
mod security;
mod sessions;
mod tokens;
mod usage;

use leptos::{html, prelude::*};
use leptos_router::{
    NavigateOptions,
    hooks::{use_navigate, use_params_map},
};
use wire::users::User;

use crate::{
    api::ApiError,
    components::{
        guard::Guarded,
        topbar::{Place, Topbar},
    },
    ui::{Icon, PageTitle, focus},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Section {
    Profile,
    Security,
    Sessions,
    Tokens,
    Appearance,
    Editor,
    Keys,
    Models,
    Usage,
    Account,
}

impl Section {
    const ALL: [Self; 10] = [
        Self::Profile,
        Self::Security,
        Self::Sessions,
        Self::Tokens,
        Self::Appearance,
        Self::Editor,
        Self::Keys,
        Self::Models,
        Self::Usage,
        Self::Account,
    ];

    /// The first one has no word of its own.
    fn parse(word: Option<&str>) -> Option<Self> {
        word.map_or(Some(Self::Profile), |word| Self::ALL.into_iter().find(|section| section.word() == word))
    }

    fn word(self) -> &'static str {
        match self {
            Self::Profile => "profile",
            Self::Security => "security",
            Self::Sessions => "sessions",
            Self::Tokens => "tokens",
            Self::Appearance => "appearance",
            Self::Editor => "editor",
            Self::Keys => "keys",
            Self::Models => "models",
            Self::Usage => "usage",
            Self::Account => "account",
        }
    }

    fn label(self) -> &'static str {
        match self {
            Self::Profile => "Profile",
            Self::Security => "Security",
            Self::Sessions => "Sessions",
            Self::Tokens => "Tokens",
            Self::Appearance => "Appearance",
            Self::Editor => "Editor",
            Self::Keys => "Keys",
            Self::Models => "Models",
            Self::Usage => "Usage",
            Self::Account => "Account",
        }
    }

    fn icon(self) -> &'static str {
        match self {
            Self::Profile => "user",
            Self::Security => "shield-check",
            Self::Sessions => "log-in",
            Self::Tokens => "key-round",
            Self::Appearance => "sun-moon",
            Self::Editor => "file-code",
            Self::Keys => "square-terminal",
            Self::Models => "cpu",
            Self::Usage => "chart-column",
            Self::Account => "file-archive",
        }
    }

    /// What is wider than a form.
    fn is_wide(self) -> bool {
        matches!(self, Self::Usage | Self::Keys)
    }
}

/// `/settings/:section?`.
#[component]
pub fn SettingsPage() -> impl IntoView {
    let params = use_params_map();
    let section = Memo::new(move |_| params.with(|params| Section::parse(params.get("section").as_deref())));
    let known = Memo::new(move |_| section.with(Option::is_some));
    let shown = Signal::derive(move || section.get().unwrap_or(Section::Profile));
    let load = || async { Ok::<_, ApiError>(()) };
    let render = move |user: User, _: Result<(), ApiError>| view! { <Settings user=user section=shown /> }.into_any();
    move || {
        if known.get() {
            view! {
                <PageTitle text=Signal::derive(move || format!("{}, settings", shown.get().label())) />
                <div class="page">
                    <Guarded load=load render=render />
                </div>
            }
            .into_any()
        } else {
            view! { <crate::pages::not_found::NotFound /> }.into_any()
        }
    }
}

#[component]
fn Settings(user: User, section: Signal<Section>) -> impl IntoView {
    follow_former_addresses();
    let person = StoredValue::new(user.clone());
    // A section is made anew only when another one is chosen.
    let chosen = Memo::new(move |_| section.get());
    let nav = NodeRef::<html::Nav>::new();
    focus::keep_current_in_view(nav, move || section.track());
    view! {
        <Topbar user=user place=Place::Settings />
        <div class="admin">
            <nav aria-label="Settings" node_ref=nav>
                <ul class="nav">
                    {Section::ALL.into_iter().map(|item| view! { <li><NavItem item=item section=section /></li> }).collect_view()}
                </ul>
            </nav>
            <main id="main" tabindex="-1">
                <div class="page-head">
                    <h1>{move || section.get().label()}</h1>
                </div>
                <div class="settings" class:settings--wide=move || section.get().is_wide()>
                    {move || {
                        let user = person.get_value();
                        match chosen.get() {
                            Section::Profile => view! { <profile::Profile user=user /> }.into_any(),
                            Section::Security => view! { <security::Security user=user /> }.into_any(),
                            Section::Sessions => view! { <sessions::Sessions /> }.into_any(),
                            Section::Tokens => view! { <tokens::Tokens user=user /> }.into_any(),
                            Section::Appearance => view! { <appearance::Appearance /> }.into_any(),
                            Section::Editor => view! { <editor::Editor /> }.into_any(),
                            Section::Keys => view! { <keys::Keys /> }.into_any(),
                            Section::Models => view! { <models::Models /> }.into_any(),
                            Section::Usage => view! { <usage::Usage /> }.into_any(),
                            Section::Account => view! { <account::Account user=user /> }.into_any(),
                        }
                    }}
                </div>
            </main>
        </div>
    }
    .into_any()
}

#[component]
fn NavItem(item: Section, section: Signal<Section>) -> impl IntoView {
    view! {
        <a href=format!("/settings/{}", item.word()) aria-current=move || (section.get() == item).then_some("page")>
            <Icon name=item.icon() />
            {item.label()}
        </a>
    }
    .into_any()
}

/// When everything was one page, these were places of it. A server never sees them.
fn follow_former_addresses() {
    let navigate = use_navigate();
    Effect::new(move |_| {
        let location = window().location();
        let at_first = location.pathname().is_ok_and(|path| path == "/settings");
        let to = match location.hash().unwrap_or_default().as_str() {
            "#usage" => "/settings/usage",
            "#model-keys" => "/settings/models",
            _ => return,
        };
        if at_first {
            navigate(to, NavigateOptions { replace: true, ..NavigateOptions::default() });
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_section_has_an_address() {
        for section in Section::ALL {
            assert_eq!(Section::parse(Some(section.word())), Some(section));
        }
        assert_eq!(Section::parse(None), Some(Section::Profile));
        assert_eq!(Section::parse(Some("nothing")), None);
    }
}
