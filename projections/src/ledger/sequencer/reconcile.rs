//! Looks for events that never came to the sequencer: somebody may have removed what announced them.

use chrono::TimeDelta;
use countersign_domain::Timestamp;
use serde_json::json;

use super::heads::last_entries_by_stream;
use super::tally::whole_second;
use super::{Sequencer, StreamKey};
use crate::database::{Database, Row, Step};
use crate::ledger::store::{LedgerError, natural, number};
use crate::ledger::verify::finding::shown;
use crate::ledger::waiting::{KEY, and_nothing, nothing, waiting};
use crate::table::{Value, text, timestamp};

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
    /// The moment up to which the last look was asked for: before the other one where a clock had been ahead. What was
    /// recorded between the two since then was not looked at.
    asked_to: Option<Timestamp>,
    /// Where the look that is under way is, as the database has it: on SQLite a time may have been respelled.
    at: Option<(Value, String)>,
    /// What was missing when it was last looked for, the oldest first.
    missing: Vec<Missing>,
    /// When the first was recorded of those that are too many to be kept: the next look begins with it.
    too_many: Option<Timestamp>,
}

/// An event without a place.
#[derive(PartialEq, Eq)]
struct Missing {
    /// Its type and id.
    stream: (String, String),
    sequence: i64,
    /// None if it does not read.
    recorded_at: Option<Timestamp>,
}

/// A sequencer that begins looks back so far, or to where another ended.
const LOOK_BACK: TimeDelta = TimeDelta::hours(1);

/// Looks overlap, since an event may be committed a moment after it was recorded.
const OVERLAP: TimeDelta = TimeDelta::seconds(10);

/// So many events are looked at in one round: a sequencer that begins has an hour of them before it, while more are
/// appended.
pub(super) const LOOK_MAX: i64 = 8_000;

/// So many missing events are looked for again one by one.
pub(super) const MISSING_KEPT_MAX: usize = 2_000;

/// So many of them are named, and counted.
pub const MISSING_NAMED_MAX: usize = 100;

/// The ledger is gone through once for so many streams that have events without a place.
const BEHIND_MAX: usize = 20_000;

const COUNT: &str = "SELECT count(*) AS recorded FROM events WHERE recorded_at >= $1 AND recorded_at < $2";

/// Streams, with how far their events and their entries reach.
const NEXT_STREAMS: &str = "SELECT s.aggregate_type, s.aggregate_id, s.last, \
    coalesce((SELECT e.sequence FROM events e JOIN ledger_entries l ON {entry_of_event} \
    WHERE e.aggregate_type = s.aggregate_type AND e.aggregate_id = s.aggregate_id \
    ORDER BY e.sequence DESC LIMIT 1), 0) AS reached \
    FROM (SELECT aggregate_type, aggregate_id, max(sequence) AS last FROM events \
    WHERE (aggregate_type, aggregate_id) > ($1, $2) GROUP BY aggregate_type, aggregate_id \
    ORDER BY aggregate_type, aggregate_id LIMIT 2000) AS s ORDER BY s.aggregate_type, s.aggregate_id";

/// The next append finds the hash of the last leaf in the ledger. One that has read the old hash a moment ago
/// may bring a leaf that does not fit: it is held, and adopting again puts that right.
const FORGET_CHAIN: &str = "UPDATE snapshots SET leaf_sequence = NULL, leaf_hash = NULL \
    WHERE aggregate_type = $1 AND aggregate_id = $2";

/// So many rows leave the queue in one statement.
const DELETED_AT_ONCE: usize = 10_000;

/// So many are named.
const STRAYS_MAX: i64 = 100;

const STRAYS: &str = "SELECT p.aggregate_type, p.aggregate_id, p.sequence, e.recorded_at FROM ledger_pending p \
    LEFT JOIN events e ON e.aggregate_type = p.aggregate_type AND e.aggregate_id = p.aggregate_id \
    AND e.sequence = p.sequence LEFT JOIN ledger_entries l ON {entry_of_event} \
    WHERE e.sequence IS NULL OR l.position IS NOT NULL ORDER BY p.pending_id LIMIT $1";

