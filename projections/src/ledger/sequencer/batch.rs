//! What waits for a place, with the leaves that came with it and the entries that come before.

use std::borrow::Cow;
use std::collections::HashMap;

use countersign_domain::ids::EventId;
use serde_json::json;

use super::heads::{Head, LastEntry};
use super::leaves::{self, Placed};
use super::stream::read_id;
use super::{Appended, KnownLeaf, Sequencer, StreamKey, TURN_ROWS_MAX};
use crate::database::{Engine, Row};
use crate::ledger::leaf::EventColumns;
use crate::ledger::store::{LedgerError, natural};
use crate::ledger::tree::MAX_SIZE;
use crate::table::{Value, integer, text};

/// What a turn looks at.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) rows: Vec<PendingRow>,
    /// The last entry of each of their streams: its sequence and hash.
    pub(super) last_entries: HashMap<StreamKey, LastEntry>,
    /// Whether there may be more than was read.
    pub(super) more: bool,
}

/// One event that waits.
pub(super) struct PendingRow {
    pub(super) pending_id: i64,
    pub(super) stream: StreamKey,
    pub(super) sequence: u64,
    pub(super) content: Content,
}

/// A row of the queue, and its event, if that reads and has a leaf.
pub(super) struct ListedRow {
    pub(super) pending_id: i64,
    pub(super) event: Option<ListedEvent>,
}

/// An event, by its id and by its place in its stream.
pub(super) struct ListedEvent {
    pub(super) event_id: EventId,
    pub(super) stream: StreamKey,
    pub(super) sequence: u64,
}

/// What a place is given to.
pub(super) enum Content {
    /// The leaf that this node made when it appended the event.
    Known(KnownLeaf),
    /// The leaf that was made when the event was appended.
    Leaf(String),
    /// The event, of which the leaf is yet to be made.
    Event(Box<EventColumns<'static>>),
    /// There is no leaf, and somebody removed the event behind the program's back.
    Gone,
}

const PENDING: &str = "SELECT pending_id, aggregate_type, aggregate_id, sequence, leaf FROM ledger_pending";

const OF_PAGE: &str = "WHERE pending_id > $1 ORDER BY pending_id LIMIT $2";

/// Which rows wait, as one text: a row for each would cost more than what is in it. The id is the one that the leaf
/// names, by which the entry will be found; a row without a leaf has none, so that nothing is remembered of it.
/// Whatever is no such text is read row by row: a comma within a name makes them more than are counted, a space makes
/// the event one that does not read.
const LIST: &str = "SELECT count(*) AS waiting, coalesce(string_agg(pending_id || ' ' || \
    CASE WHEN leaf IS NULL THEN '' ELSE {id_in_leaf} END || ' ' || aggregate_type || ' ' || aggregate_id || ' ' || \
    sequence, ','), '') AS listed";

/// What a stream's event is found by.
type EventKey = (StreamKey, u64);

/// Pages of which every row is held are passed over, so many in a turn; the next turn goes on behind them, so
/// that what is held hides nothing for ever.
const PAGES_MAX: usize = 16;

impl Sequencer {
    /// Gives places to what waits, past the pages of which every row is held; whether more may wait.
    pub(super) async fn place_next(&mut self, size: u64) -> Result<(Placed, bool), LedgerError> {
        for _ in 0..PAGES_MAX {
            let may_pass_a_late_one = self.queue.may_pass_a_late_one();
            let batch = self.read_page(self.queue.start_after(), size).await?;
            let more = batch.more;
            let ends = batch.rows.first().zip(batch.rows.last());
            let ends = ends.map(|(first, last)| (first.pending_id, last.pending_id));
            self.queue.note_page(ends);
            let mut placed = leaves::place(size, batch).await?;
            if placed.held.count > 0 {
                self.queue.begin_with_first();
                // What these wait for may have come late, before all that was read: they are held only if not.
                if may_pass_a_late_one {
                    continue;
                }
            }
            if let Some((_, last)) = ends
                && more
                && placed.done.is_empty()
            {
                self.queue.pass_over(last, placed.held);
                continue;
            }
            let mut held = self.queue.passed_over();
            held.add(placed.held);
            placed.held = held;
            if !more {
                // What was missing may be there by then.
                self.queue.begin_anew();
            }
            return Ok((placed, more));
        }
        Ok((Placed { held: self.queue.passed_over(), ..Placed::default() }, false))
    }

