//! The second step of signing in, after the password was right; and the way in without one, by a passkey. Both are plain forms. Only the
//! passkeys need a script, and what asks for them is hidden until that is there.

use leptos::{prelude::*, task::spawn_local};
use leptos_router::hooks::use_query_map;
use wire::{ErrorCode, second_factor::SecondStep};

use super::auth_frame::AuthFrame;
use crate::{
    api::{ApiError, auth::LoginFn, passkeys::PasskeySignInFn, second_factor::SecondStepFn},
    passkeys_browser,
    ui::{Button, ButtonKind, ButtonSize, ErrorSummary, TextField, focus},
};

/// What a form was answered with. On the server the page of a caller who has gone away is taken apart while it is made, so that
/// nothing here may count on being there.
type Answer = MappedSignal<Option<Result<(), ApiError>>>;

fn error_of(answer: Answer) -> Option<ApiError> {
    answer.try_get().flatten().and_then(Result::err)
}

/// How far the sign-in has come.
#[derive(Clone, Copy)]
pub struct SecondStepState {
    code: ServerAction<SecondStepFn>,
    to_login: Answer,
    to_code: Answer,
    to_passkey: Answer,
    /// The page that somebody comes back to from a provider of identities.
    by_ticket: RwSignal<Option<SecondStep>>,
}

pub fn use_second_step(login: ServerAction<LoginFn>) -> SecondStepState {
    let (code, passkey) = (ServerAction::<SecondStepFn>::new(), ServerAction::<PasskeySignInFn>::new());
    // A new password begins anew.
    Effect::new(move |before: Option<usize>| {
        let version = login.version().get();
        if before.is_some_and(|before| before != version) {
            code.clear();
            passkey.clear();
        }
        version
    });
    SecondStepState { code, to_login: login.value(), to_code: code.value(), to_passkey: passkey.value(), by_ticket: RwSignal::new(None) }
}

impl SecondStepState {
    /// Somebody came back with a ticket, and nothing was sent from this page yet. False where the page is not wanted any more.
    pub fn came_with(self, ways: Option<SecondStep>) -> bool {
        self.by_ticket.try_set(ways).is_none()
    }

    /// What the second step can be, if it is the next one. Only a lost ticket leads back to the password; whatever else went wrong
    /// is told at this step.
    fn ways(self) -> Option<SecondStep> {
        if self.refusal().is_some_and(|error| error.code() == ErrorCode::NotSignedIn) {
            return None;
        }
        let mut asked = [self.to_code, self.to_passkey, self.to_login].into_iter().filter_map(error_of);
        let current = asked.find(|error| error.code() == ErrorCode::SecondFactorRequired);
        let ways = current.map(|error| error.0.current.and_then(|current| serde_json::from_value(current).ok()).unwrap_or_default());
        ways.or_else(|| self.by_ticket.try_get().flatten())
    }

    /// The page was loaded anew with the refusal of this step, so that only the ticket tells what it can be.
    pub fn came_refused(self) -> bool {
        untrack(|| self.refusal()).is_some()
    }

    pub fn is_due(self) -> bool {
        self.ways().is_some()
    }

    /// Why the second step did not go on and everything begins again.
    pub fn ended(self) -> Option<ApiError> {
        error_of(self.to_code).filter(|error| error.code() == ErrorCode::NotSignedIn)
    }

    /// Why the passkey did not sign in.
    pub fn passkey_error(self) -> Option<String> {
        error_of(self.to_passkey).map(|error| error.to_string())
    }

    /// What was refused at this step; what the password was answered with is no refusal yet.
    fn refusal(self) -> Option<ApiError> {
        error_of(self.to_code).or_else(|| error_of(self.to_passkey))
    }
}

#[component]
pub fn LoginSecondStep(step: SecondStepState) -> impl IntoView {
    let ways = Memo::new(move |_| step.ways().unwrap_or_default());
    let lead = Signal::derive(move || match ways.get() {
        SecondStep { totp: true, .. } => "Enter the code that your authenticator app shows now.".to_owned(),
        SecondStep { passkey: true, .. } => "Confirm that it is you with your passkey.".to_owned(),
        _ => "Enter one of your recovery codes.".to_owned(),
    });
    let on_top = Signal::derive(move || {
        let error = step.refusal()?;
        error.field("otp").is_none().then(|| error.to_string())
    });
    let field = Signal::derive(move || step.refusal().and_then(|error| error.field("otp")));
    let label = if ways.get_untracked().totp { "Code" } else { "Recovery code" };
    let hint = match ways.get_untracked() {
        SecondStep { totp: true, recovery_code: true, .. } => "Six digits. Without the app, one of your recovery codes.",
        SecondStep { totp: true, .. } => "Six digits.",
        _ => "Like abcd-efgh-jkmn-pqrs. Each works once.",
    };
    // The form that had the focus is gone.
    Effect::new(move |_| focus::recover(&["#f-otp"]));
    let next = use_query_map().with_untracked(|query| query.get("next"));
    let next_by_passkey = next.clone();
    let action = step.code;
    view! {
        <AuthFrame title="One more step" lead=lead>
            <ActionForm action=action>
                <ErrorSummary message=on_top />
                <TextField label=label name="otp" error=field hint=hint autocomplete="one-time-code" autofocus=true />
                {next.map(|next| view! { <input type="hidden" name="next" value=next /> })}
                <Button kind=ButtonKind::Primary size=ButtonSize::Large block=true submit=true busy=action.pending()>
                    "Continue"
                </Button>
            </ActionForm>
            {ways
                .get_untracked()
                .passkey
                .then(|| view! { <PasskeySignIn step=true next=next_by_passkey error=Signal::derive(|| None::<String>) /> })}
            <p class="t2 gap-above">
                "Lost the app and the codes? An administrator can take the second factor away. " <a href="/login" rel="external">"Start again"</a>
            </p>
        </AuthFrame>
    }
    .into_any()
}

/// A button for a passkey, shown as soon as a script can ask for one.
#[component]
pub fn PasskeySignIn(
    /// In the place of a code, after the password.
    step: bool,
    next: Option<String>,
    #[prop(into)] error: Signal<Option<String>>,
) -> impl IntoView {
    // A page that was gone to from another one is not loaded with the script for this.
    Effect::new(move |_| spawn_local(passkeys_browser::watch_sign_in()));
    view! {
        <form method="post" action="/fn/auth/passkey" data-passkey=if step { "step" } else { "sign-in" } hidden=true>
            <p class="or">"or"</p>
            <input type="hidden" name="ceremony" />
            <input type="hidden" name="credential" />
            {step.then(|| view! { <input type="hidden" name="step" value="1" /> })}
            {next.map(|next| view! { <input type="hidden" name="next" value=next /> })}
            <Button size=ButtonSize::Large block=true submit=true icon="fingerprint">
                "Use a passkey"
            </Button>
            <p class="err" role="alert">{move || error.get()}</p>
        </form>
    }
    .into_any()
}