const REQUEUE: &str = "INSERT INTO ledger_pending (event_id, aggregate_type, aggregate_id, sequence) \
    SELECT e.event_id, e.aggregate_type, e.aggregate_id, e.sequence FROM events e \
    WHERE e.aggregate_type = $1 AND e.aggregate_id = $2 AND e.sequence > $3 ORDER BY e.sequence";

impl Sequencer {
    /// Looks at events that were recorded before the second of `until`: counts them, and unless this sequencer
    /// placed as many, goes through some more of them, the oldest first. What is missing is looked for again each
    /// time until it has its place, and nothing else that was looked at is.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn look_for_missing(&mut self, until: Timestamp) -> Result<Looked, LedgerError> {
        self.heads.look_again();
        // A clock that was set back makes nothing unseen that was looked at. Where it had been ahead, what is recorded
        // from now on was not.
        let (looked_to, asked) = (self.search.looked_to, until);
        let before = self.search.asked_to.map_or(asked, |asked_to| asked_to.min(asked));
        let begin = looked_to.map(|looked_to| whole_second(looked_to.min(before) - OVERLAP));
        let until = whole_second(looked_to.map_or(until, |looked_to| looked_to.max(until)));
        if self.search.at.is_none() {
            self.look_again().await?;
            if let Some(begin) = begin
                && self.none_is_missing(begin, until).await?
            {
                return self.looked_to(until, asked, begin).await;
            }
        }
        let begin = match begin {
            Some(begin) => begin,
            None => self.first_begin(until).await?,
        };
        let (from, after) = self.search.at.clone().unwrap_or_else(|| (begin.into(), String::new()));
        let database = self.store.database();
        let params = [from, after.into(), until.into(), LOOK_MAX.into(), nothing()];
        let rows = database.read_bulk(&look(database), &params).await?;
        for row in &rows {
            if row.get::<i64>("known")? == 0 {
                self.search.note(Missing::read(row)?);
            }
        }
        if let Some(last) = rows.last()
            && i64::try_from(rows.len()).is_ok_and(|read| read >= LOOK_MAX)
        {
            self.search.at = Some((last.get("recorded_at")?, last.get("event_id")?));
            return Ok(Looked { missing: self.search.names(), at_the_end: false });
        }
        self.search.at = None;
        self.looked_to(until, asked, begin).await
    }

    /// A sequencer that begins has counted nothing yet, and goes through all.
    async fn first_begin(&self, until: Timestamp) -> Result<Timestamp, LedgerError> {
        let state = self.store.state().await?.ok_or(LedgerError::NotThere)?;
        Ok(whole_second(state.reconciled_to.min(until - LOOK_BACK) - OVERLAP))
    }

    /// Looks for what was missing, by name, and keeps what still is.
    async fn look_again(&mut self) -> Result<(), LedgerError> {
        if self.search.missing.is_empty() {
            return Ok(());
        }
        let keys = self.search.missing.iter().map(|Missing { stream: (stream_type, id), sequence, .. }| {
            json!({ "aggregate_type": stream_type, "aggregate_id": id, "sequence": sequence })
        });
        let keys = json!(keys.collect::<Vec<_>>()).to_string();
        let database = self.store.database();
        let given = database.given(1, &KEY);
        let sql = format!(
            "SELECT e.aggregate_type, e.aggregate_id, e.sequence, e.recorded_at FROM {given} \
             JOIN events e ON e.aggregate_type = given.aggregate_type AND e.aggregate_id = given.aggregate_id \
             AND e.sequence = given.sequence {} WHERE l.position IS NULL AND p.sequence IS NULL \
             ORDER BY e.recorded_at, e.event_id",
            with_place(database, 2)
        );
        let rows = database.read_bulk(&sql, &[keys.into(), nothing()]).await?;
        self.search.missing = rows.iter().map(Missing::read).collect::<Result<_, _>>()?;
        Ok(())
    }

    /// Whether this sequencer gave as many events their place as were recorded then.
    async fn none_is_missing(&self, from: Timestamp, to: Timestamp) -> Result<bool, LedgerError> {
        let rows = self.store.database().read_bulk(COUNT, &[from.into(), to.into()]).await?;
        let recorded = rows.first().map_or(Ok(0), |row| natural(row, "recorded"))?;
        Ok(recorded == self.tally.between(from, to))
    }

    /// Notes that a look is at its end. The database's note is for another sequencer, which knows nothing of what is
    /// missing: it begins with that.
    async fn looked_to(
        &mut self,
        until: Timestamp,
        asked: Timestamp,
        begin: Timestamp,
    ) -> Result<Looked, LedgerError> {
        let looked_to = self.search.too_many.take().unwrap_or(until);
        (self.search.looked_to, self.search.asked_to) = (Some(looked_to), Some(asked));
        // One that begins before this one, since a clock was set back, goes through the events.
        self.tally.forget_before(begin);
        let missing = self.search.missing.iter().filter_map(|missing| missing.recorded_at);
        let reconciled_to = missing.min().unwrap_or(looked_to).min(looked_to);
        let sql = "UPDATE ledger_state SET reconciled_to = $1";
        self.store.database().write(sql, &[reconciled_to.into()]).await?;
        Ok(Looked { missing: self.search.names(), at_the_end: true })
    }

    /// How many events have no place, and would be put into the queue by [`Sequencer::requeue`].
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn count_unplaced(&mut self) -> Result<u64, LedgerError> {
        self.for_unplaced(Unplaced::Counted).await
    }

    /// The first rows of the queue that name no event without a place, as `Countersign-Write` names events. Somebody
    /// put them there, removed their events, or gave these another entry; they would be held for ever.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn strays(&self) -> Result<Vec<String>, LedgerError> {
        let rows = self.store.database().read_bulk(STRAYS, &[STRAYS_MAX.into()]).await?;
        rows.iter().map(|row| Ok(Missing::read(row)?.name())).collect()
    }

    /// Puts every event without a place into the queue anew, to have its leaf made anew, and takes away what was in the
    /// queue before; how many events these are. That goes last: stopped in between, each event waits twice and not
    /// never. Running nodes may go on: what they append meanwhile is announced twice at most.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn requeue(&mut self) -> Result<u64, LedgerError> {
        let database = self.store.database().clone();
        let rows =
            database.read_bulk("SELECT pending_id FROM ledger_pending ORDER BY pending_id", &[]).await?;
        let before: Vec<i64> = rows.iter().map(|row| row.get("pending_id")).collect::<Result<_, _>>()?;
        let requeued = self.for_unplaced(Unplaced::Requeued).await?;
        // By their ids, so that a row that is committed only now stays.
        let delete = format!("DELETE FROM ledger_pending WHERE {}", database.any_of("pending_id", 1));
        for ids in before.chunks(DELETED_AT_ONCE) {
            database.write(&delete, &[json!(ids).to_string().into()]).await?;
        }
        Ok(requeued)
    }

    async fn for_unplaced(&mut self, unplaced: Unplaced) -> Result<u64, LedgerError> {
        let database = self.store.database().clone();
        let (mut after, mut found, mut behind) = ((String::new(), String::new()), 0, Vec::new());
        loop {
            let (stream_type, id) = after;
            let rows = database.read_bulk(NEXT_STREAMS, &[stream_type.into(), id.into()]).await?;
            let Some(last) = rows.last() else { break };
            after = (last.get("aggregate_type")?, last.get("aggregate_id")?);
            for row in rows {
                let stream = Behind::read(row)?;
                if stream.last > stream.reached {
                    behind.push(stream);
                }
            }
            if behind.len() >= BEHIND_MAX {
                found += self.for_unplaced_of(&behind, unplaced).await?;
                behind.clear();
            }
        }
        Ok(found + self.for_unplaced_of(&behind, unplaced).await?)
    }

    /// An event whose id was changed has an entry that is not found by it, and is not to get another.
    async fn for_unplaced_of(&mut self, behind: &[Behind], unplaced: Unplaced) -> Result<u64, LedgerError> {
        let streams: Vec<&StreamKey> = behind.iter().map(|behind| &behind.stream).collect();
        let size = self.store.state().await?.ok_or(LedgerError::NotThere)?.size();
        let last_entries = last_entries_by_stream(self.store.database(), &streams, size).await?;
        let mut count = 0;
        for Behind { stream, last, reached } in behind {
            let found = last_entries.get(stream).map_or(0, |(sequence, _)| *sequence);
            if found > *reached {
                self.heads.note_unlike(stream.clone());
            }
            let reached = found.max(*reached);
            if *last > reached {
                count += last - reached;
                match unplaced {
                    Unplaced::Counted => {}
                    Unplaced::Requeued => self.requeue_stream(stream, reached).await?,
                }
            }
        }
        Ok(count)
    }

    /// Stream by stream, so that each comes back in its own order.
    async fn requeue_stream(&self, stream: &StreamKey, reached: u64) -> Result<(), LedgerError> {
        let name: [Value; 2] = [stream.stream_type().into(), stream.id().into_owned().into()];
        let forget = Step::new(FORGET_CHAIN, name.to_vec());
        let requeue = Step::new(REQUEUE, name.into_iter().chain([number(reached)?]).collect());
        self.store.database().transact(vec![forget, requeue]).await?;
        Ok(())
    }
}