    async fn read_page(&mut self, after: i64, size: u64) -> Result<Batch, LedgerError> {
        let limit = i64::try_from(TURN_ROWS_MAX).unwrap_or(i64::MAX);
        let page = [after.into(), limit.into()];
        let (rows, found) = match self.read_remembered(&page).await? {
            Some(read) => read,
            None => {
                let rows = self.store.database().read_bulk(&format!("{PENDING} {OF_PAGE}"), &page).await?;
                let found = rows.len();
                (rows.into_iter().map(read_row).collect::<Result<_, _>>()?, found)
            }
        };
        let mut batch = Batch { rows, more: found == TURN_ROWS_MAX, ..Batch::default() };
        if !batch.rows.is_empty() {
            self.read_events_without_leaf(&mut batch).await?;
            self.read_last_entries(&mut batch, size).await?;
        }
        Ok(batch)
    }

    /// The same rows, and how many they are, where some of them may be remembered: reads which they are, and the rest of
    /// those that are not.
    async fn read_remembered(
        &self,
        page: &[Value; 2],
    ) -> Result<Option<(Vec<PendingRow>, usize)>, LedgerError> {
        if self.appends.is_empty() {
            return Ok(None);
        }
        let database = self.store.database();
        let sql = format!("{LIST} FROM (SELECT * FROM ledger_pending {OF_PAGE}) AS page");
        let listed = database.read_bulk(&sql, page).await?;
        let Some(listed) = listed.first().map(read_list).transpose()?.flatten() else { return Ok(None) };
        let found = listed.len();
        let (mut rows, mut unknown) = (Vec::with_capacity(found), Vec::new());
        self.appends.take(listed, |pending_id, appended| match appended {
            Some(event) => rows.push(PendingRow::remembered(pending_id, event)),
            None => unknown.push(pending_id),
        });
        if !unknown.is_empty() {
            let sql = format!("{PENDING} WHERE {}", database.any_of("pending_id", 1));
            for row in database.read_bulk(&sql, &[json!(unknown).to_string().into()]).await? {
                rows.push(read_row(row)?);
            }
        }
        rows.sort_unstable_by_key(|row| row.pending_id);
        Ok(Some((rows, found)))
    }

    /// The events are looked up by the keys that are handed over, one by one through the primary key. The
    /// join is an outer one so that no planner can begin with all events there are.
    async fn read_events_without_leaf(&self, batch: &mut Batch) -> Result<(), LedgerError> {
        let keys: Vec<_> = batch
            .rows
            .iter()
            .filter(|row| matches!(row.content, Content::Gone))
            .map(|PendingRow { stream, sequence, .. }| {
                json!({ "aggregate_type": stream.stream_type(), "aggregate_id": stream.id(), "sequence": sequence })
            })
            .collect();
        if keys.is_empty() {
            return Ok(());
        }
        let database = self.store.database();
        let given = [text("aggregate_type"), text("aggregate_id"), integer("sequence")];
        let sql = format!(
            "SELECT e.aggregate_type, e.aggregate_id, e.sequence, e.event_id, e.event_type, e.event_version, \
             e.recorded_at, e.agreement_id, CAST(e.payload AS text) AS payload, CAST(e.metadata AS text) AS metadata \
             FROM {} LEFT JOIN events e ON e.aggregate_type = given.aggregate_type \
             AND e.aggregate_id = given.aggregate_id AND e.sequence = given.sequence \
             WHERE coalesce(e.sequence, 0) > 0",
            database.given(1, &given)
        );
        // PostgreSQL finds the entry of no other spelling.
        let by_stream = matches!(database.engine(), Engine::Sqlite(_));
        let mut events: HashMap<EventKey, Box<EventColumns<'static>>> = HashMap::with_capacity(keys.len());
        for row in database.read_bulk(&sql, &[json!(keys).to_string().into()]).await? {
            // One that does not read holds its stream back, like one that is gone.
            if let Ok(event) = read_event(&row)
                && (by_stream || read_id(&event.event_id).is_some())
            {
                let stream = StreamKey::new(&event.stream_type, &event.stream_id);
                events.insert((stream, event.sequence), event.into());
            }
        }
        for row in &mut batch.rows {
            // An event that is announced twice is looked at once.
            if let Content::Gone = row.content
                && let Some(event) = events.remove(&(row.stream.clone(), row.sequence))
            {
                row.content = Content::Event(event);
            }
        }
        Ok(())
    }

