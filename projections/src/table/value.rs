//! One value that goes into a statement or comes out of a row, on either database.

use std::borrow::Cow;

use chrono::{DateTime, SecondsFormat, SubsecRound, Utc};

use super::ColumnKind;

/// A value on its way into a statement, or out of a row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Value {
    /// Nothing, for a column of any kind.
    #[default]
    Null,
    /// Text or JSON.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// True or false.
    Boolean(bool),
    /// A moment, to the microsecond.
    Timestamp(DateTime<Utc>),
}

/// The moment as both databases keep it: microseconds, cut off and never rounded up.
#[must_use]
pub fn to_microseconds(at: DateTime<Utc>) -> DateTime<Utc> {
    at.trunc_subsecs(6)
}

/// The moment as SQLite keeps it: text that sorts like the moments themselves.
#[must_use]
pub fn timestamp_text(at: DateTime<Utc>) -> String {
    to_microseconds(at).to_rfc3339_opts(SecondsFormat::Micros, true)
}

impl Value {
    /// Whether a column of this kind can hold the value. Nothing fits everywhere: whether a column
    /// may be empty is for the database to say.
    #[must_use]
    pub fn fits(&self, kind: ColumnKind) -> bool {
        match self {
            Value::Null => true,
            Value::Text(_) => matches!(kind, ColumnKind::Text | ColumnKind::Json),
            Value::Integer(_) => kind == ColumnKind::Integer,
            Value::Boolean(_) => kind == ColumnKind::Boolean,
            Value::Timestamp(_) => kind == ColumnKind::Timestamp,
        }
    }

    /// Whether it is a text with a NUL character, which PostgreSQL cannot store and which SQLite
    /// therefore must not either.
    #[must_use]
    pub fn has_nul(&self) -> bool {
        matches!(self, Value::Text(text) if text.contains('\0'))
    }

    /// The value as text that PostgreSQL casts back to the column's type.
    #[must_use]
    pub fn to_text(&self) -> Option<Cow<'_, str>> {
        match self {
            Value::Null => None,
            Value::Text(text) => Some(Cow::Borrowed(text)),
            Value::Integer(integer) => Some(Cow::Owned(integer.to_string())),
            Value::Boolean(true) => Some(Cow::Borrowed("true")),
            Value::Boolean(false) => Some(Cow::Borrowed("false")),
            Value::Timestamp(at) => Some(Cow::Owned(timestamp_text(*at))),
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Value::Text(text)
    }
}

impl From<i64> for Value {
    fn from(integer: i64) -> Self {
        Value::Integer(integer)
    }
}

impl From<bool> for Value {
    fn from(boolean: bool) -> Self {
        Value::Boolean(boolean)
    }
}

impl From<DateTime<Utc>> for Value {
    fn from(at: DateTime<Utc>) -> Self {
        Value::Timestamp(to_microseconds(at))
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Value::Null, Into::into)
    }
}
