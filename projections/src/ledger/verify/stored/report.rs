//! What the verification of a database's ledger has shown, and what it cannot show.

use std::fmt;

use crate::ledger::checkpoint::Origin;
use crate::ledger::tree::Hash;
use crate::ledger::verify::{Finding, show};

/// The outcome for a ledger that could be read to its end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredReport {
    /// The log's name.
    pub origin: Origin,
    /// How many entries the ledger has.
    pub size: u64,
    /// The root of its tree, computed from them.
    pub root: Hash,
    /// The size of the stored checkpoint, if that is signed.
    pub signed_size: u64,
    /// How many streams have entries.
    pub streams: u64,
    /// How many events wait for their place.
    pub pending: u64,
    /// The size of the checkpoint that is known outside the database, if there was one.
    pub grown_from: Option<u64>,
    /// The first findings: of the whole ledger, then in the order of their positions, then of events
    /// that have none.
    pub findings: Vec<Finding>,
    /// How many there are in all.
    pub findings_total: u64,
}

impl StoredReport {
    /// Whether everything is as it was recorded.
    #[must_use]
    pub const fn holds(&self) -> bool {
        self.findings_total == 0
    }

    /// What was proved, a sentence each. Nothing counts as proved beside a finding.
    #[must_use]
    pub fn proved(&self) -> Vec<String> {
        if !self.holds() {
            return Vec::new();
        }
        let Self { origin, size, root, signed_size, streams, grown_from, .. } = self;
        if *size == 0 {
            return vec![format!("The ledger {origin} is empty.")];
        }
        let mut proved = vec![
            format!("All {size} entries of the ledger {origin} lead to the root {root}."),
            format!("Its key has signed the first {signed_size} of them."),
            "Every event is what it was when it got its place: its columns, its payload and its metadata."
                .to_owned(),
            format!(
                "The entries of {streams} streams follow each other without a gap, by sequence, hash and time."
            ),
            "No event that has a place was removed, and every other one waits for its place.".to_owned(),
        ];
        if let Some(earlier) = grown_from {
            proved.push(format!(
                "The first {earlier} entries are those of the checkpoint that is kept outside the database."
            ));
        }
        proved
    }

    /// What cannot be proved from a database, a sentence each.
    #[must_use]
    pub fn not_proved(&self) -> Vec<String> {
        let mut not_proved = Vec::new();
        if self.pending > 0 {
            not_proved.push(format!(
                "Anything about {} events that wait for their place: verify again when they have it.",
                self.pending
            ));
        }
        if self.signed_size < self.size {
            not_proved.push(format!(
                "That the entries from position {} on were signed: they are to be.",
                self.signed_size
            ));
        }
        not_proved.push(
            "That nothing was left out, altered or made up before it got its place: the ledger proves what is \
             in it, not what should be."
                .to_owned(),
        );
        not_proved.push(
            "That the tables which are derived from the events say the same: snapshots, login checks and the \
             audit trail are not compared."
                .to_owned(),
        );
        not_proved.push(
            "That whoever has the signing key did not write another history: compare the checkpoint with \
             one that an auditor holds."
                .to_owned(),
        );
        if self.grown_from.is_none() {
            not_proved.push(
                "That the database is not an older one: there is no checkpoint outside it to compare with."
                    .to_owned(),
            );
        }
        not_proved
    }
}

impl fmt::Display for StoredReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let findings = (self.findings.as_slice(), self.findings_total);
        show(f, "The ledger", &self.proved(), &self.not_proved(), findings)
    }
}
