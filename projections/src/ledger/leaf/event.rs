//! The leaf of an event, from the columns of its row.

use std::borrow::Cow;

use countersign_domain::Timestamp;
use countersign_domain::context::ActorKind;
use serde::Deserialize;

use super::{Leaf, LeafError};
use crate::ledger::canonical::{self, CanonicalError};
use crate::ledger::tree::Hash;

/// Why an event has no leaf: it can be stored, and never proved.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NoLeaf {
    /// A column is not what the program writes there.
    #[error("its {0} does not read")]
    Column(&'static str),
    /// The metadata lacks what it must say, or says it wrongly.
    #[error("its metadata does not read at column {0}")]
    Metadata(usize),
    /// A document has no canonical spelling.
    #[error("its {0} has no digest: {1}")]
    Digest(&'static str, CanonicalError),
    /// The leaf would be too long.
    #[error(transparent)]
    Leaf(#[from] LeafError),
}

/// The columns of an event that its leaf is made of, borrowed where they are at hand.
#[derive(Clone, Debug)]
pub struct EventColumns<'e> {
    /// The kind of its stream.
    pub stream_type: Cow<'e, str>,
    /// Which stream of that kind.
    pub stream_id: Cow<'e, str>,
    /// Its place in the stream.
    pub sequence: u64,
    /// The event's id.
    pub event_id: Cow<'e, str>,
    /// What happened.
    pub event_type: Cow<'e, str>,
    /// The version of the payload's shape.
    pub event_version: Cow<'e, str>,
    /// The agreement it is attributed to.
    pub agreement_id: Option<Cow<'e, str>>,
    /// When it was recorded.
    pub recorded_at: Timestamp,
    /// The event, as JSON in any spelling.
    pub payload: Cow<'e, str>,
    /// Its circumstances, as JSON in any spelling.
    pub metadata: Cow<'e, str>,
}

/// What a leaf takes from an event's metadata.
#[derive(Deserialize)]
struct Circumstances {
    actor_kind: ActorKind,
    actor_id: Option<String>,
    data_key: Option<String>,
}

impl Leaf {
    /// The leaf of an event that follows the leaf with the hash `prev` in its stream.
    ///
    /// # Errors
    /// The event can have none.
    pub fn of_event(event: &EventColumns<'_>, prev: Option<Hash>) -> Result<Self, NoLeaf> {
        let circumstances: Circumstances =
            serde_json::from_str(&event.metadata).map_err(|error| NoLeaf::Metadata(error.column()))?;
        let digest = |name, text: &str| {
            canonical::digest(text).map_err(|error: CanonicalError| NoLeaf::Digest(name, error))
        };
        let data_key = circumstances.data_key.as_deref().map(Hash::from_hex).transpose();
        let agreement_id = event.agreement_id.as_deref().map(str::parse).transpose();
        Ok(Self {
            event_id: event.event_id.parse().map_err(|_| NoLeaf::Column("id"))?,
            event_type: event.event_type.clone().into_owned(),
            event_version: event.event_version.clone().into_owned(),
            stream_type: event.stream_type.clone().into_owned(),
            stream_id: event.stream_id.clone().into_owned(),
            sequence: event.sequence,
            agreement_id: agreement_id.map_err(|_| NoLeaf::Column("agreement's id"))?,
            recorded_at: event.recorded_at,
            actor_kind: circumstances.actor_kind,
            actor_id: circumstances.actor_id,
            payload_sha256: digest("payload", &event.payload)?,
            metadata_sha256: digest("metadata", &event.metadata)?,
            prev,
            data_key: data_key.map_err(|_| NoLeaf::Column("commitment to a data key"))?,
        })
    }
}
