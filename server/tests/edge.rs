//! What is between the network and the use-cases: who is let in from where, how often, with how much, and what every answer carries.

#[path = "edge/compress.rs"]
mod compress;
#[path = "edge/foreign.rs"]
mod foreign;
#[path = "edge/headers.rs"]
mod headers;
#[path = "edge/letters.rs"]
mod letters;
#[path = "support/mail_server.rs"]
mod mail_server;
#[allow(dead_code, reason = "other tests go further with it")]
#[path = "support/oidc_browser.rs"]
mod oidc_browser;
#[path = "support/oidc_server.rs"]
mod oidc_server;
#[path = "edge/once.rs"]
mod once;
#[path = "edge/rates.rs"]
mod rates;
#[path = "../crates/store/tests/support/redis_server.rs"]
mod redis_server;
#[path = "edge/slow.rs"]
mod slow;
mod support;

/// The pattern of a route with something in place of each name.
fn fill_in(path: &str) -> String {
    let mut filled = String::new();
    for part in path.split_inclusive('/') {
        let (name, slash) = part.strip_suffix('/').map_or((part, ""), |name| (name, "/"));
        match (name.find('{'), name.find('}')) {
            (Some(begin), Some(end)) => {
                filled.push_str(&name[..begin]);
                filled.push_str("0190a6f0-0000-7000-8000-000000000000");
                filled.push_str(&name[end + 1..]);
            }
            _ => filled.push_str(name),
        }
        filled.push_str(slash);
    }
    filled
}
