//! An authenticator app as second factor, and the recovery codes for when it is lost.

use leptos::{ev, prelude::*, task::spawn_local};
use wire::{
    Problem,
    second_factor::{ConfirmWithCode, ConfirmWithPassword, SecondFactor, TotpSetup},
};

use super::{auth_frame::summary_of, clipboard, guard::must_set_up};
use crate::{
    api,
    ui::{
        Badge, BadgeKind, Button, ButtonKind, Dialog, DialogActions, ErrorSummary, Icon, PanelError, Skeleton, TextField, focus, use_toasts,
    },
};

thread_local! {
    static CHANGES: ArcRwSignal<u32> = ArcRwSignal::new(0);
}

/// Tells the other cards of the page that the account's factors changed.
pub(super) fn note_change() {
    CHANGES.with(|changes| changes.update(|count| *count += 1));
}

pub(super) fn changes() -> ArcRwSignal<u32> {
    CHANGES.with(ArcRwSignal::clone)
}

#[derive(Clone, Copy)]
struct Card {
    state: RwSignal<Option<SecondFactor>>,
    /// Why something could not be begun.
    failure: RwSignal<Option<String>>,
    /// Why the state is not known.
    unread: RwSignal<Option<String>>,
    setup: RwSignal<Option<TotpSetup>>,
    codes: RwSignal<Option<Vec<String>>>,
}

/// What the card is about now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Reading,
    Unread,
    Off,
    SettingUp,
    On,
}

impl Card {
    fn new() -> Self {
        Self {
            state: RwSignal::new(None),
            failure: RwSignal::new(None),
            unread: RwSignal::new(None),
            setup: RwSignal::new(None),
            codes: RwSignal::new(None),
        }
    }

    fn read(self) {
        spawn_local(async move {
            match api::second_factor::status().await {
                Ok(found) => {
                    self.unread.try_set(None);
                    self.state.try_set(Some(found));
                }
                Err(error) => {
                    self.unread.try_set(Some(error.to_string()));
                }
            }
        });
    }

    fn stage(self) -> Stage {
        let is_on = self.state.with(|state| state.as_ref().map(|state| state.totp));
        match is_on {
            Some(true) => Stage::On,
            Some(false) if self.setup.with(Option::is_some) => Stage::SettingUp,
            Some(false) => Stage::Off,
            None if self.unread.with(Option::is_some) => Stage::Unread,
            None => Stage::Reading,
        }
    }

    fn has_password(self) -> Signal<bool> {
        Signal::derive(move || self.state.with(|state| state.as_ref().is_none_or(|state| state.has_password)))
    }
}

#[component]
pub fn SecondFactorCard() -> impl IntoView {
    let card = Card::new();
    let changed = changes();
    Effect::new(move |_| {
        changed.track();
        card.read();
    });
    // The state is read again after every change; what stands there, with its dialogs, is made anew only when it is about something else.
    let stage = Memo::new(move |_| card.stage());
    Effect::new(move |before: Option<(Stage, bool)>| {
        let now = (stage.get(), card.codes.with(Option::is_some));
        if before.is_some_and(|before| before != now && before.0 != Stage::Reading) {
            focus::recover(&["#recovery-title", "#f-totp_code", "#second-factor-title"]);
        }
        now
    });
    let is_on = move || stage.get() == Stage::On;
    let must = move || card.state.with(|state| state.as_ref().is_some_and(|state| state.required && !state.is_on()));
    let was_shut = must_set_up();
    let opened =
        move || was_shut && card.codes.with(Option::is_none) && card.state.with(|state| state.as_ref().is_some_and(SecondFactor::is_on));
    view! {
        <section class="card" id="second-factor" aria-labelledby="second-factor-title">
            <div class="card-head">
                <h2 id="second-factor-title">"Second factor"</h2>
                <Show when=is_on>
                    <Badge kind=BadgeKind::Ok icon="shield-check">
                        "On"
                    </Badge>
                </Show>
            </div>
            <div class="stack">
                <Show when=must>
                    <p class="row c-warn" role="status">
                        <Icon name="triangle-alert" small=true />
                        <span>"An administrator requires a second factor here. Set one up below; everything else opens then."</span>
                    </p>
                </Show>
                <Show when=opened>
                    <p class="row wrap-row" role="status">
                        <span class="grow">"The second factor is on. Everything else is open now."</span>
                        <a class="btn btn--primary" href="/" rel="external">
                            "Go on"
                        </a>
                    </p>
                </Show>
                <Show when=move || card.failure.with(Option::is_some)>
                    <p class="err" role="alert">
                        <Icon name="circle-alert" small=true />
                        <span>{move || card.failure.get()}</span>
                    </p>
                </Show>
                {move || card.codes.get().map(|codes| view! { <NewCodes codes=codes shown=card.codes /> })}
                {move || match stage.get() {
                    Stage::Reading => view! { <Skeleton lines=2 /> }.into_any(),
                    Stage::Unread => view! { <Unread text=card.unread again=move || card.read() /> }.into_any(),
                    Stage::On => view! { <On card=card /> }.into_any(),
                    Stage::SettingUp => card.setup.get_untracked().map(|setup| view! { <SettingUp card=card setup=setup /> }).into_any(),
                    Stage::Off => view! { <Off card=card /> }.into_any(),
                }}
            </div>
        </section>
    }
    .into_any()
}

