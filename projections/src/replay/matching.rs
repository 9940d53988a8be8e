//! Which events have a place in the ledger. Whoever folds streams goes by the events, and asks here whether these
//! are the entries' events, each of them, and nothing else: all at once that takes a small part of the time that
//! looking up each event's entry takes.

use super::ReplayError;
use crate::database::Database;
use crate::ledger::store::natural;

/// One statement, and so of one moment. Each event has one entry at most and each entry one event, so that where as
/// many are matched as the ledger has entries, it is these.
pub(super) const MATCH: &str = "SELECT (SELECT max(size) FROM ledger_state) AS size, count(l.position) AS placed, \
    count(*) FILTER (WHERE l.position IS NULL AND w.sequence IS NULL) AS unplaced \
    FROM events e LEFT JOIN {bare_entries} l ON {entry_of_event} \
    AND l.position < (SELECT max(size) FROM ledger_state) \
    LEFT JOIN (SELECT DISTINCT aggregate_type, aggregate_id, sequence FROM ledger_pending) AS w \
    ON w.aggregate_type = e.aggregate_type AND w.aggregate_id = e.aggregate_id AND w.sequence = e.sequence";

/// How events and entries match.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Matching {
    /// How many entries the ledger has.
    pub size: u64,
    /// How many events have one of these.
    pub placed: u64,
    /// How many events neither have an entry nor wait for one. Somebody removed what announced them, or their entry,
    /// or slipped them in.
    pub unplaced: u64,
}

impl Matching {
    /// As it is now.
    pub(super) async fn of(database: &Database) -> Result<Self, ReplayError> {
        let rows = database.read_whole_tables(MATCH).await?;
        let counts = rows.first().ok_or(ReplayError::NotThere)?;
        if counts.get::<Option<i64>>("size")?.is_none() {
            return Err(ReplayError::NotThere);
        }
        Ok(Self {
            size: natural(counts, "size")?,
            placed: natural(counts, "placed")?,
            unplaced: natural(counts, "unplaced")?,
        })
    }

    /// Whether every entry has its event, and every event its entry unless it waits for one.
    pub(super) fn refuse_mismatch(self) -> Result<(), ReplayError> {
        let Self { size, placed, unplaced } = self;
        if unplaced > 0 {
            return Err(ReplayError::Unplaced { count: unplaced });
        }
        if placed != size {
            return Err(ReplayError::Incomplete { seen: placed, size });
        }
        Ok(())
    }
}
