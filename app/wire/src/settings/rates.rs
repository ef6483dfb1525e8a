use serde::{Deserialize, Serialize};

use crate::FieldError;

/// How many requests of one class are taken: `burst` at once, then `per_minute` evenly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Rate {
    pub per_minute: u32,
    pub burst: u32,
}

impl Rate {
    pub const fn new(per_minute: u32, burst: u32) -> Self {
        Self { per_minute, burst }
    }
}

/// How many requests one caller may send. A caller is a person, one of their API tokens, or, as long as nobody is signed in, an
/// address; networks of IPv6 count as one address up to /64.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct RateSettings {
    /// Sign-in and the forms of accounts, by address.
    pub sign_in: Rate,
    /// What is answered by a model.
    pub model_calls: Rate,
    /// What changes something.
    pub writes: Rate,
    pub reads: Rate,
    /// Event streams and sockets that are opened.
    pub streams: Rate,
    /// Everything that comes from one address, whoever sends it.
    pub address: Rate,
}

impl Default for RateSettings {
    fn default() -> Self {
        Self {
            sign_in: Rate::new(120, 240),
            model_calls: Rate::new(120, 120),
            writes: Rate::new(2_400, 2_400),
            reads: Rate::new(9_000, 6_000),
            streams: Rate::new(1_200, 600),
            address: Rate::new(30_000, 15_000),
        }
    }
}

impl RateSettings {
    /// Names fields as `<class>.<value>`. The least that can be chosen still lets an administrator in to choose more.
    pub fn validate(&self) -> Vec<FieldError> {
        let classes = [
            ("sign_in", self.sign_in, 5),
            ("model_calls", self.model_calls, 1),
            ("writes", self.writes, 30),
            ("reads", self.reads, 120),
            ("streams", self.streams, 30),
            ("address", self.address, 300),
        ];
        let mut fields = Vec::new();
        for (class, rate, least) in classes {
            for (name, value) in [("per_minute", rate.per_minute), ("burst", rate.burst)] {
                if !(least..=1_000_000).contains(&value) {
                    fields.push(FieldError::new(format!("{class}.{name}"), format!("Choose {least} to 1000000.")));
                }
            }
        }
        fields
    }
}
