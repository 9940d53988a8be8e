//! A row that a statement returned, read by column name whichever database it came from.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::DatabaseError;
use crate::table::{Value, to_microseconds};

/// A row that a statement returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    names: Arc<[String]>,
    values: Vec<Value>,
}

/// What a column can be read as.
pub trait FromValue: Sized {
    /// How the type is called when a column turns out to be something else.
    const EXPECTED: &'static str;

    /// The value, unless it is of another kind.
    fn from_value(value: &Value) -> Option<Self>;

    /// The same of a value that nobody else needs.
    #[must_use]
    fn from_owned(value: Value) -> Option<Self> {
        Self::from_value(&value)
    }
}

impl Row {
    /// A row of these columns; `names` is shared by all rows of one answer.
    pub(super) fn new(names: Arc<[String]>, values: Vec<Value>) -> Self {
        Row { names, values }
    }

    /// The value of a column.
    ///
    /// # Errors
    /// `Query` if there is no such column, `Corrupt` if what it holds is of another kind.
    pub fn get<T: FromValue>(&self, column: &str) -> Result<T, DatabaseError> {
        let value = self.position(column).and_then(|index| self.values.get(index));
        let value = value.ok_or_else(|| no_column(column))?;
        T::from_value(value).ok_or_else(|| of_another_kind::<T>(column))
    }

    /// The value of a column, moved out of the row: the column is null from here on.
    ///
    /// # Errors
    /// As for [`Row::get`].
    pub fn take<T: FromValue>(&mut self, column: &str) -> Result<T, DatabaseError> {
        let value = self.position(column).and_then(|index| self.values.get_mut(index));
        let value = std::mem::take(value.ok_or_else(|| no_column(column))?);
        T::from_owned(value).ok_or_else(|| of_another_kind::<T>(column))
    }

    fn position(&self, column: &str) -> Option<usize> {
        self.names.iter().position(|name| name == column)
    }
}

fn no_column(column: &str) -> DatabaseError {
    DatabaseError::Query(format!("no column {column} in the answer"))
}

fn of_another_kind<T: FromValue>(column: &str) -> DatabaseError {
    DatabaseError::Corrupt(format!("column {column} is not {}", T::EXPECTED))
}

impl FromValue for String {
    const EXPECTED: &'static str = "a text";

    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Text(text) => Some(text.clone()),
            Value::Null | Value::Integer(_) | Value::Boolean(_) | Value::Timestamp(_) => None,
        }
    }

    fn from_owned(value: Value) -> Option<Self> {
        match value {
            Value::Text(text) => Some(text),
            Value::Null | Value::Integer(_) | Value::Boolean(_) | Value::Timestamp(_) => None,
        }
    }
}

impl FromValue for i64 {
    const EXPECTED: &'static str = "an integer";

    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Integer(integer) => Some(*integer),
            Value::Null | Value::Text(_) | Value::Boolean(_) | Value::Timestamp(_) => None,
        }
    }
}

impl FromValue for bool {
    const EXPECTED: &'static str = "a boolean";

    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Boolean(boolean) => Some(*boolean),
            // SQLite has no booleans.
            Value::Integer(0) => Some(false),
            Value::Integer(1) => Some(true),
            Value::Null | Value::Integer(_) | Value::Text(_) | Value::Timestamp(_) => None,
        }
    }
}

impl FromValue for DateTime<Utc> {
    const EXPECTED: &'static str = "a timestamp";

    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Timestamp(at) => Some(*at),
            // SQLite has no timestamps.
            Value::Text(text) => {
                let at = DateTime::parse_from_rfc3339(text).ok()?;
                Some(to_microseconds(at.with_timezone(&Utc)))
            }
            Value::Null | Value::Integer(_) | Value::Boolean(_) => None,
        }
    }
}

impl<T: FromValue> FromValue for Option<T> {
    const EXPECTED: &'static str = T::EXPECTED;

    fn from_value(value: &Value) -> Option<Self> {
        if *value == Value::Null {
            return Some(None);
        }
        T::from_value(value).map(Some)
    }

    fn from_owned(value: Value) -> Option<Self> {
        if value == Value::Null {
            return Some(None);
        }
        T::from_owned(value).map(Some)
    }
}
