//! Wake-ups and cancels between processes, by Redis's publish and subscribe. What is lost is found in the database a second later.

use redis::RedisResult;
use uuid::Uuid;

use crate::{
    LinkStatus,
    bus_post::{Heard, Post},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobSignal {
    /// Something was queued, or a place became free.
    Wake,
    /// A job or a run is to stop.
    Cancel(Uuid),
}

impl JobSignal {
    fn write(self, instance: &str) -> String {
        match self {
            Self::Wake => format!("{instance} wake"),
            Self::Cancel(id) => format!("{instance} cancel {id}"),
        }
    }

    /// `None` for what this process sent itself, and for what it does not understand.
    fn read(text: &str, instance: &str) -> Option<Self> {
        let (from, rest) = text.split_once(' ')?;
        if from == instance {
            return None;
        }
        match rest.split_once(' ') {
            Some(("cancel", id)) => id.parse().ok().map(Self::Cancel),
            None if rest == "wake" => Some(Self::Wake),
            _ => None,
        }
    }
}

/// Takes signals to other processes.
pub trait SignalsLink: Send + Sync + 'static {
    /// Never waits, and promises nothing.
    fn send(&self, signal: JobSignal);
}

pub struct RedisSignals {
    post: Post,
    channel: String,
    instance: String,
}

impl RedisSignals {
    /// Connects in the background and for ever. Other processes' signals go to `receive`; so does a wake-up after each connection,
    /// for those that were missed. Fails only on an address that is none.
    pub fn start(url: &str, prefix: &str, receive: impl Fn(JobSignal) + Send + Sync + 'static) -> RedisResult<Self> {
        let (channel, instance) = (format!("{prefix}:jobs"), Uuid::now_v7().simple().to_string());
        let own = instance.clone();
        let post = Post::start(url, ["signals in", "signals out"], vec![channel.clone()], move |heard| {
            let signal = match heard {
                Heard::Connected => Some(JobSignal::Wake),
                Heard::Letter(text) => std::str::from_utf8(&text).ok().and_then(|text| JobSignal::read(text, &own)),
            };
            if let Some(signal) = signal {
                receive(signal);
            }
        })?;
        Ok(Self { post, channel, instance })
    }

    pub fn status(&self) -> LinkStatus {
        self.post.status()
    }
}

impl SignalsLink for RedisSignals {
    fn send(&self, signal: JobSignal) {
        if !self.post.send(self.channel.clone(), signal.write(&self.instance).into_bytes()) {
            tracing::debug!("a signal to other processes was dropped");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_survive_the_way_and_one_s_own_are_not_heard() {
        for signal in [JobSignal::Wake, JobSignal::Cancel(Uuid::now_v7())] {
            assert_eq!(JobSignal::read(&signal.write("a"), "b"), Some(signal));
            assert_eq!(JobSignal::read(&signal.write("a"), "a"), None);
        }
        assert_eq!(JobSignal::read("a stop everything", "b"), None);
        assert_eq!(JobSignal::read("a cancel what", "b"), None);
    }
}
