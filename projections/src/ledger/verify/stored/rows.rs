//! Entries and their events, page by page.

use countersign_domain::Timestamp;

use super::{StoredError, natural, page};
use crate::database::{Database, DatabaseError, Row};
use crate::ledger::verify::{Beside, FoundContent, FoundEntry, FoundEvent};

/// So many entries are read at once.
const PAGE_ENTRIES: i64 = 2_000;

const READ: &str = "SELECT l.position, l.aggregate_type, l.aggregate_id, l.sequence, l.leaf, l.leaf_hash, \
    e.event_id, e.event_type, e.event_version, e.recorded_at, e.user_id, e.agreement_id, e.actor_id, \
    CAST(e.payload AS text) AS payload, CAST(e.metadata AS text) AS metadata \
    FROM (SELECT * FROM ledger_entries WHERE position >= $1 AND position < $2 ORDER BY position LIMIT $3) AS l \
    LEFT JOIN events e ON e.aggregate_type = l.aggregate_type AND e.aggregate_id = l.aggregate_id \
    AND e.sequence = l.sequence ORDER BY l.position";

/// An entry as it is stored, with its event.
#[derive(Debug)]
pub(super) struct EntryRow {
    pub(super) position: u64,
    stream_type: String,
    stream_id: String,
    sequence: u64,
    leaf: String,
    leaf_hash: String,
    event: Option<EventRow>,
}

#[derive(Debug)]
struct EventRow {
    event_id: String,
    event_type: String,
    event_version: String,
    recorded_at: Option<Timestamp>,
    user_id: Option<String>,
    agreement_id: Option<String>,
    actor_id: Option<String>,
    payload: String,
    metadata: String,
}

/// The next entries from a position on and below a size.
pub(super) async fn read_entries(
    database: &Database,
    from: u64,
    size: u64,
) -> Result<Vec<EntryRow>, StoredError> {
    let unreadable = |error| StoredError::Entries { from, error };
    // A size that is no number of the database's is larger than every position.
    let number = |natural: u64| i64::try_from(natural).unwrap_or(i64::MAX);
    let params = [number(from).into(), number(size).into(), PAGE_ENTRIES.into()];
    let rows = page(database, READ, &params).await.map_err(unreadable)?;
    rows.iter().map(read_entry).collect::<Result<_, _>>().map_err(unreadable)
}

fn read_entry(row: &Row) -> Result<EntryRow, DatabaseError> {
    let event_id = row.get::<Option<String>>("event_id");
    Ok(EntryRow {
        position: natural(row, "position")?,
        stream_type: as_found(row, "aggregate_type"),
        stream_id: as_found(row, "aggregate_id"),
        sequence: natural(row, "sequence").unwrap_or_default(),
        leaf: as_found(row, "leaf"),
        leaf_hash: as_found(row, "leaf_hash"),
        event: event_id.unwrap_or_else(|_| Some(String::new())).map(|event_id| read_event(row, event_id)),
    })
}

/// SQLite keeps anything in any column. What is no text is not what was recorded, and neither is an empty one: it is
/// found by that, and what is beside it is looked at all the same.
fn as_found(row: &Row, column: &str) -> String {
    row.get(column).unwrap_or_default()
}

fn as_found_or_none(row: &Row, column: &str) -> Option<String> {
    row.get(column).unwrap_or_else(|_| Some(String::new()))
}

fn read_event(row: &Row, event_id: String) -> EventRow {
    EventRow {
        event_id,
        event_type: as_found(row, "event_type"),
        event_version: as_found(row, "event_version"),
        // It may be no moment any more, or on SQLite sort where another one does.
        recorded_at: row.get("recorded_at").ok(),
        user_id: as_found_or_none(row, "user_id"),
        agreement_id: as_found_or_none(row, "agreement_id"),
        actor_id: as_found_or_none(row, "actor_id"),
        payload: as_found(row, "payload"),
        metadata: as_found(row, "metadata"),
    }
}

impl EntryRow {
    pub(super) fn found(&self) -> FoundEntry<'_> {
        let beside = Beside {
            stream_type: &self.stream_type,
            stream_id: &self.stream_id,
            sequence: self.sequence,
            leaf_hash: &self.leaf_hash,
        };
        let content = self.event.as_ref().map_or(FoundContent::Missing, EventRow::found);
        FoundEntry { leaf: self.leaf.as_bytes(), beside: Some(beside), content }
    }
}

impl EventRow {
    fn found(&self) -> FoundContent<'_> {
        FoundContent::Event(FoundEvent {
            event_id: &self.event_id,
            event_type: &self.event_type,
            event_version: &self.event_version,
            payload: &self.payload,
            metadata: &self.metadata,
            user_id: self.user_id.as_deref(),
            agreement_id: self.agreement_id.as_deref(),
            recorded_at: self.recorded_at,
            actor_id: self.actor_id.as_deref(),
        })
    }
}
