//! All events, stream by stream: what everything is folded from.
//!
//! Pages go by the key of a stream and its sequence, and memory holds three of them: the next one is read while one
//! is folded. Places in the ledger are looked up only by who folds no further than some size of it, since that takes
//! longer than the reading.

use countersign_domain::Timestamp;
use tokio::sync::mpsc;

use crate::database::{Database, Row};
use crate::ledger::store::{LedgerError, natural};
use crate::table::Value;

/// So many events are read at once.
const PAGE_EVENTS: i64 = if cfg!(test) { 3 } else { 4_096 };

/// One event with its place.
#[derive(Clone, Debug)]
pub struct PastEvent {
    /// The kind of its stream.
    pub stream_type: String,
    /// Which stream of that kind.
    pub stream_id: String,
    /// Its place in the stream, from 1.
    pub sequence: i64,
    /// Its place in the ledger; none if that was not looked up, or for an event that waits for it, or that is not
    /// found there by its id.
    pub position: Option<u64>,
    /// What it says; none if it was removed behind the program's back.
    pub content: Option<PastContent>,
}

/// What an event says, as it is stored.
#[derive(Clone, Debug)]
pub struct PastContent {
    /// Its type.
    pub event_type: String,
    /// The version of its shape.
    pub event_version: String,
    /// When it was recorded; none if that is not as the program writes it.
    pub recorded_at: Option<Timestamp>,
    /// The event, as JSON.
    pub payload: String,
}

macro_rules! select {
    ($position:literal, $key:literal, $from:literal) => {
        concat!(
            "SELECT ",
            $position,
            " AS position, ",
            $key,
            ".aggregate_type, ",
            $key,
            ".aggregate_id, ",
            $key,
            ".sequence, e.event_type, e.event_version, e.recorded_at, CAST(e.payload AS text) AS payload FROM ",
            $from
        )
    };
}

pub(super) const NEXT: &str = select!(
    "CAST(NULL AS bigint)",
    "e",
    "events e WHERE (aggregate_type, aggregate_id, sequence) > ($1, $2, $3) \
     ORDER BY aggregate_type, aggregate_id, sequence LIMIT $4"
);

pub(super) const NEXT_WITH_PLACES: &str = select!(
    "l.position",
    "k",
    "(SELECT aggregate_type, aggregate_id, sequence FROM events \
     WHERE (aggregate_type, aggregate_id, sequence) > ($1, $2, $3) \
     ORDER BY aggregate_type, aggregate_id, sequence LIMIT $4) AS k \
     JOIN events e ON e.aggregate_type = k.aggregate_type AND e.aggregate_id = k.aggregate_id \
     AND e.sequence = k.sequence LEFT JOIN ledger_entries l ON {entry_of_event} AND l.position < $5 \
     ORDER BY k.aggregate_type, k.aggregate_id, k.sequence"
);

const OF_ONE: &str = select!(
    "CAST(NULL AS bigint)",
    "e",
    "events e WHERE aggregate_type = $1 AND aggregate_id = $2 AND sequence > $3 ORDER BY sequence LIMIT $4"
);

/// Its snapshot knows of the stream's last event though that was removed.
pub(super) const OF_ONE_WITH_PLACES: &str = select!(
    "l.position",
    "k",
    "(SELECT * FROM (SELECT * FROM (SELECT aggregate_type, aggregate_id, sequence FROM events \
     WHERE aggregate_type = $1 AND aggregate_id = $2 AND sequence > $3 ORDER BY sequence LIMIT $4) AS there \
     UNION SELECT aggregate_type, aggregate_id, last_sequence FROM snapshots \
     WHERE aggregate_type = $1 AND aggregate_id = $2 AND last_sequence > $3) AS known \
     ORDER BY sequence LIMIT $4) AS k \
     LEFT JOIN events e ON e.aggregate_type = k.aggregate_type AND e.aggregate_id = k.aggregate_id \
     AND e.sequence = k.sequence LEFT JOIN ledger_entries l ON {entry_of_event} ORDER BY k.sequence"
);