/// In the place of what could not be read.
#[component]
pub(super) fn Unread(text: RwSignal<Option<String>>, again: impl Fn() + Send + Sync + 'static) -> impl IntoView {
    view! {
        <PanelError title="This can't be shown" text=text.get_untracked().unwrap_or_default()>
            <Button on_click=move |_| again()>"Try again"</Button>
        </PanelError>
    }
    .into_any()
}

/// Confirms a change: with the password where there is one, else by having signed in just now.
#[component]
pub(super) fn OwnPassword(
    name: &'static str,
    bind: RwSignal<String>,
    problem: RwSignal<Option<Problem>>,
    #[prop(into)] has_password: Signal<bool>,
    #[prop(optional)] autofocus: bool,
) -> impl IntoView {
    view! {
        <Show
            when=move || has_password.get()
            fallback=|| view! { <p class="hint">"Your account has no password. This works for ten minutes after you signed in."</p> }
        >
            <TextField
                label="Your password"
                name=name
                kind="password"
                bind=bind
                error=field(problem, "password")
                autocomplete="current-password"
                autofocus=autofocus
            />
        </Show>
    }
    .into_any()
}

#[component]
fn Off(card: Card) -> impl IntoView {
    let busy = RwSignal::new(false);
    let begin = move |_| {
        busy.set(true);
        card.failure.set(None);
        spawn_local(async move {
            let begun = api::second_factor::begin_totp().await;
            let _ = busy.try_set(false);
            match begun {
                Ok(setup) => drop(card.setup.try_set(Some(setup))),
                Err(error) => drop(card.failure.try_set(Some(error.to_string()))),
            }
        });
    };
    let with_passkeys = move || card.state.with(|state| state.as_ref().is_some_and(|state| state.passkeys > 0));
    view! {
        <p class="t2">
            "An authenticator app on your phone shows a code that changes every 30 seconds. With it, a stolen password alone lets nobody in."
        </p>
        <div class="acts">
            <Button icon="plus" busy=busy on_click=begin>
                "Set up an authenticator app"
            </Button>
        </div>
        <Show when=with_passkeys>
            <Codes card=card />
        </Show>
    }
    .into_any()
}

