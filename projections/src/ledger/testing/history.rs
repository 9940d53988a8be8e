//! A small history, as a database would hold it: events, and the entries that a ledger made of them.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta};
use countersign_domain::Timestamp;
use countersign_domain::context::ActorKind;

use crate::ledger::canonical;
use crate::ledger::leaf::Leaf;
use crate::ledger::tree::{Hash, leaf_hash};
use crate::ledger::verify::{Beside, FoundContent, FoundEntry, FoundEvent};
use crate::table::timestamp_text;

const STREAMS: u64 = 5;

/// The columns of an event.
#[derive(Clone, PartialEq, Debug)]
#[expect(clippy::struct_field_names, reason = "the columns are called so")]
pub(in crate::ledger) struct Event {
    pub(in crate::ledger) event_id: String,
    pub(in crate::ledger) event_type: String,
    pub(in crate::ledger) event_version: String,
    pub(in crate::ledger) payload: String,
    pub(in crate::ledger) metadata: String,
    pub(in crate::ledger) user_id: Option<String>,
    pub(in crate::ledger) agreement_id: Option<String>,
    pub(in crate::ledger) recorded_at: Timestamp,
    pub(in crate::ledger) actor_id: Option<String>,
}

/// The columns of an entry, and its event.
#[derive(Clone, PartialEq, Debug)]
pub(in crate::ledger) struct Entry {
    pub(in crate::ledger) position: u64,
    pub(in crate::ledger) stream_type: String,
    pub(in crate::ledger) stream_id: String,
    pub(in crate::ledger) sequence: u64,
    pub(in crate::ledger) leaf: String,
    pub(in crate::ledger) leaf_hash: String,
    pub(in crate::ledger) event: Option<Event>,
}

/// So many entries of a few streams, which take turns.
pub(in crate::ledger) fn history(size: u64) -> Vec<Entry> {
    let mut entries: Vec<Entry> = (0..size).map(entry).collect();
    record(&mut entries);
    entries
}

fn entry(position: u64) -> Entry {
    let types = ["UserRegistered", "TwoFactorDisabled", "PasswordChanged"];
    let (number, event_type) = (position % STREAMS, types[usize::try_from(position % 3).unwrap()]);
    let recorded_at = DateTime::from_timestamp(1_900_000_000, 0).unwrap();
    let recorded_at = recorded_at + TimeDelta::microseconds(i64::try_from(position).unwrap() * 1_500_001);
    let id = |kind: u64| format!("00000000-0000-0000-0000-{:012x}", (kind << 32) + position);
    let actor = if position.is_multiple_of(4) { None } else { Some(id(3)) };
    let kind = if actor.is_none() { ActorKind::Operator } else { ActorKind::User };
    let stream_id = format!("00000000-0000-0000-0000-{number:012}");
    let mut metadata = serde_json::json!({
        "event_id": id(9), "recorded_at": timestamp_text(recorded_at), "actor_kind": kind, "request_id": "r",
    });
    if let Some(actor) = &actor {
        metadata["actor_id"] = actor.as_str().into();
    }
    Entry {
        position,
        stream_type: "user".to_owned(),
        stream_id: stream_id.clone(),
        sequence: position / STREAMS + 1,
        leaf: String::new(),
        leaf_hash: String::new(),
        event: Some(Event {
            event_id: id(9),
            event_type: event_type.to_owned(),
            event_version: "1".to_owned(),
            payload: format!(r#"{{ "{event_type}" : {{ "step": {position}, "at": "2030" }} }}"#),
            metadata: metadata.to_string(),
            user_id: Some(stream_id),
            agreement_id: position.is_multiple_of(2).then(|| id(2)),
            recorded_at,
            actor_id: actor,
        }),
    }
}

/// Makes every entry's leaf anew out of its event, as a ledger does that records them in this order.
pub(in crate::ledger) fn record(entries: &mut [Entry]) {
    let mut last: HashMap<String, Hash> = HashMap::new();
    for entry in entries {
        let event = entry.event.as_ref().unwrap();
        let leaf = Leaf {
            event_id: event.event_id.parse().unwrap(),
            event_type: event.event_type.clone(),
            event_version: event.event_version.clone(),
            stream_type: entry.stream_type.clone(),
            stream_id: entry.stream_id.clone(),
            sequence: entry.sequence,
            agreement_id: event.agreement_id.as_ref().map(|id| id.parse().unwrap()),
            recorded_at: event.recorded_at,
            actor_kind: if event.actor_id.is_some() { ActorKind::User } else { ActorKind::Operator },
            actor_id: event.actor_id.clone(),
            payload_sha256: canonical::digest(&event.payload).unwrap(),
            metadata_sha256: canonical::digest(&event.metadata).unwrap(),
            prev: last.get(&entry.stream_id).copied(),
            data_key: None,
        };
        entry.set_leaf(&leaf);
        last.insert(entry.stream_id.clone(), leaf.hash().unwrap());
    }
}

impl Entry {
    pub(in crate::ledger) fn hash(&self) -> Hash {
        leaf_hash(self.leaf.as_bytes())
    }

    pub(in crate::ledger) fn leaf(&self) -> Leaf {
        Leaf::parse(self.leaf.as_bytes()).unwrap()
    }

    pub(in crate::ledger) fn set_leaf(&mut self, leaf: &Leaf) {
        self.leaf = String::from_utf8(leaf.to_bytes().unwrap()).unwrap();
        self.leaf_hash = self.hash().to_base64();
    }

    pub(in crate::ledger) fn event(&mut self) -> &mut Event {
        self.event.as_mut().unwrap()
    }

    pub(in crate::ledger) fn found(&self) -> FoundEntry<'_> {
        let content = self.event.as_ref().map_or(FoundContent::Missing, |event| {
            FoundContent::Event(FoundEvent {
                event_id: &event.event_id,
                event_type: &event.event_type,
                event_version: &event.event_version,
                payload: &event.payload,
                metadata: &event.metadata,
                user_id: event.user_id.as_deref(),
                agreement_id: event.agreement_id.as_deref(),
                recorded_at: Some(event.recorded_at),
                actor_id: event.actor_id.as_deref(),
            })
        });
        let beside = Some(Beside {
            stream_type: &self.stream_type,
            stream_id: &self.stream_id,
            sequence: self.sequence,
            leaf_hash: &self.leaf_hash,
        });
        FoundEntry { leaf: self.leaf.as_bytes(), beside, content }
    }
}