/// What is done with events that have no place.
#[derive(Clone, Copy)]
enum Unplaced {
    Counted,
    Requeued,
}

/// A stream with events that have no place.
struct Behind {
    stream: StreamKey,
    /// The sequence of its last event, and of the last one that has an entry.
    last: u64,
    reached: u64,
}

impl Behind {
    fn read(mut row: Row) -> Result<Self, LedgerError> {
        Ok(Self {
            last: natural(&row, "last")?,
            reached: natural(&row, "reached")?,
            stream: StreamKey::read(&mut row)?,
        })
    }
}

/// The next events, and whether each is known to the sequencer.
pub(super) fn look(database: &Database) -> String {
    let [stream_type, id, sequence] = KEY;
    let columns = [stream_type, id, sequence, timestamp("recorded_at"), text("event_id")];
    let next = "SELECT aggregate_type, aggregate_id, sequence, recorded_at, event_id FROM events \
                WHERE (recorded_at, event_id) > ($1, $2) AND recorded_at < $3 ORDER BY recorded_at, event_id LIMIT $4";
    format!(
        "SELECT e.aggregate_type, e.aggregate_id, e.sequence, e.recorded_at, e.event_id, \
         CAST(CASE WHEN l.position IS NULL AND p.sequence IS NULL THEN 0 ELSE 1 END AS bigint) AS known \
         FROM {} AS e {} ORDER BY e.recorded_at, e.event_id",
        and_nothing(database, 5, &columns, next),
        with_place(database, 5)
    )
}

