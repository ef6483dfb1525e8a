//! What providers want back as they sent it, such as signed thoughts, kept beside the call it led to. Some refuse to go on
//! after a tool call without it. It lives as long as the client; where it is gone, requests are written so that they do
//! without.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::Value;

const MAX_ENTRIES: usize = 1024;
const MAX_BYTES: usize = 8 << 20;

#[derive(Clone, Default)]
pub(crate) struct Memory {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    entries: VecDeque<Entry>,
    bytes: usize,
}

struct Entry {
    call_id: String,
    tool: String,
    blocks: Arc<Vec<Value>>,
    bytes: usize,
}

impl Memory {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    pub(crate) fn keep(&self, call_id: &str, tool: &str, blocks: Vec<Value>) {
        let bytes = blocks.iter().map(|block| block.to_string().len()).sum();
        if bytes > MAX_BYTES {
            return;
        }
        let mut inner = self.lock();
        inner.bytes += bytes;
        inner.entries.push_back(Entry { call_id: call_id.to_owned(), tool: tool.to_owned(), blocks: Arc::new(blocks), bytes });
        while inner.entries.len() > MAX_ENTRIES || inner.bytes > MAX_BYTES {
            let Some(oldest) = inner.entries.pop_front() else { break };
            inner.bytes -= oldest.bytes;
        }
    }

    pub(crate) fn recall(&self, call_id: &str, tool: &str) -> Option<Arc<Vec<Value>>> {
        let inner = self.lock();
        inner.entries.iter().rev().find(|entry| entry.call_id == call_id && entry.tool == tool).map(|entry| entry.blocks.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn forgets_the_oldest_first() {
        let memory = Memory::default();
        for n in 0..=MAX_ENTRIES {
            memory.keep(&format!("c{n}"), "t", vec![json!(n)]);
        }
        assert_eq!(memory.recall("c0", "t"), None);
        assert_eq!(memory.recall("c1", "t").as_deref(), Some(&vec![json!(1)]));
        assert_eq!(memory.recall("c1", "other"), None);
        memory.keep("large", "t", vec![json!("x".repeat(MAX_BYTES - 2))]);
        assert_eq!(memory.recall("c1", "t"), None);
        assert!(memory.recall("large", "t").is_some());
    }
}
