//! Whether and when to ask again. Only ever before the first token.

use std::time::Duration;

use reqwest::header::{HeaderMap, RETRY_AFTER};
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use crate::ModelError;

pub(crate) const MAX_ATTEMPTS: u32 = 3;
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(30);
const FIRST_BACKOFF: Duration = Duration::from_millis(300);

/// What came instead of an answer, and how long the provider asks to wait.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) error: ModelError,
    pub(crate) retry_after: Option<Duration>,
}

impl From<ModelError> for Refusal {
    fn from(error: ModelError) -> Self {
        let retry_after = match &error {
            ModelError::RateLimited { retry_after } => *retry_after,
            _ => None,
        };
        Self { error, retry_after }
    }
}

/// How long to wait before the next attempt, or none when there is to be none.
pub(crate) fn wait_before_retry(refusal: &Refusal, attempt: u32) -> Option<Duration> {
    if attempt >= MAX_ATTEMPTS {
        return None;
    }
    if !matches!(refusal.error, ModelError::RateLimited { .. } | ModelError::Server { .. } | ModelError::Unreachable { .. }) {
        return None;
    }
    let jittered = FIRST_BACKOFF.mul_f64(f64::from(1 << (attempt - 1)) * rand::random_range(0.7..1.3));
    match refusal.retry_after {
        Some(wait) if wait > LONGEST_RETRY_AFTER => None,
        Some(wait) => Some(wait + jittered / 4),
        None => Some(jittered),
    }
}

/// What the headers ask to wait: milliseconds, seconds, or a date.
pub(crate) fn read_retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let seconds = |text: &str| Duration::try_from_secs_f64(text.parse::<f64>().ok()?).ok();
    if let Some(wait) = text("retry-after-ms").and_then(|ms| seconds(ms).map(|wait| wait / 1000)) {
        return Some(wait);
    }
    let said = text(RETRY_AFTER.as_str())?;
    seconds(said).or_else(|| {
        let at = OffsetDateTime::parse(said, &Rfc2822).ok()?;
        Some(Duration::try_from(at - OffsetDateTime::now_utc()).unwrap_or_default())
    })
}

/// What an error's details ask to wait, as Google writes it: `"retryDelay": "17s"`.
pub(crate) fn read_retry_delay(error: &Value) -> Option<Duration> {
    let details = error["details"].as_array()?;
    let said = details.iter().find_map(|detail| detail["retryDelay"].as_str())?;
    Duration::try_from_secs_f64(said.strip_suffix('s')?.parse().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn waits_as_told_but_not_for_ever() {
        let limited = |s| Refusal::from(ModelError::RateLimited { retry_after: Some(Duration::from_secs(s)) });
        assert!(wait_before_retry(&limited(2), 1).unwrap() >= Duration::from_secs(2));
        assert_eq!(wait_before_retry(&limited(31), 1), None);
        assert_eq!(wait_before_retry(&ModelError::Server { status: 500 }.into(), 3), None);
        assert_eq!(wait_before_retry(&ModelError::Stalled.into(), 1), None);
        let overloaded = Refusal { error: ModelError::Server { status: 503 }, retry_after: Some(Duration::from_secs(5)) };
        assert!(wait_before_retry(&overloaded, 1).unwrap() >= Duration::from_secs(5));
    }

    #[test]
    fn reads_each_way_of_saying_when() {
        let header = |name: &'static str, value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            read_retry_after(&headers)
        };
        assert_eq!(header("retry-after", "7"), Some(Duration::from_secs(7)));
        assert_eq!(header("retry-after-ms", "250"), Some(Duration::from_millis(250)));
        assert_eq!(header("retry-after", "Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::ZERO));
        let later = header("retry-after", "Fri, 21 Oct 2995 07:28:00 GMT").unwrap();
        assert!(later > Duration::from_secs(1_000_000));
        assert_eq!(header("retry-after", "soon"), None);
        assert_eq!(read_retry_delay(&json!({"details": [{}, {"retryDelay": "1.5s"}]})), Some(Duration::from_millis(1500)));
    }
}
