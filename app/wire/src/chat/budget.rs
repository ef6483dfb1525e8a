//! What one message may cost and how far its turn may go.

use serde::{Deserialize, Deserializer, Serialize, de::Error};

use crate::{
    FieldError,
    budgets::{BUDGET_TOKENS_MAX, MICROS_USD_MAX, USD},
    limits,
};

/// Limits of one turn, beside those that hold for everybody. The first that is reached ends it, and its end says which one that was.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(try_from = "AskedBudget")]
pub struct TurnBudget {
    /// Input and output of all its answers together.
    pub tokens: Option<i64>,
    /// Answers of the model, 1 to 500; 40 where absent.
    pub steps: Option<u32>,
    /// Micro-US-dollars. No answer begins whose worst case does not fit.
    pub usd_micros: Option<i64>,
}

impl TurnBudget {
    /// `None` where it limits nothing.
    pub fn some(self) -> Option<Self> {
        (self != Self::default()).then_some(self)
    }

    pub fn validate(&self) -> Vec<FieldError> {
        let mut fields = Vec::new();
        if self.tokens.is_some_and(|tokens| !(1..=BUDGET_TOKENS_MAX).contains(&tokens)) {
            fields.push(FieldError::new("budget.tokens", "Choose 1 to 10¹² tokens, or leave it empty."));
        }
        if self.steps.is_some_and(|steps| !(1..=limits::TURN_STEPS_MAX).contains(&steps)) {
            fields.push(FieldError::new("budget.steps", "Choose 1 to 500 steps, or leave it empty."));
        }
        if self.usd_micros.is_some_and(|micros| !(0..=MICROS_USD_MAX).contains(&micros)) {
            fields.push(FieldError::new("budget.usd_micros", "Choose 0 to 1 million US dollars, or leave it empty."));
        }
        fields
    }
}

/// As a request writes it. A limit that is misspelt is refused: who sets one counts on it.
#[derive(Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, expecting = "an object with usd, tokens or steps")]
struct AskedBudget {
    /// US dollars such as 0.25, with at most six decimals. No answer begins whose worst case does not fit.
    #[serde(default, deserialize_with = "read_dollars")]
    #[cfg_attr(feature = "openapi", schemars(with = "Option<f64>", range(min = 0, max = 1_000_000)))]
    usd: Option<i64>,
    /// Input and output of all its answers together.
    #[serde(default)]
    tokens: Option<i64>,
    /// Answers of the model, 1 to 500; 40 where absent.
    #[serde(default)]
    steps: Option<u32>,
    /// In place of `usd`: the same in micro-US-dollars.
    #[serde(default)]
    usd_micros: Option<i64>,
}

impl TryFrom<AskedBudget> for TurnBudget {
    type Error = &'static str;

    fn try_from(asked: AskedBudget) -> Result<Self, Self::Error> {
        if asked.usd.is_some() && asked.usd_micros.is_some() {
            return Err("send usd or usd_micros, not both");
        }
        Ok(Self { tokens: asked.tokens, steps: asked.steps, usd_micros: asked.usd.or(asked.usd_micros) })
    }
}

/// Answers micro-dollars. Refused here, where the field still has the name that it was sent under.
fn read_dollars<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    let Some(dollars) = Option::<f64>::deserialize(deserializer)? else { return Ok(None) };
    to_micros(dollars).map(Some).ok_or_else(|| D::Error::custom("send 0 to 1000000 US dollars, with at most six decimals"))
}

/// `None` where it is out of bounds, or no whole number of micro-dollars.
fn to_micros(dollars: f64) -> Option<i64> {
    /// What calculating in binary fractions may be off by, such as in 0.1 + 0.2.
    const NOISE: f64 = 1e-3;
    let micros = dollars * USD as f64;
    let whole = micros.round();
    ((0.0..=MICROS_USD_MAX as f64).contains(&micros) && (micros - whole).abs() < NOISE).then_some(whole as i64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Result<TurnBudget, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    fn micros(usd: &str) -> Option<i64> {
        read(&format!(r#"{{"usd":{usd}}}"#)).ok()?.usd_micros
    }

    #[test]
    fn dollars_are_read_within_their_bounds() {
        let read = ["0.25", "0", "3", "0.000001", "1e-2", "1000000", "0.30000000000000004"].map(micros);
        let expected = [250_000, 0, 3_000_000, 1, 10_000, MICROS_USD_MAX, 300_000];
        assert_eq!(read, expected.map(Some));
        let wrong = ["-0.01", "-1e-9", "1000000.000001", "1e300", "1e999", "0.0000001", "0.0000015", "\"0.25\"", "\"NaN\"", "NaN", "true"];
        assert_eq!(wrong.map(micros), [None; 11]);
    }

    #[test]
    fn limits_are_named_as_they_are_known() {
        let all = read(r#"{"usd":0.5,"tokens":9,"steps":2}"#).unwrap();
        assert_eq!(all, TurnBudget { tokens: Some(9), steps: Some(2), usd_micros: Some(500_000) });
        assert_eq!(read(&serde_json::to_string(&all).unwrap()).unwrap(), all, "what is kept and answered is read again");
        assert_eq!(read(r#"{"usd":null,"usd_micros":7}"#).unwrap().usd_micros, Some(7));
        assert_eq!(read("{}").unwrap(), TurnBudget::default());
        assert!(read(r#"{"dollars":1}"#).unwrap_err().contains("unknown field `dollars`"));
        assert!(read(r#"{"usd":1,"usd_micros":1000000}"#).unwrap_err().contains("not both"));
    }

    proptest! {
        #[test]
        fn every_amount_is_read_exactly(amount in 0..=MICROS_USD_MAX) {
            prop_assert_eq!(micros(&format!("{}.{:06}", amount / USD, amount % USD)), Some(amount));
        }
    }
}
