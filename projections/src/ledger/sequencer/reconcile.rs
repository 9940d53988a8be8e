//! Looks for events that never came to the sequencer: somebody may have removed what announced them.

use countersign_domain::Timestamp;

use super::Sequencer;
use super::batch::StreamKey;
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

/// Streams whose ledger entries do not reach their last event.
const NEXT_STREAMS: &str = "SELECT s.aggregate_type, s.aggregate_id FROM snapshots s \
    WHERE (s.aggregate_type, s.aggregate_id) > ($1, $2) \
    AND s.last_sequence > coalesce((SELECT max(l.sequence) FROM ledger_entries l \
    WHERE l.aggregate_type = s.aggregate_type AND l.aggregate_id = s.aggregate_id), 0) \
    ORDER BY s.aggregate_type, s.aggregate_id LIMIT 500";

const REQUEUE: &str = "INSERT INTO ledger_pending (event_id, aggregate_type, aggregate_id, sequence) \
    SELECT e.event_id, e.aggregate_type, e.aggregate_id, e.sequence FROM events e \
    WHERE e.aggregate_type = $1 AND e.aggregate_id = $2 \
    AND NOT EXISTS (SELECT 1 FROM ledger_entries l WHERE l.aggregate_type = e.aggregate_type \
    AND l.aggregate_id = e.aggregate_id AND l.sequence = e.sequence) \
    AND NOT EXISTS (SELECT 1 FROM ledger_pending p WHERE p.aggregate_type = e.aggregate_type \
    AND p.aggregate_id = e.aggregate_id AND p.sequence = e.sequence) \
    ORDER BY e.sequence RETURNING event_id";

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

impl Sequencer {
    /// Puts every event without a place and without a row in the queue back into it; how many these are.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn requeue(&self) -> Result<u64, LedgerError> {
        let database = self.store.database();
        let (mut after, mut requeued) = (None::<StreamKey>, 0);
        loop {
            // Stream by stream, so that each comes back in its own order.
            let (stream_type, id) = after.clone().unwrap_or_default();
            let rows = database.read_bulk(NEXT_STREAMS, &[stream_type.into(), id.into()]).await?;
            let Some(last) = rows.last() else { return Ok(requeued) };
            after = Some((last.get("aggregate_type")?, last.get("aggregate_id")?));
            for row in &rows {
                let stream =
                    [row.get::<String>("aggregate_type")?.into(), row.get::<String>("aggregate_id")?.into()];
                let back = database.write(REQUEUE, &stream).await?;
                requeued += u64::try_from(back.len()).unwrap_or_default();
            }
        }
    }
}

fn unsequenced(row: &Row) -> Result<Unsequenced, LedgerError> {
    let stream_type: String = row.get("aggregate_type")?;
    let (id, sequence): (String, i64) = (row.get("aggregate_id")?, row.get("sequence")?);
    Ok(Unsequenced { event: format!("{stream_type}/{id}/{sequence}"), recorded_at: row.get("recorded_at")? })
}
