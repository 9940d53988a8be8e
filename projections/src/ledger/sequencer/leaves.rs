//! From events that wait to leaves with a place.

use std::collections::HashMap;

use countersign_domain::context::ActorKind;
use serde::Deserialize;

use super::batch::{Batch, PendingEvent, PendingRow, StreamKey};
use super::{Held, HeldEvent};
use crate::ledger::canonical;
use crate::ledger::leaf::Leaf;
use crate::ledger::store::{LedgerError, number};
use crate::ledger::tree::{Hash, TreeError, leaf_hash};
use crate::table::Value;

/// What became of a batch.
pub(super) struct Placed {
    pub(super) entries: Vec<Entry>,
    /// The pending rows that are done with: those of the entries, and those whose event has a place already.
    pub(super) done: Vec<i64>,
    /// Which events get no place yet, and why.
    pub(super) held: Held,
}

/// One new entry.
pub(super) struct Entry {
    position: u64,
    stream: StreamKey,
    sequence: u64,
    leaf: String,
    pub(super) leaf_hash: Hash,
}

impl Entry {
    /// As the table of entries lists its columns.
    pub(super) fn row(&self) -> Result<Vec<Value>, TreeError> {
        let (stream_type, stream_id) = self.stream.clone();
        Ok(vec![
            number(self.position)?,
            stream_type.into(),
            stream_id.into(),
            number(self.sequence)?,
            self.leaf.clone().into(),
            self.leaf_hash.to_base64().into(),
        ])
    }
}

/// Gives each event whose predecessor has a place the next one. Hashing takes a while, so it is done
/// beside the threads that answer requests.
pub(super) async fn place(size: u64, batch: Batch) -> Result<Placed, LedgerError> {
    let placing = tokio::task::spawn_blocking(move || place_all(size, batch));
    placing.await.map_err(|_| LedgerError::Stopping)
}

fn place_all(size: u64, batch: Batch) -> Placed {
    let mut last = batch.last_entries;
    let mut placed =
        Placed { entries: Vec::with_capacity(batch.rows.len()), done: Vec::new(), held: Held::default() };
    let mut position = size;
    for row in batch.rows {
        match place_one(&row, position, &last) {
            Outcome::Placed(entry) => {
                last.insert(row.stream, (row.sequence, entry.leaf_hash));
                placed.entries.push(entry);
                placed.done.push(row.pending_id);
                position += 1;
            }
            Outcome::ThereAlready => placed.done.push(row.pending_id),
            Outcome::Held(reason) => {
                placed.held.push(HeldEvent { event: row.name(), reason });
            }
        }
    }
    placed
}

enum Outcome {
    Placed(Entry),
    ThereAlready,
    Held(String),
}

fn place_one(row: &PendingRow, position: u64, last: &HashMap<StreamKey, (u64, Hash)>) -> Outcome {
    let before = last.get(&row.stream);
    let expected = before.map_or(0, |(sequence, _)| *sequence).saturating_add(1);
    if row.sequence < expected {
        return Outcome::ThereAlready;
    }
    if row.sequence > expected {
        return Outcome::Held(format!("event {expected} of its stream is missing"));
    }
    let Some(event) = &row.event else {
        return Outcome::Held("the event is gone, or does not read".to_owned());
    };
    let prev = before.map(|(_, hash)| *hash);
    match leaf_text(row, event, prev) {
        Ok(leaf) => Outcome::Placed(Entry {
            position,
            stream: row.stream.clone(),
            sequence: row.sequence,
            leaf_hash: leaf_hash(leaf.as_bytes()),
            leaf,
        }),
        Err(reason) => Outcome::Held(reason),
    }
}

/// What a leaf takes from an event's metadata.
#[derive(Deserialize)]
struct Circumstances {
    actor_kind: ActorKind,
    actor_id: Option<String>,
    data_key: Option<String>,
}

fn leaf_text(row: &PendingRow, event: &PendingEvent, prev: Option<Hash>) -> Result<String, String> {
    let circumstances: Circumstances = serde_json::from_str(&event.metadata)
        .map_err(|error| format!("its metadata does not read at column {}", error.column()))?;
    let data_key = circumstances.data_key.map(|text| Hash::from_hex(&text)).transpose();
    let agreement_id = event.agreement_id.as_deref().map(str::parse).transpose();
    let leaf = Leaf {
        event_id: event.event_id.parse().map_err(|_| "its id is no id")?,
        event_type: event.event_type.clone(),
        event_version: event.event_version.clone(),
        stream_type: row.stream.0.clone(),
        stream_id: row.stream.1.clone(),
        sequence: row.sequence,
        agreement_id: agreement_id.map_err(|_| "its agreement's id is no id")?,
        recorded_at: event.recorded_at,
        actor_kind: circumstances.actor_kind,
        actor_id: circumstances.actor_id,
        payload_sha256: canonical::digest(&event.payload).map_err(|error| error.to_string())?,
        metadata_sha256: canonical::digest(&event.metadata).map_err(|error| error.to_string())?,
        prev,
        data_key: data_key.map_err(|error| error.to_string())?,
    };
    let bytes = leaf.to_bytes().map_err(|error| error.to_string())?;
    String::from_utf8(bytes).map_err(|error| error.to_string())
}