const WAITS: &str = "SELECT 1 AS waits FROM ledger_pending \
    WHERE aggregate_type = $1 AND aggregate_id = $2 AND sequence = $3 LIMIT 1";

/// Reads the events of all streams, in the order of their streams.
pub struct Streams {
    /// What was read ahead; an empty page is the end.
    pages: mpsc::Receiver<Result<Vec<PastEvent>, LedgerError>>,
}

impl Streams {
    /// All there are, from the first stream on. What is recorded meanwhile may be among them.
    #[must_use]
    pub fn all(database: &Database) -> Self {
        Self::read(Reading::new(database, BEFORE_ANY, None))
    }

    /// All there are, from the stream on that comes after this one.
    #[must_use]
    pub fn after(database: &Database, (stream_type, stream_id): &(String, String)) -> Self {
        Self::read(Reading::new(database, (stream_type, stream_id, i64::MAX), None))
    }

    /// Those that have a place in the ledger below a size.
    #[must_use]
    pub fn below(database: &Database, size: u64) -> Self {
        Self::read(Reading::new(database, BEFORE_ANY, Some(size)))
    }

    fn read(mut reading: Reading) -> Self {
        let (ahead, pages) = mpsc::channel(1);
        // It ends with whoever reads these pages, one page later at most.
        tokio::spawn(async move {
            loop {
                let page = reading.next_page().await;
                let is_last = page.as_ref().map_or(true, Vec::is_empty);
                if ahead.send(page).await.is_err() || is_last {
                    break;
                }
            }
        });
        Self { pages }
    }

    /// The next events; none at the end.
    ///
    /// # Errors
    /// When the database does not answer, or what it holds does not read.
    pub async fn next_page(&mut self) -> Result<Vec<PastEvent>, LedgerError> {
        // The last page is always sent, so that an end without one is not taken for the end of the events.
        self.pages.recv().await.unwrap_or(Err(LedgerError::Stopping))
    }
}

const BEFORE_ANY: (&str, &str, i64) = ("", "", 0);

/// How far the pages were read.
pub(super) struct Reading {
    database: Database,
    after: (String, String, i64),
    below: Option<i64>,
    over: bool,
}

impl Reading {
    pub(super) fn new(
        database: &Database,
        (stream_type, stream_id, sequence): (&str, &str, i64),
        below: Option<u64>,
    ) -> Self {
        let after = (stream_type.to_owned(), stream_id.to_owned(), sequence);
        let below = below.map(|size| i64::try_from(size).unwrap_or(i64::MAX));
        Self { database: database.clone(), after, below, over: false }
    }

    pub(super) async fn next_page(&mut self) -> Result<Vec<PastEvent>, LedgerError> {
        let mut events = Vec::new();
        while events.is_empty() && !self.over {
            let (stream_type, stream_id, sequence) = self.after.clone();
            let mut params = vec![stream_type.into(), stream_id.into(), sequence.into(), PAGE_EVENTS.into()];
            params.extend(self.below.map(Value::from));
            let sql = if self.below.is_some() { NEXT_WITH_PLACES } else { NEXT };
            let rows = self.database.read_bulk(sql, &params).await?;
            events = rows.iter().map(read_event).collect::<Result<_, _>>()?;
            self.over = !is_full(&events);
            if let Some(last) = events.last() {
                // What follows one without a place may get its own until the next page is read, and would not follow.
                let is_left_out = self.below.is_some() && last.position.is_none();
                let sequence = if is_left_out { i64::MAX } else { last.sequence };
                self.after = (last.stream_type.clone(), last.stream_id.clone(), sequence);
            }
            events.retain(|event| self.below.is_none() || event.position.is_some());
        }
        Ok(events)
    }
}

/// How much of a stream is meant.
#[derive(Clone, Copy, Debug)]
pub enum Extent {
    /// All of it, what waits for its place too.
    Everything,
    /// What had been recorded at a moment.
    At(Moment),
}

/// A moment, and the entries of the ledger that are gone through for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Moment {
    /// What was recorded then or before counts. Times never go back within a stream.
    pub at: Timestamp,
    /// So many entries, from the first on.
    pub size: u64,
}

