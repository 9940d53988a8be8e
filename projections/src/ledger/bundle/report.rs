//! What the verification of a bundle has shown, and what no bundle can show.

use serde::Serialize;

use crate::ledger::verify::{Report, Source};

/// The outcome for a bundle that could be read to its end.
pub type BundleReport = Report<Bundled>;

/// What only a bundle tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Bundled {
    /// The first position in the bundle.
    pub from: u64,
    /// How many receipts it has.
    pub proofs: u64,
}

impl Source for Bundled {
    const SUBJECT: &'static str = "The bundle";

    fn proved(report: &Report<Self>) -> Vec<String> {
        let Report { origin, size, root, streams, grown_from, source: Bundled { from, proofs }, .. } = report;
        let mut proved =
            vec![format!("The log {origin} signed a ledger of {size} entries with the root {root}.")];
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

    fn not_proved(report: &Report<Self>) -> Vec<String> {
        let mut not_proved = vec![
            "That nothing was left out before it was recorded: the ledger proves what is in it, not what \
             should be."
                .to_owned(),
            "That times and actors are true: they are what the service recorded.".to_owned(),
            "That others were shown the same ledger: compare checkpoints with them.".to_owned(),
            "What sealed fields say: they are here as ciphertext.".to_owned(),
        ];
        if report.grown_from.is_none() {
            not_proved.push(
                "That the ledger was not replaced as a whole before you saw it: keep this checkpoint, and \
                 give it the next time."
                    .to_owned(),
            );
        }
        if report.source.from > 0 {
            not_proved.push(format!(
                "Anything about the payloads before position {}, and that a stream's first entry in this \
                 bundle follows the one before it: those are not here.",
                report.source.from
            ));
        }
        not_proved
    }
}
