//! Rebuilding read models beside the live ones, and putting them in place in one transaction.
//!
//! 1. Tables of the same shape are filled, by folding every stream or by running a follower again. How far
//!    that came is stored with the rows, so that it can be stopped and gone on with.
//! 2. What was recorded meanwhile is taken in, until little is left.
//! 3. While nobody writes the live tables, the rest is taken in, and every row that differs is replaced.
//!    Readers see the rows from before until that is committed.

mod beside;
mod flip;
mod follower;
mod streams;

use crate::database::Database;
use crate::ledger::store::LedgerStore;

use super::model::{Model, STREAM_TABLES};
use super::{ReplayError, StreamTables, coverage};
use beside::Run;

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
    mut progress: impl FnMut(Model, u64, u64),
) -> Result<Rebuilt, ReplayError> {
    let size = LedgerStore::new(database.clone()).state().await?.ok_or(ReplayError::NotThere)?.size();
    let mut rebuilt = Rebuilt { size, replaced: Vec::new() };
    for model in Model::ALL.into_iter().filter(|model| models.contains(model)) {
        let tables: StreamTables = STREAM_TABLES.iter().filter(|table| table.model == model).collect();
        let mut tell = |done, total| progress(model, done, total);
        let replaced = match model {
            Model::AuditTrail => follower::rebuild(database, model, &mut tell).await?,
            Model::Coverage => coverage::rebuild(database, &mut tell).await?,
            Model::Snapshots | Model::LoginCheck | Model::ApiKeys | Model::Webhooks => {
                let run = Run::begin(database, model, &streams::tables_of(&tables), size).await?;
                streams::rebuild(database, &tables, run, &mut tell).await?
            }
        };
        rebuilt.replaced.push((model, replaced));
    }
    Ok(rebuilt)
}