#[component]
fn SettingUp(card: Card, setup: TotpSetup) -> impl IntoView {
    let toasts = use_toasts();
    let code = RwSignal::new(String::new());
    let password = RwSignal::new(String::new());
    let busy = RwSignal::new(false);
    let problem = RwSignal::new(None::<Problem>);
    let confirm = move |event: ev::SubmitEvent| {
        event.prevent_default();
        if busy.get_untracked() {
            return;
        }
        busy.set(true);
        let request = ConfirmWithCode { password: password.get_untracked(), code: code.get_untracked() };
        spawn_local(async move {
            let confirmed = api::second_factor::confirm_totp(request).await;
            if busy.try_set(false).is_some() {
                return;
            }
            match confirmed {
                Ok(made) => {
                    card.codes.set(Some(made.codes));
                    card.setup.set(None);
                    card.state.update(|state| {
                        if let Some(state) = state {
                            state.totp = true;
                        }
                    });
                    note_change();
                }
                Err(error) => problem.set(Some(error.0)),
            }
        });
    };
    let secret = grouped(&setup.secret);
    let plain = setup.secret.clone();
    view! {
        <form class="totp-setup" novalidate=true on:submit=confirm>
            <div class="totp-qr" inner_html=setup.qr_svg></div>
            <div class="stack">
                <p class="t2">"Scan the picture with the app, or type this key into it."</p>
                <p class="row wrap-row">
                    <code class="mono totp-secret">{secret}</code>
                    <Button icon="clipboard" on_click=move |_| clipboard::copy(plain.clone(), "key", toasts)>
                        "Copy"
                    </Button>
                </p>
                <ErrorSummary message=on_top(problem) />
                <TextField
                    label="Code that the app shows"
                    name="totp_code"
                    bind=code
                    error=field(problem, "code")
                    autocomplete="one-time-code"
                    autofocus=true
                />
                <OwnPassword name="totp_password" bind=password problem=problem has_password=card.has_password() />
                <div class="acts">
                    <Button kind=ButtonKind::Primary submit=true busy=busy>
                        "Turn on"
                    </Button>
                    <Button disabled=busy on_click=move |_| card.setup.set(None)>
                        "Cancel"
                    </Button>
                </div>
            </div>
        </form>
    }
    .into_any()
}

#[component]
fn On(card: Card) -> impl IntoView {
    let open = RwSignal::new(false);
    view! {
        <p class="t2">"Signing in asks for a code of your authenticator app after the password."</p>
        <Codes card=card />
        <div class="acts">
            <Button kind=ButtonKind::Danger on_click=move |_| open.set(true)>
                "Turn off"
            </Button>
        </div>
        <TurnOff card=card open=open />
    }
    .into_any()
}

/// How many recovery codes are left, and new ones.
#[component]
fn Codes(card: Card) -> impl IntoView {
    let open = RwSignal::new(false);
    let password = RwSignal::new(String::new());
    let busy = RwSignal::new(false);
    let problem = RwSignal::new(None::<Problem>);
    clear_when_closed(open, problem, vec![password]);
    let left = move || card.state.with(|state| state.as_ref().map_or(0, |state| state.recovery_codes_left));
    let words = move || match left() {
        0 => "No recovery codes are left. Without them a lost phone keeps you out.".to_owned(),
        1 => "1 recovery code is left. Each signs in once when the app is lost.".to_owned(),
        left => format!("{left} recovery codes are left. Each signs in once when the app is lost."),
    };
    let make = move |event: ev::SubmitEvent| {
        event.prevent_default();
        if busy.get_untracked() {
            return;
        }
        busy.set(true);
        let request = ConfirmWithPassword { password: password.get_untracked() };
        spawn_local(async move {
            let made = api::second_factor::make_recovery_codes(request).await;
            if busy.try_set(false).is_some() {
                return;
            }
            match made {
                Ok(made) => {
                    open.set(false);
                    card.codes.set(Some(made.codes));
                    note_change();
                }
                Err(error) => problem.set(Some(error.0)),
            }
        });
    };
    view! {
        <div class="row wrap-row">
            <span class="grow" class:c-warn=move || { left() <= 2 }>
                {words}
            </span>
            <Button on_click=move |_| open.set(true)>"New recovery codes"</Button>
        </div>
        <Dialog open=open title="New recovery codes" locked=busy>
            <form novalidate=true on:submit=make>
                <ErrorSummary message=on_top(problem) />
                <p class="t2">"The codes you have now stop working."</p>
                <OwnPassword name="codes_password" bind=password problem=problem has_password=card.has_password() autofocus=true />
                <DialogActions open=open busy=busy>
                    "Make new codes"
                </DialogActions>
            </form>
        </Dialog>
    }
    .into_any()
}

