//! Read models that follow the ledger: each reads on from where it is, and its place moves in the same
//! transaction as its rows. Two nodes that do it at once cannot both succeed.
//!
//! An event that a projection cannot take is never skipped: the projection stops before it and says
//! which it is; the others go on.

use std::future::Future;

use crate::database::{Database, DatabaseError, Exclusive, Row, Step, Transacted};

/// So many entries are taken in one transaction.
pub const BATCH_MAX: u64 = 4_096;

/// Somebody else may be faster so often before it is left to them.
const RACES_MAX: u32 = 10;

/// A read model over the ledger.
pub trait Projection: Sync {
    /// Its name.
    const NAME: &'static str;
    /// What people call it, at the beginning of a sentence.
    const TITLE: &'static str;
    /// The version of its tables. Another version fills tables of its own, from the beginning.
    const VERSION: i64;

    /// What takes in the entries from `from` to before `to` of the ledger, worked out from the projection's
    /// own tables.
    fn take(
        &self,
        ledger: &Database,
        own: &Database,
        from: i64,
        to: i64,
    ) -> impl Future<Output = Result<Batch, DatabaseError>> + Send;

    /// Why statements took no effect although nobody was faster: the first of these entries that cannot be
    /// taken. Where [`Projection::take`] looks for itself, there is none.
    fn poison(
        &self,
        _ledger: &Database,
        _from: i64,
        _to: i64,
    ) -> impl Future<Output = Result<Option<i64>, DatabaseError>> + Send {
        std::future::ready(Ok(None))
    }
}

/// What becomes of some entries.
#[derive(Debug)]
pub enum Batch {
    /// Statements that take them in. They must change nothing, or fail, if one of them cannot be taken.
    Steps(Vec<Step>),
    /// This one cannot be taken: it or its event is gone, or does not read.
    Poison(i64),
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
    catch_up_elsewhere(projection, database, database, size).await
}

/// The same into the tables of another database.
///
/// # Errors
/// When one of the databases does not answer.
pub async fn catch_up_elsewhere<P: Projection>(
    projection: &P,
    ledger: &Database,
    own: &Database,
    size: u64,
) -> Result<CaughtUp, DatabaseError> {
    let size = i64::try_from(size).unwrap_or(i64::MAX);
    let mut place = begin::<P>(own).await?;
    let mut lost = 0;
    while place.position < size {
        let from = place.position;
        let to = size.min(from.saturating_add(i64::try_from(BATCH_MAX).unwrap_or(i64::MAX)));
        let poison = match projection.take(ledger, own, from, to).await? {
            Batch::Steps(steps) => {
                if advance::<P>(own, place, to, steps).await? == Transacted::Committed {
                    place.position = to;
                    continue;
                }
                // Either somebody else took these entries, or one of them cannot be taken.
                let now = begin::<P>(own).await?;
                let poison = if now == place { projection.poison(ledger, from, to).await? } else { None };
                if poison.is_none() {
                    place = now;
                    lost += 1;
                    if lost > RACES_MAX {
                        return Err(DatabaseError::Busy);
                    }
                }
                poison
            }
            Batch::Poison(poison) => Some(poison),
        };
        if let Some(poison) = poison {
            if poison > from
                && let Batch::Steps(steps) = projection.take(ledger, own, from, poison).await?
            {
                advance::<P>(own, place, poison, steps).await?;
            }
            return Ok(CaughtUp::Poisoned(natural(poison)));
        }
    }
    Ok(CaughtUp::To(natural(place.position)))
}

/// How many entries of the ledger a projection has taken in.
///
/// # Errors
/// When the database does not answer.
pub async fn position<P: Projection>(database: &Database) -> Result<u64, DatabaseError> {
    Ok(checkpoint::<P>(database).await?.map_or(0, |place| natural(place.position)))
}

/// Where a projection is.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Place {
    /// It holds every entry below this position.
    position: i64,
    /// How often its rows were replaced by a replay.
    epoch: i64,
}

async fn checkpoint<P: Projection>(database: &Database) -> Result<Option<Place>, DatabaseError> {
    let read = "SELECT position, epoch FROM projection_checkpoints WHERE projection = $1 AND version = $2";
    let rows = database.read(read, &[P::NAME.into(), P::VERSION.into()]).await?;
    let place = |row: &Row| Ok(Place { position: row.get("position")?, epoch: row.get("epoch")? });
    rows.first().map(place).transpose()
}

/// Where a projection goes on; it begins at the beginning.
async fn begin<P: Projection>(database: &Database) -> Result<Place, DatabaseError> {
    if let Some(place) = checkpoint::<P>(database).await? {
        return Ok(place);
    }
    let key = [P::NAME.into(), P::VERSION.into()];
    let begin = "INSERT INTO projection_checkpoints (projection, version, position) VALUES ($1, $2, 0) \
                 ON CONFLICT (projection, version) DO NOTHING";
    database.write(begin, &key).await?;
    Ok(Place { position: 0, epoch: 0 })
}

/// What was worked out from rows that were replaced since takes no effect.
async fn advance<P: Projection>(
    own: &Database,
    from: Place,
    to: i64,
    more: Vec<Step>,
) -> Result<Transacted, DatabaseError> {
    let moved = "UPDATE projection_checkpoints SET position = $1 \
                 WHERE projection = $2 AND version = $3 AND position = $4 AND epoch = $5";
    let params = vec![to.into(), P::NAME.into(), P::VERSION.into(), from.position.into(), from.epoch.into()];
    let mut steps = vec![Step::new(moved, params).changing(1)];
    steps.extend(more);
    own.transact_derived(steps).await
}

/// Within the transaction that replaces rows of a projection by those of the entries below a position: whoever
/// worked from them begins again there.
pub(crate) async fn outdate<P: Projection>(
    exclusive: &mut Exclusive,
    position: u64,
) -> Result<(), DatabaseError> {
    let outdate = "INSERT INTO projection_checkpoints (projection, version, position) VALUES ($1, $2, $3) \
                   ON CONFLICT (projection, version) DO UPDATE SET position = excluded.position, \
                   epoch = projection_checkpoints.epoch + 1";
    let position = i64::try_from(position).unwrap_or(i64::MAX);
    exclusive.execute(outdate, vec![P::NAME.into(), P::VERSION.into(), position.into()]).await?;
    Ok(())
}

fn natural(position: i64) -> u64 {
    u64::try_from(position).unwrap_or_default()
}
