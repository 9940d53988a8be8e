//! The last entries of streams. Those that were looked up or had one lately are remembered: whoever signs in adds
//! several events within a minute.

use std::collections::HashMap;

use serde_json::json;

use super::StreamKey;
use crate::database::Database;
use crate::ledger::store::{LedgerError, number};
use crate::ledger::tree::Hash;
use crate::table::{Column, Value, text};

/// So many streams are remembered at least, and twice as many at most.
const STREAMS_MIN: usize = 32_768;

/// So many entries are gone through in one statement.
const ENTRIES_AT_ONCE: u64 = 100_000;

const STREAM: [Column; 2] = [text("aggregate_type"), text("aggregate_id")];

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
    young: HashMap<StreamKey, Head>,
    /// What was young before; it goes when the young are as many.
    old: HashMap<StreamKey, Head>,
}

impl Heads {
    pub(super) fn get(&self, stream: &StreamKey) -> Head {
        self.young.get(stream).or_else(|| self.old.get(stream)).copied().unwrap_or(Head::Unknown)
    }

    pub(super) fn put(&mut self, stream: StreamKey, last: Option<LastEntry>) {
        self.young.insert(stream, last.map_or(Head::None, Head::Last));
        if self.young.len() >= STREAMS_MIN {
            self.old = std::mem::take(&mut self.young);
        }
    }

    /// Another sequencer was here.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }
}

/// The last entries of streams, by way of their events.
pub(super) async fn last_entries_by_event(
    database: &Database,
    streams: &[&StreamKey],
    size: u64,
) -> Result<HashMap<StreamKey, LastEntry>, LedgerError> {
    let sql = last_by_event(database);
    let mut last_entries = HashMap::with_capacity(streams.len());
    for mut row in database.read_bulk(&sql, &[given(streams), number(size)?]).await? {
        if let Some(last) = row.get::<Option<String>>("last")? {
            last_entries.insert(StreamKey::read(&mut row)?, read_last(&last)?);
        }
    }
    Ok(last_entries)
}

/// What lies beyond the ledger's size is nothing that a sequencer wrote. Both values come as one text, so that each
/// stream is looked up once.
pub(super) fn last_by_event(database: &Database) -> String {
    format!(
        "SELECT given.aggregate_type, given.aggregate_id, \
         (SELECT CAST(l.sequence AS text) || ' ' || l.leaf_hash FROM events e \
         JOIN ledger_entries l ON {{entry_of_event}} AND l.position < $2 \
         WHERE e.aggregate_type = given.aggregate_type AND e.aggregate_id = given.aggregate_id \
         ORDER BY e.sequence DESC LIMIT 1) AS last FROM {}",
        database.given(1, &STREAM)
    )
}

/// The same without their events: the whole ledger is gone through, part by part.
pub(super) async fn last_entries_by_stream(
    database: &Database,
    streams: &[&StreamKey],
    size: u64,
) -> Result<HashMap<StreamKey, LastEntry>, LedgerError> {
    let sql = format!(
        "SELECT l.aggregate_type, l.aggregate_id, CAST(l.sequence AS text) || ' ' || l.leaf_hash AS last \
         FROM {} JOIN ledger_entries l ON l.aggregate_type = given.aggregate_type \
         AND l.aggregate_id = given.aggregate_id WHERE l.position >= $2 AND l.position < $3",
        database.given(1, &STREAM)
    );
    let mut last_entries: HashMap<StreamKey, LastEntry> = HashMap::new();
    let size = if streams.is_empty() { 0 } else { size };
    let mut from = 0;
    while from < size {
        let to = size.min(from + ENTRIES_AT_ONCE);
        let params = [given(streams), number(from)?, number(to)?];
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

fn given(streams: &[&StreamKey]) -> Value {
    let given =
        |stream: &&StreamKey| json!({ "aggregate_type": stream.stream_type(), "aggregate_id": stream.id() });
    json!(streams.iter().map(given).collect::<Vec<_>>()).to_string().into()
}

/// The sequence and hash of a stream's last entry.
fn read_last(text: &str) -> Result<LastEntry, LedgerError> {
    let (sequence, hash) = text.split_once(' ').unwrap_or_default();
    let corrupt = |_| LedgerError::Corrupt("an entry has no sequence".to_owned());
    Ok((sequence.parse().map_err(corrupt)?, hash.parse()?))
}
