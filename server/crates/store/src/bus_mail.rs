//! Letters between processes, to all of them or to one. Whoever writes numbers them: one that is lost is lost.

use redis::RedisResult;
use uuid::Uuid;

use crate::{
    LinkStatus,
    bus_post::{Heard, Post},
};

/// Where a letter goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum To {
    /// Every process but this one.
    All,
    /// The process with this [`RedisMail::address`].
    One(String),
}

/// The post office of this process.
pub struct RedisMail {
    post: Post,
    prefix: String,
    address: String,
}

fn channel(prefix: &str, to: &To) -> String {
    match to {
        To::All => format!("{prefix}:mail"),
        To::One(address) => format!("{prefix}:mail:{address}"),
    }
}

impl RedisMail {
    /// Connects in the background and for ever. Letters go to `receive`, in the order in which each process sent them; it must not
    /// block. Fails only on an address that is none.
    pub fn start(url: &str, prefix: &str, receive: impl Fn(Vec<u8>) + Send + Sync + 'static) -> RedisResult<Self> {
        let address = Uuid::now_v7().simple().to_string();
        let channels = [To::All, To::One(address.clone())].iter().map(|to| channel(prefix, to)).collect();
        let post = Post::start(url, ["letters in", "letters out"], channels, move |heard| {
            if let Heard::Letter(letter) = heard {
                receive(letter);
            }
        })?;
        Ok(Self { post, prefix: prefix.to_owned(), address })
    }

    /// Where others reach this process.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Never waits. `false` when the letter is lost already.
    pub fn send(&self, to: To, letter: Vec<u8>) -> bool {
        self.post.send(channel(&self.prefix, &to), letter)
    }

    pub fn status(&self) -> LinkStatus {
        self.post.status()
    }
}
