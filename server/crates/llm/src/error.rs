use std::time::Duration;

/// Why a model gave no answer, or only part of one. No variant ever holds a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    #[error("no model is configured")]
    NotConfigured,
    #[error("no model named {name}")]
    UnknownModel { name: String },
    #[error("{host} refused the key")]
    Unauthorised { host: String },
    #[error("rate limited")]
    RateLimited { retry_after: Option<Duration> },
    #[error("the provider answered {status}")]
    Server { status: u16 },
    #[error("the provider refused the request: {detail}")]
    BadRequest { detail: String },
    #[error("the account with the provider is used up: {detail}")]
    Exhausted { detail: String },
    #[error("the provider does not know the model: {detail}")]
    NotFound { detail: String },
    #[error("{host} could not be reached: {detail}")]
    Unreachable { host: String, detail: String },
    #[error("{host} must not be reached: {detail}")]
    AddressRefused { host: String, detail: String },
    #[error("no first byte in time")]
    FirstByteTimeout,
    #[error("the answer stalled")]
    Stalled,
    #[error("the answer was cut off")]
    CutOff,
    #[error("the answer could not be read: {detail}")]
    Malformed { detail: String },
    #[error("the provider reported an error: {detail}")]
    Provider { detail: String },
}

impl ModelError {
    /// Whether asking the same again later can help without anybody changing anything.
    pub fn retryable(&self) -> bool {
        match self {
            Self::RateLimited { .. }
            | Self::Server { .. }
            | Self::Unreachable { .. }
            | Self::FirstByteTimeout
            | Self::Stalled
            | Self::CutOff => true,
            Self::NotConfigured
            | Self::UnknownModel { .. }
            | Self::Unauthorised { .. }
            | Self::BadRequest { .. }
            | Self::Exhausted { .. }
            | Self::NotFound { .. }
            | Self::AddressRefused { .. }
            | Self::Malformed { .. }
            | Self::Provider { .. } => false,
        }
    }

    /// Whether another model may answer all the same: what is wrong with the request itself is wrong for that one too.
    pub fn another_may_answer(&self) -> bool {
        !matches!(self, Self::NotConfigured | Self::BadRequest { .. })
    }

    /// Whether the provider had taken the request, so that it may charge for it although no answer came. The others are refusals, or
    /// nothing was sent.
    pub fn may_cost(&self) -> bool {
        matches!(self, Self::FirstByteTimeout | Self::Stalled | Self::CutOff | Self::Malformed { .. })
    }

