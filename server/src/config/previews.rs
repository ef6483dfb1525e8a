use std::ops::RangeInclusive;

use super::{HttpConfig, parse::Reader};
use crate::preview::PreviewConfig;

/// Ports that one installation may use for previews.
const PORTS_MAX: u16 = 1000;

pub fn read(read: &mut Reader, http: &HttpConfig) -> PreviewConfig {
    let ports = match read.optional("PREVIEW_PORTS").as_deref() {
        None | Some("off" | "none") => None,
        Some(text) => {
            let range = parse_range(text);
            if range.is_none() {
                read.refuse("PREVIEW_PORTS", format!("must be ports such as 8100-8131, at most {PORTS_MAX} of them, or off"));
            } else if range.as_ref().is_some_and(|range| range.contains(&http.port)) {
                read.refuse("PREVIEW_PORTS", "must not contain the port of APP_PORT");
            }
            range
        }
    };
    let domain = read.optional("PREVIEW_DOMAIN").map(|domain| domain.to_ascii_lowercase());
    let site = http.public_url.as_ref().and_then(|url| url.host_str());
    if let Some(domain) = &domain {
        if !is_host_name(domain) {
            read.refuse("PREVIEW_DOMAIN", "must be a host name such as preview.example.org, without a port");
        } else if site == Some(domain) || http.allowed_hosts.contains(domain) {
            read.refuse("PREVIEW_DOMAIN", "must not be the host name of the site itself");
        }
    }
    PreviewConfig { host: http.host, ports, domain }
}

fn parse_range(text: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (first.trim().parse::<u16>().ok()?, last.trim().parse::<u16>().ok()?);
    (first > 0 && first <= last && last - first < PORTS_MAX).then_some(first..=last)
}

fn is_host_name(text: &str) -> bool {
    let labels: Vec<&str> = text.split('.').collect();
    let is_label = |label: &&str| {
        (1..=63).contains(&label.len()) && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') && !label.starts_with('-')
    };
    // Before it comes a label of ours.
    let is_address = labels.last().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
    text.len() <= 200 && labels.len() >= 2 && labels.iter().all(is_label) && !is_address
}
