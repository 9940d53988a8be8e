//! Folding everything anew: to compare the read models with what the events say, to rebuild them, and to see
//! any account as it was on any day.
//!
//! Two kinds of read model are told apart. What an append writes in its own transaction is a fold of one
//! stream each: [`FoldedStream`] makes its rows. What follows the ledger (the audit trail, coverage) is a
//! [`Projection`](crate::catch_up::Projection), and is run again over the ledger.

pub mod as_of;
mod compare;
mod coverage;
pub mod digest;
pub mod folded;
mod matching;
pub mod model;
pub mod policy;
mod rebuild;
mod recheck;
pub mod report;
pub mod required;
pub mod streams;
#[cfg(test)]
mod tests;
mod trail;
mod verify;

pub use folded::{FoldedStream, State, Unreadable};
pub use model::Model;
pub use rebuild::{Rebuilt, rebuild};
pub use report::{Difference, Kind, ModelReport, ReplayReport};
pub use verify::verify_replay;

use crate::database::DatabaseError;
use crate::ledger::store::LedgerError;
use crate::table::Value;

/// Tables that are rebuilt, or compared, together.
type StreamTables = Vec<&'static model::StreamTable>;

/// No ledger has more entries than a database can count.
fn number(natural: u64) -> Value {
    i64::try_from(natural).unwrap_or(i64::MAX).into()
}

/// Why a replay could not be carried through.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The database does not answer.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The ledger does not read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A temporary file could not be made.
    #[error("a temporary file: {0}")]
    Temporary(#[from] std::io::Error),
    /// There is no ledger yet.
    #[error("this database has no ledger yet; start the server once")]
    NotThere,
    /// An event cannot be folded, so nothing was put in place of what is there.
    #[error("{0}; nothing was changed; run `countersign verify`")]
    Unreadable(#[from] Unreadable),
    /// Fewer events were seen than the ledger has, so nothing was put in place of what is there.
    #[error(
        "only {seen} of the ledger's {size} entries have their event; nothing was changed; run `countersign verify`"
    )]
    Incomplete {
        /// How many were seen.
        seen: u64,
        /// How many there are.
        size: u64,
    },
    /// A follower stops before an entry.
    #[error("entry {position} cannot be taken; nothing was changed; run `countersign verify`")]
    Poisoned {
        /// Which entry.
        position: u64,
    },
    /// Another replay has taken this one over.
    #[error("another replay has taken over; nothing was changed by this one")]
    TakenOver,
    /// There are events that neither have a place in the ledger nor wait for one.
    #[error(
        "{count} events neither have a place in the ledger nor wait for one; nothing was changed; run `countersign verify`"
    )]
    Unplaced {
        /// How many.
        count: u64,
    },
}
