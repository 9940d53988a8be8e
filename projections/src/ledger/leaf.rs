//! One event as the ledger hashes it: a line of canonical JSON (RFC 8785) in which every value is
//! text. The bytes are stored as they are, and never written anew.
//!
//! Payload and metadata are there by digest, so that an erased person's sealed texts need not be
//! opened, nor shown, to prove the history around them.

mod event;
mod reading;
mod spelling;

use chrono::DateTime;
use countersign_domain::Timestamp;
use countersign_domain::context::ActorKind;
use countersign_domain::ids::{AgreementId, EventId};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::tree::{Hash, leaf_hash};
use crate::table::{timestamp_text, to_microseconds};
pub use event::{EventColumns, NoLeaf};

/// No leaf is longer.
pub const LEAF_BYTES_MAX: usize = 16 * 1024;

/// Why something is not a leaf.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LeafError {
    /// It is longer than any leaf may be.
    #[error("a leaf of {0} bytes is longer than {LEAF_BYTES_MAX}")]
    TooLong(usize),
    /// It does not have the fields of a leaf.
    #[error("not a leaf: line {line}, column {column}")]
    Malformed {
        /// Where, counted from one.
        line: usize,
        /// Where in that line.
        column: usize,
    },
    /// It says the right thing in other bytes than the ledger would have hashed.
    #[error("a leaf in another spelling than the canonical one")]
    NotCanonical,
}

/// One event, as the ledger proves it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Leaf {
    /// The event's id.
    pub event_id: EventId,
    /// What happened.
    pub event_type: String,
    /// The version of the payload's shape.
    pub event_version: String,
    /// The kind of its stream: `user`, `agreement` or `instance`.
    pub stream_type: String,
    /// Which stream of that kind.
    pub stream_id: String,
    /// Its place in the stream, from one.
    #[serde(with = "number")]
    pub sequence: u64,
    /// The agreement it is attributed to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agreement_id: Option<AgreementId>,
    /// When it was recorded, to the microsecond.
    #[serde(with = "moment")]
    pub recorded_at: Timestamp,
    /// What kind of actor did it.
    pub actor_kind: ActorKind,
    /// Which one; the operator has no id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor_id: Option<String>,
    /// SHA-256 of the canonical payload.
    #[serde(with = "hex")]
    pub payload_sha256: Hash,
    /// SHA-256 of the canonical metadata.
    #[serde(with = "hex")]
    pub metadata_sha256: Hash,
    /// The hash of the same stream's leaf before this one; the first has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prev: Option<Hash>,
    /// A commitment to the data key under which fields are sealed, when any are: the ciphertexts
    /// alone do not say which key opens them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_key: Option<Hash>,
}

impl Leaf {
    /// The bytes that are hashed and stored.
    ///
    /// # Errors
    /// They would be too many.
    pub fn to_bytes(&self) -> Result<Vec<u8>, LeafError> {
        let bytes = spelling::spell(self);
        if bytes.len() > LEAF_BYTES_MAX { Err(LeafError::TooLong(bytes.len())) } else { Ok(bytes) }
    }

    /// The same, as the text that they are.
    ///
    /// # Errors
    /// As for [`Leaf::to_bytes`].
    pub fn to_text(&self) -> Result<String, LeafError> {
        String::from_utf8(self.to_bytes()?).map_err(|_| LeafError::NotCanonical)
    }

    /// Reads stored bytes. They must be the very bytes that [`Leaf::to_bytes`] would write.
    ///
    /// # Errors
    /// They are not a leaf, or one in another spelling.
    pub fn parse(bytes: &[u8]) -> Result<Self, LeafError> {
        if bytes.len() > LEAF_BYTES_MAX {
            return Err(LeafError::TooLong(bytes.len()));
        }
        reading::read(bytes).map_or_else(|| Self::parse_any(bytes), Ok)
    }

    /// Reads any spelling, and says what is wrong with it.
    fn parse_any(bytes: &[u8]) -> Result<Self, LeafError> {
        let leaf: Self = serde_json::from_slice(bytes)
            .map_err(|error| LeafError::Malformed { line: error.line(), column: error.column() })?;
        if leaf.to_bytes()? == bytes { Ok(leaf) } else { Err(LeafError::NotCanonical) }
    }

    /// Its hash in the tree, which is also the `prev` of the stream's next leaf.
    ///
    /// # Errors
    /// It would be too long for a leaf.
    pub fn hash(&self) -> Result<Hash, LeafError> {
        self.to_bytes().map(|bytes| leaf_hash(&bytes))
    }
}

/// Numbers as text: a JSON number is a double, and a position must not be rounded.
mod number {
    use super::{Deserialize, Deserializer, Serializer};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    pub(super) fn serialize<S: Serializer>(number: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(number)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Moments as SQLite keeps them, which are the same on both databases.
mod moment {
    use super::{
        DateTime, Deserialize, Deserializer, Serializer, Timestamp, timestamp_text, to_microseconds,
    };

    pub(super) fn serialize<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&timestamp_text(*at))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        let at = DateTime::parse_from_rfc3339(&String::deserialize(deserializer)?);
        at.map(|at| to_microseconds(at.to_utc())).map_err(serde::de::Error::custom)
    }
}

/// Digests in hex, as `sha256sum` prints them; hashes of the tree are in base64.
mod hex {
    use super::{Deserialize, Deserializer, Hash, Serializer};

    pub(super) fn serialize<S: Serializer>(digest: &Hash, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&digest.to_hex())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Hash, D::Error> {
        Hash::from_hex(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests;
