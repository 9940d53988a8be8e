//! What the database says of its ledger as a whole.

use super::{StoredError, natural};
use crate::database::{Database, DatabaseError};
use crate::ledger::checkpoint::{Checkpoint, Verifier};
use crate::ledger::store::frontier_text;
use crate::ledger::tree::MAX_SIZE;
use crate::ledger::verify::{Finding, Problem, Verification};

#[derive(Debug)]
pub(super) struct State {
    pub(super) size: u64,
    origin: String,
    verifier_key: String,
    frontier: String,
    checkpoint: String,
    signed_size: u64,
    /// How many entries there would be if all up to the last one were there.
    entries: u64,
    /// The position of the first entry.
    first: Option<i64>,
}

/// One statement, so that the first and the last entry are those of the same moment.
const READ: &str = "SELECT origin, verifier_key, size, frontier, checkpoint, signed_size, \
    (SELECT min(position) FROM ledger_entries) AS first_position, \
    (SELECT max(position) FROM ledger_entries) AS last_position FROM ledger_state";

impl State {
    pub(super) async fn read(database: &Database) -> Result<Self, StoredError> {
        let rows = database.read(READ, &[]).await?;
        let row = rows.first().ok_or(StoredError::NotThere)?;
        let last: Option<i64> = row.get("last_position")?;
        let size: i64 = row.get("size")?;
        let size = u64::try_from(size).ok().filter(|size| *size <= MAX_SIZE);
        Ok(Self {
            size: size.ok_or_else(|| DatabaseError::Corrupt("the ledger has no size".to_owned()))?,
            origin: row.get("origin")?,
            verifier_key: row.get("verifier_key")?,
            frontier: row.get("frontier")?,
            checkpoint: row.get("checkpoint")?,
            signed_size: natural(row, "signed_size")?,
            entries: last.and_then(|last| u64::try_from(last).ok()).map_or(0, |last| last.saturating_add(1)),
            first: row.get("first_position")?,
        })
    }

    /// The stored checkpoint, if it is one that this key has signed.
    pub(super) fn signed(&self, verifier: &Verifier, verification: &mut Verification) -> Option<Checkpoint> {
        let signed = match verifier.verify(self.checkpoint.as_bytes()) {
            Ok(signed) => signed,
            Err(error) => {
                verification.report(Finding::of_ledger(Problem::Checkpoint(error)));
                return None;
            }
        };
        if signed.size != self.signed_size {
            verification.report(Finding::of_ledger(Problem::State { field: "signed_size" }));
        }
        self.check_size(&signed, verification);
        Some(signed)
    }

    /// Reports what shows before any entry is read.
    pub(super) fn check(
        &self,
        verifier: &Verifier,
        head: Option<&Checkpoint>,
        verification: &mut Verification,
    ) {
        for (field, same) in [
            ("origin", self.origin == verifier.origin().as_str()),
            ("verifier_key", self.verifier_key == verifier.to_string()),
        ] {
            if !same {
                verification.report(Finding::of_ledger(Problem::State { field }));
            }
        }
        if let Some(head) = head {
            self.check_size(head, verification);
        }
        if let Some(position) = self.first.filter(|first| *first < 0) {
            verification.report(Finding::of_ledger(Problem::BeforeFirst { position }));
        }
        if self.entries > self.size {
            verification.report(Finding::at(self.size, Problem::BeyondSize { size: self.size }));
        }
    }

    fn check_size(&self, signed: &Checkpoint, verification: &mut Verification) {
        if signed.size > self.size {
            let problem = Problem::RolledBack { signed: signed.size, size: self.size };
            verification.report(Finding::of_ledger(problem));
        }
    }

    /// Compares the stored right edge of the tree with that of the entries.
    pub(super) fn check_frontier(&self, verification: &mut Verification) {
        let frontier = verification.frontier();
        if frontier.size() != self.size || frontier_text(frontier) != self.frontier {
            verification.report(Finding::of_ledger(Problem::State { field: "frontier" }));
        }
    }
}