/// Some events of a stream.
#[derive(Debug)]
pub struct Page {
    /// The events, in their order.
    pub events: Vec<PastEvent>,
    /// Whether no more come after these.
    pub is_last: bool,
}

/// The next events of one stream after a sequence.
///
/// # Errors
/// As for [`Streams::next_page`].
pub async fn events_of(
    database: &Database,
    (stream_type, stream_id): (&str, &str),
    after: i64,
    extent: Extent,
) -> Result<Page, LedgerError> {
    let params = [stream_type.into(), stream_id.into(), after.into(), PAGE_EVENTS.into()];
    let sql = match extent {
        Extent::Everything => OF_ONE,
        Extent::At(_) => OF_ONE_WITH_PLACES,
    };
    let rows = database.read_bulk(sql, &params).await?;
    let events = rows.iter().map(read_event).collect::<Result<Vec<_>, _>>()?;
    let page = Page { is_last: !is_full(&events), events };
    match extent {
        Extent::Everything => Ok(page),
        Extent::At(moment) => page.at(database, after, moment).await,
    }
}

impl Page {
    /// As far as a moment: neither times nor places go back within a stream. What is gone may have been before it.
    async fn at(mut self, database: &Database, after: i64, moment: Moment) -> Result<Self, LedgerError> {
        let is_later = |event: &PastEvent| {
            let recorded_at = event.content.as_ref().and_then(|content| content.recorded_at);
            recorded_at.is_some_and(|at| at > moment.at) || event.position.is_some_and(|at| at >= moment.size)
        };
        let end = self.events.iter().position(|event| is_later(event) || event.is_without_place());
        let Some((end, event)) = end.and_then(|end| Some((end, self.events.get(end)?))) else {
            return Ok(self);
        };
        let before =
            end.checked_sub(1).and_then(|before| self.events.get(before)).map_or(after, |it| it.sequence);
        if event.sequence != before + 1 || !is_later(event) && !event.waits(database).await? {
            return Ok(self);
        }
        self.events.truncate(end);
        Ok(Self { is_last: true, ..self })
    }
}

impl PastEvent {
    /// Whether it is there, and no entry is of it; to be asked where places were looked up.
    #[must_use]
    pub fn is_without_place(&self) -> bool {
        self.content.is_some() && self.position.is_none()
    }

    /// Whether such an event waited for its place, or got it just now.
    async fn waits(&self, database: &Database) -> Result<bool, LedgerError> {
        let stream: [Value; 2] = [self.stream_type.clone().into(), self.stream_id.clone().into()];
        let [stream_type, stream_id] = stream.clone();
        if !database.read_bulk(WAITS, &[stream_type, stream_id, self.sequence.into()]).await?.is_empty() {
            return Ok(true);
        }
        let [stream_type, stream_id] = stream;
        let this = [stream_type, stream_id, (self.sequence - 1).into(), 1.into()];
        let rows = database.read_bulk(OF_ONE_WITH_PLACES, &this).await?;
        let now = rows.first().map(read_event).transpose()?;
        Ok(now.is_some_and(|event| event.position.is_some()))
    }
}

/// Whether more may come after these.
fn is_full(events: &[PastEvent]) -> bool {
    i64::try_from(events.len()) == Ok(PAGE_EVENTS)
}

fn read_event(row: &Row) -> Result<PastEvent, LedgerError> {
    let position: Option<i64> = row.get("position")?;
    let content = row.get::<Option<String>>("payload")?.map(|payload| {
        Ok::<_, LedgerError>(PastContent {
            event_type: row.get("event_type")?,
            event_version: row.get("event_version")?,
            // SQLite has a moment as text, and one in another spelling is found where it does not belong.
            recorded_at: row.get("recorded_at").ok(),
            payload,
        })
    });
    Ok(PastEvent {
        stream_type: row.get("aggregate_type")?,
        stream_id: row.get("aggregate_id")?,
        sequence: row.get("sequence")?,
        position: position.map(|_| natural(row, "position")).transpose()?,
        content: content.transpose()?,
    })
}
