//! Shortens text for a model without hiding that it was shortened.

pub use domain::context::text::{cut_end, cut_middle, fence_for};
pub use wire::context::estimate_tokens;

/// `1 line`, `2 lines`.
pub fn count_of(n: usize, noun: &str) -> String {
    if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") }
}