/// Joins events `e` with their entries `l` and with what waits, `p`. How far the ledger goes is read with it: what
/// moves from the queue into the ledger in between would be in neither.
fn with_place(database: &Database, parameter: u8) -> String {
    let waiting = waiting(database, parameter);
    format!(
        "LEFT JOIN ledger_entries l ON {{entry_of_event}} AND l.position < (SELECT size FROM ledger_state) \
         LEFT JOIN {waiting} AS p ON p.aggregate_type = e.aggregate_type AND p.aggregate_id = e.aggregate_id \
         AND p.sequence = e.sequence"
    )
}

impl Search {
    /// Looks overlap, so that an event can be found again.
    fn note(&mut self, missing: Missing) {
        if self.missing.contains(&missing) {
            return;
        }
        if self.missing.len() < MISSING_KEPT_MAX {
            self.missing.push(missing);
        } else {
            self.too_many = self.too_many.or(missing.recorded_at);
        }
    }

    fn names(&self) -> Vec<String> {
        self.missing.iter().take(MISSING_NAMED_MAX).map(Missing::name).collect()
    }
}

impl Missing {
    fn name(&self) -> String {
        let Self { stream: (stream_type, id), sequence, .. } = self;
        format!("{}/{}/{sequence}", shown(stream_type), shown(id))
    }

    fn read(row: &Row) -> Result<Self, LedgerError> {
        Ok(Self {
            stream: (row.get("aggregate_type")?, row.get("aggregate_id")?),
            sequence: row.get("sequence")?,
            recorded_at: row.get("recorded_at").ok(),
        })
    }
}
