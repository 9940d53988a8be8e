//! Events that a replay would not see: they neither have a place in the ledger nor wait for one. Somebody
//! removed what announced them, or their entry.

use super::ReplayError;
use crate::database::Database;

/// All counted in one statement, and so at one moment.
const COUNT: &str = "SELECT (SELECT count(*) FROM events) AS events, \
    (SELECT count(*) FROM ledger_entries) AS placed, \
    (SELECT count(*) FROM (SELECT DISTINCT p.aggregate_type, p.aggregate_id, p.sequence FROM ledger_pending p \
    LEFT JOIN events e ON e.aggregate_type = p.aggregate_type AND e.aggregate_id = p.aggregate_id \
    AND e.sequence = p.sequence LEFT JOIN ledger_entries l ON {entry_of_event} \
    WHERE l.position IS NULL) AS waiting) AS waiting";

/// How many there are.
pub(super) async fn count_unplaced(database: &Database) -> Result<u64, ReplayError> {
    let rows = database.read_bulk(COUNT, &[]).await?;
    let Some(row) = rows.first() else { return Ok(0) };
    let (events, placed, waiting): (i64, i64, i64) =
        (row.get("events")?, row.get("placed")?, row.get("waiting")?);
    Ok(u64::try_from(events - placed - waiting).unwrap_or(0))
}

/// A replay that does not see every event puts nothing in place.
pub(super) async fn refuse_unplaced(database: &Database) -> Result<(), ReplayError> {
    match count_unplaced(database).await? {
        0 => Ok(()),
        count => Err(ReplayError::Unplaced { count }),
    }
}
