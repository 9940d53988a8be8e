//! Looks for events that never came to the sequencer: somebody may have removed what announced them.

use chrono::TimeDelta;
use countersign_domain::Timestamp;

use super::Sequencer;
use super::batch::StreamKey;
use super::tally::whole_second;
use crate::database::{Row, Step};
use crate::ledger::store::{LedgerError, natural, number};

/// What a look at the events came to.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Looked {
    /// Events that were recorded a while ago and have no place, as `Countersign-Write` names them; the
    /// first of them, if there are many.
    pub missing: Vec<String>,
    /// Whether everything was looked at that was to be.
    pub at_the_end: bool,
}

/// A look that takes several rounds. How far it came is kept here and not in the database, where those
/// who remove events could move it.
#[derive(Default)]
pub(super) struct Search {
    /// Everything that was recorded before this was looked at.
    looked_to: Option<Timestamp>,
    /// Where the look that is under way is.
    at: Option<(Timestamp, String)>,
    missing: Vec<String>,
    oldest_missing: Option<Timestamp>,
}

/// A sequencer that begins looks back so far, or to where another ended.
const LOOK_BACK: TimeDelta = TimeDelta::hours(1);

/// Looks overlap, since an event may be committed a moment after it was recorded.
const OVERLAP: TimeDelta = TimeDelta::seconds(10);

/// So many events are looked at in one round: a sequencer that begins has an hour of them before it, while more are
/// appended.
pub(super) const LOOK_MAX: i64 = 8_000;

/// So many missing events are named.
const MISSING_NAMED_MAX: usize = 100;

const COUNT: &str = "SELECT count(*) AS recorded FROM events WHERE recorded_at >= $1 AND recorded_at < $2";

/// The queue has no index by event, so the whole of it is joined with the page. How far the ledger goes is read with
/// it: what moves from the queue into the ledger in between would be in neither.
const LOOK: &str = "SELECT e.aggregate_type, e.aggregate_id, e.sequence, e.recorded_at, e.event_id, \
    CAST(CASE WHEN l.position IS NULL AND p.pending_id IS NULL THEN 0 ELSE 1 END AS bigint) AS known \
    FROM (SELECT aggregate_type, aggregate_id, sequence, recorded_at, event_id FROM events \
    WHERE (recorded_at, event_id) > ($1, $2) AND recorded_at < $3 ORDER BY recorded_at, event_id LIMIT $4) AS e \
    LEFT JOIN ledger_entries l ON l.aggregate_type = e.aggregate_type AND l.aggregate_id = e.aggregate_id \
    AND l.sequence = e.sequence AND l.position < (SELECT size FROM ledger_state) \
    LEFT JOIN ledger_pending p ON p.aggregate_type = e.aggregate_type AND p.aggregate_id = e.aggregate_id \
    AND p.sequence = e.sequence ORDER BY e.recorded_at, e.event_id";

/// Streams, with how far their events and their entries reach.
const NEXT_STREAMS: &str = "SELECT s.aggregate_type, s.aggregate_id, s.last, \
    coalesce((SELECT max(l.sequence) FROM ledger_entries l WHERE l.aggregate_type = s.aggregate_type \
    AND l.aggregate_id = s.aggregate_id), 0) AS reached \
    FROM (SELECT aggregate_type, aggregate_id, max(sequence) AS last FROM events \
    WHERE (aggregate_type, aggregate_id) > ($1, $2) GROUP BY aggregate_type, aggregate_id \
    ORDER BY aggregate_type, aggregate_id LIMIT 2000) AS s ORDER BY s.aggregate_type, s.aggregate_id";

/// The next append finds the hash of the last leaf in the ledger. One that has read the old hash a moment ago
/// may bring a leaf that does not fit: it is held, and adopting again puts that right.
const FORGET_CHAIN: &str = "UPDATE snapshots SET leaf_sequence = NULL, leaf_hash = NULL \
    WHERE aggregate_type = $1 AND aggregate_id = $2";

const REQUEUE: &str = "INSERT INTO ledger_pending (event_id, aggregate_type, aggregate_id, sequence) \
    SELECT e.event_id, e.aggregate_type, e.aggregate_id, e.sequence FROM events e \
    WHERE e.aggregate_type = $1 AND e.aggregate_id = $2 AND e.sequence > $3 ORDER BY e.sequence";

