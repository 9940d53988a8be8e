//! Verifying the ledger of a database, while a server may be writing to it.
//!
//! How far the ledger goes is read first, and only what lies below is looked at: nothing there ever
//! changes. What the server adds meanwhile is for the next verification.

mod events;
mod report;
mod rows;
mod state;
#[cfg(test)]
mod tests;
mod tiles;

use std::collections::BTreeMap;
use std::io;

pub use report::{Stored, StoredReport};

use super::{Finding, Problem, Verification};
use crate::database::{Database, DatabaseError, Row};
use crate::ledger::checkpoint::{Checkpoint, Verifier};
use crate::ledger::tree::{Hash, empty_root, leaf_hash};
use crate::table::Value;
use rows::{EntryRow, read_entries};
use state::State;
use tiles::Tiles;

/// Why a verification could not be carried through. It says nothing about the ledger, good or bad.
#[derive(Debug, thiserror::Error)]
pub enum StoredError {
    /// The database does not answer, or does not let itself be read.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// Some entries or their events do not let themselves be read.
    #[error("entries from position {from} on: {error}")]
    Entries {
        /// The first that was asked for.
        from: u64,
        /// What the database says.
        error: DatabaseError,
    },
    /// A temporary file could not be read or written.
    #[error("a temporary file: {0}")]
    Temporary(#[from] io::Error),
    /// A server makes the ledger at its first start.
    #[error("this database has no ledger yet; start the server once")]
    NotThere,
    /// The program is stopping.
    #[error("the verification was stopped")]
    Stopped,
}

/// Verifies the ledger of a database: every entry and its event, the tree, its stored hashes, and the
/// signed checkpoint. `head` is the latest checkpoint that is known outside the database. `progress`
/// is told how many entries of how many were checked.
///
/// # Errors
/// It could not be carried through. What is wrong with the ledger is in the report.
pub async fn verify_stored(
    database: &Database,
    verifier: &Verifier,
    head: Option<&Checkpoint>,
    mut progress: impl FnMut(u64, u64),
) -> Result<StoredReport, StoredError> {
    let state = State::read(database).await?;
    let mut run = Run::default();
    let signed = state.signed(verifier, &mut run.verification);
    state.check(verifier, head, &mut run.verification);
    for checkpoint in [signed.as_ref(), head].into_iter().flatten() {
        run.roots.insert(checkpoint.size, None);
    }
    let mut next = 0;
    loop {
        let rows = read_entries(database, next, state.size).await?;
        let Some(last) = rows.last() else { break };
        next = last.position.saturating_add(1);
        run = beside(move || run.take_in(&rows)).await??;
        run.tiles.compare_full(database, &mut run.verification).await?;
        progress(next, state.size);
    }
    if next < state.size {
        run.verification.report(Finding::at(next, Problem::Missing { until: state.size }));
    }
    run.tiles.compare_partial(database, &mut run.verification).await?;
    state.check_frontier(&mut run.verification);
    run.check_root(signed.as_ref(), state.size, |size| Problem::Root { size });
    run.check_root(head, state.size, |size| Problem::Forked { size });
    events::check(database, &mut run.verification).await?;
    let pending = events::count_pending(database).await?;
    let verification = run.verification;
    let outcome = beside(move || verification.finish()).await??;
    Ok(StoredReport {
        origin: verifier.origin().clone(),
        size: state.size,
        root: outcome.frontier.root(),
        streams: outcome.streams,
        grown_from: head.map(|head| head.size),
        findings: outcome.findings,
        findings_total: outcome.findings_total,
        source: Stored { signed_size: signed.map_or(0, |signed| signed.size), pending },
    })
}

/// What is wrong with one entry and its event, as far as these show it by themselves: whether the tree has the entry
/// is for its proof to say.
///
/// # Errors
/// It could not be read.
pub async fn verify_entry(database: &Database, position: u64) -> Result<Vec<Finding>, StoredError> {
    let mut verification = Verification::default();
    let rows = read_entries(database, position, position.saturating_add(1)).await?;
    for row in &rows {
        let entry = row.found();
        verification.check_alone(row.position, &entry, leaf_hash(entry.leaf));
    }
    if rows.is_empty() {
        verification.report(Finding::at(position, Problem::Missing { until: position.saturating_add(1) }));
    }
    Ok(verification.finish()?.findings)
}

/// What grows from page to page.
#[derive(Debug, Default)]
struct Run {
    verification: Verification,
    tiles: Tiles,
    /// The roots that are to be compared with signed ones, as far as they are known, by size.
    roots: BTreeMap<u64, Option<Hash>>,
}

impl Run {
    fn take_in(mut self, rows: &[EntryRow]) -> io::Result<Self> {
        for row in rows {
            let hash = self.verification.push(row.position, &row.found())?;
            self.tiles.push(hash);
            let frontier = self.verification.frontier();
            if let Some(root) = self.roots.get_mut(&frontier.size()) {
                *root = Some(frontier.root());
            }
        }
        Ok(self)
    }

    /// Compares the tree with what was signed. That more was signed than there is was found before.
    fn check_root(&mut self, signed: Option<&Checkpoint>, size: u64, problem: impl Fn(u64) -> Problem) {
        let Some(signed) = signed.filter(|signed| signed.size <= size) else { return };
        let found = if signed.size == 0 {
            Some(empty_root())
        } else {
            self.roots.get(&signed.size).copied().flatten()
        };
        if found != Some(signed.root) {
            self.verification.report(Finding::of_ledger(problem(signed.size)));
        }
    }
}

/// Computes beside the threads that answer requests.
async fn beside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, StoredError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| StoredError::Stopped)
}

/// Reads a page of anything, also beside them.
async fn page(database: &Database, sql: &str, params: &[Value]) -> Result<Vec<Row>, DatabaseError> {
    database.read_bulk(sql, params).await
}

/// A number that the database should hold. None below zero is written, and none is believed.
fn natural(row: &Row, column: &str) -> Result<u64, DatabaseError> {
    row.get::<i64>(column).map(|number| u64::try_from(number).unwrap_or(0))
}
