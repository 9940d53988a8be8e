//! Rebuilding what follows the ledger: it is run again into a table beside the live one.

use super::beside::{Fate, Pair, Run};
use super::flip::{Scope, put_in_place};
use super::replacement::Replacement;
use crate::audit_trail::{AUDIT_TRAIL_TABLE, AuditTrail, REPLAYED_AUDIT_TRAIL};
use crate::catch_up::{self, Projection};
use crate::database::{Database, DatabaseError, Exclusive, Step, Transacted};
use crate::ledger::store::LedgerStore;
use crate::replay::ReplayError;

/// So many entries are taken in at once: SQLite's one writer does nothing else meanwhile, and of more PostgreSQL
/// reads all events there are instead of theirs.
const BATCH_ENTRIES: u64 = 16_384;

const PAIRS: [Pair; 1] = [(&AUDIT_TRAIL_TABLE, &REPLAYED_AUDIT_TRAIL)];

/// How many entries a read model is to hold: all, whatever it says that it holds.
pub(in crate::replay) async fn ledger_size(database: &Database) -> Result<u64, ReplayError> {
    Ok(LedgerStore::new(database.clone()).state().await?.ok_or(ReplayError::NotThere)?.size())
}

/// Rebuilds the audit trail; how many rows were replaced.
pub(super) async fn rebuild(
    database: &Database,
    progress: &mut impl FnMut(u64, u64),
) -> Result<u64, ReplayError> {
    let size = ledger_size(database).await?;
    let mut run = Run::begin(database, "audit_trail", &PAIRS, Fate::PutInPlace, size).await?;
    loop {
        let size = ledger_size(database).await?;
        if run.seen >= size {
            break;
        }
        let to = size.min(run.seen + BATCH_ENTRIES);
        let step = into_beside(run.seen, to);
        if run.advance(database, vec![step], to, run.after.clone()).await? == Transacted::Undone {
            return Err(stopped(database, run.seen, to).await?);
        }
        progress(run.seen, size);
    }
    run.index(database, &PAIRS).await?;
    let pair = (&AUDIT_TRAIL_TABLE, &REPLAYED_AUDIT_TRAIL);
    let replacement = Replacement::prepare(database, pair).await?;
    let (mut exclusive, replacement) = keep_out(database, replacement).await?;
    // Nobody moves it any more, so the rest is what has come to the ledger since.
    let position = ledger_size(database).await?;
    let (sql, params) = AuditTrail::insert(REPLAYED_AUDIT_TRAIL.name, signed(run.seen), signed(position));
    let taken = exclusive.execute(&sql, params).await?;
    if taken != position.saturating_sub(run.seen) {
        return Err(stopped(database, run.seen, position).await?);
    }
    catch_up::outdate::<AuditTrail>(&mut exclusive, position).await?;
    let replaced = match replacement {
        Some(replacement) => {
            let replaced = replacement.put_in_place(&mut exclusive).await?;
            run.end(&mut exclusive, &[]).await?;
            replaced
        }
        None => {
            exclusive.join_whole_tables().await?;
            let replaced = put_in_place(&mut exclusive, pair, &Scope::whole(&AUDIT_TRAIL_TABLE)).await?;
            run.end(&mut exclusive, &PAIRS).await?;
            replaced
        }
    };
    exclusive.commit().await?;
    Ok(replaced)
}

/// Keeps writers out, and readers too where the table is replaced as a whole. Somebody who reads it for long, as
/// a backup does, must not keep everybody else waiting: then rows are replaced, which needs no reader to finish.
async fn keep_out(
    database: &Database,
    replacement: Option<Replacement>,
) -> Result<(Exclusive, Option<Replacement>), ReplayError> {
    // In the order in which a follower writes them; the one beside may be looked after by autovacuum.
    let tables = ["projection_checkpoints", REPLAYED_AUDIT_TRAIL.name, AUDIT_TRAIL_TABLE.name];
    if replacement.is_some() {
        match database.exclusive_to_readers(&tables).await {
            Ok(exclusive) => return Ok((exclusive, replacement)),
            Err(DatabaseError::Busy) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok((database.exclusive(&tables).await?, None))
}

fn into_beside(from: u64, to: u64) -> Step {
    let (sql, params) = AuditTrail::insert(REPLAYED_AUDIT_TRAIL.name, signed(from), signed(to));
    Step::new(sql, params).changing(to - from)
}

/// Why a step was not taken.
async fn stopped(database: &Database, from: u64, to: u64) -> Result<ReplayError, ReplayError> {
    Ok(match AuditTrail.poison(database, signed(from), signed(to)).await? {
        Some(position) => ReplayError::Poisoned { position: u64::try_from(position).unwrap_or_default() },
        None => ReplayError::TakenOver,
    })
}

fn signed(natural: u64) -> i64 {
    i64::try_from(natural).unwrap_or(i64::MAX)
}
