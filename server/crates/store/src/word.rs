use std::{error::Error, fmt};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sqlx::{Database, Decode, Encode, Type, encode::IsNull};

type BoxError = Box<dyn Error + Send + Sync>;

/// An enum of `wire` in a TEXT column, under the word it has in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Word<T>(pub T);

/// A value of `wire` as JSON in a TEXT column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Doc<T>(pub T);

impl<T: Serialize> Word<T> {
    fn text(&self) -> Result<String, BoxError> {
        match serde_json::to_value(&self.0)? {
            serde_json::Value::String(word) => Ok(word),
            other => Err(NotAWord(other.to_string()).into()),
        }
    }
}

#[derive(Debug)]
struct NotAWord(String);

impl fmt::Display for NotAWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is not written as one word", self.0)
    }
}

impl Error for NotAWord {}

impl<DB: Database, T> Type<DB> for Word<T>
where
    String: Type<DB>,
{
    fn type_info() -> DB::TypeInfo {
        String::type_info()
    }

    fn compatible(info: &DB::TypeInfo) -> bool {
        String::compatible(info)
    }
}

impl<'r, DB: Database, T: DeserializeOwned> Decode<'r, DB> for Word<T>
where
    String: Decode<'r, DB>,
{
    fn decode(value: DB::ValueRef<'r>) -> Result<Self, BoxError> {
        let word = String::decode(value)?;
        Ok(Self(serde_json::from_value(serde_json::Value::String(word))?))
    }
}

impl<'q, DB: Database, T: Serialize> Encode<'q, DB> for Word<T>
where
    String: Encode<'q, DB>,
{
    fn encode_by_ref(&self, buffer: &mut DB::ArgumentBuffer) -> Result<IsNull, BoxError> {
        self.text()?.encode(buffer)
    }
}

impl<DB: Database, T> Type<DB> for Doc<T>
where
    String: Type<DB>,
{
    fn type_info() -> DB::TypeInfo {
        String::type_info()
    }

    fn compatible(info: &DB::TypeInfo) -> bool {
        String::compatible(info)
    }
}

impl<'r, DB: Database, T: DeserializeOwned> Decode<'r, DB> for Doc<T>
where
    String: Decode<'r, DB>,
{
    fn decode(value: DB::ValueRef<'r>) -> Result<Self, BoxError> {
        Ok(Self(serde_json::from_str(&String::decode(value)?)?))
    }
}

impl<'q, DB: Database, T: Serialize> Encode<'q, DB> for Doc<T>
where
    String: Encode<'q, DB>,
{
    fn encode_by_ref(&self, buffer: &mut DB::ArgumentBuffer) -> Result<IsNull, BoxError> {
        serde_json::to_string(&self.0)?.encode(buffer)
    }
}
