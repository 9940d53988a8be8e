//! Which events have a place in the ledger. Whoever folds streams goes by the events, and asks here whether these
//! are the entries' events, each of them, and nothing else: all at once that takes a small part of the time that
//! looking up each event's entry takes.

use super::ReplayError;
use crate::database::Database;

/// One statement, and so of one moment. Each event has one entry at most, by its id and its key, and each entry is of
/// one event. Of the entries only what is compared is put aside, not the whole leaf.
pub(super) const MATCH: &str = "WITH placed AS MATERIALIZED \
    (SELECT {id_in_leaf} AS event_id, aggregate_type, aggregate_id, sequence FROM ledger_entries), \
    waiting AS MATERIALIZED (SELECT DISTINCT aggregate_type, aggregate_id, sequence FROM ledger_pending) \
    SELECT (SELECT max(size) FROM ledger_state) AS size, count(p.sequence) AS placed, \
    count(*) FILTER (WHERE p.sequence IS NULL AND w.sequence IS NULL) AS unplaced \
    FROM events e LEFT JOIN placed p ON p.event_id = e.event_id AND p.aggregate_type = e.aggregate_type \
    AND p.aggregate_id = e.aggregate_id AND p.sequence = e.sequence \
    LEFT JOIN waiting w ON w.aggregate_type = e.aggregate_type AND w.aggregate_id = e.aggregate_id \
    AND w.sequence = e.sequence";

/// How events and entries match.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Matching {
    /// How many entries the ledger has.
    pub size: u64,
    /// How many events have their entry.
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
        let count = |name| Ok::<_, ReplayError>(counts.get::<Option<i64>>(name)?.map(natural));
        Ok(Self {
            size: count("size")?.ok_or(ReplayError::NotThere)?,
            placed: count("placed")?.unwrap_or_default(),
            unplaced: count("unplaced")?.unwrap_or_default(),
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

fn natural(count: i64) -> u64 {
    u64::try_from(count).unwrap_or_default()
}
