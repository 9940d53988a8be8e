//! The last entries of streams. Those that were looked up or had one lately are remembered: whoever signs in adds
//! several events within a minute.

use std::collections::{HashMap, HashSet};

use serde_json::json;

use super::StreamKey;
use crate::database::Database;
use crate::ledger::store::{LedgerError, number};
use crate::ledger::tree::Hash;
use crate::ledger::waiting::KEY;
use crate::table::text;

/// So many streams are remembered at least, and twice as many at most.
const STREAMS_MIN: usize = 32_768;

/// So many entries are gone through in one statement.
const ENTRIES_AT_ONCE: u64 = 100_000;

/// The sequence and hash of a stream's last entry.
pub(super) type LastEntry = (u64, Hash);

/// What is known of a stream's last entry.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Head {
    /// Nothing: it is to be looked up.
    Unknown,
    /// There is none.
    None,
    Last(LastEntry),
}

#[derive(Default)]
pub(super) struct Heads {
    young: HashMap<StreamKey, LastEntry>,
    /// What was young before; it goes when the young are as many.
    old: HashMap<StreamKey, LastEntry>,
    /// What was found of streams that got no entry since. An event that was missing may come back.
    looked_up: HashMap<StreamKey, Option<LastEntry>>,
    /// Streams whose entries are not all found by their events.
    unlike_their_events: HashSet<StreamKey>,
}

impl Heads {
    pub(super) fn get(&self, stream: &StreamKey) -> Head {
        if let Some(last) = self.young.get(stream).or_else(|| self.old.get(stream)) {
            return Head::Last(*last);
        }
        self.looked_up.get(stream).map_or(Head::Unknown, |last| last.map_or(Head::None, Head::Last))
    }

    /// A stream has a new last entry.
    pub(super) fn put(&mut self, stream: StreamKey, last: LastEntry) {
        self.looked_up.remove(&stream);
        self.young.insert(stream, last);
        if self.young.len() >= STREAMS_MIN {
            self.old = std::mem::take(&mut self.young);
        }
    }

    /// Looks the last entries of these streams up, which are first to be looked at from these sequences on.
    pub(super) async fn look_up(
        &mut self,
        database: &Database,
        streams: &[(&StreamKey, u64)],
        size: u64,
    ) -> Result<HashMap<StreamKey, LastEntry>, LedgerError> {
        let (unlike, like): (Vec<_>, Vec<_>) =
            streams.iter().partition(|(stream, _)| self.unlike_their_events.contains(*stream));
        let mut found = last_entries_by_event(database, &like, size).await?;
        let unlike: Vec<&StreamKey> = unlike.into_iter().map(|(stream, _)| stream).collect();
        found.extend(last_entries_by_stream(database, &unlike, size).await?);
        for (stream, _) in streams {
            self.looked_up.insert((*stream).clone(), found.get(stream).copied());
        }
        Ok(found)
    }

    /// What was looked up may be another by now.
    pub(super) fn look_again(&mut self) {
        self.looked_up.clear();
    }

    /// Entries of this stream are not all found by its events.
    pub(super) fn note_unlike(&mut self, stream: StreamKey) {
        self.unlike_their_events.insert(stream);
    }

    /// Another sequencer was here.
    pub(super) fn forget(&mut self) {
        *self =
            Self { unlike_their_events: std::mem::take(&mut self.unlike_their_events), ..Self::default() };
    }
}

/// The last entries of streams, by way of their events.
pub(super) async fn last_entries_by_event(
    database: &Database,
    streams: &[(&StreamKey, u64)],
    size: u64,
) -> Result<HashMap<StreamKey, LastEntry>, LedgerError> {
    let mut last_entries = HashMap::with_capacity(streams.len());
    if streams.is_empty() {
        return Ok(last_entries);
    }
    let given = streams.iter().map(|(stream, sequence)| {
        json!({ "aggregate_type": stream.stream_type(), "aggregate_id": stream.id(), "sequence": sequence })
    });
    let params = [json!(given.collect::<Vec<_>>()).to_string().into(), number(size)?];
    for mut row in database.read_bulk(&last_by_event(database), &params).await? {
        if let Some(last) = row.get::<Option<String>>("last")? {
            last_entries.insert(StreamKey::read(&mut row)?, read_last(&last)?);
        }
    }
    Ok(last_entries)
}

/// What lies beyond the ledger's size is nothing that a sequencer wrote. Both values come as one text, so that each
/// stream is looked up once. What waits has no entry, except where it was announced twice: then the last entry may be
/// any of those that follow.
pub(super) fn last_by_event(database: &Database) -> String {
    let entry = "FROM events e JOIN ledger_entries l ON {entry_of_event} AND l.position < $2 \
                 WHERE e.aggregate_type = given.aggregate_type AND e.aggregate_id = given.aggregate_id";
    let last = "SELECT CAST(l.sequence AS text) || ' ' || l.leaf_hash";
    format!(
        "SELECT given.aggregate_type, given.aggregate_id, \
         CASE WHEN EXISTS (SELECT 1 {entry} AND e.sequence = given.sequence) \
         THEN ({last} {entry} ORDER BY e.sequence DESC LIMIT 1) \
         ELSE ({last} {entry} AND e.sequence < given.sequence ORDER BY e.sequence DESC LIMIT 1) END AS last FROM {}",
        database.given(1, &KEY)
    )
}

/// The same without their events: the whole ledger is gone through, part by part.
pub(super) async fn last_entries_by_stream(
    database: &Database,
    streams: &[&StreamKey],
    size: u64,
) -> Result<HashMap<StreamKey, LastEntry>, LedgerError> {
    // The limit keeps PostgreSQL from beginning with the streams, and finding all of their entries for each part.
    let sql = format!(
        "SELECT l.aggregate_type, l.aggregate_id, CAST(l.sequence AS text) || ' ' || l.leaf_hash AS last \
         FROM (SELECT * FROM ledger_entries WHERE position >= $2 AND position < $3 ORDER BY position LIMIT $4) AS l \
         JOIN {} ON given.aggregate_type = l.aggregate_type AND given.aggregate_id = l.aggregate_id",
        database.given(1, &[text("aggregate_type"), text("aggregate_id")])
    );
    let given =
        |stream: &&StreamKey| json!({ "aggregate_type": stream.stream_type(), "aggregate_id": stream.id() });
    let given = json!(streams.iter().map(given).collect::<Vec<_>>()).to_string();
    let mut last_entries: HashMap<StreamKey, LastEntry> = HashMap::new();
    let size = if streams.is_empty() { 0 } else { size };
    let mut from = 0;
    while from < size {
        let to = size.min(from + ENTRIES_AT_ONCE);
        let params = [given.clone().into(), number(from)?, number(to)?, number(ENTRIES_AT_ONCE)?];
        for mut row in database.read_bulk(&sql, &params).await? {
            let stream = StreamKey::read(&mut row)?;
            let (sequence, hash) = read_last(&row.get::<String>("last")?)?;
            let last = last_entries.entry(stream).or_insert((sequence, hash));
            if last.0 <= sequence {
                *last = (sequence, hash);
            }
        }
        from = to;
    }
    Ok(last_entries)
}

/// The sequence and hash of a stream's last entry.
fn read_last(text: &str) -> Result<LastEntry, LedgerError> {
    let (sequence, hash) = text.split_once(' ').unwrap_or_default();
    let corrupt = |_| LedgerError::Corrupt("an entry has no sequence".to_owned());
    Ok((sequence.parse().map_err(corrupt)?, hash.parse()?))
}