    /// A stable word for logs and metrics.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotConfigured => "model_not_configured",
            Self::UnknownModel { .. } => "model_unknown",
            Self::Unauthorised { .. } => "model_unauthorised",
            Self::RateLimited { .. } => "model_rate_limited",
            Self::Server { .. } => "model_server_error",
            Self::BadRequest { .. } => "model_bad_request",
            Self::Exhausted { .. } => "model_exhausted",
            Self::NotFound { .. } => "model_not_found",
            Self::Unreachable { .. } => "model_unreachable",
            Self::AddressRefused { .. } => "model_address_refused",
            Self::FirstByteTimeout => "model_first_byte_timeout",
            Self::Stalled => "model_stalled",
            Self::CutOff => "model_cut_off",
            Self::Malformed { .. } => "model_malformed",
            Self::Provider { .. } => "model_provider_error",
        }
    }

    /// For the person who asked: what happened, what is safe, what to do.
    pub fn sentence(&self) -> String {
        const SAFE: &str = "Your files and this conversation are unchanged by it.";
        const PARTIAL: &str = "What arrived before is kept, and no unfinished tool call was run.";
        match self {
            Self::NotConfigured => "No model is connected. Everything except the agent works. An administrator can add a provider \
                 under Models, or set OPENAI_BASE_URL, OPENAI_API_KEY and AI_DEFAULT_MODEL and restart the server."
                .into(),
            Self::UnknownModel { name } => {
                format!("There is no model named “{name}” here. Nothing was sent. Pick one from the model list.")
            }
            Self::Unauthorised { host } => {
                format!(
                    "{host} did not accept the key. {SAFE} An administrator needs to check the provider's key (OPENAI_API_KEY for the one set by environment) and what it may use."
                )
            }
            Self::RateLimited { retry_after } => {
                let when = match retry_after {
                    Some(wait) => format!("in {}", spell_wait(*wait)),
                    None => "in a minute".into(),
                };
                format!("The model provider is limiting requests. {SAFE} Send the message again {when}.")
            }
            Self::Server { status } if matches!(status, 503 | 529) => {
                format!("The model provider is overloaded ({status}). {SAFE} Send the message again in a minute, or pick another model.")
            }
            Self::Server { status } => {
                format!("The model provider failed with status {status}. {SAFE} Send the message again, or pick another model.")
            }
            Self::BadRequest { detail } => format!(
                "The model provider refused the request: {detail}. {SAFE} Check the model's name and settings, or start a shorter conversation."
            ),
            Self::Exhausted { detail } => format!(
                "The account with the model provider is used up: {detail}. {SAFE} An administrator needs to add credit there, or pick another model."
            ),
            Self::NotFound { detail } => format!(
                "The model provider does not know this model: {detail}. {SAFE} Pick another one; an administrator can correct its name or the provider's address."
            ),
            Self::Unreachable { host, detail } => format!(
                "{host} could not be reached ({detail}). {SAFE} Check that it is running and that the provider's address is right, then send the message again."
            ),
            Self::AddressRefused { host, detail } => format!(
                "The provider at {host} was not asked: {detail}. Nothing was sent. An administrator can allow that host, or correct the provider's address."
            ),
            Self::FirstByteTimeout => format!(
                "The model did not begin to answer in time. {SAFE} Send the message again; if it keeps happening, raise AI_REQUEST_TIMEOUT."
            ),
            Self::Stalled => format!("The model stopped in the middle of its answer. {PARTIAL} Send the message again to go on."),
            Self::CutOff => {
                format!("The connection to the model broke off before its answer was complete. {PARTIAL} Send the message again to go on.")
            }
            Self::Malformed { detail } => format!(
                "The model's answer could not be read: {detail}. {PARTIAL} Try again; if it keeps happening, the provider may not speak the format it is set up with."
            ),
            Self::Provider { detail } => {
                format!("The model provider reported an error: {detail}. {PARTIAL} Send the message again, or pick another model.")
            }
        }
    }
}

fn spell_wait(wait: Duration) -> String {
    let seconds = wait.as_secs_f64().ceil().max(1.0) as u64;
    match seconds {
        1 => "1 second".into(),
        2..=119 => format!("{seconds} seconds"),
        _ => format!("{} minutes", seconds.div_ceil(60)),
    }
}

/// Makes foreign text fit to show: one line, no control characters, at most 300 characters, and the
/// key masked should the provider have echoed it.
pub(crate) fn clean_detail(raw: &str, key: Option<&str>) -> String {
    let masked = match key {
        Some(key) if !key.is_empty() => raw.replace(key, "•••"),
        _ => raw.to_owned(),
    };
    let line: String = masked.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
    let line = line.trim_end_matches(['.', ' ']);
    match line.char_indices().nth(300) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_the_key_and_flattens_the_text() {
        let detail = clean_detail("bad key:\n sk-secret.\u{7}", Some("sk-secret"));
        assert_eq!(detail, "bad key: •••");
        assert_eq!(clean_detail(&"ä".repeat(400), None).chars().count(), 301);
    }

    #[test]
    fn says_when_to_come_back() {
        let wait = |s| ModelError::RateLimited { retry_after: Some(Duration::from_secs(s)) }.sentence();
        assert!(wait(7).contains("in 7 seconds"));
        assert!(wait(121).contains("in 3 minutes"));
    }
}