impl Sequencer {
    /// Looks at events that were recorded before the second of `until`: counts them, and unless this sequencer
    /// placed as many, goes through some more of them, the oldest first. The next look begins at the oldest
    /// event that is missing, so that it is found again until it has its place.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn look_for_missing(&mut self, until: Timestamp) -> Result<Looked, LedgerError> {
        let state = self.store.state().await?.ok_or(LedgerError::NotThere)?;
        let until = whole_second(until);
        let begin = self.search.looked_to.unwrap_or(state.reconciled_to.min(until - LOOK_BACK)) - OVERLAP;
        let begin = whole_second(begin);
        if self.search.at.is_none() && self.none_is_missing(begin, until).await? {
            self.looked_to(until).await?;
            return Ok(Looked { missing: Vec::new(), at_the_end: true });
        }
        let (from, after) = self.search.at.clone().unwrap_or((begin, String::new()));
        let database = self.store.database();
        let params = [from.into(), after.into(), until.into(), LOOK_MAX.into()];
        let rows = database.read_bulk(LOOK, &params).await?;
        for row in &rows {
            if row.get::<i64>("known")? == 0 {
                self.search.note(row)?;
            }
        }
        if let Some(last) = rows.last()
            && i64::try_from(rows.len()).is_ok_and(|read| read >= LOOK_MAX)
        {
            self.search.at = Some((last.get("recorded_at")?, last.get("event_id")?));
            return Ok(Looked { missing: self.search.missing.clone(), at_the_end: false });
        }
        let Search { missing, oldest_missing, .. } = std::mem::take(&mut self.search);
        self.looked_to(oldest_missing.unwrap_or(until)).await?;
        Ok(Looked { missing, at_the_end: true })
    }

    /// Whether this sequencer gave as many events their place as were recorded then.
    async fn none_is_missing(&self, from: Timestamp, to: Timestamp) -> Result<bool, LedgerError> {
        let rows = self.store.database().read_bulk(COUNT, &[from.into(), to.into()]).await?;
        let recorded = rows.first().map_or(Ok(0), |row| natural(row, "recorded"))?;
        Ok(recorded == self.tally.between(from, to))
    }

    async fn looked_to(&mut self, at: Timestamp) -> Result<(), LedgerError> {
        self.search.looked_to = Some(at);
        self.tally.forget_before(whole_second(at - OVERLAP));
        let sql = "UPDATE ledger_state SET reconciled_to = $1";
        self.store.database().write(sql, &[at.into()]).await?;
        Ok(())
    }

    /// Empties the queue and puts every event without a place into it, to have its leaf made anew; how many
    /// these are. Running nodes may go on: what they append meanwhile is announced twice at most.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn requeue(&self) -> Result<u64, LedgerError> {
        let database = self.store.database();
        database.write("DELETE FROM ledger_pending", &[]).await?;
        let (mut after, mut requeued) = (None::<StreamKey>, 0);
        loop {
            // Stream by stream, so that each comes back in its own order.
            let (stream_type, id) = after.clone().unwrap_or_default();
            let rows = database.read_bulk(NEXT_STREAMS, &[stream_type.into(), id.into()]).await?;
            let Some(last) = rows.last() else { return Ok(requeued) };
            after = Some((last.get("aggregate_type")?, last.get("aggregate_id")?));
            for row in &rows {
                let (last, reached) = (natural(row, "last")?, natural(row, "reached")?);
                if last > reached {
                    self.requeue_stream(row, reached).await?;
                    requeued += last - reached;
                }
            }
        }
    }

    async fn requeue_stream(&self, row: &Row, reached: u64) -> Result<(), LedgerError> {
        let stream = [row.get::<String>("aggregate_type")?.into(), row.get::<String>("aggregate_id")?.into()];
        let forget = Step::new(FORGET_CHAIN, stream.to_vec());
        let requeue = Step::new(REQUEUE, stream.into_iter().chain([number(reached)?]).collect());
        self.store.database().transact(vec![forget, requeue]).await?;
        Ok(())
    }
}

impl Search {
    fn note(&mut self, row: &Row) -> Result<(), LedgerError> {
        let stream_type: String = row.get("aggregate_type")?;
        let (id, sequence): (String, i64) = (row.get("aggregate_id")?, row.get("sequence")?);
        let event = format!("{stream_type}/{id}/{sequence}");
        if self.missing.len() < MISSING_NAMED_MAX {
            self.missing.push(event);
        }
        self.oldest_missing = self.oldest_missing.or(Some(row.get("recorded_at")?));
        Ok(())
    }
}
