//! Rebuilding read models beside the live ones, and putting them in place in one transaction.
//!
//! 1. Tables of the same shape are filled, by folding every stream or by running a follower again. How far
//!    that came is stored with the rows, so that it can be stopped and gone on with.
//! 2. What was recorded meanwhile is taken in, until little is left.
//! 3. While nobody writes the live tables, the rest is taken in, and every row that differs is replaced.
//!    Readers see the rows from before until that is committed.

pub(super) mod beside;
mod flip;
mod follower;
mod replacement;
pub(super) mod streams;

pub(super) use follower::ledger_size;

use crate::database::Database;

use super::model::{Model, STREAM_TABLES};
use super::{ReplayError, StreamTables, coverage};
use beside::{Fate, Run};

/// What was rebuilt.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rebuilt {
    /// How many entries of the ledger it rests on.
    pub size: u64,
    /// How many rows of each read model were not as they are now.
    pub replaced: Vec<(Model, u64)>,
}

/// Rebuilds these read models. `progress` is told how many entries of how many were taken in. Where it is cut
/// short, the next one goes on from there.
///
/// # Errors
/// It could not be carried through. Then the live rows are as they were.
pub async fn rebuild(
    database: &Database,
    models: &[Model],
    mut progress: impl FnMut(u64, u64),
) -> Result<Rebuilt, ReplayError> {
    let size = ledger_size(database).await?;
    let mut rebuilt = Rebuilt { size, replaced: Vec::new() };
    // One pass over the streams serves all that are folds of them.
    let tables: StreamTables = STREAM_TABLES.iter().filter(|table| models.contains(&table.model)).collect();
    if !tables.is_empty() {
        let run = Run::begin(database, "streams", &streams::tables_of(&tables), Fate::Copied, size).await?;
        rebuilt.replaced = streams::rebuild(database, &tables, run, &mut progress).await?;
    }
    if models.contains(&Model::AuditTrail) {
        let replaced = follower::rebuild(database, &mut progress).await?;
        rebuilt.replaced.push((Model::AuditTrail, replaced));
    }
    if models.contains(&Model::Coverage) {
        let replaced = coverage::rebuild(database, &mut progress).await?;
        rebuilt.replaced.push((Model::Coverage, replaced));
    }
    Ok(rebuilt)
}
