//! The audit trail: every entry of the ledger under what people search by.
//!
//! It holds no text that people wrote: what an entry says is read from its event when it is shown, so
//! nothing here has to be purged when somebody is erased.

use crate::catch_up::{Batch, Projection};
use crate::database::{Database, DatabaseError, Step};
use crate::table::{Column, Table, Value, integer, text, timestamp};

/// The read model behind the audit trail.
#[derive(Clone, Copy, Debug)]
pub struct AuditTrail;

/// Its table, which is named after its version.
pub const AUDIT_TRAIL: &str = "audit_trail_v1";

/// Its table, described.
pub static AUDIT_TRAIL_TABLE: Table = Table { name: AUDIT_TRAIL, columns: COLUMNS, key: &["position"] };

/// Where a replay fills it anew.
pub(crate) static REPLAYED_AUDIT_TRAIL: Table =
    Table { name: "replay_audit_trail_v1", columns: COLUMNS, key: &["position"] };

const COLUMNS: &[Column] = &[
    integer("position"),
    timestamp("recorded_at"),
    text("event_type"),
    text("aggregate_type"),
    text("aggregate_id"),
    integer("sequence"),
    text("user_id"),
    text("agreement_id"),
    text("actor_id"),
];

const FIND: &str = "SELECT l.position, e.event_id FROM ledger_entries l LEFT JOIN events e \
    ON e.aggregate_type = l.aggregate_type AND e.aggregate_id = l.aggregate_id AND e.sequence = l.sequence \
    WHERE l.position >= $1 AND l.position < $2 ORDER BY l.position";

impl Projection for AuditTrail {
    const NAME: &'static str = "audit_trail";
    const TITLE: &'static str = "The audit trail";
    const VERSION: i64 = 1;

    // The database does all of it by itself, so the trail is kept where the ledger is.
    async fn take(&self, _: &Database, _: &Database, from: i64, to: i64) -> Result<Batch, DatabaseError> {
        let (sql, params) = Self::insert(AUDIT_TRAIL, from, to);
        // An entry whose event is gone would be missing from the trail, so all or none.
        let entries = u64::try_from(to - from).unwrap_or_default();
        Ok(Batch::Steps(vec![Step::new(sql, params).changing(entries)]))
    }

    async fn poison(&self, database: &Database, from: i64, to: i64) -> Result<Option<i64>, DatabaseError> {
        let rows = database.read_bulk(FIND, &[from.into(), to.into()]).await?;
        let mut next = from;
        for row in &rows {
            let event_id: Option<String> = row.get("event_id")?;
            if row.get::<i64>("position")? != next || event_id.is_none() {
                return Ok(Some(next));
            }
            next += 1;
        }
        Ok((next < to).then_some(next))
    }
}

/// The trail's row of an entry, if it is found by the entry's stream and says what the entry's event says.
const AS_ITS_EVENT: &str = "SELECT t.position FROM audit_trail_v1 t \
    JOIN ledger_entries l ON l.position = t.position AND l.aggregate_type = t.aggregate_type \
    AND l.aggregate_id = t.aggregate_id AND l.sequence = t.sequence \
    JOIN events e ON e.aggregate_type = t.aggregate_type AND e.aggregate_id = t.aggregate_id \
    AND e.sequence = t.sequence AND e.recorded_at = t.recorded_at AND e.event_type = t.event_type \
    WHERE t.position = $1 AND e.user_id IS NOT DISTINCT FROM t.user_id \
    AND e.agreement_id IS NOT DISTINCT FROM t.agreement_id AND e.actor_id IS NOT DISTINCT FROM t.actor_id";

impl AuditTrail {
    /// Whether the trail tells of an entry what its event says.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn tells_of_the_event(database: &Database, position: u64) -> Result<bool, DatabaseError> {
        let position = i64::try_from(position).unwrap_or(i64::MAX);
        Ok(!database.read(AS_ITS_EVENT, &[position.into()]).await?.is_empty())
    }

    /// The statement that takes entries into a table of this shape, as many as there are events of.
    pub(crate) fn insert(table: &str, from: i64, to: i64) -> (String, Vec<Value>) {
        // An outer join, so that no planner can begin with all events there are.
        let sql = format!(
            "INSERT INTO {table} (position, recorded_at, event_type, aggregate_type, aggregate_id, sequence, \
             user_id, agreement_id, actor_id) SELECT l.position, e.recorded_at, e.event_type, e.aggregate_type, \
             e.aggregate_id, e.sequence, e.user_id, e.agreement_id, e.actor_id \
             FROM ledger_entries l LEFT JOIN events e ON e.aggregate_type = l.aggregate_type \
             AND e.aggregate_id = l.aggregate_id AND e.sequence = l.sequence \
             WHERE l.position >= $1 AND l.position < $2 AND coalesce(e.sequence, 0) > 0"
        );
        (sql, vec![from.into(), to.into()])
    }
}
