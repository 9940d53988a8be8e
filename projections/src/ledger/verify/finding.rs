//! What a verification finds: where, which field, and a sentence that a person can act on. What is
//! recorded may be personal, so a finding never quotes it.

use std::collections::BTreeMap;
use std::fmt;

use serde::ser::{Serialize, SerializeStruct, Serializer};

use super::Beside;
use crate::ledger::canonical::CanonicalError;
use crate::ledger::checkpoint::CheckpointError;
use crate::ledger::leaf::{Leaf, LeafError};
use crate::ledger::proof::ProofError;

/// So many findings are kept, the first by position; all are counted.
pub const FINDINGS_MAX: usize = 100;

/// Types and ids are cut off after so many characters; those that the program writes are shorter.
const SHOWN_CHARS_MAX: usize = 80;

/// Something that is not as the ledger recorded it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// Where.
    pub place: Place,
    /// What.
    pub problem: Problem,
}

/// The entry or the event that a finding is about, as far as it is known.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Place {
    /// The position in the ledger.
    pub position: Option<u64>,
    /// What happened.
    pub event_type: Option<String>,
    /// The stream, as `type/id`.
    pub stream: Option<String>,
    /// The place in the stream.
    pub sequence: Option<u64>,
}

/// What is wrong.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Problem {
    /// There is nothing at this position, nor at those after it up to another.
    #[error("no entry is here; the next is at position {until}")]
    Missing {
        /// The next position that there is, or the ledger's size.
        until: u64,
    },
    /// There is an entry that nobody signed for.
    #[error("an entry is here, beyond the signed size of {size}")]
    BeyondSize {
        /// The size that was signed.
        size: u64,
    },
    /// The position was there already.
    #[error("the position is taken twice, or out of order")]
    Repeated,
    /// The stored bytes are not a leaf.
    #[error("{0}")]
    NotALeaf(LeafError),
    /// The stored hash is that of other bytes.
    #[error("the hash beside the leaf is not the leaf's")]
    LeafHash,
    /// What the entry is found by is not what its leaf says.
    #[error("the {field} beside the leaf is not the leaf's")]
    BesideLeaf {
        /// Which column.
        field: &'static str,
    },
    /// The event is not there.
    #[error("the event of this entry is gone")]
    NoEvent,
    /// A field of the event is not what the leaf says.
    #[error("the {field} is not what was recorded")]
    Altered {
        /// Which field.
        field: &'static str,
    },
    /// A digest can be taken of canonical JSON only.
    #[error("the {field} is not what was recorded: {error}")]
    NotCanonical {
        /// Which field.
        field: &'static str,
        /// Why.
        error: CanonicalError,
    },
    /// The payload says that it is of another event.
    #[error("the payload is not of an event of this type")]
    PayloadOfAnotherType,
    /// The metadata is something else than a map of texts.
    #[error("the metadata is not a map of texts")]
    MetadataNotText,
    /// A stream counts from one.
    #[error("its sequence is 0, and a stream's first entry has 1")]
    SequenceZero,
    /// The stream has a gap before this entry.
    #[error("its stream lacks the entries from sequence {from} up to this one")]
    SequenceMissing {
        /// The first sequence that is not there.
        from: u64,
    },
    /// The stream has this sequence twice.
    #[error("its stream has this sequence already, at position {other}")]
    SequenceRepeated {
        /// Where the first of the two is.
        other: u64,
    },
    /// The entry stands before the one that it follows in its stream.
    #[error("it stands before the entry that it follows in its stream, at position {before}")]
    OutOfOrder {
        /// Where the stream's entry before this one is.
        before: u64,
    },
    /// The entry was made after another one than that before it.
    #[error("its prev is not the hash of its stream's entry before it, at position {before}")]
    Prev {
        /// Where that entry is.
        before: u64,
    },
    /// The first of a stream was made after another one.
    #[error("it is its stream's first entry, and has a prev")]
    PrevOfFirst,
    /// Every other entry names the one before it.
    #[error("it is not its stream's first entry, and has no prev")]
    PrevMissing,
    /// Time went back inside a stream.
    #[error("it was recorded earlier than its stream's entry before it, at position {before}")]
    RecordedEarlier {
        /// Where that entry is.
        before: u64,
    },
    /// The tree is not the one that was signed.
    #[error("the first {size} entries do not have the root that was signed for them")]
    Root {
        /// The size that was signed.
        size: u64,
    },
    /// The tree is not the one that the auditor was shown before.
    #[error("the first {size} entries are not those of the earlier checkpoint")]
    EarlierRoot {
        /// The size of the earlier checkpoint.
        size: u64,
    },
    /// A file's name is not the digest of what it holds.
    #[error("the file {name} does not hold what its name says")]
    PackName {
        /// The file's name.
        name: String,
    },
    /// A proof is of an entry that is not here.
    #[error("the bundle has a proof of this entry, and not the entry")]
    ProofOfNothing,
    /// A proof is of another entry than its file's name says.
    #[error("the proof of this entry is of position {index}")]
    ProofOfAnother {
        /// Which entry it names.
        index: u64,
    },
    /// A proof does not prove the entry.
    #[error("the proof of this entry does not hold: {0}")]
    Proof(ProofError),
    /// A proof leads to another checkpoint than the bundle's.
    #[error("the proof of this entry is of another checkpoint than the bundle's")]
    ProofOfAnotherCheckpoint,
    /// The signed checkpoint is not one.
    #[error("the stored checkpoint: {0}")]
    Checkpoint(CheckpointError),
}

