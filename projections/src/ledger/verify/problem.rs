//! Everything that can be wrong with a ledger, as a sentence each.

use crate::ledger::canonical::CanonicalError;
use crate::ledger::checkpoint::CheckpointError;
use crate::ledger::leaf::LeafError;
use crate::ledger::proof::ProofError;

/// What is wrong.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Problem {
    /// There is nothing at this position, nor at those after it up to another.
    #[error("no entry is here; the next is at position {until}")]
    Missing {
        /// The next position that there is, or the ledger's size.
        until: u64,
    },
    /// There is an entry that does not count.
    #[error("an entry is here, beyond the ledger's size of {size}")]
    BeyondSize {
        /// The size that was signed, or is stored.
        size: u64,
    },
    /// There is a row that counts no more, before all that is gone through.
    #[error("an entry is here, before the ledger's first: position {position}")]
    BeforeFirst {
        /// Its position, below zero.
        position: i64,
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
    /// The column by which a person's events are found is not what the event says.
    #[error("the user_id is not the person that the event is about")]
    AboutAnother,
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
    /// What is stored of the ledger as a whole is not what its entries and its checkpoint say.
    #[error("the ledger's stored {field} is not that of its entries")]
    State {
        /// Which column.
        field: &'static str,
    },
    /// More was signed than there is.
    #[error("{signed} entries were signed for, and the ledger has {size}: it was rolled back")]
    RolledBack {
        /// The size that was signed.
        signed: u64,
        /// The size that there is.
        size: u64,
    },
    /// What was signed before, and is known outside the database, is not what is there.
    #[error("the first {size} entries are not those that this service signed before: the ledger was forked")]
    Forked {
        /// The size that was signed.
        size: u64,
    },
    /// A stored tile has other hashes than the entries.
    #[error("the stored tile {level}/{index} does not have the hashes of the entries")]
    Tile {
        /// The level of tiles.
        level: usize,
        /// The place in its level.
        index: u64,
    },
    /// An event was put past the ledger.
    #[error("this event is not in the ledger, and does not wait for its place")]
    EventWithoutEntry,
    /// Events between others are gone.
    #[error("the events of its stream from sequence {from} up to this one are gone")]
    EventsGone {
        /// The first sequence that is not there.
        from: u64,
    },
    /// An event is gone that has no entry yet.
    #[error("an event that waits for its place in the ledger is gone")]
    WaitingEventGone,
    /// The events at a stream's end are gone.
    #[error("the stream's last event is gone: there was one with this sequence")]
    StreamEndGone,
}

impl Problem {
    /// Which field is not as it was recorded, or which part of the ledger.
    #[must_use]
    pub const fn field(&self) -> &str {
        match self {
            Self::Missing { .. } | Self::BeyondSize { .. } | Self::BeforeFirst { .. } | Self::Repeated => {
                "position"
            }
            Self::NotALeaf(_) => "leaf",
            Self::LeafHash => "leaf_hash",
            Self::BesideLeaf { field }
            | Self::Altered { field }
            | Self::NotCanonical { field, .. }
            | Self::State { field } => field,
            Self::AboutAnother => "user_id",
            Self::NoEvent
            | Self::EventWithoutEntry
            | Self::EventsGone { .. }
            | Self::WaitingEventGone
            | Self::StreamEndGone => "event",
            Self::PayloadOfAnotherType | Self::PackName { .. } => "payload",
            Self::MetadataNotText => "metadata",
            Self::SequenceZero
            | Self::SequenceMissing { .. }
            | Self::SequenceRepeated { .. }
            | Self::OutOfOrder { .. } => "sequence",
            Self::Prev { .. } | Self::PrevOfFirst | Self::PrevMissing => "prev",
            Self::RecordedEarlier { .. } => "recorded_at",
            Self::Root { .. } | Self::EarlierRoot { .. } | Self::Forked { .. } => "root",
            Self::ProofOfNothing
            | Self::ProofOfAnother { .. }
            | Self::Proof(_)
            | Self::ProofOfAnotherCheckpoint => "proof",
            Self::Checkpoint(_) => "checkpoint",
            Self::RolledBack { .. } => "size",
            Self::Tile { .. } => "tile",
        }
    }
}
