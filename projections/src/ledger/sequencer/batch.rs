//! What waits for a place, with the events themselves and the entries that come before them.

use std::collections::HashMap;

use serde_json::json;

use super::{Held, HeldEvent, Sequencer, TURN_ROWS_MAX};
use crate::database::{DatabaseError, Row};
use crate::ledger::store::{LedgerError, natural, number};
use crate::ledger::tree::{Hash, MAX_SIZE};
use crate::table::{integer, text};

/// What a turn looks at.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) rows: Vec<PendingRow>,
    /// The last entry of each of their streams: its sequence and hash.
    pub(super) last_entries: HashMap<StreamKey, (u64, Hash)>,
    /// Whether there may be more than was read.
    pub(super) more: bool,
    /// Rows before these, none of which can be placed.
    pub(super) held: Held,
}

/// A stream, by its type and id.
pub(super) type StreamKey = (String, String);

/// One event that waits.
pub(super) struct PendingRow {
    pub(super) pending_id: i64,
    pub(super) stream: StreamKey,
    pub(super) sequence: u64,
    /// Gone, if somebody removed it behind the program's back.
    pub(super) event: Option<PendingEvent>,
}

/// The columns of an event that its leaf is made of.
pub(super) struct PendingEvent {
    pub(super) event_id: String,
    pub(super) event_type: String,
    pub(super) event_version: String,
    pub(super) recorded_at: countersign_domain::Timestamp,
    pub(super) agreement_id: Option<String>,
    pub(super) payload: String,
    pub(super) metadata: String,
}

const READ_PENDING: &str = "SELECT pending_id, aggregate_type, aggregate_id, sequence FROM ledger_pending \
    WHERE pending_id > $1 ORDER BY pending_id LIMIT $2";

/// What a stream's event is found by.
type EventKey = (StreamKey, u64);

/// Pages without a row that can be placed are passed over, so many in a turn; the next turn goes on behind
/// them, so that what is held hides nothing for ever.
const PAGES_MAX: usize = 16;

impl Sequencer {
    /// Reads what waits, past the rows that are held.
    pub(super) async fn read_batch(&mut self, size: u64) -> Result<Batch, LedgerError> {
        let mut held = Held::default();
        for _ in 0..PAGES_MAX {
            let mut batch = self.read_page(self.passed, size).await?;
            let stuck = !batch.rows.iter().any(|row| batch.may_be_placed(row));
            if batch.more && stuck {
                self.passed = batch.rows.last().map_or(i64::MIN, |row| row.pending_id);
                for row in &batch.rows {
                    held.push(HeldEvent { event: row.name(), reason: "one before it is missing".to_owned() });
                }
                continue;
            }
            // From the beginning again next time: what was missing may be there by then.
            self.passed = if batch.more { self.passed } else { i64::MIN };
            batch.held = held;
            return Ok(batch);
        }
        Ok(Batch { held, ..Batch::default() })
    }

    async fn read_page(&self, after: i64, size: u64) -> Result<Batch, LedgerError> {
        let limit = i64::try_from(TURN_ROWS_MAX).unwrap_or(i64::MAX);
        let rows = self.store.database().read_bulk(READ_PENDING, &[after.into(), limit.into()]).await?;
        let mut batch = Batch { more: rows.len() == TURN_ROWS_MAX, ..Batch::default() };
        batch.rows = rows.iter().map(read_row).collect::<Result<_, _>>()?;
        if !batch.rows.is_empty() {
            self.read_events(&mut batch).await?;
            self.read_last_entries(&mut batch, size).await?;
        }
        Ok(batch)
    }