    async fn read_last_entries(&mut self, batch: &mut Batch, size: u64) -> Result<(), LedgerError> {
        let mut unknown: HashMap<&StreamKey, u64> = HashMap::new();
        for row in &batch.rows {
            if batch.last_entries.contains_key(&row.stream) {
                continue;
            }
            match self.heads.get(&row.stream) {
                Head::Last(last) => drop(batch.last_entries.insert(row.stream.clone(), last)),
                Head::None => {}
                Head::Unknown => {
                    let first = unknown.entry(&row.stream).or_insert(row.sequence);
                    *first = row.sequence.min(*first);
                }
            }
        }
        if !unknown.is_empty() {
            let unknown: Vec<_> = unknown.into_iter().collect();
            let found = self.heads.look_up(self.store.database(), &unknown, size).await?;
            batch.last_entries.extend(found);
        }
        Ok(())
    }
}

impl PendingRow {
    fn remembered(pending_id: i64, event: Appended) -> Self {
        let Appended { stream, sequence, leaf, .. } = event;
        Self { pending_id, stream, sequence, content: Content::Known(leaf) }
    }

    /// The event as `Countersign-Write` names it.
    pub(super) fn name(&self) -> String {
        format!("{}/{}", self.stream, self.sequence)
    }
}

fn read_row(mut row: Row) -> Result<PendingRow, LedgerError> {
    Ok(PendingRow {
        pending_id: row.get("pending_id")?,
        stream: StreamKey::read(&mut row)?,
        // No event has a sequence below one; such a row finds none, and is held.
        sequence: natural(&row, "sequence").unwrap_or(MAX_SIZE),
        content: row.take::<Option<String>>("leaf")?.map_or(Content::Gone, Content::Leaf),
    })
}

/// Reads what [`LIST`] tells; nothing if it is not told for sure which event is which.
fn read_list(row: &Row) -> Result<Option<Vec<ListedRow>>, LedgerError> {
    let (waiting, listed) = (natural(row, "waiting")?, row.get::<String>("listed")?);
    let listed: Option<Vec<_>> = listed.split_terminator(',').map(ListedRow::read).collect();
    Ok(listed.filter(|listed| u64::try_from(listed.len()) == Ok(waiting)))
}

impl ListedRow {
    fn read(text: &str) -> Option<Self> {
        let (pending_id, event) = text.split_once(' ')?;
        Some(Self { pending_id: pending_id.parse().ok()?, event: ListedEvent::read(event) })
    }
}

impl ListedEvent {
    fn read(text: &str) -> Option<Self> {
        let mut parts = text.split(' ');
        let (event_id, stream_type, id) = (parts.next()?, parts.next()?, parts.next()?);
        let (sequence, None) = (parts.next()?, parts.next()) else { return None };
        let stream = StreamKey::new(stream_type, id);
        Some(Self { event_id: event_id.parse().ok()?, stream, sequence: sequence.parse().ok()? })
    }
}

fn read_event(row: &Row) -> Result<EventColumns<'static>, LedgerError> {
    let text = |column| row.get::<String>(column).map(Cow::Owned);
    Ok(EventColumns {
        stream_type: text("aggregate_type")?,
        stream_id: text("aggregate_id")?,
        sequence: natural(row, "sequence")?,
        event_id: text("event_id")?,
        event_type: text("event_type")?,
        event_version: text("event_version")?,
        agreement_id: row.get::<Option<String>>("agreement_id")?.map(Cow::Owned),
        recorded_at: row.get("recorded_at")?,
        payload: text("payload")?,
        metadata: text("metadata")?,
    })
}
