//! From events that wait to leaves with a place.

use std::collections::HashMap;

use countersign_domain::Timestamp;

use super::batch::{Batch, Content, PendingRow};
use super::heads::LastEntry;
use super::{Held, HeldEvent, KnownLeaf, StreamKey};
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
        return match (row.content.leaf_hash(), before) {
            (Some(given), Some((sequence, hash))) if sequence == row.sequence && given != hash => {
                held(&row, "its place has an entry with another leaf".to_owned())
            }
            _ => Outcome::ThereAlready,
        };
    }
    if row.sequence > expected {
        return held(&row, format!("event {expected} of its stream is missing"));
    }
    let prev = before.map(|(_, hash)| hash);
    let leaf = match &row.content {
        Content::Known(leaf) => Ok((*leaf, None)),
        Content::Leaf(text) => known(&row, text).map(|leaf| (leaf, None)),
        Content::Event(event) => made(event, prev).map_err(|error| error.to_string()),
        Content::Gone => Err("the event is gone, or does not read".to_owned()),
    };
    let follows = leaf.and_then(|(leaf, made)| {
        let reason = "the leaf that came with it does not follow the last one of its stream";
        if leaf.prev == prev { Ok((leaf, made)) } else { Err(reason.to_owned()) }
    });
    match follows {
        Ok((KnownLeaf { hash, recorded_at, .. }, made)) => Outcome::Placed(Entry {
            pending_id: row.pending_id,
            position,
            stream: row.stream,
            sequence: row.sequence,
            made,
            leaf_hash: hash,
            recorded_at,
        }),
        Err(reason) => held(&row, reason),
    }
}

impl Content {
    fn leaf_hash(&self) -> Option<Hash> {
        match self {
            Self::Known(leaf) => Some(leaf.hash),
            Self::Leaf(text) => Some(leaf_hash(text.as_bytes())),
            Self::Event(_) | Self::Gone => None,
        }
    }
}

/// Reads the leaf that came with an event. What it says of the event, beside which one it is, is compared when the
/// ledger is verified.
fn known(row: &PendingRow, text: &str) -> Result<KnownLeaf, String> {
    let leaf = Leaf::parse(text.as_bytes()).map_err(|error| format!("what came with it is {error}"))?;
    let stream = StreamKey::new(&leaf.stream_type, &leaf.stream_id);
    if stream != row.stream || leaf.sequence != row.sequence {
        return Err("the leaf that came with it is of another event".to_owned());
    }
    Ok(KnownLeaf { prev: leaf.prev, hash: leaf_hash(text.as_bytes()), recorded_at: leaf.recorded_at })
}

fn made(event: &EventColumns<'_>, prev: Option<Hash>) -> Result<(KnownLeaf, Option<String>), NoLeaf> {
    let text = Leaf::of_event(event, prev)?.to_text()?;
    let hash = leaf_hash(text.as_bytes());
    Ok((KnownLeaf { prev, hash, recorded_at: event.recorded_at }, Some(text)))
}
