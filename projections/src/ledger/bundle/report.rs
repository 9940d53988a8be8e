//! What the verification of a bundle has shown, and what no bundle can show.

use std::fmt;

use crate::ledger::checkpoint::Origin;
use crate::ledger::tree::Hash;
use crate::ledger::verify::{Finding, show};

/// The outcome for a bundle that could be read to its end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BundleReport {
    /// The log's name.
    pub origin: Origin,
    /// The size that was signed.
    pub size: u64,
    /// The root that was signed.
    pub root: Hash,
    /// The first position in the bundle.
    pub from: u64,
    /// How many streams have entries in it.
    pub streams: u64,
    /// How many receipts it has.
    pub proofs: u64,
    /// The size of the auditor's earlier checkpoint, if there was one.
    pub grown_from: Option<u64>,
    /// The first findings, in the order of their positions, after those of the whole ledger.
    pub findings: Vec<Finding>,
    /// How many there are in all.
    pub findings_total: u64,
}

impl BundleReport {
    /// Whether everything in the bundle is as it was signed.
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
        let Self { origin, size, root, from, streams, proofs, grown_from, .. } = self;
        let mut proved =
            vec![format!("The log {origin} signed a ledger of {size} entries with the root {root}.")];
        if *size == 0 {
            proved.push("The ledger is empty.".to_owned());
            return proved;
        }
        let entries = size - from;
        if *from > 0 {
            proved.push(format!(
                "The bundle has the {entries} entries from position {from} on, and they lead from your \
                 earlier checkpoint to that root."
            ));
        } else {
            proved.push(format!("The bundle has all {entries} entries, and they lead to that root."));
        }
        proved.push(format!("Every payload and metadata of the {entries} entries is what was recorded."));
        proved.push(format!(
            "The entries of {streams} streams follow each other without a gap, by sequence, hash and time."
        ));
        if let Some(earlier) = grown_from {
            proved.push(format!("The ledger has only grown since your checkpoint of {earlier} entries."));
        }
        if *proofs > 0 {
            proved.push(format!("All {proofs} receipts in the bundle hold."));
        }
        proved
    }

    /// What cannot be proved by a bundle like this one, a sentence each.
    #[must_use]
    pub fn not_proved(&self) -> Vec<String> {
        let mut not_proved = vec![
            "That nothing was left out before it was recorded: the ledger proves what is in it, not what \
             should be."
                .to_owned(),
            "That times and actors are true: they are what the service recorded.".to_owned(),
            "That others were shown the same ledger: compare checkpoints with them.".to_owned(),
            "What sealed fields say: they are here as ciphertext.".to_owned(),
        ];
        if self.grown_from.is_none() {
            not_proved.push(
                "That the ledger was not replaced as a whole before you saw it: keep this checkpoint, and \
                 give it the next time."
                    .to_owned(),
            );
        }
        if self.from > 0 {
            not_proved.push(format!(
                "Anything about the payloads before position {}, and that a stream's first entry in this \
                 bundle follows the one before it: those are not here.",
                self.from
            ));
        }
        not_proved
    }
}

impl fmt::Display for BundleReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let findings = (self.findings.as_slice(), self.findings_total);
        show(f, "The bundle", &self.proved(), &self.not_proved(), findings)
    }
}
