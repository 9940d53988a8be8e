//! Events that are not in the ledger, and events that are gone before they came into it.
//!
//! An event, the row that announces it, and the snapshot of its stream are written together, and its
//! entry takes the place of the row. So at every moment an event has one of the two.

use super::{StoredError, natural, page};
use crate::database::{Database, DatabaseError, Row};
use crate::ledger::verify::{Finding, Place, Problem, Verification};
use crate::ledger::waiting::{KEY, and_nothing, nothing, waiting};
use crate::table::{Value, text};

/// So many rows are read at once.
const PAGE_ROWS: usize = 10_000;

const SNAPSHOTS: &str = "SELECT s.aggregate_type, s.aggregate_id, s.last_sequence AS sequence, \
    (SELECT max(e.sequence) FROM events e WHERE e.aggregate_type = s.aggregate_type \
    AND e.aggregate_id = s.aggregate_id) AS last_event \
    FROM (SELECT aggregate_type, aggregate_id, last_sequence FROM snapshots \
    WHERE (aggregate_type, aggregate_id) > ($1, $2) ORDER BY aggregate_type, aggregate_id LIMIT $3) AS s \
    ORDER BY s.aggregate_type, s.aggregate_id";

const ANNOUNCED: &str = "SELECT p.pending_id, p.aggregate_type, p.aggregate_id, p.sequence, \
    e.sequence AS found FROM (SELECT * FROM ledger_pending WHERE pending_id > $1 \
    ORDER BY pending_id LIMIT $2) AS p LEFT JOIN events e ON e.aggregate_type = p.aggregate_type \
    AND e.aggregate_id = p.aggregate_id AND e.sequence = p.sequence ORDER BY p.pending_id";

pub(super) async fn check(database: &Database, verification: &mut Verification) -> Result<(), StoredError> {
    check_events(database, verification).await?;
    check_announced(database, verification).await?;
    check_stream_ends(database, verification).await
}

/// How many events wait for their place.
pub(super) async fn count_pending(database: &Database) -> Result<u64, StoredError> {
    let rows = page(database, "SELECT count(*) AS waiting FROM ledger_pending", &[]).await?;
    Ok(rows.first().map_or(Ok(0), |row| natural(row, "waiting"))?)
}

/// An event by its stream and sequence.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Key {
    stream_type: String,
    stream_id: String,
    sequence: i64,
}

impl Key {
    fn of(row: &Row) -> Result<Self, DatabaseError> {
        let (stream_type, stream_id) = (row.get("aggregate_type")?, row.get("aggregate_id")?);
        Ok(Self { stream_type, stream_id, sequence: row.get("sequence")? })
    }

    fn finding(&self, event_type: Option<&str>, problem: Problem) -> Finding {
        let sequence = u64::try_from(self.sequence).unwrap_or(0);
        let stream = (self.stream_type.as_str(), self.stream_id.as_str());
        Finding { place: Place::event(event_type, stream, sequence), problem }
    }

    /// The sequence that comes next in the stream of another event.
    fn next_in(&self, other: &Self) -> i64 {
        let same = self.stream_type == other.stream_type && self.stream_id == other.stream_id;
        if same { self.sequence.saturating_add(1) } else { 1 }
    }
}

/// The next events with their entries, and whether they wait.
fn next_events(database: &Database) -> String {
    let [stream_type, id, sequence] = KEY;
    let columns = [stream_type, id, sequence, text("event_id"), text("event_type")];
    let next = "SELECT aggregate_type, aggregate_id, sequence, event_id, event_type FROM events \
                WHERE (aggregate_type, aggregate_id, sequence) > ($1, $2, $3) \
                ORDER BY aggregate_type, aggregate_id, sequence LIMIT $4";
    format!(
        "SELECT e.aggregate_type, e.aggregate_id, e.sequence, e.event_type, l.position, p.sequence AS announced \
         FROM {} AS e LEFT JOIN ledger_entries l ON {{entry_of_event}} \
         LEFT JOIN {} AS p ON p.aggregate_type = e.aggregate_type AND p.aggregate_id = e.aggregate_id \
         AND p.sequence = e.sequence ORDER BY e.aggregate_type, e.aggregate_id, e.sequence",
        and_nothing(database, 5, &columns, next),
        waiting(database, 5)
    )
}

async fn check_events(database: &Database, verification: &mut Verification) -> Result<(), StoredError> {
    let mut last = Key::default();
    let sql = next_events(database);
    loop {
        let stream = [last.stream_type.as_str(), &last.stream_id].map(Value::from);
        let [stream_type, stream_id] = stream;
        let params = [stream_type, stream_id, last.sequence.into(), limit(), nothing()];
        let rows = page(database, &sql, &params).await?;
        for row in &rows {
            let key = Key::of(row)?;
            // Where the ledger has the event, it also says which events come before it.
            if row.get::<Option<i64>>("position")?.is_none() {
                let event_type: String = row.get("event_type")?;
                let mut report = |problem| verification.report(key.finding(Some(&event_type), problem));
                let expected = last.next_in(&key);
                if key.sequence > expected {
                    report(Problem::EventsGone { from: u64::try_from(expected).unwrap_or(0) });
                }
                if row.get::<Option<i64>>("announced")?.is_none() {
                    report(Problem::EventWithoutEntry);
                }
            }
            last = key;
        }
        if rows.len() < PAGE_ROWS {
            return Ok(());
        }
    }
}

async fn check_announced(database: &Database, verification: &mut Verification) -> Result<(), StoredError> {
    let mut last = i64::MIN;
    loop {
        let rows = page(database, ANNOUNCED, &[last.into(), limit()]).await?;
        for row in &rows {
            last = row.get("pending_id")?;
            if row.get::<Option<i64>>("found")?.is_none() {
                verification.report(Key::of(row)?.finding(None, Problem::WaitingEventGone));
            }
        }
        if rows.len() < PAGE_ROWS {
            return Ok(());
        }
    }
}

async fn check_stream_ends(database: &Database, verification: &mut Verification) -> Result<(), StoredError> {
    let mut last = Key::default();
    loop {
        let params = [last.stream_type.as_str().into(), last.stream_id.as_str().into(), limit()];
        let rows = page(database, SNAPSHOTS, &params).await?;
        for row in &rows {
            last = Key::of(row)?;
            if row.get::<Option<i64>>("last_event")?.unwrap_or(0) < last.sequence {
                verification.report(last.finding(None, Problem::StreamEndGone));
            }
        }
        if rows.len() < PAGE_ROWS {
            return Ok(());
        }
    }
}

fn limit() -> Value {
    i64::try_from(PAGE_ROWS).unwrap_or(i64::MAX).into()
}
