//! From events that wait to leaves with a place.

use std::collections::HashMap;

use countersign_domain::Timestamp;

use super::batch::{Batch, Content, PendingRow, StreamKey};
use super::heads::LastEntry;
use super::{Held, HeldEvent};
use crate::ledger::leaf::{EventColumns, Leaf, NoLeaf};
use crate::ledger::store::LedgerError;
use crate::ledger::tree::{Hash, leaf_hash};

/// What became of a batch.
#[derive(Default)]
pub(super) struct Placed {
    pub(super) entries: Vec<Entry>,
    /// The last entry of each stream that was looked at, these included.
    pub(super) last_entries: HashMap<StreamKey, LastEntry>,
    /// The pending rows that are done with: those of the entries, and those whose event has a place already.
    pub(super) done: Vec<i64>,
    /// Which events get no place yet, and why.
    pub(super) held: Held,
}

/// One new entry.
pub(super) struct Entry {
    pub(super) pending_id: i64,
    pub(super) position: u64,
    pub(super) stream: StreamKey,
    pub(super) sequence: u64,
    /// Its leaf, if that was made here. Otherwise it is in the pending row.
    pub(super) made: Option<String>,
    pub(super) leaf_hash: Hash,
    pub(super) recorded_at: Timestamp,
}

/// Gives each event whose predecessor has a place the next one. Hashing takes a while, so it is done
/// beside the threads that answer requests.
pub(super) async fn place(size: u64, batch: Batch) -> Result<Placed, LedgerError> {
    let placing = tokio::task::spawn_blocking(move || place_all(size, batch));
    placing.await.map_err(|_| LedgerError::Stopping)
}

fn place_all(size: u64, batch: Batch) -> Placed {
    let mut placed = Placed {
        entries: Vec::with_capacity(batch.rows.len()),
        last_entries: batch.last_entries,
        ..Placed::default()
    };
    let mut position = size;
    for row in batch.rows {
        let (pending_id, before) = (row.pending_id, placed.last_entries.get(&row.stream).copied());
        match place_one(row, position, before) {
            Outcome::Placed(entry) => {
                placed.note_last(&entry);
                placed.entries.push(entry);
                placed.done.push(pending_id);
                position += 1;
            }
            Outcome::ThereAlready => placed.done.push(pending_id),
            Outcome::Held(held) => placed.held.push(held),
        }
    }
    placed
}

impl Placed {
    fn note_last(&mut self, entry: &Entry) {
        let last = (entry.sequence, entry.leaf_hash);
        match self.last_entries.get_mut(&entry.stream) {
            Some(known) => *known = last,
            None => drop(self.last_entries.insert(entry.stream.clone(), last)),
        }
    }
}

enum Outcome {
    Placed(Entry),
    ThereAlready,
    Held(HeldEvent),
}

fn place_one(row: PendingRow, position: u64, before: Option<LastEntry>) -> Outcome {
    let held = |row: &PendingRow, reason| Outcome::Held(HeldEvent { event: row.name(), reason });
    let expected = before.map_or(0, |(sequence, _)| sequence).saturating_add(1);
    if row.sequence < expected {
        // Announced twice, unless somebody was faster with a leaf of their own.
        return match (&row.content, before) {
            (Content::Leaf(text), Some((sequence, hash)))
                if sequence == row.sequence && leaf_hash(text.as_bytes()) != hash =>
            {
                held(&row, "its place has an entry with another leaf".to_owned())
            }
            (Content::Leaf(_) | Content::Event(_) | Content::Gone, _) => Outcome::ThereAlready,
        };
    }
    if row.sequence > expected {
        return held(&row, format!("event {expected} of its stream is missing"));
    }
    let prev = before.map(|(_, hash)| hash);
    let leaf = match &row.content {
        Content::Leaf(text) => {
            checked(&row, text, prev).map(|recorded_at| (recorded_at, leaf_hash(text.as_bytes()), None))
        }
        Content::Event(event) => made(event, prev)
            .map(|text| (event.recorded_at, leaf_hash(text.as_bytes()), Some(text)))
            .map_err(|error| error.to_string()),
        Content::Gone => Err("the event is gone, or does not read".to_owned()),
    };
    match leaf {
        Ok((recorded_at, leaf_hash, made)) => Outcome::Placed(Entry {
            pending_id: row.pending_id,
            position,
            stream: row.stream,
            sequence: row.sequence,
            made,
            leaf_hash,
            recorded_at,
        }),
        Err(reason) => held(&row, reason),
    }
}

/// Looks whether the leaf that came with an event is the next one of its stream; when it says that the event was
/// recorded. What else it says of the event is compared when the ledger is verified.
fn checked(row: &PendingRow, text: &str, prev: Option<Hash>) -> Result<Timestamp, String> {
    let leaf = Leaf::parse(text.as_bytes()).map_err(|error| format!("what came with it is {error}"))?;
    let (stream_type, stream_id) = &row.stream;
    if (&leaf.stream_type, &leaf.stream_id, leaf.sequence) != (stream_type, stream_id, row.sequence) {
        return Err("the leaf that came with it is of another event".to_owned());
    }
    if leaf.prev != prev {
        return Err("the leaf that came with it does not follow the last one of its stream".to_owned());
    }
    Ok(leaf.recorded_at)
}

fn made(event: &EventColumns<'_>, prev: Option<Hash>) -> Result<String, NoLeaf> {
    Ok(Leaf::of_event(event, prev)?.to_text()?)
}