impl Finding {
    /// One about the ledger as a whole.
    #[must_use]
    pub fn of_ledger(problem: Problem) -> Self {
        Self { place: Place::default(), problem }
    }

    /// One about a position of which nothing else is known.
    #[must_use]
    pub fn at(position: u64, problem: Problem) -> Self {
        Self { place: Place::at(position), problem }
    }

    /// The position in the ledger.
    #[must_use]
    pub const fn position(&self) -> Option<u64> {
        self.place.position
    }

    /// Which field is not as it was recorded, or which part of the ledger.
    #[must_use]
    pub const fn field(&self) -> &str {
        self.problem.field()
    }
}

impl Problem {
    /// Which field is not as it was recorded, or which part of the ledger.
    #[must_use]
    pub const fn field(&self) -> &str {
        match self {
            Self::Missing { .. } | Self::BeyondSize { .. } | Self::Repeated => "position",
            Self::NotALeaf(_) => "leaf",
            Self::LeafHash => "leaf_hash",
            Self::BesideLeaf { field } | Self::Altered { field } | Self::NotCanonical { field, .. } => field,
            Self::NoEvent => "event",
            Self::PayloadOfAnotherType | Self::PackName { .. } => "payload",
            Self::MetadataNotText => "metadata",
            Self::SequenceZero
            | Self::SequenceMissing { .. }
            | Self::SequenceRepeated { .. }
            | Self::OutOfOrder { .. } => "sequence",
            Self::Prev { .. } | Self::PrevOfFirst | Self::PrevMissing => "prev",
            Self::RecordedEarlier { .. } => "recorded_at",
            Self::Root { .. } | Self::EarlierRoot { .. } => "root",
            Self::ProofOfNothing
            | Self::ProofOfAnother { .. }
            | Self::Proof(_)
            | Self::ProofOfAnotherCheckpoint => "proof",
            Self::Checkpoint(_) => "checkpoint",
        }
    }
}

impl Place {
    pub(super) fn at(position: u64) -> Self {
        Self { position: Some(position), ..Self::default() }
    }

    pub(super) fn of(position: u64, leaf: &Leaf) -> Self {
        let stream = (leaf.stream_type.as_str(), leaf.stream_id.as_str());
        Self::named(position, &leaf.event_type, stream, leaf.sequence)
    }

    pub(super) fn named(
        position: u64,
        event_type: &str,
        (stream_type, stream_id): (&str, &str),
        sequence: u64,
    ) -> Self {
        Self {
            position: Some(position),
            event_type: Some(shown(event_type)),
            stream: Some(stream(stream_type, stream_id)),
            sequence: Some(sequence),
        }
    }

    pub(super) fn beside(position: u64, beside: &Beside<'_>) -> Self {
        Self {
            position: Some(position),
            event_type: None,
            stream: Some(stream(beside.stream_type, beside.stream_id)),
            sequence: Some(beside.sequence),
        }
    }
}

/// Such as `position 17: the payload is not what was recorded (TwoFactorDisabled, user/…/3)`.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { position, event_type, stream, sequence } = &self.place;
        if let Some(position) = position {
            write!(f, "position {position}: ")?;
        }
        write!(f, "{}", self.problem)?;
        let Some(stream) = stream else { return Ok(()) };
        f.write_str(" (")?;
        if let Some(event_type) = event_type {
            write!(f, "{event_type}, ")?;
        }
        f.write_str(stream)?;
        if let Some(sequence) = sequence {
            write!(f, "/{sequence}")?;
        }
        f.write_str(")")
    }
}

impl Serialize for Finding {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Finding", 5)?;
        object.serialize_field("position", &self.place.position)?;
        object.serialize_field("stream", &self.place.stream)?;
        object.serialize_field("sequence", &self.place.sequence)?;
        object.serialize_field("field", self.field())?;
        object.serialize_field("problem", &self.problem.to_string())?;
        object.end()
    }
}

/// The first findings by position, and the number of all.
#[derive(Debug, Default)]
pub(super) struct Findings {
    first: BTreeMap<(u64, u64), Finding>,
    total: u64,
}

impl Findings {
    pub(super) fn add(&mut self, finding: Finding) {
        self.first.insert((order(finding.position()), self.total), finding);
        if self.first.len() > FINDINGS_MAX {
            self.first.pop_last();
        }
        self.total += 1;
    }

    /// Whether a finding at this position would be kept; if not it is counted.
    pub(super) fn keeps_or_counts(&mut self, position: u64) -> bool {
        let full = self.first.len() >= FINDINGS_MAX;
        let kept =
            !full || self.first.last_key_value().is_some_and(|((last, _), _)| order(Some(position)) < *last);
        self.total += u64::from(!kept);
        kept
    }

    pub(super) fn into_parts(self) -> (Vec<Finding>, u64) {
        (self.first.into_values().collect(), self.total)
    }
}

/// What has no position is of the whole ledger, and comes first.
fn order(position: Option<u64>) -> u64 {
    position.map_or(0, |position| position.saturating_add(1))
}

fn stream(stream_type: &str, stream_id: &str) -> String {
    format!("{}/{}", shown(stream_type), shown(stream_id))
}

/// Such a text as a terminal can be shown, whoever wrote it.
fn shown(text: &str) -> String {
    text.chars().take(SHOWN_CHARS_MAX).flat_map(char::escape_debug).collect()
}
