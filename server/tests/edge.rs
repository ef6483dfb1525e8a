//! What is between the network and the use-cases: who is let in from where, how often, with how much, and what every answer carries.

mod compress;
mod foreign;
mod headers;
mod letters;
mod once;
mod rates;
mod slow;

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
