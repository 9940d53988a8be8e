//! An event's columns against the leaf that was made of them.

use std::collections::HashMap;

use countersign_domain::Timestamp;
use countersign_domain::versions::StoredEvent;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{Problem, user_of};
use crate::ledger::canonical::canonical;
use crate::ledger::leaf::Leaf;
use crate::ledger::tree::Hash;
use crate::table::timestamp_text;

/// An event as its table has it, of which nothing is believed.
#[derive(Clone, Copy, Debug)]
pub struct FoundEvent<'a> {
    /// The event's id.
    pub event_id: &'a str,
    /// What happened.
    pub event_type: &'a str,
    /// The version of the payload's shape.
    pub event_version: &'a str,
    /// The payload, in any spelling.
    pub payload: &'a str,
    /// The metadata, in any spelling.
    pub metadata: &'a str,
    /// The person it is about.
    pub user_id: Option<&'a str>,
    /// The agreement it is attributed to.
    pub agreement_id: Option<&'a str>,
    /// When it was recorded; none if what is stored is no moment, or not spelled as the program spells one.
    pub recorded_at: Option<Timestamp>,
    /// Who did it.
    pub actor_id: Option<&'a str>,
}

impl FoundEvent<'_> {
    /// Reports every column that is not what the leaf says. The metadata repeats some of them, for
    /// whoever reads it alone, and must repeat them rightly.
    pub(super) fn check(&self, leaf: &Leaf, report: &mut impl FnMut(Problem)) {
        let (event_id, agreement_id) =
            (leaf.event_id.to_string(), leaf.agreement_id.map(|id| id.to_string()));
        for (field, same) in [
            ("event_id", self.event_id == event_id),
            ("event_type", self.event_type == leaf.event_type),
            ("event_version", self.event_version == leaf.event_version),
            ("agreement_id", self.agreement_id == agreement_id.as_deref()),
            ("recorded_at", self.recorded_at == Some(leaf.recorded_at)),
            ("actor_id", self.actor_id == leaf.actor_id.as_deref()),
        ] {
            if !same {
                report(Problem::Altered { field });
            }
        }
        self.check_person(leaf, report);
        self.check_payload(leaf, report);
        self.check_metadata(leaf, &event_id, report);
    }

    /// An event that does not read says nothing of a person: its payload is a finding by itself, or a newer program
    /// wrote it.
    fn check_person(&self, leaf: &Leaf, report: &mut impl FnMut(Problem)) {
        let stream = (leaf.stream_type.as_str(), leaf.stream_id.as_str());
        let (event_type, event_version) = (&leaf.event_type, &leaf.event_version);
        let said = user_of(stream, StoredEvent { event_type, event_version, payload: self.payload });
        if said.is_ok_and(|said| said.as_deref() != self.user_id) {
            report(Problem::AboutAnother);
        }
    }

    fn check_payload(&self, leaf: &Leaf, report: &mut impl FnMut(Problem)) {
        let Some(payload) = canonical_as_recorded("payload", self.payload, leaf.payload_sha256, report)
        else {
            return;
        };
        if outer_key(&payload).is_none_or(|key| key != leaf.event_type) {
            report(Problem::PayloadOfAnotherType);
        }
    }

    fn check_metadata(&self, leaf: &Leaf, event_id: &str, report: &mut impl FnMut(Problem)) {
        let Some(metadata) = canonical_as_recorded("metadata", self.metadata, leaf.metadata_sha256, report)
        else {
            return;
        };
        let Ok(metadata) = serde_json::from_str::<HashMap<String, String>>(&metadata) else {
            report(Problem::MetadataNotText);
            return;
        };
        let (recorded_at, data_key) = (timestamp_text(leaf.recorded_at), leaf.data_key.map(Hash::to_hex));
        for (name, field, expected) in [
            ("event_id", "metadata.event_id", Some(event_id)),
            ("recorded_at", "metadata.recorded_at", Some(recorded_at.as_str())),
            ("actor_kind", "metadata.actor_kind", Some(leaf.actor_kind.name())),
            ("actor_id", "metadata.actor_id", leaf.actor_id.as_deref()),
            ("data_key", "metadata.data_key", data_key.as_deref()),
        ] {
            if metadata.get(name).map(String::as_str) != expected {
                report(Problem::Altered { field });
            }
        }
    }
}

/// The canonical spelling, if there is one, after it was compared with the digest in the leaf.
fn canonical_as_recorded(
    field: &'static str,
    text: &str,
    digest: Hash,
    report: &mut impl FnMut(Problem),
) -> Option<String> {
    match canonical(text) {
        Ok(text) => {
            if Sha256::digest(&text).as_slice() != digest.as_bytes() {
                report(Problem::Altered { field });
            }
            Some(text)
        }
        Err(error) => {
            report(Problem::NotCanonical { field, error });
            None
        }
    }
}

/// The one key of the object that a payload is, or the text that it is where an event says no more.
fn outer_key(payload: &str) -> Option<String> {
    match serde_json::from_str(payload).ok()? {
        Value::String(name) => Some(name),
        Value::Object(object) => {
            let mut keys = object.into_iter().map(|(key, _)| key);
            keys.next().filter(|_| keys.next().is_none())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => None,
    }
}