#[component]
fn TurnOff(card: Card, open: RwSignal<bool>) -> impl IntoView {
    let toasts = use_toasts();
    let code = RwSignal::new(String::new());
    let password = RwSignal::new(String::new());
    let busy = RwSignal::new(false);
    let problem = RwSignal::new(None::<Problem>);
    clear_when_closed(open, problem, vec![code, password]);
    let turn_off = move |event: ev::SubmitEvent| {
        event.prevent_default();
        if busy.get_untracked() {
            return;
        }
        busy.set(true);
        let request = ConfirmWithCode { password: password.get_untracked(), code: code.get_untracked() };
        spawn_local(async move {
            let done = api::second_factor::disable_totp(request).await;
            if busy.try_set(false).is_some() {
                return;
            }
            match done {
                Ok(()) => {
                    open.set(false);
                    toasts.show("The authenticator app was turned off");
                    note_change();
                }
                Err(error) => problem.set(Some(error.0)),
            }
        });
    };
    view! {
        <Dialog open=open title="Turn off the authenticator app" locked=busy>
            <form novalidate=true on:submit=turn_off>
                <ErrorSummary message=on_top(problem) />
                <p class="t2">"Without another factor, your password alone signs in, and the recovery codes stop working."</p>
                <OwnPassword name="off_password" bind=password problem=problem has_password=card.has_password() autofocus=true />
                <TextField
                    label="Code of the app, or a recovery code"
                    name="off_code"
                    bind=code
                    error=field(problem, "code")
                    autocomplete="one-time-code"
                />
                <DialogActions open=open kind=ButtonKind::Danger busy=busy>
                    "Turn off"
                </DialogActions>
            </form>
        </Dialog>
    }
    .into_any()
}

/// Recovery codes, the one time they are shown.
#[component]
pub(super) fn NewCodes(codes: Vec<String>, shown: RwSignal<Option<Vec<String>>>) -> impl IntoView {
    let toasts = use_toasts();
    let text = format!("Recovery codes of cloudxdevai. Each signs in once.\n\n{}\n", codes.join("\n"));
    let href = format!("data:text/plain;charset=utf-8,{}", text.replace(' ', "%20").replace('\n', "%0A"));
    let all = codes.join("\n");
    view! {
        <div class="recovery stack" role="group" aria-labelledby="recovery-title">
            <h3 id="recovery-title">"Your recovery codes"</h3>
            <p class="t2">"Keep them where you find them without your phone. They are not shown again; each signs in once."</p>
            <ul class="recovery-codes mono">{codes.into_iter().map(|code| view! { <li>{code}</li> }).collect_view()}</ul>
            <div class="acts">
                <a class="btn" href=href download="cloudxdevai-recovery-codes.txt">
                    <Icon name="download" small=true />
                    "Download"
                </a>
                <Button icon="clipboard" on_click=move |_| clipboard::copy(all.clone(), "codes", toasts)>
                    "Copy"
                </Button>
                <Button kind=ButtonKind::Primary on_click=move |_| shown.set(None)>
                    "I have kept them"
                </Button>
            </div>
        </div>
    }
    .into_any()
}

/// In groups of four, as people read it aloud.
fn grouped(secret: &str) -> String {
    secret.as_bytes().chunks(4).map(|part| String::from_utf8_lossy(part).into_owned()).collect::<Vec<_>>().join(" ")
}

pub(super) fn field(problem: RwSignal<Option<Problem>>, name: &'static str) -> Signal<Option<String>> {
    Signal::derive(move || problem.with(|problem| problem.as_ref()?.field(name).map(str::to_owned)))
}

/// The sentence on top of the refused form.
pub(super) fn on_top(problem: RwSignal<Option<Problem>>) -> Signal<Option<String>> {
    Signal::derive(move || problem.with(|problem| problem.as_ref().map(|problem| summary_of(problem, "Nothing was changed."))))
}

/// Nothing that was typed stays in a closed dialog.
pub(super) fn clear_when_closed(open: RwSignal<bool>, problem: RwSignal<Option<Problem>>, texts: Vec<RwSignal<String>>) {
    Effect::new(move |_| {
        if !open.get() {
            problem.set(None);
            for text in &texts {
                text.set(String::new());
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn keys_are_read_in_groups() {
        assert_eq!(grouped("ABCDEFGHIJ"), "ABCD EFGH IJ");
        assert_eq!(grouped(""), "");
    }
}
