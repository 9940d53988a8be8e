//! A row that a statement returned, read by column name whichever database it came from.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::DatabaseError;
use crate::table::{Value, timestamp_text};

/// A row that a statement returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    names: Arc<[String]>,
    values: Vec<Cell>,
}

/// What a column of a row holds; none if it is nothing that the program writes. Somebody else wrote that, and it is
/// refused where it is read, so that it takes nothing with it that stands beside it.
pub(super) type Cell = Option<Value>;

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
    pub(super) fn new(names: Arc<[String]>, values: Vec<Cell>) -> Self {
        Row { names, values }
    }

    /// The value of a column.
    ///
    /// # Errors
    /// `Query` if there is no such column, `Corrupt` if what it holds is of another kind.
    pub fn get<T: FromValue>(&self, column: &str) -> Result<T, DatabaseError> {
        let value = self.position(column).and_then(|index| self.values.get(index));
        let value = value.ok_or_else(|| no_column(column))?.as_ref();
        value.and_then(T::from_value).ok_or_else(|| of_another_kind::<T>(column))
    }

    /// The value of a column, moved out of the row: the column is null from here on.
    ///
    /// # Errors
    /// As for [`Row::get`].
    pub fn take<T: FromValue>(&mut self, column: &str) -> Result<T, DatabaseError> {
        let value = self.position(column).and_then(|index| self.values.get_mut(index));
        let value = value.ok_or_else(|| no_column(column))?.replace(Value::Null);
        value.and_then(T::from_owned).ok_or_else(|| of_another_kind::<T>(column))
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

impl FromValue for Value {
    const EXPECTED: &'static str = "a value";

    fn from_value(value: &Value) -> Option<Self> {
        Some(value.clone())
    }
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
            Value::Text(text) => moment(text),
            Value::Null | Value::Integer(_) | Value::Boolean(_) => None,
        }
    }
}

/// The moment that SQLite keeps as this text. Statements compare the texts, so a moment in another spelling would be
/// found, and sorted, where it does not belong: it is none.
fn moment(text: &str) -> Option<DateTime<Utc>> {
    let at = DateTime::parse_from_rfc3339(text).ok()?.to_utc();
    (timestamp_text(at) == text).then_some(at)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<DateTime<Utc>> {
        FromValue::from_value(&Value::from(text))
    }

    #[test]
    fn a_moment_that_is_kept_as_text_has_one_spelling() {
        for canonical in ["2027-03-01T08:00:00.000000Z", "0001-01-01T00:00:00.000001Z"] {
            assert_eq!(read(canonical).map(timestamp_text).as_deref(), Some(canonical));
        }
        for other in [
            "2027-03-02T07:00:00.000000+23:00",
            "2027-03-01T08:00:00.000000+00:00",
            "2027-03-01T08:00:00Z",
            "2027-03-01T08:00:00.000Z",
            "2027-03-01T08:00:00.0000000Z",
            "2027-03-01T08:00:00.000000z",
            "2027-03-01t08:00:00.000000Z",
            "2027-03-01 08:00:00.000000Z",
            "2027-03-01T08:00:00.000000Z ",
            "soon",
            "",
        ] {
            assert_eq!(read(other), None, "{other}");
        }
    }
}
