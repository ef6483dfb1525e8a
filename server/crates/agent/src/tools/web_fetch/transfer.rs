//! The request itself, bounded in time, bytes and redirects.

use std::time::Duration;

use llm::http::{HttpResponse, Url, describe_failure, pinned_client};
use tokio::time::timeout;

use super::{
    gate::{Gate, Target},
    page::{self, BODY_MAX, Page, Raw},
};
use crate::tools::ToolError;

const REDIRECTS_MAX: usize = 5;
const FIRST_BYTE: Duration = Duration::from_secs(10);
const WHOLE: Duration = Duration::from_secs(30);
const ACCEPT: &str = "text/html, text/markdown, text/plain, application/json, application/xml;q=0.9, text/*;q=0.8, */*;q=0.1";
const AGENT: &str = concat!("cloudxdevai/", env!("CARGO_PKG_VERSION"));

pub(super) struct Transfer {
    pub gate: Gate,
    /// For a connection and the head of an answer.
    pub first_byte: Duration,
    /// For everything, redirects included.
    pub whole: Duration,
}

impl Transfer {
    pub fn new(gate: Gate) -> Self {
        Self { gate, first_byte: FIRST_BYTE, whole: WHOLE }
    }

    /// Fetches what is at an address. To stop it, drop the future: the connection goes with it.
    pub async fn fetch(&self, address: &str) -> Result<Page, ToolError> {
        let fetched = timeout(self.whole, self.follow(address)).await;
        let raw = fetched.unwrap_or_else(|_| Err(too_slow("the whole of it did not arrive in time", self.whole)))?;
        let read = tokio::task::spawn_blocking(move || page::read(raw)).await;
        read.map_err(|error| ToolError::Domain(domain::Error::internal(error)))?
    }

    async fn follow(&self, address: &str) -> Result<Raw, ToolError> {
        let mut target = Target::read(address)?;
        if !self.gate.is_open(&target) {
            return Err(self.gate.closed(&target, ""));
        }
        for redirects in 0..=REDIRECTS_MAX {
            let response = self.ask(&target).await?;
            let Some(next) = where_next(&response, &target.url) else { return receive(response, target, redirects).await };
            target = self.judge(&target, &next)?;
        }
        let content = format!("Not fetched: it led on more than {REDIRECTS_MAX} times, at last to {}.", target.url);
        Err(ToolError::refused(content, "Too many redirects"))
    }

    /// Where a page leads is judged like an address that was asked for. Another host, even an open one, takes a call of its own: the rules
    /// and the person that let this one through knew nothing of it.
    fn judge(&self, from: &Target, next: &Url) -> Result<Target, ToolError> {
        let before = format!("{} leads on, and ", from.host);
        let next = Target::read(next.as_str()).map_err(|_| {
            let content = format!("Not fetched: {} leads on to an address that can't be used. Nothing was sent there.", from.url);
            ToolError::refused(content, "Leads to an address that can't be used")
        })?;
        if !self.gate.is_open(&next) {
            return Err(self.gate.closed(&next, &before));
        }
        if next.host != from.host {
            let content = format!(
                "Not fetched: {} leads on to another host, at {}. Nothing was sent there. Fetch that address if you still want the page.",
                from.url, next.url
            );
            return Err(ToolError::refused(content, format!("Leads on to {}", next.host)));
        }
        Ok(next)
    }

    async fn ask(&self, target: &Target) -> Result<HttpResponse, ToolError> {
        let failed = |why: String| {
            let place = target.place();
            ToolError::refused(format!("Not fetched: {place} could not be reached: {why}."), format!("{place} could not be reached"))
        };
        let asked = async {
            let addresses = self.gate.resolve(target).await?;
            let client = pinned_client(&target.url, &addresses, self.first_byte).map_err(|error| failed(describe_failure(&error)))?;
            let request =
                client.get(target.url.clone()).header("accept", ACCEPT).header("accept-encoding", "gzip").header("user-agent", AGENT);
            request.send().await.map_err(|error| failed(describe_failure(&error)))
        };
        let answered = timeout(self.first_byte, asked).await;
        answered.unwrap_or_else(|_| Err(too_slow(&format!("{} did not begin to answer in time", target.place()), self.first_byte)))
    }
}

fn too_slow(what: &str, most: Duration) -> ToolError {
    let content = format!("Not fetched: {what}, {} seconds at most. It may work later.", most.as_secs_f32());
    ToolError::refused(content, "Took too long")
}

/// Where an answer leads on to; `None` for one that is the page.
fn where_next(response: &HttpResponse, at: &Url) -> Option<Url> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    at.join(response.headers().get("location")?.to_str().ok()?).ok()
}

/// Reads the body, up to the limit, where its type is one that can be read.
async fn receive(mut response: HttpResponse, target: Target, redirects: usize) -> Result<Raw, ToolError> {
    let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let (kind, encoding) = (header("content-type"), header("content-encoding"));
    let status = response.status();
    page::check_kind(&kind)?;
    page::check_encoding(&encoding)?;
    let mut bytes = Vec::new();
    while bytes.len() <= BODY_MAX {
        match response.chunk().await {
            Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
            Ok(None) => break,
            Err(error) => {
                let content = format!("Not fetched: the answer of {} broke off: {}.", target.place(), describe_failure(&error));
                return Err(ToolError::refused(content, "The answer broke off"));
            }
        }
    }
    Ok(Raw { url: target.url, host: target.host, status, kind, encoding, redirects, bytes })
}
