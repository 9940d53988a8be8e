//! The event of a row, read in the shape that its type has today.

use countersign_domain::versions::{StoredEvent, read_event};
use serde::de::DeserializeOwned;

use crate::database::{DatabaseError, Row};

/// Out of the columns `event_type`, `event_version` and `payload`; none if it is gone, or does not read.
pub(crate) fn event_of<Event: DeserializeOwned>(row: &Row) -> Result<Option<Event>, DatabaseError> {
    let Some(payload) = row.get::<Option<String>>("payload")? else { return Ok(None) };
    let (event_type, event_version): (String, String) = (row.get("event_type")?, row.get("event_version")?);
    let stored = StoredEvent { event_type: &event_type, event_version: &event_version, payload: &payload };
    Ok(read_event(stored).ok())
}

/// Types of events, as a list within a statement.
pub(crate) fn listed<K: Into<&'static str>>(kinds: impl IntoIterator<Item = K>) -> String {
    let quoted = kinds.into_iter().map(|kind| format!("'{}'", kind.into()));
    quoted.collect::<Vec<_>>().join(", ")
}
