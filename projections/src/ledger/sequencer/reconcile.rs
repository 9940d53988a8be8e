//! Looks for events that never came to the sequencer: somebody may have removed what announced them.

use countersign_domain::Timestamp;

use super::Sequencer;
use crate::database::Row;
use crate::ledger::store::LedgerError;

/// An event without a place in the ledger, long after it was recorded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unsequenced {
    /// Its stream and sequence, as `Countersign-Write` gives them.
    pub event: String,
    /// When it was recorded.
    pub recorded_at: Timestamp,
}

/// So many events are looked at in one go.
const LOOK_MAX: i64 = 20_000;

const LOOK: &str = "SELECT e.aggregate_type, e.aggregate_id, e.sequence, e.recorded_at, l.position \
    FROM (SELECT aggregate_type, aggregate_id, sequence, recorded_at FROM events \
    WHERE recorded_at >= $1 AND recorded_at < $2 ORDER BY recorded_at LIMIT $3) AS e \
    LEFT JOIN ledger_entries l ON l.aggregate_type = e.aggregate_type AND l.aggregate_id = e.aggregate_id \
    AND l.sequence = e.sequence ORDER BY e.recorded_at";

impl Sequencer {
    /// Looks at some more of the events that were recorded before `until`, the oldest first, and
    /// remembers how far it came. Answers those that have no place, and whether it came to the end.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn reconcile(&self, until: Timestamp) -> Result<(Vec<Unsequenced>, bool), LedgerError> {
        let state = self.store.state().await?.ok_or(LedgerError::NotThere)?;
        let from = state.reconciled_to;
        if from >= until {
            return Ok((Vec::new(), true));
        }
        let database = self.store.database();
        let rows = database.read_bulk(LOOK, &[from.into(), until.into(), LOOK_MAX.into()]).await?;
        let mut missing = Vec::new();
        for row in &rows {
            if row.get::<Option<i64>>("position")?.is_none() {
                missing.push(unsequenced(row)?);
            }
        }
        let at_the_end = i64::try_from(rows.len()).is_ok_and(|read| read < LOOK_MAX);
        let came_to = match (missing.first(), rows.last()) {
            // Looked at again until it has its place.
            (Some(first), _) => first.recorded_at,
            (None, Some(last)) if !at_the_end => last.get("recorded_at")?,
            (None, _) => until,
        };
        let sql = "UPDATE ledger_state SET reconciled_to = $1 WHERE reconciled_to = $2";
        database.write(sql, &[came_to.into(), from.into()]).await?;
        Ok((missing, at_the_end))
    }
}

fn unsequenced(row: &Row) -> Result<Unsequenced, LedgerError> {
    let stream_type: String = row.get("aggregate_type")?;
    let (id, sequence): (String, i64) = (row.get("aggregate_id")?, row.get("sequence")?);
    Ok(Unsequenced { event: format!("{stream_type}/{id}/{sequence}"), recorded_at: row.get("recorded_at")? })
}