    /// The events are looked up by the keys that are handed over, one by one through the primary key: a
    /// planner that knows little of the queue would rather walk through all events there are.
    async fn read_events(&self, batch: &mut Batch) -> Result<(), LedgerError> {
        let keys: Vec<_> = batch
            .rows
            .iter()
            .map(|PendingRow { stream: (stream_type, id), sequence, .. }| {
                json!({ "aggregate_type": stream_type, "aggregate_id": id, "sequence": sequence })
            })
            .collect();
        let database = self.store.database();
        let given = [text("aggregate_type"), text("aggregate_id"), integer("sequence")];
        let sql = format!(
            "SELECT e.aggregate_type, e.aggregate_id, e.sequence, e.event_id, e.event_type, e.event_version, \
             e.recorded_at, e.agreement_id, CAST(e.payload AS text) AS payload, CAST(e.metadata AS text) AS metadata \
             FROM {} JOIN events e ON e.aggregate_type = given.aggregate_type \
             AND e.aggregate_id = given.aggregate_id AND e.sequence = given.sequence",
            database.given(1, &given)
        );
        let mut events: HashMap<EventKey, PendingEvent> = HashMap::with_capacity(keys.len());
        for row in database.read_bulk(&sql, &[json!(keys).to_string().into()]).await? {
            let stream = (row.get("aggregate_type")?, row.get("aggregate_id")?);
            // One that does not read holds its stream back, like one that is gone.
            if let Ok(event) = read_event(&row) {
                events.insert((stream, natural(&row, "sequence")?), event);
            }
        }
        for row in &mut batch.rows {
            // An event that is announced twice is looked at once.
            row.event = events.remove(&(row.stream.clone(), row.sequence));
        }
        Ok(())
    }

    async fn read_last_entries(&self, batch: &mut Batch, size: u64) -> Result<(), LedgerError> {
        let mut firsts: HashMap<&StreamKey, u64> = HashMap::new();
        for row in &batch.rows {
            firsts.entry(&row.stream).or_insert(row.sequence);
        }
        let streams: Vec<_> = firsts
            .into_keys()
            .map(|(stream_type, id)| json!({ "aggregate_type": stream_type, "aggregate_id": id }))
            .collect();
        let database = self.store.database();
        let given = database.given(1, &[text("aggregate_type"), text("aggregate_id")]);
        let sql = format!(
            "SELECT l.aggregate_type, l.aggregate_id, l.sequence, l.leaf_hash FROM {given} \
             JOIN ledger_entries l ON l.aggregate_type = given.aggregate_type AND l.aggregate_id = given.aggregate_id \
             AND l.position < $2 AND l.sequence = (SELECT max(m.sequence) FROM ledger_entries m \
             WHERE m.aggregate_type = given.aggregate_type AND m.aggregate_id = given.aggregate_id \
             AND m.position < $2)"
        );
        // What lies beyond the ledger's size is nothing that a sequencer wrote.
        let params = [json!(streams).to_string().into(), number(size)?];
        for row in database.read_bulk(&sql, &params).await? {
            let stream = (row.get("aggregate_type")?, row.get("aggregate_id")?);
            let hash = row.get::<String>("leaf_hash")?.parse()?;
            batch.last_entries.insert(stream, (natural(&row, "sequence")?, hash));
        }
        Ok(())
    }
}

impl PendingRow {
    /// The event as `Countersign-Write` names it.
    pub(super) fn name(&self) -> String {
        let (stream_type, id) = &self.stream;
        format!("{stream_type}/{id}/{}", self.sequence)
    }
}

impl Batch {
    /// Whether nothing before this row is missing, as far as the stored entries say.
    fn may_be_placed(&self, row: &PendingRow) -> bool {
        let last = self.last_entries.get(&row.stream).map_or(0, |(sequence, _)| *sequence);
        row.event.is_some() && row.sequence <= last.saturating_add(1)
    }
}

fn read_row(row: &Row) -> Result<PendingRow, LedgerError> {
    Ok(PendingRow {
        pending_id: row.get("pending_id")?,
        stream: (row.get("aggregate_type")?, row.get("aggregate_id")?),
        // No event has a sequence below one; such a row finds none, and is held.
        sequence: natural(row, "sequence").unwrap_or(MAX_SIZE),
        event: None,
    })
}

fn read_event(row: &Row) -> Result<PendingEvent, DatabaseError> {
    Ok(PendingEvent {
        event_id: row.get("event_id")?,
        event_type: row.get("event_type")?,
        event_version: row.get("event_version")?,
        recorded_at: row.get("recorded_at")?,
        agreement_id: row.get("agreement_id")?,
        payload: row.get("payload")?,
        metadata: row.get("metadata")?,
    })
}
