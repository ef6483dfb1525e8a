//! What else speaks to hosts that administrators name: the same guards as for models.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use futures::stream::{BoxStream, StreamExt};
use tokio::time::Instant;

use crate::address::{CheckedResolver, PinnedResolver, check_url, show_host};
use crate::answer::read_pieces;
use crate::client::describe_transport;
use crate::dialects::Framing;
use crate::{HostPolicy, ModelError, install_crypto};

pub use reqwest::{
    Client as HttpClient, Error as HttpError, RequestBuilder as HttpRequest, Response as HttpResponse, StatusCode as HttpStatus,
};
pub use url::Url;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A client for one address: follows no redirects, and connects to nothing that the policy closes, whatever names resolve to.
///
/// Errors: `BadRequest` for an address that is not usable, `AddressRefused` for a host that the policy closes, `Unreachable` when
/// TLS cannot be set up.
pub fn guarded_client(url: &Url, hosts: &HostPolicy, connect_within: Duration) -> Result<HttpClient, ModelError> {
    install_crypto();
    check_url(url, hosts)?;
    let mut builder = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .dns_resolver(CheckedResolver::shared(hosts))
        .connect_timeout(CONNECT_TIMEOUT.min(connect_within))
        .pool_idle_timeout(Duration::from_secs(60));
    if !hosts.private {
        // A proxy would resolve names where nobody checks them.
        builder = builder.no_proxy();
    }
    if url.scheme() == "http" {
        // A server on the local network must not need the system's certificates to exist.
        builder = builder.tls_certs_only([]);
    }
    builder.build().map_err(|error| describe_transport(&error, &show_host(url)))
}

/// A client for one request to a host whose name was looked up and checked by the caller: it connects to `addresses` and nowhere else,
/// follows no redirects, keeps nothing, and takes neither a proxy nor anything else from the environment. A URL whose host is a number
/// goes around `addresses` and must not get here.
///
/// Errors: TLS cannot be set up.
pub fn pinned_client(url: &Url, addresses: &[IpAddr], connect_within: Duration) -> Result<HttpClient, HttpError> {
    install_crypto();
    let pinned = PinnedResolver(addresses.iter().map(|ip| SocketAddr::new(*ip, 0)).collect());
    let mut builder = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .dns_resolver(Arc::new(pinned))
        .connect_timeout(connect_within)
        .pool_max_idle_per_host(0)
        .referer(false)
        .no_proxy();
    if url.scheme() == "http" {
        builder = builder.tls_certs_only([]);
    }
    builder.build()
}

/// Why a request did not get through, in a few words without the address.
pub fn describe_failure(error: &HttpError) -> String {
    match describe_transport(error, "") {
        ModelError::Unreachable { detail, .. } | ModelError::AddressRefused { detail, .. } => detail,
        other => other.to_string(),
    }
}

/// The data of each server-sent event of a response, or its one JSON document: at most 1 MiB an event and 8 MiB a document.
pub fn read_events(response: HttpResponse, first_byte_by: Instant, stall: Duration) -> BoxStream<'static, Result<String, ModelError>> {
    read_pieces(response, Framing::Events, first_byte_by, stall).boxed()
}

/// Why a request did not get through, without the address.
pub fn describe_error(error: &HttpError, url: &Url) -> ModelError {
    describe_transport(error, &show_host(url))
}

/// Foreign text fit to show: one line, at most 300 characters, `key` masked.
pub fn clean_text(text: &str, key: Option<&str>) -> String {
    crate::error::clean_detail(text, key)
}
