//! Read models that follow the ledger: each reads on from where it is, and its place moves in the same
//! transaction as its rows. Two nodes that do it at once cannot both succeed.
//!
//! An event that a projection cannot take is never skipped: the projection stops before it and says
//! which it is; the others go on.

use std::future::Future;

use crate::database::{Database, DatabaseError, Step, Transacted};

/// So many entries are taken in one transaction.
pub const BATCH_MAX: u64 = 4_096;

/// Somebody else may be faster so often before it is left to them.
const RACES_MAX: u32 = 10;

/// A read model over the ledger.
pub trait Projection: Sync {
    /// Its name.
    const NAME: &'static str;
    /// The version of its tables. Another version fills tables of its own, from the beginning.
    const VERSION: i64;

    /// The statements that take in the entries from `from` to before `to`. They must change
    /// nothing, or fail, if one of these cannot be taken.
    fn steps(&self, from: i64, to: i64) -> Vec<Step>;

    /// The first of these entries that cannot be taken: it or its event is gone, or does not read.
    fn poison(
        &self,
        database: &Database,
        from: i64,
        to: i64,
    ) -> impl Future<Output = Result<Option<i64>, DatabaseError>> + Send;
}

/// How far a projection came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CaughtUp {
    /// It holds every entry below this position.
    To(u64),
    /// It stopped before this entry, which it cannot take.
    Poisoned(u64),
}

/// Lets a projection take in what it has not, up to the ledger's size.
///
/// # Errors
/// When the database does not answer.
pub async fn catch_up<P: Projection>(
    projection: &P,
    database: &Database,
    size: u64,
) -> Result<CaughtUp, DatabaseError> {
    let size = i64::try_from(size).unwrap_or(i64::MAX);
    let mut from = begin::<P>(database).await?;
    let mut lost = 0;
    while from < size {
        let to = size.min(from.saturating_add(i64::try_from(BATCH_MAX).unwrap_or(i64::MAX)));
        if take(projection, database, from, to).await? == Transacted::Committed {
            from = to;
            continue;
        }
        // Either somebody else took these entries, or one of them cannot be taken.
        let now = begin::<P>(database).await?;
        if now == from
            && let Some(poison) = projection.poison(database, from, to).await?
        {
            if poison > from {
                take(projection, database, from, poison).await?;
            }
            return Ok(CaughtUp::Poisoned(natural(poison)));
        }
        from = now;
        lost += 1;
        if lost > RACES_MAX {
            return Err(DatabaseError::Busy);
        }
    }
    Ok(CaughtUp::To(natural(from)))
}

/// How many entries of the ledger a projection has taken in.
///
/// # Errors
/// When the database does not answer.
pub async fn position<P: Projection>(database: &Database) -> Result<u64, DatabaseError> {
    Ok(checkpoint::<P>(database).await?.map_or(0, natural))
}

async fn checkpoint<P: Projection>(database: &Database) -> Result<Option<i64>, DatabaseError> {
    let read = "SELECT position FROM projection_checkpoints WHERE projection = $1 AND version = $2";
    let rows = database.read(read, &[P::NAME.into(), P::VERSION.into()]).await?;
    rows.first().map(|row| row.get("position")).transpose()
}

/// Where a projection goes on; it begins at the beginning.
async fn begin<P: Projection>(database: &Database) -> Result<i64, DatabaseError> {
    if let Some(position) = checkpoint::<P>(database).await? {
        return Ok(position);
    }
    let key = [P::NAME.into(), P::VERSION.into()];
    let begin = "INSERT INTO projection_checkpoints (projection, version, position) VALUES ($1, $2, 0) \
                 ON CONFLICT (projection, version) DO NOTHING";
    database.write(begin, &key).await?;
    Ok(0)
}

async fn take<P: Projection>(
    projection: &P,
    database: &Database,
    from: i64,
    to: i64,
) -> Result<Transacted, DatabaseError> {
    let moved = "UPDATE projection_checkpoints SET position = $1 \
                 WHERE projection = $2 AND version = $3 AND position = $4";
    let params = vec![to.into(), P::NAME.into(), P::VERSION.into(), from.into()];
    let mut steps = vec![Step::new(moved, params).changing(1)];
    steps.extend(projection.steps(from, to));
    database.transact_derived(steps).await
}

fn natural(position: i64) -> u64 {
    u64::try_from(position).unwrap_or_default()
}
