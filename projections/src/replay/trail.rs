//! Comparing the audit trail with what the events say.

use std::time::{Duration, Instant};

use chrono::DateTime;
use countersign_domain::versions::StoredEvent;

use super::compare::{Rows, Tally};
use super::model::{Model, moment};
use super::report::{Difference, ModelReport};
use super::{ReplayError, number};
use crate::audit_trail::{AUDIT_TRAIL, AUDIT_TRAIL_TABLE, AuditTrail};
use crate::catch_up;
use crate::database::{Database, DatabaseError, Row};
use crate::ledger::verify::user_of;
use crate::table::Value;

/// So many entries are compared at once.
const PAGE_ENTRIES: u64 = 4_096;

/// The trail may be so far behind while events are recorded.
const PATIENCE: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(50);

const READ_EVENTS: &str = "SELECT l.position, l.aggregate_type, l.aggregate_id, l.sequence, e.recorded_at, \
    e.event_type, e.event_version, e.user_id, e.agreement_id, e.actor_id, CAST(e.payload AS text) AS payload, \
    CAST(e.metadata AS text) AS metadata \
    FROM (SELECT * FROM ledger_entries WHERE position >= $1 AND position < $2 ORDER BY position LIMIT $3) AS l \
    LEFT JOIN events e ON e.aggregate_type = l.aggregate_type AND e.aggregate_id = l.aggregate_id \
    AND e.sequence = l.sequence ORDER BY l.position";

/// Compares the trail with the first entries of the ledger; how many of them were seen.
pub(super) async fn compare(
    database: &Database,
    size: u64,
    named: &mut Vec<Difference>,
) -> Result<(ModelReport, u64), ReplayError> {
    let began = Instant::now();
    while catch_up::position::<AuditTrail>(database).await? < size && began.elapsed() < PATIENCE {
        tokio::time::sleep(POLL).await;
    }
    let mut tally = Tally::of(Model::AuditTrail);
    tally.take_in_checkpoint::<AuditTrail>(database, size, named).await?;
    let mut seen = 0;
    let read_trail =
        format!("SELECT * FROM {AUDIT_TRAIL} WHERE position >= $1 AND position < $2 ORDER BY position");
    for from in (0..size).step_by(usize::try_from(PAGE_ENTRIES).unwrap_or(usize::MAX)) {
        let to = size.min(from + PAGE_ENTRIES);
        let period = [number(from), number(to), number(PAGE_ENTRIES)];
        let events = database.read_bulk(READ_EVENTS, &period).await?;
        let stored = database.read_bulk(&read_trail, &period[..2]).await?;
        let mut replayed = Rows::new();
        let mut columns = (Rows::new(), Rows::new());
        for row in &events {
            // The event of an entry that has none is what `verify` finds; here the trail's row is one too many.
            let Some(entry) = Entry::read(row)? else { continue };
            seen += 1;
            replayed.insert(entry.key(), entry.row(&entry.said));
            if entry.said != entry.stored {
                columns.0.insert(entry.key(), entry.row(&entry.said));
                columns.1.insert(entry.key(), entry.row(&entry.stored));
            }
        }
        let stored = stored.iter().map(read_trail_row).collect::<Result<Rows, _>>()?;
        tally.take_in((AUDIT_TRAIL, AUDIT_TRAIL_TABLE.columns), &replayed, &stored, named);
        // The columns by which events are searched must say what the events say.
        tally.take_in(("events", AUDIT_TRAIL_TABLE.columns), &columns.0, &columns.1, named);
    }
    let beyond = format!(
        "SELECT * FROM {AUDIT_TRAIL} WHERE position < 0 \
         OR position >= (SELECT size FROM ledger_state) ORDER BY position LIMIT $1"
    );
    let beyond = database.read_bulk(&beyond, &[number(PAGE_ENTRIES)]).await?;
    let beyond = beyond.iter().map(read_trail_row).collect::<Result<Rows, _>>()?;
    tally.take_in((AUDIT_TRAIL, AUDIT_TRAIL_TABLE.columns), &Rows::new(), &beyond, named);
    Ok((tally.report(), seen))
}

/// By what an event is found.
#[derive(PartialEq, Eq)]
struct Searched {
    recorded_at: Value,
    user: Option<String>,
    agreement: Option<String>,
    actor: Option<String>,
}

struct Entry {
    position: i64,
    stream_type: String,
    stream_id: String,
    sequence: i64,
    event_type: String,
    /// As the event says.
    said: Searched,
    /// As the columns beside the event say.
    stored: Searched,
}

impl Entry {
    fn read(row: &Row) -> Result<Option<Self>, DatabaseError> {
        let Some(payload) = row.get::<Option<String>>("payload")? else { return Ok(None) };
        let metadata: serde_json::Value = serde_json::from_str(&row.get::<String>("metadata")?)
            .map_err(|_| DatabaseError::Corrupt("an event's metadata does not read".to_owned()))?;
        let told = |name: &str| metadata.get(name).and_then(|value| value.as_str()).map(str::to_owned);
        let (stream_type, stream_id): (String, String) =
            (row.get("aggregate_type")?, row.get("aggregate_id")?);
        let (event_type, event_version): (String, String) =
            (row.get("event_type")?, row.get("event_version")?);
        let event = StoredEvent { event_type: &event_type, event_version: &event_version, payload: &payload };
        // One that does not read is about nobody.
        let user = user_of((&stream_type, &stream_id), event).unwrap_or_default();
        let own_agreement = (stream_type == "agreement").then(|| stream_id.clone());
        let recorded_at = moment(row, "recorded_at")?;
        Ok(Some(Self {
            position: row.get("position")?,
            sequence: row.get("sequence")?,
            event_type,
            said: Searched {
                recorded_at: meant(&recorded_at),
                user,
                agreement: own_agreement.or_else(|| told("agreement_id")),
                actor: told("actor_id"),
            },
            stored: Searched {
                recorded_at,
                user: row.get("user_id")?,
                agreement: row.get("agreement_id")?,
                actor: row.get("actor_id")?,
            },
            stream_type,
            stream_id,
        }))
    }

    fn key(&self) -> String {
        key(self.position)
    }

    fn row(&self, searched: &Searched) -> Vec<Value> {
        vec![
            self.position.into(),
            searched.recorded_at.clone(),
            self.event_type.clone().into(),
            self.stream_type.clone().into(),
            self.stream_id.clone().into(),
            self.sequence.into(),
            searched.user.clone().into(),
            searched.agreement.clone().into(),
            searched.actor.clone().into(),
        ]
    }
}

/// The moment that a text in any spelling means; nothing if it means none.
fn meant(stored: &Value) -> Value {
    let Value::Text(text) = stored else { return stored.clone() };
    DateTime::parse_from_rfc3339(text).ok().map(|at| at.to_utc()).into()
}

fn read_trail_row(row: &Row) -> Result<(String, Vec<Value>), DatabaseError> {
    let text = |column| row.get::<Option<String>>(column).map(Value::from);
    let position: i64 = row.get("position")?;
    let values = vec![
        position.into(),
        moment(row, "recorded_at")?,
        text("event_type")?,
        text("aggregate_type")?,
        text("aggregate_id")?,
        row.get::<i64>("sequence")?.into(),
        text("user_id")?,
        text("agreement_id")?,
        text("actor_id")?,
    ];
    Ok((key(position), values))
}

/// Sorts like the positions.
fn key(position: i64) -> String {
    format!("{position:019}")
}
